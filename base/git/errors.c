/* The one table from libgit2's code, class and text to our failures. */
#include "base/git/work_internal.h"

#include <stdio.h>
#include <string.h>

enum { ANY = 1000 };

/* First match counts. libgit2 says much in words only: an HTTP status, what the other side wrote.
 */
static const struct row {
	int rc, klass;
	const char *words; /* NULL: any */
	enum git_failure in_mirror, in_fetch, in_push;
} rows[] = {
    {ANY, ANY, "No space left on device", GIT_DISK_FULL, GIT_DISK_FULL, GIT_DISK_FULL},
    {ANY, ANY, "Disk quota exceeded", GIT_DISK_FULL, GIT_DISK_FULL, GIT_DISK_FULL},
    {ANY, ANY, "File too large", GIT_BUNDLE_TOO_BIG, GIT_BUNDLE_TOO_BIG, GIT_WORKER_FAILED},
    {ANY, GIT_ERROR_INDEXER, "too many objects", GIT_BUNDLE_TOO_BIG, GIT_BUNDLE_TOO_BIG,
     GIT_BUNDLE_TOO_BIG},
    {ANY, ANY, "exceeds the maximum", GIT_BUNDLE_TOO_BIG, GIT_BUNDLE_TOO_BIG, GIT_BUNDLE_TOO_BIG},
    {ANY, ANY, "Out of memory", GIT_OUT_OF_MEMORY, GIT_OUT_OF_MEMORY, GIT_OUT_OF_MEMORY},
    {ANY, ANY, "Cannot allocate memory", GIT_OUT_OF_MEMORY, GIT_OUT_OF_MEMORY, GIT_OUT_OF_MEMORY},
    {ANY, GIT_ERROR_NOMEMORY, NULL, GIT_OUT_OF_MEMORY, GIT_OUT_OF_MEMORY, GIT_OUT_OF_MEMORY},
    {GIT_EAUTH, ANY, NULL, GIT_LOGIN_REFUSED, GIT_LOGIN_REFUSED, GIT_LOGIN_REFUSED},
    {ANY, GIT_ERROR_SSH, "Failed to authenticate", GIT_LOGIN_REFUSED, GIT_LOGIN_REFUSED,
     GIT_LOGIN_REFUSED},
    {ANY, GIT_ERROR_SSH, "authentication", GIT_LOGIN_REFUSED, GIT_LOGIN_REFUSED, GIT_LOGIN_REFUSED},
    {GIT_ECERTIFICATE, ANY, NULL, GIT_CERTIFICATE_REFUSED, GIT_CERTIFICATE_REFUSED,
     GIT_CERTIFICATE_REFUSED},
    {ANY, GIT_ERROR_HTTP, "status code: 401", GIT_LOGIN_REFUSED, GIT_LOGIN_REFUSED,
     GIT_LOGIN_REFUSED},
    {ANY, GIT_ERROR_HTTP, "status code: 403", GIT_LOGIN_REFUSED, GIT_LOGIN_REFUSED,
     GIT_WRITE_REFUSED},
    {ANY, ANY, "cannot redirect", GIT_MIRROR_CORRUPT, GIT_REPOSITORY_MOVED, GIT_REPOSITORY_MOVED},
    {ANY, GIT_ERROR_HTTP, NULL, GIT_MIRROR_CORRUPT, GIT_REPOSITORY_UNREACHABLE,
     GIT_REPOSITORY_UNREACHABLE},
    {ANY, ANY, "failed to connect", GIT_MIRROR_CORRUPT, GIT_REPOSITORY_UNREACHABLE,
     GIT_REPOSITORY_UNREACHABLE},
    {ANY, ANY, "failed to resolve", GIT_MIRROR_CORRUPT, GIT_REPOSITORY_UNREACHABLE,
     GIT_REPOSITORY_UNREACHABLE},
    {ANY, ANY, "could not find repository", GIT_MIRROR_CORRUPT, GIT_REPOSITORY_UNREACHABLE,
     GIT_REPOSITORY_UNREACHABLE},
    {ANY, ANY, "unpacking the sent packfile failed", GIT_MIRROR_CORRUPT, GIT_REPOSITORY_UNREACHABLE,
     GIT_WRITE_REFUSED},
    {ANY, ANY, "remote error:", GIT_MIRROR_CORRUPT, GIT_REPOSITORY_UNREACHABLE, GIT_WRITE_REFUSED},
    {ANY, ANY, "read only", GIT_WORKER_FAILED, GIT_REPOSITORY_UNREACHABLE, GIT_WRITE_REFUSED},
    {ANY, ANY, "non-bare", GIT_MIRROR_CORRUPT, GIT_REPOSITORY_UNREACHABLE, GIT_PUSH_REFUSED},
    {GIT_ENONFASTFORWARD, ANY, NULL, GIT_MIRROR_CORRUPT, GIT_REPOSITORY_UNREACHABLE,
     GIT_PUSH_REFUSED},
    {ANY, ANY, "Permission denied", GIT_WORKER_FAILED, GIT_REPOSITORY_UNREACHABLE,
     GIT_WRITE_REFUSED},
    {ANY, ANY, "Read-only file system", GIT_WORKER_FAILED, GIT_REPOSITORY_UNREACHABLE,
     GIT_WRITE_REFUSED},
    /* A fetch reads the mirror too; what a host sends has classes of its own. */
    {ANY, GIT_ERROR_ODB, NULL, GIT_MIRROR_CORRUPT, GIT_MIRROR_CORRUPT, GIT_REPOSITORY_UNREACHABLE},
    {ANY, GIT_ERROR_REFERENCE, "is not valid", GIT_MIRROR_CORRUPT, GIT_MIRROR_CORRUPT,
     GIT_REPOSITORY_UNREACHABLE},
    {GIT_ELOCKED, ANY, NULL, GIT_WORKER_FAILED, GIT_WORKER_FAILED, GIT_REPOSITORY_UNREACHABLE},
    {ANY, ANY, NULL, GIT_MIRROR_CORRUPT, GIT_REPOSITORY_UNREACHABLE, GIT_REPOSITORY_UNREACHABLE},
};

