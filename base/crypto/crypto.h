/* crypto: the parts of libsodium that Sluice uses. Only this folder includes <sodium.h>.
 *
 * Hashes are BLAKE2b (RFC 7693). Call sl_crypto_init() once before threads start. */
#ifndef SL_BASE_CRYPTO_H
#define SL_BASE_CRYPTO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SL_HASH_BYTES 32

/* False when the machine gives no random numbers: nothing may start then. */
bool sl_crypto_init(void);

void sl_random(void *out, size_t size);

/* BLAKE2b-256; with a key (up to 64 bytes) the keyed hash. key may be NULL. */
void sl_hash(uint8_t out[static SL_HASH_BYTES], const void *data, size_t size, const void *key,
	     size_t key_size);

/* SHA-256: only where others have chosen it. */
void sl_sha256(uint8_t out[static SL_HASH_BYTES], const void *data, size_t size);

/* A key for one use out of another: BLAKE2b-256 of the label, keyed. Different labels, keys that
 * say nothing of each other. */
void sl_derive(const uint8_t key[static SL_HASH_BYTES], const char *label,
	       uint8_t out[static SL_HASH_BYTES]);

/* sl_hash() without key, over many pieces. Memory is the caller's; any thread, one at a time. */
struct sl_hasher {
	_Alignas(64) uint8_t state[512];
};
void sl_hasher_init(struct sl_hasher *hasher);
void sl_hasher_add(struct sl_hasher *hasher, const void *data, size_t size);
void sl_hasher_end(struct sl_hasher *hasher, uint8_t out[static SL_HASH_BYTES]);

/* Constant time. */
bool sl_equal_secret(const void *a, const void *b, size_t size);

#endif
