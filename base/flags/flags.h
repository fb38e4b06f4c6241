/* flags: one table says what a program can be told, and how.
 *
 * A row names a flag, its type, where its value goes, its default, its bounds
 * and its help; parsing, the environment, --help and the man page all come
 * from the same rows. A command names its rows; a program names its commands.
 *
 * Written on the command line: --name value, --name=value, --no-name (BOOL),
 * -n value, -n=value; "--" ends flags; the rest is positional, in any order.
 * Precedence: command line, then environment, then default.
 *
 * Threads: none. Values are borrowed from argv, the table and struct sl_args:
 * they live until sl_args_fini(). */
#ifndef SL_BASE_FLAGS_H
#define SL_BASE_FLAGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/err/err.h"
#include "base/mem/arena.h"

enum sl_flag_kind {
	SL_FLAG_TEXT,     /* const char *, never NULL; min and max bound its bytes */
	SL_FLAG_BOOL,     /* bool */
	SL_FLAG_INT,      /* uint64_t */
	SL_FLAG_BYTES,    /* uint64_t bytes; 512, 64K, 10M, 64G, 1T (powers of 1024) */
	SL_FLAG_DURATION, /* uint64_t ms; 500ms, 30s, 5m, 24h, 30d, 1h30m; 0 needs no unit */
	SL_FLAG_LIST,     /* struct sl_flag_list of texts; min and max bound the bytes of each */
	SL_FLAG_PAIRS,    /* struct sl_flag_list of texts, each k=v with a non-empty k */
};

/* In the order given. From the environment: split at commas. */
struct sl_flag_list {
	const char *const *items; /* NULL when count is 0 */
	size_t count;
};

struct sl_flag {
	const char *name; /* without dashes; NULL ends a table */
	char letter;      /* 'o' for -o; 0: none. 'h' is taken by --help */
	enum sl_flag_kind kind;
	size_t offset;           /* of the field in the set's config */
	const char *fallback;    /* the default, as it would be written; NULL: "", false, 0, none */
	uint64_t min, max;       /* see the kind; max 0: no upper bound (texts: 4096 bytes) */
	const char *choices;     /* TEXT: "table|json|name"; NULL: any */
	const char *placeholder; /* "DIR"; NULL: by the kind */
	const char *help;        /* one sentence or more, no line breaks */
	bool required;           /* not given and not in the environment: an error */
	bool secret;             /* errors never show the value */
};

/* Rows and the struct that their offsets mean. */
struct sl_flag_set {
	const struct sl_flag *flags; /* NULL: an empty set */
	void *config;
	size_t config_size;
	const char
	    *env_prefix; /* "SLUICE_": --data is SLUICE_DATA; NULL: not from the environment */
};

/* What a command line held beside the flags' values. */
struct sl_args {
	const char *const *items; /* positionals */
	size_t count;
	bool help; /* --help or -h was there: nothing else was checked, the configs are untouched */
	bool version;                 /* --version was there: likewise */
	const struct sl_flag **given; /* rows given on the command line, NULL at the end */
	struct sl_arena arena;        /* what the values live in */
};

/* Parses argv[0..argc) (without the program's name). Every set's config is
 * written on success only. SL_INVALID_ARGUMENT names flag, value and rule.
 * On success the caller ends *ret_args with sl_args_fini(). At most 4 sets. */
SL_MUST_USE sl_code sl_flags_parse(const struct sl_flag_set *sets, size_t set_count, int argc,
				   const char *const *argv, struct sl_args *ret_args,
				   struct sl_err *err);
void sl_args_fini(struct sl_args *args);
/* Whether the command line itself gave the flag (not the environment, not the default). */
bool sl_args_given(const struct sl_args *args, const char *name);

