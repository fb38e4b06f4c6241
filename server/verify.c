/* LMDB trusts its file: pages that were overwritten or cut off end the process that
 * reads them. So a child reads, and its end is an answer too. */
#include "server/verify.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/mem/own.h"
#include "server/records/verify.h"

enum { EXIT_FAILED = 3, EXIT_USAGE = 64 };

static const struct sl_exit_code exit_codes[] = {
    {0, "the store is sound"},
    {EXIT_FAILED, "faults were found, or the store could not be read"},
    {EXIT_USAGE, "the command line is wrong"},
    {0, NULL},
};

const struct sl_command server_verify_command = {
    .name = "verify",
    .synopsis = "DIR",
    .summary = "Check a store that no server has open",
    .description = "Reads everything: every index entry and what it points at, every reference "
		   "between records, the order of revisions, and that all parses. Prints the first "
		   "faults.",
    .args_min = 1,
    .args_max = 1,
    .exit_codes = exit_codes,
};

static int look(const char *folder)
{
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	uint64_t faults = 0, checked = 0;
	if (records_verify(folder, stdout, &checked, &faults, &err) != SL_OK) {
		(void)fflush(stdout);
		(void)fprintf(stderr, "sluiced: verify: %s\n", err.msg);
		return EXIT_FAILED;
	}
	(void)printf("%lu records checked, %lu faults\n", (unsigned long)checked,
		     (unsigned long)faults);
	return faults == 0 ? EXIT_SUCCESS : EXIT_FAILED;
}

/* Its death is expected with a damaged store: no core file for it. */
static _Noreturn void child(const char *folder)
{
	const struct rlimit none = {0, 0};
	(void)setrlimit(RLIMIT_CORE, &none);
	int status = look(folder);
	(void)fflush(stdout);
	_exit(status);
}

int server_verify(const char *folder)
{
	(void)fflush(stdout);
	pid_t pid = fork();
	if (pid == 0) {
		child(folder);
	}
	int status = 0;
	pid_t ended = pid;
	do {
		ended = pid < 0 ? -1 : waitpid(pid, &status, 0);
	} while (ended < 0 && pid > 0 && errno == EINTR);
	if (ended < 0) {
		(void)fprintf(stderr, "sluiced: verify: cannot start a process: %s\n",
			      strerror(errno));
		return EXIT_FAILED;
	}
	if (WIFEXITED(status) &&
	    (WEXITSTATUS(status) == EXIT_SUCCESS || WEXITSTATUS(status) == EXIT_FAILED)) {
		return WEXITSTATUS(status);
	}
	/* A sanitizer turns the signal into an exit status of its own. */
	(void)fprintf(stderr,
		      "sluiced: verify: store '%s': its file is damaged: reading it ended with "
		      "%s %d (%s)\n",
		      folder, WIFEXITED(status) ? "status" : "signal",
		      WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status),
		      WIFEXITED(status) ? "unexpected" : strsignal(WTERMSIG(status)));
	return EXIT_FAILED;
}
