/* Unary calls of server/rpc, and what a server refuses. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock/clock.h"
#include "base/mem/own.h"
#include "google/rpc/error_details.pb-c.h"
#include "google/rpc/status.pb-c.h"
#include "tests/e2e/rpc/bare_client.h"
#include "tests/e2e/rpc/fixture.h"

static int row_value = 42;
static atomic_uint parked, released;
static atomic_bool let_go;
static _Atomic uint64_t seen_deadline;
static pthread_mutex_t seen_lock = PTHREAD_MUTEX_INITIALIZER; /* guards the two below */
static char seen_peer[64];
static void *seen_row;

static void echo(struct rpc_call *call, struct sl_bytes request, void *ctx)
{
	(void)ctx;
	pthread_mutex_lock(&seen_lock);
	seen_row = rpc_call_row(call);
	(void)snprintf(seen_peer, sizeof(seen_peer), "%s", rpc_call_peer(call));
	pthread_mutex_unlock(&seen_lock);
	atomic_store(&seen_deadline, rpc_call_deadline_mono_ms(call));
	rpc_call_finish(call, SL_OK, NULL, request);
}

static void *answer_later(void *ctx)
{
	sleep_ms(20);
	rpc_call_finish(ctx, SL_OK, NULL, sl_bytes_text("later"));
	return NULL;
}

static void in_thread(void *(*run)(void *), struct rpc_call *call)
{
	pthread_t thread;
	if (pthread_create(&thread, NULL, run, call) != 0) {
		abort();
	}
	(void)pthread_detach(thread);
}

static void later(struct rpc_call *call, struct sl_bytes request, void *ctx)
{
	(void)request;
	(void)ctx;
	in_thread(answer_later, call);
}

static void *hold(void *ctx)
{
	while (!rpc_call_is_cancelled(ctx) && !atomic_load(&let_go)) {
		sleep_ms(2);
	}
	struct sl_err err = SL_ERR_INIT;
	sl_code code = rpc_call_is_cancelled(ctx) ? sl_err_set(&err, SL_CANCELLED, "gone") : SL_OK;
	atomic_fetch_add(&released, 1);
	rpc_call_finish(ctx, code, &err, sl_bytes_text("held"));
	return NULL;
}

static void park(struct rpc_call *call, struct sl_bytes request, void *ctx)
{
	(void)request;
	(void)ctx;
	atomic_fetch_add(&parked, 1);
	in_thread(hold, call);
}

static void refuse(struct rpc_call *call, struct sl_bytes request, void *ctx)
{
	(void)ctx;
	unsigned count = (unsigned)atoi((const char *)request.data); /* the test sends a NUL */
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	sl_code code = sl_err_because(&err, SL_FAILED_PRECONDITION, SL_REASON_GATE_BLOCKED,
				      "version 'v2' is blocked \xc3");
	sl_err_meta(&err, "version", "v2");
	for (unsigned i = 0; i < count; i++) {
		sl_err_gate(&err, "BLOCK", "content", "there is no content yet");
		sl_err_field(&err, "version", "must be READY");
	}
	rpc_call_finish(call, code, &err, SL_BYTES_NONE);
}

enum { DRAIN_MS = 3000 };

static const struct rpc_method methods[] = {
    {.path = "/test.Test/Echo", .handle = echo, .row = &row_value, .hot = true},
    {.path = "/test.Test/Later", .handle = later},
    {.path = "/test.Test/Park", .handle = park, .waits = true},
    {.path = "/test.Test/Refuse", .handle = refuse},
};

struct pair {
	struct fixture *f;
	grpc_channel *channel;
};

static int setup_draining(void **state, unsigned drain_ms)
{
	struct pair *p = calloc(1, sizeof(*p));
	atomic_store(&parked, 0);
	atomic_store(&released, 0);
	atomic_store(&let_go, false);
	p->f = fixture_new(methods, SL_COUNT(methods), drain_ms);
	p->channel = bare_channel(rpc_server_port(p->f->server));
	*state = p;
	return 0;
}

static int setup(void **state)
{
	return setup_draining(state, DRAIN_MS);
}

static int setup_patient(void **state)
{
	return setup_draining(state, 60000);
}

