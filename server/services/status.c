/* GetStatus: apps x environments x instances: what is meant to run, what runs. */
#include <stdlib.h>
#include <string.h>

#include "base/clock/clock.h"
#include "base/mem/own.h"
#include "server/records/pushes.h"
#include "server/services/fleet_internal.h"

enum { SHARE_URLS_MAX = 16 };

sl_code status_check(const void *message, struct sl_err *err)
{
	const Sluice__V1__GetStatusRequest *request = message;
	if (request->with_instances && request->app[0] == '\0') {
		sl_code code = sl_err_because(err, SL_INVALID_ARGUMENT, SL_REASON_MALFORMED,
					      "with_instances needs an app");
		sl_err_field(err, "with_instances", "only with an app");
		return code;
	}
	sl_code code = request->app[0] == '\0' ? SL_OK : check_reference("app", request->app, err);
	return code != SL_OK || request->environment[0] == '\0'
		   ? code
		   : check_reference("environment", request->environment, err);
}

/* --- one app ----------------------------------------------------------------------- */

/* An instance in the order of the list. */
struct place {
	uint32_t environment;
	const char *name, *id;
};

struct counting {
	const struct app_look *look;
	Sluice__V1__AppStatus *status;
	Sluice__V1__EnvironmentStatus *environments[ENV_COUNT + 1]; /* NULL: not asked for */
	bool listing;
	struct place *places; /* in the arena */
	size_t place_count, place_room;
};

static void add_share_url(struct counting *c, const char *public_url)
{
	Sluice__V1__AppStatus *status = c->status;
	if (status->share_urls == NULL) {
		status->share_urls = SL_ARENA_ARRAY(c->look->arena, char *, SHARE_URLS_MAX);
	}
	if (status->share_urls != NULL && status->n_share_urls < SHARE_URLS_MAX) {
		status->share_urls[status->n_share_urls++] =
		    sl_arena_printf(c->look->arena, "%s/%s", public_url, c->look->app->slug);
	}
}

static void add_place(struct counting *c, const Sluice__Store__V1__InstanceRecord *instance)
{
	if (c->place_count == c->place_room) {
		size_t room = c->place_room == 0 ? 64 : c->place_room * 2;
		struct place *places = SL_ARENA_ARRAY(c->look->arena, struct place, room);
		if (places == NULL) {
			return;
		}
		if (c->place_count > 0) {
			memcpy(places, c->places, c->place_count * sizeof(*places));
		}
		c->places = places;
		c->place_room = room;
	}
	c->places[c->place_count++] =
	    (struct place){.environment = instance->environment,
			   .name = sl_arena_strdup(c->look->arena, instance->name),
			   .id = sl_arena_strdup(c->look->arena, instance->id)};
}

static void count(void *ctx, const struct fleet_standing *standing)
{
	struct counting *c = ctx;
	const Sluice__Store__V1__InstanceRecord *instance = standing->instance;
	Sluice__V1__EnvironmentStatus *environment =
	    instance->environment <= ENV_COUNT ? c->environments[instance->environment] : NULL;
	if (environment == NULL) {
		return;
	}
	const char *desired = app_look_id(c->look, app_look_number(c->look, instance));
	enum fleet_verdict verdict = fleet_judge(standing, desired);
	environment->instances++;
	environment->ok += verdict == FLEET_OK ? 1 : 0;
	environment->pending += verdict == FLEET_PENDING ? 1 : 0;
	environment->failed += verdict == FLEET_FAILED ? 1 : 0;
	environment->unreachable += verdict == FLEET_UNREACHABLE ? 1 : 0;
	environment->staged += fleet_is_staged(standing, desired) ? 1 : 0;
	if (instance->environment == ENV_PRODUCTION && c->status->released != NULL &&
	    instance->public_url[0] != '\0') {
		add_share_url(c, instance->public_url);
	}
	if (c->listing) {
		add_place(c, instance);
	}
}

static Sluice__V1__EnvironmentStatus *environment_status(const struct app_look *look,
							 uint32_t number)
{
	Sluice__V1__EnvironmentStatus *status =
	    SL_ARENA_NEW(look->arena, Sluice__V1__EnvironmentStatus);
	if (status == NULL) {
		return NULL;
	}
	const struct desired_input *input = &look->desired.input;
	const struct desired_version *newest = NULL;
	sluice__v1__environment_status__init(status);
	status->environment = (char *)environment_name(number);
	status->selected = app_look_ref(look, look->choices[number].selected);
	status->pinned = look->choices[number].by == DESIRED_BY_PIN;
	for (size_t i = 0; i < input->version_count; i++) {
		const struct desired_version *version = &input->versions[i];
		if (version->entered[number] > (newest == NULL ? 0 : newest->entered[number])) {
			newest = version;
		}
	}
	/* Whatever has come further came here before. */
	const uint32_t *came = look->desired.came;
	uint32_t here = number == ENV_DEVELOPMENT ? look->app->version_count : came[number];
	status->versions = here - (number < ENV_COUNT ? came[number + 1] : 0);
	status->newest = newest == NULL ? NULL : app_look_ref(look, newest->number);
	return status;
}

