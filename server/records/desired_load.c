#include "server/records/desired_load.h"

#include <string.h>

#include "base/mem/own.h"
#include "server/records/placement.h"
#include "server/records/release_stack.h"

/* What is being read. */
struct load {
	const struct store_view *view;
	struct sl_arena *arena;
	uint32_t workspace;
	const char *app_id;
	struct desired_app *app;
	struct desired_version *versions; /* app->input.versions, to be written */
	struct desired_pin *pins;         /* app->input.pins, to be written */
	size_t version_room, pin_room;
};

/* A copy of `count` items with room for twice as many; NULL when memory is out. */
static void *grown(struct sl_arena *arena, const void *items, size_t count, size_t room,
		   size_t size)
{
	void *copy = sl_arena_alloc(arena, room * size);
	if (copy != NULL && count > 0) {
		memcpy(copy, items, count * size);
	}
	return copy;
}

static bool reserve_version(struct load *l)
{
	size_t count = l->app->input.version_count;
	if (count < l->version_room) {
		return true;
	}
	size_t room = l->version_room == 0 ? 16 : l->version_room * 2;
	l->versions = grown(l->arena, l->versions, count, room, sizeof(*l->versions));
	l->app->versions =
	    grown(l->arena, l->app->versions, count, room, sizeof(*l->app->versions));
	l->version_room = room;
	return !sl_arena_failed(l->arena);
}

struct desired_version desired_version_of(const Sluice__Store__V1__VersionRecord *record,
					  const Sluice__Store__V1__PublicationRecord *publication)
{
	return (struct desired_version){
	    .number = record->number,
	    .id = record->id,
	    .environment = record->environment,
	    .blocked = desired_is_blocked(record),
	    .recalled = desired_is_recalled(record),
	    .ready = record->content != NULL &&
		     record->content->state == SLUICE__V1__CONTENT_STATE__CONTENT_STATE_READY,
	    .published =
		publication != NULL &&
		publication->state == SLUICE__V1__PUBLICATION_STATE__PUBLICATION_STATE_PUBLISHED,
	};
}

static sl_code add_version(struct load *l, struct sl_bytes value, struct sl_err *err)
{
	Sluice__Store__V1__VersionRecord *record = NULL;
	sl_code code = record_unpack(l->arena, value,
				     &sluice__store__v1__version_record__descriptor, &record, err);
	if (code != SL_OK) {
		return code;
	}
	if (!reserve_version(l)) {
		return sl_err_no_memory(err);
	}
	size_t at = l->app->input.version_count++;
	l->app->versions[at] = record;
	l->versions[at] = desired_version_of(record, NULL);
	return SL_OK;
}

static size_t index_of(const struct load *l, uint32_t number)
{
	const struct desired_version *version = desired_find(&l->app->input, number);
	return version != NULL ? (size_t)(version - l->versions) : SIZE_MAX;
}

static sl_code add_publication(struct load *l, size_t at, struct sl_bytes value, struct sl_err *err)
{
	Sluice__Store__V1__PublicationRecord *record = NULL;
	sl_code code = record_unpack(
	    l->arena, value, &sluice__store__v1__publication_record__descriptor, &record, err);
	if (code == SL_OK) {
		l->app->publications[at] = record;
		l->versions[at] = desired_version_of(l->app->versions[at], record);
	}
	return code;
}

static sl_code add_signature(struct load *l, size_t at, struct sl_bytes value, struct sl_err *err)
{
	return record_unpack(l->arena, value,
			     &sluice__store__v1__release_signature_record__descriptor,
			     &l->app->signatures[at], err);
}

static sl_code add_facts(struct load *l, size_t at, uint32_t environment, struct sl_bytes value,
			 struct sl_err *err)
{
	Sluice__Store__V1__FactsRecord *record = NULL;
	sl_code code = record_unpack(l->arena, value, &sluice__store__v1__facts_record__descriptor,
				     &record, err);
	if (code == SL_OK) {
		l->versions[at].entered[environment] = record->entered_revision;
	}
	return code;
}

