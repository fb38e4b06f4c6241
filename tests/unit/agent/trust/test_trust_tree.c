/* Manifests that were signed together with others': the honest ones, and the attacks on them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "agent/manifest/manifest.h"
#include "agent/trust/trust.h"
#include "base/mem/own.h"
#include "base/merkle/merkle.h"
#include "base/vouch/vouch.h"
#include "tests/unit/agent/lib/want.h"

enum { NOW_MS = 1000, LEAVES = 7, OWN = 4, OTHER = 5 };

struct fixture {
	struct sl_arena arena;
	struct state *state;
	Sluice__V1__Manifest *manifest; /* the leaf OWN; the others are of instance z */
	struct sl_signer *signer, *stranger;
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct trust_pin pin = {.epoch = 1};
	sl_arena_init(&f->arena, 0);
	f->state = state_new();
	f->manifest = want_manifest(&f->arena, 10);
	f->manifest->key_epoch = 1;
	want_add(&f->arena, f->manifest, want_app(&f->arena, 'a', 'x', "xy"));
	f->signer = sl_signer_new((const uint8_t[SL_SIGN_SEED_BYTES]){1});
	f->stranger = sl_signer_new((const uint8_t[SL_SIGN_SEED_BYTES]){2});
	memcpy(pin.manifest_key, sl_signer_public(f->signer), SL_SIGN_PUBLIC_BYTES);
	assert_true(trust_pin(f->state, &pin));
	assert_true(state_text(f->state->instance_id, STATE_ID_SIZE, WANT_INSTANCE));
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	sl_signer_free(f->signer);
	sl_signer_free(f->stranger);
	state_free(f->state);
	sl_arena_fini(&f->arena);
	free(f);
	return 0;
}

/* What a server would send of a tree. */
struct batch {
	uint32_t size;
	struct sl_bytes bodies[LEAVES];
	uint8_t salts[LEAVES][MERKLE_SALT_BYTES];
	uint8_t nodes[MERKLE_NODES(LEAVES)][SL_HASH_BYTES];
	uint8_t signature[SL_SIGNATURE_BYTES];
};

struct envelope {
	Sluice__V1__SignedManifest message;
	Sluice__V1__ManifestPath path;
	uint8_t hashes[MERKLE_PATH_MAX + SL_HASH_BYTES];
};

static void plant(struct fixture *f, uint32_t size, uint32_t own, const struct sl_signer *signer,
		  struct batch *out)
{
	uint8_t digest[SL_HASH_BYTES], root[SL_HASH_BYTES], words[VOUCH_TREE_BYTES];
	out->size = size;
	for (uint32_t i = 0; i < size; i++) {
		f->manifest->instance_id = want_id(&f->arena, "ins", i == own ? 'a' : 'z');
		out->bodies[i] = want_pack(&f->arena, f->manifest);
		memset(out->salts[i], (int)i + 1, MERKLE_SALT_BYTES);
		sl_hash(digest, out->bodies[i].data, out->bodies[i].size, NULL, 0);
		merkle_leaf(out->salts[i], digest, out->nodes[i]);
	}
	merkle_root(out->nodes, size, root);
	vouch_tree(size, root, words);
	assert_true(sl_sign(signer, VOUCH_TREE, SL_BYTES(words, VOUCH_TREE_BYTES), out->signature));
}

static void pluck(struct batch *batch, uint32_t index, struct envelope *out)
{
	sluice__v1__signed_manifest__init(&out->message);
	sluice__v1__manifest_path__init(&out->path);
	memset(out->hashes, 0, sizeof(out->hashes));
	out->message.body.data = (uint8_t *)(uintptr_t)batch->bodies[index].data;
	out->message.body.len = batch->bodies[index].size;
	out->message.signature.data = batch->signature;
	out->message.signature.len = SL_SIGNATURE_BYTES;
	out->message.path = &out->path;
	out->path.index = index;
	out->path.size = batch->size;
	out->path.salt.data = batch->salts[index];
	out->path.salt.len = MERKLE_SALT_BYTES;
	out->path.hashes.data = out->hashes;
	out->path.hashes.len = merkle_path(batch->nodes, batch->size, index, out->hashes);
}

