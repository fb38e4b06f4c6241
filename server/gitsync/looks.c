/* Looks at the refs of hosts: nothing is owed for them, so those that were asked for wait in
 * memory. What a look shows is news.c's. */
#include <stdlib.h>
#include <string.h>

#include "base/log/log.h"
#include "base/mem/own.h"
#include "server/gitsync/gitsync_internal.h"
#include "server/gitsync/jobs.h"

enum { LOOK_MS = 30000 };

static void look_free(struct look *look)
{
	if (look != NULL) {
		free(look->url);
		free(look);
	}
}

SL_DEFINE_AUTO(struct look *, look_free);

/* Takes out the look at `repository_id`; NULL: the first at an idle repository, which gets busy.
 * Caller holds the lock. */
static struct look *take_look(struct gitsync *g, const char *repository_id)
{
	for (struct look **at = &g->looks; *at != NULL; at = &(*at)->next) {
		struct look *look = *at;
		bool mine = repository_id != NULL ? strcmp(look->repository_id, repository_id) == 0
						  : gitsync_claim(g, look->repository_id);
		if (mine) {
			*at = look->next;
			return look;
		}
	}
	return NULL;
}

void gitsync_look_drop(struct gitsync *g, const char *repository_id)
{
	look_free(take_look(g, repository_id)); /* there is one of each at most */
}

const char *gitsync_branch_ref(struct sl_arena *arena, const char *branch)
{
	bool full = branch[0] == '\0' || strncmp(branch, "refs/", 5) == 0;
	return full ? branch : sl_arena_printf(arena, "refs/heads/%s", branch);
}

void gitsync_look_at(struct gitsync *g, const char *repository_id, const char *url)
{
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	SL_AUTO(repository_login_fini) struct repository_login login = {.secret = NULL};
	SL_AUTO(sl_arena_fini) struct sl_arena arena;
	struct gitsync_repository repository = {.workspace = 0};
	sl_arena_init(&arena, 0);
	struct git_job job = {
	    .op = GIT_LS,
	    .mirror = gitsync_mirror_path(&arena, g->options.data, repository_id),
	    .allow_local = g->options.allow_local,
	    .limits = GIT_LIMITS_DEFAULT,
	    .deadline_ms = g->options.deadline_ms < LOOK_MS ? g->options.deadline_ms : LOOK_MS,
	};
	struct git_result result = {.failure = GIT_OK};
	if (sl_arena_failed(&arena) || gitsync_repository_find(&g->options, repository_id, &arena,
							       &repository, &err) != SL_OK) {
		return; /* it is gone meanwhile */
	}
	job.url = url != NULL ? url : repository.record->url;
	job.ref = gitsync_branch_ref(&arena, repository.record->branch);
	sl_code code = gitsync_login(&g->options, &repository, false, false, &login, &err);
	job.login = login.git;
	if (code != SL_OK || job.ref == NULL) {
		result.failure = GIT_LOGIN_REFUSED;
		sl_text_copy(result.text, sizeof(result.text), err.msg);
	} else if (git_run(&job, gitsync_is_stopping, g, &result, &err) != SL_OK) {
		result.failure = GIT_REPOSITORY_UNREACHABLE;
		sl_text_copy(result.text, sizeof(result.text), err.msg);
	}
	if (!gitsync_is_stopping(g)) {
		gitsync_note_contact(g, repository_id, &result);
		sl_log(result.failure == GIT_OK ? SL_LOG_DEBUG : SL_LOG_INFO, "git-job",
		       "kind=look repository=%s result=%s text=%s", repository_id,
		       result.failure == GIT_OK ? "OK" : git_failure_name(result.failure),
		       SL_QUOTE(result.text));
		gitsync_news_looked(g, &repository, &job, &result);
	}
	git_result_fini(&result);
}

bool gitsync_look_one(struct gitsync *g)
{
	pthread_mutex_lock(&g->lock);
	SL_AUTO(look_free_auto) struct look *look = take_look(g, NULL);
	pthread_mutex_unlock(&g->lock);
	if (look == NULL) {
		return false;
	}
	gitsync_look_at(g, look->repository_id, look->url);
	pthread_mutex_lock(&g->lock);
	gitsync_set_idle(g, look->repository_id);
	pthread_mutex_unlock(&g->lock);
	return true;
}

void gitsync_looks_fini(struct gitsync *g)
{
	while (g->looks != NULL) {
		struct look *look = g->looks;
		g->looks = look->next;
		look_free(look);
	}
}

void gitsync_look(struct gitsync *g, const char *repository_id, const char *url)
{
	struct look *look = calloc(1, sizeof(*look));
	if (look == NULL || (look->url = strdup(url)) == NULL) {
		look_free(look);
		return; /* it can be asked for again */
	}
	sl_text_copy(look->repository_id, sizeof(look->repository_id), repository_id);
	pthread_mutex_lock(&g->lock);
	gitsync_look_drop(g, repository_id);
	look->next = g->looks;
	g->looks = look;
	g->wakes++;
	pthread_cond_broadcast(&g->wake);
	pthread_mutex_unlock(&g->lock);
}
