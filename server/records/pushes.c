/* pushes: orders to instances, and what they answer. */
#include "server/records/pushes.h"

#include <string.h>

#include "base/mem/own.h"
#include "server/records/desired_load.h"
#include "server/records/instances.h"
#include "server/records/versions.h"
#include "server/records/versions_internal.h"

enum { CONFLICTS_MAX = 20, TEXT_MAX = 500, WORDS_MAX = 256, OID_TEXT = 40 };

/* --- ordering ----------------------------------------------------------------------------- */

sl_code pushes_find_draft(const struct store_view *view, struct sl_arena *arena, uint32_t workspace,
			  const Sluice__Store__V1__AppRecord *app,
			  Sluice__Store__V1__VersionRecord **ret_version, struct sl_err *err)
{
	struct record_key prefix = KEY(workspace, key_text(k, app->id));
	SL_AUTO(store_walk_end) struct store_walk walk;
	store_walk_begin(&walk, view, TABLE_VERSIONS, key_bytes(&prefix), STORE_BACKWARD);
	while (store_walk_next(&walk)) {
		Sluice__Store__V1__VersionRecord *version = NULL;
		sl_code code =
		    record_unpack(arena, walk.value, &sluice__store__v1__version_record__descriptor,
				  &version, err);
		if (code != SL_OK) {
			return code;
		}
		if (version->state == SLUICE__V1__VERSION_STATE__VERSION_STATE_DRAFT) {
			*ret_version = version;
			return SL_OK;
		}
	}
	sl_code code = store_walk_result(&walk, err);
	return code != SL_OK ? code
			     : sl_err_because(err, SL_FAILED_PRECONDITION, SL_REASON_NO_DRAFT,
					      "app '%s' has no draft that could take a push: make "
					      "a version",
					      app->name);
}

static sl_code check_instance(const Sluice__Store__V1__AppRecord *app,
			      const Sluice__Store__V1__InstanceRecord *instance, struct sl_err *err)
{
	if (instance->environment != ENV_DEVELOPMENT) {
		return sl_err_because(err, SL_FAILED_PRECONDITION, SL_REASON_NOT_SUPPORTED_THERE,
				      "instance '%s' is in %s: only development instances push",
				      instance->name, environment_name(instance->environment));
	}
	return desired_is_placed(app, instance)
		   ? SL_OK
		   : sl_err_because(err, SL_FAILED_PRECONDITION, SL_REASON_NOT_SUPPORTED_THERE,
				    "app '%s' is not placed on instance '%s', which has nothing of "
				    "it to push",
				    app->name, instance->name);
}

static sl_code take_lease(struct decision *d, const Sluice__Store__V1__AppRecord *app,
			  const Sluice__Store__V1__InstanceRecord *instance,
			  Sluice__Store__V1__LeaseRecord **ret_lease, struct sl_err *err)
{
	Sluice__Store__V1__LeaseRecord *lease = NULL;
	sl_code code = lease_get(d->view, d->arena, d->workspace, app->id, d->now_ms, &lease, err);
	if (code != SL_OK && code != SL_NOT_FOUND) {
		return code;
	}
	bool held = code == SL_OK && strcmp(lease->instance_id, instance->id) != 0;
	Sluice__Store__V1__InstanceRecord *holder = NULL;
	if (held && instance_get(d->view, d->arena, d->workspace, lease->instance_id, &holder,
				 NULL) == SL_OK) {
		code = sl_err_because(err, SL_FAILED_PRECONDITION, SL_REASON_LEASE_HELD,
				      "app '%s' is written by instance '%s', for '%s': push from "
				      "there, wait until its lease ends, or break it",
				      app->name, holder->name, lease->by);
		sl_err_meta(err, "instance", "%s", holder->name);
		return code;
	}
	if (code == SL_NOT_FOUND || held) {
		lease = SL_ARENA_NEW(d->arena, Sluice__Store__V1__LeaseRecord);
		if (lease == NULL) {
			return records_out_of_memory(err);
		}
		sluice__store__v1__lease_record__init(lease);
		lease->instance_id = instance->id;
		lease->since_ms = d->now_ms;
	}
	lease->by = (char *)d->principal;
	lease->expires_ms = d->now_ms + LEASE_MS;
	lease->push_revision = lease->revision = d->revision;
	struct record_key key = KEY(d->workspace, key_text(k, app->id));
	decision_put(d, TABLE_LEASES, &key, &lease->base);
	*ret_lease = lease;
	return SL_OK;
}

sl_code pushes_decide_order(struct decision *d, const Sluice__Store__V1__AppRecord *app,
			    Sluice__Store__V1__VersionRecord *version,
			    const Sluice__Store__V1__InstanceRecord *instance,
			    const struct commit_push *push,
			    Sluice__Store__V1__LeaseRecord **ret_lease, struct sl_err *err)
{
	bool moves = false;
	sl_code code = check_instance(app, instance, err);
	code = code != SL_OK ? code : commits_find_move(d, app, &moves, err);
	if (code == SL_OK && moves) {
		return sl_err_because(err, SL_FAILED_PRECONDITION, SL_REASON_CONTENT_NOT_READY,
				      "the folder of app '%s' is about to be moved in Git: push "
				      "when that is done",
				      app->name);
	}
	code = code != SL_OK ? code : take_lease(d, app, instance, ret_lease, err);
	return code != SL_OK ? code : versions_decide_push(d, app, version, push, err);
}

