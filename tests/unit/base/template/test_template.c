/* template: references become values, which end neither their string nor their line; every fault
 * has a name of its own, and no error has a value. */
#include "base/template/template.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/crypto/crypto.h"
#include "base/crypto/secret.h"
#include "base/json/json.h"
#include "base/mem/own.h"
#include "tests/lib/tmpdir.h"

static const char wild[] = "a\"b\\c\nd$e`f\x01g";

/* By name; what is not there is UNKNOWN. */
static const struct {
	const char *name;
	enum template_fault fault;
	const char *value;
} names[] = {
    {"X", TEMPLATE_FINE, "value"},           {"WILD", TEMPLATE_FINE, wild},
    {"APOSTROPHE", TEMPLATE_FINE, "it's"},   {"UNDECLARED", TEMPLATE_UNDECLARED, "marker"},
    {"KIND", TEMPLATE_WRONG_KIND, "marker"}, {"UNSET", TEMPLATE_UNSET, "marker"},
    {"EMPTY", TEMPLATE_EMPTY, "marker"},     {"OTHER", TEMPLATE_NOT_HERE, "marker"},
};

static enum template_fault look_up(void *ctx, const struct template_ref *ref,
				   const char **ret_value)
{
	char *seen = ctx;
	(void)snprintf(seen, 200, "%d %s %s", (int)ref->space, ref->name, ref->option);
	for (size_t i = 0; i < SL_COUNT(names); i++) {
		if (strcmp(ref->name, names[i].name) == 0) {
			*ret_value = names[i].value;
			return names[i].fault;
		}
	}
	return TEMPLATE_UNKNOWN;
}

static char seen[200];

static struct template template_of(enum template_format format, const char *text)
{
	seen[0] = '\0';
	return (struct template){
	    .text = sl_bytes_text(text), .format = format, .look_up = look_up, .ctx = seen};
}

static void expect(enum template_format format, const char *text, const char *rendered)
{
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	SL_AUTO(sl_secret_text_auto) char *got = NULL;
	const struct template template = template_of(format, text);
	size_t size = 0;
	if (template_check(&template, NULL, &err) != SL_OK ||
	    template_render(&template, &got, &size, NULL, &err) != SL_OK) {
		fail_msg("%s: %s", text, err.msg);
	}
	assert_string_equal(got, rendered);
	assert_int_equal(size, strlen(rendered));
}

static void expect_fault(enum template_format format, const char *text, enum template_fault wanted,
			 const char *in_message)
{
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	SL_AUTO(sl_secret_text_auto) char *got = NULL;
	const struct template template = template_of(format, text);
	enum template_fault fault = TEMPLATE_FINE;
	size_t size = 0;
	assert_int_not_equal(template_render(&template, &got, &size, &fault, &err), SL_OK);
	assert_string_equal(template_fault_name(fault), template_fault_name(wanted));
	assert_non_null(strstr(err.msg, template_fault_name(wanted)));
	assert_non_null(strstr(err.msg, in_message));
	assert_null(strstr(err.msg, "marker"));
	assert_null(got);
}

static void test_template_reads_references(void **state)
{
	(void)state;
	expect(TEMPLATE_PLAIN, "", "");
	expect(TEMPLATE_PLAIN, "no reference { } }} {", "no reference { } }} {");
	expect(TEMPLATE_PLAIN, "a {{constants.X}} b", "a value b");
	assert_string_equal(seen, "0 X ");
	expect(TEMPLATE_PLAIN, "{{ \tsecrets.X }}{{secrets.X}}", "valuevalue");
	assert_string_equal(seen, "1 X ");
	expect(TEMPLATE_PLAIN, "{{sources.X.host_name}}", "value");
	assert_string_equal(seen, "2 X host_name");
	expect(TEMPLATE_PLAIN, "\\{{constants.X}} \\\\{{", "{{constants.X}} \\{{");
	expect(TEMPLATE_PLAIN, "{{constants.WILD}}", wild);
}

