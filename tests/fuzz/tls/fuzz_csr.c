/* Targets: tls_csr_read, on what a stranger sends to the door (PEM, or DER that is made PEM here).
 * Property: no crash; what passes has at most 4 KiB, and its key can be certified and told again.
 */
#include <stdlib.h>

#include "base/tls/tls.h"
#include "tests/fuzz/tls/pem.h"

static void check(bool holds)
{
	if (!holds) {
		abort();
	}
}

static void check_key(const struct tls_key *key)
{
	static struct tls_key *ca_key;
	static char *ca_pem;
	const uint64_t now_ms = 1700000000000;
	if (ca_key == NULL) {
		check(tls_key_new(&ca_key, NULL) == SL_OK);
		check(tls_ca_new(ca_key, "CA", now_ms, now_ms + 1000000, &ca_pem, NULL) == SL_OK);
	}
	const struct tls_spec spec = {
	    .use = TLS_CLIENT,
	    .common_name = "x",
	    .uri = "spiffe://sluice/x",
	    .not_before_ms = now_ms,
	    .not_after_ms = now_ms + 1000,
	};
	char *pem = NULL;
	struct tls_cert cert;
	uint8_t fingerprint[TLS_FINGERPRINT_BYTES];
	check(tls_issue(sl_bytes_text(ca_pem), ca_key, &spec, key, &pem, NULL) == SL_OK);
	check(tls_cert_read(sl_bytes_text(pem), &cert, NULL) == SL_OK);
	check(tls_key_fingerprint(key, fingerprint, NULL) == SL_OK);
	check(memcmp(fingerprint, cert.fingerprint, sizeof(fingerprint)) == 0);
	check(strcmp(cert.uri, spec.uri) == 0 && cert.name_count == 1);
	free(pem);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct sl_buf buf = {0};
	struct tls_key *key = NULL;
	check(sl_crypto_init());
	struct sl_bytes pem = as_pem(data, size, "CERTIFICATE REQUEST", &buf);
	if (tls_csr_read(pem, &key, NULL) == SL_OK) {
		check(pem.size <= TLS_CSR_MAX);
		check_key(key);
	} else {
		check(key == NULL);
	}
	tls_key_free(key);
	sl_buf_fini(&buf);
	return 0;
}
