/* What a repository's host has, read for somebody who waits for it. */
#include <stdlib.h>
#include <string.h>

#include "base/mem/own.h"
#include "server/gitsync/gitsync_internal.h"
#include "server/records/commits.h"

struct reading {
	struct visit visit;
	enum git_op op;
	char *revision, *path; /* owned */
	void (*done)(void *ctx, const struct git_result *result);
	void *ctx;
};

static void reading_free(struct reading *reading)
{
	if (reading != NULL) {
		free(reading->revision);
		free(reading->path);
		free(reading);
	}
}

static sl_code run_job(struct gitsync *g, const struct reading *reading, struct git_result *result,
		       struct sl_err *err)
{
	SL_AUTO(repository_login_fini) struct repository_login login = {.secret = NULL};
	SL_AUTO(sl_arena_fini) struct sl_arena arena;
	struct gitsync_repository repository = {.workspace = 0};
	sl_arena_init(&arena, 0);
	sl_code code = gitsync_repository_find(&g->options, reading->visit.repository_id, &arena,
					       &repository, err);
	if (code != SL_OK) {
		return code;
	}
	struct git_job job = {
	    .op = reading->op,
	    .url = repository.record->url,
	    .mirror = gitsync_mirror_path(&arena, g->options.data, repository.record->id),
	    .revision = reading->revision,
	    .ref = repository.record->branch,
	    .path = commit_folder_of(reading->path),
	    .allow_local = g->options.allow_local,
	    .limits = GIT_LIMITS_DEFAULT,
	    .deadline_ms = g->options.deadline_ms,
	};
	if (gitsync_login(&g->options, &repository, false, false, &login, err) != SL_OK) {
		result->failure = GIT_LOGIN_REFUSED; /* somebody has to set what is missing */
		sl_text_copy(result->text, sizeof(result->text), err->msg);
		return SL_OK;
	}
	job.login = login.git;
	code = git_run(&job, gitsync_is_stopping, g, result, err);
	if (code == SL_OK && result->failure == GIT_MIRROR_CORRUPT) {
		gitsync_remove_tree(job.mirror);
		git_result_fini(result);
		code = git_run(&job, gitsync_is_stopping, g, result, err);
	}
	return code;
}

static void run_reading(struct gitsync *g, struct visit *visit)
{
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	struct reading *reading = SL_CONTAINER_OF(visit, struct reading, visit);
	struct git_result result = {.failure = GIT_OK};
	if (gitsync_is_stopping(g)) {
		result.failure = GIT_WORKER_FAILED;
		sl_text_copy(result.text, sizeof(result.text), "the server is stopping");
	} else if (run_job(g, reading, &result, &err) != SL_OK) {
		result.failure = GIT_REPOSITORY_UNREACHABLE;
		sl_text_copy(result.text, sizeof(result.text), err.msg);
	}
	reading->done(reading->ctx, &result);
	git_result_fini(&result);
	reading_free(reading);
}

void gitsync_read(struct gitsync *g, const struct gitsync_read_request *request)
{
	struct reading *reading = calloc(1, sizeof(*reading));
	if (reading != NULL) {
		*reading = (struct reading){.visit.run = run_reading,
					    .op = request->op,
					    .revision = strdup(request->revision),
					    .path = strdup(request->path),
					    .done = request->done,
					    .ctx = request->ctx};
		sl_text_copy(reading->visit.repository_id, sizeof(reading->visit.repository_id),
			     request->repository_id);
	}
	if (reading != NULL && reading->revision != NULL && reading->path != NULL &&
	    gitsync_visit_add(g, &reading->visit)) {
		return;
	}
	reading_free(reading);
	const struct git_result result = {.failure = GIT_WORKER_FAILED,
					  .text = "the server is stopping or out of memory"};
	request->done(request->ctx, &result);
}
