#include "server/services/bundle_asked.h"

#include <string.h>

#include "base/crypto/crypto.h"
#include "base/mem/own.h"
#include "server/records/bundles.h"
#include "sluice/v1/version.pb-c.h"

SL_DEFINE_AUTO(const struct store_view *, store_view_end);

/* Who asks, where, and what has been found so far. */
struct asking {
	const struct services *services;
	struct rpc_stream *stream;
	const struct store_view *view;
	struct bundle_asked *asked;
};

static struct sl_bytes copy_bytes(struct sl_arena *arena, const ProtobufCBinaryData *data)
{
	const uint8_t *copy = sl_arena_dup(arena, data->data, data->len);
	return copy == NULL ? SL_BYTES_NONE : SL_BYTES(copy, data->len);
}

static sl_code check_start(const ProtobufCBinaryData *digest, struct sl_err *err)
{
	if (digest->len == 0 || digest->len == SL_HASH_BYTES) {
		return SL_OK;
	}
	sl_code code = sl_err_because(err, SL_INVALID_ARGUMENT, SL_REASON_MALFORMED,
				      "start_digest has %zu bytes, and must have %d or none",
				      digest->len, SL_HASH_BYTES);
	sl_err_field(err, "start_digest", "32 bytes, or empty");
	return code;
}

/* The head says all but where Git is and who may read there. */
static void fill_head(struct bundle_asked *asked, const char *workspace,
		      const Sluice__Store__V1__AppRecord *app)
{
	Sluice__V1__Bundle *shown = SL_ARENA_NEW(&asked->arena, Sluice__V1__Bundle);
	sluice__v1__bundle_head__init(&asked->head);
	asked->head.workspace =
	    sl_arena_strdup(&asked->arena, workspace[0] == '\0' ? "default" : workspace);
	asked->head.app_id = app->id;
	asked->head.slug = app->slug;
	asked->head.app = app->name;
	asked->head.bundle = shown;
	if (shown != NULL) {
		static char none[] = "";
		*shown = asked->bundle;
		shown->url = none;
		shown->ref = none;
		shown->login = 0;
	}
}

static sl_code read_export(const struct asking *asking, struct sl_bytes message, struct sl_err *err)
{
	struct bundle_asked *asked = asking->asked;
	struct access_need need = {.server = false};
	struct access_caller caller;
	Sluice__Store__V1__AppRecord *app = NULL;
	Sluice__V1__ExportBundleRequest *request = sluice__v1__export_bundle_request__unpack(
	    sl_arena_protobuf(&asked->arena), message.size, message.data);
	if (request == NULL) {
		return sl_err_because(err, SL_INVALID_ARGUMENT, SL_REASON_MALFORMED,
				      "the request's %zu bytes are not an ExportBundleRequest",
				      message.size);
	}
	sl_code code = check_reference("app", request->app, err);
	code = code != SL_OK ? code : check_reference("version", request->version, err);
	code = code != SL_OK ? code : check_start(&request->start_digest, err);
	if (code == SL_OK &&
	    workspace_find(asking->view, request->workspace, &need.workspace, NULL) == SL_OK &&
	    app_find(asking->view, &asked->arena, need.workspace, request->app, &app, NULL) ==
		SL_OK) {
		sl_text_copy(need.slug, sizeof(need.slug), app->slug);
	}
	code = code != SL_OK
		   ? code
		   : service_permit_stream(BUNDLE_EXPORT, asking->services, asking->stream,
					   &request->base, &need, &caller, err);
	code = code != SL_OK
		   ? code
		   : workspace_find(asking->view, request->workspace, &need.workspace, err);
	code = code != SL_OK
		   ? code
		   : app_find(asking->view, &asked->arena, need.workspace, request->app, &app, err);
	code = code != SL_OK ? code
			     : bundle_of_version(asking->view, &asked->arena, need.workspace, app,
						 request->version, &asked->bundle, err);
	if (code == SL_OK) {
		asked->offset = request->offset;
		asked->start_digest = copy_bytes(&asked->arena, &request->start_digest);
		fill_head(asked, request->workspace, app);
	}
	return code;
}

