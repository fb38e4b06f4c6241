/* The door's child: TLS and gRPC for strangers, and nothing to steal.
 *
 *   start record -> give up files and ports -> listen for knocks -> give up system calls -> serve
 *
 * Calls wait in a table for their answers, which a thread reads. Whatever goes wrong ends the
 * process: the parent starts another one. */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock/clock.h"
#include "base/confine/confine.h"
#include "base/crypto/crypto.h"
#include "base/crypto/secret.h"
#include "base/handover/handover.h"
#include "base/mem/arena.h"
#include "base/mem/own.h"
#include "base/spawn/spawn.h"
#include "server/door/door_internal.h"
#include "server/rpc/accept_guard.h"
#include "server/rpc/rpc.h"
#include "sluice/v1/door.pb-c.h"

enum {
	PENDING_MAX = 64,
	PATIENCE_MS = 15000,
	TICK_MS = 250,
	MESSAGE_MAX = 32 << 10,
	/* One call is all that strangers come for: with 40 more of them a second, 10 s for each
	 * handshake and these for the rest, there are less than CONNECTIONS_MAX. */
	CONNECTION_AGE_MS = 4000,
	CONNECTION_GRACE_MS = 4000,
	CONNECTIONS_MAX = 768,
	OPEN_FILES = 1024,
	PEM_SIZE = 32 << 10,
	ADDRESS_SIZE = 128,
	NICENESS = 19,
};
#define ADDRESS_BYTES UINT64_C(268435456)

enum { CHILD_BROKEN = 2, CHILD_ORPHANED = 3, CHILD_DEAF = 4 };

struct pending {
	struct rpc_call *call; /* NULL: free */
	uint32_t id;
	uint64_t until_mono_ms;
};

struct child {
	char address[ADDRESS_SIZE]; /* of knocks */
	char *cert, *key, *ca;      /* secret memory */
	int hatch;                  /* connections come over it */
	pthread_mutex_t lock;       /* guards what follows */
	struct pending pending[PENDING_MAX];
	uint32_t last_id;
};

/* --- calls that wait ------------------------------------------------------------------ */

static sl_code pending_add(struct child *child, struct rpc_call *call, uint32_t *ret_id,
			   struct sl_err *err)
{
	pthread_mutex_lock(&child->lock);
	struct pending *slot = NULL;
	for (size_t i = 0; i < PENDING_MAX && slot == NULL; i++) {
		slot = child->pending[i].call == NULL ? &child->pending[i] : NULL;
	}
	if (slot != NULL) {
		*ret_id = ++child->last_id;
		*slot = (struct pending){
		    .call = call, .id = *ret_id, .until_mono_ms = sl_clock_mono_ms() + PATIENCE_MS};
	}
	pthread_mutex_unlock(&child->lock);
	return slot != NULL ? SL_OK
			    : sl_err_because(err, SL_RESOURCE_EXHAUSTED, SL_REASON_TOO_MANY,
					     "too many wait at the door: try again later");
}

/* NULL: it has been given up. */
static struct rpc_call *pending_take(struct child *child, uint32_t id)
{
	struct rpc_call *call = NULL;
	pthread_mutex_lock(&child->lock);
	for (size_t i = 0; i < PENDING_MAX && call == NULL; i++) {
		if (child->pending[i].call != NULL && child->pending[i].id == id) {
			call = SL_TAKE(child->pending[i].call);
		}
	}
	pthread_mutex_unlock(&child->lock);
	return call;
}

static void on_tick(void *ctx)
{
	struct child *child = ctx;
	uint64_t now = sl_clock_mono_ms();
	for (size_t i = 0; i < PENDING_MAX; i++) {
		pthread_mutex_lock(&child->lock);
		struct pending *slot = &child->pending[i];
		bool late = slot->call != NULL && now >= slot->until_mono_ms;
		struct rpc_call *call = late ? SL_TAKE(slot->call) : NULL;
		pthread_mutex_unlock(&child->lock);
		if (call != NULL) {
			SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
			sl_code code =
			    sl_err_set(&err, SL_UNAVAILABLE, "the server does not answer the door");
			rpc_call_finish(call, code, &err, SL_BYTES_NONE);
		}
	}
}

