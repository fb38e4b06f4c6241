/* PUBLISH: byte-determined, never forced, and what a host may say to it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem/own.h"
#include "tests/unit/base/git/fixture.h"

static const char tag[] = "refs/tags/sluice/shop/v1-0123456789ab";

static int setup_file(void **state)
{
	int rc = fixture_setup(state);
	struct fixture *f = *state;
	struct git_job job = fixture_job(f, GIT_RESOLVE);
	fixture_expect(f, &job, GIT_OK);
	return rc;
}

static int setup_git(void **state)
{
	int rc = setup_file(state);
	fixture_serve(*state, GITSERVER_GIT);
	return rc;
}

static int setup_http(void **state)
{
	int rc = setup_file(state);
	fixture_serve(*state, GITSERVER_HTTP);
	return rc;
}

static struct git_job publish_of(const struct fixture *f, const char *commit)
{
	struct git_job job = fixture_job(f, GIT_PUBLISH);
	job.commit = commit;
	job.ref = tag;
	job.message = "Version v1 of shop\n\napp_1 ver_1\n";
	job.unix_s = 1700000000;
	return job;
}

static void second_commit(struct fixture *f, char *ret_commit)
{
	gitrepo_text(&f->repo, "apps/shop/index.html", "<h1>Other</h1>\n");
	gitrepo_commit(&f->repo, "Second", ret_commit);
	struct git_job job = fixture_job(f, GIT_RESOLVE);
	fixture_expect(f, &job, GIT_OK);
}

static void test_git_publish_makes_a_parentless_commit_of_the_folder(void **state)
{
	struct fixture *f = *state;
	struct git_job job = publish_of(f, f->first);
	fixture_expect(f, &job, GIT_OK);
	char text[1000], want[1000], tree[64];
	gitrepo_git(f->repo.bare, text, sizeof(text), "cat-file", "commit", tag, NULL);
	gitrepo_git(f->repo.work, tree, sizeof(tree), "rev-parse", "HEAD:apps/shop", NULL);
	(void)snprintf(want, sizeof(want),
		       "tree %s\nauthor sluice <sluice@localhost> 1700000000 +0000\n"
		       "committer sluice <sluice@localhost> 1700000000 +0000\n\nVersion v1 of "
		       "shop\n\napp_1 ver_1",
		       tree);
	assert_string_equal(text, want);
	char id[64];
	gitrepo_git(f->repo.bare, id, sizeof(id), "rev-parse", tag, NULL);
	assert_string_equal(f->result.commit, id);
	assert_string_equal(f->result.tree, tree);
	/* Again: the same. And from another mirror. */
	fixture_expect(f, &job, GIT_OK);
	assert_string_equal(f->result.commit, id);
	(void)snprintf(f->mirror, sizeof(f->mirror), "%s/other.git", f->dir);
	struct git_job fetch = fixture_job(f, GIT_FETCH);
	fetch.ref = "refs/heads/main";
	fixture_expect(f, &fetch, GIT_OK);
	job = publish_of(f, f->first);
	fixture_expect(f, &job, GIT_OK);
	assert_string_equal(f->result.commit, id);
	gitrepo_git(f->mirror, text, sizeof(text), "for-each-ref", "refs/sluice/outbox", NULL);
	assert_string_equal(text, "");
}

static void test_git_publish_onto_another_tree_is_tag_taken(void **state)
{
	struct fixture *f = *state;
	char second[GIT_OID_TEXT], before[64], after[64];
	struct git_job job = publish_of(f, f->first);
	fixture_expect(f, &job, GIT_OK);
	second_commit(f, second);
	gitrepo_git(f->repo.bare, before, sizeof(before), "rev-parse", tag, NULL);
	job = publish_of(f, second);
	fixture_expect(f, &job, GIT_TAG_TAKEN);
	assert_true(strstr(f->result.text, tag) != NULL);
	gitrepo_git(f->repo.bare, after, sizeof(after), "rev-parse", tag, NULL);
	assert_string_equal(before, after);
}

