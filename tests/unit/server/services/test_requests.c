/* Request ids: found again, dropped oldest first, by number and by age, and by a model over many
 * random steps. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/bytes/bytes.h"
#include "base/mem/own.h"
#include "server/records/records.h"
#include "server/services/requests.h"
#include "tests/lib/tmpdir.h"
#include "tests/lib/wait.h"

struct key {
	uint8_t bytes[REQUEST_KEY_BYTES];
};

/* Keys whose first bytes collide often, so that displaced entries are met. */
static struct key key_number(uint32_t number)
{
	struct key key = {{0}};
	key.bytes[0] = (uint8_t)(number % 7);
	sl_put_be32(key.bytes + 12, number);
	return key;
}

static struct requests *make(size_t max, uint64_t keep_ms)
{
	struct requests *requests = NULL;
	struct sl_err err = SL_ERR_INIT;
	assert_int_equal(requests_new(max, keep_ms, &requests, &err), SL_OK);
	return requests;
}

static void test_requests_found_until_too_many(void **state)
{
	(void)state;
	struct requests *r = make(3, 1000);
	for (uint32_t i = 1; i <= 4; i++) {
		requests_put(r, key_number(i).bytes, i, 10 + i);
	}
	assert_int_equal(requests_find(r, key_number(1).bytes), 0);
	assert_int_equal(requests_find(r, key_number(2).bytes), 2);
	assert_int_equal(requests_find(r, key_number(4).bytes), 4);
	assert_int_equal(requests_find(r, key_number(9).bytes), 0);
	assert_int_equal(requests_stats(r).kept, 3);
	assert_int_equal(requests_stats(r).since_ms, 12);
	requests_free(r);
}

/* --- a log to load from ------------------------------------------------------------ */

/* Log records of number 1..count, made at that many ms; every third has no request id. */
struct fill {
	struct store_cmd cmd;
	uint32_t number;
	atomic_bool done;
};

static sl_code fill_decide(struct store_cmd *cmd, const struct store_view *view,
			   struct store_changes *changes, struct sl_err *err)
{
	(void)err;
	struct fill *fill = SL_CONTAINER_OF(cmd, struct fill, cmd);
	SL_AUTO(sl_arena_fini) struct sl_arena arena;
	sl_arena_init(&arena, 0);
	struct key key = key_number(fill->number);
	struct decision d = {.view = view,
			     .changes = changes,
			     .arena = &arena,
			     .revision = store_changes_revision(changes),
			     .now_ms = fill->number,
			     .principal = "tester",
			     .method = "fill",
			     .reason = ""};
	const struct decision_reply kept = {.request_key = SL_BYTES(key.bytes, REQUEST_KEY_BYTES)};
	decision_log(&d, fill->number % 3 == 0 ? NULL : &kept);
	return SL_OK;
}

static void fill_done(struct store_cmd *cmd)
{
	atomic_store(&SL_CONTAINER_OF(cmd, struct fill, cmd)->done, true);
}

struct log {
	char *path;
	struct store *store;
	const struct store_view *view;
};

static struct log log_of(uint32_t count)
{
	struct log log = {.path = tmpdir_new()};
	struct store_options options = {.path = log.path,
					.map_bytes = 16 << 20,
					.queue_max = 16,
					.tables = record_table_names,
					.table_count = TABLE_COUNT};
	assert_int_equal(store_open(&options, &log.store, NULL), SL_OK);
	for (uint32_t i = 1; i <= count; i++) {
		struct fill fill = {.number = i, .cmd = {.decide = fill_decide, .done = fill_done}};
		assert_int_equal(store_submit(log.store, &fill.cmd, NULL), SL_OK);
		assert_true(WAIT_FOR(atomic_load(&fill.done), 20000));
		assert_int_equal(fill.cmd.revision, i);
	}
	assert_int_equal(store_view_begin(log.store, &log.view, NULL), SL_OK);
	return log;
}

static void log_free(struct log *log)
{
	store_view_end(log->view);
	store_free(log->store);
	tmpdir_free(log->path);
}

