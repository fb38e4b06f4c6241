/* api_internal: what the files of client/api share. */
#ifndef SL_CLIENT_API_INTERNAL_H
#define SL_CLIENT_API_INTERNAL_H

#include <stdbool.h>

#include "base/bytes/bytes.h"
#include "base/err/err.h"
#include "client/rpc/rpc.h"
#include "sluice/client.h"

struct sluice_client {
	struct crpc_channel *channel; /* owned */
	uint32_t timeout_ms, attempts_max, backoff_ms;
};

/* Hands *err to the caller's error (which may be NULL) and clears it. Returns its code. */
int api_fail(sluice_error *error, struct sl_err *err);

/* The serialized message in *ret_bytes, which the caller frees. SL_RESOURCE_EXHAUSTED: no memory.
 */
SL_MUST_USE sl_code api_pack(const ProtobufCMessage *message, struct sl_bytes *ret_bytes,
			     struct sl_err *err);

/* Opens the stream of a method that answers one request with many messages, and asks. A server may
 * have answered, and be done, before the request is known to be out: that is no failure, answers
 * and end are read from the stream. */
SL_MUST_USE sl_code api_ask(sluice_client *client, const char *path, struct sl_bytes request,
			    struct crpc_stream **ret_stream, struct sl_err *err);

/* The same, and reads it all: take() gets each message, in order, until it fails or
 * the stream has ended well. */
struct api_taker {
	unsigned timeout_ms; /* for each message */
	sl_code (*take)(void *ctx, struct sl_bytes message, struct sl_err *err);
	void *ctx;
};
SL_MUST_USE sl_code api_take_all(sluice_client *client, const char *path, struct sl_bytes request,
				 const struct api_taker *taker, struct sl_err *err);

/* Milliseconds before attempt number `attempt` (the second is 1): backoff_ms doubled each
 * time, up to 5 s, of which the upper half is at random. */
uint32_t api_backoff(const struct sluice_client *client, unsigned attempt);
void api_sleep(uint32_t ms);

/* Whether trying again by itself is safe and makes sense. */
bool api_is_transient(const struct sl_err *err);

#endif
