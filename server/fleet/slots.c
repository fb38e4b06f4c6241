/* What one session is told of each app: it follows apps and its unit, and knows what the agent is
 * to take down. */
#include <stdlib.h>
#include <string.h>

#include "base/mem/own.h"
#include "server/fleet/fleet_internal.h"
#include "server/records/instances.h"

/* --- slots ------------------------------------------------------------------------ */

static const char *app_of_slot(const void *row)
{
	const struct fleet_slot *slot = row;
	return slot->app->id;
}

static size_t slot_at(const struct fleet_session *session, const char *app_id, bool *ret_found)
{
	return fleet_row_at(session->slots, session->slot_count, sizeof(session->slots[0]),
			    app_of_slot, app_id, ret_found);
}

struct fleet_slot *fleet_session_slot(const struct fleet_session *session, const char *app_id)
{
	bool found = false;
	size_t at = slot_at(session, app_id, &found);
	return found ? &session->slots[at] : NULL;
}

const char *fleet_session_activate(const struct fleet_session *session, const char *app_id)
{
	bool found = false;
	size_t at = session == NULL ? 0 : slot_at(session, app_id, &found);
	return found ? session->slots[at].entry->activate : "";
}

uint64_t fleet_session_since(const struct fleet_session *session, const char *app_id)
{
	bool found = false;
	size_t at = session == NULL ? 0 : slot_at(session, app_id, &found);
	return found ? session->slots[at].since : 0;
}

void fleet_slots_clear(struct fleet_session *session)
{
	for (size_t i = 0; i < session->slot_count; i++) {
		fleet_entry_unref(session->slots[i].entry);
	}
	free(SL_TAKE(session->slots));
	session->slot_count = session->slot_room = 0;
}

static bool insert_slot(struct fleet_session *session, size_t at, struct fleet_slot slot)
{
	if (session->slot_count == session->slot_room) {
		size_t room = session->slot_room == 0 ? 4 : session->slot_room * 2;
		struct fleet_slot *slots = realloc(session->slots, room * sizeof(*slots));
		if (slots == NULL) {
			return false;
		}
		session->slots = slots;
		session->slot_room = room;
	}
	memmove(&session->slots[at + 1], &session->slots[at],
		(session->slot_count - at) * sizeof(slot));
	session->slots[at] = slot;
	session->slot_count++;
	return true;
}

/* --- what is taken down -------------------------------------------------------------- */

static void remove_add(struct fleet_unit *unit, const char *app_id)
{
	if (fleet_unit_removes(unit, app_id)) {
		return;
	}
	void *grown = realloc(unit->removed, (unit->removed_count + 1) * sizeof(*unit->removed));
	if (grown != NULL) {
		unit->removed = grown;
		memset(unit->removed[unit->removed_count], 0, FLEET_ID_ROOM);
		memcpy(unit->removed[unit->removed_count++], app_id,
		       strnlen(app_id, FLEET_ID_ROOM - 1));
	}
}

static bool remove_drop(struct fleet_unit *unit, const char *app_id)
{
	for (size_t i = 0; i < unit->removed_count; i++) {
		if (strcmp(unit->removed[i], app_id) == 0) {
			memmove(&unit->removed[i], &unit->removed[i + 1],
				(unit->removed_count - i - 1) * sizeof(*unit->removed));
			unit->removed_count--;
			return true;
		}
	}
	return false;
}

/* --- following apps and units ----------------------------------------------------------- */

void fleet_session_touch(struct fleet *fleet, struct fleet_session *session)
{
	if (!session->due) {
		session->due = true;
		TAILQ_INSERT_TAIL(&fleet->due, session, due_link);
	}
}

