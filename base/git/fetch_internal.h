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
 * if the mirror has that. Without it agents fetch more, so that a failure is no failure: the
 * result's text keeps the reason. */
void delta_publish(struct work *work, const git_oid *commit, const git_oid *tree);
/* Makes the commit `want`, which the job's ref is at, of a delta on top of what the mirror has, if
 * there is one; else the remote can be used, and heads found before may be gone. */
enum git_failure delta_fetch(struct remote *remote, const git_oid *want, bool *ret_found);

#endif
