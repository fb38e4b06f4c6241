/* AppService: what users use. */
#include <string.h>

#include "base/clock/clock.h"
#include "base/mem/own.h"
#include "server/records/apps.h"
#include "server/records/pushes.h"
#include "server/records/wire.h"
#include "server/services/branch_news.h"
#include "server/services/import.h"
#include "server/services/noun_checks.h"
#include "server/services/service.h"
#include "sluice/v1/app.pb-c.h"

enum { DISPLAY_NAME_MAX = 200, PLACEMENT_MAX = 16 };

/* --- placement: the entries of both requests, as keys and values --------------- */

struct entries {
	char **keys, **values;
};

static bool split(struct sl_arena *arena, ProtobufCMessage *const *entries, size_t count,
		  struct entries *ret_entries)
{
	ret_entries->keys = SL_ARENA_ARRAY(arena, char *, count + 1);
	ret_entries->values = SL_ARENA_ARRAY(arena, char *, count + 1);
	for (size_t i = 0; i < count && !sl_arena_failed(arena); i++) {
		const ProtobufCFieldDescriptor *fields = entries[i]->descriptor->fields;
		ret_entries->keys[i] = *(char **)((uint8_t *)entries[i] + fields[0].offset);
		ret_entries->values[i] = *(char **)((uint8_t *)entries[i] + fields[1].offset);
	}
	return !sl_arena_failed(arena);
}

static sl_code check_placement(ProtobufCMessage *const *entries, size_t count, struct sl_err *err)
{
	SL_AUTO(sl_arena_fini) struct sl_arena arena;
	sl_arena_init(&arena, 0);
	struct entries parts;
	if (count > PLACEMENT_MAX) {
		return check_refused("placement", "must have at most 16 labels", err);
	}
	return split(&arena, entries, count, &parts)
		   ? check_labels("placement", parts.keys, parts.values, count, PLACEMENT_MAX, err)
		   : sl_err_no_memory(err);
}

static Sluice__Store__V1__Label **sorted(struct sl_arena *arena, ProtobufCMessage *const *entries,
					 size_t count)
{
	struct entries parts;
	return split(arena, entries, count, &parts)
		   ? labels_sorted(arena, parts.keys, parts.values, count)
		   : NULL;
}

/* Generated entries begin with their ProtobufCMessage, so an array of pointers to them is one of
 * pointers to that. */
#define ENTRIES(map) ((ProtobufCMessage *const *)(map))

/* --- CreateApp ------------------------------------------------------------------ */

static sl_code check_where(const Sluice__V1__CreateAppRequest *request, struct sl_err *err)
{
	if ((request->repository[0] == '\0') == (request->repository_url[0] == '\0')) {
		return check_refused("repository", "or repository_url must be given, and not both",
				     err);
	}
	sl_code code = request->repository[0] != '\0'
			   ? check_reference("repository", request->repository, err)
			   : check_url("repository_url", request->repository_url, err);
	if (code == SL_OK && request->path[0] != '\0') {
		code = check_path("path", request->path, err);
	}
	return code;
}

/* What both requests have in common. */
struct about {
	const char *name, *display_name, *version_name;
	ProtobufCMessage *const *placement;
	size_t placement_count;
};

static sl_code check_about(const struct about *about, struct sl_err *err)
{
	sl_code code = check_name("name", about->name, err);
	code = code != SL_OK ? code
			     : check_text_or_empty("display_name", about->display_name,
						   DISPLAY_NAME_MAX, err);
	code =
	    code != SL_OK ? code : check_placement(about->placement, about->placement_count, err);
	return code != SL_OK || about->version_name[0] == '\0'
		   ? code
		   : check_version_name("version_name", about->version_name, err);
}

static sl_code create_check(const void *message, struct sl_err *err)
{
	const Sluice__V1__CreateAppRequest *request = message;
	sl_code code =
	    check_about(&(struct about){request->name, request->display_name, request->version_name,
					ENTRIES(request->placement), request->n_placement},
			err);
	code = code != SL_OK ? code : check_where(request, err);
	return code != SL_OK ? code : check_revision_or_empty("commit", request->commit, err);
}

/* The app with its first version, as the command has made them. */
static Sluice__V1__App *tell_created(struct decision *d, const struct app_created *created,
				     Sluice__V1__Version **ret_version)
{
	struct wire wire = wire_of(d);
	Sluice__V1__App *app = wire_app(&wire, created->app, 0);
	if (app != NULL) {
		app->repository = created->repository->name;
	}
	*ret_version = wire_version(&wire, created->version, created->app, created->publication, 0);
	return app;
}

