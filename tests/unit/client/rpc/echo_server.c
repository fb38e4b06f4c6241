/*   /t/Echo       unary: the request comes back
 *   /t/Fail       unary: FAILED_PRECONDITION "no, since 7 < 8" with the details
 *   /t/Hang       waits until the client is gone
 *   /t/Silent     OK without a message
 *   /t/Odd        status 77
 *   /t/Peer       unary: the peer's address
 *   /t/Chat       stream: echoes; "end" ends with the failure, "ok" with OK,
 *                 "flood" sends FLOOD messages of 4 KiB, half-close ends with OK
 *   /t/Deaf       stream: reads nothing, until the client is gone
 *   /t/Refuse     stream: ends with RESOURCE_EXHAUSTED before any message
 */
#include "tests/unit/client/rpc/echo_server.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <grpc/byte_buffer.h>
#include <grpc/byte_buffer_reader.h>
#include <grpc/grpc.h>
#include <grpc/grpc_security.h>
#include <grpc/slice.h>
#include <grpc/support/alloc.h>
#include <grpc/support/time.h>

enum { FLOOD = 1000, FLOOD_BYTES = 4096 };

struct echo_server {
	grpc_server *grpc;
	grpc_completion_queue *cq;
	int port;
	pthread_t thread;
	atomic_int calls, alive;
};

struct echo_call {
	struct echo_server *server;
	grpc_completion_queue *cq;
	grpc_call *call;
	grpc_call_details details;
	grpc_metadata_array metadata;
	bool gone;    /* close_tag is back */
	bool greeted; /* headers are sent: a status waits for them */
	int cancelled;
	char close_tag;
};

static pthread_mutex_t details_lock = PTHREAD_MUTEX_INITIALIZER;
static const void *details_data;
static size_t details_size;

void echo_server_details(const void *data, size_t size)
{
	pthread_mutex_lock(&details_lock);
	details_data = data;
	details_size = size;
	pthread_mutex_unlock(&details_lock);
}

static grpc_slice details_slice(void)
{
	pthread_mutex_lock(&details_lock);
	grpc_slice slice = grpc_slice_from_copied_buffer(details_data, details_size);
	pthread_mutex_unlock(&details_lock);
	return slice;
}

static gpr_timespec never(void)
{
	return gpr_inf_future(GPR_CLOCK_REALTIME);
}

static bool batch_of(struct echo_call *c, const grpc_op *ops, size_t count)
{
	char tag;
	if (grpc_call_start_batch(c->call, ops, count, &tag, NULL) != GRPC_CALL_OK) {
		abort();
	}
	return grpc_completion_queue_pluck(c->cq, &tag, never(), NULL).success != 0;
}

static bool batch(struct echo_call *c, const grpc_op *op)
{
	return batch_of(c, op, 1);
}

static bool hello(struct echo_call *c)
{
	c->greeted = true;
	return batch(c, &(grpc_op){.op = GRPC_OP_SEND_INITIAL_METADATA});
}

static bool send_buffer(struct echo_call *c, grpc_byte_buffer *message)
{
	grpc_op op = {.op = GRPC_OP_SEND_MESSAGE};
	op.data.send_message.send_message = message;
	return batch(c, &op);
}

static bool send_bytes(struct echo_call *c, const void *data, size_t size)
{
	grpc_slice slice = grpc_slice_from_copied_buffer(data, size);
	grpc_byte_buffer *message = grpc_raw_byte_buffer_create(&slice, 1);
	grpc_slice_unref(slice);
	bool ok = send_buffer(c, message);
	grpc_byte_buffer_destroy(message);
	return ok;
}

static grpc_byte_buffer *receive(struct echo_call *c)
{
	grpc_byte_buffer *message = NULL;
	grpc_op op = {.op = GRPC_OP_RECV_MESSAGE};
	op.data.recv_message.recv_message = &message;
	return batch(c, &op) ? message : NULL;
}

static void finish(struct echo_call *c, int code, const char *text, bool with_details)
{
	grpc_slice words = grpc_slice_from_copied_string(text);
	grpc_metadata entry = {.key = grpc_slice_from_static_string("grpc-status-details-bin")};
	entry.value = details_slice();
	grpc_op ops[2] = {{.op = GRPC_OP_SEND_STATUS_FROM_SERVER},
			  {.op = GRPC_OP_SEND_INITIAL_METADATA}};
	grpc_op *op = &ops[0];
	op->data.send_status_from_server.status = (grpc_status_code)code;
	op->data.send_status_from_server.status_details = &words;
	if (with_details && GRPC_SLICE_LENGTH(entry.value) > 0) {
		op->data.send_status_from_server.trailing_metadata_count = 1;
		op->data.send_status_from_server.trailing_metadata = &entry;
	}
	(void)batch_of(c, ops, c->greeted ? 1 : 2);
	grpc_slice_unref(entry.value);
	grpc_slice_unref(words);
}

