/* Reading a page behind the end of the data file ends the process (SIGBUS). Usually the file is as
 * long as the pages that it says it uses, which is cheap to see. It may be shorter all the same,
 * when the last ones are free and were never written: then a child process reads all there is, and
 * how it ends is the answer. */
#include "server/store/store_internal.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { TABLES_MAX = 256 }; /* more than any store has */

SL_DEFINE_AUTO(MDB_env *, mdb_env_close);
SL_DEFINE_AUTO(MDB_cursor *, mdb_cursor_close);

static int open_to_read(const char *path, MDB_env **ret_env)
{
	int rc = mdb_env_create(ret_env);
	if (rc == 0) {
		rc = mdb_env_set_maxdbs(*ret_env, TABLES_MAX);
	}
	return rc == 0 ? mdb_env_open(*ret_env, path, MDB_RDONLY | MDB_NOLOCK | MDB_NOTLS, 0) : rc;
}

/* LMDB's code; *ret_wanted and *ret_bytes: the pages in use, and the file. */
static int measure(const char *path, uint64_t *ret_wanted, uint64_t *ret_bytes)
{
	SL_AUTO(mdb_env_close_auto) MDB_env *env = NULL;
	MDB_envinfo info;
	MDB_stat main;
	struct stat file;
	mdb_filehandle_t fd = -1;
	int rc = open_to_read(path, &env);
	if (rc == 0) {
		rc = mdb_env_info(env, &info);
	}
	if (rc == 0) {
		rc = mdb_env_stat(env, &main);
	}
	if (rc == 0) {
		rc = mdb_env_get_fd(env, &fd);
	}
	if (rc == 0 && fstat(fd, &file) != 0) {
		rc = errno;
	}
	if (rc == 0) {
		*ret_wanted = ((uint64_t)info.me_last_pgno + 1) * main.ms_psize;
		*ret_bytes = (uint64_t)file.st_size;
	}
	return rc;
}

/* Every page of a table, values' last bytes included. */
static int read_table(MDB_txn *txn, MDB_dbi table)
{
	static volatile uint8_t last; /* so that it is read */
	SL_AUTO(mdb_cursor_close_auto) MDB_cursor *cursor = NULL;
	MDB_val key, value;
	int rc = mdb_cursor_open(txn, table, &cursor);
	while (rc == 0) {
		rc = mdb_cursor_get(cursor, &key, &value, MDB_NEXT);
		if (rc == 0 && value.mv_size > 0) {
			last = ((const uint8_t *)value.mv_data)[value.mv_size - 1];
		}
	}
	(void)last;
	return rc == MDB_NOTFOUND ? 0 : rc;
}

static int read_named(MDB_txn *txn, MDB_val name)
{
	char text[STORE_KEY_MAX + 1];
	MDB_dbi table;
	(void)snprintf(text, sizeof(text), "%.*s", (int)name.mv_size, (const char *)name.mv_data);
	int rc = mdb_dbi_open(txn, text, 0, &table);
	return rc == 0 ? read_table(txn, table) : rc;
}

static int read_all(const char *path)
{
	SL_AUTO(mdb_env_close_auto) MDB_env *env = NULL;
	SL_AUTO(store_txn_abort_auto) MDB_txn *txn = NULL;
	SL_AUTO(mdb_cursor_close_auto) MDB_cursor *names = NULL;
	MDB_dbi main;
	MDB_val name, value;
	int rc = open_to_read(path, &env);
	if (rc == 0) {
		rc = mdb_txn_begin(env, NULL, MDB_RDONLY, &txn);
	}
	if (rc == 0) {
		rc = read_table(txn, STORE_NO_TABLE); /* the free list */
	}
	if (rc == 0) {
		rc = mdb_dbi_open(txn, NULL, 0, &main);
	}
	if (rc == 0) {
		rc = mdb_cursor_open(txn, main, &names);
	}
	while (rc == 0) {
		rc = mdb_cursor_get(names, &name, &value, MDB_NEXT);
		if (rc == 0) {
			rc = read_named(txn, name);
		}
	}
	return rc == MDB_NOTFOUND ? 0 : rc;
}

static bool child_reads_all(const char *path)
{
	pid_t pid = fork();
	if (pid == 0) {
		(void)signal(SIGBUS, SIG_DFL); /* it ends the child, whatever the program does */
		_exit(read_all(path) == 0 ? EXIT_SUCCESS : EXIT_FAILURE);
	}
	int status = 0;
	pid_t ended = pid;
	do {
		ended = pid < 0 ? -1 : waitpid(pid, &status, 0);
	} while (ended < 0 && pid > 0 && errno == EINTR);
	return ended == pid && WIFEXITED(status) && WEXITSTATUS(status) == EXIT_SUCCESS;
}

sl_code store_check_length(const char *path, struct sl_err *err)
{
	uint64_t wanted = 0, bytes = 0;
	if (measure(path, &wanted, &bytes) != 0) {
		return SL_OK; /* new, or whoever opens it next says what is wrong */
	}
	if (bytes >= wanted || child_reads_all(path)) {
		return SL_OK;
	}
	return sl_err_because(
	    err, SL_DATA_LOSS, SL_REASON_STORAGE_FAILED,
	    "its file was cut short: it has %llu bytes and uses pages up to %llu; "
	    "restore a backup",
	    (unsigned long long)bytes, (unsigned long long)wanted);
}
