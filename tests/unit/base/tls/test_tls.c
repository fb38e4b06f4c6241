/* Keys, requests and certificates: what is made is what was asked for, and what breaks a
 * rule is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock/clock.h"
#include "base/crypto/crypto.h"
#include "base/crypto/secret.h"
#include "base/mem/own.h"
#include "base/tls/tls.h"
#include "tests/lib/certs.h"

enum { HOUR_MS = 3600 * 1000 };
#define URI "spiffe://sluice/agent/ins_a/idn_b"

struct fixture {
	struct tls_key *ca_key, *key;
	char *ca_pem;
	uint64_t now_ms;
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct sl_err err = SL_ERR_INIT;
	assert_non_null(f);
	f->now_ms = sl_clock_unix_ms() / 1000 * 1000;
	assert_int_equal(tls_key_new(&f->ca_key, &err), SL_OK);
	assert_int_equal(tls_key_new(&f->key, &err), SL_OK);
	assert_int_equal(tls_ca_new(f->ca_key, "Sluice CA", f->now_ms - HOUR_MS,
				    f->now_ms + (100 * HOUR_MS), &f->ca_pem, &err),
			 SL_OK);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	tls_key_free(f->ca_key);
	tls_key_free(f->key);
	free(f->ca_pem);
	free(f);
	return 0;
}

static struct tls_spec client_spec(const struct fixture *f)
{
	return (struct tls_spec){
	    .use = TLS_CLIENT,
	    .common_name = "agent",
	    .uri = URI,
	    .not_before_ms = f->now_ms - 1000,
	    .not_after_ms = f->now_ms + HOUR_MS,
	};
}

static char *issue(const struct fixture *f, const struct tls_spec *spec)
{
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	char *pem = NULL;
	if (tls_issue(sl_bytes_text(f->ca_pem), f->ca_key, spec, f->key, &pem, &err) != SL_OK) {
		fail_msg("%s", err.msg);
	}
	return pem;
}

/* --- keys ----------------------------------------------------------------------------- */

static void test_tls_key_survives_pem(void **state)
{
	struct fixture *f = *state;
	struct sl_err err = SL_ERR_INIT;
	SL_AUTO(sl_secret_text_auto) char *pem = NULL;
	SL_AUTO(tls_key_free_auto) struct tls_key *again = NULL;
	assert_int_equal(tls_key_pem(f->key, &pem, &err), SL_OK);
	assert_ptr_equal(strstr(pem, "-----BEGIN PRIVATE KEY-----"), pem);
	assert_int_equal(tls_key_read(sl_bytes_text(pem), &again, &err), SL_OK);
	assert_true(tls_key_equal(f->key, again));
	assert_false(tls_key_equal(f->ca_key, again));
	uint8_t a[TLS_FINGERPRINT_BYTES], b[TLS_FINGERPRINT_BYTES];
	assert_int_equal(tls_key_fingerprint(f->key, a, &err), SL_OK);
	assert_int_equal(tls_key_fingerprint(again, b, &err), SL_OK);
	assert_memory_equal(a, b, sizeof(a));
	/* It can sign for what the first one's public half verifies. */
	uint8_t signature[TLS_SIGNATURE_MAX];
	size_t size = 0;
	assert_int_equal(tls_sign(again, sl_bytes_text("m"), signature, &size, &err), SL_OK);
	assert_true(tls_verify(f->key, sl_bytes_text("m"), SL_BYTES(signature, size)));
}

static void refuse_key(const char *pem, size_t size, const char *says)
{
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	struct tls_key *key = NULL;
	assert_int_equal(tls_key_read(SL_BYTES(pem, size), &key, &err), SL_INVALID_ARGUMENT);
	assert_null(key);
	if (strstr(err.msg, says) == NULL) {
		fail_msg("'%s' does not say '%s'", err.msg, says);
	}
}

static void test_tls_key_refuses_other_kinds(void **state)
{
	(void)state;
	SL_AUTO(sl_free_auto) char *p384 = certs_key_of("P-384");
	SL_AUTO(sl_free_auto) char *rsa = certs_key_of("RSA");
	SL_AUTO(sl_free_auto) char *explicit = certs_key_of("explicit");
	SL_AUTO(sl_free_auto) char *good = certs_key();
	SL_AUTO(sl_free_auto) char *large = calloc(1, TLS_PEM_MAX + 1);
	refuse_key(p384, strlen(p384), "P-256");
	refuse_key(rsa, strlen(rsa), "P-256");
	refuse_key(explicit, strlen(explicit), "P-256");
	refuse_key("", 0, "1 to 16384 bytes");
	refuse_key(large, TLS_PEM_MAX + 1, "1 to 16384 bytes");
	refuse_key("nonsense", 8, "cannot read");
	refuse_key(good, strlen(good) / 2, "cannot read");
}

