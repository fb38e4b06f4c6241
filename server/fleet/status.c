/* What agents say of apps. Kept in memory; a settled phase that differs from what is stored makes
 * its unit dirty, and flush.c writes it. */
#include <stdlib.h>
#include <string.h>

#include "base/mem/own.h"
#include "server/fleet/fleet_internal.h"

/* An agent that names more apps than this is not believed: memory has an end. */
enum {
	ERROR_MAX = 500,
	STAGED_MAX = 256,
	STATUSES_MAX = 20000,
	DRIFT_FILES_MAX = 20,
	DRIFT_BYTES_MAX = 12288,
};

static bool is_settled(unsigned phase)
{
	switch (phase) {
	case SLUICE__V1__PHASE__PHASE_STAGED:
	case SLUICE__V1__PHASE__PHASE_HEALTHY:
	case SLUICE__V1__PHASE__PHASE_NOT_READY:
	case SLUICE__V1__PHASE__PHASE_DEGRADED:
	case SLUICE__V1__PHASE__PHASE_FAILED:
	case SLUICE__V1__PHASE__PHASE_ROLLED_BACK:
		return true;
	default:
		return false;
	}
}

static bool set_id(char out[static FLEET_ID_ROOM], const char *id)
{
	size_t length = strnlen(id, FLEET_ID_ROOM);
	bool same = strcmp(out, id) == 0;
	memset(out, 0, FLEET_ID_ROOM);
	memcpy(out, id, length < FLEET_ID_ROOM ? length : 0);
	return !same;
}

static const char *app_of_status(const void *row)
{
	const struct fleet_status *status = row;
	return status->app_id;
}

static size_t status_at(const struct fleet_unit *unit, const char *app_id, bool *ret_found)
{
	return fleet_row_at(unit->statuses, unit->status_count, sizeof(unit->statuses[0]),
			    app_of_status, app_id, ret_found);
}

struct fleet_status *fleet_status_find(const struct fleet_unit *unit, const char *app_id)
{
	bool found = false;
	size_t at = status_at(unit, app_id, &found);
	return found && !unit->statuses[at].gone ? &unit->statuses[at] : NULL;
}

static struct fleet_status *status_put(struct fleet_unit *unit, const char *app_id)
{
	bool found = false;
	size_t at = status_at(unit, app_id, &found);
	if (found) {
		return &unit->statuses[at];
	}
	if (unit->status_count == STATUSES_MAX) {
		return NULL;
	}
	if (unit->status_count == unit->status_room) {
		size_t room = unit->status_room == 0 ? 2 : unit->status_room * 2;
		struct fleet_status *statuses = realloc(unit->statuses, room * sizeof(*statuses));
		if (statuses == NULL) {
			return NULL;
		}
		unit->statuses = statuses;
		unit->status_room = room;
	}
	struct fleet_status *status = &unit->statuses[at];
	memmove(status + 1, status, (unit->status_count - at) * sizeof(*status));
	*status = (struct fleet_status){.phase = 0};
	(void)set_id(status->app_id, app_id);
	unit->status_count++;
	return status;
}

static void drift_free(Sluice__V1__Drift *drift)
{
	if (drift != NULL) {
		sluice__v1__drift__free_unpacked(drift, NULL);
	}
}

/* A copy of its own, bounded like all that agents say; NULL: it says nothing. */
static Sluice__V1__Drift *drift_dup(const Sluice__V1__Drift *from)
{
	uint8_t bytes[DRIFT_BYTES_MAX];
	bool says = from != NULL && (from->modified != 0 || from->corrected != 0);
	size_t size = says ? sluice__v1__drift__get_packed_size(from) : 0;
	if (!says || size > sizeof(bytes) || from->n_files > DRIFT_FILES_MAX) {
		return NULL;
	}
	(void)sluice__v1__drift__pack(from, bytes);
	return sluice__v1__drift__unpack(NULL, size, bytes);
}

