/* rpc_internal: what the files of server/rpc share; nobody else may include it. */
#ifndef SL_SERVER_RPC_INTERNAL_H
#define SL_SERVER_RPC_INTERNAL_H

#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>

#include <grpc/grpc.h>
#include <grpc/grpc_security.h>
#include <grpc/slice.h>

#include "base/mem/own.h"
#include "base/sm/sm.h"
#include "server/rpc/rpc.h"

/* --- tags: what gRPC gets as `void *tag` --------------------------------------- */

/* `queued` proves that a tag is never in two places, and its release/acquire
 * pair is the hand-over of everything that its owner wrote (a race detector
 * can see it, while it cannot see into libgrpc). */
struct rpc_tag {
	void (*fire)(struct rpc_tag *tag, bool ok); /* queue thread */
	atomic_bool queued;
};

static inline void rpc_tag_queue(struct rpc_tag *tag)
{
	bool twice = atomic_exchange_explicit(&tag->queued, true, memory_order_release);
	assert(!twice);
	(void)twice;
}

static inline void rpc_tag_fire(struct rpc_tag *tag, bool ok)
{
	bool queued = atomic_exchange_explicit(&tag->queued, false, memory_order_acquire);
	assert(queued);
	(void)queued;
	tag->fire(tag, ok);
}

/* Starts the batch; an empty one just posts the tag. A refused batch is a bug of ours. */
static inline void rpc_start(grpc_call *call, const grpc_op *ops, size_t count, struct rpc_tag *tag)
{
	rpc_tag_queue(tag);
	if (grpc_call_start_batch(call, ops, count, tag, NULL) != GRPC_CALL_OK) {
		abort();
	}
}

/* --- status.c: how a call ends -------------------------------------------------- */

struct rpc_status {
	sl_code code;
	grpc_slice text;       /* owned */
	grpc_metadata details; /* value owned; sent when has_details */
	bool has_details;
};

#define RPC_DETAILS_MAX 4096 /* bytes: a client's limit for all headers is 8 KiB */

void rpc_status_init(struct rpc_status *status);
void rpc_status_fini(struct rpc_status *status);
/* Fills an empty status. err may be NULL, and is not looked at for SL_OK. */
void rpc_status_set(struct rpc_status *status, sl_code code, const struct sl_err *err);
/* Makes *op send it. The status must live until the batch is done. */
void rpc_status_op(struct rpc_status *status, grpc_op *op);

/* --- identity.c: who calls -------------------------------------------------------- */

#define RPC_IDENTITIES_KEPT 2048

/* Counted: calls, streams and the server's table hold it. */
struct rpc_identity {
	atomic_uint refs;
	struct rpc_peer_identity peer;
	size_t pem_size;
	uint8_t pem[]; /* what it was read from */
};

/* Who is at the other end; *ret_identity (NULL before) stays NULL where nobody was asked.
 * False: asked, but unreadable. Queue thread. The caller ends it with rpc_identity_unref(). */
bool rpc_identify(struct rpc_server *server, grpc_call *call, struct rpc_identity **ret_identity);
const struct rpc_peer_identity *rpc_identity_peer(const struct rpc_identity *identity);
void rpc_identity_unref(struct rpc_identity *identity); /* NULL is fine; any thread */
sl_code rpc_nobody(struct sl_err *err); /* fills in UNAUTHENTICATED / IDENTITY_MALFORMED */
void rpc_identities_free(struct rpc_server *server);

/* --- server.c -------------------------------------------------------------------- */

struct rpc_reflection;

struct rpc_bound_method {
	const struct rpc_method *method; /* borrowed */
	size_t path_size;
	void *registered;          /* gRPC's handle; NULL: it is found by path when a call comes */
	struct rpc_server *server; /* borrowed */
	void *ctx;                 /* for the handlers */
	bool builtin;              /* health, reflection: served while draining */
};

struct rpc_call;

/* What gRPC has fetched for one port, under its lock of on_fetch(). */
struct rpc_port {
	struct rpc_server *server; /* borrowed */
	bool has_certificates;
	unsigned certificates_generation;
};

