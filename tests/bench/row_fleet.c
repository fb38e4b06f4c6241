/* P7, P12: what a large fleet costs while nothing happens, and how soon it hears of a
 * release. */
#include <stdio.h>
#include <stdlib.h>

#include "base/clock/clock.h"
#include "base/mem/own.h"
#include "sluice/v1/promotion.pb-c.h"
#include "sluice/v1/release.pb-c.h"
#include "tests/bench/agents.h"
#include "tests/bench/die.h"
#include "tests/bench/fleet_calls.h"
#include "tests/bench/host.h"
#include "tests/bench/rows.h"

enum {
	HEARTBEAT_MS = 30000,
	BEAT_MS = 2 * HEARTBEAT_MS,
	BEAT_QUICK_MS = 2000,
	RELEASES = 15,
	RELEASES_QUICK = 2,
	QUIET_MS = 3000,
	NAME_BYTES = 32,
	REQUEST_BYTES = 256
};

#define FOR_THE_RECORD(row, text, of)                                                              \
	{                                                                                          \
		.id = row, .what = text, .unit = of, .less_is_better = true                        \
	}
static const struct claim connecting =
    FOR_THE_RECORD("P7", "all agents connected and told what to run", "s");
static const struct claim memory = {
    .id = "P7",
    .what = "server's memory with all connected",
    .unit = "MiB",
    .floor = 1.2 * 1024,
    .aim = 0.9 * 1024,
    .less_is_better = true,
};
static const struct claim memory_own =
    FOR_THE_RECORD("P7", "of that, without the mapped store", "MiB");
static const struct claim cpu = {
    .id = "P7",
    .what = "server's CPU at a 30 s heartbeat",
    .unit = "% of a core",
    .floor = 10,
    .aim = 5,
    .less_is_better = true,
};
static const struct claim writes = {
    .id = "P12",
    .what = "store commits caused by heartbeats",
    .unit = "/s",
    .floor = 1,
    .aim = 0,
    .less_is_better = true,
    .may_be_zero = true,
};
static const struct claim released =
    FOR_THE_RECORD("P7", "release sent to last agent told, the worst", "ms");
static const struct claim released_median = FOR_THE_RECORD("P7", "the same, median", "ms");

static struct agents *connect_all(struct bench *bench, const struct bench_server *server,
				  unsigned count)
{
	uint64_t started = sl_clock_mono_us();
	struct agents *agents = agents_connect(server->port, count);
	double seconds = (double)(sl_clock_mono_us() - started) / 1e6;
	report_add(bench->report, &connecting, "free", &seconds, NULL, 1);
	return agents;
}

static void add_memory(struct bench *bench, const struct bench_server *server)
{
	double all = (double)servers_resident(server) / (1 << 20);
	double own = (double)servers_private(server) / (1 << 20);
	report_add(bench->report, &memory, "free", &all, NULL, 1);
	report_add(bench->report, &memory_own, "free", &own, NULL, 1);
}

/* Until what the reports caused is written; the agents answer pings meanwhile. */
static void wait_quiet(struct agents *agents, int port)
{
	uint64_t before = 0, now = fleet_commits(port);
	do {
		before = now;
		(void)agents_work(agents, QUIET_MS);
		now = fleet_commits(port);
	} while (now != before);
}

static void beat(struct bench *bench, struct agents *agents, const struct bench_server *server)
{
	uint64_t every_ms = bench->options.quick ? BEAT_QUICK_MS : HEARTBEAT_MS;
	uint64_t for_ms = bench->options.quick ? BEAT_QUICK_MS : BEAT_MS;
	uint64_t commits = fleet_commits(server->port);
	double cpu_us = servers_cpu_us(server);
	uint64_t said = agents_beat(agents, every_ms, for_ms);
	cpu_us = servers_cpu_us(server) - cpu_us;
	commits = fleet_commits(server->port) - commits;
	double percent = cpu_us / ((double)for_ms * 1000) * 100;
	double per_second = (double)commits / ((double)for_ms / 1000);
	(void)fprintf(stderr, "  P12 %lu heartbeats, %lu commits, %.1f us of CPU each\n",
		      (unsigned long)said, (unsigned long)commits, cpu_us / (double)said);
	report_add(bench->report, &cpu, "free", &percent, NULL, 1);
	report_add(bench->report, &writes, "free", &per_second, NULL, 1);
}

