/* COMMIT: exactly one commit per operation, on top of whatever is there, never forced. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/bytes/bytes.h"
#include "base/git/archive.h"
#include "base/mem/own.h"
#include "tests/unit/base/git/fixture.h"

static const char record_path[] = ".sluice/apps/app_1.json";

static struct git_job commit_of(const struct fixture *f, const char *operation)
{
	struct git_job job = fixture_job(f, GIT_COMMIT);
	job.ref = "main";
	job.author = "ada";
	job.operation = operation;
	job.message = "App shop created";
	job.record_path = record_path;
	job.record = "{\"name\":\"shop\"}\n";
	job.unix_s = 1700000000;
	return job;
}

static void bare(const struct fixture *f, char *out, size_t room, const char *a, const char *b)
{
	gitrepo_git(f->repo.bare, out, room, a, b, NULL);
}

static int count_commits(const struct fixture *f)
{
	char text[32];
	gitrepo_git(f->repo.bare, text, sizeof(text), "rev-list", "--count", "main", NULL);
	return atoi(text);
}

/* --- records ------------------------------------------------------------------------- */

static void test_git_commit_is_on_top_with_its_record(void **state)
{
	struct fixture *f = *state;
	char text[1000], want[1000], tree[64];
	struct git_job job = commit_of(f, "opr_1");
	fixture_expect(f, &job, GIT_OK);
	gitrepo_git(f->repo.bare, tree, sizeof(tree), "rev-parse", "main^{tree}", NULL);
	gitrepo_git(f->repo.bare, text, sizeof(text), "cat-file", "commit", "main", NULL);
	(void)snprintf(want, sizeof(want),
		       "tree %s\nparent %s\nauthor ada <ada@localhost> 1700000000 +0000\n"
		       "committer sluice <sluice@localhost> 1700000000 +0000\n\nApp shop "
		       "created\n\nSluice-Operation: opr_1",
		       tree, f->first);
	assert_string_equal(text, want);
	bare(f, text, sizeof(text), "rev-parse", "main");
	assert_string_equal(f->result.commit, text);
	assert_string_equal(f->result.tip, text);
	assert_string_equal(f->result.ref, "refs/heads/main");
	bare(f, text, sizeof(text), "show", "main:.sluice/apps/app_1.json");
	assert_string_equal(text, "{\"name\":\"shop\"}");
	bare(f, text, sizeof(text), "show", "main:README");
	assert_string_equal(text, "not the app");
	gitrepo_git(f->mirror, text, sizeof(text), "for-each-ref", "refs/sluice/outbox", NULL);
	assert_string_equal(text, "");
}

static void test_git_commit_again_finds_its_own(void **state)
{
	struct fixture *f = *state;
	char first[64];
	struct git_job job = commit_of(f, "opr_1");
	fixture_expect(f, &job, GIT_OK);
	sl_text_copy(first, sizeof(first), f->result.commit);
	fixture_expect(f, &job, GIT_OK);
	assert_string_equal(f->result.commit, first);
	/* Also from another mirror, and with others' commits on top. */
	gitrepo_git(f->repo.work, NULL, 0, "pull", "-q", f->repo.bare, "main", NULL);
	gitrepo_text(&f->repo, "README", "changed\n");
	gitrepo_commit(&f->repo, "On top", NULL);
	(void)snprintf(f->mirror, sizeof(f->mirror), "%s/other.git", f->dir);
	job = commit_of(f, "opr_1");
	fixture_expect(f, &job, GIT_OK);
	assert_string_equal(f->result.commit, first);
	assert_string_not_equal(f->result.tip, first);
	assert_int_equal(count_commits(f), 3);
}

static void test_git_commit_of_nothing_new_is_none(void **state)
{
	struct fixture *f = *state;
	struct git_job job = commit_of(f, "opr_1");
	fixture_expect(f, &job, GIT_OK);
	job = commit_of(f, "opr_2");
	fixture_expect(f, &job, GIT_OK);
	assert_true(f->result.unchanged);
	assert_int_equal(count_commits(f), 2);
}