static sl_code create_decide(struct decision *d, const void *message, void *reply,
			     struct sl_err *err)
{
	const Sluice__V1__CreateAppRequest *request = message;
	Sluice__V1__CreateAppResponse *response = reply;
	struct app_new wanted = {
	    .name = request->name,
	    .display_name = request->display_name,
	    .repository = request->repository,
	    .repository_url = request->repository_url,
	    .path = request->path,
	    .placement = sorted(d->arena, ENTRIES(request->placement), request->n_placement),
	    .placement_count = request->n_placement,
	    .version_name = request->version_name,
	    .commit = request->commit,
	    .no_commit = request->no_commit,
	};
	struct app_created created;
	if (wanted.placement == NULL) {
		return sl_err_no_memory(err);
	}
	sl_code code = apps_decide_create(d, &wanted, &created, err);
	if (code != SL_OK) {
		return code;
	}
	response->app = tell_created(d, &created, &response->version);
	return SL_OK;
}

/* --- ImportApp (import.h) ------------------------------------------------------------ */

static sl_code import_app_check(const void *message, struct sl_err *err)
{
	const Sluice__V1__ImportAppRequest *request = message;
	sl_code code =
	    check_about(&(struct about){request->name, request->display_name, request->version_name,
					ENTRIES(request->placement), request->n_placement},
			err);
	return code != SL_OK ? code : import_check(message, err);
}

static sl_code import_wanted(struct decision *d, const Sluice__V1__ImportAppRequest *request,
			     struct app_new *ret_wanted, struct sl_err *err)
{
	*ret_wanted = (struct app_new){
	    .name = request->name,
	    .display_name = request->display_name,
	    .repository = request->repository,
	    .repository_url = "",
	    .path = request->path,
	    .placement = sorted(d->arena, ENTRIES(request->placement), request->n_placement),
	    .placement_count = request->n_placement,
	    .version_name = request->version_name,
	    .commit = request->commit,
	};
	return ret_wanted->placement != NULL ? SL_OK : sl_err_no_memory(err);
}

static sl_code import_app_ask(struct decision *d, const void *message, const void **ret_question,
			      struct sl_err *err)
{
	struct app_new wanted;
	sl_code code = import_wanted(d, message, &wanted, err);
	return code != SL_OK ? code : import_ask(d, &wanted, ret_question, err);
}

static sl_code import_app_decide(struct decision *d, const void *message, void *reply,
				 struct sl_err *err)
{
	Sluice__V1__ImportAppResponse *response = reply;
	struct app_new wanted;
	struct app_created created = {.app = NULL};
	sl_code code = import_wanted(d, message, &wanted, err);
	code = code != SL_OK ? code : import_decide(d, &wanted, &created, err);
	if (code == SL_OK) {
		response->app = tell_created(d, &created, &response->version);
	}
	return code;
}

/* --- GetApp ------------------------------------------------------------------------ */

static sl_code get_check(const void *message, struct sl_err *err)
{
	const Sluice__V1__GetAppRequest *request = message;
	return check_reference("app", request->app, err);
}

static sl_code get_read(struct service_read *read, const void *message, void *reply,
			struct sl_err *err)
{
	const Sluice__V1__GetAppRequest *request = message;
	Sluice__V1__GetAppResponse *response = reply;
	Sluice__Store__V1__AppRecord *app = NULL;
	sl_code code = app_find(read->view, read->arena, read->workspace, request->app, &app, err);
	if (code != SL_OK) {
		return code;
	}
	struct wire wire = service_wire(read);
	response->app = wire_app(&wire, app, UINT32_MAX);
	branch_news_add(read, app, response->app);
	return rights_allow(read->rights, ACCESS_VIEW, app->slug, ENV_DEVELOPMENT)
		   ? lease_show(&wire, app, sl_clock_unix_ms(), &response->lease, err)
		   : SL_OK;
}

/* --- ListApps ------------------------------------------------------------------------ */

static sl_code list_check(const void *message, struct sl_err *err)
{
	const Sluice__V1__ListAppsRequest *request = message;
	return check_reference_or_empty("repository", request->repository, err);
}

/* The id of the repository to list apps of; "": of all. */
static sl_code list_filter(struct service_read *read, const char *repository, const char **ret_id,
			   struct sl_err *err)
{
	Sluice__Store__V1__RepositoryRecord *record = NULL;
	*ret_id = "";
	if (repository[0] == '\0') {
		return SL_OK;
	}
	sl_code code =
	    repository_find(read->view, read->arena, read->workspace, repository, &record, err);
	if (code == SL_OK) {
		*ret_id = record->id;
	}
	return code;
}

