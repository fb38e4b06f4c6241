/* process: real programs under test: start them, watch what they print, end them.
 *
 * A child leads a process group of its own. It is reaped in process_free()
 * only, so that its id, which is also the group's, is never someone else's.
 * Whatever is left when the test program ends, by exit or by a signal, is
 * killed with its group. Trouble of the test itself (no such program, no
 * memory) aborts with a message.
 *
 * Threads: each function may be called from any thread; free when no other
 * thread uses the process any more. */
#ifndef SL_TESTS_PROCESS_H
#define SL_TESTS_PROCESS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct process;

struct process_options {
	/* "server/sluiced": from the runfiles (list the target in `data`);
	 * "/usr/bin/git": as it is; "git": found through PATH. */
	const char *program;
	const char *const *args; /* without the program's name, NULL-terminated; NULL: none */
	const char *const *env;  /* "NAME=value", put over the caller's environment; NULL: none */
	const char *dir;         /* where it runs; NULL: where the caller does */
};

/* Standard input is empty; no other descriptor is handed on. */
struct process *process_start(const struct process_options *options);

/* Waits for a whole line with `text` in it, on stdout or stderr. Returns a copy
 * without the line's end, which the caller frees; NULL: not within timeout_ms,
 * or not before both outputs ended (what was printed then goes to stderr).
 * from: where to start looking, moved behind the line found; NULL: the beginning. */
char *process_wait_line(struct process *process, const char *text, size_t *from,
			unsigned timeout_ms);

/* The number behind `key` in a line: ("listening port=7443", "port=") is 7443; -1: none. */
long process_line_number(const char *line, const char *key);

/* What it printed so far; a copy, which the caller frees. */
char *process_stdout(struct process *process);
char *process_stderr(struct process *process);

pid_t process_pid(const struct process *process);
/* To the process alone, not to its children. After its end this does nothing. */
void process_kill(struct process *process, int signal_number);

/* Waits for the end; false: still running after timeout_ms. *ret_status is the
 * exit code, or -N when signal N ended it. May be called again. */
bool process_wait(struct process *process, unsigned timeout_ms, int *ret_status);

/* Kills what is left of it and its group. NULL is fine. */
void process_free(struct process *process);

/* All in one: runs to its end. ret_stdout, ret_stderr: NULL or as above. Kills
 * it and aborts when it takes longer than timeout_ms. Returns the status. */
int process_run(const struct process_options *options, unsigned timeout_ms, char **ret_stdout,
		char **ret_stderr);

/* The absolute path of a runfile ("tests/data/x"); the caller frees it. */
char *process_runfile(const char *path);

#endif
