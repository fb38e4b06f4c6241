/* config: plans and promotions of a version that requires 1 000 names and 600 data sources, beside
 * one that requires nothing; and a constant that changes, told to every agent that requires it. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "base/clock/clock.h"
#include "base/crypto/crypto.h"
#include "base/crypto/secret.h"
#include "base/mem/own.h"
#include "base/pb/pb.h"
#include "server/records/versions.h"
#include "sluice/v1/config.pb-c.h"
#include "sluice/v1/promotion.pb-c.h"
#include "tests/bench/agents.h"
#include "tests/bench/calls_internal.h"
#include "tests/bench/die.h"
#include "tests/bench/fleet_calls.h"
#include "tests/bench/host.h"
#include "tests/bench/rows.h"
#include "tests/bench/seed.h"
#include "tests/bench/steps.h"

enum {
	NAMES = 1000,
	SOURCES = 600,
	FEW = 10, /* names of the app that agents run */
	APPS = 3,
	PLAIN = 0,
	RICH = 1,
	PLANS = 400,
	PLANS_QUICK = 20,
	PROMOTIONS = 40,
	CHANGES = 10,
	AGENTS = 1000,
	NAME_BYTES = 32,
	MASTER_BYTES = 32
};

#define BESIDE(text)                                                                               \
	{                                                                                          \
		.id = "config", .what = text, .against = "no config", .unit = "us", .floor = 2,    \
		.aim = 1.5, .less_is_better = true                                                 \
	}
static const struct claim plan_claim = BESIDE("plan with 1 600 names required, median");
static const struct claim promote_claim = BESIDE("promotion of such a version, median");
static const struct claim change_claim = {
    .id = "config",
    .what = "a changed constant, sent to the last of 1 000 agents told",
    .unit = "ms",
    .floor = 1000,
    .aim = 500,
    .less_is_better = true,
};

/* --- the store ------------------------------------------------------------------------------- */

static void list_names(struct sl_arena *arena, Sluice__V1__Contract *contract, unsigned names,
		       unsigned sources)
{
	contract->constants = SL_ARENA_ARRAY(arena, char *, names);
	contract->data_sources = SL_ARENA_ARRAY(arena, Sluice__V1__RequiredSource *, sources + 1);
	for (unsigned i = 0; i < names; i++) {
		contract->constants[contract->n_constants++] =
		    sl_arena_printf(arena, "NAME_%04u", i);
	}
	for (unsigned i = 0; i < sources; i++) {
		Sluice__V1__RequiredSource *source =
		    SL_ARENA_NEW(arena, Sluice__V1__RequiredSource);
		sluice__v1__required_source__init(source);
		source->name = sl_arena_printf(arena, "source_%03u", i);
		source->kind = (char *)"redis";
		contract->data_sources[contract->n_data_sources++] = source;
	}
}

/* As if Git had found a sluice.json in each version. */
static sl_code require(struct decision *d, const struct step *step, struct sl_err *err)
{
	Sluice__V1__Contract contract = SLUICE__V1__CONTRACT__INIT;
	Sluice__Store__V1__AppRecord *app = NULL;
	Sluice__Store__V1__VersionRecord *version = NULL;
	bool rich = step->app == RICH;
	sl_code code = app_find(d->view, d->arena, d->workspace,
				sl_arena_printf(d->arena, SEED_APP_NAME, step->app), &app, err);
	code = code != SL_OK
		   ? code
		   : version_find(d->view, d->arena, d->workspace, app,
				  sl_arena_printf(d->arena, "v%u", step->version), &version, err);
	if (code != SL_OK) {
		return code;
	}
	list_names(d->arena, &contract, rich ? NAMES : FEW, rich ? SOURCES : 0);
	struct sl_bytes packed = pb_pack(d->arena, &contract.base);
	version->content->contract.data = (uint8_t *)(uintptr_t)packed.data;
	version->content->contract.len = packed.size;
	version_put(d, version);
	return SL_OK;
}

static void require_all(const char *store)
{
	struct steps *steps = steps_open(store);
	for (unsigned app = RICH; app < APPS; app++) {
		for (unsigned v = 1; v <= SEED_VERSIONS; v++) {
			steps_add(steps, &(struct step){.decide = require,
							.app = app,
							.version = v,
							.method = "Resolve"});
		}
	}
	steps_close(steps);
}

