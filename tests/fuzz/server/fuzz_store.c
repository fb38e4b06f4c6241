/* Targets: records_verify over a store whose records were changed, and every read over one that it
 * calls sound. Property: no crash; verify counts what it finds; a store that it calls sound is
 * served: no read says INTERNAL or DATA_LOSS, and what is read can be packed.
 *
 * An input is a list of changes, each: table, which record, what to do, where, how many bytes, the
 * bytes. */
#include <protobuf-c/protobuf-c.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "server/fleet/fleet.h"
#include "server/records/verify.h"
#include "server/services/requests.h"
#include "tests/lib/tmpdir.h"
#include "tests/unit/server/records/world.h"

enum { CHANGES_MAX = 8, STORE_BYTES_MAX = 4 << 20, SMALL_MAP = 16 << 20, KEPT = 100 };

enum what { OVERWRITE, CUT_OFF, DELETE, ADD_BYTES, MOVE, WHAT_COUNT };

struct change {
	uint8_t table, record, what, at, size;
	const uint8_t *bytes;
};

struct changes {
	struct change list[CHANGES_MAX];
	size_t count;
	struct store_cmd cmd;
	struct sl_arena arena;
	sem_t finished;
};

static struct {
	uint8_t *bytes; /* of a sound data.mdb */
	size_t size;
	char *folder; /* where it is written, changed and read */
	char file[256];
	FILE *nowhere;
} seed;

static void expect(int holds)
{
	if (!holds) {
		abort();
	}
}

/* --- a store with something in most tables ------------------------------------------------- */

static void fill(struct world *w)
{
	(void)world_repository(w, "apps", SLUICE__V1__PUBLISH_MODE__PUBLISH_MODE_TAGS);
	Sluice__V1__CreateAppResponse *shop = world_app(w, "shop", "apps");
	world_produce(w, "shop", "v1", true);
	(void)world_version(w, "shop", "v2");
	world_ready(w, "shop", "v2", 2);
	(void)world_version(w, "shop", "v3");
	world_failed(w, "shop", "v3", SLUICE__V1__CONTENT_REASON__CONTENT_REASON_PATH_NOT_FOUND);
	(void)world_app(w, "blog", "apps");
	Sluice__V1__NoteVersionRequest note = SLUICE__V1__NOTE_VERSION_REQUEST__INIT;
	note.app = "shop";
	note.version = "v1";
	note.text = "it works";
	(void)world_call(w, "NoteVersion", &note);
	Sluice__V1__BlockVersionRequest block = SLUICE__V1__BLOCK_VERSION_REQUEST__INIT;
	Sluice__V1__WriteOptions why = SLUICE__V1__WRITE_OPTIONS__INIT;
	why.reason = "it does not";
	block.app = "shop";
	block.version = "v2";
	block.mode = SLUICE__V1__BLOCK_MODE__BLOCK_MODE_NO_NEW;
	block.write = &why;
	(void)world_call(w, "BlockVersion", &block);
	const char *instance = world_instance(w, "prod-1", ENV_PRODUCTION);
	(void)world_instance(w, "dev-1", ENV_DEVELOPMENT);
	world_status(w, instance, shop->app->id, shop->version->id);
}

static void read_seed(const char *folder)
{
	struct stat st;
	char path[256];
	(void)snprintf(path, sizeof(path), "%s/data.mdb", folder);
	FILE *file = fopen(path, "rbe");
	expect(file != NULL && fstat(fileno(file), &st) == 0 && st.st_size <= STORE_BYTES_MAX);
	seed.size = (size_t)st.st_size;
	seed.bytes = malloc(seed.size);
	expect(seed.bytes != NULL && fread(seed.bytes, 1, seed.size, file) == seed.size);
	(void)fclose(file);
}

static void begin(void)
{
	void *state = NULL;
	expect(setenv("CMOCKA_TEST_ABORT", "1", 1) == 0); /* a failed step of world's is a crash */
	expect(world_setup(&state) == 0);
	struct world *w = state;
	fill(w);
	store_free(w->store);
	read_seed(w->path);
	sl_arena_fini(&w->arena);
	tmpdir_free(w->path);
	free(w);
	seed.folder = tmpdir_new();
	(void)snprintf(seed.file, sizeof(seed.file), "%s/data.mdb", seed.folder);
	seed.nowhere = fopen("/dev/null", "we");
	expect(seed.nowhere != NULL);
}

static void end(void)
{
	tmpdir_free(seed.folder);
	free(seed.bytes);
	(void)fclose(seed.nowhere);
}

