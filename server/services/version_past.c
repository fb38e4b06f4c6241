/* What stays when versions and apps are gone: facts and notes. */
#include <string.h>

#include "base/id/id.h"
#include "base/mem/own.h"
#include "server/records/history.h"
#include "server/records/versions.h"
#include "server/records/wire.h"
#include "server/services/noun_checks.h"
#include "server/services/version_reads.h"
#include "sluice/v1/version.pb-c.h"

/* A key of facts ends with the version's number and the environment's. */
enum { NUMBER_AT = 8, ENVIRONMENT_AT = 4 };

static uint32_t key_number(struct sl_bytes key, size_t from_end)
{
	return sl_get_be32(key.data + key.size - from_end);
}

static sl_code unpack_facts(const struct service_read *read, struct sl_bytes value,
			    Sluice__Store__V1__FactsRecord **ret_facts, struct sl_err *err)
{
	return record_unpack(read->arena, value, &sluice__store__v1__facts_record__descriptor,
			     ret_facts, err);
}

/* --- ListVersionFacts --------------------------------------------------------------------- */

sl_code version_facts_check(const void *message, struct sl_err *err)
{
	const Sluice__V1__ListVersionFactsRequest *request = message;
	return check_reference("app", request->app, err);
}

static bool is_there(const struct service_read *read, const char *app_id, uint32_t number)
{
	struct record_key key = version_key(read->workspace, app_id, number);
	struct sl_bytes value;
	return store_get(read->view, TABLE_VERSIONS, key_bytes(&key), &value, NULL) == SL_OK;
}

static Sluice__V1__PastFacts *past_facts(const struct service_read *read, const char *app_id,
					 struct sl_bytes key,
					 const Sluice__Store__V1__FactsRecord *record)
{
	Sluice__V1__PastFacts *past = SL_ARENA_NEW(read->arena, Sluice__V1__PastFacts);
	Sluice__V1__VersionRef *version = SL_ARENA_NEW(read->arena, Sluice__V1__VersionRef);
	if (past == NULL || version == NULL) {
		return NULL;
	}
	sluice__v1__past_facts__init(past);
	sluice__v1__version_ref__init(version);
	version->id = record->version_id;
	version->name = record->version_name;
	past->version = version;
	past->facts = wire_facts(read->arena, key_number(key, ENVIRONMENT_AT), record);
	past->deleted = !is_there(read, app_id, key_number(key, NUMBER_AT));
	return past;
}

static sl_code fill_facts(struct service_read *read, const char *app_id,
			  const struct service_page *page,
			  Sluice__V1__ListVersionFactsResponse *response, struct sl_err *err)
{
	struct record_key prefix = KEY(read->workspace, key_text(k, app_id));
	struct sl_bytes next = SL_BYTES_NONE;
	SL_AUTO(store_walk_end) struct store_walk walk;
	store_walk_begin(&walk, read->view, TABLE_FACTS, key_bytes(&prefix), STORE_FORWARD);
	store_walk_from(&walk, page->from);
	response->facts = SL_ARENA_ARRAY(read->arena, Sluice__V1__PastFacts *, page->size);
	while (response->facts != NULL && store_walk_next(&walk)) {
		if (response->n_facts == page->size) {
			next = walk.key;
			break;
		}
		Sluice__Store__V1__FactsRecord *facts = NULL;
		sl_code code = unpack_facts(read, walk.value, &facts, err);
		if (code != SL_OK) {
			return code;
		}
		response->facts[response->n_facts] = past_facts(read, app_id, walk.key, facts);
		if (response->facts[response->n_facts] == NULL) {
			return sl_err_no_memory(err);
		}
		response->n_facts++;
	}
	response->page = service_page_end(read, page, next);
	return store_walk_result(&walk, err);
}

sl_code version_facts_read(struct service_read *read, const void *message, void *reply,
			   struct sl_err *err)
{
	const Sluice__V1__ListVersionFactsRequest *request = message;
	struct wire wire = service_wire(read);
	struct service_page page;
	const char *app_id = NULL;
	sl_code code = history_app_id(&wire, request->app, &app_id, err);
	if (code != SL_OK) {
		return code;
	}
	const char *scope = sl_arena_printf(read->arena, "ListVersionFacts %s", app_id);
	code = scope == NULL ? sl_err_no_memory(err)
			     : service_page_begin(read, request->page, scope, &page, err);
	return code != SL_OK ? code : fill_facts(read, app_id, &page, reply, err);
}

/* --- ListVersionNotes --------------------------------------------------------------------- */

sl_code version_notes_check(const void *message, struct sl_err *err)
{
	const Sluice__V1__ListVersionNotesRequest *request = message;
	sl_code code = check_reference("app", request->app, err);
	return code != SL_OK ? code : check_reference("version", request->version, err);
}

