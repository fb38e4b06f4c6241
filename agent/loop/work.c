#include <string.h>

#include "agent/loop/loop_internal.h"
#include "base/clock/clock.h"
#include "base/log/log.h"
#include "base/mem/own.h"

enum {
	RETRY_FIRST_MS = 1000,
	RETRY_MAX_MS = 60000,
	RETRY_JITTER_PERCENT = 20,
	SWEEP_BUDGET = 200, /* entries removed in one turn of the loop */
	HOLD_MS = 5000,
	FAREWELL_MS = 50,
};

void work_retry_later(struct loop *loop, struct state_version *version, const char *why)
{
	version->failed++;
	uint64_t pause = reconcile_backoff_ms(version->failed, RETRY_FIRST_MS, RETRY_MAX_MS,
					      RETRY_JITTER_PERCENT, loop_random());
	version->retry_at_ms = sl_clock_mono_ms() + pause;
	version->attempt_open = false;
	version->transient = true;
	state_error_text(version->error, why);
	loop->dirty = true;
	loop_wake_at(loop, version->retry_at_ms);
}

static void fail_for_good(struct loop *loop, struct state_version *version, const char *why)
{
	version->outcome = STATE_FAILED;
	version->attempt_open = false;
	version->transient = false;
	state_error_text(version->error, why);
	loop->dirty = true;
}

struct state_version *work_pulled(const struct loop *loop, struct run **ret_run)
{
	for (size_t i = 0; loop->pull != NULL && i < loop->run_count; i++) {
		const struct state_app *app = loop->runs[i]->app;
		for (size_t j = 0; strcmp(app->id, loop->pull_app) == 0 && j < app->version_count;
		     j++) {
			struct state_version *version = app->versions[j];
			if (strcmp(version->id, loop->pull_version) == 0 &&
			    memcmp(version->digest, loop->pull_digest, SL_HASH_BYTES) == 0) {
				*ret_run = loop->runs[i];
				return version;
			}
		}
	}
	return NULL;
}

static void end_pull(struct loop *loop)
{
	pull_free(SL_TAKE(loop->pull));
	turns_end(loop);
	state_pulling_clear(loop->dir);
	loop->pulling = (struct state_pulling){.percent = 0};
	loop->pull_repairs = false;
	loop->sweeping = true;
}

/* For who looks from outside; written when it has changed. */
static void show_pull(struct loop *loop)
{
	struct state_pulling now = {.is_verifying = pull_is_verifying(loop->pull),
				    .percent = pull_percent(loop->pull)};
	(void)state_text(now.version_id, sizeof(now.version_id), loop->pull_version);
	const struct state_pulling *shown = &loop->pulling;
	if (now.is_verifying != shown->is_verifying || now.percent != shown->percent ||
	    strcmp(now.version_id, shown->version_id) != 0) {
		loop->pulling = now;
		state_pulling_write(loop->dir, &now);
	}
}

void work_check_pull(struct loop *loop)
{
	struct run *run = NULL;
	if (loop->pull == NULL || loop->pull_repairs) {
		return; /* what is put back is served, whatever the manifest names now */
	}
	const struct state_version *version = work_pulled(loop, &run);
	const Sluice__V1__ManifestApp *want =
	    version != NULL ? manifest_app(loop->manifest, run->app->id) : NULL;
	if (want == NULL || manifest_bundle(want, version->id) == NULL) {
		log_info("pull-dropped", "app=%s version=%s", loop->pull_app, loop->pull_version);
		end_pull(loop);
	}
}

/* The version that is told about though it is not what the app is about. */
static void tell_aside(struct run *run, const struct state_version *version)
{
	(void)state_text(run->aside_id, sizeof(run->aside_id), version->id);
}

static void pull_failed(struct loop *loop, struct run *run, struct state_version *version,
			sl_code code, const struct sl_err *err)
{
	bool again = code != SL_FAILED_PRECONDITION && code != SL_INVALID_ARGUMENT;
	log_warn("pull-failed", "app=%s version=%s attempt=%u again=%s why=%s", run->app->slug,
		 version->name, version->attempt, again ? "yes" : "no", SL_QUOTE(err->msg));
	if (again) {
		work_retry_later(loop, version, err->msg);
	} else {
		fail_for_good(loop, version, err->msg);
	}
	tell_aside(run, version);
}

/* A folder that is in the way is nobody's: the state knows all that are whole. */
static sl_code place(struct loop *loop, const struct run *run, const struct state_version *version,
		     struct sl_err *err)
{
	const char *slug = run->app->slug, *staged = pull_staging(loop->pull);
	sl_code code = activate_place(loop->dir, staged, slug, version->folder, err);
	if (code != SL_ALREADY_EXISTS || strcmp(version->folder, run->app->active) == 0) {
		return code;
	}
	sl_err_clear(err);
	code = activate_discard(loop->dir, slug, version->folder, err);
	return code == SL_OK ? activate_place(loop->dir, staged, slug, version->folder, err) : code;
}

