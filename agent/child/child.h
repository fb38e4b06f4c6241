/* child: one program run beside the loop: with a deadline, never waited for.
 *
 * It runs in a process group of its own, which is killed as a whole at the
 * deadline and when the run is given up. Its output goes to the agent's
 * stderr. Threads: one. */
#ifndef SL_AGENT_CHILD_H
#define SL_AGENT_CHILD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err/err.h"

struct child;

struct child_options {
	const char *const *argv; /* NULL at the end; argv[0] is looked up on PATH */
	const char *const
	    *env; /* "NAME=value", added to the agent's own; NULL at the end; may be NULL */
	uint64_t deadline_ms; /* from now */
};

/* Everything is copied. SL_INTERNAL names the program and why it cannot run. */
SL_MUST_USE sl_code child_start(const struct child_options *options, struct child **ret_child,
				struct sl_err *err);
int child_fd(const struct child *child); /* poll for POLLIN: it has ended */
uint64_t child_deadline_mono_ms(const struct child *child);
/* True when it has ended or was killed at its deadline; *ret_ok says whether
 * with status 0, else `why` ("exit status 3", "killed after 30000 ms"). */
bool child_step(struct child *child, bool *ret_ok, char *why, size_t why_size);
/* Kills it if it runs, reaps it. NULL is fine. */
void child_free(struct child *child);

#endif
