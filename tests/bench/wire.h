/* wire: connections to 127.0.0.1 that never wait, with TLS or in the clear, and the epoll that
 * watches thousands of them.
 *
 * Threads: one. Nothing is freed inside a callback. */
#ifndef SL_BENCH_WIRE_H
#define SL_BENCH_WIRE_H

#include <stdbool.h>

#include "base/bytes/bytes.h"

struct ssl_st;
struct wires;
struct wire;

/* What a wire tells. */
struct wire_owner {
	void (*came)(void *ctx, struct sl_bytes bytes); /* borrowed for the call */
	void (*broken)(void *ctx, const char *why);     /* the last that it tells */
	void *ctx;
};

struct wires *wires_new(void);
/* Waits up to `ms` for what happens, and tells it. False: nothing did. */
bool wires_wait(struct wires *wires, unsigned ms);
void wires_free(struct wires *wires); /* without wires; NULL is fine */

/* Dials the port. Takes ssl, which shakes hands as a client; NULL: in the clear. */
struct wire *wire_new(struct wires *wires, int port, struct ssl_st *ssl,
		      const struct wire_owner *owner);
/* Adds to what is to be sent. */
void wire_put(struct wire *wire, struct sl_bytes bytes);
/* Sends what was put, in one piece if it can, as soon as there is a connection. */
void wire_flush(struct wire *wire);
/* Something that was put is not sent yet. */
bool wire_is_sending(const struct wire *wire);
void wire_free(struct wire *wire); /* hangs up; NULL is fine */

#endif
