/* Streams of server/rpc: order, bounds, marks, ends, slow readers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock/clock.h"
#include "base/mem/own.h"
#include "tests/e2e/rpc/bare_client.h"
#include "tests/e2e/rpc/fixture.h"

#define PUMPED 1000
#define SOURCES_MAX 4

static struct rpc_stream *sources[SOURCES_MAX]; /* references, in the order of opening */
static atomic_uint source_count, closed_count, half_closed_count, drained_count, heard_count;

static void on_closed(struct rpc_stream *stream, void *ctx)
{
	(void)stream;
	(void)ctx;
	atomic_fetch_add(&closed_count, 1);
}

static void on_half_closed(struct rpc_stream *stream, void *ctx)
{
	(void)ctx;
	atomic_fetch_add(&half_closed_count, 1);
	rpc_stream_finish(stream, SL_OK, NULL);
}

static void chat_message(struct rpc_stream *stream, struct sl_bytes message, void *ctx)
{
	(void)ctx;
	if (rpc_stream_send_bytes(stream, message, 1) != SL_OK) {
		abort();
	}
}

/* The test's thread takes over from here. */
static void source_opened(struct rpc_stream *stream, void *ctx)
{
	(void)ctx;
	sources[atomic_load(&source_count)] = rpc_stream_ref(stream);
	atomic_fetch_add(&source_count, 1);
}

static void source_message(struct rpc_stream *stream, struct sl_bytes message, void *ctx)
{
	(void)stream;
	(void)message;
	(void)ctx;
	atomic_fetch_add(&heard_count, 1);
}

static void source_drained(struct rpc_stream *stream, void *ctx)
{
	(void)stream;
	(void)ctx;
	atomic_fetch_add(&drained_count, 1);
}

/* Sends PUMPED numbers, one whenever the outbox has become empty. */
static void pump(struct rpc_stream *stream, void *ctx)
{
	(void)ctx;
	uintptr_t next = (uintptr_t)rpc_stream_user(stream) + 1;
	if (next > PUMPED) {
		rpc_stream_finish(stream, SL_OK, NULL);
		return;
	}
	rpc_stream_set_user(stream, (void *)next);
	if (rpc_stream_send_bytes(stream, SL_BYTES(&next, sizeof(next)), next) != SL_OK) {
		abort();
	}
}

static const struct rpc_stream_events chat = {
    .message = chat_message,
    .half_closed = on_half_closed,
    .closed = on_closed,
};
static const struct rpc_stream_events source = {
    .opened = source_opened,
    .message = source_message,
    .drained = source_drained,
    .closed = on_closed,
};
static const struct rpc_stream_events pumped = {
    .opened = pump,
    .message = chat_message,
    .drained = pump,
    .closed = on_closed,
};
static const struct rpc_method methods[] = {
    {.path = "/test.Test/Chat", .stream = &chat},
    {.path = "/test.Test/Source", .stream = &source},
    {.path = "/test.Test/Pump", .stream = &pumped},
};

struct pair {
	struct fixture *f;
	grpc_channel *channel;
};

static int setup(void **state)
{
	struct pair *p = calloc(1, sizeof(*p));
	atomic_store(&source_count, 0);
	atomic_store(&closed_count, 0);
	atomic_store(&half_closed_count, 0);
	atomic_store(&drained_count, 0);
	atomic_store(&heard_count, 0);
	p->f = fixture_new(methods, SL_COUNT(methods), 2000);
	p->channel = bare_channel(rpc_server_port(p->f->server));
	*state = p;
	return 0;
}

static int teardown(void **state)
{
	struct pair *p = *state;
	for (unsigned i = 0; i < atomic_load(&source_count); i++) {
		rpc_stream_unref(SL_TAKE(sources[i]));
	}
	grpc_channel_destroy(p->channel);
	fixture_free(p->f);
	free(p);
	return 0;
}

/* Opens a Source; its server end is sources[0], [1], ... */
static struct bare_stream *open_source(struct pair *p)
{
	unsigned before = atomic_load(&source_count);
	struct bare_stream *stream = bare_stream_new(p->channel, "/test.Test/Source");
	assert_true(wait_until(&source_count, before + 1));
	return stream;
}

static void expect_status(struct bare_stream *stream, sl_code code, const char *text)
{
	struct bare_result r = {.status = -1};
	assert_true(bare_stream_status(stream, 60000, &r));
	assert_int_equal(r.status, code);
	assert_string_equal(r.text, text);
}

static sl_code finish_with(struct rpc_stream *stream, sl_code code, const char *text)
{
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	(void)sl_err_set(&err, code, "%s", text);
	rpc_stream_finish(stream, code, &err);
	return code;
}

