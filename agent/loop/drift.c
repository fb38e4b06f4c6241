/* Has somebody changed what is served? One app after the other:
 *
 *   scan --same as written--> rest
 *    |
 *    +--another print--> compare --nothing--> the print is taken as it is now
 *         or in time        |   \
 *                           |    +--mirror lost--> fetch --> compare
 *                           +--> MODIFIED --CORRECT--> put back, in one step
 *
 * A print that was found to be MODIFIED is not compared again until it changes. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "agent/loop/loop_internal.h"
#include "base/clock/clock.h"
#include "base/log/log.h"
#include "base/mem/own.h"

enum { SCAN_BUDGET = 500, AGAIN_MS = 1000, CORRECT_FIRST_MS = 5000, CORRECT_MAX_MS = 600000 };

void drift_drop(struct loop *loop)
{
	drift_scan_free(SL_TAKE(loop->drifting.scan));
	git_worker_free(SL_TAKE(loop->drifting.worker));
	loop->drifting = (struct drifting){.scan = NULL};
}

bool drift_is_fetching(const struct loop *loop)
{
	return loop->drifting.worker != NULL && loop->drifting.fetching;
}

static bool corrects(const struct loop *loop)
{
	return loop->manifest != NULL &&
	       loop->manifest->drift == SLUICE__V1__DRIFT_POLICY__DRIFT_POLICY_CORRECT;
}

/* Nothing goes on with what the app serves. */
static bool is_still(const struct run *run)
{
	return run->sm.at == RUN_QUIET && run->app->flip.reason == STATE_FLIP_NONE &&
	       run->app->active[0] != '\0';
}

static Sluice__V1__Bundle *bundle_of(const struct state_version *version, struct sl_arena *arena)
{
	return version->bundle == NULL
		   ? NULL
		   : sluice__v1__bundle__unpack(sl_arena_protobuf(arena), version->bundle_size,
						version->bundle);
}

/* --- what was found ---------------------------------------------------------------------- */

static void rest(struct loop *loop, struct run *run)
{
	run->scan_at_ms = sl_clock_mono_ms() + loop->config->drift_every_ms;
	run->correct_due = run->app->modified != NULL && corrects(loop);
	loop_wake_at(loop, run->correct_due ? 1 : run->scan_at_ms);
	drift_drop(loop);
}

/* Takes what is modified now; NULL: nothing is. */
static void set_modified(struct loop *loop, struct run *run, struct state_modified *modified)
{
	struct state_app *app = run->app;
	if (modified != NULL) {
		log_warn("modified", "app=%s folder=%s files=%" PRIu64 " first=%s", app->slug,
			 app->active, modified->count, SL_QUOTE(modified->files[0]));
	} else if (app->modified != NULL) {
		log_info("as-it-was", "app=%s folder=%s", app->slug, app->active);
	}
	loop->dirty = loop->dirty || modified != NULL || app->modified != NULL;
	free(app->modified);
	app->modified = modified;
}

/* `result`: of the comparison; NULL: the folder is as it was written. */
static void found(struct loop *loop, struct run *run, const struct git_result *result)
{
	bool link = run->link_lost, any = link || (result != NULL && result->files > 0);
	struct state_modified *modified = any ? calloc(1, sizeof(*modified)) : NULL;
	if (any && modified == NULL) {
		return; /* the next look finds it again */
	}
	if (link) {
		state_modified_add(modified, "current");
	}
	for (size_t i = 0; result != NULL && i < result->diff_count; i++) {
		state_modified_add(modified, result->diff[i].path);
	}
	if (result != NULL && result->files > result->diff_count) {
		modified->count += result->files - result->diff_count;
	}
	run->content_lost = result != NULL && result->files > 0;
	set_modified(loop, run, modified);
}

static void compared(struct loop *loop, struct run *run, struct state_version *version,
		     const struct git_result *result)
{
	const struct drifting *d = &loop->drifting;
	run->compare_at_ms = sl_clock_mono_ms() + loop->config->compare_every_ms;
	if (result->files == 0) { /* the print of before the comparison: what changed since shows */
		memcpy(version->print, d->print, DRIFT_PRINT_BYTES);
		version->print_known = true;
		loop->dirty = true;
	}
	run->bad_known = result->files > 0;
	memcpy(run->bad_print, d->print, DRIFT_PRINT_BYTES);
	found(loop, run, result);
}

