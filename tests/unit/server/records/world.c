#include "tests/unit/server/records/world.h"

#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/crypto/crypto.h"
#include "base/id/id.h"
#include "server/gitsync/gitsync.h"
#include "server/records/bootstrap.h"
#include "server/records/placement.h"
#include "server/records/promotions.h"
#include "server/records/releases.h"
#include "server/records/statuses.h"
#include "server/records/verify.h"
#include "tests/lib/tmpdir.h"

/* --- a double of gitsync: no Git work is done here, tests say how it went -------------- */

Sluice__V1__RepositoryContact *gitsync_contact(struct gitsync *gitsync,
					       const struct store_view *view,
					       struct sl_arena *arena, uint32_t workspace,
					       const char *repository_id)
{
	(void)gitsync, (void)view, (void)workspace;
	Sluice__V1__RepositoryContact *contact = SL_ARENA_NEW(arena, Sluice__V1__RepositoryContact);
	sluice__v1__repository_contact__init(contact);
	contact->text = sl_arena_printf(arena, "contact of %s", repository_id);
	return contact;
}

void gitsync_look(struct gitsync *gitsync, const char *repository_id, const char *url)
{
	(void)gitsync, (void)repository_id, (void)url;
}

void gitsync_try(struct gitsync *gitsync, const struct gitsync_try_request *request)
{
	const struct git_result fine = {.failure = GIT_OK};
	const struct git_result refused = {.failure = GIT_WRITE_REFUSED, .text = "read only"};
	(void)gitsync;
	request->done(request->ctx, &fine, &refused);
}

bool gitsync_news(struct gitsync *gitsync, const char *repository_id, const char *app_id,
		  struct gitsync_news *ret_news)
{
	(void)gitsync, (void)repository_id, (void)app_id, (void)ret_news;
	return false;
}

struct world_diff world_diff;

void gitsync_ask(struct gitsync *gitsync, const struct gitsync_question *request)
{
	(void)gitsync;
	(void)snprintf(world_diff.asked, sizeof(world_diff.asked), "%s:%s %s:%s",
		       request->from_commit, request->from_path, request->to_commit,
		       request->to_path);
	request->done(request->ctx, &world_diff.result);
}

struct world_reading world_reading;

void gitsync_read(struct gitsync *gitsync, const struct gitsync_read_request *request)
{
	(void)gitsync;
	(void)snprintf(world_reading.asked, sizeof(world_reading.asked), "%d %s:%s",
		       (int)request->op, request->revision, request->path);
	request->done(request->ctx, &world_reading.result);
}

/* --- the store ---------------------------------------------------------------------- */

int world_setup(void **state)
{
	struct world *w = calloc(1, sizeof(*w));
	assert_true(sl_crypto_init());
	w->path = tmpdir_new();
	w->now_ms = 1800000000000u;
	w->config.page_max = 1000;
	w->err = (struct sl_err)SL_ERR_INIT;
	sl_arena_init(&w->arena, 0);
	struct store_options options = {
	    .path = w->path,
	    .map_bytes = 64 << 20,
	    .queue_max = 16,
	    .tables = record_table_names,
	    .table_count = TABLE_COUNT,
	};
	assert_int_equal(store_open(&options, &w->store, &w->err), SL_OK);
	assert_int_equal(records_bootstrap(w->store, w->now_ms, &w->err), SL_OK);
	w->services = (struct services){.store = w->store, .config = &w->config};
	*state = w;
	return 0;
}

int world_teardown(void **state)
{
	struct world *w = *state;
	uint64_t checked = 0, faults = 0;
	store_free(w->store);
	sl_err_clear(&w->err);
	sl_code code = records_verify(w->path, stderr, &checked, &faults, &w->err);
	if (code != SL_OK) {
		print_error("verify: %s\n", w->err.msg);
	}
	sl_err_clear(&w->err);
	sl_arena_fini(&w->arena);
	tmpdir_free(w->path);
	free(w);
	return code == SL_OK && checked > 0 && faults == 0 ? 0 : -1;
}

/* --- commands ----------------------------------------------------------------------- */

struct command {
	struct store_cmd cmd;
	struct world *w;
	world_decide *decide;
	const void *in;
	void *out;
	const Sluice__V1__WriteOptions *options; /* may be NULL */
	const char *method;
	uint8_t secret[32]; /* drawn before, as the server does */
	sem_t finished;
};

