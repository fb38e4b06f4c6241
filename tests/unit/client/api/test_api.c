/* libsluice's calls: request ids, retries, deadlines, errors. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock/clock.h"
#include "base/mem/own.h"
#include "sluice/client.h"
#include "tests/unit/client/api/fake_server.h"

struct fixture {
	struct fake_server *server;
	sluice_client *client;
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	const sluice_options options = {.backoff_ms = 5, .timeout_ms = 60000};
	char target[32];
	f->server = fake_server_start(0);
	(void)snprintf(target, sizeof(target), "127.0.0.1:%d", fake_server_port(f->server));
	assert_int_equal(sluice_client_new(target, &options, &f->client, NULL), SLUICE_OK);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	sluice_client_free(f->client);
	fake_server_stop(f->server);
	free(f);
	return 0;
}

static int promote(struct fixture *f, const char *request_id, sluice_error *error)
{
	Sluice__V1__WriteOptions write = SLUICE__V1__WRITE_OPTIONS__INIT;
	Sluice__V1__PromoteRequest request = SLUICE__V1__PROMOTE_REQUEST__INIT;
	Sluice__V1__PromoteResponse *response = NULL;
	write.request_id = (char *)(uintptr_t)(request_id != NULL ? request_id : "");
	request.write = request_id != NULL ? &write : NULL;
	int code = sluice_promote(f->client, NULL, &request, &response, error);
	assert_true((code == SLUICE_OK) == (response != NULL));
	/* The caller's request is as it was. */
	assert_true(request.write == (request_id != NULL ? &write : NULL));
	assert_string_equal(write.request_id, request_id != NULL ? request_id : "");
	sluice_message_free(response);
	return code;
}

static int get_app(struct fixture *f, uint32_t timeout_ms, sluice_error *error)
{
	Sluice__V1__GetAppRequest request = SLUICE__V1__GET_APP_REQUEST__INIT;
	Sluice__V1__GetAppResponse *response = NULL;
	const sluice_call call = {.timeout_ms = timeout_ms};
	int code = sluice_get_app(f->client, &call, &request, &response, error);
	if (code == SLUICE_OK) {
		assert_string_equal(response->app->name, "shop");
	}
	sluice_message_free(response);
	return code;
}

static void test_api_retries_carry_one_request_id(void **state)
{
	struct fixture *f = *state;
	const struct fake_answer answers[] = {
	    {SL_UNAVAILABLE, SL_REASON_STOPPING},
	    {SL_RESOURCE_EXHAUSTED, SL_REASON_QUEUE_FULL},
	    {SL_UNAVAILABLE, SL_REASON_NONE},
	};
	char first[FAKE_ID_SIZE];
	char other[FAKE_ID_SIZE];
	fake_server_answer(f->server, answers, SL_COUNT(answers));
	assert_int_equal(promote(f, NULL, NULL), SLUICE_OK);
	assert_int_equal(fake_server_calls(f->server), 4);
	fake_server_request_id(f->server, 0, first);
	assert_true(strlen(first) >= 20);
	for (unsigned i = 1; i < 4; i++) {
		fake_server_request_id(f->server, i, other);
		assert_string_equal(other, first);
	}
	/* Another call is another request. */
	assert_int_equal(promote(f, "", NULL), SLUICE_OK);
	fake_server_request_id(f->server, 4, other);
	assert_true(strlen(other) >= 20);
	assert_string_not_equal(other, first);
}

static void test_api_keeps_the_callers_request_id(void **state)
{
	struct fixture *f = *state;
	const struct fake_answer answers[] = {{SL_UNAVAILABLE, SL_REASON_NONE}};
	char id[FAKE_ID_SIZE];
	fake_server_answer(f->server, answers, SL_COUNT(answers));
	assert_int_equal(promote(f, "mine-1", NULL), SLUICE_OK);
	for (unsigned i = 0; i < 2; i++) {
		fake_server_request_id(f->server, i, id);
		assert_string_equal(id, "mine-1");
	}
}

