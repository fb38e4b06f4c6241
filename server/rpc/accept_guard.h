/* accept_guard: stands between gRPC's listener and the kernel.
 *
 * gRPC 1.51's listener goes deaf for good when accept4() fails for want of a
 * descriptor (CVE-2023-4785), and goes on accepting for as long as strangers
 * connect faster than it accepts. The program therefore brings its own
 * accept4(), which the dynamic linker prefers to libc's: neither can happen.
 *
 * Or somebody else accepts, who lets few in, and hands them over. Who comes from where an offender
 * came from waits first (porch.h).
 *
 * One per process, whatever the number of servers. Threads: set before the
 * first server starts, read from any. */
#ifndef SL_SERVER_RPC_ACCEPT_GUARD_H
#define SL_SERVER_RPC_ACCEPT_GUARD_H

#include <stdbool.h>
#include <stdint.h>

struct accept_guard_limits {
	unsigned connections_max; /* about; 0: as many as RLIMIT_NOFILE allows, less a reserve */
	unsigned per_second;      /* new ones, loopback apart, with as many at once; 0: no limit */
};

struct accept_guard_counts {
	uint64_t accepted;     /* handed to gRPC */
	uint64_t refused_full; /* hung up on: too many are open */
	uint64_t refused_rate; /* hung up on: too many came at once */
	uint64_t starved;      /* times without a descriptor or memory */
};

/* Sockets are judged by their descriptor's number, which is the lowest that is
 * free: what the process has open at this moment is added to connections_max. */
void accept_guard_set(const struct accept_guard_limits *limits);
/* Leaves what this process needs for itself. */
bool accept_guard_has_room(int fd);

/* From now on accept4() gives out what comes over this Unix socket (base/handover), whatever the
 * listener is: a connection there only says that something has come, and is closed. */
void accept_guard_source(int socket);

void accept_guard_read(struct accept_guard_counts *ret_counts);

#endif