static sl_code command_decide(struct store_cmd *cmd, const struct store_view *view,
			      struct store_changes *changes, struct sl_err *err)
{
	struct command *c = SL_CONTAINER_OF(cmd, struct command, cmd);
	struct sl_arena bounded, *arena = &c->w->arena;
	if (c->w->memory != 0) {
		arena = &bounded;
		sl_arena_init(arena, 1); /* nothing more than this: */
		arena->at = sl_arena_alloc(&c->w->arena, c->w->memory);
		arena->end = arena->at + c->w->memory;
	}
	struct decision d = {
	    .view = view,
	    .changes = changes,
	    .arena = arena,
	    .revision = store_changes_revision(changes),
	    .now_ms = c->w->now_ms,
	    .workspace = WORLD,
	    .workspace_name = "default",
	    .principal = "tester",
	    .method = c->method,
	    .reason = c->options != NULL ? c->options->reason : "",
	    .expected_revision = c->options != NULL ? c->options->expected_revision : 0,
	    .secret = c->secret,
	    .services = &c->w->services,
	    .object = SLUICE__V1__AUDIT_OBJECT__INIT,
	};
	for (size_t i = 0; i < DECISION_IDS; i++) {
		d.ids[i] = sl_arena_strdup(&c->w->arena, sl_id_new("new").text + 4);
	}
	sl_code code = c->decide(&d, c->in, c->out, err);
	c->w->events = d.events;
	c->w->event_count = code == SL_OK ? d.event_count : 0;
	if (code == SL_OK && d.changed) {
		decision_log(&d, NULL);
	}
	assert_true(c->w->memory != 0 || !sl_arena_failed(d.arena));
	assert_true(c->w->memory != 0 || d.changed || d.event_count == 0);
	if (code == SL_OK && sl_arena_failed(d.arena)) {
		return sl_err_because(err, SL_RESOURCE_EXHAUSTED, SL_REASON_TOO_MANY,
				      "out of memory");
	}
	return code;
}

static void command_done(struct store_cmd *cmd)
{
	sem_post(&SL_CONTAINER_OF(cmd, struct command, cmd)->finished);
}

static sl_code run(struct world *w, struct command *c)
{
	sl_err_clear(&w->err);
	w->event_count = 0;
	w->now_ms += 1000;
	c->w = w;
	sl_random(c->secret, sizeof(c->secret));
	c->cmd =
	    (struct store_cmd){.decide = command_decide, .done = command_done, .err = SL_ERR_INIT};
	sem_init(&c->finished, 0, 0);
	assert_int_equal(store_submit(w->store, &c->cmd, &w->err), SL_OK);
	while (sem_wait(&c->finished) != 0) {
	}
	sem_destroy(&c->finished);
	w->code = c->cmd.code;
	w->revision = c->cmd.revision;
	sl_err_move(&w->err, &c->cmd.err);
	return w->code;
}

sl_code world_run(struct world *w, world_decide *decide, const void *in, void *out)
{
	struct command c = {.decide = decide, .in = in, .out = out, .method = "test"};
	return run(w, &c);
}

/* --- methods ------------------------------------------------------------------------- */

const struct service_method *world_method(const char *name)
{
	static const struct {
		const struct service_method *rows;
		size_t count;
	} tables[] = {
	    {repository_methods, SL_COUNT(repository_methods)},
	    {app_methods, SL_COUNT(app_methods)},
	    {version_methods, SL_COUNT(version_methods)},
	    {config_methods, SL_COUNT(config_methods)},
	};
	for (size_t i = 0; i < SL_COUNT(tables); i++) {
		for (size_t j = 0; j < tables[i].count; j++) {
			if (strcmp(strrchr(tables[i].rows[j].path, '/') + 1, name) == 0) {
				return &tables[i].rows[j];
			}
		}
	}
	fail_msg("no method %s", name);
	return NULL;
}

/* A request as the server sees it: packed and unpacked. */
static void *over_the_wire(struct world *w, const ProtobufCMessage *message)
{
	size_t size = protobuf_c_message_get_packed_size(message);
	uint8_t *bytes = sl_arena_alloc(&w->arena, size + 1);
	protobuf_c_message_pack(message, bytes);
	void *copy = protobuf_c_message_unpack(message->descriptor, sl_arena_protobuf(&w->arena),
					       size, bytes);
	assert_non_null(copy);
	return copy;
}

