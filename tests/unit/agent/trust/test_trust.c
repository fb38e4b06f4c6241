/* Whom the agent believes: manifests, refreshes and keys, honest and forged. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "agent/manifest/manifest.h"
#include "agent/reconcile/reconcile.h"
#include "agent/trust/trust.h"
#include "base/crypto/keytext.h"
#include "base/keyfile/keyfile.h"
#include "base/mem/own.h"
#include "base/vouch/vouch.h"
#include "tests/lib/tmpdir.h"
#include "tests/unit/agent/lib/want.h"

enum { NOW_MS = 1000, KEYS = 8, RECOVERY = 6, STRANGER = 7 };

struct fixture {
	struct sl_arena arena;
	struct state *state;
	Sluice__V1__Manifest *manifest;
	struct sl_signer *signers[KEYS]; /* [n] is the manifest key of epoch n */
};

static void pin(struct fixture *f, uint32_t epoch)
{
	struct trust_pin pin = {.epoch = epoch, .recovery_given = true};
	memcpy(pin.manifest_key, sl_signer_public(f->signers[epoch]), SL_SIGN_PUBLIC_BYTES);
	memcpy(pin.recovery_key, sl_signer_public(f->signers[RECOVERY]), SL_SIGN_PUBLIC_BYTES);
	assert_true(trust_pin(f->state, &pin));
	assert_false(trust_pin(f->state, &pin));
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	sl_arena_init(&f->arena, 0);
	f->state = state_new();
	f->manifest = want_manifest(&f->arena, 10);
	f->manifest->key_epoch = 1;
	want_add(&f->arena, f->manifest, want_app(&f->arena, 'a', 'x', "xy"));
	for (size_t i = 0; i < KEYS; i++) {
		const uint8_t seed[SL_SIGN_SEED_BYTES] = {(uint8_t)i};
		f->signers[i] = sl_signer_new(seed);
		assert_non_null(f->signers[i]);
	}
	pin(f, 1);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	for (size_t i = 0; i < KEYS; i++) {
		sl_signer_free(f->signers[i]);
	}
	state_free(f->state);
	sl_arena_fini(&f->arena);
	free(f);
	return 0;
}

/* --- manifests -------------------------------------------------------------------------- */

struct envelope {
	Sluice__V1__SignedManifest message;
	uint8_t signature[SL_SIGNATURE_BYTES];
	struct sl_bytes body;
};

static void seal(struct fixture *f, int signer, const char *purpose, struct envelope *out)
{
	out->body = want_pack(&f->arena, f->manifest);
	sluice__v1__signed_manifest__init(&out->message);
	out->message.body.data = (uint8_t *)(uintptr_t)out->body.data;
	out->message.body.len = out->body.size;
	assert_true(sl_sign(f->signers[signer], purpose, out->body, out->signature));
	out->message.signature.data = out->signature;
	out->message.signature.len = SL_SIGNATURE_BYTES;
}

static bool accepts(struct fixture *f, const struct envelope *envelope)
{
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	Sluice__V1__Manifest *got = NULL;
	sl_code code = manifest_accept(f->state, &envelope->message, NOW_MS, &got, &err);
	assert_true(code == SL_OK || err.reason == SL_REASON_MANIFEST_REFUSED);
	if (code == SL_OK) {
		assert_int_equal(manifest_store(f->state, envelope->body, got, &err), SL_OK);
		manifest_free(got);
	}
	return code == SL_OK;
}

static bool accepts_by(struct fixture *f, int signer)
{
	struct envelope envelope;
	seal(f, signer, VOUCH_MANIFEST, &envelope);
	return accepts(f, &envelope);
}

static void test_trust_a_manifest_needs_the_pinned_keys_signature(void **state)
{
	struct fixture *f = *state;
	struct envelope envelope;
	assert_false(accepts_by(f, 2));
	assert_false(accepts_by(f, RECOVERY)); /* it vouches for keys, not for manifests */
	seal(f, 1, VOUCH_KEY, &envelope);
	assert_false(accepts(f, &envelope));
	seal(f, 1, VOUCH_MANIFEST, &envelope);
	envelope.message.signature.len = 0;
	assert_false(accepts(f, &envelope));
	envelope.message.signature.len = SL_SIGNATURE_BYTES - 1;
	assert_false(accepts(f, &envelope));
	assert_null(f->state->manifest);
	assert_true(accepts_by(f, 1));
	assert_int_equal(f->state->sequence, 10);
}

