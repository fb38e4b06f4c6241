/* Looking at the fleet. Which instances there are is the view's say; what they said is memory's, or
 * for agents that have not spoken since the start the store's. */
#include <string.h>

#include "base/mem/own.h"
#include "server/fleet/fleet_internal.h"
#include "server/records/placement.h"

/* --- judging -------------------------------------------------------------------- */

bool fleet_is_staged(const struct fleet_standing *standing, const char *version_id)
{
	if (version_id[0] == '\0') {
		return false;
	}
	for (size_t i = 0; i < standing->staged_count; i++) {
		if (strcmp(standing->staged[i], version_id) == 0) {
			return true;
		}
	}
	return strcmp(standing->active_version_id, version_id) == 0;
}

static bool is_bad(Sluice__V1__Phase phase)
{
	return phase == SLUICE__V1__PHASE__PHASE_FAILED ||
	       phase == SLUICE__V1__PHASE__PHASE_ROLLED_BACK ||
	       phase == SLUICE__V1__PHASE__PHASE_DEGRADED ||
	       phase == SLUICE__V1__PHASE__PHASE_NOT_READY;
}

enum fleet_verdict fleet_judge(const struct fleet_standing *standing, const char *desired)
{
	if (standing->liveness == SLUICE__V1__LIVENESS__LIVENESS_NEVER ||
	    standing->liveness == SLUICE__V1__LIVENESS__LIVENESS_OFFLINE) {
		return FLEET_UNREACHABLE;
	}
	bool serves = strcmp(standing->active_version_id, desired) == 0;
	if (desired[0] == '\0') {
		return serves ? FLEET_OK : FLEET_PENDING;
	}
	bool about = strcmp(standing->version_id, desired) == 0;
	if (about && is_bad(standing->phase)) {
		return FLEET_FAILED;
	}
	return serves && about && standing->phase == SLUICE__V1__PHASE__PHASE_HEALTHY
		   ? FLEET_OK
		   : FLEET_PENDING;
}

/* --- one standing ------------------------------------------------------------------ */

struct visit {
	struct fleet *fleet;
	const struct store_view *view;
	uint32_t workspace;
	const char *app_id;
	const struct fleet_visitor *visitor;
	struct sl_arena arena; /* emptied after each */
};

static void empty(struct fleet_standing *standing)
{
	standing->version_id = standing->active_version_id = standing->error = "";
	standing->failed_version_id = standing->failed_error = standing->refused =
	    standing->config_error = "";
}

static const char *or_empty(const char *text)
{
	return text == NULL ? "" : text;
}

static void from_memory(struct visit *v, const struct fleet_unit *unit,
			struct fleet_standing *standing)
{
	const struct fleet_status *status = fleet_status_find(unit, v->app_id);
	fleet_configs_standing(v->fleet, unit, v->app_id, status != NULL ? status->config : NULL,
			       standing);
	if (status == NULL) {
		return;
	}
	char **staged = SL_ARENA_ARRAY(&v->arena, char *, status->staged_count + 1);
	for (size_t i = 0; staged != NULL && i < status->staged_count; i++) {
		staged[i] = status->staged[i];
	}
	standing->known = true;
	standing->current = status->sequence >= fleet_session_since(unit->session, v->app_id);
	standing->version_id = status->version_id;
	standing->active_version_id = status->active;
	standing->error = or_empty(status->error);
	standing->phase = (Sluice__V1__Phase)status->phase;
	standing->error_class = (Sluice__V1__ErrorClass)status->error_class;
	standing->attempt = status->attempt;
	standing->percent = status->percent;
	standing->at_ms = status->at_ms;
	standing->orphaned = status->orphaned;
	standing->staged = staged;
	standing->staged_count = staged == NULL ? 0 : status->staged_count;
	standing->working_copy = status->work;
	standing->drift = status->drift;
	standing->failed_version_id = status->failed;
	standing->failed_error = or_empty(status->failed_error);
}

