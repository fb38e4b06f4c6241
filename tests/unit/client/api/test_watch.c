/* libsluice's watch: resumed where it broke, ended where it must end. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem/own.h"
#include "sluice/client.h"
#include "tests/unit/client/api/fake_server.h"

enum { LONG_MS = 60000, HEAD = 100, REQUEST_BYTES = 3 << 20 };

struct fixture {
	struct fake_server *server;
	sluice_client *client;
	sluice_watch *watch;
	char target[32];
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	const sluice_options options = {.backoff_ms = 5};
	f->server = fake_server_start(0);
	(void)snprintf(f->target, sizeof(f->target), "127.0.0.1:%d", fake_server_port(f->server));
	assert_int_equal(sluice_client_new(f->target, &options, &f->client, NULL), SLUICE_OK);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	sluice_watch_close(f->watch);
	sluice_client_free(f->client);
	fake_server_stop(f->server);
	free(f);
	return 0;
}

static void open_from(struct fixture *f, uint64_t revision)
{
	Sluice__V1__WatchRequest request = SLUICE__V1__WATCH_REQUEST__INIT;
	sluice_error error = SLUICE_ERROR_INIT;
	request.from_revision = revision;
	if (sluice_watch_open(f->client, &request, &f->watch, &error) != SLUICE_OK) {
		fail_msg("%s", error.message);
	}
}

/* The next change must be this one. */
static void expect(struct fixture *f, uint64_t revision)
{
	Sluice__V1__WatchResponse *response = NULL;
	sluice_error error = SLUICE_ERROR_INIT;
	if (sluice_watch_next(f->watch, LONG_MS, &response, &error) != SLUICE_OK) {
		fail_msg("%s", error.message);
	}
	assert_non_null(response);
	assert_int_equal(response->n_changes, 1);
	assert_int_equal(response->changes[0]->revision, revision);
	assert_int_equal(sluice_watch_revision(f->watch), revision);
	sluice_message_free(response);
}

static void test_watch_resumes_after_every_kind_of_break(void **state)
{
	struct fixture *f = *state;
	static const struct fake_answer ends[] = {
	    {SL_UNAVAILABLE, SL_REASON_STOPPING},
	    {SL_RESOURCE_EXHAUSTED, SL_REASON_WATCHER_TOO_SLOW},
	    {SL_OK, SL_REASON_NONE},
	    {SL_CANCELLED, SL_REASON_NONE},
	};
	fake_server_watch_plan(f->server, 3, ends, SL_COUNT(ends));
	open_from(f, 10);
	for (uint64_t revision = 11; revision <= 25; revision++) {
		expect(f, revision);
	}
	assert_int_equal(fake_server_watches(f->server), 5);
	for (unsigned i = 0; i < 5; i++) {
		assert_int_equal(fake_server_watched_from(f->server, i), 10 + 3 * i);
	}
}

static void test_watch_from_now_on_is_a_revision(void **state)
{
	struct fixture *f = *state;
	static const struct fake_answer ends[] = {{SL_UNAVAILABLE, SL_REASON_NONE}};
	fake_server_watch_plan(f->server, 0, ends, 1);
	open_from(f, 0);
	assert_int_equal(sluice_watch_revision(f->watch), HEAD);
	Sluice__V1__WatchResponse *response = NULL;
	/* It breaks before anything came: what happens meanwhile must not be lost. */
	while (fake_server_watches(f->server) < 2) {
		assert_int_equal(sluice_watch_next(f->watch, 50, &response, NULL), SLUICE_OK);
		assert_null(response);
	}
	assert_int_equal(fake_server_watched_from(f->server, 0), HEAD);
	assert_int_equal(fake_server_watched_from(f->server, 1), HEAD);
}

static void test_watch_nothing_yet_is_no_error(void **state)
{
	struct fixture *f = *state;
	Sluice__V1__WatchResponse *response = NULL;
	open_from(f, 5);
	assert_int_equal(sluice_watch_next(f->watch, 30, &response, NULL), SLUICE_OK);
	assert_null(response);
	assert_int_equal(sluice_watch_next(f->watch, 0, &response, NULL), SLUICE_OK);
	assert_null(response);
}

