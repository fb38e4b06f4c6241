/* WatchService: opens change streams; server/watch feeds them. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem/own.h"
#include "server/records/principals.h"
#include "server/services/service.h"
#include "server/watch/watch.h"

SL_DEFINE_AUTO(const struct store_view *, store_view_end);

#define WATCH "/sluice.v1.WatchService/Watch"

/* Who watches what. */
struct service_viewer {
	struct access_caller caller;
	uint32_t workspace;
};

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
		if ((unsigned)request->kinds[i] > SLUICE__V1__EVENT_KIND__EVENT_KIND_POLICY) {
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

/* What must be seen for the stream to go on. Who may not even ask is told so later. */
static sl_code need_of(const struct store_view *view, struct sl_arena *arena,
		       const Sluice__V1__WatchRequest *request, struct access_need *need,
		       struct sl_err *err)
{
	Sluice__Store__V1__AppRecord *app = NULL;
	sl_code code = workspace_find(view, request->workspace, &need->workspace, err);
	if (code == SL_OK && request->app[0] != '\0' &&
	    app_find(view, arena, need->workspace, request->app, &app, NULL) == SL_OK) {
		(void)snprintf(need->slug, sizeof(need->slug), "%s", app->slug);
	}
	return code;
}

/* Who watches, for as long as the stream lives; anonymous callers see everything. */
static sl_code make_viewer(const struct access_caller *caller, struct watch_filter *filter,
			   struct sl_err *err)
{
	if (caller->kind == ACCESS_ANONYMOUS) {
		return SL_OK;
	}
	struct service_viewer *viewer = malloc(sizeof(*viewer));
	if (viewer == NULL) {
		return sl_err_no_memory(err);
	}
	*viewer = (struct service_viewer){.caller = *caller, .workspace = filter->workspace};
	filter->viewer = viewer;
	return SL_OK;
}

/* --- who sees what: watch's thread ----------------------------------------------------- */

struct service_look {
	const struct service_viewer *viewer;
	const struct store_view *view;
	struct access_hold hold; /* without rights: nothing is to be seen any more */
};

static uint64_t sight_generation(void *ctx, const struct store_view *view)
{
	uint64_t generation = 0;
	(void)ctx;
	return access_generation(view, &generation, NULL) == SL_OK ? generation : UINT64_MAX;
}

static void *sight_begin(void *ctx, const struct store_view *view, const void *viewer)
{
	static const struct rights none;
	static struct service_look blind = {.hold = {.rights = &none}};
	const struct services *services = ctx;
	struct service_look *look = calloc(1, sizeof(*look));
	if (look == NULL) {
		return &blind;
	}
	look->viewer = viewer;
	look->view = view;
	if (access_rights_begin(services->access, view, &look->viewer->caller, &look->hold, NULL) !=
	    SL_OK) {
		look->hold.rights = &none; /* the stream is about to end */
	}
	if (!rights_see_all(look->hold.rights)) {
		return look;
	}
	access_rights_end(&look->hold);
	free(look);
	return NULL;
}

static bool sight_show(void *ctx, struct sl_arena *arena, const Sluice__V1__Event *event,
		       Sluice__V1__Event **ret_event)
{
	const struct service_look *look = ctx;
	return look->viewer != NULL &&
	       service_show_event(look->view, arena, look->viewer->workspace, look->hold.rights,
				  event, ret_event);
}

static void sight_end(void *ctx)
{
	struct service_look *look = ctx;
	if (look->viewer != NULL) {
		access_rights_end(&look->hold);
		free(look);
	}
}

static bool sight_equal(const void *viewer, const void *other)
{
	const struct service_viewer *a = viewer, *b = other;
	return strcmp(a->caller.subject_id, b->caller.subject_id) == 0 &&
	       strcmp(a->caller.identity_id, b->caller.identity_id) == 0;
}

struct watch_sight services_watch_sight(struct services *services)
{
	return (struct watch_sight){.generation = sight_generation,
				    .begin = sight_begin,
				    .show = sight_show,
				    .end = sight_end,
				    .equal = sight_equal,
				    .forget = free,
				    .ctx = services};
}

/* --- opening ------------------------------------------------------------------------------ */

static sl_code open_stream(const struct services *services, struct rpc_stream *stream,
			   struct sl_bytes bytes, struct sl_err *err)
{
	struct access_caller caller;
	SL_AUTO(sl_arena_fini) struct sl_arena arena;
	sl_arena_init(&arena, 1 << 20);
	Sluice__V1__WatchRequest *request =
	    sluice__v1__watch_request__unpack(sl_arena_protobuf(&arena), bytes.size, bytes.data);
	if (request == NULL) {
		return sl_err_because(err, SL_INVALID_ARGUMENT, SL_REASON_MALFORMED,
				      "the request's %zu bytes are not a WatchRequest", bytes.size);
	}
	struct watch_filter filter = {.workspace = 0};
	struct access_need need = {.workspace = 0};
	SL_AUTO(store_view_end_auto) const struct store_view *view = NULL;
	sl_code code = read_kinds(request, &filter, err);
	code = code != SL_OK ? code : store_view_begin(services->store, &view, err);
	code = code != SL_OK ? code : need_of(view, &arena, request, &need, err);
	code = code != SL_OK ? code
			     : service_permit_stream(WATCH, services, stream, &request->base, &need,
						     &caller, err);
	code = code != SL_OK ? code : resolve(view, &arena, request, &filter, err);
	code = code != SL_OK ? code : make_viewer(&caller, &filter, err);
	if (code != SL_OK) {
		return code;
	}
	code = watch_open(services->watch, stream, &filter, request->from_revision, err);
	if (code != SL_OK) {
		free(filter.viewer);
	}
	return code;
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
	access_stream_closed(((const struct services *)ctx)->access, stream);
}

static const struct rpc_stream_events watch_events = {
    .opened = on_opened,
    .message = on_message,
    .half_closed = on_half_closed,
    .drained = on_drained,
    .closed = on_closed,
};

const struct service_method watch_methods[1] = {
    {WATCH, ACCESS_VIEW, &sluice__v1__watch_request__descriptor,
     &sluice__v1__watch_response__descriptor, .stream = &watch_events, .scope = ACCESS_ITEMS},
};
