#include "server/store/store_internal.h"

SL_DEFINE_AUTO(MDB_cursor *, mdb_cursor_close);

bool store_prune_pending(const struct store *store)
{
	return (store->state.floor > store->state.pruned && !store->prune_waiting) ||
	       (store->sweeping && !store->sweep_waiting);
}

struct judged {
	uint64_t drop[STORE_PRUNE_STEP];
	size_t drops, count;
	uint64_t last; /* up to here all is judged */
	bool later;
};

/* Reads first and deletes afterwards: a cursor need not survive a delete. */
static int judge(struct store *store, MDB_txn *txn, const struct store_state *state,
		 struct judged *judged)
{
	SL_AUTO(mdb_cursor_close_auto) MDB_cursor *cursor = NULL;
	int rc = mdb_cursor_open(txn, store->log, &cursor);
	if (rc != 0) {
		return rc;
	}
	uint8_t start[8];
	sl_put_be64(start, state->pruned + 1);
	MDB_val key = store_val(SL_BYTES(start, sizeof(start)));
	MDB_val value;
	judged->last = state->pruned;
	for (rc = mdb_cursor_get(cursor, &key, &value, MDB_SET_RANGE); rc == 0;
	     rc = mdb_cursor_get(cursor, &key, &value, MDB_NEXT)) {
		uint64_t revision = sl_get_be64(key.mv_data);
		if (revision > state->floor) {
			break;
		}
		if (judged->count == store->prune_step) {
			return 0;
		}
		enum store_prune verdict = STORE_PRUNE_DROP;
		if (store->options.prune != NULL) {
			verdict = store->options.prune(
			    store->options.ctx, revision,
			    store_unsealed(state, revision, store_bytes(value)));
		}
		if (verdict == STORE_PRUNE_LATER) {
			judged->later = true;
			return 0;
		}
		if (verdict == STORE_PRUNE_DROP) {
			judged->drop[judged->drops++] = revision;
		}
		judged->count++;
		judged->last = revision;
	}
	judged->last = state->floor;
	return rc == MDB_NOTFOUND ? 0 : rc;
}

/* What the audit sequence needs of it is kept beside the log. */
static int drop(const struct store *store, MDB_txn *txn, const struct store_state *state,
		uint64_t revision)
{
	uint8_t bytes[8];
	sl_put_be64(bytes, revision);
	MDB_val key = store_val(SL_BYTES(bytes, sizeof(bytes)));
	MDB_val value;
	int rc = mdb_get(txn, store->log, &key, &value);
	if (rc == 0) {
		rc = store_audit_keep(store, txn, state, revision, store_bytes(value));
	}
	return rc == 0 ? mdb_del(txn, store->log, &key, NULL) : rc;
}

int store_prune_step(struct store *store, MDB_txn *txn, struct store_state *state)
{
	struct judged judged;
	judged.drops = 0;
	judged.count = 0;
	judged.later = false;
	int rc = judge(store, txn, state, &judged);
	for (size_t i = 0; i < judged.drops && rc == 0; i++) {
		rc = drop(store, txn, state, judged.drop[i]);
	}
	if (rc == 0) {
		state->pruned = judged.last;
		store->prune_waiting = judged.later;
	}
	return rc;
}
