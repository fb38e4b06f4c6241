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
};

/* --- publishing ------------------------------------------------------------------- */

static enum git_failure push(struct work *work, const git_oid *base, const git_oid *tree)
{
	char name[GIT_REF_MAX];
	int bytes =
	    snprintf(name, sizeof(name), "%s%s%s", work->job->ref, between, git_oid_tostr_s(base));
	git_oid commit;
	if (bytes >= (int)sizeof(name)) {
		return GIT_OK; /* a name too long for a delta */
	}
	enum git_failure failure =
	    commit_write(work, tree, base, "sluice", work->job->message, &commit);
	if (failure != GIT_OK) {
		return failure;
	}
	struct remote remote = {0};
	failure = remote_open(&remote, work, ERROR_PUSH);
	if (failure == GIT_OK && remote_find(&remote, name) == NULL) {
		failure = remote_push_commit(&remote, &commit, name);
	}
	if (failure == GIT_OK && remote.ref_refused[0] != '\0') {
		failure = remote_fail_ref(&remote);
	}
	remote_close(&remote);
	return failure;
}

void delta_publish(struct work *work, const git_oid *commit, const git_oid *tree)
{
	git_oid base;
	if (git_oid_fromstr(&base, work->job->other_commit) != 0 || git_oid_equal(&base, commit) ||
	    !mirror_has_commit(work, &base)) {
		return;
	}
	if (push(work, &base, tree) != GIT_OK) {
		work->result->failure = GIT_OK;
		work->result->rule = GIT_RULE_NONE;
	}
}

/* --- fetching --------------------------------------------------------------------- */

/* The ref's delta on top of a commit that the mirror has; NULL: none. */
static const git_remote_head *find(const struct remote *remote, const char *ref)
{
	size_t bytes = strlen(ref), more = sizeof(between) - 1;
	for (size_t i = 0; i < remote->ref_count; i++) {
		const char *name = remote->refs[i]->name;
		git_oid base;
		if (strncmp(name, ref, bytes) == 0 && strncmp(name + bytes, between, more) == 0 &&
		    job_is_oid(name + bytes + more) &&
		    git_oid_fromstr(&base, name + bytes + more) == 0 &&
		    mirror_has_whole(remote->work, &base)) {
			return remote->refs[i];
		}
	}
	return NULL;
}

/* Writes the commit without its parent, if that makes it `want`. */
static bool write_parentless(struct work *work, const git_oid *delta, const git_oid *want)
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

enum git_failure delta_fetch(struct remote *remote, const git_oid *want, bool *ret_found)
{
	struct work *work = remote->work;
	const git_remote_head *head = find(remote, work->job->ref);
	*ret_found = false;
	if (head == NULL) {
		return GIT_OK;
	}
	char spec[2 * GIT_REF_MAX];
	git_oid delta = head->oid;
	(void)snprintf(spec, sizeof(spec), "+%.*s:refs/sluice/fetch", GIT_REF_MAX, head->name);
	enum git_failure failure = fetch_try(remote, spec);
	if (failure == GIT_OK && write_parentless(work, &delta, want) &&
	    mirror_has_whole(work, want)) {
		*ret_found = true;
		return mirror_keep(work, want);
	}
	return failure != GIT_OK ? failure : fetch_reconnect(remote);
}
