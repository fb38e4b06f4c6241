/* P15: what watchers that never read cost the server, and how they end. */
#include <stdio.h>

#include "base/mem/own.h"
#include "tests/bench/die.h"
#include "tests/bench/host.h"
#include "tests/bench/rows.h"
#include "tests/bench/watchers.h"

enum {
	WATCHERS = 64,
	STEP = 100,
	STEPS = 20,
	IN_FLIGHT = 20,
	CONNECTIONS = 2,
	DESCRIPTION = 1000,
	END_MS = 9000
};

static const struct claim stalled = {
    .id = "P15",
    .what = "a watcher that never reads: server's memory at most",
    .unit = "KiB",
    .floor = 1024,
    .aim = 256,
    .less_is_better = true,
};

static const struct claim found_ended = {
    .id = "P15",
    .what = "of 64, ended with where to resume",
    .unit = "watchers",
    .floor = WATCHERS,
    .aim = WATCHERS,
};

/* Returns the server's own memory at its peak. */
static uint64_t write_some(const struct bench_server *server, struct load *load)
{
	uint64_t peak = 0;
	for (unsigned step = 0; step < STEPS; step++) {
		struct load_result result;
		load_run(load, 60, &result);
		if (result.failed > 0) {
			die("P15: a write failed: %s", result.failure);
		}
		uint64_t now = servers_private(server);
		peak = now > peak ? now : peak;
	}
	return peak;
}

void row_stalled(struct bench *bench)
{
	SL_AUTO(sl_free_auto) char *store = bench_store(bench, "stalled");
	struct bench_server server = servers_sluiced(store, false);
	struct calls *calls = calls_sluice_change(server.port, CONNECTIONS, IN_FLIGHT, DESCRIPTION);
	calls_target(calls)->limit = STEP;
	struct load *load = load_new(calls_target(calls));
	uint64_t before = write_some(&server, load); /* the writes alone */
	const struct watchers_options options = {
	    .port = server.port, .count = WATCHERS, .filtered = true, .stay_ended = true};
	struct watchers *watchers = watchers_new(&options);
	uint64_t peak = write_some(&server, load);
	double kib = peak > before ? (double)(peak - before) / WATCHERS / 1024 : 0;
	(void)fprintf(stderr, "  P15 %.1f KiB each; changes were written up to number %lu\n", kib,
		      (unsigned long)calls_made(calls));
	double ended = watchers_ended(watchers, END_MS);
	report_add(bench->report, &stalled, "free", &kib, NULL, 1);
	report_add(bench->report, &found_ended, "free", &ended, NULL, 1);
	report_note(bench->report,
		    "P15: %u watchers with a connection and a filter each (none shares messages); "
		    "%u changes of 1 KB; the peak of the server's own memory above that of the "
		    "same writes without them; then they read, and the ends are looked at",
		    WATCHERS, STEP * STEPS);
	watchers_free(watchers);
	load_free(load);
	calls_free(calls);
	servers_stop(&server);
	host_remove(store);
}