static void test_stream_answers_in_order_and_ends_when_the_client_does(void **state)
{
	struct pair *p = *state;
	struct bare_stream *stream = bare_stream_new(p->channel, "/test.Test/Chat");
	for (unsigned i = 0; i < 300; i++) {
		unsigned back = 0;
		assert_true(bare_stream_send(stream, &i, i == 0 ? 0 : sizeof(i)));
		assert_int_equal(bare_stream_recv(stream, &back, sizeof(back)),
				 i == 0 ? 0 : sizeof(i));
		assert_int_equal(back, i);
	}
	bare_stream_close_send(stream);
	assert_int_equal(bare_stream_recv(stream, NULL, 0), -1);
	expect_status(stream, SL_OK, "");
	assert_true(wait_until(&closed_count, 1));
	assert_int_equal(atomic_load(&half_closed_count), 1);
	assert_int_equal(atomic_load(&p->f->finished[SL_OK]), 1);
	bare_stream_free(stream);
}

static void test_stream_sends_what_is_queued_before_a_good_end(void **state)
{
	struct pair *p = *state;
	struct bare_stream *stream = open_source(p);
	for (unsigned i = 0; i < RPC_STREAM_MESSAGES_MAX; i++) {
		assert_int_equal(rpc_stream_send_bytes(sources[0], SL_BYTES(&i, sizeof(i)), i + 1),
				 SL_OK);
	}
	rpc_stream_finish(sources[0], SL_OK, NULL);
	(void)finish_with(sources[0], SL_INTERNAL, "only the first end counts");
	assert_int_equal(rpc_stream_send_bytes(sources[0], SL_BYTES_NONE, 0), SL_CANCELLED);
	for (unsigned i = 0; i < RPC_STREAM_MESSAGES_MAX; i++) {
		unsigned got = 0;
		assert_int_equal(bare_stream_recv(stream, &got, sizeof(got)), sizeof(got));
		assert_int_equal(got, i);
	}
	assert_int_equal(bare_stream_recv(stream, NULL, 0), -1);
	expect_status(stream, SL_OK, "");
	assert_memory_equal(rpc_stream_peer(sources[0]), "ipv4:127.0.0.1:", 15);
	bare_stream_free(stream);
}

static void test_stream_outbox_is_bounded_by_bytes(void **state)
{
	struct pair *p = *state;
	struct bare_stream *stream = open_source(p);
	size_t size = 4u << 20;
	SL_AUTO(sl_free_auto) void *big = calloc(1, size);
	struct rpc_message *message = rpc_message_new(SL_BYTES(big, size));
	unsigned sent = 0;
	for (unsigned refused = 0; refused < 2;) {
		sl_code code = rpc_stream_send(sources[0], message, sent + 1);
		assert_true(code == SL_OK || code == SL_RESOURCE_EXHAUSTED);
		sent += code == SL_OK;
		refused = code == SL_OK ? 0 : refused + 1;
		/* One on its way, one that waits; gRPC may hold a third. */
		assert_in_range(sent, 1, 4);
		sleep_ms(50);
	}
	rpc_message_unref(message);
	uint8_t first[1];
	assert_int_equal(bare_stream_recv(stream, first, sizeof(first)), size);
	bare_stream_free(stream);
	assert_true(wait_until(&closed_count, 1));
}

/* Sends numbers until nothing more is taken, by the outbox and, 100 ms later,
 * by gRPC; returns the last one. */
static uint64_t fill(struct rpc_stream *stream, size_t size)
{
	SL_AUTO(sl_free_auto) uint64_t *number = calloc(1, size);
	for (unsigned refused = 0; refused < 2;) {
		sl_code code = rpc_stream_send_bytes(stream, SL_BYTES(number, size), *number);
		if (code == SL_OK) {
			++*number;
			refused = 0;
			continue;
		}
		assert_int_equal(code, SL_RESOURCE_EXHAUSTED);
		refused++;
		sleep_ms(100);
	}
	return *number - 1;
}

static void test_stream_sealed_gets_exactly_what_its_mark_says(void **state)
{
	struct pair *p = *state;
	struct bare_stream *stream = open_source(p);
	uint64_t last = fill(sources[0], 4096);
	uint64_t mark = rpc_stream_seal(sources[0]);
	assert_int_equal(rpc_stream_send_bytes(sources[0], SL_BYTES_NONE, 0), SL_CANCELLED);
	assert_true(mark < last);
	(void)finish_with(sources[0], SL_RESOURCE_EXHAUSTED, "too slow");
	assert_int_equal(rpc_stream_seal(sources[0]), mark);
	uint64_t number = 0, got = 0;
	while (bare_stream_recv(stream, &number, sizeof(number)) >= 0) {
		got = number;
	}
	assert_int_equal(got, mark);
	expect_status(stream, SL_RESOURCE_EXHAUSTED, "too slow");
	bare_stream_free(stream);
}

static void test_stream_bad_end_drops_what_waits(void **state)
{
	struct pair *p = *state;
	struct bare_stream *stream = open_source(p);
	assert_true(bare_stream_send(stream, "x", 1));
	assert_true(wait_until(&heard_count, 1));
	uint64_t last = fill(sources[0], 4096);
	(void)finish_with(sources[0], SL_ABORTED, "ended");
	uint64_t count = 0;
	while (bare_stream_recv(stream, NULL, 0) >= 0) {
		count++;
	}
	assert_true(count < last);
	expect_status(stream, SL_ABORTED, "ended");
	bare_stream_free(stream);
}

