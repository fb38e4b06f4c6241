#include "agent/trust/trust.h"

#include <inttypes.h>
#include <string.h>

#include "base/merkle/merkle.h"
#include "base/vouch/vouch.h"

#define LIFE_MS (7ull * 24 * 3600 * 1000) /* of a manifest */

static sl_code refused(struct sl_err *err, const char *what)
{
	return sl_err_because(err, SL_FAILED_PRECONDITION, SL_REASON_MANIFEST_REFUSED, "%s", what);
}

static struct sl_bytes bytes_of(ProtobufCBinaryData data)
{
	return SL_BYTES(data.data, data.len);
}

static struct sl_bytes key_of(const uint8_t *key)
{
	return SL_BYTES(key, SL_SIGN_PUBLIC_BYTES);
}

/* --- keys -------------------------------------------------------------------------------- */

static void adopt(struct state_trust *trust, const Sluice__V1__ManifestKey *key)
{
	trust->epoch = key->epoch;
	memcpy(trust->manifest_key, key->public_key.data, SL_SIGN_PUBLIC_BYTES);
	trust->order_open = true;
	trust->proven_unix_ms = 0;
}

/* SL_OK also for one that is known. */
static sl_code walk_one(struct state_trust *trust, const Sluice__V1__ManifestKey *key,
			bool *ret_changed, struct sl_err *err)
{
	uint8_t words[VOUCH_KEY_BYTES];
	if (key->public_key.len != SL_SIGN_PUBLIC_BYTES) {
		return refused(err, "announcement of a manifest key without a key");
	}
	if (key->epoch == trust->epoch &&
	    sl_bytes_equal(bytes_of(key->public_key), key_of(trust->manifest_key))) {
		return SL_OK;
	}
	vouch_key(key->epoch, key->public_key.data, words);
	struct sl_bytes message = SL_BYTES(words, sizeof(words));
	struct sl_bytes signature = bytes_of(key->signature);
	bool recovers =
	    trust->recovery_known && key->epoch > trust->recovered_epoch &&
	    sl_sign_is_valid(key_of(trust->recovery_key), VOUCH_KEY, message, signature);
	bool follows = trust->epoch < UINT32_MAX && key->epoch == trust->epoch + 1 &&
		       sl_sign_is_valid(key_of(trust->manifest_key), VOUCH_KEY, message, signature);
	if (!recovers && !follows) {
		return sl_err_because(
		    err, SL_FAILED_PRECONDITION, SL_REASON_MANIFEST_REFUSED,
		    "announcement of the manifest key of epoch %" PRIu32
		    ": neither the next after epoch %" PRIu32
		    " and signed by its key, nor newly announced by the recovery key",
		    key->epoch, trust->epoch);
	}
	adopt(trust, key);
	trust->recovered_epoch = recovers ? key->epoch : trust->recovered_epoch;
	*ret_changed = true;
	return SL_OK;
}

sl_code trust_walk(struct state *state, const Sluice__V1__ManifestKeys *keys, bool *ret_changed,
		   struct sl_err *err)
{
	*ret_changed = false;
	if (state->trust.epoch == 0) {
		return refused(err, "announcement of manifest keys: this agent has pinned none to "
				    "begin with (enrol it, or give --manifest-key)");
	}
	for (size_t i = 0; i < keys->n_keys; i++) {
		sl_code code = walk_one(&state->trust, keys->keys[i], ret_changed, err);
		if (code != SL_OK) {
			return code;
		}
	}
	return SL_OK;
}

/* --- what keys sign ------------------------------------------------------------------------ */

static bool body_is_signed(const struct state *state, struct sl_bytes body,
			   struct sl_bytes signature)
{
	return sl_sign_is_valid(key_of(state->trust.manifest_key), VOUCH_MANIFEST, body, signature);
}

static bool tree_is_signed(const struct state *state, struct sl_bytes body,
			   const Sluice__V1__ManifestPath *path, struct sl_bytes signature)
{
	uint8_t hash[SL_HASH_BYTES], root[SL_HASH_BYTES], words[VOUCH_TREE_BYTES];
	if (path->salt.len != MERKLE_SALT_BYTES) {
		return false;
	}
	sl_hash(hash, body.data, body.size, NULL, 0);
	merkle_leaf(path->salt.data, hash, hash);
	if (!merkle_climb(hash, path->index, path->size, bytes_of(path->hashes), root)) {
		return false;
	}
	vouch_tree(path->size, root, words);
	return sl_sign_is_valid(key_of(state->trust.manifest_key), VOUCH_TREE,
				SL_BYTES(words, sizeof(words)), signature);
}

