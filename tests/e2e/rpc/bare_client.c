#include "tests/e2e/rpc/bare_client.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <grpc/byte_buffer.h>
#include <grpc/byte_buffer_reader.h>
#include <grpc/grpc_security.h>
#include <grpc/support/alloc.h>
#include <grpc/support/time.h>

#include "base/mem/own.h"

enum { START, HEADERS, SEND, CLOSE, RECV, STATUS, OPS }; /* one batch of each at a time */

struct bare_stream {
	grpc_completion_queue *cq;
	grpc_call *call;
	bool pending[OPS], ok[OPS]; /* a batch's tag is its place in `pending` */
	grpc_metadata_array headers, trailing;
	grpc_byte_buffer *received;
	grpc_status_code status;
	grpc_slice text;
};

grpc_channel *bare_channel(int port)
{
	char target[32];
	(void)snprintf(target, sizeof(target), "127.0.0.1:%d", port);
	grpc_arg args[] = {
	    {.type = GRPC_ARG_INTEGER,
	     .key = (char *)GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL,
	     .value.integer = 1},
	    {.type = GRPC_ARG_INTEGER, .key = (char *)GRPC_ARG_ENABLE_RETRIES, .value.integer = 0},
	};
	const grpc_channel_args all = {.num_args = SL_COUNT(args), .args = args};
	grpc_channel_credentials *plain = grpc_insecure_credentials_create();
	grpc_channel *channel = grpc_channel_create(target, plain, &all);
	grpc_channel_credentials_release(plain);
	return channel;
}

static gpr_timespec after(unsigned ms)
{
	return ms == 0 ? gpr_inf_future(GPR_CLOCK_MONOTONIC)
		       : gpr_time_add(gpr_now(GPR_CLOCK_MONOTONIC),
				      gpr_time_from_millis(ms, GPR_TIMESPAN));
}

static grpc_byte_buffer *buffer_of(const void *data, size_t size)
{
	grpc_slice slice = grpc_slice_from_copied_buffer(data, size);
	grpc_byte_buffer *buffer = grpc_raw_byte_buffer_create(&slice, 1);
	grpc_slice_unref(slice);
	return buffer;
}

/* Its size; consumes it. */
static size_t read_buffer(grpc_byte_buffer *buffer, void *data, size_t room)
{
	grpc_byte_buffer_reader reader;
	if (!grpc_byte_buffer_reader_init(&reader, buffer)) {
		abort();
	}
	grpc_slice all = grpc_byte_buffer_reader_readall(&reader);
	size_t size = GRPC_SLICE_LENGTH(all);
	if (room > 0) {
		memcpy(data, GRPC_SLICE_START_PTR(all), size < room ? size : room);
	}
	grpc_slice_unref(all);
	grpc_byte_buffer_reader_destroy(&reader);
	grpc_byte_buffer_destroy(buffer);
	return size;
}

static void read_status(const struct bare_stream *s, struct bare_result *result)
{
	result->status = (int)s->status;
	(void)snprintf(result->text, sizeof(result->text), "%.*s", (int)GRPC_SLICE_LENGTH(s->text),
		       (const char *)GRPC_SLICE_START_PTR(s->text));
	for (size_t i = 0; i < s->trailing.count; i++) {
		const grpc_metadata *one = &s->trailing.metadata[i];
		if (grpc_slice_str_cmp(one->key, "grpc-status-details-bin") == 0) {
			result->details_size = GRPC_SLICE_LENGTH(one->value);
			if (result->details_size > sizeof(result->details)) {
				abort();
			}
			memcpy(result->details, GRPC_SLICE_START_PTR(one->value),
			       result->details_size);
		}
	}
}

static void start(struct bare_stream *s, unsigned at, const grpc_op *op)
{
	s->pending[at] = true;
	if (grpc_call_start_batch(s->call, op, 1, &s->pending[at], NULL) != GRPC_CALL_OK) {
		abort();
	}
}

/* False: not within timeout_ms (0: for ever). */
static bool wait_for(struct bare_stream *s, unsigned at, unsigned timeout_ms)
{
	gpr_timespec until = after(timeout_ms);
	while (s->pending[at]) {
		grpc_event event = grpc_completion_queue_next(s->cq, until, NULL);
		if (event.type != GRPC_OP_COMPLETE) {
			return false;
		}
		bool *done = event.tag;
		*done = false;
		s->ok[done - s->pending] = event.success != 0;
	}
	return true;
}

