#include "tests/bench/agents.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <grpc/byte_buffer.h>
#include <grpc/byte_buffer_reader.h>
#include <grpc/grpc.h>
#include <grpc/support/time.h>

#include "base/clock/clock.h"
#include "base/crypto/box.h"
#include "base/crypto/crypto.h"
#include "base/mem/own.h"
#include "sluice/v1/agent.pb-c.h"
#include "tests/bench/die.h"
#include "tests/bench/load.h"

enum {
	SILENCE_S = 60,
	CONNECTING_MAX = 200,
	ID_BYTES = 40,
	MESSAGE_BYTES = 512,
	PAUSE_MIN_MS = 500,
	PAUSE_MAX_MS = 10000,
	LOOK_MS = 50
};

/* The tags of an agent's batches are the addresses of its four bytes. */
struct agent {
	grpc_channel *channel;
	grpc_call *call;
	char opened, received, ended, sent;
	grpc_metadata_array headers, trailing;
	grpc_byte_buffer *hello, *message;
	grpc_status_code status;
	grpc_slice text;
	bool has_manifest, sending;
	bool opening; /* the batch `opened` is under way */
	bool away;    /* the stream is over: dials again at dial_ms */
	uint64_t dial_ms, pause_ms;
	grpc_byte_buffer *outgoing;
	/* Of the first manifest: */
	uint64_t sequence;
	char app_id[ID_BYTES], version_id[ID_BYTES];
	double told_us;
};

struct agents {
	grpc_completion_queue *cq;
	grpc_channel *admin; /* of the unary call, which an agent may not make */
	struct agent *all;
	int port;
	unsigned count, told, ended, sending;
	bool stopping, returning;
	const char *wanted; /* text of the manifests that are waited for; NULL: any manifest */
	uint64_t since_us;
	char call_done; /* tag of the unary call */
	double replied_us;
};

static void start(grpc_call *call, const grpc_op *ops, size_t count, void *tag)
{
	if (grpc_call_start_batch(call, ops, count, tag, NULL) != GRPC_CALL_OK) {
		die("gRPC refuses a batch");
	}
}

static void read_next(struct agent *agent)
{
	grpc_op op = {.op = GRPC_OP_RECV_MESSAGE};
	agent->message = NULL;
	op.data.recv_message.recv_message = &agent->message;
	start(agent->call, &op, 1, &agent->received);
}

/* Only once the stream is over: gRPC's assertions look through all outstanding tags at each event.
 */
static void read_status(struct agent *agent)
{
	grpc_op op = {.op = GRPC_OP_RECV_STATUS_ON_CLIENT};
	op.data.recv_status_on_client.trailing_metadata = &agent->trailing;
	op.data.recv_status_on_client.status = &agent->status;
	op.data.recv_status_on_client.status_details = &agent->text;
	start(agent->call, &op, 1, &agent->ended);
}

static grpc_byte_buffer *pack_hello(unsigned number)
{
	Sluice__V1__SyncRequest request = SLUICE__V1__SYNC_REQUEST__INIT;
	Sluice__V1__AgentHello hello = SLUICE__V1__AGENT_HELLO__INIT;
	char name[32];
	static const uint8_t box_secret[SL_BOX_SECRET_BYTES] = {1};
	uint8_t bytes[256], box_key[SL_BOX_PUBLIC_BYTES];
	(void)snprintf(name, sizeof(name), "agent-%u", number);
	sl_box_public(box_secret, box_key);
	hello.box_key = (ProtobufCBinaryData){.data = box_key, .len = sizeof(box_key)};
	hello.instance = name;
	hello.agent_version = (char *)"bench";
	hello.protocol = 1;
	hello.manifest_trees = true;
	request.message_case = SLUICE__V1__SYNC_REQUEST__MESSAGE_HELLO;
	request.hello = &hello;
	size_t size = sluice__v1__sync_request__pack(&request, bytes);
	grpc_slice slice = grpc_slice_from_copied_buffer((char *)bytes, size);
	grpc_byte_buffer *buffer = grpc_raw_byte_buffer_create(&slice, 1);
	grpc_slice_unref(slice);
	return buffer;
}

