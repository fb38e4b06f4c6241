/* watchers: many watching clients in this process, each with a connection and a
 * stream of its own, of sluiced or of etcd. They count the changes that come.
 *
 * Threads: one, which may be another one than the thread that writes. */
#ifndef SL_BENCH_WATCHERS_H
#define SL_BENCH_WATCHERS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes/bytes.h"

struct watchers;

struct watchers_options {
	int port;
	unsigned count;
	bool etcd;       /* else sluiced */
	bool filtered;   /* sluiced: a filter for each (of 256), so that none shares its messages */
	bool stay_ended; /* one that is too slow does not resume; narrow channels */
	/* Each message as it comes; borrowed. May be NULL. */
	void (*on_message)(void *ctx, struct sl_bytes message);
	void *ctx;
};

/* Connects them; each has heard from the server that it watches: sluiced says so in the mark that
 * an idle watcher gets every few seconds. */
struct watchers *watchers_new(const struct watchers_options *options);
void watchers_free(struct watchers *watchers); /* NULL is fine */

/* Takes what comes within wait_ms, at most one message. One that sluiced ends as too slow resumes
 * where it stopped; any other end is the bench's. False: nothing came. */
bool watchers_take(struct watchers *watchers, unsigned wait_ms);

/* Changes (etcd: events) that came so far, to all of them. */
uint64_t watchers_changes(const struct watchers *watchers);
uint64_t watchers_bytes(const struct watchers *watchers);
unsigned watchers_resumed(const struct watchers *watchers);

/* For watchers that nobody took from for long: reads what is there, up to their ends, within
 * wait_ms. Returns how many the server has ended as too slow, naming the last revision that they
 * have. */
unsigned watchers_ended(struct watchers *watchers, unsigned wait_ms);

#endif