static void test_git_commit_into_an_empty_repository(void **state)
{
	struct fixture *f = *state;
	gitrepo_git(f->repo.bare, NULL, 0, "update-ref", "-d", "refs/heads/main", NULL);
	struct git_job job = commit_of(f, "opr_1");
	job.ref = "";
	fixture_expect(f, &job, GIT_OK);
	assert_string_equal(f->result.ref, "refs/heads/main");
	assert_int_equal(count_commits(f), 1);
}

static void test_git_commit_moves_a_folder_with_its_record(void **state)
{
	struct fixture *f = *state;
	char before[64], after[64], text[200];
	gitrepo_git(f->repo.bare, before, sizeof(before), "rev-parse", "main:apps/shop", NULL);
	struct git_job job = commit_of(f, "opr_1");
	job.move_from = "apps/shop";
	job.path = "apps/store";
	fixture_expect(f, &job, GIT_OK);
	gitrepo_git(f->repo.bare, after, sizeof(after), "rev-parse", "main:apps/store", NULL);
	assert_string_equal(before, after);
	gitrepo_git(f->repo.bare, text, sizeof(text), "ls-tree", "--name-only", "main", "apps/",
		    NULL);
	assert_string_equal(text, "apps/store");
	assert_int_equal(count_commits(f), 2);
	/* What is in the way stays. */
	gitrepo_git(f->repo.work, NULL, 0, "pull", "-q", f->repo.bare, "main", NULL);
	gitrepo_text(&f->repo, "apps/inn/index.html", "Inn\n");
	gitrepo_commit(&f->repo, "Somebody's", NULL);
	job = commit_of(f, "opr_2");
	job.move_from = "apps/store";
	job.path = "apps/inn";
	fixture_expect(f, &job, GIT_CONFLICT);
	assert_int_equal(count_commits(f), 3);
}

static void test_git_commit_never_follows_a_rewritten_branch(void **state)
{
	struct fixture *f = *state;
	char tip[64], rewritten[64], now[64];
	struct git_job job = commit_of(f, "opr_1");
	job.commit = f->first;
	fixture_expect(f, &job, GIT_OK);
	sl_text_copy(tip, sizeof(tip), f->result.tip);
	gitrepo_git(f->repo.bare, rewritten, sizeof(rewritten), "commit-tree", "-m", "rewritten",
		    "main^{tree}", NULL);
	gitrepo_git(f->repo.bare, NULL, 0, "update-ref", "refs/heads/main", rewritten, NULL);
	job = commit_of(f, "opr_2");
	job.record = "{}\n";
	job.commit = tip;
	fixture_expect(f, &job, GIT_HISTORY_REWRITTEN);
	assert_true(strstr(f->result.text, tip) != NULL);
	assert_true(strstr(f->result.text, rewritten) != NULL);
	gitrepo_git(f->repo.bare, now, sizeof(now), "rev-parse", "main", NULL);
	assert_string_equal(now, rewritten);
	job.commit = "";
	fixture_expect(f, &job, GIT_OK);
}

static void test_git_commit_says_what_a_hook_says(void **state)
{
	struct fixture *f = *state;
	fixture_hook(f, "pre-receive", "#!/bin/sh\necho 'main is protected' >&2\nexit 1\n");
	struct git_job job = commit_of(f, "opr_1");
	fixture_expect(f, &job, GIT_REF_PROTECTED);
	assert_true(strstr(f->result.text, "main is protected") != NULL);
	assert_int_equal(count_commits(f), 1);
}

