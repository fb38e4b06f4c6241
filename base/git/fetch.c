/* From a name on the remote to a commit in the mirror: RESOLVE, FETCH, LS. */
#include "base/git/fetch_internal.h"

#include <stdio.h>
#include <string.h>

#include "base/git/job_internal.h"

enum git_failure fetch_ref(struct remote *remote, const git_remote_head *head, git_oid *ret_commit)
{
	struct work *work = remote->work;
	char spec[2 * GIT_REF_MAX];
	/* The right side is never made: remote_download() changes no ref. */
	(void)snprintf(spec, sizeof(spec), "+%.*s:refs/sluice/fetch", GIT_REF_MAX, head->name);
	git_oid target = head->oid;
	char name[GIT_REF_MAX];
	(void)snprintf(name, sizeof(name), "%s", head->name);
	enum git_failure failure = remote_download(remote, (char *[]){spec}, 1);
	if (failure != GIT_OK) {
		return failure;
	}
	SL_AUTO(git_object_free_auto) git_object *object = NULL;
	SL_AUTO(git_object_free_auto) git_object *commit = NULL;
	int rc = git_object_lookup(&object, work->repo, &target, GIT_OBJECT_ANY);
	if (rc != 0) {
		return work_fail_git(work, ERROR_MIRROR, rc, "read what was fetched");
	}
	rc = git_object_peel(&commit, object, GIT_OBJECT_COMMIT);
	if (rc != 0) {
		return work_fail(work, GIT_REVISION_NOT_FOUND,
				 "'%s' of '%s' is a %s and leads to no commit", name, work->url,
				 git_object_type2string(git_object_type(object)));
	}
	*ret_commit = *git_object_id(commit);
	return mirror_keep(work, ret_commit);
}

enum git_failure fetch_reconnect(struct remote *remote)
{
	struct work *work = remote->work;
	remote_close(remote);
	return remote_open(remote, work, ERROR_FETCH);
}

enum git_failure fetch_try(struct remote *remote, char *refspec)
{
	enum git_failure failure = remote_download(remote, &refspec, 1);
	if (failure == GIT_OK || failure == GIT_BUNDLE_TOO_BIG || failure == GIT_DISK_FULL) {
		return failure;
	}
	work_forgive(remote->work);
	return GIT_OK;
}

/* By its bare id, which a host may allow or not. */
static enum git_failure try_by_id(struct remote *remote, const git_oid *id)
{
	char hex[GIT_OID_TEXT], spec[2 * GIT_OID_TEXT + 32];
	(void)git_oid_tostr(hex, sizeof(hex), id);
	(void)snprintf(spec, sizeof(spec), "%s:refs/sluice/keep/%s", hex, hex);
	return fetch_try(remote, spec);
}

enum git_failure fetch_commit(struct remote *remote, const git_oid *id, bool *ret_found)
{
	struct work *work = remote->work;
	git_oid commit;
	const git_remote_head *head = remote_find_id(remote, id);
	enum git_failure failure = GIT_OK;
	if (head != NULL) {
		failure = fetch_ref(remote, head, &commit);
	} else if (!mirror_has_commit(work, id)) {
		failure = try_by_id(remote, id);
	}
	if (failure == GIT_OK && !mirror_has_commit(work, id)) {
		char *all[] = {"+refs/heads/*:refs/sluice/fetch/heads/*",
			       "+refs/tags/*:refs/sluice/fetch/tags/*"};
		failure = fetch_reconnect(remote);
		failure = failure != GIT_OK ? failure : remote_download(remote, all, SL_COUNT(all));
	}
	if (failure != GIT_OK) {
		return failure;
	}
	*ret_found = mirror_has_commit(work, id);
	return *ret_found ? mirror_keep(work, id) : GIT_OK;
}

/* --- FETCH ------------------------------------------------------------------------ */

