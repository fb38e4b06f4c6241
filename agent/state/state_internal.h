/* state_internal: what the files of agent/state share. */
#ifndef SL_AGENT_STATE_INTERNAL_H
#define SL_AGENT_STATE_INTERNAL_H

#include "agent/state/state.h"
#include "base/mem/arena.h"

/* The file's bytes, in `arena`. */
SL_MUST_USE sl_code state_encode(const struct state *state, struct sl_arena *arena,
				 struct sl_bytes *ret_bytes, struct sl_err *err);
/* SL_DATA_LOSS names the fault. */
SL_MUST_USE sl_code state_decode(struct sl_bytes bytes, struct state **ret_state,
				 struct sl_err *err);

#endif