/* --- asking ------------------------------------------------------------------------------ */

static struct sl_bytes binary(const ProtobufCBinaryData *data)
{
	return SL_BYTES(data->data, data->len);
}

typedef bool fill_fn(struct sl_arena *arena, struct sl_bytes request, struct door_record *record);

static bool fill_enroll(struct sl_arena *arena, struct sl_bytes bytes, struct door_record *record)
{
	const Sluice__V1__EnrollRequest *request =
	    sluice__v1__enroll_request__unpack(sl_arena_protobuf(arena), bytes.size, bytes.data);
	if (request == NULL) {
		return false;
	}
	record->kind = DOOR_ENROLL;
	record->parts[1] = sl_bytes_text(request->token);
	record->parts[2] = sl_bytes_text(request->certificate_request);
	record->parts[3] = binary(&request->box_key);
	record->parts[4] = binary(&request->signature);
	record->count = 5;
	return true;
}

static bool fill_login(struct sl_arena *arena, struct sl_bytes bytes, struct door_record *record)
{
	const Sluice__V1__LoginRequest *request =
	    sluice__v1__login_request__unpack(sl_arena_protobuf(arena), bytes.size, bytes.data);
	if (request == NULL) {
		return false;
	}
	record->kind = DOOR_LOGIN;
	record->parts[1] = sl_bytes_text(request->token);
	record->parts[2] = sl_bytes_text(request->certificate_request);
	record->count = 3;
	return true;
}

static bool fill_renew(struct sl_arena *arena, struct sl_bytes bytes, struct door_record *record)
{
	const Sluice__V1__RenewRequest *request =
	    sluice__v1__renew_request__unpack(sl_arena_protobuf(arena), bytes.size, bytes.data);
	uint8_t *counter = sl_arena_alloc(arena, sizeof(uint64_t));
	if (request == NULL || counter == NULL) {
		return false;
	}
	sl_put_be64(counter, request->counter);
	record->kind = DOOR_RENEW;
	record->parts[1] = sl_bytes_text(request->certificate);
	record->parts[2] = sl_bytes_text(request->certificate_request);
	record->parts[3] = SL_BYTES(counter, sizeof(uint64_t));
	record->parts[4] = binary(&request->nonce);
	record->parts[5] = binary(&request->signature);
	record->count = 6;
	return true;
}

static sl_code send_record(const struct door_record *record, struct sl_err *err)
{
	uint8_t out[DOOR_RECORD_MAX];
	size_t size = door_write(record, out, sizeof(out));
	if (size == 0) {
		return sl_err_because(err, SL_INVALID_ARGUMENT, SL_REASON_MALFORMED,
				      "the request is too large");
	}
	if (send(SPAWN_FD, out, size, MSG_NOSIGNAL | MSG_DONTWAIT) == (ssize_t)size) {
		return SL_OK;
	}
	if (errno == EAGAIN) {
		return sl_err_because(err, SL_RESOURCE_EXHAUSTED, SL_REASON_TOO_MANY,
				      "too many wait at the door: try again later");
	}
	_exit(CHILD_ORPHANED);
}

