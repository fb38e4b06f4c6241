/* VersionService on a real store: blocked, recalled, unblocked, noted. */
#include "tests/unit/server/records/world.h"

#include <string.h>

#define TAGS SLUICE__V1__PUBLISH_MODE__PUBLISH_MODE_TAGS
#define NO_NEW SLUICE__V1__BLOCK_MODE__BLOCK_MODE_NO_NEW
#define RECALL SLUICE__V1__BLOCK_MODE__BLOCK_MODE_RECALL
#define CREATED SLUICE__V1__EVENT_TYPE__EVENT_TYPE_CREATED
#define UPDATED SLUICE__V1__EVENT_TYPE__EVENT_TYPE_UPDATED
#define KIND_VERSION SLUICE__V1__EVENT_KIND__EVENT_KIND_VERSION
#define KIND_NOTE SLUICE__V1__EVENT_KIND__EVENT_KIND_NOTE
#define KIND_RELEASE SLUICE__V1__EVENT_KIND__EVENT_KIND_RELEASE

static int setup(void **state)
{
	(void)world_setup(state);
	(void)world_repository(*state, "web", TAGS);
	(void)world_app(*state, "shop", "web");
	return 0;
}

/* What BlockVersion is asked. */
struct block {
	const char *version;
	int mode;
	const char *reason, *rollback_to;
	bool withdraw, keep_serving;
	uint64_t expected;
};

static Sluice__V1__BlockVersionRequest *block_request(struct world *w, const struct block *block)
{
	Sluice__V1__BlockVersionRequest *request =
	    SL_ARENA_NEW(&w->arena, Sluice__V1__BlockVersionRequest);
	sluice__v1__block_version_request__init(request);
	request->write = SL_ARENA_NEW(&w->arena, Sluice__V1__WriteOptions);
	sluice__v1__write_options__init(request->write);
	request->write->reason = (char *)(block->reason != NULL ? block->reason : "");
	request->write->expected_revision = block->expected;
	request->app = (char *)"shop";
	request->version = (char *)block->version;
	request->mode = (Sluice__V1__BlockMode)block->mode;
	request->rollback_to = (char *)(block->rollback_to != NULL ? block->rollback_to : "");
	request->withdraw = block->withdraw;
	request->keep_serving = block->keep_serving;
	return request;
}

static Sluice__V1__BlockVersionResponse *block(struct world *w, struct block what)
{
	return world_call(w, "BlockVersion", block_request(w, &what));
}

static Sluice__V1__UnblockVersionRequest *unblock_request(struct world *w, const char *version)
{
	Sluice__V1__UnblockVersionRequest *request =
	    SL_ARENA_NEW(&w->arena, Sluice__V1__UnblockVersionRequest);
	sluice__v1__unblock_version_request__init(request);
	request->app = (char *)"shop";
	request->version = (char *)version;
	return request;
}

static Sluice__V1__GetVersionResponse *get(struct world *w, const char *version)
{
	Sluice__V1__GetVersionRequest request = SLUICE__V1__GET_VERSION_REQUEST__INIT;
	request.app = (char *)"shop";
	request.version = (char *)version;
	return world_call(w, "GetVersion", &request);
}

/* --- block ------------------------------------------------------------------------------ */

static void test_version_marks_block_and_unblock_stay_in_the_facts(void **state)
{
	struct world *w = *state;
	Sluice__V1__Version *v1 =
	    block(w, (struct block){.version = "v1", .mode = NO_NEW, .reason = "smells"})->version;
	assert_int_equal(v1->block->mode, NO_NEW);
	assert_string_equal(v1->block->reason, "smells");
	assert_string_equal(v1->block->by, "tester");
	assert_int_equal(v1->revision, w->revision);
	assert_true(world_has_event(w, UPDATED, KIND_VERSION));
	(void)block(w, (struct block){.version = "v1", .mode = NO_NEW, .reason = "smells"});
	assert_int_equal(w->revision, 0); /* it holds already */
	assert_int_equal(
	    block(w, (struct block){.version = "v1", .mode = RECALL, .reason = "burns"})
		->version->block->mode,
	    RECALL);
	Sluice__V1__UnblockVersionResponse *free =
	    world_call(w, "UnblockVersion", unblock_request(w, "v1"));
	assert_null(free->version->block);
	(void)world_call(w, "UnblockVersion", unblock_request(w, "v1"));
	assert_int_equal(w->revision, 0);
	Sluice__V1__VersionFacts *facts = get(w, "v1")->facts[0];
	assert_int_equal(facts->n_blocks, 2);
	assert_string_equal(facts->blocks[0]->reason, "smells");
	assert_non_null(facts->blocks[0]->lifted_at);
	assert_string_equal(facts->blocks[1]->reason, "burns");
	assert_string_equal(facts->blocks[1]->lifted_by, "tester");
}

