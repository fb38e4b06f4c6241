/* What should run where: eligibility, selection, pins, what is kept. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem/own.h"
#include "server/rules/desired.h"

enum { DEV = 1, STAGING = 2, PRODUCTION = 3, MAX_VERSIONS = 6, MAX_PINS = 3 };

/* --- eligible ------------------------------------------------------------------- */

static void test_desired_bar_is_decided_by_rank_content_and_recall(void **state)
{
	(void)state;
	static const struct {
		const char *name;
		struct desired_version version;
		uint32_t environment;
		enum desired_bar bar;
	} cases[] = {
	    {"draft in development, READY",
	     {.environment = DEV, .ready = true},
	     DEV,
	     DESIRED_ELIGIBLE},
	    {"draft in development, RESOLVING", {.environment = DEV}, DEV, DESIRED_NOT_READY},
	    {"development needs no tag",
	     {.environment = DEV, .ready = true, .published = false},
	     DEV,
	     DESIRED_ELIGIBLE},
	    {"not that far",
	     {.environment = DEV, .ready = true, .published = true},
	     STAGING,
	     DESIRED_NOT_THERE},
	    {"not that far, two steps",
	     {.environment = DEV, .ready = true, .published = true},
	     PRODUCTION,
	     DESIRED_NOT_THERE},
	    {"in staging, tag owed",
	     {.environment = STAGING, .ready = true},
	     STAGING,
	     DESIRED_NOT_PUBLISHED},
	    {"in staging, tag owed, seen from development",
	     {.environment = STAGING, .ready = true},
	     DEV,
	     DESIRED_ELIGIBLE},
	    {"in staging, published",
	     {.environment = STAGING, .ready = true, .published = true},
	     STAGING,
	     DESIRED_ELIGIBLE},
	    {"in production, seen from staging",
	     {.environment = PRODUCTION, .ready = true, .published = true},
	     STAGING,
	     DESIRED_ELIGIBLE},
	    {"in production",
	     {.environment = PRODUCTION, .ready = true, .published = true},
	     PRODUCTION,
	     DESIRED_ELIGIBLE},
	    {"blocked for new steps only",
	     {.environment = STAGING, .ready = true, .published = true, .blocked = true},
	     STAGING,
	     DESIRED_ELIGIBLE},
	    {"recalled",
	     {.environment = STAGING,
	      .ready = true,
	      .published = true,
	      .blocked = true,
	      .recalled = true},
	     STAGING,
	     DESIRED_RECALLED},
	    {"recalled in development",
	     {.environment = DEV, .ready = true, .recalled = true},
	     DEV,
	     DESIRED_RECALLED},
	};
	for (size_t i = 0; i < SL_COUNT(cases); i++) {
		enum desired_bar bar = desired_bar(&cases[i].version, cases[i].environment);
		if (bar != cases[i].bar) {
			fail_msg("%s: bar %d, not %d", cases[i].name, bar, cases[i].bar);
		}
		assert_int_equal(desired_eligible(&cases[i].version, cases[i].environment),
				 bar == DESIRED_ELIGIBLE);
		assert_true(strlen(desired_bar_text(bar)) > 0);
	}
}

/* --- choose --------------------------------------------------------------------- */

/* A version that is READY and published; a bare one is what it says. */
#define VERSION(n, at, ...) BARE(n, at, .ready = true, .published = true, __VA_ARGS__)
#define BARE(n, at, ...)                                                                           \
	{                                                                                          \
		.number = (n), .id = "ver_" #n, .environment = (at), __VA_ARGS__                   \
	}
#define ENTERED(...) .entered = {0, __VA_ARGS__}

struct choose_case {
	const char *name;
	struct desired_version versions[MAX_VERSIONS];
	struct desired_pin pins[MAX_PINS];
	uint32_t released, previous;
	uint32_t environment;
	const char *instance_id;
	uint32_t selected;
	enum desired_by by;
	uint32_t idle_pin;
	uint32_t keep[DESIRED_KEEP_MAX]; /* 0: end */
};

