/* RepositoryService: Git repositories that apps live in. */
#include "base/git/git.h"
#include "base/mem/own.h"
#include "server/gitsync/gitsync.h"
#include "server/records/commits.h"
#include "server/records/repositories.h"
#include "server/records/wire.h"
#include "server/services/import.h"
#include "server/services/noun_checks.h"
#include "server/services/owed.h"
#include "server/services/repository_logins.h"
#include "server/services/service.h"
#include "sluice/v1/repository.pb-c.h"

/* A repository as a read tells it: with how its host was last reached. */
static Sluice__V1__Repository *with_contact(const struct service_read *read,
					    const Sluice__Store__V1__RepositoryRecord *record)
{
	Sluice__V1__Repository *repository = wire_repository(read->arena, record);
	if (repository != NULL) {
		repository->contact = gitsync_contact(read->services->gitsync, read->view,
						      read->arena, read->workspace, record->id);
	}
	return repository;
}

/* --- CreateRepository --------------------------------------------------------- */

static sl_code check_commits(const Sluice__V1__CreateRepositoryRequest *request, struct sl_err *err)
{
	if (request->commits > SLUICE__V1__COMMIT_MODE__COMMIT_MODE_PROMOTIONS) {
		return check_refused("commits", "must be AUTOMATIC, PROMOTIONS or NONE", err);
	}
	bool none = request->commits == SLUICE__V1__COMMIT_MODE__COMMIT_MODE_UNSPECIFIED ||
		    request->commits == SLUICE__V1__COMMIT_MODE__COMMIT_MODE_NONE;
	if (request->publish == SLUICE__V1__PUBLISH_MODE__PUBLISH_MODE_NONE && !none) {
		return check_refused(
		    "commits", "must be NONE where publish is: nothing is written there", err);
	}
	return SL_OK;
}

static sl_code create_check(const void *message, struct sl_err *err)
{
	const Sluice__V1__CreateRepositoryRequest *request = message;
	sl_code code = check_name("name", request->name, err);
	code = code != SL_OK ? code : check_url("url", request->url, err);
	if (code == SL_OK && request->branch[0] != '\0') {
		code = check_revision("branch", request->branch, err);
	}
	code = code != SL_OK ? code : repository_logins_check_new(request, err);
	if (code == SL_OK && request->publish > SLUICE__V1__PUBLISH_MODE__PUBLISH_MODE_NONE) {
		return check_refused("publish", "must be TAGS or NONE", err);
	}
	return code != SL_OK ? code : check_commits(request, err);
}

static sl_code create_decide(struct decision *d, const void *message, void *reply,
			     struct sl_err *err)
{
	const Sluice__V1__CreateRepositoryRequest *request = message;
	Sluice__V1__CreateRepositoryResponse *response = reply;
	struct repository_new wanted = {
	    .name = request->name,
	    .url = request->url,
	    .branch = request->branch,
	    .publish = request->publish,
	    .commits = request->commits,
	    .complete = repository_logins_complete,
	    .ctx = (void *)(uintptr_t)request,
	};
	Sluice__Store__V1__RepositoryRecord *record = NULL;
	sl_code code = repositories_decide_create(d, &wanted, &record, err);
	if (code == SL_OK) {
		response->repository = wire_repository(d->arena, record);
	}
	return code;
}

/* The first contact, by which `contact` tells whether the URL is good. */
static void create_after(const struct services *services, const void *reply)
{
	const Sluice__V1__CreateRepositoryResponse *response = reply;
	gitsync_look(services->gitsync, response->repository->id, response->repository->url);
}

/* --- GetRepository -------------------------------------------------------------- */

static sl_code get_check(const void *message, struct sl_err *err)
{
	const Sluice__V1__GetRepositoryRequest *request = message;
	return check_reference("repository", request->repository, err);
}

static sl_code get_read(struct service_read *read, const void *message, void *reply,
			struct sl_err *err)
{
	const Sluice__V1__GetRepositoryRequest *request = message;
	Sluice__V1__GetRepositoryResponse *response = reply;
	Sluice__Store__V1__RepositoryRecord *record = NULL;
	sl_code code = repository_find(read->view, read->arena, read->workspace,
				       request->repository, &record, err);
	if (code == SL_OK) {
		response->repository = with_contact(read, record);
	}
	return code;
}

/* --- ListRepositories ------------------------------------------------------------- */

static sl_code list_check(const void *message, struct sl_err *err)
{
	const Sluice__V1__ListRepositoriesRequest *request = message;
	return check_text_or_empty("url", request->url, GIT_URL_MAX - 1, err);
}

