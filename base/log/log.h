/* log: one event a line on stderr, `time level id key=value ...`.
 *
 * Only main.c files, the RPC edge and background loops log; libraries return
 * sl_err. `id` is stable ("agent-late"): people search and alert on it. Never
 * a secret, never a request body. Texts that may hold spaces go in quotes
 * through sl_log_quote().
 *
 * Threads: any; a line is written with one write(2). */
#ifndef SL_BASE_LOG_H
#define SL_BASE_LOG_H

#include <stddef.h>

#include "base/err/err.h"

enum sl_log_level { SL_LOG_DEBUG, SL_LOG_INFO, SL_LOG_WARN, SL_LOG_ERROR };

/* What is below is dropped; INFO at start. */
void sl_log_level_set(enum sl_log_level level);
/* "debug", "info", "warn", "error"; SL_INVALID_ARGUMENT otherwise. */
SL_MUST_USE sl_code sl_log_level_parse(const char *name, enum sl_log_level *ret_level,
				       struct sl_err *err);

void sl_log(enum sl_log_level level, const char *id, const char *fmt, ...) SL_PRINTF(3, 4);
#define log_debug(...) sl_log(SL_LOG_DEBUG, __VA_ARGS__)
#define log_info(...) sl_log(SL_LOG_INFO, __VA_ARGS__)
#define log_warn(...) sl_log(SL_LOG_WARN, __VA_ARGS__)
#define log_error(...) sl_log(SL_LOG_ERROR, __VA_ARGS__)

/* Writes `"text"` with quotes, backslashes and control bytes escaped; cut to fit. Returns `buffer`.
 */
const char *sl_log_quote(char *buffer, size_t size, const char *text);
#define SL_QUOTE(text) sl_log_quote((char[512]){""}, 512, (text))

#endif
