/* The generic path of reads and of calls that answer by themselves; writes are in write.c. */
#include <stdlib.h>
#include <string.h>

#include "base/bytes/bytes.h"
#include "base/clock/clock.h"
#include "base/mem/own.h"
#include "base/pb/pb.h"
#include "server/audit/audit.h"
#include "server/services/service_internal.h"

/* One call never needs more: requests are bounded by --message-max. */
enum { ARENA_MAX = 256 << 20 };

struct service_bound *service_bound_of(const struct rpc_call *call)
{
	return rpc_call_row(call);
}

sl_code service_no_memory(struct sl_err *err)
{
	return sl_err_no_memory(err);
}

struct service_peer service_peer_of_call(const struct rpc_call *call)
{
	return (struct service_peer){.address = rpc_call_peer(call),
				     .identity = rpc_call_identity(call)};
}

Sluice__V1__AuditCaller service_origin(struct sl_arena *arena, const struct service_peer *peer)
{
	Sluice__V1__AuditCaller origin = SLUICE__V1__AUDIT_CALLER__INIT;
	const struct rpc_peer_identity *identity = peer->identity;
	char *serial =
	    identity == NULL ? NULL : sl_arena_alloc(arena, 2 * sizeof(identity->serial) + 1);
	origin.peer = (char *)peer->address;
	if (serial != NULL) {
		origin.certificate = sl_hex(serial, identity->serial, identity->serial_size);
	}
	return origin;
}

void service_note_attempt(const struct services *services, const struct service_attempt *attempt,
			  const struct sl_err *err)
{
	if (services->audit == NULL) {
		return;
	}
	SL_AUTO(sl_arena_fini) struct sl_arena arena;
	sl_arena_init(&arena, 4096);
	const struct access_caller *caller = attempt->caller;
	const Sluice__V1__AuditCaller origin = service_origin(&arena, &attempt->peer);
	const struct audit_attempt denied = {
	    .workspace = caller == NULL ? 0 : caller->workspace,
	    .workspace_name = attempt->request == NULL
				  ? ""
				  : service_workspace_name(attempt->bound, attempt->request),
	    .principal = caller == NULL ? "unknown" : caller->principal,
	    .method = attempt->bound->name,
	    .caller = &origin,
	    .reason = err->reason,
	    .text = err->msg,
	    .denied = true,
	    .now_ms = sl_clock_unix_ms(),
	};
	audit_denied(services->audit, &denied);
}

void service_note_denied(const struct services *services, const struct service_attempt *attempt,
			 sl_code code, const struct sl_err *err)
{
	if (code == SL_PERMISSION_DENIED || code == SL_UNAUTHENTICATED) {
		service_note_attempt(services, attempt, err);
	}
}

sl_code service_identify(const struct services *services, const struct rpc_call *call,
			 struct access_caller *ret_caller, struct sl_err *err)
{
	const struct rpc_peer_identity *peer = rpc_call_identity(call);
	sl_code code = access_identify(services->access, peer, ret_caller, err);
	if (code != SL_OK) {
		const struct service_attempt attempt = {.bound = service_bound_of(call),
							.peer = service_peer_of_call(call)};
		service_note_denied(services, &attempt, code, err);
		return code;
	}
	return access_limit(services->access, ret_caller, err);
}

sl_code service_decode(const struct service_bound *bound, struct sl_arena *arena,
		       struct sl_bytes bytes, ProtobufCMessage **ret_request, struct sl_err *err)
{
	const ProtobufCMessageDescriptor *type = bound->method->request;
	ProtobufCMessage *request = pb_unpack(type, arena, bytes);
	if (request == NULL && sl_arena_failed(arena)) {
		return service_no_memory(err);
	}
	if (request == NULL) {
		return sl_err_because(err, SL_INVALID_ARGUMENT, SL_REASON_MALFORMED,
				      "the request's %zu bytes are not a %s", bytes.size,
				      type->name);
	}
	*ret_request = request;
	return bound->method->check == NULL ? SL_OK : bound->method->check(request, err);
}

