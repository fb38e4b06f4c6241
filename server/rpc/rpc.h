/* rpc: gRPC C core behind a small face: methods in, calls and streams out.
 *
 * Only server/rpc includes <grpc/...> in server/. One queue thread runs
 * rpc_server_run(); every handler and stream event starts on it and must not
 * block. A unary handler answers now or later, from any thread, by calling
 * rpc_call_finish() exactly once. Health, reflection (v1alpha and v1) and
 * UNIMPLEMENTED for unknown methods are part of it. */
#ifndef SL_SERVER_RPC_H
#define SL_SERVER_RPC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes/bytes.h"
#include "base/err/err.h"
#include "base/tls/hooks.h"
#include "base/tls/tls.h"

struct rpc_server;
struct rpc_call;
struct rpc_stream;
struct rpc_message;

/* Callbacks of a streaming method (server, client or both ways: the client's
 * messages arrive one by one). All run on the queue thread; any may be
 * NULL. Once the stream is finished, by whomever, only closed() follows. */
struct rpc_stream_events {
	void (*opened)(struct rpc_stream *stream, void *ctx);
	/* message: borrowed until return. */
	void (*message)(struct rpc_stream *stream, struct sl_bytes message, void *ctx);
	void (*half_closed)(struct rpc_stream *stream, void *ctx); /* the client sends no more */
	/* The outbox has become empty: a sender that held back may go on. */
	void (*drained)(struct rpc_stream *stream, void *ctx);
	void (*closed)(struct rpc_stream *stream, void *ctx); /* last event; drop references */
};

/* One row per RPC: the whole API can be read off the table. */
struct rpc_method {
	const char *path; /* "/sluice.v1.AppService/CreateApp" */
	/* request: borrowed until rpc_call_finish(). */
	void (*handle)(struct rpc_call *call, struct sl_bytes request, void *ctx);
	const struct rpc_stream_events *stream; /* instead of handle */
	void *row;                              /* the caller's; see rpc_call_row() */
	bool hot;   /* many calls at once: registered with gRPC, with accepts of its own; 160 bytes
		     * for each connection and an event less for each call */
	bool waits; /* answers late and looks at rpc_call_is_cancelled(): leaving clients are
		     * noticed. Costs an event of the queue per call, so others do without */
};

/* What the port shows, and whose clients it believes; all PEM. */
struct rpc_certificates {
	const char *cert_pem; /* the server's, and what stands between it and its CA */
	const char *key_pem;
	const char
	    *ca_pem; /* any certificate in it is believed: CAs only; NULL with `admit` NULL */
};

/* TLS 1.3. One server with `admit` per process. */
struct rpc_tls {
	/* Another number each time the certificates have changed. Asked once per connection,
	 * under a lock of gRPC's: it must be cheap. Like the others, any thread. */
	unsigned (*generation)(void *ctx);
	/* Calls use(use_ctx, ...) with those of now, borrowed for that call. Broken ones leave
	 * what is in use as it is; the first ones must be good. */
	void (*certificates)(void *ctx,
			     void (*use)(void *use_ctx,
					 const struct rpc_certificates *certificates),
			     void *use_ctx);
	/* Every client must show a certificate of the CA, and this says whether it may come in
	 * (base/tls/hooks.h). NULL: no client is asked for one, and there are no identities. */
	tls_admit_fn *admit;
	void *ctx;
};

struct rpc_options {
	const char *listen;               /* "127.0.0.1:7443"; port 0 picks one */
	const struct rpc_method *methods; /* borrowed until rpc_server_free() */
	size_t method_count;
	void *ctx;                   /* handed to every handler */
	struct sl_bytes descriptors; /* a serialized google.protobuf.FileDescriptorSet for
					reflection; borrowed */
	const char *const *services; /* full names for health and reflection
					("sluice.v1.AppService"), NULL-terminated; borrowed */
	size_t message_max;          /* bytes of one request; 0: 4 MiB */
	unsigned connections_max;    /* accept guard: more are hung up on; 0: RLIMIT_NOFILE - 64 */
	unsigned accepts_per_second; /* accept guard, not for loopback; 0: no limit */
	const struct rpc_tls *tls;   /* borrowed until rpc_server_free(); NULL: no TLS */
	/* Connections older than this (10 % earlier or later) get no new calls, so that clients
	 * come back and are looked at again; what runs goes on. 0: as old as they like. */
	unsigned connection_age_ms;
	unsigned connection_grace_ms; /* so much later they end, whatever runs; 0: never */
	/* Queue thread, about every tick_ms (100). May be NULL. */
	void (*on_tick)(void *ctx);
	unsigned tick_ms;
	/* Queue thread, once per finished call or stream, those of health and
	 * reflection included, and "/unknown" for methods that are not there: their
	 * row is NULL. May be NULL. */
	void (*on_finished)(void *ctx, const struct rpc_method *method, sl_code code,
			    uint64_t microseconds);
	unsigned
	    drain_ms; /* after rpc_server_stop(): calls still running then are cancelled; 0: 4000 */
};

/* Binds, registers and starts; no call is served before rpc_server_run().
 * SL_UNAVAILABLE: the port is taken (SO_REUSEPORT is off) or the address is bad. */
