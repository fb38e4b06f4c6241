/* Flags: what is parsed, from where, and how each mistake is worded. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/flags/flags.h"
#include "base/mem/own.h"

struct config {
	uint64_t untouched;
	const char *data;
	const char *output;
	const char *note;
	bool insecure;
	bool colour;
	uint64_t queue_max;
	uint64_t map_size;
	uint64_t heartbeat_ms;
	const char *token;
	struct sl_flag_list hooks;
	struct sl_flag_list labels;
};

#define AT(field) offsetof(struct config, field)
static const struct sl_flag flags[] = {
    {.name = "data",
     .kind = SL_FLAG_TEXT,
     .offset = AT(data),
     .min = 1,
     .max = 20,
     .help = "Folder.",
     .required = true},
    {.name = "output",
     .letter = 'o',
     .kind = SL_FLAG_TEXT,
     .offset = AT(output),
     .fallback = "table",
     .choices = "table|json|name",
     .help = "Form."},
    {.name = "note", .kind = SL_FLAG_TEXT, .offset = AT(note), .fallback = "none", .help = "Note."},
    {.name = "insecure", .kind = SL_FLAG_BOOL, .offset = AT(insecure), .help = "No TLS."},
    {.name = "colour",
     .kind = SL_FLAG_BOOL,
     .offset = AT(colour),
     .fallback = "true",
     .help = "Colour."},
    {.name = "queue-max",
     .letter = 'q',
     .kind = SL_FLAG_INT,
     .offset = AT(queue_max),
     .fallback = "4096",
     .min = 1,
     .max = 65536,
     .help = "Queue."},
    {.name = "map-size",
     .kind = SL_FLAG_BYTES,
     .offset = AT(map_size),
     .fallback = "64G",
     .min = 1 << 20,
     .help = "Map."},
    {.name = "heartbeat",
     .kind = SL_FLAG_DURATION,
     .offset = AT(heartbeat_ms),
     .fallback = "30s",
     .min = 100,
     .max = 3600000,
     .help = "Pace."},
    {.name = "token",
     .kind = SL_FLAG_TEXT,
     .offset = AT(token),
     .choices = "a|b",
     .help = "Token.",
     .secret = true},
    {.name = "hook",
     .kind = SL_FLAG_LIST,
     .offset = AT(hooks),
     .min = 1,
     .max = 8,
     .help = "Hook."},
    {.name = "label", .letter = 'l', .kind = SL_FLAG_PAIRS, .offset = AT(labels), .help = "Label."},
    {0},
};

enum { ARGS_MAX = 12 };

struct line {
	const char *argv[ARGS_MAX];
};

static int count_args(const struct line *line)
{
	int count = 0;
	while (count < ARGS_MAX && line->argv[count] != NULL) {
		count++;
	}
	return count;
}

static sl_code parse(const struct line *line, struct config *config, struct sl_args *args,
		     struct sl_err *err)
{
	struct sl_flag_set set = {flags, config, sizeof(*config), "FLAGTEST_"};
	return sl_flags_parse(&set, 1, count_args(line), line->argv, args, err);
}

static int clear_environment(void **state)
{
	(void)state;
	static const char *const names[] = {"DATA",      "OUTPUT", "NOTE", "INSECURE", "QUEUE_MAX",
					    "HEARTBEAT", "TOKEN",  "HOOK", "LABEL"};
	for (size_t i = 0; i < SL_COUNT(names); i++) {
		char name[64];
		(void)snprintf(name, sizeof(name), "FLAGTEST_%s", names[i]);
		assert_int_equal(unsetenv(name), 0);
	}
	return 0;
}

static void test_flags_defaults_fill_what_is_not_given(void **state)
{
	(void)state;
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	SL_AUTO(sl_args_fini) struct sl_args args = {0};
	struct config config = {.untouched = 7};
	assert_int_equal(parse(&(struct line){{"--data", "/d"}}, &config, &args, &err), SL_OK);
	assert_string_equal(config.data, "/d");
	assert_string_equal(config.output, "table");
	assert_string_equal(config.token, "");
	assert_false(config.insecure);
	assert_true(config.colour);
	assert_int_equal(config.queue_max, 4096);
	assert_true(config.map_size == 64ULL << 30);
	assert_int_equal(config.heartbeat_ms, 30000);
	assert_int_equal(config.hooks.count, 0);
	assert_int_equal(config.untouched, 7);
	assert_int_equal(args.count, 0);
	assert_false(args.help);
	assert_true(sl_args_given(&args, "data"));
	assert_false(sl_args_given(&args, "output"));
}

static void test_flags_every_spelling(void **state)
{
	(void)state;
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	SL_AUTO(sl_args_fini) struct sl_args args = {0};
	struct config config = {0};
	const struct line line = {{"one", "--data=/d=x", "-o", "json", "--insecure", "-",
				   "--no-colour", "-q=9", "--note=", "--", "--data", "-x"}};
	assert_int_equal(parse(&line, &config, &args, &err), SL_OK);
	assert_string_equal(config.data, "/d=x");
	assert_string_equal(config.output, "json");
	assert_string_equal(config.note, "");
	assert_true(config.insecure);
	assert_false(config.colour);
	assert_int_equal(config.queue_max, 9);
	static const char *const want[] = {"one", "-", "--data", "-x"};
	assert_int_equal(args.count, SL_COUNT(want));
	for (size_t i = 0; i < SL_COUNT(want); i++) {
		assert_string_equal(args.items[i], want[i]);
	}
}

static void test_flags_bool_takes_an_inline_value(void **state)
{
	(void)state;
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	SL_AUTO(sl_args_fini) struct sl_args args = {0};
	struct config config = {0};
	const struct line line = {{"--data=d", "--insecure=yes", "--colour=false", "true"}};
	assert_int_equal(parse(&line, &config, &args, &err), SL_OK);
	assert_true(config.insecure);
	assert_false(config.colour);
	assert_int_equal(args.count, 1);
}

static void test_flags_lists_keep_their_order(void **state)
{
	(void)state;
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	SL_AUTO(sl_args_fini) struct sl_args args = {0};
	struct config config = {0};
	const struct line line = {
	    {"--data=d", "--hook", "a", "--label=k=v,w", "--hook=b", "-l", "x="}};
	assert_int_equal(parse(&line, &config, &args, &err), SL_OK);
	assert_int_equal(config.hooks.count, 2);
	assert_string_equal(config.hooks.items[0], "a");
	assert_string_equal(config.hooks.items[1], "b");
	assert_int_equal(config.labels.count, 2);
	assert_string_equal(config.labels.items[0], "k=v,w");
	assert_string_equal(config.labels.items[1], "x=");
}

static void test_flags_environment_is_between_line_and_default(void **state)
{
	(void)state;
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	SL_AUTO(sl_args_fini) struct sl_args args = {0};
	struct config config = {0};
	(void)setenv("FLAGTEST_DATA", "/env", 1);
	(void)setenv("FLAGTEST_OUTPUT", "json", 1);
	(void)setenv("FLAGTEST_INSECURE", "1", 1);
	(void)setenv("FLAGTEST_QUEUE_MAX", "", 1); /* counts as unset */
	(void)setenv("FLAGTEST_NOTE", "", 1);      /* a text that may be empty */
	(void)setenv("FLAGTEST_LABEL", "a=1,b=2", 1);
	(void)setenv("FLAGTEST_HOOK", "x,y", 1);
	const struct line line = {{"-o", "name", "--hook", "z"}};
	assert_int_equal(parse(&line, &config, &args, &err), SL_OK);
	assert_string_equal(config.data, "/env");
	assert_string_equal(config.output, "name");
	assert_true(config.insecure);
	assert_int_equal(config.queue_max, 4096);
	assert_string_equal(config.note, "");
	assert_int_equal(config.labels.count, 2);
	assert_string_equal(config.labels.items[1], "b=2");
	assert_int_equal(config.hooks.count, 1); /* the line replaces, it does not add */
	assert_string_equal(config.hooks.items[0], "z");
	assert_false(sl_args_given(&args, "data"));
}

