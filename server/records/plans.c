#include "server/records/plans.h"

#include <string.h>

#include "server/records/desired_load.h"
#include "server/records/plans_internal.h"
#include "server/records/release_stack.h"
#include "server/records/versions.h"

#define SAME(rule, wire)                                                                           \
	_Static_assert((int)(rule) == (int)(wire), "rules/gates.h counts as sluice.v1 does")
SAME(GATES_ROLLBACK, SLUICE__V1__PLAN_ACTION__PLAN_ACTION_ROLLBACK);
SAME(GATES_RELEASE, SLUICE__V1__PLAN_ACTION__PLAN_ACTION_RELEASE);
SAME(GATES_PROMOTE, SLUICE__V1__PLAN_ACTION__PLAN_ACTION_PROMOTE);
SAME(GATE_PERMISSION, SLUICE__V1__GATE_KIND__GATE_KIND_PERMISSION);
SAME(GATE_ORDER, SLUICE__V1__GATE_KIND__GATE_KIND_ORDER);
SAME(GATE_IN_PRODUCTION, SLUICE__V1__GATE_KIND__GATE_KIND_IN_PRODUCTION);
SAME(GATE_NOT_BLOCKED, SLUICE__V1__GATE_KIND__GATE_KIND_NOT_BLOCKED);
SAME(GATE_CONTENT, SLUICE__V1__GATE_KIND__GATE_KIND_CONTENT);
SAME(GATE_UNCHANGED, SLUICE__V1__GATE_KIND__GATE_KIND_UNCHANGED);
SAME(GATE_CONTRACT, SLUICE__V1__GATE_KIND__GATE_KIND_CONTRACT);
SAME(GATE_PREFETCHED, SLUICE__V1__GATE_KIND__GATE_KIND_PREFETCHED);
SAME(GATE_RELEASED_BEFORE, SLUICE__V1__GATE_KIND__GATE_KIND_RELEASED_BEFORE);
SAME(GATE_PASS, SLUICE__V1__GATE_STATE__GATE_STATE_PASS);
SAME(GATE_BLOCK, SLUICE__V1__GATE_STATE__GATE_STATE_BLOCK);
SAME(GATES_RESOLVING, SLUICE__V1__CONTENT_STATE__CONTENT_STATE_RESOLVING);
SAME(GATES_READY, SLUICE__V1__CONTENT_STATE__CONTENT_STATE_READY);
SAME(GATES_FAILED, SLUICE__V1__CONTENT_STATE__CONTENT_STATE_FAILED);
SAME(GATES_NOT_OWED, SLUICE__V1__PUBLICATION_STATE__PUBLICATION_STATE_NONE);
SAME(GATES_PARKED, SLUICE__V1__PUBLICATION_STATE__PUBLICATION_STATE_PARKED);

sl_code plan_base_load(const struct wire *in, const Sluice__Store__V1__AppRecord *app,
		       const struct plan_asker *asker, struct plan_base *ret_base,
		       struct sl_err *err)
{
	Sluice__Store__V1__ReleaseRecord *release = NULL;
	sl_code code = release_get(in->view, in->arena, in->workspace, app->id, &release, err);
	if (code != SL_OK && code != SL_NOT_FOUND) {
		return code;
	}
	*ret_base = (struct plan_base){.in = *in, .app = app, .release = release};
	if (asker != NULL) {
		ret_base->asker = *asker;
	}
	return SL_OK;
}

/* --- gathering ---------------------------------------------------------------- */

static struct gates_environment environment_of(uint32_t number)
{
	bool exists = number >= 1 && number <= ENV_COUNT;
	return (struct gates_environment){.rank = exists ? number : 0,
					  .name = environment_name(exists ? number : 0)};
}

/* "BRANCH_NOT_FOUND"; "". */
static const char *reason_name(Sluice__V1__ContentReason reason)
{
	static const char prefix[] = "CONTENT_REASON_";
	const ProtobufCEnumValue *value = protobuf_c_enum_descriptor_get_value(
	    &sluice__v1__content_reason__descriptor, (int)reason);
	return value == NULL || reason == 0 ? "" : value->name + sizeof(prefix) - 1;
}

