/* Targets: what strangers send as PEM: tls_csr_read, tls_cert_read, tls_cert_key, tls_cert_hosts,
 * tls_cert_check, tls_cert_is_for, tls_key_read. Property: no crash; a request or key that is taken
 * has a fingerprint; a URI is there only if it is the one name and keeps its rule; names that are
 * given out keep theirs; no certificate passes that the CA has not made.
 *
 * The first byte picks how the rest is wrapped: a text as it is, or the bytes of a certificate, a
 * request, a private key. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/crypto/crypto.h"
#include "base/tls/tls.h"

enum { LINE_BYTES = 48, KINDS = 4 };

static char *ca_pem;

static void expect(int holds)
{
	if (!holds) {
		abort();
	}
}

static void end(void)
{
	free(ca_pem);
}

static void begin(void)
{
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	SL_AUTO(tls_key_free_auto) struct tls_key *key = NULL;
	expect(sl_crypto_init() && tls_key_new(&key, &err) == SL_OK);
	expect(tls_ca_new(key, "ca", 0, 4102444800000u, &ca_pem, &err) == SL_OK &&
	       atexit(end) == 0);
}

/* --- PEM ---------------------------------------------------------------------------------------
 */

static void put_base64(FILE *out, const uint8_t *data, size_t size)
{
	static const char digits[] =
	    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	for (size_t i = 0; i < size; i += 3) {
		uint32_t group = (uint32_t)data[i] << 16 |
				 (i + 1 < size ? (uint32_t)data[i + 1] << 8 : 0) |
				 (i + 2 < size ? data[i + 2] : 0u);
		(void)fputc(digits[group >> 18], out);
		(void)fputc(digits[group >> 12 & 63], out);
		(void)fputc(i + 1 < size ? digits[group >> 6 & 63] : '=', out);
		(void)fputc(i + 2 < size ? digits[group & 63] : '=', out);
		if (i % LINE_BYTES == LINE_BYTES - 3) {
			(void)fputc('\n', out);
		}
	}
}

static char *wrap(const char *label, const uint8_t *data, size_t size, size_t *ret_size)
{
	char *text = NULL;
	FILE *out = open_memstream(&text, ret_size);
	expect(out != NULL);
	if (label == NULL) {
		(void)fwrite(data, 1, size, out);
	} else {
		(void)fprintf(out, "-----BEGIN %s-----\n", label);
		put_base64(out, data, size);
		(void)fprintf(out, "\n-----END %s-----\n", label);
	}
	expect(fclose(out) == 0);
	return text;
}

/* --- the readers ---------------------------------------------------------------------------------
 */

static void check_key(struct tls_key *key)
{
	uint8_t fingerprint[TLS_FINGERPRINT_BYTES];
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	expect(key != NULL && tls_key_fingerprint(key, fingerprint, &err) == SL_OK &&
	       tls_key_equal(key, key));
	tls_key_free(key);
}

static void read_keys(struct sl_bytes pem)
{
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	struct tls_key *key = NULL;
	if (tls_csr_read(pem, &key, &err) == SL_OK) {
		check_key(key);
	} else {
		expect(err.reason == SL_REASON_CSR_REFUSED && err.code == SL_INVALID_ARGUMENT &&
		       err.msg[0] != '\0');
	}
	sl_err_clear(&err);
	if (tls_key_read(pem, &key, &err) == SL_OK) {
		check_key(key);
	}
	sl_err_clear(&err);
	if (tls_cert_key(pem, &key, &err) == SL_OK) {
		check_key(key);
	}
}

static void read_cert(struct sl_bytes pem)
{
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	struct tls_cert cert;
	if (tls_cert_read(pem, &cert, &err) != SL_OK) {
		expect(err.msg[0] != '\0');
		return;
	}
	expect(strnlen(cert.uri, sizeof(cert.uri)) < sizeof(cert.uri) &&
	       cert.serial_size <= TLS_SERIAL_MAX);
	expect(cert.uri[0] == '\0' || cert.name_count == 1);
}

static void read_hosts(struct sl_bytes pem)
{
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	SL_AUTO(sl_arena_fini) struct sl_arena arena;
	const char *const *hosts = NULL;
	size_t count = 0;
	sl_arena_init(&arena, 0);
	if (tls_cert_hosts(pem, &arena, &hosts, &count, &err) == SL_OK) {
		for (size_t i = 0; i < count; i++) {
			expect(hosts[i] != NULL && tls_host_is_valid(hosts[i]));
		}
	}
	(void)tls_cert_is_for(pem, "sluice.example.org");
	(void)tls_cert_is_for(pem, "127.0.0.1");
}

static void check_nothing_passes(struct sl_bytes pem)
{
	struct sl_bytes ca = SL_BYTES((const uint8_t *)ca_pem, strlen(ca_pem));
	for (int use = TLS_CLIENT; use <= TLS_SERVER; use++) {
		SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
		expect(tls_cert_check(pem, ca, (enum tls_use)use, 0, &err) != SL_OK &&
		       err.msg[0] != '\0');
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const labels[KINDS] = {NULL, "CERTIFICATE", "CERTIFICATE REQUEST",
						  "PRIVATE KEY"};
	if (ca_pem == NULL) {
		begin();
	}
	if (size < 1) {
		return 0;
	}
	size_t pem_size = 0;
	SL_AUTO(sl_free_auto)
	char *text = wrap(labels[data[0] % KINDS], data + 1, size - 1, &pem_size);
	struct sl_bytes pem = SL_BYTES((const uint8_t *)text, pem_size);
	read_keys(pem);
	read_cert(pem);
	read_hosts(pem);
	check_nothing_passes(pem);
	return 0;
}
