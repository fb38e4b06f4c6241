#include "base/crypto/box.h"

#include <sodium.h>

_Static_assert(SL_BOX_SECRET_BYTES == crypto_box_SECRETKEYBYTES, "secret key");
_Static_assert(SL_BOX_PUBLIC_BYTES == crypto_box_PUBLICKEYBYTES, "public key");
_Static_assert(SL_BOX_EXTRA_BYTES == crypto_box_SEALBYTES, "what a box adds");

void sl_box_public(const uint8_t secret[static SL_BOX_SECRET_BYTES],
		   uint8_t out[static SL_BOX_PUBLIC_BYTES])
{
	(void)crypto_scalarmult_base(out, secret);
}

bool sl_box_seal(const uint8_t to[static SL_BOX_PUBLIC_BYTES], struct sl_bytes message,
		 uint8_t *out)
{
	return crypto_box_seal(out, message.data, message.size, to) == 0;
}

bool sl_box_open(const uint8_t secret[static SL_BOX_SECRET_BYTES], struct sl_bytes box,
		 uint8_t *out)
{
	uint8_t public[SL_BOX_PUBLIC_BYTES];
	if (box.size < SL_BOX_EXTRA_BYTES) {
		return false;
	}
	sl_box_public(secret, public);
	return crypto_box_seal_open(out, box.data, box.size, public, secret) == 0;
}
