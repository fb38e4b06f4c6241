/* What a caller may not see is taken out of what it is told, at any depth and by the kind of
 * message: replies and events alike, and lists item by item.
 *
 * Without view on an environment one sees that a version is there and since when; not instances,
 * what runs there, URLs, pins, notes and the history of releases. */
#include <string.h>

#include "base/mem/own.h"
#include "server/services/service_internal.h"
#include "sluice/v1/app.pb-c.h"
#include "sluice/v1/config.pb-c.h"
#include "sluice/v1/fleet.pb-c.h"
#include "sluice/v1/promotion.pb-c.h"
#include "sluice/v1/release.pb-c.h"
#include "sluice/v1/repository.pb-c.h"
#include "sluice/v1/version.pb-c.h"

struct holding {
	const struct store_view *view;
	struct sl_arena *arena;
	uint32_t workspace;
	const struct rights *rights;
	bool keeps;       /* nothing is held back whole: the caller has just made or changed it */
	const char *slug; /* of the app that the messages around are about; NULL: not known */
	char last_id[SL_ID_SIZE]; /* of the app looked up last */
	const char *last_slug;
};

/* --- looking ---------------------------------------------------------------------- */

/* The slug of an app, living or deleted; NULL: there is none, it is just being made. */
static const char *slug_of(struct holding *h, const char *app_id)
{
	if (app_id[0] == '\0' || strlen(app_id) >= sizeof(h->last_id)) {
		return h->slug;
	}
	if (strcmp(app_id, h->last_id) == 0) {
		return h->last_slug;
	}
	struct record_key key = KEY(h->workspace, key_text(k, app_id));
	Sluice__Store__V1__AppRecord *app = NULL;
	sl_code code = app_get(h->view, h->arena, h->workspace, app_id, &app, NULL);
	if (code == SL_NOT_FOUND) {
		code = record_get(h->view, h->arena, TABLE_DELETED_APPS, &key,
				  &sluice__store__v1__app_record__descriptor, &app, NULL);
	}
	memcpy(h->last_id, app_id, strlen(app_id) + 1);
	h->last_slug = code == SL_OK ? app->slug : NULL;
	return h->last_slug;
}

/* environment 0: any. */
static bool sees_in(const struct holding *h, const char *slug, uint32_t environment)
{
	return rights_allow(h->rights, ACCESS_VIEW, slug, environment);
}

static bool sees_at(const struct holding *h, const char *slug, const char *environment)
{
	uint32_t number = 0;
	return environment_find(environment, &number, NULL) == SL_OK && sees_in(h, slug, number);
}

/* --- one kind of message each: false, it is held back whole ---------------------------- */

static bool show_app(struct holding *h, void *message)
{
	Sluice__V1__App *app = message;
	if (!sees_in(h, app->slug, ENV_PRODUCTION)) {
		app->released = NULL;
	}
	return sees_in(h, app->slug, 0);
}

static bool show_version(struct holding *h, void *message)
{
	Sluice__V1__Version *version = message;
	const char *slug = slug_of(h, version->app_id);
	if (!sees_in(h, slug, ENV_PRODUCTION)) {
		version->released = false;
	}
	return sees_in(h, slug, 0);
}

static bool show_facts(struct holding *h, void *message)
{
	Sluice__V1__VersionFacts *facts = message;
	if (!sees_at(h, h->slug, facts->environment)) {
		facts->n_blocks = 0;
		facts->first_released_at = NULL;
		facts->note_count = 0;
	}
	return true;
}

/* A note names its app by what it is called. */
static bool show_note(struct holding *h, void *message)
{
	Sluice__V1__VersionNote *note = message;
	const char *slug = h->slug;
	Sluice__Store__V1__AppRecord *app = NULL;
	if (slug == NULL &&
	    app_find(h->view, h->arena, h->workspace, note->app, &app, NULL) == SL_OK) {
		slug = app->slug;
	}
	return sees_at(h, slug, note->environment);
}

static bool show_promotion(struct holding *h, void *message)
{
	Sluice__V1__Promotion *promotion = message;
	return sees_in(h, slug_of(h, promotion->app_id), 0);
}

static bool show_plan(struct holding *h, void *message)
{
	Sluice__V1__Plan *plan = message;
	if (sees_at(h, slug_of(h, plan->app_id), plan->target)) {
		return true;
	}
	plan->current = plan->pinned = NULL;
	plan->instances = plan->staged = 0;
	plan->n_skipped = 0;
	for (size_t i = 0; i < plan->n_gates; i++) {
		Sluice__V1__Gate *gate = plan->gates[i];
		if (gate->kind == SLUICE__V1__GATE_KIND__GATE_KIND_PREFETCHED ||
		    gate->kind == SLUICE__V1__GATE_KIND__GATE_KIND_CONTRACT) {
			gate->reason = (char *)protobuf_c_empty_string;
			gate->n_evidence = 0;
		}
	}
	return true;
}