static void refuse(struct echo_call *c)
{
	finish(c, GRPC_STATUS_FAILED_PRECONDITION, "no, since 7 < 8", true);
}

static bool is_text(grpc_byte_buffer *message, const char *text)
{
	grpc_byte_buffer_reader reader;
	grpc_byte_buffer_reader_init(&reader, message);
	grpc_slice all = grpc_byte_buffer_reader_readall(&reader);
	bool same = grpc_slice_str_cmp(all, text) == 0;
	grpc_slice_unref(all);
	grpc_byte_buffer_reader_destroy(&reader);
	return same;
}

/* Until the client is gone or the call has ended. */
static void wait_gone(struct echo_call *c)
{
	if (!c->gone) {
		c->gone = true;
		(void)grpc_completion_queue_pluck(c->cq, &c->close_tag, never(), NULL);
	}
}

/* --- behaviours --------------------------------------------------------------- */

static void do_echo(struct echo_call *c)
{
	grpc_byte_buffer *message = receive(c);
	if (message != NULL && hello(c)) {
		(void)send_buffer(c, message);
	}
	grpc_byte_buffer_destroy(message);
	finish(c, GRPC_STATUS_OK, "", false);
}

static void do_hang(struct echo_call *c)
{
	wait_gone(c);
}

static void do_peer(struct echo_call *c)
{
	char *peer = grpc_call_get_peer(c->call);
	if (hello(c)) {
		(void)send_bytes(c, peer, strlen(peer));
	}
	gpr_free(peer);
	finish(c, GRPC_STATUS_OK, "", false);
}

static bool flood(struct echo_call *c)
{
	static const char block[FLOOD_BYTES] = "";
	bool ok = true;
	for (int i = 0; i < FLOOD && ok; i++) {
		ok = send_bytes(c, block, sizeof(block));
	}
	return ok;
}

/* False when the chat is at its end. */
static bool answer(struct echo_call *c, grpc_byte_buffer *message)
{
	if (is_text(message, "end")) {
		refuse(c);
		return false;
	}
	if (is_text(message, "ok")) {
		finish(c, GRPC_STATUS_OK, "", false);
		return false;
	}
	if (is_text(message, "flood")) {
		return flood(c);
	}
	return send_buffer(c, message);
}

static void do_chat(struct echo_call *c)
{
	if (!hello(c)) {
		return;
	}
	for (;;) {
		grpc_byte_buffer *message = receive(c);
		if (message == NULL) {
			finish(c, GRPC_STATUS_OK, "", false);
			return;
		}
		bool more = answer(c, message);
		grpc_byte_buffer_destroy(message);
		if (!more) {
			return;
		}
	}
}

static void do_silent(struct echo_call *c)
{
	finish(c, GRPC_STATUS_OK, "", false);
}

static void do_odd(struct echo_call *c)
{
	finish(c, 77, "odd", false);
}

static void do_refuse(struct echo_call *c)
{
	finish(c, GRPC_STATUS_RESOURCE_EXHAUSTED, "come back later", false);
}

static void do_deaf(struct echo_call *c)
{
	(void)hello(c);
	do_hang(c);
}

static const struct {
	const char *path;
	void (*run)(struct echo_call *c);
} behaviours[] = {
    {"/t/Echo", do_echo},     {"/t/Fail", refuse},  {"/t/Hang", do_hang},
    {"/t/Silent", do_silent}, {"/t/Odd", do_odd},   {"/t/Peer", do_peer},
    {"/t/Chat", do_chat},     {"/t/Deaf", do_deaf}, {"/t/Refuse", do_refuse},
};

static void run_behaviour(struct echo_call *c)
{
	for (size_t i = 0; i < sizeof(behaviours) / sizeof(behaviours[0]); i++) {
		if (grpc_slice_str_cmp(c->details.method, behaviours[i].path) == 0) {
			behaviours[i].run(c);
			return;
		}
	}
	finish(c, GRPC_STATUS_UNIMPLEMENTED, "unknown method", false);
}

/* --- server ------------------------------------------------------------------- */

