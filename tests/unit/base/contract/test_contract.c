/* sluice.json: the examples are taken or refused by the rule that their name says; what is taken is
 * sorted; each refusal names thing, value and rule. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/contract/contract.h"
#include "base/mem/own.h"

#define FOLDER "tests/unit/base/contract/"
enum { FILE_MAX = 1 << 17 };

struct fixture {
	struct sl_arena arena;
	char text[FILE_MAX];
	struct contract *contract;
	enum contract_rule rule;
	struct sl_err err;
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	assert_non_null(f);
	sl_arena_init(&f->arena, 0);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	sl_err_clear(&f->err);
	sl_arena_fini(&f->arena);
	free(f);
	return 0;
}

static sl_code parse(struct fixture *f, struct sl_bytes text)
{
	f->contract = NULL;
	f->rule = CONTRACT_RULE_COUNT;
	sl_err_clear(&f->err);
	return contract_parse(&f->arena, text, &f->contract, &f->rule, &f->err);
}

static sl_code parse_file(struct fixture *f, const char *path)
{
	FILE *file = fopen(path, "re");
	assert_non_null(file);
	size_t size = fread(f->text, 1, sizeof(f->text), file);
	assert_int_equal(fclose(file), 0);
	return parse(f, SL_BYTES(f->text, size));
}

static void test_good_examples_are_taken(void **state)
{
	struct fixture *f = *state;
	glob_t found;
	assert_int_equal(glob(FOLDER "good/*.json", 0, NULL, &found), 0);
	for (size_t i = 0; i < found.gl_pathc; i++) {
		if (parse_file(f, found.gl_pathv[i]) != SL_OK) {
			fail_msg("%s: %s", found.gl_pathv[i], f->err.msg);
		}
		assert_non_null(f->contract);
	}
	globfree(&found);
}

static void expect_rule(struct fixture *f, const char *path)
{
	char want[64] = "CONTRACT_";
	const char *name = strrchr(path, '/') + 1;
	(void)strncat(want, name, strcspn(name, "-"));
	assert_int_equal(parse_file(f, path), SL_INVALID_ARGUMENT);
	assert_null(f->contract);
	assert_int_equal(f->err.reason, SL_REASON_MALFORMED);
	if (strcmp(contract_rule_name(f->rule), want) != 0) {
		fail_msg("%s: %s: %s", path, contract_rule_name(f->rule), f->err.msg);
	}
	assert_int_equal(strncmp(f->err.msg, "sluice.json: ", 13), 0);
}

static void test_bad_examples_are_refused_by_their_rule(void **state)
{
	struct fixture *f = *state;
	glob_t found;
	assert_int_equal(glob(FOLDER "bad/*.json", 0, NULL, &found), 0);
	assert_int_equal(glob(FOLDER "bad_unseen/*.json", GLOB_APPEND, NULL, &found), 0);
	for (size_t i = 0; i < found.gl_pathc; i++) {
		expect_rule(f, found.gl_pathv[i]);
	}
	globfree(&found);
}

static void test_what_is_taken_is_sorted(void **state)
{
	struct fixture *f = *state;
	assert_int_equal(parse_file(f, FOLDER "good/whole.json"), SL_OK);
	const struct contract *c = f->contract;
	assert_int_equal(c->constants.count, 2);
	assert_string_equal(c->constants.items[0], "API_URL");
	assert_string_equal(c->constants.items[1], "_x");
	assert_int_equal(c->secrets.count, 1);
	assert_string_equal(c->secrets.items[0], "API_KEY");
	assert_int_equal(c->source_count, 3);
	assert_string_equal(c->sources[0].name, "cache");
	assert_string_equal(c->sources[0].kind, "redis");
	assert_string_equal(c->sources[2].name, "main");
	assert_int_equal(c->render.count, 3);
	assert_string_equal(c->render.items[0], ".env");
}

static void test_a_refusal_names_thing_value_and_rule(void **state)
{
	struct fixture *f = *state;
	static const struct {
		const char *text, *says;
	} rows[] = {
	    {"", "line 1, column 0: not JSON"},
	    {"[]", "must be an object"},
	    {"{\"requires\":{\"constants\":[\"A\"],}}", "not JSON"},
	    {"{\"a\":1,\"a\":2}", "duplicate object key"},
	    {"{\"requirements\":1}", "unknown key 'requirements'"},
	    {"{\"requires\":{\"x\":1}}", "requires: unknown key 'x'"},
	    {"{\"requires\":{\"data_sources\":[{\"name\":\"a\",\"kind\":\"s3\"},{\"kind\":1}]}}",
	     "requires.data_sources[1]: key 'kind' must be a text"},
	    {"{\"requires\":{\"data_sources\":[{\"kind\":\"s3\"}]}}", "lacks name"},
	    {"{\"requires\":{\"data_sources\":[{\"name\":\"db\",\"kind\":\"db2\"}]}}",
	     "requires.data_sources: 'db' is of kind 'db2', must be postgres"},
	    {"{\"requires\":{\"constants\":[\"a-b\"]}}",
	     "requires.constants: 'a-b' must be [A-Za-z_][A-Za-z0-9_]{0,49}"},
	    {"{\"requires\":{\"secrets\":[\"A\",4]}}", "requires.secrets[1] must be a text"},
	    {"{\"requires\":{\"secrets\":[\"A\",\"A\"]}}", "requires.secrets has 'A' twice"},
	    {"{\"requires\":{\"secrets\":[\"A\"],\"constants\":[\"A\"]}}", "'A' must be either"},
	    {"{\"render\":[\"../a\"]}", "render: '../a' must be a path within the bundle"},
	};
	for (size_t i = 0; i < SL_COUNT(rows); i++) {
		assert_int_equal(parse(f, sl_bytes_text(rows[i].text)), SL_INVALID_ARGUMENT);
		if (strstr(f->err.msg, rows[i].says) == NULL) {
			fail_msg("%s: %s", rows[i].text, f->err.msg);
		}
	}
}

static void test_rules_have_names(void **state)
{
	(void)state;
	for (int i = 0; i < CONTRACT_RULE_COUNT; i++) {
		assert_int_equal(strncmp(contract_rule_name((enum contract_rule)i), "CONTRACT_", 9),
				 0);
	}
	assert_string_equal(contract_rule_name(CONTRACT_RULE_COUNT), "UNKNOWN");
}

static void test_without_memory_it_says_so(void **state)
{
	struct fixture *f = *state;
	static const char text[] = "{\"requires\":{\"constants\":[\"A\"]}}";
	struct sl_arena small;
	sl_arena_init(&small, 1);
	assert_int_equal(contract_parse(&small, sl_bytes_text(text), &f->contract, NULL, &f->err),
			 SL_RESOURCE_EXHAUSTED);
	sl_arena_fini(&small);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_good_examples_are_taken),
	    cmocka_unit_test(test_bad_examples_are_refused_by_their_rule),
	    cmocka_unit_test(test_what_is_taken_is_sorted),
	    cmocka_unit_test(test_a_refusal_names_thing_value_and_rule),
	    cmocka_unit_test(test_rules_have_names),
	    cmocka_unit_test(test_without_memory_it_says_so),
	};
	return cmocka_run_group_tests(tests, setup, teardown);
}
