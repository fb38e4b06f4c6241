#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "agent/reconcile/reconcile.h"
#include "base/mem/own.h"
#include "tests/unit/agent/lib/want.h"

struct fixture {
	struct sl_arena arena;
	struct state *state;
	Sluice__V1__Manifest *manifest;
	struct reconcile_input in;
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	sl_arena_init(&f->arena, 0);
	f->state = state_new();
	f->state->expires_unix_ms = WANT_EXPIRES_S * 1000ull;
	f->in = (struct reconcile_input){
	    .state = f->state, .now_unix_ms = 1000, .now_mono_ms = 1000000, .settled_mono_ms = 0};
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	state_free(f->state);
	sl_arena_fini(&f->arena);
	free(f);
	return 0;
}

/* The manifest says: app a, activate, keep. */
static Sluice__V1__ManifestApp *want(struct fixture *f, char activate, const char *keep)
{
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	Sluice__V1__ManifestApp *app = want_app(&f->arena, 'a', activate, keep);
	f->manifest = want_manifest(&f->arena, 1);
	want_add(&f->arena, f->manifest, app);
	f->in.manifest = f->manifest;
	assert_int_equal(reconcile_merge(f->state, f->manifest, &err), SL_OK);
	return app;
}

static struct state_app *app_of(struct fixture *f)
{
	return f->state->apps[0];
}

static struct state_version *version(struct fixture *f, char letter)
{
	return state_version_by_id(app_of(f), want_id(&f->arena, "ver", letter));
}

static void serve(struct fixture *f, char letter)
{
	(void)state_text(app_of(f)->active, STATE_FOLDER_SIZE, version(f, letter)->folder);
}

/* "FETCH! x", "REST", ... of the fixture's app. */
static const char *next(struct fixture *f)
{
	static const char *const names[] = {"REST",   "FETCH", "ACTIVATE", "DOWN",
					    "FORGET", "PRUNE", "RELOAD"};
	static char text[64];
	struct reconcile_step step = reconcile_next(&f->in, app_of(f));
	(void)snprintf(text, sizeof(text), "%s%s%s%s", names[step.kind], step.urgent ? "!" : "",
		       step.version != NULL ? " " : "",
		       step.version != NULL ? step.version->name : "");
	return text;
}

/* One row: who is on disk, who is served, what the manifest says, what follows. */
static void test_reconcile_next_step(void **state)
{
	static const struct {
		const char *on_disk;
		char active, activate;
		const char *keep, *then;
		bool paused, busy, expired;
	} rows[] = {
	    {"", 0, 0, "", "REST", 0, 0, 0},
	    {"", 0, 0, "xy", "FETCH vx", 0, 0, 0},
	    {"x", 0, 0, "xy", "FETCH vy", 0, 0, 0},
	    {"xy", 0, 0, "xy", "REST", 0, 0, 0},
	    {"", 0, 'y', "xy", "FETCH! vy", 0, 0, 0},
	    {"x", 0, 'y', "xy", "FETCH! vy", 0, 0, 0},
	    {"y", 0, 'y', "xy", "ACTIVATE vy", 0, 0, 0},
	    {"y", 'y', 'y', "xy", "FETCH vx", 0, 0, 0},
	    {"xy", 'y', 'y', "xy", "REST", 0, 0, 0},
	    {"xy", 'x', 'y', "xy", "ACTIVATE vy", 0, 0, 0},
	    {"xy", 'x', 'y', "xy", "REST", 1, 0, 0},
	    {"xy", 'x', 'y', "xy", "REST", 0, 1, 0},
	    {"xy", 'x', 'y', "xy", "REST", 0, 0, 1},
	    {"y", 'x', 'y', "xyz", "FETCH vx", 1, 0, 0},
	    {"xy", 'x', 0, "xy", "DOWN", 0, 0, 0},
	    {"xy", 'x', 0, "xy", "DOWN", 1, 0, 0},
	    {"xy", 'x', 0, "xy", "REST", 0, 1, 0},
	    {"xy", 'x', 0, "xy", "REST", 0, 0, 1},
	    {"x", 'x', 'y', "xy", "FETCH! vy", 1, 0, 1},
	};
	struct fixture *f = *state;
	for (size_t i = 0; i < SL_COUNT(rows); i++) {
		state_free(f->state);
		f->state = state_new();
		f->state->expires_unix_ms = rows[i].expired ? 1000 : 2000;
		f->in.state = f->state;
		f->in.busy = rows[i].busy;
		(void)want(f, rows[i].activate, rows[i].keep);
		f->manifest->paused = rows[i].paused;
		for (const char *letter = rows[i].on_disk; *letter != '\0'; letter++) {
			version(f, *letter)->on_disk = true;
		}
		if (rows[i].active != 0) {
			serve(f, rows[i].active);
		}
		if (strcmp(next(f), rows[i].then) != 0) {
			fail_msg("row %zu: %s, not %s", i, next(f), rows[i].then);
		}
	}
}

