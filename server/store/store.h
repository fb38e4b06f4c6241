/* store: durable, ordered key/value tables and a change log in one LMDB environment.
 *
 * Every write is a command. Any thread queues it; the store's one writer
 * thread takes all that wait, asks each to decide() on the open transaction
 * (each sees those before it), applies what it decided, appends one log record
 * per revision, commits once, and answers all. A command that is refused has
 * written nothing. Reads run in the calling thread on a snapshot and never
 * wait for the writer.
 *
 * A commit or sync that fails ends the store: nothing is committed or
 * acknowledged any more in this process (after a failed sync LMDB would call
 * the next commit a success), options.on_failure is told, and every command
 * is answered SL_UNAVAILABLE / STORAGE_FAILED.
 *
 * Only server/store includes <lmdb.h>, and no type of LMDB's leaves it: the
 * interface is meant to bear another implementation. */
#ifndef SL_SERVER_STORE_H
#define SL_SERVER_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes/bytes.h"
#include "base/err/err.h"

struct store;
struct store_view;
struct store_changes;
struct store_cmd;

#define STORE_KEY_MAX 511   /* bytes of a key */
#define STORE_HASH_BYTES 32 /* of the audit sequence's hashes: BLAKE2b-256 */
#define STORE_TABLES_MAX 48 /* tables of the caller's */
#define STORE_NAMED_VALUES (UINT64_C(1) << 63)

/* What the pruner says of a log record below the floor. */
enum store_prune {
	STORE_PRUNE_DROP,  /* delete it */
	STORE_PRUNE_KEEP,  /* keep it for good: history needs it */
	STORE_PRUNE_LATER, /* not yet: stop here, ask again with the next batches */
};

struct store_options {
	const char *path;       /* folder; made (0700) if its parent exists */
	uint64_t map_bytes;     /* size of the sparse map, fixed at start */
	uint64_t reserve_bytes; /* free disk below this: only commands with `shrinks` pass
				 * (DISK_LOW), until deletes have left room inside the file; below
				 * half of it nothing else */
	uint64_t journal_bytes; /* of each of the journal's files, about; 0: 64 MiB */
	unsigned queue_max;     /* commands waiting; more: QUEUE_FULL */
	bool read_only; /* for verify: no writer thread, no lock taken for write, nothing created */
	const char *const *tables; /* names; a table is known by its index here. Borrowed, static */
	size_t table_count;
	/* Writer thread, after each commit that made revisions (first..last, both
	 * included), before any done(). `tables` has bit N set when table N was written
	 * to, STORE_NAMED_VALUES for a named value. May be NULL. Must not block. */
	void (*on_commit)(void *ctx, uint64_t first, uint64_t last, uint64_t tables);
	/* Writer thread, once, when storage failed. May be NULL. */
	void (*on_failure)(void *ctx, const struct sl_err *err);
	/* Writer thread: may this log record below the floor go? Must be pure but for ctx. NULL:
	 * all may. */
	enum store_prune (*prune)(void *ctx, uint64_t revision, struct sl_bytes record);
	void *ctx;
};

/* Opens the environment, takes DIR/lock with flock() for life, clears readers
 * of dead processes and starts the writer thread.
 * SL_FAILED_PRECONDITION: another process holds the folder (named by pid), or
 * the folder is on a network file system, or a newer program wrote it, or a
 * restore into it did not finish.
 * SL_DATA_LOSS: not a store of ours, or its file was cut short.
 * SL_RESOURCE_EXHAUSTED: no memory or disk. Blocks on disk. */
SL_MUST_USE sl_code store_open(const struct store_options *options, struct store **ret_store,
			       struct sl_err *err);

/* Applies every queued command, stops the writer and closes. NULL is fine. No
 * view may be open and no thread may submit any more. */
void store_free(struct store *store);

/* --- writing ---------------------------------------------------------------- */

/* A write: embed it in your own struct.
 *
 * decide: writer thread. Reads `view`, fills `changes`. SL_OK applies them
 *         (none: nothing happened, revision stays 0); any other code drops
 *         them, but for store_changes_refusal(). Time, random ids and the
 *         caller's identity are fields of the embedding struct, never taken
 *         from a clock or generator in here. It may be called again for the
 *         same command (when a batch does not fit the map, what fitted is
 *         decided anew): what it leaves in the embedding struct it must be
 *         able to overwrite. Nothing of an earlier call is kept in the store.
 * writes_nothing: writer thread, may be NULL; asked before decide() while the disk is low or the
 *         map full. True: what it is to do is done already, so it passes.
 * done:   writer thread, once, after the commit (or the failure). The store
 *         does not touch cmd afterwards. */
