/* DiffVersions: read from the mirror by a Git worker, answered when that is done.
 *
 *   queue thread:      find both versions on a snapshot, ask gitsync
 *   gitsync's thread:  turn its result into the answer */
#include <string.h>

#include "base/mem/own.h"
#include "server/gitsync/gitsync.h"
#include "server/records/versions.h"
#include "server/records/wire.h"
#include "server/services/noun_checks.h"
#include "server/services/version_reads.h"
#include "sluice/v1/version.pb-c.h"

SL_DEFINE_AUTO(const struct store_view *, store_view_end);

/* Lies in the call's arena. */
struct diff {
	struct service_call *call;
	Sluice__Store__V1__AppRecord *app;
	Sluice__Store__V1__VersionRecord *from, *to;
};

sl_code version_diff_check(const void *message, struct sl_err *err)
{
	const Sluice__V1__DiffVersionsRequest *request = message;
	sl_code code = check_reference("app", request->app, err);
	code = code != SL_OK ? code : check_reference("version", request->version, err);
	return code != SL_OK ? code : check_reference_or_empty("from", request->from, err);
}

static sl_code check_ready(const struct diff *diff, const Sluice__Store__V1__VersionRecord *version,
			   struct sl_err *err)
{
	if (version->content != NULL && version->content->commit[0] != '\0') {
		return SL_OK;
	}
	return sl_err_because(
	    err, SL_FAILED_PRECONDITION, SL_REASON_CONTENT_NOT_READY,
	    "content of version '%s' of app '%s' is not READY, so it cannot be compared",
	    version->name, diff->app->name);
}

/* The older one: as named, else the one that the newer derives from. */
static sl_code find_from(struct diff *diff, const struct store_view *view, const char *from,
			 struct sl_err *err)
{
	struct sl_arena *arena = service_call_arena(diff->call);
	uint32_t workspace = service_call_workspace(diff->call);
	if (from[0] != '\0') {
		return version_find(view, arena, workspace, diff->app, from, &diff->from, err);
	}
	sl_code code = diff->to->derived_from != 0
			   ? version_get(view, arena, workspace, diff->app->id,
					 diff->to->derived_from, &diff->from, err)
			   : SL_NOT_FOUND;
	return code != SL_NOT_FOUND ? code
				    : sl_err_because(err, SL_NOT_FOUND, SL_REASON_VERSION_NOT_FOUND,
						     "version '%s' of app '%s' derives from none "
						     "that is there: name one to compare it with",
						     diff->to->name, diff->app->name);
}

static sl_code find_both(struct diff *diff, const Sluice__V1__DiffVersionsRequest *request,
			 struct sl_err *err)
{
	struct sl_arena *arena = service_call_arena(diff->call);
	uint32_t workspace = service_call_workspace(diff->call);
	SL_AUTO(store_view_end_auto) const struct store_view *view = NULL;
	sl_code code = store_view_begin(service_call_services(diff->call)->store, &view, err);
	code =
	    code != SL_OK ? code : app_find(view, arena, workspace, request->app, &diff->app, err);
	code = code != SL_OK ? code
			     : version_find(view, arena, workspace, diff->app, request->version,
					    &diff->to, err);
	code = code != SL_OK ? code : find_from(diff, view, request->from, err);
	code = code != SL_OK ? code : check_ready(diff, diff->to, err);
	return code != SL_OK ? code : check_ready(diff, diff->from, err);
}

/* --- the answer -------------------------------------------------------------------------- */

static Sluice__V1__FileChange change_of(char change)
{
	return change == 'A'   ? SLUICE__V1__FILE_CHANGE__FILE_CHANGE_ADDED
	       : change == 'D' ? SLUICE__V1__FILE_CHANGE__FILE_CHANGE_DELETED
			       : SLUICE__V1__FILE_CHANGE__FILE_CHANGE_MODIFIED;
}

static bool add_file(struct sl_arena *arena, Sluice__V1__DiffVersionsResponse *response,
		     const struct git_diff_entry *entry)
{
	Sluice__V1__FileDiff *file = SL_ARENA_NEW(arena, Sluice__V1__FileDiff);
	if (file == NULL) {
		return false;
	}
	sluice__v1__file_diff__init(file);
	file->change = change_of(entry->change);
	file->path = sl_arena_strdup(arena, entry->path);
	file->old_bytes = entry->old_bytes;
	file->new_bytes = entry->new_bytes;
	response->files[response->n_files++] = file;
	return true;
}

static sl_code fill(const struct diff *diff, const struct git_result *result,
		    Sluice__V1__DiffVersionsResponse *response, struct sl_err *err)
{
	struct sl_arena *arena = service_call_arena(diff->call);
	response->from = wire_version_ref(arena, diff->from);
	response->to = wire_version_ref(arena, diff->to);
	response->cut = result->diff_cut;
	response->files = SL_ARENA_ARRAY(arena, Sluice__V1__FileDiff *, result->diff_count + 1);
	bool good = response->files != NULL;
	for (size_t i = 0; good && i < result->diff_count; i++) {
		good = add_file(arena, response, &result->diff[i]);
	}
	return good ? SL_OK : sl_err_no_memory(err);
}

static sl_code failed(const struct diff *diff, const struct git_result *result, struct sl_err *err)
{
	bool again = git_failure_is_transient(result->failure);
	return sl_err_set(err, again ? SL_UNAVAILABLE : SL_FAILED_PRECONDITION,
			  "versions '%s' and '%s' of app '%s' could not be compared: %s: %.200s",
			  diff->from->name, diff->to->name, diff->app->name,
			  git_failure_name(result->failure), result->text);
}

/* "." is the root for people, "" for Git. */
static const char *folder(const Sluice__Store__V1__VersionRecord *version)
{
	return strcmp(version->path, ".") == 0 ? "" : version->path;
}

static void done(void *ctx, const struct git_result *result)
{
	struct diff *diff = ctx;
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	Sluice__V1__DiffVersionsResponse response = SLUICE__V1__DIFF_VERSIONS_RESPONSE__INIT;
	sl_code code = result->failure == GIT_OK ? fill(diff, result, &response, &err)
						 : failed(diff, result, &err);
	service_call_finish(diff->call, code, &err, &response.base);
}

void version_diff_start(struct service_call *call, const void *request)
{
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	struct diff *diff = SL_ARENA_NEW(service_call_arena(call), struct diff);
	sl_code code = SL_OK;
	if (diff == NULL) {
		code = sl_err_no_memory(&err);
	} else {
		diff->call = call;
		code = find_both(diff, request, &err);
	}
	if (code != SL_OK) {
		service_call_finish(call, code, &err, NULL);
		return;
	}
	const struct gitsync_question wanted = {
	    .kind = GITSYNC_DIFF,
	    .repository_id = diff->app->repository_id,
	    .from_commit = diff->from->content->commit,
	    .from_path = folder(diff->from),
	    .to_commit = diff->to->content->commit,
	    .to_path = folder(diff->to),
	    .done = done,
	    .ctx = diff,
	};
	gitsync_ask(service_call_services(call)->gitsync, &wanted);
}
