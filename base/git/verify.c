/* Compares a folder on disk with the bundle that was written there. Somebody may have put anything
 * in its place: nothing is followed, and nothing is written. */
#include "base/git/work_internal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file/file.h"
#include "base/git/text_internal.h"

enum { PIECE_BYTES = 65536, PATH_ROOM = GIT_PATH_MAX * 4, MODE_BITS = 07777 };

struct verify {
	struct work *work;
	const struct bundle *bundle;
	const char **folders; /* owned; in bytewise order */
	struct bundle_digest digest;
	bool parent_gone;
};

/* The first GIT_VERIFY_MAX are told by name, all are counted. */
static void differs(struct verify *c, char change, const char *path)
{
	char shown[PATH_ROOM];
	struct git_diff_entry entry = {.change = change, .path = shown};
	struct work *work = c->work;
	text_clean(shown, sizeof(shown), path, strlen(path));
	if (work->result->files++ < GIT_VERIFY_MAX && !c->parent_gone) {
		protocol_put_diff_entry(&work->record, &entry);
		c->parent_gone = !work_send(work);
	}
}

/* --- what the bundle has ---------------------------------------------------------------- */

static bool has_content(int fd, const uint8_t *data, uint64_t size)
{
	static uint8_t piece[PIECE_BYTES];
	uint64_t at = 0;
	for (;;) {
		ssize_t got = -1;
		do {
			got = read(fd, piece, sizeof(piece));
		} while (got < 0 && errno == EINTR);
		if (got <= 0) {
			return got == 0 && at == size;
		}
		if ((uint64_t)got > size - at || memcmp(piece, data + at, (size_t)got) != 0) {
			return false;
		}
		at += (uint64_t)got;
	}
}

static bool is_as_written(int fd, mode_t kind, mode_t mode)
{
	struct stat st;
	return fstat(fd, &st) == 0 && (st.st_mode & S_IFMT) == kind &&
	       (st.st_mode & MODE_BITS) == mode;
}

static enum git_failure verify_file(struct verify *c, const struct bundle_file *file)
{
	SL_AUTO(git_odb_object_free_auto) git_odb_object *object = NULL;
	enum git_failure failure = bundle_open(c->work, file, &object);
	if (failure != GIT_OK) {
		return failure;
	}
	SL_AUTO(sl_fd_auto)
	int fd = staging_open(c->work->staging, file->path, O_RDONLY | O_NONBLOCK, 0);
	if (fd < 0) {
		bool gone = errno == ENOENT || errno == ENOTDIR;
		differs(c, gone ? 'D' : 'M', file->path);
		return GIT_OK;
	}
	mode_t mode = file->runnable ? STAGING_RUNNABLE : STAGING_FILE;
	if (!is_as_written(fd, S_IFREG, mode) ||
	    !has_content(fd, git_odb_object_data(object), file->size)) {
		differs(c, 'M', file->path);
		return GIT_OK;
	}
	uint8_t hash[SL_HASH_BYTES];
	sl_hash(hash, git_odb_object_data(object), file->size, NULL, 0);
	bundle_digest_add(&c->digest, file, hash);
	return GIT_OK;
}

/* --- what the disk has --------------------------------------------------------------------- */

static int by_text(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static int by_path(const void *key, const void *file)
{
	return strcmp(key, ((const struct bundle_file *)file)->path);
}

static bool is_folder(const struct verify *c, const char *path)
{
	size_t count = c->bundle->folder_count;
	return count > 0 && bsearch(&path, c->folders, count, sizeof(path), by_text) != NULL;
}

static bool is_file(const struct verify *c, const char *path)
{
	const struct bundle *bundle = c->bundle;
	return bundle->count > 0 &&
	       bsearch(path, bundle->files, bundle->count, sizeof(*bundle->files), by_path) != NULL;
}

static void walk_folder(struct verify *c, const char *path);

/* Of a file of the bundle verify_file() has spoken. */
static void meet(struct verify *c, const char *folder, const char *name)
{
	char path[PATH_ROOM];
	int length =
	    snprintf(path, sizeof(path), "%s%s%s", folder, *folder != '\0' ? "/" : "", name);
	if (length < 0 || (size_t)length >= sizeof(path)) {
		differs(c, 'A', folder);
		return;
	}
	if (is_folder(c, path)) {
		walk_folder(c, path);
	} else if (!is_file(c, path)) {
		differs(c, 'A', path);
	}
}

/* path "": the root. Only folders of the bundle are walked, so the depth has its bound. */
static void walk_folder(struct verify *c, const char *path)
{
	const char *shown = *path != '\0' ? path : ".";
	int fd = staging_open(c->work->staging, shown, O_RDONLY | O_DIRECTORY, 0);
	SL_AUTO(sl_dir_auto) DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	if (dir == NULL) {
		differs(c, 'M', shown);
		return;
	}
	if (!is_as_written(dirfd(dir), S_IFDIR, STAGING_FOLDER)) {
		differs(c, 'M', shown);
	}
	for (const struct dirent *entry = readdir(dir); entry != NULL; entry = readdir(dir)) {
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0) {
			meet(c, path, entry->d_name);
		}
	}
}

/* Something was bound over the folder itself: whatever it shows, it is not what was put there. */
static bool is_mount(int fd)
{
	struct statx st;
	return statx(fd, "", AT_EMPTY_PATH, STATX_BASIC_STATS, &st) == 0 &&
	       (st.stx_attributes & STATX_ATTR_MOUNT_ROOT) != 0;
}

static enum git_failure verify_all(struct verify *c)
{
	struct work *work = c->work;
	enum git_failure failure = GIT_OK;
	uint8_t digest[SL_HASH_BYTES];
	const struct bundle *bundle = c->bundle;
	c->folders = calloc(bundle->folder_count + 1, sizeof(*c->folders));
	if (c->folders == NULL) {
		return work_fail(work, GIT_OUT_OF_MEMORY, "out of memory for the list of folders");
	}
	for (size_t i = 0; i < bundle->folder_count; i++) {
		c->folders[i] = bundle->folders[i];
	}
	qsort(c->folders, bundle->folder_count, sizeof(*c->folders), by_text);
	for (size_t i = 0; failure == GIT_OK && i < bundle->count; i++) {
		failure = verify_file(c, &bundle->files[i]);
	}
	if (failure != GIT_OK) {
		return failure;
	}
	walk_folder(c, "");
	bundle_digest_end(&c->digest, digest);
	const uint8_t *want = work->job->want_digest;
	if (work->result->files == 0 && want != NULL && memcmp(want, digest, SL_HASH_BYTES) != 0) {
		return work_fail(work, GIT_MIRROR_CORRUPT,
				 "the mirror's commit %s is not the bundle that was named",
				 work->job->commit);
	}
	return GIT_OK;
}

enum git_failure do_verify(struct work *work)
{
	git_oid tree;
	SL_AUTO(bundle_fini) struct bundle bundle = {0};
	struct verify c = {.work = work, .bundle = &bundle};
	enum git_failure failure = commit_folder(work, work->job->commit, work->job->path, &tree);
	failure = failure != GIT_OK ? failure : bundle_read(work, &tree, &bundle);
	if (failure != GIT_OK) {
		return failure;
	}
	if (work->staging < 0) {
		differs(&c, 'D', ".");
		return GIT_OK;
	}
	if (is_mount(work->staging)) {
		differs(&c, 'M', ".");
	}
	bundle_digest_init(&c.digest);
	failure = verify_all(&c);
	free(c.folders);
	return failure;
}
