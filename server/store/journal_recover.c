#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <lmdb.h>
#include <xxhash.h>

#include "base/bytes/bytes.h"
#include "base/failpoint/failpoint.h"
#include "base/file/file.h"
#include "base/mem/own.h"
#include "server/store/journal_internal.h"

/* One file of the journal, in memory. */
struct filling {
	int fd; /* -1: not there */
	uint8_t *bytes;
	uint64_t size;
	bool is_there; /* it has a head and a record */
	struct journal_head head;
	uint64_t last; /* the transaction of its last whole record */
};

struct recovery {
	struct filling files[JOURNAL_FILES];
	struct filling *chain[JOURNAL_FILES]; /* those with records, in their order; NULL ends */
	const char *path;
	int data_fd;
};

/* A record, or a part of one. */
struct part {
	uint64_t offset;
	uint32_t kind;
	struct sl_bytes bytes;
};

/* --- reading ------------------------------------------------------------------------------- */

/* The part that begins at *at, which moves behind it. False: there is none. */
static bool take_part(const struct filling *filling, uint64_t *at, struct part *ret_part)
{
	if (*at > filling->size || filling->size - *at < JOURNAL_PART_BYTES) {
		return false;
	}
	const uint8_t *front = filling->bytes + *at;
	uint64_t room = filling->size - *at - JOURNAL_PART_BYTES;
	uint32_t size = sl_get_be32(front + 8);
	if (size == 0 || size > room) {
		return false;
	}
	ret_part->offset = sl_get_be64(front);
	ret_part->kind = sl_get_be32(front + 12);
	ret_part->bytes = SL_BYTES(front + JOURNAL_PART_BYTES, size);
	*at += JOURNAL_PART_BYTES + size;
	return ret_part->kind == JOURNAL_PAGES || ret_part->kind == JOURNAL_META;
}

/* The whole record of this transaction that begins at *at, which moves to the next one. *ret_meta
 * is its last part. False: there is none. */
static bool take_record(const struct filling *filling, uint64_t txn_id, uint64_t *at,
			struct part *ret_meta)
{
	uint64_t end = *at;
	struct part part = {.kind = JOURNAL_PAGES};
	while (part.kind == JOURNAL_PAGES) {
		if (!take_part(filling, &end, &part)) {
			return false;
		}
	}
	if (filling->size - end < JOURNAL_END_BYTES ||
	    sl_get_be64(filling->bytes + end) != txn_id) {
		return false;
	}
	uint64_t check =
	    XXH3_64bits_withSeed(filling->bytes + *at, end + 8 - *at, filling->head.salt);
	if (sl_get_be64(filling->bytes + end + 8) != check) {
		return false;
	}
	*at = journal_next_block(end + JOURNAL_END_BYTES);
	*ret_meta = part;
	return true;
}

static void look(struct filling *filling)
{
	struct part meta;
	uint64_t at = JOURNAL_BLOCK;
	if (filling->size < JOURNAL_BLOCK || !journal_head_get(filling->bytes, &filling->head)) {
		return;
	}
	filling->last = filling->head.base;
	while (take_record(filling, filling->last + 1, &at, &meta)) {
		filling->last++;
	}
	filling->is_there = filling->last > filling->head.base;
}

static sl_code read_file(struct filling *filling, struct sl_err *err)
{
	struct stat file;
	if (filling->fd < 0) {
		return SL_OK;
	}
	if (fstat(filling->fd, &file) != 0) {
		return journal_failed_to("look at its journal", err);
	}
	filling->size = (uint64_t)file.st_size;
	filling->bytes = malloc(filling->size + 1);
	if (filling->bytes == NULL) {
		return sl_err_no_memory(err);
	}
	if (!sl_file_read(filling->fd, filling->bytes, filling->size)) {
		return journal_failed_to("read its journal", err);
	}
	look(filling);
	return SL_OK;
}

/* --- does it belong to the data file? -------------------------------------------------------- */

SL_DEFINE_AUTO(MDB_env *, mdb_env_close);

