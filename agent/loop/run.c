#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/loop/loop_internal.h"
#include "base/clock/clock.h"
#include "base/log/log.h"
#include "base/mem/own.h"

static const struct sl_sm_state run_states[] = {
    [RUN_QUIET] = {"QUIET", SL_SM_TO(RUN_HOOKING) | SL_SM_TO(RUN_PROBING)},
    [RUN_HOOKING] = {"HOOKING", SL_SM_TO(RUN_PROBING) | SL_SM_TO(RUN_QUIET)},
    [RUN_PROBING] = {"PROBING", SL_SM_TO(RUN_HOOKING) | SL_SM_TO(RUN_QUIET)},
};

enum { MISSES_DEGRADED = 3, PROBE_AGAIN_MS = 1000, WHY_SIZE = 400, HOLD_MS = 5000 };

static void finish(struct loop *loop, struct run *run);
static void give_up(struct loop *loop, struct run *run, const char *why);

struct run *run_new(struct state_app *app)
{
	struct run *run = calloc(1, sizeof(*run));
	if (run != NULL) {
		sl_sm_init(&run->sm, run_states, RUN_QUIET);
		run->app = app;
		run->settled_ms = sl_clock_mono_ms();
	}
	return run;
}

void run_free(struct run *run)
{
	if (run != NULL) {
		child_free(run->hook);
		probe_free(run->probe);
		draft_fini(&run->draft);
		free(run);
	}
}

bool run_is_busy(const struct run *run)
{
	return run->sm.at == RUN_HOOKING;
}

static bool has_probe(const struct loop *loop, const struct run *run)
{
	return loop->config->probe[0] != '\0' && run->app->active[0] != '\0';
}

/* --- hook ----------------------------------------------------------------------- */

static const char *hook_reason(const struct run *run)
{
	if (run->recovering) {
		return "recover";
	}
	static const char *const reasons[] = {[STATE_FLIP_NONE] = "activate",
					      [STATE_FLIP_ACTIVATE] = "activate",
					      [STATE_FLIP_ROLLBACK] = "rollback",
					      [STATE_FLIP_RELOAD] = "reload"};
	return reasons[run->app->flip.reason];
}

static sl_code start_hook(struct loop *loop, struct run *run, struct sl_err *err)
{
	const struct state_app *app = run->app;
	const struct state_version *active = state_active(app);
	const char *version = active != NULL ? active->name : "";
	char path[ACTIVATE_PATH_SIZE + 16] = "SLUICE_PATH=";
	size_t at = strlen(path);
	if (app->active[0] != '\0') {
		(void)snprintf(path + at, sizeof(path) - at, "%.3900s/apps/%s/versions/%s",
			       loop->dir, app->slug, app->active);
	}
	char slug[96], id[64], name[64], reason[64], config[ACTIVATE_PATH_SIZE] = "";
	if (activate_config_has(loop->dir, app->slug, app->active)) {
		activate_config_path(loop->dir, app->slug, app->active, config);
	}
	char files[sizeof(config) + 16];
	(void)snprintf(files, sizeof(files), "SLUICE_CONFIG=%s", config);
	(void)snprintf(slug, sizeof(slug), "SLUICE_APP=%s", app->slug);
	(void)snprintf(id, sizeof(id), "SLUICE_APP_ID=%s", app->id);
	(void)snprintf(name, sizeof(name), "SLUICE_VERSION=%s", version);
	(void)snprintf(reason, sizeof(reason), "SLUICE_REASON=%s", hook_reason(run));
	const char *const env[] = {slug, id, name, path, reason, files, NULL};
	const char *const argv[] = {loop->config->hook, app->slug, version, path + at, NULL};
	struct child_options options = {
	    .argv = argv, .env = env, .deadline_ms = loop->config->hook_timeout_ms};
	return child_start(&options, &run->hook, err);
}

static void begin_probing(struct loop *loop, struct run *run)
{
	if (!has_probe(loop, run)) {
		finish(loop, run);
		return;
	}
	uint64_t now = sl_clock_mono_ms();
	sl_sm_move(&run->sm, RUN_PROBING);
	run->missed_why[0] = '\0';
	run->probe_at_ms = now;
	run->probe_by_ms = now + loop->config->probe_deadline_ms;
	loop_wake_at(loop, now);
}

