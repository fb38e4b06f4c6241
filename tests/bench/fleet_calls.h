/* fleet_calls: fills a server with instances, over its API.
 *
 * Threads: one. */
#ifndef SL_BENCH_FLEET_CALLS_H
#define SL_BENCH_FLEET_CALLS_H

/* Registers instances PREFIX-0 to PREFIX-(count - 1). environment NULL: one third in each. app
 * NULL: label app=app-N goes round all seeded apps; else all have it. Dies on failure. */
void fleet_register(int port, const char *prefix, unsigned count, const char *environment,
		    const char *app);

#endif
