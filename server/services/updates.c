/* ListUpdates, CheckForUpdates, Pull: the steps that an instance has yet to take.
 *
 * CheckForUpdates reads its commits from the mirror by a Git worker:
 *
 *   queue thread:      find the step on a snapshot, ask gitsync
 *   gitsync's thread:  turn its result into the answer */
#include <string.h>

#include "base/mem/own.h"
#include "server/gitsync/gitsync.h"
#include "server/records/updates.h"
#include "server/records/wire.h"
#include "server/services/branch_news.h"
#include "server/services/fleet_internal.h"

SL_DEFINE_AUTO(const struct store_view *, store_view_end);

/* --- the step ------------------------------------------------------------------------- */

/* Not fleet_is_staged(): of a draft the content before may be served under the same id. */
static bool has(const struct fleet_standing *standing, const char *version_id)
{
	for (size_t i = 0; i < standing->staged_count; i++) {
		if (strcmp(standing->staged[i], version_id) == 0) {
			return true;
		}
	}
	return false;
}

uint32_t app_look_update(const struct app_look *look, const struct fleet_standing *standing)
{
	const Sluice__Store__V1__InstanceRecord *instance = standing->instance;
	const struct desired_input *input = &look->desired.input;
	struct desired_choice choice;
	if (!desired_is_placed(look->app, instance)) {
		return 0;
	}
	desired_choose(input, instance->environment, instance->id, &choice);
	if (choice.selected != 0 && !has(standing, app_look_id(look, choice.selected))) {
		return choice.selected;
	}
	const struct desired_version *newest = NULL;
	for (size_t i = 0; instance->environment == ENV_PRODUCTION && i < choice.keep_count; i++) {
		const struct desired_version *version = desired_find(input, choice.keep[i]);
		bool newer = version != NULL &&
			     (newest == NULL ||
			      version->entered[ENV_PRODUCTION] > newest->entered[ENV_PRODUCTION]);
		newest = newer ? version : newest;
	}
	return newest == NULL || has(standing, newest->id) ? 0 : newest->number;
}

const Sluice__Store__V1__VersionRecord *app_look_held(const struct app_look *look,
						      const struct fleet_standing *standing)
{
	const Sluice__Store__V1__VersionRecord *version =
	    desired_version_record(&look->desired, app_look_update(look, standing));
	return version != NULL && updates_hold(standing->instance, look->app->id, version) ? version
											   : NULL;
}

/* Where the step is put; NULL stays when there is none. */
struct stepping {
	const struct app_look *look;
	Sluice__V1__Update *update;
	const Sluice__Store__V1__VersionRecord *from, *to; /* NULL: not known */
};

static void step_of(void *ctx, const struct fleet_standing *standing)
{
	struct stepping *s = ctx;
	const struct app_look *look = s->look;
	const Sluice__Store__V1__VersionRecord *to =
	    desired_version_record(&look->desired, app_look_update(look, standing));
	Sluice__V1__Update *update = to == NULL || to->content == NULL
					 ? NULL
					 : SL_ARENA_NEW(look->arena, Sluice__V1__Update);
	if (update == NULL) {
		return;
	}
	sluice__v1__update__init(update);
	update->app_id = look->app->id;
	update->app = look->app->name;
	update->from = app_look_ref_of_id(look, standing->active_version_id);
	update->to = wire_version_ref(look->arena, to);
	update->commit = to->content->commit;
	update->held = updates_hold(standing->instance, look->app->id, to);
	update->files = to->content->files;
	update->bytes = to->content->bytes;
	s->update = update;
	s->from = app_look_version_of_id(look, standing->active_version_id);
	s->to = to;
}

/* --- ListUpdates ------------------------------------------------------------------------ */

sl_code updates_list_check(const void *message, struct sl_err *err)
{
	const Sluice__V1__ListUpdatesRequest *request = message;
	return check_reference("instance", request->instance, err);
}

