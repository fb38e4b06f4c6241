#include "server/services/push.h"

#include <string.h>

#include "base/id/id.h"
#include "base/mem/own.h"
#include "server/gitsync/gitsync.h"
#include "server/records/commits.h"
#include "server/records/versions.h"
#include "server/services/noun_checks.h"
#include "sluice/v1/version.pb-c.h"

enum { MESSAGE_MAX = 500 };

static sl_code check_upload(const char *upload, struct sl_err *err)
{
	return sl_id_is(upload, "upl")
		   ? SL_OK
		   : check_refused("upload", "must be an id that UploadContent gave", err);
}

/* --- UploadContent ------------------------------------------------------------------ */

sl_code push_upload_check(const void *message, struct sl_err *err)
{
	const Sluice__V1__UploadContentRequest *request = message;
	sl_code code = check_reference("app", request->app, err);
	if (code == SL_OK && request->upload[0] != '\0') {
		code = check_upload(request->upload, err);
	}
	bool begins = request->upload[0] == '\0';
	if (code == SL_OK && begins && request->offset != 0) {
		return check_refused("offset", "must be 0 where an upload begins", err);
	}
	return code != SL_OK || request->offset < (uint64_t)1 << 40
		   ? code
		   : check_refused("offset", "is behind any upload's end", err);
}

/* Lies in the call's arena. */
struct upload {
	struct service_call *call;
	char id[SL_ID_SIZE];
};

static void uploaded(void *ctx, sl_code code, uint64_t bytes, const struct sl_err *err)
{
	struct upload *upload = ctx;
	Sluice__V1__UploadContentResponse response = SLUICE__V1__UPLOAD_CONTENT_RESPONSE__INIT;
	response.upload = upload->id;
	response.bytes = bytes;
	service_call_finish(upload->call, code, err, &response.base);
}

static sl_code begin_upload(struct upload *upload, const Sluice__V1__UploadContentRequest *request,
			    struct sl_err *err)
{
	char name[GITSYNC_UPLOAD_NAME];
	struct sl_id fresh = sl_id_new("upl");
	bool begins = request->upload[0] == '\0';
	sl_text_copy(upload->id, sizeof(upload->id), begins ? fresh.text : request->upload);
	if (!gitsync_upload_name(name, service_call_workspace(upload->call),
				 service_call_principal(upload->call), upload->id)) {
		return check_refused("upload", "cannot be one of this principal", err);
	}
	const struct gitsync_upload_request wanted = {
	    .name = name,
	    .offset = request->offset,
	    .data = SL_BYTES(request->data.data, request->data.len),
	    .last = request->last,
	    .done = uploaded,
	    .ctx = upload,
	};
	return gitsync_upload(service_call_services(upload->call)->gitsync, &wanted, err);
}

void push_upload_start(struct service_call *call, const void *message)
{
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	struct upload *upload = SL_ARENA_NEW(service_call_arena(call), struct upload);
	sl_code code = SL_OK;
	if (upload == NULL) {
		code = sl_err_no_memory(&err);
	} else {
		upload->call = call;
		code = begin_upload(upload, message, &err);
	}
	if (code != SL_OK) {
		service_call_finish(call, code, &err, NULL);
	}
}

sl_code push_check_message(const char *message, struct sl_err *err)
{
	sl_code code = check_text("message", message, MESSAGE_MAX, err);
	return code != SL_OK || strpbrk(message, "\n\t") == NULL
		   ? code
		   : check_refused("message", "must be one line", err);
}

/* --- PushVersion ----------------------------------------------------------------------- */

sl_code push_check(const void *message, struct sl_err *err)
{
	const Sluice__V1__PushVersionRequest *request = message;
	sl_code code = check_reference("app", request->app, err);
	code = code != SL_OK ? code : check_reference("version", request->version, err);
	code = code != SL_OK ? code : check_upload(request->upload, err);
	return code != SL_OK ? code : push_check_message(request->message, err);
}

sl_code push_decide(struct decision *d, const void *message, void *reply, struct sl_err *err)
{
	const Sluice__V1__PushVersionRequest *request = message;
	Sluice__V1__PushVersionResponse *response = reply;
	Sluice__Store__V1__AppRecord *app = NULL;
	Sluice__Store__V1__VersionRecord *version = NULL;
	char name[GITSYNC_UPLOAD_NAME];
	sl_code code = app_find(d->view, d->arena, d->workspace, request->app, &app, err);
	code = code != SL_OK ? code
			     : version_find(d->view, d->arena, d->workspace, app, request->version,
					    &version, err);
	if (code == SL_OK &&
	    !gitsync_upload_name(name, d->workspace, d->principal, request->upload)) {
		code = check_refused("upload", "cannot be one of this principal", err);
	}
	if (code != SL_OK) {
		return code;
	}
	const struct commit_push push = {
	    .upload = name, .message = request->message, .onto = request->onto};
	code = versions_decide_push(d, app, version, &push, err);
	if (code == SL_OK) {
		struct wire wire = wire_of(d);
		response->version = wire_version(&wire, version, app, NULL, 0);
	}
	return code;
}
