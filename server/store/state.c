#include "server/store/store_internal.h"

#include <errno.h>

sl_code store_err_mdb(struct sl_err *err, int rc, const char *doing)
{
	static const struct {
		int rc;
		sl_code code;
		enum sl_reason reason;
	} rows[] = {
	    {MDB_MAP_FULL, SL_RESOURCE_EXHAUSTED, SL_REASON_STORE_FULL},
	    {MDB_TXN_FULL, SL_RESOURCE_EXHAUSTED, SL_REASON_STORE_FULL},
	    {MDB_READERS_FULL, SL_RESOURCE_EXHAUSTED, SL_REASON_TOO_MANY},
	    {ENOSPC, SL_RESOURCE_EXHAUSTED, SL_REASON_DISK_LOW},
	    {EDQUOT, SL_RESOURCE_EXHAUSTED, SL_REASON_DISK_LOW},
	    {ENOMEM, SL_RESOURCE_EXHAUSTED, SL_REASON_TOO_MANY},
	    {MDB_BAD_VALSIZE, SL_INVALID_ARGUMENT, SL_REASON_MALFORMED},
	    {MDB_INVALID, SL_DATA_LOSS, SL_REASON_STORAGE_FAILED},
	    {MDB_CORRUPTED, SL_DATA_LOSS, SL_REASON_STORAGE_FAILED},
	    {MDB_PAGE_NOTFOUND, SL_DATA_LOSS, SL_REASON_STORAGE_FAILED},
	    {MDB_VERSION_MISMATCH, SL_DATA_LOSS, SL_REASON_STORAGE_FAILED},
	    {MDB_INCOMPATIBLE, SL_DATA_LOSS, SL_REASON_STORAGE_FAILED},
	    {MDB_PANIC, SL_UNAVAILABLE, SL_REASON_STORAGE_FAILED},
	    {ENOENT, SL_FAILED_PRECONDITION, SL_REASON_NONE},
	    {EACCES, SL_FAILED_PRECONDITION, SL_REASON_NONE},
	    {EROFS, SL_FAILED_PRECONDITION, SL_REASON_NONE},
	};
	for (size_t i = 0; i < SL_COUNT(rows); i++) {
		if (rows[i].rc == rc) {
			return sl_err_because(err, rows[i].code, rows[i].reason, "%s: %s", doing,
					      mdb_strerror(rc));
		}
	}
	return sl_err_set(err, SL_INTERNAL, "%s: %s", doing, mdb_strerror(rc));
}

bool store_rc_is_full(int rc)
{
	return rc == MDB_MAP_FULL || rc == MDB_TXN_FULL || rc == ENOMEM;
}

#define FIRST_STATE_BYTES 32 /* format 1 */
#define STATE_BYTES 120

static void get_point(const uint8_t *at, struct store_audit_point *point)
{
	point->sequence = sl_get_be64(at);
	memcpy(point->hash, at + 8, sizeof(point->hash));
}

static void put_point(uint8_t *at, const struct store_audit_point *point)
{
	sl_put_be64(at, point->sequence);
	memcpy(at + 8, point->hash, sizeof(point->hash));
}

int store_state_load(MDB_txn *txn, MDB_dbi meta, struct store_state *state)
{
	MDB_val key = store_val(sl_bytes_text(STORE_STATE_KEY));
	MDB_val value;
	int rc = mdb_get(txn, meta, &key, &value);
	if (rc != 0) {
		return rc == MDB_NOTFOUND ? MDB_CORRUPTED : rc;
	}
	if (value.mv_size != STATE_BYTES && value.mv_size != FIRST_STATE_BYTES) {
		return MDB_CORRUPTED;
	}
	const uint8_t *at = value.mv_data;
	*state = (struct store_state){
	    .revision = sl_get_be64(at),
	    .floor = sl_get_be64(at + 8),
	    .pruned = sl_get_be64(at + 16),
	    .audit.sequence = sl_get_be64(at + 24),
	};
	if (value.mv_size == FIRST_STATE_BYTES) { /* the sequence begins behind what is there */
		state->anchor = state->audit;
		state->unsealed_revision = state->revision;
		state->unsealed_sequence = state->audit.sequence;
		return 0;
	}
	get_point(at + 24, &state->audit);
	get_point(at + 64, &state->anchor);
	state->unsealed_revision = sl_get_be64(at + 104);
	state->unsealed_sequence = sl_get_be64(at + 112);
	return 0;
}

int store_state_save(MDB_txn *txn, MDB_dbi meta, const struct store_state *state)
{
	uint8_t bytes[STATE_BYTES];
	sl_put_be64(bytes, state->revision);
	sl_put_be64(bytes + 8, state->floor);
	sl_put_be64(bytes + 16, state->pruned);
	put_point(bytes + 24, &state->audit);
	put_point(bytes + 64, &state->anchor);
	sl_put_be64(bytes + 104, state->unsealed_revision);
	sl_put_be64(bytes + 112, state->unsealed_sequence);
	MDB_val key = store_val(sl_bytes_text(STORE_STATE_KEY));
	MDB_val value = store_val(SL_BYTES(bytes, sizeof(bytes)));
	return mdb_put(txn, meta, &key, &value, 0);
}

int store_state_upgrade(MDB_txn *txn, MDB_dbi meta, const struct store_state *state)
{
	uint8_t format[4];
	sl_put_be32(format, STORE_FORMAT);
	MDB_val key = store_val(sl_bytes_text(STORE_FORMAT_KEY));
	MDB_val value = store_val(SL_BYTES(format, sizeof(format)));
	int rc = mdb_put(txn, meta, &key, &value, 0);
	return rc == 0 ? store_state_save(txn, meta, state) : rc;
}
