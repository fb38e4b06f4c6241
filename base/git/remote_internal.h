/* remote: one conversation with the repository's host. */
#ifndef SL_BASE_GIT_REMOTE_INTERNAL_H
#define SL_BASE_GIT_REMOTE_INTERNAL_H

#include "base/git/work_internal.h"

struct remote {
	struct work *work;
	git_remote *handle;       /* owned */
	git_repository *telling;  /* owned; NULL: the host is told of the mirror's commits */
	enum error_phase phase;   /* ERROR_FETCH or ERROR_PUSH */
	unsigned asked;           /* times that the host wanted credentials */
	enum git_failure refused; /* what a callback of ours said no to; GIT_OK: nothing */
	enum git_rule refused_rule;
	char why[256];                /* its words */
	char said[512];               /* what the host printed for people */
	char ref_refused[300];        /* the host's word on the pushed ref; "": it took it */
	const git_remote_head **refs; /* borrowed from handle while connected */
	size_t ref_count;
};

/* Connects and reads the host's refs. Always end with remote_close(),
 * after which only what the host said can be read. */
enum git_failure remote_open(struct remote *remote, struct work *work, enum error_phase phase);
/* The same to fetch, telling the host that we have `have` (NULL: nothing) and no other commit. */
enum git_failure remote_open_telling(struct remote *remote, struct work *work, const git_oid *have);
void remote_close(struct remote *remote);

/* Puts what the host printed, but for progress, behind the failure's text. */
void remote_add_words(const struct remote *remote);

/* The host's ref of that name, NULL when it has none. */
const git_remote_head *remote_find(const struct remote *remote, const char *name);
/* Any ref that points at this very commit. */
const git_remote_head *remote_find_id(const struct remote *remote, const git_oid *id);

/* Fetches what the `count` refspecs name; no ref of the mirror is changed. */
enum git_failure remote_download(struct remote *remote, char **refspecs, size_t count);

/* A commit that the host's ref `to` is to be at. */
struct remote_update {
	git_oid commit;
	char to[GIT_REF_MAX];
};
enum { REMOTE_UPDATES_MAX = 32 };

/* Pushes all of them at once, never forced. GIT_OK also when the host took the pack and refused a
 * ref: remote->ref_refused tells the last one. */
enum git_failure remote_push(struct remote *remote, const struct remote_update *updates,
			     size_t count);
/* Over a remote of its own, those that the host does not have; a ref that is refused is a failure.
 * Reorders `updates`. */
enum git_failure remote_push_missing(struct work *work, struct remote_update *updates,
				     size_t count);
/* As remote_push(), of one. */
enum git_failure remote_push_commit(struct remote *remote, const git_oid *commit, const char *to);
/* --- local.c: the same into a repository of this machine --- */
bool remote_is_local(const struct remote *remote);
enum git_failure remote_push_local(struct remote *remote, const git_oid *commit, const char *to);
/* Notes what remote->ref_refused means: REF_PROTECTED when a rule or hook said no, else
 * PUSH_REFUSED. */
enum git_failure remote_fail_ref(struct remote *remote);

#endif