static struct sl_bytes digest_of(const Sluice__Store__V1__VersionRecord *version)
{
	bool ready = version->content != NULL &&
		     version->content->state == SLUICE__V1__CONTENT_STATE__CONTENT_STATE_READY;
	return ready ? SL_BYTES(version->content->digest.data, version->content->digest.len)
		     : SL_BYTES_NONE;
}

/* When the look-up that is owed is due again. */
static sl_code gather_retry(const struct plan_base *base, struct plan *plan, struct sl_err *err)
{
	struct record_key key =
	    owed_key(base->in.workspace, SLUICE__STORE__V1__OWED_KIND__OWED_KIND_RESOLVE,
		     base->app->id, plan->version->number);
	Sluice__Store__V1__OwedRecord *owed = NULL;
	sl_code code = record_get(base->in.view, base->in.arena, TABLE_OWED, &key,
				  &sluice__store__v1__owed_record__descriptor, &owed, err);
	if (code == SL_OK) {
		plan->input.content_retries = !owed->parked;
		plan->input.content_next_ms = owed->attempts > 0 ? owed->next_ms : 0;
	}
	return code == SL_NOT_FOUND ? SL_OK : code;
}

static sl_code gather_content(const struct plan_base *base, struct plan *plan, struct sl_err *err)
{
	const Sluice__Store__V1__ContentRecord *content = plan->version->content;
	struct gates_input *in = &plan->input;
	in->content = content != NULL ? (enum gates_content)content->state : GATES_RESOLVING;
	in->content_reason = content != NULL ? reason_name(content->reason) : "";
	in->content_text = content != NULL ? content->text : "";
	in->commit = content != NULL ? content->commit : "";
	in->digest = digest_of(plan->version);
	return in->content == GATES_READY ? SL_OK : gather_retry(base, plan, err);
}

static sl_code gather_publication(const struct plan_base *base, struct plan *plan,
				  struct sl_err *err)
{
	struct gates_input *in = &plan->input;
	in->publication = GATES_NOT_OWED;
	in->tag = in->published_commit = in->publish_text = "";
	sl_code code =
	    publication_get(base->in.view, base->in.arena, base->in.workspace, base->app->id,
			    plan->version->number, &plan->publication, err);
	if (code != SL_OK) {
		return code == SL_NOT_FOUND ? SL_OK : code;
	}
	const Sluice__Store__V1__PublicationRecord *publication = plan->publication;
	in->publication = (enum gates_publication)publication->state;
	in->tag = publication->ref;
	in->published_commit = publication->commit;
	in->publish_text = publication->text;
	in->publish_attempts = publication->attempts;
	in->publish_next_ms = publication->attempts > 0 ? publication->next_ms : 0;
	return SL_OK;
}

static sl_code gather_base(const struct plan_base *base, struct plan *plan, struct sl_err *err)
{
	if (plan->version->derived_from == 0) {
		return SL_OK;
	}
	Sluice__Store__V1__VersionRecord *derived_from = NULL;
	sl_code code = version_get(base->in.view, base->in.arena, base->in.workspace, base->app->id,
				   plan->version->derived_from, &derived_from, err);
	if (code != SL_OK) {
		return code == SL_NOT_FOUND ? SL_OK : code;
	}
	plan->input.base = derived_from->name;
	plan->input.base_digest = digest_of(derived_from);
	return SL_OK;
}

static void gather_version(const struct plan_base *base, Sluice__Store__V1__VersionRecord *version,
			   uint32_t target, enum gates_action action, struct plan *plan)
{
	bool blocked = desired_is_blocked(version);
	plan->app = base->app;
	plan->version = version;
	plan->target = target;
	plan->input = (struct gates_input){
	    .action = action,
	    .version_id = version->id,
	    .version = version->name,
	    .source = environment_of(version->environment),
	    .next = environment_of(version->environment + 1),
	    .target = environment_of(target),
	    .blocked = blocked,
	    .recalled = desired_is_recalled(version),
	    .block_reason = blocked ? version->block->reason : "",
	    .blocked_by = blocked ? version->block->by : "",
	};
}

