#include "server/store/store_internal.h"

#include <assert.h>

/* Snapshots that nobody uses wait in a pool with their reader slot, so that a
 * view may end on another thread than it began. One that shows what was
 * committed last stays open and is used again as it is: opening it anew would
 * cost as much as several reads. The commit that makes it old resets it: an
 * idle snapshot holds no pages back.
 *
 * Store's generation is odd from before a commit can be seen until it is known to be: a snapshot
 * that is opened then may have it or not, so it is used once. Else who had seen the commit could
 * be given a snapshot from before. */
static bool is_current(const struct store_view *view)
{
	const struct store *store = view->store;
	return store->writer_started && /* else another process may commit */
	       view->generation % 2 == 0 &&
	       view->generation == atomic_load_explicit(&store->generation, memory_order_acquire);
}

static void close_snapshot(struct store_view *view)
{
	if (view->open) {
		mdb_txn_reset(view->txn);
		view->open = false;
	}
}

static struct store_view *pool_take(struct store *store)
{
	pthread_mutex_lock(&store->pool_lock);
	struct store_view *view = store->idle;
	if (view != NULL) {
		store->idle = view->next;
	}
	pthread_mutex_unlock(&store->pool_lock);
	return view;
}

/* Looks at the generation under the lock: a commit that follows finds the view in the pool. */
static void pool_put(struct store_view *view)
{
	struct store *store = view->store;
	pthread_mutex_lock(&store->pool_lock);
	if (!is_current(view)) {
		close_snapshot(view);
	}
	view->next = store->idle;
	store->idle = view;
	pthread_mutex_unlock(&store->pool_lock);
}

void store_pool_committing(void *ctx)
{
	struct store *store = ctx;
	(void)atomic_fetch_or_explicit(&store->generation, 1, memory_order_acq_rel);
}

void store_pool_committed(struct store *store)
{
	store_pool_committing(store);
	(void)atomic_fetch_add_explicit(&store->generation, 1, memory_order_acq_rel);
	pthread_mutex_lock(&store->pool_lock);
	for (struct store_view *view = store->idle; view != NULL; view = view->next) {
		close_snapshot(view);
	}
	pthread_mutex_unlock(&store->pool_lock);
}

static void view_free(struct store_view *view)
{
	if (view == NULL) {
		return;
	}
	if (view->txn != NULL) {
		mdb_txn_abort(view->txn);
	}
	free(view);
}
SL_DEFINE_AUTO(struct store_view *, view_free);

void store_pool_fini(struct store *store)
{
	for (struct store_view *view = pool_take(store); view != NULL; view = pool_take(store)) {
		view_free(view);
	}
}

static int open_snapshot(struct store *store, struct store_view *view)
{
	if (view->open && is_current(view)) {
		return 0;
	}
	close_snapshot(view);
	/* Before opening: what is committed in between makes the view newer than it says. */
	view->generation = atomic_load_explicit(&store->generation, memory_order_acquire);
	int rc = view->txn != NULL ? mdb_txn_renew(view->txn)
				   : mdb_txn_begin(store->env, NULL, MDB_RDONLY, &view->txn);
	view->open = rc == 0;
	return rc == 0 ? store_state_load(view->txn, store->meta, &view->state) : rc;
}

sl_code store_view_begin(struct store *store, const struct store_view **ret_view,
			 struct sl_err *err)
{
	SL_AUTO(view_free_auto) struct store_view *view = pool_take(store);
	if (view == NULL) {
		view = calloc(1, sizeof(*view));
	}
	if (view == NULL) {
		return sl_err_no_memory(err);
	}
	view->store = store;
	int rc = open_snapshot(store, view);
	if (rc != 0) {
		return store_err_mdb(err, rc, "open a snapshot");
	}
	(void)atomic_fetch_add_explicit(&store->counters.views, 1, memory_order_relaxed);
	*ret_view = SL_TAKE(view);
	return SL_OK;
}

void store_view_end(const struct store_view *view)
{
	if (view == NULL) {
		return;
	}
	struct store_view *own = (struct store_view *)(uintptr_t)view; /* ours since begin */
	(void)atomic_fetch_sub_explicit(&own->store->counters.views, 1, memory_order_relaxed);
	pool_put(own);
}

uint64_t store_view_revision(const struct store_view *view)
{
	return view->state.revision;
}

uint64_t store_view_serial(const struct store_view *view)
{
	return view->store->serial;
}

uint64_t store_view_committed(const struct store_view *view)
{
	return atomic_load(&view->store->counters.revision);
}

uint64_t store_view_floor(const struct store_view *view)
{
	return view->state.floor;
}

struct store_audit_point store_view_audit_head(const struct store_view *view)
{
	return view->state.audit;
}

struct store_audit_point store_view_audit_anchor(const struct store_view *view)
{
	return view->state.anchor;
}

static sl_code get(const struct store_view *view, MDB_dbi table, struct sl_bytes key,
		   struct sl_bytes *ret_value, struct sl_err *err)
{
	if (table == STORE_NO_TABLE || key.size == 0) {
		return SL_NOT_FOUND;
	}
	MDB_val mdb_key = store_val(key);
	MDB_val value;
	int rc = mdb_get(view->txn, table, &mdb_key, &value);
	if (rc == MDB_NOTFOUND) {
		return SL_NOT_FOUND;
	}
	if (rc != 0) {
		return store_err_mdb(err, rc, "read a record");
	}
	*ret_value = store_bytes(value);
	return SL_OK;
}

sl_code store_get(const struct store_view *view, unsigned table, struct sl_bytes key,
		  struct sl_bytes *ret_value, struct sl_err *err)
{
	assert(table < view->store->options.table_count);
	return get(view, view->store->tables[table], key, ret_value, err);
}

sl_code store_get_log(const struct store_view *view, uint64_t revision, struct sl_bytes *ret_record,
		      struct sl_err *err)
{
	uint8_t key[8];
	sl_put_be64(key, revision);
	sl_code code = get(view, view->store->log, SL_BYTES(key, sizeof(key)), ret_record, err);
	if (code == SL_OK) {
		*ret_record = store_unsealed(&view->state, revision, *ret_record);
	}
	return code;
}

sl_code store_get_meta(const struct store_view *view, const char *name, struct sl_bytes *ret_value,
		       struct sl_err *err)
{
	return get(view, view->store->meta, sl_bytes_text(name), ret_value, err);
}

bool store_view_is_recovering(const struct store_view *view)
{
	struct sl_bytes value = SL_BYTES_NONE;
	sl_code code = store_get_meta(view, STORE_META_RECOVERY, &value, NULL);
	return code != SL_NOT_FOUND && (code != SL_OK || value.size > 0);
}
