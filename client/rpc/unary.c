/* One call in one batch on a queue of its own: the calling thread drives the
 * network itself while it waits, so there is no hand-over between threads. */
#include <stdlib.h>
#include <string.h>

#include <grpc/byte_buffer.h>
#include <grpc/slice.h>
#include <grpc/support/time.h>

#include "base/mem/own.h"
#include "client/rpc/rpc_internal.h"

struct unary {
	grpc_completion_queue *cq;
	grpc_call *call;
	grpc_byte_buffer *request, *reply;
	grpc_metadata_array initial;
	struct crpc_status status;
};

static void unary_init(struct unary *u, struct crpc_channel *channel, const char *path,
		       struct sl_bytes request, unsigned timeout_ms)
{
	*u = (struct unary){.cq = grpc_completion_queue_create_for_pluck(NULL)};
	/* Copied: the transport may keep the path in its header table. */
	grpc_slice method = grpc_slice_from_copied_string(path);
	u->call = grpc_channel_create_call(channel->grpc, NULL, GRPC_PROPAGATE_DEFAULTS, u->cq,
					   method, NULL, crpc_deadline(timeout_ms), NULL);
	grpc_slice_unref(method);
	u->request = crpc_message_new(request);
	grpc_metadata_array_init(&u->initial);
	crpc_status_init(&u->status);
}

static void unary_fini(struct unary *u)
{
	grpc_byte_buffer_destroy(u->request);
	grpc_byte_buffer_destroy(u->reply);
	grpc_metadata_array_destroy(&u->initial);
	crpc_status_fini(&u->status);
	grpc_call_unref(u->call);
	grpc_completion_queue_shutdown(u->cq);
	gpr_timespec never = gpr_inf_future(GPR_CLOCK_REALTIME);
	while (grpc_completion_queue_pluck(u->cq, NULL, never, NULL).type != GRPC_QUEUE_SHUTDOWN) {
	}
	grpc_completion_queue_destroy(u->cq);
}

/* Returns when the status is there: at the latest, gRPC's own for the deadline. */
static void unary_run(struct unary *u, bool wait_for_ready)
{
	grpc_op ops[6];
	memset(ops, 0, sizeof(ops));
	ops[0].op = GRPC_OP_SEND_INITIAL_METADATA;
	ops[0].flags = GRPC_INITIAL_METADATA_WAIT_FOR_READY_EXPLICITLY_SET |
		       (wait_for_ready ? GRPC_INITIAL_METADATA_WAIT_FOR_READY : 0);
	ops[1].op = GRPC_OP_SEND_MESSAGE;
	ops[1].data.send_message.send_message = u->request;
	ops[2].op = GRPC_OP_SEND_CLOSE_FROM_CLIENT;
	ops[3].op = GRPC_OP_RECV_INITIAL_METADATA;
	ops[3].data.recv_initial_metadata.recv_initial_metadata = &u->initial;
	ops[4].op = GRPC_OP_RECV_MESSAGE;
	ops[4].data.recv_message.recv_message = &u->reply;
	ops[5] = crpc_status_op(&u->status);
	crpc_start(u->call, ops, SL_COUNT(ops), u);
	(void)grpc_completion_queue_pluck(u->cq, u, gpr_inf_future(GPR_CLOCK_REALTIME), NULL);
}

/* NOLINTNEXTLINE(readability-function-size): the contract of rpc.h */
sl_code crpc_unary(struct crpc_channel *channel, const char *path, struct sl_bytes request,
		   unsigned timeout_ms, bool wait_for_ready, uint8_t **ret_reply, size_t *ret_size,
		   struct sl_err *err)
{
	SL_AUTO(unary_fini) struct unary u;
	unary_init(&u, channel, path, request, timeout_ms);
	unary_run(&u, wait_for_ready);
	sl_code code = crpc_status_err(&u.status, channel->target, err);
	if (code != SL_OK) {
		return code;
	}
	if (u.reply == NULL) {
		return sl_err_set(err, SL_INTERNAL, "server '%s' answered %s without a message",
				  channel->target, path);
	}
	size_t size = 0;
	uint8_t *reply = crpc_message_copy(u.reply, &size);
	if (reply == NULL) {
		return sl_err_set(err, SL_RESOURCE_EXHAUSTED, "out of memory for a reply to %s",
				  path);
	}
	*ret_reply = reply;
	*ret_size = size;
	return SL_OK;
}
