#include "server/records/wire_internal.h"

#include <string.h>

#include "base/pb/pb.h"
#include "server/records/versions.h"

struct wire wire_of(const struct decision *d)
{
	return (struct wire){.view = d->view, .arena = d->arena, .workspace = d->workspace};
}

Google__Protobuf__Timestamp *wire_time(struct sl_arena *arena, uint64_t unix_ms)
{
	if (unix_ms == 0) {
		return NULL;
	}
	NEW(time, Google__Protobuf__Timestamp, google__protobuf__timestamp__init);
	time->seconds = (int64_t)(unix_ms / 1000u);
	time->nanos = (int32_t)(unix_ms % 1000u) * 1000000;
	return time;
}

Sluice__V1__Workspace *wire_workspace(struct sl_arena *arena,
				      const Sluice__Store__V1__WorkspaceRecord *record)
{
	NEW(workspace, Sluice__V1__Workspace, sluice__v1__workspace__init);
	workspace->name = record->name;
	workspace->created_at = wire_time(arena, record->created_ms);
	workspace->created_by = record->created_by;
	workspace->revision = record->revision;
	return workspace;
}

static Sluice__V1__RepositoryLogin *login(struct sl_arena *arena,
					  const Sluice__Store__V1__LoginRecord *record)
{
	if (record == NULL) {
		return NULL;
	}
	NEW(shown, Sluice__V1__RepositoryLogin, sluice__v1__repository_login__init);
	shown->kind = record->kind;
	shown->user = record->user;
	shown->public_key = record->public_key;
	shown->set_at = wire_time(arena, record->at_ms);
	shown->set_by = record->by;
	return shown;
}

/* The keys lie in one text with commas between. */
static void add_host_keys(struct sl_arena *arena, const char *list, Sluice__V1__Repository *to)
{
	enum { KEYS_MAX = 16 };
	to->host_keys = SL_ARENA_ARRAY(arena, char *, KEYS_MAX);
	while (to->host_keys != NULL && *list != '\0' && to->n_host_keys < KEYS_MAX) {
		size_t bytes = strcspn(list, ",");
		to->host_keys[to->n_host_keys++] = sl_arena_printf(arena, "%.*s", (int)bytes, list);
		list += bytes + (list[bytes] == ',');
	}
}

Sluice__V1__Repository *wire_repository(struct sl_arena *arena,
					const Sluice__Store__V1__RepositoryRecord *record)
{
	NEW(repository, Sluice__V1__Repository, sluice__v1__repository__init);
	repository->id = record->id;
	repository->name = record->name;
	repository->url = record->url;
	repository->branch = record->branch;
	repository->publish = record->publish;
	repository->commits = record->commits == SLUICE__V1__COMMIT_MODE__COMMIT_MODE_UNSPECIFIED
				  ? SLUICE__V1__COMMIT_MODE__COMMIT_MODE_NONE
				  : record->commits;
	repository->created_at = wire_time(arena, record->created_ms);
	repository->created_by = record->created_by;
	repository->revision = record->revision;
	repository->push = login(arena, record->push);
	repository->pull = login(arena, record->pull);
	repository->next_push = login(arena, record->next_push);
	repository->next_pull = login(arena, record->next_pull);
	repository->ca_pem = record->ca_pem;
	add_host_keys(arena, record->host_keys, repository);
	return repository;
}

static Sluice__V1__App__PlacementEntry **
placement(struct sl_arena *arena, Sluice__Store__V1__Label *const *labels, size_t count)
{
	Sluice__V1__App__PlacementEntry **entries =
	    SL_ARENA_ARRAY(arena, Sluice__V1__App__PlacementEntry *, count + 1);
	for (size_t i = 0; entries != NULL && i < count; i++) {
		NEW(entry, Sluice__V1__App__PlacementEntry, sluice__v1__app__placement_entry__init);
		entry->key = labels[i]->key;
		entry->value = labels[i]->value;
		entries[i] = entry;
	}
	return entries;
}

