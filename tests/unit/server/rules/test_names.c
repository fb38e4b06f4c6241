/* rules/names: paths, Git revisions, names made from URLs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem/own.h"
#include "server/rules/names.h"

static void test_names_paths(void **state)
{
	(void)state;
	static const struct {
		const char *path;
		int good;
	} cases[] = {
	    {".", 1},    {"apps/shop", 1}, {"a", 1},     {"a/b/c", 1}, {"a b/\xc3\xa4", 1},
	    {"...", 1},  {".hidden", 1},   {"a/..b", 1}, {"", 0},      {"/", 0},
	    {"/a", 0},   {"a/", 0},        {"a//b", 0},  {"..", 0},    {"a/..", 0},
	    {"../a", 0}, {"a/../b", 0},    {"./a", 0},   {"a/.", 0},   {"a/./b", 0},
	    {"a\nb", 0}, {"a\x7f", 0},     {"\x01", 0},  {"a/b\t", 0},
	};
	for (size_t i = 0; i < SL_COUNT(cases); i++) {
		const char *broken = path_broken_rule(cases[i].path);
		if ((broken == NULL) != cases[i].good) {
			fail_msg("'%s': %s", cases[i].path, broken != NULL ? broken : "allowed");
		}
	}
}

static void test_names_path_has_at_most_1000_bytes(void **state)
{
	(void)state;
	char path[APP_PATH_MAX_BYTES + 2];
	memset(path, 'a', sizeof(path));
	path[APP_PATH_MAX_BYTES + 1] = '\0';
	assert_non_null(path_broken_rule(path));
	path[APP_PATH_MAX_BYTES] = '\0';
	assert_null(path_broken_rule(path));
}

static void test_names_revisions(void **state)
{
	(void)state;
	static const struct {
		const char *revision;
		int good;
	} cases[] = {
	    {"main", 1},
	    {"feature/x-1", 1},
	    {"v1.0", 1},
	    {"0123456789abcdef0123456789abcdef01234567", 1},
	    {"", 0},
	    {"-x", 0},
	    {"--upload-pack=touch", 0},
	    {"a b", 0},
	    {"a~1", 0},
	    {"a^", 0},
	    {"a:b", 0},
	    {"a?", 0},
	    {"a*", 0},
	    {"a[", 0},
	    {"a\\b", 0},
	    {"a..b", 0},
	    {"a@{1}", 0},
	    {"a\n", 0},
	    {"\x7f", 0},
	};
	for (size_t i = 0; i < SL_COUNT(cases); i++) {
		const char *broken = revision_broken_rule(cases[i].revision);
		if ((broken == NULL) != cases[i].good) {
			fail_msg("'%s': %s", cases[i].revision,
				 broken != NULL ? broken : "allowed");
		}
	}
	char longest[REVISION_MAX_BYTES + 2];
	memset(longest, 'a', sizeof(longest));
	longest[REVISION_MAX_BYTES + 1] = '\0';
	assert_non_null(revision_broken_rule(longest));
	longest[REVISION_MAX_BYTES] = '\0';
	assert_null(revision_broken_rule(longest));
}

static void test_names_from_urls(void **state)
{
	(void)state;
	static const struct {
		const char *url, *want;
	} cases[] = {
	    {"https://example.com/team/shop.git", "shop"},
	    {"https://example.com/team/shop", "shop"},
	    {"https://example.com/team/shop/", "shop"},
	    {"https://example.com/team/Shop.App.git", "shop-app"},
	    {"https://example.com/x/shop.git?a=b#c", "shop"},
	    {"ssh://git@example.com:22/~me/--My__Web--.git", "my-web"},
	    {"git@example.com:shop.git", "shop"},
	    {"file:///srv/git/a b", "a-b"},
	    {"https://example.com/", "repository"},
	    {"https://example.com", "repository"},
	    {"https://example.com/.git", "repository"},
	    {"https://example.com/\xc3\xa4\xc3\xb6", "repository"},
	    {"https://h/123456789012345678901234567890123456789012345678_-xyz",
	     "123456789012345678901234567890123456789012345678-x"},
	    {"https://h/1234567890123456789012345678901234567890123456789-xyz",
	     "1234567890123456789012345678901234567890123456789"},
	};
	for (size_t i = 0; i < SL_COUNT(cases); i++) {
		char name[NAME_MAX_BYTES + 1];
		name_from_url(name, cases[i].url);
		assert_string_equal(name, cases[i].want);
	}
}

static void test_names_from_what_it_is_called_elsewhere(void **state)
{
	(void)state;
	static const struct {
		const char *text, *want;
	} cases[] = {
	    {"My App", "my-app"},
	    {"my-app", "my-app"},
	    {"  CRM / v2 (old) ", "crm-v2-old"},
	    {"B\xc3\xbcro", "b-ro"},
	    {"\xe5\xba\x97", "app"},
	    {"...", "app"},
	    {"", "app"},
	    {"a2345678901234567890123456789012345678901234567890123",
	     "a2345678901234567890123456789012345678901234567890"},
	};
	for (size_t i = 0; i < SL_COUNT(cases); i++) {
		char name[NAME_MAX_BYTES + 1];
		name_from_text(name, cases[i].text);
		assert_string_equal(name, cases[i].want);
	}
}

static void test_names_numbered_fit(void **state)
{
	(void)state;
	char name[NAME_MAX_BYTES + 1];
	name_numbered(name, "shop", 2);
	assert_string_equal(name, "shop-2");
	name_numbered(name, "12345678901234567890123456789012345678901234567890", 12);
	assert_string_equal(name, "12345678901234567890123456789012345678901234567-12");
	name_numbered(name, "1234567890123456789012345678901234567890123456--90", 10);
	assert_string_equal(name, "1234567890123456789012345678901234567890123456-10");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_names_paths),
	    cmocka_unit_test(test_names_path_has_at_most_1000_bytes),
	    cmocka_unit_test(test_names_revisions),
	    cmocka_unit_test(test_names_from_urls),
	    cmocka_unit_test(test_names_from_what_it_is_called_elsewhere),
	    cmocka_unit_test(test_names_numbered_fit),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