static void test_watch_compacted_ends_it_for_good(void **state)
{
	struct fixture *f = *state;
	static const struct fake_answer ends[] = {{SL_OUT_OF_RANGE, SL_REASON_REVISION_COMPACTED}};
	fake_server_watch_plan(f->server, 0, ends, 1);
	open_from(f, 5);
	for (unsigned i = 0; i < 3; i++) {
		Sluice__V1__WatchResponse *response = NULL;
		sluice_error error = SLUICE_ERROR_INIT;
		assert_int_equal(sluice_watch_next(f->watch, LONG_MS, &response, &error),
				 SLUICE_OUT_OF_RANGE);
		assert_null(response);
		assert_string_equal(error.reason, "REVISION_COMPACTED");
		assert_string_equal(sluice_error_metadata(&error, "floor"), "42");
		sluice_error_clear(&error);
	}
	assert_int_equal(fake_server_watches(f->server), 1);
	assert_int_equal(sluice_watch_revision(f->watch), 5);
}

static void test_watch_compacted_while_it_was_away(void **state)
{
	struct fixture *f = *state;
	static const struct fake_answer ends[] = {
	    {SL_UNAVAILABLE, SL_REASON_NONE},
	    {SL_OUT_OF_RANGE, SL_REASON_REVISION_COMPACTED},
	};
	fake_server_watch_plan(f->server, 1, ends, 2);
	open_from(f, 5);
	expect(f, 6);
	Sluice__V1__WatchResponse *response = NULL;
	assert_int_equal(sluice_watch_next(f->watch, LONG_MS, &response, NULL),
			 SLUICE_OUT_OF_RANGE);
}

/* The request is too long for gRPC to have it out by then. */
static void test_watch_of_a_server_that_answers_first(void **state)
{
	struct fixture *f = *state;
	static char long_name[REQUEST_BYTES + 1];
	Sluice__V1__WatchRequest request = SLUICE__V1__WATCH_REQUEST__INIT;
	Sluice__V1__WatchResponse *response = NULL;
	sluice_error error = SLUICE_ERROR_INIT;
	memset(long_name, 'x', REQUEST_BYTES);
	request.workspace = long_name;
	request.from_revision = 1;
	fake_server_watch_hastily(f->server, 3,
				  (struct fake_answer){SL_PERMISSION_DENIED, SL_REASON_NONE});
	assert_int_equal(sluice_watch_open(f->client, &request, &f->watch, NULL), SLUICE_OK);
	for (uint64_t revision = 1; revision <= 3; revision++) {
		expect(f, revision);
	}
	assert_int_equal(sluice_watch_next(f->watch, LONG_MS, &response, &error),
			 SLUICE_PERMISSION_DENIED);
	assert_string_equal(error.message, "the test ends it");
	sluice_error_clear(&error);
}

static void test_watch_survives_a_restart_of_the_server(void **state)
{
	struct fixture *f = *state;
	int port = fake_server_port(f->server);
	fake_server_watch_plan(f->server, 2, NULL, 0);
	open_from(f, 5);
	expect(f, 6);
	expect(f, 7);
	fake_server_stop(f->server);
	f->server = fake_server_start(port);
	fake_server_watch_plan(f->server, 2, NULL, 0);
	expect(f, 8);
	expect(f, 9);
	assert_int_equal(fake_server_watched_from(f->server, 0), 7);
}

static void test_watch_server_that_never_answers_is_an_error(void **state)
{
	struct fixture *f = *state;
	fake_server_stop(f->server);
	f->server = NULL;
	Sluice__V1__WatchRequest request = SLUICE__V1__WATCH_REQUEST__INIT;
	sluice_error error = SLUICE_ERROR_INIT;
	assert_int_equal(sluice_watch_open(f->client, &request, &f->watch, &error),
			 SLUICE_UNAVAILABLE);
	assert_null(f->watch);
	request.from_revision = 3;
	assert_int_equal(sluice_watch_open(f->client, &request, &f->watch, &error), SLUICE_OK);
	Sluice__V1__WatchResponse *response = NULL;
	assert_int_equal(sluice_watch_next(f->watch, LONG_MS, &response, &error),
			 SLUICE_UNAVAILABLE);
	sluice_error_clear(&error);
	sluice_watch_close(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(test_watch_resumes_after_every_kind_of_break, setup,
					    teardown),
	    cmocka_unit_test_setup_teardown(test_watch_from_now_on_is_a_revision, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_watch_nothing_yet_is_no_error, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_watch_compacted_ends_it_for_good, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_watch_compacted_while_it_was_away, setup,
					    teardown),
	    cmocka_unit_test_setup_teardown(test_watch_of_a_server_that_answers_first, setup,
					    teardown),
	    cmocka_unit_test_setup_teardown(test_watch_survives_a_restart_of_the_server, setup,
					    teardown),
	    cmocka_unit_test_setup_teardown(test_watch_server_that_never_answers_is_an_error, setup,
					    teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
