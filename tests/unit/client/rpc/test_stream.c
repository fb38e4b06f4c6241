/* Streams: echo, ends, time-outs, cancels, back-pressure, descriptor. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <poll.h>
#include <pthread.h>

#include "base/clock/clock.h"
#include "base/mem/own.h"
#include "client/rpc/rpc.h"
#include "tests/unit/client/rpc/echo_server.h"

enum { LONG_MS = 60000, FLOOD = 1000, FLOOD_BYTES = 4096 };

struct fixture {
	struct echo_server *server;
	struct crpc_channel *channel;
};

static struct crpc_channel *dial(int port)
{
	char target[32];
	snprintf(target, sizeof(target), "127.0.0.1:%d", port);
	struct crpc_options options = {.target = target, .own_connection = true};
	struct crpc_channel *channel = NULL;
	assert_int_equal(crpc_channel_new(&options, &channel, NULL), SL_OK);
	return channel;
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	crpc_init();
	f->server = echo_server_new(0);
	f->channel = dial(echo_server_port(f->server));
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	crpc_channel_free(f->channel);
	echo_server_free(f->server);
	crpc_shutdown();
	free(f);
	return 0;
}

static struct crpc_stream *open_stream(struct fixture *f, const char *path)
{
	struct crpc_stream *stream = NULL;
	assert_int_equal(crpc_stream_open(f->channel, path, 0, &stream, NULL), SL_OK);
	assert_non_null(stream);
	return stream;
}

static void send_text(struct crpc_stream *stream, const char *text)
{
	assert_int_equal(crpc_stream_send(stream, sl_bytes_text(text), LONG_MS, NULL), SL_OK);
}

static void expect_text(struct crpc_stream *stream, const char *want)
{
	SL_AUTO(sl_free_auto) uint8_t *message = NULL;
	size_t size = 0;
	bool ended = true;
	assert_int_equal(crpc_stream_recv(stream, LONG_MS, &message, &size, &ended, NULL), SL_OK);
	assert_false(ended);
	assert_non_null(message);
	assert_int_equal(size, strlen(want));
	assert_memory_equal(message, want, size);
}

/* Reads until the end; returns the number of messages. */
static int read_to_end(struct crpc_stream *stream, sl_code *ret_code, struct sl_err *err)
{
	for (int count = 0;; count++) {
		SL_AUTO(sl_free_auto) uint8_t *message = NULL;
		size_t size = 0;
		bool ended = false;
		*ret_code = crpc_stream_recv(stream, LONG_MS, &message, &size, &ended, err);
		if (ended) {
			assert_null(message);
			return count;
		}
		assert_non_null(message);
	}
}

static bool is_readable(struct crpc_stream *stream, int timeout_ms)
{
	struct pollfd p = {.fd = crpc_stream_fd(stream), .events = POLLIN};
	return poll(&p, 1, timeout_ms) == 1 && (p.revents & POLLIN) != 0;
}

/* --- tests -------------------------------------------------------------------- */

static void test_echo_in_order_and_a_good_end(void **state)
{
	struct crpc_stream *stream = open_stream(*state, "/t/Chat");
	for (int i = 0; i < 200; i++) {
		char text[16];
		snprintf(text, sizeof(text), "m%d", i);
		send_text(stream, text);
		expect_text(stream, text);
	}
	send_text(stream, ""); /* an empty message is one, too */
	expect_text(stream, "");
	assert_int_equal(crpc_stream_close_send(stream, NULL), SL_OK);
	sl_code code = SL_UNKNOWN;
	assert_int_equal(read_to_end(stream, &code, NULL), 0);
	assert_int_equal(code, SL_OK);
	assert_int_equal(read_to_end(stream, &code, NULL), 0); /* and stays so */
	assert_int_equal(code, SL_OK);
	crpc_stream_free(stream);
}

static void test_server_ends_with_status(void **state)
{
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	struct crpc_stream *stream = open_stream(*state, "/t/Chat");
	send_text(stream, "one");
	send_text(stream, "end");
	sl_code code = SL_OK;
	assert_int_equal(read_to_end(stream, &code, &err), 1);
	assert_int_equal(code, SL_FAILED_PRECONDITION);
	assert_string_equal(err.msg, "no, since 7 < 8");
	assert_int_equal(crpc_stream_send(stream, sl_bytes_text("late"), LONG_MS, &err),
			 SL_FAILED_PRECONDITION);
	assert_int_equal(crpc_stream_close_send(stream, &err), SL_FAILED_PRECONDITION);
	crpc_stream_free(stream);
}