static bool accepts(struct fixture *f, const struct envelope *envelope, const char *words)
{
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	Sluice__V1__Manifest *got = NULL;
	struct sl_bytes body = SL_BYTES(envelope->message.body.data, envelope->message.body.len);
	sl_code code = manifest_accept(f->state, &envelope->message, NOW_MS, &got, &err);
	if (code == SL_OK) {
		assert_int_equal(manifest_store(f->state, body, got, &err), SL_OK);
		manifest_free(got);
		return true;
	}
	assert_int_equal(err.reason, SL_REASON_MANIFEST_REFUSED);
	assert_non_null(strstr(err.msg, words));
	return false;
}

#define FORGED "signature is not that of the manifest key"

static void test_tree_of_every_size_and_place_is_believed(void **state)
{
	struct fixture *f = *state;
	struct batch batch;
	struct envelope envelope;
	for (uint32_t size = 1; size <= LEAVES; size++) {
		for (uint32_t own = 0; own < size; own++) {
			f->manifest->sequence++;
			plant(f, size, own, f->signer, &batch);
			pluck(&batch, own, &envelope);
			assert_true(accepts(f, &envelope, ""));
			assert_int_equal(f->state->sequence, f->manifest->sequence);
			assert_true(accepts(f, &envelope, "")); /* the same once more */
		}
	}
}

static void test_tree_every_bit_counts(void **state)
{
	struct fixture *f = *state;
	struct batch batch;
	struct envelope envelope;
	plant(f, LEAVES, OWN, f->signer, &batch);
	pluck(&batch, OWN, &envelope);
	ProtobufCBinaryData parts[] = {envelope.message.body, envelope.message.signature,
				       envelope.path.salt, envelope.path.hashes};
	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
		for (size_t bit = 0; bit < parts[i].len * 8; bit++) {
			parts[i].data[bit / 8] ^= (uint8_t)(1u << bit % 8);
			assert_false(accepts(f, &envelope, FORGED));
			parts[i].data[bit / 8] ^= (uint8_t)(1u << bit % 8);
		}
	}
	for (uint32_t bit = 0; bit < 32; bit++) {
		envelope.path.index ^= 1u << bit;
		assert_false(accepts(f, &envelope, FORGED));
		envelope.path.index ^= 1u << bit;
		envelope.path.size ^= 1u << bit;
		assert_false(accepts(f, &envelope, FORGED));
		envelope.path.size ^= 1u << bit;
	}
	assert_true(accepts(f, &envelope, ""));
}

/* Each has one form. */
static void test_tree_paths_and_salts_of_another_length(void **state)
{
	struct fixture *f = *state;
	struct batch batch;
	struct envelope envelope;
	plant(f, LEAVES, OWN, f->signer, &batch);
	pluck(&batch, OWN, &envelope);
	size_t right = envelope.path.hashes.len;
	for (size_t bytes = 0; bytes <= sizeof(envelope.hashes); bytes++) {
		envelope.path.hashes.len = bytes;
		assert_true(bytes == right || !accepts(f, &envelope, FORGED));
	}
	envelope.path.hashes.len = right;
	for (size_t bytes = 0; bytes < MERKLE_SALT_BYTES; bytes++) {
		envelope.path.salt.len = bytes;
		assert_false(accepts(f, &envelope, FORGED));
	}
	uint8_t longer[MERKLE_SALT_BYTES + 1] = {0};
	memcpy(longer, batch.salts[OWN], MERKLE_SALT_BYTES);
	envelope.path.salt = (ProtobufCBinaryData){.data = longer, .len = sizeof(longer)};
	assert_false(accepts(f, &envelope, FORGED));
	envelope.path.salt.len = MERKLE_SALT_BYTES;
	assert_true(accepts(f, &envelope, ""));
}

static void test_tree_of_others_is_of_no_use(void **state)
{
	struct fixture *f = *state;
	struct batch batch;
	struct envelope own, other, mixed;
	plant(f, LEAVES, OWN, f->signer, &batch);
	pluck(&batch, OWN, &own);
	pluck(&batch, OTHER, &other);
	mixed = own; /* the own manifest on another's way */
	mixed.message.path = &other.path;
	assert_false(accepts(f, &mixed, FORGED));
	mixed = other;
	mixed.message.path = &own.path;
	assert_false(accepts(f, &mixed, FORGED));
	other.message.path = &other.path;
	assert_false(accepts(f, &other, "is for instance")); /* whole, and another's */
	plant(f, LEAVES, OWN, f->stranger, &batch);
	pluck(&batch, OWN, &own);
	assert_false(accepts(f, &own, FORGED));
	assert_null(f->state->manifest);
}

