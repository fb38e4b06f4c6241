/* What a watcher is promised: ordered, unique, reliable, atomic, resumable, bookmarkable. */
#include "tests/unit/server/watch/world.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/mem/own.h"

static int setup(void **state)
{
	*state = world_new(0, 0, 0);
	return 0;
}

static int teardown(void **state)
{
	world_free(*state);
	return 0;
}

static const struct watch_filter all = {.workspace = 1};

static const struct watch_filter filters[] = {
    {.workspace = 1},
    {.workspace = 2},
    {.workspace = 1, .kinds = 1u << 3 | 1u << 7},
    {.workspace = 1, .environment = 2},
    {.workspace = 1, .app_id = "a1"},
    {.workspace = 1, .instance_id = "i1"},
    {.workspace = 1, .kinds = 1u << 4, .environment = 3, .app_id = "a2", .instance_id = "i1"},
    {.workspace = 1, .app_id = "none"},
};

static void pause_ms(unsigned ms)
{
	const struct timespec time = {.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000};
	(void)nanosleep(&time, NULL);
}

static void write_many(struct world *w, unsigned count, size_t filler)
{
	struct model_event event = {.kind = 4};
	for (unsigned i = 0; i < count; i++) {
		(void)world_write(w, 1, &event, 1, filler);
	}
}

/* --- plain --------------------------------------------------------------------------------- */

static void test_watch_a_record_that_does_not_parse_is_a_failure_and_no_gap(void **state)
{
	struct world *w = *state;
	struct watcher live, past;
	write_many(w, 2, 10);
	watcher_open(&live, w, &all, 0);
	watcher_await(&live, 2);
	world_write_noise(w);
	write_many(w, 1, 10);
	while (atomic_load(&w->failures) == 0) {
		(void)usleep(1000);
	}
	assert_int_equal(w->failure, SL_DATA_LOSS);
	(void)usleep(600000); /* two ticks: it is told once */
	assert_int_equal(atomic_load(&w->failures), 1);
	assert_int_equal(watch_position(w->watch), 2);
	watcher_open(&past, w, &all, 1);
	watcher_await(&past, 2);
	watcher_check(&past);
	watcher_check(&live);
	watcher_close(&past);
	watcher_close(&live);
}

static void test_watch_from_the_past_and_from_now(void **state)
{
	struct world *w = *state;
	struct watcher past, now;
	write_many(w, 5, 10);
	watcher_open(&past, w, &all, 2);
	watcher_open(&now, w, &all, 0);
	watcher_await(&now, 5);
	assert_int_equal(now.from, 5);
	write_many(w, 3, 10);
	watcher_await(&past, 8);
	watcher_await(&now, 8);
	assert_int_equal(past.count, 6);
	assert_int_equal(now.count, 3);
	watcher_check(&past);
	watcher_check(&now);
	watcher_close(&past);
	watcher_close(&now);
}

static void test_watch_marks_progress_for_who_sees_nothing(void **state)
{
	struct world *w = *state;
	struct watcher r;
	watcher_open(&r, w, &filters[7], 0);
	write_many(w, 3, 10);
	watcher_await(&r, 3);
	size_t marks = r.marks;
	bool ended = false;
	for (unsigned i = 0; i < 100 && r.marks < marks + 2; i++) {
		(void)watcher_step(&r, 1000, &ended);
	}
	assert_true(r.marks >= marks + 2 && !ended);
	assert_int_equal(r.count, 0);
	watcher_close(&r);
}

static void test_watch_names_floor_and_head_of_what_it_has_not(void **state)
{
	struct world *w = *state;
	static const struct {
		uint64_t from;
		enum sl_reason reason;
	} cases[] = {{8, SL_REASON_REVISION_AHEAD},
		     {UINT64_MAX, SL_REASON_REVISION_AHEAD},
		     {1, SL_REASON_REVISION_COMPACTED},
		     {3, SL_REASON_REVISION_COMPACTED}};
	write_many(w, 6, 10);
	world_raise_floor(w, 4); /* is revision 7 */
	for (size_t i = 0; i < SL_COUNT(cases); i++) {
		struct watcher r;
		watcher_open(&r, w, &all, cases[i].from);
		assert_int_equal(watcher_await_end(&r), SL_OUT_OF_RANGE);
		assert_int_equal(r.err.reason, cases[i].reason);
		assert_int_equal(watcher_meta(&r, "floor"), 4);
		assert_int_equal(watcher_meta(&r, "head"), 7);
		watcher_close(&r);
	}
	for (uint64_t from = 4; from <= 7; from++) {
		struct watcher r;
		watcher_open(&r, w, &all, from);
		watcher_await(&r, 7);
		watcher_check(&r);
		watcher_close(&r);
	}
}

