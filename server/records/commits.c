/* commits: owed by the commands that change what is written on a branch. */
#include "server/records/commits.h"

#include <string.h>

#include "base/mem/own.h"
#include "server/records/apps.h"
#include "server/records/pushes.h"
#include "server/records/versions.h"
#include "server/records/versions_internal.h"

#define COMMIT_KIND SLUICE__STORE__V1__OWED_KIND__OWED_KIND_COMMIT

struct record_key owed_commit_key(uint32_t workspace, const char *repository_id, uint64_t revision)
{
	return KEY(workspace, key_u32(k, COMMIT_KIND), key_text(k, repository_id),
		   key_u64(k, revision));
}

struct record_key owed_key_of(uint32_t workspace, const Sluice__Store__V1__OwedRecord *owed)
{
	return owed->kind == COMMIT_KIND
		   ? owed_commit_key(workspace, owed->repository_id, owed->revision)
		   : owed_key(workspace, owed->kind, owed->app_id, owed->version);
}

sl_code branch_get(const struct store_view *view, struct sl_arena *arena, uint32_t workspace,
		   const char *repository_id, Sluice__Store__V1__BranchRecord **ret_branch,
		   struct sl_err *err)
{
	struct record_key key = KEY(workspace, key_text(k, repository_id));
	return record_get(view, arena, TABLE_BRANCHES, &key,
			  &sluice__store__v1__branch_record__descriptor, ret_branch, err);
}

/* --- rows ---------------------------------------------------------------------------- */

/* Called with each commit that is owed to the repository, oldest first. */
typedef sl_code owed_fn(struct decision *d, Sluice__Store__V1__OwedRecord *owed, void *ctx,
			struct sl_err *err);

static sl_code each_owed(struct decision *d, const char *repository_id, owed_fn *fn, void *ctx,
			 struct sl_err *err)
{
	struct record_key prefix =
	    KEY(d->workspace, key_u32(k, COMMIT_KIND), key_text(k, repository_id));
	SL_AUTO(store_walk_end) struct store_walk walk;
	store_walk_begin(&walk, d->view, TABLE_OWED, key_bytes(&prefix), STORE_FORWARD);
	while (store_walk_next(&walk)) {
		Sluice__Store__V1__OwedRecord *owed = NULL;
		sl_code code = record_unpack(
		    d->arena, walk.value, &sluice__store__v1__owed_record__descriptor, &owed, err);
		code = code != SL_OK ? code : fn(d, owed, ctx, err);
		if (code != SL_OK) {
			return code;
		}
	}
	return store_walk_result(&walk, err);
}

static bool moves(const Sluice__Store__V1__OwedRecord *owed)
{
	return owed->commit != NULL && owed->commit->move_to[0] != '\0';
}

struct path_search {
	const char *app_id, *path, *found;
};

static sl_code note_move(struct decision *d, Sluice__Store__V1__OwedRecord *owed, void *ctx,
			 struct sl_err *err)
{
	struct path_search *search = ctx;
	(void)d, (void)err;
	if (moves(owed) && strcmp(owed->app_id, search->app_id) == 0) {
		search->found = owed->commit->move_to;
	}
	return SL_OK;
}

static sl_code note_wanted(struct decision *d, Sluice__Store__V1__OwedRecord *owed, void *ctx,
			   struct sl_err *err)
{
	struct path_search *search = ctx;
	(void)d, (void)err;
	if (moves(owed) && strcmp(owed->app_id, search->app_id) != 0 &&
	    strcmp(owed->commit->move_to, search->path) == 0) {
		search->found = owed->commit->app_name;
	}
	return SL_OK;
}

sl_code commits_path_wanted(struct decision *d, const char *repository_id, const char *path,
			    const char *app_id, const char **ret_app, struct sl_err *err)
{
	struct path_search search = {.app_id = app_id, .path = path};
	sl_code code = each_owed(d, repository_id, note_wanted, &search, err);
	*ret_app = search.found;
	return code;
}

sl_code commits_find_move(struct decision *d, const Sluice__Store__V1__AppRecord *app,
			  bool *ret_moves, struct sl_err *err)
{
	struct path_search search = {.app_id = app->id};
	sl_code code = each_owed(d, app->repository_id, note_move, &search, err);
	*ret_moves = search.found != NULL;
	return code;
}

struct operation_search {
	const char *operation;
	Sluice__Store__V1__OwedRecord *found;
};

static sl_code note_operation(struct decision *d, Sluice__Store__V1__OwedRecord *owed, void *ctx,
			      struct sl_err *err)
{
	struct operation_search *search = ctx;
	(void)d, (void)err;
	if (owed->commit != NULL && strcmp(owed->commit->id, search->operation) == 0) {
		search->found = owed;
	}
	return SL_OK;
}

