#include "tests/lib/certs.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/params.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#define MUST(x)                                                                                    \
	do {                                                                                       \
		if (!(x)) {                                                                        \
			ERR_print_errors_fp(stderr);                                               \
			fprintf(stderr, "certs: failed: %s\n", #x);                                \
			abort();                                                                   \
		}                                                                                  \
	} while (0)

enum { MINUTE_S = 60, HOUR_S = 3600, SERIAL_BYTES = 16, RSA_BITS = 2048 };

static char *take_text(BIO *bio)
{
	char *data = NULL;
	long size = BIO_get_mem_data(bio, &data);
	char *text = strndup(data, (size_t)size);
	MUST(text);
	BIO_free(bio);
	return text;
}

static EVP_PKEY *read_key(const char *pem)
{
	BIO *bio = BIO_new_mem_buf(pem, -1);
	EVP_PKEY *key = PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL);
	MUST(key);
	BIO_free(bio);
	return key;
}

static EVP_PKEY *explicit_key(void)
{
	EVP_PKEY *key = NULL;
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, "EC", NULL);
	const OSSL_PARAM params[] = {
	    OSSL_PARAM_construct_utf8_string("group", (char *)"P-256", 0),
	    OSSL_PARAM_construct_utf8_string("encoding", (char *)"explicit", 0),
	    OSSL_PARAM_construct_end(),
	};
	MUST(ctx && EVP_PKEY_keygen_init(ctx) == 1 && EVP_PKEY_CTX_set_params(ctx, params) == 1 &&
	     EVP_PKEY_generate(ctx, &key) == 1);
	EVP_PKEY_CTX_free(ctx);
	return key;
}

static EVP_PKEY *key_of(const char *group)
{
	if (strcmp(group, "explicit") == 0) {
		return explicit_key();
	}
	return strcmp(group, "RSA") == 0 ? EVP_RSA_gen(RSA_BITS) : EVP_EC_gen(group);
}

char *certs_key_of(const char *group)
{
	EVP_PKEY *key = key_of(group);
	BIO *bio = BIO_new(BIO_s_mem());
	MUST(key && PEM_write_bio_PKCS8PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL) == 1);
	EVP_PKEY_free(key);
	return take_text(bio);
}

char *certs_key(void)
{
	return certs_key_of("P-256");
}

static void add_name(GENERAL_NAMES *names, int type, const void *data, size_t size)
{
	GENERAL_NAME *name = GENERAL_NAME_new();
	ASN1_STRING *text = type == GEN_IPADD ? ASN1_OCTET_STRING_new() : ASN1_IA5STRING_new();
	MUST(name && text && ASN1_STRING_set(text, data, (int)size) == 1);
	GENERAL_NAME_set0_value(name, type, text);
	MUST(sk_GENERAL_NAME_push(names, name) > 0);
}

static void add_names(X509 *cert, const struct certs_shape *shape)
{
	GENERAL_NAMES *names = GENERAL_NAMES_new();
	for (int i = 0; i < 2; i++) {
		if (shape->uris[i] != NULL) {
			add_name(names, GEN_URI, shape->uris[i], strlen(shape->uris[i]));
		}
	}
	if (shape->dns != NULL) {
		add_name(names, GEN_DNS, shape->dns, strlen(shape->dns));
	}
	if (shape->ip != NULL) {
		ASN1_OCTET_STRING *ip = a2i_IPADDRESS(shape->ip);
		MUST(ip);
		add_name(names, GEN_IPADD, ASN1_STRING_get0_data(ip),
			 (size_t)ASN1_STRING_length(ip));
		ASN1_OCTET_STRING_free(ip);
	}
	if (sk_GENERAL_NAME_num(names) > 0) {
		MUST(X509_add1_ext_i2d(cert, NID_subject_alt_name, names, 0, X509V3_ADD_DEFAULT) ==
		     1);
	}
	GENERAL_NAMES_free(names);
}