static double tell(struct agents *agents, unsigned count, const struct agents_call *call)
{
	SL_AUTO(sl_free_auto) double *told_us = need(calloc(count, sizeof(*told_us)));
	double replied_us = 0, last_us = 0;
	agents_tell(agents, call, told_us, &replied_us);
	for (unsigned i = 0; i < count; i++) {
		last_us = told_us[i] > last_us ? told_us[i] : last_us;
	}
	return last_us / 1000;
}

/* Until every agent has it on its list: then the next manifest is the release's. */
static void into_production(struct agents *agents, unsigned count, char *name)
{
	uint8_t bytes[REQUEST_BYTES];
	Sluice__V1__PromoteRequest promote = SLUICE__V1__PROMOTE_REQUEST__INIT;
	promote.app = (char *)"app-0";
	promote.version = name;
	promote.from = (char *)"staging";
	const struct agents_call call = {
	    .method = "/sluice.v1.PromotionService/Promote",
	    .request = bytes,
	    .request_size = sluice__v1__promote_request__pack(&promote, bytes),
	    .told = name,
	};
	(void)tell(agents, count, &call);
}

static double release_one(struct agents *agents, unsigned count, int port, unsigned number)
{
	char name[NAME_BYTES];
	uint8_t bytes[REQUEST_BYTES];
	(void)snprintf(name, sizeof(name), "fleet-%u", number);
	fleet_create_version(port, name);
	fleet_promote(port, name, "development");
	into_production(agents, count, name);
	Sluice__V1__ReleaseRequest release = SLUICE__V1__RELEASE_REQUEST__INIT;
	release.app = (char *)"app-0";
	release.version = name;
	const struct agents_call call = {
	    .method = "/sluice.v1.ReleaseService/Release",
	    .request = bytes,
	    .request_size = sluice__v1__release_request__pack(&release, bytes),
	    .told = name,
	};
	double last_ms = tell(agents, count, &call);
	(void)fprintf(stderr, "  P7 release %u: last agent %.1f ms\n", number, last_ms);
	return last_ms;
}

static void release_some(struct bench *bench, struct agents *agents, unsigned count, int port)
{
	double last_ms[RELEASES], worst = 0;
	unsigned releases = bench->options.quick ? RELEASES_QUICK : RELEASES;
	for (unsigned i = 0; i < releases; i++) {
		last_ms[i] = release_one(agents, count, port, i);
		worst = last_ms[i] > worst ? last_ms[i] : worst;
	}
	report_add(bench->report, &released, "free", &worst, NULL, 1);
	report_add(bench->report, &released_median, "free", last_ms, NULL, releases);
}

void row_fleet(struct bench *bench)
{
	unsigned count = (unsigned)bench->options.fleet;
	SL_AUTO(sl_free_auto) char *store = bench_store(bench, "fleet");
	fleet_admit(store, "agent", count, "production", "app-0");
	struct bench_server server = servers_sluiced(store, false);
	struct agents *agents = connect_all(bench, &server, count);
	add_memory(bench, &server);
	agents_report_healthy(agents);
	wait_quiet(agents, server.port);
	beat(bench, agents, &server);
	release_some(bench, agents, count, server.port);
	report_note(
	    bench->report,
	    "P7, P12: %u agents in one process, a connection each, %s (the claim of P7 is with "
	    "mTLS); the server was started anew; every agent had reported its version HEALTHY "
	    "before the heartbeats",
	    count, bench_transport(bench));
	agents_free(agents);
	servers_stop(&server);
	host_remove(store);
}
