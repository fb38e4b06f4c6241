/* server/metrics over a plain socket: pages, escapes, readiness, refusals, threads. */
#include <arpa/inet.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/mem/own.h"
#include "server/metrics/metrics.h"

#define THREADS 4
#define CALLS_EACH 20000

static int setup(void **state)
{
	struct sl_err err = SL_ERR_INIT;
	struct metrics *metrics = NULL;
	assert_int_equal(metrics_new("127.0.0.1:0", &metrics, &err), SL_OK);
	*state = metrics;
	return 0;
}

static int teardown(void **state)
{
	metrics_free(*state);
	return 0;
}

static int dial(int port)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	const struct sockaddr_in to = {
	    .sin_family = AF_INET,
	    .sin_port = htons((uint16_t)port),
	    .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	assert_int_equal(connect(fd, (const struct sockaddr *)&to, sizeof(to)), 0);
	return fd;
}

/* The whole answer, head included; the caller frees it. */
static char *ask(const struct metrics *metrics, const char *method, const char *path)
{
	int fd = dial(metrics_port(metrics));
	char request[256];
	int size = snprintf(request, sizeof(request),
			    "%s %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", method, path);
	assert_int_equal(write(fd, request, (size_t)size), size);
	size_t room = 1 << 20, used = 0;
	char *answer = malloc(room);
	ssize_t got;
	while ((got = read(fd, answer + used, room - used - 1)) > 0) {
		used += (size_t)got;
	}
	answer[used] = '\0';
	(void)close(fd);
	return answer;
}

static void expect(const struct metrics *metrics, const char *method, const char *path,
		   const char *start)
{
	SL_AUTO(sl_free_auto) char *answer = ask(metrics, method, path);
	if (strncmp(answer, start, strlen(start)) != 0) {
		fail_msg("%s %s: '%s'", method, path, answer);
	}
}

static void assert_has(const char *page, const char *line)
{
	if (strstr(page, line) == NULL) {
		fail_msg("no '%s' in '%s'", line, page);
	}
}

static unsigned occurrences(const char *page, const char *text)
{
	unsigned count = 0;
	while ((page = strstr(page, text)) != NULL) {
		count++;
		page++;
	}
	return count;
}

static void test_metrics_health_and_readiness(void **state)
{
	struct metrics *metrics = *state;
	expect(metrics, "GET", "/healthz", "HTTP/1.1 200 ");
	expect(metrics, "GET", "/readyz", "HTTP/1.1 503 ");
	metrics_set_ready(metrics, true);
	expect(metrics, "GET", "/readyz", "HTTP/1.1 200 ");
	metrics_set_ready(metrics, false);
	expect(metrics, "HEAD", "/readyz", "HTTP/1.1 503 ");
}

static void test_metrics_refuses_other_paths_and_methods(void **state)
{
	static const struct {
		const char *method, *path, *start;
	} rows[] = {
	    {"GET", "/", "HTTP/1.1 404 "},
	    {"GET", "/metrics/", "HTTP/1.1 404 "},
	    {"GET", "/../etc/passwd", "HTTP/1.1 404 "},
	    {"DELETE", "/metrics", "HTTP/1.1 405 "},
	    {"PUT", "/readyz", "HTTP/1.1 405 "},
	};
	for (size_t i = 0; i < SL_COUNT(rows); i++) {
		expect(*state, rows[i].method, rows[i].path, rows[i].start);
	}
}

static void test_metrics_refuses_addresses_that_others_reach(void **state)
{
	(void)state;
	static const char *const rows[] = {
	    "0.0.0.0:0",
	    "192.168.1.2:0",
	    "[::]:0",
	    "[::2]:0",
	    "localhost:0",
	    "127.0.0.1",
	    "",
	    "127.0.0.1:",
	    ":9443",
	    "127.0.0.1:-1",
	    "127.0.0.1:65536",
	    "127.0.0.1:1x",
	    "::1:9443",
	    "[::1:9443",
	};
	for (size_t i = 0; i < SL_COUNT(rows); i++) {
		SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
		struct metrics *metrics = NULL;
		if (metrics_new(rows[i], &metrics, &err) != SL_INVALID_ARGUMENT) {
			fail_msg("'%s' was taken, or failed as %s", rows[i], err.msg);
		}
		assert_null(metrics);
	}
}

