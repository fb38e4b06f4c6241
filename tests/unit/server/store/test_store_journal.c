/* The journal after a crash: whatever of the data file's pages is on disk, all that was answered is
 * there; and it is brought into no other data file. */
#include "tests/unit/server/store/fixture.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/bytes/bytes.h"
#include "base/file/file.h"
#include "base/mem/own.h"
#include "server/store/journal.h"
#include "tests/lib/tmpdir.h"

enum { PAGE = 4096, KEYS = 40, SMALL_JOURNAL = 64 << 10, FEW_TURNS = 120 };

/* The files of a store as a disk may hold them. */
struct disk {
	struct sl_buf data, journals[2];
};

static struct sl_buf read_whole(const char *folder, const char *name)
{
	struct sl_buf content = {.data = NULL};
	uint8_t part[PAGE];
	char path[256];
	(void)snprintf(path, sizeof(path), "%s/%s", folder, name);
	SL_AUTO(sl_fd_auto) int fd = open(path, O_RDONLY | O_CLOEXEC);
	for (ssize_t got; fd >= 0 && (got = read(fd, part, sizeof(part))) > 0;) {
		sl_buf_append(&content, part, (size_t)got);
	}
	assert_false(content.failed);
	return content;
}

static void write_whole(const char *folder, const char *name, struct sl_bytes content)
{
	char path[256];
	(void)snprintf(path, sizeof(path), "%s/%s", folder, name);
	SL_AUTO(sl_fd_auto) int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	assert_true(fd >= 0 && sl_file_write(fd, content.data, content.size));
}

static struct disk read_disk(const char *folder)
{
	return (struct disk){
	    .data = read_whole(folder, "data.mdb"),
	    .journals = {read_whole(folder, "journal-0"), read_whole(folder, "journal-1")},
	};
}

static void write_disk(const char *folder, const struct disk *disk)
{
	write_whole(folder, "data.mdb", sl_buf_bytes(&disk->data));
	write_whole(folder, "journal-0", sl_buf_bytes(&disk->journals[0]));
	write_whole(folder, "journal-1", sl_buf_bytes(&disk->journals[1]));
}

static void disk_fini(struct disk *disk)
{
	sl_buf_fini(&disk->data);
	sl_buf_fini(&disk->journals[0]);
	sl_buf_fini(&disk->journals[1]);
}

#define DISK(name, ...) SL_AUTO(disk_fini) struct disk name = __VA_ARGS__

static void put_number(struct fixture *f, unsigned number)
{
	char name[16];
	(void)snprintf(name, sizeof(name), "k%05u", number);
	(void)put(f, name, NULL);
}

/* A store that was closed once, so that `before` is synced, and has KEYS more since: `after`. */
struct crash {
	struct fixture f;
	struct disk before, after;
	uint64_t first; /* revision of the first of the KEYS */
};

static void crash_init(struct crash *crash)
{
	fixture_init(&crash->f);
	fixture_open(&crash->f);
	put_number(&crash->f, 0);
	store_free(SL_TAKE(crash->f.store));
	crash->before = read_disk(crash->f.path);
	fixture_open(&crash->f);
	crash->first = stats(&crash->f).revision + 1;
	for (unsigned i = 0; i < KEYS; i++) {
		put_number(&crash->f, 1 + i);
	}
	crash->after = read_disk(crash->f.path);
	store_free(SL_TAKE(crash->f.store));
}

static void crash_fini(struct crash *crash)
{
	fixture_fini(&crash->f);
	disk_fini(&crash->before);
	disk_fini(&crash->after);
}

/* Opens what the disk holds. Returns its revision; all up to that is there. */
static uint64_t open_disk(struct fixture *f, const struct disk *disk)
{
	write_disk(f->path, disk);
	fixture_open(f);
	uint64_t revision = stats(f).revision;
	assert_int_equal(count_log(f), revision);
	store_free(SL_TAKE(f->store));
	assert_false(journal_is_left(f->path));
	return revision;
}

static void test_what_no_sync_reached_is_brought_in(void **state)
{
	(void)state;
	struct crash crash;
	crash_init(&crash);
	struct disk disk = crash.after;
	disk.data = crash.before.data;
	assert_int_equal(open_disk(&crash.f, &disk), crash.first + KEYS - 1);
	crash_fini(&crash);
}

