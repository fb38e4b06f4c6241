/* Deltas: who has what was published before fetches what changed, and ends with the same commit. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/crypto/crypto.h"
#include "base/mem/own.h"
#include "tests/unit/base/git/fixture.h"

enum { FILES = 20, FILE_BYTES = 32 << 10, OTHERS = 40 };

static const char tag_1[] = "refs/tags/sluice/shop/v1-0123456789ab";
static const char tag_2[] = "refs/tags/sluice/shop/v2-ba9876543210";

/* An app of 640 KiB; in the second commit one file differs. */
struct app {
	char second[GIT_OID_TEXT];
	char published[2][GIT_OID_TEXT]; /* v1, v2 */
	char delta[GIT_REF_MAX];
};

static void noise(const struct fixture *f, unsigned number)
{
	uint8_t bytes[FILE_BYTES];
	char path[64];
	sl_random(bytes, sizeof(bytes));
	(void)snprintf(path, sizeof(path), "apps/shop/data/%02u", number);
	gitrepo_write(&f->repo, path, bytes, sizeof(bytes));
}

static void publish(struct fixture *f, const char *commit, const char *tag, const char *before,
		    char *ret_published)
{
	struct git_job job = fixture_job(f, GIT_PUBLISH);
	job.commit = commit;
	job.ref = tag;
	job.other_commit = before;
	job.message = "app app_1\nversion ver_1\n";
	job.unix_s = 1700000000;
	fixture_expect(f, &job, GIT_OK);
	(void)snprintf(ret_published, GIT_OID_TEXT, "%s", f->result.commit);
}

/* As the server does it, in a mirror of its own. */
static struct app publish_both(struct fixture *f)
{
	struct app app;
	char first[GIT_OID_TEXT];
	for (unsigned i = 0; i < FILES; i++) {
		noise(f, i);
	}
	gitrepo_commit(&f->repo, "First", first);
	noise(f, 7);
	gitrepo_commit(&f->repo, "Second", app.second);
	struct git_job job = fixture_job(f, GIT_RESOLVE);
	fixture_expect(f, &job, GIT_OK);
	publish(f, first, tag_1, "", app.published[0]);
	publish(f, app.second, tag_2, app.published[0], app.published[1]);
	(void)snprintf(app.delta, sizeof(app.delta), "%s.delta-%s", tag_2, app.published[0]);
	(void)snprintf(f->mirror, sizeof(f->mirror), "%s/agent.git", f->dir);
	return app;
}

static uint64_t fetch(struct fixture *f, const char *tag, const char *commit)
{
	struct git_job job = fixture_job(f, GIT_FETCH);
	job.ref = tag;
	job.commit = commit;
	fixture_expect(f, &job, GIT_OK);
	assert_string_equal(f->result.commit, commit);
	return f->result.fetched_bytes;
}

static void assert_checks_out(struct fixture *f, const char *commit)
{
	char tree[64];
	struct git_job job = fixture_job(f, GIT_CHECKOUT);
	gitrepo_git(f->repo.work, tree, sizeof(tree), "rev-parse", "HEAD:apps/shop", NULL);
	job.commit = commit;
	job.path = "";
	job.want_tree = tree;
	job.staging = f->staging;
	assert_int_equal(mkdir(f->staging, 0755), 0);
	fixture_expect(f, &job, GIT_OK);
}

static void test_git_delta_is_the_same_commit_with_one_parent(void **state)
{
	struct fixture *f = *state;
	const struct app app = publish_both(f);
	char of_tag[64], of_delta[64], parents[100], message[2][100];
	char tree[100];
	(void)snprintf(tree, sizeof(tree), "%s^{tree}", tag_2);
	gitrepo_git(f->repo.bare, of_tag, sizeof(of_tag), "rev-parse", tree, NULL);
	char delta_tree[GIT_REF_MAX + 10];
	(void)snprintf(delta_tree, sizeof(delta_tree), "%s^{tree}", app.delta);
	gitrepo_git(f->repo.bare, of_delta, sizeof(of_delta), "rev-parse", delta_tree, NULL);
	assert_string_equal(of_tag, of_delta);
	gitrepo_git(f->repo.bare, parents, sizeof(parents), "log", "-1", "--format=%P", app.delta,
		    NULL);
	assert_string_equal(parents, app.published[0]);
	gitrepo_git(f->repo.bare, message[0], 100, "log", "-1", "--format=%B%an%ae%at", tag_2,
		    NULL);
	gitrepo_git(f->repo.bare, message[1], 100, "log", "-1", "--format=%B%an%ae%at", app.delta,
		    NULL);
	assert_string_equal(message[0], message[1]);
	gitrepo_git(f->repo.bare, parents, sizeof(parents), "log", "-1", "--format=%P", tag_2,
		    NULL);
	assert_string_equal(parents, "");
}

static void test_git_delta_brings_only_what_changed(void **state)
{
	struct fixture *f = *state;
	const struct app app = publish_both(f);
	uint64_t first = fetch(f, tag_1, app.published[0]);
	uint64_t second = fetch(f, tag_2, app.published[1]);
	assert_true(first > (uint64_t)FILES * FILE_BYTES);
	assert_true(second > FILE_BYTES && second < 2 * FILE_BYTES);
	assert_checks_out(f, app.published[1]);
}

