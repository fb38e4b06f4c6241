#include <dirent.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "agent/activate/activate.h"
#include "base/crypto/crypto.h"
#include "base/mem/own.h"
#include "tests/lib/tmpdir.h"

struct fixture {
	char *dir;
	struct sl_err err;
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	assert_true(sl_crypto_init());
	f->dir = tmpdir_new();
	assert_int_equal(activate_prepare(f->dir, &f->err), SL_OK);
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

/* A staged, view-only bundle with a folder in it. */
static void stage(struct fixture *f, char path[static ACTIVATE_PATH_SIZE])
{
	char name[ACTIVATE_PATH_SIZE + 16];
	assert_int_equal(activate_stage(f->dir, path, &f->err), SL_OK);
	(void)snprintf(name, sizeof(name), "%s/css", path);
	assert_int_equal(mkdir(name, 0755), 0);
	(void)snprintf(name, sizeof(name), "%s/css/site.css", path);
	int fd = open(name, O_CREAT | O_WRONLY | O_CLOEXEC, 0444);
	assert_true(fd >= 0);
	(void)close(fd);
	(void)snprintf(name, sizeof(name), "%s/css", path);
	assert_int_equal(chmod(name, 0555), 0);
	assert_int_equal(chmod(path, 0555), 0);
}

static void place(struct fixture *f, const char *folder)
{
	char path[ACTIVATE_PATH_SIZE];
	stage(f, path);
	assert_int_equal(activate_place(f->dir, path, "shop", folder, &f->err), SL_OK);
}

static const char *current(struct fixture *f)
{
	static char folder[ACTIVATE_NAME_SIZE];
	activate_current(f->dir, "shop", folder);
	return folder;
}

static void count_name(const char *name, void *ctx)
{
	(void)name;
	(*(unsigned *)ctx)++;
}

static unsigned count(const char *dir, const char *slug)
{
	unsigned total = 0;
	activate_list(dir, slug, count_name, &total);
	return total;
}

static void test_activate_flips_there_and_back(void **state)
{
	struct fixture *f = *state;
	char path[ACTIVATE_PATH_SIZE];
	struct stat st;
	place(f, "v1-a");
	place(f, "v2-b");
	assert_true(activate_has(f->dir, "shop", "v1-a"));
	assert_false(activate_has(f->dir, "shop", "v3-c"));
	assert_false(activate_has(f->dir, "shop", ""));
	assert_string_equal(current(f), "");
	assert_int_equal(activate_flip(f->dir, "shop", "v1-a", &f->err), SL_OK);
	assert_string_equal(current(f), "v1-a");
	assert_int_equal(activate_flip(f->dir, "shop", "v2-b", &f->err), SL_OK);
	assert_string_equal(current(f), "v2-b");
	(void)snprintf(path, sizeof(path), "%s/apps/shop/current/css/site.css", f->dir);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0444);
	(void)snprintf(path, sizeof(path), "%s/apps/shop/versions/v2-b", f->dir);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0555);
	assert_int_equal(activate_flip(f->dir, "shop", "", &f->err), SL_OK);
	assert_string_equal(current(f), "");
	assert_int_equal(activate_flip(f->dir, "shop", "", &f->err), SL_OK);
	assert_int_equal(activate_flip(f->dir, "never", "", &f->err), SL_OK);
}

static void test_activate_never_replaces_a_version(void **state)
{
	struct fixture *f = *state;
	char path[ACTIVATE_PATH_SIZE];
	place(f, "v1-a");
	stage(f, path);
	assert_int_equal(activate_place(f->dir, path, "shop", "v1-a", &f->err), SL_ALREADY_EXISTS);
	assert_int_equal(activate_discard(f->dir, "shop", "v1-a", &f->err), SL_OK);
	assert_int_equal(activate_place(f->dir, path, "shop", "v1-a", &f->err), SL_OK);
}

