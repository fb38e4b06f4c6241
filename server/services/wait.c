/* WaitFor: waits on the server. server/fleet says when to look again; what is looked for is here.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock/clock.h"
#include "base/mem/own.h"
#include "server/services/fleet_internal.h"

enum { FAILURES_MAX = 20, TIMEOUT_DEFAULT_MS = 60000, TIMEOUT_MAX_MS = 3600000 };

SL_DEFINE_AUTO(const struct store_view *, store_view_end);

static bool is_of_instances(const Sluice__V1__WaitForRequest *request)
{
	return request->condition == SLUICE__V1__WAIT_CONDITION__WAIT_CONDITION_CONVERGED ||
	       request->condition == SLUICE__V1__WAIT_CONDITION__WAIT_CONDITION_STAGED;
}

sl_code wait_check(const void *message, struct sl_err *err)
{
	const Sluice__V1__WaitForRequest *request = message;
	if (request->condition < SLUICE__V1__WAIT_CONDITION__WAIT_CONDITION_CONVERGED ||
	    request->condition > SLUICE__V1__WAIT_CONDITION__WAIT_CONDITION_PUBLISHED) {
		return sl_err_malformed(err, "condition",
					"must be CONVERGED, STAGED, CONTENT or PUBLISHED");
	}
	if (request->timeout_ms > TIMEOUT_MAX_MS) {
		return sl_err_malformed(err, "timeout_ms", "must be 0 to 3600000");
	}
	if (!is_of_instances(request) &&
	    (request->environment[0] != '\0' || request->instance[0] != '\0')) {
		return sl_err_malformed(err, "environment",
					"and instance are for CONVERGED and STAGED only");
	}
	sl_code code = check_reference("app", request->app, err);
	if (code == SL_OK && is_of_instances(request)) {
		code = check_reference("environment", request->environment, err);
	}
	bool optional = request->condition == SLUICE__V1__WAIT_CONDITION__WAIT_CONDITION_CONVERGED;
	if (code == SL_OK && (!optional || request->version[0] != '\0')) {
		code = check_reference("version", request->version, err);
	}
	return code != SL_OK || request->instance[0] == '\0'
		   ? code
		   : check_reference("instance", request->instance, err);
}

/* --- what is waited for --------------------------------------------------------------- */

struct waiter {
	struct fleet_wait wait;
	struct service_call *call;
	const Sluice__V1__WaitForRequest *request; /* the call's */
	uint32_t workspace, version, environment;  /* version 0: whatever is selected */
	uint64_t since; /* revision at which the waiting began: failures from before do not count */
	char app_id[32], version_id[32], instance_id[32];
	char text[300]; /* how it stood last */
	uint32_t ok, failed, unreachable, pending;
};

/* One look at it. */
struct sight {
	struct waiter *w;
	struct sl_arena *arena;
	struct app_look look;
	Sluice__V1__WaitForResponse response;
	Sluice__V1__InstanceStatus *failures[FAILURES_MAX];
	uint32_t seen;
	bool over;
};

static bool ended_badly(const struct waiter *w, const struct fleet_standing *standing,
			const char *wanted)
{
	bool phase = standing->phase == SLUICE__V1__PHASE__PHASE_FAILED ||
		     standing->phase == SLUICE__V1__PHASE__PHASE_ROLLED_BACK;
	bool ended = (phase && strcmp(standing->version_id, wanted) == 0) ||
		     strcmp(standing->failed_version_id, wanted) == 0;
	return ended && wanted[0] != '\0' && standing->current && standing->position >= w->since;
}

static enum fleet_verdict verdict_of(const struct sight *s, const struct fleet_standing *standing)
{
	const struct waiter *w = s->w;
	const char *wanted =
	    w->version != 0 ? w->version_id
			    : app_look_id(&s->look, app_look_number(&s->look, standing->instance));
	enum fleet_verdict verdict = fleet_judge(standing, wanted);
	if (verdict == FLEET_UNREACHABLE) {
		return verdict;
	}
	if (w->request->condition == SLUICE__V1__WAIT_CONDITION__WAIT_CONDITION_STAGED) {
		verdict = fleet_is_staged(standing, wanted) ? FLEET_OK : FLEET_PENDING;
	}
	if (verdict == FLEET_OK) {
		return verdict;
	}
	return ended_badly(w, standing, wanted) ? FLEET_FAILED : FLEET_PENDING;
}

