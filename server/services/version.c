/* VersionService, what changes versions: made, given content, renamed, sealed, blocked, noted,
 * deleted. What only looks at them is in version_reads.c. */
#include <string.h>

#include "server/records/versions.h"
#include "server/records/wire.h"
#include "server/services/noun_checks.h"
#include "server/services/push.h"
#include "server/services/version_reads.h"
#include "sluice/v1/version.pb-c.h"

enum { DESCRIPTION_MAX = 2000, NOTE_MAX = 4000 };

/* What nearly every method is about. */
struct about {
	Sluice__Store__V1__AppRecord *app;
	Sluice__Store__V1__VersionRecord *version;
};

static sl_code find(struct decision *d, const char *app, const char *version,
		    struct about *ret_about, struct sl_err *err)
{
	sl_code code = app_find(d->view, d->arena, d->workspace, app, &ret_about->app, err);
	return code != SL_OK ? code
			     : version_find(d->view, d->arena, d->workspace, ret_about->app,
					    version, &ret_about->version, err);
}

static sl_code check_about(const char *app, const char *version, struct sl_err *err)
{
	sl_code code = check_reference("app", app, err);
	return code != SL_OK ? code : check_reference("version", version, err);
}

/* As it is now; a draft has no publication and is not released, others are as stored unless said.
 */
static Sluice__V1__Version *told(const struct decision *d, const struct about *about,
				 const Sluice__Store__V1__PublicationRecord *publication,
				 uint32_t released)
{
	struct wire wire = wire_of(d);
	return wire_version(&wire, about->version, about->app, publication, released);
}

/* --- CreateVersion ---------------------------------------------------------------- */

static sl_code create_check(const void *message, struct sl_err *err)
{
	const Sluice__V1__CreateVersionRequest *request = message;
	sl_code code = check_reference("app", request->app, err);
	code = code != SL_OK ? code : check_version_name("name", request->name, err);
	code = code != SL_OK ? code : check_reference_or_empty("from", request->from, err);
	code = code != SL_OK ? code : check_revision_or_empty("commit", request->commit, err);
	code = code != SL_OK
		   ? code
		   : check_text_or_empty("description", request->description, DESCRIPTION_MAX, err);
	return code != SL_OK ? code
			     : check_reference_or_empty("environment", request->environment, err);
}

/* New versions start in development only. */
static sl_code check_starts_in(const char *environment, struct sl_err *err)
{
	uint32_t number = ENV_DEVELOPMENT;
	sl_code code = environment[0] != '\0' ? environment_find(environment, &number, err) : SL_OK;
	if (code != SL_OK || number == ENV_DEVELOPMENT) {
		return code;
	}
	return sl_err_because(err, SL_FAILED_PRECONDITION, SL_REASON_NOT_IN_DEVELOPMENT,
			      "a version cannot be made in %s: new versions start in development, "
			      "promote it from there",
			      environment_name(number));
}

static sl_code create_decide(struct decision *d, const void *message, void *reply,
			     struct sl_err *err)
{
	const Sluice__V1__CreateVersionRequest *request = message;
	Sluice__V1__CreateVersionResponse *response = reply;
	struct version_wanted wanted = {
	    .name = request->name,
	    .description = request->description,
	    .from = request->from,
	    .commit = request->commit,
	    .no_commit = request->no_commit,
	};
	struct about about = {0};
	sl_code code = app_find(d->view, d->arena, d->workspace, request->app, &about.app, err);
	code = code != SL_OK ? code : check_starts_in(request->environment, err);
	if (code == SL_OK) {
		code = versions_decide_create(d, about.app, &wanted, &about.version, err);
	}
	if (code == SL_OK) {
		response->version = told(d, &about, NULL, 0);
	}
	return code;
}

/* --- SetVersionContent ---------------------------------------------------------------- */

static sl_code set_content_check(const void *message, struct sl_err *err)
{
	const Sluice__V1__SetVersionContentRequest *request = message;
	sl_code code = check_about(request->app, request->version, err);
	return code != SL_OK ? code : check_revision_or_empty("commit", request->commit, err);
}

