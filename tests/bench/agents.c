#include "tests/bench/agents.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock/clock.h"
#include "base/crypto/box.h"
#include "base/crypto/crypto.h"
#include "base/mem/own.h"
#include "sluice/v1/agent.pb-c.h"
#include "tests/bench/die.h"
#include "tests/bench/h2.h"
#include "tests/bench/secure.h"
#include "tests/bench/wire.h"

enum {
	SILENCE_S = 60,
	CONNECTING_MAX = 200,
	ID_BYTES = 40,
	MESSAGE_BYTES = 512,
	PAUSE_MIN_MS = 500,
	PAUSE_MAX_MS = 10000,
	LOOK_MS = 50,
	TEXT_BYTES = 200
};

struct agent {
	struct agents *agents;
	struct h2 *link; /* owned */
	bool has_manifest;
	bool away; /* the stream is over: dials again at dial_ms */
	uint64_t dial_ms, pause_ms;
	/* Of the first manifest: */
	uint64_t sequence;
	char app_id[ID_BYTES], version_id[ID_BYTES];
	double told_us;
};

struct agents {
	struct wires *wires;
	struct h2 *admin; /* of the unary call, which an agent may not make */
	struct agent *all;
	int port;
	unsigned count, told;
	bool returning;
	const char *wanted; /* text of the manifests that are waited for; NULL: any manifest */
	uint64_t since_us;
	/* The unary call: */
	double replied_us; /* 0: not over */
	int status;
	char text[TEXT_BYTES];
};

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

static bool is_wanted(const struct agents *agents, struct agent *agent, struct sl_bytes message)
{
	/* Field 1 of SyncResponse is the manifest. */
	bool wanted = message.size > 0 && message.data[0] == (1 << 3 | 2) &&
		      (agents->wanted == NULL || memmem(message.data, message.size, agents->wanted,
							strlen(agents->wanted)) != NULL);
	if (wanted && agents->wanted == NULL) {
		read_first(agent, message);
	}
	return wanted;
}

static void on_message(void *ctx, struct sl_bytes message)
{
	struct agent *agent = ctx;
	struct agents *agents = agent->agents;
	if (is_wanted(agents, agent, message) && !agent->has_manifest) {
		agent->pause_ms = PAUSE_MIN_MS;
		agent->told_us = (double)(sl_clock_mono_us() - agents->since_us);
		agent->has_manifest = true;
		agents->told++;
	}
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

static void on_end(void *ctx, int status, const char *text)
{
	struct agent *agent = ctx;
	if (!agent->agents->returning) {
		die("an agent's stream ended: status %d: %s", status, text);
	}
	go_away(agent->agents, agent);
}

static void take_event(struct agents *agents)
{
	if (!wires_wait(agents->wires, SILENCE_S * 1000)) {
		die("agents: nothing comes for %d s, %u of %u are told", SILENCE_S, agents->told,
		    agents->count);
	}
}

/* --- what they say ------------------------------------------------------------------ */

static void say_hello(struct agents *agents, unsigned number)
{
	static const uint8_t box_secret[SL_BOX_SECRET_BYTES] = {1};
	struct agent *agent = &agents->all[number];
	Sluice__V1__SyncRequest request = SLUICE__V1__SYNC_REQUEST__INIT;
	Sluice__V1__AgentHello hello = SLUICE__V1__AGENT_HELLO__INIT;
	char name[32];
	uint8_t bytes[MESSAGE_BYTES], box_key[SL_BOX_PUBLIC_BYTES];
	(void)snprintf(name, sizeof(name), "agent-%u", number);
	sl_box_public(box_secret, box_key);
	hello.box_key = (ProtobufCBinaryData){.data = box_key, .len = sizeof(box_key)};
	hello.instance = name;
	hello.agent_version = (char *)"bench";
	hello.protocol = 1;
	hello.manifest_trees = true;
	request.message_case = SLUICE__V1__SYNC_REQUEST__MESSAGE_HELLO;
	request.hello = &hello;
	const struct h2_call call = {.path = "/sluice.v1.AgentService/Sync",
				     .came = on_message,
				     .ended = on_end,
				     .ctx = agent};
	h2_call(agent->link, &call,
		SL_BYTES(bytes, sluice__v1__sync_request__pack(&request, bytes)));
}

/* Returns when it is sent. */
static void say(struct agent *agent, const Sluice__V1__SyncRequest *request)
{
	uint8_t bytes[MESSAGE_BYTES];
	h2_say(agent->link, SL_BYTES(bytes, sluice__v1__sync_request__pack(request, bytes)));
	while (h2_is_saying(agent->link)) {
		take_event(agent->agents);
	}
}

static Google__Protobuf__Timestamp unix_now(void)
{
	Google__Protobuf__Timestamp at = GOOGLE__PROTOBUF__TIMESTAMP__INIT;
	at.seconds = (int64_t)(sl_clock_unix_ms() / 1000);
	return at;
}

static void say_healthy(struct agent *agent)
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
	say(agent, &request);
}

