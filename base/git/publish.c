/* Publishing: the parentless commit of a bundle, pushed to its tag. */
#include <stdio.h>
#include <string.h>

#include "base/git/fetch_internal.h"

/* The ref is there already: fine if it leads to the same tree. */
static enum git_failure compare(struct work *work, const git_oid *tree, bool *ret_there)
{
	struct remote remote = {0};
	git_oid theirs;
	SL_AUTO(git_commit_free_auto) git_commit *commit = NULL;
	enum git_failure failure = remote_open(&remote, work, ERROR_FETCH);
	const git_remote_head *head =
	    failure == GIT_OK ? remote_find(&remote, work->job->ref) : NULL;
	*ret_there = head != NULL;
	if (head != NULL) {
		failure = fetch_ref(&remote, head, &theirs);
	}
	remote_close(&remote);
	if (failure == GIT_REVISION_NOT_FOUND) {
		return work_fail(work, GIT_TAG_TAKEN,
				 "'%s' has '%s' already, which leads to no commit", work->url,
				 work->job->ref);
	}
	if (failure != GIT_OK || head == NULL) {
		return failure;
	}
	int rc = git_commit_lookup(&commit, work->repo, &theirs);
	if (rc != 0) {
		return work_fail_git(work, ERROR_MIRROR, rc, "read the tag's commit");
	}
	char hex[GIT_OID_TEXT];
	(void)git_oid_tostr(hex, sizeof(hex), git_commit_tree_id(commit));
	if (!git_oid_equal(git_commit_tree_id(commit), tree)) {
		return work_fail(work, GIT_TAG_TAKEN,
				 "'%s' has '%s' already, with tree %s and not %s", work->url,
				 work->job->ref, hex, git_oid_tostr_s(tree));
	}
	(void)git_oid_tostr(work->result->commit, sizeof(work->result->commit), &theirs);
	return GIT_OK;
}

static enum git_failure push_new(struct work *work, const git_oid *commit, const git_oid *tree)
{
	struct remote remote = {0};
	enum git_failure failure = remote_open(&remote, work, ERROR_PUSH);
	bool there = failure == GIT_OK && remote_find(&remote, work->job->ref) != NULL;
	if (failure == GIT_OK && !there) {
		failure = remote_push_commit(&remote, commit, work->job->ref);
	}
	remote_close(&remote); /* its words stay */
	bool refused = failure == GIT_PUSH_REFUSED || failure == GIT_WRITE_REFUSED;
	if (failure != GIT_OK && !refused) {
		return failure;
	}
	if (failure == GIT_OK && !there && remote.ref_refused[0] == '\0') {
		return mirror_keep(work, commit);
	}
	/* There before, or somebody was faster, or the host will not have it. */
	struct git_result so_far = *work->result;
	enum git_failure compared = compare(work, tree, &there);
	if (there || compared != GIT_OK) {
		return compared;
	}
	if (refused) {
		*work->result = so_far;
		return failure;
	}
	return remote_fail_ref(&remote);
}

/* What saves agents time. Without it they fetch more, so that a failure is none: the text keeps the
 * reason. */
static void publish_beside(struct work *work, const git_oid *commit, const git_oid *tree,
			   const struct bundle *bundle)
{
	const struct parts parts = {.ref = work->job->ref, .tree = tree, .bundle = bundle};
	(void)delta_publish(work, commit, tree, bundle);
	(void)parts_publish(work, &parts);
	work->result->failure = GIT_OK;
	work->result->rule = GIT_RULE_NONE;
}

enum git_failure do_publish(struct work *work)
{
	const struct git_job *job = work->job;
	git_oid tree, commit;
	SL_AUTO(bundle_fini) struct bundle bundle = {0};
	enum git_failure failure = commit_folder(work, job->commit, job->path, &tree);
	if (failure != GIT_OK) {
		return failure;
	}
	(void)git_oid_tostr(work->result->tree, sizeof(work->result->tree), &tree);
	if (job->want_tree[0] != '\0' && strcmp(job->want_tree, work->result->tree) != 0) {
		return work_fail(work, GIT_DIGEST_MISMATCH,
				 "folder '%s' of commit %s is tree %s, not %s", job->path,
				 job->commit, work->result->tree, job->want_tree);
	}
	failure = bundle_read(work, &tree, &bundle);
	failure = failure != GIT_OK
		      ? failure
		      : commit_write(work, &tree, NULL, "sluice", job->message, &commit);
	if (failure != GIT_OK) {
		return failure;
	}
	work->result->files = bundle.count;
	work->result->bytes = bundle.bytes;
	(void)snprintf(work->result->ref, sizeof(work->result->ref), "%s", job->ref);
	(void)git_oid_tostr(work->result->commit, sizeof(work->result->commit), &commit);
	failure = push_new(work, &commit, &tree);
	/* The same tree by somebody else is another commit: nothing of ours leads to it. */
	if (failure == GIT_OK && strcmp(work->result->commit, git_oid_tostr_s(&commit)) == 0) {
		publish_beside(work, &commit, &tree, &bundle);
	}
	return failure;
}
