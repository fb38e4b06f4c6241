#include "server/collect.h"

#include "base/mem/own.h"
#include "server/fleet/fleet.h"
#include "server/gitsync/gitsync.h"
#include "server/services/bundles.h"
#include "server/services/requests.h"
#include "server/services/service.h"
#include "server/watch/watch.h"

#define FAMILY(variable, type, name, help)                                                         \
	static const struct metrics_family variable = {name, help, type}

FAMILY(revision, METRICS_GAUGE, "sluice_store_revision", "Last revision.");
FAMILY(floor_revision, METRICS_GAUGE, "sluice_store_floor",
       "Changes up to this revision can no longer be watched.");
FAMILY(map_bytes, METRICS_GAUGE, "sluice_store_map_bytes", "Size of the store's map.");
FAMILY(used_bytes, METRICS_GAUGE, "sluice_store_used_bytes", "Bytes of the map in use.");
FAMILY(disk_bytes, METRICS_GAUGE, "sluice_store_free_disk_bytes",
       "Bytes free on the store's disk.");
FAMILY(log_records, METRICS_GAUGE, "sluice_store_log_records", "Log records held.");
FAMILY(queued, METRICS_GAUGE, "sluice_store_queued_commands", "Commands waiting for the writer.");
FAMILY(commits, METRICS_COUNTER, "sluice_store_commits_total", "Commits.");
FAMILY(commit_seconds, METRICS_COUNTER, "sluice_store_commit_seconds_total",
       "Time spent in commits, syncs included.");
FAMILY(commands, METRICS_COUNTER, "sluice_store_commands_total", "Commands answered.");
FAMILY(refused, METRICS_COUNTER, "sluice_store_refused_total", "Commands refused.");
FAMILY(batches, METRICS_HISTOGRAM, "sluice_store_batch_commands", "Commands in one commit.");
FAMILY(recovery, METRICS_GAUGE, "sluice_recovery",
       "1 while a restored server waits to be resumed: nothing changes, agents are told nothing.");
FAMILY(requests_kept, METRICS_GAUGE, "sluice_requests_kept", "Replies kept for request ids.");
FAMILY(watchers, METRICS_GAUGE, "sluice_watch_streams", "Watch streams.");
FAMILY(agents, METRICS_GAUGE, "sluice_agents",
       "Instances by environment and liveness of their agents.");
FAMILY(phases, METRICS_GAUGE, "sluice_phases", "Apps on instances by the phase last reported.");
FAMILY(modified, METRICS_GAUGE, "sluice_modified_apps",
       "Apps on instances whose files were changed there.");
FAMILY(corrected, METRICS_COUNTER, "sluice_corrections_total",
       "Times that agents have put such an app back.");
FAMILY(manifests, METRICS_COUNTER, "sluice_manifests_sent_total", "Manifests sent to agents.");
FAMILY(reports, METRICS_COUNTER, "sluice_agent_reports_total", "Reports that agents sent.");
FAMILY(waiters, METRICS_GAUGE, "sluice_waiting_calls", "WaitFor calls that wait.");
FAMILY(git_running, METRICS_GAUGE, "sluice_git_jobs_running", "Git jobs running.");
FAMILY(git_waiting, METRICS_GAUGE, "sluice_git_jobs_waiting", "Git jobs waiting.");
FAMILY(refusals, METRICS_COUNTER, "sluice_manifests_refused_total",
       "Manifests, manifest keys and refreshes that agents did not believe.");
FAMILY(concerns, METRICS_GAUGE, "sluice_instance_alerts",
       "Instances that somebody should look at, by kind of alert.");
FAMILY(key_epoch, METRICS_GAUGE, "sluice_manifest_key_epoch",
       "Epoch of the manifest key in use; 0: manifests are not signed.");
FAMILY(fetching, METRICS_GAUGE, "sluice_agents_fetching",
       "Agents that have their turn to fetch from a Git host.");
FAMILY(fetch_waiting, METRICS_GAUGE, "sluice_agents_waiting_to_fetch",
       "Agents that wait for their turn to fetch.");
FAMILY(git_done, METRICS_COUNTER, "sluice_git_jobs_done_total", "Git jobs that went well.");
FAMILY(git_looks, METRICS_COUNTER, "sluice_git_looks_total",
       "Looks at the refs of repositories' hosts.");
FAMILY(git_failed, METRICS_COUNTER, "sluice_git_jobs_failed_total", "Git jobs that failed.");
FAMILY(owed, METRICS_GAUGE, "sluice_git_owed_tags", "Tags owed to Git.");
FAMILY(parked, METRICS_GAUGE, "sluice_git_parked_tags",
       "Of those, refused by the host and waiting for a refresh.");
FAMILY(owed_commits, METRICS_GAUGE, "sluice_git_owed_commits",
       "Commits owed to branches of repositories.");
FAMILY(parked_commits, METRICS_GAUGE, "sluice_git_parked_commits",
       "Of those, refused, and waiting for somebody.");
FAMILY(bundles_sent, METRICS_COUNTER, "sluice_bundles_sent_total",
       "Bundles sent to the end, to agents and as exports.");
FAMILY(bundle_bytes, METRICS_COUNTER, "sluice_bundle_bytes_sent_total",
       "Bytes of bundles sent, also of those that were cut off.");

