/* ReleaseService: the pointer from app to released version, and its history. */
#include "base/crypto/sign.h"
#include "base/mem/own.h"
#include "server/fleet/fleet.h"
#include "server/records/history.h"
#include "server/records/releases.h"
#include "server/records/versions.h"
#include "server/services/moves.h"
#include "server/services/service.h"
#include "sluice/v1/release.pb-c.h"

/* How the instances stand to what is released; nothing is released: their share URLs and no counts.
 */
static sl_code reach_of(const struct services *services, const struct wire *in,
			const Sluice__Store__V1__AppRecord *app,
			const Sluice__V1__VersionRef *version, Sluice__V1__ReleaseReach **ret_reach,
			struct sl_err *err)
{
	struct fleet_reach found;
	if (version == NULL || services == NULL || services->fleet == NULL) {
		return SL_OK;
	}
	sl_code code =
	    fleet_reach(services->fleet, in, app, ENV_PRODUCTION, version->id, &found, err);
	if (code != SL_OK) {
		return code;
	}
	Sluice__V1__ReleaseReach *reach = SL_ARENA_NEW(in->arena, Sluice__V1__ReleaseReach);
	if (reach == NULL) {
		return sl_err_no_memory(err);
	}
	sluice__v1__release_reach__init(reach);
	reach->share_urls = found.share_urls;
	reach->n_share_urls = found.share_url_count;
	reach->ready = found.ready;
	reach->not_ready = found.not_ready;
	reach->unreachable = found.unreachable;
	*ret_reach = reach;
	return SL_OK;
}

static sl_code decided_reach(const struct decision *d, const struct release_outcome *outcome,
			     Sluice__V1__ReleaseReach **ret_reach, struct sl_err *err)
{
	struct wire in = wire_of(d);
	return reach_of(d->services, &in, outcome->app, outcome->version, ret_reach, err);
}

/* --- Release ------------------------------------------------------------------------- */

static sl_code release_check(const void *message, struct sl_err *err)
{
	const Sluice__V1__ReleaseRequest *request = message;
	sl_code code = check_reference("app", request->app, err);
	code = code != SL_OK ? code : check_reference("version", request->version, err);
	return code != SL_OK ? code : moves_check_hash(&request->plan_hash, err);
}

static sl_code release_decide(struct decision *d, const void *message, void *reply,
			      struct sl_err *err)
{
	const Sluice__V1__ReleaseRequest *request = message;
	Sluice__V1__ReleaseResponse *response = reply;
	struct release_outcome outcome;
	struct sl_bytes plan_hash = SL_BYTES(request->plan_hash.data, request->plan_hash.len);
	sl_code code =
	    releases_decide_release(d, request->app, request->version, plan_hash, &outcome, err);
	if (code != SL_OK) {
		return code;
	}
	response->release = outcome.release;
	if (outcome.plan != NULL) {
		response->warnings = plan_warnings(outcome.plan, d->arena, &response->n_warnings);
	}
	return decided_reach(d, &outcome, &response->reach, err);
}

/* --- WithdrawRelease ----------------------------------------------------------------- */

static sl_code withdraw_check(const void *message, struct sl_err *err)
{
	const Sluice__V1__WithdrawReleaseRequest *request = message;
	return check_reference("app", request->app, err);
}

static sl_code withdraw_decide(struct decision *d, const void *message, void *reply,
			       struct sl_err *err)
{
	const Sluice__V1__WithdrawReleaseRequest *request = message;
	Sluice__V1__WithdrawReleaseResponse *response = reply;
	struct release_outcome outcome;
	sl_code code = releases_decide_withdraw(d, request->app, &outcome, err);
	if (code == SL_OK) {
		response->release = outcome.release;
		response->withdrawn = outcome.from;
	}
	return code;
}

/* --- Rollback ------------------------------------------------------------------------ */

static sl_code rollback_check(const void *message, struct sl_err *err)
{
	const Sluice__V1__RollbackRequest *request = message;
	sl_code code = check_reference("app", request->app, err);
	if (code == SL_OK && request->to[0] != '\0') {
		code = check_reference("to", request->to, err);
	}
	return code != SL_OK ? code : moves_check_hash(&request->plan_hash, err);
}

static sl_code rollback_decide(struct decision *d, const void *message, void *reply,
			       struct sl_err *err)
{
	const Sluice__V1__RollbackRequest *request = message;
	Sluice__V1__RollbackResponse *response = reply;
	struct release_outcome outcome;
	struct sl_bytes plan_hash = SL_BYTES(request->plan_hash.data, request->plan_hash.len);
	sl_code code =
	    releases_decide_rollback(d, request->app, request->to, plan_hash, &outcome, err);
	if (code != SL_OK) {
		return code;
	}
	response->release = outcome.release;
	response->from = outcome.from;
	response->skipped = outcome.skipped;
	response->n_skipped = outcome.skipped_count;
	return decided_reach(d, &outcome, &response->reach, err);
}

/* --- SignRelease --------------------------------------------------------------------- */

static sl_code sign_check(const void *message, struct sl_err *err)
{
	const Sluice__V1__SignReleaseRequest *request = message;
	sl_code code = check_reference("app", request->app, err);
	code = code != SL_OK ? code : check_reference("version", request->version, err);
	if (code == SL_OK && request->signature.len != SL_SIGNATURE_BYTES) {
		code = sl_err_because(err, SL_INVALID_ARGUMENT, SL_REASON_MALFORMED,
				      "signature must have %d bytes, has %zu", SL_SIGNATURE_BYTES,
				      request->signature.len);
		sl_err_field(err, "signature", "64 bytes");
	}
	return code;
}

