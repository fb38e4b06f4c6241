/* ListImportable and ImportApp: what is told of a repository, what becomes of what Git said, and
 * what is refused without asking it. */
#include "tests/unit/server/services/calls.h"

#include <string.h>

#define COMMIT "0123456789abcdef0123456789abcdef01234567"
#define TREE "89abcdef0123456789abcdef0123456789abcdef"

static struct git_app apps[] = {
    {.name = "Shop",
     .path = "apps/shop",
     .last = {.commit = COMMIT, .subject = "Cart", .author = "Ada", .unix_s = 5}},
    {.name = "My App", .path = "My App", .version = "v7"},
    {.name = "...", .path = "odd", .version = "no version name"},
};

static int setup(void **state)
{
	(void)world_setup(state);
	struct world *w = *state;
	(void)world_repository(w, "web", SLUICE__V1__PUBLISH_MODE__PUBLISH_MODE_TAGS);
	(void)world_app(w, "shop", "web");
	world_reading = (struct world_reading){.result = {.failure = GIT_OK,
							  .commit = COMMIT,
							  .ref = "refs/heads/main",
							  .apps = apps,
							  .app_count = SL_COUNT(apps)}};
	return 0;
}

static Sluice__V1__ListImportableRequest *list_request(struct world *w, const char *commit)
{
	Sluice__V1__ListImportableRequest *request =
	    SL_ARENA_NEW(&w->arena, Sluice__V1__ListImportableRequest);
	sluice__v1__list_importable_request__init(request);
	request->repository = (char *)"web";
	request->commit = (char *)commit;
	return request;
}

static void test_import_lists_names_commits_and_what_is_there(void **state)
{
	struct world *w = *state;
	Sluice__V1__ListImportableResponse *got = NULL;
	assert_int_equal(calls_make(w, "ListImportable", list_request(w, "main"), &got), SL_OK);
	char asked[64];
	(void)snprintf(asked, sizeof(asked), "%d main:.", (int)GIT_APPS);
	assert_string_equal(world_reading.asked, asked);
	assert_string_equal(got->commit, COMMIT);
	assert_string_equal(got->ref, "refs/heads/main");
	assert_false(got->cut);
	assert_int_equal(got->n_apps, 3);
	assert_string_equal(got->apps[0]->name, "shop");
	assert_string_equal(got->apps[0]->display_name, "Shop");
	assert_string_equal(got->apps[0]->app, "shop");
	assert_string_equal(got->apps[0]->app_id, world_app_record(w, "shop")->id);
	assert_string_equal(got->apps[0]->version_name, "v1");
	assert_string_equal(got->apps[0]->last_commit->message, "Cart");
	assert_int_equal(got->apps[0]->last_commit->at->seconds, 5);
	assert_string_equal(got->apps[1]->name, "my-app");
	assert_string_equal(got->apps[1]->version_name, "v7");
	assert_string_equal(got->apps[1]->app, "");
	assert_null(got->apps[1]->last_commit);
	assert_string_equal(got->apps[2]->name, "app");
	assert_string_equal(got->apps[2]->version_name, "v1");
}

static void test_import_list_tells_how_git_failed(void **state)
{
	struct world *w = *state;
	world_reading.result.failure = GIT_REPOSITORY_UNREACHABLE;
	assert_int_equal(calls_make(w, "ListImportable", list_request(w, ""), NULL),
			 SL_UNAVAILABLE);
	world_reading.result.failure = GIT_LOGIN_REFUSED;
	assert_int_equal(calls_make(w, "ListImportable", list_request(w, ""), NULL),
			 SL_FAILED_PRECONDITION);
	assert_int_equal(w->err.reason, SL_REASON_CONTENT_NOT_READY);
	assert_non_null(strstr(w->err.msg, "'web'"));
	assert_non_null(strstr(w->err.msg, "LOGIN_REFUSED"));
	Sluice__V1__ListImportableRequest *request = list_request(w, "-x");
	assert_int_equal(calls_make(w, "ListImportable", request, NULL), SL_INVALID_ARGUMENT);
	request = list_request(w, "");
	request->repository = (char *)"none";
	assert_int_equal(calls_make(w, "ListImportable", request, NULL), SL_NOT_FOUND);
}

/* --- ImportApp --- */

static Sluice__V1__ImportAppRequest *import_request(struct world *w, const char *name,
						    const char *path)
{
	Sluice__V1__ImportAppRequest *request =
	    SL_ARENA_NEW(&w->arena, Sluice__V1__ImportAppRequest);
	sluice__v1__import_app_request__init(request);
	request->name = (char *)name;
	request->repository = (char *)"web";
	request->path = (char *)path;
	request->commit = (char *)"main";
	return request;
}