/* The newest transaction that the data file's heads know. */
static sl_code newest_txn(const char *path, uint64_t *ret_txn, struct sl_err *err)
{
	SL_AUTO(mdb_env_close_auto) MDB_env *env = NULL;
	MDB_envinfo info;
	int rc = mdb_env_create(&env);
	if (rc == 0) {
		rc = mdb_env_open(env, path, MDB_RDONLY | MDB_NOLOCK | MDB_NOTLS, 0);
	}
	if (rc == 0) {
		rc = mdb_env_info(env, &info);
	}
	if (rc != 0) {
		return sl_err_because(err, SL_DATA_LOSS, SL_REASON_STORAGE_FAILED,
				      "read the heads of its data file: %s", mdb_strerror(rc));
	}
	*ret_txn = info.me_last_txnid;
	return SL_OK;
}

/* Is the head in the data file the one that this transaction wrote? */
static bool has_head_of(const struct recovery *recovery, const struct filling *filling,
			uint64_t txn_id)
{
	struct part meta = {.bytes = SL_BYTES_NONE};
	uint64_t at = JOURNAL_BLOCK;
	for (uint64_t id = filling->head.base + 1; id <= txn_id; id++) {
		(void)take_record(filling, id, &at, &meta);
	}
	uint8_t held[JOURNAL_BLOCK];
	size_t size = meta.bytes.size;
	return size <= sizeof(held) &&
	       pread(recovery->data_fd, held, size, (off_t)meta.offset) == (ssize_t)size &&
	       memcmp(held, meta.bytes.data, size) == 0;
}

static bool belongs(const struct recovery *recovery, uint64_t txn_id)
{
	for (unsigned i = 0; i < JOURNAL_FILES && recovery->chain[i] != NULL; i++) {
		const struct filling *filling = recovery->chain[i];
		uint64_t mark = 0;
		if (txn_id == filling->head.base &&
		    journal_mark(recovery->data_fd, filling->head.page_bytes, &mark)) {
			return mark == filling->head.mark;
		}
		if (txn_id > filling->head.base && txn_id <= filling->last) {
			return has_head_of(recovery, filling, txn_id);
		}
	}
	return false;
}

static sl_code check_belongs(const struct recovery *recovery, struct sl_err *err)
{
	uint64_t txn_id = 0;
	sl_code code = newest_txn(recovery->path, &txn_id, err);
	if (code != SL_OK || belongs(recovery, txn_id)) {
		return code;
	}
	const struct filling *first = recovery->chain[0];
	const struct filling *last = recovery->chain[1] != NULL ? recovery->chain[1] : first;
	return sl_err_because(
	    err, SL_DATA_LOSS, SL_REASON_STORAGE_FAILED,
	    "its journal is not of this data file: it leads from transaction %" PRIu64
	    " to %" PRIu64 ", and the data file is another one, at %" PRIu64
	    "; put back the data file that was there, restore a backup into a new folder, or "
	    "remove "
	    "'%s/journal-0' and '%s/journal-1' if the data file is whole without them",
	    first->head.base, last->last, txn_id, recovery->path, recovery->path);
}

/* Which of the two goes on where the other one ends. */
static sl_code put_in_order(struct recovery *recovery, struct sl_err *err)
{
	struct filling *a = &recovery->files[0], *b = &recovery->files[1];
	if (!a->is_there || !b->is_there) {
		recovery->chain[0] = a->is_there ? a : b->is_there ? b : NULL;
		return SL_OK;
	}
	if (a->head.base != b->last && b->head.base != a->last) {
		return sl_err_because(err, SL_DATA_LOSS, SL_REASON_STORAGE_FAILED,
				      "its journal is damaged: it has transactions up to %" PRIu64
				      " and from %" PRIu64 "; restore a backup",
				      a->head.base < b->head.base ? a->last : b->last,
				      a->head.base < b->head.base ? b->head.base : a->head.base);
	}
	recovery->chain[0] = b->head.base == a->last ? a : b;
	recovery->chain[1] = recovery->chain[0] == a ? b : a;
	return SL_OK;
}

/* --- writing --------------------------------------------------------------------------------- */

