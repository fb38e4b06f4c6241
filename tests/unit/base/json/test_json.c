/* Reading bounded JSON, and writing it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "base/json/json.h"
#include "base/mem/own.h"
#include "tests/lib/tmpdir.h"

SL_DEFINE_AUTO(struct sl_json *, sl_json_free);

static struct sl_json *parse(const char *text)
{
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	struct sl_json *root = NULL;
	assert_int_equal(sl_json_parse(sl_bytes_text(text), &root, &err), SL_OK);
	return root;
}

static void test_json_reads_each_type(void **state)
{
	(void)state;
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	SL_AUTO(sl_json_free_auto)
	struct sl_json *root =
	    parse("{\"t\":\"x\",\"n\":5,\"b\":true,\"o\":{\"k\":\"v\"},\"l\":[\"a\",{},3]}");
	const char *text = "before";
	uint64_t number = 9;
	bool flag = false;
	const struct sl_json *object = NULL;
	const struct sl_json *list = NULL;
	assert_int_equal(sl_json_get_text(root, "t", 1, &text, &err), SL_OK);
	assert_string_equal(text, "x");
	assert_int_equal(sl_json_get_uint(root, "n", 5, 5, &number, &err), SL_OK);
	assert_int_equal(number, 5);
	assert_int_equal(sl_json_get_bool(root, "b", &flag, &err), SL_OK);
	assert_true(flag);
	assert_int_equal(sl_json_get_object(root, "o", &object, &err), SL_OK);
	assert_int_equal(sl_json_get_text(object, "k", 9, &text, &err), SL_OK);
	assert_string_equal(text, "v");
	assert_int_equal(sl_json_get_list(root, "l", 3, &list, &err), SL_OK);
	assert_int_equal(sl_json_count(list), 3);
	assert_string_equal(sl_json_text_at(list, 0), "a");
	assert_null(sl_json_text_at(list, 1));
	assert_non_null(sl_json_object_at(list, 1));
	assert_null(sl_json_object_at(list, 2));
	assert_null(sl_json_text_at(list, 3));
	assert_true(sl_json_has(root, "t"));
	assert_false(sl_json_has(root, "u"));
}

static void test_json_absent_keys_leave_the_default(void **state)
{
	(void)state;
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	SL_AUTO(sl_json_free_auto) struct sl_json *root = parse("{}");
	const char *text = "before";
	uint64_t number = 9;
	bool flag = true;
	const struct sl_json *object = NULL;
	assert_int_equal(sl_json_get_text(root, "t", 1, &text, &err), SL_OK);
	assert_int_equal(sl_json_get_uint(root, "n", 5, 5, &number, &err), SL_OK);
	assert_int_equal(sl_json_get_bool(root, "b", &flag, &err), SL_OK);
	assert_int_equal(sl_json_get_object(root, "o", &object, &err), SL_OK);
	assert_int_equal(sl_json_get_list(root, "l", 5, &object, &err), SL_OK);
	assert_string_equal(text, "before");
	assert_int_equal(number, 9);
	assert_true(flag);
	assert_null(object);
	assert_int_equal(sl_json_count(NULL), 0);
}

static void test_json_wrong_values_name_the_key(void **state)
{
	(void)state;
	SL_AUTO(sl_json_free_auto)
	struct sl_json *root =
	    parse("{\"t\":\"long\",\"n\":5,\"neg\":-1,\"r\":1.5,\"l\":[1,2],\"z\":null}");
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	const char *text = "before";
	uint64_t number = 9;
	bool flag = true;
	const struct sl_json *child = NULL;
	assert_int_equal(sl_json_get_text(root, "n", 9, &text, &err), SL_INVALID_ARGUMENT);
	assert_string_equal(err.msg, "key 'n' must be a text");
	assert_int_equal(sl_json_get_text(root, "z", 9, &text, &err), SL_INVALID_ARGUMENT);
	assert_int_equal(sl_json_get_text(root, "t", 3, &text, &err), SL_INVALID_ARGUMENT);
	assert_string_equal(err.msg, "key 't' must have at most 3 bytes, has 4");
	assert_int_equal(sl_json_get_uint(root, "n", 6, 10, &number, &err), SL_INVALID_ARGUMENT);
	assert_string_equal(err.msg, "key 'n' must be 6 to 10, is 5");
	assert_int_equal(sl_json_get_uint(root, "neg", 0, UINT64_MAX, &number, &err),
			 SL_INVALID_ARGUMENT);
	assert_string_equal(err.msg, "key 'neg' must be 0 to 18446744073709551615, is -1");
	assert_int_equal(sl_json_get_uint(root, "r", 0, 9, &number, &err), SL_INVALID_ARGUMENT);
	assert_string_equal(err.msg, "key 'r' must be a whole number");
	assert_int_equal(sl_json_get_bool(root, "t", &flag, &err), SL_INVALID_ARGUMENT);
	assert_string_equal(err.msg, "key 't' must be true or false");
	assert_int_equal(sl_json_get_object(root, "l", &child, &err), SL_INVALID_ARGUMENT);
	assert_string_equal(err.msg, "key 'l' must be an object");
	assert_int_equal(sl_json_get_list(root, "t", 1, &child, &err), SL_INVALID_ARGUMENT);
	assert_string_equal(err.msg, "key 't' must be a list");
	assert_int_equal(sl_json_get_list(root, "l", 1, &child, &err), SL_INVALID_ARGUMENT);
	assert_string_equal(err.msg, "key 'l' must have at most 1 items, has 2");
	assert_string_equal(text, "before");
	assert_int_equal(number, 9);
	assert_true(flag);
	assert_null(child);
}

static void test_json_unknown_keys_are_named(void **state)
{
	(void)state;
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	SL_AUTO(sl_json_free_auto) struct sl_json *root = parse("{\"b\":1,\"a\":2}");
	static const char *const both[] = {"a", "b", NULL};
	static const char *const one[] = {"b", NULL};
	assert_int_equal(sl_json_check_keys(root, both, &err), SL_OK);
	assert_int_equal(sl_json_check_keys(root, one, &err), SL_INVALID_ARGUMENT);
	assert_string_equal(err.msg, "unknown key 'a'");
	assert_string_equal(sl_json_next_key(root, NULL), "b");
	assert_string_equal(sl_json_next_key(root, "b"), "a");
	assert_null(sl_json_next_key(root, "a"));
}

static void test_json_refuses_what_is_not_an_object(void **state)
{
	(void)state;
	static const struct {
		const char *text, *message;
	} cases[] = {
	    {"", "line 1, column 0: not JSON: '[' or '{' expected near end of file"},
	    {"[]", "JSON must be an object"},
	    {"{\"a\":1,\"a\":2}", "line 1, column 10: not JSON: duplicate object key near '\"a\"'"},
	    {"{\n\"a\":}", "line 2, column 5: not JSON: unexpected token near '}'"},
	    {"{} x", "line 1, column 4: not JSON: end of file expected near 'x'"},
	};
	for (size_t i = 0; i < SL_COUNT(cases); i++) {
		SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
		struct sl_json *root = NULL;
		assert_int_equal(sl_json_parse(sl_bytes_text(cases[i].text), &root, &err),
				 SL_INVALID_ARGUMENT);
		assert_string_equal(err.msg, cases[i].message);
		assert_null(root);
	}
}

/* "{"k":{"k":...{}...}}" with `levels` objects; the caller frees it. */
static char *nested(size_t levels)
{
	struct sl_buf buf = {0};
	for (size_t i = 1; i < levels; i++) {
		sl_buf_printf(&buf, "{\"k\":");
	}
	sl_buf_printf(&buf, "{}");
	for (size_t i = 1; i < levels; i++) {
		sl_buf_printf(&buf, "}");
	}
	sl_buf_append(&buf, "", 1);
	assert_false(buf.failed);
	return (char *)buf.data;
}

