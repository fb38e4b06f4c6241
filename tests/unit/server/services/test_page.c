/* Pages of lists: sizes, tokens, what a token is bound to; and whole lists over the wire. */
#include "tests/unit/server/services/rig.h"

#include <stdio.h>
#include <string.h>

#include "sluice/v1/workspace.pb-c.h"

struct fixture {
	struct rig rig;
	struct rig_slot slot;
	struct sl_arena arena;
	const struct store_view *view;
	struct service_read read;
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	f->rig.config.page_max = 50;
	rig_start(&f->rig);
	rig_slot_init(&f->slot);
	sl_arena_init(&f->arena, 0);
	assert_int_equal(store_view_begin(f->rig.services.store, &f->view, NULL), SL_OK);
	f->read = (struct service_read){.services = &f->rig.services,
					.view = f->view,
					.arena = &f->arena,
					.workspace = 1,
					.workspace_name = "default"};
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	store_view_end(f->view);
	sl_arena_fini(&f->arena);
	rig_slot_fini(&f->slot);
	rig_end(&f->rig);
	free(f);
	return 0;
}

static sl_code begin(struct fixture *f, int32_t size, const char *token, const char *scope,
		     struct service_page *page, struct sl_err *err)
{
	Sluice__V1__PageRequest request = SLUICE__V1__PAGE_REQUEST__INIT;
	request.page_size = size;
	request.page_token = (char *)token;
	return service_page_begin(&f->read, &request, scope, page, err);
}

static const char *token_of(struct fixture *f, const char *scope, struct sl_bytes key)
{
	struct service_page page;
	assert_int_equal(service_page_begin(&f->read, NULL, scope, &page, NULL), SL_OK);
	const Sluice__V1__PageInfo *info = service_page_end(&f->read, &page, key);
	assert_non_null(info);
	assert_int_equal(info->revision, store_view_revision(f->view));
	return info->next_page_token;
}

/* --- one page --------------------------------------------------------------------------- */

static void test_page_size_is_bounded(void **state)
{
	struct fixture *f = *state;
	static const struct {
		int32_t asked;
		size_t size; /* 0: refused */
	} cases[] = {{0, 100},        {1, 1},  {50, 50},      {51, 50},
		     {INT32_MAX, 50}, {-1, 0}, {INT32_MIN, 0}};
	for (size_t i = 0; i < SL_COUNT(cases); i++) {
		SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
		struct service_page page;
		sl_code code = begin(f, cases[i].asked, "", "list", &page, &err);
		size_t most = f->rig.config.page_max;
		if (cases[i].size == 0) {
			assert_int_equal(code, SL_INVALID_ARGUMENT);
			assert_int_equal(err.reason, SL_REASON_MALFORMED);
			continue;
		}
		assert_int_equal(code, SL_OK);
		assert_int_equal(page.size, cases[i].size > most ? most : cases[i].size);
		assert_int_equal(page.from.size, 0);
	}
}

static void test_page_token_brings_back_any_key(void **state)
{
	struct fixture *f = *state;
	uint8_t key[STORE_KEY_MAX];
	for (size_t i = 0; i < sizeof(key); i++) {
		key[i] = (uint8_t)(i * 7);
	}
	for (size_t size = 1; size <= sizeof(key); size++) {
		struct service_page page;
		const char *token = token_of(f, "list", SL_BYTES(key, size));
		assert_int_equal(begin(f, 0, token, "list", &page, NULL), SL_OK);
		assert_int_equal(page.from.size, size);
		assert_memory_equal(page.from.data, key, size);
	}
	assert_string_equal(token_of(f, "list", SL_BYTES_NONE), ""); /* complete */
}

static void refused(struct fixture *f, const char *token, const char *scope)
{
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	struct service_page page;
	if (begin(f, 0, token, scope, &page, &err) != SL_INVALID_ARGUMENT) {
		fail_msg("'%s' passed", token);
	}
	assert_int_equal(err.reason, SL_REASON_PAGE_TOKEN_INVALID);
}

static void test_page_token_is_of_one_list_and_workspace(void **state)
{
	struct fixture *f = *state;
	const char *token = token_of(f, "ListVersions app_1 staging", SL_BYTES("key", 3));
	refused(f, token, "ListVersions app_1 production");
	refused(f, token, "ListVersions app_2 staging");
	refused(f, token, "");
	f->read.workspace_name = "other";
	refused(f, token, "ListVersions app_1 staging");
}

