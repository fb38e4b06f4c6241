#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "agent/probe/probe.h"
#include "base/clock/clock.h"
#include "base/mem/own.h"
#include "tests/lib/listener.h"

/* A server that answers one connection with `answer` (NULL: with silence) and keeps the request. */
struct server {
	int listener;
	uint16_t port;
	pthread_t thread;
	const char *answer;
	unsigned pause_ms; /* between the bytes of the answer */
	char request[1024];
};

static void *server_main(void *arg)
{
	struct server *server = arg;
	int fd = accept(server->listener, NULL, NULL);
	ssize_t got = fd >= 0 ? recv(fd, server->request, sizeof(server->request) - 1, 0) : 0;
	server->request[got > 0 ? got : 0] = '\0';
	if (server->answer == NULL) {
		(void)recv(fd, server->request, 1, 0); /* until the probe gives up */
	} else if (server->pause_ms == 0) {
		(void)send(fd, server->answer, strlen(server->answer), MSG_NOSIGNAL);
	}
	for (const char *at = server->answer; server->pause_ms > 0 && at != NULL && *at != '\0';
	     at++) {
		(void)send(fd, at, 1, MSG_NOSIGNAL);
		(void)poll(NULL, 0, (int)server->pause_ms);
	}
	if (fd >= 0) {
		(void)close(fd);
	}
	return NULL;
}

static void server_start(struct server *server)
{
	server->listener = listener_open(4, &server->port);
	assert_int_equal(pthread_create(&server->thread, NULL, server_main, server), 0);
}

static void server_stop(struct server *server)
{
	(void)shutdown(server->listener, SHUT_RDWR);
	(void)pthread_join(server->thread, NULL);
	(void)close(server->listener);
}

/* The probe's answer; `why` has 256 bytes. */
static bool ask(const char *text, uint64_t timeout_ms, char *why)
{
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	struct probe *probe = NULL;
	bool ok = false;
	why[0] = '\0';
	assert_int_equal(probe_start(text, "app_x", "shop", timeout_ms, &probe, &err), SL_OK);
	for (;;) {
		struct pollfd fd = {.fd = probe_fd(probe), .events = probe_events(probe)};
		uint64_t now = sl_clock_mono_ms(), end = probe_deadline_mono_ms(probe);
		(void)poll(&fd, 1, now < end ? (int)(end - now) : 0);
		if (probe_step(probe, &ok, why, 256)) {
			break;
		}
	}
	probe_free(probe);
	return ok;
}

static void test_probe_http_answers(void **state)
{
	static const struct {
		const char *answer, *why;
		unsigned pause_ms;
		bool ok;
	} rows[] = {
	    {"HTTP/1.1 200 OK\r\n\r\nhello", "", 0, true},
	    {"HTTP/1.0 204 None\r\n\r\n", "", 0, true},
	    {"HTTP/1.1 200 OK\r\n\r\n", "", 2, true},
	    {"HTTP/1.1 302 Found\r\nLocation: /x\r\n\r\n", "", 0, true},
	    {"HTTP/1.1 404 Not Found\r\n\r\n", "HTTP 404", 0, false},
	    {"HTTP/1.1 503 Busy\r\n\r\n", "HTTP 503", 0, false},
	    {"HTTP/1.1 100 Continue\r\n\r\n", "HTTP 100", 0, false},
	    {"SSH-2.0-OpenSSH_9.2\r\n", "no HTTP answer", 0, false},
	    {"HTTP/2.0 200 OK\r\n", "no HTTP answer", 0, false},
	    {"HTTP/1.1 999 Huh\r\n", "no HTTP answer", 0, false},
	    {"HTTP/1.1 200", "no HTTP answer", 0, false},
	    {"", "no HTTP answer", 0, false},
	};
	(void)state;
	for (size_t i = 0; i < SL_COUNT(rows); i++) {
		struct server server = {.answer = rows[i].answer, .pause_ms = rows[i].pause_ms};
		char text[128], why[256];
		server_start(&server);
		(void)snprintf(text, sizeof(text), "http://127.0.0.1:%u/{slug}/x?id={app}",
			       server.port);
		bool ok = ask(text, 60000, why);
		server_stop(&server);
		if (ok != rows[i].ok || strstr(why, rows[i].why) == NULL) {
			fail_msg("row %zu: %d '%s'", i, ok, why);
		}
		assert_non_null(strstr(server.request, "GET /shop/x?id=app_x HTTP/1.1\r\n"));
		assert_non_null(strstr(server.request, "\r\nHost: 127.0.0.1:"));
		assert_non_null(strstr(server.request, "\r\nConnection: close\r\n"));
	}
}