/* A link is only believed when it points at a folder below versions/. */
static void test_activate_strange_links_are_none(void **state)
{
	static const char *const targets[] = {
	    "/etc",
	    "versions/../../..",
	    "versions/.hidden",
	    "versions/gone",
	    "versions/",
	    "versions/file",
	    ("versions/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	     "aaaaaaaaaaaaaaaaaaa"),
	};
	struct fixture *f = *state;
	char link[ACTIVATE_PATH_SIZE], file[ACTIVATE_PATH_SIZE];
	assert_int_equal(activate_prepare_app(f->dir, "shop", &f->err), SL_OK);
	(void)snprintf(link, sizeof(link), "%s/apps/shop/current", f->dir);
	(void)snprintf(file, sizeof(file), "%s/apps/shop/versions/file", f->dir);
	int fd = open(file, O_CREAT | O_WRONLY | O_CLOEXEC, 0644);
	assert_true(fd >= 0);
	(void)close(fd);
	for (size_t i = 0; i < SL_COUNT(targets); i++) {
		assert_int_equal(symlink(targets[i], link), 0);
		assert_string_equal(current(f), "");
		assert_int_equal(unlink(link), 0);
	}
	place(f, "v1-a"); /* what a crash left in the way */
	char aside[ACTIVATE_PATH_SIZE];
	(void)snprintf(aside, sizeof(aside), "%s/apps/shop/current.new", f->dir);
	assert_int_equal(symlink("versions/gone", aside), 0);
	assert_int_equal(activate_flip(f->dir, "shop", "v1-a", &f->err), SL_OK);
	assert_string_equal(current(f), "v1-a");
}

static unsigned left_in_staging(const struct fixture *f)
{
	char path[ACTIVATE_PATH_SIZE];
	(void)snprintf(path, sizeof(path), "ls -A '%s/staging' | wc -l", f->dir);
	FILE *pipe = popen(path, "r");
	unsigned left = 99;
	assert_non_null(pipe);
	assert_int_equal(fscanf(pipe, "%u", &left), 1);
	(void)pclose(pipe);
	return left;
}

static void test_activate_discards_and_sweeps_in_small_steps(void **state)
{
	struct fixture *f = *state;
	char keep[ACTIVATE_PATH_SIZE];
	place(f, "v1-a");
	place(f, "v2-b");
	stage(f, keep);
	assert_int_equal(activate_discard(f->dir, "shop", "v1-a", &f->err), SL_OK);
	assert_int_equal(activate_discard(f->dir, "shop", "v1-a", &f->err),
			 SL_OK); /* gone is fine */
	assert_false(activate_has(f->dir, "shop", "v1-a"));
	assert_true(activate_has(f->dir, "shop", "v2-b"));
	assert_int_equal(count(f->dir, "shop"), 1);
	assert_int_equal(count(f->dir, NULL), 1);
	assert_int_equal(left_in_staging(f), 2);
	unsigned turns = 0;
	while (!activate_sweep(f->dir, keep, 2)) {
		assert_true(++turns < 20);
	}
	assert_int_equal(left_in_staging(f), 1);
	assert_int_equal(activate_discard_app(f->dir, "shop", &f->err), SL_OK);
	assert_int_equal(activate_discard_app(f->dir, "shop", &f->err), SL_OK);
	assert_int_equal(count(f->dir, NULL), 0);
	assert_true(activate_sweep(f->dir, NULL, 1000));
	assert_int_equal(left_in_staging(f), 0);
}

/* A link in what is swept is removed, not followed. */
static void test_activate_sweep_stays_inside(void **state)
{
	struct fixture *f = *state;
	char path[ACTIVATE_PATH_SIZE], inside[ACTIVATE_PATH_SIZE + 16];
	place(f, "v1-a");
	assert_int_equal(activate_stage(f->dir, path, &f->err), SL_OK);
	(void)snprintf(inside, sizeof(inside), "%s/out", path);
	assert_int_equal(symlink("../../apps/shop", inside), 0);
	assert_true(activate_sweep(f->dir, NULL, 1000));
	assert_true(activate_has(f->dir, "shop", "v1-a"));
	assert_int_equal(left_in_staging(f), 0);
}

static void test_activate_mirrors_and_room(void **state)
{
	struct fixture *f = *state;
	char path[ACTIVATE_PATH_SIZE];
	uint64_t room = 0;
	activate_mirror_path(f->dir, "rep_x", path);
	assert_int_equal(mkdir(path, 0755), 0);
	assert_int_equal(activate_discard_mirror(f->dir, "rep_x", &f->err), SL_OK);
	assert_int_not_equal(access(path, F_OK), 0);
	assert_int_equal(activate_free_bytes(f->dir, &room, &f->err), SL_OK);
	assert_true(room > 0);
	assert_int_equal(activate_free_bytes("/no/such/folder", &room, &f->err), SL_INTERNAL);
	assert_int_equal(activate_prepare("/no/such/folder", &f->err), SL_INTERNAL);
}

static void write_in(const struct fixture *f, const char *folder, const char *text)
{
	char path[ACTIVATE_PATH_SIZE + 16];
	(void)snprintf(path, sizeof(path), "%s/%s/note", f->dir, folder);
	int fd = open(path, O_CREAT | O_WRONLY | O_TRUNC | O_CLOEXEC, 0644);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	(void)close(fd);
}

static void expect_in(const struct fixture *f, const char *folder, const char *want)
{
	char path[ACTIVATE_PATH_SIZE + 16], text[64] = "";
	(void)snprintf(path, sizeof(path), "%s/%s/note", f->dir, folder);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_true(read(fd, text, sizeof(text) - 1) >= 0);
	(void)close(fd);
	assert_string_equal(text, want);
}

static void place_work(struct fixture *f, const char *text)
{
	char path[ACTIVATE_PATH_SIZE];
	assert_int_equal(activate_stage(f->dir, path, &f->err), SL_OK);
	assert_int_equal(activate_place_work(f->dir, path, "shop", &f->err), SL_OK);
	write_in(f, "apps/shop/work", text);
}

static void test_activate_keeps_the_working_copy_before(void **state)
{
	struct fixture *f = *state;
	assert_false(activate_has_work(f->dir, "shop"));
	assert_int_equal(activate_set_work_aside(f->dir, "shop", &f->err),
			 SL_OK); /* there is none */
	place_work(f, "one");
	assert_true(activate_has_work(f->dir, "shop"));
	place_work(f, "two");
	expect_in(f, "apps/shop/work", "two");
	expect_in(f, "apps/shop/work.before", "one");
	assert_int_equal(activate_set_work_aside(f->dir, "shop", &f->err), SL_OK);
	assert_false(activate_has_work(f->dir, "shop"));
	expect_in(f, "apps/shop/work.before", "two");
}

static void test_activate_saves_the_working_copy_of_an_app_that_goes(void **state)
{
	struct fixture *f = *state;
	char path[ACTIVATE_PATH_SIZE];
	unsigned names = 0;
	assert_int_equal(activate_save_work(f->dir, "shop", &f->err), SL_OK); /* there is none */
	place_work(f, "one");
	assert_int_equal(activate_save_work(f->dir, "shop", &f->err), SL_OK);
	assert_int_equal(activate_discard_app(f->dir, "shop", &f->err), SL_OK);
	(void)snprintf(path, sizeof(path), "%s/saved", f->dir);
	DIR *dir = opendir(path);
	assert_non_null(dir);
	for (const struct dirent *entry = readdir(dir); entry != NULL; entry = readdir(dir)) {
		if (entry->d_name[0] != '.') {
			(void)snprintf(path, sizeof(path), "saved/%s", entry->d_name);
			assert_memory_equal(entry->d_name, "shop-", 5);
			names++;
		}
	}
	(void)closedir(dir);
	assert_int_equal(names, 1);
	expect_in(f, path, "one");
}

static bool has_css(struct fixture *f, const char *folder)
{
	char path[ACTIVATE_PATH_SIZE], css[ACTIVATE_PATH_SIZE + 16];
	struct stat st;
	activate_folder_path(f->dir, "shop", folder, path);
	(void)snprintf(css, sizeof(css), "%s/css/site.css", path);
	return lstat(path, &st) == 0 && S_ISDIR(st.st_mode) && (st.st_mode & 07777) == 0555 &&
	       access(css, F_OK) == 0;
}

static void replace(struct fixture *f)
{
	char staged[ACTIVATE_PATH_SIZE];
	stage(f, staged);
	assert_int_equal(activate_replace(f->dir, staged, "shop", "v1", &f->err), SL_OK);
	assert_true(has_css(f, "v1"));
	assert_string_equal(current(f), "v1");
	assert_true(activate_sweep(f->dir, NULL, 1000)); /* what was there is swept */
}

/* Whatever somebody has made of a version, the link to it leads to a whole one afterwards.
 */
static void test_activate_replaces_what_is_there(void **state)
{
	struct fixture *f = *state;
	char path[ACTIVATE_PATH_SIZE], aside[ACTIVATE_PATH_SIZE + 16];
	place(f, "v1");
	assert_int_equal(activate_flip(f->dir, "shop", "v1", &f->err), SL_OK);
	activate_folder_path(f->dir, "shop", "v1", path);
	(void)snprintf(aside, sizeof(aside), "%s/aside", f->dir);
	replace(f);
	assert_int_equal(chmod(path, 0755), 0);
	assert_int_equal(rename(path, aside), 0); /* gone */
	replace(f);
	assert_int_equal(chmod(path, 0755), 0);
	(void)snprintf(aside, sizeof(aside), "%s/aside-2", f->dir);
	assert_int_equal(rename(path, aside), 0);
	assert_int_equal(symlink(aside, path), 0); /* leads elsewhere, which stays */
	replace(f);
	assert_int_equal(access(aside, F_OK), 0);
	(void)snprintf(aside, sizeof(aside), "%s/aside-3", f->dir);
	assert_int_equal(chmod(path, 0755), 0);
	assert_int_equal(rename(path, aside), 0);
	int fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0644); /* a file */
	assert_true(fd >= 0 && close(fd) == 0);
	replace(f);
}

