/* One batch is one transaction, if nothing goes wrong:
 *
 *   ATTEMPT --commit ok--------------------------> ANSWER
 *      |----full while applying command i > 0----> ATTEMPT [0, i), the rest follows
 *      |----full while applying command 0--------> command 0 is refused, the rest follows
 *      |----full while pruning-------------------> ATTEMPT without pruning, smaller steps later
 *      |----full in commit-----------------------> ATTEMPT the first half (one: it is refused)
 *      '----anything else------------------------> the store has failed
 *
 * A full map spoils the whole transaction, so what fitted is decided again in
 * a new one. A command is blamed only when it does not fit as the first. */
#include "server/store/store_internal.h"

#include <errno.h>

#include "base/clock/clock.h"
#include "base/failpoint/failpoint.h"

enum outcome {
	OUTCOME_COMMITTED,
	OUTCOME_FULL_COMMAND,
	OUTCOME_FULL_PRUNE,
	OUTCOME_FULL_COMMIT,
	OUTCOME_FAILED
};

struct attempt {
	struct store *store;
	MDB_txn *txn;
	struct store_state state; /* as it will be */
	enum sl_reason short_of;  /* why only commands that shrink pass */
	size_t taken;             /* commands decided and applied */
	size_t bytes;             /* of their changes */
	uint64_t tables;          /* that they wrote to */
	size_t refused;
	bool pruned;       /* a step of it is in here */
	const char *doing; /* when rc was met */
	int rc;
};

static void refuse_for_room(struct store_cmd *cmd, enum sl_reason reason)
{
	const char *text = reason == SL_REASON_DISK_LOW
			       ? "free disk is under the reserve: only deletes pass"
			       : "the store's map is nearly full: only deletes pass";
	cmd->code = sl_err_because(&cmd->err, SL_RESOURCE_EXHAUSTED, reason, "%s", text);
}

/* Under the reserve only what shrinks, and what writes nothing, passes. */
static bool may_pass(const struct attempt *a, struct store_cmd *cmd, const struct store_view *view)
{
	return a->short_of == SL_REASON_NONE || cmd->shrinks ||
	       (cmd->writes_nothing != NULL && cmd->writes_nothing(cmd, view));
}

/* Decides one command and applies it. Returns LMDB's code of the applying. */
static int take_command(struct attempt *a, struct store_cmd *cmd)
{
	struct store_changes *changes = &a->store->changes;
	struct store_view view = {.store = a->store, .txn = a->txn, .state = a->state};
	sl_err_clear(&cmd->err);
	cmd->revision = 0;
	if (!may_pass(a, cmd, &view)) {
		refuse_for_room(cmd, a->short_of);
		return 0;
	}
	store_changes_reset(changes, a->state.revision + 1);
	cmd->code = cmd->decide(cmd, &view, changes, &cmd->err);
	if (changes->code != SL_OK) { /* also over a refusal: it may be its record that is lost */
		sl_err_move(&cmd->err, &changes->err);
		cmd->code = changes->code;
	}
	a->bytes += changes->ops.size + changes->refusals.size;
	int rc = store_refusals_apply(changes, a->store, a->txn, &a->state);
	if (rc == 0 && cmd->code == SL_OK && changes->changed) {
		rc = store_changes_apply(changes, a->store, a->txn, &a->state);
		cmd->revision = a->state.revision;
		a->tables |= changes->tables;
	}
	return rc;
}

static enum outcome failed_as(struct attempt *a, int rc, const char *doing, enum outcome when_full)
{
	a->rc = rc;
	a->doing = doing;
	return store_rc_is_full(rc) ? when_full : OUTCOME_FAILED;
}

static enum outcome take_commands(struct attempt *a, struct store_cmd **cmds, size_t count)
{
	while (a->taken < count && a->bytes < STORE_BATCH_BYTES) {
		struct store_cmd *cmd = cmds[a->taken];
		int rc = take_command(a, cmd);
		if (rc != 0) {
			return failed_as(a, rc, "apply", OUTCOME_FULL_COMMAND);
		}
		a->refused += cmd->code != SL_OK;
		a->taken++;
	}
	return OUTCOME_COMMITTED;
}

