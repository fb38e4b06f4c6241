/* AppService on a real store: what is made, renamed, placed, opened, deleted, and what is refused.
 */
#include "tests/unit/server/records/world.h"

#include <string.h>

#define TAGS SLUICE__V1__PUBLISH_MODE__PUBLISH_MODE_TAGS
#define CREATED SLUICE__V1__EVENT_TYPE__EVENT_TYPE_CREATED
#define UPDATED SLUICE__V1__EVENT_TYPE__EVENT_TYPE_UPDATED
#define DELETED SLUICE__V1__EVENT_TYPE__EVENT_TYPE_DELETED
#define KIND_REPOSITORY SLUICE__V1__EVENT_KIND__EVENT_KIND_REPOSITORY
#define KIND_APP SLUICE__V1__EVENT_KIND__EVENT_KIND_APP
#define KIND_VERSION SLUICE__V1__EVENT_KIND__EVENT_KIND_VERSION

/* --- create --------------------------------------------------------------------------- */

static void test_apps_create_makes_the_first_version_in_the_same_command(void **state)
{
	struct world *w = *state;
	Sluice__V1__Repository *repository = world_repository(w, "web", TAGS);
	Sluice__V1__CreateAppResponse *made = world_app(w, "shop", "web");
	assert_string_equal(made->app->slug, "shop");
	assert_string_equal(made->app->path, "apps/shop");
	assert_string_equal(made->app->repository_id, repository->id);
	assert_string_equal(made->app->repository, "web");
	assert_int_equal(made->app->version_count, 1);
	assert_int_equal(made->app->revision, w->revision);
	assert_string_equal(made->version->name, "v1");
	assert_string_equal(made->version->environment, "development");
	assert_int_equal(made->version->state, SLUICE__V1__VERSION_STATE__VERSION_STATE_DRAFT);
	assert_int_equal(made->version->content->state,
			 SLUICE__V1__CONTENT_STATE__CONTENT_STATE_RESOLVING);
	assert_string_equal(made->version->content->path, "apps/shop");
	assert_null(made->version->derived_from);
	assert_int_equal(made->version->revision, w->revision);
	assert_true(world_has_event(w, CREATED, KIND_APP));
	assert_true(world_has_event(w, CREATED, KIND_VERSION));
	Sluice__Store__V1__OwedRecord *owed = world_get(
	    w, TABLE_OWED,
	    owed_key(WORLD, SLUICE__STORE__V1__OWED_KIND__OWED_KIND_RESOLVE, made->app->id, 1),
	    &sluice__store__v1__owed_record__descriptor);
	assert_string_equal(owed->repository_id, repository->id);
	assert_int_equal(owed->generation, 1);
	assert_int_equal(owed->next_ms, 0);
	assert_int_equal(world_count(w, TABLE_FACTS, key_of(WORLD)), 1);
}

static Sluice__V1__CreateAppResponse *create_by_url(struct world *w, const char *name,
						    const char *url)
{
	Sluice__V1__CreateAppRequest request = SLUICE__V1__CREATE_APP_REQUEST__INIT;
	request.name = (char *)name;
	request.repository_url = (char *)url;
	request.version_name = (char *)"First.1";
	request.commit = (char *)"release/1";
	return world_call(w, "CreateApp", &request);
}

static void test_apps_create_by_url_finds_or_makes_the_repository(void **state)
{
	struct world *w = *state;
	Sluice__V1__CreateAppResponse *one = create_by_url(w, "one", "https://h/a/Web.git");
	assert_string_equal(one->app->repository, "web");
	assert_string_equal(one->version->name, "First.1");
	assert_string_equal(one->version->content->asked, "release/1");
	assert_true(world_has_event(w, CREATED, KIND_REPOSITORY));
	assert_int_equal(w->events[w->event_count - 1]->kind, KIND_APP);
	assert_string_equal(w->events[w->event_count - 1]->app->repository, "web");
	Sluice__V1__CreateAppResponse *two = create_by_url(w, "two", "https://h/a/Web.git");
	assert_string_equal(two->app->repository_id, one->app->repository_id);
	assert_false(world_has_event(w, CREATED, KIND_REPOSITORY));
	assert_string_equal(create_by_url(w, "three", "https://h/b/web")->app->repository, "web-2");
	assert_string_equal(create_by_url(w, "four", "https://h/c/web/")->app->repository, "web-3");
	assert_int_equal(world_count(w, TABLE_REPOSITORIES, key_of(WORLD)), 3);
}

