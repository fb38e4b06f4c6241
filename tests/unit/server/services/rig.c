#include "tests/unit/server/services/rig.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock/clock.h"
#include "base/crypto/crypto.h"
#include "server/records/bootstrap.h"
#include "server/records/verify.h"
#include "tests/lib/tmpdir.h"
#include "tests/lib/wait.h"

enum { CALL_MS = 30000 };

/* --- parts ------------------------------------------------------------------------- */

static void on_commit(void *ctx, uint64_t first, uint64_t last, uint64_t tables)
{
	(void)tables;
	struct rig *rig = ctx;
	(void)first, (void)last;
	if (rig->services.watch != NULL) {
		watch_committed(rig->services.watch);
	}
}

static enum store_prune on_prune(void *ctx, uint64_t revision, struct sl_bytes record)
{
	struct rig *rig = ctx;
	uint64_t oldest = requests_oldest_revision(rig->services.requests, sl_clock_unix_ms());
	return records_prune(record, revision, oldest);
}

static void must(sl_code code, const struct sl_err *err)
{
	if (code != SL_OK) {
		fail_msg("%s: %s", sl_code_name(code), err->msg);
	}
}

static void open_store(struct rig *rig)
{
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	const struct store_options options = {
	    .path = rig->path,
	    .map_bytes = rig->map_bytes,
	    .reserve_bytes = rig->reserve_bytes,
	    .queue_max = rig->queue_max,
	    .tables = record_table_names,
	    .table_count = TABLE_COUNT,
	    .on_commit = on_commit,
	    .prune = on_prune,
	    .ctx = rig,
	};
	struct services *services = &rig->services;
	must(requests_new((size_t)rig->config.requests_max, rig->config.requests_keep_ms,
			  &services->requests, &err),
	     &err);
	must(store_open(&options, &services->store, &err), &err);
	must(records_bootstrap(services->store, sl_clock_unix_ms(), &err), &err);
	const struct store_view *view = NULL;
	must(store_view_begin(services->store, &view, &err), &err);
	must(requests_load(services->requests, view, sl_clock_unix_ms(), &err), &err);
	store_view_end(view);
}

static void open_watch(struct rig *rig)
{
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	const struct watch_options options = {
	    .store = rig->services.store,
	    .streams_max = 100,
	    .progress_ms = rig->progress_ms,
	    .stall_ms = rig->stall_ms,
	};
	must(watch_new(&options, &rig->services.watch, &err), &err);
}

static void *serve(void *server)
{
	rpc_server_run(server);
	return NULL;
}

static void open_rpc(struct rig *rig)
{
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	struct rpc_options options = {
	    .listen = "127.0.0.1:0",
	    .ctx = &rig->services,
	    .services = services_names,
	    .tick_ms = 20,
	};
	options.methods = services_rpc_methods(&options.method_count);
	must(rpc_server_new(&options, &rig->rpc, &err), &err);
	assert_int_equal(pthread_create(&rig->thread, NULL, serve, rig->rpc), 0);
	char target[32];
	(void)snprintf(target, sizeof(target), "127.0.0.1:%d", rpc_server_port(rig->rpc));
	const struct crpc_options client = {.target = target, .own_connection = true};
	must(crpc_channel_new(&client, &rig->channel, &err), &err);
}

void rig_resume(struct rig *rig)
{
	rig->services.config = &rig->config;
	open_store(rig);
	if (rig->with_watch) {
		open_watch(rig);
	}
	open_rpc(rig);
}

void rig_start(struct rig *rig)
{
	assert_true(sl_crypto_init());
	crpc_init();
	rig->path = tmpdir_new();
	rig->map_bytes = rig->map_bytes == 0 ? 64 << 20 : rig->map_bytes;
	rig->queue_max = rig->queue_max == 0 ? 256 : rig->queue_max;
	rig->config.page_max = rig->config.page_max == 0 ? 1000 : rig->config.page_max;
	rig->config.requests_max = rig->config.requests_max == 0 ? 1000 : rig->config.requests_max;
	rig->config.requests_keep_ms =
	    rig->config.requests_keep_ms == 0 ? 3600000 : rig->config.requests_keep_ms;
	rig_resume(rig);
}

void rig_stop(struct rig *rig)
{
	rpc_server_stop(rig->rpc);
	watch_stop(rig->services.watch);
	(void)pthread_join(rig->thread, NULL);
	store_free(rig->services.store);
	watch_free(rig->services.watch);
	crpc_channel_free(rig->channel);
	rpc_server_free(rig->rpc);
	requests_free(rig->services.requests);
	rig->services = (struct services){.config = &rig->config};
	rig->rpc = NULL;
}

void rig_end(struct rig *rig)
{
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	uint64_t checked = 0, faults = 0;
	if (rig->rpc != NULL) {
		rig_stop(rig);
	}
	must(records_verify(rig->path, stderr, &checked, &faults, &err), &err);
	assert_int_equal(faults, 0);
	assert_true(checked > 0);
	tmpdir_free(rig->path);
	crpc_shutdown();
}

/* --- calls ------------------------------------------------------------------------- */

void rig_slot_init(struct rig_slot *slot)
{
	*slot = (struct rig_slot){.err = SL_ERR_INIT};
	sl_arena_init(&slot->arena, 0);
}

void rig_slot_fini(struct rig_slot *slot)
{
	sl_err_clear(&slot->err);
	sl_arena_fini(&slot->arena);
	slot->response = NULL;
}

static const struct service_bound_row {
	const struct service_method *rows;
	size_t count;
} tables[] = {
    {workspace_methods, SL_COUNT(workspace_methods)},
    {app_methods, SL_COUNT(app_methods)},
    {repository_methods, SL_COUNT(repository_methods)},
    {fleet_methods, SL_COUNT(fleet_methods)},
};

