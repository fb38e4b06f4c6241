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

static void of_config(Sluice__V1__AuditObject *object, const Sluice__V1__Event *event)
{
	fill(&object->name, event->config->name);
}

static void of_source(Sluice__V1__AuditObject *object, const Sluice__V1__Event *event)
{
	fill(&object->name, event->source->name);
}

static void of_policy(Sluice__V1__AuditObject *object, const Sluice__V1__Event *event)
{
	fill(&object->name, event->policy->environment);
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
    {SLUICE__V1__EVENT__OBJECT_CONFIG, of_config},
    {SLUICE__V1__EVENT__OBJECT_SOURCE, of_source},
    {SLUICE__V1__EVENT__OBJECT_POLICY, of_policy},
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

/* --- cutting ------------------------------------------------------------------------------ */

sl_code audit_cut(struct decision *d, const struct store_audit_point *through, struct sl_err *err)
{
	struct store_audit_point anchor = store_view_audit_anchor(d->view);
	if (through->sequence < anchor.sequence ||
	    (through->sequence == anchor.sequence &&
	     memcmp(through->hash, anchor.hash, sizeof(anchor.hash)) == 0)) {
		return SL_OK;
	}
	SL_AUTO(store_audit_end) struct store_audit_walk walk;
	store_audit_begin(&walk, d->view, through->sequence, STORE_FORWARD);
	bool there = through->sequence > anchor.sequence && store_audit_next(&walk) &&
		     walk.record.sequence == through->sequence &&
		     memcmp(walk.record.hash, through->hash, sizeof(through->hash)) == 0;
	sl_code code = store_audit_result(&walk, err);
	if (code != SL_OK) {
		return code;
	}
	if (!there) {
		return sl_err_because(err, SL_FAILED_PRECONDITION, SL_REASON_AUDIT_RECORD_UNKNOWN,
				      "no audit record has number %lu and that hash: cut at the "
				      "last record of an export",
				      (unsigned long)through->sequence);
	}
	d->object.from = sl_arena_printf(d->arena, "%lu", (unsigned long)anchor.sequence);
	d->object.to = sl_arena_printf(d->arena, "%lu", (unsigned long)through->sequence);
	d->changed = true;
	store_changes_cut_audit(d->changes, through->sequence, through->hash);
	return SL_OK;
}

/* The entry of the first record from `sequence` on; *ret_entry NULL: there is none. */
static sl_code entry_at(const struct store_view *view, struct sl_arena *arena, uint64_t sequence,
			struct store_audit_point *ret_point, Sluice__V1__AuditEntry **ret_entry,
			struct sl_err *err)
{
	SL_AUTO(store_audit_end) struct store_audit_walk walk;
	store_audit_begin(&walk, view, sequence, STORE_FORWARD);
	*ret_entry = NULL;
	if (!store_audit_next(&walk)) {
		return store_audit_result(&walk, err);
	}
	ret_point->sequence = walk.record.sequence;
	memcpy(ret_point->hash, walk.record.hash, sizeof(ret_point->hash));
	return audit_entry(arena, &walk.record, ret_entry, err);
}

/* The last record before `before_ms`; sequence 0: there is none. */
static sl_code last_before(const struct store_view *view, uint64_t before_ms,
			   struct store_audit_point *ret_last, struct sl_err *err)
{
	uint64_t low = store_view_audit_anchor(view).sequence;
	uint64_t high = store_view_audit_head(view).sequence;
	ret_last->sequence = 0;
	while (low < high) {
		SL_AUTO(sl_arena_fini) struct sl_arena arena;
		sl_arena_init(&arena, 0);
		uint64_t middle = low + (high - low + 1) / 2;
		struct store_audit_point point = {.sequence = 0};
		Sluice__V1__AuditEntry *entry = NULL;
		sl_code code = entry_at(view, &arena, middle, &point, &entry, err);
		if (code != SL_OK) {
			return code;
		}
		if (entry == NULL || entry->at_ms >= before_ms) {
			high = middle - 1;
			continue;
		}
		low = point.sequence;
		*ret_last = point;
	}
	return SL_OK;
}

sl_code audit_cut_old(struct store_changes *changes, const struct store_view *view, uint64_t now_ms,
		      uint64_t keep_ms, bool *ret_cut, struct sl_err *err)
{
	SL_AUTO(sl_arena_fini) struct sl_arena arena;
	sl_arena_init(&arena, 0);
	uint64_t before_ms = now_ms > keep_ms ? now_ms - keep_ms : 0;
	struct store_audit_point last = {.sequence = 0};
	Sluice__V1__AuditEntry *oldest = NULL;
	*ret_cut = false;
	sl_code code = entry_at(view, &arena, 0, &last, &oldest, err);
	if (code != SL_OK || oldest == NULL || oldest->at_ms + keep_ms / 8 >= before_ms) {
		return code;
	}
	code = last_before(view, before_ms, &last, err);
	if (code == SL_OK && last.sequence > 0) {
		store_changes_cut_audit(changes, last.sequence, last.hash);
		*ret_cut = true;
	}
	return code;
}