/* Of a mirror with many commits libgit2 tells the host the newest few. */
static void test_git_delta_does_not_mind_a_mirror_full_of_others(void **state)
{
	struct fixture *f = *state;
	const struct app app = publish_both(f);
	(void)fetch(f, tag_1, app.published[0]);
	gitrepo_others(&f->repo, OTHERS);
	struct git_job job = fixture_job(f, GIT_FETCH);
	job.ref = "refs/heads/others";
	fixture_expect(f, &job, GIT_OK);
	assert_true(fetch(f, tag_2, app.published[1]) < 2 * FILE_BYTES);
	assert_checks_out(f, app.published[1]);
}

static void test_git_delta_is_of_no_use_without_what_it_is_on_top_of(void **state)
{
	struct fixture *f = *state;
	const struct app app = publish_both(f);
	uint64_t all = fetch(f, tag_2, app.published[1]);
	assert_true(all > (uint64_t)FILES * FILE_BYTES &&
		    all < (uint64_t)(FILES + 1) * FILE_BYTES); /* and not v1, too */
	assert_checks_out(f, app.published[1]);
}

/* Somebody put another commit there, or something that is none. */
static void test_git_delta_that_leads_elsewhere_is_not_followed(void **state)
{
	struct fixture *f = *state;
	const struct app app = publish_both(f);
	char blob[64];
	gitrepo_git(f->repo.bare, blob, sizeof(blob), "rev-parse", "main:README", NULL);
	const char *const others[] = {"refs/heads/main", blob, app.published[0]};
	for (size_t i = 0; i < SL_COUNT(others); i++) {
		(void)snprintf(f->mirror, sizeof(f->mirror), "%s/agent-%zu.git", f->dir, i);
		(void)fetch(f, tag_1, app.published[0]);
		gitrepo_git(f->repo.bare, NULL, 0, "update-ref", app.delta, others[i], NULL);
		(void)fetch(f, tag_2, app.published[1]);
	}
	assert_checks_out(f, app.published[1]);
}

static void test_git_delta_that_the_host_refuses_hinders_nothing(void **state)
{
	struct fixture *f = *state;
	fixture_hook(f, "update", "#!/bin/sh\ncase \"$1\" in *.delta-*) exit 1 ;; esac\n");
	char published[2][GIT_OID_TEXT], refs[300];
	struct git_job job = fixture_job(f, GIT_RESOLVE);
	fixture_expect(f, &job, GIT_OK);
	publish(f, f->first, tag_1, "", published[0]);
	gitrepo_text(&f->repo, "apps/shop/index.html", "<h1>Other</h1>\n");
	char second[GIT_OID_TEXT];
	gitrepo_commit(&f->repo, "Second", second);
	fixture_expect(f, &job, GIT_OK);
	job = fixture_job(f, GIT_PUBLISH);
	job.commit = second;
	job.ref = tag_2;
	job.other_commit = published[0];
	job.message = "words\n";
	assert_int_equal(fixture_run(f, &job), GIT_OK);
	assert_non_null(strstr(f->result.text, ".delta-")); /* why there is none */
	gitrepo_git(f->repo.bare, refs, sizeof(refs), "for-each-ref", "--format=%(refname)",
		    "refs/tags", NULL);
	assert_non_null(strstr(refs, tag_2));
	assert_null(strstr(refs, ".delta-"));
	/* Once the host takes it, a retry brings it. */
	fixture_hook(f, "update", "#!/bin/sh\nexit 0\n");
	fixture_expect(f, &job, GIT_OK);
	gitrepo_git(f->repo.bare, refs, sizeof(refs), "for-each-ref", "--format=%(refname)",
		    "refs/tags", NULL);
	assert_non_null(strstr(refs, ".delta-"));
}

int main(int argc, char **argv)
{
	int status = 0;
	if (fixture_is_worker(argc, argv, &status)) {
		return status;
	}
	const struct CMUnitTest tests[] = {
	    OVER_ALL(test_git_delta_is_the_same_commit_with_one_parent),
	    /* libgit2 copies all that a folder's ref leads to. */
	    OVER(fixture_setup_git, test_git_delta_brings_only_what_changed),
	    OVER(fixture_setup_http, test_git_delta_brings_only_what_changed),
	    OVER(fixture_setup_git, test_git_delta_does_not_mind_a_mirror_full_of_others),
	    OVER(fixture_setup_http, test_git_delta_does_not_mind_a_mirror_full_of_others),
	    OVER(fixture_setup_git, test_git_delta_is_of_no_use_without_what_it_is_on_top_of),
	    OVER(fixture_setup_http, test_git_delta_is_of_no_use_without_what_it_is_on_top_of),
	    OVER_ALL(test_git_delta_that_leads_elsewhere_is_not_followed),
	    OVER(fixture_setup_git, test_git_delta_that_the_host_refuses_hinders_nothing),
	    OVER(fixture_setup_http, test_git_delta_that_the_host_refuses_hinders_nothing),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
