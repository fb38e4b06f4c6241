/* rules/rights: patterns, environments, the built-in roles. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem/own.h"
#include "server/rules/rights.h"

static void test_rights_patterns(void **state)
{
	(void)state;
	static const struct {
		const char *pattern, *name;
		bool matches;
	} cases[] = {
	    {"*", "", true},
	    {"*", "shop", true},
	    {"**", "shop", true},
	    {"shop", "shop", true},
	    {"shop", "shops", false},
	    {"shop", "sho", false},
	    {"shop-*", "shop-eu", true},
	    {"shop-*", "shop-", true},
	    {"shop-*", "shop", false},
	    {"*-eu", "shop-eu", true},
	    {"*-eu", "shop-eu-eu", true},
	    {"*-eu", "shop-eux", false},
	    {"s?op", "shop", true},
	    {"s?op", "sop", false},
	    {"?", "", false},
	    {"*a*b*", "xaxbx", true},
	    {"*a*b*", "xbxax", false},
	    {"a*a*a", "aa", false},
	    {"a*a*a", "aaaa", true},
	    {"", "", true},
	    {"", "a", false},
	};
	for (size_t i = 0; i < SL_COUNT(cases); i++) {
		if (rights_match(cases[i].pattern, cases[i].name) != cases[i].matches) {
			fail_msg("'%s' over '%s'", cases[i].pattern, cases[i].name);
		}
	}
}

static void test_rights_pattern_that_is_none(void **state)
{
	(void)state;
	static const char *const bad[] = {"", "Shop", "a b", "a/b", "shop.*", "[a]", "\xc3\xa4"};
	for (size_t i = 0; i < SL_COUNT(bad); i++) {
		assert_non_null(rights_pattern_broken_rule(bad[i]));
	}
	char longest[RIGHTS_PATTERN_MAX + 2];
	memset(longest, 'a', sizeof(longest));
	longest[RIGHTS_PATTERN_MAX + 1] = '\0';
	assert_non_null(rights_pattern_broken_rule(longest));
	longest[RIGHTS_PATTERN_MAX] = '\0';
	assert_null(rights_pattern_broken_rule(longest));
}

#define IN(rank) (1u << (rank))
#define MAY(verb) (1u << ACCESS_##verb)

static void test_rights_are_verb_app_and_environment(void **state)
{
	(void)state;
	static const struct right items[] = {
	    {MAY(VIEW), IN(1) | IN(2) | IN(3), "*", "shop*"},
	    {MAY(PROMOTE) | MAY(EDIT), IN(2), "shop-*", "*-eu"},
	    {MAY(MANAGE_INSTANCES), IN(1), "*", "*"},
	};
	static const struct rights rights = {.items = items, .count = SL_COUNT(items)};
	static const struct {
		enum access_verb verb;
		const char *slug;
		uint32_t environment;
		bool may;
	} cases[] = {
	    {ACCESS_VIEW, "shop", 3, true},
	    {ACCESS_VIEW, "blog", 3, false},
	    {ACCESS_VIEW, "blog", 0, false},
	    {ACCESS_VIEW, NULL, 0, true}, /* some app is enough to see */
	    {ACCESS_PROMOTE, "shop-eu", 2, true},
	    {ACCESS_PROMOTE, "shop-eu", 0, true},
	    {ACCESS_PROMOTE, "shop-eu", 3, false},
	    {ACCESS_PROMOTE, "shop-us", 2, false}, /* both patterns */
	    {ACCESS_PROMOTE, "blog-eu", 2, false},
	    {ACCESS_EDIT, NULL, 2, false}, /* all apps, to change what is of none */
	    {ACCESS_MANAGE_INSTANCES, NULL, 1, true},
	    {ACCESS_MANAGE_INSTANCES, NULL, 2, false},
	    {ACCESS_RELEASE, "shop", 3, false},
	    {ACCESS_NONE, "shop", 1, false},
	    {ACCESS_VIEW, "shop", 77, false},
	};
	for (size_t i = 0; i < SL_COUNT(cases); i++) {
		if (rights_allow(&rights, cases[i].verb, cases[i].slug, cases[i].environment) !=
		    cases[i].may) {
			fail_msg("%s %s in %u", access_verb_name(cases[i].verb),
				 cases[i].slug == NULL ? "-" : cases[i].slug, cases[i].environment);
		}
	}
	assert_true(rights_allow_everywhere(&rights, ACCESS_VIEW, "shop"));
	assert_false(rights_allow_everywhere(&rights, ACCESS_EDIT, "shop-eu"));
	assert_false(rights_see_all(&rights));
}