struct sample {
	const struct metrics_family *family;
	double value;
};

static void write_samples(struct metrics_page *page, const struct sample *samples, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		metrics_page_sample(page, samples[i].family, NULL, 0, samples[i].value);
	}
}

static bool is_recovering(const struct services *services)
{
	const struct store_view *view = NULL;
	if (store_view_begin(services->store, &view, NULL) != SL_OK) {
		return false;
	}
	bool recovering = store_view_is_recovering(view);
	store_view_end(view);
	return recovering;
}

static void collect_store(const struct services *services, struct metrics_page *page)
{
	struct store_stats s;
	store_stats_read(services->store, &s);
	const struct sample samples[] = {
	    {&revision, (double)s.revision},
	    {&floor_revision, (double)s.floor},
	    {&map_bytes, (double)s.map_bytes},
	    {&used_bytes, (double)s.used_bytes},
	    {&disk_bytes, (double)s.free_disk_bytes},
	    {&log_records, (double)s.log_records},
	    {&queued, (double)s.queued},
	    {&commits, (double)s.commits},
	    {&commit_seconds, (double)s.commit_us_total / 1e6},
	    {&commands, (double)s.commands},
	    {&refused, (double)s.refused},
	    {&recovery, is_recovering(services) ? 1 : 0},
	    {&requests_kept, (double)requests_stats(services->requests).kept},
	};
	write_samples(page, samples, SL_COUNT(samples));
	double bounds[STORE_BATCH_BUCKETS - 1];
	for (unsigned i = 0; i < SL_COUNT(bounds); i++) {
		bounds[i] = (double)((2u << i) - 1); /* bucket i: up to 2^(i+1) - 1 commands */
	}
	metrics_page_histogram(page, &batches, NULL, 0, bounds, s.batch_count, SL_COUNT(bounds),
			       (double)s.commands);
}

static void collect_fleet(const struct services *services, struct metrics_page *page)
{
	static const char *const liveness[FLEET_LIVENESS_COUNT] = {"unknown", "never", "online",
								   "late", "offline"};
	static const char *const phase_names[FLEET_PHASE_COUNT] = {
	    "none",    "pending",   "fetching", "verifying", "staged",     "activating",
	    "healthy", "not_ready", "degraded", "failed",    "rolled_back"};
	static const char *const concern_names[FLEET_CONCERN_COUNT] = {
	    "other", "token_reused", "folder_copied", "manifest_refused"};
	struct fleet_stats f;
	fleet_stats_read(services->fleet, &f);
	for (uint32_t environment = 1; environment <= ENV_COUNT; environment++) {
		for (unsigned i = 1; i < FLEET_LIVENESS_COUNT; i++) {
			const struct metrics_label labels[] = {
			    {"environment", environment_name(environment)},
			    {"liveness", liveness[i]}};
			metrics_page_sample(page, &agents, labels, SL_COUNT(labels),
					    f.agents[environment][i]);
		}
	}
	for (unsigned i = 1; i < FLEET_PHASE_COUNT; i++) {
		const struct metrics_label label = {"phase", phase_names[i]};
		metrics_page_sample(page, &phases, &label, 1, f.phases[i]);
	}
	for (unsigned i = 0; i < FLEET_CONCERN_COUNT; i++) {
		const struct metrics_label label = {"kind", concern_names[i]};
		metrics_page_sample(page, &concerns, &label, 1, f.concerns[i]);
	}
	const struct sample samples[] = {
	    {&modified, (double)f.modified},
	    {&corrected, (double)f.corrected},
	    {&manifests, (double)f.manifests_sent},
	    {&reports, (double)f.reports},
	    {&refusals, (double)f.refusals},
	    {&key_epoch, f.key_epoch},
	    {&fetching, f.fetching},
	    {&fetch_waiting, f.fetch_waiting},
	    {&waiters, (double)f.waiters},
	    {&watchers, (double)watch_streams(services->watch)},
	};
	write_samples(page, samples, SL_COUNT(samples));
}

static void collect_git(const struct services *services, struct metrics_page *page)
{
	struct gitsync_stats g;
	gitsync_stats_read(services->gitsync, &g);
	const struct sample samples[] = {
	    {&git_running, g.running},
	    {&git_waiting, g.waiting},
	    {&git_done, (double)g.done},
	    {&git_looks, (double)g.looks},
	    {&git_failed, (double)g.failed},
	    {&owed, g.owed},
	    {&parked, g.parked},
	    {&owed_commits, g.commits},
	    {&parked_commits, g.parked_commits},
	};
	write_samples(page, samples, SL_COUNT(samples));
}

static void collect_bundles(const struct services *services, struct metrics_page *page)
{
	struct bundles_stats b;
	bundles_stats_read(services->bundles, &b);
	const struct sample samples[] = {
	    {&bundles_sent, (double)b.sent},
	    {&bundle_bytes, (double)b.bytes},
	};
	write_samples(page, samples, SL_COUNT(samples));
}

void collect_metrics(void *ctx, struct metrics_page *page)
{
	const struct services *services = ctx;
	collect_store(services, page);
	collect_fleet(services, page);
	collect_git(services, page);
	collect_bundles(services, page);
}
