/* The join file: what is written is read back; what is no join file is refused by name. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/join/join.h"
#include "base/join/login.h"
#include "base/mem/own.h"

static void test_a_join_file_is_read_as_it_was_written(void **state)
{
	(void)state;
	const struct join in = {.server = (char *)"s:1",
				.door = (char *)"s:2",
				.ca = (char *)"-----BEGIN\nx\n",
				.workspace = (char *)"default",
				.instance = (char *)"prod-1",
				.token = (char *)"jtk_a.b"};
	struct join out;
	char *text = join_text(&in);
	assert_non_null(text);
	assert_int_equal(join_parse(sl_bytes_text(text), &out, NULL), SL_OK);
	assert_string_equal(out.ca, in.ca);
	assert_string_equal(out.door, in.door);
	assert_string_equal(out.token, in.token);
	join_fini(&out);
	free(text);
}

static void test_what_is_none_is_refused_and_named(void **state)
{
	(void)state;
#define REST "\"door\":\"d:1\",\"ca\":\"x\",\"workspace\":\"w\",\"instance\":\"i\""
	static const struct {
		const char *text, *says;
	} rows[] = {
	    {"", "join file"},
	    {"[]", "join file"},
	    {"{}", "'server' is missing"},
	    {"{\"server\":\"s:1\"," REST "}", "'token' is missing"},
	    {"{\"server\":\"\"," REST ",\"token\":\"t\"}", "'server' is missing"},
	    {"{\"server\":5," REST ",\"token\":\"t\"}", "server"},
	    {"{\"server\":\"s:1\"," REST ",\"token\":\"t\",\"more\":1}", "more"},
	};
	for (size_t i = 0; i < SL_COUNT(rows); i++) {
		SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
		struct join join = {0};
		assert_int_equal(join_parse(sl_bytes_text(rows[i].text), &join, &err),
				 SL_INVALID_ARGUMENT);
		assert_null(join.server);
		if (strstr(err.msg, rows[i].says) == NULL) {
			fail_msg("%s: %s", rows[i].text, err.msg);
		}
	}
	struct join join = {0};
	assert_int_equal(
	    join_parse(sl_bytes_text("{\"server\":\"s:1\"," REST ",\"token\":\"t\"}"), &join, NULL),
	    SL_OK);
	join_fini(&join);
}

static void test_a_file_that_is_none_is_named(void **state)
{
	(void)state;
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	struct join join = {0};
	assert_int_equal(join_read("/dev/null", &join, &err), SL_INVALID_ARGUMENT);
	assert_non_null(strstr(err.msg, "'/dev/null': join file: "));
	assert_int_equal(join_read("/nonexistent/join.json", &join, &err), SL_NOT_FOUND);
	assert_non_null(strstr(err.msg, "'/nonexistent/join.json'"));
}

static void test_a_login_file_is_one_line_and_read_as_it_was_written(void **state)
{
	(void)state;
	const struct login_file in = {.server = (char *)"s:1",
				      .door = (char *)"s:2",
				      .ca = (char *)"-----BEGIN\nx\n",
				      .token = (char *)"slc_a_b"};
	struct login_file out;
	char *text = login_file_text(&in);
	assert_non_null(text);
	assert_ptr_equal(strchr(text, '\n'), text + strlen(text) - 1);
	assert_int_equal(login_file_parse(sl_bytes_text(text), &out, NULL), SL_OK);
	assert_string_equal(out.server, in.server);
	assert_string_equal(out.door, in.door);
	assert_string_equal(out.ca, in.ca);
	assert_string_equal(out.token, in.token);
	login_file_fini(&out);
	assert_null(out.token);
	free(text);
}

static void test_a_login_file_that_is_none_is_named_and_not_shown(void **state)
{
	(void)state;
	static const struct {
		const char *text, *says;
	} rows[] = {
	    {"{", "login file"},
	    {"{\"server\":\"s:1\",\"door\":\"d:1\",\"token\":\"hidden\"}", "'ca' is missing"},
	    {"{\"server\":\"s:1\",\"door\":\"d:1\",\"ca\":\"x\",\"token\":\"\"}",
	     "'token' is missing"},
	    {"{\"server\":\"s:1\",\"instance\":\"i\",\"token\":\"hidden\"}", "instance"},
	};
	for (size_t i = 0; i < SL_COUNT(rows); i++) {
		SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
		struct login_file file = {0};
		assert_int_equal(login_file_parse(sl_bytes_text(rows[i].text), &file, &err),
				 SL_INVALID_ARGUMENT);
		assert_null(file.server);
		assert_non_null(strstr(err.msg, rows[i].says));
		assert_null(strstr(err.msg, "hidden"));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_a_file_that_is_none_is_named),
	    cmocka_unit_test(test_a_login_file_is_one_line_and_read_as_it_was_written),
	    cmocka_unit_test(test_a_login_file_that_is_none_is_named_and_not_shown),
	    cmocka_unit_test(test_a_join_file_is_read_as_it_was_written),
	    cmocka_unit_test(test_what_is_none_is_refused_and_named),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
