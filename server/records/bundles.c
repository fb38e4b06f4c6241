#include "server/records/bundles.h"

#include <string.h>

#include "server/records/logins.h"
#include "server/records/versions.h"

static bool is_published(const Sluice__Store__V1__PublicationRecord *publication)
{
	return publication != NULL &&
	       publication->state == SLUICE__V1__PUBLICATION_STATE__PUBLICATION_STATE_PUBLISHED &&
	       publication->commit[0] != '\0';
}

/* Of one version; publication and signature NULL: there is none. */
struct parts {
	const Sluice__Store__V1__RepositoryRecord *repository;
	const Sluice__Store__V1__VersionRecord *version;
	const Sluice__Store__V1__PublicationRecord *publication;
	const Sluice__Store__V1__ReleaseSignatureRecord *signature;
};

static bool fill(const struct parts *parts, Sluice__V1__Bundle *bundle)
{
	const Sluice__Store__V1__RepositoryRecord *repository = parts->repository;
	const Sluice__Store__V1__VersionRecord *version = parts->version;
	const Sluice__Store__V1__PublicationRecord *publication = parts->publication;
	const Sluice__Store__V1__ContentRecord *content = version == NULL ? NULL : version->content;
	if (content == NULL || content->commit[0] == '\0') {
		return false;
	}
	sluice__v1__bundle__init(bundle);
	bundle->version_id = version->id;
	bundle->version = version->name;
	bundle->repository_id = repository->id;
	bundle->url = repository->url;
	bundle->login = login_revision(repository);
	bundle->tree = content->tree;
	bundle->digest = content->digest;
	bundle->files = content->files;
	bundle->bytes = content->bytes;
	if (parts->signature != NULL) {
		bundle->release_signature = parts->signature->signature;
	}
	/* A repository that is not published to has the commit itself as its publication: it has a
	 * path like a draft's. */
	if (is_published(publication) && strcmp(publication->commit, content->commit) != 0) {
		bundle->ref = publication->ref;
		bundle->commit = publication->commit;
		return true;
	}
	bundle->ref = content->ref;
	bundle->commit = content->commit;
	bundle->path = strcmp(version->path, ".") == 0 ? bundle->path : version->path;
	return true;
}

bool bundle_fill(const struct desired_app *app,
		 const Sluice__Store__V1__RepositoryRecord *repository, uint32_t number,
		 Sluice__V1__Bundle *bundle)
{
	const struct parts parts = {.repository = repository,
				    .version = desired_version_record(app, number),
				    .publication = desired_publication(app, number),
				    .signature = desired_signature(app, number)};
	return fill(&parts, bundle);
}

static sl_code find_repository(const struct store_view *view, struct sl_arena *arena,
			       uint32_t workspace, const Sluice__Store__V1__AppRecord *app,
			       Sluice__Store__V1__RepositoryRecord **ret_repository,
			       struct sl_err *err)
{
	sl_code code =
	    repository_get(view, arena, workspace, app->repository_id, ret_repository, err);
	return code == SL_NOT_FOUND
		   ? sl_err_set(err, SL_DATA_LOSS, "app %s has no repository", app->id)
		   : code;
}

static bool is_wish(const struct bundle_wish *wish, const Sluice__V1__Bundle *bundle)
{
	return strcmp(bundle->version_id, wish->version_id) == 0 &&
	       bundle->digest.len == wish->digest.size && wish->digest.size > 0 &&
	       memcmp(bundle->digest.data, wish->digest.data, wish->digest.size) == 0;
}

sl_code bundle_of_manifest(const struct store_view *view, struct sl_arena *arena,
			   const Sluice__Store__V1__InstanceRecord *instance,
			   const struct bundle_wish *wish, Sluice__Store__V1__AppRecord **ret_app,
			   Sluice__V1__Bundle *bundle, struct sl_err *err)
{
	struct desired_app desired;
	struct desired_choice choice = {.keep_count = 0};
	Sluice__Store__V1__RepositoryRecord *repository = NULL;
	sl_code code = app_get(view, arena, wish->workspace, wish->app_id, ret_app, err);
	bool placed = code == SL_OK && desired_is_placed(*ret_app, instance);
	if (placed) {
		code = find_repository(view, arena, wish->workspace, *ret_app, &repository, err);
	}
	if (placed && code == SL_OK) {
		code = desired_load(view, arena, wish->workspace, wish->app_id, &desired, err);
	}
	if (code != SL_OK && code != SL_NOT_FOUND) {
		return code;
	}
	if (placed) {
		desired_choose(&desired.input, instance->environment, instance->id, &choice);
	}
	for (size_t i = 0; i < choice.keep_count; i++) {
		if (bundle_fill(&desired, repository, choice.keep[i], bundle) &&
		    is_wish(wish, bundle)) {
			return SL_OK;
		}
	}
	return sl_err_because(err, SL_NOT_FOUND, SL_REASON_VERSION_NOT_FOUND,
			      "the manifest of instance '%s' names no version '%.40s' of app "
			      "'%.40s' with this digest",
			      instance->name, wish->version_id, wish->app_id);
}

/* What a version may have, and may not. */
static sl_code find_marks(const struct store_view *view, struct sl_arena *arena, uint32_t workspace,
			  const Sluice__Store__V1__AppRecord *app, struct parts *parts,
			  struct sl_err *err)
{
	uint32_t number = parts->version->number;
	struct record_key key = KEY(workspace, key_text(k, app->id), key_u32(k, number));
	Sluice__Store__V1__PublicationRecord *publication = NULL;
	Sluice__Store__V1__ReleaseSignatureRecord *signature = NULL;
	sl_code code = publication_get(view, arena, workspace, app->id, number, &publication, err);
	if (code == SL_OK) { /* what is sealed may be signed */
		code = record_get(view, arena, TABLE_RELEASE_SIGNATURES, &key,
				  &sluice__store__v1__release_signature_record__descriptor,
				  &signature, err);
	}
	parts->publication = publication;
	parts->signature = signature;
	return code == SL_NOT_FOUND ? SL_OK : code;
}

sl_code bundle_of_version(const struct store_view *view, struct sl_arena *arena, uint32_t workspace,
			  const Sluice__Store__V1__AppRecord *app, const char *wanted,
			  Sluice__V1__Bundle *bundle, struct sl_err *err)
{
	Sluice__Store__V1__RepositoryRecord *repository = NULL;
	Sluice__Store__V1__VersionRecord *version = NULL;
	sl_code code = version_find(view, arena, workspace, app, wanted, &version, err);
	code =
	    code != SL_OK ? code : find_repository(view, arena, workspace, app, &repository, err);
	struct parts parts = {.repository = repository, .version = version};
	code = code != SL_OK ? code : find_marks(view, arena, workspace, app, &parts, err);
	if (code != SL_OK) {
		return code;
	}
	return fill(&parts, bundle)
		   ? SL_OK
		   : sl_err_because(err, SL_FAILED_PRECONDITION, SL_REASON_CONTENT_NOT_READY,
				    "content of version '%s' of app '%s' is not READY, so there "
				    "is nothing to export",
				    version->name, app->name);
}
