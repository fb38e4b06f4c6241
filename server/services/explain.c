/* Explain: the whole chain of why an instance runs, or does not run, a version. */
#include <string.h>

#include "base/mem/own.h"
#include "server/services/fleet_internal.h"

enum { STEPS_MAX = 16 };

sl_code explain_check(const void *message, struct sl_err *err)
{
	const Sluice__V1__ExplainRequest *request = message;
	sl_code code = check_reference("instance", request->instance, err);
	return code != SL_OK ? code : check_reference("app", request->app, err);
}

/* The chain in the making. The first link that does not hold words the conclusion. */
struct chain {
	struct app_look look;
	const Sluice__Store__V1__InstanceRecord *instance;
	struct fleet_standing standing; /* texts copied into the arena */
	uint32_t wanted;                /* number; 0: nothing */
	Sluice__V1__ExplainResponse *response;
	const Sluice__Store__V1__VersionRecord *held; /* waits for Pull; NULL: none does */
	bool recovering;
	const char *broken, *advice;
};

static void step(struct chain *c, const char *subject, bool ok, const char *text,
		 const char *advice)
{
	Sluice__V1__ExplainResponse *response = c->response;
	Sluice__V1__ExplainStep *link = SL_ARENA_NEW(c->look.arena, Sluice__V1__ExplainStep);
	if (link == NULL || text == NULL || response->n_steps == STEPS_MAX) {
		return; /* the arena has failed, and the call with it */
	}
	sluice__v1__explain_step__init(link);
	link->subject = (char *)subject;
	link->ok = ok;
	link->text = (char *)text;
	response->steps[response->n_steps++] = link;
	if (!ok && c->broken == NULL) {
		c->broken = text;
		c->advice = advice == NULL ? "" : advice;
	}
}

#define TEXT(...) sl_arena_printf(c->look.arena, __VA_ARGS__)

static const char *version_name(const struct chain *c, uint32_t number)
{
	const Sluice__Store__V1__VersionRecord *version =
	    desired_version_record(&c->look.desired, number);
	return version == NULL ? "(gone)" : version->name;
}

static void explain_instance(struct chain *c)
{
	step(c, "instance", true,
	     TEXT("instance '%s' is in %s%s%s", c->instance->name,
		  environment_name(c->instance->environment),
		  c->instance->paused ? ", and paused" : "",
		  c->instance->n_alerts > 0 ? ", and has alerts: see GetInstance" : ""),
	     NULL);
}

static bool explain_placement(struct chain *c)
{
	bool placed = desired_is_placed(c->look.app, c->instance);
	step(c, "placement", placed,
	     placed
		 ? TEXT("app '%s' is placed on it", c->look.app->name)
		 : TEXT("app '%s' is not placed on it: its labels lack some of the app's placement",
			c->look.app->name),
	     "change the instance's labels (UpdateInstance) or the app's placement (UpdateApp)");
	return placed;
}

static void explain_release(struct chain *c)
{
	bool released = c->wanted != 0;
	step(c, "release", released,
	     released ? TEXT("version '%s' is released", version_name(c, c->wanted))
		      : TEXT("nothing is released"),
	     "release a version that is in production (Release)");
}

static void explain_selection(struct chain *c)
{
	struct desired_choice choice;
	desired_choose(&c->look.desired.input, c->instance->environment, c->instance->id, &choice);
	if (choice.idle_pin != 0) {
		const struct desired_version *idle =
		    desired_find(&c->look.desired.input, choice.idle_pin);
		enum desired_bar bar =
		    idle == NULL ? DESIRED_NOT_THERE : desired_bar(idle, c->instance->environment);
		step(c, "pin", true,
		     TEXT("the pin on version '%s' has no effect: it %s",
			  version_name(c, choice.idle_pin),
			  idle == NULL ? "is gone" : desired_bar_text(bar)),
		     NULL);
	}
	bool pinned = choice.by == DESIRED_BY_PIN || choice.by == DESIRED_BY_INSTANCE_PIN;
	if (pinned) {
		step(c, "pin", true,
		     TEXT("version '%s' is pinned %s", version_name(c, c->wanted),
			  choice.by == DESIRED_BY_PIN ? "in the environment" : "on this instance"),
		     NULL);
		return;
	}
	bool selected = c->wanted != 0;
	step(c, "selection", selected,
	     selected
		 ? TEXT("version '%s' is the eligible one that entered %s last",
			version_name(c, c->wanted), environment_name(c->instance->environment))
		 : TEXT("no version may run in %s", environment_name(c->instance->environment)),
	     "promote a version there, or wait until its content is READY and published");
}

