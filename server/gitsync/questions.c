/* Questions about what the mirrors hold wait in memory, since nothing is owed for them: who asked
 * is answered, whatever happens. */
#include <stdlib.h>
#include <string.h>

#include "base/mem/own.h"
#include "server/gitsync/gitsync_internal.h"

static void question_free(struct question *question)
{
	free(question->repository_id);
	free(question->from_commit);
	free(question->from_path);
	free(question->to_commit);
	free(question->to_path);
	free(question->to_ref);
	free(question->file);
	free(question);
}

/* What is asked of the mirror: no network. */
static struct git_job job_of(const struct gitsync *g, const struct question *question, char *mirror)
{
	bool log = question->kind == GITSYNC_LOG;
	if (question->kind == GITSYNC_EXPORT) {
		return (struct git_job){
		    .op = GIT_EXPORT,
		    .url = "",
		    .mirror = mirror,
		    .commit = question->to_commit,
		    .path = question->to_path,
		    .archive = question->file,
		    .limits = GIT_LIMITS_DEFAULT,
		    .deadline_ms = g->options.deadline_ms,
		};
	}
	return (struct git_job){
	    .op = log ? GIT_LOG : GIT_DIFF,
	    .url = "",
	    .mirror = mirror,
	    .commit = question->from_commit,
	    .path = log ? question->to_path : question->from_path,
	    .other_commit = question->to_commit,
	    .other_path = log ? NULL : question->to_path,
	    .limits = GIT_LIMITS_DEFAULT,
	    .deadline_ms = g->options.deadline_ms,
	};
}

static sl_code run_job(struct gitsync *g, const struct git_job *job, struct git_result *result,
		       struct sl_err *err)
{
	git_result_fini(result);
	*result = (struct git_result){.failure = GIT_OK};
	return git_run(job, gitsync_is_stopping, g, result, err);
}

/* Runs a job that the host takes part in; LS looks at the repository's branch. */
static sl_code run_at_host(struct gitsync *g, const struct question *question, struct git_job *job,
			   struct git_result *result, struct sl_err *err)
{
	SL_AUTO(repository_login_fini) struct repository_login login = {.secret = NULL};
	SL_AUTO(sl_arena_fini) struct sl_arena arena;
	struct gitsync_repository repository = {.workspace = 0};
	sl_arena_init(&arena, 0);
	sl_code code =
	    gitsync_repository_find(&g->options, question->repository_id, &arena, &repository, err);
	code = code != SL_OK ? code
			     : gitsync_login(&g->options, &repository, false, false, &login, err);
	if (code != SL_OK) {
		return code;
	}
	job->url = repository.record->url;
	job->mirror = gitsync_mirror_path(&arena, g->options.data, question->repository_id);
	job->ref =
	    job->op == GIT_LS ? gitsync_branch_ref(&arena, repository.record->branch) : job->ref;
	job->login = login.git;
	job->allow_local = g->options.allow_local;
	job->limits = (struct git_limits)GIT_LIMITS_DEFAULT;
	job->deadline_ms = g->options.deadline_ms;
	return sl_arena_failed(&arena) ? sl_err_no_memory(err) : run_job(g, job, result, err);
}

/* Gets a commit into the mirror; through `ref`, where that is known. */
static sl_code fetch(struct gitsync *g, const struct question *question, const char *commit,
		     struct git_result *result, struct sl_err *err)
{
	struct git_job job = {.op = GIT_FETCH, .ref = question->to_ref, .commit = commit};
	return run_at_host(g, question, &job, result, err);
}

/* A mirror that was lost since has what is asked about no more: it is fetched, once. */
static sl_code ask(struct gitsync *g, const struct question *question, struct git_result *result,
		   struct sl_err *err)
{
	SL_AUTO(sl_arena_fini) struct sl_arena arena;
	sl_arena_init(&arena, 0);
	char *mirror = gitsync_mirror_path(&arena, g->options.data, question->repository_id);
	if (mirror == NULL) {
		return sl_err_no_memory(err);
	}
	const struct git_job job = job_of(g, question, mirror);
	sl_code code = run_job(g, &job, result, err);
	if (code != SL_OK || question->kind == GITSYNC_DIFF ||
	    (result->failure != GIT_COMMIT_GONE && result->failure != GIT_MIRROR_CORRUPT)) {
		return code;
	}
	if (result->failure == GIT_MIRROR_CORRUPT) {
		gitsync_remove_tree(mirror);
	}
	code = fetch(g, question, question->to_commit, result, err);
	if (code == SL_OK && result->failure == GIT_OK && question->from_commit[0] != '\0') {
		code = fetch(g, question, question->from_commit, result, err);
	}
	return code == SL_OK && result->failure == GIT_OK ? run_job(g, &job, result, err) : code;
}

