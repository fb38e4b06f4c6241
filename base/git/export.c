/* EXPORT: from the mirror to a bundle file. */
#include "base/git/work_internal.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/bytes/bytes.h"
#include "base/git/archive.h"
#include "base/git/bundle_file.h"

enum {
	START_MIN = BUNDLE_FILE_MAGIC_BYTES + BUNDLE_FILE_SIZE_BYTES,
	START_MAX = START_MIN + BUNDLE_FILE_HEAD_MAX
};

struct writer {
	struct work *work;
	FILE *file; /* owned */
	struct sl_hasher hasher;
};

static void writer_fini(struct writer *w)
{
	if (w->file != NULL) {
		(void)fclose(w->file);
	}
}

/* The start counts, too; what an earlier try has put behind it goes. */
static enum git_failure begin(struct writer *w)
{
	static uint8_t start[START_MAX];
	const char *path = w->work->job->archive;
	w->file = fopen(path, "r+e");
	if (w->file == NULL) {
		return work_fail_errno(w->work, "open bundle file", path);
	}
	size_t size = fread(start, 1, sizeof(start), w->file);
	size_t head = size < START_MIN ? SIZE_MAX : sl_get_be32(start + BUNDLE_FILE_MAGIC_BYTES);
	if (head > size - START_MIN) {
		return work_fail(w->work, GIT_WORKER_FAILED, "the bundle file was not begun");
	}
	size = START_MIN + head;
	sl_hasher_init(&w->hasher);
	sl_hasher_add(&w->hasher, start, size);
	return ftruncate(fileno(w->file), (off_t)size) == 0 &&
		       fseek(w->file, (long)size, SEEK_SET) == 0
		   ? GIT_OK
		   : work_fail_errno(w->work, "begin bundle file", path);
}

static enum git_failure put(struct writer *w, const void *data, size_t size)
{
	sl_hasher_add(&w->hasher, data, size);
	return fwrite(data, 1, size, w->file) == size
		   ? GIT_OK
		   : work_fail_errno(w->work, "write bundle file", w->work->job->archive);
}

static enum git_failure put_size(struct writer *w, size_t size)
{
	uint8_t bytes[BUNDLE_FILE_SIZE_BYTES];
	sl_put_be32(bytes, (uint32_t)size);
	return put(w, bytes, sizeof(bytes));
}

/* A commit or a tree. */
static enum git_failure put_object(struct writer *w, const git_oid *id)
{
	SL_AUTO(git_odb_object_free_auto) git_odb_object *object = NULL;
	int rc = git_odb_read(&object, w->work->odb, id);
	if (rc != 0) {
		return work_fail_git(w->work, ERROR_MIRROR, rc, "read an object");
	}
	size_t size = git_odb_object_size(object);
	if (size > BUNDLE_FILE_OBJECT_MAX) {
		return work_break(w->work, GIT_BUNDLE_TOO_BIG, GIT_RULE_TOO_MANY_BYTES,
				  "object %s has %zu bytes, at most %d are carried",
				  git_oid_tostr_s(id), size, BUNDLE_FILE_OBJECT_MAX);
	}
	enum git_failure failure = put_size(w, size);
	return failure != GIT_OK ? failure : put(w, git_odb_object_data(object), size);
}

/* The commit, and the trees that lead from its root to the folder. */
static enum git_failure put_way(struct writer *w)
{
	const struct git_job *job = w->work->job;
	git_oid id, tree;
	enum git_failure failure = commit_folder(w->work, job->commit, "", &tree);
	if (failure == GIT_OK && git_oid_fromstr(&id, job->commit) == 0) {
		failure = put_object(w, &id);
	}
	for (const char *part = job->path; failure == GIT_OK && *part != '\0';) {
		size_t bytes = strcspn(part, "/");
		failure = put_object(w, &tree);
		failure =
		    failure != GIT_OK ? failure : commit_step_down(w->work, &tree, part, bytes);
		part += bytes + (part[bytes] == '/');
	}
	return failure != GIT_OK ? failure : put_size(w, 0);
}

static enum git_failure put_file(struct writer *w, const struct bundle_file *file)
{
	SL_AUTO(git_odb_object_free_auto) git_odb_object *object = NULL;
	SL_AUTO(sl_buf_fini) struct sl_buf head = {0};
	enum git_failure failure = bundle_open(w->work, file, &object);
	if (failure != GIT_OK) {
		return failure;
	}
	git_archive_head(&head, file->path, file->runnable, file->size);
	if (head.failed) {
		return work_fail(w->work, GIT_OUT_OF_MEMORY, "out of memory for a path");
	}
	failure = put(w, head.data, head.size);
	failure = failure != GIT_OK ? failure : put(w, git_odb_object_data(object), file->size);
	w->work->progress.written_files++;
	w->work->progress.written_bytes += file->size;
	work_tell(w->work);
	return failure;
}

static enum git_failure end(struct writer *w)
{
	uint8_t digest[SL_HASH_BYTES];
	enum git_failure failure = put_size(w, 0);
	sl_hasher_end(&w->hasher, digest);
	failure = failure != GIT_OK ? failure : put(w, digest, sizeof(digest));
	bool closed = fclose(SL_TAKE(w->file)) == 0;
	return failure != GIT_OK || closed
		   ? failure
		   : work_fail_errno(w->work, "write bundle file", w->work->job->archive);
}

enum git_failure do_export(struct work *work)
{
	git_oid tree;
	SL_AUTO(writer_fini) struct writer w = {.work = work};
	SL_AUTO(bundle_fini) struct bundle bundle = {0};
	/* First what can be refused: a look at all trees writes nothing. */
	enum git_failure failure = commit_folder(work, work->job->commit, work->job->path, &tree);
	failure = failure != GIT_OK ? failure : bundle_read(work, &tree, &bundle);
	failure = failure != GIT_OK ? failure : begin(&w);
	failure = failure != GIT_OK ? failure : put_way(&w);
	for (size_t i = 0; failure == GIT_OK && i < bundle.count; i++) {
		failure = put_file(&w, &bundle.files[i]);
	}
	failure = failure != GIT_OK ? failure : end(&w);
	work->result->files = bundle.count;
	work->result->bytes = bundle.bytes;
	return failure;
}
