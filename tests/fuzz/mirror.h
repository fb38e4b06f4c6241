/* mirror: an empty mirror for targets that write into one, and a file beside it for what they read.
 *
 * Threads: one. What fails aborts. */
#ifndef SL_FUZZ_MIRROR_H
#define SL_FUZZ_MIRROR_H

#include "base/git/libgit2_internal.h"

struct fuzz_mirror {
	git_repository *repo;
	git_odb *odb;
	char *home;
	char file[256], folder[256]; /* in home: one that is not there yet; the mirror */
};

/* Before each input. Objects of a mirror are never removed: now and then it is a new one. All of it
 * goes when the program ends. */
const struct fuzz_mirror *fuzz_mirror_begin(void);

#endif
