/* What agents say of apps, written many at once; see instances.h. */
#include <string.h>

#include "server/records/instances.h"
#include "server/records/statuses.h"
#include "server/records/wire.h"

/* What the item before was about: items come sorted by app, so most look-ups repeat. */
struct memory {
	Sluice__Store__V1__AppRecord *app;
	const char *app_id;                  /* of which app is (not) there; NULL: none yet */
	Sluice__V1__VersionRef *versions[4]; /* looked up last */
	unsigned next;
};

static bool same_ids(char *const *a, size_t a_count, char *const *b, size_t b_count)
{
	bool same = a_count == b_count;
	for (size_t i = 0; same && i < a_count; i++) {
		bool found = false;
		for (size_t j = 0; !found && j < b_count; j++) {
			found = strcmp(a[i], b[j]) == 0;
		}
		same = found;
	}
	return same;
}

bool instance_status_same(const Sluice__Store__V1__StatusRecord *a,
			  const Sluice__Store__V1__StatusRecord *b)
{
	return a->phase == b->phase && a->attempt == b->attempt &&
	       a->error_class == b->error_class && a->orphaned == b->orphaned &&
	       strcmp(a->version_id, b->version_id) == 0 && strcmp(a->error, b->error) == 0 &&
	       strcmp(a->active_version_id, b->active_version_id) == 0 &&
	       same_ids(a->staged_version_ids, a->n_staged_version_ids, b->staged_version_ids,
			b->n_staged_version_ids);
}

static sl_code find_app(struct decision *d, struct memory *memory, const char *app_id,
			struct sl_err *err)
{
	if (memory->app_id != NULL && strcmp(memory->app_id, app_id) == 0) {
		return SL_OK;
	}
	memory->app = NULL;
	memory->app_id = app_id;
	sl_code code = app_get(d->view, d->arena, d->workspace, app_id, &memory->app, err);
	return code == SL_NOT_FOUND ? SL_OK : code;
}

/* NULL: nothing, or nobody knows the version any more. */
static Sluice__V1__VersionRef *find_version(struct decision *d, struct memory *memory,
					    const char *version_id)
{
	if (version_id[0] == '\0' || memory->app == NULL) {
		return NULL;
	}
	for (unsigned i = 0; i < SL_COUNT(memory->versions); i++) {
		if (memory->versions[i] != NULL &&
		    strcmp(memory->versions[i]->id, version_id) == 0) {
			return memory->versions[i];
		}
	}
	Sluice__Store__V1__VersionRecord *version = NULL;
	Sluice__V1__VersionRef *ref = NULL;
	if (version_find(d->view, d->arena, d->workspace, memory->app, version_id, &version,
			 NULL) == SL_OK) {
		ref = wire_version_ref(d->arena, version);
		memory->versions[memory->next++ % SL_COUNT(memory->versions)] = ref;
	}
	return ref;
}

static void status_event(struct decision *d, struct memory *memory,
			 const Sluice__Store__V1__InstanceRecord *instance,
			 const struct instance_status *item)
{
	Sluice__V1__EventType type = item->record == NULL
					 ? SLUICE__V1__EVENT_TYPE__EVENT_TYPE_DELETED
					 : SLUICE__V1__EVENT_TYPE__EVENT_TYPE_UPDATED;
	Sluice__V1__Event *event =
	    decision_event(d, type, SLUICE__V1__EVENT_KIND__EVENT_KIND_STATUS, item->app_id,
			   instance->environment, instance->id);
	Sluice__V1__InstanceStatus *status = SL_ARENA_NEW(d->arena, Sluice__V1__InstanceStatus);
	if (status == NULL) {
		return; /* the arena has failed, and the command with it */
	}
	sluice__v1__instance_status__init(status);
	status->instance_id = instance->id;
	status->instance = instance->name;
	status->environment = (char *)environment_name(instance->environment);
	status->app_id = (char *)item->app_id;
	status->app = memory->app != NULL ? memory->app->name : status->app;
	status->paused = instance->paused;
	status->desired = find_version(d, memory, item->desired_version_id);
	const Sluice__Store__V1__StatusRecord *record = item->record;
	if (record != NULL) {
		status->active = find_version(d, memory, record->active_version_id);
		status->subject = find_version(d, memory, record->version_id);
		status->phase = record->phase;
		status->attempt = record->attempt;
		status->error_class = record->error_class;
		status->error = record->error;
		status->at = wire_time(d->arena, record->at_ms);
		status->liveness = SLUICE__V1__LIVENESS__LIVENESS_ONLINE;
		status->staged = record->staged_version_ids;
		status->n_staged = record->n_staged_version_ids;
		status->orphaned = record->orphaned;
		status->converged =
		    record->phase == SLUICE__V1__PHASE__PHASE_HEALTHY &&
		    strcmp(record->active_version_id, item->desired_version_id) == 0 &&
		    strcmp(record->version_id, item->desired_version_id) == 0;
	}
	event->object_case = SLUICE__V1__EVENT__OBJECT_STATUS;
	event->status = status;
}

static sl_code decide_one(struct decision *d, struct memory *memory,
			  const struct instance_status *item, struct sl_err *err)
{
	Sluice__Store__V1__InstanceRecord *instance = NULL;
	Sluice__Store__V1__StatusRecord *stored = NULL;
	sl_code code =
	    instance_get(d->view, d->arena, d->workspace, item->instance_id, &instance, err);
	if (code != SL_OK) {
		return code == SL_NOT_FOUND ? SL_OK : code;
	}
	code = find_app(d, memory, item->app_id, err);
	code = code != SL_OK ? code
			     : status_get(d->view, d->arena, d->workspace, item->instance_id,
					  item->app_id, &stored, err);
	if (code != SL_OK && code != SL_NOT_FOUND) {
		return code;
	}
	/* What is orphaned is of interest also when its app is deleted: it still serves. */
	bool gone = item->record == NULL || (memory->app == NULL && !item->record->orphaned);
	if (gone ? stored == NULL : stored != NULL && instance_status_same(stored, item->record)) {
		return SL_OK;
	}
	if (gone) {
		status_delete(d, item->instance_id, item->app_id);
	} else {
		status_put(d, item->instance_id, item->app_id, stored != NULL, item->record);
	}
	status_event(d, memory, instance, item);
	return SL_OK;
}

sl_code instances_decide_statuses(struct decision *d, const struct instance_status *items,
				  size_t count, struct sl_err *err)
{
	struct memory memory = {0};
	for (size_t i = 0; i < count; i++) {
		sl_code code = decide_one(d, &memory, &items[i], err);
		if (code != SL_OK) {
			return code;
		}
	}
	return SL_OK;
}
