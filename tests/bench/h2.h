/* h2: one gRPC call at a time over a connection of its own, by nghttp2: a client that is light
 * enough for ten thousand in one thread.
 *
 * The server hears what gRPC's own client says to it: the same settings and headers, the request
 * only after the server's settings, and after each message a window update for the stream and one
 * for the connection, in one write. Messages are not decompressed: the server sends none.
 *
 * Threads: one. Nothing is freed inside a callback. */
#ifndef SL_BENCH_H2_H
#define SL_BENCH_H2_H

#include <stdbool.h>

#include "base/bytes/bytes.h"

struct h2;
struct ssl_st;
struct wires;

enum { H2_UNAVAILABLE = 14 }; /* gRPC's status of calls that the server did not end itself */

struct h2_call {
	const char *path;                                 /* "/package.Service/Method"; must stay */
	bool unary;                                       /* the first message is the only one */
	void (*came)(void *ctx, struct sl_bytes message); /* borrowed for the call */
	/* gRPC's status and what it says; the connection may be broken. */
	void (*ended)(void *ctx, int status, const char *text);
	void *ctx;
};

/* Takes ssl; NULL: in the clear (wire.h). */
struct h2 *h2_new(struct wires *wires, int port, struct ssl_st *ssl);
/* Begins a call, as soon as there is a connection. None is running. */
void h2_call(struct h2 *h2, const struct h2_call *call, struct sl_bytes message);
/* Another message of the call that is running; none is on its way (h2_is_saying()). */
void h2_say(struct h2 *h2, struct sl_bytes message);
bool h2_is_saying(const struct h2 *h2);
void h2_free(struct h2 *h2); /* cancels the call, and tells nothing of it; NULL is fine */

#endif
