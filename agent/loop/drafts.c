/* Working copies: a folder apps/<slug>/work for each draft that the instance runs. One that is
 * not edited follows its draft; one that is edited is never written over. What a new one
 * takes the place of is kept as work.before. */
#include <stdlib.h>
#include <string.h>

#include "agent/loop/loop_internal.h"
#include "base/clock/clock.h"
#include "base/log/log.h"
#include "base/mem/own.h"

enum { HOLD_MS = 5000 };

static struct run *run_of(const struct loop *loop, const char *app_id)
{
	for (size_t i = 0; i < loop->run_count; i++) {
		if (strcmp(loop->runs[i]->app->id, app_id) == 0) {
			return loop->runs[i];
		}
	}
	return NULL;
}

/* The draft that the copy is to be of, when the mirror has it; NULL: none. */
static const Sluice__V1__Bundle *draft_of(const struct loop *loop, const struct run *run)
{
	const Sluice__V1__ManifestApp *want = manifest_app(loop->manifest, run->app->id);
	const Sluice__V1__Bundle *bundle =
	    want == NULL || want->work[0] == '\0' ? NULL : manifest_bundle(want, want->work);
	const struct state_version *version =
	    bundle == NULL ? NULL : reconcile_version(run->app, bundle);
	return version != NULL && version->on_disk ? bundle : NULL;
}

static bool is_at(const struct state_work *work, const Sluice__V1__Bundle *bundle)
{
	return strcmp(work->version_id, bundle->version_id) == 0 &&
	       strcmp(work->commit, bundle->commit) == 0;
}

static struct state_work work_of(const Sluice__V1__Bundle *bundle)
{
	struct state_work work;
	(void)state_text(work.version_id, sizeof(work.version_id), bundle->version_id);
	(void)state_text(work.commit, sizeof(work.commit), bundle->commit);
	(void)state_text(work.tree, sizeof(work.tree), bundle->tree);
	(void)state_text(work.repository_id, sizeof(work.repository_id), bundle->repository_id);
	(void)state_text(work.url, sizeof(work.url), bundle->url);
	return work;
}

static void keep(struct loop *loop, struct run *run, const struct state_work *work)
{
	run->app->work = *work;
	run->draft.looked = false;
	run->draft.look_at_ms = 0;
	loop->dirty = true;
}

/* --- beginning --------------------------------------------------------------------------- */

static struct git_job job_of(const struct loop *loop, enum git_op op, const char *mirror)
{
	const struct agent_config *config = loop->config;
	return (struct git_job){.op = op,
				.mirror = mirror,
				.url = "",
				.limits = agent_config_limits(config),
				.deadline_ms = (unsigned)config->git_deadline_ms};
}

static void begin(struct loop *loop, struct run *run, enum draft_kind kind,
		  const struct git_job *job)
{
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	struct draft_task *task = &loop->task;
	task->kind = kind;
	(void)state_text(task->app_id, sizeof(task->app_id), run->app->id);
	if (git_worker_start(job, &task->worker, &err) != SL_OK) {
		log_warn("work-failed", "app=%s why=%s", run->app->slug, SL_QUOTE(err.msg));
		state_error_text(run->draft.error, err.msg);
		run->draft.look_at_ms = sl_clock_mono_ms() + HOLD_MS;
		task->kind = DRAFT_NOTHING;
	}
}

static void make(struct loop *loop, struct run *run, const Sluice__V1__Bundle *bundle)
{
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	char mirror[ACTIVATE_PATH_SIZE];
	struct draft_task *task = &loop->task;
	if (activate_stage(loop->dir, task->staging, &err) != SL_OK) {
		state_error_text(run->draft.error, err.msg);
		run->draft.look_at_ms = sl_clock_mono_ms() + HOLD_MS;
		return;
	}
	activate_mirror_path(loop->dir, bundle->repository_id, mirror);
	struct git_job job = job_of(loop, GIT_CHECKOUT, mirror);
	job.commit = bundle->commit;
	job.path = bundle->path;
	job.staging = task->staging;
	job.want_tree = bundle->tree;
	job.want_digest = bundle->digest.data;
	job.writable = true;
	task->wanted = work_of(bundle);
	begin(loop, run, DRAFT_MAKE, &job);
}