static sl_code add_step(struct service_read *read, const char *app_id,
			const Sluice__Store__V1__InstanceRecord *instance,
			Sluice__V1__ListUpdatesResponse *response, struct sl_err *err)
{
	Sluice__Store__V1__AppRecord *app = NULL;
	struct app_look look;
	struct stepping s = {.look = &look};
	sl_code code = app_get(read->view, read->arena, read->workspace, app_id, &app, err);
	if (code == SL_NOT_FOUND) {
		return sl_err_set(err, SL_DATA_LOSS, "an app's name leads nowhere");
	}
	if (code != SL_OK || !desired_is_placed(app, instance) ||
	    !rights_allow(read->rights, ACCESS_VIEW, app->slug, instance->environment)) {
		return code;
	}
	code = app_look_load(read->view, read->arena, read->workspace, app, &look, err);
	code = code != SL_OK
		   ? code
		   : fleet_visit_one(read->services->fleet, read->view, read->workspace, app->id,
				     instance->id,
				     &(struct fleet_visitor){.visit = step_of, .ctx = &s}, err);
	if (code == SL_OK && s.update != NULL) {
		response->updates[response->n_updates++] = s.update;
	}
	return code;
}

static sl_code list_steps(struct service_read *read, const struct service_page *page,
			  const Sluice__Store__V1__InstanceRecord *instance,
			  Sluice__V1__ListUpdatesResponse *response, struct sl_err *err)
{
	struct record_key prefix = key_of(read->workspace);
	struct sl_bytes next = SL_BYTES_NONE;
	SL_AUTO(store_walk_end) struct store_walk walk;
	store_walk_begin(&walk, read->view, TABLE_APPS_BY_NAME, key_bytes(&prefix), STORE_FORWARD);
	if (page->from.size > 0) {
		store_walk_from(&walk, page->from);
	}
	while (store_walk_next(&walk)) {
		if (response->n_updates == page->size) {
			next = walk.key;
			break;
		}
		const char *id = sl_arena_printf(read->arena, "%.*s", (int)walk.value.size,
						 (const char *)walk.value.data);
		sl_code code = id == NULL ? sl_err_no_memory(err)
					  : add_step(read, id, instance, response, err);
		if (code != SL_OK) {
			return code;
		}
	}
	response->page = service_page_end(read, page, next);
	return store_walk_result(&walk, err);
}

sl_code updates_list_read(struct service_read *read, const void *message, void *reply,
			  struct sl_err *err)
{
	const Sluice__V1__ListUpdatesRequest *request = message;
	Sluice__V1__ListUpdatesResponse *response = reply;
	Sluice__Store__V1__InstanceRecord *instance = NULL;
	struct service_page page;
	sl_code code = instance_find(read->view, read->arena, read->workspace, request->instance,
				     &instance, err);
	if (code != SL_OK) {
		return code;
	}
	const char *scope = sl_arena_printf(read->arena, "ListUpdates %s", instance->id);
	code = scope == NULL ? sl_err_no_memory(err)
			     : service_page_begin(read, request->page, scope, &page, err);
	if (code != SL_OK) {
		return code;
	}
	response->updates = SL_ARENA_ARRAY(read->arena, Sluice__V1__Update *, page.size);
	return response->updates == NULL ? sl_err_no_memory(err)
					 : list_steps(read, &page, instance, response, err);
}

/* --- CheckForUpdates ---------------------------------------------------------------------- */

sl_code updates_check_check(const void *message, struct sl_err *err)
{
	const Sluice__V1__CheckForUpdatesRequest *request = message;
	sl_code code = check_reference("instance", request->instance, err);
	return code != SL_OK ? code : check_reference("app", request->app, err);
}

/* Lies in the call's arena. */
struct checking {
	struct service_call *call;
	struct app_look look;
	struct stepping step;
};

