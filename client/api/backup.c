/* AdminService.Backup: the pieces in order, counted and hashed on the way. */
#include <stdlib.h>
#include <string.h>

#include "base/crypto/crypto.h"
#include "base/mem/own.h"
#include "client/api/api_internal.h"

enum { SEND_MS = 10 * 1000, DEFAULT_MS = 10 * 60 * 1000 };

struct take {
	struct crpc_stream *stream; /* owned */
	unsigned timeout_ms;        /* between two messages */
	sluice_backup_piece piece;
	void *ctx;
	struct sl_hasher hasher;
	uint64_t size, taken;
	bool begun, checked;
};

static void take_fini(struct take *take)
{
	crpc_stream_free(take->stream);
}

static sl_code damaged(struct sl_err *err, const char *why)
{
	return sl_err_set(err, SL_DATA_LOSS, "the backup is not whole: %s", why);
}

static sl_code check_digest(struct take *take, const Sluice__V1__BackupResponse *last,
			    struct sl_err *err)
{
	uint8_t digest[SL_HASH_BYTES];
	sl_hasher_end(&take->hasher, digest);
	if (take->taken != take->size) {
		return damaged(err, "it has another size than the server said");
	}
	if (last->digest.len != SL_HASH_BYTES ||
	    memcmp(last->digest.data, digest, SL_HASH_BYTES) != 0) {
		return damaged(err, "it has another digest than the server said");
	}
	take->checked = true;
	return SL_OK;
}

static sl_code take_message(struct take *take, const Sluice__V1__BackupResponse *response,
			    struct sl_err *err)
{
	if (!take->begun) {
		take->begun = true;
		take->size = response->size;
	}
	if (take->checked) {
		return damaged(err, "something came after its end");
	}
	sl_hasher_add(&take->hasher, response->data.data, response->data.len);
	take->taken += response->data.len;
	sl_code code = response->digest.len > 0 ? check_digest(take, response, err) : SL_OK;
	if (code == SL_OK && take->piece(take->ctx, response) != 0) {
		return sl_err_set(err, SL_CANCELLED, "the caller ended the backup");
	}
	return code;
}

/* One message, or the end. */
static sl_code receive(struct take *take, bool *ret_ended, struct sl_err *err)
{
	SL_AUTO(sl_free_auto) uint8_t *message = NULL;
	size_t size = 0;
	sl_code code =
	    crpc_stream_recv(take->stream, take->timeout_ms, &message, &size, ret_ended, err);
	if (code != SL_OK || *ret_ended) {
		return code;
	}
	if (message == NULL) {
		return sl_err_set(err, SL_DEADLINE_EXCEEDED, "nothing of the backup came for %u s",
				  take->timeout_ms / 1000);
	}
	Sluice__V1__BackupResponse *response =
	    sluice__v1__backup_response__unpack(NULL, size, message);
	if (response == NULL) {
		return sl_err_set(err, SL_INTERNAL, "the server sent a malformed piece");
	}
	code = take_message(take, response, err);
	sluice_message_free(response);
	return code;
}

static sl_code run(sluice_client *client, struct take *take, struct sl_err *err)
{
	sl_code code = crpc_stream_open(client->channel, "/sluice.v1.AdminService/Backup", 0,
					&take->stream, err);
	code = code != SL_OK ? code : crpc_stream_send(take->stream, SL_BYTES_NONE, SEND_MS, err);
	if (code == SL_OK) {
		code = crpc_stream_close_send(take->stream, err);
	}
	for (bool ended = false; code == SL_OK && !ended;) {
		code = receive(take, &ended, err);
	}
	return code == SL_OK && !take->checked ? damaged(err, "it ended early") : code;
}

int sluice_backup(sluice_client *client, const sluice_call *call, sluice_backup_piece piece,
		  void *ctx, sluice_error *error)
{
	struct sl_err err = SL_ERR_INIT;
	bool given = call != NULL && call->timeout_ms != 0;
	SL_AUTO(take_fini)
	struct take take = {
	    .piece = piece, .ctx = ctx, .timeout_ms = given ? call->timeout_ms : DEFAULT_MS};
	sl_hasher_init(&take.hasher);
	return run(client, &take, &err) == SL_OK ? SLUICE_OK : api_fail(error, &err);
}
