#include "base/handover/handover.h"

#include <string.h>
#include <sys/socket.h>

union control {
	struct cmsghdr align;
	char bytes[CMSG_SPACE(sizeof(int))];
};

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

ssize_t handover_receive(int socket, void *out, size_t room, int flags, int *ret_fd)
{
	union control control = {.bytes = {0}};
	struct iovec part = {.iov_base = out, .iov_len = room};
	struct msghdr head = {.msg_iov = &part,
			      .msg_iovlen = 1,
			      .msg_control = control.bytes,
			      .msg_controllen = sizeof(control.bytes)};
	*ret_fd = -1;
	ssize_t size = recvmsg(socket, &head, flags | MSG_CMSG_CLOEXEC);
	const struct cmsghdr *rights = size >= 0 ? CMSG_FIRSTHDR(&head) : NULL;
	if (rights != NULL && rights->cmsg_level == SOL_SOCKET && rights->cmsg_type == SCM_RIGHTS &&
	    rights->cmsg_len == CMSG_LEN(sizeof(int))) {
		memcpy(ret_fd, CMSG_DATA(rights), sizeof(*ret_fd));
	}
	return size;
}