/* --- comparing ----------------------------------------------------------------------------- */

static sl_code start_compare(struct loop *loop, const struct run *run,
			     const struct state_version *version, struct sl_err *err)
{
	SL_AUTO(sl_arena_fini) struct sl_arena arena;
	char mirror[ACTIVATE_PATH_SIZE], folder[ACTIVATE_PATH_SIZE];
	sl_arena_init(&arena, 0);
	const Sluice__V1__Bundle *bundle = bundle_of(version, &arena);
	if (bundle == NULL) {
		return sl_err_set(err, SL_FAILED_PRECONDITION,
				  "no manifest has said where version '%s' comes from",
				  version->name);
	}
	activate_mirror_path(loop->dir, bundle->repository_id, mirror);
	activate_folder_path(loop->dir, run->app->slug, version->folder, folder);
	const struct git_job job = {
	    .op = GIT_VERIFY,
	    .mirror = mirror,
	    .url = "",
	    .commit = bundle->commit,
	    .path = bundle->path,
	    .staging = folder,
	    .want_digest = version->digest,
	    .limits = agent_config_limits(loop->config),
	    .deadline_ms = (unsigned)loop->config->git_deadline_ms,
	};
	loop->drifting.fetching = false;
	return git_worker_start(&job, &loop->drifting.worker, err);
}

/* The mirror lost what the version is compared with. Nothing new comes of this, so that it is not
 * held back (MANUAL). */
static sl_code start_fetch(struct loop *loop, const struct state_version *version,
			   struct sl_err *err)
{
	SL_AUTO(sl_arena_fini) struct sl_arena arena;
	char mirror[ACTIVATE_PATH_SIZE];
	sl_arena_init(&arena, 0);
	const Sluice__V1__Bundle *bundle = bundle_of(version, &arena);
	if (bundle == NULL || loop->pull != NULL || drafts_fd(loop) >= 0) {
		return sl_err_set(err, SL_UNAVAILABLE, "another fetch is under way");
	}
	if (work_asks_server(loop)) {
		return sl_err_set(err, SL_UNAVAILABLE,
				  "the mirror has lost it, and it is fetched from nowhere else but "
				  "the server, to be put on the disk anew");
	}
	activate_mirror_path(loop->dir, bundle->repository_id, mirror);
	struct git_job job = {
	    .op = GIT_FETCH,
	    .mirror = mirror,
	    .url = bundle->url,
	    .allow_local = loop->config->allow_local,
	    .ref = bundle->ref,
	    .commit = bundle->commit,
	    .limits = agent_config_limits(loop->config),
	    .deadline_ms = (unsigned)loop->config->git_deadline_ms,
	};
	sl_code code =
	    logins_find(&loop->logins, bundle->repository_id, bundle->login, &job.login, err);
	loop->drifting.fetching = loop->drifting.fetched = true;
	return code != SL_OK ? code : git_worker_start(&job, &loop->drifting.worker, err);
}

static void give_up(struct loop *loop, struct run *run, const char *why)
{
	log_warn("drift-unknown", "app=%s folder=%s why=%s", run->app->slug, run->app->active,
		 SL_QUOTE(why));
	rest(loop, run);
}

static void step_worker(struct loop *loop, struct run *run, struct state_version *version)
{
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	SL_AUTO(git_result_fini) struct git_result result = {.failure = GIT_OK};
	struct drifting *d = &loop->drifting;
	sl_code code = SL_OK;
	if (!git_worker_step(d->worker, NULL, &result)) {
		loop_wake_at(loop, git_worker_deadline_mono_ms(d->worker));
		return;
	}
	git_worker_free(SL_TAKE(d->worker));
	bool lost = result.failure == GIT_COMMIT_GONE || result.failure == GIT_MIRROR_CORRUPT;
	if (result.failure == GIT_OK && !d->fetching) {
		compared(loop, run, version, &result);
		rest(loop, run);
		return;
	}
	if (result.failure == GIT_OK) {
		code = start_compare(loop, run, version, &err);
	} else if (lost && !d->fetched) {
		code = start_fetch(loop, version, &err);
	} else {
		give_up(loop, run, result.text);
		return;
	}
	if (code != SL_OK) {
		give_up(loop, run, err.msg);
	}
}