static void test_flags_without_prefix_ignore_the_environment(void **state)
{
	(void)state;
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	SL_AUTO(sl_args_fini) struct sl_args args = {0};
	struct config config = {0};
	struct sl_flag_set set = {flags, &config, sizeof(config), NULL};
	(void)setenv("FLAGTEST_OUTPUT", "json", 1);
	const char *argv[] = {"--data=d"};
	assert_int_equal(sl_flags_parse(&set, 1, 1, argv, &args, &err), SL_OK);
	assert_string_equal(config.output, "table");
}

static void test_flags_refusals_name_flag_value_and_rule(void **state)
{
	(void)state;
	static const struct {
		struct line line;
		const char *text;
	} cases[] = {
	    {{{NULL}}, "--data or FLAGTEST_DATA is required: Folder."},
	    {{{"--data"}}, "--data needs a value"},
	    {{{"--data", "--insecure"}},
	     "--data needs a value; write --data=--insecure if that is meant"},
	    {{{"--data", "a", "--data=b"}}, "--data is given twice"},
	    {{{"--insecure", "--no-insecure"}}, "--insecure is given twice"},
	    {{{"--no-insecure=1"}}, "--no-insecure takes no value, is '1'"},
	    {{{"--data="}}, "--data must have 1 to 20 bytes, has 0"},
	    {{{"--data=123456789012345678901"}}, "--data must have 1 to 20 bytes, has 21"},
	    {{{"--no-data"}}, "unknown flag --no-data (--help lists the flags)"},
	    {{{"--dta=x"}}, "unknown flag --dta: did you mean --data?"},
	    {{{"--heartbeta", "3s"}}, "unknown flag --heartbeta: did you mean --heartbeat?"},
	    {{{"--whatever"}}, "unknown flag --whatever (--help lists the flags)"},
	    {{{"-z"}}, "unknown flag -z (--help lists the flags)"},
	    {{{"-ojson"}}, "unknown flag -ojson (--help lists the flags)"},
	    {{{"-o", "xml"}}, "--output must be one of table|json|name, is 'xml'"},
	    {{{"-o", "tabl"}}, "--output must be one of table|json|name, is 'tabl'"},
	    {{{"--insecure=maybe"}}, "--insecure must be true or false, is 'maybe'"},
	    {{{"--queue-max=0"}}, "--queue-max must be 1 to 65536, is '0'"},
	    {{{"--queue-max=65537"}}, "--queue-max must be 1 to 65536, is '65537'"},
	    {{{"--queue-max=-1"}}, "--queue-max must be a whole number, is '-1'"},
	    {{{"--queue-max=18446744073709551616"}},
	     "--queue-max must be a whole number, is '18446744073709551616'"},
	    {{{"--map-size=1K"}}, "--map-size must be at least 1M, is '1K'"},
	    {{{"--map-size=1GB"}},
	     "--map-size must be a size such as 512, 64K, 10M or 4G, is '1GB'"},
	    {{{"--heartbeat=30"}},
	     "--heartbeat must be a time such as 500ms, 30s, 5m, 24h or 30d, is '30'"},
	    {{{"--heartbeat=99ms"}}, "--heartbeat must be 100ms to 1h, is '99ms'"},
	    {{{"--token=hunter2"}}, "--token must be one of a|b (its value is not shown)"},
	    {{{"--hook=123456789"}}, "--hook must have 1 to 8 bytes, has 9"},
	    {{{"--label=novalue"}}, "--label must be of the form key=value, is 'novalue'"},
	    {{{"--label==v"}}, "--label must be of the form key=value, is '=v'"},
	};
	for (size_t i = 0; i < SL_COUNT(cases); i++) {
		SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
		struct sl_args args = {0};
		struct config config = {.untouched = 7, .queue_max = 3};
		const struct config before = config;
		assert_int_equal(parse(&cases[i].line, &config, &args, &err), SL_INVALID_ARGUMENT);
		assert_string_equal(err.msg, cases[i].text);
		assert_memory_equal(&config, &before, sizeof(config));
		assert_null(args.items);
	}
}

