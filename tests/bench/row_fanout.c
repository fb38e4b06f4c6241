/* P10: one promotion, told to every agent of an environment. */
#include <stdio.h>
#include <stdlib.h>

#include "base/mem/own.h"
#include "sluice/v1/promotion.pb-c.h"
#include "tests/bench/agents.h"
#include "tests/bench/die.h"
#include "tests/bench/fleet_calls.h"
#include "tests/bench/host.h"
#include "tests/bench/rows.h"

enum { PROMOTIONS = 100, PROMOTIONS_QUICK = 3, NAME_BYTES = 32, REQUEST_BYTES = 256 };

static const struct claim last_told = {
    .id = "P10",
    .what = "promotion sent to last agent told, p99",
    .unit = "ms",
    .floor = 300,
    .aim = 200,
    .less_is_better = true,
};
static const struct claim last_told_median = {
    .id = "P10",
    .what = "the same, median",
    .unit = "ms",
    .less_is_better = true,
};
static const struct claim last_told_worst = {
    .id = "P10",
    .what = "the same, the worst",
    .unit = "ms",
    .less_is_better = true,
};
static const struct claim agent_bytes = {
    .id = "P10",
    .what = "server's memory per connected agent",
    .unit = "KiB",
    .less_is_better = true,
};

static const struct claim agent_cpu = {
    .id = "P10",
    .what = "server's CPU per agent told",
    .unit = "us",
    .less_is_better = true,
};

static const struct claim generator_cpu = {
    .id = "P10",
    .what = "the agents' CPU per agent told",
    .unit = "us",
    .less_is_better = true,
};

static int compare(const void *a, const void *b)
{
	const double *left = a, *right = b;
	return (*left > *right) - (*left < *right);
}

void row_fanout(struct bench *bench)
{
	unsigned agent_count = (unsigned)bench->options.agents;
	unsigned count = bench->options.quick ? PROMOTIONS_QUICK : PROMOTIONS;
	SL_AUTO(sl_free_auto) char *store = bench_store(bench, "fanout");
	fleet_admit(store, "agent", agent_count, "staging", "app-0");
	struct bench_server server = servers_sluiced(store, false);
	uint64_t before = servers_private(&server);
	struct agents *agents = agents_connect(server.port, agent_count);
	double each = ((double)servers_private(&server) - (double)before) / agent_count / 1024;
	double last_ms[PROMOTIONS], cpu_us = servers_cpu_us(&server), own_us = host_cpu_us();
	for (unsigned i = 0; i < count; i++) {
		last_ms[i] = fleet_promote_told(agents, agent_count, server.port, i);
		(void)fprintf(stderr, "  P10 promotion %u: last agent %.1f ms\n", i, last_ms[i]);
	}
	cpu_us = (servers_cpu_us(&server) - cpu_us) / count / agent_count;
	own_us = (host_cpu_us() - own_us) / count / agent_count;
	qsort(last_ms, count, sizeof(last_ms[0]), compare);
	/* The nearest rank: so many are at most that. */
	unsigned p99 = (count * 99 + 99) / 100 - 1;
	report_add(bench->report, &last_told, "free", &last_ms[p99], NULL, 1);
	report_add(bench->report, &last_told_median, "free", &last_ms[count / 2], NULL, 1);
	report_add(bench->report, &last_told_worst, "free", &last_ms[count - 1], NULL, 1);
	report_add(bench->report, &agent_cpu, "free", &cpu_us, NULL, 1);
	report_add(bench->report, &generator_cpu, "free", &own_us, NULL, 1);
	report_add(bench->report, &agent_bytes, "free", &each, NULL, 1);
	report_note(bench->report,
		    "P10: %u agents, a connection each, %s (mTLS is the claim), %u "
		    "promotions; from sending Promote, commit included",
		    agent_count, bench_transport(bench), count);
	agents_free(agents);
	servers_stop(&server);
	host_remove(store);
}
