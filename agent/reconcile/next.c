#include <string.h>

#include "agent/reconcile/reconcile.h"

static struct reconcile_step rest_until(uint64_t wake_mono_ms)
{
	return (struct reconcile_step){.kind = RECONCILE_REST, .wake_mono_ms = wake_mono_ms};
}

/* No word of a manifest counts for a flip after its end. */
static bool is_expired(const struct reconcile_input *in)
{
	return in->now_unix_ms >= in->state->expires_unix_ms;
}

bool reconcile_is_ready(const struct state_version *version)
{
	return version->not_ready[0] == '\0';
}

/* The version to activate, as far as it may be; NULL: none. */
static struct state_version *to_activate(const struct reconcile_input *in,
					 const struct state_app *app,
					 const Sluice__V1__ManifestApp *want)
{
	const Sluice__V1__Bundle *bundle = manifest_bundle(want, want->activate);
	struct state_version *version = bundle != NULL ? reconcile_version(app, bundle) : NULL;
	if (version == NULL || !version->on_disk || version->outcome != STATE_OPEN ||
	    version->retry_at_ms > in->now_mono_ms || in->busy || in->manifest->paused ||
	    version->release_missing || !reconcile_is_ready(version) || is_expired(in) ||
	    strcmp(version->folder, app->active) == 0) {
		return NULL;
	}
	return version;
}

/* Sooner of two times, of which 0 is never. */
static uint64_t sooner(uint64_t a, uint64_t b)
{
	return a == 0 || (b != 0 && b < a) ? b : a;
}

bool reconcile_may_fetch(const Sluice__V1__Manifest *manifest, const Sluice__V1__ManifestApp *want,
			 const Sluice__V1__Bundle *bundle)
{
	const Sluice__V1__PulledStep *pulled = want->pulled;
	return manifest->pull != SLUICE__V1__PULL_MODE__PULL_MODE_MANUAL ||
	       (pulled != NULL && strcmp(pulled->version_id, bundle->version_id) == 0 &&
		memcmp(pulled->digest.data, bundle->digest.data, SL_HASH_BYTES) == 0);
}

/* What is missing on disk: the version to activate first, then in the manifest's order. */
static struct reconcile_step to_fetch(const struct reconcile_input *in, const struct state_app *app,
				      const Sluice__V1__ManifestApp *want)
{
	struct reconcile_step step = rest_until(0);
	for (size_t i = 0; i < want->n_keep; i++) {
		const Sluice__V1__Bundle *bundle = want->keep[i];
		struct state_version *version = reconcile_version(app, bundle);
		if (version == NULL || version->outcome == STATE_FAILED ||
		    !reconcile_may_fetch(in->manifest, want, bundle)) {
			continue;
		}
		bool waits = version->retry_at_ms > in->now_mono_ms;
		bool urgent = strcmp(bundle->version_id, want->activate) == 0;
		if (waits && step.kind == RECONCILE_REST) {
			step.wake_mono_ms = sooner(step.wake_mono_ms, version->retry_at_ms);
		}
		if (waits || version->on_disk || (step.kind == RECONCILE_FETCH && !urgent)) {
			continue;
		}
		step = (struct reconcile_step){.kind = RECONCILE_FETCH,
					       .urgent = urgent,
					       .bundle = bundle,
					       .version = version};
	}
	return step;
}

static bool is_kept(const struct state_app *app, const Sluice__V1__ManifestApp *want,
		    const struct state_version *version)
{
	for (size_t i = 0; i < want->n_keep; i++) {
		if (reconcile_version(app, want->keep[i]) == version) {
			return true;
		}
	}
	return strcmp(version->folder, app->active) == 0 ||
	       strcmp(version->folder, app->previous) == 0;
}

/* A version from a file waits for the manifest that names it, but not for ever. */
static bool awaits_word(const struct reconcile_input *in, const struct state_version *version)
{
	return version->imported_unix_ms != 0 &&
	       in->now_unix_ms < version->imported_unix_ms + RECONCILE_IMPORTED_KEPT_MS;
}

/* The oldest version that nobody needs. Deleting slows the disk down for those
 * who write, so it waits until an activation is well over. */
static struct reconcile_step to_prune(const struct reconcile_input *in, const struct state_app *app,
				      const Sluice__V1__ManifestApp *want)
{
	struct state_version *oldest = NULL;
	unsigned extra = 0;
	for (size_t i = 0; i < app->version_count; i++) {
		struct state_version *version = app->versions[i];
		if (!version->on_disk || is_kept(app, want, version) || awaits_word(in, version)) {
			continue;
		}
		extra++;
		oldest = oldest == NULL ? version : oldest;
	}
	uint64_t at_ms = in->settled_mono_ms + in->prune_after_ms;
	if (extra <= in->keep_extra || in->busy || app->flip.reason != STATE_FLIP_NONE) {
		return rest_until(0);
	}
	if (in->now_mono_ms < at_ms) {
		return rest_until(at_ms);
	}
	return (struct reconcile_step){.kind = RECONCILE_PRUNE, .version = oldest};
}

static struct reconcile_step down(const struct reconcile_input *in)
{
	if (in->busy || is_expired(in)) {
		return rest_until(0);
	}
	return (struct reconcile_step){.kind = RECONCILE_TAKE_DOWN};
}

/* Of an app that no manifest has ever named. */
static struct reconcile_step next_nameless(const struct reconcile_input *in,
					   const struct state_app *app)
{
	for (size_t i = 0; i < app->version_count; i++) {
		struct state_version *version = app->versions[i];
		if (version->imported_unix_ms != 0 && version->on_disk &&
		    strcmp(version->folder, app->active) != 0 && !awaits_word(in, version)) {
			return (struct reconcile_step){.kind = RECONCILE_PRUNE, .version = version};
		}
	}
	return rest_until(0);
}

struct reconcile_step reconcile_next(const struct reconcile_input *in, const struct state_app *app)
{
	if (in->manifest == NULL) {
		return rest_until(0);
	}
	if (app->id[0] == '\0') {
		return next_nameless(in, app);
	}
	bool serves = app->active[0] != '\0';
	if (manifest_removes(in->manifest, app->id)) {
		bool gone = !serves && !in->busy && app->flip.reason == STATE_FLIP_NONE;
		return gone ? (struct reconcile_step){.kind = RECONCILE_FORGET} : down(in);
	}
	const Sluice__V1__ManifestApp *want = manifest_app(in->manifest, app->id);
	if (want == NULL || reconcile_clashes(in->state, app)) {
		return rest_until(0);
	}
	if (want->take_down && serves) {
		return down(in);
	}
	struct state_version *version = to_activate(in, app, want);
	if (version != NULL) {
		return (struct reconcile_step){.kind = RECONCILE_ACTIVATE, .version = version};
	}
	if (in->reload_due && serves && !in->busy && app->flip.reason == STATE_FLIP_NONE) {
		return (struct reconcile_step){.kind = RECONCILE_RELOAD};
	}
	struct reconcile_step fetch = to_fetch(in, app, want);
	if (fetch.kind == RECONCILE_FETCH) {
		return fetch;
	}
	struct reconcile_step prune = to_prune(in, app, want);
	if (prune.kind == RECONCILE_REST) {
		prune.wake_mono_ms = sooner(prune.wake_mono_ms, fetch.wake_mono_ms);
	}
	return prune;
}
