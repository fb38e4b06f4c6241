#include "tests/unit/server/watch/world.h"

#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock/clock.h"
#include "base/mem/own.h"
#include "server/records/records.h"
#include "tests/lib/tmpdir.h"
#include "tests/lib/wait.h"

enum { LONG_MS = 60000 };

/* --- the server's side ------------------------------------------------------------------ */

static void on_commit(void *ctx, uint64_t first, uint64_t last, uint64_t tables)
{
	(void)tables;
	struct world *w = ctx;
	(void)first, (void)last;
	if (w->watch != NULL) {
		watch_committed(w->watch);
	}
}

/* As sluiced does it: nothing goes that watch has not seen. */
static enum store_prune on_prune(void *ctx, uint64_t revision, struct sl_bytes record)
{
	const struct world *w = ctx;
	(void)record;
	return revision > watch_position(w->watch) ? STORE_PRUNE_LATER : STORE_PRUNE_DROP;
}

static void on_record(void *ctx, const struct store_view *view,
		      const Sluice__Store__V1__LogRecord *record)
{
	struct world *w = ctx;
	(void)view;
	w->hook_failed = w->hook_failed || record->revision != w->hooked + 1;
	w->hooked = record->revision;
}

static void on_batch(void *ctx, const struct store_view *view)
{
	struct world *w = ctx;
	w->hook_failed = w->hook_failed || store_view_revision(view) < w->hooked;
	w->batches++;
}

static void on_failure(void *ctx, const struct sl_err *err)
{
	struct world *w = ctx;
	w->failure = err->code;
	atomic_fetch_add(&w->failures, 1);
}

/* What a stream's only message says. */
struct ask {
	struct watch_filter filter;
	uint64_t from;
};

static void on_message(struct rpc_stream *stream, struct sl_bytes message, void *ctx)
{
	struct world *w = ctx;
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	struct ask ask;
	memcpy(&ask, message.data, sizeof(ask));
	sl_code code = watch_open(w->watch, stream, &ask.filter, ask.from, &err);
	if (code != SL_OK) {
		rpc_stream_finish(stream, code, &err);
	}
}

static void on_drained(struct rpc_stream *stream, void *ctx)
{
	watch_drained(((struct world *)ctx)->watch, stream);
}

static void on_closed(struct rpc_stream *stream, void *ctx)
{
	watch_closed(((struct world *)ctx)->watch, stream);
}

static const struct rpc_stream_events events = {
    .message = on_message,
    .drained = on_drained,
    .closed = on_closed,
};
static const struct rpc_method method = {.path = "/t/Watch", .stream = &events};

static void *serve(void *server)
{
	rpc_server_run(server);
	return NULL;
}

static void must(sl_code code, const struct sl_err *err)
{
	if (code != SL_OK) {
		fail_msg("%s: %s", sl_code_name(code), err->msg);
	}
}

static void open_rpc(struct world *w)
{
	static const char *const names[] = {"t", NULL};
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	const struct rpc_options options = {.listen = "127.0.0.1:0",
					    .methods = &method,
					    .method_count = 1,
					    .ctx = w,
					    .services = names,
					    .tick_ms = 20};
	char target[32];
	crpc_init();
	must(rpc_server_new(&options, &w->rpc, &err), &err);
	assert_int_equal(pthread_create(&w->thread, NULL, serve, w->rpc), 0);
	(void)snprintf(target, sizeof(target), "127.0.0.1:%d", rpc_server_port(w->rpc));
	const struct crpc_options client = {.target = target, .own_connection = true};
	must(crpc_channel_new(&client, &w->channel, &err), &err);
}

struct world *world_new(unsigned progress_ms, unsigned stall_ms, unsigned streams_max)
{
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	struct world *w = calloc(1, sizeof(*w));
	assert_non_null(w);
	pthread_mutex_init(&w->lock, NULL);
	w->path = tmpdir_new();
	const struct store_options store = {.path = w->path,
					    .map_bytes = 256 << 20,
					    .queue_max = 256,
					    .tables = record_table_names,
					    .table_count = TABLE_COUNT,
					    .on_commit = on_commit,
					    .prune = on_prune,
					    .ctx = w};
	must(store_open(&store, &w->store, &err), &err);
	const struct watch_options watch = {.store = w->store,
					    .on_record = on_record,
					    .on_batch = on_batch,
					    .on_failure = on_failure,
					    .ctx = w,
					    .streams_max = streams_max == 0 ? 100 : streams_max,
					    .progress_ms = progress_ms == 0 ? 100 : progress_ms,
					    .stall_ms = stall_ms};
	must(watch_new(&watch, &w->watch, &err), &err);
	open_rpc(w);
	return w;
}

