#include "server/records/apps.h"

#include <string.h>

#include "base/crypto/crypto.h"
#include "base/mem/own.h"
#include "server/records/commits.h"
#include "server/records/repositories.h"
#include "server/records/versions.h"
#include "server/records/versions_internal.h"
#include "server/records/wire.h"

enum { PATH_IN_KEY = 400, ID_BYTES = 25 /* with NUL */ };

/* workspace, repository id, path; what all apps of one path share. */
static struct record_key path_prefix(uint32_t workspace, const char *repository_id,
				     const char *path)
{
	char hash_text[1 + 2 * SL_HASH_BYTES + 1] = "#";
	if (strlen(path) > PATH_IN_KEY) {
		uint8_t hash[SL_HASH_BYTES];
		sl_hash(hash, path, strlen(path), NULL, 0);
		(void)sl_hex(hash_text + 1, hash, sizeof(hash));
		path = hash_text;
	}
	return KEY(workspace, key_text(k, repository_id), key_text(k, path));
}

struct record_key app_path_key(uint32_t workspace, const char *repository_id, const char *path,
			       const char *app_id)
{
	struct record_key key = path_prefix(workspace, repository_id, path);
	key_text(&key, app_id);
	return key;
}

const char *app_path_key_app_id(struct sl_bytes key)
{
	return key.size > ID_BYTES && key.data[key.size - 1] == '\0'
		   ? (const char *)key.data + key.size - ID_BYTES
		   : "";
}

Sluice__V1__App *app_put_in(struct decision *d, Sluice__V1__EventType type,
			    Sluice__Store__V1__AppRecord *app)
{
	app->revision = d->revision;
	struct record_key key = KEY(d->workspace, key_text(k, app->id));
	decision_put(d, TABLE_APPS, &key, &app->base);
	struct wire wire = wire_of(d);
	Sluice__V1__Event *event =
	    decision_event(d, type, SLUICE__V1__EVENT_KIND__EVENT_KIND_APP, app->id, 0, "");
	event->object_case = SLUICE__V1__EVENT__OBJECT_APP;
	event->app = wire_app(&wire, app, UINT32_MAX);
	return event->app;
}

/* --- names and paths ---------------------------------------------------------------------- */

/* Does another app than `own_id` have this name or slug? */
static sl_code check_index(struct decision *d, enum record_table table, const char *what,
			   const char *name, const char *own_id, struct sl_err *err)
{
	struct sl_bytes id;
	struct record_key key = KEY(d->workspace, key_text(k, name));
	sl_code code = store_get(d->view, table, key_bytes(&key), &id, err);
	if (code == SL_NOT_FOUND || (code == SL_OK && sl_bytes_equal(id, sl_bytes_text(own_id)))) {
		return SL_OK;
	}
	if (code != SL_OK) {
		return code;
	}
	return sl_err_because(
	    err, SL_ALREADY_EXISTS, SL_REASON_NAME_TAKEN,
	    "'%s' is the %s of another app: names and slugs are unique in a workspace", name, what);
}

static sl_code name_free(struct decision *d, const char *name, const char *own_id,
			 struct sl_err *err)
{
	sl_code code = check_index(d, TABLE_APPS_BY_NAME, "name", name, own_id, err);
	return code != SL_OK ? code : check_index(d, TABLE_APPS_BY_SLUG, "slug", name, own_id, err);
}

static sl_code path_taken(const Sluice__Store__V1__RepositoryRecord *repository, const char *path,
			  const char *app, struct sl_err *err)
{
	return sl_err_because(
	    err, SL_ALREADY_EXISTS, SL_REASON_PATH_TAKEN,
	    "app '%s' has path '%.120s' of repository '%s': one app per repository and path", app,
	    path, repository->name);
}

