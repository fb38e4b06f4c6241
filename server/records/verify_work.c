/* verify: what Git is owed, what versions went through, and the history in the log. */
#include <string.h>

#include "server/records/commits.h"
#include "server/records/verify_internal.h"
#include "server/records/versions.h"

static bool is_ready(const Sluice__Store__V1__VersionRecord *version)
{
	return version->content != NULL &&
	       version->content->state == SLUICE__V1__CONTENT_STATE__CONTENT_STATE_READY;
}

static void check_resolve(struct verify *v, const Sluice__Store__V1__OwedRecord *r,
			  const Sluice__Store__V1__VersionRecord *version)
{
	if (is_ready(version)) {
		verify_fault(v, "is owed, and the content is READY");
	} else if (version->content == NULL || version->content->generation != r->generation) {
		verify_fault(v, "is owed for content that is not asked for any more");
	}
}

static void check_commit(struct verify *v, uint32_t ws, const Sluice__Store__V1__OwedRecord *r)
{
	verify_revision(v, r->revision);
	if (!verify_app_lives(v, ws, r->app_id)) {
		verify_fault(v, "is owed for app '%s', which is gone", r->app_id);
	}
	Sluice__Store__V1__VersionRecord *version = NULL;
	if (r->version != 0) {
		verify_need_version(v, ws, r->app_id, r->version);
		if (version_get(v->view, &v->arena, ws, r->app_id, r->version, &version, NULL) ==
		    SL_OK) {
			check_resolve(v, r, version);
		}
	}
	if (r->commit == NULL || r->commit->id[0] == '\0') {
		verify_fault(v, "is a commit that says nothing");
	}
}

static void check_owed(struct verify *v)
{
	Sluice__Store__V1__OwedRecord *r =
	    verify_unpack(v, &sluice__store__v1__owed_record__descriptor);
	if (r == NULL || !verify_texts_fit(v, r->app_id, r->repository_id, NULL)) {
		return;
	}
	uint32_t ws = sl_get_be32(v->key.data);
	struct record_key own = owed_key_of(ws, r);
	struct record_key repository = KEY(ws, key_text(k, r->repository_id));
	struct record_key publication = version_key(ws, r->app_id, r->version);
	verify_stored_as(v, &own);
	verify_need(v, TABLE_REPOSITORIES, &repository, "a repository");
	if (r->kind == SLUICE__STORE__V1__OWED_KIND__OWED_KIND_COMMIT) {
		check_commit(v, ws, r);
		return;
	}
	verify_need_version(v, ws, r->app_id, r->version);
	Sluice__Store__V1__VersionRecord *version = NULL;
	if (r->kind == SLUICE__STORE__V1__OWED_KIND__OWED_KIND_PUBLISH) {
		verify_need(v, TABLE_PUBLICATIONS, &publication, "a publication");
	} else if (version_get(v->view, &v->arena, ws, r->app_id, r->version, &version, NULL) ==
		   SL_OK) {
		check_resolve(v, r, version);
	}
}

static void check_publication(struct verify *v)
{
	Sluice__Store__V1__PublicationRecord *r =
	    verify_unpack(v, &sluice__store__v1__publication_record__descriptor);
	struct verify_key key = verify_key_of(v);
	uint32_t ws = verify_key_u32(&key);
	const char *app_id = verify_key_id(&key);
	uint32_t number = verify_key_u32(&key);
	if (!verify_key_end(v, &key) || r == NULL) {
		return;
	}
	Sluice__Store__V1__VersionRecord *version = NULL;
	verify_need_version(v, ws, app_id, number);
	if (version_get(v->view, &v->arena, ws, app_id, number, &version, NULL) == SL_OK &&
	    version->state != SLUICE__V1__VERSION_STATE__VERSION_STATE_SEALED) {
		verify_fault(v, "is of a version that is not sealed");
	}
	struct record_key owed =
	    owed_key(ws, SLUICE__STORE__V1__OWED_KIND__OWED_KIND_PUBLISH, app_id, number);
	bool published = r->state == SLUICE__V1__PUBLICATION_STATE__PUBLICATION_STATE_PUBLISHED;
	if (published == verify_is_there(v, TABLE_OWED, &owed, NULL)) {
		verify_fault(v, published ? "is published and still owed"
					  : "is not published, and nothing is owed");
	}
}

static void check_facts(struct verify *v)
{
	(void)verify_unpack(v, &sluice__store__v1__facts_record__descriptor);
	struct verify_key key = verify_key_of(v);
	uint32_t ws = verify_key_u32(&key);
	const char *app_id = verify_key_id(&key);
	(void)verify_key_u32(&key);
	uint32_t environment = verify_key_u32(&key);
	if (verify_key_end(v, &key)) {
		verify_need_app_ever(v, ws, app_id);
		verify_environment(v, environment);
	}
}

static void check_note(struct verify *v)
{
	(void)verify_unpack(v, &sluice__store__v1__note_record__descriptor);
	struct verify_key key = verify_key_of(v);
	uint32_t ws = verify_key_u32(&key);
	const char *app_id = verify_key_id(&key);
	(void)verify_key_u32(&key);
	uint64_t revision = verify_key_u64(&key);
	if (verify_key_end(v, &key)) {
		verify_need_app_ever(v, ws, app_id);
		verify_revision(v, revision);
	}
}

static void check_release_signature(struct verify *v)
{
	Sluice__Store__V1__ReleaseSignatureRecord *r =
	    verify_unpack(v, &sluice__store__v1__release_signature_record__descriptor);
	struct verify_key key = verify_key_of(v);
	uint32_t ws = verify_key_u32(&key);
	const char *app_id = verify_key_id(&key);
	uint32_t number = verify_key_u32(&key);
	if (verify_key_end(v, &key) && r != NULL) {
		verify_need_version(v, ws, app_id, number);
		verify_revision(v, r->revision);
	}
}

static void check_branch(struct verify *v)
{
	Sluice__Store__V1__BranchRecord *r =
	    verify_unpack(v, &sluice__store__v1__branch_record__descriptor);
	struct verify_key key = verify_key_of(v);
	uint32_t ws = verify_key_u32(&key);
	const char *repository_id = verify_key_id(&key);
	if (verify_key_end(v, &key) && r != NULL) {
		struct record_key repository = KEY(ws, key_text(k, repository_id));
		verify_need(v, TABLE_REPOSITORIES, &repository, "a repository");
		verify_revision(v, r->revision);
	}
}

static void check_lease(struct verify *v)
{
	Sluice__Store__V1__LeaseRecord *r =
	    verify_unpack(v, &sluice__store__v1__lease_record__descriptor);
	struct verify_key key = verify_key_of(v);
	uint32_t ws = verify_key_u32(&key);
	const char *app_id = verify_key_id(&key);
	if (verify_key_end(v, &key) && r != NULL) {
		struct record_key app = KEY(ws, key_text(k, app_id));
		verify_need(v, TABLE_APPS, &app, "an app");
		verify_revision(v, r->revision);
	}
}

const struct verify_check verify_work[7] = {
    {TABLE_BRANCHES, check_branch},
    {TABLE_LEASES, check_lease},
    {TABLE_PUBLICATIONS, check_publication},
    {TABLE_RELEASE_SIGNATURES, check_release_signature},
    {TABLE_OWED, check_owed},
    {TABLE_FACTS, check_facts},
    {TABLE_NOTES, check_note},
};
