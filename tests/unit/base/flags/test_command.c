/* Commands: which one a line means, what its help and the man page say. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/flags/flags.h"
#include "base/mem/own.h"

struct globals {
	const char *server;
	bool quiet;
};
struct create {
	const char *repo;
};

static const struct sl_flag global_flags[] = {
    {.name = "server",
     .letter = 's',
     .kind = SL_FLAG_TEXT,
     .offset = offsetof(struct globals, server),
     .fallback = "127.0.0.1:7443",
     .placeholder = "HOST:PORT",
     .help = "The server to talk to."},
    {.name = "quiet",
     .kind = SL_FLAG_BOOL,
     .offset = offsetof(struct globals, quiet),
     .help = "Say less."},
    {0},
};
static const struct sl_flag create_flags[] = {
    {.name = "repo",
     .kind = SL_FLAG_TEXT,
     .offset = offsetof(struct create, repo),
     .placeholder = "REPO|URL",
     .help = "The repository, by name or by URL; a URL finds the repository or makes it, which is "
	     "the short way for a first try.",
     .required = true},
    {0},
};
static const struct sl_example examples[] = {
    {"sluice app create shop --repo web", "Create an app."}, {0}};
static const struct sl_exit_code exit_codes[] = {
    {0, "done"}, {64, "the command line is wrong"}, {0, NULL}};

static const struct sl_command app_create = {
    .name = "app create",
    .synopsis = "NAME --repo REPO",
    .summary = "Create an app with its first version",
    .description = "The first paragraph.\n\n.A line that starts with a dot.",
    .args_min = 1,
    .args_max = 1,
    .flags = create_flags,
    .examples = examples,
};
static const struct sl_command app_ls = {.name = "app ls", .synopsis = "", .summary = "List apps"};
static const struct sl_command release = {
    .name = "release", .synopsis = "APP V", .summary = "Release", .args_min = 2, .args_max = 2};
static const struct sl_command history = {.name = "release history",
					  .synopsis = "APP",
					  .summary = "What was released",
					  .args_min = 1,
					  .args_max = 1};
static const struct sl_command *const commands[] = {&app_create, &app_ls, &release, &history, NULL};
static const struct sl_program program = {
    .name = "sluice",
    .version = "0.1.0",
    .summary = "Move versions of apps to users",
    .commands = commands,
    .flags = global_flags,
    .env_prefix = "SLUICE_",
    .exit_codes = exit_codes,
};

enum { ARGS_MAX = 8 };

static int count_args(const char *const *argv)
{
	int count = 0;
	while (count < ARGS_MAX && argv[count] != NULL) {
		count++;
	}
	return count;
}

static void test_command_is_found_by_its_words(void **state)
{
	(void)state;
	static const struct {
		const char *argv[ARGS_MAX];
		const struct sl_command *command;
		const char *noun;
		size_t words;
	} cases[] = {
	    {{"app", "create", "shop"}, &app_create, "app", 2},
	    {{"-s", "app", "app", "ls"}, &app_ls, "app", 2},
	    {{"--server=x", "--no-quiet", "app", "ls"}, &app_ls, "app", 2},
	    {{"release", "shop", "v1"}, &release, "release", 1},
	    {{"release", "history", "shop"}, &history, "release", 2},
	    {{"release", "--quiet", "history", "v1"}, &release, "release", 1},
	    {{"release", "--help"}, &release, "release", 1},
	    {{"app", "--help"}, NULL, "app", 0},
	    {{"--help"}, NULL, NULL, 0},
	    {{NULL}, NULL, NULL, 0},
	};
	for (size_t i = 0; i < SL_COUNT(cases); i++) {
		SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
		struct sl_found found = {0};
		assert_int_equal(sl_command_find(&program, count_args(cases[i].argv), cases[i].argv,
						 &found, &err),
				 SL_OK);
		assert_ptr_equal(found.command, cases[i].command);
		assert_int_equal(found.words, cases[i].words);
		assert_int_equal(found.noun == NULL, cases[i].noun == NULL);
		if (found.noun != NULL) {
			assert_string_equal(found.noun, cases[i].noun);
		}
	}
}

static void test_command_mistakes_say_what_was_meant(void **state)
{
	(void)state;
	static const struct {
		const char *argv[ARGS_MAX];
		const char *text;
	} cases[] = {
	    {{"ap", "ls"}, "unknown command 'ap': did you mean 'app'?"},
	    {{"app", "craete"}, "unknown command 'app craete': did you mean 'app create'?"},
	    {{"app", "fly"}, "unknown command 'app fly' (sluice app --help lists them)"},
	    {{"nothing"}, "unknown command 'nothing' (sluice --help lists them)"},
	    {{"app"}, "'app' needs a command (sluice app --help lists them)"},
	    {{"app", "-s"}, "'app' needs a command (sluice app --help lists them)"},
	    {{"--repo", "x", "app", "create"}, "unknown flag --repo before the command"},
	};
	for (size_t i = 0; i < SL_COUNT(cases); i++) {
		SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
		struct sl_found found = {.words = 9};
		assert_int_equal(sl_command_find(&program, count_args(cases[i].argv), cases[i].argv,
						 &found, &err),
				 SL_INVALID_ARGUMENT);
		assert_string_equal(err.msg, cases[i].text);
		assert_int_equal(found.words, 9);
	}
}

static void test_command_version_before_a_command(void **state)
{
	(void)state;
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	struct sl_found found = {0};
	const char *argv[] = {"--version"};
	assert_int_equal(sl_command_find(&program, 1, argv, &found, &err), SL_OK);
	assert_true(found.version);
	assert_null(found.command);
}

static sl_code parse(const char *const *argv, struct globals *globals, struct create *config,
		     struct sl_args *args, struct sl_err *err)
{
	struct sl_found found = {0};
	sl_code code = sl_command_find(&program, count_args(argv), argv, &found, err);
	if (code != SL_OK) {
		return code;
	}
	struct sl_target to_globals = {globals, sizeof(*globals)};
	struct sl_target to_config = {config, found.command == &app_create ? sizeof(*config) : 0};
	return sl_command_parse(&program, &found, to_globals, to_config, args, err);
}

static void test_command_parse_fills_both_and_drops_its_words(void **state)
{
	(void)state;
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	SL_AUTO(sl_args_fini) struct sl_args args = {0};
	struct globals globals = {0};
	struct create config = {0};
	const char *argv[ARGS_MAX] = {"-s", "host:1", "app", "create", "--repo", "web", "shop"};
	assert_int_equal(parse(argv, &globals, &config, &args, &err), SL_OK);
	assert_string_equal(globals.server, "host:1");
	assert_string_equal(config.repo, "web");
	assert_int_equal(args.count, 1);
	assert_string_equal(args.items[0], "shop");
}

static void test_command_parse_counts_arguments(void **state)
{
	(void)state;
	static const struct {
		const char *argv[ARGS_MAX];
		const char *text;
	} cases[] = {
	    {{"release", "shop"}, "an argument is missing (usage: sluice release APP V)"},
	    {{"release", "shop", "v1", "v2"},
	     "unexpected argument 'v2' (usage: sluice release APP V)"},
	    {{"app", "create", "--repo=r"},
	     "an argument is missing (usage: sluice app create NAME --repo REPO)"},
	    {{"app", "create", "shop"},
	     "--repo is required: The repository, by name or by URL; a URL finds the repository or "
	     "makes it, which is the short way for a first try."},
	};
	for (size_t i = 0; i < SL_COUNT(cases); i++) {
		SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
		struct sl_args args = {0};
		struct globals globals = {.server = "before"};
		struct create config = {.repo = "before"};
		assert_int_equal(parse(cases[i].argv, &globals, &config, &args, &err),
				 SL_INVALID_ARGUMENT);
		assert_string_equal(err.msg, cases[i].text);
		assert_null(args.items);
		assert_string_equal(globals.server, "before");
		assert_string_equal(config.repo, "before");
	}
}

static char *print_help(const struct sl_found *found, unsigned width)
{
	char *text = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&text, &size);
	assert_non_null(out);
	sl_command_help(out, &program, found, width);
	assert_int_equal(fclose(out), 0);
	return text;
}

static void test_command_help_of_a_command(void **state)
{
	(void)state;
	SL_AUTO(sl_free_auto)
	char *text =
	    print_help(&(struct sl_found){.command = &app_create, .noun = "app", .words = 2}, 60);
	static const char *const want =
	    "Usage: sluice app create NAME --repo REPO [flags]\n"
	    "\n"
	    "Create an app with its first version.\n"
	    "\n"
	    "The first paragraph.\n"
	    "\n"
	    ".A line that starts with a dot.\n"
	    "\n"
	    "Flags:\n"
	    "      --repo REPO|URL\n"
	    "          The repository, by name or by URL; a URL finds the\n"
	    "          repository or makes it, which is the short way for\n"
	    "          a first try. (required)\n"
	    "\n"
	    "Flags of every command:\n"
	    "  -s, --server HOST:PORT\n"
	    "          The server to talk to. (default 127.0.0.1:7443;\n"
	    "          $SLUICE_SERVER)\n"
	    "      --quiet\n"
	    "          Say less. ($SLUICE_QUIET)\n"
	    "\n"
	    "Examples:\n"
	    "  sluice app create shop --repo web\n"
	    "        Create an app.\n"
	    "\n"
	    "Exit codes:\n"
	    "  0     done\n"
	    "  64    the command line is wrong\n";
	assert_string_equal(text, want);
}

static void test_command_help_of_noun_and_program(void **state)
{
	(void)state;
	SL_AUTO(sl_free_auto) char *noun = print_help(&(struct sl_found){.noun = "app"}, 80);
	assert_string_equal(noun, "Usage: sluice app COMMAND ...\n\nCommands:\n"
				  "  app create  Create an app with its first version\n"
				  "  app ls      List apps\n"
				  "\nsluice app COMMAND --help says more.\n");
	SL_AUTO(sl_free_auto) char *all = print_help(&(struct sl_found){0}, 80);
	assert_non_null(
	    strstr(all, "Usage: sluice COMMAND ...\n\nMove versions of apps to users.\n"));
	assert_non_null(strstr(all, "  release history  What was released\n"));
	assert_non_null(strstr(all, "  64    the command line is wrong\n"));
}

static void test_command_help_never_exceeds_the_width(void **state)
{
	(void)state;
	SL_AUTO(sl_free_auto)
	char *text = print_help(&(struct sl_found){.command = &app_create, .words = 2}, 50);
	for (char *rest = text, *line = strsep(&rest, "\n"); line != NULL;
	     line = strsep(&rest, "\n")) {
		assert_true(strlen(line) <= 50);
	}
}

static void test_command_help_width_comes_from_the_environment(void **state)
{
	(void)state;
	char *text = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&text, &size);
	assert_non_null(out);
	static const struct {
		const char *columns;
		unsigned width;
	} cases[] = {{"60", 60}, {"10", 40}, {"5000", 120}, {"x", 80}, {NULL, 80}};
	for (size_t i = 0; i < SL_COUNT(cases); i++) {
		int set = cases[i].columns != NULL ? setenv("COLUMNS", cases[i].columns, 1)
						   : unsetenv("COLUMNS");
		assert_int_equal(set, 0);
		assert_int_equal(sl_help_width(out), cases[i].width);
	}
	assert_int_equal(fclose(out), 0);
	free(text);
}

static void test_command_page_as_markdown(void **state)
{
	(void)state;
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	char *text = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&text, &size);
	assert_non_null(out);
	assert_int_equal(sl_command_page(out, &program, 1, "pdf", &err), SL_INVALID_ARGUMENT);
	assert_string_equal(err.msg, "the form must be roff or markdown, is 'pdf'");
	assert_int_equal(sl_command_page(out, &program, 1, "markdown", NULL), SL_OK);
	assert_int_equal(fclose(out), 0);
	static const char *const want =
	    "## sluice\n\nOf every command:\n\n"
	    "| flag | what it does | default, bounds, variable |\n| --- | --- | --- |\n"
	    "| `-s`, `--server HOST:PORT` | The server to talk to. | default 127.0.0.1:7443; "
	    "$SLUICE_SERVER |\n"
	    "| `--quiet` | Say less. | $SLUICE_QUIET |\n"
	    "\n`sluice app create`: Create an app with its first version.\n\n"
	    "| flag | what it does | default, bounds, variable |\n| --- | --- | --- |\n"
	    "| `--repo REPO\\|URL` | The repository, by name or by URL; a URL finds the repository "
	    "or makes it, which is the short way for a first try. | required |\n";
	assert_string_equal(text, want);
	free(text);
}

static void test_command_man_page(void **state)
{
	(void)state;
	char *text = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&text, &size);
	assert_non_null(out);
	sl_command_man(out, &program, 1);
	assert_int_equal(fclose(out), 0);
	static const char *const want[] = {
	    ".TH SLUICE 1 \"\" \"sluice 0.1.0\" \"Sluice\"\n.SH NAME\n",
	    "sluice \\- Move versions of apps to users\n",
	    ".SS sluice app create NAME \\-\\-repo REPO\n",
	    "\n\\&.A line that starts with a dot.\n",
	    "\\fB\\-\\-repo\\fR \\fIREPO|URL\\fR\n",
	    "\\fB\\-s\\fR, \\fB\\-\\-server\\fR \\fIHOST:PORT\\fR\n",
	    ".nf\nsluice app create shop \\-\\-repo web\n.fi\n.RE\n.PP\n.RS 4\nCreate an app.\n",
	    ".SH EXIT STATUS\n.TP\n\\fB0\\fR\ndone\n",
	};
	for (size_t i = 0; i < SL_COUNT(want); i++) {
		assert_non_null(strstr(text, want[i]));
	}
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_command_is_found_by_its_words),
	    cmocka_unit_test(test_command_mistakes_say_what_was_meant),
	    cmocka_unit_test(test_command_version_before_a_command),
	    cmocka_unit_test(test_command_parse_fills_both_and_drops_its_words),
	    cmocka_unit_test(test_command_parse_counts_arguments),
	    cmocka_unit_test(test_command_help_of_a_command),
	    cmocka_unit_test(test_command_help_of_noun_and_program),
	    cmocka_unit_test(test_command_help_never_exceeds_the_width),
	    cmocka_unit_test(test_command_help_width_comes_from_the_environment),
	    cmocka_unit_test(test_command_page_as_markdown),
	    cmocka_unit_test(test_command_man_page),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
