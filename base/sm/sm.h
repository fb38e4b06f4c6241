/* sm: a checked state machine: the table says which moves are legal, and an
 * illegal move is a bug, so it aborts with both state names.
 *
 * Threads: the owner of the machine serialises access. Never allocates. */
#ifndef SL_BASE_SM_H
#define SL_BASE_SM_H

#include <stdint.h>

#define SL_SM_TO(state) (1u << (state))

struct sl_sm_state {
	const char *name;
	uint32_t next; /* SL_SM_TO() bits of the states that may follow; 0: terminal */
};

struct sl_sm {
	const struct sl_sm_state *table; /* borrowed, static */
	unsigned at;                     /* index into table */
};

void sl_sm_init(struct sl_sm *sm, const struct sl_sm_state *table, unsigned first);
void sl_sm_move(struct sl_sm *sm, unsigned to);
const char *sl_sm_name(const struct sl_sm *sm);

#endif