static void test_version_marks_block_is_refused(void **state)
{
	struct world *w = *state;
	const struct {
		struct block block;
		sl_code code;
		enum sl_reason reason;
	} cases[] = {
	    {{.version = "v1", .mode = 0}, SL_INVALID_ARGUMENT, SL_REASON_MALFORMED},
	    {{.version = "v1", .mode = 9}, SL_INVALID_ARGUMENT, SL_REASON_MALFORMED},
	    {{.version = "v1", .mode = NO_NEW, .withdraw = true},
	     SL_INVALID_ARGUMENT,
	     SL_REASON_MALFORMED},
	    {{.version = "v1", .mode = NO_NEW, .rollback_to = "v2"},
	     SL_INVALID_ARGUMENT,
	     SL_REASON_MALFORMED},
	    {{.version = "v1", .mode = RECALL, .withdraw = true, .keep_serving = true},
	     SL_INVALID_ARGUMENT,
	     SL_REASON_MALFORMED},
	    {{.version = "v1", .mode = RECALL, .withdraw = true, .rollback_to = "v2"},
	     SL_INVALID_ARGUMENT,
	     SL_REASON_MALFORMED},
	    {{.version = "v9", .mode = NO_NEW}, SL_NOT_FOUND, SL_REASON_VERSION_NOT_FOUND},
	    {{.version = "v1", .mode = NO_NEW, .expected = 999},
	     SL_ABORTED,
	     SL_REASON_STALE_REVISION},
	};
	for (size_t i = 0; i < SL_COUNT(cases); i++) {
		world_refuse(w, "BlockVersion", block_request(w, &cases[i].block), cases[i].code,
			     cases[i].reason);
	}
	Sluice__V1__UnblockVersionRequest *request = unblock_request(w, "v1");
	Sluice__V1__WriteOptions write = SLUICE__V1__WRITE_OPTIONS__INIT;
	write.expected_revision = 999;
	request->write = &write;
	world_refuse(w, "UnblockVersion", request, SL_ABORTED, SL_REASON_STALE_REVISION);
}

/* --- recall of the released version --------------------------------------------------------- */

static void release_two(struct world *w)
{
	world_produce(w, "shop", "v1", true);
	(void)world_version(w, "shop", "v2");
	world_produce(w, "shop", "v2", true);
}

static void test_version_marks_recalling_the_released_version_needs_a_decision(void **state)
{
	struct world *w = *state;
	release_two(w);
	struct block recall = {.version = "v2", .mode = RECALL, .reason = "burns"};
	world_refuse(w, "BlockVersion", block_request(w, &recall), SL_FAILED_PRECONDITION,
		     SL_REASON_RELEASED_NEEDS_DECISION);
	assert_null(get(w, "v2")->version->block);
	/* Neither a block that stops nothing nor one of another version needs one. */
	assert_string_equal(
	    block(w, (struct block){.version = "v2", .mode = NO_NEW})->released->name, "v2");
	assert_string_equal(
	    block(w, (struct block){.version = "v1", .mode = RECALL})->released->name, "v2");
}

static void test_version_marks_recall_withdraws(void **state)
{
	struct world *w = *state;
	release_two(w);
	Sluice__V1__BlockVersionResponse *got =
	    block(w, (struct block){.version = "v2", .mode = RECALL, .withdraw = true});
	assert_null(got->released);
	assert_false(got->version->released);
	assert_int_equal(got->version->block->mode, RECALL);
	assert_true(world_has_event(w, UPDATED, KIND_VERSION));
	assert_true(world_has_event(w, UPDATED, KIND_RELEASE) ||
		    world_has_event(w, CREATED, KIND_RELEASE));
	assert_false(get(w, "v2")->version->released);
	assert_int_equal(get(w, "v2")->version->block->mode, RECALL);
}

static void test_version_marks_recall_rolls_back(void **state)
{
	struct world *w = *state;
	release_two(w);
	Sluice__V1__BlockVersionResponse *got =
	    block(w, (struct block){.version = "v2", .mode = RECALL, .rollback_to = "previous"});
	assert_string_equal(got->released->name, "v1");
	assert_false(got->version->released);
	assert_true(get(w, "v1")->version->released);
	struct block alone = {.version = "v1", .mode = RECALL, .rollback_to = "previous"};
	world_refuse(w, "BlockVersion", block_request(w, &alone), SL_FAILED_PRECONDITION,
		     SL_REASON_NO_PREVIOUS);
	assert_true(get(w, "v1")->version->released);
	assert_null(get(w, "v1")->version->block);
}

