/* hatch: how connections that somebody has accepted already come to a gRPC server: over a Unix
 * socket (base/handover), and a knock at the abstract address where it listens. What accept4() then
 * gives it is what came over the socket (accept_guard.h).
 *
 * Threads: one at a time. */
#ifndef SL_SERVER_RPC_HATCH_H
#define SL_SERVER_RPC_HATCH_H

#include <stdint.h>

#include "base/err/err.h"
#include "server/rpc/line.h"

enum { HATCH_KNOCK_SIZE = 48 };

struct hatch {
	int fd;                       /* this end */
	char knock[HATCH_KNOCK_SIZE]; /* nobody else knows it, and who guessed it could knock in
					 vain */
};

/* Both ends are the caller's. SL_INTERNAL says what the system refused. */
SL_MUST_USE sl_code hatch_new(struct hatch *ret_hatch, int *ret_theirs, struct sl_err *err);

/* Who was hung up on since it was last told. Starts as zeros. */
struct hatch_crowd {
	unsigned long sent_away;
	uint64_t logged_us;
};

void hatch_send_away(struct hatch_crowd *crowd, int fd);
/* Those of the line who have waited for too long; tells of all that `crowd` counts, at most once
 * in 10 s, as the log's `event`. */
void hatch_send_away_late(struct hatch_crowd *crowd, const char *event, struct line *line,
			  uint64_t now_us);
/* Hands over those of the line whose turn it is, less those who have left. Those whom the other
 * side does not take any more are sent away. */
void hatch_let_in(const struct hatch *hatch, struct line *line, struct hatch_crowd *crowd,
		  uint64_t now_us);
/* Hangs up on all who wait, and frees the line. NULL is fine. */
void hatch_free_line(struct line *line);

#endif
