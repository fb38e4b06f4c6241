#include "server/records/repositories.h"

#include <string.h>

#include "base/mem/own.h"
#include "server/records/apps.h"
#include "server/records/versions.h"
#include "server/records/versions_internal.h"
#include "server/records/wire.h"
#include "server/rules/names.h"

static void add_event(struct decision *d, Sluice__V1__EventType type,
		      const Sluice__Store__V1__RepositoryRecord *repository)
{
	Sluice__V1__Event *event =
	    decision_event(d, type, SLUICE__V1__EVENT_KIND__EVENT_KIND_REPOSITORY, "", 0, "");
	event->object_case = SLUICE__V1__EVENT__OBJECT_REPOSITORY;
	event->repository = wire_repository(d->arena, repository);
}

/* --- create ------------------------------------------------------------------------------ */

/* SL_NOT_FOUND: the name is free. */
static sl_code look_up_name(const struct decision *d, const char *name, struct sl_err *err)
{
	struct sl_bytes id;
	struct record_key key = KEY(d->workspace, key_text(k, name));
	return store_get(d->view, TABLE_REPOSITORIES_BY_NAME, key_bytes(&key), &id, err);
}

static Sluice__V1__CommitMode commits_by_default(Sluice__V1__PublishMode publish)
{
	return publish == SLUICE__V1__PUBLISH_MODE__PUBLISH_MODE_NONE
		   ? SLUICE__V1__COMMIT_MODE__COMMIT_MODE_NONE
		   : SLUICE__V1__COMMIT_MODE__COMMIT_MODE_AUTOMATIC;
}

static sl_code make(struct decision *d, const struct repository_new *new_repository,
		    Sluice__Store__V1__RepositoryRecord **ret_repository, struct sl_err *err)
{
	Sluice__Store__V1__RepositoryRecord *repository =
	    SL_ARENA_NEW(d->arena, Sluice__Store__V1__RepositoryRecord);
	const char *id = decision_id(d, "rep");
	if (repository == NULL || id == NULL) {
		return records_out_of_memory(err);
	}
	sluice__store__v1__repository_record__init(repository);
	repository->id = (char *)id;
	repository->name = (char *)new_repository->name;
	repository->url = (char *)new_repository->url;
	repository->branch = (char *)new_repository->branch;
	repository->publish = new_repository->publish;
	if (repository->publish == SLUICE__V1__PUBLISH_MODE__PUBLISH_MODE_UNSPECIFIED) {
		repository->publish = SLUICE__V1__PUBLISH_MODE__PUBLISH_MODE_TAGS;
	}
	repository->commits = new_repository->commits;
	if (repository->commits == SLUICE__V1__COMMIT_MODE__COMMIT_MODE_UNSPECIFIED) {
		repository->commits = commits_by_default(repository->publish);
	}
	repository->created_ms = d->now_ms;
	repository->created_by = (char *)d->principal;
	repository->revision = d->revision;
	sl_code code = new_repository->complete == NULL
			   ? SL_OK
			   : new_repository->complete(new_repository->ctx, d, repository, err);
	if (code != SL_OK) {
		return code;
	}
	struct record_key key = KEY(d->workspace, key_text(k, id));
	decision_put(d, TABLE_REPOSITORIES, &key, &repository->base);
	struct record_key name = KEY(d->workspace, key_text(k, repository->name));
	decision_put_bytes(d, TABLE_REPOSITORIES_BY_NAME, &name, sl_bytes_text(id));
	add_event(d, SLUICE__V1__EVENT_TYPE__EVENT_TYPE_CREATED, repository);
	*ret_repository = repository;
	return SL_OK;
}

sl_code repositories_decide_create(struct decision *d, const struct repository_new *new_repository,
				   Sluice__Store__V1__RepositoryRecord **ret_repository,
				   struct sl_err *err)
{
	sl_code code = decision_expect_none(d, err);
	if (code != SL_OK) {
		return code;
	}
	code = look_up_name(d, new_repository->name, err);
	if (code == SL_OK) {
		return sl_err_because(err, SL_ALREADY_EXISTS, SL_REASON_NAME_TAKEN,
				      "repository '%s' exists: names are unique in a workspace",
				      new_repository->name);
	}
	return code != SL_NOT_FOUND ? code : make(d, new_repository, ret_repository, err);
}

/* The oldest with this URL; *ret_repository stays NULL when there is none. */
static sl_code find_by_url(struct decision *d, const char *url,
			   Sluice__Store__V1__RepositoryRecord **ret_repository, struct sl_err *err)
{
	struct record_key prefix = key_of(d->workspace);
	SL_AUTO(store_walk_end) struct store_walk walk;
	store_walk_begin(&walk, d->view, TABLE_REPOSITORIES, key_bytes(&prefix), STORE_FORWARD);
	while (store_walk_next(&walk)) {
		Sluice__Store__V1__RepositoryRecord *repository = NULL;
		sl_code code = record_unpack(d->arena, walk.value,
					     &sluice__store__v1__repository_record__descriptor,
					     &repository, err);
		if (code != SL_OK) {
			return code;
		}
		if (strcmp(repository->url, url) == 0 &&
		    (*ret_repository == NULL ||
		     repository->revision < (*ret_repository)->revision)) {
			*ret_repository = repository;
		}
	}
	return store_walk_result(&walk, err);
}

