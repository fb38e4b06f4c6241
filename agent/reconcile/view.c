#include <string.h>

#include "agent/reconcile/reconcile.h"

struct reconcile_view reconcile_view_of(const struct state_version *version)
{
	struct reconcile_view view = {
	    .subject = version,
	    .phase = version->on_disk ? SLUICE__V1__PHASE__PHASE_STAGED
				      : SLUICE__V1__PHASE__PHASE_PENDING,
	    .error = version->error,
	};
	if (version->outcome == STATE_FAILED) {
		view.phase = SLUICE__V1__PHASE__PHASE_FAILED;
	} else if (version->outcome == STATE_ROLLED_BACK) {
		view.phase = SLUICE__V1__PHASE__PHASE_ROLLED_BACK;
	}
	if (version->error[0] != '\0') {
		view.error_class = version->transient
				       ? SLUICE__V1__ERROR_CLASS__ERROR_CLASS_TRANSIENT
				       : SLUICE__V1__ERROR_CLASS__ERROR_CLASS_PERMANENT;
	}
	return view;
}

/* What is to be active is there, and lacks the signature that somebody offline has yet to give. */
static struct reconcile_view unsigned_release(const struct state_version *subject)
{
	return (struct reconcile_view){
	    .subject = subject,
	    .phase = SLUICE__V1__PHASE__PHASE_NOT_READY,
	    .error_class = SLUICE__V1__ERROR_CLASS__ERROR_CLASS_RELEASE_UNSIGNED,
	    .error = "not activated: the version lacks the signature of the release key that this "
		     "instance demands (sluice release sign)",
	};
}

/* Some of its config is missing: it becomes ready by itself when that comes. */
static struct reconcile_view not_ready(const struct state_version *subject)
{
	return (struct reconcile_view){
	    .subject = subject,
	    .phase = SLUICE__V1__PHASE__PHASE_NOT_READY,
	    .error_class = SLUICE__V1__ERROR_CLASS__ERROR_CLASS_TRANSIENT,
	    .error = subject->not_ready,
	};
}

/* Is there, and to be active but for one thing? */
static bool waits(const struct state_version *subject, const Sluice__V1__ManifestApp *want)
{
	return subject->on_disk && subject->outcome == STATE_OPEN && want != NULL &&
	       strcmp(want->activate, subject->id) == 0;
}

static bool waits_for_signature(const struct state_version *subject,
				const Sluice__V1__ManifestApp *want)
{
	return subject->release_missing && waits(subject, want);
}

static bool waits_for_config(const struct state_version *subject,
			     const Sluice__V1__ManifestApp *want)
{
	return !reconcile_is_ready(subject) && waits(subject, want);
}

/* What the app is about: what is to be active; else what is served; else the
 * first of what is kept that is not there yet, or the first. */
static const struct state_version *subject_of(const struct state_app *app,
					      const Sluice__V1__ManifestApp *want)
{
	const struct state_version *active = state_active(app);
	if (want == NULL) {
		return active;
	}
	const Sluice__V1__Bundle *bundle = manifest_bundle(want, want->activate);
	if (bundle != NULL) {
		return reconcile_version(app, bundle);
	}
	if (active != NULL) {
		return active;
	}
	const struct state_version *first = NULL;
	for (size_t i = 0; i < want->n_keep; i++) {
		const struct state_version *version = reconcile_version(app, want->keep[i]);
		if (version != NULL && !version->on_disk) {
			return version;
		}
		first = first == NULL ? version : first;
	}
	return first;
}

static struct reconcile_view of_active(const struct state_app *app,
				       const struct state_version *subject,
				       const struct reconcile_activity *activity)
{
	struct reconcile_view view = {
	    .subject = subject, .phase = SLUICE__V1__PHASE__PHASE_HEALTHY, .error = ""};
	if (activity->activating) {
		view.phase = SLUICE__V1__PHASE__PHASE_ACTIVATING;
	} else if (app->degraded) {
		view.phase = SLUICE__V1__PHASE__PHASE_DEGRADED;
		view.error = subject->error;
		view.error_class = SLUICE__V1__ERROR_CLASS__ERROR_CLASS_TRANSIENT;
	} else if (!reconcile_is_ready(subject)) {
		view = not_ready(subject);
	}
	return view;
}

static struct reconcile_view clash(const struct state_version *subject)
{
	return (struct reconcile_view){
	    .subject = subject,
	    .phase = SLUICE__V1__PHASE__PHASE_FAILED,
	    .error_class = SLUICE__V1__ERROR_CLASS__ERROR_CLASS_PERMANENT,
	    .error = "the app's folder belongs to another app on this instance that the server has "
		     "not had removed",
	};
}

static bool waits_for_pull(const struct reconcile_input *in, const struct state_version *subject,
			   const Sluice__V1__ManifestApp *want)
{
	const Sluice__V1__Bundle *bundle =
	    want != NULL && subject != NULL ? manifest_bundle(want, subject->id) : NULL;
	return bundle != NULL && !subject->on_disk && subject->outcome == STATE_OPEN &&
	       !reconcile_may_fetch(in->manifest, want, bundle);
}

struct reconcile_view reconcile_view(const struct reconcile_input *in, const struct state_app *app,
				     const struct reconcile_activity *activity)
{
	const Sluice__V1__ManifestApp *want = manifest_app(in->manifest, app->id);
	const struct state_version *subject = subject_of(app, want);
	struct reconcile_view view = {
	    .subject = subject, .phase = SLUICE__V1__PHASE__PHASE_STAGED, .error = ""};
	if (want != NULL && reconcile_clashes(in->state, app)) {
		view = clash(subject);
	} else if (subject != NULL && strcmp(subject->folder, app->active) == 0) {
		view = of_active(app, subject, activity);
	} else if (subject != NULL && subject->outcome == STATE_OPEN &&
		   subject == activity->pulling) {
		view.phase = activity->verifying ? SLUICE__V1__PHASE__PHASE_VERIFYING
						 : SLUICE__V1__PHASE__PHASE_FETCHING;
		view.percent = activity->percent;
	} else if (subject != NULL && waits_for_signature(subject, want)) {
		view = unsigned_release(subject);
	} else if (subject != NULL && waits_for_config(subject, want)) {
		view = not_ready(subject);
	} else if (subject != NULL) {
		view = reconcile_view_of(subject);
	}
	view.held = waits_for_pull(in, subject, want);
	view.orphaned =
	    in->manifest != NULL && want == NULL && !manifest_removes(in->manifest, app->id);
	return view;
}

uint64_t reconcile_backoff_ms(unsigned failed, uint64_t first_ms, uint64_t max_ms,
			      unsigned jitter_percent, uint32_t random)
{
	uint64_t pause = first_ms;
	for (unsigned i = 1; i < failed && pause < max_ms; i++) {
		pause *= 2;
	}
	pause = pause > max_ms ? max_ms : pause;
	uint64_t room = pause * jitter_percent / 100;
	return pause + (room > 0 ? random % (room + 1) : 0);
}
