/* bare_server: what the gRPC C core alone can do: one thread, one queue, one
 * registered method that answers every request with the same bytes.
 *
 *   bare_server REPLY_BYTES [CA CERT KEY]    prints "listening port=N", serves until it is killed;
 *                                            with PEM files over mTLS */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <grpc/byte_buffer.h>
#include <grpc/grpc.h>
#include <grpc/grpc_security.h>
#include <grpc/support/time.h>

#include "base/absl/absl.h"
#include "base/mem/own.h"
#include "tests/bench/die.h"

enum { ACCEPTS = 256, REPLY_OPS = 4, REPLY_MAX = 1 << 20, PEM_MAX = 64 << 10 };

struct bare_server {
	grpc_server *server;
	grpc_completion_queue *cq;
	void *method;
	grpc_byte_buffer *reply;
};

/* One accepted or awaited call; lives as long as the server. */
struct bare_call {
	grpc_call *call; /* NULL: not asked yet */
	grpc_metadata_array metadata;
	grpc_byte_buffer *request, *reply;
	gpr_timespec deadline;
	int cancelled;
	bool replying;
};

static void accept_next(struct bare_server *s, struct bare_call *call)
{
	memset(call, 0, sizeof(*call));
	grpc_metadata_array_init(&call->metadata);
	grpc_call_error error = grpc_server_request_registered_call(
	    s->server, s->method, &call->call, &call->deadline, &call->metadata, &call->request,
	    s->cq, s->cq, call);
	if (error != GRPC_CALL_OK) {
		die("cannot accept: %d", (int)error);
	}
}

static void reply(struct bare_server *s, struct bare_call *call)
{
	grpc_op ops[REPLY_OPS] = {
	    {.op = GRPC_OP_SEND_INITIAL_METADATA},
	    {.op = GRPC_OP_SEND_MESSAGE},
	    {.op = GRPC_OP_SEND_STATUS_FROM_SERVER},
	    {.op = GRPC_OP_RECV_CLOSE_ON_SERVER},
	};
	call->reply = grpc_byte_buffer_copy(s->reply);
	call->replying = true;
	ops[1].data.send_message.send_message = call->reply;
	ops[2].data.send_status_from_server.status = GRPC_STATUS_OK;
	ops[3].data.recv_close_on_server.cancelled = &call->cancelled;
	if (grpc_call_start_batch(call->call, ops, REPLY_OPS, call, NULL) != GRPC_CALL_OK) {
		die("gRPC refuses a batch");
	}
}

static void finish(struct bare_call *call)
{
	grpc_byte_buffer_destroy(call->request);
	grpc_byte_buffer_destroy(call->reply);
	grpc_metadata_array_destroy(&call->metadata);
	grpc_call_unref(call->call);
}

static void serve(struct bare_server *s)
{
	struct bare_call *calls = need(calloc(ACCEPTS, sizeof(*calls)));
	for (size_t i = 0; i < ACCEPTS; i++) {
		accept_next(s, &calls[i]);
	}
	for (;;) {
		grpc_event event =
		    grpc_completion_queue_next(s->cq, gpr_inf_future(GPR_CLOCK_REALTIME), NULL);
		struct bare_call *call = event.tag;
		if (call->replying) {
			finish(call);
			accept_next(s, call);
		} else {
			reply(s, call);
		}
	}
}

static char *read_pem(const char *path)
{
	FILE *file = need(fopen(path, "re"));
	char *text = need(calloc(1, PEM_MAX));
	if (fread(text, 1, PEM_MAX - 1, file) == 0) {
		die("%s is empty", path);
	}
	(void)fclose(file);
	return text;
}

static grpc_server_credentials *mutual_tls(char *const *paths)
{
	SL_AUTO(sl_free_auto) char *ca = read_pem(paths[0]);
	SL_AUTO(sl_free_auto) char *cert = read_pem(paths[1]);
	SL_AUTO(sl_free_auto) char *key = read_pem(paths[2]);
	grpc_ssl_pem_key_cert_pair pair = {.private_key = key, .cert_chain = cert};
	return grpc_ssl_server_credentials_create_ex(
	    ca, &pair, 1, GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY, NULL);
}

/* paths: of CA, certificate and key; NULL: in the clear. */
static int start(struct bare_server *s, size_t reply_bytes, char *const *paths)
{
	grpc_arg no_reuse = {
	    .type = GRPC_ARG_INTEGER, .key = (char *)GRPC_ARG_ALLOW_REUSEPORT, .value.integer = 0};
	const grpc_channel_args args = {.num_args = 1, .args = &no_reuse};
	uint8_t *bytes = need(calloc(1, reply_bytes + 1));
	grpc_slice slice = grpc_slice_from_copied_buffer((char *)bytes, reply_bytes);
	free(bytes);
	s->reply = grpc_raw_byte_buffer_create(&slice, 1);
	grpc_slice_unref(slice);
	s->server = grpc_server_create(&args, NULL);
	s->cq = grpc_completion_queue_create_for_next(NULL);
	grpc_server_register_completion_queue(s->server, s->cq, NULL);
	s->method = grpc_server_register_method(s->server, "/sluice.bench.Bare/Call", NULL,
						GRPC_SRM_PAYLOAD_READ_INITIAL_BYTE_BUFFER, 0);
	grpc_server_credentials *credentials =
	    paths != NULL ? mutual_tls(paths) : grpc_insecure_server_credentials_create();
	int port = grpc_server_add_http2_port(s->server, "127.0.0.1:0", credentials);
	grpc_server_credentials_release(credentials);
	grpc_server_start(s->server);
	return port;
}

int main(int argc, char **argv)
{
	enum { WORDS = 2, WORDS_TLS = 5 };
	bool good = argc == WORDS || argc == WORDS_TLS;
	long reply_bytes = good ? strtol(argv[1], NULL, 10) : -1;
	if (reply_bytes < 0 || reply_bytes > REPLY_MAX) {
		die("usage: bare_server REPLY_BYTES [CA CERT KEY] (0 to %d)", REPLY_MAX);
	}
	struct bare_server server = {0};
	sl_absl_quiet();
	grpc_init();
	int port = start(&server, (size_t)reply_bytes, argc == WORDS_TLS ? argv + 2 : NULL);
	if (port == 0) {
		die("cannot listen");
	}
	(void)printf("listening port=%d\n", port);
	(void)fflush(stdout);
	serve(&server);
}
