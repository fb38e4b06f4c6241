/* VERIFY: every way in which a folder on disk can differ from the bundle that was written there.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem/own.h"
#include "tests/unit/base/git/fixture.h"

static struct git_job job_of(const struct fixture *f, enum git_op op)
{
	struct git_job job = fixture_job(f, op);
	job.url = "";
	job.commit = f->first;
	job.staging = f->staging;
	return job;
}

static int setup(void **state)
{
	int rc = fixture_setup(state);
	struct fixture *f = *state;
	struct git_job job = fixture_job(f, GIT_RESOLVE);
	fixture_expect(f, &job, GIT_OK);
	assert_int_equal(mkdir(f->staging, 0755), 0);
	job = job_of(f, GIT_CHECKOUT);
	fixture_expect(f, &job, GIT_OK);
	return rc;
}

static void path_of(const struct fixture *f, const char *name, char out[static 1000])
{
	(void)snprintf(out, 1000, "%s/%s", f->staging, name);
}

/* What was written is view-only: whoever changes it opens it up first. */
static void open_up(const struct fixture *f)
{
	static const char *const names[] = {".", "a", "index.html"};
	char path[1000];
	for (size_t i = 0; i < SL_COUNT(names); i++) {
		path_of(f, names[i], path);
		assert_int_equal(chmod(path, 0755), 0);
	}
}

static void close_up(const struct fixture *f)
{
	char path[1000];
	struct stat st;
	path_of(f, "index.html", path);
	if (lstat(path, &st) == 0 && S_ISREG(st.st_mode)) {
		assert_int_equal(chmod(path, 0444), 0);
	}
	path_of(f, "a", path);
	if (lstat(path, &st) == 0 && S_ISDIR(st.st_mode)) {
		assert_int_equal(chmod(path, 0555), 0);
	}
	assert_int_equal(chmod(f->staging, 0555), 0);
}

/* "M index.html, A new": as the worker says it, in its order. */
static const char *found(struct fixture *f)
{
	static char text[2000];
	struct git_job job = job_of(f, GIT_VERIFY);
	fixture_expect(f, &job, GIT_OK);
	text[0] = '\0';
	for (size_t i = 0; i < f->result.diff_count; i++) {
		size_t at = strlen(text);
		(void)snprintf(text + at, sizeof(text) - at, "%s%c %s", i == 0 ? "" : ", ",
			       f->result.diff[i].change, f->result.diff[i].path);
	}
	return text;
}

static void test_git_verify_finds_nothing_in_what_was_written(void **state)
{
	struct fixture *f = *state;
	struct git_job job = fixture_job(f, GIT_INSPECT);
	uint8_t digest[SL_HASH_BYTES];
	job.url = "";
	job.commit = f->first;
	fixture_expect(f, &job, GIT_OK);
	memcpy(digest, f->result.digest, sizeof(digest));
	assert_string_equal(found(f), "");
	assert_int_equal(f->result.files, 0);
	job = job_of(f, GIT_VERIFY);
	job.want_digest = digest;
	fixture_expect(f, &job, GIT_OK);
	digest[0] ^= 1;
	fixture_expect(f, &job, GIT_MIRROR_CORRUPT);
}

static void edit(const char *path)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	assert_true(fd >= 0 && write(fd, "<", 1) == 1 && write(fd, "H", 1) == 1);
	assert_int_equal(close(fd), 0);
}

static void grow(const char *path)
{
	int fd = open(path, O_WRONLY | O_APPEND | O_CLOEXEC);
	assert_true(fd >= 0 && write(fd, "\n", 1) == 1 && close(fd) == 0);
}

static void cut(const char *path)
{
	assert_int_equal(truncate(path, 3), 0);
}

static void drop(const char *path)
{
	assert_int_equal(unlink(path), 0);
}

static void lead_away(const char *path)
{
	drop(path);
	assert_int_equal(symlink("/etc/hostname", path), 0);
}

static void make_pipe(const char *path)
{
	drop(path);
	assert_int_equal(mkfifo(path, 0444), 0);
}

static void make_folder(const char *path)
{
	drop(path);
	assert_int_equal(mkdir(path, 0555), 0);
}

static void add(const char *path)
{
	int fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0444);
	assert_true(fd >= 0 && close(fd) == 0);
}

static void add_folder(const char *path)
{
	assert_int_equal(mkdir(path, 0555), 0);
}

