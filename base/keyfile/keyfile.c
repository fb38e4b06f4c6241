#include "base/keyfile/keyfile.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/crypto/keytext.h"
#include "base/crypto/secret.h"
#include "base/file/file.h"
#include "base/mem/own.h"

static sl_code failed(struct sl_err *err, const char *doing, const char *dir, const char *name)
{
	int error = errno;
	sl_code code = error == ENOENT   ? SL_NOT_FOUND
		       : error == EEXIST ? SL_ALREADY_EXISTS
		       : error == ENOSPC ? SL_RESOURCE_EXHAUSTED
					 : SL_FAILED_PRECONDITION;
	return sl_err_set(err, code, "%s '%s/%s': %s", doing, dir, name, strerror(error));
}

sl_code keyfile_check_folder(const char *dir, struct sl_err *err)
{
	struct stat found;
	if (lstat(dir, &found) != 0) {
		return sl_err_set(err, errno == ENOENT ? SL_NOT_FOUND : SL_FAILED_PRECONDITION,
				  "key folder '%s': %s", dir, strerror(errno));
	}
	if (!S_ISDIR(found.st_mode) || found.st_uid != geteuid() || (found.st_mode & 077) != 0) {
		return sl_err_set(err, SL_FAILED_PRECONDITION,
				  "key folder '%s' must be a folder of user %u with mode 0700, and "
				  "has user %u and mode %04o",
				  dir, (unsigned)geteuid(), (unsigned)found.st_uid,
				  (unsigned)found.st_mode & 07777);
	}
	return SL_OK;
}

static sl_code check_file(const struct stat *found, const char *dir, const char *name,
			  enum keyfile_kind kind, struct sl_err *err)
{
	unsigned mode = (unsigned)found->st_mode & 07777;
	bool mine = kind != KEYFILE_SECRET || found->st_uid == geteuid();
	unsigned bad = kind == KEYFILE_SECRET ? 0177 : 0022;
	if (!S_ISREG(found->st_mode) || !mine || (mode & bad) != 0) {
		return sl_err_set(
		    err, SL_FAILED_PRECONDITION,
		    "key file '%s/%s' must be a file %s, and has user %u and mode %04o", dir, name,
		    kind == KEYFILE_SECRET ? "of this user with mode 0600"
					   : "that others cannot write",
		    (unsigned)found->st_uid, mode);
	}
	if (found->st_size > KEYFILE_MAX) {
		return sl_err_set(err, SL_FAILED_PRECONDITION,
				  "key file '%s/%s' has %lld bytes, at most %d are read", dir, name,
				  (long long)found->st_size, KEYFILE_MAX);
	}
	return SL_OK;
}

static int open_in(const char *dir, const char *name, int flags, unsigned mode)
{
	SL_AUTO(sl_fd_auto) int parent = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return parent < 0 ? -1 : openat(parent, name, flags | O_CLOEXEC | O_NOFOLLOW, mode);
}

sl_code keyfile_read(const char *dir, const char *name, enum keyfile_kind kind, char **ret_text,
		     struct sl_err *err)
{
	struct stat found;
	SL_AUTO(sl_fd_auto) int fd = open_in(dir, name, O_RDONLY | O_NONBLOCK, 0);
	if (fd < 0 || fstat(fd, &found) != 0) {
		return failed(err, "read key file", dir, name);
	}
	sl_code code = check_file(&found, dir, name, kind, err);
	if (code != SL_OK) {
		return code;
	}
	size_t size = (size_t)found.st_size;
	SL_AUTO(sl_secret_text_auto) char *text = sl_secret_new(size + 1);
	if (text == NULL) {
		return sl_err_no_memory(err);
	}
	if (!sl_file_read(fd, text, size)) {
		return failed(err, "read key file", dir, name);
	}
	*ret_text = SL_TAKE(text);
	return SL_OK;
}

