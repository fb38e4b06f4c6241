#include "server/records/statuses.h"

#include <string.h>

#include "base/mem/own.h"

static struct record_key status_key(uint32_t workspace, const char *instance_id, const char *app_id)
{
	return KEY(workspace, key_text(k, instance_id), key_text(k, app_id));
}

static struct record_key row_key(uint32_t workspace, const char *instance_id, const char *app_id)
{
	return KEY(workspace, key_text(k, app_id), key_text(k, instance_id));
}

sl_code status_get(const struct store_view *view, struct sl_arena *arena, uint32_t workspace,
		   const char *instance_id, const char *app_id,
		   Sluice__Store__V1__StatusRecord **ret_status, struct sl_err *err)
{
	struct record_key key = status_key(workspace, instance_id, app_id);
	return record_get(view, arena, TABLE_STATUSES, &key,
			  &sluice__store__v1__status_record__descriptor, ret_status, err);
}

static void put_row(struct decision *d, const char *instance_id, const char *app_id)
{
	struct record_key row = row_key(d->workspace, instance_id, app_id);
	decision_put_bytes(d, TABLE_STATUSES_BY_APP, &row, SL_BYTES("", 0));
}

void status_put(struct decision *d, const char *instance_id, const char *app_id, bool stored,
		const Sluice__Store__V1__StatusRecord *status)
{
	struct record_key key = status_key(d->workspace, instance_id, app_id);
	decision_put(d, TABLE_STATUSES, &key, &status->base);
	if (!stored) {
		put_row(d, instance_id, app_id);
	}
}

void status_delete(struct decision *d, const char *instance_id, const char *app_id)
{
	struct record_key key = status_key(d->workspace, instance_id, app_id);
	struct record_key row = row_key(d->workspace, instance_id, app_id);
	decision_delete(d, TABLE_STATUSES, &key);
	decision_delete(d, TABLE_STATUSES_BY_APP, &row);
}

/* --- the walk ------------------------------------------------------------------------ */

void app_statuses_begin(struct app_statuses *statuses, const struct store_view *view,
			uint32_t workspace, const char *app_id)
{
	struct record_key prefix = KEY(workspace, key_text(k, app_id));
	*statuses = (struct app_statuses){.prefix_size = prefix.size};
	store_walk_begin(&statuses->walk, view, TABLE_STATUSES_BY_APP, key_bytes(&prefix),
			 STORE_FORWARD);
}

bool app_statuses_next(struct app_statuses *statuses)
{
	if (statuses->malformed || !store_walk_next(&statuses->walk)) {
		return false;
	}
	struct sl_bytes key = statuses->walk.key;
	statuses->malformed = key.size <= statuses->prefix_size || key.data[key.size - 1] != '\0';
	statuses->instance_id = (const char *)key.data + statuses->prefix_size;
	return !statuses->malformed;
}

sl_code app_statuses_result(struct app_statuses *statuses, struct sl_err *err)
{
	return statuses->malformed
		   ? sl_err_set(err, SL_DATA_LOSS, "a row of statuses_by_app is malformed")
		   : store_walk_result(&statuses->walk, err);
}

void app_statuses_end(struct app_statuses *statuses)
{
	store_walk_end(&statuses->walk);
}

/* --- stores of before ------------------------------------------------------------------- */

bool statuses_are_indexed(const struct store_view *view)
{
	return table_has_rows(view, TABLE_STATUSES_BY_APP);
}

static bool index_one(struct decision *d, struct sl_bytes key)
{
	const char *instance_id = (const char *)key.data + 4;
	size_t size = key.size < 4 ? 0 : strnlen(instance_id, key.size - 4);
	if (size + 6 > key.size || key.data[key.size - 1] != '\0') {
		return false;
	}
	d->workspace = sl_get_be32(key.data);
	put_row(d, instance_id, instance_id + size + 1);
	return true;
}

sl_code statuses_index_all(struct decision *d, struct sl_err *err)
{
	if (statuses_are_indexed(d->view)) {
		return SL_OK;
	}
	SL_AUTO(store_walk_end) struct store_walk walk;
	store_walk_begin(&walk, d->view, TABLE_STATUSES, SL_BYTES_NONE, STORE_FORWARD);
	while (store_walk_next(&walk)) {
		if (!index_one(d, walk.key)) {
			return sl_err_set(err, SL_DATA_LOSS, "a key of statuses is malformed");
		}
	}
	return store_walk_result(&walk, err);
}
