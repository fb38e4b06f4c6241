/* Copies of a running store, and new stores made of them. */
#include "tests/unit/server/store/fixture.h"

#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <lmdb.h>

#include "base/mem/own.h"
#include "tests/lib/tmpdir.h"

#define RAISED ((uint64_t)1 << 32)

struct place {
	struct fixture f;
	char *scratch, *file, *goal; /* owned */
};

static char *under(const char *path, const char *name)
{
	char *joined = NULL;
	assert_true(asprintf(&joined, "%s/%s", path, name) > 0);
	return joined;
}

static int setup(void **state)
{
	struct place *p = calloc(1, sizeof(*p));
	fixture_init(&p->f);
	fixture_open(&p->f);
	p->scratch = tmpdir_new();
	p->file = under(p->scratch, "copy");
	p->goal = under(p->scratch, "data");
	*state = p;
	return 0;
}

static int teardown(void **state)
{
	struct place *p = *state;
	fixture_fini(&p->f);
	tmpdir_free(p->scratch);
	free(p->file);
	free(p->goal);
	free(p);
	return 0;
}

static struct store_backup back_up(struct place *p)
{
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	struct store_backup backup;
	if (store_backup(p->f.store, p->file, NULL, NULL, &backup, &err) != SL_OK) {
		fail_msg("backup: %s", err.msg);
	}
	return backup;
}

static sl_code check_nothing(void *ctx, const char *path, struct sl_err *err)
{
	(void)path;
	(void)err;
	(*(unsigned *)ctx)++;
	return SL_OK;
}

/* Restores and opens the result in p->f instead of the store there. Returns the new head. */
static uint64_t restore(struct place *p, unsigned raise)
{
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	unsigned checked = 0;
	uint64_t head = 0;
	const struct store_restore options = {.file = p->file,
					      .path = p->goal,
					      .raise = raise,
					      .check = check_nothing,
					      .ctx = &checked};
	if (store_restore(&options, &head, &err) != SL_OK) {
		fail_msg("restore: %s", err.msg);
	}
	assert_int_equal(checked, 1);
	store_free(SL_TAKE(p->f.store));
	p->f.options.path = p->goal;
	fixture_open(&p->f);
	return head;
}

static bool is_there(const char *path)
{
	return access(path, F_OK) == 0;
}

/* Expects `code` with `words` in the text, and nothing at the goal. */
static void refused(struct place *p, const struct store_restore *options, sl_code code,
		    const char *words)
{
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	uint64_t head = 0;
	bool before = is_there(options->path);
	assert_int_equal(store_restore(options, &head, &err), code);
	if (strstr(err.msg, words) == NULL) {
		fail_msg("'%s' does not say '%s'", err.msg, words);
	}
	SL_AUTO(sl_free_auto) char *data = under(options->path, "data.mdb");
	SL_AUTO(sl_free_auto) char *staging = under(options->path, "restoring");
	assert_int_equal(is_there(options->path), before);
	assert_false(is_there(data));
	assert_false(is_there(staging));
	(void)p;
}

static bool is_recovering(struct fixture *f)
{
	const struct store_view *view = NULL;
	assert_int_equal(store_view_begin(f->store, &view, NULL), SL_OK);
	bool recovering = store_view_is_recovering(view);
	store_view_end(view);
	return recovering;
}

/* --- copies ------------------------------------------------------------------------- */

static void test_backup_restored_holds_everything(void **state)
{
	struct place *p = *state;
	struct write refusal = {.refusal = "no", .refuse = SL_FAILED_PRECONDITION};
	(void)put(&p->f, "a", "1");
	(void)put(&p->f, "b", "2");
	assert_int_equal(write_run(&p->f, &refusal), SL_FAILED_PRECONDITION);
	write_clear(&refusal);
	struct store_backup backup = back_up(p);
	struct stat file;
	assert_int_equal(stat(p->file, &file), 0);
	assert_int_equal(file.st_mode & 0777, 0600);
	assert_int_equal(backup.bytes, file.st_size);
	assert_int_equal(backup.revision, 2);
	assert_false(is_recovering(&p->f));

	assert_true(restore(p, 1) == RAISED + 2);
	assert_true(view_revision(&p->f) == RAISED + 2);
	assert_true(view_floor(&p->f) == RAISED + 2);
	assert_true(has(&p->f, "a", "1") && has(&p->f, "b", "2"));
	assert_int_equal(count_refusals(&p->f), 1);
	assert_true(is_recovering(&p->f));
	assert_true(put(&p->f, "c", "3") == RAISED + 3);
	fixture_reopen(&p->f);
	assert_true(view_revision(&p->f) == RAISED + 3);
	assert_true(is_recovering(&p->f));
}

