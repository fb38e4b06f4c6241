/* What differs between two bundles, by path. */
#include "base/git/work_internal.h"

#include <string.h>

static enum git_failure read_side(struct work *work, const char *commit, const char *path,
				  struct bundle *ret_bundle)
{
	git_oid tree;
	enum git_failure failure = commit_folder(work, commit, path, &tree);
	return failure == GIT_OK ? bundle_read(work, &tree, ret_bundle) : failure;
}

static bool same(const struct bundle_file *a, const struct bundle_file *b)
{
	return git_oid_equal(&a->id, &b->id) && a->runnable == b->runnable;
}

static enum git_failure tell(struct work *work, char change, const struct bundle_file *before,
			     const struct bundle_file *after)
{
	struct git_diff_entry entry = {
	    .change = change,
	    .path = (char *)(uintptr_t)(after != NULL ? after->path : before->path), /* only read */
	    .old_bytes = before == NULL ? 0 : before->size,
	    .new_bytes = after == NULL ? 0 : after->size,
	};
	protocol_put_diff_entry(&work->record, &entry);
	return work_send(work) ? GIT_OK : work_fail(work, GIT_WORKER_FAILED, "the parent is gone");
}

/* Both lists are in order of path: one pass. */
enum git_failure diff_send(struct work *work, const struct bundle *before,
			   const struct bundle *after)
{
	size_t b = 0, a = 0, told = 0;
	while (b < before->count || a < after->count) {
		const struct bundle_file *old = b < before->count ? &before->files[b] : NULL;
		const struct bundle_file *new = a < after->count ? &after->files[a] : NULL;
		int order = old == NULL ? 1 : new == NULL ? -1 : strcmp(old->path, new->path);
		old = order <= 0 ? old : NULL;
		new = order >= 0 ? new : NULL;
		b += old != NULL;
		a += new != NULL;
		if (old != NULL && new != NULL && same(old, new)) {
			continue;
		}
		if (told++ == PROTOCOL_DIFF_MAX) {
			work->result->diff_cut = true;
			return GIT_OK;
		}
		enum git_failure failure = tell(work,
						old == NULL   ? 'A'
						: new == NULL ? 'D'
							      : 'M',
						old, new);
		if (failure != GIT_OK) {
			return failure;
		}
	}
	return GIT_OK;
}

enum git_failure do_diff(struct work *work)
{
	const struct git_job *job = work->job;
	SL_AUTO(bundle_fini) struct bundle before = {0};
	SL_AUTO(bundle_fini) struct bundle after = {0};
	enum git_failure failure = read_side(work, job->commit, job->path, &before);
	failure = failure != GIT_OK ? failure
				    : read_side(work, job->other_commit, job->other_path, &after);
	return failure != GIT_OK ? failure : diff_send(work, &before, &after);
}
