#include "base/flags/flags_internal.h"

#include <string.h>

#include "base/mem/own.h"

enum { WORDS_MAX = 2, NAMES_MAX = 128 };

/* Whether the command's name starts with the noun as a whole word. */
static bool has_noun(const struct sl_command *command, const char *noun)
{
	size_t length = strlen(noun);
	return strncmp(command->name, noun, length) == 0 && command->name[length] == ' ';
}

static bool is_noun(const struct sl_program *program, const char *word)
{
	for (const struct sl_command *const *c = program->commands; *c != NULL; c++) {
		if (has_noun(*c, word)) {
			return true;
		}
	}
	return false;
}

static const struct sl_command *find_named(const struct sl_program *program, const char *noun,
					   const char *verb)
{
	for (const struct sl_command *const *c = program->commands; *c != NULL; c++) {
		bool same = verb == NULL ? strcmp((*c)->name, noun) == 0
					 : has_noun(*c, noun) &&
					       strcmp((*c)->name + strlen(noun) + 1, verb) == 0;
		if (same) {
			return *c;
		}
	}
	return NULL;
}

static const struct sl_flag *program_flag(const struct sl_program *program, const char *arg,
					  bool *ret_inline)
{
	bool is_long = arg[1] == '-';
	const char *name = is_long ? arg + 2 : arg + 1;
	size_t length = strcspn(name, "=");
	*ret_inline = name[length] == '=';
	for (const struct sl_flag *f = program->flags; f != NULL && f->name != NULL; f++) {
		bool same = is_long
				? strlen(f->name) == length && strncmp(f->name, name, length) == 0
				: length == 1 && f->letter == name[0];
		bool negated = is_long && f->kind == SL_FLAG_BOOL && strncmp(name, "no-", 3) == 0 &&
			       strcmp(f->name, name + 3) == 0;
		if (same || negated) {
			return f;
		}
	}
	return NULL;
}

struct words {
	const char *word[WORDS_MAX]; /* NULL: not there */
	bool help, version;
};

/* The first words that are neither the program's flags nor their values. What stands
 * after the first word may be a flag of the command: its verb must follow the noun at once. */
static sl_code collect_words(const struct sl_program *program, int argc, const char *const *argv,
			     struct words *words, struct sl_err *err)
{
	for (int i = 0; i < argc; i++) {
		bool has_inline = false;
		if (argv[i][0] != '-' || argv[i][1] == '\0') {
			words->word[0] = argv[i];
			bool more = i + 1 < argc && argv[i + 1][0] != '-';
			words->word[1] = more ? argv[i + 1] : NULL;
			return SL_OK;
		}
		words->help =
		    words->help || strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0;
		words->version = words->version || strcmp(argv[i], "--version") == 0;
		if (words->help || words->version) {
			continue;
		}
		const struct sl_flag *flag = program_flag(program, argv[i], &has_inline);
		if (flag == NULL) {
			return sl_err_set(err, SL_INVALID_ARGUMENT,
					  "unknown flag %.64s before the command", argv[i]);
		}
		i += flag->kind != SL_FLAG_BOOL && !has_inline ? 1 : 0;
	}
	return SL_OK;
}

/* The first words of all names, or the verbs of `noun`. */
static void list_names(const struct sl_program *program, const char *noun,
		       char store[NAMES_MAX][64], const char *names[NAMES_MAX + 1])
{
	size_t count = 0;
	for (const struct sl_command *const *c = program->commands; *c != NULL && count < NAMES_MAX;
	     c++) {
		if (noun != NULL && !has_noun(*c, noun)) {
			continue;
		}
		const char *from = noun != NULL ? (*c)->name + strlen(noun) + 1 : (*c)->name;
		(void)snprintf(store[count], 64, "%.*s", (int)strcspn(from, " "), from);
		names[count] = store[count];
		count++;
	}
	names[count] = NULL;
}