/* The record that an entry of the index by name points to. */
static sl_code by_index(struct service_read *read, struct sl_bytes id,
			Sluice__Store__V1__RepositoryRecord **ret_record, struct sl_err *err)
{
	const char *text =
	    sl_arena_printf(read->arena, "%.*s", (int)id.size, (const char *)id.data);
	if (text == NULL) {
		return sl_err_no_memory(err);
	}
	sl_code code =
	    repository_get(read->view, read->arena, read->workspace, text, ret_record, err);
	return code != SL_NOT_FOUND
		   ? code
		   : sl_err_set(err, SL_DATA_LOSS, "the index names repository '%s', which is gone",
				text);
}

static sl_code list_read(struct service_read *read, const void *message, void *reply,
			 struct sl_err *err)
{
	const Sluice__V1__ListRepositoriesRequest *request = message;
	Sluice__V1__ListRepositoriesResponse *response = reply;
	struct service_page page;
	const char *scope = sl_arena_printf(read->arena, "ListRepositories %s", request->url);
	sl_code code =
	    service_page_begin(read, request->page, scope != NULL ? scope : "", &page, err);
	if (code != SL_OK) {
		return code;
	}
	struct record_key prefix = key_of(read->workspace);
	struct sl_bytes next = SL_BYTES_NONE;
	SL_AUTO(store_walk_end) struct store_walk walk;
	store_walk_begin(&walk, read->view, TABLE_REPOSITORIES_BY_NAME, key_bytes(&prefix),
			 STORE_FORWARD);
	store_walk_from(&walk, page.from);
	response->repositories = SL_ARENA_ARRAY(read->arena, Sluice__V1__Repository *, page.size);
	while (response->repositories != NULL && store_walk_next(&walk)) {
		if (response->n_repositories == page.size) {
			next = walk.key;
			break;
		}
		Sluice__Store__V1__RepositoryRecord *record = NULL;
		code = by_index(read, walk.value, &record, err);
		if (code != SL_OK) {
			return code;
		}
		if (request->url[0] == '\0' || strcmp(request->url, record->url) == 0) {
			response->repositories[response->n_repositories++] =
			    with_contact(read, record);
		}
	}
	response->page = service_page_end(read, &page, next);
	return store_walk_result(&walk, err);
}

/* --- RefreshRepository ------------------------------------------------------------- */

static sl_code refresh_check(const void *message, struct sl_err *err)
{
	const Sluice__V1__RefreshRepositoryRequest *request = message;
	return check_reference("repository", request->repository, err);
}

static sl_code refresh_decide(struct decision *d, const void *message, void *reply,
			      struct sl_err *err)
{
	const Sluice__V1__RefreshRepositoryRequest *request = message;
	Sluice__V1__RefreshRepositoryResponse *response = reply;
	Sluice__Store__V1__RepositoryRecord *record = NULL;
	sl_code code =
	    repository_find(d->view, d->arena, d->workspace, request->repository, &record, err);
	if (code == SL_OK) {
		code = repositories_decide_refresh(d, record, &response->resolving,
						   &response->publishing, err);
	}
	if (code == SL_OK) {
		code = commits_decide_refresh(d, record->id, request->follow, &response->committing,
					      err);
	}
	if (code == SL_OK) {
		response->repository = wire_repository(d->arena, record);
	}
	return code;
}

/* Owed work reaches the host by itself. */
static void refresh_after(const struct services *services, const void *reply)
{
	const Sluice__V1__RefreshRepositoryResponse *response = reply;
	if (response->resolving + response->publishing + response->committing == 0) {
		gitsync_look(services->gitsync, response->repository->id,
			     response->repository->url);
	}
}

/* --- DeleteRepository -------------------------------------------------------------- */

static sl_code delete_check(const void *message, struct sl_err *err)
{
	const Sluice__V1__DeleteRepositoryRequest *request = message;
	return check_reference("repository", request->repository, err);
}

static sl_code delete_decide(struct decision *d, const void *message, void *reply,
			     struct sl_err *err)
{
	const Sluice__V1__DeleteRepositoryRequest *request = message;
	Sluice__Store__V1__RepositoryRecord *record = NULL;
	(void)reply;
	sl_code code =
	    repository_find(d->view, d->arena, d->workspace, request->repository, &record, err);
	code = code != SL_OK ? code : repositories_decide_delete(d, record, err);
	if (code == SL_OK) {
		repository_logins_forget(d, record);
	}
	return code;
}