static void test_flags_environment_mistakes_name_the_variable(void **state)
{
	(void)state;
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	struct sl_args args = {0};
	struct config config = {0};
	(void)setenv("FLAGTEST_HEARTBEAT", "fast", 1);
	assert_int_equal(parse(&(struct line){{"--data=d"}}, &config, &args, &err),
			 SL_INVALID_ARGUMENT);
	assert_string_equal(
	    err.msg,
	    "FLAGTEST_HEARTBEAT must be a time such as 500ms, 30s, 5m, 24h or 30d, is 'fast'");
	(void)unsetenv("FLAGTEST_HEARTBEAT");
	(void)setenv("FLAGTEST_LABEL", "a=1,b", 1);
	assert_int_equal(parse(&(struct line){{"--data=d"}}, &config, &args, &err),
			 SL_INVALID_ARGUMENT);
	assert_string_equal(err.msg, "FLAGTEST_LABEL must be of the form key=value, is 'b'");
}

static void test_flags_help_and_version_win_over_mistakes(void **state)
{
	(void)state;
	static const struct {
		struct line line;
		bool help, version;
	} cases[] = {
	    {{{"--nonsense", "--help"}}, true, false},
	    {{{"-h"}}, true, false},
	    {{{"--version"}}, false, true},
	    {{{"--data=d", "--", "--help"}}, false, false},
	};
	for (size_t i = 0; i < SL_COUNT(cases); i++) {
		SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
		SL_AUTO(sl_args_fini) struct sl_args args = {0};
		struct config config = {.queue_max = 3};
		assert_int_equal(parse(&cases[i].line, &config, &args, &err), SL_OK);
		assert_int_equal(args.help, cases[i].help);
		assert_int_equal(args.version, cases[i].version);
		assert_int_equal(config.queue_max, args.help || args.version ? 3 : 4096);
	}
}

