/* Command lines that no server has to see. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/mem/own.h"
#include "client/cli/cli.h"
#include "client/cli/commands.h"
#include "tests/lib/tmpdir.h"

enum { ARGS_MAX = 10, OUTPUT_MAX = 1 << 16 };

/* What one run printed, on both outputs. */
struct said {
	int code;
	char text[OUTPUT_MAX];
};

static int redirect(int fd, int to)
{
	int saved = dup(fd);
	assert_true(saved >= 0 && dup2(to, fd) == fd);
	return saved;
}

static void run(struct said *said, const char *const *argv)
{
	int argc = 0;
	while (argv[argc] != NULL) {
		argc++;
	}
	FILE *file = tmpfile();
	assert_non_null(file);
	(void)fflush(NULL);
	int out = redirect(STDOUT_FILENO, fileno(file));
	int err = redirect(STDERR_FILENO, fileno(file));
	said->code = cli_main(argc, argv);
	(void)fflush(NULL);
	assert_int_equal(close(redirect(STDOUT_FILENO, out)), 0);
	assert_int_equal(close(redirect(STDERR_FILENO, err)), 0);
	assert_int_equal(close(out), 0);
	assert_int_equal(close(err), 0);
	rewind(file);
	said->text[fread(said->text, 1, OUTPUT_MAX - 1, file)] = '\0';
	assert_int_equal(fclose(file), 0);
}

static int setup(void **state)
{
	char *dir = tmpdir_new();
	assert_int_equal(setenv("XDG_CONFIG_HOME", dir, 1), 0);         /* no context file */
	assert_int_equal(setenv("SLUICE_SERVER", "127.0.0.1:1", 1), 0); /* nobody is there */
	assert_int_equal(setenv("COLUMNS", "100", 1), 0);
	*state = dir;
	return 0;
}

static int teardown(void **state)
{
	tmpdir_free(*state);
	return 0;
}

static void test_cli_usage_errors_end_with_64(void **state)
{
	(void)state;
	static const struct {
		const char *argv[ARGS_MAX];
		const char *said;
	} cases[] = {
	    {{"ap", "ls"}, "did you mean 'app'?"},
	    {{"app", "lst"}, "did you mean 'app ls'?"},
	    {{"app", "create", "shop"}, "--repo is required"},
	    {{"app", "create", "--repo", "web"}, "an argument is missing"},
	    {{"app", "ls", "--nope"}, "--nope"},
	    {{"app", "ls", "-o", "yaml"}, "table|json|name"},
	    {{"app", "ls", "--timeout", "2h"}, "--timeout"},
	    {{"app", "create", "shop", "--repo", "web", "--place", "zone"}, "--place"},
	    {{"plan", "shop", "v1"}, "exactly one of --to ENV, --release and --rollback"},
	    {{"plan", "shop", "v1", "--to", "staging", "--release"}, "exactly one of"},
	    {{"plan", "shop", "--to", "staging"}, "only plan --rollback may leave out the version"},
	    {{"select", "shop", "--env", "staging"}, "either a version or --auto"},
	    {{"select", "shop", "v1", "--auto", "--env", "staging"}, "either a version or --auto"},
	    {{"select", "shop", "v1"}, "--env is required"},
	    {{"wait", "shop"}, "wait takes one of"},
	    {{"wait", "shop", "v1", "--content", "--staged"}, "wait takes one of"},
	    {{"wait", "shop", "--content"}, "need a version"},
	    {{"wait", "shop", "v1", "--staged"}, "need --env"},
	    {{"watch", "--kind", "nope"}, "'nope' is not a kind of event"},
	    {{"instance", "label", "prod-1"}, "k=v, k- or --url"},
	    {{"workspace", "rm", "team"}, "repeat the command with --yes"},
	    {{"app", "rm", "shop"}, "repeat the command with --yes"},
	    {{"release", "withdraw", "shop"}, "repeat the command with --yes"},
	};
	static struct said said;
	for (size_t i = 0; i < SL_COUNT(cases); i++) {
		run(&said, cases[i].argv);
		assert_non_null(strstr(said.text, cases[i].said));
		assert_int_equal(said.code, CLI_USAGE);
	}
}

