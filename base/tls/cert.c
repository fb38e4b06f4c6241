#include <openssl/err.h>
#include <openssl/pem.h>
#include <string.h>
#include <time.h>

#include "base/tls/tls_internal.h"

SL_DEFINE_AUTO(X509_STORE *, X509_STORE_free);
SL_DEFINE_AUTO(X509_STORE_CTX *, X509_STORE_CTX_free);

sl_code tls_x509_read(struct sl_bytes pem, X509 **ret_cert, struct sl_err *err)
{
	SL_AUTO(BIO_free_all_auto) BIO *bio = NULL;
	sl_code code = tls_pem_open(pem, TLS_PEM_MAX, "a certificate", &bio, err);
	if (code != SL_OK) {
		return code;
	}
	X509 *cert = PEM_read_bio_X509(bio, NULL, NULL, NULL);
	if (cert == NULL) {
		return tls_failed(err, SL_INVALID_ARGUMENT, "read the certificate");
	}
	*ret_cert = cert;
	return SL_OK;
}

static bool read_time(const ASN1_TIME *time, uint64_t *ret_ms)
{
	struct tm tm;
	if (ASN1_TIME_to_tm(time, &tm) != 1) {
		return false;
	}
	int64_t seconds = timegm(&tm);
	*ret_ms = seconds > 0 ? (uint64_t)seconds * 1000 : 0;
	return true;
}

static bool read_serial(const ASN1_INTEGER *serial, struct tls_cert *cert)
{
	int size = ASN1_STRING_length(serial);
	if (size <= 0 || size > TLS_SERIAL_MAX || ASN1_STRING_type(serial) != V_ASN1_INTEGER) {
		return false; /* of another type: a negative one */
	}
	memcpy(cert->serial, ASN1_STRING_get0_data(serial), (size_t)size);
	cert->serial_size = (size_t)size;
	return true;
}

/* A URI with a byte that does not print would read as another one somewhere. */
static void read_uri(const GENERAL_NAME *name, struct tls_cert *cert)
{
	const ASN1_IA5STRING *text = name->d.uniformResourceIdentifier;
	int size = ASN1_STRING_length(text);
	const uint8_t *bytes = ASN1_STRING_get0_data(text);
	if (size <= 0 || size > TLS_URI_MAX) {
		return;
	}
	for (int i = 0; i < size; i++) {
		if (bytes[i] <= ' ' || bytes[i] > '~') {
			return;
		}
	}
	memcpy(cert->uri, bytes, (size_t)size);
	cert->uri[size] = '\0';
}

/* False: there are names that cannot be read, or two lists of them. */
static bool read_names(X509 *x509, struct tls_cert *cert)
{
	int found = 0;
	SL_AUTO(GENERAL_NAMES_free_auto)
	GENERAL_NAMES *names = X509_get_ext_d2i(x509, NID_subject_alt_name, &found, NULL);
	if (names == NULL) {
		return found == -1; /* none at all */
	}
	cert->name_count = (unsigned)sk_GENERAL_NAME_num(names);
	if (cert->name_count == 1 && sk_GENERAL_NAME_value(names, 0)->type == GEN_URI) {
		read_uri(sk_GENERAL_NAME_value(names, 0), cert);
	}
	return true;
}

static bool read_fingerprint(X509 *x509, uint8_t out[static TLS_FINGERPRINT_BYTES])
{
	unsigned char *der = NULL;
	int size = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(x509), &der);
	bool read = size > 0 && EVP_Digest(der, (size_t)size, out, NULL, EVP_sha256(), NULL) == 1;
	OPENSSL_free(der);
	return read;
}

bool tls_x509_facts(X509 *x509, struct tls_cert *ret_cert)
{
	*ret_cert = (struct tls_cert){.uri = ""};
	uint32_t flags = X509_get_extension_flags(x509);
	uint32_t usage = (flags & EXFLAG_XKUSAGE) != 0 ? X509_get_extended_key_usage(x509) : 0;
	ret_cert->is_ca = (flags & EXFLAG_CA) != 0;
	ret_cert->for_client = (usage & XKU_SSL_CLIENT) != 0;
	ret_cert->for_server = (usage & XKU_SSL_SERVER) != 0;
	bool read = (flags & EXFLAG_INVALID) == 0 &&
		    read_time(X509_get0_notBefore(x509), &ret_cert->not_before_ms) &&
		    read_time(X509_get0_notAfter(x509), &ret_cert->not_after_ms) &&
		    read_serial(X509_get0_serialNumber(x509), ret_cert) &&
		    read_names(x509, ret_cert) && read_fingerprint(x509, ret_cert->fingerprint);
	ERR_clear_error();
	return read;
}

