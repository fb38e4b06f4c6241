#include "server/ca/export.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "server/ca/ca_internal.h"

enum { BLOCK = 512 };

/* POSIX ustar; numbers are octal texts. */
struct tar_header {
	char name[100], mode[8], uid[8], gid[8], size[12], mtime[12], checksum[8], type;
	char link[100], magic[6], version[2], owner[32], group[32], major[8], minor[8];
	char prefix[155], rest[12];
};
_Static_assert(sizeof(struct tar_header) == BLOCK, "a header is a block");

struct tar {
	int fd;
	size_t count;
	uint64_t now_s;
};

static sl_code put(struct tar *tar, const void *data, size_t size, struct sl_err *err)
{
	const uint8_t *at = data;
	while (size > 0) {
		ssize_t n = write(tar->fd, at, size);
		if (n < 0 && errno != EINTR) {
			return sl_err_set(err, SL_FAILED_PRECONDITION, "write: %s",
					  strerror(errno));
		}
		at += n > 0 ? n : 0;
		size -= n > 0 ? (size_t)n : 0;
	}
	return SL_OK;
}

/* name "": the folder itself, so that it is private wherever it is put back. */
static sl_code put_header(struct tar *tar, const char *name, size_t size, struct sl_err *err)
{
	struct tar_header header;
	bool folder = name[0] == '\0';
	memset(&header, 0, sizeof(header));
	int length = snprintf(header.name, sizeof(header.name), CA_FOLDER "/%s", name);
	if (length < 0 || (size_t)length >= sizeof(header.name)) {
		return sl_err_set(err, SL_FAILED_PRECONDITION, "'%s' is too long a name", name);
	}
	(void)snprintf(header.mode, sizeof(header.mode), "%07o", folder ? 0700u : 0600u);
	(void)snprintf(header.uid, sizeof(header.uid), "%07o", 0u);
	(void)snprintf(header.gid, sizeof(header.gid), "%07o", 0u);
	(void)snprintf(header.size, sizeof(header.size), "%011zo", size);
	(void)snprintf(header.mtime, sizeof(header.mtime), "%011lo", (unsigned long)tar->now_s);
	header.type = folder ? '5' : '0';
	memcpy(header.magic, "ustar", sizeof(header.magic));
	memcpy(header.version, "00", sizeof(header.version));
	memset(header.checksum, ' ', sizeof(header.checksum));
	unsigned sum = 0;
	for (size_t i = 0; i < sizeof(header); i++) {
		sum += ((const uint8_t *)&header)[i];
	}
	(void)snprintf(header.checksum, sizeof(header.checksum), "%06o", sum);
	header.checksum[sizeof(header.checksum) - 1] = ' ';
	return put(tar, &header, sizeof(header), err);
}

static sl_code put_file(struct tar *tar, int folder, const char *name, struct sl_err *err)
{
	static const char zeros[BLOCK];
	SL_AUTO(sl_secret_text_auto) char *text = NULL;
	size_t size = 0;
	sl_code code = ca_file_read(folder, name, &text, &size, err);
	code = code != SL_OK ? code : put_header(tar, name, size, err);
	code = code != SL_OK ? code : put(tar, text, size, err);
	code = code != SL_OK ? code : put(tar, zeros, (BLOCK - size % BLOCK) % BLOCK, err);
	tar->count += code == SL_OK;
	return code;
}

static int is_key_file(const struct dirent *entry)
{
	const char *dot = strrchr(entry->d_name, '.');
	return entry->d_name[0] != '.' && (dot == NULL || strcmp(dot, ".new") != 0);
}

static sl_code put_folder(struct tar *tar, int folder, struct sl_err *err)
{
	static const char end[2 * BLOCK];
	struct dirent **entries = NULL;
	int count = scandirat(folder, ".", &entries, is_key_file, alphasort);
	sl_code code = count < 0 ? sl_err_set(err, SL_FAILED_PRECONDITION, "list the keys: %s",
					      strerror(errno))
				 : SL_OK;
	code = code != SL_OK ? code : put_header(tar, "", 0, err);
	for (int i = 0; i < count; i++) {
		code = code != SL_OK ? code : put_file(tar, folder, entries[i]->d_name, err);
		free(entries[i]);
	}
	free(entries);
	return code != SL_OK ? code : put(tar, end, sizeof(end), err);
}

sl_code ca_export(const char *data, const char *file, uint64_t now_ms, size_t *ret_count,
		  struct sl_err *err)
{
	int folder = -1;
	sl_code code = ca_folder_open(data, &folder, err);
	if (code != SL_OK) {
		return code;
	}
	struct tar tar = {
	    .fd = open(file, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600),
	    .now_s = now_ms / 1000,
	};
	if (tar.fd < 0) {
		(void)close(folder);
		return sl_err_set(err, SL_FAILED_PRECONDITION, "make '%s': %s", file,
				  strerror(errno));
	}
	code = put_folder(&tar, folder, err);
	if (code == SL_OK && (fchmod(tar.fd, 0600) != 0 || fsync(tar.fd) != 0)) {
		code =
		    sl_err_set(err, SL_FAILED_PRECONDITION, "sync '%s': %s", file, strerror(errno));
	}
	(void)close(tar.fd);
	(void)close(folder);
	if (code != SL_OK) {
		(void)unlink(file);
		return code;
	}
	*ret_count = tar.count;
	return SL_OK;
}
