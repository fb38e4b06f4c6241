#include "server/store/store_internal.h"

#include <assert.h>

enum op_kind { OP_PUT, OP_DELETE, OP_META, OP_LOG, OP_REFUSAL };

/* In front of each key and value in the buffer. */
struct op {
	uint8_t kind, table;
	uint16_t key_bytes;
	uint32_t value_bytes;
	uint32_t body_bytes; /* of a log record: the value's first part */
};

#define KEEP_ROOM (1u << 20) /* bytes that a buffer may hold on to between commands */

static void empty(struct sl_buf *buf)
{
	if (buf->failed || buf->room > KEEP_ROOM) {
		sl_buf_fini(buf);
	}
	sl_buf_clear(buf);
}

void store_changes_reset(struct store_changes *changes, uint64_t revision)
{
	empty(&changes->ops);
	empty(&changes->refusals);
	changes->revision = revision;
	changes->changed = false;
	changes->logged = false;
	changes->tables = 0;
	changes->floor = 0;
	changes->cut.sequence = 0;
	changes->code = SL_OK;
	sl_err_clear(&changes->err);
}

void store_changes_fini(struct store_changes *changes)
{
	sl_buf_fini(&changes->ops);
	sl_buf_fini(&changes->refusals);
	sl_err_clear(&changes->err);
}

uint64_t store_changes_revision(const struct store_changes *changes)
{
	return changes->revision;
}

static void append_op(struct store_changes *changes, const struct op *op, struct sl_bytes key,
		      struct sl_bytes value, struct sl_bytes rest)
{
	struct sl_buf *buf = op->kind == OP_REFUSAL ? &changes->refusals : &changes->ops;
	size_t before = buf->size;
	sl_buf_append(buf, op, sizeof(*op));
	sl_buf_append(buf, key.data, key.size);
	sl_buf_append(buf, value.data, value.size);
	sl_buf_append(buf, rest.data, rest.size);
	if (buf->failed) {
		buf->size = before; /* what was whole stays readable */
		changes->code = sl_err_no_memory(&changes->err);
	}
}

static void append(struct store_changes *changes, enum op_kind kind, unsigned table,
		   struct sl_bytes key, struct sl_bytes value)
{
	if (changes->code != SL_OK) {
		return;
	}
	if (value.size > UINT32_MAX) {
		changes->code =
		    sl_err_because(&changes->err, SL_INVALID_ARGUMENT, SL_REASON_MALFORMED,
				   "a value must have less than 4 GiB, has %zu bytes", value.size);
		return;
	}
	struct op op = {
	    .kind = (uint8_t)kind,
	    .table = (uint8_t)table,
	    .key_bytes = (uint16_t)key.size,
	    .value_bytes = (uint32_t)value.size,
	};
	append_op(changes, &op, key, value, SL_BYTES_NONE);
}

/* A record of the audit sequence: both parts become one value. */
static void append_parts(struct store_changes *changes, enum op_kind kind, struct sl_bytes body,
			 struct sl_bytes bulk)
{
	if (changes->code != SL_OK) {
		return;
	}
	if (body.size + bulk.size > UINT32_MAX - STORE_SEAL_BYTES) {
		changes->code =
		    sl_err_because(&changes->err, SL_INVALID_ARGUMENT, SL_REASON_MALFORMED,
				   "a log record must have less than 4 GiB");
		return;
	}
	struct op op = {
	    .kind = (uint8_t)kind,
	    .value_bytes = (uint32_t)(body.size + bulk.size),
	    .body_bytes = (uint32_t)body.size,
	};
	append_op(changes, &op, SL_BYTES_NONE, body, bulk);
}

static void append_keyed(struct store_changes *changes, enum op_kind kind, unsigned table,
			 struct sl_bytes key, struct sl_bytes value)
{
	changes->changed = true;
	if (changes->code == SL_OK && (key.size == 0 || key.size > STORE_KEY_MAX)) {
		changes->code = sl_err_because(
		    &changes->err, SL_INVALID_ARGUMENT, SL_REASON_MALFORMED,
		    "a key must have 1 to %d bytes, has %zu", STORE_KEY_MAX, key.size);
	}
	append(changes, kind, table, key, value);
}

void store_changes_put(struct store_changes *changes, unsigned table, struct sl_bytes key,
		       struct sl_bytes value)
{
	assert(table < STORE_TABLES_MAX);
	changes->tables |= UINT64_C(1) << table;
	append_keyed(changes, OP_PUT, table, key, value);
}

void store_changes_delete(struct store_changes *changes, unsigned table, struct sl_bytes key)
{
	assert(table < STORE_TABLES_MAX);
	changes->tables |= UINT64_C(1) << table;
	append_keyed(changes, OP_DELETE, table, key, SL_BYTES_NONE);
}

