/* A server that is stopped under load, again and again: in time, nothing lost, nothing leaked. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem/own.h"
#include "tests/e2e/rpc/bare_client.h"
#include "tests/e2e/rpc/fixture.h"

#define CLIENTS 8
#define ROUNDS 10
#define DRAIN_MS 1000

static atomic_uint handled; /* answers that handlers gave */

/* --- a writer thread that answers calls, as the store does ------------------------------ */

struct writer {
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t wake;
	struct rpc_call *calls[256];
	unsigned count;
	bool quit;
};

static struct writer writer;

static void *write_all(void *ctx)
{
	(void)ctx;
	for (;;) {
		pthread_mutex_lock(&writer.lock);
		while (writer.count == 0 && !writer.quit) {
			pthread_cond_wait(&writer.wake, &writer.lock);
		}
		struct rpc_call *batch[SL_COUNT(writer.calls)];
		unsigned count = writer.count;
		memcpy(batch, writer.calls, count * sizeof(*batch));
		writer.count = 0;
		bool quit = writer.quit;
		pthread_mutex_unlock(&writer.lock);
		for (unsigned i = 0; i < count; i++) {
			rpc_call_finish(batch[i], SL_OK, NULL, sl_bytes_text("done"));
		}
		if (quit && count == 0) {
			return NULL;
		}
	}
}

static void submit(struct rpc_call *call, struct sl_bytes request, void *ctx)
{
	(void)request;
	(void)ctx;
	atomic_fetch_add(&handled, 1);
	pthread_mutex_lock(&writer.lock);
	bool room = writer.count < SL_COUNT(writer.calls);
	if (room) {
		writer.calls[writer.count++] = call;
	}
	pthread_cond_signal(&writer.wake);
	pthread_mutex_unlock(&writer.lock);
	if (!room) {
		abort();
	}
}

static void echo(struct rpc_call *call, struct sl_bytes request, void *ctx)
{
	(void)ctx;
	atomic_fetch_add(&handled, 1);
	rpc_call_finish(call, SL_OK, NULL, request);
}

/* --- streams that another thread feeds ---------------------------------------------------- */

static pthread_mutex_t feed_lock = PTHREAD_MUTEX_INITIALIZER;
static struct rpc_stream *fed[64]; /* references; guarded by feed_lock */
static atomic_bool feed_quit;

static void fed_opened(struct rpc_stream *stream, void *ctx)
{
	(void)ctx;
	pthread_mutex_lock(&feed_lock);
	for (unsigned i = 0; i < SL_COUNT(fed); i++) {
		if (fed[i] == NULL) {
			fed[i] = rpc_stream_ref(stream);
			break;
		}
	}
	pthread_mutex_unlock(&feed_lock);
}

static void fed_closed(struct rpc_stream *stream, void *ctx)
{
	(void)ctx;
	pthread_mutex_lock(&feed_lock);
	for (unsigned i = 0; i < SL_COUNT(fed); i++) {
		if (fed[i] == stream) {
			rpc_stream_unref(SL_TAKE(fed[i]));
		}
	}
	pthread_mutex_unlock(&feed_lock);
}

static void end_when_slow(struct rpc_stream *stream, sl_code sent)
{
	if (sent == SL_RESOURCE_EXHAUSTED) {
		struct sl_err err = SL_ERR_INIT;
		(void)sl_err_set(&err, sent, "sent up to %u", (unsigned)rpc_stream_seal(stream));
		rpc_stream_finish(stream, sent, &err);
	}
}

static void fed_message(struct rpc_stream *stream, struct sl_bytes message, void *ctx)
{
	(void)ctx;
	end_when_slow(stream, rpc_stream_send_bytes(stream, message, 1));
}

static void *feed(void *ctx)
{
	(void)ctx;
	while (!atomic_load(&feed_quit)) {
		struct rpc_message *message = rpc_message_new(sl_bytes_text("news"));
		pthread_mutex_lock(&feed_lock);
		for (unsigned i = 0; i < SL_COUNT(fed); i++) {
			if (fed[i] != NULL) {
				end_when_slow(fed[i], rpc_stream_send(fed[i], message, 1));
			}
		}
		pthread_mutex_unlock(&feed_lock);
		rpc_message_unref(message);
		sleep_ms(1);
	}
	return NULL;
}

static const struct rpc_stream_events feeding = {
    .opened = fed_opened,
    .message = fed_message,
    .closed = fed_closed,
};
static const struct rpc_method methods[] = {
    {.path = "/test.Test/Echo", .handle = echo, .hot = true},
    {.path = "/test.Test/Submit", .handle = submit, .hot = true},
    {.path = "/test.Test/Feed", .stream = &feeding},
};