/* Config: what is not ready is not activated, and says so; what is served is written anew. */
static void test_reconcile_waits_for_config(void **state)
{
	static const struct {
		const char *on_disk, *not_ready; /* versions */
		char active, activate;
		bool reload_due, busy;
		const char *then;
		Sluice__V1__Phase phase;
	} rows[] = {
	    {"xy", "y", 'x', 'y', false, false, "REST", SLUICE__V1__PHASE__PHASE_NOT_READY},
	    {"xy", "y", 'x', 'y', true, false, "RELOAD", SLUICE__V1__PHASE__PHASE_NOT_READY},
	    {"xy", "x", 'x', 'y', true, false, "ACTIVATE vy", SLUICE__V1__PHASE__PHASE_STAGED},
	    {"y", "y", 'y', 'y', false, false, "FETCH vx", SLUICE__V1__PHASE__PHASE_NOT_READY},
	    {"y", "", 'y', 'y', true, false, "RELOAD", SLUICE__V1__PHASE__PHASE_HEALTHY},
	    {"xy", "", 'y', 'y', true, true, "REST", SLUICE__V1__PHASE__PHASE_HEALTHY},
	    {"xy", "", 0, 0, true, false, "REST", SLUICE__V1__PHASE__PHASE_STAGED},
	    {"xy", "x", 'y', 'y', false, false, "REST", SLUICE__V1__PHASE__PHASE_HEALTHY},
	};
	struct fixture *f = *state;
	const struct reconcile_activity quiet = {.pulling = NULL};
	for (size_t i = 0; i < SL_COUNT(rows); i++) {
		state_free(f->state);
		f->state = state_new();
		f->state->expires_unix_ms = 2000;
		f->in.state = f->state;
		f->in.busy = rows[i].busy;
		f->in.reload_due = rows[i].reload_due;
		(void)want(f, rows[i].activate, "xy");
		for (const char *letter = rows[i].on_disk; *letter != '\0'; letter++) {
			version(f, *letter)->on_disk = true;
		}
		for (const char *letter = rows[i].not_ready; *letter != '\0'; letter++) {
			state_error_text(version(f, *letter)->not_ready, "missing constant A");
		}
		if (rows[i].active != 0) {
			serve(f, rows[i].active);
		}
		struct reconcile_view view = reconcile_view(&f->in, app_of(f), &quiet);
		bool says = view.phase == SLUICE__V1__PHASE__PHASE_NOT_READY;
		if (strcmp(next(f), rows[i].then) != 0 || view.phase != rows[i].phase ||
		    says != (strcmp(view.error, "missing constant A") == 0)) {
			fail_msg("row %zu: %s, phase %d, %s", i, next(f), view.phase, view.error);
		}
	}
}

/* A flip that is not seen through comes first. */
static void test_reconcile_reloads_after_the_flip(void **state)
{
	struct fixture *f = *state;
	(void)want(f, 'y', "y");
	version(f, 'y')->on_disk = true;
	serve(f, 'y');
	f->in.reload_due = true;
	app_of(f)->flip.reason = STATE_FLIP_ACTIVATE;
	assert_string_equal(next(f), "REST");
	app_of(f)->flip.reason = STATE_FLIP_NONE;
	assert_string_equal(next(f), "RELOAD");
}

