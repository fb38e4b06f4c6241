/* G: what P1, P4, P10, P13 and P16 cost with 1, 10 and 100 times the data, one kind of data at a
 * time. What a call does not tell of should cost it nothing: the factor against 1x says so. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem/own.h"
#include "sluice/v1/fleet.pb-c.h"
#include "sluice/v1/promotion.pb-c.h"
#include "tests/bench/agents.h"
#include "tests/bench/calls_internal.h"
#include "tests/bench/die.h"
#include "tests/bench/fleet_calls.h"
#include "tests/bench/host.h"
#include "tests/bench/rows.h"
#include "tests/bench/secure.h"
#include "tests/bench/seed.h"
#include "tests/bench/watchers.h"

enum {
	STEPS = 3,   /* 1x, 10x, 100x */
	AGENTS = 50, /* of app-0, connected */
	OWN = 10,    /* instances of the app that is asked about */
	PROMOTIONS = 5,
	CALLS = 1000,     /* of one kind at most */
	WATCHED = 100,    /* writes while others watch */
	DRAIN_MS = 20000, /* for the last of what was watched */
	NAME_BYTES = 32,
};

/* How much there is of everything. */
struct amounts {
	unsigned apps, versions;
	uint64_t records;
	unsigned instances; /* of other apps */
	unsigned watchers;
};
static const struct amounts smallest = {100, 10, 10000, 100, 10};

enum { APPS, VERSIONS, RECORDS, INSTANCES, WATCHERS, KINDS };
static const char *const kind_names[KINDS] = {"apps", "versions of each app", "log records",
					      "instances of other apps", "watchers"};

static struct amounts amounts_of(unsigned kind, unsigned factor)
{
	struct amounts amounts = smallest;
	switch (kind) {
	case APPS:
		amounts.apps *= factor;
		break;
	case VERSIONS:
		amounts.versions *= factor;
		break;
	case RECORDS:
		amounts.records *= factor;
		break;
	case INSTANCES:
		amounts.instances *= factor;
		break;
	default:
		amounts.watchers *= factor;
		break;
	}
	return amounts;
}

/* --- what is asked ------------------------------------------------------------------- */

static char *app_of(const struct calls *calls, char room[static NAME_BYTES])
{
	unsigned app = 1 + (unsigned)(calls_spread(calls->count) % (calls->apps - 1));
	(void)snprintf(room, NAME_BYTES, SEED_APP_NAME, app);
	return room;
}

static void next_plan(void *ctx, unsigned at, struct load_request *ret_request)
{
	struct calls *calls = ctx;
	char app[NAME_BYTES];
	(void)at;
	Sluice__V1__PlanRequest plan = SLUICE__V1__PLAN_REQUEST__INIT;
	plan.action = SLUICE__V1__PLAN_ACTION__PLAN_ACTION_RELEASE;
	plan.app = app_of(calls, app);
	plan.version = (char *)"v3";
	calls->count++;
	calls_pack(ret_request, 0, &plan.base);
}

static void next_status(void *ctx, unsigned at, struct load_request *ret_request)
{
	(void)ctx, (void)at;
	Sluice__V1__GetStatusRequest status = SLUICE__V1__GET_STATUS_REQUEST__INIT;
	status.app = (char *)"app-1";
	calls_pack(ret_request, 0, &status.base);
}

static struct calls *new_plan(int port, unsigned connections, unsigned outstanding)
{
	struct calls *calls = calls_new("sluiced", port, connections, outstanding);
	calls->target.methods[0] = "/sluice.v1.PromotionService/Plan";
	calls->target.next = next_plan;
	return calls;
}

static struct calls *new_status(int port, unsigned connections, unsigned outstanding)
{
	struct calls *calls = calls_new("sluiced", port, connections, outstanding);
	calls->target.methods[0] = "/sluice.v1.FleetService/GetStatus";
	calls->target.next = next_status;
	return calls;
}

enum { WRITE, READ, PLAN, STATUS, ASKED };
static const struct {
	const char *name;
	struct calls *(*make)(int port, unsigned connections, unsigned outstanding);
} asked[ASKED] = {
    [WRITE] = {"P1 write", calls_sluice_round},
    [READ] = {"P4 read", calls_sluice_read},
    [PLAN] = {"P16 plan", new_plan},
    [STATUS] = {"P16 status", new_status},
};

/* --- measuring --------------------------------------------------------------------------- */

enum { FANOUT = ASKED, START, FIGURES };
static const char *const figure_names[FIGURES] = {"P1 write",   "P4 read",  "P16 plan",
						  "P16 status", "P10 told", "P13 start"};

struct point {
	bool has[FIGURES];
	double cpu_us[FIGURES]; /* of the server: per call; per agent told; START: real time */
	double p50_us[FIGURES], p99_us[FIGURES];
};

static void ask(const struct bench_server *server, unsigned what, const struct amounts *amounts,
		double seconds, struct point *point)
{
	struct calls *calls = asked[what].make(server->port, 1, 1);
	calls_on_shape(calls, amounts->apps, amounts->versions);
	calls_target(calls)->limit = amounts->watchers > smallest.watchers ? WATCHED : CALLS;
	struct load *load = load_new(calls_target(calls));
	struct load_result result;
	double before_us = servers_cpu_us(server);
	load_run(load, seconds, &result);
	point->cpu_us[what] = (servers_cpu_us(server) - before_us) / (double)(result.calls + 1);
	point->p50_us[what] = histogram_us(&result.latency, 0.5);
	point->p99_us[what] = histogram_us(&result.latency, 0.99);
	point->has[what] = true;
	if (result.calls == 0 || result.failed > 0) {
		die("G: %s: %s", asked[what].name, result.failure);
	}
	load_free(load);
	calls_free(calls);
}

