/* A restore happens beside its goal, in DIR/restoring, and counts from one rename on:
 *
 *   FILE --copy, digest--> restoring/data.mdb --check--> raise the head, sync --rename-->
 * DIR/data.mdb
 *
 * DIR itself may be a mount point, which could not be renamed. Its lock is held all the while. */
#include "server/store/store_internal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/failpoint/failpoint.h"
#include "base/file/file.h"
#include "server/store/folder.h"

#define CHUNK_BYTES ((size_t)1 << 20)
#define RAISE_BITS 32
#define MAP_SPARE_BYTES (64u << 20) /* for what the raise itself writes */

struct restore {
	const struct store_restore *options;
	char *staging, *staged, *goal; /* owned: DIR/restoring, the file in it, DIR/data.mdb */
	int lock_fd;                   /* -1: none */
	bool made_folder;
};

static void fd_close(int *fd)
{
	if (*fd >= 0) {
		(void)close(*fd);
	}
}

static char *under(const char *path, const char *name)
{
	char *joined = NULL;
	return asprintf(&joined, "%s/%s", path, name) < 0 ? NULL : joined;
}

static void remove_under(const char *path, const char *name)
{
	SL_AUTO(sl_free_auto) char *file = under(path, name);
	if (file != NULL) {
		(void)unlink(file);
	}
}

static void sweep_staging(const struct restore *r)
{
	(void)unlink(r->staged);
	remove_under(r->staging, "lock.mdb");
	(void)rmdir(r->staging);
}

static void restore_fini(struct restore *r)
{
	if (r->lock_fd >= 0) {
		sweep_staging(r);
	}
	if (r->made_folder) { /* not there before, and nothing came of it */
		remove_under(r->options->path, "lock");
		(void)rmdir(r->options->path);
	}
	folder_close(r->lock_fd);
	free(r->staging);
	free(r->staged);
	free(r->goal);
}

/* --- the folder ------------------------------------------------------------------------ */

sl_code store_restore_check(const char *path, struct sl_err *err)
{
	SL_AUTO(sl_free_auto) char *staging = under(path, "restoring");
	SL_AUTO(sl_free_auto) char *data = under(path, "data.mdb");
	if (staging == NULL || data == NULL) {
		return sl_err_no_memory(err);
	}
	if (access(staging, F_OK) == 0 && access(data, F_OK) != 0) {
		return sl_err_set(err, SL_FAILED_PRECONDITION,
				  "a restore into it did not finish: repeat it, or remove '%s'",
				  staging);
	}
	return SL_OK;
}

/* Empty, but for what an earlier restore or a new file system leaves. */
static sl_code check_empty(const char *path, struct sl_err *err)
{
	static const char *const harmless[] = {".", "..", "lost+found", "lock", "restoring"};
	SL_AUTO(sl_dir_auto) DIR *dir = opendir(path);
	if (dir == NULL && errno == ENOENT) {
		return SL_OK;
	}
	if (dir == NULL) {
		return sl_err_set(err, SL_FAILED_PRECONDITION, "open it: %s", strerror(errno));
	}
	for (struct dirent *entry = readdir(dir); entry != NULL; entry = readdir(dir)) {
		bool fine = false;
		for (size_t i = 0; i < SL_COUNT(harmless); i++) {
			fine = fine || strcmp(entry->d_name, harmless[i]) == 0;
		}
		if (!fine) {
			return sl_err_set(
			    err, SL_FAILED_PRECONDITION,
			    "it is not empty ('%s'): a restore needs a new or an empty folder",
			    entry->d_name);
		}
	}
	return SL_OK;
}

static sl_code take_folder(struct restore *r, struct sl_err *err)
{
	const char *path = r->options->path;
	sl_code code = check_empty(path, err);
	if (code != SL_OK) {
		return code;
	}
	bool missing = access(path, F_OK) != 0;
	code = folder_open(path, FOLDER_WRITE, &r->lock_fd, err);
	r->made_folder = missing && access(path, F_OK) == 0;
	if (code == SL_OK) {
		code = check_empty(path, err); /* again: now nobody else starts there */
	}
	if (code != SL_OK) {
		return code;
	}
	sweep_staging(r);
	if (mkdir(r->staging, 0700) != 0) {
		return sl_err_set(err, SL_FAILED_PRECONDITION, "make '%s': %s", r->staging,
				  strerror(errno));
	}
	return SL_OK;
}

