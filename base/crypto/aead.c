#include "base/crypto/aead.h"

#include <sodium.h>

enum { NONCE = crypto_aead_xchacha20poly1305_ietf_NPUBBYTES };
_Static_assert(SL_AEAD_KEY_BYTES == crypto_aead_xchacha20poly1305_ietf_KEYBYTES, "key");
_Static_assert((int)SL_AEAD_EXTRA_BYTES ==
		   (int)NONCE + (int)crypto_aead_xchacha20poly1305_ietf_ABYTES,
	       "what sealing adds");

void sl_aead_seal(const uint8_t key[static SL_AEAD_KEY_BYTES], struct sl_bytes plain,
		  struct sl_bytes associated, uint8_t *out)
{
	randombytes_buf(out, NONCE);
	(void)crypto_aead_xchacha20poly1305_ietf_encrypt(out + NONCE, NULL, plain.data, plain.size,
							 associated.data, associated.size, NULL,
							 out, key);
}

bool sl_aead_open(const uint8_t key[static SL_AEAD_KEY_BYTES], struct sl_bytes sealed,
		  struct sl_bytes associated, uint8_t *out)
{
	return sealed.size >= SL_AEAD_EXTRA_BYTES &&
	       crypto_aead_xchacha20poly1305_ietf_decrypt(out, NULL, NULL, sealed.data + NONCE,
							  sealed.size - NONCE, associated.data,
							  associated.size, sealed.data, key) == 0;
}
