/* world: a real store in a scratch folder, with the workspace `default`, and calls of the API's
 * methods on it: a row's check, then its decide or read, as the server does it, but for the wire.
 *
 * Everything that is returned lies in world.arena until the end of the test. */
#ifndef SL_TESTS_RECORDS_WORLD_H
#define SL_TESTS_RECORDS_WORLD_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/git/git.h"
#include "base/mem/own.h"
#include "server/config/config.h"
#include "server/records/apps.h"
#include "server/records/repositories.h"
#include "server/records/versions.h"
#include "server/services/service.h"
#include "sluice/v1/app.pb-c.h"
#include "sluice/v1/repository.pb-c.h"
#include "sluice/v1/version.pb-c.h"

struct world {
	char *path;
	struct store *store;
	struct sl_arena arena;
	struct server_config config;
	struct services services;
	uint64_t now_ms;
	const struct rpc_peer_identity *peer; /* who makes calls; NULL: has no certificate */
	size_t memory; /* bytes that the next commands may use; 0: no bound */
	/* Of the last command or read: */
	sl_code code;
	struct sl_err err;
	uint64_t revision; /* that it made; 0: none */
	Sluice__V1__Event **events;
	size_t event_count;
};

/* For cmocka: a fresh world. Teardown closes the store and checks it with records_verify(): no
 * fault may be found. */
int world_setup(void **state);
int world_teardown(void **state);

/* Runs a command: `decide` as in a service's row. Must be answered SL_OK, or world_refused() is
 * used. */
typedef sl_code world_decide(struct decision *d, const void *in, void *out, struct sl_err *err);
sl_code world_run(struct world *w, world_decide *decide, const void *in, void *out);

/* Calls a method by its name, as in "CreateApp": check, then decide or read. Returns the response.
 */
const struct service_method *world_method(const char *name);
void *world_try(struct world *w, const char *name, const void *request);
/* The same; must succeed. */
void *world_call(struct world *w, const char *name, const void *request);
/* The same; must be refused so. */
void world_refuse(struct world *w, const char *name, const void *request, sl_code code,
		  enum sl_reason reason);

/* Puts a raw record, for what other parts of the server write. */
void world_put(struct world *w, enum record_table table, struct record_key key,
	       const ProtobufCMessage *record);
/* The record of a key, NULL: there is none. */
void *world_get(struct world *w, enum record_table table, struct record_key key,
		const ProtobufCMessageDescriptor *type);
/* How many keys of a table start with prefix. */
size_t world_count(struct world *w, enum record_table table, struct record_key prefix);

/* The last command made an event of this type and kind. */
bool world_has_event(const struct world *w, Sluice__V1__EventType type, Sluice__V1__EventKind kind);

/* What the double of gitsync answers to the next diff, and what it was asked. */
struct world_diff {
	struct git_result result;
	char asked[512]; /* "<from commit>:<from path> <to commit>:<to path>" */
};
extern struct world_diff world_diff;

/* Likewise to the next reading of a host. */
struct world_reading {
	struct git_result result;
	char asked[512]; /* "<job> <revision>:<path>" */
};
extern struct world_reading world_reading;

enum { WORLD = 1 }; /* number of the workspace `default` */

/* --- what many tests begin with ------------------------------------------------- */

Sluice__V1__Repository *world_repository(struct world *w, const char *name,
					 Sluice__V1__PublishMode publish);
/* An app with path apps/<name> in the repository, and its first version v1, RESOLVING. */
Sluice__V1__CreateAppResponse *world_app(struct world *w, const char *name, const char *repository);
Sluice__V1__Version *world_version(struct world *w, const char *app, const char *name);
/* Git found the content of a version; its digest is 32 times `fill`. */
void world_ready(struct world *w, const char *app, const char *version, uint8_t fill);
void world_failed(struct world *w, const char *app, const char *version,
		  Sluice__V1__ContentReason reason);
/* Git published it. */
void world_published(struct world *w, const char *app, const char *version);
/* One environment further; must be possible. */
void world_promote(struct world *w, const char *app, const char *version);
/* READY, sealed, published, in production; released when asked for. */
void world_produce(struct world *w, const char *app, const char *version, bool release);
Sluice__V1__Version *world_get_version(struct world *w, const char *app, const char *version);
Sluice__Store__V1__AppRecord *world_app_record(struct world *w, const char *app);
Sluice__Store__V1__VersionRecord *world_version_record(struct world *w, const char *app,
						       const char *version);
/* An instance `ins_<name>...`; id in the arena. What it says to run: "" or a version's id. */
const char *world_instance(struct world *w, const char *name, uint32_t environment);
void world_status(struct world *w, const char *instance_id, const char *app_id,
		  const char *version_id);

#endif
