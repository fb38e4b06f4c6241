/* A program ends while a thread that used OpenSSL still runs, as some of gRPC's do. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>

#include <cmocka.h>

#include <openssl/crypto.h>
#include <openssl/err.h>
#include <pthread.h>
#include <semaphore.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/tls/hooks.h"

static pthread_t late;
static sem_t has_begun, may_end;
static _Thread_local bool is_late;
static atomic_int live; /* what OpenSSL holds for the late thread */

static void *count_malloc(size_t size, const char *file, int line)
{
	(void)file, (void)line;
	void *p = malloc(size);
	live += is_late && p != NULL;
	return p;
}

static void *count_realloc(void *p, size_t size, const char *file, int line)
{
	(void)file, (void)line;
	live += is_late && p == NULL;
	return realloc(p, size);
}

static void count_free(void *p, const char *file, int line)
{
	(void)file, (void)line;
	live -= is_late && p != NULL;
	free(p);
}

static void *run_late(void *arg)
{
	is_late = true;
	ERR_raise(ERR_LIB_USER, 1);
	ERR_clear_error();
	(void)sem_post(&has_begun);
	(void)sem_wait(&may_end);
	return arg;
}

/* Registered before OpenSSL could register anything: runs after what it registered. */
static void end_late(void)
{
	int before = live;
	(void)sem_post(&may_end);
	(void)pthread_join(late, NULL);
	_exit(before > 0 && live == 0 ? 0 : 1);
}

static void be_the_program(void)
{
	(void)sem_init(&has_begun, 0, 0);
	(void)sem_init(&may_end, 0, 0);
	(void)atexit(end_late);
	(void)CRYPTO_set_mem_functions(count_malloc, count_realloc, count_free);
	tls_hooks_install();
	ERR_raise(ERR_LIB_USER, 1); /* what all threads share is there already */
	if (pthread_create(&late, NULL, run_late, NULL) != 0) {
		_exit(2);
	}
	(void)sem_wait(&has_begun);
	exit(0); /* NOLINT(concurrency-mt-unsafe): that a thread still runs is the point */
}

static void test_a_thread_that_outlives_exit_gives_all_back(void **state)
{
	(void)state;
	int status = 0;
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		be_the_program();
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_a_thread_that_outlives_exit_gives_all_back),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