static const struct service_method *method_named(const char *name)
{
	for (size_t i = 0; i < SL_COUNT(tables); i++) {
		for (size_t j = 0; j < tables[i].count; j++) {
			const struct service_method *method = &tables[i].rows[j];
			if (strcmp(strrchr(method->path, '/') + 1, name) == 0) {
				return method;
			}
		}
	}
	fail_msg("no method %s", name);
	return NULL;
}

sl_code rig_call_bytes(struct rig *rig, struct rig_slot *slot, const char *name,
		       struct sl_bytes bytes)
{
	const struct service_method *method = method_named(name);
	uint8_t *reply = NULL;
	size_t size = 0;
	rig_slot_fini(slot);
	slot->code =
	    crpc_unary(rig->channel, method->path, bytes, CALL_MS, true, &reply, &size, &slot->err);
	if (slot->code == SL_OK) {
		slot->response = protobuf_c_message_unpack(
		    method->response, sl_arena_protobuf(&slot->arena), size, reply);
		assert_non_null(slot->response);
	}
	free(reply);
	return slot->code;
}

sl_code rig_call(struct rig *rig, struct rig_slot *slot, const ProtobufCMessage *request)
{
	char name[64];
	const char *type = request->descriptor->short_name;
	(void)snprintf(name, sizeof(name), "%.*s", (int)(strlen(type) - strlen("Request")), type);
	size_t size = protobuf_c_message_get_packed_size(request);
	SL_AUTO(sl_free_auto) uint8_t *bytes = malloc(size + 1);
	assert_non_null(bytes);
	(void)protobuf_c_message_pack(request, bytes);
	return rig_call_bytes(rig, slot, name, SL_BYTES(bytes, size));
}

const char *rig_meta(const struct rig_slot *slot, const char *key)
{
	for (const struct sl_detail *d = slot->err.details; d != NULL; d = d->next) {
		if (d->kind == SL_DETAIL_METADATA && strcmp(d->subject, key) == 0) {
			return d->text;
		}
	}
	return "";
}

/* --- commands ------------------------------------------------------------------------ */

static sl_code command_decide(struct store_cmd *cmd, const struct store_view *view,
			      struct store_changes *changes, struct sl_err *err)
{
	struct rig_command *c = SL_CONTAINER_OF(cmd, struct rig_command, cmd);
	struct decision d = {
	    .view = view,
	    .changes = changes,
	    .arena = &c->arena,
	    .revision = store_changes_revision(changes),
	    .now_ms = sl_clock_unix_ms(),
	    .workspace = 1,
	    .workspace_name = "default",
	    .principal = "tester",
	    .method = "test",
	    .reason = "",
	};
	c->decided++;
	sl_code code = c->decide(c, &d, err);
	if (code == SL_OK && d.changed) {
		decision_log(&d, NULL);
	}
	return code;
}

static void command_done(struct store_cmd *cmd)
{
	sem_post(&SL_CONTAINER_OF(cmd, struct rig_command, cmd)->finished);
}

static void await(sem_t *semaphore)
{
	while (sem_wait(semaphore) != 0) {
	}
}

void rig_command_submit(struct rig *rig, struct rig_command *c)
{
	c->cmd =
	    (struct store_cmd){.decide = command_decide, .done = command_done, .err = SL_ERR_INIT};
	c->decided = 0;
	sl_arena_init(&c->arena, 0);
	sem_init(&c->finished, 0, 0);
	assert_int_equal(store_submit(rig->services.store, &c->cmd, NULL), SL_OK);
}

sl_code rig_command_wait(struct rig_command *c)
{
	await(&c->finished);
	sl_err_clear(&c->cmd.err);
	sl_arena_fini(&c->arena);
	return c->cmd.code;
}

sl_code rig_command_run(struct rig *rig, struct rig_command *c)
{
	rig_command_submit(rig, c);
	return rig_command_wait(c);
}

static sl_code hold_decide(struct rig_command *c, struct decision *d, struct sl_err *err)
{
	struct rig_hold *hold = SL_CONTAINER_OF(c, struct rig_hold, command);
	(void)d, (void)err;
	sem_post(&hold->held);
	await(&hold->release);
	return SL_OK;
}

void rig_hold(struct rig *rig, struct rig_hold *hold)
{
	*hold = (struct rig_hold){.command = {.decide = hold_decide}};
	sem_init(&hold->held, 0, 0);
	sem_init(&hold->release, 0, 0);
	rig_command_submit(rig, &hold->command);
	await(&hold->held);
}

void rig_release(struct rig_hold *hold)
{
	sem_post(&hold->release);
	assert_int_equal(rig_command_wait(&hold->command), SL_OK);
}

static uint64_t queued(struct rig *rig)
{
	struct store_stats stats;
	store_stats_read(rig->services.store, &stats);
	return stats.queued;
}

void rig_await_queued(struct rig *rig, unsigned count)
{
	assert_true(WAIT_FOR(queued(rig) >= count, CALL_MS));
}

uint64_t rig_revision(struct rig *rig)
{
	struct store_stats stats;
	store_stats_read(rig->services.store, &stats);
	return stats.revision;
}

static sl_code floor_decide(struct rig_command *c, struct decision *d, struct sl_err *err)
{
	(void)err;
	store_changes_set_floor(d->changes, *(const uint64_t *)c->in);
	d->changed = true;
	return SL_OK;
}

void rig_raise_floor(struct rig *rig, uint64_t floor)
{
	struct rig_command c = {.decide = floor_decide, .in = &floor};
	assert_int_equal(rig_command_run(rig, &c), SL_OK);
}