static struct bare_stream *open_call(grpc_channel *channel, const char *path, unsigned timeout_ms)
{
	struct bare_stream *s = calloc(1, sizeof(*s));
	s->cq = grpc_completion_queue_create_for_next(NULL);
	grpc_metadata_array_init(&s->headers);
	grpc_metadata_array_init(&s->trailing);
	s->text = grpc_empty_slice();
	grpc_slice method = grpc_slice_from_copied_string(path);
	s->call = grpc_channel_create_call(channel, NULL, GRPC_PROPAGATE_DEFAULTS, s->cq, method,
					   NULL, after(timeout_ms), NULL);
	grpc_slice_unref(method);
	grpc_op op = {.op = GRPC_OP_SEND_INITIAL_METADATA};
	start(s, START, &op);
	op = (grpc_op){.op = GRPC_OP_RECV_INITIAL_METADATA};
	op.data.recv_initial_metadata.recv_initial_metadata = &s->headers;
	start(s, HEADERS, &op);
	op = (grpc_op){.op = GRPC_OP_RECV_STATUS_ON_CLIENT};
	op.data.recv_status_on_client.trailing_metadata = &s->trailing;
	op.data.recv_status_on_client.status = &s->status;
	op.data.recv_status_on_client.status_details = &s->text;
	start(s, STATUS, &op);
	return s;
}

struct bare_stream *bare_stream_new(grpc_channel *channel, const char *path)
{
	return open_call(channel, path, 0);
}

bool bare_stream_send(struct bare_stream *s, const void *data, size_t size)
{
	grpc_byte_buffer *buffer = buffer_of(data, size);
	grpc_op op = {.op = GRPC_OP_SEND_MESSAGE};
	op.data.send_message.send_message = buffer;
	start(s, SEND, &op);
	(void)wait_for(s, SEND, 0);
	grpc_byte_buffer_destroy(buffer);
	return s->ok[SEND];
}

void bare_stream_close_send(struct bare_stream *s)
{
	grpc_op op = {.op = GRPC_OP_SEND_CLOSE_FROM_CLIENT};
	start(s, CLOSE, &op);
	(void)wait_for(s, CLOSE, 0);
}

long bare_stream_recv(struct bare_stream *s, void *data, size_t room)
{
	grpc_op op = {.op = GRPC_OP_RECV_MESSAGE};
	op.data.recv_message.recv_message = &s->received;
	start(s, RECV, &op);
	(void)wait_for(s, RECV, 0);
	return s->received != NULL ? (long)read_buffer(SL_TAKE(s->received), data, room) : -1;
}

void bare_stream_cancel(struct bare_stream *s)
{
	(void)grpc_call_cancel(s->call, NULL);
}

bool bare_stream_status(struct bare_stream *s, unsigned timeout_ms, struct bare_result *ret_result)
{
	if (!wait_for(s, STATUS, timeout_ms)) {
		return false;
	}
	read_status(s, ret_result);
	return true;
}

void bare_stream_free(struct bare_stream *s)
{
	(void)grpc_call_cancel(s->call, NULL);
	for (unsigned at = 0; at < OPS; at++) {
		if (at == STATUS && s->pending[at]) {
			uint8_t drop[1];
			while (bare_stream_recv(s, drop, sizeof(drop)) >= 0) {
			}
		}
		(void)wait_for(s, at, 0);
	}
	grpc_call_unref(s->call);
	grpc_completion_queue_shutdown(s->cq);
	while (grpc_completion_queue_next(s->cq, after(0), NULL).type != GRPC_QUEUE_SHUTDOWN) {
	}
	grpc_completion_queue_destroy(s->cq);
	grpc_metadata_array_destroy(&s->headers);
	grpc_metadata_array_destroy(&s->trailing);
	grpc_slice_unref(s->text);
	free(s);
}

void bare_unary(grpc_channel *channel, const char *path, const void *data, size_t size,
		unsigned timeout_ms, struct bare_result *ret_result)
{
	*ret_result = (struct bare_result){.status = -1};
	struct bare_stream *s = open_call(channel, path, timeout_ms);
	if (data != NULL) {
		(void)bare_stream_send(s, data, size);
	}
	bare_stream_close_send(s);
	long got = bare_stream_recv(s, ret_result->reply, sizeof(ret_result->reply));
	ret_result->size = got > 0 ? (size_t)got : 0;
	(void)bare_stream_status(s, 0, ret_result);
	bare_stream_free(s);
}