static void test_watch_one_large_change_is_not_split(void **state)
{
	struct world *w = *state;
	struct model_event list[EVENTS_MAX] = {{.kind = 4}, {.kind = 4}, {.kind = 4}, {.kind = 4}};
	struct watcher live, late;
	bool ended = false;
	write_many(w, 1, 10);
	watcher_open(&live, w, &all, 0);
	assert_true(watcher_step(&live, 20000, &ended));
	(void)world_write(w, 1, list, EVENTS_MAX, 200 << 10);
	watcher_open(&late, w, &all, 1);
	watcher_await(&live, 2);
	watcher_await(&late, 2);
	watcher_check(&live);
	watcher_check(&late);
	assert_int_equal(late.count, 1);
	watcher_close(&live);
	watcher_close(&late);
}

enum { CROWD = 24 };

/* All see the first workspace, or the second, each with another filter that lets kind 4 through. */
static void open_crowd(struct world *w, struct watcher *crowd, bool alike)
{
	for (unsigned i = 0; i < CROWD; i++) {
		struct watch_filter filter = {.workspace = alike ? 1 : 2,
					      .kinds = alike ? 0 : 1u << 4 | 1u << (5 + i)};
		watcher_open(&crowd[i], w, &filter, 0);
		watcher_await(&crowd[i], world_head(w));
	}
}

/* Who is served alike must not be told by where somebody lay who has gone: there lies another one
 * soon. Who stays is last in line; those before it go, and others, with other filters, come. */
static void test_watch_the_place_of_one_that_went_means_nothing(void **state)
{
	enum { ROUNDS = 8 };
	struct world *w = *state;
	struct watcher stays, crowd[CROWD];
	write_many(w, 1, 10);
	watcher_open(&stays, w, &all, 0);
	for (unsigned round = 0; round < ROUNDS; round++) {
		uint64_t head = 0;
		open_crowd(w, crowd, round % 2 == 0);
		/* The second workspace first: with each change all are served anew. */
		for (uint32_t workspace = 2; workspace > 0; workspace--) {
			head = world_write(w, workspace, &(struct model_event){.kind = 4}, 1, 10);
		}
		watcher_await(&stays, head);
		watcher_check(&stays);
		for (unsigned i = 0; i < CROWD; i++) {
			watcher_await(&crowd[i], head);
			watcher_check(&crowd[i]);
			watcher_close(&crowd[i]);
		}
		pause_ms(300); /* the server lets go of them with its next tick */
	}
	watcher_close(&stays);
}

static void test_watch_takes_so_many_streams_and_not_more(void **state)
{
	(void)state;
	struct world *w = world_new(0, 0, 3);
	struct watcher r[4];
	for (size_t i = 0; i < 3; i++) {
		watcher_open(&r[i], w, &all, 0);
		bool ended = false;
		assert_true(watcher_step(&r[i], 20000, &ended));
	}
	watcher_open(&r[3], w, &all, 0);
	assert_int_equal(watcher_await_end(&r[3]), SL_RESOURCE_EXHAUSTED);
	assert_int_equal(r[3].err.reason, SL_REASON_TOO_MANY);
	watcher_close(&r[0]);
	for (unsigned i = 0; i < 2000 && watch_streams(w->watch) > 2; i++) {
		pause_ms(5);
	}
	watcher_resume(&r[3]);
	bool ended = false;
	assert_true(watcher_step(&r[3], 20000, &ended));
	for (size_t i = 1; i < 4; i++) {
		watcher_close(&r[i]);
	}
	world_free(w);
}

