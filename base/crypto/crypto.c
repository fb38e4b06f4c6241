#include "base/crypto/crypto.h"

#include <string.h>

#include <sodium.h>

_Static_assert(sizeof(crypto_generichash_state) <= sizeof(((struct sl_hasher *)0)->state),
	       "room for BLAKE2b's state");

bool sl_crypto_init(void)
{
	return sodium_init() >= 0;
}

void sl_random(void *out, size_t size)
{
	randombytes_buf(out, size);
}

void sl_hash(uint8_t out[static SL_HASH_BYTES], const void *data, size_t size, const void *key,
	     size_t key_size)
{
	(void)crypto_generichash(out, SL_HASH_BYTES, data, size, key, key_size);
}

void sl_sha256(uint8_t out[static SL_HASH_BYTES], const void *data, size_t size)
{
	(void)crypto_hash_sha256(out, data, size);
}

void sl_derive(const uint8_t key[static SL_HASH_BYTES], const char *label,
	       uint8_t out[static SL_HASH_BYTES])
{
	sl_hash(out, label, strlen(label), key, SL_HASH_BYTES);
}

static crypto_generichash_state *state_of(struct sl_hasher *hasher)
{
	return (crypto_generichash_state *)(void *)hasher->state;
}

void sl_hasher_init(struct sl_hasher *hasher)
{
	(void)crypto_generichash_init(state_of(hasher), NULL, 0, SL_HASH_BYTES);
}

void sl_hasher_add(struct sl_hasher *hasher, const void *data, size_t size)
{
	(void)crypto_generichash_update(state_of(hasher), data, size);
}

void sl_hasher_end(struct sl_hasher *hasher, uint8_t out[static SL_HASH_BYTES])
{
	(void)crypto_generichash_final(state_of(hasher), out, SL_HASH_BYTES);
}

bool sl_equal_secret(const void *a, const void *b, size_t size)
{
	return sodium_memcmp(a, b, size) == 0;
}