/* --- scanning -------------------------------------------------------------------------------- */

static void scanned(struct loop *loop, struct run *run, struct state_version *version)
{
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	struct drifting *d = &loop->drifting;
	static const uint8_t none[DRIFT_PRINT_BYTES];
	bool whole = memcmp(d->print, none, DRIFT_PRINT_BYTES) != 0;
	bool link_lost = !activate_link_is(loop->dir, run->app->slug, run->app->active);
	bool news = link_lost != run->link_lost || sl_clock_mono_ms() >= run->compare_at_ms;
	run->link_lost = link_lost;
	if (version->print_known && whole && !news &&
	    memcmp(version->print, d->print, DRIFT_PRINT_BYTES) == 0) {
		if (run->app->modified != NULL && !link_lost) { /* as before the last start */
			found(loop, run, NULL);
		}
		rest(loop, run);
		return;
	}
	if (run->bad_known && !news && memcmp(run->bad_print, d->print, DRIFT_PRINT_BYTES) == 0) {
		rest(loop, run);
		return;
	}
	if (start_compare(loop, run, version, &err) != SL_OK) {
		give_up(loop, run, err.msg);
	}
}

static void recorded(struct loop *loop, struct state_version *version)
{
	memcpy(version->print, loop->drifting.print, DRIFT_PRINT_BYTES);
	version->print_known = true;
	loop->dirty = true;
	drift_drop(loop);
	loop_wake_at(loop, 1);
}

static void start_scan(struct loop *loop, const struct run *run,
		       const struct state_version *version, bool records)
{
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	char folder[ACTIVATE_PATH_SIZE];
	struct drifting *d = &loop->drifting;
	activate_folder_path(loop->dir, run->app->slug, version->folder, folder);
	if (drift_scan_new(folder, &d->scan, &err) != SL_OK) {
		log_warn("drift-unknown", "app=%s why=%s", run->app->slug, SL_QUOTE(err.msg));
		loop_wake_at(loop, sl_clock_mono_ms() + AGAIN_MS);
		return;
	}
	d->records = records;
	(void)state_text(d->app, sizeof(d->app), run->app->id);
	(void)state_text(d->folder, sizeof(d->folder), version->folder);
	loop_wake_at(loop, 1);
}

/* What was written first: so that what is done to it shows, even before it is served. */
static bool start_record(struct loop *loop, const struct run *run)
{
	for (size_t i = 0; i < run->app->version_count; i++) {
		struct state_version *version = run->app->versions[i];
		if (version->print_due && version->on_disk) {
			version->print_due = false;
			start_scan(loop, run, version, true);
			return true;
		}
	}
	return false;
}

static void start_next(struct loop *loop)
{
	uint64_t now = sl_clock_mono_ms();
	for (size_t i = 0; i < loop->run_count; i++) {
		if (start_record(loop, loop->runs[i])) {
			return;
		}
	}
	for (size_t i = 0; i < loop->run_count; i++) {
		const struct run *run = loop->runs[i];
		const struct state_version *active = state_active(run->app);
		if (!is_still(run) || active == NULL || !active->digest_known) {
			continue;
		}
		if (now >= run->scan_at_ms) {
			start_scan(loop, run, active, false);
			return;
		}
		loop_wake_at(loop, run->scan_at_ms);
	}
}

/* The app and the folder that are being looked at; false: they are gone, or not to be looked at. */
static bool find_subject(const struct loop *loop, struct run **ret_run,
			 struct state_version **ret_version)
{
	const struct drifting *d = &loop->drifting;
	for (size_t i = 0; i < loop->run_count; i++) {
		struct run *run = loop->runs[i];
		bool is_it = strcmp(run->app->id, d->app) == 0;
		struct state_version *version =
		    is_it ? state_version_by_folder(run->app, d->folder) : NULL;
		bool looked_at = d->records || (is_still(run) && version == state_active(run->app));
		if (version != NULL && looked_at) {
			*ret_run = run;
			*ret_version = version;
			return true;
		}
	}
	return false;
}

