#include "server/records/required.h"

#include <stdlib.h>
#include <string.h>

#include "server/rules/source_kinds.h"

#define GENERATION "config-generation" /* named value of the store: when config changed last */
#define CONSTANT SLUICE__V1__CONFIG_KIND__CONFIG_KIND_GLOBAL
#define SECRET SLUICE__V1__CONFIG_KIND__CONFIG_KIND_SECRET

/* --- when config changed ----------------------------------------------------------------- */

void required_changed(struct decision *d)
{
	decision_put_generation(d, GENERATION);
}

sl_code required_generation(const struct store_view *view, uint64_t *ret_generation,
			    struct sl_err *err)
{
	return generation_get(view, GENERATION, ret_generation, err);
}

/* --- one thing ------------------------------------------------------------------------------- */

struct search {
	const struct wire *in;
	uint32_t environment;
	required_visit *visit;
	void *ctx;
};

/* The name's record when it has a value there, else NULL. */
static sl_code find_config(const struct search *s, const char *name, Sluice__V1__ConfigKind kind,
			   const Sluice__Store__V1__ConfigNameRecord **ret_record,
			   struct sl_err *err)
{
	SL_AUTO(sl_err_clear) struct sl_err unused = SL_ERR_INIT;
	Sluice__Store__V1__ConfigNameRecord *record = NULL;
	sl_code code = config_name_find(s->in->view, s->in->arena, s->in->workspace, name, kind,
					&record, &unused);
	if (code != SL_OK && code != SL_NOT_FOUND) {
		return sl_err_set(err, code, "%s", unused.msg);
	}
	bool there =
	    code == SL_OK && config_value_is_there(config_value_in(record, s->environment));
	*ret_record = there ? record : NULL;
	return SL_OK;
}

static sl_code visit_name(const struct search *s, const char *name, Sluice__V1__ConfigKind kind,
			  struct sl_err *err)
{
	struct required_item item = {.kind = kind, .name = name, .source_kind = ""};
	sl_code code = find_config(s, name, kind, &item.config, err);
	if (code != SL_OK) {
		return code;
	}
	if (item.config != NULL) {
		item.revision = config_value_in(item.config, s->environment)->revision;
	} else {
		item.lacks = sl_arena_printf(s->in->arena, "%s %s", config_kind_noun(kind), name);
	}
	return s->visit(s->ctx, &item, err);
}

static bool has_required_options(const char *kind_name,
				 const Sluice__Store__V1__SourceSettingRecord *setting)
{
	const struct source_kind *kind = source_kind_of(kind_name);
	for (size_t i = 0; kind != NULL && i < kind->count; i++) {
		if (kind->options[i].required &&
		    source_option_in(setting, kind->options[i].name) == NULL) {
			return false;
		}
	}
	return source_setting_is_there(setting);
}

/* What a source's options refer to is there, and not empty. */
static sl_code follow_refs(const struct search *s, struct required_item *item,
			   const Sluice__Store__V1__SourceSettingRecord *setting,
			   const char **ret_why, struct sl_err *err)
{
	uint64_t generation = 0;
	sl_code code =
	    setting->refs_noted ? SL_OK : required_generation(s->in->view, &generation, err);
	item->revision = setting->revision > generation ? setting->revision : generation;
	for (size_t i = 0; code == SL_OK && i < setting->n_refs; i++) {
		const Sluice__Store__V1__ConfigRefRecord *ref = setting->refs[i];
		Sluice__V1__ConfigKind kind = ref->secret ? SECRET : CONSTANT;
		const Sluice__Store__V1__ConfigNameRecord *record = NULL;
		code = find_config(s, ref->name, kind, &record, err);
		const Sluice__Store__V1__ConfigValueRecord *value =
		    record != NULL ? config_value_in(record, s->environment) : NULL;
		bool empty =
		    value != NULL && value->state == SLUICE__V1__CONFIG_STATE__CONFIG_STATE_EMPTY;
		if (code == SL_OK && (value == NULL || empty) && *ret_why == NULL) {
			*ret_why =
			    sl_arena_printf(s->in->arena, ": %s %s is %s", config_kind_noun(kind),
					    ref->name, empty ? "empty" : "unset");
		}
		if (value != NULL && value->revision > item->revision) {
			item->revision = value->revision;
		}
	}
	return code;
}

static sl_code find_source(const struct search *s, struct required_item *item, const char **ret_why,
			   struct sl_err *err)
{
	SL_AUTO(sl_err_clear) struct sl_err unused = SL_ERR_INIT;
	Sluice__Store__V1__SourceRecord *record = NULL;
	sl_code code =
	    source_find(s->in->view, s->in->arena, s->in->workspace, item->name, &record, &unused);
	if (code != SL_OK && code != SL_NOT_FOUND) {
		return sl_err_set(err, code, "%s", unused.msg);
	}
	*ret_why = "";
	if (code == SL_NOT_FOUND || strcmp(record->kind, item->source_kind) != 0) {
		return SL_OK;
	}
	const Sluice__Store__V1__SourceSettingRecord *setting =
	    source_setting_in(record, s->environment);
	item->found = record;
	if (!has_required_options(record->kind, setting)) {
		return SL_OK;
	}
	*ret_why = NULL;
	code = follow_refs(s, item, setting, ret_why, err);
	item->source = code == SL_OK && *ret_why == NULL ? record : NULL;
	return code;
}