static const struct choose_case cases[] = {
    {.name = "no version", .environment = DEV, .by = DESIRED_BY_NOTHING},
    {.name = "nothing has come to staging",
     .versions = {VERSION(1, DEV, ENTERED(10))},
     .environment = STAGING,
     .by = DESIRED_BY_NOTHING},
    {.name = "the only one",
     .versions = {VERSION(1, DEV, ENTERED(10))},
     .environment = DEV,
     .selected = 1,
     .by = DESIRED_BY_ENTRY,
     .keep = {1}},
    {.name = "the newest in development, and the one before",
     .versions = {VERSION(1, DEV, ENTERED(10)), VERSION(2, DEV, ENTERED(20)),
		  VERSION(3, DEV, ENTERED(30))},
     .environment = DEV,
     .selected = 3,
     .by = DESIRED_BY_ENTRY,
     .keep = {3, 2}},
    {.name = "entry counts, not the number",
     .versions = {VERSION(1, STAGING, ENTERED(10, 50)), VERSION(2, STAGING, ENTERED(20, 40))},
     .environment = STAGING,
     .selected = 1,
     .by = DESIRED_BY_ENTRY,
     .keep = {1, 2}},
    {.name = "a draft that is not READY is passed by",
     .versions = {VERSION(1, DEV, ENTERED(10)), BARE(2, DEV, ENTERED(20), .published = true)},
     .environment = DEV,
     .selected = 1,
     .by = DESIRED_BY_ENTRY,
     .keep = {1}},
    {.name = "leaving development for staging changes nothing in development",
     .versions = {VERSION(1, DEV, ENTERED(10)), VERSION(2, STAGING, ENTERED(20, 30))},
     .environment = DEV,
     .selected = 2,
     .by = DESIRED_BY_ENTRY,
     .keep = {2, 1}},
    {.name = "leaving staging for production changes nothing in staging",
     .versions = {VERSION(1, STAGING, ENTERED(10, 15)),
		  VERSION(2, PRODUCTION, ENTERED(20, 30, 40))},
     .environment = STAGING,
     .selected = 2,
     .by = DESIRED_BY_ENTRY,
     .keep = {2, 1}},
    {.name = "it came to staging, but its tag is owed: the one before runs",
     .versions = {VERSION(1, STAGING, ENTERED(10, 15)),
		  BARE(2, STAGING, ENTERED(20, 30), .ready = true)},
     .environment = STAGING,
     .selected = 1,
     .by = DESIRED_BY_ENTRY,
     .keep = {1}},
    {.name = "recalled: the one before runs",
     .versions = {VERSION(1, STAGING, ENTERED(10, 15)),
		  VERSION(2, STAGING, ENTERED(20, 30), .blocked = true, .recalled = true)},
     .environment = STAGING,
     .selected = 1,
     .by = DESIRED_BY_ENTRY,
     .keep = {1}},
    {.name = "blocked without recall keeps running",
     .versions = {VERSION(1, STAGING, ENTERED(10, 15)),
		  VERSION(2, STAGING, ENTERED(20, 30), .blocked = true)},
     .environment = STAGING,
     .selected = 2,
     .by = DESIRED_BY_ENTRY,
     .keep = {2, 1}},
    {.name = "a pin beats the newest; the newest is kept",
     .versions = {VERSION(1, DEV, ENTERED(10)), VERSION(2, DEV, ENTERED(20)),
		  VERSION(3, DEV, ENTERED(30))},
     .pins = {{DEV, "", 1}},
     .environment = DEV,
     .selected = 1,
     .by = DESIRED_BY_PIN,
     .keep = {1, 3}},
    {.name = "a pin on the newest keeps the one before",
     .versions = {VERSION(1, DEV, ENTERED(10)), VERSION(2, DEV, ENTERED(20)),
		  VERSION(3, DEV, ENTERED(30))},
     .pins = {{DEV, "", 3}},
     .environment = DEV,
     .selected = 3,
     .by = DESIRED_BY_PIN,
     .keep = {3, 2}},
    {.name = "a pin of another environment says nothing here",
     .versions = {VERSION(1, STAGING, ENTERED(10, 11)), VERSION(2, STAGING, ENTERED(20, 21))},
     .pins = {{STAGING, "", 1}},
     .environment = DEV,
     .selected = 2,
     .by = DESIRED_BY_ENTRY,
     .keep = {2, 1}},
    {.name = "an instance's pin beats the environment's",
     .versions = {VERSION(1, DEV, ENTERED(10)), VERSION(2, DEV, ENTERED(20)),
		  VERSION(3, DEV, ENTERED(30))},
     .pins = {{DEV, "", 1}, {DEV, "ins_a", 2}},
     .environment = DEV,
     .instance_id = "ins_a",
     .selected = 2,
     .by = DESIRED_BY_INSTANCE_PIN,
     .keep = {2, 3}},
    {.name = "another instance follows the environment's pin",
     .versions = {VERSION(1, DEV, ENTERED(10)), VERSION(2, DEV, ENTERED(20)),
		  VERSION(3, DEV, ENTERED(30))},
     .pins = {{DEV, "ins_a", 2}, {DEV, "", 1}},
     .environment = DEV,
     .instance_id = "ins_b",
     .selected = 1,
     .by = DESIRED_BY_PIN,
     .keep = {1, 3}},
    {.name = "the environment as a whole leaves instances' pins aside",
     .versions = {VERSION(1, DEV, ENTERED(10)), VERSION(2, DEV, ENTERED(20))},
     .pins = {{DEV, "ins_a", 1}},
     .environment = DEV,
     .selected = 2,
     .by = DESIRED_BY_ENTRY,
     .keep = {2, 1}},
    {.name = "a pin that stopped being eligible has no effect",
     .versions = {VERSION(1, STAGING, ENTERED(10, 11), .blocked = true, .recalled = true),
		  VERSION(2, STAGING, ENTERED(20, 21))},
     .pins = {{STAGING, "", 1}},
     .environment = STAGING,
     .selected = 2,
     .by = DESIRED_BY_ENTRY,
     .idle_pin = 1,
     .keep = {2}},
    {.name = "an instance's pin that stopped being eligible gives way to the environment's",
     .versions = {VERSION(1, DEV, ENTERED(10), .recalled = true), VERSION(2, DEV, ENTERED(20)),
		  VERSION(3, DEV, ENTERED(30))},
     .pins = {{DEV, "ins_a", 1}, {DEV, "", 2}},
     .environment = DEV,
     .instance_id = "ins_a",
     .selected = 2,
     .by = DESIRED_BY_PIN,
     .idle_pin = 1,
     .keep = {2, 3}},
    {.name = "a pin on a version that is gone has no effect",
     .versions = {VERSION(2, DEV, ENTERED(20))},
     .pins = {{DEV, "", 1}},
     .environment = DEV,
     .selected = 2,
     .by = DESIRED_BY_ENTRY,
     .idle_pin = 1,
     .keep = {2}},
    {.name = "a pinned version stays when it moves on to production",
     .versions = {VERSION(1, PRODUCTION, ENTERED(10, 11, 12)),
		  VERSION(2, STAGING, ENTERED(20, 21))},
     .pins = {{STAGING, "", 1}},
     .environment = STAGING,
     .selected = 1,
     .by = DESIRED_BY_PIN,
     .keep = {1, 2}},
    {.name = "production before the first release: all is staged, nothing activated",
     .versions = {VERSION(1, PRODUCTION, ENTERED(10, 11, 12)),
		  VERSION(2, PRODUCTION, ENTERED(20, 21, 22))},
     .environment = PRODUCTION,
     .by = DESIRED_BY_NOTHING,
     .keep = {2, 1}},
    {.name = "production: released, previous, newest three",
     .versions =
	 {VERSION(1, PRODUCTION, ENTERED(1, 2, 3)), VERSION(2, PRODUCTION, ENTERED(4, 5, 6)),
	  VERSION(3, PRODUCTION, ENTERED(7, 8, 9)), VERSION(4, PRODUCTION, ENTERED(10, 11, 12)),
	  VERSION(5, PRODUCTION, ENTERED(13, 14, 15)), VERSION(6, STAGING, ENTERED(16, 17))},
     .released = 2,
     .previous = 1,
     .environment = PRODUCTION,
     .selected = 2,
     .by = DESIRED_BY_RELEASE,
     .keep = {2, 1, 5, 4, 3}},
    {.name = "production: no version twice",
     .versions = {VERSION(1, PRODUCTION, ENTERED(1, 2, 3)),
		  VERSION(2, PRODUCTION, ENTERED(4, 5, 6))},
     .released = 2,
     .previous = 1,
     .environment = PRODUCTION,
     .selected = 2,
     .by = DESIRED_BY_RELEASE,
     .keep = {2, 1}},
    {.name = "production: recalled but kept serving",
     .versions = {VERSION(1, PRODUCTION, ENTERED(1, 2, 3)),
		  VERSION(2, PRODUCTION, ENTERED(4, 5, 6), .blocked = true, .recalled = true)},
     .released = 2,
     .previous = 1,
     .environment = PRODUCTION,
     .selected = 2,
     .by = DESIRED_BY_RELEASE,
     .keep = {2, 1}},
    {.name = "production: a recalled version is not prefetched",
     .versions = {VERSION(1, PRODUCTION, ENTERED(1, 2, 3)),
		  VERSION(2, PRODUCTION, ENTERED(4, 5, 6), .blocked = true, .recalled = true)},
     .released = 1,
     .environment = PRODUCTION,
     .selected = 1,
     .by = DESIRED_BY_RELEASE,
     .keep = {1}},
    {.name = "production: withdrawn, previous is kept",
     .versions = {VERSION(1, PRODUCTION, ENTERED(1, 2, 3)),
		  VERSION(2, PRODUCTION, ENTERED(4, 5, 6))},
     .previous = 1,
     .environment = PRODUCTION,
     .by = DESIRED_BY_NOTHING,
     .keep = {1, 2}},
    {.name = "production: pins have no effect",
     .versions = {VERSION(1, PRODUCTION, ENTERED(1, 2, 3)),
		  VERSION(2, PRODUCTION, ENTERED(4, 5, 6))},
     .pins = {{PRODUCTION, "", 2}},
     .released = 1,
     .environment = PRODUCTION,
     .selected = 1,
     .by = DESIRED_BY_RELEASE,
     .keep = {1, 2}},
};

