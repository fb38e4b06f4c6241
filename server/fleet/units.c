/* Units: the registered instances, each with what its agent was told and has said. */
#include <stdlib.h>
#include <string.h>

#include "base/mem/own.h"
#include "server/fleet/fleet_internal.h"

struct fleet_unit *fleet_unit_find(struct fleet *fleet, const char *id)
{
	struct fleet_unit *unit = NULL;
	SLIST_FOREACH(unit, &fleet->units[fleet_bucket(id, FLEET_UNIT_BUCKETS)], link)
	{
		if (strcmp(unit->id, id) == 0) {
			return unit;
		}
	}
	return NULL;
}

void fleet_unit_set_text(char **text, const char *value)
{
	if (*text != NULL && strcmp(*text, value) == 0) {
		return;
	}
	free(*text);
	*text = value[0] == '\0' ? NULL : strdup(value);
}

static void free_record(struct fleet_unit *unit)
{
	if (unit->record != NULL) {
		sluice__store__v1__instance_record__free_unpacked(SL_TAKE(unit->record), NULL);
	}
	free(SL_TAKE(unit->value));
	unit->value_size = 0;
}

static bool set_record(struct fleet_unit *unit, struct sl_bytes value)
{
	Sluice__Store__V1__InstanceRecord *record =
	    sluice__store__v1__instance_record__unpack(NULL, value.size, value.data);
	uint8_t *copy = malloc(value.size + 1);
	if (record == NULL || copy == NULL) {
		free(copy);
		if (record != NULL) {
			sluice__store__v1__instance_record__free_unpacked(record, NULL);
		}
		return false;
	}
	memcpy(copy, value.data, value.size);
	free_record(unit);
	unit->record = record;
	unit->value = copy;
	unit->value_size = value.size;
	return true;
}

static struct fleet_unit *unit_new(struct fleet *fleet, uint32_t workspace, const char *id)
{
	struct fleet_unit *unit = strlen(id) < FLEET_ID_ROOM ? calloc(1, sizeof(*unit)) : NULL;
	if (unit != NULL) {
		unit->workspace = workspace;
		memcpy(unit->id, id, strlen(id) + 1);
		SLIST_INSERT_HEAD(&fleet->units[fleet_bucket(id, FLEET_UNIT_BUCKETS)], unit, link);
	}
	return unit;
}

struct fleet_unit *fleet_unit_put(struct fleet *fleet, uint32_t workspace, const char *id,
				  struct sl_bytes value)
{
	struct fleet_unit *unit = fleet_unit_find(fleet, id);
	if (unit != NULL && sl_bytes_equal(SL_BYTES(unit->value, unit->value_size), value)) {
		return unit;
	}
	unit = unit != NULL ? unit : unit_new(fleet, workspace, id);
	if (unit == NULL) {
		return NULL;
	}
	if (set_record(unit, value)) {
		fleet_unit_concern(fleet, unit);
		return unit;
	}
	if (unit->record == NULL) {
		fleet_unit_free(fleet, unit);
	}
	return NULL;
}

static void link_out(struct fleet *fleet, struct fleet_unit *unit)
{
	SLIST_REMOVE(&fleet->units[fleet_bucket(unit->id, FLEET_UNIT_BUCKETS)], unit, fleet_unit,
		     link);
}

static void forget_dirty(struct fleet *fleet, struct fleet_unit *unit)
{
	STAILQ_REMOVE(&fleet->dirty, unit, fleet_unit, dirty_link);
}

void fleet_unit_free(struct fleet *fleet, struct fleet_unit *unit)
{
	link_out(fleet, unit);
	fleet_unit_concern_end(unit);
	if (unit->dirty) {
		forget_dirty(fleet, unit);
	}
	if (unit->session != NULL) {
		unit->session->unit = NULL;
	}
	free_record(unit);
	fleet_statuses_free(unit);
	free(unit->removed);
	free(unit->agent_version);
	free(unit->peer);
	free(unit->last_error);
	free(unit);
}

bool fleet_unit_is_connected(const struct fleet *fleet, const struct fleet_unit *unit)
{
	Sluice__V1__Liveness liveness =
	    fleet_liveness(&unit->pulse, fleet_mono_ms(fleet), fleet->options.heartbeat_ms);
	return unit->session != NULL && (liveness == SLUICE__V1__LIVENESS__LIVENESS_ONLINE ||
					 liveness == SLUICE__V1__LIVENESS__LIVENESS_LATE);
}

sl_code fleet_units_load(struct fleet *fleet, const struct store_view *view, struct sl_err *err)
{
	SL_AUTO(store_walk_end) struct store_walk walk;
	store_walk_begin(&walk, view, TABLE_INSTANCES, SL_BYTES_NONE, STORE_FORWARD);
	while (store_walk_next(&walk)) {
		const char *id = (const char *)walk.key.data + 4;
		if (walk.key.size < 6 || walk.key.data[walk.key.size - 1] != '\0' ||
		    fleet_unit_put(fleet, sl_get_be32(walk.key.data), id, walk.value) == NULL) {
			return sl_err_set(err, SL_DATA_LOSS,
					  "a stored instance does not parse, or memory is out");
		}
	}
	return store_walk_result(&walk, err);
}

void fleet_units_free(struct fleet *fleet)
{
	for (size_t i = 0; i < FLEET_UNIT_BUCKETS; i++) {
		while (!SLIST_EMPTY(&fleet->units[i])) {
			fleet_unit_free(fleet, SLIST_FIRST(&fleet->units[i]));
		}
	}
}

/* An agent that told something in an earlier life of the server has left a status. */
static void look_up_ever(struct fleet_unit *unit, const struct store_view *view)
{
	struct record_key prefix = KEY(unit->workspace, key_text(k, unit->id));
	SL_AUTO(store_walk_end) struct store_walk walk;
	store_walk_begin(&walk, view, TABLE_STATUSES, key_bytes(&prefix), STORE_FORWARD);
	unit->pulse.ever = store_walk_next(&walk);
	unit->ever_known = true;
}

Sluice__V1__Liveness fleet_unit_liveness(struct fleet *fleet, struct fleet_unit *unit,
					 const struct store_view *view)
{
	if (unit->pulse.seen_mono_ms == 0 && !unit->ever_known && view != NULL) {
		look_up_ever(unit, view);
	}
	return fleet_liveness(&unit->pulse, fleet_mono_ms(fleet), fleet->options.heartbeat_ms);
}

bool fleet_unit_removes(const struct fleet_unit *unit, const char *app_id)
{
	for (size_t i = 0; i < unit->removed_count; i++) {
		if (strcmp(unit->removed[i], app_id) == 0) {
			return true;
		}
	}
	return false;
}