static void test_backup_restored_again_is_raised_further(void **state)
{
	struct place *p = *state;
	(void)put(&p->f, "a", "1");
	(void)back_up(p);
	assert_true(restore(p, 7) == 7 * RAISED + 1);
}

struct load {
	struct fixture *f;
	atomic_bool stop;
	atomic_uint written;
};

static void *load_main(void *arg)
{
	struct load *load = arg;
	for (unsigned i = 1; !atomic_load(&load->stop); i++) {
		char key[16];
		(void)snprintf(key, sizeof(key), "k%06u", i);
		(void)put(load->f, key, NULL);
		atomic_store(&load->written, i);
	}
	return NULL;
}

static void test_backup_under_load_is_one_moment(void **state)
{
	struct place *p = *state;
	struct load load = {.f = &p->f};
	pthread_t thread;
	assert_int_equal(pthread_create(&thread, NULL, load_main, &load), 0);
	while (atomic_load(&load.written) < 50) {
		(void)usleep(1000);
	}
	struct store_backup backup = back_up(p);
	unsigned after = atomic_load(&load.written) + 20;
	while (atomic_load(&load.written) < after) {
		(void)usleep(1000); /* writes go on */
	}
	atomic_store(&load.stop, true);
	(void)pthread_join(thread, NULL);

	assert_in_range(backup.revision, 50, after);
	assert_true(restore(p, 1) == RAISED + backup.revision);
	for (unsigned i = 1; i <= after; i++) {
		char key[16];
		(void)snprintf(key, sizeof(key), "k%06u", i);
		assert_int_equal(has(&p->f, key, "v"), i <= backup.revision);
	}
}

static bool until(void *ctx)
{
	unsigned *left = ctx;
	return *left > 0 && (*left)-- > 0;
}

static void test_backup_can_be_ended_half_way(void **state)
{
	struct place *p = *state;
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	struct store_backup backup;
	for (unsigned i = 0; i < 6; i++) {
		char key[8];
		(void)snprintf(key, sizeof(key), "big%u", i);
		struct write w = {.put = key, .value_bytes = 1 << 20};
		assert_int_equal(write_run(&p->f, &w), SL_OK);
		write_clear(&w);
	}
	for (unsigned chunks = 0; chunks < 3; chunks++) {
		unsigned left = chunks;
		assert_int_equal(store_backup(p->f.store, p->file, until, &left, &backup, &err),
				 SL_CANCELLED);
		assert_false(is_there(p->file));
	}
	(void)back_up(p); /* and it can be done again */
}

static void test_backup_refuses_a_file_that_is_there(void **state)
{
	struct place *p = *state;
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	struct store_backup backup;
	(void)back_up(p);
	assert_int_equal(store_backup(p->f.store, p->file, NULL, NULL, &backup, &err),
			 SL_FAILED_PRECONDITION);
	assert_non_null(strstr(err.msg, p->file));
	assert_true(is_there(p->file)); /* it is not ours to remove */
}

static void test_backup_keeps_the_disk_reserve(void **state)
{
	struct place *p = *state;
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	struct store_backup backup;
	p->f.options.reserve_bytes = UINT64_MAX / 2;
	fixture_reopen(&p->f);
	assert_int_equal(store_backup(p->f.store, p->file, NULL, NULL, &backup, &err),
			 SL_RESOURCE_EXHAUSTED);
	assert_int_equal(err.reason, SL_REASON_DISK_LOW);
	assert_false(is_there(p->file));
}

/* --- what is refused ------------------------------------------------------------------ */

static void write_file(const char *path, const void *data, size_t size)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, data, size), size);
	(void)close(fd);
}