static void input_of(const struct choose_case *c, struct desired_input *input)
{
	*input = (struct desired_input){.versions = c->versions,
					.pins = c->pins,
					.released = c->released,
					.previous = c->previous};
	while (input->version_count < MAX_VERSIONS &&
	       c->versions[input->version_count].number != 0) {
		input->version_count++;
	}
	while (input->pin_count < MAX_PINS && c->pins[input->pin_count].version != 0) {
		input->pin_count++;
	}
}

static void check_case(const struct choose_case *c)
{
	struct desired_input input;
	struct desired_choice choice;
	input_of(c, &input);
	desired_choose(&input, c->environment, c->instance_id, &choice);
	if (choice.selected != c->selected || choice.by != c->by ||
	    choice.idle_pin != c->idle_pin) {
		fail_msg("%s: selected %u by %d, idle %u", c->name, choice.selected, choice.by,
			 choice.idle_pin);
	}
	for (size_t i = 0; i < DESIRED_KEEP_MAX; i++) {
		uint32_t kept = i < choice.keep_count ? choice.keep[i] : 0;
		if (kept != c->keep[i]) {
			fail_msg("%s: keep[%zu] is %u, not %u", c->name, i, kept, c->keep[i]);
		}
	}
}

static void test_desired_choose_follows_the_table(void **state)
{
	(void)state;
	for (size_t i = 0; i < SL_COUNT(cases); i++) {
		check_case(&cases[i]);
	}
}

