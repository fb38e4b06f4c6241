#include "server/records/version_use.h"

#include <string.h>

#include "base/mem/own.h"
#include "server/records/desired_load.h"

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

/* What the instance says that it serves. */
static sl_code check_running(const struct holder *h,
			     const Sluice__Store__V1__InstanceRecord *instance, struct sl_err *err)
{
	struct decision *d = h->d;
	struct record_key key =
	    KEY(d->workspace, key_text(k, instance->id), key_text(k, h->app->id));
	Sluice__Store__V1__StatusRecord *status = NULL;
	sl_code code = record_get(d->view, d->arena, TABLE_STATUSES, &key,
				  &sluice__store__v1__status_record__descriptor, &status, err);
	if (code == SL_NOT_FOUND || (code == SL_OK && status->active_version_id[0] == '\0')) {
		return SL_OK;
	}
	if (code != SL_OK) {
		return code;
	}
	return strcmp(status->active_version_id, h->version->id) == 0
		   ? version_held(h, "runs on instance ", instance->name, err)
		   : SL_OK;
}

/* What the instance is told to run. */
static sl_code check_told(const struct holder *h, const Sluice__Store__V1__InstanceRecord *instance,
			  struct sl_err *err)
{
	if (!desired_is_placed(h->app, instance)) {
		return SL_OK;
	}
	struct desired_choice choice;
	desired_choose(&h->desired->input, instance->environment, instance->id, &choice);
	return choice.selected == h->version->number
		   ? version_held(h, "is what is selected for instance ", instance->name, err)
		   : SL_OK;
}

static sl_code check_instances(const struct holder *h, struct sl_err *err)
{
	struct decision *d = h->d;
	struct record_key prefix = key_of(d->workspace);
	SL_AUTO(store_walk_end) struct store_walk walk;
	store_walk_begin(&walk, d->view, TABLE_INSTANCES, key_bytes(&prefix), STORE_FORWARD);
	while (store_walk_next(&walk)) {
		Sluice__Store__V1__InstanceRecord *instance = NULL;
		sl_code code =
		    record_unpack(d->arena, walk.value,
				  &sluice__store__v1__instance_record__descriptor, &instance, err);
		if (code == SL_OK) {
			code = check_running(h, instance, err);
		}
		if (code == SL_OK) {
			code = check_told(h, instance, err);
		}
		if (code != SL_OK) {
			return code;
		}
	}
	return store_walk_result(&walk, err);
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
	return check_instances(&h, err);
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
