/* verify: indexes lead to what they say, and back. */
#include <string.h>

#include "server/records/apps.h"
#include "server/records/placement.h"
#include "server/records/verify_internal.h"
#include "server/records/versions.h"
#include "server/records/wire.h"

/* Numbers of removed workspaces stay, and their names may be others' now. */
static void check_workspace_number(struct verify *v)
{
	bool text = v->value.size > 1 && v->value.data[v->value.size - 1] == '\0' &&
		    memchr(v->value.data, 0, v->value.size) == v->value.data + v->value.size - 1;
	if (v->key.size != 4 || !text) {
		verify_fault(v, "is malformed");
	}
}

/* --- an index over names, whose value is an id --------------------------------------- */

struct name_entry {
	uint32_t workspace;
	const char *name;
	char id[104];
};

static bool name_entry(struct verify *v, struct name_entry *ret_entry)
{
	struct verify_key key = verify_key_of(v);
	ret_entry->workspace = verify_key_u32(&key);
	ret_entry->name = verify_key_id(&key);
	if (!verify_key_end(v, &key)) {
		return false;
	}
	if (v->value.size >= sizeof(ret_entry->id)) {
		verify_fault(v, "is malformed");
		return false;
	}
	memcpy(ret_entry->id, v->value.data, v->value.size);
	ret_entry->id[v->value.size] = '\0';
	return true;
}

/* `named`: what the record says it is called; NULL: there is no record. */
static void leads_to(struct verify *v, const struct name_entry *entry, const char *named)
{
	if (named == NULL) {
		verify_fault(v, "refers to a record that is not there");
	} else if (strcmp(named, entry->name) != 0) {
		verify_fault(v, "refers to '%.100s', which is not called so", named);
	}
}

static void check_repository_name(struct verify *v)
{
	struct name_entry entry;
	Sluice__Store__V1__RepositoryRecord *r = NULL;
	if (name_entry(v, &entry)) {
		sl_code code =
		    repository_get(v->view, &v->arena, entry.workspace, entry.id, &r, NULL);
		leads_to(v, &entry, code == SL_OK ? r->name : NULL);
	}
}

static void check_app_name(struct verify *v)
{
	struct name_entry entry;
	Sluice__Store__V1__AppRecord *r = NULL;
	if (name_entry(v, &entry)) {
		sl_code code = app_get(v->view, &v->arena, entry.workspace, entry.id, &r, NULL);
		leads_to(v, &entry, code == SL_OK ? r->name : NULL);
	}
}

static void check_app_slug(struct verify *v)
{
	struct name_entry entry;
	Sluice__Store__V1__AppRecord *r = NULL;
	if (name_entry(v, &entry)) {
		sl_code code = app_get(v->view, &v->arena, entry.workspace, entry.id, &r, NULL);
		leads_to(v, &entry, code == SL_OK ? r->slug : NULL);
	}
}

static void check_instance_name(struct verify *v)
{
	struct name_entry entry;
	Sluice__Store__V1__InstanceRecord *r = NULL;
	if (name_entry(v, &entry)) {
		sl_code code =
		    instance_get(v->view, &v->arena, entry.workspace, entry.id, &r, NULL);
		leads_to(v, &entry, code == SL_OK ? r->name : NULL);
	}
}

struct row_search {
	struct sl_bytes wanted;
	bool found;
};

static void compare_row(void *ctx, const struct record_key *key)
{
	struct row_search *search = ctx;
	search->found = search->found || sl_bytes_equal(key_bytes(key), search->wanted);
}

static void check_instance_label(struct verify *v)
{
	struct verify_key key = verify_key_of(v);
	uint32_t ws = verify_key_u32(&key);
	(void)verify_key_u32(&key);
	(void)verify_key_text(&key);
	(void)verify_key_text(&key);
	const char *id = verify_key_id(&key);
	Sluice__Store__V1__InstanceRecord *r = NULL;
	if (!verify_key_end(v, &key)) {
		return;
	}
	if (instance_get(v->view, &v->arena, ws, id, &r, NULL) != SL_OK) {
		verify_fault(v, "refers to a record that is not there");
		return;
	}
	struct row_search search = {.wanted = v->key};
	placement_rows(ws, r, compare_row, &search);
	if (!search.found) {
		verify_fault(v, "is a label that its instance does not have");
	} else if (v->value.size != 8 || sl_get_be64(v->value.data) != r->revision) {
		verify_fault(v, "has another revision than its instance");
	}
}