static void count(void *ctx, const struct fleet_standing *standing)
{
	struct sight *s = ctx;
	enum fleet_verdict verdict = verdict_of(s, standing);
	s->seen++;
	s->response.ok += verdict == FLEET_OK ? 1 : 0;
	s->response.failed += verdict == FLEET_FAILED ? 1 : 0;
	s->response.unreachable += verdict == FLEET_UNREACHABLE ? 1 : 0;
	s->response.pending += verdict == FLEET_PENDING ? 1 : 0;
	if (verdict == FLEET_FAILED && s->response.n_failures < FAILURES_MAX) {
		Sluice__V1__InstanceStatus *status = app_look_status(&s->look, standing);
		if (status != NULL) {
			s->failures[s->response.n_failures++] = status;
		}
	}
}

static const char *what(const struct waiter *w)
{
	return w->request->condition == SLUICE__V1__WAIT_CONDITION__WAIT_CONDITION_STAGED
		   ? "have it on disk"
		   : "serve it";
}

/* At least one agent must be there to say so: with all of them away nothing is known, and the wait
 * goes on. */
static void conclude(struct sight *s)
{
	struct waiter *w = s->w;
	Sluice__V1__WaitForResponse *r = &s->response;
	const char *where = environment_name(w->environment);
	bool reached =
	    r->pending == 0 && (r->unreachable == 0 || (!w->request->require_all && r->ok > 0));
	if (s->seen == 0) {
		(void)snprintf(w->text, sizeof(w->text),
			       "no instance in %s runs app '%.50s': there is nothing to wait for",
			       where, s->look.app->name);
	} else if (r->failed > 0) {
		(void)snprintf(w->text, sizeof(w->text),
			       "%u of %u instances in %s failed, first '%.50s': %.150s", r->failed,
			       s->seen, where, r->n_failures > 0 ? s->failures[0]->instance : "",
			       r->n_failures > 0 ? s->failures[0]->error : "");
	} else {
		(void)snprintf(w->text, sizeof(w->text),
			       "%u of %u instances in %s %s (%u on the way, %u not connected)",
			       r->ok, s->seen, where, what(w), r->pending, r->unreachable);
	}
	r->done = s->seen == 0 || (r->failed == 0 && reached);
	s->over = r->done || r->failed > 0;
}

static sl_code see_instances(struct sight *s, const struct store_view *view,
			     const Sluice__Store__V1__AppRecord *app, struct sl_err *err)
{
	struct waiter *w = s->w;
	struct fleet *fleet = service_call_services(w->call)->fleet;
	sl_code code = app_look_load(view, s->arena, w->workspace, app, &s->look, err);
	if (code != SL_OK) {
		return code;
	}
	if (w->instance_id[0] == '\0') {
		code = fleet_visit(fleet, view, w->workspace, app, w->environment,
				   &(struct fleet_visitor){.visit = count, .ctx = s}, err);
	} else {
		code = fleet_visit_one(fleet, view, w->workspace, app->id, w->instance_id,
				       &(struct fleet_visitor){.visit = count, .ctx = s}, err);
	}
	if (code == SL_OK) {
		conclude(s);
	}
	return code;
}

static void see_content(struct sight *s, const Sluice__Store__V1__VersionRecord *version)
{
	const Sluice__Store__V1__ContentRecord *content = version->content;
	bool failed =
	    content != NULL && content->state == SLUICE__V1__CONTENT_STATE__CONTENT_STATE_FAILED;
	bool again =
	    failed &&
	    content->reason == SLUICE__V1__CONTENT_REASON__CONTENT_REASON_REPOSITORY_UNREACHABLE;
	s->response.done =
	    content != NULL && content->state == SLUICE__V1__CONTENT_STATE__CONTENT_STATE_READY;
	s->over = s->response.done || (failed && !again);
	(void)snprintf(s->w->text, sizeof(s->w->text), "content of version '%s' is %s%.200s",
		       version->name,
		       s->response.done ? "READY"
		       : failed         ? "FAILED: "
					: "RESOLVING",
		       failed ? content->text : "");
}

