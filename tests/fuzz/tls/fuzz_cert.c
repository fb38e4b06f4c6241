/* Targets: tls_cert_read, tls_cert_hosts, tls_cert_key, ca_identity_parse, on certificates and
 * their names (PEM, or DER that is made PEM here). Property: no crash; a name is given only if it
 * is the only one and prints; an identity that is read is written again as it stood; hosts are such
 * as could be certified again. */
#include <stdlib.h>

#include "base/tls/tls.h"
#include "server/ca/identity.h"
#include "tests/fuzz/tls/pem.h"

static void check(bool holds)
{
	if (!holds) {
		abort();
	}
}

static void check_uri(const struct tls_cert *cert)
{
	struct ca_identity identity;
	char again[TLS_URI_MAX + 1];
	check(cert->uri[0] == '\0' || cert->name_count == 1);
	for (const char *at = cert->uri; *at != '\0'; at++) {
		check(*at > ' ' && *at <= '~');
	}
	if (ca_identity_parse(cert->uri, &identity)) {
		check(strcmp(ca_identity_uri(again, &identity), cert->uri) == 0);
		check(tls_uri_is_valid(cert->uri));
	}
}

static void check_hosts(struct sl_bytes pem, unsigned name_count)
{
	struct sl_arena arena;
	const char *const *hosts = NULL;
	size_t count = 0;
	sl_arena_init(&arena, 0);
	if (tls_cert_hosts(pem, &arena, &hosts, &count, NULL) == SL_OK) {
		check(count <= name_count);
		for (size_t i = 0; i < count; i++) {
			check(tls_host_is_valid(hosts[i]));
		}
	}
	sl_arena_fini(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct sl_buf buf = {0};
	struct tls_cert cert;
	struct tls_key *key = NULL;
	check(sl_crypto_init());
	struct sl_bytes pem = as_pem(data, size, "CERTIFICATE", &buf);
	if (tls_cert_read(pem, &cert, NULL) == SL_OK) {
		check(cert.serial_size > 0 && cert.serial_size <= TLS_SERIAL_MAX);
		check_uri(&cert);
		check_hosts(pem, cert.name_count);
		(void)tls_cert_is_for(pem, "localhost");
	}
	check((tls_cert_key(pem, &key, NULL) == SL_OK) == (key != NULL));
	tls_key_free(key);
	sl_buf_fini(&buf);
	return 0;
}