static void test_tls_signature_is_of_message_and_key(void **state)
{
	struct fixture *f = *state;
	struct sl_err err = SL_ERR_INIT;
	uint8_t signature[TLS_SIGNATURE_MAX];
	size_t size = 0;
	struct sl_bytes message = sl_bytes_text("renew\0nonce");
	assert_int_equal(tls_sign(f->key, message, signature, &size, &err), SL_OK);
	assert_true(tls_verify(f->key, message, SL_BYTES(signature, size)));
	assert_false(tls_verify(f->ca_key, message, SL_BYTES(signature, size)));
	assert_false(tls_verify(f->key, sl_bytes_text("other"), SL_BYTES(signature, size)));
	assert_false(tls_verify(f->key, message, SL_BYTES(signature, size - 1)));
	assert_false(tls_verify(f->key, message, SL_BYTES_NONE));
	signature[size - 1] ^= 1;
	assert_false(tls_verify(f->key, message, SL_BYTES(signature, size)));
}

/* --- requests --------------------------------------------------------------------------- */

static void test_tls_csr_gives_its_key_only(void **state)
{
	struct fixture *f = *state;
	struct sl_err err = SL_ERR_INIT;
	SL_AUTO(sl_free_auto) char *pem = NULL;
	SL_AUTO(tls_key_free_auto) struct tls_key *key = NULL;
	assert_int_equal(tls_csr_new(f->key, &pem, &err), SL_OK);
	assert_int_equal(tls_csr_read(sl_bytes_text(pem), &key, &err), SL_OK);
	assert_true(tls_key_equal(f->key, key));
}

static void refuse_csr(const char *pem, size_t size, const char *says)
{
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	struct tls_key *key = NULL;
	assert_int_equal(tls_csr_read(SL_BYTES(pem, size), &key, &err), SL_INVALID_ARGUMENT);
	assert_int_equal(err.reason, SL_REASON_CSR_REFUSED);
	assert_null(key);
	if (strstr(err.msg, says) == NULL) {
		fail_msg("'%s' does not say '%s'", err.msg, says);
	}
}

static void test_tls_csr_refuses_what_breaks_a_rule(void **state)
{
	struct fixture *f = *state;
	SL_AUTO(sl_free_auto) char *p256 = certs_key();
	SL_AUTO(sl_free_auto) char *other = certs_key();
	SL_AUTO(sl_free_auto) char *p384 = certs_key_of("P-384");
	SL_AUTO(sl_free_auto) char *rsa = certs_key_of("RSA");
	SL_AUTO(sl_free_auto) char *explicit = certs_key_of("explicit");
	SL_AUTO(sl_free_auto) char *of_explicit = certs_request(explicit, explicit);
	SL_AUTO(sl_free_auto) char *of_p384 = certs_request(p384, p384);
	SL_AUTO(sl_free_auto) char *of_rsa = certs_request(rsa, rsa);
	SL_AUTO(sl_free_auto) char *borrowed = certs_request(p256, other);
	SL_AUTO(sl_free_auto) char *good = certs_request(p256, p256);
	SL_AUTO(sl_free_auto) char *large = malloc(TLS_CSR_MAX + 1);
	refuse_csr(of_p384, strlen(of_p384), "P-256");
	refuse_csr(of_explicit, strlen(of_explicit), "P-256");
	refuse_csr(of_rsa, strlen(of_rsa), "P-256");
	refuse_csr(borrowed, strlen(borrowed), "signed by its own key");
	refuse_csr(f->ca_pem, strlen(f->ca_pem), "PKCS#10");
	refuse_csr(good, strlen(good) / 2, "PKCS#10");
	refuse_csr("", 0, "4096 bytes");
	/* A good one with room behind it, up to the bound and one beyond. */
	assert_non_null(large);
	memset(large, '\n', TLS_CSR_MAX + 1);
	memcpy(large, good, strlen(good));
	refuse_csr(large, TLS_CSR_MAX + 1, "4096 bytes");
	struct sl_err err = SL_ERR_INIT;
	SL_AUTO(tls_key_free_auto) struct tls_key *key = NULL;
	assert_int_equal(tls_csr_read(SL_BYTES(large, TLS_CSR_MAX), &key, &err), SL_OK);
}

