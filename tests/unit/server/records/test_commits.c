/* What commands owe to a repository's branch, on a real store: in the same transaction, in order,
 * and what becomes of it. */
#include "tests/unit/server/records/world.h"

#include <string.h>

#include "server/records/commits.h"

#define TAGS SLUICE__V1__PUBLISH_MODE__PUBLISH_MODE_TAGS

static struct record_key commits_of(const char *repository_id)
{
	return KEY(WORLD, key_u32(k, SLUICE__STORE__V1__OWED_KIND__OWED_KIND_COMMIT),
		   key_text(k, repository_id));
}

static size_t owed_commits(struct world *w, const char *repository_id)
{
	return world_count(w, TABLE_OWED, commits_of(repository_id));
}

/* The one that the last command owes. */
static Sluice__Store__V1__OwedRecord *owed_now(struct world *w, const char *repository_id)
{
	return world_get(w, TABLE_OWED, owed_commit_key(WORLD, repository_id, w->revision),
			 &sluice__store__v1__owed_record__descriptor);
}

static void rename_app(struct world *w, const char *app, const char *name)
{
	Sluice__V1__RenameAppRequest request = SLUICE__V1__RENAME_APP_REQUEST__INIT;
	request.app = (char *)app;
	request.new_name = (char *)name;
	(void)world_call(w, "RenameApp", &request);
}

static void rename_version(struct world *w, const char *app, const char *version, const char *name)
{
	Sluice__V1__UpdateVersionRequest request = SLUICE__V1__UPDATE_VERSION_REQUEST__INIT;
	request.app = (char *)app;
	request.version = (char *)version;
	request.new_name = (char *)name;
	(void)world_call(w, "UpdateVersion", &request);
}

static sl_code result_decide(struct decision *d, const void *in, void *out, struct sl_err *err)
{
	(void)out;
	return commits_decide_result(d, in, err);
}

/* Git has made the commit that this row owes, or not. */
static void end(struct world *w, const Sluice__Store__V1__OwedRecord *owed, const char *failure,
		bool transient)
{
	const struct commit_result result = {
	    .repository_id = owed->repository_id,
	    .revision = owed->revision,
	    .failure = failure,
	    .transient = transient,
	    .text = failure[0] != '\0' ? "because" : "",
	    .next_ms = w->now_ms + 5000,
	    .ref = "refs/heads/main",
	    .tip = "0123456789012345678901234567890123456789",
	};
	assert_int_equal(world_run(w, result_decide, &result, NULL), SL_OK);
}

static void test_commits_are_owed_by_the_command_itself(void **state)
{
	struct world *w = *state;
	Sluice__V1__Repository *web = world_repository(w, "web", TAGS);
	assert_int_equal(web->commits, SLUICE__V1__COMMIT_MODE__COMMIT_MODE_AUTOMATIC);
	(void)world_app(w, "shop", "web");
	Sluice__Store__V1__OwedRecord *made = owed_now(w, web->id);
	assert_non_null(made);
	assert_string_equal(made->commit->message, "App shop created");
	assert_string_equal(made->commit->author, "tester");
	assert_string_equal(made->commit->newest_version, "v1");
	assert_int_equal(made->commit->at_ms, w->now_ms);
	(void)world_version(w, "shop", "v2");
	assert_string_equal(owed_now(w, web->id)->commit->message, "Version v2 of shop created");
	rename_version(w, "shop", "v2", "V2");
	Sluice__Store__V1__OwedRecord *renamed = owed_now(w, web->id);
	assert_string_equal(renamed->commit->message,
			    "Version V2 of shop: Version v2 is renamed to V2");
	assert_string_equal(renamed->commit->newest_version, "V2");
	/* Renaming an older one leaves the newest. */
	rename_version(w, "shop", "v1", "first");
	assert_string_equal(owed_now(w, web->id)->commit->newest_version, "V2");
	rename_app(w, "shop", "store");
	renamed = owed_now(w, web->id);
	assert_string_equal(renamed->commit->message,
			    "Version V2 of store: App shop is renamed to store");
	assert_string_equal(renamed->commit->move_to, "apps/store");
	assert_int_equal(owed_commits(w, web->id), 5);
	/* To be called what it is called changes nothing. */
	rename_app(w, "store", "store");
	assert_int_equal(owed_commits(w, web->id), 5);
}