static void test_template_each_fault_has_its_name(void **state)
{
	static const struct {
		const char *text;
		enum template_fault fault;
		const char *in_message;
	} cases[] = {
	    {"one\n{{constants.X", TEMPLATE_UNCLOSED, "line 2"},
	    {"{{constants.X}", TEMPLATE_UNCLOSED, "line 1"},
	    {"{{constants.X\n}}", TEMPLATE_UNCLOSED, "line 1"},
	    {"{{", TEMPLATE_UNCLOSED, "line 1"},
	    {"{{}}", TEMPLATE_MALFORMED, "constants.NAME"},
	    {"{{constant.X}}", TEMPLATE_MALFORMED, "{{constant.X}}"},
	    {"{{constants}}", TEMPLATE_MALFORMED, ""},
	    {"{{constants.}}", TEMPLATE_MALFORMED, ""},
	    {"{{constants.9}}", TEMPLATE_MALFORMED, ""},
	    {"{{constants.X.Y}}", TEMPLATE_MALFORMED, ""},
	    {"{{constants.X Y}}", TEMPLATE_MALFORMED, ""},
	    {"{{sources.X}}", TEMPLATE_MALFORMED, ""},
	    {"{{sources.X.}}", TEMPLATE_MALFORMED, ""},
	    {"{{sources.X.Y.Z}}", TEMPLATE_MALFORMED, ""},
	    {"{{{constants.X}}}", TEMPLATE_MALFORMED, ""},
	    {"\n\n{{secrets.UNDECLARED}}", TEMPLATE_UNDECLARED, "line 3: {{secrets.UNDECLARED}}"},
	    {"{{constants.NO_SUCH}}", TEMPLATE_UNKNOWN, "{{constants.NO_SUCH}}"},
	    {"{{constants.KIND}}", TEMPLATE_WRONG_KIND, "other kind"},
	    {"{{sources.UNSET.host}}", TEMPLATE_UNSET, "{{sources.UNSET.host}}"},
	    {"{{secrets.EMPTY}}", TEMPLATE_EMPTY, "empty"},
	    {"{{secrets.OTHER}}", TEMPLATE_NOT_HERE, "here"},
	};
	(void)state;
	for (size_t i = 0; i < SL_COUNT(cases); i++) {
		for (int format = TEMPLATE_PLAIN; format <= TEMPLATE_ENV; format++) {
			expect_fault((enum template_format)format, cases[i].text, cases[i].fault,
				     cases[i].in_message);
		}
	}
	for (int fault = 0; fault < TEMPLATE_FAULT_COUNT; fault++) {
		assert_int_equal(
		    strncmp(template_fault_name((enum template_fault)fault), "TEMPLATE_", 9), 0);
	}
}

static void test_template_bounds(void **state)
{
	(void)state;
	size_t size = TEMPLATE_BYTES_MAX + 1;
	SL_AUTO(sl_free_auto) char *text = calloc(1, size + 1);
	assert_non_null(text);
	memset(text, 'x', size);
	expect_fault(TEMPLATE_PLAIN, text, TEMPLATE_TOO_BIG, "1 MiB");
	text[size - 1] = '\0';
	expect(TEMPLATE_PLAIN, text, text);
	static const char one[] = "{{constants.WILD}}{{constants.WILD}}";
	for (size_t at = 0; at + sizeof(one) < size; at += sizeof(one) - 1) {
		memcpy(text + at, one, sizeof(one) - 1);
	}
	expect(TEMPLATE_PLAIN, "{{constants.WILD}}", wild);
	char name[300] = "{{constants.";
	memset(name + 12, 'N', 200);
	memcpy(name + 212, "}}", 3);
	expect_fault(TEMPLATE_PLAIN, name, TEMPLATE_MALFORMED, "");
}

static void test_template_json_stays_json(void **state)
{
	(void)state;
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	SL_AUTO(sl_secret_text_auto) char *got = NULL;
	struct sl_json *root = NULL;
	const char *text = NULL;
	size_t size = 0;
	expect(TEMPLATE_JSON, "{\"a\": \"<{{constants.WILD}}>\"}",
	       "{\"a\": \"<a\\\"b\\\\c\\nd$e`f\\u0001g>\"}");
	expect(TEMPLATE_JSON, "{\"a\": {{constants.X}}}", "{\"a\": \"value\"}");
	expect(TEMPLATE_JSON, "{\"q\\\"\": {{constants.X}}}", "{\"q\\\"\": \"value\"}");
	expect(TEMPLATE_JSON, "[\"\\\\{{constants.X}}\"]", "[\"\\\\value\"]");
	const struct template template = template_of(
	    TEMPLATE_JSON, "{\"in\": \"{{secrets.WILD}}\", \"bare\": {{secrets.WILD}}}");
	assert_int_equal(template_render(&template, &got, &size, NULL, &err), SL_OK);
	assert_int_equal(sl_json_parse(SL_BYTES(got, size), &root, &err), SL_OK);
	assert_int_equal(sl_json_get_text(root, "in", 100, &text, &err), SL_OK);
	assert_string_equal(text, wild);
	assert_int_equal(sl_json_get_text(root, "bare", 100, &text, &err), SL_OK);
	assert_string_equal(text, wild);
	sl_json_free(root);
}

