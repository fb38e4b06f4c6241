/* gitrepo: Git repositories made with the git program, for tests. Aborts when
 * git fails, with its words on stderr. No configuration of the machine counts. */
#ifndef SL_TESTS_GITREPO_H
#define SL_TESTS_GITREPO_H

#include <stddef.h>

/* A work tree at DIR/work and a bare repository at DIR/origin.git that it pushes to. */
struct gitrepo {
	char work[400], bare[400];
};

/* Makes both below the existing folder `dir`; the branch is `main`; no commit yet. */
void gitrepo_init(struct gitrepo *repo, const char *dir);

/* Writes work/PATH, making folders. */
void gitrepo_write(const struct gitrepo *repo, const char *path, const void *data, size_t size);
void gitrepo_text(const struct gitrepo *repo, const char *path, const char *text);

/* Commits all of the work tree, pushes the branch; *ret_commit (41 bytes, may be NULL) is the
 * commit's id. */
void gitrepo_commit(const struct gitrepo *repo, const char *message, char *ret_commit);

/* Pushes branch `others`, with so many commits of nothing and no commit of main. */
void gitrepo_others(const struct gitrepo *repo, unsigned commits);

/* Runs git in the folder with the arguments up to NULL; `out` (may be NULL) takes
 * its output without the last line end. */
void gitrepo_git(const char *dir, char *out, size_t room, ...) __attribute__((sentinel));

/* The same, with `data` as its standard input. */
void gitrepo_feed(const char *dir, const void *data, size_t size, char *out, size_t room, ...)
    __attribute__((sentinel));

/* Puts one tree entry behind what `tree` holds: mode text, name, 40 hex digits. Returns the new
 * size. */
size_t gitrepo_entry(unsigned char *tree, size_t at, const char *mode, const void *name,
		     size_t name_bytes, const char *oid);

/* Writes a raw tree object, whatever is in it, into the repository and a commit of it; *ret_commit
 * has 41 bytes. */
void gitrepo_raw_commit(const char *bare, const unsigned char *tree, size_t size, const char *ref,
			char *ret_commit);

#endif
