/* AdminService.Backup: the pieces in order, counted and hashed on the way. */
#include <stdlib.h>
#include <string.h>

#include "base/crypto/crypto.h"
#include "base/mem/own.h"
#include "client/api/api_internal.h"

enum { DEFAULT_MS = 10 * 60 * 1000 };

struct take {
	sluice_backup_piece piece;
	void *ctx;
	struct sl_hasher hasher;
	uint64_t size, taken;
	bool begun, checked;
};

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

static sl_code take_response(struct take *take, const Sluice__V1__BackupResponse *response,
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

static sl_code take_message(void *ctx, struct sl_bytes message, struct sl_err *err)
{
	Sluice__V1__BackupResponse *response =
	    sluice__v1__backup_response__unpack(NULL, message.size, message.data);
	if (response == NULL) {
		return sl_err_set(err, SL_INTERNAL, "the server sent a malformed piece");
	}
	sl_code code = take_response(ctx, response, err);
	sluice_message_free(response);
	return code;
}

int sluice_backup(sluice_client *client, const sluice_call *call, sluice_backup_piece piece,
		  void *ctx, sluice_error *error)
{
	struct sl_err err = SL_ERR_INIT;
	bool given = call != NULL && call->timeout_ms != 0;
	struct take take = {.piece = piece, .ctx = ctx};
	const struct api_taker taker = {.timeout_ms = given ? call->timeout_ms : DEFAULT_MS,
					.take = take_message,
					.ctx = &take};
	sl_hasher_init(&take.hasher);
	sl_code code =
	    api_take_all(client, "/sluice.v1.AdminService/Backup", SL_BYTES_NONE, &taker, &err);
	if (code == SL_OK && !take.checked) {
		code = damaged(&err, "it ended early");
	}
	return code == SL_OK ? SLUICE_OK : api_fail(error, &err);
}
