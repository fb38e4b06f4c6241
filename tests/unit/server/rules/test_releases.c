/* The stack of releases. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem/own.h"
#include "server/rules/releases.h"

static void test_releases_previous_passes_by_what_cannot_be_gone_back_to(void **state)
{
	(void)state;
	static const struct {
		const char *name;
		struct release_entry entry;
		uint32_t released;
		enum release_skip skip;
	} cases[] = {
	    {"another version", {.version = 1}, 2, RELEASE_SKIP_NOT},
	    {"nothing is released", {.version = 1}, 0, RELEASE_SKIP_NOT},
	    {"blocked", {.version = 1, .blocked = true}, 2, RELEASE_SKIP_BLOCKED},
	    {"gone", {.version = 1, .missing = true}, 2, RELEASE_SKIP_MISSING},
	    {"what is released", {.version = 2}, 2, RELEASE_SKIP_RELEASED},
	    {"what is released, blocked",
	     {.version = 2, .blocked = true},
	     2,
	     RELEASE_SKIP_RELEASED},
	};
	for (size_t i = 0; i < SL_COUNT(cases); i++) {
		enum release_skip skip = release_skip(&cases[i].entry, cases[i].released);
		if (skip != cases[i].skip) {
			fail_msg("%s: %d, not %d", cases[i].name, skip, cases[i].skip);
		}
		assert_true(strlen(release_skip_text(skip)) > 0);
	}
}

static void test_releases_push_adds_unless_it_is_the_top(void **state)
{
	(void)state;
	static const struct {
		uint32_t depth, top, version, after;
	} cases[] = {
	    {0, 0, 1, 1}, /* the first */
	    {1, 1, 2, 2},
	    {2, 2, 1, 3}, /* an older one again */
	    {2, 2, 2, 2}, /* the top after a withdrawal */
	};
	for (size_t i = 0; i < SL_COUNT(cases); i++) {
		assert_int_equal(release_push_depth(cases[i].depth, cases[i].top, cases[i].version),
				 cases[i].after);
	}
}

static void test_releases_pop_goes_to_the_target_or_pushes_it(void **state)
{
	(void)state;
	assert_int_equal(release_pop_depth(5, 4), 4);
	assert_int_equal(release_pop_depth(5, 1), 1);
	assert_int_equal(release_pop_depth(5, 5), 5); /* the top after a withdrawal */
	assert_int_equal(release_pop_depth(5, 0), 6); /* released before, popped off since */
	assert_int_equal(release_pop_depth(0, 0), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_releases_previous_passes_by_what_cannot_be_gone_back_to),
	    cmocka_unit_test(test_releases_push_adds_unless_it_is_the_top),
	    cmocka_unit_test(test_releases_pop_goes_to_the_target_or_pushes_it),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
