/* A copy is one snapshot, read by LMDB on a thread of its own and handed through a pipe to the
 * caller's, which hashes and writes it:
 *
 *   map --mdb_env_copyfd2--> pipe --> digest, file, sync
 *
 * The pipe is what makes it possible to end a copy half way: LMDB's own has no such thing. */
#include "server/store/store_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock/clock.h"
#include "base/failpoint/failpoint.h"
#include "base/file/file.h"

#define CHUNK_BYTES ((size_t)1 << 20)
#define TRAILER_MAGIC "sluice-backup-1\n"

struct copy {
	struct store *store;
	const char *file;
	bool (*go_on)(void *ctx);
	void *ctx;
	int from, to; /* the pipe; -1: closed */
	int fd;       /* of the file; -1: none */
	unsigned flags;
	int rc; /* LMDB's */
	struct sl_hasher hasher;
	uint64_t bytes;
};

static void close_one(int *fd)
{
	if (*fd >= 0) {
		(void)close(*fd);
	}
	*fd = -1;
}

static void copy_fini(struct copy *copy)
{
	close_one(&copy->from);
	close_one(&copy->to);
	close_one(&copy->fd);
}

/* --- the trailer ------------------------------------------------------------------- */

void store_trailer_put(uint8_t out[static STORE_TRAILER_BYTES], const struct store_trailer *trailer)
{
	memcpy(out, TRAILER_MAGIC, 16);
	sl_put_be64(out + 16, trailer->bytes);
	sl_put_be64(out + 24, trailer->revision);
	memcpy(out + 32, trailer->digest, SL_HASH_BYTES);
}

bool store_trailer_get(const uint8_t in[static STORE_TRAILER_BYTES],
		       struct store_trailer *ret_trailer)
{
	if (memcmp(in, TRAILER_MAGIC, 16) != 0) {
		return false;
	}
	ret_trailer->bytes = sl_get_be64(in + 16);
	ret_trailer->revision = sl_get_be64(in + 24);
	memcpy(ret_trailer->digest, in + 32, SL_HASH_BYTES);
	return true;
}

/* --- writing ------------------------------------------------------------------------ */

sl_code store_write_all(int fd, const void *data, size_t size, struct sl_err *err)
{
	if (!sl_file_write(fd, data, size)) {
		bool full = errno == ENOSPC || errno == EDQUOT;
		return sl_err_because(err, full ? SL_RESOURCE_EXHAUSTED : SL_INTERNAL,
				      full ? SL_REASON_DISK_LOW : SL_REASON_NONE, "write: %s",
				      strerror(errno));
	}
	return SL_OK;
}

static sl_code take_chunk(struct copy *copy, const uint8_t *chunk, size_t size, struct sl_err *err)
{
	if (copy->go_on != NULL && !copy->go_on(copy->ctx)) {
		return sl_err_set(err, SL_CANCELLED, "it was ended half way");
	}
	if (store_free_disk(copy->store) < copy->store->options.reserve_bytes) {
		return sl_err_because(err, SL_RESOURCE_EXHAUSTED, SL_REASON_DISK_LOW,
				      "free disk would fall under the reserve");
	}
	SL_FAILPOINT("backup-copy");
	sl_hasher_add(&copy->hasher, chunk, size);
	copy->bytes += size;
	return store_write_all(copy->fd, chunk, size, err);
}

static sl_code receive(struct copy *copy, struct sl_err *err)
{
	SL_AUTO(sl_free_auto) uint8_t *chunk = malloc(CHUNK_BYTES);
	if (chunk == NULL) {
		return sl_err_no_memory(err);
	}
	for (;;) {
		ssize_t size = read(copy->from, chunk, CHUNK_BYTES);
		if (size == 0) {
			return SL_OK;
		}
		if (size < 0 && errno != EINTR) {
			return sl_err_set(err, SL_INTERNAL, "read a pipe: %s", strerror(errno));
		}
		sl_code code = size < 0 ? SL_OK : take_chunk(copy, chunk, (size_t)size, err);
		if (code != SL_OK) {
			return code;
		}
	}
}

static void *copier_main(void *arg)
{
	struct copy *copy = arg;
	sigset_t set;
	(void)sigemptyset(&set);
	(void)sigaddset(&set, SIGPIPE); /* a reader that gives up is an error, not an end */
	(void)pthread_sigmask(SIG_BLOCK, &set, NULL);
	copy->rc = mdb_env_copyfd2(copy->store->env, copy->to, copy->flags);
	close_one(&copy->to);
	return NULL;
}

/* One pass over the store into the file. */
static sl_code run(struct copy *copy, struct sl_err *err)
{
	int ends[2];
	pthread_t copier;
	if (pipe2(ends, O_CLOEXEC) != 0) {
		return sl_err_set(err, SL_RESOURCE_EXHAUSTED, "make a pipe: %s", strerror(errno));
	}
	copy->from = ends[0];
	copy->to = ends[1];
	(void)fcntl(copy->from, F_SETPIPE_SZ, (int)CHUNK_BYTES); /* fewer turns; any size works */
	if (pthread_create(&copier, NULL, copier_main, copy) != 0) {
		return sl_err_set(err, SL_RESOURCE_EXHAUSTED, "cannot start the copying thread");
	}
	sl_code code = receive(copy, err);
	close_one(&copy->from); /* the copier, if it still writes, ends with EPIPE */
	(void)pthread_join(copier, NULL);
	return code;
}

