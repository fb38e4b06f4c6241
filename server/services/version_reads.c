#include "server/services/version_reads.h"

#include <string.h>

#include "base/id/id.h"
#include "base/mem/own.h"
#include "server/records/versions.h"
#include "server/records/wire.h"
#include "server/services/noun_checks.h"
#include "sluice/v1/version.pb-c.h"

/* That of the request's `app`. */
static sl_code find_app(struct service_read *read, const char *app,
			Sluice__Store__V1__AppRecord **ret_app, struct sl_err *err)
{
	if (read->app != NULL) {
		*ret_app = read->app;
		return SL_OK;
	}
	return app_find(read->view, read->arena, read->workspace, app, ret_app, err);
}

/* --- GetVersion --------------------------------------------------------------------- */

sl_code version_get_check(const void *message, struct sl_err *err)
{
	const Sluice__V1__GetVersionRequest *request = message;
	sl_code code = check_reference("version", request->version, err);
	if (code != SL_OK || request->app[0] != '\0') {
		return code != SL_OK ? code : check_reference("app", request->app, err);
	}
	return sl_id_is(request->version, "ver")
		   ? SL_OK
		   : check_refused("app", "must be given when version is not an id", err);
}

/* The app of a version that was named by id alone. */
static sl_code app_of_id(struct service_read *read, const char *id,
			 Sluice__Store__V1__AppRecord **ret_app, struct sl_err *err)
{
	struct sl_bytes value;
	struct record_key key = KEY(read->workspace, key_text(k, id));
	sl_code code = store_get(read->view, TABLE_VERSIONS_BY_ID, key_bytes(&key), &value, err);
	if (code == SL_OK && memchr(value.data, '\0', value.size) != NULL) {
		code = app_get(read->view, read->arena, read->workspace, (const char *)value.data,
			       ret_app, err);
	}
	return code != SL_NOT_FOUND ? code
				    : sl_err_because(err, SL_NOT_FOUND, SL_REASON_VERSION_NOT_FOUND,
						     "no version '%.64s'", id);
}

static sl_code read_facts(struct service_read *read,
			  const Sluice__Store__V1__VersionRecord *version,
			  Sluice__V1__GetVersionResponse *response, struct sl_err *err)
{
	struct wire wire = service_wire(read);
	response->facts = SL_ARENA_ARRAY(read->arena, Sluice__V1__VersionFacts *, ENV_COUNT);
	/* It never was in the environments after its own: not worth a look. */
	for (uint32_t environment = 1;
	     response->facts != NULL && environment <= version->environment; environment++) {
		Sluice__Store__V1__FactsRecord *facts = NULL;
		sl_code code = facts_get(&wire, version, environment, &facts, err);
		if (code != SL_OK && code != SL_NOT_FOUND) {
			return code;
		}
		if (code == SL_OK) {
			response->facts[response->n_facts++] =
			    wire_facts(read->arena, environment, facts);
		}
	}
	return SL_OK;
}

/* Lists and events do without. */
static sl_code read_contract(struct service_read *read,
			     const Sluice__Store__V1__ContentRecord *content,
			     Sluice__V1__GetVersionResponse *response, struct sl_err *err)
{
	if (content == NULL || content->contract.len == 0) {
		return SL_OK;
	}
	return record_unpack(read->arena, SL_BYTES(content->contract.data, content->contract.len),
			     &sluice__v1__contract__descriptor, &response->contract, err);
}

sl_code version_get_read(struct service_read *read, const void *message, void *reply,
			 struct sl_err *err)
{
	const Sluice__V1__GetVersionRequest *request = message;
	Sluice__V1__GetVersionResponse *response = reply;
	Sluice__Store__V1__AppRecord *app = NULL;
	Sluice__Store__V1__VersionRecord *version = NULL;
	sl_code code = request->app[0] != '\0' ? find_app(read, request->app, &app, err)
					       : app_of_id(read, request->version, &app, err);
	if (code == SL_OK) {
		code = version_find(read->view, read->arena, read->workspace, app, request->version,
				    &version, err);
	}
	if (code != SL_OK) {
		return code;
	}
	struct wire wire = service_wire(read);
	response->version = wire_version(&wire, version, app, NULL, UINT32_MAX);
	code = read_contract(read, version->content, response, err);
	return code != SL_OK ? code : read_facts(read, version, response, err);
}

/* --- ListVersions ----------------------------------------------------------------------- */

sl_code version_list_check(const void *message, struct sl_err *err)
{
	const Sluice__V1__ListVersionsRequest *request = message;
	sl_code code = check_reference("app", request->app, err);
	return code != SL_OK ? code
			     : check_reference_or_empty("environment", request->environment, err);
}

/* What a list of versions is of. */
struct version_list {
	Sluice__Store__V1__AppRecord *app;
	uint32_t environment; /* its rank or a higher one */
	uint32_t released;
	struct service_page page;
};

static sl_code begin_list(struct service_read *read, const Sluice__V1__ListVersionsRequest *request,
			  struct version_list *list, struct sl_err *err)
{
	Sluice__Store__V1__ReleaseRecord *release = NULL;
	list->environment = ENV_DEVELOPMENT;
	sl_code code = find_app(read, request->app, &list->app, err);
	if (code == SL_OK && request->environment[0] != '\0') {
		code = environment_find(request->environment, &list->environment, err);
	}
	if (code != SL_OK) {
		return code;
	}
	code = release_get(read->view, read->arena, read->workspace, list->app->id, &release, err);
	if (code != SL_OK && code != SL_NOT_FOUND) {
		return code;
	}
	list->released = release != NULL ? release->version : 0;
	const char *scope =
	    sl_arena_printf(read->arena, "ListVersions %s %u", list->app->id, list->environment);
	return scope == NULL ? sl_err_no_memory(err)
			     : service_page_begin(read, request->page, scope, &list->page, err);
}

static sl_code fill_list(struct service_read *read, const struct version_list *list,
			 Sluice__V1__ListVersionsResponse *response, struct sl_err *err)
{
	struct wire wire = service_wire(read);
	struct record_key prefix = KEY(read->workspace, key_text(k, list->app->id));
	struct sl_bytes next = SL_BYTES_NONE;
	SL_AUTO(store_walk_end) struct store_walk walk;
	store_walk_begin(&walk, read->view, TABLE_VERSIONS, key_bytes(&prefix), STORE_BACKWARD);
	if (list->page.from.size > 0) {
		store_walk_from(&walk, list->page.from);
	}
	response->versions = SL_ARENA_ARRAY(read->arena, Sluice__V1__Version *, list->page.size);
	while (response->versions != NULL && store_walk_next(&walk)) {
		if (response->n_versions == list->page.size) {
			next = walk.key;
			break;
		}
		Sluice__Store__V1__VersionRecord *version = NULL;
		sl_code code =
		    record_unpack(read->arena, walk.value,
				  &sluice__store__v1__version_record__descriptor, &version, err);
		if (code != SL_OK) {
			return code;
		}
		if (version->environment >= list->environment) {
			response->versions[response->n_versions++] =
			    wire_version(&wire, version, list->app, NULL, list->released);
		}
	}
	response->page = service_page_end(read, &list->page, next);
	return store_walk_result(&walk, err);
}

sl_code version_list_read(struct service_read *read, const void *message, void *reply,
			  struct sl_err *err)
{
	struct version_list list;
	sl_code code = begin_list(read, message, &list, err);
	return code != SL_OK ? code : fill_list(read, &list, reply, err);
}
