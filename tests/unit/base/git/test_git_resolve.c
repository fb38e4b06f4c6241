/* RESOLVE, FETCH and LS over every transport that needs no key: file, git, smart HTTP. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/mem/own.h"
#include "tests/unit/base/git/fixture.h"

static enum git_failure resolve(struct fixture *f, const char *revision, const char *ref)
{
	struct git_job job = fixture_job(f, GIT_RESOLVE);
	job.revision = revision;
	job.ref = ref;
	return fixture_run(f, &job);
}

static void test_git_resolve_takes_branch_tag_and_commit(void **state)
{
	struct fixture *f = *state;
	char second[GIT_OID_TEXT];
	gitrepo_git(f->repo.work, NULL, 0, "tag", "-a", "-m", "annotated", "t1", NULL);
	gitrepo_git(f->repo.work, NULL, 0, "push", "-q", "origin", "t1", NULL);
	gitrepo_git(f->repo.work, NULL, 0, "checkout", "-q", "-b", "next/one", NULL);
	gitrepo_text(&f->repo, "apps/shop/index.html", "<h1>New</h1>\n");
	gitrepo_commit(&f->repo, "Second", second);
	const struct {
		const char *revision, *ref, *commit, *found;
	} rows[] = {
	    {"", "", f->first, "refs/heads/main"},
	    {"HEAD", "next/one", f->first, "refs/heads/main"},
	    {NULL, NULL, f->first, "refs/heads/main"},
	    {"", "next/one", second, "refs/heads/next/one"},
	    {"", "refs/heads/next/one", second, "refs/heads/next/one"},
	    {"main", "next/one", f->first, "refs/heads/main"},
	    {"next/one", "", second, "refs/heads/next/one"},
	    {"refs/heads/next/one", "", second, "refs/heads/next/one"},
	    {"t1", "", f->first, "refs/tags/t1"},
	    {"refs/tags/t1", "", f->first, "refs/tags/t1"},
	    {f->first, "", f->first, ""},
	    {second, "", second, ""},
	};
	for (size_t i = 0; i < SL_COUNT(rows); i++) {
		assert_int_equal(resolve(f, rows[i].revision, rows[i].ref), GIT_OK);
		assert_string_equal(f->result.commit, rows[i].commit);
		assert_string_equal(f->result.ref, rows[i].found);
		assert_int_equal(f->result.files, 4);
	}
	assert_string_equal(f->result.subject, "Second");
	assert_string_equal(f->result.author, "Ada Lovelace <ada@example.org>");
	assert_string_equal(f->result.sluice_json, "{\"requires\":{}}\n");
	assert_true(f->result.commit_unix_s > 1600000000);
}

static void test_git_resolve_names_what_is_missing(void **state)
{
	struct fixture *f = *state;
	const struct {
		const char *revision, *ref;
		enum git_failure want;
	} rows[] = {
	    {"", "nope", GIT_BRANCH_NOT_FOUND},
	    {"nope", "main", GIT_REVISION_NOT_FOUND},
	    {"refs/tags/nope", "", GIT_REVISION_NOT_FOUND},
	    {"HEAD~1", "", GIT_REVISION_NOT_FOUND},
	    {"0123456", "", GIT_REVISION_NOT_FOUND},
	    {"0123456789012345678901234567890123456789", "", GIT_REVISION_NOT_FOUND},
	    {"--upload-pack=x", "", GIT_REVISION_NOT_FOUND},
	};
	for (size_t i = 0; i < SL_COUNT(rows); i++) {
		assert_int_equal(resolve(f, rows[i].revision, rows[i].ref), rows[i].want);
		assert_true(strstr(f->result.text,
				   rows[i].revision[0] != '\0' ? rows[i].revision : rows[i].ref) !=
			    NULL);
	}
	struct git_job job = fixture_job(f, GIT_RESOLVE);
	job.path = "apps/none";
	fixture_expect(f, &job, GIT_PATH_NOT_FOUND);
	job.path = "README";
	fixture_expect(f, &job, GIT_PATH_NOT_A_FOLDER);
	job.path = "README/x";
	fixture_expect(f, &job, GIT_PATH_NOT_A_FOLDER);
}

static void test_git_resolve_refuses_a_contract_that_breaks_a_rule(void **state)
{
	struct fixture *f = *state;
	static const struct {
		const char *text, *rule, *says;
	} rows[] = {
	    {"{\"require\":{}}", "CONTRACT_KEY", "unknown key 'require'"},
	    {"{\"render\":[\"no.html\"]}", "CONTRACT_NO_FILE", "'no.html' must be a file"},
	    {"{\"render\":[\"a\"]}", "CONTRACT_NO_FILE", "'a' must be a file"}, /* a folder */
	};
	for (size_t i = 0; i < SL_COUNT(rows); i++) {
		gitrepo_text(&f->repo, "apps/shop/sluice.json", rows[i].text);
		gitrepo_commit(&f->repo, "More", NULL);
		assert_int_equal(resolve(f, "", ""), GIT_BUNDLE_REFUSED);
		assert_string_equal(git_rule_name(f->result.rule), rows[i].rule);
		assert_non_null(strstr(f->result.text, rows[i].says));
		assert_null(f->result.sluice_json);
	}
	gitrepo_text(&f->repo, "apps/shop/sluice.json", "{\"render\":[\"a/b/c.txt\"]}");
	gitrepo_text(&f->repo, "apps/shop/a/sluice.json", "elsewhere it is a file like others");
	gitrepo_commit(&f->repo, "Good", NULL);
	assert_int_equal(resolve(f, "", ""), GIT_OK);
	assert_string_equal(f->result.sluice_json, "{\"render\":[\"a/b/c.txt\"]}");
}

