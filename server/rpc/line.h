/* line: who has connected and waits for its turn, at the door or on the porch.
 *
 * A turn costs a TLS handshake, so there are so many a second and no more. Addresses (an IPv4
 * address, or one /64 of IPv6) take turns one after another; within an address who came first
 * is first. So one address that knocks a thousand times costs each of the others one turn. When
 * all places are taken, the address that has most of them gives up its oldest.
 *
 * Pure: descriptors are numbers here, time is handed in and never goes back. Threads: one. */
#ifndef SL_SERVER_RPC_LINE_H
#define SL_SERVER_RPC_LINE_H

#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "base/err/err.h"

/* The address, or the network, as a number; 0: neither IPv4 nor IPv6. */
uint64_t line_address(const struct sockaddr *from);

struct line_rules {
	uint64_t per_second, burst; /* turns; per_second 0: no bound */
	size_t places;              /* at least 1 */
	uint64_t patience_us;       /* who has waited for so long is sent away */
};

struct line;
SL_MUST_USE sl_code line_new(const struct line_rules *rules, struct line **ret_line,
			     struct sl_err *err);
void line_free(struct line *line); /* NULL is fine; closes nothing */
size_t line_length(const struct line *line);

/* One more at the end. Returns who has to go for it, no longer in the line; -1: nobody. */
int line_join(struct line *line, int fd, const struct sockaddr *from, uint64_t now_us);
/* Whose turn it is, -1: nobody's yet. Follow it up with line_serve(), or with line_skip() when who
 * it is has gone, which costs no turn. */
int line_first(const struct line *line, uint64_t now_us);
void line_serve(struct line *line, uint64_t now_us);
void line_skip(struct line *line);
/* Who has waited for too long, no longer in the line; -1: nobody. Again until it is -1. */
int line_late(struct line *line, uint64_t now_us);
/* How long until line_first() has somebody, or line_late(); UINT64_MAX: never. */
uint64_t line_turn_in(const struct line *line, uint64_t now_us);
uint64_t line_late_in(const struct line *line, uint64_t now_us);

#endif