/* --- telling --------------------------------------------------------------------------------- */

static sl_code fill_order(const struct store_view *view, struct sl_arena *arena, uint32_t workspace,
			  const Sluice__Store__V1__AppRecord *app,
			  const Sluice__Store__V1__OwedRecord *owed, Sluice__V1__AgentPush *order,
			  struct sl_err *err)
{
	Sluice__Store__V1__RepositoryRecord *repository = NULL;
	Sluice__Store__V1__VersionRecord *version = NULL;
	Sluice__Store__V1__BranchRecord *branch = NULL;
	sl_code code = repository_get(view, arena, workspace, app->repository_id, &repository, err);
	code = code != SL_OK
		   ? code
		   : version_get(view, arena, workspace, app->id, owed->version, &version, err);
	if (code != SL_OK) {
		return code;
	}
	code = branch_get(view, arena, workspace, app->repository_id, &branch, err);
	if (code != SL_OK && code != SL_NOT_FOUND) {
		return code;
	}
	const Sluice__Store__V1__OwedCommit *commit = owed->commit;
	order->operation = commit->id;
	order->app_id = app->id;
	order->version_id = version->id;
	order->repository_id = repository->id;
	order->url = repository->url;
	order->branch = repository->branch;
	order->tip = (char *)commit_known_tip(repository, branch, arena);
	order->path = (char *)commit_folder_of(app->path);
	order->record_path = (char *)commit_record_path(arena, app);
	order->record = commit_record(arena, commit, app->path);
	order->author = commit->author;
	order->message = commit->message;
	order->at_s = commit->at_ms / 1000u;
	order->onto = commit->onto;
	order->expires_at = wire_time(arena, commit->expires_ms);
	return sl_arena_failed(arena) ? records_out_of_memory(err) : SL_OK;
}

sl_code push_order_get(const struct store_view *view, struct sl_arena *arena, uint32_t workspace,
		       const Sluice__Store__V1__AppRecord *app, uint64_t now_ms,
		       struct push_order *ret_order, struct sl_err *err)
{
	Sluice__Store__V1__LeaseRecord *lease = NULL;
	Sluice__Store__V1__OwedRecord *owed = NULL;
	struct record_key key = KEY(workspace, key_text(k, app->id));
	sl_code code = record_get(view, arena, TABLE_LEASES, &key,
				  &sluice__store__v1__lease_record__descriptor, &lease, err);
	if (code != SL_OK) {
		return code;
	}
	key = owed_commit_key(workspace, app->repository_id, lease->push_revision);
	code = record_get(view, arena, TABLE_OWED, &key,
			  &sluice__store__v1__owed_record__descriptor, &owed, err);
	if (code != SL_OK) {
		return code;
	}
	const Sluice__Store__V1__OwedCommit *commit = owed->commit;
	if (commit == NULL || commit->instance_id[0] == '\0' || commit->answered ||
	    commit->expires_ms <= now_ms || strcmp(owed->app_id, app->id) != 0) {
		return SL_NOT_FOUND;
	}
	ret_order->instance_id = commit->instance_id;
	ret_order->message = SL_ARENA_NEW(arena, Sluice__V1__AgentPush);
	if (ret_order->message == NULL) {
		return records_out_of_memory(err);
	}
	sluice__v1__agent_push__init(ret_order->message);
	return fill_order(view, arena, workspace, app, owed, ret_order->message, err);
}

/* --- hearing --- */

static Sluice__V1__ContentReason reason_named(const char *failure)
{
	char name[64] = "CONTENT_REASON_";
	size_t at = strlen(name);
	sl_text_copy(name + at, sizeof(name) - at, failure);
	const ProtobufCEnumValue *value = protobuf_c_enum_descriptor_get_value_by_name(
	    &sluice__v1__content_reason__descriptor, name);
	return value == NULL ? SLUICE__V1__CONTENT_REASON__CONTENT_REASON_UNSPECIFIED
			     : (Sluice__V1__ContentReason)value->value;
}

Sluice__V1__ContentReason push_reason(const Sluice__Store__V1__OwedCommit *commit)
{
	Sluice__V1__ContentReason reason = reason_named(commit->failure);
	/* That its host could not be reached was so for the agent: here it can. */
	bool known = reason != SLUICE__V1__CONTENT_REASON__CONTENT_REASON_UNSPECIFIED &&
		     reason != SLUICE__V1__CONTENT_REASON__CONTENT_REASON_REPOSITORY_UNREACHABLE;
	return known ? reason : SLUICE__V1__CONTENT_REASON__CONTENT_REASON_INSTANCE_SILENT;
}

