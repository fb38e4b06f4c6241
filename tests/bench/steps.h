/* steps: commands for a store that no server has, written in large batches through the server's
 * own store, without RPC.
 *
 * Threads: one at a time; a step's decide() runs on the store's writer thread. */
#ifndef SL_BENCH_STEPS_H
#define SL_BENCH_STEPS_H

#include <stdint.h>

#include "server/records/records.h"

struct steps;
struct step;
typedef sl_code step_decide(struct decision *d, const struct step *step, struct sl_err *err);

/* One command: what it does, and to what; copied by steps_add(). */
struct step {
	step_decide *decide;
	const char *method;
	unsigned app, version; /* for decide(), like all that follows */
	uint64_t count;
	const char *from;
	void *subject;
};

/* Makes the store when there is none. */
struct steps *steps_open(const char *path);
/* Decided in the order in which they were added. A refused one ends the program with a message. */
void steps_add(struct steps *steps, const struct step *step);
/* Waits until all are committed. */
void steps_wait(struct steps *steps);
/* For reading, between steps_wait() and steps_add(). */
struct store *steps_store(struct steps *steps);
void steps_close(struct steps *steps);

#endif
