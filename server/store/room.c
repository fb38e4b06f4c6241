#include "server/store/store_internal.h"

#include <stdlib.h>
#include <sys/statvfs.h>

SL_DEFINE_AUTO(MDB_cursor *, mdb_cursor_close);

uint64_t store_free_disk(const struct store *store)
{
	struct statvfs fs;
	if (statvfs(store->path, &fs) != 0) {
		return UINT64_MAX;
	}
	return (uint64_t)fs.f_bavail * fs.f_frsize;
}

int store_free_pages(MDB_txn *txn, uint64_t oldest, uint64_t *ret_pages)
{
	SL_AUTO(mdb_cursor_close_auto) MDB_cursor *cursor = NULL;
	int rc = mdb_cursor_open(txn, STORE_NO_TABLE, &cursor);
	if (rc != 0) {
		return rc;
	}
	uint64_t pages = 0;
	MDB_val key, value;
	while ((rc = mdb_cursor_get(cursor, &key, &value, MDB_NEXT)) == 0) {
		size_t freed_by,
		    count; /* each record is a list of page numbers led by its length */
		memcpy(&freed_by, key.mv_data, sizeof(freed_by));
		memcpy(&count, value.mv_data, sizeof(count));
		pages += freed_by < oldest ? count : 0;
	}
	*ret_pages = pages;
	return rc == MDB_NOTFOUND ? 0 : rc;
}

/* One line of LMDB's reader table: pid, thread, and the transaction or "-". */
static int on_reader(const char *line, void *ctx)
{
	uint64_t *oldest = ctx;
	const char *last = strrchr(line, ' ');
	if (last == NULL) {
		return 0;
	}
	char *end = NULL;
	uint64_t id = strtoull(last + 1, &end, 10);
	if (end != last + 1 && id < *oldest) {
		*oldest = id;
	}
	return 0;
}

/* Pages that deletes and pruning need to work at all: each copies a path of every tree it touches.
 */
static uint64_t reserve_pages(const struct store *store)
{
	uint64_t share = store->map_pages / 16;
	return share > 4096 ? 4096 : share;
}

/* Pages that a commit can use again: what a snapshot still sees is not among them. */
static uint64_t reusable_pages(const struct store *store)
{
	uint64_t oldest = UINT64_MAX, pages = 0;
	SL_AUTO(store_txn_abort_auto) MDB_txn *txn = NULL;
	if (mdb_reader_list(store->env, on_reader, &oldest) < 0 ||
	    mdb_txn_begin(store->env, NULL, MDB_RDONLY, &txn) != 0 ||
	    store_free_pages(txn, oldest, &pages) != 0) {
		return UINT64_MAX; /* nobody can say: the commit will tell */
	}
	return pages;
}

/* Pages of the map that were never used. */
static uint64_t unused_pages(const struct store *store)
{
	MDB_envinfo info;
	if (mdb_env_info(store->env, &info) != 0) {
		return 0;
	}
	uint64_t used = (uint64_t)info.me_last_pgno + 1;
	return used < store->map_pages ? store->map_pages - used : 0;
}

/* Deletes give no disk back, but pages to use again. While there are some, writes hardly
 * make the file grow and may go on under the reserve; half of it is never touched. */
static bool disk_is_low(const struct store *store, uint64_t free_disk, uint64_t reusable)
{
	uint64_t reserve = store->options.reserve_bytes;
	if (free_disk >= reserve) {
		return false;
	}
	return free_disk < reserve / 2 || reusable < reserve / 16 / store->page_bytes;
}

enum sl_reason store_room_check(const struct store *store)
{
	uint64_t free_disk = store_free_disk(store);
	uint64_t unused = unused_pages(store);
	uint64_t needed = reserve_pages(store);
	if (free_disk >= store->options.reserve_bytes && unused >= needed) {
		return SL_REASON_NONE; /* the usual case, without a walk through the free list */
	}
	uint64_t reusable = reusable_pages(store);
	if (disk_is_low(store, free_disk, reusable)) {
		return SL_REASON_DISK_LOW;
	}
	return unused < needed && reusable < needed - unused ? SL_REASON_STORE_FULL
							     : SL_REASON_NONE;
}
