/* Pushing into a repository of this machine (file://). libgit2's own way looks at the branch when
 * it connects and sets it when all objects are there, whatever it has become meanwhile: somebody
 * else's push would be gone. So the branch is looked at again under Git's own lock. */
#include <stdio.h>
#include <string.h>

#include "base/git/remote_internal.h"
#include "base/git/url_internal.h"

SL_DEFINE_AUTO(git_packbuilder *, git_packbuilder_free);
SL_DEFINE_AUTO(git_repository *, git_repository_free);
SL_DEFINE_AUTO(git_signature *, git_signature_free);
SL_DEFINE_AUTO(git_transaction *, git_transaction_free);

bool remote_is_local(const struct remote *remote)
{
	struct url url;
	return url_parse(remote->work->job->url, &url, NULL) == SL_OK && url.scheme == URL_FILE;
}

static enum git_failure open_target(struct work *work, git_repository **ret_target)
{
	struct url url;
	if (url_parse(work->job->url, &url, NULL) != SL_OK) {
		return work_fail(work, GIT_WORKER_FAILED, "'%s' is no URL", work->url);
	}
	int rc = git_repository_open_ext(ret_target, url.path, GIT_REPOSITORY_OPEN_NO_SEARCH, NULL);
	if (rc != 0) {
		return work_fail_git(work, ERROR_PUSH, rc, "open the repository");
	}
	return git_repository_is_bare(*ret_target)
		   ? GIT_OK
		   : work_fail(work, GIT_PUSH_REFUSED,
			       "'%s' is not a bare repository: nothing is pushed into a work tree",
			       work->url);
}

/* What the target lacks of the commit, as one pack. */
static enum git_failure send_objects(const struct remote *remote, const git_oid *commit,
				     git_repository *target)
{
	struct work *work = remote->work;
	SL_AUTO(git_revwalk_free_auto) git_revwalk *walk = NULL;
	SL_AUTO(git_packbuilder_free_auto) git_packbuilder *pack = NULL;
	char folder[GIT_PATH_MAX + 16];
	(void)snprintf(folder, sizeof(folder), "%sobjects/pack", git_repository_commondir(target));
	int rc = git_revwalk_new(&walk, work->repo);
	rc = rc != 0 ? rc : git_revwalk_push(walk, commit);
	for (size_t i = 0; rc == 0 && i < remote->ref_count; i++) {
		(void)git_revwalk_hide(walk, &remote->refs[i]->oid); /* if the mirror knows it */
	}
	rc = rc != 0 ? rc : git_packbuilder_new(&pack, work->repo);
	rc = rc != 0 ? rc : git_packbuilder_insert_walk(pack, walk);
	if (rc == 0 && git_packbuilder_object_count(pack) > 0) {
		rc = git_packbuilder_write(pack, folder, 0, NULL, NULL);
	}
	return rc == 0 ? GIT_OK : work_fail_git(work, ERROR_PUSH, rc, "write the objects");
}

/* Under the branch's lock: on from where it is now, or not at all. */
static enum git_failure set_branch(struct remote *remote, git_repository *target,
				   const git_oid *commit, const char *to)
{
	struct work *work = remote->work;
	SL_AUTO(git_transaction_free_auto) git_transaction *change = NULL;
	SL_AUTO(git_signature_free_auto) git_signature *who = NULL;
	git_oid now;
	int rc = git_transaction_new(&change, target);
	rc = rc != 0 ? rc : git_transaction_lock_ref(change, to);
	if (rc != 0) {
		return work_fail_git(work, ERROR_PUSH, rc, "lock the branch");
	}
	int found = git_reference_name_to_id(&now, target, to);
	if (found == 0 && !history_has(work, commit, &now)) {
		(void)snprintf(remote->ref_refused, sizeof(remote->ref_refused),
			       "%.200s: it went on meanwhile (non-fast-forward)", to);
		return GIT_OK;
	}
	rc = found == GIT_ENOTFOUND ? 0 : found;
	rc = rc != 0 ? rc
		     : git_signature_new(&who, "sluice", "sluice@localhost",
					 (git_time_t)work->job->unix_s, 0);
	rc = rc != 0 ? rc : git_transaction_set_target(change, to, commit, who, "push");
	rc = rc != 0 ? rc : git_transaction_commit(change);
	return rc == 0 ? GIT_OK : work_fail_git(work, ERROR_PUSH, rc, "set the branch");
}

enum git_failure remote_push_local(struct remote *remote, const git_oid *commit, const char *to)
{
	SL_AUTO(git_repository_free_auto) git_repository *target = NULL;
	enum git_failure failure = open_target(remote->work, &target);
	failure = failure != GIT_OK ? failure : send_objects(remote, commit, target);
	return failure != GIT_OK ? failure : set_branch(remote, target, commit, to);
}