static sl_code sign_decide(struct decision *d, const void *message, void *reply, struct sl_err *err)
{
	const Sluice__V1__SignReleaseRequest *request = message;
	Sluice__V1__SignReleaseResponse *response = reply;
	Sluice__Store__V1__AppRecord *app = NULL;
	Sluice__Store__V1__VersionRecord *version = NULL;
	struct sl_bytes signature = SL_BYTES(request->signature.data, request->signature.len);
	sl_code code = app_find(d->view, d->arena, d->workspace, request->app, &app, err);
	code = code != SL_OK ? code
			     : version_find(d->view, d->arena, d->workspace, app, request->version,
					    &version, err);
	code = code != SL_OK ? code : versions_decide_sign_release(d, app, version, signature, err);
	if (code == SL_OK) {
		response->version = wire_version_ref(d->arena, version);
	}
	return code;
}

/* --- GetRelease ---------------------------------------------------------------------- */

static sl_code get_check(const void *message, struct sl_err *err)
{
	const Sluice__V1__GetReleaseRequest *request = message;
	return check_reference("app", request->app, err);
}

static sl_code get_read(struct service_read *read, const void *message, void *reply,
			struct sl_err *err)
{
	const Sluice__V1__GetReleaseRequest *request = message;
	Sluice__V1__GetReleaseResponse *response = reply;
	struct wire in = service_wire(read);
	Sluice__Store__V1__AppRecord *app = NULL;
	sl_code code = app_find(read->view, read->arena, read->workspace, request->app, &app, err);
	code = code != SL_OK ? code : releases_get(&in, app, &response->release, err);
	return code != SL_OK ? code
			     : reach_of(read->services, &in, app, response->release->version,
					&response->reach, err);
}

/* --- ListReleaseHistory -------------------------------------------------------------- */

static sl_code history_check(const void *message, struct sl_err *err)
{
	const Sluice__V1__ListReleaseHistoryRequest *request = message;
	return check_reference("app", request->app, err);
}

static sl_code history_read(struct service_read *read, const void *message, void *reply,
			    struct sl_err *err)
{
	const Sluice__V1__ListReleaseHistoryRequest *request = message;
	Sluice__V1__ListReleaseHistoryResponse *response = reply;
	struct wire in = service_wire(read);
	struct moves_list list = {.page = request->page,
				  .table = TABLE_RELEASE_HISTORY,
				  .prefix = key_of(read->workspace)};
	const char *app_id = NULL;
	sl_code code = history_app_id(&in, request->app, &app_id, err);
	if (code != SL_OK) {
		return code;
	}
	key_text(&list.prefix, app_id);
	list.scope = sl_arena_printf(read->arena, "ListReleaseHistory %s", app_id);
	code = moves_list_revisions(read, &list, err);
	response->changes =
	    SL_ARENA_ARRAY(read->arena, Sluice__V1__ReleaseChange *, list.count + 1);
	for (size_t i = 0; code == SL_OK && response->changes != NULL && i < list.count; i++) {
		code = releases_read_change(&in, list.revisions[i], app_id, &response->changes[i],
					    err);
		response->n_changes += code == SL_OK ? 1 : 0;
	}
	response->page = list.info;
	return code;
}

#define ROW(method) "/sluice.v1.ReleaseService/" #method

const struct service_method release_methods[6] = {
    {ROW(Release), ACCESS_RELEASE, &sluice__v1__release_request__descriptor,
     &sluice__v1__release_response__descriptor, .check = release_check, .decide = release_decide,
     .hot = true, .scope = ACCESS_APP, .where = ACCESS_IN_PRODUCTION},
    {ROW(WithdrawRelease), ACCESS_RELEASE, &sluice__v1__withdraw_release_request__descriptor,
     &sluice__v1__withdraw_release_response__descriptor, .check = withdraw_check,
     .decide = withdraw_decide, .scope = ACCESS_APP, .where = ACCESS_IN_PRODUCTION},
    {ROW(Rollback), ACCESS_ROLLBACK, &sluice__v1__rollback_request__descriptor,
     &sluice__v1__rollback_response__descriptor, .check = rollback_check, .decide = rollback_decide,
     .scope = ACCESS_APP, .where = ACCESS_IN_PRODUCTION},
    {ROW(SignRelease), ACCESS_RELEASE, &sluice__v1__sign_release_request__descriptor,
     &sluice__v1__sign_release_response__descriptor, .check = sign_check, .decide = sign_decide,
     .scope = ACCESS_APP, .where = ACCESS_IN_PRODUCTION},
    {ROW(GetRelease), ACCESS_VIEW, &sluice__v1__get_release_request__descriptor,
     &sluice__v1__get_release_response__descriptor, .check = get_check, .read = get_read,
     .scope = ACCESS_APP, .where = ACCESS_IN_PRODUCTION},
    {ROW(ListReleaseHistory), ACCESS_VIEW, &sluice__v1__list_release_history_request__descriptor,
     &sluice__v1__list_release_history_response__descriptor, .check = history_check,
     .read = history_read, .scope = ACCESS_APP, .where = ACCESS_IN_PRODUCTION},
};