/* The name from the URL, or the first of -2, -3, ... that is free. */
static sl_code free_name(const struct decision *d, const char *url,
			 char name[static NAME_MAX_BYTES + 1], struct sl_err *err)
{
	char base[NAME_MAX_BYTES + 1];
	name_from_url(base, url);
	memcpy(name, base, sizeof(base));
	sl_code code = look_up_name(d, name, err);
	for (unsigned number = 2; code == SL_OK; number++) {
		name_numbered(name, base, number);
		code = look_up_name(d, name, err);
	}
	return code == SL_NOT_FOUND ? SL_OK : code;
}

sl_code repository_find_or_make_in(struct decision *d, const char *url,
				   Sluice__Store__V1__RepositoryRecord **ret_repository,
				   struct sl_err *err)
{
	char name[NAME_MAX_BYTES + 1];
	Sluice__Store__V1__RepositoryRecord *found = NULL;
	sl_code code = find_by_url(d, url, &found, err);
	if (code == SL_OK && found != NULL) {
		*ret_repository = found;
		return SL_OK;
	}
	/* As CreateRepository: it is of no one app. */
	code = code != SL_OK ? code : decision_require(d, ACCESS_EDIT, NULL, ENV_DEVELOPMENT, err);
	code = code != SL_OK ? code : free_name(d, url, name, err);
	if (code != SL_OK) {
		return code;
	}
	struct repository_new new_repository = {
	    .name = sl_arena_strdup(d->arena, name),
	    .url = url,
	    .branch = "",
	    .publish = SLUICE__V1__PUBLISH_MODE__PUBLISH_MODE_TAGS,
	};
	return new_repository.name == NULL ? records_out_of_memory(err)
					   : make(d, &new_repository, ret_repository, err);
}

/* --- refresh ------------------------------------------------------------------------------- */

/* The rows of one kind that are owed to the repository, one by one. */
typedef sl_code owed_fn(struct decision *d, Sluice__Store__V1__OwedRecord *owed,
			struct sl_err *err);

static sl_code each_owed(struct decision *d, const char *repository_id,
			 Sluice__Store__V1__OwedKind kind, owed_fn *fn, uint32_t *ret_count,
			 struct sl_err *err)
{
	struct record_key prefix = KEY(d->workspace, key_u32(k, (uint32_t)kind));
	SL_AUTO(store_walk_end) struct store_walk walk;
	store_walk_begin(&walk, d->view, TABLE_OWED, key_bytes(&prefix), STORE_FORWARD);
	*ret_count = 0;
	while (store_walk_next(&walk)) {
		Sluice__Store__V1__OwedRecord *owed = NULL;
		sl_code code = record_unpack(
		    d->arena, walk.value, &sluice__store__v1__owed_record__descriptor, &owed, err);
		if (code == SL_OK && strcmp(owed->repository_id, repository_id) == 0) {
			(*ret_count)++;
			code = fn(d, owed, err);
		}
		if (code != SL_OK) {
			return code;
		}
	}
	return store_walk_result(&walk, err);
}

static void due_now(struct decision *d, Sluice__Store__V1__OwedRecord *owed)
{
	owed->attempts = 0;
	owed->next_ms = 0;
	owed->parked = false;
	struct record_key key = owed_key(d->workspace, owed->kind, owed->app_id, owed->version);
	decision_put(d, TABLE_OWED, &key, &owed->base);
}

/* App and version of an owed row; they go together, so one without the others is a fault of the
 * store. */
static sl_code load(struct decision *d, const Sluice__Store__V1__OwedRecord *owed,
		    Sluice__Store__V1__AppRecord **ret_app,
		    Sluice__Store__V1__VersionRecord **ret_version, struct sl_err *err)
{
	sl_code code = app_get(d->view, d->arena, d->workspace, owed->app_id, ret_app, err);
	if (code == SL_OK) {
		code = version_get(d->view, d->arena, d->workspace, owed->app_id, owed->version,
				   ret_version, err);
	}
	return code != SL_NOT_FOUND
		   ? code
		   : sl_err_set(err, SL_DATA_LOSS,
				"work is owed for version %u of app '%s', which is gone",
				owed->version, owed->app_id);
}

