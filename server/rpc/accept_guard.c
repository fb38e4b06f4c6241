#include "server/rpc/accept_guard.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/handover/handover.h"
#include "base/tls/hooks.h"
#include "server/rpc/line.h"
#include "server/rpc/porch.h"

/* The store, children and log files always find a descriptor. */
#define RESERVED_DESCRIPTORS 64

static _Atomic int fd_max = INT_MAX;
static _Atomic unsigned per_second;
static _Atomic uint64_t accepted, refused_full, refused_rate, starved;
static _Atomic uint64_t
    spent_until_ns;             /* the whole token bucket: time up to which tokens are spent */
static _Atomic int source = -1; /* where connections come from, if not from a listener */
static _Atomic int spare = -1;  /* given up for a moment when no descriptor is left */

static int open_spare(void)
{
	return open("/dev/null", O_RDONLY | O_CLOEXEC);
}

static int limit_of_process(void)
{
	struct rlimit files = {0};
	if (getrlimit(RLIMIT_NOFILE, &files) != 0 || files.rlim_cur > INT_MAX) {
		return INT_MAX;
	}
	int all = (int)files.rlim_cur;
	return all > 2 * RESERVED_DESCRIPTORS ? all - RESERVED_DESCRIPTORS : all / 2;
}

void accept_guard_set(const struct accept_guard_limits *limits)
{
	if (atomic_load(&spare) < 0) {
		atomic_store(&spare, open_spare());
	}
	int highest = limit_of_process();
	int probe = open_spare();
	if (limits->connections_max > 0 && probe >= 0 &&
	    limits->connections_max < (unsigned)(INT_MAX - probe)) {
		int wanted = probe + (int)limits->connections_max;
		highest = wanted < highest ? wanted : highest;
	}
	if (probe >= 0) {
		(void)close(probe);
	}
	atomic_store(&fd_max, highest);
	atomic_store(&per_second, limits->per_second);
}

bool accept_guard_has_room(int fd)
{
	return fd <= limit_of_process();
}

void accept_guard_source(int socket)
{
	atomic_store(&source, socket);
}

void accept_guard_read(struct accept_guard_counts *ret_counts)
{
	*ret_counts = (struct accept_guard_counts){
	    .accepted = atomic_load(&accepted),
	    .refused_full = atomic_load(&refused_full),
	    .refused_rate = atomic_load(&refused_rate),
	    .starved = atomic_load(&starved),
	};
}

