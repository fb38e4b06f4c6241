/* From files on the disk to a folder in the mirror: of an archive, whose writing end is archive.h,
 * or of a folder. */
#include "base/git/work_internal.h"

#include <fcntl.h>
#include <unistd.h>

#include <stdio.h>
#include <string.h>

#include "base/git/archive.h"
#include "base/git/folder.h"
#include "base/git/text_internal.h"

enum { BLOCK = 65536, READER_PATH_MAX = GIT_PATH_MAX * 4 };

struct reader {
	struct work *work;
	FILE *file;
	bool marked; /* the end has a mark, and something may follow it */
	git_index *index;
	uint64_t files, bytes;
	enum git_failure failure; /* of a folder's file */
};

static void fclose_auto(FILE **file)
{
	if (*file != NULL) {
		(void)fclose(*file);
	}
}

static enum git_failure cut_off(struct reader *r)
{
	return work_fail(r->work, r->marked ? GIT_DIGEST_MISMATCH : GIT_WORKER_FAILED,
			 "what was given is malformed, or ends in the middle of a file");
}

static bool take(struct reader *r, void *to, size_t bytes)
{
	return fread(to, 1, bytes, r->file) == bytes;
}

static enum git_failure break_rule(struct reader *r, enum git_failure failure, enum git_rule rule,
				   const char *path)
{
	char shown[300];
	text_clean(shown, sizeof(shown), path, strlen(path));
	return work_break(r->work, failure, rule, "'%s' breaks the rule %s", shown,
			  git_rule_name(rule));
}

/* Names that Git's index would not take; what is left is looked at by the bundle's rules. */
static enum git_failure check_path(struct reader *r, const char *path)
{
	enum git_rule rule = GIT_RULE_NONE;
	for (const char *part = path;;) {
		size_t bytes = strcspn(part, "/");
		if (!git_name_check(part, bytes, &rule)) {
			return break_rule(r, GIT_BUNDLE_REFUSED, rule, path);
		}
		part += bytes;
		if (*part == '\0') {
			return GIT_OK;
		}
		part++;
	}
}

static enum git_failure check_room(struct reader *r, const char *path, uint64_t bytes)
{
	const struct git_limits *limits = &r->work->job->limits;
	enum git_rule rule = GIT_RULE_NONE;
	if (++r->files > limits->files) {
		rule = GIT_RULE_TOO_MANY_FILES;
	} else if (bytes > limits->file_bytes) {
		rule = GIT_RULE_FILE_TOO_BIG;
	} else if (bytes > limits->bytes - r->bytes) {
		rule = GIT_RULE_TOO_MANY_BYTES;
	}
	r->bytes += rule == GIT_RULE_NONE ? bytes : 0;
	return rule == GIT_RULE_NONE ? GIT_OK : break_rule(r, GIT_BUNDLE_TOO_BIG, rule, path);
}

static uint8_t block[BLOCK];

/* A stream of the mirror takes it block by block: a file may be as large as it likes. */
static enum git_failure write_big_blob(struct reader *r, uint64_t bytes, git_oid *ret_blob)
{
	git_writestream *stream = NULL;
	int rc = git_blob_create_from_stream(&stream, r->work->repo, NULL);
	while (rc == 0 && bytes > 0) {
		size_t part = bytes < sizeof(block) ? (size_t)bytes : sizeof(block);
		if (!take(r, block, part)) {
			stream->free(stream);
			return cut_off(r);
		}
		rc = stream->write(stream, (const char *)block, part);
		bytes -= part;
	}
	if (rc != 0 && stream != NULL) {
		stream->free(stream);
	}
	rc = rc != 0 ? rc : git_blob_create_from_stream_commit(ret_blob, stream);
	return rc == 0 ? GIT_OK
		       : work_fail_git(r->work, ERROR_MIRROR, rc, "write a file's content");
}

