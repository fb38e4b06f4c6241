/* At start: what is on disk is the truth about what is there and served, the
 * state is the truth about what was under way. */
#include <string.h>

#include "agent/loop/loop_internal.h"
#include "base/log/log.h"
#include "base/mem/own.h"

/* A link whose name in versions/ nobody recorded is served on: a folder appears
 * there by one rename only, so it is whole. */
static bool adopt(struct state_app *app, const char *folder)
{
	if (*folder == '\0' || state_version_by_folder(app, folder) != NULL) {
		return true;
	}
	struct state_version *found = state_version_add(app, "", "", NULL);
	if (found == NULL) {
		return false;
	}
	(void)state_text(found->folder, sizeof(found->folder), folder);
	found->on_disk = true;
	return true;
}

struct listing {
	struct loop *loop;
	struct state_app *app;
	bool failed;
};

static void on_version_folder(const char *name, void *ctx)
{
	struct listing *listing = ctx;
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	const struct state_app *app = listing->app;
	const struct state_version *known = state_version_by_folder(app, name);
	if (known != NULL && known->on_disk) {
		return;
	}
	log_info("leftover", "app=%s folder=%s", app->slug, name);
	if (activate_discard(listing->loop->dir, app->slug, name, &err) != SL_OK) {
		log_warn("leftover-stays", "app=%s folder=%s why=%s", app->slug, name,
			 SL_QUOTE(err.msg));
	}
	listing->loop->sweeping = true;
}

/* Apps that serve something though the state does not know them, as after its loss. */
static void on_app_folder(const char *name, void *ctx)
{
	struct listing *listing = ctx;
	char current[ACTIVATE_NAME_SIZE];
	if (state_app_by_slug(listing->loop->state, name) != NULL || name[0] == '.') {
		return;
	}
	activate_current(listing->loop->dir, name, current);
	if (current[0] == '\0' && activate_has_work(listing->loop->dir, name)) {
		log_warn("found", "app=%s msg=\"a working copy, of nobody knows what: it stays\"",
			 name);
		return;
	}
	if (current[0] == '\0') {
		SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
		if (activate_discard_app(listing->loop->dir, name, &err) != SL_OK) {
			log_warn("leftover-stays", "app=%s why=%s", name, SL_QUOTE(err.msg));
		}
		return;
	}
	struct state_app *app = state_app_add(listing->loop->state, "", name);
	if (app == NULL || !adopt(app, current)) {
		listing->failed = true;
		return;
	}
	log_warn("found",
		 "app=%s folder=%s msg=\"served, but unknown: goes on until a manifest names it\"",
		 name, current);
}

/* Link and state agree, or the flip under way is seen through. */
static void recover_flip(struct loop *loop, struct run *run, const char *current)
{
	struct state_app *app = run->app;
	if (app->flip.reason != STATE_FLIP_NONE && strcmp(current, app->flip.to) == 0) {
		log_info("recover", "app=%s to=%s msg=\"flipped, hook and probe run again\"",
			 app->slug, app->flip.to);
		(void)state_text(app->active, sizeof(app->active), current);
		run->recovering = true;
		run_resume(loop, run);
		return;
	}
	if (app->flip.reason == STATE_FLIP_ROLLBACK &&
	    (app->flip.to[0] == '\0' || activate_has(loop->dir, app->slug, app->flip.to))) {
		log_info("recover", "app=%s to=%s msg=\"the way back is finished\"", app->slug,
			 app->flip.to);
		run_redo(loop, run);
		return;
	}
	app->flip = (struct state_flip){.reason = STATE_FLIP_NONE};
	if (current[0] != '\0' || app->active[0] == '\0') {
		(void)state_text(app->active, sizeof(app->active), current);
		return;
	}
	/* The link is gone or points at nothing. */
	bool there = activate_has(loop->dir, app->slug, app->active);
	const char *to = there ? app->active : app->previous;
	if (!activate_has(loop->dir, app->slug, to)) {
		log_error("nothing-to-serve", "app=%s lost=%s", app->slug, app->active);
		app->active[0] = '\0';
		return;
	}
	log_warn("recover", "app=%s to=%s msg=\"the link was lost\"", app->slug, to);
	app->flip.reason = STATE_FLIP_ACTIVATE;
	(void)state_text(app->flip.to, sizeof(app->flip.to), to);
	(void)state_text(app->flip.from, sizeof(app->flip.from), app->previous);
	run->recovering = true;
	run_redo(loop, run);
}

static sl_code recover_app(struct loop *loop, struct run *run, struct sl_err *err)
{
	struct state_app *app = run->app;
	struct listing listing = {.loop = loop, .app = app};
	char current[ACTIVATE_NAME_SIZE];
	if (reconcile_clashes(loop->state, app)) {
		return SL_OK; /* it has no folder yet */
	}
	activate_current(loop->dir, app->slug, current);
	if (!adopt(app, current)) {
		return sl_err_no_memory(err);
	}
	for (size_t i = 0; i < app->version_count; i++) {
		struct state_version *version = app->versions[i];
		version->on_disk =
		    version->on_disk && activate_has(loop->dir, app->slug, version->folder);
	}
	activate_list(loop->dir, app->slug, on_version_folder, &listing);
	recover_flip(loop, run, current);
	return SL_OK;
}

sl_code recover(struct loop *loop, struct sl_err *err)
{
	struct listing listing = {.loop = loop};
	loop->sweeping = true; /* what a crash left in staging */
	activate_list(loop->dir, NULL, on_app_folder, &listing);
	if (listing.failed) {
		return sl_err_no_memory(err);
	}
	sl_code code = loop_sync_runs(loop, err);
	for (size_t i = 0; code == SL_OK && i < loop->run_count; i++) {
		code = recover_app(loop, loop->runs[i], err);
	}
	loop->dirty = true;
	return code;
}
