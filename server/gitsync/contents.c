/* What a worker found, in the words of records. */
#include <string.h>

#include "base/contract/contract.h"
#include "base/mem/own.h"
#include "server/gitsync/jobs.h"
#include "server/records/versions.h"

Sluice__V1__ContentReason gitsync_reason(enum git_failure failure)
{
#define REASON(name) [GIT_##name] = SLUICE__V1__CONTENT_REASON__CONTENT_REASON_##name
	static const Sluice__V1__ContentReason reasons[GIT_FAILURE_COUNT] = {
	    REASON(REPOSITORY_UNREACHABLE), REASON(LOGIN_REFUSED),      REASON(REPOSITORY_EMPTY),
	    REASON(BRANCH_NOT_FOUND),       REASON(REVISION_NOT_FOUND), REASON(COMMIT_GONE),
	    REASON(PATH_NOT_FOUND),         REASON(PATH_NOT_A_FOLDER),  REASON(BUNDLE_EMPTY),
	    REASON(BUNDLE_REFUSED),         REASON(BUNDLE_TOO_BIG),     REASON(TAG_TAKEN),
	    REASON(PUSH_REFUSED),           REASON(WRITE_REFUSED),      REASON(REF_PROTECTED),
	    REASON(HOST_KEY_UNKNOWN),       REASON(HOST_KEY_CHANGED),   REASON(CERTIFICATE_REFUSED),
	    REASON(REPOSITORY_MOVED),       REASON(CONFLICT),           REASON(HISTORY_REWRITTEN),
	};
#undef REASON
	if (failure == GIT_OK) {
		return SLUICE__V1__CONTENT_REASON__CONTENT_REASON_UNSPECIFIED;
	}
	/* What failed on this side (worker crashed, disk full, mirror corrupt) is tried again like
	 * a host that is away. */
	return reasons[failure] == 0
		   ? SLUICE__V1__CONTENT_REASON__CONTENT_REASON_REPOSITORY_UNREACHABLE
		   : reasons[failure];
}

enum { CONFLICTS_MAX = 20 };

static Sluice__Store__V1__CommitRecord **conflicts_of(struct sl_arena *arena,
						      const struct git_result *r, size_t *ret_count)
{
	size_t count = r->log_count < CONFLICTS_MAX ? r->log_count : CONFLICTS_MAX;
	Sluice__Store__V1__CommitRecord **list =
	    SL_ARENA_ARRAY(arena, Sluice__Store__V1__CommitRecord *, count + 1);
	Sluice__Store__V1__CommitRecord *records =
	    SL_ARENA_ARRAY(arena, Sluice__Store__V1__CommitRecord, count + 1);
	for (size_t i = 0; list != NULL && records != NULL && i < count; i++) {
		sluice__store__v1__commit_record__init(&records[i]);
		records[i].commit = r->log[i].commit;
		records[i].author = r->log[i].author;
		records[i].subject = r->log[i].subject;
		records[i].at_s = r->log[i].unix_s;
		records[i].files = r->log[i].files;
		list[i] = &records[i];
	}
	*ret_count = list != NULL && records != NULL ? count : 0;
	return list;
}

static bool copy_sources(struct sl_arena *arena, const struct contract *from,
			 Sluice__V1__Contract *to)
{
	to->data_sources =
	    SL_ARENA_ARRAY(arena, Sluice__V1__RequiredSource *, from->source_count + 1);
	for (size_t i = 0; to->data_sources != NULL && i < from->source_count; i++) {
		Sluice__V1__RequiredSource *source =
		    SL_ARENA_NEW(arena, Sluice__V1__RequiredSource);
		if (source == NULL) {
			return false;
		}
		sluice__v1__required_source__init(source);
		source->name = (char *)from->sources[i].name;
		source->kind = (char *)from->sources[i].kind;
		to->data_sources[to->n_data_sources++] = source;
	}
	return to->data_sources != NULL;
}

/* The same lists; NULL when memory is out. */
static Sluice__V1__Contract *contract_record(struct sl_arena *arena, const struct contract *from)
{
	Sluice__V1__Contract *to = SL_ARENA_NEW(arena, Sluice__V1__Contract);
	if (to == NULL) {
		return NULL;
	}
	sluice__v1__contract__init(to);
	to->constants = (char **)from->constants.items;
	to->n_constants = from->constants.count;
	to->secrets = (char **)from->secrets.items;
	to->n_secrets = from->secrets.count;
	to->render = (char **)from->render.items;
	to->n_render = from->render.count;
	return copy_sources(arena, from, to) ? to : NULL;
}

/* The worker has found it without fault; but a worker is not believed. */
static void add_contract(struct sl_arena *arena, const char *sluice_json,
			 struct version_content_result *result)
{
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	struct contract *contract = NULL;
	enum contract_rule rule = CONTRACT_NOT_JSON;
	if (contract_parse(arena, sl_bytes_text(sluice_json), &contract, &rule, &err) == SL_OK) {
		result->contract = contract_record(arena, contract);
		return;
	}
	result->reason = SLUICE__V1__CONTENT_REASON__CONTENT_REASON_BUNDLE_REFUSED;
	result->rule = contract_rule_name(rule);
	result->text = sl_arena_strdup(arena, err.msg);
}

struct version_content_result gitsync_content(struct sl_arena *arena, const struct git_result *r)
{
	struct version_content_result result = {
	    .reason = gitsync_reason(r->failure),
	    .text = r->text,
	    .rule = r->rule == GIT_RULE_NONE ? "" : git_rule_name(r->rule),
	    .commit = r->commit,
	    .tree = r->tree,
	    .ref = r->ref,
	    .digest = r->digest,
	    .files = r->files,
	    .bytes = r->bytes,
	    .subject = r->subject,
	    .author = r->author,
	    .commit_s = r->commit_unix_s,
	};
	result.conflicts = conflicts_of(arena, r, &result.conflict_count);
	if (r->failure == GIT_OK && r->sluice_json != NULL) {
		add_contract(arena, r->sluice_json, &result);
	}
	return result;
}
