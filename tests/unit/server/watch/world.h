/* world: a real store, watch on it, an rpc server with one streaming method, and a model of all
 * that was committed, to compare with what streams got. */
#ifndef SL_TESTS_WATCH_WORLD_H
#define SL_TESTS_WATCH_WORLD_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <stdatomic.h>

#include "client/rpc/rpc.h"
#include "server/watch/watch.h"

enum { EVENTS_MAX = 4, CHANGES_MAX = 4096 };

struct model_event {
	uint32_t kind, environment;
	char app_id[8], instance_id[8];
	uint64_t serial; /* unique */
};

struct model_change {
	uint64_t revision;
	uint32_t workspace;
	size_t events, filler; /* bytes of text in each */
	struct model_event event[EVENTS_MAX];
};

struct world {
	char *path;
	struct store *store;
	struct watch *watch;
	struct rpc_server *rpc;
	pthread_t thread;
	bool stopped;
	struct crpc_channel *channel;
	uint64_t hooked; /* revision that the hook was last told; watch's thread */
	unsigned batches;
	bool hook_failed;     /* it was told out of order */
	atomic_uint failures; /* what on_failure() was told */
	sl_code failure;
	pthread_mutex_t lock; /* guards what follows */
	uint64_t serial;
	struct model_change change[CHANGES_MAX]; /* as committed, in order */
	size_t changes;
};

/* Fills in what is 0. */
struct world *world_new(unsigned progress_ms, unsigned stall_ms, unsigned streams_max);
void world_stop_serving(struct world *w); /* what sluiced does at its stop */
void world_free(struct world *w);

/* Commits one change and waits. Any thread. A change without events is a revision all the same. */
uint64_t world_write(struct world *w, uint32_t workspace, const struct model_event *events,
		     size_t count, size_t filler);
/* A change of events that differ in everything that filters look at. */
uint64_t world_write_any(struct world *w, unsigned *seed, size_t filler);
/* Raises the floor; what is below is pruned at once. Makes a revision of its own. */
/* Commits a log record that is none. */
void world_write_noise(struct world *w);
void world_raise_floor(struct world *w, uint64_t floor);
uint64_t world_head(struct world *w);
uint64_t world_floor(struct world *w);

/* --- watching ------------------------------------------------------------------------ */

struct got_change {
	uint64_t revision;
	size_t events;
	uint64_t serial[EVENTS_MAX];
};

/* One watcher, over as many streams as it takes. */
struct watcher {
	struct world *w;
	struct watch_filter filter;
	struct crpc_stream *stream;
	uint64_t from;     /* everything after this must have come */
	uint64_t bookmark; /* up to this */
	size_t messages, marks;
	struct got_change *got; /* owned; after `from` */
	size_t count, room;
	sl_code code; /* of the last end */
	struct sl_err err;
};
void watcher_open(struct watcher *r, struct world *w, const struct watch_filter *filter,
		  uint64_t from);
/* A new stream from the bookmark on. */
void watcher_resume(struct watcher *r);
/* Takes one message; checks that it goes on where the one before ended. False: none came in time,
 * or the stream has ended (code and err say how; ended tells). */
bool watcher_step(struct watcher *r, unsigned timeout_ms, bool *ret_ended);
/* Until the bookmark is there; the stream must not end. */
void watcher_await(struct watcher *r, uint64_t revision);
/* Until the stream ends; returns how. */
sl_code watcher_await_end(struct watcher *r);
uint64_t watcher_meta(const struct watcher *r, const char *key);
/* All that the model holds between from and bookmark came, whole, and nothing else. */
void watcher_check(const struct watcher *r);
void watcher_close(struct watcher *r);

#endif