struct store_cmd {
	sl_code (*decide)(struct store_cmd *cmd, const struct store_view *view,
			  struct store_changes *changes, struct sl_err *err);
	bool (*writes_nothing)(struct store_cmd *cmd, const struct store_view *view);
	void (*done)(struct store_cmd *cmd);
	bool shrinks; /* deletes or prunes: passes while the disk is low */
	sl_code code; /* result */
	struct sl_err
	    err; /* result; SL_ERR_INIT before submit; cleared by the submitter's done() */
	uint64_t revision;      /* result: the revision it made, 0 when it changed nothing */
	struct store_cmd *next; /* the store's */
	void *waiting;          /* store_run()'s */
};

/* Queues cmd; the store holds it until done(). Any thread; never blocks on disk.
 * SL_FAILED_PRECONDITION: the store is open for reading only.
 * SL_RESOURCE_EXHAUSTED / QUEUE_FULL, SL_UNAVAILABLE / STORAGE_FAILED or
 * STOPPING: not queued, done() will not be called. */
SL_MUST_USE sl_code store_submit(struct store *store, struct store_cmd *cmd, struct sl_err *err);
/* The same, and waits for its end: cmd->done is not the caller's to set. Returns its code, with its
 * error. Not on the writer's thread. */
SL_MUST_USE sl_code store_run(struct store *store, struct store_cmd *cmd, struct sl_err *err);

/* From now on store_submit() refuses with STOPPING; what is queued is still done. Any thread. */
void store_stop_accepting(struct store *store);

/* The revision that these changes get if they are applied. */
uint64_t store_changes_revision(const struct store_changes *changes);

/* Keys (1 to STORE_KEY_MAX bytes) and values are copied. Sticky: after the first
 * failure later calls do nothing and the command fails as a whole. A command does
 * not see its own changes. Deleting what is absent is fine. */
void store_changes_put(struct store_changes *changes, unsigned table, struct sl_bytes key,
		       struct sl_bytes value);
void store_changes_delete(struct store_changes *changes, unsigned table, struct sl_bytes key);
/* The log record of this revision; at most once. Changes without one are a bug (abort). What the
 * audit sequence keeps of it is all of it, or its first part, if the rest is told apart: that goes
 * when the log is pruned, but for its hash. */
void store_changes_log(struct store_changes *changes, struct sl_bytes record);
void store_changes_log_parts(struct store_changes *changes, struct sl_bytes body,
			     struct sl_bytes bulk);
/* Kept also when the command is refused: appended to the audit sequence. */
void store_changes_refusal(struct store_changes *changes, struct sl_bytes record);
/* Records of the audit sequence up to and including `sequence` go, in bounded steps inside later
 * batches; its hash is kept as anchor. What the log still needs stays there. A lower one than
 * before changes nothing. The record is one that the view sees (else abort). */
void store_changes_cut_audit(struct store_changes *changes, uint64_t sequence,
			     const uint8_t hash[static STORE_HASH_BYTES]);
/* Raises the compaction floor: log records up to and including `floor` may be
 * pruned from now on, in bounded steps inside later batches. A lower one than
 * before changes nothing; one above this revision fails with SL_OUT_OF_RANGE. */
void store_changes_set_floor(struct store_changes *changes, uint64_t floor);
/* A small named value of the store's own table ("format", "store-id"). Names
 * that start with "store/" are the store's, as those of tables are. */
void store_changes_put_meta(struct store_changes *changes, const char *name, struct sl_bytes value);

/* --- reading ---------------------------------------------------------------- */

/* A snapshot. The calling thread's reader is cached and renewed; views may nest
 * and move between threads. Keep them short: a view left open makes the file
 * grow. What is read through a view is borrowed until store_view_end(). */
SL_MUST_USE sl_code store_view_begin(struct store *store, const struct store_view **ret_view,
				     struct sl_err *err);
void store_view_end(const struct store_view *view); /* NULL is fine */