static void read_method(struct world *w, const struct service_method *method, const void *request,
			void *response)
{
	struct service_read read = {
	    .services = &w->services,
	    .arena = &w->arena,
	    .workspace = WORLD,
	    .workspace_name = "default",
	    .principal = "tester",
	    .caller = &access_anonymous,
	    .rights = &rights_everything,
	};
	assert_int_equal(store_view_begin(w->store, &read.view, &w->err), SL_OK);
	w->code = method->read(&read, request, response, &w->err);
	store_view_end(read.view);
}

static void write_method(struct world *w, const struct service_method *method, const void *request,
			 void *response)
{
	const ProtobufCFieldDescriptor *write =
	    protobuf_c_message_descriptor_get_field_by_name(method->request, "write");
	struct command c = {.decide = method->decide, .in = request, .out = response};
	c.method = strrchr(method->path, '/') + 1;
	c.options = *(Sluice__V1__WriteOptions *const *)((const uint8_t *)request + write->offset);
	(void)run(w, &c);
}

void *world_try(struct world *w, const char *name, const void *message)
{
	const struct service_method *method = world_method(name);
	assert_ptr_equal(((const ProtobufCMessage *)message)->descriptor, method->request);
	void *request = over_the_wire(w, message);
	void *response = sl_arena_alloc(&w->arena, method->response->sizeof_message);
	protobuf_c_message_init(method->response, response);
	sl_err_clear(&w->err);
	w->revision = 0;
	w->event_count = 0;
	w->code = method->check != NULL ? method->check(request, &w->err) : SL_OK;
	if (w->code == SL_OK && method->read != NULL) {
		read_method(w, method, request, response);
	} else if (w->code == SL_OK) {
		write_method(w, method, request, response);
	}
	assert_int_equal(w->code, w->err.code);
	return w->code == SL_OK ? over_the_wire(w, response) : NULL;
}

void *world_call(struct world *w, const char *name, const void *request)
{
	void *response = world_try(w, name, request);
	if (response == NULL) {
		fail_msg("%s: %s: %s", name, sl_code_name(w->code), w->err.msg);
	}
	return response;
}

void world_refuse(struct world *w, const char *name, const void *request, sl_code code,
		  enum sl_reason reason)
{
	(void)world_try(w, name, request);
	if (w->code != code || w->err.reason != reason) {
		fail_msg("%s: %s / %s, not %s / %s: %s", name, sl_code_name(w->code),
			 sl_reason_name(w->err.reason), sl_code_name(code), sl_reason_name(reason),
			 w->err.msg);
	}
	assert_int_equal(w->revision, 0);
	assert_true(strlen(w->err.msg) > 10);
}

/* --- raw records --------------------------------------------------------------------- */

struct raw {
	enum record_table table;
	struct record_key key;
	const ProtobufCMessage *record;
};

static sl_code raw_decide(struct decision *d, const void *in, void *out, struct sl_err *err)
{
	const struct raw *raw = in;
	(void)out;
	(void)err;
	decision_put(d, raw->table, &raw->key, raw->record);
	return SL_OK;
}

void world_put(struct world *w, enum record_table table, struct record_key key,
	       const ProtobufCMessage *record)
{
	struct raw raw = {.table = table, .key = key, .record = record};
	assert_int_equal(world_run(w, raw_decide, &raw, NULL), SL_OK);
}

void *world_get(struct world *w, enum record_table table, struct record_key key,
		const ProtobufCMessageDescriptor *type)
{
	const struct store_view *view = NULL;
	void *record = NULL;
	assert_int_equal(store_view_begin(w->store, &view, &w->err), SL_OK);
	sl_code code = record_get(view, &w->arena, table, &key, type, &record, &w->err);
	store_view_end(view);
	assert_true(code == SL_OK || code == SL_NOT_FOUND);
	return code == SL_OK ? record : NULL;
}

size_t world_count(struct world *w, enum record_table table, struct record_key prefix)
{
	const struct store_view *view = NULL;
	struct store_walk walk;
	size_t count = 0;
	assert_int_equal(store_view_begin(w->store, &view, &w->err), SL_OK);
	store_walk_begin(&walk, view, table, key_bytes(&prefix), STORE_FORWARD);
	while (store_walk_next(&walk)) {
		count++;
	}
	assert_int_equal(store_walk_result(&walk, &w->err), SL_OK);
	store_walk_end(&walk);
	store_view_end(view);
	return count;
}

