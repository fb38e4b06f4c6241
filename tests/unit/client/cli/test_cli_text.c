/* Text, tables, exit codes and advice of the command line. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem/own.h"
#include "client/cli/cli.h"
#include "client/cli/commands.h"

static void test_cli_text_age(void **state)
{
	(void)state;
	static const struct {
		int64_t seconds_ago;
		const char *text;
	} cases[] = {
	    {-5, "now"},   {0, "now"},   {1, "1s"},      {59, "59s"},   {60, "1m"},
	    {3599, "59m"}, {3600, "1h"}, {86399, "23h"}, {86400, "1d"}, {864000, "10d"},
	};
	char buffer[TEXT_SIZE];
	for (size_t i = 0; i < SL_COUNT(cases); i++) {
		Google__Protobuf__Timestamp at = GOOGLE__PROTOBUF__TIMESTAMP__INIT;
		at.seconds = 1700000000 - cases[i].seconds_ago;
		assert_string_equal(text_age(buffer, &at, 1700000000000), cases[i].text);
	}
	assert_string_equal(text_age(buffer, NULL, 1), "-");
}

static void test_cli_text_time(void **state)
{
	(void)state;
	char buffer[TEXT_SIZE];
	Google__Protobuf__Timestamp at = GOOGLE__PROTOBUF__TIMESTAMP__INIT;
	at.seconds = 1795344211;
	assert_string_equal(text_time(buffer, &at), "2026-11-22 10:43:31");
	assert_string_equal(text_time(buffer, NULL), "");
	at.seconds = INT64_MAX; /* no such year */
	assert_string_equal(text_time(buffer, &at), "");
}

static void test_cli_text_bytes(void **state)
{
	(void)state;
	static const struct {
		uint64_t bytes;
		const char *text;
	} cases[] = {
	    {0, "0 B"},
	    {831, "831 B"},
	    {1024, "1.0 KiB"},
	    {1536, "1.5 KiB"},
	    {20480, "20 KiB"},
	    {1048576, "1.0 MiB"},
	    {UINT64_MAX, "16777216 TiB"},
	};
	char buffer[TEXT_SIZE];
	for (size_t i = 0; i < SL_COUNT(cases); i++) {
		assert_string_equal(text_bytes(buffer, cases[i].bytes), cases[i].text);
	}
}

static void test_cli_text_enum(void **state)
{
	(void)state;
	char buffer[TEXT_SIZE];
	assert_string_equal(text_enum(buffer, &sluice__v1__content_state__descriptor, 2), "READY");
	assert_string_equal(text_enum(buffer, &sluice__v1__phase__descriptor, 10), "ROLLED_BACK");
	assert_string_equal(text_enum(buffer, &sluice__v1__phase__descriptor, 0), "-");
	assert_string_equal(text_enum(buffer, &sluice__v1__phase__descriptor, 77),
			    "77"); /* of a newer server */
	assert_string_equal(text_short(buffer, "0123456789abcdef"), "0123456789ab");
	assert_string_equal(text_short(buffer, ""), "-");
}

static char *put(const char *text)
{
	char *out = NULL;
	size_t size = 0;
	FILE *file = open_memstream(&out, &size);
	assert_non_null(file);
	text_put(file, text);
	assert_int_equal(fclose(file), 0);
	return out;
}

static void test_cli_text_cannot_drive_the_terminal(void **state)
{
	(void)state;
	static const struct {
		const char *text, *want;
	} cases[] = {
	    {"plain\n\ttext", "plain\n\ttext"},
	    {"\033[31mred\007", "?[31mred?"},
	    {"back\rspace\b\x7f", "back?space??"},
	    {"\xc2\x9b"
	     "31m",
	     "?31m"}, /* CSI as one character */
	    {"gr\xc3\xbc\xc3\x9f \xe2\x9c\x93", "gr\xc3\xbc\xc3\x9f \xe2\x9c\x93"},
	    {"cut \xc2", "cut \xc2"},
	};
	for (size_t i = 0; i < SL_COUNT(cases); i++) {
		SL_AUTO(sl_free_auto) char *out = put(cases[i].text);
		assert_string_equal(out, cases[i].want);
	}
}

static const char *const headings[] = {"NAME", "STATE", NULL};

static char *print_table(enum table_style style)
{
	SL_AUTO(sl_free_auto) char *path = strdup("/tmp/test_cli_XXXXXX");
	int fd = mkstemp(path);
	assert_true(fd >= 0);
	FILE *file = fdopen(fd, "w+");
	struct table *table = table_new(file, style, headings);
	table_put(table, TEXT_STRONG, "%s", "shop");
	table_put(table, TEXT_GOOD, "%s", "READY");
	table_put(table, TEXT_STRONG, "%s", "a-longer-name");
	table_put(table, TEXT_BAD, "%s", "\033[2J");
	assert_true(table_end(table));
	char *text = calloc(1, 4096);
	rewind(file);
	assert_true(fread(text, 1, 4095, file) > 0);
	assert_int_equal(fclose(file), 0);
	(void)remove(path);
	return text;
}