sl_code app_at_path(const struct store_view *view, struct sl_arena *arena, uint32_t workspace,
		    const char *repository_id, const char *path,
		    Sluice__Store__V1__AppRecord **ret_app, struct sl_err *err)
{
	struct record_key prefix = path_prefix(workspace, repository_id, path);
	SL_AUTO(store_walk_end) struct store_walk walk;
	store_walk_begin(&walk, view, TABLE_APPS_BY_PATH, key_bytes(&prefix), STORE_FORWARD);
	if (!store_walk_next(&walk)) {
		sl_code code = store_walk_result(&walk, err);
		return code != SL_OK ? code : SL_NOT_FOUND;
	}
	const char *id = sl_arena_strdup(arena, app_path_key_app_id(walk.key));
	return id != NULL ? app_get(view, arena, workspace, id, ret_app, err)
			  : records_out_of_memory(err);
}

sl_code app_path_free(struct decision *d, const Sluice__Store__V1__RepositoryRecord *repository,
		      const char *path, const char *own_id, struct sl_err *err)
{
	Sluice__Store__V1__AppRecord *owner = NULL;
	const char *coming = NULL;
	sl_code code =
	    app_at_path(d->view, d->arena, d->workspace, repository->id, path, &owner, err);
	if (code == SL_OK && strcmp(owner->id, own_id) != 0) {
		return path_taken(repository, path, owner->name, err);
	}
	code = code != SL_OK && code != SL_NOT_FOUND
		   ? code
		   : commits_path_wanted(d, repository->id, path, own_id, &coming, err);
	return code != SL_OK || coming == NULL ? code : path_taken(repository, path, coming, err);
}

/* --- create --------------------------------------------------------------------------------- */

static char *path_of(struct decision *d, const struct app_new *new_app)
{
	return new_app->path[0] != '\0' ? (char *)new_app->path
					: sl_arena_printf(d->arena, "apps/%s", new_app->name);
}

static sl_code find_repository(struct decision *d, const struct app_new *new_app,
			       Sluice__Store__V1__RepositoryRecord **ret_repository,
			       struct sl_err *err)
{
	return new_app->repository[0] != '\0'
		   ? repository_find(d->view, d->arena, d->workspace, new_app->repository,
				     ret_repository, err)
		   : repository_find_or_make_in(d, new_app->repository_url, ret_repository, err);
}

sl_code apps_check_new(struct decision *d, const struct app_new *new_app,
		       Sluice__Store__V1__RepositoryRecord **ret_repository, struct sl_err *err)
{
	const char *path = path_of(d, new_app);
	sl_code code = path != NULL ? decision_expect_none(d, err) : records_out_of_memory(err);
	code = code != SL_OK ? code : name_free(d, new_app->name, "", err);
	code = code != SL_OK ? code : find_repository(d, new_app, ret_repository, err);
	return code != SL_OK ? code : app_path_free(d, *ret_repository, path, "", err);
}

static sl_code begin_app(struct decision *d, const struct app_new *new_app,
			 struct app_created *created, struct sl_err *err)
{
	Sluice__Store__V1__AppRecord *app = SL_ARENA_NEW(d->arena, Sluice__Store__V1__AppRecord);
	char *id = decision_id(d, "app");
	char *path = path_of(d, new_app);
	if (app == NULL || id == NULL || path == NULL) {
		return records_out_of_memory(err);
	}
	sluice__store__v1__app_record__init(app);
	app->id = id;
	app->name = (char *)new_app->name;
	app->slug = (char *)new_app->name;
	app->display_name = (char *)new_app->display_name;
	app->repository_id = created->repository->id;
	app->path = path;
	app->placement = new_app->placement;
	app->n_placement = new_app->placement_count;
	app->created_ms = d->now_ms;
	app->created_by = (char *)d->principal;
	created->app = app;
	return SL_OK;
}