static void test_probe_http_endless_line_ends(void **state)
{
	(void)state;
	char line[4096], text[64], why[256];
	memset(line, 'a', sizeof(line) - 1);
	line[sizeof(line) - 1] = '\0';
	struct server server = {.answer = line};
	server_start(&server);
	(void)snprintf(text, sizeof(text), "http://localhost:%u", server.port);
	assert_false(ask(text, 60000, why));
	assert_non_null(strstr(why, "no HTTP answer"));
	server_stop(&server);
}

static void test_probe_http_silence_times_out(void **state)
{
	(void)state;
	struct server server = {.answer = NULL};
	char text[64], why[256];
	server_start(&server);
	(void)snprintf(text, sizeof(text), "http://127.0.0.1:%u/", server.port);
	uint64_t start = sl_clock_mono_ms();
	assert_false(ask(text, 100, why));
	assert_in_range(sl_clock_mono_ms() - start, 90, 30000);
	assert_non_null(strstr(why, "no answer within 100 ms"));
	server_stop(&server);
}

static void test_probe_tcp(void **state)
{
	(void)state;
	struct server server = {.answer = ""};
	char text[64], why[256];
	server.listener = listener_open(4, &server.port);
	(void)snprintf(text, sizeof(text), "tcp:127.0.0.1:%u", server.port);
	assert_true(ask(text, 60000, why));
	(void)close(server.listener);
	assert_false(ask(text, 60000, why));
	assert_non_null(strstr(why, "Connection refused"));
	(void)snprintf(text, sizeof(text), "http://127.0.0.1:%u/", server.port);
	assert_false(ask(text, 60000, why));
	assert_non_null(strstr(why, "Connection refused"));
}

static void test_probe_command(void **state)
{
	(void)state;
	char why[256];
	assert_true(ask("cmd:test {slug} = shop && test {app} = app_x", 60000, why));
	assert_false(ask("cmd:exit 3", 60000, why));
	assert_non_null(strstr(why, "exit status 3"));
	assert_false(ask("cmd:kill -9 $$", 60000, why));
	assert_non_null(strstr(why, "signal 9"));
	uint64_t start = sl_clock_mono_ms();
	assert_false(ask("cmd:sleep 60 & sleep 60", 100, why));
	assert_true(sl_clock_mono_ms() - start < 30000);
	assert_non_null(strstr(why, "killed after 100 ms"));
}

static void test_probe_texts(void **state)
{
	static const struct {
		const char *text;
		bool fine;
	} rows[] = {
	    {"http://127.0.0.1:80/", true},
	    {"http://127.0.0.1:80", true},
	    {"http://localhost:65535/a?b", true},
	    {"http://[::1]:8080/{slug}", true},
	    {"tcp:10.0.0.1:1", true},
	    {"cmd:true", true},
	    {"", false},
	    {"cmd:", false},
	    {"https://127.0.0.1:80/", false},
	    {"http://127.0.0.1/", false},
	    {"http://127.0.0.1:0/", false},
	    {"http://127.0.0.1:65536/", false},
	    {"http://127.0.0.1:8080x/", false},
	    {"http://example.com:80/", false},
	    {"http://::1:80/", false},
	    {"http://127.0.0.1:80/a b", false},
	    {"http://127.0.0.1:80/a\r\nX: y", false},
	    {"http://127.0.0.1:80/#x", false},
	    {"tcp:127.0.0.1", false},
	    {"tcp:127.0.0.1:", false},
	    {"tcp:127.0.0.1:+1", false},
	    {"127.0.0.1:80", false},
	};
	(void)state;
	for (size_t i = 0; i < SL_COUNT(rows); i++) {
		SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
		if ((probe_check(rows[i].text, &err) == SL_OK) != rows[i].fine) {
			fail_msg("'%s': %s", rows[i].text, err.msg);
		}
	}
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	char wide[4096] = "cmd:";
	memset(wide + 4, 'a', sizeof(wide) - 5);
	assert_int_equal(probe_check(wide, &err), SL_INVALID_ARGUMENT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_probe_http_answers),
	    cmocka_unit_test(test_probe_http_endless_line_ends),
	    cmocka_unit_test(test_probe_http_silence_times_out),
	    cmocka_unit_test(test_probe_tcp),
	    cmocka_unit_test(test_probe_command),
	    cmocka_unit_test(test_probe_texts),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
