#include "base/flags/flags_internal.h"

#include <assert.h>
#include <inttypes.h>
#include <string.h>

#include "base/mem/own.h"

enum { TEXT_MAX_BYTES = 4096 };

struct unit {
	const char *name;
	uint64_t factor;
};

/* Largest first, so that the first that divides gives the shortest form. */
static const struct unit size_units[] = {
    {"T", 1ULL << 40}, {"G", 1ULL << 30}, {"M", 1ULL << 20}, {"K", 1ULL << 10}, {"", 1},
};
static const struct unit time_units[] = {
    {"d", 86400000}, {"h", 3600000}, {"m", 60000}, {"s", 1000}, {"ms", 1},
};

/* Digits at *at; false when there is none or the number is too large. */
static bool take_number(const char **at, uint64_t *ret_value)
{
	uint64_t value = 0;
	const char *c = *at;
	for (; *c >= '0' && *c <= '9'; c++) {
		if (__builtin_mul_overflow(value, 10U, &value) ||
		    __builtin_add_overflow(value, (uint64_t)(*c - '0'), &value)) {
			return false;
		}
	}
	if (c == *at) {
		return false;
	}
	*at = c;
	*ret_value = value;
	return true;
}

static bool parse_int(const char *text, uint64_t *ret_value)
{
	uint64_t value = 0;
	if (!take_number(&text, &value) || *text != '\0') {
		return false;
	}
	*ret_value = value;
	return true;
}

bool sl_parse_bytes(const char *text, uint64_t *ret_bytes)
{
	uint64_t value = 0;
	size_t i = 0;
	if (!take_number(&text, &value)) {
		return false;
	}
	while (i < SL_COUNT(size_units) && strcmp(text, size_units[i].name) != 0) {
		i++;
	}
	if (i == SL_COUNT(size_units) ||
	    __builtin_mul_overflow(value, size_units[i].factor, &value)) {
		return false;
	}
	*ret_bytes = value;
	return true;
}

static const struct unit *take_time_unit(const char **at)
{
	size_t length = strspn(*at, "abcdefghijklmnopqrstuvwxyz");
	for (size_t i = 0; i < SL_COUNT(time_units); i++) {
		if (strlen(time_units[i].name) == length &&
		    strncmp(*at, time_units[i].name, length) == 0) {
			*at += length;
			return &time_units[i];
		}
	}
	return NULL;
}

bool sl_parse_duration(const char *text, uint64_t *ret_ms)
{
	uint64_t total = 0;
	uint64_t smaller_than = UINT64_MAX; /* units fall: 1h30m, not 30m1h or 1h1h */
	if (strcmp(text, "0") == 0) {
		*ret_ms = 0;
		return true;
	}
	do {
		uint64_t value = 0;
		const struct unit *unit = take_number(&text, &value) ? take_time_unit(&text) : NULL;
		if (unit == NULL || unit->factor >= smaller_than ||
		    __builtin_mul_overflow(value, unit->factor, &value) ||
		    __builtin_add_overflow(total, value, &total)) {
			return false;
		}
		smaller_than = unit->factor;
	} while (*text != '\0');
	*ret_ms = total;
	return true;
}

const char *sl_size_text(char buffer[static SL_VALUE_TEXT_SIZE], uint64_t bytes)
{
	const struct unit *unit = size_units;
	while (unit->factor > 1 && (bytes == 0 || bytes % unit->factor != 0)) {
		unit++;
	}
	(void)snprintf(buffer, SL_VALUE_TEXT_SIZE, "%" PRIu64 "%s", bytes / unit->factor,
		       unit->name);
	return buffer;
}

const char *sl_duration_text(char buffer[static SL_VALUE_TEXT_SIZE], uint64_t ms)
{
	size_t used = 0;
	buffer[0] = '\0';
	for (size_t i = 0; i < SL_COUNT(time_units) && ms > 0; i++) {
		uint64_t value = ms / time_units[i].factor;
		ms %= time_units[i].factor;
		if (value > 0) {
			used += (size_t)snprintf(buffer + used, SL_VALUE_TEXT_SIZE - used,
						 "%" PRIu64 "%s", value, time_units[i].name);
		}
	}
	if (used == 0) {
		(void)snprintf(buffer, SL_VALUE_TEXT_SIZE, "0");
	}
	return buffer;
}

