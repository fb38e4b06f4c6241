/* From the log to the streams: each that catches up by itself, those that are live by what they
 * have in common. */
#include "base/clock/clock.h"
#include "base/failpoint/failpoint.h"
#include "base/log/log.h"
#include "base/mem/own.h"
#include "base/pb/pb.h"
#include "server/watch/watch_internal.h"

enum {
	CATCH_UP_RECORDS = 512,  /* of one stream at a turn, so that live ones do not wait */
	DELIVER_BYTES = 8 << 20, /* of unpacked records at a turn; one more may come on top */
};

/* --- ending ------------------------------------------------------------------- */

void watcher_end(struct watcher *w, sl_code code, const struct sl_err *err)
{
	w->ended = true;
	rpc_stream_finish(w->stream, code, err);
}

void watcher_end_too_slow(struct watcher *w)
{
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	uint64_t sent = rpc_stream_seal(w->stream);
	sent = sent > w->from ? sent : w->from; /* nothing went out: 0 would mean from now on */
	sl_code code =
	    sl_err_because(&err, SL_RESOURCE_EXHAUSTED, SL_REASON_WATCHER_TOO_SLOW,
			   "the watcher is too slow: resume from revision %lu, nothing is lost",
			   (unsigned long)sent);
	sl_err_meta(&err, "revision", "%lu", (unsigned long)sent);
	watcher_end(w, code, &err);
}

sl_code watch_out_of_range(enum sl_reason reason, uint64_t wanted, const struct store_view *view,
			   struct sl_err *err)
{
	uint64_t floor = store_view_floor(view), head = store_view_revision(view);
	sl_code code = sl_err_because(
	    err, SL_OUT_OF_RANGE, reason,
	    "revision %lu cannot be watched from: the server has those after %lu up to %lu",
	    (unsigned long)wanted, (unsigned long)floor, (unsigned long)head);
	sl_err_meta(err, "floor", "%lu", (unsigned long)floor);
	sl_err_meta(err, "head", "%lu", (unsigned long)head);
	return code;
}

/* --- who sees what ------------------------------------------------------------------ */

/* A look of this watcher, which feed_look_end() ends. */
static struct feed_look look_of(struct watch *watch, const struct store_view *view,
				struct watcher *w, uint64_t generation)
{
	const struct watch_sight *sight = watch->options.sight;
	struct feed_look look = {.sight = sight};
	if (sight == NULL || w->filter.viewer == NULL ||
	    (w->sees_all && w->generation == generation)) {
		return look;
	}
	look.look = sight->begin(sight->ctx, view, w->filter.viewer);
	w->sees_all = look.look == NULL;
	w->generation = generation;
	return look;
}

static void look_end(struct feed_look *look)
{
	if (look->look != NULL) {
		look->sight->end(look->look);
	}
}

static uint64_t generation_of(const struct watch *watch, const struct store_view *view)
{
	const struct watch_sight *sight = watch->options.sight;
	return sight == NULL ? 0 : sight->generation(sight->ctx, view);
}

/* Both sees_all are of now. */
static bool see_the_same(const struct watch *watch, const struct watcher *a,
			 const struct watcher *b)
{
	const void *viewer = a->filter.viewer, *other = b->filter.viewer;
	bool all = viewer == NULL || a->sees_all, other_all = other == NULL || b->sees_all;
	if (all || other_all) {
		return all == other_all;
	}
	return watch->options.sight->equal(viewer, other);
}

/* The record that the walk is at. */
static sl_code unpack(const struct store_walk *walk, struct sl_arena *arena,
		      Sluice__Store__V1__LogRecord **ret_record, struct sl_err *err)
{
	*ret_record =
	    (void *)pb_unpack(&sluice__store__v1__log_record__descriptor, arena, walk->value);
	if (*ret_record != NULL) {
		return SL_OK;
	}
	if (sl_arena_failed(arena)) {
		return sl_err_no_memory(err);
	}
	return sl_err_because(err, SL_DATA_LOSS, SL_REASON_STORAGE_FAILED,
			      "the log record of revision %lu does not parse: the store is "
			      "damaged, see `sluiced verify`",
			      (unsigned long)sl_get_be64(walk->key.data));
}

