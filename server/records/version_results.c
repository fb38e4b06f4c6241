/* versions: what Git workers found out, and did. */
#include <string.h>

#include "base/pb/pb.h"
#include "server/records/versions.h"
#include "server/records/versions_internal.h"

static char *text_or_empty(const char *text)
{
	return (char *)(text != NULL ? text : "");
}

/* App and version by key; SL_NOT_FOUND: one of them is gone, *err is left alone. */
static sl_code load(struct decision *d, const char *app_id, uint32_t number,
		    Sluice__Store__V1__AppRecord **ret_app,
		    Sluice__Store__V1__VersionRecord **ret_version, struct sl_err *err)
{
	sl_code code = app_get(d->view, d->arena, d->workspace, app_id, ret_app, err);
	return code != SL_OK
		   ? code
		   : version_get(d->view, d->arena, d->workspace, app_id, number, ret_version, err);
}

static bool is_unreachable(Sluice__V1__ContentReason reason)
{
	return reason == SLUICE__V1__CONTENT_REASON__CONTENT_REASON_REPOSITORY_UNREACHABLE;
}

/* The owed row, one attempt later. A row that is gone is not made again: nothing is owed any more.
 */
static sl_code put_attempt(struct decision *d, const struct record_key *key, uint64_t next_ms,
			   bool parked, uint32_t *ret_attempts, struct sl_err *err)
{
	Sluice__Store__V1__OwedRecord *owed = NULL;
	sl_code code = record_get(d->view, d->arena, TABLE_OWED, key,
				  &sluice__store__v1__owed_record__descriptor, &owed, err);
	if (code != SL_OK) {
		return code == SL_NOT_FOUND ? SL_OK : code;
	}
	owed->attempts++;
	owed->next_ms = next_ms;
	owed->parked = parked;
	*ret_attempts = owed->attempts;
	decision_put(d, TABLE_OWED, key, &owed->base);
	return SL_OK;
}

/* --- content ------------------------------------------------------------------------------ */

static sl_code fill_ready(struct decision *d, Sluice__Store__V1__ContentRecord *content,
			  const struct version_content_result *result, struct sl_err *err)
{
	content->state = SLUICE__V1__CONTENT_STATE__CONTENT_STATE_READY;
	content->reason = SLUICE__V1__CONTENT_REASON__CONTENT_REASON_UNSPECIFIED;
	content->text = text_or_empty(NULL);
	content->rule = text_or_empty(NULL);
	content->retried_ms = 0;
	content->commit = text_or_empty(result->commit);
	content->tree = text_or_empty(result->tree);
	content->ref = text_or_empty(result->ref);
	content->digest.data = sl_arena_dup(d->arena, result->digest, 32);
	content->digest.len = content->digest.data != NULL ? 32 : 0;
	content->files = result->files;
	content->bytes = result->bytes;
	content->subject = text_or_empty(result->subject);
	content->author = text_or_empty(result->author);
	content->commit_s = result->commit_s;
	if (result->contract != NULL) {
		struct sl_bytes contract = pb_pack(d->arena, &result->contract->base);
		content->contract.data = (uint8_t *)(uintptr_t)contract.data;
		content->contract.len = contract.size;
	}
	content->made_from = text_or_empty(NULL);
	content->push_revision = 0;
	content->n_conflicts = 0;
	return content->digest.len == 32 ? SL_OK : records_out_of_memory(err);
}

sl_code version_content_found(struct decision *d, Sluice__Store__V1__VersionRecord *version,
			      const char *asked, const struct version_content_result *found,
			      struct sl_err *err)
{
	Sluice__Store__V1__ContentRecord *content =
	    SL_ARENA_NEW(d->arena, Sluice__Store__V1__ContentRecord);
	if (content == NULL) {
		return records_out_of_memory(err);
	}
	sluice__store__v1__content_record__init(content);
	content->asked = text_or_empty(asked);
	content->generation = 1;
	version->content = content;
	return fill_ready(d, content, found, err);
}

static void fill_failed(struct decision *d, Sluice__Store__V1__ContentRecord *content,
			const struct version_content_result *result)
{
	content->state = SLUICE__V1__CONTENT_STATE__CONTENT_STATE_FAILED;
	content->reason = result->reason;
	content->text = text_or_empty(result->text);
	content->rule = text_or_empty(result->rule);
	content->retried_ms = d->now_ms;
	content->conflicts = result->conflicts;
	content->n_conflicts = result->conflict_count;
}