static sl_code set_content_decide(struct decision *d, const void *message, void *reply,
				  struct sl_err *err)
{
	const Sluice__V1__SetVersionContentRequest *request = message;
	Sluice__V1__SetVersionContentResponse *response = reply;
	struct about about = {0};
	sl_code code = find(d, request->app, request->version, &about, err);
	if (code == SL_OK) {
		code =
		    versions_decide_set_content(d, about.app, about.version, request->commit, err);
	}
	if (code == SL_OK) {
		response->version = told(d, &about, NULL, 0);
	}
	return code;
}

/* --- UpdateVersion ----------------------------------------------------------------------- */

static sl_code update_check(const void *message, struct sl_err *err)
{
	const Sluice__V1__UpdateVersionRequest *request = message;
	sl_code code = check_about(request->app, request->version, err);
	if (code == SL_OK && request->new_name[0] != '\0') {
		code = check_version_name("new_name", request->new_name, err);
	}
	return code != SL_OK
		   ? code
		   : check_text_or_empty("description", request->description, DESCRIPTION_MAX, err);
}

static sl_code update_decide(struct decision *d, const void *message, void *reply,
			     struct sl_err *err)
{
	const Sluice__V1__UpdateVersionRequest *request = message;
	Sluice__V1__UpdateVersionResponse *response = reply;
	struct about about = {0};
	sl_code code = find(d, request->app, request->version, &about, err);
	if (code == SL_OK) {
		code = versions_decide_update(d, about.app, about.version, request->new_name,
					      request->description, err);
	}
	if (code == SL_OK) {
		response->version = told(d, &about, NULL, 0);
	}
	return code;
}

/* --- SealVersion --------------------------------------------------------------------------- */

static sl_code seal_check(const void *message, struct sl_err *err)
{
	const Sluice__V1__SealVersionRequest *request = message;
	return check_about(request->app, request->version, err);
}

static sl_code seal_decide(struct decision *d, const void *message, void *reply, struct sl_err *err)
{
	const Sluice__V1__SealVersionRequest *request = message;
	Sluice__V1__SealVersionResponse *response = reply;
	Sluice__Store__V1__PublicationRecord *publication = NULL;
	struct about about = {0};
	sl_code code = find(d, request->app, request->version, &about, err);
	if (code == SL_OK) {
		code = versions_decide_seal(d, about.app, about.version, &publication, err);
	}
	if (code == SL_OK) {
		response->version = told(d, &about, publication, UINT32_MAX);
	}
	return code;
}

/* --- BlockVersion -------------------------------------------------------------------------- */

static sl_code block_check(const void *message, struct sl_err *err)
{
	const Sluice__V1__BlockVersionRequest *request = message;
	bool recall = request->mode == SLUICE__V1__BLOCK_MODE__BLOCK_MODE_RECALL;
	int decisions = (request->rollback_to[0] != '\0') + (request->withdraw != 0) +
			(request->keep_serving != 0);
	sl_code code = check_about(request->app, request->version, err);
	if (code != SL_OK) {
		return code;
	}
	if (!recall && request->mode != SLUICE__V1__BLOCK_MODE__BLOCK_MODE_NO_NEW) {
		return check_refused("mode", "must be NO_NEW or RECALL", err);
	}
	if (decisions > 1) {
		return check_refused("rollback_to",
				     "withdraw and keep_serving exclude each other: give one", err);
	}
	if (decisions > 0 && !recall) {
		return check_refused(
		    "mode", "must be RECALL for rollback_to, withdraw or keep_serving", err);
	}
	return check_reference_or_empty("rollback_to", request->rollback_to, err);
}

/* The released version for the reply: the blocked one itself when it keeps serving. */
static Sluice__V1__VersionRef *released_ref(const struct decision *d, const struct about *about,
					    uint32_t released)
{
	struct wire wire = wire_of(d);
	return wire_version_ref_get(&wire, about->app->id, released);
}