static void test_api_does_not_retry_what_the_caller_must_look_at(void **state)
{
	struct fixture *f = *state;
	static const struct fake_answer answers[] = {
	    {SL_ABORTED, SL_REASON_STALE_PLAN},
	    {SL_FAILED_PRECONDITION, SL_REASON_GATE_BLOCKED},
	    {SL_RESOURCE_EXHAUSTED, SL_REASON_DISK_LOW},
	    {SL_NOT_FOUND, SL_REASON_APP_NOT_FOUND},
	    {SL_DEADLINE_EXCEEDED, SL_REASON_WAIT_TIMEOUT},
	    {SL_INTERNAL, SL_REASON_NONE},
	};
	for (unsigned i = 0; i < SL_COUNT(answers); i++) {
		sluice_error error = SLUICE_ERROR_INIT;
		fake_server_answer(f->server, &answers[i], 1);
		assert_int_equal(promote(f, NULL, &error), answers[i].code);
		assert_int_equal(error.code, answers[i].code);
		assert_string_equal(error.reason, sl_reason_name(answers[i].reason));
		assert_int_equal(fake_server_calls(f->server), i + 1);
		sluice_error_clear(&error);
	}
}

static void test_api_gives_up_after_its_attempts(void **state)
{
	struct fixture *f = *state;
	struct fake_answer answers[10];
	for (unsigned i = 0; i < SL_COUNT(answers); i++) {
		answers[i] = (struct fake_answer){SL_UNAVAILABLE, SL_REASON_STOPPING};
	}
	sluice_error error = SLUICE_ERROR_INIT;
	fake_server_answer(f->server, answers, SL_COUNT(answers));
	assert_int_equal(get_app(f, 0, &error), SLUICE_UNAVAILABLE);
	assert_string_equal(error.reason, "STOPPING");
	assert_int_equal(fake_server_calls(f->server), 5);
	sluice_error_clear(&error);
}

static void test_api_errors_hold_the_details(void **state)
{
	struct fixture *f = *state;
	const struct fake_answer answers[] = {{SL_FAILED_PRECONDITION, SL_REASON_GATE_BLOCKED}};
	sluice_error error = SLUICE_ERROR_INIT;
	fake_server_answer(f->server, answers, 1);
	assert_int_equal(promote(f, NULL, &error), SLUICE_FAILED_PRECONDITION);
	assert_string_equal(error.message, "the test says no");
	assert_string_equal(sluice_error_metadata(&error, "revision"), "7");
	assert_null(sluice_error_metadata(&error, "head"));
	assert_int_equal(sluice_error_violation_count(&error), 1);
	sluice_violation v = sluice_error_violation(&error, 0);
	assert_string_equal(v.type, "soak");
	assert_string_equal(v.subject, "ver_1");
	assert_string_equal(v.description, "2 h to go");
	assert_string_equal(sluice_error_violation(&error, 1).description, "");
	/* A later call drops what was in it. */
	assert_int_equal(promote(f, NULL, &error), SLUICE_OK);
	sluice_error_clear(&error);
	assert_int_equal(error.code, SLUICE_OK);
	assert_int_equal(sluice_error_violation_count(&error), 0);
	assert_string_equal(sluice_code_name(SLUICE_NOT_FOUND), "NOT_FOUND");
}

static void test_api_calls_end_at_their_deadline(void **state)
{
	struct fixture *f = *state;
	sluice_error error = SLUICE_ERROR_INIT;
	fake_server_hold(f->server);
	uint64_t start = sl_clock_mono_ms();
	assert_int_equal(get_app(f, 150, &error), SLUICE_DEADLINE_EXCEEDED);
	uint64_t took = sl_clock_mono_ms() - start;
	assert_in_range(took, 140, 30000);
	sluice_error_clear(&error);
}

static void test_api_retries_stay_within_the_deadline(void **state)
{
	(void)state;
	/* Nobody listens there: a port that was free a moment ago. */
	struct fake_server *server = fake_server_start(0);
	char target[32];
	(void)snprintf(target, sizeof(target), "127.0.0.1:%d", fake_server_port(server));
	fake_server_stop(server);
	const sluice_options options = {.attempts_max = 1000, .backoff_ms = 20};
	struct fixture f = {0};
	sluice_error error = SLUICE_ERROR_INIT;
	assert_int_equal(sluice_client_new(target, &options, &f.client, &error), SLUICE_OK);
	uint64_t start = sl_clock_mono_ms();
	assert_int_equal(get_app(&f, 3000, &error), SLUICE_UNAVAILABLE);
	assert_in_range(sl_clock_mono_ms() - start, 0, 30000);
	assert_non_null(strstr(error.message, target));
	sluice_error_clear(&error);
	sluice_client_free(f.client);
}

