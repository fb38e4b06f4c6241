/* Children of tests: output, waiting, ends, signals, nothing left behind. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include "base/mem/own.h"
#include "tests/lib/process.h"
#include "tests/lib/wait.h"

enum { LONG_MS = 60000 };

static struct process *shell(const char *script)
{
	const char *args[] = {"-c", script, NULL};
	struct process_options options = {.program = "/bin/sh", .args = args};
	return process_start(&options);
}

static void expect_line(struct process *p, const char *text, size_t *from, const char *want)
{
	SL_AUTO(sl_free_auto) char *line = process_wait_line(p, text, from, LONG_MS);
	assert_non_null(line);
	assert_string_equal(line, want);
}

static void test_lines_of_both_outputs(void **state)
{
	(void)state;
	struct process *p =
	    shell("echo one; echo listening port=4711 >&2; printf 'no end'; sleep 1000");
	expect_line(p, "port=", NULL, "listening port=4711");
	expect_line(p, "one", NULL, "one");
	assert_null(process_wait_line(p, "no end", NULL, 50)); /* not a whole line */
	assert_null(process_wait_line(p, "two", NULL, 0));
	process_free(p);
}

static void test_a_last_line_without_end_counts_at_the_end(void **state)
{
	(void)state;
	struct process *p = shell("echo a; printf 'no end'");
	expect_line(p, "no end", NULL, "no end");
	assert_null(process_wait_line(p, "more", NULL, LONG_MS)); /* at once: it has ended */
	process_free(p);
}

static void test_from_moves_behind_what_was_found(void **state)
{
	(void)state;
	struct process *p = shell("echo x 1; echo y; echo x 2; echo; echo x 3; sleep 1000");
	size_t from = 0;
	expect_line(p, "x", &from, "x 1");
	expect_line(p, "x", &from, "x 2");
	expect_line(p, "x", &from, "x 3");
	size_t before = from;
	assert_null(process_wait_line(p, "x", &from, 20));
	assert_int_equal(from, before); /* nothing is skipped in vain */
	expect_line(p, "x", NULL, "x 1");
	process_free(p);
}

static void test_line_numbers(void **state)
{
	(void)state;
	static const struct {
		const char *line;
		long want;
	} cases[] = {
	    {"listening port=7443 x", 7443},
	    {"port=0", 0},
	    {"port=", -1},
	    {"port=x", -1},
	    {"port=-3", -1},
	    {"nothing", -1},
	};
	for (size_t i = 0; i < SL_COUNT(cases); i++) {
		assert_int_equal(process_line_number(cases[i].line, "port="), cases[i].want);
	}
}

static void test_status(void **state)
{
	(void)state;
	static const struct {
		const char *script;
		int want;
	} cases[] = {
	    {"exit 0", 0},
	    {"exit 64", 64},
	    {"kill -9 $$", -SIGKILL},
	    {"kill -TERM $$", -SIGTERM},
	};
	for (size_t i = 0; i < SL_COUNT(cases); i++) {
		struct process *p = shell(cases[i].script);
		for (int again = 0; again < 2; again++) {
			int status = 1234;
			assert_true(process_wait(p, LONG_MS, &status));
			assert_int_equal(status, cases[i].want);
		}
		process_kill(p, SIGKILL); /* too late, harmless */
		process_free(p);
	}
}

static void test_kill_and_wait_in_time(void **state)
{
	(void)state;
	struct process *p =
	    shell("trap 'echo bye; exit 7' TERM; echo ready; while :; do sleep 0.01; done");
	expect_line(p, "ready", NULL, "ready");
	int status = 1234;
	assert_false(process_wait(p, 30, &status));
	assert_int_equal(status, 1234);
	process_kill(p, SIGTERM);
	assert_true(process_wait(p, LONG_MS, &status));
	assert_int_equal(status, 7);
	expect_line(p, "bye", NULL, "bye");
	process_free(p);
}

