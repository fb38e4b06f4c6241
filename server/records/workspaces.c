#include "server/records/workspaces.h"

#include <string.h>

#include "server/records/wire.h"

static struct sl_bytes name_key(const char *name)
{
	return SL_BYTES(name, strlen(name) + 1);
}

sl_code workspace_get(const struct store_view *view, struct sl_arena *arena, const char *name,
		      Sluice__Store__V1__WorkspaceRecord **ret_workspace, struct sl_err *err)
{
	struct sl_bytes value;
	sl_code code = strlen(name) > 50
			   ? SL_NOT_FOUND
			   : store_get(view, TABLE_WORKSPACES, name_key(name), &value, err);
	if (code == SL_NOT_FOUND) {
		return sl_err_because(err, SL_NOT_FOUND, SL_REASON_WORKSPACE_NOT_FOUND,
				      "no workspace '%.60s'", name);
	}
	return code != SL_OK
		   ? code
		   : record_unpack(arena, value, &sluice__store__v1__workspace_record__descriptor,
				   ret_workspace, err);
}

sl_code workspace_name(const struct store_view *view, struct sl_arena *arena, uint32_t number,
		       char **ret_name, struct sl_err *err)
{
	struct record_key key = key_of(number);
	struct sl_bytes name;
	sl_code code = store_get(view, TABLE_WORKSPACE_NUMBERS, key_bytes(&key), &name, err);
	if (code == SL_OK) {
		*ret_name = sl_arena_printf(arena, "%.*s", (int)name.size, (const char *)name.data);
		return *ret_name == NULL ? sl_err_no_memory(err) : SL_OK;
	}
	return code;
}

/* Numbers are never used again: the number table keeps those of removed workspaces. */
static sl_code next_number(const struct decision *d, uint32_t *ret_number, struct sl_err *err)
{
	SL_AUTO(store_walk_end) struct store_walk walk;
	store_walk_begin(&walk, d->view, TABLE_WORKSPACE_NUMBERS, SL_BYTES_NONE, STORE_BACKWARD);
	*ret_number = store_walk_next(&walk) ? sl_get_be32(walk.key.data) + 1 : 1;
	return store_walk_result(&walk, err);
}

static void workspace_event(struct decision *d, Sluice__V1__EventType type,
			    const Sluice__Store__V1__WorkspaceRecord *record)
{
	Sluice__V1__Event *event =
	    decision_event(d, type, SLUICE__V1__EVENT_KIND__EVENT_KIND_WORKSPACE, NULL, 0, NULL);
	event->object_case = SLUICE__V1__EVENT__OBJECT_WORKSPACE;
	event->workspace = wire_workspace(d->arena, record);
}

sl_code workspaces_create(struct decision *d, const char *name,
			  Sluice__Store__V1__WorkspaceRecord **ret_workspace, struct sl_err *err)
{
	struct sl_bytes taken;
	uint32_t number = 0;
	sl_code code = decision_expect_none(d, err);
	code = code != SL_OK ? code
			     : store_get(d->view, TABLE_WORKSPACES, name_key(name), &taken, err);
	if (code == SL_OK) {
		return sl_err_because(err, SL_ALREADY_EXISTS, SL_REASON_NAME_TAKEN,
				      "a workspace '%s' exists", name);
	}
	code = code != SL_NOT_FOUND ? code : next_number(d, &number, err);
	if (code != SL_OK) {
		return code;
	}
	Sluice__Store__V1__WorkspaceRecord *record =
	    SL_ARENA_NEW(d->arena, Sluice__Store__V1__WorkspaceRecord);
	if (record == NULL) {
		return sl_err_no_memory(err);
	}
	sluice__store__v1__workspace_record__init(record);
	record->number = number;
	record->name = sl_arena_strdup(d->arena, name);
	record->created_ms = d->now_ms;
	record->created_by = (char *)d->principal;
	record->revision = d->revision;

	struct record_key by_number = key_of(number);
	struct record_key by_name = {.size = 0};
	key_text(&by_name, name);
	decision_put(d, TABLE_WORKSPACES, &by_name, &record->base);
	decision_put_bytes(d, TABLE_WORKSPACE_NUMBERS, &by_number, name_key(name));
	d->workspace = number;
	workspace_event(d, SLUICE__V1__EVENT_TYPE__EVENT_TYPE_CREATED, record);
	*ret_workspace = record;
	return SL_OK;
}

static sl_code refuse_if_any(const struct decision *d, enum record_table table, uint32_t workspace,
			     const char *name, const char *what, struct sl_err *err)
{
	SL_AUTO(store_walk_end) struct store_walk walk;
	struct record_key prefix = key_of(workspace);
	store_walk_begin(&walk, d->view, table, key_bytes(&prefix), STORE_FORWARD);
	if (store_walk_next(&walk)) {
		return sl_err_because(err, SL_FAILED_PRECONDITION, SL_REASON_WORKSPACE_IN_USE,
				      "workspace '%s' still has %s: remove them first", name, what);
	}
	return store_walk_result(&walk, err);
}

static sl_code delete_keys(struct decision *d, uint32_t number, struct sl_err *err)
{
	struct record_key prefix = key_of(number);
	SL_AUTO(store_walk_end) struct store_walk walk;
	store_walk_begin(&walk, d->view, TABLE_WORKSPACE_KEYS, key_bytes(&prefix), STORE_FORWARD);
	while (store_walk_next(&walk)) {
		struct record_key key = KEY(number, key_u32(k, sl_get_be32(walk.key.data + 4)));
		decision_delete(d, TABLE_WORKSPACE_KEYS, &key);
	}
	return store_walk_result(&walk, err);
}

sl_code workspaces_delete(struct decision *d, const char *name, struct sl_err *err)
{
	Sluice__Store__V1__WorkspaceRecord *record = NULL;
	sl_code code = workspace_get(d->view, d->arena, name, &record, err);
	if (code != SL_OK) {
		return code;
	}
	if (strcmp(name, "default") == 0) {
		return sl_err_because(
		    err, SL_FAILED_PRECONDITION, SL_REASON_WORKSPACE_IN_USE,
		    "workspace 'default' cannot be removed: it is there from the start "
		    "and stays");
	}
	code = decision_expect(d, "workspace", name, record->revision, err);
	code =
	    code != SL_OK ? code : refuse_if_any(d, TABLE_APPS, record->number, name, "apps", err);
	code = code != SL_OK ? code
			     : refuse_if_any(d, TABLE_REPOSITORIES, record->number, name,
					     "repositories", err);
	code = code != SL_OK
		   ? code
		   : refuse_if_any(d, TABLE_INSTANCES, record->number, name, "instances", err);
	code = code != SL_OK ? code
			     : refuse_if_any(d, TABLE_CONFIG_NAMES, record->number, name,
					     "constants or secrets", err);
	code = code != SL_OK
		   ? code
		   : refuse_if_any(d, TABLE_SOURCES, record->number, name, "data sources", err);
	if (code != SL_OK) {
		return code;
	}
	struct record_key by_name = {.size = 0};
	key_text(&by_name, name);
	decision_delete(d, TABLE_WORKSPACES, &by_name);
	for (uint32_t e = 1; e <= ENV_COUNT; e++) {
		struct record_key policy = KEY(record->number, key_u32(k, e));
		decision_delete(d, TABLE_POLICIES, &policy);
	}
	code = delete_keys(d, record->number, err); /* nothing is sealed with them any more */
	if (code != SL_OK) {
		return code;
	}
	workspace_event(d, SLUICE__V1__EVENT_TYPE__EVENT_TYPE_DELETED, record);
	return SL_OK;
}