static void add(atomic_uint_least64_t *counter, uint64_t n)
{
	(void)atomic_fetch_add_explicit(counter, n, memory_order_relaxed);
}

static void set(atomic_uint_least64_t *counter, uint64_t n)
{
	atomic_store_explicit(counter, n, memory_order_relaxed);
}

static bool same_state(const struct store_state *a, const struct store_state *b)
{
	return a->revision == b->revision && a->floor == b->floor && a->pruned == b->pruned &&
	       a->audit.sequence == b->audit.sequence;
}

static void count_commands(const struct attempt *a)
{
	add(&a->store->counters.commands, a->taken);
	add(&a->store->counters.refused, a->refused);
}

static void count_commit(const struct attempt *a, uint64_t log_records, uint64_t took_us)
{
	struct store_counters *c = &a->store->counters;
	set(&c->revision, a->state.revision);
	set(&c->floor, a->state.floor);
	set(&c->audit_sequence, a->state.audit.sequence);
	set(&c->audit_anchor, a->state.anchor.sequence);
	set(&c->log_records, log_records);
	add(&c->commits, 1);
	add(&c->commit_us_total, took_us);
	if (took_us > atomic_load_explicit(&c->commit_us_max, memory_order_relaxed)) {
		set(&c->commit_us_max, took_us); /* one writer: nothing comes between */
	}
	if (a->taken > 0) {
		unsigned bucket = 63u - (unsigned)__builtin_clzll(a->taken);
		add(&c->batch_count[bucket < STORE_BATCH_BUCKETS ? bucket
								 : STORE_BATCH_BUCKETS - 1],
		    1);
	}
}

static enum outcome commit(struct attempt *a)
{
	struct store *store = a->store;
	/* Whatever is written moves one of these numbers: a log record or refusal goes with it. */
	bool changed = !same_state(&a->state, &store->state);
	int rc = changed ? store_state_save(a->txn, store->meta, &a->state) : 0;
	MDB_stat log = {.ms_entries = 0};
	if (rc == 0) {
		rc = mdb_stat(a->txn, store->log, &log);
	}
	if (rc != 0) {
		return failed_as(a, rc, "save the state", OUTCOME_FULL_COMMIT);
	}
	uint64_t from_us = sl_clock_mono_us();
	SL_FAILPOINT("commit");
	rc = store_txn_commit(&a->txn);
	if (rc != 0) {
		/* Short memory in a commit may have struck after the first write: no second try. */
		enum outcome when_full = rc == ENOMEM ? OUTCOME_FAILED : OUTCOME_FULL_COMMIT;
		return failed_as(a, rc, "commit", when_full);
	}
	SL_FAILPOINT("committed");
	store_pool_committed(store);
	count_commands(a);
	if (changed) {
		count_commit(a, log.ms_entries, sl_clock_mono_us() - from_us);
	}
	return OUTCOME_COMMITTED;
}

static enum outcome attempt(struct attempt *a, struct store_cmd **cmds, size_t count, bool prune)
{
	struct store *store = a->store;
	int rc = mdb_txn_begin(store->env, NULL, 0, &a->txn);
	if (rc != 0) {
		a->txn = NULL;
		return failed_as(a, rc, "begin", OUTCOME_FAILED);
	}
	rc = journal_begin(store->journal, mdb_txn_id(a->txn));
	if (rc != 0) {
		return failed_as(a, rc, "sync the data file", OUTCOME_FAILED);
	}
	SL_FAILPOINT("begin");
	enum outcome outcome = take_commands(a, cmds, count);
	if (outcome != OUTCOME_COMMITTED) {
		return outcome;
	}
	if (prune && a->state.floor > a->state.pruned && !(store->prune_waiting && a->taken == 0)) {
		SL_FAILPOINT("trim");
		rc = store_prune_step(store, a->txn, &a->state);
		SL_FAILPOINT("trimmed");
		a->pruned = true;
		if (rc != 0) {
			return failed_as(a, rc, "prune the log", OUTCOME_FULL_PRUNE);
		}
	}
	if (prune && store->sweeping) {
		rc = store_audit_sweep(store, a->txn, &a->state);
		a->pruned = true;
		if (rc != 0) {
			return failed_as(a, rc, "cut the audit sequence", OUTCOME_FULL_PRUNE);
		}
	}
	return commit(a);
}

