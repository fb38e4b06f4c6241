/* VersionService on a real store: versions made, given content, renamed, sealed, deleted, listed.
 */
#include "tests/unit/server/records/world.h"

#include <stdio.h>
#include <string.h>

#define TAGS SLUICE__V1__PUBLISH_MODE__PUBLISH_MODE_TAGS
#define NONE SLUICE__V1__PUBLISH_MODE__PUBLISH_MODE_NONE
#define RESOLVING SLUICE__V1__CONTENT_STATE__CONTENT_STATE_RESOLVING
#define READY SLUICE__V1__CONTENT_STATE__CONTENT_STATE_READY
#define SEALED SLUICE__V1__VERSION_STATE__VERSION_STATE_SEALED
#define OWED SLUICE__V1__PUBLICATION_STATE__PUBLICATION_STATE_OWED
#define PUBLISHED SLUICE__V1__PUBLICATION_STATE__PUBLICATION_STATE_PUBLISHED
#define OWED_RESOLVE SLUICE__STORE__V1__OWED_KIND__OWED_KIND_RESOLVE
#define OWED_PUBLISH SLUICE__STORE__V1__OWED_KIND__OWED_KIND_PUBLISH
#define CREATED SLUICE__V1__EVENT_TYPE__EVENT_TYPE_CREATED
#define UPDATED SLUICE__V1__EVENT_TYPE__EVENT_TYPE_UPDATED
#define DELETED SLUICE__V1__EVENT_TYPE__EVENT_TYPE_DELETED
#define KIND_APP SLUICE__V1__EVENT_KIND__EVENT_KIND_APP
#define KIND_VERSION SLUICE__V1__EVENT_KIND__EVENT_KIND_VERSION
#define KIND_SELECTION SLUICE__V1__EVENT_KIND__EVENT_KIND_SELECTION

static int setup(void **state)
{
	(void)world_setup(state);
	(void)world_repository(*state, "web", TAGS);
	(void)world_app(*state, "shop", "web");
	return 0;
}

static Sluice__Store__V1__OwedRecord *owed(struct world *w, Sluice__Store__V1__OwedKind kind,
					   uint32_t number)
{
	return world_get(w, TABLE_OWED,
			 owed_key(WORLD, kind, world_app_record(w, "shop")->id, number),
			 &sluice__store__v1__owed_record__descriptor);
}

/* --- create ---------------------------------------------------------------------------- */

static Sluice__V1__CreateVersionRequest *create_request(struct world *w, const char *name,
							const char *from, const char *commit)
{
	Sluice__V1__CreateVersionRequest *request =
	    SL_ARENA_NEW(&w->arena, Sluice__V1__CreateVersionRequest);
	sluice__v1__create_version_request__init(request);
	request->app = (char *)"shop";
	request->name = (char *)name;
	request->from = (char *)from;
	request->commit = (char *)commit;
	return request;
}

static Sluice__V1__Version *create(struct world *w, const char *name, const char *from,
				   const char *commit)
{
	Sluice__V1__CreateVersionResponse *got =
	    world_call(w, "CreateVersion", create_request(w, name, from, commit));
	return got->version;
}

static void test_versions_create_derives_from_the_newest_in_development(void **state)
{
	struct world *w = *state;
	Sluice__V1__Version *v2 = create(w, "v2", "", "");
	assert_string_equal(v2->derived_from->name, "v1");
	assert_int_equal(v2->content->state, RESOLVING);
	assert_string_equal(v2->content->asked, "");
	assert_string_equal(v2->environment, "development");
	assert_true(world_has_event(w, CREATED, KIND_VERSION));
	assert_true(world_has_event(w, UPDATED, KIND_APP));
	assert_int_equal(world_app_record(w, "shop")->version_count, 2);
	assert_int_equal(world_app_record(w, "shop")->revision, w->revision);
	world_ready(w, "shop", "v2", 2);
	world_promote(w, "shop", "v2");
	assert_string_equal(create(w, "v3", "", "")->derived_from->name, "v1");
	assert_string_equal(create(w, "v4", "V2", "")->derived_from->name, "v2");
	assert_string_equal(create(w, "v5", v2->id, "main")->derived_from->name, "v2");
}

