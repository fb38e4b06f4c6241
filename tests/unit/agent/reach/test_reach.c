/* agent/reach against servers of the test's own on loopback: what each step can end with, TLS in
 * the way of each kind, and certificates of every fault. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include <openssl/pem.h>
#include <openssl/ssl.h>

#include "agent/reach/reach.h"
#include "base/clock/clock.h"
#include "base/mem/own.h"
#include "tests/lib/certs.h"
#include "tests/lib/listener.h"

enum { STEP_MS = 30000, SHORT_MS = 2000, TARGET_ROOM = 8192 };
enum { PLAIN, ONCE, POSTGRES, MYSQL, SMTP }; /* as SourceTls */
enum { NOTHING, CHAIN, HOST };               /* as SourceVerify */

#define FAILURE(name) SLUICE__V1__SOURCE_TEST_FAILURE__SOURCE_TEST_FAILURE_##name
#define FINE FAILURE(UNSPECIFIED)
#define STEP(name) SLUICE__V1__SOURCE_TEST_STEP__SOURCE_TEST_STEP_##name

/* --- the certificates ------------------------------------------------------------------------ */

struct world {
	char *ca, *ca_key, *twin, *twin_key, *key;
	char *good, *old, *foreign; /* of the CA: for 127.0.0.1; expired; for another name */
};

static int setup(void **state)
{
	struct world *w = calloc(1, sizeof(*w));
	assert_non_null(w);
	const struct certs_shape ca = {.common_name = "Test CA", .is_ca = true};
	const struct certs_shape good = {
	    .common_name = "db", .dns = "db.example.org", .ip = "127.0.0.1", .eku = "serverAuth"};
	const struct certs_shape old = {
	    .ip = "127.0.0.1", .eku = "serverAuth", .from_s = -7200, .until_s = -3600};
	const struct certs_shape foreign = {.dns = "other.example.org", .eku = "serverAuth"};
	w->ca_key = certs_key();
	w->ca = certs_issue(&ca, w->ca_key, NULL, NULL);
	w->twin_key = certs_key();
	w->twin = certs_issue(&ca, w->twin_key, NULL, NULL);
	w->key = certs_key();
	w->good = certs_issue(&good, w->key, w->ca, w->ca_key);
	w->old = certs_issue(&old, w->key, w->ca, w->ca_key);
	w->foreign = certs_issue(&foreign, w->key, w->ca, w->ca_key);
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;
	char *const texts[] = {w->ca,  w->ca_key, w->twin, w->twin_key,
			       w->key, w->good,   w->old,  w->foreign};
	for (size_t i = 0; i < SL_COUNT(texts); i++) {
		free(texts[i]);
	}
	free(w);
	return 0;
}

/* --- the servers --- */

/* One turn of a talk before TLS: what the server says, and how much it hears afterwards. */
struct line {
	const char *say;
	size_t say_size, hear;
};

struct server {
	int listener;
	uint16_t port;
	pthread_t thread;
	struct line lines[4];   /* up to one with nothing in it */
	const char *cert, *key; /* NULL: no TLS */
	bool hangs;             /* says nothing more, and does not hang up */
	char heard[256];        /* all of it before TLS */
	size_t heard_size;
};

static void serve_tls(const struct server *server, int fd)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
	BIO *cert_bio = BIO_new_mem_buf(server->cert, -1),
	    *key_bio = BIO_new_mem_buf(server->key, -1);
	X509 *cert = PEM_read_bio_X509(cert_bio, NULL, NULL, NULL);
	EVP_PKEY *key = PEM_read_bio_PrivateKey(key_bio, NULL, NULL, NULL);
	(void)SSL_CTX_use_certificate(ctx, cert);
	(void)SSL_CTX_use_PrivateKey(ctx, key);
	SSL *ssl = SSL_new(ctx);
	(void)SSL_set_fd(ssl, fd);
	(void)SSL_accept(ssl);
	SSL_free(ssl);
	SSL_CTX_free(ctx);
	X509_free(cert);
	EVP_PKEY_free(key);
	BIO_free(cert_bio);
	BIO_free(key_bio);
}

