/* P4: reading one record. */
#include "tests/bench/rows.h"

enum { IN_FLIGHT = 100, CONNECTIONS = 4 };

static const struct claim rate_range = {
    .id = "P4",
    .what = "read one version, 100 in flight",
    .against = "etcd linearizable range",
    .unit = "/s",
    .floor = 4,
    .aim = 6,
};
static const struct claim rate_bare = {
    .id = "P4",
    .what = "the same, reply as large",
    .against = "bare C core server",
    .unit = "/s",
    .floor = 0.6,
    .aim = 0.8,
};

static const struct claim cpu_bare = {
    .id = "P4",
    .what = "the same, server's CPU per call",
    .against = "bare C core server",
    .unit = "us",
    .less_is_better = true,
};

void row_reads(struct bench *bench)
{
	enum { SLUICE, RANGE, BARE, SIDES };
	struct side sides[SIDES];
	struct calls *calls[SIDES] = {
	    calls_sluice_read(bench->sluiced.port, CONNECTIONS, IN_FLIGHT),
	    calls_etcd_read(bench->etcd.port, CONNECTIONS, IN_FLIGHT),
	    calls_bare(bench->bare.port, CONNECTIONS, IN_FLIGHT),
	};
	calls_etcd_fill(bench->etcd.port, bench->read_bytes);
	size_t pairs = pairs_run(bench, "P4", calls, SIDES, sides);
	const char *mode = bench->pinned ? "pinned" : "free";
	report_add(bench->report, &rate_range, mode, sides[SLUICE].rate, sides[RANGE].rate, pairs);
	report_add(bench->report, &rate_bare, mode, sides[SLUICE].rate, sides[BARE].rate, pairs);
	report_add(bench->report, &cpu_bare, mode, sides[SLUICE].cpu_us, sides[BARE].cpu_us, pairs);
	for (unsigned i = 0; i < SIDES; i++) {
		calls_free(calls[i]);
	}
}
