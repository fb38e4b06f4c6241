/* Room: a full map, a low disk. Whoever does not fit is refused alone. */
#include "tests/unit/server/store/fixture.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/mem/own.h"

#define MAP_BYTES ((size_t)1 << 20)

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	fixture_init(f);
	f->options.map_bytes = MAP_BYTES;
	fixture_open(f);
	*state = f;
	return 0;
}

static void test_room_a_command_too_big_is_refused_alone(void **state)
{
	struct fixture *f = *state;
	struct write writes[] = {
	    {.put = "a"},
	    {.put = "b", .must_see = "a"},
	    {.put = "huge", .value_bytes = 2 * MAP_BYTES, .refusal = "lost"},
	    {.put = "c", .must_see = "b", .must_miss = "huge"},
	    {.put = "huge2", .value_bytes = 2 * MAP_BYTES},
	    {.put = "d", .must_see = "c"},
	};
	write_batch(f, writes, SL_COUNT(writes));
	static const uint64_t revisions[] = {1, 2, 0, 3, 0, 4};
	for (size_t i = 0; i < SL_COUNT(writes); i++) {
		bool huge = revisions[i] == 0;
		assert_int_equal(writes[i].cmd.code, huge ? SL_RESOURCE_EXHAUSTED : SL_OK);
		assert_int_equal(writes[i].cmd.err.reason,
				 huge ? SL_REASON_STORE_FULL : SL_REASON_NONE);
		assert_int_equal(writes[i].cmd.revision, revisions[i]);
		assert_true(i == 0 || writes[i].order == writes[i - 1].order + 1);
	}
	assert_true(writes[0].decided >= 2); /* the first transaction was spoiled */
	assert_int_equal(put(f, "next", NULL), 5);
	assert_int_equal(count_refusals(f), 0);
	SL_AUTO(sl_free_auto) char *left = keys(f, APPS, "", STORE_FORWARD);
	assert_string_equal(left, "a b c d next");
	write_clear_all(writes, SL_COUNT(writes));
}

/* Puts until a write is refused. Returns how many passed. */
static unsigned fill(struct fixture *f)
{
	for (unsigned i = 0;; i++) {
		char name[16];
		(void)snprintf(name, sizeof(name), "f%05u", i);
		struct write w = {.put = name, .value_bytes = 3000};
		sl_code code = write_run(f, &w);
		if (code != SL_OK) {
			assert_int_equal(code, SL_RESOURCE_EXHAUSTED);
			assert_int_equal(w.cmd.err.reason, SL_REASON_STORE_FULL);
			write_clear(&w);
			return i;
		}
	}
}

static void delete_range(struct fixture *f, unsigned first, unsigned end)
{
	for (unsigned i = first; i < end; i++) {
		char name[16];
		(void)snprintf(name, sizeof(name), "f%05u", i);
		struct write w = {.delete = name, .must_see = name, .cmd.shrinks = true};
		assert_int_equal(write_run(f, &w), SL_OK);
	}
}

static void test_room_deletes_pass_in_a_full_map_and_make_room(void **state)
{
	struct fixture *f = *state;
	unsigned count = fill(f);
	assert_in_range(count, 50, 300);
	struct write plain = {.delete = "f00000"};
	assert_int_equal(write_run(f, &plain), SL_RESOURCE_EXHAUSTED);
	assert_int_equal(plain.decided, 0);
	write_clear(&plain);
	struct store_stats full = stats(f);
	assert_true(full.used_bytes > MAP_BYTES / 2 && full.used_bytes <= full.map_bytes);
	delete_range(f, 0, count);
	assert_true(stats(f).used_bytes < full.used_bytes / 2);
	(void)put(f, "again", NULL);
	fixture_reopen(f);
	assert_true(has(f, "again", NULL));
	assert_true(fill(f) > count / 2);
}

static void test_room_batches_that_do_not_fit_leave_what_fits(void **state)
{
	struct fixture *f = *state;
	enum { MANY = 400 };
	static struct write writes[MANY];
	static char names[MANY][8];
	for (size_t i = 0; i < MANY; i++) {
		(void)snprintf(names[i], sizeof(names[i]), "n%03zu", i);
		writes[i] = (struct write){.put = names[i], .value_bytes = 5000};
	}
	write_batch(f, writes, MANY);
	uint64_t revision = 0;
	for (size_t i = 0; i < MANY; i++) {
		bool passed = writes[i].cmd.code == SL_OK;
		assert_true(passed || writes[i].cmd.err.reason == SL_REASON_STORE_FULL);
		assert_int_equal(has(f, names[i], NULL), passed);
		revision += passed;
		assert_int_equal(writes[i].cmd.revision, passed ? revision : 0);
	}
	assert_in_range(revision, 50, 250);
	assert_int_equal(view_revision(f), revision);
	assert_int_equal(count_log(f), revision);
	write_clear_all(writes, MANY);
	delete_range(f, 0, 0);
}

static void test_room_low_disk_lets_only_what_shrinks_pass(void **state)
{
	struct fixture *f = *state;
	(void)put(f, "a", NULL);
	(void)put(f, "b", NULL);
	f->options.reserve_bytes = UINT64_MAX;
	fixture_reopen(f);
	struct write writes[] = {
	    {.put = "c", .refusal = "who"},
	    {.delete = "a", .cmd.shrinks = true},
	    {.put = "d"},
	};
	write_batch(f, writes, SL_COUNT(writes));
	assert_int_equal(writes[0].cmd.code, SL_RESOURCE_EXHAUSTED);
	assert_int_equal(writes[0].cmd.err.reason, SL_REASON_DISK_LOW);
	assert_int_equal(writes[0].decided, 0);
	assert_int_equal(writes[1].cmd.code, SL_OK);
	assert_int_equal(writes[1].cmd.revision, 3);
	assert_int_equal(writes[2].cmd.err.reason, SL_REASON_DISK_LOW);
	SL_AUTO(sl_free_auto) char *left = keys(f, APPS, "", STORE_FORWARD);
	assert_string_equal(left, "b");
	f->options.reserve_bytes = 4096;
	fixture_reopen(f);
	assert_int_equal(put(f, "c", NULL), 4);
	write_clear_all(writes, SL_COUNT(writes));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, fixture_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(test_room_a_command_too_big_is_refused_alone),
	    TEST(test_room_deletes_pass_in_a_full_map_and_make_room),
	    TEST(test_room_batches_that_do_not_fit_leave_what_fits),
	    TEST(test_room_low_disk_lets_only_what_shrinks_pass),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