/* A hook that fails on the way back is told and changes nothing: there is nowhere else to go. */
static void after_hook(struct loop *loop, struct run *run, bool ok, const char *why)
{
	const struct state_app *app = run->app;
	bool forward = app->flip.reason == STATE_FLIP_ACTIVATE && app->flip.to[0] != '\0';
	if (!ok) {
		log_warn("hook-failed", "app=%s folder=%s reason=%s why=%s", app->slug, app->active,
			 hook_reason(run), SL_QUOTE(why));
	}
	bool reload = app->flip.reason == STATE_FLIP_RELOAD;
	if (!ok && (forward || reload)) {
		give_up(loop, run, why);
		return;
	}
	if (forward || reload) {
		begin_probing(loop, run);
		return;
	}
	finish(loop, run);
}

void run_resume(struct loop *loop, struct run *run)
{
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	probe_free(SL_TAKE(run->probe));
	if (loop->config->hook[0] == '\0') {
		after_hook(loop, run, true, "");
		return;
	}
	sl_sm_move(&run->sm, RUN_HOOKING);
	sl_code code = start_hook(loop, run, &err);
	if (code != SL_OK) {
		after_hook(loop, run, false, err.msg);
	}
}

static void step_hook(struct loop *loop, struct run *run)
{
	bool ok = false;
	char how[64] = "", why[WHY_SIZE];
	if (!child_step(run->hook, &ok, how, sizeof(how))) {
		loop_wake_at(loop, child_deadline_mono_ms(run->hook));
		return;
	}
	child_free(SL_TAKE(run->hook));
	(void)snprintf(why, sizeof(why), "hook %.256s: %s", loop->config->hook, how);
	after_hook(loop, run, ok, why);
}

/* --- flip ------------------------------------------------------------------------- */

static void set_flip(struct state_app *app, enum state_flip_reason reason, const char *to,
		     const char *from)
{
	struct state_flip flip = {.reason = reason};
	(void)state_text(flip.to, sizeof(flip.to), to);
	(void)state_text(flip.from, sizeof(flip.from), from);
	app->flip = flip;
}

/* The link points at flip.to: everything in memory follows. */
static void flipped(struct loop *loop, struct run *run)
{
	struct state_app *app = run->app;
	if (strcmp(app->active, app->flip.to) != 0) {
		(void)state_text(app->previous, sizeof(app->previous), app->active);
	}
	(void)state_text(app->active, sizeof(app->active), app->flip.to);
	app->flipped_unix_ms = loop_now_unix_ms(loop);
	app->degraded = false;
	drift_forget(run);
	run->misses = 0;
	run->settled_ms = sl_clock_mono_ms();
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	if (loop_save(loop, &err) !=
	    SL_OK) { /* stays dirty; a crash now is finished by recover() */
		log_warn("state-not-saved", "app=%s why=%s", app->slug, SL_QUOTE(err.msg));
	}
	log_info("flipped", "app=%s to=%s from=%s reason=%s", app->slug, app->active,
		 app->flip.from, hook_reason(run));
	run_resume(loop, run);
}

/* To where a failed activation goes back: what was served before, or before a
 * flip that was not seen through yet. */
static const char *way_back(const struct state_app *app, const char *to)
{
	bool unproven = app->flip.reason == STATE_FLIP_ACTIVATE &&
			strcmp(app->flip.from, to) != 0 && app->flip.from[0] != '\0';
	return unproven ? app->flip.from : app->active;
}

static void quieten(struct run *run)
{
	probe_free(SL_TAKE(run->probe));
	if (run->sm.at != RUN_QUIET) {
		sl_sm_move(&run->sm, RUN_QUIET);
	}
}

void run_activate(struct loop *loop, struct run *run, struct state_version *version)
{
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	struct state_app *app = run->app;
	const char *to = version != NULL ? version->folder : "";
	char from[STATE_FOLDER_SIZE];
	(void)state_text(from, sizeof(from), way_back(app, to));
	struct state_flip before = app->flip;
	run->recovering = false;
	if (version != NULL && values_place(loop, run, version, &err) != SL_OK) {
		log_warn("config-failed", "app=%s version=%s why=%s", app->slug, version->name,
			 SL_QUOTE(err.msg));
		work_retry_later(loop, version, err.msg);
		return;
	}
	if (version != NULL && !version->attempt_open) {
		version->attempt++;
		version->attempt_open = true;
	}
	set_flip(app, STATE_FLIP_ACTIVATE, to, from);
	sl_code code = loop_save(loop, &err);
	code = code == SL_OK ? activate_flip(loop->dir, app->slug, to, &err) : code;
	if (code != SL_OK) {
		app->flip = before;
		loop->dirty = true;
		log_warn("flip-failed", "app=%s to=%s why=%s", app->slug, to, SL_QUOTE(err.msg));
		loop_note_error(loop, err.msg);
		if (version != NULL) {
			work_retry_later(loop, version, err.msg);
		}
		run->hold_until_ms = sl_clock_mono_ms() + HOLD_MS;
		return;
	}
	quieten(run);
	flipped(loop, run);
}