static void test_apps_create_is_refused(void **state)
{
	struct world *w = *state;
	char long_path[1002], long_name[202];
	memset(long_path, 'p', sizeof(long_path) - 1);
	memset(long_name, 'n', sizeof(long_name) - 1);
	long_path[1001] = long_name[201] = '\0';
	(void)world_repository(w, "web", TAGS);
	(void)world_app(w, "shop", "web");
	Sluice__V1__RenameAppRequest rename = SLUICE__V1__RENAME_APP_REQUEST__INIT;
	rename.app = (char *)"shop";
	rename.new_name = (char *)"store";
	(void)world_call(w, "RenameApp", &rename);
	const struct {
		const char *name, *repository, *url, *path, *version, *commit, *display;
		sl_code code;
		enum sl_reason reason;
	} cases[] = {
	    {"store", "web", "", "", "", "", "", SL_ALREADY_EXISTS, SL_REASON_NAME_TAKEN},
	    {"shop", "web", "", "x", "", "", "", SL_ALREADY_EXISTS,
	     SL_REASON_NAME_TAKEN}, /* a slug */
	    {"new", "web", "", "apps/shop", "", "", "", SL_ALREADY_EXISTS, SL_REASON_PATH_TAKEN},
	    {"new", "none", "", "", "", "", "", SL_NOT_FOUND, SL_REASON_REPOSITORY_NOT_FOUND},
	    {"new", "", "", "", "", "", "", SL_INVALID_ARGUMENT, SL_REASON_MALFORMED},
	    {"new", "web", "https://h/x", "", "", "", "", SL_INVALID_ARGUMENT, SL_REASON_MALFORMED},
	    {"new", "", "ftp://h/x", "", "", "", "", SL_INVALID_ARGUMENT,
	     SL_REASON_URL_NOT_ALLOWED},
	    {"New", "web", "", "", "", "", "", SL_INVALID_ARGUMENT, SL_REASON_NAME_INVALID},
	    {"new-", "web", "", "", "", "", "", SL_INVALID_ARGUMENT, SL_REASON_NAME_INVALID},
	    {"new", "web", "", "../x", "", "", "", SL_INVALID_ARGUMENT, SL_REASON_MALFORMED},
	    {"new", "web", "", "/x", "", "", "", SL_INVALID_ARGUMENT, SL_REASON_MALFORMED},
	    {"new", "web", "", "x\x02", "", "", "", SL_INVALID_ARGUMENT, SL_REASON_MALFORMED},
	    {"new", "web", "", long_path, "", "", "", SL_INVALID_ARGUMENT, SL_REASON_MALFORMED},
	    {"new", "web", "", "", "ver_1", "", "", SL_INVALID_ARGUMENT, SL_REASON_NAME_INVALID},
	    {"new", "web", "", "", "a..b", "", "", SL_INVALID_ARGUMENT, SL_REASON_NAME_INVALID},
	    {"new", "web", "", "", "", "-x", "", SL_INVALID_ARGUMENT, SL_REASON_MALFORMED},
	    {"new", "web", "", "", "", "", long_name, SL_INVALID_ARGUMENT, SL_REASON_MALFORMED},
	};
	for (size_t i = 0; i < SL_COUNT(cases); i++) {
		Sluice__V1__CreateAppRequest request = SLUICE__V1__CREATE_APP_REQUEST__INIT;
		request.name = (char *)cases[i].name;
		request.repository = (char *)cases[i].repository;
		request.repository_url = (char *)cases[i].url;
		request.path = (char *)cases[i].path;
		request.version_name = (char *)cases[i].version;
		request.commit = (char *)cases[i].commit;
		request.display_name = (char *)cases[i].display;
		world_refuse(w, "CreateApp", &request, cases[i].code, cases[i].reason);
	}
	Sluice__V1__WriteOptions write = SLUICE__V1__WRITE_OPTIONS__INIT;
	Sluice__V1__CreateAppRequest request = SLUICE__V1__CREATE_APP_REQUEST__INIT;
	write.expected_revision = 1;
	request.write = &write;
	request.name = (char *)"new";
	request.repository = (char *)"web";
	world_refuse(w, "CreateApp", &request, SL_INVALID_ARGUMENT, SL_REASON_MALFORMED);
	assert_int_equal(world_count(w, TABLE_APPS, key_of(WORLD)), 1);
}

