/* The fleet as a whole: building, stopping, and what is committed on its way to sessions. */
#include "server/fleet/fleet.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock/clock.h"
#include "base/log/log.h"
#include "base/mem/own.h"
#include "server/fleet/fleet_internal.h"

uint64_t fleet_mono_ms(const struct fleet *fleet)
{
	return fleet->options.mono_ms();
}

uint64_t fleet_unix_ms(const struct fleet *fleet)
{
	return fleet->options.unix_ms();
}

/* --- building and stopping ------------------------------------------------------------- */

SL_DEFINE_AUTO(struct fleet *, fleet_free);

sl_code fleet_new(const struct fleet_options *options, struct fleet **ret_fleet, struct sl_err *err)
{
	SL_AUTO(fleet_free_auto) struct fleet *fleet = calloc(1, sizeof(*fleet));
	if (fleet == NULL) {
		return sl_err_no_memory(err);
	}
	fleet->options = *options;
	fleet->options.mono_ms = options->mono_ms == NULL ? sl_clock_mono_ms : options->mono_ms;
	fleet->options.unix_ms = options->unix_ms == NULL ? sl_clock_unix_ms : options->unix_ms;
	fleet->options.status_every_ms =
	    options->status_every_ms == 0 ? 100 : options->status_every_ms;
	fleet_keys_init(fleet);
	pthread_mutex_init(&fleet->lock, NULL);
	pthread_mutex_init(&fleet->wait_lock, NULL);
	STAILQ_INIT(&fleet->touched);
	STAILQ_INIT(&fleet->dirty);
	TAILQ_INIT(&fleet->sessions);
	TAILQ_INIT(&fleet->due);
	TAILQ_INIT(&fleet->hosts);
	STAILQ_INIT(&fleet->source_tests);
	const struct store_view *view = NULL;
	sl_code code = store_view_begin(options->store, &view, err);
	if (code != SL_OK) {
		return code;
	}
	fleet->position = store_view_revision(view);
	fleet->recovering = store_view_is_recovering(view);
	code = fleet_units_load(fleet, view, err);
	store_view_end(view);
	if (code == SL_OK) {
		*ret_fleet = SL_TAKE(fleet);
	}
	return code;
}

void fleet_stop(struct fleet *fleet)
{
	if (fleet == NULL) {
		return;
	}
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	sl_code code = sl_err_because(&err, SL_UNAVAILABLE, SL_REASON_STOPPING,
				      "the server is stopping: dial again");
	struct fleet_session *session = NULL;
	pthread_mutex_lock(&fleet->lock);
	fleet->stopped = true;
	TAILQ_FOREACH(session, &fleet->sessions, link)
	{
		fleet_session_end(session, code, &err);
	}
	pthread_mutex_unlock(&fleet->lock);
	fleet_waits_stop(fleet);
	fleet_source_tests_stop(fleet);
}

void fleet_free(struct fleet *fleet)
{
	if (fleet == NULL) {
		return;
	}
	fleet_units_free(fleet);
	fleet_apps_free(fleet);
	free(fleet->touched_units);
	free(fleet->touched_workspaces);
	pthread_mutex_destroy(&fleet->lock);
	pthread_mutex_destroy(&fleet->wait_lock);
	free(fleet);
}

/* --- what was committed: watch's thread -------------------------------------------------- */

static void touch_unit(struct fleet *fleet, uint32_t workspace, const char *id)
{
	size_t count = fleet->touched_unit_count;
	if (strlen(id) >= FLEET_ID_ROOM) {
		return;
	}
	if (count == fleet->touched_unit_room) {
		size_t room = count == 0 ? 16 : count * 2;
		void *ids = realloc(fleet->touched_units, room * sizeof(*fleet->touched_units));
		fleet->touched_units = ids != NULL ? ids : fleet->touched_units;
		void *workspaces =
		    realloc(fleet->touched_workspaces, room * sizeof(*fleet->touched_workspaces));
		fleet->touched_workspaces =
		    workspaces != NULL ? workspaces : fleet->touched_workspaces;
		if (ids == NULL || workspaces == NULL) {
			log_error(
			    "fleet-out-of-memory",
			    "instance=%s meaning=\"its manifest is late until it dials again\"",
			    id);
			return;
		}
		fleet->touched_unit_room = room;
	}
	memcpy(fleet->touched_units[count], id, strlen(id) + 1);
	fleet->touched_workspaces[count] = workspace;
	fleet->touched_unit_count++;
}

static void on_config(struct fleet *fleet, uint32_t workspace, const Sluice__V1__Event *event)
{
	if (event->object_case == SLUICE__V1__EVENT__OBJECT_SOURCE) {
		fleet_apps_touch_config(fleet, workspace, event->environment, true,
					event->source->name);
	}
	if (event->object_case == SLUICE__V1__EVENT__OBJECT_CONFIG) {
		fleet_apps_touch_config(fleet, workspace, event->environment, false,
					event->config->name);
	}
}

