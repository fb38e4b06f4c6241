/* Streams are handed to the queue thread on a list, as finished calls are: thousands that are told
 * the same at once cost one event for each step of them, and what else waits has its turn between
 * two steps. One tag stands for the list. It is in the queue whenever something is on it. */
#include "server/rpc/rpc_internal.h"

enum { STEP = 32 };

/* An empty batch only posts its tag (grpc.h), on whichever call. */
static void post(struct rpc_server *server, grpc_call *grpc)
{
	if (!atomic_exchange(&server->wake_posted, true)) {
		rpc_start(grpc, NULL, 0, &server->wake);
	}
}

/* What was put there since the last time, oldest first. */
static struct rpc_woken *take_all(struct rpc_server *server)
{
	struct rpc_woken *newest = atomic_exchange(&server->woken, NULL), *oldest = NULL;
	while (newest != NULL) {
		struct rpc_woken *woken = newest;
		newest = woken->next;
		woken->next = oldest;
		oldest = woken;
	}
	return oldest;
}

static struct rpc_woken *first(struct rpc_server *server)
{
	if (server->waking == NULL) {
		server->waking = take_all(server);
	}
	return server->waking;
}

static void on_wake(struct rpc_tag *tag, bool ok)
{
	(void)ok;
	struct rpc_server *server = SL_CONTAINER_OF(tag, struct rpc_server, wake);
	atomic_store(&server->wake_posted, false); /* before the list is looked at */
	for (unsigned i = 0; i < STEP && first(server) != NULL; i++) {
		struct rpc_woken *woken = server->waking;
		server->waking = woken->next;
		rpc_stream_woken(woken);
	}
	if (first(server) != NULL) {
		post(server, server->waking->grpc);
	}
}

void rpc_wake_init(struct rpc_server *server)
{
	server->wake.fire = on_wake;
}

void rpc_wake(struct rpc_server *server, struct rpc_woken *woken, grpc_call *grpc)
{
	struct rpc_woken *newest = atomic_load(&server->woken);
	woken->grpc = grpc;
	do {
		woken->next = newest;
	} while (!atomic_compare_exchange_weak(&server->woken, &newest, woken));
	post(server, grpc);
}