static sl_code add_pin(struct load *l, struct sl_bytes rest, struct sl_bytes value,
		       struct sl_err *err)
{
	Sluice__Store__V1__SelectionRecord *record = NULL;
	sl_code code = record_unpack(
	    l->arena, value, &sluice__store__v1__selection_record__descriptor, &record, err);
	if (code != SL_OK) {
		return code;
	}
	size_t count = l->app->input.pin_count;
	if (count == l->pin_room) {
		l->pin_room = l->pin_room == 0 ? 4 : l->pin_room * 2;
		l->pins = grown(l->arena, l->pins, count, l->pin_room, sizeof(*l->pins));
	}
	char *instance_id = sl_arena_dup(l->arena, rest.data + 4, rest.size - 4);
	if (sl_arena_failed(l->arena)) {
		return sl_err_no_memory(err);
	}
	l->pins[count] = (struct desired_pin){.environment = sl_get_be32(rest.data),
					      .instance_id = instance_id,
					      .version = record->version};
	l->app->input.pins = l->pins;
	l->app->input.pin_count++;
	return SL_OK;
}

/* One record of the app; `rest` is its key after the app's id. */
static sl_code add_record(struct load *l, enum record_table table, struct sl_bytes rest,
			  struct sl_bytes value, struct sl_err *err)
{
	if (table == TABLE_VERSIONS) {
		return add_version(l, value, err);
	}
	if (table == TABLE_SELECTIONS) {
		return rest.size > 4 && rest.data[rest.size - 1] == '\0'
			   ? add_pin(l, rest, value, err)
			   : SL_OK;
	}
	size_t at = rest.size >= 4 ? index_of(l, sl_get_be32(rest.data)) : SIZE_MAX;
	if (at == SIZE_MAX) {
		return SL_OK; /* of a version that is deleted: facts stay */
	}
	if (table == TABLE_PUBLICATIONS) {
		return add_publication(l, at, value, err);
	}
	if (table == TABLE_RELEASE_SIGNATURES) {
		return add_signature(l, at, value, err);
	}
	uint32_t environment = rest.size >= 8 ? sl_get_be32(rest.data + 4) : 0;
	return environment <= DESIRED_ENVIRONMENTS ? add_facts(l, at, environment, value, err)
						   : SL_OK;
}

static sl_code walk(struct load *l, enum record_table table, struct sl_err *err)
{
	struct record_key prefix = KEY(l->workspace, key_text(k, l->app_id));
	SL_AUTO(store_walk_end) struct store_walk walk;
	store_walk_begin(&walk, l->view, table, key_bytes(&prefix), STORE_FORWARD);
	while (store_walk_next(&walk)) {
		struct sl_bytes rest =
		    SL_BYTES(walk.key.data + prefix.size, walk.key.size - prefix.size);
		sl_code code = add_record(l, table, rest, walk.value, err);
		if (code != SL_OK) {
			return code;
		}
	}
	return store_walk_result(&walk, err);
}

static sl_code load_versions(struct load *l, struct sl_err *err)
{
	sl_code code = walk(l, TABLE_VERSIONS, err);
	if (code != SL_OK) {
		return code;
	}
	l->app->input.versions = l->versions;
	l->app->publications = SL_ARENA_ARRAY(l->arena, Sluice__Store__V1__PublicationRecord *,
					      l->app->input.version_count + 1);
	l->app->signatures = SL_ARENA_ARRAY(l->arena, Sluice__Store__V1__ReleaseSignatureRecord *,
					    l->app->input.version_count + 1);
	return sl_arena_failed(l->arena) ? sl_err_no_memory(err) : SL_OK;
}

static sl_code load_release(struct load *l, struct sl_err *err)
{
	sl_code code =
	    release_get(l->view, l->arena, l->workspace, l->app_id, &l->app->release, err);
	if (code == SL_NOT_FOUND) {
		return SL_OK;
	}
	if (code != SL_OK) {
		return code;
	}
	l->app->input.released = l->app->release->version;
	struct release_target previous;
	struct wire in = {.view = l->view, .arena = l->arena, .workspace = l->workspace};
	code = release_stack_previous(&in, l->app_id, l->app->release, &previous, err);
	if (code == SL_OK) {
		l->app->input.previous = previous.version;
	}
	return code;
}

sl_code desired_load(const struct store_view *view, struct sl_arena *arena, uint32_t workspace,
		     const char *app_id, struct desired_app *ret_app, struct sl_err *err)
{
	static const enum record_table others[] = {TABLE_PUBLICATIONS, TABLE_RELEASE_SIGNATURES,
						   TABLE_FACTS, TABLE_SELECTIONS};
	struct desired_app app = {0};
	struct load l = {
	    .view = view, .arena = arena, .workspace = workspace, .app_id = app_id, .app = &app};
	sl_code code = load_versions(&l, err);
	for (size_t i = 0; code == SL_OK && i < SL_COUNT(others); i++) {
		code = walk(&l, others[i], err);
	}
	code = code != SL_OK ? code : load_release(&l, err);
	if (code == SL_OK) {
		*ret_app = app;
	}
	return code;
}

