/* box: messages sealed to a key, which only its owner opens (X25519, XSalsa20-Poly1305).
 *
 * Whoever seals keeps nothing: each box has a key pair of its own, made and
 * forgotten. A box does not say who sealed it. Any thread, after sl_crypto_init(). */
#ifndef SL_BASE_BOX_H
#define SL_BASE_BOX_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes/bytes.h"

enum { SL_BOX_SECRET_BYTES = 32, SL_BOX_PUBLIC_BYTES = 32, SL_BOX_EXTRA_BYTES = 48 };

/* The public half of a secret key, which is any 32 random bytes (RFC 7748). */
void sl_box_public(const uint8_t secret[static SL_BOX_SECRET_BYTES],
		   uint8_t out[static SL_BOX_PUBLIC_BYTES]);

/* `out` has message.size + SL_BOX_EXTRA_BYTES. False: no box can be sealed to such a key. */
bool sl_box_seal(const uint8_t to[static SL_BOX_PUBLIC_BYTES], struct sl_bytes message,
		 uint8_t *out);

/* `out` has box.size - SL_BOX_EXTRA_BYTES. False: not sealed to this key, or changed since; out is
 * not to be read then. */
bool sl_box_open(const uint8_t secret[static SL_BOX_SECRET_BYTES], struct sl_bytes box,
		 uint8_t *out);

#endif