static void see_publication(struct sight *s, const Sluice__Store__V1__VersionRecord *version,
			    const Sluice__Store__V1__PublicationRecord *publication)
{
	bool parked = publication != NULL &&
		      publication->state == SLUICE__V1__PUBLICATION_STATE__PUBLICATION_STATE_PARKED;
	s->response.done =
	    publication != NULL &&
	    publication->state == SLUICE__V1__PUBLICATION_STATE__PUBLICATION_STATE_PUBLISHED;
	s->over = s->response.done || parked;
	(void)snprintf(s->w->text, sizeof(s->w->text), "version '%s' is %s%.200s", version->name,
		       s->response.done ? "published in Git"
		       : publication == NULL
			   ? "not sealed, so its publication is not owed to Git yet"
		       : parked ? "parked: "
				: "owed to Git: ",
		       publication == NULL || s->response.done ? "" : publication->text);
}

static sl_code see_version(struct sight *s, const struct store_view *view, struct sl_err *err)
{
	struct waiter *w = s->w;
	Sluice__Store__V1__VersionRecord *version = NULL;
	Sluice__Store__V1__PublicationRecord *publication = NULL;
	sl_code code =
	    version_get(view, s->arena, w->workspace, w->app_id, w->version, &version, err);
	if (code == SL_NOT_FOUND) {
		return sl_err_because(err, SL_NOT_FOUND, SL_REASON_VERSION_NOT_FOUND,
				      "version %s was deleted", w->version_id);
	}
	if (code != SL_OK) {
		return code;
	}
	if (w->request->condition == SLUICE__V1__WAIT_CONDITION__WAIT_CONDITION_CONTENT) {
		see_content(s, version);
		return SL_OK;
	}
	code =
	    publication_get(view, s->arena, w->workspace, w->app_id, w->version, &publication, err);
	if (code == SL_OK || code == SL_NOT_FOUND) {
		see_publication(s, version, publication);
		return SL_OK;
	}
	return code;
}

static sl_code see(struct sight *s, struct sl_err *err)
{
	struct waiter *w = s->w;
	Sluice__Store__V1__AppRecord *app = NULL;
	SL_AUTO(store_view_end_auto) const struct store_view *view = NULL;
	sl_code code = store_view_begin(service_call_services(w->call)->store, &view, err);
	code = code != SL_OK ? code : app_get(view, s->arena, w->workspace, w->app_id, &app, err);
	if (code == SL_NOT_FOUND) {
		return sl_err_because(err, SL_NOT_FOUND, SL_REASON_APP_NOT_FOUND,
				      "app %s was deleted", w->app_id);
	}
	if (code != SL_OK) {
		return code;
	}
	s->response.failures = s->failures;
	s->response.revision = store_view_revision(view);
	code = is_of_instances(w->request) ? see_instances(s, view, app, err)
					   : see_version(s, view, err);
	s->response.text = w->text;
	return code;
}

/* --- answering ---------------------------------------------------------------------------- */

static void finish(struct waiter *w, sl_code code, const struct sl_err *err,
		   const ProtobufCMessage *response)
{
	service_call_finish(w->call, code, err, response);
	free(w);
}

static void finish_late(struct waiter *w)
{
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	sl_code code = sl_err_because(&err, SL_DEADLINE_EXCEEDED, SL_REASON_WAIT_TIMEOUT,
				      "it did not come in time: %s", w->text);
	sl_err_meta(&err, "ok", "%u", w->ok);
	sl_err_meta(&err, "failed", "%u", w->failed);
	sl_err_meta(&err, "unreachable", "%u", w->unreachable);
	sl_err_meta(&err, "pending", "%u", w->pending);
	finish(w, code, &err, NULL);
}

static bool end(struct waiter *w, sl_code code, enum sl_reason reason, const char *text)
{
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	finish(w, sl_err_because(&err, code, reason, "%s", text), &err, NULL);
	return true;
}

static bool look_once(struct waiter *w)
{
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	SL_AUTO(sl_arena_fini) struct sl_arena arena;
	sl_arena_init(&arena, 0);
	struct sight s = {.w = w, .arena = &arena, .response = SLUICE__V1__WAIT_FOR_RESPONSE__INIT};
	sl_code code = see(&s, &err);
	if (code != SL_OK) {
		finish(w, code, &err, NULL);
		return true;
	}
	w->ok = s.response.ok;
	w->failed = s.response.failed;
	w->unreachable = s.response.unreachable;
	w->pending = s.response.pending;
	if (s.over) {
		finish(w, SL_OK, NULL, &s.response.base);
	}
	return s.over;
}

