/* reach: can a server be reached from here, and is it whom it should be: its name is resolved, a
 * connection made, and TLS begun in the way of its kind. Nobody logs in, and nothing of what the
 * server says comes back but how far it went and what its certificate is.
 *
 * Looking up a name blocks, and a stranger's handshake is a large parser's work: so a look is a
 * child, the same program re-executed as `reach-worker`, confined to that one port and to no file
 * but those of the look-up, and killed when a step takes too long.
 *
 * Threads: one. A look never blocks: poll its descriptor, then step. */
#ifndef SL_AGENT_REACH_H
#define SL_AGENT_REACH_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes/bytes.h"
#include "base/err/err.h"
#include "sluice/v1/agent.pb-c.h"

enum { REACH_TARGET_MAX = 12 << 10 };

struct reach;
/* target: a serialized AgentSourceTarget, which only the child reads. SL_UNAVAILABLE: it could not
 * begin. */
SL_MUST_USE sl_code reach_start(struct sl_bytes target, uint32_t step_ms, struct reach **ret_reach,
				struct sl_err *err);
int reach_fd(const struct reach *reach);
uint64_t reach_deadline_mono_ms(const struct reach *reach);
/* NULL: it goes on. What was found is borrowed until reach_free(). */
const Sluice__V1__SourceTest *reach_step(struct reach *reach);
void reach_free(struct reach *reach); /* NULL is fine; gives up what runs */

/* The child's main(): argv[1] is "reach-worker". */
int reach_worker_main(void);

#endif