/* It could not be done: what is served stays, and it is tried again a little later. */
static void drop_flip(struct loop *loop, struct run *run, const struct sl_err *err)
{
	loop_note_error(loop, err->msg);
	run->app->flip = (struct state_flip){.reason = STATE_FLIP_NONE};
	loop->dirty = true;
	run->hold_until_ms = sl_clock_mono_ms() + HOLD_MS;
}

void run_reload(struct loop *loop, struct run *run)
{
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	struct state_app *app = run->app;
	const struct state_version *active = state_active(app);
	if (active == NULL) {
		run->values.reload_due = false;
		return;
	}
	run->recovering = false;
	set_flip(app, STATE_FLIP_RELOAD, app->active, app->active);
	sl_code code = loop_save(loop, &err);
	code = code == SL_OK ? values_place(loop, run, active, &err) : code;
	if (code != SL_OK) {
		log_warn("config-failed", "app=%s version=%s why=%s", app->slug, active->name,
			 SL_QUOTE(err.msg));
		drop_flip(loop, run, &err);
		return;
	}
	run->values.reload_due = false;
	run->misses = 0;
	quieten(run);
	run_resume(loop, run);
}

void run_redo(struct loop *loop, struct run *run)
{
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	struct state_app *app = run->app;
	sl_code code = activate_flip(loop->dir, app->slug, app->flip.to, &err);
	if (code != SL_OK) {
		log_error("flip-failed", "app=%s to=%s why=%s", app->slug, app->flip.to,
			  SL_QUOTE(err.msg));
		drop_flip(loop, run, &err);
		return;
	}
	flipped(loop, run);
}

static void put_back(struct loop *loop, struct run *run, const char *why)
{
	struct state_app *app = run->app;
	struct state_version *failed = state_active(app);
	char to[STATE_FOLDER_SIZE];
	(void)state_text(to, sizeof(to), app->flip.from);
	log_warn("rolling-back", "app=%s from=%s to=%s why=%s", app->slug, app->active, to,
		 SL_QUOTE(why));
	if (failed != NULL) {
		failed->outcome = STATE_ROLLED_BACK;
		failed->transient = false;
		failed->attempt_open = false;
		state_error_text(failed->error, why);
	}
	set_flip(app, STATE_FLIP_ROLLBACK, to, app->active);
	loop->dirty = true;
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	if (loop_save(loop, &err) != SL_OK) { /* going back matters more than remembering why */
		log_warn("state-not-saved", "app=%s why=%s", app->slug, SL_QUOTE(err.msg));
	}
	run->recovering = false;
	quieten(run);
	run_redo(loop, run);
}

/* The flip is seen through. */
static void settle(struct loop *loop, struct run *run)
{
	struct state_app *app = run->app;
	log_info("settled", "app=%s serves=%s reason=%s", app->slug, app->active, hook_reason(run));
	app->flip = (struct state_flip){.reason = STATE_FLIP_NONE};
	run->recovering = false;
	run->settled_ms = sl_clock_mono_ms();
	run->probe_at_ms = run->settled_ms + loop->config->probe_every_ms;
	loop->dirty = true;
	loop_wake_at(loop, run->settled_ms);
	values_sweep(loop, run);
	quieten(run);
}

static void finish(struct loop *loop, struct run *run)
{
	struct state_app *app = run->app;
	struct state_version *active = state_active(app);
	if (active != NULL && app->flip.reason != STATE_FLIP_ROLLBACK) {
		active->error[0] = '\0';
		active->transient = false;
		active->failed = 0;
		active->attempt_open = false;
		app->degraded = false;
	}
	settle(loop, run);
}