static const char *number_text(const struct sl_flag *flag, char buffer[static SL_VALUE_TEXT_SIZE],
			       uint64_t value)
{
	if (flag->kind == SL_FLAG_BYTES) {
		return sl_size_text(buffer, value);
	}
	if (flag->kind == SL_FLAG_DURATION) {
		return sl_duration_text(buffer, value);
	}
	(void)snprintf(buffer, SL_VALUE_TEXT_SIZE, "%" PRIu64, value);
	return buffer;
}

/* "1 to 64", "at least 1". */
static const char *bounds_text(const struct sl_flag *flag, char *buffer, size_t size)
{
	char low[SL_VALUE_TEXT_SIZE];
	char high[SL_VALUE_TEXT_SIZE];
	if (flag->max == 0) {
		(void)snprintf(buffer, size, "at least %s", number_text(flag, low, flag->min));
		return buffer;
	}
	(void)snprintf(buffer, size, "%s to %s", number_text(flag, low, flag->min),
		       number_text(flag, high, flag->max));
	return buffer;
}

static sl_code refuse(const struct sl_flag *flag, const char *source, const char *text,
		      const char *rule, struct sl_err *err)
{
	if (flag->secret) {
		return sl_err_set(err, SL_INVALID_ARGUMENT,
				  "%s must be %s (its value is not shown)", source, rule);
	}
	return sl_err_set(err, SL_INVALID_ARGUMENT, "%s must be %s, is '%s'", source, rule, text);
}

static sl_code store_number(const struct sl_flag *flag, const char *source, const char *text,
			    void *field, struct sl_err *err)
{
	static const struct {
		bool (*parse)(const char *text, uint64_t *ret_value);
		const char *form;
	} kinds[] = {
	    [SL_FLAG_INT] = {parse_int, "a whole number"},
	    [SL_FLAG_BYTES] = {sl_parse_bytes, "a size such as 512, 64K, 10M or 4G"},
	    [SL_FLAG_DURATION] = {sl_parse_duration, "a time such as 500ms, 30s, 5m, 24h or 30d"},
	};
	uint64_t value = 0;
	if (!kinds[flag->kind].parse(text, &value)) {
		return refuse(flag, source, text, kinds[flag->kind].form, err);
	}
	if (value < flag->min || (flag->max != 0 && value > flag->max)) {
		char rule[2 * SL_VALUE_TEXT_SIZE + 16];
		return refuse(flag, source, text, bounds_text(flag, rule, sizeof(rule)), err);
	}
	*(uint64_t *)field = value;
	return SL_OK;
}

static sl_code store_bool(const struct sl_flag *flag, const char *source, const char *text,
			  void *field, struct sl_err *err)
{
	static const char *const words[] = {"false", "true", "0", "1", "no", "yes", "off", "on"};
	for (size_t i = 0; i < SL_COUNT(words); i++) {
		if (strcmp(text, words[i]) == 0) {
			*(bool *)field = i % 2 == 1;
			return SL_OK;
		}
	}
	return refuse(flag, source, text, "true or false", err);
}

static sl_code check_length(const struct sl_flag *flag, const char *source, const char *text,
			    struct sl_err *err)
{
	uint64_t length = strlen(text);
	uint64_t max = flag->max != 0 ? flag->max : TEXT_MAX_BYTES;
	if (length >= flag->min && length <= max) {
		return SL_OK;
	}
	return sl_err_set(err, SL_INVALID_ARGUMENT,
			  "%s must have %" PRIu64 " to %" PRIu64 " bytes, has %" PRIu64, source,
			  flag->min, max, length);
}

static bool is_choice(const char *choices, const char *text)
{
	size_t length = strlen(text);
	for (const char *at = choices; *at != '\0';) {
		size_t word = strcspn(at, "|");
		if (word == length && strncmp(at, text, length) == 0) {
			return true;
		}
		at += word + (at[word] == '|' ? 1 : 0);
	}
	return false;
}

static sl_code store_text(const struct sl_flag *flag, const char *source, const char *text,
			  void *field, struct sl_err *err)
{
	sl_code code = check_length(flag, source, text, err);
	if (code != SL_OK) {
		return code;
	}
	if (flag->choices != NULL && !is_choice(flag->choices, text)) {
		char rule[160];
		(void)snprintf(rule, sizeof(rule), "one of %s", flag->choices);
		return refuse(flag, source, text, rule, err);
	}
	*(const char **)field = text;
	return SL_OK;
}