static void test_version_marks_recall_keeps_serving_when_told_so(void **state)
{
	struct world *w = *state;
	release_two(w);
	Sluice__V1__BlockVersionResponse *got =
	    block(w, (struct block){.version = "v2", .mode = RECALL, .keep_serving = true});
	assert_string_equal(got->released->name, "v2");
	assert_true(got->version->released);
	assert_true(get(w, "v2")->version->released);
	/* A decision that is not needed is none: v1 is not the released one. */
	assert_string_equal(
	    block(w, (struct block){.version = "v1", .mode = RECALL, .withdraw = true})
		->released->name,
	    "v2");
}

/* --- notes --- */

static Sluice__V1__NoteVersionRequest *note_request(struct world *w, const char *version,
						    const char *text)
{
	Sluice__V1__NoteVersionRequest *request =
	    SL_ARENA_NEW(&w->arena, Sluice__V1__NoteVersionRequest);
	sluice__v1__note_version_request__init(request);
	request->app = (char *)"shop";
	request->version = (char *)version;
	request->text = (char *)text;
	return request;
}

static void test_version_marks_notes_are_appended_and_change_no_revision(void **state)
{
	struct world *w = *state;
	uint64_t revision = get(w, "v1")->version->revision;
	Sluice__V1__NoteVersionResponse *one =
	    world_call(w, "NoteVersion", note_request(w, "v1", "one"));
	assert_int_equal(one->note->revision, w->revision);
	assert_string_equal(one->note->environment, "development");
	assert_string_equal(one->note->app, "shop");
	assert_string_equal(one->note->version->name, "v1");
	assert_true(world_has_event(w, CREATED, KIND_NOTE));
	assert_int_equal(get(w, "v1")->version->revision, revision);
	world_ready(w, "shop", "v1", 1);
	world_promote(w, "shop", "v1");
	(void)world_call(w, "NoteVersion", note_request(w, "v1", "two"));
	(void)world_call(w, "NoteVersion", note_request(w, "v1", "three"));
	Sluice__V1__GetVersionResponse *got = get(w, "v1");
	assert_int_equal(got->facts[0]->note_count, 1);
	assert_int_equal(got->facts[1]->note_count, 2);
	Sluice__V1__PageRequest page = SLUICE__V1__PAGE_REQUEST__INIT;
	Sluice__V1__ListVersionNotesRequest request = SLUICE__V1__LIST_VERSION_NOTES_REQUEST__INIT;
	request.app = (char *)"shop";
	request.version = (char *)"v1";
	request.page = &page;
	page.page_size = 2;
	Sluice__V1__ListVersionNotesResponse *notes = world_call(w, "ListVersionNotes", &request);
	assert_int_equal(notes->n_notes, 2);
	assert_string_equal(notes->notes[0]->text, "one");
	assert_string_equal(notes->notes[1]->environment, "staging");
	page.page_token = notes->page->next_page_token;
	notes = world_call(w, "ListVersionNotes", &request);
	assert_int_equal(notes->n_notes, 1);
	assert_string_equal(notes->notes[0]->text, "three");
	assert_string_equal(notes->page->next_page_token, "");
}

static void test_version_marks_note_is_refused(void **state)
{
	struct world *w = *state;
	char text[4002];
	memset(text, 't', 4001);
	text[4001] = '\0';
	world_refuse(w, "NoteVersion", note_request(w, "v1", ""), SL_INVALID_ARGUMENT,
		     SL_REASON_MALFORMED);
	world_refuse(w, "NoteVersion", note_request(w, "v1", text), SL_INVALID_ARGUMENT,
		     SL_REASON_MALFORMED);
	world_refuse(w, "NoteVersion", note_request(w, "v1", "\x1b[2J"), SL_INVALID_ARGUMENT,
		     SL_REASON_MALFORMED);
	world_refuse(w, "NoteVersion", note_request(w, "v9", "x"), SL_NOT_FOUND,
		     SL_REASON_VERSION_NOT_FOUND);
	text[4000] = '\0';
	(void)world_call(w, "NoteVersion", note_request(w, "v1", text));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, world_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(test_version_marks_block_and_unblock_stay_in_the_facts),
	    TEST(test_version_marks_block_is_refused),
	    TEST(test_version_marks_recalling_the_released_version_needs_a_decision),
	    TEST(test_version_marks_recall_withdraws),
	    TEST(test_version_marks_recall_rolls_back),
	    TEST(test_version_marks_recall_keeps_serving_when_told_so),
	    TEST(test_version_marks_notes_are_appended_and_change_no_revision),
	    TEST(test_version_marks_note_is_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
