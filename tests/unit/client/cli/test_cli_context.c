/* Which server and workspace a command is about. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "base/mem/own.h"
#include "client/cli/context.h"
#include "tests/lib/tmpdir.h"

static int setup(void **state)
{
	char *dir = tmpdir_new();
	char path[500];
	(void)snprintf(path, sizeof(path), "%s/sluice", dir);
	assert_int_equal(mkdir(path, 0755), 0);
	assert_int_equal(setenv("XDG_CONFIG_HOME", dir, 1), 0);
	assert_int_equal(unsetenv("SLUICE_SERVER"), 0);
	assert_int_equal(unsetenv("SLUICE_WORKSPACE"), 0);
	*state = dir;
	return 0;
}

static int teardown(void **state)
{
	tmpdir_free(*state);
	return 0;
}

static void write_file(const char *dir, const char *text)
{
	char path[500];
	(void)snprintf(path, sizeof(path), "%s/sluice/context.json", dir);
	FILE *file = fopen(path, "w");
	assert_non_null(file);
	assert_true(fputs(text, file) >= 0);
	assert_int_equal(fclose(file), 0);
}

static void expect(const char *server_flag, const char *workspace_flag, const char *server,
		   const char *workspace)
{
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	SL_AUTO(context_fini) struct context context = {0};
	const struct context_wish wish = {.server = server_flag, .workspace = workspace_flag};
	if (context_find(&wish, &context, &err) != SL_OK) {
		fail_msg("%s", err.msg);
	}
	assert_string_equal(context.server, server);
	assert_string_equal(context.workspace, workspace);
}

static void test_cli_context_precedence(void **state)
{
	expect("", "", CONTEXT_SERVER_DEFAULT, "");
	write_file(*state, "{\"server\": \"file:1\", \"workspace\": \"from-file\"}");
	expect("", "", "file:1", "from-file");
	assert_int_equal(setenv("SLUICE_SERVER", "env:2", 1), 0);
	expect("", "", "env:2", "from-file");
	assert_int_equal(setenv("SLUICE_WORKSPACE", "from-env", 1), 0);
	expect("", "", "env:2", "from-env");
	expect("flag:3", "", "flag:3", "from-env");
	expect("flag:3", "from-flag", "flag:3", "from-flag");
}

static void test_cli_context_half_a_file_is_fine(void **state)
{
	write_file(*state, "{\"workspace\": \"team\"}");
	expect("", "", CONTEXT_SERVER_DEFAULT, "team");
	write_file(*state, "{}");
	expect("", "", CONTEXT_SERVER_DEFAULT, "");
}

static void test_cli_context_of_the_home(void **state)
{
	char path[500];
	const char *dir = *state;
	(void)snprintf(path, sizeof(path), "%s/.config", dir);
	assert_int_equal(mkdir(path, 0755), 0);
	write_file(dir, "{\"server\": \"home:1\"}");
	char from[500];
	(void)snprintf(from, sizeof(from), "%s/sluice", dir);
	(void)snprintf(path, sizeof(path), "%s/.config/sluice", dir);
	assert_int_equal(rename(from, path), 0);
	assert_int_equal(unsetenv("XDG_CONFIG_HOME"), 0);
	assert_int_equal(setenv("HOME", dir, 1), 0);
	expect("", "", "home:1", "");
	assert_int_equal(setenv("XDG_CONFIG_HOME", "relative", 1),
			 0); /* not a path by its own rule */
	expect("", "", "home:1", "");
}

static void test_cli_context_bad_files_are_named(void **state)
{
	static const struct {
		const char *text, *said;
	} cases[] = {
	    {"", "context.json"},
	    {"[]", "context.json"},
	    {"{\"server\": 7443}", "server"},
	    {"{\"sever\": \"x:1\"}", "unknown key 'sever'"},
	    {"{\"server\": \"a\", \"server\": \"b\"}", "server"},
	};
	for (size_t i = 0; i < SL_COUNT(cases); i++) {
		SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
		struct context context = {0};
		write_file(*state, cases[i].text);
		assert_int_equal(context_find(&(struct context_wish){.server = ""}, &context, &err),
				 SL_INVALID_ARGUMENT);
		assert_non_null(strstr(err.msg, cases[i].said));
		assert_null(context.server);
	}
	/* Who says all on the command line needs no file. */
	expect("flag:3", "w", "flag:3", "w");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(test_cli_context_precedence, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_cli_context_half_a_file_is_fine, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_cli_context_of_the_home, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_cli_context_bad_files_are_named, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