static void test_cli_table_plain(void **state)
{
	(void)state;
	SL_AUTO(sl_free_auto) char *text = print_table(TABLE_PLAIN);
	assert_non_null(strstr(text, "NAME           STATE"));
	assert_non_null(strstr(text, "\nshop           READY\n"));
	assert_non_null(strstr(text, "\na-longer-name  "));
	assert_null(strchr(text, '\033'));
}

static void test_cli_table_colors(void **state)
{
	(void)state;
	SL_AUTO(sl_free_auto) char *text = print_table(TABLE_COLORS);
	assert_non_null(strstr(text, "\033[32mREADY"));
	assert_null(strstr(text, "\033[2J"));
}

static void test_cli_table_names(void **state)
{
	(void)state;
	SL_AUTO(sl_free_auto) char *text = print_table(TABLE_NAMES);
	assert_string_equal(text, "shop\na-longer-name\n");
	assert_false(table_end(NULL));
}

static void test_cli_exit_codes(void **state)
{
	(void)state;
	static const struct {
		int code;
		enum cli_exit exit;
	} cases[] = {
	    {SLUICE_OK, CLI_DONE},
	    {SLUICE_FAILED_PRECONDITION, CLI_REFUSED},
	    {SLUICE_PERMISSION_DENIED, CLI_REFUSED},
	    {SLUICE_NOT_FOUND, CLI_FAILED},
	    {SLUICE_ALREADY_EXISTS, CLI_FAILED},
	    {SLUICE_ABORTED, CLI_FAILED},
	    {SLUICE_UNAVAILABLE, CLI_FAILED},
	    {SLUICE_INTERNAL, CLI_FAILED},
	    {SLUICE_OUT_OF_RANGE, CLI_FAILED},
	    {SLUICE_RESOURCE_EXHAUSTED, CLI_FAILED},
	    {SLUICE_UNAUTHENTICATED, CLI_FAILED},
	    {SLUICE_CANCELLED, CLI_FAILED},
	    {SLUICE_DEADLINE_EXCEEDED, CLI_TIMED_OUT},
	    {SLUICE_INVALID_ARGUMENT, CLI_USAGE},
	    {99, CLI_FAILED},
	};
	for (size_t i = 0; i < SL_COUNT(cases); i++) {
		assert_int_equal(cli_exit_of(cases[i].code), cases[i].exit);
	}
	assert_int_equal(CLI_REFUSED, 2);
	assert_int_equal(CLI_FAILED, 3);
	assert_int_equal(CLI_TIMED_OUT, 4);
	assert_int_equal(CLI_USAGE, 64);
}

static void test_cli_advice_names_reasons_of_the_list(void **state)
{
	(void)state;
	assert_non_null(strstr(cli_advice("STALE_PLAN"), "repeat"));
	assert_null(cli_advice(""));
	assert_null(cli_advice("STOPPING"));
	/* What the server may say of versions and apps has a way on. */
	static const char *const reasons[] = {"GATE_BLOCKED",      "VERSION_SEALED",
					      "NO_PREVIOUS",       "NOT_ELIGIBLE",
					      "CONTENT_NOT_READY", "LAST_ENVIRONMENT"};
	for (size_t i = 0; i < SL_COUNT(reasons); i++) {
		assert_non_null(cli_advice(reasons[i]));
	}
}

static void test_cli_pairs_become_entries(void **state)
{
	(void)state;
	static const char *const items[] = {"zone=eu", "empty=", "url=a=b"};
	struct sl_flag_list list = {items, SL_COUNT(items)};
	struct cli cli = {0};
	sl_arena_init(&cli.arena, 0);
	Sluice__V1__CreateAppRequest__PlacementEntry **entries =
	    cli_pairs(&cli, &list, &sluice__v1__create_app_request__placement_entry__descriptor);
	assert_string_equal(entries[0]->key, "zone");
	assert_string_equal(entries[0]->value, "eu");
	assert_string_equal(entries[1]->key, "empty");
	assert_string_equal(entries[1]->value, "");
	assert_string_equal(entries[2]->key, "url");
	assert_string_equal(entries[2]->value, "a=b");
	assert_true(protobuf_c_message_check(&entries[2]->base));
	sl_arena_fini(&cli.arena);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_cli_text_age),
	    cmocka_unit_test(test_cli_text_time),
	    cmocka_unit_test(test_cli_text_bytes),
	    cmocka_unit_test(test_cli_text_enum),
	    cmocka_unit_test(test_cli_text_cannot_drive_the_terminal),
	    cmocka_unit_test(test_cli_table_plain),
	    cmocka_unit_test(test_cli_table_colors),
	    cmocka_unit_test(test_cli_table_names),
	    cmocka_unit_test(test_cli_exit_codes),
	    cmocka_unit_test(test_cli_advice_names_reasons_of_the_list),
	    cmocka_unit_test(test_cli_pairs_become_entries),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
