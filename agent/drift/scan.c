#include "agent/drift/drift.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/bytes/bytes.h"
#include "base/crypto/crypto.h"
#include "base/mem/own.h"

/* A bundle has at most 512 folders within folders (--max-depth). */
enum { DEPTH_MAX = 600 };

struct drift_scan {
	DIR *open[DEPTH_MAX]; /* from the folder down to where the scan is */
	size_t depth;
	bool failed;
	uint64_t sums[DRIFT_PRINT_BYTES / 8]; /* order of entries does not count */
};

/* What is added for each entry; names differ within a folder, and folders by their inode. */
struct facts {
	uint64_t parent, inode, device, size, mode, owner, links;
	int64_t changed_s, changed_ns, touched_s, touched_ns;
};

static void add(struct drift_scan *scan, uint64_t parent, const char *name, const struct stat *st)
{
	struct sl_hasher hasher;
	uint8_t hash[SL_HASH_BYTES];
	const struct facts facts = {
	    .parent = parent,
	    .inode = st->st_ino,
	    .device = st->st_dev,
	    .size = (uint64_t)st->st_size,
	    .mode = st->st_mode,
	    .owner = (uint64_t)st->st_uid << 32 | st->st_gid,
	    .links = st->st_nlink,
	    .changed_s = st->st_ctim.tv_sec,
	    .changed_ns = st->st_ctim.tv_nsec,
	    .touched_s = st->st_mtim.tv_sec,
	    .touched_ns = st->st_mtim.tv_nsec,
	};
	sl_hasher_init(&hasher);
	sl_hasher_add(&hasher, &facts, sizeof(facts));
	sl_hasher_add(&hasher, name, strlen(name) + 1);
	sl_hasher_end(&hasher, hash);
	for (size_t i = 0; i < SL_COUNT(scan->sums); i++) {
		scan->sums[i] += sl_get_be64(hash + 8 * i);
	}
}

/* Goes down; no link is followed. */
static void enter(struct drift_scan *scan, int parent, const char *name)
{
	int fd = scan->depth == DEPTH_MAX
		     ? -1
		     : openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	if (dir == NULL) {
		scan->failed = true;
		if (fd >= 0) {
			(void)close(fd);
		}
		return;
	}
	scan->open[scan->depth++] = dir;
}

sl_code drift_scan_new(const char *folder, struct drift_scan **ret_scan, struct sl_err *err)
{
	struct stat st;
	struct drift_scan *scan = calloc(1, sizeof(*scan));
	if (scan == NULL) {
		return sl_err_no_memory(err);
	}
	if (lstat(folder, &st) == 0) {
		add(scan, 0, "", &st);
	}
	enter(scan, AT_FDCWD, folder);
	*ret_scan = scan;
	return SL_OK;
}

static void look_at(struct drift_scan *scan, DIR *dir, const char *name)
{
	struct stat st, parent;
	if (fstatat(dirfd(dir), name, &st, AT_SYMLINK_NOFOLLOW) != 0 ||
	    fstat(dirfd(dir), &parent) != 0) {
		scan->failed = true;
		return;
	}
	add(scan, parent.st_ino, name, &st);
	if (S_ISDIR(st.st_mode)) {
		enter(scan, dirfd(dir), name);
	}
}

bool drift_scan_step(struct drift_scan *scan, unsigned budget,
		     uint8_t ret_print[static DRIFT_PRINT_BYTES])
{
	for (; budget > 0 && scan->depth > 0 && !scan->failed; budget--) {
		DIR *dir = scan->open[scan->depth - 1];
		errno = 0;
		const struct dirent *entry = readdir(dir);
		if (entry == NULL) {
			scan->failed = errno != 0;
			scan->depth--;
			(void)closedir(dir);
		} else if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0) {
			look_at(scan, dir, entry->d_name);
		}
	}
	if (scan->depth > 0 && !scan->failed) {
		return false;
	}
	memset(ret_print, 0, DRIFT_PRINT_BYTES);
	if (!scan->failed) {
		memcpy(ret_print, scan->sums, DRIFT_PRINT_BYTES);
	}
	return true;
}

void drift_scan_free(struct drift_scan *scan)
{
	if (scan != NULL) {
		while (scan->depth > 0) {
			(void)closedir(scan->open[--scan->depth]);
		}
		free(scan);
	}
}