bool world_has_event(const struct world *w, Sluice__V1__EventType type, Sluice__V1__EventKind kind)
{
	for (size_t i = 0; i < w->event_count; i++) {
		if (w->events[i]->type == type && w->events[i]->kind == kind) {
			return w->events[i]->object_case ==
			       (Sluice__V1__Event__ObjectCase)(kind + 15);
		}
	}
	return false;
}

/* --- beginnings ---------------------------------------------------------------------- */

Sluice__V1__Repository *world_repository(struct world *w, const char *name,
					 Sluice__V1__PublishMode publish)
{
	Sluice__V1__CreateRepositoryRequest request = SLUICE__V1__CREATE_REPOSITORY_REQUEST__INIT;
	request.name = (char *)name;
	request.url = sl_arena_printf(&w->arena, "https://example.com/git/%s.git", name);
	request.publish = publish;
	return ((Sluice__V1__CreateRepositoryResponse *)world_call(w, "CreateRepository", &request))
	    ->repository;
}

Sluice__V1__CreateAppResponse *world_app(struct world *w, const char *name, const char *repository)
{
	Sluice__V1__CreateAppRequest request = SLUICE__V1__CREATE_APP_REQUEST__INIT;
	request.name = (char *)name;
	request.repository = (char *)repository;
	return world_call(w, "CreateApp", &request);
}

Sluice__V1__Version *world_version(struct world *w, const char *app, const char *name)
{
	Sluice__V1__CreateVersionRequest request = SLUICE__V1__CREATE_VERSION_REQUEST__INIT;
	request.app = (char *)app;
	request.name = (char *)name;
	return ((Sluice__V1__CreateVersionResponse *)world_call(w, "CreateVersion", &request))
	    ->version;
}

static sl_code content_decide(struct decision *d, const void *in, void *out, struct sl_err *err)
{
	(void)out;
	return versions_decide_content_result(d, in, err);
}

static sl_code publish_decide(struct decision *d, const void *in, void *out, struct sl_err *err)
{
	(void)out;
	return versions_decide_publish_result(d, in, err);
}

void world_ready(struct world *w, const char *app, const char *version, uint8_t fill)
{
	Sluice__Store__V1__VersionRecord *record = world_version_record(w, app, version);
	uint8_t digest[32];
	memset(digest, fill, sizeof(digest));
	struct version_content_result result = {
	    .app_id = record->app_id,
	    .version = record->number,
	    .generation = record->content->generation,
	    .commit = "0123456789abcdef0123456789abcdef01234567",
	    .tree = "89abcdef0123456789abcdef0123456789abcdef",
	    .ref = "refs/heads/main",
	    .digest = digest,
	    .files = 3,
	    .bytes = 300,
	    .subject = "Say hello",
	    .author = "Ann <ann@example.com>",
	    .commit_s = 1700000000,
	};
	assert_int_equal(world_run(w, content_decide, &result, NULL), SL_OK);
	assert_int_not_equal(w->revision, 0);
}

void world_failed(struct world *w, const char *app, const char *version,
		  Sluice__V1__ContentReason reason)
{
	Sluice__Store__V1__VersionRecord *record = world_version_record(w, app, version);
	struct version_content_result result = {
	    .app_id = record->app_id,
	    .version = record->number,
	    .generation = record->content->generation,
	    .reason = reason,
	    .text = "it did not work",
	    .next_ms = w->now_ms + 60000,
	};
	assert_int_equal(world_run(w, content_decide, &result, NULL), SL_OK);
	assert_int_not_equal(w->revision, 0);
}

void world_published(struct world *w, const char *app, const char *version)
{
	Sluice__Store__V1__VersionRecord *record = world_version_record(w, app, version);
	struct version_publish_result result = {
	    .app_id = record->app_id,
	    .version = record->number,
	    .commit = "fedcba9876543210fedcba9876543210fedcba98",
	};
	assert_int_equal(world_run(w, publish_decide, &result, NULL), SL_OK);
}

static sl_code promote_decide(struct decision *d, const void *in, void *out, struct sl_err *err)
{
	return promotions_decide(d, in, out, err);
}

void world_promote(struct world *w, const char *app, const char *version)
{
	Sluice__Store__V1__VersionRecord *record = world_version_record(w, app, version);
	struct promotion_request request = {
	    .app = app,
	    .version = version,
	    .from = environment_name(record->environment),
	    .to = "",
	};
	struct promotion_outcome outcome = {0};
	if (world_run(w, promote_decide, &request, &outcome) != SL_OK) {
		fail_msg("promote %s: %s", version, w->err.msg);
	}
}

