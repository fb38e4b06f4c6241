/* The audit sequence lies in two tables, each in the sequence's order:
 *
 *   log    [body][bulk][seal]        a change, as long as the log has it
 *   audit  [body][seal]              a refusal
 *          [body][bulk's hash][seal] a change whose log record was pruned
 *
 * So a write pays for two hashes and no put, and only pruning moves anything. */
#include "server/store/store_internal.h"

#include <errno.h>

#include "base/chain/chain.h"

SL_DEFINE_AUTO(MDB_cursor *, mdb_cursor_close);

enum { PART_LOG, PART_KEPT };

/* --- sealing ------------------------------------------------------------------------ */

void store_audit_hash(uint8_t out[static STORE_HASH_BYTES],
		      const uint8_t before[static STORE_HASH_BYTES],
		      const struct store_audit_record *record)
{
	sl_chain_hash(out, before, record->sequence, record->body,
		      record->change ? record->bulk_hash : NULL);
}

static uint8_t *put_bytes(uint8_t *at, struct sl_bytes bytes)
{
	if (bytes.size > 0) {
		memcpy(at, bytes.data, bytes.size);
	}
	return at + bytes.size;
}

static void put_seal(uint8_t *at, const struct store_audit_record *record)
{
	sl_put_be32(at, (uint32_t)record->body.size);
	sl_put_be64(at + 4, record->sequence);
	memcpy(at + 12, record->hash, STORE_HASH_BYTES);
}

static int put_numbered(MDB_txn *txn, MDB_dbi table, uint64_t number, size_t size, unsigned flags,
			uint8_t **ret_at)
{
	uint8_t bytes[8];
	sl_put_be64(bytes, number);
	MDB_val key = store_val(SL_BYTES(bytes, sizeof(bytes)));
	MDB_val value = {.mv_size = size};
	int rc = mdb_put(txn, table, &key, &value, flags | MDB_RESERVE);
	*ret_at = rc == 0 ? value.mv_data : NULL;
	return rc;
}

int store_audit_append(const struct store *store, MDB_txn *txn, struct store_state *state,
		       uint64_t revision, const struct store_sealing *sealing)
{
	struct store_audit_record record = {
	    .sequence = state->audit.sequence + 1,
	    .change = sealing->change,
	    .body = sealing->body,
	};
	if (record.change) {
		sl_hash(record.bulk_hash, sealing->bulk.data, sealing->bulk.size, NULL, 0);
	}
	store_audit_hash(record.hash, state->audit.hash, &record);
	uint8_t *at = NULL;
	int rc =
	    put_numbered(txn, record.change ? store->log : store->audit,
			 record.change ? revision : record.sequence,
			 record.body.size + sealing->bulk.size + STORE_SEAL_BYTES, MDB_APPEND, &at);
	if (rc == 0) {
		put_seal(put_bytes(put_bytes(at, record.body), sealing->bulk), &record);
		state->audit.sequence = record.sequence;
		memcpy(state->audit.hash, record.hash, STORE_HASH_BYTES);
	}
	return rc;
}

/* --- reading ------------------------------------------------------------------------- */

/* False: it is not as long as it says. */
static bool read_sealed(struct sl_bytes value, struct store_audit_record *record,
			struct sl_bytes *ret_rest)
{
	if (value.size < STORE_SEAL_BYTES) {
		return false;
	}
	const uint8_t *seal = value.data + value.size - STORE_SEAL_BYTES;
	size_t body = sl_get_be32(seal), whole = value.size - STORE_SEAL_BYTES;
	if (body > whole) {
		return false;
	}
	record->body = SL_BYTES(value.data, body);
	record->sequence = sl_get_be64(seal + 4);
	memcpy(record->hash, seal + 12, STORE_HASH_BYTES);
	*ret_rest = SL_BYTES(value.data + body, whole - body);
	return true;
}

/* A record that does not parse has the number 0, which no record has. */
static struct store_audit_record read_log(uint64_t revision, struct sl_bytes value)
{
	struct store_audit_record record = {.change = true, .revision = revision};
	if (read_sealed(value, &record, &record.bulk)) {
		sl_hash(record.bulk_hash, record.bulk.data, record.bulk.size, NULL, 0);
	}
	return record;
}

