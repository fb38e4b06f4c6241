/* Instances that somebody should look at, as GetStatus tells them. */
#include <stdlib.h>
#include <string.h>

#include "base/mem/own.h"
#include "server/records/wire.h"
#include "server/services/fleet_internal.h"

enum { CONCERNS_MAX = 100 };

struct gathering {
	struct sl_arena *arena;
	uint32_t environment; /* 0: all */
	Sluice__V1__InstanceConcern **list;
	size_t count, room;
};

static Sluice__V1__InstanceConcern *told(struct sl_arena *arena,
					 const struct fleet_concern *concern)
{
	const Sluice__Store__V1__InstanceRecord *instance = concern->instance;
	Sluice__V1__InstanceConcern *wire = SL_ARENA_NEW(arena, Sluice__V1__InstanceConcern);
	if (wire == NULL) {
		return NULL;
	}
	sluice__v1__instance_concern__init(wire);
	wire->instance_id = sl_arena_strdup(arena, instance->id);
	wire->instance = sl_arena_strdup(arena, instance->name);
	wire->environment = (char *)environment_name(instance->environment);
	wire->refused = sl_arena_strdup(arena, concern->refused);
	wire->refusals = concern->refused[0] != '\0' ? concern->refusals : 0;
	wire->alerts = wire_alerts(arena, instance, &wire->n_alerts);
	return wire;
}

static bool has_room(struct gathering *g)
{
	if (g->count < g->room) {
		return true;
	}
	size_t room = g->room == 0 ? 16 : g->room * 2;
	Sluice__V1__InstanceConcern **list =
	    SL_ARENA_ARRAY(g->arena, Sluice__V1__InstanceConcern *, room);
	if (list != NULL && g->count > 0) {
		memcpy(list, g->list, g->count * sizeof(*list));
	}
	if (list != NULL) {
		g->list = list;
		g->room = room;
	}
	return list != NULL;
}

static void gather(void *ctx, const struct fleet_concern *concern)
{
	struct gathering *g = ctx;
	bool asked = g->environment == 0 || g->environment == concern->instance->environment;
	if (!asked || !has_room(g)) {
		return;
	}
	g->list[g->count] = told(g->arena, concern);
	g->count += g->list[g->count] != NULL;
}

static int by_name(const void *a, const void *b)
{
	const Sluice__V1__InstanceConcern *const *left = a, *const *right = b;
	return strcmp((*left)->instance, (*right)->instance);
}

void concerns_list(struct service_read *read, uint32_t environment,
		   Sluice__V1__GetStatusResponse *response)
{
	struct gathering g = {.arena = read->arena, .environment = environment};
	fleet_concerns(read->services->fleet, read->workspace, gather, &g);
	if (sl_arena_failed(read->arena)) {
		return; /* the call fails with it */
	}
	if (g.count > 1) {
		qsort(g.list, g.count, sizeof(*g.list), by_name);
	}
	response->concerns = g.list;
	response->n_concerns = g.count < CONCERNS_MAX ? g.count : CONCERNS_MAX;
}