/* The texts of BYTES and DURATION. False: malformed or above UINT64_MAX; *ret is then untouched. */
bool sl_parse_bytes(const char *text, uint64_t *ret_bytes);
bool sl_parse_duration(const char *text, uint64_t *ret_ms);
/* The shortest exact form: "64G", "1h30m". Return `buffer`. */
#define SL_VALUE_TEXT_SIZE 48
const char *sl_size_text(char buffer[static SL_VALUE_TEXT_SIZE], uint64_t bytes);
const char *sl_duration_text(char buffer[static SL_VALUE_TEXT_SIZE], uint64_t ms);

/* The one of `names` (NULL at the end) that `word` was probably meant to be; NULL: none is close.
 */
const char *sl_closest(const char *word, const char *const *names);

struct sl_example {
	const char *command; /* as typed; NULL ends the list */
	const char *meaning;
};

struct sl_exit_code {
	int code;
	const char *meaning; /* NULL ends the list */
};

struct sl_command {
	const char *name;        /* "serve", or noun and verb: "app create" */
	const char *synopsis;    /* what follows the name: "NAME --repo REPO"; "[flags]" is added */
	const char *summary;     /* one line, no full stop */
	const char *description; /* paragraphs parted by "\n\n", else no line breaks; may be NULL */
	size_t args_min, args_max;             /* how many positionals after the name */
	const struct sl_flag *flags;           /* may be NULL */
	const char *env_prefix;                /* of these flags; NULL: not from the environment */
	const struct sl_example *examples;     /* may be NULL */
	const struct sl_exit_code *exit_codes; /* NULL: the program's */
};

struct sl_program {
	const char *name;                         /* "sluice" */
	const char *version;                      /* for --version and the man page */
	const char *summary;                      /* one line, no full stop */
	const char *description;                  /* as in struct sl_command */
	const struct sl_command *const *commands; /* in the order of --help; NULL at the end */
	const struct sl_flag *flags;              /* of every command; may be NULL */
	const char *env_prefix;                /* of these flags; NULL: not from the environment */
	const struct sl_exit_code *exit_codes; /* may be NULL */
};

/* Which command a command line means. */
struct sl_found {
	const struct sl_command *command; /* NULL: help is wanted of `noun`, or of the program */
	const char *noun;                 /* "app" of "app --help"; NULL: the program */
	size_t words;                     /* 1 or 2: positionals that are the command's name */
	bool version;                     /* --version stood before any command */
	int argc;                         /* the line itself, borrowed */
	const char *const *argv;
};

/* argv without the program's name. The program's own flags may stand before
 * the command. No words at all: command is NULL. SL_INVALID_ARGUMENT for an
 * unknown command, with what was probably meant. */
SL_MUST_USE sl_code sl_command_find(const struct sl_program *program, int argc,
				    const char *const *argv, struct sl_found *ret_found,
				    struct sl_err *err);

/* Parses what was found with the program's flags into `globals` and the command's into
 * `config`, drops the command's own words from the positionals and checks how
 * many are left. With args->help set, the caller prints help. Otherwise as sl_flags_parse(). */
struct sl_target {
	void *config;
	size_t size;
};
SL_MUST_USE sl_code sl_command_parse(const struct sl_program *program, const struct sl_found *found,
				     struct sl_target globals, struct sl_target config,
				     struct sl_args *ret_args, struct sl_err *err);

/* Columns of the terminal behind `out`: COLUMNS, else the terminal's, 40 to 120; else 80. */
unsigned sl_help_width(FILE *out);
/* Help for what was found: a command, a noun's verbs, or the program. */
void sl_command_help(FILE *out, const struct sl_program *program, const struct sl_found *found,
		     unsigned width);
/* The program's man page (section 1 or 8), roff with the man macros. */
void sl_command_man(FILE *out, const struct sl_program *program, unsigned section);
/* Every flag of every command, as tables in Markdown. */
void sl_command_markdown(FILE *out, const struct sl_program *program);
/* The one or the other: form is "roff" (also NULL) or "markdown", else SL_INVALID_ARGUMENT. */
SL_MUST_USE sl_code sl_command_page(FILE *out, const struct sl_program *program, unsigned section,
				    const char *form, struct sl_err *err);

#endif
