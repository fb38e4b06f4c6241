/* What a data source's options refer to: noted when they are set, replaced when they are used. */
#include <string.h>

#include "base/mem/own.h"
#include "base/template/template.h"
#include "server/settings/sources_internal.h"

/* --- noting -------------------------------------------------------------------------------- */

struct ref_list {
	struct decision *d;
	Sluice__Store__V1__SourceSettingRecord *setting;
	size_t room;
};

static int compare_refs(const Sluice__Store__V1__ConfigRefRecord *ref, bool secret,
			const char *name)
{
	return ref->secret != secret ? (ref->secret ? 1 : -1) : strcmp(ref->name, name);
}

static bool insert_ref(struct ref_list *list, size_t at, bool secret, const char *name)
{
	Sluice__Store__V1__SourceSettingRecord *setting = list->setting;
	Sluice__Store__V1__ConfigRefRecord *ref =
	    SL_ARENA_NEW(list->d->arena, Sluice__Store__V1__ConfigRefRecord);
	if (setting->n_refs == list->room) {
		size_t room = list->room == 0 ? 8 : 2 * list->room;
		void *refs = SL_ARENA_ARRAY(list->d->arena, void *, room);
		if (refs != NULL && setting->n_refs > 0) {
			memcpy(refs, setting->refs, setting->n_refs * sizeof(void *));
		}
		setting->refs = refs;
		list->room = room;
	}
	if (ref == NULL || setting->refs == NULL) {
		return false;
	}
	sluice__store__v1__config_ref_record__init(ref);
	ref->name = sl_arena_strdup(list->d->arena, name);
	ref->secret = secret;
	memmove(&setting->refs[at + 1], &setting->refs[at],
		(setting->n_refs++ - at) * sizeof(void *));
	setting->refs[at] = ref;
	return true;
}

static enum template_fault note_ref(void *ctx, const struct template_ref *ref,
				    const char **ret_value)
{
	struct ref_list *list = ctx;
	bool secret = ref->space == TEMPLATE_SECRET;
	size_t at = 0;
	int order = 1;
	(void)ret_value;
	while (at < list->setting->n_refs &&
	       (order = compare_refs(list->setting->refs[at], secret, ref->name)) < 0) {
		at++;
	}
	bool known = at < list->setting->n_refs && order == 0;
	return known || insert_ref(list, at, secret, ref->name) ? TEMPLATE_FINE : TEMPLATE_NOT_HERE;
}

sl_code source_note_refs(struct decision *d, Sluice__Store__V1__SourceSettingRecord *setting,
			 const struct source_change *options, size_t count, struct sl_err *err)
{
	struct ref_list list = {.d = d, .setting = setting};
	sl_code code = SL_OK;
	setting->n_refs = 0;
	setting->refs_noted = true;
	for (size_t i = 0; code == SL_OK && i < count; i++) {
		const struct template value = {.text = sl_bytes_text(options[i].value),
					       .format = TEMPLATE_PLAIN,
					       .look_up = note_ref,
					       .ctx = &list};
		code = template_check(&value, NULL, err);
	}
	return code;
}

/* --- replacing ------------------------------------------------------------------------------- */

struct resolving {
	struct vault *vault;
	const struct wire *in;
	uint32_t environment;
	char *value;  /* of the last reference; owned */
	sl_code code; /* of what is no matter of what is set */
	struct sl_err *err;
};

static enum template_fault look_up(void *ctx, const struct template_ref *ref,
				   const char **ret_value)
{
	struct resolving *r = ctx;
	Sluice__Store__V1__ConfigNameRecord *record = NULL;
	Sluice__V1__ConfigKind kind = ref->space == TEMPLATE_SECRET
					  ? SLUICE__V1__CONFIG_KIND__CONFIG_KIND_SECRET
					  : SLUICE__V1__CONFIG_KIND__CONFIG_KIND_GLOBAL;
	sl_secret_free(SL_TAKE(r->value));
	sl_code code = config_name_find(r->in->view, r->in->arena, r->in->workspace, ref->name,
					kind, &record, r->err);
	code = code != SL_OK ? code
			     : settings_open(r->vault, r->in->view, r->in->workspace, record,
					     r->environment, &r->value, r->err);
	if (code != SL_OK) {
		r->code = code == SL_NOT_FOUND ? SL_OK : code;
		return TEMPLATE_UNSET;
	}
	*ret_value = r->value;
	return r->value[0] == '\0' ? TEMPLATE_EMPTY : TEMPLATE_FINE;
}