static void let(struct fixture *f, Sluice__V1__ManifestApp *app, char letter)
{
	const Sluice__V1__Bundle *bundle = want_bundle(&f->arena, letter);
	app->pulled = SL_ARENA_NEW(&f->arena, Sluice__V1__PulledStep);
	sluice__v1__pulled_step__init(app->pulled);
	app->pulled->version_id = bundle->version_id;
	app->pulled->digest = bundle->digest;
}

/* Of a MANUAL instance: who is on disk, who is served, what is told, what was let through. */
static void test_reconcile_manual_fetches_what_was_let_through(void **state)
{
	static const struct {
		const char *on_disk;
		char active, activate;
		const char *keep;
		char pulled;
		const char *then;
		bool held;
	} rows[] = {
	    {"", 0, 'y', "xy", 0, "REST", true},
	    {"", 0, 'y', "xy", 'y', "FETCH! vy", false},
	    {"", 0, 'y', "xy", 'x', "FETCH vx", true},
	    {"x", 'x', 'y', "xy", 0, "REST", true},
	    {"x", 'x', 'y', "xy", 'y', "FETCH! vy", false},
	    {"x", 'x', 'z', "xz", 'y', "REST", true}, /* a later one than was seen */
	    {"xy", 'x', 'y', "xy", 0, "ACTIVATE vy", false},
	    {"xy", 'y', 'x', "xy", 'y', "ACTIVATE vx", false}, /* back to what is there */
	    {"y", 'y', 'y', "xy", 0, "REST", false},
	    {"", 0, 0, "x", 0, "REST", true},
	};
	struct fixture *f = *state;
	const struct reconcile_activity quiet = {.pulling = NULL};
	for (size_t i = 0; i < SL_COUNT(rows); i++) {
		state_free(f->state);
		f->state = state_new();
		f->state->expires_unix_ms = 2000;
		f->in.state = f->state;
		Sluice__V1__ManifestApp *app = want(f, rows[i].activate, rows[i].keep);
		f->manifest->pull = SLUICE__V1__PULL_MODE__PULL_MODE_MANUAL;
		for (const char *letter = rows[i].on_disk; *letter != '\0'; letter++) {
			version(f, *letter)->on_disk = true;
		}
		if (rows[i].active != 0) {
			serve(f, rows[i].active);
		}
		if (rows[i].pulled != 0) {
			let(f, app, rows[i].pulled);
		}
		bool held = reconcile_view(&f->in, app_of(f), &quiet).held;
		if (strcmp(next(f), rows[i].then) != 0 || held != rows[i].held) {
			fail_msg("row %zu: %s, held %d", i, next(f), held);
		}
	}
}

/* The same version with another content is another step. */
static void test_reconcile_manual_holds_another_content(void **state)
{
	struct fixture *f = *state;
	Sluice__V1__ManifestApp *app = want(f, 'x', "x");
	f->manifest->pull = SLUICE__V1__PULL_MODE__PULL_MODE_MANUAL;
	let(f, app, 'x');
	assert_string_equal(next(f), "FETCH! vx");
	app->keep[0]->digest.data[0] ^= 1;
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	app->pulled->digest = want_bundle(&f->arena, 'x')->digest;
	assert_int_equal(reconcile_merge(f->state, f->manifest, &err), SL_OK);
	assert_string_equal(next(f), "REST");
}

static void test_reconcile_removed_app_is_taken_down_then_forgotten(void **state)
{
	struct fixture *f = *state;
	(void)want(f, 'x', "x");
	version(f, 'x')->on_disk = true;
	serve(f, 'x');
	f->manifest = want_manifest(&f->arena, 2);
	want_remove(&f->arena, f->manifest, 'a');
	f->in.manifest = f->manifest;
	assert_string_equal(next(f), "DOWN");
	app_of(f)->active[0] = '\0';
	f->in.busy = true;
	assert_string_equal(next(f), "REST");
	f->in.busy = false;
	assert_string_equal(next(f), "FORGET");
}