static void test_watch_stop_ends_all(void **state)
{
	struct world *w = *state;
	struct watcher r[8];
	write_many(w, 8, 10);
	for (size_t i = 0; i < SL_COUNT(r); i++) {
		bool ended = false;
		watcher_open(&r[i], w, &filters[i], i);
		assert_true(watcher_step(&r[i], 20000, &ended));
	}
	world_stop_serving(w);
	for (size_t i = 0; i < SL_COUNT(r); i++) {
		assert_int_equal(watcher_await_end(&r[i]), SL_UNAVAILABLE);
		assert_int_equal(r[i].err.reason, SL_REASON_STOPPING);
		watcher_check(&r[i]);
		watcher_close(&r[i]);
	}
}

/* --- many at once ----------------------------------------------------------------------------- */

enum { WRITERS = 3, WRITES = 150, READERS = 12 };

struct race {
	struct world *w;
	atomic_uint_least64_t goal; /* 0: writers still write */
	bool compact;
};

struct racer {
	struct race *race;
	unsigned number, resumed, compacted;
	struct watcher watcher;
	pthread_t thread;
};

static void *writer_main(void *arg)
{
	struct racer *racer = arg;
	unsigned seed = racer->number;
	for (unsigned i = 0; i < WRITES; i++) {
		(void)world_write_any(racer->race->w, &seed, (size_t)rand_r(&seed) % 4000);
		if (rand_r(&seed) % 8 == 0) {
			pause_ms(2);
		}
	}
	return NULL;
}

static void *compactor_main(void *arg)
{
	struct racer *racer = arg;
	struct world *w = racer->race->w;
	while (atomic_load(&racer->race->goal) == 0) {
		uint64_t head = world_head(w);
		world_raise_floor(w, head > 40 ? head - 40 : 0);
		pause_ms(5);
	}
	return NULL;
}

/* Below the floor: what came so far is right, and it begins again where the server says. */
static void begin_again(struct racer *racer)
{
	struct watcher *r = &racer->watcher;
	assert_int_equal(r->code, SL_OUT_OF_RANGE);
	assert_int_equal(r->err.reason, SL_REASON_REVISION_COMPACTED);
	uint64_t floor = watcher_meta(r, "floor");
	assert_true(floor > r->bookmark);
	watcher_check(r);
	r->count = 0;
	r->from = r->bookmark = floor;
	racer->compacted++;
	watcher_resume(r);
}

static bool is_over(const struct racer *racer)
{
	uint64_t goal = atomic_load(&racer->race->goal);
	return goal != 0 && racer->watcher.bookmark >= goal;
}

static void *reader_main(void *arg)
{
	struct racer *racer = arg;
	unsigned seed = 1000 + racer->number;
	struct watcher *r = &racer->watcher;
	watcher_open(r, racer->race->w, &filters[racer->number % SL_COUNT(filters)], 1);
	while (!is_over(racer)) {
		bool ended = false;
		(void)watcher_step(r, 500, &ended);
		if (ended && r->code == SL_RESOURCE_EXHAUSTED) {
			assert_int_equal(watcher_meta(r, "revision"), r->bookmark);
			watcher_resume(r);
		} else if (ended) {
			begin_again(racer);
		} else if (rand_r(&seed) % 10 == 0) {
			watcher_resume(r);
			racer->resumed++;
		} else if (racer->number % 3 == 0) {
			pause_ms(10);
		}
	}
	return NULL;
}

static void run_race(bool compact)
{
	struct world *w = world_new(50, 0, 0);
	struct race race = {.w = w, .compact = compact};
	struct racer writers[WRITERS], readers[READERS], compactor = {.race = &race};
	unsigned resumed = 0, compacted = 0;
	write_many(w, 60, 100);
	for (unsigned i = 0; i < WRITERS; i++) {
		writers[i] = (struct racer){.race = &race, .number = i};
		assert_int_equal(pthread_create(&writers[i].thread, NULL, writer_main, &writers[i]),
				 0);
	}
	for (unsigned i = 0; i < READERS; i++) {
		readers[i] = (struct racer){.race = &race, .number = i};
		assert_int_equal(pthread_create(&readers[i].thread, NULL, reader_main, &readers[i]),
				 0);
	}
	if (compact) {
		assert_int_equal(
		    pthread_create(&compactor.thread, NULL, compactor_main, &compactor), 0);
	}
	for (unsigned i = 0; i < WRITERS; i++) {
		(void)pthread_join(writers[i].thread, NULL);
	}
	atomic_store(&race.goal, world_head(w));
	if (compact) {
		(void)pthread_join(compactor.thread, NULL);
	}
	for (unsigned i = 0; i < READERS; i++) {
		(void)pthread_join(readers[i].thread, NULL);
		watcher_check(&readers[i].watcher);
		resumed += readers[i].resumed;
		compacted += readers[i].compacted;
		watcher_close(&readers[i].watcher);
	}
	print_message("resumed %u, compacted %u times\n", resumed, compacted);
	assert_true(resumed > 0);
	assert_true(compact || compacted == 0);
	world_free(w);
}

