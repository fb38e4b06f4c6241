/* Connections that somebody else has taken, handed to whoever calls accept4(). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/handover/handover.h"
#include "base/mem/own.h"
#include "server/rpc/accept_guard.h"
#include "tests/lib/listener.h"

struct fixture {
	int hatch[2]; /* in, and out to accept4() */
	int listener; /* where knocks come */
	struct sockaddr_un name;
	socklen_t name_size;
	struct accept_guard_counts before;
};

static int setup(void **state)
{
	static struct fixture fixture;
	struct fixture *f = *state = &fixture;
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, f->hatch), 0);
	f->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	f->name = (struct sockaddr_un){.sun_family = AF_UNIX};
	f->name_size = sizeof(f->name);
	/* The kernel finds a name of the abstract space. */
	assert_int_equal(bind(f->listener, (const struct sockaddr *)&f->name, sizeof(sa_family_t)),
			 0);
	assert_int_equal(getsockname(f->listener, (struct sockaddr *)&f->name, &f->name_size), 0);
	assert_int_equal(listen(f->listener, 8), 0);
	accept_guard_set(&(struct accept_guard_limits){.connections_max = 0});
	accept_guard_source(f->hatch[1]);
	accept_guard_read(&f->before);
	return 0;
}

static int teardown(void **state)
{
	const struct fixture *f = *state;
	accept_guard_source(-1);
	(void)close(f->hatch[0]);
	(void)close(f->hatch[1]);
	return close(f->listener);
}

/* Both ends of a connection over loopback. */
struct connection {
	int client, server;
	uint16_t port; /* the client's */
};

static struct connection connection_open(void)
{
	struct connection c;
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t size = sizeof(at);
	uint16_t port;
	int listener = listener_open(1, &port);
	at.sin_port = htons(port);
	c.client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(connect(c.client, (const struct sockaddr *)&at, sizeof(at)), 0);
	c.server = accept(listener, (struct sockaddr *)&at, &size);
	assert_true(c.server >= 0);
	c.port = ntohs(at.sin_port);
	(void)close(listener);
	return c;
}

/* As the gate does: what is handed over is no longer its own. */
static void hand_over(const struct fixture *f, struct connection *c)
{
	assert_true(handover_send(f->hatch[0], "", 1, c->server));
	(void)close(c->server);
	c->server = -1;
}

static int take(const struct fixture *f, uint16_t *ret_port)
{
	struct sockaddr_in from = {.sin_port = 0};
	socklen_t size = sizeof(from);
	int fd = accept4(f->listener, (struct sockaddr *)&from, &size, SOCK_CLOEXEC);
	*ret_port = ntohs(from.sin_port);
	return fd;
}

static void assert_no_more(const struct fixture *f)
{
	uint16_t port;
	errno = 0;
	assert_int_equal(take(f, &port), -1);
	assert_int_equal(errno, EAGAIN);
}

static void assert_taken(const struct fixture *f, const struct connection *c)
{
	uint16_t port;
	char byte;
	int fd = take(f, &port);
	assert_true(fd >= 0);
	assert_int_equal(port, c->port);
	assert_int_equal(write(c->client, "x", 1), 1);
	assert_int_equal(read(fd, &byte, 1), 1);
	assert_int_equal(byte, 'x');
	(void)close(fd);
}

static struct accept_guard_counts counted(const struct fixture *f)
{
	struct accept_guard_counts now;
	accept_guard_read(&now);
	now.accepted -= f->before.accepted;
	now.refused_full -= f->before.refused_full;
	return now;
}

static void test_those_handed_over_come_in_their_order(void **state)
{
	const struct fixture *f = *state;
	struct connection c[3];
	assert_no_more(f);
	for (size_t i = 0; i < SL_COUNT(c); i++) {
		c[i] = connection_open();
		hand_over(f, &c[i]);
	}
	for (size_t i = 0; i < SL_COUNT(c); i++) {
		assert_taken(f, &c[i]);
		(void)close(c[i].client);
	}
	assert_no_more(f);
	assert_int_equal(counted(f).accepted, SL_COUNT(c));
}

static void test_a_knock_is_no_connection(void **state)
{
	const struct fixture *f = *state;
	struct connection c = connection_open();
	int knocks[3];
	char byte;
	for (size_t i = 0; i < SL_COUNT(knocks); i++) {
		knocks[i] = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
		assert_int_equal(
		    connect(knocks[i], (const struct sockaddr *)&f->name, f->name_size), 0);
	}
	assert_no_more(f);
	for (size_t i = 0; i < SL_COUNT(knocks); i++) {
		assert_int_equal(read(knocks[i], &byte, 1), 0);
		(void)close(knocks[i]);
	}
	/* Whoever is there is found without one, too. */
	hand_over(f, &c);
	assert_taken(f, &c);
	(void)close(c.client);
	assert_int_equal(counted(f).accepted, 1);
}

static void test_what_is_none_and_who_has_left_are_passed_over(void **state)
{
	const struct fixture *f = *state;
	const struct linger now = {.l_onoff = 1, .l_linger = 0};
	struct connection gone = connection_open(), c = connection_open();
	assert_int_equal(send(f->hatch[0], "", 1, 0), 1);
	hand_over(f, &gone);
	hand_over(f, &c);
	(void)setsockopt(gone.client, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
	(void)close(gone.client);
	assert_taken(f, &c);
	(void)close(c.client);
	assert_no_more(f);
	assert_int_equal(counted(f).accepted, 1);
}

static void test_who_is_too_many_is_hung_up_on(void **state)
{
	const struct fixture *f = *state;
	struct connection c[4];
	uint16_t port;
	char byte;
	for (size_t i = 0; i < SL_COUNT(c); i++) {
		c[i] = connection_open();
		hand_over(f, &c[i]);
	}
	/* Judged by numbers: it is one or two, and they are kept until the end. */
	accept_guard_set(&(struct accept_guard_limits){.connections_max = 1});
	int in[SL_COUNT(c) + 1];
	size_t count = 0;
	while ((in[count] = take(f, &port)) >= 0) {
		count++;
	}
	assert_in_range(count, 1, 2);
	for (size_t i = 0; i < SL_COUNT(c); i++) {
		ssize_t size = recv(c[i].client, &byte, 1, i < count ? MSG_DONTWAIT : 0);
		assert_int_equal(size, -1);
		assert_int_equal(errno, i < count ? EAGAIN : ECONNRESET);
		(void)close(c[i].client);
	}
	for (size_t i = 0; i < count; i++) {
		(void)close(in[i]);
	}
	assert_int_equal(counted(f).accepted, count);
	assert_int_equal(counted(f).refused_full, SL_COUNT(c) - count);
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    CASE(test_those_handed_over_come_in_their_order),
	    CASE(test_a_knock_is_no_connection),
	    CASE(test_what_is_none_and_who_has_left_are_passed_over),
	    CASE(test_who_is_too_many_is_hung_up_on),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
