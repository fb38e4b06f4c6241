/* Handshakes in memory between two ends of this program: what the hooks add to OpenSSL. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>

#include "base/crypto/crypto.h"
#include "base/mem/own.h"
#include "base/tls/hooks.h"
#include "tests/lib/certs.h"

#define URI "spiffe://sluice/agent/ins_a/idn_b"

struct fixture {
	char *ca, *ca_key, *twin, *twin_key, *server, *server_key, *key;
	unsigned asked;
	char uri[TLS_URI_MAX + 1];
	bool admits;
};

static bool admit(void *ctx, const struct tls_cert *cert)
{
	struct fixture *f = ctx;
	f->asked++;
	(void)snprintf(f->uri, sizeof(f->uri), "%s", cert->uri);
	return f->admits;
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	assert_non_null(f);
	const struct certs_shape ca = {.common_name = "Sluice CA", .is_ca = true};
	const struct certs_shape server = {.dns = "localhost", .eku = "serverAuth"};
	f->ca_key = certs_key();
	f->ca = certs_issue(&ca, f->ca_key, NULL, NULL);
	f->twin_key = certs_key();
	f->twin = certs_issue(&ca, f->twin_key, NULL, NULL);
	f->server_key = certs_key();
	f->server = certs_issue(&server, f->server_key, f->ca, f->ca_key);
	f->key = certs_key();
	f->admits = true;
	tls_hooks_install();
	tls_hooks_install();
	tls_hooks_admit(admit, f);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	tls_hooks_admit(NULL, NULL);
	free(f->ca);
	free(f->ca_key);
	free(f->twin);
	free(f->twin_key);
	free(f->server);
	free(f->server_key);
	free(f->key);
	free(f);
	return 0;
}

static void use(SSL_CTX *ctx, const char *cert_pem, const char *key_pem)
{
	BIO *cert_bio = BIO_new_mem_buf(cert_pem, -1);
	BIO *key_bio = BIO_new_mem_buf(key_pem, -1);
	X509 *cert = PEM_read_bio_X509(cert_bio, NULL, NULL, NULL);
	EVP_PKEY *key = PEM_read_bio_PrivateKey(key_bio, NULL, NULL, NULL);
	assert_int_equal(SSL_CTX_use_certificate(ctx, cert), 1);
	assert_int_equal(SSL_CTX_use_PrivateKey(ctx, key), 1);
	X509_free(cert);
	EVP_PKEY_free(key);
	BIO_free(cert_bio);
	BIO_free(key_bio);
}

static void trust(SSL_CTX *ctx, const char *ca_pem)
{
	BIO *bio = BIO_new_mem_buf(ca_pem, -1);
	X509 *ca = PEM_read_bio_X509(bio, NULL, NULL, NULL);
	assert_int_equal(X509_STORE_add_cert(SSL_CTX_get_cert_store(ctx), ca), 1);
	X509_free(ca);
	BIO_free(bio);
}

struct ends {
	SSL_CTX *server_ctx, *client_ctx;
	SSL *server, *client;
};

static int speak_http2(SSL *ssl, const unsigned char **out, unsigned char *size,
		       const unsigned char *offered, unsigned offered_size, void *ctx)
{
	(void)ssl, (void)ctx, (void)offered_size;
	*out = offered + 1;
	*size = offered[0];
	return SSL_TLSEXT_ERR_OK;
}

/* As gRPC sets them up: versions and verification on the context, after its birth. */
static void ends_init(struct ends *ends, const struct fixture *f, const char *cert, int max_version)
{
	ends->server_ctx = SSL_CTX_new(TLS_method());
	ends->client_ctx = SSL_CTX_new(TLS_method());
	use(ends->server_ctx, f->server, f->server_key);
	trust(ends->server_ctx, f->ca);
	trust(ends->client_ctx, f->ca);
	SSL_CTX_set_min_proto_version(ends->server_ctx, TLS1_2_VERSION);
	SSL_CTX_set_verify(ends->server_ctx, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT,
			   NULL);
	SSL_CTX_set_verify(ends->client_ctx, SSL_VERIFY_PEER, NULL);
	if (cert != NULL) {
		use(ends->client_ctx, cert, f->key);
	}
	ends->server = SSL_new(ends->server_ctx);
	ends->client = SSL_new(ends->client_ctx);
	SSL_set_accept_state(ends->server);
	SSL_set_connect_state(ends->client);
	if (max_version == TLS1_2_VERSION) { /* a client without the hooks */
		SSL_set_min_proto_version(ends->client, TLS1_2_VERSION);
		SSL_set_max_proto_version(ends->client, TLS1_2_VERSION);
	}
	BIO *a = NULL, *b = NULL;
	SSL_CTX_set_alpn_select_cb(ends->server_ctx, speak_http2, NULL);
	assert_int_equal(SSL_set_alpn_protos(ends->client, (const uint8_t *)"\2h2", 3), 0);
	assert_int_equal(BIO_new_bio_pair(&a, 0, &b, 0), 1);
	SSL_set_bio(ends->server, a, a);
	SSL_set_bio(ends->client, b, b);
}

