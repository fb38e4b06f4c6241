/* Commands: what they see, what they leave, when they are answered. */
#include "tests/unit/server/store/fixture.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/mem/own.h"

static void test_store_command_makes_one_revision(void **state)
{
	struct fixture *f = *state;
	struct write w = {.put = "a", .value = "1"};
	assert_int_equal(write_run(f, &w), SL_OK);
	assert_int_equal(w.cmd.revision, 1);
	assert_int_equal(w.saw, 0);
	assert_int_equal(w.promised, 1);
	assert_true(has(f, "a", "1"));
	assert_int_equal(view_revision(f), 1);
	assert_int_equal(count_log(f), 1);
	assert_int_equal(put(f, "a", "2"), 2);
	assert_true(has(f, "a", "2"));
}

static void test_store_log_record_is_found_by_revision(void **state)
{
	struct fixture *f = *state;
	(void)put(f, "a", "1");
	(void)put(f, "b", "1");
	const struct store_view *view = NULL;
	assert_int_equal(store_view_begin(f->store, &view, NULL), SL_OK);
	struct sl_bytes record;
	assert_int_equal(store_get_log(view, 2, &record, NULL), SL_OK);
	assert_true(sl_bytes_equal(record, sl_bytes_text("b")));
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	assert_int_equal(store_get_log(view, 3, &record, &err), SL_NOT_FOUND);
	assert_int_equal(err.code, SL_OK);
	store_view_end(view);
}

static void test_store_refused_command_leaves_only_its_refusal(void **state)
{
	struct fixture *f = *state;
	struct write w = {
	    .put = "a", .meta = "name", .floor = 1, .refusal = "who", .refuse = SL_ALREADY_EXISTS};
	assert_int_equal(write_run(f, &w), SL_ALREADY_EXISTS);
	assert_int_equal(w.cmd.err.reason, SL_REASON_NAME_TAKEN);
	assert_int_equal(w.cmd.revision, 0);
	assert_false(has(f, "a", NULL));
	assert_int_equal(view_revision(f), 0);
	assert_int_equal(view_floor(f), 0);
	assert_int_equal(count_log(f), 0);
	assert_int_equal(count_refusals(f), 1);
	assert_int_equal(stats(f).refused, 1);
	write_clear(&w);
}

static void test_store_refused_command_without_refusal_leaves_nothing(void **state)
{
	struct fixture *f = *state;
	struct write w = {.put = "a", .refuse = SL_NOT_FOUND};
	assert_int_equal(write_run(f, &w), SL_NOT_FOUND);
	assert_int_equal(count_refusals(f), 0);
	assert_int_equal(view_revision(f), 0);
	write_clear(&w);
}

static void test_store_command_that_changes_nothing_makes_no_revision(void **state)
{
	struct fixture *f = *state;
	struct write w = {.nothing = true};
	assert_int_equal(write_run(f, &w), SL_OK);
	assert_int_equal(w.cmd.revision, 0);
	assert_int_equal(view_revision(f), 0);
}

static void test_store_command_sees_those_before_it_in_the_batch(void **state)
{
	struct fixture *f = *state;
	struct write writes[] = {
	    {.put = "a"},
	    {.must_see = "a", .put = "b"},
	    {.must_miss = "c", .must_see = "b", .delete = "a"},
	    {.must_miss = "a", .put = "c"},
	    {.put = "d", .refuse = SL_ABORTED, .refusal = "no"},
	    {.must_miss = "d", .put = "e"},
	};
	write_batch(f, writes, SL_COUNT(writes));
	static const sl_code codes[] = {SL_OK, SL_OK, SL_OK, SL_OK, SL_ABORTED, SL_OK};
	static const uint64_t revisions[] = {1, 2, 3, 4, 0, 5};
	for (size_t i = 0; i < SL_COUNT(writes); i++) {
		assert_int_equal(writes[i].cmd.code, codes[i]);
		assert_int_equal(writes[i].cmd.revision, revisions[i]);
		assert_int_equal(writes[i].decided, 1);
		assert_true(i == 0 || writes[i].order == writes[i - 1].order + 1);
	}
	assert_int_equal(writes[5].saw, 4);
	assert_int_equal(stats(f).batch_count[2], 1); /* six commands in one commit */
	SL_AUTO(sl_free_auto) char *left = keys(f, APPS, "", STORE_FORWARD);
	assert_string_equal(left, "b c e");
	write_clear_all(writes, SL_COUNT(writes));
}