static void test_template_env_keeps_its_lines(void **state)
{
	(void)state;
	expect(TEMPLATE_ENV, "A={{constants.X}}\nB=\"-{{constants.X}}-\"\n",
	       "A=\"value\"\nB=\"-value-\"\n");
	expect(TEMPLATE_ENV, "A={{constants.WILD}}", "A=\"a\\\"b\\\\c\nd\\$e\\`f\x01g\"");
	expect(TEMPLATE_ENV, "A=\"\\\"{{constants.WILD}}\"",
	       "A=\"\\\"a\\\"b\\\\c\nd\\$e\\`f\x01g\"");
	expect(TEMPLATE_ENV, "A='<{{constants.WILD}}>'", "A='<a\"b\\c\nd$e`f\x01g>'");
	expect_fault(TEMPLATE_ENV, "A='{{constants.APOSTROPHE}}'", TEMPLATE_QUOTE, "line 1");
	expect(TEMPLATE_ENV, "A={{constants.APOSTROPHE}}", "A=\"it's\"");
	/* What is said in comments is not meant. */
	expect(TEMPLATE_ENV, " # don't {{constants.NO_SUCH}} {{\nA={{constants.X}}",
	       " # don't {{constants.NO_SUCH}} {{\nA=\"value\"");
	expect(TEMPLATE_ENV, "A=b#c{{constants.X}}", "A=b#c\"value\"");
}

/* What a shell makes of an env file is the value. */
static void test_template_env_as_a_shell_reads_it(void **state)
{
	(void)state;
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	SL_AUTO(sl_secret_text_auto) char *got = NULL;
	const struct template template =
	    template_of(TEMPLATE_ENV, "A={{constants.WILD}}\nB=\"{{constants.WILD}}\"\n");
	char *dir = tmpdir_new(), path[600], command[700], out[200] = "";
	size_t size = 0;
	(void)snprintf(path, sizeof(path), "%s/env", dir);
	(void)snprintf(command, sizeof(command),
		       "set -e; . '%s'; [ \"$A\" = \"$B\" ]; printf %%s \"$A\"", path);
	assert_int_equal(template_render(&template, &got, &size, NULL, &err), SL_OK);
	FILE *file = fopen(path, "we");
	assert_non_null(file);
	assert_true(fputs(got, file) >= 0);
	assert_int_equal(fclose(file), 0);
	FILE *pipe = popen(command, "re");
	assert_non_null(pipe);
	assert_int_equal(fread(out, 1, sizeof(out) - 1, pipe), strlen(wild));
	assert_int_equal(pclose(pipe), 0);
	assert_string_equal(out, wild);
	tmpdir_free(dir);
}

static void test_template_formats_go_by_name(void **state)
{
	static const struct {
		const char *path;
		enum template_format format;
	} cases[] = {
	    {"config/app.json", TEMPLATE_JSON},
	    {"a.json/text", TEMPLATE_PLAIN},
	    {"env", TEMPLATE_ENV},
	    {"conf/.env", TEMPLATE_ENV},
	    {"prod.env", TEMPLATE_ENV},
	    {".env.local", TEMPLATE_ENV},
	    {"environment", TEMPLATE_PLAIN},
	    {"app.yaml", TEMPLATE_PLAIN},
	};
	(void)state;
	for (size_t i = 0; i < SL_COUNT(cases); i++) {
		assert_int_equal(template_format_of(cases[i].path), cases[i].format);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_template_reads_references),
	    cmocka_unit_test(test_template_each_fault_has_its_name),
	    cmocka_unit_test(test_template_bounds),
	    cmocka_unit_test(test_template_json_stays_json),
	    cmocka_unit_test(test_template_env_keeps_its_lines),
	    cmocka_unit_test(test_template_env_as_a_shell_reads_it),
	    cmocka_unit_test(test_template_formats_go_by_name),
	};
	return sl_crypto_init() ? cmocka_run_group_tests(tests, NULL, NULL) : 1;
}
