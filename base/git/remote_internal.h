/* remote: one conversation with the repository's host. */
#ifndef SL_BASE_GIT_REMOTE_INTERNAL_H
#define SL_BASE_GIT_REMOTE_INTERNAL_H

#include "base/git/work_internal.h"

struct remote {
	struct work *work;
	git_remote *handle;       /* owned */
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
void remote_close(struct remote *remote);

/* Puts what the host printed, but for progress, behind the failure's text. */
void remote_add_words(const struct remote *remote);

/* The host's ref of that name, NULL when it has none. */
const git_remote_head *remote_find(const struct remote *remote, const char *name);
/* Any ref that points at this very commit. */
const git_remote_head *remote_find_id(const struct remote *remote, const git_oid *id);

/* Fetches what the `count` refspecs name; no ref of the mirror is changed. */
enum git_failure remote_download(struct remote *remote, char **refspecs, size_t count);

/* Pushes the mirror's ref `from` to the host's `to`, never forced. GIT_OK also
 * when the host took the pack and refused the ref: remote->ref_refused tells. */
enum git_failure remote_push(struct remote *remote, const char *from, const char *to);
/* The same of a commit. */
enum git_failure remote_push_commit(struct remote *remote, const git_oid *commit, const char *to);
/* --- local.c: the same into a repository of this machine --- */
bool remote_is_local(const struct remote *remote);
enum git_failure remote_push_local(struct remote *remote, const git_oid *commit, const char *to);
/* Notes what remote->ref_refused means: REF_PROTECTED when a rule or hook said no, else
 * PUSH_REFUSED. */
enum git_failure remote_fail_ref(struct remote *remote);

#endif