static void put_seed(void)
{
	FILE *file = fopen(seed.file, "wbe");
	expect(file != NULL && fwrite(seed.bytes, 1, seed.size, file) == seed.size);
	expect(fclose(file) == 0);
}

/* --- changing it ------------------------------------------------------------------------------ */

static void parse(struct changes *changes, const uint8_t *data, size_t size)
{
	while (size >= 5 && changes->count < CHANGES_MAX) {
		struct change *c = &changes->list[changes->count++];
		*c = (struct change){data[0] % TABLE_COUNT,
				     data[1],
				     data[2] % WHAT_COUNT,
				     data[3],
				     data[4],
				     data + 5};
		size_t left = size - 5;
		c->size = c->size > left ? (uint8_t)left : c->size;
		data += 5 + c->size;
		size = left - c->size;
	}
}

static bool find(const struct store_view *view, const struct change *c, struct store_walk *walk)
{
	unsigned at = 0;
	store_walk_begin(walk, view, c->table, SL_BYTES_NONE, STORE_FORWARD);
	while (store_walk_next(walk)) {
		if (at++ == c->record) {
			return true;
		}
	}
	return false;
}

/* The record's value after the change. */
static struct sl_bytes changed(struct sl_arena *arena, const struct change *c,
			       struct sl_bytes value)
{
	uint8_t *out = sl_arena_alloc(arena, value.size + c->size + 1);
	size_t at = value.size == 0 ? 0 : c->at % value.size;
	expect(out != NULL);
	if (value.size > 0) {
		memcpy(out, value.data, value.size);
	}
	if (c->what == CUT_OFF) {
		return SL_BYTES(out, at);
	}
	if (c->what == ADD_BYTES) {
		memcpy(out + value.size, c->bytes, c->size);
		return SL_BYTES(out, value.size + c->size);
	}
	size_t room = value.size - at;
	memcpy(out + at, c->bytes, c->size < room ? c->size : room);
	return SL_BYTES(out, value.size);
}

static void apply(struct changes *changes, const struct change *c, const struct store_view *view,
		  struct store_changes *out)
{
	SL_AUTO(store_walk_end) struct store_walk walk;
	if (!find(view, c, &walk)) {
		return;
	}
	if (c->what == DELETE) {
		store_changes_delete(out, c->table, walk.key);
		return;
	}
	if (c->what != MOVE) {
		store_changes_put(out, c->table, walk.key, changed(&changes->arena, c, walk.value));
		return;
	}
	struct change key = *c;
	key.what = OVERWRITE;
	struct sl_bytes to = changed(&changes->arena, &key, walk.key);
	store_changes_put(out, c->table, to, walk.value);
}

static sl_code decide(struct store_cmd *cmd, const struct store_view *view,
		      struct store_changes *out, struct sl_err *err)
{
	struct changes *changes = SL_CONTAINER_OF(cmd, struct changes, cmd);
	Sluice__Store__V1__LogRecord record = SLUICE__STORE__V1__LOG_RECORD__INIT;
	(void)err;
	for (size_t i = 0; i < changes->count; i++) {
		apply(changes, &changes->list[i], view, out);
	}
	record.revision = store_changes_revision(out);
	size_t size = sluice__store__v1__log_record__get_packed_size(&record);
	uint8_t *bytes = sl_arena_alloc(&changes->arena, size + 1);
	expect(bytes != NULL);
	(void)sluice__store__v1__log_record__pack(&record, bytes);
	store_changes_log(out, SL_BYTES(bytes, size));
	return SL_OK;
}

static void done(struct store_cmd *cmd)
{
	(void)sem_post(&SL_CONTAINER_OF(cmd, struct changes, cmd)->finished);
}

static struct store *open_it(void)
{
	struct store *store = NULL;
	const struct store_options options = {.path = seed.folder,
					      .map_bytes = SMALL_MAP,
					      .queue_max = 16,
					      .tables = record_table_names,
					      .table_count = TABLE_COUNT};
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	expect(store_open(&options, &store, &err) == SL_OK);
	return store;
}

static void change(struct changes *changes)
{
	struct store *store = open_it();
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	changes->cmd = (struct store_cmd){.decide = decide, .done = done, .err = SL_ERR_INIT};
	expect(sem_init(&changes->finished, 0, 0) == 0);
	sl_arena_init(&changes->arena, 0);
	expect(store_submit(store, &changes->cmd, &err) == SL_OK);
	while (sem_wait(&changes->finished) != 0) {
	}
	expect(changes->cmd.code == SL_OK);
	(void)sem_destroy(&changes->finished);
	sl_arena_fini(&changes->arena);
	store_free(store);
}

/* --- reading it --- */

