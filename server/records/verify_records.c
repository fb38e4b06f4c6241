/* verify: what the nouns of the API are stored as. */
#include <string.h>

#include "server/records/apps.h"
#include "server/records/commits.h"
#include "server/records/entries.h"
#include "server/records/placement.h"
#include "server/records/statuses.h"
#include "server/records/verify_internal.h"
#include "server/records/versions.h"

static void check_workspace(struct verify *v)
{
	Sluice__Store__V1__WorkspaceRecord *r =
	    verify_unpack(v, &sluice__store__v1__workspace_record__descriptor);
	if (r == NULL || !verify_texts_fit(v, r->name, NULL)) {
		return;
	}
	struct record_key by_number = key_of(r->number), own = {.size = 0};
	key_text(&own, r->name);
	verify_stored_as(v, &own);
	verify_revision(v, r->revision);
	verify_need_index(v, TABLE_WORKSPACE_NUMBERS, &by_number, v->key);
}

static void check_repository(struct verify *v)
{
	Sluice__Store__V1__RepositoryRecord *r =
	    verify_unpack(v, &sluice__store__v1__repository_record__descriptor);
	if (r == NULL || !verify_texts_fit(v, r->id, r->name, NULL)) {
		return;
	}
	uint32_t ws = sl_get_be32(v->key.data);
	struct record_key own = KEY(ws, key_text(k, r->id)),
			  by_name = KEY(ws, key_text(k, r->name));
	verify_stored_as(v, &own);
	verify_revision(v, r->revision);
	verify_need_index(v, TABLE_REPOSITORIES_BY_NAME, &by_name, sl_bytes_text(r->id));
}

/* --- apps and versions ------------------------------------------------------------- */

static void count_versions(struct verify *v, uint32_t ws, const Sluice__Store__V1__AppRecord *r)
{
	struct record_key prefix = KEY(ws, key_text(k, r->id));
	SL_AUTO(store_walk_end) struct store_walk walk;
	uint32_t versions = 0, newest = 0;
	store_walk_begin(&walk, v->view, TABLE_VERSIONS, key_bytes(&prefix), STORE_FORWARD);
	while (store_walk_next(&walk)) {
		versions++;
		newest = walk.key.size >= 4 ? sl_get_be32(walk.key.data + walk.key.size - 4) : 0;
	}
	if (versions != r->version_count || versions == 0) {
		verify_fault(v, "says it has %u versions, %u are there", r->version_count,
			     versions);
	}
	if (newest > r->last_version) {
		verify_fault(v, "says its newest version is %u, it is %u", r->last_version, newest);
	}
}

static void check_app(struct verify *v)
{
	Sluice__Store__V1__AppRecord *r =
	    verify_unpack(v, &sluice__store__v1__app_record__descriptor);
	if (r == NULL || !verify_texts_fit(v, r->id, r->name, r->slug, r->repository_id, NULL)) {
		return;
	}
	uint32_t ws = sl_get_be32(v->key.data);
	struct record_key own = KEY(ws, key_text(k, r->id));
	struct record_key by_name = KEY(ws, key_text(k, r->name)),
			  by_slug = KEY(ws, key_text(k, r->slug));
	struct record_key repository = KEY(ws, key_text(k, r->repository_id));
	verify_stored_as(v, &own);
	verify_revision(v, r->revision);
	verify_need_index(v, TABLE_APPS_BY_NAME, &by_name, sl_bytes_text(r->id));
	verify_need_index(v, TABLE_APPS_BY_SLUG, &by_slug, sl_bytes_text(r->id));
	verify_need(v, TABLE_REPOSITORIES, &repository, "a repository");
	struct record_key by_path = app_path_key(ws, r->repository_id, r->path, r->id);
	verify_need(v, TABLE_APPS_BY_PATH, &by_path, "an entry by path");
	count_versions(v, ws, r);
}