static bool put_back(const struct recovery *recovery, const struct filling *filling)
{
	uint64_t at = JOURNAL_BLOCK;
	for (uint64_t id = filling->head.base + 1; id <= filling->last; id++) {
		struct part part = {.kind = JOURNAL_PAGES};
		while (part.kind == JOURNAL_PAGES && take_part(filling, &at, &part)) {
			if (journal_write(recovery->data_fd, part.bytes.data, part.bytes.size,
					  part.offset) != 0) {
				return false;
			}
		}
		at = journal_next_block(at + JOURNAL_END_BYTES);
	}
	return true;
}

static sl_code bring_in(struct recovery *recovery, struct sl_err *err)
{
	for (unsigned i = 0; i < JOURNAL_FILES && recovery->chain[i] != NULL; i++) {
		if (!put_back(recovery, recovery->chain[i])) {
			return journal_failed_to("write what its journal holds", err);
		}
	}
	return fdatasync(recovery->data_fd) == 0 ? SL_OK
						 : journal_failed_to("sync its data file", err);
}

/* The older one first: what is left must lead up to where the data file is. */
static sl_code empty(const struct recovery *recovery, struct sl_err *err)
{
	for (unsigned i = 0; i < JOURNAL_FILES && recovery->chain[i] != NULL; i++) {
		errno = journal_empty(recovery->chain[i]->fd);
		if (errno != 0) {
			return journal_failed_to("empty its journal", err);
		}
	}
	return SL_OK;
}

/* --- the whole ---------------------------------------------------------------------- */

static sl_code open_data(struct recovery *recovery, struct sl_err *err)
{
	SL_AUTO(sl_free_auto) char *name = NULL;
	if (asprintf(&name, "%s/data.mdb", recovery->path) < 0) {
		name = NULL;
		return sl_err_no_memory(err);
	}
	recovery->data_fd = open(name, O_RDWR | O_CLOEXEC);
	if (recovery->data_fd >= 0) {
		return SL_OK;
	}
	return sl_err_because(
	    err, errno == ENOENT ? SL_DATA_LOSS : SL_FAILED_PRECONDITION, SL_REASON_STORAGE_FAILED,
	    "it has a journal, and its data file does not open: %s", strerror(errno));
}

static void recovery_fini(const struct recovery *recovery)
{
	for (unsigned i = 0; i < JOURNAL_FILES; i++) {
		sl_fd_auto(&recovery->files[i].fd);
		free(recovery->files[i].bytes);
	}
	sl_fd_auto(&recovery->data_fd);
}

static sl_code recover(struct recovery *recovery, struct sl_err *err)
{
	sl_code code = SL_OK;
	for (unsigned i = 0; i < JOURNAL_FILES && code == SL_OK; i++) {
		recovery->files[i].fd = journal_file(recovery->path, i, O_RDWR);
		if (recovery->files[i].fd < 0 && errno != ENOENT) {
			return journal_failed_to("open its journal", err);
		}
		code = read_file(&recovery->files[i], err);
	}
	code = code == SL_OK ? put_in_order(recovery, err) : code;
	if (code != SL_OK || recovery->chain[0] == NULL) {
		return code;
	}
	code = open_data(recovery, err);
	code = code == SL_OK ? check_belongs(recovery, err) : code;
	code = code == SL_OK ? bring_in(recovery, err) : code;
	SL_FAILPOINT("recovered");
	return code == SL_OK ? empty(recovery, err) : code;
}

sl_code journal_recover(const char *path, struct sl_err *err)
{
	struct recovery recovery = {
	    .files = {{.fd = -1}, {.fd = -1}},
	    .path = path,
	    .data_fd = -1,
	};
	sl_code code = recover(&recovery, err);
	recovery_fini(&recovery);
	return code;
}

bool journal_is_left(const char *path)
{
	bool left = false;
	for (unsigned i = 0; i < JOURNAL_FILES; i++) {
		uint8_t bytes[JOURNAL_HEAD_BYTES];
		struct journal_head head;
		SL_AUTO(sl_fd_auto) int fd = journal_file(path, i, O_RDONLY);
		left = left || (fd >= 0 && sl_file_read(fd, bytes, sizeof(bytes)) &&
				journal_head_get(bytes, &head));
	}
	return left;
}