static void test_page_token_of_nobody_is_refused(void **state)
{
	struct fixture *f = *state;
	char changed[128], *longest = sl_arena_alloc(&f->arena, 4000);
	memset(longest, 'A', 3999);
	const char *token = token_of(f, "list", SL_BYTES("key", 3));
	const char *const bad[] = {"A", "====", "a b", "\xff", "AAAAAAAAAAAAAAAAAAAAAA", longest};
	for (size_t i = 0; i < SL_COUNT(bad); i++) {
		refused(f, bad[i], "list");
	}
	(void)snprintf(changed, sizeof(changed), "%s", token);
	for (size_t i = 0; i < 21; i++) { /* the tag of the list */
		char was = changed[i];
		changed[i] = was == 'Q' ? 'R' : 'Q';
		refused(f, changed, "list");
		changed[i] = was;
	}
	changed[22] = '\0'; /* the tag alone */
	refused(f, changed, "list");
}

static void test_page_without_memory_says_so(void **state)
{
	struct fixture *f = *state;
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	struct service_page page;
	const char *token = token_of(f, "list", SL_BYTES("key", 3));
	f->arena.failed = true;
	assert_int_equal(begin(f, 0, token, "list", &page, &err), SL_RESOURCE_EXHAUSTED);
	assert_null(service_page_end(&f->read, &page, SL_BYTES("key", 3)));
}

/* --- whole lists ------------------------------------------------------------------------------ */

static void create(struct fixture *f, const char *name)
{
	Sluice__V1__CreateWorkspaceRequest request = SLUICE__V1__CREATE_WORKSPACE_REQUEST__INIT;
	request.name = (char *)name;
	assert_int_equal(rig_call(&f->rig, &f->slot, &request.base), SL_OK);
}

/* One page; copies the token. */
static size_t list(struct fixture *f, int32_t size, char token[static 2000])
{
	Sluice__V1__ListWorkspacesRequest request = SLUICE__V1__LIST_WORKSPACES_REQUEST__INIT;
	Sluice__V1__PageRequest page = SLUICE__V1__PAGE_REQUEST__INIT;
	page.page_size = size;
	page.page_token = token;
	request.page = &page;
	if (rig_call(&f->rig, &f->slot, &request.base) != SL_OK) {
		fail_msg("%s", f->slot.err.msg);
	}
	const Sluice__V1__ListWorkspacesResponse *response = f->slot.response;
	(void)snprintf(token, 2000, "%s", response->page->next_page_token);
	assert_int_equal(response->page->revision, rig_revision(&f->rig));
	return response->n_workspaces;
}

static void test_page_after_page_is_the_whole_list(void **state)
{
	struct fixture *f = *state;
	static const char *const sorted[] = {"a", "b1", "b2", "b3", "c", "default", "z"};
	for (size_t i = 0; i < SL_COUNT(sorted); i++) {
		if (strcmp(sorted[i], "default") != 0) {
			create(f, sorted[i]);
		}
	}
	for (int32_t size = 1; size <= (int32_t)SL_COUNT(sorted) + 1; size++) {
		char token[2000] = "";
		size_t at = 0;
		do {
			size_t count = list(f, size, token);
			const Sluice__V1__ListWorkspacesResponse *response = f->slot.response;
			assert_true(count <= (size_t)size && count > 0);
			for (size_t i = 0; i < count; i++) {
				assert_string_equal(response->workspaces[i]->name, sorted[at++]);
			}
		} while (token[0] != '\0');
		assert_int_equal(at, SL_COUNT(sorted));
	}
}

/* What the token points at may go meanwhile: the list goes on behind it. */
static void test_page_goes_on_when_its_first_record_is_gone(void **state)
{
	struct fixture *f = *state;
	char token[2000] = "";
	create(f, "a");
	create(f, "b");
	create(f, "c");
	assert_int_equal(list(f, 1, token), 1);
	Sluice__V1__DeleteWorkspaceRequest request = SLUICE__V1__DELETE_WORKSPACE_REQUEST__INIT;
	request.workspace = (char *)"b";
	assert_int_equal(rig_call(&f->rig, &f->slot, &request.base), SL_OK);
	assert_int_equal(list(f, 2, token), 2);
	const Sluice__V1__ListWorkspacesResponse *response = f->slot.response;
	assert_string_equal(response->workspaces[0]->name, "c");
	assert_string_equal(response->workspaces[1]->name, "default");
	assert_string_equal(token, "");
}

#define WITH(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    WITH(test_page_size_is_bounded),
	    WITH(test_page_token_brings_back_any_key),
	    WITH(test_page_token_is_of_one_list_and_workspace),
	    WITH(test_page_token_of_nobody_is_refused),
	    WITH(test_page_without_memory_says_so),
	    WITH(test_page_after_page_is_the_whole_list),
	    WITH(test_page_goes_on_when_its_first_record_is_gone),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