static void test_git_resolve_refuses_a_contract_that_is_too_big(void **state)
{
	struct fixture *f = *state;
	SL_AUTO(sl_free_auto) char *text = malloc(CONTRACT_BYTES_MAX + 2);
	assert_non_null(text);
	memset(text, ' ', CONTRACT_BYTES_MAX + 1);
	memcpy(text, "{}", 2);
	text[CONTRACT_BYTES_MAX + 1] = '\0';
	gitrepo_text(&f->repo, "apps/shop/sluice.json", text);
	gitrepo_commit(&f->repo, "Big", NULL);
	assert_int_equal(resolve(f, "", ""), GIT_BUNDLE_REFUSED);
	assert_string_equal(git_rule_name(f->result.rule), "CONTRACT_TOO_BIG");
	text[CONTRACT_BYTES_MAX] = '\0';
	gitrepo_text(&f->repo, "apps/shop/sluice.json", text);
	gitrepo_commit(&f->repo, "Just so", NULL);
	assert_int_equal(resolve(f, "", ""), GIT_OK);
	assert_int_equal(strlen(f->result.sluice_json), CONTRACT_BYTES_MAX);
}

static void test_git_resolve_finds_a_commit_that_no_ref_is_at(void **state)
{
	struct fixture *f = *state;
	gitrepo_text(&f->repo, "apps/shop/more.html", "more\n");
	gitrepo_commit(&f->repo, "Second", NULL);
	assert_int_equal(resolve(f, f->first, ""), GIT_OK);
	assert_string_equal(f->result.commit, f->first);
	assert_int_equal(f->result.files, 4);
}

static void test_git_resolve_of_an_empty_repository_says_so(void **state)
{
	struct fixture *f = *state;
	char empty[600];
	(void)snprintf(empty, sizeof(empty), "%s/empty.git", f->dir);
	gitrepo_git(f->dir, NULL, 0, "init", "-q", "--bare", "-b", "main", empty, NULL);
	char *slash = strstr(f->url, "origin.git");
	(void)snprintf(slash, 20, "empty.git");
	static const char *const revisions[] = {"", "main",
						"0123456789012345678901234567890123456789"};
	for (size_t i = 0; i < SL_COUNT(revisions); i++) {
		assert_int_equal(resolve(f, revisions[i], ""), GIT_REPOSITORY_EMPTY);
	}
	assert_int_equal(resolve(f, "", "main"), GIT_REPOSITORY_EMPTY);
	struct git_job job = fixture_job(f, GIT_LS);
	fixture_expect(f, &job, GIT_REPOSITORY_EMPTY);
}

static void test_git_resolve_refuses_pointers_of_lfs(void **state)
{
	static const char pointer[] =
	    "version https://git-lfs.github.com/spec/v1\n"
	    "oid sha256:4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5"
	    "e2ca24d17e2393\nsize 12345\n";
	struct fixture *f = *state;
	char longer[2048], about[200];
	(void)snprintf(about, sizeof(about), "# %s", pointer);
	(void)snprintf(longer, sizeof(longer), "%s%01500d", pointer, 0);
	const struct {
		const char *text;
		enum git_failure want;
	} rows[] = {{pointer, GIT_BUNDLE_REFUSED},
		    {about, GIT_OK},
		    {longer, GIT_OK},
		    {"version 1\n", GIT_OK}};
	for (size_t i = 0; i < SL_COUNT(rows); i++) {
		struct git_job job = fixture_job(f, GIT_RESOLVE);
		gitrepo_text(&f->repo, "apps/shop/video.mp4", rows[i].text);
		gitrepo_commit(&f->repo, "A video", NULL);
		fixture_expect(f, &job, rows[i].want);
		if (rows[i].want != GIT_OK) {
			assert_int_equal(f->result.rule, GIT_RULE_LFS_POINTER);
			assert_non_null(strstr(f->result.text, "video.mp4"));
		}
	}
}

