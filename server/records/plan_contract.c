/* What a version requires of its environment against what is there: names and kinds, no values. */
#include <string.h>

#include "server/records/config_names.h"
#include "server/records/plans_internal.h"
#include "server/records/policies.h"
#include "server/records/sources.h"
#include "server/rules/source_kinds.h"

enum { LACKING_NAMED = 20 };

/* What is missing so far. */
struct search {
	const struct plan_base *base;
	uint32_t environment;
	struct gates_input *input;
	const char **lacking;
};

static void lacks(struct search *s, const char *what)
{
	if (s->input->lacking_count < LACKING_NAMED) {
		s->lacking[s->input->lacking_count++] = what;
	}
	s->input->lacking_total++;
}

static sl_code look_for_names(struct search *s, char *const *names, size_t count,
			      Sluice__V1__ConfigKind kind, struct sl_err *err)
{
	const struct wire *in = &s->base->in;
	for (size_t i = 0; i < count; i++) {
		Sluice__Store__V1__ConfigNameRecord *record = NULL;
		sl_code code = config_name_find(in->view, in->arena, in->workspace, names[i], kind,
						&record, err);
		if (code != SL_OK && code != SL_NOT_FOUND) {
			return code;
		}
		if (code == SL_NOT_FOUND ||
		    !config_value_is_there(config_value_in(record, s->environment))) {
			lacks(s, sl_arena_printf(in->arena, "%s %s", config_kind_noun(kind),
						 names[i]));
		}
		sl_err_clear(err);
	}
	s->input->required += count;
	return SL_OK;
}

static bool is_whole(const Sluice__Store__V1__SourceRecord *record, uint32_t environment)
{
	const struct source_kind *kind = source_kind_of(record->kind);
	const Sluice__Store__V1__SourceSettingRecord *setting =
	    source_setting_in(record, environment);
	for (size_t i = 0; kind != NULL && i < kind->count; i++) {
		if (kind->options[i].required &&
		    source_option_in(setting, kind->options[i].name) == NULL) {
			return false;
		}
	}
	return source_setting_is_there(setting);
}

static sl_code look_for_source(struct search *s, const Sluice__V1__RequiredSource *wanted,
			       struct sl_err *err)
{
	const struct wire *in = &s->base->in;
	Sluice__Store__V1__SourceRecord *record = NULL;
	sl_code code = source_find(in->view, in->arena, in->workspace, wanted->name, &record, err);
	if (code != SL_OK && code != SL_NOT_FOUND) {
		return code;
	}
	if (code == SL_NOT_FOUND || strcmp(record->kind, wanted->kind) != 0 ||
	    !is_whole(record, s->environment)) {
		lacks(s, sl_arena_printf(in->arena, "data source %s (%s)", wanted->name,
					 wanted->kind));
	}
	sl_err_clear(err);
	s->input->required++;
	return SL_OK;
}

sl_code plan_gather_contract(const struct plan_base *base, struct plan *plan, struct sl_err *err)
{
	const Sluice__Store__V1__ContentRecord *content = plan->version->content;
	const Sluice__V1__Contract *contract = content != NULL ? content->contract : NULL;
	Sluice__Store__V1__PolicyRecord *policy = NULL;
	if (contract == NULL || plan->target == 0 || plan->target > ENV_COUNT) {
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
	struct search s = {.base = base,
			   .environment = plan->target,
			   .input = &plan->input,
			   .lacking = SL_ARENA_ARRAY(base->in.arena, const char *, LACKING_NAMED)};
	if (s.lacking == NULL) {
		return sl_err_no_memory(err);
	}
	plan->input.lacking = s.lacking;
	code = look_for_names(&s, contract->constants, contract->n_constants,
			      SLUICE__V1__CONFIG_KIND__CONFIG_KIND_GLOBAL, err);
	code = code != SL_OK ? code
			     : look_for_names(&s, contract->secrets, contract->n_secrets,
					      SLUICE__V1__CONFIG_KIND__CONFIG_KIND_SECRET, err);
	for (size_t i = 0; code == SL_OK && i < contract->n_data_sources; i++) {
		code = look_for_source(&s, contract->data_sources[i], err);
	}
	return code;
}