static void test_apps_paths_too_long_for_a_key_are_told_apart(void **state)
{
	struct world *w = *state;
	char path[1001];
	memset(path, 'p', 1000);
	for (size_t i = 199; i < 999; i += 200) {
		path[i] = '/'; /* a part of a path has its own bound */
	}
	path[1000] = '\0';
	(void)world_repository(w, "web", TAGS);
	Sluice__V1__CreateAppRequest request = SLUICE__V1__CREATE_APP_REQUEST__INIT;
	request.name = (char *)"one";
	request.repository = (char *)"web";
	request.path = path;
	(void)world_call(w, "CreateApp", &request);
	request.name = (char *)"two";
	world_refuse(w, "CreateApp", &request, SL_ALREADY_EXISTS, SL_REASON_PATH_TAKEN);
	assert_non_null(strstr(w->err.msg, "'one'"));
	path[999] = 'q';
	(void)world_call(w, "CreateApp", &request);
	request.name = (char *)"root";
	request.path = (char *)".";
	(void)world_call(w, "CreateApp", &request);
	assert_int_equal(world_count(w, TABLE_APPS_BY_PATH, key_of(WORLD)), 3);
}

/* --- placement -------------------------------------------------------------------------- */

static void test_apps_placement_is_kept_sorted_and_checked(void **state)
{
	struct world *w = *state;
	Sluice__V1__App__PlacementEntry entries[17], *placement[17];
	for (size_t i = 0; i < 17; i++) {
		sluice__v1__app__placement_entry__init(&entries[i]);
		entries[i].key = sl_arena_printf(&w->arena, "key-%zu", 50 - i);
		entries[i].value = (char *)"on";
		placement[i] = &entries[i];
	}
	(void)world_repository(w, "web", TAGS);
	Sluice__V1__CreateAppRequest request = SLUICE__V1__CREATE_APP_REQUEST__INIT;
	request.name = (char *)"shop";
	request.repository = (char *)"web";
	/* The request's entries are of another type with the same fields. */
	request.placement = (Sluice__V1__CreateAppRequest__PlacementEntry **)placement;
	for (size_t i = 0; i < 17; i++) {
		entries[i].base.descriptor =
		    &sluice__v1__create_app_request__placement_entry__descriptor;
	}
	request.n_placement = 17;
	world_refuse(w, "CreateApp", &request, SL_INVALID_ARGUMENT, SL_REASON_MALFORMED);
	request.n_placement = 3;
	entries[0].value = (char *)"a b";
	world_refuse(w, "CreateApp", &request, SL_INVALID_ARGUMENT, SL_REASON_MALFORMED);
	entries[0].value = (char *)"on";
	entries[0].key = (char *)"Key";
	world_refuse(w, "CreateApp", &request, SL_INVALID_ARGUMENT, SL_REASON_NAME_INVALID);
	entries[0].key = entries[1].key;
	world_refuse(w, "CreateApp", &request, SL_INVALID_ARGUMENT, SL_REASON_MALFORMED);
	entries[0].key = (char *)"key-50";
	Sluice__V1__CreateAppResponse *made = world_call(w, "CreateApp", &request);
	assert_int_equal(made->app->n_placement, 3);
	assert_string_equal(made->app->placement[0]->key, "key-48");
	assert_string_equal(made->app->placement[2]->key, "key-50");
}

static Sluice__V1__UpdateAppResponse *update(struct world *w, const char *display, const char *key,
					     const char *value)
{
	Sluice__V1__UpdateAppRequest request = SLUICE__V1__UPDATE_APP_REQUEST__INIT;
	Sluice__V1__UpdateAppRequest__PlacementEntry entry =
	    SLUICE__V1__UPDATE_APP_REQUEST__PLACEMENT_ENTRY__INIT;
	Sluice__V1__UpdateAppRequest__PlacementEntry *entries[] = {&entry};
	entry.key = (char *)key;
	entry.value = (char *)value;
	request.app = (char *)"shop";
	request.display_name = (char *)display;
	request.placement = entries;
	request.n_placement = key != NULL ? 1 : 0;
	return world_call(w, "UpdateApp", &request);
}