/* An agent speaks for its own instance; another one is one that is not there. */
static sl_code find_instance(const struct asking *asking,
			     const Sluice__V1__FetchBundleRequest *request,
			     const struct access_caller *caller, uint32_t *ret_workspace,
			     Sluice__Store__V1__InstanceRecord **ret_instance, struct sl_err *err)
{
	bool agent = caller->kind == ACCESS_INSTANCE;
	sl_code code = workspace_find(asking->view, request->workspace, ret_workspace, err);
	if (code == SL_OK && agent && *ret_workspace != caller->workspace) {
		code = workspace_not_found(request->workspace, err);
	}
	code = code != SL_OK ? code
			     : instance_find(asking->view, &asking->asked->arena, *ret_workspace,
					     request->instance, ret_instance, err);
	if (code == SL_OK && agent && strcmp((*ret_instance)->id, caller->subject_id) != 0) {
		code = instance_not_found(request->instance, err);
	}
	if (code == SL_NOT_FOUND && agent) {
		service_note_stream(BUNDLE_FETCH, asking->services, asking->stream, caller, err);
	}
	return code;
}

static sl_code read_fetch(const struct asking *asking, struct sl_bytes message, struct sl_err *err)
{
	static const struct access_need need = {.workspace = 0}; /* to be there */
	struct bundle_asked *asked = asking->asked;
	struct access_caller caller;
	Sluice__Store__V1__InstanceRecord *instance = NULL;
	Sluice__Store__V1__AppRecord *app = NULL;
	struct bundle_wish wish = {.workspace = 0};
	Sluice__V1__FetchBundleRequest *request = sluice__v1__fetch_bundle_request__unpack(
	    sl_arena_protobuf(&asked->arena), message.size, message.data);
	if (request == NULL) {
		return sl_err_because(err, SL_INVALID_ARGUMENT, SL_REASON_MALFORMED,
				      "the request's %zu bytes are not a FetchBundleRequest",
				      message.size);
	}
	sl_code code = check_reference("instance", request->instance, err);
	code = code != SL_OK ? code : check_reference("app_id", request->app_id, err);
	code = code != SL_OK ? code : check_start(&request->start_digest, err);
	code = code != SL_OK ? code
			     : service_permit_stream(BUNDLE_FETCH, asking->services, asking->stream,
						     &request->base, &need, &caller, err);
	code = code != SL_OK
		   ? code
		   : find_instance(asking, request, &caller, &wish.workspace, &instance, err);
	if (code != SL_OK) {
		return code;
	}
	wish.app_id = request->app_id;
	wish.version_id = request->version_id;
	wish.digest = SL_BYTES(request->digest.data, request->digest.len);
	code = bundle_of_manifest(asking->view, &asked->arena, instance, &wish, &app,
				  &asked->bundle, err);
	if (code == SL_OK) {
		asked->offset = request->offset;
		asked->start_digest = copy_bytes(&asked->arena, &request->start_digest);
		fill_head(asked, request->workspace, app);
	}
	return code;
}

/* On a snapshot. */
static sl_code ask(const struct services *services, struct rpc_stream *stream,
		   struct sl_bytes message, struct bundle_asked *asked,
		   sl_code (*read)(const struct asking *asking, struct sl_bytes message,
				   struct sl_err *err),
		   struct sl_err *err)
{
	SL_AUTO(store_view_end_auto) const struct store_view *view = NULL;
	sl_code code = store_view_begin(services->store, &view, err);
	if (code != SL_OK) {
		return code;
	}
	const struct asking asking = {
	    .services = services, .stream = stream, .view = view, .asked = asked};
	sl_arena_init(&asked->arena, 0);
	code = read(&asking, message, err);
	if (code == SL_OK && sl_arena_failed(&asked->arena)) {
		code = sl_err_no_memory(err);
	}
	if (code != SL_OK) {
		sl_arena_fini(&asked->arena);
	}
	return code;
}

sl_code bundle_export_asked(const struct services *services, struct rpc_stream *stream,
			    struct sl_bytes message, struct bundle_asked *ret_asked,
			    struct sl_err *err)
{
	return ask(services, stream, message, ret_asked, read_export, err);
}

sl_code bundle_fetch_asked(const struct services *services, struct rpc_stream *stream,
			   struct sl_bytes message, struct bundle_asked *ret_asked,
			   struct sl_err *err)
{
	return ask(services, stream, message, ret_asked, read_fetch, err);
}