static void test_activate_knows_its_own_link(void **state)
{
	struct fixture *f = *state;
	char link[ACTIVATE_PATH_SIZE];
	place(f, "v1");
	assert_false(activate_link_is(f->dir, "shop", "v1"));
	assert_int_equal(activate_flip(f->dir, "shop", "v1", &f->err), SL_OK);
	assert_true(activate_link_is(f->dir, "shop", "v1"));
	assert_false(activate_link_is(f->dir, "shop", "v10"));
	(void)snprintf(link, sizeof(link), "%s/apps/shop/current", f->dir);
	assert_int_equal(unlink(link), 0);
	assert_int_equal(symlink("versions/v1/", link), 0);
	assert_false(activate_link_is(f->dir, "shop", "v1"));
}

/* --- config -------------------------------------------------------------------------------- */

/* A set of the version in which all files say `text`. */
static void configure(struct fixture *f, const char *folder, const char *text)
{
	char set[ACTIVATE_PATH_SIZE];
	struct sl_bytes data = sl_bytes_text(text);
	assert_int_equal(activate_config_begin(f->dir, "shop", folder, set, &f->err), SL_OK);
	assert_int_equal(activate_config_write(set, "env", data, &f->err), SL_OK);
	assert_int_equal(activate_config_write(set, "a/b/c.json", data, &f->err), SL_OK);
	assert_int_equal(activate_config_write(set, "a/b.json", data, &f->err), SL_OK);
	assert_int_equal(activate_config_place(f->dir, "shop", folder, set, &f->err), SL_OK);
}

