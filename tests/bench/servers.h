/* servers: the programs that are measured, started by the bench on loopback
 * ports of their own, with their data in the scratch folder.
 *
 * Threads: one. */
#ifndef SL_BENCH_SERVERS_H
#define SL_BENCH_SERVERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct process;

struct bench_server {
	struct process *process; /* NULL: not running */
	int port;
	uint64_t started_us, ready_us; /* sl_clock_mono_us(): when it was started, when it served */
};

/* Each waits until the server answers. `pinned`: on the servers' core alone (for etcd that also
 * means one Go processor). A store with keys is served over mTLS; for the others `keys` is the
 * folder that has them, or NULL: in the clear. */
struct bench_server servers_sluiced(const char *data, bool pinned);
struct bench_server servers_etcd(const char *data, bool pinned, const char *keys);
struct bench_server servers_bare(size_t reply_bytes, bool pinned, const char *keys);

/* Kills it with SIGKILL, and starts it again on the same port as a supervisor would, now with its
 * default bound on connections a second; returns at once, without waiting until it serves. */
void servers_sluiced_crash(struct bench_server *server, const char *data);

/* Ends it with SIGTERM and waits; NULL process is fine. */
void servers_stop(struct bench_server *server);
/* Its memory now, resident set in bytes. */
uint64_t servers_resident(const struct bench_server *server);
/* Of that, what is its own: neither files nor shared memory (LMDB's map is a file). */
uint64_t servers_private(const struct bench_server *server);
/* Processor time of its threads so far, in microseconds. */
double servers_cpu_us(const struct bench_server *server);

#endif
