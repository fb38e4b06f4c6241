/* fetch: what RESOLVE, FETCH and PUBLISH need of fetching. */
#ifndef SL_BASE_GIT_FETCH_INTERNAL_H
#define SL_BASE_GIT_FETCH_INTERNAL_H

#include "base/git/remote_internal.h"

/* Fetches the ref and keeps the commit that it leads to (tags are followed).
 * `head` is of this remote and gone afterwards. */
enum git_failure fetch_ref(struct remote *remote, const git_remote_head *head, git_oid *ret_commit);

/* Fetches what may not be there or not be given: what the host answers does not count, what has
 * come does. */
enum git_failure fetch_try(struct remote *remote, char *refspec);
/* One connection is good for one fetch. Heads found before are gone afterwards. */
enum git_failure fetch_reconnect(struct remote *remote);

/* Fetches a commit by its id: through a ref that is at it, by the bare id where
 * the host allows that, else with all branches and tags. */
enum git_failure fetch_commit(struct remote *remote, const git_oid *id, bool *ret_found);

/* The app's branch, by its name or its full ref. REPOSITORY_EMPTY, BRANCH_NOT_FOUND. */
enum git_failure fetch_branch(struct remote *remote, const char *branch,
			      const git_remote_head **ret_head);

/* What the host's HEAD leads to. REPOSITORY_EMPTY, BRANCH_NOT_FOUND. */
enum git_failure fetch_default_branch(struct remote *remote, const git_remote_head **ret_head);

/* --- delta.c: what changed since the version published before ----------------------------- */

/* Pushes, beside the job's ref, the delta of its `commit` on top of the published `other_commit`,
 * if the mirror has that. */
enum git_failure delta_publish(struct work *work, const git_oid *commit, const git_oid *tree,
			       const struct bundle *bundle);
/* Makes the commit `want`, which the job's ref is at, of a delta on top of what the mirror has, if
 * there is one; else the remote can be used, and heads found before may be gone. */
enum git_failure delta_fetch(struct remote *remote, const git_oid *want, bool *ret_found);
/* Writes the commit `delta` without its one parent, if that makes it `want`. */
bool delta_write_parentless(struct work *work, const git_oid *delta, const git_oid *want);

/* --- parts.c: a big bundle in steps ---------------------------------------------------------- */

struct parts {
	const char *ref;             /* that they are beside */
	const git_oid *base;         /* whoever wants them has this; NULL: nothing */
	const git_oid *tree;         /* publishing: what they lead to, */
	const struct bundle *bundle; /* and its files */
};
/* Pushes them when the bundle is big, those that are missing. */
enum git_failure parts_publish(struct work *work, const struct parts *parts);
/* Makes the commit `want`, which `ref` is at or is but for a parent, of the parts that the host
 * has and the mirror lacks, if there are any; else the remote can be used, and heads found before
 * may be gone. After a failure what has come stays for the next time. */
enum git_failure parts_fetch(struct remote *remote, const struct parts *parts, const git_oid *want,
			     bool *ret_found);

#endif
