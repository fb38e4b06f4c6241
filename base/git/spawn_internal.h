/* spawn: the same program once more, as a worker that inherits nothing. */
#ifndef SL_BASE_GIT_SPAWN_INTERNAL_H
#define SL_BASE_GIT_SPAWN_INTERNAL_H

#include <sys/types.h>

/* Starts `PROGRAM git-worker` with child_fd as its PROTOCOL_FD, no other
 * descriptor, no environment to speak of and no signal blocked or ignored.
 * Returns 0 or an errno value. */
int spawn_worker(int child_fd, pid_t *ret_pid);

#endif
