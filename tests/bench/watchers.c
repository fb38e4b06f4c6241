#include "tests/bench/watchers.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <grpc/byte_buffer.h>
#include <grpc/byte_buffer_reader.h>
#include <grpc/grpc.h>
#include <grpc/support/time.h>

#include "base/clock/clock.h"
#include "base/mem/own.h"
#include "sluice/v1/watch.pb-c.h"
#include "tests/bench/die.h"
#include "tests/bench/load.h"
#include "tests/bench/proto/etcd_kv.pb-c.h"

enum {
	SILENCE_MS = 15000,
	CONNECTING_MAX = 200,
	REQUEST_BYTES = 256,
	CHANGES_FIELD = 1,
	REVISION_FIELD = 2,
	ETCD_EVENTS_FIELD = 11,
	WIRE_VARINT = 0,
	WIRE_BYTES = 2,
};

/* The tags of a watcher's batches are the addresses of its three bytes. */
struct watcher {
	grpc_channel *channel;
	grpc_call *call;
	char opened, received, ended;
	grpc_metadata_array headers, trailing;
	grpc_byte_buffer *request, *message;
	grpc_status_code status;
	grpc_slice text;
	uint64_t revision; /* all up to here has come */
	bool watching, over;
};

struct watchers {
	struct watchers_options options;
	grpc_completion_queue *cq;
	struct watcher *all;
	unsigned watching, over, resumed; /* over: ended for good */
	uint64_t changes, bytes;
};

/* --- requests ------------------------------------------------------------------------ */

static grpc_byte_buffer *buffer_of(const uint8_t *bytes, size_t size)
{
	grpc_slice slice = grpc_slice_from_copied_buffer((const char *)bytes, size);
	grpc_byte_buffer *buffer = grpc_raw_byte_buffer_create(&slice, 1);
	grpc_slice_unref(slice);
	return buffer;
}

static grpc_byte_buffer *request_of_etcd(void)
{
	uint8_t bytes[REQUEST_BYTES];
	Etcdserverpb__WatchRequest request = ETCDSERVERPB__WATCH_REQUEST__INIT;
	Etcdserverpb__WatchCreateRequest create = ETCDSERVERPB__WATCH_CREATE_REQUEST__INIT;
	create.key = (ProtobufCBinaryData){8, (uint8_t *)"watched/"};
	create.range_end = (ProtobufCBinaryData){8, (uint8_t *)"watched0"};
	request.request_case = ETCDSERVERPB__WATCH_REQUEST__REQUEST_CREATE_REQUEST;
	request.create_request = &create;
	return buffer_of(bytes, etcdserverpb__watch_request__pack(&request, bytes));
}

static grpc_byte_buffer *request_of_sluiced(const struct watchers *watchers, unsigned number)
{
	uint8_t bytes[REQUEST_BYTES];
	Sluice__V1__EventKind kinds[16];
	Sluice__V1__WatchRequest request = SLUICE__V1__WATCH_REQUEST__INIT;
	request.from_revision = watchers->all[number].revision;
	request.kinds = kinds;
	if (watchers->options.filtered) {
		kinds[request.n_kinds++] = SLUICE__V1__EVENT_KIND__EVENT_KIND_VERSION;
		for (unsigned bit = 0; bit < 6; bit++) { /* the other kinds: note and on */
			if ((number >> bit & 1) != 0) {
				kinds[request.n_kinds++] =
				    SLUICE__V1__EVENT_KIND__EVENT_KIND_NOTE + bit;
			}
		}
		for (unsigned bit = 6; bit < 8; bit++) {
			if ((number >> bit & 1) != 0) {
				kinds[request.n_kinds++] =
				    SLUICE__V1__EVENT_KIND__EVENT_KIND_WORKSPACE + bit - 6;
			}
		}
	}
	return buffer_of(bytes, sluice__v1__watch_request__pack(&request, bytes));
}

/* --- streams -------------------------------------------------------------------------- */

static void start(grpc_call *call, const grpc_op *ops, size_t count, void *tag)
{
	if (grpc_call_start_batch(call, ops, count, tag, NULL) != GRPC_CALL_OK) {
		die("gRPC refuses a batch");
	}
}

static void read_next(struct watcher *watcher)
{
	grpc_op op = {.op = GRPC_OP_RECV_MESSAGE};
	watcher->message = NULL;
	op.data.recv_message.recv_message = &watcher->message;
	start(watcher->call, &op, 1, &watcher->received);
}

static void read_status(struct watcher *watcher)
{
	grpc_op op = {.op = GRPC_OP_RECV_STATUS_ON_CLIENT};
	op.data.recv_status_on_client.trailing_metadata = &watcher->trailing;
	op.data.recv_status_on_client.status = &watcher->status;
	op.data.recv_status_on_client.status_details = &watcher->text;
	start(watcher->call, &op, 1, &watcher->ended);
}