static void test_metrics_says_when_the_port_is_taken(void **state)
{
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	struct metrics *second = NULL;
	char listen[32];
	(void)snprintf(listen, sizeof(listen), "127.0.0.1:%d", metrics_port(*state));
	assert_int_equal(metrics_new(listen, &second, &err), SL_UNAVAILABLE);
	assert_non_null(strstr(err.msg, listen));
}

static void test_metrics_values_with_labels_are_escaped(void **state)
{
	static const struct metrics_family commits = {"sluice_commits_total",
						      "Commits.\nAll \\ of them.", METRICS_COUNTER};
	static const struct metrics_family agents = {"sluice_agents", "Agents.", METRICS_GAUGE};
	static const struct metrics_label label = {"environment", "a\"b\\c\nd"};
	static const struct metrics_label other = {"environment", "staging"};
	struct metrics_value *count = metrics_value_new(*state, &commits, NULL, 0);
	struct metrics_value *gauge = metrics_value_new(*state, &agents, &label, 1);
	struct metrics_value *second = metrics_value_new(*state, &agents, &other, 1);
	metrics_value_add(count, 3);
	metrics_value_add(count, 4);
	metrics_value_set(gauge, 12);
	metrics_value_add(second, -1);
	metrics_value_add(NULL, 1);
	SL_AUTO(sl_free_auto) char *page = ask(*state, "GET", "/metrics");
	assert_has(page, "HTTP/1.1 200 ");
	assert_has(page, "text/plain; version=0.0.4");
	assert_has(page, "# HELP sluice_commits_total Commits.\\nAll \\\\ of them.\n");
	assert_has(page, "# TYPE sluice_commits_total counter\nsluice_commits_total 7\n");
	assert_has(page, "sluice_agents{environment=\"a\\\"b\\\\c\\nd\"} 12\n");
	assert_has(page, "sluice_agents{environment=\"staging\"} -1\n");
	assert_int_equal(occurrences(page, "# TYPE sluice_agents gauge\n"), 1);
}

static const struct metrics_family shared = {"sluice_shared", "Shared.", METRICS_GAUGE};
static const struct metrics_family alone = {"sluice_alone", "Alone.", METRICS_GAUGE};

static void collect_one(void *ctx, struct metrics_page *page)
{
	const struct metrics_label label = {"part", ctx};
	metrics_page_sample(page, &shared, &label, 1, 0.25);
	metrics_page_sample(page, &alone, NULL, 0, 1e300 * 1e300);
}

static void collect_two(void *ctx, struct metrics_page *page)
{
	const struct metrics_label label = {"part", ctx};
	metrics_page_sample(page, &shared, &label, 1, 123456789012.0);
}

static void test_metrics_keeps_the_samples_of_a_family_together(void **state)
{
	struct sl_err err = SL_ERR_INIT;
	assert_int_equal(metrics_collect(*state, collect_one, "one", &err), SL_OK);
	assert_int_equal(metrics_collect(*state, collect_two, "two", &err), SL_OK);
	SL_AUTO(sl_free_auto) char *page = ask(*state, "GET", "/metrics");
	assert_has(page, "# TYPE sluice_shared gauge\nsluice_shared{part=\"two\"} 123456789012\n"
			 "sluice_shared{part=\"one\"} 0.25\n");
	assert_has(page, "sluice_alone +Inf\n");
}

