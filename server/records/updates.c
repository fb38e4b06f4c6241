#include "server/records/updates.h"

#include <string.h>

#include "base/crypto/crypto.h"
#include "server/records/desired_load.h"
#include "server/records/instances.h"

const Sluice__Store__V1__PullRecord *
updates_pulled(const Sluice__Store__V1__InstanceRecord *instance, const char *app_id)
{
	for (size_t i = 0; i < instance->n_pulls; i++) {
		if (strcmp(instance->pulls[i]->app_id, app_id) == 0) {
			return instance->pulls[i];
		}
	}
	return NULL;
}

bool updates_hold(const Sluice__Store__V1__InstanceRecord *instance, const char *app_id,
		  const Sluice__Store__V1__VersionRecord *version)
{
	if (instance->pull != SLUICE__V1__PULL_MODE__PULL_MODE_MANUAL) {
		return false;
	}
	const Sluice__Store__V1__PullRecord *pulled = updates_pulled(instance, app_id);
	const Sluice__Store__V1__ContentRecord *content = version->content;
	return pulled == NULL || content == NULL || strcmp(pulled->version_id, version->id) != 0 ||
	       !sl_bytes_equal(SL_BYTES(pulled->digest.data, pulled->digest.len),
			       SL_BYTES(content->digest.data, content->digest.len));
}

/* --- Pull --------------------------------------------------------------------------- */

/* The app's place in the instance's list, which is made when there is none. */
static Sluice__Store__V1__PullRecord *
pull_of(struct decision *d, Sluice__Store__V1__InstanceRecord *instance, char *app_id)
{
	Sluice__Store__V1__PullRecord *pull =
	    (Sluice__Store__V1__PullRecord *)updates_pulled(instance, app_id);
	size_t count = instance->n_pulls;
	if (pull != NULL) {
		return pull;
	}
	Sluice__Store__V1__PullRecord **pulls =
	    SL_ARENA_ARRAY(d->arena, Sluice__Store__V1__PullRecord *, count + 1);
	pull = SL_ARENA_NEW(d->arena, Sluice__Store__V1__PullRecord);
	if (pulls == NULL || pull == NULL) {
		return NULL;
	}
	sluice__store__v1__pull_record__init(pull);
	pull->app_id = app_id;
	if (count > 0) {
		memcpy(pulls, instance->pulls, count * sizeof(*pulls));
	}
	pulls[count] = pull;
	instance->pulls = pulls;
	instance->n_pulls = count + 1;
	return pull;
}

/* Is the instance told to have it, as the caller believes? */
static sl_code check_told(struct decision *d, const struct updates_wish *wish,
			  const Sluice__Store__V1__InstanceRecord *instance,
			  const Sluice__Store__V1__AppRecord *app,
			  const Sluice__Store__V1__VersionRecord *version, struct sl_err *err)
{
	struct desired_app desired;
	struct desired_choice choice = {.keep_count = 0};
	sl_code code = desired_load(d->view, d->arena, d->workspace, app->id, &desired, err);
	if (code != SL_OK) {
		return code;
	}
	if (desired_is_placed(app, instance)) {
		desired_choose(&desired.input, instance->environment, instance->id, &choice);
	}
	bool told = false;
	for (size_t i = 0; i < choice.keep_count; i++) {
		told = told || choice.keep[i] == version->number;
	}
	const char *commit = version->content != NULL ? version->content->commit : "";
	if (!told || commit[0] == '\0') {
		return sl_err_because(err, SL_ABORTED, SL_REASON_STALE_EXPECTATION,
				      "instance '%s' is not told to have version '%s' of app '%s' "
				      "(any more): look at its updates again",
				      instance->name, version->name, app->name);
	}
	if (wish->commit[0] != '\0' && strcmp(wish->commit, commit) != 0) {
		return sl_err_because(err, SL_ABORTED, SL_REASON_STALE_EXPECTATION,
				      "version '%s' of app '%s' has commit %.40s now, not %.40s: "
				      "look at the instance's updates again",
				      version->name, app->name, commit, wish->commit);
	}
	return SL_OK;
}

sl_code updates_decide_pull(struct decision *d, const struct updates_wish *wish,
			    Sluice__Store__V1__InstanceRecord **ret_instance,
			    Sluice__Store__V1__VersionRecord **ret_version, struct sl_err *err)
{
	Sluice__Store__V1__InstanceRecord *instance = NULL;
	Sluice__Store__V1__AppRecord *app = NULL;
	Sluice__Store__V1__VersionRecord *version = NULL;
	sl_code code = instance_find_expected(d, wish->instance, &instance, err);
	code =
	    code != SL_OK ? code : app_find(d->view, d->arena, d->workspace, wish->app, &app, err);
	code = code != SL_OK ? code
			     : version_find(d->view, d->arena, d->workspace, app, wish->version,
					    &version, err);
	code = code != SL_OK ? code : check_told(d, wish, instance, app, version, err);
	if (code != SL_OK) {
		return code;
	}
	*ret_instance = instance;
	*ret_version = version;
	if (!updates_hold(instance, app->id, version)) {
		return SL_OK;
	}
	Sluice__Store__V1__PullRecord *pull = pull_of(d, instance, app->id);
	if (pull == NULL) {
		return sl_err_no_memory(err);
	}
	pull->version_id = version->id;
	pull->digest = version->content->digest;
	instance_put(d, SLUICE__V1__EVENT_TYPE__EVENT_TYPE_UPDATED, instance);
	return SL_OK;
}
