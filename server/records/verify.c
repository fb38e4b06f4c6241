#include "server/records/verify.h"

#include <ctype.h>
#include <stdarg.h>
#include <string.h>

#include "server/records/apps.h"

enum { FAULTS_SHOWN = 50 };

struct verify {
	const struct store_view *view;
	FILE *out;
	struct sl_arena arena; /* emptied after each record */
	uint64_t checked, faults;
	uint64_t head; /* no record may be newer */
	/* The record being looked at: */
	enum record_table table;
	struct sl_bytes key, value;
};

/* --- faults ---------------------------------------------------------------- */

static void print_key(FILE *out, struct sl_bytes key)
{
	for (size_t i = 0; i < key.size; i++) {
		if (isgraph(key.data[i]) && key.data[i] != '\\') {
			(void)fputc(key.data[i], out);
			continue;
		}
		(void)fprintf(out, "\\%02x", key.data[i]);
	}
}

static void fault(struct verify *v, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void fault(struct verify *v, const char *fmt, ...)
{
	v->faults++;
	if (v->faults > FAULTS_SHOWN) {
		return;
	}
	(void)fprintf(v->out, "%s ", record_table_names[v->table]);
	print_key(v->out, v->key);
	(void)fputs(": ", v->out);
	va_list args;
	va_start(args, fmt);
	(void)vfprintf(v->out, fmt, args);
	va_end(args);
	(void)fputc('\n', v->out);
}

/* --- parts of keys ------------------------------------------------------------ */

/* Takes keys apart from the left; short keys make it fail, and stay failed. */
struct key_reader {
	const uint8_t *at, *end;
	bool failed;
};

static struct key_reader read_key(const struct verify *v)
{
	return (struct key_reader){.at = v->key.data, .end = v->key.data + v->key.size};
}

static uint32_t key_read_u32(struct key_reader *r)
{
	if (r->failed || r->end - r->at < 4) {
		r->failed = true;
		return 0;
	}
	r->at += 4;
	return sl_get_be32(r->at - 4);
}

static uint64_t key_read_u64(struct key_reader *r)
{
	uint64_t high = key_read_u32(r);
	return high << 32 | key_read_u32(r);
}

static const char *key_read_text(struct key_reader *r)
{
	const uint8_t *nul = r->failed ? NULL : memchr(r->at, 0, (size_t)(r->end - r->at));
	if (nul == NULL) {
		r->failed = true;
		return "";
	}
	const char *text = (const char *)r->at;
	r->at = nul + 1;
	return text;
}

/* --- what is referred to --------------------------------------------------------- */

static bool is_there(const struct verify *v, enum record_table table, const struct record_key *key,
		     struct sl_bytes *ret_value)
{
	struct sl_bytes value;
	return store_get(v->view, table, key_bytes(key), ret_value == NULL ? &value : ret_value,
			 NULL) == SL_OK;
}

static void need(struct verify *v, enum record_table table, const struct record_key *key,
		 const char *what)
{
	if (!is_there(v, table, key, NULL)) {
		fault(v, "refers to %s that is not there", what);
	}
}

static bool app_lives(const struct verify *v, uint32_t workspace, const char *app_id)
{
	struct record_key key = KEY(workspace, key_text(k, app_id));
	return is_there(v, TABLE_APPS, &key, NULL);
}

static void need_app_ever(struct verify *v, uint32_t workspace, const char *app_id)
{
	struct record_key key = KEY(workspace, key_text(k, app_id));
	if (!app_lives(v, workspace, app_id)) {
		need(v, TABLE_DELETED_APPS, &key, "an app");
	}
}

static void need_version(struct verify *v, uint32_t workspace, const char *app_id, uint32_t number,
			 const char *what)
{
	struct record_key key = KEY(workspace, key_text(k, app_id), key_u32(k, number));
	need(v, TABLE_VERSIONS, &key, what);
}

static void need_index(struct verify *v, enum record_table index, const struct record_key *key,
		       struct sl_bytes wanted)
{
	struct sl_bytes value;
	if (!is_there(v, index, key, &value)) {
		fault(v, "is missing in %s", record_table_names[index]);
	} else if (!sl_bytes_equal(value, wanted)) {
		fault(v, "%s points elsewhere", record_table_names[index]);
	}
}

static void check_revision(struct verify *v, uint64_t revision)
{
	if (revision == 0 || revision > v->head) {
		fault(v, "has revision %lu, the head is %lu", (unsigned long)revision,
		      (unsigned long)v->head);
	}
}

static void *unpack(struct verify *v, const ProtobufCMessageDescriptor *type)
{
	void *record = protobuf_c_message_unpack(type, sl_arena_protobuf(&v->arena), v->value.size,
						 v->value.data);
	if (record == NULL) {
		fault(v, "%zu bytes are not a %s", v->value.size, type->short_name);
	}
	return record;
}

static void lower(char *out, size_t size, const char *name)
{
	size_t i = 0;
	for (; name[i] != '\0' && i + 1 < size; i++) {
		out[i] = (char)tolower((unsigned char)name[i]);
	}
	out[i] = '\0';
}

/* --- one check per table ------------------------------------------------------------- */

static void check_workspace(struct verify *v)
{
	Sluice__Store__V1__WorkspaceRecord *r =
	    unpack(v, &sluice__store__v1__workspace_record__descriptor);
	if (r != NULL) {
		struct record_key key = key_of(r->number);
		check_revision(v, r->revision);
		need_index(v, TABLE_WORKSPACE_NUMBERS, &key, v->key);
	}
}

static void check_repository(struct verify *v)
{
	Sluice__Store__V1__RepositoryRecord *r =
	    unpack(v, &sluice__store__v1__repository_record__descriptor);
	if (r != NULL) {
		struct record_key key = KEY(sl_get_be32(v->key.data), key_text(k, r->name));
		check_revision(v, r->revision);
		need_index(v, TABLE_REPOSITORIES_BY_NAME, &key, sl_bytes_text(r->id));
	}
}

static void check_app(struct verify *v)
{
	Sluice__Store__V1__AppRecord *r = unpack(v, &sluice__store__v1__app_record__descriptor);
	if (r == NULL) {
		return;
	}
	uint32_t ws = sl_get_be32(v->key.data);
	struct record_key by_name = KEY(ws, key_text(k, r->name)),
			  by_slug = KEY(ws, key_text(k, r->slug));
	struct record_key repository = KEY(ws, key_text(k, r->repository_id));
	check_revision(v, r->revision);
	need_index(v, TABLE_APPS_BY_NAME, &by_name, sl_bytes_text(r->id));
	need_index(v, TABLE_APPS_BY_SLUG, &by_slug, sl_bytes_text(r->id));
	need(v, TABLE_REPOSITORIES, &repository, "a repository");
	struct record_key by_path = app_path_key(ws, r->repository_id, r->path, r->id);
	need(v, TABLE_APPS_BY_PATH, &by_path, "an entry by path");
	struct record_key prefix = KEY(ws, key_text(k, r->id));
	SL_AUTO(store_walk_end) struct store_walk walk;
	uint32_t versions = 0;
	store_walk_begin(&walk, v->view, TABLE_VERSIONS, key_bytes(&prefix), STORE_FORWARD);
	while (store_walk_next(&walk)) {
		versions++;
	}
	if (versions != r->version_count || versions == 0) {
		fault(v, "says it has %u versions, %u are there", r->version_count, versions);
	}
}

static void check_version(struct verify *v)
{
	Sluice__Store__V1__VersionRecord *r =
	    unpack(v, &sluice__store__v1__version_record__descriptor);
	if (r == NULL) {
		return;
	}
	uint32_t ws = sl_get_be32(v->key.data);
	char name[64];
	lower(name, sizeof(name), r->name);
	uint8_t by_id_value[64 + 4], number[4];
	size_t id_size = strlen(r->app_id) + 1;
	sl_put_be32(number, r->number);
	struct record_key by_name = KEY(ws, key_text(k, r->app_id), key_text(k, name)),
			  by_id = KEY(ws, key_text(k, r->id));
	check_revision(v, r->revision);
	need_index(v, TABLE_VERSIONS_BY_NAME, &by_name, SL_BYTES(number, 4));
	if (id_size <= 64) {
		memcpy(by_id_value, r->app_id, id_size);
		memcpy(by_id_value + id_size, number, 4);
		need_index(v, TABLE_VERSIONS_BY_ID, &by_id, SL_BYTES(by_id_value, id_size + 4));
	}
	if (!app_lives(v, ws, r->app_id)) {
		fault(v, "refers to an app that is not there");
	}
	struct record_key facts =
	    KEY(ws, key_text(k, r->app_id), key_u32(k, r->number), key_u32(k, r->environment));
	need(v, TABLE_FACTS, &facts, "facts of its environment");
	bool sealed = r->state == SLUICE__V1__VERSION_STATE__VERSION_STATE_SEALED;
	if (!sealed && r->environment != ENV_DEVELOPMENT) {
		fault(v, "is a draft in %s", environment_name(r->environment));
	}
	if (sealed && (r->content == NULL ||
		       r->content->state != SLUICE__V1__CONTENT_STATE__CONTENT_STATE_READY ||
		       r->content->digest.len != 32)) {
		fault(v, "is sealed and its content is not READY");
	}
	struct record_key publication = KEY(ws, key_text(k, r->app_id), key_u32(k, r->number));
	if (sealed) {
		need(v, TABLE_PUBLICATIONS, &publication, "a publication");
	}
}

static void check_publication(struct verify *v)
{
	Sluice__Store__V1__PublicationRecord *r =
	    unpack(v, &sluice__store__v1__publication_record__descriptor);
	struct key_reader key = read_key(v);
	uint32_t ws = key_read_u32(&key);
	const char *app_id = key_read_text(&key);
	uint32_t number = key_read_u32(&key);
	if (r == NULL || key.failed) {
		return;
	}
	need_version(v, ws, app_id, number, "a version");
	struct record_key owed =
	    KEY(ws, key_u32(k, SLUICE__STORE__V1__OWED_KIND__OWED_KIND_PUBLISH),
		key_text(k, app_id), key_u32(k, number));
	bool published = r->state == SLUICE__V1__PUBLICATION_STATE__PUBLICATION_STATE_PUBLISHED;
	if (published == is_there(v, TABLE_OWED, &owed, NULL)) {
		fault(v, published ? "is published and still owed"
				   : "is not published, and nothing is owed");
	}
}

static void check_owed(struct verify *v)
{
	Sluice__Store__V1__OwedRecord *r = unpack(v, &sluice__store__v1__owed_record__descriptor);
	if (r != NULL) {
		uint32_t ws = sl_get_be32(v->key.data);
		struct record_key repository = KEY(ws, key_text(k, r->repository_id));
		need_version(v, ws, r->app_id, r->version, "a version");
		need(v, TABLE_REPOSITORIES, &repository, "a repository");
	}
}

static void check_release(struct verify *v)
{
	Sluice__Store__V1__ReleaseRecord *r =
	    unpack(v, &sluice__store__v1__release_record__descriptor);
	struct key_reader key = read_key(v);
	uint32_t ws = key_read_u32(&key);
	const char *app_id = key_read_text(&key);
	if (r == NULL || key.failed) {
		return;
	}
	check_revision(v, r->revision);
	Sluice__Store__V1__VersionRecord *version = NULL;
	if (r->version != 0 &&
	    version_get(v->view, &v->arena, ws, app_id, r->version, &version, NULL) != SL_OK) {
		fault(v, "releases version number %u, which is not there", r->version);
	} else if (version != NULL && version->environment != ENV_PRODUCTION) {
		fault(v, "releases '%s', which is in %s", version->name,
		      environment_name(version->environment));
	}
	for (uint32_t depth = 1; depth <= r->depth; depth++) {
		struct record_key entry = KEY(ws, key_text(k, app_id), key_u32(k, depth));
		need(v, TABLE_RELEASE_STACK, &entry, "a stack entry");
	}
}

static void check_selection(struct verify *v)
{
	Sluice__Store__V1__SelectionRecord *r =
	    unpack(v, &sluice__store__v1__selection_record__descriptor);
	struct key_reader key = read_key(v);
	uint32_t ws = key_read_u32(&key);
	const char *app_id = key_read_text(&key);
	uint32_t environment = key_read_u32(&key);
	const char *instance_id = key_read_text(&key);
	if (r == NULL || key.failed) {
		return;
	}
	check_revision(v, r->revision);
	need_version(v, ws, app_id, r->version, "a version");
	if (environment < 1 || environment > ENV_COUNT) {
		fault(v, "is of environment %u", environment);
	}
	struct record_key instance = KEY(ws, key_text(k, instance_id));
	if (instance_id[0] != '\0') {
		need(v, TABLE_INSTANCES, &instance, "an instance");
	}
}

static void check_instance(struct verify *v)
{
	Sluice__Store__V1__InstanceRecord *r =
	    unpack(v, &sluice__store__v1__instance_record__descriptor);
	if (r != NULL) {
		struct record_key by_name = KEY(sl_get_be32(v->key.data), key_text(k, r->name));
		check_revision(v, r->revision);
		need_index(v, TABLE_INSTANCES_BY_NAME, &by_name, sl_bytes_text(r->id));
		if (r->environment < 1 || r->environment > ENV_COUNT) {
			fault(v, "is of environment %u", r->environment);
		}
	}
}

static void check_facts(struct verify *v)
{
	(void)unpack(v, &sluice__store__v1__facts_record__descriptor);
	struct key_reader key = read_key(v);
	uint32_t ws = key_read_u32(&key);
	need_app_ever(v, ws, key_read_text(&key));
}

static void check_note(struct verify *v)
{
	(void)unpack(v, &sluice__store__v1__note_record__descriptor);
	struct key_reader key = read_key(v);
	uint32_t ws = key_read_u32(&key);
	need_app_ever(v, ws, key_read_text(&key));
}

static void check_status(struct verify *v)
{
	(void)unpack(v, &sluice__store__v1__status_record__descriptor);
	struct key_reader key = read_key(v);
	uint32_t ws = key_read_u32(&key);
	struct record_key instance = KEY(ws, key_text(k, key_read_text(&key)));
	need(v, TABLE_INSTANCES, &instance, "an instance");
}

/* History: the log has the record, and it has an event of the kind. */
static void check_history(struct verify *v, Sluice__V1__Event__ObjectCase kind)
{
	struct key_reader key = read_key(v);
	uint32_t ws = key_read_u32(&key);
	const char *app_id = key_read_text(&key);
	uint64_t revision = key_read_u64(&key);
	struct sl_bytes value;
	if (key.failed || store_get_log(v->view, revision, &value, NULL) != SL_OK) {
		fault(v, "the log has no revision %lu", (unsigned long)revision);
		return;
	}
	need_app_ever(v, ws, app_id);
	Sluice__Store__V1__LogRecord *record = sluice__store__v1__log_record__unpack(
	    sl_arena_protobuf(&v->arena), value.size, value.data);
	bool found = false;
	for (size_t i = 0; record != NULL && i < record->n_events; i++) {
		found = found || (record->events[i]->object_case == kind &&
				  strcmp(record->events[i]->app_id, app_id) == 0);
	}
	if (!found || !record->history) {
		fault(v, "revision %lu does not tell of it, or is not kept",
		      (unsigned long)revision);
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

/* An index whose value is the id of a record in `table`. */
static void check_by_id(struct verify *v, enum record_table table)
{
	char id[64];
	(void)snprintf(id, sizeof(id), "%.*s", (int)v->value.size, (const char *)v->value.data);
	struct record_key key = KEY(sl_get_be32(v->key.data), key_text(k, id));
	need(v, table, &key, "a record");
}

static void check_repository_name(struct verify *v)
{
	check_by_id(v, TABLE_REPOSITORIES);
}

static void check_app_name(struct verify *v)
{
	check_by_id(v, TABLE_APPS);
}

static void check_instance_name(struct verify *v)
{
	check_by_id(v, TABLE_INSTANCES);
}

static void check_version_name(struct verify *v)
{
	struct key_reader key = read_key(v);
	uint32_t ws = key_read_u32(&key);
	const char *app_id = key_read_text(&key);
	if (key.failed || v->value.size != 4) {
		fault(v, "is malformed");
		return;
	}
	need_version(v, ws, app_id, sl_get_be32(v->value.data), "a version");
}

static void check_version_id(struct verify *v)
{
	const char *app_id = (const char *)v->value.data;
	size_t size = strnlen(app_id, v->value.size) + 1;
	if (v->value.size != size + 4) {
		fault(v, "is malformed");
		return;
	}
	need_version(v, sl_get_be32(v->key.data), app_id, sl_get_be32(v->value.data + size),
		     "a version");
}

static void check_app_path(struct verify *v)
{
	struct key_reader key = read_key(v);
	uint32_t ws = key_read_u32(&key);
	const char *repository_id = key_read_text(&key);
	const char *path = key_read_text(&key);
	const char *app_id = key_read_text(&key);
	Sluice__Store__V1__AppRecord *app = NULL;
	if (key.failed || path[0] == '\0' ||
	    app_get(v->view, &v->arena, ws, app_id, &app, NULL) != SL_OK) {
		fault(v, "refers to an app that is not there");
		return;
	}
	struct record_key right = app_path_key(ws, app->repository_id, app->path, app->id);
	if (strcmp(app->repository_id, repository_id) != 0 ||
	    !sl_bytes_equal(key_bytes(&right), v->key)) {
		fault(v, "is not where its app says");
	}
}

static const struct {
	enum record_table table;
	void (*check)(struct verify *v);
} checks[] = {
    {TABLE_WORKSPACES, check_workspace},
    {TABLE_REPOSITORIES, check_repository},
    {TABLE_REPOSITORIES_BY_NAME, check_repository_name},
    {TABLE_APPS, check_app},
    {TABLE_APPS_BY_NAME, check_app_name},
    {TABLE_APPS_BY_SLUG, check_app_name},
    {TABLE_APPS_BY_PATH, check_app_path},
    {TABLE_VERSIONS, check_version},
    {TABLE_VERSIONS_BY_NAME, check_version_name},
    {TABLE_VERSIONS_BY_ID, check_version_id},
    {TABLE_PUBLICATIONS, check_publication},
    {TABLE_OWED, check_owed},
    {TABLE_FACTS, check_facts},
    {TABLE_NOTES, check_note},
    {TABLE_PROMOTIONS, check_promotion},
    {TABLE_RELEASES, check_release},
    {TABLE_RELEASE_HISTORY, check_release_history},
    {TABLE_SELECTIONS, check_selection},
    {TABLE_INSTANCES, check_instance},
    {TABLE_INSTANCES_BY_NAME, check_instance_name},
    {TABLE_STATUSES, check_status},
};

/* --- the walk ------------------------------------------------------------------------- */

static sl_code verify_table(struct verify *v, enum record_table table,
			    void (*check)(struct verify *), struct sl_err *err)
{
	SL_AUTO(store_walk_end) struct store_walk walk;
	v->table = table;
	store_walk_begin(&walk, v->view, table, SL_BYTES_NONE, STORE_FORWARD);
	while (store_walk_next(&walk)) {
		v->checked++;
		v->key = walk.key;
		v->value = walk.value;
		if (walk.key.size < 5) {
			fault(v, "has a key of %zu bytes", walk.key.size);
			continue;
		}
		check(v);
		sl_arena_fini(&v->arena);
	}
	return store_walk_result(&walk, err);
}

/* Revisions grow, are what their keys say, and none is above the head. */
static sl_code verify_log(struct verify *v, struct sl_err *err)
{
	SL_AUTO(store_walk_end) struct store_walk walk;
	uint64_t last = 0;
	store_walk_log(&walk, v->view, 0, STORE_FORWARD);
	while (store_walk_next(&walk)) {
		v->checked++;
		uint64_t revision = sl_get_be64(walk.key.data);
		Sluice__Store__V1__LogRecord *record = sluice__store__v1__log_record__unpack(
		    sl_arena_protobuf(&v->arena), walk.value.size, walk.value.data);
		bool right = record != NULL && record->revision == revision && revision > last &&
			     revision <= v->head;
		for (size_t i = 0; right && i < record->n_events; i++) {
			right =
			    record->events[i]->object_case != SLUICE__V1__EVENT__OBJECT__NOT_SET;
		}
		if (!right && ++v->faults <= FAULTS_SHOWN) {
			(void)fprintf(
			    v->out,
			    "log %lu: does not parse, is out of order, or says another revision\n",
			    (unsigned long)revision);
		}
		last = revision;
		sl_arena_fini(&v->arena);
	}
	return store_walk_result(&walk, err);
}

static sl_code verify_all(struct verify *v, struct sl_err *err)
{
	v->head = store_view_revision(v->view);
	sl_code code = verify_log(v, err);
	for (size_t i = 0; code == SL_OK && i < SL_COUNT(checks); i++) {
		code = verify_table(v, checks[i].table, checks[i].check, err);
	}
	return code;
}

sl_code records_verify(const char *path, FILE *out, uint64_t *ret_checked, uint64_t *ret_faults,
		       struct sl_err *err)
{
	const struct store_options options = {
	    .path = path,
	    .read_only = true,
	    .tables = record_table_names,
	    .table_count = TABLE_COUNT,
	};
	struct store *store = NULL;
	struct verify v = {.out = out};
	sl_arena_init(&v.arena, 0);
	sl_code code = store_open(&options, &store, err);
	code = code != SL_OK ? code : store_view_begin(store, &v.view, err);
	code = code != SL_OK ? code : verify_all(&v, err);
	store_view_end(v.view);
	store_free(store);
	sl_arena_fini(&v.arena);
	*ret_checked = v.checked;
	*ret_faults = v.faults;
	return code;
}
