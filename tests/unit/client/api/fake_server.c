#include "tests/unit/client/api/fake_server.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <pthread.h>

#include "base/clock/clock.h"
#include "base/mem/own.h"
#include "server/rpc/rpc.h"
#include "sluice/v1/app.pb-c.h"
#include "sluice/v1/fleet.pb-c.h"
#include "sluice/v1/promotion.pb-c.h"
#include "sluice/v1/watch.pb-c.h"

enum { CALLS_MAX = 64, HEAD = 100, FLUSH_MS = 150, TICK_MS = 20 };

struct fake_server {
	struct rpc_server *rpc;
	pthread_t thread;
	pthread_mutex_t lock; /* guards what follows */
	char ids[CALLS_MAX][FAKE_ID_SIZE];
	unsigned calls;
	struct fake_answer answers[CALLS_MAX];
	unsigned answers_count, answered;
	bool hold;
	struct rpc_call *held;
	uint64_t watched_from[CALLS_MAX];
	unsigned watches, changes, ends_count, hasty_changes;
	struct fake_answer ends[CALLS_MAX], hasty_end;
	const Sluice__V1__BackupResponse *backup;
	unsigned backup_count;
	struct fake_answer backup_end;
	struct rpc_stream *ending; /* queue thread only, as what follows */
	uint64_t end_mono_ms;      /* UINT64_MAX: not yet */
	struct fake_answer end;
};

static struct fake_answer note_call(struct fake_server *server, const char *request_id)
{
	struct fake_answer answer = {SL_OK, SL_REASON_NONE};
	pthread_mutex_lock(&server->lock);
	if (server->calls < CALLS_MAX) {
		(void)snprintf(server->ids[server->calls], FAKE_ID_SIZE, "%s", request_id);
	}
	server->calls++;
	if (server->answered < server->answers_count) {
		answer = server->answers[server->answered++];
	}
	pthread_mutex_unlock(&server->lock);
	return answer;
}

static void finish(struct rpc_call *call, struct fake_answer answer,
		   const ProtobufCMessage *response)
{
	if (answer.code != SL_OK) {
		SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
		(void)sl_err_because(&err, answer.code, answer.reason, "the test says no");
		sl_err_meta(&err, "revision", "%d", 7);
		sl_err_gate(&err, "soak", "ver_1", "2 h to go");
		rpc_call_finish(call, answer.code, &err, SL_BYTES_NONE);
		return;
	}
	uint8_t bytes[1024];
	size_t size = protobuf_c_message_pack(response, bytes);
	rpc_call_finish(call, SL_OK, NULL, SL_BYTES(bytes, size));
}

static bool keep_if_held(struct fake_server *server, struct rpc_call *call)
{
	pthread_mutex_lock(&server->lock);
	bool hold = server->hold;
	server->held = hold ? call : NULL;
	pthread_mutex_unlock(&server->lock);
	return hold;
}

static void handle_get_app(struct rpc_call *call, struct sl_bytes request, void *ctx)
{
	struct fake_server *server = ctx;
	(void)request;
	struct fake_answer answer = note_call(server, "");
	if (keep_if_held(server, call)) {
		return;
	}
	Sluice__V1__App app = SLUICE__V1__APP__INIT;
	Sluice__V1__GetAppResponse response = SLUICE__V1__GET_APP_RESPONSE__INIT;
	app.name = (char *)"shop";
	response.app = &app;
	finish(call, answer, &response.base);
}

static void handle_promote(struct rpc_call *call, struct sl_bytes request, void *ctx)
{
	Sluice__V1__PromoteRequest *r =
	    sluice__v1__promote_request__unpack(NULL, request.size, request.data);
	struct fake_answer answer =
	    note_call(ctx, r != NULL && r->write != NULL ? r->write->request_id : "none");
	Sluice__V1__PromoteResponse response = SLUICE__V1__PROMOTE_RESPONSE__INIT;
	sluice__v1__promote_request__free_unpacked(r, NULL);
	finish(call, answer, &response.base);
}

static void handle_list_apps(struct rpc_call *call, struct sl_bytes request, void *ctx)
{
	(void)request, (void)ctx;
	Sluice__V1__PageInfo page = SLUICE__V1__PAGE_INFO__INIT;
	Sluice__V1__ListAppsResponse response = SLUICE__V1__LIST_APPS_RESPONSE__INIT;
	page.revision = HEAD;
	response.page = &page;
	finish(call, (struct fake_answer){SL_OK, SL_REASON_NONE}, &response.base);
}

static void handle_broken(struct rpc_call *call, struct sl_bytes request, void *ctx)
{
	(void)request, (void)ctx;
	rpc_call_finish(call, SL_OK, NULL, sl_bytes_text("\xff\xff\xff"));
}

