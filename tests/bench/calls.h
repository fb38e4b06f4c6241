/* calls: the requests that are measured, for sluiced, etcd and the bare server,
 * as targets of the one load generator.
 *
 * Threads: one at a time per object. */
#ifndef SL_BENCH_CALLS_H
#define SL_BENCH_CALLS_H

#include "tests/bench/load.h"

/* --- writes ----------------------------------------------------------------------- */

/* A round of writes as an app lives through it. Each slot has apps of its own and goes through the
 * round again and again, so that every call is legal and none waits for another one. */
enum { ROUND_CREATE, ROUND_STAGING, ROUND_PRODUCTION, ROUND_RELEASE, ROUND_STEPS };

/* Keys that sluiced writes for each step, its log record included (nothing is owed to Git):
 * CreateVersion: version, name, id, facts, entry, app. Promote to staging: version, facts, entry,
 * publication, promotion under app and under revision. To production: the same without publication.
 * Release: stack, facts, pointer, history. */
extern const unsigned round_keys[ROUND_STEPS];

struct calls;

/* CreateVersion, Promote, Promote, Release with a request id each, on a seeded store. */
struct calls *calls_sluice_round(int port, unsigned connections, unsigned outstanding);
/* The same round for etcd: transactions that put as many keys, 64 bytes each, over 100 000 keys. */
struct calls *calls_etcd_round(int port, unsigned connections, unsigned outstanding);
/* One put of 64 bytes. */
struct calls *calls_etcd_put(int port, unsigned connections, unsigned outstanding);

/* --- changes that are watched ------------------------------------------------------ */

/* UpdateVersion of one of SEED_APPS x some drafts: one event each. The description is
 * CALLS_MARK with the call's number, filled up to `bytes`. */
#define CALLS_MARK "change-%08u "
struct calls *calls_sluice_change(int port, unsigned connections, unsigned outstanding,
				  size_t bytes);
/* A put of `bytes` below "watched/". */
struct calls *calls_etcd_change(int port, unsigned connections, unsigned outstanding, size_t bytes);
/* Requests made so far: the number of the next call. */
uint64_t calls_made(const struct calls *calls);

/* --- reads ------------------------------------------------------------------------ */

/* GetVersion of a seeded version, all over the store. */
struct calls *calls_sluice_read(int port, unsigned connections, unsigned outstanding);
/* Linearizable Range of one key that calls_etcd_fill() put. */
struct calls *calls_etcd_read(int port, unsigned connections, unsigned outstanding);
/* The request of calls_sluice_read(), answered by nothing but the C core. */
struct calls *calls_bare(int port, unsigned connections, unsigned outstanding);

/* Puts the keys that calls_etcd_read() asks for, each with `value_bytes`. */
void calls_etcd_fill(int port, size_t value_bytes);

/* The store has another shape than the usual seed: at least as many apps as calls in flight. */
void calls_on_shape(struct calls *calls, unsigned apps, unsigned versions);

/* The caller may set limit, per_second and done before load_new(). */
struct load_target *calls_target(struct calls *calls);
void calls_free(struct calls *calls); /* NULL is fine */

#endif
