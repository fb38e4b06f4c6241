/* The cheap look: every way of touching a folder changes its print, and looking does not. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>

#include <cmocka.h>

#include "agent/drift/drift.h"
#include "base/crypto/crypto.h"
#include "base/mem/own.h"
#include "tests/lib/tmpdir.h"

struct fixture {
	char *dir;
	struct sl_err err;
	uint8_t before[DRIFT_PRINT_BYTES];
};

static void path_of(const struct fixture *f, const char *name, char out[static 1000])
{
	(void)snprintf(out, 1000, "%s/shop/%s", f->dir, name);
}

static void put(const struct fixture *f, const char *name, const char *text)
{
	char path[1000];
	path_of(f, name, path);
	int fd = open(path, O_CREAT | O_WRONLY | O_TRUNC | O_CLOEXEC, 0644);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	assert_int_equal(close(fd), 0);
}

static void make(const struct fixture *f, const char *name)
{
	char path[1000];
	path_of(f, name, path);
	assert_int_equal(mkdir(path, 0755), 0);
}

static void print_of(struct fixture *f, unsigned budget, uint8_t print[static DRIFT_PRINT_BYTES])
{
	char path[1000];
	struct drift_scan *scan = NULL;
	path_of(f, "", path);
	path[strlen(path) - 1] = '\0';
	assert_int_equal(drift_scan_new(path, &scan, &f->err), SL_OK);
	while (!drift_scan_step(scan, budget, print)) {
	}
	drift_scan_free(scan);
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	assert_true(sl_crypto_init());
	f->dir = tmpdir_new();
	make(f, "");
	make(f, "css");
	make(f, "css/deep");
	put(f, "index.html", "one\n");
	put(f, "css/a.css", "a\n");
	put(f, "css/deep/b.css", "b\n");
	print_of(f, 1000, f->before);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	sl_err_clear(&f->err);
	tmpdir_free(f->dir);
	free(f);
	return 0;
}

static void test_drift_looking_changes_nothing(void **state)
{
	struct fixture *f = *state;
	uint8_t print[DRIFT_PRINT_BYTES];
	for (unsigned budget = 1; budget < 5; budget++) {
		print_of(f, budget, print);
		assert_memory_equal(print, f->before, DRIFT_PRINT_BYTES);
	}
}

static void write_over(const char *path)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	assert_true(fd >= 0 && write(fd, "two\n", 4) == 4 && close(fd) == 0);
}

/* Same size, and the time of its content set back. */
static void write_and_hide(const char *path)
{
	struct stat st;
	assert_int_equal(stat(path, &st), 0);
	write_over(path);
	const struct timespec times[] = {st.st_atim, st.st_mtim};
	assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
}

static void remove_it(const char *path)
{
	assert_int_equal(unlink(path), 0);
}

static void change_mode(const char *path)
{
	assert_int_equal(chmod(path, 0600), 0);
}

static void make_link(const char *path)
{
	remove_it(path);
	assert_int_equal(symlink("/etc/hostname", path), 0);
}

static void replace(const char *path)
{
	remove_it(path);
	int fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0644);
	assert_true(fd >= 0 && write(fd, "one\n", 4) == 4 && close(fd) == 0);
}

static void add_beside(const char *path)
{
	char name[1100];
	(void)snprintf(name, sizeof(name), "%s.orig", path);
	int fd = open(name, O_CREAT | O_WRONLY | O_CLOEXEC, 0644);
	assert_true(fd >= 0 && close(fd) == 0);
}

static void test_drift_every_touch_shows(void **state)
{
	static const struct {
		void (*touch)(const char *path);
		const char *name;
	} rows[] = {
	    {write_over, "index.html"}, {write_and_hide, "index.html"},
	    {remove_it, "css/a.css"},   {change_mode, "css/deep/b.css"},
	    {change_mode, "css/deep"},  {make_link, "index.html"},
	    {replace, "index.html"},    {add_beside, "css/deep/b.css"},
	};
	for (size_t i = 0; i < SL_COUNT(rows); i++) {
		struct fixture *f = *state;
		uint8_t print[DRIFT_PRINT_BYTES];
		char path[1000];
		path_of(f, rows[i].name, path);
		(void)usleep(20000); /* clocks of file systems tick slowly */
		rows[i].touch(path);
		print_of(f, 1000, print);
		if (memcmp(print, f->before, DRIFT_PRINT_BYTES) == 0) {
			fail_msg("row %zu does not show", i);
		}
		(void)teardown(state);
		assert_int_equal(setup(state), 0);
	}
}

static void test_drift_what_is_gone_or_no_folder_has_no_print(void **state)
{
	struct fixture *f = *state;
	static const uint8_t none[DRIFT_PRINT_BYTES];
	uint8_t print[DRIFT_PRINT_BYTES];
	char path[1000], aside[1100];
	path_of(f, "", path);
	path[strlen(path) - 1] = '\0';
	(void)snprintf(aside, sizeof(aside), "%s.aside", path);
	assert_int_equal(rename(path, aside), 0);
	print_of(f, 1000, print);
	assert_memory_equal(print, none, DRIFT_PRINT_BYTES);
	assert_int_equal(symlink(aside, path), 0);
	print_of(f, 1000, print);
	assert_memory_equal(print, none, DRIFT_PRINT_BYTES);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(test_drift_looking_changes_nothing),
	    TEST(test_drift_every_touch_shows),
	    TEST(test_drift_what_is_gone_or_no_folder_has_no_print),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