/* While the first push is under way somebody else's commit lands. */
static void test_git_commit_is_done_again_on_top_of_who_was_faster(void **state)
{
	struct fixture *f = *state;
	char script[1200], text[64];
	(void)snprintf(script, sizeof(script),
		       "#!/bin/sh\n[ -e '%s/once' ] && exit 0\ntouch '%s/once'\n"
		       "unset GIT_QUARANTINE_PATH GIT_OBJECT_DIRECTORY "
		       "GIT_ALTERNATE_OBJECT_DIRECTORIES\n"
		       "export GIT_AUTHOR_NAME=Eve GIT_AUTHOR_EMAIL=e@x GIT_COMMITTER_NAME=Eve "
		       "GIT_COMMITTER_EMAIL=e@x\n"
		       "git update-ref refs/heads/main $(git commit-tree -m faster -p main "
		       "'main^{tree}')\nexit 0\n",
		       f->dir, f->dir);
	fixture_hook(f, "pre-receive", script);
	struct git_job job = commit_of(f, "opr_1");
	fixture_expect(f, &job, GIT_OK);
	assert_int_equal(count_commits(f), 3);
	gitrepo_git(f->repo.bare, text, sizeof(text), "log", "-1", "--format=%s", "main^", NULL);
	assert_string_equal(text, "faster");
}

/* --- content ---------------------------------------------------------------------------- */

struct content {
	const char *path, *text;
	bool runnable;
};

/* Packs the files up to a NULL path and adds them to the job. */
static void put_archive(const struct fixture *f, const struct content *files, struct git_job *job,
			char path[static 600])
{
	SL_AUTO(sl_buf_fini) struct sl_buf bytes = {0};
	for (; files->path != NULL; files++) {
		git_archive_head(&bytes, files->path, files->runnable, strlen(files->text));
		sl_buf_append(&bytes, files->text, strlen(files->text));
	}
	(void)snprintf(path, 600, "%s/archive", f->dir);
	FILE *file = fopen(path, "we");
	assert_non_null(file);
	assert_int_equal(fwrite(bytes.data, 1, bytes.size, file), bytes.size);
	assert_int_equal(fclose(file), 0);
	job->archive = path;
}

static const struct content shop[] = {
    {"index.html", "<h1>New</h1>\n", false},
    {"bin/run", "#!/bin/sh\n", true},
    {"a/b/c.txt", "deep\n", false},
    {"a.txt", "comes before a/b in bytes, after a in Git's trees\n", false},
    {"sluice.json", "{\"requires\":{}}\n", false},
    {NULL, NULL, false}};

static void test_git_commit_replaces_the_folder_by_the_archive(void **state)
{
	struct fixture *f = *state;
	char path[600], text[400], digest[SL_HASH_BYTES];
	struct git_job job = commit_of(f, "opr_1");
	put_archive(f, shop, &job, path);
	job.other_commit = f->first;
	fixture_expect(f, &job, GIT_OK);
	gitrepo_git(f->repo.bare, text, sizeof(text), "ls-tree", "-r", "--name-only", "main",
		    "apps/shop", NULL);
	assert_string_equal(text, "apps/shop/a.txt\napps/shop/a/b/c.txt\napps/shop/bin/"
				  "run\napps/shop/index.html\napps/shop/sluice.json");
	gitrepo_git(f->repo.bare, text, sizeof(text), "ls-tree", "main", "apps/shop/bin/run", NULL);
	assert_memory_equal(text, "100755", 6);
	assert_int_equal(f->result.files, 5);
	memcpy(digest, f->result.digest, sizeof(digest));
	struct git_job resolve = fixture_job(f, GIT_RESOLVE);
	fixture_expect(f, &resolve, GIT_OK);
	assert_memory_equal(digest, f->result.digest, sizeof(digest));
	/* The same again is nothing new. */
	job.operation = "opr_2";
	job.other_commit = f->result.commit;
	fixture_expect(f, &job, GIT_OK);
	assert_true(f->result.unchanged);
	assert_int_equal(count_commits(f), 2);
}

static void push_by_hand(struct fixture *f, const char *path, const char *text)
{
	gitrepo_text(&f->repo, path, text);
	gitrepo_commit(&f->repo, "By hand", NULL);
}

static void test_git_commit_keeps_what_others_changed_in_other_files(void **state)
{
	struct fixture *f = *state;
	char path[600], text[200];
	push_by_hand(f, "apps/shop/theirs.txt", "theirs\n");
	struct git_job job = commit_of(f, "opr_1");
	put_archive(f, shop, &job, path);
	job.other_commit = f->first;
	fixture_expect(f, &job, GIT_OK);
	gitrepo_git(f->repo.bare, text, sizeof(text), "show", "main:apps/shop/theirs.txt", NULL);
	assert_string_equal(text, "theirs");
	gitrepo_git(f->repo.bare, text, sizeof(text), "show", "main:apps/shop/index.html", NULL);
	assert_string_equal(text, "<h1>New</h1>");
}