static void test_apps_update_sets_display_name_and_placement(void **state)
{
	struct world *w = *state;
	(void)world_repository(w, "web", TAGS);
	(void)world_app(w, "shop", "web");
	Sluice__V1__App *app = update(w, "The Shop", "zone", "eu")->app;
	assert_string_equal(app->display_name, "The Shop");
	assert_string_equal(app->placement[0]->value, "eu");
	assert_int_equal(app->revision, w->revision);
	assert_true(world_has_event(w, UPDATED, KIND_APP));
	(void)update(w, "The Shop", "zone", "eu");
	assert_int_equal(w->revision, 0);
	assert_string_equal(update(w, "The Shop", "zone", "us")->app->placement[0]->value, "us");
	assert_int_equal(update(w, "", NULL, NULL)->app->n_placement, 0);
	assert_int_not_equal(w->revision, 0);
	Sluice__V1__WriteOptions write = SLUICE__V1__WRITE_OPTIONS__INIT;
	Sluice__V1__UpdateAppRequest request = SLUICE__V1__UPDATE_APP_REQUEST__INIT;
	write.expected_revision = 1;
	request.app = (char *)"shop";
	request.write = &write;
	world_refuse(w, "UpdateApp", &request, SL_ABORTED, SL_REASON_STALE_REVISION);
}

/* --- rename ------------------------------------------------------------------------------- */

static void test_apps_rename_keeps_slug_and_id(void **state)
{
	struct world *w = *state;
	(void)world_repository(w, "web", TAGS);
	Sluice__V1__App *made = world_app(w, "shop", "web")->app;
	(void)world_app(w, "blog", "web");
	Sluice__V1__WriteOptions write = SLUICE__V1__WRITE_OPTIONS__INIT;
	Sluice__V1__RenameAppRequest request = SLUICE__V1__RENAME_APP_REQUEST__INIT;
	request.app = (char *)"shop";
	request.write = &write;
	request.new_name = (char *)"blog";
	world_refuse(w, "RenameApp", &request, SL_ALREADY_EXISTS, SL_REASON_NAME_TAKEN);
	request.new_name = (char *)"No";
	world_refuse(w, "RenameApp", &request, SL_INVALID_ARGUMENT, SL_REASON_NAME_INVALID);
	request.new_name = (char *)"store";
	write.expected_revision = made->revision + 7;
	world_refuse(w, "RenameApp", &request, SL_ABORTED, SL_REASON_STALE_REVISION);
	write.expected_revision = made->revision;
	Sluice__V1__RenameAppResponse *renamed = world_call(w, "RenameApp", &request);
	assert_string_equal(renamed->app->name, "store");
	assert_string_equal(renamed->app->slug, "shop");
	assert_string_equal(renamed->app->id, made->id);
	write.expected_revision = 0;
	world_refuse(w, "RenameApp", &request, SL_NOT_FOUND,
		     SL_REASON_APP_NOT_FOUND); /* the old name is gone */
	request.app = (char *)"store";
	(void)world_call(w, "RenameApp", &request);
	assert_int_equal(w->revision, 0); /* it has that name */
	request.new_name = (char *)"shop";
	assert_string_equal(
	    ((Sluice__V1__RenameAppResponse *)world_call(w, "RenameApp", &request))->app->name,
	    "shop");
	request.app = (char *)"blog";
	world_refuse(w, "RenameApp", &request, SL_ALREADY_EXISTS, SL_REASON_NAME_TAKEN);
}

/* --- list ----------------------------------------------------------------------------------- */

