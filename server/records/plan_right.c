#include <string.h>

#include "server/records/plans_internal.h"
#include "server/records/principals.h"

enum { HOLDERS_NAMED = 5 };

/* The search for those who may. */
struct search {
	const struct plan_base *base;
	enum access_verb verb;
	uint32_t environment;
	uint32_t workspace; /* whose principals are looked at */
	struct gates_input *input;
	const char **names;
	sl_code code;
	struct sl_err *err;
};

/* Principals of `default` act in other workspaces only if they administer all. */
static bool may(const struct search *s, const struct rights *rights)
{
	bool enters = s->workspace == s->base->in.workspace ||
		      rights_allow_everywhere(rights, ACCESS_ADMINISTER, NULL);
	return enters && rights_allow(rights, s->verb, s->base->app->slug, s->environment);
}

/* The first by name are kept, in that order. */
static void name_holder(struct search *s, const char *name)
{
	size_t count = s->input->holder_count, at = count;
	while (at > 0 && strcmp(s->names[at - 1], name) > 0) {
		at--;
	}
	if (at == HOLDERS_NAMED) {
		return;
	}
	count = count < HOLDERS_NAMED ? count + 1 : count;
	memmove(&s->names[at + 1], &s->names[at], (count - 1 - at) * sizeof(*s->names));
	s->names[at] = name;
	s->input->holder_count = count;
}

static bool look(void *ctx, const Sluice__Store__V1__PrincipalRecord *principal)
{
	struct search *s = ctx;
	struct rights rights;
	s->code = principal_rights(s->base->in.view, s->base->in.arena, s->workspace, principal,
				   &rights, s->err);
	if (s->code != SL_OK) {
		return false;
	}
	if (may(s, &rights)) {
		s->input->holder_total++;
		name_holder(s, principal->name);
	}
	return true;
}

static sl_code look_in(struct search *s, uint32_t workspace)
{
	const struct principals_visitor visitor = {.visit = look, .ctx = s};
	s->workspace = workspace;
	sl_code code =
	    principals_visit(s->base->in.view, s->base->in.arena, workspace, &visitor, s->err);
	return code != SL_OK ? code : s->code;
}

static sl_code find_holders(const struct plan_base *base, struct plan *plan, enum access_verb verb,
			    struct sl_err *err)
{
	struct search s = {.base = base,
			   .verb = verb,
			   .environment = plan->target,
			   .input = &plan->input,
			   .names = SL_ARENA_ARRAY(base->in.arena, const char *, HOLDERS_NAMED),
			   .code = SL_OK,
			   .err = err};
	if (s.names == NULL) {
		return sl_err_no_memory(err);
	}
	plan->input.holders = s.names;
	sl_code code = look_in(&s, base->in.workspace);
	return code != SL_OK || base->in.workspace == WORKSPACE_DEFAULT
		   ? code
		   : look_in(&s, WORKSPACE_DEFAULT);
}

sl_code plan_gather_right(const struct plan_base *base, struct plan *plan, struct sl_err *err)
{
	static const enum access_verb verbs[] = {[GATES_PROMOTE] = ACCESS_PROMOTE,
						 [GATES_RELEASE] = ACCESS_RELEASE,
						 [GATES_ROLLBACK] = ACCESS_ROLLBACK};
	const struct rights *rights = base->asker.rights;
	if (rights == NULL || rights->everything) {
		return SL_OK;
	}
	enum access_verb verb = verbs[plan->input.action];
	plan->input.verb = access_verb_name(verb);
	plan->input.principal = base->asker.principal;
	plan->input.app = base->app->slug;
	plan->input.permitted = rights_allow(rights, verb, base->app->slug, plan->target);
	return plan->input.permitted ? SL_OK : find_holders(base, plan, verb, err);
}
