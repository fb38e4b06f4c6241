/* logins: how this agent logs in to repositories, as the server told it: only to read.
 *
 * What comes is sealed to the agent's own key. What is opened lies in memory
 * for secrets and on no disk: the server tells it again on each stream.
 * Threads: one. */
#ifndef SL_AGENT_LOGINS_H
#define SL_AGENT_LOGINS_H

#include <stdint.h>

#include "base/crypto/box.h"
#include "base/err/err.h"
#include "base/git/git.h"
#include "sluice/v1/agent.pb-c.h"

/* {0} is empty. */
struct logins {
	struct logins_item *items; /* owned */
};

/* Keeps it, in place of what was told of the repository before. SL_FAILED_PRECONDITION: it is not
 * sealed to this key, or not for this repository. */
SL_MUST_USE sl_code logins_take(struct logins *logins,
				const uint8_t box_secret[static SL_BOX_SECRET_BYTES],
				const Sluice__V1__AgentLogin *message, struct sl_err *err);

/* What fetching a bundle takes; *ret_login is borrowed until the next logins_take(). revision 0:
 * nothing, an empty login. SL_UNAVAILABLE: the server has not told it yet. */
SL_MUST_USE sl_code logins_find(const struct logins *logins, const char *repository_id,
				uint64_t revision, struct git_login *ret_login, struct sl_err *err);

void logins_fini(struct logins *logins);

#endif
