/* Calls to methods that are not registered with gRPC. Most are not: each connection would pay 160
 * bytes for each of them. They are found by path here. Unknown ones are answered UNIMPLEMENTED at
 * once: else gRPC keeps them until their deadline, as many as come. */
#include <stddef.h>
#include <string.h>

#include "server/rpc/rpc_internal.h"

/* One on_finished() row for all of them: their names are the caller's. */
static const struct rpc_method stray_method = {.path = "/unknown"};

struct stray {
	struct rpc_tag arrived, answered;
	struct rpc_server *server; /* borrowed */
	grpc_call *grpc;
	grpc_call_details details;
	grpc_metadata_array metadata;
	struct rpc_status status;
	int closed_by_client;
};

static void stray_free(struct stray *stray)
{
	struct rpc_server *server = stray->server;
	if (stray->grpc != NULL) {
		grpc_call_unref(stray->grpc);
	}
	grpc_call_details_destroy(&stray->details);
	grpc_metadata_array_destroy(&stray->metadata);
	rpc_status_fini(&stray->status);
	free(stray);
	rpc_server_call_gone(server, false);
}

static void on_answered(struct rpc_tag *tag, bool ok)
{
	(void)ok;
	struct stray *stray = SL_CONTAINER_OF(tag, struct stray, answered);
	const struct rpc_bound_method bound = {.method = &stray_method, .server = stray->server};
	rpc_server_finished(&bound, SL_UNIMPLEMENTED, 0);
	stray_free(stray);
}

static struct rpc_bound_method *find(const struct rpc_server *server, const grpc_slice *path)
{
	size_t size = GRPC_SLICE_LENGTH(*path);
	for (size_t i = 0; i < server->method_count; i++) {
		struct rpc_bound_method *bound = &server->methods[i];
		if (bound->registered == NULL && bound->path_size == size &&
		    memcmp(bound->method->path, GRPC_SLICE_START_PTR(*path), size) == 0) {
			return bound;
		}
	}
	return NULL;
}

static void refuse(struct stray *stray)
{
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	size_t length = GRPC_SLICE_LENGTH(stray->details.method);
	sl_code code = sl_err_set(&err, SL_UNIMPLEMENTED, "no method '%.*s'",
				  (int)(length < 200 ? length : 200),
				  (const char *)GRPC_SLICE_START_PTR(stray->details.method));
	rpc_status_set(&stray->status, code, &err);
	grpc_op ops[3] = {
	    {.op = GRPC_OP_SEND_INITIAL_METADATA},
	    {.op = GRPC_OP_RECV_CLOSE_ON_SERVER},
	};
	ops[1].data.recv_close_on_server.cancelled = &stray->closed_by_client;
	rpc_status_op(&stray->status, &ops[2]);
	rpc_start(stray->grpc, ops, SL_COUNT(ops), &stray->answered);
}

static void on_arrived(struct rpc_tag *tag, bool ok)
{
	struct stray *stray = SL_CONTAINER_OF(tag, struct stray, arrived);
	if (!ok) {
		stray_free(stray);
		return;
	}
	rpc_stray_accept(stray->server);
	struct rpc_bound_method *bound = find(stray->server, &stray->details.method);
	if (bound == NULL) {
		refuse(stray);
		return;
	}
	rpc_call_take(bound, SL_TAKE(stray->grpc), stray->details.deadline);
	stray_free(stray);
}

void rpc_stray_accept(struct rpc_server *server)
{
	if (!rpc_server_accepts(server)) {
		return;
	}
	struct stray *stray = calloc(1, sizeof(*stray));
	if (stray == NULL) {
		abort(); /* nobody to tell */
	}
	stray->arrived.fire = on_arrived;
	stray->answered.fire = on_answered;
	stray->server = server;
	grpc_call_details_init(&stray->details);
	grpc_metadata_array_init(&stray->metadata);
	rpc_status_init(&stray->status);
	server->calls++;
	rpc_tag_queue(&stray->arrived);
	grpc_call_error rc =
	    grpc_server_request_call(server->grpc, &stray->grpc, &stray->details, &stray->metadata,
				     server->cq, server->cq, &stray->arrived);
	if (rc != GRPC_CALL_OK) {
		abort();
	}
}