static sl_code from_store(struct visit *v, const char *instance_id, struct fleet_standing *standing,
			  struct sl_err *err)
{
	struct record_key key = KEY(v->workspace, key_text(k, instance_id), key_text(k, v->app_id));
	Sluice__Store__V1__StatusRecord *record = NULL;
	sl_code code = record_get(v->view, &v->arena, TABLE_STATUSES, &key,
				  &sluice__store__v1__status_record__descriptor, &record, err);
	if (code != SL_OK) {
		return code == SL_NOT_FOUND ? SL_OK : code;
	}
	standing->known = true;
	standing->version_id = record->version_id;
	standing->active_version_id = record->active_version_id;
	standing->error = record->error;
	standing->phase = record->phase;
	standing->error_class = record->error_class;
	standing->attempt = record->attempt;
	standing->at_ms = record->at_ms;
	standing->orphaned = record->orphaned;
	standing->staged = record->staged_version_ids;
	standing->staged_count = record->n_staged_version_ids;
	return SL_OK;
}

static sl_code tell(struct visit *v, const Sluice__Store__V1__InstanceRecord *instance,
		    struct fleet_unit *unit, struct sl_err *err)
{
	struct fleet_standing standing = {.instance = instance,
					  .liveness = SLUICE__V1__LIVENESS__LIVENESS_NEVER,
					  .position = v->fleet->position};
	sl_code code = SL_OK;
	empty(&standing);
	if (unit != NULL) {
		standing.liveness = fleet_unit_liveness(v->fleet, unit, v->view);
		standing.sequence = unit->sequence;
		standing.sent = unit->sent_sequence;
		standing.refused = fleet_unit_refused(unit);
	}
	if (unit != NULL && unit->statuses_loaded) {
		from_memory(v, unit, &standing);
	} else if (unit == NULL || unit->pulse.ever) {
		code = from_store(v, instance->id, &standing, err);
	}
	if (code == SL_OK) {
		v->visitor->visit(v->visitor->ctx, &standing);
	}
	return code;
}

/* A record as it is stored, unpacked only if memory does not have the same. */
static sl_code tell_value(struct visit *v, const char *id, struct sl_bytes value,
			  struct sl_err *err)
{
	struct fleet_unit *unit = fleet_unit_find(v->fleet, id);
	const Sluice__Store__V1__InstanceRecord *instance = NULL;
	if (unit != NULL && sl_bytes_equal(SL_BYTES(unit->value, unit->value_size), value)) {
		instance = unit->record;
	} else {
		Sluice__Store__V1__InstanceRecord *record = NULL;
		sl_code code =
		    record_unpack(&v->arena, value, &sluice__store__v1__instance_record__descriptor,
				  &record, err);
		if (code != SL_OK) {
			return code;
		}
		instance = record;
	}
	sl_code code = tell(v, instance, unit, err);
	sl_arena_fini(&v->arena);
	return code;
}

/* Of a walk over an app's instances. */
static sl_code tell_placed(struct visit *v, const struct placed *placed, struct sl_err *err)
{
	struct fleet_unit *unit = fleet_unit_find(v->fleet, placed->id);
	Sluice__Store__V1__InstanceRecord *instance = NULL;
	sl_code code = SL_OK;
	if (unit != NULL && unit->record->revision == placed->revision) {
		instance = unit->record;
	} else {
		code = instance_get(v->view, &v->arena, v->workspace, placed->id, &instance, err);
	}
	if (code == SL_NOT_FOUND) {
		return sl_err_set(err, SL_DATA_LOSS, "instance '%s' has labels, but no record",
				  placed->id);
	}
	code = code != SL_OK ? code : tell(v, instance, unit, err);
	sl_arena_fini(&v->arena);
	return code;
}

