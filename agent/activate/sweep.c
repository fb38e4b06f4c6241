#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/activate/activate_internal.h"
#include "base/file/file.h"
#include "base/mem/own.h"

enum { DEPTH_MAX = 4096 };

static DIR *open_dir(int parent, const char *name)
{
	int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	if (fd >= 0 && dir == NULL) {
		(void)close(fd);
	}
	return dir;
}

static bool is_dot(const char *name)
{
	return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

static bool remove_dir(int parent, const char *name, unsigned *budget, unsigned depth);

/* Only what is removed counts, so that the deepest folder is reached however
 * small the budget. */
static bool removed(int rc, unsigned *budget)
{
	*budget -= rc == 0 && *budget > 0;
	return rc == 0;
}

/* True when the entry is gone. */
static bool remove_entry(int parent, const char *name, unsigned *budget, unsigned depth)
{
	if (*budget == 0) {
		return false;
	}
	int rc = unlinkat(parent, name, 0);
	if (rc == 0 || errno == ENOENT) {
		return removed(0, budget);
	}
	return (errno == EISDIR || errno == EPERM) && depth < DEPTH_MAX &&
	       remove_dir(parent, name, budget, depth);
}

static bool remove_dir(int parent, const char *name, unsigned *budget, unsigned depth)
{
	if (fchmodat(parent, name, 0700, 0) != 0) { /* bundles are view-only */
		return false;
	}
	SL_AUTO(sl_dir_auto) DIR *dir = open_dir(parent, name);
	if (dir == NULL) {
		return false;
	}
	bool empty = true;
	for (const struct dirent *entry = readdir(dir); entry != NULL && *budget > 0;
	     entry = readdir(dir)) {
		if (!is_dot(entry->d_name)) {
			empty = remove_entry(dirfd(dir), entry->d_name, budget, depth + 1) && empty;
		}
	}
	return empty && *budget > 0 && removed(unlinkat(parent, name, AT_REMOVEDIR), budget);
}

void activate_remove_tree(int parent, const char *name)
{
	unsigned budget = UINT_MAX;
	(void)remove_entry(parent, name, &budget, 0);
}

bool activate_sweep(const char *dir, const char *keep, unsigned budget)
{
	char path[ACTIVATE_PATH_SIZE];
	(void)snprintf(path, sizeof(path), "%s/staging", dir);
	const char *slash = keep != NULL ? strrchr(keep, '/') : NULL;
	SL_AUTO(sl_dir_auto) DIR *staging = open_dir(AT_FDCWD, path);
	if (staging == NULL) {
		return true;
	}
	for (const struct dirent *entry = readdir(staging); entry != NULL;
	     entry = readdir(staging)) {
		bool kept = slash != NULL && strcmp(entry->d_name, slash + 1) == 0;
		if (is_dot(entry->d_name) || kept) {
			continue;
		}
		(void)remove_entry(dirfd(staging), entry->d_name, &budget, 0);
		if (budget == 0) {
			return false;
		}
	}
	return true;
}

void activate_list(const char *dir, const char *slug, void (*on_name)(const char *name, void *ctx),
		   void *ctx)
{
	char path[ACTIVATE_PATH_SIZE];
	(void)snprintf(path, sizeof(path), "%s/apps%s%s%s", dir, slug != NULL ? "/" : "",
		       slug != NULL ? slug : "", slug != NULL ? "/versions" : "");
	SL_AUTO(sl_dir_auto) DIR *list = open_dir(AT_FDCWD, path);
	if (list == NULL) {
		return;
	}
	for (const struct dirent *entry = readdir(list); entry != NULL; entry = readdir(list)) {
		if (!is_dot(entry->d_name)) {
			on_name(entry->d_name, ctx);
		}
	}
}
