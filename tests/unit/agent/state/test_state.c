#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "agent/state/state.h"
#include "base/mem/own.h"
#include "tests/lib/tmpdir.h"

/* --- the machine stops, or a call fails, at the n-th call -------------------------- */

enum fault { FAULT_NONE, FAULT_DIE_BEFORE, FAULT_DIE_AFTER, FAULT_FAIL };
static enum fault fault;
static int countdown;

int __real_fsync(int fd);
ssize_t __real_write(int fd, const void *data, size_t size);
int __real_renameat(int from_dir, const char *from, int to_dir, const char *to);
int __wrap_fsync(int fd);
ssize_t __wrap_write(int fd, const void *data, size_t size);
int __wrap_renameat(int from_dir, const char *from, int to_dir, const char *to);

/* True when this is the call that fails. */
static bool hit(void)
{
	bool now = fault != FAULT_NONE && countdown-- == 0;
	if (now && fault == FAULT_DIE_BEFORE) {
		_exit(9);
	}
	return now;
}

static void after(bool was_hit)
{
	if (was_hit && fault == FAULT_DIE_AFTER) {
		_exit(9);
	}
}

int __wrap_fsync(int fd)
{
	bool now = hit();
	int rc = now && fault == FAULT_FAIL ? -1 : __real_fsync(fd);
	after(now);
	return rc;
}

/* A write that the machine stops in has written half. */
ssize_t __wrap_write(int fd, const void *data, size_t size)
{
	bool now = hit();
	bool half = now && fault == FAULT_DIE_AFTER;
	ssize_t put =
	    now && fault == FAULT_FAIL ? -1 : __real_write(fd, data, half ? size / 2 : size);
	after(now);
	return put;
}

int __wrap_renameat(int from_dir, const char *from, int to_dir, const char *to)
{
	bool now = hit();
	int rc = now && fault == FAULT_FAIL ? -1 : __real_renameat(from_dir, from, to_dir, to);
	after(now);
	return rc;
}

/* --- tests --------------------------------------------------------------------------- */

static int setup(void **state)
{
	*state = tmpdir_new();
	return 0;
}

static int teardown(void **state)
{
	tmpdir_free(*state);
	return 0;
}

static struct state *sample(uint64_t sequence)
{
	static const uint8_t digest[SL_HASH_BYTES] = {1, 2, 3};
	struct state *s = state_new();
	(void)state_text(s->instance, sizeof(s->instance), "prod-1");
	(void)state_text(s->workspace, sizeof(s->workspace), "default");
	s->sequence = sequence;
	s->clock_offset_ms = -5;
	s->manifest_size = 100000;
	s->manifest = calloc(1, s->manifest_size);
	memset(s->manifest, (int)(sequence & 0x7f), s->manifest_size);
	struct state_app *app = state_app_add(s, "app_aaaaaaaaaaaaaaaaaaaa", "shop");
	struct state_version *v = state_version_add(app, "ver_aaaaaaaaaaaaaaaaaaaa", "v1", digest);
	v->on_disk = true;
	v->outcome = STATE_ROLLED_BACK;
	v->retries = 3;
	v->attempt = 4;
	v->source = UINT64_MAX;
	state_error_text(v->error, "probe said no");
	(void)state_version_add(app, "", "", NULL);
	(void)state_text(app->active, sizeof(app->active), v->folder);
	app->flip.reason = STATE_FLIP_ROLLBACK;
	(void)state_text(app->flip.from, sizeof(app->flip.from), "v0-000000000000");
	app->degraded = true;
	v->print_known = true;
	memset(v->print, 9, sizeof(v->print));
	assert_true(state_version_bundle(v, SL_BYTES("where from", 10)));
	assert_true(state_app_config(app, SL_BYTES("told", 4)));
	state_error_text(v->not_ready, "missing constant A");
	app->modified = calloc(1, sizeof(*app->modified));
	state_modified_add(app->modified, "index.html");
	state_modified_add(app->modified, "bell\a.html");
	app->modified->count = 40;
	return s;
}

