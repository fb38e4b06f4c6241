/* Request ids: found again, dropped oldest first, by number and by age, and by a model over many
 * random steps. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/bytes/bytes.h"
#include "base/mem/own.h"
#include "server/services/requests.h"

struct key {
	uint8_t bytes[REQUEST_KEY_BYTES];
};

/* Keys whose first bytes collide often, so that displaced entries are met. */
static struct key key_of(uint32_t number)
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
		requests_put(r, key_of(i).bytes, i, 10 + i);
	}
	assert_int_equal(requests_find(r, key_of(1).bytes), 0);
	assert_int_equal(requests_find(r, key_of(2).bytes), 2);
	assert_int_equal(requests_find(r, key_of(4).bytes), 4);
	assert_int_equal(requests_find(r, key_of(9).bytes), 0);
	assert_int_equal(requests_stats(r).kept, 3);
	assert_int_equal(requests_stats(r).since_ms, 12);
	requests_free(r);
}

static void test_requests_dropped_by_age(void **state)
{
	(void)state;
	struct requests *r = make(10, 100);
	requests_put(r, key_of(1).bytes, 1, 1000);
	requests_put(r, key_of(2).bytes, 2, 1050);
	assert_int_equal(requests_oldest_revision(r, 1100), 1);
	assert_int_equal(requests_oldest_revision(r, 1101), 2);
	assert_true(requests_oldest_revision(r, 2000) == UINT64_MAX);
	requests_put(r, key_of(3).bytes, 3, 1101);
	assert_int_equal(requests_find(r, key_of(1).bytes), 0);
	assert_int_equal(requests_find(r, key_of(2).bytes), 2);
	requests_free(r);
}

static void test_requests_put_again_counts_as_new(void **state)
{
	(void)state;
	struct requests *r = make(2, 1000);
	requests_put(r, key_of(1).bytes, 1, 1);
	requests_put(r, key_of(1).bytes, 2, 2); /* decided anew: the first was never committed */
	requests_put(r, key_of(2).bytes, 3, 3); /* the first place in the ring goes */
	assert_int_equal(requests_find(r, key_of(1).bytes), 2);
	assert_int_equal(requests_find(r, key_of(2).bytes), 3);
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
		if (requests_find(r, key_of(number).bytes) == 0) {
			requests_put(r, key_of(number).bytes, step, step);
			last[number] = step;
		}
		for (uint32_t i = 0; step % 97 == 0 && i < KEYS; i++) {
			uint64_t found = requests_find(r, key_of(i).bytes);
			assert_true(found == 0 || found == last[i]);
		}
	}
	assert_int_equal(requests_stats(r).kept, MAX);
	size_t kept = 0;
	for (uint32_t i = 0; i < KEYS; i++) {
		kept += requests_find(r, key_of(i).bytes) != 0;
	}
	assert_int_equal(kept, MAX);
	requests_free(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_requests_found_until_too_many),
	    cmocka_unit_test(test_requests_dropped_by_age),
	    cmocka_unit_test(test_requests_put_again_counts_as_new),
	    cmocka_unit_test(test_requests_agree_with_a_model),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
