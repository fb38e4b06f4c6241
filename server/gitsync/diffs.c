/* Diffs wait in memory, since nothing is owed for them: who asked is answered, whatever happens. */
#include <stdlib.h>
#include <string.h>

#include "base/mem/own.h"
#include "server/gitsync/gitsync_internal.h"

static void diff_free(struct diff *diff)
{
	free(diff->repository_id);
	free(diff->from_commit);
	free(diff->from_path);
	free(diff->to_commit);
	free(diff->to_path);
	free(diff);
}

static void run_diff(struct gitsync *g, struct diff *diff)
{
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	SL_AUTO(sl_arena_fini) struct sl_arena arena;
	sl_arena_init(&arena, 0);
	const struct git_job job = {
	    .op = GIT_DIFF,
	    .url = "",
	    .mirror = gitsync_mirror_path(&arena, g->options.data, diff->repository_id),
	    .commit = diff->from_commit,
	    .path = diff->from_path,
	    .other_commit = diff->to_commit,
	    .other_path = diff->to_path,
	    .limits = GIT_LIMITS_DEFAULT,
	    .deadline_ms = g->options.deadline_ms,
	};
	struct git_result result = {.failure = GIT_WORKER_FAILED};
	if (gitsync_is_stopping(g)) {
		sl_text_copy(result.text, sizeof(result.text), "the server is stopping");
	} else if (git_run(&job, gitsync_is_stopping, g, &result, &err) != SL_OK) {
		result.failure = GIT_WORKER_FAILED;
		sl_text_copy(result.text, sizeof(result.text), err.msg);
	}
	diff->done(diff->ctx, &result);
	git_result_fini(&result);
	diff_free(diff);
}

/* The first diff whose repository is idle; NULL: none. */
static struct diff *take_diff(struct gitsync *g)
{
	struct diff *taken = NULL;
	pthread_mutex_lock(&g->lock);
	for (struct diff **at = &g->diffs; *at != NULL && taken == NULL; at = &(*at)->next) {
		if (gitsync_claim(g, (*at)->repository_id)) {
			taken = *at;
			*at = taken->next;
			if (*at == NULL) {
				g->diffs_end = at;
			}
			break;
		}
	}
	pthread_mutex_unlock(&g->lock);
	return taken;
}

bool gitsync_diff_one(struct gitsync *g)
{
	struct diff *diff = take_diff(g);
	if (diff == NULL) {
		return false;
	}
	char repository_id[sizeof(((struct busy *)0)->repository_id)];
	sl_text_copy(repository_id, sizeof(repository_id), diff->repository_id);
	run_diff(g, diff);
	pthread_mutex_lock(&g->lock);
	gitsync_set_idle(g, repository_id);
	pthread_mutex_unlock(&g->lock);
	return true;
}

void gitsync_diffs_fini(struct gitsync *g)
{
	while (g->diffs != NULL) {
		struct diff *diff = g->diffs;
		g->diffs = diff->next;
		run_diff(g, diff);
	}
	g->diffs_end = &g->diffs;
}

void gitsync_diff(struct gitsync *g, const struct gitsync_diff_request *request)
{
	struct diff *diff = calloc(1, sizeof(*diff));
	if (diff != NULL) {
		*diff = (struct diff){
		    .repository_id = strdup(request->repository_id),
		    .from_commit = strdup(request->from_commit),
		    .from_path = strdup(request->from_path),
		    .to_commit = strdup(request->to_commit),
		    .to_path = strdup(request->to_path),
		    .done = request->done,
		    .ctx = request->ctx,
		};
	}
	bool good = diff != NULL && diff->repository_id != NULL && diff->from_commit != NULL &&
		    diff->from_path != NULL && diff->to_commit != NULL && diff->to_path != NULL;
	pthread_mutex_lock(&g->lock);
	bool queued = good && !gitsync_is_stopping(g);
	if (queued) {
		*g->diffs_end = diff;
		g->diffs_end = &diff->next;
		g->wakes++;
		pthread_cond_broadcast(&g->wake);
	}
	pthread_mutex_unlock(&g->lock);
	if (queued) {
		return;
	}
	struct git_result result = {.failure = GIT_WORKER_FAILED,
				    .text = "the server is stopping or out of memory"};
	request->done(request->ctx, &result);
	if (diff != NULL) {
		diff_free(diff);
	}
}