/* --- clients -------------------------------------------------------------------------------- */

struct client {
	pthread_t thread;
	int port;
	unsigned number;
	atomic_uint answers; /* good ones */
	int last_status;
	bool wrong;
};

/* Calls until it is refused. Whatever ends it says so with UNAVAILABLE or a lost connection. */
static void *be_busy(void *ctx)
{
	struct client *c = ctx;
	grpc_channel *channel = bare_channel(c->port);
	const char *path = c->number % 2 == 0 ? "/test.Test/Echo" : "/test.Test/Submit";
	struct bare_stream *stream = bare_stream_new(channel, "/test.Test/Feed");
	struct bare_result r;
	do {
		bare_unary(channel, path, "done", 4, 0, &r);
		if (r.status == SL_OK) {
			c->wrong = c->wrong || r.size != 4 || memcmp(r.reply, "done", 4) != 0;
			atomic_fetch_add(&c->answers, 1);
		}
		if (r.status == SL_OK && bare_stream_send(stream, "done", 4)) {
			(void)bare_stream_recv(stream, r.reply, sizeof(r.reply));
		}
	} while (r.status == SL_OK);
	c->last_status = r.status;
	while (bare_stream_recv(stream, r.reply, sizeof(r.reply)) >= 0) {
	}
	c->wrong = c->wrong || !bare_stream_status(stream, 3000, &r) || r.status == SL_OK;
	bare_stream_free(stream);
	grpc_channel_destroy(channel);
	return NULL;
}

static void one_round(unsigned load_ms)
{
	struct client clients[CLIENTS] = {0};
	struct fixture *f = fixture_new(methods, SL_COUNT(methods), DRAIN_MS);
	pthread_t feeder;
	atomic_store(&feed_quit, false);
	assert_int_equal(pthread_create(&feeder, NULL, feed, NULL), 0);
	for (unsigned i = 0; i < CLIENTS; i++) {
		clients[i].port = rpc_server_port(f->server);
		clients[i].number = i;
		assert_int_equal(pthread_create(&clients[i].thread, NULL, be_busy, &clients[i]), 0);
	}
	for (unsigned i = 0; i < CLIENTS; i++) {
		assert_true(wait_until(&clients[i].answers, 2));
	}
	sleep_ms(load_ms);
	unsigned took_ms = fixture_stop(f);
	assert_in_range(took_ms, 0, 30000); /* its clients would go on for ever */
	for (unsigned i = 0; i < CLIENTS; i++) {
		(void)pthread_join(clients[i].thread, NULL);
		assert_false(clients[i].wrong);
		if (clients[i].last_status != SL_UNAVAILABLE &&
		    clients[i].last_status != SL_CANCELLED) {
			fail_msg("client %u ended with %d", i, clients[i].last_status);
		}
	}
	atomic_store(&feed_quit, true);
	(void)pthread_join(feeder, NULL);
	for (unsigned i = 0; i < SL_COUNT(fed); i++) {
		assert_null(fed[i]); /* every opened stream was closed */
	}
	fixture_free(f);
}

static void test_server_stops_in_time_under_load(void **state)
{
	(void)state;
	for (unsigned i = 0; i < ROUNDS; i++) {
		one_round(i * 15);
	}
	assert_true(atomic_load(&handled) > ROUNDS * CLIENTS);
}

static void test_server_stops_at_once_when_idle(void **state)
{
	(void)state;
	struct fixture *f = fixture_new(methods, SL_COUNT(methods), 60000);
	assert_in_range(fixture_stop(f), 0, 30000);
	fixture_free(f);
}

static int setup(void **state)
{
	(void)state;
	pthread_mutex_init(&writer.lock, NULL);
	pthread_cond_init(&writer.wake, NULL);
	return pthread_create(&writer.thread, NULL, write_all, NULL);
}

static int teardown(void **state)
{
	(void)state;
	pthread_mutex_lock(&writer.lock);
	writer.quit = true;
	pthread_cond_signal(&writer.wake);
	pthread_mutex_unlock(&writer.lock);
	return pthread_join(writer.thread, NULL);
}

int main(void)
{
	grpc_init();
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_server_stops_in_time_under_load),
	    cmocka_unit_test(test_server_stops_at_once_when_idle),
	};
	int failed = cmocka_run_group_tests(tests, setup, teardown);
	grpc_shutdown();
	return failed;
}
