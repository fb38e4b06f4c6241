/* How many commits a branch has that are news to each of many folders. */
#include <stdio.h>
#include <string.h>

#include "base/git/work_internal.h"

/* LOOKED_AT_MAX: commits behind the tip that are looked at for one folder. */
enum { LOOKED_AT_MAX = 2000 };

/* The id of what lies at the path; all zero: nothing does. */
static int id_at(git_commit *commit, const char *path, git_oid *ret_id)
{
	SL_AUTO(git_tree_free_auto) git_tree *tree = NULL;
	SL_AUTO(git_tree_entry_free_auto) git_tree_entry *entry = NULL;
	memset(ret_id, 0, sizeof(*ret_id));
	if (commit == NULL) {
		return 0;
	}
	if (path[0] == '\0') {
		*ret_id = *git_commit_tree_id(commit);
		return 0;
	}
	int rc = git_commit_tree(&tree, commit);
	rc = rc != 0 ? rc : git_tree_entry_bypath(&entry, tree, path);
	if (rc == 0) {
		*ret_id = *git_tree_entry_id(entry);
	}
	return rc == GIT_ENOTFOUND ? 0 : rc;
}

/* A merge brings nothing of its own. */
static int changes(const git_commit *commit, const char *path, bool *ret_changes)
{
	SL_AUTO(git_commit_free_auto) git_commit *parent = NULL;
	git_oid before, after;
	unsigned parents = git_commit_parentcount(commit);
	*ret_changes = false;
	if (parents > 1) {
		return 0;
	}
	int rc = parents == 0 ? 0 : git_commit_parent(&parent, commit, 0);
	rc = rc != 0 ? rc : id_at(parent, path, &before);
	rc = rc != 0 ? rc : id_at((git_commit *)(uintptr_t)commit, path, &after); /* only read */
	*ret_changes = rc == 0 && !git_oid_equal(&before, &after);
	return rc;
}

static enum git_failure count_folder(struct work *work, const git_oid *tip, const char *path,
				     char *known, struct git_diff_entry *entry)
{
	SL_AUTO(git_revwalk_free_auto) git_revwalk *walk = NULL;
	git_oid id;
	enum git_failure failure = history_walk(work, tip, &walk);
	if (failure != GIT_OK) {
		return failure;
	}
	history_hide(work, walk, known);
	for (int i = 0; git_revwalk_next(&id, walk) == 0; i++) {
		SL_AUTO(git_commit_free_auto) git_commit *commit = NULL;
		bool news = false;
		if (i == LOOKED_AT_MAX || entry->new_bytes == GIT_LOG_MAX) {
			entry->old_bytes = 1;
			break;
		}
		int rc = git_commit_lookup(&commit, work->repo, &id);
		rc = rc != 0 ? rc : changes(commit, path, &news);
		if (rc != 0) {
			return work_fail_git(work, ERROR_MIRROR, rc, "read a commit of the branch");
		}
		entry->new_bytes += news ? 1 : 0;
	}
	return GIT_OK;
}

/* One line of the record: path, tab, ids. */
static enum git_failure count_line(struct work *work, const git_oid *tip, char *line)
{
	char *tab = strchr(line, '\t');
	struct git_diff_entry entry = {.change = 'M', .path = line};
	if (tab == NULL) {
		return work_fail(work, GIT_WORKER_FAILED, "a line of the record has no tab");
	}
	*tab = '\0';
	enum git_failure failure = count_folder(work, tip, line, tab + 1, &entry);
	if (failure != GIT_OK) {
		return failure;
	}
	protocol_put_diff_entry(&work->record, &entry);
	return work_send(work) ? GIT_OK : work_fail(work, GIT_WORKER_FAILED, "the parent is gone");
}

enum git_failure do_count(struct work *work)
{
	SL_AUTO(git_commit_free_auto) git_commit *commit = NULL;
	SL_AUTO(sl_arena_fini) struct sl_arena arena;
	git_oid tip;
	enum git_failure failure = GIT_OK;
	sl_arena_init(&arena, 0);
	(void)git_oid_fromstr(&tip, work->job->other_commit);
	if (git_commit_lookup(&commit, work->repo, &tip) != 0) {
		return work_fail(work, GIT_COMMIT_GONE, "commit %s is not in the mirror",
				 work->job->other_commit);
	}
	char *rest = sl_arena_strdup(&arena, work->job->record);
	while (failure == GIT_OK && rest != NULL && *rest != '\0') {
		char *line = strsep(&rest, "\n");
		failure = count_line(work, &tip, line);
	}
	return failure;
}