static void test_git_commit_of_the_same_file_is_a_conflict_with_its_commits(void **state)
{
	struct fixture *f = *state;
	char path[600], text[200];
	push_by_hand(f, "README", "another\n"); /* not of the app: not told */
	push_by_hand(f, "apps/shop/index.html", "<h1>Theirs</h1>\n");
	push_by_hand(f, "apps/shop/theirs.txt", "theirs\n");
	struct git_job job = commit_of(f, "opr_1");
	put_archive(f, shop, &job, path);
	job.other_commit = f->first;
	fixture_expect(f, &job, GIT_CONFLICT);
	assert_true(strstr(f->result.text, "index.html") != NULL);
	assert_int_equal(f->result.log_count, 2);
	assert_string_equal(f->result.log[0].subject, "By hand");
	assert_int_equal(f->result.log[0].files, 1);
	gitrepo_git(f->repo.bare, text, sizeof(text), "rev-parse", "main", NULL);
	assert_string_equal(f->result.log[0].commit, text);
	assert_int_equal(count_commits(f), 4);
	/* Theirs first, ours on top. */
	job.onto = true;
	fixture_expect(f, &job, GIT_OK);
	gitrepo_git(f->repo.bare, text, sizeof(text), "show", "main:apps/shop/index.html", NULL);
	assert_string_equal(text, "<h1>New</h1>");
	gitrepo_git(f->repo.bare, text, sizeof(text), "show", "main:apps/shop/theirs.txt", NULL);
	assert_string_equal(text, "theirs");
}

static void test_git_commit_refuses_names_that_no_bundle_may_have(void **state)
{
	struct fixture *f = *state;
	static const struct {
		struct content files[4];
		enum git_rule rule;
	} rows[] = {
	    {{{"../out", "x", false}}, GIT_RULE_NAME_DOT_DOT},
	    {{{".git/config", "x", false}}, GIT_RULE_NAME_DOT_GIT},
	    {{{"a//b", "x", false}}, GIT_RULE_NAME_EMPTY},
	    {{{"/etc/passwd", "x", false}}, GIT_RULE_NAME_EMPTY},
	    {{{"a", "x", false}, {"a", "y", false}}, GIT_RULE_NAME_TWIN},
	    {{{"Readme", "x", false}, {"README", "y", false}}, GIT_RULE_NAME_TWIN},
	    {{{"a", "x", false}, {"a/b", "y", false}}, GIT_RULE_NAME_TWIN},
	    {{{"a/b/c", "x", false}, {"a/d", "y", false}, {"a/b", "z", false}}, GIT_RULE_NAME_TWIN},
	    {{{"a/x/h", "x", false}, {"a.t", "y", false}, {"a/x", "z", false}}, GIT_RULE_NAME_TWIN},
	    {{{"a/x", "x", false}, {"a.t", "y", false}, {"a/x/h", "z", false}}, GIT_RULE_NAME_TWIN},
	};
	for (size_t i = 0; i < SL_COUNT(rows); i++) {
		char path[600];
		struct git_job job = commit_of(f, "opr_1");
		put_archive(f, rows[i].files, &job, path);
		fixture_expect(f, &job, GIT_BUNDLE_REFUSED);
		assert_int_equal(f->result.rule, rows[i].rule);
	}
	assert_int_equal(count_commits(f), 1);
}

