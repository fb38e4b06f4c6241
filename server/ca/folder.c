#include "server/ca/folder.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/crypto/secret.h"
#include "base/file/file.h"
#include "base/mem/own.h"

static sl_code failed(struct sl_err *err, const char *doing, const char *name)
{
	sl_code code = errno == ENOENT ? SL_NOT_FOUND : SL_FAILED_PRECONDITION;
	return sl_err_set(err, code, "%s '%s': %s", doing, name, strerror(errno));
}

/* Root may own what another user serves with, nobody else. */
static sl_code check_private(const struct stat *st, const char *name, struct sl_err *err)
{
	if (st->st_uid != geteuid() && st->st_uid != 0) {
		return sl_err_set(err, SL_FAILED_PRECONDITION,
				  "'%s' must belong to the server's user (%u), belongs to %u", name,
				  (unsigned)geteuid(), (unsigned)st->st_uid);
	}
	if ((st->st_mode & (S_IRWXG | S_IRWXO)) != 0) {
		return sl_err_set(err, SL_FAILED_PRECONDITION,
				  "'%s' must be open to its owner only (%s), has mode %04o", name,
				  S_ISDIR(st->st_mode) ? "0700" : "0600",
				  (unsigned)(st->st_mode & 07777));
	}
	return SL_OK;
}

sl_code ca_folder_open(const char *data, int *ret_fd, struct sl_err *err)
{
	SL_AUTO(sl_free_auto) char *path = NULL;
	struct stat st;
	if (asprintf(&path, "%s/" CA_FOLDER, data) < 0) {
		return sl_err_no_memory(err);
	}
	SL_AUTO(sl_fd_auto) int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 && errno == ENOENT) {
		return sl_err_set(err, SL_NOT_FOUND, "'%s' has no keys: sluiced init makes them",
				  data);
	}
	if (fd < 0 || fstat(fd, &st) != 0) {
		return failed(err, "open", path);
	}
	sl_code code = check_private(&st, path, err);
	if (code == SL_OK) {
		*ret_fd = fd;
		fd = -1;
	}
	return code;
}

sl_code ca_file_read(int folder, const char *name, char **ret_text, size_t *ret_size,
		     struct sl_err *err)
{
	struct stat st;
	SL_AUTO(sl_fd_auto) int fd = openat(folder, name, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0 || fstat(fd, &st) != 0) {
		return failed(err, "open", name);
	}
	if (!S_ISREG(st.st_mode) || st.st_size < 0 || st.st_size > CA_FILE_MAX) {
		return sl_err_set(err, SL_FAILED_PRECONDITION,
				  "'%s' must be a file of at most %d bytes", name, CA_FILE_MAX);
	}
	sl_code code = check_private(&st, name, err);
	if (code != SL_OK) {
		return code;
	}
	SL_AUTO(sl_secret_text_auto) char *text = sl_secret_new((size_t)st.st_size + 1);
	if (text == NULL) {
		return sl_err_no_memory(err);
	}
	if (!sl_file_read(fd, text, (size_t)st.st_size)) { /* or shorter than a moment ago */
		return failed(err, "read", name);
	}
	*ret_text = SL_TAKE(text);
	*ret_size = (size_t)st.st_size;
	return SL_OK;
}

sl_code ca_file_write(int folder, const char *name, struct sl_bytes content, struct sl_err *err)
{
	SL_AUTO(sl_fd_auto)
	int fd = openat(folder, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0 || !sl_file_write(fd, content.data, content.size) || fchmod(fd, 0600) != 0 ||
	    fsync(fd) != 0) {
		return failed(err, "write", name);
	}
	return fsync(folder) == 0 ? SL_OK : failed(err, "sync the folder of", name);
}

sl_code ca_file_replace(int folder, const char *name, struct sl_bytes content, struct sl_err *err)
{
	char aside[NAME_MAX + 1];
	(void)snprintf(aside, sizeof(aside), "%s.new", name);
	if (unlinkat(folder, aside, 0) != 0 && errno != ENOENT) {
		return failed(err, "remove", aside);
	}
	sl_code code = ca_file_write(folder, aside, content, err);
	if (code != SL_OK) {
		return code;
	}
	if (renameat(folder, aside, folder, name) != 0 || fsync(folder) != 0) {
		return failed(err, "replace", name);
	}
	return SL_OK;
}

struct ca_stamp ca_file_stamp(int folder, const char *name)
{
	struct stat st;
	if (fstatat(folder, name, &st, 0) != 0) {
		return (struct ca_stamp){0};
	}
	const uint64_t second_ns = 1000000000;
	return (struct ca_stamp){
	    .inode = st.st_ino,
	    .size = (uint64_t)st.st_size,
	    .changed_ns = (uint64_t)st.st_ctim.tv_sec * second_ns + (uint64_t)st.st_ctim.tv_nsec,
	};
}

bool ca_stamp_equal(struct ca_stamp a, struct ca_stamp b)
{
	return a.inode == b.inode && a.size == b.size && a.changed_ns == b.changed_ns;
}
