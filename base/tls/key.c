#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <string.h>

#include "base/crypto/secret.h"
#include "base/tls/tls_internal.h"

sl_code tls_failed(struct sl_err *err, sl_code code, const char *doing)
{
	const char *reason = ERR_reason_error_string(ERR_peek_last_error());
	(void)sl_err_set(err, code, "cannot %s: %s", doing,
			 reason != NULL ? reason : "unknown reason");
	ERR_clear_error();
	return code;
}

/* --- PEM --------------------------------------------------------------------------- */

sl_code tls_pem_open(struct sl_bytes pem, size_t max, const char *what, BIO **ret_bio,
		     struct sl_err *err)
{
	if (pem.size == 0 || pem.size > max) {
		return sl_err_set(err, SL_INVALID_ARGUMENT,
				  "%s must have 1 to %zu bytes of PEM, has %zu", what, max,
				  pem.size);
	}
	BIO *bio = BIO_new_mem_buf(pem.data, (int)pem.size);
	if (bio == NULL) {
		return tls_failed(err, SL_RESOURCE_EXHAUSTED, "read PEM");
	}
	*ret_bio = bio;
	return SL_OK;
}

sl_code tls_pem_text(BIO *bio, char **ret_text, struct sl_err *err)
{
	char *data = NULL;
	long size = BIO_get_mem_data(bio, &data);
	char *text = size > 0 ? strndup(data, (size_t)size) : NULL;
	if (text == NULL) {
		return sl_err_no_memory(err);
	}
	*ret_text = text;
	return SL_OK;
}

/* --- keys -------------------------------------------------------------------------- */

/* By its name: one that spells out its curve (RFC 5480 forbids it) could spell out another. */
static bool is_p256(EVP_PKEY *pkey)
{
	char group[32] = "", encoding[32] = "";
	size_t used = 0;
	return EVP_PKEY_is_a(pkey, "EC") &&
	       EVP_PKEY_get_group_name(pkey, group, sizeof(group), &used) == 1 &&
	       strcmp(group, "prime256v1") == 0 &&
	       EVP_PKEY_get_utf8_string_param(pkey, OSSL_PKEY_PARAM_EC_ENCODING, encoding,
					      sizeof(encoding), &used) == 1 &&
	       strcmp(encoding, OSSL_PKEY_EC_ENCODING_GROUP) == 0;
}

sl_code tls_key_take(EVP_PKEY *pkey, const char *of, struct tls_key **ret_key, struct sl_err *err)
{
	SL_AUTO(EVP_PKEY_free_auto) EVP_PKEY *mine = pkey;
	if (!is_p256(mine)) {
		ERR_clear_error();
		return sl_err_set(err, SL_INVALID_ARGUMENT,
				  "the key of %s must be P-256 (prime256v1)", of);
	}
	struct tls_key *key = calloc(1, sizeof(*key));
	if (key == NULL) {
		return sl_err_no_memory(err);
	}
	key->pkey = SL_TAKE(mine);
	*ret_key = key;
	return SL_OK;
}

sl_code tls_key_new(struct tls_key **ret_key, struct sl_err *err)
{
	EVP_PKEY *pkey = EVP_EC_gen("P-256");
	if (pkey == NULL) {
		return tls_failed(err, SL_INTERNAL, "make a P-256 key");
	}
	return tls_key_take(pkey, "a new pair", ret_key, err);
}

/* A key is never asked for on a terminal. */
static int no_pass_phrase(char *buffer, int size, int writing, void *ctx)
{
	(void)buffer;
	(void)size;
	(void)writing;
	(void)ctx;
	return -1;
}

sl_code tls_key_read(struct sl_bytes pem, struct tls_key **ret_key, struct sl_err *err)
{
	SL_AUTO(BIO_free_all_auto) BIO *bio = NULL;
	sl_code code = tls_pem_open(pem, TLS_PEM_MAX, "a private key", &bio, err);
	if (code != SL_OK) {
		return code;
	}
	EVP_PKEY *pkey = PEM_read_bio_PrivateKey(bio, NULL, no_pass_phrase, NULL);
	if (pkey == NULL) {
		return tls_failed(err, SL_INVALID_ARGUMENT, "read the private key");
	}
	return tls_key_take(pkey, "a PEM file", ret_key, err);
}

sl_code tls_key_pem(const struct tls_key *key, char **ret_pem, struct sl_err *err)
{
	/* OpenSSL wipes what a memory BIO leaves behind, also when it grows. */
	SL_AUTO(BIO_free_all_auto) BIO *bio = BIO_new(BIO_s_secmem());
	if (bio == NULL ||
	    PEM_write_bio_PKCS8PrivateKey(bio, key->pkey, NULL, NULL, 0, NULL, NULL) != 1) {
		return tls_failed(err, SL_INTERNAL, "write a private key");
	}
	char *data = NULL;
	long size = BIO_get_mem_data(bio, &data);
	char *pem = sl_secret_text(data, (size_t)size);
	if (pem == NULL) {
		return sl_err_no_memory(err);
	}
	*ret_pem = pem;
	return SL_OK;
}

sl_code tls_key_fingerprint(const struct tls_key *key, uint8_t out[static TLS_FINGERPRINT_BYTES],
			    struct sl_err *err)
{
	unsigned char *der = NULL;
	int size = i2d_PUBKEY(key->pkey, &der);
	bool hashed = size > 0 && EVP_Digest(der, (size_t)size, out, NULL, EVP_sha256(), NULL) == 1;
	OPENSSL_free(der);
	return hashed ? SL_OK : tls_failed(err, SL_INTERNAL, "encode a public key");
}

bool tls_key_equal(const struct tls_key *a, const struct tls_key *b)
{
	return EVP_PKEY_eq(a->pkey, b->pkey) == 1;
}

void tls_key_free(struct tls_key *key)
{
	if (key == NULL) {
		return;
	}
	EVP_PKEY_free(key->pkey);
	free(key);
}

/* --- signatures ------------------------------------------------------------------------ */

sl_code tls_sign(const struct tls_key *key, struct sl_bytes message,
		 uint8_t ret_signature[static TLS_SIGNATURE_MAX], size_t *ret_size,
		 struct sl_err *err)
{
	SL_AUTO(EVP_MD_CTX_free_auto) EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	size_t size = TLS_SIGNATURE_MAX;
	if (ctx == NULL || EVP_DigestSignInit(ctx, NULL, EVP_sha256(), NULL, key->pkey) != 1 ||
	    EVP_DigestSign(ctx, ret_signature, &size, message.data, message.size) != 1) {
		return tls_failed(err, SL_INTERNAL, "sign");
	}
	*ret_size = size;
	return SL_OK;
}

bool tls_verify(const struct tls_key *key, struct sl_bytes message, struct sl_bytes signature)
{
	SL_AUTO(EVP_MD_CTX_free_auto) EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	bool valid =
	    ctx != NULL && EVP_DigestVerifyInit(ctx, NULL, EVP_sha256(), NULL, key->pkey) == 1 &&
	    EVP_DigestVerify(ctx, signature.data, signature.size, message.data, message.size) == 1;
	ERR_clear_error();
	return valid;
}