static sl_code apply_content(struct decision *d, Sluice__Store__V1__ContentRecord *content,
			     const struct version_content_result *result, struct sl_err *err)
{
	struct record_key key =
	    owed_key(d->workspace, SLUICE__STORE__V1__OWED_KIND__OWED_KIND_RESOLVE, result->app_id,
		     result->version);
	if (is_unreachable(result->reason)) {
		uint32_t attempts = 0;
		fill_failed(d, content, result);
		return put_attempt(d, &key, result->next_ms, false, &attempts, err);
	}
	decision_delete(d, TABLE_OWED, &key);
	if (result->reason != SLUICE__V1__CONTENT_REASON__CONTENT_REASON_UNSPECIFIED) {
		fill_failed(d, content, result);
		return SL_OK;
	}
	return fill_ready(d, content, result, err);
}

sl_code versions_decide_content_result(struct decision *d,
				       const struct version_content_result *result,
				       struct sl_err *err)
{
	Sluice__Store__V1__AppRecord *app = NULL;
	Sluice__Store__V1__VersionRecord *version = NULL;
	sl_code code = load(d, result->app_id, result->version, &app, &version, err);
	if (code != SL_OK) {
		return code == SL_NOT_FOUND ? SL_OK : code;
	}
	/* A version that is READY owes nothing: this is a late repeat. */
	bool current = version->content != NULL &&
		       version->content->generation == result->generation &&
		       version->content->state != SLUICE__V1__CONTENT_STATE__CONTENT_STATE_READY;
	if (!current || version_check(d, VERSION_ACT_CONTENT_RESULT, app, version, NULL) != SL_OK) {
		return SL_OK;
	}
	code = apply_content(d, version->content, result, err);
	if (code != SL_OK) {
		return code;
	}
	version_put(d, version);
	version_event(d, SLUICE__V1__EVENT_TYPE__EVENT_TYPE_UPDATED, app, version, NULL, 0);
	return SL_OK;
}

/* --- publication --------------------------------------------------------------------------- */

static void fill_published(Sluice__Store__V1__PublicationRecord *publication,
			   const struct version_publish_result *result)
{
	publication->state = SLUICE__V1__PUBLICATION_STATE__PUBLICATION_STATE_PUBLISHED;
	publication->commit = text_or_empty(result->commit);
	publication->reason = SLUICE__V1__CONTENT_REASON__CONTENT_REASON_UNSPECIFIED;
	publication->text = text_or_empty(NULL);
	publication->next_ms = 0;
	publication->attempts++;
}

static sl_code apply_publication(struct decision *d,
				 Sluice__Store__V1__PublicationRecord *publication,
				 const struct version_publish_result *result, struct sl_err *err)
{
	struct record_key key =
	    owed_key(d->workspace, SLUICE__STORE__V1__OWED_KIND__OWED_KIND_PUBLISH, result->app_id,
		     result->version);
	if (result->reason == SLUICE__V1__CONTENT_REASON__CONTENT_REASON_UNSPECIFIED) {
		decision_delete(d, TABLE_OWED, &key);
		fill_published(publication, result);
		return SL_OK;
	}
	bool retry = is_unreachable(result->reason);
	publication->state = retry ? SLUICE__V1__PUBLICATION_STATE__PUBLICATION_STATE_OWED
				   : SLUICE__V1__PUBLICATION_STATE__PUBLICATION_STATE_PARKED;
	publication->reason = result->reason;
	publication->text = text_or_empty(result->text);
	publication->next_ms = retry ? result->next_ms : 0;
	publication->attempts++;
	uint32_t attempts = 0;
	return put_attempt(d, &key, publication->next_ms, !retry, &attempts, err);
}

sl_code versions_decide_publish_result(struct decision *d,
				       const struct version_publish_result *result,
				       struct sl_err *err)
{
	Sluice__Store__V1__AppRecord *app = NULL;
	Sluice__Store__V1__VersionRecord *version = NULL;
	Sluice__Store__V1__PublicationRecord *publication = NULL;
	sl_code code = load(d, result->app_id, result->version, &app, &version, err);
	if (code == SL_OK) {
		code = publication_get(d->view, d->arena, d->workspace, result->app_id,
				       result->version, &publication, err);
	}
	if (code != SL_OK) {
		return code == SL_NOT_FOUND ? SL_OK : code;
	}
	if (publication->state == SLUICE__V1__PUBLICATION_STATE__PUBLICATION_STATE_PUBLISHED ||
	    version_check(d, VERSION_ACT_PUBLISH_RESULT, app, version, NULL) != SL_OK) {
		return SL_OK;
	}
	code = apply_publication(d, publication, result, err);
	if (code != SL_OK) {
		return code;
	}
	publication->revision = d->revision;
	struct record_key key = version_key(d->workspace, app->id, version->number);
	decision_put(d, TABLE_PUBLICATIONS, &key, &publication->base);
	version_event(d, SLUICE__V1__EVENT_TYPE__EVENT_TYPE_UPDATED, app, version, publication,
		      UINT32_MAX);
	return SL_OK;
}