static sl_code append_item(const struct sl_flag *flag, const char *source, const char *text,
			   struct sl_flag_list *list, struct sl_arena *arena, struct sl_err *err)
{
	sl_code code = check_length(flag, source, text, err);
	if (code != SL_OK) {
		return code;
	}
	const char *equals = strchr(text, '=');
	if (flag->kind == SL_FLAG_PAIRS && (equals == NULL || equals == text)) {
		return refuse(flag, source, text, "of the form key=value", err);
	}
	/* Lists are short: a copy per item costs less than keeping their room. */
	const char **items = SL_ARENA_ARRAY(arena, const char *, list->count + 1);
	if (items == NULL) {
		return sl_err_set(err, SL_RESOURCE_EXHAUSTED, "out of memory for %s", source);
	}
	if (list->count > 0) {
		memcpy(items, list->items, list->count * sizeof(*items));
	}
	items[list->count] = text;
	*list = (struct sl_flag_list){.items = items, .count = list->count + 1};
	return SL_OK;
}

sl_code flags_store(const struct sl_flag *flag, const char *source, const char *text, void *config,
		    struct sl_arena *arena, struct sl_err *err)
{
	void *field = (char *)config + flag->offset;
	switch (flag->kind) {
	case SL_FLAG_BOOL:
		return store_bool(flag, source, text, field, err);
	case SL_FLAG_TEXT:
		return store_text(flag, source, text, field, err);
	case SL_FLAG_LIST:
	case SL_FLAG_PAIRS:
		return append_item(flag, source, text, field, arena, err);
	case SL_FLAG_INT:
	case SL_FLAG_BYTES:
	case SL_FLAG_DURATION:
		break;
	}
	return store_number(flag, source, text, field, err);
}

const char *flags_env_name(char buffer[static FLAGS_ENV_SIZE], const char *prefix, const char *name)
{
	int length = snprintf(buffer, FLAGS_ENV_SIZE, "%s%s", prefix, name);
	assert(length > 0 && length < FLAGS_ENV_SIZE);
	(void)length;
	for (char *c = buffer; *c != '\0'; c++) {
		if (*c == '-') {
			*c = '_';
		} else if (*c >= 'a' && *c <= 'z') {
			*c = (char)(*c - 'a' + 'A');
		}
	}
	return buffer;
}

const char *flags_placeholder(const struct sl_flag *flag)
{
	static const char *const by_kind[] = {
	    [SL_FLAG_TEXT] = "TEXT",       [SL_FLAG_BOOL] = NULL,       [SL_FLAG_INT] = "N",
	    [SL_FLAG_BYTES] = "SIZE",      [SL_FLAG_DURATION] = "TIME", [SL_FLAG_LIST] = "TEXT",
	    [SL_FLAG_PAIRS] = "KEY=VALUE",
	};
	if (flag->kind == SL_FLAG_BOOL) {
		return NULL;
	}
	return flag->placeholder != NULL ? flag->placeholder : by_kind[flag->kind];
}

static void add_fact(char *buffer, size_t size, const char *what, const char *value)
{
	size_t used = strlen(buffer);
	(void)snprintf(buffer + used, size - used, "%s%s%s", used > 0 ? "; " : "", what, value);
}

void flags_facts(char *buffer, size_t size, const struct sl_flag *flag, const char *env_prefix)
{
	char name[FLAGS_ENV_SIZE];
	char rule[2 * SL_VALUE_TEXT_SIZE + 16];
	bool number = flag->kind == SL_FLAG_INT || flag->kind == SL_FLAG_BYTES ||
		      flag->kind == SL_FLAG_DURATION;
	buffer[0] = '\0';
	if (flag->required) {
		add_fact(buffer, size, "required", "");
	}
	if (flag->choices != NULL) {
		add_fact(buffer, size, "one of ", flag->choices);
	}
	if (number && (flag->min > 0 || flag->max > 0)) {
		add_fact(buffer, size, "", bounds_text(flag, rule, sizeof(rule)));
	}
	if (flags_is_list(flag)) {
		add_fact(buffer, size, "may be repeated", "");
	}
	if (flag->fallback != NULL && flag->fallback[0] != '\0' &&
	    strcmp(flag->fallback, "false") != 0) {
		add_fact(buffer, size, "default ", flag->fallback);
	}
	if (env_prefix != NULL) {
		add_fact(buffer, size, "$", flags_env_name(name, env_prefix, flag->name));
	}
}