static struct store_audit_record read_kept(uint64_t sequence, struct sl_bytes value)
{
	struct store_audit_record record = {.change = false};
	struct sl_bytes rest = SL_BYTES_NONE;
	if (!read_sealed(value, &record, &rest) || record.sequence != sequence ||
	    (rest.size != 0 && rest.size != STORE_HASH_BYTES)) {
		record.sequence = 0;
		return record;
	}
	record.change = rest.size > 0;
	if (record.change) {
		memcpy(record.bulk_hash, rest.data, STORE_HASH_BYTES);
	}
	return record;
}

/* --- pruning, cutting ------------------------------------------------------------------ */

int store_audit_keep(const struct store *store, MDB_txn *txn, const struct store_state *state,
		     uint64_t revision, struct sl_bytes value)
{
	if (revision <= state->unsealed_revision) {
		return 0;
	}
	struct store_audit_record record = read_log(revision, value);
	if (record.sequence <= state->anchor.sequence) {
		return 0; /* cut; or it does not parse, and its number is missing from now on */
	}
	/* A put may move what the record points at. */
	SL_AUTO(sl_buf_fini) struct sl_buf body = {.size = 0};
	sl_buf_append(&body, record.body.data, record.body.size);
	if (body.failed) {
		return ENOMEM;
	}
	record.body = SL_BYTES(body.data, body.size);
	uint8_t *at = NULL;
	int rc = put_numbered(txn, store->audit, record.sequence,
			      record.body.size + STORE_HASH_BYTES + STORE_SEAL_BYTES, 0, &at);
	if (rc == 0) {
		at = put_bytes(at, record.body);
		at = put_bytes(at, SL_BYTES(record.bulk_hash, STORE_HASH_BYTES));
		put_seal(at, &record);
	}
	return rc;
}

int store_audit_sweep(struct store *store, MDB_txn *txn, const struct store_state *state)
{
	SL_AUTO(mdb_cursor_close_auto) MDB_cursor *cursor = NULL;
	int rc = mdb_cursor_open(txn, store->audit, &cursor);
	for (size_t i = 0; i < store->prune_step && rc == 0; i++) {
		MDB_val key, value;
		rc = mdb_cursor_get(cursor, &key, &value, MDB_FIRST);
		if (rc == 0 && sl_get_be64(key.mv_data) > state->anchor.sequence) {
			rc = MDB_NOTFOUND;
		}
		if (rc == 0) {
			rc = mdb_cursor_del(cursor, 0);
		}
	}
	if (rc == MDB_NOTFOUND) {
		store->sweeping = false;
		rc = 0;
	}
	store->sweep_waiting = store->sweep_waiting && rc != 0;
	return rc;
}

/* --- the walk --------------------------------------------------------------------------- */

/* The first revision whose record has `sequence` or a later one. */
static uint64_t revision_of(const struct store_view *view, uint64_t sequence)
{
	uint64_t low = view->state.unsealed_revision, high = view->state.revision;
	while (low < high) {
		uint64_t middle = low + (high - low) / 2;
		SL_AUTO(store_walk_end) struct store_walk walk;
		store_walk_numbered(&walk, view, view->store->log, middle + 1, STORE_FORWARD);
		if (!store_walk_next(&walk)) {
			high = middle;
			continue;
		}
		uint64_t revision = sl_get_be64(walk.key.data);
		if (read_log(revision, walk.value).sequence >= sequence) {
			high = middle;
			continue;
		}
		low = revision;
	}
	return low + 1;
}

void store_audit_begin(struct store_audit_walk *walk, const struct store_view *view, uint64_t first,
		       enum store_direction direction)
{
	*walk = (struct store_audit_walk){.view = view, .first = first, .direction = direction};
	uint64_t anchor = view->state.anchor.sequence;
	bool forward = direction == STORE_FORWARD;
	uint64_t from = forward && first <= anchor ? anchor + 1 : first;
	/* Backwards: the last record of the log before the first one that is too late. */
	uint64_t revision = revision_of(view, forward || from == UINT64_MAX ? from : from + 1);
	store_walk_numbered(&walk->parts[PART_LOG], view, view->store->log,
			    forward ? revision : revision - 1, direction);
	store_walk_numbered(&walk->parts[PART_KEPT], view, view->store->audit, from, direction);
}

