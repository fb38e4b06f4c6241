/* Trials of hosts and credentials. */
#include <stdlib.h>
#include <string.h>

#include "base/mem/own.h"
#include "server/gitsync/gitsync_internal.h"
#include "server/gitsync/jobs.h"

enum { TRIAL_MS = 20000 };

struct trial {
	struct visit visit;
	bool next;
	void (*done)(void *ctx, const struct git_result *read, const struct git_result *write);
	void *ctx;
};

static void fail(struct git_result *result, enum git_failure failure, const char *text)
{
	result->failure = failure;
	sl_text_copy(result->text, sizeof(result->text), text);
}

static const char *branch_ref(struct sl_arena *arena, const char *branch)
{
	if (branch[0] == '\0' || strncmp(branch, "refs/", 5) == 0) {
		return branch;
	}
	return sl_arena_printf(arena, "refs/heads/%s", branch);
}

static void run_one(struct gitsync *g, const struct trial *trial,
		    const struct gitsync_repository *r, bool push, struct git_result *result)
{
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	SL_AUTO(repository_login_fini) struct repository_login login = {.secret = NULL};
	SL_AUTO(sl_arena_fini) struct sl_arena arena;
	sl_arena_init(&arena, 0);
	struct git_job job = {
	    .op = push ? GIT_LS_PUSH : GIT_LS,
	    .url = r->record->url,
	    .mirror = gitsync_mirror_path(&arena, g->options.data, r->record->id),
	    .ref = push ? "" : branch_ref(&arena, r->record->branch),
	    .allow_local = g->options.allow_local,
	    .limits = GIT_LIMITS_DEFAULT,
	    .deadline_ms = g->options.deadline_ms < TRIAL_MS ? g->options.deadline_ms : TRIAL_MS,
	};
	if (sl_arena_failed(&arena)) {
		fail(result, GIT_OUT_OF_MEMORY, "out of memory");
		return;
	}
	if (gitsync_login(&g->options, r, push, trial->next, &login, &err) != SL_OK) {
		fail(result, GIT_LOGIN_REFUSED, err.msg);
		return;
	}
	job.login = login.git;
	if (git_run(&job, gitsync_is_stopping, g, result, &err) != SL_OK) {
		fail(result, GIT_REPOSITORY_UNREACHABLE, err.msg);
	}
}

static void run_trial(struct gitsync *g, struct visit *visit)
{
	struct trial *trial = SL_CONTAINER_OF(visit, struct trial, visit);
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	SL_AUTO(sl_arena_fini) struct sl_arena arena;
	sl_arena_init(&arena, 0);
	struct git_result read = {.failure = GIT_OK}, write = {.failure = GIT_OK};
	struct gitsync_repository r = {.workspace = 0};
	bool pushes = false;
	if (gitsync_is_stopping(g)) {
		fail(&read, GIT_WORKER_FAILED, "the server is stopping");
	} else if (gitsync_repository_find(&g->options, visit->repository_id, &arena, &r, &err) !=
		   SL_OK) {
		fail(&read, GIT_WORKER_FAILED, err.msg);
	} else {
		pushes = r.record->push != NULL ||
			 r.record->publish == SLUICE__V1__PUBLISH_MODE__PUBLISH_MODE_TAGS;
		run_one(g, trial, &r, false, &read);
		if (pushes) {
			run_one(g, trial, &r, true, &write);
		}
	}
	trial->done(trial->ctx, &read, pushes ? &write : NULL);
	git_result_fini(&read);
	git_result_fini(&write);
	free(trial);
}

void gitsync_try(struct gitsync *g, const struct gitsync_try_request *request)
{
	struct trial *trial = calloc(1, sizeof(*trial));
	if (trial != NULL) {
		*trial = (struct trial){.visit.run = run_trial,
					.next = request->next,
					.done = request->done,
					.ctx = request->ctx};
		sl_text_copy(trial->visit.repository_id, sizeof(trial->visit.repository_id),
			     request->repository_id);
		if (gitsync_visit_add(g, &trial->visit)) {
			return;
		}
		free(trial);
	}
	const struct git_result result = {.failure = GIT_WORKER_FAILED,
					  .text = "the server is stopping or out of memory"};
	request->done(request->ctx, &result, NULL);
}