static bool same_drift(const Sluice__V1__Drift *a, const Sluice__V1__Drift *b)
{
	bool same = (a == NULL) == (b == NULL);
	if (!same || a == NULL) {
		return same;
	}
	same =
	    a->modified == b->modified && a->corrected == b->corrected && a->n_files == b->n_files;
	for (size_t i = 0; same && i < a->n_files; i++) {
		same = strcmp(a->files[i], b->files[i]) == 0;
	}
	return same;
}

/* True if it differs from what was known. */
static bool set_drift(struct fleet *fleet, struct fleet_status *status,
		      const Sluice__V1__Drift *said)
{
	Sluice__V1__Drift *drift = drift_dup(said);
	if (same_drift(drift, status->drift)) {
		drift_free(drift);
		return false;
	}
	uint64_t before = status->drift == NULL ? 0 : status->drift->corrected;
	fleet->corrected +=
	    drift != NULL && drift->corrected > before ? drift->corrected - before : 0;
	drift_free(status->drift);
	status->drift = drift;
	return true;
}

static void status_fini(struct fleet_status *status)
{
	free(status->error);
	free(status->staged);
	free(status->failed_error);
	(void)fleet_status_set_work(status, NULL);
	(void)fleet_status_set_config(status, NULL);
	drift_free(SL_TAKE(status->drift));
}

void fleet_statuses_free(struct fleet_unit *unit)
{
	for (size_t i = 0; i < unit->status_count; i++) {
		status_fini(&unit->statuses[i]);
	}
	free(SL_TAKE(unit->statuses));
	unit->status_count = unit->status_room = 0;
}

static int compare_ids(const void *a, const void *b)
{
	return strcmp(a, b);
}

/* True if they differ from what was known. Kept sorted. */
static bool set_staged(struct fleet_status *status, char *const *ids, size_t count)
{
	count = count > STAGED_MAX ? STAGED_MAX : count;
	SL_AUTO(sl_free_auto) char(*staged)[FLEET_ID_ROOM] = calloc(count + 1, sizeof(*staged));
	if (staged == NULL) {
		return false;
	}
	for (size_t i = 0; i < count; i++) {
		(void)set_id(staged[i], ids[i]);
	}
	qsort(staged, count, sizeof(*staged), compare_ids);
	if (count == status->staged_count &&
	    (count == 0 || memcmp(staged, status->staged, count * sizeof(*staged)) == 0)) {
		return false;
	}
	free(status->staged);
	status->staged = SL_TAKE(staged);
	status->staged_count = count;
	return true;
}

static bool set_error(char **error, const char *text)
{
	char cut[ERROR_MAX + 1];
	size_t length = strnlen(text, ERROR_MAX);
	memcpy(cut, text, length);
	cut[length] = '\0';
	bool same = strcmp(*error == NULL ? "" : *error, cut) == 0;
	fleet_unit_set_text(error, cut);
	return !same;
}

/* What is stored of a settled status, in one number; never 0. */
static uint64_t hash_of(const struct fleet_status *status)
{
	struct sl_hasher hasher;
	uint8_t hash[SL_HASH_BYTES];
	const uint8_t small[] = {status->phase, status->error_class, status->orphaned};
	const char *error = status->error == NULL ? "" : status->error;
	sl_hasher_init(&hasher);
	sl_hasher_add(&hasher, small, sizeof(small));
	sl_hasher_add(&hasher, &status->attempt, sizeof(status->attempt));
	sl_hasher_add(&hasher, status->version_id, FLEET_ID_ROOM);
	sl_hasher_add(&hasher, status->active, FLEET_ID_ROOM);
	sl_hasher_add(&hasher, status->staged, status->staged_count * sizeof(*status->staged));
	sl_hasher_add(&hasher, error, strlen(error));
	sl_hasher_end(&hasher, hash);
	uint64_t number = sl_get_be64(hash);
	return number == 0 ? 1 : number;
}

