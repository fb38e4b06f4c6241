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
#include <stdlib.h>
#include <time.h>

#include "base/clock/clock.h"
#include "base/log/log.h"
#include "base/mem/own.h"
#include "server/watch/watch_internal.h"

enum { TICK_MS = 250 };

SL_DEFINE_AUTO(struct watch *, watch_free);
SL_DEFINE_AUTO(const struct store_view *, store_view_end);

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
				watcher_end_too_slow(w);
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
		if (mark != NULL && !watcher_hand_over(w, mark, watch->position)) {
			watcher_end_too_slow(w);
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
	bool more = watch_deliver(watch, view, &err);
	if (err.code != SL_OK) {
		read_failed(watch, &err);
	}
	for (struct watcher *w = watch->watchers; w != NULL; w = w->next) {
		pthread_mutex_lock(&watch->lock);
		bool waits = w->blocked || w->closed;
		pthread_mutex_unlock(&watch->lock);
		if (!w->live && !w->ended && !waits) {
			more = watch_catch_up(watch, w, view) || more;
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
			watcher_end(w, code, &err);
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
		return watch_out_of_range(SL_REASON_REVISION_AHEAD, from, view, err);
	}
	if (from != 0 && from < store_view_floor(view)) {
		return watch_out_of_range(SL_REASON_REVISION_COMPACTED, from, view, err);
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