static void test_git_publish_accepts_the_same_tree_of_somebody_else(void **state)
{
	struct fixture *f = *state;
	char tree[64], commit[64];
	gitrepo_git(f->repo.work, tree, sizeof(tree), "rev-parse", "HEAD:apps/shop", NULL);
	gitrepo_git(f->repo.bare, commit, sizeof(commit), "commit-tree", "-m", "by hand", tree,
		    NULL);
	gitrepo_git(f->repo.bare, NULL, 0, "tag", "-a", "-m", "by hand", tag + 10, commit, NULL);
	struct git_job job = publish_of(f, f->first);
	fixture_expect(f, &job, GIT_OK);
	assert_string_equal(f->result.commit, commit);
}

static void test_git_publish_onto_what_is_no_commit_is_tag_taken(void **state)
{
	struct fixture *f = *state;
	char blob[64];
	gitrepo_git(f->repo.bare, blob, sizeof(blob), "rev-parse", "main:README", NULL);
	gitrepo_git(f->repo.bare, NULL, 0, "tag", tag + 10, blob, NULL);
	struct git_job job = publish_of(f, f->first);
	fixture_expect(f, &job, GIT_TAG_TAKEN);
}

static void test_git_publish_says_what_a_hook_says(void **state)
{
	static const char *const hooks[] = {"pre-receive", "update"};
	struct fixture *f = *state;
	for (size_t i = 0; i < SL_COUNT(hooks); i++) {
		fixture_hook(f, hooks[i],
			     "#!/bin/sh\necho 'tags are made by robots only' >&2\nexit 1\n");
		struct git_job job = publish_of(f, f->first);
		fixture_expect(f, &job, GIT_REF_PROTECTED);
		assert_true(strstr(f->result.text, "tags are made by robots only") != NULL);
		assert_true(strstr(f->result.text, "declined") != NULL);
	}
	fixture_hook(f, "pre-receive", "#!/bin/sh\nexit 0\n");
	fixture_hook(f, "update", "#!/bin/sh\nexit 0\n");
	struct git_job job = publish_of(f, f->first);
	fixture_expect(f, &job, GIT_OK);
}

static void test_git_publish_to_where_nobody_may_push_is_refused(void **state)
{
	struct fixture *f = *state;
	gitrepo_git(f->repo.bare, NULL, 0, "config", "daemon.receivepack", "false", NULL);
	struct git_job job = publish_of(f, f->first);
	fixture_expect(f, &job, GIT_WRITE_REFUSED);
}

static void test_git_publish_names_what_is_missing(void **state)
{
	struct fixture *f = *state;
	struct git_job job = publish_of(f, "0123456789012345678901234567890123456789");
	fixture_expect(f, &job, GIT_COMMIT_GONE);
	job = publish_of(f, f->first);
	job.path = "none";
	fixture_expect(f, &job, GIT_PATH_NOT_FOUND);
	job = publish_of(f, f->first);
	job.want_tree = "0123456789012345678901234567890123456789";
	fixture_expect(f, &job, GIT_DIGEST_MISMATCH);
	(void)snprintf(strstr(f->url, "origin.git"), 20, "none.git");
	job = publish_of(f, f->first);
	enum git_failure got = fixture_run(f, &job);
	assert_true(got == GIT_REPOSITORY_UNREACHABLE || got == GIT_WRITE_REFUSED);
}

#define OVER_ALL_MIRRORED(test)                                                                    \
	OVER(setup_file, test), OVER(setup_git, test), OVER(setup_http, test)

int main(int argc, char **argv)
{
	int status = 0;
	if (fixture_is_worker(argc, argv, &status)) {
		return status;
	}
	const struct CMUnitTest tests[] = {
	    OVER_ALL_MIRRORED(test_git_publish_makes_a_parentless_commit_of_the_folder),
	    OVER_ALL_MIRRORED(test_git_publish_onto_another_tree_is_tag_taken),
	    OVER_ALL_MIRRORED(test_git_publish_accepts_the_same_tree_of_somebody_else),
	    OVER_ALL_MIRRORED(test_git_publish_onto_what_is_no_commit_is_tag_taken),
	    OVER_ALL_MIRRORED(test_git_publish_names_what_is_missing),
	    /* libgit2 runs no hooks when it pushes to a folder. */
	    OVER(setup_git, test_git_publish_says_what_a_hook_says),
	    OVER(setup_http, test_git_publish_says_what_a_hook_says),
	    OVER(setup_git, test_git_publish_to_where_nobody_may_push_is_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
