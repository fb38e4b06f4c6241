#include "server/store/store_internal.h"

#include <assert.h>

#include "server/store/folder.h"

#define OWN_TABLES 3

static sl_code create_env(struct store *store, struct sl_err *err)
{
	int rc = mdb_env_create(&store->env);
	if (rc != 0) {
		store->env = NULL;
		return store_err_mdb(err, rc, "create environment");
	}
	rc = mdb_env_set_maxdbs(store->env, STORE_TABLES_MAX + OWN_TABLES);
	if (rc == 0) {
		rc = mdb_env_set_maxreaders(store->env, STORE_READERS_MAX);
	}
	if (rc == 0 && store->options.map_bytes != 0) {
		rc = mdb_env_set_mapsize(store->env, store->options.map_bytes);
	}
	return rc == 0 ? SL_OK : store_err_mdb(err, rc, "set up environment");
}

static sl_code open_env(struct store *store, struct sl_err *err)
{
	sl_code code = create_env(store, err);
	if (code != SL_OK) {
		return code;
	}
	/* Offline our own lock keeps writers away, so LMDB needs no lock file of its own. */
	unsigned flags = store->options.read_only ? MDB_RDONLY | MDB_NOLOCK : MDB_NOSYNC;
	int rc = mdb_env_open(store->env, store->path, flags | MDB_NOTLS, 0600);
	if (rc != 0) {
		return store_err_mdb(err, rc, "open environment");
	}
	int dead = 0;
	rc = mdb_reader_check(store->env, &dead);
	MDB_stat stat;
	MDB_envinfo info;
	mdb_filehandle_t fd = -1;
	if (rc == 0) {
		rc = mdb_env_stat(store->env, &stat);
	}
	if (rc == 0) {
		rc = mdb_env_info(store->env, &info);
	}
	if (rc == 0) {
		rc = mdb_env_get_fd(store->env, &fd);
	}
	if (rc != 0) {
		return store_err_mdb(err, rc, "look at environment");
	}
	store->page_bytes = stat.ms_psize;
	store->map_pages = info.me_mapsize / stat.ms_psize;
	sl_code closed = folder_close_on_exec(fd, err);
	if (closed != SL_OK || store->options.read_only) {
		return closed;
	}
	const struct journal_options options = {
	    .path = store->path,
	    .data_fd = fd,
	    .page_bytes = store->page_bytes,
	    .max_bytes = store->options.journal_bytes != 0 ? store->options.journal_bytes
							   : STORE_JOURNAL_BYTES,
	    .on_durable = store_pool_committing,
	    .ctx = store,
	};
	return journal_open(&options, &store->journal, err);
}

sl_code store_check_format(MDB_txn *txn, MDB_dbi meta, struct sl_err *err)
{
	MDB_val key = store_val(sl_bytes_text(STORE_FORMAT_KEY));
	MDB_val value;
	int rc = mdb_get(txn, meta, &key, &value);
	if (rc == MDB_NOTFOUND || (rc == 0 && value.mv_size != 4)) {
		return sl_err_set(err, SL_DATA_LOSS,
				  "it has no format number, so it is not a store of Sluice's");
	}
	if (rc != 0) {
		return store_err_mdb(err, rc, "read the format number");
	}
	uint32_t format = sl_get_be32(value.mv_data);
	if (format > STORE_FORMAT) {
		return sl_err_set(
		    err, SL_FAILED_PRECONDITION,
		    "its format is %u and this program knows formats up to %d; use a newer program",
		    format, STORE_FORMAT);
	}
	return SL_OK;
}

/* A new store: our tables with their first values. */
static int make_own(struct store *store, MDB_txn *txn)
{
	int rc = mdb_dbi_open(txn, STORE_META_TABLE, MDB_CREATE, &store->meta);
	return rc == 0 ? store_state_upgrade(txn, store->meta, &(struct store_state){.revision = 0})
		       : rc;
}

static sl_code open_meta(struct store *store, MDB_txn *txn, struct sl_err *err)
{
	MDB_stat main;
	MDB_dbi unnamed;
	int rc = mdb_dbi_open(txn, NULL, 0, &unnamed);
	if (rc == 0) {
		rc = mdb_stat(txn, unnamed, &main);
	}
	if (rc != 0) {
		return store_err_mdb(err, rc, "look at tables");
	}
	rc = mdb_dbi_open(txn, STORE_META_TABLE, 0, &store->meta);
	if (rc == MDB_NOTFOUND && main.ms_entries == 0 && !store->options.read_only) {
		rc = make_own(store, txn);
	}
	if (rc == MDB_NOTFOUND) {
		return sl_err_set(err, SL_DATA_LOSS,
				  "it has no table '%s', so it is not a store of Sluice's",
				  STORE_META_TABLE);
	}
	return rc == 0 ? SL_OK : store_err_mdb(err, rc, "open table '" STORE_META_TABLE "'");
}

static sl_code open_table(const struct store *store, MDB_txn *txn, const char *name,
			  MDB_dbi *ret_table, struct sl_err *err)
{
	int rc = mdb_dbi_open(txn, name, store->options.read_only ? 0 : MDB_CREATE, ret_table);
	if (rc == MDB_NOTFOUND) {
		*ret_table = STORE_NO_TABLE; /* an older store: the table is empty */
		return SL_OK;
	}
	if (rc != 0) {
		(void)store_err_mdb(err, rc, "open");
		return sl_err_wrap(err, "table '%s'", name);
	}
	return SL_OK;
}

