#include "tests/unit/server/fleet/agents.h"

#include <stdio.h>
#include <unistd.h>

#include "base/clock/clock.h"
#include "server/records/apps.h"

uint64_t agents_mono_ms, agents_unix_ms;

static uint64_t mono(void)
{
	return agents_mono_ms;
}

static uint64_t unix_time(void)
{
	return agents_unix_ms;
}

/* --- the faked streams ------------------------------------------------------------------ */

struct rpc_stream *rpc_stream_ref(struct rpc_stream *stream)
{
	stream->refs++;
	return stream;
}

void rpc_stream_unref(struct rpc_stream *stream)
{
	if (stream == NULL || --stream->refs > 0) {
		return;
	}
	for (size_t i = 0; i < stream->sent_count; i++) {
		sl_buf_fini(&stream->sent[i]);
	}
	free(stream);
}

void rpc_stream_set_user(struct rpc_stream *stream, void *user)
{
	stream->user = user;
}

void *rpc_stream_user(const struct rpc_stream *stream)
{
	return stream->user;
}

const char *rpc_stream_peer(const struct rpc_stream *stream)
{
	(void)stream;
	return "ipv4:127.0.0.1:4711";
}

sl_code rpc_stream_send_bytes(struct rpc_stream *stream, struct sl_bytes bytes, uint64_t mark)
{
	(void)mark;
	if (stream->ended) {
		return SL_CANCELLED;
	}
	if (stream->full || stream->sent_count == SENT_MAX) {
		return SL_RESOURCE_EXHAUSTED;
	}
	sl_buf_append(&stream->sent[stream->sent_count++], bytes.data, bytes.size);
	return SL_OK;
}

void rpc_stream_finish(struct rpc_stream *stream, sl_code code, const struct sl_err *err)
{
	if (!stream->ended) {
		stream->ended = true;
		stream->code = code;
		stream->reason = err == NULL ? SL_REASON_NONE : err->reason;
	}
}

/* --- the fixture -------------------------------------------------------------------------- */

static void start(struct agents *a)
{
	const struct fleet_options options = {.store = a->s->store,
					      .signing = a->signing,
					      .config = a->config,
					      .config_ctx = a->config_ctx,
					      .heartbeat_ms = 10000,
					      .mono_ms = mono,
					      .unix_ms = unix_time};
	assert_int_equal(fleet_new(&options, &a->fleet, &a->s->err), SL_OK);
	a->followed = agents_revision(a);
}

int agents_setup(void **state)
{
	struct agents *a = calloc(1, sizeof(*a));
	void *steps = NULL;
	assert_int_equal(steps_setup(&steps), 0);
	a->s = steps;
	agents_mono_ms = sl_clock_mono_ms(); /* services take deadlines from the real clock */
	agents_unix_ms = 1800000000000u;
	start(a);
	*state = a;
	return 0;
}

/* A command of the fleet's may still be on its way. */
static void wait_flushed(struct agents *a)
{
	for (int i = 0; i < 60000; i++) {
		pthread_mutex_lock(&a->fleet->lock);
		bool idle = a->fleet->flushing == 0;
		pthread_mutex_unlock(&a->fleet->lock);
		if (idle) {
			return;
		}
		usleep(1000);
	}
	fail_msg("a command of the fleet's was not answered in a minute");
}

int agents_teardown(void **state)
{
	struct agents *a = *state;
	void *steps = a->s;
	fleet_stop(a->fleet);
	wait_flushed(a);
	assert_true(TAILQ_EMPTY(&a->fleet->sessions)); /* tests close what they open */
	fleet_free(a->fleet);
	free(a);
	return steps_teardown(&steps);
}

void agents_restart(struct agents *a)
{
	fleet_stop(a->fleet);
	wait_flushed(a);
	fleet_free(a->fleet);
	start(a);
}

uint64_t agents_revision(const struct agents *a)
{
	const struct store_view *view = NULL;
	struct sl_err err = SL_ERR_INIT;
	assert_int_equal(store_view_begin(a->s->store, &view, &err), SL_OK);
	uint64_t revision = store_view_revision(view);
	store_view_end(view);
	return revision;
}