static void test_commits_move_the_path_once_they_are_in_git(void **state)
{
	struct world *w = *state;
	Sluice__V1__Repository *web = world_repository(w, "web", TAGS);
	(void)world_app(w, "shop", "web");
	rename_app(w, "shop", "store");
	Sluice__Store__V1__OwedRecord *first = owed_now(w, web->id);
	rename_app(w, "store", "inn");
	Sluice__Store__V1__OwedRecord *second = owed_now(w, web->id);
	assert_string_equal(second->commit->move_to, "apps/inn");
	assert_string_equal(world_app_record(w, "inn")->path, "apps/shop");
	/* Where a folder is to go nobody else is put. */
	Sluice__V1__CreateAppRequest other = SLUICE__V1__CREATE_APP_REQUEST__INIT;
	other.name = "other";
	other.repository = "web";
	other.path = "apps/inn";
	world_refuse(w, "CreateApp", &other, SL_ALREADY_EXISTS, SL_REASON_PATH_TAKEN);
	end(w, first, "", false);
	assert_string_equal(world_app_record(w, "inn")->path, "apps/store");
	end(w, second, "", false);
	assert_string_equal(world_app_record(w, "inn")->path, "apps/inn");
	assert_int_equal(world_count(w, TABLE_APPS_BY_PATH, key_of(WORLD)), 1);
	/* A late repeat is nothing new. */
	end(w, second, "", false);
	assert_int_equal(w->revision, 0);
	/* A folder that is not called after its app stays. */
	other.path = "sites/other";
	(void)world_call(w, "CreateApp", &other);
	rename_app(w, "other", "another");
	assert_string_equal(owed_now(w, web->id)->commit->move_to, "");
}

static void test_commits_rename_onto_another_apps_folder_is_refused(void **state)
{
	struct world *w = *state;
	(void)world_repository(w, "web", TAGS);
	(void)world_app(w, "shop", "web");
	Sluice__V1__CreateAppRequest other = SLUICE__V1__CREATE_APP_REQUEST__INIT;
	other.name = "other";
	other.repository = "web";
	other.path = "apps/store";
	(void)world_call(w, "CreateApp", &other);
	Sluice__V1__RenameAppRequest request = SLUICE__V1__RENAME_APP_REQUEST__INIT;
	request.app = "shop";
	request.new_name = "store";
	world_refuse(w, "RenameApp", &request, SL_ALREADY_EXISTS, SL_REASON_PATH_TAKEN);
}

static void test_commits_can_be_declined(void **state)
{
	struct world *w = *state;
	Sluice__V1__Repository *web = world_repository(w, "web", TAGS);
	Sluice__V1__Repository *read_only =
	    world_repository(w, "docs", SLUICE__V1__PUBLISH_MODE__PUBLISH_MODE_NONE);
	assert_int_equal(read_only->commits, SLUICE__V1__COMMIT_MODE__COMMIT_MODE_NONE);
	(void)world_app(w, "guide", "docs");
	rename_app(w, "guide", "manual");
	assert_int_equal(owed_commits(w, read_only->id), 0);
	assert_string_equal(world_app_record(w, "manual")->path, "apps/guide");
	Sluice__V1__CreateAppRequest app = SLUICE__V1__CREATE_APP_REQUEST__INIT;
	app.name = "shop";
	app.repository = "web";
	app.no_commit = true;
	(void)world_call(w, "CreateApp", &app);
	Sluice__V1__CreateVersionRequest version = SLUICE__V1__CREATE_VERSION_REQUEST__INIT;
	version.app = "shop";
	version.name = "v2";
	version.no_commit = true;
	(void)world_call(w, "CreateVersion", &version);
	app.name = "all";
	app.path = ".";
	app.no_commit = false;
	(void)world_call(w, "CreateApp", &app);
	assert_int_equal(owed_commits(w, web->id), 0);
}

static void test_commits_of_promotions_by_the_repositorys_option(void **state)
{
	struct world *w = *state;
	Sluice__V1__CreateRepositoryRequest request = SLUICE__V1__CREATE_REPOSITORY_REQUEST__INIT;
	request.name = "web";
	request.url = "https://example.com/git/web.git";
	request.commits = SLUICE__V1__COMMIT_MODE__COMMIT_MODE_PROMOTIONS;
	Sluice__V1__CreateRepositoryResponse *made = world_call(w, "CreateRepository", &request);
	(void)world_app(w, "shop", "web");
	world_ready(w, "shop", "v1", 1);
	world_promote(w, "shop", "v1");
	assert_string_equal(owed_now(w, made->repository->id)->commit->message,
			    "v1 Version of shop promoted from development to staging");
	world_published(w, "shop", "v1");
	world_promote(w, "shop", "v1");
	assert_int_equal(owed_commits(w, made->repository->id), 2);
}

