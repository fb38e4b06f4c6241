/* From a commit's id to its words and to the folder at a path. */
#include "base/git/work_internal.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/bytes/bytes.h"
#include "base/git/text_internal.h"

static enum git_failure find_commit(struct work *work, const char *hex, git_commit **ret_commit)
{
	git_oid id;
	if (git_oid_fromstr(&id, hex) != 0) {
		return work_fail(work, GIT_COMMIT_GONE, "commit '%s' is no commit id", hex);
	}
	int rc = git_commit_lookup(ret_commit, work->repo, &id);
	if (rc == GIT_ENOTFOUND) {
		return work_fail(work, GIT_COMMIT_GONE, "commit %s is not in the mirror", hex);
	}
	return rc == 0 ? GIT_OK : work_fail_git(work, ERROR_MIRROR, rc, "read the commit");
}

static enum git_failure read_tree(struct work *work, const git_oid *id, git_odb_object **ret_object)
{
	git_odb_object *object = NULL;
	int rc = git_odb_read(&object, work->odb, id);
	if (rc != 0) {
		return work_fail_git(work, ERROR_MIRROR, rc, "read a tree");
	}
	if (git_odb_object_type(object) != GIT_OBJECT_TREE) {
		git_odb_object_free(object);
		return work_fail(work, GIT_MIRROR_CORRUPT, "object %s is not a tree",
				 git_oid_tostr_s(id));
	}
	*ret_object = object;
	return GIT_OK;
}

enum git_failure commit_step_down(struct work *work, git_oid *id, const char *name, size_t bytes)
{
	SL_AUTO(git_odb_object_free_auto) git_odb_object *object = NULL;
	enum git_failure failure = read_tree(work, id, &object);
	if (failure != GIT_OK) {
		return failure;
	}
	struct sl_bytes rest = SL_BYTES(git_odb_object_data(object), git_odb_object_size(object));
	struct tree_entry entry;
	while (tree_parse_next(&rest, &entry) == TREE_PARSE_ENTRY) {
		if (entry.name_bytes != bytes || memcmp(entry.name, name, bytes) != 0) {
			continue;
		}
		if ((entry.mode & S_IFMT) != S_IFDIR) {
			return GIT_PATH_NOT_A_FOLDER;
		}
		(void)git_oid_fromraw(id, entry.id);
		return GIT_OK;
	}
	return GIT_PATH_NOT_FOUND;
}

enum git_failure commit_folder(struct work *work, const char *hex, const char *path,
			       git_oid *ret_tree)
{
	SL_AUTO(git_commit_free_auto) git_commit *commit = NULL;
	enum git_failure failure = find_commit(work, hex, &commit);
	if (failure != GIT_OK) {
		return failure;
	}
	git_oid id = *git_commit_tree_id(commit);
	for (const char *part = path; *part != '\0' && failure == GIT_OK;) {
		size_t bytes = strcspn(part, "/");
		failure = commit_step_down(work, &id, part, bytes);
		part += bytes + (part[bytes] == '/');
	}
	if (failure == GIT_PATH_NOT_FOUND) {
		return work_fail(work, failure, "commit %s has no path '%s'", hex, path);
	}
	if (failure == GIT_PATH_NOT_A_FOLDER) {
		return work_fail(work, failure, "path '%s' is not a folder in commit %s", path,
				 hex);
	}
	if (failure == GIT_OK) {
		*ret_tree = id;
	}
	return failure;
}

void commit_words(const git_commit *commit, char author[static 128], char subject[static 256])
{
	char name[512];
	const git_signature *who = git_commit_author(commit);
	/* Only a cached word of the commit is made. */
	const char *summary = git_commit_summary((git_commit *)(uintptr_t)commit);
	(void)snprintf(name, sizeof(name), "%s <%s>", who == NULL ? "" : who->name,
		       who == NULL ? "" : who->email);
	text_clean(author, 128, name, strlen(name));
	text_clean(subject, 256, summary == NULL ? "" : summary,
		   summary == NULL ? 0 : strlen(summary));
}

enum git_failure commit_write(struct work *work, const git_oid *tree, const git_oid *parent,
			      const char *author, const char *message, git_oid *ret_commit)
{
	SL_AUTO(sl_buf_fini) struct sl_buf bytes = {0};
	unsigned long long at = work->job->unix_s;
	sl_buf_printf(&bytes, "tree %s\n", git_oid_tostr_s(tree));
	if (parent != NULL) {
		sl_buf_printf(&bytes, "parent %s\n", git_oid_tostr_s(parent));
	}
	sl_buf_printf(&bytes, "author %s <%s@localhost> %llu +0000\n", author, author, at);
	sl_buf_printf(&bytes, "committer sluice <sluice@localhost> %llu +0000\n\n%s", at, message);
	if (bytes.failed) {
		return work_fail(work, GIT_OUT_OF_MEMORY, "out of memory while writing the commit");
	}
	int rc = git_odb_write(ret_commit, work->odb, bytes.data, bytes.size, GIT_OBJECT_COMMIT);
	return rc == 0 ? GIT_OK : work_fail_git(work, ERROR_MIRROR, rc, "write the commit");
}

enum git_failure commit_describe(struct work *work, const git_oid *id)
{
	SL_AUTO(git_commit_free_auto) git_commit *commit = NULL;
	struct git_result *result = work->result;
	(void)git_oid_tostr(result->commit, sizeof(result->commit), id);
	enum git_failure failure = find_commit(work, result->commit, &commit);
	if (failure != GIT_OK) {
		return failure;
	}
	commit_words(commit, result->author, result->subject);
	git_time_t seconds = git_commit_time(commit);
	result->commit_unix_s = seconds < 0 ? 0 : (uint64_t)seconds;
	return GIT_OK;
}
