#include "server/records/policies.h"

#include "server/records/wire.h"

static struct record_key policy_key(uint32_t workspace, uint32_t environment)
{
	return KEY(workspace, key_u32(k, environment));
}

sl_code policy_get(const struct store_view *view, struct sl_arena *arena, uint32_t workspace,
		   uint32_t environment, Sluice__Store__V1__PolicyRecord **ret_policy,
		   struct sl_err *err)
{
	struct record_key key = policy_key(workspace, environment);
	sl_code code = record_get(view, arena, TABLE_POLICIES, &key,
				  &sluice__store__v1__policy_record__descriptor, ret_policy, err);
	if (code != SL_NOT_FOUND) {
		return code;
	}
	Sluice__Store__V1__PolicyRecord *policy =
	    SL_ARENA_NEW(arena, Sluice__Store__V1__PolicyRecord);
	if (policy == NULL) {
		return sl_err_no_memory(err);
	}
	sluice__store__v1__policy_record__init(policy);
	policy->environment = environment;
	policy->contract = SLUICE__V1__GATE_STRICTNESS__GATE_STRICTNESS_WARN;
	*ret_policy = policy;
	return SL_OK;
}

sl_code policies_decide_set(struct decision *d, uint32_t environment,
			    Sluice__V1__GateStrictness contract,
			    Sluice__Store__V1__PolicyRecord **ret_policy, struct sl_err *err)
{
	Sluice__Store__V1__PolicyRecord *policy = NULL;
	sl_code code = policy_get(d->view, d->arena, d->workspace, environment, &policy, err);
	code = code != SL_OK ? code
			     : decision_expect(d, "the policy of", environment_name(environment),
					       policy->revision, err);
	if (code != SL_OK) {
		return code;
	}
	*ret_policy = policy;
	if (contract == SLUICE__V1__GATE_STRICTNESS__GATE_STRICTNESS_UNSPECIFIED ||
	    contract == policy->contract) {
		return SL_OK;
	}
	policy->contract = contract;
	policy->at_ms = d->now_ms;
	policy->by = (char *)d->principal;
	policy->revision = d->revision;
	struct record_key key = policy_key(d->workspace, environment);
	decision_put(d, TABLE_POLICIES, &key, &policy->base);
	Sluice__V1__Event *event =
	    decision_event(d, SLUICE__V1__EVENT_TYPE__EVENT_TYPE_UPDATED,
			   SLUICE__V1__EVENT_KIND__EVENT_KIND_POLICY, "", environment, "");
	event->object_case = SLUICE__V1__EVENT__OBJECT_POLICY;
	event->policy = wire_policy(d->arena, policy);
	return SL_OK;
}
