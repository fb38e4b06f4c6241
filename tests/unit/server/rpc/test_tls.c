/* Both ends of the project's own wire over TLS: who gets in, who it is, what changes while
 * it serves. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "base/crypto/crypto.h"
#include "base/mem/own.h"
#include "client/rpc/rpc.h"
#include "server/rpc/rpc.h"
#include "tests/lib/certs.h"

#define URI "spiffe://sluice/agent/ins_a/idn_b"
enum { CALL_MS = 60000 };

SL_DEFINE_AUTO(struct crpc_channel *, crpc_channel_free);
SL_DEFINE_AUTO(struct crpc_stream *, crpc_stream_free);

struct fixture {
	char *ca, *ca_key, *other, *other_key; /* CAs of the same name */
	char *server, *server_key, *key, *cert;
	pthread_mutex_t lock; /* guards `now` */
	struct rpc_certificates now;
	atomic_uint generation, asked, handled;
	atomic_bool admits;
	struct rpc_tls tls;
	struct rpc_server *rpc;
	pthread_t thread;
	char target[32];
};

static unsigned generation(void *ctx)
{
	return atomic_load(&((struct fixture *)ctx)->generation);
}

static void certificates(void *ctx, void (*use)(void *use_ctx, const struct rpc_certificates *),
			 void *use_ctx)
{
	struct fixture *f = ctx;
	pthread_mutex_lock(&f->lock);
	use(use_ctx, &f->now);
	pthread_mutex_unlock(&f->lock);
}

static void swap(struct fixture *f, const char *cert, const char *key, const char *ca)
{
	pthread_mutex_lock(&f->lock);
	f->now = (struct rpc_certificates){.cert_pem = cert, .key_pem = key, .ca_pem = ca};
	pthread_mutex_unlock(&f->lock);
	atomic_fetch_add(&f->generation, 1);
}

static bool admit(void *ctx, const struct tls_cert *cert)
{
	struct fixture *f = ctx;
	(void)cert;
	atomic_fetch_add(&f->asked, 1);
	return atomic_load(&f->admits);
}

/* Replies with the caller's identity, or nothing. */
static void who(struct rpc_call *call, struct sl_bytes request, void *ctx)
{
	(void)request;
	const struct rpc_peer_identity *peer = rpc_call_identity(call);
	atomic_fetch_add(&((struct fixture *)ctx)->handled, 1);
	rpc_call_finish(call, SL_OK, NULL,
			peer != NULL ? SL_BYTES(peer, sizeof(*peer)) : SL_BYTES_NONE);
}

static void opened(struct rpc_stream *stream, void *ctx)
{
	(void)ctx;
	const struct rpc_peer_identity *peer = rpc_stream_identity(stream);
	assert_non_null(peer);
	assert_int_equal(rpc_stream_send_bytes(stream, SL_BYTES(peer, sizeof(*peer)), 1), SL_OK);
	rpc_stream_finish(stream, SL_OK, NULL);
}

static const struct rpc_stream_events stream_events = {.opened = opened};
static const struct rpc_method methods[] = {
    {.path = "/t/Who", .handle = who},
    {.path = "/t/Stream", .stream = &stream_events},
};

static void *serve(void *rpc)
{
	rpc_server_run(rpc);
	return NULL;
}

