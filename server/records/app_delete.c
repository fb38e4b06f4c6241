/* apps: deleted, down to a tombstone. */
#include "base/mem/own.h"
#include "server/records/apps.h"
#include "server/records/commits.h"
#include "server/records/statuses.h"
#include "server/records/version_use.h"
#include "server/records/versions.h"
#include "server/records/wire.h"

/* Every row of a table whose key starts with (workspace, app id). */
static sl_code delete_rows(struct decision *d, enum record_table table, const char *app_id,
			   struct sl_err *err)
{
	struct record_key prefix = KEY(d->workspace, key_text(k, app_id));
	SL_AUTO(store_walk_end) struct store_walk walk;
	store_walk_begin(&walk, d->view, table, key_bytes(&prefix), STORE_FORWARD);
	while (store_walk_next(&walk)) {
		d->changed = true;
		store_changes_delete(d->changes, table, walk.key);
	}
	return store_walk_result(&walk, err);
}

static sl_code delete_versions(struct decision *d, const Sluice__Store__V1__AppRecord *app,
			       struct sl_err *err)
{
	struct record_key prefix = KEY(d->workspace, key_text(k, app->id));
	SL_AUTO(store_walk_end) struct store_walk walk;
	store_walk_begin(&walk, d->view, TABLE_VERSIONS, key_bytes(&prefix), STORE_FORWARD);
	while (store_walk_next(&walk)) {
		Sluice__Store__V1__VersionRecord *version = NULL;
		sl_code code =
		    record_unpack(d->arena, walk.value,
				  &sluice__store__v1__version_record__descriptor, &version, err);
		if (code != SL_OK) {
			return code;
		}
		version_remove_in(d, app, version);
	}
	return store_walk_result(&walk, err);
}

/* What instances last said of the app. */
static sl_code delete_statuses(struct decision *d, const char *app_id, struct sl_err *err)
{
	SL_AUTO(app_statuses_end) struct app_statuses walk;
	app_statuses_begin(&walk, d->view, d->workspace, app_id);
	while (app_statuses_next(&walk)) {
		status_delete(d, walk.instance_id, app_id);
	}
	return app_statuses_result(&walk, err);
}

static sl_code delete_all(struct decision *d, const Sluice__Store__V1__AppRecord *app,
			  struct sl_err *err)
{
	static const enum record_table by_app[] = {TABLE_LEASES, TABLE_OPENED, TABLE_RELEASES,
						   TABLE_RELEASE_STACK, TABLE_ENTRIES};
	sl_code code = delete_versions(d, app, err);
	for (size_t i = 0; code == SL_OK && i < SL_COUNT(by_app); i++) {
		code = delete_rows(d, by_app[i], app->id, err);
	}
	code = code != SL_OK ? code : delete_statuses(d, app->id, err);
	code = code != SL_OK ? code : commits_forget_app(d, app, err);
	if (code != SL_OK) {
		return code;
	}
	struct record_key key = KEY(d->workspace, key_text(k, app->id));
	decision_delete(d, TABLE_APPS, &key);
	struct record_key name = KEY(d->workspace, key_text(k, app->name));
	decision_delete(d, TABLE_APPS_BY_NAME, &name);
	struct record_key slug = KEY(d->workspace, key_text(k, app->slug));
	decision_delete(d, TABLE_APPS_BY_SLUG, &slug);
	struct record_key path = app_path_key(d->workspace, app->repository_id, app->path, app->id);
	decision_delete(d, TABLE_APPS_BY_PATH, &path);
	return SL_OK;
}

sl_code apps_decide_delete(struct decision *d, Sluice__Store__V1__AppRecord *app,
			   struct sl_err *err)
{
	d->object.app_id = app->id;
	sl_code code = decision_expect(d, "app", app->name, app->revision, err);
	code = code != SL_OK ? code : app_unused(d, app, err);
	if (code != SL_OK) {
		return code;
	}
	struct wire wire = wire_of(d);
	Sluice__V1__Event *event =
	    decision_event(d, SLUICE__V1__EVENT_TYPE__EVENT_TYPE_DELETED,
			   SLUICE__V1__EVENT_KIND__EVENT_KIND_APP, app->id, 0, "");
	event->object_case = SLUICE__V1__EVENT__OBJECT_APP;
	event->app = wire_app(&wire, app, 0);
	code = delete_all(d, app, err);
	if (code != SL_OK) {
		return code;
	}
	app->deleted_ms = d->now_ms;
	app->deleted_by = (char *)d->principal;
	app->revision = d->revision;
	struct record_key key = KEY(d->workspace, key_text(k, app->id));
	decision_put(d, TABLE_DELETED_APPS, &key, &app->base);
	return SL_OK;
}
