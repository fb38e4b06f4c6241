#include "base/log/log.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static const char *const level_names[] = {"debug", "info", "warn", "error"};
static atomic_int lowest = SL_LOG_INFO;

void sl_log_level_set(enum sl_log_level level)
{
	atomic_store(&lowest, (int)level);
}

sl_code sl_log_level_parse(const char *name, enum sl_log_level *ret_level, struct sl_err *err)
{
	for (unsigned i = 0; i < sizeof(level_names) / sizeof(level_names[0]); i++) {
		if (strcmp(name, level_names[i]) == 0) {
			*ret_level = (enum sl_log_level)i;
			return SL_OK;
		}
	}
	return sl_err_set(err, SL_INVALID_ARGUMENT,
			  "log level must be debug, info, warn or error, is '%s'", name);
}

static size_t stamp(char *line, size_t size)
{
	struct timespec now;
	struct tm utc;
	(void)clock_gettime(CLOCK_REALTIME, &now);
	(void)gmtime_r(&now.tv_sec, &utc);
	size_t used = strftime(line, size, "%Y-%m-%dT%H:%M:%S", &utc);
	int more = snprintf(line + used, size - used, ".%03ldZ", now.tv_nsec / 1000000);
	return used + (size_t)more;
}

void sl_log(enum sl_log_level level, const char *id, const char *fmt, ...)
{
	if ((int)level < atomic_load_explicit(&lowest, memory_order_relaxed)) {
		return;
	}
	char line[2048];
	size_t used = stamp(line, sizeof(line));
	used +=
	    (size_t)snprintf(line + used, sizeof(line) - used, " %s %s ", level_names[level], id);
	va_list args;
	va_start(args, fmt);
	int more = vsnprintf(line + used, sizeof(line) - used - 1, fmt, args);
	va_end(args);
	used += more < 0 ? 0 : (size_t)more;
	used = used < sizeof(line) - 1 ? used : sizeof(line) - 2;
	line[used++] = '\n';
	ssize_t written = write(STDERR_FILENO, line, used);
	(void)written; /* nobody is left to tell */
}

const char *sl_log_quote(char *buffer, size_t size, const char *text)
{
	size_t at = 0;
	buffer[at++] = '"';
	for (; *text != '\0' && at + 6 < size; text++) {
		unsigned char c = (unsigned char)*text;
		if (c == '"' || c == '\\') {
			buffer[at++] = '\\';
			buffer[at++] = (char)c;
		} else if (c < 0x20 || c == 0x7f) {
			at += (size_t)snprintf(buffer + at, size - at, "\\x%02x", c);
		} else {
			buffer[at++] = (char)c;
		}
	}
	buffer[at++] = '"';
	buffer[at] = '\0';
	return buffer;
}
