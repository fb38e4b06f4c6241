/* Walks: both ways, prefixes, starting points, numbered tables. */
#include "tests/unit/server/store/fixture.h"

#include <stdlib.h>

#include "base/mem/own.h"

static const char *const sample[] = {
    "a", "a/1", "a/2", "a/\xff", "a/\xff\xff", "b", "b/1", "\xff", "\xff\xff", "\xff\xff/1",
};

static int setup(void **state)
{
	(void)fixture_setup(state);
	for (size_t i = 0; i < SL_COUNT(sample); i++) {
		(void)put(*state, sample[i], NULL);
	}
	return 0;
}

/* The keys that a walk finds, each followed by ';'. */
static void walk_into(struct sl_buf *text, const struct store_view *view, const char *prefix,
		      const char *from, enum store_direction direction)
{
	SL_AUTO(store_walk_end) struct store_walk walk;
	store_walk_begin(&walk, view, APPS, sl_bytes_text(prefix), direction);
	if (from != NULL) {
		store_walk_from(&walk, sl_bytes_text(from));
	}
	while (store_walk_next(&walk)) {
		sl_buf_append(text, walk.key.data, walk.key.size);
		sl_buf_append(text, ";", 1);
	}
	assert_false(store_walk_next(&walk));
	assert_int_equal(store_walk_result(&walk, NULL), SL_OK);
	sl_buf_append(text, "", 1);
}

static const struct {
	const char *prefix, *from;
	enum store_direction direction;
	const char *found;
} walks[] = {
    {"", NULL, STORE_FORWARD, "a;a/1;a/2;a/\xff;a/\xff\xff;b;b/1;\xff;\xff\xff;\xff\xff/1;"},
    {"", NULL, STORE_BACKWARD, "\xff\xff/1;\xff\xff;\xff;b/1;b;a/\xff\xff;a/\xff;a/2;a/1;a;"},
    {"a/", NULL, STORE_FORWARD, "a/1;a/2;a/\xff;a/\xff\xff;"},
    {"a/", NULL, STORE_BACKWARD, "a/\xff\xff;a/\xff;a/2;a/1;"},
    {"a/\xff", NULL, STORE_FORWARD, "a/\xff;a/\xff\xff;"},
    {"a/\xff", NULL, STORE_BACKWARD, "a/\xff\xff;a/\xff;"},
    {"\xff", NULL, STORE_FORWARD, "\xff;\xff\xff;\xff\xff/1;"},
    {"\xff", NULL, STORE_BACKWARD, "\xff\xff/1;\xff\xff;\xff;"},
    {"\xff\xff\xff", NULL, STORE_FORWARD, ""},
    {"\xff\xff\xff", NULL, STORE_BACKWARD, ""},
    {"c", NULL, STORE_FORWARD, ""},
    {"c", NULL, STORE_BACKWARD, ""},
    {"Z", NULL, STORE_BACKWARD, ""},
    /* from: present, absent, before, behind, empty */
    {"a/", "a/2", STORE_FORWARD, "a/2;a/\xff;a/\xff\xff;"},
    {"a/", "a/2", STORE_BACKWARD, "a/2;a/1;"},
    {"a/", "a/15", STORE_FORWARD, "a/2;a/\xff;a/\xff\xff;"},
    {"a/", "a/15", STORE_BACKWARD, "a/1;"},
    {"a/", "Z", STORE_FORWARD, "a/1;a/2;a/\xff;a/\xff\xff;"},
    {"a/", "Z", STORE_BACKWARD, ""},
    {"a/", "b", STORE_FORWARD, ""},
    {"a/", "b", STORE_BACKWARD, "a/\xff\xff;a/\xff;a/2;a/1;"},
    {"a/", "a0", STORE_BACKWARD, "a/\xff\xff;a/\xff;a/2;a/1;"},
    {"b", "", STORE_FORWARD, "b;b/1;"},
    {"b", "", STORE_BACKWARD, ""},
    {"", "b", STORE_BACKWARD, "b;a/\xff\xff;a/\xff;a/2;a/1;a;"},
    {"", "\xff\xff\xff", STORE_BACKWARD,
     "\xff\xff/1;\xff\xff;\xff;b/1;b;a/\xff\xff;a/\xff;a/2;a/1;a;"},
    {"", "\xff\xff\xff", STORE_FORWARD, ""},
    {"\xff", "\xff\xff", STORE_BACKWARD, "\xff\xff;\xff;"},
};

static void test_walk_finds_what_it_should(void **state)
{
	struct fixture *f = *state;
	const struct store_view *view = NULL;
	assert_int_equal(store_view_begin(f->store, &view, NULL), SL_OK);
	for (size_t i = 0; i < SL_COUNT(walks); i++) {
		struct sl_buf text = {0};
		walk_into(&text, view, walks[i].prefix, walks[i].from, walks[i].direction);
		if (strcmp((const char *)text.data, walks[i].found) != 0) {
			fail_msg("row %zu: found %s, not %s", i, (const char *)text.data,
				 walks[i].found);
		}
		sl_buf_fini(&text);
	}
	store_view_end(view);
}

