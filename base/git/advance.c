/* COMMIT: one commit on top of a branch, exactly once however often it is asked for. */
#include <stdio.h>
#include <string.h>

#include "base/bytes/bytes.h"
#include "base/git/fetch_internal.h"

enum { TRIES_MAX = 5 };

/* A branch that is to go one commit further. */
struct advance {
	struct work *work;
	bool there;               /* false: the repository is empty */
	git_oid tip;              /* of the branch now */
	git_tree *below;          /* of the tip; owned; NULL: the repository is empty */
	git_oid content;          /* of what was given */
	git_oid commit;           /* the own one */
	enum git_failure refused; /* what the host's last no was, with its words: */
	char refusal[512];        /* of the last push; "": there was none */
};

/* --- the branch as it is ------------------------------------------------------------- */

static void name_ref(struct advance *a, const char *name)
{
	struct git_result *result = a->work->result;
	bool full = strncmp(name, "refs/", 5) == 0;
	(void)snprintf(result->ref, sizeof(result->ref), "%s%s", full ? "" : "refs/heads/",
		       name[0] == '\0' ? "main" : name);
}

static enum git_failure fetch_tip(struct advance *a, struct remote *remote)
{
	const char *branch = a->work->job->ref;
	const git_remote_head *head = NULL;
	a->there = remote->ref_count > 0;
	if (!a->there) {
		name_ref(a, branch);
		return GIT_OK;
	}
	enum git_failure failure = branch[0] != '\0' ? fetch_branch(remote, branch, &head)
						     : fetch_default_branch(remote, &head);
	if (failure != GIT_OK) {
		return failure;
	}
	name_ref(a, head->name);
	return fetch_ref(remote, head, &a->tip);
}

static enum git_failure read_tree(struct advance *a)
{
	SL_AUTO(git_commit_free_auto) git_commit *commit = NULL;
	git_tree_free(a->below);
	a->below = NULL;
	int rc = git_commit_lookup(&commit, a->work->repo, &a->tip);
	rc = rc != 0 ? rc : git_commit_tree(&a->below, commit);
	return rc == 0 ? GIT_OK
		       : work_fail_git(a->work, ERROR_MIRROR, rc, "read the branch's folder");
}

/* What was there must still be there. */
static enum git_failure check_history(const struct advance *a)
{
	struct work *work = a->work;
	git_oid known;
	if (work->job->commit[0] == '\0' || git_oid_fromstr(&known, work->job->commit) != 0 ||
	    (a->there && history_has(work, &a->tip, &known))) {
		return GIT_OK;
	}
	return work_fail(work, GIT_HISTORY_REWRITTEN,
			 "'%s' of '%s' was at %s and %s%s: its history was rewritten; nothing is "
			 "written until somebody says that this is meant",
			 work->result->ref, work->url, work->job->commit,
			 a->there ? "is now without it at " : "is gone",
			 a->there ? git_oid_tostr_s(&a->tip) : "");
}

static enum git_failure read_branch(struct advance *a)
{
	struct remote remote = {0};
	enum git_failure failure = remote_open(&remote, a->work, ERROR_FETCH);
	failure = failure != GIT_OK ? failure : fetch_tip(a, &remote);
	remote_close(&remote);
	failure = failure != GIT_OK ? failure : check_history(a);
	return failure != GIT_OK || !a->there ? failure : read_tree(a);
}

/* --- what is to be on top -------------------------------------------------------------- */

struct edits {
	git_tree_update list[4];
	size_t count;
};

static void edit(struct edits *edits, git_tree_update_t action, const char *path,
		 git_filemode_t mode, const git_oid *id)
{
	git_tree_update *update = &edits->list[edits->count++];
	*update = (git_tree_update){.action = action, .path = path, .filemode = mode};
	if (id != NULL) {
		update->id = *id;
	}
}

/* What lies at `path` of a tree; false: nothing. */
static bool entry_at(const git_tree *tree, const char *path, git_oid *ret_id,
		     git_filemode_t *ret_mode)
{
	SL_AUTO(git_tree_entry_free_auto) git_tree_entry *entry = NULL;
	if (tree == NULL || git_tree_entry_bypath(&entry, tree, path) != 0) {
		return false;
	}
	*ret_id = *git_tree_entry_id(entry);
	*ret_mode = git_tree_entry_filemode(entry);
	return true;
}

static enum git_failure add_move(struct advance *a, struct edits *edits)
{
	const struct git_job *job = a->work->job;
	git_oid id, taken;
	git_filemode_t mode;
	if (job->move_from[0] == '\0' || !entry_at(a->below, job->move_from, &id, &mode)) {
		return GIT_OK; /* what is not there yet need not move */
	}
	git_filemode_t taken_mode;
	if (entry_at(a->below, job->path, &taken, &taken_mode)) {
		return work_fail(a->work, GIT_CONFLICT,
				 "'%s' of '%s' has '%s' already: '%s' cannot be moved there",
				 a->work->result->ref, a->work->url, job->path, job->move_from);
	}
	edit(edits, GIT_TREE_UPDATE_REMOVE, job->move_from, mode, NULL);
	edit(edits, GIT_TREE_UPDATE_UPSERT, job->path, mode, &id);
	return GIT_OK;
}