void world_stop_serving(struct world *w)
{
	if (w->stopped) {
		return;
	}
	w->stopped = true;
	rpc_server_stop(w->rpc);
	watch_stop(w->watch);
	(void)pthread_join(w->thread, NULL);
}

void world_free(struct world *w)
{
	world_stop_serving(w);
	store_free(w->store);
	assert_int_equal(watch_streams(w->watch), 0);
	watch_free(w->watch);
	crpc_channel_free(w->channel);
	rpc_server_free(w->rpc);
	crpc_shutdown();
	assert_false(w->hook_failed);
	pthread_mutex_destroy(&w->lock);
	tmpdir_free(w->path);
	free(w);
}

/* --- writing ------------------------------------------------------------------------------ */

struct writing {
	struct store_cmd cmd;
	struct world *w;
	struct model_change change;
	uint64_t floor; /* 0: not raised */
	bool noise;
	sem_t finished;
};

static Sluice__V1__Event *event_of(struct decision *d, const struct model_event *from,
				   size_t filler)
{
	Sluice__V1__Event *event = decision_event(d, SLUICE__V1__EVENT_TYPE__EVENT_TYPE_UPDATED,
						  (Sluice__V1__EventKind)from->kind, from->app_id,
						  from->environment, from->instance_id);
	event->object_case = SLUICE__V1__EVENT__OBJECT_NOTE;
	event->note = SL_ARENA_NEW(d->arena, Sluice__V1__VersionNote);
	sluice__v1__version_note__init(event->note);
	event->note->by = sl_arena_printf(d->arena, "%lu", (unsigned long)from->serial);
	char *text = sl_arena_alloc(d->arena, filler + 1);
	memset(text, 'x', filler);
	event->note->text = text;
	return event;
}

static sl_code decide(struct store_cmd *cmd, const struct store_view *view,
		      struct store_changes *changes, struct sl_err *err)
{
	struct writing *writing = SL_CONTAINER_OF(cmd, struct writing, cmd);
	const struct model_change *change = &writing->change;
	(void)err;
	if (writing->noise) {
		store_changes_put_meta(changes, "noise", SL_BYTES("x", 1));
		store_changes_log(changes, SL_BYTES("\xff\xff\xff", 3));
		return SL_OK;
	}
	SL_AUTO(sl_arena_fini) struct sl_arena arena;
	sl_arena_init(&arena, 0);
	struct decision d = {.view = view,
			     .changes = changes,
			     .arena = &arena,
			     .revision = store_changes_revision(changes),
			     .now_ms = sl_clock_unix_ms(),
			     .workspace = change->workspace,
			     .principal = "tester",
			     .method = "test",
			     .reason = ""};
	for (size_t i = 0; i < change->events; i++) {
		(void)event_of(&d, &change->event[i], change->filler);
	}
	if (writing->floor != 0) {
		store_changes_set_floor(changes, writing->floor);
	}
	decision_log(&d, NULL);
	return SL_OK;
}

static void done(struct store_cmd *cmd)
{
	struct writing *writing = SL_CONTAINER_OF(cmd, struct writing, cmd);
	struct world *w = writing->w;
	pthread_mutex_lock(&w->lock);
	assert_true(cmd->code == SL_OK && w->changes < CHANGES_MAX);
	writing->change.revision = cmd->revision;
	w->change[w->changes++] = writing->change;
	pthread_mutex_unlock(&w->lock);
	sem_post(&writing->finished);
}

