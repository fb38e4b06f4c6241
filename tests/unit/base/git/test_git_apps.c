/* APPS: what a repository has that could be an app, and the newest commit of each. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "base/mem/own.h"
#include "tests/unit/base/git/fixture.h"

static void list(struct fixture *f, const char *revision)
{
	struct git_job job = fixture_job(f, GIT_APPS);
	job.revision = revision;
	job.path = "";
	fixture_expect(f, &job, GIT_OK);
}

static void expect_app(const struct fixture *f, size_t i, const struct git_app *want)
{
	assert_true(i < f->result.app_count);
	const struct git_app *app = &f->result.apps[i];
	assert_string_equal(app->path, want->path);
	assert_string_equal(app->name, want->name);
	assert_string_equal(app->version, want->version);
	assert_string_equal(app->last.subject, want->last.subject);
	if (want->last.commit[0] != '\0') {
		assert_string_equal(app->last.commit, want->last.commit);
	}
}

static void test_git_apps_lists_folders_with_their_last_commit(void **state)
{
	struct fixture *f = *state;
	char blog[GIT_OID_TEXT], shop[GIT_OID_TEXT], tip[GIT_OID_TEXT];
	gitrepo_text(&f->repo, "apps/blog/index.html", "blog\n");
	gitrepo_text(&f->repo, "apps/shop-2/index.html", "its name begins like another's\n");
	gitrepo_text(&f->repo, "apps/a file", "no folder\n");
	gitrepo_commit(&f->repo, "Blog", blog);
	gitrepo_text(&f->repo, "apps/shop/a/b/c.txt", "deeper\n");
	gitrepo_commit(&f->repo, "Deep in the shop", shop);
	gitrepo_text(&f->repo, "README", "again\n");
	gitrepo_commit(&f->repo, "Elsewhere", tip);
	list(f, "");
	assert_string_equal(f->result.commit, tip);
	assert_string_equal(f->result.ref, "refs/heads/main");
	assert_int_equal(f->result.app_count, 3);
	struct git_app want = {.name = "blog", .path = "apps/blog", .last.subject = "Blog"};
	memcpy(want.last.commit, blog, sizeof(blog));
	expect_app(f, 0, &want);
	assert_string_equal(f->result.apps[0].last.author, "Ada Lovelace <ada@example.org>");
	assert_true(f->result.apps[0].last.unix_s > 1600000000);
	want = (struct git_app){
	    .name = "shop", .path = "apps/shop", .last.subject = "Deep in the shop"};
	memcpy(want.last.commit, shop, sizeof(shop));
	expect_app(f, 1, &want);
	want = (struct git_app){.name = "shop-2", .path = "apps/shop-2", .last.subject = "Blog"};
	expect_app(f, 2, &want);
	list(f, f->first); /* as it was then */
	assert_int_equal(f->result.app_count, 1);
	assert_string_equal(f->result.apps[0].last.commit, f->first);
}

static void test_git_apps_without_apps_lists_the_roots_folders(void **state)
{
	struct fixture *f = *state;
	gitrepo_git(f->repo.work, NULL, 0, "rm", "-q", "-r", "apps", NULL);
	gitrepo_text(&f->repo, "one/index.html", "1\n");
	gitrepo_text(&f->repo, "two words/index.html", "2\n");
	gitrepo_text(&f->repo, ".github/workflow.yml", "not an app\n");
	gitrepo_commit(&f->repo, "Others", NULL);
	list(f, "");
	assert_int_equal(f->result.app_count, 2);
	expect_app(f, 0, &(struct git_app){.name = "one", .path = "one", .last.subject = "Others"});
	expect_app(
	    f, 1,
	    &(struct git_app){.name = "two words", .path = "two words", .last.subject = "Others"});
}

static void test_git_apps_takes_what_sluice_wrote_first(void **state)
{
	struct fixture *f = *state;
	gitrepo_text(
	    &f->repo, ".sluice/apps/app_1.json",
	    "{\"commit\":{},\"name\":\"store\",\"path\":\"apps/shop\",\"version\":\"v7\"}");
	gitrepo_text(&f->repo, ".sluice/apps/app_2.json",
		     "{\"name\":\"gone\",\"path\":\"apps/gone\",\"version\":\"v1\"}");
	gitrepo_text(&f->repo, ".sluice/apps/app_3.json", "{\"name\":7,\"path\":\"apps/shop\"}");
	gitrepo_text(&f->repo, ".sluice/apps/app_4.json", "{\"name\":\"up\",\"path\":\"../up\"}");
	gitrepo_text(&f->repo, ".sluice/apps/app_5.json", "no JSON");
	gitrepo_text(&f->repo, ".sluice/apps/app_6.json",
		     "{\"name\":\"twin\",\"path\":\"apps/shop\"}");
	gitrepo_text(&f->repo, "apps/blog/index.html", "nobody speaks of it\n");
	gitrepo_commit(&f->repo, "Records", NULL);
	list(f, "");
	assert_int_equal(f->result.app_count, 1);
	expect_app(f, 0,
		   &(struct git_app){.name = "store",
				     .path = "apps/shop",
				     .version = "v7",
				     .last.subject = "First of all"});
}