/* The last revision that the view sees. In decide(): that of the command before. */
uint64_t store_view_revision(const struct store_view *view);
/* What is remembered of a view outside of it: the number of its store, unlike that of any other one
 * that this process opened, and the last revision that is committed. What decide() sees above that
 * may never be. */
uint64_t store_view_serial(const struct store_view *view);
uint64_t store_view_committed(const struct store_view *view);
/* Log records at or below the floor may be gone; 0: none is. */
uint64_t store_view_floor(const struct store_view *view);

/* SL_NOT_FOUND leaves *err alone: absence is an answer, the caller words it. */
SL_MUST_USE sl_code store_get(const struct store_view *view, unsigned table, struct sl_bytes key,
			      struct sl_bytes *ret_value, struct sl_err *err);
SL_MUST_USE sl_code store_get_log(const struct store_view *view, uint64_t revision,
				  struct sl_bytes *ret_record, struct sl_err *err);
SL_MUST_USE sl_code store_get_meta(const struct store_view *view, const char *name,
				   struct sl_bytes *ret_value, struct sl_err *err);

/* Walks the records of a table whose keys start with `prefix`, in key order or
 * backwards:
 *
 *   SL_AUTO(store_walk_end) struct store_walk walk;
 *   store_walk_begin(&walk, view, TABLE, prefix, STORE_FORWARD);
 *   while (store_walk_next(&walk)) { use walk.key, walk.value }
 *   code = store_walk_result(&walk, &err);   // why it ended: SL_OK = no more
 */
enum store_direction { STORE_FORWARD, STORE_BACKWARD };
struct store_walk {
	struct sl_bytes key,
	    value; /* borrowed until the view ends; in decide(): until the next call */
	const struct store_view *view; /* what follows is the store's */
	void *cursor;
	uint8_t prefix[STORE_KEY_MAX], from[STORE_KEY_MAX];
	size_t prefix_size, from_size;
	enum store_direction direction;
	bool started, from_set, sealed;
	int rc;
};
void store_walk_begin(struct store_walk *walk, const struct store_view *view, unsigned table,
		      struct sl_bytes prefix, enum store_direction direction);
/* Starts at `key` (included if present) instead of at the prefix's end; before the first next. */
void store_walk_from(struct store_walk *walk, struct sl_bytes key);
bool store_walk_next(struct store_walk *walk);
SL_MUST_USE sl_code store_walk_result(const struct store_walk *walk, struct sl_err *err);
void store_walk_end(struct store_walk *walk);

/* The log's records from revision `first` on; key = revision, 8 bytes big-endian. */
void store_walk_log(struct store_walk *walk, const struct store_view *view, uint64_t first,
		    enum store_direction direction);

/* --- the audit sequence ------------------------------------------------------- */

/* Every log record and every refusal, numbered in order of commit, each with the hash of
 *
 *   the hash before (32 bytes) | sequence (8, big-endian) | size of the body (4) | body |
 *   a change's: hash of the bulk (32)
 *
 * BLAKE2b-256 throughout. Head and anchor lie in the state that each commit writes. A store of a
 * program from before begins here: its older records are in no sequence. */
struct store_audit_point {
	uint64_t sequence;
	uint8_t hash[STORE_HASH_BYTES];
};
/* The last record. */
struct store_audit_point store_view_audit_head(const struct store_view *view);
/* What the first record that is kept follows: zeros, or where the sequence was cut. */
struct store_audit_point store_view_audit_anchor(const struct store_view *view);

struct store_audit_record {
	uint64_t sequence;
	uint64_t revision;    /* of a change whose log record is whole; else 0 */
	bool change;          /* else a refusal */
	struct sl_bytes body; /* borrowed as a walk's value */
	struct sl_bytes bulk; /* of a change, until its log record is pruned; else empty */
	uint8_t bulk_hash[STORE_HASH_BYTES]; /* of a change: of its bulk, as it was written */
	uint8_t hash[STORE_HASH_BYTES];      /* as stored */
};
/* The hash that the record must have. */
void store_audit_hash(uint8_t out[static STORE_HASH_BYTES],
		      const uint8_t before[static STORE_HASH_BYTES],
		      const struct store_audit_record *record);

/* Walks what is kept after the anchor, from sequence `first` on, as struct store_walk walks a
 * table. Nothing is checked: see store_audit_check(). */
