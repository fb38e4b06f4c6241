/* store_internal: what the files of server/store share. The only place where
 * LMDB's types and ours meet. */
#ifndef SL_SERVER_STORE_INTERNAL_H
#define SL_SERVER_STORE_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>

#include <lmdb.h>

#include "base/crypto/crypto.h"
#include "base/mem/own.h"
#include "server/store/journal.h"
#include "server/store/store.h"

#define STORE_FORMAT 3 /* raised when the meaning of our own tables or files changes */
#define STORE_JOURNAL_BYTES (64u << 20) /* unless options say it */
#define STORE_READERS_MAX 512           /* snapshots open at a time */
#define STORE_BATCH_MAX 1024            /* commands in a commit */
#define STORE_BATCH_BYTES (64u << 20)   /* changes in a commit, before it is cut short */
#define STORE_PRUNE_STEP 256            /* log records looked at in a commit */
#define STORE_STATE_KEY "store/state"
#define STORE_FORMAT_KEY "store/format"
#define STORE_LOG_TABLE "store/log"
#define STORE_AUDIT_TABLE                                                                          \
	"store/refusals" /* and what the audit sequence keeps of pruned log records */
#define STORE_META_TABLE "store/meta"
#define STORE_OWN_PREFIX "store/" /* names that callers may not use */

/* The numbers that must survive the pruning of every record: one value of the meta table. */
struct store_state {
	uint64_t revision; /* head */
	uint64_t floor;    /* log records up to here may go */
	uint64_t pruned;   /* log records up to here have been judged: dropped, or kept for good */
	struct store_audit_point audit,
	    anchor; /* the audit sequence's last record; where it was cut */
	uint64_t unsealed_revision, unsealed_sequence; /* up to here a program from before wrote */
};

struct store_view {
	struct store *store;
	MDB_txn *txn;
	struct store_state state;
	bool open;               /* txn holds a snapshot, of what was committed ... */
	uint64_t generation;     /* ... when store->generation was this, or later */
	struct store_view *next; /* in the pool */
};

/* What one command decided. Lives in the writer and is emptied for each command. */
struct store_changes {
	uint64_t revision;      /* what they become */
	struct sl_buf ops;      /* struct op, key, value, one after the other */
	struct sl_buf refusals; /* the same, kept whatever the command answers */
	bool changed, logged;
	uint64_t tables;              /* written to: see on_commit */
	uint64_t floor;               /* 0: not raised */
	struct store_audit_point cut; /* sequence 0: none */
	sl_code code;                 /* sticky */
	struct sl_err err;
};

/* Written by the writer, read by anybody. */
struct store_counters {
	atomic_uint_least64_t revision, floor, log_records, audit_sequence, audit_anchor;
	atomic_uint_least64_t commits, commands, refused;
	atomic_uint_least64_t batch_count[STORE_BATCH_BUCKETS];
	atomic_uint_least64_t commit_us_total, commit_us_max;
	atomic_uint_least64_t views; /* open now */
};

struct store {
	char *path;      /* owned */
	uint64_t serial; /* of the stores of this process */
	struct store_options options;
	int lock_fd; /* -1: none */
	MDB_env *env;
	struct journal *journal;          /* NULL: read_only */
	MDB_dbi tables[STORE_TABLES_MAX]; /* STORE_NO_TABLE: not made yet (read_only) */
	MDB_dbi log, audit, meta;
	uint64_t page_bytes, map_pages;
	struct store_counters counters;

	pthread_mutex_t pool_lock;        /* guards idle */
	struct store_view *idle;          /* snapshots in nobody's use, see view.c */
	atomic_uint_least64_t generation; /* twice the commits of this process, see view.c */

	pthread_mutex_t lock; /* guards what follows, down to failed */
	pthread_cond_t wake;  /* signalled when it changes */
	struct store_cmd *head, **tail;
	unsigned queued;
	bool refusing, stopping, failed;

	pthread_t writer;
	bool writer_started;
	/* the writer thread's own */
	struct store_state state; /* as committed */
	struct store_changes changes;
	struct store_cmd *batch[STORE_BATCH_MAX];
	size_t prune_step;  /* records judged at a time; less while the map is full */
	bool prune_waiting; /* the caller said LATER */
	bool sweeping;      /* records up to the anchor may be there still */
	bool sweep_waiting; /* there was no room for a step: with the next batch */
};

#define STORE_NO_TABLE ((MDB_dbi)0) /* LMDB's own free list: never a table of ours */

/* The one place where LMDB's codes become ours. */
sl_code store_err_mdb(struct sl_err *err, int rc, const char *doing);
/* The map or the transaction has no room: the command's fault, not the disk's. */
bool store_rc_is_full(int rc);

static inline MDB_val store_val(struct sl_bytes bytes)
{
	return (MDB_val){.mv_size = bytes.size, .mv_data = (void *)(uintptr_t)bytes.data};
}

static inline struct sl_bytes store_bytes(MDB_val val)
{
	return SL_BYTES(val.mv_data, val.mv_size);
}

/* Behind each record of the audit sequence: size of its body, sequence, hash; see audit.c. */
#define STORE_SEAL_BYTES (4 + 8 + STORE_HASH_BYTES)

/* A log record without its seal. */
static inline struct sl_bytes store_unsealed(const struct store_state *state, uint64_t revision,
					     struct sl_bytes value)
{
	if (revision > state->unsealed_revision && value.size >= STORE_SEAL_BYTES) {
		value.size -= STORE_SEAL_BYTES;
	}
	return value;
}

