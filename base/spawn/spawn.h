/* spawn: the same program once more, as a confined child that inherits nothing but one descriptor.
 *
 * Threads: any. */
#ifndef SL_BASE_SPAWN_H
#define SL_BASE_SPAWN_H

#include <stdbool.h>
#include <sys/types.h>

enum { SPAWN_FD = 3 }; /* the descriptor in the child */

struct spawn_self {
	const char *program, *command; /* argv: PROGRAM COMMAND; the file is /proc/self/exe */
	int fd;                        /* becomes the child's SPAWN_FD; stays open here */
	bool keeps_stderr;             /* else /dev/null, as stdin and stdout */
	const char *library;           /* that only the child has: "libx.so.1"; NULL: none */
};

/* The child has no other descriptor, no signal blocked or ignored, and nothing of the parent's
 * environment, which may name secrets. Returns 0 or an errno value. */
int spawn_self(const struct spawn_self *options, pid_t *ret_pid);

#endif