static void test_state_comes_back_as_it_was(void **state)
{
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	struct state *s = sample(7), *got = NULL;
	assert_int_equal(state_save(*state, s, &err), SL_OK);
	assert_int_equal(state_load(*state, &got, &err), SL_OK);
	assert_string_equal(got->instance, "prod-1");
	assert_int_equal(got->sequence, 7);
	assert_int_equal(got->clock_offset_ms, -5);
	assert_int_equal(got->manifest_size, s->manifest_size);
	assert_memory_equal(got->manifest, s->manifest, s->manifest_size);
	const struct state_app *app = state_app_by_slug(got, "shop");
	const struct state_version *v = state_version_by_id(app, "ver_aaaaaaaaaaaaaaaaaaaa");
	assert_ptr_equal(v, state_active(app));
	assert_string_equal(v->folder, "v1-010203000000");
	assert_true(v->on_disk && v->digest_known && app->degraded);
	assert_int_equal(v->outcome, STATE_ROLLED_BACK);
	assert_int_equal(v->retries, 3);
	assert_int_equal(v->attempt, 4);
	assert_true(v->source == UINT64_MAX);
	assert_string_equal(v->error, "probe said no");
	assert_false(app->versions[1]->digest_known);
	assert_int_equal(app->flip.reason, STATE_FLIP_ROLLBACK);
	assert_string_equal(app->flip.to, "");
	assert_string_equal(app->flip.from, "v0-000000000000");
	assert_true(v->print_known && v->print[0] == 9 && v->print[STATE_PRINT_BYTES - 1] == 9);
	assert_false(app->versions[1]->print_known);
	assert_int_equal(v->bundle_size, 10);
	assert_int_equal(app->config_size, 4);
	assert_memory_equal(app->config, "told", 4);
	assert_string_equal(v->not_ready, "missing constant A");
	assert_memory_equal(v->bundle, "where from", 10);
	assert_null(app->versions[1]->bundle);
	assert_int_equal(app->modified->count, 40);
	assert_int_equal(app->modified->file_count, 2);
	assert_string_equal(app->modified->files[0], "index.html");
	assert_string_equal(app->modified->files[1], "bell .html");
	state_free(s);
	state_free(got);
}

/* Saves sequence 2 over 1 with one fault; returns whether the fault was reached. */
static bool save_with(const char *dir, enum fault kind, int at)
{
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	struct state *s = sample(1);
	assert_int_equal(state_save(dir, s, &err), SL_OK);
	s->sequence = 2;
	memset(s->manifest, 2, s->manifest_size);
	(void)fflush(NULL);
	pid_t child = fork();
	if (child == 0) {
		fault = kind;
		countdown = at;
		sl_code code = state_save(dir, s, &err);
		_exit(code == SL_OK ? 0 : 8);
	}
	int status = 0;
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	state_free(s);
	return WEXITSTATUS(status) != 0;
}

static void test_state_is_old_or_new_wherever_the_machine_stops(void **state)
{
	static const enum fault kinds[] = {FAULT_DIE_BEFORE, FAULT_DIE_AFTER, FAULT_FAIL};
	for (size_t i = 0; i < SL_COUNT(kinds); i++) {
		int at = 0;
		for (bool reached = true; reached; at++) {
			SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
			struct state *got = NULL;
			reached = save_with(*state, kinds[i], at);
			assert_int_equal(state_load(*state, &got, &err), SL_OK);
			assert_in_range(got->sequence, reached ? 1 : 2, 2);
			assert_int_equal(got->manifest[0], got->sequence);
			assert_int_equal(got->manifest[got->manifest_size - 1], got->sequence);
			assert_int_equal(got->app_count, 1);
			state_free(got);
		}
		assert_true(at > 3); /* write, fsync, rename, fsync were all hit */
	}
}

static void write_text(const char *dir, const char *text, size_t size)
{
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	assert_int_equal(state_write_file(dir, "state", text, size, 0600, &err), SL_OK);
}

