/* Settled phases into the store: all that changed in a workspace since the last time in one
 * command, at most every status_every_ms. What is taken counts as written; if the command fails it
 * is dirty again. */
#include <stdlib.h>
#include <string.h>

#include "base/log/log.h"
#include "base/mem/own.h"
#include "server/fleet/fleet_internal.h"
#include "server/records/instances.h"

enum { ITEMS_MAX = 2000, FLUSHES_MAX = 2, HOLD_MS = 1000 };

struct flush {
	struct store_cmd cmd;
	struct fleet *fleet;
	uint32_t workspace;
	uint64_t now_ms;
	bool revision;          /* even if nothing changes */
	struct sl_arena arena;  /* owns the items */
	struct sl_arena decide; /* of the last decide() */
	struct instance_status *items;
	size_t count;
};

static void flush_free(struct flush *flush)
{
	sl_err_clear(&flush->cmd.err);
	sl_arena_fini(&flush->arena);
	sl_arena_fini(&flush->decide);
	free(flush);
}

SL_DEFINE_AUTO(struct flush *, flush_free);

/* --- on the writer's thread ----------------------------------------------------------- */

static sl_code decide(struct store_cmd *cmd, const struct store_view *view,
		      struct store_changes *changes, struct sl_err *err)
{
	struct flush *flush = SL_CONTAINER_OF(cmd, struct flush, cmd);
	sl_arena_fini(&flush->decide); /* it may be asked again */
	struct decision d =
	    decision_own("fleet", "fleet", view, changes, &flush->decide, flush->now_ms);
	d.workspace = flush->workspace;
	sl_code code = instances_decide_statuses(&d, flush->items, flush->count, err);
	d.changed = d.changed || flush->revision;
	return decision_own_end(&d, code, err);
}

/* Takes back that the items were written. */
static void take_back(struct flush *flush)
{
	struct fleet *fleet = flush->fleet;
	for (size_t i = 0; i < flush->count; i++) {
		struct fleet_unit *unit = fleet_unit_find(fleet, flush->items[i].instance_id);
		fleet_status_again(fleet, unit, flush->items[i].app_id);
	}
	fleet->want_revision = fleet->want_revision || flush->revision;
	fleet->flush_hold_mono_ms = fleet_mono_ms(fleet) + HOLD_MS;
}

static void done(struct store_cmd *cmd)
{
	SL_AUTO(flush_free_auto) struct flush *flush = SL_CONTAINER_OF(cmd, struct flush, cmd);
	struct fleet *fleet = flush->fleet;
	if (cmd->code != SL_OK) {
		log_warn("status-write-failed", "statuses=%zu code=%s error=%s", flush->count,
			 sl_code_name(cmd->code), SL_QUOTE(cmd->err.msg));
	}
	pthread_mutex_lock(&fleet->lock);
	fleet->flushing--;
	fleet->writes += cmd->revision != 0 ? 1 : 0;
	if (cmd->code != SL_OK) {
		take_back(flush);
	}
	pthread_mutex_unlock(&fleet->lock);
}

/* --- gathering: under the lock ------------------------------------------------------------ */

static Sluice__Store__V1__StatusRecord *record_of(struct sl_arena *arena,
						  const struct fleet_status *status)
{
	Sluice__Store__V1__StatusRecord *record =
	    SL_ARENA_NEW(arena, Sluice__Store__V1__StatusRecord);
	if (record == NULL) {
		return NULL;
	}
	sluice__store__v1__status_record__init(record);
	record->version_id = sl_arena_strdup(arena, status->version_id);
	record->phase = (Sluice__V1__Phase)status->phase;
	record->attempt = status->attempt;
	record->sequence = status->sequence;
	record->error_class = (Sluice__V1__ErrorClass)status->error_class;
	record->error = sl_arena_strdup(arena, status->error);
	record->active_version_id = sl_arena_strdup(arena, status->active);
	record->at_ms = status->at_ms;
	record->orphaned = status->orphaned;
	record->staged_version_ids = SL_ARENA_ARRAY(arena, char *, status->staged_count + 1);
	for (size_t i = 0; record->staged_version_ids != NULL && i < status->staged_count; i++) {
		record->staged_version_ids[i] = sl_arena_strdup(arena, status->staged[i]);
		record->n_staged_version_ids++;
	}
	return sl_arena_failed(arena) ? NULL : record;
}

