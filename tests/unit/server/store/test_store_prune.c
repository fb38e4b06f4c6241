/* Pruning: bounded steps below the floor, as the caller says of each record. */
#include "tests/unit/server/store/fixture.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/mem/own.h"

#define RECORDS 1000

static struct {
	atomic_uint asked, most_between_commits, since_commit;
	atomic_uint_least64_t later_from; /* LATER from this revision on; 0: never */
	atomic_uint keep_every;           /* KEEP each n-th; 0: none */
} judge;

static enum store_prune on_prune(void *ctx, uint64_t revision, struct sl_bytes record)
{
	(void)ctx;
	assert_true(record.size > 0);
	(void)atomic_fetch_add(&judge.asked, 1);
	uint64_t later = atomic_load(&judge.later_from);
	if (later != 0 && revision >= later) {
		return STORE_PRUNE_LATER;
	}
	unsigned keep = atomic_load(&judge.keep_every);
	return keep != 0 && revision % keep == 0 ? STORE_PRUNE_KEEP : STORE_PRUNE_DROP;
}

static void put_many(struct fixture *f, size_t count)
{
	static struct write writes[RECORDS];
	for (size_t i = 0; i < count; i++) {
		writes[i] = (struct write){.put = "k"};
	}
	write_batch(f, writes, count);
	write_clear_all(writes, count);
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	fixture_init(f);
	f->options.prune = on_prune;
	atomic_store(&judge.asked, 0);
	atomic_store(&judge.later_from, 0);
	atomic_store(&judge.keep_every, 0);
	fixture_open(f);
	put_many(f, RECORDS);
	*state = f;
	return 0;
}

static uint64_t raise_floor(struct fixture *f, uint64_t floor)
{
	struct write w = {.floor = floor, .cmd.shrinks = true};
	assert_int_equal(write_run(f, &w), SL_OK);
	return w.cmd.revision;
}

/* Waits for the log to have so many records: no command helps it along. */
static void wait_log(struct fixture *f, uint64_t records)
{
	for (int i = 0; i < 60000 && stats(f).log_records != records; i++) {
		(void)usleep(1000);
	}
	assert_int_equal(stats(f).log_records, records);
	assert_int_equal(count_log(f), records);
}

static void test_prune_drops_up_to_the_floor_without_further_commands(void **state)
{
	struct fixture *f = *state;
	uint64_t before = stats(f).commits;
	assert_int_equal(raise_floor(f, 900), RECORDS + 1);
	wait_log(f, RECORDS + 1 - 900);
	assert_int_equal(atomic_load(&judge.asked), 900);
	assert_true(stats(f).commits >= before + 4); /* 256 at a time */
	assert_int_equal(view_floor(f), 900);
	SL_AUTO(sl_free_auto) char *first = log_revisions(f, 0, STORE_FORWARD);
	assert_int_equal(strncmp(first, "901 ", 4), 0);
}

static void test_prune_of_the_whole_log_keeps_the_head(void **state)
{
	struct fixture *f = *state;
	(void)raise_floor(f, RECORDS + 1);
	wait_log(f, 0);
	fixture_reopen(f);
	assert_int_equal(view_revision(f), RECORDS + 1);
	assert_int_equal(view_floor(f), RECORDS + 1);
	assert_int_equal(put(f, "a", NULL), RECORDS + 2);
	assert_int_equal(count_log(f), 1);
}

static void test_prune_keeps_what_history_needs(void **state)
{
	struct fixture *f = *state;
	atomic_store(&judge.keep_every, 300);
	(void)raise_floor(f, RECORDS);
	wait_log(f, 4);
	SL_AUTO(sl_free_auto) char *left = log_revisions(f, 0, STORE_FORWARD);
	assert_string_equal(left, "300 600 900 1001");
	unsigned asked = atomic_load(&judge.asked);
	(void)raise_floor(f, RECORDS + 1);
	wait_log(f, 4); /* 1001 went, 1002 came; what is kept is not asked about again */
	assert_int_equal(atomic_load(&judge.asked), asked + 1);
}

