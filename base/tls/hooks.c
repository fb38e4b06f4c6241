#include "base/tls/hooks.h"

#include <assert.h>
#include <openssl/crypto.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <stdatomic.h>

#include "base/absl/absl.h"
#include "base/tls/tls_internal.h"

enum {
	RECORD_OVERHEAD = 512,
	BIO_IN_BYTES = 8192, /* a peer's certificates and Finished must fit */
	BIO_OUT_BYTES = TLS_FRAME_BYTES + RECORD_OVERHEAD, /* one record must fit */
};

static _Atomic(tls_admit_fn *) admit;
static void *admit_ctx; /* written before admit */
static int ssl_index;   /* of each SSL's origin */
static _Thread_local uint64_t coming_from;

static_assert(sizeof(void *) >= sizeof(uint64_t), "an origin is kept in place of a pointer");

/* What OpenSSL lets pass and we do not: no extended key usage at all, no or several names. */
static bool is_admitted(const SSL *ssl, X509 *x509)
{
	tls_admit_fn *ask = atomic_load_explicit(&admit, memory_order_acquire);
	struct tls_cert cert;
	return tls_x509_facts(x509, &cert) && cert.for_client && !cert.is_ca &&
	       cert.name_count == 1 && cert.uri[0] != '\0' && !tls_is_out(ssl, cert.fingerprint) &&
	       ask != NULL && ask(admit_ctx, &cert);
}

static int on_verify(int ok, X509_STORE_CTX *store)
{
	if (!ok || X509_STORE_CTX_get_error_depth(store) != 0) {
		return ok; /* OpenSSL's refusal stands; issuers are its business */
	}
	const SSL *ssl = X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx());
	if (!is_admitted(ssl, X509_STORE_CTX_get_current_cert(store))) {
		X509_STORE_CTX_set_error(store, X509_V_ERR_CERT_REJECTED);
		return 0;
	}
	return 1;
}

static void on_new_ctx(void *parent, void *ptr, CRYPTO_EX_DATA *data, int index, long argl,
		       void *argp)
{
	(void)ptr, (void)data, (void)index, (void)argl, (void)argp;
	(void)SSL_CTX_set_mode(parent, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_NO_AUTO_CHAIN);
}

/* gRPC sets versions and verification on its SSL_CTX after birth; what it sets there, an SSL
 * has already copied. */
static void on_new_ssl(void *parent, void *ptr, CRYPTO_EX_DATA *data, int index, long argl,
		       void *argp)
{
	(void)ptr, (void)argl, (void)argp;
	SSL *ssl = parent;
	(void)CRYPTO_set_ex_data(data, index, (void *)(uintptr_t)coming_from);
	int mode = SSL_get_verify_mode(ssl);
	(void)SSL_set_min_proto_version(ssl, TLS1_3_VERSION);
	(void)SSL_set_num_tickets(ssl, 0);
	(void)SSL_set_mode(ssl, SSL_MODE_RELEASE_BUFFERS);
	if (atomic_load_explicit(&admit, memory_order_acquire) != NULL &&
	    (mode & SSL_VERIFY_FAIL_IF_NO_PEER_CERT) != 0) {
		SSL_set_verify(ssl, mode, on_verify);
	}
}

/* gRPC's threads are not all joined when it is shut down: one may still run its destructors while
 * this process ends. OpenSSL's own cleaning up at exit would pull the keys of their errors (and
 * more) from under them, so there is none: the kernel frees it all. */
static void keep_until_the_end(void)
{
	(void)OPENSSL_init_crypto(OPENSSL_INIT_NO_ATEXIT, NULL);
}

static void install(void)
{
	keep_until_the_end();
	(void)CRYPTO_get_ex_new_index(CRYPTO_EX_INDEX_SSL_CTX, 0, NULL, on_new_ctx, NULL, NULL);
	ssl_index = CRYPTO_get_ex_new_index(CRYPTO_EX_INDEX_SSL, 0, NULL, on_new_ssl, NULL, NULL);
}

void tls_hooks_install(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	sl_absl_quiet();
	(void)pthread_once(&once, install);
}

void tls_hooks_admit(tls_admit_fn *new_admit, void *ctx)
{
	atomic_store_explicit(&admit, NULL, memory_order_release);
	admit_ctx = ctx;
	atomic_store_explicit(&admit, new_admit, memory_order_release);
}

void tls_hooks_coming(uint64_t from)
{
	coming_from = from;
}

uint64_t tls_origin_of(const SSL *ssl)
{
	return (uintptr_t)SSL_get_ex_data(ssl, ssl_index);
}

/* Takes the place of libcrypto's: gRPC asks for the default size (0), 17 KiB each way. The
 * first BIO is the network's side. */
__attribute__((visibility("default"))) int BIO_new_bio_pair(BIO **ret_1, size_t bytes_1,
							    BIO **ret_2, size_t bytes_2)
{
	BIO *one = BIO_new(BIO_s_bio());
	BIO *two = BIO_new(BIO_s_bio());
	if (one == NULL || two == NULL ||
	    BIO_set_write_buf_size(one, (long)(bytes_1 != 0 ? bytes_1 : BIO_IN_BYTES)) != 1 ||
	    BIO_set_write_buf_size(two, (long)(bytes_2 != 0 ? bytes_2 : BIO_OUT_BYTES)) != 1 ||
	    BIO_make_bio_pair(one, two) != 1) {
		(void)BIO_free(one);
		(void)BIO_free(two);
		*ret_1 = *ret_2 = NULL;
		return 0;
	}
	*ret_1 = one;
	*ret_2 = two;
	return 1;
}