size_t agents_follow(struct agents *a)
{
	const struct store_view *view = NULL;
	struct sl_err err = SL_ERR_INIT;
	struct store_walk walk;
	size_t count = 0;
	assert_int_equal(store_view_begin(a->s->store, &view, &err), SL_OK);
	store_walk_log(&walk, view, a->followed + 1, STORE_FORWARD);
	while (store_walk_next(&walk)) {
		Sluice__Store__V1__LogRecord *record = sluice__store__v1__log_record__unpack(
		    sl_arena_protobuf(&a->s->arena), walk.value.size, walk.value.data);
		assert_non_null(record);
		fleet_on_record(a->fleet, view, record);
		a->followed = record->revision;
		count++;
	}
	store_walk_end(&walk);
	if (count > 0) {
		fleet_on_batch(a->fleet, view);
	}
	store_view_end(view);
	return count;
}

void agents_settle(struct agents *a)
{
	agents_mono_ms += 200;
	agents_unix_ms += 200;
	fleet_tick(a->fleet);
	wait_flushed(a);
	(void)agents_follow(a);
}

/* --- agents ------------------------------------------------------------------------------- */

struct rpc_stream *agents_stream(struct agents *a)
{
	struct rpc_stream *stream = calloc(1, sizeof(*stream));
	stream->refs = 1;
	stream->fleet = a->fleet;
	return stream;
}

void agents_close(struct rpc_stream *stream)
{
	fleet_agent_closed(stream->fleet, stream);
	assert_int_equal(stream->refs, 1);
	rpc_stream_unref(stream);
}

void agents_send(struct rpc_stream *stream, Sluice__V1__SyncRequest *request)
{
	uint8_t bytes[32768];
	assert_true(sluice__v1__sync_request__get_packed_size(request) <= sizeof(bytes));
	size_t size = sluice__v1__sync_request__pack(request, bytes);
	fleet_agent_message(stream->fleet, stream, SL_BYTES(bytes, size));
}

void agents_hello(struct rpc_stream *stream, Sluice__V1__AgentHello *hello)
{
	Sluice__V1__SyncRequest request = SLUICE__V1__SYNC_REQUEST__INIT;
	request.message_case = SLUICE__V1__SYNC_REQUEST__MESSAGE_HELLO;
	request.hello = hello;
	agents_send(stream, &request);
}

void agents_hello_of(struct rpc_stream *stream, const char *instance)
{
	Sluice__V1__AgentHello hello = SLUICE__V1__AGENT_HELLO__INIT;
	hello.instance = (char *)instance;
	hello.agent_version = "0.1.0";
	agents_hello(stream, &hello);
}

void agents_report(struct rpc_stream *stream, Sluice__V1__AgentReport *report)
{
	Sluice__V1__SyncRequest request = SLUICE__V1__SYNC_REQUEST__INIT;
	request.message_case = SLUICE__V1__SYNC_REQUEST__MESSAGE_REPORT;
	request.report = report;
	agents_send(stream, &request);
}

void agents_heartbeat(struct rpc_stream *stream, uint64_t sequence)
{
	Sluice__V1__SyncRequest request = SLUICE__V1__SYNC_REQUEST__INIT;
	Sluice__V1__AgentHeartbeat heartbeat = SLUICE__V1__AGENT_HEARTBEAT__INIT;
	heartbeat.sequence = sequence;
	request.message_case = SLUICE__V1__SYNC_REQUEST__MESSAGE_HEARTBEAT;
	request.heartbeat = &heartbeat;
	agents_send(stream, &request);
}

Sluice__V1__SyncResponse *agents_take(struct agents *a, struct rpc_stream *stream)
{
	assert_true(stream->taken < stream->sent_count);
	const struct sl_buf *sent = &stream->sent[stream->taken++];
	Sluice__V1__SyncResponse *response = sluice__v1__sync_response__unpack(
	    sl_arena_protobuf(&a->s->arena), sent->size, sent->data);
	assert_non_null(response);
	return response;
}

void agents_take_pace(struct agents *a, struct rpc_stream *stream)
{
	Sluice__V1__SyncResponse *response = agents_take(a, stream);
	assert_int_equal(response->message_case, SLUICE__V1__SYNC_RESPONSE__MESSAGE_PACE);
	assert_int_equal(response->pace->heartbeat_ms, 10000);
	assert_int_equal(response->pace->protocol, 1);
	assert_true(response->pace->instance_id[0] != '\0');
}