static void compare(struct loop *loop, struct run *run, const Sluice__V1__Bundle *bundle,
		    bool with_draft)
{
	char mirror[ACTIVATE_PATH_SIZE], folder[ACTIVATE_PATH_SIZE];
	activate_mirror_path(loop->dir, bundle->repository_id, mirror);
	activate_work_path(loop->dir, run->app->slug, folder);
	struct git_job job = job_of(loop, GIT_COMPARE, mirror);
	job.want_tree = with_draft ? bundle->tree : run->app->work.tree;
	job.folder = folder;
	loop->task.wanted = work_of(bundle);
	begin(loop, run, with_draft ? DRAFT_COMPARE_NEW : DRAFT_COMPARE, &job);
}

/* --- ending -------------------------------------------------------------------------------- */

static void made(struct loop *loop, struct run *run, const struct git_result *result)
{
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	const char *why = result->text;
	loop->sweeping = true;
	if (result->failure == GIT_OK) {
		if (activate_place_work(loop->dir, loop->task.staging, run->app->slug, &err) ==
		    SL_OK) {
			log_info("work-made", "app=%s commit=%s", run->app->slug,
				 loop->task.wanted.commit);
			keep(loop, run, &loop->task.wanted);
			run->draft.error[0] = '\0';
			return;
		}
		why = err.msg;
	}
	log_warn("work-failed", "app=%s why=%s", run->app->slug, SL_QUOTE(why));
	state_error_text(run->draft.error, why);
	run->draft.look_at_ms = sl_clock_mono_ms() + HOLD_MS;
}

static void note_edits(struct draft *draft, const struct git_result *result)
{
	draft->edited = (uint32_t)result->diff_count;
	for (size_t i = 0; i < DRAFT_FILES_MAX; i++) {
		(void)state_text(draft->files[i], DRAFT_FILE_SIZE,
				 i < result->diff_count ? result->diff[i].path : "");
	}
}

/* What cannot be looked at counts as edited: it is left alone. */
static void compared(struct loop *loop, struct run *run, const struct git_result *result)
{
	struct draft *draft = &run->draft;
	bool is_new = loop->task.kind == DRAFT_COMPARE_NEW;
	draft->look_at_ms = sl_clock_mono_ms() + loop->config->work_every_ms;
	draft->looked = !is_new;
	if (result->failure != GIT_OK) {
		state_error_text(draft->error, result->text);
		draft->edited = draft->edited > 0 ? draft->edited : 1;
		return;
	}
	draft->error[0] = '\0';
	if (is_new && result->diff_count == 0) { /* it is the draft, however it came to be */
		keep(loop, run, &loop->task.wanted);
	} else if (!is_new) {
		note_edits(draft, result);
	} else if (run->app->work.tree[0] == '\0') {
		(void)state_text(run->app->work.version_id, STATE_ID_SIZE,
				 loop->task.wanted.version_id);
		note_edits(draft, result);
		state_error_text(draft->error, "nobody knows what it was made from: reset it");
	}
}

static void end(struct loop *loop, const struct git_result *result)
{
	struct draft_task *task = &loop->task;
	struct run *run = run_of(loop, task->app_id);
	git_worker_free(SL_TAKE(task->worker));
	if (run != NULL && task->kind == DRAFT_MAKE) {
		made(loop, run, result);
	} else if (run != NULL && task->kind == DRAFT_PUSH) {
		pushes_end(loop, run, result);
	} else if (run != NULL) {
		compared(loop, run, result);
	}
	task->kind = DRAFT_NOTHING;
	loop_wake_at(loop, 1);
}

/* --- which is next -------------------------------------------------------------------------- */

/* The repository was moved to another URL. */
static void follow_url(struct loop *loop, struct state_work *work, const Sluice__V1__Bundle *bundle)
{
	if (strcmp(work->repository_id, bundle->repository_id) == 0 &&
	    strcmp(work->url, bundle->url) != 0) {
		(void)state_text(work->url, sizeof(work->url), bundle->url);
		loop->dirty = true;
	}
}