static void send_change(struct rpc_stream *stream, uint64_t revision)
{
	Sluice__V1__Change change = SLUICE__V1__CHANGE__INIT;
	Sluice__V1__Change *changes[] = {&change};
	Sluice__V1__WatchResponse response = SLUICE__V1__WATCH_RESPONSE__INIT;
	uint8_t bytes[128];
	change.revision = revision;
	response.changes = changes;
	response.n_changes = 1;
	response.revision = revision;
	size_t size = sluice__v1__watch_response__pack(&response, bytes);
	sl_code code = rpc_stream_send_bytes(stream, SL_BYTES(bytes, size), revision);
	if (code != SL_OK && code != SL_CANCELLED) {
		abort();
	}
}

static void end_stream(struct rpc_stream *stream, struct fake_answer end)
{
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	if (end.code == SL_OK) {
		rpc_stream_finish(stream, SL_OK, NULL);
		return;
	}
	(void)sl_err_because(&err, end.code, end.reason, "the test ends it");
	sl_err_meta(&err, "floor", "%d", 42);
	rpc_stream_finish(stream, end.code, &err);
}

/* The stream ends once what was sent is out; one that waited for that was left by its client. */
static void end_when_sent(struct fake_server *server, struct rpc_stream *stream, unsigned sent)
{
	rpc_stream_unref(server->ending);
	server->ending = rpc_stream_ref(stream);
	server->end_mono_ms = sent > 0 ? UINT64_MAX : 0;
}

/* At once: the client may not know yet that its request is out. */
static void end_if_sent(struct rpc_stream *stream, void *ctx)
{
	struct fake_server *server = ctx;
	if (server->ending == stream) {
		end_stream(stream, server->end);
		rpc_stream_unref(SL_TAKE(server->ending));
	}
}

static unsigned hasty_changes(struct fake_server *server)
{
	pthread_mutex_lock(&server->lock);
	unsigned changes = server->hasty_changes;
	pthread_mutex_unlock(&server->lock);
	return changes;
}

static void on_watch_opened(struct rpc_stream *stream, void *ctx)
{
	struct fake_server *server = ctx;
	unsigned changes = hasty_changes(server);
	for (unsigned i = 1; i <= changes; i++) {
		send_change(stream, i);
	}
	if (changes > 0) {
		server->end = server->hasty_end;
		end_when_sent(server, stream, changes);
	}
}

static void on_drained(struct rpc_stream *stream, void *ctx)
{
	struct fake_server *server = ctx;
	if (hasty_changes(server) > 0) {
		end_if_sent(stream, ctx);
	}
	if (server->ending == stream) {
		server->end_mono_ms = sl_clock_mono_ms() + FLUSH_MS;
	}
}

/* A refusal comes at once; any other end once the changes are out. */
static void on_watch(struct rpc_stream *stream, struct sl_bytes message, void *ctx)
{
	struct fake_server *server = ctx;
	if (hasty_changes(server) > 0) {
		return;
	}
	Sluice__V1__WatchRequest *r =
	    sluice__v1__watch_request__unpack(NULL, message.size, message.data);
	uint64_t from = r != NULL ? r->from_revision : 0;
	sluice__v1__watch_request__free_unpacked(r, NULL);
	pthread_mutex_lock(&server->lock);
	unsigned number = server->watches++;
	unsigned changes = server->changes;
	bool ends = number < server->ends_count;
	server->watched_from[number] = from;
	server->end = ends ? server->ends[number] : (struct fake_answer){SL_OK, SL_REASON_NONE};
	pthread_mutex_unlock(&server->lock);
	if (ends && server->end.code == SL_OUT_OF_RANGE) {
		end_stream(stream, server->end);
		return;
	}
	for (unsigned i = 1; i <= changes; i++) {
		send_change(stream, from + i);
	}
	if (ends) {
		end_when_sent(server, stream, changes);
	}
}

/* The queue thread, as all streams' events. */
static void on_tick(void *ctx)
{
	struct fake_server *server = ctx;
	if (server->ending == NULL || sl_clock_mono_ms() < server->end_mono_ms) {
		return;
	}
	struct rpc_stream *stream = SL_TAKE(server->ending);
	end_stream(stream, server->end);
	rpc_stream_unref(stream);
}

static void on_backup(struct rpc_stream *stream, struct sl_bytes message, void *ctx)
{
	struct fake_server *server = ctx;
	(void)message;
	pthread_mutex_lock(&server->lock);
	for (unsigned i = 0; i < server->backup_count; i++) {
		uint8_t bytes[256];
		size_t size = sluice__v1__backup_response__pack(&server->backup[i], bytes);
		if (rpc_stream_send_bytes(stream, SL_BYTES(bytes, size), i) != SL_OK) {
			abort();
		}
	}
	server->end = server->backup_end;
	unsigned sent = server->backup_count;
	pthread_mutex_unlock(&server->lock);
	end_when_sent(server, stream, sent);
}

static const struct rpc_stream_events watch_events = {
    .opened = on_watch_opened, .message = on_watch, .drained = on_drained};