static void test_cli_usage_no_command_shows_help(void **state)
{
	(void)state;
	static struct said said;
	run(&said, (const char *const[]){NULL});
	assert_int_equal(said.code, CLI_USAGE);
	assert_non_null(strstr(said.text, "Usage: sluice COMMAND"));
	run(&said, (const char *const[]){"--help", NULL});
	assert_int_equal(said.code, CLI_DONE);
	run(&said, (const char *const[]){"--version", NULL});
	assert_int_equal(said.code, CLI_DONE);
	assert_string_equal(said.text, "sluice 0.1.0\n");
}

static void test_cli_usage_every_command_has_help(void **state)
{
	(void)state;
	static struct said said;
	for (const struct sl_command *const *c = cli_program.commands; *c != NULL; c++) {
		char name[64];
		const char *argv[] = {name, NULL, NULL, NULL};
		(void)snprintf(name, sizeof(name), "%s", (*c)->name);
		char *space = strchr(name, ' ');
		argv[space != NULL ? 2 : 1] = "--help";
		if (space != NULL) {
			*space = '\0';
			argv[1] = space + 1;
		}
		run(&said, argv);
		assert_int_equal(said.code, CLI_DONE);
		assert_non_null(strstr(said.text, (*c)->summary));
		assert_non_null(strstr(said.text, "Exit codes:"));
		assert_non_null(strstr(said.text, "FAILED_PRECONDITION"));
	}
}

static void test_cli_usage_man_page_has_every_command(void **state)
{
	(void)state;
	static struct said said;
	run(&said, (const char *const[]){"man", NULL});
	assert_int_equal(said.code, CLI_DONE);
	assert_non_null(strstr(said.text, ".TH SLUICE 1"));
	for (const struct sl_command *const *c = cli_program.commands; *c != NULL; c++) {
		char heading[100];
		(void)snprintf(heading, sizeof(heading), "\n.SS sluice %s", (*c)->name);
		assert_non_null(strstr(said.text, heading));
	}
}

static void test_cli_usage_no_server_is_a_failure_with_advice(void **state)
{
	(void)state;
	static struct said said;
	run(&said, (const char *const[]){"app", "ls", "--timeout", "300ms", NULL});
	assert_int_equal(said.code, CLI_FAILED);
	assert_non_null(strstr(said.text, "sluice: server '127.0.0.1:1'"));
	assert_non_null(strstr(said.text, "is sluiced running there?"));
}

static void test_cli_usage_bad_context_file(void **state)
{
	char path[500];
	assert_int_equal(unsetenv("SLUICE_SERVER"), 0);
	(void)snprintf(path, sizeof(path), "%s/sluice", (const char *)*state);
	assert_int_equal(mkdir(path, 0755), 0);
	(void)snprintf(path, sizeof(path), "%s/sluice/context.json", (const char *)*state);
	FILE *file = fopen(path, "w");
	assert_non_null(file);
	assert_true(fputs("{", file) >= 0);
	assert_int_equal(fclose(file), 0);
	static struct said said;
	run(&said, (const char *const[]){"app", "ls", NULL});
	assert_int_equal(said.code, CLI_USAGE);
	assert_non_null(strstr(said.text, "context.json"));
	/* What needs no server needs no context. */
	run(&said, (const char *const[]){"man", NULL});
	assert_int_equal(said.code, CLI_DONE);
}

int main(void)
{
	/* Prompts must find no terminal, wherever the test runs. */
	if (freopen("/dev/null", "r", stdin) == NULL) {
		return 1;
	}
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(test_cli_usage_errors_end_with_64, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_cli_usage_no_command_shows_help, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_cli_usage_every_command_has_help, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_cli_usage_man_page_has_every_command, setup,
					    teardown),
	    cmocka_unit_test_setup_teardown(test_cli_usage_no_server_is_a_failure_with_advice,
					    setup, teardown),
	    cmocka_unit_test_setup_teardown(test_cli_usage_bad_context_file, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
