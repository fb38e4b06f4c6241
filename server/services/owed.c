#include "server/services/owed.h"

#include <string.h>

#include "base/mem/own.h"
#include "server/records/commits.h"
#include "server/records/wire.h"
#include "server/services/noun_checks.h"
#include "sluice/v1/repository.pb-c.h"

/* --- ListOwed ---------------------------------------------------------------------- */

sl_code owed_list_check(const void *message, struct sl_err *err)
{
	const Sluice__V1__ListOwedRequest *request = message;
	return check_reference("repository", request->repository, err);
}

static void fill_commit(struct sl_arena *arena, const Sluice__Store__V1__OwedCommit *commit,
			Sluice__V1__OwedItem *item)
{
	item->kind = SLUICE__V1__OWED_KIND__OWED_KIND_COMMIT;
	item->id = commit->id;
	item->text = commit->message;
	item->author = commit->author;
	item->at = wire_time(arena, commit->at_ms);
	item->failure = commit->failure;
	item->failure_text = commit->text;
}

static sl_code fill_tag(struct service_read *read, const Sluice__Store__V1__OwedRecord *owed,
			Sluice__V1__OwedItem *item, struct sl_err *err)
{
	Sluice__Store__V1__VersionRecord *version = NULL;
	Sluice__Store__V1__PublicationRecord *publication = NULL;
	sl_code code = version_get(read->view, read->arena, read->workspace, owed->app_id,
				   owed->version, &version, err);
	code = code != SL_OK ? code
			     : publication_get(read->view, read->arena, read->workspace,
					       owed->app_id, owed->version, &publication, err);
	if (code != SL_OK) {
		return code;
	}
	item->kind = SLUICE__V1__OWED_KIND__OWED_KIND_TAG;
	item->id = version->id;
	item->version = wire_version_ref(read->arena, version);
	item->text = publication->ref;
	if (publication->reason != SLUICE__V1__CONTENT_REASON__CONTENT_REASON_UNSPECIFIED) {
		const ProtobufCEnumValue *reason = protobuf_c_enum_descriptor_get_value(
		    &sluice__v1__content_reason__descriptor, (int)publication->reason);
		static const char prefix[] = "CONTENT_REASON_";
		item->failure = (char *)(reason == NULL ? "" : reason->name + sizeof(prefix) - 1);
	}
	item->failure_text = publication->text;
	return SL_OK;
}

static sl_code fill_item(struct service_read *read, const Sluice__Store__V1__OwedRecord *owed,
			 Sluice__V1__OwedItem **ret_item, struct sl_err *err)
{
	Sluice__Store__V1__AppRecord *app = NULL;
	Sluice__V1__OwedItem *item = SL_ARENA_NEW(read->arena, Sluice__V1__OwedItem);
	sl_code code = app_get(read->view, read->arena, read->workspace, owed->app_id, &app, err);
	if (item == NULL || code != SL_OK) {
		return code;
	}
	sluice__v1__owed_item__init(item);
	item->app_id = app->id;
	item->app = app->name;
	item->attempts = owed->attempts;
	item->parked = owed->parked;
	item->next_attempt_at = wire_time(read->arena, owed->next_ms);
	if (owed->commit != NULL) {
		fill_commit(read->arena, owed->commit, item);
	} else {
		code = fill_tag(read, owed, item, err);
	}
	*ret_item = item;
	return code;
}

static bool is_shown(const Sluice__Store__V1__OwedRecord *owed, const char *repository_id)
{
	return owed->kind != SLUICE__STORE__V1__OWED_KIND__OWED_KIND_RESOLVE &&
	       strcmp(owed->repository_id, repository_id) == 0;
}

static sl_code walk_owed(struct service_read *read, const char *repository_id,
			 const struct service_page *page, Sluice__V1__ListOwedResponse *response,
			 struct sl_err *err)
{
	struct record_key prefix = key_of(read->workspace);
	struct sl_bytes next = SL_BYTES_NONE;
	SL_AUTO(store_walk_end) struct store_walk walk;
	store_walk_begin(&walk, read->view, TABLE_OWED, key_bytes(&prefix), STORE_FORWARD);
	store_walk_from(&walk, page->from);
	response->items = SL_ARENA_ARRAY(read->arena, Sluice__V1__OwedItem *, page->size);
	while (response->items != NULL && store_walk_next(&walk)) {
		if (response->n_items == page->size) {
			next = walk.key;
			break;
		}
		Sluice__Store__V1__OwedRecord *owed = NULL;
		sl_code code =
		    record_unpack(read->arena, walk.value,
				  &sluice__store__v1__owed_record__descriptor, &owed, err);
		if (code == SL_OK && is_shown(owed, repository_id)) {
			code = fill_item(read, owed, &response->items[response->n_items], err);
			response->n_items++;
		}
		if (code != SL_OK) {
			return code;
		}
	}
	response->page = service_page_end(read, page, next);
	return store_walk_result(&walk, err);
}

sl_code owed_list_read(struct service_read *read, const void *message, void *reply,
		       struct sl_err *err)
{
	const Sluice__V1__ListOwedRequest *request = message;
	Sluice__Store__V1__RepositoryRecord *record = NULL;
	struct service_page page;
	sl_code code = repository_find(read->view, read->arena, read->workspace,
				       request->repository, &record, err);
	if (code != SL_OK) {
		return code;
	}
	const char *scope = sl_arena_printf(read->arena, "ListOwed %s", record->id);
	code = service_page_begin(read, request->page, scope != NULL ? scope : "", &page, err);
	return code != SL_OK ? code : walk_owed(read, record->id, &page, reply, err);
}

/* --- RetryOwed, DropOwed -------------------------------------------------------------- */

static sl_code find(struct decision *d, const char *repository, const char *id,
		    Sluice__Store__V1__OwedRecord **ret_owed, struct sl_err *err)
{
	Sluice__Store__V1__RepositoryRecord *record = NULL;
	sl_code code = repository_find(d->view, d->arena, d->workspace, repository, &record, err);
	return code != SL_OK
		   ? code
		   : owed_find(d->view, d->arena, d->workspace, record, id, ret_owed, err);
}

static sl_code check_item(const char *repository, const char *id, struct sl_err *err)
{
	sl_code code = check_reference("repository", repository, err);
	return code != SL_OK ? code : check_reference("owed", id, err);
}

sl_code owed_retry_check(const void *message, struct sl_err *err)
{
	const Sluice__V1__RetryOwedRequest *request = message;
	return check_item(request->repository, request->owed, err);
}

sl_code owed_retry(struct decision *d, const void *message, void *reply, struct sl_err *err)
{
	const Sluice__V1__RetryOwedRequest *request = message;
	Sluice__Store__V1__OwedRecord *owed = NULL;
	(void)reply;
	sl_code code = find(d, request->repository, request->owed, &owed, err);
	if (code != SL_OK) {
		return code;
	}
	d->object.app_id = owed->app_id;
	return owed_decide_retry(d, owed, err);
}

sl_code owed_drop_check(const void *message, struct sl_err *err)
{
	const Sluice__V1__DropOwedRequest *request = message;
	return check_item(request->repository, request->owed, err);
}

sl_code owed_drop(struct decision *d, const void *message, void *reply, struct sl_err *err)
{
	const Sluice__V1__DropOwedRequest *request = message;
	Sluice__Store__V1__OwedRecord *owed = NULL;
	(void)reply;
	sl_code code = find(d, request->repository, request->owed, &owed, err);
	return code != SL_OK ? code : owed_decide_drop(d, owed, err);
}