static void add_fixed(X509 *cert, int nid, const char *value)
{
	X509V3_CTX ctx;
	X509V3_set_ctx(&ctx, cert, cert, NULL, NULL, 0);
	X509V3_set_ctx_nodb(&ctx);
	X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
	MUST(extension && X509_add_ext(cert, extension, -1) == 1);
	X509_EXTENSION_free(extension);
}

static void fill(X509 *cert, const struct certs_shape *shape, EVP_PKEY *key, X509 *issuer)
{
	const char *name = shape->common_name != NULL ? shape->common_name : "test";
	bool usual = shape->from_s == 0 && shape->until_s == 0;
	unsigned char serial[SERIAL_BYTES];
	MUST(RAND_bytes(serial, SERIAL_BYTES) == 1);
	serial[0] = 0x41;
	MUST(ASN1_STRING_set(X509_get_serialNumber(cert), serial, SERIAL_BYTES) == 1);
	MUST(X509_set_version(cert, X509_VERSION_3) == 1);
	time_t now = time(NULL);
	ASN1_TIME_set(X509_getm_notBefore(cert), now + (usual ? -MINUTE_S : shape->from_s));
	ASN1_TIME_set(X509_getm_notAfter(cert), now + (usual ? HOUR_S : shape->until_s));
	MUST(X509_NAME_add_entry_by_NID(X509_get_subject_name(cert), NID_commonName, MBSTRING_ASC,
					(const unsigned char *)name, -1, -1, 0) == 1);
	MUST(X509_set_issuer_name(cert, X509_get_subject_name(issuer)) == 1);
	MUST(X509_set_pubkey(cert, key) == 1);
	add_fixed(cert, NID_basic_constraints,
		  shape->is_ca ? "critical,CA:TRUE,pathlen:0" : "critical,CA:FALSE");
	add_fixed(cert, NID_key_usage,
		  shape->is_ca ? "critical,keyCertSign,cRLSign" : "critical,digitalSignature");
	if (shape->eku != NULL) {
		add_fixed(cert, NID_ext_key_usage, shape->eku);
	}
	add_names(cert, shape);
}

char *certs_issue(const struct certs_shape *shape, const char *key_pem, const char *issuer_pem,
		  const char *issuer_key)
{
	X509 *cert = X509_new();
	X509 *issuer = cert;
	EVP_PKEY *key = read_key(key_pem);
	EVP_PKEY *signer = read_key(issuer_key != NULL ? issuer_key : key_pem);
	if (issuer_pem != NULL) {
		BIO *in = BIO_new_mem_buf(issuer_pem, -1);
		issuer = PEM_read_bio_X509(in, NULL, NULL, NULL);
		BIO_free(in);
	}
	MUST(cert && issuer);
	fill(cert, shape, key, issuer);
	BIO *out = BIO_new(BIO_s_mem());
	MUST(X509_sign(cert, signer, EVP_sha256()) > 0 && PEM_write_bio_X509(out, cert) == 1);
	if (issuer != cert) {
		X509_free(issuer);
	}
	X509_free(cert);
	EVP_PKEY_free(key);
	EVP_PKEY_free(signer);
	return take_text(out);
}

char *certs_request(const char *key_pem, const char *signer_pem)
{
	EVP_PKEY *key = read_key(key_pem);
	EVP_PKEY *signer = read_key(signer_pem);
	X509_REQ *request = X509_REQ_new();
	BIO *out = BIO_new(BIO_s_mem());
	MUST(request && X509_REQ_set_version(request, X509_REQ_VERSION_1) == 1 &&
	     X509_REQ_set_pubkey(request, key) == 1 &&
	     X509_REQ_sign(request, signer, EVP_sha256()) > 0 &&
	     PEM_write_bio_X509_REQ(out, request) == 1);
	X509_REQ_free(request);
	EVP_PKEY_free(key);
	EVP_PKEY_free(signer);
	return take_text(out);
}