/* The folder that the content was made from; false in *ret_there: there was none. */
static enum git_failure base_folder(struct advance *a, git_oid *ret_base, bool *ret_there)
{
	struct git_result so_far = *a->work->result;
	const struct git_job *job = a->work->job;
	enum git_failure failure = commit_folder(a->work, job->other_commit, job->path, ret_base);
	*ret_there = failure == GIT_OK;
	if (failure == GIT_PATH_NOT_FOUND || failure == GIT_PATH_NOT_A_FOLDER) {
		*a->work->result = so_far;
		return GIT_OK;
	}
	return failure;
}

/* What the branch has, and the content made from an older state of it: a CONFLICT comes with the
 * commits that it is with. */
static enum git_failure put_content_on(struct advance *a, const git_oid *theirs, git_oid *content)
{
	const struct git_job *job = a->work->job;
	git_oid base, since, merged;
	bool there = false;
	if (job->other_commit[0] == '\0' || git_oid_fromstr(&since, job->other_commit) != 0) {
		return GIT_OK;
	}
	enum git_failure failure = base_folder(a, &base, &there);
	if (failure != GIT_OK || (there && git_oid_equal(&base, theirs))) {
		return failure;
	}
	failure = merge_folders(a->work, there ? &base : NULL, content, theirs, &merged);
	if (failure == GIT_CONFLICT) {
		struct git_result conflict = *a->work->result;
		failure = history_send(a->work, &since, &a->tip, job->path);
		conflict.log_cut = a->work->result->log_cut;
		*a->work->result = failure == GIT_OK ? conflict : *a->work->result;
		return failure == GIT_OK ? GIT_CONFLICT : failure;
	}
	if (failure == GIT_OK) {
		SL_AUTO(bundle_fini) struct bundle bundle = {0};
		*content = merged;
		failure = bundle_read(a->work, content, &bundle); /* twins may have met */
	}
	return failure;
}

static enum git_failure add_content(struct advance *a, struct edits *edits)
{
	const struct git_job *job = a->work->job;
	git_oid id;
	git_filemode_t mode;
	if (!content_is_given(job)) {
		return GIT_OK;
	}
	bool there = entry_at(a->below, job->path, &id, &mode);
	if (there && mode != GIT_FILEMODE_TREE) {
		return work_fail(a->work, GIT_PATH_NOT_A_FOLDER, "'%s' of '%s' is not a folder",
				 job->path, a->work->url);
	}
	git_oid content = a->content;
	enum git_failure failure = there ? put_content_on(a, &id, &content) : GIT_OK;
	a->work->result->unchanged = there && git_oid_equal(&id, &content);
	if (failure == GIT_OK && !a->work->result->unchanged) {
		edit(edits, GIT_TREE_UPDATE_UPSERT, job->path, GIT_FILEMODE_TREE, &content);
	}
	return failure;
}

static enum git_failure add_record(struct advance *a, struct edits *edits)
{
	const struct git_job *job = a->work->job;
	git_oid blob;
	if (job->record_path[0] == '\0') {
		return GIT_OK;
	}
	int rc =
	    git_odb_write(&blob, a->work->odb, job->record, strlen(job->record), GIT_OBJECT_BLOB);
	if (rc != 0) {
		return work_fail_git(a->work, ERROR_MIRROR, rc, "write the app's record");
	}
	edit(edits, GIT_TREE_UPDATE_UPSERT, job->record_path, GIT_FILEMODE_BLOB, &blob);
	return GIT_OK;
}

static enum git_failure apply(struct advance *a, const struct edits *edits, git_oid *ret_tree)
{
	int rc =
	    git_tree_create_updated(ret_tree, a->work->repo, a->below, edits->count, edits->list);
	return rc == 0 ? GIT_OK
		       : work_fail_git(a->work, ERROR_MIRROR, rc, "write the branch's new folder");
}

/* Content for the whole repository. */
static enum git_failure replace_all(struct advance *a, git_oid *ret_tree)
{
	*ret_tree = a->content;
	enum git_failure failure =
	    a->below == NULL ? GIT_OK : put_content_on(a, git_tree_id(a->below), ret_tree);
	a->work->result->unchanged =
	    a->below != NULL && git_oid_equal(git_tree_id(a->below), ret_tree);
	return failure;
}

static enum git_failure make_tree(struct advance *a, git_oid *ret_tree)
{
	const struct git_job *job = a->work->job;
	struct edits edits = {.count = 0};
	a->work->result->unchanged = false;
	if (content_is_given(job) && job->path[0] == '\0') {
		return replace_all(a, ret_tree);
	}
	enum git_failure failure = add_move(a, &edits);
	failure = failure != GIT_OK ? failure : add_content(a, &edits);
	if (failure != GIT_OK || a->work->result->unchanged) {
		return failure;
	}
	failure = add_record(a, &edits);
	failure = failure != GIT_OK ? failure : apply(a, &edits, ret_tree);
	a->work->result->unchanged =
	    failure == GIT_OK && a->below != NULL && git_oid_equal(git_tree_id(a->below), ret_tree);
	return failure;
}