sl_code service_new_response(const struct service_bound *bound, struct sl_arena *arena,
			     ProtobufCMessage **ret_response, struct sl_err *err)
{
	const ProtobufCMessageDescriptor *type = bound->method->response;
	ProtobufCMessage *response = sl_arena_alloc(arena, type->sizeof_message);
	if (response == NULL) {
		return service_no_memory(err);
	}
	protobuf_c_message_init(type, response);
	*ret_response = response;
	return SL_OK;
}

const char *service_workspace_name(const struct service_bound *bound,
				   const ProtobufCMessage *request)
{
	if (bound->workspace == NULL) {
		return "default";
	}
	const char *name = *(char *const *)((const uint8_t *)request + bound->workspace->offset);
	return name == NULL || name[0] == '\0' ? "default" : name;
}

struct sl_bytes service_pack(struct sl_arena *arena, const ProtobufCMessage *message)
{
	return pb_pack(arena, message);
}

/* --- reads ----------------------------------------------------------------- */

SL_DEFINE_AUTO(const struct store_view *, store_view_end);

static sl_code read_in(const struct service_bound *bound, struct service_read *read,
		       const ProtobufCMessage *request, ProtobufCMessage *response,
		       struct sl_err *err)
{
	bool known = bound->workspace != NULL && read->workspace != 0;
	read->workspace_name = service_workspace_name(bound, request);
	sl_code code =
	    known ? SL_OK : workspace_find(read->view, read->workspace_name, &read->workspace, err);
	code = code != SL_OK ? code : bound->method->read(read, request, response, err);
	return code != SL_OK ? code : service_hold_back(bound, read, request, response, err);
}

static sl_code read_call(struct rpc_call *call, struct service_read *read, struct sl_bytes bytes,
			 struct sl_bytes *ret_reply, struct sl_err *err)
{
	struct service_bound *bound = service_bound_of(call);
	ProtobufCMessage *request = NULL, *response = NULL;
	sl_code code = service_decode(bound, read->arena, bytes, &request, err);
	code = code != SL_OK ? code : service_new_response(bound, read->arena, &response, err);
	code = code != SL_OK ? code : store_view_begin(read->services->store, &read->view, err);
	if (code != SL_OK) {
		return code;
	}
	SL_AUTO(store_view_end_auto) const struct store_view *view = read->view;
	(void)view; /* ends with the scope */
	SL_AUTO(access_rights_end) struct access_hold hold = {.rights = NULL};
	code = service_permit_call(bound, read, request, &hold, err);
	const struct service_attempt attempt = {.bound = bound,
						.caller = read->caller,
						.peer = service_peer_of_call(call),
						.request = request};
	service_note_denied(read->services, &attempt, code, err);
	code = code != SL_OK ? code : read_in(bound, read, request, response, err);
	if (code != SL_OK) {
		return code;
	}
	*ret_reply = service_pack(read->arena, response);
	return sl_arena_failed(read->arena) ? service_no_memory(err) : SL_OK;
}

void service_handle_read(struct rpc_call *call, struct sl_bytes bytes, void *services)
{
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	SL_AUTO(sl_arena_fini) struct sl_arena arena;
	sl_arena_init(&arena, ARENA_MAX);
	struct access_caller caller = {.principal = ""};
	struct sl_bytes reply = SL_BYTES_NONE;
	sl_code code = service_identify(services, call, &caller, &err);
	if (code == SL_OK) {
		struct service_read read = {.services = services,
					    .arena = &arena,
					    .principal = caller.principal,
					    .caller = &caller};
		code = read_call(call, &read, bytes, &reply, &err);
	}
	rpc_call_finish(call, code, &err, reply);
}

/* --- calls that answer by themselves ------------------------------------------ */

