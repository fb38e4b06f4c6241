/* Who waits on the porch: not all at once, but all of them, in their order, by a knock. This test
 * listens as gRPC would, at the port and for the knock. */
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock/clock.h"
#include "base/crypto/crypto.h"
#include "base/handover/handover.h"
#include "server/rpc/porch.h"

enum { MANY = 30, AT_ONCE = 2, TURN_MS = 100, WAIT_MS = 30000, MOMENT_MS = 20 };

struct fixture {
	int port, listener, other, knocks; /* the port; another one; where the knocks come */
};

static int listen_at(const struct sockaddr *at, socklen_t size)
{
	int fd = socket(at->sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	assert_int_equal(bind(fd, at, size), 0);
	assert_int_equal(listen(fd, MANY), 0);
	return fd;
}

static int listen_on_loopback(void)
{
	const struct sockaddr_in any = {.sin_family = AF_INET,
					.sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	return listen_at((const struct sockaddr *)&any, sizeof(any));
}

static struct sockaddr_in address_of(int listener)
{
	struct sockaddr_in at = {.sin_family = AF_INET};
	socklen_t size = sizeof(at);
	assert_int_equal(getsockname(listener, (struct sockaddr *)&at, &size), 0);
	return at;
}

static int setup(void **state)
{
	static struct fixture f;
	static const char scheme[] = "unix-abstract:";
	struct sockaddr_un at = {.sun_family = AF_UNIX};
	char address[PORCH_ADDRESS_SIZE];
	assert_true(sl_crypto_init());
	f.listener = listen_on_loopback();
	f.other = listen_on_loopback();
	f.port = ntohs(address_of(f.listener).sin_port);
	assert_int_equal(porch_open(f.port, address, NULL), SL_OK);
	assert_memory_equal(address, scheme, sizeof(scheme) - 1);
	const char *name = address + sizeof(scheme) - 1;
	size_t length = strlen(name);
	memcpy(at.sun_path + 1, name, length);
	f.knocks = listen_at((const struct sockaddr *)&at,
			     (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + length));
	*state = &f;
	return 0;
}

static int teardown(void **state)
{
	const struct fixture *f = *state;
	porch_shut();
	(void)close(f->listener);
	(void)close(f->other);
	(void)close(f->knocks);
	return 0;
}

/* Returns the client's end; it has said its number. */
static int come(int listener, int number, bool *ret_taken)
{
	const struct sockaddr_in to = address_of(listener);
	const uint8_t word = (uint8_t)number;
	struct sockaddr_storage from;
	socklen_t size = sizeof(from);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(connect(fd, (const struct sockaddr *)&to, sizeof(to)), 0);
	assert_int_equal(send(fd, &word, 1, MSG_NOSIGNAL), 1);
	int got = accept(listener, (struct sockaddr *)&from, &size);
	assert_true(got >= 0);
	*ret_taken = porch_take(listener, got, (struct sockaddr *)&from);
	if (!*ret_taken) {
		(void)close(got);
	}
	return fd;
}

/* The next one by a knock, which has to come within that time; -1: none has. */
static int let_in(const struct fixture *f, int ms)
{
	struct pollfd knock = {.fd = f->knocks, .events = POLLIN};
	int hatch = porch_hatch(f->knocks), got = -1;
	char byte;
	for (uint64_t until = sl_clock_mono_ms() + (uint64_t)ms; got < 0;) {
		bool late = sl_clock_mono_ms() >= until;
		porch_tick();
		(void)poll(&knock, 1, late ? 0 : MOMENT_MS);
		int heard = accept(f->knocks, NULL, NULL);
		if (heard >= 0) {
			(void)close(heard);
		}
		(void)handover_receive(hatch, &byte, 1, MSG_DONTWAIT, &got);
		if (got < 0 && late) {
			return -1;
		}
	}
	return got;
}

static int word_of(int fd)
{
	uint8_t word = 0;
	assert_int_equal(recv(fd, &word, 1, 0), 1);
	(void)close(fd);
	return word;
}

static void test_porch_lets_in_all_in_their_order_but_not_at_once(void **state)
{
	const struct fixture *f = *state;
	int clients[MANY];
	bool taken = false;
	uint64_t began_ms = sl_clock_mono_ms();
	for (int i = 0; i < MANY; i++) {
		clients[i] = come(f->listener, i, &taken);
		assert_true(taken);
	}
	for (int i = 0; i < MANY; i++) {
		int got = let_in(f, WAIT_MS);
		assert_true(got >= 0);
		assert_int_equal(word_of(got), i);
		(void)close(clients[i]);
	}
	assert_true(sl_clock_mono_ms() - began_ms >= (MANY - AT_ONCE) * TURN_MS - TURN_MS);
	assert_int_equal(let_in(f, 0), -1);
}

static void test_porch_forgets_who_has_left_whatever_they_said(void **state)
{
	const struct fixture *f = *state;
	int clients[MANY];
	bool taken = false;
	for (int i = 0; i < MANY; i++) {
		clients[i] = come(f->listener, i, &taken);
	}
	for (int i = AT_ONCE; i < MANY - 1; i++) { /* the first ones are in */
		(void)close(clients[i]);
	}
	int last = 0;
	for (unsigned served = 0; last != MANY - 1; served++) {
		int got = let_in(f, WAIT_MS);
		assert_true(got >= 0 && served < MANY);
		last = word_of(got);
	}
	assert_int_equal(let_in(f, 0), -1);
	(void)close(clients[MANY - 1]);
}

static void test_porch_is_of_one_port_and_one_knock(void **state)
{
	const struct fixture *f = *state;
	bool taken = true;
	(void)close(come(f->other, 1, &taken));
	assert_false(taken);
	assert_int_equal(porch_hatch(f->listener), -1);
	assert_int_equal(porch_hatch(-1), -1);
	assert_true(porch_hatch(f->knocks) >= 0);
	porch_shut();
	(void)close(come(f->listener, 1, &taken));
	assert_false(taken);
	assert_int_equal(porch_hatch(f->knocks), -1);
	porch_tick();
}

static void test_porch_hangs_up_on_who_waits_when_it_is_shut(void **state)
{
	const struct fixture *f = *state;
	int clients[MANY];
	bool taken = false;
	char byte;
	for (int i = 0; i < MANY; i++) {
		clients[i] = come(f->listener, i, &taken);
	}
	porch_shut();
	for (int i = 0; i < MANY; i++) {
		assert_true(recv(clients[i], &byte, 1, 0) <= 0); /* else it hangs */
		(void)close(clients[i]);
	}
}

/* --- threads ------------------------------------------------------------------------------ */

static void *tick_on(void *stop)
{
	while (!atomic_load((atomic_bool *)stop)) {
		porch_tick();
		(void)usleep(1000);
	}
	return NULL;
}

static void test_porch_is_for_several_threads(void **state)
{
	const struct fixture *f = *state;
	atomic_bool stop = false;
	pthread_t thread;
	int clients[MANY];
	bool taken = false;
	assert_int_equal(pthread_create(&thread, NULL, tick_on, &stop), 0);
	for (int i = 0; i < MANY; i++) {
		clients[i] = come(f->listener, i, &taken);
	}
	for (int i = 0; i < MANY; i++) {
		assert_int_equal(word_of(let_in(f, WAIT_MS)), i);
		(void)close(clients[i]);
	}
	atomic_store(&stop, true);
	assert_int_equal(pthread_join(thread, NULL), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(test_porch_lets_in_all_in_their_order_but_not_at_once,
					    setup, teardown),
	    cmocka_unit_test_setup_teardown(test_porch_forgets_who_has_left_whatever_they_said,
					    setup, teardown),
	    cmocka_unit_test_setup_teardown(test_porch_is_of_one_port_and_one_knock, setup,
					    teardown),
	    cmocka_unit_test_setup_teardown(test_porch_hangs_up_on_who_waits_when_it_is_shut, setup,
					    teardown),
	    cmocka_unit_test_setup_teardown(test_porch_is_for_several_threads, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
