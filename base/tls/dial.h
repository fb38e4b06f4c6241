/* dial: a connection to a server, with TLS or without, for programs that wait.
 *
 * TLS 1.2 or 1.3; the certificate must be trusted, in time and for the host,
 * which may be an IP address. Nobody answering for `wait_ms` ends any step.
 *
 * Threads: any; an object belongs to one thread at a time. */
#ifndef SL_BASE_TLS_DIAL_H
#define SL_BASE_TLS_DIAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes/bytes.h"
#include "base/err/err.h"
#include "base/mem/own.h"

/* Whom connections believe. Reads what it needs of the machine at once, so that it can be made
 * before the rights to do so are given up. */
struct tls_trust;
/* pem: the roots that count; NULL: the machine's. SL_INVALID_ARGUMENT: no certificate in it. */
SL_MUST_USE sl_code tls_trust_new(const char *pem, struct tls_trust **ret_trust,
				  struct sl_err *err);
void tls_trust_free(struct tls_trust *trust); /* NULL is fine */
SL_DEFINE_AUTO(struct tls_trust *, tls_trust_free);

struct tls_dial_options {
	const char *host, *port;
	const struct tls_trust *trust; /* borrowed; NULL: no TLS */
	unsigned wait_ms;
};

struct tls_dial;
/* SL_UNAVAILABLE: nobody answers, or the handshake ends early. SL_UNAUTHENTICATED: the certificate
 * is refused; the text says why. */
SL_MUST_USE sl_code tls_dial_new(const struct tls_dial_options *options, struct tls_dial **ret_dial,
				 struct sl_err *err);
/* Bytes that came, 0 at the end, -1 when the connection broke or nothing came in time. */
ptrdiff_t tls_dial_read(struct tls_dial *dial, void *out, size_t size);
/* Bytes that went, at least one; -1. */
ptrdiff_t tls_dial_write(struct tls_dial *dial, const void *data, size_t size);
/* The server's certificate (DER), borrowed; empty without TLS. */
struct sl_bytes tls_dial_certificate(const struct tls_dial *dial);
void tls_dial_free(struct tls_dial *dial); /* hangs up; NULL is fine */
SL_DEFINE_AUTO(struct tls_dial *, tls_dial_free);

#endif