static void make_dirty(struct fleet *fleet, struct fleet_unit *unit, struct fleet_status *status)
{
	status->dirty = true;
	if (!unit->dirty) {
		unit->dirty = true;
		STAILQ_INSERT_TAIL(&fleet->dirty, unit, dirty_link);
	}
}

static void settle(struct fleet *fleet, struct fleet_unit *unit, struct fleet_status *status)
{
	status->dirty = false;
	if (status->gone ? status->written != 0
			 : is_settled(status->phase) && hash_of(status) != status->written) {
		make_dirty(fleet, unit, status);
	}
}

uint64_t fleet_status_hash(const struct fleet_status *status)
{
	return status->gone ? 0 : hash_of(status);
}

sl_code fleet_statuses_load(struct fleet_unit *unit, const struct store_view *view,
			    struct sl_err *err)
{
	if (unit->statuses_loaded) {
		return SL_OK;
	}
	struct record_key prefix = KEY(unit->workspace, key_text(k, unit->id));
	SL_AUTO(sl_arena_fini) struct sl_arena arena;
	SL_AUTO(store_walk_end) struct store_walk walk;
	sl_arena_init(&arena, 0);
	store_walk_begin(&walk, view, TABLE_STATUSES, key_bytes(&prefix), STORE_FORWARD);
	while (store_walk_next(&walk)) {
		Sluice__Store__V1__StatusRecord *record = NULL;
		sl_code code =
		    record_unpack(&arena, walk.value, &sluice__store__v1__status_record__descriptor,
				  &record, err);
		struct fleet_status *status =
		    code == SL_OK ? status_put(unit, (const char *)walk.key.data + prefix.size)
				  : NULL;
		if (status == NULL) {
			return code != SL_OK ? code : sl_err_no_memory(err);
		}
		(void)set_id(status->version_id, record->version_id);
		(void)set_id(status->active, record->active_version_id);
		(void)set_staged(status, record->staged_version_ids, record->n_staged_version_ids);
		(void)set_error(&status->error, record->error);
		status->phase = (uint8_t)record->phase;
		status->error_class = (uint8_t)record->error_class;
		status->attempt = record->attempt;
		status->sequence = record->sequence;
		status->at_ms = record->at_ms;
		status->orphaned = record->orphaned;
		status->written = hash_of(status);
	}
	unit->statuses_loaded = true;
	return store_walk_result(&walk, err);
}

/* --- hearing ------------------------------------------------------------------------ */

/* A report may be about a version that is merely kept: the app's own phase stays then. */
static bool is_about_subject(const struct fleet_unit *unit, const struct fleet_status *status,
			     const Sluice__V1__AgentReport *report)
{
	const char *desired = fleet_session_activate(unit->session, status->app_id);
	return status->version_id[0] == '\0' ||
	       strcmp(report->version_id, status->version_id) == 0 ||
	       strcmp(report->version_id, desired) == 0 ||
	       strcmp(report->version_id, status->active) == 0;
}

static bool set_phase(struct fleet *fleet, struct fleet_status *status,
		      const Sluice__V1__AgentReport *report)
{
	bool changed = set_id(status->version_id, report->version_id);
	changed = set_error(&status->error, report->error) || changed;
	changed = changed || status->phase != report->phase || status->attempt != report->attempt ||
		  status->error_class != report->error_class;
	status->percent = (uint8_t)(report->percent > 100 ? 100 : report->percent);
	if (changed) {
		status->phase = (uint8_t)report->phase;
		status->attempt = report->attempt;
		status->error_class = (uint8_t)report->error_class;
		status->at_ms = fleet_unix_ms(fleet);
	}
	return changed;
}

static bool note_kept(struct fleet_status *status, const Sluice__V1__AgentReport *report)
{
	if (report->phase == SLUICE__V1__PHASE__PHASE_FAILED) {
		bool changed = set_id(status->failed, report->version_id);
		return set_error(&status->failed_error, report->error) || changed;
	}
	if (strcmp(status->failed, report->version_id) == 0 && status->failed[0] != '\0') {
		(void)set_error(&status->failed_error, "");
		return set_id(status->failed, "");
	}
	return false;
}