/* Signals that the test ignores or blocks are not passed on. */
static void test_signals_are_reset(void **state)
{
	(void)state;
	sigset_t term, before;
	sigemptyset(&term);
	sigaddset(&term, SIGTERM);
	assert_int_equal(pthread_sigmask(SIG_BLOCK, &term, &before), 0);
	void (*pipe_before)(int) = signal(SIGPIPE, SIG_IGN);
	for (int i = 0; i < 2; i++) {
		struct process *p =
		    shell(i == 0 ? "kill -TERM $$; exit 1" : "kill -PIPE $$; exit 1");
		int status = 0;
		assert_true(process_wait(p, LONG_MS, &status));
		assert_int_equal(status, i == 0 ? -SIGTERM : -SIGPIPE);
		process_free(p);
	}
	(void)signal(SIGPIPE, pipe_before);
	assert_int_equal(pthread_sigmask(SIG_SETMASK, &before, NULL), 0);
}

static void test_run_collects_both_outputs(void **state)
{
	(void)state;
	const char *args[] = {"-c", "echo out; echo err >&2; exit 3", NULL};
	struct process_options options = {.program = "sh", .args = args};
	SL_AUTO(sl_free_auto) char *out = NULL;
	SL_AUTO(sl_free_auto) char *err = NULL;
	assert_int_equal(process_run(&options, LONG_MS, &out, &err), 3);
	assert_string_equal(out, "out\n");
	assert_string_equal(err, "err\n");
	assert_int_equal(process_run(&options, LONG_MS, NULL, NULL), 3);
}

static void test_much_output(void **state)
{
	(void)state;
	const char *args[] = {
	    "-c", "i=0; while [ $i -lt 20000 ]; do echo \"line $i\"; i=$((i+1)); done", NULL};
	struct process_options options = {.program = "sh", .args = args};
	SL_AUTO(sl_free_auto) char *out = NULL;
	assert_int_equal(process_run(&options, LONG_MS, &out, NULL), 0);
	assert_int_equal(strncmp(out, "line 0\nline 1\n", 14), 0);
	assert_non_null(strstr(out, "line 19999\n"));
}

static void test_environment_directory_and_descriptors(void **state)
{
	(void)state;
	assert_int_equal(setenv("SL_KEEP", "kept", 1), 0);
	assert_int_equal(setenv("SL_COVER", "old", 1), 0);
	int leak = open("/dev/null", O_RDONLY); /* on purpose without O_CLOEXEC */
	assert_true(leak >= 0);
	const char *args[] = {"-c",
			      "echo $SL_KEEP $SL_COVER $SL_NEW; pwd; cat; ls /proc/$$/fd; :", NULL};
	const char *env[] = {"SL_COVER=new", "SL_NEW=a=b", NULL};
	struct process_options options = {
	    .program = "sh", .args = args, .env = env, .dir = "/proc"};
	SL_AUTO(sl_free_auto) char *out = NULL;
	assert_int_equal(process_run(&options, LONG_MS, &out, NULL), 0);
	assert_string_equal(out, "kept new a=b\n/proc\n0\n1\n2\n");
	(void)close(leak);
}

static void test_runfiles(void **state)
{
	(void)state;
	SL_AUTO(sl_free_auto) char *path = process_runfile("tests/unit/lib/hello.sh");
	assert_int_equal(path[0], '/');
	assert_int_equal(access(path, X_OK), 0);
	struct process_options options = {.program = "tests/unit/lib/hello.sh"};
	SL_AUTO(sl_free_auto) char *out = NULL;
	assert_int_equal(process_run(&options, LONG_MS, &out, NULL), 0);
	assert_string_equal(out, "hello\n");
	SL_AUTO(sl_free_auto) char *same = process_runfile("/bin/sh");
	assert_string_equal(same, "/bin/sh");
}

/* --- nothing is left behind ----------------------------------------------------- */

static bool is_gone(void *pid)
{
	char path[64], status[512] = "";
	(void)snprintf(path, sizeof(path), "/proc/%ld/stat", *(long *)pid);
	FILE *file = fopen(path, "re");
	if (file == NULL) {
		return true;
	}
	size_t got = fread(status, 1, sizeof(status) - 1, file);
	(void)fclose(file);
	return got == 0 || strstr(status, ") Z ") != NULL; /* a zombie of another parent */
}