static void check_deleted_app(struct verify *v)
{
	Sluice__Store__V1__AppRecord *r =
	    verify_unpack(v, &sluice__store__v1__app_record__descriptor);
	if (r == NULL || !verify_texts_fit(v, r->id, NULL)) {
		return;
	}
	struct record_key own = KEY(sl_get_be32(v->key.data), key_text(k, r->id));
	verify_stored_as(v, &own);
	if (r->deleted_ms == 0 || verify_is_there(v, TABLE_APPS, &own, NULL)) {
		verify_fault(v, "is a tombstone of an app that lives");
	}
}

static void check_version_indexes(struct verify *v, uint32_t ws,
				  const Sluice__Store__V1__VersionRecord *r)
{
	uint8_t value[128 + 4], number[4];
	size_t id_size = strlen(r->app_id) + 1;
	sl_put_be32(number, r->number);
	memcpy(value, r->app_id, id_size);
	memcpy(value + id_size, number, 4);
	struct record_key by_name = version_name_key(ws, r->app_id, r->name);
	struct record_key by_id = KEY(ws, key_text(k, r->id));
	verify_need_index(v, TABLE_VERSIONS_BY_NAME, &by_name, SL_BYTES(number, 4));
	verify_need_index(v, TABLE_VERSIONS_BY_ID, &by_id, SL_BYTES(value, id_size + 4));
}

/* It has come to its environment, and to those before. */
static void check_entries(struct verify *v, uint32_t ws, const Sluice__Store__V1__VersionRecord *r)
{
	const struct wire wire = {.view = v->view, .arena = &v->arena, .workspace = ws};
	for (uint32_t n = 1; n <= r->environment && n <= ENV_COUNT; n++) {
		Sluice__Store__V1__FactsRecord *facts = NULL;
		if (facts_get(&wire, r, n, &facts, NULL) != SL_OK) {
			verify_fault(v, "refers to facts of %s that are not there",
				     environment_name(n));
			continue;
		}
		struct record_key entry =
		    entry_key(ws, r->app_id, n, facts->entered_revision, r->number);
		if (entries_are_indexed(v->view) && /* a store of before gets its rows at start */
		    !verify_is_there(v, TABLE_ENTRIES, &entry, NULL)) {
			verify_fault(v, "is missing in entries");
		}
	}
}

/* What can still change by itself is owed to Git. */
static void check_content(struct verify *v, uint32_t ws, const Sluice__Store__V1__VersionRecord *r)
{
	const Sluice__Store__V1__ContentRecord *content = r->content;
	struct record_key owed =
	    owed_key(ws, SLUICE__STORE__V1__OWED_KIND__OWED_KIND_RESOLVE, r->app_id, r->number);
	if (content == NULL) {
		verify_fault(v, "has no content");
		return;
	}
	bool waits =
	    content->state == SLUICE__V1__CONTENT_STATE__CONTENT_STATE_RESOLVING ||
	    (content->state == SLUICE__V1__CONTENT_STATE__CONTENT_STATE_FAILED &&
	     content->reason == SLUICE__V1__CONTENT_REASON__CONTENT_REASON_REPOSITORY_UNREACHABLE);
	Sluice__Store__V1__AppRecord *app = NULL;
	if (content->push_revision != 0 &&
	    app_get(v->view, &v->arena, ws, r->app_id, &app, NULL) == SL_OK) {
		owed = owed_commit_key(ws, app->repository_id, content->push_revision);
	}
	if (waits && !verify_is_there(v, TABLE_OWED, &owed, NULL)) {
		verify_fault(v, "waits for its content, and nothing is owed");
	}
	bool ready = content->state == SLUICE__V1__CONTENT_STATE__CONTENT_STATE_READY;
	if (ready && content->digest.len != 32) {
		verify_fault(v, "is READY and has no digest");
	}
	if (!ready && r->state == SLUICE__V1__VERSION_STATE__VERSION_STATE_SEALED) {
		verify_fault(v, "is sealed and its content is not READY");
	}
}

