/* Who stays out, and for how long. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/bytes/bytes.h"
#include "base/tls/offenders.h"

enum { START_US = 1000000000 };

struct key {
	uint8_t bytes[TLS_OFFENDER_KEY];
};

static struct key key_of(uint32_t number)
{
	struct key key = {.bytes = {0}};
	sl_put_be32(key.bytes + 28, number);
	return key;
}

static void test_it_stays_out_for_a_while(void **state)
{
	(void)state;
	struct tls_offenders offenders = {.list = {{.until_us = 0}}};
	struct key one = key_of(0), other = key_of(1);
	assert_false(
	    tls_offenders_meet(&offenders, one.bytes, 0, START_US)); /* nor a key of zeros */
	uint64_t until_us = tls_offenders_add(&offenders, one.bytes, 0, START_US);
	assert_int_equal(until_us, START_US + TLS_OFFENDER_FIRST_US);
	assert_true(tls_offenders_meet(&offenders, one.bytes, 0, until_us - 1));
	assert_false(tls_offenders_meet(&offenders, one.bytes, 0, until_us));
	assert_false(tls_offenders_meet(&offenders, other.bytes, 0, START_US));
}

static void test_all_of_its_connections_count_once(void **state)
{
	(void)state;
	struct tls_offenders offenders = {.list = {{.until_us = 0}}};
	struct key one = key_of(1);
	uint64_t until_us = tls_offenders_add(&offenders, one.bytes, 0, START_US);
	assert_int_equal(tls_offenders_add(&offenders, one.bytes, 0, START_US + 1), until_us);
	assert_int_equal(tls_offenders_add(&offenders, one.bytes, 0, until_us - 1), until_us);
}

static void test_again_is_twice_as_long_up_to_the_longest(void **state)
{
	(void)state;
	struct tls_offenders offenders = {.list = {{.until_us = 0}}};
	struct key one = key_of(1);
	uint64_t now_us = START_US, wanted_us = TLS_OFFENDER_FIRST_US;
	for (int i = 0; i < 20; i++) {
		uint64_t until_us = tls_offenders_add(&offenders, one.bytes, 0, now_us);
		assert_int_equal(until_us - now_us, wanted_us);
		now_us = until_us + wanted_us - 1; /* the last moment at which it is remembered */
		wanted_us = wanted_us * 2 < TLS_OFFENDER_LONGEST_US ? wanted_us * 2
								    : TLS_OFFENDER_LONGEST_US;
	}
	now_us += 2 * (uint64_t)TLS_OFFENDER_LONGEST_US;
	assert_int_equal(tls_offenders_add(&offenders, one.bytes, 0, now_us) - now_us,
			 TLS_OFFENDER_FIRST_US);
}

static void test_of_too_many_the_first_to_come_in_is_forgotten(void **state)
{
	(void)state;
	struct tls_offenders offenders = {.list = {{.until_us = 0}}};
	for (uint32_t i = 0; i <= TLS_OFFENDERS; i++) {
		struct key key = key_of(i);
		(void)tls_offenders_add(&offenders, key.bytes, 0, START_US + i);
	}
	for (uint32_t i = 0; i <= TLS_OFFENDERS; i++) {
		struct key key = key_of(i);
		assert_int_equal(tls_offenders_meet(&offenders, key.bytes, 0, START_US + 100),
				 i > 0);
	}
}

static void test_where_it_came_from_is_known_for_as_long(void **state)
{
	(void)state;
	struct tls_offenders offenders = {.list = {{.until_us = 0}}};
	struct key one = key_of(1), other = key_of(2);
	assert_false(tls_offenders_came_from(&offenders, 0, START_US));
	uint64_t until_us = tls_offenders_add(&offenders, one.bytes, 77, START_US);
	assert_true(tls_offenders_came_from(&offenders, 77, until_us - 1));
	assert_false(tls_offenders_came_from(&offenders, 77, until_us));
	assert_false(tls_offenders_came_from(&offenders, 78, START_US));
	assert_false(tls_offenders_came_from(&offenders, 0, START_US));

	/* It comes again, from elsewhere; who is not out has done nothing. */
	assert_true(tls_offenders_meet(&offenders, one.bytes, 78, until_us - 1));
	assert_false(tls_offenders_meet(&offenders, other.bytes, 79, until_us - 1));
	assert_true(tls_offenders_came_from(&offenders, 78, until_us - 1));
	assert_false(tls_offenders_came_from(&offenders, 78, until_us));
	assert_false(tls_offenders_came_from(&offenders, 79, until_us - 1));
}

static void test_of_two_from_the_same_place_the_longer_counts(void **state)
{
	(void)state;
	struct tls_offenders offenders = {.list = {{.until_us = 0}}};
	struct key one = key_of(1), other = key_of(2);
	uint64_t until_us = tls_offenders_add(&offenders, one.bytes, 77, START_US + 1000);
	(void)tls_offenders_add(&offenders, other.bytes, 0, START_US);
	assert_true(tls_offenders_meet(&offenders, other.bytes, 77, START_US + 1001));
	assert_true(tls_offenders_came_from(&offenders, 77, until_us - 1));
}

static void test_of_too_many_places_the_first_to_be_free_is_forgotten(void **state)
{
	(void)state;
	struct tls_offenders offenders = {.list = {{.until_us = 0}}};
	for (uint32_t i = 0; i <= TLS_ORIGINS; i++) {
		struct key key = key_of(i);
		(void)tls_offenders_add(&offenders, key.bytes, 100 + i, START_US + i);
	}
	for (uint32_t i = 0; i <= TLS_ORIGINS; i++) {
		assert_int_equal(tls_offenders_came_from(&offenders, 100 + i, START_US + 100),
				 i > 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_it_stays_out_for_a_while),
	    cmocka_unit_test(test_all_of_its_connections_count_once),
	    cmocka_unit_test(test_again_is_twice_as_long_up_to_the_longest),
	    cmocka_unit_test(test_of_too_many_the_first_to_come_in_is_forgotten),
	    cmocka_unit_test(test_where_it_came_from_is_known_for_as_long),
	    cmocka_unit_test(test_of_two_from_the_same_place_the_longer_counts),
	    cmocka_unit_test(test_of_too_many_places_the_first_to_be_free_is_forgotten),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