static const struct rpc_stream_events backup_events = {.message = on_backup,
						       .drained = end_if_sent};

static const struct rpc_method methods[] = {
    {.path = "/sluice.v1.AppService/GetApp", .handle = handle_get_app},
    {.path = "/sluice.v1.AppService/ListApps", .handle = handle_list_apps},
    {.path = "/sluice.v1.AppService/OpenApp", .handle = handle_broken},
    {.path = "/sluice.v1.PromotionService/Promote", .handle = handle_promote},
    {.path = "/sluice.v1.WatchService/Watch", .stream = &watch_events},
    {.path = "/sluice.v1.AdminService/Backup", .stream = &backup_events},
};

static void *serve(void *rpc)
{
	rpc_server_run(rpc);
	return NULL;
}

struct fake_server *fake_server_start(int port)
{
	static const char *const services[] = {"sluice.v1.AppService", NULL};
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	struct fake_server *server = calloc(1, sizeof(*server));
	char listen[32];
	(void)snprintf(listen, sizeof(listen), "127.0.0.1:%d", port);
	pthread_mutex_init(&server->lock, NULL);
	const struct rpc_options options = {
	    .listen = listen,
	    .methods = methods,
	    .method_count = SL_COUNT(methods),
	    .services = services,
	    .ctx = server,
	    .drain_ms = 200,
	    .on_tick = on_tick,
	    .tick_ms = TICK_MS,
	};
	if (rpc_server_new(&options, &server->rpc, &err) != SL_OK) {
		(void)fprintf(stderr, "%s\n", err.msg);
		abort();
	}
	pthread_create(&server->thread, NULL, serve, server->rpc);
	return server;
}

int fake_server_port(const struct fake_server *server)
{
	return rpc_server_port(server->rpc);
}

void fake_server_stop(struct fake_server *server)
{
	if (server == NULL) {
		return;
	}
	pthread_mutex_lock(&server->lock);
	struct rpc_call *held = SL_TAKE(server->held);
	pthread_mutex_unlock(&server->lock);
	if (held != NULL) {
		finish(held, (struct fake_answer){SL_UNAVAILABLE, SL_REASON_STOPPING}, NULL);
	}
	rpc_server_stop(server->rpc);
	pthread_join(server->thread, NULL);
	rpc_stream_unref(server->ending);
	rpc_server_free(server->rpc);
	pthread_mutex_destroy(&server->lock);
	free(server);
}

void fake_server_answer(struct fake_server *server, const struct fake_answer *answers,
			unsigned count)
{
	pthread_mutex_lock(&server->lock);
	memcpy(server->answers, answers, count * sizeof(*answers));
	server->answers_count = count;
	server->answered = 0;
	pthread_mutex_unlock(&server->lock);
}

void fake_server_hold(struct fake_server *server)
{
	pthread_mutex_lock(&server->lock);
	server->hold = true;
	pthread_mutex_unlock(&server->lock);
}

unsigned fake_server_calls(struct fake_server *server)
{
	pthread_mutex_lock(&server->lock);
	unsigned calls = server->calls;
	pthread_mutex_unlock(&server->lock);
	return calls;
}

void fake_server_request_id(struct fake_server *server, unsigned i, char text[static FAKE_ID_SIZE])
{
	pthread_mutex_lock(&server->lock);
	memcpy(text, server->ids[i], FAKE_ID_SIZE);
	pthread_mutex_unlock(&server->lock);
}

unsigned fake_server_watches(struct fake_server *server)
{
	pthread_mutex_lock(&server->lock);
	unsigned watches = server->watches;
	pthread_mutex_unlock(&server->lock);
	return watches;
}

uint64_t fake_server_watched_from(struct fake_server *server, unsigned i)
{
	pthread_mutex_lock(&server->lock);
	uint64_t from = server->watched_from[i];
	pthread_mutex_unlock(&server->lock);
	return from;
}

void fake_server_watch_plan(struct fake_server *server, unsigned changes,
			    const struct fake_answer *ends, unsigned count)
{
	pthread_mutex_lock(&server->lock);
	server->changes = changes;
	server->ends_count = count;
	if (count > 0) {
		memcpy(server->ends, ends, count * sizeof(*ends));
	}
	pthread_mutex_unlock(&server->lock);
}

void fake_server_watch_hastily(struct fake_server *server, unsigned changes, struct fake_answer end)
{
	pthread_mutex_lock(&server->lock);
	server->hasty_changes = changes;
	server->hasty_end = end;
	pthread_mutex_unlock(&server->lock);
}

void fake_server_backup_plan(struct fake_server *server, const Sluice__V1__BackupResponse *messages,
			     unsigned count, struct fake_answer end)
{
	pthread_mutex_lock(&server->lock);
	server->backup = messages;
	server->backup_count = count;
	server->backup_end = end;
	pthread_mutex_unlock(&server->lock);
}