static bool is_sane(const Sluice__V1__AgentReport *report)
{
	return report->phase >= 0 && (unsigned)report->phase < FLEET_PHASE_COUNT &&
	       (unsigned)report->error_class <=
		   SLUICE__V1__ERROR_CLASS__ERROR_CLASS_RELEASE_UNSIGNED &&
	       strlen(report->version_id) < FLEET_ID_ROOM &&
	       strlen(report->active_version_id) < FLEET_ID_ROOM;
}

static bool id_is_sane(const char *app_id)
{
	return app_id[0] != '\0' && strlen(app_id) < FLEET_ID_ROOM;
}

void fleet_status_report(struct fleet *fleet, struct fleet_unit *unit,
			 const Sluice__V1__AgentReport *report)
{
	fleet->reports++;
	struct fleet_status *status =
	    id_is_sane(report->app_id) && is_sane(report) ? status_put(unit, report->app_id) : NULL;
	if (status == NULL || report->sequence < status->sequence) {
		return;
	}
	bool changed = status->gone;
	status->gone = false;
	status->sequence = report->sequence;
	changed = set_id(status->active, report->active_version_id) || changed;
	changed =
	    set_staged(status, report->staged_version_ids, report->n_staged_version_ids) || changed;
	changed = fleet_status_set_work(status, report->working_copy) || changed;
	changed = set_drift(fleet, status, report->drift) || changed;
	changed = fleet_status_set_config(status, report->config) || changed;
	if (is_about_subject(unit, status, report)) {
		changed = set_phase(fleet, status, report) || changed;
	} else {
		changed = note_kept(status, report) || changed;
	}
	settle(fleet, unit, status);
	if (changed || report->percent != 0) {
		fleet_touch(fleet, status->app_id);
	}
}

static void take_inventory(struct fleet *fleet, struct fleet_unit *unit,
			   const Sluice__V1__AppInventory *item)
{
	struct fleet_status *status =
	    id_is_sane(item->app_id) && strlen(item->active_version_id) < FLEET_ID_ROOM
		? status_put(unit, item->app_id)
		: NULL;
	if (status == NULL) {
		return;
	}
	status->listed = true;
	status->gone = false;
	status->orphaned = item->orphaned;
	(void)set_id(status->active, item->active_version_id);
	(void)set_staged(status, item->staged_version_ids, item->n_staged_version_ids);
	if (item->last != NULL && is_sane(item->last)) {
		(void)fleet_status_set_work(status, item->last->working_copy);
		(void)set_phase(fleet, status, item->last);
		(void)set_drift(fleet, status, item->last->drift);
		(void)fleet_status_set_config(status, item->last->config);
		status->sequence = item->last->sequence;
	}
	settle(fleet, unit, status);
	fleet_touch(fleet, status->app_id);
}

void fleet_status_inventory(struct fleet *fleet, struct fleet_unit *unit,
			    const Sluice__V1__AgentHello *hello)
{
	for (size_t i = 0; i < unit->status_count; i++) {
		unit->statuses[i].listed = false;
	}
	for (size_t i = 0; i < hello->n_inventory; i++) {
		take_inventory(fleet, unit, hello->inventory[i]);
	}
	for (size_t i = 0; i < unit->status_count; i++) {
		struct fleet_status *status = &unit->statuses[i];
		if (!status->listed && !status->gone) {
			status->gone = true;
			settle(fleet, unit, status);
			fleet_touch(fleet, status->app_id);
		}
	}
}

void fleet_status_again(struct fleet *fleet, struct fleet_unit *unit, const char *app_id)
{
	bool found = false;
	size_t at = unit == NULL ? 0 : status_at(unit, app_id, &found);
	if (found) {
		unit->statuses[at].written =
		    1; /* of no status that is likely: it is written again, or found to be stored */
		settle(fleet, unit, &unit->statuses[at]);
	}
}