static enum git_failure make_commit(struct advance *a, const git_oid *tree)
{
	const struct git_job *job = a->work->job;
	SL_AUTO(sl_buf_fini) struct sl_buf message = {0};
	sl_buf_printf(&message, "%s\n\nSluice-Operation: %s\n", job->message, job->operation);
	sl_buf_append(&message, "", 1);
	return message.failed ? work_fail(a->work, GIT_OUT_OF_MEMORY, "out of memory for a message")
			      : commit_write(a->work, tree, a->there ? &a->tip : NULL, job->author,
					     (const char *)message.data, &a->commit);
}

/* --- onto the host ------------------------------------------------------------------------ */

/* True in *ret_refused: the host did not take it, a->refusal says in which words. */
static enum git_failure push(struct advance *a, bool *ret_refused)
{
	struct work *work = a->work;
	struct remote remote = {0};
	enum git_failure failure = remote_open(&remote, work, ERROR_PUSH);
	failure = failure != GIT_OK ? failure
				    : remote_push_commit(&remote, &a->commit, work->result->ref);
	remote_close(&remote); /* its words stay */
	*ret_refused = failure == GIT_PUSH_REFUSED || failure == GIT_WRITE_REFUSED;
	if (failure == GIT_OK && remote.ref_refused[0] != '\0') {
		*ret_refused = true;
		failure = remote_fail_ref(&remote);
	}
	if (*ret_refused) {
		a->refused = failure;
		sl_text_copy(a->refusal, sizeof(a->refusal), work->result->text);
		work->result->failure = GIT_OK;
		work->result->text[0] = '\0';
		return GIT_OK;
	}
	return failure;
}

static void note(struct advance *a, const git_oid *commit, const git_oid *tip)
{
	struct git_result *result = a->work->result;
	(void)git_oid_tostr(result->commit, sizeof(result->commit), commit);
	(void)git_oid_tostr(result->tip, sizeof(result->tip), tip);
}

/* Nothing is made: what is meant is on the branch, or it is not. */
static enum git_failure find_only(struct advance *a)
{
	const struct git_job *job = a->work->job;
	git_oid meant;
	bool there = a->there && job->revision[0] != '\0' &&
		     git_oid_fromstr(&meant, job->revision) == 0 &&
		     history_has(a->work, &a->tip, &meant);
	if (!there) {
		return work_fail(a->work, GIT_COMMIT_GONE, "'%s' of '%s' has no commit of %s",
				 a->work->result->ref, a->work->url, job->operation);
	}
	a->work->result->unchanged = true;
	note(a, &meant, &a->tip);
	return GIT_OK;
}

/* One look at the branch and one push on top of it. *ret_again: somebody else may have been faster.
 */
static enum git_failure round_once(struct advance *a, bool *ret_again)
{
	struct work *work = a->work;
	bool own = false;
	git_oid tree;
	*ret_again = false;
	enum git_failure failure =
	    a->there ? history_find_own(work, &a->tip, &own, &a->commit) : GIT_OK;
	if (failure != GIT_OK || own) {
		note(a, &a->commit, &a->tip);
		return failure;
	}
	if (work->job->look) {
		return find_only(a);
	}
	failure = make_tree(a, &tree);
	if (failure != GIT_OK || work->result->unchanged) {
		note(a, &a->tip, &a->tip);
		return failure;
	}
	failure = make_commit(a, &tree);
	failure = failure != GIT_OK ? failure : push(a, ret_again);
	if (failure == GIT_OK && !*ret_again) {
		note(a, &a->commit, &a->commit);
		failure = mirror_keep(work, &a->commit);
	}
	return failure;
}

static enum git_failure run(struct advance *a)
{
	struct work *work = a->work;
	for (int tries = 0; tries < TRIES_MAX; tries++) {
		git_oid before = a->tip;
		bool was_there = a->there, again = false;
		enum git_failure failure = read_branch(a);
		if (failure != GIT_OK) {
			return failure;
		}
		/* It is as it was, so nobody was faster: the host does not want it. */
		if (a->refusal[0] != '\0' && was_there == a->there &&
		    (!a->there || git_oid_equal(&before, &a->tip))) {
			return work_fail(work, a->refused, "%s", a->refusal);
		}
		failure = round_once(a, &again);
		if (failure != GIT_OK || !again) {
			return failure;
		}
	}
	return work_fail(work, GIT_REPOSITORY_UNREACHABLE,
			 "'%s' of '%s' went on %d times while a commit was put on top of it",
			 work->result->ref, work->url, TRIES_MAX);
}

enum git_failure do_commit(struct work *work)
{
	struct advance a = {.work = work};
	bool given = content_is_given(work->job);
	enum git_failure failure = given ? content_read(work, &a.content) : GIT_OK;
	failure = failure != GIT_OK ? failure : run(&a);
	git_tree_free(a.below);
	return failure != GIT_OK || !(given || work->job->look)
		   ? failure
		   : inspect(work, work->result->commit, work->job->path);
}