static void ends_fini(struct ends *ends)
{
	SSL_free(ends->server);
	SSL_free(ends->client);
	SSL_CTX_free(ends->server_ctx);
	SSL_CTX_free(ends->client_ctx);
	ERR_clear_error();
}

/* Whether the server has let the client in. */
static bool shake_hands(struct ends *ends)
{
	int server = 0;
	for (int turn = 0; turn < 20 && server != 1; turn++) {
		(void)SSL_do_handshake(ends->client);
		server = SSL_do_handshake(ends->server);
		if (server != 1 && SSL_get_error(ends->server, server) == SSL_ERROR_SSL) {
			return false;
		}
	}
	return server == 1;
}

static bool is_let_in(const struct fixture *f, const char *cert, int max_version)
{
	struct ends ends;
	ends_init(&ends, f, cert, max_version);
	bool in = shake_hands(&ends);
	ends_fini(&ends);
	return in;
}

static void test_hooks_admit_is_asked_once_with_the_name(void **state)
{
	struct fixture *f = *state;
	const struct certs_shape shape = {.uris = {URI}, .eku = "clientAuth"};
	SL_AUTO(sl_free_auto) char *cert = certs_issue(&shape, f->key, f->ca, f->ca_key);
	assert_true(is_let_in(f, cert, 0));
	assert_int_equal(f->asked, 1);
	assert_string_equal(f->uri, URI);
	f->admits = false;
	assert_false(is_let_in(f, cert, 0));
	assert_int_equal(f->asked, 2);
}

static void test_hooks_refuse_without_asking(void **state)
{
	struct fixture *f = *state;
	const struct {
		const char *what;
		struct certs_shape shape;
		const char *issuer, *issuer_key; /* NULL: itself */
	} rows[] = {
	    {"CA of the same name", {.uris = {URI}, .eku = "clientAuth"}, f->twin, f->twin_key},
	    {"self-signed", {.uris = {URI}, .eku = "clientAuth"}, NULL, NULL},
	    {"expired",
	     {.uris = {URI}, .eku = "clientAuth", .from_s = -120, .until_s = -60},
	     f->ca,
	     f->ca_key},
	    {"not yet valid",
	     {.uris = {URI}, .eku = "clientAuth", .from_s = 60, .until_s = 120},
	     f->ca,
	     f->ca_key},
	    {"for servers", {.uris = {URI}, .eku = "serverAuth"}, f->ca, f->ca_key},
	    {"for nothing", {.uris = {URI}}, f->ca, f->ca_key},
	    {"two URIs", {.uris = {URI, URI "2"}, .eku = "clientAuth"}, f->ca, f->ca_key},
	    {"no name", {.eku = "clientAuth"}, f->ca, f->ca_key},
	    {"a host's name too",
	     {.uris = {URI}, .dns = "localhost", .eku = "clientAuth"},
	     f->ca,
	     f->ca_key},
	    {"a URI that does not print",
	     {.uris = {"spiffe://sluice/a\nb"}, .eku = "clientAuth"},
	     f->ca,
	     f->ca_key},
	    {"a CA", {.uris = {URI}, .eku = "clientAuth", .is_ca = true}, f->ca, f->ca_key},
	};
	for (size_t i = 0; i < SL_COUNT(rows); i++) {
		SL_AUTO(sl_free_auto)
		char *cert =
		    certs_issue(&rows[i].shape, f->key, rows[i].issuer, rows[i].issuer_key);
		if (is_let_in(f, cert, 0) || f->asked != 0) {
			fail_msg("%s: let in, or asked about", rows[i].what);
		}
	}
	assert_false(is_let_in(f, NULL, 0));
	assert_int_equal(f->asked, 0);
}

static void test_hooks_leaf_used_as_ca_is_refused(void **state)
{
	struct fixture *f = *state;
	const struct certs_shape shape = {
	    .common_name = "leaf", .uris = {URI}, .eku = "clientAuth"};
	SL_AUTO(sl_free_auto) char *leaf_key = certs_key();
	SL_AUTO(sl_free_auto) char *leaf = certs_issue(&shape, leaf_key, f->ca, f->ca_key);
	SL_AUTO(sl_free_auto) char *below = certs_issue(&shape, f->key, leaf, leaf_key);
	struct ends ends;
	ends_init(&ends, f, below, 0);
	BIO *bio = BIO_new_mem_buf(leaf, -1);
	X509 *extra = PEM_read_bio_X509(bio, NULL, NULL, NULL);
	BIO_free(bio);
	assert_int_equal(SSL_add0_chain_cert(ends.client, extra), 1);
	assert_false(shake_hands(&ends));
	ends_fini(&ends);
	assert_int_equal(f->asked, 0);
}