/* A small file that the mirror has already is not written again. */
static enum git_failure write_blob(struct reader *r, uint64_t bytes, git_oid *ret_blob)
{
	if (bytes > sizeof(block)) {
		return write_big_blob(r, bytes, ret_blob);
	}
	if (!take(r, block, (size_t)bytes)) {
		return cut_off(r);
	}
	int rc = git_odb_write(ret_blob, r->work->odb, block, (size_t)bytes, GIT_OBJECT_BLOB);
	return rc == 0 ? GIT_OK
		       : work_fail_git(r->work, ERROR_MIRROR, rc, "write a file's content");
}

/* Is there such a file, or a folder, or is a folder of its path a file? libgit2 1.5's own look at
 * that misses some, and then one of the two is lost from the tree. */
static bool is_taken(git_index *index, const char *path)
{
	char name[READER_PATH_MAX + 1];
	size_t at;
	(void)snprintf(name, sizeof(name), "%s/", path);
	bool taken = git_index_find_prefix(&at, index, name) == 0;
	for (char *slash = strchr(name, '/'); !taken && slash != NULL; slash = strchr(slash, '/')) {
		*slash = '\0';
		taken = git_index_get_bypath(index, name, 0) != NULL;
		*slash++ = '/';
	}
	return taken;
}

static enum git_failure add_file(struct reader *r, const char *path, bool runnable, uint64_t bytes)
{
	git_index_entry entry = {
	    .mode = runnable ? GIT_FILEMODE_BLOB_EXECUTABLE : GIT_FILEMODE_BLOB, .path = path};
	enum git_failure failure = check_path(r, path);
	failure = failure != GIT_OK ? failure : check_room(r, path, bytes);
	if (failure == GIT_OK && is_taken(r->index, path)) {
		failure = break_rule(r, GIT_BUNDLE_REFUSED, GIT_RULE_NAME_TWIN, path);
	}
	failure = failure != GIT_OK ? failure : write_blob(r, bytes, &entry.id);
	if (failure != GIT_OK) {
		return failure;
	}
	int rc = git_index_add(r->index, &entry);
	if (rc != 0) {
		return work_fail_git(r->work, ERROR_MIRROR, rc, "add a file");
	}
	r->work->progress.written_files++;
	r->work->progress.written_bytes += bytes;
	work_tell(r->work);
	return GIT_OK;
}

/* *ret_more is false at the end. */
static enum git_failure read_one(struct reader *r, bool *ret_more)
{
	uint8_t head[GIT_ARCHIVE_HEAD], middle[GIT_ARCHIVE_MIDDLE];
	char path[READER_PATH_MAX];
	size_t got = fread(head, 1, sizeof(head), r->file);
	size_t bytes = got == sizeof(head) ? sl_get_be32(head) : 0;
	bool end = r->marked ? got == sizeof(head) && bytes == 0 : got == 0;
	*ret_more = !end;
	if (end) {
		return GIT_OK;
	}
	if (bytes == 0) {
		return cut_off(r);
	}
	if (bytes >= sizeof(path)) {
		return work_break(r->work, GIT_BUNDLE_REFUSED, GIT_RULE_PATH_TOO_LONG,
				  "a path of %zu bytes breaks the rule %s", bytes,
				  git_rule_name(GIT_RULE_PATH_TOO_LONG));
	}
	if (!take(r, path, bytes) || !take(r, middle, sizeof(middle)) ||
	    memchr(path, '\0', bytes) != NULL || middle[0] > 1) {
		return cut_off(r);
	}
	path[bytes] = '\0';
	return add_file(r, path, middle[0] == 1, sl_get_be64(middle + 1));
}

/* --- of an archive ---------------------------------------------------------------------- */

static enum git_failure read_all(struct reader *r)
{
	enum git_failure failure = GIT_OK;
	for (bool more = true; more && failure == GIT_OK;) {
		failure = read_one(r, &more);
	}
	return failure;
}

static enum git_failure read_archive(struct reader *r)
{
	SL_AUTO(fclose_auto) FILE *file = fopen(r->work->job->archive, "re");
	if (file == NULL) {
		return work_fail_errno(r->work, "open archive", r->work->job->archive);
	}
	r->file = file;
	return read_all(r);
}

