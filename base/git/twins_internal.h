/* twins: names of one folder that some file system takes for the same. */
#ifndef SL_BASE_GIT_TWINS_INTERNAL_H
#define SL_BASE_GIT_TWINS_INTERNAL_H

#include <stdbool.h>
#include <stddef.h>

/* The names of one folder, each as a file system sees it that ignores case and
 * Unicode form: NFD(fold(NFD(name))), the Unicode standard's canonical caseless
 * match (D145). {0} is empty. */
struct twins {
	char **keys; /* owned, and each of them */
	size_t count, room;
};

/* `name` is UTF-8. False: out of memory. */
bool twins_add(struct twins *twins, const char *name, size_t bytes);
/* The key that two names share; NULL: none do. Borrowed from *twins, which is sorted by it. */
const char *twins_find(struct twins *twins);
void twins_fini(struct twins *twins);

#endif
