/* versions: keys, and the parts that several commands share. */
#include "server/records/versions.h"

#include <string.h>

#include "server/records/commits.h"
#include "server/records/entries.h"
#include "server/records/versions_internal.h"
#include "server/records/wire.h"

struct record_key version_key(uint32_t workspace, const char *app_id, uint32_t number)
{
	return KEY(workspace, key_text(k, app_id), key_u32(k, number));
}

struct record_key facts_key(uint32_t workspace, const char *app_id, uint32_t number,
			    uint32_t environment)
{
	return KEY(workspace, key_text(k, app_id), key_u32(k, number), key_u32(k, environment));
}

struct record_key owed_key(uint32_t workspace, Sluice__Store__V1__OwedKind kind, const char *app_id,
			   uint32_t number)
{
	return KEY(workspace, key_u32(k, (uint32_t)kind), key_text(k, app_id), key_u32(k, number));
}

struct record_key version_name_key(uint32_t workspace, const char *app_id, const char *name)
{
	char lower[VERSION_NAME_ROOM];
	size_t i = 0;
	for (; name[i] != '\0' && i + 1 < sizeof(lower); i++) {
		lower[i] = name[i] >= 'A' && name[i] <= 'Z' ? (char)(name[i] - 'A' + 'a') : name[i];
	}
	lower[i] = '\0';
	return KEY(workspace, key_text(k, app_id), key_text(k, lower));
}

sl_code facts_get(const struct wire *in, const Sluice__Store__V1__VersionRecord *version,
		  uint32_t environment, Sluice__Store__V1__FactsRecord **ret_facts,
		  struct sl_err *err)
{
	struct record_key key =
	    facts_key(in->workspace, version->app_id, version->number, environment);
	return record_get(in->view, in->arena, TABLE_FACTS, &key,
			  &sluice__store__v1__facts_record__descriptor, ret_facts, err);
}

/* --- the life cycle ------------------------------------------------------------------ */

static const char *content_state_text(const Sluice__Store__V1__ContentRecord *content)
{
	switch (content != NULL ? content->state
				: SLUICE__V1__CONTENT_STATE__CONTENT_STATE_UNSPECIFIED) {
	case SLUICE__V1__CONTENT_STATE__CONTENT_STATE_RESOLVING:
		return "RESOLVING";
	case SLUICE__V1__CONTENT_STATE__CONTENT_STATE_READY:
		return "READY";
	case SLUICE__V1__CONTENT_STATE__CONTENT_STATE_FAILED:
		return "FAILED";
	default:
		return "unknown";
	}
}

static sl_code refuse(enum sl_reason reason, const Sluice__Store__V1__AppRecord *app,
		      const Sluice__Store__V1__VersionRecord *version, struct sl_err *err)
{
	const char *environment = environment_name(version->environment);
	switch (reason) {
	case SL_REASON_VERSION_SEALED:
		return sl_err_because(err, SL_FAILED_PRECONDITION, reason,
				      "version '%s' of app '%s' is sealed: nothing of it can "
				      "change, create another from it",
				      version->name, app->name);
	case SL_REASON_NOT_IN_DEVELOPMENT:
		return sl_err_because(
		    err, SL_FAILED_PRECONDITION, reason,
		    "version '%s' of app '%s' is in %s: this is possible in development only",
		    version->name, app->name, environment);
	case SL_REASON_LAST_ENVIRONMENT:
		return sl_err_because(
		    err, SL_FAILED_PRECONDITION, reason,
		    "version '%s' of app '%s' is in %s: there is no environment after it",
		    version->name, app->name, environment);
	case SL_REASON_VERSION_BLOCKED:
		return sl_err_because(err, SL_FAILED_PRECONDITION, reason,
				      "version '%s' of app '%s' is blocked: %.200s", version->name,
				      app->name,
				      version->block != NULL ? version->block->reason : "");
	case SL_REASON_CONTENT_NOT_READY:
		return sl_err_because(
		    err, SL_FAILED_PRECONDITION, reason,
		    "content of version '%s' of app '%s' is %s and must be READY%s%.200s",
		    version->name, app->name, content_state_text(version->content),
		    version->content != NULL && version->content->text[0] != '\0' ? ": " : "",
		    version->content != NULL ? version->content->text : "");
	default:
		return sl_err_because(err, SL_FAILED_PRECONDITION, reason,
				      "version '%s' of app '%s' in %s: %s", version->name,
				      app->name, environment, sl_reason_meaning(reason));
	}
}

