/* RepositoryService on a real store: what is made, found, listed, refreshed, removed, and what is
 * refused. */
#include "tests/unit/server/records/world.h"

#include <string.h>

#define TAGS SLUICE__V1__PUBLISH_MODE__PUBLISH_MODE_TAGS
#define NONE SLUICE__V1__PUBLISH_MODE__PUBLISH_MODE_NONE
#define CREATED SLUICE__V1__EVENT_TYPE__EVENT_TYPE_CREATED
#define UPDATED SLUICE__V1__EVENT_TYPE__EVENT_TYPE_UPDATED
#define DELETED SLUICE__V1__EVENT_TYPE__EVENT_TYPE_DELETED
#define KIND_REPOSITORY SLUICE__V1__EVENT_KIND__EVENT_KIND_REPOSITORY
#define KIND_VERSION SLUICE__V1__EVENT_KIND__EVENT_KIND_VERSION

static void test_repositories_create(void **state)
{
	struct world *w = *state;
	Sluice__V1__Repository *made =
	    world_repository(w, "web", SLUICE__V1__PUBLISH_MODE__PUBLISH_MODE_UNSPECIFIED);
	assert_string_equal(made->name, "web");
	assert_string_equal(made->url, "https://example.com/git/web.git");
	assert_int_equal(made->publish, TAGS);
	assert_string_equal(made->created_by, "tester");
	assert_int_equal(made->revision, w->revision);
	assert_true(world_has_event(w, CREATED, KIND_REPOSITORY));
	assert_int_equal(world_repository(w, "docs", NONE)->publish, NONE);
}

static void test_repositories_create_is_refused(void **state)
{
	struct world *w = *state;
	Sluice__V1__WriteOptions expecting = SLUICE__V1__WRITE_OPTIONS__INIT;
	expecting.expected_revision = 3;
	(void)world_repository(w, "web", TAGS);
	const struct {
		const char *name, *url, *branch;
		int publish;
		Sluice__V1__WriteOptions *write;
		sl_code code;
		enum sl_reason reason;
	} cases[] = {
	    {"web", "https://h/x", "", 0, NULL, SL_ALREADY_EXISTS, SL_REASON_NAME_TAKEN},
	    {"new", "https://h/x", "", 0, &expecting, SL_INVALID_ARGUMENT, SL_REASON_MALFORMED},
	    {"", "https://h/x", "", 0, NULL, SL_INVALID_ARGUMENT, SL_REASON_NAME_INVALID},
	    {"New", "https://h/x", "", 0, NULL, SL_INVALID_ARGUMENT, SL_REASON_NAME_INVALID},
	    {"new", "", "", 0, NULL, SL_INVALID_ARGUMENT, SL_REASON_MALFORMED},
	    {"new", "ext::sh -c x", "", 0, NULL, SL_INVALID_ARGUMENT, SL_REASON_URL_NOT_ALLOWED},
	    {"new", "-x", "", 0, NULL, SL_INVALID_ARGUMENT, SL_REASON_URL_NOT_ALLOWED},
	    {"new", "https://me:secret@h/x", "", 0, NULL, SL_INVALID_ARGUMENT,
	     SL_REASON_URL_NOT_ALLOWED},
	    {"new", "https://h/x", "a b", 0, NULL, SL_INVALID_ARGUMENT, SL_REASON_MALFORMED},
	    {"new", "https://h/x", "-b", 0, NULL, SL_INVALID_ARGUMENT, SL_REASON_MALFORMED},
	    {"new", "https://h/x", "", 7, NULL, SL_INVALID_ARGUMENT, SL_REASON_MALFORMED},
	};
	for (size_t i = 0; i < SL_COUNT(cases); i++) {
		Sluice__V1__CreateRepositoryRequest request =
		    SLUICE__V1__CREATE_REPOSITORY_REQUEST__INIT;
		request.name = (char *)cases[i].name;
		request.url = (char *)cases[i].url;
		request.branch = (char *)cases[i].branch;
		request.publish = (Sluice__V1__PublishMode)cases[i].publish;
		request.write = cases[i].write;
		world_refuse(w, "CreateRepository", &request, cases[i].code, cases[i].reason);
		assert_null(strstr(w->err.msg, "secret"));
	}
	assert_int_equal(world_count(w, TABLE_REPOSITORIES, key_of(WORLD)), 1);
}

