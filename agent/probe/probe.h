/* probe: asks once whether an app is well: HTTP, TCP or a command.
 *
 *   http://HOST:PORT/PATH   a GET that is answered with 200 to 399
 *   tcp:HOST:PORT           a connection that is accepted
 *   cmd:WORDS               `/bin/sh -c WORDS` that ends with status 0
 *
 * `{app}` and `{slug}` in the text become the app's id and folder name. HOST is
 * an IP address or `localhost`: what is probed stands beside the agent, and no
 * look-up can hold the loop up. The GET is HTTP/1.1 with `Connection: close`,
 * written by hand: only the status line is read, at most 1 KiB of it, so a
 * library with its megabytes would buy nothing.
 *
 * Threads: one. A probe never blocks: poll its descriptor, then step. */
#ifndef SL_AGENT_PROBE_H
#define SL_AGENT_PROBE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err/err.h"

struct probe;

/* Is the text a probe? SL_INVALID_ARGUMENT names the rule. */
SL_MUST_USE sl_code probe_check(const char *text, struct sl_err *err);

/* Begins. SL_INVALID_ARGUMENT as above; SL_INTERNAL: it could not begin at all. */
SL_MUST_USE sl_code probe_start(const char *text, const char *app_id, const char *slug,
				uint64_t timeout_ms, struct probe **ret_probe, struct sl_err *err);
int probe_fd(const struct probe *probe);
short probe_events(const struct probe *probe); /* POLLIN or POLLOUT */
uint64_t probe_deadline_mono_ms(const struct probe *probe);
/* True when it is over; *ret_ok is the answer, `why` says what was wrong. */
bool probe_step(struct probe *probe, bool *ret_ok, char *why, size_t why_size);
void probe_free(struct probe *probe); /* NULL is fine; gives up what runs */

#endif
