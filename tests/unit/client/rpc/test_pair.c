/* client/rpc against server/rpc: both ends agree on codes, details and ends. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <pthread.h>

#include "base/clock/clock.h"
#include "base/mem/own.h"
#include "client/rpc/rpc.h"
#include "server/rpc/rpc.h"

enum { LONG_MS = 60000 };

/* --- the service ---------------------------------------------------------------- */

static void handle_echo(struct rpc_call *call, struct sl_bytes request, void *ctx)
{
	(void)ctx;
	rpc_call_finish(call, SL_OK, NULL, request);
}

/* The request's first byte is the code to fail with. */
static void handle_fail(struct rpc_call *call, struct sl_bytes request, void *ctx)
{
	(void)ctx;
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	sl_code code = (sl_code)request.data[0];
	(void)sl_err_because(&err, code, SL_REASON_STALE_REVISION, "app 'shop' is at 7 (%d %%)",
			     50);
	sl_err_meta(&err, "revision", "%d", 7);
	sl_err_gate(&err, "soak", "ver_1", "2 h to go");
	sl_err_field(&err, "app.name", "1 to 50 characters");
	rpc_call_finish(call, code, &err, SL_BYTES_NONE);
}

static void on_opened(struct rpc_stream *stream, void *ctx)
{
	(void)stream;
	(void)ctx;
}

static void on_message(struct rpc_stream *stream, struct sl_bytes message, void *ctx)
{
	(void)ctx;
	if (sl_bytes_equal(message, sl_bytes_text("end"))) {
		SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
		sl_code code =
		    sl_err_because(&err, SL_OUT_OF_RANGE, SL_REASON_REVISION_COMPACTED, "gone");
		rpc_stream_finish(stream, code, &err);
		return;
	}
	assert_int_equal(rpc_stream_send_bytes(stream, message, 1), SL_OK);
}

static void on_half_closed(struct rpc_stream *stream, void *ctx)
{
	(void)ctx;
	rpc_stream_finish(stream, SL_OK, NULL);
}

static const struct rpc_stream_events chat = {
    .opened = on_opened,
    .message = on_message,
    .half_closed = on_half_closed,
    .drained = on_opened,
    .closed = on_opened,
};

static const struct rpc_method methods[] = {
    {.path = "/sluice.test.Pair/Echo", .handle = handle_echo, .hot = true},
    {.path = "/sluice.test.Pair/Fail", .handle = handle_fail},
    {.path = "/sluice.test.Pair/Chat", .stream = &chat},
};

/* --- fixture -------------------------------------------------------------------- */

struct fixture {
	struct rpc_server *server;
	pthread_t thread;
	bool stopped;
	struct crpc_channel *channel;
};

static void *serve(void *server)
{
	rpc_server_run(server);
	return NULL;
}

static int setup(void **state)
{
	static const char *const services[] = {"sluice.test.Pair", NULL};
	struct fixture *f = calloc(1, sizeof(*f));
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	struct rpc_options options = {
	    .listen = "127.0.0.1:0",
	    .methods = methods,
	    .method_count = SL_COUNT(methods),
	    .services = services,
	};
	crpc_init();
	if (rpc_server_new(&options, &f->server, &err) != SL_OK) {
		fail_msg("%s", err.msg);
	}
	pthread_create(&f->thread, NULL, serve, f->server);
	char target[32];
	snprintf(target, sizeof(target), "127.0.0.1:%d", rpc_server_port(f->server));
	struct crpc_options client = {.target = target, .user_agent = "sluice-test/1"};
	assert_int_equal(crpc_channel_new(&client, &f->channel, NULL), SL_OK);
	*state = f;
	return 0;
}

static void stop(struct fixture *f)
{
	if (!f->stopped) {
		f->stopped = true;
		rpc_server_stop(f->server);
		pthread_join(f->thread, NULL);
	}
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	crpc_channel_free(f->channel);
	stop(f);
	rpc_server_free(f->server);
	crpc_shutdown();
	free(f);
	return 0;
}

/* --- tests ---------------------------------------------------------------------- */

static void test_every_code_with_its_details(void **state)
{
	struct fixture *f = *state;
	for (int code = SL_CANCELLED; code <= SL_UNAUTHENTICATED; code++) {
		SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
		uint8_t wanted = (uint8_t)code, *reply = NULL;
		size_t size = 0;
		assert_int_equal(crpc_unary(f->channel, "/sluice.test.Pair/Fail",
					    SL_BYTES(&wanted, 1), LONG_MS, false, &reply, &size,
					    &err),
				 code);
		assert_null(reply);
		assert_string_equal(err.msg, "app 'shop' is at 7 (50 %)");
		assert_int_equal(err.reason, SL_REASON_STALE_REVISION);
		const char *subjects[SL_DETAIL_GATE + 1] = {"", "", ""};
		int count = 0;
		for (const struct sl_detail *at = err.details; at != NULL; at = at->next, count++) {
			subjects[at->kind] = at->subject;
		}
		assert_int_equal(count, 3);
		assert_string_equal(subjects[SL_DETAIL_METADATA], "revision");
		assert_string_equal(subjects[SL_DETAIL_GATE], "ver_1");
		assert_string_equal(subjects[SL_DETAIL_FIELD], "app.name");
	}
}