static void ask(struct child *child, struct rpc_call *call, struct sl_bytes bytes, fill_fn *fill)
{
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	SL_AUTO(sl_arena_fini) struct sl_arena arena;
	sl_arena_init(&arena, MESSAGE_MAX * 8);
	struct door_record record = {.count = 0};
	if (!fill(&arena, bytes, &record)) {
		sl_code code = sl_err_because(&err, SL_INVALID_ARGUMENT, SL_REASON_MALFORMED,
					      "the request's %zu bytes are not one", bytes.size);
		rpc_call_finish(call, code, &err, SL_BYTES_NONE);
		return;
	}
	record.parts[0] = sl_bytes_text(rpc_call_peer(call));
	sl_code code = pending_add(child, call, &record.id, &err);
	if (code != SL_OK) {
		rpc_call_finish(call, code, &err, SL_BYTES_NONE);
		return;
	}
	code = send_record(&record, &err);
	if (code != SL_OK && pending_take(child, record.id) != NULL) {
		rpc_call_finish(call, code, &err, SL_BYTES_NONE);
	}
}

static void on_enroll(struct rpc_call *call, struct sl_bytes request, void *ctx)
{
	ask(ctx, call, request, fill_enroll);
}

static void on_login(struct rpc_call *call, struct sl_bytes request, void *ctx)
{
	ask(ctx, call, request, fill_login);
}

static void on_renew(struct rpc_call *call, struct sl_bytes request, void *ctx)
{
	ask(ctx, call, request, fill_renew);
}

static const struct rpc_method methods[] = {
    {.path = "/sluice.v1.DoorService/Enroll", .handle = on_enroll, .hot = true},
    {.path = "/sluice.v1.DoorService/Login", .handle = on_login, .hot = true},
    {.path = "/sluice.v1.DoorService/Renew", .handle = on_renew, .hot = true},
};

/* --- answers ------------------------------------------------------------------------------- */

static void finish_refused(struct rpc_call *call, const struct door_record *record)
{
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	char text[SL_ERR_MSG_SIZE] = "";
	bool whole = record->parts[0].size == 1 && record->parts[1].size == 1 &&
		     door_text(record->parts[2], text, sizeof(text));
	sl_code code = whole ? (sl_code)record->parts[0].data[0] : SL_INTERNAL;
	enum sl_reason reason = whole ? (enum sl_reason)record->parts[1].data[0] : SL_REASON_NONE;
	code = sl_err_because(&err, code, reason, "%s", text);
	rpc_call_finish(call, code, &err, SL_BYTES_NONE);
}

static void take_answer(struct child *child, struct sl_bytes bytes)
{
	struct door_record record;
	if (!door_read(bytes, &record)) {
		_exit(CHILD_BROKEN);
	}
	struct rpc_call *call = pending_take(child, record.id);
	if (call == NULL) {
		return;
	}
	if (record.kind == DOOR_OK) {
		rpc_call_finish(call, SL_OK, NULL, record.parts[0]);
		return;
	}
	finish_refused(call, &record);
}

static void *answers_main(void *arg)
{
	static uint8_t bytes[DOOR_RECORD_MAX];
	for (;;) {
		ssize_t size = recv(SPAWN_FD, bytes, sizeof(bytes), 0);
		if (size <= 0 && errno == EINTR) {
			continue;
		}
		if (size <= 0) {
			_exit(CHILD_ORPHANED);
		}
		take_answer(arg, SL_BYTES(bytes, (size_t)size));
	}
	return NULL;
}

/* --- the start ------------------------------------------------------------------------------- */

static sl_code read_start(struct child *child, struct sl_err *err)
{
	SL_AUTO(sl_secret_free_auto) void *bytes = sl_secret_new(DOOR_RECORD_MAX);
	ssize_t size = bytes == NULL
			   ? -1
			   : handover_receive(SPAWN_FD, bytes, DOOR_RECORD_MAX, 0, &child->hatch);
	struct door_record start;
	if (size <= 0 || child->hatch < 0 || !door_read(SL_BYTES(bytes, (size_t)size), &start) ||
	    start.kind != DOOR_START ||
	    !door_text(start.parts[0], child->address, sizeof(child->address))) {
		return sl_err_set(err, SL_INTERNAL, "no start record came");
	}
	child->cert = sl_secret_text(start.parts[1].data, start.parts[1].size);
	child->key = sl_secret_text(start.parts[2].data, start.parts[2].size);
	child->ca = sl_secret_text(start.parts[3].data, start.parts[3].size);
	bool whole = child->cert != NULL && child->key != NULL && child->ca != NULL;
	return whole ? SL_OK : sl_err_no_memory(err);
}