static void test_requests_loads_what_the_log_keeps(void **state)
{
	(void)state;
	static const struct {
		size_t max;
		uint64_t keep_ms, now_ms;
		size_t kept;
		uint64_t oldest; /* revision */
	} cases[] = {
	    {100, 1000, 20, 14, 1},
	    {5, 1000, 20, 5, 14},  /* the newest five: 14 16 17 19 20 */
	    {100, 8, 20, 6, 13},   /* 13 14 16 17 19 20: 12 has no id */
	    {100, 8, 1000, 6, 13}, /* the clock was set ahead: none is forgotten */
	    {100, 4, 1000, 14, 1}, /* nor by steps too short to count */
	    {0, 1000, 20, 0, UINT64_MAX},
	};
	struct log log = log_of(20);
	for (size_t i = 0; i < SL_COUNT(cases); i++) {
		struct requests *r = make(cases[i].max, cases[i].keep_ms);
		assert_int_equal(requests_oldest_revision(r, cases[i].now_ms), 0);
		assert_int_equal(requests_load(r, log.view, cases[i].now_ms, NULL), SL_OK);
		assert_int_equal(requests_stats(r).kept, cases[i].kept);
		assert_true(requests_oldest_revision(r, cases[i].now_ms) == cases[i].oldest);
		assert_int_equal(requests_find(r, key_number(20).bytes),
				 cases[i].kept > 0 ? 20 : 0);
		assert_int_equal(requests_find(r, key_number(18).bytes), 0);
		requests_free(r);
	}
	log_free(&log);
}

static void test_requests_keeps_none_when_told_so(void **state)
{
	(void)state;
	struct requests *r = make(0, 1000);
	requests_put(r, key_number(1).bytes, 1, 1);
	assert_int_equal(requests_find(r, key_number(1).bytes), 0);
	assert_int_equal(requests_stats(r).kept, 0);
	requests_free(r);
}

static void test_requests_dropped_by_age(void **state)
{
	(void)state;
	struct requests *r = make(10, 100);
	struct log log = log_of(0);
	assert_int_equal(requests_load(r, log.view, 1000, NULL), SL_OK);
	log_free(&log);
	requests_put(r, key_number(1).bytes, 1, 1000);
	requests_put(r, key_number(2).bytes, 2, 1050);
	assert_int_equal(requests_oldest_revision(r, 1100), 1);
	assert_int_equal(requests_oldest_revision(r, 1101), 2);
	requests_put(r, key_number(3).bytes, 3, 1101);
	assert_int_equal(requests_find(r, key_number(1).bytes), 0);
	assert_int_equal(requests_find(r, key_number(2).bytes), 2);
	assert_true(requests_oldest_revision(r, 2000) == UINT64_MAX);
	requests_free(r);
}

static void test_requests_put_again_counts_as_new(void **state)
{
	(void)state;
	struct requests *r = make(2, 1000);
	requests_put(r, key_number(1).bytes, 1, 1);
	requests_put(r, key_number(1).bytes, 2,
		     2); /* decided anew: the first was never committed */
	requests_put(r, key_number(2).bytes, 3, 3); /* the first place in the ring goes */
	assert_int_equal(requests_find(r, key_number(1).bytes), 2);
	assert_int_equal(requests_find(r, key_number(2).bytes), 3);
	requests_free(r);
}

static void test_requests_agree_with_a_model(void **state)
{
	(void)state;
	enum { MAX = 64, STEPS = 20000, KEYS = 200 };
	struct requests *r = make(MAX, UINT32_MAX);
	uint64_t last[KEYS] = {0};
	uint32_t random = 12345;
	for (uint64_t step = 1; step <= STEPS; step++) {
		random = random * 1664525u + 1013904223u;
		uint32_t number = (random >> 8) % KEYS;
		if (requests_find(r, key_number(number).bytes) == 0) {
			requests_put(r, key_number(number).bytes, step, step);
			last[number] = step;
		}
		for (uint32_t i = 0; step % 97 == 0 && i < KEYS; i++) {
			uint64_t found = requests_find(r, key_number(i).bytes);
			assert_true(found == 0 || found == last[i]);
		}
	}
	assert_int_equal(requests_stats(r).kept, MAX);
	size_t kept = 0;
	for (uint32_t i = 0; i < KEYS; i++) {
		kept += requests_find(r, key_number(i).bytes) != 0;
	}
	assert_int_equal(kept, MAX);
	requests_free(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_requests_found_until_too_many),
	    cmocka_unit_test(test_requests_dropped_by_age),
	    cmocka_unit_test(test_requests_loads_what_the_log_keeps),
	    cmocka_unit_test(test_requests_keeps_none_when_told_so),
	    cmocka_unit_test(test_requests_put_again_counts_as_new),
	    cmocka_unit_test(test_requests_agree_with_a_model),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