static sl_code resolve_now(struct decision *d, Sluice__Store__V1__OwedRecord *owed,
			   struct sl_err *err)
{
	Sluice__Store__V1__AppRecord *app = NULL;
	Sluice__Store__V1__VersionRecord *version = NULL;
	sl_code code = load(d, owed, &app, &version, err);
	bool failed = code == SL_OK &&
		      version->content->state == SLUICE__V1__CONTENT_STATE__CONTENT_STATE_FAILED;
	if (!failed) {
		return code; /* it is queued, or being looked for, anyhow */
	}
	version->content->state = SLUICE__V1__CONTENT_STATE__CONTENT_STATE_RESOLVING;
	version->content->reason = SLUICE__V1__CONTENT_REASON__CONTENT_REASON_UNSPECIFIED;
	version->content->text = (char *)"";
	version_put(d, version);
	version_event(d, SLUICE__V1__EVENT_TYPE__EVENT_TYPE_UPDATED, app, version, NULL, 0);
	due_now(d, owed);
	return SL_OK;
}

sl_code repositories_publish_now(struct decision *d, Sluice__Store__V1__OwedRecord *owed,
				 struct sl_err *err)
{
	Sluice__Store__V1__AppRecord *app = NULL;
	Sluice__Store__V1__VersionRecord *version = NULL;
	Sluice__Store__V1__PublicationRecord *publication = NULL;
	if (!owed->parked && owed->next_ms == 0) {
		return SL_OK;
	}
	sl_code code = load(d, owed, &app, &version, err);
	if (code == SL_OK) {
		code = publication_get(d->view, d->arena, d->workspace, owed->app_id, owed->version,
				       &publication, err);
	}
	if (code != SL_OK) {
		return code != SL_NOT_FOUND
			   ? code
			   : sl_err_set(err, SL_DATA_LOSS,
					"a tag is owed for version '%s', which has no publication",
					version->id);
	}
	publication->state = SLUICE__V1__PUBLICATION_STATE__PUBLICATION_STATE_OWED;
	publication->next_ms = 0;
	publication->revision = d->revision;
	struct record_key key = version_key(d->workspace, owed->app_id, owed->version);
	decision_put(d, TABLE_PUBLICATIONS, &key, &publication->base);
	version_event(d, SLUICE__V1__EVENT_TYPE__EVENT_TYPE_UPDATED, app, version, publication,
		      UINT32_MAX);
	due_now(d, owed);
	return SL_OK;
}

sl_code repositories_decide_refresh(struct decision *d,
				    const Sluice__Store__V1__RepositoryRecord *repository,
				    uint32_t *ret_resolving, uint32_t *ret_publishing,
				    struct sl_err *err)
{
	sl_code code = each_owed(d, repository->id, SLUICE__STORE__V1__OWED_KIND__OWED_KIND_RESOLVE,
				 resolve_now, ret_resolving, err);
	return code != SL_OK
		   ? code
		   : each_owed(d, repository->id, SLUICE__STORE__V1__OWED_KIND__OWED_KIND_PUBLISH,
			       repositories_publish_now, ret_publishing, err);
}

/* --- change --------------------------------------------------------------------------------- */

void repositories_put(struct decision *d, Sluice__Store__V1__RepositoryRecord *repository)
{
	struct record_key key = KEY(d->workspace, key_text(k, repository->id));
	repository->revision = d->revision;
	decision_put(d, TABLE_REPOSITORIES, &key, &repository->base);
	add_event(d, SLUICE__V1__EVENT_TYPE__EVENT_TYPE_UPDATED, repository);
}

/* --- delete -------------------------------------------------------------------------------- */

sl_code repositories_decide_delete(struct decision *d,
				   const Sluice__Store__V1__RepositoryRecord *repository,
				   struct sl_err *err)
{
	sl_code code =
	    decision_expect(d, "repository", repository->name, repository->revision, err);
	if (code != SL_OK) {
		return code;
	}
	struct record_key prefix = KEY(d->workspace, key_text(k, repository->id));
	SL_AUTO(store_walk_end) struct store_walk walk;
	store_walk_begin(&walk, d->view, TABLE_APPS_BY_PATH, key_bytes(&prefix), STORE_FORWARD);
	if (store_walk_next(&walk)) {
		Sluice__Store__V1__AppRecord *app = NULL;
		const char *app_id = sl_arena_strdup(d->arena, app_path_key_app_id(walk.key));
		code = app_id != NULL ? app_get(d->view, d->arena, d->workspace, app_id, &app, err)
				      : records_out_of_memory(err);
		return sl_err_because(err, SL_FAILED_PRECONDITION, SL_REASON_REPOSITORY_IN_USE,
				      "repository '%s' is the one of app '%s': only one that no "
				      "app refers to can be removed",
				      repository->name, code == SL_OK ? app->name : "?");
	}
	code = store_walk_result(&walk, err);
	if (code != SL_OK) {
		return code;
	}
	add_event(d, SLUICE__V1__EVENT_TYPE__EVENT_TYPE_DELETED, repository);
	decision_delete(d, TABLE_REPOSITORIES, &prefix);
	decision_delete(d, TABLE_BRANCHES, &prefix);
	struct record_key name = KEY(d->workspace, key_text(k, repository->name));
	decision_delete(d, TABLE_REPOSITORIES_BY_NAME, &name);
	return SL_OK;
}
