/* confine: takes rights away from a process for good, before it touches what
 * strangers sent: files and ports (Landlock), memory, time and descriptors
 * (rlimits), system calls (seccomp).
 *
 * Only base/confine includes <seccomp.h>. Landlock binds the calling thread
 * and those that it starts later, so call these while there is one thread, in
 * this order: basics, limits, reach, calls. Nothing here can be undone.
 * Failures are SL_INTERNAL: a process that cannot be confined must not go on. */
#ifndef SL_BASE_CONFINE_H
#define SL_BASE_CONFINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err/err.h"

/* No new privileges, no core file, no ptrace by others of the same user,
 * SIGKILL when the thread that spawned this process ends, and the first to go
 * when the machine has no more memory, if the kernel lets it say so. */
SL_MUST_USE sl_code confine_basics(struct sl_err *err);

/* 0 leaves a limit as it is. A hard limit that is lower already stays. */
struct confine_limits {
	uint64_t address_bytes; /* ignored in sanitized builds, which map terabytes */
	uint64_t file_bytes;    /* of one file; SIGXFSZ unless ignored */
	uint64_t cpu_s;
	uint64_t open_files;
};
SL_MUST_USE sl_code confine_limits(const struct confine_limits *limits, struct sl_err *err);

enum confine_right {
	CONFINE_READ,  /* files and folder lists; nothing can be executed */
	CONFINE_WRITE, /* and everything else below: create, change, remove, rename */
};

struct confine_path {
	const char *path; /* a folder (with all below) or a file; links are followed; a missing one
			     is skipped */
	enum confine_right right;
};

/* From here on no file but those below `paths` can be opened, and TCP connects
 * to `ports` only and listens nowhere. Open descriptors stay as they are. What
 * the kernel's Landlock does not know is left out: *ret_version (may be NULL)
 * is 0 without Landlock; ports need 4 (Linux 6.7). */
SL_MUST_USE sl_code confine_reach(const struct confine_path *paths, size_t path_count,
				  const uint16_t *ports, size_t port_count, int *ret_version,
				  struct sl_err *err);

/* The same for a process that dials one server: what looking up its name takes can be read, besides
 * at most CONFINE_OWN_MAX `paths`, and TCP connects to `port` (0: nowhere) and to name servers. */
enum { CONFINE_OWN_MAX = 8 };
SL_MUST_USE sl_code confine_dialling(const struct confine_path *paths, size_t path_count,
				     uint16_t port, struct sl_err *err);

/* What confine_reach() does not take away on this machine's kernel; NULL: nothing. Static. */
const char *confine_reach_gap(void);
const char *confine_reach_gap_of(int version); /* of a Landlock of that version; 0: none */

/* Groups of system calls; memory, time, signals to itself and use of open
 * descriptors are always allowed. */
enum {
	CONFINE_CALLS_FILES = 1 << 0, /* open, create, remove, rename, sync */
	CONFINE_CALLS_NET = 1 << 1,   /* sockets: connect, and what looking up a name takes */
	CONFINE_CALLS_SERVE = 1 << 2, /* accept and speak on sockets that listen already; opening a
					 file is refused, not fatal */
};

/* Any other call kills the process (SIGSYS): no exec, no process, no ptrace,
 * no mount. Threads are allowed. Binds all threads. */
SL_MUST_USE sl_code confine_calls(unsigned groups, struct sl_err *err);

/* True in builds with an address or thread sanitizer. */
bool confine_is_sanitized(void);

#endif