static void test_trust_every_bit_of_a_manifest_counts(void **state)
{
	struct fixture *f = *state;
	struct envelope envelope;
	seal(f, 1, VOUCH_MANIFEST, &envelope);
	for (size_t bit = 0; bit < envelope.body.size * 8; bit++) {
		envelope.message.body.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
		assert_false(accepts(f, &envelope));
		envelope.message.body.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
	}
	envelope.message.body.len--;
	assert_false(accepts(f, &envelope));
	envelope.message.body.len++;
	assert_true(accepts(f, &envelope));
}

static void test_trust_an_unsigned_server_is_not_believed_again(void **state)
{
	struct fixture *f = *state;
	struct envelope envelope;
	f->manifest->key_epoch = 0;
	seal(f, 1, VOUCH_MANIFEST, &envelope);
	assert_false(accepts(f, &envelope)); /* signed, and says that it is not */
	envelope.message.signature.len = 0;
	assert_false(accepts(f, &envelope));
}

static void test_trust_signed_manifests_obey_the_other_rules_too(void **state)
{
	struct fixture *f = *state;
	assert_true(accepts_by(f, 1));
	f->manifest->sequence = 9;
	assert_false(accepts_by(f, 1));
	f->manifest->sequence = 11;
	f->manifest->instance_id = want_id(&f->arena, "ins", 'z');
	assert_false(accepts_by(f, 1));
	f->manifest->instance_id = want_id(&f->arena, "ins", 'a');
	f->manifest->expires_at->seconds = 0;
	assert_false(accepts_by(f, 1));
	f->manifest->expires_at->seconds = WANT_EXPIRES_S;
	f->manifest->key_epoch = 2;
	assert_false(accepts_by(f, 1));
	f->manifest->key_epoch = 1;
	assert_true(accepts_by(f, 1));
}

/* --- keys ----------------------------------------------------------------------------------- */

struct announcement {
	uint32_t epoch;
	int key, signer; /* signer -1: no signature */
};

static bool walks(struct fixture *f, const struct announcement *rows, size_t count)
{
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	Sluice__V1__ManifestKeys keys = SLUICE__V1__MANIFEST_KEYS__INIT;
	Sluice__V1__ManifestKey items[8], *pointers[8];
	uint8_t signatures[8][SL_SIGNATURE_BYTES], words[VOUCH_KEY_BYTES];
	bool changed = false;
	for (size_t i = 0; i < count; i++) {
		const uint8_t *public = sl_signer_public(f->signers[rows[i].key]);
		sluice__v1__manifest_key__init(&items[i]);
		items[i].epoch = rows[i].epoch;
		items[i].public_key.data = (uint8_t *)(uintptr_t) public;
		items[i].public_key.len = SL_SIGN_PUBLIC_BYTES;
		vouch_key(rows[i].epoch, public, words);
		if (rows[i].signer >= 0) {
			assert_true(sl_sign(f->signers[rows[i].signer], VOUCH_KEY,
					    SL_BYTES(words, sizeof(words)), signatures[i]));
			items[i].signature.data = signatures[i];
			items[i].signature.len = SL_SIGNATURE_BYTES;
		}
		pointers[i] = &items[i];
	}
	keys.keys = pointers;
	keys.n_keys = count;
	sl_code code = trust_walk(f->state, &keys, &changed, &err);
	assert_true(code == SL_OK || err.reason == SL_REASON_MANIFEST_REFUSED);
	return code == SL_OK;
}

static bool walks_one(struct fixture *f, uint32_t epoch, int key, int signer)
{
	const struct announcement one = {epoch, key, signer};
	return walks(f, &one, 1);
}

static void test_trust_keys_are_announced_one_by_one(void **state)
{
	struct fixture *f = *state;
	assert_true(walks_one(f, 2, 2, 1));
	assert_int_equal(f->state->trust.epoch, 2);
	assert_true(walks_one(f, 2, 2, 1)); /* known */
	f->manifest->key_epoch = 2;
	assert_true(accepts_by(f, 2));
	assert_false(accepts_by(f, 1));
	f->manifest->key_epoch = 1;
	assert_false(accepts_by(f, 1)); /* an old epoch's key signs nothing any more */
}