struct service_call {
	struct rpc_call *rpc; /* borrowed until service_call_finish() */
	const struct services *services;
	struct sl_arena arena;
	struct access_caller caller;
	uint32_t workspace;
};

struct vault *service_vault(const struct decision *d)
{
	const struct services *services = d->services;
	return services != NULL ? services->vault : NULL;
}

struct wire service_wire(const struct service_read *read)
{
	return (struct wire){
	    .view = read->view, .arena = read->arena, .workspace = read->workspace};
}

struct sl_arena *service_call_arena(struct service_call *call)
{
	return &call->arena;
}

const struct services *service_call_services(const struct service_call *call)
{
	return call->services;
}

const char *service_call_principal(const struct service_call *call)
{
	return call->caller.principal;
}

const struct access_caller *service_call_caller(const struct service_call *call)
{
	return &call->caller;
}

const struct rpc_peer_identity *service_call_identity(const struct service_call *call)
{
	return rpc_call_identity(call->rpc);
}

const char *service_call_peer(const struct service_call *call)
{
	return rpc_call_peer(call->rpc);
}

uint32_t service_call_workspace(const struct service_call *call)
{
	return call->workspace;
}

bool service_call_is_cancelled(const struct service_call *call)
{
	return rpc_call_is_cancelled(call->rpc);
}

uint64_t service_call_deadline_mono_ms(const struct service_call *call)
{
	return rpc_call_deadline_mono_ms(call->rpc);
}

void service_call_finish(struct service_call *call, sl_code code, const struct sl_err *err,
			 const ProtobufCMessage *response)
{
	SL_AUTO(sl_err_clear) struct sl_err full = SL_ERR_INIT;
	struct sl_bytes reply =
	    code == SL_OK ? service_pack(&call->arena, response) : SL_BYTES_NONE;
	if (code == SL_OK && sl_arena_failed(&call->arena)) {
		code = service_no_memory(&full);
		err = &full;
	}
	rpc_call_finish(call->rpc, code, err, reply);
	sl_arena_fini(&call->arena);
	free(call);
}

static sl_code start_call(struct service_bound *bound, struct service_call *call,
			  struct sl_bytes bytes, ProtobufCMessage **ret_request, struct sl_err *err)
{
	const struct services *services = call->services;
	const struct store_view *view = NULL;
	struct access_hold hold = {.rights = NULL};
	sl_code code = service_identify(services, call->rpc, &call->caller, err);
	code = code != SL_OK ? code : service_decode(bound, &call->arena, bytes, ret_request, err);
	code = code != SL_OK ? code : store_view_begin(services->store, &view, err);
	if (code != SL_OK) {
		return code;
	}
	struct service_read asked = {
	    .services = services, .view = view, .arena = &call->arena, .caller = &call->caller};
	code = service_permit_call(bound, &asked, *ret_request, &hold, err);
	code = code != SL_OK ? code
			     : workspace_find(view, service_workspace_name(bound, *ret_request),
					      &call->workspace, err);
	const struct service_attempt attempt = {.bound = bound,
						.caller = &call->caller,
						.peer = service_peer_of_call(call->rpc),
						.request = *ret_request};
	service_note_denied(services, &attempt, code, err);
	access_rights_end(&hold);
	store_view_end(view);
	return code;
}

void service_handle_start(struct rpc_call *rpc, struct sl_bytes bytes, void *services)
{
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	struct service_bound *bound = service_bound_of(rpc);
	struct service_call *call = calloc(1, sizeof(*call));
	if (call == NULL) {
		rpc_call_finish(rpc, service_no_memory(&err), &err, SL_BYTES_NONE);
		return;
	}
	*call = (struct service_call){.rpc = rpc, .services = services};
	sl_arena_init(&call->arena, ARENA_MAX);
	ProtobufCMessage *request = NULL;
	sl_code code = start_call(bound, call, bytes, &request, &err);
	if (code != SL_OK) {
		service_call_finish(call, code, &err, NULL);
		return;
	}
	bound->method->start(call, request);
}
