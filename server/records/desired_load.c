#include "server/records/desired_load.h"

#include <string.h>

#include "base/mem/own.h"
#include "server/records/entries.h"
#include "server/records/placement.h"
#include "server/records/release_stack.h"
#include "server/records/statuses.h"
#include "server/records/versions.h"

/* A version that has been read. */
struct item {
	struct desired_version version;
	Sluice__Store__V1__VersionRecord *record;
	Sluice__Store__V1__PublicationRecord *publication;
	Sluice__Store__V1__ReleaseSignatureRecord *signature;
};

/* What is being read. */
struct load {
	const struct store_view *view;
	struct sl_arena *arena;
	uint32_t workspace;
	const char *app_id;
	struct desired_app *app;
	struct item *items; /* by number */
	size_t count, room;
	struct desired_pin *pins; /* app->input.pins, to be written */
	size_t pin_room;
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

/* --- versions ------------------------------------------------------------------------ */

static sl_code read_item(const struct load *l, uint32_t number, struct item *item,
			 struct sl_err *err)
{
	struct record_key key = version_key(l->workspace, l->app_id, number);
	sl_code code =
	    version_get(l->view, l->arena, l->workspace, l->app_id, number, &item->record, err);
	if (code != SL_OK) {
		return code;
	}
	code = publication_get(l->view, l->arena, l->workspace, l->app_id, number,
			       &item->publication, err);
	if (code == SL_OK) { /* what is sealed may be signed */
		code = record_get(l->view, l->arena, TABLE_RELEASE_SIGNATURES, &key,
				  &sluice__store__v1__release_signature_record__descriptor,
				  &item->signature, err);
	}
	item->version = desired_version_of(item->record, item->publication);
	return code == SL_NOT_FOUND ? SL_OK : code;
}

/* The place of the first that has this number or a higher one. */
static size_t place_of(const struct load *l, uint32_t number)
{
	size_t at = l->count;
	while (at > 0 && l->items[at - 1].version.number >= number) {
		at--;
	}
	return at;
}

static bool insert(struct load *l, size_t at, const struct item *item)
{
	if (l->count == l->room) {
		l->room = l->room == 0 ? 8 : l->room * 2;
		l->items = grown(l->arena, l->items, l->count, l->room, sizeof(*l->items));
	}
	if (l->items == NULL) {
		return false;
	}
	memmove(&l->items[at + 1], &l->items[at], (l->count - at) * sizeof(*l->items));
	l->items[at] = *item;
	l->count++;
	return true;
}

/* Reads the version, unless it has been. SL_NOT_FOUND, also for 0, leaves *err alone. *ret_item is
 * borrowed until the next one. */
static sl_code take(struct load *l, uint32_t number, struct item **ret_item, struct sl_err *err)
{
	size_t at = place_of(l, number);
	if (at == l->count || l->items[at].version.number != number) {
		struct item item = {.record = NULL};
		sl_code code = number == 0 ? SL_NOT_FOUND : read_item(l, number, &item, err);
		if (code != SL_OK) {
			return code;
		}
		if (!insert(l, at, &item)) {
			return sl_err_no_memory(err);
		}
	}
	*ret_item = &l->items[at];
	return SL_OK;
}

static sl_code take_if_there(struct load *l, uint32_t number, struct sl_err *err)
{
	struct item *item = NULL;
	sl_code code = take(l, number, &item, err);
	return code == SL_NOT_FOUND ? SL_OK : code;
}

/* Those that came last, back to as many as are wanted that may run there. */
static sl_code take_newest(struct load *l, uint32_t environment, struct sl_err *err)
{
	size_t wanted = desired_newest(environment);
	SL_AUTO(entries_end) struct entries walk;
	entries_begin(&walk, l->view, l->workspace, l->app_id, environment);
	while (wanted > 0 && entries_next(&walk)) {
		struct item *item = NULL;
		sl_code code = take(l, walk.number, &item, err);
		if (code != SL_OK) {
			return code != SL_NOT_FOUND
				   ? code
				   : sl_err_set(err, SL_DATA_LOSS,
						"version %u of app %s has come to %s and is "
						"not there",
						walk.number, l->app_id,
						environment_name(environment));
		}
		if (l->app->came[environment] == 0) {
			l->app->came[environment] = walk.count;
		}
		item->version.entered[environment] = walk.revision;
		wanted -= desired_eligible(&item->version, environment) ? 1 : 0;
	}
	return entries_result(&walk, err);
}

/* --- pins, the release ---------------------------------------------------------------- */

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
	return take_if_there(l, record->version, err);
}

static sl_code load_pins(struct load *l, struct sl_err *err)
{
	struct record_key prefix = KEY(l->workspace, key_text(k, l->app_id));
	SL_AUTO(store_walk_end) struct store_walk walk;
	store_walk_begin(&walk, l->view, TABLE_SELECTIONS, key_bytes(&prefix), STORE_FORWARD);
	while (store_walk_next(&walk)) {
		struct sl_bytes rest =
		    SL_BYTES(walk.key.data + prefix.size, walk.key.size - prefix.size);
		bool whole = rest.size > 4 && rest.data[rest.size - 1] == '\0';
		sl_code code = whole ? add_pin(l, rest, walk.value, err) : SL_OK;
		if (code != SL_OK) {
			return code;
		}
	}
	return store_walk_result(&walk, err);
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
	if (code != SL_OK) {
		return code;
	}
	l->app->input.previous = previous.version;
	code = take_if_there(l, l->app->input.released, err);
	return code != SL_OK ? code : take_if_there(l, l->app->input.previous, err);
}

/* --- all of it -------------------------------------------------------------------------- */

static sl_code hand_out(struct load *l, struct sl_err *err)
{
	struct desired_app *app = l->app;
	size_t room = l->count + 1;
	struct desired_version *versions = SL_ARENA_ARRAY(l->arena, struct desired_version, room);
	app->versions = SL_ARENA_ARRAY(l->arena, Sluice__Store__V1__VersionRecord *, room);
	app->publications = SL_ARENA_ARRAY(l->arena, Sluice__Store__V1__PublicationRecord *, room);
	app->signatures =
	    SL_ARENA_ARRAY(l->arena, Sluice__Store__V1__ReleaseSignatureRecord *, room);
	if (sl_arena_failed(l->arena)) {
		return sl_err_no_memory(err);
	}
	for (size_t i = 0; i < l->count; i++) {
		versions[i] = l->items[i].version;
		app->versions[i] = l->items[i].record;
		app->publications[i] = l->items[i].publication;
		app->signatures[i] = l->items[i].signature;
	}
	app->input.versions = versions;
	app->input.version_count = l->count;
	return SL_OK;
}

sl_code desired_load(const struct store_view *view, struct sl_arena *arena, uint32_t workspace,
		     const char *app_id, struct desired_app *ret_app, struct sl_err *err)
{
	struct desired_app app = {0};
	struct load l = {
	    .view = view, .arena = arena, .workspace = workspace, .app_id = app_id, .app = &app};
	sl_code code = load_pins(&l, err);
	code = code != SL_OK ? code : load_release(&l, err);
	for (uint32_t environment = 1; code == SL_OK && environment <= ENV_COUNT; environment++) {
		code = take_newest(&l, environment, err);
	}
	code = code != SL_OK ? code : hand_out(&l, err);
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
	Sluice__Store__V1__StatusRecord *status = NULL;
	sl_code code =
	    status_get(c->view, c->scratch, c->workspace, instance_id, c->app->id, &status, err);
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
