#include "server/store/store_internal.h"

#include <sys/stat.h>

static uint64_t load(const atomic_uint_least64_t *counter)
{
	return atomic_load_explicit(counter, memory_order_relaxed);
}

static void read_sizes(struct store *store, struct store_stats *stats)
{
	MDB_envinfo info;
	mdb_filehandle_t fd;
	struct stat file;
	if (mdb_env_info(store->env, &info) == 0) {
		stats->map_bytes = info.me_mapsize;
		stats->used_bytes = ((uint64_t)info.me_last_pgno + 1) * store->page_bytes;
	}
	if (mdb_env_get_fd(store->env, &fd) == 0 && fstat(fd, &file) == 0) {
		stats->file_bytes = (uint64_t)file.st_size;
	}
	const struct store_view *view = NULL;
	uint64_t free_pages = 0;
	if (store_view_begin(store, &view, NULL) != SL_OK) {
		return;
	}
	if (store_free_pages(view->txn, UINT64_MAX, &free_pages) == 0 &&
	    free_pages * store->page_bytes < stats->used_bytes) {
		stats->used_bytes -= free_pages * store->page_bytes;
	}
	store_view_end(view);
}

void store_stats_read(struct store *store, struct store_stats *ret_stats)
{
	const struct store_counters *c = &store->counters;
	struct store_stats stats = {
	    .revision = load(&c->revision),
	    .floor = load(&c->floor),
	    .free_disk_bytes = store_free_disk(store),
	    .commits = load(&c->commits),
	    .commands = load(&c->commands),
	    .refused = load(&c->refused),
	    .commit_us_total = load(&c->commit_us_total),
	    .commit_us_max = load(&c->commit_us_max),
	    .log_records = load(&c->log_records),
	    .audit_sequence = load(&c->audit_sequence),
	    .audit_anchor = load(&c->audit_anchor),
	    .readers = load(&c->views),
	};
	for (size_t i = 0; i < STORE_BATCH_BUCKETS; i++) {
		stats.batch_count[i] = load(&c->batch_count[i]);
	}
	pthread_mutex_lock(&store->lock);
	stats.queued = store->queued;
	pthread_mutex_unlock(&store->lock);
	read_sizes(store, &stats);
	*ret_stats = stats;
}