static sl_code visit_source(const struct search *s, const Sluice__V1__RequiredSource *wanted,
			    struct sl_err *err)
{
	struct required_item item = {.name = wanted->name, .source_kind = wanted->kind};
	const char *why = NULL;
	sl_code code = find_source(s, &item, &why, err);
	if (code != SL_OK) {
		return code;
	}
	if (item.source == NULL) {
		item.lacks = sl_arena_printf(s->in->arena, "data source %s (%s)%s", wanted->name,
					     wanted->kind, why != NULL ? why : "");
	}
	return s->visit(s->ctx, &item, err);
}

sl_code required_each(const struct wire *in, const Sluice__V1__Contract *contract,
		      uint32_t environment, required_visit *visit, void *ctx, struct sl_err *err)
{
	const struct search s = {.in = in, .environment = environment, .visit = visit, .ctx = ctx};
	sl_code code = SL_OK;
	for (size_t i = 0; code == SL_OK && i < contract->n_constants; i++) {
		code = visit_name(&s, contract->constants[i], CONSTANT, err);
	}
	for (size_t i = 0; code == SL_OK && i < contract->n_secrets; i++) {
		code = visit_name(&s, contract->secrets[i], SECRET, err);
	}
	for (size_t i = 0; code == SL_OK && i < contract->n_data_sources; i++) {
		code = visit_source(&s, contract->data_sources[i], err);
	}
	return code == SL_OK && sl_arena_failed(in->arena) ? sl_err_no_memory(err) : code;
}

/* --- stamps --- */

void required_stamp_add(struct sl_hasher *hasher, const struct required_item *item)
{
	uint8_t head[9] = {(uint8_t)item->kind};
	if (item->lacks != NULL) {
		return;
	}
	sl_put_be64(head + 1, item->revision);
	sl_hasher_add(hasher, head, sizeof(head));
	sl_hasher_add(hasher, item->name, strlen(item->name) + 1);
	sl_hasher_add(hasher, item->source_kind, strlen(item->source_kind) + 1);
}

static sl_code stamp_item(void *ctx, const struct required_item *item, struct sl_err *err)
{
	(void)err;
	required_stamp_add(ctx, item);
	return SL_OK;
}

sl_code required_stamp(const struct wire *in, const Sluice__V1__Contract *contract,
		       uint32_t environment, uint8_t out[static SL_HASH_BYTES], struct sl_err *err)
{
	struct sl_hasher hasher;
	sl_hasher_init(&hasher);
	sl_code code = required_each(in, contract, environment, stamp_item, &hasher, err);
	if (code == SL_OK) {
		sl_hasher_end(&hasher, out);
	}
	return code;
}

/* --- many contracts --- */

static int compare_names(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static int compare_sources(const void *a, const void *b)
{
	const Sluice__V1__RequiredSource *left = *(Sluice__V1__RequiredSource *const *)a;
	const Sluice__V1__RequiredSource *right = *(Sluice__V1__RequiredSource *const *)b;
	int order = strcmp(left->name, right->name);
	return order != 0 ? order : strcmp(left->kind, right->kind);
}

/* Adds what `more` has to a sorted list of pointers, each once. */
static bool merge(struct sl_arena *arena, void ***items, size_t *count, void *const *more,
		  size_t more_count, int (*compare)(const void *, const void *))
{
	void **all = SL_ARENA_ARRAY(arena, void *, *count + more_count + 1);
	size_t size = 0;
	if (all == NULL) {
		return false;
	}
	for (size_t i = 0; i < *count + more_count; i++) {
		all[i] = i < *count ? (*items)[i] : more[i - *count];
	}
	qsort(all, *count + more_count, sizeof(*all), compare);
	for (size_t i = 0; i < *count + more_count; i++) {
		if (size == 0 || compare(&all[size - 1], &all[i]) != 0) {
			all[size++] = all[i];
		}
	}
	*items = all;
	*count = size;
	return true;
}

#define MERGE(arena, to, from, list, compare)                                                      \
	merge((arena), (void ***)&(to)->list, &(to)->n_##list, (void *const *)(from)->list,        \
	      (from)->n_##list, (compare))

sl_code required_union(struct sl_arena *arena, const struct sl_bytes *contracts, size_t count,
		       Sluice__V1__Contract **ret_contract, struct sl_err *err)
{
	Sluice__V1__Contract *all = SL_ARENA_NEW(arena, Sluice__V1__Contract);
	if (all == NULL) {
		return sl_err_no_memory(err);
	}
	sluice__v1__contract__init(all);
	for (size_t i = 0; i < count; i++) {
		Sluice__V1__Contract *one = NULL;
		sl_code code = record_unpack(arena, contracts[i], &sluice__v1__contract__descriptor,
					     &one, err);
		if (code != SL_OK) {
			return code;
		}
		if (!MERGE(arena, all, one, constants, compare_names) ||
		    !MERGE(arena, all, one, secrets, compare_names) ||
		    !MERGE(arena, all, one, data_sources, compare_sources)) {
			return sl_err_no_memory(err);
		}
	}
	*ret_contract = all;
	return SL_OK;
}