/* --- versions, paths -------------------------------------------------------------------- */

static void check_version_name(struct verify *v)
{
	struct verify_key key = verify_key_of(v);
	uint32_t ws = verify_key_u32(&key);
	const char *app_id = verify_key_id(&key);
	(void)verify_key_id(&key);
	Sluice__Store__V1__VersionRecord *r = NULL;
	if (!verify_key_end(v, &key)) {
		return;
	}
	if (v->value.size != 4 || version_get(v->view, &v->arena, ws, app_id,
					      sl_get_be32(v->value.data), &r, NULL) != SL_OK) {
		verify_fault(v, "refers to a version that is not there");
	} else if (verify_texts_fit(v, r->name, NULL)) {
		struct record_key own = version_name_key(ws, app_id, r->name);
		verify_stored_as(v, &own);
	}
}

static void check_version_id(struct verify *v)
{
	struct verify_key key = verify_key_of(v);
	uint32_t ws = verify_key_u32(&key);
	const char *id = verify_key_id(&key);
	const char *app_id = (const char *)v->value.data;
	size_t size = strnlen(app_id, v->value.size) + 1;
	Sluice__Store__V1__VersionRecord *r = NULL;
	if (!verify_key_end(v, &key)) {
		return;
	}
	if (v->value.size != size + 4 || size > 100) {
		verify_fault(v, "is malformed");
	} else if (version_get(v->view, &v->arena, ws, app_id, sl_get_be32(v->value.data + size),
			       &r, NULL) != SL_OK) {
		verify_fault(v, "refers to a version that is not there");
	} else if (strcmp(r->id, id) != 0) {
		verify_fault(v, "refers to '%.100s', which has another id", r->name);
	}
}

/* How many came up to the one before; 0: it is the first. */
static uint32_t came_before(const struct verify *v, const struct record_key *prefix)
{
	SL_AUTO(store_walk_end) struct store_walk walk;
	store_walk_begin(&walk, v->view, TABLE_ENTRIES, key_bytes(prefix), STORE_BACKWARD);
	store_walk_from(&walk, v->key);
	unsigned rows = 0; /* the first is the record itself */
	while (rows < 2 && store_walk_next(&walk)) {
		rows++;
	}
	return rows == 2 && walk.value.size == 4 ? sl_get_be32(walk.value.data) : 0;
}

static void check_entry(struct verify *v)
{
	struct verify_key key = verify_key_of(v);
	struct wire wire = {.view = v->view, .arena = &v->arena};
	wire.workspace = verify_key_u32(&key);
	const char *app_id = verify_key_id(&key);
	uint32_t environment = verify_key_u32(&key);
	uint64_t revision = verify_key_u64(&key);
	uint32_t number = verify_key_u32(&key);
	Sluice__Store__V1__VersionRecord *r = NULL;
	Sluice__Store__V1__FactsRecord *facts = NULL;
	if (!verify_key_end(v, &key)) {
		return;
	}
	if (version_get(v->view, &v->arena, wire.workspace, app_id, number, &r, NULL) != SL_OK ||
	    facts_get(&wire, r, environment, &facts, NULL) != SL_OK) {
		verify_fault(v, "refers to a version that is not there");
		return;
	}
	if (facts->entered_revision != revision || r->environment < environment) {
		verify_fault(v, "is not when its version came there");
	}
	struct record_key prefix =
	    KEY(wire.workspace, key_text(k, app_id), key_u32(k, environment));
	bool counts = environment != ENV_DEVELOPMENT;
	if (v->value.size != (counts ? 4 : 0) ||
	    (counts && sl_get_be32(v->value.data) != came_before(v, &prefix) + 1)) {
		verify_fault(v, "does not say how many there are up to it");
	}
}

static void check_status_by_app(struct verify *v)
{
	struct verify_key key = verify_key_of(v);
	uint32_t ws = verify_key_u32(&key);
	const char *app_id = verify_key_id(&key);
	const char *instance_id = verify_key_id(&key);
	struct record_key status = KEY(ws, key_text(k, instance_id), key_text(k, app_id));
	if (!verify_key_end(v, &key)) {
		return;
	}
	verify_need(v, TABLE_STATUSES, &status, "a status");
	if (v->value.size != 0) {
		verify_fault(v, "is malformed");
	}
}

