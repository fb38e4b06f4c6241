/* PromotionService: Plan runs what the acts run, as a read; promotions are read back from the log.
 */
#include "base/mem/own.h"
#include "server/records/history.h"
#include "server/records/promotions.h"
#include "server/services/moves.h"
#include "server/services/service.h"
#include "sluice/v1/promotion.pb-c.h"

/* --- Plan -------------------------------------------------------------------------- */

static sl_code plan_check(const void *message, struct sl_err *err)
{
	const Sluice__V1__PlanRequest *request = message;
	bool back = request->action == SLUICE__V1__PLAN_ACTION__PLAN_ACTION_ROLLBACK;
	if (request->action < SLUICE__V1__PLAN_ACTION__PLAN_ACTION_PROMOTE ||
	    request->action > SLUICE__V1__PLAN_ACTION__PLAN_ACTION_ROLLBACK) {
		sl_code code = sl_err_because(err, SL_INVALID_ARGUMENT, SL_REASON_MALFORMED,
					      "action must be PROMOTE, RELEASE or ROLLBACK, is %d",
					      (int)request->action);
		sl_err_field(err, "action", "PROMOTE, RELEASE or ROLLBACK");
		return code;
	}
	sl_code code = check_reference("app", request->app, err);
	if (code == SL_OK && (!back || request->version[0] != '\0')) {
		code = check_reference("version", request->version, err);
	}
	if (code == SL_OK && request->environment[0] != '\0') {
		code = check_reference("environment", request->environment, err);
	}
	return code;
}

static sl_code plan_version(const struct plan_base *base, const Sluice__V1__PlanRequest *request,
			    struct plan *plan, struct sl_err *err)
{
	const struct wire *in = &base->in;
	Sluice__Store__V1__VersionRecord *version = NULL;
	uint32_t target = 0;
	sl_code code = version_find(in->view, in->arena, in->workspace, base->app, request->version,
				    &version, err);
	if (code == SL_OK && request->action == SLUICE__V1__PLAN_ACTION__PLAN_ACTION_RELEASE) {
		return plan_release(base, version, plan, err);
	}
	if (code == SL_OK && request->environment[0] != '\0') {
		code = environment_find(request->environment, &target, err);
	}
	return code != SL_OK ? code : plan_promote(base, version, target, plan, err);
}

static sl_code plan_read(struct service_read *read, const void *message, void *reply,
			 struct sl_err *err)
{
	const Sluice__V1__PlanRequest *request = message;
	Sluice__V1__PlanResponse *response = reply;
	struct wire in = service_wire(read);
	const struct plan_asker asker = {.principal = read->principal, .rights = read->rights};
	Sluice__Store__V1__AppRecord *app = NULL;
	struct plan_base base;
	struct plan plan;
	sl_code code = app_find(read->view, read->arena, read->workspace, request->app, &app, err);
	code = code != SL_OK ? code : plan_base_load(&in, app, &asker, &base, err);
	if (code != SL_OK) {
		return code;
	}
	code = request->action == SLUICE__V1__PLAN_ACTION__PLAN_ACTION_ROLLBACK
		   ? plan_rollback(&base, request->version, &plan, err)
		   : plan_version(&base, request, &plan, err);
	return code != SL_OK ? code : plan_wire(&base, &plan, &response->plan, err);
}

/* --- Promote ----------------------------------------------------------------------- */

static sl_code promote_check(const void *message, struct sl_err *err)
{
	const Sluice__V1__PromoteRequest *request = message;
	sl_code code = check_reference("app", request->app, err);
	code = code != SL_OK ? code : check_reference("version", request->version, err);
	code = code != SL_OK ? code : check_reference("from", request->from, err);
	if (code == SL_OK && request->to[0] != '\0') {
		code = check_reference("to", request->to, err);
	}
	return code != SL_OK ? code : moves_check_hash(&request->plan_hash, err);
}