static void test_metrics_calls_by_method_and_code(void **state)
{
	struct metrics *metrics = *state;
	metrics_call(metrics, "/s/A", false, SL_OK, 90);
	metrics_call(metrics, "/s/A", false, SL_OK, 100);
	metrics_call(metrics, "/s/A", false, SL_ABORTED, 700);
	metrics_call(metrics, "/s/A", false, SL_INTERNAL, 60000000);
	metrics_call(metrics, "/s/Watch", true, SL_CANCELLED, 60000000);
	metrics_call(metrics, "/s/Watch", true, (sl_code)99, 1);
	SL_AUTO(sl_free_auto) char *page = ask(metrics, "GET", "/metrics");
	assert_has(page, "sluice_rpc_calls_total{method=\"/s/A\",code=\"OK\"} 2\n");
	assert_has(page, "sluice_rpc_calls_total{method=\"/s/A\",code=\"ABORTED\"} 1\n");
	assert_has(page, "sluice_rpc_calls_total{method=\"/s/Watch\",code=\"CANCELLED\"} 1\n");
	assert_has(page, "sluice_rpc_calls_total{method=\"/s/Watch\",code=\"UNKNOWN\"} 1\n");
	assert_has(page, "sluice_rpc_seconds_bucket{method=\"/s/A\",le=\"0.0001\"} 2\n");
	assert_has(page, "sluice_rpc_seconds_bucket{method=\"/s/A\",le=\"0.001\"} 3\n");
	assert_has(page, "sluice_rpc_seconds_bucket{method=\"/s/A\",le=\"10\"} 3\n");
	assert_has(page, "sluice_rpc_seconds_bucket{method=\"/s/A\",le=\"+Inf\"} 4\n");
	assert_has(page, "sluice_rpc_seconds_count{method=\"/s/A\"} 4\n");
	assert_has(page, "sluice_rpc_seconds_sum{method=\"/s/A\"} 60.00089\n");
	assert_null(strstr(page, "sluice_rpc_seconds_count{method=\"/s/Watch\"}"));
}

static void test_metrics_bounds_the_number_of_methods(void **state)
{
	static char names[METRICS_METHODS_MAX + 10][16];
	for (size_t i = 0; i < SL_COUNT(names); i++) {
		(void)snprintf(names[i], sizeof(names[i]), "/m/%zu", i);
		metrics_call(*state, names[i], false, SL_OK, 1);
	}
	SL_AUTO(sl_free_auto) char *page = ask(*state, "GET", "/metrics");
	assert_int_equal(occurrences(page, "\nsluice_rpc_calls_total{"), METRICS_METHODS_MAX + 1);
	assert_has(page, "sluice_rpc_calls_total{method=\"other\",code=\"OK\"} 10\n");
}

static void *count_calls(void *ctx)
{
	static const char *const names[] = {"/a", "/b", "/c", "/d", "/e"};
	for (unsigned i = 0; i < CALLS_EACH; i++) {
		metrics_call(ctx, names[i % SL_COUNT(names)], false, SL_OK, i);
	}
	return NULL;
}

static void test_metrics_counts_from_many_threads_while_scraped(void **state)
{
	pthread_t threads[THREADS];
	for (unsigned i = 0; i < THREADS; i++) {
		assert_int_equal(pthread_create(&threads[i], NULL, count_calls, *state), 0);
	}
	for (unsigned i = 0; i < 5; i++) {
		expect(*state, "GET", "/metrics", "HTTP/1.1 200 ");
	}
	for (unsigned i = 0; i < THREADS; i++) {
		(void)pthread_join(threads[i], NULL);
	}
	SL_AUTO(sl_free_auto) char *page = ask(*state, "GET", "/metrics");
	char line[96];
	(void)snprintf(line, sizeof(line), "sluice_rpc_calls_total{method=\"/c\",code=\"OK\"} %d\n",
		       THREADS * CALLS_EACH / 5);
	assert_has(page, line);
	assert_int_equal(occurrences(page, "\nsluice_rpc_calls_total{"), 5);
}

static void test_metrics_free_takes_null(void **state)
{
	(void)state;
	metrics_free(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(test_metrics_health_and_readiness, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_metrics_refuses_other_paths_and_methods, setup,
					    teardown),
	    cmocka_unit_test(test_metrics_refuses_addresses_that_others_reach),
	    cmocka_unit_test_setup_teardown(test_metrics_says_when_the_port_is_taken, setup,
					    teardown),
	    cmocka_unit_test_setup_teardown(test_metrics_values_with_labels_are_escaped, setup,
					    teardown),
	    cmocka_unit_test_setup_teardown(test_metrics_keeps_the_samples_of_a_family_together,
					    setup, teardown),
	    cmocka_unit_test_setup_teardown(test_metrics_calls_by_method_and_code, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_metrics_bounds_the_number_of_methods, setup,
					    teardown),
	    cmocka_unit_test_setup_teardown(test_metrics_counts_from_many_threads_while_scraped,
					    setup, teardown),
	    cmocka_unit_test(test_metrics_free_takes_null),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