/* The version that entered last though another one is selected: why it is passed by. */
static void explain_eligible(struct chain *c)
{
	const struct desired_input *input = &c->look.desired.input;
	uint32_t environment = c->instance->environment;
	const struct desired_version *newest = NULL;
	for (size_t i = 0; i < input->version_count; i++) {
		const struct desired_version *version = &input->versions[i];
		if (version->entered[environment] >
		    (newest == NULL ? 0 : newest->entered[environment])) {
			newest = version;
		}
	}
	if (newest == NULL) {
		step(c, "eligible", false,
		     TEXT("no version has come to %s", environment_name(environment)),
		     "promote a version there");
		return;
	}
	enum desired_bar bar = desired_bar(newest, environment);
	bool ok = bar == DESIRED_ELIGIBLE || c->wanted != 0;
	step(c, "eligible", ok,
	     TEXT("version '%s', which came last, %s", version_name(c, newest->number),
		  desired_bar_text(bar)),
	     "see the version's content and publication (GetVersion)");
}

static void explain_published(struct chain *c)
{
	const Sluice__Store__V1__PublicationRecord *publication =
	    desired_publication(&c->look.desired, c->wanted);
	if (publication == NULL) {
		step(c, "published", c->instance->environment == ENV_DEVELOPMENT,
		     TEXT("version '%s' is a draft: it is fetched by its commit",
			  version_name(c, c->wanted)),
		     "seal it");
		return;
	}
	switch (publication->state) {
	case SLUICE__V1__PUBLICATION_STATE__PUBLICATION_STATE_PUBLISHED:
		step(c, "published", true,
		     TEXT("it is in Git as %s",
			  publication->ref[0] != '\0' ? publication->ref : publication->commit),
		     NULL);
		return;
	case SLUICE__V1__PUBLICATION_STATE__PUBLICATION_STATE_PARKED:
		step(c, "published", c->instance->environment == ENV_DEVELOPMENT,
		     TEXT("publishing it is refused by the Git host: %s", publication->text),
		     "mend the cause, then RefreshRepository");
		return;
	default:
		step(c, "published", c->instance->environment == ENV_DEVELOPMENT,
		     TEXT("publishing it is owed to Git, %u attempts so far%s%s",
			  publication->attempts, publication->text[0] != '\0' ? ": " : "",
			  publication->text),
		     "it is tried until it works: see whether the Git host answers");
		return;
	}
}

/* What an agent does not believe it does not do: it keeps what it has. */
static void explain_trust(struct chain *c)
{
	const struct fleet_standing *s = &c->standing;
	bool served = strcmp(s->active_version_id, app_look_id(&c->look, c->wanted)) == 0;
	if (s->refused[0] != '\0') {
		step(c, "trust", served,
		     TEXT("its agent did not believe what it was told: %s", s->refused),
		     "look at once: SECURITY.md, \"When an agent refuses\", says what it means");
	}
}

static void explain_manifest(struct chain *c)
{
	const struct fleet_standing *s = &c->standing;
	bool accepted = s->sequence != 0 && s->sequence >= s->sent;
	const char *text = s->sent == 0 && s->sequence == 0
			       ? TEXT("no manifest was sent to it since the server started")
			       : TEXT("manifest %lu was sent, %lu is accepted",
				      (unsigned long)s->sent, (unsigned long)s->sequence);
	/* A heartbeat says what is accepted: up to one late. What is not accepted shows in the
	 * phase. */
	step(c, "manifest", accepted || s->sent != 0, text,
	     "see whether the agent runs, and its last error");
	if (c->instance->paused) {
		step(c, "manifest",
		     strcmp(s->active_version_id, app_look_id(&c->look, c->wanted)) == 0,
		     TEXT("the instance is paused: nothing new is activated there"),
		     "ResumeInstance");
	}
}

