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
	const ProtobufCFieldDescriptor *secret;                     /* of the response */
	const ProtobufCFieldDescriptor *app, *version, *instance, *environment, *to;
	const ProtobufCFieldDescriptor *makes; /* the field `name`: of what is about to be made */
};

/* Who asks, and what that one may do by the view at hand. */
struct service_asker {
	const struct access_caller *caller;
	const struct rights *rights;
};

struct service_bound *service_bound_of(const struct rpc_call *call);

/* By "/sluice.v1.WatchService/Watch"; must be there. */
const struct service_bound *service_bound_named(const char *path);

/* SL_PERMISSION_DENIED / RIGHT_MISSING; SL_NOT_FOUND for what is not there, foreign or not to be
 * seen: they cannot be told apart. */
SL_MUST_USE sl_code service_permit(const struct service_bound *bound,
				   const struct service_asker *asker, const struct store_view *view,
				   struct sl_arena *arena, const ProtobufCMessage *request,
				   struct sl_err *err);
/* The same of a caller whose rights are asked for: of `read` services, view, arena and caller are
 * set; this sets its rights, and of workspace and app what was looked up on the way. *ret_hold is
 * the caller's to end. */
SL_MUST_USE sl_code service_permit_call(const struct service_bound *bound,
					struct service_read *read, const ProtobufCMessage *request,
					struct access_hold *ret_hold, struct sl_err *err);

/* From where a call or a stream comes. */
struct service_peer {
	const char *address;
	const struct rpc_peer_identity *identity; /* its certificate; NULL: none */
};
struct service_peer service_peer_of_call(const struct rpc_call *call);
/* The same for the audit: peer and certificate. */
Sluice__V1__AuditCaller service_origin(struct sl_arena *arena, const struct service_peer *peer);
/* An attempt at a method that the caller may not make. */
struct service_attempt {
	const struct service_bound *bound;
	const struct access_caller *caller; /* NULL: it is not known who */
	struct service_peer peer;
	const ProtobufCMessage *request; /* NULL: it was not looked at */
};
/* Leaves a trace of a denied attempt (PERMISSION_DENIED, UNAUTHENTICATED) at what leaves none by
 * itself: reads, streams; of other ends nothing. */
void service_note_denied(const struct services *services, const struct service_attempt *attempt,
			 sl_code code, const struct sl_err *err);
/* Leaves that trace whatever the code says. */
void service_note_attempt(const struct services *services, const struct service_attempt *attempt,
			  const struct sl_err *err);
/* Who calls, and not too often. */
SL_MUST_USE sl_code service_identify(const struct services *services, const struct rpc_call *call,
				     struct access_caller *ret_caller, struct sl_err *err);
/* Takes out of a response, at any depth, what read->rights do not let see. */
SL_MUST_USE sl_code service_hold_back(const struct service_bound *bound,
				      const struct service_read *read,
				      const ProtobufCMessage *request, ProtobufCMessage *response,
				      struct sl_err *err);

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