/* --- state.c: the numbers of struct store_state --- */
int store_state_load(MDB_txn *txn, MDB_dbi meta, struct store_state *state);
int store_state_save(MDB_txn *txn, MDB_dbi meta, const struct store_state *state);
/* The same, and the format with it: a program from before knows from it not to open this. */
int store_state_upgrade(MDB_txn *txn, MDB_dbi meta, const struct store_state *state);

/* --- audit.c --- */
struct store_sealing {
	struct sl_bytes body, bulk;
	bool change;
};
/* Takes the next number and puts the sealed record. In the log the key is `revision`. */
int store_audit_append(const struct store *store, MDB_txn *txn, struct store_state *state,
		       uint64_t revision, const struct store_sealing *sealing);
/* Keeps in the audit table what it needs of a log record that goes. */
int store_audit_keep(const struct store *store, MDB_txn *txn, const struct store_state *state,
		     uint64_t revision, struct sl_bytes value);
/* Deletes some records up to the anchor; store->sweeping becomes false with the last. */
int store_audit_sweep(struct store *store, MDB_txn *txn, const struct store_state *state);

/* --- changes.c --- */
void store_changes_reset(struct store_changes *changes, uint64_t revision);
void store_changes_fini(struct store_changes *changes);
/* Writes the changes, or only the refusals, to txn. Returns LMDB's code. */
int store_changes_apply(const struct store_changes *changes, const struct store *store,
			MDB_txn *txn, struct store_state *state);
int store_refusals_apply(const struct store_changes *changes, const struct store *store,
			 MDB_txn *txn, struct store_state *state);

/* --- prune.c --- */
/* Is there anything to prune that the caller has not put off? Writer thread. */
bool store_prune_pending(const struct store *store);
/* One bounded step. Returns LMDB's code. */
int store_prune_step(struct store *store, MDB_txn *txn, struct store_state *state);

/* --- room.c --- */
/* Why only commands that shrink may pass now: SL_REASON_NONE, DISK_LOW or STORE_FULL. */
enum sl_reason store_room_check(const struct store *store);
/* Pages in LMDB's free list as txn sees it, of transactions before `oldest`. */
int store_free_pages(MDB_txn *txn, uint64_t oldest, uint64_t *ret_pages);
uint64_t store_free_disk(const struct store *store); /* bytes; UINT64_MAX when nobody can say */

/* --- batch.c --- */
/* Answers store->batch[0..count), in one commit if it can be; none: a step of pruning. Writer
 * thread. */
void store_batch_run(struct store *store, size_t count);
/* Ends the store: every command that waits is answered STORAGE_FAILED. Writer thread. */
void store_fail(struct store *store, const struct sl_err *err);
void store_answer_failed(struct store_cmd *cmd);

/* --- writer.c --- */
SL_MUST_USE sl_code store_writer_start(struct store *store, struct sl_err *err);
void store_writer_stop(struct store *store);
/* Takes up to STORE_BATCH_MAX waiting commands into store->batch, in order. Locks. */
size_t store_queue_take(struct store *store);

/* --- backup.c --- */
/* The last bytes of a copy: what the rest of the file must be. */
#define STORE_TRAILER_BYTES 64
struct store_trailer {
	uint64_t bytes;    /* of LMDB's file, in front of the trailer */
	uint64_t revision; /* its head */
	uint8_t digest[SL_HASH_BYTES];
};
void store_trailer_put(uint8_t out[static STORE_TRAILER_BYTES],
		       const struct store_trailer *trailer);
/* False: it is none. */
bool store_trailer_get(const uint8_t in[static STORE_TRAILER_BYTES],
		       struct store_trailer *ret_trailer);
sl_code store_write_all(int fd, const void *data, size_t size, struct sl_err *err);

/* --- restore.c --- */
/* SL_FAILED_PRECONDITION: a restore into the folder was cut short. */
SL_MUST_USE sl_code store_restore_check(const char *path, struct sl_err *err);

/* --- open.c --- */
/* SL_DATA_LOSS: no format number; SL_FAILED_PRECONDITION: a newer one than ours. */
SL_MUST_USE sl_code store_check_format(MDB_txn *txn, MDB_dbi meta, struct sl_err *err);

/* --- length.c --- */
/* Reads nothing that is not there. SL_DATA_LOSS: the data file was cut short. */
SL_MUST_USE sl_code store_check_length(const char *path, struct sl_err *err);

/* --- walk.c --- */
/* Over a table whose keys are numbers; values as they are stored. */
void store_walk_numbered(struct store_walk *walk, const struct store_view *view, MDB_dbi table,
			 uint64_t first, enum store_direction direction);

/* --- view.c --- */
void store_pool_fini(struct store *store);
/* From now on a commit may be seen. Writer thread; ctx is the store. */
void store_pool_committing(void *ctx);
/* What was read before is old. Writer thread, after each commit and before anybody is told. */
void store_pool_committed(struct store *store);

static inline void store_txn_abort_auto(MDB_txn **txn)
{
	if (*txn != NULL) {
		mdb_txn_abort(*txn);
	}
}

/* mdb_txn_commit() frees the handle even when it fails, so forget it first. */
static inline int store_txn_commit(MDB_txn **txn)
{
	return mdb_txn_commit(SL_TAKE(*txn));
}

#endif
