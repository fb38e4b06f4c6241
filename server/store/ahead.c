/* Keeps the data file somewhat longer than the pages in use: a sync that makes a file longer has
 * the file system write its journal, too, which costs a single write a quarter of its time
 * (measured on ext4). What lies behind the last page is nobody's. */
#include "server/store/store_internal.h"

#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

enum { AHEAD_BYTES = 1 << 20, LEAST_BYTES = 256 << 10, STEP_BYTES = 128 << 10 };

/* Zeros, and no fallocate(): blocks that were never written are noted in the journal as well. */
static int write_zeros(int fd, uint64_t from, uint64_t to)
{
	static const uint8_t zeros[STEP_BYTES];
	while (from < to) {
		size_t part = to - from < sizeof(zeros) ? (size_t)(to - from) : sizeof(zeros);
		ssize_t wrote = pwrite(fd, zeros, part, (off_t)from);
		if (wrote < 0 && errno != EINTR) {
			return errno;
		}
		from += wrote > 0 ? (uint64_t)wrote : 0;
	}
	return 0;
}

/* The reserve is not for this. */
static bool has_room(const struct store *store)
{
	uint64_t spare = store_free_disk(store);
	return spare >= 2 * AHEAD_BYTES && spare - 2 * AHEAD_BYTES >= store->options.reserve_bytes;
}

int store_keep_ahead(const struct store *store)
{
	MDB_envinfo info;
	struct stat file;
	mdb_filehandle_t fd = -1;
	if (mdb_env_info(store->env, &info) != 0 || mdb_env_get_fd(store->env, &fd) != 0 ||
	    fstat(fd, &file) != 0) {
		return 0; /* the commit will tell */
	}
	uint64_t used = ((uint64_t)info.me_last_pgno + 1) * store->page_bytes;
	uint64_t most = store->map_pages * store->page_bytes, bytes = (uint64_t)file.st_size;
	uint64_t wanted = used + AHEAD_BYTES < most ? used + AHEAD_BYTES : most;
	if (bytes >= used + LEAST_BYTES || bytes >= wanted || !has_room(store)) {
		return 0;
	}
	int rc = write_zeros(fd, bytes, wanted);
	return rc == ENOSPC || rc == EDQUOT ? 0 : rc; /* then the file grows as it must */
}