/* The branch as it is now; then what of it is new. */
static sl_code ask_branch(struct gitsync *g, const struct question *question,
			  struct git_result *result, struct sl_err *err)
{
	struct git_result look = {.failure = GIT_OK};
	SL_AUTO(sl_arena_fini) struct sl_arena arena;
	sl_arena_init(&arena, 0);
	struct git_job job = {.op = GIT_LS};
	sl_code code = run_at_host(g, question, &job, &look, err);
	char tip[GIT_OID_TEXT], ref[GIT_REF_MAX];
	sl_text_copy(tip, sizeof(tip), look.commit);
	sl_text_copy(ref, sizeof(ref), look.ref);
	if (code != SL_OK || look.failure != GIT_OK) {
		*result = look;
		return code;
	}
	git_result_fini(&look);
	job = (struct git_job){.op = GIT_FETCH, .ref = ref, .commit = tip};
	code = run_at_host(g, question, &job, result, err);
	if (code != SL_OK || result->failure != GIT_OK) {
		return code;
	}
	job = (struct git_job){
	    .op = GIT_LOG,
	    .url = "",
	    .mirror = gitsync_mirror_path(&arena, g->options.data, question->repository_id),
	    .revision = question->from_commit,
	    .other_commit = tip,
	    .path = question->to_path,
	    .limits = GIT_LIMITS_DEFAULT,
	    .deadline_ms = g->options.deadline_ms};
	code = job.mirror == NULL ? sl_err_no_memory(err) : run_job(g, &job, result, err);
	sl_text_copy(result->commit, sizeof(result->commit), tip);
	sl_text_copy(result->ref, sizeof(result->ref), ref);
	return code;
}

static void answer(struct gitsync *g, struct question *question)
{
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	struct git_result result = {.failure = GIT_WORKER_FAILED};
	if (gitsync_is_stopping(g)) {
		sl_text_copy(result.text, sizeof(result.text), "the server is stopping");
	} else if ((question->kind == GITSYNC_NEW ? ask_branch : ask)(g, question, &result, &err) !=
		   SL_OK) {
		result.failure = GIT_WORKER_FAILED;
		sl_text_copy(result.text, sizeof(result.text), err.msg);
	}
	question->done(question->ctx, &result);
	git_result_fini(&result);
	question_free(question);
}

/* The first question whose repository is idle; NULL: none. */
static struct question *take_question(struct gitsync *g)
{
	struct question *taken = NULL;
	pthread_mutex_lock(&g->lock);
	for (struct question **at = &g->questions; *at != NULL && taken == NULL;
	     at = &(*at)->next) {
		if (gitsync_claim(g, (*at)->repository_id)) {
			taken = *at;
			*at = taken->next;
			if (*at == NULL) {
				g->questions_end = at;
			}
			break;
		}
	}
	pthread_mutex_unlock(&g->lock);
	return taken;
}

bool gitsync_answer_one(struct gitsync *g)
{
	struct question *question = take_question(g);
	if (question == NULL) {
		return false;
	}
	char repository_id[sizeof(((struct busy *)0)->repository_id)];
	sl_text_copy(repository_id, sizeof(repository_id), question->repository_id);
	answer(g, question);
	pthread_mutex_lock(&g->lock);
	gitsync_set_idle(g, repository_id);
	pthread_mutex_unlock(&g->lock);
	return true;
}

void gitsync_questions_fini(struct gitsync *g)
{
	while (g->questions != NULL) {
		struct question *question = g->questions;
		g->questions = question->next;
		answer(g, question);
	}
	g->questions_end = &g->questions;
}

static char *copy(const char *text)
{
	return strdup(text == NULL ? "" : text);
}

void gitsync_ask(struct gitsync *g, const struct gitsync_question *asked)
{
	struct question *question = calloc(1, sizeof(*question));
	if (question != NULL) {
		*question = (struct question){
		    .kind = asked->kind,
		    .repository_id = copy(asked->repository_id),
		    .from_commit = copy(asked->from_commit),
		    .from_path = copy(asked->from_path),
		    .to_commit = copy(asked->to_commit),
		    .to_path = copy(asked->to_path),
		    .to_ref = copy(asked->to_ref),
		    .file = copy(asked->file),
		    .done = asked->done,
		    .ctx = asked->ctx,
		};
	}
	bool good = question != NULL && question->repository_id != NULL &&
		    question->from_commit != NULL && question->from_path != NULL &&
		    question->to_commit != NULL && question->to_path != NULL &&
		    question->to_ref != NULL && question->file != NULL;
	pthread_mutex_lock(&g->lock);
	bool queued = good && !gitsync_is_stopping(g);
	if (queued) {
		*g->questions_end = question;
		g->questions_end = &question->next;
		g->wakes++;
		pthread_cond_broadcast(&g->wake);
	}
	pthread_mutex_unlock(&g->lock);
	if (queued) {
		return;
	}
	struct git_result result = {.failure = GIT_WORKER_FAILED,
				    .text = "the server is stopping or out of memory"};
	asked->done(asked->ctx, &result);
	if (question != NULL) {
		question_free(question);
	}
}