static void test_apps_list_by_name_and_repository(void **state)
{
	struct world *w = *state;
	(void)world_repository(w, "web", TAGS);
	(void)world_repository(w, "other", TAGS);
	(void)world_app(w, "c", "web");
	(void)world_app(w, "a", "other");
	(void)world_app(w, "b", "web");
	Sluice__V1__PageRequest page = SLUICE__V1__PAGE_REQUEST__INIT;
	Sluice__V1__ListAppsRequest request = SLUICE__V1__LIST_APPS_REQUEST__INIT;
	page.page_size = 2;
	request.page = &page;
	Sluice__V1__ListAppsResponse *got = world_call(w, "ListApps", &request);
	assert_int_equal(got->n_apps, 2);
	assert_string_equal(got->apps[0]->name, "a");
	assert_string_equal(got->apps[1]->name, "b");
	page.page_token = got->page->next_page_token;
	request.repository = (char *)"web";
	world_refuse(w, "ListApps", &request, SL_INVALID_ARGUMENT, SL_REASON_PAGE_TOKEN_INVALID);
	request.repository = (char *)"";
	got = world_call(w, "ListApps", &request);
	assert_int_equal(got->n_apps, 1);
	assert_string_equal(got->apps[0]->name, "c");
	assert_string_equal(got->page->next_page_token, "");
	page.page_token = (char *)"";
	request.repository = (char *)"web";
	got = world_call(w, "ListApps", &request);
	assert_int_equal(got->n_apps, 2);
	assert_string_equal(got->apps[0]->name, "b");
	request.repository = (char *)"none";
	world_refuse(w, "ListApps", &request, SL_NOT_FOUND, SL_REASON_REPOSITORY_NOT_FOUND);
}

/* --- delete --------------------------------------------------------------------------------- */

static Sluice__V1__DeleteAppRequest *delete_request(struct world *w)
{
	Sluice__V1__DeleteAppRequest *request =
	    SL_ARENA_NEW(&w->arena, Sluice__V1__DeleteAppRequest);
	sluice__v1__delete_app_request__init(request);
	request->app = (char *)"shop";
	return request;
}

/* Facts and notes of what is gone are read by ids. */
static void check_past(struct world *w, const Sluice__V1__App *made)
{
	Sluice__V1__ListVersionFactsRequest facts = SLUICE__V1__LIST_VERSION_FACTS_REQUEST__INIT;
	facts.app = made->id;
	Sluice__V1__ListVersionFactsResponse *past = world_call(w, "ListVersionFacts", &facts);
	assert_int_equal(past->n_facts, 2);
	assert_string_equal(past->facts[1]->version->name, "v2");
	assert_string_equal(past->facts[1]->facts->environment, "development");
	assert_int_equal(past->facts[1]->facts->note_count, 1);
	assert_true(past->facts[0]->deleted && past->facts[1]->deleted);
	Sluice__V1__ListVersionNotesRequest notes = SLUICE__V1__LIST_VERSION_NOTES_REQUEST__INIT;
	notes.app = made->id;
	notes.version = past->facts[1]->version->id;
	Sluice__V1__ListVersionNotesResponse *told = world_call(w, "ListVersionNotes", &notes);
	assert_int_equal(told->n_notes, 1);
	assert_string_equal(told->notes[0]->text, "fine");
	assert_string_equal(told->notes[0]->version->name, "v2");
	notes.version = (char *)"v2";
	world_refuse(w, "ListVersionNotes", &notes, SL_NOT_FOUND, SL_REASON_VERSION_NOT_FOUND);
	facts.app = (char *)"shop";
	world_refuse(w, "ListVersionFacts", &facts, SL_NOT_FOUND, SL_REASON_APP_NOT_FOUND);
}

