/* P5 over mTLS, P6 in the clear: what a connected agent costs the server's memory, beside what a
 * watcher costs etcd. */
#include <stdio.h>
#include <unistd.h>

#include "base/mem/own.h"
#include "tests/bench/agents.h"
#include "tests/bench/fleet_calls.h"
#include "tests/bench/host.h"
#include "tests/bench/rows.h"
#include "tests/bench/watchers.h"

enum { SETTLE_US = 1000000 };

enum { CLEAR, SECURE };
static const struct claim agent_bytes[] = {
    [CLEAR] = {.id = "P6",
	       .what = "server's memory per connected agent",
	       .against = "etcd, a watcher each",
	       .unit = "KiB",
	       .floor = 0.4,
	       .aim = 0.3,
	       .less_is_better = true},
    [SECURE] = {.id = "P5",
		.what = "server's memory per connected agent",
		.against = "etcd, a watcher each",
		.unit = "KiB",
		.floor = 0.95,
		.aim = 0.78,
		.less_is_better = true},
};
static const struct claim agent_bytes_alone = {
    .id = "P5",
    .what = "the same, absolute",
    .unit = "KiB",
    .floor = 105,
    .aim = 87,
    .less_is_better = true,
};

static double each_kib(const struct bench_server *server, uint64_t before, unsigned count)
{
	(void)usleep(SETTLE_US);
	return ((double)servers_private(server) - (double)before) / count / 1024;
}

static double measure_sluiced(const char *store, unsigned count)
{
	struct bench_server server = servers_sluiced(store, false);
	uint64_t before = servers_private(&server);
	struct agents *agents = agents_connect(server.port, count);
	double kib = each_kib(&server, before, count);
	agents_free(agents);
	servers_stop(&server);
	return kib;
}

static double measure_etcd(unsigned count, const char *keys)
{
	SL_AUTO(sl_free_auto) char *data = host_path("etcd-memory");
	struct bench_server server = servers_etcd(data, false, keys);
	const struct watchers_options options = {.port = server.port, .count = count, .etcd = true};
	uint64_t before = servers_private(&server);
	struct watchers *watchers = watchers_new(&options);
	double kib = each_kib(&server, before, count);
	watchers_free(watchers);
	servers_stop(&server);
	host_remove(data);
	return kib;
}

void row_memory(struct bench *bench)
{
	unsigned count = (unsigned)bench->options.agents;
	double agent_kib[PAIRS_MAX], watcher_kib[PAIRS_MAX];
	SL_AUTO(sl_free_auto) char *store = bench_store(bench, "memory");
	fleet_admit(store, "agent", count, "staging", "app-0");
	const struct claim *claim = &agent_bytes[bench->options.tls ? SECURE : CLEAR];
	for (size_t i = 0; i < bench->options.pairs; i++) {
		agent_kib[i] = measure_sluiced(store, count);
		watcher_kib[i] = measure_etcd(count, bench->keys);
		(void)fprintf(stderr, "  %s sluiced %.1f KiB, etcd %.1f KiB\n", claim->id,
			      agent_kib[i], watcher_kib[i]);
	}
	report_add(bench->report, claim, "free", agent_kib, watcher_kib, bench->options.pairs);
	if (bench->options.tls) {
		report_add(bench->report, &agent_bytes_alone, "free", agent_kib, NULL,
			   bench->options.pairs);
	}
	report_note(
	    bench->report,
	    "%s: resident set without the mapped store (the first agent has the server read "
	    "all apps) after %u connected less before, a connection each, %s; a server "
	    "started anew for each figure",
	    claim->id, count, bench_transport(bench));
	host_remove(store);
}
