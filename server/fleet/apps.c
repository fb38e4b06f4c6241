/* What instances are told of an app: an entry, computed once per environment, and once for each
 * instance with a pin of its own, and shared by all sessions. */
#include <stdlib.h>
#include <string.h>

#include "base/mem/own.h"
#include "server/fleet/fleet_internal.h"
#include "server/records/bundles.h"
#include "server/records/logins.h"

/* --- entries -------------------------------------------------------------------- */

struct fleet_entry *fleet_entry_ref(struct fleet_entry *entry)
{
	entry->refs++;
	return entry;
}

void fleet_entry_unref(struct fleet_entry *entry)
{
	if (entry != NULL && --entry->refs == 0) {
		fleet_values_unref(entry->values);
		free(entry);
	}
}

/* What is being encoded. */
struct source {
	const Sluice__Store__V1__AppRecord *app;
	const Sluice__Store__V1__RepositoryRecord *repository;
	const struct desired_app *desired;
	struct wire in;
	struct sl_err *err;
};

static bool is_draft(const struct source *source, uint32_t number)
{
	const Sluice__Store__V1__VersionRecord *version =
	    desired_version_record(source->desired, number);
	return version != NULL && version->state == SLUICE__V1__VERSION_STATE__VERSION_STATE_DRAFT;
}

/* What the bundles that are kept require. */
static sl_code values_of(const struct source *source, const struct desired_choice *choice,
			 uint32_t environment, const struct fleet_entry *old,
			 struct fleet_values **ret_values)
{
	struct sl_bytes contracts[DESIRED_KEEP_MAX];
	size_t count = 0;
	for (size_t i = 0; i < choice->keep_count; i++) {
		const Sluice__Store__V1__VersionRecord *version =
		    desired_version_record(source->desired, choice->keep[i]);
		const Sluice__Store__V1__ContentRecord *content =
		    version != NULL ? version->content : NULL;
		if (content != NULL && content->contract.len > 0) {
			contracts[count++] =
			    SL_BYTES(content->contract.data, content->contract.len);
		}
	}
	return fleet_values_of(&source->in, environment, contracts, count,
			       old != NULL ? old->values : NULL, ret_values, source->err);
}

static struct fleet_entry *encode(const struct source *source, const struct desired_choice *choice,
				  uint32_t environment, const struct fleet_entry *old)
{
	struct fleet_values *values = NULL;
	Sluice__V1__Bundle bundles[DESIRED_KEEP_MAX], *keep[DESIRED_KEEP_MAX];
	Sluice__V1__ManifestApp message = SLUICE__V1__MANIFEST_APP__INIT;
	message.app_id = source->app->id;
	message.slug = source->app->slug;
	message.name = source->app->name;
	message.keep = keep;
	for (size_t i = 0; i < choice->keep_count; i++) {
		Sluice__V1__Bundle *bundle = &bundles[message.n_keep];
		if (bundle_fill(source->desired, source->repository, choice->keep[i], bundle)) {
			message.activate = choice->keep[i] == choice->selected ? bundle->version_id
									       : message.activate;
			bool work = environment == ENV_DEVELOPMENT &&
				    choice->keep[i] == choice->selected &&
				    is_draft(source, choice->keep[i]);
			message.work = work ? bundle->version_id : message.work;
			keep[message.n_keep++] = bundle;
		}
	}
	message.take_down =
	    choice->selected == 0 && desired_takes_down(&source->desired->input, environment);
	if (values_of(source, choice, environment, old, &values) != SL_OK) {
		return NULL;
	}
	if (values != NULL) {
		message.config.data = values->stamp;
		message.config.len = SL_HASH_BYTES;
	}
	size_t size = sluice__v1__manifest_app__get_packed_size(&message);
	struct fleet_entry *entry = calloc(1, sizeof(*entry) + size);
	if (entry == NULL || sl_arena_failed(source->in.arena)) {
		fleet_values_unref(values);
		free(entry);
		return NULL;
	}
	uint8_t hash[SL_HASH_BYTES];
	entry->refs = 1;
	entry->values = values;
	entry->size = size;
	entry->login = login_revision(source->repository);
	sl_text_copy(entry->repository_id, FLEET_ID_ROOM, source->repository->id);
	sl_text_copy(entry->activate, FLEET_ID_ROOM, message.activate);
	(void)sluice__v1__manifest_app__pack(&message, entry->bytes);
	sl_hash(hash, entry->bytes, size, NULL, 0);
	memcpy(entry->hash, hash, FLEET_CORE_BYTES);
	return entry;
}