static int compare(const void *a, const void *b)
{
	const double *left = a, *right = b;
	return (*left > *right) - (*left < *right);
}

static void fan_out(const struct bench_server *server, struct point *point)
{
	double last_ms[PROMOTIONS];
	struct agents *agents = agents_connect(server->port, AGENTS);
	double before_us = servers_cpu_us(server);
	for (unsigned i = 0; i < PROMOTIONS; i++) {
		last_ms[i] = fleet_promote_told(agents, AGENTS, server->port, i);
	}
	point->cpu_us[FANOUT] = (servers_cpu_us(server) - before_us) / PROMOTIONS / AGENTS;
	qsort(last_ms, PROMOTIONS, sizeof(last_ms[0]), compare);
	point->p50_us[FANOUT] = last_ms[PROMOTIONS / 2] * 1000;
	point->p99_us[FANOUT] = last_ms[PROMOTIONS - 1] * 1000;
	point->has[FANOUT] = true;
	agents_free(agents);
}

/* A write with others watching: what it costs, all of its deliveries included. */
static void write_watched(const struct bench_server *server, const struct amounts *amounts,
			  struct point *point)
{
	const struct watchers_options options = {.port = server->port, .count = amounts->watchers};
	struct watchers *watchers = watchers_new(&options);
	uint64_t before = watchers_changes(watchers);
	double before_us = servers_cpu_us(server);
	struct amounts few = *amounts;
	few.watchers = smallest.watchers + 1; /* WATCHED writes, also for the smallest */
	ask(server, WRITE, &few, DRAIN_MS, point);
	while (watchers_changes(watchers) - before < (uint64_t)WATCHED * amounts->watchers) {
		if (!watchers_take(watchers, DRAIN_MS)) {
			die("G: watchers miss changes");
		}
	}
	point->cpu_us[WRITE] = (servers_cpu_us(server) - before_us) / WATCHED;
	watchers_free(watchers);
}

static void measure(struct bench *bench, unsigned kind, const struct amounts *amounts,
		    struct point *point)
{
	const struct seed_shape shape = {amounts->apps, amounts->versions, amounts->records};
	double seconds = (double)bench->options.run_ms / 1000;
	SL_AUTO(sl_free_auto) char *store = bench_store_of(bench, "growth", &shape);
	struct bench_server server = servers_sluiced(store, false);
	fleet_register(server.port, "agent", AGENTS, "staging", "app-0");
	fleet_register(server.port, "own", OWN, "production", "app-1");
	fleet_register(server.port, "other", amounts->instances, NULL, "other");
	servers_stop(&server);
	secure_enrol(store, "agent", AGENTS);
	server = servers_sluiced(store, false);
	point->p50_us[START] = point->p99_us[START] = point->cpu_us[START] =
	    (double)(server.ready_us - server.started_us);
	point->has[START] = true;
	if (kind == WATCHERS) {
		write_watched(&server, amounts, point);
	}
	for (unsigned what = 0; what < ASKED && kind != WATCHERS; what++) {
		ask(&server, what, amounts, seconds, point);
	}
	if (kind != WATCHERS) {
		fan_out(&server, point);
	}
	servers_stop(&server);
	host_remove(store);
}

/* --- telling --------------------------------------------------------------------------------- */

static void tell(struct bench *bench, unsigned kind, const struct point points[static STEPS])
{
	static struct claim claims[KINDS][FIGURES][STEPS]; /* the report points at them */
	static char texts[KINDS][FIGURES][STEPS][64];
	static const char *const factors[STEPS] = {"1x", "10x", "100x"};
	for (unsigned f = 0; f < FIGURES; f++) {
		for (unsigned s = 1; s < STEPS && points[s].has[f]; s++) {
			char *text = texts[kind][f][s];
			(void)snprintf(text, sizeof(texts[0][0][0]), "%s, %s %s", figure_names[f],
				       factors[s], kind_names[kind]);
			claims[kind][f][s] = (struct claim){.id = "G",
							    .what = text,
							    .against = "1x",
							    .unit = f == START ? "us" : "us CPU",
							    .less_is_better = true};
			report_add(bench->report, &claims[kind][f][s], "free", &points[s].cpu_us[f],
				   &points[0].cpu_us[f], 1);
		}
		if (points[0].has[f]) {
			report_note(
			    bench->report,
			    "G %s by %s, p50/p99 in us: %.0f/%.0f, 10x %.0f/%.0f, 100x %.0f/%.0f",
			    figure_names[f], kind_names[kind], points[0].p50_us[f],
			    points[0].p99_us[f], points[1].p50_us[f], points[1].p99_us[f],
			    points[2].p50_us[f], points[2].p99_us[f]);
		}
	}
}

void row_growth(struct bench *bench)
{
	static const unsigned factors[STEPS] = {1, 10, 100};
	report_note(bench->report,
		    "G: 1x is %u apps of %u versions, %lu log records, %u instances of others, %u "
		    "watchers; one call at a time; P10: %u agents, CPU for each",
		    smallest.apps, smallest.versions, (unsigned long)smallest.records,
		    smallest.instances, smallest.watchers, AGENTS);
	for (unsigned kind = 0; kind < KINDS; kind++) {
		struct point points[STEPS] = {{.has = {false}}};
		for (unsigned s = 0; s < STEPS; s++) {
			struct amounts amounts = amounts_of(kind, factors[s]);
			(void)fprintf(stderr, "  G %s, %ux\n", kind_names[kind], factors[s]);
			measure(bench, kind, &amounts, &points[s]);
		}
		tell(bench, kind, points);
		report_follow(bench->report);
	}
}