sl_code tls_cert_read(struct sl_bytes pem, struct tls_cert *ret_cert, struct sl_err *err)
{
	SL_AUTO(X509_free_auto) X509 *x509 = NULL;
	struct tls_cert cert;
	sl_code code = tls_x509_read(pem, &x509, err);
	if (code == SL_OK && !tls_x509_facts(x509, &cert)) {
		code = sl_err_set(err, SL_INVALID_ARGUMENT,
				  "the certificate's dates, serial or names are not well-formed");
	}
	if (code == SL_OK) {
		*ret_cert = cert;
	}
	return code;
}

sl_code tls_cert_key(struct sl_bytes pem, struct tls_key **ret_key, struct sl_err *err)
{
	SL_AUTO(X509_free_auto) X509 *x509 = NULL;
	sl_code code = tls_x509_read(pem, &x509, err);
	if (code != SL_OK) {
		return code;
	}
	EVP_PKEY *pkey = X509_get_pubkey(x509);
	if (pkey == NULL) {
		return tls_failed(err, SL_INVALID_ARGUMENT, "read the certificate's key");
	}
	return tls_key_take(pkey, "the certificate", ret_key, err);
}

/* Exactly this CA: not what the machine trusts, and no chain beyond it. */
static X509_STORE *store_of(X509 *ca, enum tls_use use, uint64_t at_ms)
{
	X509_STORE *store = X509_STORE_new();
	if (store == NULL || X509_STORE_add_cert(store, ca) != 1) {
		X509_STORE_free(store);
		return NULL;
	}
	X509_VERIFY_PARAM *param = X509_STORE_get0_param(store);
	(void)X509_VERIFY_PARAM_set_purpose(param, use == TLS_CLIENT ? X509_PURPOSE_SSL_CLIENT
								     : X509_PURPOSE_SSL_SERVER);
	if (at_ms == 0) {
		(void)X509_VERIFY_PARAM_set_flags(param, X509_V_FLAG_NO_CHECK_TIME);
	} else {
		X509_VERIFY_PARAM_set_time(param, (time_t)(at_ms / 1000));
	}
	return store;
}

sl_code tls_cert_check(struct sl_bytes pem, struct sl_bytes ca_pem, enum tls_use use,
		       uint64_t at_ms, struct sl_err *err)
{
	SL_AUTO(X509_free_auto) X509 *x509 = NULL;
	SL_AUTO(X509_free_auto) X509 *ca = NULL;
	struct tls_cert cert;
	sl_code code = tls_x509_read(pem, &x509, err);
	code = code != SL_OK ? code : tls_x509_read(ca_pem, &ca, err);
	if (code != SL_OK) {
		return code;
	}
	if (!tls_x509_facts(x509, &cert) || cert.is_ca ||
	    !(use == TLS_CLIENT ? cert.for_client : cert.for_server)) {
		return sl_err_set(err, SL_FAILED_PRECONDITION, "the certificate is not made for %s",
				  use == TLS_CLIENT ? "clients" : "servers");
	}
	SL_AUTO(X509_STORE_free_auto) X509_STORE *store = store_of(ca, use, at_ms);
	SL_AUTO(X509_STORE_CTX_free_auto) X509_STORE_CTX *ctx = X509_STORE_CTX_new();
	if (store == NULL || ctx == NULL || X509_STORE_CTX_init(ctx, store, x509, NULL) != 1) {
		return tls_failed(err, SL_RESOURCE_EXHAUSTED, "check a certificate");
	}
	bool valid = X509_verify_cert(ctx) == 1;
	ERR_clear_error();
	if (!valid) {
		return sl_err_set(err, SL_FAILED_PRECONDITION, "the certificate is refused: %s",
				  X509_verify_cert_error_string(X509_STORE_CTX_get_error(ctx)));
	}
	return SL_OK;
}

sl_code tls_client_read(struct sl_bytes pem, struct sl_bytes key_pem, struct sl_bytes ca_pem,
			struct tls_cert *ret_cert, bool *ret_pair, struct sl_err *err)
{
	SL_AUTO(tls_key_free_auto) struct tls_key *key = NULL;
	uint8_t fingerprint[TLS_FINGERPRINT_BYTES];
	sl_code code = tls_cert_read(pem, ret_cert, err);
	code = code != SL_OK ? code : tls_key_read(key_pem, &key, err);
	code = code != SL_OK ? code : tls_key_fingerprint(key, fingerprint, err);
	code = code != SL_OK ? code : tls_cert_check(pem, ca_pem, TLS_CLIENT, 0, err);
	*ret_pair =
	    code == SL_OK && memcmp(fingerprint, ret_cert->fingerprint, sizeof(fingerprint)) == 0;
	return code;
}

bool tls_cert_is_for(struct sl_bytes pem, const char *host)
{
	SL_AUTO(X509_free_auto) X509 *x509 = NULL;
	if (tls_x509_read(pem, &x509, NULL) != SL_OK) {
		return false;
	}
	bool is_for =
	    X509_check_ip_asc(x509, host, 0) == 1 ||
	    X509_check_host(x509, host, 0, X509_CHECK_FLAG_NEVER_CHECK_SUBJECT, NULL) == 1;
	ERR_clear_error();
	return is_for;
}