static void stream_open(struct watchers *watchers, unsigned number)
{
	struct watcher *watcher = &watchers->all[number];
	grpc_slice path = grpc_slice_from_static_string(
	    watchers->options.etcd ? "/etcdserverpb.Watch/Watch" : "/sluice.v1.WatchService/Watch");
	watcher->call =
	    grpc_channel_create_call(watcher->channel, NULL, GRPC_PROPAGATE_DEFAULTS, watchers->cq,
				     path, NULL, gpr_inf_future(GPR_CLOCK_REALTIME), NULL);
	watcher->request =
	    watchers->options.etcd ? request_of_etcd() : request_of_sluiced(watchers, number);
	watcher->text = grpc_empty_slice();
	watcher->over = false;
	grpc_metadata_array_init(&watcher->headers);
	grpc_metadata_array_init(&watcher->trailing);
	grpc_op ops[] = {
	    {.op = GRPC_OP_SEND_INITIAL_METADATA},
	    {.op = GRPC_OP_SEND_MESSAGE},
	    {.op = GRPC_OP_RECV_INITIAL_METADATA},
	};
	ops[1].data.send_message.send_message = watcher->request;
	ops[2].data.recv_initial_metadata.recv_initial_metadata = &watcher->headers;
	start(watcher->call, ops, SL_COUNT(ops), &watcher->opened);
	read_next(watcher);
}

static void stream_forget(struct watcher *watcher)
{
	grpc_metadata_array_destroy(&watcher->headers);
	grpc_metadata_array_destroy(&watcher->trailing);
	grpc_byte_buffer_destroy(watcher->request);
	grpc_slice_unref(watcher->text);
}

/* --- what comes ------------------------------------------------------------------------ */

static uint64_t read_varint(struct sl_bytes message, size_t *at)
{
	uint64_t value = 0;
	for (unsigned shift = 0; *at < message.size && shift < 64; shift += 7) {
		uint8_t byte = message.data[(*at)++];
		value |= (uint64_t)(byte & 0x7f) << shift;
		if ((byte & 0x80) == 0) {
			break;
		}
	}
	return value;
}

/* Walks the fields without unpacking: thousands of watchers in one process. */
static void count_changes(struct watchers *watchers, struct watcher *watcher,
			  struct sl_bytes message)
{
	unsigned wanted = watchers->options.etcd ? ETCD_EVENTS_FIELD : CHANGES_FIELD;
	for (size_t at = 0; at < message.size;) {
		uint64_t key = read_varint(message, &at), value = read_varint(message, &at);
		unsigned field = (unsigned)(key >> 3), wire = (unsigned)(key & 7);
		watchers->changes += field == wanted && wire == WIRE_BYTES;
		if (field == REVISION_FIELD && wire == WIRE_VARINT) {
			watcher->revision = value;
		}
		at += wire == WIRE_BYTES ? value : 0;
	}
}

static void take_message(struct watchers *watchers, struct watcher *watcher)
{
	grpc_byte_buffer_reader reader;
	if (!grpc_byte_buffer_reader_init(&reader, watcher->message)) {
		die("gRPC cannot read its buffer");
	}
	grpc_slice all = grpc_byte_buffer_reader_readall(&reader);
	struct sl_bytes message = SL_BYTES(GRPC_SLICE_START_PTR(all), GRPC_SLICE_LENGTH(all));
	count_changes(watchers, watcher, message);
	watchers->bytes += message.size;
	if (watchers->options.on_message != NULL) {
		watchers->options.on_message(watchers->options.ctx, message);
	}
	grpc_slice_unref(all);
	grpc_byte_buffer_reader_destroy(&reader);
	grpc_byte_buffer_destroy(watcher->message);
	watcher->message = NULL;
}

static void on_received(struct watchers *watchers, struct watcher *watcher)
{
	if (watcher->message == NULL) {
		read_status(watcher);
		return;
	}
	take_message(watchers, watcher);
	watchers->watching += !watcher->watching;
	watcher->watching = true;
	read_next(watcher);
}

static void on_end(struct watchers *watchers, struct watcher *watcher)
{
	watcher->over = true;
	watchers->over++;
	if (watchers->options.stay_ended) {
		return;
	}
	if (watcher->status != GRPC_STATUS_RESOURCE_EXHAUSTED || watchers->options.etcd) {
		die("a watcher's stream ended: status %d: %.*s", (int)watcher->status,
		    (int)GRPC_SLICE_LENGTH(watcher->text),
		    (const char *)GRPC_SLICE_START_PTR(watcher->text));
	}
	watchers->over--;
	watchers->resumed++;
	grpc_call_unref(watcher->call);
	stream_forget(watcher);
	stream_open(watchers, (unsigned)(watcher - watchers->all));
}

