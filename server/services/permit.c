/* May this caller make this call? What a call is about is found by the names of its request's
 * fields; where its verb must count is said by its row. Everything is looked up on the view that
 * the call reads or decides on. */
#include <string.h>

#include "server/services/service_internal.h"

/* A call being judged. */
struct permit {
	const struct service_bound *bound;
	const struct service_asker *asker;
	const ProtobufCMessage *request;
	const struct store_view *view;
	struct sl_arena *arena;
	uint32_t workspace;
	Sluice__Store__V1__AppRecord *app;                 /* NULL: none is named */
	bool deleted;                                      /* the app is */
	const Sluice__Store__V1__InstanceRecord *instance; /* likewise */
	const char *slug;     /* of the app, or of the one to be made; NULL: of no one app */
	uint32_t environment; /* 0: any */
};

static const char *text_of(const ProtobufCMessage *request, const ProtobufCFieldDescriptor *field)
{
	return field == NULL ? "" : *(char *const *)((const uint8_t *)request + field->offset);
}

static bool sees(const struct permit *p, const char *slug, uint32_t environment)
{
	return rights_allow(p->asker->rights, ACCESS_VIEW, slug, environment);
}

static sl_code missing(const struct permit *p, struct sl_err *err)
{
	return rights_missing(p->asker->caller->principal, p->bound->method->verb, p->slug,
			      p->environment, err);
}

/* --- what it is about ---------------------------------------------------------------- */

/* Of what is deleted, facts and history can still be read by id. */
static sl_code find_deleted(const struct permit *p, const char *id,
			    Sluice__Store__V1__AppRecord **ret_app, struct sl_err *err)
{
	struct record_key key = KEY(p->workspace, key_text(k, id));
	sl_code code = record_get(p->view, p->arena, TABLE_DELETED_APPS, &key,
				  &sluice__store__v1__app_record__descriptor, ret_app, err);
	return code == SL_NOT_FOUND ? app_not_found(id, err) : code;
}

static sl_code find_app(struct permit *p, struct sl_err *err)
{
	const char *wanted = text_of(p->request, p->bound->app);
	if (wanted[0] == '\0') {
		return SL_OK;
	}
	Sluice__Store__V1__AppRecord *app = NULL;
	sl_code code = app_find(p->view, p->arena, p->workspace, wanted, &app, err);
	if (code == SL_NOT_FOUND) {
		sl_err_clear(err);
		code = find_deleted(p, wanted, &app, err);
		p->deleted = true;
	}
	if (code == SL_OK && !sees(p, app->slug, 0)) {
		code = app_not_found(wanted, err);
	}
	p->app = app;
	p->slug = code == SL_OK ? app->slug : NULL;
	return code;
}

static sl_code find_instance(struct permit *p, struct sl_err *err)
{
	const char *wanted = text_of(p->request, p->bound->instance);
	if (wanted[0] == '\0') {
		return SL_OK;
	}
	Sluice__Store__V1__InstanceRecord *instance = NULL;
	sl_code code = instance_find(p->view, p->arena, p->workspace, wanted, &instance, err);
	if (code == SL_OK && !sees(p, NULL, instance->environment)) {
		code = instance_not_found(wanted, err);
	}
	p->instance = instance;
	return code;
}

/* --- where it counts ------------------------------------------------------------------- */

static sl_code current_environment(struct permit *p, struct sl_err *err)
{
	Sluice__Store__V1__VersionRecord *version = NULL;
	const char *wanted = text_of(p->request, p->bound->version);
	sl_code code = version_find(p->view, p->arena, p->workspace, p->app, wanted, &version, err);
	if (code == SL_OK) {
		p->environment = version->environment;
	}
	return code;
}

/* Where a promotion leads: as said, else one further than the version is. In the last one the step
 * itself is what is refused. */
static sl_code target_environment(struct permit *p, struct sl_err *err)
{
	const char *to = text_of(p->request, p->bound->to);
	if (to[0] != '\0') {
		return environment_find(to, &p->environment, err);
	}
	sl_code code = current_environment(p, err);
	p->environment += code == SL_OK && p->environment < ENV_COUNT ? 1 : 0;
	return code;
}

static sl_code find_environment(struct permit *p, struct sl_err *err)
{
	const char *named = text_of(p->request, p->bound->environment);
	switch (p->bound->method->where) {
	case ACCESS_ANYWHERE:
	case ACCESS_EVERYWHERE:
		break;
	case ACCESS_IN_DEVELOPMENT:
		p->environment = ENV_DEVELOPMENT;
		break;
	case ACCESS_IN_PRODUCTION:
		p->environment = ENV_PRODUCTION;
		break;
	case ACCESS_IN_FIELD:
		return named[0] == '\0' ? SL_OK : environment_find(named, &p->environment, err);
	case ACCESS_IN_CURRENT:
		return current_environment(p, err);
	case ACCESS_IN_TARGET:
		return target_environment(p, err);
	}
	return SL_OK;
}