static void test_store_command_does_not_see_its_own_changes(void **state)
{
	struct fixture *f = *state;
	struct write w = {.put = "a", .with_own_check = true};
	assert_int_equal(write_run(f, &w), SL_OK);
}

static void test_store_delete_of_what_is_absent_is_fine(void **state)
{
	struct fixture *f = *state;
	struct write w = {.delete = "nothing"};
	assert_int_equal(write_run(f, &w), SL_OK);
	assert_int_equal(w.cmd.revision, 1);
}

static void test_store_bad_key_fails_the_command_as_a_whole(void **state)
{
	struct fixture *f = *state;
	char longest[STORE_KEY_MAX + 2];
	memset(longest, 'k', sizeof(longest));
	longest[STORE_KEY_MAX + 1] = '\0';
	struct write too_long = {.put = longest, .meta = "name", .refusal = "lost"};
	assert_int_equal(write_run(f, &too_long), SL_INVALID_ARGUMENT);
	struct write empty = {.put = ""};
	assert_int_equal(write_run(f, &empty), SL_INVALID_ARGUMENT);
	assert_int_equal(view_revision(f), 0);
	longest[STORE_KEY_MAX] = '\0';
	assert_int_equal(put(f, longest, "1"), 1);
	assert_true(has(f, longest, "1"));
	write_clear(&too_long);
	write_clear(&empty);
}

static void test_store_floor_above_the_revision_is_refused(void **state)
{
	struct fixture *f = *state;
	struct write w = {.floor = 2};
	assert_int_equal(write_run(f, &w), SL_OUT_OF_RANGE);
	assert_int_equal(view_floor(f), 0);
	write_clear(&w);
}

static void test_store_meta_is_kept_and_read(void **state)
{
	struct fixture *f = *state;
	struct write w = {.meta = "store-id"};
	assert_int_equal(write_run(f, &w), SL_OK);
	const struct store_view *view = NULL;
	assert_int_equal(store_view_begin(f->store, &view, NULL), SL_OK);
	struct sl_bytes value;
	assert_int_equal(store_get_meta(view, "store-id", &value, NULL), SL_OK);
	assert_true(sl_bytes_equal(value, sl_bytes_text("store-id")));
	assert_int_equal(store_get_meta(view, "other", &value, NULL), SL_NOT_FOUND);
	store_view_end(view);
}

static void test_store_refuses_when_the_queue_is_full(void **state)
{
	struct fixture *f = *state;
	f->options.queue_max = 2;
	fixture_reopen(f);
	sem_t held, entered;
	(void)sem_init(&held, 0, 0);
	(void)sem_init(&entered, 0, 0);
	struct write gate = {.nothing = true, .hold = &held, .entered = &entered};
	struct write writes[3] = {{.put = "a"}, {.put = "b"}, {.put = "c"}};
	assert_int_equal(write_submit(f, &gate), SL_OK);
	(void)sem_wait(&entered);
	assert_int_equal(write_submit(f, &writes[0]), SL_OK);
	assert_int_equal(write_submit(f, &writes[1]), SL_OK);
	assert_int_equal(stats(f).queued, 2);
	assert_int_equal(write_submit(f, &writes[2]), SL_RESOURCE_EXHAUSTED);
	assert_int_equal(writes[2].cmd.err.reason, SL_REASON_QUEUE_FULL);
	(void)sem_post(&held);
	assert_int_equal(write_wait(&writes[1]), SL_OK);
	assert_int_equal(writes[2].decided, 0);
	assert_int_equal(writes[2].order, 0);
	write_clear_all(writes, 3);
}

