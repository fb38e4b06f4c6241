/* P11: how soon one watching bot sees a change, while a thousand are written a second. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock/clock.h"
#include "base/mem/own.h"
#include "tests/bench/die.h"
#include "tests/bench/host.h"
#include "tests/bench/rows.h"
#include "tests/bench/watchers.h"

enum {
	PER_SECOND = 1000,
	IN_FLIGHT = 500,
	CONNECTIONS = 4,
	DESCRIPTION = 64,
	DIGITS = 8,
	LATE_MS = 60000
};
static const char mark[] = "change-"; /* CALLS_MARK up to its number */

static const struct claim seen = {
    .id = "P11",
    .what = "write sent to change seen by a bot, 1 000 writes/s, p99",
    .unit = "ms",
    .floor = 10,
    .aim = 5,
    .less_is_better = true,
};
static const struct claim seen_median = {
    .id = "P11", .what = "the same, median", .unit = "ms", .less_is_better = true};
static const struct claim replied = {
    .id = "P11", .what = "write sent to its reply, p99", .unit = "ms", .less_is_better = true};
static const struct claim rate = {.id = "P11", .what = "writes answered", .unit = "/s"};

/* The writing thread fills sent_us, the other one seen_us. */
struct bot {
	struct calls *calls;
	void (*next)(void *ctx, unsigned slot, struct load_request *ret_request);
	atomic_uint_least64_t *sent_us;
	uint64_t *seen_us;
	size_t room;
	uint64_t seen;
	atomic_bool written;
	struct load *load;
	struct load_result result;
	double seconds;
};

static void next(void *ctx, unsigned slot, struct load_request *ret_request)
{
	struct bot *bot = ctx;
	uint64_t number = calls_made(bot->calls);
	bot->next(bot->calls, slot, ret_request);
	if (number < bot->room) {
		atomic_store(&bot->sent_us[number], sl_clock_mono_us());
	}
}

static void on_message(void *ctx, struct sl_bytes message)
{
	struct bot *bot = ctx;
	uint64_t now = sl_clock_mono_us();
	const uint8_t *at = message.data, *end = message.data + message.size;
	while ((at = memmem(at, (size_t)(end - at), mark, sizeof(mark) - 1)) != NULL) {
		char digits[DIGITS + 1] = "";
		at += sizeof(mark) - 1;
		memcpy(digits, at, (size_t)(end - at) < DIGITS ? (size_t)(end - at) : DIGITS);
		uint64_t number = strtoull(digits, NULL, 10);
		if (number < bot->room && bot->seen_us[number] == 0) {
			bot->seen_us[number] = now;
			bot->seen++;
		}
	}
}

static void *write_all(void *arg)
{
	struct bot *bot = arg;
	load_run(bot->load, bot->seconds, &bot->result);
	atomic_store(&bot->written, true);
	return NULL;
}

/* All calls from number `first` on, and their changes. */
static void run(struct bot *bot, struct watchers *watchers, struct histogram *took)
{
	pthread_t writer;
	uint64_t first = calls_made(bot->calls), late = 0;
	atomic_store(&bot->written, false);
	if (pthread_create(&writer, NULL, write_all, bot) != 0) {
		die("no thread for the writes");
	}
	while (!atomic_load(&bot->written) || bot->seen < calls_made(bot->calls)) {
		bool came = watchers_take(watchers, 1);
		late = came || !atomic_load(&bot->written) ? 0 : late + 1;
		if (late > LATE_MS) {
			die("P11: changes are missing");
		}
	}
	(void)pthread_join(writer, NULL);
	if (bot->result.failed > 0) {
		die("P11: a write failed: %s", bot->result.failure);
	}
	for (uint64_t i = first; i < calls_made(bot->calls) && i < bot->room; i++) {
		histogram_add(took, (bot->seen_us[i] - atomic_load(&bot->sent_us[i])) * 1000);
	}
}

static void measure(struct bench *bench, struct bot *bot, struct watchers *watchers)
{
	double p99[PAIRS_MAX], p50[PAIRS_MAX], reply[PAIRS_MAX], rates[PAIRS_MAX];
	struct histogram warm = {.count = 0};
	bot->seconds = 1;
	run(bot, watchers, &warm);
	bot->seconds = (double)bench->options.run_ms / 1000;
	for (size_t i = 0; i < bench->options.pairs; i++) {
		struct histogram took = {.count = 0};
		run(bot, watchers, &took);
		p99[i] = histogram_us(&took, 0.99) / 1000;
		p50[i] = histogram_us(&took, 0.5) / 1000;
		reply[i] = histogram_us(&bot->result.latency, 0.99) / 1000;
		rates[i] = bot->result.rate;
		(void)fprintf(stderr, "  P11 p99 %.2f ms, median %.2f ms, %.0f writes/s\n", p99[i],
			      p50[i], rates[i]);
	}
	report_add(bench->report, &seen, "free", p99, NULL, bench->options.pairs);
	report_add(bench->report, &seen_median, "free", p50, NULL, bench->options.pairs);
	report_add(bench->report, &replied, "free", reply, NULL, bench->options.pairs);
	report_add(bench->report, &rate, "free", rates, NULL, bench->options.pairs);
}

void row_bot(struct bench *bench)
{
	SL_AUTO(sl_free_auto) char *store = bench_store(bench, "bot");
	struct bench_server server = servers_sluiced(store, false);
	struct bot bot = {.room = (bench->options.run_ms / 1000 + 2) * PER_SECOND *
				  (bench->options.pairs + 1)};
	bot.sent_us = need(calloc(bot.room, sizeof(*bot.sent_us)));
	bot.seen_us = need(calloc(bot.room, sizeof(*bot.seen_us)));
	const struct watchers_options options = {
	    .port = server.port, .count = 1, .on_message = on_message, .ctx = &bot};
	struct watchers *watchers = watchers_new(&options);
	bot.calls = calls_sluice_change(server.port, CONNECTIONS, IN_FLIGHT, DESCRIPTION);
	struct load_target target = *calls_target(bot.calls);
	bot.next = target.next;
	target.next = next;
	target.ctx = &bot;
	target.per_second = PER_SECOND;
	bot.load = load_new(&target);
	measure(bench, &bot, watchers);
	report_note(bench->report,
		    "P11: the writes are the background too; from sending the write, so that its "
		    "commit and batch are in the figure: more than the claim asks for");
	load_free(bot.load);
	watchers_free(watchers);
	calls_free(bot.calls);
	free(bot.sent_us);
	free(bot.seen_us);
	servers_stop(&server);
	host_remove(store);
}
