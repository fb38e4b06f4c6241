/* A stream's life:
 *
 *   watch_open --> CATCHING_UP --has all that is committed--> LIVE
 *                      |  fed from the log at its own pace      |  fed with everybody of its filter
 *                      v                                        v
 *                    ENDED <-- too slow, compacted, closed, stopping
 *
 * Watch's thread is the only one that moves a stream forward; other threads set
 * flags under the lock and wake it. A stream is freed by the thread after
 * watch_closed() has let go of it.
 */
#include "server/watch/watch.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock/clock.h"
#include "base/failpoint/failpoint.h"
#include "base/log/log.h"
#include "base/mem/own.h"
#include "base/pb/pb.h"
#include "server/watch/feed.h"

enum {
	CATCH_UP_RECORDS = 512, /* of one stream at a turn, so that live ones do not wait */
	TICK_MS = 250,
	DELIVER_BYTES = 8 << 20, /* of unpacked records at a turn; one more may come on top */
};

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

SL_DEFINE_AUTO(struct watch *, watch_free);
SL_DEFINE_AUTO(const struct store_view *, store_view_end);

/* --- ending ------------------------------------------------------------------- */

static void end(struct watcher *w, sl_code code, const struct sl_err *err)
{
	w->ended = true;
	rpc_stream_finish(w->stream, code, err);
}

static void end_too_slow(struct watcher *w)
{
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	uint64_t sent = rpc_stream_seal(w->stream);
	sent = sent > w->from ? sent : w->from; /* nothing went out: 0 would mean from now on */
	sl_code code =
	    sl_err_because(&err, SL_RESOURCE_EXHAUSTED, SL_REASON_WATCHER_TOO_SLOW,
			   "the watcher is too slow: resume from revision %lu, nothing is lost",
			   (unsigned long)sent);
	sl_err_meta(&err, "revision", "%lu", (unsigned long)sent);
	end(w, code, &err);
}

static sl_code out_of_range(enum sl_reason reason, uint64_t wanted, const struct store_view *view,
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

/* False when the outbox is full. */
static bool hand_over(struct watcher *w, struct rpc_message *message, uint64_t revision)
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
	bool sent = message != NULL && hand_over(w, message, revision);
	rpc_message_unref(message);
	if (sent) {
		set_blocked(watch, w, false);
	}
	return sent;
}

