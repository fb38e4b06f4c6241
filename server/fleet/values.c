/* What the bundles that instances keep require of their environment: which names, and a stamp over
 * what is set. Computed once for an app and environment, and again when config changed that it
 * requires. */
#include <stdlib.h>
#include <string.h>

#include "base/mem/own.h"
#include "base/pb/pb.h"
#include "server/fleet/fleet_internal.h"
#include "server/records/required.h"

enum { NEEDS_ALL = 0 }; /* a hash that stands for any name */

struct fleet_values *fleet_values_ref(struct fleet_values *values)
{
	if (values != NULL) {
		values->refs++;
	}
	return values;
}

void fleet_values_unref(struct fleet_values *values)
{
	if (values != NULL && --values->refs == 0) {
		free(values->needs);
		free(values->error);
		free(values);
	}
}

/* --- names ----------------------------------------------------------------------------------- */

static uint64_t hash_name(bool source, const char *name)
{
	uint64_t hash = source ? 14695981039346656037u : 14695981039346656036u;
	for (; *name != '\0'; name++) {
		hash = (hash ^ (uint8_t)*name) * 1099511628211u;
	}
	return hash == NEEDS_ALL ? 1 : hash;
}

static int compare_hashes(const void *a, const void *b)
{
	uint64_t left = *(const uint64_t *)a, right = *(const uint64_t *)b;
	return left < right ? -1 : left > right;
}

static bool needs(const struct fleet_values *values, uint64_t hash)
{
	static const uint64_t all = NEEDS_ALL;
	return values != NULL && values->need_count > 0 &&
	       (bsearch(&hash, values->needs, values->need_count, sizeof(hash), compare_hashes) !=
		    NULL ||
		values->needs[0] == all);
}

static bool app_needs(const struct fleet_app *app, uint32_t environment, uint64_t hash)
{
	for (uint32_t i = 1; i <= ENV_COUNT; i++) {
		if ((environment == 0 || environment == i) && app->entries[i] != NULL &&
		    needs(app->entries[i]->values, hash)) {
			return true;
		}
	}
	for (size_t i = 0; i < app->pin_count; i++) {
		if (app->pins[i].entry != NULL && needs(app->pins[i].entry->values, hash)) {
			return true;
		}
	}
	return false;
}

void fleet_apps_touch_config(struct fleet *fleet, uint32_t workspace, uint32_t environment,
			     bool source, const char *name)
{
	uint64_t hash = hash_name(source, name);
	for (size_t i = 0; i < FLEET_APP_BUCKETS; i++) {
		struct fleet_app *app = NULL;
		SLIST_FOREACH(app, &fleet->apps[i], link)
		{
			if (app->workspace == workspace && app_needs(app, environment, hash)) {
				(void)fleet_app_touch(fleet, workspace, app->id);
			}
		}
	}
}

/* --- computing --- */

struct computing {
	uint32_t environment;
	struct sl_hasher stamp;
	struct sl_buf needs; /* hashes */
};

static void add_need(struct computing *c, uint64_t hash)
{
	sl_buf_append(&c->needs, &hash, sizeof(hash));
}

/* A source that is not whole is not given, but its references are known all the same. */
static void add_refs(struct computing *c, const Sluice__Store__V1__SourceRecord *source)
{
	const Sluice__Store__V1__SourceSettingRecord *setting =
	    source != NULL ? source_setting_in(source, c->environment) : NULL;
	if (setting != NULL && source_setting_is_there(setting) && !setting->refs_noted) {
		add_need(c, NEEDS_ALL);
	}
	for (size_t i = 0; setting != NULL && i < setting->n_refs; i++) {
		add_need(c, hash_name(false, setting->refs[i]->name));
	}
}

static sl_code add_item(void *ctx, const struct required_item *item, struct sl_err *err)
{
	struct computing *c = ctx;
	(void)err;
	required_stamp_add(&c->stamp, item);
	add_need(c, hash_name(item->kind == SLUICE__V1__CONFIG_KIND__CONFIG_KIND_UNSPECIFIED,
			      item->name));
	add_refs(c, item->found);
	return SL_OK;
}

static sl_code compute(const struct wire *in, uint32_t environment,
		       const struct sl_bytes *contracts, size_t count,
		       struct fleet_values **ret_values, struct sl_err *err)
{
	SL_AUTO(sl_buf_fini) struct sl_buf needs = {0};
	Sluice__V1__Contract *required = NULL;
	struct computing c = {.environment = environment};
	sl_hasher_init(&c.stamp);
	sl_code code = required_union(in->arena, contracts, count, &required, err);
	code = code != SL_OK ? code : required_each(in, required, environment, add_item, &c, err);
	needs = c.needs; /* owned here */
	if (code != SL_OK) {
		return code;
	}
	struct sl_bytes packed = pb_pack(in->arena, &required->base);
	struct fleet_values *values = calloc(1, sizeof(*values) + packed.size);
	if (values == NULL || needs.failed || sl_arena_failed(in->arena)) {
		free(values);
		return sl_err_no_memory(err);
	}
	values->refs = 1;
	sl_hasher_end(&c.stamp, values->stamp);
	values->size = packed.size;
	memcpy(values->required, packed.data, packed.size);
	values->need_count = needs.size / sizeof(uint64_t);
	values->needs = (uint64_t *)(void *)needs.data;
	needs = (struct sl_buf){0};
	if (values->need_count > 1) {
		qsort(values->needs, values->need_count, sizeof(uint64_t), compare_hashes);
	}
	*ret_values = values;
	return SL_OK;
}

static sl_code key_for(const struct wire *in, uint32_t environment,
		       const struct sl_bytes *contracts, size_t count,
		       uint8_t key[static FLEET_CORE_BYTES], struct sl_err *err)
{
	uint8_t hash[SL_HASH_BYTES];
	uint64_t words[2] = {environment};
	struct sl_hasher hasher;
	sl_code code = required_generation(in->view, &words[1], err);
	sl_hasher_init(&hasher);
	sl_hasher_add(&hasher, words, sizeof(words));
	for (size_t i = 0; i < count; i++) {
		sl_hasher_add(&hasher, &contracts[i].size, sizeof(contracts[i].size));
		sl_hasher_add(&hasher, contracts[i].data, contracts[i].size);
	}
	sl_hasher_end(&hasher, hash);
	memcpy(key, hash, FLEET_CORE_BYTES);
	return code;
}

sl_code fleet_values_of(const struct wire *in, uint32_t environment,
			const struct sl_bytes *contracts, size_t count, struct fleet_values *old,
			struct fleet_values **ret_values, struct sl_err *err)
{
	uint8_t key[FLEET_CORE_BYTES];
	*ret_values = NULL;
	if (count == 0) {
		return SL_OK;
	}
	sl_code code = key_for(in, environment, contracts, count, key, err);
	if (code == SL_OK && old != NULL && memcmp(old->key, key, FLEET_CORE_BYTES) == 0) {
		*ret_values = fleet_values_ref(old);
		return SL_OK;
	}
	code = code != SL_OK ? code : compute(in, environment, contracts, count, ret_values, err);
	if (code == SL_OK) {
		memcpy((*ret_values)->key, key, FLEET_CORE_BYTES);
	}
	return code;
}