static sl_code block_decide(struct decision *d, const void *message, void *reply,
			    struct sl_err *err)
{
	const Sluice__V1__BlockVersionRequest *request = message;
	Sluice__V1__BlockVersionResponse *response = reply;
	struct version_recall recall = {
	    .rollback_to = request->rollback_to,
	    .withdraw = request->withdraw,
	    .keep_serving = request->keep_serving,
	};
	struct about about = {0};
	uint32_t released = 0;
	sl_code code = find(d, request->app, request->version, &about, err);
	if (code == SL_OK && request->rollback_to[0] != '\0') {
		code = decision_require(d, ACCESS_ROLLBACK, about.app->slug, ENV_PRODUCTION, err);
	}
	if (code == SL_OK && request->withdraw) {
		code = decision_require(d, ACCESS_RELEASE, about.app->slug, ENV_PRODUCTION, err);
	}
	if (code == SL_OK) {
		code = versions_decide_block(d, about.app, about.version, request->mode, &recall,
					     &released, err);
	}
	if (code == SL_OK) {
		response->version = told(d, &about, NULL, released);
		response->released = released_ref(d, &about, released);
	}
	return code;
}

/* --- UnblockVersion --- */

static sl_code unblock_check(const void *message, struct sl_err *err)
{
	const Sluice__V1__UnblockVersionRequest *request = message;
	return check_about(request->app, request->version, err);
}

static sl_code unblock_decide(struct decision *d, const void *message, void *reply,
			      struct sl_err *err)
{
	const Sluice__V1__UnblockVersionRequest *request = message;
	Sluice__V1__UnblockVersionResponse *response = reply;
	struct about about = {0};
	sl_code code = find(d, request->app, request->version, &about, err);
	code = code != SL_OK ? code : versions_decide_unblock(d, about.app, about.version, err);
	if (code == SL_OK) {
		response->version = told(d, &about, NULL, UINT32_MAX);
	}
	return code;
}

/* --- NoteVersion --- */

static sl_code note_check(const void *message, struct sl_err *err)
{
	const Sluice__V1__NoteVersionRequest *request = message;
	sl_code code = check_about(request->app, request->version, err);
	return code != SL_OK ? code : check_text("text", request->text, NOTE_MAX, err);
}

static sl_code note_decide(struct decision *d, const void *message, void *reply, struct sl_err *err)
{
	const Sluice__V1__NoteVersionRequest *request = message;
	Sluice__V1__NoteVersionResponse *response = reply;
	Sluice__Store__V1__NoteRecord *note = NULL;
	struct about about = {0};
	sl_code code = find(d, request->app, request->version, &about, err);
	code = code != SL_OK
		   ? code
		   : versions_decide_note(d, about.app, about.version, request->text, &note, err);
	if (code == SL_OK) {
		response->note = wire_note(d->arena, d->revision, note, about.app, about.version);
	}
	return code;
}

/* --- DeleteVersion --- */

static sl_code delete_check(const void *message, struct sl_err *err)
{
	const Sluice__V1__DeleteVersionRequest *request = message;
	return check_about(request->app, request->version, err);
}

static sl_code delete_decide(struct decision *d, const void *message, void *reply,
			     struct sl_err *err)
{
	const Sluice__V1__DeleteVersionRequest *request = message;
	struct about about = {0};
	(void)reply;
	sl_code code = find(d, request->app, request->version, &about, err);
	return code != SL_OK ? code : versions_decide_delete(d, about.app, about.version, err);
}

#define ROW(method) "/sluice.v1.VersionService/" #method

