/* Unary calls: replies, refusals with details, deadlines, connecting, threads. */
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
#include "google/rpc/error_details.pb-c.h"
#include "google/rpc/status.pb-c.h"
#include "tests/unit/client/rpc/echo_server.h"

enum { LONG_MS = 60000 };

struct fixture {
	struct echo_server *server;
	struct crpc_channel *channel;
};

static struct crpc_channel *dial_with(int port, struct crpc_options options)
{
	char target[32];
	snprintf(target, sizeof(target), "127.0.0.1:%d", port);
	options.target = target;
	struct crpc_channel *channel = NULL;
	assert_int_equal(crpc_channel_new(&options, &channel, NULL), SL_OK);
	return channel;
}

static struct crpc_channel *dial(int port)
{
	return dial_with(
	    port, (struct crpc_options){.user_agent = "sluice-test/1", .own_connection = true});
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

/* A call whose reply does not matter. */
static sl_code call(struct crpc_channel *channel, const char *path, unsigned timeout_ms, bool wait,
		    struct sl_err *err)
{
	SL_AUTO(sl_free_auto) uint8_t *reply = NULL;
	size_t size = 0;
	sl_code code =
	    crpc_unary(channel, path, sl_bytes_text("hello"), timeout_ms, wait, &reply, &size, err);
	assert_true((code == SL_OK) == (reply != NULL));
	return code;
}

static void echo(struct crpc_channel *channel, struct sl_bytes request)
{
	SL_AUTO(sl_free_auto) uint8_t *reply = NULL;
	size_t size = 0;
	assert_int_equal(
	    crpc_unary(channel, "/t/Echo", request, LONG_MS, false, &reply, &size, NULL), SL_OK);
	assert_non_null(reply);
	assert_int_equal(size, request.size);
	if (size > 0) {
		assert_memory_equal(reply, request.data, size);
	}
}

static void test_replies_of_any_size(void **state)
{
	struct fixture *f = *state;
	static const size_t sizes[] = {0, 1, 100, 16 << 10, 1 << 20, 12 << 20};
	for (size_t i = 0; i < SL_COUNT(sizes); i++) {
		SL_AUTO(sl_free_auto) uint8_t *request = malloc(sizes[i] + 1);
		assert_non_null(request);
		for (size_t at = 0; at < sizes[i]; at++) {
			request[at] = (uint8_t)(at * 31 + at / 256);
		}
		echo(f->channel, SL_BYTES(request, sizes[i]));
	}
}

static void test_reply_above_the_limit_is_refused(void **state)
{
	struct fixture *f = *state;
	struct crpc_channel *small =
	    dial_with(echo_server_port(f->server), (struct crpc_options){.message_max = 1000});
	static const uint8_t request[2000];
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	uint8_t *reply = NULL;
	size_t size = 0;
	assert_int_equal(crpc_unary(small, "/t/Echo", SL_BYTES(request, 2000), LONG_MS, false,
				    &reply, &size, &err),
			 SL_RESOURCE_EXHAUSTED);
	assert_null(reply);
	echo(small, SL_BYTES(request, 1000));
	crpc_channel_free(small);
}

static void test_failures_by_code(void **state)
{
	struct fixture *f = *state;
	static const struct {
		const char *path;
		sl_code code;
	} cases[] = {
	    {"/t/Silent", SL_INTERNAL},          {"/t/Odd", SL_UNKNOWN},
	    {"/t/NoSuch", SL_UNIMPLEMENTED},     {"/t/Refuse", SL_RESOURCE_EXHAUSTED},
	    {"/t/Fail", SL_FAILED_PRECONDITION},
	};
	for (size_t i = 0; i < SL_COUNT(cases); i++) {
		SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
		assert_int_equal(call(f->channel, cases[i].path, LONG_MS, false, &err),
				 cases[i].code);
		assert_int_equal(err.code, cases[i].code);
		assert_true(err.msg[0] != '\0');
		assert_int_equal(call(f->channel, cases[i].path, LONG_MS, false, NULL),
				 cases[i].code);
	}
}

/* --- details ------------------------------------------------------------------ */

static uint8_t packed[4096];

static Google__Protobuf__Any any_of(const char *type, const ProtobufCMessage *message,
				    uint8_t *room)
{
	Google__Protobuf__Any any = GOOGLE__PROTOBUF__ANY__INIT;
	any.type_url = (char *)type;
	any.value.data = room;
	any.value.len = protobuf_c_message_pack(message, room);
	return any;
}

static size_t pack_status(Google__Protobuf__Any **details, size_t count)
{
	Google__Rpc__Status status = GOOGLE__RPC__STATUS__INIT;
	status.code = SL_FAILED_PRECONDITION;
	status.message = (char *)"not this text";
	status.details = details;
	status.n_details = count;
	return google__rpc__status__pack(&status, packed);
}

static size_t pack_error_info(const char *domain, const char *reason)
{
	Google__Rpc__ErrorInfo__MetadataEntry entry = GOOGLE__RPC__ERROR_INFO__METADATA_ENTRY__INIT;
	entry.key = (char *)"revision";
	entry.value = (char *)"7%s";
	Google__Rpc__ErrorInfo__MetadataEntry *entries[] = {&entry};
	Google__Rpc__ErrorInfo info = GOOGLE__RPC__ERROR_INFO__INIT;
	info.domain = (char *)domain;
	info.reason = (char *)reason;
	info.metadata = entries;
	info.n_metadata = 1;
	uint8_t room[512];
	Google__Protobuf__Any any =
	    any_of("type.googleapis.com/google.rpc.ErrorInfo", &info.base, room);
	return pack_status((Google__Protobuf__Any *[]){&any}, 1);
}

static void test_reason_and_metadata_arrive(void **state)
{
	struct fixture *f = *state;
	echo_server_details(packed, pack_error_info("sluice", "GATE_BLOCKED"));
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	assert_int_equal(call(f->channel, "/t/Fail", LONG_MS, false, &err), SL_FAILED_PRECONDITION);
	assert_string_equal(err.msg, "no, since 7 < 8");
	assert_int_equal(err.reason, SL_REASON_GATE_BLOCKED);
	assert_non_null(err.details);
	assert_int_equal(err.details->kind, SL_DETAIL_METADATA);
	assert_string_equal(err.details->subject, "revision");
	assert_string_equal(err.details->text, "7%s");
	assert_null(err.details->next);
}

static void test_foreign_and_newer_reasons(void **state)
{
	struct fixture *f = *state;
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	echo_server_details(packed, pack_error_info("example.com", "GATE_BLOCKED"));
	assert_int_equal(call(f->channel, "/t/Fail", LONG_MS, false, &err), SL_FAILED_PRECONDITION);
	assert_int_equal(err.reason, SL_REASON_NONE);
	assert_null(err.details);

	echo_server_details(packed, pack_error_info("sluice", "OF_NEXT_YEAR"));
	assert_int_equal(call(f->channel, "/t/Fail", LONG_MS, false, &err), SL_FAILED_PRECONDITION);
	assert_int_equal(err.reason, SL_REASON_NONE);
	assert_string_equal(err.details->subject, "reason");
	assert_string_equal(err.details->text, "OF_NEXT_YEAR");
	assert_string_equal(err.details->next->subject, "revision");
}

static void test_gates_and_fields_arrive(void **state)
{
	struct fixture *f = *state;
	Google__Rpc__PreconditionFailure__Violation soak =
	    GOOGLE__RPC__PRECONDITION_FAILURE__VIOLATION__INIT;
	soak.type = (char *)"soak";
	soak.subject = (char *)"ver_1";
	soak.description = (char *)"2 h to go";
	Google__Rpc__PreconditionFailure__Violation *gates[] = {&soak, &soak};
	Google__Rpc__PreconditionFailure failure = GOOGLE__RPC__PRECONDITION_FAILURE__INIT;
	failure.violations = gates;
	failure.n_violations = SL_COUNT(gates);
	Google__Rpc__BadRequest__FieldViolation name =
	    GOOGLE__RPC__BAD_REQUEST__FIELD_VIOLATION__INIT;
	name.field = (char *)"app.name";
	name.description = (char *)"too long";
	Google__Rpc__BadRequest__FieldViolation *fields[] = {&name};
	Google__Rpc__BadRequest bad = GOOGLE__RPC__BAD_REQUEST__INIT;
	bad.field_violations = fields;
	bad.n_field_violations = 1;
	uint8_t rooms[2][512];
	Google__Protobuf__Any first =
	    any_of("google.rpc.PreconditionFailure", &failure.base, rooms[0]);
	Google__Protobuf__Any second = any_of("t/google.rpc.BadRequest", &bad.base, rooms[1]);
	echo_server_details(packed, pack_status((Google__Protobuf__Any *[]){&first, &second}, 2));

	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	assert_int_equal(call(f->channel, "/t/Fail", LONG_MS, false, &err), SL_FAILED_PRECONDITION);
	const struct sl_detail *at = err.details;
	for (int i = 0; i < 2; i++, at = at->next) {
		assert_non_null(at);
		assert_int_equal(at->kind, SL_DETAIL_GATE);
		assert_string_equal(at->type, "soak");
		assert_string_equal(at->subject, "ver_1");
		assert_string_equal(at->text, "2 h to go");
	}
	assert_non_null(at);
	assert_int_equal(at->kind, SL_DETAIL_FIELD);
	assert_string_equal(at->subject, "app.name");
	assert_string_equal(at->text, "too long");
	assert_null(at->next);
}

/* Whatever the bytes are, code and text stand. */
static void test_broken_details_are_left_out(void **state)
{
	struct fixture *f = *state;
	size_t size = pack_error_info("sluice", "GATE_BLOCKED");
	for (size_t cut = 1; cut < size; cut += 3) {
		SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
		echo_server_details(packed, cut);
		assert_int_equal(call(f->channel, "/t/Fail", LONG_MS, false, &err),
				 SL_FAILED_PRECONDITION);
		assert_string_equal(err.msg, "no, since 7 < 8");
		assert_int_equal(err.reason, SL_REASON_NONE);
	}
	uint8_t junk[64];
	memset(junk, 0xff, sizeof(junk));
	echo_server_details(junk, sizeof(junk));
	assert_int_equal(call(f->channel, "/t/Fail", LONG_MS, false, NULL), SL_FAILED_PRECONDITION);
	echo_server_details(NULL, 0);
}

/* --- time and connections ------------------------------------------------------ */

static void test_deadline(void **state)
{
	struct fixture *f = *state;
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	uint64_t before = sl_clock_mono_ms();
	assert_int_equal(call(f->channel, "/t/Hang", 100, false, &err), SL_DEADLINE_EXCEEDED);
	uint64_t took = sl_clock_mono_ms() - before;
	assert_true(took >= 90 && took < 30000);
	assert_int_equal(call(f->channel, "/t/Hang", 0, true, &err), SL_DEADLINE_EXCEEDED);
}

/* A port that was free a moment ago. */
static int free_port(void)
{
	struct echo_server *server = echo_server_new(0);
	int port = echo_server_port(server);
	echo_server_free(server);
	return port;
}

static void test_nobody_listens(void **state)
{
	(void)state;
	crpc_init();
	int port = free_port();
	struct crpc_channel *channel = dial(port);
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	uint64_t before = sl_clock_mono_ms();
	assert_int_equal(call(channel, "/t/Echo", LONG_MS, false, &err), SL_UNAVAILABLE);
	assert_true(sl_clock_mono_ms() - before < 30000);
	char target[64];
	snprintf(target, sizeof(target), "server '127.0.0.1:%d'", port);
	assert_non_null(strstr(err.msg, target));
	assert_int_equal(call(channel, "/t/Echo", 300, true, &err), SL_DEADLINE_EXCEEDED);
	crpc_channel_free(channel);
	crpc_shutdown();
}

static void *start_later(void *port)
{
	poll(NULL, 0, 300);
	return echo_server_new(*(int *)port);
}

static void test_wait_for_ready_outlasts_a_restart(void **state)
{
	(void)state;
	crpc_init();
	int port = free_port();
	struct crpc_channel *channel = dial(port);
	assert_int_equal(call(channel, "/t/Echo", LONG_MS, false, NULL), SL_UNAVAILABLE);
	pthread_t thread;
	assert_int_equal(pthread_create(&thread, NULL, start_later, &port), 0);
	assert_int_equal(call(channel, "/t/Echo", LONG_MS, true, NULL), SL_OK);
	void *server = NULL;
	pthread_join(thread, &server);
	echo_server_free(server);
	crpc_channel_free(channel);
	crpc_shutdown();
}

static void peer_of(struct crpc_channel *channel, char text[static 64])
{
	SL_AUTO(sl_free_auto) uint8_t *reply = NULL;
	size_t size = 0;
	assert_int_equal(
	    crpc_unary(channel, "/t/Peer", SL_BYTES_NONE, LONG_MS, false, &reply, &size, NULL),
	    SL_OK);
	snprintf(text, 64, "%.*s", (int)size, (const char *)reply);
}

static void test_own_connection(void **state)
{
	struct fixture *f = *state;
	int port = echo_server_port(f->server);
	for (int own = 0; own < 2; own++) {
		struct crpc_options options = {.own_connection = own};
		struct crpc_channel *a = dial_with(port, options), *b = dial_with(port, options);
		char peer_a[64], peer_b[64];
		peer_of(a, peer_a);
		peer_of(b, peer_b);
		assert_int_equal(strcmp(peer_a, peer_b) == 0, !own);
		crpc_channel_free(a);
		crpc_channel_free(b);
	}
}

static void test_bad_targets_are_refused(void **state)
{
	(void)state;
	static const char *const bad[] = {
	    NULL,         "",        "host",        "host:",  ":80",         "host:0",
	    "host:65536", "host:1x", "unix:/tmp/x", "a:b:80", "::1:80",      "host:-1",
	    "x/y:80",     "a:1,b:2", "host:999999", "[::1]",  "user@host:80"};
	for (size_t i = 0; i < SL_COUNT(bad); i++) {
		SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
		struct crpc_channel *channel = NULL;
		struct crpc_options options = {.target = bad[i]};
		assert_int_equal(crpc_channel_new(&options, &channel, &err), SL_INVALID_ARGUMENT);
		assert_null(channel);
		assert_int_equal(err.reason, SL_REASON_MALFORMED);
	}
	crpc_init();
	static const char *const good[] = {"localhost:1", "[::1]:7443", "10.0.0.1:65535",
					   "sluice.example.com:443"};
	for (size_t i = 0; i < SL_COUNT(good); i++) {
		struct crpc_channel *channel = NULL;
		struct crpc_options options = {.target = good[i]};
		assert_int_equal(crpc_channel_new(&options, &channel, NULL), SL_OK);
		crpc_channel_free(channel);
	}
	crpc_shutdown();
}

/* --- threads ------------------------------------------------------------------ */

enum { THREADS = 8, CALLS = 250 };

static void *call_main(void *arg)
{
	struct fixture *f = arg;
	for (int i = 0; i < CALLS; i++) {
		if (i % 10 == 9) {
			assert_int_equal(call(f->channel, "/t/Fail", LONG_MS, false, NULL),
					 SL_FAILED_PRECONDITION);
			continue;
		}
		char text[64];
		snprintf(text, sizeof(text), "%d of %p", i, (void *)&text);
		echo(f->channel, sl_bytes_text(text));
	}
	return NULL;
}

static void test_many_threads_share_a_channel(void **state)
{
	struct fixture *f = *state;
	pthread_t threads[THREADS];
	uint64_t before = sl_clock_mono_ms();
	for (int i = 0; i < THREADS; i++) {
		assert_int_equal(pthread_create(&threads[i], NULL, call_main, f), 0);
	}
	for (int i = 0; i < THREADS; i++) {
		pthread_join(threads[i], NULL);
	}
	assert_int_equal(echo_server_calls(f->server), THREADS * CALLS);
	print_message("%d calls in %d ms\n", THREADS * CALLS, (int)(sl_clock_mono_ms() - before));
}

static void test_stop_under_calls_ends_them(void **state)
{
	(void)state;
	for (int round = 0; round < 5; round++) {
		crpc_init();
		struct echo_server *server = echo_server_new(0);
		struct crpc_channel *channel = dial(echo_server_port(server));
		assert_int_equal(call(channel, "/t/Echo", LONG_MS, false, NULL), SL_OK);
		echo_server_free(server);
		sl_code code = call(channel, "/t/Echo", LONG_MS, false, NULL);
		assert_int_equal(code, SL_UNAVAILABLE);
		crpc_channel_free(channel);
		crpc_shutdown();
	}
}

#define WITH_SERVER(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    WITH_SERVER(test_replies_of_any_size),
	    WITH_SERVER(test_reply_above_the_limit_is_refused),
	    WITH_SERVER(test_failures_by_code),
	    WITH_SERVER(test_reason_and_metadata_arrive),
	    WITH_SERVER(test_foreign_and_newer_reasons),
	    WITH_SERVER(test_gates_and_fields_arrive),
	    WITH_SERVER(test_broken_details_are_left_out),
	    WITH_SERVER(test_deadline),
	    cmocka_unit_test(test_nobody_listens),
	    cmocka_unit_test(test_wait_for_ready_outlasts_a_restart),
	    WITH_SERVER(test_own_connection),
	    cmocka_unit_test(test_bad_targets_are_refused),
	    WITH_SERVER(test_many_threads_share_a_channel),
	    cmocka_unit_test(test_stop_under_calls_ends_them),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
