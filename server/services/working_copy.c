/* FleetService: working copies of drafts, which agents of development instances push. */
#include <string.h>

#include "base/mem/own.h"
#include "server/config/config.h"
#include "server/records/instances.h"
#include "server/records/pushes.h"
#include "server/records/versions.h"
#include "server/services/fleet_internal.h"
#include "server/services/noun_checks.h"
#include "server/services/push.h"

/* --- PushWorkingCopy -------------------------------------------------------------------- */

sl_code working_copy_push_check(const void *message, struct sl_err *err)
{
	const Sluice__V1__PushWorkingCopyRequest *request = message;
	sl_code code = check_reference("app", request->app, err);
	code = code != SL_OK ? code : check_reference("instance", request->instance, err);
	code = code != SL_OK ? code : check_reference_or_empty("version", request->version, err);
	return code != SL_OK ? code : push_check_message(request->message, err);
}

/* What the request is about. */
struct working_copy {
	Sluice__Store__V1__AppRecord *app;
	Sluice__Store__V1__VersionRecord *version;
	Sluice__Store__V1__InstanceRecord *instance;
};

static sl_code find_working_copy(struct decision *d,
				 const Sluice__V1__PushWorkingCopyRequest *request,
				 struct working_copy *about, struct sl_err *err)
{
	sl_code code = app_find(d->view, d->arena, d->workspace, request->app, &about->app, err);
	code = code != SL_OK ? code
			     : instance_find(d->view, d->arena, d->workspace, request->instance,
					     &about->instance, err);
	if (code != SL_OK) {
		return code;
	}
	return request->version[0] == '\0'
		   ? pushes_find_draft(d->view, d->arena, d->workspace, about->app, &about->version,
				       err)
		   : version_find(d->view, d->arena, d->workspace, about->app, request->version,
				  &about->version, err);
}

/* As far as memory knows: an order that nobody takes would hold up the repository's other commits.
 */
static sl_code check_agent(struct decision *d, const struct working_copy *about, struct sl_err *err)
{
	const struct services *services = d->services;
	struct fleet_working_copy copy = {.connected = false};
	fleet_working_copy_read(services->fleet, about->instance->id, about->app->id, &copy);
	if (!copy.connected) {
		return sl_err_because(err, SL_FAILED_PRECONDITION, SL_REASON_AGENT_OFFLINE,
				      "the agent of instance '%s' is not connected: nothing can be "
				      "pushed from there",
				      about->instance->name);
	}
	return strcmp(copy.version_id, about->version->id) == 0
		   ? SL_OK
		   : sl_err_because(
			 err, SL_FAILED_PRECONDITION, SL_REASON_NO_WORKING_COPY,
			 "instance '%s' has no working copy of version '%s' of '%s': it has one of "
			 "the draft that it runs",
			 about->instance->name, about->version->name, about->app->name);
}

sl_code working_copy_push_decide(struct decision *d, const void *message, void *reply,
				 struct sl_err *err)
{
	const Sluice__V1__PushWorkingCopyRequest *request = message;
	Sluice__V1__PushWorkingCopyResponse *response = reply;
	const struct services *services = d->services;
	Sluice__Store__V1__LeaseRecord *lease = NULL;
	struct working_copy about = {.app = NULL};
	sl_code code = find_working_copy(d, request, &about, err);
	if (code != SL_OK) {
		return code;
	}
	uint64_t deadline = services->config->git_deadline_ms;
	const struct commit_push push = {
	    .instance_id = about.instance->id,
	    .expires_ms = d->now_ms + (deadline < PUSH_MAX_MS ? deadline : PUSH_MAX_MS),
	    .message = request->message,
	    .onto = request->onto};
	code = pushes_decide_order(d, about.app, about.version, about.instance, &push, &lease, err);
	code = code != SL_OK ? code : check_agent(d, &about, err);
	if (code == SL_OK) {
		struct wire wire = wire_of(d);
		response->version = wire_version(&wire, about.version, about.app, NULL, 0);
		response->lease = wire_lease(&wire, about.app, lease);
	}
	return code;
}

/* --- BreakLease --------------------------------------------------------------------------- */

sl_code working_copy_break_lease_check(const void *message, struct sl_err *err)
{
	const Sluice__V1__BreakLeaseRequest *request = message;
	return check_reference("app", request->app, err);
}

sl_code working_copy_break_lease_decide(struct decision *d, const void *message, void *reply,
					struct sl_err *err)
{
	const Sluice__V1__BreakLeaseRequest *request = message;
	Sluice__V1__BreakLeaseResponse *response = reply;
	Sluice__Store__V1__AppRecord *app = NULL;
	Sluice__Store__V1__LeaseRecord *lease = NULL;
	sl_code code = app_find(d->view, d->arena, d->workspace, request->app, &app, err);
	code = code != SL_OK ? code : leases_decide_break(d, app, &lease, err);
	if (code == SL_OK) {
		struct wire wire = wire_of(d);
		response->lease = wire_lease(&wire, app, lease);
	}
	return code;
}
