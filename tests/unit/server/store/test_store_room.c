/* Room: a full map, a low disk. Whoever does not fit is refused alone. */
#include "tests/unit/server/store/fixture.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/statvfs.h>
#include <sys/vfs.h>

#include "base/mem/own.h"

#define MAP_BYTES ((size_t)1 << 20)

/* What the disk has left, as the store is told; 0: the truth. The C library's call is replaced in
 * this program. */
static atomic_uint_least64_t free_bytes;

int statvfs(const char *path, struct statvfs *ret_fs)
{
	struct statfs fs;
	if (statfs(path, &fs) != 0) {
		return -1;
	}
	uint64_t told = atomic_load(&free_bytes);
	*ret_fs = (struct statvfs){
	    .f_frsize = told != 0 ? 1 : (unsigned long)fs.f_bsize,
	    .f_bavail = told != 0 ? told : fs.f_bavail,
	};
	return 0;
}

static int setup(void **state)
{
	atomic_store(&free_bytes, 0);
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

static struct write growing(unsigned i, char name[static 16])
{
	(void)snprintf(name, 16, "f%05u", i);
	return (struct write){.put = name, .value_bytes = 3000};
}

static void test_room_under_the_reserve_deletes_make_room_inside_the_file(void **state)
{
	struct fixture *f = *state;
	f->options.map_bytes = 16 * MAP_BYTES;
	f->options.reserve_bytes = 4 * MAP_BYTES;
	fixture_reopen(f);
	char name[16];
	for (unsigned i = 0; i < 200; i++) {
		struct write w = growing(i, name);
		assert_int_equal(write_run(f, &w), SL_OK);
	}
	atomic_store(&free_bytes, 4 * MAP_BYTES - 4096);
	struct write low = growing(1000, name);
	assert_int_equal(write_run(f, &low), SL_RESOURCE_EXHAUSTED);
	assert_int_equal(low.cmd.err.reason, SL_REASON_DISK_LOW);
	delete_range(f, 0, 150);
	uint64_t file_bytes = stats(f).file_bytes;
	unsigned passed = 0; /* until what can be used again is used up */
	for (sl_code code = SL_OK; passed < 500; passed++) {
		struct write w = growing(2000 + passed, name);
		code = write_run(f, &w);
		write_clear(&w);
		if (code != SL_OK) {
			break;
		}
	}
	assert_in_range(passed, 20, 150);
	assert_true(stats(f).file_bytes <= file_bytes + 65536);
	delete_range(f, 150, 200);
	atomic_store(&free_bytes, 2 * MAP_BYTES - 4096);
	struct write lower = growing(3000, name);
	assert_int_equal(write_run(f, &lower), SL_RESOURCE_EXHAUSTED);
	assert_int_equal(lower.cmd.err.reason, SL_REASON_DISK_LOW);
	atomic_store(&free_bytes, 4 * MAP_BYTES);
	struct write again = growing(4000, name);
	assert_int_equal(write_run(f, &again), SL_OK);
	write_clear(&low);
	write_clear(&lower);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, fixture_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(test_room_a_command_too_big_is_refused_alone),
	    TEST(test_room_deletes_pass_in_a_full_map_and_make_room),
	    TEST(test_room_batches_that_do_not_fit_leave_what_fits),
	    TEST(test_room_low_disk_lets_only_what_shrinks_pass),
	    TEST(test_room_under_the_reserve_deletes_make_room_inside_the_file),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
