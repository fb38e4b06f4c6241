/* Shared by the generic path: service.c, write.c, start.c and methods.c. */
#ifndef SL_SERVER_SERVICE_INTERNAL_H
#define SL_SERVER_SERVICE_INTERNAL_H

#include "server/services/requests.h"
#include "server/services/service.h"

/* A row and what its messages' fields are, looked up once by name. */
struct service_bound {
	const struct service_method *method;
	const char *name;                                           /* "CreateApp" */
	const ProtobufCFieldDescriptor *workspace, *write, *result; /* NULL: the message has none */
};

struct service_bound *service_bound_of(const struct rpc_call *call);

/* Unpacks and checks the request. SL_INVALID_ARGUMENT / MALFORMED when the bytes are no such
 * message. */
SL_MUST_USE sl_code service_decode(const struct service_bound *bound, struct sl_arena *arena,
				   struct sl_bytes bytes, ProtobufCMessage **ret_request,
				   struct sl_err *err);
/* An initialised response in the arena. */
SL_MUST_USE sl_code service_new_response(const struct service_bound *bound, struct sl_arena *arena,
					 ProtobufCMessage **ret_response, struct sl_err *err);
/* The request's workspace; "default" when it is empty or has no such field. */
const char *service_workspace_name(const struct service_bound *bound,
				   const ProtobufCMessage *request);
/* Packs into the arena; data NULL when memory is out. */
struct sl_bytes service_pack(struct sl_arena *arena, const ProtobufCMessage *message);
sl_code service_no_memory(struct sl_err *err);

/* The handlers, one per kind of row. */
void service_handle_read(struct rpc_call *call, struct sl_bytes request, void *services);
void service_handle_write(struct rpc_call *call, struct sl_bytes request, void *services);
void service_handle_start(struct rpc_call *call, struct sl_bytes request, void *services);

#endif