static void call_free(struct echo_call *c)
{
	if (c->call != NULL) {
		grpc_call_unref(c->call);
	}
	grpc_completion_queue_shutdown(c->cq);
	while (grpc_completion_queue_pluck(c->cq, NULL, never(), NULL).type !=
	       GRPC_QUEUE_SHUTDOWN) {
	}
	grpc_completion_queue_destroy(c->cq);
	grpc_call_details_destroy(&c->details);
	grpc_metadata_array_destroy(&c->metadata);
	free(c);
}

static void *call_main(void *arg)
{
	struct echo_call *c = arg;
	struct echo_server *server = c->server;
	grpc_op op = {.op = GRPC_OP_RECV_CLOSE_ON_SERVER};
	op.data.recv_close_on_server.cancelled = &c->cancelled;
	if (grpc_call_start_batch(c->call, &op, 1, &c->close_tag, NULL) != GRPC_CALL_OK) {
		abort();
	}
	run_behaviour(c);
	wait_gone(c); /* a completion that nobody plucks keeps the call alive */
	call_free(c);
	atomic_fetch_sub(&server->alive, 1);
	return NULL;
}

static void accept_next(struct echo_server *server)
{
	struct echo_call *c = calloc(1, sizeof(*c));
	if (c == NULL) {
		abort();
	}
	c->server = server;
	c->cq = grpc_completion_queue_create_for_pluck(NULL);
	grpc_call_details_init(&c->details);
	grpc_metadata_array_init(&c->metadata);
	if (grpc_server_request_call(server->grpc, &c->call, &c->details, &c->metadata, c->cq,
				     server->cq, c) != GRPC_CALL_OK) {
		abort();
	}
}

static void *server_main(void *arg)
{
	struct echo_server *server = arg;
	for (;;) {
		grpc_event ev = grpc_completion_queue_next(server->cq, never(), NULL);
		if (ev.type == GRPC_QUEUE_SHUTDOWN) {
			return NULL;
		}
		if (ev.tag == server) {
			grpc_completion_queue_shutdown(server->cq);
			continue;
		}
		if (!ev.success) {
			call_free(ev.tag);
			continue;
		}
		accept_next(server);
		atomic_fetch_add(&server->calls, 1);
		atomic_fetch_add(&server->alive, 1);
		pthread_t thread;
		if (pthread_create(&thread, NULL, call_main, ev.tag) != 0) {
			abort();
		}
		pthread_detach(thread);
	}
}

struct echo_server *echo_server_new(int port)
{
	grpc_init();
	struct echo_server *server = calloc(1, sizeof(*server));
	if (server == NULL) {
		abort();
	}
	char address[32];
	snprintf(address, sizeof(address), "127.0.0.1:%d", port);
	grpc_arg args[] = {
	    {.type = GRPC_ARG_INTEGER, .key = (char *)GRPC_ARG_ALLOW_REUSEPORT, .value.integer = 0},
	    {.type = GRPC_ARG_INTEGER,
	     .key = (char *)GRPC_ARG_MAX_RECEIVE_MESSAGE_LENGTH,
	     .value.integer = -1},
	};
	grpc_channel_args list = {.num_args = 2, .args = args};
	server->cq = grpc_completion_queue_create_for_next(NULL);
	server->grpc = grpc_server_create(&list, NULL);
	grpc_server_register_completion_queue(server->grpc, server->cq, NULL);
	grpc_server_credentials *plain = grpc_insecure_server_credentials_create();
	server->port = grpc_server_add_http2_port(server->grpc, address, plain);
	grpc_server_credentials_release(plain);
	if (server->port == 0) {
		abort();
	}
	grpc_server_start(server->grpc);
	accept_next(server);
	if (pthread_create(&server->thread, NULL, server_main, server) != 0) {
		abort();
	}
	return server;
}

int echo_server_port(const struct echo_server *server)
{
	return server->port;
}

int echo_server_calls(struct echo_server *server)
{
	return atomic_load(&server->calls);
}

void echo_server_free(struct echo_server *server)
{
	grpc_server_shutdown_and_notify(server->grpc, server->cq, server);
	grpc_server_cancel_all_calls(server->grpc);
	pthread_join(server->thread, NULL);
	while (atomic_load(&server->alive) > 0) { /* detached threads on their way out */
		sched_yield();
	}
	grpc_server_destroy(server->grpc);
	grpc_completion_queue_destroy(server->cq);
	free(server);
	grpc_shutdown_blocking();
}
