/* Short memory: each allocation of ours fails once, in turn; nothing leaks,
 * nothing is half done, and the next try works. */
#include "tests/unit/server/store/fixture.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "base/mem/own.h"

static atomic_int countdown = -1; /* 0: the next allocation fails; below: none does */

static bool fails(void)
{
	int left = atomic_load(&countdown);
	if (left < 0) {
		return false;
	}
	atomic_store(&countdown, left - 1);
	return left == 0;
}

void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *old, size_t size);
char *__real_strdup(const char *text);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *old, size_t size);
char *__wrap_strdup(const char *text);

void *__wrap_calloc(size_t count, size_t size)
{
	return fails() ? NULL : __real_calloc(count, size);
}

void *__wrap_realloc(void *old, size_t size)
{
	return fails() ? NULL : __real_realloc(old, size);
}

char *__wrap_strdup(const char *text)
{
	return fails() ? NULL : __real_strdup(text);
}

static void test_oom_open(void **state)
{
	(void)state;
	struct fixture f;
	fixture_init(&f);
	int failed = 0;
	for (;; failed++) {
		SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
		atomic_store(&countdown, failed);
		sl_code code = store_open(&f.options, &f.store, &err);
		atomic_store(&countdown, -1);
		if (code == SL_OK) {
			break;
		}
		assert_int_equal(code, SL_RESOURCE_EXHAUSTED);
		assert_null(f.store);
	}
	assert_true(failed >= 2);
	assert_int_equal(put(&f, "a", NULL), 1);
	fixture_fini(&f);
}

static void test_oom_view(void **state)
{
	struct fixture *f = *state;
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	const struct store_view *view = NULL;
	atomic_store(&countdown, 0);
	assert_int_equal(store_view_begin(f->store, &view, &err), SL_RESOURCE_EXHAUSTED);
	assert_null(view);
	atomic_store(&countdown, -1);
	assert_int_equal(view_revision(f), 0);
}

static void test_oom_changes(void **state)
{
	struct fixture *f = *state;
	int failed = 0;
	for (;; failed++) {
		fixture_reopen(f); /* empty buffers: each grows again */
		struct write w = {.put = "a", .value_bytes = 4000, .meta = "m", .floor = 1};
		atomic_store(&countdown, failed);
		sl_code code = write_run(f, &w);
		atomic_store(&countdown, -1);
		if (code == SL_OK) {
			break;
		}
		assert_int_equal(code, SL_RESOURCE_EXHAUSTED);
		assert_int_equal(view_revision(f), 0);
		assert_int_equal(view_floor(f), 0);
		assert_false(has(f, "a", NULL));
		write_clear(&w);
	}
	assert_true(failed >= 2);
	assert_int_equal(view_revision(f), 1);
}

static void test_oom_of_a_refusal_is_told(void **state)
{
	struct fixture *f = *state;
	struct write w = {.nothing = true, .refusal = "who", .refuse = SL_ABORTED};
	atomic_store(&countdown, 0);
	assert_int_equal(write_run(f, &w), SL_RESOURCE_EXHAUSTED);
	assert_int_equal(count_refusals(f), 0);
	assert_int_equal(write_run(f, &w), SL_ABORTED);
	assert_int_equal(count_refusals(f), 1);
	write_clear(&w);
}

static void test_oom_of_one_leaves_the_others_of_its_batch(void **state)
{
	struct fixture *f = *state;
	sem_t held, entered;
	(void)sem_init(&held, 0, 0);
	(void)sem_init(&entered, 0, 0);
	struct write first = {
	    .put = "a", .value_bytes = 100000, .hold = &held, .entered = &entered};
	struct write second = {.put = "b"};
	assert_int_equal(write_submit(f, &first), SL_OK);
	(void)sem_wait(&entered);
	assert_int_equal(write_submit(f, &second), SL_OK);
	atomic_store(&countdown, 0);
	(void)sem_post(&held);
	assert_int_equal(write_wait(&first), SL_RESOURCE_EXHAUSTED);
	assert_int_equal(write_wait(&second), SL_OK);
	assert_int_equal(second.cmd.revision, 1);
	write_clear(&first);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_oom_open),
	    TEST(test_oom_view),
	    TEST(test_oom_changes),
	    TEST(test_oom_of_a_refusal_is_told),
	    TEST(test_oom_of_one_leaves_the_others_of_its_batch),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
