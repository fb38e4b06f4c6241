/* Content that was made from one commit, put on top of another: file by file, never line by line.
 */
#include <stdlib.h>
#include <string.h>

#include "base/git/work_internal.h"

struct merge {
	struct work *work;
	git_tree *base, *ours, *theirs; /* owned; base NULL: there was nothing */
	git_diff *by_us, *by_them;      /* owned; since base */
};

static void merge_fini(struct merge *m)
{
	git_diff_free(m->by_us);
	git_diff_free(m->by_them);
	git_tree_free(m->base);
	git_tree_free(m->ours);
	git_tree_free(m->theirs);
}

static int read_sides(struct merge *m, const git_oid *base, const git_oid *ours,
		      const git_oid *theirs)
{
	git_repository *repo = m->work->repo;
	git_diff_options opts;
	(void)git_diff_options_init(&opts, GIT_DIFF_OPTIONS_VERSION);
	opts.flags = GIT_DIFF_SKIP_BINARY_CHECK;
	int rc = base == NULL ? 0 : git_tree_lookup(&m->base, repo, base);
	rc = rc != 0 ? rc : git_tree_lookup(&m->ours, repo, ours);
	rc = rc != 0 ? rc : git_tree_lookup(&m->theirs, repo, theirs);
	rc = rc != 0 ? rc : git_diff_tree_to_tree(&m->by_us, repo, m->base, m->ours, &opts);
	return rc != 0 ? rc : git_diff_tree_to_tree(&m->by_them, repo, m->base, m->theirs, &opts);
}

static bool same_outcome(const git_diff_delta *a, const git_diff_delta *b)
{
	bool gone = a->status == GIT_DELTA_DELETED;
	return gone == (b->status == GIT_DELTA_DELETED) &&
	       (gone || (git_oid_equal(&a->new_file.id, &b->new_file.id) &&
			 a->new_file.mode == b->new_file.mode));
}

/* The first path that both changed, each in another way; NULL: none. Both lists are in order of
 * path. */
static const char *both_changed(const struct merge *m)
{
	size_t us = 0, them = 0;
	size_t us_count = git_diff_num_deltas(m->by_us),
	       them_count = git_diff_num_deltas(m->by_them);
	while (us < us_count && them < them_count) {
		const git_diff_delta *a = git_diff_get_delta(m->by_us, us);
		const git_diff_delta *b = git_diff_get_delta(m->by_them, them);
		int order = strcmp(a->new_file.path, b->new_file.path);
		if (order == 0 && !same_outcome(a, b)) {
			return a->new_file.path;
		}
		us += order <= 0;
		them += order >= 0;
	}
	return NULL;
}

/* Their folder with our changes; an error where a file stands in the way of a folder. */
static int put_on_top(const struct merge *m, git_oid *ret_tree)
{
	size_t count = git_diff_num_deltas(m->by_us);
	git_tree_update *updates = calloc(count + 1, sizeof(*updates));
	if (updates == NULL) {
		return -1;
	}
	size_t used = 0;
	for (size_t i = 0; i < count; i++) {
		const git_diff_delta *delta = git_diff_get_delta(m->by_us, i);
		bool gone = delta->status == GIT_DELTA_DELETED;
		SL_AUTO(git_tree_entry_free_auto) git_tree_entry *there = NULL;
		if (gone && git_tree_entry_bypath(&there, m->theirs, delta->old_file.path) != 0) {
			continue; /* both removed it */
		}
		updates[used++] = (git_tree_update){
		    .action = gone ? GIT_TREE_UPDATE_REMOVE : GIT_TREE_UPDATE_UPSERT,
		    .id = delta->new_file.id,
		    .filemode = gone ? GIT_FILEMODE_BLOB : (git_filemode_t)delta->new_file.mode,
		    .path = delta->new_file.path,
		};
	}
	int rc = git_tree_create_updated(ret_tree, m->work->repo, m->theirs, used, updates);
	free(updates);
	return rc;
}

enum git_failure merge_folders(struct work *work, const git_oid *base, const git_oid *ours,
			       const git_oid *theirs, git_oid *ret_tree)
{
	SL_AUTO(merge_fini) struct merge m = {.work = work};
	int rc = read_sides(&m, base, ours, theirs);
	if (rc != 0) {
		return work_fail_git(work, ERROR_MIRROR, rc, "compare what was changed");
	}
	const char *path = work->job->onto ? NULL : both_changed(&m);
	if (path != NULL) {
		return work_fail(work, GIT_CONFLICT,
				 "'%.200s' was changed on '%s' of '%s', too: look at the commits "
				 "there, or put yours on top of them",
				 path, work->result->ref, work->url);
	}
	if (put_on_top(&m, ret_tree) != 0) {
		return work_fail(work, GIT_CONFLICT,
				 "what was changed on '%s' of '%s' has a file where a folder was "
				 "put, or a folder where a file was",
				 work->result->ref, work->url);
	}
	return GIT_OK;
}