sl_code commits_find(struct decision *d, const char *repository_id, const char *operation,
		     Sluice__Store__V1__OwedRecord **ret_owed, struct sl_err *err)
{
	struct operation_search search = {.operation = operation};
	sl_code code = each_owed(d, repository_id, note_operation, &search, err);
	*ret_owed = search.found;
	return code == SL_OK && search.found == NULL ? SL_NOT_FOUND : code;
}

/* --- owing ------------------------------------------------------------------------------ */

static bool wants_commits(const Sluice__Store__V1__RepositoryRecord *repository,
			  const Sluice__Store__V1__AppRecord *app)
{
	return repository->commits >= SLUICE__V1__COMMIT_MODE__COMMIT_MODE_AUTOMATIC &&
	       repository->commits != SLUICE__V1__COMMIT_MODE__COMMIT_MODE_NONE &&
	       strcmp(app->path, ".") != 0;
}

/* What one commit says. */
struct words {
	const char *message, *newest, *move_to;
	const struct commit_push *push;                  /* NULL: it is none */
	const Sluice__Store__V1__VersionRecord *version; /* that is pushed */
};

static void fill_push(const struct words *words, Sluice__Store__V1__OwedRecord *owed)
{
	owed->version = words->version->number;
	owed->generation = words->version->content->generation;
	if (words->push->instance_id != NULL) {
		owed->commit->instance_id = (char *)words->push->instance_id;
		owed->commit->expires_ms = words->push->expires_ms;
		owed->next_ms = words->push->expires_ms + PUSH_GRACE_MS;
	} else {
		owed->commit->upload = (char *)words->push->upload;
	}
	owed->commit->made_from = words->version->content->made_from;
	owed->commit->onto = words->push->onto;
}

static sl_code owe(struct decision *d, const Sluice__Store__V1__AppRecord *app,
		   const struct words *words, struct sl_err *err)
{
	Sluice__Store__V1__OwedRecord owed = SLUICE__STORE__V1__OWED_RECORD__INIT;
	Sluice__Store__V1__OwedCommit commit = SLUICE__STORE__V1__OWED_COMMIT__INIT;
	commit.id = decision_id(d, "opr");
	if (words->message == NULL || commit.id == NULL) {
		return records_out_of_memory(err);
	}
	commit.message = (char *)words->message;
	commit.author = (char *)d->principal;
	commit.at_ms = d->now_ms;
	commit.app_name = app->name;
	commit.newest_version = (char *)words->newest;
	commit.move_to = (char *)words->move_to;
	owed.kind = COMMIT_KIND;
	owed.app_id = app->id;
	owed.repository_id = app->repository_id;
	owed.revision = d->revision;
	owed.commit = &commit;
	if (words->push != NULL) {
		fill_push(words, &owed);
	}
	struct record_key key = owed_key_of(d->workspace, &owed);
	decision_put(d, TABLE_OWED, &key, &owed.base);
	return SL_OK;
}

/* False in *ret_wanted: this app's repository wants no commits. */
static sl_code look_up(struct decision *d, const Sluice__Store__V1__AppRecord *app,
		       Sluice__Store__V1__RepositoryRecord **ret_repository, bool *ret_wanted,
		       struct sl_err *err)
{
	sl_code code = repository_get(d->view, d->arena, d->workspace, app->repository_id,
				      ret_repository, err);
	*ret_wanted = code == SL_OK && wants_commits(*ret_repository, app);
	return code != SL_NOT_FOUND
		   ? code
		   : sl_err_set(err, SL_DATA_LOSS,
				"app '%s' refers to repository '%s', which is gone", app->name,
				app->repository_id);
}

static sl_code newest_version(struct decision *d, const Sluice__Store__V1__AppRecord *app,
			      Sluice__Store__V1__VersionRecord **ret_version, struct sl_err *err)
{
	struct record_key prefix = KEY(d->workspace, key_text(k, app->id));
	SL_AUTO(store_walk_end) struct store_walk walk;
	store_walk_begin(&walk, d->view, TABLE_VERSIONS, key_bytes(&prefix), STORE_BACKWARD);
	if (store_walk_next(&walk)) {
		return record_unpack(d->arena, walk.value,
				     &sluice__store__v1__version_record__descriptor, ret_version,
				     err);
	}
	sl_code code = store_walk_result(&walk, err);
	return code != SL_OK ? code
			     : sl_err_set(err, SL_DATA_LOSS, "app '%s' has no version", app->name);
}