/* Hook or probe said no. Config is not put back: it is what the environment has. */
static void give_up(struct loop *loop, struct run *run, const char *why)
{
	struct state_app *app = run->app;
	struct state_version *active = state_active(app);
	if (app->flip.reason != STATE_FLIP_RELOAD || active == NULL) {
		put_back(loop, run, why);
		return;
	}
	log_warn("degraded", "app=%s serves=%s why=%s", app->slug, app->active, SL_QUOTE(why));
	app->degraded = true;
	active->transient = true;
	state_error_text(active->error, why);
	settle(loop, run);
}

/* --- probe -------------------------------------------------------------------------- */

/* A healthy app that stops answering is told, never put back: nothing says that
 * the version before would do better. */
static void looked(struct loop *loop, struct run *run, bool ok, const char *why)
{
	struct state_app *app = run->app;
	struct state_version *active = state_active(app);
	run->misses = ok ? 0 : run->misses + 1;
	run->probe_at_ms = sl_clock_mono_ms() + loop->config->probe_every_ms;
	loop_wake_at(loop, run->probe_at_ms);
	bool degraded = ok ? false : app->degraded || run->misses >= MISSES_DEGRADED;
	if (degraded == app->degraded || active == NULL) {
		return;
	}
	app->degraded = degraded;
	active->transient = degraded;
	state_error_text(active->error, degraded ? why : "");
	loop->dirty = true;
	sl_log(degraded ? SL_LOG_WARN : SL_LOG_INFO, degraded ? "degraded" : "healthy-again",
	       "app=%s serves=%s why=%s", app->slug, app->active, SL_QUOTE(why));
}

static void probed(struct loop *loop, struct run *run, bool ok, const char *why)
{
	uint64_t now = sl_clock_mono_ms();
	if (run->sm.at == RUN_QUIET) {
		looked(loop, run, ok, why);
		return;
	}
	if (ok) {
		finish(loop, run);
		return;
	}
	(void)snprintf(run->missed_why, sizeof(run->missed_why), "%s", why);
	if (now < run->probe_by_ms) {
		run->probe_at_ms = now + PROBE_AGAIN_MS;
		run->probe_at_ms =
		    run->probe_at_ms > run->probe_by_ms ? run->probe_by_ms : run->probe_at_ms;
		loop_wake_at(loop, run->probe_at_ms);
		log_debug("probe-missed", "app=%s why=%s", run->app->slug, SL_QUOTE(why));
		return;
	}
	char whole[WHY_SIZE];
	(void)snprintf(whole, sizeof(whole), "probe said no for %" PRIu64 " ms: %.300s",
		       loop->config->probe_deadline_ms, why);
	give_up(loop, run, whole);
}

static void step_probe(struct loop *loop, struct run *run)
{
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	uint64_t now = sl_clock_mono_ms();
	if (run->probe == NULL && now < run->probe_at_ms) {
		loop_wake_at(loop, run->probe_at_ms);
		return;
	}
	if (run->probe == NULL &&
	    probe_start(loop->config->probe, run->app->id, run->app->slug,
			loop->config->probe_timeout_ms, &run->probe, &err) != SL_OK) {
		probed(loop, run, false, err.msg);
		return;
	}
	bool ok = false;
	char why[WHY_SIZE] = "";
	/* A probe that hangs must not outlive the deadline of the whole. */
	bool over = run->sm.at == RUN_PROBING && now >= run->probe_by_ms;
	if (!probe_step(run->probe, &ok, why, sizeof(why)) && !over) {
		loop_wake_at(loop, probe_deadline_mono_ms(run->probe));
		loop_wake_at(loop, run->sm.at == RUN_PROBING ? run->probe_by_ms : 0);
		return;
	}
	probe_free(SL_TAKE(run->probe));
	if (why[0] == '\0') { /* cut short by the deadline of the whole */
		(void)snprintf(why, sizeof(why), "%s",
			       run->missed_why[0] != '\0' ? run->missed_why : "no answer");
	}
	probed(loop, run, ok, why);
}

void run_step(struct loop *loop, struct run *run)
{
	if (run->sm.at == RUN_HOOKING) {
		step_hook(loop, run);
	}
	bool looking = run->sm.at == RUN_QUIET && has_probe(loop, run);
	if (looking || run->sm.at == RUN_PROBING) {
		step_probe(loop, run);
	}
}