/* --- certificates ------------------------------------------------------------------------- */

static void test_tls_client_certificate_says_what_was_asked(void **state)
{
	struct fixture *f = *state;
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	struct tls_spec spec = client_spec(f);
	uint8_t serial[TLS_SERIAL_BYTES], fingerprint[TLS_FINGERPRINT_BYTES];
	tls_serial_new(serial);
	spec.serial = serial;
	SL_AUTO(sl_free_auto) char *pem = issue(f, &spec);
	struct tls_cert cert;
	assert_int_equal(tls_cert_read(sl_bytes_text(pem), &cert, &err), SL_OK);
	assert_string_equal(cert.uri, URI);
	assert_int_equal(cert.name_count, 1);
	assert_int_equal(cert.not_before_ms, f->now_ms - 1000);
	assert_int_equal(cert.not_after_ms, f->now_ms + HOUR_MS);
	assert_int_equal(cert.serial_size, TLS_SERIAL_BYTES);
	assert_memory_equal(cert.serial, serial, TLS_SERIAL_BYTES);
	assert_true(cert.for_client);
	assert_false(cert.for_server);
	assert_false(cert.is_ca);
	assert_int_equal(tls_key_fingerprint(f->key, fingerprint, &err), SL_OK);
	assert_memory_equal(cert.fingerprint, fingerprint, sizeof(fingerprint));
	SL_AUTO(tls_key_free_auto) struct tls_key *key = NULL;
	assert_int_equal(tls_cert_key(sl_bytes_text(pem), &key, &err), SL_OK);
	assert_true(tls_key_equal(key, f->key));
	assert_int_equal(tls_cert_check(sl_bytes_text(pem), sl_bytes_text(f->ca_pem), TLS_CLIENT,
					f->now_ms, &err),
			 SL_OK);
	assert_int_equal(tls_cert_check(sl_bytes_text(pem), sl_bytes_text(f->ca_pem), TLS_SERVER,
					f->now_ms, &err),
			 SL_FAILED_PRECONDITION);
}

static void test_tls_server_certificate_is_for_its_hosts(void **state)
{
	struct fixture *f = *state;
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	const char *const hosts[] = {"sluice.example.org", "*.example.net", "127.0.0.1", "::1"};
	struct tls_spec spec = client_spec(f);
	spec.use = TLS_SERVER;
	spec.uri = NULL;
	spec.hosts = hosts;
	spec.host_count = SL_COUNT(hosts);
	SL_AUTO(sl_free_auto) char *pem = issue(f, &spec);
	struct sl_bytes bytes = sl_bytes_text(pem);
	assert_int_equal(
	    tls_cert_check(bytes, sl_bytes_text(f->ca_pem), TLS_SERVER, f->now_ms, &err), SL_OK);
	assert_true(tls_cert_is_for(bytes, "sluice.example.org"));
	assert_true(tls_cert_is_for(bytes, "a.example.net"));
	assert_true(tls_cert_is_for(bytes, "127.0.0.1"));
	assert_true(tls_cert_is_for(bytes, "::1"));
	assert_false(tls_cert_is_for(bytes, "example.org"));
	assert_false(tls_cert_is_for(bytes, "127.0.0.2"));
	assert_false(tls_cert_is_for(bytes, "agent")); /* the common name is no host */
	struct sl_arena arena;
	const char *const *read = NULL;
	size_t count = 0;
	sl_arena_init(&arena, 0);
	assert_int_equal(tls_cert_hosts(bytes, &arena, &read, &count, &err), SL_OK);
	assert_int_equal(count, SL_COUNT(hosts));
	for (size_t i = 0; i < count; i++) {
		assert_string_equal(read[i], hosts[i]);
	}
	sl_arena_fini(&arena);
	struct tls_cert cert;
	assert_int_equal(tls_cert_read(bytes, &cert, &err), SL_OK);
	assert_int_equal(cert.name_count, 4);
	assert_string_equal(cert.uri, "");
}

