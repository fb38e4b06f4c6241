/* Targets: fleet_agent_message: what agents say (hello, report, heartbeat), over a real store and
 * faked streams. Property: no crash; a stream that is refused gets a code of the API; what is said
 * to agents parses; what is told of an instance can be packed and is bounded by what there is; when
 * all streams are closed none is counted.
 *
 * An input is a list of steps, each: what to do and on which of four streams (a byte), how many
 * bytes (two), the bytes. */
#include <protobuf-c/protobuf-c.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/log/log.h"
#include "tests/unit/server/fleet/agents.h"

enum { STREAMS = 4, STEPS_MAX = 32, HEAD_BYTES = 3 };
enum step { SAY, SAY_OF_PROD, CLOSE, DRAIN, STEP_COUNT };

static struct agents *agents;
static char prod_id[64], dev_id[64];

/* Ids are random: inputs write these, of the same length. */
static struct {
	const char *written;
	char id[64];
} ids[] = {{"app_aaaaaaaaaaaaaaaaaaaa", ""},
	   {"ver_aaaaaaaaaaaaaaaaaaaa", ""},
	   {"ins_aaaaaaaaaaaaaaaaaaaa", ""}};

static void expect(int holds)
{
	if (!holds) {
		abort();
	}
}

static void copy_id(char to[static 64], const char *id)
{
	expect(snprintf(to, 64, "%s", id) < 64);
}

static void begin(void)
{
	void *state = NULL;
	expect(setenv("CMOCKA_TEST_ABORT", "1", 1) ==
	       0); /* a failed step of the fixture's is a crash */
	sl_log_level_set(SL_LOG_ERROR);
	expect(agents_setup(&state) == 0);
	agents = state;
	copy_id(prod_id, agents_register(agents, "prod-1", "production", NULL));
	copy_id(dev_id, agents_register(agents, "dev-1", "development", NULL));
	(void)agents_register(agents, "gone", "staging", NULL);
	agents_remove(agents, "gone");
	steps_shop(agents->s, SLUICE__V1__PUBLISH_MODE__PUBLISH_MODE_TAGS);
	steps_produce(agents->s, "v1");
	expect(steps_release(agents->s, "v1") == SL_OK);
	copy_id(ids[0].id, steps_app(agents->s)->id);
	copy_id(ids[1].id, steps_get(agents->s, "v1")->id);
	copy_id(ids[2].id, prod_id);
}

static void put_ids(uint8_t *bytes, size_t size)
{
	for (size_t i = 0; i < SL_COUNT(ids); i++) {
		size_t length = strlen(ids[i].written);
		uint8_t *at = bytes;
		while ((at = memmem(at, size - (size_t)(at - bytes), ids[i].written, length)) !=
		       NULL) {
			memcpy(at, ids[i].id, length);
		}
	}
}

/* --- what came of it --- */

static void check_sent(const struct rpc_stream *stream)
{
	for (size_t i = 0; i < stream->sent_count; i++) {
		Sluice__V1__SyncResponse *response = sluice__v1__sync_response__unpack(
		    NULL, stream->sent[i].size, stream->sent[i].data);
		expect(response != NULL &&
		       response->message_case != SLUICE__V1__SYNC_RESPONSE__MESSAGE__NOT_SET);
		sluice__v1__sync_response__free_unpacked(response, NULL);
	}
	expect(!stream->ended || stream->code == SL_INVALID_ARGUMENT ||
	       stream->code == SL_NOT_FOUND || stream->code == SL_FAILED_PRECONDITION ||
	       stream->code == SL_ABORTED || stream->code == SL_RESOURCE_EXHAUSTED);
	expect(!stream->ended || stream->reason != SL_REASON_NONE);
}

static void check_view(const char *instance_id)
{
	SL_AUTO(sl_arena_fini) struct sl_arena arena;
	sl_arena_init(&arena, 0);
	Sluice__V1__AgentView *view = fleet_agent_view(agents->fleet, &arena, instance_id);
	expect(view != NULL);
	size_t size = sluice__v1__agent_view__get_packed_size(view);
	uint8_t *bytes = sl_arena_alloc(&arena, size + 1);
	expect(bytes != NULL && sluice__v1__agent_view__pack(view, bytes) == size);
}

static void look(void *ctx, const struct fleet_standing *standing)
{
	(void)ctx;
	expect((unsigned)standing->phase < FLEET_PHASE_COUNT && standing->error != NULL &&
	       standing->percent <= 100);
	for (size_t i = 0; i < standing->staged_count; i++) {
		expect(standing->staged[i] != NULL);
	}
	(void)fleet_judge(standing, "ver_x");
}

static void check_standings(void)
{
	const struct store_view *view = NULL;
	struct sl_err err = SL_ERR_INIT;
	expect(store_view_begin(agents->s->store, &view, &err) == SL_OK);
	const struct fleet_visitor visitor = {.visit = look};
	expect(fleet_visit(agents->fleet, view, STEPS_WORKSPACE, steps_app(agents->s), 0, &visitor,
			   &err) == SL_OK);
	store_view_end(view);
	struct fleet_stats stats;
	fleet_stats_read(agents->fleet, &stats);
	expect(stats.streams <= STREAMS);
}

/* --- the steps --- */

static void say(struct rpc_stream *stream, struct sl_bytes bytes)
{
	if (!stream->ended) {
		fleet_agent_message(agents->fleet, stream, bytes);
	}
}

/* A right hello of prod-1 in front, so that what follows is heard. */
static void say_of_prod(struct rpc_stream *stream, struct sl_bytes bytes)
{
	if (stream->user == NULL && !stream->ended) {
		agents_hello_of(stream, "prod-1");
	}
	say(stream, bytes);
}

static void step(struct rpc_stream **stream, unsigned what, struct sl_bytes bytes)
{
	switch ((enum step)(what % STEP_COUNT)) {
	case SAY:
		say(*stream, bytes);
		break;
	case SAY_OF_PROD:
		say_of_prod(*stream, bytes);
		break;
	case DRAIN:
		fleet_agent_drained(agents->fleet, *stream);
		break;
	case CLOSE:
	case STEP_COUNT:
		check_sent(*stream);
		agents_close(*stream);
		*stream = agents_stream(agents);
		break;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct rpc_stream *streams[STREAMS];
	if (agents == NULL) {
		begin();
	}
	agents_restart(
	    agents); /* each input starts with what the store holds, and knows no agent */
	for (size_t i = 0; i < STREAMS; i++) {
		streams[i] = agents_stream(agents);
	}
	for (unsigned i = 0; i < STEPS_MAX && size >= HEAD_BYTES; i++) {
		unsigned head = data[0];
		size_t wanted = (size_t)data[1] << 8 | data[2];
		data += HEAD_BYTES;
		size -= HEAD_BYTES;
		size_t length = wanted < size ? wanted : size;
		uint8_t *bytes = malloc(length + 1);
		expect(bytes != NULL);
		memcpy(bytes, data, length);
		put_ids(bytes, length);
		step(&streams[head / STEP_COUNT % STREAMS], head, SL_BYTES(bytes, length));
		free(bytes);
		data += length;
		size -= length;
	}
	check_view(prod_id);
	check_view(dev_id);
	check_standings();
	for (size_t i = 0; i < STREAMS; i++) {
		check_sent(streams[i]);
		agents_close(streams[i]);
	}
	expect(TAILQ_EMPTY(&agents->fleet->sessions));
	sl_arena_fini(&agents->s->arena);
	return 0;
}
