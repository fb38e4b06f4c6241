/* agents: many simulated agents in this process, each with a connection and a
 * Sync stream of its own. They say Hello and read what they are told; they
 * fetch nothing, and report only what they are asked to.
 *
 * Threads: one. */
#ifndef SL_BENCH_AGENTS_H
#define SL_BENCH_AGENTS_H

#include <stddef.h>
#include <stdint.h>

struct agents;

/* Connects one agent per instance ("agent-0", "agent-1", ...), each as itself (secure_enrol()), and
 * waits until each has a manifest. */
struct agents *agents_connect(int port, unsigned count);
/* Cancels the streams. NULL is fine. */
void agents_free(struct agents *agents);

/* A unary call whose effect every agent is to be told. */
struct agents_call {
	const char *method;
	const uint8_t *request;
	size_t request_size;
	const char *told; /* text in the manifests that tell it: a version's id or name; NULL: the
			     next one does */
};
/* Makes the call and waits until a manifest with call->told has reached every agent. ret_told_us[i]
 * is when agent i had it, microseconds after the call was sent; *ret_replied_us when the reply was
 * there. */
void agents_tell(struct agents *agents, const struct agents_call *call, double *ret_told_us,
		 double *ret_replied_us);

/* Each says that what its first manifest names is healthy. Returns when all have sent it. */
void agents_report_healthy(struct agents *agents);
/* For for_ms each sends a heartbeat every every_ms, evenly spread. Returns how many were sent. */
uint64_t agents_beat(struct agents *agents, uint64_t every_ms, uint64_t for_ms);

/* From now on who loses its stream dials anew as real agents do: with a channel of its own, after
 * a pause that doubles from 0.5 s to 10 s, with jitter. No more agents_tell(). */
void agents_let_return(struct agents *agents);
/* Lets them work for for_ms. Returns how many have a manifest on a stream that is open. */
unsigned agents_work(struct agents *agents, uint64_t for_ms);

#endif
