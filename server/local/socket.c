#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/file/file.h"
#include "base/mem/own.h"
#include "server/local/socket_internal.h"

enum { BACKLOG = 8 };

/* A socket's address holds 107 bytes: the folder is named by a descriptor. */
static struct sockaddr_un address_in(int folder)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	(void)snprintf(address.sun_path, sizeof(address.sun_path), "/proc/self/fd/%d/" SOCKET_NAME,
		       folder);
	return address;
}

static int bind_in(int folder)
{
	const struct sockaddr_un address = address_in(folder);
	SL_AUTO(sl_fd_auto)
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	(void)unlinkat(folder, SOCKET_NAME, 0);
	if (fd < 0 || bind(fd, (const struct sockaddr *)&address, sizeof(address)) != 0 ||
	    fchmodat(folder, SOCKET_NAME, S_IRUSR | S_IWUSR, 0) != 0 || listen(fd, BACKLOG) != 0) {
		return -1;
	}
	int made = fd;
	fd = -1;
	return made;
}

static int connect_in(int folder)
{
	const struct sockaddr_un address = address_in(folder);
	SL_AUTO(sl_fd_auto) int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (fd < 0 || connect(fd, (const struct sockaddr *)&address, sizeof(address)) != 0) {
		return -1;
	}
	socket_bound_waits(fd);
	int made = fd;
	fd = -1;
	return made;
}

static int in_folder(const char *data, int (*make)(int folder))
{
	SL_AUTO(sl_fd_auto) int folder = open(data, O_PATH | O_DIRECTORY | O_CLOEXEC);
	return folder < 0 ? -1 : make(folder);
}

int socket_listen(const char *data)
{
	return in_folder(data, bind_in);
}

int socket_connect(const char *data)
{
	return in_folder(data, connect_in);
}

static int remove_in(int folder)
{
	return unlinkat(folder, SOCKET_NAME, 0);
}

void socket_remove(const char *data)
{
	(void)in_folder(data, remove_in);
}

void socket_bound_waits(int fd)
{
	const struct timeval wait = {.tv_sec = SOCKET_WAIT_S};
	(void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait));
	(void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof(wait));
}