static void test_flags_two_sets_fill_two_configs(void **state)
{
	(void)state;
	struct other {
		const char *server;
	} other = {0};
	static const struct sl_flag others[] = {
	    {.name = "server",
	     .kind = SL_FLAG_TEXT,
	     .offset = offsetof(struct other, server),
	     .help = "Server."},
	    {0},
	};
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	SL_AUTO(sl_args_fini) struct sl_args args = {0};
	struct config config = {0};
	struct sl_flag_set sets[] = {{others, &other, sizeof(other), NULL},
				     {flags, &config, sizeof(config), NULL},
				     {NULL, NULL, 0, NULL}};
	const char *argv[] = {"--data=d", "--server", "s"};
	assert_int_equal(sl_flags_parse(sets, SL_COUNT(sets), 3, argv, &args, &err), SL_OK);
	assert_string_equal(other.server, "s");
	assert_string_equal(config.data, "d");
}

static void test_flags_sizes_and_times_round_trip(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		uint64_t value;
	} sizes[] = {{"0", 0},          {"512", 512},         {"64K", 64 << 10},
		     {"10M", 10 << 20}, {"64G", 64ULL << 30}, {"3T", 3ULL << 40}},
	  times[] = {{"0", 0},         {"500ms", 500},     {"30s", 30000},   {"5m", 300000},
		     {"1d", 86400000}, {"1h30m", 5400000}, {"1s500ms", 1500}};
	char buffer[SL_VALUE_TEXT_SIZE];
	uint64_t value = 1;
	for (size_t i = 0; i < SL_COUNT(sizes); i++) {
		assert_true(sl_parse_bytes(sizes[i].text, &value));
		assert_true(value == sizes[i].value);
		assert_string_equal(sl_size_text(buffer, value), sizes[i].text);
	}
	for (size_t i = 0; i < SL_COUNT(times); i++) {
		assert_true(sl_parse_duration(times[i].text, &value));
		assert_true(value == times[i].value);
		assert_string_equal(sl_duration_text(buffer, value), times[i].text);
	}
	assert_int_equal(strlen(sl_duration_text(buffer, UINT64_MAX)),
			 strlen("213503982334d14h25m51s615ms"));
}

static void test_flags_bad_sizes_and_times(void **state)
{
	(void)state;
	static const char *const bad_sizes[] = {
	    "", "K", "1k", "1.5G", "-1", " 1", "1 ", "18446744073709551616", "16777216T"};
	static const char *const bad_times[] = {"",     "s",    "1",   "1x",  "1.5s",
						"1s1s", "1m1h", "-1s", "1s ", "213503982335d"};
	uint64_t value = 7;
	for (size_t i = 0; i < SL_COUNT(bad_sizes); i++) {
		assert_false(sl_parse_bytes(bad_sizes[i], &value));
	}
	for (size_t i = 0; i < SL_COUNT(bad_times); i++) {
		assert_false(sl_parse_duration(bad_times[i], &value));
	}
	assert_int_equal(value, 7);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup(test_flags_defaults_fill_what_is_not_given, clear_environment),
	    cmocka_unit_test_setup(test_flags_every_spelling, clear_environment),
	    cmocka_unit_test_setup(test_flags_bool_takes_an_inline_value, clear_environment),
	    cmocka_unit_test_setup(test_flags_lists_keep_their_order, clear_environment),
	    cmocka_unit_test_setup(test_flags_environment_is_between_line_and_default,
				   clear_environment),
	    cmocka_unit_test_setup(test_flags_without_prefix_ignore_the_environment,
				   clear_environment),
	    cmocka_unit_test_setup(test_flags_refusals_name_flag_value_and_rule, clear_environment),
	    cmocka_unit_test_setup(test_flags_environment_mistakes_name_the_variable,
				   clear_environment),
	    cmocka_unit_test_setup(test_flags_help_and_version_win_over_mistakes,
				   clear_environment),
	    cmocka_unit_test_setup(test_flags_two_sets_fill_two_configs, clear_environment),
	    cmocka_unit_test(test_flags_sizes_and_times_round_trip),
	    cmocka_unit_test(test_flags_bad_sizes_and_times),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
