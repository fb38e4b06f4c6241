/* libgit2_internal: the way to libgit2. Include it first: libgit2 has a GIT_OK
 * and a GIT_PATH_MAX of its own, which must not meet those of git.h. */
#ifndef SL_BASE_GIT_LIBGIT2_INTERNAL_H
#define SL_BASE_GIT_LIBGIT2_INTERNAL_H

#ifdef SL_BASE_GIT_H
#error "include base/git/libgit2_internal.h before base/git/git.h"
#endif

#define GIT_OK GIT_LIBRARY_OK
#include <git2.h>
#undef GIT_OK
#undef GIT_PATH_MAX

#include "base/git/git.h"

#endif