static void start(struct fixture *f, unsigned age_ms)
{
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	const struct rpc_options options = {
	    .listen = "127.0.0.1:0",
	    .methods = methods,
	    .method_count = SL_COUNT(methods),
	    .services = (const char *const[]){NULL},
	    .ctx = f,
	    .tick_ms = 20,
	    .tls = &f->tls,
	    .connection_age_ms = age_ms,
	};
	if (rpc_server_new(&options, &f->rpc, &err) != SL_OK) {
		fail_msg("%s", err.msg);
	}
	assert_int_equal(pthread_create(&f->thread, NULL, serve, f->rpc), 0);
	(void)snprintf(f->target, sizeof(f->target), "127.0.0.1:%d", rpc_server_port(f->rpc));
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	const struct certs_shape ca = {.common_name = "Sluice CA", .is_ca = true};
	const struct certs_shape server = {.ip = "127.0.0.1", .eku = "serverAuth"};
	const struct certs_shape client = {.uris = {URI}, .eku = "clientAuth"};
	assert_non_null(f);
	crpc_init();
	pthread_mutex_init(&f->lock, NULL);
	f->ca_key = certs_key();
	f->ca = certs_issue(&ca, f->ca_key, NULL, NULL);
	f->other_key = certs_key();
	f->other = certs_issue(&ca, f->other_key, NULL, NULL);
	f->server_key = certs_key();
	f->server = certs_issue(&server, f->server_key, f->ca, f->ca_key);
	f->key = certs_key();
	f->cert = certs_issue(&client, f->key, f->ca, f->ca_key);
	f->admits = true;
	f->tls = (struct rpc_tls){
	    .generation = generation, .certificates = certificates, .admit = admit, .ctx = f};
	swap(f, f->server, f->server_key, f->ca);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	if (f->rpc != NULL) {
		rpc_server_stop(f->rpc);
		(void)pthread_join(f->thread, NULL);
		rpc_server_free(f->rpc);
	}
	char *const texts[] = {f->ca,     f->ca_key,     f->other, f->other_key,
			       f->server, f->server_key, f->key,   f->cert};
	for (size_t i = 0; i < SL_COUNT(texts); i++) {
		free(texts[i]);
	}
	pthread_mutex_destroy(&f->lock);
	free(f);
	crpc_shutdown();
	return 0;
}

static struct crpc_channel *dial(const struct fixture *f, const char *ca, const char *cert)
{
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	struct crpc_channel *channel = NULL;
	const struct crpc_options options = {
	    .target = f->target,
	    .own_connection = true,
	    .ca_pem = ca,
	    .cert_pem = cert,
	    .key_pem = cert != NULL ? f->key : NULL,
	};
	if (crpc_channel_new(&options, &channel, &err) != SL_OK) {
		fail_msg("%s", err.msg);
	}
	return channel;
}

static sl_code ask(struct crpc_channel *channel, struct rpc_peer_identity *ret_peer)
{
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	SL_AUTO(sl_free_auto) uint8_t *reply = NULL;
	size_t size = 0;
	sl_code code =
	    crpc_unary(channel, "/t/Who", SL_BYTES_NONE, CALL_MS, false, &reply, &size, &err);
	*ret_peer = (struct rpc_peer_identity){.uri = ""};
	if (code == SL_OK && size > 0) {
		assert_int_equal(size, sizeof(*ret_peer));
		memcpy(ret_peer, reply, size);
	}
	return code;
}

static sl_code ask_as(const struct fixture *f, const char *ca, const char *cert)
{
	SL_AUTO(crpc_channel_free_auto) struct crpc_channel *channel = dial(f, ca, cert);
	struct rpc_peer_identity peer;
	return ask(channel, &peer);
}

static void test_tls_call_and_stream_know_the_caller(void **state)
{
	struct fixture *f = *state;
	start(f, 0);
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	SL_AUTO(crpc_channel_free_auto) struct crpc_channel *channel = dial(f, f->ca, f->cert);
	struct rpc_peer_identity first, second;
	assert_int_equal(ask(channel, &first), SL_OK);
	assert_int_equal(ask(channel, &second), SL_OK);
	assert_memory_equal(&first, &second, sizeof(first));
	struct tls_cert cert;
	uint8_t hash[SL_HASH_BYTES];
	assert_int_equal(tls_cert_read(sl_bytes_text(f->cert), &cert, &err), SL_OK);
	sl_hash(hash, f->cert, strlen(f->cert), NULL, 0);
	assert_string_equal(first.uri, URI);
	assert_int_equal(first.not_after_ms, cert.not_after_ms);
	assert_int_equal(first.serial_size, cert.serial_size);
	assert_memory_equal(first.serial, cert.serial, cert.serial_size);
	assert_memory_equal(first.fingerprint, hash, sizeof(hash));
	assert_memory_equal(first.key_fingerprint, cert.fingerprint, sizeof(cert.fingerprint));
	SL_AUTO(crpc_stream_free_auto) struct crpc_stream *stream = NULL;
	SL_AUTO(sl_free_auto) uint8_t *message = NULL;
	size_t size = 0;
	bool ended = false;
	assert_int_equal(crpc_stream_open(channel, "/t/Stream", CALL_MS, &stream, &err), SL_OK);
	assert_int_equal(crpc_stream_recv(stream, CALL_MS, &message, &size, &ended, &err), SL_OK);
	assert_int_equal(size, sizeof(first));
	assert_memory_equal(message, &first, size);
	assert_int_equal(f->asked, 1); /* one connection, one handshake */
}

