/* versions: made, given content, renamed, sealed, deleted. */
#include <string.h>
#include <strings.h>

#include "base/mem/own.h"
#include "server/records/apps.h"
#include "server/records/commits.h"
#include "server/records/entries.h"
#include "server/records/selections.h"
#include "server/records/version_use.h"
#include "server/records/versions.h"
#include "server/records/versions_internal.h"

static sl_code expect(const struct decision *d, const Sluice__Store__V1__VersionRecord *version,
		      struct sl_err *err)
{
	return decision_expect(d, "version", version->name, version->revision, err);
}

/* The newest in development, else the newest. */
static sl_code default_origin(struct decision *d, const Sluice__Store__V1__AppRecord *app,
			      Sluice__Store__V1__VersionRecord **ret_version, struct sl_err *err)
{
	struct version_origin origin = {0};
	bool decided = false;
	struct record_key prefix = KEY(d->workspace, key_text(k, app->id));
	SL_AUTO(store_walk_end) struct store_walk walk;
	store_walk_begin(&walk, d->view, TABLE_VERSIONS, key_bytes(&prefix), STORE_BACKWARD);
	while (!decided && store_walk_next(&walk)) {
		Sluice__Store__V1__VersionRecord *version = NULL;
		sl_code code =
		    record_unpack(d->arena, walk.value,
				  &sluice__store__v1__version_record__descriptor, &version, err);
		if (code != SL_OK) {
			return code;
		}
		decided = version_origin_look(&origin, version->number, version->environment);
		if (origin.number == version->number) {
			*ret_version = version;
		}
	}
	return store_walk_result(&walk, err);
}

sl_code versions_decide_create(struct decision *d, Sluice__Store__V1__AppRecord *app,
			       const struct version_wanted *wanted,
			       Sluice__Store__V1__VersionRecord **ret_version, struct sl_err *err)
{
	version_refusal(d, app, NULL);
	sl_code code = decision_expect_none(d, err);
	if (code != SL_OK) {
		return code;
	}
	Sluice__Store__V1__VersionRecord *origin = NULL;
	bool named = wanted->from[0] != '\0';
	code = named
		   ? version_find(d->view, d->arena, d->workspace, app, wanted->from, &origin, err)
		   : default_origin(d, app, &origin, err);
	if (code != SL_OK) {
		return code;
	}
	struct version_new new_version = {
	    .name = wanted->name,
	    .description = wanted->description,
	    .commit = wanted->commit,
	    .path = named ? origin->path : app->path,
	    .from = origin,
	    .from_content = named,
	};
	code = version_create_in(d, app, &new_version, ret_version, err);
	if (code != SL_OK) {
		return code;
	}
	(void)app_put_in(d, SLUICE__V1__EVENT_TYPE__EVENT_TYPE_UPDATED, app);
	return wanted->no_commit ? SL_OK : commits_owe_version(d, app, *ret_version, err);
}

sl_code versions_decide_set_content(struct decision *d, const Sluice__Store__V1__AppRecord *app,
				    Sluice__Store__V1__VersionRecord *version, const char *commit,
				    struct sl_err *err)
{
	sl_code code = expect(d, version, err);
	if (code == SL_OK) {
		code = version_check(d, VERSION_ACT_SET_CONTENT, app, version, err);
	}
	if (code == SL_OK) {
		code = version_content_reset(d, app, version, commit, err);
	}
	if (code != SL_OK) {
		return code;
	}
	version->path = app->path; /* which may have moved since the version was made */
	version_put(d, version);
	version_event(d, SLUICE__V1__EVENT_TYPE__EVENT_TYPE_UPDATED, app, version, NULL, 0);
	return SL_OK;
}

sl_code versions_decide_push(struct decision *d, const Sluice__Store__V1__AppRecord *app,
			     Sluice__Store__V1__VersionRecord *version,
			     const struct commit_push *push, struct sl_err *err)
{
	sl_code code = expect(d, version, err);
	code = code != SL_OK ? code : version_check(d, VERSION_ACT_SET_CONTENT, app, version, err);
	code = code != SL_OK ? code : version_content_clear(d, app, version, "", err);
	if (code != SL_OK) {
		return code;
	}
	version->path = app->path;
	version->content->push_revision = d->revision;
	version_put(d, version);
	version_event(d, SLUICE__V1__EVENT_TYPE__EVENT_TYPE_UPDATED, app, version, NULL, 0);
	return commits_owe_push(d, app, version, push, err);
}

