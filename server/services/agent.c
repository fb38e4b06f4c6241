/* AgentService: opens agents' streams; server/fleet speaks on them. */
#include <string.h>

#include "base/mem/own.h"
#include "server/fleet/fleet.h"
#include "server/services/service.h"
#include "sluice/v1/agent.pb-c.h"

#define SYNC "/sluice.v1.AgentService/Sync"

SL_DEFINE_AUTO(const struct store_view *, store_view_end);

static void on_opened(struct rpc_stream *stream, void *ctx)
{
	(void)stream; /* Hello comes as a message */
	(void)ctx;
}

/* Whom the agent calls itself must be whom its certificate is for; another instance is one that is
 * not there. What is removed is fleet's to tell. */
static sl_code check_claim(const struct services *services, const struct access_caller *caller,
			   const Sluice__V1__AgentHello *hello, struct sl_arena *arena,
			   struct sl_err *err)
{
	SL_AUTO(store_view_end_auto) const struct store_view *view = NULL;
	Sluice__Store__V1__InstanceRecord *instance = NULL;
	uint32_t workspace = 0;
	sl_code code = store_view_begin(services->store, &view, err);
	code = code != SL_OK ? code : workspace_find(view, hello->workspace, &workspace, err);
	if (code == SL_OK && workspace != caller->workspace) {
		code = workspace_not_found(hello->workspace, err);
	}
	if (code != SL_OK) {
		return code;
	}
	const char *claimed = hello->instance_id;
	code = instance_find(view, arena, workspace, hello->instance, &instance, NULL);
	bool other = (claimed[0] != '\0' && strcmp(claimed, caller->subject_id) != 0) ||
		     (code == SL_OK && strcmp(instance->id, caller->subject_id) != 0);
	return other ? instance_not_found(hello->instance, err) : SL_OK;
}

static sl_code check_hello(const struct services *services, struct rpc_stream *stream,
			   struct sl_bytes message, struct sl_err *err)
{
	static const struct access_need need = {.workspace = 0}; /* to be there */
	SL_AUTO(sl_arena_fini) struct sl_arena arena;
	struct access_caller caller;
	sl_arena_init(&arena, 1 << 20);
	Sluice__V1__SyncRequest *request =
	    sluice__v1__sync_request__unpack(sl_arena_protobuf(&arena), message.size, message.data);
	if (request == NULL || request->message_case != SLUICE__V1__SYNC_REQUEST__MESSAGE_HELLO) {
		return SL_OK; /* fleet says what is wrong with it, and to nobody in particular */
	}
	sl_code code =
	    service_permit_stream(SYNC, services, stream, &request->base, &need, &caller, err);
	if (code != SL_OK || caller.kind != ACCESS_INSTANCE) {
		return code;
	}
	code = check_claim(services, &caller, request->hello, &arena, err);
	if (code == SL_NOT_FOUND) {
		service_note_stream(SYNC, services, stream, &caller, err);
	}
	return code;
}

/* Only what an accepted stream says is listened to: the first message names the agent. */
static void on_message(struct rpc_stream *stream, struct sl_bytes message, void *ctx)
{
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	sl_code code =
	    rpc_stream_user(stream) == NULL ? check_hello(ctx, stream, message, &err) : SL_OK;
	if (code != SL_OK) {
		rpc_stream_finish(stream, code, &err);
		return;
	}
	fleet_agent_message(((const struct services *)ctx)->fleet, stream, message);
}

/* An agent that has no more to say has gone. */
static void on_half_closed(struct rpc_stream *stream, void *ctx)
{
	(void)ctx;
	rpc_stream_finish(stream, SL_OK, NULL);
}

static void on_drained(struct rpc_stream *stream, void *ctx)
{
	fleet_agent_drained(((const struct services *)ctx)->fleet, stream);
}

static void on_closed(struct rpc_stream *stream, void *ctx)
{
	fleet_agent_closed(((const struct services *)ctx)->fleet, stream);
	access_stream_closed(((const struct services *)ctx)->access, stream);
}

static const struct rpc_stream_events sync_events = {
    .opened = on_opened,
    .message = on_message,
    .half_closed = on_half_closed,
    .drained = on_drained,
    .closed = on_closed,
};

const struct service_method agent_methods[1] = {
    {SYNC, ACCESS_AGENT, &sluice__v1__sync_request__descriptor,
     &sluice__v1__sync_response__descriptor, .stream = &sync_events, .scope = ACCESS_ONE_AGENT},
};