static int teardown(void **state)
{
	struct pair *p = *state;
	grpc_channel_destroy(p->channel);
	fixture_free(p->f);
	free(p);
	return 0;
}

static void test_call_echo_tells_row_peer_and_deadline(void **state)
{
	struct pair *p = *state;
	struct bare_result r;
	uint64_t now = sl_clock_mono_ms();
	bare_unary(p->channel, "/test.Test/Echo", "hello", 5, 60000, &r);
	assert_int_equal(r.status, SL_OK);
	assert_int_equal(r.size, 5);
	assert_memory_equal(r.reply, "hello", 5);
	assert_in_range(atomic_load(&seen_deadline), now + 58000,
			sl_clock_mono_ms() + 61000); /* set last; gRPC rounds it up */
	pthread_mutex_lock(&seen_lock);
	assert_ptr_equal(seen_row, &row_value);
	assert_memory_equal(seen_peer, "ipv4:127.0.0.1:", 15);
	pthread_mutex_unlock(&seen_lock);
	bare_unary(p->channel, "/test.Test/Echo", "", 0, 0, &r);
	assert_int_equal(r.status, SL_OK);
	assert_int_equal(r.size, 0);
	assert_true(atomic_load(&seen_deadline) == UINT64_MAX);
	assert_true(wait_until(&p->f->finished[SL_OK], 2));
	assert_true(wait_until(&p->f->ticks, 2));
	assert_true(rpc_server_connections(p->f->server) >= 1);
}

static void test_call_answers_from_another_thread(void **state)
{
	struct pair *p = *state;
	struct bare_result r;
	bare_unary(p->channel, "/test.Test/Later", "x", 1, 0, &r);
	assert_int_equal(r.status, SL_OK);
	assert_memory_equal(r.reply, "later", 5);
}

static void test_call_to_an_unknown_method_ends_at_once(void **state)
{
	struct pair *p = *state;
	struct bare_result r;
	for (unsigned i = 0; i < 40; i++) { /* more than are armed */
		bare_unary(p->channel, "/test.Test/Nothing", "x", 1, 60000, &r);
		assert_int_equal(r.status, SL_UNIMPLEMENTED);
		assert_string_equal(r.text, "no method '/test.Test/Nothing'");
	}
	assert_true(wait_until(&p->f->finished[SL_UNIMPLEMENTED], 40));
}

static void test_call_needs_a_message_of_legal_size(void **state)
{
	struct pair *p = *state;
	struct bare_result r;
	bare_unary(p->channel, "/test.Test/Echo", NULL, 0, 60000, &r);
	assert_int_equal(r.status, SL_INVALID_ARGUMENT);
	size_t size = (1 << 20) + 1;
	SL_AUTO(sl_free_auto) void *big = calloc(1, size);
	bare_unary(p->channel, "/test.Test/Echo", big, size, 60000, &r);
	assert_int_equal(r.status, SL_RESOURCE_EXHAUSTED);
	bare_unary(p->channel, "/test.Test/Echo", big, size - 1, 60000, &r);
	assert_int_equal(r.status, SL_OK);
	assert_int_equal(r.size, size - 1);
}

static void test_call_is_told_when_its_client_leaves(void **state)
{
	struct pair *p = *state;
	struct bare_result r;
	bare_unary(p->channel, "/test.Test/Park", "x", 1, 200, &r);
	assert_int_equal(r.status, SL_DEADLINE_EXCEEDED);
	assert_true(wait_until(&released, 1));
	assert_true(wait_until(&p->f->finished[SL_CANCELLED], 1));
}

static unsigned cut_in(const Google__Rpc__ErrorInfo *info)
{
	for (size_t i = 0; i < info->n_metadata; i++) {
		if (strcmp(info->metadata[i]->key, "cut") == 0) {
			return (unsigned)atoi(info->metadata[i]->value);
		}
	}
	return 0;
}

