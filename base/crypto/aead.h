/* aead: encryption that notices every change (XChaCha20-Poly1305, draft-irtf-cfrg-xchacha).
 *
 * A sealed text is nonce (24 bytes, random), ciphertext, tag (16 bytes). What
 * it belongs to (a record's key, a name, a version) goes in as associated data:
 * it is not kept, and must be the same to open. Any thread, after sl_crypto_init(). */
#ifndef SL_BASE_AEAD_H
#define SL_BASE_AEAD_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes/bytes.h"

enum { SL_AEAD_KEY_BYTES = 32, SL_AEAD_EXTRA_BYTES = 40 };

/* `out` has plain.size + SL_AEAD_EXTRA_BYTES. */
void sl_aead_seal(const uint8_t key[static SL_AEAD_KEY_BYTES], struct sl_bytes plain,
		  struct sl_bytes associated, uint8_t *out);

/* `out` has sealed.size - SL_AEAD_EXTRA_BYTES. False: another key, other associated data, or
 * changed since; out is not to be read then. */
bool sl_aead_open(const uint8_t key[static SL_AEAD_KEY_BYTES], struct sl_bytes sealed,
		  struct sl_bytes associated, uint8_t *out);

#endif
