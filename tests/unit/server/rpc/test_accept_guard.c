/* The guard sits in a real gRPC server: it counts, it bounds, and a server that
 * ran out of descriptors hears again. Each case is a child process of its own:
 * limits and counters belong to the process. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/mem/own.h"
#include "server/rpc/accept_guard.h"
#include "server/rpc/rpc.h"
#include "tests/lib/wait.h"

#define DESCRIPTORS 64
#define FLOOD 200
#define CONNECTIONS_MAX 10
#define ROUNDS 3

/* --- the server's side --------------------------------------------------------------- */

static struct rpc_server *running;

static void on_term(int number)
{
	(void)number;
	rpc_server_stop(running);
}

/* Writes its port, serves until SIGTERM, then writes the guard's counts. */
static void serve(int out, unsigned descriptors, unsigned connections_max)
{
	struct sl_err err = SL_ERR_INIT;
	if (descriptors > 0) {
		const struct rlimit limit = {.rlim_cur = descriptors, .rlim_max = descriptors};
		(void)setrlimit(RLIMIT_NOFILE, &limit);
	}
	const struct rpc_options options = {
	    .listen = "127.0.0.1:0",
	    .connections_max = connections_max,
	};
	if (rpc_server_new(&options, &running, &err) != SL_OK) {
		(void)fprintf(stderr, "%s\n", err.msg);
		exit(EXIT_FAILURE);
	}
	(void)signal(SIGTERM, on_term);
	(void)dprintf(out, "%d\n", rpc_server_port(running));
	rpc_server_run(running);
	struct accept_guard_counts counts;
	accept_guard_read(&counts);
	(void)dprintf(out, "%llu %llu %llu\n", (unsigned long long)counts.accepted,
		      (unsigned long long)counts.refused_full, (unsigned long long)counts.starved);
	bool agrees = rpc_server_connections(running) == counts.accepted;
	rpc_server_free(running);
	exit(agrees ? EXIT_SUCCESS : EXIT_FAILURE);
}

/* --- the client's side ----------------------------------------------------------------- */

struct child {
	pid_t pid;
	FILE *out;
	int port;
};

/* argv[0] again, as "serve": gRPC does not survive a fork that goes on. */
static const char *self;

static struct child start(unsigned descriptors, unsigned connections_max)
{
	int pipe_fds[2];
	assert_int_equal(pipe2(pipe_fds, O_CLOEXEC), 0);
	struct child child = {.pid = fork()};
	if (child.pid == 0) {
		char limits[2][16], out[16];
		(void)snprintf(limits[0], sizeof(limits[0]), "%u", descriptors);
		(void)snprintf(limits[1], sizeof(limits[1]), "%u", connections_max);
		int kept = dup(pipe_fds[1]); /* without close-on-exec */
		(void)snprintf(out, sizeof(out), "%d", kept);
		(void)execl(self, self, "serve", out, limits[0], limits[1], (char *)NULL);
		_exit(127);
	}
	(void)close(pipe_fds[1]);
	child.out = fdopen(pipe_fds[0], "re");
	assert_int_equal(fscanf(child.out, "%d", &child.port), 1);
	return child;
}

static struct accept_guard_counts stop(struct child *child)
{
	unsigned long long accepted = 0, full = 0, starved = 0;
	int status = 0;
	assert_int_equal(kill(child->pid, SIGTERM), 0);
	assert_int_equal(fscanf(child->out, "%llu %llu %llu", &accepted, &full, &starved), 3);
	assert_int_equal(waitpid(child->pid, &status, 0), child->pid);
	assert_int_equal(status, 0);
	(void)fclose(child->out);
	return (struct accept_guard_counts){
	    .accepted = accepted, .refused_full = full, .starved = starved};
}

/* A connected socket, or -1: reset while connecting. */
static int dial(int port)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	const struct sockaddr_in to = {
	    .sin_family = AF_INET,
	    .sin_port = htons((uint16_t)port),
	    .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	if (connect(fd, (const struct sockaddr *)&to, sizeof(to)) != 0) {
		(void)close(fd);
		return -1;
	}
	return fd;
}

/* A server that hears sends its HTTP/2 settings. */
static bool is_heard(int fd)
{
	static const char preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0";
	(void)send(fd, preface, sizeof(preface), MSG_NOSIGNAL);
	struct pollfd poll_fd = {.fd = fd, .events = POLLIN};
	char byte;
	return poll(&poll_fd, 1, 30000) == 1 && read(fd, &byte, 1) == 1;
}

