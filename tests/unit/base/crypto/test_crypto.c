/* The published vectors of what base/crypto offers, and what must fail. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/crypto/aead.h"
#include "base/crypto/box.h"
#include "base/crypto/crypto.h"
#include "base/crypto/sign.h"

#define TEXT(literal) SL_BYTES((literal), sizeof(literal) - 1)

static void unhex(uint8_t *out, size_t size, const char *hex)
{
	assert_true(sl_unhex(out, size, hex));
}

/* RFC 8032, 7.1. */
static const struct {
	const char *seed, *public, *message, *signature;
} ed25519[] = {
    {"9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
     "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a", "",
     "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9"
     "b46bd25bf5f0595bbe24655141438e7a100b"},
    {"4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
     "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c", "72",
     "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f1"
     "1d8c387b2eaeb4302aeeb00d291612bb0c00"},
    {"c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
     "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025", "af82",
     "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984d"
     "c6594a7c15e9716ed28dc027beceea1ec40a"},
};

static void test_sign_gives_the_signatures_of_rfc_8032(void **state)
{
	(void)state;
	for (size_t i = 0; i < SL_COUNT(ed25519); i++) {
		uint8_t seed[32], public[32], message[4], expected[64], signature[64];
		size_t size = strlen(ed25519[i].message) / 2;
		unhex(seed, 32, ed25519[i].seed);
		unhex(public, 32, ed25519[i].public);
		unhex(message, size, ed25519[i].message);
		unhex(expected, 64, ed25519[i].signature);
		SL_AUTO(sl_signer_free_auto) struct sl_signer *signer = sl_signer_new(seed);
		assert_non_null(signer);
		assert_memory_equal(sl_signer_public(signer), public, 32);
		sl_sign_bare(signer, SL_BYTES(message, size), signature);
		assert_memory_equal(signature, expected, 64);
	}
}

/* X25519 does not look at the lowest three bits. */
static const uint8_t seed_a[32] = {8}, seed_b[32] = {16};

static void test_sign_is_for_one_purpose_key_and_message(void **state)
{
	(void)state;
	SL_AUTO(sl_signer_free_auto) struct sl_signer *a = sl_signer_new(seed_a);
	SL_AUTO(sl_signer_free_auto) struct sl_signer *b = sl_signer_new(seed_b);
	struct sl_bytes key = SL_BYTES(sl_signer_public(a), 32);
	struct sl_bytes other = SL_BYTES(sl_signer_public(b), 32);
	uint8_t raw[64];
	struct sl_bytes signature = SL_BYTES(raw, 64);
	assert_true(sl_sign(a, "x", TEXT("message"), raw));
	assert_true(sl_sign_is_valid(key, "x", TEXT("message"), signature));
	assert_false(sl_sign_is_valid(other, "x", TEXT("message"), signature));
	assert_false(sl_sign_is_valid(key, "y", TEXT("message"), signature));
	assert_false(sl_sign_is_valid(key, "x", TEXT("massage"), signature));
	assert_false(sl_sign_is_valid(key, "x", SL_BYTES_NONE, signature));
	assert_false(sl_sign_is_valid(key, "x", TEXT("message"), SL_BYTES(raw, 63)));
	assert_false(sl_sign_is_valid(key, "x", TEXT("message"), SL_BYTES_NONE));
	assert_false(sl_sign_is_valid(SL_BYTES_NONE, "x", TEXT("message"), signature));
}

static void test_sign_any_changed_bit_is_seen(void **state)
{
	(void)state;
	SL_AUTO(sl_signer_free_auto) struct sl_signer *a = sl_signer_new(seed_a);
	uint8_t raw[64];
	assert_true(sl_sign(a, "x", TEXT("message"), raw));
	for (unsigned bit = 0; bit < 64 * 8; bit++) {
		raw[bit / 8] ^= (uint8_t)(1u << bit % 8);
		assert_false(sl_sign_is_valid(SL_BYTES(sl_signer_public(a), 32), "x",
					      TEXT("message"), SL_BYTES(raw, 64)));
		raw[bit / 8] ^= (uint8_t)(1u << bit % 8);
	}
}

/* Anyone can make "signatures" that hold for these keys. */
static void test_sign_refuses_keys_of_small_order(void **state)
{
	(void)state;
	static const uint8_t identity[32] = {1}, zero[32] = {0};
	uint8_t raw[64] = {1};
	assert_false(sl_sign_is_valid(SL_BYTES(identity, 32), "x", TEXT("m"), SL_BYTES(raw, 64)));
	assert_false(sl_sign_is_valid(SL_BYTES(zero, 32), "x", TEXT("m"), SL_BYTES(raw, 64)));
}

/* RFC 7748, 6.1. */
static void test_box_makes_the_public_keys_of_rfc_7748(void **state)
{
	(void)state;
	uint8_t secret[32], expected[32], public[32];
	unhex(secret, 32, "5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb");
	unhex(expected, 32, "de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f");
	sl_box_public(secret, public);
	assert_memory_equal(public, expected, 32);
}

