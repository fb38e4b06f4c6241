#include "tests/bench/die.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum { EXIT_FAILED = 3 };

void die(const char *fmt, ...)
{
	va_list args;
	va_start(args, fmt);
	(void)fputs("bench: ", stderr);
	(void)vfprintf(stderr, fmt, args);
	(void)fputc('\n', stderr);
	va_end(args);
	exit(EXIT_FAILED);
}

void *need(void *pointer)
{
	if (pointer == NULL) {
		die("out of memory");
	}
	return pointer;
}

void need_ok(sl_code code, const struct sl_err *err, const char *doing)
{
	if (code != SL_OK) {
		die("%s: %s", doing, err->msg);
	}
}
