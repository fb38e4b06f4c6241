/* Targets: what a server sends to an agent: SyncResponse, manifest_accept, manifest_store,
 * reconcile_merge, manifest_refresh, trust_walk, trust_check_manifest, trust_check_refresh.
 * Property: no crash; an accepted manifest names only what can be one folder's name, is accepted
 * again as the same, is not accepted once a later one was, and comes back from the state. An agent
 * with a pinned key believes nothing that was not signed by it, by itself or in a tree, and no key
 * that it or the recovery key did not announce; what is signed obeys the same rules as what need
 * not be. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "agent/manifest/manifest.h"
#include "agent/reconcile/reconcile.h"
#include "agent/trust/trust.h"
#include "base/mem/own.h"
#include "base/merkle/merkle.h"
#include "base/vouch/vouch.h"

enum { NOW_MS = 1000 };

static void expect(int holds)
{
	if (!holds) {
		abort();
	}
}

static void check_folder_name(const char *name)
{
	expect(name[0] != '\0' && name[0] != '.' && strchr(name, '/') == NULL &&
	       strstr(name, "..") == NULL && strlen(name) < STATE_FOLDER_SIZE);
}

static void check_state(const struct state *state)
{
	for (size_t i = 0; i < state->app_count; i++) {
		const struct state_app *app = state->apps[i];
		check_folder_name(app->slug);
		for (size_t j = 0; j < app->version_count; j++) {
			check_folder_name(app->versions[j]->folder);
		}
	}
}

static void check_manifest(const Sluice__V1__Manifest *manifest)
{
	for (size_t i = 0; i < manifest->n_apps; i++) {
		const Sluice__V1__ManifestApp *app = manifest->apps[i];
		check_folder_name(app->slug);
		expect(app->activate[0] == '\0' || manifest_bundle(app, app->activate) != NULL);
		for (size_t j = 0; j < app->n_keep; j++) {
			check_folder_name(app->keep[j]->repository_id);
			expect(app->keep[j]->digest.len == SL_HASH_BYTES);
		}
	}
}

static void accept_one(struct state *state, const Sluice__V1__SignedManifest *envelope)
{
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	Sluice__V1__Manifest *manifest = NULL, *again = NULL;
	struct sl_bytes body = SL_BYTES(envelope->body.data, envelope->body.len);
	if (manifest_accept(state, envelope, NOW_MS, &manifest, &err) != SL_OK) {
		expect(err.msg[0] != '\0');
		return;
	}
	check_manifest(manifest);
	expect(manifest_store(state, body, manifest, &err) == SL_OK);
	expect(reconcile_merge(state, manifest, &err) == SL_OK);
	check_state(state);
	manifest_free(manifest);
	expect(manifest_of_state(state, &again, &err) == SL_OK && again != NULL);
	manifest_free(again);
	expect(manifest_accept(state, envelope, NOW_MS, &again, &err) == SL_OK);
	manifest_free(again);
	if (state->sequence < UINT64_MAX) {
		state->sequence++;
		expect(manifest_accept(state, envelope, NOW_MS, &again, &err) != SL_OK);
	}
}

/* --- with a pinned key --------------------------------------------------------------------- */

static struct sl_signer *signer, *recovery;

static void pin(struct state *state, uint32_t epoch)
{
	struct trust_pin pin = {.epoch = epoch == 0 ? 1 : epoch, .recovery_given = true};
	if (signer == NULL) {
		static const uint8_t seeds[2][SL_SIGN_SEED_BYTES] = {{1}, {2}};
		expect(sl_crypto_init());
		signer = sl_signer_new(seeds[0]);
		recovery = sl_signer_new(seeds[1]);
		expect(signer != NULL && recovery != NULL);
	}
	memcpy(pin.manifest_key, sl_signer_public(signer), SL_SIGN_PUBLIC_BYTES);
	memcpy(pin.recovery_key, sl_signer_public(recovery), SL_SIGN_PUBLIC_BYTES);
	expect(trust_pin(state, &pin));
}

static uint32_t epoch_of(const Sluice__V1__SignedManifest *envelope)
{
	Sluice__V1__Manifest *manifest =
	    sluice__v1__manifest__unpack(NULL, envelope->body.len, envelope->body.data);
	uint32_t epoch = manifest == NULL ? 0 : manifest->key_epoch;
	if (manifest != NULL) {
		sluice__v1__manifest__free_unpacked(manifest, NULL);
	}
	return epoch;
}

static void refuse_one(const struct state *state, const Sluice__V1__SignedManifest *envelope)
{
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	Sluice__V1__Manifest *manifest = NULL;
	expect(manifest_accept(state, envelope, NOW_MS, &manifest, &err) != SL_OK);
	expect(err.reason == SL_REASON_MANIFEST_REFUSED);
}

/* Signs the root that the envelope's path leads to; false: it leads nowhere. */
static bool sign_tree(const Sluice__V1__SignedManifest *envelope, uint8_t *signature)
{
	const Sluice__V1__ManifestPath *path = envelope->path;
	uint8_t hash[SL_HASH_BYTES], root[SL_HASH_BYTES], words[VOUCH_TREE_BYTES];
	if (path->salt.len != MERKLE_SALT_BYTES) {
		return false;
	}
	sl_hash(hash, envelope->body.data, envelope->body.len, NULL, 0);
	merkle_leaf(path->salt.data, hash, hash);
	if (!merkle_climb(hash, path->index, path->size,
			  SL_BYTES(path->hashes.data, path->hashes.len), root)) {
		return false;
	}
	vouch_tree(path->size, root, words);
	expect(sl_sign(signer, VOUCH_TREE, SL_BYTES(words, sizeof(words)), signature));
	return true;
}