void version_refusal(struct decision *d, const Sluice__Store__V1__AppRecord *app,
		     const Sluice__Store__V1__VersionRecord *version)
{
	d->object.app_id = app->id;
	if (version != NULL) {
		d->object.version_id = version->id;
		d->object.environment = version->environment;
	}
}

sl_code version_check(struct decision *d, enum version_act act,
		      const Sluice__Store__V1__AppRecord *app,
		      const Sluice__Store__V1__VersionRecord *version, struct sl_err *err)
{
	version_refusal(d, app, version);
	struct version_traits traits = {
	    .state = version->state,
	    .environment = version->environment,
	    .environments = ENV_COUNT,
	};
	if (version->content != NULL) {
		traits.content = version->content->state;
	}
	if (version->block != NULL) {
		traits.block = version->block->mode;
	}
	enum sl_reason reason = version_allows(act, &traits);
	return reason == SL_REASON_NONE ? SL_OK : refuse(reason, app, version, err);
}

/* --- parts ----------------------------------------------------------------------------- */

void version_put(struct decision *d, Sluice__Store__V1__VersionRecord *version)
{
	version->revision = d->revision;
	struct record_key key = version_key(d->workspace, version->app_id, version->number);
	decision_put(d, TABLE_VERSIONS, &key, &version->base);
}

void version_event(struct decision *d, Sluice__V1__EventType type,
		   const Sluice__Store__V1__AppRecord *app,
		   const Sluice__Store__V1__VersionRecord *version,
		   const Sluice__Store__V1__PublicationRecord *publication,
		   uint32_t released_version)
{
	struct wire wire = wire_of(d);
	Sluice__V1__Event *event = decision_event(
	    d, type, SLUICE__V1__EVENT_KIND__EVENT_KIND_VERSION, app->id, version->environment, "");
	event->object_case = SLUICE__V1__EVENT__OBJECT_VERSION;
	event->version = wire_version(&wire, version, app, publication, released_version);
}

sl_code version_enter_in(struct decision *d, Sluice__Store__V1__VersionRecord *version,
			 uint32_t environment, struct sl_err *err)
{
	version->environment = environment;
	version->entered_revision = d->revision;
	Sluice__Store__V1__FactsRecord facts;
	sluice__store__v1__facts_record__init(&facts);
	facts.entered_ms = d->now_ms;
	facts.entered_by = (char *)d->principal;
	facts.entered_revision = d->revision;
	facts.version_id = version->id;
	facts.version_name = version->name;
	struct record_key key =
	    facts_key(d->workspace, version->app_id, version->number, environment);
	decision_put(d, TABLE_FACTS, &key, &facts.base);
	return entry_put(d, version, environment, err);
}

void version_put_name(struct decision *d, const Sluice__Store__V1__VersionRecord *version)
{
	uint8_t number[4];
	sl_put_be32(number, version->number);
	struct record_key key = version_name_key(d->workspace, version->app_id, version->name);
	decision_put_bytes(d, TABLE_VERSIONS_BY_NAME, &key, SL_BYTES(number, sizeof(number)));
}