sl_code fleet_visit(struct fleet *fleet, const struct store_view *view, uint32_t workspace,
		    const Sluice__Store__V1__AppRecord *app, uint32_t environment,
		    const struct fleet_visitor *visitor, struct sl_err *err)
{
	struct visit v = {.fleet = fleet,
			  .view = view,
			  .workspace = workspace,
			  .app_id = app->id,
			  .visitor = visitor};
	SL_AUTO(placed_end) struct placed placed;
	sl_arena_init(&v.arena, 0);
	placed_begin(&placed, view, workspace, app, environment);
	pthread_mutex_lock(&fleet->lock);
	sl_code code = SL_OK;
	while (code == SL_OK && placed_next(&placed)) {
		code = tell_placed(&v, &placed, err);
	}
	pthread_mutex_unlock(&fleet->lock);
	sl_arena_fini(&v.arena);
	return code != SL_OK ? code : placed_result(&placed, err);
}

sl_code fleet_visit_one(struct fleet *fleet, const struct store_view *view, uint32_t workspace,
			const char *app_id, const char *instance_id,
			const struct fleet_visitor *visitor, struct sl_err *err)
{
	struct visit v = {.fleet = fleet,
			  .view = view,
			  .workspace = workspace,
			  .app_id = app_id,
			  .visitor = visitor};
	struct record_key key = KEY(workspace, key_text(k, instance_id));
	struct sl_bytes value;
	sl_code code = store_get(view, TABLE_INSTANCES, key_bytes(&key), &value, err);
	if (code != SL_OK) {
		return code == SL_NOT_FOUND ? SL_OK : code; /* removed: nobody to visit */
	}
	sl_arena_init(&v.arena, 0);
	pthread_mutex_lock(&fleet->lock);
	code = tell_value(&v, instance_id, value, err);
	pthread_mutex_unlock(&fleet->lock);
	return code;
}

/* --- reach ------------------------------------------------------------------------------ */

struct reach {
	struct fleet_reach *reach;
	struct sl_arena *arena;
	const char *version_id, *slug;
	size_t room;
};

static void add_url(struct reach *r, const char *public_url)
{
	struct fleet_reach *reach = r->reach;
	if (reach->share_url_count == r->room) {
		size_t room = r->room == 0 ? 16 : r->room * 2;
		char **urls = SL_ARENA_ARRAY(r->arena, char *, room);
		if (urls == NULL) {
			return;
		}
		if (r->room > 0) {
			memcpy(urls, reach->share_urls, r->room * sizeof(*urls));
		}
		reach->share_urls = urls;
		r->room = room;
	}
	reach->share_urls[reach->share_url_count++] =
	    sl_arena_printf(r->arena, "%s/%s", public_url, r->slug);
}

static void count_reach(void *ctx, const struct fleet_standing *standing)
{
	struct reach *r = ctx;
	struct fleet_reach *reach = r->reach;
	enum fleet_verdict verdict = fleet_judge(standing, r->version_id);
	reach->instances++;
	reach->staged += fleet_is_staged(standing, r->version_id) ? 1 : 0;
	reach->ready += verdict == FLEET_OK ? 1 : 0;
	reach->unreachable += verdict == FLEET_UNREACHABLE ? 1 : 0;
	reach->not_ready += verdict == FLEET_PENDING || verdict == FLEET_FAILED ? 1 : 0;
	if (standing->instance->public_url[0] != '\0') {
		add_url(r, standing->instance->public_url);
	}
}

sl_code fleet_reach(struct fleet *fleet, const struct wire *in,
		    const Sluice__Store__V1__AppRecord *app, uint32_t environment,
		    const char *version_id, struct fleet_reach *ret_reach, struct sl_err *err)
{
	struct fleet_reach reach = {.instances = 0};
	struct reach r = {.reach = &reach,
			  .arena = in->arena,
			  .version_id = or_empty(version_id),
			  .slug = app->slug};
	const struct fleet_visitor visitor = {.visit = count_reach, .ctx = &r};
	sl_code code = fleet_visit(fleet, in->view, in->workspace, app, environment, &visitor, err);
	if (code == SL_OK) {
		*ret_reach = reach;
	}
	return code;
}

/* --- agents and stats ----------------------------------------------------------------------- */