/* Takes `fresh`, unless it says the same as the old one: sessions see a change by the pointer. */
static void replace(struct fleet_entry **entry, struct fleet_entry *fresh)
{
	if (*entry != NULL && fresh != NULL &&
	    memcmp((*entry)->hash, fresh->hash, FLEET_CORE_BYTES) == 0) {
		struct fleet_values *values = (*entry)->values;
		(*entry)->values = fresh->values; /* as of now, with the same stamp */
		fresh->values = values;
		fleet_entry_unref(fresh);
		return;
	}
	fleet_entry_unref(*entry);
	*entry = fresh;
}

/* --- apps ------------------------------------------------------------------------- */

struct fleet_app *fleet_app_find(struct fleet *fleet, const char *id)
{
	struct fleet_app *app = NULL;
	SLIST_FOREACH(app, &fleet->apps[fleet_bucket(id, FLEET_APP_BUCKETS)], link)
	{
		if (strcmp(app->id, id) == 0) {
			return app;
		}
	}
	return NULL;
}

static struct fleet_app *app_put(struct fleet *fleet, uint32_t workspace, const char *id)
{
	struct fleet_app *app = fleet_app_find(fleet, id);
	if (app != NULL || strlen(id) >= FLEET_ID_ROOM) {
		return app;
	}
	app = calloc(1, sizeof(*app));
	if (app != NULL) {
		app->workspace = workspace;
		memcpy(app->id, id, strlen(id) + 1);
		SLIST_INSERT_HEAD(&fleet->apps[fleet_bucket(id, FLEET_APP_BUCKETS)], app, link);
	}
	return app;
}

struct fleet_app *fleet_app_touch(struct fleet *fleet, uint32_t workspace, const char *id)
{
	struct fleet_app *app = app_put(fleet, workspace, id);
	if (app != NULL && !app->touched) {
		app->touched = true;
		STAILQ_INSERT_TAIL(&fleet->touched, app, touched_link);
	}
	return app;
}

size_t fleet_row_at(const void *rows, size_t count, size_t size, fleet_row_app *app_of,
		    const char *app_id, bool *ret_found)
{
	size_t low = 0, high = count;
	*ret_found = false;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		int order = strcmp(app_of((const char *)rows + middle * size), app_id);
		if (order == 0) {
			*ret_found = true;
			return middle;
		}
		if (order < 0) {
			low = middle + 1;
		} else {
			high = middle;
		}
	}
	return low;
}

void fleet_apps_touch_repository(struct fleet *fleet, uint32_t workspace, const char *repository_id)
{
	for (size_t i = 0; i < FLEET_APP_BUCKETS; i++) {
		struct fleet_app *app = NULL;
		SLIST_FOREACH(app, &fleet->apps[i], link)
		{
			if (app->workspace == workspace && app->record != NULL &&
			    strcmp(app->record->repository_id, repository_id) == 0) {
				(void)fleet_app_touch(fleet, workspace, app->id);
			}
		}
	}
}

static void free_pins(struct fleet_app *app)
{
	for (size_t i = 0; i < app->pin_count; i++) {
		fleet_entry_unref(app->pins[i].entry);
	}
	free(SL_TAKE(app->pins));
	app->pin_count = 0;
}

static void clear_app(struct fleet_app *app)
{
	if (app->record != NULL) {
		sluice__store__v1__app_record__free_unpacked(SL_TAKE(app->record), NULL);
	}
	for (uint32_t i = 0; i <= ENV_COUNT; i++) {
		fleet_entry_unref(SL_TAKE(app->entries[i]));
	}
	free_pins(app);
	free(SL_TAKE(app->push));
}

void fleet_apps_free(struct fleet *fleet)
{
	for (size_t i = 0; i < FLEET_APP_BUCKETS; i++) {
		while (!SLIST_EMPTY(&fleet->apps[i])) {
			struct fleet_app *app = SLIST_FIRST(&fleet->apps[i]);
			SLIST_REMOVE_HEAD(&fleet->apps[i], link);
			clear_app(app);
			free(app);
		}
	}
}

static struct fleet_entry *old_pin(const struct fleet_app *app, const char *instance_id)
{
	for (size_t i = 0; i < app->pin_count; i++) {
		if (strcmp(app->pins[i].instance_id, instance_id) == 0) {
			return app->pins[i].entry;
		}
	}
	return NULL;
}

