/* Every command on repositories, apps and versions, with memory that ends a little later each time:
 * it says so, writes nothing, and with enough memory it does what it should. */
#include "tests/unit/server/records/world.h"

#include <string.h>

#define REQUEST(variable, Type, name)                                                              \
	Sluice__V1__##Type variable;                                                               \
	sluice__v1__##name##__init(&(variable))

enum { ROOM = 64 * 1024, STEP = 16 };

static uint64_t head(struct world *w)
{
	const struct store_view *view = NULL;
	assert_int_equal(store_view_begin(w->store, &view, &w->err), SL_OK);
	uint64_t revision = store_view_revision(view);
	store_view_end(view);
	return revision;
}

static void expect_all_or_nothing(struct world *w, const char *method, const void *request)
{
	size_t refused = 0;
	uint64_t before = head(w);
	for (w->memory = STEP; w->memory < ROOM; w->memory += STEP) {
		(void)world_try(w, method, request);
		if (w->code == SL_OK) {
			assert_int_equal(head(w), before + 1);
			assert_true(refused > 3);
			w->memory = 0;
			return;
		}
		if (w->code != SL_RESOURCE_EXHAUSTED) {
			fail_msg("%s with %zu bytes: %s: %s", method, w->memory,
				 sl_code_name(w->code), w->err.msg);
		}
		assert_int_equal(head(w), before);
		refused++;
	}
	fail_msg("%s needs more than %d bytes", method, ROOM);
}

static void test_nouns_memory_repositories_and_apps(void **state)
{
	struct world *w = *state;
	REQUEST(repository, CreateRepositoryRequest, create_repository_request);
	repository.name = (char *)"web";
	repository.url = (char *)"https://example.com/web.git";
	expect_all_or_nothing(w, "CreateRepository", &repository);
	REQUEST(create, CreateAppRequest, create_app_request);
	create.name = (char *)"shop";
	create.repository_url = (char *)"https://example.com/team/web.git";
	expect_all_or_nothing(w, "CreateApp", &create);
	assert_string_equal(world_app_record(w, "shop")->path, "apps/shop");
	world_failed(w, "shop", "v1",
		     SLUICE__V1__CONTENT_REASON__CONTENT_REASON_REPOSITORY_UNREACHABLE);
	REQUEST(refresh, RefreshRepositoryRequest, refresh_repository_request);
	refresh.repository = (char *)"web-2";
	expect_all_or_nothing(w, "RefreshRepository", &refresh);
	REQUEST(rename, RenameAppRequest, rename_app_request);
	rename.app = (char *)"shop";
	rename.new_name = (char *)"store";
	expect_all_or_nothing(w, "RenameApp", &rename);
	Sluice__V1__UpdateAppRequest__PlacementEntry entry, *entries[] = {&entry};
	sluice__v1__update_app_request__placement_entry__init(&entry);
	entry.key = (char *)"zone";
	entry.value = (char *)"eu";
	REQUEST(update, UpdateAppRequest, update_app_request);
	update.app = (char *)"store";
	update.placement = entries;
	update.n_placement = 1;
	expect_all_or_nothing(w, "UpdateApp", &update);
	REQUEST(open, OpenAppRequest, open_app_request);
	open.app = (char *)"store";
	expect_all_or_nothing(w, "OpenApp", &open);
	(void)world_version(w, "store", "v2");
	REQUEST(delete_app, DeleteAppRequest, delete_app_request);
	delete_app.app = (char *)"store";
	expect_all_or_nothing(w, "DeleteApp", &delete_app);
	REQUEST(delete_repository, DeleteRepositoryRequest, delete_repository_request);
	delete_repository.repository = (char *)"web";
	expect_all_or_nothing(w, "DeleteRepository", &delete_repository);
}

static void test_nouns_memory_versions(void **state)
{
	struct world *w = *state;
	(void)world_repository(w, "web", SLUICE__V1__PUBLISH_MODE__PUBLISH_MODE_TAGS);
	(void)world_app(w, "shop", "web");
	world_produce(w, "shop", "v1", true);
	REQUEST(create, CreateVersionRequest, create_version_request);
	create.app = (char *)"shop";
	create.name = (char *)"v2";
	expect_all_or_nothing(w, "CreateVersion", &create);
	create.name = (char *)"v3";
	create.from = (char *)"v1";
	expect_all_or_nothing(w, "CreateVersion", &create);
	assert_int_equal(world_version_record(w, "shop", "v3")->content->digest.len, 32);
	REQUEST(content, SetVersionContentRequest, set_version_content_request);
	content.app = (char *)"shop";
	content.version = (char *)"v2";
	expect_all_or_nothing(w, "SetVersionContent", &content);
	REQUEST(update, UpdateVersionRequest, update_version_request);
	update.app = (char *)"shop";
	update.version = (char *)"v2";
	update.new_name = (char *)"two";
	expect_all_or_nothing(w, "UpdateVersion", &update);
	REQUEST(seal, SealVersionRequest, seal_version_request);
	seal.app = (char *)"shop";
	seal.version = (char *)"v3";
	expect_all_or_nothing(w, "SealVersion", &seal);
	REQUEST(note, NoteVersionRequest, note_version_request);
	note.app = (char *)"shop";
	note.version = (char *)"v3";
	note.text = (char *)"fine";
	expect_all_or_nothing(w, "NoteVersion", &note);
	REQUEST(block, BlockVersionRequest, block_version_request);
	block.app = (char *)"shop";
	block.version = (char *)"v1";
	block.mode = SLUICE__V1__BLOCK_MODE__BLOCK_MODE_RECALL;
	block.withdraw = true;
	expect_all_or_nothing(w, "BlockVersion", &block);
	REQUEST(unblock, UnblockVersionRequest, unblock_version_request);
	unblock.app = (char *)"shop";
	unblock.version = (char *)"v1";
	expect_all_or_nothing(w, "UnblockVersion", &unblock);
	REQUEST(delete_version, DeleteVersionRequest, delete_version_request);
	delete_version.app = (char *)"shop";
	delete_version.version = (char *)"two";
	expect_all_or_nothing(w, "DeleteVersion", &delete_version);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, world_setup, world_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(test_nouns_memory_repositories_and_apps),
	    TEST(test_nouns_memory_versions),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