static void test_versions_create_takes_the_content_of_an_explicit_origin(void **state)
{
	struct world *w = *state;
	world_ready(w, "shop", "v1", 1);
	Sluice__V1__Version *v2 = create(w, "v2", "v1", "");
	assert_int_equal(v2->content->state, READY);
	assert_int_equal(v2->content->digest.len, 32);
	assert_int_equal(v2->content->digest.data[0], 1);
	assert_string_equal(v2->content->ref, "refs/heads/main");
	assert_null(owed(w, OWED_RESOLVE, 2));
	Sluice__V1__Version *v3 = create(w, "v3", "v1", "next");
	assert_int_equal(v3->content->state, RESOLVING);
	assert_string_equal(v3->content->asked, "next");
	assert_string_equal(v3->content->commit, "");
	assert_non_null(owed(w, OWED_RESOLVE, 3));
	Sluice__V1__Version *v4 =
	    create(w, "v4", "v3", ""); /* not READY: looked for again, as v3 was */
	assert_int_equal(v4->content->state, RESOLVING);
	assert_string_equal(v4->content->asked, "next");
	assert_string_equal(create(w, "v5", "", "")->content->asked, "");
}

static void test_versions_create_is_refused(void **state)
{
	struct world *w = *state;
	Sluice__V1__WriteOptions write = SLUICE__V1__WRITE_OPTIONS__INIT;
	const struct {
		const char *app, *name, *from, *commit, *environment;
		sl_code code;
		enum sl_reason reason;
	} cases[] = {
	    {"shop", "v1", "", "", "", SL_ALREADY_EXISTS, SL_REASON_NAME_TAKEN},
	    {"shop", "V1", "", "", "", SL_ALREADY_EXISTS, SL_REASON_NAME_TAKEN},
	    {"shop", "v2", "v9", "", "", SL_NOT_FOUND, SL_REASON_VERSION_NOT_FOUND},
	    {"none", "v2", "", "", "", SL_NOT_FOUND, SL_REASON_APP_NOT_FOUND},
	    {"shop", "v2", "", "", "staging", SL_FAILED_PRECONDITION, SL_REASON_NOT_IN_DEVELOPMENT},
	    {"shop", "v2", "", "", "production", SL_FAILED_PRECONDITION,
	     SL_REASON_NOT_IN_DEVELOPMENT},
	    {"shop", "v2", "", "", "moon", SL_NOT_FOUND, SL_REASON_ENVIRONMENT_NOT_FOUND},
	    {"shop", "", "", "", "", SL_INVALID_ARGUMENT, SL_REASON_NAME_INVALID},
	    {"shop", "-v2", "", "", "", SL_INVALID_ARGUMENT, SL_REASON_NAME_INVALID},
	    {"shop", "v2.", "", "", "", SL_INVALID_ARGUMENT, SL_REASON_NAME_INVALID},
	    {"shop", "v2.lock", "", "", "", SL_INVALID_ARGUMENT, SL_REASON_NAME_INVALID},
	    {"shop", "v2", "", "a..b", "", SL_INVALID_ARGUMENT, SL_REASON_MALFORMED},
	    {"", "v2", "", "", "", SL_INVALID_ARGUMENT, SL_REASON_MALFORMED},
	};
	for (size_t i = 0; i < SL_COUNT(cases); i++) {
		Sluice__V1__CreateVersionRequest *request =
		    create_request(w, cases[i].name, cases[i].from, cases[i].commit);
		request->app = (char *)cases[i].app;
		request->environment = (char *)cases[i].environment;
		world_refuse(w, "CreateVersion", request, cases[i].code, cases[i].reason);
	}
	Sluice__V1__CreateVersionRequest *request = create_request(w, "v2", "", "");
	write.expected_revision = 1;
	request->write = &write;
	world_refuse(w, "CreateVersion", request, SL_INVALID_ARGUMENT, SL_REASON_MALFORMED);
	assert_int_equal(world_app_record(w, "shop")->version_count, 1);
	request->environment = (char *)"development";
	request->write = NULL;
	(void)world_call(w, "CreateVersion", request);
}

/* --- content ------------------------------------------------------------------------------ */

static Sluice__V1__SetVersionContentRequest *content_request(struct world *w, const char *commit)
{
	Sluice__V1__SetVersionContentRequest *request =
	    SL_ARENA_NEW(&w->arena, Sluice__V1__SetVersionContentRequest);
	sluice__v1__set_version_content_request__init(request);
	request->app = (char *)"shop";
	request->version = (char *)"v1";
	request->commit = (char *)commit;
	return request;
}