/* Value: the app's id, NUL, the number. */
static void put_id(struct decision *d, const Sluice__Store__V1__VersionRecord *version)
{
	size_t id_size = strlen(version->app_id) + 1;
	uint8_t *value = sl_arena_alloc(d->arena, id_size + 4);
	if (value == NULL) {
		return;
	}
	memcpy(value, version->app_id, id_size);
	sl_put_be32(value + id_size, version->number);
	struct record_key key = KEY(d->workspace, key_text(k, version->id));
	decision_put_bytes(d, TABLE_VERSIONS_BY_ID, &key, SL_BYTES(value, id_size + 4));
}

void version_owe(struct decision *d, Sluice__Store__V1__OwedKind kind,
		 const Sluice__Store__V1__AppRecord *app,
		 const Sluice__Store__V1__VersionRecord *version)
{
	Sluice__Store__V1__OwedRecord owed;
	sluice__store__v1__owed_record__init(&owed);
	owed.kind = kind;
	owed.app_id = app->id;
	owed.version = version->number;
	owed.repository_id = app->repository_id;
	if (kind == SLUICE__STORE__V1__OWED_KIND__OWED_KIND_RESOLVE) {
		owed.generation = version->content->generation;
	}
	struct record_key key = owed_key(d->workspace, kind, app->id, version->number);
	decision_put(d, TABLE_OWED, &key, &owed.base);
}

sl_code records_out_of_memory(struct sl_err *err)
{
	return sl_err_no_memory(err);
}

static char *base_of(const Sluice__Store__V1__ContentRecord *content)
{
	if (content == NULL) {
		return (char *)"";
	}
	return content->state == SLUICE__V1__CONTENT_STATE__CONTENT_STATE_READY
		   ? content->commit
		   : content->made_from;
}

sl_code version_content_clear(struct decision *d, const Sluice__Store__V1__AppRecord *app,
			      Sluice__Store__V1__VersionRecord *version, const char *asked,
			      struct sl_err *err)
{
	sl_code code = commits_forget_push(d, app, version->number, err);
	if (code != SL_OK) {
		return code;
	}
	Sluice__Store__V1__ContentRecord *content =
	    SL_ARENA_NEW(d->arena, Sluice__Store__V1__ContentRecord);
	if (content == NULL) {
		return records_out_of_memory(err);
	}
	sluice__store__v1__content_record__init(content);
	content->state = SLUICE__V1__CONTENT_STATE__CONTENT_STATE_RESOLVING;
	content->asked = (char *)asked;
	content->generation = version->content != NULL ? version->content->generation + 1 : 1;
	content->made_from = base_of(version->content);
	version->content = content;
	struct record_key resolve =
	    owed_key(d->workspace, SLUICE__STORE__V1__OWED_KIND__OWED_KIND_RESOLVE, app->id,
		     version->number);
	decision_delete(d, TABLE_OWED, &resolve);
	return SL_OK;
}

sl_code version_content_reset(struct decision *d, const Sluice__Store__V1__AppRecord *app,
			      Sluice__Store__V1__VersionRecord *version, const char *asked,
			      struct sl_err *err)
{
	sl_code code = version_content_clear(d, app, version, asked, err);
	if (code == SL_OK) {
		version_owe(d, SLUICE__STORE__V1__OWED_KIND__OWED_KIND_RESOLVE, app, version);
	}
	return code;
}

/* --- sealing ----------------------------------------------------------------------------- */

/* With publish = NONE nothing is owed: the commit itself is what agents fetch. */
static void publish_as_is(Sluice__Store__V1__PublicationRecord *publication,
			  const Sluice__Store__V1__VersionRecord *version)
{
	publication->state = SLUICE__V1__PUBLICATION_STATE__PUBLICATION_STATE_PUBLISHED;
	publication->ref = version->content->ref;
	publication->commit = version->content->commit;
}

