/* What a new store holds, what of its log may go, and which revision is older than a time. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <semaphore.h>

#include "base/mem/own.h"
#include "server/records/bootstrap.h"
#include "tests/lib/tmpdir.h"
#include "tests/lib/wait.h"

struct fixture {
	char *path;
	struct store *store;
};

static enum store_prune prune(void *ctx, uint64_t revision, struct sl_bytes record)
{
	(void)ctx;
	return records_prune(record, revision, UINT64_MAX);
}

static void open_store(struct fixture *f)
{
	const struct store_options options = {.path = f->path,
					      .map_bytes = 16 << 20,
					      .queue_max = 64,
					      .tables = record_table_names,
					      .table_count = TABLE_COUNT,
					      .prune = prune};
	assert_int_equal(store_open(&options, &f->store, NULL), SL_OK);
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	f->path = tmpdir_new();
	open_store(f);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	store_free(f->store);
	tmpdir_free(f->path);
	free(f);
	return 0;
}

static struct store_stats stats(struct fixture *f)
{
	struct store_stats s;
	store_stats_read(f->store, &s);
	return s;
}

/* --- commands -------------------------------------------------------------------------- */

struct entry {
	struct store_cmd cmd;
	uint64_t at_ms, floor;
	bool history;
	sem_t finished;
};

static sl_code decide(struct store_cmd *cmd, const struct store_view *view,
		      struct store_changes *changes, struct sl_err *err)
{
	const struct entry *entry = SL_CONTAINER_OF(cmd, struct entry, cmd);
	(void)err;
	SL_AUTO(sl_arena_fini) struct sl_arena arena;
	sl_arena_init(&arena, 0);
	struct decision d = {.view = view,
			     .changes = changes,
			     .arena = &arena,
			     .revision = store_changes_revision(changes),
			     .now_ms = entry->at_ms,
			     .principal = "tester",
			     .method = "test",
			     .reason = "",
			     .history = entry->history};
	if (entry->floor != 0) {
		store_changes_set_floor(changes, entry->floor);
	}
	decision_log(&d, NULL);
	return SL_OK;
}

static void done(struct store_cmd *cmd)
{
	sem_post(&SL_CONTAINER_OF(cmd, struct entry, cmd)->finished);
}

static uint64_t write_entry(struct fixture *f, struct entry entry)
{
	entry.cmd = (struct store_cmd){.decide = decide, .done = done, .err = SL_ERR_INIT};
	sem_init(&entry.finished, 0, 0);
	assert_int_equal(store_submit(f->store, &entry.cmd, NULL), SL_OK);
	while (sem_wait(&entry.finished) != 0) {
	}
	sem_destroy(&entry.finished);
	assert_int_equal(entry.cmd.code, SL_OK);
	return entry.cmd.revision;
}

static uint64_t revision_before(struct fixture *f, uint64_t before_ms)
{
	const struct store_view *view = NULL;
	uint64_t revision = UINT64_MAX;
	assert_int_equal(store_view_begin(f->store, &view, NULL), SL_OK);
	assert_int_equal(records_revision_before(view, before_ms, &revision, NULL), SL_OK);
	store_view_end(view);
	return revision;
}

/* --- tests --------------------------------------------------------------------------------- */

static void test_bootstrap_makes_the_workspace_once(void **state)
{
	struct fixture *f = *state;
	uint32_t number = 0;
	for (unsigned round = 0; round < 3; round++) {
		assert_int_equal(records_bootstrap(f->store, 5, NULL), SL_OK);
		assert_int_equal(stats(f).revision, 1);
		const struct store_view *view = NULL;
		assert_int_equal(store_view_begin(f->store, &view, NULL), SL_OK);
		assert_int_equal(workspace_find(view, "", &number, NULL), SL_OK);
		assert_int_equal(number, 1);
		store_view_end(view);
		store_free(f->store);
		open_store(f);
	}
}

static void test_bootstrap_of_a_stopping_store_says_so(void **state)
{
	struct fixture *f = *state;
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	store_stop_accepting(f->store);
	assert_int_equal(records_bootstrap(f->store, 5, &err), SL_UNAVAILABLE);
	assert_int_equal(err.reason, SL_REASON_STOPPING);
}

static struct sl_bytes packed(uint8_t *room, bool history, size_t key_size)
{
	static uint8_t key[16];
	Sluice__Store__V1__LogRecord record = SLUICE__STORE__V1__LOG_RECORD__INIT;
	record.revision = 10;
	record.history = history;
	record.request_key = (ProtobufCBinaryData){.len = key_size, .data = key};
	return SL_BYTES(room, sluice__store__v1__log_record__pack(&record, room));
}

