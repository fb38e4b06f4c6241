/* UNPACK: from a bundle file to the mirror. Whoever made the file may be anybody: first all of it
 * is hashed, then every object has to be the one that the object before it, or the job, names. */
#include "base/git/work_internal.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/bytes/bytes.h"
#include "base/git/bundle_file.h"

enum { BLOCK = 65536 };

struct unpack {
	struct work *work;
	FILE *file; /* owned */
};

static void unpack_fini(struct unpack *u)
{
	if (u->file != NULL) {
		(void)fclose(u->file);
	}
}

static enum git_failure refuse(struct unpack *u, const char *why)
{
	return work_fail(u->work, GIT_DIGEST_MISMATCH, "the bundle file is refused: %s", why);
}

static enum git_failure cut_short(struct unpack *u)
{
	return refuse(u, "it is cut short");
}

static bool take(struct unpack *u, void *to, size_t size)
{
	return fread(to, 1, size, u->file) == size;
}

static bool take_size(struct unpack *u, size_t *ret_size)
{
	uint8_t bytes[BUNDLE_FILE_SIZE_BYTES];
	bool taken = take(u, bytes, sizeof(bytes));
	*ret_size = taken ? sl_get_be32(bytes) : 0;
	return taken;
}

/* --- first: is it whole? ----------------------------------------------------------------- */

static enum git_failure check_whole(struct unpack *u, uint64_t size)
{
	static uint8_t block[BLOCK];
	uint8_t said[BUNDLE_FILE_DIGEST_BYTES], digest[SL_HASH_BYTES];
	struct sl_hasher hasher;
	uint64_t left = size - sizeof(said);
	sl_hasher_init(&hasher);
	while (left > 0) {
		size_t part = left < sizeof(block) ? (size_t)left : sizeof(block);
		if (!take(u, block, part)) {
			return cut_short(u);
		}
		sl_hasher_add(&hasher, block, part);
		left -= part;
	}
	sl_hasher_end(&hasher, digest);
	if (!take(u, said, sizeof(said))) {
		return cut_short(u);
	}
	return memcmp(said, digest, sizeof(said)) == 0
		   ? GIT_OK
		   : refuse(u, "its bytes are not those that its digest is of");
}

static enum git_failure open_whole(struct unpack *u)
{
	struct stat st;
	const char *path = u->work->job->archive;
	u->file = fopen(path, "re");
	if (u->file == NULL || fstat(fileno(u->file), &st) != 0) {
		return work_fail_errno(u->work, "open bundle file", path);
	}
	if (!S_ISREG(st.st_mode) ||
	    st.st_size < BUNDLE_FILE_MAGIC_BYTES + BUNDLE_FILE_DIGEST_BYTES) {
		return cut_short(u);
	}
	enum git_failure failure = check_whole(u, (uint64_t)st.st_size);
	rewind(u->file);
	return failure;
}

/* --- then: is it what the job names? --------------------------------------------------------- */

static enum git_failure skip_head(struct unpack *u)
{
	char magic[BUNDLE_FILE_MAGIC_BYTES];
	size_t size = 0;
	if (!take(u, magic, sizeof(magic)) ||
	    memcmp(magic, BUNDLE_FILE_MAGIC, sizeof(magic)) != 0) {
		return refuse(u, "it is none of this form");
	}
	if (!take_size(u, &size) || size > BUNDLE_FILE_HEAD_MAX) {
		return refuse(u, "its head is too long");
	}
	return fseek(u->file, (long)size, SEEK_CUR) == 0 ? GIT_OK : cut_short(u);
}

/* The next object, which must have this id, goes into the mirror. */
static enum git_failure take_object(struct unpack *u, git_object_t type, const git_oid *want)
{
	size_t size = 0;
	git_oid id;
	if (!take_size(u, &size) || size == 0 || size > BUNDLE_FILE_OBJECT_MAX) {
		return refuse(u, "the way to its folder is not whole");
	}
	SL_AUTO(sl_free_auto) uint8_t *data = malloc(size);
	if (data == NULL) {
		return work_fail(u->work, GIT_OUT_OF_MEMORY, "out of memory for an object");
	}
	if (!take(u, data, size)) {
		return cut_short(u);
	}
	if (git_odb_hash(&id, data, size, type) != 0 || !git_oid_equal(&id, want)) {
		return refuse(u, "it is of another commit than the one that is wanted");
	}
	int rc = git_odb_write(&id, u->work->odb, data, size, type);
	return rc == 0 ? GIT_OK : work_fail_git(u->work, ERROR_MIRROR, rc, "write an object");
}

/* Down from the commit: *ret_tree is the folder's. */
static enum git_failure take_way(struct unpack *u, const git_oid *id, bool *ret_has_parents,
				 git_oid *ret_tree)
{
	SL_AUTO(git_commit_free_auto) git_commit *commit = NULL;
	size_t size = 1;
	enum git_failure failure = take_object(u, GIT_OBJECT_COMMIT, id);
	if (failure != GIT_OK) {
		return failure;
	}
	if (git_commit_lookup(&commit, u->work->repo, id) != 0) {
		return refuse(u, "its commit is none");
	}
	*ret_has_parents = git_commit_parentcount(commit) > 0;
	*ret_tree = *git_commit_tree_id(commit);
	for (const char *part = u->work->job->path; *part != '\0';) {
		size_t bytes = strcspn(part, "/");
		failure = take_object(u, GIT_OBJECT_TREE, ret_tree);
		if (failure != GIT_OK) {
			return failure;
		}
		if (commit_step_down(u->work, ret_tree, part, bytes) != GIT_OK) {
			return refuse(u, "its commit has no such folder");
		}
		part += bytes + (part[bytes] == '/');
	}
	return take_size(u, &size) && size == 0 ? GIT_OK
						: refuse(u, "the way to its folder is too long");
}

static enum git_failure take_files(struct unpack *u, const git_oid *want)
{
	git_oid tree;
	enum git_failure failure = content_read_marked(u->work, u->file, &tree);
	if (failure != GIT_OK) {
		return failure;
	}
	(void)git_oid_tostr(u->work->result->tree, sizeof(u->work->result->tree), &tree);
	const char *named = u->work->job->want_tree;
	if (!git_oid_equal(&tree, want) ||
	    (named[0] != '\0' && strcmp(named, u->work->result->tree) != 0)) {
		return refuse(u, "its files are not those of the commit's folder");
	}
	char rest[BUNDLE_FILE_DIGEST_BYTES + 1];
	return fread(rest, 1, sizeof(rest), u->file) == BUNDLE_FILE_DIGEST_BYTES
		   ? GIT_OK
		   : refuse(u, "something follows its files");
}

enum git_failure do_unpack(struct work *work)
{
	git_oid id, folder;
	bool has_parents = false;
	SL_AUTO(unpack_fini) struct unpack u = {.work = work};
	enum git_failure failure = open_whole(&u);
	failure = failure != GIT_OK ? failure : skip_head(&u);
	if (failure != GIT_OK) {
		return failure;
	}
	(void)git_oid_fromstr(&id,
			      work->job->commit); /* of the form that it needs: it was checked */
	failure = take_way(&u, &id, &has_parents, &folder);
	failure = failure != GIT_OK ? failure : take_files(&u, &folder);
	/* A fetch tells the host of all that is kept, and of what is behind it. */
	return failure != GIT_OK || has_parents ? failure : mirror_keep(work, &id);
}
