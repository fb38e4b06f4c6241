/* Which commits there are between two, and which of them are our own. */
#include <stdio.h>
#include <string.h>

#include "base/git/work_internal.h"

/* OWN_MAX: commits behind the tip that are looked at for the own one; LOG_WALK_MAX: for a list. */
enum { OWN_MAX = 10000, LOG_WALK_MAX = 100000 };

bool history_has(struct work *work, const git_oid *tip, const git_oid *old)
{
	SL_AUTO(git_commit_free_auto) git_commit *commit = NULL;
	return git_oid_equal(tip, old) || (git_commit_lookup(&commit, work->repo, old) == 0 &&
					   git_graph_descendant_of(work->repo, tip, old) == 1);
}

enum git_failure history_walk(struct work *work, const git_oid *tip, git_revwalk **ret_walk)
{
	int rc = git_revwalk_new(ret_walk, work->repo);
	rc = rc != 0 ? rc : git_revwalk_sorting(*ret_walk, GIT_SORT_TOPOLOGICAL | GIT_SORT_TIME);
	rc = rc != 0 ? rc : git_revwalk_push(*ret_walk, tip);
	return rc == 0 ? GIT_OK : work_fail_git(work, ERROR_MIRROR, rc, "walk the branch");
}

void history_hide(struct work *work, git_revwalk *walk, const char *ids)
{
	for (const char *at = ids; *at != '\0'; at += strspn(at, " ")) {
		SL_AUTO(git_commit_free_auto) git_commit *commit = NULL;
		git_oid id;
		size_t length = strcspn(at, " ");
		bool there = length == GIT_OID_TEXT - 1 && git_oid_fromstrn(&id, at, length) == 0 &&
			     git_commit_lookup(&commit, work->repo, &id) == 0;
		if (there) {
			(void)git_revwalk_hide(walk, &id);
		}
		at += length;
	}
}

static enum git_failure walk_begin(struct work *work, const git_oid *from, const git_oid *to,
				   git_revwalk **ret_walk)
{
	enum git_failure failure = history_walk(work, to, ret_walk);
	int rc = failure == GIT_OK && from != NULL ? git_revwalk_hide(*ret_walk, from) : 0;
	if (rc != 0) {
		return work_fail_git(work, ERROR_MIRROR, rc, "walk the branch");
	}
	if (failure == GIT_OK && work->job->op == GIT_LOG) {
		history_hide(work, *ret_walk, work->job->revision);
	}
	return failure;
}

/* --- our own ------------------------------------------------------------------------- */

/* True when a line of the message is the trailer. */
static bool has_trailer(const git_commit *commit, const char *operation)
{
	char line[128];
	int bytes = snprintf(line, sizeof(line), "Sluice-Operation: %s", operation);
	const char *message = git_commit_message(commit);
	for (const char *at = message; at != NULL && *at != '\0';) {
		size_t length = strcspn(at, "\n");
		if (length == (size_t)bytes && memcmp(at, line, length) == 0) {
			return true;
		}
		at += length + (at[length] == '\n');
	}
	return false;
}

enum git_failure history_find_own(struct work *work, const git_oid *tip, bool *ret_found,
				  git_oid *ret_commit)
{
	SL_AUTO(git_revwalk_free_auto) git_revwalk *walk = NULL;
	git_oid id;
	enum git_failure failure = GIT_OK;
	*ret_found = false;
	int rc = git_revwalk_new(&walk, work->repo);
	rc = rc != 0 ? rc : git_revwalk_push(walk, tip); /* in no order: it ends early mostly */
	for (int i = 0; rc == 0 && i < OWN_MAX && git_revwalk_next(&id, walk) == 0; i++) {
		SL_AUTO(git_commit_free_auto) git_commit *commit = NULL;
		rc = git_commit_lookup(&commit, work->repo, &id);
		if (rc == 0 && has_trailer(commit, work->job->operation)) {
			*ret_commit = id;
			*ret_found = true;
			return GIT_OK;
		}
	}
	if (rc != 0) {
		failure = work_fail_git(work, ERROR_MIRROR, rc, "look for the own commit");
	}
	return failure;
}

/* --- lists ------------------------------------------------------------------------------ */

static int tree_of(git_commit *commit, git_tree **ret_tree)
{
	return commit == NULL ? 0 : git_commit_tree(ret_tree, commit);
}

/* What the commit changed below `path` ("": anywhere) against its first parent. */
static int changes_of(struct work *work, git_commit *commit, const char *path, git_diff **ret_diff)
{
	SL_AUTO(git_commit_free_auto) git_commit *parent = NULL;
	SL_AUTO(git_tree_free_auto) git_tree *before = NULL;
	SL_AUTO(git_tree_free_auto) git_tree *after = NULL;
	git_diff_options opts;
	(void)git_diff_options_init(&opts, GIT_DIFF_OPTIONS_VERSION);
	opts.flags = GIT_DIFF_DISABLE_PATHSPEC_MATCH | GIT_DIFF_SKIP_BINARY_CHECK;
	char *spec = (char *)(uintptr_t)path; /* only read */
	if (path[0] != '\0') {
		opts.pathspec = (git_strarray){.strings = &spec, .count = 1};
	}
	int rc = git_commit_parentcount(commit) == 0 ? 0 : git_commit_parent(&parent, commit, 0);
	rc = rc != 0 ? rc : tree_of(parent, &before);
	rc = rc != 0 ? rc : tree_of(commit, &after);
	return rc != 0 ? rc : git_diff_tree_to_tree(ret_diff, work->repo, before, after, &opts);
}