static sl_code evaluate(const struct plan_base *base, struct plan *plan, struct sl_err *err)
{
	sl_code code = plan_gather_right(base, plan, err);
	if (code != SL_OK) {
		return code;
	}
	if (!gates_evaluate(&plan->input, base->in.arena, &plan->gates)) {
		return sl_err_no_memory(err);
	}
	gates_plan_hash(&plan->input, &plan->gates, plan->policy_revision, plan->hash);
	return SL_OK;
}

/* --- one act each --------------------------------------------------------------- */

sl_code plan_promote(const struct plan_base *base, Sluice__Store__V1__VersionRecord *version,
		     uint32_t target, struct plan *ret_plan, struct sl_err *err)
{
	*ret_plan = (struct plan){0};
	if (version->environment >= ENV_COUNT) {
		return sl_err_because(err, SL_FAILED_PRECONDITION, SL_REASON_LAST_ENVIRONMENT,
				      "version '%s' of app '%s' is in %s: there is no environment "
				      "after it, and no way back",
				      version->name, base->app->name,
				      environment_name(version->environment));
	}
	gather_version(base, version, target != 0 ? target : version->environment + 1,
		       GATES_PROMOTE, ret_plan);
	sl_code code = gather_content(base, ret_plan, err);
	code = code != SL_OK ? code : gather_publication(base, ret_plan, err);
	code = code != SL_OK ? code : gather_base(base, ret_plan, err);
	code = code != SL_OK ? code : plan_gather_contract(base, ret_plan, err);
	return code != SL_OK ? code : evaluate(base, ret_plan, err);
}

sl_code plan_release(const struct plan_base *base, Sluice__Store__V1__VersionRecord *version,
		     struct plan *ret_plan, struct sl_err *err)
{
	*ret_plan = (struct plan){0};
	gather_version(base, version, ENV_PRODUCTION, GATES_RELEASE, ret_plan);
	struct desired_reach reach;
	sl_code code = gather_content(base, ret_plan, err);
	code = code != SL_OK ? code : gather_publication(base, ret_plan, err);
	code = code != SL_OK ? code : plan_gather_contract(base, ret_plan, err);
	code = code != SL_OK ? code
			     : desired_count_staged(&base->in, base->app, ENV_PRODUCTION,
						    version->id, &reach, err);
	if (code != SL_OK) {
		return code;
	}
	ret_plan->input.instances = reach.instances;
	ret_plan->input.staged = reach.staged;
	return evaluate(base, ret_plan, err);
}

/* The version that Rollback goes to without being told. */
static sl_code find_previous(const struct plan_base *base, struct plan *plan,
			     Sluice__Store__V1__VersionRecord **ret_version, struct sl_err *err)
{
	struct release_target previous;
	sl_code code =
	    release_stack_previous(&base->in, base->app->id, base->release, &previous, err);
	if (code != SL_OK) {
		return code;
	}
	if (previous.version == 0) {
		return sl_err_because(err, SL_FAILED_PRECONDITION, SL_REASON_NO_PREVIOUS,
				      "app '%s' has no earlier release to go back to%s%s",
				      base->app->name, previous.skipped_count > 0 ? ": " : "",
				      previous.skipped_count > 0 ? previous.skipped[0] : "");
	}
	plan->stack_depth = previous.depth;
	plan->skipped = previous.skipped;
	plan->skipped_count = previous.skipped_count;
	return version_get(base->in.view, base->in.arena, base->in.workspace, base->app->id,
			   previous.version, ret_version, err);
}

