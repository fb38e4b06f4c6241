#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/handover/handover.h"
#include "base/mem/own.h"

static int pair_setup(void **state)
{
	static int fds[2];
	*state = fds;
	return socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds);
}

static int pair_teardown(void **state)
{
	const int *fds = *state;
	(void)close(fds[0]);
	return close(fds[1]);
}

/* The lowest descriptor that is free: as before, where nothing was left open. */
static int lowest_free(void)
{
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	(void)close(fd);
	return fd;
}

static void test_a_descriptor_travels_with_its_message(void **state)
{
	const int *fds = *state;
	int pipe_fds[2], got = -1;
	char text[8], byte;
	assert_int_equal(pipe2(pipe_fds, O_CLOEXEC), 0);
	assert_true(handover_send(fds[0], "hello", 5, pipe_fds[1]));
	assert_int_equal(close(pipe_fds[1]), 0); /* it stayed the caller's */
	assert_int_equal(handover_receive(fds[1], text, sizeof(text), 0, &got), 5);
	assert_memory_equal(text, "hello", 5);
	assert_int_equal(fcntl(got, F_GETFD), FD_CLOEXEC);
	assert_int_equal(write(got, "x", 1), 1);
	assert_int_equal(read(pipe_fds[0], &byte, 1), 1);
	assert_int_equal(byte, 'x');
	assert_int_equal(close(got), 0);
	assert_int_equal(read(pipe_fds[0], &byte, 1), 0); /* that was the last one of it */
	assert_int_equal(close(pipe_fds[0]), 0);
}

static void test_messages_keep_apart_and_some_bring_none(void **state)
{
	const int *fds = *state;
	char text[8];
	int got = 0;
	assert_int_equal(send(fds[0], "one", 3, 0), 3);
	assert_true(handover_send(fds[0], "two", 3, fds[0]));
	assert_int_equal(handover_receive(fds[1], text, sizeof(text), 0, &got), 3);
	assert_memory_equal(text, "one", 3);
	assert_int_equal(got, -1);
	assert_int_equal(handover_receive(fds[1], text, sizeof(text), 0, &got), 3);
	assert_memory_equal(text, "two", 3);
	assert_int_equal(close(got), 0);
}

static void test_nothing_there_and_nobody_there(void **state)
{
	const int *fds = *state;
	char byte;
	int got = 0;
	assert_int_equal(handover_receive(fds[1], &byte, 1, MSG_DONTWAIT, &got), -1);
	assert_int_equal(errno, EAGAIN);
	assert_int_equal(got, -1);
	assert_int_equal(shutdown(fds[0], SHUT_RDWR), 0);
	assert_int_equal(handover_receive(fds[1], &byte, 1, 0, &got), 0);
	assert_int_equal(got, -1);
	assert_false(handover_send(fds[0], "x", 1, fds[0])); /* no SIGPIPE */
	assert_int_equal(errno, EPIPE);
}

static void test_sending_does_not_block(void **state)
{
	const int *fds = *state;
	unsigned sent = 0;
	while (handover_send(fds[0], "x", 1, fds[0])) {
		assert_in_range(++sent, 1, 100000);
	}
	assert_int_equal(errno, EAGAIN);
	assert_true(sent > 0);
}

/* As somebody could who speaks to this socket without handover_send(). */
static void send_many(int socket, const int *fds, size_t count)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(4 * sizeof(int))];
	} control = {.bytes = {0}};
	struct iovec part = {.iov_base = (char[]){'x'}, .iov_len = 1};
	struct msghdr head = {.msg_iov = &part,
			      .msg_iovlen = 1,
			      .msg_control = control.bytes,
			      .msg_controllen = CMSG_SPACE(count * sizeof(int))};
	struct cmsghdr *rights = CMSG_FIRSTHDR(&head);
	rights->cmsg_level = SOL_SOCKET;
	rights->cmsg_type = SCM_RIGHTS;
	rights->cmsg_len = CMSG_LEN(count * sizeof(int));
	memcpy(CMSG_DATA(rights), fds, count * sizeof(int));
	assert_int_equal(sendmsg(socket, &head, MSG_NOSIGNAL), 1);
}

static void test_more_than_one_is_none_and_none_stays_open(void **state)
{
	const int *fds = *state;
	const int many[] = {fds[0], fds[1], fds[0], fds[1]};
	for (size_t count = 2; count <= SL_COUNT(many); count++) {
		char byte;
		int got = 0, before = lowest_free();
		send_many(fds[0], many, count);
		assert_int_equal(handover_receive(fds[1], &byte, 1, 0, &got), 1);
		assert_int_equal(got, -1);
		assert_int_equal(lowest_free(), before);
	}
}

static void test_no_room_for_one_is_none(void **state)
{
	const int *fds = *state;
	struct rlimit files;
	char byte;
	int got = 0;
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &files), 0);
	const struct rlimit none = {.rlim_cur = (rlim_t)lowest_free(), .rlim_max = files.rlim_max};
	assert_true(handover_send(fds[0], "x", 1, fds[0]));
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	ssize_t size = handover_receive(fds[1], &byte, 1, 0, &got);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &files), 0);
	assert_int_equal(size, 1);
	assert_int_equal(got, -1);
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, pair_setup, pair_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    CASE(test_a_descriptor_travels_with_its_message),
	    CASE(test_messages_keep_apart_and_some_bring_none),
	    CASE(test_nothing_there_and_nobody_there),
	    CASE(test_sending_does_not_block),
	    CASE(test_more_than_one_is_none_and_none_stays_open),
	    CASE(test_no_room_for_one_is_none),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