static void test_tls_refuses_whom_it_should(void **state)
{
	struct fixture *f = *state;
	start(f, 0);
	const struct {
		const char *what;
		struct certs_shape shape;
		const char *issuer, *issuer_key; /* NULL: itself */
	} rows[] = {
	    {"CA of the same name", {.uris = {URI}, .eku = "clientAuth"}, f->other, f->other_key},
	    {"self-signed", {.uris = {URI}, .eku = "clientAuth"}, NULL, NULL},
	    {"not yet valid",
	     {.uris = {URI}, .eku = "clientAuth", .from_s = 60, .until_s = 120},
	     f->ca,
	     f->ca_key},
	    {"for servers", {.uris = {URI}, .eku = "serverAuth"}, f->ca, f->ca_key},
	    {"for nothing", {.uris = {URI}}, f->ca, f->ca_key},
	    {"two URIs", {.uris = {URI, URI "2"}, .eku = "clientAuth"}, f->ca, f->ca_key},
	    {"no name", {.eku = "clientAuth"}, f->ca, f->ca_key},
	};
	for (size_t i = 0; i < SL_COUNT(rows); i++) {
		SL_AUTO(sl_free_auto)
		char *cert =
		    certs_issue(&rows[i].shape, f->key, rows[i].issuer, rows[i].issuer_key);
		sl_code code = ask_as(f, f->ca, cert);
		if (code != SL_UNAVAILABLE || f->asked != 0) {
			fail_msg("%s: %s", rows[i].what, sl_code_name(code));
		}
	}
	assert_int_equal(ask_as(f, f->ca, NULL), SL_UNAVAILABLE);       /* no certificate */
	assert_int_equal(ask_as(f, NULL, NULL), SL_UNAVAILABLE);        /* no TLS */
	assert_int_equal(ask_as(f, f->other, f->cert), SL_UNAVAILABLE); /* not the client's CA */
	assert_int_equal(f->asked, 0);
	f->admits = false;
	assert_int_equal(ask_as(f, f->ca, f->cert), SL_UNAVAILABLE);
	assert_int_equal(f->asked, 1);
	assert_int_equal(f->handled, 0);
	f->admits = true;
	assert_int_equal(ask_as(f, f->ca, f->cert), SL_OK);
	assert_int_equal(f->handled, 1);
}

static void test_tls_certificates_change_while_it_serves(void **state)
{
	struct fixture *f = *state;
	start(f, 0);
	SL_AUTO(crpc_channel_free_auto) struct crpc_channel *old = dial(f, f->ca, f->cert);
	struct rpc_peer_identity peer;
	assert_int_equal(ask(old, &peer), SL_OK);
	const struct certs_shape shape = {.ip = "127.0.0.1", .eku = "serverAuth"};
	SL_AUTO(sl_free_auto) char *key = certs_key();
	SL_AUTO(sl_free_auto) char *cert = certs_issue(&shape, key, f->other, f->other_key);
	swap(f, cert, key, f->ca);
	assert_int_equal(ask_as(f, f->ca, f->cert), SL_UNAVAILABLE);
	assert_int_equal(ask_as(f, f->other, f->cert), SL_OK);
	/* What cannot be used changes nothing. */
	swap(f, "nonsense", key, f->ca);
	assert_int_equal(ask_as(f, f->other, f->cert), SL_OK);
	swap(f, f->server, key, f->ca); /* they do not belong together */
	assert_int_equal(ask_as(f, f->other, f->cert), SL_OK);
	swap(f, f->server, f->server_key, f->ca);
	assert_int_equal(ask_as(f, f->ca, f->cert), SL_OK);
	assert_int_equal(ask(old, &peer), SL_OK); /* its connection never noticed */
}

