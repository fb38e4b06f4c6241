#include "server/records/audit.h"

#include <string.h>

#include "base/pb/pb.h"

/* --- what a change was about --------------------------------------------------------- */

/* Sets what nobody has said. */
static void fill(char **field, const char *value)
{
	if ((*field)[0] == '\0' && value != NULL) {
		*field = (char *)value;
	}
}

static void of_version(Sluice__V1__AuditObject *object, const Sluice__V1__VersionRef *version)
{
	if (version != NULL) {
		fill(&object->version_id, version->id);
		fill(&object->id, version->id);
		fill(&object->name, version->name);
	}
}

static void of_workspace(Sluice__V1__AuditObject *object, const Sluice__V1__Event *event)
{
	fill(&object->name, event->workspace->name);
}

static void of_repository(Sluice__V1__AuditObject *object, const Sluice__V1__Event *event)
{
	fill(&object->id, event->repository->id);
	fill(&object->name, event->repository->name);
}

static void of_app(Sluice__V1__AuditObject *object, const Sluice__V1__Event *event)
{
	fill(&object->id, event->app->id);
	fill(&object->name, event->app->name);
}

static void of_version_event(Sluice__V1__AuditObject *object, const Sluice__V1__Event *event)
{
	fill(&object->version_id, event->version->id);
	fill(&object->id, event->version->id);
	fill(&object->name, event->version->name);
}

static void of_note(Sluice__V1__AuditObject *object, const Sluice__V1__Event *event)
{
	of_version(object, event->note->version);
}

static void of_promotion(Sluice__V1__AuditObject *object, const Sluice__V1__Event *event)
{
	of_version(object, event->promotion->version);
	fill(&object->from, event->promotion->from);
	fill(&object->to, event->promotion->to);
}

static void of_release(Sluice__V1__AuditObject *object, const Sluice__V1__Event *event)
{
	const Sluice__V1__ReleaseChange *change = event->release;
	of_version(object, change->to != NULL ? change->to : change->from);
	fill(&object->from, change->from != NULL ? change->from->name : NULL);
	fill(&object->to, change->to != NULL ? change->to->name : NULL);
}

static void of_selection(Sluice__V1__AuditObject *object, const Sluice__V1__Event *event)
{
	of_version(object, event->selection->version);
}

static void of_instance(Sluice__V1__AuditObject *object, const Sluice__V1__Event *event)
{
	fill(&object->id, event->instance->id);
	fill(&object->name, event->instance->name);
}

static void of_status(Sluice__V1__AuditObject *object, const Sluice__V1__Event *event)
{
	fill(&object->id, event->status->instance_id);
	fill(&object->name, event->status->instance);
	fill(&object->version_id,
	     event->status->subject != NULL ? event->status->subject->id : NULL);
}

/* By kind of object. Of a change's events that of the first row says what it was about. */
static const struct {
	Sluice__V1__Event__ObjectCase object;
	void (*read)(Sluice__V1__AuditObject *object, const Sluice__V1__Event *event);
} kinds[] = {
    {SLUICE__V1__EVENT__OBJECT_RELEASE, of_release},
    {SLUICE__V1__EVENT__OBJECT_PROMOTION, of_promotion},
    {SLUICE__V1__EVENT__OBJECT_SELECTION, of_selection},
    {SLUICE__V1__EVENT__OBJECT_NOTE, of_note},
    {SLUICE__V1__EVENT__OBJECT_WORKSPACE, of_workspace},
    {SLUICE__V1__EVENT__OBJECT_REPOSITORY, of_repository},
    {SLUICE__V1__EVENT__OBJECT_APP, of_app},
    {SLUICE__V1__EVENT__OBJECT_VERSION, of_version_event},
    {SLUICE__V1__EVENT__OBJECT_INSTANCE, of_instance},
    {SLUICE__V1__EVENT__OBJECT_STATUS, of_status},
};