static sl_code open_tables(struct store *store, MDB_txn *txn, struct sl_err *err)
{
	sl_code code = open_meta(store, txn, err);
	if (code == SL_OK) {
		code = store_check_format(txn, store->meta, err);
	}
	if (code == SL_OK) {
		code = open_table(store, txn, STORE_LOG_TABLE, &store->log, err);
	}
	if (code == SL_OK) {
		code = open_table(store, txn, STORE_AUDIT_TABLE, &store->audit, err);
	}
	for (size_t i = 0; i < store->options.table_count && code == SL_OK; i++) {
		const char *name = store->options.tables[i];
		assert(strncmp(name, STORE_OWN_PREFIX, strlen(STORE_OWN_PREFIX)) != 0);
		code = open_table(store, txn, name, &store->tables[i], err);
	}
	return code;
}

static sl_code load(struct store *store, struct sl_err *err)
{
	SL_AUTO(store_txn_abort_auto) MDB_txn *txn = NULL;
	int rc = mdb_txn_begin(store->env, NULL, store->options.read_only ? MDB_RDONLY : 0, &txn);
	if (rc == 0 && !store->options.read_only) {
		rc = journal_begin(store->journal, mdb_txn_id(txn));
	}
	if (rc != 0) {
		return store_err_mdb(err, rc, "begin");
	}
	sl_code code = open_tables(store, txn, err);
	if (code != SL_OK) {
		return code;
	}
	MDB_stat log = {.ms_entries = 0};
	rc = store_state_load(txn, store->meta, &store->state);
	if (rc == 0 && store->log != STORE_NO_TABLE) {
		rc = mdb_stat(txn, store->log, &log);
	}
	if (rc == 0 && !store->options.read_only) {
		rc = store_state_upgrade(txn, store->meta, &store->state);
	}
	if (rc == 0) {
		rc = store_txn_commit(&txn);
	}
	if (rc != 0) {
		return store_err_mdb(err, rc, "read the state");
	}
	store_pool_committed(store);
	store->sweeping = store->state.anchor.sequence > 0; /* the first step looks */
	atomic_store(&store->counters.audit_sequence, store->state.audit.sequence);
	atomic_store(&store->counters.audit_anchor, store->state.anchor.sequence);
	atomic_store(&store->counters.revision, store->state.revision);
	atomic_store(&store->counters.floor, store->state.floor);
	atomic_store(&store->counters.log_records, log.ms_entries);
	return SL_OK;
}

/* A server that was killed, or a power cut, left it: reading begins with bringing it in. */
static sl_code recover_to_read(const char *path, struct sl_err *err)
{
	int lock_fd = -1;
	if (!journal_is_left(path)) {
		return SL_OK;
	}
	sl_code code = folder_open(path, FOLDER_WRITE, &lock_fd, err);
	if (code == SL_OK) {
		code = journal_recover(path, err);
	}
	folder_close(lock_fd);
	return code;
}

static sl_code open_parts(struct store *store, struct sl_err *err)
{
	bool read_only = store->options.read_only;
	sl_code code = read_only ? recover_to_read(store->path, err) : SL_OK;
	if (code == SL_OK) {
		code = folder_open(store->path, read_only ? FOLDER_READ : FOLDER_WRITE,
				   &store->lock_fd, err);
	}
	if (code == SL_OK && !read_only) {
		code = store_restore_check(store->path, err);
	}
	if (code == SL_OK && !read_only) {
		code = journal_recover(store->path, err);
	}
	if (code == SL_OK && !read_only) {
		code = store_check_length(store->path, err);
	}
	if (code == SL_OK) {
		code = open_env(store, err);
	}
	if (code == SL_OK && !read_only) {
		code = folder_sync(store->path, err);
	}
	if (code == SL_OK) {
		code = load(store, err);
		journal_end();
	}
	if (code == SL_OK && !read_only) {
		code = store_writer_start(store, err);
	}
	return code;
}

SL_DEFINE_AUTO(struct store *, store_free);

sl_code store_open(const struct store_options *options, struct store **ret_store,
		   struct sl_err *err)
{
	static atomic_uint_least64_t serials;
	assert(options->table_count <= STORE_TABLES_MAX);
	SL_AUTO(store_free_auto) struct store *store = calloc(1, sizeof(*store));
	if (store == NULL) {
		return sl_err_no_memory(err);
	}
	store->options = *options;
	store->options.path = NULL; /* borrowed: ours is store->path */
	store->serial = atomic_fetch_add(&serials, 1) + 1;
	store->lock_fd = -1;
	store->tail = &store->head;
	store->prune_step = STORE_PRUNE_STEP;
	pthread_mutex_init(&store->lock, NULL);
	pthread_mutex_init(&store->pool_lock, NULL);
	pthread_cond_init(&store->wake, NULL);
	store->path = strdup(options->path);
	if (store->path == NULL) {
		return sl_err_no_memory(err);
	}
	sl_code code = open_parts(store, err);
	if (code != SL_OK) {
		(void)sl_err_wrap(err, "store '%s'", options->path);
		return code;
	}
	*ret_store = SL_TAKE(store);
	return SL_OK;
}

void store_free(struct store *store)
{
	if (store == NULL) {
		return;
	}
	store_writer_stop(store);
	assert(atomic_load(&store->counters.views) == 0);
	store_pool_fini(store);
	journal_close(store->journal);
	if (store->env != NULL) {
		mdb_env_close(store->env);
	}
	folder_close(store->lock_fd); /* last: the folder is ours until the map is gone */
	store_changes_fini(&store->changes);
	pthread_cond_destroy(&store->wake);
	pthread_mutex_destroy(&store->pool_lock);
	pthread_mutex_destroy(&store->lock);
	free(store->path);
	free(store);
}
