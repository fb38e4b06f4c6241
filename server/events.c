#include "server/events.h"

#include <signal.h>
#include <unistd.h>

#include "base/clock/clock.h"
#include "base/log/log.h"
#include "server/audit/audit.h"
#include "server/ca/ca.h"
#include "server/fleet/fleet.h"
#include "server/gitsync/gitsync.h"
#include "server/metrics/metrics.h"
#include "server/records/bootstrap.h"
#include "server/server.h"
#include "server/services/requests.h"
#include "server/vault/vault.h"
#include "server/watch/watch.h"

enum { RETENTION_EVERY_MS = 60000 };

/* Commits come before watch and gitsync are there, and they look by themselves as soon as they are.
 */
void events_commit(void *ctx, uint64_t first, uint64_t last, uint64_t tables)
{
	/* A named value says whether the server is recovering: what is owed waits for its end. */
	const uint64_t owing = UINT64_C(1) << TABLE_OWED | STORE_NAMED_VALUES;
	struct server *server = ctx;
	(void)first;
	(void)last;
	if (!atomic_load(&server->wired)) {
		return;
	}
	watch_committed(server->services.watch);
	if ((tables & owing) != 0) {
		gitsync_wake(server->services.gitsync);
	}
}

void events_storage_failed(void *ctx, const struct sl_err *err)
{
	struct server *server = ctx;
	log_error("storage-failed", "error=%s action=stop", SL_QUOTE(err->msg));
	atomic_store(&server->storage_failed, true);
	(void)kill(getpid(), SIGTERM);
}

enum store_prune events_prune(void *ctx, uint64_t revision, struct sl_bytes record)
{
	struct server *server = ctx;
	if (atomic_load(&server->wired) && revision > watch_position(server->services.watch)) {
		return STORE_PRUNE_LATER; /* fleet and live streams have yet to see it */
	}
	return records_prune(
	    record, revision,
	    requests_oldest_revision(server->services.requests, sl_clock_steady_ms()));
}

void events_record(void *ctx, const struct store_view *view,
		   const Sluice__Store__V1__LogRecord *record)
{
	const struct services *services = &((struct server *)ctx)->services;
	for (size_t i = 0; i < record->n_events; i++) {
		const Sluice__V1__Event *event = record->events[i];
		if (event->object_case == SLUICE__V1__EVENT__OBJECT_REPOSITORY &&
		    event->type == SLUICE__V1__EVENT_TYPE__EVENT_TYPE_DELETED) {
			gitsync_forget(services->gitsync, event->repository->id);
		}
	}
	fleet_on_record(services->fleet, view, record);
}

void events_batch(void *ctx, const struct store_view *view)
{
	struct server *server = ctx;
	fleet_on_batch(server->services.fleet, view);
}

void events_tick(void *ctx)
{
	struct server *server = ctx;
	fleet_tick(server->services.fleet);
	access_tick(server->services.access);
	audit_tick(server->services.audit);
	uint64_t now = sl_clock_mono_ms();
	(void)sl_watchdog_step(&server->watchdog, now);
	vault_tick(server->services.vault, server->services.store, sl_clock_unix_ms(), now);
	boxes_tick(server->sealing.boxes, now);
	if (server->ca != NULL) {
		ca_tick(server->ca, sl_clock_unix_ms(), now);
	}
	if (now - server->retained_ms >= RETENTION_EVERY_MS) {
		server->retained_ms = now;
		records_retain(server->services.store, sl_clock_unix_ms(),
			       &(struct records_keep){.log_ms = server->config.log_keep_ms,
						      .audit_ms = server->config.audit_keep_ms});
	}
}

void events_finished(void *ctx, const struct rpc_method *method, sl_code code,
		     uint64_t microseconds)
{
	struct server *server = ctx;
	if (server->metrics != NULL) {
		metrics_call(server->metrics, method->path, method->stream != NULL, code,
			     microseconds);
	}
	bool ours = code == SL_INTERNAL || code == SL_DATA_LOSS || code == SL_UNKNOWN;
	sl_log(ours ? SL_LOG_ERROR : SL_LOG_DEBUG, "rpc", "method=%s code=%s us=%lu", method->path,
	       sl_code_name(code), (unsigned long)microseconds);
}
