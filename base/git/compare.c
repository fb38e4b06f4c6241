/* How a folder of the disk differs from one of the mirror. Nothing is written. */
#include "base/git/work_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/git/folder.h"

/* The folder's files as a bundle's, in the making. */
struct listing {
	struct work *work;
	struct bundle bundle;
	enum git_failure failure;
};

static void listing_fini(struct listing *l)
{
	bundle_fini(&l->bundle);
}

static bool grow(struct bundle *bundle)
{
	size_t room = bundle->room == 0 ? 64 : bundle->room * 2;
	struct bundle_file *files = realloc(bundle->files, room * sizeof(*files));
	if (files != NULL) {
		bundle->files = files;
		bundle->room = room;
	}
	return files != NULL;
}

/* As Git names it. By its path: libgit2 reads no descriptor. The worker reaches nothing but the
 * folder. */
static enum git_failure name_file(struct work *work, const char *path, git_oid *ret_id)
{
	char full[GIT_FOLDER_PATH_SIZE * 2];
	(void)snprintf(full, sizeof(full), "%s/%s", work->job->folder, path);
	int rc = git_odb_hashfile(ret_id, full, GIT_OBJECT_BLOB);
	return rc == 0 ? GIT_OK : work_fail_git(work, ERROR_MIRROR, rc, "read a file");
}

static bool take_file(void *ctx, const char *path, int fd, const struct stat *file)
{
	struct listing *l = ctx;
	struct bundle *bundle = &l->bundle;
	(void)fd;
	if (bundle->count >= l->work->job->limits.files) {
		l->failure = work_break(l->work, GIT_BUNDLE_TOO_BIG, GIT_RULE_TOO_MANY_FILES,
					"the folder has more files than a bundle may have");
		return false;
	}
	char *name = sl_arena_strdup(&bundle->arena, path);
	if (name == NULL || (bundle->count == bundle->room && !grow(bundle))) {
		l->failure = work_fail(l->work, GIT_OUT_OF_MEMORY, "out of memory for a folder");
		return false;
	}
	struct bundle_file *to = &bundle->files[bundle->count++];
	*to = (struct bundle_file){.path = name,
				   .size = (uint64_t)file->st_size,
				   .runnable = (file->st_mode & S_IXUSR) != 0};
	l->failure = name_file(l->work, path, &to->id);
	return l->failure == GIT_OK;
}

static int by_path(const void *a, const void *b)
{
	return strcmp(((const struct bundle_file *)a)->path, ((const struct bundle_file *)b)->path);
}

static enum git_failure list_folder(struct listing *l)
{
	struct git_folder_walk walk = {.take = take_file, .ctx = l};
	sl_arena_init(&l->bundle.arena, 0);
	enum git_failure failure = folder_walk(l->work, &walk);
	failure = failure != GIT_OK ? failure : l->failure;
	if (failure == GIT_OK && l->bundle.count > 1) {
		qsort(l->bundle.files, l->bundle.count, sizeof(*l->bundle.files), by_path);
	}
	return failure;
}

enum git_failure do_compare(struct work *work)
{
	git_oid tree;
	SL_AUTO(bundle_fini) struct bundle before = {0};
	SL_AUTO(listing_fini) struct listing after = {.work = work};
	if (git_oid_fromstr(&tree, work->job->want_tree) != 0) {
		return work_fail(work, GIT_WORKER_FAILED, "'%s' is no tree id",
				 work->job->want_tree);
	}
	enum git_failure failure = bundle_read(work, &tree, &before);
	failure = failure != GIT_OK ? failure : list_folder(&after);
	return failure != GIT_OK ? failure : diff_send(work, &before, &after.bundle);
}
