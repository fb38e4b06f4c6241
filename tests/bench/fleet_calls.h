/* fleet_calls: fills a server with instances, over its API.
 *
 * Threads: one. */
#ifndef SL_BENCH_FLEET_CALLS_H
#define SL_BENCH_FLEET_CALLS_H

#include <stdbool.h>
#include <stdint.h>

#include <protobuf-c/protobuf-c.h>

#include "tests/bench/load.h"

/* One call without an answer worth having. Dies on failure. */
void fleet_call(int port, const char *method, const ProtobufCMessage *request);

/* Registers instances PREFIX-0 to PREFIX-(count - 1). environment NULL: one third in each. app
 * NULL: label app=app-N goes round all seeded apps; else all have it. Dies on failure. */
void fleet_register(int port, const char *prefix, unsigned count, const char *environment,
		    const char *app);

/* The same on a store that no server has: one is started for it. The instances' agents are then let
 * in. */
void fleet_admit(const char *store, const char *prefix, unsigned count, const char *environment,
		 const char *app);

/* CreateVersion of app-0, from v1. */
void fleet_create_version(int port, char *name);
/* Promotes a version of app-0 out of the environment. Dies on failure. */
void fleet_promote(int port, char *version, const char *from);
/* Both for version NAME, up to staging. False: one of them failed, *ret_text says why. */
bool fleet_try_promote(int port, char *name, char ret_text[static LOAD_TEXT_BYTES]);
/* Makes version fanout-NUMBER of app-0 and promotes it to staging. Returns when the last of the
 * agents there had it on its list, in ms after Promote was sent. */
struct agents;
double fleet_promote_told(struct agents *agents, unsigned count, int port, unsigned number);
/* Commits of the store since the server's start. */
uint64_t fleet_commits(int port);

#endif
