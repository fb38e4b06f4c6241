/* watch: committed changes -> waiting streams.
 *
 * One thread reads what was committed from the log (never from memory: what is
 * delivered is durable) and hands it on: to the hook (fleet and gitsync), and to
 * every stream of WatchService. Streams with the same filter share one encoded
 * message. A stream that starts in the past is fed from the log at its own pace
 * until it has caught up, and is live from then on; one that falls behind then is
 * ended with the last revision that it was sent.
 *
 * Threads: watch_committed() and watch_open() from any; the hook runs on watch's own. */
#ifndef SL_SERVER_WATCH_H
#define SL_SERVER_WATCH_H

#include "base/err/err.h"
#include "base/mem/arena.h"
#include "server/rpc/rpc.h"
#include "server/store/store.h"
#include "sluice/store/v1/records.pb-c.h"
#include "sluice/v1/watch.pb-c.h"

struct watch;

/* Who may see what, asked on watch's thread for each look. `viewer` is what watch_open() was given;
 * a stream without one sees everything. */
struct watch_sight {
	/* When rights changed last, by this view. */
	uint64_t (*generation)(void *ctx, const struct store_view *view);
	/* Begins a look. NULL: this viewer sees everything, and needs no more looks until the
	 * generation is another. */
	void *(*begin)(void *ctx, const struct store_view *view, const void *viewer);
	/* False: the event is not to be seen. *ret_event: as it is to be seen, in the arena. */
	bool (*show)(void *look, struct sl_arena *arena, const Sluice__V1__Event *event,
		     Sluice__V1__Event **ret_event);
	void (*end)(void *look);
	bool (*equal)(const void *viewer, const void *other); /* see the same, at any time */
	void (*forget)(void *viewer); /* any thread but the writer's: the stream is gone */
	void *ctx;
};

struct watch_options {
	struct store *store; /* borrowed */
	/* Watch's thread, once per committed record in order, then on_batch() once for all that was
	 * there. Borrowed until return. May be NULL. */
	void (*on_record)(void *ctx, const struct store_view *view,
			  const Sluice__Store__V1__LogRecord *record);
	void (*on_batch)(void *ctx, const struct store_view *view);
	/* Watch's thread, once: the log cannot be read, so nothing is delivered any more and the
	 * server must stop. May be NULL. */
	void (*on_failure)(void *ctx, const struct sl_err *err);
	void *ctx;
	const struct watch_sight *sight; /* NULL: everybody sees everything. Borrowed, static */
	unsigned streams_max;            /* more: RESOURCE_EXHAUSTED / TOO_MANY */
	unsigned progress_ms;            /* a mark after this long without a change; 0: 5000 */
	unsigned stall_ms; /* a reader that takes nothing for this long is ended; 0: 30 000 */
};

/* Starts the thread; changes committed from now on are delivered. */
SL_MUST_USE sl_code watch_new(const struct watch_options *options, struct watch **ret_watch,
			      struct sl_err *err);
/* Ends every stream (UNAVAILABLE / STOPPING). Any thread, once, before the rpc server stops. */
void watch_stop(struct watch *watch);
void watch_free(struct watch *watch); /* after the rpc server has ended; NULL is fine */

/* New revisions are durable: look. Any thread; cheap. */
void watch_committed(struct watch *watch);

/* What a stream wants to see. Ids, not names; "" is any. */
struct watch_filter {
	uint32_t workspace;
	uint32_t kinds;       /* bit 1 << EventKind; 0: all */
	uint32_t environment; /* 0: any; events of no environment pass every one */
	char app_id[32], instance_id[32];
	void *viewer; /* NULL: sees everything. Owned by the stream once it is open */
};

/* Feeds `stream` from `from_revision` (0: from now on). On failure the stream is the caller's to
 * finish: SL_OUT_OF_RANGE / REVISION_COMPACTED, REVISION_AHEAD with floor and head;
 * SL_RESOURCE_EXHAUSTED / TOO_MANY. */
SL_MUST_USE sl_code watch_open(struct watch *watch, struct rpc_stream *stream,
			       const struct watch_filter *filter, uint64_t from_revision,
			       struct sl_err *err);
/* From the stream's events. */
void watch_drained(struct watch *watch, struct rpc_stream *stream);
void watch_closed(struct watch *watch, struct rpc_stream *stream);

unsigned watch_streams(struct watch *watch);

/* All up to here was delivered to the hook and to live streams; what is newer must not be pruned
 * yet. Any thread. */
uint64_t watch_position(struct watch *watch);

#endif
