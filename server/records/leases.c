/* pushes: which development instance writes on an app. */
#include <string.h>

#include "base/mem/own.h"
#include "server/records/instances.h"
#include "server/records/pushes.h"
#include "server/records/versions_internal.h"

sl_code lease_get(const struct store_view *view, struct sl_arena *arena, uint32_t workspace,
		  const char *app_id, uint64_t now_ms, Sluice__Store__V1__LeaseRecord **ret_lease,
		  struct sl_err *err)
{
	Sluice__Store__V1__LeaseRecord *lease = NULL;
	struct record_key key = KEY(workspace, key_text(k, app_id));
	sl_code code = record_get(view, arena, TABLE_LEASES, &key,
				  &sluice__store__v1__lease_record__descriptor, &lease, err);
	if (code != SL_OK || lease->expires_ms <= now_ms) {
		return code != SL_OK ? code : SL_NOT_FOUND;
	}
	*ret_lease = lease;
	return SL_OK;
}

Sluice__V1__Lease *wire_lease(const struct wire *w, const Sluice__Store__V1__AppRecord *app,
			      const Sluice__Store__V1__LeaseRecord *lease)
{
	Sluice__Store__V1__InstanceRecord *instance = NULL;
	Sluice__V1__Lease *to = SL_ARENA_NEW(w->arena, Sluice__V1__Lease);
	if (to == NULL || instance_get(w->view, w->arena, w->workspace, lease->instance_id,
				       &instance, NULL) != SL_OK) {
		return NULL;
	}
	sluice__v1__lease__init(to);
	to->app_id = app->id;
	to->app = app->name;
	to->instance_id = instance->id;
	to->instance = instance->name;
	to->by = lease->by;
	to->since = wire_time(w->arena, lease->since_ms);
	to->expires_at = wire_time(w->arena, lease->expires_ms);
	return to;
}

sl_code lease_show(const struct wire *w, const Sluice__Store__V1__AppRecord *app, uint64_t now_ms,
		   Sluice__V1__Lease **ret_lease, struct sl_err *err)
{
	Sluice__Store__V1__LeaseRecord *lease = NULL;
	sl_code code = lease_get(w->view, w->arena, w->workspace, app->id, now_ms, &lease, err);
	*ret_lease = code == SL_OK ? wire_lease(w, app, lease) : NULL;
	return code == SL_NOT_FOUND ? SL_OK : code;
}

/* The app and its lease, if that is the instance's and holds. */
static Sluice__V1__Lease *lease_of(const struct wire *w, const char *app_id,
				   const char *instance_id, uint64_t now_ms)
{
	Sluice__Store__V1__LeaseRecord *lease = NULL;
	Sluice__Store__V1__AppRecord *app = NULL;
	bool holds =
	    lease_get(w->view, w->arena, w->workspace, app_id, now_ms, &lease, NULL) == SL_OK &&
	    strcmp(lease->instance_id, instance_id) == 0 &&
	    app_get(w->view, w->arena, w->workspace, app_id, &app, NULL) == SL_OK;
	return holds ? wire_lease(w, app, lease) : NULL;
}

sl_code leases_of_instance(const struct wire *w, const char *instance_id, uint64_t now_ms,
			   Sluice__V1__Lease ***ret_leases, size_t *ret_count, struct sl_err *err)
{
	struct record_key prefix = key_of(w->workspace);
	SL_AUTO(store_walk_end) struct store_walk walk;
	size_t count = 0, room = 0;
	Sluice__V1__Lease **leases = NULL;
	store_walk_begin(&walk, w->view, TABLE_LEASES, key_bytes(&prefix), STORE_FORWARD);
	while (store_walk_next(&walk)) {
		const char *app_id =
		    sl_arena_strdup(w->arena, (const char *)walk.key.data + prefix.size);
		Sluice__V1__Lease *lease =
		    app_id == NULL ? NULL : lease_of(w, app_id, instance_id, now_ms);
		if (lease != NULL && count == room) {
			room = room == 0 ? 8 : room * 2;
			Sluice__V1__Lease **grown =
			    SL_ARENA_ARRAY(w->arena, Sluice__V1__Lease *, room);
			if (grown == NULL) {
				return records_out_of_memory(err);
			}
			if (count > 0) {
				memcpy(grown, leases, count * sizeof(*leases));
			}
			leases = grown;
		}
		if (lease != NULL) {
			leases[count++] = lease;
		}
	}
	*ret_leases = leases;
	*ret_count = count;
	return store_walk_result(&walk, err);
}

sl_code leases_decide_break(struct decision *d, const Sluice__Store__V1__AppRecord *app,
			    Sluice__Store__V1__LeaseRecord **ret_lease, struct sl_err *err)
{
	sl_code code =
	    lease_get(d->view, d->arena, d->workspace, app->id, d->now_ms, ret_lease, err);
	if (code != SL_OK) {
		return code != SL_NOT_FOUND
			   ? code
			   : sl_err_because(err, SL_NOT_FOUND, SL_REASON_LEASE_NOT_FOUND,
					    "no instance holds the lease of app '%s'", app->name);
	}
	/* Its record stays as long as a push of it may: that is found through it. */
	(*ret_lease)->expires_ms = d->now_ms;
	(*ret_lease)->revision = d->revision;
	struct record_key key = KEY(d->workspace, key_text(k, app->id));
	decision_put(d, TABLE_LEASES, &key, &(*ret_lease)->base);
	d->object.app_id = app->id;
	return SL_OK;
}
