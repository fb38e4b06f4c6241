/* Objects that lie in files of their own, read by us: from one that is cut short libgit2 1.5 never
 * returns, because it asks zlib for more of it without end. All else about them is libgit2's. */
#include "base/git/work_internal.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <git2/sys/odb_backend.h>

/* Comes with libgit2, in the worker child only. */
#define ZEXTERN extern __attribute__((weak))
#include <zlib.h>

#include "base/file/file.h"

/* PRIORITY: libgit2's own have 1 and, for packs, 2. */
enum { HEAD_MAX = 64, HEAD_FILE_BYTES = 4096, FOLDER_MAX = 4096, PRIORITY = 3 };

/* What libgit2's backend does not tell: the child has one mirror. */
static char folder[FOLDER_MAX];

/* One object on its way out of its file. */
struct reading {
	uint8_t *file; /* owned */
	size_t file_size;
	z_stream stream;
	bool begun;
	char head[HEAD_MAX]; /* "blob 12", NUL, and the first of the data */
	size_t head_size;    /* with the NUL */
	size_t early;        /* bytes of data behind it */
	git_object_t type;
	size_t size;
};

static void reading_fini(struct reading *r)
{
	if (r->begun) {
		(void)inflateEnd(&r->stream);
	}
	free(r->file);
}

static int broken(const git_oid *id)
{
	char text[128];
	(void)snprintf(text, sizeof(text), "object %s is cut short or damaged",
		       git_oid_tostr_s(id));
	git_error_set_str(GIT_ERROR_ODB, text);
	return GIT_ERROR;
}

/* At most so much of it. GIT_ENOTFOUND: there is no such file. */
static int read_file(struct reading *r, const git_oid *id, size_t most)
{
	char hex[GIT_OID_TEXT], path[FOLDER_MAX + GIT_OID_TEXT + 4];
	struct stat st;
	(void)git_oid_tostr(hex, sizeof(hex), id);
	(void)snprintf(path, sizeof(path), "%s/%.2s/%s", folder, hex, hex + 2);
	SL_AUTO(sl_fd_auto) int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0) {
		return GIT_ENOTFOUND;
	}
	r->file_size = fstat(fd, &st) == 0 && st.st_size < UINT32_MAX ? (size_t)st.st_size : 0;
	r->file_size = r->file_size < most ? r->file_size : most;
	r->file = r->file_size > 0 ? malloc(r->file_size) : NULL;
	return r->file != NULL && sl_file_read(fd, r->file, r->file_size) ? 0 : broken(id);
}

/* How many bytes came; *ret_end: no more will. */
static size_t inflate_some(struct reading *r, void *out, size_t size, bool *ret_end)
{
	r->stream.next_out = out;
	r->stream.avail_out = (uInt)size;
	*ret_end = inflate(&r->stream, Z_SYNC_FLUSH) == Z_STREAM_END;
	return size - r->stream.avail_out;
}

static bool parse_head(struct reading *r, size_t got)
{
	char *nul = memchr(r->head, '\0', got);
	char *space = nul != NULL ? strchr(r->head, ' ') : NULL, *end = NULL;
	if (space == NULL) {
		return false;
	}
	*space = '\0';
	r->head_size = (size_t)(nul - r->head) + 1;
	r->early = got - r->head_size;
	r->type = git_object_string2type(r->head);
	r->size = strtoull(space + 1, &end, 10);
	return git_object_typeisloose(r->type) && end != space + 1 && end == nul &&
	       r->size < UINT32_MAX && r->early <= r->size;
}

static int begin(struct reading *r, const git_oid *id, size_t most)
{
	bool at_end = false;
	int rc = read_file(r, id, most);
	if (rc != 0) {
		return rc;
	}
	r->stream.next_in = r->file;
	r->stream.avail_in = (uInt)r->file_size;
	r->begun = inflateInit(&r->stream) == Z_OK;
	size_t got = r->begun ? inflate_some(r, r->head, sizeof(r->head), &at_end) : 0;
	return parse_head(r, got) ? 0 : broken(id);
}

/* There is room for one byte more than the object has, so that its end is seen. */
static bool finish(struct reading *r, uint8_t *data)
{
	bool at_end = false;
	size_t left = r->size - r->early;
	memcpy(data, r->head + r->head_size, r->early);
	return inflate_some(r, data + r->early, left + 1, &at_end) == left && at_end;
}

static int read_header(size_t *ret_size, git_object_t *ret_type, git_odb_backend *backend,
		       const git_oid *id)
{
	SL_AUTO(reading_fini) struct reading r = {0};
	int rc = begin(&r, id, HEAD_FILE_BYTES);
	(void)backend;
	*ret_size = r.size;
	*ret_type = r.type;
	return rc;
}

static int read_whole(void **ret_data, size_t *ret_size, git_object_t *ret_type,
		      git_odb_backend *backend, const git_oid *id)
{
	SL_AUTO(reading_fini) struct reading r = {0};
	int rc = begin(&r, id, SIZE_MAX);
	uint8_t *data = rc == 0 ? git_odb_backend_data_alloc(backend, r.size + 1) : NULL;
	if (data == NULL) {
		return rc != 0 ? rc : GIT_ERROR;
	}
	if (!finish(&r, data)) {
		git_odb_backend_data_free(backend, data);
		return broken(id);
	}
	data[r.size] = '\0'; /* as libgit2 has it */
	*ret_data = data;
	*ret_size = r.size;
	*ret_type = r.type;
	return 0;
}

static int read_prefix(git_oid *ret_id, void **ret_data, size_t *ret_size, git_object_t *ret_type,
		       git_odb_backend *backend, const git_oid *prefix, size_t digits)
{
	int rc = backend->exists_prefix(ret_id, backend, prefix, digits);
	return rc != 0 ? rc : read_whole(ret_data, ret_size, ret_type, backend, ret_id);
}

int loose_add(git_odb *odb, const char *mirror)
{
	git_odb_backend *backend = NULL;
	int length = snprintf(folder, sizeof(folder), "%s/objects", mirror);
	if (length < 0 || (size_t)length >= sizeof(folder) ||
	    git_odb_backend_loose(&backend, folder, -1, 0, 0, 0) != 0) {
		return GIT_ERROR;
	}
	backend->read = read_whole;
	backend->read_prefix = read_prefix;
	backend->read_header = read_header;
	backend->readstream = NULL;
	int rc = git_odb_add_backend(odb, backend, PRIORITY);
	if (rc != 0) {
		backend->free(backend);
	}
	return rc;
}