static sl_code begin_publication(struct decision *d, const Sluice__Store__V1__AppRecord *app,
				 const Sluice__Store__V1__VersionRecord *version,
				 Sluice__Store__V1__PublicationRecord **ret_publication,
				 struct sl_err *err)
{
	Sluice__Store__V1__RepositoryRecord *repository = NULL;
	sl_code code =
	    repository_get(d->view, d->arena, d->workspace, app->repository_id, &repository, err);
	if (code == SL_NOT_FOUND) {
		return sl_err_set(err, SL_DATA_LOSS,
				  "app '%s' refers to repository '%s', which is gone", app->name,
				  app->repository_id);
	}
	if (code != SL_OK) {
		return code;
	}
	Sluice__Store__V1__PublicationRecord *publication =
	    SL_ARENA_NEW(d->arena, Sluice__Store__V1__PublicationRecord);
	char *ref = sl_arena_alloc(d->arena, VERSION_REF_SIZE);
	if (publication == NULL || ref == NULL) {
		return records_out_of_memory(err);
	}
	sluice__store__v1__publication_record__init(publication);
	publication->revision = d->revision;
	if (repository->publish == SLUICE__V1__PUBLISH_MODE__PUBLISH_MODE_NONE) {
		publish_as_is(publication, version);
	} else {
		version_ref(ref, app->slug, version->name, version->content->digest.data);
		publication->state = SLUICE__V1__PUBLICATION_STATE__PUBLICATION_STATE_OWED;
		publication->ref = ref;
		version_owe(d, SLUICE__STORE__V1__OWED_KIND__OWED_KIND_PUBLISH, app, version);
	}
	struct record_key key = version_key(d->workspace, app->id, version->number);
	decision_put(d, TABLE_PUBLICATIONS, &key, &publication->base);
	*ret_publication = publication;
	return SL_OK;
}

sl_code version_seal_in(struct decision *d, const Sluice__Store__V1__AppRecord *app,
			Sluice__Store__V1__VersionRecord *version,
			Sluice__Store__V1__PublicationRecord **ret_publication, struct sl_err *err)
{
	sl_code code = version_check(d, VERSION_ACT_SEAL, app, version, err);
	if (code != SL_OK) {
		return code;
	}
	if (version->state == SLUICE__V1__VERSION_STATE__VERSION_STATE_SEALED) {
		code = publication_get(d->view, d->arena, d->workspace, app->id, version->number,
				       ret_publication, err);
		return code != SL_NOT_FOUND
			   ? code
			   : sl_err_set(err, SL_DATA_LOSS,
					"version '%s' is sealed and has no publication",
					version->id);
	}
	if (version->content->digest.len < 6) {
		return sl_err_set(err, SL_DATA_LOSS,
				  "content of version '%s' is READY without a digest", version->id);
	}
	version->state = SLUICE__V1__VERSION_STATE__VERSION_STATE_SEALED;
	version->sealed_ms = d->now_ms;
	version->sealed_by = (char *)d->principal;
	return begin_publication(d, app, version, ret_publication, err);
}

/* --- coming and going ------------------------------------------------------------------- */

sl_code version_name_free(struct decision *d, const Sluice__Store__V1__AppRecord *app,
			  const char *name, struct sl_err *err)
{
	struct record_key key = version_name_key(d->workspace, app->id, name);
	struct sl_bytes value;
	sl_code code = store_get(d->view, TABLE_VERSIONS_BY_NAME, key_bytes(&key), &value, err);
	if (code == SL_NOT_FOUND) {
		return SL_OK;
	}
	if (code != SL_OK) {
		return code;
	}
	return sl_err_because(
	    err, SL_ALREADY_EXISTS, SL_REASON_NAME_TAKEN,
	    "app '%s' has a version '%s': names are unique in an app, without regard to case",
	    app->name, name);
}