Sluice__V1__Manifest *agents_manifest(struct agents *a, struct rpc_stream *stream, uint8_t *digest)
{
	Sluice__V1__SyncResponse *response = agents_take(a, stream);
	assert_int_equal(response->message_case, SLUICE__V1__SYNC_RESPONSE__MESSAGE_MANIFEST);
	ProtobufCBinaryData body = response->manifest->body;
	Sluice__V1__Manifest *manifest =
	    sluice__v1__manifest__unpack(sl_arena_protobuf(&a->s->arena), body.len, body.data);
	assert_non_null(manifest);
	if (digest != NULL) {
		sl_hash(digest, body.data, body.len, NULL, 0);
	}
	return manifest;
}

bool agents_silent(const struct rpc_stream *stream)
{
	return stream->taken == stream->sent_count;
}

/* --- commands ------------------------------------------------------------------------------- */

struct wanted {
	const char *name, *environment, *label;
	const char *id;
};

static sl_code decide_register(struct decision *d, struct steps *s, const void *in,
			       struct sl_err *err)
{
	struct wanted *wanted = (struct wanted *)in;
	char *key = "kind", *value = (char *)wanted->label;
	struct instance_wish wish = {.name = wanted->name,
				     .environment = wanted->environment,
				     .label_keys = &key,
				     .label_values = &value,
				     .label_count = wanted->label == NULL ? 0 : 1,
				     .public_url = ""};
	char url[100];
	(void)snprintf(url, sizeof(url), "https://%s.example.org", wanted->name);
	wish.public_url = url;
	Sluice__Store__V1__InstanceRecord *instance = NULL;
	sl_code code = instances_decide_register(d, &wish, &instance, err);
	wanted->id = code == SL_OK ? sl_arena_strdup(&s->arena, instance->id) : "";
	return code;
}

const char *agents_register(struct agents *a, const char *name, const char *environment,
			    const char *label)
{
	struct wanted wanted = {.name = name, .environment = environment, .label = label};
	assert_int_equal(steps_run(a->s, decide_register, &wanted), SL_OK);
	return wanted.id;
}

static sl_code decide_remove(struct decision *d, struct steps *s, const void *in,
			     struct sl_err *err)
{
	(void)s;
	return instances_decide_remove(d, in, err);
}

void agents_remove(struct agents *a, const char *name)
{
	assert_int_equal(steps_run(a->s, decide_remove, name), SL_OK);
}

static sl_code decide_label(struct decision *d, struct steps *s, const void *in, struct sl_err *err)
{
	(void)s;
	const struct wanted *wanted = in;
	char *key = "kind", *value = (char *)wanted->label;
	struct instance_wish wish = {
	    .label_keys = &key, .label_values = &value, .label_count = 1, .public_url = ""};
	Sluice__Store__V1__InstanceRecord *instance = NULL;
	return instances_decide_update(d, wanted->name, &wish, &instance, err);
}

void agents_label(struct agents *a, const char *name, const char *label)
{
	struct wanted wanted = {.name = name, .label = label};
	assert_int_equal(steps_run(a->s, decide_label, &wanted), SL_OK);
}

const char *agents_version_id(struct agents *a, const char *version)
{
	return steps_get(a->s, version)->id;
}

/* As UpdateApp does it: the record and an event. */
static sl_code decide_place(struct decision *d, struct steps *s, const void *in, struct sl_err *err)
{
	(void)s;
	char *key = "kind", *value = (char *)in;
	Sluice__Store__V1__AppRecord *app = NULL;
	sl_code code = app_find(d->view, d->arena, d->workspace, "shop", &app, err);
	if (code != SL_OK) {
		return code;
	}
	app->placement = labels_sorted(d->arena, &key, &value, 1);
	app->n_placement = 1;
	app->revision = d->revision;
	struct record_key place = KEY(d->workspace, key_text(k, app->id));
	decision_put(d, TABLE_APPS, &place, &app->base);
	Sluice__V1__Event *event =
	    decision_event(d, SLUICE__V1__EVENT_TYPE__EVENT_TYPE_UPDATED,
			   SLUICE__V1__EVENT_KIND__EVENT_KIND_APP, app->id, 0, NULL);
	struct wire wire = wire_of(d);
	event->object_case = SLUICE__V1__EVENT__OBJECT_APP;
	event->app = wire_app(&wire, app, 0);
	return SL_OK;
}

void agents_place(struct agents *a, const char *label)
{
	assert_int_equal(steps_run(a->s, decide_place, label), SL_OK);
}