static void test_hooks_speak_tls_1_3_only_and_give_no_tickets(void **state)
{
	struct fixture *f = *state;
	const struct certs_shape shape = {.uris = {URI}, .eku = "clientAuth"};
	SL_AUTO(sl_free_auto) char *cert = certs_issue(&shape, f->key, f->ca, f->ca_key);
	assert_false(is_let_in(f, cert, TLS1_2_VERSION));
	assert_int_equal(f->asked, 0);
	struct ends ends;
	ends_init(&ends, f, cert, 0);
	assert_true(shake_hands(&ends));
	char byte = 0;
	assert_int_equal(SSL_write(ends.server, "x", 1), 1);
	assert_int_equal(SSL_read(ends.client, &byte, 1), 1); /* tickets would have come before */
	assert_int_equal(SSL_version(ends.client), TLS1_3_VERSION);
	assert_false(SSL_SESSION_has_ticket(SSL_get_session(ends.client)));
	assert_false(SSL_SESSION_is_resumable(SSL_get_session(ends.client)));
	assert_true((SSL_get_mode(ends.server) & SSL_MODE_RELEASE_BUFFERS) != 0);
	assert_true((SSL_get_mode(ends.client) & SSL_MODE_NO_AUTO_CHAIN) != 0);
	ends_fini(&ends);
}

/* Says `text` so often; whether the server still reads. */
static bool is_heard(struct ends *ends, const void *text, int size, int times)
{
	char read[4096];
	bool heard = true;
	for (int i = 0; heard && i < times; i++) {
		assert_int_equal(SSL_write(ends->client, text, size), size);
		heard = SSL_read(ends->server, read, sizeof(read)) > 0;
	}
	ERR_clear_error();
	return heard;
}

static void test_hooks_who_floods_is_out_with_all_connections(void **state)
{
	static const char preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
	static const uint8_t ping[17] = {0, 0, 8, 6};
	struct fixture *f = *state;
	const struct certs_shape shape = {.uris = {URI}, .eku = "clientAuth"};
	SL_AUTO(sl_free_auto) char *cert = certs_issue(&shape, f->key, f->ca, f->ca_key);
	SL_AUTO(sl_free_auto) char *own_key = SL_TAKE(f->key);
	struct ends flooding, idle;
	f->key = certs_key();
	SL_AUTO(sl_free_auto) char *other = certs_issue(&shape, f->key, f->ca, f->ca_key);
	char *other_key = f->key;
	f->key = own_key;
	ends_init(&flooding, f, cert, 0);
	ends_init(&idle, f, cert, 0);
	assert_true(shake_hands(&flooding) && shake_hands(&idle));
	assert_true(is_heard(&flooding, preface, sizeof(preface) - 1, 1));
	assert_true(is_heard(&idle, preface, sizeof(preface) - 1, 1));
	assert_true(is_heard(&flooding, ping, sizeof(ping), 1000));
	assert_true(is_let_in(f, cert, 0));
	assert_false(is_heard(&flooding, ping, sizeof(ping), 5000));
	assert_false(is_heard(&idle, ping, sizeof(ping), 1));
	assert_false(is_let_in(f, cert, 0));
	f->key = other_key;
	assert_true(is_let_in(f, other, 0)); /* the same name, another key */
	ends_fini(&flooding);
	ends_fini(&idle);
}

static void test_hooks_bio_pair_is_smaller(void **state)
{
	(void)state;
	BIO *a = NULL, *b = NULL;
	assert_int_equal(BIO_new_bio_pair(&a, 0, &b, 0), 1);
	assert_int_equal(BIO_get_write_buf_size(a, 0), 8192);
	assert_int_equal(BIO_get_write_buf_size(b, 0), 4608);
	BIO_free(a);
	BIO_free(b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(test_hooks_admit_is_asked_once_with_the_name, setup,
					    teardown),
	    cmocka_unit_test_setup_teardown(test_hooks_refuse_without_asking, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_hooks_leaf_used_as_ca_is_refused, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_hooks_speak_tls_1_3_only_and_give_no_tickets,
					    setup, teardown),
	    cmocka_unit_test_setup_teardown(test_hooks_who_floods_is_out_with_all_connections,
					    setup, teardown),
	    cmocka_unit_test(test_hooks_bio_pair_is_smaller),
	};
	if (!sl_crypto_init()) {
		return EXIT_FAILURE;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
