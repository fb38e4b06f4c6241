#include "server/records/entries.h"

#include <stdlib.h>

#include "base/mem/own.h"
#include "server/records/versions.h"
#include "server/records/wire.h"

enum { ROW_BYTES = 8 + 4, COUNT_BYTES = 4 };

struct record_key entry_key(uint32_t workspace, const char *app_id, uint32_t environment,
			    uint64_t revision, uint32_t number)
{
	return KEY(workspace, key_text(k, app_id), key_u32(k, environment), key_u64(k, revision),
		   key_u32(k, number));
}

/* Development: nobody asks how many, which the app's record knows. */
static void put_row(struct decision *d, const struct record_key *key, uint32_t environment,
		    uint32_t count)
{
	uint8_t value[COUNT_BYTES];
	sl_put_be32(value, count);
	decision_put_bytes(d, TABLE_ENTRIES, key,
			   SL_BYTES(value, environment == ENV_DEVELOPMENT ? 0 : sizeof(value)));
}

sl_code entry_put(struct decision *d, const Sluice__Store__V1__VersionRecord *version,
		  uint32_t environment, struct sl_err *err)
{
	uint32_t before = 0;
	sl_code code =
	    environment == ENV_DEVELOPMENT
		? SL_OK
		: entries_count(d->view, d->workspace, version->app_id, environment, &before, err);
	if (code == SL_OK) {
		struct record_key key = entry_key(d->workspace, version->app_id, environment,
						  d->revision, version->number);
		put_row(d, &key, environment, before + 1);
	}
	return code;
}

void entry_delete(struct decision *d, const Sluice__Store__V1__VersionRecord *version)
{
	struct record_key key = entry_key(d->workspace, version->app_id, version->environment,
					  version->entered_revision, version->number);
	decision_delete(d, TABLE_ENTRIES, &key);
}

/* --- the walk ------------------------------------------------------------------------ */

void entries_begin(struct entries *entries, const struct store_view *view, uint32_t workspace,
		   const char *app_id, uint32_t environment)
{
	struct record_key prefix = KEY(workspace, key_text(k, app_id), key_u32(k, environment));
	*entries = (struct entries){.prefix_size = prefix.size};
	store_walk_begin(&entries->walk, view, TABLE_ENTRIES, key_bytes(&prefix), STORE_BACKWARD);
}

bool entries_next(struct entries *entries)
{
	if (entries->malformed || !store_walk_next(&entries->walk)) {
		return false;
	}
	struct sl_bytes key = entries->walk.key;
	entries->malformed = key.size != entries->prefix_size + ROW_BYTES;
	if (!entries->malformed) {
		entries->revision = sl_get_be64(key.data + entries->prefix_size);
		entries->number = sl_get_be32(key.data + entries->prefix_size + 8);
		entries->count = entries->walk.value.size == COUNT_BYTES
				     ? sl_get_be32(entries->walk.value.data)
				     : 0;
	}
	return !entries->malformed;
}

sl_code entries_result(struct entries *entries, struct sl_err *err)
{
	return entries->malformed ? sl_err_set(err, SL_DATA_LOSS, "a row of entries is malformed")
				  : store_walk_result(&entries->walk, err);
}

void entries_end(struct entries *entries)
{
	store_walk_end(&entries->walk);
}

sl_code entries_count(const struct store_view *view, uint32_t workspace, const char *app_id,
		      uint32_t environment, uint32_t *ret_count, struct sl_err *err)
{
	SL_AUTO(entries_end) struct entries newest;
	entries_begin(&newest, view, workspace, app_id, environment);
	*ret_count = entries_next(&newest) ? newest.count : 0;
	return entries_result(&newest, err);
}

/* --- stores of before ------------------------------------------------------------------- */

/* Facts are sorted by version: what came to one environment has to be sorted by when. */
struct coming {
	uint64_t revision;
	uint32_t number;
};

static int compare(const void *a, const void *b)
{
	const struct coming *x = a, *y = b;
	if (x->revision != y->revision) {
		return x->revision < y->revision ? -1 : 1;
	}
	return x->number < y->number ? -1 : x->number > y->number;
}

static sl_code add_coming(struct decision *d, const Sluice__Store__V1__VersionRecord *version,
			  uint32_t environment, struct coming *list, size_t *count,
			  struct sl_err *err)
{
	struct wire wire = wire_of(d);
	Sluice__Store__V1__FactsRecord *facts = NULL;
	sl_code code = version->environment < environment
			   ? SL_NOT_FOUND
			   : facts_get(&wire, version, environment, &facts, err);
	if (code == SL_OK) {
		list[(*count)++] =
		    (struct coming){.revision = facts->entered_revision, .number = version->number};
	}
	return code == SL_NOT_FOUND ? SL_OK : code;
}

static sl_code index_environment(struct decision *d, const Sluice__Store__V1__AppRecord *app,
				 uint32_t environment, struct sl_err *err)
{
	struct record_key prefix = KEY(d->workspace, key_text(k, app->id));
	struct coming *list = SL_ARENA_ARRAY(d->arena, struct coming, app->version_count + 1);
	size_t count = 0;
	SL_AUTO(store_walk_end) struct store_walk walk;
	store_walk_begin(&walk, d->view, TABLE_VERSIONS, key_bytes(&prefix), STORE_FORWARD);
	while (list != NULL && count < app->version_count && store_walk_next(&walk)) {
		Sluice__Store__V1__VersionRecord *version = NULL;
		sl_code code =
		    record_unpack(d->arena, walk.value,
				  &sluice__store__v1__version_record__descriptor, &version, err);
		code =
		    code != SL_OK ? code : add_coming(d, version, environment, list, &count, err);
		if (code != SL_OK) {
			return code;
		}
	}
	if (count > 1) {
		qsort(list, count, sizeof(*list), compare);
	}
	for (uint32_t i = 0; i < count; i++) {
		struct record_key key =
		    entry_key(d->workspace, app->id, environment, list[i].revision, list[i].number);
		put_row(d, &key, environment, i + 1);
	}
	return list == NULL ? sl_err_no_memory(err) : store_walk_result(&walk, err);
}

bool entries_are_indexed(const struct store_view *view)
{
	return table_has_rows(view, TABLE_ENTRIES);
}

sl_code entries_index_all(struct decision *d, struct sl_err *err)
{
	if (entries_are_indexed(d->view)) {
		return SL_OK;
	}
	SL_AUTO(store_walk_end) struct store_walk walk;
	store_walk_begin(&walk, d->view, TABLE_APPS, SL_BYTES_NONE, STORE_FORWARD);
	while (store_walk_next(&walk)) {
		Sluice__Store__V1__AppRecord *app = NULL;
		sl_code code = record_unpack(d->arena, walk.value,
					     &sluice__store__v1__app_record__descriptor, &app, err);
		d->workspace = sl_get_be32(walk.key.data);
		for (uint32_t n = 1; code == SL_OK && n <= ENV_COUNT; n++) {
			code = index_environment(d, app, n, err);
		}
		if (code != SL_OK) {
			return code;
		}
	}
	return store_walk_result(&walk, err);
}