static void test_rights_of_nobody_and_of_everybody(void **state)
{
	(void)state;
	static const struct rights none = {.count = 0}, all = {.everything = true};
	for (int verb = ACCESS_VIEW; verb < ACCESS_VERB_COUNT; verb++) {
		assert_false(rights_allow(&none, (enum access_verb)verb, "shop", 1));
		assert_false(rights_allow(&none, (enum access_verb)verb, NULL, 0));
		assert_true(rights_allow(&all, (enum access_verb)verb, NULL, 3));
	}
	assert_true(rights_see_all(&all));
	assert_false(rights_see_all(&none));
}

/* A row a role, a letter a verb in an environment: what it may there. */
static void test_rights_built_in_roles(void **state)
{
	(void)state;
	static const struct {
		const char *role;
		uint32_t development, staging, production;
	} cases[] = {
	    {"admin", 0, 0, 0}, /* below */
	    {"builder", MAY(VIEW) | MAY(EDIT) | MAY(CONFIGURE) | MAY(MANAGE_INSTANCES),
	     MAY(VIEW) | MAY(PROMOTE), MAY(VIEW)},
	    {"tester", MAY(VIEW), MAY(VIEW) | MAY(EDIT), MAY(VIEW)},
	    {"releaser", MAY(VIEW), MAY(VIEW),
	     MAY(VIEW) | MAY(EDIT) | MAY(PROMOTE) | MAY(RELEASE) | MAY(ROLLBACK)},
	    {"viewer", MAY(VIEW), MAY(VIEW), MAY(VIEW)},
	    {"bot", MAY(VIEW) | MAY(EDIT), MAY(VIEW) | MAY(PROMOTE), MAY(VIEW)},
	};
	for (size_t i = 0; i < SL_COUNT(cases); i++) {
		const struct rights_role *role = rights_built_in_role(cases[i].role);
		assert_non_null(role);
		const struct rights rights = {.items = role->items, .count = role->count};
		const uint32_t in[] = {0, cases[i].development, cases[i].staging,
				       cases[i].production};
		for (uint32_t env = 1; env <= 3; env++) {
			assert_false(rights_allow(&rights, ACCESS_APPROVE, "shop", env));
			assert_false(rights_allow(&rights, ACCESS_OVERRIDE, "shop", env));
			assert_false(rights_allow(&rights, ACCESS_AGENT, "shop", env));
			for (int verb = ACCESS_VIEW; i > 0 && verb < ACCESS_VERB_COUNT; verb++) {
				bool may = (in[env] & (1u << verb)) != 0;
				assert_int_equal(
				    rights_allow(&rights, (enum access_verb)verb, "shop", env),
				    may);
			}
		}
		assert_true(rights_see_all(&rights));
		assert_int_equal(rights_allow_everywhere(&rights, ACCESS_ADMINISTER, NULL), i == 0);
	}
	assert_null(rights_built_in_role("root"));
	assert_int_equal(SL_COUNT(cases), RIGHTS_BUILT_IN_ROLES);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_rights_patterns),
	    cmocka_unit_test(test_rights_pattern_that_is_none),
	    cmocka_unit_test(test_rights_are_verb_app_and_environment),
	    cmocka_unit_test(test_rights_of_nobody_and_of_everybody),
	    cmocka_unit_test(test_rights_built_in_roles),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