static void test_versions_set_content_clears_the_old_bundle_at_once(void **state)
{
	struct world *w = *state;
	world_ready(w, "shop", "v1", 1);
	assert_null(owed(w, OWED_RESOLVE, 1));
	Sluice__V1__SetVersionContentResponse *got =
	    world_call(w, "SetVersionContent", content_request(w, "next"));
	assert_int_equal(got->version->content->state, RESOLVING);
	assert_string_equal(got->version->content->commit, "");
	assert_int_equal(got->version->content->digest.len, 0);
	assert_int_equal(got->version->content->files, 0);
	assert_string_equal(got->version->content->asked, "next");
	assert_string_equal(got->version->content->path, "apps/shop");
	assert_int_equal(got->version->revision, w->revision);
	assert_int_equal(owed(w, OWED_RESOLVE, 1)->generation, 2);
	assert_true(world_has_event(w, UPDATED, KIND_VERSION));
	(void)world_call(w, "SetVersionContent", content_request(w, ""));
	assert_int_equal(owed(w, OWED_RESOLVE, 1)->generation, 3);
	assert_int_equal(world_count(w, TABLE_OWED, KEY(WORLD, key_u32(k, OWED_RESOLVE))), 1);
}

static void test_versions_set_content_is_refused_when_sealed_or_stale(void **state)
{
	struct world *w = *state;
	Sluice__V1__WriteOptions write = SLUICE__V1__WRITE_OPTIONS__INIT;
	Sluice__V1__SetVersionContentRequest *request = content_request(w, "");
	write.expected_revision = 999;
	request->write = &write;
	world_refuse(w, "SetVersionContent", request, SL_ABORTED, SL_REASON_STALE_REVISION);
	assert_non_null(w->err.details);
	assert_string_equal(w->err.details->subject, "current_revision");
	world_ready(w, "shop", "v1", 1);
	world_promote(w, "shop", "v1");
	world_refuse(w, "SetVersionContent", content_request(w, ""), SL_FAILED_PRECONDITION,
		     SL_REASON_VERSION_SEALED);
	request = content_request(w, "a b");
	world_refuse(w, "SetVersionContent", request, SL_INVALID_ARGUMENT, SL_REASON_MALFORMED);
	request->version = (char *)"v7";
	request->commit = (char *)"";
	world_refuse(w, "SetVersionContent", request, SL_NOT_FOUND, SL_REASON_VERSION_NOT_FOUND);
}

/* --- update ---------------------------------------------------------------------------------- */

static Sluice__V1__UpdateVersionRequest *
update_request(struct world *w, const char *version, const char *new_name, const char *description)
{
	Sluice__V1__UpdateVersionRequest *request =
	    SL_ARENA_NEW(&w->arena, Sluice__V1__UpdateVersionRequest);
	sluice__v1__update_version_request__init(request);
	request->app = (char *)"shop";
	request->version = (char *)version;
	request->new_name = (char *)new_name;
	request->description = (char *)description;
	return request;
}

static Sluice__V1__Version *update(struct world *w, const char *version, const char *name,
				   const char *description)
{
	Sluice__V1__UpdateVersionResponse *got =
	    world_call(w, "UpdateVersion", update_request(w, version, name, description));
	return got->version;
}

static void test_versions_update_renames_and_describes_a_draft(void **state)
{
	struct world *w = *state;
	(void)create(w, "v2", "", "");
	assert_string_equal(update(w, "v1", "First", "the first")->name, "First");
	assert_true(world_has_event(w, UPDATED, KIND_VERSION));
	assert_string_equal(world_get_version(w, "shop", "fIRST")->description, "the first");
	assert_string_equal(update(w, "First", "FIRST", "the first")->name,
			    "FIRST"); /* the same in another spelling */
	(void)update(w, "first", "", "the first");
	assert_int_equal(w->revision, 0);
	assert_string_equal(update(w, "first", "", "another")->name, "FIRST");
	Sluice__V1__GetVersionRequest old = SLUICE__V1__GET_VERSION_REQUEST__INIT;
	old.app = (char *)"shop";
	old.version = (char *)"v1";
	world_refuse(w, "GetVersion", &old, SL_NOT_FOUND, SL_REASON_VERSION_NOT_FOUND);
	assert_string_equal(update(w, "v2", "v1", "")->name, "v1"); /* the name is free again */
	world_refuse(w, "UpdateVersion", update_request(w, "v1", "first", ""), SL_ALREADY_EXISTS,
		     SL_REASON_NAME_TAKEN);
	world_refuse(w, "UpdateVersion", update_request(w, "v1", "a/b", ""), SL_INVALID_ARGUMENT,
		     SL_REASON_NAME_INVALID);
	Sluice__Store__V1__FactsRecord *facts =
	    world_get(w, TABLE_FACTS, facts_key(WORLD, world_app_record(w, "shop")->id, 1, 1),
		      &sluice__store__v1__facts_record__descriptor);
	assert_string_equal(facts->version_name, "FIRST");
}

