/* ListImportable and ImportApp: what a repository has already, and apps made of it.
 *
 *   ListImportable  queue thread:      find the repository, ask gitsync
 *                   gitsync's thread:  turn its list into the answer
 *   ImportApp       writer thread:     what can be refused without Git is; else ask gitsync
 *                   gitsync's thread:  what was found becomes the answer to that
 *                   writer thread:     the app, its version and its seal in one command */
#include <string.h>

#include "base/mem/own.h"
#include "server/gitsync/gitsync.h"
#include "server/records/apps.h"
#include "server/records/versions.h"
#include "server/records/wire.h"
#include "server/rules/names.h"
#include "server/services/import.h"
#include "server/services/noun_checks.h"
#include "sluice/v1/app.pb-c.h"
#include "sluice/v1/repository.pb-c.h"

SL_DEFINE_AUTO(const struct store_view *, store_view_end);

/* What Git said no to, as a refusal of `doing`. */
static sl_code refused(const struct git_result *result, const char *doing, struct sl_err *err)
{
	bool again = git_failure_is_transient(result->failure);
	sl_code code = sl_err_because(err, again ? SL_UNAVAILABLE : SL_FAILED_PRECONDITION,
				      SL_REASON_CONTENT_NOT_READY, "%s: %s: %s", doing,
				      git_failure_name(result->failure), result->text);
	sl_err_meta(err, "content_reason", "%s", git_failure_name(result->failure));
	if (result->rule != GIT_RULE_NONE) {
		sl_err_meta(err, "rule", "%s", git_rule_name(result->rule));
	}
	return code;
}

/* --- ListImportable ------------------------------------------------------------------------ */

/* Lies in the call's arena. */
struct listing {
	struct service_call *call;
	const Sluice__Store__V1__RepositoryRecord *repository;
};

sl_code import_list_check(const void *message, struct sl_err *err)
{
	const Sluice__V1__ListImportableRequest *request = message;
	sl_code code = check_reference("repository", request->repository, err);
	return code != SL_OK ? code : check_revision_or_empty("commit", request->commit, err);
}

static Sluice__V1__CommitInfo *commit_of(struct sl_arena *arena, const struct git_log_entry *last)
{
	const Sluice__Store__V1__CommitRecord record = {
	    .commit = sl_arena_strdup(arena, last->commit),
	    .author = sl_arena_strdup(arena, last->author),
	    .subject = sl_arena_strdup(arena, last->subject),
	    .at_s = last->unix_s,
	};
	return last->commit[0] == '\0' ? NULL : wire_commit(arena, &record);
}

static sl_code add_app(const struct listing *listing, const struct store_view *view,
		       const struct git_app *found, Sluice__V1__Importable *app, struct sl_err *err)
{
	struct sl_arena *arena = service_call_arena(listing->call);
	Sluice__Store__V1__AppRecord *there = NULL;
	char name[NAME_MAX_BYTES + 1];
	bool legal = check_version_name("", found->version, NULL) == SL_OK;
	name_from_text(name, found->name);
	app->name = sl_arena_strdup(arena, name);
	app->display_name = sl_arena_strdup(arena, found->name);
	app->path = sl_arena_strdup(arena, found->path);
	app->version_name = sl_arena_strdup(arena, legal ? found->version : "v1");
	app->last_commit = commit_of(arena, &found->last);
	sl_code code = app_at_path(view, arena, service_call_workspace(listing->call),
				   listing->repository->id, found->path, &there, err);
	if (code == SL_OK) {
		app->app_id = there->id;
		app->app = there->name;
	}
	return code == SL_NOT_FOUND ? SL_OK : code;
}

static sl_code fill_list(const struct listing *listing, const struct git_result *result,
			 Sluice__V1__ListImportableResponse *response, struct sl_err *err)
{
	struct sl_arena *arena = service_call_arena(listing->call);
	SL_AUTO(store_view_end_auto) const struct store_view *view = NULL;
	sl_code code = store_view_begin(service_call_services(listing->call)->store, &view, err);
	response->commit = sl_arena_strdup(arena, result->commit);
	response->ref = sl_arena_strdup(arena, result->ref);
	response->cut = result->apps_cut;
	response->apps = SL_ARENA_ARRAY(arena, Sluice__V1__Importable *, result->app_count + 1);
	for (size_t i = 0; code == SL_OK && i < result->app_count; i++) {
		Sluice__V1__Importable *app = SL_ARENA_NEW(arena, Sluice__V1__Importable);
		if (app == NULL || response->apps == NULL) {
			return sl_err_no_memory(err);
		}
		sluice__v1__importable__init(app);
		code = add_app(listing, view, &result->apps[i], app, err);
		response->apps[response->n_apps++] = app;
	}
	return code;
}

static void list_done(void *ctx, const struct git_result *result)
{
	struct listing *listing = ctx;
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	Sluice__V1__ListImportableResponse response = SLUICE__V1__LIST_IMPORTABLE_RESPONSE__INIT;
	const char *doing =
	    sl_arena_printf(service_call_arena(listing->call),
			    "repository '%s' could not be looked at", listing->repository->name);
	sl_code code = result->failure == GIT_OK
			   ? fill_list(listing, result, &response, &err)
			   : refused(result, doing != NULL ? doing : "", &err);
	service_call_finish(listing->call, code, &err, &response.base);
}

