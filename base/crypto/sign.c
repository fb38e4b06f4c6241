#include "base/crypto/sign.h"

#include <string.h>

#include <sodium.h>

#include "base/crypto/secret.h"

_Static_assert(SL_SIGN_SEED_BYTES == crypto_sign_SEEDBYTES, "seed");
_Static_assert(SL_SIGN_PUBLIC_BYTES == crypto_sign_PUBLICKEYBYTES, "public key");
_Static_assert(SL_SIGNATURE_BYTES == crypto_sign_BYTES, "signature");

/* Bytes only: memory for secrets is not aligned. */
struct sl_signer {
	uint8_t secret[crypto_sign_SECRETKEYBYTES];
	uint8_t public[crypto_sign_PUBLICKEYBYTES];
};

struct sl_signer *sl_signer_new(const uint8_t seed[static SL_SIGN_SEED_BYTES])
{
	struct sl_signer *signer = sl_secret_new(sizeof(*signer));
	if (signer != NULL) {
		(void)crypto_sign_seed_keypair(signer->public, signer->secret, seed);
	}
	return signer;
}

void sl_signer_free(struct sl_signer *signer)
{
	sl_secret_free(signer);
}

const uint8_t *sl_signer_public(const struct sl_signer *signer)
{
	return signer->public;
}

void sl_sign_bare(const struct sl_signer *signer, struct sl_bytes message,
		  uint8_t out[static SL_SIGNATURE_BYTES])
{
	(void)crypto_sign_detached(out, NULL, message.data, message.size, signer->secret);
}

/* Ed25519 reads its message twice, so purpose and message must lie in one piece. */
static bool join(struct sl_buf *buf, const char *purpose, struct sl_bytes message)
{
	sl_buf_append(buf, purpose, strlen(purpose) + 1);
	sl_buf_append(buf, message.data, message.size);
	return !buf->failed;
}

bool sl_sign(const struct sl_signer *signer, const char *purpose, struct sl_bytes message,
	     uint8_t out[static SL_SIGNATURE_BYTES])
{
	SL_AUTO(sl_buf_fini) struct sl_buf joined = {0};
	if (!join(&joined, purpose, message)) {
		return false;
	}
	sl_sign_bare(signer, sl_buf_bytes(&joined), out);
	return true;
}

bool sl_sign_is_valid(struct sl_bytes public_key, const char *purpose, struct sl_bytes message,
		      struct sl_bytes signature)
{
	SL_AUTO(sl_buf_fini) struct sl_buf joined = {0};
	if (public_key.size != SL_SIGN_PUBLIC_BYTES || signature.size != SL_SIGNATURE_BYTES ||
	    !join(&joined, purpose, message)) {
		return false;
	}
	return crypto_sign_verify_detached(signature.data, joined.data, joined.size,
					   public_key.data) == 0;
}