/* clang-format off */
const struct service_method version_methods[15] = {
	{ ROW(CreateVersion), ACCESS_EDIT, &sluice__v1__create_version_request__descriptor,
	  &sluice__v1__create_version_response__descriptor, .check = create_check, .decide = create_decide, .hot = true, .scope = ACCESS_APP, .where = ACCESS_IN_DEVELOPMENT },
	{ ROW(GetVersion), ACCESS_VIEW, &sluice__v1__get_version_request__descriptor,
	  &sluice__v1__get_version_response__descriptor, .check = version_get_check, .read = version_get_read, .hot = true, .scope = ACCESS_APP },
	{ ROW(ListVersions), ACCESS_VIEW, &sluice__v1__list_versions_request__descriptor,
	  &sluice__v1__list_versions_response__descriptor, .check = version_list_check, .read = version_list_read, .scope = ACCESS_APP },
	{ ROW(SetVersionContent), ACCESS_EDIT, &sluice__v1__set_version_content_request__descriptor,
	  &sluice__v1__set_version_content_response__descriptor, .check = set_content_check, .decide = set_content_decide, .scope = ACCESS_APP, .where = ACCESS_IN_CURRENT },
	{ ROW(UpdateVersion), ACCESS_EDIT, &sluice__v1__update_version_request__descriptor,
	  &sluice__v1__update_version_response__descriptor, .check = update_check, .decide = update_decide, .scope = ACCESS_APP, .where = ACCESS_IN_CURRENT },
	{ ROW(SealVersion), ACCESS_EDIT, &sluice__v1__seal_version_request__descriptor,
	  &sluice__v1__seal_version_response__descriptor, .check = seal_check, .decide = seal_decide, .scope = ACCESS_APP, .where = ACCESS_IN_CURRENT },
	{ ROW(BlockVersion), ACCESS_EDIT, &sluice__v1__block_version_request__descriptor,
	  &sluice__v1__block_version_response__descriptor, .check = block_check, .decide = block_decide, .scope = ACCESS_APP, .where = ACCESS_IN_CURRENT },
	{ ROW(UnblockVersion), ACCESS_EDIT, &sluice__v1__unblock_version_request__descriptor,
	  &sluice__v1__unblock_version_response__descriptor, .check = unblock_check, .decide = unblock_decide, .scope = ACCESS_APP, .where = ACCESS_IN_CURRENT },
	{ ROW(NoteVersion), ACCESS_EDIT, &sluice__v1__note_version_request__descriptor,
	  &sluice__v1__note_version_response__descriptor, .check = note_check, .decide = note_decide, .scope = ACCESS_APP, .where = ACCESS_IN_CURRENT },
	{ ROW(ListVersionFacts), ACCESS_VIEW, &sluice__v1__list_version_facts_request__descriptor,
	  &sluice__v1__list_version_facts_response__descriptor, .check = version_facts_check, .read = version_facts_read, .scope = ACCESS_APP },
	{ ROW(ListVersionNotes), ACCESS_VIEW, &sluice__v1__list_version_notes_request__descriptor,
	  &sluice__v1__list_version_notes_response__descriptor, .check = version_notes_check, .read = version_notes_read, .scope = ACCESS_APP },
	{ ROW(DiffVersions), ACCESS_VIEW, &sluice__v1__diff_versions_request__descriptor,
	  &sluice__v1__diff_versions_response__descriptor, .check = version_diff_check, .start = version_diff_start, .scope = ACCESS_APP },
	{ ROW(UploadContent), ACCESS_EDIT, &sluice__v1__upload_content_request__descriptor,
	  &sluice__v1__upload_content_response__descriptor, .check = push_upload_check, .start = push_upload_start,
	  .scope = ACCESS_APP, .where = ACCESS_IN_DEVELOPMENT },
	{ ROW(PushVersion), ACCESS_EDIT, &sluice__v1__push_version_request__descriptor,
	  &sluice__v1__push_version_response__descriptor, .check = push_check, .decide = push_decide,
	  .scope = ACCESS_APP, .where = ACCESS_IN_DEVELOPMENT },
	{ ROW(DeleteVersion), ACCESS_EDIT, &sluice__v1__delete_version_request__descriptor,
	  &sluice__v1__delete_version_response__descriptor, .check = delete_check, .decide = delete_decide, .shrinks = true, .scope = ACCESS_APP, .where = ACCESS_IN_CURRENT },
};
/* clang-format on */
