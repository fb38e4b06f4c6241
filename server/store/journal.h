/* journal: one sync for each commit, where LMDB makes two.
 *
 * LMDB writes the pages of a commit here and there in its file, syncs, and then writes and syncs
 * which of its two heads is the newest. A disk takes a page in the middle of a file as dear as
 * twenty in a row: of a single write that was most of its time (tests/bench, P3). So a commit's
 * pages and its head go, as LMDB writes them, into a file of their own as well, one behind the
 * other; that file is synced, and only then is the head written to the data file, where nobody
 * syncs it. From time to time the data file is synced in the background, and what the journal held
 * until then is not needed any more. This is redo logging of pages, as in SQLite's WAL
 * (https://www.sqlite.org/wal.html), beneath a store that never overwrites a page in use.
 *
 * What follows from it:
 *
 *   - A commit is durable when mdb_txn_commit() returns, and nobody sees it before.
 *   - Whatever part of the data file's unsynced pages a power cut left there: journal_recover()
 *     writes all pages of all commits since a moment at which the data file was synced, and its
 *     heads last. A commit whose record is not whole was not answered, and wrote only pages that
 *     no commit before it uses.
 *   - A process that is killed loses nothing either: what it wrote is in the page cache.
 *
 * Two files take turns, so that one can be filled while the data file is synced for the other:
 *
 *   DIR/journal-0, DIR/journal-1:  head | record | record | ...     each begins on a page
 *
 *   head     "sluice journal 1", salt, base, mark of the data file's heads at base, check
 *   record   parts: offset (8), size (4), kind (4), bytes as LMDB wrote them; the last one is the
 *            head of the data file, behind it the transaction's id (8) and a check (8)
 *
 * Integers are big-endian. A check is XXH3 (https://xxhash.com) seeded with the salt, which is
 * random for each filling, over all before it: what an earlier filling left behind is never taken
 * for a record of this one. `base` is the transaction before the first record; a file whose base
 * is the other's last record goes on where that one ends. A file is filled again only once the
 * data file was synced after it ended.
 *
 * How it sees what LMDB writes: LMDB is linked with its calls of pwrite() and writev() renamed to
 * journal_pwrite() and journal_writev() (bazel/third_party/BUILD).
 *
 * Threads: one at a time writes (the store's writer), between journal_begin() and journal_end();
 * recover, open and close from anywhere while nobody writes. */
#ifndef SL_SERVER_STORE_JOURNAL_H
#define SL_SERVER_STORE_JOURNAL_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

#include "base/err/err.h"

struct journal;

/* Is there something in the journal of this folder that the data file may lack? */
bool journal_is_left(const char *path);

/* Brings what the journal holds into the data file, syncs it and empties the journal. Before
 * anybody opens the data file; the caller holds the folder's lock alone. Killed anywhere, it can
 * be repeated. SL_DATA_LOSS: the journal and the data file do not belong together. */
SL_MUST_USE sl_code journal_recover(const char *path, struct sl_err *err);

struct journal_options {
	const char *path; /* the store's folder; borrowed during the call */
	int data_fd; /* LMDB's, of an environment opened with MDB_NOSYNC; outlives the journal */
	uint64_t page_bytes;           /* LMDB's */
	uint64_t max_bytes;            /* a file that has as many is full: the other one's turn */
	void (*on_durable)(void *ctx); /* a commit is durable, and not to be seen yet */
	void *ctx;
};

/* Syncs the data file and makes the journal's files, unless they are there: the caller syncs the
 * folder before the first commit. The journal is empty (journal_recover()). */
SL_MUST_USE sl_code journal_open(const struct journal_options *options,
				 struct journal **ret_journal, struct sl_err *err);

/* Syncs the data file and empties the journal, unless something failed before: then all stays as it
 * is, for journal_recover(). NULL is fine. */
void journal_close(struct journal *journal);

/* Until journal_end() what this thread has LMDB write to the data file is this transaction's.
 * Around each that writes; nothing is left of one that is given up. Returns 0, or the errno of a
 * sync in the background that failed: then nothing more may be written. May wait for such a sync.
 */
int journal_begin(struct journal *journal, uint64_t txn_id);
void journal_end(void);

/* LMDB's pwrite() and writev(). For a file that is no journal's they are just that. */
ssize_t journal_pwrite(int fd, const void *data, size_t size, off_t offset);
ssize_t journal_writev(int fd, const struct iovec *parts, int count);

#endif