/* environment 0: all. c->listing says whether places are wanted. */
static sl_code app_status(struct service_read *read, const struct app_look *look,
			  uint32_t environment, struct counting *c, struct sl_err *err)
{
	Sluice__V1__AppStatus *status = SL_ARENA_NEW(read->arena, Sluice__V1__AppStatus);
	Sluice__V1__EnvironmentStatus **list =
	    SL_ARENA_ARRAY(read->arena, Sluice__V1__EnvironmentStatus *, ENV_COUNT);
	if (status == NULL || list == NULL) {
		return sl_err_no_memory(err);
	}
	sluice__v1__app_status__init(status);
	status->app_id = look->app->id;
	status->app = look->app->name;
	status->environments = list;
	status->released = app_look_ref(look, look->desired.input.released);
	const struct wire wire = service_wire(read);
	bool seen = rights_allow(read->rights, ACCESS_VIEW, look->app->slug, ENV_DEVELOPMENT);
	sl_code code =
	    seen ? lease_show(&wire, look->app, sl_clock_unix_ms(), &status->lease, err) : SL_OK;
	if (code != SL_OK) {
		return code;
	}
	c->look = look;
	c->status = status;
	for (uint32_t i = 1; i <= ENV_COUNT; i++) {
		if (environment == 0 || environment == i) {
			c->environments[i] = list[status->n_environments++] =
			    environment_status(look, i);
		}
	}
	return fleet_visit(read->services->fleet, read->view, read->workspace, look->app,
			   environment, &(struct fleet_visitor){.visit = count, .ctx = c}, err);
}

/* --- instances of one app -------------------------------------------------------------- */

static int compare_places(const void *a, const void *b)
{
	const struct place *left = a, *right = b;
	if (left->environment != right->environment) {
		return left->environment < right->environment ? -1 : 1;
	}
	return strcmp(left->name, right->name);
}

static struct record_key place_key(const struct place *place)
{
	struct record_key key = {.size = 0};
	key_u32(&key, place->environment);
	key_text(&key, place->name);
	return key;
}

static bool is_before(const struct place *place, struct sl_bytes from)
{
	struct record_key key = place_key(place);
	size_t size = key.size < from.size ? key.size : from.size;
	int order = memcmp(key.data, from.data, size);
	return order < 0 || (order == 0 && key.size < from.size);
}

struct telling {
	const struct app_look *look;
	Sluice__V1__GetStatusResponse *response;
};

static void tell(void *ctx, const struct fleet_standing *standing)
{
	struct telling *t = ctx;
	Sluice__V1__InstanceStatus *status = app_look_status(t->look, standing);
	if (status != NULL) {
		t->response->instances[t->response->n_instances++] = status;
	}
}

static sl_code list_places(struct service_read *read, const struct counting *c,
			   const struct service_page *page, Sluice__V1__GetStatusResponse *response,
			   struct sl_err *err)
{
	struct telling t = {.look = c->look, .response = response};
	struct record_key next = {.size = 0};
	response->instances = SL_ARENA_ARRAY(read->arena, Sluice__V1__InstanceStatus *, page->size);
	if (response->instances == NULL || sl_arena_failed(read->arena)) {
		return sl_err_no_memory(err);
	}
	if (c->place_count > 1) {
		qsort(c->places, c->place_count, sizeof(*c->places), compare_places);
	}
	size_t taken = 0;
	for (size_t i = 0; i < c->place_count; i++) {
		if (page->from.size > 0 && is_before(&c->places[i], page->from)) {
			continue;
		}
		if (taken++ == page->size) {
			next = place_key(&c->places[i]);
			break;
		}
		sl_code code = fleet_visit_one(
		    read->services->fleet, read->view, read->workspace, c->look->app->id,
		    c->places[i].id, &(struct fleet_visitor){.visit = tell, .ctx = &t}, err);
		if (code != SL_OK) {
			return code;
		}
	}
	response->page = service_page_end(read, page, key_bytes(&next));
	return SL_OK;
}

