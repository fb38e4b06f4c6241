/* P16: plans with all their gates, and the status of an app on all instances. */
#include <stdio.h>

#include "base/mem/own.h"
#include "sluice/v1/fleet.pb-c.h"
#include "sluice/v1/promotion.pb-c.h"
#include "tests/bench/calls_internal.h"
#include "tests/bench/die.h"
#include "tests/bench/fleet_calls.h"
#include "tests/bench/host.h"
#include "tests/bench/rows.h"
#include "tests/bench/seed.h"

enum { INSTANCES = 10000, INSTANCES_QUICK = 300, NAME_BYTES = 32 };

#define AT_MOST(text, the_floor, the_aim)                                                          \
	{                                                                                          \
		.id = "P16", .what = text, .unit = "ms", .floor = the_floor, .aim = the_aim,       \
		.less_is_better = true                                                             \
	}
static const struct claim plan_p99 = AT_MOST("plan with all gates, p99", 1, 0.3);
static const struct claim plan_p50 = AT_MOST("the same, median", 0, 0);
static const struct claim wide_plan_p99 = AT_MOST("plan for an app on all instances, p99", 0, 0);
static const struct claim status_p99 = AT_MOST("status of an app on all instances, p99", 50, 15);
static const struct claim status_p50 = AT_MOST("the same, median", 0, 0);

/* Promotion, release and rollback in turn. */
static void pack_plan(struct load_request *request, uint64_t number, unsigned app_number)
{
	static const Sluice__V1__PlanAction actions[] = {
	    SLUICE__V1__PLAN_ACTION__PLAN_ACTION_PROMOTE,
	    SLUICE__V1__PLAN_ACTION__PLAN_ACTION_RELEASE,
	    SLUICE__V1__PLAN_ACTION__PLAN_ACTION_ROLLBACK,
	};
	static char *const versions[] = {"v6", "v3", ""};
	char app[NAME_BYTES];
	Sluice__V1__PlanRequest plan = SLUICE__V1__PLAN_REQUEST__INIT;
	(void)snprintf(app, sizeof(app), SEED_APP_NAME, app_number);
	plan.action = actions[number % 3];
	plan.app = app;
	plan.version = versions[number % 3];
	calls_pack(request, 0, &plan.base);
}

static void next_plan(void *ctx, unsigned at, struct load_request *ret_request)
{
	struct calls *calls = ctx;
	(void)at;
	uint64_t number = calls->count++;
	pack_plan(ret_request, number, (unsigned)(calls_spread(number) % (SEED_APPS - 1)) + 1);
}

static void next_wide_plan(void *ctx, unsigned at, struct load_request *ret_request)
{
	(void)at;
	pack_plan(ret_request, ((struct calls *)ctx)->count++, 0);
}

static void next_status(void *ctx, unsigned at, struct load_request *ret_request)
{
	(void)ctx;
	(void)at;
	Sluice__V1__GetStatusRequest status = SLUICE__V1__GET_STATUS_REQUEST__INIT;
	status.app = (char *)"app-0";
	calls_pack(ret_request, 0, &status.base);
}

struct question {
	const char *method;
	void (*next)(void *ctx, unsigned slot, struct load_request *ret_request);
	const struct claim *p99, *p50; /* p50 may be NULL */
};

/* One at a time: how long it takes, not how many there can be. */
static void ask(struct bench *bench, int port, const struct question *question)
{
	double p99[PAIRS_MAX], p50[PAIRS_MAX];
	struct calls *calls = calls_new("sluiced", port, 1, 1);
	struct load_target *target = calls_target(calls);
	target->methods[0] = question->method;
	target->next = question->next;
	struct load *load = load_new(target);
	struct load_result result;
	load_run(load, (double)bench->options.warmup_ms / 1000, &result);
	for (size_t i = 0; i < bench->options.pairs; i++) {
		load_run(load, (double)bench->options.run_ms / 1000, &result);
		if (result.failed > 0 || result.calls == 0) {
			die("P16: %s: %s", question->method, result.failure);
		}
		p99[i] = histogram_us(&result.latency, 0.99) / 1000;
		p50[i] = histogram_us(&result.latency, 0.5) / 1000;
		(void)fprintf(stderr, "  P16 %s: p99 %.3f ms, median %.3f ms\n",
			      question->p99->what, p99[i], p50[i]);
	}
	report_add(bench->report, question->p99, "free", p99, NULL, bench->options.pairs);
	if (question->p50 != NULL) {
		report_add(bench->report, question->p50, "free", p50, NULL, bench->options.pairs);
	}
	load_free(load);
	calls_free(calls);
}

void row_plans(struct bench *bench)
{
	static const char plan_method[] = "/sluice.v1.PromotionService/Plan";
	const struct question plan = {plan_method, next_plan, &plan_p99, &plan_p50};
	const struct question wide = {plan_method, next_wide_plan, &wide_plan_p99, NULL};
	const struct question status = {"/sluice.v1.FleetService/GetStatus", next_status,
					&status_p99, &status_p50};
	unsigned instances = bench->options.quick ? INSTANCES_QUICK : INSTANCES;
	SL_AUTO(sl_free_auto) char *store = bench_store(bench, "plans");
	struct bench_server server = servers_sluiced(store, false);
	fleet_register(server.port, "instance", instances, NULL, NULL);
	ask(bench, server.port, &plan);
	fleet_register(server.port, "wide", instances, NULL, "app-0");
	ask(bench, server.port, &wide);
	ask(bench, server.port, &status);
	report_note(bench->report,
		    "P16: %lu log records, %u apps x %u versions, %u instances; then as many again "
		    "for the app that is on all of them; one call at a time, from sending it",
		    (unsigned long)bench->options.records, SEED_APPS, SEED_VERSIONS, instances);
	servers_stop(&server);
	host_remove(store);
}
