/* seed: a store as it is after long use, written by the server's own commands
 * (server/records) through the server's own store in large batches, without RPC.
 *
 * Threads: seed_write() uses the store's writer; one call at a time. */
#ifndef SL_BENCH_SEED_H
#define SL_BENCH_SEED_H

#include <stdint.h>

/* What a seeded store holds. */
#define SEED_APPS 1000
#define SEED_VERSIONS 10       /* v1 to v10 of each app */
#define SEED_IN_STAGING 5      /* v1 to v5 were promoted to staging */
#define SEED_IN_PRODUCTION 3   /* v1 to v3 further to production; v1 and v2 were released */
#define SEED_RECORDS 1000000   /* log records, each with a reply kept for its request id */
#define SEED_APP_NAME "app-%u" /* 0 to SEED_APPS - 1 */

struct seed_shape {
	unsigned apps, versions; /* SEED_APPS; of each app: SEED_VERSIONS */
	uint64_t records;        /* at least; all of the above leave some */
};

/* Makes the store in the folder `path`, which must not exist. The repository says publish = NONE,
 * so that promotions owe nothing to Git and the bench measures no Git host. Apps are placed on
 * instances labelled app=<name>. Dies on failure. */
void seed_write(const char *path, const struct seed_shape *shape);

#endif