enum git_failure errors_meaning(enum error_phase phase, int rc, int klass, const char *text)
{
	const struct row *row = rows;
	while ((row->rc != ANY && row->rc != rc) || (row->klass != ANY && row->klass != klass) ||
	       (row->words != NULL && strstr(text, row->words) == NULL)) {
		row++; /* the last row matches anything */
	}
	const enum git_failure of_phase[] = {
	    [ERROR_MIRROR] = row->in_mirror,
	    [ERROR_FETCH] = row->in_fetch,
	    [ERROR_PUSH] = row->in_push,
	};
	return of_phase[phase];
}

static int stop_at_first(const git_oid *id, void *ctx)
{
	(void)id;
	(void)ctx;
	return 1;
}

/* A stream that does not inflate is the host's, or one in the mirror, which a fetch reads too:
 * libgit2 says the same of both. Where nothing is in the mirror it is the host's. */
static bool may_be_the_mirror(const struct work *work, enum error_phase phase, int klass)
{
	return phase == ERROR_FETCH && klass == GIT_ERROR_ZLIB && work->odb != NULL &&
	       git_odb_foreach(work->odb, stop_at_first, NULL) != 0;
}

enum git_failure work_fail_git(struct work *work, enum error_phase phase, int rc, const char *doing)
{
	const git_error *last = git_error_last();
	int klass = last == NULL ? 0 : last->klass;
	char text[512]; /* a copy: what libgit2 is asked next has words of its own */
	(void)snprintf(text, sizeof(text), "%s",
		       last == NULL || last->message == NULL ? "no words from libgit2"
							     : last->message);
	enum git_failure failure = errors_meaning(phase, rc, klass, text);
	if (may_be_the_mirror(work, phase, klass)) {
		failure = GIT_MIRROR_CORRUPT;
	}
	if (failure == GIT_BUNDLE_TOO_BIG) {
		bool objects = strstr(text, "objects") != NULL;
		return work_break(work, failure,
				  objects ? GIT_RULE_TOO_MANY_FILES : GIT_RULE_TOO_MANY_BYTES,
				  "%s: %s", doing, text);
	}
	return work_fail(work, failure, "%s: %s", doing, text);
}