static sl_code fill_notes(struct service_read *read, const Sluice__Store__V1__AppRecord *app,
			  const Sluice__Store__V1__VersionRecord *version,
			  const struct service_page *page,
			  Sluice__V1__ListVersionNotesResponse *response, struct sl_err *err)
{
	struct record_key prefix = version_key(read->workspace, app->id, version->number);
	struct sl_bytes next = SL_BYTES_NONE;
	SL_AUTO(store_walk_end) struct store_walk walk;
	store_walk_begin(&walk, read->view, TABLE_NOTES, key_bytes(&prefix), STORE_FORWARD);
	store_walk_from(&walk, page->from);
	response->notes = SL_ARENA_ARRAY(read->arena, Sluice__V1__VersionNote *, page->size);
	while (response->notes != NULL && store_walk_next(&walk)) {
		if (response->n_notes == page->size) {
			next = walk.key;
			break;
		}
		Sluice__Store__V1__NoteRecord *note = NULL;
		sl_code code =
		    record_unpack(read->arena, walk.value,
				  &sluice__store__v1__note_record__descriptor, &note, err);
		if (code != SL_OK) {
			return code;
		}
		uint64_t revision = sl_get_be64(walk.key.data + walk.key.size - 8);
		response->notes[response->n_notes++] =
		    wire_note(read->arena, revision, note, app, version);
	}
	response->page = service_page_end(read, page, next);
	return store_walk_result(&walk, err);
}

static sl_code find_app(const struct service_read *read, const char *name_or_id,
			Sluice__Store__V1__AppRecord **ret_app, struct sl_err *err)
{
	struct wire wire = service_wire(read);
	const char *app_id = NULL;
	sl_code code = history_app_id(&wire, name_or_id, &app_id, err);
	if (code != SL_OK) {
		return code;
	}
	struct record_key key = KEY(read->workspace, key_text(k, app_id));
	code = record_get(read->view, read->arena, TABLE_DELETED_APPS, &key,
			  &sluice__store__v1__app_record__descriptor, ret_app, err);
	return code != SL_NOT_FOUND
		   ? code
		   : app_get(read->view, read->arena, read->workspace, app_id, ret_app, err);
}

/* A version that is gone, by its id: facts remember number and name. SL_NOT_FOUND leaves *err
 * alone. */
static sl_code find_past(const struct service_read *read, const Sluice__Store__V1__AppRecord *app,
			 const char *id, Sluice__Store__V1__VersionRecord **ret_version,
			 struct sl_err *err)
{
	struct record_key prefix = KEY(read->workspace, key_text(k, app->id));
	SL_AUTO(store_walk_end) struct store_walk walk;
	store_walk_begin(&walk, read->view, TABLE_FACTS, key_bytes(&prefix), STORE_FORWARD);
	while (store_walk_next(&walk)) {
		Sluice__Store__V1__FactsRecord *facts = NULL;
		sl_code code = unpack_facts(read, walk.value, &facts, err);
		if (code != SL_OK) {
			return code;
		}
		if (strcmp(facts->version_id, id) != 0) {
			continue;
		}
		Sluice__Store__V1__VersionRecord *version =
		    SL_ARENA_NEW(read->arena, Sluice__Store__V1__VersionRecord);
		if (version == NULL) {
			return sl_err_no_memory(err);
		}
		sluice__store__v1__version_record__init(version);
		version->id = facts->version_id;
		version->name = facts->version_name;
		version->number = key_number(walk.key, NUMBER_AT);
		*ret_version = version;
		return SL_OK;
	}
	sl_code code = store_walk_result(&walk, err);
	return code != SL_OK ? code : SL_NOT_FOUND;
}

static sl_code find_version(const struct service_read *read,
			    const Sluice__Store__V1__AppRecord *app, const char *name_or_id,
			    Sluice__Store__V1__VersionRecord **ret_version, struct sl_err *err)
{
	sl_code code = version_find(read->view, read->arena, read->workspace, app, name_or_id,
				    ret_version, err);
	if (code != SL_NOT_FOUND || !sl_id_is(name_or_id, "ver")) {
		return code;
	}
	code = find_past(read, app, name_or_id, ret_version, err);
	if (code == SL_OK) {
		sl_err_clear(err);
	}
	return code;
}

sl_code version_notes_read(struct service_read *read, const void *message, void *reply,
			   struct sl_err *err)
{
	const Sluice__V1__ListVersionNotesRequest *request = message;
	Sluice__Store__V1__AppRecord *app = NULL;
	Sluice__Store__V1__VersionRecord *version = NULL;
	struct service_page page;
	sl_code code = find_app(read, request->app, &app, err);
	code = code != SL_OK ? code : find_version(read, app, request->version, &version, err);
	if (code != SL_OK) {
		return code;
	}
	const char *scope = sl_arena_printf(read->arena, "ListVersionNotes %s", version->id);
	code = scope == NULL ? sl_err_no_memory(err)
			     : service_page_begin(read, request->page, scope, &page, err);
	return code != SL_OK ? code : fill_notes(read, app, version, &page, reply, err);
}