static void test_reconcile_absent_app_goes_on_as_orphan(void **state)
{
	struct fixture *f = *state;
	struct reconcile_activity quiet = {.pulling = NULL};
	(void)want(f, 'x', "x");
	version(f, 'x')->on_disk = true;
	serve(f, 'x');
	f->in.manifest = want_manifest(&f->arena, 2);
	assert_string_equal(next(f), "REST");
	struct reconcile_view view = reconcile_view(&f->in, app_of(f), &quiet);
	assert_true(view.orphaned);
	assert_int_equal(view.phase, SLUICE__V1__PHASE__PHASE_HEALTHY);
	f->in.manifest = NULL;
	assert_false(reconcile_view(&f->in, app_of(f), &quiet).orphaned);
	assert_string_equal(next(f), "REST");
}

static void test_reconcile_ended_attempt_opens_with_its_entry_only(void **state)
{
	struct fixture *f = *state;
	(void)want(f, 'y', "xy");
	version(f, 'x')->on_disk = version(f, 'y')->on_disk = true;
	serve(f, 'x');
	version(f, 'y')->outcome = STATE_ROLLED_BACK;
	assert_string_equal(next(f), "REST");
	(void)want(f, 'y', "xyz"); /* another version is kept: nothing of y changed */
	version(f, 'z')->on_disk = true;
	assert_string_equal(next(f), "REST");
	(void)want(f, 'x', "xyz"); /* another one in between ... */
	(void)want(f, 'y', "xyz");
	assert_string_equal(next(f), "ACTIVATE vy");
	version(f, 'y')->outcome = STATE_ROLLED_BACK;
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	f->manifest->apps[0]->retries = 1; /* ... or RetryInstance */
	assert_int_equal(reconcile_merge(f->state, f->manifest, &err), SL_OK);
	assert_string_equal(next(f), "ACTIVATE vy");
}

static void test_reconcile_failed_fetch_opens_with_another_source(void **state)
{
	struct fixture *f = *state;
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	Sluice__V1__ManifestApp *app = want(f, 'x', "x");
	version(f, 'x')->outcome = STATE_FAILED;
	assert_int_equal(reconcile_merge(f->state, f->manifest, &err), SL_OK);
	assert_string_equal(next(f), "REST");
	app->keep[0]->url = sl_arena_strdup(&f->arena, "https://elsewhere.example/shop.git");
	assert_int_equal(reconcile_merge(f->state, f->manifest, &err), SL_OK);
	assert_string_equal(next(f), "FETCH! vx");
}

static void test_reconcile_new_content_of_a_version_is_fetched(void **state)
{
	struct fixture *f = *state;
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	Sluice__V1__ManifestApp *app = want(f, 'x', "x");
	version(f, 'x')->on_disk = true;
	serve(f, 'x');
	assert_string_equal(next(f), "REST");
	memset(app->keep[0]->digest.data, 'q', 32);
	assert_int_equal(reconcile_merge(f->state, f->manifest, &err), SL_OK);
	assert_int_equal(app_of(f)->version_count, 2);
	assert_string_equal(next(f), "FETCH! vx");
	reconcile_version(app_of(f), app->keep[0])->on_disk = true;
	assert_string_equal(next(f), "ACTIVATE vx");
}

static void test_reconcile_folders_of_equal_prefix_differ(void **state)
{
	struct fixture *f = *state;
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	Sluice__V1__ManifestApp *app = want(f, 'x', "x");
	version(f, 'x')->on_disk = true;
	app->keep[0]->digest.data[31] ^= 1; /* beyond the 12 digits of the name */
	assert_int_equal(reconcile_merge(f->state, f->manifest, &err), SL_OK);
	assert_int_equal(app_of(f)->version_count, 2);
	assert_string_not_equal(app_of(f)->versions[0]->folder, app_of(f)->versions[1]->folder);
}

static void test_reconcile_waits_for_the_back_off(void **state)
{
	struct fixture *f = *state;
	(void)want(f, 'x', "xy");
	version(f, 'x')->retry_at_ms = f->in.now_mono_ms + 500;
	assert_string_equal(next(f), "FETCH vy"); /* others need not wait */
	version(f, 'y')->retry_at_ms = f->in.now_mono_ms + 300;
	struct reconcile_step step = reconcile_next(&f->in, app_of(f));
	assert_int_equal(step.kind, RECONCILE_REST);
	assert_int_equal(step.wake_mono_ms, f->in.now_mono_ms + 300);
	f->in.now_mono_ms += 500;
	assert_string_equal(next(f), "FETCH! vx");
}