static sl_code read_one(struct service_read *read, const Sluice__V1__GetStatusRequest *request,
			uint32_t environment, Sluice__V1__GetStatusResponse *response,
			struct sl_err *err)
{
	Sluice__Store__V1__AppRecord *app = NULL;
	struct app_look look;
	struct service_page page;
	struct counting c = {.listing = request->with_instances};
	sl_code code = app_find(read->view, read->arena, read->workspace, request->app, &app, err);
	if (code != SL_OK) {
		return code;
	}
	const char *scope = sl_arena_printf(read->arena, "GetStatus %s %u", app->id, environment);
	response->apps = SL_ARENA_ARRAY(read->arena, Sluice__V1__AppStatus *, 1);
	if (scope == NULL || response->apps == NULL) {
		return sl_err_no_memory(err);
	}
	code = service_page_begin(read, request->page, scope, &page, err);
	code = code != SL_OK
		   ? code
		   : app_look_load(read->view, read->arena, read->workspace, app, &look, err);
	code = code != SL_OK ? code : app_status(read, &look, environment, &c, err);
	if (code != SL_OK) {
		return code;
	}
	response->apps[response->n_apps++] = c.status;
	if (request->with_instances) {
		return list_places(read, &c, &page, response, err);
	}
	response->page = service_page_end(read, &page, SL_BYTES_NONE);
	return SL_OK;
}

/* --- all apps ---------------------------------------------------------------------------- */

static sl_code add_app(struct service_read *read, struct sl_bytes id, uint32_t environment,
		       Sluice__V1__GetStatusResponse *response, struct sl_err *err)
{
	Sluice__Store__V1__AppRecord *app = NULL;
	struct counting c = {.listing = false};
	struct app_look *look = SL_ARENA_NEW(read->arena, struct app_look);
	const char *text =
	    sl_arena_printf(read->arena, "%.*s", (int)id.size, (const char *)id.data);
	if (look == NULL || text == NULL) {
		return sl_err_no_memory(err);
	}
	sl_code code = app_get(read->view, read->arena, read->workspace, text, &app, err);
	if (code == SL_NOT_FOUND) {
		return sl_err_set(err, SL_DATA_LOSS, "an app's name leads nowhere");
	}
	code = code != SL_OK
		   ? code
		   : app_look_load(read->view, read->arena, read->workspace, app, look, err);
	code = code != SL_OK ? code : app_status(read, look, environment, &c, err);
	if (code == SL_OK) {
		response->apps[response->n_apps++] = c.status;
	}
	return code;
}

static bool sees(const struct service_read *read, struct sl_bytes app_id)
{
	const char *text =
	    rights_see_all(read->rights)
		? ""
		: sl_arena_printf(read->arena, "%.*s", (int)app_id.size, (const char *)app_id.data);
	return text == NULL || service_sees_app(read, text);
}

static sl_code read_all(struct service_read *read, const Sluice__V1__GetStatusRequest *request,
			uint32_t environment, Sluice__V1__GetStatusResponse *response,
			struct sl_err *err)
{
	struct service_page page;
	struct sl_bytes next = SL_BYTES_NONE;
	struct record_key prefix = key_of(read->workspace);
	const char *scope = sl_arena_printf(read->arena, "GetStatus %u", environment);
	sl_code code = scope == NULL ? SL_RESOURCE_EXHAUSTED
				     : service_page_begin(read, request->page, scope, &page, err);
	if (code != SL_OK) {
		return code;
	}
	SL_AUTO(store_walk_end) struct store_walk walk;
	response->apps = SL_ARENA_ARRAY(read->arena, Sluice__V1__AppStatus *, page.size);
	store_walk_begin(&walk, read->view, TABLE_APPS_BY_NAME, key_bytes(&prefix), STORE_FORWARD);
	if (page.from.size > 0) {
		store_walk_from(&walk, page.from);
	}
	while (response->apps != NULL && store_walk_next(&walk)) {
		if (!sees(read, walk.value)) {
			continue;
		}
		if (response->n_apps == page.size) {
			next = walk.key;
			break;
		}
		code = add_app(read, walk.value, environment, response, err);
		if (code != SL_OK) {
			return code;
		}
	}
	response->page = service_page_end(read, &page, next);
	return store_walk_result(&walk, err);
}

sl_code status_read(struct service_read *read, const void *message, void *reply, struct sl_err *err)
{
	const Sluice__V1__GetStatusRequest *request = message;
	uint32_t environment = 0;
	sl_code code = request->environment[0] == '\0'
			   ? SL_OK
			   : environment_find(request->environment, &environment, err);
	if (code != SL_OK) {
		return code;
	}
	if (code == SL_OK && (request->page == NULL || request->page->page_token[0] == '\0')) {
		concerns_list(read, environment, reply);
	}
	return request->app[0] == '\0' ? read_all(read, request, environment, reply, err)
				       : read_one(read, request, environment, reply, err);
}