static int count_changes(struct work *work, git_commit *commit, const char *path,
			 uint64_t *ret_files)
{
	SL_AUTO(git_diff_free_auto) git_diff *diff = NULL;
	int rc = changes_of(work, commit, path, &diff);
	*ret_files = rc == 0 ? git_diff_num_deltas(diff) : 0;
	return rc;
}

static void describe(const git_commit *commit, struct git_log_entry *entry)
{
	git_time_t seconds = git_commit_time(commit);
	entry->unix_s = seconds < 0 ? 0 : (uint64_t)seconds;
	(void)git_oid_tostr(entry->commit, sizeof(entry->commit), git_commit_id(commit));
	commit_words(commit, entry->author, entry->subject);
}

static enum git_failure send_one(struct work *work, const git_commit *commit, uint64_t files)
{
	struct git_log_entry entry = {.files = files};
	describe(commit, &entry);
	protocol_put_log_entry(&work->record, &entry);
	return work_send(work) ? GIT_OK : work_fail(work, GIT_WORKER_FAILED, "the parent is gone");
}

enum git_failure history_send(struct work *work, const git_oid *from, const git_oid *to,
			      const char *path)
{
	SL_AUTO(git_revwalk_free_auto) git_revwalk *walk = NULL;
	git_oid id;
	unsigned sent = 0;
	enum git_failure failure = walk_begin(work, from, to, &walk);
	for (int i = 0; failure == GIT_OK && i < LOG_WALK_MAX; i++) {
		SL_AUTO(git_commit_free_auto) git_commit *commit = NULL;
		uint64_t files = 0;
		if (git_revwalk_next(&id, walk) != 0) {
			return GIT_OK;
		}
		int rc = git_commit_lookup(&commit, work->repo, &id);
		/* A merge brings nothing of its own. */
		bool merge = rc == 0 && git_commit_parentcount(commit) > 1;
		rc = rc != 0 || merge ? rc : count_changes(work, commit, path, &files);
		if (rc != 0) {
			return work_fail_git(work, ERROR_MIRROR, rc, "read a commit of the branch");
		}
		if (files > 0 && sent++ == GIT_LOG_MAX) {
			break;
		}
		failure = files > 0 ? send_one(work, commit, files) : GIT_OK;
	}
	work->result->log_cut = failure == GIT_OK;
	return failure;
}

/* --- the newest commit of each app --- */

struct latest {
	struct git_app *apps; /* in bytewise order of path */
	size_t count, left;   /* left: without a commit yet */
};

/* A folder that a path lies in. */
struct folder {
	const char *path;
	size_t bytes;
};

static int compare_folder(const void *key, const void *element)
{
	const struct folder *folder = key;
	const struct git_app *app = element;
	int order = strncmp(folder->path, app->path, folder->bytes);
	return order != 0 ? order : -(app->path[folder->bytes] != '\0');
}

/* The commit changed `path`: every app that this lies in, and that no newer commit changed, has it
 * as its last. */
static void note_change(struct latest *latest, const git_commit *commit, const char *path)
{
	for (const char *end = strchr(path, '/'); end != NULL; end = strchr(end + 1, '/')) {
		const struct folder folder = {path, (size_t)(end - path)};
		struct git_app *app = bsearch(&folder, latest->apps, latest->count,
					      sizeof(*latest->apps), compare_folder);
		if (app != NULL && app->last.commit[0] == '\0') {
			describe(commit, &app->last);
			latest->left--;
		}
	}
}

static int note_commit(struct work *work, struct latest *latest, git_commit *commit)
{
	SL_AUTO(git_diff_free_auto) git_diff *diff = NULL;
	int rc = changes_of(work, commit, "", &diff);
	for (size_t i = 0; rc == 0 && i < git_diff_num_deltas(diff); i++) {
		note_change(latest, commit, git_diff_get_delta(diff, i)->new_file.path);
	}
	return rc;
}

enum git_failure history_last(struct work *work, const git_oid *tip, struct git_app *apps,
			      size_t count)
{
	SL_AUTO(git_revwalk_free_auto) git_revwalk *walk = NULL;
	struct latest latest = {.apps = apps, .count = count, .left = count};
	git_oid id;
	enum git_failure failure = history_walk(work, tip, &walk);
	for (int i = 0; failure == GIT_OK && latest.left > 0 && i < LOG_WALK_MAX; i++) {
		SL_AUTO(git_commit_free_auto) git_commit *commit = NULL;
		if (git_revwalk_next(&id, walk) != 0) {
			return GIT_OK;
		}
		int rc = git_commit_lookup(&commit, work->repo, &id);
		bool merge = rc == 0 && git_commit_parentcount(commit) > 1;
		rc = rc != 0 || merge ? rc : note_commit(work, &latest, commit);
		failure =
		    rc == 0 ? GIT_OK
			    : work_fail_git(work, ERROR_MIRROR, rc, "read a commit of the branch");
	}
	return failure;
}

enum git_failure do_log(struct work *work)
{
	const struct git_job *job = work->job;
	git_oid from, to;
	bool bounded = job->commit[0] != '\0' && git_oid_fromstr(&from, job->commit) == 0;
	(void)git_oid_fromstr(&to, job->other_commit);
	const git_oid *ends[] = {&to, bounded ? &from : NULL};
	for (size_t i = 0; i < SL_COUNT(ends); i++) {
		SL_AUTO(git_commit_free_auto) git_commit *commit = NULL;
		if (ends[i] != NULL && git_commit_lookup(&commit, work->repo, ends[i]) != 0) {
			return work_fail(work, GIT_COMMIT_GONE, "commit %s is not in the mirror",
					 git_oid_tostr_s(ends[i]));
		}
	}
	return history_send(work, bounded ? &from : NULL, &to, job->path);
}