static void test_reconcile_prunes_late_and_never_what_is_needed(void **state)
{
	struct fixture *f = *state;
	(void)want(f, 'd', "abcd");
	for (const char *letter = "abcd"; *letter != '\0'; letter++) {
		version(f, *letter)->on_disk = true;
	}
	serve(f, 'd');
	(void)state_text(app_of(f)->previous, STATE_FOLDER_SIZE, version(f, 'b')->folder);
	(void)want(f, 'd', "d");
	assert_string_equal(next(f), "PRUNE va");
	f->in.keep_extra = 1;
	assert_string_equal(next(f), "PRUNE va");
	f->in.keep_extra = 2;
	assert_string_equal(next(f), "REST");
	f->in.keep_extra = 0;
	f->in.prune_after_ms = 60000;
	f->in.settled_mono_ms = f->in.now_mono_ms - 60000 + 1;
	struct reconcile_step step = reconcile_next(&f->in, app_of(f));
	assert_int_equal(step.kind, RECONCILE_REST);
	assert_int_equal(step.wake_mono_ms, f->in.now_mono_ms + 1);
	f->in.settled_mono_ms = 0;
	app_of(f)->flip.reason = STATE_FLIP_ACTIVATE;
	assert_string_equal(next(f), "REST");
	app_of(f)->flip.reason = STATE_FLIP_NONE;
	version(f, 'a')->on_disk = false;
	(void)want(f, 'd', "d");
	assert_string_equal(next(f), "PRUNE vc");
	version(f, 'c')->on_disk = false;
	(void)want(f, 'd', "d");
	assert_string_equal(next(f), "REST");
	assert_int_equal(app_of(f)->version_count, 2);
}

static void test_reconcile_slug_of_another_app_is_refused(void **state)
{
	struct fixture *f = *state;
	struct reconcile_activity quiet = {.pulling = NULL};
	(void)want(f, 'x', "x");
	Sluice__V1__ManifestApp *thief = want_app(&f->arena, 'b', 'y', "y");
	thief->slug = sl_arena_strdup(&f->arena, "app-a");
	f->manifest = want_manifest(&f->arena, 2);
	want_add(&f->arena, f->manifest, thief);
	f->in.manifest = f->manifest;
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	assert_int_equal(reconcile_merge(f->state, f->manifest, &err), SL_OK);
	struct state_app *app = f->state->apps[1];
	assert_true(reconcile_clashes(f->state, app));
	assert_int_equal(reconcile_next(&f->in, app).kind, RECONCILE_REST);
	assert_int_equal(reconcile_view(&f->in, app, &quiet).phase,
			 SLUICE__V1__PHASE__PHASE_FAILED);
	state_app_remove(f->state, f->state->apps[0]); /* the first is forgotten */
	app = f->state->apps[0];
	assert_false(reconcile_clashes(f->state, app));
	assert_int_equal(reconcile_next(&f->in, app).kind, RECONCILE_FETCH);
}

static void test_reconcile_adopts_what_was_found_on_disk(void **state)
{
	struct fixture *f = *state;
	struct state_app *found = state_app_add(f->state, "", "app-a");
	struct state_version *there = state_version_add(found, "", "", NULL);
	(void)state_text(there->folder, sizeof(there->folder), "vx-787878787878");
	there->on_disk = true;
	(void)state_text(found->active, sizeof(found->active), there->folder);
	(void)want(f, 'x', "x");
	assert_int_equal(f->state->app_count, 1);
	assert_string_equal(found->id, want_id(&f->arena, "app", 'a'));
	assert_ptr_equal(version(f, 'x'), there);
	assert_string_equal(next(f), "REST");
}

/* What is told of the app's subject. */
/* An entry as `sluice-agent import` makes it: no id, the content of version `letter`. */
static struct state_version *import(struct fixture *f, struct state_app *app, char letter)
{
	const Sluice__V1__Bundle *bundle = want_bundle(&f->arena, letter);
	struct state_version *version =
	    state_version_add(app, "", bundle->version, bundle->digest.data);
	version->on_disk = true;
	version->imported_unix_ms = 1000;
	return version;
}