static void test_trust_an_agent_that_was_away_catches_up(void **state)
{
	struct fixture *f = *state;
	const struct announcement chain[] = {
	    {1, 1, -1}, {2, 2, 1}, {3, 3, 2}, {4, 4, RECOVERY}, {5, 5, 4}};
	assert_true(walks(f, chain, SL_COUNT(chain)));
	assert_int_equal(f->state->trust.epoch, 5);
	assert_int_equal(f->state->trust.recovered_epoch, 4);
}

static void test_trust_forged_skipped_and_replayed_announcements(void **state)
{
	struct fixture *f = *state;
	assert_false(walks_one(f, 2, 2, STRANGER));
	assert_false(walks_one(f, 2, 2, 2)); /* by itself */
	assert_false(walks_one(f, 2, 2, -1));
	assert_false(walks_one(f, 3, 3, 1)); /* one is left out */
	assert_false(walks_one(f, 0, 2, 1));
	assert_false(walks_one(f, 1, 2, 1)); /* another key of the same epoch */
	assert_int_equal(f->state->trust.epoch, 1);
	const struct announcement chain[] = {{2, 2, 1}, {3, 3, 2}};
	assert_true(walks(f, chain, 2));
	assert_false(walks_one(f, 2, 2, 1)); /* replayed */
	assert_int_equal(f->state->trust.epoch, 3);
	const struct announcement broken[] = {{4, 4, 3}, {5, 5, 3}};
	assert_false(walks(f, broken, 2)); /* as far as it holds */
	assert_int_equal(f->state->trust.epoch, 4);
}

static void test_trust_recovery_beats_a_stolen_keys_own_chain(void **state)
{
	struct fixture *f = *state;
	/* Who stole the key of epoch 1 leads on, and says the highest sequence there is. */
	const struct announcement stolen[] = {{2, STRANGER, 1}, {3, STRANGER, STRANGER}};
	assert_true(walks(f, stolen, 2));
	f->manifest->key_epoch = 3;
	f->manifest->sequence = UINT64_MAX;
	assert_true(accepts_by(f, STRANGER));
	f->state->trust.proven_unix_ms = 99;
	assert_true(walks_one(f, 2, 2, RECOVERY));
	assert_int_equal(f->state->trust.epoch, 2);
	assert_int_equal(f->state->trust.proven_unix_ms, 0);
	assert_false(accepts_by(f, STRANGER));
	f->manifest->key_epoch = 2;
	f->manifest->sequence = 12;
	assert_true(accepts_by(f, 2)); /* order began anew */
	f->manifest->sequence = 11;
	assert_false(accepts_by(f, 2));
	assert_false(walks_one(f, 2, 3, RECOVERY)); /* it has spoken for epoch 2 */
	assert_false(walks_one(f, 3, STRANGER, STRANGER));
}

static void test_trust_without_a_pin_no_key_is_learned(void **state)
{
	struct fixture *f = *state;
	memset(&f->state->trust, 0, sizeof(f->state->trust));
	assert_false(walks_one(f, 1, 1, RECOVERY));
	assert_false(walks_one(f, 1, 1, 0));
	assert_false(accepts_by(f, 1));
	assert_int_equal(f->state->trust.epoch, 0);
}

static void test_trust_a_file_that_changed_is_pinned_anew(void **state)
{
	struct fixture *f = *state;
	assert_true(walks_one(f, 2, 2, 1));
	struct trust_pin again = {.epoch = 1};
	memcpy(again.manifest_key, sl_signer_public(f->signers[1]), SL_SIGN_PUBLIC_BYTES);
	assert_false(trust_pin(f->state, &again)); /* the state has gone on from it */
	assert_int_equal(f->state->trust.epoch, 2);
	again.epoch = 4;
	memcpy(again.manifest_key, sl_signer_public(f->signers[4]), SL_SIGN_PUBLIC_BYTES);
	assert_true(trust_pin(f->state, &again));
	assert_int_equal(f->state->trust.epoch, 4);
	f->manifest->key_epoch = 4;
	assert_true(accepts_by(f, 4));
}

/* --- config --- */