static void test_stream_drained_lets_a_sender_go_on(void **state)
{
	struct pair *p = *state;
	struct bare_stream *stream = bare_stream_new(p->channel, "/test.Test/Pump");
	for (uintptr_t i = 1; i <= PUMPED; i++) {
		uintptr_t got = 0;
		assert_int_equal(bare_stream_recv(stream, &got, sizeof(got)), sizeof(got));
		assert_int_equal(got, i);
	}
	assert_int_equal(bare_stream_recv(stream, NULL, 0), -1);
	expect_status(stream, SL_OK, "");
	bare_stream_free(stream);
}

static void test_stream_message_shared_by_many_arrives_whole_at_each(void **state)
{
	struct pair *p = *state;
	struct bare_stream *streams[SOURCES_MAX];
	char text[3000], got[3000];
	memset(text, 'w', sizeof(text));
	struct rpc_message *message = rpc_message_new(SL_BYTES(text, sizeof(text)));
	for (unsigned i = 0; i < SOURCES_MAX; i++) {
		streams[i] = open_source(p);
	}
	for (unsigned i = 0; i < SOURCES_MAX; i++) {
		assert_int_equal(rpc_stream_send(sources[i], message, 1), SL_OK);
		assert_int_equal(rpc_stream_send(sources[i], message, 2), SL_OK);
	}
	rpc_message_unref(message);
	for (unsigned i = 0; i < 2 * SOURCES_MAX; i++) {
		memset(got, 0, sizeof(got));
		assert_int_equal(bare_stream_recv(streams[i / 2], got, sizeof(got)), sizeof(got));
		assert_memory_equal(got, text, sizeof(text));
	}
	assert_true(wait_until(&drained_count, SOURCES_MAX));
	for (unsigned i = 0; i < SOURCES_MAX; i++) {
		bare_stream_free(streams[i]);
	}
	assert_true(wait_until(&closed_count, SOURCES_MAX));
	assert_int_equal(rpc_stream_send_bytes(sources[0], SL_BYTES_NONE, 0), SL_CANCELLED);
	assert_int_equal(atomic_load(&p->f->finished[SL_CANCELLED]), SOURCES_MAX);
	rpc_message_unref(NULL);
	rpc_stream_unref(NULL);
}

static void test_stream_once_ended_is_silent_to_its_owner(void **state)
{
	struct pair *p = *state;
	struct bare_stream *stream = open_source(p);
	(void)finish_with(sources[0], SL_NOT_FOUND, "no");
	(void)bare_stream_send(stream, "late", 4);
	assert_int_equal(bare_stream_recv(stream, NULL, 0), -1);
	expect_status(stream, SL_NOT_FOUND, "no");
	bare_stream_free(stream);
	assert_true(wait_until(&closed_count, 1));
	assert_int_equal(atomic_load(&heard_count), 0);
}

static void test_stream_of_a_reader_that_takes_nothing_is_cut_off(void **state)
{
	struct pair *p = *state;
	struct bare_stream *stream = open_source(p);
	size_t size = 4u << 20;
	SL_AUTO(sl_free_auto) void *big = calloc(1, size);
	for (unsigned i = 0; i < 8; i++) {
		sl_code code = rpc_stream_send_bytes(sources[0], SL_BYTES(big, size), i + 1);
		assert_true(code == SL_OK || code == SL_RESOURCE_EXHAUSTED);
		sleep_ms(20);
	}
	uint64_t began = sl_clock_mono_ms();
	(void)finish_with(sources[0], SL_RESOURCE_EXHAUSTED, "too slow");
	assert_true(wait_until(&closed_count, 1));
	assert_in_range(sl_clock_mono_ms() - began, 9500, 60000);
	bare_stream_free(stream);
}

int main(void)
{
	grpc_init();
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(
		test_stream_answers_in_order_and_ends_when_the_client_does, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_stream_sends_what_is_queued_before_a_good_end,
					    setup, teardown),
	    cmocka_unit_test_setup_teardown(test_stream_outbox_is_bounded_by_bytes, setup,
					    teardown),
	    cmocka_unit_test_setup_teardown(test_stream_sealed_gets_exactly_what_its_mark_says,
					    setup, teardown),
	    cmocka_unit_test_setup_teardown(test_stream_bad_end_drops_what_waits, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_stream_drained_lets_a_sender_go_on, setup,
					    teardown),
	    cmocka_unit_test_setup_teardown(
		test_stream_message_shared_by_many_arrives_whole_at_each, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_stream_once_ended_is_silent_to_its_owner, setup,
					    teardown),
	    cmocka_unit_test_setup_teardown(test_stream_of_a_reader_that_takes_nothing_is_cut_off,
					    setup, teardown),
	};
	int failed = cmocka_run_group_tests(tests, NULL, NULL);
	grpc_shutdown();
	return failed;
}
