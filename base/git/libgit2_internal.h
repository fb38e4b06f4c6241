/* libgit2_internal: the way to libgit2. Include it first: libgit2 has a GIT_OK
 * and a GIT_PATH_MAX of its own, which must not meet those of git.h.
 *
 * Its functions are there in the worker child only, which is started with the library: a program
 * that waits does without the 1.2 MB of it, Kerberos, mbed TLS and libssh2. Elsewhere they are
 * NULL. */
#ifndef SL_BASE_GIT_LIBGIT2_INTERNAL_H
#define SL_BASE_GIT_LIBGIT2_INTERNAL_H

#ifdef SL_BASE_GIT_H
#error "include base/git/libgit2_internal.h before base/git/git.h"
#endif

#define GIT_OK GIT_LIBRARY_OK
#include <git2/common.h>
#undef GIT_EXTERN
#define GIT_EXTERN(type) extern __attribute__((weak)) type
GIT_EXTERN(int) git_libgit2_opts(int option, ...); /* common.h has declared it as usual */
#include <git2.h>
#include <git2/sys/repository.h>
#undef GIT_OK
#undef GIT_PATH_MAX

#define LIBGIT2_FILE "libgit2.so." LIBGIT2_SOVERSION

#include "base/git/git.h"

#endif