static void test_unknown_method(void **state)
{
	struct fixture *f = *state;
	uint8_t *reply = NULL;
	size_t size = 0;
	assert_int_equal(crpc_unary(f->channel, "/sluice.test.Pair/NoSuch", SL_BYTES_NONE, LONG_MS,
				    false, &reply, &size, NULL),
			 SL_UNIMPLEMENTED);
	struct crpc_stream *stream = NULL;
	assert_int_equal(crpc_stream_open(f->channel, "/sluice.test.Pair/NoSuch", 0, &stream, NULL),
			 SL_OK);
	uint8_t *message = NULL;
	bool ended = false;
	assert_int_equal(crpc_stream_recv(stream, LONG_MS, &message, &size, &ended, NULL),
			 SL_UNIMPLEMENTED);
	assert_true(ended);
	crpc_stream_free(stream);
}

static struct crpc_stream *open_chat(struct fixture *f)
{
	struct crpc_stream *stream = NULL;
	assert_int_equal(crpc_stream_open(f->channel, "/sluice.test.Pair/Chat", 0, &stream, NULL),
			 SL_OK);
	return stream;
}

static void say(struct crpc_stream *stream, const char *text)
{
	assert_int_equal(crpc_stream_send(stream, sl_bytes_text(text), LONG_MS, NULL), SL_OK);
}

static void hear(struct crpc_stream *stream, const char *text)
{
	SL_AUTO(sl_free_auto) uint8_t *message = NULL;
	size_t size = 0;
	bool ended = false;
	assert_int_equal(crpc_stream_recv(stream, LONG_MS, &message, &size, &ended, NULL), SL_OK);
	assert_non_null(message);
	assert_int_equal(size, strlen(text));
	assert_memory_equal(message, text, size);
}

static sl_code hear_end(struct crpc_stream *stream, struct sl_err *err)
{
	uint8_t *message = NULL;
	size_t size = 0;
	bool ended = false;
	sl_code code = crpc_stream_recv(stream, LONG_MS, &message, &size, &ended, err);
	assert_true(ended);
	assert_null(message);
	return code;
}

static void test_stream_ends_of_either_side(void **state)
{
	struct fixture *f = *state;
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	struct crpc_stream *stream = open_chat(f);
	say(stream, "one");
	hear(stream, "one");
	say(stream, "end");
	assert_int_equal(hear_end(stream, &err), SL_OUT_OF_RANGE);
	assert_int_equal(err.reason, SL_REASON_REVISION_COMPACTED);
	assert_string_equal(err.msg, "gone");
	crpc_stream_free(stream);

	stream = open_chat(f);
	say(stream, "two");
	assert_int_equal(crpc_stream_close_send(stream, NULL), SL_OK);
	hear(stream, "two");
	assert_int_equal(hear_end(stream, NULL), SL_OK);
	crpc_stream_free(stream);
}

static void test_server_stop_ends_streams(void **state)
{
	struct fixture *f = *state;
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	struct crpc_stream *stream = open_chat(f);
	say(stream, "x");
	hear(stream, "x");
	stop(f);
	assert_int_equal(hear_end(stream, &err), SL_UNAVAILABLE);
	assert_int_equal(err.reason, SL_REASON_STOPPING);
	crpc_stream_free(stream);
}

enum { THREADS = 8, CALLS = 1000 };

static void *call_main(void *arg)
{
	struct fixture *f = arg;
	for (int i = 0; i < CALLS; i++) {
		SL_AUTO(sl_free_auto) uint8_t *reply = NULL;
		size_t size = 0;
		assert_int_equal(crpc_unary(f->channel, "/sluice.test.Pair/Echo",
					    SL_BYTES(&i, sizeof(i)), LONG_MS, false, &reply, &size,
					    NULL),
				 SL_OK);
		assert_int_equal(size, sizeof(i));
		assert_memory_equal(reply, &i, sizeof(i));
	}
	return NULL;
}

static void test_many_calls_of_many_threads(void **state)
{
	pthread_t threads[THREADS];
	uint64_t before = sl_clock_mono_ms();
	for (int i = 0; i < THREADS; i++) {
		assert_int_equal(pthread_create(&threads[i], NULL, call_main, *state), 0);
	}
	for (int i = 0; i < THREADS; i++) {
		pthread_join(threads[i], NULL);
	}
	print_message("%d calls in %d ms\n", THREADS * CALLS, (int)(sl_clock_mono_ms() - before));
}

#define WITH_SERVER(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    WITH_SERVER(test_every_code_with_its_details),
	    WITH_SERVER(test_unknown_method),
	    WITH_SERVER(test_stream_ends_of_either_side),
	    WITH_SERVER(test_server_stop_ends_streams),
	    WITH_SERVER(test_many_calls_of_many_threads),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