bool watchers_take(struct watchers *watchers, unsigned wait_ms)
{
	gpr_timespec until =
	    gpr_time_add(gpr_now(GPR_CLOCK_MONOTONIC), gpr_time_from_millis(wait_ms, GPR_TIMESPAN));
	grpc_event event = grpc_completion_queue_next(watchers->cq, until, NULL);
	if (event.type != GRPC_OP_COMPLETE) {
		return false;
	}
	size_t offset = (size_t)((const char *)event.tag - (const char *)watchers->all);
	struct watcher *watcher = &watchers->all[offset / sizeof(*watcher)];
	if (event.tag == &watcher->received) {
		on_received(watchers, watcher);
	} else if (event.tag == &watcher->ended) {
		on_end(watchers, watcher);
	}
	return true;
}

/* --- ended ones ------------------------------------------------------------------------ */

/* The status details' metadata `revision`: a map entry, so key, tag of the value, length, value. */
static uint64_t named_revision(const struct watcher *watcher)
{
	static const char key[] = "revision\x12";
	for (size_t i = 0; i < watcher->trailing.count; i++) {
		const grpc_metadata *pair = &watcher->trailing.metadata[i];
		const uint8_t *data = GRPC_SLICE_START_PTR(pair->value);
		size_t size = GRPC_SLICE_LENGTH(pair->value);
		const uint8_t *at = memmem(data, size, key, sizeof(key) - 1);
		char digits[24] = "";
		if (at == NULL || at + sizeof(key) > data + size) {
			continue;
		}
		at += sizeof(key); /* behind the length, which is one byte */
		size_t length = at[-1], rest = (size_t)(data + size - at);
		if (length < sizeof(digits) && length <= rest) {
			memcpy(digits, at, length);
			return strtoull(digits, NULL, 10);
		}
	}
	return 0;
}

unsigned watchers_ended(struct watchers *watchers, unsigned wait_ms)
{
	unsigned ended = 0;
	uint64_t until = sl_clock_mono_ms() + wait_ms;
	while (watchers->over < watchers->options.count && sl_clock_mono_ms() < until) {
		(void)watchers_take(watchers, 100);
	}
	for (unsigned i = 0; i < watchers->options.count; i++) {
		const struct watcher *watcher = &watchers->all[i];
		ended += watcher->over && watcher->status == GRPC_STATUS_RESOURCE_EXHAUSTED &&
			 named_revision(watcher) == watcher->revision;
		if (!watcher->over || named_revision(watcher) != watcher->revision) {
			(void)fprintf(stderr, "  watcher %u: %s, status %d, at %lu, told %lu\n", i,
				      watcher->over ? "ended" : "lives", (int)watcher->status,
				      (unsigned long)watcher->revision,
				      (unsigned long)named_revision(watcher));
		}
	}
	return ended;
}

/* --- the whole ------------------------------------------------------------------------ */

struct watchers *watchers_new(const struct watchers_options *options)
{
	struct watchers *watchers = need(calloc(1, sizeof(*watchers)));
	watchers->options = *options;
	watchers->all = need(calloc(options->count, sizeof(*watchers->all)));
	watchers->cq = grpc_completion_queue_create_for_next(NULL);
	unsigned begun = 0;
	while (watchers->watching < options->count) {
		/* sluiced's first word comes late: there all connect at once, others in steps. */
		unsigned room = options->etcd ? CONNECTING_MAX : options->count;
		for (; begun < options->count && begun - watchers->watching < room; begun++) {
			watchers->all[begun].channel = options->stay_ended
							   ? load_channel_new_narrow(options->port)
							   : load_channel_new(options->port);
			stream_open(watchers, begun);
		}
		if (!watchers_take(watchers, SILENCE_MS)) {
			die("watchers: nothing comes, %u of %u watch", watchers->watching,
			    options->count);
		}
	}
	return watchers;
}

void watchers_free(struct watchers *watchers)
{
	if (watchers == NULL) {
		return;
	}
	for (unsigned i = 0; i < watchers->options.count; i++) {
		(void)grpc_call_cancel(watchers->all[i].call, NULL);
		grpc_call_unref(watchers->all[i].call);
	}
	grpc_completion_queue_shutdown(watchers->cq);
	gpr_timespec ever = gpr_inf_future(GPR_CLOCK_REALTIME);
	while (grpc_completion_queue_next(watchers->cq, ever, NULL).type != GRPC_QUEUE_SHUTDOWN) {
	}
	for (unsigned i = 0; i < watchers->options.count; i++) {
		struct watcher *watcher = &watchers->all[i];
		if (watcher->message != NULL) {
			grpc_byte_buffer_destroy(watcher->message);
		}
		stream_forget(watcher);
		grpc_channel_destroy(watcher->channel);
	}
	grpc_completion_queue_destroy(watchers->cq);
	free(watchers->all);
	free(watchers);
}

uint64_t watchers_changes(const struct watchers *watchers)
{
	return watchers->changes;
}

uint64_t watchers_bytes(const struct watchers *watchers)
{
	return watchers->bytes;
}

unsigned watchers_resumed(const struct watchers *watchers)
{
	return watchers->resumed;
}