/* Feeds one stream from the log. True: there is more to do for it now. */
static bool catch_up(struct watch *watch, struct watcher *w, const struct store_view *view)
{
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	if (w->position < store_view_floor(view)) {
		(void)out_of_range(SL_REASON_REVISION_COMPACTED, w->position, view, &err);
		end(w, err.code, &err);
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
			end(w, err.code, &err);
			return false;
		}
		feed_batch_add(&batch, &w->filter, &look, record);
		seen = record->revision;
		records++;
	}
	if (store_walk_result(&walk, &err) != SL_OK) {
		end(w, err.code, &err);
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
			if (message == NULL || !hand_over(w, message, upto)) {
				end_too_slow(w);
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

/* Reads what was committed since, tells the hook, feeds the live streams. True: there is more. */
static bool deliver(struct watch *watch, const struct store_view *view, struct sl_err *err)
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

/* --- the thread ----------------------------------------------------------------------- */

static void adopt_arrivals(struct watch *watch)
{
	pthread_mutex_lock(&watch->lock);
	while (watch->arriving != NULL) {
		struct watcher *w = watch->arriving;
		watch->arriving = w->next;
		w->next = watch->watchers;
		watch->watchers = w;
	}
	pthread_mutex_unlock(&watch->lock);
}

static void watcher_free(struct watch *watch, struct watcher *w)
{
	if (w->filter.viewer != NULL) {
		watch->options.sight->forget(w->filter.viewer);
	}
	rpc_stream_unref(w->stream);
	free(w);
}

static void forget_closed(struct watch *watch)
{
	for (struct watcher **at = &watch->watchers; *at != NULL;) {
		struct watcher *w = *at;
		pthread_mutex_lock(&watch->lock);
		bool closed = w->closed;
		pthread_mutex_unlock(&watch->lock);
		if (!closed) {
			at = &w->next;
			continue;
		}
		*at = w->next;
		watcher_free(watch, w);
	}
}

/* Marks for the idle, and an end for those who take nothing. */
static void keep_alive(struct watch *watch)
{
	uint64_t now = sl_clock_mono_ms();
	struct rpc_message *mark = NULL;
	for (struct watcher *w = watch->watchers; w != NULL; w = w->next) {
		if (w->ended) {
			continue;
		}
		if (!w->live) {
			pthread_mutex_lock(&watch->lock);
			bool stalled =
			    w->blocked && now - w->progress_ms >= watch->options.stall_ms;
			pthread_mutex_unlock(&watch->lock);
			if (stalled) {
				end_too_slow(w);
			}
			continue;
		}
		if (now - w->progress_ms < watch->options.progress_ms) {
			continue;
		}
		if (mark == NULL) {
			struct feed_batch batch;
			feed_batch_init(&batch);
			mark = feed_batch_pack(&batch, watch->position);
		}
		if (mark != NULL && !hand_over(w, mark, watch->position)) {
			end_too_slow(w);
		}
	}
	rpc_message_unref(mark);
}

/* Short memory passes: the next tick tries again. What is damaged stays so, and going on would mean
 * to leave out a change, or to hold up all that follow it: the server stops. */
static void read_failed(struct watch *watch, const struct sl_err *err)
{
	if (watch->failed) {
		return;
	}
	log_error("watch-read-failed", "error=%s", SL_QUOTE(err->msg));
	if (err->code != SL_RESOURCE_EXHAUSTED && watch->options.on_failure != NULL) {
		watch->failed = true;
		watch->options.on_failure(watch->options.ctx, err);
	}
}

/* One look at the store. True: there is more to do at once. */
static bool turn(struct watch *watch)
{
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	SL_AUTO(store_view_end_auto) const struct store_view *view = NULL;
	adopt_arrivals(watch);
	forget_closed(watch);
	if (store_view_begin(watch->options.store, &view, &err) != SL_OK) {
		read_failed(watch, &err);
		return false;
	}
	bool more = deliver(watch, view, &err);
	if (err.code != SL_OK) {
		read_failed(watch, &err);
	}
	for (struct watcher *w = watch->watchers; w != NULL; w = w->next) {
		pthread_mutex_lock(&watch->lock);
		bool waits = w->blocked || w->closed;
		pthread_mutex_unlock(&watch->lock);
		if (!w->live && !w->ended && !waits) {
			more = catch_up(watch, w, view) || more;
		}
	}
	keep_alive(watch);
	return more && err.code == SL_OK; /* what cannot be read is tried again at the next tick */
}

/* Waits for something to do, at most a tick. False: stop. */
static bool wait_for_work(struct watch *watch)
{
	struct timespec until;
	(void)clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_nsec += TICK_MS * 1000000L;
	until.tv_sec += until.tv_nsec / 1000000000L;
	until.tv_nsec %= 1000000000L;
	pthread_mutex_lock(&watch->lock);
	int rc = 0;
	while (!watch->committed && !watch->work && !watch->stopping && rc == 0) {
		rc = pthread_cond_timedwait(&watch->wake, &watch->lock, &until);
	}
	watch->committed = watch->work = false;
	bool go_on = !watch->stopping;
	pthread_mutex_unlock(&watch->lock);
	return go_on;
}

static void end_all(struct watch *watch)
{
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	sl_code code = sl_err_because(&err, SL_UNAVAILABLE, SL_REASON_STOPPING,
				      "the server is stopping: resume elsewhere or later");
	adopt_arrivals(watch);
	for (struct watcher *w = watch->watchers; w != NULL; w = w->next) {
		if (!w->ended) {
			end(w, code, &err);
		}
	}
}

static bool is_stopping(struct watch *watch)
{
	pthread_mutex_lock(&watch->lock);
	bool stopping = watch->stopping;
	pthread_mutex_unlock(&watch->lock);
	return stopping;
}

static void *watch_main(void *arg)
{
	struct watch *watch = arg;
	while (wait_for_work(watch)) {
		while (turn(watch) && !is_stopping(watch)) {
		}
	}
	end_all(watch);
	return NULL;
}

/* --- from other threads -------------------------------------------------------------------- */

static void wake(struct watch *watch, bool *flag)
{
	pthread_mutex_lock(&watch->lock);
	*flag = true;
	pthread_cond_signal(&watch->wake);
	pthread_mutex_unlock(&watch->lock);
}

sl_code watch_new(const struct watch_options *options, struct watch **ret_watch, struct sl_err *err)
{
	SL_AUTO(watch_free_auto) struct watch *watch = calloc(1, sizeof(*watch));
	if (watch == NULL) {
		return sl_err_no_memory(err);
	}
	watch->options = *options;
	watch->options.progress_ms = options->progress_ms == 0 ? 5000 : options->progress_ms;
	watch->options.stall_ms = options->stall_ms == 0 ? 30000 : options->stall_ms;
	pthread_condattr_t monotonic;
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_mutex_init(&watch->lock, NULL);
	pthread_cond_init(&watch->wake, &monotonic);
	pthread_condattr_destroy(&monotonic);

	const struct store_view *view = NULL;
	sl_code code = store_view_begin(options->store, &view, err);
	if (code != SL_OK) {
		return code;
	}
	watch->position = store_view_revision(view);
	store_view_end(view);
	if (pthread_create(&watch->thread, NULL, watch_main, watch) != 0) {
		return sl_err_set(err, SL_RESOURCE_EXHAUSTED, "cannot start the watch thread");
	}
	watch->started = true;
	*ret_watch = SL_TAKE(watch);
	return SL_OK;
}

void watch_stop(struct watch *watch)
{
	if (watch == NULL || !watch->started) {
		return;
	}
	wake(watch, &watch->stopping);
	pthread_join(watch->thread, NULL);
	watch->started = false;
}

void watch_free(struct watch *watch)
{
	if (watch == NULL) {
		return;
	}
	watch_stop(watch);
	adopt_arrivals(watch);
	while (watch->watchers != NULL) {
		struct watcher *w = watch->watchers;
		watch->watchers = w->next;
		watcher_free(watch, w);
	}
	pthread_cond_destroy(&watch->wake);
	pthread_mutex_destroy(&watch->lock);
	free(watch);
}

void watch_committed(struct watch *watch)
{
	wake(watch, &watch->committed);
}

static sl_code check_range(struct watch *watch, uint64_t from, uint64_t *ret_position,
			   struct sl_err *err)
{
	SL_AUTO(store_view_end_auto) const struct store_view *view = NULL;
	sl_code code = store_view_begin(watch->options.store, &view, err);
	if (code != SL_OK) {
		return code;
	}
	if (from > store_view_revision(view)) {
		return out_of_range(SL_REASON_REVISION_AHEAD, from, view, err);
	}
	if (from != 0 && from < store_view_floor(view)) {
		return out_of_range(SL_REASON_REVISION_COMPACTED, from, view, err);
	}
	*ret_position = from == 0 ? store_view_revision(view) : from;
	return SL_OK;
}

sl_code watch_open(struct watch *watch, struct rpc_stream *stream,
		   const struct watch_filter *filter, uint64_t from_revision, struct sl_err *err)
{
	uint64_t position = 0;
	sl_code code = check_range(watch, from_revision, &position, err);
	if (code != SL_OK) {
		return code;
	}
	struct watcher *w = calloc(1, sizeof(*w));
	struct feed_batch batch;
	feed_batch_init(&batch);
	struct rpc_message *hello = feed_batch_pack(&batch, position); /* where the stream begins */
	if (w == NULL || hello == NULL) {
		free(w);
		rpc_message_unref(hello);
		return sl_err_no_memory(err);
	}
	*w = (struct watcher){.filter = *filter,
			      .from = position,
			      .position = position,
			      .progress_ms = sl_clock_mono_ms()};
	pthread_mutex_lock(&watch->lock);
	bool full = watch->streams >= watch->options.streams_max;
	bool stopping = watch->stopping;
	if (!full && !stopping) {
		w->stream = rpc_stream_ref(stream);
		rpc_stream_set_user(stream, w);
		sl_code sent = rpc_stream_send(stream, hello, position);
		(void)sent; /* an empty outbox takes one message, and a client that left is told by
			       closed() */
		w->next = watch->arriving;
		watch->arriving = w;
		watch->streams++;
		watch->work = true;
		pthread_cond_signal(&watch->wake);
	}
	pthread_mutex_unlock(&watch->lock);
	rpc_message_unref(hello);
	if (!full && !stopping) {
		return SL_OK;
	}
	free(w);
	return stopping ? sl_err_because(err, SL_UNAVAILABLE, SL_REASON_STOPPING,
					 "the server is stopping")
			: sl_err_because(err, SL_RESOURCE_EXHAUSTED, SL_REASON_TOO_MANY,
					 "%u watch streams are open, no more are allowed",
					 watch->options.streams_max);
}

void watch_drained(struct watch *watch, struct rpc_stream *stream)
{
	struct watcher *w = rpc_stream_user(stream);
	if (w == NULL) {
		return;
	}
	pthread_mutex_lock(&watch->lock);
	if (w->blocked) {
		w->blocked = false;
		watch->work = true;
		pthread_cond_signal(&watch->wake);
	}
	pthread_mutex_unlock(&watch->lock);
}

void watch_closed(struct watch *watch, struct rpc_stream *stream)
{
	struct watcher *w = rpc_stream_user(stream);
	if (w == NULL) {
		return;
	}
	rpc_stream_set_user(stream, NULL);
	pthread_mutex_lock(&watch->lock);
	w->closed = true;
	watch->streams--;
	watch->work = true;
	pthread_cond_signal(&watch->wake);
	pthread_mutex_unlock(&watch->lock);
}

uint64_t watch_position(struct watch *watch)
{
	return atomic_load(&watch->position);
}

unsigned watch_streams(struct watch *watch)
{
	pthread_mutex_lock(&watch->lock);
	unsigned streams = watch->streams;
	pthread_mutex_unlock(&watch->lock);
	return streams;
}