static bool add_item(struct flush *flush, struct fleet_unit *unit, struct fleet_status *status)
{
	struct sl_arena *arena = &flush->arena;
	struct instance_status item = {
	    .instance_id = sl_arena_strdup(arena, unit->id),
	    .app_id = sl_arena_strdup(arena, status->app_id),
	    .desired_version_id =
		sl_arena_strdup(arena, fleet_session_activate(unit->session, status->app_id)),
	    .record = status->gone ? NULL : record_of(arena, status),
	};
	if (sl_arena_failed(arena)) {
		return false;
	}
	flush->items[flush->count++] = item;
	status->dirty = false;
	status->written = fleet_status_hash(status);
	return true;
}

/* False when the flush is full: the unit stays dirty. */
static bool add_unit(struct flush *flush, struct fleet_unit *unit)
{
	for (size_t i = 0; i < unit->status_count; i++) {
		struct fleet_status *status = &unit->statuses[i];
		if (status->dirty &&
		    (flush->count == ITEMS_MAX || !add_item(flush, unit, status))) {
			return false;
		}
	}
	return true;
}

static int compare_items(const void *a, const void *b)
{
	const struct instance_status *left = a, *right = b;
	int order = strcmp(left->app_id, right->app_id);
	return order != 0 ? order : strcmp(left->instance_id, right->instance_id);
}

static void gather(struct fleet *fleet, struct flush *flush)
{
	struct fleet_units others = STAILQ_HEAD_INITIALIZER(others);
	bool room = true;
	while (!STAILQ_EMPTY(&fleet->dirty)) {
		struct fleet_unit *unit = STAILQ_FIRST(&fleet->dirty);
		STAILQ_REMOVE_HEAD(&fleet->dirty, dirty_link);
		room = room && (unit->workspace != flush->workspace || add_unit(flush, unit));
		unit->dirty = unit->workspace != flush->workspace || !room;
		if (unit->dirty) {
			STAILQ_INSERT_TAIL(&others, unit, dirty_link);
		}
	}
	STAILQ_CONCAT(&fleet->dirty, &others);
	qsort(flush->items, flush->count, sizeof(*flush->items), compare_items);
}

static struct flush *begin(struct fleet *fleet)
{
	uint64_t now = fleet_mono_ms(fleet);
	bool due = now >= fleet->flushed_mono_ms + fleet->options.status_every_ms &&
		   now >= fleet->flush_hold_mono_ms;
	bool wanted = fleet->want_revision || !STAILQ_EMPTY(&fleet->dirty);
	if (fleet->stopped || fleet->recovering || !due || !wanted ||
	    fleet->flushing == FLUSHES_MAX) {
		return NULL;
	}
	struct flush *flush = calloc(1, sizeof(*flush));
	if (flush == NULL) {
		return NULL; /* again at the next tick */
	}
	flush->cmd = (struct store_cmd){.decide = decide, .done = done, .err = SL_ERR_INIT};
	flush->fleet = fleet;
	flush->now_ms = fleet_unix_ms(fleet);
	flush->revision = fleet->want_revision;
	flush->workspace = STAILQ_EMPTY(&fleet->dirty) ? 0 : STAILQ_FIRST(&fleet->dirty)->workspace;
	sl_arena_init(&flush->arena, 0);
	sl_arena_init(&flush->decide, 0);
	flush->items = SL_ARENA_ARRAY(&flush->arena, struct instance_status, ITEMS_MAX);
	if (flush->items == NULL) {
		flush_free(flush);
		return NULL;
	}
	gather(fleet, flush);
	fleet->want_revision = false;
	fleet->flushing++;
	fleet->flushed_mono_ms = now;
	return flush;
}

void fleet_flush(struct fleet *fleet)
{
	pthread_mutex_lock(&fleet->lock);
	struct flush *flush = begin(fleet);
	pthread_mutex_unlock(&fleet->lock);
	if (flush == NULL) {
		return;
	}
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	if (store_submit(fleet->options.store, &flush->cmd, &err) == SL_OK) {
		return;
	}
	pthread_mutex_lock(&fleet->lock);
	fleet->flushing--;
	take_back(flush);
	pthread_mutex_unlock(&fleet->lock);
	flush_free(flush);
}