/* --- the copy --------------------------------------------------------------------------- */

static sl_code not_ours(struct sl_err *err, const char *why)
{
	return sl_err_set(err, SL_DATA_LOSS, "%s: it is not a backup, or not all of one", why);
}

static sl_code read_trailer(int fd, struct store_trailer *trailer, struct sl_err *err)
{
	uint8_t bytes[STORE_TRAILER_BYTES];
	struct stat file;
	if (fstat(fd, &file) != 0 || !S_ISREG(file.st_mode)) {
		return sl_err_set(err, SL_FAILED_PRECONDITION, "it is not a regular file");
	}
	if (file.st_size < STORE_TRAILER_BYTES) {
		return not_ours(err, "it is too short");
	}
	off_t at = file.st_size - STORE_TRAILER_BYTES;
	if (pread(fd, bytes, sizeof(bytes), at) != (ssize_t)sizeof(bytes)) {
		return sl_err_set(err, SL_INTERNAL, "read its end: %s", strerror(errno));
	}
	if (!store_trailer_get(bytes, trailer) || trailer->bytes != (uint64_t)at) {
		return not_ours(err, "it does not end as one");
	}
	return SL_OK;
}

static sl_code copy_bytes(int from, int to, const struct store_trailer *trailer, struct sl_err *err)
{
	SL_AUTO(sl_free_auto) uint8_t *chunk = malloc(CHUNK_BYTES);
	struct sl_hasher hasher;
	uint8_t digest[SL_HASH_BYTES];
	if (chunk == NULL) {
		return sl_err_no_memory(err);
	}
	sl_hasher_init(&hasher);
	for (uint64_t left = trailer->bytes; left > 0;) {
		ssize_t size = read(from, chunk, left < CHUNK_BYTES ? left : CHUNK_BYTES);
		if (size <= 0) {
			return sl_err_set(err, SL_INTERNAL, "read: %s",
					  size == 0 ? "the file became shorter" : strerror(errno));
		}
		sl_hasher_add(&hasher, chunk, (size_t)size);
		left -= (uint64_t)size;
		sl_code code = store_write_all(to, chunk, (size_t)size, err);
		if (code != SL_OK) {
			return code;
		}
	}
	sl_hasher_end(&hasher, digest);
	if (memcmp(digest, trailer->digest, SL_HASH_BYTES) != 0) {
		return sl_err_set(err, SL_DATA_LOSS,
				  "its digest is another: the file is not as it was written");
	}
	return fsync(to) == 0 ? SL_OK : sl_err_set(err, SL_INTERNAL, "sync: %s", strerror(errno));
}

