/* host: the machine under the bench: scratch folder, cores, sync cost, raw LMDB.
 *
 * Threads: one. */
#ifndef SL_BENCH_HOST_H
#define SL_BENCH_HOST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* A new folder below `parent`, removed with all in it when the program has ended, also by a signal.
 * Once, before gRPC and the first server are started. Static. */
const char *host_scratch(const char *parent);
/* A path in the scratch folder; the caller frees it. */
char *host_path(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* cp -a; the source must not be written meanwhile. */
void host_copy(const char *from, const char *to);
void host_remove(const char *path);
/* Drops DIR/name, which nobody has open, from the page cache. */
void host_uncache(const char *dir, const char *name);

/* Core of servers and of the generator while pinned. One core only: both are 0. */
int host_server_core(void);
int host_generator_core(void);
/* All threads of this program to the generator's core, or to all again. */
void host_pin(bool pinned);

/* What one 4 KiB write with fdatasync costs in `dir` now, in microseconds: the median of many. */
double host_fdatasync_us(const char *dir);
/* A line of /proc/PID/status that is in kB ("VmRSS:"), in bytes; 0: not there. */
uint64_t host_process_bytes(pid_t pid, const char *line);
/* Processor time of this program's threads so far, in microseconds. */
double host_cpu_us(void);
/* Load of the last minute. */
double host_load(void);

/* Durable LMDB commits per second, each of `puts` records of `bytes`, over `seconds`. */
double host_lmdb_commits(const char *dir, unsigned puts, size_t bytes, double seconds);

#endif
