/* Failure: a commit that cannot be made durable ends the store. The C
 * library's write calls are replaced in this program, LMDB's included. */
#include "tests/unit/server/store/fixture.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/mem/own.h"

enum fault { FAULT_NONE, FAULT_SYNC, FAULT_PWRITE, FAULT_WRITEV };
static atomic_int fault, fault_errno;

static bool strikes(enum fault here)
{
	if (atomic_load(&fault) != (int)here) {
		return false;
	}
	atomic_store(&fault, FAULT_NONE); /* once: the next call would succeed again */
	errno = atomic_load(&fault_errno);
	return true;
}

int fdatasync(int fd)
{
	return strikes(FAULT_SYNC) ? -1 : (int)syscall(SYS_fdatasync, fd);
}

ssize_t pwrite(int fd, const void *data, size_t size, off_t offset)
{
	return strikes(FAULT_PWRITE) ? -1 : syscall(SYS_pwrite64, fd, data, size, offset);
}

ssize_t writev(int fd, const struct iovec *parts, int count)
{
	return strikes(FAULT_WRITEV) ? -1 : syscall(SYS_writev, fd, parts, count);
}

static atomic_uint failures, commits;
static atomic_uint_least64_t last_commit;

static void on_failure(void *ctx, const struct sl_err *err)
{
	(void)ctx;
	assert_int_equal(err->code, SL_UNAVAILABLE);
	assert_int_equal(err->reason, SL_REASON_STORAGE_FAILED);
	assert_non_null(strstr(err->msg, strerror(atomic_load(&fault_errno))));
	(void)atomic_fetch_add(&failures, 1);
}

static void on_commit(void *ctx, uint64_t first, uint64_t last, uint64_t tables)
{
	(void)tables;
	(void)ctx;
	assert_int_equal(first, atomic_load(&last_commit) + 1);
	assert_true(last >= first);
	atomic_store(&last_commit, last);
	(void)atomic_fetch_add(&commits, 1);
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	fixture_init(f);
	f->options.on_failure = on_failure;
	f->options.on_commit = on_commit;
	atomic_store(&failures, 0);
	atomic_store(&last_commit, 0);
	fixture_open(f);
	*state = f;
	return 0;
}

static void check_unavailable(struct write *w, sl_code code)
{
	assert_int_equal(code, SL_UNAVAILABLE);
	assert_int_equal(w->cmd.err.reason, SL_REASON_STORAGE_FAILED);
	assert_int_equal(w->cmd.revision, 0);
	write_clear(w);
}

static void fails_for_good(struct fixture *f, enum fault which, int number)
{
	(void)put(f, "before", NULL);
	struct write writes[] = {
	    {.put = "a"}, {.put = "b"}, {.refuse = SL_NOT_FOUND}, {.put = "c"}};
	atomic_store(&fault_errno, number);
	atomic_store(&fault, which);
	write_batch(f, writes, SL_COUNT(writes));
	assert_int_equal(atomic_load(&fault), FAULT_NONE); /* it did strike */
	for (size_t i = 0; i < SL_COUNT(writes); i++) {
		check_unavailable(&writes[i], writes[i].cmd.code);
	}
	assert_int_equal(atomic_load(&failures), 1);
	struct write later = {.put = "later"};
	check_unavailable(&later, write_submit(f, &later));
	assert_int_equal(later.decided, 0);
	assert_int_equal(atomic_load(&last_commit), 1);
	assert_int_equal(stats(f).commits, 1);
	assert_int_equal(atomic_load(&failures), 1);
}

static void test_failure_of_a_write_or_sync_ends_the_store(void **state)
{
	static const struct {
		enum fault fault;
		int number;
	} rows[] = {
	    {FAULT_SYNC, EIO},      {FAULT_SYNC, ENOSPC}, {FAULT_PWRITE, EIO},
	    {FAULT_PWRITE, ENOSPC}, {FAULT_WRITEV, EIO},  {FAULT_WRITEV, ENOSPC},
	    {FAULT_WRITEV, ENOMEM},
	};
	(void)state;
	for (size_t i = 0; i < SL_COUNT(rows); i++) {
		void *each = NULL;
		(void)setup(&each);
		struct fixture *f = each;
		fails_for_good(f, rows[i].fault, rows[i].number);
		fixture_reopen(f); /* what was acknowledged is there */
		assert_true(has(f, "before", NULL));
		assert_false(has(f, "later", NULL));
		(void)fixture_teardown(&each);
	}
}

static void test_failure_answers_what_waits_behind_the_batch(void **state)
{
	struct fixture *f = *state;
	sem_t held, entered;
	(void)sem_init(&held, 0, 0);
	(void)sem_init(&entered, 0, 0);
	struct write first = {.put = "a", .hold = &held, .entered = &entered};
	struct write waiting[3] = {{.put = "b"}, {.put = "c"}, {.put = "d"}};
	assert_int_equal(write_submit(f, &first), SL_OK);
	(void)sem_wait(&entered);
	for (size_t i = 0; i < SL_COUNT(waiting); i++) {
		assert_int_equal(write_submit(f, &waiting[i]), SL_OK);
	}
	atomic_store(&fault_errno, EIO);
	atomic_store(&fault, FAULT_SYNC);
	(void)sem_post(&held);
	check_unavailable(&first, write_wait(&first));
	for (size_t i = 0; i < SL_COUNT(waiting); i++) {
		check_unavailable(&waiting[i], write_wait(&waiting[i]));
		assert_int_equal(waiting[i].decided, 0);
	}
	assert_int_equal(stats(f).queued, 0);
}

static void test_failure_of_the_first_sync_refuses_to_open(void **state)
{
	(void)state;
	struct fixture f;
	fixture_init(&f);
	atomic_store(&fault_errno, EIO);
	atomic_store(&fault, FAULT_SYNC);
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	assert_int_not_equal(store_open(&f.options, &f.store, &err), SL_OK);
	assert_null(f.store);
	assert_non_null(strstr(err.msg, f.path));
	atomic_store(&fault, FAULT_NONE);
	fixture_open(&f);
	assert_int_equal(put(&f, "a", NULL), 1);
	fixture_fini(&f);
}

static void test_commit_is_told_before_it_is_answered(void **state)
{
	struct fixture *f = *state;
	for (uint64_t i = 1; i <= 20; i++) {
		assert_int_equal(put(f, "a", NULL), i);
		assert_int_equal(atomic_load(&last_commit), i);
	}
	unsigned before = atomic_load(&commits);
	struct write refused = {.refusal = "who", .refuse = SL_ABORTED};
	assert_int_equal(write_run(f, &refused), SL_ABORTED);
	assert_int_equal(atomic_load(&commits), before);
	write_clear(&refused);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, fixture_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_failure_of_a_write_or_sync_ends_the_store),
	    TEST(test_failure_answers_what_waits_behind_the_batch),
	    cmocka_unit_test(test_failure_of_the_first_sync_refuses_to_open),
	    TEST(test_commit_is_told_before_it_is_answered),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
