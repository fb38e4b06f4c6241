/* P9: changes delivered to many watchers, beside etcd watch. */
#include <pthread.h>
#include <stdio.h>

#include "base/clock/clock.h"
#include "base/mem/own.h"
#include "tests/bench/die.h"
#include "tests/bench/host.h"
#include "tests/bench/rows.h"
#include "tests/bench/watchers.h"

enum {
	CHANGES = 2000,
	CHANGES_QUICK = 100,
	IN_FLIGHT = 100,
	CONNECTIONS = 4,
	SMALL = 64,
	SILENCE_MS = 60000,
	WRITING_S = 120
};

/* In the clear, and over mTLS. */
static const struct claim delivered[] = {{
					     .id = "P9",
					     .what = "changes delivered to 1 000 watchers",
					     .against = "etcd watch",
					     .unit = "/s",
					     .floor = 1.2,
					     .aim = 3,
					 },
					 {
					     .id = "P9",
					     .what = "changes delivered to 1 000 watchers",
					     .against = "etcd watch",
					     .unit = "/s",
					     .floor = 1.0,
					     .aim = 3,
					 }};
static const struct claim delivered_cpu = {
    .id = "P9",
    .what = "the same, server's CPU per change delivered",
    .against = "etcd watch",
    .unit = "us",
    .less_is_better = true,
};

struct side_of_p9 {
	const struct bench_server *server;
	struct watchers *watchers;
	struct calls *calls;
	double rate[PAIRS_MAX], cpu_us[PAIRS_MAX];
};

static void *write_all(void *arg)
{
	struct load *load = arg;
	struct load_result result;
	load_run(load, WRITING_S, &result);
	if (result.failed > 0) {
		die("P9: a write failed: %s", result.failure);
	}
	return NULL;
}

/* From the first write until the last watcher has the last change. */
static void deliver(struct side_of_p9 *side, unsigned count, unsigned changes, size_t at)
{
	pthread_t writer;
	calls_target(side->calls)->limit = changes;
	struct load *load = load_new(calls_target(side->calls));
	uint64_t wanted = watchers_changes(side->watchers) + (uint64_t)changes * count;
	double cpu_us = servers_cpu_us(side->server);
	uint64_t started = sl_clock_mono_us();
	if (pthread_create(&writer, NULL, write_all, load) != 0) {
		die("no thread for the writes");
	}
	while (watchers_changes(side->watchers) < wanted) {
		if (!watchers_take(side->watchers, SILENCE_MS)) {
			die("P9: changes are missing");
		}
	}
	double seconds = (double)(sl_clock_mono_us() - started) / 1e6;
	(void)pthread_join(writer, NULL);
	double all = (double)changes * count;
	side->cpu_us[at] = (servers_cpu_us(side->server) - cpu_us) / all;
	side->rate[at] = all / seconds;
	(void)fprintf(stderr, "  P9 %s: %.0f/s, %.2f us of CPU each\n",
		      calls_target(side->calls)->name, side->rate[at], side->cpu_us[at]);
	load_free(load);
}

static void note(struct bench *bench, const struct side_of_p9 *sluiced, unsigned count,
		 unsigned changes, double bytes)
{
	report_note(bench->report,
		    "P9: %u watchers, a connection each, %s; %u writes with 100 in "
		    "flight; a change is %.0f bytes, etcd's values are as large; %u times a "
		    "watcher was too slow and resumed",
		    count, bench_transport(bench), changes, bytes,
		    watchers_resumed(sluiced->watchers));
}

static void measure(struct bench *bench, struct side_of_p9 *sluiced, struct side_of_p9 *etcd)
{
	unsigned count = (unsigned)bench->options.watchers;
	unsigned changes = bench->options.quick ? CHANGES_QUICK : CHANGES;
	const struct watchers_options of_sluiced = {.port = sluiced->server->port, .count = count};
	const struct watchers_options of_etcd = {
	    .port = etcd->server->port, .count = count, .etcd = true};
	sluiced->watchers = watchers_new(&of_sluiced);
	sluiced->calls = calls_sluice_change(sluiced->server->port, CONNECTIONS, IN_FLIGHT, SMALL);
	deliver(sluiced, count, CHANGES_QUICK, 0); /* warm, and tells how large a change is */
	double bytes =
	    (double)watchers_bytes(sluiced->watchers) / (double)watchers_changes(sluiced->watchers);
	etcd->watchers = watchers_new(&of_etcd);
	etcd->calls = calls_etcd_change(etcd->server->port, CONNECTIONS, IN_FLIGHT, (size_t)bytes);
	deliver(etcd, count, CHANGES_QUICK, 0);
	for (size_t i = 0; i < bench->options.pairs; i++) {
		deliver(i % 2 == 0 ? sluiced : etcd, count, changes, i);
		deliver(i % 2 == 0 ? etcd : sluiced, count, changes, i);
	}
	note(bench, sluiced, count, changes, bytes);
}

void row_delivery(struct bench *bench)
{
	SL_AUTO(sl_free_auto) char *store = bench_store(bench, "delivery");
	SL_AUTO(sl_free_auto) char *data = host_path("etcd-delivery");
	struct bench_server sluiced = servers_sluiced(store, true);
	struct bench_server etcd = servers_etcd(data, true, bench->keys);
	struct side_of_p9 ours = {.server = &sluiced}, theirs = {.server = &etcd};
	host_pin(true);
	measure(bench, &ours, &theirs);
	host_pin(false);
	report_add(bench->report, &delivered[bench->options.tls], "pinned", ours.rate, theirs.rate,
		   bench->options.pairs);
	report_add(bench->report, &delivered_cpu, "pinned", ours.cpu_us, theirs.cpu_us,
		   bench->options.pairs);
	watchers_free(ours.watchers);
	watchers_free(theirs.watchers);
	calls_free(ours.calls);
	calls_free(theirs.calls);
	servers_stop(&etcd);
	servers_stop(&sluiced);
	host_remove(store);
	host_remove(data);
}
