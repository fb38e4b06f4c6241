/* The folder: made, locked against others, checked for what it holds. */
#include "tests/unit/server/store/fixture.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <lmdb.h>

#include "base/mem/own.h"
#include "server/store/folder.h"

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	fixture_init(f);
	*state = f;
	return 0;
}

/* Opens and expects `code` with `words` in the text. */
static void refused(const struct store_options *options, sl_code code, const char *words)
{
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	struct store *store = NULL;
	assert_int_equal(store_open(options, &store, &err), code);
	assert_null(store);
	if (strstr(err.msg, words) == NULL || strstr(err.msg, options->path) == NULL) {
		fail_msg("'%s' does not say '%s' of '%s'", err.msg, words, options->path);
	}
}

static char *under(const struct fixture *f, const char *name)
{
	char *path = NULL;
	if (asprintf(&path, "%s/%s", f->path, name) < 0) {
		abort();
	}
	return path;
}

/* A child that opens the store, begins a view and waits to be killed. */
static pid_t hold_in_child(struct fixture *f)
{
	int ready[2];
	assert_int_equal(pipe(ready), 0);
	pid_t child = fork();
	assert_true(child >= 0);
	if (child > 0) {
		char byte;
		(void)close(ready[1]);
		assert_int_equal(read(ready[0], &byte, 1), 1);
		(void)close(ready[0]);
		return child;
	}
	const struct store_view *view = NULL;
	if (store_open(&f->options, &f->store, NULL) != SL_OK ||
	    store_view_begin(f->store, &view, NULL) != SL_OK || write(ready[1], "x", 1) != 1) {
		_exit(EXIT_FAILURE);
	}
	for (;;) {
		(void)pause();
	}
}

static void kill_child(pid_t child)
{
	int status;
	assert_int_equal(kill(child, SIGKILL), 0);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFSIGNALED(status));
}

static void test_folder_held_by_another_process_is_refused(void **state)
{
	struct fixture *f = *state;
	pid_t child = hold_in_child(f);
	char words[32];
	(void)snprintf(words, sizeof(words), "(pid %ld)", (long)child);
	refused(&f->options, SL_FAILED_PRECONDITION, words);
	f->options.read_only = true;
	refused(&f->options, SL_FAILED_PRECONDITION, words);
	f->options.read_only = false;
	kill_child(child);
	fixture_open(f); /* a killed holder leaves neither lock nor reader */
	assert_int_equal(put(f, "a", NULL), 1);
}

static void test_folder_opened_twice_in_one_process_is_refused(void **state)
{
	struct fixture *f = *state;
	fixture_open(f);
	refused(&f->options, SL_FAILED_PRECONDITION, "another process holds it");
	assert_int_equal(put(f, "a", NULL), 1);
}

static unsigned count_entries(const char *path)
{
	DIR *dir = opendir(path);
	unsigned count = 0;
	assert_non_null(dir);
	while (readdir(dir) != NULL) {
		count++;
	}
	(void)closedir(dir);
	return count - 2; /* . and .. */
}

static void test_folder_read_only_reads_and_writes_nothing(void **state)
{
	struct fixture *f = *state;
	fixture_open(f);
	(void)put(f, "a", "1");
	(void)put(f, "b", "2");
	store_free(SL_TAKE(f->store));
	SL_AUTO(sl_free_auto) char *lmdb_lock = under(f, "lock.mdb");
	assert_int_equal(unlink(lmdb_lock), 0);
	unsigned entries = count_entries(f->path);
	f->options.read_only = true;
	fixture_open(f);
	assert_true(has(f, "b", "2"));
	assert_int_equal(view_revision(f), 2);
	assert_int_equal(count_log(f), 2);
	assert_int_equal(stats(f).log_records, 2);
	struct write w = {.put = "c"};
	assert_int_equal(write_submit(f, &w), SL_FAILED_PRECONDITION);
	assert_int_equal(count_entries(f->path), entries);
	struct store *second = NULL; /* two may read */
	assert_int_equal(store_open(&f->options, &second, NULL), SL_OK);
	store_free(second);
	struct store_options writing = f->options;
	writing.read_only = false;
	refused(&writing, SL_FAILED_PRECONDITION, "reading it offline");
	write_clear(&w);
}

