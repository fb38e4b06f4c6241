/* P1, P2: writes with all rules and records, many in flight. P3: one at a time. */
#include "tests/bench/rows.h"

enum { IN_FLIGHT = 100, CONNECTIONS = 4 };

static const struct claim rate_txn = {
    .id = "P1",
    .what = "create-version, promote, release, 100 in flight",
    .against = "etcd Txn, as many keys",
    .unit = "/s",
    .floor = 2.5,
    .aim = 4,
};
static const struct claim rate_put = {
    .id = "P1",
    .what = "the same against one put",
    .against = "etcd put",
    .unit = "/s",
    .floor = 0.6,
    .aim = 1,
};
static const struct claim p99_txn = {
    .id = "P2",
    .what = "the same, p99",
    .against = "etcd Txn, as many keys",
    .unit = "us",
    .floor = 0.6,
    .aim = 0.4,
    .less_is_better = true,
};
static const struct claim alone_txn = {
    .id = "P3",
    .what = "create-version, promote, release, one at a time",
    .against = "etcd Txn, as many keys",
    .unit = "/s",
    .floor = 0.75,
    .aim = 1,
};

static const struct claim cpu_txn = {
    .id = "P1",
    .what = "the same, server's CPU per call",
    .against = "etcd Txn, as many keys",
    .unit = "us",
    .less_is_better = true,
};

static const char *mode_of(const struct bench *bench)
{
	return bench->pinned ? "pinned" : "free";
}

void row_writes(struct bench *bench)
{
	enum { SLUICE, TXN, PUT, SIDES };
	struct side sides[SIDES];
	struct calls *calls[SIDES] = {
	    calls_sluice_round(bench->sluiced.port, CONNECTIONS, IN_FLIGHT),
	    calls_etcd_round(bench->etcd.port, CONNECTIONS, IN_FLIGHT),
	    calls_etcd_put(bench->etcd.port, CONNECTIONS, IN_FLIGHT),
	};
	size_t pairs = pairs_run(bench, "P1", calls, SIDES, sides);
	const char *mode = mode_of(bench);
	report_add(bench->report, &rate_txn, mode, sides[SLUICE].rate, sides[TXN].rate, pairs);
	report_add(bench->report, &rate_put, mode, sides[SLUICE].rate, sides[PUT].rate, pairs);
	report_add(bench->report, &p99_txn, mode, sides[SLUICE].p99_us, sides[TXN].p99_us, pairs);
	report_add(bench->report, &cpu_txn, mode, sides[SLUICE].cpu_us, sides[TXN].cpu_us, pairs);
	for (unsigned i = 0; i < SIDES; i++) {
		calls_free(calls[i]);
	}
}

void row_one_write(struct bench *bench)
{
	enum { SLUICE, TXN, SIDES };
	struct side sides[SIDES];
	struct calls *calls[SIDES] = {
	    calls_sluice_round(bench->sluiced.port, 1, 1),
	    calls_etcd_round(bench->etcd.port, 1, 1),
	};
	size_t pairs = pairs_run(bench, "P3", calls, SIDES, sides);
	report_add(bench->report, &alone_txn, mode_of(bench), sides[SLUICE].rate, sides[TXN].rate,
		   pairs);
	for (unsigned i = 0; i < SIDES; i++) {
		calls_free(calls[i]);
	}
}