/* Strangers come after everybody else, for whom the parent works. */
static sl_code step_back(struct sl_err *err)
{
	return setpriority(PRIO_PROCESS, 0, NICENESS) == 0
		   ? SL_OK
		   : sl_err_set(err, SL_INTERNAL, "setpriority: %s", strerror(errno));
}

static sl_code confine(struct sl_err *err)
{
	const struct confine_limits limits = {.address_bytes = ADDRESS_BYTES,
					      .open_files = OPEN_FILES};
	sl_code code = step_back(err);
	code = code != SL_OK ? code : confine_basics(err);
	code = code != SL_OK ? code : confine_limits(&limits, err);
	return code != SL_OK ? code : confine_reach(NULL, 0, NULL, 0, NULL, err);
}

static unsigned generation(void *ctx)
{
	(void)ctx;
	return 1;
}

static void certificates(void *ctx,
			 void (*use)(void *use_ctx, const struct rpc_certificates *certificates),
			 void *use_ctx)
{
	const struct child *child = ctx;
	use(use_ctx, &(struct rpc_certificates){.cert_pem = child->cert,
						.key_pem = child->key,
						.ca_pem = child->ca}); /* gRPC wants one */
}

static sl_code listen_there(struct child *child, struct rpc_server **ret_server, struct sl_err *err)
{
	static const char *const services[] = {"sluice.v1.DoorService", NULL};
	static struct rpc_tls tls;
	tls =
	    (struct rpc_tls){.generation = generation, .certificates = certificates, .ctx = child};
	const struct rpc_options options = {
	    .listen = child->address,
	    .methods = methods,
	    .method_count = SL_COUNT(methods),
	    .ctx = child,
	    .services = services,
	    .message_max = MESSAGE_MAX,
	    .connections_max = CONNECTIONS_MAX,
	    .tls = &tls,
	    .connection_age_ms = CONNECTION_AGE_MS,
	    .connection_grace_ms = CONNECTION_GRACE_MS,
	    .on_tick = on_tick,
	    .tick_ms = TICK_MS,
	};
	accept_guard_source(child->hatch);
	return rpc_server_new(&options, ret_server, err);
}

static sl_code tell_ready(struct sl_err *err)
{
	const struct door_record ready = {.kind = DOOR_READY, .count = 0};
	return send_record(&ready, err);
}

static sl_code start(struct child *child, struct rpc_server **ret_server, struct sl_err *err)
{
	pthread_t answers;
	sl_code code = read_start(child, err);
	code = code != SL_OK ? code : confine(err);
	code = code != SL_OK ? code : listen_there(child, ret_server, err);
	if (code == SL_OK && !confine_is_sanitized()) {
		code = confine_calls(CONFINE_CALLS_SERVE, err);
	}
	if (code == SL_OK && pthread_create(&answers, NULL, answers_main, child) != 0) {
		code = sl_err_set(err, SL_RESOURCE_EXHAUSTED, "no thread for answers");
	}
	return code != SL_OK ? code : tell_ready(err);
}

int door_child_main(void)
{
	static struct child child = {.lock = PTHREAD_MUTEX_INITIALIZER};
	struct sl_err err = SL_ERR_INIT;
	struct rpc_server *server = NULL;
	if (!sl_crypto_init() || start(&child, &server, &err) != SL_OK) {
		(void)fprintf(stderr, "door: %s\n", err.msg);
		return err.code == SL_UNAVAILABLE ? CHILD_DEAF : CHILD_BROKEN;
	}
	rpc_server_run(server); /* until the parent kills it */
	return EXIT_SUCCESS;
}
