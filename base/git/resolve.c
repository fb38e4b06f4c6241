/* What a revision means: the remote's default branch, a branch, a tag, a full commit id. */
#include <stdio.h>
#include <string.h>

#include "base/git/fetch_internal.h"
#include "base/git/job_internal.h"

static const git_remote_head *find_in(struct remote *remote, const char *folder, const char *name)
{
	char full[GIT_REF_MAX + 16];
	(void)snprintf(full, sizeof(full), "%s%s", folder, name);
	return remote_find(remote, full);
}

enum git_failure fetch_branch(struct remote *remote, const char *branch,
			      const git_remote_head **ret_head)
{
	struct work *work = remote->work;
	if (remote->ref_count == 0) {
		return work_fail(work, GIT_REPOSITORY_EMPTY, "'%s' has no commits yet", work->url);
	}
	*ret_head = find_in(remote, strncmp(branch, "refs/", 5) == 0 ? "" : "refs/heads/", branch);
	if (*ret_head == NULL) {
		return work_fail(work, GIT_BRANCH_NOT_FOUND, "'%s' has no branch '%s'", work->url,
				 branch);
	}
	return GIT_OK;
}

static enum git_failure find_revision(struct remote *remote, const char *revision,
				      const git_remote_head **ret_head)
{
	static const char *const folders[] = {"refs/heads/", "refs/tags/"};
	struct work *work = remote->work;
	const git_remote_head *head =
	    strncmp(revision, "refs/", 5) == 0 ? remote_find(remote, revision) : NULL;
	for (size_t i = 0; i < SL_COUNT(folders) && head == NULL; i++) {
		head = find_in(remote, folders[i], revision);
	}
	if (head == NULL && remote->ref_count == 0) {
		return work_fail(work, GIT_REPOSITORY_EMPTY, "'%s' has no commits yet", work->url);
	}
	if (head == NULL || strchr(head->name, '^') != NULL) {
		return work_fail(work, GIT_REVISION_NOT_FOUND,
				 "'%.200s' is no branch or tag of '%s'; a revision is a branch, a "
				 "tag or a full commit id of 40"
				 " hex digits (no short ids, no expressions)",
				 revision, work->url);
	}
	*ret_head = head;
	return GIT_OK;
}

static enum git_failure by_id(struct remote *remote, const char *hex, git_oid *ret_commit)
{
	struct work *work = remote->work;
	bool found = false;
	if (remote->ref_count == 0) {
		return work_fail(work, GIT_REPOSITORY_EMPTY, "'%s' has no commits yet", work->url);
	}
	(void)git_oid_fromstr(ret_commit, hex);
	enum git_failure failure = fetch_commit(remote, ret_commit, &found);
	if (failure == GIT_OK && !found) {
		return work_fail(work, GIT_REVISION_NOT_FOUND, "'%s' has no commit %s", work->url,
				 hex);
	}
	return failure;
}

static enum git_failure resolve_on(struct remote *remote, git_oid *ret_commit)
{
	struct work *work = remote->work;
	const struct git_job *job = work->job;
	const git_remote_head *head = NULL;
	enum git_failure failure = GIT_OK;
	if (job_is_oid(job->revision)) {
		return by_id(remote, job->revision, ret_commit);
	}
	if (job->revision[0] != '\0' && strcmp(job->revision, "HEAD") != 0) {
		failure = find_revision(remote, job->revision, &head);
	} else if (job->revision[0] == '\0' && job->ref[0] != '\0') {
		failure = fetch_branch(remote, job->ref, &head);
	} else {
		failure = fetch_default_branch(remote, &head);
	}
	if (failure != GIT_OK) {
		return failure;
	}
	(void)snprintf(work->result->ref, sizeof(work->result->ref), "%s", head->name);
	return fetch_ref(remote, head, ret_commit);
}

enum git_failure resolve(struct work *work, git_oid *ret_commit)
{
	struct remote remote = {0};
	enum git_failure failure = remote_open(&remote, work, ERROR_FETCH);
	failure = failure != GIT_OK ? failure : resolve_on(&remote, ret_commit);
	remote_close(&remote);
	return failure;
}

enum git_failure do_resolve(struct work *work)
{
	git_oid commit;
	enum git_failure failure = resolve(work, &commit);
	if (failure != GIT_OK) {
		return failure;
	}
	char hex[GIT_OID_TEXT];
	(void)git_oid_tostr(hex, sizeof(hex), &commit);
	return inspect(work, hex, work->job->path);
}