static sl_code unknown_command(const struct sl_program *program, const char *noun, const char *word,
			       struct sl_err *err)
{
	char store[NAMES_MAX][64];
	const char *names[NAMES_MAX + 1];
	list_names(program, noun, store, names);
	const char *near = sl_closest(word, names);
	const char *space = noun != NULL ? " " : "";
	noun = noun != NULL ? noun : "";
	if (near != NULL) {
		return sl_err_set(err, SL_INVALID_ARGUMENT,
				  "unknown command '%s%s%.64s': did you mean '%s%s%s'?", noun,
				  space, word, noun, space, near);
	}
	return sl_err_set(err, SL_INVALID_ARGUMENT,
			  "unknown command '%s%s%.64s' (%s%s%s --help lists them)", noun, space,
			  word, program->name, space, noun);
}

static bool asks_for_help(int argc, const char *const *argv)
{
	for (int i = 0; i < argc && strcmp(argv[i], "--") != 0; i++) {
		if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
			return true;
		}
	}
	return false;
}

static sl_code resolve(const struct sl_program *program, const struct words *words, bool help,
		       struct sl_found *found, struct sl_err *err)
{
	const char *noun = words->word[0];
	const char *verb = words->word[1];
	if (!is_noun(program, noun)) {
		found->command = find_named(program, noun, NULL);
		found->words = 1;
		return found->command != NULL ? SL_OK : unknown_command(program, NULL, noun, err);
	}
	found->noun = noun;
	found->command = verb != NULL ? find_named(program, noun, verb) : NULL;
	if (found->command != NULL) {
		found->words = 2;
		return SL_OK;
	}
	found->command =
	    find_named(program, noun, NULL); /* "release APP" beside "release history" */
	found->words = found->command != NULL ? 1 : 0;
	if (found->command != NULL || (verb == NULL && help)) {
		return SL_OK;
	}
	if (verb == NULL) {
		return sl_err_set(err, SL_INVALID_ARGUMENT,
				  "'%s' needs a command (%s %s --help lists them)", noun,
				  program->name, noun);
	}
	return unknown_command(program, noun, verb, err);
}

sl_code sl_command_find(const struct sl_program *program, int argc, const char *const *argv,
			struct sl_found *ret_found, struct sl_err *err)
{
	struct words words = {0};
	struct sl_found found = {.argc = argc, .argv = argv};
	sl_code code = collect_words(program, argc, argv, &words, err);
	if (code != SL_OK) {
		return code;
	}
	found.version = words.version;
	if (words.word[0] != NULL && !words.version) {
		code = resolve(program, &words, asks_for_help(argc, argv), &found, err);
		if (code != SL_OK) {
			return code;
		}
	}
	*ret_found = found;
	return SL_OK;
}

/* What the command line found leaves to the command. */
struct words_check {
	struct flags_check base;
	const struct sl_program *program;
	const struct sl_found *found;
};

static sl_code check_words(const struct flags_check *check, struct sl_args *args,
			   struct sl_err *err)
{
	const struct words_check *words = SL_CONTAINER_OF(check, const struct words_check, base);
	const struct sl_command *command = words->found->command;
	args->items += words->found->words;
	args->count -= words->found->words;
	if (args->count > command->args_max) {
		return sl_err_set(err, SL_INVALID_ARGUMENT,
				  "unexpected argument '%.64s' (usage: %s %s %s)",
				  args->items[command->args_max], words->program->name,
				  command->name, command->synopsis);
	}
	if (args->count < command->args_min) {
		return sl_err_set(err, SL_INVALID_ARGUMENT,
				  "an argument is missing (usage: %s %s %s)", words->program->name,
				  command->name, command->synopsis);
	}
	return SL_OK;
}

sl_code sl_command_parse(const struct sl_program *program, const struct sl_found *found,
			 struct sl_target globals, struct sl_target config,
			 struct sl_args *ret_args, struct sl_err *err)
{
	const struct sl_command *command = found->command;
	const struct sl_flag_set sets[] = {
	    {program->flags, globals.config, globals.size, program->env_prefix},
	    {command->flags, config.config, config.size, command->env_prefix},
	};
	const struct words_check words = {{check_words}, program, found};
	return flags_parse(sets, SL_COUNT(sets), found->argc, found->argv, &words.base, ret_args,
			   err);
}
