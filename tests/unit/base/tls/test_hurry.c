/* Resets of young streams, over all connections of a key. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/bytes/bytes.h"
#include "base/tls/hurry.h"

enum { START_US = 1000000000, SECOND_US = 1000000 };

struct key {
	uint8_t bytes[TLS_HURRY_KEY];
};

static struct key key_of(uint32_t number)
{
	struct key key = {.bytes = {0}};
	sl_put_be32(key.bytes + 28, number);
	return key;
}

static void test_a_key_has_so_many_at_once_in_however_many_parts(void **state)
{
	(void)state;
	const uint32_t parts[] = {1, 7, 128, 512};
	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
		struct tls_hurry hurry = {.list = {{.spent_us = 0}}};
		struct key one = key_of(1), other = key_of(2);
		uint32_t spent = 0;
		for (; spent + parts[i] <= TLS_HURRY_BURST; spent += parts[i]) {
			assert_true(tls_hurry_bears(&hurry, one.bytes, parts[i], START_US));
		}
		assert_false(tls_hurry_bears(&hurry, one.bytes, parts[i], START_US));
		assert_true(tls_hurry_bears(&hurry, other.bytes, TLS_HURRY_BURST, START_US));
	}
}

static void test_time_gives_them_back(void **state)
{
	(void)state;
	struct tls_hurry hurry = {.list = {{.spent_us = 0}}};
	struct key one = key_of(1);
	uint64_t now_us = START_US;
	assert_true(tls_hurry_bears(&hurry, one.bytes, TLS_HURRY_BURST, now_us));
	for (int i = 0; i < 100; i++) {
		now_us += SECOND_US;
		assert_true(tls_hurry_bears(&hurry, one.bytes, TLS_HURRY_PER_SECOND, now_us));
	}
	assert_false(tls_hurry_bears(&hurry, one.bytes, 1, now_us));
	now_us += 2 * (uint64_t)SECOND_US * TLS_HURRY_BURST / TLS_HURRY_PER_SECOND;
	assert_true(tls_hurry_bears(&hurry, one.bytes, TLS_HURRY_BURST, now_us));
}

static void test_many_keys_push_out_who_spent_least(void **state)
{
	(void)state;
	struct tls_hurry hurry = {.list = {{.spent_us = 0}}};
	struct key worst = key_of(0xffffffff);
	assert_true(tls_hurry_bears(&hurry, worst.bytes, TLS_HURRY_BURST, START_US));
	for (uint32_t i = 0; i < 10 * TLS_HURRY_KEYS; i++) {
		struct key one = key_of(i + 1);
		assert_true(tls_hurry_bears(&hurry, one.bytes, 1 + i % 9, START_US));
	}
	assert_false(tls_hurry_bears(&hurry, worst.bytes, 1, START_US));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_a_key_has_so_many_at_once_in_however_many_parts),
	    cmocka_unit_test(test_time_gives_them_back),
	    cmocka_unit_test(test_many_keys_push_out_who_spent_least),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
