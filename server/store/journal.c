#include "server/store/journal.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <xxhash.h>

#include "base/bytes/bytes.h"
#include "base/crypto/crypto.h"
#include "base/failpoint/failpoint.h"
#include "base/mem/own.h"
#include "server/store/journal_internal.h"

enum {
	BUFFER_BYTES = 256 << 10,
	/* A sync that makes a file longer has the file system write its own journal, too. */
	AHEAD_BYTES = 1 << 20,
	PART_BYTES = 4 << 20,  /* of the data file, synced at a time */
	DISK_SHARE = 64,       /* neither file becomes a larger part of the disk ... */
	LEAST_BYTES = 1 << 20, /* ... unless that is less than this */
};

struct journal {
	void (*on_durable)(void *ctx);
	void *ctx;
	int data_fd, fds[JOURNAL_FILES];
	uint64_t page_bytes, limit;
	uint64_t bytes[JOURNAL_FILES]; /* of the files */
	unsigned current;              /* the file that is filled */
	bool filled;                   /* it has its head, and a record */
	bool failed;                   /* a record may or may not be on disk */
	bool cramped;                  /* the disk had no room for it to grow */
	uint64_t salt, txn_id;
	uint64_t at;   /* behind the last record */
	uint64_t end;  /* behind what is written of the next one */
	size_t parked; /* bytes of it that are in the buffer yet */
	bool begun;
	XXH3_state_t *check;
	uint8_t *buffer;

	pthread_t syncer; /* of the data file */
	bool syncer_started;
	pthread_mutex_t lock; /* guards what follows */
	pthread_cond_t wake;  /* signalled when it changes */
	bool wanted, stopping;
	int sync_error; /* errno of a sync that failed; for good */
};

static _Thread_local struct journal *writing;

/* --- the form of the files ------------------------------------------------------------ */

void journal_head_put(uint8_t out[static JOURNAL_HEAD_BYTES], const struct journal_head *head)
{
	memcpy(out, JOURNAL_MAGIC, JOURNAL_MAGIC_BYTES);
	uint8_t *at = out + JOURNAL_MAGIC_BYTES;
	sl_put_be64(at, head->salt);
	sl_put_be64(at + 8, head->base);
	sl_put_be64(at + 16, head->mark);
	sl_put_be64(at + 24, head->page_bytes);
	sl_put_be64(at + 32, XXH3_64bits(out, JOURNAL_HEAD_BYTES - 8));
}

bool journal_head_get(const uint8_t in[static JOURNAL_HEAD_BYTES], struct journal_head *ret_head)
{
	const uint8_t *at = in + JOURNAL_MAGIC_BYTES;
	if (memcmp(in, JOURNAL_MAGIC, JOURNAL_MAGIC_BYTES) != 0 ||
	    sl_get_be64(at + 32) != XXH3_64bits(in, JOURNAL_HEAD_BYTES - 8)) {
		return false;
	}
	*ret_head = (struct journal_head){
	    .salt = sl_get_be64(at),
	    .base = sl_get_be64(at + 8),
	    .mark = sl_get_be64(at + 16),
	    .page_bytes = sl_get_be64(at + 24),
	};
	return true;
}

bool journal_mark(int data_fd, uint64_t page_bytes, uint64_t *ret_mark)
{
	size_t size = 2 * page_bytes;
	SL_AUTO(sl_free_auto) uint8_t *heads = malloc(size);
	if (heads == NULL) {
		errno = ENOMEM;
		return false;
	}
	ssize_t got = pread(data_fd, heads, size, 0);
	if (got != (ssize_t)size) {
		errno = got < 0 ? errno : EIO;
		return false;
	}
	*ret_mark = XXH3_64bits(heads, size);
	return true;
}

int journal_file(const char *path, unsigned number, int flags)
{
	SL_AUTO(sl_free_auto) char *name = NULL;
	if (asprintf(&name, "%s/journal-%u", path, number) < 0) {
		name = NULL;
		errno = ENOMEM;
		return -1;
	}
	return open(name, flags | O_CLOEXEC, 0600);
}

sl_code journal_failed_to(const char *what, struct sl_err *err)
{
	sl_code code = errno == ENOSPC || errno == ENOMEM ? SL_RESOURCE_EXHAUSTED : SL_INTERNAL;
	return sl_err_because(err, code, SL_REASON_STORAGE_FAILED, "%s: %s", what, strerror(errno));
}

/* --- a record ---------------------------------------------------------------------------- */

