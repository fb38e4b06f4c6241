/* WatchService: opens change streams; server/watch feeds them. */
#include <stdio.h>
#include <string.h>

#include "base/mem/own.h"
#include "server/services/service.h"
#include "server/watch/watch.h"

SL_DEFINE_AUTO(const struct store_view *, store_view_end);

static sl_code resolve(const struct store_view *view, struct sl_arena *arena,
		       const Sluice__V1__WatchRequest *request, struct watch_filter *filter,
		       struct sl_err *err)
{
	sl_code code = workspace_find(view, request->workspace, &filter->workspace, err);
	if (code == SL_OK && request->environment[0] != '\0') {
		code = environment_find(request->environment, &filter->environment, err);
	}
	if (code == SL_OK && request->app[0] != '\0') {
		Sluice__Store__V1__AppRecord *app = NULL;
		code = app_find(view, arena, filter->workspace, request->app, &app, err);
		(void)snprintf(filter->app_id, sizeof(filter->app_id), "%s",
			       app == NULL ? "" : app->id);
	}
	if (code == SL_OK && request->instance[0] != '\0') {
		Sluice__Store__V1__InstanceRecord *instance = NULL;
		code = instance_find(view, arena, filter->workspace, request->instance, &instance,
				     err);
		(void)snprintf(filter->instance_id, sizeof(filter->instance_id), "%s",
			       instance == NULL ? "" : instance->id);
	}
	return code;
}

static sl_code read_kinds(const Sluice__V1__WatchRequest *request, struct watch_filter *filter,
			  struct sl_err *err)
{
	for (size_t i = 0; i < request->n_kinds; i++) {
		if ((unsigned)request->kinds[i] > SLUICE__V1__EVENT_KIND__EVENT_KIND_STATUS) {
			sl_code code = sl_err_because(err, SL_INVALID_ARGUMENT, SL_REASON_MALFORMED,
						      "kinds has %d, which is no EventKind",
						      (int)request->kinds[i]);
			sl_err_field(err, "kinds", "values of EventKind");
			return code;
		}
		filter->kinds |= request->kinds[i] == 0 ? 0 : 1u << request->kinds[i];
	}
	return SL_OK;
}

static sl_code open_stream(const struct services *services, struct rpc_stream *stream,
			   struct sl_bytes bytes, struct sl_err *err)
{
	struct access_caller caller;
	sl_code code = access_identify_stream(stream, &caller, err);
	if (code != SL_OK) {
		return code;
	}
	SL_AUTO(sl_arena_fini) struct sl_arena arena;
	sl_arena_init(&arena, 1 << 20);
	Sluice__V1__WatchRequest *request =
	    sluice__v1__watch_request__unpack(sl_arena_protobuf(&arena), bytes.size, bytes.data);
	if (request == NULL) {
		return sl_err_because(err, SL_INVALID_ARGUMENT, SL_REASON_MALFORMED,
				      "the request's %zu bytes are not a WatchRequest", bytes.size);
	}
	struct watch_filter filter = {.workspace = 0};
	code = read_kinds(request, &filter, err);
	if (code != SL_OK) {
		return code;
	}
	SL_AUTO(store_view_end_auto) const struct store_view *view = NULL;
	code = store_view_begin(services->store, &view, err);
	code = code != SL_OK ? code : resolve(view, &arena, request, &filter, err);
	return code != SL_OK
		   ? code
		   : watch_open(services->watch, stream, &filter, request->from_revision, err);
}

static void on_message(struct rpc_stream *stream, struct sl_bytes message, void *ctx)
{
	const struct services *services = ctx;
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	if (rpc_stream_user(stream) != NULL) {
		return; /* one request a stream, says the method; more are not looked at */
	}
	sl_code code = open_stream(services, stream, message, &err);
	if (code != SL_OK) {
		rpc_stream_finish(stream, code, &err);
	}
}

static void on_half_closed(struct rpc_stream *stream, void *ctx)
{
	(void)ctx;
	if (rpc_stream_user(stream) != NULL) {
		return; /* usual: the request is all that a client sends */
	}
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	sl_code code = sl_err_because(&err, SL_INVALID_ARGUMENT, SL_REASON_MALFORMED,
				      "Watch needs one request message");
	rpc_stream_finish(stream, code, &err);
}

static void on_opened(struct rpc_stream *stream, void *ctx)
{
	(void)stream; /* the request comes as a message */
	(void)ctx;
}

static void on_drained(struct rpc_stream *stream, void *ctx)
{
	watch_drained(((const struct services *)ctx)->watch, stream);
}

static void on_closed(struct rpc_stream *stream, void *ctx)
{
	watch_closed(((const struct services *)ctx)->watch, stream);
}

static const struct rpc_stream_events watch_events = {
    .opened = on_opened,
    .message = on_message,
    .half_closed = on_half_closed,
    .drained = on_drained,
    .closed = on_closed,
};

const struct service_method watch_methods[1] = {
    {"/sluice.v1.WatchService/Watch", ACCESS_VIEW, &sluice__v1__watch_request__descriptor,
     &sluice__v1__watch_response__descriptor, .stream = &watch_events},
};
