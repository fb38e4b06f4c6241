/* tls_internal: what the files of base/tls share; nobody else may include it. */
#ifndef SL_BASE_TLS_INTERNAL_H
#define SL_BASE_TLS_INTERNAL_H

#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include "base/tls/tls.h"

struct tls_key {
	EVP_PKEY *pkey; /* owned; P-256 */
};

SL_DEFINE_AUTO(BIO *, BIO_free_all);
SL_DEFINE_AUTO(X509 *, X509_free);
SL_DEFINE_AUTO(X509_REQ *, X509_REQ_free);
SL_DEFINE_AUTO(EVP_PKEY *, EVP_PKEY_free);
SL_DEFINE_AUTO(EVP_MD_CTX *, EVP_MD_CTX_free);
SL_DEFINE_AUTO(GENERAL_NAMES *, GENERAL_NAMES_free);
SL_DEFINE_AUTO(GENERAL_NAME *, GENERAL_NAME_free);

/* Says what OpenSSL says, and empties its queue. */
sl_code tls_failed(struct sl_err *err, sl_code code, const char *doing);

/* Takes the key over, whatever happens. SL_INVALID_ARGUMENT: it is not P-256. */
SL_MUST_USE sl_code tls_key_take(EVP_PKEY *pkey, const char *of, struct tls_key **ret_key,
				 struct sl_err *err);
/* A reader over borrowed bytes. */
SL_MUST_USE sl_code tls_pem_open(struct sl_bytes pem, size_t max, const char *what, BIO **ret_bio,
				 struct sl_err *err);
/* What was written into a memory BIO, as a text of malloc's. */
SL_MUST_USE sl_code tls_pem_text(BIO *bio, char **ret_text, struct sl_err *err);
SL_MUST_USE sl_code tls_x509_read(struct sl_bytes pem, X509 **ret_cert, struct sl_err *err);
/* Fills *ret_cert; false: a field is beyond what a certificate may hold. */
bool tls_x509_facts(X509 *cert, struct tls_cert *ret_cert);
/* Its DNS names and IP addresses, in the arena; false: out of memory. */
bool tls_x509_hosts(X509 *x509, struct sl_arena *arena, const char *const **ret_hosts,
		    size_t *ret_count);
/* Puts the spec's names into the certificate. */
SL_MUST_USE sl_code tls_add_names(X509 *cert, const struct tls_spec *spec, struct sl_err *err);

/* Was the holder of this key, who comes by this connection, hung up on of late for what it sent
 * (read.c)? Any thread. */
bool tls_is_out(const SSL *ssl, const uint8_t key[static TLS_FINGERPRINT_BYTES]);
/* Where a server's connection came from, as tls_hooks_coming() said; 0: nobody did. */
uint64_t tls_origin_of(const SSL *ssl);

#endif