struct store_audit_walk {
	struct store_audit_record record;
	const struct store_view *view; /* what follows is the store's */
	struct store_walk parts[2];    /* the log, and what is kept without it */
	struct store_audit_record next[2];
	bool has[2], started;
	uint64_t first;
	enum store_direction direction;
};
void store_audit_begin(struct store_audit_walk *walk, const struct store_view *view, uint64_t first,
		       enum store_direction direction);
bool store_audit_next(struct store_audit_walk *walk);
SL_MUST_USE sl_code store_audit_result(const struct store_audit_walk *walk, struct sl_err *err);
void store_audit_end(struct store_audit_walk *walk);

/* Checks some of the sequence, forward; to be begun with the anchor and to be gone on with, on
 * later views too. */
struct store_audit_check {
	struct store_audit_point at; /* up to here all is looked at; the hash as stored there */
	uint64_t checked, faults;
	bool finished; /* `at` is the head, or nothing more is there */
	/* About each fault: which record, and what is wrong with it; static. */
	void (*on_fault)(void *ctx, uint64_t sequence, const char *what);
	void *ctx;
};
/* Looks at no more than `max` records. */
SL_MUST_USE sl_code store_audit_check(struct store_audit_check *check,
				      const struct store_view *view, size_t max,
				      struct sl_err *err);

/* --- copies ------------------------------------------------------------------- */

/* What a copy holds. */
struct store_backup {
	uint64_t revision; /* the head at its moment */
	uint64_t bytes;    /* of the file */
	uint64_t took_ms;  /* so long one snapshot was held: the store's own file grows by what is
			      written meanwhile */
};

/* Writes all that the store holds at one moment to `file` (made anew, 0600, synced), compacted,
 * with its digest at the end, while reads and writes go on. Blocks for long: for a thread of its
 * own, and one at a time. go_on (may be NULL) is asked about every MiB; false ends it with
 * SL_CANCELLED. What failed leaves no file.
 * SL_FAILED_PRECONDITION: the file is there already, or its folder is not.
 * SL_RESOURCE_EXHAUSTED / DISK_LOW: it does not fit above the reserve. */
SL_MUST_USE sl_code store_backup(struct store *store, const char *file, bool (*go_on)(void *ctx),
				 void *ctx, struct store_backup *ret_backup, struct sl_err *err);

struct store_restore {
	const char *file; /* made by store_backup() */
	const char *path; /* the new store's folder: made, or there and empty */
	unsigned raise;   /* revisions go on this many times 2^32 higher; at least 1 */
	/* May refuse the copy, which is a store at `path` to be opened for reading only. May be
	 * NULL. */
	sl_code (*check)(void *ctx, const char *path, struct sl_err *err);
	void *ctx;
};

/* Makes a store of a copy: its head is raised, all changes up to there count as compacted, and it
 * is in recovery. The store is there whole or not at all; a restore that was cut short is swept by
 * the next. *ret_revision is the new head. SL_DATA_LOSS: the file is no copy of ours, or not as it
 * was written. SL_FAILED_PRECONDITION: the folder is not empty, or a newer program wrote the file.
 */
SL_MUST_USE sl_code store_restore(const struct store_restore *restore, uint64_t *ret_revision,
				  struct sl_err *err);

/* Named value that a restore sets; a command that puts it empty ends the recovery. */
#define STORE_META_RECOVERY "recovery"
/* Restored, and nobody has ended the recovery. True also when that cannot be read. */
bool store_view_is_recovering(const struct store_view *view);

/* --- looking at it ---------------------------------------------------------- */

#define STORE_BATCH_BUCKETS 16 /* batch of n commands counts in bucket floor(log2(n)) */

struct store_stats {
	uint64_t revision, floor;
	uint64_t map_bytes, used_bytes, file_bytes, free_disk_bytes;
	uint64_t commits, commands, refused;
	uint64_t batch_count[STORE_BATCH_BUCKETS];
	uint64_t commit_us_total, commit_us_max; /* time in commit, syncs included */
	uint64_t queued;                         /* commands waiting now */
	uint64_t log_records;
	uint64_t audit_sequence, audit_anchor; /* last record, and where it was cut */
	uint64_t readers;
};
void store_stats_read(struct store *store, struct store_stats *ret_stats); /* any thread */

#endif