static void test_git_verify_names_every_change(void **state)
{
	static const struct {
		void (*change)(const char *path);
		const char *name, *found;
	} rows[] = {
	    {edit, "index.html", "M index.html"},
	    {grow, "index.html", "M index.html"},
	    {cut, "index.html", "M index.html"},
	    {drop, "index.html", "D index.html"},
	    {lead_away, "index.html", "M index.html"},
	    {make_pipe, "index.html", "M index.html"},
	    {make_folder, "index.html", "M index.html"},
	    {add, "index.html.orig", "A index.html.orig"},
	    {add, "a/more.css", "A a/more.css"},
	    {add_folder, "more", "A more"},
	};
	struct fixture *f = *state;
	for (size_t i = 0; i < SL_COUNT(rows); i++) {
		char path[1000];
		path_of(f, rows[i].name, path);
		open_up(f);
		rows[i].change(path);
		close_up(f);
		if (strcmp(found(f), rows[i].found) != 0 || f->result.files != 1) {
			fail_msg("row %zu: %s", i, found(f));
		}
		void *fixture = f;
		assert_int_equal(fixture_teardown(&fixture), 0);
		assert_int_equal(setup(&fixture), 0);
		f = fixture;
	}
	*state = f;
}

static void test_git_verify_modes_and_the_folder_itself_count(void **state)
{
	struct fixture *f = *state;
	char path[1000], aside[1000];
	path_of(f, "index.html", path);
	assert_int_equal(chmod(path, 0644), 0);
	assert_string_equal(found(f), "M index.html");
	assert_int_equal(chmod(path, 0444), 0);
	assert_int_equal(chmod(f->staging, 0755), 0);
	assert_string_equal(found(f), "M .");
	path_of(f, "a", path);
	(void)snprintf(aside, sizeof(aside), "%s.aside", f->staging);
	assert_int_equal(chmod(path, 0755), 0);
	assert_int_equal(rename(path, aside), 0);
	assert_int_equal(symlink(aside, path), 0); /* all is there, by another way */
	assert_int_equal(chmod(f->staging, 0555), 0);
	assert_non_null(strstr(found(f), "M a"));
	assert_int_equal(chmod(f->staging, 0755), 0);
	(void)snprintf(aside, sizeof(aside), "%s.root", f->staging);
	assert_int_equal(rename(f->staging, aside), 0);
	assert_string_equal(found(f), "D .");
	assert_int_equal(symlink(aside, f->staging), 0);
	assert_string_equal(found(f), "D .");
}

static void test_git_verify_tells_some_and_counts_all(void **state)
{
	struct fixture *f = *state;
	enum { MORE = GIT_VERIFY_MAX + 30 };
	open_up(f);
	for (int i = 0; i < MORE; i++) {
		char path[1000], name[20];
		(void)snprintf(name, sizeof(name), "new-%d", i);
		path_of(f, name, path);
		add(path);
	}
	close_up(f);
	(void)found(f);
	assert_int_equal(f->result.diff_count, GIT_VERIFY_MAX);
	assert_int_equal(f->result.files, MORE);
}

static void test_git_verify_without_its_commit_says_so(void **state)
{
	struct fixture *f = *state;
	struct git_job job = job_of(f, GIT_VERIFY);
	job.commit = "0123456789012345678901234567890123456789";
	fixture_expect(f, &job, GIT_COMMIT_GONE);
	job = job_of(f, GIT_VERIFY);
	job.mirror = "/nonexistent/mirror.git";
	fixture_expect(f, &job, GIT_MIRROR_CORRUPT);
}

/* Its files are not there, and what is there is not of it. */
static void test_git_verify_takes_a_bundle_without_folders(void **state)
{
	struct fixture *f = *state;
	struct git_job job = job_of(f, GIT_VERIFY);
	job.path = "apps/shop/a";
	fixture_expect(f, &job, GIT_OK);
	assert_true(f->result.files > 0);
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, setup, fixture_teardown)

int main(int argc, char **argv)
{
	int status = 0;
	if (fixture_is_worker(argc, argv, &status)) {
		return status;
	}
	const struct CMUnitTest tests[] = {
	    TEST(test_git_verify_finds_nothing_in_what_was_written),
	    TEST(test_git_verify_names_every_change),
	    TEST(test_git_verify_modes_and_the_folder_itself_count),
	    TEST(test_git_verify_tells_some_and_counts_all),
	    TEST(test_git_verify_takes_a_bundle_without_folders),
	    TEST(test_git_verify_without_its_commit_says_so),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