int journal_write(int fd, const uint8_t *data, size_t size, uint64_t offset)
{
	while (size > 0) {
		ssize_t wrote = pwrite(fd, data, size, (off_t)offset);
		if (wrote < 0 && errno != EINTR) {
			return errno;
		}
		size_t part = wrote > 0 ? (size_t)wrote : 0;
		data += part;
		offset += part;
		size -= part;
	}
	return 0;
}

/* And no fallocate(): blocks that were never written are noted in the file system's journal, too.
 */
static int write_zeros(int fd, uint64_t from, uint64_t to)
{
	static const uint8_t zeros[128 << 10];
	int rc = 0;
	while (from < to && rc == 0) {
		size_t part = to - from < sizeof(zeros) ? (size_t)(to - from) : sizeof(zeros);
		rc = journal_write(fd, zeros, part, from);
		from += part;
	}
	return rc;
}

/* So that there is room for all of a record is known before its last part. */
static int make_room(struct journal *journal, uint64_t to)
{
	uint64_t *bytes = &journal->bytes[journal->current];
	if (to <= *bytes) {
		return 0;
	}
	int fd = journal->fds[journal->current];
	uint64_t goal = to + AHEAD_BYTES;
	int rc = write_zeros(fd, *bytes, goal);
	if (rc == ENOSPC || rc == EDQUOT) {
		goal = journal_next_block(to);
		rc = write_zeros(fd, *bytes, goal);
	}
	*bytes = rc == 0 ? goal : *bytes;
	journal->cramped = rc != 0;
	return rc;
}

static int flush(struct journal *journal)
{
	int rc = journal_write(journal->fds[journal->current], journal->buffer, journal->parked,
			       journal->end);
	journal->end += rc == 0 ? journal->parked : 0;
	journal->parked = 0;
	return rc;
}

static int park(struct journal *journal, const void *data, size_t size)
{
	const uint8_t *at = data;
	int rc = 0;
	while (size > 0 && rc == 0) {
		size_t room = BUFFER_BYTES - journal->parked;
		size_t part = size < room ? size : room;
		memcpy(journal->buffer + journal->parked, at, part);
		journal->parked += part;
		at += part;
		size -= part;
		rc = journal->parked == BUFFER_BYTES ? flush(journal) : 0;
	}
	return rc;
}

static int park_checked(struct journal *journal, const void *data, size_t size)
{
	(void)XXH3_64bits_update(journal->check, data, size);
	return park(journal, data, size);
}

/* Up to the next block. */
static int pad(struct journal *journal)
{
	static const uint8_t zeros[JOURNAL_BLOCK];
	uint64_t end = journal->end + journal->parked;
	return park(journal, zeros, journal_next_block(end) - end);
}

static int park_head(struct journal *journal)
{
	struct journal_head head = {.base = journal->txn_id - 1, .page_bytes = journal->page_bytes};
	uint8_t bytes[JOURNAL_HEAD_BYTES];
	sl_random(&journal->salt, sizeof(journal->salt));
	head.salt = journal->salt;
	if (!journal_mark(journal->data_fd, journal->page_bytes, &head.mark)) {
		return errno;
	}
	journal_head_put(bytes, &head);
	int rc = park(journal, bytes, sizeof(bytes));
	return rc == 0 ? pad(journal) : rc;
}

static int begin_record(struct journal *journal)
{
	journal->end = journal->at;
	journal->parked = 0;
	int rc = journal->filled ? 0 : park_head(journal);
	(void)XXH3_64bits_reset_withSeed(journal->check, journal->salt);
	journal->begun = rc == 0;
	return rc;
}

static int park_part(struct journal *journal, unsigned kind, const struct iovec *parts, int count,
		     uint64_t offset)
{
	uint8_t front[JOURNAL_PART_BYTES];
	size_t size = 0;
	for (int i = 0; i < count; i++) {
		size += parts[i].iov_len;
	}
	int rc = journal->begun ? 0 : begin_record(journal);
	if (rc == 0) {
		/* Behind this part comes the data file's head, less than a block, and the end. */
		rc = make_room(journal, journal->end + journal->parked + size + 4 * JOURNAL_BLOCK);
	}
	sl_put_be64(front, offset);
	sl_put_be32(front + 8, (uint32_t)size);
	sl_put_be32(front + 12, kind);
	rc = rc == 0 ? park_checked(journal, front, sizeof(front)) : rc;
	for (int i = 0; i < count && rc == 0; i++) {
		rc = park_checked(journal, parts[i].iov_base, parts[i].iov_len);
	}
	return rc;
}