static void step_pull(struct loop *loop)
{
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	sl_code code = SL_OK;
	struct run *run = NULL;
	if (!pull_step(loop->pull, &code, &err)) {
		show_pull(loop);
		if (pull_is_verifying(loop->pull)) {
			turns_end(loop); /* what is left is done here */
		}
		loop_wake_at(loop, pull_deadline_mono_ms(loop->pull));
		return;
	}
	struct state_version *version = work_pulled(loop, &run);
	if (version != NULL && loop->pull_repairs) {
		drift_repaired(loop, run, version, code, &err);
		end_pull(loop);
		return;
	}
	if (version != NULL && code == SL_OK) {
		code = place(loop, run, version, &err);
	}
	end_pull(loop);
	if (version == NULL) {
		return;
	}
	if (code != SL_OK) {
		pull_failed(loop, run, version, code, &err);
		return;
	}
	log_info("staged", "app=%s version=%s folder=%s", run->app->slug, version->name,
		 version->folder);
	version->on_disk = version->print_due = true;
	version->print_known = false;
	version->error[0] = '\0';
	version->transient = false;
	version->failed = 0;
	loop->dirty = true;
	tell_aside(run, version);
}

bool work_asks_server(const struct loop *loop)
{
	return strcmp(loop->config->bundles_from, "server") == 0;
}

static struct crpc_channel *channel_of(void *ctx)
{
	const struct loop *loop = ctx;
	return loop->session != NULL ? session_channel(loop->session) : NULL;
}

/* Starts the one pull; credentials are found by the bundle. */
static sl_code begin_pull(struct loop *loop, const struct run *run,
			  const struct state_version *version, const Sluice__V1__Bundle *bundle,
			  struct sl_err *err)
{
	const struct agent_config *config = loop->config;
	struct pull_options options = {
	    .dir = loop->dir,
	    .limits = agent_config_limits(config),
	    .deadline_ms = (unsigned)config->git_deadline_ms,
	    .disk_reserve = config->disk_reserve,
	    .sync_each = strcmp(config->sync, "each") == 0,
	    .allow_local = config->allow_local,
	    .from_mirror = loop->pull_repairs,
	    .channel = work_asks_server(loop) ? channel_of : NULL,
	    .channel_ctx = loop,
	    .workspace = loop->state->workspace,
	    .instance = loop->config->instance,
	    .app_id = run->app->id,
	};
	sl_code code = options.channel != NULL ? SL_OK
					       : logins_find(&loop->logins, bundle->repository_id,
							     bundle->login, &options.login, err);
	code = code != SL_OK ? code : pull_start(&options, bundle, &loop->pull, err);
	if (code == SL_OK) {
		(void)state_text(loop->pull_app, sizeof(loop->pull_app), run->app->id);
		(void)state_text(loop->pull_version, sizeof(loop->pull_version), version->id);
		memcpy(loop->pull_digest, version->digest, SL_HASH_BYTES);
	}
	return code;
}

static void start_pull(struct loop *loop, struct run *run, const struct reconcile_step *step)
{
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	struct state_version *version = step->version;
	version->attempt++;
	version->attempt_open = true;
	sl_code code = begin_pull(loop, run, version, step->bundle, &err);
	if (code != SL_OK) {
		pull_failed(loop, run, version, code, &err);
		return;
	}
	log_info("pulling", "app=%s version=%s ref=%s attempt=%u", run->app->slug, version->name,
		 step->bundle->ref, version->attempt);
}

sl_code work_repair(struct loop *loop, struct run *run, struct state_version *version,
		    const Sluice__V1__Bundle *bundle, struct sl_err *err)
{
	loop->pull_repairs = true;
	sl_code code = begin_pull(loop, run, version, bundle, err);
	loop->pull_repairs = code == SL_OK;
	return code;
}

static void prune(struct loop *loop, struct run *run, struct state_version *version)
{
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	sl_code code = activate_discard(loop->dir, run->app->slug, version->folder, &err);
	if (code != SL_OK) {
		log_warn("prune-failed", "app=%s folder=%s why=%s", run->app->slug, version->folder,
			 SL_QUOTE(err.msg));
		run->hold_until_ms = sl_clock_mono_ms() + HOLD_MS;
		return;
	}
	log_info("pruned", "app=%s folder=%s", run->app->slug, version->folder);
	state_version_remove(run->app, version);
	loop->sweeping = true;
	loop->dirty = true;
	run->settled_ms = sl_clock_mono_ms(); /* one at a time */
}

