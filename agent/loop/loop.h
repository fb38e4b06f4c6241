/* loop: the agent at work: one thread, one poll().
 *
 *   server --manifest--> state --reconcile--> pull, flip --report--> server
 *
 * Everything that can take time is a child or a descriptor; the loop itself
 * never waits for the server, for Git, for a hook or a probe. */
#ifndef SL_AGENT_LOOP_H
#define SL_AGENT_LOOP_H

#include "agent/config/config.h"
#include "agent/identity/identity.h"
#include "agent/settings/settings.h"
#include "base/err/err.h"

/* Runs until SIGTERM or SIGINT, which must be blocked in every thread.
 * sl_crypto_init() and crpc_init() have been called. identity: who the agent is, borrowed; NULL: as
 * the config's files say. overrides: of this host, borrowed; NULL: none. SL_OK: ended by a signal.
 */
SL_MUST_USE sl_code loop_run(const struct agent_config *config, struct identity *identity,
			     const struct overrides *overrides, struct sl_err *err);

#endif
