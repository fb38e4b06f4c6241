/* look: a TLS handshake with whoever it is, to learn who that is: the certificate, and what is
 * right of it. What is wrong ends nothing, so nothing may be said or believed on such a connection
 * afterwards.
 *
 * Threads: any. The descriptor blocks: whoever cannot wait for ever has somebody else do it. */
#ifndef SL_BASE_TLS_LOOK_H
#define SL_BASE_TLS_LOOK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/mem/arena.h"
#include "base/tls/dial.h"

enum { TLS_LOOK_TEXT_MAX = 200, TLS_LOOK_NAMES_MAX = 10 };

enum tls_look_end {
	TLS_LOOK_DONE,   /* the handshake was made */
	TLS_LOOK_LOST,   /* the other side hung up */
	TLS_LOOK_NO_TLS, /* what it says is no TLS */
	TLS_LOOK_FAILED, /* all else, `why` says what */
};

/* Texts lie in the arena; printable ASCII. */
struct tls_look {
	const char *protocol; /* "TLSv1.3" */
	const char *why;      /* FAILED; else "" */
	bool shown;           /* there is a certificate; what follows is of it */
	bool trusted, in_time, for_host;
	const char *wrong; /* the first thing that is not; "" */
	const char *subject, *issuer;
	const char *const *names; /* of hosts, at most TLS_LOOK_NAMES_MAX */
	size_t name_count;
	unsigned all_names; /* of any kind */
	uint64_t not_before_ms, not_after_ms;
};

/* fd stays the caller's. FAILED is also what no memory is. */
enum tls_look_end tls_look(int fd, const char *host, const struct tls_trust *trust,
			   struct sl_arena *arena, struct tls_look *ret_look);

#endif