static void check_version(struct verify *v)
{
	Sluice__Store__V1__VersionRecord *r =
	    verify_unpack(v, &sluice__store__v1__version_record__descriptor);
	if (r == NULL || !verify_texts_fit(v, r->id, r->app_id, r->name, NULL)) {
		return;
	}
	uint32_t ws = sl_get_be32(v->key.data);
	struct record_key own = version_key(ws, r->app_id, r->number);
	bool sealed = r->state == SLUICE__V1__VERSION_STATE__VERSION_STATE_SEALED;
	verify_stored_as(v, &own);
	verify_revision(v, r->revision);
	verify_environment(v, r->environment);
	check_version_indexes(v, ws, r);
	check_content(v, ws, r);
	if (!verify_app_lives(v, ws, r->app_id)) {
		verify_fault(v, "refers to an app that is not there");
	}
	check_entries(v, ws, r);
	if (!sealed && r->environment != ENV_DEVELOPMENT) {
		verify_fault(v, "is a draft in %s", environment_name(r->environment));
	}
	if (sealed) {
		verify_need(v, TABLE_PUBLICATIONS, &own, "a publication");
	}
}

/* --- releases and pins -------------------------------------------------------------- */

static void check_stack(struct verify *v, uint32_t ws, const char *app_id, uint32_t depth)
{
	for (uint32_t at = 1; at <= depth; at++) {
		struct record_key entry = KEY(ws, key_text(k, app_id), key_u32(k, at));
		if (!verify_is_there(v, TABLE_RELEASE_STACK, &entry, NULL)) {
			verify_fault(v, "refers to a stack entry %u that is not there", at);
			return;
		}
	}
}

static void check_release(struct verify *v)
{
	Sluice__Store__V1__ReleaseRecord *r =
	    verify_unpack(v, &sluice__store__v1__release_record__descriptor);
	struct verify_key key = verify_key_of(v);
	uint32_t ws = verify_key_u32(&key);
	const char *app_id = verify_key_id(&key);
	if (!verify_key_end(v, &key) || r == NULL) {
		return;
	}
	verify_revision(v, r->revision);
	if (!verify_app_lives(v, ws, app_id)) {
		verify_fault(v, "refers to an app that is not there");
	}
	Sluice__Store__V1__VersionRecord *version = NULL;
	if (r->version != 0 &&
	    version_get(v->view, &v->arena, ws, app_id, r->version, &version, NULL) != SL_OK) {
		verify_fault(v, "releases version number %u, which is not there", r->version);
	} else if (version != NULL && version->environment != ENV_PRODUCTION) {
		verify_fault(v, "releases '%.100s', which is in %s", version->name,
			     environment_name(version->environment));
	}
	check_stack(v, ws, app_id, r->depth);
}

static void check_stack_entry(struct verify *v)
{
	(void)verify_unpack(v, &sluice__store__v1__release_entry_record__descriptor);
	struct verify_key key = verify_key_of(v);
	uint32_t ws = verify_key_u32(&key);
	const char *app_id = verify_key_id(&key);
	uint32_t depth = verify_key_u32(&key);
	if (!verify_key_end(v, &key)) {
		return;
	}
	verify_need_app_ever(v, ws, app_id);
	if (depth == 0) {
		verify_fault(v, "has depth 0");
	}
}

static void check_selection(struct verify *v)
{
	Sluice__Store__V1__SelectionRecord *r =
	    verify_unpack(v, &sluice__store__v1__selection_record__descriptor);
	struct verify_key key = verify_key_of(v);
	uint32_t ws = verify_key_u32(&key);
	const char *app_id = verify_key_id(&key);
	uint32_t environment = verify_key_u32(&key);
	const char *instance_id = verify_key_id(&key);
	if (!verify_key_end(v, &key) || r == NULL) {
		return;
	}
	verify_revision(v, r->revision);
	verify_need_version(v, ws, app_id, r->version);
	verify_environment(v, environment);
	struct record_key instance = KEY(ws, key_text(k, instance_id));
	if (instance_id[0] != '\0') {
		verify_need(v, TABLE_INSTANCES, &instance, "an instance");
	}
}