static void test_repositories_get_by_name_and_id(void **state)
{
	struct world *w = *state;
	Sluice__V1__Repository *made = world_repository(w, "web", TAGS);
	const char *const wanted[] = {"web", made->id};
	for (size_t i = 0; i < SL_COUNT(wanted); i++) {
		Sluice__V1__GetRepositoryRequest request = SLUICE__V1__GET_REPOSITORY_REQUEST__INIT;
		request.repository = (char *)wanted[i];
		Sluice__V1__GetRepositoryResponse *got = world_call(w, "GetRepository", &request);
		assert_string_equal(got->repository->id, made->id);
		assert_non_null(strstr(got->repository->contact->text, made->id));
	}
	Sluice__V1__GetRepositoryRequest request = SLUICE__V1__GET_REPOSITORY_REQUEST__INIT;
	world_refuse(w, "GetRepository", &request, SL_INVALID_ARGUMENT, SL_REASON_MALFORMED);
	request.repository = (char *)"docs";
	world_refuse(w, "GetRepository", &request, SL_NOT_FOUND, SL_REASON_REPOSITORY_NOT_FOUND);
}

static void test_repositories_list_pages_by_name(void **state)
{
	struct world *w = *state;
	static const char *const names[] = {"c", "a", "e", "b", "d"};
	for (size_t i = 0; i < SL_COUNT(names); i++) {
		(void)world_repository(w, names[i], TAGS);
	}
	Sluice__V1__PageRequest page = SLUICE__V1__PAGE_REQUEST__INIT;
	Sluice__V1__ListRepositoriesRequest request = SLUICE__V1__LIST_REPOSITORIES_REQUEST__INIT;
	page.page_size = 2;
	request.page = &page;
	char seen[8] = "";
	size_t size = 0;
	for (size_t pages = 1;; pages++) {
		Sluice__V1__ListRepositoriesResponse *got =
		    world_call(w, "ListRepositories", &request);
		for (size_t i = 0; i < got->n_repositories; i++) {
			seen[size++] = got->repositories[i]->name[0];
		}
		page.page_token = got->page->next_page_token;
		if (page.page_token[0] == '\0') {
			assert_int_equal(pages, 3);
			break;
		}
	}
	assert_string_equal(seen, "abcde");
	page.page_token = (char *)"";
	request.url = (char *)"https://example.com/git/d.git";
	Sluice__V1__ListRepositoriesResponse *got = world_call(w, "ListRepositories", &request);
	assert_int_equal(got->n_repositories, 1);
	assert_string_equal(got->repositories[0]->name, "d");
}

static Sluice__V1__RefreshRepositoryResponse *refresh(struct world *w, const char *name)
{
	Sluice__V1__RefreshRepositoryRequest request = SLUICE__V1__REFRESH_REPOSITORY_REQUEST__INIT;
	request.repository = (char *)name;
	return world_call(w, "RefreshRepository", &request);
}

static Sluice__Store__V1__OwedRecord *owed(struct world *w, Sluice__Store__V1__OwedKind kind,
					   const char *app, uint32_t number)
{
	return world_get(w, TABLE_OWED, owed_key(WORLD, kind, world_app_record(w, app)->id, number),
			 &sluice__store__v1__owed_record__descriptor);
}

static void test_repositories_refresh_looks_again_for_what_was_unreachable(void **state)
{
	struct world *w = *state;
	(void)world_repository(w, "web", TAGS);
	(void)world_repository(w, "other", TAGS);
	(void)world_app(w, "shop", "web");
	(void)world_app(w, "blog", "web");
	(void)world_app(w, "wiki", "other");
	world_failed(w, "shop", "v1",
		     SLUICE__V1__CONTENT_REASON__CONTENT_REASON_REPOSITORY_UNREACHABLE);
	world_failed(w, "blog", "v1", SLUICE__V1__CONTENT_REASON__CONTENT_REASON_PATH_NOT_FOUND);
	world_failed(w, "wiki", "v1",
		     SLUICE__V1__CONTENT_REASON__CONTENT_REASON_REPOSITORY_UNREACHABLE);
	assert_int_equal(owed(w, 1, "shop", 1)->attempts, 1);
	assert_int_not_equal(owed(w, 1, "shop", 1)->next_ms, 0);
	Sluice__V1__RefreshRepositoryResponse *got = refresh(w, "web");
	assert_int_equal(got->resolving, 1);
	assert_int_equal(got->publishing, 0);
	assert_true(world_has_event(w, UPDATED, KIND_VERSION));
	assert_int_equal(w->event_count, 1);
	assert_int_equal(owed(w, 1, "shop", 1)->next_ms, 0);
	assert_int_not_equal(owed(w, 1, "wiki", 1)->next_ms, 0);
	assert_int_equal(world_get_version(w, "shop", "v1")->content->state,
			 SLUICE__V1__CONTENT_STATE__CONTENT_STATE_RESOLVING);
	assert_int_equal(world_get_version(w, "blog", "v1")->content->reason,
			 SLUICE__V1__CONTENT_REASON__CONTENT_REASON_PATH_NOT_FOUND);
	got = refresh(w, "web"); /* it is queued already */
	assert_int_equal(got->resolving, 1);
	assert_int_equal(w->revision, 0);
}

