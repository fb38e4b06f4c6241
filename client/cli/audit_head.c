#include "client/cli/audit_head.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem/own.h"
#include "base/vouch/vouch.h"

SL_DEFINE_AUTO(struct sl_json *, sl_json_free);

enum { KEYS_MAX = 4096 };

/* --- reading ------------------------------------------------------------------------------ */

/* Exactly `size` bytes; absent leaves `out` alone unless it is required. */
static sl_code get_bytes(const struct sl_json *object, const char *key, bool required, uint8_t *out,
			 size_t size, struct sl_err *err)
{
	SL_AUTO(sl_buf_fini) struct sl_buf bytes = {.size = 0};
	sl_code code = sl_json_get_bytes(object, key, &bytes, err);
	if (code != SL_OK || (bytes.size == 0 && !required)) {
		return code;
	}
	if (bytes.size != size || bytes.failed) {
		return sl_err_set(err, SL_INVALID_ARGUMENT, "key '%s' must have %zu bytes", key,
				  size);
	}
	memcpy(out, bytes.data, size);
	return SL_OK;
}

static sl_code get_epoch(const struct sl_json *object, const char *key, uint32_t *ret_epoch,
			 struct sl_err *err)
{
	uint64_t epoch = 0;
	sl_code code = sl_json_get_uint(object, key, 1, UINT32_MAX, &epoch, err);
	if (code == SL_OK && epoch == 0) {
		return sl_err_set(err, SL_INVALID_ARGUMENT, "key '%s' is missing", key);
	}
	*ret_epoch = (uint32_t)epoch;
	return code;
}

static sl_code read_key(const struct sl_json *object, struct audit_key *key, struct sl_err *err)
{
	if (object == NULL) {
		return sl_err_set(err, SL_INVALID_ARGUMENT, "key 'keys' has something else in it");
	}
	sl_code code = get_epoch(object, "epoch", &key->epoch, err);
	code = code != SL_OK ? code
			     : get_bytes(object, "publicKey", true, key->public_key,
					 sizeof(key->public_key), err);
	return code != SL_OK ? code
			     : get_bytes(object, "signature", false, key->signature,
					 sizeof(key->signature), err);
}

static sl_code read_keys(const struct sl_json *root, struct audit_kept *kept, struct sl_err *err)
{
	const struct sl_json *list = NULL;
	sl_code code = sl_json_get_list(root, "keys", KEYS_MAX, &list, err);
	size_t count = code == SL_OK ? sl_json_count(list) : 0;
	kept->keys = calloc(count + 1, sizeof(*kept->keys));
	if (kept->keys == NULL) {
		return sl_err_no_memory(err);
	}
	for (size_t i = 0; code == SL_OK && i < count; i++) {
		code = read_key(sl_json_object_at(list, i), &kept->keys[i], err);
		kept->key_count++;
	}
	return code;
}

static sl_code read_signature(const struct sl_json *root, struct audit_kept *kept,
			      struct sl_err *err)
{
	const struct sl_json *signature = NULL;
	sl_code code = sl_json_get_object(root, "signature", &signature, err);
	if (code != SL_OK || signature == NULL) {
		return code;
	}
	code = get_epoch(signature, "keyEpoch", &kept->epoch, err);
	code = code != SL_OK ? code : audit_get_number(signature, "atMs", &kept->at_ms, err);
	return code != SL_OK ? code
			     : get_bytes(signature, "signature", true, kept->signature,
					 sizeof(kept->signature), err);
}

static sl_code read_head(const struct sl_json *root, struct audit_head *head, struct sl_err *err)
{
	const struct sl_json *object = NULL;
	sl_code code = sl_json_get_object(root, "head", &object, err);
	if (code == SL_OK && object == NULL) {
		return sl_err_set(err, SL_INVALID_ARGUMENT,
				  "it is no head: write it with sluice audit head -o json");
	}
	code = code != SL_OK ? code : audit_get_number(object, "sequence", &head->sequence, err);
	return code != SL_OK ? code
			     : get_bytes(object, "hash", true, head->hash, sizeof(head->hash), err);
}

static void kept_auto(struct audit_kept *kept)
{
	audit_kept_fini(kept);
}

