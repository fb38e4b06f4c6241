/* P13: how soon a server with much in its store serves. */
#include <stdio.h>

#include "base/mem/own.h"
#include "tests/bench/fleet_calls.h"
#include "tests/bench/host.h"
#include "tests/bench/rows.h"
#include "tests/bench/seed.h"

enum { INSTANCES = 10000, INSTANCES_QUICK = 300 };

static const struct claim warm = {
    .id = "P13",
    .what = "start until health says SERVING",
    .unit = "s",
    .floor = 1,
    .aim = 0.3,
    .less_is_better = true,
};
static const struct claim cold = {
    .id = "P13",
    .what = "the same, store not in the page cache",
    .unit = "s",
    .less_is_better = true,
};

static double start_once(const char *store)
{
	struct bench_server server = servers_sluiced(store, false);
	double seconds = (double)(server.ready_us - server.started_us) / 1e6;
	servers_stop(&server);
	(void)fprintf(stderr, "  P13 ready after %.3f s\n", seconds);
	return seconds;
}

void row_start(struct bench *bench)
{
	unsigned instances = bench->options.quick ? INSTANCES_QUICK : INSTANCES;
	double warm_s[PAIRS_MAX], cold_s[PAIRS_MAX];
	SL_AUTO(sl_free_auto) char *store = bench_store(bench, "start");
	struct bench_server server = servers_sluiced(store, false);
	fleet_register(server.port, "instance", instances, NULL, NULL);
	servers_stop(&server);
	for (size_t i = 0; i < bench->options.pairs; i++) {
		host_uncache(store, "data.mdb");
		cold_s[i] = start_once(store);
		warm_s[i] = start_once(store);
	}
	report_add(bench->report, &warm, "free", warm_s, NULL, bench->options.pairs);
	report_add(bench->report, &cold, "free", cold_s, NULL, bench->options.pairs);
	report_note(bench->report, "P13: %lu log records, %u apps x %u versions, %u instances",
		    (unsigned long)bench->options.records, SEED_APPS, SEED_VERSIONS, instances);
	host_remove(store);
}
