/* Shared by the files of server/watch: what a stream and all of them are made of. */
#ifndef SL_SERVER_WATCH_INTERNAL_H
#define SL_SERVER_WATCH_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>

#include "server/watch/feed.h"
#include "server/watch/watch.h"

struct watcher {
	struct watcher *next;
	struct rpc_stream *stream; /* counted */
	struct watch_filter filter;
	uint64_t from;        /* where it began; never changes */
	uint64_t position;    /* all up to here was handed over; watch's thread */
	uint64_t progress_ms; /* when it last got anything; watch's thread */
	bool live, ended;     /* watch's thread */
	bool blocked;         /* its outbox was full; guarded by the lock */
	bool closed;          /* the stream has gone; guarded by the lock */
	bool sees_all;        /* as of `generation`; watch's thread */
	uint64_t generation;  /* of rights; watch's thread */
	uint64_t served_at;   /* the turn in which a live one was served; watch's thread */
	const struct watcher *served_with; /* in that turn, by the messages of this one */
};

struct watch {
	struct watch_options options;
	pthread_t thread;
	bool started;
	pthread_mutex_t lock; /* guards what follows */
	pthread_cond_t wake;
	bool committed, work, stopping;
	struct watcher *arriving; /* opened, not yet seen by the thread */
	unsigned streams;
	/* Watch's thread alone writes: the hook and live streams have all up to here. */
	atomic_uint_least64_t position;
	/* Watch's thread only: */
	struct watcher *watchers;
	uint64_t turn;
	bool failed; /* on_failure was told */
};

/* --- deliver.c: watch's thread only, but for watch_out_of_range() ---------------------- */

void watcher_end(struct watcher *w, sl_code code, const struct sl_err *err);
/* Says where to resume. */
void watcher_end_too_slow(struct watcher *w);
/* False when the outbox is full. */
bool watcher_hand_over(struct watcher *w, struct rpc_message *message, uint64_t revision);
/* Feeds one stream from the log. True: there is more to do for it now. */
bool watch_catch_up(struct watch *watch, struct watcher *w, const struct store_view *view);
/* Reads what was committed since, tells the hook, feeds the live streams. True: there is more. On
 * an error what comes before it is delivered. */
bool watch_deliver(struct watch *watch, const struct store_view *view, struct sl_err *err);
/* The error of a revision that cannot be watched from, with floor and head. */
sl_code watch_out_of_range(enum sl_reason reason, uint64_t wanted, const struct store_view *view,
			   struct sl_err *err);

#endif
