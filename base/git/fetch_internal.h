/* fetch: what RESOLVE, FETCH and PUBLISH need of fetching. */
#ifndef SL_BASE_GIT_FETCH_INTERNAL_H
#define SL_BASE_GIT_FETCH_INTERNAL_H

#include "base/git/remote_internal.h"

/* Fetches the ref and keeps the commit that it leads to (tags are followed).
 * `head` is of this remote and gone afterwards. */
enum git_failure fetch_ref(struct remote *remote, const git_remote_head *head, git_oid *ret_commit);

/* Fetches a commit by its id: through a ref that is at it, by the bare id where
 * the host allows that, else with all branches and tags. */
enum git_failure fetch_commit(struct remote *remote, const git_oid *id, bool *ret_found);

/* The app's branch, by its name or its full ref. REPOSITORY_EMPTY, BRANCH_NOT_FOUND. */
enum git_failure fetch_branch(struct remote *remote, const char *branch,
			      const git_remote_head **ret_head);

/* What the host's HEAD leads to. REPOSITORY_EMPTY, BRANCH_NOT_FOUND. */
enum git_failure fetch_default_branch(struct remote *remote, const git_remote_head **ret_head);

#endif