static void test_git_ls_names_the_default_branch(void **state)
{
	struct fixture *f = *state;
	struct git_job job = fixture_job(f, GIT_LS);
	fixture_expect(f, &job, GIT_OK);
	assert_string_equal(f->result.ref, "refs/heads/main");
	assert_string_equal(f->result.commit, f->first);
}

static void test_git_a_repository_that_is_not_there_is_unreachable(void **state)
{
	struct fixture *f = *state;
	(void)snprintf(strstr(f->url, "origin.git"), 20, "none.git");
	struct git_job job = fixture_job(f, GIT_RESOLVE);
	fixture_expect(f, &job, GIT_REPOSITORY_UNREACHABLE);
	assert_true(strstr(f->result.text, "none.git") != NULL);
}

static void test_git_fetch_takes_the_ref_alone_and_then_needs_no_network(void **state)
{
	struct fixture *f = *state;
	char second[GIT_OID_TEXT];
	gitrepo_text(&f->repo, "apps/shop/more.html", "more\n");
	gitrepo_commit(&f->repo, "Second", second);
	struct git_job job = fixture_job(f, GIT_FETCH);
	job.ref = "refs/heads/main";
	job.commit = second;
	fixture_expect(f, &job, GIT_OK);
	assert_string_equal(f->result.commit, second);
	assert_true(f->result.fetched_objects > 0);
	/* An older one is there now as well, though the ref has moved on. */
	job.commit = f->first;
	job.url = "git://127.0.0.1:1/gone.git";
	fixture_expect(f, &job, GIT_OK);
	assert_string_equal(f->result.commit, f->first);
	assert_int_equal(f->result.fetched_objects, 0);
}

static void test_git_fetch_finds_the_commit_when_the_ref_moved_on(void **state)
{
	struct fixture *f = *state;
	gitrepo_text(&f->repo, "apps/shop/more.html", "more\n");
	gitrepo_commit(&f->repo, "Second", NULL);
	struct git_job job = fixture_job(f, GIT_FETCH);
	job.ref = "refs/heads/main";
	job.commit = f->first;
	fixture_expect(f, &job, GIT_OK);
	assert_string_equal(f->result.commit, f->first);
}

static void test_git_fetch_names_what_is_gone(void **state)
{
	struct fixture *f = *state;
	struct git_job job = fixture_job(f, GIT_FETCH);
	job.commit = "0123456789012345678901234567890123456789";
	job.ref = "refs/heads/main";
	fixture_expect(f, &job, GIT_COMMIT_GONE);
	job.ref = "refs/tags/nope";
	fixture_expect(f, &job, GIT_COMMIT_GONE);
	job.commit = "";
	fixture_expect(f, &job, GIT_REVISION_NOT_FOUND);
	job.ref = "refs/heads/nope";
	fixture_expect(f, &job, GIT_BRANCH_NOT_FOUND);
}

static void test_git_fetch_is_incremental(void **state)
{
	struct fixture *f = *state;
	assert_int_equal(resolve(f, "", ""), GIT_OK);
	uint64_t all = f->result.fetched_objects;
	gitrepo_text(&f->repo, "apps/shop/more.html", "more\n");
	gitrepo_commit(&f->repo, "Second", NULL);
	assert_int_equal(resolve(f, "", ""), GIT_OK);
	assert_int_equal(f->result.files, 5);
	assert_true(f->result.fetched_objects < all);
	assert_int_equal(resolve(f, "", ""), GIT_OK);
	assert_int_equal(f->result.fetched_objects, 0);
}

int main(int argc, char **argv)
{
	int status = 0;
	if (fixture_is_worker(argc, argv, &status)) {
		return status;
	}
	const struct CMUnitTest tests[] = {
	    OVER_ALL(test_git_resolve_takes_branch_tag_and_commit),
	    OVER_ALL(test_git_resolve_names_what_is_missing),
	    OVER(fixture_setup, test_git_resolve_refuses_a_contract_that_breaks_a_rule),
	    OVER(fixture_setup, test_git_resolve_refuses_a_contract_that_is_too_big),
	    OVER_ALL(test_git_resolve_finds_a_commit_that_no_ref_is_at),
	    OVER_ALL(test_git_resolve_of_an_empty_repository_says_so),
	    OVER(fixture_setup, test_git_resolve_refuses_pointers_of_lfs),
	    OVER_ALL(test_git_ls_names_the_default_branch),
	    OVER_ALL(test_git_a_repository_that_is_not_there_is_unreachable),
	    OVER_ALL(test_git_fetch_takes_the_ref_alone_and_then_needs_no_network),
	    OVER_ALL(test_git_fetch_finds_the_commit_when_the_ref_moved_on),
	    OVER_ALL(test_git_fetch_names_what_is_gone),
	    OVER_ALL(test_git_fetch_is_incremental),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
