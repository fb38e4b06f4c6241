/* DiffVersions: which two are compared, what is answered when Git is done, and what is refused. */
#include "tests/unit/server/services/calls.h"

#include <string.h>

#define COMMIT "0123456789abcdef0123456789abcdef01234567"

static Sluice__V1__DiffVersionsRequest *diff_request(struct world *w, const char *from,
						     const char *version)
{
	Sluice__V1__DiffVersionsRequest *request =
	    SL_ARENA_NEW(&w->arena, Sluice__V1__DiffVersionsRequest);
	sluice__v1__diff_versions_request__init(request);
	request->app = (char *)"shop";
	request->from = (char *)from;
	request->version = (char *)version;
	return request;
}

static int setup(void **state)
{
	(void)world_setup(state);
	struct world *w = *state;
	memset(&world_diff, 0, sizeof(world_diff));
	(void)world_repository(w, "web", SLUICE__V1__PUBLISH_MODE__PUBLISH_MODE_TAGS);
	Sluice__V1__CreateAppRequest request = SLUICE__V1__CREATE_APP_REQUEST__INIT;
	request.name = (char *)"shop";
	request.repository = (char *)"web";
	request.path = (char *)".";
	(void)world_call(w, "CreateApp", &request);
	(void)world_version(w, "shop", "v2");
	(void)world_version(w, "shop", "v3");
	world_ready(w, "shop", "v1", 1);
	world_ready(w, "shop", "v2", 2);
	return 0;
}

static void test_diff_compares_with_the_version_that_it_derives_from(void **state)
{
	struct world *w = *state;
	struct git_diff_entry entries[] = {
	    {.change = 'A', .path = (char *)"a.txt", .new_bytes = 5},
	    {.change = 'D', .path = (char *)"b.txt", .old_bytes = 6},
	    {.change = 'M', .path = (char *)"c.txt", .old_bytes = 7, .new_bytes = 8},
	};
	world_diff.result.diff = entries;
	world_diff.result.diff_count = SL_COUNT(entries);
	world_diff.result.diff_cut = true;
	Sluice__V1__DiffVersionsResponse *got = NULL;
	assert_int_equal(calls_make(w, "DiffVersions", diff_request(w, "", "v2"), &got), SL_OK);
	assert_string_equal(got->from->name, "v1");
	assert_string_equal(got->to->name, "v2");
	assert_string_equal(world_diff.asked, COMMIT ": " COMMIT ":"); /* the root is "" for Git */
	assert_int_equal(got->n_files, 3);
	assert_int_equal(got->files[0]->change, SLUICE__V1__FILE_CHANGE__FILE_CHANGE_ADDED);
	assert_int_equal(got->files[1]->change, SLUICE__V1__FILE_CHANGE__FILE_CHANGE_DELETED);
	assert_int_equal(got->files[2]->change, SLUICE__V1__FILE_CHANGE__FILE_CHANGE_MODIFIED);
	assert_string_equal(got->files[2]->path, "c.txt");
	assert_int_equal(got->files[2]->old_bytes, 7);
	assert_int_equal(got->files[2]->new_bytes, 8);
	assert_true(got->cut);
	assert_int_equal(calls_make(w, "DiffVersions", diff_request(w, "v2", "v1"), &got), SL_OK);
	assert_string_equal(got->from->name, "v2");
}

static void test_diff_is_refused(void **state)
{
	struct world *w = *state;
	static const struct {
		const char *from, *version;
		sl_code code;
		enum sl_reason reason;
	} cases[] = {
	    {"", "v1", SL_NOT_FOUND, SL_REASON_VERSION_NOT_FOUND}, /* the app's first */
	    {"v9", "v1", SL_NOT_FOUND, SL_REASON_VERSION_NOT_FOUND},
	    {"v1", "v9", SL_NOT_FOUND, SL_REASON_VERSION_NOT_FOUND},
	    {"v1", "v3", SL_FAILED_PRECONDITION, SL_REASON_CONTENT_NOT_READY},
	    {"v3", "v1", SL_FAILED_PRECONDITION, SL_REASON_CONTENT_NOT_READY},
	    {"v1", "", SL_INVALID_ARGUMENT, SL_REASON_MALFORMED},
	};
	for (size_t i = 0; i < SL_COUNT(cases); i++) {
		Sluice__V1__DiffVersionsRequest *request =
		    diff_request(w, cases[i].from, cases[i].version);
		assert_int_equal(calls_make(w, "DiffVersions", request, NULL), cases[i].code);
		assert_int_equal(w->err.reason, cases[i].reason);
	}
	assert_string_equal(world_diff.asked, "");
}

static void test_diff_tells_how_git_failed(void **state)
{
	struct world *w = *state;
	world_diff.result.failure = GIT_WORKER_FAILED;
	assert_int_equal(calls_make(w, "DiffVersions", diff_request(w, "", "v2"), NULL),
			 SL_UNAVAILABLE);
	assert_non_null(strstr(w->err.msg, "'v2'"));
	world_diff.result.failure = GIT_COMMIT_GONE;
	assert_int_equal(calls_make(w, "DiffVersions", diff_request(w, "", "v2"), NULL),
			 SL_FAILED_PRECONDITION);
	assert_non_null(strstr(w->err.msg, "COMMIT_GONE"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, world_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(test_diff_compares_with_the_version_that_it_derives_from),
	    TEST(test_diff_is_refused),
	    TEST(test_diff_tells_how_git_failed),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