static bool hears(const struct child *child)
{
	int fd = dial(child->port);
	bool heard = fd >= 0 && is_heard(fd);
	if (fd >= 0) {
		(void)close(fd);
	}
	return heard;
}

/* How many of them nobody has hung up on. */
static unsigned open_of(const int fds[static FLOOD])
{
	unsigned count = 0;
	for (unsigned i = 0; i < FLOOD; i++) {
		char byte;
		ssize_t got = fds[i] >= 0 ? recv(fds[i], &byte, 1, MSG_DONTWAIT | MSG_PEEK) : 0;
		count += got > 0 || (got < 0 && errno == EAGAIN);
	}
	return count;
}

/* FLOOD connections at once, all closed again, when the rest is hung up on or the time over;
 * returns how many were served meanwhile. */
static unsigned flood(const struct child *child, unsigned timeout_ms)
{
	int fds[FLOOD];
	unsigned served = 0;
	for (unsigned i = 0; i < FLOOD; i++) {
		fds[i] = dial(child->port);
	}
	(void)WAIT_FOR((served = open_of(fds)) <= DESCRIPTORS, timeout_ms);
	for (unsigned i = 0; i < FLOOD; i++) {
		if (fds[i] >= 0) {
			(void)close(fds[i]);
		}
	}
	return served;
}

static void test_accept_guard_counts_what_grpc_accepts(void **state)
{
	(void)state;
	struct child child = start(0, 0);
	for (unsigned i = 0; i < 5; i++) {
		assert_true(hears(&child));
	}
	struct accept_guard_counts counts = stop(&child);
	assert_int_equal(counts.accepted, 5);
	assert_int_equal(counts.refused_full, 0);
	assert_int_equal(counts.starved, 0);
}

static void test_accept_guard_hears_again_after_a_flood(void **state)
{
	(void)state;
	struct child child = start(DESCRIPTORS, 0);
	for (unsigned i = 0; i < ROUNDS; i++) {
		assert_in_range(flood(&child, 60000), 1, DESCRIPTORS);
		assert_true(WAIT_FOR(hears(&child), 60000)); /* it first notices who left */
	}
	struct accept_guard_counts counts = stop(&child);
	assert_true(counts.refused_full > 0);
}

/* Too few descriptors even for the guard's reserve: accept4() itself fails. */
static void test_accept_guard_survives_having_no_descriptor_left(void **state)
{
	(void)state;
	struct child child = start(DESCRIPTORS, 0);
	const struct rlimit none = {.rlim_cur = 8, .rlim_max = DESCRIPTORS};
	const struct rlimit some = {.rlim_cur = DESCRIPTORS, .rlim_max = DESCRIPTORS};
	assert_true(hears(&child));
	assert_int_equal(prlimit(child.pid, RLIMIT_NOFILE, &none, NULL), 0);
	(void)flood(&child, 200);
	assert_int_equal(prlimit(child.pid, RLIMIT_NOFILE, &some, NULL), 0);
	assert_true(WAIT_FOR(hears(&child), 60000)); /* it first sheds what came meanwhile */
	struct accept_guard_counts counts = stop(&child);
	assert_true(counts.starved > 0);
}

static void test_accept_guard_bounds_the_connections(void **state)
{
	(void)state;
	struct child child = start(0, CONNECTIONS_MAX);
	int fds[3 * CONNECTIONS_MAX];
	unsigned heard = 0;
	for (unsigned i = 0; i < SL_COUNT(fds); i++) {
		fds[i] = dial(child.port);
		heard += fds[i] >= 0 && is_heard(fds[i]);
	}
	assert_in_range(heard, CONNECTIONS_MAX - 2, CONNECTIONS_MAX + 2);
	for (unsigned i = 0; i < SL_COUNT(fds); i++) {
		if (fds[i] >= 0) {
			(void)close(fds[i]);
		}
	}
	struct accept_guard_counts counts = stop(&child);
	assert_int_equal(counts.accepted, heard);
	assert_int_equal(counts.accepted + counts.refused_full, SL_COUNT(fds));
}

int main(int argc, char **argv)
{
	if (argc == 5 && strcmp(argv[1], "serve") == 0) {
		serve(atoi(argv[2]), (unsigned)atoi(argv[3]), (unsigned)atoi(argv[4]));
	}
	self = argv[0];
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_accept_guard_counts_what_grpc_accepts),
	    cmocka_unit_test(test_accept_guard_hears_again_after_a_flood),
	    cmocka_unit_test(test_accept_guard_survives_having_no_descriptor_left),
	    cmocka_unit_test(test_accept_guard_bounds_the_connections),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