static void agent_connect(struct agents *agents, unsigned number)
{
	struct agent *agent = &agents->all[number];
	grpc_slice path = grpc_slice_from_static_string("/sluice.v1.AgentService/Sync");
	agent->channel = load_channel_new_agent(agents->port, number);
	agent->call =
	    grpc_channel_create_call(agent->channel, NULL, GRPC_PROPAGATE_DEFAULTS, agents->cq,
				     path, NULL, gpr_inf_future(GPR_CLOCK_REALTIME), NULL);
	agent->hello = pack_hello(number);
	agent->text = grpc_empty_slice();
	grpc_metadata_array_init(&agent->headers);
	grpc_metadata_array_init(&agent->trailing);
	grpc_op ops[] = {
	    {.op = GRPC_OP_SEND_INITIAL_METADATA},
	    {.op = GRPC_OP_SEND_MESSAGE},
	    {.op = GRPC_OP_RECV_INITIAL_METADATA},
	};
	ops[1].data.send_message.send_message = agent->hello;
	ops[2].data.recv_initial_metadata.recv_initial_metadata = &agent->headers;
	start(agent->call, ops, SL_COUNT(ops), &agent->opened);
	agent->opening = true;
	read_next(agent);
}

static void agent_forget(struct agent *agent)
{
	grpc_call_unref(agent->call);
	grpc_channel_destroy(agent->channel);
	grpc_metadata_array_destroy(&agent->headers);
	grpc_metadata_array_destroy(&agent->trailing);
	grpc_byte_buffer_destroy(agent->hello);
	grpc_slice_unref(agent->text);
}

/* --- what comes -------------------------------------------------------------------- */

static void keep_manifest(struct agent *agent, const Sluice__V1__SyncResponse *response)
{
	Sluice__V1__Manifest *manifest = sluice__v1__manifest__unpack(
	    NULL, response->manifest->body.len, response->manifest->body.data);
	if (manifest == NULL) {
		die("a manifest does not parse");
	}
	agent->sequence = manifest->sequence;
	if (manifest->n_apps > 0) {
		const Sluice__V1__ManifestApp *app = manifest->apps[0];
		(void)snprintf(agent->app_id, sizeof(agent->app_id), "%s", app->app_id);
		(void)snprintf(agent->version_id, sizeof(agent->version_id), "%s", app->activate);
	}
	sluice__v1__manifest__free_unpacked(manifest, NULL);
}

static void read_first(struct agent *agent, struct sl_bytes message)
{
	Sluice__V1__SyncResponse *response =
	    sluice__v1__sync_response__unpack(NULL, message.size, message.data);
	if (response == NULL) {
		die("a message to an agent does not parse");
	}
	if (response->message_case == SLUICE__V1__SYNC_RESPONSE__MESSAGE_MANIFEST) {
		keep_manifest(agent, response);
	}
	sluice__v1__sync_response__free_unpacked(response, NULL);
}

static bool is_wanted(const struct agents *agents, struct agent *agent)
{
	grpc_byte_buffer_reader reader;
	if (!grpc_byte_buffer_reader_init(&reader, agent->message)) {
		die("gRPC cannot read its buffer");
	}
	grpc_slice all = grpc_byte_buffer_reader_readall(&reader);
	const uint8_t *bytes = GRPC_SLICE_START_PTR(all);
	size_t size = GRPC_SLICE_LENGTH(all);
	/* Field 1 of SyncResponse is the manifest. */
	bool wanted = size > 0 && bytes[0] == (1 << 3 | 2) &&
		      (agents->wanted == NULL ||
		       memmem(bytes, size, agents->wanted, strlen(agents->wanted)) != NULL);
	if (wanted && agents->wanted == NULL) {
		read_first(agent, SL_BYTES(bytes, size));
	}
	grpc_slice_unref(all);
	grpc_byte_buffer_reader_destroy(&reader);
	return wanted;
}

static void on_message(struct agents *agents, struct agent *agent)
{
	if (agent->message == NULL) {
		read_status(agent);
		return;
	}
	if (is_wanted(agents, agent) && !agent->has_manifest) {
		agent->pause_ms = PAUSE_MIN_MS;
		agent->told_us = (double)(sl_clock_mono_us() - agents->since_us);
		agent->has_manifest = true;
		agents->told++;
	}
	grpc_byte_buffer_destroy(agent->message);
	read_next(agent);
}

/* Between half of the pause and all of it; the next one is twice as long. */
static void go_away(struct agents *agents, struct agent *agent)
{
	uint32_t random = 0;
	sl_random(&random, sizeof(random));
	agent->dial_ms = sl_clock_mono_ms() + agent->pause_ms - random % (agent->pause_ms / 2);
	agent->pause_ms = agent->pause_ms * 2 < PAUSE_MAX_MS ? agent->pause_ms * 2 : PAUSE_MAX_MS;
	agent->away = true;
	agents->told -= agent->has_manifest;
	agent->has_manifest = false;
}