static bool show_owed(struct holding *h, void *message)
{
	Sluice__V1__OwedItem *item = message;
	return sees_in(h, slug_of(h, item->app_id), 0);
}

static bool show_release(struct holding *h, void *message)
{
	Sluice__V1__Release *release = message;
	return sees_in(h, slug_of(h, release->app_id), ENV_PRODUCTION);
}

static bool show_release_change(struct holding *h, void *message)
{
	Sluice__V1__ReleaseChange *change = message;
	return sees_in(h, slug_of(h, change->app_id), ENV_PRODUCTION);
}

static bool show_selection(struct holding *h, void *message)
{
	Sluice__V1__Selection *selection = message;
	return sees_at(h, slug_of(h, selection->app_id), selection->environment);
}

static bool show_instance(struct holding *h, void *message)
{
	return sees_at(h, NULL, ((Sluice__V1__Instance *)message)->environment);
}

static bool show_instance_status(struct holding *h, void *message)
{
	Sluice__V1__InstanceStatus *status = message;
	return sees_at(h, slug_of(h, status->app_id), status->environment);
}

static bool show_concern(struct holding *h, void *message)
{
	return sees_at(h, NULL, ((Sluice__V1__InstanceConcern *)message)->environment);
}

/* Of a name that was never set where the caller sees, not even the name. */
static bool show_config(struct holding *h, void *message)
{
	Sluice__V1__ConfigName *config = message;
	bool known = false;
	size_t kept = 0;
	for (size_t i = 0; i < config->n_values; i++) {
		Sluice__V1__ConfigValue *value = config->values[i];
		if (sees_at(h, NULL, value->environment)) {
			config->values[kept++] = value;
			known = known || value->revision != 0;
		}
	}
	config->n_values = kept;
	return known;
}

static bool show_source(struct holding *h, void *message)
{
	Sluice__V1__DataSource *source = message;
	bool set = false, known = false;
	size_t kept = 0;
	for (size_t i = 0; i < source->n_settings; i++) {
		Sluice__V1__SourceSetting *setting = source->settings[i];
		set = set || setting->revision != 0;
		if (sees_at(h, NULL, setting->environment)) {
			source->settings[kept++] = setting;
			known = known || setting->revision != 0;
		}
	}
	source->n_settings = kept;
	return known || !set;
}

static bool show_app_status(struct holding *h, void *message)
{
	Sluice__V1__AppStatus *status = message;
	const char *slug = slug_of(h, status->app_id);
	if (!sees_in(h, slug, ENV_PRODUCTION)) {
		status->released = NULL;
		status->n_share_urls = 0;
	}
	for (size_t i = 0; i < status->n_environments; i++) {
		Sluice__V1__EnvironmentStatus *full = status->environments[i];
		if (sees_at(h, slug, full->environment)) {
			continue;
		}
		Sluice__V1__EnvironmentStatus bare = SLUICE__V1__ENVIRONMENT_STATUS__INIT;
		bare.environment = full->environment;
		bare.versions = full->versions;
		bare.newest = full->newest;
		*full = bare;
	}
	return sees_in(h, slug, 0);
}

static const struct {
	const ProtobufCMessageDescriptor *type;
	bool (*show)(struct holding *h, void *message);
} kinds[] = {
    {&sluice__v1__app__descriptor, show_app},
    {&sluice__v1__version__descriptor, show_version},
    {&sluice__v1__version_facts__descriptor, show_facts},
    {&sluice__v1__version_note__descriptor, show_note},
    {&sluice__v1__promotion__descriptor, show_promotion},
    {&sluice__v1__plan__descriptor, show_plan},
    {&sluice__v1__owed_item__descriptor, show_owed},
    {&sluice__v1__release__descriptor, show_release},
    {&sluice__v1__release_change__descriptor, show_release_change},
    {&sluice__v1__selection__descriptor, show_selection},
    {&sluice__v1__instance__descriptor, show_instance},
    {&sluice__v1__instance_status__descriptor, show_instance_status},
    {&sluice__v1__instance_concern__descriptor, show_concern},
    {&sluice__v1__app_status__descriptor, show_app_status},
    {&sluice__v1__config_name__descriptor, show_config},
    {&sluice__v1__data_source__descriptor, show_source},
};

/* --- the walk --------------------------------------------------------------------------- */

