/* Apps made of what Git has already: sealed in the command that makes them, or not made at all. */
#include "tests/unit/server/records/world.h"

#include <string.h>

#include "server/records/apps.h"
#include "server/records/versions.h"

#define TAGS SLUICE__V1__PUBLISH_MODE__PUBLISH_MODE_TAGS

static sl_code import_decide(struct decision *d, const void *in, void *out, struct sl_err *err)
{
	return apps_decide_create(d, in, out, err);
}

static const uint8_t found_digest[32] = {1, 2, 3, 4, 5, 6, 7};

static struct version_content_result found_content(void)
{
	return (struct version_content_result){
	    .commit = "0123456789abcdef0123456789abcdef01234567",
	    .tree = "89abcdef0123456789abcdef0123456789abcdef",
	    .ref = "refs/heads/main",
	    .digest = found_digest,
	    .files = 2,
	    .bytes = 20,
	    .subject = "Begin",
	    .author = "Ann <ann@example.com>",
	    .commit_s = 1700000000,
	};
}

static struct app_new imported(const struct version_content_result *found)
{
	return (struct app_new){.name = "my-app",
				.display_name = "My App",
				.repository = "web",
				.repository_url = "",
				.path = "My App",
				.version_name = "v7",
				.commit = "main",
				.no_commit = true,
				.found = found};
}

static void test_imports_are_sealed_in_the_command_that_makes_them(void **state)
{
	struct world *w = *state;
	(void)world_repository(w, "web", TAGS);
	const struct version_content_result found = found_content();
	const struct app_new wanted = imported(&found);
	struct app_created created = {.app = NULL};
	assert_int_equal(world_run(w, import_decide, &wanted, &created), SL_OK);
	Sluice__V1__Version *v7 = world_get_version(w, "my-app", "v7");
	assert_int_equal(v7->state, SLUICE__V1__VERSION_STATE__VERSION_STATE_SEALED);
	assert_int_equal(v7->content->state, SLUICE__V1__CONTENT_STATE__CONTENT_STATE_READY);
	assert_string_equal(v7->content->commit, found.commit);
	assert_string_equal(v7->content->asked, "main");
	assert_string_equal(v7->environment, "development");
	assert_int_equal(v7->created_at->seconds, v7->sealed_at->seconds);
	assert_int_equal(v7->publication->state,
			 SLUICE__V1__PUBLICATION_STATE__PUBLICATION_STATE_OWED);
	/* The tag and nothing else: neither a look at Git nor a commit on the branch. */
	assert_int_equal(world_count(w, TABLE_OWED, key_of(WORLD)), 1);
	assert_int_equal(world_count(w, TABLE_PUBLICATIONS, key_of(WORLD)), 1);
	assert_string_equal(world_app_record(w, "my-app")->display_name, "My App");
	assert_int_equal(world_app_record(w, "my-app")->version_count, 1);
}

static void test_imports_from_what_is_only_read_are_published_as_they_are(void **state)
{
	struct world *w = *state;
	(void)world_repository(w, "web", SLUICE__V1__PUBLISH_MODE__PUBLISH_MODE_NONE);
	const struct version_content_result found = found_content();
	const struct app_new wanted = imported(&found);
	struct app_created created = {.app = NULL};
	assert_int_equal(world_run(w, import_decide, &wanted, &created), SL_OK);
	Sluice__V1__Publication *in_git = world_get_version(w, "my-app", "v7")->publication;
	assert_int_equal(in_git->state, SLUICE__V1__PUBLICATION_STATE__PUBLICATION_STATE_PUBLISHED);
	assert_string_equal(in_git->commit, found.commit);
	assert_int_equal(world_count(w, TABLE_OWED, key_of(WORLD)), 0);
}

static void test_imports_are_refused_before_git_is_asked(void **state)
{
	struct world *w = *state;
	(void)world_repository(w, "web", TAGS);
	Sluice__V1__CreateAppRequest request = SLUICE__V1__CREATE_APP_REQUEST__INIT;
	request.name = (char *)"there";
	request.repository = (char *)"web";
	request.path = (char *)"My App";
	(void)world_call(w, "CreateApp", &request);
	const struct version_content_result found = found_content();
	struct app_new wanted = imported(&found);
	struct app_created created = {.app = NULL};
	assert_int_equal(world_run(w, import_decide, &wanted, &created), SL_ALREADY_EXISTS);
	assert_int_equal(w->err.reason, SL_REASON_PATH_TAKEN);
	assert_non_null(strstr(w->err.msg, "'there'"));
	wanted.path = "other";
	wanted.name = "there";
	assert_int_equal(world_run(w, import_decide, &wanted, &created), SL_ALREADY_EXISTS);
	assert_int_equal(w->err.reason, SL_REASON_NAME_TAKEN);
	assert_int_equal(world_count(w, TABLE_APPS, key_of(WORLD)), 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, world_setup, world_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(test_imports_are_sealed_in_the_command_that_makes_them),
	    TEST(test_imports_from_what_is_only_read_are_published_as_they_are),
	    TEST(test_imports_are_refused_before_git_is_asked),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
