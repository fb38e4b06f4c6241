#include "base/flags/flags_internal.h"

#include <string.h>

enum { FACTS_MAX = 512 };

/* A cell's text: "|" would end it. */
static void put_cell(FILE *out, const char *text)
{
	for (; *text != '\0'; text++) {
		if (*text == '|') {
			(void)fputc('\\', out);
		}
		(void)fputc(*text, out);
	}
}

static void put_row(FILE *out, const struct sl_flag *flag, const char *env_prefix)
{
	char facts[FACTS_MAX];
	const char *placeholder = flags_placeholder(flag);
	(void)fputs("| `", out);
	if (flag->letter != 0) {
		(void)fprintf(out, "-%c`, `", flag->letter);
	}
	(void)fprintf(out, "--%s%s", flag->name, placeholder != NULL ? " " : "");
	put_cell(out, placeholder != NULL ? placeholder : "");
	(void)fputs("` | ", out);
	put_cell(out, flag->help);
	flags_facts(facts, sizeof(facts), flag, env_prefix);
	(void)fputs(" | ", out);
	put_cell(out, facts);
	(void)fputs(" |\n", out);
}

static void put_table(FILE *out, const struct sl_flag *flags, const char *env_prefix)
{
	(void)fputs("\n| flag | what it does | default, bounds, variable |\n| --- | --- | --- |\n",
		    out);
	for (; flags->name != NULL; flags++) {
		put_row(out, flags, env_prefix);
	}
}

void sl_command_markdown(FILE *out, const struct sl_program *program)
{
	(void)fprintf(out, "## %s\n", program->name);
	if (flags_count(program->flags) > 0) {
		(void)fputs("\nOf every command:\n", out);
		put_table(out, program->flags, program->env_prefix);
	}
	for (const struct sl_command *const *c = program->commands; *c != NULL; c++) {
		if (flags_count((*c)->flags) > 0) {
			(void)fprintf(out, "\n`%s %s`: %s.\n", program->name, (*c)->name,
				      (*c)->summary);
			put_table(out, (*c)->flags, (*c)->env_prefix);
		}
	}
}

sl_code sl_command_page(FILE *out, const struct sl_program *program, unsigned section,
			const char *form, struct sl_err *err)
{
	if (form != NULL && strcmp(form, "markdown") == 0) {
		sl_command_markdown(out, program);
		return SL_OK;
	}
	if (form != NULL && strcmp(form, "roff") != 0) {
		return sl_err_set(err, SL_INVALID_ARGUMENT,
				  "the form must be roff or markdown, is '%.64s'", form);
	}
	sl_command_man(out, program, section);
	return SL_OK;
}