/* The facts name the version for when it is gone. */
static sl_code rename_facts(struct decision *d, const Sluice__Store__V1__VersionRecord *version,
			    struct sl_err *err)
{
	struct wire wire = wire_of(d);
	Sluice__Store__V1__FactsRecord *facts = NULL;
	sl_code code = facts_get(&wire, version, version->environment, &facts, err);
	if (code != SL_OK) {
		return code == SL_NOT_FOUND ? SL_OK : code;
	}
	facts->version_name = version->name;
	struct record_key key =
	    facts_key(d->workspace, version->app_id, version->number, version->environment);
	decision_put(d, TABLE_FACTS, &key, &facts->base);
	return SL_OK;
}

static sl_code rename_version(struct decision *d, const Sluice__Store__V1__AppRecord *app,
			      Sluice__Store__V1__VersionRecord *version, const char *new_name,
			      struct sl_err *err)
{
	/* Another spelling of the same name is its own entry in the index. */
	if (strcasecmp(version->name, new_name) != 0) {
		sl_code code = version_name_free(d, app, new_name, err);
		if (code != SL_OK) {
			return code;
		}
		struct record_key old = version_name_key(d->workspace, app->id, version->name);
		decision_delete(d, TABLE_VERSIONS_BY_NAME, &old);
	}
	version->name = (char *)new_name;
	version_put_name(d, version);
	return rename_facts(d, version, err);
}

sl_code versions_decide_update(struct decision *d, const Sluice__Store__V1__AppRecord *app,
			       Sluice__Store__V1__VersionRecord *version, const char *new_name,
			       const char *description, struct sl_err *err)
{
	sl_code code = expect(d, version, err);
	if (code == SL_OK) {
		code = version_check(d, VERSION_ACT_UPDATE, app, version, err);
	}
	if (code != SL_OK) {
		return code;
	}
	bool renamed = new_name[0] != '\0' && strcmp(new_name, version->name) != 0;
	if (!renamed && strcmp(description, version->description) == 0) {
		return SL_OK;
	}
	const char *old_name = version->name;
	code = renamed ? rename_version(d, app, version, new_name, err) : SL_OK;
	if (code == SL_OK && renamed) {
		code = commits_owe_version_renamed(d, app, version, old_name, err);
	}
	if (code != SL_OK) {
		return code;
	}
	version->description = (char *)description;
	version_put(d, version);
	version_event(d, SLUICE__V1__EVENT_TYPE__EVENT_TYPE_UPDATED, app, version, NULL, 0);
	return SL_OK;
}

sl_code versions_decide_seal(struct decision *d, const Sluice__Store__V1__AppRecord *app,
			     Sluice__Store__V1__VersionRecord *version,
			     Sluice__Store__V1__PublicationRecord **ret_publication,
			     struct sl_err *err)
{
	sl_code code = expect(d, version, err);
	bool sealed = version->state == SLUICE__V1__VERSION_STATE__VERSION_STATE_SEALED;
	if (code == SL_OK) {
		code = version_seal_in(d, app, version, ret_publication, err);
	}
	if (code != SL_OK || sealed) {
		return code;
	}
	version_put(d, version);
	version_event(d, SLUICE__V1__EVENT_TYPE__EVENT_TYPE_UPDATED, app, version, *ret_publication,
		      UINT32_MAX);
	return SL_OK;
}

sl_code versions_decide_sign_release(struct decision *d, const Sluice__Store__V1__AppRecord *app,
				     Sluice__Store__V1__VersionRecord *version,
				     struct sl_bytes signature, struct sl_err *err)
{
	sl_code code = expect(d, version, err);
	if (code != SL_OK) {
		return code;
	}
	if (version->state != SLUICE__V1__VERSION_STATE__VERSION_STATE_SEALED) {
		return sl_err_because(err, SL_FAILED_PRECONDITION, SL_REASON_CONTENT_NOT_READY,
				      "version '%s' of '%s' is a draft: what is signed must not "
				      "change any more, so seal it first",
				      version->name, app->name);
	}
	Sluice__Store__V1__ReleaseSignatureRecord record =
	    SLUICE__STORE__V1__RELEASE_SIGNATURE_RECORD__INIT;
	record.signature = (ProtobufCBinaryData){.data = (uint8_t *)(uintptr_t)signature.data,
						 .len = signature.size};
	record.by = (char *)(uintptr_t)d->principal;
	record.at_ms = d->now_ms;
	record.revision = d->revision;
	struct record_key key = version_key(d->workspace, app->id, version->number);
	decision_put(d, TABLE_RELEASE_SIGNATURES, &key, &record.base);
	/* The version is as it was; who follows the app looks at it again. */
	Sluice__Store__V1__PublicationRecord *publication = NULL;
	code = publication_get(d->view, d->arena, d->workspace, app->id, version->number,
			       &publication, err);
	if (code == SL_OK) {
		version_event(d, SLUICE__V1__EVENT_TYPE__EVENT_TYPE_UPDATED, app, version,
			      publication, UINT32_MAX);
	}
	return code;
}