static void test_prune_verdicts(void **state)
{
	(void)state;
	static const struct {
		bool history;
		size_t key_size;
		uint64_t oldest_reply;
		enum store_prune verdict;
	} cases[] = {
	    {false, 0, 0, STORE_PRUNE_DROP},
	    {false, 0, UINT64_MAX, STORE_PRUNE_DROP},
	    {false, 16, UINT64_MAX, STORE_PRUNE_DROP}, /* no reply is kept */
	    {false, 16, 11, STORE_PRUNE_DROP},
	    {false, 16, 10, STORE_PRUNE_LATER},
	    {false, 16, 0, STORE_PRUNE_LATER}, /* nobody knows yet */
	    {true, 0, 0, STORE_PRUNE_KEEP},
	    {true, 16, 0, STORE_PRUNE_KEEP},
	    {true, 16, UINT64_MAX, STORE_PRUNE_KEEP},
	};
	for (size_t i = 0; i < SL_COUNT(cases); i++) {
		uint8_t room[128];
		struct sl_bytes record = packed(room, cases[i].history, cases[i].key_size);
		assert_int_equal(records_prune(record, 10, cases[i].oldest_reply),
				 cases[i].verdict);
	}
	/* What does not parse is for verify to find. */
	assert_int_equal(records_prune(SL_BYTES("\xff", 1), 10, 0), STORE_PRUNE_KEEP);
}

static void test_revision_before_a_time(void **state)
{
	struct fixture *f = *state;
	static const uint64_t made[] = {100, 200, 200, 300, 500};
	static const struct {
		uint64_t before_ms, revision;
	} cases[] = {{0, 0},   {100, 0}, {101, 1}, {200, 1}, {201, 3},
		     {300, 3}, {301, 4}, {500, 4}, {501, 5}, {UINT64_MAX, 5}};
	assert_int_equal(revision_before(f, 1000), 0); /* an empty log */
	for (size_t i = 0; i < SL_COUNT(made); i++) {
		(void)write_entry(f, (struct entry){.at_ms = made[i]});
	}
	for (size_t i = 0; i < SL_COUNT(cases); i++) {
		assert_int_equal(revision_before(f, cases[i].before_ms), cases[i].revision);
	}
}

static void test_revision_before_a_time_over_a_pruned_log(void **state)
{
	struct fixture *f = *state;
	for (uint64_t i = 1; i <= 40; i++) {
		(void)write_entry(f, (struct entry){.at_ms = 10 * i, .history = i % 10 == 0});
	}
	(void)write_entry(f, (struct entry){.at_ms = 410, .floor = 25}); /* 41 */
	assert_true(WAIT_FOR(stats(f).log_records == 18, 20000));        /* 10, 20 and 26 to 41 */
	for (uint64_t i = 1; i <= 42; i++) {
		/* What is below the floor is no answer any more: nothing above it is older. */
		assert_int_equal(revision_before(f, 10 * i), i - 1 > 25 ? i - 1 : 0);
	}
}

static void test_retain_raises_the_floor_by_age(void **state)
{
	struct fixture *f = *state;
	for (uint64_t i = 1; i <= 10; i++) {
		(void)write_entry(f, (struct entry){.at_ms = 1000 * i, .history = i == 3});
	}
	records_retain(f->store, 10500,
		       &(struct records_keep){.log_ms = 5000}); /* older than 5500 */
	assert_true(WAIT_FOR(stats(f).floor == 5, 20000));
	assert_int_equal(stats(f).revision, 11);
	assert_true(WAIT_FOR(stats(f).log_records == 7, 20000)); /* 3 and 6 to 11 */
	records_retain(f->store, 10500,
		       &(struct records_keep){.log_ms = 5000}); /* the same again: nothing */
	records_retain(f->store, 10500, &(struct records_keep){.log_ms = UINT64_MAX});
	(void)write_entry(f, (struct entry){.at_ms = 10600});
	assert_int_equal(stats(f).revision, 12);
	assert_int_equal(stats(f).floor, 5);
}

/* A store that nobody writes to does not grow by its own retention. */
static void test_retain_comes_to_rest(void **state)
{
	struct fixture *f = *state;
	for (uint64_t i = 1; i <= 10; i++) {
		(void)write_entry(f, (struct entry){.at_ms = 1000 * i});
	}
	for (uint64_t minute = 1; minute <= 50; minute++) {
		records_retain(f->store, 10000 + 60000 * minute,
			       &(struct records_keep){.log_ms = 30000});
	}
	store_free(f->store); /* answers all */
	open_store(f);
	assert_int_equal(stats(f).floor, 10);
	assert_int_equal(stats(f).revision, 11);
}

#define WITH(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    WITH(test_bootstrap_makes_the_workspace_once),
	    WITH(test_bootstrap_of_a_stopping_store_says_so),
	    cmocka_unit_test(test_prune_verdicts),
	    WITH(test_revision_before_a_time),
	    WITH(test_revision_before_a_time_over_a_pruned_log),
	    WITH(test_retain_raises_the_floor_by_age),
	    WITH(test_retain_comes_to_rest),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
