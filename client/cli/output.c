/* What a command prints: messages as JSON, names, tables and facts. */
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/json/json.h"
#include "client/cli/cli.h"

enum { LABEL_WIDTH = 14 };

bool cli_printed_json(const struct cli *cli, const ProtobufCMessage *message)
{
	if (cli->output != CLI_JSON) {
		return false;
	}
	SL_AUTO(sl_free_auto) char *text = sl_json_from_message(message, SL_JSON_PRETTY, true);
	(void)puts(text != NULL ? text : "null");
	return true;
}

bool cli_printed(const struct cli *cli, const ProtobufCMessage *message, const char *name)
{
	if (cli->output == CLI_NAME && name != NULL) {
		text_put(stdout, name);
		(void)fputc('\n', stdout);
	}
	return cli->output == CLI_NAME || cli_printed_json(cli, message);
}

struct table *cli_table(const struct cli *cli, const char *const *headings)
{
	if (cli->output == CLI_NAME) {
		return table_new(stdout, TABLE_NAMES, headings);
	}
	return table_new(stdout, cli->out_colors ? TABLE_COLORS : TABLE_PLAIN, headings);
}

struct table *cli_talk_table(const struct cli *cli, const char *const *headings)
{
	return table_new(cli->talk, cli->talk_colors ? TABLE_COLORS : TABLE_PLAIN, headings);
}

static void put_va(FILE *out, const char *fmt, va_list args)
{
	SL_AUTO(sl_free_auto) char *text = NULL;
	if (vasprintf(&text, fmt, args) < 0) {
		text = NULL;
		return;
	}
	text_put(out, text);
}

void cli_say(const struct cli *cli, const char *fmt, ...)
{
	va_list args;
	va_start(args, fmt);
	put_va(cli->talk, fmt, args);
	va_end(args);
}

void cli_paint(const struct cli *cli, enum text_color color, const char *fmt, ...)
{
	bool paint = cli->talk_colors && color != TEXT_PLAIN;
	va_list args;
	va_start(args, fmt);
	(void)fputs(paint ? text_color_on(color) : "", cli->talk);
	put_va(cli->talk, fmt, args);
	(void)fputs(paint ? TEXT_COLOR_OFF : "", cli->talk);
	va_end(args);
}

void cli_fact(const struct cli *cli, const char *label, const char *fmt, ...)
{
	(void)cli;
	SL_AUTO(sl_free_auto) char *text = NULL;
	va_list args;
	va_start(args, fmt);
	int length = vasprintf(&text, fmt, args);
	va_end(args);
	if (length <= 0) {
		text = length < 0 ? NULL : text;
		return;
	}
	(void)printf("%-*s", LABEL_WIDTH, label);
	text_put(stdout, text);
	(void)fputc('\n', stdout);
}

int cli_complain(enum cli_exit code, const char *fmt, ...)
{
	va_list args;
	va_start(args, fmt);
	(void)fflush(stdout); /* what was said before comes before */
	(void)fputs("sluice: ", stderr);
	put_va(stderr, fmt, args);
	(void)fputc('\n', stderr);
	va_end(args);
	return code;
}

const char *cli_ref(const Sluice__V1__VersionRef *ref)
{
	return ref != NULL && ref->name[0] != '\0' ? ref->name : "-";
}

static bool says_yes(const char *answer)
{
	static const char *const yes[] = {"y\n", "yes\n", "Y\n", "YES\n", "Yes\n"};
	for (size_t i = 0; i < SL_COUNT(yes); i++) {
		if (strcmp(answer, yes[i]) == 0) {
			return true;
		}
	}
	return false;
}

enum cli_exit cli_confirm(const struct cli *cli, const char *fmt, ...)
{
	char answer[16] = "";
	if (cli->flags.yes) {
		return CLI_DONE;
	}
	if (!isatty(STDIN_FILENO)) {
		return (enum cli_exit)cli_complain(
		    CLI_USAGE, "there is no terminal to ask on: repeat the command with --yes");
	}
	va_list args;
	va_start(args, fmt);
	put_va(cli->talk, fmt, args);
	va_end(args);
	(void)fputs(" [y/N] ", cli->talk);
	(void)fflush(cli->talk);
	if (fgets(answer, sizeof(answer), stdin) == NULL) {
		(void)fputc('\n', cli->talk);
	}
	if (says_yes(answer)) {
		return CLI_DONE;
	}
	return (enum cli_exit)cli_complain(CLI_REFUSED, "declined: nothing was changed");
}
