/* credentials: who we are to the host, and whether it is who it says. */
#ifndef SL_BASE_GIT_CREDENTIALS_INTERNAL_H
#define SL_BASE_GIT_CREDENTIALS_INTERNAL_H

#include "base/git/remote_internal.h"

/* libgit2's callbacks; the payload is a struct remote. */
int credentials_on_ask(git_credential **ret, const char *url, const char *user_in_url,
		       unsigned allowed, void *payload);
int credentials_on_certificate(git_cert *cert, int valid, const char *host, void *payload);

/* Refuses inside a callback: libgit2 hands `rc` back, remote->refused says what it means. */
int remote_refuse(struct remote *remote, int rc, enum git_failure failure, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

#endif