static bool discard_app(struct loop *loop, struct run *run)
{
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	struct state_app *app = run->app;
	bool owns = !reconcile_clashes(loop->state, app);
	sl_code code = owns ? activate_save_work(loop->dir, app->slug, &err) : SL_OK;
	code = owns && code == SL_OK ? activate_discard_app(loop->dir, app->slug, &err) : code;
	if (code != SL_OK) {
		log_warn("forget-failed", "app=%s why=%s", app->slug, SL_QUOTE(err.msg));
		run->hold_until_ms = sl_clock_mono_ms() + HOLD_MS;
		return false;
	}
	held_forget(&loop->held, app->id);
	log_info("forgotten", "app=%s id=%s", app->slug, app->id);
	while (app->version_count > 0) {
		state_version_remove(app, app->versions[0]);
	}
	app->previous[0] = '\0';
	run->farewell = true;
	run->told = false;
	loop->sweeping = true;
	loop->dirty = true;
	work_check_pull(loop);
	return true;
}

/* The folder first, then the server is told, then the entry goes. A server that
 * is away learns it from the next Hello. True: run and app are gone. */
static bool forget(struct loop *loop, struct run *run)
{
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	if (!run->farewell && !discard_app(loop, run)) {
		return false;
	}
	bool reached = loop->session != NULL && session_is_greeted(loop->session);
	if (reached && !run->told) {
		loop_wake_at(loop, sl_clock_mono_ms() + FAREWELL_MS);
		return false;
	}
	state_app_remove(loop->state, run->app);
	loop->dirty = true;
	if (loop_sync_runs(loop, &err) != SL_OK) {
		log_error("out-of-memory", "msg=%s", SL_QUOTE(err.msg));
	}
	return true;
}

/* Does the app's step; false when the list of runs changed. */
static bool do_step(struct loop *loop, struct run *run, struct reconcile_step *ret_fetch,
		    struct run **ret_fetcher)
{
	values_step(loop, run);
	struct reconcile_input in = loop_input(loop, run);
	struct reconcile_step step = reconcile_next(&in, run->app);
	bool held = in.now_mono_ms < run->hold_until_ms;
	if (held && step.kind != RECONCILE_REST && step.kind != RECONCILE_FETCH) {
		loop_wake_at(loop, run->hold_until_ms);
		return true;
	}
	switch (step.kind) {
	case RECONCILE_REST:
		loop_wake_at(loop, step.wake_mono_ms);
		return true;
	case RECONCILE_FETCH:
		if (ret_fetch->kind != RECONCILE_FETCH || (step.urgent && !ret_fetch->urgent)) {
			*ret_fetch = step;
			*ret_fetcher = run;
		}
		return true;
	case RECONCILE_ACTIVATE:
		run_activate(loop, run, step.version);
		break;
	case RECONCILE_RELOAD:
		run_reload(loop, run);
		break;
	case RECONCILE_TAKE_DOWN:
		run_activate(loop, run, NULL);
		break;
	case RECONCILE_PRUNE:
		prune(loop, run, step.version);
		break;
	case RECONCILE_FORGET:
		if (!forget(loop, run)) {
			return true;
		}
		loop_wake_at(loop, 1);
		return false;
	}
	loop_wake_at(loop, 1); /* look again at once */
	return true;
}

/* The server has a bound of its own; a host's is asked for. */
static bool has_turn(struct loop *loop, const Sluice__V1__Bundle *bundle)
{
	return work_asks_server(loop) ? channel_of(loop) != NULL : turns_take(loop, bundle->url);
}

void work_step(struct loop *loop)
{
	struct reconcile_step fetch = {.kind = RECONCILE_REST};
	struct run *fetcher = NULL;
	if (loop->pull != NULL) {
		step_pull(loop);
	}
	values_keep(loop);
	drafts_step(loop);
	for (size_t i = 0; i < loop->run_count; i++) {
		run_step(loop, loop->runs[i]);
	}
	for (size_t i = 0; i < loop->run_count; i++) {
		if (!do_step(loop, loop->runs[i], &fetch, &fetcher)) {
			return;
		}
	}
	drift_step(loop);
	bool free_to_pull = loop->pull == NULL && drafts_fd(loop) < 0 && !drift_is_fetching(loop);
	if (free_to_pull && fetch.kind != RECONCILE_FETCH) {
		turns_end(loop);
	} else if (free_to_pull && has_turn(loop, fetch.bundle)) {
		start_pull(loop, fetcher, &fetch);
		loop_wake_at(loop, loop->pull == NULL ? 1 : pull_deadline_mono_ms(loop->pull));
	}
	if (loop->sweeping) {
		const char *making = loop->task.kind == DRAFT_MAKE ? loop->task.staging : NULL;
		const char *keep = loop->pull != NULL ? pull_staging(loop->pull) : making;
		loop->sweeping = !activate_sweep(loop->dir, keep, SWEEP_BUDGET);
		loop_wake_at(loop, loop->sweeping ? 1 : 0);
	}
}