static void explain_update(struct chain *c)
{
	if (c->held != NULL) {
		step(c, "update", c->held->number != c->wanted,
		     TEXT("an update is available (MANUAL): version '%s' waits for Pull",
			  c->held->name),
		     "see what it brings (sluice updates), then let it be fetched (sluice pull)");
	}
}

static void explain_agent(struct chain *c)
{
	Sluice__V1__Liveness liveness = c->standing.liveness;
	bool there = liveness == SLUICE__V1__LIVENESS__LIVENESS_ONLINE ||
		     liveness == SLUICE__V1__LIVENESS__LIVENESS_LATE;
	step(c, "agent", there,
	     liveness == SLUICE__V1__LIVENESS__LIVENESS_NEVER
		 ? TEXT("no agent has ever connected for it")
		 : TEXT("its agent is %s", liveness_name(liveness)),
	     "start the agent there, or see why it cannot reach the server");
}

static void explain_phase(struct chain *c)
{
	const struct fleet_standing *s = &c->standing;
	const char *wanted = app_look_id(&c->look, c->wanted);
	struct fleet_standing reached = *s;
	reached.liveness = SLUICE__V1__LIVENESS__LIVENESS_ONLINE;
	bool ok = (s->known || wanted[0] == '\0') && fleet_judge(&reached, wanted) == FLEET_OK;
	Sluice__V1__VersionRef *subject = app_look_ref_of_id(&c->look, s->version_id);
	const char *text =
	    !s->known ? TEXT("it has said nothing of the app")
		      : TEXT("%s%s is %s, attempt %u%s%s", subject == NULL ? "the app" : "version ",
			     subject == NULL ? "" : subject->name, phase_name(s->phase), s->attempt,
			     s->error[0] != '\0' ? ": " : "", s->error);
	bool ended = s->phase == SLUICE__V1__PHASE__PHASE_FAILED ||
		     s->phase == SLUICE__V1__PHASE__PHASE_ROLLED_BACK;
	step(c, "phase", ok, text,
	     ended ? "mend the cause, then RetryInstance, or release another version"
		   : "wait: the agent is at work");
}

static void explain_drift(struct chain *c)
{
	const Sluice__V1__InstanceStatus *status = c->response->status;
	const Sluice__V1__Drift *drift = status == NULL ? NULL : status->drift;
	if (drift == NULL) {
		return;
	}
	const char *files = "";
	for (size_t i = 0; files != NULL && i < drift->n_files; i++) {
		files = TEXT("%s%s%s", files, i == 0 ? ": " : ", ", drift->files[i]);
	}
	bool corrects = c->instance->drift == SLUICE__V1__DRIFT_POLICY__DRIFT_POLICY_CORRECT;
	if (drift->modified > 0) {
		step(c, "drift", true,
		     TEXT("MODIFIED: %lu files of what it serves were changed there (policy %s)%s",
			  (unsigned long)drift->modified, corrects ? "CORRECT" : "REPORT", files),
		     NULL);
	}
	if (drift->corrected > 0) {
		step(c, "drift", true,
		     TEXT("its agent has put the app back %lu times since it started",
			  (unsigned long)drift->corrected),
		     NULL);
	}
}

static const char *join(struct chain *c, char *const *texts, size_t count, uint32_t total)
{
	const char *all = "";
	for (size_t i = 0; all != NULL && i < count; i++) {
		all = TEXT("%s%s%s", all, i == 0 ? "" : ", ", texts[i]);
	}
	return total > count ? TEXT("%s and %lu more", all, (unsigned long)(total - count)) : all;
}