struct release_named {
	const char *app, *version;
};

static sl_code release_decide(struct decision *d, const void *in, void *out, struct sl_err *err)
{
	const struct release_named *named = in;
	return releases_decide_release(d, named->app, named->version, SL_BYTES_NONE, out, err);
}

void world_produce(struct world *w, const char *app, const char *version, bool release)
{
	struct release_named named = {app, version};
	struct release_outcome outcome = {0};
	world_ready(w, app, version, (uint8_t)version[strlen(version) - 1]);
	world_promote(w, app, version);
	world_published(w, app, version);
	world_promote(w, app, version);
	if (release && world_run(w, release_decide, &named, &outcome) != SL_OK) {
		fail_msg("release %s: %s", version, w->err.msg);
	}
}

Sluice__V1__Version *world_get_version(struct world *w, const char *app, const char *version)
{
	Sluice__V1__GetVersionRequest request = SLUICE__V1__GET_VERSION_REQUEST__INIT;
	request.app = (char *)app;
	request.version = (char *)version;
	return ((Sluice__V1__GetVersionResponse *)world_call(w, "GetVersion", &request))->version;
}

Sluice__Store__V1__AppRecord *world_app_record(struct world *w, const char *app)
{
	const struct store_view *view = NULL;
	Sluice__Store__V1__AppRecord *record = NULL;
	assert_int_equal(store_view_begin(w->store, &view, &w->err), SL_OK);
	assert_int_equal(app_find(view, &w->arena, WORLD, app, &record, &w->err), SL_OK);
	store_view_end(view);
	return record;
}

Sluice__Store__V1__VersionRecord *world_version_record(struct world *w, const char *app,
						       const char *version)
{
	Sluice__Store__V1__AppRecord *app_record = world_app_record(w, app);
	const struct store_view *view = NULL;
	Sluice__Store__V1__VersionRecord *record = NULL;
	assert_int_equal(store_view_begin(w->store, &view, &w->err), SL_OK);
	assert_int_equal(
	    version_find(view, &w->arena, WORLD, app_record, version, &record, &w->err), SL_OK);
	store_view_end(view);
	return record;
}

struct named_instance {
	const char *id, *name;
	uint32_t environment;
};

static sl_code instance_decide(struct decision *d, const void *in, void *out, struct sl_err *err)
{
	const struct named_instance *named = in;
	Sluice__Store__V1__InstanceRecord record = SLUICE__STORE__V1__INSTANCE_RECORD__INIT;
	(void)out;
	(void)err;
	record.id = (char *)named->id;
	record.name = (char *)named->name;
	record.environment = named->environment;
	record.revision = d->revision;
	struct record_key key = KEY(WORLD, key_text(k, named->id)),
			  name = KEY(WORLD, key_text(k, named->name));
	decision_put(d, TABLE_INSTANCES, &key, &record.base);
	decision_put_bytes(d, TABLE_INSTANCES_BY_NAME, &name, sl_bytes_text(named->id));
	placement_put(d, &record);
	return SL_OK;
}

const char *world_instance(struct world *w, const char *name, uint32_t environment)
{
	struct named_instance named = {sl_arena_strdup(&w->arena, sl_id_new("ins").text), name,
				       environment};
	assert_int_equal(world_run(w, instance_decide, &named, NULL), SL_OK);
	return named.id;
}

struct running {
	const char *instance_id, *app_id, *version_id;
};

static sl_code running_decide(struct decision *d, const void *in, void *out, struct sl_err *err)
{
	const struct running *running = in;
	Sluice__Store__V1__StatusRecord status = SLUICE__STORE__V1__STATUS_RECORD__INIT;
	(void)out, (void)err;
	status.version_id = (char *)running->version_id;
	status.active_version_id = (char *)running->version_id;
	status.phase = SLUICE__V1__PHASE__PHASE_HEALTHY;
	status_put(d, running->instance_id, running->app_id, false, &status);
	return SL_OK;
}

void world_status(struct world *w, const char *instance_id, const char *app_id,
		  const char *version_id)
{
	struct running running = {instance_id, app_id, version_id};
	assert_int_equal(world_run(w, running_decide, &running, NULL), SL_OK);
}