static void test_versions_update_is_refused_when_sealed(void **state)
{
	struct world *w = *state;
	char description[2002];
	memset(description, 'd', 2001);
	description[2001] = '\0';
	world_refuse(w, "UpdateVersion", update_request(w, "v1", "", description),
		     SL_INVALID_ARGUMENT, SL_REASON_MALFORMED);
	world_ready(w, "shop", "v1", 1);
	world_promote(w, "shop", "v1");
	world_refuse(w, "UpdateVersion", update_request(w, "v1", "new", ""), SL_FAILED_PRECONDITION,
		     SL_REASON_VERSION_SEALED);
}

/* --- seal --- */

static Sluice__V1__SealVersionRequest *seal_request(struct world *w, const char *app)
{
	Sluice__V1__SealVersionRequest *request =
	    SL_ARENA_NEW(&w->arena, Sluice__V1__SealVersionRequest);
	sluice__v1__seal_version_request__init(request);
	request->app = (char *)app;
	request->version = (char *)"v1";
	return request;
}

static void test_versions_seal_owes_the_tag_whose_ref_is_chosen_once(void **state)
{
	struct world *w = *state;
	world_refuse(w, "SealVersion", seal_request(w, "shop"), SL_FAILED_PRECONDITION,
		     SL_REASON_CONTENT_NOT_READY);
	world_ready(w, "shop", "v1", 0xab);
	Sluice__V1__SealVersionResponse *got =
	    world_call(w, "SealVersion", seal_request(w, "shop"));
	assert_int_equal(got->version->state, SEALED);
	assert_string_equal(got->version->sealed_by, "tester");
	assert_non_null(got->version->sealed_at);
	assert_int_equal(got->version->publication->state, OWED);
	assert_string_equal(got->version->publication->ref,
			    "refs/tags/sluice/shop/v1-abababababab");
	assert_non_null(owed(w, OWED_PUBLISH, 1));
	assert_true(world_has_event(w, UPDATED, KIND_VERSION));
	assert_string_equal(w->events[0]->version->publication->ref,
			    "refs/tags/sluice/shop/v1-abababababab");
	Sluice__V1__RenameAppRequest rename = SLUICE__V1__RENAME_APP_REQUEST__INIT;
	rename.app = (char *)"shop";
	rename.new_name = (char *)"store";
	(void)world_call(w, "RenameApp", &rename);
	got = world_call(w, "SealVersion",
			 seal_request(w, "store")); /* sealed already: changes nothing */
	assert_int_equal(w->revision, 0);
	assert_string_equal(got->version->publication->ref,
			    "refs/tags/sluice/shop/v1-abababababab");
}

static void test_versions_seal_in_a_read_only_repository_is_published_at_once(void **state)
{
	struct world *w = *state;
	(void)world_repository(w, "docs", NONE);
	(void)world_app(w, "guide", "docs");
	world_ready(w, "guide", "v1", 5);
	Sluice__V1__SealVersionResponse *got =
	    world_call(w, "SealVersion", seal_request(w, "guide"));
	assert_int_equal(got->version->publication->state, PUBLISHED);
	assert_string_equal(got->version->publication->ref, "refs/heads/main");
	assert_string_equal(got->version->publication->commit, got->version->content->commit);
	assert_int_equal(world_count(w, TABLE_OWED, KEY(WORLD, key_u32(k, OWED_PUBLISH))), 0);
}

/* --- delete --- */

static Sluice__V1__DeleteVersionRequest *delete_request(struct world *w, const char *version)
{
	Sluice__V1__DeleteVersionRequest *request =
	    SL_ARENA_NEW(&w->arena, Sluice__V1__DeleteVersionRequest);
	sluice__v1__delete_version_request__init(request);
	request->app = (char *)"shop";
	request->version = (char *)version;
	return request;
}