static void on_end(struct agents *agents, struct agent *agent)
{
	if (agents->returning && !agents->stopping) {
		go_away(agents, agent);
		return;
	}
	agents->ended++;
	if (!agents->stopping) {
		die("an agent's stream ended: status %d: %.*s", (int)agent->status,
		    (int)GRPC_SLICE_LENGTH(agent->text),
		    (const char *)GRPC_SLICE_START_PTR(agent->text));
	}
}

/* The agent whose byte the tag is. */
static struct agent *agent_of(struct agents *agents, const void *tag)
{
	size_t offset = (size_t)((const char *)tag - (const char *)agents->all);
	return &agents->all[offset / sizeof(struct agent)];
}

static void on_event(struct agents *agents, void *tag)
{
	if (tag == &agents->call_done) {
		agents->replied_us = (double)(sl_clock_mono_us() - agents->since_us);
		return;
	}
	struct agent *agent = agent_of(agents, tag);
	if (tag == &agent->received) {
		on_message(agents, agent);
	} else if (tag == &agent->opened) {
		agent->opening = false;
	} else if (tag == &agent->ended) {
		on_end(agents, agent);
	} else if (tag == &agent->sent) {
		grpc_byte_buffer_destroy(SL_TAKE(agent->outgoing));
		agent->sending = false;
		agents->sending--;
	}
}

static bool take_within(struct agents *agents, uint64_t ms)
{
	gpr_timespec until = gpr_time_add(gpr_now(GPR_CLOCK_MONOTONIC),
					  gpr_time_from_millis((int64_t)ms, GPR_TIMESPAN));
	grpc_event event = grpc_completion_queue_next(agents->cq, until, NULL);
	if (event.type == GRPC_OP_COMPLETE) {
		on_event(agents, event.tag);
	}
	return event.type == GRPC_OP_COMPLETE;
}

static void take_event(struct agents *agents)
{
	if (!take_within(agents, SILENCE_S * 1000)) {
		die("agents: nothing comes for %d s, %u of %u are told", SILENCE_S, agents->told,
		    agents->count);
	}
}

/* --- what they say ------------------------------------------------------------------ */

static void say(struct agents *agents, struct agent *agent, const Sluice__V1__SyncRequest *request)
{
	uint8_t bytes[MESSAGE_BYTES];
	if (agent->sending) {
		die("the server does not take an agent's message");
	}
	grpc_slice slice = grpc_slice_from_copied_buffer(
	    (char *)bytes, sluice__v1__sync_request__pack(request, bytes));
	agent->outgoing = grpc_raw_byte_buffer_create(&slice, 1);
	grpc_slice_unref(slice);
	agent->sending = true;
	agents->sending++;
	grpc_op op = {.op = GRPC_OP_SEND_MESSAGE};
	op.data.send_message.send_message = agent->outgoing;
	start(agent->call, &op, 1, &agent->sent);
}

static Google__Protobuf__Timestamp unix_now(void)
{
	Google__Protobuf__Timestamp at = GOOGLE__PROTOBUF__TIMESTAMP__INIT;
	at.seconds = (int64_t)(sl_clock_unix_ms() / 1000);
	return at;
}

static void say_healthy(struct agents *agents, struct agent *agent)
{
	Sluice__V1__SyncRequest request = SLUICE__V1__SYNC_REQUEST__INIT;
	Sluice__V1__AgentReport report = SLUICE__V1__AGENT_REPORT__INIT;
	Google__Protobuf__Timestamp at = unix_now();
	report.app_id = agent->app_id;
	report.version_id = report.active_version_id = agent->version_id;
	report.phase = SLUICE__V1__PHASE__PHASE_HEALTHY;
	report.attempt = 1;
	report.sequence = agent->sequence;
	report.at = &at;
	request.message_case = SLUICE__V1__SYNC_REQUEST__MESSAGE_REPORT;
	request.report = &report;
	say(agents, agent, &request);
}

static void say_heartbeat(struct agents *agents, struct agent *agent)
{
	Sluice__V1__SyncRequest request = SLUICE__V1__SYNC_REQUEST__INIT;
	Sluice__V1__AgentHeartbeat heartbeat = SLUICE__V1__AGENT_HEARTBEAT__INIT;
	Google__Protobuf__Timestamp at = unix_now();
	heartbeat.sequence = agent->sequence;
	heartbeat.at = &at;
	request.message_case = SLUICE__V1__SYNC_REQUEST__MESSAGE_HEARTBEAT;
	request.heartbeat = &heartbeat;
	say(agents, agent, &request);
}