sl_code audit_kept_read(const char *path, struct audit_kept *ret_kept, struct sl_err *err)
{
	SL_AUTO(sl_json_free_auto) struct sl_json *root = NULL;
	SL_AUTO(kept_auto) struct audit_kept kept = {.keys = NULL};
	sl_code code = sl_json_read_file(path, &root, err);
	if (code != SL_OK) {
		return code;
	}
	code = read_head(root, &kept.head, err);
	code = code != SL_OK ? code : read_signature(root, &kept, err);
	code = code != SL_OK ? code : read_keys(root, &kept, err);
	if (code != SL_OK) {
		return sl_err_wrap(err, "'%s'", path);
	}
	*ret_kept = kept;
	kept.keys = NULL;
	return SL_OK;
}

void audit_kept_fini(struct audit_kept *kept)
{
	free(kept->keys);
	kept->keys = NULL;
}

/* --- checking ----------------------------------------------------------------------------- */

static bool announces(const uint8_t public_key[static SL_SIGN_PUBLIC_BYTES],
		      const struct audit_key *next)
{
	uint8_t words[VOUCH_KEY_BYTES];
	vouch_key(next->epoch, next->public_key, words);
	return sl_sign_is_valid(SL_BYTES(public_key, SL_SIGN_PUBLIC_BYTES), VOUCH_KEY,
				SL_BYTES(words, sizeof(words)),
				SL_BYTES(next->signature, sizeof(next->signature)));
}

/* From the pinned key, by what the file says of later ones. */
static sl_code follow(const struct audit_kept *kept, const struct audit_trust *trust,
		      const struct audit_key **ret_key, struct sl_err *err)
{
	const struct audit_key *at = trust->pinned;
	for (size_t i = 0; i < kept->key_count && at->epoch < kept->epoch; i++) {
		const struct audit_key *next = &kept->keys[i];
		if (next->epoch <= at->epoch) {
			continue;
		}
		if (!announces(at->public_key, next) &&
		    (trust->recovery == NULL || !announces(trust->recovery, next))) {
			return sl_err_set(err, SL_FAILED_PRECONDITION,
					  "nobody who is trusted announced the manifest key of "
					  "epoch %" PRIu32 " that it names",
					  next->epoch);
		}
		at = next;
	}
	if (at->epoch != kept->epoch) {
		return sl_err_set(err, SL_FAILED_PRECONDITION,
				  "it is signed by the manifest key of epoch %" PRIu32
				  ", to which the pinned one of epoch %" PRIu32 " does not lead",
				  kept->epoch, trust->pinned->epoch);
	}
	*ret_key = at;
	return SL_OK;
}

static sl_code find(const struct audit_kept *kept, const struct audit_trust *trust,
		    const struct audit_key **ret_key, struct sl_err *err)
{
	if (trust->pinned != NULL) {
		return follow(kept, trust, ret_key, err);
	}
	for (size_t i = 0; i < trust->key_count; i++) {
		if (trust->keys[i].epoch == kept->epoch) {
			*ret_key = &trust->keys[i];
			return SL_OK;
		}
	}
	return sl_err_set(err, SL_FAILED_PRECONDITION,
			  "it is signed by a manifest key of epoch %" PRIu32
			  ", which the server does not know",
			  kept->epoch);
}

sl_code audit_kept_check(const struct audit_kept *kept, const struct audit_trust *trust,
			 struct sl_err *err)
{
	uint8_t words[VOUCH_AUDIT_HEAD_BYTES];
	const struct audit_key *key = NULL;
	if (kept->epoch == 0) {
		return sl_err_set(err, SL_FAILED_PRECONDITION, "it is not signed");
	}
	sl_code code = find(kept, trust, &key, err);
	if (code != SL_OK) {
		return code;
	}
	vouch_audit_head(&(struct vouch_audit_head){.epoch = kept->epoch,
						    .at_ms = kept->at_ms,
						    .sequence = kept->head.sequence,
						    .hash = kept->head.hash},
			 words);
	return sl_sign_is_valid(SL_BYTES(key->public_key, sizeof(key->public_key)),
				VOUCH_AUDIT_HEAD, SL_BYTES(words, sizeof(words)),
				SL_BYTES(kept->signature, sizeof(kept->signature)))
		   ? SL_OK
		   : sl_err_set(err, SL_FAILED_PRECONDITION,
				"its signature is not that of the manifest key of epoch %" PRIu32,
				kept->epoch);
}