static void test_walk_of_longest_and_longer_prefix(void **state)
{
	struct fixture *f = *state;
	char name[STORE_KEY_MAX + 2];
	memset(name, '\xff', sizeof(name));
	name[STORE_KEY_MAX] = '\0';
	(void)put(f, name, NULL);
	const struct store_view *view = NULL;
	assert_int_equal(store_view_begin(f->store, &view, NULL), SL_OK);
	struct sl_buf text = {0};
	walk_into(&text, view, name, name, STORE_BACKWARD);
	assert_int_equal(text.size, STORE_KEY_MAX + 2);
	struct store_walk walk;
	store_walk_begin(&walk, view, APPS, SL_BYTES(name, sizeof(name)), STORE_FORWARD);
	assert_false(store_walk_next(&walk));
	assert_int_equal(store_walk_result(&walk, NULL), SL_OK);
	store_walk_end(&walk);
	store_walk_end(&walk);
	sl_buf_fini(&text);
	store_view_end(view);
}

static void test_walk_of_an_empty_table(void **state)
{
	for (int direction = STORE_FORWARD; direction <= STORE_BACKWARD; direction++) {
		SL_AUTO(sl_free_auto)
		char *found = keys(*state, NODES, "", (enum store_direction)direction);
		assert_string_equal(found, "");
	}
}

static void test_walk_log_from_a_revision(void **state)
{
	static const struct {
		uint64_t first;
		enum store_direction direction;
		const char *found;
	} rows[] = {
	    {0, STORE_FORWARD, "1 2 3 4 5 6 7 8 9 10"},
	    {9, STORE_FORWARD, "9 10"},
	    {11, STORE_FORWARD, ""},
	    {2, STORE_BACKWARD, "2 1"},
	    {0, STORE_BACKWARD, ""},
	    {UINT64_MAX, STORE_BACKWARD, "10 9 8 7 6 5 4 3 2 1"},
	};
	for (size_t i = 0; i < SL_COUNT(rows); i++) {
		SL_AUTO(sl_free_auto)
		char *found = log_revisions(*state, rows[i].first, rows[i].direction);
		assert_string_equal(found, rows[i].found);
	}
}

static void test_walk_refusals_from_a_number(void **state)
{
	struct fixture *f = *state;
	static const char *const who[] = {"one", "two", "three"};
	for (size_t i = 0; i < SL_COUNT(who); i++) {
		struct write w = {.refusal = who[i], .refuse = SL_ABORTED};
		assert_int_equal(write_run(f, &w), SL_ABORTED);
		write_clear(&w);
	}
	const struct store_view *view = NULL;
	assert_int_equal(store_view_begin(f->store, &view, NULL), SL_OK);
	struct store_audit_walk walk;
	uint64_t before = store_view_audit_head(view).sequence - SL_COUNT(who);
	store_audit_begin(&walk, view, before + 2, STORE_FORWARD);
	for (size_t i = 1; i < SL_COUNT(who); i++) {
		assert_true(store_audit_next(&walk));
		assert_int_equal(walk.record.sequence, before + i + 1);
		assert_false(walk.record.change);
		assert_true(sl_bytes_equal(walk.record.body, sl_bytes_text(who[i])));
	}
	assert_false(store_audit_next(&walk));
	store_audit_end(&walk);
	store_view_end(view);
}

/* Counts on the open write transaction what the commands before have put. */
struct count {
	struct store_cmd cmd;
	size_t found;
	sem_t finished;
};

static sl_code count_decide(struct store_cmd *cmd, const struct store_view *view,
			    struct store_changes *changes, struct sl_err *err)
{
	(void)changes;
	struct count *count = SL_CONTAINER_OF(cmd, struct count, cmd);
	SL_AUTO(store_walk_end) struct store_walk walk;
	store_walk_begin(&walk, view, APPS, sl_bytes_text("a"), STORE_BACKWARD);
	for (count->found = 0; store_walk_next(&walk);) {
		count->found++;
	}
	return store_walk_result(&walk, err);
}

static void count_done(struct store_cmd *cmd)
{
	(void)sem_post(&SL_CONTAINER_OF(cmd, struct count, cmd)->finished);
}

static void test_walk_in_a_command_sees_those_before_it(void **state)
{
	struct fixture *f = *state;
	struct count count = {.cmd.decide = count_decide, .cmd.done = count_done};
	(void)sem_init(&count.finished, 0, 0);
	struct write more = {.put = "a/3"};
	assert_int_equal(write_submit(f, &more), SL_OK);
	assert_int_equal(store_submit(f->store, &count.cmd, NULL), SL_OK);
	(void)sem_wait(&count.finished);
	assert_int_equal(count.cmd.code, SL_OK);
	assert_int_equal(count.found, 6);
	assert_int_equal(write_wait(&more), SL_OK);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, fixture_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(test_walk_finds_what_it_should),
	    TEST(test_walk_of_longest_and_longer_prefix),
	    TEST(test_walk_of_an_empty_table),
	    TEST(test_walk_log_from_a_revision),
	    TEST(test_walk_refusals_from_a_number),
	    TEST(test_walk_in_a_command_sees_those_before_it),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
