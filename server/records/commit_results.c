/* commits: how they ended, and what becomes of those that are parked. */
#include <string.h>

#include "base/mem/own.h"
#include "server/records/apps.h"
#include "server/records/commits.h"
#include "server/records/repositories.h"
#include "server/records/versions.h"
#include "server/records/versions_internal.h"

/* --- results ------------------------------------------------------------------------- */

/* The app's folder is where the commit has put it. */
static sl_code follow_move(struct decision *d, const Sluice__Store__V1__OwedRecord *owed,
			   struct sl_err *err)
{
	Sluice__Store__V1__AppRecord *app = NULL;
	if (owed->commit->move_to[0] == '\0') {
		return SL_OK;
	}
	sl_code code = app_get(d->view, d->arena, d->workspace, owed->app_id, &app, err);
	if (code != SL_OK) {
		return code == SL_NOT_FOUND ? SL_OK : code;
	}
	struct record_key old = app_path_key(d->workspace, app->repository_id, app->path, app->id);
	decision_delete(d, TABLE_APPS_BY_PATH, &old);
	app->path = owed->commit->move_to;
	struct record_key path = app_path_key(d->workspace, app->repository_id, app->path, app->id);
	decision_put_bytes(d, TABLE_APPS_BY_PATH, &path, SL_BYTES("", 0));
	(void)app_put_in(d, SLUICE__V1__EVENT_TYPE__EVENT_TYPE_UPDATED, app);
	return SL_OK;
}

static void put_branch(struct decision *d, const struct commit_result *result)
{
	Sluice__Store__V1__BranchRecord branch = SLUICE__STORE__V1__BRANCH_RECORD__INIT;
	branch.ref = (char *)result->ref;
	branch.tip = (char *)result->tip;
	branch.at_ms = d->now_ms;
	branch.revision = d->revision;
	struct record_key key = KEY(d->workspace, key_text(k, result->repository_id));
	decision_put(d, TABLE_BRANCHES, &key, &branch.base);
}

static void put_attempt(struct decision *d, Sluice__Store__V1__OwedRecord *owed,
			const struct commit_result *result)
{
	owed->attempts++;
	owed->next_ms = result->transient ? result->next_ms : 0;
	owed->parked = !result->transient;
	if (owed->commit->instance_id[0] == '\0') { /* else what the instance said stays */
		owed->commit->failure = (char *)result->failure;
		owed->commit->text = (char *)result->text;
	}
	struct record_key key = owed_key_of(d->workspace, owed);
	decision_put(d, TABLE_OWED, &key, &owed->base);
}

sl_code commits_decide_result(struct decision *d, const struct commit_result *result,
			      struct sl_err *err)
{
	Sluice__Store__V1__OwedRecord *owed = NULL;
	struct record_key key =
	    owed_commit_key(d->workspace, result->repository_id, result->revision);
	sl_code code = record_get(d->view, d->arena, TABLE_OWED, &key,
				  &sluice__store__v1__owed_record__descriptor, &owed, err);
	if (code != SL_OK || owed->commit == NULL) {
		return code == SL_NOT_FOUND ? SL_OK : code;
	}
	bool push = owed->version != 0;
	if (result->failure[0] == '\0' || (push && !result->transient)) {
		decision_delete(d, TABLE_OWED, &key);
	} else {
		put_attempt(d, owed, result);
	}
	if (result->failure[0] == '\0') {
		put_branch(d, result);
		code = follow_move(d, owed, err);
	}
	return code != SL_OK || !push ? code
				      : versions_decide_content_result(d, result->content, err);
}

/* --- by hand ---------------------------------------------------------------------------- */

static bool is_called(const struct store_view *view, struct sl_arena *arena, uint32_t workspace,
		      const Sluice__Store__V1__OwedRecord *owed, const char *id)
{
	Sluice__Store__V1__VersionRecord *version = NULL;
	if (owed->commit != NULL) {
		return strcmp(owed->commit->id, id) == 0;
	}
	return owed->kind == SLUICE__STORE__V1__OWED_KIND__OWED_KIND_PUBLISH &&
	       version_get(view, arena, workspace, owed->app_id, owed->version, &version, NULL) ==
		   SL_OK &&
	       strcmp(version->id, id) == 0;
}

sl_code owed_find(const struct store_view *view, struct sl_arena *arena, uint32_t workspace,
		  const Sluice__Store__V1__RepositoryRecord *repository, const char *id,
		  Sluice__Store__V1__OwedRecord **ret_owed, struct sl_err *err)
{
	struct record_key prefix = key_of(workspace);
	SL_AUTO(store_walk_end) struct store_walk walk;
	store_walk_begin(&walk, view, TABLE_OWED, key_bytes(&prefix), STORE_FORWARD);
	while (store_walk_next(&walk)) {
		Sluice__Store__V1__OwedRecord *owed = NULL;
		sl_code code = record_unpack(
		    arena, walk.value, &sluice__store__v1__owed_record__descriptor, &owed, err);
		if (code != SL_OK) {
			return code;
		}
		if (strcmp(owed->repository_id, repository->id) == 0 &&
		    is_called(view, arena, workspace, owed, id)) {
			*ret_owed = owed;
			return SL_OK;
		}
	}
	sl_code code = store_walk_result(&walk, err);
	return code != SL_OK
		   ? code
		   : sl_err_because(err, SL_NOT_FOUND, SL_REASON_OWED_NOT_FOUND,
				    "repository '%s' is owed no '%.120s'", repository->name, id);
}

sl_code owed_decide_retry(struct decision *d, Sluice__Store__V1__OwedRecord *owed,
			  struct sl_err *err)
{
	if (owed->commit == NULL) {
		return repositories_publish_now(d, owed, err);
	}
	owed->attempts = 0;
	owed->next_ms = 0;
	owed->parked = false;
	struct record_key key = owed_key_of(d->workspace, owed);
	decision_put(d, TABLE_OWED, &key, &owed->base);
	return SL_OK;
}

sl_code owed_decide_drop(struct decision *d, const Sluice__Store__V1__OwedRecord *owed,
			 struct sl_err *err)
{
	if (owed->commit == NULL) {
		return sl_err_because(
		    err, SL_FAILED_PRECONDITION, SL_REASON_OWED_IS_NEEDED,
		    "the tag of a sealed version cannot be dropped: without it no "
		    "instance can have the version; delete the version instead");
	}
	if (owed->version != 0) {
		return sl_err_because(err, SL_FAILED_PRECONDITION, SL_REASON_OWED_IS_NEEDED,
				      "a push cannot be dropped, since a version waits for it: "
				      "set that version's content instead");
	}
	d->object.app_id = owed->app_id;
	struct record_key key = owed_key_of(d->workspace, owed);
	decision_delete(d, TABLE_OWED, &key);
	return SL_OK;
}