static void on_event(struct fleet *fleet, uint32_t workspace, const Sluice__V1__Event *event)
{
	switch (event->kind) {
	case SLUICE__V1__EVENT_KIND__EVENT_KIND_STATUS:
	case SLUICE__V1__EVENT_KIND__EVENT_KIND_NOTE:
		return;
	case SLUICE__V1__EVENT_KIND__EVENT_KIND_INSTANCE:
		touch_unit(fleet, workspace, event->instance_id);
		return;
	case SLUICE__V1__EVENT_KIND__EVENT_KIND_REPOSITORY:
		if (event->object_case == SLUICE__V1__EVENT__OBJECT_REPOSITORY) {
			fleet_apps_touch_repository(fleet, workspace, event->repository->id);
		}
		return;
	case SLUICE__V1__EVENT_KIND__EVENT_KIND_CONFIG:
	case SLUICE__V1__EVENT_KIND__EVENT_KIND_SOURCE:
		on_config(fleet, workspace, event);
		return;
	default:
		break;
	}
	if (event->app_id[0] == '\0') {
		return;
	}
	fleet_touch(fleet, event->app_id);
	if (fleet->apps_loaded && fleet_app_touch(fleet, workspace, event->app_id) == NULL) {
		log_error("fleet-out-of-memory",
			  "app=%s meaning=\"its manifests are late until it changes again\"",
			  event->app_id);
	}
}

void fleet_on_record(struct fleet *fleet, const struct store_view *view,
		     const Sluice__Store__V1__LogRecord *record)
{
	(void)view;
	pthread_mutex_lock(&fleet->lock);
	fleet->seen = record->revision;
	for (size_t i = 0; !fleet->stopped && i < record->n_events; i++) {
		on_event(fleet, record->workspace, record->events[i]);
	}
	pthread_mutex_unlock(&fleet->lock);
}

/* One touched app: reads it anew and has every session follow. */
static void follow_app(struct fleet *fleet, const struct store_view *view, struct fleet_app *app)
{
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	struct fleet_session *session = NULL;
	if (fleet_app_read(fleet, view, app, &err) != SL_OK) {
		log_error("manifest-failed", "app=%s error=%s", app->id, SL_QUOTE(err.msg));
		return;
	}
	TAILQ_FOREACH(session, &fleet->sessions, link)
	{
		if (session->unit != NULL && session->unit->workspace == app->workspace) {
			fleet_session_place(fleet, session, app);
		}
	}
}

static void follow_apps(struct fleet *fleet, const struct store_view *view)
{
	bool old = !fleet->apps_loaded || store_view_revision(view) < fleet->loaded;
	while (!STAILQ_EMPTY(&fleet->touched)) {
		struct fleet_app *app = STAILQ_FIRST(&fleet->touched);
		STAILQ_REMOVE_HEAD(&fleet->touched, touched_link);
		app->touched = false;
		if (!old && !fleet->stopped) {
			follow_app(fleet, view, app);
		}
		pthread_mutex_unlock(
		    &fleet->lock); /* a thousand apps on ten thousand sessions take a while */
		pthread_mutex_lock(&fleet->lock);
	}
}

static void follow_unit(struct fleet *fleet, const struct store_view *view, uint32_t workspace,
			const char *id)
{
	struct record_key key = KEY(workspace, key_text(k, id));
	struct sl_bytes value;
	sl_code code = store_get(view, TABLE_INSTANCES, key_bytes(&key), &value, NULL);
	struct fleet_unit *unit = fleet_unit_find(fleet, id);
	if (code == SL_OK) {
		unit = fleet_unit_put(fleet, workspace, id, value);
		if (unit != NULL && unit->session != NULL) {
			fleet_session_place_all(fleet, unit->session);
		}
		return;
	}
	if (code == SL_NOT_FOUND && unit != NULL) {
		if (unit->session != NULL) {
			fleet_session_removed(fleet, unit->session);
		}
		fleet_unit_free(fleet, unit);
	}
}

/* The recovery is over: everybody is told what to run, which nobody was so far. */
static void follow_recovery(struct fleet *fleet, const struct store_view *view)
{
	struct fleet_session *session = NULL;
	if (!fleet->recovering || store_view_is_recovering(view)) {
		return;
	}
	log_info("recovery-ended", "agents=%u", fleet->stream_count);
	fleet->recovering = false;
	TAILQ_FOREACH(session, &fleet->sessions, link)
	{
		session->pending = true;
	}
}

void fleet_on_batch(struct fleet *fleet, const struct store_view *view)
{
	struct fleet_session *session = NULL;
	pthread_mutex_lock(&fleet->lock);
	if (!fleet->stopped) {
		follow_apps(fleet, view);
		for (size_t i = 0; i < fleet->touched_unit_count; i++) {
			follow_unit(fleet, view, fleet->touched_workspaces[i],
				    fleet->touched_units[i]);
		}
		fleet->position = fleet->seen > fleet->position ? fleet->seen : fleet->position;
		follow_recovery(fleet, view);
		TAILQ_FOREACH(session, &fleet->sessions, link)
		{
			if (session->pending && session->unit != NULL) {
				fleet_session_touch(fleet, session);
			}
		}
	}
	fleet->touched_unit_count = 0;
	pthread_mutex_unlock(&fleet->lock);
	fleet_sessions_send(fleet);
}

/* --- the queue thread's clock ---------------------------------------------------------------- */

void fleet_tick(struct fleet *fleet)
{
	fleet_keys_tick(fleet);
	fleet_sessions_tick(fleet);
	fleet_sessions_send(fleet);
	fleet_flush(fleet);
	fleet_waits_tick(fleet);
	fleet_source_tests_tick(fleet);
}