static sl_code park(struct decision *d, const void *in, void *out, struct sl_err *err)
{
	(void)out;
	return versions_decide_publish_result(d, in, err);
}

static void test_repositories_refresh_tries_parked_tags_again(void **state)
{
	struct world *w = *state;
	(void)world_repository(w, "web", TAGS);
	(void)world_app(w, "shop", "web");
	world_ready(w, "shop", "v1", 7);
	Sluice__V1__SealVersionRequest seal = SLUICE__V1__SEAL_VERSION_REQUEST__INIT;
	seal.app = (char *)"shop";
	seal.version = (char *)"v1";
	(void)world_call(w, "SealVersion", &seal);
	struct version_publish_result refused = {
	    .app_id = world_app_record(w, "shop")->id,
	    .version = 1,
	    .reason = SLUICE__V1__CONTENT_REASON__CONTENT_REASON_PUSH_REFUSED,
	    .text = "no",
	};
	assert_int_equal(world_run(w, park, &refused, NULL), SL_OK);
	assert_true(owed(w, 2, "shop", 1)->parked);
	assert_int_equal(world_get_version(w, "shop", "v1")->publication->state,
			 SLUICE__V1__PUBLICATION_STATE__PUBLICATION_STATE_PARKED);
	uint64_t revision = world_get_version(w, "shop", "v1")->revision;
	assert_int_equal(refresh(w, "web")->publishing, 1);
	assert_false(owed(w, 2, "shop", 1)->parked);
	assert_int_equal(world_get_version(w, "shop", "v1")->publication->state,
			 SLUICE__V1__PUBLICATION_STATE__PUBLICATION_STATE_OWED);
	assert_int_equal(world_get_version(w, "shop", "v1")->revision, revision);
}

static void test_repositories_delete(void **state)
{
	struct world *w = *state;
	Sluice__V1__WriteOptions write = SLUICE__V1__WRITE_OPTIONS__INIT;
	Sluice__V1__Repository *made = world_repository(w, "web", TAGS);
	(void)world_app(w, "shop", "web");
	Sluice__V1__DeleteRepositoryRequest request = SLUICE__V1__DELETE_REPOSITORY_REQUEST__INIT;
	request.repository = (char *)"web";
	world_refuse(w, "DeleteRepository", &request, SL_FAILED_PRECONDITION,
		     SL_REASON_REPOSITORY_IN_USE);
	assert_non_null(strstr(w->err.msg, "'shop'"));
	Sluice__V1__DeleteAppRequest delete_app = SLUICE__V1__DELETE_APP_REQUEST__INIT;
	delete_app.app = (char *)"shop";
	(void)world_call(w, "DeleteApp", &delete_app);
	write.expected_revision = made->revision + 1;
	request.write = &write;
	world_refuse(w, "DeleteRepository", &request, SL_ABORTED, SL_REASON_STALE_REVISION);
	write.expected_revision = made->revision;
	(void)world_call(w, "DeleteRepository", &request);
	assert_true(world_has_event(w, DELETED, KIND_REPOSITORY));
	assert_int_equal(world_count(w, TABLE_REPOSITORIES, key_of(WORLD)), 0);
	assert_int_equal(world_count(w, TABLE_REPOSITORIES_BY_NAME, key_of(WORLD)), 0);
	world_refuse(w, "DeleteRepository", &request, SL_NOT_FOUND, SL_REASON_REPOSITORY_NOT_FOUND);
	assert_string_not_equal(world_repository(w, "web", TAGS)->id, made->id);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, world_setup, world_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(test_repositories_create),
	    TEST(test_repositories_create_is_refused),
	    TEST(test_repositories_get_by_name_and_id),
	    TEST(test_repositories_list_pages_by_name),
	    TEST(test_repositories_refresh_looks_again_for_what_was_unreachable),
	    TEST(test_repositories_refresh_tries_parked_tags_again),
	    TEST(test_repositories_delete),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
