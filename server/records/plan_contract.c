/* What a version requires of its environment against what is there: names and kinds, no values. */
#include "server/records/plans_internal.h"
#include "server/records/policies.h"
#include "server/records/required.h"

sl_code plan_gather_contract(const struct plan_base *base, struct plan *plan, struct sl_err *err)
{
	const Sluice__Store__V1__ContentRecord *content = plan->version->content;
	Sluice__Store__V1__PolicyRecord *policy = NULL;
	struct required_lacking lacking;
	if (content == NULL || content->contract.len == 0 || plan->target == 0 ||
	    plan->target > ENV_COUNT) {
		return SL_OK;
	}
	sl_code code = policy_get(base->in.view, base->in.arena, base->in.workspace, plan->target,
				  &policy, err);
	if (code != SL_OK) {
		return code;
	}
	plan->policy_revision = policy->revision;
	plan->input.contract_blocks =
	    policy->contract == SLUICE__V1__GATE_STRICTNESS__GATE_STRICTNESS_BLOCK;
	code = required_lacking(&base->in, SL_BYTES(content->contract.data, content->contract.len),
				plan->target, &lacking, err);
	if (code == SL_OK) {
		plan->input.required = lacking.required;
		plan->input.lacking = lacking.named;
		plan->input.lacking_count = lacking.named_count;
		plan->input.lacking_total = lacking.total;
	}
	return code;
}
