/* tls: OpenSSL behind a small face: P-256 keys, certificate requests, certificates.
 *
 * Only this folder includes <openssl/...>. hooks.h has what is added to every
 * handshake. Everything travels as PEM: what is read is bounded, what is made
 * is one object and a NUL.
 *
 * Threads: any; an object belongs to one thread at a time. Private halves are
 * wiped when they are given back; as PEM they lie in locked memory
 * (base/crypto/secret.h), so whoever keeps one for long keeps the PEM. */
#ifndef SL_BASE_TLS_H
#define SL_BASE_TLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes/bytes.h"
#include "base/err/err.h"
#include "base/mem/arena.h"
#include "base/mem/own.h"

enum {
	TLS_PEM_MAX = 16 << 10, /* bytes of a key or certificate that is read */
	TLS_CSR_MAX = 4 << 10,  /* bytes of a request */
	TLS_URI_MAX = 255,      /* bytes of a URI name */
	TLS_SERIAL_BYTES = 16,  /* of the serials made here */
	TLS_SERIAL_MAX = 20,    /* of any serial (RFC 5280) */
	TLS_SIGNATURE_MAX = 80, /* DER of ECDSA over P-256, with room */
	TLS_FINGERPRINT_BYTES = 32,
};

/* --- keys ------------------------------------------------------------------------ */

/* A P-256 key: whole, or the public half of a request or certificate. */
struct tls_key;

SL_MUST_USE sl_code tls_key_new(struct tls_key **ret_key, struct sl_err *err);
/* An unencrypted P-256 private key (PKCS#8 or SEC1). SL_INVALID_ARGUMENT otherwise. */
SL_MUST_USE sl_code tls_key_read(struct sl_bytes pem, struct tls_key **ret_key, struct sl_err *err);
/* PKCS#8. Give it back with sl_secret_free(). */
SL_MUST_USE sl_code tls_key_pem(const struct tls_key *key, char **ret_pem, struct sl_err *err);
/* SHA-256 of the public half (SubjectPublicKeyInfo). */
SL_MUST_USE sl_code tls_key_fingerprint(const struct tls_key *key,
					uint8_t out[static TLS_FINGERPRINT_BYTES],
					struct sl_err *err);
bool tls_key_equal(const struct tls_key *a, const struct tls_key *b); /* public halves */
void tls_key_free(struct tls_key *key);                               /* NULL is fine */
SL_DEFINE_AUTO(struct tls_key *, tls_key_free);

/* Proof that somebody holds the private half: ECDSA with SHA-256, DER. What is
 * signed should begin with what it is for, so that it proves nothing else. */
SL_MUST_USE sl_code tls_sign(const struct tls_key *key, struct sl_bytes message,
			     uint8_t ret_signature[static TLS_SIGNATURE_MAX], size_t *ret_size,
			     struct sl_err *err);
bool tls_verify(const struct tls_key *key, struct sl_bytes message, struct sl_bytes signature);

/* --- requests -------------------------------------------------------------------- */

/* A request that says nothing but the key. The caller frees it. */
SL_MUST_USE sl_code tls_csr_new(const struct tls_key *key, char **ret_pem, struct sl_err *err);
/* Takes nothing from a stranger's request but its public key, which must be P-256 and
 * have signed it. SL_INVALID_ARGUMENT / CSR_REFUSED says which rule it breaks. */
SL_MUST_USE sl_code tls_csr_read(struct sl_bytes pem, struct tls_key **ret_key, struct sl_err *err);

/* --- making certificates ------------------------------------------------------------ */

enum tls_use { TLS_CLIENT, TLS_SERVER };

struct tls_spec {
	enum tls_use use;
	const char *common_name;  /* for people who look at it: 1 to 64 bytes, printable ASCII */
	const char *uri;          /* the one URI name; NULL: none */
	const char *const *hosts; /* DNS names and IP addresses */
	size_t host_count;
	uint64_t not_before_ms, not_after_ms; /* unix; cut to seconds */
	const uint8_t *serial; /* TLS_SERIAL_BYTES of tls_serial_new(); NULL: one is made */
};

/* Random, positive, of full length. */
void tls_serial_new(uint8_t out[static TLS_SERIAL_BYTES]);

/* A CA of its own that signs leaves only (pathlen 0). The caller frees the PEM. */
SL_MUST_USE sl_code tls_ca_new(const struct tls_key *key, const char *common_name,
			       uint64_t not_before_ms, uint64_t not_after_ms, char **ret_pem,
			       struct sl_err *err);
/* A certificate for subject's public half. Names are put in one by one, so none can add
 * another. SL_INVALID_ARGUMENT names a name that breaks its rule. The caller frees the PEM. */
SL_MUST_USE sl_code tls_issue(struct sl_bytes ca_pem, const struct tls_key *ca_key,
			      const struct tls_spec *spec, const struct tls_key *subject,
			      char **ret_pem, struct sl_err *err);

/* The rules for names: a URI is `spiffe://` and then [A-Za-z0-9/._-]; a host is an IP address
 * (no brackets) or a DNS name of at most 253 bytes, with `*.` in front of it or not. */
bool tls_uri_is_valid(const char *uri);
bool tls_host_is_valid(const char *host);

/* --- reading certificates ------------------------------------------------------------ */

struct tls_cert {
	char uri[TLS_URI_MAX + 1]; /* "" unless it is the only name and a readable one */
	unsigned name_count;       /* alternative names of any kind */
	uint64_t not_before_ms, not_after_ms;
	uint8_t serial[TLS_SERIAL_MAX]; /* big-endian */
	size_t serial_size;
	uint8_t
	    fingerprint[TLS_FINGERPRINT_BYTES]; /* as tls_key_fingerprint(), of any kind of key */
	bool is_ca;
	bool for_client, for_server; /* an extended key usage says so; without one: neither */
};

/* The first certificate of the PEM. Checks no signature and no date. */
SL_MUST_USE sl_code tls_cert_read(struct sl_bytes pem, struct tls_cert *ret_cert,
				  struct sl_err *err);
/* Its public key, if it is P-256. */
SL_MUST_USE sl_code tls_cert_key(struct sl_bytes pem, struct tls_key **ret_key, struct sl_err *err);
/* Is it one that this CA made for this use, and valid at at_ms (0: whenever)?
 * SL_FAILED_PRECONDITION says why not. */
SL_MUST_USE sl_code tls_cert_check(struct sl_bytes pem, struct sl_bytes ca_pem, enum tls_use use,
				   uint64_t at_ms, struct sl_err *err);
/* Reads a client's certificate and key, and checks the former as tls_cert_check() does, whenever it
 * is valid. *ret_pair: the key is the certificate's. */
SL_MUST_USE sl_code tls_client_read(struct sl_bytes pem, struct sl_bytes key_pem,
				    struct sl_bytes ca_pem, struct tls_cert *ret_cert,
				    bool *ret_pair, struct sl_err *err);
/* Its DNS names and IP addresses as tls_issue() takes them, in `arena`; other names are left out.
 */
SL_MUST_USE sl_code tls_cert_hosts(struct sl_bytes pem, struct sl_arena *arena,
				   const char *const **ret_hosts, size_t *ret_count,
				   struct sl_err *err);
/* Is it valid for this host (a DNS name or an IP address)? */
bool tls_cert_is_for(struct sl_bytes pem, const char *host);

#endif