/* A reset, not a FIN: no TIME_WAIT and no lingering buffers for a stranger. */
static void hang_up(int fd)
{
	struct linger now = {.l_onoff = 1, .l_linger = 0};
	(void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
	(void)close(fd);
}

static bool is_loopback(const struct sockaddr *from)
{
	const struct sockaddr_in *in4 = (const void *)from;
	const struct sockaddr_in6 *in6 = (const void *)from;
	if (from->sa_family == AF_INET) {
		return (ntohl(in4->sin_addr.s_addr) >> 24) == 127;
	}
	if (from->sa_family != AF_INET6) {
		return true;
	}
	return IN6_IS_ADDR_LOOPBACK(&in6->sin6_addr) ||
	       (IN6_IS_ADDR_V4MAPPED(&in6->sin6_addr) && in6->sin6_addr.s6_addr[12] == 127);
}

/* Somebody who is out came from there. */
static bool is_suspect(const struct sockaddr *from)
{
	return from != NULL && tls_hooks_is_out_from(line_address(from));
}

/* GCRA: the bucket is one word, so no lock. */
static bool take_token(void)
{
	uint64_t rate = atomic_load_explicit(&per_second, memory_order_relaxed);
	if (rate == 0) {
		return true;
	}
	struct timespec time;
	(void)clock_gettime(CLOCK_MONOTONIC, &time);
	uint64_t now = (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
	uint64_t cost = 1000000000u / rate;
	uint64_t spent = atomic_load_explicit(&spent_until_ns, memory_order_relaxed);
	for (;;) {
		uint64_t from = spent > now ? spent : now;
		if (from + cost > now + cost * rate) {
			return false;
		}
		if (atomic_compare_exchange_weak_explicit(&spent_until_ns, &spent, from + cost,
							  memory_order_relaxed,
							  memory_order_relaxed)) {
			return true;
		}
	}
}

/* Ends what waits by way of the spare descriptor. accept4() takes its
 * descriptor before it looks at the queue, so it fails like this also when
 * nobody waits: to try once more would spin. */
static void shed(int listener)
{
	atomic_fetch_add(&starved, 1);
	int fd = atomic_exchange(&spare, -1);
	if (fd < 0) {
		return;
	}
	(void)close(fd);
	int got;
	while ((got = (int)syscall(SYS_accept4, listener, NULL, NULL, SOCK_CLOEXEC)) >= 0) {
		hang_up(got);
	}
	atomic_store(&spare, open_spare());
}

static bool has_place(int fd)
{
	return fd <= atomic_load_explicit(&fd_max, memory_order_relaxed);
}

static bool admit(int fd, const struct sockaddr *from)
{
	if (!has_place(fd)) {
		atomic_fetch_add(&refused_full, 1);
		return false;
	}
	if (from != NULL && !is_loopback(from) && !take_token()) {
		atomic_fetch_add(&refused_rate, 1);
		return false;
	}
	atomic_fetch_add(&accepted, 1);
	tls_hooks_coming(from != NULL ? line_address(from) : 0);
	return true;
}

/* Knocks are taken before what they speak of, which was sent before them: nothing is left behind
 * of which no knock is still to come. */
static int accept_handed(int from_socket, int listener, struct sockaddr *from, socklen_t *from_size)
{
	socklen_t room = from_size != NULL ? *from_size : 0;
	int knock;
	while ((knock = (int)syscall(SYS_accept4, listener, NULL, NULL, SOCK_CLOEXEC)) >= 0) {
		(void)close(knock);
	}
	for (;;) {
		char byte;
		int got;
		if (handover_receive(from_socket, &byte, 1, MSG_DONTWAIT, &got) <= 0) {
			errno = EAGAIN;
			return -1;
		}
		if (from_size != NULL) {
			*from_size = room;
		}
		bool there = got >= 0 && (from == NULL || getpeername(got, from, from_size) == 0);
		if (there && admit(got, from)) {
			return got;
		}
		if (got >= 0) {
			hang_up(got);
		}
	}
}

/* Returns like accept4(2), but for "no descriptor" and "no memory", which are EAGAIN. */
__attribute__((visibility("default"))) int accept4(int listener, struct sockaddr *from,
						   socklen_t *from_size, int flags)
{
	socklen_t room = from_size != NULL ? *from_size : 0;
	int handed = atomic_load_explicit(&source, memory_order_relaxed);
	handed = handed >= 0 ? handed : porch_hatch(listener);
	if (handed >= 0) {
		return accept_handed(handed, listener, from, from_size);
	}
	for (;;) {
		if (from_size != NULL) {
			*from_size = room;
		}
		int got = (int)syscall(SYS_accept4, listener, from, from_size, flags);
		if (got >= 0 && has_place(got) && is_suspect(from) &&
		    porch_take(listener, got, from)) {
			continue;
		}
		if (got >= 0 && admit(got, from)) {
			return got;
		}
		if (got >= 0) {
			hang_up(got);
			continue;
		}
		if (errno == EAGAIN || errno == EINVAL || errno == EBADF || errno == ENOTSOCK) {
			return -1; /* nobody waits, or the listener is being closed */
		}
		if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
			shed(listener);
			errno = EAGAIN; /* gRPC arms its listener again */
			return -1;
		}
		/* ECONNABORTED, EINTR, EPROTO, ...: trouble of that one connection */
	}
}