static size_t find_index(const struct desired_app *app, uint32_t number)
{
	const struct desired_version *version = desired_find(&app->input, number);
	return version != NULL ? (size_t)(version - app->input.versions) : SIZE_MAX;
}

const Sluice__Store__V1__VersionRecord *desired_version_record(const struct desired_app *app,
							       uint32_t number)
{
	size_t at = find_index(app, number);
	return at != SIZE_MAX ? app->versions[at] : NULL;
}

const Sluice__Store__V1__PublicationRecord *desired_publication(const struct desired_app *app,
								uint32_t number)
{
	size_t at = find_index(app, number);
	return at != SIZE_MAX ? app->publications[at] : NULL;
}

const Sluice__Store__V1__ReleaseSignatureRecord *desired_signature(const struct desired_app *app,
								   uint32_t number)
{
	size_t at = find_index(app, number);
	return at != SIZE_MAX ? app->signatures[at] : NULL;
}

bool desired_is_placed(const Sluice__Store__V1__AppRecord *app,
		       const Sluice__Store__V1__InstanceRecord *instance)
{
	return labels_match(app->placement, app->n_placement, instance->labels, instance->n_labels);
}

bool desired_is_blocked(const Sluice__Store__V1__VersionRecord *version)
{
	return version->block != NULL &&
	       version->block->mode != SLUICE__V1__BLOCK_MODE__BLOCK_MODE_UNSPECIFIED &&
	       version->block->lifted_ms == 0;
}

bool desired_is_recalled(const Sluice__Store__V1__VersionRecord *version)
{
	return desired_is_blocked(version) &&
	       version->block->mode == SLUICE__V1__BLOCK_MODE__BLOCK_MODE_RECALL;
}

/* --- who has it --------------------------------------------------------------- */

static bool is_staged(const Sluice__Store__V1__StatusRecord *status, const char *version_id)
{
	for (size_t i = 0; i < status->n_staged_version_ids; i++) {
		if (strcmp(status->staged_version_ids[i], version_id) == 0) {
			return true;
		}
	}
	return strcmp(status->active_version_id, version_id) == 0;
}

/* Which instances, which version. */
struct count {
	const struct store_view *view;
	struct sl_arena *scratch; /* emptied after each instance: there may be thousands */
	uint32_t workspace;
	const Sluice__Store__V1__AppRecord *app;
	const char *version_id;
	struct desired_reach reach;
};

static sl_code count_instance(struct count *c, const char *instance_id, struct sl_err *err)
{
	c->reach.instances++;
	struct record_key key =
	    KEY(c->workspace, key_text(k, instance_id), key_text(k, c->app->id));
	Sluice__Store__V1__StatusRecord *status = NULL;
	sl_code code = record_get(c->view, c->scratch, TABLE_STATUSES, &key,
				  &sluice__store__v1__status_record__descriptor, &status, err);
	if (code == SL_NOT_FOUND) {
		return SL_OK; /* its agent has not told anything yet */
	}
	c->reach.staged += code == SL_OK && is_staged(status, c->version_id) ? 1 : 0;
	sl_arena_fini(c->scratch);
	return code;
}

sl_code desired_count_staged(const struct wire *in, const Sluice__Store__V1__AppRecord *app,
			     uint32_t environment, const char *version_id,
			     struct desired_reach *ret_reach, struct sl_err *err)
{
	SL_AUTO(sl_arena_fini) struct sl_arena scratch;
	sl_arena_init(&scratch, 0);
	struct count c = {.view = in->view,
			  .scratch = &scratch,
			  .workspace = in->workspace,
			  .app = app,
			  .version_id = version_id};
	SL_AUTO(placed_end) struct placed placed;
	placed_begin(&placed, in->view, in->workspace, app, environment);
	while (placed_next(&placed)) {
		sl_code code = count_instance(&c, placed.id, err);
		if (code != SL_OK) {
			return code;
		}
	}
	*ret_reach = c.reach;
	return placed_result(&placed, err);
}