void store_changes_put_meta(struct store_changes *changes, const char *name, struct sl_bytes value)
{
	struct sl_bytes key = sl_bytes_text(name);
	assert(!sl_bytes_starts_with(key, sl_bytes_text(STORE_OWN_PREFIX)));
	changes->tables |= STORE_NAMED_VALUES;
	append_keyed(changes, OP_META, 0, key, value);
}

void store_changes_log(struct store_changes *changes, struct sl_bytes record)
{
	assert(!changes->logged);
	changes->logged = true;
	changes->changed = true;
	append_parts(changes, OP_LOG, record, SL_BYTES_NONE);
}

void store_changes_log_parts(struct store_changes *changes, struct sl_bytes body,
			     struct sl_bytes bulk)
{
	assert(!changes->logged);
	changes->logged = true;
	changes->changed = true;
	append_parts(changes, OP_LOG, body, bulk);
}

void store_changes_refusal(struct store_changes *changes, struct sl_bytes record)
{
	append_parts(changes, OP_REFUSAL, record, SL_BYTES_NONE);
}

void store_changes_cut_audit(struct store_changes *changes, uint64_t sequence,
			     const uint8_t hash[static STORE_HASH_BYTES])
{
	changes->changed = true;
	changes->cut.sequence = sequence;
	memcpy(changes->cut.hash, hash, sizeof(changes->cut.hash));
}

void store_changes_set_floor(struct store_changes *changes, uint64_t floor)
{
	changes->changed = true;
	if (changes->code != SL_OK) {
		return;
	}
	if (floor > changes->revision) {
		changes->code =
		    sl_err_set(&changes->err, SL_OUT_OF_RANGE,
			       "the floor must be at most this revision (%llu), is %llu",
			       (unsigned long long)changes->revision, (unsigned long long)floor);
		return;
	}
	changes->floor = floor > changes->floor ? floor : changes->floor;
}

static int append_sealed(const struct op *op, const uint8_t *at, const struct store *store,
			 MDB_txn *txn, struct store_state *state)
{
	struct sl_bytes body = SL_BYTES(at, op->body_bytes);
	struct sl_bytes bulk =
	    SL_BYTES(at + op->body_bytes, op->value_bytes - (size_t)op->body_bytes);
	const struct store_sealing sealing = {
	    .body = body, .bulk = bulk, .change = op->kind == OP_LOG};
	return store_audit_append(store, txn, state, state->revision + 1, &sealing);
}

static int apply_op(const struct op *op, const uint8_t *at, const struct store *store, MDB_txn *txn,
		    struct store_state *state)
{
	MDB_val key = store_val(SL_BYTES(at, op->key_bytes));
	MDB_val value = store_val(SL_BYTES(at + op->key_bytes, op->value_bytes));
	switch ((enum op_kind)op->kind) {
	case OP_PUT:
		return mdb_put(txn, store->tables[op->table], &key, &value, 0);
	case OP_DELETE: {
		int rc = mdb_del(txn, store->tables[op->table], &key, NULL);
		return rc == MDB_NOTFOUND ? 0 : rc;
	}
	case OP_META:
		return mdb_put(txn, store->meta, &key, &value, 0);
	case OP_LOG:
	case OP_REFUSAL:
		return append_sealed(op, at, store, txn, state);
	}
	return MDB_PANIC;
}

static int apply_all(const struct sl_buf *buf, const struct store *store, MDB_txn *txn,
		     struct store_state *state)
{
	int rc = 0;
	for (size_t at = 0; at < buf->size && rc == 0;) {
		struct op op;
		memcpy(&op, buf->data + at, sizeof(op));
		at += sizeof(op);
		assert(op.table < store->options.table_count ||
		       (op.kind != OP_PUT && op.kind != OP_DELETE));
		rc = apply_op(&op, buf->data + at, store, txn, state);
		at += op.key_bytes + (size_t)op.value_bytes;
	}
	return rc;
}

int store_changes_apply(const struct store_changes *changes, const struct store *store,
			MDB_txn *txn, struct store_state *state)
{
	assert(changes->logged); /* a change that nobody can watch or audit is a bug */
	int rc = apply_all(&changes->ops, store, txn, state);
	state->revision = changes->revision;
	state->floor = changes->floor > state->floor ? changes->floor : state->floor;
	assert(changes->cut.sequence <= state->audit.sequence);
	state->anchor =
	    changes->cut.sequence > state->anchor.sequence ? changes->cut : state->anchor;
	return rc;
}

int store_refusals_apply(const struct store_changes *changes, const struct store *store,
			 MDB_txn *txn, struct store_state *state)
{
	return apply_all(&changes->refusals, store, txn, state);
}