/* Everything but stop_asked and returned belongs to the queue thread once it runs. */
struct rpc_server {
	struct rpc_options options;
	grpc_server *grpc;
	grpc_completion_queue *cq;
	int port;
	uint64_t accepted_before; /* the guard's count at the start */
	struct rpc_bound_method *methods;
	size_t method_count;
	struct rpc_reflection *reflection;

	pthread_t queue_thread;
	bool running;
	struct sl_sm sm;
	atomic_bool stop_asked;
	struct rpc_tag stopped;
	_Atomic(struct rpc_call *) returned; /* finished by other threads, newest first; call.c */
	_Atomic(struct rpc_woken *) woken;   /* streams with something to send, newest first */
	struct rpc_woken *waking;            /* the same, of before, oldest first */
	atomic_bool wake_posted;
	struct rpc_tag wake;
	uint64_t drain_until_ms, cut_at_ms, next_tick_ms, next_sweep_ms;
	bool cut;
	unsigned calls;             /* objects alive, waiting accepts included */
	unsigned busy;              /* handlers and open streams */
	struct rpc_stream *streams; /* all open ones */
	struct rpc_identity *identities[RPC_IDENTITIES_KEPT]; /* references; slot by hash */
	struct rpc_port main, porch;
};

bool rpc_server_is_draining(const struct rpc_server *server);
bool rpc_server_accepts(const struct rpc_server *server); /* false: arm no accept any more */
bool rpc_server_on_queue_thread(const struct rpc_server *server);
void rpc_server_call_gone(struct rpc_server *server, bool was_busy);
void rpc_server_finished(const struct rpc_bound_method *bound, sl_code code, uint64_t began_us);
sl_code rpc_stopping(struct sl_err *err); /* fills in UNAVAILABLE / STOPPING */

/* --- wake.c: streams that other threads gave something to send ----------------------- */

/* Lies in the stream, which must not end before rpc_stream_woken(). */
struct rpc_woken {
	struct rpc_woken *next;
	grpc_call *grpc; /* borrowed */
};

void rpc_wake_init(struct rpc_server *server);
/* Any thread; once until it is heard of. */
void rpc_wake(struct rpc_server *server, struct rpc_woken *woken, grpc_call *grpc);
void rpc_stream_woken(struct rpc_woken *woken); /* stream.c; queue thread */

/* --- options.c -------------------------------------------------------------------- */

void rpc_library_init(
    void); /* grpc_init() with what must come before it; pairs with grpc_shutdown() */
grpc_server *rpc_grpc_server_new(const struct rpc_options *options);

/* --- credentials.c ---------------------------------------------------------------- */

/* Of the server's options, which stay in place, as does the port; the caller releases them. */
grpc_server_credentials *rpc_credentials_new(struct rpc_port *port);

/* --- call.c, stream.c, stray.c: post one accept each -------------------------------- */

void rpc_call_accept(struct rpc_bound_method *bound);
/* A call that has come already, without its request. Takes it. */
void rpc_call_take(struct rpc_bound_method *bound, grpc_call *grpc, gpr_timespec deadline);
void rpc_stream_accept(struct rpc_bound_method *bound);
void rpc_stray_accept(struct rpc_server *server); /* calls to all other methods */

/* Ends every stream but health watches with UNAVAILABLE / STOPPING. */
void rpc_streams_stop(struct rpc_server *server);
/* Cuts off streams whose reader did not take the end of it in time. */
void rpc_streams_sweep(struct rpc_server *server, uint64_t now_ms);
/* The message in one piece; false: none, or compressed in a way we do not read. */
bool rpc_read_all(grpc_byte_buffer *buffer, grpc_slice *ret_slice);

/* --- health.c, reflection.c ----------------------------------------------------------- */

extern const char *const rpc_builtin_services[]; /* NULL-terminated */

void rpc_health_check(struct rpc_call *call, struct sl_bytes request, void *server);
extern const struct rpc_stream_events rpc_health_watch;
void rpc_health_stopping(struct rpc_stream *watch); /* tells NOT_SERVING, then ends it */

extern const struct rpc_stream_events rpc_reflect;
SL_MUST_USE sl_code rpc_reflection_new(struct sl_bytes descriptors,
				       struct rpc_reflection **ret_reflection, struct sl_err *err);
void rpc_reflection_free(struct rpc_reflection *reflection); /* NULL is fine */

#endif
