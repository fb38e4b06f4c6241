#include <openssl/bn.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <string.h>
#include <time.h>

#include "base/crypto/crypto.h"
#include "base/tls/tls_internal.h"

enum { COMMON_NAME_MAX = 64 };

SL_DEFINE_AUTO(BIGNUM *, BN_free);
SL_DEFINE_AUTO(X509_EXTENSION *, X509_EXTENSION_free);

/* One extension of constant text. */
struct fixed {
	int nid;
	const char *value;
};

static const struct fixed ca_extensions[] = {
    {NID_basic_constraints, "critical,CA:TRUE,pathlen:0"},
    {NID_key_usage, "critical,keyCertSign,cRLSign"},
    {NID_subject_key_identifier, "hash"},
    {0, NULL},
};
static const struct fixed client_extensions[] = {
    {NID_basic_constraints, "critical,CA:FALSE"},
    {NID_key_usage, "critical,digitalSignature"},
    {NID_ext_key_usage, "clientAuth"},
    {NID_subject_key_identifier, "hash"},
    {NID_authority_key_identifier, "keyid:always"},
    {0, NULL},
};
static const struct fixed server_extensions[] = {
    {NID_basic_constraints, "critical,CA:FALSE"},
    {NID_key_usage, "critical,digitalSignature"},
    {NID_ext_key_usage, "serverAuth"},
    {NID_subject_key_identifier, "hash"},
    {NID_authority_key_identifier, "keyid:always"},
    {0, NULL},
};

void tls_serial_new(uint8_t out[static TLS_SERIAL_BYTES])
{
	sl_random(out, TLS_SERIAL_BYTES);
	out[0] = (uint8_t)((out[0] & 0x3f) | 0x40); /* positive, and never shorter */
}

static bool set_serial(X509 *cert, const uint8_t *serial)
{
	uint8_t made[TLS_SERIAL_BYTES];
	if (serial == NULL) {
		tls_serial_new(made);
		serial = made;
	}
	SL_AUTO(BN_free_auto) BIGNUM *number = BN_bin2bn(serial, TLS_SERIAL_BYTES, NULL);
	return number != NULL && BN_to_ASN1_INTEGER(number, X509_get_serialNumber(cert)) != NULL;
}

static bool set_dates(X509 *cert, uint64_t not_before_ms, uint64_t not_after_ms)
{
	return ASN1_TIME_set(X509_getm_notBefore(cert), (time_t)(not_before_ms / 1000)) != NULL &&
	       ASN1_TIME_set(X509_getm_notAfter(cert), (time_t)(not_after_ms / 1000)) != NULL;
}

static bool add_fixed(X509 *cert, X509 *issuer, const struct fixed *extensions)
{
	X509V3_CTX ctx;
	X509V3_set_ctx(&ctx, issuer, cert, NULL, NULL, 0);
	X509V3_set_ctx_nodb(&ctx);
	for (; extensions->value != NULL; extensions++) {
		SL_AUTO(X509_EXTENSION_free_auto)
		X509_EXTENSION *extension =
		    X509V3_EXT_conf_nid(NULL, &ctx, extensions->nid, extensions->value);
		if (extension == NULL || X509_add_ext(cert, extension, -1) != 1) {
			return false;
		}
	}
	return true;
}

static bool common_name_is_valid(const char *name)
{
	size_t length = strlen(name);
	for (size_t i = 0; i < length; i++) {
		if (name[i] < ' ' || name[i] > '~') {
			return false;
		}
	}
	return length > 0 && length <= COMMON_NAME_MAX;
}

/* Everything but extensions and signature. */
static sl_code fill(X509 *cert, const struct tls_spec *spec, EVP_PKEY *subject, X509 *issuer,
		    struct sl_err *err)
{
	if (!common_name_is_valid(spec->common_name)) {
		return sl_err_set(err, SL_INVALID_ARGUMENT,
				  "a common name must have 1 to %d printable ASCII bytes",
				  COMMON_NAME_MAX);
	}
	if (spec->not_after_ms <= spec->not_before_ms) {
		return sl_err_set(err, SL_INVALID_ARGUMENT,
				  "a certificate must end after it begins");
	}
	const unsigned char *name = (const unsigned char *)spec->common_name;
	if (X509_set_version(cert, X509_VERSION_3) != 1 || !set_serial(cert, spec->serial) ||
	    !set_dates(cert, spec->not_before_ms, spec->not_after_ms) ||
	    X509_NAME_add_entry_by_NID(X509_get_subject_name(cert), NID_commonName, MBSTRING_ASC,
				       name, -1, -1, 0) != 1 ||
	    X509_set_issuer_name(cert, X509_get_subject_name(issuer)) != 1 ||
	    X509_set_pubkey(cert, subject) != 1) {
		return tls_failed(err, SL_INTERNAL, "fill in a certificate");
	}
	return SL_OK;
}

static sl_code sign(X509 *cert, EVP_PKEY *key, char **ret_pem, struct sl_err *err)
{
	SL_AUTO(BIO_free_all_auto) BIO *bio = BIO_new(BIO_s_mem());
	if (bio == NULL || X509_sign(cert, key, EVP_sha256()) <= 0 ||
	    PEM_write_bio_X509(bio, cert) != 1) {
		return tls_failed(err, SL_INTERNAL, "sign a certificate");
	}
	return tls_pem_text(bio, ret_pem, err);
}

sl_code tls_ca_new(const struct tls_key *key, const char *common_name, uint64_t not_before_ms,
		   uint64_t not_after_ms, char **ret_pem, struct sl_err *err)
{
	const struct tls_spec spec = {
	    .common_name = common_name,
	    .not_before_ms = not_before_ms,
	    .not_after_ms = not_after_ms,
	};
	SL_AUTO(X509_free_auto) X509 *cert = X509_new();
	if (cert == NULL) {
		return sl_err_no_memory(err);
	}
	sl_code code = fill(cert, &spec, key->pkey, cert, err);
	if (code == SL_OK && !add_fixed(cert, cert, ca_extensions)) {
		code = tls_failed(err, SL_INTERNAL, "make a CA certificate");
	}
	return code != SL_OK ? code : sign(cert, key->pkey, ret_pem, err);
}

sl_code tls_issue(struct sl_bytes ca_pem, const struct tls_key *ca_key, const struct tls_spec *spec,
		  const struct tls_key *subject, char **ret_pem, struct sl_err *err)
{
	SL_AUTO(X509_free_auto) X509 *issuer = NULL;
	SL_AUTO(X509_free_auto) X509 *cert = X509_new();
	if (cert == NULL) {
		return sl_err_no_memory(err);
	}
	sl_code code = tls_x509_read(ca_pem, &issuer, err);
	if (code == SL_OK && X509_check_private_key(issuer, ca_key->pkey) != 1) {
		code =
		    tls_failed(err, SL_FAILED_PRECONDITION, "sign with a key that is not the CA's");
	}
	code = code != SL_OK ? code : fill(cert, spec, subject->pkey, issuer, err);
	code = code != SL_OK ? code : tls_add_names(cert, spec, err);
	const struct fixed *extensions =
	    spec->use == TLS_CLIENT ? client_extensions : server_extensions;
	if (code == SL_OK && !add_fixed(cert, issuer, extensions)) {
		code = tls_failed(err, SL_INTERNAL, "extend a certificate");
	}
	return code != SL_OK ? code : sign(cert, ca_key->pkey, ret_pem, err);
}
