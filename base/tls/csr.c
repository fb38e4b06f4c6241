#include <openssl/err.h>
#include <openssl/pem.h>

#include "base/tls/tls_internal.h"

sl_code tls_csr_new(const struct tls_key *key, char **ret_pem, struct sl_err *err)
{
	SL_AUTO(X509_REQ_free_auto) X509_REQ *request = X509_REQ_new();
	SL_AUTO(BIO_free_all_auto) BIO *bio = BIO_new(BIO_s_mem());
	if (request == NULL || bio == NULL ||
	    X509_REQ_set_version(request, X509_REQ_VERSION_1) != 1 ||
	    X509_REQ_set_pubkey(request, key->pkey) != 1 ||
	    X509_REQ_sign(request, key->pkey, EVP_sha256()) <= 0 ||
	    PEM_write_bio_X509_REQ(bio, request) != 1) {
		return tls_failed(err, SL_INTERNAL, "make a certificate request");
	}
	return tls_pem_text(bio, ret_pem, err);
}

static sl_code refuse(struct sl_err *err, const char *rule)
{
	ERR_clear_error();
	return sl_err_because(err, SL_INVALID_ARGUMENT, SL_REASON_CSR_REFUSED,
			      "the certificate request must %s", rule);
}

sl_code tls_csr_read(struct sl_bytes pem, struct tls_key **ret_key, struct sl_err *err)
{
	SL_AUTO(BIO_free_all_auto) BIO *bio = NULL;
	if (pem.size == 0 || pem.size > TLS_CSR_MAX) {
		return refuse(err, "have 1 to 4096 bytes");
	}
	sl_code code = tls_pem_open(pem, TLS_CSR_MAX, "a certificate request", &bio, err);
	if (code != SL_OK) {
		return code;
	}
	SL_AUTO(X509_REQ_free_auto)
	X509_REQ *request = PEM_read_bio_X509_REQ(bio, NULL, NULL, NULL);
	if (request == NULL) {
		return refuse(err, "be PEM of PKCS#10");
	}
	EVP_PKEY *pkey = X509_REQ_get_pubkey(request);
	SL_AUTO(tls_key_free_auto) struct tls_key *key = NULL;
	if (pkey == NULL || tls_key_take(pkey, "the request", &key, NULL) != SL_OK) {
		return refuse(err, "be for a P-256 key (prime256v1)");
	}
	if (X509_REQ_verify(request, key->pkey) != 1) {
		return refuse(err, "be signed by its own key");
	}
	*ret_key = SL_TAKE(key);
	return SL_OK;
}
