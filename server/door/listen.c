#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "server/door/door_internal.h"

enum {
	WAITING_MAX = 512, /* in the kernel, before the gate has taken them in */
	SAY_FIRST_S = 3,
	RECEIVE_BYTES = 16 << 10, /* the kernel keeps so much of each that waits */
};

static sl_code cannot(const char *address, const char *why, struct sl_err *err)
{
	return sl_err_set(err, SL_UNAVAILABLE, "the door cannot listen on '%s': %s", address, why);
}

static int try_listen(const struct sockaddr *at, socklen_t size)
{
	static const int on = 1, off = 0, say_first = SAY_FIRST_S, bytes = RECEIVE_BYTES;
	int fd = socket(at->sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0) {
		return -1;
	}
	(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	(void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off));
	/* What follows is of those who come, too. In TLS the client speaks first: who says nothing
	 * is the kernel's. */
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	(void)setsockopt(fd, IPPROTO_TCP, TCP_DEFER_ACCEPT, &say_first, sizeof(say_first));
	(void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof(bytes));
	if (bind(fd, at, size) == 0 && listen(fd, WAITING_MAX) == 0) {
		return fd;
	}
	int error = errno;
	(void)close(fd);
	errno = error;
	return -1;
}

/* All addresses of IPv4 are all of IPv6 as well where there is IPv6, as at the main port. */
static int listen_there(const struct addrinfo *found)
{
	const struct sockaddr_in *v4 = (const void *)found->ai_addr;
	int fd = -1;
	if (found->ai_family == AF_INET && v4->sin_addr.s_addr == htonl(INADDR_ANY)) {
		const struct sockaddr_in6 any = {.sin6_family = AF_INET6,
						 .sin6_port = v4->sin_port};
		fd = try_listen((const struct sockaddr *)(const void *)&any, sizeof(any));
	}
	return fd >= 0 ? fd : try_listen(found->ai_addr, found->ai_addrlen);
}

static int port_of(int fd)
{
	struct sockaddr_storage at;
	socklen_t size = sizeof(at);
	char port[NI_MAXSERV];
	int rc = getsockname(fd, (struct sockaddr *)&at, &size);
	rc = rc != 0 ? rc
		     : getnameinfo((struct sockaddr *)&at, size, NULL, 0, port, sizeof(port),
				   NI_NUMERICSERV);
	return rc == 0 ? (int)strtol(port, NULL, 10) : 0;
}

sl_code door_listen(const char *address, int *ret_fd, int *ret_port, struct sl_err *err)
{
	char host[256];
	const char *colon = strrchr(address, ':');
	size_t length = colon == NULL ? 0 : (size_t)(colon - address);
	bool bracketed = length > 2 && address[0] == '[' && address[length - 1] == ']';
	if (length == 0 || length >= sizeof(host)) {
		return cannot(address, "it is no HOST:PORT", err);
	}
	(void)snprintf(host, sizeof(host), "%.*s", (int)(bracketed ? length - 2 : length),
		       bracketed ? address + 1 : address);
	const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE};
	struct addrinfo *found = NULL;
	int rc = getaddrinfo(host, colon + 1, &hints, &found);
	if (rc != 0) {
		return cannot(address, gai_strerror(rc), err);
	}
	int fd = listen_there(found), error = errno;
	freeaddrinfo(found);
	if (fd < 0) {
		return cannot(address, strerror(error), err);
	}
	*ret_fd = fd;
	*ret_port = port_of(fd);
	return SL_OK;
}
