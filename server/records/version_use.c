#include "server/records/version_use.h"

#include <string.h>

#include "base/mem/own.h"
#include "server/records/desired_load.h"
#include "server/records/placement.h"
#include "server/records/statuses.h"

/* What is looked for on the instances. */
struct holder {
	struct decision *d;
	const Sluice__Store__V1__AppRecord *app;
	const Sluice__Store__V1__VersionRecord *version;
	const struct desired_app *desired;
};

static sl_code version_held(const struct holder *h, const char *by, const char *instance,
			    struct sl_err *err)
{
	return sl_err_because(err, SL_FAILED_PRECONDITION, SL_REASON_VERSION_IN_USE,
			      "version '%s' of app '%s' %s%s: a version in use cannot be deleted",
			      h->version->name, h->app->name, by, instance);
}

static sl_code app_held(const struct holder *h, const char *by, const char *environment,
			struct sl_err *err)
{
	return sl_err_because(err, SL_FAILED_PRECONDITION, SL_REASON_APP_IN_USE,
			      "app '%s' %s%s: an app in use cannot be deleted", h->app->name, by,
			      environment);
}

/* Is the version what an instance serves, as it says itself? */
static sl_code is_active(const struct holder *h, const char *instance_id, bool *ret_active,
			 struct sl_err *err)
{
	struct decision *d = h->d;
	Sluice__Store__V1__StatusRecord *status = NULL;
	sl_code code =
	    status_get(d->view, d->arena, d->workspace, instance_id, h->app->id, &status, err);
	*ret_active = code == SL_OK && strcmp(status->active_version_id, h->version->id) == 0;
	return code == SL_NOT_FOUND ? SL_OK : code;
}

static sl_code held_on(const struct holder *h, const char *by, const char *instance_id,
		       struct sl_err *err)
{
	struct decision *d = h->d;
	Sluice__Store__V1__InstanceRecord *instance = NULL;
	sl_code code = instance_get(d->view, d->arena, d->workspace, instance_id, &instance, err);
	if (code != SL_OK && code != SL_NOT_FOUND) {
		return code;
	}
	return version_held(h, by, code == SL_OK ? instance->name : instance_id, err);
}

static sl_code check_running(const struct holder *h, struct sl_err *err)
{
	SL_AUTO(app_statuses_end) struct app_statuses walk;
	app_statuses_begin(&walk, h->d->view, h->d->workspace, h->app->id);
	while (app_statuses_next(&walk)) {
		bool active = false;
		sl_code code = is_active(h, walk.instance_id, &active, err);
		if (code != SL_OK || active) {
			return active ? held_on(h, "runs on instance ", walk.instance_id, err)
				      : code;
		}
	}
	return app_statuses_result(&walk, err);
}

/* Is any instance at all told to run it, if the app is placed there? */
static bool may_be_told(const struct holder *h)
{
	const struct desired_input *input = &h->desired->input;
	bool told = false;
	for (size_t i = 0; i < input->pin_count; i++) {
		told = told || input->pins[i].version == h->version->number;
	}
	for (uint32_t environment = 1; environment <= ENV_COUNT; environment++) {
		struct desired_choice choice;
		desired_choose(input, environment, NULL, &choice);
		told = told || choice.selected == h->version->number;
	}
	return told;
}

static sl_code check_told(const struct holder *h, struct sl_err *err)
{
	SL_AUTO(placed_end) struct placed placed;
	placed_begin(&placed, h->d->view, h->d->workspace, h->app, 0);
	while (placed_next(&placed)) {
		struct desired_choice choice;
		desired_choose(&h->desired->input, placed.environment, placed.id, &choice);
		if (choice.selected == h->version->number) {
			return held_on(h, "is what is selected for instance ", placed.id, err);
		}
	}
	return placed_result(&placed, err);
}

sl_code version_unused(struct decision *d, const Sluice__Store__V1__AppRecord *app,
		       const Sluice__Store__V1__VersionRecord *version, struct sl_err *err)
{
	struct desired_app desired;
	struct holder h = {.d = d, .app = app, .version = version, .desired = &desired};
	sl_code code = desired_load(d->view, d->arena, d->workspace, app->id, &desired, err);
	if (code != SL_OK) {
		return code;
	}
	if (desired.input.released == version->number) {
		return version_held(&h, "is released", "", err);
	}
	code = check_running(&h, err);
	return code == SL_OK && may_be_told(&h) ? check_told(&h, err) : code;
}

static sl_code check_pins(const struct holder *h, struct sl_err *err)
{
	struct decision *d = h->d;
	struct record_key prefix = KEY(d->workspace, key_text(k, h->app->id));
	SL_AUTO(store_walk_end) struct store_walk walk;
	store_walk_begin(&walk, d->view, TABLE_SELECTIONS, key_bytes(&prefix), STORE_FORWARD);
	if (!store_walk_next(&walk)) {
		return store_walk_result(&walk, err);
	}
	uint32_t environment =
	    walk.key.size >= prefix.size + 4 ? sl_get_be32(walk.key.data + prefix.size) : 0;
	return app_held(h, "has a version pinned in ", environment_name(environment), err);
}

sl_code app_unused(struct decision *d, const Sluice__Store__V1__AppRecord *app, struct sl_err *err)
{
	struct holder h = {.d = d, .app = app};
	Sluice__Store__V1__ReleaseRecord *release = NULL;
	sl_code code = release_get(d->view, d->arena, d->workspace, app->id, &release, err);
	if (code != SL_OK && code != SL_NOT_FOUND) {
		return code;
	}
	if (code == SL_OK && release->version != 0) {
		return app_held(&h, "has a released version", "", err);
	}
	return check_pins(&h, err);
}
