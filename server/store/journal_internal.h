/* The form of the journal's files, for the file that writes them and the one that reads them. */
#ifndef SL_SERVER_STORE_JOURNAL_INTERNAL_H
#define SL_SERVER_STORE_JOURNAL_INTERNAL_H

#include "server/store/journal.h"

#define JOURNAL_MAGIC "sluice journal 1"

enum {
	JOURNAL_FILES = 2,
	JOURNAL_BLOCK = 4096, /* head and records begin at its multiples: a torn write of one
				 touches no other */
	JOURNAL_MAGIC_BYTES = 16,
	JOURNAL_HEAD_BYTES = JOURNAL_MAGIC_BYTES + 4 * 8 + 8,
	JOURNAL_PART_BYTES = 16, /* in front of each part's bytes */
	JOURNAL_END_BYTES = 16,  /* behind the last part of a record */
	JOURNAL_PAGES = 1,       /* kinds of parts */
	JOURNAL_META = 2,        /* LMDB's word for its heads */
};

struct journal_head {
	uint64_t salt, base, mark;
	uint64_t page_bytes;
};
void journal_head_put(uint8_t out[static JOURNAL_HEAD_BYTES], const struct journal_head *head);
/* False: it is none. */
bool journal_head_get(const uint8_t in[static JOURNAL_HEAD_BYTES], struct journal_head *ret_head);

/* Of both heads of the data file, which fill its first two pages. False: see errno. */
bool journal_mark(int data_fd, uint64_t page_bytes, uint64_t *ret_mark);

/* DIR/journal-N; -1: see errno. */
int journal_file(const char *path, unsigned number, int flags);

/* Says what errno says of `what`. */
sl_code journal_failed_to(const char *what, struct sl_err *err);

/* All of it, there. Returns 0 or errno. */
int journal_write(int fd, const uint8_t *data, size_t size, uint64_t offset);
/* Makes a file say nothing, and syncs it. Returns 0 or errno. */
int journal_empty(int fd);

static inline uint64_t journal_next_block(uint64_t offset)
{
	return (offset + JOURNAL_BLOCK - 1) / JOURNAL_BLOCK * JOURNAL_BLOCK;
}

#endif