#define ROW(method) "/sluice.v1.RepositoryService/" #method

/* clang-format off */
const struct service_method repository_methods[13] = {
	{ ROW(CreateRepository), ACCESS_EDIT, &sluice__v1__create_repository_request__descriptor,
	  &sluice__v1__create_repository_response__descriptor, .check = create_check, .decide = create_decide,
	  .after = create_after, .scope = ACCESS_WORKSPACE, .where = ACCESS_IN_DEVELOPMENT },
	{ ROW(GetRepository), ACCESS_VIEW, &sluice__v1__get_repository_request__descriptor,
	  &sluice__v1__get_repository_response__descriptor, .check = get_check, .read = get_read, .scope = ACCESS_WORKSPACE },
	{ ROW(ListRepositories), ACCESS_VIEW, &sluice__v1__list_repositories_request__descriptor,
	  &sluice__v1__list_repositories_response__descriptor, .check = list_check, .read = list_read, .scope = ACCESS_WORKSPACE },
	{ ROW(RefreshRepository), ACCESS_EDIT, &sluice__v1__refresh_repository_request__descriptor,
	  &sluice__v1__refresh_repository_response__descriptor, .check = refresh_check, .decide = refresh_decide,
	  .after = refresh_after, .scope = ACCESS_WORKSPACE, .where = ACCESS_IN_DEVELOPMENT },
	{ ROW(ListOwed), ACCESS_VIEW, &sluice__v1__list_owed_request__descriptor,
	  &sluice__v1__list_owed_response__descriptor, .check = owed_list_check, .read = owed_list_read, .scope = ACCESS_WORKSPACE },
	{ ROW(RetryOwed), ACCESS_EDIT, &sluice__v1__retry_owed_request__descriptor,
	  &sluice__v1__retry_owed_response__descriptor, .check = owed_retry_check, .decide = owed_retry, .scope = ACCESS_WORKSPACE, .where = ACCESS_IN_DEVELOPMENT },
	{ ROW(DropOwed), ACCESS_EDIT, &sluice__v1__drop_owed_request__descriptor,
	  &sluice__v1__drop_owed_response__descriptor, .check = owed_drop_check, .decide = owed_drop, .shrinks = true, .scope = ACCESS_WORKSPACE, .where = ACCESS_IN_DEVELOPMENT },
	{ ROW(DeleteRepository), ACCESS_EDIT, &sluice__v1__delete_repository_request__descriptor,
	  &sluice__v1__delete_repository_response__descriptor, .check = delete_check, .decide = delete_decide, .shrinks = true, .scope = ACCESS_WORKSPACE, .where = ACCESS_IN_DEVELOPMENT },
	{ ROW(SetRepository), ACCESS_EDIT, &sluice__v1__set_repository_request__descriptor,
	  &sluice__v1__set_repository_response__descriptor, .check = repository_set_check, .decide = repository_set_decide,
	  .after = repository_set_after, .scope = ACCESS_WORKSPACE, .where = ACCESS_IN_DEVELOPMENT },
	{ ROW(GenerateRepositoryKey), ACCESS_EDIT, &sluice__v1__generate_repository_key_request__descriptor,
	  &sluice__v1__generate_repository_key_response__descriptor, .check = repository_generate_check,
	  .decide = repository_generate_decide, .scope = ACCESS_WORKSPACE, .where = ACCESS_IN_DEVELOPMENT },
	{ ROW(RotateRepositoryKey), ACCESS_EDIT, &sluice__v1__rotate_repository_key_request__descriptor,
	  &sluice__v1__rotate_repository_key_response__descriptor, .check = repository_rotate_check,
	  .decide = repository_rotate_decide, .scope = ACCESS_WORKSPACE, .where = ACCESS_IN_DEVELOPMENT },
	{ ROW(TestRepository), ACCESS_EDIT, &sluice__v1__test_repository_request__descriptor,
	  &sluice__v1__test_repository_response__descriptor, .check = repository_test_check, .start = repository_test_start,
	  .scope = ACCESS_WORKSPACE, .where = ACCESS_IN_DEVELOPMENT },
	{ ROW(ListImportable), ACCESS_EDIT, &sluice__v1__list_importable_request__descriptor,
	  &sluice__v1__list_importable_response__descriptor, .check = import_list_check, .start = import_list_start,
	  .scope = ACCESS_WORKSPACE, .where = ACCESS_IN_DEVELOPMENT },
};
/* clang-format on */