static enum git_failure fetch_named(struct work *work, struct remote *remote, const git_oid *want,
				    git_oid *ret_commit)
{
	const struct git_job *job = work->job;
	const struct parts parts = {.ref = job->ref};
	bool found = false;
	enum git_failure failure = want == NULL ? GIT_OK : delta_fetch(remote, want, &found);
	if (failure == GIT_OK && want != NULL && !found && job->ref[0] != '\0') {
		failure = parts_fetch(remote, &parts, want, &found);
	}
	if (failure != GIT_OK || found) {
		*ret_commit = found ? *want : *ret_commit;
		return failure;
	}
	const git_remote_head *head = job->ref[0] == '\0' ? NULL : remote_find(remote, job->ref);
	if (head != NULL) {
		failure = fetch_ref(remote, head, ret_commit);
		if (failure != GIT_OK || want == NULL || git_oid_equal(want, ret_commit)) {
			return failure;
		}
	}
	if (want == NULL) {
		bool branch = strncmp(job->ref, "refs/heads/", 11) == 0;
		return work_fail(work, branch ? GIT_BRANCH_NOT_FOUND : GIT_REVISION_NOT_FOUND,
				 "'%s' has no ref '%s'", work->url, job->ref);
	}
	found = mirror_has_commit(work, want);
	if (found) {
		failure = mirror_keep(work, want);
	} else {
		failure = head == NULL ? GIT_OK : fetch_reconnect(remote);
		failure = failure != GIT_OK ? failure : fetch_commit(remote, want, &found);
	}
	if (failure == GIT_OK && !found) {
		return work_fail(work, GIT_COMMIT_GONE, "'%s' no longer has commit %s%s%s",
				 work->url, job->commit,
				 job->ref[0] == '\0' ? "" : ", looked for through ", job->ref);
	}
	*ret_commit = *want;
	return failure;
}

enum git_failure do_fetch(struct work *work)
{
	const struct git_job *job = work->job;
	struct remote remote = {0};
	git_oid want = {0}, commit;
	bool named = job->commit[0] != '\0' && git_oid_fromstr(&want, job->commit) == 0;
	enum git_failure failure = GIT_OK;
	if (named && mirror_has_whole(work, &want)) {
		commit = want; /* no network at all */
		failure = mirror_keep(work, &want);
	} else {
		failure = remote_open(&remote, work, ERROR_FETCH);
		failure = failure != GIT_OK
			      ? failure
			      : fetch_named(work, &remote, named ? &want : NULL, &commit);
		remote_close(&remote);
		if (failure == GIT_OK && !mirror_has_whole(work, &commit)) {
			failure =
			    work_fail(work, GIT_MIRROR_CORRUPT,
				      "commit %s has objects missing in the mirror after the fetch",
				      git_oid_tostr_s(&commit));
		}
	}
	if (failure != GIT_OK) {
		return failure;
	}
	(void)snprintf(work->result->ref, sizeof(work->result->ref), "%s", job->ref);
	return commit_describe(work, &commit);
}

/* --- LS --------------------------------------------------------------------------- */

enum git_failure fetch_default_branch(struct remote *remote, const git_remote_head **ret_head)
{
	struct work *work = remote->work;
	git_buf name = {0};
	if (remote->ref_count == 0) {
		return work_fail(work, GIT_REPOSITORY_EMPTY, "'%s' has no commits yet", work->url);
	}
	const git_remote_head *head = NULL;
	if (git_remote_default_branch(&name, remote->handle) == 0) {
		head = remote_find(remote, name.ptr);
	}
	git_buf_dispose(&name);
	if (head == NULL) {
		return work_fail(work, GIT_BRANCH_NOT_FOUND,
				 "the default branch of '%s' does not exist; name a branch",
				 work->url);
	}
	*ret_head = head;
	return GIT_OK;
}

/* The branch that was asked for, else the default one. */
static enum git_failure find_branch(struct remote *remote, const git_remote_head **ret_head)
{
	struct work *work = remote->work;
	const char *ref = work->job->ref;
	if (ref[0] == '\0' || remote->ref_count == 0) {
		return fetch_default_branch(remote, ret_head);
	}
	*ret_head = remote_find(remote, ref);
	return *ret_head != NULL
		   ? GIT_OK
		   : work_fail(work, GIT_BRANCH_NOT_FOUND, "'%s' has no ref '%s'", work->url, ref);
}

enum git_failure do_ls_push(struct work *work)
{
	struct remote remote = {0};
	enum git_failure failure = remote_open(&remote, work, ERROR_PUSH);
	remote_close(&remote);
	return failure;
}

enum git_failure do_ls(struct work *work)
{
	struct remote remote = {0};
	const git_remote_head *head = NULL;
	enum git_failure failure = remote_open(&remote, work, ERROR_FETCH);
	failure = failure != GIT_OK ? failure : find_branch(&remote, &head);
	if (failure == GIT_OK) {
		(void)snprintf(work->result->ref, sizeof(work->result->ref), "%s", head->name);
		(void)git_oid_tostr(work->result->commit, sizeof(work->result->commit), &head->oid);
	}
	remote_close(&remote);
	return failure;
}