static size_t kind_of(const Sluice__V1__Event *event)
{
	size_t at = 0;
	while (at < SL_COUNT(kinds) && kinds[at].object != event->object_case) {
		at++;
	}
	return at;
}

static void read_events(struct decision *d, Sluice__V1__AuditObject *object)
{
	const Sluice__V1__Event *best = NULL;
	size_t best_kind = SL_COUNT(kinds);
	for (size_t i = 0; i < d->event_count; i++) {
		size_t kind = kind_of(d->events[i]);
		if (kind < best_kind) { /* the first row that any has */
			best = d->events[i];
			best_kind = kind;
		}
	}
	if (best == NULL || object->kind != SLUICE__V1__EVENT_KIND__EVENT_KIND_UNSPECIFIED) {
		return;
	}
	object->kind = best->kind;
	object->environment = object->environment != 0 ? object->environment : best->environment;
	fill(&object->app_id, best->app_id);
	fill(&object->instance_id, best->instance_id);
	kinds[best_kind].read(object, best);
}

/* --- entries ------------------------------------------------------------------------- */

static const char *or_empty(const char *text)
{
	return text != NULL ? text : "";
}

static void begin(const struct decision *d, Sluice__V1__AuditEntry *entry)
{
	sluice__v1__audit_entry__init(entry);
	entry->at_ms = d->now_ms;
	entry->workspace = d->workspace;
	entry->workspace_name = (char *)or_empty(d->workspace_name);
	entry->principal = (char *)or_empty(d->principal);
	entry->method = (char *)or_empty(d->method);
	entry->reason = (char *)or_empty(d->reason);
	entry->caller = (Sluice__V1__AuditCaller *)(uintptr_t)d->caller;
}

/* A decision that was made by hand may know of no object. */
static Sluice__V1__AuditObject object_of(const struct decision *d)
{
	if (d->object.base.descriptor != NULL) {
		return d->object;
	}
	return (Sluice__V1__AuditObject)SLUICE__V1__AUDIT_OBJECT__INIT;
}

static struct sl_bytes pack(struct sl_arena *arena, const Sluice__V1__AuditEntry *entry)
{
	return pb_pack(arena, &entry->base);
}

struct sl_bytes audit_change(struct decision *d)
{
	Sluice__V1__AuditEntry entry;
	Sluice__V1__AuditObject object = object_of(d);
	begin(d, &entry);
	entry.revision = d->revision;
	entry.history = d->history;
	if (!sl_arena_failed(d->arena)) { /* else events may be half built */
		read_events(d, &object);
	}
	entry.object = &object;
	return pack(d->arena, &entry);
}

void audit_refusal(struct decision *d, const Sluice__V1__AuditRefusal *refusal)
{
	Sluice__V1__AuditEntry entry;
	Sluice__V1__AuditObject object = object_of(d);
	begin(d, &entry);
	entry.object = &object;
	entry.refusal = (Sluice__V1__AuditRefusal *)(uintptr_t)refusal;
	struct sl_bytes packed = pack(d->arena, &entry);
	if (packed.data != NULL) {
		store_changes_refusal(d->changes, packed);
	}
}

void audit_counted(struct sl_arena *arena, struct store_changes *changes,
		   Sluice__V1__AuditEntry *entry, uint64_t count, uint64_t first_ms,
		   uint64_t last_ms)
{
	Sluice__V1__AuditRefusal none = SLUICE__V1__AUDIT_REFUSAL__INIT;
	entry->refusal = entry->refusal != NULL ? entry->refusal : &none;
	entry->refusal->count = count;
	entry->refusal->first_ms = first_ms;
	entry->at_ms = last_ms;
	struct sl_bytes packed = pack(arena, entry);
	if (packed.data != NULL) {
		store_changes_refusal(changes, packed);
	}
}

sl_code audit_entry(struct sl_arena *arena, const struct store_audit_record *record,
		    Sluice__V1__AuditEntry **ret_entry, struct sl_err *err)
{
	return record_unpack(arena, record->body, &sluice__v1__audit_entry__descriptor, ret_entry,
			     err);
}