/* Checks the details of a Refuse with `count` gates and fields; returns how many were cut. */
static unsigned check_details(const struct bare_result *r, unsigned count)
{
	assert_in_range(r->details_size, 1, 4096);
	Google__Rpc__Status *status =
	    google__rpc__status__unpack(NULL, r->details_size, r->details);
	assert_non_null(status);
	assert_int_equal(status->code, r->status);
	assert_string_equal(status->message, "version 'v2' is blocked ?");
	assert_string_equal(status->message, r->text);
	assert_int_equal(status->n_details, count > 0 ? 3 : 1);
	assert_string_equal(status->details[0]->type_url,
			    "type.googleapis.com/google.rpc.ErrorInfo");
	Google__Rpc__ErrorInfo *info = google__rpc__error_info__unpack(
	    NULL, status->details[0]->value.len, status->details[0]->value.data);
	assert_string_equal(info->reason, "GATE_BLOCKED");
	assert_string_equal(info->domain, "sluice");
	assert_string_equal(info->metadata[0]->key, "version");
	unsigned cut = cut_in(info), found = 0;
	google__rpc__error_info__free_unpacked(info, NULL);
	if (count > 0) {
		Google__Rpc__PreconditionFailure *gates = google__rpc__precondition_failure__unpack(
		    NULL, status->details[1]->value.len, status->details[1]->value.data);
		Google__Rpc__BadRequest *fields = google__rpc__bad_request__unpack(
		    NULL, status->details[2]->value.len, status->details[2]->value.data);
		assert_string_equal(gates->violations[0]->description, "there is no content yet");
		assert_string_equal(fields->field_violations[0]->field, "version");
		found = (unsigned)(gates->n_violations + fields->n_field_violations);
		google__rpc__precondition_failure__free_unpacked(gates, NULL);
		google__rpc__bad_request__free_unpacked(fields, NULL);
	}
	assert_int_equal(found + cut, 2 * count);
	google__rpc__status__free_unpacked(status, NULL);
	return cut;
}

static void test_call_refused_carries_details_and_says_what_was_cut(void **state)
{
	struct pair *p = *state;
	static const struct {
		const char *count;
		bool is_cut;
	} rows[] = {{"0", false}, {"1", false}, {"20", false}, {"60", true}, {"3000", true}};
	for (size_t i = 0; i < SL_COUNT(rows); i++) {
		struct bare_result r;
		bare_unary(p->channel, "/test.Test/Refuse", rows[i].count,
			   strlen(rows[i].count) + 1, 0, &r);
		assert_int_equal(r.status, SL_FAILED_PRECONDITION);
		assert_int_equal(check_details(&r, (unsigned)atoi(rows[i].count)) > 0,
				 rows[i].is_cut);
	}
}

static void *stop_it(void *ctx)
{
	(void)fixture_stop(ctx);
	return NULL;
}

/* The health watch sees it, new calls are refused with a reason, the running one is answered. */
static void test_call_that_runs_is_answered_while_the_server_drains(void **state)
{
	struct pair *p = *state;
	struct bare_stream *running = bare_stream_new(p->channel, "/test.Test/Park");
	assert_true(bare_stream_send(running, "x", 1));
	bare_stream_close_send(running);
	struct bare_stream *watch = bare_stream_new(p->channel, "/grpc.health.v1.Health/Watch");
	assert_true(bare_stream_send(watch, "", 0));
	uint8_t health[8];
	assert_int_equal(bare_stream_recv(watch, health, sizeof(health)), 2);
	assert_int_equal(health[1], 1);
	assert_true(wait_until(&parked, 1));

	pthread_t stopper;
	assert_int_equal(pthread_create(&stopper, NULL, stop_it, p->f), 0);
	assert_int_equal(bare_stream_recv(watch, health, sizeof(health)), 2);
	assert_int_equal(health[1], 2);
	assert_int_equal(bare_stream_recv(watch, health, sizeof(health)), -1);
	struct bare_result r;
	assert_true(bare_stream_status(watch, 60000, &r));
	assert_int_equal(r.status, SL_UNAVAILABLE);

	bare_unary(p->channel, "/grpc.health.v1.Health/Check", "", 0, 60000, &r);
	assert_int_equal(r.status, SL_OK);
	assert_int_equal(r.reply[1], 2);
	bare_unary(p->channel, "/test.Test/Echo", "x", 1, 60000, &r);
	assert_int_equal(r.status, SL_UNAVAILABLE);
	assert_string_equal(r.text, "the server is stopping");
	assert_true(r.details_size > 0);

	atomic_store(&let_go, true);
	assert_int_equal(bare_stream_recv(running, r.reply, sizeof(r.reply)), 4);
	assert_true(bare_stream_status(running, 60000, &r));
	assert_int_equal(r.status, SL_OK);
	(void)pthread_join(stopper, NULL);
	bare_stream_free(running);
	bare_stream_free(watch);
}