/* --- handing over ----------------------------------------------------------------- */

bool watcher_hand_over(struct watcher *w, struct rpc_message *message, uint64_t revision)
{
	sl_code code = rpc_stream_send(w->stream, message, revision);
	if (code == SL_RESOURCE_EXHAUSTED) {
		return false;
	}
	w->ended = w->ended || code != SL_OK; /* the client has gone: closed() follows */
	w->position = revision;
	w->progress_ms = sl_clock_mono_ms();
	return true;
}

static void set_blocked(struct watch *watch, struct watcher *w, bool blocked)
{
	pthread_mutex_lock(&watch->lock);
	w->blocked = blocked;
	pthread_mutex_unlock(&watch->lock);
}

/* One message of a catching-up stream; false when its outbox is full. */
static bool catch_up_send(struct watch *watch, struct watcher *w, struct feed_batch *batch,
			  uint64_t revision)
{
	set_blocked(watch, w, true); /* before the send: drained() may come at once */
	struct rpc_message *message = feed_batch_pack(batch, revision);
	bool sent = message != NULL && watcher_hand_over(w, message, revision);
	rpc_message_unref(message);
	if (sent) {
		set_blocked(watch, w, false);
	}
	return sent;
}

bool watch_catch_up(struct watch *watch, struct watcher *w, const struct store_view *view)
{
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	if (w->position < store_view_floor(view)) {
		(void)watch_out_of_range(SL_REASON_REVISION_COMPACTED, w->position, view, &err);
		watcher_end(w, err.code, &err);
		return false;
	}
	SL_AUTO(store_walk_end) struct store_walk walk;
	SL_AUTO(feed_batch_fini) struct feed_batch batch;
	SL_AUTO(sl_arena_fini) struct sl_arena arena;
	SL_AUTO(look_end)
	struct feed_look look = look_of(watch, view, w, generation_of(watch, view));
	feed_batch_init(&batch);
	sl_arena_init(&arena, 0);
	uint64_t seen = w->position;
	size_t records = 0;
	store_walk_log(&walk, view, w->position + 1, STORE_FORWARD);
	/* Never beyond what live streams have: a stream joins them exactly there. */
	while (records < CATCH_UP_RECORDS && !feed_batch_is_full(&batch) &&
	       store_walk_next(&walk) && sl_get_be64(walk.key.data) <= watch->position) {
		Sluice__Store__V1__LogRecord *record = NULL;
		if (unpack(&walk, &arena, &record, &err) != SL_OK) {
			log_error("watch-read-failed", "error=%s", SL_QUOTE(err.msg));
			watcher_end(w, err.code, &err);
			return false;
		}
		feed_batch_add(&batch, &w->filter, &look, record);
		seen = record->revision;
		records++;
	}
	if (store_walk_result(&walk, &err) != SL_OK) {
		watcher_end(w, err.code, &err);
		return false;
	}
	bool more = records == CATCH_UP_RECORDS || feed_batch_is_full(&batch);
	seen = more ? seen : watch->position;
	if (seen > w->position && !catch_up_send(watch, w, &batch, seen)) {
		return false; /* drained() brings it back */
	}
	w->live = !more && w->position == watch->position;
	return !w->live && !w->ended;
}

/* --- live ---------------------------------------------------------------------------- */

struct live_batch {
	Sluice__Store__V1__LogRecord **records;
	size_t count;
	uint64_t revision; /* all up to here */
};

