/* ListNewCommits: the host is asked on a thread of gitsync's, which answers. What polling has found
 * goes with every app. */
#include "server/services/branch_news.h"

#include "base/mem/own.h"
#include "server/gitsync/gitsync.h"
#include "server/records/pinned.h"
#include "server/records/wire.h"

SL_DEFINE_AUTO(const struct store_view *, store_view_end);

void branch_news_add(const struct service_read *read, const Sluice__Store__V1__AppRecord *app,
		     Sluice__V1__App *message)
{
	struct gitsync_news found;
	if (message == NULL ||
	    !gitsync_news(read->services->gitsync, app->repository_id, app->id, &found)) {
		return;
	}
	Sluice__V1__BranchNews *news = SL_ARENA_NEW(read->arena, Sluice__V1__BranchNews);
	if (news == NULL) {
		return; /* the arena has failed, and the call with it */
	}
	sluice__v1__branch_news__init(news);
	news->commits = found.commits;
	news->more = found.more;
	news->ref = sl_arena_strdup(read->arena, found.ref);
	news->tip = sl_arena_strdup(read->arena, found.tip);
	news->at = wire_time(read->arena, found.at_ms);
	message->news = news;
}

sl_code branch_news_commits(struct sl_arena *arena, const struct git_result *result,
			    Sluice__V1__CommitInfo ***ret_commits, size_t *ret_count,
			    struct sl_err *err)
{
	Sluice__V1__CommitInfo **commits =
	    SL_ARENA_ARRAY(arena, Sluice__V1__CommitInfo *, result->log_count + 1);
	for (size_t i = 0; commits != NULL && i < result->log_count; i++) {
		const struct git_log_entry *entry = &result->log[i];
		const Sluice__Store__V1__CommitRecord record = {
		    .commit = sl_arena_strdup(arena, entry->commit),
		    .author = sl_arena_strdup(arena, entry->author),
		    .subject = sl_arena_strdup(arena, entry->subject),
		    .at_s = entry->unix_s,
		    .files = entry->files};
		commits[i] = wire_commit(arena, &record);
	}
	*ret_commits = commits;
	*ret_count = result->log_count;
	return sl_arena_failed(arena) ? sl_err_no_memory(err) : SL_OK;
}

sl_code branch_news_check(const void *message, struct sl_err *err)
{
	const Sluice__V1__ListNewCommitsRequest *request = message;
	return check_reference("app", request->app, err);
}

/* Lies in the call's arena. */
struct asking {
	struct service_call *call;
	Sluice__Store__V1__AppRecord *app;
	const char *known; /* commits that versions hold */
};

static sl_code find_app(struct asking *a, const Sluice__V1__ListNewCommitsRequest *request,
			struct sl_err *err)
{
	struct sl_arena *arena = service_call_arena(a->call);
	uint32_t workspace = service_call_workspace(a->call);
	SL_AUTO(store_view_end_auto) const struct store_view *view = NULL;
	sl_code code = store_view_begin(service_call_services(a->call)->store, &view, err);
	code = code != SL_OK ? code : app_find(view, arena, workspace, request->app, &a->app, err);
	return code != SL_OK ? code
			     : pinned_commits(view, arena, workspace, a->app->id, &a->known, err);
}

static void done(void *ctx, const struct git_result *result)
{
	const struct asking *a = ctx;
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	struct sl_arena *arena = service_call_arena(a->call);
	Sluice__V1__ListNewCommitsResponse response = SLUICE__V1__LIST_NEW_COMMITS_RESPONSE__INIT;
	sl_code code = SL_OK;
	if (result->failure != GIT_OK) {
		bool again = git_failure_is_transient(result->failure);
		code = sl_err_set(&err, again ? SL_UNAVAILABLE : SL_FAILED_PRECONDITION,
				  "the branch of app '%s' could not be looked at: %s: %.200s",
				  a->app->name, git_failure_name(result->failure), result->text);
	} else {
		code = branch_news_commits(arena, result, &response.commits, &response.n_commits,
					   &err);
	}
	response.cut = result->log_cut;
	response.ref = sl_arena_strdup(arena, result->ref);
	response.tip = sl_arena_strdup(arena, result->commit);
	service_call_finish(a->call, code, &err, &response.base);
}

void branch_news_start(struct service_call *call, const void *request)
{
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	struct asking *a = SL_ARENA_NEW(service_call_arena(call), struct asking);
	sl_code code = SL_OK;
	if (a == NULL) {
		code = sl_err_no_memory(&err);
	} else {
		a->call = call;
		code = find_app(a, request, &err);
	}
	if (code != SL_OK) {
		service_call_finish(call, code, &err, NULL);
		return;
	}
	const struct gitsync_question question = {
	    .kind = GITSYNC_NEW,
	    .repository_id = a->app->repository_id,
	    .from_commit = a->known,
	    .to_path = strcmp(a->app->path, ".") == 0 ? "" : a->app->path,
	    .done = done,
	    .ctx = a,
	};
	gitsync_ask(service_call_services(call)->gitsync, &question);
}