static void test_call_that_never_ends_is_cancelled_after_the_drain(void **state)
{
	struct pair *p = *state;
	struct bare_stream *running = bare_stream_new(p->channel, "/test.Test/Park");
	assert_true(bare_stream_send(running, "x", 1));
	assert_true(wait_until(&parked, 1));
	assert_in_range(fixture_stop(p->f), DRAIN_MS - 100, 60000);
	assert_int_equal(atomic_load(&released), 1);
	bare_stream_free(running);
}

static void on_none(struct rpc_call *call, struct sl_bytes request, void *ctx)
{
	(void)ctx;
	rpc_call_finish(call, SL_OK, NULL, request);
}

static void test_server_new_says_what_is_wrong(void **state)
{
	struct pair *p = *state;
	static const struct rpc_method twice[] = {
	    {.path = "/test.Test/A", .handle = on_none},
	    {.path = "/test.Test/A", .handle = on_none},
	};
	static const struct rpc_method taken[] = {
	    {.path = "/grpc.health.v1.Health/Check", .handle = on_none},
	};
	char used[32];
	(void)snprintf(used, sizeof(used), "127.0.0.1:%d", rpc_server_port(p->f->server));
	const struct {
		const char *listen, *descriptors;
		const struct rpc_method *methods;
		size_t method_count;
		sl_code code;
	} rows[] = {
	    {used, "", NULL, 0, SL_UNAVAILABLE},
	    {"nonsense", "", NULL, 0, SL_UNAVAILABLE},
	    {"127.0.0.1:0", "", twice, 2, SL_ALREADY_EXISTS},
	    {"127.0.0.1:0", "", taken, 1, SL_ALREADY_EXISTS},
	    {"127.0.0.1:0", "no descriptors", NULL, 0, SL_INVALID_ARGUMENT},
	    {"127.0.0.1:0", "", methods, SL_COUNT(methods), SL_OK}, /* freed without a run */
	};
	for (size_t i = 0; i < SL_COUNT(rows); i++) {
		SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
		struct rpc_server *server = NULL;
		const struct rpc_options options = {
		    .listen = rows[i].listen,
		    .methods = rows[i].methods,
		    .method_count = rows[i].method_count,
		    .descriptors = sl_bytes_text(rows[i].descriptors),
		};
		sl_code code = rpc_server_new(&options, &server, &err);
		if (code != rows[i].code) {
			fail_msg("row %zu: %s '%s'", i, sl_code_name(code), err.msg);
		}
		assert_int_equal(server != NULL, code == SL_OK);
		rpc_server_free(server);
	}
}

int main(void)
{
	grpc_init();
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(test_call_echo_tells_row_peer_and_deadline, setup,
					    teardown),
	    cmocka_unit_test_setup_teardown(test_call_answers_from_another_thread, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_call_to_an_unknown_method_ends_at_once, setup,
					    teardown),
	    cmocka_unit_test_setup_teardown(test_call_needs_a_message_of_legal_size, setup,
					    teardown),
	    cmocka_unit_test_setup_teardown(test_call_is_told_when_its_client_leaves, setup,
					    teardown),
	    cmocka_unit_test_setup_teardown(test_call_refused_carries_details_and_says_what_was_cut,
					    setup, teardown),
	    cmocka_unit_test_setup_teardown(test_call_that_runs_is_answered_while_the_server_drains,
					    setup_patient, teardown),
	    cmocka_unit_test_setup_teardown(test_call_that_never_ends_is_cancelled_after_the_drain,
					    setup, teardown),
	    cmocka_unit_test_setup_teardown(test_server_new_says_what_is_wrong, setup, teardown),
	};
	int failed = cmocka_run_group_tests(tests, NULL, NULL);
	grpc_shutdown();
	return failed;
}
