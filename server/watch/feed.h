/* feed: log records as WatchResponse messages, after a filter. Private to watch. */
#ifndef SL_SERVER_WATCH_FEED_H
#define SL_SERVER_WATCH_FEED_H

#include "base/mem/arena.h"
#include "server/watch/watch.h"

/* But for who watches. */
bool watch_filter_equal(const struct watch_filter *a, const struct watch_filter *b);

/* One look of one viewer. */
struct feed_look {
	const struct watch_sight *sight;
	void *look; /* NULL: sees everything */
};

/* A response in the making: changes are added until it is large enough. */
struct feed_batch {
	struct sl_arena arena; /* owns all below */
	Sluice__V1__WatchResponse response;
	size_t room, bytes;
};
void feed_batch_init(struct feed_batch *batch);
void feed_batch_fini(struct feed_batch *batch);
/* Adds what of the record passes the filter and is to be seen; the record is borrowed until the
 * batch is packed or cleared. Of a revision of which something is held back, method and reason are,
 * too: they speak of all of it. */
void feed_batch_add(struct feed_batch *batch, const struct watch_filter *filter,
		    const struct feed_look *look, const Sluice__Store__V1__LogRecord *record);
bool feed_batch_is_full(const struct feed_batch *batch);
bool feed_batch_is_empty(const struct feed_batch *batch);
/* One message that says: all up to `revision` is delivered. NULL: out of memory. Empties the batch.
 */
struct rpc_message *feed_batch_pack(struct feed_batch *batch, uint64_t revision);

#endif