static void view_unit(struct fleet *fleet, struct sl_arena *arena, struct fleet_unit *unit,
		      Sluice__V1__AgentView *agent)
{
	agent->liveness = fleet_unit_liveness(fleet, unit, NULL);
	if (unit->seen_unix_ms != 0) {
		agent->last_seen_at = SL_ARENA_NEW(arena, Google__Protobuf__Timestamp);
		if (agent->last_seen_at != NULL) {
			google__protobuf__timestamp__init(agent->last_seen_at);
			agent->last_seen_at->seconds = (int64_t)(unit->seen_unix_ms / 1000);
			agent->last_seen_at->nanos = (int32_t)(unit->seen_unix_ms % 1000) * 1000000;
		}
	}
	agent->agent_version = sl_arena_strdup(arena, unit->agent_version);
	agent->peer = sl_arena_strdup(arena, unit->peer);
	agent->sequence = unit->sequence;
	agent->last_error = sl_arena_strdup(arena, unit->last_error);
	agent->error_class = (Sluice__V1__ErrorClass)unit->error_class;
	agent->refusals = unit->refusals;
	agent->key_epoch = unit->key_epoch;
}

Sluice__V1__AgentView *fleet_agent_view(struct fleet *fleet, struct sl_arena *arena,
					const char *instance_id)
{
	Sluice__V1__AgentView *agent = SL_ARENA_NEW(arena, Sluice__V1__AgentView);
	if (agent == NULL) {
		return NULL;
	}
	sluice__v1__agent_view__init(agent);
	agent->liveness = SLUICE__V1__LIVENESS__LIVENESS_NEVER;
	/* An agent of an earlier life of the server has left statuses: the view knows. */
	const struct store_view *view = NULL;
	if (store_view_begin(fleet->options.store, &view, NULL) != SL_OK) {
		view = NULL;
	}
	pthread_mutex_lock(&fleet->lock);
	struct fleet_unit *unit = fleet_unit_find(fleet, instance_id);
	if (unit != NULL) {
		(void)fleet_unit_liveness(fleet, unit, view);
		view_unit(fleet, arena, unit, agent);
	}
	pthread_mutex_unlock(&fleet->lock);
	store_view_end(view);
	return agent;
}

static void count_unit(struct fleet *fleet, struct fleet_unit *unit, struct fleet_stats *stats)
{
	if (unit->record->environment <= ENV_COUNT) {
		stats->agents[unit->record->environment][fleet_unit_liveness(fleet, unit, NULL)]++;
	}
	for (size_t i = 0; i < unit->status_count; i++) {
		if (!unit->statuses[i].gone) {
			const Sluice__V1__Drift *drift = unit->statuses[i].drift;
			stats->phases[unit->statuses[i].phase % FLEET_PHASE_COUNT]++;
			stats->modified += drift != NULL && drift->modified > 0 ? 1 : 0;
		}
	}
}

void fleet_stats_read(struct fleet *fleet, struct fleet_stats *ret_stats)
{
	*ret_stats = (struct fleet_stats){.waiters = atomic_load(&fleet->wait_count)};
	pthread_mutex_lock(&fleet->lock);
	ret_stats->streams = fleet->stream_count;
	ret_stats->manifests_sent = fleet->manifests_sent;
	ret_stats->reports = fleet->reports;
	ret_stats->refusals = fleet->refusals;
	ret_stats->corrected = fleet->corrected;
	ret_stats->key_epoch = fleet->key.epoch;
	fleet_concerns_count(fleet, ret_stats->concerns);
	fleet_turns_count(fleet, &ret_stats->fetching, &ret_stats->fetch_waiting);
	for (size_t i = 0; i < FLEET_UNIT_BUCKETS; i++) {
		struct fleet_unit *unit = NULL;
		SLIST_FOREACH(unit, &fleet->units[i], link)
		{
			count_unit(fleet, unit, ret_stats);
		}
	}
	pthread_mutex_unlock(&fleet->lock);
}