static sl_code again_from_start(struct copy *copy, struct sl_err *err)
{
	copy->flags = 0;
	copy->bytes = 0;
	sl_hasher_init(&copy->hasher);
	if (ftruncate(copy->fd, 0) != 0 || lseek(copy->fd, 0, SEEK_SET) != 0) {
		return sl_err_set(err, SL_INTERNAL, "start the file again: %s", strerror(errno));
	}
	return run(copy, err);
}

static sl_code copy_map(struct copy *copy, struct sl_err *err)
{
	copy->flags = MDB_CP_COMPACT;
	sl_hasher_init(&copy->hasher);
	sl_code code = run(copy, err);
	if (code == SL_OK && copy->rc == MDB_INCOMPATIBLE) {
		/* Pages that nothing refers to, which compacting does not bear: page by page then.
		 */
		code = again_from_start(copy, err);
	}
	return code == SL_OK && copy->rc != 0 ? store_err_mdb(err, copy->rc, "copy the map") : code;
}

/* --- the whole --------------------------------------------------------------------------- */

SL_DEFINE_AUTO(MDB_env *, mdb_env_close);

/* The head that the copy holds, read from it: nobody else knows which moment LMDB took. */
static sl_code read_head(const char *file, uint64_t *ret_revision, struct sl_err *err)
{
	SL_AUTO(mdb_env_close_auto) MDB_env *env = NULL;
	SL_AUTO(store_txn_abort_auto) MDB_txn *txn = NULL;
	MDB_dbi meta;
	struct store_state state = {.revision = 0};
	int rc = mdb_env_create(&env);
	if (rc == 0) {
		rc = mdb_env_set_maxdbs(env, 1);
	}
	if (rc == 0) {
		rc = mdb_env_open(env, file, MDB_NOSUBDIR | MDB_RDONLY | MDB_NOLOCK | MDB_NOTLS, 0);
	}
	if (rc == 0) {
		rc = mdb_txn_begin(env, NULL, MDB_RDONLY, &txn);
	}
	if (rc == 0) {
		rc = mdb_dbi_open(txn, STORE_META_TABLE, 0, &meta);
	}
	if (rc == 0) {
		rc = store_state_load(txn, meta, &state);
	}
	if (rc != 0) {
		return store_err_mdb(err, rc, "look at the copy");
	}
	*ret_revision = state.revision;
	return SL_OK;
}

static sl_code finish(struct copy *copy, struct store_backup *backup, struct sl_err *err)
{
	struct store_trailer trailer = {.bytes = copy->bytes};
	uint8_t bytes[STORE_TRAILER_BYTES];
	sl_code code = read_head(copy->file, &trailer.revision, err);
	if (code != SL_OK) {
		return code;
	}
	SL_FAILPOINT("backup-end");
	sl_hasher_end(&copy->hasher, trailer.digest);
	store_trailer_put(bytes, &trailer);
	code = store_write_all(copy->fd, bytes, sizeof(bytes), err);
	if (code == SL_OK && fsync(copy->fd) != 0) {
		code = sl_err_set(err, SL_INTERNAL, "sync: %s", strerror(errno));
	}
	backup->revision = trailer.revision;
	backup->bytes = copy->bytes + sizeof(bytes);
	return code;
}

/* Before a byte is written: a copy that runs into the reserve would have writes refused for it. */
static sl_code check_room(struct store *store, struct sl_err *err)
{
	struct store_stats stats;
	store_stats_read(store, &stats);
	uint64_t reserve = store->options.reserve_bytes;
	if (stats.free_disk_bytes >= reserve &&
	    stats.free_disk_bytes - reserve >= stats.used_bytes) {
		return SL_OK;
	}
	return sl_err_because(err, SL_RESOURCE_EXHAUSTED, SL_REASON_DISK_LOW,
			      "%llu bytes are free on the disk; the copy takes about %llu above "
			      "the reserve of %llu",
			      (unsigned long long)stats.free_disk_bytes,
			      (unsigned long long)stats.used_bytes, (unsigned long long)reserve);
}

static sl_code make_file(struct copy *copy, struct sl_err *err)
{
	copy->fd = open(copy->file, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (copy->fd >= 0) {
		return SL_OK;
	}
	sl_code code = errno == ENOSPC ? SL_RESOURCE_EXHAUSTED : SL_FAILED_PRECONDITION;
	return sl_err_set(err, code, "make the file: %s", strerror(errno));
}

sl_code store_backup(struct store *store, const char *file, bool (*go_on)(void *ctx), void *ctx,
		     struct store_backup *ret_backup, struct sl_err *err)
{
	SL_AUTO(copy_fini)
	struct copy copy = {.store = store,
			    .file = file,
			    .go_on = go_on,
			    .ctx = ctx,
			    .from = -1,
			    .to = -1,
			    .fd = -1};
	struct store_backup backup = {.revision = 0};
	uint64_t from_ms = sl_clock_mono_ms();
	sl_code code = check_room(store, err);
	code = code != SL_OK ? code : make_file(&copy, err);
	if (code == SL_OK) {
		code = copy_map(&copy, err);
		backup.took_ms = sl_clock_mono_ms() - from_ms;
		code = code != SL_OK ? code : finish(&copy, &backup, err);
		if (code != SL_OK) {
			(void)unlink(file);
		}
	}
	if (code != SL_OK) {
		(void)sl_err_wrap(err, "backup to '%s'", file);
		return code;
	}
	*ret_backup = backup;
	return SL_OK;
}