static bool show(struct holding *h, ProtobufCMessage *message);

static void walk_list(struct holding *h, ProtobufCMessage **items, size_t *count)
{
	size_t kept = 0;
	for (size_t i = 0; i < *count; i++) {
		if (show(h, items[i])) {
			items[kept++] = items[i];
		}
	}
	*count = kept;
}

static void walk(struct holding *h, ProtobufCMessage *message)
{
	for (unsigned i = 0; i < message->descriptor->n_fields; i++) {
		const ProtobufCFieldDescriptor *field = &message->descriptor->fields[i];
		uint8_t *at = (uint8_t *)message + field->offset;
		uint8_t *count = (uint8_t *)message + field->quantifier_offset;
		if (field->type != PROTOBUF_C_TYPE_MESSAGE) {
			continue;
		}
		if (field->label == PROTOBUF_C_LABEL_REPEATED) {
			walk_list(h, *(ProtobufCMessage ***)at, (size_t *)count);
			continue;
		}
		bool chosen = (field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) == 0 ||
			      *(const uint32_t *)count == field->id;
		ProtobufCMessage **one = (ProtobufCMessage **)at;
		if (chosen && *one != NULL && !show(h, *one)) {
			*one = NULL;
		}
	}
}

static bool show(struct holding *h, ProtobufCMessage *message)
{
	for (size_t i = 0; i < SL_COUNT(kinds); i++) {
		bool mine = kinds[i].type == message->descriptor;
		if (mine && !kinds[i].show(h, message) && !h->keeps) {
			return false;
		}
	}
	walk(h, message);
	return true;
}

/* What the request is about, for messages that do not say so themselves. */
static const char *slug_asked(struct holding *h, const struct service_bound *bound,
			      const ProtobufCMessage *request)
{
	Sluice__Store__V1__AppRecord *app = NULL;
	if (bound->app == NULL) {
		return NULL;
	}
	const char *wanted = *(char *const *)((const uint8_t *)request + bound->app->offset);
	if (wanted[0] == '\0') {
		return NULL;
	}
	return app_find(h->view, h->arena, h->workspace, wanted, &app, NULL) == SL_OK
		   ? app->slug
		   : slug_of(h, wanted);
}

sl_code service_hold_back(const struct service_bound *bound, const struct service_read *read,
			  const ProtobufCMessage *request, ProtobufCMessage *response,
			  struct sl_err *err)
{
	if (rights_see_all(read->rights)) {
		return SL_OK;
	}
	struct holding h = {.view = read->view,
			    .arena = read->arena,
			    .workspace = read->workspace,
			    .rights = read->rights,
			    .keeps = bound->method->decide != NULL};
	h.slug = slug_asked(&h, bound, request);
	walk(&h, response);
	return sl_arena_failed(read->arena) ? service_no_memory(err) : SL_OK;
}

bool service_sees_app(const struct service_read *read, const char *app_id)
{
	struct holding h = {.view = read->view, .arena = read->arena, .workspace = read->workspace};
	return rights_see_all(read->rights) ||
	       rights_allow(read->rights, ACCESS_VIEW, slug_of(&h, app_id), 0);
}

/* --- events --------------------------------------------------------------------------------- */

/* Its own copy, since others may see more of it. */
static Sluice__V1__Event *copy_of(struct sl_arena *arena, const Sluice__V1__Event *event)
{
	size_t size = sluice__v1__event__get_packed_size(event);
	uint8_t *bytes = sl_arena_alloc(arena, size + 1);
	return bytes == NULL
		   ? NULL
		   : sluice__v1__event__unpack(sl_arena_protobuf(arena),
					       sluice__v1__event__pack(event, bytes), bytes);
}

bool service_show_event(const struct store_view *view, struct sl_arena *arena, uint32_t workspace,
			const struct rights *rights, const Sluice__V1__Event *event,
			Sluice__V1__Event **ret_event)
{
	struct holding h = {.view = view, .arena = arena, .workspace = workspace, .rights = rights};
	h.slug = event->app_id[0] == '\0' ? NULL : slug_of(&h, event->app_id);
	if (event->app_id[0] != '\0' && (h.slug == NULL || !sees_in(&h, h.slug, 0))) {
		return false;
	}
	if (event->app_id[0] == '\0' && !sees_in(&h, NULL, event->environment)) {
		return false;
	}
	Sluice__V1__Event *copy = copy_of(arena, event);
	if (copy == NULL) {
		return false;
	}
	walk(&h, &copy->base);
	*ret_event = copy;
	return copy->workspace != NULL; /* any member of the oneof: it was not held back */
}