static void test_api_survives_a_server_that_comes_back(void **state)
{
	(void)state;
	struct fake_server *server = fake_server_start(0);
	int port = fake_server_port(server);
	char target[32];
	(void)snprintf(target, sizeof(target), "127.0.0.1:%d", port);
	const sluice_options options = {.attempts_max = 100, .backoff_ms = 50};
	struct fixture f = {0};
	assert_int_equal(sluice_client_new(target, &options, &f.client, NULL), SLUICE_OK);
	assert_int_equal(promote(&f, NULL, NULL), SLUICE_OK);
	fake_server_stop(server);
	server = fake_server_start(port);
	assert_int_equal(promote(&f, NULL, NULL), SLUICE_OK);
	sluice_client_free(f.client);
	fake_server_stop(server);
}

static void test_api_says_what_the_server_does_not_know(void **state)
{
	struct fixture *f = *state;
	Sluice__V1__GetStatsRequest request = SLUICE__V1__GET_STATS_REQUEST__INIT;
	Sluice__V1__GetStatsResponse *response = NULL;
	sluice_error error = SLUICE_ERROR_INIT;
	assert_int_equal(sluice_get_stats(f->client, NULL, &request, &response, &error),
			 SLUICE_UNIMPLEMENTED);
	assert_null(response);
	Sluice__V1__OpenAppRequest open = SLUICE__V1__OPEN_APP_REQUEST__INIT;
	Sluice__V1__OpenAppResponse *opened = NULL;
	assert_int_equal(sluice_open_app(f->client, NULL, &open, &opened, &error), SLUICE_INTERNAL);
	assert_non_null(strstr(error.message, "malformed"));
	assert_null(opened);
	sluice_error_clear(&error);
}

static void test_api_refuses_an_empty_address(void **state)
{
	(void)state;
	sluice_client *client = NULL;
	sluice_error error = SLUICE_ERROR_INIT;
	assert_int_equal(sluice_client_new("", NULL, &client, &error), SLUICE_INVALID_ARGUMENT);
	assert_null(client);
	assert_int_equal(sluice_client_new("", NULL, &client, NULL), SLUICE_INVALID_ARGUMENT);
	sluice_error_clear(&error);
	sluice_error_clear(NULL);
	sluice_client_free(NULL);
	sluice_message_free(NULL);
}

static void test_api_methods_are_those_of_the_api(void **state)
{
	(void)state;
	for (unsigned i = 0; i < SLUICE_RPC_COUNT; i++) {
		const sluice_method *m = sluice_method_of((enum sluice_rpc)i);
		const char *name = strrchr(m->path, '/') + 1;
		char request[100];
		(void)snprintf(request, sizeof(request), "sluice.v1.%sRequest", name);
		assert_string_equal(m->request->name, request);
		(void)snprintf(request, sizeof(request), "sluice.v1.%sResponse", name);
		assert_string_equal(m->response->name, request);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(test_api_retries_carry_one_request_id, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_api_keeps_the_callers_request_id, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_api_does_not_retry_what_the_caller_must_look_at,
					    setup, teardown),
	    cmocka_unit_test_setup_teardown(test_api_gives_up_after_its_attempts, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_api_errors_hold_the_details, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_api_calls_end_at_their_deadline, setup, teardown),
	    cmocka_unit_test(test_api_retries_stay_within_the_deadline),
	    cmocka_unit_test(test_api_survives_a_server_that_comes_back),
	    cmocka_unit_test_setup_teardown(test_api_says_what_the_server_does_not_know, setup,
					    teardown),
	    cmocka_unit_test(test_api_refuses_an_empty_address),
	    cmocka_unit_test(test_api_methods_are_those_of_the_api),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