/* The number of the released version; 0: none. */
static uint32_t released_number(const struct wire *w, const char *app_id)
{
	Sluice__Store__V1__ReleaseRecord *release = NULL;
	sl_code code = release_get(w->view, w->arena, w->workspace, app_id, &release, NULL);
	return code == SL_OK ? release->version : 0;
}

Sluice__V1__App *wire_app(const struct wire *w, const Sluice__Store__V1__AppRecord *record,
			  uint32_t released_version)
{
	struct sl_arena *arena = w->arena;
	NEW(app, Sluice__V1__App, sluice__v1__app__init);
	app->id = record->id;
	app->name = record->name;
	app->slug = record->slug;
	app->display_name = record->display_name;
	app->repository_id = record->repository_id;
	app->path = record->path;
	app->placement = placement(arena, record->placement, record->n_placement);
	app->n_placement = app->placement != NULL ? record->n_placement : 0;
	app->created_at = wire_time(arena, record->created_ms);
	app->created_by = record->created_by;
	app->revision = record->revision;
	app->version_count = record->version_count;
	Sluice__Store__V1__RepositoryRecord *repository = NULL;
	if (repository_get(w->view, arena, w->workspace, record->repository_id, &repository,
			   NULL) == SL_OK) {
		app->repository = repository->name;
	}
	uint32_t released =
	    released_version == UINT32_MAX ? released_number(w, record->id) : released_version;
	app->released = wire_version_ref_get(w, record->id, released);
	return app;
}

Sluice__V1__VersionRef *wire_version_ref(struct sl_arena *arena,
					 const Sluice__Store__V1__VersionRecord *record)
{
	NEW(ref, Sluice__V1__VersionRef, sluice__v1__version_ref__init);
	ref->id = record->id;
	ref->name = record->name;
	return ref;
}

Sluice__V1__VersionRef *wire_version_ref_get(const struct wire *w, const char *app_id,
					     uint32_t number)
{
	enum {
		ID_FIELD = 1,
		NAME_FIELD = 4
	}; /* of VersionRecord, of which nothing else is asked */
	struct sl_arena *arena = w->arena;
	struct record_key key = version_key(w->workspace, app_id, number);
	struct sl_bytes value;
	if (number == 0 ||
	    store_get(w->view, TABLE_VERSIONS, key_bytes(&key), &value, NULL) != SL_OK) {
		return NULL;
	}
	NEW(ref, Sluice__V1__VersionRef, sluice__v1__version_ref__init);
	ref->id = pb_text(arena, value, ID_FIELD);
	ref->name = pb_text(arena, value, NAME_FIELD);
	return ref->id != NULL && ref->name != NULL ? ref : NULL;
}

Sluice__V1__CommitInfo *wire_commit(struct sl_arena *arena,
				    const Sluice__Store__V1__CommitRecord *record)
{
	NEW(commit, Sluice__V1__CommitInfo, sluice__v1__commit_info__init);
	commit->commit = record->commit;
	commit->author = record->author;
	commit->message = record->subject;
	commit->at = wire_time(arena, record->at_s * 1000u);
	commit->files = record->files;
	return commit;
}

Sluice__V1__Content *wire_content(struct sl_arena *arena,
				  const Sluice__Store__V1__ContentRecord *record, const char *path)
{
	NEW(content, Sluice__V1__Content, sluice__v1__content__init);
	content->state = record->state;
	content->reason = record->reason;
	content->text = record->text;
	content->rule = record->rule;
	content->retried_at = wire_time(arena, record->retried_ms);
	content->asked = record->asked;
	content->ref = record->ref;
	content->commit = record->commit;
	content->tree = record->tree;
	content->digest = record->digest;
	content->files = record->files;
	content->bytes = record->bytes;
	content->subject = record->subject;
	content->author = record->author;
	content->committed_at = wire_time(arena, record->commit_s * 1000u);
	content->path = (char *)path;
	content->conflicts =
	    SL_ARENA_ARRAY(arena, Sluice__V1__CommitInfo *, record->n_conflicts + 1);
	for (size_t i = 0; content->conflicts != NULL && i < record->n_conflicts; i++) {
		content->conflicts[content->n_conflicts++] =
		    wire_commit(arena, record->conflicts[i]);
	}
	return content;
}

