/* Crashes: what was acknowledged is there after a kill, and a command that
 * breaks the contract ends the program instead of the data. */
#include "tests/unit/server/store/fixture.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/mem/own.h"

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	fixture_init(f);
	*state = f;
	return 0;
}

/* Writes until it is killed; tells each acknowledged revision. Never returns. */
static void write_forever(struct fixture *f, int tell)
{
	fixture_open(f);
	struct write raise = {.floor = 1, .cmd.shrinks = true};
	(void)write_run(f, &raise); /* pruning goes on beside the writes */
	for (;;) {
		char name[16];
		(void)snprintf(name, sizeof(name), "k%04u", (unsigned)rand() % 1000);
		struct write writes[] = {
		    {.put = name, .value_bytes = 300},
		    {.put = "head"},
		    {.refusal = "who", .refuse = SL_ABORTED},
		};
		for (size_t i = 0; i < SL_COUNT(writes); i++) {
			if (write_submit(f, &writes[i]) != SL_OK) {
				_exit(EXIT_FAILURE);
			}
		}
		for (size_t i = 0; i < SL_COUNT(writes); i++) {
			(void)write_wait(&writes[i]);
		}
		uint64_t revision = writes[1].cmd.revision;
		if (write(tell, &revision, sizeof(revision)) != sizeof(revision)) {
			_exit(EXIT_FAILURE);
		}
	}
}

/* Returns the last revision that the child acknowledged before it was killed. */
static uint64_t run_and_kill(struct fixture *f, unsigned acknowledgements)
{
	int told[2];
	assert_int_equal(pipe(told), 0);
	pid_t child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		write_forever(f, told[1]);
	}
	(void)close(told[1]);
	uint64_t revision = 0, last = 0;
	for (unsigned i = 0; read(told[0], &revision, sizeof(revision)) == sizeof(revision); i++) {
		last = revision;
		if (i == acknowledgements) {
			assert_int_equal(kill(child, SIGKILL), 0);
		}
	}
	(void)close(told[0]);
	int status;
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	return last;
}

static void test_crash_loses_nothing_acknowledged(void **state)
{
	struct fixture *f = *state;
	for (unsigned round = 0; round < 20; round++) {
		uint64_t told = run_and_kill(f, 1 + round * 7 % 20);
		fixture_open(f);
		uint64_t head = view_revision(f);
		assert_true(told > 0 && head >= told);
		char words[24];
		(void)snprintf(words, sizeof(words), "%llu", (unsigned long long)head);
		SL_AUTO(sl_free_auto) char *revisions = log_revisions(f, head, STORE_FORWARD);
		assert_string_equal(revisions, words);
		assert_true(count_log(f) <= head && count_log(f) + 1 >= head);
		assert_true(has(f, "head", NULL));
		store_free(SL_TAKE(f->store));
	}
}

static sl_code change_without_log(struct store_cmd *cmd, const struct store_view *view,
				  struct store_changes *changes, struct sl_err *err)
{
	(void)cmd, (void)view, (void)err;
	store_changes_put(changes, APPS, sl_bytes_text("a"), sl_bytes_text("1"));
	return SL_OK;
}

static sl_code log_twice(struct store_cmd *cmd, const struct store_view *view,
			 struct store_changes *changes, struct sl_err *err)
{
	(void)cmd, (void)view, (void)err;
	store_changes_log(changes, sl_bytes_text("one"));
	store_changes_log(changes, sl_bytes_text("two"));
	return SL_OK;
}

static sl_code use_own_name(struct store_cmd *cmd, const struct store_view *view,
			    struct store_changes *changes, struct sl_err *err)
{
	(void)cmd, (void)view, (void)err;
	store_changes_put_meta(changes, "store/state", sl_bytes_text("mine"));
	return SL_OK;
}

static sl_code use_unknown_table(struct store_cmd *cmd, const struct store_view *view,
				 struct store_changes *changes, struct sl_err *err)
{
	(void)cmd, (void)view, (void)err;
	store_changes_put(changes, TABLES, sl_bytes_text("a"), sl_bytes_text("1"));
	store_changes_log(changes, sl_bytes_text("one"));
	return SL_OK;
}

static void ignore_done(struct store_cmd *cmd)
{
	sl_err_clear(&cmd->err);
}

static void test_crash_on_a_command_that_breaks_the_contract(void **state)
{
	static sl_code (*const bugs[])(struct store_cmd *, const struct store_view *,
				       struct store_changes *, struct sl_err *) = {
	    change_without_log, log_twice, use_own_name, use_unknown_table};
	struct fixture *f = *state;
	for (size_t i = 0; i < SL_COUNT(bugs); i++) {
		pid_t child = fork();
		assert_true(child >= 0);
		if (child == 0) {
			const struct rlimit no_core = {0, 0};
			(void)setrlimit(RLIMIT_CORE, &no_core);
			(void)signal(SIGABRT, SIG_DFL);
			(void)fclose(stderr); /* the assertion is expected */
			fixture_open(f);
			struct store_cmd cmd = {.decide = bugs[i], .done = ignore_done};
			if (store_submit(f->store, &cmd, NULL) == SL_OK) {
				store_free(f->store);
			}
			_exit(EXIT_SUCCESS);
		}
		int status;
		assert_int_equal(waitpid(child, &status, 0), child);
		assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
		fixture_open(f);
		assert_int_equal(view_revision(f), 0);
		store_free(SL_TAKE(f->store));
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, fixture_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(test_crash_loses_nothing_acknowledged),
	    TEST(test_crash_on_a_command_that_breaks_the_contract),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
