/* The shape checks: what passes, what does not, and what the error names. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "server/services/service.h"

struct sample {
	const char *value;
	bool good;
};

static void expect(sl_code code, const struct sl_err *err, const struct sample *sample,
		   enum sl_reason reason)
{
	if (sample->good) {
		assert_int_equal(code, SL_OK);
		return;
	}
	if (code != SL_INVALID_ARGUMENT) {
		fail_msg("'%s' passed", sample->value);
	}
	assert_int_equal(err->reason, reason);
	assert_non_null(err->details);
	assert_int_equal(err->details->kind, SL_DETAIL_FIELD);
	assert_string_equal(err->details->subject, "field");
}

static void test_check_name(void **state)
{
	(void)state;
	static const struct sample samples[] = {
	    {"a", true},
	    {"shop", true},
	    {"9lives", true},
	    {"a-b--c", true},
	    {"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", true}, /* 50 */
	    {"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", false},
	    {"", false},
	    {"-a", false},
	    {"a-", false},
	    {"Shop", false},
	    {"a_b", false},
	    {"a b", false},
	    {"../x", false},
	    {"sh\xc3\xb6p", false},
	};
	for (size_t i = 0; i < SL_COUNT(samples); i++) {
		SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
		expect(check_name("field", samples[i].value, &err), &err, &samples[i],
		       SL_REASON_NAME_INVALID);
	}
}

static void test_check_version_name(void **state)
{
	(void)state;
	static const struct sample samples[] = {
	    {"v1", true},
	    {"1.2.3-rc.1+x_y", true},
	    {"V1", true},
	    {"abcdefghijklmnopqrstuvwxy", true}, /* 25 */
	    {"abcdefghijklmnopqrstuvwxyz", false},
	    {"", false},
	    {".v1", false},
	    {"v1.", false},
	    {"v1.lock", false},
	    {"a..b", false},
	    {"ver_x", false},
	    {"verx", true},
	    {"a/b", false},
	    {"a b", false},
	};
	for (size_t i = 0; i < SL_COUNT(samples); i++) {
		SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
		expect(check_version_name("field", samples[i].value, &err), &err, &samples[i],
		       SL_REASON_NAME_INVALID);
	}
}

static void test_check_text_takes_utf8_without_controls(void **state)
{
	(void)state;
	static const struct sample samples[] = {
	    {"plain", true},
	    {"two\nlines\tand a tab", true},
	    {"\xc3\xbc \xe2\x82\xac \xf0\x9f\x9a\xab", true},
	    {"", false},
	    {"bell\a", false},
	    {"\x7f", false},
	    {"\xff", false},
	    {"\xc3", false},
	    {"\xc0\xaf", false},              /* not the shortest form */
	    {"\xed\xa0\x80", false},          /* a surrogate */
	    {"\xf4\x90\x80\x80", false},      /* beyond U+10FFFF */
	    {"123456789012345678901", false}, /* 21 of 20 */
	};
	for (size_t i = 0; i < SL_COUNT(samples); i++) {
		SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
		expect(check_text("field", samples[i].value, 20, &err), &err, &samples[i],
		       SL_REASON_MALFORMED);
	}
	assert_int_equal(check_text_or_empty("field", "", 20, NULL), SL_OK);
}

static void test_check_labels(void **state)
{
	(void)state;
	char *const keys[] = {"zone", "tier", "zone"};
	char *const values[] = {"eu-1", "A_b.c", "us"};
	char *const bad_keys[] = {"Zone"};
	char *const bad_values[] = {"a b"};
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	assert_int_equal(check_labels("field", keys, values, 2, 16, &err), SL_OK);
	assert_int_equal(check_labels("field", keys, values, 3, 16, &err),
			 SL_INVALID_ARGUMENT); /* twice */
	assert_int_equal(check_labels("field", keys, values, 2, 1, &err),
			 SL_INVALID_ARGUMENT); /* too many */
	assert_int_equal(check_labels("field", bad_keys, values, 1, 16, &err), SL_INVALID_ARGUMENT);
	assert_int_equal(check_labels("field", keys, bad_values, 1, 16, &err), SL_INVALID_ARGUMENT);
}

static void test_labels_match_when_all_wanted_are_there(void **state)
{
	(void)state;
	SL_AUTO(sl_arena_fini) struct sl_arena arena;
	sl_arena_init(&arena, 0);
	char *const keys[] = {"zone", "app", "tier"};
	char *const values[] = {"eu", "x", "1"};
	char *const wanted_keys[] = {"tier", "zone"};
	char *const wanted_values[] = {"1", "eu"};
	Sluice__Store__V1__Label **labels = labels_sorted(&arena, keys, values, 3);
	Sluice__Store__V1__Label **wanted = labels_sorted(&arena, wanted_keys, wanted_values, 2);
	assert_string_equal(labels[0]->key, "app");
	assert_string_equal(labels[2]->key, "zone");
	assert_true(labels_match(wanted, 2, labels, 3));
	assert_true(labels_match(wanted, 0, labels, 3));
	assert_true(labels_match(NULL, 0, NULL, 0));
	assert_false(labels_match(labels, 3, wanted, 2));
	wanted[0]->value = "2";
	assert_false(labels_match(wanted, 2, labels, 3));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_check_name),
	    cmocka_unit_test(test_check_version_name),
	    cmocka_unit_test(test_check_text_takes_utf8_without_controls),
	    cmocka_unit_test(test_check_labels),
	    cmocka_unit_test(test_labels_match_when_all_wanted_are_there),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
