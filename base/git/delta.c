/* Deltas: a tag's content on top of what was published before it.
 *
 * A tag's commit has no parent, so that whoever fetches it gets all of the bundle and nothing else.
 * Beside it lies REF.delta-BASE: the same commit but for one parent, the published commit BASE.
 * Whoever has BASE fetches that, which is what changed, and writes the parentless commit itself:
 * its id proves that it is the one. Deltas save time only; nothing depends on them. */
#include <stdio.h>
#include <string.h>

#include "base/bytes/bytes.h"
#include "base/git/fetch_internal.h"
#include "base/git/job_internal.h"

static const char between[] = ".delta-";
static const char parent[] = "parent ";
enum {
	TREE_LINE = 5 + GIT_OID_TEXT,   /* "tree ", the id, "\n" */
	PARENT_LINE = 7 + GIT_OID_TEXT, /* "parent ", the id, "\n" */
	TOLD_FIRST = 20,
};

/* --- publishing ------------------------------------------------------------------- */

static enum git_failure push(struct work *work, const git_oid *base, const git_oid *tree,
			     const char *name)
{
	struct remote_update update;
	sl_text_copy(update.to, sizeof(update.to), name);
	enum git_failure failure =
	    commit_write(work, tree, base, "sluice", work->job->message, &update.commit);
	return failure != GIT_OK ? failure : remote_push_missing(work, &update, 1);
}

enum git_failure delta_publish(struct work *work, const git_oid *commit, const git_oid *tree,
			       const struct bundle *bundle)
{
	git_oid base;
	char name[GIT_REF_MAX];
	int bytes = snprintf(name, sizeof(name), "%s%s%s", work->job->ref, between,
			     work->job->other_commit);
	if (git_oid_fromstr(&base, work->job->other_commit) != 0 || git_oid_equal(&base, commit) ||
	    !mirror_has_commit(work, &base) || bytes >= (int)sizeof(name)) {
		return GIT_OK; /* nothing to be on top of, or a name too long for a delta */
	}
	const struct parts parts = {.ref = name, .base = &base, .tree = tree, .bundle = bundle};
	enum git_failure failure = push(work, &base, tree, name);
	return failure != GIT_OK ? failure : parts_publish(work, &parts);
}

/* --- fetching --------------------------------------------------------------------- */

/* The ref's delta on top of a commit that the mirror has; NULL: none. */
static const git_remote_head *find(const struct remote *remote, const char *ref, git_oid *ret_base)
{
	size_t bytes = strlen(ref), more = sizeof(between) - 1;
	for (size_t i = 0; i < remote->ref_count; i++) {
		const char *name = remote->refs[i]->name;
		if (strncmp(name, ref, bytes) == 0 && strncmp(name + bytes, between, more) == 0 &&
		    job_is_oid(name + bytes + more) &&
		    git_oid_fromstr(ret_base, name + bytes + more) == 0 &&
		    mirror_has_whole(remote->work, ret_base)) {
			return remote->refs[i];
		}
	}
	return NULL;
}

bool delta_write_parentless(struct work *work, const git_oid *delta, const git_oid *want)
{
	SL_AUTO(git_odb_object_free_auto) git_odb_object *object = NULL;
	SL_AUTO(sl_buf_fini) struct sl_buf bytes = {0};
	git_oid id;
	if (git_odb_read(&object, work->odb, delta) != 0 ||
	    git_odb_object_type(object) != GIT_OBJECT_COMMIT ||
	    git_odb_object_size(object) < TREE_LINE + PARENT_LINE) {
		return false;
	}
	const uint8_t *data = git_odb_object_data(object);
	if (memcmp(data + TREE_LINE, parent, sizeof(parent) - 1) != 0) {
		return false;
	}
	size_t rest = TREE_LINE + PARENT_LINE;
	sl_buf_append(&bytes, data, TREE_LINE);
	sl_buf_append(&bytes, data + rest, git_odb_object_size(object) - rest);
	return !bytes.failed && git_odb_hash(&id, bytes.data, bytes.size, GIT_OBJECT_COMMIT) == 0 &&
	       git_oid_equal(&id, want) &&
	       git_odb_write(&id, work->odb, bytes.data, bytes.size, GIT_OBJECT_COMMIT) == 0;
}

/* libgit2 tells the host of so many commits at first, the newest, and of no more once it knows one.
 */
static bool is_told(struct work *work, const git_oid *base)
{
	SL_AUTO(git_revwalk_free_auto) git_revwalk *walk = NULL;
	git_oid id;
	bool told = false;
	if (git_revwalk_new(&walk, work->repo) != 0 ||
	    git_revwalk_sorting(walk, GIT_SORT_TIME) != 0 ||
	    git_revwalk_push_glob(walk, "refs/*") != 0) {
		return false;
	}
	for (unsigned i = 0; i < TOLD_FIRST && !told && git_revwalk_next(&id, walk) == 0; i++) {
		told = git_oid_equal(&id, base);
	}
	return told;
}

enum git_failure delta_fetch(struct remote *remote, const git_oid *want, bool *ret_found)
{
	struct work *work = remote->work;
	git_oid base;
	const git_remote_head *head = find(remote, work->job->ref, &base);
	*ret_found = false;
	if (head == NULL) {
		return GIT_OK;
	}
	char name[GIT_REF_MAX], spec[2 * GIT_REF_MAX];
	git_oid delta = head->oid;
	(void)snprintf(name, sizeof(name), "%s", head->name);
	(void)snprintf(spec, sizeof(spec), "+%s:refs/sluice/fetch", name);
	const struct parts parts = {.ref = name, .base = &base};
	enum git_failure failure = parts_fetch(remote, &parts, want, ret_found);
	if (failure != GIT_OK || *ret_found) {
		return failure;
	}
	if (!is_told(work, &base)) {
		remote_close(remote);
		failure = remote_open_telling(remote, work, &base);
	}
	failure = failure != GIT_OK ? failure : fetch_try(remote, spec);
	if (failure == GIT_OK && delta_write_parentless(work, &delta, want) &&
	    mirror_has_whole(work, want)) {
		*ret_found = true;
		return mirror_keep(work, want);
	}
	return failure != GIT_OK ? failure : fetch_reconnect(remote);
}
