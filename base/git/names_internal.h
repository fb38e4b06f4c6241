/* names: what a name in a bundle may be, and when two names are the same to
 * some file system. */
#ifndef SL_BASE_GIT_NAMES_INTERNAL_H
#define SL_BASE_GIT_NAMES_INTERNAL_H

#include <stdbool.h>
#include <stddef.h>

#include "base/git/git.h"

/* The name as a file system that ignores case and Unicode form sees it:
 * canonical caseless form, NFD(fold(NFD(name))) of the Unicode standard (D145).
 * NUL-terminated; the caller owns it. NULL when out of memory. `name` is UTF-8. */
char *names_twin_key(const char *name, size_t bytes);

#endif