static void test_versions_delete_leaves_facts(void **state)
{
	struct world *w = *state;
	world_refuse(w, "DeleteVersion", delete_request(w, "v1"), SL_FAILED_PRECONDITION,
		     SL_REASON_LAST_VERSION);
	Sluice__V1__Version *v2 = create(w, "v2", "", "");
	(void)world_call(w, "DeleteVersion", delete_request(w, "v2"));
	assert_true(world_has_event(w, DELETED, KIND_VERSION));
	assert_true(world_has_event(w, UPDATED, KIND_APP));
	assert_int_equal(world_app_record(w, "shop")->version_count, 1);
	assert_int_equal(world_count(w, TABLE_FACTS, key_of(WORLD)), 2);
	assert_int_equal(world_count(w, TABLE_OWED, KEY(WORLD, key_u32(k, OWED_RESOLVE))), 1);
	world_refuse(w, "DeleteVersion", delete_request(w, "v2"), SL_NOT_FOUND,
		     SL_REASON_VERSION_NOT_FOUND);
	Sluice__V1__Version *again =
	    create(w, "v2", "", ""); /* the name may be used again, by a new id and number */
	assert_string_not_equal(again->id, v2->id);
	assert_int_equal(world_version_record(w, "shop", "v2")->number, 3);
}

static void test_versions_delete_in_development_only(void **state)
{
	struct world *w = *state;
	(void)create(w, "v2", "", "");
	world_ready(w, "shop", "v1", 1);
	world_promote(w, "shop", "v1");
	world_refuse(w, "DeleteVersion", delete_request(w, "v1"), SL_FAILED_PRECONDITION,
		     SL_REASON_NOT_IN_DEVELOPMENT);
	Sluice__V1__DeleteVersionRequest *request = delete_request(w, "v2");
	Sluice__V1__WriteOptions write = SLUICE__V1__WRITE_OPTIONS__INIT;
	write.expected_revision = 1;
	request->write = &write;
	world_refuse(w, "DeleteVersion", request, SL_ABORTED, SL_REASON_STALE_REVISION);
}

static void test_versions_delete_is_refused_while_an_instance_runs_it_or_is_told_to(void **state)
{
	struct world *w = *state;
	(void)create(w, "v2", "", "");
	world_ready(w, "shop", "v1", 1);
	const char *instance = world_instance(w, "dev-1", ENV_DEVELOPMENT);
	world_refuse(w, "DeleteVersion", delete_request(w, "v1"), SL_FAILED_PRECONDITION,
		     SL_REASON_VERSION_IN_USE);
	assert_non_null(strstr(w->err.msg, "dev-1"));
	world_ready(w, "shop", "v2", 2); /* selected now; v1 still runs */
	const char *app_id = world_app_record(w, "shop")->id;
	world_status(w, instance, app_id, world_version_record(w, "shop", "v1")->id);
	world_refuse(w, "DeleteVersion", delete_request(w, "v1"), SL_FAILED_PRECONDITION,
		     SL_REASON_VERSION_IN_USE);
	world_refuse(w, "DeleteVersion", delete_request(w, "v2"), SL_FAILED_PRECONDITION,
		     SL_REASON_VERSION_IN_USE);
	world_status(w, instance, app_id, world_version_record(w, "shop", "v2")->id);
	(void)world_call(w, "DeleteVersion", delete_request(w, "v1"));
}

static void test_versions_delete_takes_idle_pins_along(void **state)
{
	struct world *w = *state;
	(void)create(w, "v2", "", "");
	world_ready(w, "shop", "v1", 1);
	const char *app_id = world_app_record(w, "shop")->id;
	Sluice__Store__V1__SelectionRecord pin = SLUICE__STORE__V1__SELECTION_RECORD__INIT;
	pin.version = 1;
	pin.revision = 1;
	world_put(w, TABLE_SELECTIONS,
		  KEY(WORLD, key_text(k, app_id), key_u32(k, 1), key_text(k, "")), &pin.base);
	pin.version = 2;
	world_put(w, TABLE_SELECTIONS,
		  KEY(WORLD, key_text(k, app_id), key_u32(k, 2), key_text(k, "")), &pin.base);
	(void)world_call(w, "DeleteVersion",
			 delete_request(w, "v1")); /* pinned where no instance is */
	assert_true(world_has_event(w, DELETED, KIND_SELECTION));
	assert_int_equal(world_count(w, TABLE_SELECTIONS, key_of(WORLD)), 1);
}

/* --- get, list --- */

