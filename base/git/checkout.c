/* Writes a bundle below the staging folder, and nowhere else. */
#include "base/file/file.h"
#include "base/git/work_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { FOLDER_OPEN = 0755 };
enum { OWNERS = 0200 }; /* what is to be worked in */

int staging_open(int dir, const char *path, uint64_t flags, uint64_t mode)
{
	struct open_how how = {
	    .flags = flags | O_CLOEXEC | O_NOFOLLOW,
	    .mode = mode,
	    .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV,
	};
	return (int)syscall(SYS_openat2, dir, path, &how,
			    sizeof(how)); /* glibc 2.36 has no wrapper */
}

static int open_parent(int dir, const char *path, const char **ret_name)
{
	const char *slash = strrchr(path, '/');
	char parent[GIT_PATH_MAX * 4];
	*ret_name = slash == NULL ? path : slash + 1;
	size_t bytes = slash == NULL ? 1 : (size_t)(slash - path);
	if (bytes >= sizeof(parent)) {
		errno = ENAMETOOLONG;
		return -1;
	}
	memcpy(parent, slash == NULL ? "." : path, bytes);
	parent[bytes] = '\0';
	return staging_open(dir, parent, O_RDONLY | O_DIRECTORY, 0);
}

static enum git_failure make_folder(struct work *work, const char *path)
{
	const char *name = NULL;
	SL_AUTO(sl_fd_auto) int parent = open_parent(work->staging, path, &name);
	if (parent < 0 || mkdirat(parent, name, FOLDER_OPEN) != 0) {
		return work_fail_errno(work, "make folder", path);
	}
	return GIT_OK;
}

static enum git_failure write_file(struct work *work, const struct bundle_file *file,
				   struct bundle_digest *digest)
{
	SL_AUTO(git_odb_object_free_auto) git_odb_object *object = NULL;
	enum git_failure failure = bundle_open(work, file, &object);
	if (failure != GIT_OK) {
		return failure;
	}
	mode_t mode =
	    (file->runnable ? STAGING_RUNNABLE : STAGING_FILE) | (work->job->writable ? OWNERS : 0);
	SL_AUTO(sl_fd_auto)
	int fd = staging_open(work->staging, file->path, O_WRONLY | O_CREAT | O_EXCL, mode);
	if (fd < 0 || !sl_file_write(fd, git_odb_object_data(object), file->size) ||
	    fchmod(fd, mode) != 0) {
		return work_fail_errno(work, "write file", file->path);
	}
	if (work->job->sync_each && fsync(fd) != 0) {
		return work_fail_errno(work, "sync file", file->path);
	}
	uint8_t hash[SL_HASH_BYTES];
	sl_hash(hash, git_odb_object_data(object), file->size, NULL, 0);
	bundle_digest_add(digest, file, hash);
	work->progress.written_files++;
	work->progress.written_bytes += file->size;
	work_tell(work);
	return GIT_OK;
}

/* From the deepest up, the staging folder last: what is inside is done by then. */
static enum git_failure close_folder(struct work *work, const char *path)
{
	SL_AUTO(sl_fd_auto) int fd = staging_open(work->staging, path, O_RDONLY | O_DIRECTORY, 0);
	mode_t mode = STAGING_FOLDER | (work->job->writable ? OWNERS : 0);
	if (fd < 0 || fchmod(fd, mode) != 0) {
		return work_fail_errno(work, "finish folder", path);
	}
	if (work->job->sync_each && fsync(fd) != 0) {
		return work_fail_errno(work, "sync folder", path);
	}
	return GIT_OK;
}

static enum git_failure write_bundle(struct work *work, const struct bundle *bundle,
				     uint8_t ret_digest[SL_HASH_BYTES])
{
	struct bundle_digest digest;
	enum git_failure failure = GIT_OK;
	bundle_digest_init(&digest);
	for (size_t i = 0; failure == GIT_OK && i < bundle->folder_count; i++) {
		failure = make_folder(work, bundle->folders[i]);
	}
	for (size_t i = 0; failure == GIT_OK && i < bundle->count; i++) {
		failure = write_file(work, &bundle->files[i], &digest);
	}
	for (size_t i = bundle->folder_count; failure == GIT_OK && i > 0; i--) {
		failure = close_folder(work, bundle->folders[i - 1]);
	}
	failure = failure != GIT_OK ? failure : close_folder(work, ".");
	if (failure == GIT_OK && !work->job->sync_each && syncfs(work->staging) != 0) {
		return work_fail_errno(work, "sync", work->job->staging);
	}
	bundle_digest_end(&digest, ret_digest);
	return failure;
}

enum git_failure do_checkout(struct work *work)
{
	const struct git_job *job = work->job;
	struct git_result *result = work->result;
	git_oid tree;
	SL_AUTO(bundle_fini) struct bundle bundle = {0};
	enum git_failure failure = commit_folder(work, job->commit, job->path, &tree);
	if (failure != GIT_OK) {
		return failure;
	}
	(void)git_oid_tostr(result->tree, sizeof(result->tree), &tree);
	if (job->want_tree[0] != '\0' && strcmp(job->want_tree, result->tree) != 0) {
		return work_fail(work, GIT_DIGEST_MISMATCH,
				 "folder '%s' of commit %s is tree %s, not %s", job->path,
				 job->commit, result->tree, job->want_tree);
	}
	failure = bundle_read(work, &tree, &bundle);
	failure = failure != GIT_OK ? failure : write_bundle(work, &bundle, result->digest);
	if (failure != GIT_OK) {
		return failure;
	}
	if (job->want_digest != NULL &&
	    memcmp(job->want_digest, result->digest, SL_HASH_BYTES) != 0) {
		char have[2 * SL_HASH_BYTES + 1], want[2 * SL_HASH_BYTES + 1];
		return work_fail(work, GIT_DIGEST_MISMATCH,
				 "what was written has digest %s, not %s",
				 sl_hex(have, result->digest, SL_HASH_BYTES),
				 sl_hex(want, job->want_digest, SL_HASH_BYTES));
	}
	(void)snprintf(result->commit, sizeof(result->commit), "%s", job->commit);
	result->files = bundle.count;
	result->bytes = bundle.bytes;
	return GIT_OK;
}
