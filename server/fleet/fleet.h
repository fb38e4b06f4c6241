/* fleet: live agents: what each instance is told, what it says, whether it lives.
 *
 * What an instance is told is computed from a snapshot by rules/desired; nothing
 * of it is stored. What agents say lives here; only settled phases are written to
 * the store, coalesced. After a restart agents tell everything again.
 *
 * Threads: fleet_on_* run on watch's thread, the stream's events on the queue
 * thread, the rest on any; one lock inside. */
#ifndef SL_SERVER_FLEET_H
#define SL_SERVER_FLEET_H

#include "base/err/err.h"
#include "base/mem/arena.h"
#include "server/records/records.h"
#include "server/rpc/rpc.h"
#include "server/store/store.h"
#include "sluice/v1/fleet.pb-c.h"

struct fleet;

struct fleet_options {
	struct store *store;     /* borrowed */
	unsigned heartbeat_ms;   /* asked of agents */
	unsigned status_every_ms; /* settled phases are written this often; 0: 100 */
};

SL_MUST_USE sl_code fleet_new(const struct fleet_options *options, struct fleet **ret_fleet, struct sl_err *err);
/* Ends every stream (UNAVAILABLE / STOPPING) and all waiting; writes nothing afterwards. Before the rpc server stops. */
void fleet_stop(struct fleet *fleet);
void fleet_free(struct fleet *fleet); /* NULL is fine */

/* --- from watch: what was committed ------------------------------------------------- */

void fleet_on_record(struct fleet *fleet, const struct store_view *view, const Sluice__Store__V1__LogRecord *record);
void fleet_on_batch(struct fleet *fleet, const struct store_view *view);

/* --- from the rpc server --------------------------------------------------------------- */

/* Queue thread, about every 100 ms: liveness, deadlines of waiters, statuses to write. */
void fleet_tick(struct fleet *fleet);

/* AgentService.Sync. */
void fleet_agent_message(struct fleet *fleet, struct rpc_stream *stream, struct sl_bytes message);
void fleet_agent_closed(struct fleet *fleet, struct rpc_stream *stream);

/* --- looking at it ------------------------------------------------------------------------ */

/* In the arena; never NULL unless its memory has failed. */
Sluice__V1__AgentView *fleet_agent_view(struct fleet *fleet, struct sl_arena *arena, const char *instance_id);

/* How the instances of an environment that the app is placed on stand to a version. */
struct fleet_reach {
	uint32_t instances;
	uint32_t ready;       /* serve it, healthy */
	uint32_t not_ready;   /* connected, and do not */
	uint32_t unreachable; /* agent not connected */
	uint32_t staged;      /* have it on disk, verified */
	char **share_urls;    /* public_url + "/" + slug, in the arena */
	size_t share_url_count;
};
SL_MUST_USE sl_code fleet_reach(struct fleet *fleet, const struct store_view *view, struct sl_arena *arena, uint32_t workspace,
                                const Sluice__Store__V1__AppRecord *app, uint32_t environment, const char *version_id,
                                struct fleet_reach *ret_reach, struct sl_err *err);

/* For metrics and stats. */
enum { FLEET_LIVENESS_COUNT = 5, FLEET_PHASE_COUNT = 11 };
struct fleet_stats {
	uint32_t streams;   /* agents connected */
	uint32_t waiters;   /* WaitFor calls */
	uint32_t agents[ENV_COUNT + 1][FLEET_LIVENESS_COUNT]; /* by environment and Liveness */
	uint32_t phases[FLEET_PHASE_COUNT];                   /* apps on instances, by Phase */
	uint64_t manifests_sent, reports;
};
void fleet_stats_read(struct fleet *fleet, struct fleet_stats *ret_stats);

#endif