static void explain_config(struct chain *c)
{
	const Sluice__V1__InstanceStatus *status = c->response->status;
	const Sluice__V1__HeldConfig *held = status == NULL ? NULL : status->config;
	if (held == NULL) {
		return;
	}
	const char *text = held->current ? "it has the values of its environment"
					 : "it does not have the newest values yet";
	if (held->missing_count > 0) {
		text = TEXT("%s lacks %s", c->instance->name,
			    join(c, held->missing, held->n_missing, held->missing_count));
	}
	if (held->error[0] != '\0') {
		text = TEXT("%s: %s", text, held->error);
	}
	if (held->override_count > 0) {
		text = TEXT("%s; overridden there: %s", text,
			    join(c, held->overrides, held->n_overrides, held->override_count));
	}
	bool ok = held->missing_count == 0 && (held->current || status->converged);
	step(c, "config", ok, text,
	     held->missing_count > 0 ? "set it: sluice const set, secret set, source set"
				     : "wait for the values, or see why they are not sent");
}

static void conclude(struct chain *c)
{
	Sluice__V1__ExplainResponse *response = c->response;
	if (c->broken != NULL) {
		response->conclusion =
		    TEXT("'%s' does not run what it is meant to: %s", c->instance->name, c->broken);
		response->advice = (char *)c->advice;
		return;
	}
	response->conclusion =
	    c->wanted == 0 ? TEXT("'%s' serves nothing of app '%s', as it is meant to",
				  c->instance->name, c->look.app->name)
			   : TEXT("'%s' serves version '%s' of app '%s', as it is meant to",
				  c->instance->name, version_name(c, c->wanted), c->look.app->name);
}

static void walk_chain(struct chain *c)
{
	explain_instance(c);
	if (c->recovering) {
		step(c, "recovery", false,
		     "the server was restored from a backup and tells agents nothing yet",
		     "look at sluice status, then: sluice admin resume");
	}
	if (explain_placement(c)) {
		c->wanted = app_look_number(&c->look, c->instance);
		if (c->instance->environment == ENV_PRODUCTION) {
			explain_release(c);
		} else {
			explain_selection(c);
			explain_eligible(c);
		}
		if (c->wanted != 0) {
			explain_published(c);
			explain_trust(c);
			explain_manifest(c);
		}
		explain_agent(c);
		explain_update(c);
		explain_config(c);
		explain_phase(c);
		explain_drift(c);
	}
	conclude(c);
}

static void keep(void *ctx, const struct fleet_standing *standing)
{
	struct chain *c = ctx;
	struct sl_arena *arena = c->look.arena;
	c->response->status = app_look_status(&c->look, standing);
	c->held = app_look_held(&c->look, standing);
	c->standing = *standing;
	c->standing.instance = c->instance;
	c->standing.version_id = sl_arena_strdup(arena, standing->version_id);
	c->standing.active_version_id = sl_arena_strdup(arena, standing->active_version_id);
	c->standing.error = sl_arena_strdup(arena, standing->error);
	c->standing.refused = sl_arena_strdup(arena, standing->refused);
	c->standing.failed_version_id = c->standing.failed_error = "";
	c->standing.staged = NULL;
	c->standing.staged_count = 0;
}

sl_code explain_read(struct service_read *read, const void *message, void *reply,
		     struct sl_err *err)
{
	const Sluice__V1__ExplainRequest *request = message;
	Sluice__Store__V1__InstanceRecord *instance = NULL;
	Sluice__Store__V1__AppRecord *app = NULL;
	struct chain chain = {.response = reply};
	sl_code code = instance_find(read->view, read->arena, read->workspace, request->instance,
				     &instance, err);
	code = code != SL_OK
		   ? code
		   : app_find(read->view, read->arena, read->workspace, request->app, &app, err);
	code = code != SL_OK
		   ? code
		   : app_look_load(read->view, read->arena, read->workspace, app, &chain.look, err);
	if (code != SL_OK) {
		return code;
	}
	chain.instance = instance;
	chain.recovering = store_view_is_recovering(read->view);
	chain.response->revision = store_view_revision(read->view);
	chain.response->steps = SL_ARENA_ARRAY(read->arena, Sluice__V1__ExplainStep *, STEPS_MAX);
	if (chain.response->steps == NULL) {
		return sl_err_no_memory(err);
	}
	code = fleet_visit_one(read->services->fleet, read->view, read->workspace, app->id,
			       instance->id, &(struct fleet_visitor){.visit = keep, .ctx = &chain},
			       err);
	if (code == SL_OK && !sl_arena_failed(read->arena)) {
		walk_chain(&chain);
	}
	return code;
}
