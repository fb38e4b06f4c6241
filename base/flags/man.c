#include "base/flags/flags_internal.h"

#include <ctype.h>
#include <string.h>

enum { FACTS_MAX = 512 };

/* Text as roff: "-" and "\" escaped, and no line that starts as a request. */
static void put_roff(FILE *out, const char *text)
{
	bool line_start = true;
	for (; *text != '\0'; text++) {
		if (line_start && (*text == '.' || *text == '\'')) {
			(void)fputs("\\&", out);
		}
		line_start = *text == '\n';
		if (*text == '\\') {
			(void)fputs("\\e", out);
		} else if (*text == '-') {
			(void)fputs("\\-", out);
		} else {
			(void)fputc(*text, out);
		}
	}
}

static void put_upper(FILE *out, const char *text)
{
	for (; *text != '\0'; text++) {
		(void)fputc(toupper((unsigned char)*text), out);
	}
}

static void put_paragraphs(FILE *out, const char *text)
{
	while (text != NULL && *text != '\0') {
		const char *end = strstr(text, "\n\n");
		size_t length = end != NULL ? (size_t)(end - text) : strlen(text);
		char part[4096];
		(void)snprintf(part, sizeof(part), "%.*s", (int)length, text);
		(void)fputs(".PP\n", out);
		put_roff(out, part);
		(void)fputc('\n', out);
		text += length + (end != NULL ? 2 : 0);
	}
}

static void put_flag(FILE *out, const struct sl_flag *flag, const char *env_prefix)
{
	char facts[FACTS_MAX];
	const char *placeholder = flags_placeholder(flag);
	(void)fputs(".TP\n", out);
	if (flag->letter != 0) {
		(void)fprintf(out, "\\fB\\-%c\\fR, ", flag->letter);
	}
	(void)fputs("\\fB\\-\\-", out);
	put_roff(out, flag->name);
	(void)fputs("\\fR", out);
	if (placeholder != NULL) {
		(void)fputs(" \\fI", out);
		put_roff(out, placeholder);
		(void)fputs("\\fR", out);
	}
	(void)fputc('\n', out);
	put_roff(out, flag->help);
	flags_facts(facts, sizeof(facts), flag, env_prefix);
	if (facts[0] != '\0') {
		(void)fputs("\n(", out);
		put_roff(out, facts);
		(void)fputc(')', out);
	}
	(void)fputc('\n', out);
}

static void put_flags(FILE *out, const struct sl_flag *flags, const char *env_prefix)
{
	for (; flags != NULL && flags->name != NULL; flags++) {
		put_flag(out, flags, env_prefix);
	}
}

static void put_examples(FILE *out, const struct sl_example *examples)
{
	for (; examples != NULL && examples->command != NULL; examples++) {
		(void)fputs(".PP\n.RS 4\n.nf\n", out);
		put_roff(out, examples->command);
		(void)fputs("\n.fi\n.RE\n.PP\n.RS 4\n", out);
		put_roff(out, examples->meaning);
		(void)fputs("\n.RE\n", out);
	}
}

static void put_exit_codes(FILE *out, const struct sl_exit_code *codes)
{
	for (; codes != NULL && codes->meaning != NULL; codes++) {
		(void)fprintf(out, ".TP\n\\fB%d\\fR\n", codes->code);
		put_roff(out, codes->meaning);
		(void)fputc('\n', out);
	}
}

static void put_command(FILE *out, const struct sl_program *program,
			const struct sl_command *command)
{
	(void)fputs(".SS ", out);
	put_roff(out, program->name);
	(void)fputc(' ', out);
	put_roff(out, command->name);
	(void)fputc(' ', out);
	put_roff(out, command->synopsis);
	(void)fputs("\n", out);
	put_roff(out, command->summary);
	(void)fputs(".\n", out);
	put_paragraphs(out, command->description);
	put_flags(out, command->flags, command->env_prefix);
	put_examples(out, command->examples);
	if (command->exit_codes != NULL) {
		(void)fputs(".PP\nExit codes:\n", out);
		put_exit_codes(out, command->exit_codes);
	}
}

void sl_command_man(FILE *out, const struct sl_program *program, unsigned section)
{
	(void)fputs(".TH ", out);
	put_upper(out, program->name);
	(void)fprintf(out, " %u \"\" \"%s %s\" \"Sluice\"\n.SH NAME\n", section, program->name,
		      program->version);
	put_roff(out, program->name);
	(void)fputs(" \\- ", out);
	put_roff(out, program->summary);
	(void)fputs("\n.SH SYNOPSIS\n\\fB", out);
	put_roff(out, program->name);
	(void)fputs("\\fR \\fICOMMAND\\fR [\\fIARGUMENTS\\fR] [\\fIFLAGS\\fR]\n.SH DESCRIPTION\n",
		    out);
	put_paragraphs(out, program->description);
	(void)fputs(".SH COMMANDS\n", out);
	for (const struct sl_command *const *c = program->commands; *c != NULL; c++) {
		put_command(out, program, *c);
	}
	if (flags_count(program->flags) > 0) {
		(void)fputs(".SH FLAGS OF EVERY COMMAND\n", out);
		put_flags(out, program->flags, program->env_prefix);
	}
	if (program->exit_codes != NULL) {
		(void)fputs(".SH EXIT STATUS\n", out);
		put_exit_codes(out, program->exit_codes);
	}
}