static sl_code find_step(struct checking *c, const Sluice__V1__CheckForUpdatesRequest *request,
			 struct sl_err *err)
{
	struct sl_arena *arena = service_call_arena(c->call);
	const struct services *services = service_call_services(c->call);
	uint32_t workspace = service_call_workspace(c->call);
	Sluice__Store__V1__InstanceRecord *instance = NULL;
	Sluice__Store__V1__AppRecord *app = NULL;
	SL_AUTO(store_view_end_auto) const struct store_view *view = NULL;
	sl_code code = store_view_begin(services->store, &view, err);
	code = code != SL_OK
		   ? code
		   : instance_find(view, arena, workspace, request->instance, &instance, err);
	code = code != SL_OK ? code : app_find(view, arena, workspace, request->app, &app, err);
	code = code != SL_OK ? code : app_look_load(view, arena, workspace, app, &c->look, err);
	c->step.look = &c->look;
	return code != SL_OK
		   ? code
		   : fleet_visit_one(services->fleet, view, workspace, app->id, instance->id,
				     &(struct fleet_visitor){.visit = step_of, .ctx = &c->step},
				     err);
}

static void finish(void *ctx, const struct git_result *result)
{
	const struct checking *c = ctx;
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	struct sl_arena *arena = service_call_arena(c->call);
	Sluice__V1__CheckForUpdatesResponse response = SLUICE__V1__CHECK_FOR_UPDATES_RESPONSE__INIT;
	response.update = c->step.update;
	response.cut = result->log_cut;
	if (result->failure != GIT_OK) {
		response.failure = sl_arena_printf(arena, "%s: %s",
						   git_failure_name(result->failure), result->text);
	}
	sl_code code =
	    branch_news_commits(arena, result, &response.commits, &response.n_commits, &err);
	service_call_finish(c->call, code, &err, &response.base);
}

/* "." is the root for people, "" for Git. */
static const char *folder(const Sluice__Store__V1__VersionRecord *version)
{
	return strcmp(version->path, ".") == 0 ? "" : version->path;
}

void updates_check_start(struct service_call *call, const void *request)
{
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	struct checking *c = SL_ARENA_NEW(service_call_arena(call), struct checking);
	sl_code code = SL_OK;
	if (c == NULL) {
		code = sl_err_no_memory(&err);
	} else {
		c->call = call;
		code = find_step(c, request, &err);
	}
	if (code != SL_OK || c->step.update == NULL) {
		const Sluice__V1__CheckForUpdatesResponse none =
		    SLUICE__V1__CHECK_FOR_UPDATES_RESPONSE__INIT;
		service_call_finish(call, code, &err, &none.base);
		return;
	}
	const Sluice__Store__V1__VersionRecord *from = c->step.from, *to = c->step.to;
	const struct gitsync_question question = {
	    .kind = GITSYNC_LOG,
	    .repository_id = c->look.app->repository_id,
	    .from_commit = from != NULL && from->content != NULL ? from->content->commit : "",
	    .to_commit = to->content->commit,
	    .to_path = folder(to),
	    .to_ref = to->content->ref,
	    .done = finish,
	    .ctx = c,
	};
	gitsync_ask(service_call_services(call)->gitsync, &question);
}

/* --- Pull ----------------------------------------------------------------------------------- */

sl_code updates_pull_check(const void *message, struct sl_err *err)
{
	const Sluice__V1__PullRequest *request = message;
	size_t length = strlen(request->commit);
	sl_code code = check_reference("instance", request->instance, err);
	code = code != SL_OK ? code : check_reference("app", request->app, err);
	code = code != SL_OK ? code : check_reference("version", request->version, err);
	bool fine =
	    length == 0 || (length == 40 && strspn(request->commit, "0123456789abcdef") == 40);
	return code != SL_OK || fine
		   ? code
		   : sl_err_malformed(err, "commit", "must be 40 lower-case hex digits, or empty");
}

sl_code updates_pull_decide(struct decision *d, const void *message, void *reply,
			    struct sl_err *err)
{
	const Sluice__V1__PullRequest *request = message;
	Sluice__V1__PullResponse *response = reply;
	Sluice__Store__V1__InstanceRecord *instance = NULL;
	Sluice__Store__V1__VersionRecord *version = NULL;
	const struct updates_wish wish = {.instance = request->instance,
					  .app = request->app,
					  .version = request->version,
					  .commit = request->commit};
	sl_code code = updates_decide_pull(d, &wish, &instance, &version, err);
	if (code == SL_OK) {
		response->instance = wire_instance(d->arena, instance);
		response->version = wire_version_ref(d->arena, version);
	}
	return code;
}
