/* AgentService: opens agents' streams; server/fleet speaks on them. */
#include "server/fleet/fleet.h"
#include "server/services/service.h"
#include "sluice/v1/agent.pb-c.h"

static void on_opened(struct rpc_stream *stream, void *ctx)
{
	(void)stream; /* Hello comes as a message */
	(void)ctx;
}

static void on_message(struct rpc_stream *stream, struct sl_bytes message, void *ctx)
{
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
}

static const struct rpc_stream_events sync_events = {
    .opened = on_opened,
    .message = on_message,
    .half_closed = on_half_closed,
    .drained = on_drained,
    .closed = on_closed,
};

const struct service_method agent_methods[1] = {
    {"/sluice.v1.AgentService/Sync", ACCESS_AGENT, &sluice__v1__sync_request__descriptor,
     &sluice__v1__sync_response__descriptor, .stream = &sync_events},
};