static void test_watch_many_readers_and_writers(void **state)
{
	(void)state;
	run_race(false);
}

static void test_watch_compaction_races_with_readers(void **state)
{
	(void)state;
	run_race(true);
}

/* --- slow --- */

/* Reads nothing while 8 MB come; is told truthfully where to go on, and loses nothing. */
static void read_late(struct world *w, struct watcher *r)
{
	uint64_t head = world_head(w);
	assert_int_equal(watcher_await_end(r), SL_RESOURCE_EXHAUSTED);
	assert_int_equal(r->err.reason, SL_REASON_WATCHER_TOO_SLOW);
	assert_int_equal(watcher_meta(r, "revision"), r->bookmark);
	assert_true(r->bookmark < head);
	watcher_check(r);
	watcher_resume(r);
	watcher_await(r, head);
	watcher_check(r);
	watcher_close(r);
}

static void test_watch_live_reader_that_never_reads_is_ended(void **state)
{
	struct world *w = *state;
	struct watcher r, other;
	bool ended = false;
	write_many(w, 1, 10);
	watcher_open(&r, w, &all, 0);
	assert_true(watcher_step(&r, 20000, &ended));
	watcher_open(&other, w, &all, 0);
	for (unsigned i = 0; i < 500; i++) {
		write_many(w, 1, 16 << 10);
		watcher_await(&other, world_head(w)); /* is not held up */
	}
	read_late(w, &r);
	watcher_check(&other);
	watcher_close(&other);
}

static void test_watch_catching_up_reader_that_never_reads_is_ended(void **state)
{
	(void)state;
	struct world *w = world_new(0, 300, 0);
	struct watcher r;
	write_many(w, 2000, 16 << 10); /* more than what lies in sockets on the way */
	watcher_open(&r, w, &all, 1);
	pause_ms(4000);
	uint64_t from = r.bookmark;
	assert_int_equal(from, 1);
	read_late(w, &r);
	world_free(w);
}

/* A live stream whose client has taken nothing yet is told the revision at which it began. */
static void test_watch_ended_before_the_first_message_resumes_where_it_began(void **state)
{
	struct world *w = *state;
	for (unsigned round = 0; round < 20; round++) {
		struct watcher r;
		bool ended = false;
		write_many(w, 1, 10);
		watcher_open(&r, w, &all, 0);
		write_many(w, 30, 60 << 10);
		while (!ended && r.bookmark < world_head(w)) {
			(void)watcher_step(&r, 1000, &ended);
		}
		if (ended) {
			assert_int_equal(r.code, SL_RESOURCE_EXHAUSTED);
			assert_true(watcher_meta(&r, "revision") > 0);
			assert_true(watcher_meta(&r, "revision") >= r.bookmark);
		}
		watcher_close(&r);
	}
}

#define WITH(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    WITH(test_watch_a_record_that_does_not_parse_is_a_failure_and_no_gap),
	    WITH(test_watch_from_the_past_and_from_now),
	    WITH(test_watch_marks_progress_for_who_sees_nothing),
	    WITH(test_watch_names_floor_and_head_of_what_it_has_not),
	    WITH(test_watch_one_large_change_is_not_split),
	    WITH(test_watch_the_place_of_one_that_went_means_nothing),
	    cmocka_unit_test(test_watch_takes_so_many_streams_and_not_more),
	    WITH(test_watch_stop_ends_all),
	    cmocka_unit_test(test_watch_many_readers_and_writers),
	    cmocka_unit_test(test_watch_compaction_races_with_readers),
	    WITH(test_watch_live_reader_that_never_reads_is_ended),
	    cmocka_unit_test(test_watch_catching_up_reader_that_never_reads_is_ended),
	    WITH(test_watch_ended_before_the_first_message_resumes_where_it_began),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