/* A server in the clear has no keys; this is the one that values need. */
static void need_master_key(const char *store)
{
	SL_AUTO(sl_free_auto) char *folder = NULL;
	SL_AUTO(sl_free_auto) char *path = NULL;
	uint8_t key[MASTER_BYTES];
	char text[SL_BASE64_SIZE(MASTER_BYTES)];
	struct stat found;
	if (asprintf(&folder, "%s/keys", store) < 0 ||
	    asprintf(&path, "%s/keys/master.key", store) < 0) {
		die("out of memory");
	}
	(void)mkdir(folder, 0700);
	if (stat(path, &found) == 0) {
		return;
	}
	sl_random(key, sizeof(key));
	FILE *file = fopen(path, "wx");
	if (file == NULL || fputs(sl_base64(text, key, sizeof(key)), file) < 0 ||
	    fclose(file) != 0 || chmod(path, 0600) != 0) {
		die("cannot write '%s'", path);
	}
}

/* --- calls --- */

/* A run of calls, one at a time, each with the next number. */
struct run {
	void (*pack)(struct load_request *request, const struct run *run, unsigned number);
	const char *method;
	unsigned app, first, count, made; /* beyond `count`: the last one again */
};

static void next(void *ctx, unsigned slot, struct load_request *ret_request)
{
	struct run *run = ctx;
	(void)slot;
	run->pack(ret_request, run, run->first + run->made++);
}

static double median_us(int port, struct run *run)
{
	struct load_result result;
	const struct load_target target = {.name = "sluiced",
					   .port = port,
					   .connections = 1,
					   .outstanding = 1,
					   .methods = {run->method},
					   .next = next,
					   .ctx = run,
					   .limit = run->count};
	struct load *load = load_new(&target);
	run->made = 0;
	load_run(load, 60, &result);
	load_free(load);
	if (result.failed > 0) {
		die("%s: %s", run->method, result.failure);
	}
	return histogram_us(&result.latency, 0.5);
}

static void pack_constant(struct load_request *request, const struct run *run, unsigned number)
{
	char name[NAME_BYTES], value[NAME_BYTES];
	Sluice__V1__SetConfigValueRequest set = SLUICE__V1__SET_CONFIG_VALUE_REQUEST__INIT;
	(void)run;
	(void)snprintf(name, sizeof(name), "NAME_%04u", number % NAMES);
	(void)snprintf(value, sizeof(value), "value %u", number);
	set.name = name;
	set.kind = SLUICE__V1__CONFIG_KIND__CONFIG_KIND_GLOBAL;
	set.environment = (char *)"staging";
	set.value = value;
	calls_pack(request, 0, &set.base);
}

static void pack_source(struct load_request *request, const struct run *run, unsigned number)
{
	char name[NAME_BYTES];
	Sluice__V1__CreateSourceRequest create = SLUICE__V1__CREATE_SOURCE_REQUEST__INIT;
	(void)run;
	(void)snprintf(name, sizeof(name), "source_%03u", number);
	create.name = name;
	create.kind = (char *)"redis";
	calls_pack(request, 0, &create.base);
}

static void pack_options(struct load_request *request, const struct run *run, unsigned number)
{
	char name[NAME_BYTES];
	Sluice__V1__SetSourceRequest set = SLUICE__V1__SET_SOURCE_REQUEST__INIT;
	Sluice__V1__SetSourceRequest__OptionsEntry host =
	    SLUICE__V1__SET_SOURCE_REQUEST__OPTIONS_ENTRY__INIT;
	Sluice__V1__SetSourceRequest__OptionsEntry *options[] = {&host};
	(void)run;
	(void)snprintf(name, sizeof(name), "source_%03u", number);
	host.key = (char *)"host";
	host.value = (char *)"{{constants.NAME_0001}}.example.org";
	set.source = name;
	set.environment = (char *)"staging";
	set.options = options;
	set.n_options = 1;
	calls_pack(request, 0, &set.base);
}

static void pack_version(struct load_request *request, const struct run *run, unsigned number)
{
	char app[NAME_BYTES], name[NAME_BYTES];
	Sluice__V1__CreateVersionRequest create = SLUICE__V1__CREATE_VERSION_REQUEST__INIT;
	(void)snprintf(app, sizeof(app), SEED_APP_NAME, run->app);
	(void)snprintf(name, sizeof(name), "config-%u", number);
	create.app = app;
	create.name = name;
	create.from = (char *)"v1";
	calls_pack(request, 0, &create.base);
}

static void pack_promote(struct load_request *request, const struct run *run, unsigned number)
{
	char app[NAME_BYTES], name[NAME_BYTES];
	Sluice__V1__PromoteRequest promote = SLUICE__V1__PROMOTE_REQUEST__INIT;
	(void)snprintf(app, sizeof(app), SEED_APP_NAME, run->app);
	(void)snprintf(name, sizeof(name), "config-%u", number);
	promote.app = app;
	promote.version = name;
	promote.from = (char *)"development";
	calls_pack(request, 0, &promote.base);
}

