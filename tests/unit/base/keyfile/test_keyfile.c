/* Key files: read with care, replaced as a whole. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/crypto/crypto.h"
#include "base/crypto/secret.h"
#include "base/keyfile/keyfile.h"
#include "base/mem/own.h"
#include "tests/lib/tmpdir.h"

static void tmpdir_auto(char **dir)
{
	tmpdir_free(*dir);
}

static sl_code read_file(const char *dir, const char *name, enum keyfile_kind kind,
			 const char *expected)
{
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	SL_AUTO(sl_secret_text_auto) char *text = NULL;
	sl_code code = keyfile_read(dir, name, kind, &text, &err);
	if (code == SL_OK) {
		assert_string_equal(text, expected);
	}
	return code;
}

static const char *path_of(const char *dir, const char *name)
{
	static char path[600];
	(void)snprintf(path, sizeof(path), "%s/%s", dir, name);
	return path;
}

static void test_keyfile_reads_what_was_written(void **state)
{
	(void)state;
	SL_AUTO(tmpdir_auto) char *dir = tmpdir_new();
	struct sl_err err = SL_ERR_INIT;
	struct stat found;
	SL_AUTO(sl_secret_text_auto) char *text = NULL;
	assert_int_equal(keyfile_replace(dir, "a", KEYFILE_SECRET, "one", &err), SL_OK);
	assert_int_equal(keyfile_replace(dir, "a", KEYFILE_SECRET, "two\n", &err), SL_OK);
	assert_int_equal(read_file(dir, "a", KEYFILE_SECRET, "two\n"), SL_OK);
	assert_int_equal(stat(path_of(dir, "a"), &found), 0);
	assert_int_equal(found.st_mode & 07777, 0600);
	assert_int_equal(keyfile_create(dir, "b", KEYFILE_PUBLIC, "", &err), SL_OK);
	assert_int_equal(read_file(dir, "b", KEYFILE_PUBLIC, ""), SL_OK);
	assert_int_equal(keyfile_read_path(path_of(dir, "a"), KEYFILE_SECRET, &text, &err), SL_OK);
	assert_string_equal(text, "two\n");
	assert_int_equal(keyfile_create(dir, "a", KEYFILE_PUBLIC, "x", &err), SL_ALREADY_EXISTS);
	assert_int_equal(read_file(dir, "a", KEYFILE_SECRET, "two\n"), SL_OK);
	assert_int_equal(read_file(dir, "c", KEYFILE_SECRET, ""), SL_NOT_FOUND);
}

static void test_keyfile_refuses_what_others_can_touch(void **state)
{
	(void)state;
	SL_AUTO(tmpdir_auto) char *dir = tmpdir_new();
	struct sl_err err = SL_ERR_INIT;
	assert_int_equal(keyfile_replace(dir, "a", KEYFILE_SECRET, "one", &err), SL_OK);
	static const struct {
		unsigned mode;
		sl_code secret, public;
	} rows[] = {
	    {0600, SL_OK, SL_OK},
	    {0400, SL_OK, SL_OK},
	    {0640, SL_FAILED_PRECONDITION, SL_OK},
	    {0604, SL_FAILED_PRECONDITION, SL_OK},
	    {0620, SL_FAILED_PRECONDITION, SL_FAILED_PRECONDITION},
	    {0602, SL_FAILED_PRECONDITION, SL_FAILED_PRECONDITION},
	};
	for (size_t i = 0; i < SL_COUNT(rows); i++) {
		assert_int_equal(chmod(path_of(dir, "a"), rows[i].mode), 0);
		assert_int_equal(read_file(dir, "a", KEYFILE_SECRET, "one"), rows[i].secret);
		assert_int_equal(read_file(dir, "a", KEYFILE_PUBLIC, "one"), rows[i].public);
	}
	assert_int_equal(chmod(dir, 0755), 0);
	assert_int_equal(keyfile_check_folder(dir, &err), SL_FAILED_PRECONDITION);
	assert_int_equal(chmod(dir, 0700), 0);
	assert_int_equal(keyfile_check_folder(dir, &err), SL_OK);
}

static void test_keyfile_follows_no_link_and_reads_no_device(void **state)
{
	(void)state;
	SL_AUTO(tmpdir_auto) char *dir = tmpdir_new();
	struct sl_err err = SL_ERR_INIT;
	assert_int_equal(keyfile_replace(dir, "a", KEYFILE_SECRET, "one", &err), SL_OK);
	assert_int_equal(symlink("a", path_of(dir, "link")), 0);
	assert_int_equal(mkfifo(path_of(dir, "pipe"), 0600), 0);
	assert_int_equal(read_file(dir, "link", KEYFILE_SECRET, ""), SL_FAILED_PRECONDITION);
	assert_int_equal(read_file(dir, "pipe", KEYFILE_SECRET, ""), SL_FAILED_PRECONDITION);
	assert_int_equal(truncate(path_of(dir, "a"), KEYFILE_MAX + 1), 0);
	assert_int_equal(read_file(dir, "a", KEYFILE_SECRET, ""), SL_FAILED_PRECONDITION);
}

static int prepare(void **state)
{
	(void)state;
	return sl_crypto_init() ? 0 : -1;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_keyfile_reads_what_was_written),
	    cmocka_unit_test(test_keyfile_refuses_what_others_can_touch),
	    cmocka_unit_test(test_keyfile_follows_no_link_and_reads_no_device),
	};
	return cmocka_run_group_tests(tests, prepare, NULL);
}
