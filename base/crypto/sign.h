/* sign: signatures by Ed25519 (RFC 8032), each for one purpose.
 *
 * What is signed is "<purpose>" NUL message, so that a signature made for one
 * purpose is none for another. Any thread, after sl_crypto_init(). */
#ifndef SL_BASE_SIGN_H
#define SL_BASE_SIGN_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes/bytes.h"
#include "base/mem/own.h"

enum { SL_SIGN_SEED_BYTES = 32, SL_SIGN_PUBLIC_BYTES = 32, SL_SIGNATURE_BYTES = 64 };

/* A key pair, in memory for secrets. */
struct sl_signer;

/* Of a seed, which is copied. NULL: out of memory. */
struct sl_signer *sl_signer_new(const uint8_t seed[static SL_SIGN_SEED_BYTES]);
/* Wipes it. NULL is fine. */
void sl_signer_free(struct sl_signer *signer);
SL_DEFINE_AUTO(struct sl_signer *, sl_signer_free);

/* Borrowed as long as the signer; SL_SIGN_PUBLIC_BYTES. */
const uint8_t *sl_signer_public(const struct sl_signer *signer);

/* False: out of memory. The same message has the same signature always. */
bool sl_sign(const struct sl_signer *signer, const char *purpose, struct sl_bytes message,
	     uint8_t out[static SL_SIGNATURE_BYTES]);

/* False also for keys and signatures of a wrong size, keys of small order, forms that are not
 * canonical, and when memory is out. */
bool sl_sign_is_valid(struct sl_bytes public_key, const char *purpose, struct sl_bytes message,
		      struct sl_bytes signature);

/* The bare primitive without a purpose, over exactly `message`. */
void sl_sign_bare(const struct sl_signer *signer, struct sl_bytes message,
		  uint8_t out[static SL_SIGNATURE_BYTES]);

#endif