static void test_reconcile_activates_what_was_imported_once_it_is_named(void **state)
{
	struct fixture *f = *state;
	want(f, 'x', "x");
	version(f, 'x')->on_disk = true;
	serve(f, 'x');
	struct state_version *imported = import(f, app_of(f), 'y');
	(void)state_text(imported->folder, sizeof(imported->folder), "renamed-since");
	want(f, 'x', "x");
	assert_string_equal(next(f), "REST");
	want(f, 'y', "xy");
	assert_ptr_equal(version(f, 'y'), imported);
	assert_int_equal(imported->imported_unix_ms, 0);
	assert_string_equal(next(f), "ACTIVATE vy");
	assert_string_equal(imported->folder, "renamed-since");
}

static void test_reconcile_keeps_what_was_imported_for_its_time(void **state)
{
	struct fixture *f = *state;
	want(f, 'x', "x");
	version(f, 'x')->on_disk = true;
	serve(f, 'x');
	(void)import(f, app_of(f), 'y');
	f->in.now_unix_ms = 1000 + RECONCILE_IMPORTED_KEPT_MS - 1;
	assert_string_equal(next(f), "REST");
	f->in.now_unix_ms++;
	assert_string_equal(next(f), "PRUNE vy");
}

static void test_reconcile_imported_app_waits_for_its_id(void **state)
{
	struct fixture *f = *state;
	struct state_app *app = state_app_add(f->state, "", "app-a");
	struct state_version *imported = import(f, app, 'x');
	f->manifest = want_manifest(&f->arena, 1);
	f->in.manifest = f->manifest;
	assert_string_equal(next(f), "REST");
	f->in.now_unix_ms = 1000 + RECONCILE_IMPORTED_KEPT_MS;
	assert_string_equal(next(f), "PRUNE vx");
	f->in.now_unix_ms = 1000;
	want(f, 'x', "x");
	assert_ptr_equal(app_of(f), app);
	assert_ptr_equal(version(f, 'x'), imported);
	assert_string_equal(next(f), "ACTIVATE vx");
}

static void test_reconcile_view_phases(void **state)
{
	static const struct {
		bool on_disk, active, pulling, verifying, activating, degraded, transient;
		enum state_outcome outcome;
		const char *error;
		Sluice__V1__Phase phase;
		Sluice__V1__ErrorClass error_class;
	} rows[] = {
	    {0, 0, 0, 0, 0, 0, 0, STATE_OPEN, "", SLUICE__V1__PHASE__PHASE_PENDING, 0},
	    {0, 0, 0, 0, 0, 0, 1, STATE_OPEN, "away", SLUICE__V1__PHASE__PHASE_PENDING, 1},
	    {0, 0, 1, 0, 0, 0, 1, STATE_OPEN, "away", SLUICE__V1__PHASE__PHASE_FETCHING, 0},
	    {0, 0, 1, 1, 0, 0, 0, STATE_OPEN, "", SLUICE__V1__PHASE__PHASE_VERIFYING, 0},
	    {1, 0, 0, 0, 0, 0, 0, STATE_OPEN, "", SLUICE__V1__PHASE__PHASE_STAGED, 0},
	    {1, 1, 0, 0, 1, 0, 0, STATE_OPEN, "", SLUICE__V1__PHASE__PHASE_ACTIVATING, 0},
	    {1, 1, 0, 0, 0, 0, 0, STATE_OPEN, "", SLUICE__V1__PHASE__PHASE_HEALTHY, 0},
	    {1, 1, 0, 0, 0, 1, 1, STATE_OPEN, "503", SLUICE__V1__PHASE__PHASE_DEGRADED, 1},
	    {0, 0, 0, 0, 0, 0, 0, STATE_FAILED, "bad", SLUICE__V1__PHASE__PHASE_FAILED, 2},
	    {1, 0, 0, 0, 0, 0, 0, STATE_ROLLED_BACK, "no", SLUICE__V1__PHASE__PHASE_ROLLED_BACK, 2},
	};
	struct fixture *f = *state;
	(void)want(f, 'x', "x");
	for (size_t i = 0; i < SL_COUNT(rows); i++) {
		struct state_version *subject = version(f, 'x');
		struct reconcile_activity activity = {.pulling = rows[i].pulling ? subject : NULL,
						      .verifying = rows[i].verifying,
						      .activating = rows[i].activating};
		subject->on_disk = rows[i].on_disk;
		subject->outcome = rows[i].outcome;
		subject->transient = rows[i].transient;
		state_error_text(subject->error, rows[i].error);
		app_of(f)->degraded = rows[i].degraded;
		(void)state_text(app_of(f)->active, STATE_FOLDER_SIZE,
				 rows[i].active ? subject->folder : "");
		struct reconcile_view view = reconcile_view(&f->in, app_of(f), &activity);
		assert_ptr_equal(view.subject, subject);
		if (view.phase != rows[i].phase || view.error_class != rows[i].error_class) {
			fail_msg("row %zu: phase %d class %d", i, view.phase, view.error_class);
		}
	}
}