static sl_code find_target(const struct plan_base *base, const char *to, struct plan *plan,
			   Sluice__Store__V1__VersionRecord **ret_version, struct sl_err *err)
{
	if (to[0] == '\0') {
		return find_previous(base, plan, ret_version, err);
	}
	sl_code code = version_find(base->in.view, base->in.arena, base->in.workspace, base->app,
				    to, ret_version, err);
	return code != SL_OK ? code
			     : release_stack_find(&base->in, base->app->id, base->release,
						  (*ret_version)->number, &plan->stack_depth, err);
}

/* What the stack has forgotten, the facts know. */
static sl_code gather_released_before(const struct plan_base *base, struct plan *plan,
				      struct sl_err *err)
{
	plan->input.released_before = plan->stack_depth > 0;
	if (plan->input.released_before) {
		return SL_OK;
	}
	Sluice__Store__V1__FactsRecord *facts = NULL;
	sl_code code = facts_get(&base->in, plan->version, ENV_PRODUCTION, &facts, err);
	plan->input.released_before = code == SL_OK && facts->first_released_ms != 0;
	return code == SL_NOT_FOUND ? SL_OK : code;
}

sl_code plan_rollback(const struct plan_base *base, const char *to, struct plan *ret_plan,
		      struct sl_err *err)
{
	Sluice__Store__V1__VersionRecord *version = NULL;
	*ret_plan = (struct plan){0};
	sl_code code = find_target(base, to, ret_plan, &version, err);
	if (code != SL_OK) {
		return code;
	}
	gather_version(base, version, ENV_PRODUCTION, GATES_ROLLBACK, ret_plan);
	code = gather_content(base, ret_plan, err);
	code = code != SL_OK ? code : gather_publication(base, ret_plan, err);
	code = code != SL_OK ? code : gather_released_before(base, ret_plan, err);
	return code != SL_OK ? code : evaluate(base, ret_plan, err);
}

/* --- asking ----------------------------------------------------------------------- */

static sl_code stale_plan(const struct plan *plan, struct sl_err *err)
{
	char hex[2 * SL_HASH_BYTES + 1];
	sl_code code =
	    sl_err_because(err, SL_ABORTED, SL_REASON_STALE_PLAN,
			   "the plan for version '%s' of app '%s' no longer holds: plan again",
			   plan->version->name, plan->app->name);
	sl_err_meta(err, "plan_hash", "%s", sl_hex(hex, plan->hash, sizeof(plan->hash)));
	return code;
}

static const char *state_name(enum gate_state state)
{
	static const char *const names[] = {[GATE_PASS] = "PASS",
					    [GATE_WARN] = "WARN",
					    [GATE_WAIT] = "WAIT",
					    [GATE_BLOCK] = "BLOCK"};
	return names[state];
}

static sl_code gates_blocked(const struct plan *plan, struct sl_err *err)
{
	size_t count = 0;
	const struct gate *first = NULL;
	for (size_t i = 0; i < plan->gates.count; i++) {
		const struct gate *gate = &plan->gates.items[i];
		if (!gate_lets_through(gate)) {
			first = first != NULL ? first : gate;
			count++;
		}
	}
	sl_code code = sl_err_because(
	    err, SL_FAILED_PRECONDITION, SL_REASON_GATE_BLOCKED, "%zu gate%s: %s: %s", count,
	    count == 1 ? " holds it back" : "s hold it back, the first", first->id, first->reason);
	for (size_t i = 0; i < plan->gates.count; i++) {
		const struct gate *gate = &plan->gates.items[i];
		if (!gate_lets_through(gate)) {
			sl_err_gate(err, gate->id, plan->version->id, gate->reason);
			sl_err_meta(err, gate->id, "%s", state_name(gate->state));
		}
	}
	return code;
}

sl_code plan_require(const struct plan *plan, struct sl_bytes plan_hash, struct sl_err *err)
{
	if (plan_hash.size > 0 &&
	    !sl_bytes_equal(plan_hash, SL_BYTES(plan->hash, sizeof(plan->hash)))) {
		return stale_plan(plan, err);
	}
	return gates_allow(&plan->gates) ? SL_OK : gates_blocked(plan, err);
}