/* Now it is durable. */
static int end_record(struct journal *journal)
{
	uint8_t end[JOURNAL_END_BYTES];
	sl_put_be64(end, journal->txn_id);
	int rc = park_checked(journal, end, 8);
	sl_put_be64(end + 8, XXH3_64bits_digest(journal->check));
	rc = rc == 0 ? park(journal, end + 8, 8) : rc;
	rc = rc == 0 ? pad(journal) : rc;
	rc = rc == 0 ? flush(journal) : rc;
	if (rc == 0 && fdatasync(journal->fds[journal->current]) != 0) {
		rc = errno;
	}
	if (rc == 0) {
		journal->at = journal->end;
		journal->filled = true;
		journal->begun = false;
	}
	return rc;
}

/* --- what LMDB writes --------------------------------------------------------------------- */

static bool is_meta(const struct journal *journal, uint64_t offset)
{
	return offset < 2 * journal->page_bytes;
}

static int take(struct journal *journal, const struct iovec *parts, int count, uint64_t offset)
{
	bool meta = is_meta(journal, offset);
	int rc = park_part(journal, meta ? JOURNAL_META : JOURNAL_PAGES, parts, count, offset);
	if (meta) {
		rc = rc == 0 ? end_record(journal) : rc;
		journal->failed = rc != 0;
		journal->on_durable(journal->ctx);
		SL_FAILPOINT("journaled");
	}
	return rc;
}

/* After a failure LMDB puts back the head that it had. */
static bool is_ours(int fd)
{
	return writing != NULL && writing->data_fd == fd && !writing->failed;
}

ssize_t journal_pwrite(int fd, const void *data, size_t size, off_t offset)
{
	struct iovec part = {.iov_base = (void *)(uintptr_t)data, .iov_len = size};
	bool ours = is_ours(fd);
	int rc = ours ? take(writing, &part, 1, (uint64_t)offset) : 0;
	if (rc != 0) {
		errno = rc;
		return -1;
	}
	ssize_t wrote = pwrite(fd, data, size, offset);
	if (ours && is_meta(writing, (uint64_t)offset)) {
		writing->failed = wrote != (ssize_t)size; /* durable, and not in the data file */
	}
	return wrote;
}

ssize_t journal_writev(int fd, const struct iovec *parts, int count)
{
	off_t offset = is_ours(fd) ? lseek(fd, 0, SEEK_CUR) : 0;
	int rc = offset < 0 ? errno : 0;
	if (rc == 0 && is_ours(fd)) {
		rc = take(writing, parts, count, (uint64_t)offset);
	}
	if (rc != 0) {
		errno = rc;
		return -1;
	}
	return writev(fd, parts, count);
}

/* --- turns -------------------------------------------------------------------------------- */

/* Part by part, so that a record that is synced meanwhile waits for a few pages and not for all.
 * Returns 0 or errno. */
static int sync_data(int fd)
{
	struct stat file;
	int rc = fstat(fd, &file) == 0 ? 0 : errno;
	for (off_t at = 0; rc == 0 && at < file.st_size; at += PART_BYTES) {
		const unsigned all = SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE |
				     SYNC_FILE_RANGE_WAIT_AFTER;
		rc = sync_file_range(fd, at, PART_BYTES, all) == 0 ? 0 : errno;
	}
	rc = rc == ENOSYS || rc == EINVAL || rc == ESPIPE ? 0 : rc; /* not on this file system */
	return rc == 0 && fdatasync(fd) != 0 ? errno : rc;
}

static void *syncer_main(void *arg)
{
	struct journal *journal = arg;
	pthread_mutex_lock(&journal->lock);
	while (!journal->stopping) {
		if (!journal->wanted) {
			pthread_cond_wait(&journal->wake, &journal->lock);
			continue;
		}
		pthread_mutex_unlock(&journal->lock);
		int error = sync_data(journal->data_fd);
		SL_FAILPOINT("data-synced");
		pthread_mutex_lock(&journal->lock);
		journal->sync_error = error;
		journal->wanted = false;
		journal->stopping = journal->stopping || error != 0;
		pthread_cond_broadcast(&journal->wake);
	}
	pthread_mutex_unlock(&journal->lock);
	return NULL;
}

/* The other file is filled, once the data file was synced after that one ended. */
static int turn(struct journal *journal)
{
	pthread_mutex_lock(&journal->lock);
	while (journal->wanted) {
		pthread_cond_wait(&journal->wake, &journal->lock);
	}
	int rc = journal->sync_error;
	if (rc == 0) {
		journal->wanted = true;
		pthread_cond_broadcast(&journal->wake);
	}
	pthread_mutex_unlock(&journal->lock);
	if (rc == 0) {
		journal->current = 1 - journal->current;
		journal->filled = journal->cramped = false;
		journal->at = 0;
	}
	return rc;
}