static void test_restore_refuses_what_is_no_backup(void **state)
{
	struct place *p = *state;
	char garbage[8192];
	memset(garbage, 'g', sizeof(garbage));
	const struct store_restore options = {.file = p->file, .path = p->goal, .raise = 1};
	refused(p, &options, SL_FAILED_PRECONDITION, "No such file");
	write_file(p->file, "", 0);
	refused(p, &options, SL_DATA_LOSS, "too short");
	write_file(p->file, garbage, sizeof(garbage));
	refused(p, &options, SL_DATA_LOSS, "does not end as one");
	const struct store_restore folder = {.file = p->scratch, .path = p->goal, .raise = 1};
	refused(p, &folder, SL_FAILED_PRECONDITION, "not a regular file");
}

static void test_restore_refuses_a_changed_or_cut_backup(void **state)
{
	struct place *p = *state;
	(void)put(&p->f, "a", "1");
	struct store_backup backup = back_up(p);
	const struct store_restore options = {.file = p->file, .path = p->goal, .raise = 1};
	int fd = open(p->file, O_RDWR | O_CLOEXEC);
	assert_true(fd >= 0);
	const off_t places[] = {0, 100, 4096, (off_t)backup.bytes / 2, (off_t)backup.bytes - 65};
	for (size_t i = 0; i < SL_COUNT(places); i++) {
		uint8_t byte;
		assert_int_equal(pread(fd, &byte, 1, places[i]), 1);
		byte ^= 0x40;
		assert_int_equal(pwrite(fd, &byte, 1, places[i]), 1);
		refused(p, &options, SL_DATA_LOSS, "digest");
		byte ^= 0x40;
		assert_int_equal(pwrite(fd, &byte, 1, places[i]), 1);
	}
	assert_int_equal(ftruncate(fd, (off_t)backup.bytes - 1), 0);
	refused(p, &options, SL_DATA_LOSS, "does not end as one");
	(void)close(fd);
}

/* In a process of its own: LMDB opens an environment once in each. */
static void set_format(const char *path, uint8_t format)
{
	pid_t child = fork();
	assert_true(child >= 0);
	if (child > 0) {
		int status = 0;
		assert_int_equal(waitpid(child, &status, 0), child);
		assert_int_equal(status, 0);
		return;
	}
	MDB_env *env;
	MDB_txn *txn;
	MDB_dbi meta;
	uint8_t bytes[4] = {0, 0, 0, format};
	MDB_val key = {.mv_size = strlen("store/format"), .mv_data = "store/format"};
	MDB_val value = {.mv_size = sizeof(bytes), .mv_data = bytes};
	bool done = mdb_env_create(&env) == 0 && mdb_env_set_maxdbs(env, 4) == 0 &&
		    mdb_env_open(env, path, 0, 0600) == 0 &&
		    mdb_txn_begin(env, NULL, 0, &txn) == 0 &&
		    mdb_dbi_open(txn, "store/meta", 0, &meta) == 0 &&
		    mdb_put(txn, meta, &key, &value, 0) == 0 && mdb_txn_commit(txn) == 0;
	_exit(done ? 0 : 1);
}

static void test_restore_refuses_a_newer_format(void **state)
{
	struct place *p = *state;
	(void)put(&p->f, "a", "1");
	set_format(p->f.path, 4);
	(void)back_up(p);
	const struct store_restore options = {.file = p->file, .path = p->goal, .raise = 1};
	refused(p, &options, SL_FAILED_PRECONDITION, "newer program");
}

static void test_restore_refuses_a_folder_that_is_not_empty(void **state)
{
	struct place *p = *state;
	(void)back_up(p);
	assert_int_equal(mkdir(p->goal, 0700), 0);
	SL_AUTO(sl_free_auto) char *other = under(p->goal, "notes.txt");
	write_file(other, "x", 1);
	const struct store_restore options = {.file = p->file, .path = p->goal, .raise = 1};
	refused(p, &options, SL_FAILED_PRECONDITION, "notes.txt");
	assert_true(is_there(other));
	assert_int_equal(unlink(other), 0);
	(void)restore(p, 1); /* there and empty is fine */
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	uint64_t head = 0;
	assert_int_equal(store_restore(&options, &head, &err), SL_FAILED_PRECONDITION);
}