/* What the new version holds: the bundle of `from`, or what Git is to find out. */
static sl_code begin_content(struct decision *d, const Sluice__Store__V1__AppRecord *app,
			     Sluice__Store__V1__VersionRecord *version,
			     const struct version_new *new_version, struct sl_err *err)
{
	if (new_version->found != NULL) {
		return version_content_found(d, version, new_version->commit, new_version->found,
					     err);
	}
	const Sluice__Store__V1__ContentRecord *from =
	    new_version->from_content && new_version->from != NULL ? new_version->from->content
								   : NULL;
	if (new_version->commit[0] != '\0' || from == NULL) {
		return version_content_reset(d, app, version, new_version->commit, err);
	}
	if (from->state != SLUICE__V1__CONTENT_STATE__CONTENT_STATE_READY) {
		return version_content_reset(d, app, version, from->asked, err);
	}
	version->content = sl_arena_dup(d->arena, from, sizeof(*from));
	if (version->content == NULL) {
		return records_out_of_memory(err);
	}
	version->content->generation = 1;
	return SL_OK;
}

sl_code version_create_in(struct decision *d, Sluice__Store__V1__AppRecord *app,
			  const struct version_new *new_version,
			  Sluice__Store__V1__VersionRecord **ret_version, struct sl_err *err)
{
	sl_code code = version_name_free(d, app, new_version->name, err);
	if (code != SL_OK) {
		return code;
	}
	Sluice__Store__V1__VersionRecord *version =
	    SL_ARENA_NEW(d->arena, Sluice__Store__V1__VersionRecord);
	if (version == NULL) {
		return records_out_of_memory(err);
	}
	sluice__store__v1__version_record__init(version);
	version->id = decision_id(d, "ver");
	version->number = ++app->last_version;
	version->app_id = app->id;
	version->name = (char *)new_version->name;
	version->description = (char *)new_version->description;
	version->path = (char *)new_version->path;
	version->derived_from = new_version->from != NULL ? new_version->from->number : 0;
	version->state = SLUICE__V1__VERSION_STATE__VERSION_STATE_DRAFT;
	version->created_ms = d->now_ms;
	version->created_by = (char *)d->principal;
	code = version->id != NULL ? begin_content(d, app, version, new_version, err)
				   : records_out_of_memory(err);
	if (code != SL_OK) {
		return code;
	}
	app->version_count++;
	code = version_enter_in(d, version, ENV_DEVELOPMENT, err);
	Sluice__Store__V1__PublicationRecord *publication = NULL;
	if (code == SL_OK && new_version->found != NULL) {
		code = version_seal_in(d, app, version, &publication, err);
	}
	if (code != SL_OK) {
		return code;
	}
	version_put(d, version);
	version_put_name(d, version);
	put_id(d, version);
	version_event(d, SLUICE__V1__EVENT_TYPE__EVENT_TYPE_CREATED, app, version, publication, 0);
	if (publication != NULL) {
		*new_version->ret_publication = publication;
	}
	*ret_version = version;
	return SL_OK;
}

void version_remove_in(struct decision *d, const Sluice__Store__V1__AppRecord *app,
		       const Sluice__Store__V1__VersionRecord *version)
{
	version_event(d, SLUICE__V1__EVENT_TYPE__EVENT_TYPE_DELETED, app, version, NULL, 0);
	struct record_key key = version_key(d->workspace, app->id, version->number);
	decision_delete(d, TABLE_VERSIONS, &key);
	decision_delete(d, TABLE_PUBLICATIONS, &key);
	decision_delete(d, TABLE_RELEASE_SIGNATURES, &key);
	struct record_key name = version_name_key(d->workspace, app->id, version->name);
	decision_delete(d, TABLE_VERSIONS_BY_NAME, &name);
	struct record_key id = KEY(d->workspace, key_text(k, version->id));
	decision_delete(d, TABLE_VERSIONS_BY_ID, &id);
	struct record_key resolve =
	    owed_key(d->workspace, SLUICE__STORE__V1__OWED_KIND__OWED_KIND_RESOLVE, app->id,
		     version->number);
	decision_delete(d, TABLE_OWED, &resolve);
	struct record_key publish =
	    owed_key(d->workspace, SLUICE__STORE__V1__OWED_KIND__OWED_KIND_PUBLISH, app->id,
		     version->number);
	decision_delete(d, TABLE_OWED, &publish);
}
