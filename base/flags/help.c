#include "base/flags/flags_internal.h"

#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum {
	WIDTH_DEFAULT = 80,
	WIDTH_MIN = 40,
	WIDTH_MAX = 120,
	INDENT = 2,
	TEXT_AT = 8,
	FACTS_MAX = 512
};

unsigned sl_help_width(FILE *out)
{
	const char *columns = getenv("COLUMNS");
	struct winsize size = {0};
	unsigned long width = columns != NULL ? strtoul(columns, NULL, 10) : 0;
	if (width == 0 && isatty(fileno(out)) && ioctl(fileno(out), TIOCGWINSZ, &size) == 0) {
		width = size.ws_col;
	}
	if (width == 0) {
		return WIDTH_DEFAULT;
	}
	if (width < WIDTH_MIN) {
		return WIDTH_MIN;
	}
	return width > WIDTH_MAX ? WIDTH_MAX : (unsigned)width;
}

/* Where wrapped text stands. */
struct wrap {
	FILE *out;
	unsigned width, indent; /* of lines after the first */
	unsigned at;            /* column of the cursor */
};

static void put_word(struct wrap *wrap, const char *word, size_t length)
{
	bool fresh = wrap->at <= wrap->indent;
	if (!fresh && wrap->at + 1 + length > wrap->width) {
		(void)fputc('\n', wrap->out);
		wrap->at = 0;
		fresh = true;
	}
	if (fresh && wrap->at < wrap->indent) {
		(void)fprintf(wrap->out, "%*s", (int)(wrap->indent - wrap->at), "");
		wrap->at = wrap->indent;
	}
	(void)fprintf(wrap->out, "%s%.*s", fresh ? "" : " ", (int)length, word);
	wrap->at += (unsigned)length + (fresh ? 0 : 1);
}

/* Words of `text`, wrapped; "\n" in it starts a line. Ends without a line break. */
static void put_text(struct wrap *wrap, const char *text)
{
	while (*text != '\0') {
		if (*text == '\n') {
			(void)fputc('\n', wrap->out);
			wrap->at = 0;
		}
		if (*text == ' ' || *text == '\n') {
			text++;
			continue;
		}
		size_t length = strcspn(text, " \n");
		put_word(wrap, text, length);
		text += length;
	}
}

static void end_line(struct wrap *wrap)
{
	(void)fputc('\n', wrap->out);
	wrap->at = 0;
}

static void put_paragraphs(FILE *out, unsigned width, const char *text)
{
	if (text == NULL || text[0] == '\0') {
		return;
	}
	struct wrap wrap = {.out = out, .width = width};
	end_line(&wrap);
	put_text(&wrap, text);
	end_line(&wrap);
}

/* "name  text" with the text wrapped in a column of its own. */
static void put_pair(FILE *out, unsigned width, const char *name, unsigned column, const char *text)
{
	struct wrap wrap = {.out = out, .width = width, .indent = column};
	int used = fprintf(out, "%*s%s", INDENT, "", name);
	wrap.at = used > 0 ? (unsigned)used : 0;
	if (wrap.at + 2 > column) {
		end_line(&wrap);
	}
	put_text(&wrap, text);
	end_line(&wrap);
}

static void put_flag(FILE *out, unsigned width, const struct sl_flag *flag, const char *env_prefix)
{
	char facts[FACTS_MAX];
	const char *placeholder = flags_placeholder(flag);
	if (flag->letter != 0) {
		(void)fprintf(out, "  -%c, --%s", flag->letter, flag->name);
	} else {
		(void)fprintf(out, "      --%s", flag->name);
	}
	(void)fprintf(out, "%s%s\n", placeholder != NULL ? " " : "",
		      placeholder != NULL ? placeholder : "");
	struct wrap wrap = {.out = out, .width = width, .indent = TEXT_AT + 2};
	put_text(&wrap, flag->help);
	flags_facts(facts, sizeof(facts), flag, env_prefix);
	if (facts[0] != '\0') {
		char bracketed[FACTS_MAX + 4];
		(void)snprintf(bracketed, sizeof(bracketed), "(%s)", facts);
		put_text(&wrap, bracketed);
	}
	end_line(&wrap);
}