/* By itself, unless it has a path. */
static void sign_and_accept(const Sluice__V1__SignedManifest *envelope)
{
	uint8_t signature[SL_SIGNATURE_BYTES];
	Sluice__V1__SignedManifest own = *envelope;
	struct sl_bytes body = SL_BYTES(own.body.data, own.body.len);
	struct state *state = state_new();
	expect(state != NULL);
	pin(state, epoch_of(envelope));
	refuse_one(state, envelope);
	expect(sl_sign(signer, VOUCH_MANIFEST, body, signature));
	own.signature = (ProtobufCBinaryData){.data = signature, .len = sizeof(signature)};
	if (own.path != NULL) {
		refuse_one(state, &own);
	}
	if (own.path == NULL || sign_tree(&own, signature)) {
		accept_one(state, &own);
	}
	signature[0] ^= 1;
	refuse_one(state, &own);
	state_free(state);
}

/* The same in a tree of one. */
static void plant_and_accept(const Sluice__V1__SignedManifest *envelope)
{
	uint8_t salt[MERKLE_SALT_BYTES] = {1};
	Sluice__V1__SignedManifest own = *envelope;
	Sluice__V1__ManifestPath path = SLUICE__V1__MANIFEST_PATH__INIT;
	path.size = 1;
	path.salt = (ProtobufCBinaryData){.data = salt, .len = sizeof(salt)};
	own.path = &path;
	sign_and_accept(&own);
}

/* Signs what the input says, by the pinned key or by the recovery key: only its order can be wrong
 * then. */
static void sign_keys(Sluice__V1__ManifestKeys *keys, const struct sl_signer *by,
		      uint8_t (*signatures)[SL_SIGNATURE_BYTES], size_t max)
{
	for (size_t i = 0; i < keys->n_keys && i < max; i++) {
		Sluice__V1__ManifestKey *key = keys->keys[i];
		uint8_t words[VOUCH_KEY_BYTES];
		if (key->public_key.len != SL_SIGN_PUBLIC_BYTES) {
			continue;
		}
		vouch_key(key->epoch, key->public_key.data, words);
		expect(sl_sign(by, VOUCH_KEY, SL_BYTES(words, sizeof(words)), signatures[i]));
		free(key->signature.data);
		key->signature.data = malloc(SL_SIGNATURE_BYTES);
		expect(key->signature.data != NULL);
		memcpy(key->signature.data, signatures[i], SL_SIGNATURE_BYTES);
		key->signature.len = SL_SIGNATURE_BYTES;
	}
}

static bool try_walk(struct state *state, const Sluice__V1__ManifestKeys *keys)
{
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	bool changed = false;
	sl_code code = trust_walk(state, keys, &changed, &err);
	expect(code == SL_OK || err.reason == SL_REASON_MANIFEST_REFUSED);
	return changed;
}

/* A key that is announced again under a later epoch signs what comes after it, too. */
static bool announces_the_signer(const Sluice__V1__ManifestKeys *keys)
{
	struct sl_bytes own = SL_BYTES(sl_signer_public(signer), SL_SIGN_PUBLIC_BYTES);
	for (size_t i = 0; i < keys->n_keys; i++) {
		ProtobufCBinaryData key = keys->keys[i]->public_key;
		if (sl_bytes_equal(SL_BYTES(key.data, key.len), own)) {
			return true;
		}
	}
	return false;
}

static void walk(Sluice__V1__ManifestKeys *keys)
{
	enum { SIGNED_MAX = 4 };
	uint8_t signatures[SIGNED_MAX][SL_SIGNATURE_BYTES];
	struct state *state = state_new();
	expect(state != NULL);
	pin(state, 3);
	expect(!try_walk(state, keys) && state->trust.epoch == 3);
	sign_keys(keys, signer, signatures, SIGNED_MAX);
	uint32_t next = try_walk(state, keys) ? 4 : 3;
	expect(state->trust.epoch == next || (next == 4 && announces_the_signer(keys)));
	sign_keys(keys, recovery, signatures, SIGNED_MAX);
	bool recovered = try_walk(state, keys);
	expect(!recovered || state->trust.epoch == state->trust.recovered_epoch);
	expect(state->trust.recovered_epoch >= 3);
	state_free(state);
}

static void refresh(struct state *state, const Sluice__V1__NotModified *not_modified)
{
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	expect(manifest_refresh(state, not_modified, &err) == SL_OK);
	expect(state->sequence == 0); /* nothing was accepted yet */
	pin(state, not_modified->key_epoch);
	expect(manifest_refresh(state, not_modified, &err) != SL_OK);
}

static void hear(struct state *state, Sluice__V1__SyncResponse *message)
{
	switch (message->message_case) {
	case SLUICE__V1__SYNC_RESPONSE__MESSAGE_MANIFEST:
		accept_one(state, message->manifest);
		sign_and_accept(message->manifest);
		plant_and_accept(message->manifest);
		break;
	case SLUICE__V1__SYNC_RESPONSE__MESSAGE_NOT_MODIFIED:
		refresh(state, message->not_modified);
		break;
	case SLUICE__V1__SYNC_RESPONSE__MESSAGE_KEYS:
		walk(message->keys);
		break;
	default:
		break;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct state *state = state_new();
	Sluice__V1__SyncResponse *message = sluice__v1__sync_response__unpack(NULL, size, data);
	expect(state != NULL);
	if (message != NULL) {
		hear(state, message);
		sluice__v1__sync_response__free_unpacked(message, NULL);
	}
	state_free(state);
	return 0;
}