Sluice__V1__Block *wire_block(struct sl_arena *arena, const Sluice__Store__V1__BlockRecord *record)
{
	NEW(block, Sluice__V1__Block, sluice__v1__block__init);
	block->mode = record->mode;
	block->reason = record->reason;
	block->at = wire_time(arena, record->at_ms);
	block->by = record->by;
	block->lifted_at = wire_time(arena, record->lifted_ms);
	block->lifted_by = record->lifted_by;
	return block;
}

Sluice__V1__Publication *wire_publication(struct sl_arena *arena,
					  const Sluice__Store__V1__PublicationRecord *record)
{
	NEW(publication, Sluice__V1__Publication, sluice__v1__publication__init);
	if (record == NULL) {
		publication->state = SLUICE__V1__PUBLICATION_STATE__PUBLICATION_STATE_NONE;
		return publication;
	}
	publication->state = record->state;
	publication->ref = record->ref;
	publication->commit = record->commit;
	publication->reason = record->reason;
	publication->text = record->text;
	publication->attempts = record->attempts;
	publication->next_attempt_at = wire_time(arena, record->next_ms);
	return publication;
}

Sluice__V1__Version *wire_version(const struct wire *w,
				  const Sluice__Store__V1__VersionRecord *record,
				  const Sluice__Store__V1__AppRecord *app,
				  const Sluice__Store__V1__PublicationRecord *publication,
				  uint32_t released_version)
{
	struct sl_arena *arena = w->arena;
	NEW(version, Sluice__V1__Version, sluice__v1__version__init);
	version->id = record->id;
	version->app_id = record->app_id;
	version->app = app->name;
	version->name = record->name;
	version->description = record->description;
	version->environment = (char *)environment_name(record->environment);
	version->state = record->state;
	if (record->content != NULL) {
		version->content = wire_content(arena, record->content, record->path);
	}
	Sluice__Store__V1__PublicationRecord *stored = NULL;
	if (publication == NULL &&
	    record->state == SLUICE__V1__VERSION_STATE__VERSION_STATE_SEALED &&
	    publication_get(w->view, arena, w->workspace, record->app_id, record->number, &stored,
			    NULL) == SL_OK) {
		publication = stored;
	}
	version->publication = wire_publication(arena, publication);
	version->block = record->block == NULL ? NULL : wire_block(arena, record->block);
	version->derived_from = wire_version_ref_get(w, record->app_id, record->derived_from);
	version->created_at = wire_time(arena, record->created_ms);
	version->created_by = record->created_by;
	version->sealed_at = wire_time(arena, record->sealed_ms);
	version->sealed_by = record->sealed_by;
	uint32_t released = released_version;
	if (released == UINT32_MAX) { /* only what is in production can be released */
		bool may_be = record->environment == ENV_PRODUCTION;
		released = may_be ? released_number(w, record->app_id) : 0;
	}
	version->released = released == record->number;
	version->revision = record->revision;
	return version;
}

Sluice__V1__VersionFacts *wire_facts(struct sl_arena *arena, uint32_t environment,
				     const Sluice__Store__V1__FactsRecord *record)
{
	NEW(facts, Sluice__V1__VersionFacts, sluice__v1__version_facts__init);
	facts->environment = (char *)environment_name(environment);
	facts->entered_at = wire_time(arena, record->entered_ms);
	facts->entered_by = record->entered_by;
	facts->entered_revision = record->entered_revision;
	facts->first_released_at = wire_time(arena, record->first_released_ms);
	facts->note_count = record->note_count;
	facts->blocks = SL_ARENA_ARRAY(arena, Sluice__V1__Block *, record->n_blocks + 1);
	for (size_t i = 0; facts->blocks != NULL && i < record->n_blocks; i++) {
		facts->blocks[i] = wire_block(arena, record->blocks[i]);
		if (facts->blocks[i] == NULL) {
			return NULL;
		}
		facts->n_blocks++;
	}
	return facts;
}