static void test_folder_read_only_of_nothing_is_refused(void **state)
{
	struct fixture *f = *state;
	f->options.read_only = true;
	refused(&f->options, SL_FAILED_PRECONDITION, "No such file");
	assert_int_equal(count_entries(f->path), 0);
	SL_AUTO(sl_free_auto) char *missing = under(f, "missing");
	f->options.path = missing;
	refused(&f->options, SL_FAILED_PRECONDITION, "No such file");
	assert_int_not_equal(access(missing, F_OK), 0);
}

static void test_folder_read_only_shows_a_new_table_as_empty(void **state)
{
	struct fixture *f = *state;
	f->options.table_count = 1;
	fixture_open(f);
	(void)put(f, "a", NULL);
	f->options.table_count = TABLES;
	f->options.read_only = true;
	fixture_reopen(f);
	SL_AUTO(sl_free_auto) char *nodes = keys(f, NODES, "", STORE_FORWARD);
	assert_string_equal(nodes, "");
	const struct store_view *view = NULL;
	struct sl_bytes value;
	assert_int_equal(store_view_begin(f->store, &view, NULL), SL_OK);
	assert_int_equal(store_get(view, NODES, sl_bytes_text("a"), &value, NULL), SL_NOT_FOUND);
	store_view_end(view);
	f->options.read_only = false;
	fixture_reopen(f);
	assert_true(has(f, "a", NULL));
}

static void test_folder_is_made_private_if_its_parent_exists(void **state)
{
	struct fixture *f = *state;
	SL_AUTO(sl_free_auto) char *made = under(f, "store");
	SL_AUTO(sl_free_auto) char *deep = under(f, "no/store");
	f->options.path = deep;
	refused(&f->options, SL_FAILED_PRECONDITION, "make the folder");
	f->options.path = made;
	fixture_open(f);
	struct stat folder;
	assert_int_equal(stat(made, &folder), 0);
	assert_int_equal(folder.st_mode & 0777, 0700);
	store_free(SL_TAKE(f->store));
}

static void test_folder_descriptors_close_on_exec(void **state)
{
	struct fixture *f = *state;
	bool before[64];
	for (int fd = 0; fd < 64; fd++) {
		before[fd] = fcntl(fd, F_GETFD) >= 0;
	}
	fixture_open(f);
	for (int fd = 0; fd < 64; fd++) {
		int flags = fcntl(fd, F_GETFD);
		assert_true(before[fd] || flags < 0 || (flags & FD_CLOEXEC) != 0);
	}
}

static void write_file(const struct fixture *f, const char *name, size_t size)
{
	SL_AUTO(sl_free_auto) char *path = under(f, name);
	FILE *file = fopen(path, "we");
	assert_non_null(file);
	for (size_t i = 0; i < size; i++) {
		(void)fputc('x', file);
	}
	assert_int_equal(fclose(file), 0);
}

static void test_folder_with_other_data_is_data_loss(void **state)
{
	struct fixture *f = *state;
	write_file(f, "data.mdb", 8192);
	refused(&f->options, SL_DATA_LOSS, "open environment");
	write_file(f, "data.mdb", 100);
	refused(&f->options, SL_DATA_LOSS, "open environment");
}

/* Runs `change` on the raw environment, past the store. */
static void change_raw(const struct fixture *f, int (*change)(MDB_txn *txn))
{
	MDB_env *env = NULL;
	MDB_txn *txn = NULL;
	assert_int_equal(mdb_env_create(&env), 0);
	assert_int_equal(mdb_env_set_maxdbs(env, 8), 0);
	assert_int_equal(mdb_env_open(env, f->path, 0, 0600), 0);
	assert_int_equal(mdb_txn_begin(env, NULL, 0, &txn), 0);
	assert_int_equal(change(txn), 0);
	assert_int_equal(mdb_txn_commit(txn), 0);
	mdb_env_close(env);
}

static int put_raw(MDB_txn *txn, const char *table, unsigned flags, const char *name,
		   const char *bytes, size_t size)
{
	MDB_dbi dbi;
	int rc = mdb_dbi_open(txn, table, flags, &dbi);
	MDB_val key = {.mv_size = strlen(name), .mv_data = (void *)(uintptr_t)name};
	MDB_val value = {.mv_size = size, .mv_data = (void *)(uintptr_t)bytes};
	return rc != 0 ? rc : mdb_put(txn, dbi, &key, &value, 0);
}

static int raise_format(MDB_txn *txn)
{
	return put_raw(txn, "store/meta", 0, "store/format", "\0\0\0\4", 4);
}