static void test_store_stop_accepting_still_does_what_is_queued(void **state)
{
	struct fixture *f = *state;
	sem_t held, entered;
	(void)sem_init(&held, 0, 0);
	(void)sem_init(&entered, 0, 0);
	struct write gate = {.put = "a", .hold = &held, .entered = &entered};
	struct write queued = {.put = "b"}, late = {.put = "c"};
	assert_int_equal(write_submit(f, &gate), SL_OK);
	(void)sem_wait(&entered);
	assert_int_equal(write_submit(f, &queued), SL_OK);
	store_stop_accepting(f->store);
	assert_int_equal(write_submit(f, &late), SL_UNAVAILABLE);
	assert_int_equal(late.cmd.err.reason, SL_REASON_STOPPING);
	(void)sem_post(&held);
	assert_int_equal(write_wait(&queued), SL_OK);
	assert_true(has(f, "b", NULL));
	assert_false(has(f, "c", NULL));
	write_clear(&late);
}

static void test_store_free_does_what_is_queued(void **state)
{
	struct fixture *f = *state;
	struct write writes[100];
	char names[100][8];
	for (size_t i = 0; i < SL_COUNT(writes); i++) {
		(void)snprintf(names[i], sizeof(names[i]), "k%zu", i);
		writes[i] = (struct write){.put = names[i]};
		assert_int_equal(write_submit(f, &writes[i]), SL_OK);
	}
	fixture_reopen(f);
	for (size_t i = 0; i < SL_COUNT(writes); i++) {
		assert_int_equal(write_wait(&writes[i]), SL_OK);
	}
	assert_int_equal(view_revision(f), 100);
}

static void test_store_reopen_keeps_everything(void **state)
{
	struct fixture *f = *state;
	(void)put(f, "a", "1");
	(void)put(f, "b", "2");
	struct write refused = {.refusal = "who", .refuse = SL_ABORTED};
	assert_int_equal(write_run(f, &refused), SL_ABORTED);
	struct write floor = {.floor = 1};
	assert_int_equal(write_run(f, &floor), SL_OK);
	fixture_reopen(f);
	assert_int_equal(view_revision(f), 3);
	assert_int_equal(view_floor(f), 1);
	assert_int_equal(stats(f).revision, 3);
	assert_int_equal(stats(f).floor, 1);
	assert_true(has(f, "b", "2"));
	assert_int_equal(put(f, "c", "3"), 4);
	assert_int_equal(write_run(f, &refused), SL_ABORTED);
	assert_int_equal(count_refusals(f), 2);
	write_clear(&refused);
}

static void test_store_view_is_a_snapshot(void **state)
{
	struct fixture *f = *state;
	(void)put(f, "a", "1");
	const struct store_view *old = NULL, *now = NULL;
	assert_int_equal(store_view_begin(f->store, &old, NULL), SL_OK);
	(void)put(f, "a", "2");
	assert_int_equal(store_view_begin(f->store, &now, NULL), SL_OK);
	assert_int_equal(stats(f).readers, 2);
	struct sl_bytes value;
	assert_int_equal(store_get(old, APPS, sl_bytes_text("a"), &value, NULL), SL_OK);
	assert_true(sl_bytes_equal(value, sl_bytes_text("1")));
	assert_int_equal(store_get(now, APPS, sl_bytes_text("a"), &value, NULL), SL_OK);
	assert_true(sl_bytes_equal(value, sl_bytes_text("2")));
	assert_int_equal(store_view_revision(old), 1);
	assert_int_equal(store_view_revision(now), 2);
	store_view_end(now);
	store_view_end(old);
	store_view_end(NULL);
	assert_int_equal(stats(f).readers, 0);
}

static void test_store_refuses_too_many_views_and_recovers(void **state)
{
	struct fixture *f = *state;
	enum { MANY = 600 };
	static const struct store_view *views[MANY];
	size_t count = 0;
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	while (count < MANY && store_view_begin(f->store, &views[count], &err) == SL_OK) {
		count++;
	}
	assert_in_range(count, 500, 512);
	assert_int_equal(err.code, SL_RESOURCE_EXHAUSTED);
	assert_int_equal(err.reason, SL_REASON_TOO_MANY);
	while (count > 0) {
		store_view_end(views[--count]);
	}
	assert_int_equal(view_revision(f), 0);
}