static void test_apps_delete_leaves_a_tombstone(void **state)
{
	struct world *w = *state;
	(void)world_repository(w, "web", TAGS);
	Sluice__V1__App *made = world_app(w, "shop", "web")->app;
	world_ready(w, "shop", "v1", 1);
	(void)world_version(w, "shop", "v2");
	Sluice__V1__NoteVersionRequest note = SLUICE__V1__NOTE_VERSION_REQUEST__INIT;
	note.app = (char *)"shop";
	note.version = (char *)"v2";
	note.text = (char *)"fine";
	(void)world_call(w, "NoteVersion", &note);
	Sluice__V1__OpenAppRequest open = SLUICE__V1__OPEN_APP_REQUEST__INIT;
	open.app = (char *)"shop";
	(void)world_call(w, "OpenApp", &open);
	(void)world_call(w, "DeleteApp", delete_request(w));
	assert_true(world_has_event(w, DELETED, KIND_APP));
	assert_int_equal(w->event_count, 3); /* the app and both versions */
	static const enum record_table empty[] = {
	    TABLE_APPS,     TABLE_APPS_BY_NAME,     TABLE_APPS_BY_SLUG,   TABLE_APPS_BY_PATH,
	    TABLE_VERSIONS, TABLE_VERSIONS_BY_NAME, TABLE_VERSIONS_BY_ID, TABLE_PUBLICATIONS,
	    TABLE_OWED,     TABLE_OPENED,           TABLE_RELEASES,       TABLE_RELEASE_STACK,
	};
	for (size_t i = 0; i < SL_COUNT(empty); i++) {
		if (world_count(w, empty[i], key_of(WORLD)) != 0) {
			fail_msg("table %s is not empty", record_table_names[empty[i]]);
		}
	}
	assert_int_equal(world_count(w, TABLE_FACTS, key_of(WORLD)), 2);
	assert_int_equal(world_count(w, TABLE_NOTES, key_of(WORLD)), 1);
	Sluice__Store__V1__AppRecord *tombstone =
	    world_get(w, TABLE_DELETED_APPS, KEY(WORLD, key_text(k, made->id)),
		      &sluice__store__v1__app_record__descriptor);
	assert_string_equal(tombstone->name, "shop");
	assert_string_equal(tombstone->deleted_by, "tester");
	assert_int_not_equal(tombstone->deleted_ms, 0);
	world_refuse(w, "DeleteApp", delete_request(w), SL_NOT_FOUND, SL_REASON_APP_NOT_FOUND);
	check_past(w, made);
	assert_string_not_equal(world_app(w, "shop", "web")->app->id, made->id);
}

static void test_apps_delete_is_refused_while_released_or_stale(void **state)
{
	struct world *w = *state;
	(void)world_repository(w, "web", TAGS);
	Sluice__V1__App *made = world_app(w, "shop", "web")->app;
	world_produce(w, "shop", "v1", true);
	world_refuse(w, "DeleteApp", delete_request(w), SL_FAILED_PRECONDITION,
		     SL_REASON_APP_IN_USE);
	Sluice__V1__WriteOptions write = SLUICE__V1__WRITE_OPTIONS__INIT;
	Sluice__V1__DeleteAppRequest *request = delete_request(w);
	write.expected_revision = made->revision + 1;
	request->write = &write;
	world_refuse(w, "DeleteApp", request, SL_ABORTED, SL_REASON_STALE_REVISION);
}

static void test_apps_delete_is_refused_while_pinned(void **state)
{
	struct world *w = *state;
	(void)world_repository(w, "web", TAGS);
	Sluice__V1__App *made = world_app(w, "shop", "web")->app;
	Sluice__Store__V1__SelectionRecord pin = SLUICE__STORE__V1__SELECTION_RECORD__INIT;
	pin.version = 1;
	pin.revision = 1;
	world_put(w, TABLE_SELECTIONS,
		  KEY(WORLD, key_text(k, made->id), key_u32(k, 2), key_text(k, "")), &pin.base);
	world_refuse(w, "DeleteApp", delete_request(w), SL_FAILED_PRECONDITION,
		     SL_REASON_APP_IN_USE);
	assert_non_null(strstr(w->err.msg, "staging"));
}

static void test_apps_delete_takes_what_instances_said_with_it(void **state)
{
	struct world *w = *state;
	(void)world_repository(w, "web", TAGS);
	Sluice__V1__CreateAppResponse *made = world_app(w, "shop", "web");
	const char *instance = world_instance(w, "dev-1", ENV_DEVELOPMENT);
	world_status(w, instance, made->app->id, made->version->id);
	(void)world_call(w, "DeleteApp", delete_request(w));
	assert_int_equal(world_count(w, TABLE_STATUSES, key_of(WORLD)), 0);
}

/* --- open --- */