static uint64_t run(struct world *w, struct writing *writing)
{
	writing->w = w;
	writing->cmd.decide = decide;
	writing->cmd.done = done;
	sem_init(&writing->finished, 0, 0);
	pthread_mutex_lock(&w->lock);
	for (size_t i = 0; i < writing->change.events; i++) {
		writing->change.event[i].serial = ++w->serial;
	}
	pthread_mutex_unlock(&w->lock);
	must(store_submit(w->store, &writing->cmd, NULL), &writing->cmd.err);
	while (sem_wait(&writing->finished) != 0) {
	}
	sem_destroy(&writing->finished);
	return writing->cmd.revision;
}

uint64_t world_write(struct world *w, uint32_t workspace, const struct model_event *list,
		     size_t count, size_t filler)
{
	struct writing writing = {
	    .change = {.workspace = workspace, .events = count, .filler = filler}};
	memcpy(writing.change.event, list, count * sizeof(*list));
	return run(w, &writing);
}

uint64_t world_write_any(struct world *w, unsigned *seed, size_t filler)
{
	struct model_event list[EVENTS_MAX] = {{0}};
	size_t count = (size_t)rand_r(seed) % (EVENTS_MAX + 1);
	for (size_t i = 0; i < count; i++) {
		list[i].kind = 1 + (uint32_t)rand_r(seed) % 10;
		list[i].environment = (uint32_t)rand_r(seed) % 4;
		(void)snprintf(list[i].app_id, sizeof(list[i].app_id), "a%d", rand_r(seed) % 3);
		(void)snprintf(list[i].instance_id, sizeof(list[i].instance_id), "%s",
			       rand_r(seed) % 2 == 0 ? "" : "i1");
	}
	return world_write(w, 1 + (uint32_t)rand_r(seed) % 4 / 3, list, count, filler);
}

void world_write_noise(struct world *w)
{
	struct writing writing = {.noise = true};
	(void)run(w, &writing);
}

void world_raise_floor(struct world *w, uint64_t floor)
{
	struct writing writing = {.floor = floor};
	(void)run(w, &writing);
}

uint64_t world_head(struct world *w)
{
	struct store_stats stats;
	store_stats_read(w->store, &stats);
	return stats.revision;
}

uint64_t world_floor(struct world *w)
{
	struct store_stats stats;
	store_stats_read(w->store, &stats);
	return stats.floor;
}

/* --- watching ------------------------------------------------------------------------------- */

static void open_at(struct watcher *r, uint64_t from)
{
	struct ask ask;
	memset(&ask, 0, sizeof(ask));
	ask.filter = r->filter;
	ask.from = from;
	crpc_stream_free(r->stream);
	sl_err_clear(&r->err);
	must(crpc_stream_open(r->w->channel, "/t/Watch", 0, &r->stream, &r->err), &r->err);
	/* A stream that the server has ended already says so when it is read. */
	if (crpc_stream_send(r->stream, SL_BYTES((const uint8_t *)&ask, sizeof(ask)), LONG_MS,
			     NULL) == SL_OK) {
		(void)!crpc_stream_close_send(r->stream, NULL);
	}
}

void watcher_open(struct watcher *r, struct world *w, const struct watch_filter *filter,
		  uint64_t from)
{
	*r = (struct watcher){
	    .w = w, .filter = *filter, .from = from, .bookmark = from, .err = SL_ERR_INIT};
	open_at(r, from);
}

void watcher_resume(struct watcher *r)
{
	open_at(r, r->bookmark);
}

static void keep(struct watcher *r, const Sluice__V1__Change *change)
{
	if (r->count == r->room) {
		r->room = r->room == 0 ? 64 : 2 * r->room;
		r->got = realloc(r->got, r->room * sizeof(*r->got));
		assert_non_null(r->got);
	}
	struct got_change *got = &r->got[r->count++];
	*got = (struct got_change){.revision = change->revision, .events = change->n_events};
	assert_true(change->n_events > 0 && change->n_events <= EVENTS_MAX);
	for (size_t i = 0; i < change->n_events; i++) {
		got->serial[i] = strtoul(change->events[i]->note->by, NULL, 10);
	}
}

