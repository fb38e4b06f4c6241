#include <stdio.h>
#include <string.h>

#include "base/mem/own.h"
#include "tests/bench/bench.h"
#include "tests/bench/die.h"
#include "tests/bench/host.h"

#define STEADY 0.25 /* how far the cost of an fdatasync may move within a pair */

struct pair {
	struct load_result results[SIDES_MAX];
	double cpu_us[SIDES_MAX]; /* of the server, per call */
	double before_us, after_us;
};

static bool is_steady(const struct pair *pair)
{
	double moved = pair->after_us / pair->before_us;
	return moved <= 1 + STEADY && moved >= 1 / (1 + STEADY);
}

/* The server that the target calls. */
static const struct bench_server *server_of(const struct bench *bench,
					    const struct load_target *target)
{
	const struct bench_server *all[] = {&bench->sluiced, &bench->etcd, &bench->bare,
					    &bench->clear};
	for (size_t i = 0; i < SL_COUNT(all); i++) {
		if (all[i]->process != NULL && all[i]->port == target->port) {
			return all[i];
		}
	}
	die("%s: no server listens on port %d", target->name, target->port);
}

static void run_side(const struct bench *bench, const char *row, struct load *load,
		     const struct load_target *target, struct pair *pair, size_t at)
{
	const struct bench_server *server = server_of(bench, target);
	struct load_result *result = &pair->results[at];
	load_run(load, (double)bench->options.warmup_ms / 1000, result);
	double before_us = servers_cpu_us(server);
	load_run(load, (double)bench->options.run_ms / 1000, result);
	pair->cpu_us[at] = (servers_cpu_us(server) - before_us) / (double)(result->calls + 1);
	if (result->calls == 0 || result->failed > result->calls / 1000) {
		die("%s: %s: %lu calls, %lu failed: %s", row, target->name,
		    (unsigned long)result->calls, (unsigned long)result->failed, result->failure);
	}
	(void)fprintf(stderr,
		      "  %s %s: %.0f/s, p50 %.0f us, p99 %.0f us, server %.1f us CPU a call\n", row,
		      target->name, result->rate, histogram_us(&result->latency, 0.5),
		      histogram_us(&result->latency, 0.99), pair->cpu_us[at]);
}

static void keep(struct side *sides, size_t count, size_t at, const struct pair *pair)
{
	for (size_t i = 0; i < count; i++) {
		const struct load_result *result = &pair->results[i];
		sides[i].rate[at] = result->rate;
		sides[i].p50_us[at] = histogram_us(&result->latency, 0.5);
		sides[i].p99_us[at] = histogram_us(&result->latency, 0.99);
		sides[i].cpu_us[at] = pair->cpu_us[i];
		sides[i].failed += result->failed;
	}
}

/* Returns how many count. */
static size_t choose(struct bench *bench, const char *row, const struct pair *pairs,
		     size_t pair_count, size_t count, struct side *sides)
{
	size_t kept = 0;
	for (size_t p = 0; p < pair_count; p++) {
		if (is_steady(&pairs[p])) {
			keep(sides, count, kept++, &pairs[p]);
		}
	}
	const char *mode = bench->pinned ? "pinned" : "free";
	if (kept == 0) {
		report_note(bench->report,
			    "%s %s: the cost of an fdatasync moved by more than a quarter in every "
			    "pair; all count",
			    row, mode);
		for (; kept < pair_count; kept++) {
			keep(sides, count, kept, &pairs[kept]);
		}
	} else if (kept < pair_count) {
		report_note(bench->report,
			    "%s %s: %zu of %zu pairs dropped, the cost of an fdatasync moved by "
			    "more than a quarter",
			    row, mode, pair_count - kept, pair_count);
	}
	return kept;
}

static void note_syncs(struct bench *bench, const char *row, const struct pair *pairs, size_t count)
{
	double least = pairs[0].before_us, most = pairs[0].before_us;
	for (size_t p = 0; p < count; p++) {
		const double both[] = {pairs[p].before_us, pairs[p].after_us};
		for (size_t i = 0; i < 2; i++) {
			least = both[i] < least ? both[i] : least;
			most = both[i] > most ? both[i] : most;
		}
	}
	report_note(bench->report, "%s %s: an fdatasync of 4 KiB cost %.0f to %.0f us, load %.1f",
		    row, bench->pinned ? "pinned" : "free", least, most, host_load());
}

size_t pairs_run(struct bench *bench, const char *row, struct calls *const *calls, size_t count,
		 struct side *ret_sides)
{
	static struct pair pairs[PAIRS_MAX]; /* large: histograms */
	struct load *loads[SIDES_MAX] = {NULL};
	size_t pair_count = bench->options.pairs;
	memset(ret_sides, 0, count * sizeof(*ret_sides));
	for (size_t i = 0; i < count; i++) {
		loads[i] = load_new(calls_target(calls[i]));
	}
	host_pin(bench->pinned);
	for (size_t p = 0; p < pair_count; p++) {
		pairs[p].before_us = host_fdatasync_us(bench->scratch);
		for (size_t i = 0; i < count; i++) {
			size_t at = p % 2 == 0 ? i : count - 1 - i;
			run_side(bench, row, loads[at], calls_target(calls[at]), &pairs[p], at);
		}
		pairs[p].after_us = host_fdatasync_us(bench->scratch);
	}
	host_pin(false);
	for (size_t i = 0; i < count; i++) {
		load_free(loads[i]);
	}
	note_syncs(bench, row, pairs, pair_count);
	return choose(bench, row, pairs, pair_count, count, ret_sides);
}