static void test_tls_first_certificates_must_be_good(void **state)
{
	struct fixture *f = *state;
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	swap(f, "nonsense", f->server_key, f->ca);
	const struct rpc_options options = {
	    .listen = "127.0.0.1:0",
	    .services = (const char *const[]){NULL},
	    .tls = &f->tls,
	};
	assert_int_equal(rpc_server_new(&options, &f->rpc, &err), SL_UNAVAILABLE);
	assert_null(f->rpc);
}

static void test_tls_without_admit_asks_nobody(void **state)
{
	struct fixture *f = *state;
	f->tls.admit = NULL;
	start(f, 0);
	struct rpc_peer_identity peer;
	SL_AUTO(crpc_channel_free_auto) struct crpc_channel *channel = dial(f, f->ca, NULL);
	assert_int_equal(ask(channel, &peer), SL_OK);
	assert_string_equal(peer.uri, "");
	assert_int_equal(ask_as(f, f->ca, f->cert), SL_OK);
	assert_int_equal(ask_as(f, f->other, NULL), SL_UNAVAILABLE);
	assert_int_equal(f->asked, 0);
}

static void test_tls_old_connections_come_back_through_the_handshake(void **state)
{
	struct fixture *f = *state;
	start(f, 200);
	SL_AUTO(crpc_channel_free_auto) struct crpc_channel *channel = dial(f, f->ca, f->cert);
	struct rpc_peer_identity peer;
	for (unsigned i = 0; i < 100 && f->asked < 3; i++) {
		assert_int_equal(ask(channel, &peer), SL_OK);
		(void)nanosleep(&(struct timespec){.tv_nsec = 50 * 1000 * 1000}, NULL);
	}
	assert_true(f->asked >= 3);
}

static void test_tls_client_refuses_what_it_cannot_use(void **state)
{
	struct fixture *f = *state;
	const struct certs_shape old = {
	    .uris = {URI}, .eku = "clientAuth", .from_s = -120, .until_s = -60};
	SL_AUTO(sl_free_auto) char *expired = certs_issue(&old, f->key, f->ca, f->ca_key);
	const struct {
		const char *ca, *cert, *key;
		sl_code code;
		enum sl_reason reason;
	} rows[] = {
	    {"nonsense", NULL, NULL, SL_INVALID_ARGUMENT, SL_REASON_NONE},
	    {f->ca, f->cert, NULL, SL_INVALID_ARGUMENT, SL_REASON_NONE},
	    {f->ca, NULL, f->key, SL_INVALID_ARGUMENT, SL_REASON_NONE},
	    {NULL, f->cert, f->key, SL_INVALID_ARGUMENT, SL_REASON_NONE},
	    {f->ca, f->cert, f->ca_key, SL_INVALID_ARGUMENT, SL_REASON_NONE},
	    {f->ca, f->cert, "nonsense", SL_INVALID_ARGUMENT, SL_REASON_NONE},
	    {f->ca, "nonsense", f->key, SL_INVALID_ARGUMENT, SL_REASON_NONE},
	    {f->ca, expired, f->key, SL_UNAUTHENTICATED, SL_REASON_CERTIFICATE_EXPIRED},
	};
	for (size_t i = 0; i < SL_COUNT(rows); i++) {
		SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
		struct crpc_channel *channel = NULL;
		const struct crpc_options options = {
		    .target = "127.0.0.1:1",
		    .ca_pem = rows[i].ca,
		    .cert_pem = rows[i].cert,
		    .key_pem = rows[i].key,
		};
		assert_int_equal(crpc_channel_new(&options, &channel, &err), rows[i].code);
		assert_int_equal(err.reason, rows[i].reason);
		assert_null(channel);
	}
}

#define WITH_FIXTURE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    WITH_FIXTURE(test_tls_call_and_stream_know_the_caller),
	    WITH_FIXTURE(test_tls_refuses_whom_it_should),
	    WITH_FIXTURE(test_tls_certificates_change_while_it_serves),
	    WITH_FIXTURE(test_tls_first_certificates_must_be_good),
	    WITH_FIXTURE(test_tls_without_admit_asks_nobody),
	    WITH_FIXTURE(test_tls_old_connections_come_back_through_the_handshake),
	    WITH_FIXTURE(test_tls_client_refuses_what_it_cannot_use),
	};
	if (!sl_crypto_init()) {
		return EXIT_FAILURE;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