/* What a request asks for, by the name of the field. */
static const char *asked(const char *field)
{
	static const struct {
		const char *field, *value;
	} rows[] = {{"app", "shop"},        {"version", "v1"},    {"repository", "apps"},
		    {"instance", "prod-1"}, {"name", "shop"},     {"environment", "production"},
		    {"from", "v1"},         {"to", "production"}, {"target", "production"}};
	for (size_t i = 0; i < SL_COUNT(rows); i++) {
		if (strcmp(field, rows[i].field) == 0) {
			return rows[i].value;
		}
	}
	return "";
}

static void ask(ProtobufCMessage *request)
{
	for (unsigned i = 0; i < request->descriptor->n_fields; i++) {
		const ProtobufCFieldDescriptor *field = &request->descriptor->fields[i];
		if (field->type == PROTOBUF_C_TYPE_STRING &&
		    field->label == PROTOBUF_C_LABEL_NONE &&
		    (field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) == 0) {
			*(const char **)((char *)request + field->offset) = asked(field->name);
		}
	}
}

static void read_one(const struct service_method *method, const struct services *services,
		     const struct store_view *view)
{
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	SL_AUTO(sl_arena_fini) struct sl_arena arena;
	sl_arena_init(&arena, 0);
	ProtobufCMessage *request = sl_arena_alloc(&arena, method->request->sizeof_message);
	ProtobufCMessage *response = sl_arena_alloc(&arena, method->response->sizeof_message);
	expect(request != NULL && response != NULL);
	protobuf_c_message_init(method->request, request);
	protobuf_c_message_init(method->response, response);
	ask(request);
	struct service_read read = {.services = services,
				    .view = view,
				    .arena = &arena,
				    .workspace = WORLD,
				    .workspace_name = "default",
				    .principal = "tester",
				    .caller = &access_anonymous,
				    .rights = &rights_everything};
	sl_code code = method->check != NULL ? method->check(request, &err) : SL_OK;
	code = code == SL_OK ? method->read(&read, request, response, &err) : code;
	if (code == SL_INTERNAL || code == SL_DATA_LOSS) {
		(void)fprintf(stderr, "%s: %s: %s\n", method->path, sl_code_name(code), err.msg);
		abort();
	}
	if (code == SL_OK) {
		size_t size = protobuf_c_message_get_packed_size(response);
		uint8_t *bytes = malloc(size + 1);
		expect(bytes != NULL && protobuf_c_message_pack(response, bytes) == size);
		free(bytes);
	}
}

static void read_all(const struct services *services)
{
	static const struct {
		const struct service_method *rows;
		size_t count;
	} tables[] = {
	    {workspace_methods, SL_COUNT(workspace_methods)},
	    {environment_methods, SL_COUNT(environment_methods)},
	    {repository_methods, SL_COUNT(repository_methods)},
	    {app_methods, SL_COUNT(app_methods)},
	    {version_methods, SL_COUNT(version_methods)},
	    {promotion_methods, SL_COUNT(promotion_methods)},
	    {release_methods, SL_COUNT(release_methods)},
	    {fleet_methods, SL_COUNT(fleet_methods)},
	};
	const struct store_view *view = NULL;
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	expect(store_view_begin(services->store, &view, &err) == SL_OK);
	expect(requests_load(services->requests, view, 1800000000000u, &err) == SL_OK);
	for (size_t i = 0; i < SL_COUNT(tables); i++) {
		for (size_t j = 0; j < tables[i].count; j++) {
			if (tables[i].rows[j].read != NULL) {
				read_one(&tables[i].rows[j], services, view);
			}
		}
	}
	store_view_end(view);
}

static void serve(void)
{
	struct server_config config = {.page_max = 1000};
	struct services services = {.store = open_it(), .config = &config};
	const struct fleet_options options = {.store = services.store, .heartbeat_ms = 10000};
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	expect(fleet_new(&options, &services.fleet, &err) == SL_OK);
	expect(requests_new(KEPT, 60000, &services.requests, &err) == SL_OK);
	read_all(&services);
	fleet_stop(services.fleet);
	store_free(services.store);
	fleet_free(services.fleet);
	requests_free(services.requests);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (seed.bytes == NULL) {
		begin();
		expect(atexit(end) == 0);
	}
	struct changes changes = {.count = 0};
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	uint64_t checked = 0, faults = 0;
	parse(&changes, data, size);
	put_seed();
	change(&changes);
	expect(records_verify(seed.folder, seed.nowhere, &checked, &faults, &err) == SL_OK);
	expect(checked > 0 && (changes.count > 0 || faults == 0));
	if (faults == 0) {
		serve();
	}
	return 0;
}