static void test_reconcile_view_without_anything_to_activate(void **state)
{
	struct fixture *f = *state;
	struct reconcile_activity quiet = {.pulling = NULL};
	(void)want(f, 0, "xy");
	version(f, 'x')->on_disk = true;
	struct reconcile_view view = reconcile_view(&f->in, app_of(f), &quiet);
	assert_ptr_equal(view.subject, version(f, 'y'));
	assert_int_equal(view.phase, SLUICE__V1__PHASE__PHASE_PENDING);
	version(f, 'y')->on_disk = true;
	assert_int_equal(reconcile_view(&f->in, app_of(f), &quiet).phase,
			 SLUICE__V1__PHASE__PHASE_STAGED);
}

static void test_reconcile_backoff_doubles_up_to_its_bound(void **state)
{
	static const struct {
		unsigned failed, jitter;
		uint32_t random;
		uint64_t pause;
	} rows[] = {
	    {0, 0, 0, 1000},    {1, 0, 0, 1000},        {2, 0, 0, 2000},  {3, 0, 0, 4000},
	    {7, 0, 0, 60000},   {4000000, 0, 9, 60000}, {1, 20, 0, 1000}, {1, 20, 200, 1200},
	    {1, 20, 201, 1000}, {1, 100, 999, 1999},
	};
	(void)state;
	for (size_t i = 0; i < SL_COUNT(rows); i++) {
		assert_int_equal(reconcile_backoff_ms(rows[i].failed, 1000, 60000, rows[i].jitter,
						      rows[i].random),
				 rows[i].pause);
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(test_reconcile_next_step),
	    TEST(test_reconcile_waits_for_config),
	    TEST(test_reconcile_reloads_after_the_flip),
	    TEST(test_reconcile_manual_fetches_what_was_let_through),
	    TEST(test_reconcile_manual_holds_another_content),
	    TEST(test_reconcile_removed_app_is_taken_down_then_forgotten),
	    TEST(test_reconcile_absent_app_goes_on_as_orphan),
	    TEST(test_reconcile_ended_attempt_opens_with_its_entry_only),
	    TEST(test_reconcile_failed_fetch_opens_with_another_source),
	    TEST(test_reconcile_new_content_of_a_version_is_fetched),
	    TEST(test_reconcile_folders_of_equal_prefix_differ),
	    TEST(test_reconcile_waits_for_the_back_off),
	    TEST(test_reconcile_prunes_late_and_never_what_is_needed),
	    TEST(test_reconcile_slug_of_another_app_is_refused),
	    TEST(test_reconcile_adopts_what_was_found_on_disk),
	    TEST(test_reconcile_activates_what_was_imported_once_it_is_named),
	    TEST(test_reconcile_keeps_what_was_imported_for_its_time),
	    TEST(test_reconcile_imported_app_waits_for_its_id),
	    TEST(test_reconcile_view_phases),
	    TEST(test_reconcile_view_without_anything_to_activate),
	    TEST(test_reconcile_backoff_doubles_up_to_its_bound),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
