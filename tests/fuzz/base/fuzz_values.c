/* Targets: sl_parse_bytes, sl_parse_duration, sl_size_text, sl_duration_text, sl_flags_parse.
 * Property: no crash, and what is parsed and printed parses to the same value again. */
#include <stdlib.h>
#include <string.h>

#include "base/flags/flags.h"

struct config {
	const char *text;
	bool flag;
	uint64_t number;
	struct sl_flag_list pairs;
};

static const struct sl_flag flags[] = {
    {.name = "text",
     .letter = 't',
     .kind = SL_FLAG_TEXT,
     .offset = offsetof(struct config, text),
     .help = "."},
    {.name = "flag",
     .letter = 'f',
     .kind = SL_FLAG_BOOL,
     .offset = offsetof(struct config, flag),
     .help = "."},
    {.name = "number",
     .kind = SL_FLAG_INT,
     .offset = offsetof(struct config, number),
     .max = 9,
     .help = "."},
    {.name = "pair",
     .letter = 'p',
     .kind = SL_FLAG_PAIRS,
     .offset = offsetof(struct config, pairs),
     .help = "."},
    {0},
};

static void check(bool holds)
{
	if (!holds) {
		abort();
	}
}

static void check_values(const char *text)
{
	char buffer[SL_VALUE_TEXT_SIZE];
	uint64_t value = 0;
	uint64_t again = 0;
	if (sl_parse_bytes(text, &value)) {
		check(sl_parse_bytes(sl_size_text(buffer, value), &again) && again == value);
	}
	if (sl_parse_duration(text, &value)) {
		check(sl_parse_duration(sl_duration_text(buffer, value), &again) && again == value);
	}
}

static void check_flags(char *line)
{
	enum { ARGS_MAX = 64 };
	const char *argv[ARGS_MAX];
	int argc = 0;
	for (char *arg = strsep(&line, "\n"); arg != NULL && argc < ARGS_MAX;
	     arg = strsep(&line, "\n")) {
		argv[argc++] = arg;
	}
	struct config config = {.number = 3};
	struct sl_flag_set set = {flags, &config, sizeof(config), NULL};
	struct sl_args args = {0};
	if (sl_flags_parse(&set, 1, argc, argv, &args, NULL) != SL_OK) {
		check(config.text == NULL && config.number == 3);
		return;
	}
	check(args.help || args.version || (config.text != NULL && config.number <= 9));
	check(args.count <= (size_t)argc);
	sl_args_fini(&args);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = calloc(1, size + 1);
	check(text != NULL);
	if (size > 0) {
		memcpy(text, data, size);
	}
	check_values(text);
	check_flags(text);
	free(text);
	return 0;
}
