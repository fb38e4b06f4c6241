/* VersionService.ExportBundle: the pieces in order, counted. */
#include <stdlib.h>

#include "base/mem/own.h"
#include "client/api/api_internal.h"

enum { DEFAULT_MS = 10 * 60 * 1000 };

struct take {
	sluice_bundle_piece piece;
	void *ctx;
	uint64_t at, size;
	bool begun;
};

static sl_code take_message(void *ctx, struct sl_bytes message, struct sl_err *err)
{
	struct take *take = ctx;
	Sluice__V1__ExportBundleResponse *response =
	    sluice__v1__export_bundle_response__unpack(NULL, message.size, message.data);
	if (response == NULL) {
		return sl_err_set(err, SL_INTERNAL, "the server sent a malformed piece");
	}
	if (!take->begun) {
		take->begun = true;
		take->size = response->size;
		take->at = response->offset;
	}
	take->at += response->data.len;
	sl_code code = take->piece(take->ctx, response) == 0
			   ? SL_OK
			   : sl_err_set(err, SL_CANCELLED, "the caller ended the export");
	sluice_message_free(response);
	return code;
}

int sluice_export_bundle(sluice_client *client, const sluice_call *call,
			 const Sluice__V1__ExportBundleRequest *request, sluice_bundle_piece piece,
			 void *ctx, sluice_error *error)
{
	struct sl_err err = SL_ERR_INIT;
	struct sl_bytes bytes = SL_BYTES_NONE;
	struct take take = {.piece = piece, .ctx = ctx};
	bool given = call != NULL && call->timeout_ms != 0;
	const struct api_taker taker = {.timeout_ms = given ? call->timeout_ms : DEFAULT_MS,
					.take = take_message,
					.ctx = &take};
	sl_code code = api_pack(&request->base, &bytes, &err);
	code = code != SL_OK ? code
			     : api_take_all(client, "/sluice.v1.VersionService/ExportBundle", bytes,
					    &taker, &err);
	free((void *)(uintptr_t)bytes.data);
	if (code == SL_OK && (!take.begun || take.at != take.size)) {
		code =
		    sl_err_set(&err, SL_DATA_LOSS,
			       "the bundle is not whole: it has another size than the server said");
	}
	return code == SL_OK ? SLUICE_OK : api_fail(error, &err);
}