static void say_heartbeat(struct agent *agent)
{
	Sluice__V1__SyncRequest request = SLUICE__V1__SYNC_REQUEST__INIT;
	Sluice__V1__AgentHeartbeat heartbeat = SLUICE__V1__AGENT_HEARTBEAT__INIT;
	Google__Protobuf__Timestamp at = unix_now();
	heartbeat.sequence = agent->sequence;
	heartbeat.at = &at;
	request.message_case = SLUICE__V1__SYNC_REQUEST__MESSAGE_HEARTBEAT;
	request.heartbeat = &heartbeat;
	say(agent, &request);
}

void agents_report_healthy(struct agents *agents)
{
	for (unsigned i = 0; i < agents->count; i++) {
		if (agents->all[i].version_id[0] == '\0') {
			die("agent %u is to serve nothing", i);
		}
		say_healthy(&agents->all[i]);
	}
}

uint64_t agents_beat(struct agents *agents, uint64_t every_ms, uint64_t for_ms)
{
	uint64_t started = sl_clock_mono_us(), said = 0, pause_us = every_ms * 1000 / agents->count;
	for (uint64_t past = 0; past < for_ms * 1000; past = sl_clock_mono_us() - started) {
		for (; said * pause_us <= past; said++) {
			say_heartbeat(&agents->all[said % agents->count]);
		}
		uint64_t due = said * pause_us;
		(void)wires_wait(agents->wires,
				 due > past ? (unsigned)((due - past + 999) / 1000) : 0);
	}
	return said;
}

/* --- the whole ------------------------------------------------------------------------ */

static void agent_connect(struct agents *agents, unsigned number)
{
	agents->all[number].link =
	    h2_new(agents->wires, agents->port, secure_agent_tls(agents->port, number));
	say_hello(agents, number);
}

struct agents *agents_connect(int port, unsigned count)
{
	struct agents *agents = need(calloc(1, sizeof(*agents)));
	agents->all = need(calloc(count, sizeof(*agents->all)));
	agents->wires = wires_new();
	agents->count = count;
	agents->port = port;
	agents->admin = h2_new(agents->wires, port, secure_tls(port));
	for (unsigned started = 0; agents->told < count;) {
		for (; started < count && started - agents->told < CONNECTING_MAX; started++) {
			agents->all[started].agents = agents;
			agent_connect(agents, started);
		}
		take_event(agents);
	}
	return agents;
}

static void on_reply(void *ctx, struct sl_bytes message)
{
	(void)ctx, (void)message;
}

static void on_replied(void *ctx, int status, const char *text)
{
	struct agents *agents = ctx;
	agents->replied_us = (double)(sl_clock_mono_us() - agents->since_us);
	agents->status = status;
	(void)snprintf(agents->text, sizeof(agents->text), "%s", text);
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
	const struct h2_call unary = {.path = call->method,
				      .unary = true,
				      .came = on_reply,
				      .ended = on_replied,
				      .ctx = agents};
	h2_call(agents->admin, &unary, SL_BYTES(call->request, call->request_size));
	while (agents->told < agents->count || agents->replied_us == 0) {
		take_event(agents);
	}
	if (agents->status != 0) {
		die("%s: status %d: %s", call->method, agents->status, agents->text);
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
		if (agent->away && agent->dial_ms <= now_ms) {
			h2_free(agent->link);
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
		(void)wires_wait(agents->wires, LOOK_MS);
	}
	return agents->told;
}

void agents_free(struct agents *agents)
{
	if (agents == NULL) {
		return;
	}
	for (unsigned i = 0; i < agents->count; i++) {
		h2_free(agents->all[i].link);
	}
	h2_free(agents->admin);
	wires_free(agents->wires);
	free(agents->all);
	free(agents);
}