static void test_box_opens_for_its_owner_only(void **state)
{
	(void)state;
	uint8_t public[32], box[7 + SL_BOX_EXTRA_BYTES], twin[sizeof(box)], plain[7];
	sl_box_public(seed_a, public);
	assert_true(sl_box_seal(public, TEXT("message"), box));
	assert_true(sl_box_seal(public, TEXT("message"), twin));
	assert_memory_not_equal(box, twin, sizeof(box));
	assert_true(sl_box_open(seed_a, SL_BYTES(box, sizeof(box)), plain));
	assert_memory_equal(plain, "message", 7);
	assert_false(sl_box_open(seed_b, SL_BYTES(box, sizeof(box)), plain));
	assert_false(sl_box_open(seed_a, SL_BYTES(box, SL_BOX_EXTRA_BYTES - 1), plain));
	for (size_t i = 0; i < sizeof(box); i++) {
		box[i] ^= 1;
		assert_false(sl_box_open(seed_a, SL_BYTES(box, sizeof(box)), plain));
		box[i] ^= 1;
	}
	static const uint8_t zero[32] = {0};
	assert_false(sl_box_seal(zero, TEXT("message"), box));
}

/* draft-irtf-cfrg-xchacha-03, A.3.1: nonce, ciphertext, tag. */
static const char sunscreen[] = "Ladies and Gentlemen of the class of '99: If I could offer you "
				"only one tip for the future, sunscreen would be it.";
static const char sunscreen_sealed[] =
    "404142434445464748494a4b4c4d4e4f5051525354555657"
    "bd6d179d3e83d43b9576579493c0e939572a1700252bfaccbed2902c21396cbb731c7f1b0b4aa6440bf3a82f4eda7e"
    "39ae64c6708c54c216cb96b72e1213b4522f8c9ba40db5d945b11b69b982c1bb9e3f3fac2bc369488f76b2383565d3"
    "fff921f9664c97637da9768812f615c68b13b52e"
    "c0875924c1c7987947deafd8780acf49";

static void test_aead_opens_the_text_of_the_draft(void **state)
{
	(void)state;
	enum { SIZE = sizeof(sunscreen) - 1 };
	uint8_t key[32], associated[12], sealed[SIZE + SL_AEAD_EXTRA_BYTES], plain[SIZE];
	unhex(key, 32, "808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f");
	unhex(associated, 12, "50515253c0c1c2c3c4c5c6c7");
	unhex(sealed, sizeof(sealed), sunscreen_sealed);
	assert_true(
	    sl_aead_open(key, SL_BYTES(sealed, sizeof(sealed)), SL_BYTES(associated, 12), plain));
	assert_memory_equal(plain, sunscreen, SIZE);
}

static void test_aead_opens_what_it_sealed_and_nothing_else(void **state)
{
	(void)state;
	uint8_t sealed[7 + SL_AEAD_EXTRA_BYTES], twin[sizeof(sealed)], plain[7];
	struct sl_bytes whole = SL_BYTES(sealed, sizeof(sealed));
	sl_aead_seal(seed_a, TEXT("message"), TEXT("here"), sealed);
	sl_aead_seal(seed_a, TEXT("message"), TEXT("here"), twin);
	assert_memory_not_equal(sealed, twin, sizeof(sealed));
	assert_true(sl_aead_open(seed_a, whole, TEXT("here"), plain));
	assert_memory_equal(plain, "message", 7);
	assert_false(sl_aead_open(seed_b, whole, TEXT("here"), plain));
	assert_false(sl_aead_open(seed_a, whole, TEXT("there"), plain));
	assert_false(sl_aead_open(seed_a, whole, SL_BYTES_NONE, plain));
	assert_false(
	    sl_aead_open(seed_a, SL_BYTES(sealed, SL_AEAD_EXTRA_BYTES - 1), TEXT("here"), plain));
	for (size_t i = 0; i < sizeof(sealed); i++) {
		sealed[i] ^= 0x80;
		assert_false(sl_aead_open(seed_a, whole, TEXT("here"), plain));
		sealed[i] ^= 0x80;
	}
}

static void test_aead_seals_nothing_too(void **state)
{
	(void)state;
	uint8_t sealed[SL_AEAD_EXTRA_BYTES], plain[1];
	sl_aead_seal(seed_a, SL_BYTES_NONE, TEXT("here"), sealed);
	assert_true(sl_aead_open(seed_a, SL_BYTES(sealed, sizeof(sealed)), TEXT("here"), plain));
}

static void test_derive_is_keyed_blake2b_of_the_label(void **state)
{
	(void)state;
	uint8_t key[32], out[32], other[32], expected[32];
	for (uint8_t i = 0; i < 32; i++) {
		key[i] = i;
	}
	unhex(expected, 32, "437006842139b523500abcb884af21cb13e1426d8e1cb89fc08267a0e714e9f4");
	sl_derive(key, "sluice test", out);
	assert_memory_equal(out, expected, 32);
	sl_derive(key, "sluice test2", other);
	assert_memory_not_equal(out, other, 32);
}

static int prepare(void **state)
{
	(void)state;
	return sl_crypto_init() ? 0 : -1;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_sign_gives_the_signatures_of_rfc_8032),
	    cmocka_unit_test(test_sign_is_for_one_purpose_key_and_message),
	    cmocka_unit_test(test_sign_any_changed_bit_is_seen),
	    cmocka_unit_test(test_sign_refuses_keys_of_small_order),
	    cmocka_unit_test(test_box_makes_the_public_keys_of_rfc_7748),
	    cmocka_unit_test(test_box_opens_for_its_owner_only),
	    cmocka_unit_test(test_aead_opens_the_text_of_the_draft),
	    cmocka_unit_test(test_aead_opens_what_it_sealed_and_nothing_else),
	    cmocka_unit_test(test_aead_seals_nothing_too),
	    cmocka_unit_test(test_derive_is_keyed_blake2b_of_the_label),
	};
	return cmocka_run_group_tests(tests, prepare, NULL);
}