static void pack_plan(struct load_request *request, const struct run *run, unsigned number)
{
	char app[NAME_BYTES];
	Sluice__V1__PlanRequest plan = SLUICE__V1__PLAN_REQUEST__INIT;
	(void)number;
	(void)snprintf(app, sizeof(app), SEED_APP_NAME, run->app);
	plan.action = SLUICE__V1__PLAN_ACTION__PLAN_ACTION_PROMOTE;
	plan.app = app;
	plan.version = (char *)"v6";
	calls_pack(request, 0, &plan.base);
}

#define CONFIG "/sluice.v1.ConfigService/"

static void fill(int port)
{
	struct run constants = {pack_constant, CONFIG "SetConfigValue", 0, 0, NAMES, 0};
	struct run sources = {pack_source, CONFIG "CreateSource", 0, 0, SOURCES, 0};
	struct run options = {pack_options, CONFIG "SetSource", 0, 0, SOURCES, 0};
	(void)median_us(port, &constants);
	(void)median_us(port, &sources);
	(void)median_us(port, &options);
}

/* --- what is measured --- */

static void measure_plans(struct bench *bench, int port)
{
	double us[2][PAIRS_MAX];
	for (size_t p = 0; p < bench->options.pairs; p++) {
		for (unsigned app = PLAIN; app <= RICH; app++) {
			struct run plans = {
			    pack_plan, "/sluice.v1.PromotionService/Plan",         app,
			    0,         bench->options.quick ? PLANS_QUICK : PLANS, 0};
			us[app][p] = median_us(port, &plans);
		}
	}
	report_add(bench->report, &plan_claim, "free", us[RICH], us[PLAIN], bench->options.pairs);
}

static void measure_promotions(struct bench *bench, int port)
{
	double us[2][PAIRS_MAX];
	unsigned count = bench->options.quick ? 3 : PROMOTIONS;
	for (size_t p = 0; p < bench->options.pairs; p++) {
		for (unsigned app = PLAIN; app <= RICH; app++) {
			unsigned first = (unsigned)p * PROMOTIONS;
			struct run versions = {
			    pack_version, "/sluice.v1.VersionService/CreateVersion",
			    app,          first,
			    count,        0};
			struct run promotions = {
			    pack_promote, "/sluice.v1.PromotionService/Promote",
			    app,          first,
			    count,        0};
			(void)median_us(port, &versions);
			us[app][p] = median_us(port, &promotions);
		}
	}
	report_add(bench->report, &promote_claim, "free", us[RICH], us[PLAIN],
		   bench->options.pairs);
}

static double tell_change(struct agents *agents, unsigned count, unsigned number)
{
	SL_AUTO(sl_free_auto) double *told_us = need(calloc(count, sizeof(*told_us)));
	SL_AUTO(sl_free_auto) struct load_request *request = need(malloc(sizeof(*request)));
	double replied_us = 0, last_us = 0;
	pack_constant(request, NULL, number * NAMES + 1); /* NAME_0001, another value each time */
	const struct agents_call call = {.method = CONFIG "SetConfigValue",
					 .request = request->data,
					 .request_size = request->size};
	agents_tell(agents, &call, told_us, &replied_us);
	for (unsigned i = 0; i < count; i++) {
		last_us = told_us[i] > last_us ? told_us[i] : last_us;
	}
	return last_us / 1000;
}

static int compare(const void *a, const void *b)
{
	const double *left = a, *right = b;
	return (*left > *right) - (*left < *right);
}

static void measure_changes(struct bench *bench, int port, unsigned count)
{
	double ms[CHANGES];
	unsigned changes = bench->options.quick ? 2 : CHANGES;
	struct agents *agents = agents_connect(port, count);
	for (unsigned i = 0; i < changes; i++) {
		ms[i] = tell_change(agents, count, i + 1);
		(void)fprintf(stderr, "  config change %u: last agent %.1f ms\n", i, ms[i]);
	}
	qsort(ms, changes, sizeof(ms[0]), compare);
	report_add(bench->report, &change_claim, "free", &ms[changes - 1], NULL, 1);
	report_note(bench->report,
		    "config: %u agents %s, each requires %d of %d constants; the worst of %u "
		    "changes, from sending SetConfigValue to the manifest behind the values",
		    count, bench_transport(bench), FEW, NAMES, changes);
	agents_free(agents);
}

void row_config(struct bench *bench)
{
	const struct seed_shape shape = {.apps = APPS, .versions = SEED_VERSIONS};
	unsigned count = bench->options.agents < AGENTS ? (unsigned)bench->options.agents : AGENTS;
	SL_AUTO(sl_free_auto) char *store = bench_store_of(bench, "config", &shape);
	require_all(store);
	need_master_key(store);
	fleet_admit(store, "agent", count, "staging", "app-2");
	struct bench_server server = servers_sluiced(store, false);
	fill(server.port);
	measure_plans(bench, server.port);
	measure_promotions(bench, server.port);
	measure_changes(bench, server.port, count);
	servers_stop(&server);
	host_remove(store);
}
