/* Who opens a stream, and may it. */
#include "server/services/service_internal.h"

sl_code service_permit_stream(const char *path, const struct services *services,
			      struct rpc_stream *stream, const ProtobufCMessage *request,
			      const struct access_need *need, struct access_caller *ret_caller,
			      struct sl_err *err)
{
	const struct store_view *view = NULL;
	struct access_hold hold = {.rights = NULL};
	struct sl_arena arena;
	sl_arena_init(&arena, 1 << 20);
	sl_code code =
	    access_identify(services->access, rpc_stream_identity(stream), ret_caller, err);
	code = code != SL_OK ? code : access_limit(services->access, ret_caller, err);
	code = code != SL_OK ? code : store_view_begin(services->store, &view, err);
	code = code != SL_OK ? code
			     : service_permit_call(service_bound_named(path), services, view,
						   &arena, ret_caller, request, &hold, err);
	access_rights_end(&hold);
	store_view_end(view);
	sl_arena_fini(&arena);
	return code != SL_OK
		   ? code
		   : access_stream_opened(services->access, stream, ret_caller, need, err);
}