/* Reads on in one of the two tables. */
static void advance(struct store_audit_walk *walk, unsigned part)
{
	const struct store_state *state = &walk->view->state;
	bool forward = walk->direction == STORE_FORWARD;
	do {
		walk->has[part] = store_walk_next(&walk->parts[part]);
		if (!walk->has[part]) {
			return;
		}
		uint64_t number = sl_get_be64(walk->parts[part].key.data);
		if (part == PART_LOG && number <= state->unsealed_revision) {
			walk->has[part] = false;
			return;
		}
		struct sl_bytes value = walk->parts[part].value;
		walk->next[part] =
		    part == PART_LOG ? read_log(number, value) : read_kept(number, value);
		/* What was cut, and the log needs still, is not of the sequence any more. */
	} while (forward && walk->next[part].sequence != 0 &&
		 walk->next[part].sequence <= state->anchor.sequence);
	walk->has[part] =
	    walk->next[part].sequence == 0 || walk->next[part].sequence > state->anchor.sequence;
}

static unsigned choose(const struct store_audit_walk *walk)
{
	if (!walk->has[PART_LOG] || !walk->has[PART_KEPT]) {
		return walk->has[PART_LOG] ? PART_LOG : PART_KEPT;
	}
	bool log_is_first = walk->next[PART_LOG].sequence <= walk->next[PART_KEPT].sequence;
	return log_is_first == (walk->direction == STORE_FORWARD) ? PART_LOG : PART_KEPT;
}

bool store_audit_next(struct store_audit_walk *walk)
{
	if (!walk->started) {
		walk->started = true;
		advance(walk, PART_LOG);
		advance(walk, PART_KEPT);
	}
	unsigned part = choose(walk);
	if (!walk->has[part]) {
		return false;
	}
	walk->record = walk->next[part];
	advance(walk, part);
	return true;
}

sl_code store_audit_result(const struct store_audit_walk *walk, struct sl_err *err)
{
	sl_code code = store_walk_result(&walk->parts[PART_LOG], err);
	return code != SL_OK ? code : store_walk_result(&walk->parts[PART_KEPT], err);
}

void store_audit_end(struct store_audit_walk *walk)
{
	store_walk_end(&walk->parts[PART_LOG]);
	store_walk_end(&walk->parts[PART_KEPT]);
}

/* --- checking ------------------------------------------------------------------------------ */

static void fault(struct store_audit_check *check, uint64_t sequence, const char *what)
{
	check->faults++;
	if (check->on_fault != NULL) {
		check->on_fault(check->ctx, sequence, what);
	}
}

static void check_record(struct store_audit_check *check, const struct store_audit_record *record)
{
	uint64_t expected = check->at.sequence + 1;
	uint8_t hash[STORE_HASH_BYTES];
	check->checked++;
	if (record->sequence == 0) {
		fault(check, expected, "is damaged, or stored under another's number");
		return;
	}
	if (record->sequence < expected) {
		fault(check, record->sequence, "is out of order");
		return;
	}
	store_audit_hash(hash, check->at.hash, record);
	if (record->sequence > expected) { /* its hash says nothing without the one before */
		fault(check, expected, "is missing");
	} else if (memcmp(hash, record->hash, sizeof(hash)) != 0) {
		fault(check, expected, "was changed, or does not follow the one before");
	}
	check->at.sequence = record->sequence;
	memcpy(check->at.hash, record->hash, STORE_HASH_BYTES);
}

static void check_end(struct store_audit_check *check, const struct store_audit_point *head)
{
	check->finished = true;
	if (check->at.sequence < head->sequence) {
		fault(check, check->at.sequence + 1, "is missing, and so is all up to the head");
	} else if (check->at.sequence > head->sequence) {
		fault(check, check->at.sequence, "is later than the head");
	} else if (memcmp(check->at.hash, head->hash, STORE_HASH_BYTES) != 0) {
		fault(check, check->at.sequence, "is not the one that the head names");
	}
}

sl_code store_audit_check(struct store_audit_check *check, const struct store_view *view,
			  size_t max, struct sl_err *err)
{
	struct store_audit_point anchor = view->state.anchor;
	if (check->at.sequence < anchor.sequence) { /* cut meanwhile */
		check->at = anchor;
	}
	SL_AUTO(store_audit_end) struct store_audit_walk walk;
	store_audit_begin(&walk, view, check->at.sequence + 1, STORE_FORWARD);
	bool more = true;
	for (size_t i = 0; i < max && more; i++) {
		more = store_audit_next(&walk);
		if (more) {
			check_record(check, &walk.record);
		}
	}
	sl_code code = store_audit_result(&walk, err);
	if (code == SL_OK && !more) {
		check_end(check, &view->state.audit);
	}
	return code;
}
