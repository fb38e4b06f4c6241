/* Who opens a stream, and may it. */
#include "server/services/service_internal.h"

static struct service_attempt attempt_of(const char *path, const struct rpc_stream *stream,
					 const struct access_caller *caller)
{
	return (struct service_attempt){
	    .bound = service_bound_named(path),
	    .caller = caller,
	    .peer = {.address = rpc_stream_peer(stream), .identity = rpc_stream_identity(stream)}};
}

void service_note_stream(const char *path, const struct services *services,
			 const struct rpc_stream *stream, const struct access_caller *caller,
			 const struct sl_err *err)
{
	const struct service_attempt attempt = attempt_of(path, stream, caller);
	service_note_attempt(services, &attempt, err);
}

/* Who opens it; what is denied then is nobody's in particular. */
static sl_code identify(const struct services *services, const struct rpc_stream *stream,
			struct service_attempt *attempt, struct access_caller *ret_caller,
			struct sl_err *err)
{
	sl_code code =
	    access_identify(services->access, rpc_stream_identity(stream), ret_caller, err);
	if (code == SL_OK) {
		attempt->caller = ret_caller;
		code = access_limit(services->access, ret_caller, err);
	}
	return code;
}

static sl_code permit(const struct service_bound *bound, const struct services *services,
		      const struct access_caller *caller, const ProtobufCMessage *request,
		      struct sl_err *err)
{
	const struct store_view *view = NULL;
	struct access_hold hold = {.rights = NULL};
	struct sl_arena arena;
	sl_arena_init(&arena, 1 << 20);
	sl_code code = store_view_begin(services->store, &view, err);
	struct service_read asked = {
	    .services = services, .view = view, .arena = &arena, .caller = caller};
	code = code != SL_OK ? code : service_permit_call(bound, &asked, request, &hold, err);
	access_rights_end(&hold);
	store_view_end(view);
	sl_arena_fini(&arena);
	return code;
}

sl_code service_permit_stream(const char *path, const struct services *services,
			      struct rpc_stream *stream, const ProtobufCMessage *request,
			      const struct access_need *need, struct access_caller *ret_caller,
			      struct sl_err *err)
{
	struct service_attempt attempt = attempt_of(path, stream, NULL);
	attempt.request = request;
	sl_code code = identify(services, stream, &attempt, ret_caller, err);
	code = code != SL_OK ? code : permit(attempt.bound, services, ret_caller, request, err);
	service_note_denied(services, &attempt, code, err);
	return code != SL_OK
		   ? code
		   : access_stream_opened(services->access, stream, ret_caller, need, err);
}