static void test_any_part_of_the_pages_may_be_there(void **state)
{
	(void)state;
	struct crash crash;
	crash_init(&crash);
	struct sl_buf mixed = {.data = NULL};
	for (unsigned seed = 0; seed < 30; seed++) {
		struct disk disk = crash.after;
		srand(seed);
		sl_buf_clear(&mixed);
		sl_buf_append(&mixed, crash.after.data.data, crash.after.data.size);
		for (size_t at = 0; at < crash.before.data.size; at += PAGE) {
			if (rand() % 2 == 0) {
				memcpy(mixed.data + at, crash.before.data.data + at, PAGE);
			}
		}
		disk.data = mixed;
		assert_int_equal(open_disk(&crash.f, &disk), crash.first + KEYS - 1);
	}
	sl_buf_fini(&mixed);
	crash_fini(&crash);
}

/* What the last writes left is cut, or torn: whole records count, in order, and nothing else. */
static void test_a_record_that_is_not_whole_never_was(void **state)
{
	(void)state;
	struct crash crash;
	crash_init(&crash);
	uint64_t last = crash.first - 1;
	for (size_t size = 0; size < crash.after.journals[0].size; size += 9500) {
		DISK(cut, {.journals = {{.data = NULL}}});
		struct disk disk = {.data = crash.before.data};
		sl_buf_append(&cut.journals[0], crash.after.journals[0].data, size);
		while (size % 3 == 0 && cut.journals[0].size < crash.after.journals[0].size) {
			sl_buf_append(&cut.journals[0], "old bytes", 9);
		}
		disk.journals[0] = cut.journals[0];
		uint64_t revision = open_disk(&crash.f, &disk);
		assert_in_range(revision, last, last + 1);
		last = revision;
		if (revision == crash.first + KEYS - 1) {
			break; /* zeros follow */
		}
	}
	assert_int_equal(last, crash.first + KEYS - 1);
	crash_fini(&crash);
}

static void test_a_bit_that_flipped_ends_it_there(void **state)
{
	(void)state;
	struct crash crash;
	crash_init(&crash);
	uint64_t whole = crash.first + KEYS - 1;
	for (unsigned seed = 0; seed < 25; seed++) {
		srand(seed);
		size_t used = crash.after.journals[0].size;
		while (used > 0 && crash.after.journals[0].data[used - 1] == 0) {
			used--;
		}
		uint8_t *byte = &crash.after.journals[0].data[(size_t)rand() % used];
		struct disk disk = crash.after;
		disk.data = crash.before.data;
		*byte ^= 1;
		uint64_t revision = open_disk(&crash.f, &disk);
		assert_in_range(revision, crash.first - 1, whole);
		*byte ^= 1;
	}
	crash_fini(&crash);
}

static void open_small(struct fixture *f)
{
	fixture_init(f);
	f->options.journal_bytes = SMALL_JOURNAL;
	fixture_open(f);
}

static void test_two_files_take_turns(void **state)
{
	(void)state;
	struct fixture f;
	open_small(&f);
	for (unsigned i = 0; i < FEW_TURNS; i++) {
		put_number(&f, i);
		if (i % 9 == 0) {
			struct fixture other;
			DISK(disk, read_disk(f.path));
			fixture_init(&other);
			assert_int_equal(open_disk(&other, &disk), i + 1);
			fixture_fini(&other);
		}
	}
	DISK(disk, read_disk(f.path));
	assert_in_range(disk.journals[0].size, 1, 4 << 20);
	assert_in_range(disk.journals[1].size, 1, 4 << 20);
	fixture_fini(&f);
}

/* Killed between its steps: all of it is in the data file; then the older file is empty. */
static void test_bringing_in_can_be_repeated(void **state)
{
	(void)state;
	struct fixture f;
	open_small(&f);
	for (unsigned i = 0; i < FEW_TURNS; i++) {
		put_number(&f, i);
	}
	DISK(killed, read_disk(f.path));
	uint64_t last = stats(&f).revision;
	store_free(SL_TAKE(f.store));
	unsigned opened = 0;
	for (unsigned i = 0; i < 2; i++) {
		struct disk half = killed;
		half.journals[i] = (struct sl_buf){.data = NULL};
		write_disk(f.path, &half);
		SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
		opened += journal_recover(f.path, &err) == SL_OK;
	}
	assert_int_equal(opened, 1); /* the newer one alone leads up to the data file */
	assert_int_equal(open_disk(&f, &killed), last);
	write_whole(f.path, "journal-0", sl_buf_bytes(&killed.journals[0]));
	write_whole(f.path, "journal-1", sl_buf_bytes(&killed.journals[1]));
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	assert_int_equal(journal_recover(f.path, &err), SL_DATA_LOSS); /* opened and closed since */
	fixture_fini(&f);
}