sl_code commits_owe_created(struct decision *d,
			    const Sluice__Store__V1__RepositoryRecord *repository,
			    const Sluice__Store__V1__AppRecord *app,
			    const Sluice__Store__V1__VersionRecord *version, struct sl_err *err)
{
	const struct words words = {
	    .message = sl_arena_printf(d->arena, "App %s created", app->name),
	    .newest = version->name,
	    .move_to = "",
	};
	return wants_commits(repository, app) ? owe(d, app, &words, err) : SL_OK;
}

/* Where the folder goes; "": it was not called after the app, so it stays. */
static sl_code choose_path(struct decision *d, const Sluice__Store__V1__AppRecord *app,
			   const char *old_name, const char **ret_path, struct sl_err *err)
{
	const char *usual = sl_arena_printf(d->arena, "apps/%s", old_name);
	const char *path = sl_arena_printf(d->arena, "apps/%s", app->name);
	struct path_search search = {.app_id = app->id, .found = app->path};
	if (usual == NULL || path == NULL) {
		return records_out_of_memory(err);
	}
	sl_code code = each_owed(d, app->repository_id, note_move, &search, err);
	*ret_path = strcmp(search.found, usual) == 0 ? path : "";
	return code;
}

sl_code commits_owe_renamed(struct decision *d, const Sluice__Store__V1__AppRecord *app,
			    const char *old_name, struct sl_err *err)
{
	Sluice__Store__V1__RepositoryRecord *repository = NULL;
	Sluice__Store__V1__VersionRecord *newest = NULL;
	bool wanted = false;
	struct words words = {.move_to = ""};
	sl_code code = look_up(d, app, &repository, &wanted, err);
	if (code != SL_OK || !wanted) {
		return code;
	}
	code = newest_version(d, app, &newest, err);
	code = code != SL_OK ? code : choose_path(d, app, old_name, &words.move_to, err);
	if (code == SL_OK && words.move_to[0] != '\0') {
		code = app_path_free(d, repository, words.move_to, app->id, err);
	}
	if (code != SL_OK) {
		return code;
	}
	words.newest = newest->name;
	words.message = sl_arena_printf(d->arena, "Version %s of %s: App %s is renamed to %s",
					newest->name, app->name, old_name, app->name);
	return owe(d, app, &words, err);
}

sl_code commits_owe_version(struct decision *d, const Sluice__Store__V1__AppRecord *app,
			    const Sluice__Store__V1__VersionRecord *version, struct sl_err *err)
{
	Sluice__Store__V1__RepositoryRecord *repository = NULL;
	bool wanted = false;
	sl_code code = look_up(d, app, &repository, &wanted, err);
	const struct words words = {
	    .message =
		sl_arena_printf(d->arena, "Version %s of %s created", version->name, app->name),
	    .newest = version->name,
	    .move_to = "",
	};
	return code != SL_OK || !wanted ? code : owe(d, app, &words, err);
}

sl_code commits_owe_version_renamed(struct decision *d, const Sluice__Store__V1__AppRecord *app,
				    const Sluice__Store__V1__VersionRecord *version,
				    const char *old_name, struct sl_err *err)
{
	Sluice__Store__V1__RepositoryRecord *repository = NULL;
	Sluice__Store__V1__VersionRecord *newest = NULL;
	bool wanted = false;
	sl_code code = look_up(d, app, &repository, &wanted, err);
	if (code != SL_OK || !wanted) {
		return code;
	}
	code = newest_version(d, app, &newest, err);
	if (code != SL_OK) {
		return code;
	}
	const struct words words = {
	    .message = sl_arena_printf(d->arena, "Version %s of %s: Version %s is renamed to %s",
				       version->name, app->name, old_name, version->name),
	    .newest = newest->number == version->number ? version->name : newest->name,
	    .move_to = "",
	};
	return owe(d, app, &words, err);
}

sl_code commits_owe_promoted(struct decision *d, const Sluice__Store__V1__AppRecord *app,
			     const Sluice__Store__V1__VersionRecord *version, uint32_t from,
			     uint32_t to, struct sl_err *err)
{
	Sluice__Store__V1__RepositoryRecord *repository = NULL;
	Sluice__Store__V1__VersionRecord *newest = NULL;
	bool wanted = false;
	if (to != ENV_STAGING) {
		return SL_OK;
	}
	sl_code code = look_up(d, app, &repository, &wanted, err);
	if (code != SL_OK || !wanted ||
	    repository->commits != SLUICE__V1__COMMIT_MODE__COMMIT_MODE_PROMOTIONS) {
		return code;
	}
	code = newest_version(d, app, &newest, err);
	if (code != SL_OK) {
		return code;
	}
	const struct words words = {
	    .message =
		sl_arena_printf(d->arena, "%s Version of %s promoted from %s to %s", version->name,
				app->name, environment_name(from), environment_name(to)),
	    .newest = newest->name,
	    .move_to = "",
	};
	return owe(d, app, &words, err);
}