SL_MUST_USE sl_code rpc_server_new(const struct rpc_options *options,
				   struct rpc_server **ret_server, struct sl_err *err);
int rpc_server_port(const struct rpc_server *server);

/* Serves until rpc_server_stop() and until the last call has ended. */
void rpc_server_run(struct rpc_server *server);

/* Health goes NOT_SERVING, new calls are refused (UNAVAILABLE), streams end
 * with UNAVAILABLE / STOPPING, running unary calls may finish until drain_ms. Any thread, also from
 * a signal handler: it only leaves a mark that the queue thread sees within tick_ms. */
void rpc_server_stop(struct rpc_server *server);
void rpc_server_free(struct rpc_server *server); /* NULL is fine */

/* Accepted through the guard since the server was made; whatever else accepts in
 * this process (metrics) counts too. Any thread. */
unsigned rpc_server_connections(const struct rpc_server *server);

/* --- who calls ------------------------------------------------------------------ */

enum { RPC_FINGERPRINT_BYTES = 32 };

/* The client certificate of a call or stream, as the handshake let it in. That it was valid
 * then does not say that it is now: compare not_after_ms, ask for revocation. */
struct rpc_peer_identity {
	char uri[TLS_URI_MAX + 1]; /* its only name; never "" */
	uint64_t not_after_ms;
	uint8_t serial[TLS_SERIAL_MAX];
	size_t serial_size;
	uint8_t fingerprint[RPC_FINGERPRINT_BYTES];     /* BLAKE2b-256 of the certificate's PEM */
	uint8_t key_fingerprint[TLS_FINGERPRINT_BYTES]; /* SHA-256 of its public key */
};

/* NULL: the server has no TLS, or asks no client for a certificate. Lives as long as the call, or
 * as a reference to the stream. A client whose certificate cannot be read never gets here. */
const struct rpc_peer_identity *rpc_call_identity(const struct rpc_call *call);
const struct rpc_peer_identity *rpc_stream_identity(const struct rpc_stream *stream);

/* --- unary calls -------------------------------------------------------------- */

void *rpc_call_row(const struct rpc_call *call); /* method->row */
const struct rpc_method *rpc_call_method(const struct rpc_call *call);
/* When the client stops waiting, on sl_clock_mono_ms()'s scale; UINT64_MAX: never. */
uint64_t rpc_call_deadline_mono_ms(const struct rpc_call *call);
/* True once the client has gone or given up; of methods that wait. Any thread; the call must still
 * be answered. */
bool rpc_call_is_cancelled(const struct rpc_call *call);
const char *
rpc_call_peer(const struct rpc_call *call); /* "ipv4:127.0.0.1:4711"; lives as long as the call */

/* Ends the call with *err when code is not SL_OK (text, and reason and details
 * as google.rpc.Status in grpc-status-details-bin, at most 4 KiB: what is cut
 * is counted in its metadata "cut"), else with `response`, which is copied. Any thread, exactly
 * once; the call must not be touched afterwards. err stays the caller's. */
void rpc_call_finish(struct rpc_call *call, sl_code code, const struct sl_err *err,
		     struct sl_bytes response);

/* --- streams ------------------------------------------------------------------ */

#define RPC_STREAM_MESSAGES_MAX 256       /* waiting in one stream */
#define RPC_STREAM_BYTES_MAX (192u << 10) /* likewise, unless it is a single message */

/* An encoded message that many streams send: encoded once, counted by reference. */
struct rpc_message *rpc_message_new(struct sl_bytes bytes); /* copies; NULL when out of memory */
void rpc_message_unref(struct rpc_message *message);        /* NULL is fine */

/* Queues the message. `mark` is the caller's number for it (a revision). Any
 * thread that holds a reference to the stream.
 * SL_RESOURCE_EXHAUSTED: the outbox is full; SL_CANCELLED: the stream has ended.
 * *err may be NULL. */
SL_MUST_USE sl_code rpc_stream_send(struct rpc_stream *stream, struct rpc_message *message,
				    uint64_t mark);
SL_MUST_USE sl_code rpc_stream_send_bytes(struct rpc_stream *stream, struct sl_bytes bytes,
					  uint64_t mark);

/* Drops what waits and hands nothing more to gRPC; returns the mark of the last
 * message that was handed over (0: none). For ending a slow reader truthfully. */
uint64_t rpc_stream_seal(struct rpc_stream *stream);

/* Ends the stream: with SL_OK after what is queued, else at once, dropping the
 * queue. A reader that does not take even the status is cut off after 10 s.
 * Only the first call counts. Any thread. err stays the caller's. */
void rpc_stream_finish(struct rpc_stream *stream, sl_code code, const struct sl_err *err);

/* Counted references; none may outlive the server. */
struct rpc_stream *rpc_stream_ref(struct rpc_stream *stream);
void rpc_stream_unref(struct rpc_stream *stream);

/* The owner's value, set on the queue thread in opened() or message(). */
void rpc_stream_set_user(struct rpc_stream *stream, void *user);
void *rpc_stream_user(const struct rpc_stream *stream);
const char *rpc_stream_peer(const struct rpc_stream *stream);

#endif