static void test_desired_what_is_activated_is_kept(void **state)
{
	(void)state;
	for (size_t i = 0; i < SL_COUNT(cases); i++) {
		struct desired_input input;
		input_of(&cases[i], &input);
		for (uint32_t environment = 1; environment <= DESIRED_ENVIRONMENTS; environment++) {
			struct desired_choice choice;
			desired_choose(&input, environment, "ins_a", &choice);
			if (choice.selected != 0 &&
			    (choice.keep_count == 0 || choice.keep[0] != choice.selected)) {
				fail_msg("%s: environment %u does not keep what it runs",
					 cases[i].name, environment);
			}
		}
	}
}

static void test_desired_find_is_by_number(void **state)
{
	(void)state;
	static const struct desired_version versions[] = {
	    {.number = 2}, {.number = 5}, {.number = 9}};
	struct desired_input input = {.versions = versions, .version_count = SL_COUNT(versions)};
	for (uint32_t number = 0; number <= 10; number++) {
		const struct desired_version *found = desired_find(&input, number);
		bool there = number == 2 || number == 5 || number == 9;
		assert_int_equal(found != NULL, there);
		assert_true(found == NULL || found->number == number);
	}
	assert_null(desired_find(&(struct desired_input){0}, 1));
}

static void test_desired_takes_down_unless_a_content_is_awaited(void **state)
{
	(void)state;
	static const struct {
		const char *name;
		struct desired_version versions[2];
		uint32_t environment;
		bool down;
	} downs[] = {
	    {"nothing is there", {{0}, {0}}, DEV, true},
	    {"a draft is looked up", {{.environment = DEV}, {0}}, DEV, false},
	    {"a tag is owed", {{.environment = STAGING, .ready = true}, {0}}, STAGING, false},
	    {"what is awaited is not that far", {{.environment = DEV}, {0}}, STAGING, true},
	    {"recalled", {{.environment = DEV, .ready = true, .recalled = true}, {0}}, DEV, true},
	    {"recalled, and another is awaited",
	     {{.environment = DEV, .recalled = true}, {.environment = DEV}},
	     DEV,
	     true},
	    {"nothing is released",
	     {{.environment = PRODUCTION, .ready = true}, {0}},
	     PRODUCTION,
	     true},
	};
	for (size_t i = 0; i < SL_COUNT(downs); i++) {
		struct desired_input input = {.versions = downs[i].versions, .version_count = 2};
		if (desired_takes_down(&input, downs[i].environment) != downs[i].down) {
			fail_msg("%s", downs[i].name);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_desired_bar_is_decided_by_rank_content_and_recall),
	    cmocka_unit_test(test_desired_choose_follows_the_table),
	    cmocka_unit_test(test_desired_what_is_activated_is_kept),
	    cmocka_unit_test(test_desired_takes_down_unless_a_content_is_awaited),
	    cmocka_unit_test(test_desired_find_is_by_number),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