static bool on_look(struct fleet_wait *wait, enum fleet_wait_event event)
{
	struct waiter *w = SL_CONTAINER_OF(wait, struct waiter, wait);
	if (service_call_is_cancelled(w->call)) {
		return end(w, SL_CANCELLED, SL_REASON_NONE, "the caller has gone");
	}
	switch (event) {
	case FLEET_WAIT_STOPPING:
		return end(w, SL_UNAVAILABLE, SL_REASON_STOPPING,
			   "the server is stopping: wait again");
	case FLEET_WAIT_EXPIRED:
		finish_late(w);
		return true;
	case FLEET_WAIT_LOOK:
		break;
	}
	return look_once(w);
}

/* --- arriving -------------------------------------------------------------------------------- */

static void copy_id(char out[static 32], const char *id)
{
	(void)snprintf(out, 32, "%s", id);
}

static sl_code resolve_instance(struct waiter *w, const struct store_view *view,
				const Sluice__Store__V1__AppRecord *app, struct sl_err *err)
{
	Sluice__Store__V1__InstanceRecord *instance = NULL;
	sl_code code = instance_find(view, service_call_arena(w->call), w->workspace,
				     w->request->instance, &instance, err);
	if (code != SL_OK) {
		return code;
	}
	if (instance->environment != w->environment) {
		return sl_err_because(err, SL_FAILED_PRECONDITION, SL_REASON_NOT_SUPPORTED_THERE,
				      "instance '%s' is in %s, not in %s", instance->name,
				      environment_name(instance->environment),
				      environment_name(w->environment));
	}
	if (!desired_is_placed(app, instance)) {
		return sl_err_because(
		    err, SL_FAILED_PRECONDITION, SL_REASON_NOT_SUPPORTED_THERE,
		    "app '%s' is not placed on instance '%s': its labels do not match", app->name,
		    instance->name);
	}
	copy_id(w->instance_id, instance->id);
	return SL_OK;
}

static sl_code resolve(struct waiter *w, struct sl_err *err)
{
	struct sl_arena *arena = service_call_arena(w->call);
	Sluice__Store__V1__AppRecord *app = NULL;
	Sluice__Store__V1__VersionRecord *version = NULL;
	SL_AUTO(store_view_end_auto) const struct store_view *view = NULL;
	sl_code code = store_view_begin(service_call_services(w->call)->store, &view, err);
	code =
	    code != SL_OK ? code : app_find(view, arena, w->workspace, w->request->app, &app, err);
	if (code == SL_OK && w->request->version[0] != '\0') {
		code = version_find(view, arena, w->workspace, app, w->request->version, &version,
				    err);
	}
	if (code == SL_OK && w->request->environment[0] != '\0') {
		code = environment_find(w->request->environment, &w->environment, err);
	}
	if (code == SL_OK && w->request->instance[0] != '\0') {
		code = resolve_instance(w, view, app, err);
	}
	if (code != SL_OK) {
		return code;
	}
	copy_id(w->app_id, app->id);
	copy_id(w->wait.app_id, app->id);
	copy_id(w->version_id, version == NULL ? "" : version->id);
	w->version = version == NULL ? 0 : version->number;
	w->since = store_view_revision(view);
	return SL_OK;
}

void wait_start(struct service_call *call, const void *message)
{
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	struct waiter *w = calloc(1, sizeof(*w));
	if (w == NULL) {
		sl_code code = sl_err_no_memory(&err);
		service_call_finish(call, code, &err, NULL);
		return;
	}
	*w = (struct waiter){.wait.look = on_look,
			     .call = call,
			     .request = message,
			     .workspace = service_call_workspace(call)};
	sl_code code = resolve(w, &err);
	if (code != SL_OK) {
		finish(w, code, &err, NULL);
		return;
	}
	uint32_t timeout =
	    w->request->timeout_ms == 0 ? TIMEOUT_DEFAULT_MS : w->request->timeout_ms;
	uint64_t deadline = sl_clock_mono_ms() + timeout,
		 of_call = service_call_deadline_mono_ms(call);
	w->wait.deadline_mono_ms = of_call < deadline ? of_call : deadline;
	fleet_wait_add(service_call_services(call)->fleet, &w->wait);
}
