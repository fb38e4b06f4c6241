/* Polling: at once, in time, too late. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/clock/clock.h"
#include "tests/lib/wait.h"

struct counter {
	int calls, holds_at;
};

static bool counted(void *ctx)
{
	struct counter *counter = ctx;
	return ++counter->calls >= counter->holds_at;
}

static void test_holds_at_once(void **state)
{
	(void)state;
	struct counter counter = {.holds_at = 1};
	assert_true(wait_until(counted, &counter, 0));
	assert_int_equal(counter.calls, 1);
}

static void test_holds_later(void **state)
{
	(void)state;
	struct counter counter = {.holds_at = 6};
	assert_true(wait_until(counted, &counter, 20000));
	assert_int_equal(counter.calls, 6);
	counter = (struct counter){.holds_at = 6};
	assert_true(WAIT_FOR(counted(&counter), 20000));
	assert_int_equal(counter.calls, 6);
}

static void test_never_holds(void **state)
{
	(void)state;
	struct counter counter = {.holds_at = 1 << 30};
	uint64_t before = sl_clock_mono_ms();
	assert_false(wait_until(counted, &counter, 60));
	assert_true(sl_clock_mono_ms() - before >= 60);
	assert_true(counter.calls >= 3);
	assert_false(WAIT_FOR(counted(&counter), 0));
}

static void test_is_asked_again_at_the_deadline(void **state)
{
	(void)state;
	uint64_t deadline = wait_deadline(100);
	assert_true(WAIT_FOR(sl_clock_mono_ms() >= deadline, 100));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_holds_at_once),
	    cmocka_unit_test(test_holds_later),
	    cmocka_unit_test(test_never_holds),
	    cmocka_unit_test(test_is_asked_again_at_the_deadline),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