static void test_json_depth_and_size_are_bounded(void **state)
{
	(void)state;
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	SL_AUTO(sl_free_auto) char *allowed = nested(SL_JSON_MAX_DEPTH);
	SL_AUTO(sl_free_auto) char *deeper = nested(SL_JSON_MAX_DEPTH + 1);
	SL_AUTO(sl_free_auto) char *abyss = nested(100000);
	SL_AUTO(sl_free_auto) char *large = calloc(1, SL_JSON_MAX_BYTES + 1);
	SL_AUTO(sl_json_free_auto) struct sl_json *root = parse(allowed);
	struct sl_json *none = NULL;
	assert_non_null(root);
	assert_int_equal(sl_json_parse(sl_bytes_text(deeper), &none, &err), SL_INVALID_ARGUMENT);
	assert_string_equal(err.msg, "JSON must nest at most 32 deep");
	assert_int_equal(sl_json_parse(sl_bytes_text(abyss), &none, &err), SL_INVALID_ARGUMENT);
	assert_int_equal(sl_json_parse(SL_BYTES(large, SL_JSON_MAX_BYTES + 1), &none, &err),
			 SL_INVALID_ARGUMENT);
	assert_string_equal(err.msg, "JSON must have at most 1048576 bytes, has 1048577");
	assert_null(none);
}

