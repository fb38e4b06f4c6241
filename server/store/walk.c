#include "server/store/store_internal.h"

#include <assert.h>

static void begin(struct store_walk *walk, const struct store_view *view, MDB_dbi table,
		  struct sl_bytes prefix, enum store_direction direction)
{
	*walk = (struct store_walk){.view = view, .direction = direction};
	if (prefix.size > STORE_KEY_MAX) {
		walk->rc = MDB_NOTFOUND; /* no key is that long */
		return;
	}
	if (prefix.size > 0) {
		memcpy(walk->prefix, prefix.data, prefix.size);
	}
	walk->prefix_size = prefix.size;
	MDB_cursor *cursor = NULL;
	walk->rc =
	    table == STORE_NO_TABLE ? MDB_NOTFOUND : mdb_cursor_open(view->txn, table, &cursor);
	walk->cursor = cursor;
}

void store_walk_begin(struct store_walk *walk, const struct store_view *view, unsigned table,
		      struct sl_bytes prefix, enum store_direction direction)
{
	assert(table < view->store->options.table_count);
	begin(walk, view, view->store->tables[table], prefix, direction);
}

void store_walk_numbered(struct store_walk *walk, const struct store_view *view, MDB_dbi table,
			 uint64_t first, enum store_direction direction)
{
	uint8_t key[8];
	sl_put_be64(key, first);
	begin(walk, view, table, SL_BYTES_NONE, direction);
	store_walk_from(walk, SL_BYTES(key, sizeof(key)));
}

void store_walk_log(struct store_walk *walk, const struct store_view *view, uint64_t first,
		    enum store_direction direction)
{
	store_walk_numbered(walk, view, view->store->log, first, direction);
	walk->sealed = true;
}

void store_walk_from(struct store_walk *walk, struct sl_bytes key)
{
	assert(!walk->started);
	/* A longer key than any: its first bytes sort right before it, and may be a key themselves.
	 */
	size_t size = key.size > STORE_KEY_MAX ? STORE_KEY_MAX : key.size;
	if (size > 0) {
		memcpy(walk->from, key.data, size);
	}
	walk->from_size = size;
	walk->from_set = true;
}

static int compare(struct sl_bytes a, struct sl_bytes b)
{
	size_t shorter = a.size < b.size ? a.size : b.size;
	int order = shorter == 0 ? 0 : memcmp(a.data, b.data, shorter);
	if (order != 0) {
		return order;
	}
	return (a.size > b.size) - (a.size < b.size);
}

/* The first key after all that start with the prefix, in `room`. Empty: there is none. */
static struct sl_bytes after_prefix(const struct store_walk *walk,
				    uint8_t room[static STORE_KEY_MAX])
{
	size_t size = walk->prefix_size;
	while (size > 0 && walk->prefix[size - 1] == 0xff) {
		size--;
	}
	memcpy(room, walk->prefix, size);
	if (size > 0) {
		room[size - 1]++;
	}
	return SL_BYTES(room, size);
}

static int seek_forward(struct store_walk *walk, MDB_val *key, MDB_val *value)
{
	struct sl_bytes start = SL_BYTES(walk->prefix, walk->prefix_size);
	struct sl_bytes from = SL_BYTES(walk->from, walk->from_size);
	if (walk->from_set && compare(from, start) > 0) {
		start = from;
	}
	*key = store_val(start);
	return mdb_cursor_get(walk->cursor, key, value,
			      start.size == 0 ? MDB_FIRST : MDB_SET_RANGE);
}

/* The last key before `end`, which is included if `inclusive`. An empty end is the table's. */
static int seek_before(struct store_walk *walk, struct sl_bytes end, bool inclusive, MDB_val *key,
		       MDB_val *value)
{
	if (end.size == 0) {
		return mdb_cursor_get(walk->cursor, key, value, MDB_LAST);
	}
	*key = store_val(end);
	int rc = mdb_cursor_get(walk->cursor, key, value, MDB_SET_RANGE);
	if (rc == MDB_NOTFOUND) {
		return mdb_cursor_get(walk->cursor, key, value, MDB_LAST);
	}
	if (rc != 0 || (inclusive && compare(store_bytes(*key), end) == 0)) {
		return rc;
	}
	return mdb_cursor_get(walk->cursor, key, value, MDB_PREV);
}

static int seek_backward(struct store_walk *walk, MDB_val *key, MDB_val *value)
{
	uint8_t room[STORE_KEY_MAX];
	struct sl_bytes end = after_prefix(walk, room);
	if (!walk->from_set) {
		return seek_before(walk, end, false, key, value);
	}
	struct sl_bytes from = SL_BYTES(walk->from, walk->from_size);
	if (from.size == 0) {
		return MDB_NOTFOUND; /* no key is empty */
	}
	if (end.size > 0 && compare(from, end) >= 0) {
		return seek_before(walk, end, false, key, value);
	}
	return seek_before(walk, from, true, key, value);
}

static int step(struct store_walk *walk, MDB_val *key, MDB_val *value)
{
	if (walk->started) {
		return mdb_cursor_get(walk->cursor, key, value,
				      walk->direction == STORE_FORWARD ? MDB_NEXT : MDB_PREV);
	}
	walk->started = true;
	return walk->direction == STORE_FORWARD ? seek_forward(walk, key, value)
						: seek_backward(walk, key, value);
}

bool store_walk_next(struct store_walk *walk)
{
	if (walk->rc != 0) {
		return false;
	}
	MDB_val key, value;
	walk->rc = step(walk, &key, &value);
	if (walk->rc != 0) {
		return false;
	}
	if (!sl_bytes_starts_with(store_bytes(key), SL_BYTES(walk->prefix, walk->prefix_size))) {
		walk->rc = MDB_NOTFOUND;
		return false;
	}
	walk->key = store_bytes(key);
	walk->value = store_bytes(value);
	if (walk->sealed) {
		walk->value =
		    store_unsealed(&walk->view->state, sl_get_be64(walk->key.data), walk->value);
	}
	return true;
}

sl_code store_walk_result(const struct store_walk *walk, struct sl_err *err)
{
	if (walk->rc == 0 || walk->rc == MDB_NOTFOUND) {
		return SL_OK;
	}
	return store_err_mdb(err, walk->rc, "walk a table");
}

void store_walk_end(struct store_walk *walk)
{
	if (walk->cursor != NULL) {
		mdb_cursor_close(SL_TAKE(walk->cursor));
	}
}