static sl_code copy_file(const struct restore *r, struct sl_err *err)
{
	SL_AUTO(fd_close) int from = open(r->options->file, O_RDONLY | O_CLOEXEC);
	struct store_trailer trailer;
	if (from < 0) {
		return sl_err_set(err, SL_FAILED_PRECONDITION, "open: %s", strerror(errno));
	}
	sl_code code = read_trailer(from, &trailer, err);
	if (code != SL_OK) {
		return code;
	}
	SL_AUTO(fd_close) int to = open(r->staged, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (to < 0) {
		return sl_err_set(err, SL_FAILED_PRECONDITION, "make '%s': %s", r->staged,
				  strerror(errno));
	}
	return copy_bytes(from, to, &trailer, err);
}

/* --- the raise --------------------------------------------------------------------------- */

SL_DEFINE_AUTO(MDB_env *, mdb_env_close);

static int open_copy(const struct restore *r, MDB_env **ret_env)
{
	struct stat file;
	if (stat(r->staged, &file) != 0) {
		return errno;
	}
	int rc = mdb_env_create(ret_env);
	if (rc == 0) {
		rc = mdb_env_set_maxdbs(*ret_env, 1);
	}
	if (rc == 0) {
		rc = mdb_env_set_mapsize(*ret_env, (size_t)file.st_size + MAP_SPARE_BYTES);
	}
	return rc == 0 ? mdb_env_open(*ret_env, r->staged, MDB_NOSUBDIR | MDB_NOLOCK, 0600) : rc;
}

static int mark_recovery(MDB_txn *txn, MDB_dbi meta)
{
	MDB_val key = store_val(sl_bytes_text(STORE_META_RECOVERY));
	MDB_val value = store_val(sl_bytes_text("1"));
	return mdb_put(txn, meta, &key, &value, 0);
}

static sl_code raise_head(const struct restore *r, MDB_txn *txn, MDB_dbi meta,
			  struct store_state *state, struct sl_err *err)
{
	sl_code code = store_check_format(txn, meta, err);
	if (code != SL_OK) {
		return code;
	}
	int rc = store_state_load(txn, meta, state);
	uint64_t raise = (uint64_t)r->options->raise << RAISE_BITS;
	if (rc != 0) {
		return store_err_mdb(err, rc, "read the state");
	}
	if (state->revision > UINT64_MAX - raise) {
		return sl_err_set(err, SL_OUT_OF_RANGE, "its revision cannot be raised so far");
	}
	state->revision += raise;
	state->floor = state->revision; /* what was judged by the pruner stays judged */
	rc = store_state_upgrade(txn, meta, state);
	if (rc == 0) {
		rc = mark_recovery(txn, meta);
	}
	return rc == 0 ? SL_OK : store_err_mdb(err, rc, "raise the revision");
}

static sl_code change_copy(const struct restore *r, struct store_state *state, struct sl_err *err)
{
	SL_AUTO(mdb_env_close_auto) MDB_env *env = NULL;
	int rc = open_copy(r, &env);
	if (rc != 0) {
		return store_err_mdb(err, rc, "open the copy");
	}
	SL_AUTO(store_txn_abort_auto) MDB_txn *txn = NULL;
	MDB_dbi meta;
	rc = mdb_txn_begin(env, NULL, 0, &txn);
	if (rc == 0) {
		rc = mdb_dbi_open(txn, STORE_META_TABLE, 0, &meta);
	}
	if (rc == MDB_NOTFOUND) {
		return not_ours(err, "it has no table '" STORE_META_TABLE "'");
	}
	if (rc != 0) {
		return store_err_mdb(err, rc, "open the copy's tables");
	}
	sl_code code = raise_head(r, txn, meta, state, err);
	if (code != SL_OK) {
		return code;
	}
	rc = store_txn_commit(&txn);
	return rc == 0 ? SL_OK : store_err_mdb(err, rc, "commit the raised revision");
}

/* --- the whole ----------------------------------------------------------------------------- */

static sl_code build(const struct restore *r, uint64_t *ret_revision, struct sl_err *err)
{
	struct store_state state = {.revision = 0};
	sl_code code = copy_file(r, err);
	if (code != SL_OK) {
		(void)sl_err_wrap(err, "backup '%s'", r->options->file);
		return code;
	}
	/* Checked as it was written; only then changed. */
	if (r->options->check != NULL) {
		code = r->options->check(r->options->ctx, r->staging, err);
	}
	code = code != SL_OK ? code : change_copy(r, &state, err);
	if (code != SL_OK) {
		(void)sl_err_wrap(err, "backup '%s'", r->options->file);
		return code;
	}
	SL_FAILPOINT("restore-rename");
	if (rename(r->staged, r->goal) != 0) {
		return sl_err_set(err, SL_INTERNAL, "rename to '%s': %s", r->goal, strerror(errno));
	}
	SL_FAILPOINT("restore-renamed");
	*ret_revision = state.revision;
	return SL_OK;
}

sl_code store_restore(const struct store_restore *options, uint64_t *ret_revision,
		      struct sl_err *err)
{
	SL_AUTO(restore_fini)
	struct restore r = {.options = options,
			    .staging = under(options->path, "restoring"),
			    .staged = under(options->path, "restoring/data.mdb"),
			    .goal = under(options->path, "data.mdb"),
			    .lock_fd = -1};
	if (r.staging == NULL || r.staged == NULL || r.goal == NULL) {
		return sl_err_no_memory(err);
	}
	sl_code code = take_folder(&r, err);
	if (code != SL_OK) {
		(void)sl_err_wrap(err, "folder '%s'", options->path);
		return code;
	}
	code = build(&r, ret_revision, err);
	if (code == SL_OK) {
		r.made_folder = false;
		code = folder_sync(options->path, err);
	}
	return code;
}