sl_code trust_check_manifest(const struct state *state,
			     const Sluice__V1__SignedManifest *signed_manifest, struct sl_err *err)
{
	struct sl_bytes body = bytes_of(signed_manifest->body);
	struct sl_bytes signature = bytes_of(signed_manifest->signature);
	const Sluice__V1__ManifestPath *path = signed_manifest->path;
	bool is_signed = signature.size != 0;
	if (state->trust.epoch == 0) {
		return !is_signed && path == NULL
			   ? SL_OK
			   : refused(err, "manifest is signed, and this agent has pinned no "
					  "key (enrol it, or give --manifest-key)");
	}
	if (!is_signed) {
		return sl_err_because(err, SL_FAILED_PRECONDITION, SL_REASON_MANIFEST_REFUSED,
				      "manifest is not signed, and this agent has pinned the "
				      "manifest key of epoch %" PRIu32,
				      state->trust.epoch);
	}
	if (path != NULL ? !tree_is_signed(state, body, path, signature)
			 : !body_is_signed(state, body, signature)) {
		return sl_err_because(err, SL_FAILED_PRECONDITION, SL_REASON_MANIFEST_REFUSED,
				      "manifest's signature is not that of the manifest key of "
				      "epoch %" PRIu32 ", which this agent has pinned",
				      state->trust.epoch);
	}
	return SL_OK;
}

static bool refresh_is_signed(const struct state *state, const Sluice__V1__NotModified *refresh)
{
	uint8_t words[VOUCH_REFRESH_BYTES];
	const struct vouch_refresh said = {.epoch = refresh->key_epoch,
					   .sequence = refresh->sequence,
					   .expires_s = (uint64_t)refresh->expires_at->seconds,
					   .digest = refresh->manifest_digest.data};
	vouch_refresh(&said, words);
	return sl_sign_is_valid(key_of(state->trust.manifest_key), VOUCH_REFRESH,
				SL_BYTES(words, sizeof(words)), bytes_of(refresh->signature));
}

sl_code trust_check_refresh(const struct state *state, const Sluice__V1__NotModified *refresh,
			    struct sl_err *err)
{
	uint8_t digest[SL_HASH_BYTES];
	if (state->trust.epoch == 0) {
		return SL_OK;
	}
	if (state->manifest == NULL || refresh->expires_at == NULL ||
	    refresh->manifest_digest.len != SL_HASH_BYTES ||
	    refresh->key_epoch != state->trust.epoch || state->trust.order_open) {
		return refused(err, "refresh of a manifest: not of one that this agent holds by "
				    "the key that it has pinned");
	}
	if (!refresh_is_signed(state, refresh)) {
		return refused(err, "refresh of a manifest: not signed by the manifest key that "
				    "this agent has pinned");
	}
	sl_hash(digest, state->manifest, state->manifest_size, NULL, 0);
	if (memcmp(digest, refresh->manifest_digest.data, SL_HASH_BYTES) != 0) {
		return refused(err, "refresh of a manifest: of another one than this agent holds");
	}
	return SL_OK;
}

static bool config_is_signed(const struct state *state, const Sluice__V1__AgentConfig *config)
{
	uint8_t words[VOUCH_CONFIG_MAX];
	const struct vouch_config said = {.instance_id = state->instance_id,
					  .app_id = config->app_id,
					  .stamp = config->stamp.data,
					  .box = bytes_of(config->box)};
	size_t size = config->stamp.len != SL_HASH_BYTES ? 0 : vouch_config(&said, words);
	return size > 0 && sl_sign_is_valid(key_of(state->trust.manifest_key), VOUCH_CONFIG,
					    SL_BYTES(words, size), bytes_of(config->signature));
}

sl_code trust_check_config(const struct state *state, const Sluice__V1__AgentConfig *config,
			   struct sl_err *err)
{
	const struct state_trust *trust = &state->trust;
	if (trust->epoch == 0 && config->signature.len == 0) {
		return SL_OK;
	}
	if (trust->epoch == 0) {
		return refused(err, "config is signed, and this agent has pinned no key (enrol it, "
				    "or give --manifest-key)");
	}
	if (config->key_epoch != trust->epoch || !config_is_signed(state, config)) {
		return sl_err_because(err, SL_FAILED_PRECONDITION, SL_REASON_MANIFEST_REFUSED,
				      "config of app %.32s: not signed for this instance by the "
				      "manifest key of epoch %" PRIu32
				      ", which this agent has pinned",
				      config->app_id, trust->epoch);
	}
	return SL_OK;
}

bool trust_may_activate(const struct state *state, const char *app_id,
			const Sluice__V1__Bundle *bundle)
{
	uint8_t words[VOUCH_RELEASE_MAX];
	if (!state->trust.release_known) {
		return true;
	}
	size_t size = bundle->digest.len != SL_HASH_BYTES
			  ? 0
			  : vouch_release(app_id, bundle->version_id, bundle->digest.data, words);
	return size > 0 &&
	       sl_sign_is_valid(key_of(state->trust.release_key), VOUCH_RELEASE,
				SL_BYTES(words, size), bytes_of(bundle->release_signature));
}

uint64_t trust_proven_ms(const struct state *state, uint64_t expires_unix_ms)
{
	bool counts = state->trust.epoch != 0 && expires_unix_ms > LIFE_MS;
	return counts ? expires_unix_ms - LIFE_MS : 0;
}