static sl_code remove_pin(struct decision *d, const struct wire *wire,
			  const Sluice__Store__V1__AppRecord *app, const struct store_walk *walk,
			  struct sl_err *err)
{
	/* What a walk shows is borrowed until the next look into the store. */
	struct sl_bytes key =
	    SL_BYTES(sl_arena_dup(d->arena, walk->key.data, walk->key.size), walk->key.size);
	struct sl_bytes value =
	    SL_BYTES(sl_arena_dup(d->arena, walk->value.data, walk->value.size), walk->value.size);
	if (key.data == NULL || value.data == NULL) {
		return records_out_of_memory(err);
	}
	struct record_key prefix = KEY(d->workspace, key_text(k, app->id));
	Sluice__V1__Selection *selection = NULL;
	sl_code code = selections_wire(wire, app, key, value, &selection, err);
	if (code != SL_OK) {
		return code;
	}
	Sluice__V1__Event *event = decision_event(d, SLUICE__V1__EVENT_TYPE__EVENT_TYPE_DELETED,
						  SLUICE__V1__EVENT_KIND__EVENT_KIND_SELECTION,
						  app->id, sl_get_be32(key.data + prefix.size),
						  (const char *)key.data + prefix.size + 4);
	event->object_case = SLUICE__V1__EVENT__OBJECT_SELECTION;
	event->selection = selection;
	d->changed = true;
	store_changes_delete(d->changes, TABLE_SELECTIONS, key);
	return SL_OK;
}

/* Pins to it that no instance follows go with it. */
static sl_code remove_pins(struct decision *d, const Sluice__Store__V1__AppRecord *app,
			   const Sluice__Store__V1__VersionRecord *version, struct sl_err *err)
{
	struct wire wire = wire_of(d);
	struct record_key prefix = KEY(d->workspace, key_text(k, app->id));
	SL_AUTO(store_walk_end) struct store_walk walk;
	store_walk_begin(&walk, d->view, TABLE_SELECTIONS, key_bytes(&prefix), STORE_FORWARD);
	while (store_walk_next(&walk)) {
		Sluice__Store__V1__SelectionRecord *pin = NULL;
		sl_code code =
		    record_unpack(d->arena, walk.value,
				  &sluice__store__v1__selection_record__descriptor, &pin, err);
		if (code != SL_OK) {
			return code;
		}
		if (pin->version == version->number) {
			code = remove_pin(d, &wire, app, &walk, err);
		}
		if (code != SL_OK) {
			return code;
		}
	}
	return store_walk_result(&walk, err);
}

sl_code versions_decide_delete(struct decision *d, Sluice__Store__V1__AppRecord *app,
			       const Sluice__Store__V1__VersionRecord *version, struct sl_err *err)
{
	sl_code code = expect(d, version, err);
	if (code == SL_OK) {
		code = version_check(d, VERSION_ACT_DELETE, app, version, err);
	}
	if (code != SL_OK) {
		return code;
	}
	if (app->version_count <= 1) {
		return sl_err_because(err, SL_FAILED_PRECONDITION, SL_REASON_LAST_VERSION,
				      "version '%s' is the only one of app '%s': an app keeps at "
				      "least one, delete the app "
				      "instead",
				      version->name, app->name);
	}
	code = version_unused(d, app, version, err);
	if (code != SL_OK) {
		return code;
	}
	code = commits_forget_push(d, app, version->number, err);
	code = code != SL_OK ? code : remove_pins(d, app, version, err);
	if (code != SL_OK) {
		return code;
	}
	version_remove_in(d, app, version);
	entry_delete(d, version);
	app->version_count--;
	(void)app_put_in(d, SLUICE__V1__EVENT_TYPE__EVENT_TYPE_UPDATED, app);
	return SL_OK;
}