static void put_flags(FILE *out, unsigned width, const char *title, const struct sl_flag *flags,
		      const char *env_prefix)
{
	if (flags_count(flags) == 0) {
		return;
	}
	(void)fprintf(out, "\n%s:\n", title);
	for (const struct sl_flag *f = flags; f->name != NULL; f++) {
		put_flag(out, width, f, env_prefix);
	}
}

static void put_examples(FILE *out, unsigned width, const struct sl_example *examples)
{
	if (examples == NULL || examples->command == NULL) {
		return;
	}
	(void)fputs("\nExamples:\n", out);
	for (; examples->command != NULL; examples++) {
		struct wrap wrap = {.out = out, .width = width, .indent = TEXT_AT};
		(void)fprintf(out, "  %s\n", examples->command);
		put_text(&wrap, examples->meaning);
		end_line(&wrap);
	}
}

static void put_exit_codes(FILE *out, unsigned width, const struct sl_exit_code *codes)
{
	if (codes == NULL || codes->meaning == NULL) {
		return;
	}
	(void)fputs("\nExit codes:\n", out);
	for (; codes->meaning != NULL; codes++) {
		char number[16];
		(void)snprintf(number, sizeof(number), "%d", codes->code);
		put_pair(out, width, number, TEXT_AT, codes->meaning);
	}
}

static bool is_of_noun(const struct sl_command *command, const char *noun)
{
	size_t length = noun != NULL ? strlen(noun) : 0;
	return noun == NULL ||
	       (strncmp(command->name, noun, length) == 0 && command->name[length] == ' ');
}

static void put_commands(FILE *out, unsigned width, const struct sl_program *program,
			 const char *noun)
{
	size_t longest = 0;
	for (const struct sl_command *const *c = program->commands; *c != NULL; c++) {
		size_t length = is_of_noun(*c, noun) ? strlen((*c)->name) : 0;
		longest = length > longest ? length : longest;
	}
	(void)fputs("\nCommands:\n", out);
	for (const struct sl_command *const *c = program->commands; *c != NULL; c++) {
		if (is_of_noun(*c, noun)) {
			put_pair(out, width, (*c)->name, (unsigned)longest + INDENT + 2,
				 (*c)->summary);
		}
	}
}

static void command_help(FILE *out, const struct sl_program *program, const struct sl_found *found,
			 unsigned width)
{
	const struct sl_command *command = found->command;
	struct wrap wrap = {.out = out, .width = width, .indent = 0};
	(void)fprintf(out, "Usage: %s %s%s%s%s\n\n", program->name, command->name,
		      command->synopsis[0] != '\0' ? " " : "", command->synopsis,
		      flags_count(command->flags) + flags_count(program->flags) > 0 ? " [flags]"
										    : "");
	put_text(&wrap, command->summary);
	(void)fputs(".\n", out);
	put_paragraphs(out, width, command->description);
	put_flags(out, width, "Flags", command->flags, command->env_prefix);
	put_flags(out, width, "Flags of every command", program->flags, program->env_prefix);
	put_examples(out, width, command->examples);
	put_exit_codes(out, width,
		       command->exit_codes != NULL ? command->exit_codes : program->exit_codes);
	if (found->noun != NULL && strcmp(found->noun, command->name) == 0) {
		put_commands(out, width, program, found->noun);
	}
}

void sl_command_help(FILE *out, const struct sl_program *program, const struct sl_found *found,
		     unsigned width)
{
	if (found->command != NULL) {
		command_help(out, program, found, width);
		return;
	}
	if (found->noun != NULL) {
		(void)fprintf(out, "Usage: %s %s COMMAND ...\n", program->name, found->noun);
		put_commands(out, width, program, found->noun);
		(void)fprintf(out, "\n%s %s COMMAND --help says more.\n", program->name,
			      found->noun);
		return;
	}
	struct wrap wrap = {.out = out, .width = width, .indent = 0};
	(void)fprintf(out, "Usage: %s COMMAND ...\n\n", program->name);
	put_text(&wrap, program->summary);
	(void)fputs(".\n", out);
	put_paragraphs(out, width, program->description);
	put_commands(out, width, program, NULL);
	put_flags(out, width, "Flags of every command", program->flags, program->env_prefix);
	put_exit_codes(out, width, program->exit_codes);
	(void)fprintf(out, "\n%s COMMAND --help says more of one; --version prints the version.\n",
		      program->name);
}