static sl_code promote_decide(struct decision *d, const void *message, void *reply,
			      struct sl_err *err)
{
	const Sluice__V1__PromoteRequest *request = message;
	Sluice__V1__PromoteResponse *response = reply;
	struct promotion_outcome outcome;
	struct promotion_request asked = {
	    .app = request->app,
	    .version = request->version,
	    .from = request->from,
	    .to = request->to,
	    .plan_hash = SL_BYTES(request->plan_hash.data, request->plan_hash.len),
	};
	sl_code code = promotions_decide(d, &asked, &outcome, err);
	if (code != SL_OK) {
		return code;
	}
	response->promotion = outcome.promotion;
	response->version = outcome.version;
	response->pinned = outcome.pins.environment;
	response->pinned_instances = outcome.pins.instances;
	response->n_pinned_instances = outcome.pins.instance_count;
	response->warnings = outcome.warnings;
	response->n_warnings = outcome.warning_count;
	return SL_OK;
}

/* --- GetPromotion, ListPromotions ---------------------------------------------------- */

static sl_code get_read(struct service_read *read, const void *message, void *reply,
			struct sl_err *err)
{
	const Sluice__V1__GetPromotionRequest *request = message;
	Sluice__V1__GetPromotionResponse *response = reply;
	struct wire in = service_wire(read);
	sl_code code = promotions_get(&in, request->revision, &response->promotion, err);
	return code != SL_OK || service_sees_app(read, response->promotion->app_id)
		   ? code
		   : promotion_not_found(request->revision, err);
}

/* Of one app, or of all. */
static sl_code list_index(struct service_read *read,
			  const Sluice__V1__ListPromotionsRequest *request, struct moves_list *list,
			  struct sl_err *err)
{
	struct wire in = service_wire(read);
	const char *app_id = NULL;
	list->table = TABLE_PROMOTIONS_BY_REVISION;
	list->prefix = key_of(read->workspace);
	list->scope = "ListPromotions";
	if (request->app[0] == '\0') {
		return SL_OK;
	}
	sl_code code = history_app_id(&in, request->app, &app_id, err);
	if (code == SL_OK) {
		list->table = TABLE_PROMOTIONS;
		key_text(&list->prefix, app_id);
		list->scope = sl_arena_printf(read->arena, "ListPromotions %s", app_id);
	}
	return code;
}

static sl_code list_read(struct service_read *read, const void *message, void *reply,
			 struct sl_err *err)
{
	const Sluice__V1__ListPromotionsRequest *request = message;
	Sluice__V1__ListPromotionsResponse *response = reply;
	struct wire in = service_wire(read);
	struct moves_list list = {.page = request->page};
	sl_code code = list_index(read, request, &list, err);
	code = code != SL_OK ? code : moves_list_revisions(read, &list, err);
	if (code != SL_OK) {
		return code;
	}
	response->promotions = SL_ARENA_ARRAY(read->arena, Sluice__V1__Promotion *, list.count + 1);
	for (size_t i = 0; response->promotions != NULL && i < list.count; i++) {
		code = promotions_get(&in, list.revisions[i], &response->promotions[i], err);
		if (code != SL_OK) {
			return code;
		}
		response->n_promotions++;
	}
	response->page = list.info;
	return SL_OK;
}

#define ROW(method) "/sluice.v1.PromotionService/" #method

const struct service_method promotion_methods[4] = {
    {ROW(Plan), ACCESS_VIEW, &sluice__v1__plan_request__descriptor,
     &sluice__v1__plan_response__descriptor, .check = plan_check, .read = plan_read,
     .scope = ACCESS_APP},
    {ROW(Promote), ACCESS_PROMOTE, &sluice__v1__promote_request__descriptor,
     &sluice__v1__promote_response__descriptor, .check = promote_check, .decide = promote_decide,
     .hot = true, .scope = ACCESS_APP, .where = ACCESS_IN_TARGET},
    {ROW(GetPromotion), ACCESS_VIEW, &sluice__v1__get_promotion_request__descriptor,
     &sluice__v1__get_promotion_response__descriptor, .read = get_read, .scope = ACCESS_ITEMS},
    {ROW(ListPromotions), ACCESS_VIEW, &sluice__v1__list_promotions_request__descriptor,
     &sluice__v1__list_promotions_response__descriptor, .read = list_read, .scope = ACCESS_ITEMS},
};
