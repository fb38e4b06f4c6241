/* rpc (client): gRPC C core for callers: blocking unary calls, pollable streams.
 *
 * Only client/rpc includes <grpc/...> in client/ and agent/. Used by libsluice,
 * the agent and the tests. A channel may be shared by threads; a stream belongs
 * to one thread at a time. Call crpc_init() once before anything else. */
#ifndef SL_CLIENT_RPC_H
#define SL_CLIENT_RPC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes/bytes.h"
#include "base/err/err.h"

struct crpc_channel;
struct crpc_stream;

void crpc_init(void); /* counted, like grpc_init() */
void crpc_shutdown(void);

struct crpc_options {
	const char *target;  /* "host:port" */
	bool own_connection; /* do not share a TCP connection with other channels of this process */
	size_t message_max;  /* 0: 16 MiB */
	unsigned keepalive_ms;  /* 0: 60 000 */
	bool quiet;             /* a word now and then: no pings that measure the bandwidth */
	const char *user_agent; /* "sluice/0.1"; NULL: none */
	/* PEM, copied. ca_pem: whom the server must be certified by; NULL: no TLS. cert_pem and
	 * key_pem: who we are; both or none. Another certificate is another channel. */
	const char *ca_pem, *cert_pem, *key_pem;
};

/* Never connects by itself: the first call does. SL_INVALID_ARGUMENT: the address, or a PEM;
 * SL_UNAUTHENTICATED / CERTIFICATE_EXPIRED: the certificate's time is over, and the server would
 * only hang up. */
SL_MUST_USE sl_code crpc_channel_new(const struct crpc_options *options,
				     struct crpc_channel **ret_channel, struct sl_err *err);
void crpc_channel_free(struct crpc_channel *channel); /* NULL is fine */

/* One call, blocking up to timeout_ms. The reply is malloc'ed, the caller frees
 * it. On failure *err holds the server's code, text, reason and details
 * (google.rpc.Status decoded). wait_for_ready: keep trying to connect until the
 * time is up instead of failing with SL_UNAVAILABLE at once. Any thread. */
SL_MUST_USE sl_code crpc_unary(struct crpc_channel *channel, const char *path,
			       struct sl_bytes request, unsigned timeout_ms, bool wait_for_ready,
			       uint8_t **ret_reply, size_t *ret_size, struct sl_err *err);

/* Opens a stream; timeout_ms 0: for ever. Does not wait for the server; a
 * back-off of earlier failures is dropped: the caller sets the pace. The stream
 * may outlive the channel. Unread, up to 64 messages or about 1 MiB are kept;
 * then the server is slowed down by HTTP/2's flow control. */
SL_MUST_USE sl_code crpc_stream_open(struct crpc_channel *channel, const char *path,
				     unsigned timeout_ms, struct crpc_stream **ret_stream,
				     struct sl_err *err);
/* Queues one message and waits until gRPC has taken it.
 * SL_DEADLINE_EXCEEDED: not within timeout_ms (it may still go out); SL_UNAVAILABLE etc.: the
 * stream has ended. */
SL_MUST_USE sl_code crpc_stream_send(struct crpc_stream *stream, struct sl_bytes message,
				     unsigned timeout_ms, struct sl_err *err);
/* The same without waiting, for poll loops: *ret_taken = false says that gRPC
 * still has an earlier message or no connection; then crpc_stream_fd() becomes
 * readable as soon as another offer is worth while. */
SL_MUST_USE sl_code crpc_stream_offer(struct crpc_stream *stream, struct sl_bytes message,
				      bool *ret_taken, struct sl_err *err);
SL_MUST_USE sl_code crpc_stream_close_send(struct crpc_stream *stream, struct sl_err *err);

/* Waits up to timeout_ms (0: just looks) for a message, which is malloc'ed and
 * the caller's. *ret_message = NULL and SL_OK: nothing yet. SL_OUT_OF_RANGE never
 * means the end: the end is *ret_ended = true with the server's status as the
 * return value (SL_OK for a good end). */
SL_MUST_USE sl_code crpc_stream_recv(struct crpc_stream *stream, unsigned timeout_ms,
				     uint8_t **ret_message, size_t *ret_size, bool *ret_ended,
				     struct sl_err *err);
/* Readable (poll, POLLIN) whenever crpc_stream_recv(…, 0, …) may have news or a
 * refused offer may be made again: an eventfd fed by the stream's own small thread. Borrowed until
 * free. */
int crpc_stream_fd(const struct crpc_stream *stream);

/* Cancels if it is still running. NULL is fine. */
void crpc_stream_free(struct crpc_stream *stream);

#endif
