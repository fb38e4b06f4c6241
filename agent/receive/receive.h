/* receive: a bundle file from the server, over the connection that the agent has.
 *
 * It lies in DIR/incoming until it is used. What was cut off stays there: the next try asks for the
 * rest. Nothing of it is believed here, and no more of it is taken than the bundle can have.
 *
 * Threads: one; never blocks for the server: poll the descriptor until the deadline, then step. */
#ifndef SL_AGENT_RECEIVE_H
#define SL_AGENT_RECEIVE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err/err.h"
#include "client/rpc/rpc.h"
#include "sluice/v1/agent.pb-c.h"

enum { RECEIVE_PATH_SIZE = 4096 };

struct receive;

/* Who asks for what; only borrowed until receive_start() returns. */
struct receive_wish {
	const char *workspace, *instance, *app_id;
	const Sluice__V1__Bundle *bundle;
};

/* The channel may go afterwards. SL_RESOURCE_EXHAUSTED: the disk is full; else SL_INTERNAL. */
SL_MUST_USE sl_code receive_start(const char *dir, struct crpc_channel *channel,
				  const struct receive_wish *wish, struct receive **ret_receive,
				  struct sl_err *err);
int receive_fd(const struct receive *receive);
uint64_t receive_deadline_mono_ms(const struct receive *receive);
uint32_t receive_percent(const struct receive *receive);
const char *receive_path(const struct receive *receive);

/* True when it is over: SL_OK in *ret_code means that as many bytes lie in receive_path() as the
 * server said. SL_UNAVAILABLE: it was cut off, or refused; SL_RESOURCE_EXHAUSTED: the disk. */
bool receive_step(struct receive *receive, sl_code *ret_code, struct sl_err *err);
/* Ends it; what came stays. NULL is fine. */
void receive_free(struct receive *receive);

#endif
