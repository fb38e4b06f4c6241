/* A folder of the disk: written to be worked in, compared with what Git has, and put onto a branch.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/bytes/bytes.h"
#include "base/mem/own.h"
#include "tests/unit/base/git/fixture.h"

/* The fixture's app, checked out to be worked in below f->staging; its tree in `tree`. */
static void work_in(struct fixture *f, char tree[static GIT_OID_TEXT])
{
	struct git_job job = fixture_job(f, GIT_FETCH);
	job.ref = "refs/heads/main";
	fixture_expect(f, &job, GIT_OK);
	assert_int_equal(mkdir(f->staging, 0700), 0);
	job = fixture_job(f, GIT_CHECKOUT);
	job.commit = f->first;
	job.staging = f->staging;
	job.writable = true;
	fixture_expect(f, &job, GIT_OK);
	memcpy(tree, f->result.tree, GIT_OID_TEXT);
}

static void put(const struct fixture *f, const char *name, const char *text)
{
	char path[600];
	(void)snprintf(path, sizeof(path), "%s/%s", f->staging, name);
	FILE *file = fopen(path, "we");
	assert_non_null(file);
	assert_int_equal(fputs(text, file) >= 0, 1);
	assert_int_equal(fclose(file), 0);
}

static void drop(const struct fixture *f, const char *name)
{
	char path[600];
	(void)snprintf(path, sizeof(path), "%s/%s", f->staging, name);
	assert_int_equal(unlink(path), 0);
}

static void expect_diff(struct fixture *f, const char *tree, const char *want)
{
	struct git_job job = fixture_job(f, GIT_COMPARE);
	SL_AUTO(sl_buf_fini) struct sl_buf seen = {0};
	job.want_tree = tree;
	job.folder = f->staging;
	fixture_expect(f, &job, GIT_OK);
	for (size_t i = 0; i < f->result.diff_count; i++) {
		sl_buf_printf(&seen, "%c %s\n", f->result.diff[i].change, f->result.diff[i].path);
	}
	sl_buf_append(&seen, "", 1);
	assert_string_equal((const char *)seen.data, want);
}

static struct git_job commit_folder(const struct fixture *f, const char *operation)
{
	struct git_job job = fixture_job(f, GIT_COMMIT);
	job.ref = "main";
	job.author = "ada";
	job.operation = operation;
	job.message = "Version v1 of shop : more";
	job.unix_s = 1700000000;
	job.folder = f->staging;
	job.other_commit = f->first;
	return job;
}

static void test_git_folder_can_be_worked_in_and_compared(void **state)
{
	struct fixture *f = *state;
	char tree[GIT_OID_TEXT], path[600];
	struct stat file;
	work_in(f, tree);
	(void)snprintf(path, sizeof(path), "%s/index.html", f->staging);
	assert_int_equal(stat(path, &file), 0);
	assert_int_equal(file.st_mode & 07777, 0644);
	assert_int_equal(stat(f->staging, &file), 0);
	assert_int_equal(file.st_mode & 07777, 0755);
	expect_diff(f, tree, "");
	put(f, "index.html", "another page\n");
	put(f, "new.txt", "new\n");
	drop(f, "sluice.json");
	expect_diff(f, tree, "M index.html\nA new.txt\nD sluice.json\n");
	put(f, ".gitignore", "new.txt\n"); /* nothing is left out by what it says */
	expect_diff(f, tree, "A .gitignore\nM index.html\nA new.txt\nD sluice.json\n");
}

static void test_git_folder_sees_a_mode_and_says_what_no_bundle_has(void **state)
{
	struct fixture *f = *state;
	char tree[GIT_OID_TEXT], path[600];
	work_in(f, tree);
	(void)snprintf(path, sizeof(path), "%s/index.html", f->staging);
	assert_int_equal(chmod(path, 0755), 0);
	expect_diff(f, tree, "M index.html\n");
	(void)snprintf(path, sizeof(path), "%s/link", f->staging);
	assert_int_equal(symlink("/etc/passwd", path), 0);
	struct git_job job = fixture_job(f, GIT_COMPARE);
	job.want_tree = tree;
	job.folder = f->staging;
	fixture_expect(f, &job, GIT_BUNDLE_REFUSED);
	assert_int_equal(f->result.rule, GIT_RULE_LINK);
	assert_non_null(strstr(f->result.text, "'link' is a link"));
	job = commit_folder(f, "opr_1");
	fixture_expect(f, &job, GIT_BUNDLE_REFUSED);
}

static void test_git_folder_becomes_one_commit(void **state)
{
	struct fixture *f = *state;
	char tree[GIT_OID_TEXT], text[600];
	work_in(f, tree);
	struct git_job job = commit_folder(f, "opr_1");
	fixture_expect(f, &job, GIT_OK);
	assert_true(f->result.unchanged);
	assert_string_equal(f->result.commit, f->first);
	assert_string_equal(f->result.given, tree);
	put(f, "index.html", "another page\n");
	fixture_expect(f, &job, GIT_OK);
	assert_false(f->result.unchanged);
	assert_string_equal(f->result.given, f->result.tree);
	gitrepo_git(f->repo.bare, text, sizeof(text), "show", "main:apps/shop/index.html", NULL);
	assert_string_equal(text, "another page");
	memcpy(tree, f->result.given, sizeof(tree));
	expect_diff(f, tree, "");
	fixture_expect(f, &job, GIT_OK); /* its own is found */
	gitrepo_git(f->repo.bare, text, sizeof(text), "rev-list", "--count", "main", NULL);
	assert_string_equal(text, "2");
}

static void test_git_folder_is_only_looked_for(void **state)
{
	struct fixture *f = *state;
	char tree[GIT_OID_TEXT], made[GIT_OID_TEXT];
	work_in(f, tree);
	struct git_job look = commit_folder(f, "opr_1");
	look.folder = NULL;
	look.look = true;
	fixture_expect(f, &look, GIT_COMMIT_GONE);
	put(f, "index.html", "another page\n");
	struct git_job job = commit_folder(f, "opr_1");
	fixture_expect(f, &job, GIT_OK);
	memcpy(made, f->result.commit, sizeof(made));
	fixture_expect(f, &look, GIT_OK);
	assert_string_equal(f->result.commit, made);
	assert_int_equal(f->result.files, 4);
	look.operation = "opr_2";
	fixture_expect(f, &look, GIT_COMMIT_GONE);
	look.revision = f->first; /* nothing was to be changed */
	fixture_expect(f, &look, GIT_OK);
	assert_string_equal(f->result.commit, f->first);
	assert_string_equal(f->result.tip, made);
	assert_true(f->result.unchanged);
	look.revision = "0123456789012345678901234567890123456789";
	fixture_expect(f, &look, GIT_COMMIT_GONE);
}

int main(int argc, char **argv)
{
	int status = 0;
	if (fixture_is_worker(argc, argv, &status)) {
		return status;
	}
	const struct CMUnitTest tests[] = {
	    OVER(fixture_setup, test_git_folder_can_be_worked_in_and_compared),
	    OVER(fixture_setup, test_git_folder_sees_a_mode_and_says_what_no_bundle_has),
	    OVER_ALL(test_git_folder_becomes_one_commit),
	    OVER(fixture_setup_git, test_git_folder_is_only_looked_for),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
