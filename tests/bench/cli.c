#include "tests/bench/cli.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock/clock.h"
#include "base/mem/own.h"
#include "tests/bench/die.h"
#include "tests/lib/process.h"

enum { ARGUMENTS_MAX = 32, RUN_MS = 10 * 60 * 1000 };

double cli_run(int port, ...)
{
	SL_AUTO(sl_free_auto) char *program = process_runfile("client/cli/sluice");
	SL_AUTO(sl_free_auto) char *said = NULL;
	SL_AUTO(sl_free_auto) char *failed = NULL;
	char server[32];
	const char *args[ARGUMENTS_MAX] = {NULL};
	size_t count = 0;
	va_list words;
	(void)snprintf(server, sizeof(server), "127.0.0.1:%d", port);
	va_start(words, port);
	const char *word = va_arg(words, const char *);
	for (; word != NULL && count + 4 < ARGUMENTS_MAX; word = va_arg(words, const char *)) {
		args[count++] = word;
	}
	va_end(words);
	args[count++] = "--server";
	args[count++] = server;
	args[count++] = "--yes";
	const struct process_options options = {.program = program, .args = args};
	uint64_t started = sl_clock_mono_us();
	if (process_run(&options, RUN_MS, &said, &failed) != 0) {
		die("sluice %s: %s%s", args[0], said, failed);
	}
	return (double)(sl_clock_mono_us() - started) / 1000;
}