static void test_commits_that_fail_wait_or_are_parked(void **state)
{
	struct world *w = *state;
	Sluice__V1__Repository *web = world_repository(w, "web", TAGS);
	(void)world_app(w, "shop", "web");
	Sluice__Store__V1__OwedRecord *owed = owed_now(w, web->id);
	struct record_key key = owed_key_of(WORLD, owed);
	end(w, owed, "REPOSITORY_UNREACHABLE", true);
	Sluice__Store__V1__OwedRecord *now =
	    world_get(w, TABLE_OWED, key, &sluice__store__v1__owed_record__descriptor);
	assert_int_equal(now->attempts, 1);
	assert_false(now->parked);
	assert_true(now->next_ms > 0);
	assert_string_equal(now->commit->failure, "REPOSITORY_UNREACHABLE");
	end(w, owed, "PUSH_REFUSED", false);
	now = world_get(w, TABLE_OWED, key, &sluice__store__v1__owed_record__descriptor);
	assert_true(now->parked);
	assert_int_equal(now->next_ms, 0);
	Sluice__V1__RetryOwedRequest retry = SLUICE__V1__RETRY_OWED_REQUEST__INIT;
	retry.repository = "web";
	retry.owed = owed->commit->id;
	(void)world_call(w, "RetryOwed", &retry);
	now = world_get(w, TABLE_OWED, key, &sluice__store__v1__owed_record__descriptor);
	assert_false(now->parked);
	Sluice__V1__DropOwedRequest drop = SLUICE__V1__DROP_OWED_REQUEST__INIT;
	drop.repository = "web";
	drop.owed = owed->commit->id;
	(void)world_call(w, "DropOwed", &drop);
	assert_int_equal(owed_commits(w, web->id), 0);
	world_refuse(w, "DropOwed", &drop, SL_NOT_FOUND, SL_REASON_OWED_NOT_FOUND);
}

static void test_commits_refresh_makes_them_due_and_follows_when_asked(void **state)
{
	struct world *w = *state;
	Sluice__V1__Repository *web = world_repository(w, "web", TAGS);
	(void)world_app(w, "shop", "web");
	end(w, owed_now(w, web->id), "", false);
	struct record_key branch = KEY(WORLD, key_text(k, web->id));
	assert_int_equal(world_count(w, TABLE_BRANCHES, branch), 1);
	(void)world_version(w, "shop", "v2");
	end(w, owed_now(w, web->id), "HISTORY_REWRITTEN", false);
	Sluice__V1__RefreshRepositoryRequest request = SLUICE__V1__REFRESH_REPOSITORY_REQUEST__INIT;
	request.repository = "web";
	Sluice__V1__RefreshRepositoryResponse *got = world_call(w, "RefreshRepository", &request);
	assert_int_equal(got->committing, 1);
	assert_int_equal(world_count(w, TABLE_BRANCHES, branch), 1);
	request.follow = true;
	(void)world_call(w, "RefreshRepository", &request);
	assert_int_equal(world_count(w, TABLE_BRANCHES, branch), 0);
}

static void test_commits_go_with_their_app(void **state)
{
	struct world *w = *state;
	Sluice__V1__Repository *web = world_repository(w, "web", TAGS);
	(void)world_app(w, "shop", "web");
	(void)world_app(w, "blog", "web");
	Sluice__V1__DeleteAppRequest request = SLUICE__V1__DELETE_APP_REQUEST__INIT;
	request.app = "shop";
	(void)world_call(w, "DeleteApp", &request);
	assert_int_equal(owed_commits(w, web->id), 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, world_setup, world_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(test_commits_are_owed_by_the_command_itself),
	    TEST(test_commits_move_the_path_once_they_are_in_git),
	    TEST(test_commits_rename_onto_another_apps_folder_is_refused),
	    TEST(test_commits_can_be_declined),
	    TEST(test_commits_of_promotions_by_the_repositorys_option),
	    TEST(test_commits_that_fail_wait_or_are_parked),
	    TEST(test_commits_refresh_makes_them_due_and_follows_when_asked),
	    TEST(test_commits_go_with_their_app),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