static void test_tls_ca_signs_leaves_only(void **state)
{
	struct fixture *f = *state;
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	struct tls_cert cert;
	assert_int_equal(tls_cert_read(sl_bytes_text(f->ca_pem), &cert, &err), SL_OK);
	assert_true(cert.is_ca);
	assert_int_equal(cert.name_count, 0);
	/* Not a certificate of clients, though its own key signed it. */
	assert_int_equal(tls_cert_check(sl_bytes_text(f->ca_pem), sl_bytes_text(f->ca_pem),
					TLS_CLIENT, f->now_ms, &err),
			 SL_FAILED_PRECONDITION);
	/* Nor one that a leaf has signed. */
	struct tls_spec spec = client_spec(f);
	SL_AUTO(sl_free_auto) char *leaf = issue(f, &spec);
	SL_AUTO(sl_free_auto) char *below = NULL;
	assert_int_equal(tls_issue(sl_bytes_text(leaf), f->key, &spec, f->key, &below, &err),
			 SL_OK);
	assert_int_equal(tls_cert_check(sl_bytes_text(below), sl_bytes_text(f->ca_pem), TLS_CLIENT,
					f->now_ms, &err),
			 SL_FAILED_PRECONDITION);
}

static void test_tls_issue_refuses_names_that_would_be_two(void **state)
{
	struct fixture *f = *state;
	static const char *const uris[] = {
	    "",
	    "spiffe://",
	    "https://sluice/agent",
	    "spiffe://sluice/a,URI:spiffe://sluice/b",
	    "spiffe://sluice/a b",
	    "spiffe://sluice/\n",
	    "spiffe://sluice/%2e",
	};
	static const char *const hosts[] = {
	    "",   "a,DNS:b", "a b",   "-a",        "a-",   "a..b",
	    ".a", "a.",      "[::1]", "256.1.1.1", "a*.b", "10",
	};
	for (size_t i = 0; i < SL_COUNT(uris) + SL_COUNT(hosts); i++) {
		SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
		struct tls_spec spec = client_spec(f);
		char *pem = NULL;
		if (i < SL_COUNT(uris)) {
			spec.uri = uris[i];
		} else {
			spec.hosts = &hosts[i - SL_COUNT(uris)];
			spec.host_count = 1;
		}
		assert_int_equal(
		    tls_issue(sl_bytes_text(f->ca_pem), f->ca_key, &spec, f->key, &pem, &err),
		    SL_INVALID_ARGUMENT);
		assert_null(pem);
	}
}

static void test_tls_issue_refuses_foreign_keys_and_odd_dates(void **state)
{
	struct fixture *f = *state;
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	struct tls_spec spec = client_spec(f);
	char *pem = NULL;
	assert_int_equal(tls_issue(sl_bytes_text(f->ca_pem), f->key, &spec, f->key, &pem, &err),
			 SL_FAILED_PRECONDITION);
	spec.not_after_ms = spec.not_before_ms;
	assert_int_equal(tls_issue(sl_bytes_text(f->ca_pem), f->ca_key, &spec, f->key, &pem, &err),
			 SL_INVALID_ARGUMENT);
	spec = client_spec(f);
	spec.common_name = "a\nb";
	assert_int_equal(tls_issue(sl_bytes_text(f->ca_pem), f->ca_key, &spec, f->key, &pem, &err),
			 SL_INVALID_ARGUMENT);
	assert_null(pem);
}