static void expect_open(struct world *w, const char *environment, const char *version,
			const char *want_environment, const char *want_version)
{
	Sluice__V1__OpenAppRequest request = SLUICE__V1__OPEN_APP_REQUEST__INIT;
	request.app = (char *)"shop";
	request.environment = (char *)environment;
	request.version = (char *)version;
	Sluice__V1__OpenAppResponse *got = world_call(w, "OpenApp", &request);
	assert_string_equal(got->environment, want_environment);
	assert_string_equal(got->version->name, want_version);
}

static void test_apps_open_remembers_where_one_worked(void **state)
{
	struct world *w = *state;
	(void)world_repository(w, "web", TAGS);
	(void)world_app(w, "shop", "web");
	world_produce(w, "shop", "v1", false);
	(void)world_version(w, "shop", "v2");
	world_ready(w, "shop", "v2", 2);
	world_promote(w, "shop", "v2");
	(void)world_version(w, "shop", "v3");
	(void)world_version(w, "shop", "v4");
	expect_open(w, "", "", "development", "v4"); /* never opened: the newest in development */
	assert_int_not_equal(w->revision, 0);
	expect_open(w, "", "", "development", "v4");
	assert_int_equal(w->revision, 0);
	expect_open(w, "", "v3", "development", "v3");
	expect_open(w, "", "", "development", "v3");
	expect_open(w, "staging", "", "staging", "v2");
	expect_open(w, "", "v1", "staging", "v1"); /* production's are in staging's list too */
	expect_open(w, "", "", "staging", "v1");
	expect_open(w, "", "v4", "development", "v4"); /* not there, so where it is */
	expect_open(w, "env_3", "", "production", "v1");
	Sluice__V1__DeleteVersionRequest gone = SLUICE__V1__DELETE_VERSION_REQUEST__INIT;
	expect_open(w, "development", "v4", "development", "v4");
	gone.app = (char *)"shop";
	gone.version = (char *)"v4";
	(void)world_call(w, "DeleteVersion", &gone);
	expect_open(w, "", "", "development", "v3");
	gone.version = (char *)"v3";
	(void)world_call(w, "DeleteVersion", &gone);
	expect_open(w, "", "", "development", "v2"); /* lists are cumulative */
}

static void test_apps_open_goes_down_when_an_environment_has_none(void **state)
{
	struct world *w = *state;
	(void)world_repository(w, "web", TAGS);
	(void)world_app(w, "shop", "web");
	expect_open(w, "production", "", "development", "v1");
	Sluice__V1__OpenAppRequest request = SLUICE__V1__OPEN_APP_REQUEST__INIT;
	request.app = (char *)"shop";
	request.environment = (char *)"staging";
	request.version = (char *)"v1";
	world_refuse(w, "OpenApp", &request, SL_FAILED_PRECONDITION, SL_REASON_NOT_ELIGIBLE);
	request.version = (char *)"v9";
	world_refuse(w, "OpenApp", &request, SL_NOT_FOUND, SL_REASON_VERSION_NOT_FOUND);
	request.environment = (char *)"moon";
	world_refuse(w, "OpenApp", &request, SL_NOT_FOUND, SL_REASON_ENVIRONMENT_NOT_FOUND);
	request.app = (char *)"none";
	world_refuse(w, "OpenApp", &request, SL_NOT_FOUND, SL_REASON_APP_NOT_FOUND);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, world_setup, world_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(test_apps_create_makes_the_first_version_in_the_same_command),
	    TEST(test_apps_create_by_url_finds_or_makes_the_repository),
	    TEST(test_apps_create_is_refused),
	    TEST(test_apps_paths_too_long_for_a_key_are_told_apart),
	    TEST(test_apps_placement_is_kept_sorted_and_checked),
	    TEST(test_apps_update_sets_display_name_and_placement),
	    TEST(test_apps_rename_keeps_slug_and_id),
	    TEST(test_apps_list_by_name_and_repository),
	    TEST(test_apps_delete_leaves_a_tombstone),
	    TEST(test_apps_delete_is_refused_while_released_or_stale),
	    TEST(test_apps_delete_is_refused_while_pinned),
	    TEST(test_apps_delete_takes_what_instances_said_with_it),
	    TEST(test_apps_open_remembers_where_one_worked),
	    TEST(test_apps_open_goes_down_when_an_environment_has_none),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
