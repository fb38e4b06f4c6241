/* flags_internal: what the files of base/flags share. */
#ifndef SL_BASE_FLAGS_INTERNAL_H
#define SL_BASE_FLAGS_INTERNAL_H

#include "base/flags/flags.h"

/* Checks `text` by the row and writes its field in `config`; lists are appended to
 * (items in `arena`). `source` names the flag in errors: "--data" or "SLUICE_DATA". */
SL_MUST_USE sl_code flags_store(const struct sl_flag *flag, const char *source, const char *text,
				void *config, struct sl_arena *arena, struct sl_err *err);

/* sl_flags_parse(), with a last look at the positionals, which it may shorten, before any config is
 * written. */
struct flags_check {
	sl_code (*check)(const struct flags_check *check, struct sl_args *args, struct sl_err *err);
};
SL_MUST_USE sl_code flags_parse(const struct sl_flag_set *sets, size_t set_count, int argc,
				const char *const *argv, const struct flags_check *check,
				struct sl_args *ret_args, struct sl_err *err);

/* "SLUICE_DATA" of "SLUICE_" and "data". Returns `buffer`. */
#define FLAGS_ENV_SIZE 128
const char *flags_env_name(char buffer[static FLAGS_ENV_SIZE], const char *prefix,
			   const char *name);

/* "DIR", or what the kind is usually called; NULL for BOOL. */
const char *flags_placeholder(const struct sl_flag *flag);

/* "(default 64G)"-like facts of a row: default, bounds, variable; into `buffer`. */
void flags_facts(char *buffer, size_t size, const struct sl_flag *flag, const char *env_prefix);

static inline size_t flags_count(const struct sl_flag *flags)
{
	size_t count = 0;
	while (flags != NULL && flags[count].name != NULL) {
		count++;
	}
	return count;
}

static inline bool flags_is_list(const struct sl_flag *flag)
{
	return flag->kind == SL_FLAG_LIST || flag->kind == SL_FLAG_PAIRS;
}

#endif