/* Is what `signer` signs for this owner taken for a config of app a with the stamp 1…? */
static bool takes_config(struct fixture *f, int signer, const char *purpose,
			 const struct vouch_config *said, uint32_t epoch)
{
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	uint8_t words[VOUCH_CONFIG_MAX], signature[SL_SIGNATURE_BYTES], stamp[SL_HASH_BYTES] = {1};
	Sluice__V1__AgentConfig config = SLUICE__V1__AGENT_CONFIG__INIT;
	size_t size = vouch_config(said, words);
	config.app_id = want_id(&f->arena, "app", 'a');
	config.stamp = (ProtobufCBinaryData){.data = stamp, .len = sizeof(stamp)};
	config.box = (ProtobufCBinaryData){.data = (uint8_t *)"box", .len = 3};
	config.key_epoch = epoch;
	if (signer >= 0) {
		assert_true(sl_sign(f->signers[signer], purpose, SL_BYTES(words, size), signature));
		config.signature =
		    (ProtobufCBinaryData){.data = signature, .len = sizeof(signature)};
	}
	sl_code code = trust_check_config(f->state, &config, &err);
	assert_true(code == SL_OK || err.reason == SL_REASON_MANIFEST_REFUSED);
	return code == SL_OK;
}

static void test_trust_config_is_of_one_instance_app_and_stamp(void **state)
{
	struct fixture *f = *state;
	static const uint8_t stamp[SL_HASH_BYTES] = {1}, other[SL_HASH_BYTES] = {2};
	const char *app = want_id(&f->arena, "app", 'a');
	(void)state_text(f->state->instance_id, STATE_ID_SIZE, WANT_INSTANCE);
	struct vouch_config said = {WANT_INSTANCE, app, stamp, SL_BYTES("box", 3)};
	assert_true(takes_config(f, 1, VOUCH_CONFIG, &said, 1));
	assert_false(takes_config(f, 2, VOUCH_CONFIG, &said, 1));
	assert_false(takes_config(f, 1, VOUCH_CONFIG, &said, 2));
	assert_false(takes_config(f, 1, VOUCH_MANIFEST, &said, 1));
	assert_false(takes_config(f, -1, VOUCH_CONFIG, &said, 1));
	assert_false(takes_config(f, -1, VOUCH_CONFIG, &said, 0));
	const struct vouch_config others[] = {
	    {want_id(&f->arena, "ins", 'b'), app, stamp, said.box},
	    {WANT_INSTANCE, want_id(&f->arena, "app", 'b'), stamp, said.box},
	    {WANT_INSTANCE, app, other, said.box},
	    {WANT_INSTANCE, app, stamp, SL_BYTES("bax", 3)},
	};
	for (size_t i = 0; i < SL_COUNT(others); i++) {
		assert_false(takes_config(f, 1, VOUCH_CONFIG, &others[i], 1));
	}
	f->state->trust.epoch = 0; /* of a server without keys, as its manifests */
	assert_true(takes_config(f, -1, VOUCH_CONFIG, &said, 0));
	assert_false(takes_config(f, 1, VOUCH_CONFIG, &said, 1));
}

/* --- refreshes --- */

static bool refreshes(struct fixture *f, int signer, uint64_t sequence, int64_t expires_s,
		      uint32_t epoch, struct sl_bytes body)
{
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	Google__Protobuf__Timestamp at = GOOGLE__PROTOBUF__TIMESTAMP__INIT;
	Sluice__V1__NotModified same = SLUICE__V1__NOT_MODIFIED__INIT;
	uint8_t digest[SL_HASH_BYTES], words[VOUCH_REFRESH_BYTES], signature[SL_SIGNATURE_BYTES];
	sl_hash(digest, body.data, body.size, NULL, 0);
	const struct vouch_refresh said = {epoch, sequence, (uint64_t)expires_s, digest};
	vouch_refresh(&said, words);
	at.seconds = expires_s;
	same.sequence = sequence;
	same.expires_at = &at;
	same.key_epoch = epoch;
	same.manifest_digest = (ProtobufCBinaryData){.data = digest, .len = sizeof(digest)};
	if (signer >= 0) {
		assert_true(sl_sign(f->signers[signer], VOUCH_REFRESH,
				    SL_BYTES(words, sizeof(words)), signature));
		same.signature = (ProtobufCBinaryData){.data = signature, .len = sizeof(signature)};
	}
	uint64_t before = f->state->expires_unix_ms;
	sl_code code = manifest_refresh(f->state, &same, &err);
	assert_true(code == SL_OK || (err.reason == SL_REASON_MANIFEST_REFUSED &&
				      f->state->expires_unix_ms == before));
	return code == SL_OK;
}

