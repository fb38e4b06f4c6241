/* What parent and child say to each other, and what the child's files share. */
#ifndef SL_AGENT_REACH_INTERNAL_H
#define SL_AGENT_REACH_INTERNAL_H

#include "agent/reach/reach.h"

/* To the child: four bytes, how long a step may take in milliseconds (big-endian), and the target.
 * To the parent: one byte, whether that was all, and a SourceTest as it is so far; one at the start
 * of each step. */
enum { REACH_HEAD = 4, REACH_ORDER_MAX = REACH_HEAD + REACH_TARGET_MAX, REACH_NEWS_MAX = 16 << 10 };

/* begin.c: asks a server for TLS in the way of its kind. The descriptor blocks. */
enum begin {
	BEGIN_TLS,     /* the handshake comes next */
	BEGIN_NO_TLS,  /* it says that it has none */
	BEGIN_STRANGE, /* what answers is no such server */
	BEGIN_LOST,    /* it hung up */
};
enum begin begin_tls(int fd, Sluice__V1__SourceTls way);

#endif