void fleet_session_place(struct fleet *fleet, struct fleet_session *session, struct fleet_app *app)
{
	struct fleet_unit *unit = session->unit;
	struct fleet_entry *entry = fleet_app_entry(app, unit);
	bool found = false;
	size_t at = slot_at(session, app->id, &found);
	if (entry == NULL && found) {
		fleet_entry_unref(session->slots[at].entry);
		session->slot_count--;
		memmove(&session->slots[at], &session->slots[at + 1],
			(session->slot_count - at) * sizeof(*session->slots));
	}
	if (entry == NULL) {
		if (app->workspace == unit->workspace && fleet_status_find(unit, app->id) != NULL) {
			remove_add(unit, app->id);
		}
		fleet_session_touch(fleet, session);
		return;
	}
	uint32_t retries = instance_retries(unit->record, app->id);
	if (fleet_push_is_for(app, unit)) {
		fleet_session_touch(fleet, session);
	}
	if (found && session->slots[at].entry == entry && session->slots[at].retries == retries) {
		return;
	}
	(void)remove_drop(unit, app->id);
	struct fleet_slot slot = {
	    .app = app, .entry = fleet_entry_ref(entry), .retries = retries, .since = fleet->seen};
	if (found) {
		slot.told_config = session->slots[at].told_config;
		fleet_entry_unref(session->slots[at].entry);
		session->slots[at] = slot;
	} else if (!insert_slot(session, at, slot)) {
		fleet_entry_unref(entry);
	}
	fleet_session_touch(fleet, session);
}

static int compare_slots(const void *a, const void *b)
{
	return strcmp(((const struct fleet_slot *)a)->app->id,
		      ((const struct fleet_slot *)b)->app->id);
}

/* A new session: every app at once, sorted afterwards. */
static void fill_slots(struct fleet *fleet, struct fleet_session *session)
{
	for (size_t i = 0; i < FLEET_APP_BUCKETS; i++) {
		struct fleet_app *app = NULL;
		SLIST_FOREACH(app, &fleet->apps[i], link)
		{
			struct fleet_entry *entry = fleet_app_entry(app, session->unit);
			if (entry == NULL) {
				continue;
			}
			struct fleet_slot slot = {
			    .app = app,
			    .retries = instance_retries(session->unit->record, app->id)};
			slot.entry = fleet_entry_ref(entry);
			if (!insert_slot(session, session->slot_count, slot)) {
				fleet_entry_unref(entry);
			}
		}
	}
	if (session->slot_count > 1) {
		qsort(session->slots, session->slot_count, sizeof(*session->slots), compare_slots);
	}
}

static void follow_slots(struct fleet *fleet, struct fleet_session *session)
{
	for (size_t i = 0; i < FLEET_APP_BUCKETS; i++) {
		struct fleet_app *app = NULL;
		SLIST_FOREACH(app, &fleet->apps[i], link)
		{
			fleet_session_place(fleet, session, app);
		}
	}
}

void fleet_session_place_all(struct fleet *fleet, struct fleet_session *session)
{
	if (session->slot_count > 0) {
		follow_slots(fleet, session);
	} else {
		fill_slots(fleet, session);
	}
	for (size_t i = 0; i < session->slot_count; i++) {
		(void)remove_drop(session->unit, session->slots[i].app->id);
	}
	for (size_t i = 0; i < session->unit->status_count; i++) {
		const char *app_id = session->unit->statuses[i].app_id;
		const struct fleet_app *app = fleet_app_find(fleet, app_id);
		bool found = false;
		(void)slot_at(session, app_id, &found);
		if (!found && !session->unit->statuses[i].gone && app != NULL &&
		    app->record != NULL && app->workspace == session->unit->workspace) {
			remove_add(session->unit, app_id);
		}
	}
	fleet_session_touch(fleet, session);
}

/* Apps that were deleted while the agent was away; one that nobody ever knew keeps serving. */
void fleet_slots_remove_deleted(struct fleet_session *session, const struct store_view *view)
{
	struct fleet_unit *unit = session->unit;
	for (size_t i = 0; i < unit->status_count; i++) {
		const char *app_id = unit->statuses[i].app_id;
		bool found = false;
		(void)slot_at(session, app_id, &found);
		struct record_key key = KEY(unit->workspace, key_text(k, app_id));
		struct sl_bytes value;
		if (!found && !unit->statuses[i].gone &&
		    store_get(view, TABLE_DELETED_APPS, key_bytes(&key), &value, NULL) == SL_OK) {
			remove_add(unit, app_id);
		}
	}
}
