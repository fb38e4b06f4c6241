#include "server/store/store_internal.h"

#include <assert.h>

size_t store_queue_take(struct store *store)
{
	size_t count = 0;
	pthread_mutex_lock(&store->lock);
	while (store->head != NULL && count < STORE_BATCH_MAX) {
		store->batch[count++] = store->head;
		store->head = store->head->next;
	}
	if (store->head == NULL) {
		store->tail = &store->head;
	}
	store->queued -= (unsigned)count;
	pthread_mutex_unlock(&store->lock);
	return count;
}

/* Waits until there is work. False: stop, everything is answered. */
static bool wait_for_work(struct store *store)
{
	bool prune = store_prune_pending(store);
	pthread_mutex_lock(&store->lock);
	while (store->head == NULL && !store->stopping && (!prune || store->failed)) {
		pthread_cond_wait(&store->wake, &store->lock);
	}
	bool work = store->head != NULL || !store->stopping;
	pthread_mutex_unlock(&store->lock);
	return work;
}

static void *writer_main(void *arg)
{
	struct store *store = arg;
	while (wait_for_work(store)) {
		store_batch_run(store, store_queue_take(store));
	}
	return NULL;
}

void store_fail(struct store *store, const struct sl_err *err)
{
	pthread_mutex_lock(&store->lock);
	store->failed = true;
	struct store_cmd *waiting = SL_TAKE(store->head);
	store->tail = &store->head;
	store->queued = 0;
	pthread_mutex_unlock(&store->lock);
	if (store->options.on_failure != NULL) {
		store->options.on_failure(store->options.ctx, err);
	}
	while (waiting != NULL) {
		struct store_cmd *cmd = waiting;
		waiting = cmd->next;
		store_answer_failed(cmd);
	}
}

sl_code store_writer_start(struct store *store, struct sl_err *err)
{
	if (pthread_create(&store->writer, NULL, writer_main, store) != 0) {
		return sl_err_set(err, SL_RESOURCE_EXHAUSTED, "cannot start the writer thread");
	}
	store->writer_started = true;
	return SL_OK;
}

void store_writer_stop(struct store *store)
{
	if (!store->writer_started) {
		return;
	}
	pthread_mutex_lock(&store->lock);
	store->refusing = true;
	store->stopping = true;
	pthread_cond_signal(&store->wake);
	pthread_mutex_unlock(&store->lock);
	pthread_join(store->writer, NULL);
	store->writer_started = false;
	assert(store->head == NULL);
}

static sl_code refusal(const struct store *store, struct sl_err *err)
{
	if (store->failed) {
		return sl_err_because(err, SL_UNAVAILABLE, SL_REASON_STORAGE_FAILED,
				      "the server's storage failed; nothing more is written");
	}
	if (store->refusing) {
		return sl_err_because(err, SL_UNAVAILABLE, SL_REASON_STOPPING,
				      "the server is stopping");
	}
	if (store->queued >= store->options.queue_max) {
		return sl_err_because(err, SL_RESOURCE_EXHAUSTED, SL_REASON_QUEUE_FULL,
				      "%u writes wait, which is the most; try again later",
				      store->queued);
	}
	return SL_OK;
}

sl_code store_submit(struct store *store, struct store_cmd *cmd, struct sl_err *err)
{
	if (store->options.read_only) {
		return sl_err_set(err, SL_FAILED_PRECONDITION,
				  "the store is open for reading only");
	}
	cmd->next = NULL;
	pthread_mutex_lock(&store->lock);
	sl_code code = refusal(store, err);
	if (code == SL_OK) {
		*store->tail = cmd;
		store->tail = &cmd->next;
		store->queued++;
		pthread_cond_signal(&store->wake);
	}
	pthread_mutex_unlock(&store->lock);
	return code;
}

struct waiting {
	pthread_mutex_t lock; /* guards finished */
	pthread_cond_t wake;
	bool finished;
};

static void wake_waiting(struct store_cmd *cmd)
{
	struct waiting *waiting = cmd->waiting;
	pthread_mutex_lock(&waiting->lock);
	waiting->finished = true;
	pthread_cond_signal(&waiting->wake);
	pthread_mutex_unlock(&waiting->lock);
}

sl_code store_run(struct store *store, struct store_cmd *cmd, struct sl_err *err)
{
	struct waiting waiting = {.lock = PTHREAD_MUTEX_INITIALIZER,
				  .wake = PTHREAD_COND_INITIALIZER};
	cmd->done = wake_waiting;
	cmd->waiting = &waiting;
	sl_code code = store_submit(store, cmd, err);
	if (code != SL_OK) {
		return code;
	}
	pthread_mutex_lock(&waiting.lock);
	while (!waiting.finished) {
		pthread_cond_wait(&waiting.wake, &waiting.lock);
	}
	pthread_mutex_unlock(&waiting.lock);
	if (cmd->code != SL_OK) {
		sl_err_move(err, &cmd->err);
	}
	return cmd->code;
}

void store_stop_accepting(struct store *store)
{
	pthread_mutex_lock(&store->lock);
	store->refusing = true;
	pthread_mutex_unlock(&store->lock);
}