static sl_code by_index(struct service_read *read, struct sl_bytes id,
			Sluice__Store__V1__AppRecord **ret_app, struct sl_err *err)
{
	const char *text =
	    sl_arena_printf(read->arena, "%.*s", (int)id.size, (const char *)id.data);
	if (text == NULL) {
		return sl_err_no_memory(err);
	}
	sl_code code = app_get(read->view, read->arena, read->workspace, text, ret_app, err);
	return code != SL_NOT_FOUND
		   ? code
		   : sl_err_set(err, SL_DATA_LOSS, "the index names app '%s', which is gone", text);
}

static sl_code list_read(struct service_read *read, const void *message, void *reply,
			 struct sl_err *err)
{
	const Sluice__V1__ListAppsRequest *request = message;
	Sluice__V1__ListAppsResponse *response = reply;
	const char *repository_id = NULL;
	struct service_page page;
	sl_code code = list_filter(read, request->repository, &repository_id, err);
	const char *scope =
	    sl_arena_printf(read->arena, "ListApps %s", code == SL_OK ? repository_id : "");
	code = code != SL_OK ? code
			     : service_page_begin(read, request->page, scope != NULL ? scope : "",
						  &page, err);
	if (code != SL_OK) {
		return code;
	}
	struct wire wire = service_wire(read);
	struct record_key prefix = key_of(read->workspace);
	struct sl_bytes next = SL_BYTES_NONE;
	SL_AUTO(store_walk_end) struct store_walk walk;
	store_walk_begin(&walk, read->view, TABLE_APPS_BY_NAME, key_bytes(&prefix), STORE_FORWARD);
	store_walk_from(&walk, page.from);
	response->apps = SL_ARENA_ARRAY(read->arena, Sluice__V1__App *, page.size);
	while (response->apps != NULL && store_walk_next(&walk)) {
		Sluice__Store__V1__AppRecord *app = NULL;
		code = by_index(read, walk.value, &app, err);
		if (code != SL_OK) {
			return code;
		}
		if (!rights_allow(read->rights, ACCESS_VIEW, app->slug, 0)) {
			continue;
		}
		if (response->n_apps == page.size) {
			next = walk.key;
			break;
		}
		if (repository_id[0] == '\0' || strcmp(repository_id, app->repository_id) == 0) {
			response->apps[response->n_apps] = wire_app(&wire, app, UINT32_MAX);
			branch_news_add(read, app, response->apps[response->n_apps++]);
		}
	}
	response->page = service_page_end(read, &page, next);
	return store_walk_result(&walk, err);
}

/* --- RenameApp -------------------------------------------------------------------------- */

static sl_code rename_check(const void *message, struct sl_err *err)
{
	const Sluice__V1__RenameAppRequest *request = message;
	sl_code code = check_reference("app", request->app, err);
	return code != SL_OK ? code : check_name("new_name", request->new_name, err);
}

static sl_code rename_decide(struct decision *d, const void *message, void *reply,
			     struct sl_err *err)
{
	const Sluice__V1__RenameAppRequest *request = message;
	Sluice__V1__RenameAppResponse *response = reply;
	Sluice__Store__V1__AppRecord *app = NULL;
	sl_code code = app_find(d->view, d->arena, d->workspace, request->app, &app, err);
	code = code != SL_OK ? code : apps_decide_rename(d, app, request->new_name, err);
	if (code == SL_OK) {
		struct wire wire = wire_of(d);
		response->app = wire_app(&wire, app, UINT32_MAX);
	}
	return code;
}

/* --- UpdateApp -------------------------------------------------------------------------- */

static sl_code update_check(const void *message, struct sl_err *err)
{
	const Sluice__V1__UpdateAppRequest *request = message;
	sl_code code = check_reference("app", request->app, err);
	code = code != SL_OK ? code
			     : check_text_or_empty("display_name", request->display_name,
						   DISPLAY_NAME_MAX, err);
	return code != SL_OK
		   ? code
		   : check_placement(ENTRIES(request->placement), request->n_placement, err);
}

static sl_code update_decide(struct decision *d, const void *message, void *reply,
			     struct sl_err *err)
{
	const Sluice__V1__UpdateAppRequest *request = message;
	Sluice__V1__UpdateAppResponse *response = reply;
	Sluice__Store__V1__AppRecord *app = NULL;
	Sluice__Store__V1__Label **placement =
	    sorted(d->arena, ENTRIES(request->placement), request->n_placement);
	if (placement == NULL) {
		return sl_err_no_memory(err);
	}
	sl_code code = app_find(d->view, d->arena, d->workspace, request->app, &app, err);
	if (code == SL_OK) {
		code = apps_decide_update(d, app, request->display_name, placement,
					  request->n_placement, err);
	}
	if (code == SL_OK) {
		struct wire wire = wire_of(d);
		response->app = wire_app(&wire, app, UINT32_MAX);
	}
	return code;
}