static void write_file(const char *path, const char *text)
{
	FILE *file = fopen(path, "we");
	assert_non_null(file);
	assert_true(fputs(text, file) >= 0);
	assert_int_equal(fclose(file), 0);
}

static void test_json_files_are_named_in_errors(void **state)
{
	(void)state;
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	SL_AUTO(sl_json_free_auto) struct sl_json *root = NULL;
	char *folder = tmpdir_new();
	char path[512];
	char want[600];
	(void)snprintf(path, sizeof(path), "%s/f.json", folder);
	(void)snprintf(want, sizeof(want),
		       "%s: line 1, column 1: not JSON: '[' or '{' expected near 'x'", path);
	assert_int_equal(sl_json_read_file(path, &root, &err), SL_NOT_FOUND);
	write_file(path, "x");
	assert_int_equal(sl_json_read_file(path, &root, &err), SL_INVALID_ARGUMENT);
	assert_string_equal(err.msg, want);
	assert_int_equal(sl_json_read_file(folder, &root, &err), SL_INTERNAL);
	assert_null(root);
	write_file(path, "{\"a\":1}");
	assert_int_equal(sl_json_read_file(path, &root, &err), SL_OK);
	assert_true(sl_json_has(root, "a"));
	tmpdir_free(folder);
}

static void write_all(struct sl_json_writer *writer)
{
	sl_json_open_object(writer, NULL);
	sl_json_put_text(writer, "text", "a\"b\xff");
	sl_json_put_uint(writer, "number", UINT64_MAX);
	sl_json_put_bool(writer, "flag", true);
	sl_json_open_list(writer, "list");
	sl_json_put_real(writer, NULL, 1.5);
	sl_json_put_real(writer, NULL, 1.0 / 0.0);
	sl_json_open_object(writer, NULL);
	sl_json_close(writer);
	sl_json_close(writer);
	sl_json_open_list(writer, "none");
	sl_json_close(writer);
	sl_json_close(writer);
}

static void test_json_writer_both_styles(void **state)
{
	(void)state;
	struct sl_json_writer compact = {.style = SL_JSON_COMPACT};
	write_all(&compact);
	SL_AUTO(sl_free_auto) char *one_line = sl_json_finish(&compact);
	assert_string_equal(
	    one_line,
	    "{\"text\":\"a\\\"b\xef\xbf\xbd\",\"number\":18446744073709551615,\"flag\":true,"
	    "\"list\":[1.5,null,{}],\"none\":[]}\n");
	struct sl_json_writer pretty = {.style = SL_JSON_PRETTY};
	write_all(&pretty);
	SL_AUTO(sl_free_auto) char *lines = sl_json_finish(&pretty);
	assert_string_equal(
	    lines, "{\n  \"text\": \"a\\\"b\xef\xbf\xbd\",\n  \"number\": 18446744073709551615,\n"
		   "  \"flag\": true,\n  \"list\": [\n    1.5,\n    null,\n    {}\n  ],\n"
		   "  \"none\": []\n}\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_json_reads_each_type),
	    cmocka_unit_test(test_json_absent_keys_leave_the_default),
	    cmocka_unit_test(test_json_wrong_values_name_the_key),
	    cmocka_unit_test(test_json_unknown_keys_are_named),
	    cmocka_unit_test(test_json_refuses_what_is_not_an_object),
	    cmocka_unit_test(test_json_depth_and_size_are_bounded),
	    cmocka_unit_test(test_json_files_are_named_in_errors),
	    cmocka_unit_test(test_json_writer_both_styles),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