static int spoil_format(MDB_txn *txn)
{
	return put_raw(txn, "store/meta", 0, "store/format", "2", 1);
}

static int spoil_state(MDB_txn *txn)
{
	return put_raw(txn, "store/meta", 0, "store/state", "short", 5);
}

static int someone_elses(MDB_txn *txn)
{
	return put_raw(txn, "theirs", MDB_CREATE, "a", "b", 1);
}

static void test_folder_with_a_newer_or_spoilt_store_is_refused(void **state)
{
	static const struct {
		int (*change)(MDB_txn *txn);
		bool fresh; /* without a store of ours before */
		sl_code code;
		const char *words;
	} rows[] = {
	    {raise_format, false, SL_FAILED_PRECONDITION, "format is 4"},
	    {spoil_format, false, SL_DATA_LOSS, "no format number"},
	    {spoil_state, false, SL_DATA_LOSS, "read the state"},
	    {someone_elses, true, SL_DATA_LOSS, "not a store of Sluice's"},
	};
	(void)state;
	for (size_t i = 0; i < SL_COUNT(rows); i++) {
		struct fixture f;
		fixture_init(&f);
		if (!rows[i].fresh) {
			fixture_open(&f);
			store_free(SL_TAKE(f.store));
		}
		change_raw(&f, rows[i].change);
		for (int read_only = 0; read_only <= 1; read_only++) {
			f.options.read_only = read_only != 0;
			refused(&f.options, rows[i].code, rows[i].words);
		}
		fixture_fini(&f);
	}
}

static void test_folder_network_systems_are_known(void **state)
{
	static const struct {
		uint64_t magic;
		const char *name;
	} rows[] = {
	    {0x6969, "nfs"},    {0xff534d42, "cifs"}, {0xfe534d42, "smb2"}, {0x517b, "smb"},
	    {0x01021997, "9p"}, {0x65735546, "fuse"}, {0xef53, NULL},       {0x58465342, NULL},
	    {0x9123683e, NULL}, {0x01021994, NULL},   {0x794c7630, NULL},   {0, NULL},
	};
	(void)state;
	for (size_t i = 0; i < SL_COUNT(rows); i++) {
		const char *name = folder_network_name(rows[i].magic);
		assert_int_equal(name == NULL, rows[i].name == NULL);
		assert_true(name == NULL || strcmp(name, rows[i].name) == 0);
	}
}

static void test_folder_a_file_that_was_cut_short_is_refused(void **state)
{
	struct fixture *f = *state;
	SL_AUTO(sl_free_auto) char *data = under(f, "data.mdb");
	fixture_open(f);
	for (unsigned i = 0; i < 300; i++) { /* pages of every kind, some of them free */
		char name[16];
		(void)snprintf(name, sizeof(name), "k%03u", i);
		struct write w = {.put = name, .value_bytes = i % 50 == 0 ? 9000 : 40};
		assert_int_equal(write_run(f, &w), SL_OK);
		write_clear(&w);
	}
	store_free(SL_TAKE(f->store));
	struct stat whole;
	assert_int_equal(stat(data, &whole), 0);
	unsigned refusals = 0;
	for (off_t size = whole.st_size - 1; size > 8192; size -= 2048) {
		SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
		struct store *store = NULL;
		assert_int_equal(truncate(data, size), 0);
		sl_code code = store_open(&f->options, &store, &err);
		if (code == SL_OK) { /* what was lost was free */
			store_free(store);
			continue;
		}
		assert_int_equal(code, SL_DATA_LOSS);
		assert_non_null(strstr(err.msg, "cut short"));
		refusals++;
	}
	assert_true(refusals > 10);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, fixture_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(test_folder_held_by_another_process_is_refused),
	    TEST(test_folder_opened_twice_in_one_process_is_refused),
	    TEST(test_folder_read_only_reads_and_writes_nothing),
	    TEST(test_folder_read_only_of_nothing_is_refused),
	    TEST(test_folder_read_only_shows_a_new_table_as_empty),
	    TEST(test_folder_is_made_private_if_its_parent_exists),
	    TEST(test_folder_descriptors_close_on_exec),
	    TEST(test_folder_with_other_data_is_data_loss),
	    TEST(test_folder_with_a_newer_or_spoilt_store_is_refused),
	    TEST(test_folder_a_file_that_was_cut_short_is_refused),
	    TEST(test_folder_network_systems_are_known),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