int journal_begin(struct journal *journal, uint64_t txn_id)
{
	bool cramped = journal->cramped && journal->filled;
	int rc = journal->at >= journal->limit || cramped ? turn(journal) : 0;
	journal->begun = false;
	journal->txn_id = txn_id;
	writing = journal;
	return rc;
}

void journal_end(void)
{
	writing = NULL;
}

/* --- opening and closing -------------------------------------------------------------------- */

static uint64_t share_of_disk(int fd)
{
	struct statvfs disk;
	uint64_t bytes = fstatvfs(fd, &disk) == 0 ? (uint64_t)disk.f_blocks * disk.f_frsize : 0;
	return bytes / DISK_SHARE > LEAST_BYTES ? bytes / DISK_SHARE : LEAST_BYTES;
}

static sl_code open_files(struct journal *journal, const struct journal_options *options,
			  struct sl_err *err)
{
	uint64_t share = share_of_disk(options->data_fd);
	journal->limit = options->max_bytes < share ? options->max_bytes : share;
	for (unsigned i = 0; i < JOURNAL_FILES; i++) {
		struct stat file;
		journal->fds[i] = journal_file(options->path, i, O_RDWR | O_CREAT);
		if (journal->fds[i] < 0 || fstat(journal->fds[i], &file) != 0) {
			return journal_failed_to("open its journal", err);
		}
		journal->bytes[i] = (uint64_t)file.st_size;
	}
	return SL_OK;
}

static sl_code start(struct journal *journal, const struct journal_options *options,
		     struct sl_err *err)
{
	journal->buffer = malloc(BUFFER_BYTES);
	journal->check = XXH3_createState();
	if (journal->buffer == NULL || journal->check == NULL) {
		return sl_err_no_memory(err);
	}
	sl_code code = open_files(journal, options, err);
	if (code == SL_OK && fdatasync(journal->data_fd) != 0) {
		code = journal_failed_to("sync its data file", err);
	}
	if (code == SL_OK && pthread_create(&journal->syncer, NULL, syncer_main, journal) != 0) {
		code = sl_err_set(err, SL_RESOURCE_EXHAUSTED, "cannot start the sync thread");
	}
	journal->syncer_started = code == SL_OK;
	return code;
}

SL_DEFINE_AUTO(struct journal *, journal_close);

sl_code journal_open(const struct journal_options *options, struct journal **ret_journal,
		     struct sl_err *err)
{
	SL_AUTO(journal_close_auto) struct journal *journal = calloc(1, sizeof(*journal));
	if (journal == NULL) {
		return sl_err_no_memory(err);
	}
	journal->data_fd = options->data_fd;
	journal->page_bytes = options->page_bytes;
	journal->on_durable = options->on_durable;
	journal->ctx = options->ctx;
	journal->fds[0] = journal->fds[1] = -1;
	pthread_mutex_init(&journal->lock, NULL);
	pthread_cond_init(&journal->wake, NULL);
	sl_code code = start(journal, options, err);
	if (code == SL_OK) {
		*ret_journal = SL_TAKE(journal);
	}
	return code;
}

static void stop_syncer(struct journal *journal)
{
	pthread_mutex_lock(&journal->lock);
	journal->stopping = true;
	pthread_cond_broadcast(&journal->wake);
	pthread_mutex_unlock(&journal->lock);
	(void)pthread_join(journal->syncer, NULL);
}

int journal_empty(int fd)
{
	int rc = write_zeros(fd, 0, JOURNAL_BLOCK);
	return rc == 0 && fdatasync(fd) != 0 ? errno : rc;
}

void journal_close(struct journal *journal)
{
	if (journal == NULL) {
		return;
	}
	if (journal->syncer_started) {
		stop_syncer(journal);
		bool sound = !journal->failed && journal->sync_error == 0;
		/* The older one first: what is left must lead up to where the data file is. */
		if (sound && fdatasync(journal->data_fd) == 0 &&
		    journal_empty(journal->fds[1 - journal->current]) == 0) {
			(void)journal_empty(journal->fds[journal->current]);
		}
	}
	for (unsigned i = 0; i < JOURNAL_FILES; i++) {
		if (journal->fds[i] >= 0) {
			(void)close(journal->fds[i]);
		}
	}
	XXH3_freeState(journal->check);
	free(journal->buffer);
	pthread_cond_destroy(&journal->wake);
	pthread_mutex_destroy(&journal->lock);
	free(journal);
}