/* Each shape is read as what it is, and the check says no. */
static void test_tls_check_refuses_every_bad_shape(void **state)
{
	(void)state;
	SL_AUTO(sl_free_auto) char *key = certs_key();
	SL_AUTO(sl_free_auto) char *ca_key = certs_key();
	SL_AUTO(sl_free_auto) char *twin_key = certs_key();
	const struct certs_shape ca_shape = {.common_name = "Sluice CA", .is_ca = true};
	SL_AUTO(sl_free_auto) char *ca = certs_issue(&ca_shape, ca_key, NULL, NULL);
	SL_AUTO(sl_free_auto) char *twin = certs_issue(&ca_shape, twin_key, NULL, NULL);
	const struct {
		const char *what;
		struct certs_shape shape;
		const char *issuer, *issuer_key; /* NULL: itself */
		bool good, good_when_dates_do_not_count;
	} rows[] = {
	    {"good", {.uris = {URI}, .eku = "clientAuth"}, ca, ca_key, true, true},
	    {"CA of the same name",
	     {.uris = {URI}, .eku = "clientAuth"},
	     twin,
	     twin_key,
	     false,
	     false},
	    {"self-signed", {.uris = {URI}, .eku = "clientAuth"}, NULL, NULL, false, false},
	    {"expired",
	     {.uris = {URI}, .eku = "clientAuth", .from_s = -120, .until_s = -60},
	     ca,
	     ca_key,
	     false,
	     true},
	    {"not yet valid",
	     {.uris = {URI}, .eku = "clientAuth", .from_s = 60, .until_s = 120},
	     ca,
	     ca_key,
	     false,
	     true},
	    {"for servers", {.uris = {URI}, .eku = "serverAuth"}, ca, ca_key, false, false},
	    {"for nothing", {.uris = {URI}}, ca, ca_key, false, false},
	    {"a CA", {.uris = {URI}, .eku = "clientAuth", .is_ca = true}, ca, ca_key, false, false},
	};
	for (size_t i = 0; i < SL_COUNT(rows); i++) {
		SL_AUTO(sl_free_auto)
		char *pem = certs_issue(&rows[i].shape, key, rows[i].issuer, rows[i].issuer_key);
		sl_code code = tls_cert_check(sl_bytes_text(pem), sl_bytes_text(ca), TLS_CLIENT,
					      sl_clock_unix_ms(), NULL);
		sl_code timeless =
		    tls_cert_check(sl_bytes_text(pem), sl_bytes_text(ca), TLS_CLIENT, 0, NULL);
		if ((code == SL_OK) != rows[i].good ||
		    (timeless == SL_OK) != rows[i].good_when_dates_do_not_count) {
			fail_msg("%s: %s, %s", rows[i].what, sl_code_name(code),
				 sl_code_name(timeless));
		}
	}
}

static void test_tls_read_gives_a_uri_only_when_it_is_alone(void **state)
{
	(void)state;
	static const struct {
		struct certs_shape shape;
		const char *uri;
		unsigned names;
	} rows[] = {
	    {{.uris = {URI}}, URI, 1},
	    {{.uris = {URI, URI "2"}}, "", 2},
	    {{.uris = {NULL}}, "", 0},
	    {{.uris = {URI}, .dns = "a.example"}, "", 2},
	    {{.dns = "a.example"}, "", 1},
	    {{.uris = {"spiffe://sluice/a,URI:b"}}, "spiffe://sluice/a,URI:b", 1},
	    {{.uris = {"spiffe://sluice/a b"}}, "", 1},
	    {{.uris = {"spiffe://sluice/\xc3\xa4"}}, "", 1},
	};
	SL_AUTO(sl_free_auto) char *key = certs_key();
	for (size_t i = 0; i < SL_COUNT(rows); i++) {
		struct tls_cert cert;
		SL_AUTO(sl_free_auto) char *pem = certs_issue(&rows[i].shape, key, NULL, NULL);
		assert_int_equal(tls_cert_read(sl_bytes_text(pem), &cert, NULL), SL_OK);
		assert_string_equal(cert.uri, rows[i].uri);
		assert_int_equal(cert.name_count, rows[i].names);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_tls_key_survives_pem),
	    cmocka_unit_test(test_tls_key_refuses_other_kinds),
	    cmocka_unit_test(test_tls_signature_is_of_message_and_key),
	    cmocka_unit_test(test_tls_csr_gives_its_key_only),
	    cmocka_unit_test(test_tls_csr_refuses_what_breaks_a_rule),
	    cmocka_unit_test(test_tls_client_certificate_says_what_was_asked),
	    cmocka_unit_test(test_tls_server_certificate_is_for_its_hosts),
	    cmocka_unit_test(test_tls_ca_signs_leaves_only),
	    cmocka_unit_test(test_tls_issue_refuses_names_that_would_be_two),
	    cmocka_unit_test(test_tls_issue_refuses_foreign_keys_and_odd_dates),
	    cmocka_unit_test(test_tls_check_refuses_every_bad_shape),
	    cmocka_unit_test(test_tls_read_gives_a_uri_only_when_it_is_alone),
	};
	if (!sl_crypto_init()) {
		return EXIT_FAILURE;
	}
	return cmocka_run_group_tests(tests, setup, teardown);
}