static void test_send_after_a_good_end_fails(void **state)
{
	struct crpc_stream *stream = open_stream(*state, "/t/Chat");
	send_text(stream, "ok");
	sl_code code = SL_UNKNOWN;
	(void)read_to_end(stream, &code, NULL);
	assert_int_equal(code, SL_OK);
	assert_int_equal(crpc_stream_send(stream, sl_bytes_text("late"), LONG_MS, NULL),
			 SL_UNAVAILABLE);
	crpc_stream_free(stream);
}

static void test_send_after_close_send_fails(void **state)
{
	struct crpc_stream *stream = open_stream(*state, "/t/Chat");
	assert_int_equal(crpc_stream_close_send(stream, NULL), SL_OK);
	assert_int_equal(crpc_stream_close_send(stream, NULL), SL_OK);
	assert_int_equal(crpc_stream_send(stream, sl_bytes_text("x"), 100, NULL),
			 SL_FAILED_PRECONDITION);
	crpc_stream_free(stream);
}

static void test_refused_and_unknown_methods_end_at_once(void **state)
{
	static const struct {
		const char *path;
		sl_code code;
	} cases[] = {
	    {"/t/Refuse", SL_RESOURCE_EXHAUSTED},
	    {"/t/NoSuch", SL_UNIMPLEMENTED},
	    {"/t/Odd", SL_UNKNOWN},
	};
	for (size_t i = 0; i < SL_COUNT(cases); i++) {
		struct crpc_stream *stream = open_stream(*state, cases[i].path);
		sl_code code = SL_OK;
		assert_int_equal(read_to_end(stream, &code, NULL), 0);
		assert_int_equal(code, cases[i].code);
		crpc_stream_free(stream);
	}
}

static void test_recv_times_out_with_nothing(void **state)
{
	struct crpc_stream *stream = open_stream(*state, "/t/Chat");
	uint8_t *message = NULL;
	size_t size = 0;
	bool ended = true;
	assert_int_equal(crpc_stream_recv(stream, 0, &message, &size, &ended, NULL), SL_OK);
	assert_null(message);
	assert_false(ended);
	uint64_t before = sl_clock_mono_ms();
	assert_int_equal(crpc_stream_recv(stream, 50, &message, &size, &ended, NULL), SL_OK);
	assert_null(message);
	assert_false(ended);
	assert_true(sl_clock_mono_ms() - before >= 45);
	crpc_stream_free(stream);
}

static void test_stream_deadline(void **state)
{
	struct fixture *f = *state;
	struct crpc_stream *stream = NULL;
	assert_int_equal(crpc_stream_open(f->channel, "/t/Deaf", 100, &stream, NULL), SL_OK);
	sl_code code = SL_OK;
	assert_int_equal(read_to_end(stream, &code, NULL), 0);
	assert_int_equal(code, SL_DEADLINE_EXCEEDED);
	crpc_stream_free(stream);
}

static void test_nobody_listens_ends_unavailable(void **state)
{
	(void)state;
	crpc_init();
	struct crpc_channel *channel = dial(1);
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	for (int i = 0; i < 3; i++) {
		struct crpc_stream *stream = NULL;
		assert_int_equal(crpc_stream_open(channel, "/t/Chat", 0, &stream, NULL), SL_OK);
		assert_int_equal(crpc_stream_send(stream, sl_bytes_text("x"), LONG_MS, &err),
				 SL_UNAVAILABLE);
		assert_non_null(strstr(err.msg, "127.0.0.1:1"));
		sl_code code = SL_OK;
		assert_int_equal(read_to_end(stream, &code, &err), 0);
		assert_int_equal(code, SL_UNAVAILABLE);
		crpc_stream_free(stream);
	}
	crpc_channel_free(channel);
	crpc_shutdown();
}

/* A reader that waits gets all of a flood, in spite of the bounded inbox. */
static void test_flood_arrives_whole(void **state)
{
	struct crpc_stream *stream = open_stream(*state, "/t/Chat");
	send_text(stream, "flood");
	assert_int_equal(crpc_stream_close_send(stream, NULL), SL_OK);
	assert_true(is_readable(stream, LONG_MS));
	poll(NULL, 0, 100); /* let it pile up */
	sl_code code = SL_UNKNOWN;
	assert_int_equal(read_to_end(stream, &code, NULL), FLOOD);
	assert_int_equal(code, SL_OK);
	crpc_stream_free(stream);
}

/* The server floods, ends, and nobody reads: free must not wait for that. */
static void test_free_with_a_full_inbox(void **state)
{
	for (int i = 0; i < 20; i++) {
		struct crpc_stream *stream = open_stream(*state, "/t/Chat");
		send_text(stream, "flood");
		assert_true(is_readable(stream, LONG_MS));
		poll(NULL, 0, i);
		crpc_stream_free(stream);
	}
}