static sl_code compute_pins(struct fleet_app *app, const struct source *source)
{
	const struct desired_input *input = &source->desired->input;
	SL_AUTO(sl_free_auto) struct fleet_pin *pins = calloc(input->pin_count + 1, sizeof(*pins));
	size_t count = 0;
	for (size_t i = 0; pins != NULL && i < input->pin_count; i++) {
		const struct desired_pin *pin = &input->pins[i];
		if (pin->instance_id[0] == '\0' || pin->environment == ENV_PRODUCTION ||
		    strlen(pin->instance_id) >= FLEET_ID_ROOM) {
			continue;
		}
		struct desired_choice choice;
		desired_choose(input, pin->environment, pin->instance_id, &choice);
		struct fleet_entry *old = old_pin(app, pin->instance_id);
		struct fleet_entry *entry = old == NULL ? NULL : fleet_entry_ref(old);
		replace(&entry, encode(source, &choice, pin->environment, old));
		memcpy(pins[count].instance_id, pin->instance_id, strlen(pin->instance_id) + 1);
		pins[count++].entry = entry;
	}
	free_pins(app);
	app->pins = SL_TAKE(pins);
	app->pin_count = count;
	return app->pins != NULL ? SL_OK : SL_RESOURCE_EXHAUSTED;
}

static sl_code compute(struct fleet_app *app, const struct store_view *view, struct sl_arena *arena,
		       struct sl_err *err)
{
	struct desired_app desired;
	Sluice__Store__V1__RepositoryRecord *repository = NULL;
	sl_code code = desired_load(view, arena, app->workspace, app->id, &desired, err);
	code = code != SL_OK ? code
			     : repository_get(view, arena, app->workspace,
					      app->record->repository_id, &repository, err);
	if (code != SL_OK) {
		return code == SL_NOT_FOUND
			   ? sl_err_set(err, SL_DATA_LOSS, "app %s has no repository", app->id)
			   : code;
	}
	struct source source = {
	    .app = app->record,
	    .repository = repository,
	    .desired = &desired,
	    .in = {.view = view, .arena = arena, .workspace = app->workspace},
	    .err = err,
	};
	for (uint32_t environment = 1; environment <= ENV_COUNT; environment++) {
		struct desired_choice choice;
		desired_choose(&desired.input, environment, NULL, &choice);
		struct fleet_entry *entry =
		    encode(&source, &choice, environment, app->entries[environment]);
		if (entry == NULL) {
			return err->code != SL_OK ? err->code
						  : sl_err_set(err, SL_RESOURCE_EXHAUSTED,
							       "out of memory for app %s", app->id);
		}
		replace(&app->entries[environment], entry);
	}
	code = compute_pins(app, &source);
	return code == SL_OK ? SL_OK : sl_err_set(err, code, "out of memory for app %s", app->id);
}

sl_code fleet_app_read(struct fleet *fleet, const struct store_view *view, struct fleet_app *app,
		       struct sl_err *err)
{
	struct record_key key = KEY(app->workspace, key_text(k, app->id));
	struct sl_bytes value;
	sl_code code = store_get(view, TABLE_APPS, key_bytes(&key), &value, err);
	if (code == SL_NOT_FOUND) {
		clear_app(app);
		return SL_OK;
	}
	if (code != SL_OK) {
		return code;
	}
	Sluice__Store__V1__AppRecord *record =
	    sluice__store__v1__app_record__unpack(NULL, value.size, value.data);
	if (record == NULL) {
		return sl_err_set(err, SL_DATA_LOSS, "the record of app %s does not parse",
				  app->id);
	}
	if (app->record != NULL) {
		sluice__store__v1__app_record__free_unpacked(app->record, NULL);
	}
	app->record = record;
	SL_AUTO(sl_arena_fini) struct sl_arena arena;
	sl_arena_init(&arena, 0);
	code = fleet_push_read(fleet, view, app, &arena, err);
	return code != SL_OK ? code : compute(app, view, &arena, err);
}

sl_code fleet_apps_load(struct fleet *fleet, const struct store_view *view, struct sl_err *err)
{
	SL_AUTO(store_walk_end) struct store_walk walk;
	store_walk_begin(&walk, view, TABLE_APPS, SL_BYTES_NONE, STORE_FORWARD);
	while (store_walk_next(&walk)) {
		struct fleet_app *app =
		    app_put(fleet, sl_get_be32(walk.key.data), (const char *)walk.key.data + 4);
		sl_code code =
		    app != NULL ? fleet_app_read(fleet, view, app, err) : sl_err_no_memory(err);
		if (code != SL_OK) {
			return code;
		}
	}
	fleet->loaded = store_view_revision(view);
	fleet->position = fleet->loaded > fleet->position ? fleet->loaded : fleet->position;
	fleet->apps_loaded = true;
	return store_walk_result(&walk, err);
}

struct fleet_entry *fleet_app_entry(const struct fleet_app *app, const struct fleet_unit *unit)
{
	if (app->record == NULL || app->workspace != unit->workspace ||
	    !desired_is_placed(app->record, unit->record)) {
		return NULL;
	}
	struct fleet_entry *pinned = app->pin_count == 0 ? NULL : old_pin(app, unit->id);
	return pinned != NULL ? pinned : app->entries[unit->record->environment];
}