Sluice__V1__VersionNote *wire_note(struct sl_arena *arena, uint64_t revision,
				   const Sluice__Store__V1__NoteRecord *record,
				   const Sluice__Store__V1__AppRecord *app,
				   const Sluice__Store__V1__VersionRecord *version)
{
	NEW(note, Sluice__V1__VersionNote, sluice__v1__version_note__init);
	note->revision = revision;
	note->environment = (char *)environment_name(record->environment);
	note->text = record->text;
	note->at = wire_time(arena, record->at_ms);
	note->by = record->by;
	note->app = app->name;
	note->version = wire_version_ref(arena, version);
	return note;
}

static Sluice__V1__InstanceAlert *wire_alert(struct sl_arena *arena,
					     const Sluice__Store__V1__AlertRecord *record)
{
	NEW(alert, Sluice__V1__InstanceAlert, sluice__v1__instance_alert__init);
	alert->kind = record->kind;
	alert->text = sl_arena_strdup(arena, record->text);
	alert->first_at = wire_time(arena, record->first_ms);
	alert->last_at = wire_time(arena, record->last_ms);
	alert->peer = sl_arena_strdup(arena, record->peer);
	return alert;
}

Sluice__V1__InstanceAlert **wire_alerts(struct sl_arena *arena,
					const Sluice__Store__V1__InstanceRecord *record,
					size_t *ret_count)
{
	size_t count = 0;
	Sluice__V1__InstanceAlert **alerts =
	    SL_ARENA_ARRAY(arena, Sluice__V1__InstanceAlert *, record->n_alerts + 1);
	for (size_t i = 0; alerts != NULL && i < record->n_alerts; i++) {
		alerts[count] = wire_alert(arena, record->alerts[i]);
		count += alerts[count] != NULL;
	}
	*ret_count = count;
	return alerts;
}

Sluice__V1__Instance *wire_instance(struct sl_arena *arena,
				    const Sluice__Store__V1__InstanceRecord *record)
{
	NEW(instance, Sluice__V1__Instance, sluice__v1__instance__init);
	instance->id = record->id;
	instance->name = record->name;
	instance->environment = (char *)environment_name(record->environment);
	instance->public_url = record->public_url;
	instance->paused = record->paused;
	instance->created_at = wire_time(arena, record->created_ms);
	instance->created_by = record->created_by;
	instance->revision = record->revision;
	instance->labels =
	    SL_ARENA_ARRAY(arena, Sluice__V1__Instance__LabelsEntry *, record->n_labels + 1);
	for (size_t i = 0; instance->labels != NULL && i < record->n_labels; i++) {
		NEW(entry, Sluice__V1__Instance__LabelsEntry,
		    sluice__v1__instance__labels_entry__init);
		entry->key = record->labels[i]->key;
		entry->value = record->labels[i]->value;
		instance->labels[i] = entry;
		instance->n_labels++;
	}
	instance->alerts = wire_alerts(arena, record, &instance->n_alerts);
	instance->pull = record->pull != SLUICE__V1__PULL_MODE__PULL_MODE_UNSPECIFIED
			     ? record->pull
			     : SLUICE__V1__PULL_MODE__PULL_MODE_AUTO;
	instance->drift = record->drift != SLUICE__V1__DRIFT_POLICY__DRIFT_POLICY_UNSPECIFIED
			      ? record->drift
			      : SLUICE__V1__DRIFT_POLICY__DRIFT_POLICY_REPORT;
	return instance;
}

Sluice__V1__InstanceIdentity *
wire_instance_identity(struct sl_arena *arena, const Sluice__Store__V1__IdentityRecord *record)
{
	NEW(identity, Sluice__V1__InstanceIdentity, sluice__v1__instance_identity__init);
	identity->id = record->id;
	identity->enrolled_at = wire_time(arena, record->created_ms);
	identity->enrolled_from = record->peer;
	identity->certificate_expires_at = wire_time(arena, record->not_after_ms);
	identity->renewals = record->renewals;
	identity->revoked_at = wire_time(arena, record->revoked_ms);
	identity->revoked_by = record->revoked_by;
	return identity;
}