static void test_state_refuses_what_is_none(void **state)
{
	static const struct {
		const char *bytes;
		size_t size;
		sl_code code;
	} rows[] = {
	    {"", 0, SL_DATA_LOSS},                   /* no format */
	    {"\xff\xff\xff", 3, SL_DATA_LOSS},       /* no message */
	    {"\x08\x02", 2, SL_FAILED_PRECONDITION}, /* format 2 */
	};
	for (size_t i = 0; i < SL_COUNT(rows); i++) {
		SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
		struct state *got = NULL;
		write_text(*state, rows[i].bytes, rows[i].size);
		assert_int_equal(state_load(*state, &got, &err), rows[i].code);
		assert_null(got);
	}
}

static void test_state_of_a_fresh_folder_is_not_found(void **state)
{
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	struct state *got = NULL;
	assert_int_equal(state_load(*state, &got, &err), SL_NOT_FOUND);
}

static void test_state_lock_is_for_one(void **state)
{
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	int lock = -1, second = -1;
	assert_false(state_is_locked(*state));
	assert_int_equal(state_lock(*state, &lock, &err), SL_OK);
	assert_true(state_is_locked(*state));
	assert_int_equal(state_lock(*state, &second, &err), SL_FAILED_PRECONDITION);
	assert_int_equal(second, -1);
	(void)close(lock);
	assert_false(state_is_locked(*state));
}

static void test_state_texts_are_bounded(void **state)
{
	(void)state;
	char small[4], error[STATE_ERROR_SIZE];
	assert_true(state_text(small, sizeof(small), "abc"));
	assert_false(state_text(small, sizeof(small), "abcd"));
	assert_string_equal(small, "abc");
	state_error_text(error, "two\nlines\t");
	assert_string_equal(error, "two lines ");
	char wide[2 * STATE_ERROR_SIZE];
	for (size_t i = 0; i + 2 < sizeof(wide); i += 2) {
		memcpy(wide + i, "\xc3\xa4", 3); /* two bytes a character */
	}
	state_error_text(error, wide);
	assert_int_equal(strlen(error), 500);
	wide[0] = 'x';
	wide[1] = 'y';
	memmove(wide + 1, wide + 2, sizeof(wide) - 2);
	state_error_text(error, wide);
	assert_int_equal(strlen(error), 499); /* no half character at the end */
	struct state *s = state_new();
	assert_null(state_app_add(s, "an id that is much longer than any id can be", "x"));
	state_free(s);
}

static void test_state_pulling_is_what_was_written_last(void **state)
{
	const char *dir = *state;
	struct state_pulling pulling = {.percent = 7};
	const struct state_pulling first = {.version_id = "ver_x", .percent = 40},
				   last = {
				       .version_id = "ver_y", .is_verifying = true, .percent = 100};
	assert_false(state_pulling_read(dir, &pulling));
	state_pulling_write(dir, &first);
	state_pulling_write(dir, &last);
	assert_true(state_pulling_read(dir, &pulling));
	assert_string_equal(pulling.version_id, "ver_y");
	assert_true(pulling.is_verifying);
	assert_int_equal(pulling.percent, 100);
	state_pulling_clear(dir);
	assert_false(state_pulling_read(dir, &pulling));
	assert_false(state_pulling_read("/nonexistent", &pulling));
	state_pulling_write("/nonexistent", &first);
}

static void test_state_pulling_of_others_is_not_believed(void **state)
{
	const char *dir = *state;
	static const char *const lines[] = {"",          "ver_x",       "ver_x f",
					    "ver_x x 3", "ver_x f 101", "ver_x f -1"};
	for (size_t i = 0; i < SL_COUNT(lines); i++) {
		struct state_pulling pulling = {.percent = 7};
		assert_int_equal(
		    state_write_file(dir, "pulling", lines[i], strlen(lines[i]), 0600, NULL),
		    SL_OK);
		assert_false(state_pulling_read(dir, &pulling));
		assert_int_equal(pulling.percent, 7);
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(test_state_comes_back_as_it_was),
	    TEST(test_state_is_old_or_new_wherever_the_machine_stops),
	    TEST(test_state_refuses_what_is_none),
	    TEST(test_state_of_a_fresh_folder_is_not_found),
	    TEST(test_state_lock_is_for_one),
	    TEST(test_state_texts_are_bounded),
	    TEST(test_state_pulling_is_what_was_written_last),
	    TEST(test_state_pulling_of_others_is_not_believed),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