static sl_code check_refuses(void *ctx, const char *path, struct sl_err *err)
{
	(void)ctx;
	SL_AUTO(sl_free_auto) char *data = under(path, "data.mdb");
	assert_true(is_there(data));
	return sl_err_set(err, SL_DATA_LOSS, "a record does not parse");
}

static void test_restore_refused_by_the_check_leaves_nothing(void **state)
{
	struct place *p = *state;
	(void)back_up(p);
	const struct store_restore options = {
	    .file = p->file, .path = p->goal, .raise = 1, .check = check_refuses};
	refused(p, &options, SL_DATA_LOSS, "does not parse");
	assert_false(is_there(p->goal));
}

static sl_code check_dies(void *ctx, const char *path, struct sl_err *err)
{
	(void)ctx;
	(void)path;
	(void)err;
	_exit(42);
}

static void test_restore_cut_short_is_no_store_and_can_be_repeated(void **state)
{
	struct place *p = *state;
	(void)put(&p->f, "a", "1");
	(void)back_up(p);
	const struct store_restore dies = {
	    .file = p->file, .path = p->goal, .raise = 1, .check = check_dies};
	pid_t child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		struct sl_err err = SL_ERR_INIT;
		uint64_t head = 0;
		_exit(store_restore(&dies, &head, &err) == SL_OK ? 0 : 1);
	}
	int status = 0;
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(WEXITSTATUS(status), 42);

	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	struct store_options options = p->f.options;
	struct store *store = NULL;
	options.path = p->goal;
	assert_int_equal(store_open(&options, &store, &err), SL_FAILED_PRECONDITION);
	assert_non_null(strstr(err.msg, "did not finish"));
	assert_true(restore(p, 1) == RAISED + 1);
	assert_true(has(&p->f, "a", "1"));
}

/* --- recovery ------------------------------------------------------------------------- */

static sl_code decide_resume(struct store_cmd *cmd, const struct store_view *view,
			     struct store_changes *changes, struct sl_err *err)
{
	(void)cmd;
	(void)err;
	assert_true(store_view_is_recovering(view));
	store_changes_put_meta(changes, STORE_META_RECOVERY, SL_BYTES_NONE);
	store_changes_log(changes, sl_bytes_text("resumed"));
	return SL_OK;
}

static void post(struct store_cmd *cmd)
{
	(void)sem_post(&((struct write *)cmd)->finished);
}

static void test_recovery_ends_when_its_value_is_put_empty(void **state)
{
	struct place *p = *state;
	(void)put(&p->f, "a", "1");
	(void)back_up(p);
	(void)restore(p, 1);
	struct write w = {.cmd = {.decide = decide_resume, .done = post, .err = SL_ERR_INIT}};
	assert_int_equal(sem_init(&w.finished, 0, 0), 0);
	assert_int_equal(store_submit(p->f.store, &w.cmd, NULL), SL_OK);
	assert_int_equal(sem_wait(&w.finished), 0);
	assert_int_equal(w.cmd.code, SL_OK);
	assert_false(is_recovering(&p->f));
	fixture_reopen(&p->f);
	assert_false(is_recovering(&p->f));
	(void)sem_destroy(&w.finished);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(test_backup_restored_holds_everything),
	    TEST(test_backup_restored_again_is_raised_further),
	    TEST(test_backup_under_load_is_one_moment),
	    TEST(test_backup_can_be_ended_half_way),
	    TEST(test_backup_refuses_a_file_that_is_there),
	    TEST(test_backup_keeps_the_disk_reserve),
	    TEST(test_restore_refuses_what_is_no_backup),
	    TEST(test_restore_refuses_a_changed_or_cut_backup),
	    TEST(test_restore_refuses_a_newer_format),
	    TEST(test_restore_refuses_a_folder_that_is_not_empty),
	    TEST(test_restore_refused_by_the_check_leaves_nothing),
	    TEST(test_restore_cut_short_is_no_store_and_can_be_repeated),
	    TEST(test_recovery_ends_when_its_value_is_put_empty),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