static void check_opened(struct verify *v)
{
	Sluice__Store__V1__OpenedRecord *r =
	    verify_unpack(v, &sluice__store__v1__opened_record__descriptor);
	struct verify_key key = verify_key_of(v);
	uint32_t ws = verify_key_u32(&key);
	const char *app_id = verify_key_id(&key);
	(void)verify_key_text(&key); /* the principal */
	if (!verify_key_end(v, &key) || r == NULL) {
		return;
	}
	verify_environment(v, r->environment);
	if (!verify_app_lives(v, ws, app_id)) {
		verify_fault(v, "refers to an app that is not there");
	}
}

/* --- the fleet ------------------------------------------------------------------------ */

static Sluice__Store__V1__InstanceRecord *instance_of(struct verify *v)
{
	Sluice__Store__V1__InstanceRecord *r =
	    verify_unpack(v, &sluice__store__v1__instance_record__descriptor);
	if (r == NULL || !verify_texts_fit(v, r->id, r->name, NULL)) {
		return NULL;
	}
	struct record_key own = KEY(sl_get_be32(v->key.data), key_text(k, r->id));
	verify_stored_as(v, &own);
	verify_revision(v, r->revision);
	verify_environment(v, r->environment);
	return r;
}

static void need_row(void *ctx, const struct record_key *key)
{
	struct verify *v = ctx;
	struct sl_bytes value;
	if (!verify_is_there(v, TABLE_INSTANCES_BY_LABEL, key, &value)) {
		verify_fault(v, "is missing in instances_by_label");
	}
}

static void check_instance(struct verify *v)
{
	const Sluice__Store__V1__InstanceRecord *r = instance_of(v);
	if (r != NULL) {
		struct record_key by_name = KEY(sl_get_be32(v->key.data), key_text(k, r->name));
		verify_need_index(v, TABLE_INSTANCES_BY_NAME, &by_name, sl_bytes_text(r->id));
		if (placement_is_indexed(v->view)) { /* a store of before gets its rows at start */
			placement_rows(sl_get_be32(v->key.data), r, need_row, v);
		}
	}
}

static void check_removed_instance(struct verify *v)
{
	const Sluice__Store__V1__InstanceRecord *r = instance_of(v);
	if (r == NULL) {
		return;
	}
	struct record_key own = KEY(sl_get_be32(v->key.data), key_text(k, r->id));
	if (r->removed_ms == 0 || verify_is_there(v, TABLE_INSTANCES, &own, NULL)) {
		verify_fault(v, "is a tombstone of an instance that counts");
	}
}

static void check_status(struct verify *v)
{
	(void)verify_unpack(v, &sluice__store__v1__status_record__descriptor);
	struct verify_key key = verify_key_of(v);
	uint32_t ws = verify_key_u32(&key);
	const char *instance_id = verify_key_id(&key);
	const char *app_id = verify_key_id(&key); /* it may be gone */
	struct record_key instance = KEY(ws, key_text(k, instance_id));
	struct record_key by_app = KEY(ws, key_text(k, app_id), key_text(k, instance_id));
	if (!verify_key_end(v, &key)) {
		return;
	}
	verify_need(v, TABLE_INSTANCES, &instance, "an instance");
	if (statuses_are_indexed(v->view)) {
		verify_need_index(v, TABLE_STATUSES_BY_APP, &by_app, SL_BYTES_NONE);
	}
}

const struct verify_check verify_records[12] = {
    {TABLE_WORKSPACES, check_workspace},
    {TABLE_REPOSITORIES, check_repository},
    {TABLE_APPS, check_app},
    {TABLE_DELETED_APPS, check_deleted_app},
    {TABLE_VERSIONS, check_version},
    {TABLE_RELEASES, check_release},
    {TABLE_RELEASE_STACK, check_stack_entry},
    {TABLE_SELECTIONS, check_selection},
    {TABLE_INSTANCES, check_instance},
    {TABLE_REMOVED_INSTANCES, check_removed_instance},
    {TABLE_STATUSES, check_status},
    {TABLE_OPENED, check_opened},
};
