/* Threads: many submit and many read at once; views move between threads. */
#include "tests/unit/server/store/fixture.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/mem/own.h"

enum { WRITERS = 4, READERS = 3, ROUNDS = 150, COUNTERS = 8 };

/* Adds one to counter `number`, whose value is its count, 8 bytes big-endian. */
struct increment {
	struct store_cmd cmd;
	uint8_t number;
	uint64_t count;
	sem_t finished;
};

static sl_code increment_decide(struct store_cmd *cmd, const struct store_view *view,
				struct store_changes *changes, struct sl_err *err)
{
	struct increment *inc = SL_CONTAINER_OF(cmd, struct increment, cmd);
	struct sl_bytes key = SL_BYTES(&inc->number, 1);
	struct sl_bytes old;
	sl_code code = store_get(view, APPS, key, &old, err);
	if (code != SL_OK && code != SL_NOT_FOUND) {
		return code;
	}
	inc->count = (code == SL_OK ? sl_get_be64(old.data) : 0) + 1;
	uint8_t value[8];
	sl_put_be64(value, inc->count);
	/* in both tables: a reader sees both or neither */
	store_changes_put(changes, APPS, key, SL_BYTES(value, sizeof(value)));
	store_changes_put(changes, NODES, key, SL_BYTES(value, sizeof(value)));
	store_changes_log(changes, key);
	return SL_OK;
}

static void increment_done(struct store_cmd *cmd)
{
	(void)sem_post(&SL_CONTAINER_OF(cmd, struct increment, cmd)->finished);
}

struct shared {
	struct fixture *f;
	atomic_bool stop;
	_Atomic(const struct store_view *) handed; /* a view on its way to another thread */
	atomic_uint failures, moved;
	atomic_uint_least64_t seen; /* by on_commit */
};

static struct shared shared;

static void fails_unless(bool holds)
{
	if (!holds) {
		(void)atomic_fetch_add(&shared.failures, 1);
	}
}

static void *write_many(void *arg)
{
	unsigned self = *(const unsigned *)arg;
	uint64_t last = 0;
	for (unsigned i = 0; i < ROUNDS; i++) {
		struct increment inc = {.number = (uint8_t)((self + i) % COUNTERS)};
		inc.cmd.decide = increment_decide;
		inc.cmd.done = increment_done;
		(void)sem_init(&inc.finished, 0, 0);
		fails_unless(store_submit(shared.f->store, &inc.cmd, NULL) == SL_OK);
		(void)sem_wait(&inc.finished);
		fails_unless(inc.cmd.code == SL_OK && inc.cmd.revision > last);
		fails_unless(atomic_load(&shared.seen) >= inc.cmd.revision);
		last = inc.cmd.revision;
	}
	return NULL;
}

/* All counters of a snapshot add up to its revision. */
static void check_view(const struct store_view *view)
{
	uint64_t sum = 0;
	struct store_walk walk;
	store_walk_begin(&walk, view, APPS, SL_BYTES_NONE, STORE_FORWARD);
	while (store_walk_next(&walk)) {
		struct sl_bytes twin;
		sum += sl_get_be64(walk.value.data);
		fails_unless(store_get(view, NODES, walk.key, &twin, NULL) == SL_OK);
		fails_unless(sl_bytes_equal(twin, walk.value));
	}
	fails_unless(store_walk_result(&walk, NULL) == SL_OK);
	store_walk_end(&walk);
	fails_unless(sum == store_view_revision(view));
}

static void *read_many(void *arg)
{
	(void)arg;
	uint64_t last = 0;
	while (!atomic_load(&shared.stop)) {
		const struct store_view *view = NULL;
		if (store_view_begin(shared.f->store, &view, NULL) != SL_OK) {
			fails_unless(false);
			return NULL;
		}
		fails_unless(store_view_revision(view) >= last);
		last = store_view_revision(view);
		check_view(view);
		const struct store_view *other = atomic_exchange(&shared.handed, view);
		if (other != NULL) { /* begun by another thread, as a rule */
			check_view(other);
			store_view_end(other);
			(void)atomic_fetch_add(&shared.moved, 1);
		}
		struct store_stats s;
		store_stats_read(shared.f->store, &s);
		fails_unless(s.readers <= READERS + READERS);
	}
	return NULL;
}

static void on_commit(void *ctx, uint64_t first, uint64_t last, uint64_t tables)
{
	(void)tables;
	(void)ctx;
	fails_unless(first == atomic_load(&shared.seen) + 1 && last >= first);
	atomic_store(&shared.seen, last);
}

static void test_threads_write_and_read_at_once(void **state)
{
	struct fixture *f = *state;
	f->options.on_commit = on_commit;
	fixture_reopen(f);
	shared.f = f;
	pthread_t writers[WRITERS], readers[READERS];
	unsigned numbers[WRITERS];
	for (size_t i = 0; i < READERS; i++) {
		assert_int_equal(pthread_create(&readers[i], NULL, read_many, NULL), 0);
	}
	for (unsigned i = 0; i < WRITERS; i++) {
		numbers[i] = i;
		assert_int_equal(pthread_create(&writers[i], NULL, write_many, &numbers[i]), 0);
	}
	for (size_t i = 0; i < WRITERS; i++) {
		assert_int_equal(pthread_join(writers[i], NULL), 0);
	}
	atomic_store(&shared.stop, true);
	for (size_t i = 0; i < READERS; i++) {
		assert_int_equal(pthread_join(readers[i], NULL), 0);
	}
	store_view_end(atomic_load(&shared.handed));
	assert_int_equal(atomic_load(&shared.failures), 0);
	assert_true(atomic_load(&shared.moved) > 0);
	assert_int_equal(view_revision(f), WRITERS * ROUNDS);
	assert_int_equal(count_log(f), WRITERS * ROUNDS);
	assert_int_equal(stats(f).commands, WRITERS * ROUNDS);
}

static void *submit_until_stopped(void *arg)
{
	unsigned *answered = arg;
	for (;;) {
		struct write w = {.put = "k"};
		sl_code code = write_submit(shared.f, &w);
		if (code != SL_OK) {
			fails_unless(code == SL_UNAVAILABLE &&
				     w.cmd.err.reason == SL_REASON_STOPPING);
			write_clear(&w);
			return NULL;
		}
		fails_unless(write_wait(&w) == SL_OK);
		(*answered)++;
	}
}

static void test_threads_stop_accepting_loses_no_answer(void **state)
{
	struct fixture *f = *state;
	shared.f = f;
	pthread_t threads[WRITERS];
	unsigned answered[WRITERS] = {0};
	for (size_t i = 0; i < WRITERS; i++) {
		assert_int_equal(
		    pthread_create(&threads[i], NULL, submit_until_stopped, &answered[i]), 0);
	}
	while (stats(f).commands < 50) {
	}
	store_stop_accepting(f->store);
	uint64_t total = 0;
	for (size_t i = 0; i < WRITERS; i++) {
		assert_int_equal(pthread_join(threads[i], NULL), 0);
		total += answered[i];
	}
	assert_int_equal(atomic_load(&shared.failures), 0);
	fixture_reopen(f);
	assert_int_equal(view_revision(f), total);
}

static int setup(void **state)
{
	atomic_store(&shared.stop, false);
	atomic_store(&shared.failures, 0);
	atomic_store(&shared.handed, NULL);
	atomic_store(&shared.seen, 0);
	return fixture_setup(state);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, fixture_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(test_threads_write_and_read_at_once),
	    TEST(test_threads_stop_accepting_loses_no_answer),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
