/* fixture: a server on its own thread, for the tests of server/rpc. */
#ifndef SL_TESTS_RPC_FIXTURE_H
#define SL_TESTS_RPC_FIXTURE_H

#include <pthread.h>
#include <stdatomic.h>

#include "server/rpc/rpc.h"

struct fixture {
	struct rpc_server *server;
	pthread_t thread;
	bool joined;
	atomic_uint ticks;
	atomic_uint finished[17]; /* by code */
};

/* Starts a server with these methods; ctx of the handlers is the fixture. */
struct fixture *fixture_new(const struct rpc_method *methods, size_t count, unsigned drain_ms);
/* Stops it and waits; returns how long that took. Once. */
unsigned fixture_stop(struct fixture *fixture);
void fixture_free(struct fixture *fixture); /* stops it when that has not been done */

/* Waits up to 20 s for *value to be at least `least`. */
bool wait_until(atomic_uint *value, unsigned least);
void sleep_ms(unsigned ms);

#endif