sl_code commits_owe_push(struct decision *d, const Sluice__Store__V1__AppRecord *app,
			 const Sluice__Store__V1__VersionRecord *version,
			 const struct commit_push *push, struct sl_err *err)
{
	Sluice__Store__V1__RepositoryRecord *repository = NULL;
	Sluice__Store__V1__VersionRecord *newest = NULL;
	bool automatic = false;
	sl_code code = look_up(d, app, &repository, &automatic, err);
	code = code != SL_OK ? code : newest_version(d, app, &newest, err);
	if (code != SL_OK) {
		return code;
	}
	if (repository->publish == SLUICE__V1__PUBLISH_MODE__PUBLISH_MODE_NONE) {
		return sl_err_because(
		    err, SL_FAILED_PRECONDITION, SL_REASON_REPOSITORY_READ_ONLY,
		    "repository '%s' has publish = NONE: nothing is written there",
		    repository->name);
	}
	const struct words words = {
	    .message = sl_arena_printf(d->arena, "Version %s of %s : %s", version->name, app->name,
				       push->message),
	    .newest = newest->name,
	    .move_to = "",
	    .push = push,
	    .version = version,
	};
	return owe(d, app, &words, err);
}

/* --- forgetting ----------------------------------------------------------------------------- */

static sl_code drop_of_app(struct decision *d, Sluice__Store__V1__OwedRecord *owed, void *ctx,
			   struct sl_err *err)
{
	(void)err;
	if (strcmp(owed->app_id, ctx) == 0) {
		struct record_key key = owed_key_of(d->workspace, owed);
		decision_delete(d, TABLE_OWED, &key);
	}
	return SL_OK;
}

static sl_code drop_push(struct decision *d, Sluice__Store__V1__OwedRecord *owed, void *ctx,
			 struct sl_err *err)
{
	const Sluice__Store__V1__VersionRecord *version = ctx;
	if (owed->version != version->number || strcmp(owed->app_id, version->app_id) != 0) {
		return SL_OK;
	}
	const Sluice__Store__V1__OwedCommit *commit = owed->commit;
	bool under_way = commit != NULL && commit->instance_id[0] != '\0' && !commit->answered &&
			 commit->expires_ms > d->now_ms;
	if (under_way) {
		return sl_err_because(err, SL_FAILED_PRECONDITION, SL_REASON_PUSH_UNDER_WAY,
				      "instance %s is about to push this version, for %lu s at "
				      "most: wait for it",
				      commit->instance_id,
				      (unsigned long)(commit->expires_ms - d->now_ms) / 1000);
	}
	struct record_key key = owed_key_of(d->workspace, owed);
	decision_delete(d, TABLE_OWED, &key);
	return SL_OK;
}

sl_code commits_forget_push(struct decision *d, const Sluice__Store__V1__AppRecord *app,
			    uint32_t version, struct sl_err *err)
{
	Sluice__Store__V1__VersionRecord of = {.app_id = app->id, .number = version};
	return each_owed(d, app->repository_id, drop_push, &of, err);
}

sl_code commits_forget_app(struct decision *d, const Sluice__Store__V1__AppRecord *app,
			   struct sl_err *err)
{
	return each_owed(d, app->repository_id, drop_of_app, app->id, err);
}

/* --- refreshing --- */

static sl_code due_now(struct decision *d, Sluice__Store__V1__OwedRecord *owed, void *ctx,
		       struct sl_err *err)
{
	uint32_t *count = ctx;
	(*count)++;
	return owed->parked || owed->next_ms != 0 ? owed_decide_retry(d, owed, err) : SL_OK;
}

sl_code commits_decide_refresh(struct decision *d, const char *repository_id, bool follow,
			       uint32_t *ret_count, struct sl_err *err)
{
	Sluice__Store__V1__BranchRecord *branch = NULL;
	struct record_key key = KEY(d->workspace, key_text(k, repository_id));
	*ret_count = 0;
	if (follow) {
		sl_code code =
		    branch_get(d->view, d->arena, d->workspace, repository_id, &branch, err);
		if (code == SL_OK) {
			decision_delete(d, TABLE_BRANCHES, &key);
		} else if (code != SL_NOT_FOUND) {
			return code;
		}
	}
	return each_owed(d, repository_id, due_now, ret_count, err);
}