static sl_code begin_list(struct service_call *call, const char *name, struct listing **ret_listing,
			  struct sl_err *err)
{
	SL_AUTO(store_view_end_auto) const struct store_view *view = NULL;
	struct sl_arena *arena = service_call_arena(call);
	struct listing *listing = SL_ARENA_NEW(arena, struct listing);
	Sluice__Store__V1__RepositoryRecord *repository = NULL;
	sl_code code = listing != NULL
			   ? store_view_begin(service_call_services(call)->store, &view, err)
			   : sl_err_no_memory(err);
	code = code != SL_OK ? code
			     : repository_find(view, arena, service_call_workspace(call), name,
					       &repository, err);
	if (code == SL_OK) {
		*listing = (struct listing){.call = call, .repository = repository};
		*ret_listing = listing;
	}
	return code;
}

void import_list_start(struct service_call *call, const void *message)
{
	const Sluice__V1__ListImportableRequest *request = message;
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	struct listing *listing = NULL;
	sl_code code = begin_list(call, request->repository, &listing, &err);
	if (code != SL_OK) {
		service_call_finish(call, code, &err, NULL);
		return;
	}
	gitsync_read(service_call_services(call)->gitsync,
		     &(struct gitsync_read_request){.repository_id = listing->repository->id,
						    .op = GIT_APPS,
						    .revision = request->commit,
						    .path = ".",
						    .done = list_done,
						    .ctx = listing});
}

/* --- ImportApp ----------------------------------------------------------------------------- */

/* What is asked of Git; in the write's arena. */
struct question {
	struct service_write *write;
	const char *repository_id, *revision, *path;
};

/* What it said; likewise. */
struct answer {
	const char *repository_id;
	struct git_result result; /* its texts and numbers */
	struct version_content_result content;
};

static const struct answer no_memory = {
    .result = {.failure = GIT_OUT_OF_MEMORY, .text = "out of memory"},
    .content = {.reason = SLUICE__V1__CONTENT_REASON__CONTENT_REASON_REPOSITORY_UNREACHABLE}};

sl_code import_check(const void *message, struct sl_err *err)
{
	const Sluice__V1__ImportAppRequest *request = message;
	sl_code code = check_reference("repository", request->repository, err);
	code = code != SL_OK ? code : check_path("path", request->path, err);
	return code != SL_OK ? code : check_revision_or_empty("commit", request->commit, err);
}

sl_code import_ask(struct decision *d, const struct app_new *wanted, const void **ret_question,
		   struct sl_err *err)
{
	Sluice__Store__V1__RepositoryRecord *repository = NULL;
	sl_code code =
	    repository_find(d->view, d->arena, d->workspace, wanted->repository, &repository, err);
	/* Which app it is already says more than that the name is taken. */
	code = code != SL_OK ? code : app_path_free(d, repository, wanted->path, "", err);
	code = code != SL_OK ? code : apps_check_new(d, wanted, &repository, err);
	if (code != SL_OK) {
		return code;
	}
	struct question *question = SL_ARENA_NEW(d->arena, struct question);
	if (question == NULL) {
		return sl_err_no_memory(err);
	}
	*question = (struct question){
	    .repository_id = repository->id, .revision = wanted->commit, .path = wanted->path};
	*ret_question = question;
	return SL_OK;
}

static void found(void *ctx, const struct git_result *result)
{
	struct question *question = ctx;
	struct sl_arena *arena = service_write_arena(question->write);
	struct answer *answer = sl_arena_alloc(arena, sizeof(*answer));
	if (answer != NULL) {
		answer->repository_id = question->repository_id;
		answer->result = *result;
		answer->content = gitsync_content(arena, &answer->result);
		answer->result.sluice_json = NULL; /* the caller's */
	}
	service_write_answer(question->write, answer != NULL ? answer : &no_memory);
}

void import_find(struct service_write *write, const struct services *services, const void *asked)
{
	struct question *question =
	    sl_arena_dup(service_write_arena(write), asked, sizeof(*question));
	if (question == NULL) {
		service_write_answer(write, &no_memory);
		return;
	}
	question->write = write;
	gitsync_read(services->gitsync,
		     &(struct gitsync_read_request){.repository_id = question->repository_id,
						    .op = GIT_RESOLVE,
						    .revision = question->revision,
						    .path = question->path,
						    .done = found,
						    .ctx = question});
}

sl_code import_decide(struct decision *d, struct app_new *wanted, struct app_created *ret_created,
		      struct sl_err *err)
{
	const struct answer *answer = d->answer != NULL ? d->answer : &no_memory;
	if (answer->content.reason != SLUICE__V1__CONTENT_REASON__CONTENT_REASON_UNSPECIFIED) {
		struct git_result result = answer->result;
		if (result.failure == GIT_OK) { /* the worker's sluice.json was not believed */
			result.failure = GIT_BUNDLE_REFUSED;
			sl_text_copy(result.text, sizeof(result.text), answer->content.text);
		}
		const char *doing = sl_arena_printf(
		    d->arena, "folder '%.120s' of repository '%s' cannot be imported", wanted->path,
		    wanted->repository);
		return refused(&result, doing != NULL ? doing : "", err);
	}
	wanted->repository = answer->repository_id; /* whatever has its name by now */
	wanted->found = &answer->content;
	wanted->no_commit = true; /* it is in Git as it is */
	return apps_decide_create(d, wanted, ret_created, err);
}