/* A signature of one kind is none of the other, whatever is signed. */
static void test_tree_signatures_are_of_their_own_kind(void **state)
{
	struct fixture *f = *state;
	struct batch batch;
	struct envelope envelope;
	uint8_t signature[SL_SIGNATURE_BYTES], words[VOUCH_TREE_BYTES], root[SL_HASH_BYTES];
	plant(f, 1, 0, f->signer, &batch);
	pluck(&batch, 0, &envelope);
	envelope.message.path = NULL;
	assert_false(accepts(f, &envelope, FORGED)); /* of the tree, for the body */
	envelope.message.path = &envelope.path;
	envelope.message.signature.data = signature;
	assert_true(sl_sign(f->signer, VOUCH_MANIFEST, batch.bodies[0], signature));
	assert_false(accepts(f, &envelope, FORGED)); /* of the body, for the tree */
	merkle_root(batch.nodes, 1, root);
	vouch_tree(1, root, words);
	assert_true(sl_sign(f->signer, VOUCH_MANIFEST, SL_BYTES(words, sizeof(words)), signature));
	assert_false(accepts(f, &envelope, FORGED));
	envelope.message.body = (ProtobufCBinaryData){.data = words, .len = sizeof(words)};
	envelope.message.path = NULL; /* root and size as a body */
	memcpy(signature, batch.signature, sizeof(signature));
	assert_false(accepts(f, &envelope, FORGED));
}

static void test_tree_obeys_the_other_rules_too(void **state)
{
	struct fixture *f = *state;
	struct batch batch;
	struct envelope first, later;
	plant(f, LEAVES, OWN, f->signer, &batch);
	pluck(&batch, OWN, &first);
	assert_true(accepts(f, &first, ""));
	struct batch next;
	f->manifest->sequence++;
	plant(f, 2, 1, f->signer, &next);
	pluck(&next, 1, &later);
	assert_true(accepts(f, &later, ""));
	assert_false(accepts(f, &first, "was accepted before")); /* replayed */
	f->manifest->paused = true;
	plant(f, 2, 1, f->signer, &next);
	pluck(&next, 1, &later);
	assert_false(accepts(f, &later, "with another body"));
	f->manifest->sequence++;
	f->manifest->key_epoch = 2;
	plant(f, 2, 1, f->signer, &next);
	pluck(&next, 1, &later);
	assert_false(accepts(f, &later, "key epoch 2"));
	f->manifest->key_epoch = 1;
	f->manifest->expires_at->seconds = 0;
	plant(f, 2, 1, f->signer, &next);
	pluck(&next, 1, &later);
	assert_false(accepts(f, &later, "expire"));
}

static void test_tree_without_a_signature_or_a_pin(void **state)
{
	struct fixture *f = *state;
	struct batch batch;
	struct envelope envelope;
	plant(f, LEAVES, OWN, f->signer, &batch);
	pluck(&batch, OWN, &envelope);
	envelope.message.signature.len = 0;
	assert_false(accepts(f, &envelope, "is not signed"));
	f->state->trust.epoch = 0;
	assert_false(accepts(f, &envelope, "pinned no key"));
	envelope.message.signature.len = SL_SIGNATURE_BYTES;
	assert_false(accepts(f, &envelope, "pinned no key"));
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
	    TEST(test_tree_of_every_size_and_place_is_believed),
	    TEST(test_tree_every_bit_counts),
	    TEST(test_tree_paths_and_salts_of_another_length),
	    TEST(test_tree_of_others_is_of_no_use),
	    TEST(test_tree_signatures_are_of_their_own_kind),
	    TEST(test_tree_obeys_the_other_rules_too),
	    TEST(test_tree_without_a_signature_or_a_pin),
	};
	return cmocka_run_group_tests(tests, prepare, NULL);
}