static void test_versions_get_by_id_needs_no_app(void **state)
{
	struct world *w = *state;
	Sluice__V1__Version *v1 = world_get_version(w, "shop", "v1");
	Sluice__V1__GetVersionRequest request = SLUICE__V1__GET_VERSION_REQUEST__INIT;
	request.version = v1->id;
	Sluice__V1__GetVersionResponse *got = world_call(w, "GetVersion", &request);
	assert_string_equal(got->version->name, "v1");
	assert_string_equal(got->version->app, "shop");
	assert_int_equal(got->n_facts, 1);
	assert_string_equal(got->facts[0]->environment, "development");
	assert_string_equal(got->facts[0]->entered_by, "tester");
	request.version = (char *)"v1";
	world_refuse(w, "GetVersion", &request, SL_INVALID_ARGUMENT, SL_REASON_MALFORMED);
	request.version = (char *)"ver_aaaaaaaaaaaaaaaaaaaa";
	world_refuse(w, "GetVersion", &request, SL_NOT_FOUND, SL_REASON_VERSION_NOT_FOUND);
	(void)world_app(w, "blog", "web");
	request.app = (char *)"blog";
	request.version = v1->id;
	world_refuse(w, "GetVersion", &request, SL_NOT_FOUND, SL_REASON_VERSION_NOT_FOUND);
}

static void expect_list(struct world *w, const char *environment, int page_size, const char *want)
{
	Sluice__V1__PageRequest page = SLUICE__V1__PAGE_REQUEST__INIT;
	Sluice__V1__ListVersionsRequest request = SLUICE__V1__LIST_VERSIONS_REQUEST__INIT;
	char seen[64] = "";
	size_t size = 0;
	page.page_size = page_size;
	request.app = (char *)"shop";
	request.environment = (char *)environment;
	request.page = &page;
	do {
		Sluice__V1__ListVersionsResponse *got = world_call(w, "ListVersions", &request);
		for (size_t i = 0; i < got->n_versions; i++) {
			size += (size_t)snprintf(seen + size, sizeof(seen) - size, "%s ",
						 got->versions[i]->name);
		}
		assert_true(got->n_versions <= (size_t)page_size);
		assert_int_not_equal(got->page->revision, 0);
		page.page_token = got->page->next_page_token;
	} while (page.page_token[0] != '\0');
	assert_string_equal(seen, want);
}

static void test_versions_list_is_cumulative_and_newest_first(void **state)
{
	struct world *w = *state;
	world_produce(w, "shop", "v1", false);
	(void)create(w, "v2", "", "");
	world_ready(w, "shop", "v2", 2);
	world_promote(w, "shop", "v2");
	(void)create(w, "v3", "", "");
	(void)create(w, "v4", "", "");
	for (int page_size = 1; page_size <= 5; page_size++) {
		expect_list(w, "", page_size, "v4 v3 v2 v1 ");
		expect_list(w, "development", page_size, "v4 v3 v2 v1 ");
		expect_list(w, "staging", page_size, "v2 v1 ");
		expect_list(w, "env_3", page_size, "v1 ");
	}
	Sluice__V1__ListVersionsRequest request = SLUICE__V1__LIST_VERSIONS_REQUEST__INIT;
	request.app = (char *)"none";
	world_refuse(w, "ListVersions", &request, SL_NOT_FOUND, SL_REASON_APP_NOT_FOUND);
	request.app = (char *)"shop";
	request.environment = (char *)"moon";
	world_refuse(w, "ListVersions", &request, SL_NOT_FOUND, SL_REASON_ENVIRONMENT_NOT_FOUND);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, world_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(test_versions_create_derives_from_the_newest_in_development),
	    TEST(test_versions_create_takes_the_content_of_an_explicit_origin),
	    TEST(test_versions_create_is_refused),
	    TEST(test_versions_set_content_clears_the_old_bundle_at_once),
	    TEST(test_versions_set_content_is_refused_when_sealed_or_stale),
	    TEST(test_versions_update_renames_and_describes_a_draft),
	    TEST(test_versions_update_is_refused_when_sealed),
	    TEST(test_versions_seal_owes_the_tag_whose_ref_is_chosen_once),
	    TEST(test_versions_seal_in_a_read_only_repository_is_published_at_once),
	    TEST(test_versions_delete_leaves_facts),
	    TEST(test_versions_delete_in_development_only),
	    TEST(test_versions_delete_is_refused_while_an_instance_runs_it_or_is_told_to),
	    TEST(test_versions_delete_takes_idle_pins_along),
	    TEST(test_versions_get_by_id_needs_no_app),
	    TEST(test_versions_list_is_cumulative_and_newest_first),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
