#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "agent/child/child.h"
#include "base/clock/clock.h"
#include "base/mem/own.h"
#include "tests/lib/tmpdir.h"

static bool run(const char *words, const char *const *env, uint64_t deadline_ms, char *why)
{
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	const char *const argv[] = {"/bin/sh", "-c", words, "sh", "one", "", "three", NULL};
	struct child_options options = {.argv = argv, .env = env, .deadline_ms = deadline_ms};
	struct child *child = NULL;
	bool ok = false;
	assert_int_equal(child_start(&options, &child, &err), SL_OK);
	for (;;) {
		struct pollfd fd = {.fd = child_fd(child), .events = POLLIN};
		uint64_t now = sl_clock_mono_ms(), end = child_deadline_mono_ms(child);
		(void)poll(&fd, 1, now < end ? (int)(end - now) : 0);
		if (child_step(child, &ok, why, 64)) {
			break;
		}
	}
	child_free(child);
	return ok;
}

static void test_child_arguments_and_environment(void **state)
{
	static const char *const env[] = {"SLUICE_APP=shop", "HOME=/elsewhere", NULL};
	(void)state;
	char why[64];
	assert_int_equal(setenv("SLUICE_APP", "of the agent", 1), 0);
	assert_true(run("test $# = 3 && test \"$1\" = one && test -z \"$2\" && test \"$3\" = three",
			NULL, 60000, why));
	assert_true(
	    run("test \"$SLUICE_APP\" = shop && test $HOME = /elsewhere && test -n \"$PATH\"", env,
		60000, why));
	assert_true(run("test \"$SLUICE_APP\" = 'of the agent'", NULL, 60000, why));
	assert_true(run("test \"$(ls /proc/self/fd | wc -l)\" -le 4", NULL, 60000, why));
}

static void test_child_signals_are_fresh(void **state)
{
	(void)state;
	char why[64];
	sigset_t mask, before;
	(void)sigemptyset(&mask);
	(void)sigaddset(&mask, SIGTERM);
	(void)sigprocmask(SIG_BLOCK, &mask, &before);
	assert_false(run("kill -TERM $$; sleep 60", NULL, 50000, why));
	assert_string_equal(why, "ended by signal 15");
	(void)sigprocmask(SIG_SETMASK, &before, NULL);
}

static void test_child_that_hangs_is_killed_with_its_group(void **state)
{
	(void)state;
	char why[64], words[256];
	char *dir = tmpdir_new();
	(void)snprintf(words, sizeof(words),
		       "cd '%s'; (while [ ! -e go ]; do sleep 0.1; done; touch late) & sleep 60",
		       dir);
	uint64_t start = sl_clock_mono_ms();
	assert_false(run(words, NULL, 150, why));
	assert_in_range(sl_clock_mono_ms() - start, 140, 30000);
	assert_string_equal(why, "killed after 150 ms");
	(void)snprintf(words, sizeof(words), "%s/go", dir);
	assert_int_equal(mkdir(words, 0755), 0);
	(void)poll(NULL, 0, 1200);
	(void)snprintf(words, sizeof(words), "%s/late", dir);
	assert_int_not_equal(access(words, F_OK), 0);
	tmpdir_free(dir);
}

static void test_child_given_up_is_gone(void **state)
{
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	const char *const argv[] = {"sleep", "60", NULL};
	struct child_options options = {.argv = argv, .deadline_ms = 60000};
	struct child *child = NULL;
	(void)state;
	assert_int_equal(child_start(&options, &child, &err), SL_OK);
	child_free(child);
	child_free(NULL);
}

static void test_child_that_is_not_there(void **state)
{
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	const char *const argv[] = {"/no/such/hook", NULL};
	struct child_options options = {.argv = argv, .deadline_ms = 1000};
	struct child *child = NULL;
	(void)state;
	assert_int_equal(child_start(&options, &child, &err), SL_INTERNAL);
	assert_null(child);
	assert_non_null(strstr(err.msg, "/no/such/hook"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_child_arguments_and_environment),
	    cmocka_unit_test(test_child_signals_are_fresh),
	    cmocka_unit_test(test_child_that_hangs_is_killed_with_its_group),
	    cmocka_unit_test(test_child_given_up_is_gone),
	    cmocka_unit_test(test_child_that_is_not_there),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