static void test_free_kills_the_whole_group(void **state)
{
	(void)state;
	struct process *p = shell("sleep 1000 & echo child=$!; wait");
	SL_AUTO(sl_free_auto) char *line = process_wait_line(p, "child=", NULL, LONG_MS);
	assert_non_null(line);
	long child = process_line_number(line, "child=");
	long own = process_pid(p);
	assert_true(child > 0);
	assert_false(is_gone(&child));
	process_free(p);
	assert_true(wait_until(is_gone, &child, LONG_MS));
	assert_true(is_gone(&own));
	process_free(NULL);
}

/* A grandchild that holds the pipes open does not hold up wait and free. */
static void test_grandchild_keeps_the_pipes(void **state)
{
	(void)state;
	struct process *p = shell("sleep 1000 & echo child=$!; exit 5");
	int status = 0;
	assert_true(process_wait(p, LONG_MS, &status));
	assert_int_equal(status, 5);
	SL_AUTO(sl_free_auto) char *line = process_wait_line(p, "child=", NULL, LONG_MS);
	long child = process_line_number(line, "child=");
	process_free(p);
	assert_true(wait_until(is_gone, &child, LONG_MS));
}

/* This very program, which starts a child and ends without process_free(). */
static int leave(const char *how)
{
	struct process *p = shell("sleep 1000 & echo child=$!; wait");
	char *line = process_wait_line(p, "child=", NULL, LONG_MS);
	(void)printf("%s parent=%ld\n", line, (long)process_pid(p));
	(void)fflush(stdout);
	free(line);
	if (strcmp(how, "abort") == 0) {
		abort();
	}
	if (strcmp(how, "term") == 0) {
		(void)raise(SIGTERM);
	}
	exit(0); /* p is left on purpose */
}

static void test_leftovers_die_with_the_test(void **state)
{
	(void)state;
	static const struct {
		const char *how;
		int status;
	} cases[] = {{"exit", 0}, {"abort", -SIGABRT}, {"term", -SIGTERM}};
	char self[4096] = "";
	assert_true(readlink("/proc/self/exe", self, sizeof(self) - 1) > 0);
	for (size_t i = 0; i < SL_COUNT(cases); i++) {
		const char *args[] = {"leave", cases[i].how, NULL};
		const char *env[] = {"ASAN_OPTIONS=detect_leaks=0",
				     "TSAN_OPTIONS=report_thread_leaks=0", NULL};
		struct process_options options = {.program = self, .args = args, .env = env};
		SL_AUTO(sl_free_auto) char *out = NULL;
		assert_int_equal(process_run(&options, LONG_MS, &out, NULL), cases[i].status);
		long child = process_line_number(out, "child="),
		     parent = process_line_number(out, "parent=");
		assert_true(child > 0 && parent > 0);
		assert_true(wait_until(is_gone, &child, LONG_MS));
		assert_true(wait_until(is_gone, &parent, LONG_MS));
	}
}

int main(int argc, char **argv)
{
	if (argc == 3 && strcmp(argv[1], "leave") == 0) {
		return leave(argv[2]);
	}
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_lines_of_both_outputs),
	    cmocka_unit_test(test_a_last_line_without_end_counts_at_the_end),
	    cmocka_unit_test(test_from_moves_behind_what_was_found),
	    cmocka_unit_test(test_line_numbers),
	    cmocka_unit_test(test_status),
	    cmocka_unit_test(test_kill_and_wait_in_time),
	    cmocka_unit_test(test_signals_are_reset),
	    cmocka_unit_test(test_run_collects_both_outputs),
	    cmocka_unit_test(test_much_output),
	    cmocka_unit_test(test_environment_directory_and_descriptors),
	    cmocka_unit_test(test_runfiles),
	    cmocka_unit_test(test_free_kills_the_whole_group),
	    cmocka_unit_test(test_grandchild_keeps_the_pipes),
	    cmocka_unit_test(test_leftovers_die_with_the_test),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