static void check_app_path(struct verify *v)
{
	struct verify_key key = verify_key_of(v);
	uint32_t ws = verify_key_u32(&key);
	const char *repository_id = verify_key_id(&key);
	(void)verify_key_text(&key);
	const char *app_id = verify_key_id(&key);
	Sluice__Store__V1__AppRecord *app = NULL;
	if (!verify_key_end(v, &key)) {
		return;
	}
	if (app_get(v->view, &v->arena, ws, app_id, &app, NULL) != SL_OK) {
		verify_fault(v, "refers to an app that is not there");
		return;
	}
	struct record_key right = app_path_key(ws, repository_id, app->path, app_id);
	if (strcmp(app->repository_id, repository_id) != 0 ||
	    !sl_bytes_equal(key_bytes(&right), v->key)) {
		verify_fault(v, "is not where its app says");
	}
}

/* --- history ------------------------------------------------------------------------------ */

static bool tells_of(const Sluice__Store__V1__LogRecord *record, Sluice__V1__Event__ObjectCase kind,
		     const char *app_id)
{
	for (size_t i = 0; record != NULL && i < record->n_events; i++) {
		if (record->events[i]->object_case == kind &&
		    strcmp(record->events[i]->app_id, app_id) == 0) {
			return record->history;
		}
	}
	return false;
}

/* The log has the record, it has an event of the kind, and it is kept. */
static void check_history(struct verify *v, Sluice__V1__Event__ObjectCase kind)
{
	struct verify_key key = verify_key_of(v);
	uint32_t ws = verify_key_u32(&key);
	const char *app_id = verify_key_id(&key);
	uint64_t revision = verify_key_u64(&key);
	struct sl_bytes value;
	if (!verify_key_end(v, &key)) {
		return;
	}
	verify_need_app_ever(v, ws, app_id);
	if (store_get_log(v->view, revision, &value, NULL) != SL_OK) {
		verify_fault(v, "the log has no revision %lu", (unsigned long)revision);
		return;
	}
	const Sluice__Store__V1__LogRecord *record = sluice__store__v1__log_record__unpack(
	    sl_arena_protobuf(&v->arena), value.size, value.data);
	if (!tells_of(record, kind, app_id)) {
		verify_fault(v, "revision %lu does not tell of it, or is not kept",
			     (unsigned long)revision);
	}
	struct record_key by_revision = KEY(ws, key_u64(k, revision));
	if (kind == SLUICE__V1__EVENT__OBJECT_PROMOTION) {
		verify_need_index(v, TABLE_PROMOTIONS_BY_REVISION, &by_revision,
				  sl_bytes_text(app_id));
	}
}

static void check_promotion(struct verify *v)
{
	check_history(v, SLUICE__V1__EVENT__OBJECT_PROMOTION);
}

static void check_release_history(struct verify *v)
{
	check_history(v, SLUICE__V1__EVENT__OBJECT_RELEASE);
}

static void check_promotion_revision(struct verify *v)
{
	struct verify_key key = verify_key_of(v);
	uint32_t ws = verify_key_u32(&key);
	uint64_t revision = verify_key_u64(&key);
	char app_id[104];
	if (!verify_key_end(v, &key)) {
		return;
	}
	if (v->value.size >= sizeof(app_id)) {
		verify_fault(v, "is malformed");
		return;
	}
	memcpy(app_id, v->value.data, v->value.size);
	app_id[v->value.size] = '\0';
	struct record_key by_app = KEY(ws, key_text(k, app_id), key_u64(k, revision));
	verify_need(v, TABLE_PROMOTIONS, &by_app, "a promotion");
}

const struct verify_check verify_indexes[14] = {
    {TABLE_WORKSPACE_NUMBERS, check_workspace_number},
    {TABLE_REPOSITORIES_BY_NAME, check_repository_name},
    {TABLE_APPS_BY_NAME, check_app_name},
    {TABLE_APPS_BY_SLUG, check_app_slug},
    {TABLE_APPS_BY_PATH, check_app_path},
    {TABLE_VERSIONS_BY_NAME, check_version_name},
    {TABLE_VERSIONS_BY_ID, check_version_id},
    {TABLE_PROMOTIONS, check_promotion},
    {TABLE_PROMOTIONS_BY_REVISION, check_promotion_revision},
    {TABLE_RELEASE_HISTORY, check_release_history},
    {TABLE_INSTANCES_BY_NAME, check_instance_name},
    {TABLE_INSTANCES_BY_LABEL, check_instance_label},
    {TABLE_ENTRIES, check_entry},
    {TABLE_STATUSES_BY_APP, check_status_by_app},
};