/* Appends name and value. */
static bool append_pair(struct source_values *to, const char *name, const char *value, size_t size)
{
	size_t name_size = strlen(name) + 1;
	char *grown = sl_secret_new(to->size + name_size + size + 1);
	if (grown == NULL) {
		return false;
	}
	memcpy(grown, to->packed != NULL ? to->packed : "", to->size);
	memcpy(grown + to->size, name, name_size);
	memcpy(grown + to->size + name_size, value, size);
	sl_secret_free(to->packed);
	to->packed = grown;
	to->size += name_size + size + 1;
	return true;
}

static sl_code resolve_option(struct resolving *r, const char *name, const char *text,
			      struct source_values *to, struct sl_err *err)
{
	SL_AUTO(sl_secret_text_auto) char *value = NULL;
	size_t size = 0;
	const struct template option = {
	    .text = sl_bytes_text(text), .format = TEMPLATE_PLAIN, .look_up = look_up, .ctx = r};
	sl_code code = template_render(&option, &value, &size, NULL, err);
	sl_secret_free(SL_TAKE(r->value));
	if (r->code != SL_OK) {
		return sl_err_set(err, r->code, "option '%.60s': %s", name, r->err->msg);
	}
	if (code != SL_OK) {
		(void)sl_err_wrap(err, "option '%.60s'", name);
		return code == SL_FAILED_PRECONDITION ? SL_NOT_FOUND : code;
	}
	return append_pair(to, name, value, size) ? SL_OK : sl_err_no_memory(err);
}

static bool refers(const struct source_values *set)
{
	const char *name = NULL, *value = NULL;
	bool found = false;
	for (size_t at = 0; !found && source_values_next(set, &at, &name, &value);) {
		found = strstr(value, "{{") != NULL;
	}
	return found;
}

static bool is_wanted(const struct source_names *only, const char *name)
{
	bool wanted = only == NULL;
	for (size_t i = 0; only != NULL && i < only->count; i++) {
		wanted = wanted || strcmp(only->names[i], name) == 0;
	}
	return wanted;
}

sl_code sources_resolve(struct vault *vault, const struct wire *in,
			const Sluice__Store__V1__SourceRecord *record, uint32_t environment,
			struct source_values *ret_values, struct sl_err *err)
{
	return sources_resolve_some(vault, in, record, environment, NULL, ret_values, err);
}

sl_code sources_resolve_some(struct vault *vault, const struct wire *in,
			     const Sluice__Store__V1__SourceRecord *record, uint32_t environment,
			     const struct source_names *only, struct source_values *ret_values,
			     struct sl_err *err)
{
	SL_AUTO(sl_err_clear) struct sl_err inner = SL_ERR_INIT;
	SL_AUTO(source_values_fini) struct source_values set = {.packed = NULL};
	SL_AUTO(source_values_fini) struct source_values made = {.packed = NULL};
	struct resolving r = {.vault = vault, .in = in, .environment = environment, .err = &inner};
	sl_code code = sources_open(vault, in->view, in->workspace, record, environment, &set, err);
	if (code == SL_OK && !refers(&set)) {
		*ret_values = set;
		set = (struct source_values){.packed = NULL};
		return SL_OK;
	}
	const char *name = NULL, *value = NULL;
	for (size_t at = 0; code == SL_OK && source_values_next(&set, &at, &name, &value);) {
		code = is_wanted(only, name) ? resolve_option(&r, name, value, &made, err) : SL_OK;
	}
	if (code == SL_OK) {
		*ret_values = made;
		made = (struct source_values){.packed = NULL};
	}
	return code;
}