static void *server_main(void *arg)
{
	struct server *server = arg;
	int fd = accept(server->listener, NULL, NULL);
	bool talks = fd >= 0;
	for (const struct line *line = server->lines;
	     talks && (line->say_size > 0 || line->hear > 0); line++) {
		(void)send(fd, line->say, line->say_size, MSG_NOSIGNAL);
		ssize_t got = line->hear == 0 ? 0
					      : recv(fd, server->heard + server->heard_size,
						     line->hear, MSG_WAITALL);
		talks = got >= 0;
		server->heard_size += got > 0 ? (size_t)got : 0;
	}
	if (talks && server->cert != NULL) {
		serve_tls(server, fd);
	}
	while (talks && server->hangs) {
		char byte = 0;
		server->hangs = recv(fd, &byte, 1, 0) > 0;
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

/* --- looking --- */

struct seen {
	Sluice__V1__SourceTestFailure failure;
	Sluice__V1__SourceTestStep reached;
	char text[256], protocol[16], subject[256], issuer[256], names[256], error[256];
	bool shown, verified;
	uint32_t resolve_us, connect_us, tls_us;
};

static void copy(struct seen *seen, const Sluice__V1__SourceTest *test)
{
	const Sluice__V1__SourceCertificate *cert = test->certificate;
	*seen = (struct seen){.failure = test->failure,
			      .reached = test->reached,
			      .shown = cert != NULL,
			      .verified = cert != NULL && cert->verified,
			      .resolve_us = test->resolve_us,
			      .connect_us = test->connect_us,
			      .tls_us = test->tls_us};
	(void)snprintf(seen->text, sizeof(seen->text), "%s", test->text);
	(void)snprintf(seen->protocol, sizeof(seen->protocol), "%s", test->protocol);
	if (cert == NULL) {
		return;
	}
	(void)snprintf(seen->subject, sizeof(seen->subject), "%s", cert->subject);
	(void)snprintf(seen->issuer, sizeof(seen->issuer), "%s", cert->issuer);
	(void)snprintf(seen->error, sizeof(seen->error), "%s", cert->verify_error);
	for (size_t i = 0; i < cert->n_names; i++) {
		size_t size = strlen(seen->names);
		(void)snprintf(seen->names + size, sizeof(seen->names) - size, "%s ",
			       cert->names[i]);
	}
	assert_true(cert->not_before->seconds < cert->not_after->seconds);
}

static struct seen look_at(const Sluice__V1__AgentSourceTarget *target, uint32_t step_ms)
{
	uint8_t bytes[TARGET_ROOM];
	struct reach *reach = NULL;
	struct sl_err err = SL_ERR_INIT;
	struct seen seen;
	size_t size = sluice__v1__agent_source_target__get_packed_size(target);
	assert_true(size <= sizeof(bytes));
	(void)sluice__v1__agent_source_target__pack(target, bytes);
	assert_int_equal(reach_start(SL_BYTES(bytes, size), step_ms, &reach, &err), SL_OK);
	const Sluice__V1__SourceTest *test = NULL;
	while ((test = reach_step(reach)) == NULL) {
		struct pollfd news = {.fd = reach_fd(reach), .events = POLLIN};
		uint64_t now = sl_clock_mono_ms(), until = reach_deadline_mono_ms(reach);
		(void)poll(&news, 1, until > now ? (int)(until - now) : 0);
	}
	copy(&seen, test);
	reach_free(reach);
	return seen;
}

static struct seen look(uint16_t port, int tls, int verify, const char *ca)
{
	Sluice__V1__AgentSourceTarget target = SLUICE__V1__AGENT_SOURCE_TARGET__INIT;
	target.host = (char *)"127.0.0.1";
	target.port = port;
	target.tls = (Sluice__V1__SourceTls)tls;
	target.verify = (Sluice__V1__SourceVerify)verify;
	target.ca = (char *)ca;
	return look_at(&target, STEP_MS);
}

static void expect(const struct seen *seen, Sluice__V1__SourceTestFailure failure,
		   Sluice__V1__SourceTestStep reached)
{
	if (seen->failure != failure || seen->reached != reached) {
		fail_msg("failure %d at step %d: %s", (int)seen->failure, (int)seen->reached,
			 seen->text);
	}
}

/* --- name and connection ---------------------------------------------------------------------- */

static void test_a_server_in_the_clear(void **state)
{
	(void)state;
	struct server server = {.hangs = true};
	server_start(&server);
	struct seen seen = look(server.port, PLAIN, NOTHING, "");
	expect(&seen, FINE, STEP(CONNECT));
	assert_true(seen.resolve_us > 0 && seen.connect_us > 0 && seen.tls_us == 0);
	assert_string_equal(seen.text, "");
	assert_false(seen.shown);
	server_stop(&server);
	assert_int_equal(server.heard_size, 0);
}

static void test_nobody_listens(void **state)
{
	(void)state;
	struct server server = {.hangs = true};
	server.listener = listener_open(4, &server.port);
	(void)close(server.listener);
	struct seen seen = look(server.port, ONCE, HOST, "");
	expect(&seen, FAILURE(REFUSED), STEP(CONNECT));
	assert_string_equal(seen.text, "Connection refused");
}

static void test_a_name_that_is_unknown(void **state)
{
	(void)state;
	Sluice__V1__AgentSourceTarget target = SLUICE__V1__AGENT_SOURCE_TARGET__INIT;
	target.host = (char *)"no-such-host.invalid";
	target.port = 5432;
	struct seen seen = look_at(&target, STEP_MS);
	expect(&seen, FAILURE(NAME_NOT_FOUND), STEP(RESOLVE));
	assert_null(strstr(seen.text, "no-such-host")); /* a name may be a secret's */
	target.host = (char *)"localhost";
	struct server server = {.hangs = true};
	server_start(&server);
	target.port = server.port;
	seen = look_at(&target, STEP_MS);
	expect(&seen, FINE, STEP(CONNECT));
	server_stop(&server);
}

/* Nobody takes the connection from the listener's full queue. */
static void test_nobody_answers_the_connection(void **state)
{
	(void)state;
	enum { FILLERS = 32 };
	struct server server = {.hangs = true};
	int fillers[FILLERS];
	server.listener = listener_open(0, &server.port);
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(server.port)};
	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	for (size_t i = 0; i < FILLERS; i++) {
		fillers[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
		(void)connect(fillers[i], (struct sockaddr *)&address, sizeof(address));
	}
	Sluice__V1__AgentSourceTarget target = SLUICE__V1__AGENT_SOURCE_TARGET__INIT;
	target.host = (char *)"127.0.0.1";
	target.port = server.port;
	struct seen seen = look_at(&target, SHORT_MS);
	expect(&seen, FAILURE(TIMED_OUT), STEP(CONNECT));
	for (size_t i = 0; i < FILLERS; i++) {
		(void)close(fillers[i]);
	}
	(void)close(server.listener);
}

static void test_targets_that_are_none(void **state)
{
	(void)state;
	Sluice__V1__AgentSourceTarget target = SLUICE__V1__AGENT_SOURCE_TARGET__INIT;
	target.port = 1;
	assert_int_equal(look_at(&target, STEP_MS).failure, FAILURE(AGENT_FAILED));
	target.host = (char *)"127.0.0.1";
	target.port = 0;
	assert_int_equal(look_at(&target, STEP_MS).failure, FAILURE(AGENT_FAILED));
	target.port = 65536;
	assert_int_equal(look_at(&target, STEP_MS).failure, FAILURE(AGENT_FAILED));
}

/* --- TLS --- */

static struct seen look_with(const struct world *w, const char *cert, int verify, const char *ca)
{
	struct server server = {.cert = cert, .key = w->key};
	server_start(&server);
	struct seen seen = look(server.port, ONCE, verify, ca);
	server_stop(&server);
	assert_true(seen.shown && seen.tls_us > 0);
	return seen;
}

static void test_certificates(void **state)
{
	const struct world *w = *state;
	const struct {
		const char *cert, *ca;
		int verify;
		Sluice__V1__SourceTestFailure failure;
		bool verified;
	} cases[] = {
	    {w->good, w->ca, HOST, FINE, true},
	    {w->good, w->ca, CHAIN, FINE, true},
	    {w->good, w->twin, HOST, FAILURE(CERTIFICATE_UNTRUSTED), false},
	    {w->good, w->twin, CHAIN, FAILURE(CERTIFICATE_UNTRUSTED), false},
	    {w->good, "", HOST, FAILURE(CERTIFICATE_UNTRUSTED), false}, /* the machine's roots */
	    {w->good, w->twin, NOTHING, FINE, false},
	    {w->old, w->ca, HOST, FAILURE(CERTIFICATE_EXPIRED), false},
	    {w->old, w->ca, CHAIN, FAILURE(CERTIFICATE_EXPIRED), false},
	    {w->old, w->ca, NOTHING, FINE, false},
	    {w->foreign, w->ca, HOST, FAILURE(CERTIFICATE_WRONG_NAME), false},
	    {w->foreign, w->ca, CHAIN, FINE, false},
	    {w->foreign, w->twin, HOST, FAILURE(CERTIFICATE_UNTRUSTED), false},
	};
	for (size_t i = 0; i < SL_COUNT(cases); i++) {
		struct seen seen = look_with(w, cases[i].cert, cases[i].verify, cases[i].ca);
		if (seen.failure != cases[i].failure || seen.verified != cases[i].verified ||
		    (seen.error[0] == '\0') != cases[i].verified) {
			fail_msg("case %zu: failure %d, verified %d: %s (%s)", i, (int)seen.failure,
				 seen.verified, seen.text, seen.error);
		}
	}
}

static void test_what_a_certificate_says(void **state)
{
	const struct world *w = *state;
	struct seen seen = look_with(w, w->good, HOST, w->ca);
	assert_string_equal(seen.protocol, "TLSv1.3");
	assert_string_equal(seen.subject, "CN=db");
	assert_string_equal(seen.issuer, "CN=Test CA");
	assert_string_equal(seen.names, "db.example.org 127.0.0.1 ");
	seen = look_with(w, w->foreign, HOST, w->ca);
	assert_string_equal(seen.error, seen.text);
	assert_non_null(strstr(seen.text, "mismatch"));
}

static void test_roots_that_are_no_pem(void **state)
{
	(void)state;
	struct server server = {.hangs = true};
	server_start(&server);
	struct seen seen = look(server.port, ONCE, HOST, "no certificate");
	expect(&seen, FAILURE(CA_UNREADABLE), STEP(UNSPECIFIED));
	assert_null(strstr(seen.text, "no certificate"));
	server_stop(&server);
}

static void test_a_server_without_tls(void **state)
{
	(void)state;
	static const char http[] = "HTTP/1.1 400 Bad Request\r\n\r\n";
	struct server server = {
	    .lines = {{.hear = 10}, {.say = http, .say_size = sizeof(http) - 1}}};
	server_start(&server);
	struct seen seen = look(server.port, ONCE, HOST, "");
	expect(&seen, FAILURE(NO_TLS), STEP(TLS));
	server_stop(&server);
	server = (struct server){.lines = {{.hear = 10}}};
	server_start(&server);
	seen = look(server.port, ONCE, HOST, "");
	expect(&seen, FAILURE(CONNECTION_LOST), STEP(TLS));
	server_stop(&server);
}

static void test_a_server_that_is_silent_in_the_handshake(void **state)
{
	(void)state;
	struct server server = {.hangs = true};
	Sluice__V1__AgentSourceTarget target = SLUICE__V1__AGENT_SOURCE_TARGET__INIT;
	server_start(&server);
	target.host = (char *)"127.0.0.1";
	target.port = server.port;
	target.tls = SLUICE__V1__SOURCE_TLS__SOURCE_TLS_AT_ONCE;
	uint64_t begun = sl_clock_mono_ms();
	struct seen seen = look_at(&target, SHORT_MS);
	expect(&seen, FAILURE(TIMED_OUT), STEP(TLS));
	assert_string_equal(seen.text, "no answer within 2000 ms");
	assert_true(seen.connect_us > 0 && sl_clock_mono_ms() - begun < STEP_MS);
	server_stop(&server);
}

/* --- TLS in the middle of another protocol --- */

#define SAY(text) .say = text, .say_size = sizeof(text) - 1
#define GREETING                                                                                   \
	"\x0a"                                                                                     \
	"8.0.1\0"                                                                                  \
	"\1\0\0\0"                                                                                 \
	"saltsalt"                                                                                 \
	"\0"

static const struct line greeting_with_tls = {SAY("\x17\0\0\0" GREETING "\xff\xff\x2d"),
					      .hear = 36};

static void test_tls_after_a_request(void **state)
{
	const struct world *w = *state;
	const struct {
		int tls;
		struct line lines[4];
		const char *heard;
		size_t heard_size;
	} cases[] = {
	    {POSTGRES, {{.hear = 8}, {SAY("S")}}, "\0\0\0\x08\x04\xd2\x16\x2f", 8},
	    {MYSQL, {greeting_with_tls}, "\x20\0\0\1\0\x8a", 6},
	    {SMTP,
	     {{SAY("220-mail\r\n220 ready\r\n"), .hear = 16},
	      {SAY("250-mail\r\n250-STARTTLS\r\n250 SIZE 1\n"), .hear = 10},
	      {SAY("220 go\r\n")}},
	     "EHLO localhost\r\nSTARTTLS\r\n",
	     26},
	};
	for (size_t i = 0; i < SL_COUNT(cases); i++) {
		struct server server = {.cert = w->good, .key = w->key};
		memcpy(server.lines, cases[i].lines, sizeof(server.lines));
		server_start(&server);
		struct seen seen = look(server.port, cases[i].tls, HOST, w->ca);
		server_stop(&server);
		expect(&seen, FINE, STEP(TLS));
		assert_true(seen.verified);
		assert_true(server.heard_size >= cases[i].heard_size);
		assert_memory_equal(server.heard, cases[i].heard, cases[i].heard_size);
	}
}

static const struct {
	int tls;
	struct line lines[4];
	Sluice__V1__SourceTestFailure failure;
	const char *text;
} refusals[] = {
    {POSTGRES, {{.hear = 8}, {SAY("N")}}, FAILURE(NO_TLS), "says that it has no TLS"},
    {POSTGRES, {{.hear = 8}, {SAY("E")}}, FAILURE(NO_TLS), "no server of this kind"},
    {POSTGRES, {{.hear = 8}}, FAILURE(CONNECTION_LOST), "hung up"},
    {POSTGRES, {{.hear = 8}, {SAY("Sxxxxxxxxxxxxxxx")}}, FAILURE(NO_TLS), "speaks no TLS"},
    {MYSQL, {{SAY("\x16\0\0\0" GREETING "\xff\xf7")}}, FAILURE(NO_TLS), "says that it has no TLS"},
    {MYSQL, {{SAY("\x15\0\0\0" GREETING "\xff")}}, FAILURE(NO_TLS), "no server of this kind"},
    {MYSQL,
     {{SAY("\4\0\0\0"
	   "\xff"
	   "abc")}},
     FAILURE(NO_TLS),
     "no server of this kind"},
    {MYSQL, {{SAY("\1\0\0\0\x0a")}}, FAILURE(NO_TLS), "no server of this kind"},
    {MYSQL, {{SAY("\0\0\0\0")}}, FAILURE(NO_TLS), "no server of this kind"},
    {MYSQL, {{SAY("HTTP/1.1 400 Bad Request")}}, FAILURE(NO_TLS), "no server of this kind"},
    {MYSQL, {{SAY("\x19\0\0")}}, FAILURE(CONNECTION_LOST), "hung up"},
    {MYSQL, {{SAY("\x19\0\0\0\x0a")}}, FAILURE(CONNECTION_LOST), "hung up"},
    {SMTP,
     {{SAY("220 mail\r\n"), .hear = 16}, {SAY("250-mail\r\n250 SIZE 1\r\n")}},
     FAILURE(NO_TLS),
     "says that it has no TLS"},
    {SMTP,
     {{SAY("220 mail\r\n"), .hear = 16}, {SAY("502 what?\r\n")}},
     FAILURE(NO_TLS),
     "no server of this kind"},
    {SMTP, {{SAY("554 no\r\n")}}, FAILURE(NO_TLS), "no server of this kind"},
    {SMTP, {{SAY("220-mail\r\n")}}, FAILURE(CONNECTION_LOST), "hung up"},
};

static void test_servers_that_refuse_tls(void **state)
{
	const struct world *w = *state;
	for (size_t i = 0; i < SL_COUNT(refusals); i++) {
		struct server server = {.listener = -1};
		memcpy(server.lines, refusals[i].lines, sizeof(server.lines));
		server_start(&server);
		struct seen seen = look(server.port, refusals[i].tls, HOST, w->ca);
		server_stop(&server);
		if (seen.failure != refusals[i].failure || seen.reached != STEP(TLS) ||
		    strstr(seen.text, refusals[i].text) == NULL) {
			fail_msg("case %zu: failure %d: %s", i, (int)seen.failure, seen.text);
		}
	}
}

static void test_a_server_without_tls_will_do_where_it_is_preferred(void **state)
{
	(void)state;
	struct server server = {.lines = {{.hear = 8}, {SAY("N")}}};
	Sluice__V1__AgentSourceTarget target = SLUICE__V1__AGENT_SOURCE_TARGET__INIT;
	server_start(&server);
	target.host = (char *)"127.0.0.1";
	target.port = server.port;
	target.tls = SLUICE__V1__SOURCE_TLS__SOURCE_TLS_POSTGRES;
	target.tls_optional = true;
	struct seen seen = look_at(&target, STEP_MS);
	expect(&seen, FINE, STEP(TLS));
	assert_string_equal(seen.protocol, "");
	server_stop(&server);
}

int main(int argc, char **argv)
{
	if (argc > 1 && strcmp(argv[1], "reach-worker") == 0) {
		return reach_worker_main();
	}
	(void)signal(SIGPIPE, SIG_IGN); /* OpenSSL writes to who has hung up */
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_a_server_in_the_clear),
	    cmocka_unit_test(test_nobody_listens),
	    cmocka_unit_test(test_a_name_that_is_unknown),
	    cmocka_unit_test(test_nobody_answers_the_connection),
	    cmocka_unit_test(test_targets_that_are_none),
	    cmocka_unit_test(test_certificates),
	    cmocka_unit_test(test_what_a_certificate_says),
	    cmocka_unit_test(test_roots_that_are_no_pem),
	    cmocka_unit_test(test_a_server_without_tls),
	    cmocka_unit_test(test_a_server_that_is_silent_in_the_handshake),
	    cmocka_unit_test(test_tls_after_a_request),
	    cmocka_unit_test(test_servers_that_refuse_tls),
	    cmocka_unit_test(test_a_server_without_tls_will_do_where_it_is_preferred),
	};
	return cmocka_run_group_tests(tests, setup, teardown);
}