static void test_it_is_of_one_data_file(void **state)
{
	(void)state;
	struct crash crash;
	struct fixture other;
	crash_init(&crash);
	fixture_init(&other);
	fixture_open(&other);
	for (unsigned i = 0; i < KEYS / 2; i++) {
		put_number(&other, 100 + i);
	}
	store_free(SL_TAKE(other.store));
	struct disk disk = crash.after;
	DISK(others, read_disk(other.path));
	disk.data = others.data;
	write_disk(other.path, &disk);
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	assert_int_equal(store_open(&other.options, &other.store, &err), SL_DATA_LOSS);
	assert_non_null(strstr(err.msg, "its journal is not of this data file"));
	assert_non_null(strstr(err.msg, other.path));
	DISK(after, read_disk(other.path));
	assert_true(sl_bytes_equal(sl_buf_bytes(&after.data), sl_buf_bytes(&others.data)));
	assert_true(journal_is_left(other.path));
	fixture_fini(&other);
	crash_fini(&crash);
}

static void test_a_journal_without_its_data_file_is_refused(void **state)
{
	(void)state;
	struct crash crash;
	crash_init(&crash);
	write_disk(crash.f.path, &crash.after);
	char path[256];
	(void)snprintf(path, sizeof(path), "%s/data.mdb", crash.f.path);
	assert_int_equal(unlink(path), 0);
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	assert_int_equal(store_open(&crash.f.options, &crash.f.store, &err), SL_DATA_LOSS);
	assert_non_null(strstr(err.msg, "its data file does not open"));
	crash_fini(&crash);
}

static void test_who_only_reads_brings_it_in_first(void **state)
{
	(void)state;
	struct crash crash;
	crash_init(&crash);
	struct disk disk = crash.after;
	disk.data = crash.before.data;
	write_disk(crash.f.path, &disk);
	crash.f.options.read_only = true;
	fixture_open(&crash.f);
	assert_int_equal(stats(&crash.f).revision, crash.first + KEYS - 1);
	crash_fini(&crash);
}

static void test_closing_leaves_nothing_in_it(void **state)
{
	struct fixture *f = *state;
	for (unsigned i = 0; i < KEYS; i++) {
		put_number(f, i);
	}
	assert_true(journal_is_left(f->path));
	store_free(SL_TAKE(f->store));
	assert_false(journal_is_left(f->path));
	struct fixture other;
	fixture_init(&other);
	DISK(disk, read_disk(f->path));
	write_whole(other.path, "data.mdb", sl_buf_bytes(&disk.data));
	fixture_open(&other);
	assert_int_equal(stats(&other).revision, KEYS);
	fixture_fini(&other);
}

/* What does not fit the map is given up in the middle, and what comes next is whole. */
static void test_a_transaction_that_was_given_up_leaves_nothing(void **state)
{
	(void)state;
	struct fixture f;
	open_small(&f);
	for (unsigned i = 0; i < 4; i++) {
		struct write large = {.put = "large", .value_bytes = 3 << 20};
		struct write too_large = {.put = "more", .value_bytes = 15 << 20};
		assert_int_equal(write_run(&f, &large), SL_OK);
		assert_int_equal(write_run(&f, &too_large), SL_RESOURCE_EXHAUSTED);
		write_clear(&large);
		write_clear(&too_large);
		put_number(&f, i);
	}
	uint64_t revision = stats(&f).revision;
	DISK(disk, read_disk(f.path));
	struct fixture other;
	fixture_init(&other);
	assert_int_equal(open_disk(&other, &disk), revision);
	fixture_fini(&other);
	fixture_fini(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_what_no_sync_reached_is_brought_in),
	    cmocka_unit_test(test_any_part_of_the_pages_may_be_there),
	    cmocka_unit_test(test_a_record_that_is_not_whole_never_was),
	    cmocka_unit_test(test_a_bit_that_flipped_ends_it_there),
	    cmocka_unit_test(test_two_files_take_turns),
	    cmocka_unit_test(test_bringing_in_can_be_repeated),
	    cmocka_unit_test(test_it_is_of_one_data_file),
	    cmocka_unit_test(test_a_journal_without_its_data_file_is_refused),
	    cmocka_unit_test(test_who_only_reads_brings_it_in_first),
	    cmocka_unit_test_setup_teardown(test_closing_leaves_nothing_in_it, fixture_setup,
					    fixture_teardown),
	    cmocka_unit_test(test_a_transaction_that_was_given_up_leaves_nothing),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