/* Ordered, unique, and never beyond the bookmark. */
static void take(struct watcher *r, const Sluice__V1__WatchResponse *response)
{
	assert_true(response->revision >= r->bookmark);
	uint64_t last = r->bookmark;
	for (size_t i = 0; i < response->n_changes; i++) {
		assert_true(response->changes[i]->revision > last);
		last = response->changes[i]->revision;
		keep(r, response->changes[i]);
	}
	assert_true(last <= response->revision);
	if (r->from == 0) {
		assert_int_equal(response->n_changes, 0); /* the first says where it begins */
		r->from = response->revision;
	}
	r->bookmark = response->revision;
	r->messages++;
	r->marks += response->n_changes == 0;
}

bool watcher_step(struct watcher *r, unsigned timeout_ms, bool *ret_ended)
{
	SL_AUTO(sl_free_auto) uint8_t *message = NULL;
	SL_AUTO(sl_arena_fini) struct sl_arena arena;
	size_t size = 0;
	sl_arena_init(&arena, 0);
	*ret_ended = false;
	r->code = crpc_stream_recv(r->stream, timeout_ms, &message, &size, ret_ended, &r->err);
	if (message == NULL) {
		return false;
	}
	Sluice__V1__WatchResponse *response =
	    sluice__v1__watch_response__unpack(sl_arena_protobuf(&arena), size, message);
	assert_non_null(response);
	take(r, response);
	return true;
}

void watcher_await(struct watcher *r, uint64_t revision)
{
	uint64_t deadline = wait_deadline(LONG_MS);
	while (r->bookmark < revision && sl_clock_mono_ms() < deadline) {
		bool ended = false;
		(void)watcher_step(r, 1000, &ended);
		if (ended) {
			fail_msg("ended at %lu: %s", (unsigned long)r->bookmark, r->err.msg);
		}
	}
	assert_true(r->bookmark >= revision);
}

sl_code watcher_await_end(struct watcher *r)
{
	uint64_t deadline = wait_deadline(LONG_MS);
	bool ended = false;
	while (!ended && sl_clock_mono_ms() < deadline) {
		(void)watcher_step(r, 1000, &ended);
	}
	assert_true(ended);
	return r->code;
}

uint64_t watcher_meta(const struct watcher *r, const char *key)
{
	for (const struct sl_detail *d = r->err.details; d != NULL; d = d->next) {
		if (d->kind == SL_DETAIL_METADATA && strcmp(d->subject, key) == 0) {
			return strtoul(d->text, NULL, 10);
		}
	}
	fail_msg("no metadata '%s': %s", key, r->err.msg);
	return 0;
}

static bool passes(const struct watch_filter *f, const struct model_event *e)
{
	bool kind = f->kinds == 0 || (f->kinds & 1u << e->kind) != 0;
	bool environment =
	    f->environment == 0 || e->environment == 0 || e->environment == f->environment;
	bool app = f->app_id[0] == '\0' || strcmp(f->app_id, e->app_id) == 0;
	bool instance = f->instance_id[0] == '\0' || strcmp(f->instance_id, e->instance_id) == 0;
	return kind && environment && app && instance;
}

/* What of a change a watcher must have got. */
static struct got_change expected(const struct watcher *r, const struct model_change *change)
{
	struct got_change want = {.revision = change->revision};
	for (size_t i = 0; change->workspace == r->filter.workspace && i < change->events; i++) {
		if (passes(&r->filter, &change->event[i])) {
			want.serial[want.events++] = change->event[i].serial;
		}
	}
	return want;
}

void watcher_check(const struct watcher *r)
{
	struct world *w = r->w;
	size_t at = 0;
	pthread_mutex_lock(&w->lock);
	for (size_t i = 0; i < w->changes; i++) {
		struct got_change want = expected(r, &w->change[i]);
		if (want.revision <= r->from || want.revision > r->bookmark || want.events == 0) {
			continue;
		}
		if (at == r->count || r->got[at].revision != want.revision) {
			fail_msg("revision %lu is missing", (unsigned long)want.revision);
		}
		assert_int_equal(r->got[at].events, want.events);
		assert_memory_equal(r->got[at].serial, want.serial, sizeof(want.serial));
		at++;
	}
	assert_int_equal(at, r->count);
	pthread_mutex_unlock(&w->lock);
}

void watcher_close(struct watcher *r)
{
	crpc_stream_free(r->stream);
	sl_err_clear(&r->err);
	free(r->got);
	r->stream = NULL;
	r->got = NULL;
}