/* Everybody who is served in this turn with this one gets the same messages. */
static void feed_alike(struct watch *watch, struct watcher *first, const struct feed_look *look,
		       const struct live_batch *live)
{
	SL_AUTO(feed_batch_fini) struct feed_batch batch;
	feed_batch_init(&batch);
	for (size_t i = 0; i <= live->count; i++) {
		bool last = i == live->count;
		if (!last) {
			feed_batch_add(&batch, &first->filter, look, live->records[i]);
		}
		if (feed_batch_is_empty(&batch) || (!last && !feed_batch_is_full(&batch))) {
			continue;
		}
		uint64_t upto = last ? live->revision : live->records[i]->revision;
		struct rpc_message *message = feed_batch_pack(&batch, upto);
		for (struct watcher *w = watch->watchers; w != NULL; w = w->next) {
			/* of an earlier turn it may be one that has gone, and its place taken */
			bool alike = w->served_at == watch->turn && w->served_with == first;
			if (!w->live || w->ended || !alike) {
				continue;
			}
			if (message == NULL || !watcher_hand_over(w, message, upto)) {
				watcher_end_too_slow(w);
			}
		}
		rpc_message_unref(message);
	}
}

/* Brings every watcher's `sees_all` up to date. */
static void look_again(struct watch *watch, const struct store_view *view, uint64_t generation)
{
	for (struct watcher *w = watch->watchers; w != NULL; w = w->next) {
		if (w->live && !w->ended && w->filter.viewer != NULL &&
		    w->generation != generation) {
			struct feed_look look = look_of(watch, view, w, generation);
			look_end(&look);
		}
	}
}

static void feed_live(struct watch *watch, const struct store_view *view,
		      const struct live_batch *live)
{
	uint64_t generation = generation_of(watch, view);
	watch->turn++;
	look_again(watch, view, generation);
	for (struct watcher *w = watch->watchers; w != NULL; w = w->next) {
		if (!w->live || w->ended || w->served_at == watch->turn) {
			continue;
		}
		for (struct watcher *same = w; same != NULL; same = same->next) {
			if (same->served_at != watch->turn &&
			    watch_filter_equal(&same->filter, &w->filter) &&
			    see_the_same(watch, same, w)) {
				same->served_at = watch->turn;
				same->served_with = w;
			}
		}
		SL_AUTO(look_end) struct feed_look look = look_of(watch, view, w, generation);
		feed_alike(watch, w, &look, live);
	}
}

bool watch_deliver(struct watch *watch, const struct store_view *view, struct sl_err *err)
{
	enum { RECORDS_MAX = 1024 };
	static Sluice__Store__V1__LogRecord *records[RECORDS_MAX]; /* watch's thread only */
	struct live_batch live = {.records = records, .revision = watch->position};
	SL_AUTO(sl_arena_fini) struct sl_arena arena;
	SL_AUTO(store_walk_end) struct store_walk walk;
	sl_arena_init(&arena, 0);
	sl_code code = SL_OK;
	store_walk_log(&walk, view, watch->position + 1, STORE_FORWARD);
	while (live.count < RECORDS_MAX && arena.total_bytes < DELIVER_BYTES &&
	       store_walk_next(&walk)) {
		Sluice__Store__V1__LogRecord *record = NULL;
		code = unpack(&walk, &arena, &record, err);
		if (code != SL_OK) {
			break; /* those before it are delivered */
		}
		live.records[live.count++] = record;
		live.revision = record->revision;
		if (watch->options.on_record != NULL) {
			watch->options.on_record(watch->options.ctx, view, record);
		}
	}
	if (code == SL_OK) {
		code = store_walk_result(&walk, err);
	}
	bool more = live.count == RECORDS_MAX || arena.total_bytes >= DELIVER_BYTES;
	live.revision = more || code != SL_OK ? live.revision : store_view_revision(view);
	if (live.count > 0) {
		SL_FAILPOINT("publish");
		feed_live(watch, view, &live);
		SL_FAILPOINT("published");
		if (watch->options.on_batch != NULL) {
			watch->options.on_batch(watch->options.ctx, view);
		}
	}
	watch->position = live.revision;
	return more;
}