void agents_report_healthy(struct agents *agents)
{
	for (unsigned i = 0; i < agents->count; i++) {
		if (agents->all[i].version_id[0] == '\0') {
			die("agent %u is to serve nothing", i);
		}
		say_healthy(agents, &agents->all[i]);
		while (agents->sending >= CONNECTING_MAX) {
			take_event(agents);
		}
	}
	while (agents->sending > 0) {
		take_event(agents);
	}
}

uint64_t agents_beat(struct agents *agents, uint64_t every_ms, uint64_t for_ms)
{
	uint64_t started = sl_clock_mono_us(), said = 0, pause_us = every_ms * 1000 / agents->count;
	for (uint64_t past = 0; past < for_ms * 1000; past = sl_clock_mono_us() - started) {
		for (; said * pause_us <= past; said++) {
			say_heartbeat(agents, &agents->all[said % agents->count]);
		}
		uint64_t due = said * pause_us;
		(void)take_within(agents, due > past ? (due - past) / 1000 : 0);
	}
	while (agents->sending > 0) {
		take_event(agents);
	}
	return said;
}

/* --- the whole ------------------------------------------------------------------------ */

struct agents *agents_connect(int port, unsigned count)
{
	struct agents *agents = need(calloc(1, sizeof(*agents)));
	agents->all = need(calloc(count, sizeof(*agents->all)));
	agents->cq = grpc_completion_queue_create_for_next(NULL);
	agents->count = count;
	agents->port = port;
	agents->admin = load_channel_new(port);
	for (unsigned started = 0; agents->told < count;) {
		for (; started < count && started - agents->told < CONNECTING_MAX; started++) {
			agent_connect(agents, started);
		}
		take_event(agents);
	}
	return agents;
}

void agents_tell(struct agents *agents, const struct agents_call *call, double *ret_told_us,
		 double *ret_replied_us)
{
	for (unsigned i = 0; i < agents->count; i++) {
		agents->all[i].has_manifest = false;
	}
	agents->told = 0;
	agents->wanted = call->told;
	agents->replied_us = 0;
	agents->since_us = sl_clock_mono_us();
	struct load_single *single =
	    load_single_start(agents->admin, agents->cq, call->method,
			      SL_BYTES(call->request, call->request_size), &agents->call_done);
	while (agents->told < agents->count || agents->replied_us == 0) {
		take_event(agents);
	}
	char text[200];
	if (load_single_end(single, text) != 0) {
		die("%s: %s", call->method, text);
	}
	for (unsigned i = 0; i < agents->count; i++) {
		ret_told_us[i] = agents->all[i].told_us;
	}
	*ret_replied_us = agents->replied_us;
}

void agents_let_return(struct agents *agents)
{
	agents->returning = true;
	agents->wanted = NULL;
	agents->told = agents->count;
	for (unsigned i = 0; i < agents->count; i++) {
		agents->all[i].has_manifest = true;
		agents->all[i].pause_ms = PAUSE_MIN_MS;
	}
}

static void dial_due(struct agents *agents, uint64_t now_ms)
{
	for (unsigned i = 0; i < agents->count; i++) {
		struct agent *agent = &agents->all[i];
		if (agent->away && !agent->opening && agent->dial_ms <= now_ms) {
			agent_forget(agent);
			agent->away = false;
			agent_connect(agents, i);
		}
	}
}

unsigned agents_work(struct agents *agents, uint64_t for_ms)
{
	uint64_t until_ms = sl_clock_mono_ms() + for_ms, look_ms = 0;
	for (uint64_t now_ms; (now_ms = sl_clock_mono_ms()) < until_ms;) {
		if (now_ms >= look_ms) {
			dial_due(agents, now_ms);
			look_ms = now_ms + LOOK_MS;
		}
		(void)take_within(agents, LOOK_MS);
	}
	return agents->told;
}

void agents_free(struct agents *agents)
{
	if (agents == NULL) {
		return;
	}
	agents->stopping = true;
	for (unsigned i = 0; i < agents->count; i++) {
		agents->ended += agents->all[i].away;
		(void)grpc_call_cancel(agents->all[i].call, NULL);
	}
	while (agents->ended < agents->count) {
		take_event(agents);
	}
	for (unsigned i = 0; i < agents->count; i++) {
		agent_forget(&agents->all[i]);
	}
	grpc_channel_destroy(agents->admin);
	grpc_completion_queue_shutdown(agents->cq);
	while (
	    grpc_completion_queue_next(agents->cq, gpr_inf_future(GPR_CLOCK_REALTIME), NULL).type !=
	    GRPC_QUEUE_SHUTDOWN) {
	}
	grpc_completion_queue_destroy(agents->cq);
	free(agents->all);
	free(agents);
}