/* --- putting back --- */

static void correct_later(struct loop *loop, struct run *run, const char *why)
{
	run->correct_failed++;
	run->correct_at_ms =
	    sl_clock_mono_ms() + reconcile_backoff_ms(run->correct_failed, CORRECT_FIRST_MS,
						      CORRECT_MAX_MS, 20, loop_random());
	log_warn("correct-failed", "app=%s folder=%s why=%s", run->app->slug, run->app->active,
		 SL_QUOTE(why));
	loop_note_error(loop, why);
	loop_wake_at(loop, run->correct_at_ms);
}

/* It is looked at again at once: only then it counts as put back. */
static void look_again(struct loop *loop, struct run *run)
{
	run->correct_failed = 0;
	run->corrected++;
	run->scan_at_ms = 0;
	run->compare_at_ms = 0;
	loop_wake_at(loop, 1);
}

void drift_repaired(struct loop *loop, struct run *run, const struct state_version *version,
		    sl_code code, struct sl_err *err)
{
	if (code == SL_OK) {
		code = activate_replace(loop->dir, pull_staging(loop->pull), run->app->slug,
					version->folder, err);
	}
	if (code != SL_OK) {
		correct_later(loop, run, err->msg);
		return;
	}
	log_info("corrected", "app=%s folder=%s", run->app->slug, version->folder);
	look_again(loop, run);
}

static void correct(struct loop *loop, struct run *run)
{
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	SL_AUTO(sl_arena_fini) struct sl_arena arena;
	struct state_app *app = run->app;
	struct state_version *version = state_active(app);
	sl_arena_init(&arena, 0);
	run->correct_due = false;
	if (run->content_lost) {
		const Sluice__V1__Bundle *bundle = bundle_of(version, &arena);
		sl_code code =
		    bundle == NULL ? SL_OK : work_repair(loop, run, version, bundle, &err);
		if (code != SL_OK) {
			correct_later(loop, run, err.msg);
		}
		return; /* the link follows, with the next look */
	}
	if (activate_flip(loop->dir, app->slug, app->active, &err) != SL_OK) {
		correct_later(loop, run, err.msg);
		return;
	}
	log_info("corrected", "app=%s link=%s", app->slug, app->active);
	look_again(loop, run);
}

static void correct_some(struct loop *loop)
{
	uint64_t now = sl_clock_mono_ms();
	for (size_t i = 0; i < loop->run_count; i++) {
		struct run *run = loop->runs[i];
		if (!run->correct_due || !is_still(run) || state_active(run->app) == NULL) {
			continue;
		}
		bool busy = loop->pull != NULL || drafts_fd(loop) >= 0 || drift_is_fetching(loop);
		if (now < run->correct_at_ms) {
			loop_wake_at(loop, run->correct_at_ms);
		} else if (!run->content_lost || !busy) { /* the end of what is busy wakes us */
			correct(loop, run);
		}
	}
}

void drift_forget(struct run *run)
{
	free(SL_TAKE(run->app->modified));
	run->bad_known = run->link_lost = run->content_lost = run->correct_due = false;
	run->scan_at_ms = 0;
}

void drift_step(struct loop *loop)
{
	struct drifting *d = &loop->drifting;
	struct run *run = NULL;
	struct state_version *version = NULL;
	if (loop->config->drift_every_ms == 0) {
		return;
	}
	correct_some(loop);
	if (d->scan == NULL && d->worker == NULL) {
		start_next(loop);
		return;
	}
	if (!find_subject(loop, &run, &version)) {
		drift_drop(loop);
		loop_wake_at(loop, 1);
		return;
	}
	if (d->worker != NULL) {
		step_worker(loop, run, version);
		return;
	}
	if (!drift_scan_step(d->scan, SCAN_BUDGET, d->print)) {
		loop_wake_at(loop, 1);
		return;
	}
	drift_scan_free(SL_TAKE(d->scan));
	if (d->records) {
		recorded(loop, version);
	} else {
		scanned(loop, run, version);
	}
}
