#include "tests/bench/fleet_calls.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/mem/own.h"

#include "sluice/v1/admin.pb-c.h"
#include "sluice/v1/fleet.pb-c.h"
#include "sluice/v1/promotion.pb-c.h"
#include "sluice/v1/version.pb-c.h"
#include "tests/bench/agents.h"
#include "tests/bench/die.h"
#include "tests/bench/secure.h"
#include "tests/bench/seed.h"
#include "tests/bench/servers.h"

enum { IN_FLIGHT = 100, CONNECTIONS = 2, NAME_BYTES = 64, REQUEST_BYTES = 256 };

void fleet_call(int port, const char *method, const ProtobufCMessage *request)
{
	uint8_t bytes[LOAD_REQUEST_MAX];
	char text[LOAD_TEXT_BYTES];
	size_t size = protobuf_c_message_pack(request, bytes);
	if (load_call(port, method, SL_BYTES(bytes, size), NULL, text) != 0) {
		die("%s: %s", method, text);
	}
}

struct registering {
	const char *prefix, *environment, *app;
	unsigned next, count;
};

static size_t pack(const struct registering *r, unsigned number, struct load_request *request)
{
	static const char *const environments[] = {"development", "staging", "production"};
	char name[NAME_BYTES], app[NAME_BYTES];
	(void)snprintf(name, sizeof(name), "%s-%u", r->prefix, number);
	(void)snprintf(app, sizeof(app), SEED_APP_NAME, number % SEED_APPS);
	Sluice__V1__RegisterInstanceRequest message = SLUICE__V1__REGISTER_INSTANCE_REQUEST__INIT;
	Sluice__V1__RegisterInstanceRequest__LabelsEntry label =
	    SLUICE__V1__REGISTER_INSTANCE_REQUEST__LABELS_ENTRY__INIT;
	Sluice__V1__RegisterInstanceRequest__LabelsEntry *labels[] = {&label};
	label.key = (char *)"app";
	label.value = r->app != NULL ? (char *)r->app : app;
	message.name = name;
	message.environment =
	    (char *)(r->environment != NULL ? r->environment : environments[number % 3]);
	message.labels = labels;
	message.n_labels = 1;
	return sluice__v1__register_instance_request__pack(&message, request->data);
}

/* Behind the last one: a call that changes nothing. */
static void next(void *ctx, unsigned slot, struct load_request *ret_request)
{
	struct registering *r = ctx;
	(void)slot;
	ret_request->method = r->next < r->count ? 0 : 1;
	ret_request->size = r->next < r->count ? pack(r, r->next, ret_request) : 0;
	r->next++;
}

void fleet_register(int port, const char *prefix, unsigned count, const char *environment,
		    const char *app)
{
	struct registering r = {
	    .prefix = prefix, .environment = environment, .app = app, .count = count};
	const struct load_target target = {
	    .name = "sluiced",
	    .port = port,
	    .connections = CONNECTIONS,
	    .outstanding = IN_FLIGHT,
	    .methods = {"/sluice.v1.FleetService/RegisterInstance", "/grpc.health.v1.Health/Check"},
	    .next = next,
	    .ctx = &r,
	};
	struct load *load = load_new(&target);
	while (r.next < count) {
		struct load_result result;
		load_run(load, 0.1, &result);
		if (result.failed > 0) {
			die("RegisterInstance: %s", result.failure);
		}
	}
	load_free(load);
}

void fleet_admit(const char *store, const char *prefix, unsigned count, const char *environment,
		 const char *app)
{
	struct bench_server server = servers_sluiced(store, false);
	fleet_register(server.port, prefix, count, environment, app);
	servers_stop(&server);
	secure_enrol(store, prefix, count);
}

static int create_version(int port, char *name, char text[static LOAD_TEXT_BYTES])
{
	Sluice__V1__CreateVersionRequest create = SLUICE__V1__CREATE_VERSION_REQUEST__INIT;
	uint8_t bytes[REQUEST_BYTES];
	create.app = (char *)"app-0";
	create.name = name;
	create.from = (char *)"v1";
	size_t size = sluice__v1__create_version_request__pack(&create, bytes);
	return load_call(port, "/sluice.v1.VersionService/CreateVersion", SL_BYTES(bytes, size),
			 NULL, text);
}

void fleet_create_version(int port, char *name)
{
	char text[LOAD_TEXT_BYTES];
	if (create_version(port, name, text) != 0) {
		die("CreateVersion: %s", text);
	}
}

static int promote_out_of(int port, char *version, const char *from,
			  char text[static LOAD_TEXT_BYTES])
{
	Sluice__V1__PromoteRequest promote = SLUICE__V1__PROMOTE_REQUEST__INIT;
	uint8_t bytes[REQUEST_BYTES];
	promote.app = (char *)"app-0";
	promote.version = version;
	promote.from = (char *)from;
	size_t size = sluice__v1__promote_request__pack(&promote, bytes);
	return load_call(port, "/sluice.v1.PromotionService/Promote", SL_BYTES(bytes, size), NULL,
			 text);
}

void fleet_promote(int port, char *version, const char *from)
{
	char text[LOAD_TEXT_BYTES];
	if (promote_out_of(port, version, from, text) != 0) {
		die("Promote: %s", text);
	}
}

bool fleet_try_promote(int port, char *name, char ret_text[static LOAD_TEXT_BYTES])
{
	return create_version(port, name, ret_text) == 0 &&
	       promote_out_of(port, name, "development", ret_text) == 0;
}

double fleet_promote_told(struct agents *agents, unsigned count, int port, unsigned number)
{
	char name[NAME_BYTES];
	uint8_t bytes[REQUEST_BYTES];
	(void)snprintf(name, sizeof(name), "fanout-%u", number);
	fleet_create_version(port, name);
	Sluice__V1__PromoteRequest promote = SLUICE__V1__PROMOTE_REQUEST__INIT;
	promote.app = (char *)"app-0";
	promote.version = name;
	promote.from = (char *)"development";
	const struct agents_call call = {
	    .method = "/sluice.v1.PromotionService/Promote",
	    .request = bytes,
	    .request_size = sluice__v1__promote_request__pack(&promote, bytes),
	    .told = name,
	};
	SL_AUTO(sl_free_auto) double *told_us = need(calloc(count, sizeof(*told_us)));
	double replied_us = 0, last_us = 0;
	agents_tell(agents, &call, told_us, &replied_us);
	for (unsigned i = 0; i < count; i++) {
		last_us = told_us[i] > last_us ? told_us[i] : last_us;
	}
	return last_us / 1000;
}

uint64_t fleet_commits(int port)
{
	struct sl_buf reply = {0};
	char text[200];
	if (load_call(port, "/sluice.v1.AdminService/GetStats", SL_BYTES("", 0), &reply, text) !=
	    0) {
		die("GetStats: %s", text);
	}
	Sluice__V1__GetStatsResponse *stats =
	    sluice__v1__get_stats_response__unpack(NULL, reply.size, reply.data);
	sl_buf_fini(&reply);
	uint64_t commits = need(stats) != NULL ? stats->commits : 0;
	sluice__v1__get_stats_response__free_unpacked(stats, NULL);
	return commits;
}
