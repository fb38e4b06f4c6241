/* Instances that somebody should look at: kept in a list, so that asking costs what there is to
 * tell. */
#include "server/fleet/fleet_internal.h"

const char *fleet_unit_refused(const struct fleet_unit *unit)
{
	bool refused = unit->error_class == SLUICE__V1__ERROR_CLASS__ERROR_CLASS_MANIFEST_REFUSED &&
		       unit->last_error != NULL;
	return refused ? unit->last_error : "";
}

void fleet_unit_concern_end(struct fleet_unit *unit)
{
	if (unit->concerns) {
		LIST_REMOVE(unit, concern_link);
		unit->concerns = false;
	}
}

void fleet_unit_concern(struct fleet *fleet, struct fleet_unit *unit)
{
	bool wanted = unit->record->n_alerts > 0 || fleet_unit_refused(unit)[0] != '\0';
	if (!wanted) {
		fleet_unit_concern_end(unit);
	} else if (!unit->concerns) {
		LIST_INSERT_HEAD(&fleet->concerns, unit, concern_link);
		unit->concerns = true;
	}
}

void fleet_concerns(struct fleet *fleet, uint32_t workspace,
		    void (*visit)(void *ctx, const struct fleet_concern *concern), void *ctx)
{
	struct fleet_unit *unit = NULL;
	pthread_mutex_lock(&fleet->lock);
	LIST_FOREACH(unit, &fleet->concerns, concern_link)
	{
		const struct fleet_concern concern = {.instance = unit->record,
						      .refused = fleet_unit_refused(unit),
						      .refusals = unit->refusals};
		if (unit->workspace == workspace) {
			visit(ctx, &concern);
		}
	}
	pthread_mutex_unlock(&fleet->lock);
}

void fleet_concerns_count(struct fleet *fleet, uint32_t counts[static FLEET_CONCERN_COUNT])
{
	struct fleet_unit *unit = NULL;
	LIST_FOREACH(unit, &fleet->concerns, concern_link)
	{
		for (size_t i = 0; i < unit->record->n_alerts; i++) {
			unsigned kind = (unsigned)unit->record->alerts[i]->kind;
			counts[kind < FLEET_CONCERN_REFUSED ? kind : 0]++;
		}
		counts[FLEET_CONCERN_REFUSED] += fleet_unit_refused(unit)[0] != '\0';
	}
}
