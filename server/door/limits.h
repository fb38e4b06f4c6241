/* limits: how often strangers may knock: each peer, and all together (GCRA).
 *
 * A peer is an IPv4 address or the first 64 bits of an IPv6 one. The table is of fixed size; when
 * it is full the peer that has been quiet the longest is forgotten, and what is left is the bound
 * over all. Who is stopped by the first does not count towards the second. Threads: one. */
#ifndef SL_SERVER_DOOR_LIMITS_H
#define SL_SERVER_DOOR_LIMITS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err/err.h"

/* So many a second on average, so many at once. */
struct limit_rate {
	uint64_t per_second, burst; /* at least 1 each; per_second 0: no bound */
};

struct limits;
SL_MUST_USE sl_code limits_new(struct limit_rate peer, struct limit_rate overall,
			       struct limits **ret_limits, struct sl_err *err);
void limits_free(struct limits *limits); /* NULL is fine */

/* One more of `peer` ("ipv4:10.0.0.7:4711", "ipv6:[::1]:80", as gRPC says it; percent-encoded or
 * not). True: it may pass. False: not before *ret_wait_ms have gone by. */
bool limits_take(struct limits *limits, const char *peer, uint64_t now_us, uint64_t *ret_wait_ms);

#endif