/* Cuts a path into folder and name. */
static sl_code cut(const char *path, char dir[static PATH_MAX], const char **ret_name,
		   struct sl_err *err)
{
	const char *slash = strrchr(path, '/');
	int length = slash == NULL ? 0 : slash == path ? 1 : (int)(slash - path);
	if (strlen(path) >= PATH_MAX) {
		return sl_err_set(err, SL_INVALID_ARGUMENT, "a path has at most %d bytes",
				  PATH_MAX - 1);
	}
	(void)snprintf(dir, PATH_MAX, "%.*s", length == 0 ? 1 : length, length == 0 ? "." : path);
	*ret_name = slash == NULL ? path : slash + 1;
	return SL_OK;
}

sl_code keyfile_read_path(const char *path, enum keyfile_kind kind, char **ret_text,
			  struct sl_err *err)
{
	char dir[PATH_MAX];
	const char *name = NULL;
	sl_code code = cut(path, dir, &name, err);
	return code != SL_OK ? code : keyfile_read(dir, name, kind, ret_text, err);
}

static sl_code sync_folder(const char *dir, struct sl_err *err)
{
	SL_AUTO(sl_fd_auto) int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd >= 0 && fsync(fd) == 0 ? SL_OK : failed(err, "sync", dir, "");
}

static sl_code write_aside(const char *dir, const char *aside, enum keyfile_kind kind,
			   const char *text, struct sl_err *err)
{
	unsigned mode = kind == KEYFILE_SECRET ? 0600 : 0644;
	SL_AUTO(sl_fd_auto) int parent = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	(void)unlinkat(parent, aside, 0); /* of a crash */
	SL_AUTO(sl_fd_auto) int fd = open_in(dir, aside, O_WRONLY | O_CREAT | O_EXCL, mode);
	if (fd < 0 || !sl_file_write(fd, text, strlen(text)) || fsync(fd) != 0) {
		return failed(err, "write key file", dir, aside);
	}
	return SL_OK;
}

sl_code keyfile_rename(const char *dir, const char *from, const char *to, struct sl_err *err)
{
	SL_AUTO(sl_fd_auto) int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 || renameat(fd, from, fd, to) != 0) {
		return failed(err, "put in place", dir, to);
	}
	return sync_folder(dir, err);
}

sl_code keyfile_replace(const char *dir, const char *name, enum keyfile_kind kind, const char *text,
			struct sl_err *err)
{
	char aside[NAME_MAX];
	(void)snprintf(aside, sizeof(aside), ".%s.new", name);
	sl_code code = write_aside(dir, aside, kind, text, err);
	return code == SL_OK ? keyfile_rename(dir, aside, name, err) : code;
}

sl_code keyfile_create(const char *dir, const char *name, enum keyfile_kind kind, const char *text,
		       struct sl_err *err)
{
	char aside[NAME_MAX];
	(void)snprintf(aside, sizeof(aside), ".%s.new", name);
	sl_code code = write_aside(dir, aside, kind, text, err);
	SL_AUTO(sl_fd_auto) int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (code == SL_OK && linkat(fd, aside, fd, name, 0) != 0) {
		code = failed(err, "make key file", dir, name);
	}
	(void)unlinkat(fd, aside, 0);
	return code == SL_OK ? sync_folder(dir, err) : code;
}

sl_code keyfile_create_path(const char *path, enum keyfile_kind kind, const char *text,
			    struct sl_err *err)
{
	char dir[PATH_MAX];
	const char *name = NULL;
	sl_code code = cut(path, dir, &name, err);
	return code != SL_OK ? code : keyfile_create(dir, name, kind, text, err);
}

sl_code keyfile_read_key(const char *dir, const char *name, enum keyfile_kind file_kind,
			 const char *key_kind, uint8_t *out, size_t size, struct sl_err *err)
{
	SL_AUTO(sl_secret_text_auto) char *text = NULL;
	sl_code code = keyfile_read(dir, name, file_kind, &text, err);
	if (code != SL_OK) {
		return code;
	}
	code = sl_key_parse(text, key_kind, out, size, err);
	return code == SL_OK ? SL_OK : sl_err_wrap(err, "key file '%s/%s'", dir, name);
}
