/* The folder of mirrors: where each is, and what has no business there. */
#include <dirent.h>
#include <ftw.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "base/mem/own.h"
#include "server/gitsync/jobs.h"

char *gitsync_mirror_path(struct sl_arena *arena, const char *data, const char *repository_id)
{
	return sl_arena_printf(arena, "%s%s/mirrors/%s.git", data[0] == '/' ? "" : "./", data,
			       repository_id);
}

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *ftw)
{
	(void)st;
	(void)kind;
	(void)ftw;
	(void)remove(path);
	return 0;
}

void gitsync_remove_tree(const char *path)
{
	(void)nftw(path, remove_one, 32, FTW_PHYS | FTW_DEPTH);
}

/* A server that ended between the deletion and the removal leaves the mirror of a repository that
 * is gone. */
static sl_code is_known(const struct store_view *view, const char *name, bool *ret_known,
			struct sl_err *err)
{
	SL_AUTO(store_walk_end) struct store_walk walk;
	size_t length = strlen(name);
	*ret_known = false;
	store_walk_begin(&walk, view, TABLE_REPOSITORIES, SL_BYTES_NONE, STORE_FORWARD);
	while (!*ret_known && store_walk_next(&walk)) {
		/* workspace, id, NUL; the folder is called id.git */
		*ret_known = length == walk.key.size - 5 + 4 &&
			     memcmp(walk.key.data + 4, name, walk.key.size - 5) == 0;
	}
	return store_walk_result(&walk, err);
}

sl_code gitsync_sweep_mirrors(const char *data, const struct store_view *view, struct sl_err *err)
{
	char folder[PATH_MAX + 16], path[PATH_MAX + 300];
	(void)snprintf(folder, sizeof(folder), "%s/mirrors", data);
	DIR *dir = opendir(folder);
	struct dirent *entry = NULL;
	sl_code code = SL_OK;
	while (code == SL_OK && dir != NULL && (entry = readdir(dir)) != NULL) {
		bool known = false;
		const char *end = strrchr(entry->d_name, '.');
		if (end == NULL || end == entry->d_name || strcmp(end, ".git") != 0) {
			continue; /* none of ours */
		}
		(void)snprintf(path, sizeof(path), "%s/%s", folder, entry->d_name);
		code = is_known(view, entry->d_name, &known, err);
		if (code == SL_OK && known) {
			git_mirror_sweep(path);
		} else if (code == SL_OK) {
			gitsync_remove_tree(path);
		}
	}
	if (dir != NULL) {
		(void)closedir(dir);
	}
	return code;
}
