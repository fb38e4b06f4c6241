#include "tests/bench/load.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <grpc/byte_buffer.h>
#include <grpc/byte_buffer_reader.h>
#include <grpc/grpc.h>
#include <grpc/grpc_security.h>
#include <grpc/support/time.h>

#include "base/mem/own.h"
#include "base/tls/hooks.h"
#include "tests/bench/die.h"
#include "tests/bench/secure.h"

enum { CALL_OPS = 6, SILENCE_S = 30 };

/* One outstanding call, and its slot. */
struct slot {
	grpc_call *call;
	uint64_t started_ns;
	grpc_metadata_array headers, trailing;
	grpc_byte_buffer *sent, *received;
	grpc_status_code status;
	grpc_slice text;
};

struct load {
	const struct load_target *target;
	grpc_completion_queue *cq;
	grpc_channel **channels;
	void **methods; /* [connection * LOAD_METHODS_MAX + method] */
	struct slot *slots;
	struct load_request request; /* the one being made */
	struct load_result *result;
	unsigned running;
};

static uint64_t now_ns(void)
{
	struct timespec now;
	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

void load_library_init(void)
{
	tls_hooks_install(); /* TLS as our own clients do it, and Abseil is quiet */
	grpc_init();
}

void load_library_shutdown(void)
{
	grpc_shutdown();
}

/* --- channels ------------------------------------------------------------------- */

/* Takes the credentials. */
static grpc_channel *channel_new(int port, grpc_channel_credentials *credentials, bool narrow)
{
	char target[32];
	(void)snprintf(target, sizeof(target), "127.0.0.1:%d", port);
	grpc_arg args[] = {
	    {.type = GRPC_ARG_INTEGER,
	     .key = (char *)GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL,
	     .value.integer = 1},
	    {.type = GRPC_ARG_INTEGER, .key = (char *)GRPC_ARG_ENABLE_RETRIES, .value.integer = 0},
	    {.type = GRPC_ARG_INTEGER, .key = (char *)GRPC_ARG_ENABLE_CHANNELZ, .value.integer = 0},
	    {.type = GRPC_ARG_INTEGER,
	     .key = (char *)GRPC_ARG_HTTP2_BDP_PROBE,
	     .value.integer = !narrow},
	    {.type = GRPC_ARG_INTEGER,
	     .key = (char *)GRPC_ARG_TSI_MAX_FRAME_SIZE,
	     .value.integer = TLS_FRAME_BYTES},
	};
	const grpc_channel_args all = {.num_args = SL_COUNT(args), .args = args};
	grpc_channel *channel = grpc_channel_create(target, credentials, &all);
	grpc_channel_credentials_release(credentials);
	return channel;
}

grpc_channel *load_channel_new(int port)
{
	return channel_new(port, secure_credentials(port), false);
}

grpc_channel *load_channel_new_narrow(int port)
{
	return channel_new(port, secure_credentials(port), true);
}

static grpc_byte_buffer *buffer_of(const void *data, size_t size)
{
	grpc_slice slice = grpc_slice_from_copied_buffer(data, size);
	grpc_byte_buffer *buffer = grpc_raw_byte_buffer_create(&slice, 1);
	grpc_slice_unref(slice);
	return buffer;
}

struct load *load_new(const struct load_target *target)
{
	struct load *load = need(calloc(1, sizeof(*load)));
	load->target = target;
	load->cq = grpc_completion_queue_create_for_next(NULL);
	load->channels = need(calloc(target->connections, sizeof(grpc_channel *)));
	load->methods =
	    need(calloc((size_t)target->connections * LOAD_METHODS_MAX, sizeof(void *)));
	load->slots = need(calloc(target->outstanding, sizeof(struct slot)));
	for (unsigned i = 0; i < target->connections; i++) {
		load->channels[i] = load_channel_new(target->port);
		for (unsigned m = 0; m < LOAD_METHODS_MAX && target->methods[m] != NULL; m++) {
			load->methods[i * LOAD_METHODS_MAX + m] = grpc_channel_register_call(
			    load->channels[i], target->methods[m], NULL, NULL);
		}
	}
	return load;
}

void load_free(struct load *load)
{
	if (load == NULL) {
		return;
	}
	for (unsigned i = 0; i < load->target->connections; i++) {
		grpc_channel_destroy(load->channels[i]);
	}
	grpc_completion_queue_shutdown(load->cq);
	while (
	    grpc_completion_queue_next(load->cq, gpr_inf_future(GPR_CLOCK_REALTIME), NULL).type !=
	    GRPC_QUEUE_SHUTDOWN) {
	}
	grpc_completion_queue_destroy(load->cq);
	free(load->channels);
	free(load->methods);
	free(load->slots);
	free(load);
}

/* --- calls ------------------------------------------------------------------------ */

/* The whole call in one batch. */
static void slot_begin(struct slot *slot, grpc_call *call, struct sl_bytes request, void *tag)
{
	slot->call = call;
	slot->received = NULL;
	slot->text = grpc_empty_slice();
	slot->sent = buffer_of(request.data, request.size);
	grpc_metadata_array_init(&slot->headers);
	grpc_metadata_array_init(&slot->trailing);
	grpc_op ops[CALL_OPS] = {
	    {.op = GRPC_OP_SEND_INITIAL_METADATA},  {.op = GRPC_OP_SEND_MESSAGE},
	    {.op = GRPC_OP_SEND_CLOSE_FROM_CLIENT}, {.op = GRPC_OP_RECV_INITIAL_METADATA},
	    {.op = GRPC_OP_RECV_MESSAGE},           {.op = GRPC_OP_RECV_STATUS_ON_CLIENT},
	};
	ops[1].data.send_message.send_message = slot->sent;
	ops[3].data.recv_initial_metadata.recv_initial_metadata = &slot->headers;
	ops[4].data.recv_message.recv_message = &slot->received;
	ops[5].data.recv_status_on_client.trailing_metadata = &slot->trailing;
	ops[5].data.recv_status_on_client.status = &slot->status;
	ops[5].data.recv_status_on_client.status_details = &slot->text;
	slot->started_ns = now_ns();
	if (grpc_call_start_batch(call, ops, CALL_OPS, tag, NULL) != GRPC_CALL_OK) {
		die("gRPC refuses a batch");
	}
}

static void slot_end(struct slot *slot)
{
	grpc_metadata_array_destroy(&slot->headers);
	grpc_metadata_array_destroy(&slot->trailing);
	grpc_byte_buffer_destroy(slot->sent);
	if (slot->received != NULL) {
		grpc_byte_buffer_destroy(slot->received);
	}
	grpc_slice_unref(slot->text);
	grpc_call_unref(slot->call);
}

static void slot_text(const struct slot *slot, char *text)
{
	(void)snprintf(text, LOAD_TEXT_BYTES, "status %d: %.*s", (int)slot->status,
		       (int)GRPC_SLICE_LENGTH(slot->text),
		       (const char *)GRPC_SLICE_START_PTR(slot->text));
}

static void start_next(struct load *load, unsigned at)
{
	const struct load_target *target = load->target;
	target->next(target->ctx, at, &load->request);
	unsigned connection = at % target->connections;
	grpc_call *call = grpc_channel_create_registered_call(
	    load->channels[connection], NULL, GRPC_PROPAGATE_DEFAULTS, load->cq,
	    load->methods[connection * LOAD_METHODS_MAX + load->request.method],
	    gpr_inf_future(GPR_CLOCK_REALTIME), NULL);
	slot_begin(&load->slots[at], call, SL_BYTES(load->request.data, load->request.size),
		   &load->slots[at]);
	load->running++;
}

static void count_call(struct load *load, const struct slot *slot, uint64_t until_ns)
{
	struct load_result *result = load->result;
	uint64_t now = now_ns();
	if (slot->status != GRPC_STATUS_OK) {
		if (result->failed++ == 0) {
			slot_text(slot, result->failure);
		}
		return;
	}
	if (slot->received != NULL) {
		result->reply_bytes = grpc_byte_buffer_length(slot->received);
	}
	if (now <= until_ns) { /* what is answered later is waited for and not counted */
		result->calls++;
		histogram_add(&result->latency, now - slot->started_ns);
	}
}

/* NULL: nothing came within `wait`. */
static void *next_tag(grpc_completion_queue *cq, gpr_timespec wait)
{
	gpr_timespec until = gpr_time_add(gpr_now(GPR_CLOCK_MONOTONIC), wait);
	grpc_event event = grpc_completion_queue_next(cq, until, NULL);
	return event.type == GRPC_OP_COMPLETE ? event.tag : NULL;
}

static void *wait_tag(grpc_completion_queue *cq, const char *name)
{
	void *tag = next_tag(cq, gpr_time_from_seconds(SILENCE_S, GPR_TIMESPAN));
	if (tag == NULL) {
		die("%s answers nothing for %d s", name, SILENCE_S);
	}
	return tag;
}

/* Returns the slot that is free again. */
static unsigned take_reply(struct load *load, struct slot *slot, uint64_t until)
{
	const struct load_target *target = load->target;
	unsigned at = (unsigned)(slot - load->slots);
	count_call(load, slot, until);
	int status = (int)slot->status;
	slot_end(slot);
	load->running--;
	if (target->done != NULL) {
		target->done(target->ctx, at, status);
	}
	return at;
}

static void run_closed(struct load *load, uint64_t until)
{
	const struct load_target *target = load->target;
	uint64_t limit = target->limit != 0 ? target->limit : UINT64_MAX, begun = 0;
	for (unsigned at = 0; at < target->outstanding && begun < limit; at++, begun++) {
		start_next(load, at);
	}
	while (load->running > 0) {
		unsigned at = take_reply(load, wait_tag(load->cq, target->name), until);
		if (now_ns() < until && begun < limit) {
			start_next(load, at);
			begun++;
		}
	}
}

static void run_paced(struct load *load, uint64_t until)
{
	const struct load_target *target = load->target;
	uint64_t started = now_ns(), pause = 1000000000u / target->per_second, begun = 0;
	uint64_t limit = target->limit != 0 ? target->limit : UINT64_MAX;
	unsigned *idle = need(calloc(target->outstanding, sizeof(*idle))), idle_count = 0;
	while (idle_count < target->outstanding) {
		idle[idle_count] = idle_count;
		idle_count++;
	}
	for (uint64_t now; (now = now_ns()) < until && begun < limit;) {
		while (idle_count > 0 && begun < limit && started + begun * pause <= now) {
			start_next(load, idle[--idle_count]);
			begun++;
		}
		uint64_t due = started + begun * pause, wait = due > now ? due - now : 0;
		struct slot *slot = next_tag(
		    load->cq,
		    gpr_time_from_nanos(idle_count > 0 ? (int64_t)wait : 1000000000, GPR_TIMESPAN));
		if (slot != NULL) {
			idle[idle_count++] = take_reply(load, slot, until);
		}
	}
	while (load->running > 0) {
		(void)take_reply(load, wait_tag(load->cq, target->name), until);
	}
	free(idle);
}

void load_run(struct load *load, double seconds, struct load_result *ret_result)
{
	*ret_result = (struct load_result){.failed = 0};
	load->result = ret_result;
	uint64_t started = now_ns(), until = started + (uint64_t)(seconds * 1e9);
	(load->target->per_second > 0 ? run_paced : run_closed)(load, until);
	ret_result->seconds = seconds;
	ret_result->rate = (double)ret_result->calls / seconds;
}

/* --- one call ----------------------------------------------------------------------- */

static void read_reply(grpc_byte_buffer *buffer, struct sl_buf *reply)
{
	grpc_byte_buffer_reader reader;
	if (!grpc_byte_buffer_reader_init(&reader, buffer)) {
		die("gRPC cannot read its buffer");
	}
	grpc_slice all = grpc_byte_buffer_reader_readall(&reader);
	sl_buf_append(reply, GRPC_SLICE_START_PTR(all), GRPC_SLICE_LENGTH(all));
	grpc_slice_unref(all);
	grpc_byte_buffer_reader_destroy(&reader);
}

int load_call(int port, const char *method, struct sl_bytes request, struct sl_buf *ret_reply,
	      char *text)
{
	grpc_completion_queue *cq = grpc_completion_queue_create_for_next(NULL);
	grpc_channel *channel = load_channel_new(port);
	grpc_slice path = grpc_slice_from_copied_string(method);
	struct slot slot;
	slot_begin(&slot,
		   grpc_channel_create_call(channel, NULL, GRPC_PROPAGATE_DEFAULTS, cq, path, NULL,
					    gpr_inf_future(GPR_CLOCK_REALTIME), NULL),
		   request, cq);
	grpc_slice_unref(path);
	(void)wait_tag(cq, method);
	if (ret_reply != NULL) {
		*ret_reply = (struct sl_buf){0};
		if (slot.received != NULL) {
			read_reply(slot.received, ret_reply);
		}
	}
	int status = (int)slot.status;
	if (text != NULL) {
		slot_text(&slot, text);
	}
	slot_end(&slot);
	grpc_channel_destroy(channel);
	grpc_completion_queue_shutdown(cq);
	while (grpc_completion_queue_next(cq, gpr_inf_future(GPR_CLOCK_REALTIME), NULL).type !=
	       GRPC_QUEUE_SHUTDOWN) {
	}
	grpc_completion_queue_destroy(cq);
	return status;
}