static void test_trust_a_refresh_is_signed_like_a_manifest(void **state)
{
	struct fixture *f = *state;
	const int64_t later = WANT_EXPIRES_S + 60;
	struct sl_bytes body = want_pack(&f->arena, f->manifest);
	assert_false(refreshes(f, 1, 11, later, 1, body)); /* of nothing */
	assert_true(accepts_by(f, 1));
	assert_false(refreshes(f, -1, 11, later, 1, body));
	assert_false(refreshes(f, -1, 11, later, 0, SL_BYTES_NONE));
	assert_false(refreshes(f, 2, 11, later, 1, body));
	assert_false(refreshes(f, RECOVERY, 11, later, 1, body));
	assert_false(refreshes(f, 1, 11, later, 2, body));
	assert_false(refreshes(f, 1, 11, later, 1, SL_BYTES("other", 5)));
	assert_true(refreshes(f, 1, 11, later, 1, body));
	assert_int_equal(f->state->sequence, 11);
	assert_true(f->state->expires_unix_ms == (uint64_t)later * 1000);
	assert_true(walks_one(f, 2, 2, 1));
	assert_false(refreshes(f, 2, 12, later, 2, body)); /* of a manifest by the key before */
}

/* --- releases --- */

static bool may_activate(struct fixture *f, const char *app_id, const char *version_id,
			 uint8_t first, int signer)
{
	Sluice__V1__Bundle *bundle = f->manifest->apps[0]->keep[0];
	uint8_t words[VOUCH_RELEASE_MAX], signature[SL_SIGNATURE_BYTES], digest[SL_HASH_BYTES];
	memcpy(digest, bundle->digest.data, SL_HASH_BYTES);
	digest[0] = first;
	size_t size = vouch_release(app_id, version_id, digest, words);
	assert_true(sl_sign(f->signers[signer], VOUCH_RELEASE, SL_BYTES(words, size), signature));
	bundle->release_signature =
	    (ProtobufCBinaryData){.data = signature, .len = sizeof(signature)};
	bool may = trust_may_activate(f->state, f->manifest->apps[0]->app_id, bundle);
	bundle->release_signature = (ProtobufCBinaryData){.len = 0};
	return may;
}

static void test_trust_a_demanded_release_signature(void **state)
{
	struct fixture *f = *state;
	const char *app = f->manifest->apps[0]->app_id;
	const char *version = f->manifest->apps[0]->keep[0]->version_id;
	assert_true(trust_may_activate(f->state, app, f->manifest->apps[0]->keep[0]));
	struct trust_pin demand = {.release_given = true};
	memcpy(demand.release_key, sl_signer_public(f->signers[5]), SL_SIGN_PUBLIC_BYTES);
	assert_true(trust_pin(f->state, &demand));
	assert_false(trust_may_activate(f->state, app, f->manifest->apps[0]->keep[0]));
	assert_true(may_activate(f, app, version, 'x', 5));
	assert_false(may_activate(f, app, version, 'x', 1)); /* the online key does not do */
	assert_false(may_activate(f, app, version, 'y', 5)); /* another content */
	assert_false(may_activate(f, want_id(&f->arena, "app", 'b'), version, 'x', 5));
	assert_false(may_activate(f, app, want_id(&f->arena, "ver", 'y'), 'x', 5));
	struct trust_pin none = {.release_none = true};
	assert_true(trust_pin(f->state, &none));
	assert_true(trust_may_activate(f->state, app, f->manifest->apps[0]->keep[0]));
}

static void test_trust_an_unsigned_release_is_fetched_and_not_activated(void **state)
{
	struct fixture *f = *state;
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	struct trust_pin demand = {.release_given = true};
	memcpy(demand.release_key, sl_signer_public(f->signers[5]), SL_SIGN_PUBLIC_BYTES);
	assert_true(trust_pin(f->state, &demand));
	assert_true(accepts_by(f, 1));
	assert_int_equal(reconcile_merge(f->state, f->manifest, &err), SL_OK);
	struct state_app *app = f->state->apps[0];
	struct reconcile_input in = {
	    .state = f->state, .manifest = f->manifest, .now_unix_ms = NOW_MS};
	struct reconcile_activity none = {.pulling = NULL};
	assert_int_equal(reconcile_next(&in, app).kind, RECONCILE_FETCH);
	app->versions[0]->on_disk = app->versions[1]->on_disk = true;
	assert_int_equal(reconcile_next(&in, app).kind, RECONCILE_REST);
	struct reconcile_view view = reconcile_view(&in, app, &none);
	assert_int_equal(view.phase, SLUICE__V1__PHASE__PHASE_NOT_READY);
	assert_int_equal(view.error_class, SLUICE__V1__ERROR_CLASS__ERROR_CLASS_RELEASE_UNSIGNED);
	struct trust_pin no_more = {.release_none = true};
	assert_true(trust_pin(f->state, &no_more));
	assert_int_equal(reconcile_merge(f->state, f->manifest, &err), SL_OK);
	assert_int_equal(reconcile_next(&in, app).kind, RECONCILE_ACTIVATE);
}