static bool is(struct fixture *f, const char *folder, const char *path, const char *text)
{
	return activate_config_is(f->dir, "shop", folder, path, sl_bytes_text(text));
}

/* Entries of configs/, two for each version. */
static unsigned configs(struct fixture *f)
{
	char path[ACTIVATE_PATH_SIZE];
	unsigned count = 0;
	(void)snprintf(path, sizeof(path), "%s/apps/shop/configs", f->dir);
	DIR *dir = opendir(path);
	for (const struct dirent *entry = dir != NULL ? readdir(dir) : NULL; entry != NULL;
	     entry = readdir(dir)) {
		count += strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
	}
	if (dir != NULL) {
		(void)closedir(dir);
	}
	return count;
}

static bool is_v1(const char *folder, void *ctx)
{
	(void)ctx;
	return strcmp(folder, "v1-a") == 0;
}

static void test_activate_config_is_one_set(void **state)
{
	struct fixture *f = *state;
	char path[ACTIVATE_PATH_SIZE];
	struct stat st;
	assert_false(activate_config_has(f->dir, "shop", "v1-a"));
	assert_false(is(f, "v1-a", "env", ""));
	configure(f, "v1-a", "one");
	assert_true(activate_config_has(f->dir, "shop", "v1-a"));
	assert_false(activate_config_has(f->dir, "shop", "v1"));
	assert_false(activate_config_has(f->dir, "shop", ""));
	assert_true(is(f, "v1-a", "env", "one") && is(f, "v1-a", "a/b/c.json", "one"));
	assert_false(is(f, "v1-a", "env", "on") || is(f, "v1-a", "env", "one1"));
	assert_false(is(f, "v1-a", "env", "two") || is(f, "v1-a", "a", "one"));
	configure(f, "v1-a", "two");
	assert_true(is(f, "v1-a", "env", "two") && is(f, "v1-a", "a/b.json", "two"));
	static const char *const names[] = {"", "/configs", "/configs/v1-a/", "/configs/v1-a/a",
					    "/configs/v1-a/a/b"};
	for (size_t i = 0; i < SL_COUNT(names); i++) {
		(void)snprintf(path, sizeof(path), "%s/apps/shop%s", f->dir, names[i]);
		assert_int_equal(stat(path, &st), 0);
		assert_int_equal(st.st_mode & 07777, i == 0 ? 0755 : 0700);
	}
	(void)snprintf(path, sizeof(path), "%s/apps/shop/configs/v1-a/a/b/c.json", f->dir);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(chmod(path, 0644), 0); /* somebody opened it up */
	assert_false(is(f, "v1-a", "a/b/c.json", "two"));
}

