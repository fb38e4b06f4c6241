/* What is asked of sluiced; see calls.h. */
#include <stdio.h>

#include "sluice/v1/promotion.pb-c.h"
#include "sluice/v1/release.pb-c.h"
#include "sluice/v1/version.pb-c.h"
#include "tests/bench/calls_internal.h"
#include "tests/bench/seed.h"

enum { NAME_BYTES = 64, METHOD_CREATE = 0, METHOD_PROMOTE, METHOD_RELEASE };

/* --- writes ----------------------------------------------------------------------- */

/* The names of one call. */
struct names {
	char app[NAME_BYTES], version[NAME_BYTES], request_id[NAME_BYTES];
};

static void pack_step(struct load_request *request, unsigned step, struct names *names)
{
	Sluice__V1__WriteOptions write = SLUICE__V1__WRITE_OPTIONS__INIT;
	write.request_id = names->request_id;
	if (step == ROUND_CREATE) {
		Sluice__V1__CreateVersionRequest create = SLUICE__V1__CREATE_VERSION_REQUEST__INIT;
		create.write = &write;
		create.app = names->app;
		create.name = names->version;
		create.from = (char *)"v1";
		calls_pack(request, METHOD_CREATE, &create.base);
		return;
	}
	if (step == ROUND_RELEASE) {
		Sluice__V1__ReleaseRequest release = SLUICE__V1__RELEASE_REQUEST__INIT;
		release.write = &write;
		release.app = names->app;
		release.version = names->version;
		calls_pack(request, METHOD_RELEASE, &release.base);
		return;
	}
	Sluice__V1__PromoteRequest promote = SLUICE__V1__PROMOTE_REQUEST__INIT;
	promote.write = &write;
	promote.app = names->app;
	promote.version = names->version;
	promote.from = (char *)(step == ROUND_STAGING ? "development" : "staging");
	calls_pack(request, METHOD_PROMOTE, &promote.base);
}

static void next_write(void *ctx, unsigned at, struct load_request *ret_request)
{
	struct calls *calls = ctx;
	struct calls_slot *slot = &calls->slots[at];
	unsigned outstanding = calls->target.outstanding;
	if (slot->step == 0) {
		slot->rounds++;
		unsigned own = calls->apps / outstanding;
		slot->app = at + outstanding * (unsigned)(slot->rounds % own);
	}
	struct names names;
	(void)snprintf(names.app, sizeof(names.app), SEED_APP_NAME, slot->app);
	(void)snprintf(names.version, sizeof(names.version), "%s-%u-%lu", calls->run, at,
		       (unsigned long)slot->rounds);
	(void)snprintf(names.request_id, sizeof(names.request_id), "%s-%lu", calls->run,
		       (unsigned long)calls->count++);
	pack_step(ret_request, slot->step, &names);
}

/* A round that meets a refusal ends: the next call begins a new one. */
static void write_done(void *ctx, unsigned at, int status)
{
	struct calls_slot *slot = &((struct calls *)ctx)->slots[at];
	slot->step = status == 0 ? (slot->step + 1) % ROUND_STEPS : 0;
}

struct calls *calls_sluice_round(int port, unsigned connections, unsigned outstanding)
{
	struct calls *calls = calls_new("sluiced", port, connections, outstanding);
	calls->target.methods[METHOD_CREATE] = "/sluice.v1.VersionService/CreateVersion";
	calls->target.methods[METHOD_PROMOTE] = "/sluice.v1.PromotionService/Promote";
	calls->target.methods[METHOD_RELEASE] = "/sluice.v1.ReleaseService/Release";
	calls->target.next = next_write;
	calls->target.done = write_done;
	return calls;
}

/* --- changes that are watched ------------------------------------------------------ */

enum { DESCRIPTION_BYTES = 2048 };

static void next_change(void *ctx, unsigned at, struct load_request *ret_request)
{
	struct calls *calls = ctx;
	char app[NAME_BYTES], description[DESCRIPTION_BYTES];
	(void)at;
	uint64_t number = calls->count++;
	(void)snprintf(app, sizeof(app), SEED_APP_NAME, (unsigned)(number % calls->apps));
	int size = snprintf(description, sizeof(description), CALLS_MARK, (unsigned)number);
	for (; (size_t)size < calls->bytes; size++) {
		description[size] = 'x';
	}
	description[size] = '\0';
	Sluice__V1__UpdateVersionRequest update = SLUICE__V1__UPDATE_VERSION_REQUEST__INIT;
	update.app = app;
	update.version = (char *)"v10";
	update.description = description;
	calls_pack(ret_request, 0, &update.base);
}

struct calls *calls_sluice_change(int port, unsigned connections, unsigned outstanding,
				  size_t bytes)
{
	struct calls *calls = calls_new("sluiced", port, connections, outstanding);
	calls->target.methods[0] = "/sluice.v1.VersionService/UpdateVersion";
	calls->target.next = next_change;
	calls->bytes = bytes < DESCRIPTION_BYTES ? bytes : DESCRIPTION_BYTES - 1;
	return calls;
}

/* --- reads ------------------------------------------------------------------------ */

static void next_read(void *ctx, unsigned at, struct load_request *ret_request)
{
	struct calls *calls = ctx;
	(void)at;
	uint64_t spread = calls_spread(calls->count++);
	struct names names;
	(void)snprintf(names.app, sizeof(names.app), SEED_APP_NAME,
		       (unsigned)(spread % calls->apps));
	(void)snprintf(names.version, sizeof(names.version), "v%u",
		       (unsigned)(spread / calls->apps % calls->versions) + 1);
	Sluice__V1__GetVersionRequest get = SLUICE__V1__GET_VERSION_REQUEST__INIT;
	get.app = names.app;
	get.version = names.version;
	calls_pack(ret_request, 0, &get.base);
}

struct calls *calls_sluice_read(int port, unsigned connections, unsigned outstanding)
{
	struct calls *calls = calls_new("sluiced", port, connections, outstanding);
	calls->target.methods[0] = "/sluice.v1.VersionService/GetVersion";
	calls->target.next = next_read;
	return calls;
}

struct calls *calls_bare(int port, unsigned connections, unsigned outstanding)
{
	struct calls *calls = calls_new("bare C core server", port, connections, outstanding);
	calls->target.methods[0] = "/sluice.bench.Bare/Call";
	calls->target.next = next_read;
	return calls;
}