/* --- files --- */

static void test_trust_pins_are_read_from_files(void **state)
{
	struct fixture *f = *state;
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	char *dir = tmpdir_new(), text[SL_KEY_TEXT_SIZE], manifest[300], release[300];
	uint8_t named[VOUCH_KEY_BYTES];
	struct trust_pin pin = {.epoch = 0};
	vouch_key(7, sl_signer_public(f->signers[2]), named);
	(void)sl_key_text(text, SL_KEY_MANIFEST_PUBLIC, SL_BYTES(named, sizeof(named)));
	assert_int_equal(keyfile_create(dir, "m", KEYFILE_PUBLIC, text, &err), SL_OK);
	(void)sl_key_text(text, SL_KEY_RELEASE_PUBLIC,
			  SL_BYTES(sl_signer_public(f->signers[5]), SL_SIGN_PUBLIC_BYTES));
	assert_int_equal(keyfile_create(dir, "r", KEYFILE_PUBLIC, text, &err), SL_OK);
	(void)snprintf(manifest, sizeof(manifest), "%s/m", dir);
	(void)snprintf(release, sizeof(release), "%s/r", dir);
	assert_int_equal(trust_read_pin(manifest, "", release, &pin, &err), SL_OK);
	assert_int_equal(pin.epoch, 7);
	assert_true(pin.release_given && !pin.recovery_given && !pin.release_none);
	assert_memory_equal(pin.manifest_key, sl_signer_public(f->signers[2]), 32);
	assert_int_equal(trust_read_pin("", NULL, "none", &pin, &err), SL_OK);
	assert_true(pin.release_none && !pin.release_given && pin.epoch == 0);
	assert_int_equal(trust_read_pin(release, "", "", &pin, &err), SL_INVALID_ARGUMENT);
	assert_non_null(strstr(err.msg, "--manifest-key"));
	assert_int_equal(trust_read_pin("", "/nowhere/at/all", "", &pin, &err), SL_NOT_FOUND);
	tmpdir_free(dir);
}

static void test_trust_signed_words_prove_the_time(void **state)
{
	struct fixture *f = *state;
	const uint64_t week = 7ull * 24 * 3600 * 1000;
	assert_true(trust_proven_ms(f->state, 3 * week) == 2 * week);
	assert_true(trust_proven_ms(f->state, week) == 0);
	f->state->trust.epoch = 0;
	assert_true(trust_proven_ms(f->state, 3 * week) == 0);
}

static int prepare(void **state)
{
	(void)state;
	return sl_crypto_init() ? 0 : -1;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(test_trust_a_manifest_needs_the_pinned_keys_signature),
	    TEST(test_trust_every_bit_of_a_manifest_counts),
	    TEST(test_trust_an_unsigned_server_is_not_believed_again),
	    TEST(test_trust_signed_manifests_obey_the_other_rules_too),
	    TEST(test_trust_keys_are_announced_one_by_one),
	    TEST(test_trust_an_agent_that_was_away_catches_up),
	    TEST(test_trust_forged_skipped_and_replayed_announcements),
	    TEST(test_trust_recovery_beats_a_stolen_keys_own_chain),
	    TEST(test_trust_without_a_pin_no_key_is_learned),
	    TEST(test_trust_a_file_that_changed_is_pinned_anew),
	    TEST(test_trust_config_is_of_one_instance_app_and_stamp),
	    TEST(test_trust_a_refresh_is_signed_like_a_manifest),
	    TEST(test_trust_a_demanded_release_signature),
	    TEST(test_trust_an_unsigned_release_is_fetched_and_not_activated),
	    TEST(test_trust_pins_are_read_from_files),
	    TEST(test_trust_signed_words_prove_the_time),
	};
	return cmocka_run_group_tests(tests, prepare, NULL);
}