const char *push_text(struct sl_arena *arena, const Sluice__Store__V1__OwedCommit *commit)
{
	return commit->text[0] != '\0'
		   ? sl_arena_printf(arena, "nothing was pushed: the instance said: %s",
				     commit->text)
		   : "nothing was pushed: the instance did not answer in time";
}

/* Cut, one line of UTF-8: an agent said it. */
static char *plain(struct sl_arena *arena, const char *text, size_t max)
{
	char *copy = sl_arena_printf(arena, "%.*s", (int)max, text);
	for (unsigned char *c = (unsigned char *)copy; c != NULL && *c != '\0';) {
		size_t length = *c < ' ' || *c == 0x7f ? 0 : sl_utf8_length(c);
		*c = length == 0 ? '?' : *c;
		c += length == 0 ? 1 : length;
	}
	return copy != NULL ? copy : (char *)"";
}

static bool is_commit_id(const char *text)
{
	return strlen(text) == OID_TEXT && strspn(text, "0123456789abcdef") == OID_TEXT;
}

static void add_conflicts(struct decision *d, const Sluice__V1__AgentPushed *answer,
			  struct version_content_result *result)
{
	size_t count = answer->n_conflicts < CONFLICTS_MAX ? answer->n_conflicts : CONFLICTS_MAX;
	result->conflicts = SL_ARENA_ARRAY(d->arena, Sluice__Store__V1__CommitRecord *, count + 1);
	for (size_t i = 0; result->conflicts != NULL && i < count; i++) {
		const Sluice__V1__CommitInfo *from = answer->conflicts[i];
		Sluice__Store__V1__CommitRecord *to =
		    SL_ARENA_NEW(d->arena, Sluice__Store__V1__CommitRecord);
		if (to == NULL || !is_commit_id(from->commit)) {
			break;
		}
		sluice__store__v1__commit_record__init(to);
		to->commit = from->commit;
		to->author = plain(d->arena, from->author, WORDS_MAX);
		to->subject = plain(d->arena, from->message, WORDS_MAX);
		to->at_s =
		    from->at != NULL && from->at->seconds > 0 ? (uint64_t)from->at->seconds : 0;
		to->files = from->files;
		result->conflicts[result->conflict_count++] = to;
	}
}

/* Nothing is in Git, and it stays so: the push is over. */
static sl_code end_push(struct decision *d, const Sluice__Store__V1__OwedRecord *owed,
			const Sluice__V1__AgentPushed *answer, Sluice__V1__ContentReason reason,
			struct sl_err *err)
{
	struct record_key key = owed_key_of(d->workspace, owed);
	struct version_content_result result = {
	    .app_id = owed->app_id,
	    .version = owed->version,
	    .generation = owed->generation,
	    .reason = reason,
	    .text = plain(d->arena, answer->text, TEXT_MAX),
	    .rule = plain(d->arena, answer->rule, WORDS_MAX),
	};
	add_conflicts(d, answer, &result);
	decision_delete(d, TABLE_OWED, &key);
	return versions_decide_content_result(d, &result, err);
}

/* Whatever it is, the branch is looked at before it is believed. */
static void note_answer(struct decision *d, Sluice__Store__V1__OwedRecord *owed,
			const Sluice__V1__AgentPushed *answer)
{
	Sluice__Store__V1__OwedCommit *commit = owed->commit;
	commit->answered = true;
	commit->told = is_commit_id(answer->commit) ? answer->commit : (char *)"";
	commit->failure = plain(d->arena, answer->failure, WORDS_MAX);
	commit->text = plain(d->arena, answer->text, TEXT_MAX);
	owed->next_ms = 0;
	struct record_key key = owed_key_of(d->workspace, owed);
	decision_put(d, TABLE_OWED, &key, &owed->base);
}

sl_code pushes_decide_answer(struct decision *d, const char *instance_id,
			     const Sluice__V1__AgentPushed *answer, struct sl_err *err)
{
	Sluice__Store__V1__AppRecord *app = NULL;
	Sluice__Store__V1__OwedRecord *owed = NULL;
	sl_code code = app_get(d->view, d->arena, d->workspace, answer->app_id, &app, err);
	code = code != SL_OK ? code
			     : commits_find(d, app->repository_id, answer->operation, &owed, err);
	if (code != SL_OK) {
		return code == SL_NOT_FOUND ? SL_OK : code;
	}
	const Sluice__Store__V1__OwedCommit *commit = owed->commit;
	if (commit->answered || commit->instance_id[0] == '\0' ||
	    strcmp(commit->instance_id, instance_id) != 0 || strcmp(owed->app_id, app->id) != 0) {
		return SL_OK;
	}
	Sluice__V1__ContentReason reason = reason_named(answer->failure);
	bool over = reason != SLUICE__V1__CONTENT_REASON__CONTENT_REASON_UNSPECIFIED &&
		    reason != SLUICE__V1__CONTENT_REASON__CONTENT_REASON_REPOSITORY_UNREACHABLE;
	if (over) {
		return end_push(d, owed, answer, reason, err);
	}
	note_answer(d, owed, answer);
	return SL_OK;
}
