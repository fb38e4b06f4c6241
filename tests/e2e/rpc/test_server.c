/* A small server for tests in other languages: prints "port N", serves until SIGTERM.
 *
 * /test.Test/Echo   unary: answers what it got
 * /test.Test/Fail   unary: fails as its request says: "plain", "info", "gates N", "fields N",
 * "bytes" /test.Test/Chat   stream: answers each message with itself /test.Test/Flood  stream:
 * after one message, sends until the outbox is full, then seals and ends */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem/own.h"
#include "proto/descriptors.h"
#include "server/rpc/rpc.h"

static void echo(struct rpc_call *call, struct sl_bytes request, void *ctx)
{
	(void)ctx;
	rpc_call_finish(call, SL_OK, NULL, request);
}

static sl_code fail_as(const char *how, struct sl_err *err)
{
	unsigned count = 0;
	if (strcmp(how, "bytes") == 0) {
		sl_code code =
		    sl_err_because(err, SL_INVALID_ARGUMENT, SL_REASON_NAME_INVALID,
				   "name 'caf\xc3\xa9 \xff\xfe' has bad bytes, 100 %%\nx");
		sl_err_field(err, "name\xff", "must be UTF-8, is '\xc3\x28'");
		return code;
	}
	if (sscanf(how, "gates %u", &count) == 1) {
		sl_code code =
		    sl_err_because(err, SL_FAILED_PRECONDITION, SL_REASON_GATE_BLOCKED,
				   "version 'v2' of app 'shop' is blocked by %u gates", count);
		sl_err_meta(err, "app", "shop");
		for (unsigned i = 0; i < count; i++) {
			sl_err_gate(err, "BLOCK", "content",
				    "no content yet; an editor can set it");
		}
		return code;
	}
	if (sscanf(how, "fields %u", &count) == 1) {
		sl_code code = sl_err_because(err, SL_INVALID_ARGUMENT, SL_REASON_MALFORMED, "bad");
		for (unsigned i = 0; i < count; i++) {
			sl_err_field(err, "app.name", "must have 1 to 50 bytes, has 0");
		}
		return code;
	}
	if (strcmp(how, "info") == 0) {
		sl_code code = sl_err_because(err, SL_ABORTED, SL_REASON_STALE_REVISION,
					      "app 'shop' has revision 7, not 5");
		sl_err_meta(err, "current_revision", "%d", 7);
		return code;
	}
	return sl_err_set(err, SL_NOT_FOUND, "nothing here");
}

static void fail(struct rpc_call *call, struct sl_bytes request, void *ctx)
{
	(void)ctx;
	char how[64];
	(void)snprintf(how, sizeof(how), "%.*s", (int)request.size, (const char *)request.data);
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	sl_code code = fail_as(how, &err);
	rpc_call_finish(call, code, &err, SL_BYTES_NONE);
}

static void end_full(struct rpc_stream *stream, sl_code code)
{
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	(void)sl_err_set(&err, code, "too slow");
	rpc_stream_finish(stream, code, &err);
}

static void chat_message(struct rpc_stream *stream, struct sl_bytes message, void *ctx)
{
	(void)ctx;
	sl_code code = rpc_stream_send_bytes(stream, message, 1);
	if (code != SL_OK) {
		end_full(stream, code);
	}
}

static void half_closed(struct rpc_stream *stream, void *ctx)
{
	(void)ctx;
	rpc_stream_finish(stream, SL_OK, NULL);
}

static void flood_message(struct rpc_stream *stream, struct sl_bytes message, void *ctx)
{
	(void)ctx;
	for (uint64_t mark = 1;; mark++) {
		sl_code code = rpc_stream_send_bytes(stream, message, mark);
		if (code != SL_OK) {
			(void)rpc_stream_seal(stream);
			end_full(stream, code);
			return;
		}
	}
}

static const struct rpc_stream_events chat = {
    .message = chat_message,
    .half_closed = half_closed,
};
static const struct rpc_stream_events flood = {
    .message = flood_message,
};
static const struct rpc_method methods[] = {
    {.path = "/test.Test/Echo", .handle = echo, .hot = true},
    {.path = "/test.Test/Fail", .handle = fail},
    {.path = "/test.Test/Chat", .stream = &chat},
    {.path = "/test.Test/Flood", .stream = &flood},
};
static const char *const services[] = {"test.Test", NULL};

static struct rpc_server *running;

static void on_term(int signal)
{
	(void)signal;
	rpc_server_stop(running); /* one atomic store: fine in a signal handler */
}

int main(void)
{
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	const struct rpc_options options = {
	    .listen = "127.0.0.1:0",
	    .methods = methods,
	    .method_count = SL_COUNT(methods),
	    .descriptors = SL_BYTES(sluice_descriptors, sluice_descriptors_size),
	    .services = services,
	};
	if (rpc_server_new(&options, &running, &err) != SL_OK) {
		(void)fprintf(stderr, "%s\n", err.msg);
		return EXIT_FAILURE;
	}
	(void)signal(SIGTERM, on_term);
	(void)printf("port %d\n", rpc_server_port(running));
	(void)fflush(stdout);
	rpc_server_run(running);
	(void)printf("connections %u\n", rpc_server_connections(running));
	rpc_server_free(running);
	return EXIT_SUCCESS;
}
