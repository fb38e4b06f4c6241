/* AdminService: what the server holds, and how far back changes can be watched. */
#include "base/version.h"
#include "server/config/config.h"
#include "server/fleet/fleet.h"
#include "server/gitsync/gitsync.h"
#include "server/records/wire.h"
#include "server/services/backup.h"
#include "server/services/requests.h"
#include "server/services/service.h"
#include "server/watch/watch.h"
#include "sluice/v1/admin.pb-c.h"

/* All workspaces' instances. */
static uint32_t count_instances(const struct store_view *view)
{
	uint32_t count = 0;
	struct store_walk walk;
	store_walk_begin(&walk, view, TABLE_INSTANCES, SL_BYTES_NONE, STORE_FORWARD);
	while (store_walk_next(&walk)) {
		count++;
	}
	store_walk_end(&walk);
	return count;
}

static sl_code stats_read(struct service_read *read, const void *message, void *reply,
			  struct sl_err *err)
{
	(void)message;
	(void)err;
	const struct services *services = read->services;
	Sluice__V1__GetStatsResponse *response = reply;
	struct store_stats store;
	struct fleet_stats fleet;
	struct gitsync_stats git;
	store_stats_read(services->store, &store);
	fleet_stats_read(services->fleet, &fleet);
	gitsync_stats_read(services->gitsync, &git);
	struct requests_stats requests = requests_stats(services->requests);
	response->version = SLUICE_VERSION;
	response->started_at = wire_time(read->arena, services->started_ms);
	response->revision = store_view_revision(read->view);
	response->floor = store_view_floor(read->view);
	response->log_records = store.log_records;
	response->map_bytes = store.map_bytes;
	response->used_bytes = store.used_bytes;
	response->free_disk_bytes = store.free_disk_bytes;
	response->reserve_bytes = services->config->disk_reserve_bytes;
	response->commits = store.commits;
	response->commands = store.commands;
	response->queued = store.queued;
	response->requests = requests.kept;
	response->requests_since = wire_time(read->arena, requests.since_ms);
	response->watchers = watch_streams(services->watch);
	response->agents = fleet.streams;
	response->instances = count_instances(read->view);
	response->git_jobs = git.waiting + git.running;
	response->owed = git.owed;
	response->parked = git.parked;
	response->recovery = store_view_is_recovering(read->view);
	return SL_OK;
}

static sl_code compact_decide(struct decision *d, const void *message, void *reply,
			      struct sl_err *err)
{
	const Sluice__V1__CompactRequest *request = message;
	Sluice__V1__CompactResponse *response = reply;
	uint64_t head = store_view_revision(d->view), floor = store_view_floor(d->view);
	uint64_t wanted = request->revision == 0 ? head : request->revision;
	if (wanted > head) {
		sl_code code = sl_err_because(err, SL_OUT_OF_RANGE, SL_REASON_REVISION_AHEAD,
					      "revision %lu is above the head, %lu",
					      (unsigned long)wanted, (unsigned long)head);
		sl_err_meta(err, "floor", "%lu", (unsigned long)floor);
		sl_err_meta(err, "head", "%lu", (unsigned long)head);
		return code;
	}
	if (wanted > floor) {
		store_changes_set_floor(d->changes, wanted);
		d->changed = true;
		floor = wanted;
	}
	response->floor = floor;
	return SL_OK;
}

static sl_code resume_decide(struct decision *d, const void *message, void *reply,
			     struct sl_err *err)
{
	(void)message;
	(void)err;
	Sluice__V1__ResumeResponse *response = reply;
	if (store_view_is_recovering(d->view)) {
		store_changes_put_meta(d->changes, STORE_META_RECOVERY, SL_BYTES_NONE);
		d->changed = true;
		response->ended = true;
	}
	return SL_OK;
}

const struct service_method admin_methods[4] = {
    {"/sluice.v1.AdminService/GetStats", ACCESS_ADMINISTER,
     &sluice__v1__get_stats_request__descriptor, &sluice__v1__get_stats_response__descriptor,
     .read = stats_read, .scope = ACCESS_SERVER},
    {"/sluice.v1.AdminService/Compact", ACCESS_ADMINISTER, &sluice__v1__compact_request__descriptor,
     &sluice__v1__compact_response__descriptor, .decide = compact_decide, .shrinks = true,
     .scope = ACCESS_SERVER},
    {"/sluice.v1.AdminService/Backup", ACCESS_ADMINISTER, &sluice__v1__backup_request__descriptor,
     &sluice__v1__backup_response__descriptor, .stream = &backup_events, .scope = ACCESS_SERVER},
    {"/sluice.v1.AdminService/Resume", ACCESS_ADMINISTER, &sluice__v1__resume_request__descriptor,
     &sluice__v1__resume_response__descriptor, .decide = resume_decide, .recovers = true,
     .scope = ACCESS_SERVER},
};
