#include "server/store/folder.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/file/file.h"
#include "base/mem/own.h"

/* Locks and shared maps over a network do not keep two machines apart. */
static const struct {
	uint64_t magic;
	const char *name;
} network_systems[] = {
    {0x00006969, "nfs"},   {0x0000517b, "smb"},  {0xff534d42, "cifs"},   {0xfe534d42, "smb2"},
    {0x01021997, "9p"},    {0x65735546, "fuse"}, {0x5346414f, "afs"},    {0x6b414653, "afs"},
    {0x73757245, "coda"},  {0x00c36400, "ceph"}, {0x0bd00bd0, "lustre"}, {0x47504653, "gpfs"},
    {0x7461636f, "ocfs2"}, {0x0000564c, "ncp"},  {0x19830326, "beegfs"}, {0x01161970, "gfs2"},
    {0x20030528, "pvfs2"},
};

const char *folder_network_name(uint64_t magic)
{
	for (size_t i = 0; i < SL_COUNT(network_systems); i++) {
		if (network_systems[i].magic == magic) {
			return network_systems[i].name;
		}
	}
	return NULL;
}

static sl_code check_local(const char *path, struct sl_err *err)
{
	struct statfs fs;
	if (statfs(path, &fs) != 0) {
		return sl_err_set(err, SL_FAILED_PRECONDITION, "look at its file system: %s",
				  strerror(errno));
	}
	const char *network = folder_network_name((uint32_t)fs.f_type);
	if (network == NULL) {
		return SL_OK;
	}
	return sl_err_set(err, SL_FAILED_PRECONDITION,
			  "it is on a network file system (%s); a store needs a local disk",
			  network);
}

static sl_code make_folder(const char *path, struct sl_err *err)
{
	if (mkdir(path, 0700) == 0 || errno == EEXIST) {
		return SL_OK;
	}
	sl_code code = errno == ENOSPC ? SL_RESOURCE_EXHAUSTED : SL_FAILED_PRECONDITION;
	return sl_err_set(err, code, "make the folder: %s", strerror(errno));
}

static sl_code held(int fd, struct sl_err *err)
{
	if (flock(fd, LOCK_SH | LOCK_NB) == 0) {
		return sl_err_set(err, SL_FAILED_PRECONDITION,
				  "another process is reading it offline");
	}
	char text[24] = "";
	ssize_t size = pread(fd, text, sizeof(text) - 1, 0);
	long pid = size > 0 ? strtol(text, NULL, 10) : 0;
	return sl_err_set(err, SL_FAILED_PRECONDITION, "another process holds it (pid %ld)", pid);
}

static sl_code lock_alone(int fd, struct sl_err *err)
{
	if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
		return held(fd, err);
	}
	char text[24];
	int size = snprintf(text, sizeof(text), "%ld\n", (long)getpid());
	if (ftruncate(fd, 0) != 0 || pwrite(fd, text, (size_t)size, 0) != size) {
		sl_code code = errno == ENOSPC ? SL_RESOURCE_EXHAUSTED : SL_INTERNAL;
		return sl_err_set(err, code, "write the lock file: %s", strerror(errno));
	}
	return SL_OK;
}

static sl_code lock_shared(int fd, struct sl_err *err)
{
	return flock(fd, LOCK_SH | LOCK_NB) == 0 ? SL_OK : held(fd, err);
}

static sl_code open_lock(const char *path, enum folder_lock how, int *ret_fd, struct sl_err *err)
{
	SL_AUTO(sl_free_auto) char *name = NULL;
	if (asprintf(&name, "%s/lock", path) < 0) {
		name = NULL;
		return sl_err_no_memory(err);
	}
	int fd = open(
	    name, how == FOLDER_WRITE ? O_RDWR | O_CREAT | O_CLOEXEC : O_RDONLY | O_CLOEXEC, 0600);
	if (fd < 0 && errno == ENOENT && how == FOLDER_READ) {
		*ret_fd = -1; /* a copy that no server ever opened */
		return SL_OK;
	}
	if (fd < 0) {
		sl_code code = errno == ENOSPC ? SL_RESOURCE_EXHAUSTED : SL_FAILED_PRECONDITION;
		return sl_err_set(err, code, "open its lock file: %s", strerror(errno));
	}
	sl_code code = how == FOLDER_WRITE ? lock_alone(fd, err) : lock_shared(fd, err);
	if (code != SL_OK) {
		(void)close(fd);
		return code;
	}
	*ret_fd = fd;
	return SL_OK;
}

sl_code folder_open(const char *path, enum folder_lock how, int *ret_fd, struct sl_err *err)
{
	sl_code code = how == FOLDER_WRITE ? make_folder(path, err) : SL_OK;
	if (code == SL_OK) {
		code = check_local(path, err);
	}
	return code == SL_OK ? open_lock(path, how, ret_fd, err) : code;
}

void folder_close(int fd)
{
	if (fd >= 0) {
		(void)close(fd); /* drops the lock: no child keeps a copy past its exec */
	}
}

static int sync_one(const char *path)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0) {
		return -1;
	}
	int rc = fsync(fd);
	int saved = errno;
	(void)close(fd);
	errno = saved;
	return rc;
}

sl_code folder_sync(const char *path, struct sl_err *err)
{
	SL_AUTO(sl_free_auto) char *parent = NULL;
	if (asprintf(&parent, "%s/..", path) < 0) {
		parent = NULL;
		return sl_err_no_memory(err);
	}
	if (sync_one(path) != 0 || (sync_one(parent) != 0 && errno != EACCES)) {
		return sl_err_because(err, SL_INTERNAL, SL_REASON_STORAGE_FAILED,
				      "sync the folder: %s", strerror(errno));
	}
	return SL_OK;
}

sl_code folder_close_on_exec(int fd, struct sl_err *err)
{
	struct stat file;
	SL_AUTO(sl_dir_auto) DIR *dir = opendir("/proc/self/fd");
	if (dir == NULL || fstat(fd, &file) != 0) {
		sl_code code = errno == ENOMEM ? SL_RESOURCE_EXHAUSTED : SL_FAILED_PRECONDITION;
		return sl_err_set(err, code, "look at the open descriptors: %s", strerror(errno));
	}
	for (struct dirent *entry = readdir(dir); entry != NULL; entry = readdir(dir)) {
		int other = (int)strtol(entry->d_name, NULL, 10); /* "." and "..": 0 */
		struct stat found;
		bool same = fstat(other, &found) == 0 && found.st_dev == file.st_dev &&
			    found.st_ino == file.st_ino;
		if (same && fcntl(other, F_SETFD, FD_CLOEXEC) != 0) {
			return sl_err_set(err, SL_INTERNAL, "set close-on-exec: %s",
					  strerror(errno));
		}
	}
	return SL_OK;
}
