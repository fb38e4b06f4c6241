/* tmpdir: a scratch directory per test, removed with all that is in it. */
#ifndef SL_TESTS_TMPDIR_H
#define SL_TESTS_TMPDIR_H

/* Returns a new directory; the caller owns the string. Aborts on failure. */
char *tmpdir_new(void);
/* Removes the directory and everything below it; frees path. NULL is fine. */
void tmpdir_free(char *path);

#endif
