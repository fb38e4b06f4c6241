/* Streams that answer one request with many messages. */
#include <stdlib.h>

#include "base/mem/own.h"
#include "client/api/api_internal.h"

enum { SEND_MS = 10 * 1000 };

SL_DEFINE_AUTO(struct crpc_stream *, crpc_stream_free);

sl_code api_ask(sluice_client *client, const char *path, struct sl_bytes request,
		struct crpc_stream **ret_stream, struct sl_err *err)
{
	SL_AUTO(crpc_stream_free_auto) struct crpc_stream *stream = NULL;
	sl_code code = crpc_stream_open(client->channel, path, 0, &stream, err);
	if (code != SL_OK) {
		return code;
	}
	code = crpc_stream_send(stream, request, SEND_MS, err);
	code = code != SL_OK ? code : crpc_stream_close_send(stream, err);
	if (code == SL_DEADLINE_EXCEEDED) {
		return code;
	}
	sl_err_clear(err); /* else it has ended, and tells itself why */
	*ret_stream = SL_TAKE(stream);
	return SL_OK;
}

/* One message, or the end. */
static sl_code receive(struct crpc_stream *stream, const struct api_taker *taker, bool *ret_ended,
		       struct sl_err *err)
{
	SL_AUTO(sl_free_auto) uint8_t *message = NULL;
	size_t size = 0;
	sl_code code = crpc_stream_recv(stream, taker->timeout_ms, &message, &size, ret_ended, err);
	if (code != SL_OK || *ret_ended) {
		return code;
	}
	return message != NULL ? taker->take(taker->ctx, SL_BYTES(message, size), err)
			       : sl_err_set(err, SL_DEADLINE_EXCEEDED, "nothing came for %u s",
					    taker->timeout_ms / 1000);
}

sl_code api_take_all(sluice_client *client, const char *path, struct sl_bytes request,
		     const struct api_taker *taker, struct sl_err *err)
{
	SL_AUTO(crpc_stream_free_auto) struct crpc_stream *stream = NULL;
	sl_code code = api_ask(client, path, request, &stream, err);
	for (bool ended = false; code == SL_OK && !ended;) {
		code = receive(stream, taker, &ended, err);
	}
	return code;
}