/* --- of a folder -------------------------------------------------------------------------- */

enum git_failure folder_walk(struct work *work, struct git_folder_walk *walk)
{
	static const enum git_rule rules[] = {
	    [GIT_FOLDER_LINK] = GIT_RULE_LINK,
	    [GIT_FOLDER_SPECIAL] = GIT_RULE_SPECIAL_FILE,
	    [GIT_FOLDER_TOO_DEEP] = GIT_RULE_TOO_DEEP,
	    [GIT_FOLDER_UNREADABLE] = GIT_RULE_NONE,
	};
	int fd = open(work->job->folder, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0) {
		return work_fail_errno(work, "open folder", work->job->folder);
	}
	if (git_folder_walk(walk, fd) || walk->fault == GIT_FOLDER_FINE) {
		return GIT_OK;
	}
	enum git_rule rule = rules[walk->fault];
	return work_break(work, rule == GIT_RULE_NONE ? GIT_WORKER_FAILED : GIT_BUNDLE_REFUSED,
			  rule, "%s", walk->text);
}

static bool take_file(void *ctx, const char *path, int fd, const struct stat *file)
{
	struct reader *r = ctx;
	SL_AUTO(fclose_auto) FILE *stream = fdopen(dup(fd), "re");
	r->file = stream;
	r->failure = stream == NULL ? work_fail_errno(r->work, "read file", path)
				    : add_file(r, path, (file->st_mode & S_IXUSR) != 0,
					       (uint64_t)file->st_size);
	return r->failure == GIT_OK;
}

static enum git_failure read_folder(struct reader *r)
{
	struct git_folder_walk walk = {.take = take_file, .ctx = r};
	enum git_failure failure = folder_walk(r->work, &walk);
	return failure != GIT_OK ? failure : r->failure;
}

bool content_is_given(const struct git_job *job)
{
	return job->archive[0] != '\0' || job->folder[0] != '\0';
}

/* A sync for each of ten thousand files would take a minute. */
static enum git_failure sync_mirror(struct work *work)
{
	const char *path = git_repository_path(work->repo);
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	bool ok = fd >= 0 && syncfs(fd) == 0;
	enum git_failure failure = ok ? GIT_OK : work_fail_errno(work, "sync mirror", path);
	if (fd >= 0) {
		(void)close(fd);
	}
	return failure;
}

static enum git_failure read_into_tree(struct reader *r, enum git_failure (*read)(struct reader *r),
				       git_oid *ret_tree)
{
	SL_AUTO(git_index_free_auto) git_index *index = NULL;
	int rc = git_index_new(&index);
	if (rc != 0) {
		return work_fail_git(r->work, ERROR_MIRROR, rc, "begin a folder");
	}
	r->index = index;
	(void)git_libgit2_opts(GIT_OPT_ENABLE_FSYNC_GITDIR, 0); /* all of them once, below */
	enum git_failure failure = read(r);
	if (failure != GIT_OK) {
		return failure;
	}
	rc = git_index_write_tree_to(ret_tree, index, r->work->repo);
	if (rc != 0) {
		return work_fail_git(r->work, ERROR_MIRROR, rc, "write the folder");
	}
	(void)git_libgit2_opts(GIT_OPT_ENABLE_FSYNC_GITDIR, 1);
	return sync_mirror(r->work);
}

enum git_failure content_read_marked(struct work *work, FILE *file, git_oid *ret_tree)
{
	struct reader r = {.work = work, .file = file, .marked = true};
	return read_into_tree(&r, read_all, ret_tree);
}

enum git_failure content_read(struct work *work, git_oid *ret_tree)
{
	struct reader r = {.work = work};
	enum git_failure failure = read_into_tree(
	    &r, work->job->archive[0] != '\0' ? read_archive : read_folder, ret_tree);
	if (failure != GIT_OK) {
		return failure;
	}
	(void)git_oid_tostr(work->result->given, sizeof(work->result->given), ret_tree);
	return inspect_contract(work, ret_tree);
}