static void answer(struct store_cmd **cmds, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		SL_FAILPOINT("reply");
		cmds[i]->done(cmds[i]);
	}
}

static void answer_committed(struct attempt *a, struct store_cmd **cmds)
{
	struct store *store = a->store;
	uint64_t before = store->state.revision;
	store->sweeping =
	    store->sweeping || a->state.anchor.sequence > store->state.anchor.sequence;
	store->state = a->state;
	if (a->pruned && store->prune_step < STORE_PRUNE_STEP) {
		store->prune_step *= 2;
	}
	if (a->state.revision > before && store->options.on_commit != NULL) {
		store->options.on_commit(store->options.ctx, before + 1, a->state.revision,
					 a->tables);
	}
	answer(cmds, a->taken);
}

static void answer_blamed(struct store *store, struct store_cmd *cmd, int rc)
{
	sl_err_clear(&cmd->err);
	cmd->revision = 0;
	cmd->code = store_err_mdb(&cmd->err, rc, "the store has no room for this");
	add(&store->counters.commands, 1);
	add(&store->counters.refused, 1);
	cmd->done(cmd);
}

void store_answer_failed(struct store_cmd *cmd)
{
	sl_err_clear(&cmd->err);
	cmd->revision = 0;
	cmd->code = sl_err_because(&cmd->err, SL_UNAVAILABLE, SL_REASON_STORAGE_FAILED,
				   "the server's storage failed; nothing more is written");
	cmd->done(cmd);
}

static void end_store(struct store *store, const char *doing, int rc, struct store_cmd **cmds,
		      size_t count)
{
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	(void)sl_err_because(&err, SL_UNAVAILABLE, SL_REASON_STORAGE_FAILED, "store '%s': %s: %s",
			     store->path, doing, mdb_strerror(rc));
	store_fail(store, &err);
	for (size_t i = 0; i < count; i++) {
		store_answer_failed(cmds[i]);
	}
}

/* Commits and answers as many of the commands as fit in one transaction.
 * Returns how many it answered: at least one, if there are any. */
static size_t run_some(struct store *store, struct store_cmd **cmds, size_t count)
{
	enum sl_reason short_of = store_room_check(store);
	size_t limit = count;
	for (bool prune = true;;) {
		struct attempt a = {.store = store, .state = store->state, .short_of = short_of};
		enum outcome outcome = attempt(&a, cmds, limit, prune);
		if (a.txn != NULL) {
			mdb_txn_abort(a.txn);
		}
		journal_end();
		if (outcome == OUTCOME_COMMITTED) {
			answer_committed(&a, cmds);
			return a.taken;
		}
		if (outcome == OUTCOME_FAILED) {
			end_store(store, a.doing, a.rc, cmds, count);
			return count;
		}
		if (outcome == OUTCOME_FULL_PRUNE || (outcome == OUTCOME_FULL_COMMIT && a.pruned)) {
			prune = false;
			/* alone and no room: wait for the next batch */
			store->prune_waiting = store->sweep_waiting = limit == 0;
			store->prune_step = store->prune_step > 1 ? store->prune_step / 2 : 1;
			continue;
		}
		if (limit == 0) {
			return 0;
		}
		bool alone = outcome == OUTCOME_FULL_COMMAND ? a.taken == 0 : limit == 1;
		if (alone) {
			answer_blamed(store, cmds[0], a.rc);
			return 1;
		}
		limit = outcome == OUTCOME_FULL_COMMAND ? a.taken : limit / 2;
	}
}

void store_batch_run(struct store *store, size_t count)
{
	size_t at = 0;
	do {
		at += run_some(store, store->batch + at, count - at);
	} while (at < count);
}
