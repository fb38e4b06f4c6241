/* status: what an operator asks on the host, with the server away too.
 *
 * Reads DIR/state, which the agent replaces as a whole, so no lock is needed. */
#ifndef SL_AGENT_STATUS_H
#define SL_AGENT_STATUS_H

#include <stdio.h>

#include "agent/config/config.h"
#include "base/err/err.h"

/* Prints what this instance serves. SL_NOT_FOUND: no agent has run in this folder. */
SL_MUST_USE sl_code status_show(const struct agent_config *config, FILE *out, struct sl_err *err);

/* Checks identity, clock, disk, what is served, server and Git hosts; a line each
 * ("ok", "warn" or "FAIL"). *ret_failed counts what failed. crpc_init() has been called. */
SL_MUST_USE sl_code status_check(const struct agent_config *config, FILE *out, unsigned *ret_failed,
				 struct sl_err *err);

#endif
