#include "base/file/file.h"

#include <errno.h>
#include <sys/types.h>
#include <unistd.h>

void sl_fd_auto(const int *fd)
{
	if (*fd >= 0) {
		(void)close(*fd);
	}
}

void sl_dir_auto(DIR **dir)
{
	if (*dir != NULL) {
		(void)closedir(*dir);
	}
}

bool sl_file_read(int fd, void *data, size_t size)
{
	char *at = data;
	while (size > 0) {
		ssize_t got = read(fd, at, size);
		if (got < 0 && errno == EINTR) {
			continue;
		}
		if (got <= 0) {
			errno = got == 0 ? EIO : errno;
			return false;
		}
		at += got;
		size -= (size_t)got;
	}
	return true;
}

bool sl_file_write(int fd, const void *data, size_t size)
{
	const char *at = data;
	while (size > 0) {
		ssize_t put = write(fd, at, size);
		if (put < 0 && errno == EINTR) {
			continue;
		}
		if (put <= 0) {
			errno = put == 0 ? EIO : errno;
			return false;
		}
		at += put;
		size -= (size_t)put;
	}
	return true;
}