static void test_store_stats_tell_of_commits(void **state)
{
	struct fixture *f = *state;
	(void)put(f, "a", "1");
	(void)put(f, "b", "1");
	struct store_stats s = stats(f);
	assert_int_equal(s.revision, 2);
	assert_int_equal(s.commands, 2);
	assert_int_equal(s.commits, 2);
	assert_int_equal(s.batch_count[0], 2);
	assert_int_equal(s.log_records, 2);
	assert_int_equal(s.map_bytes, f->options.map_bytes);
	assert_true(s.used_bytes > 0 && s.used_bytes <= s.file_bytes + 65536);
	assert_true(s.commit_us_max > 0 && s.commit_us_max <= s.commit_us_total);
	assert_true(s.free_disk_bytes > 0);
}

static void note_tables(void *ctx, uint64_t first, uint64_t last, uint64_t tables)
{
	(void)first;
	(void)last;
	*(uint64_t *)ctx = tables;
}

static void test_store_says_which_tables_a_commit_wrote_to(void **state)
{
	struct fixture *f = *state;
	uint64_t tables = 0;
	f->options.on_commit = note_tables;
	f->options.ctx = &tables;
	fixture_reopen(f);
	struct write writes[] = {
	    {.put = "a"}, {.meta = "name"}, {.refuse = SL_NOT_FOUND, .put = "b"}};
	assert_int_equal(write_run(f, &writes[0]), SL_OK);
	assert_int_equal(tables, 1u << APPS);
	assert_int_equal(write_run(f, &writes[1]), SL_OK);
	assert_int_equal(tables, STORE_NAMED_VALUES);
	assert_int_equal(write_run(f, &writes[2]), SL_NOT_FOUND);
	assert_int_equal(tables, STORE_NAMED_VALUES);
	struct write both[] = {{.meta = "name"}, {.delete = "a"}};
	write_batch(f, both, 2);
	assert_int_equal(tables, STORE_NAMED_VALUES | 1u << APPS);
	write_clear_all(writes, 3);
	write_clear_all(both, 2);
}

static sl_code refuse_or_not(struct store_cmd *cmd, const struct store_view *view,
			     struct store_changes *changes, struct sl_err *err)
{
	(void)view;
	(void)changes;
	return cmd->shrinks ? sl_err_because(err, SL_NOT_FOUND, SL_REASON_APP_NOT_FOUND, "gone")
			    : SL_OK;
}

static void test_store_run_waits_and_says_what_became_of_it(void **state)
{
	struct fixture *f = *state;
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	struct store_cmd good = {.decide = refuse_or_not}, bad = good, late = good;
	bad.shrinks = true;
	assert_int_equal(store_run(f->store, &good, &err), SL_OK);
	assert_int_equal(store_run(f->store, &bad, &err), SL_NOT_FOUND);
	assert_int_equal(err.reason, SL_REASON_APP_NOT_FOUND);
	assert_string_equal(err.msg, "gone");
	assert_int_equal(bad.err.code, SL_OK); /* moved */
	store_stop_accepting(f->store);
	assert_int_equal(store_run(f->store, &late, &err), SL_UNAVAILABLE);
	assert_int_equal(err.reason, SL_REASON_STOPPING);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(test_store_command_makes_one_revision),
	    TEST(test_store_log_record_is_found_by_revision),
	    TEST(test_store_refused_command_leaves_only_its_refusal),
	    TEST(test_store_refused_command_without_refusal_leaves_nothing),
	    TEST(test_store_command_that_changes_nothing_makes_no_revision),
	    TEST(test_store_command_sees_those_before_it_in_the_batch),
	    TEST(test_store_command_does_not_see_its_own_changes),
	    TEST(test_store_delete_of_what_is_absent_is_fine),
	    TEST(test_store_bad_key_fails_the_command_as_a_whole),
	    TEST(test_store_floor_above_the_revision_is_refused),
	    TEST(test_store_meta_is_kept_and_read),
	    TEST(test_store_refuses_when_the_queue_is_full),
	    TEST(test_store_stop_accepting_still_does_what_is_queued),
	    TEST(test_store_free_does_what_is_queued),
	    TEST(test_store_reopen_keeps_everything),
	    TEST(test_store_view_is_a_snapshot),
	    TEST(test_store_refuses_too_many_views_and_recovers),
	    TEST(test_store_stats_tell_of_commits),
	    TEST(test_store_says_which_tables_a_commit_wrote_to),
	    TEST(test_store_run_waits_and_says_what_became_of_it),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