static void test_prune_stops_at_later_and_asks_again_with_the_next_batch(void **state)
{
	struct fixture *f = *state;
	atomic_store(&judge.later_from, 501);
	(void)raise_floor(f, RECORDS);
	wait_log(f, RECORDS + 1 - 500);
	(void)usleep(50000);
	unsigned asked = atomic_load(&judge.asked);
	assert_true(asked <= 503); /* no spinning on the one that must wait */
	(void)put(f, "a", NULL);
	wait_log(f, RECORDS + 2 - 500);
	assert_int_equal(atomic_load(&judge.asked), asked + 1);
	atomic_store(&judge.later_from, 0);
	(void)put(f, "b", NULL);
	wait_log(f, 3);
}

static void test_prune_goes_on_after_reopen(void **state)
{
	struct fixture *f = *state;
	atomic_store(&judge.later_from, 10);
	(void)raise_floor(f, RECORDS);
	wait_log(f, RECORDS + 1 - 9);
	atomic_store(&judge.later_from, 0);
	fixture_reopen(f);
	wait_log(f, 1);
}

static void test_prune_never_goes_back(void **state)
{
	struct fixture *f = *state;
	(void)raise_floor(f, 500);
	wait_log(f, RECORDS + 1 - 500);
	(void)raise_floor(f, 100);
	assert_int_equal(view_floor(f), 500);
}

static void test_prune_without_a_judge_drops_all(void **state)
{
	struct fixture *f = *state;
	f->options.prune = NULL;
	fixture_reopen(f);
	(void)raise_floor(f, RECORDS);
	wait_log(f, 1);
}

static void test_prune_works_while_the_disk_is_low(void **state)
{
	struct fixture *f = *state;
	f->options.reserve_bytes = UINT64_MAX;
	fixture_reopen(f);
	(void)raise_floor(f, RECORDS);
	wait_log(f, 1);
}

/* Puts until the map is nearly full. */
static void fill(struct fixture *f)
{
	for (unsigned i = 0;; i++) {
		char name[16];
		(void)snprintf(name, sizeof(name), "f%05u", i);
		struct write w = {.put = name, .value_bytes = 3000};
		if (write_run(f, &w) != SL_OK) {
			assert_int_equal(w.cmd.err.reason, SL_REASON_STORE_FULL);
			write_clear(&w);
			return;
		}
	}
}

/* A view keeps every freed page from being used again: pruning itself runs out of room. */
static void test_prune_waits_while_the_map_is_full_and_then_goes_on(void **state)
{
	struct fixture *f = *state;
	f->options.map_bytes = 1 << 20;
	fixture_reopen(f);
	put_many(f, RECORDS);
	const struct store_view *view = NULL;
	assert_int_equal(store_view_begin(f->store, &view, NULL), SL_OK);
	fill(f);
	uint64_t head = view_revision(f);
	assert_int_equal(raise_floor(f, head), head + 1);
	unsigned before;
	do { /* until it has come to rest */
		before = atomic_load(&judge.asked);
		(void)usleep(50000);
	} while (atomic_load(&judge.asked) != before);
	uint64_t left = stats(f).log_records;
	assert_true(left > 1 && left <= head + 1);
	struct write blocked = {.put = "more"};
	assert_int_equal(write_run(f, &blocked), SL_RESOURCE_EXHAUSTED);
	write_clear(&blocked);
	assert_int_equal(store_view_revision(view), 2 * RECORDS);
	store_view_end(view);
	struct write nudge = {.nothing = true, .cmd.shrinks = true};
	assert_int_equal(write_run(f, &nudge), SL_OK);
	wait_log(f, 1);
	struct write delete = {.delete = "f00000", .cmd.shrinks = true};
	assert_int_equal(write_run(f, &delete), SL_OK);
	fixture_reopen(f);
	assert_int_equal(view_revision(f), head + 2);
	assert_int_equal(count_log(f), 2);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, fixture_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(test_prune_drops_up_to_the_floor_without_further_commands),
	    TEST(test_prune_of_the_whole_log_keeps_the_head),
	    TEST(test_prune_keeps_what_history_needs),
	    TEST(test_prune_stops_at_later_and_asks_again_with_the_next_batch),
	    TEST(test_prune_goes_on_after_reopen),
	    TEST(test_prune_never_goes_back),
	    TEST(test_prune_without_a_judge_drops_all),
	    TEST(test_prune_works_while_the_disk_is_low),
	    TEST(test_prune_waits_while_the_map_is_full_and_then_goes_on),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
