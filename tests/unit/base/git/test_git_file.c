/* RESOLVE, INSPECT, FETCH, CHECKOUT, PUBLISH, DIFF and LS over file://. */
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
#include "base/git/git.h"
#include "base/mem/own.h"
#include "tests/lib/gitrepo.h"
#include "tests/lib/tmpdir.h"

struct fixture {
	char *dir; /* owned */
	struct gitrepo repo;
	char url[500], mirror[500], staging[500];
	char first[GIT_OID_TEXT], second[GIT_OID_TEXT];
	struct git_result result;
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	f->dir = tmpdir_new();
	gitrepo_init(&f->repo, f->dir);
	(void)snprintf(f->url, sizeof(f->url), "file://%s", f->repo.bare);
	(void)snprintf(f->mirror, sizeof(f->mirror), "%s/mirror.git", f->dir);
	(void)snprintf(f->staging, sizeof(f->staging), "%s/staging", f->dir);
	gitrepo_text(&f->repo, "apps/shop/index.html", "<h1>Shop</h1>\n");
	gitrepo_text(&f->repo, "apps/shop/a/b/c.txt", "deep\n");
	gitrepo_text(&f->repo, "apps/shop/a.txt", "sorts before a/b\n");
	gitrepo_text(&f->repo, "apps/shop/sluice.json", "{\"requires\":{}}\n");
	gitrepo_text(&f->repo, "README", "not the app\n");
	gitrepo_commit(&f->repo, "First of all\n\nbody", f->first);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	git_result_fini(&f->result);
	tmpdir_free(f->dir);
	free(f);
	return 0;
}

static struct git_job job_of(const struct fixture *f, enum git_op op)
{
	return (struct git_job){ .op = op, .mirror = f->mirror, .url = f->url, .allow_local = true, .path = "apps/shop",
		                 .limits = GIT_LIMITS_DEFAULT, .deadline_ms = 60000 };
}

static enum git_failure run(struct fixture *f, const struct git_job *job)
{
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	git_result_fini(&f->result);
	if (git_run(job, NULL, NULL, &f->result, &err) != SL_OK) {
		fail_msg("%s", err.msg);
	}
	if (f->result.failure != GIT_OK) {
		print_message("%s: %s\n", git_failure_name(f->result.failure), f->result.text);
	}
	return f->result.failure;
}

static void test_git_resolve_finds_the_default_branch(void **state)
{
	struct fixture *f = *state;
	struct git_job job = job_of(f, GIT_RESOLVE);
	assert_int_equal(run(f, &job), GIT_OK);
	assert_string_equal(f->result.commit, f->first);
	assert_string_equal(f->result.ref, "refs/heads/main");
	assert_string_equal(f->result.subject, "First of all");
	assert_string_equal(f->result.author, "Ada Lovelace <ada@example.org>");
	assert_string_equal(f->result.sluice_json, "{\"requires\":{}}\n");
	assert_int_equal(f->result.files, 4);
}

static void test_git_checkout_writes_what_was_resolved(void **state)
{
	struct fixture *f = *state;
	struct git_job job = job_of(f, GIT_RESOLVE);
	assert_int_equal(run(f, &job), GIT_OK);
	uint8_t digest[SL_HASH_BYTES];
	char tree[GIT_OID_TEXT], path[600];
	memcpy(digest, f->result.digest, sizeof(digest));
	memcpy(tree, f->result.tree, sizeof(tree));
	assert_int_equal(mkdir(f->staging, 0755), 0);
	job = job_of(f, GIT_CHECKOUT);
	job.url = "";
	job.commit = f->first;
	job.staging = f->staging;
	job.want_digest = digest;
	job.want_tree = tree;
	assert_int_equal(run(f, &job), GIT_OK);
	struct stat st;
	(void)snprintf(path, sizeof(path), "%s/a/b/c.txt", f->staging);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0444);
	(void)snprintf(path, sizeof(path), "%s/a/b", f->staging);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0555);
}

static void test_git_publish_is_the_same_twice(void **state)
{
	struct fixture *f = *state;
	struct git_job job = job_of(f, GIT_RESOLVE);
	assert_int_equal(run(f, &job), GIT_OK);
	job = job_of(f, GIT_PUBLISH);
	job.commit = f->first;
	job.ref = "refs/tags/sluice/shop/v1-000000000000";
	job.message = "app_1 ver_1\n";
	job.unix_s = 1700000000;
	assert_int_equal(run(f, &job), GIT_OK);
	char commit[GIT_OID_TEXT];
	memcpy(commit, f->result.commit, sizeof(commit));
	assert_int_equal(run(f, &job), GIT_OK);
	assert_string_equal(f->result.commit, commit);
	job = job_of(f, GIT_FETCH);
	job.ref = "refs/tags/sluice/shop/v1-000000000000";
	job.commit = commit;
	job.path = "";
	char other[600];
	(void)snprintf(other, sizeof(other), "%s/other.git", f->dir);
	job.mirror = other;
	assert_int_equal(run(f, &job), GIT_OK);
	assert_string_equal(f->result.commit, commit);
}

int main(int argc, char **argv)
{
	if (argc > 1 && strcmp(argv[1], "git-worker") == 0) {
		return git_worker_main();
	}
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_git_resolve_finds_the_default_branch, setup, teardown),
		cmocka_unit_test_setup_teardown(test_git_checkout_writes_what_was_resolved, setup, teardown),
		cmocka_unit_test_setup_teardown(test_git_publish_is_the_same_twice, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