static void test_activate_config_is_swept(void **state)
{
	struct fixture *f = *state;
	char set[ACTIVATE_PATH_SIZE];
	configure(f, "v1-a", "one");
	configure(f, "v1-a", "two");
	configure(f, "v2-b", "one");
	assert_int_equal(activate_config_begin(f->dir, "shop", "v1-a", set, &f->err), SL_OK);
	assert_int_equal(activate_config_write(set, "env", sl_bytes_text("half"), &f->err), SL_OK);
	assert_int_equal(configs(f), 6);
	activate_config_sweep(f->dir, "shop", is_v1, NULL);
	assert_int_equal(configs(f), 2);
	assert_true(is(f, "v1-a", "env", "two") && is(f, "v1-a", "a/b/c.json", "two"));
	activate_config_sweep(f->dir, "never", is_v1, NULL);
	activate_config_sweep(f->dir, "shop", NULL, NULL);
	assert_int_equal(configs(f), 0);
}

/* With the version or the app, at once: nothing of it waits in staging. */
static void test_activate_config_goes_with_its_version(void **state)
{
	struct fixture *f = *state;
	place(f, "v1-a");
	place(f, "v2-b");
	configure(f, "v1-a", "one");
	configure(f, "v2-b", "two");
	assert_int_equal(activate_discard(f->dir, "shop", "v2-b", &f->err), SL_OK);
	assert_int_equal(configs(f), 2);
	assert_true(is(f, "v1-a", "env", "one"));
	assert_int_equal(activate_discard_app(f->dir, "shop", &f->err), SL_OK);
	char path[ACTIVATE_PATH_SIZE];
	(void)snprintf(path, sizeof(path), "grep -r one '%s/staging'", f->dir);
	assert_int_not_equal(system(path), 0);
}

/* What a link that is not ours leads to is neither read nor removed. */
static void test_activate_config_strange_links(void **state)
{
	struct fixture *f = *state;
	char link[ACTIVATE_PATH_SIZE], kept[ACTIVATE_PATH_SIZE];
	configure(f, "v1-a", "one");
	(void)snprintf(kept, sizeof(kept), "%s/kept", f->dir);
	assert_int_equal(mkdir(kept, 0700), 0);
	(void)snprintf(link, sizeof(link), "%s/apps/shop/configs/v2-b", f->dir);
	static const char *const targets[] = {"../../../kept", "..", ".", "/", "./.."};
	for (size_t i = 0; i < SL_COUNT(targets); i++) {
		assert_int_equal(symlink(targets[i], link), 0);
		assert_false(activate_config_has(f->dir, "shop", "v2-b"));
		activate_config_sweep(f->dir, "shop", is_v1, NULL);
		assert_int_equal(configs(f), 2);
	}
	assert_int_equal(access(kept, F_OK), 0);
	assert_true(is(f, "v1-a", "env", "one"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(test_activate_flips_there_and_back),
	    TEST(test_activate_never_replaces_a_version),
	    TEST(test_activate_strange_links_are_none),
	    TEST(test_activate_discards_and_sweeps_in_small_steps),
	    TEST(test_activate_sweep_stays_inside),
	    TEST(test_activate_mirrors_and_room),
	    TEST(test_activate_keeps_the_working_copy_before),
	    TEST(test_activate_saves_the_working_copy_of_an_app_that_goes),
	    TEST(test_activate_replaces_what_is_there),
	    TEST(test_activate_knows_its_own_link),
	    TEST(test_activate_config_is_one_set),
	    TEST(test_activate_config_is_swept),
	    TEST(test_activate_config_goes_with_its_version),
	    TEST(test_activate_config_strange_links),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
