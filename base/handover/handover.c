#include "base/handover/handover.h"

#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

union control {
	struct cmsghdr align;
	char bytes[CMSG_SPACE(sizeof(int))];
};
/* CMSG_SPACE() rounds up: more than the one that is meant may come in. */
enum { ROOM = (CMSG_SPACE(sizeof(int)) - CMSG_LEN(0)) / sizeof(int) };

bool handover_send(int socket, const void *message, size_t size, int fd)
{
	union control control = {.bytes = {0}};
	struct iovec part = {.iov_base = (void *)message, .iov_len = size};
	struct msghdr head = {.msg_iov = &part,
			      .msg_iovlen = 1,
			      .msg_control = control.bytes,
			      .msg_controllen = sizeof(control.bytes)};
	struct cmsghdr *rights = CMSG_FIRSTHDR(&head);
	rights->cmsg_level = SOL_SOCKET;
	rights->cmsg_type = SCM_RIGHTS;
	rights->cmsg_len = CMSG_LEN(sizeof(fd));
	memcpy(CMSG_DATA(rights), &fd, sizeof(fd));
	return sendmsg(socket, &head, MSG_NOSIGNAL | MSG_DONTWAIT) == (ssize_t)size;
}

/* How many came. */
static size_t descriptors_of(struct msghdr *head, int ret_fds[static ROOM])
{
	const struct cmsghdr *rights = CMSG_FIRSTHDR(head);
	if (rights == NULL || rights->cmsg_level != SOL_SOCKET || rights->cmsg_type != SCM_RIGHTS) {
		return 0;
	}
	size_t size = rights->cmsg_len - CMSG_LEN(0);
	memcpy(ret_fds, CMSG_DATA(rights), size);
	return size / sizeof(int);
}

ssize_t handover_receive(int socket, void *out, size_t room, int flags, int *ret_fd)
{
	union control control = {.bytes = {0}};
	struct iovec part = {.iov_base = out, .iov_len = room};
	struct msghdr head = {.msg_iov = &part,
			      .msg_iovlen = 1,
			      .msg_control = control.bytes,
			      .msg_controllen = sizeof(control.bytes)};
	int fds[ROOM];
	ssize_t size = recvmsg(socket, &head, flags | MSG_CMSG_CLOEXEC);
	size_t count = size >= 0 ? descriptors_of(&head, fds) : 0;
	*ret_fd = count == 1 ? fds[0] : -1;
	for (size_t i = 0; count > 1 && i < count; i++) {
		(void)close(fds[i]);
	}
	return size;
}