/* What the copy needs; true: it was begun. */
static bool look(struct loop *loop, struct run *run)
{
	struct draft *draft = &run->draft;
	const struct state_work *work = &run->app->work;
	const Sluice__V1__Bundle *bundle = draft_of(loop, run);
	if (bundle == NULL) {
		return false; /* it stays as it is */
	}
	follow_url(loop, &run->app->work, bundle);
	uint64_t now = sl_clock_mono_ms();
	bool there = activate_has_work(loop->dir, run->app->slug);
	bool behind = there && !is_at(work, bundle);
	draft->look_at_ms = behind && !draft->behind ? 0 : draft->look_at_ms;
	draft->behind = behind;
	if (now < draft->look_at_ms) {
		loop_wake_at(loop, draft->look_at_ms);
		return false;
	}
	if (!there) {
		make(loop, run, bundle);
	} else if (work->tree[0] == '\0') { /* whoever made it: is it the draft? */
		compare(loop, run, bundle, true);
	} else {
		compare(loop, run, bundle, false);
	}
	return loop->task.kind != DRAFT_NOTHING;
}

/* A look has shown that the copy is behind: it follows, unless it is edited. */
static bool follow(struct loop *loop, struct run *run)
{
	struct draft *draft = &run->draft;
	const Sluice__V1__Bundle *bundle = draft_of(loop, run);
	if (bundle == NULL || !draft->behind || !draft->looked || draft->error[0] != '\0' ||
	    is_at(&run->app->work, bundle)) {
		return false;
	}
	draft->looked = false;
	if (draft->edited == 0 && run->app->work.tree[0] != '\0') {
		make(loop, run, bundle);
	} else {
		compare(loop, run, bundle, true);
	}
	return loop->task.kind != DRAFT_NOTHING;
}

void drafts_step(struct loop *loop)
{
	struct git_result result = {.failure = GIT_OK};
	if (loop->task.kind != DRAFT_NOTHING) {
		if (!git_worker_step(loop->task.worker, NULL, &result)) {
			loop_wake_at(loop, git_worker_deadline_mono_ms(loop->task.worker));
			return;
		}
		end(loop, &result);
		git_result_fini(&result);
		return;
	}
	bool free = loop->pull == NULL && !drift_is_fetching(loop);
	for (size_t i = 0; free && i < loop->run_count; i++) {
		free = !pushes_begin(loop, loop->runs[i]);
	}
	for (size_t i = 0; free && i < loop->run_count; i++) {
		free = !follow(loop, loop->runs[i]) && !look(loop, loop->runs[i]);
	}
	if (loop->task.kind != DRAFT_NOTHING) {
		loop_wake_at(loop, git_worker_deadline_mono_ms(loop->task.worker));
	}
}

int drafts_fd(const struct loop *loop)
{
	return loop->task.kind != DRAFT_NOTHING ? git_worker_fd(loop->task.worker) : -1;
}

Sluice__V1__WorkingCopy *drafts_view(const struct loop *loop, const struct run *run,
				     struct sl_arena *arena)
{
	const struct draft *draft = &run->draft;
	const struct state_work *work = &run->app->work;
	if (work->version_id[0] == '\0' || !activate_has_work(loop->dir, run->app->slug)) {
		return NULL;
	}
	Sluice__V1__WorkingCopy *copy = SL_ARENA_NEW(arena, Sluice__V1__WorkingCopy);
	char **files = SL_ARENA_ARRAY(arena, char *, DRAFT_FILES_MAX);
	if (copy == NULL || files == NULL) {
		return NULL;
	}
	sluice__v1__working_copy__init(copy);
	copy->version_id = (char *)(uintptr_t)work->version_id; /* only read */
	copy->commit = (char *)(uintptr_t)work->commit;
	copy->error = (char *)(uintptr_t)draft->error;
	copy->edited = draft->edited;
	copy->behind = draft->behind;
	copy->files = files;
	while (copy->n_files < DRAFT_FILES_MAX && draft->files[copy->n_files][0] != '\0') {
		files[copy->n_files] = (char *)(uintptr_t)draft->files[copy->n_files];
		copy->n_files++;
	}
	return copy;
}

void draft_fini(struct draft *draft)
{
	if (draft->order != NULL) {
		sluice__v1__agent_push__free_unpacked(SL_TAKE(draft->order), NULL);
	}
	if (draft->answer != NULL) {
		sluice__v1__agent_pushed__free_unpacked(SL_TAKE(draft->answer), NULL);
	}
	logins_fini(&draft->login);
}

void drafts_stop(struct loop *loop)
{
	git_worker_free(SL_TAKE(loop->task.worker));
	loop->task.kind = DRAFT_NOTHING;
}