static bool may(const struct permit *p)
{
	const struct rights *rights = p->asker->rights;
	enum access_verb verb = p->bound->method->verb;
	return p->bound->method->where == ACCESS_EVERYWHERE
		   ? rights_allow_everywhere(rights, verb, p->slug)
		   : rights_allow(rights, verb, p->slug, p->environment);
}

/* --- one scope each ------------------------------------------------------------------------ */

static sl_code permit_app(struct permit *p, struct sl_err *err)
{
	sl_code code = find_app(p, err);
	if (code == SL_OK && p->bound->app == NULL) {
		p->slug = text_of(p->request, p->bound->makes); /* it is about to be made */
	}
	code = code != SL_OK ? code : find_instance(p, err);
	code = code != SL_OK ? code : find_environment(p, err);
	if (code == SL_OK && p->instance != NULL) {
		p->environment = p->instance->environment;
	}
	return code != SL_OK || may(p) ? code : missing(p, err);
}

static sl_code permit_instance(struct permit *p, struct sl_err *err)
{
	sl_code code = find_instance(p, err);
	code = code != SL_OK ? code : find_app(p, err);
	p->environment = code == SL_OK && p->instance != NULL ? p->instance->environment : 0;
	return code != SL_OK || may(p) ? code : missing(p, err);
}

static sl_code permit_workspace(struct permit *p, struct sl_err *err)
{
	sl_code code = find_environment(p, err);
	return code != SL_OK || may(p) ? code : missing(p, err);
}

/* The list holds back what cannot be seen; what it is narrowed to must be seen. */
static sl_code permit_items(struct permit *p, struct sl_err *err)
{
	sl_code code = find_app(p, err);
	return code != SL_OK ? code : find_instance(p, err);
}

static sl_code only_agents(const struct permit *p, struct sl_err *err)
{
	return p->asker->caller->kind == ACCESS_INSTANCE ? SL_OK : missing(p, err);
}

/* What a login does with itself is nothing for agents: theirs are revoked. */
static sl_code permit_self(const struct permit *p, struct sl_err *err)
{
	bool changes = p->bound->method->decide != NULL;
	return changes && p->asker->caller->kind == ACCESS_INSTANCE ? missing(p, err) : SL_OK;
}

static sl_code permit_scope(struct permit *p, struct sl_err *err)
{
	const struct access_caller *caller = p->asker->caller;
	enum access_scope scope = p->bound->method->scope;
	if (scope == ACCESS_SELF) {
		return permit_self(p, err);
	}
	if (scope == ACCESS_ONE_AGENT) {
		return only_agents(p, err);
	}
	if (caller->kind == ACCESS_INSTANCE) {
		return missing(p, err); /* its own manifest and status, and nothing else */
	}
	if (scope == ACCESS_SERVER) {
		return access_serves(caller, p->asker->rights) ? SL_OK : missing(p, err);
	}
	p->workspace = caller->workspace; /* of a method that is of none */
	sl_code code = p->bound->workspace == NULL
			   ? SL_OK
			   : workspace_find(p->view, service_workspace_name(p->bound, p->request),
					    &p->workspace, err);
	if (code == SL_OK && !access_enters(caller, p->asker->rights, p->workspace)) {
		code = workspace_not_found(service_workspace_name(p->bound, p->request), err);
	}
	if (code != SL_OK) {
		return code;
	}
	switch (scope) {
	case ACCESS_APP:
		return permit_app(p, err);
	case ACCESS_ONE_INSTANCE:
		return permit_instance(p, err);
	case ACCESS_ITEMS:
		return permit_items(p, err);
	default:
		return permit_workspace(p, err);
	}
}

static sl_code judge(struct permit *p, struct sl_err *err)
{
	return p->asker->rights->everything ? SL_OK : permit_scope(p, err);
}

sl_code service_permit(const struct service_bound *bound, const struct service_asker *asker,
		       const struct store_view *view, struct sl_arena *arena,
		       const ProtobufCMessage *request, struct sl_err *err)
{
	struct permit p = {
	    .bound = bound, .asker = asker, .request = request, .view = view, .arena = arena};
	return judge(&p, err);
}

/* --- of a call ------------------------------------------------------------------------------- */

sl_code service_permit_call(const struct service_bound *bound, struct service_read *read,
			    const ProtobufCMessage *request, struct access_hold *ret_hold,
			    struct sl_err *err)
{
	struct access_hold hold = {.rights = NULL};
	sl_code code =
	    access_rights_begin(read->services->access, read->view, read->caller, &hold, err);
	if (code != SL_OK) {
		return code;
	}
	const struct service_asker asker = {.caller = read->caller, .rights = hold.rights};
	struct permit p = {.bound = bound,
			   .asker = &asker,
			   .request = request,
			   .view = read->view,
			   .arena = read->arena};
	code = judge(&p, err);
	if (code != SL_OK) {
		access_rights_end(&hold);
		return code;
	}
	read->rights = hold.rights;
	read->workspace = p.workspace;
	read->app = p.deleted ? NULL : p.app;
	*ret_hold = hold;
	return SL_OK;
}
