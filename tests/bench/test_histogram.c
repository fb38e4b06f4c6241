#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/mem/own.h"
#include "tests/bench/histogram.h"

/* How far a bucket's middle may be from what was added. */
#define ERROR_PART 0.02

static void assert_near(double value, double wanted)
{
	if (value < wanted * (1 - ERROR_PART) || value > wanted * (1 + ERROR_PART)) {
		fail_msg("%f is not near %f", value, wanted);
	}
}

static void test_histogram_tells_one_value_of_any_size(void **state)
{
	static const uint64_t values_ns[] = {
	    1, 31, 32, 33, 1000, 123456, 98765432, 1u << 31, 1ull << 40, 3ull << 50, UINT64_MAX};
	(void)state;
	for (size_t i = 0; i < SL_COUNT(values_ns); i++) {
		struct histogram histogram = {.count = 0};
		histogram_add(&histogram, values_ns[i]);
		assert_near(histogram_us(&histogram, 0.5), (double)values_ns[i] / 1000);
		assert_near(histogram_us(&histogram, 1), (double)values_ns[i] / 1000);
		assert_true(histogram.max_ns == values_ns[i]);
	}
}

static void test_histogram_parts_of_many_values(void **state)
{
	struct histogram histogram = {.count = 0};
	(void)state;
	for (uint64_t us = 1; us <= 10000; us++) {
		histogram_add(&histogram, us * 1000);
	}
	assert_near(histogram_us(&histogram, 0.5), 5000);
	assert_near(histogram_us(&histogram, 0.99), 9900);
	assert_near(histogram_mean_us(&histogram), 5000.5);
	assert_true(histogram.count == 10000);
}

static void test_histogram_a_rare_slow_call_is_not_in_the_99th_part(void **state)
{
	struct histogram histogram = {.count = 0};
	(void)state;
	for (unsigned i = 0; i < 999; i++) {
		histogram_add(&histogram, 1000);
	}
	histogram_add(&histogram, 1000000000);
	assert_near(histogram_us(&histogram, 0.99), 1);
	assert_near(histogram_us(&histogram, 1), 1000000);
}

static void test_histogram_empty_is_zero(void **state)
{
	struct histogram histogram = {.count = 0};
	(void)state;
	assert_true(histogram_us(&histogram, 0.5) == 0);
	assert_true(histogram_mean_us(&histogram) == 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_histogram_tells_one_value_of_any_size),
	    cmocka_unit_test(test_histogram_parts_of_many_values),
	    cmocka_unit_test(test_histogram_a_rare_slow_call_is_not_in_the_99th_part),
	    cmocka_unit_test(test_histogram_empty_is_zero),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