static void test_send_that_nobody_reads_times_out_and_frees(void **state)
{
	static uint8_t block[1 << 20];
	struct crpc_stream *stream = open_stream(*state, "/t/Deaf");
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	sl_code code = SL_OK;
	for (int i = 0; i < 64 && code == SL_OK; i++) {
		code = crpc_stream_send(stream, SL_BYTES(block, sizeof(block)), 200, &err);
	}
	assert_int_equal(code, SL_DEADLINE_EXCEEDED);
	assert_int_equal(crpc_stream_send(stream, sl_bytes_text("x"), 50, &err),
			 SL_DEADLINE_EXCEEDED);
	assert_int_equal(crpc_stream_close_send(stream, &err), SL_OK);
	crpc_stream_free(stream);
}

static void test_free_at_any_moment(void **state)
{
	for (int i = 0; i < 60; i++) {
		struct crpc_stream *stream =
		    open_stream(*state, i % 2 == 0 ? "/t/Chat" : "/t/Deaf");
		if (i % 3 > 0) {
			send_text(stream, "x");
		}
		if (i % 3 > 1) {
			assert_int_equal(crpc_stream_close_send(stream, NULL), SL_OK);
		}
		crpc_stream_free(stream);
	}
}

static void test_server_stops_under_a_stream(void **state)
{
	(void)state;
	crpc_init();
	struct echo_server *server = echo_server_new(0);
	struct crpc_channel *channel = dial(echo_server_port(server));
	struct crpc_stream *stream = NULL;
	assert_int_equal(crpc_stream_open(channel, "/t/Chat", 0, &stream, NULL), SL_OK);
	send_text(stream, "x");
	expect_text(stream, "x");
	echo_server_free(server);
	sl_code code = SL_OK;
	(void)read_to_end(stream, &code, NULL);
	assert_true(code == SL_UNAVAILABLE || code == SL_CANCELLED);
	crpc_channel_free(channel); /* a stream may outlive its channel */
	crpc_stream_free(stream);
	crpc_shutdown();
}

static void test_descriptor_follows_the_news(void **state)
{
	struct crpc_stream *stream = open_stream(*state, "/t/Chat");
	assert_false(is_readable(stream, 20));
	send_text(stream, "one");
	assert_true(is_readable(stream, LONG_MS));
	expect_text(stream, "one");
	assert_false(is_readable(stream, 20));
	send_text(stream, "two");
	send_text(stream, "three");
	expect_text(stream, "two");
	expect_text(stream, "three");
	assert_false(is_readable(stream, 20));
	send_text(stream, "end");
	assert_true(is_readable(stream, LONG_MS));
	sl_code code = SL_OK;
	(void)read_to_end(stream, &code, NULL);
	assert_int_equal(code, SL_FAILED_PRECONDITION);
	assert_true(is_readable(stream, 0)); /* the end stays readable */
	crpc_stream_free(stream);
}

static void *chat_main(void *arg)
{
	for (int round = 0; round < 10; round++) {
		struct crpc_stream *stream = open_stream(arg, "/t/Chat");
		for (int i = 0; i < 50; i++) {
			send_text(stream, "hey");
			expect_text(stream, "hey");
		}
		crpc_stream_free(stream);
	}
	return NULL;
}

static void test_streams_of_many_threads_share_a_channel(void **state)
{
	pthread_t threads[4];
	for (size_t i = 0; i < SL_COUNT(threads); i++) {
		assert_int_equal(pthread_create(&threads[i], NULL, chat_main, *state), 0);
	}
	for (size_t i = 0; i < SL_COUNT(threads); i++) {
		pthread_join(threads[i], NULL);
	}
}

static void test_null_is_fine(void **state)
{
	(void)state;
	crpc_stream_free(NULL);
	crpc_channel_free(NULL);
}

#define WITH_SERVER(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    WITH_SERVER(test_echo_in_order_and_a_good_end),
	    WITH_SERVER(test_server_ends_with_status),
	    WITH_SERVER(test_send_after_a_good_end_fails),
	    WITH_SERVER(test_send_after_close_send_fails),
	    WITH_SERVER(test_refused_and_unknown_methods_end_at_once),
	    WITH_SERVER(test_recv_times_out_with_nothing),
	    WITH_SERVER(test_stream_deadline),
	    cmocka_unit_test(test_nobody_listens_ends_unavailable),
	    WITH_SERVER(test_flood_arrives_whole),
	    WITH_SERVER(test_free_with_a_full_inbox),
	    WITH_SERVER(test_send_that_nobody_reads_times_out_and_frees),
	    WITH_SERVER(test_free_at_any_moment),
	    cmocka_unit_test(test_server_stops_under_a_stream),
	    WITH_SERVER(test_descriptor_follows_the_news),
	    WITH_SERVER(test_streams_of_many_threads_share_a_channel),
	    cmocka_unit_test(test_null_is_fine),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