static void test_git_log_lists_what_changed_the_folder(void **state)
{
	struct fixture *f = *state;
	push_by_hand(f, "apps/shop/one.txt", "1\n");
	push_by_hand(f, "README", "another\n");
	push_by_hand(f, "apps/shop/two.txt", "2\n");
	struct git_job job = fixture_job(f, GIT_RESOLVE);
	fixture_expect(f, &job, GIT_OK);
	char tip[GIT_OID_TEXT];
	sl_text_copy(tip, sizeof(tip), f->result.commit);
	job = fixture_job(f, GIT_LOG);
	job.commit = f->first;
	job.other_commit = tip;
	fixture_expect(f, &job, GIT_OK);
	assert_int_equal(f->result.log_count, 2);
	assert_string_equal(f->result.log[0].commit, tip);
	assert_string_equal(f->result.log[0].author, "Ada Lovelace <ada@example.org>");
	assert_false(f->result.log_cut);
	job.commit = "";
	fixture_expect(f, &job, GIT_OK);
	assert_int_equal(f->result.log_count, 3);
	job.revision = f->first;
	fixture_expect(f, &job, GIT_OK);
	assert_int_equal(f->result.log_count, 2);
}

static void test_git_count_counts_for_many_folders(void **state)
{
	struct fixture *f = *state;
	char second[GIT_OID_TEXT], tip[GIT_OID_TEXT], record[1000];
	push_by_hand(f, "apps/shop/one.txt", "1\n");
	struct git_job job = fixture_job(f, GIT_RESOLVE);
	fixture_expect(f, &job, GIT_OK);
	sl_text_copy(second, sizeof(second), f->result.commit);
	push_by_hand(f, "README", "another\n");
	push_by_hand(f, "apps/shop/two.txt", "2\n");
	fixture_expect(f, &job, GIT_OK);
	sl_text_copy(tip, sizeof(tip), f->result.commit);
	job = fixture_job(f, GIT_COUNT);
	job.url = "";
	job.other_commit = tip;
	(void)snprintf(record, sizeof(record),
		       "apps/shop\t%s\napps/shop\t%s %s\nnothing/there\t%s\n\t%s\napps/shop\t%s\n",
		       f->first, second, f->first, f->first, f->first, tip);
	job.record = record;
	fixture_expect(f, &job, GIT_OK);
	static const uint64_t want[] = {2, 1, 0, 3, 0};
	assert_int_equal(f->result.diff_count, SL_COUNT(want));
	for (size_t i = 0; i < SL_COUNT(want); i++) {
		assert_int_equal(f->result.diff[i].new_bytes, want[i]);
		assert_int_equal(f->result.diff[i].old_bytes, 0);
	}
	job.record = "no tab\n";
	fixture_expect(f, &job, GIT_WORKER_FAILED);
	job.record = record;
	job.other_commit = "0123456789012345678901234567890123456789";
	fixture_expect(f, &job, GIT_COMMIT_GONE);
}

int main(int argc, char **argv)
{
	int status = 0;
	if (fixture_is_worker(argc, argv, &status)) {
		return status;
	}
	const struct CMUnitTest tests[] = {
	    OVER_ALL(test_git_commit_is_on_top_with_its_record),
	    OVER_ALL(test_git_commit_again_finds_its_own),
	    OVER(fixture_setup_git, test_git_commit_of_nothing_new_is_none),
	    OVER_ALL(test_git_commit_into_an_empty_repository),
	    OVER(fixture_setup, test_git_commit_moves_a_folder_with_its_record),
	    OVER_ALL(test_git_commit_never_follows_a_rewritten_branch),
	    /* libgit2 runs no hooks when it pushes to a folder. */
	    OVER(fixture_setup_git, test_git_commit_says_what_a_hook_says),
	    OVER(fixture_setup_http, test_git_commit_says_what_a_hook_says),
	    OVER(fixture_setup_git, test_git_commit_is_done_again_on_top_of_who_was_faster),
	    OVER(fixture_setup_http, test_git_commit_is_done_again_on_top_of_who_was_faster),
	    OVER(fixture_setup, test_git_commit_replaces_the_folder_by_the_archive),
	    OVER(fixture_setup_git, test_git_commit_keeps_what_others_changed_in_other_files),
	    OVER(fixture_setup_git,
		 test_git_commit_of_the_same_file_is_a_conflict_with_its_commits),
	    OVER(fixture_setup, test_git_commit_refuses_names_that_no_bundle_may_have),
	    OVER(fixture_setup, test_git_log_lists_what_changed_the_folder),
	    OVER(fixture_setup, test_git_count_counts_for_many_folders),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