static void test_git_apps_reads_a_tooljet_repository(void **state)
{
	struct fixture *f = *state;
	gitrepo_text(&f->repo, "My App/v2.json", "{}\n");
	gitrepo_text(&f->repo, "CRM/v1.json", "{}\n");
	gitrepo_text(&f->repo, ".meta/meta.json",
		     "{\"5e0c\":{\"git_app_name\":\"My App\",\"git_version_name\":\"v2\","
		     "\"git_version_id\":\"77\",\"last_commit_message\":\"x\"},"
		     "\"6f1d\":{\"git_app_name\":\"CRM\"},"
		     "\"7a\":{\"git_app_name\":\"Gone\",\"git_version_name\":\"v1\"},\"8b\":4}");
	gitrepo_commit(&f->repo, "From ToolJet", NULL);
	list(f, "");
	assert_int_equal(f->result.app_count, 2);
	expect_app(f, 0,
		   &(struct git_app){.name = "CRM", .path = "CRM", .last.subject = "From ToolJet"});
	expect_app(f, 1,
		   &(struct git_app){.name = "My App",
				     .path = "My App",
				     .version = "v2",
				     .last.subject = "From ToolJet"});
}

static void test_git_apps_passes_merges_by(void **state)
{
	struct fixture *f = *state;
	gitrepo_git(f->repo.work, NULL, 0, "checkout", "-q", "-b", "side", NULL);
	gitrepo_text(&f->repo, "apps/shop/side.txt", "side\n");
	gitrepo_commit(&f->repo, "On the side", NULL);
	gitrepo_git(f->repo.work, NULL, 0, "checkout", "-q", "main", NULL);
	gitrepo_text(&f->repo, "README", "main went on\n");
	gitrepo_commit(&f->repo, "On main", NULL);
	gitrepo_git(f->repo.work, NULL, 0, "merge", "-q", "--no-ff", "-m", "Merge", "side", NULL);
	gitrepo_git(f->repo.work, NULL, 0, "push", "-q", "origin", "main", NULL);
	list(f, "main");
	assert_string_equal(f->result.subject, "Merge");
	assert_string_equal(f->result.apps[0].last.subject, "On the side");
}

static void test_git_apps_says_when_there_are_too_many(void **state)
{
	struct fixture *f = *state;
	for (int i = 0; i < GIT_APPS_MAX + 1; i++) {
		char path[64];
		(void)snprintf(path, sizeof(path), "apps/n%04d/x", i);
		gitrepo_text(&f->repo, path, "x\n");
	}
	gitrepo_commit(&f->repo, "Many", NULL);
	list(f, "");
	assert_int_equal(f->result.app_count, GIT_APPS_MAX);
	assert_true(f->result.apps_cut);
}

static void test_git_apps_names_what_is_missing(void **state)
{
	struct fixture *f = *state;
	struct git_job job = fixture_job(f, GIT_APPS);
	job.revision = "nope";
	fixture_expect(f, &job, GIT_REVISION_NOT_FOUND);
	job.revision = "";
	job.ref = "nope";
	fixture_expect(f, &job, GIT_BRANCH_NOT_FOUND);
}

int main(int argc, char **argv)
{
	int status = 0;
	if (fixture_is_worker(argc, argv, &status)) {
		return status;
	}
	const struct CMUnitTest tests[] = {
	    OVER_ALL(test_git_apps_lists_folders_with_their_last_commit),
	    OVER(fixture_setup, test_git_apps_without_apps_lists_the_roots_folders),
	    OVER(fixture_setup, test_git_apps_takes_what_sluice_wrote_first),
	    OVER(fixture_setup, test_git_apps_reads_a_tooljet_repository),
	    OVER(fixture_setup, test_git_apps_passes_merges_by),
	    OVER(fixture_setup, test_git_apps_says_when_there_are_too_many),
	    OVER(fixture_setup, test_git_apps_names_what_is_missing),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