static void put_indexes(struct decision *d, const Sluice__Store__V1__AppRecord *app)
{
	struct record_key name = KEY(d->workspace, key_text(k, app->name));
	decision_put_bytes(d, TABLE_APPS_BY_NAME, &name, sl_bytes_text(app->id));
	struct record_key slug = KEY(d->workspace, key_text(k, app->slug));
	decision_put_bytes(d, TABLE_APPS_BY_SLUG, &slug, sl_bytes_text(app->id));
	struct record_key path = app_path_key(d->workspace, app->repository_id, app->path, app->id);
	decision_put_bytes(d, TABLE_APPS_BY_PATH, &path, SL_BYTES("", 0));
}

static sl_code first_version(struct decision *d, const struct app_new *new_app,
			     struct app_created *created, struct sl_err *err)
{
	struct version_new version = {
	    .name = new_app->version_name[0] != '\0' ? new_app->version_name : "v1",
	    .description = "",
	    .commit = new_app->commit,
	    .path = created->app->path,
	    .found = new_app->found,
	    .ret_publication = &created->publication,
	};
	return version_create_in(d, created->app, &version, &created->version, err);
}

sl_code apps_decide_create(struct decision *d, const struct app_new *new_app,
			   struct app_created *ret_created, struct sl_err *err)
{
	struct app_created created = {0};
	sl_code code = apps_check_new(d, new_app, &created.repository, err);
	code = code != SL_OK ? code : begin_app(d, new_app, &created, err);
	code = code != SL_OK ? code : first_version(d, new_app, &created, err);
	if (code != SL_OK) {
		return code;
	}
	Sluice__V1__App *told =
	    app_put_in(d, SLUICE__V1__EVENT_TYPE__EVENT_TYPE_CREATED, created.app);
	if (told != NULL) {
		/* The view does not know one that was made just now. */
		told->repository = created.repository->name;
	}
	put_indexes(d, created.app);
	*ret_created = created;
	return new_app->no_commit
		   ? SL_OK
		   : commits_owe_created(d, created.repository, created.app, created.version, err);
}

/* --- rename, update --------------------------------------------------------------------------- */

sl_code apps_decide_rename(struct decision *d, Sluice__Store__V1__AppRecord *app,
			   const char *new_name, struct sl_err *err)
{
	d->object.app_id = app->id;
	sl_code code = decision_expect(d, "app", app->name, app->revision, err);
	if (code != SL_OK || strcmp(app->name, new_name) == 0) {
		return code;
	}
	code = name_free(d, new_name, app->id, err);
	if (code != SL_OK) {
		return code;
	}
	const char *old_name = app->name;
	struct record_key old = KEY(d->workspace, key_text(k, old_name));
	decision_delete(d, TABLE_APPS_BY_NAME, &old);
	app->name = (char *)new_name;
	struct record_key name = KEY(d->workspace, key_text(k, app->name));
	decision_put_bytes(d, TABLE_APPS_BY_NAME, &name, sl_bytes_text(app->id));
	(void)app_put_in(d, SLUICE__V1__EVENT_TYPE__EVENT_TYPE_UPDATED, app);
	return commits_owe_renamed(d, app, old_name, err);
}

static bool same_labels(Sluice__Store__V1__Label *const *a, size_t a_count,
			Sluice__Store__V1__Label *const *b, size_t b_count)
{
	return a_count == b_count && labels_match(a, a_count, b, b_count);
}

sl_code apps_decide_update(struct decision *d, Sluice__Store__V1__AppRecord *app,
			   const char *display_name, Sluice__Store__V1__Label **placement,
			   size_t placement_count, struct sl_err *err)
{
	d->object.app_id = app->id;
	sl_code code = decision_expect(d, "app", app->name, app->revision, err);
	bool same = strcmp(app->display_name, display_name) == 0 &&
		    same_labels(app->placement, app->n_placement, placement, placement_count);
	if (code != SL_OK || same) {
		return code;
	}
	app->display_name = (char *)display_name;
	app->placement = placement;
	app->n_placement = placement_count;
	(void)app_put_in(d, SLUICE__V1__EVENT_TYPE__EVENT_TYPE_UPDATED, app);
	return SL_OK;
}