static void test_import_makes_the_app_of_what_git_found(void **state)
{
	struct world *w = *state;
	Sluice__V1__ImportAppResponse *got = NULL;
	memset(world_reading.result.digest, 7, sizeof(world_reading.result.digest));
	world_reading.result.sluice_json = (char *)"{\"requires\":{\"secrets\":[\"KEY\"]}}";
	assert_int_equal(calls_make(w, "ImportApp", import_request(w, "root", "."), &got), SL_OK);
	char asked[64];
	(void)snprintf(asked, sizeof(asked), "%d main:.", (int)GIT_RESOLVE);
	assert_string_equal(world_reading.asked, asked);
	assert_string_equal(got->app->path, ".");
	assert_string_equal(got->app->repository, "web");
	assert_int_equal(got->version->state, SLUICE__V1__VERSION_STATE__VERSION_STATE_SEALED);
	assert_int_equal(got->version->publication->state,
			 SLUICE__V1__PUBLICATION_STATE__PUBLICATION_STATE_OWED);
	assert_int_equal(got->result->revision, got->app->revision);
	const ProtobufCBinaryData packed = world_version_record(w, "root", "v1")->content->contract;
	const Sluice__V1__Contract *contract =
	    sluice__v1__contract__unpack(sl_arena_protobuf(&w->arena), packed.len, packed.data);
	assert_int_equal(contract->n_secrets, 1);
	assert_string_equal(contract->secrets[0], "KEY");
}

static void test_import_is_refused_without_asking_git(void **state)
{
	struct world *w = *state;
	static const struct {
		const char *name, *path;
		sl_code code;
		enum sl_reason reason;
	} cases[] = {
	    {"shop", "apps/other", SL_ALREADY_EXISTS, SL_REASON_NAME_TAKEN},
	    {"other", "apps/shop", SL_ALREADY_EXISTS, SL_REASON_PATH_TAKEN},
	    {"shop", "apps/shop", SL_ALREADY_EXISTS, SL_REASON_PATH_TAKEN},
	    {"other", "", SL_INVALID_ARGUMENT, SL_REASON_MALFORMED},
	    {"other", "a/../b", SL_INVALID_ARGUMENT, SL_REASON_MALFORMED},
	    {"My App", "a", SL_INVALID_ARGUMENT, SL_REASON_NAME_INVALID},
	};
	for (size_t i = 0; i < SL_COUNT(cases); i++) {
		Sluice__V1__ImportAppRequest *request =
		    import_request(w, cases[i].name, cases[i].path);
		assert_int_equal(calls_make(w, "ImportApp", request, NULL), cases[i].code);
		assert_int_equal(w->err.reason, cases[i].reason);
	}
	assert_string_equal(world_reading.asked, "");
}

static void test_import_makes_nothing_of_what_git_refuses(void **state)
{
	struct world *w = *state;
	world_reading.result.failure = GIT_PATH_NOT_FOUND;
	Sluice__V1__ImportAppRequest *request = import_request(w, "other", "apps/other");
	assert_int_equal(calls_make(w, "ImportApp", request, NULL), SL_FAILED_PRECONDITION);
	assert_int_equal(w->err.reason, SL_REASON_CONTENT_NOT_READY);
	assert_non_null(strstr(w->err.msg, "'apps/other'"));
	assert_non_null(strstr(w->err.msg, "PATH_NOT_FOUND"));
	world_reading.result.failure = GIT_OUT_OF_MEMORY;
	assert_int_equal(calls_make(w, "ImportApp", request, NULL), SL_UNAVAILABLE);
	/* Nor of what a worker says that is not to be believed. */
	world_reading.result.failure = GIT_OK;
	world_reading.result.sluice_json = (char *)"{\"needs\":1}";
	assert_int_equal(calls_make(w, "ImportApp", request, NULL), SL_FAILED_PRECONDITION);
	assert_non_null(strstr(w->err.msg, "'needs'"));
	assert_int_equal(world_count(w, TABLE_APPS, key_of(WORLD)), 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, world_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(test_import_lists_names_commits_and_what_is_there),
	    TEST(test_import_list_tells_how_git_failed),
	    TEST(test_import_makes_the_app_of_what_git_found),
	    TEST(test_import_is_refused_without_asking_git),
	    TEST(test_import_makes_nothing_of_what_git_refuses),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