/* --- DeleteApp -------------------------------------------------------------------------- */

static sl_code delete_check(const void *message, struct sl_err *err)
{
	const Sluice__V1__DeleteAppRequest *request = message;
	return check_reference("app", request->app, err);
}

static sl_code delete_decide(struct decision *d, const void *message, void *reply,
			     struct sl_err *err)
{
	const Sluice__V1__DeleteAppRequest *request = message;
	Sluice__Store__V1__AppRecord *app = NULL;
	(void)reply;
	sl_code code = app_find(d->view, d->arena, d->workspace, request->app, &app, err);
	return code != SL_OK ? code : apps_decide_delete(d, app, err);
}

/* --- OpenApp ---------------------------------------------------------------------------- */

static sl_code open_check(const void *message, struct sl_err *err)
{
	const Sluice__V1__OpenAppRequest *request = message;
	sl_code code = check_reference("app", request->app, err);
	code = code != SL_OK ? code
			     : check_reference_or_empty("environment", request->environment, err);
	return code != SL_OK ? code : check_reference_or_empty("version", request->version, err);
}

static sl_code open_decide(struct decision *d, const void *message, void *reply, struct sl_err *err)
{
	const Sluice__V1__OpenAppRequest *request = message;
	Sluice__V1__OpenAppResponse *response = reply;
	Sluice__Store__V1__AppRecord *app = NULL;
	Sluice__Store__V1__VersionRecord *version = NULL;
	uint32_t environment = 0;
	sl_code code = app_find(d->view, d->arena, d->workspace, request->app, &app, err);
	if (code == SL_OK && request->environment[0] != '\0') {
		code = environment_find(request->environment, &environment, err);
	}
	if (code == SL_OK) {
		code = apps_decide_open(d, app, environment, request->version, &environment,
					&version, err);
	}
	if (code == SL_OK) {
		struct wire wire = wire_of(d);
		response->environment = (char *)environment_name(environment);
		response->version = wire_version(&wire, version, app, NULL, UINT32_MAX);
	}
	return code;
}

#define ROW(method) "/sluice.v1.AppService/" #method

/* clang-format off */
const struct service_method app_methods[9] = {
	{ ROW(CreateApp), ACCESS_EDIT, &sluice__v1__create_app_request__descriptor,
	  &sluice__v1__create_app_response__descriptor, .check = create_check, .decide = create_decide, .scope = ACCESS_APP, .where = ACCESS_IN_DEVELOPMENT },
	{ ROW(ImportApp), ACCESS_EDIT, &sluice__v1__import_app_request__descriptor,
	  &sluice__v1__import_app_response__descriptor, .check = import_app_check, .ask = import_app_ask, .find = import_find,
	  .decide = import_app_decide, .scope = ACCESS_APP, .where = ACCESS_IN_DEVELOPMENT },
	{ ROW(GetApp), ACCESS_VIEW, &sluice__v1__get_app_request__descriptor,
	  &sluice__v1__get_app_response__descriptor, .check = get_check, .read = get_read, .hot = true, .scope = ACCESS_APP },
	{ ROW(ListApps), ACCESS_VIEW, &sluice__v1__list_apps_request__descriptor,
	  &sluice__v1__list_apps_response__descriptor, .check = list_check, .read = list_read, .scope = ACCESS_ITEMS },
	{ ROW(RenameApp), ACCESS_EDIT, &sluice__v1__rename_app_request__descriptor,
	  &sluice__v1__rename_app_response__descriptor, .check = rename_check, .decide = rename_decide, .scope = ACCESS_APP, .where = ACCESS_IN_DEVELOPMENT },
	{ ROW(UpdateApp), ACCESS_EDIT, &sluice__v1__update_app_request__descriptor,
	  &sluice__v1__update_app_response__descriptor, .check = update_check, .decide = update_decide, .scope = ACCESS_APP, .where = ACCESS_EVERYWHERE },
	{ ROW(DeleteApp), ACCESS_EDIT, &sluice__v1__delete_app_request__descriptor,
	  &sluice__v1__delete_app_response__descriptor, .check = delete_check, .decide = delete_decide, .shrinks = true, .scope = ACCESS_APP, .where = ACCESS_EVERYWHERE },
	{ ROW(ListNewCommits), ACCESS_VIEW, &sluice__v1__list_new_commits_request__descriptor,
	  &sluice__v1__list_new_commits_response__descriptor, .check = branch_news_check, .start = branch_news_start, .scope = ACCESS_APP },
	{ ROW(OpenApp), ACCESS_VIEW, &sluice__v1__open_app_request__descriptor,
	  &sluice__v1__open_app_response__descriptor, .check = open_check, .decide = open_decide, .scope = ACCESS_APP },
};
/* clang-format on */
