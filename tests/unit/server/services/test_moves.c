/* The rows of PromotionService and ReleaseService and the three about pins: shape, act, read, page.
 * Each request and response goes over the wire form. The fleet is a fake: what it counts is not
 * what is tested here. */
#include "tests/unit/server/records/steps.h"

#include <stdio.h>

#include "server/config/config.h"
#include "server/fleet/fleet.h"
#include "server/records/apps.h"
#include "server/services/moves.h"
#include "server/services/service.h"
#include "sluice/v1/promotion.pb-c.h"
#include "sluice/v1/release.pb-c.h"

#define TAGS SLUICE__V1__PUBLISH_MODE__PUBLISH_MODE_TAGS
#define PROMOTE SLUICE__V1__PLAN_ACTION__PLAN_ACTION_PROMOTE
#define RELEASE SLUICE__V1__PLAN_ACTION__PLAN_ACTION_RELEASE
#define ROLLBACK SLUICE__V1__PLAN_ACTION__PLAN_ACTION_ROLLBACK

/* --- the fake fleet -------------------------------------------------------------------- */

static char the_fleet; /* only its address counts */
static char reached_version[64];

sl_code fleet_reach(struct fleet *fleet, const struct wire *in,
		    const Sluice__Store__V1__AppRecord *app, uint32_t environment,
		    const char *version_id, struct fleet_reach *ret_reach, struct sl_err *err)
{
	(void)err;
	assert_ptr_equal(fleet, &the_fleet);
	assert_int_equal(in->workspace, STEPS_WORKSPACE);
	assert_int_equal(environment, ENV_PRODUCTION);
	(void)snprintf(reached_version, sizeof(reached_version), "%s", version_id);
	char **urls = SL_ARENA_ARRAY(in->arena, char *, 1);
	urls[0] = sl_arena_printf(in->arena, "https://example.com/%s", app->slug);
	*ret_reach = (struct fleet_reach){.instances = 6,
					  .ready = 1,
					  .not_ready = 2,
					  .unreachable = 3,
					  .share_urls = urls,
					  .share_url_count = 1};
	return SL_OK;
}

/* --- calling --------------------------------------------------------------------------- */

static struct server_config config = {.page_max = 1000};
static struct services services = {.config = &config};

static const struct service_method pin_rows[] = {
    {.path = "/SelectVersion",
     .request = &sluice__v1__select_version_request__descriptor,
     .response = &sluice__v1__select_version_response__descriptor,
     .check = selection_select_check,
     .decide = selection_select_decide},
    {.path = "/ClearSelection",
     .request = &sluice__v1__clear_selection_request__descriptor,
     .response = &sluice__v1__clear_selection_response__descriptor,
     .check = selection_clear_check,
     .decide = selection_clear_decide},
    {.path = "/ListSelections",
     .request = &sluice__v1__list_selections_request__descriptor,
     .response = &sluice__v1__list_selections_response__descriptor,
     .check = selection_list_check,
     .read = selection_list_read},
};

static const struct service_method *row_of(const ProtobufCMessageDescriptor *request)
{
	static const struct {
		const struct service_method *rows;
		size_t count;
	} tables[] = {
	    {promotion_methods, SL_COUNT(promotion_methods)},
	    {release_methods, SL_COUNT(release_methods)},
	    {pin_rows, SL_COUNT(pin_rows)},
	};
	for (size_t i = 0; i < SL_COUNT(tables); i++) {
		for (size_t j = 0; j < tables[i].count; j++) {
			if (tables[i].rows[j].request == request) {
				return &tables[i].rows[j];
			}
		}
	}
	fail_msg("no row takes %s", request->name);
	return NULL;
}

static void *over_the_wire(struct steps *s, const ProtobufCMessage *message)
{
	size_t size = protobuf_c_message_get_packed_size(message);
	uint8_t *bytes = sl_arena_alloc(&s->arena, size + 1);
	(void)protobuf_c_message_pack(message, bytes);
	void *copy = protobuf_c_message_unpack(message->descriptor, sl_arena_protobuf(&s->arena),
					       size, bytes);
	assert_non_null(copy);
	return copy;
}

struct call {
	const struct service_method *row;
	const void *request;
	void *response;
};

static sl_code call_decide(struct decision *d, struct steps *s, const void *in, struct sl_err *err)
{
	const struct call *call = in;
	(void)s;
	d->services = &services;
	return call->row->decide(d, call->request, call->response, err);
}

static void call_read(struct steps *s, const struct call *call)
{
	struct service_read read = {.services = &services,
				    .caller = &access_anonymous,
				    .rights = &rights_everything,
				    .arena = &s->arena,
				    .workspace = STEPS_WORKSPACE,
				    .workspace_name = "default",
				    .principal = "ann"};
	assert_int_equal(store_view_begin(s->store, &read.view, NULL), SL_OK);
	s->revision = 0;
	s->code = call->row->read(&read, call->request, call->response, &s->err);
	store_view_end(read.view);
}

/* Check, then decide or read. NULL: refused. */
static void *try(struct steps *s, const void *message)
{
	struct call call = {.row = row_of(((const ProtobufCMessage *)message)->descriptor)};
	call.request = over_the_wire(s, message);
	call.response = sl_arena_alloc(&s->arena, call.row->response->sizeof_message);
	protobuf_c_message_init(call.row->response, call.response);
	services.fleet = (struct fleet *)&the_fleet;
	sl_err_clear(&s->err);
	s->revision = 0;
	s->code = call.row->check != NULL ? call.row->check(call.request, &s->err) : SL_OK;
	if (s->code == SL_OK && call.row->read != NULL) {
		call_read(s, &call);
	} else if (s->code == SL_OK) {
		(void)steps_run(s, call_decide, &call);
	}
	assert_int_equal(s->code, s->err.code);
	return s->code == SL_OK ? over_the_wire(s, call.response) : NULL;
}

static void *call(struct steps *s, const void *message)
{
	void *response = try(s, message);
	if (response == NULL) {
		fail_msg("%s / %s: %s", sl_code_name(s->code), sl_reason_name(s->err.reason),
			 s->err.msg);
	}
	return response;
}

/* --- shape ----------------------------------------------------------------------------- */

static void refused_field(struct steps *s, const void *message, const char *field)
{
	assert_null(try(s, message));
	steps_refused(s, SL_INVALID_ARGUMENT, SL_REASON_MALFORMED, "");
	for (const struct sl_detail *at = s->err.details; at != NULL; at = at->next) {
		if (at->kind == SL_DETAIL_FIELD && strcmp(at->subject, field) == 0) {
			return;
		}
	}
	fail_msg("'%s' does not name field %s", s->err.msg, field);
}

static void test_moves_check_the_shape_of_acts(void **state)
{
	struct steps *s = *state;
	Sluice__V1__PromoteRequest promote = SLUICE__V1__PROMOTE_REQUEST__INIT;
	refused_field(s, &promote, "app");
	promote.app = "shop";
	refused_field(s, &promote, "version");
	promote.version = "v1";
	refused_field(s, &promote, "from");
	promote.from = "development";
	promote.plan_hash = (ProtobufCBinaryData){.len = 5, .data = (uint8_t *)"short"};
	refused_field(s, &promote, "plan_hash");
	Sluice__V1__ReleaseRequest release = SLUICE__V1__RELEASE_REQUEST__INIT;
	refused_field(s, &release, "app");
	release.app = "shop";
	refused_field(s, &release, "version");
	release.version = "v1";
	release.plan_hash = promote.plan_hash;
	refused_field(s, &release, "plan_hash");
	Sluice__V1__RollbackRequest rollback = SLUICE__V1__ROLLBACK_REQUEST__INIT;
	refused_field(s, &rollback, "app");
	rollback.app = "shop";
	rollback.plan_hash = promote.plan_hash;
	refused_field(s, &rollback, "plan_hash");
	Sluice__V1__WithdrawReleaseRequest withdraw = SLUICE__V1__WITHDRAW_RELEASE_REQUEST__INIT;
	refused_field(s, &withdraw, "app");
}

static void test_moves_check_the_shape_of_plans_and_pins(void **state)
{
	struct steps *s = *state;
	Sluice__V1__PlanRequest plan = SLUICE__V1__PLAN_REQUEST__INIT;
	plan.app = "shop";
	refused_field(s, &plan, "action");
	plan.action = PROMOTE;
	refused_field(s, &plan, "version");
	plan.action = (Sluice__V1__PlanAction)9;
	refused_field(s, &plan, "action");
	Sluice__V1__SelectVersionRequest select = SLUICE__V1__SELECT_VERSION_REQUEST__INIT;
	select.app = "shop";
	refused_field(s, &select, "environment");
	select.environment = "staging";
	refused_field(s, &select, "version");
	Sluice__V1__ClearSelectionRequest clear = SLUICE__V1__CLEAR_SELECTION_REQUEST__INIT;
	refused_field(s, &clear, "app");
	Sluice__V1__ListSelectionsRequest list = SLUICE__V1__LIST_SELECTIONS_REQUEST__INIT;
	refused_field(s, &list, "app");
	Sluice__V1__ListReleaseHistoryRequest history =
	    SLUICE__V1__LIST_RELEASE_HISTORY_REQUEST__INIT;
	refused_field(s, &history, "app");
	Sluice__V1__GetReleaseRequest get = SLUICE__V1__GET_RELEASE_REQUEST__INIT;
	refused_field(s, &get, "app");
}

/* --- promotions ------------------------------------------------------------------------- */

static Sluice__V1__Plan *plan(struct steps *s, Sluice__V1__PlanAction action, const char *version)
{
	Sluice__V1__PlanRequest request = SLUICE__V1__PLAN_REQUEST__INIT;
	request.action = action;
	request.app = "shop";
	request.version = (char *)version;
	return ((Sluice__V1__PlanResponse *)call(s, &request))->plan;
}

static Sluice__V1__PromoteResponse *promote(struct steps *s, const char *version, const char *from,
					    const ProtobufCBinaryData *plan_hash)
{
	Sluice__V1__PromoteRequest request = SLUICE__V1__PROMOTE_REQUEST__INIT;
	request.app = "shop";
	request.version = (char *)version;
	request.from = (char *)from;
	if (plan_hash != NULL) {
		request.plan_hash = *plan_hash;
	}
	return call(s, &request);
}

static void test_moves_plan_then_act_on_its_hash(void **state)
{
	struct steps *s = *state;
	steps_shop(s, TAGS);
	Sluice__V1__Plan *seen = plan(s, PROMOTE, "v1");
	assert_false(seen->allowed);
	assert_int_equal(seen->gates[2]->state, SLUICE__V1__GATE_STATE__GATE_STATE_WAIT);
	steps_ready(s, "v1", 1);
	seen = plan(s, PROMOTE, "v1");
	assert_true(seen->allowed);
	assert_string_equal(seen->target, "staging");
	const Sluice__V1__PromoteResponse *moved =
	    promote(s, "v1", "development", &seen->plan_hash);
	assert_int_equal(moved->promotion->revision, s->revision);
	assert_memory_equal(moved->promotion->plan_hash.data, seen->plan_hash.data, 32);
	assert_string_equal(moved->version->environment, "staging");
	steps_published(s, "v1");
	(void)promote(s, "v1", "staging", &plan(s, PROMOTE, "v1")->plan_hash);

	Sluice__V1__ReleaseRequest release = SLUICE__V1__RELEASE_REQUEST__INIT;
	release.app = "shop";
	release.version = "v1";
	release.plan_hash = plan(s, RELEASE, "v1")->plan_hash;
	const Sluice__V1__ReleaseResponse *released = call(s, &release);
	assert_string_equal(released->release->version->name, "v1");
	Sluice__V1__PlanRequest elsewhere = SLUICE__V1__PLAN_REQUEST__INIT;
	elsewhere.action = PROMOTE;
	elsewhere.app = "shop";
	elsewhere.version = "v1";
	assert_null(try(s, &elsewhere));
	steps_refused(s, SL_FAILED_PRECONDITION, SL_REASON_LAST_ENVIRONMENT, "v1");
}

static void test_moves_plan_shows_a_step_that_is_not_the_next(void **state)
{
	struct steps *s = *state;
	steps_shop(s, TAGS);
	steps_ready(s, "v1", 1);
	Sluice__V1__PlanRequest request = SLUICE__V1__PLAN_REQUEST__INIT;
	request.action = PROMOTE;
	request.app = "shop";
	request.version = "v1";
	request.environment = "production";
	const Sluice__V1__Plan *seen = ((Sluice__V1__PlanResponse *)call(s, &request))->plan;
	assert_false(seen->allowed);
	assert_string_equal(seen->gates[0]->id, "order");
	assert_int_equal(seen->gates[0]->state, SLUICE__V1__GATE_STATE__GATE_STATE_BLOCK);
	request.action = ROLLBACK;
	request.version = "";
	assert_null(try(s, &request));
	steps_refused(s, SL_FAILED_PRECONDITION, SL_REASON_NO_PREVIOUS, "shop");
}

/* All pages of ListPromotions, "v2>production v2>staging ...". */
static const char *list_promotions(struct steps *s, const char *app, int page_size)
{
	Sluice__V1__PageRequest page = SLUICE__V1__PAGE_REQUEST__INIT;
	Sluice__V1__ListPromotionsRequest request = SLUICE__V1__LIST_PROMOTIONS_REQUEST__INIT;
	const char *text = "";
	page.page_size = page_size;
	request.app = (char *)app;
	request.page = &page;
	do {
		Sluice__V1__ListPromotionsResponse *response = call(s, &request);
		assert_true(response->page->revision > 0);
		for (size_t i = 0; i < response->n_promotions; i++) {
			const Sluice__V1__Promotion *at = response->promotions[i];
			text =
			    sl_arena_printf(&s->arena, "%s%s>%s ", text, at->version->name, at->to);
		}
		page.page_token = response->page->next_page_token;
	} while (page.page_token[0] != '\0');
	return text;
}

static sl_code delete_decide(struct decision *d, struct steps *s, const void *in,
			     struct sl_err *err)
{
	Sluice__Store__V1__AppRecord *app = NULL;
	(void)s, (void)in;
	sl_code code = app_find(d->view, d->arena, d->workspace, "shop", &app, err);
	return code != SL_OK ? code : apps_decide_delete(d, app, err);
}

static void test_moves_list_promotions_also_of_a_deleted_app(void **state)
{
	static const char all[] = "v2>production v2>staging v1>production v1>staging ";
	struct steps *s = *state;
	steps_shop(s, TAGS);
	steps_produce(s, "v1");
	steps_produce(s, "v2");
	const char *id = steps_app(s)->id;
	for (int page_size = 0; page_size <= 5; page_size++) {
		assert_string_equal(list_promotions(s, "", page_size), all);
		assert_string_equal(list_promotions(s, "shop", page_size), all);
		assert_string_equal(list_promotions(s, id, page_size), all);
	}
	assert_int_equal(steps_run(s, delete_decide, NULL), SL_OK);
	assert_string_equal(list_promotions(s, id, 2), all);
	assert_string_equal(list_promotions(s, "", 2), all);
	Sluice__V1__ListPromotionsRequest request = SLUICE__V1__LIST_PROMOTIONS_REQUEST__INIT;
	request.app = "shop";
	assert_null(try(s, &request));
	steps_refused(s, SL_NOT_FOUND, SL_REASON_APP_NOT_FOUND, "shop");
}

static void test_moves_refuse_a_token_of_another_list(void **state)
{
	struct steps *s = *state;
	steps_shop(s, TAGS);
	steps_produce(s, "v1");
	Sluice__V1__PageRequest page = SLUICE__V1__PAGE_REQUEST__INIT;
	Sluice__V1__ListPromotionsRequest request = SLUICE__V1__LIST_PROMOTIONS_REQUEST__INIT;
	page.page_size = 1;
	request.page = &page;
	page.page_token =
	    ((Sluice__V1__ListPromotionsResponse *)call(s, &request))->page->next_page_token;
	request.app = "shop";
	assert_null(try(s, &request));
	steps_refused(s, SL_INVALID_ARGUMENT, SL_REASON_PAGE_TOKEN_INVALID, "");
}

static void test_moves_get_one_promotion(void **state)
{
	struct steps *s = *state;
	steps_shop(s, TAGS);
	steps_ready(s, "v1", 1);
	Sluice__V1__GetPromotionRequest request = SLUICE__V1__GET_PROMOTION_REQUEST__INIT;
	request.revision = promote(s, "v1", "development", NULL)->promotion->revision;
	const Sluice__V1__GetPromotionResponse *got = call(s, &request);
	assert_string_equal(got->promotion->version->name, "v1");
	assert_string_equal(got->promotion->app, "shop");
	request.revision--;
	assert_null(try(s, &request));
	steps_refused(s, SL_NOT_FOUND, SL_REASON_PROMOTION_NOT_FOUND, "");
}

/* --- releases --------------------------------------------------------------------------- */

static Sluice__V1__ReleaseResponse *release(struct steps *s, const char *version)
{
	Sluice__V1__ReleaseRequest request = SLUICE__V1__RELEASE_REQUEST__INIT;
	request.app = "shop";
	request.version = (char *)version;
	return call(s, &request);
}

static void check_reach(struct steps *s, const Sluice__V1__ReleaseReach *reach, const char *version)
{
	assert_non_null(reach);
	assert_int_equal(reach->n_share_urls, 1);
	assert_string_equal(reach->share_urls[0], "https://example.com/shop");
	assert_int_equal(reach->ready, 1);
	assert_int_equal(reach->not_ready, 2);
	assert_int_equal(reach->unreachable, 3);
	assert_string_equal(reached_version, steps_get(s, version)->id);
}

/* All pages of the history, "ROLLBACK v2>v1 ...". */
static const char *list_history(struct steps *s, const char *app, int page_size)
{
	Sluice__V1__PageRequest page = SLUICE__V1__PAGE_REQUEST__INIT;
	Sluice__V1__ListReleaseHistoryRequest request =
	    SLUICE__V1__LIST_RELEASE_HISTORY_REQUEST__INIT;
	static const char *const kinds[] = {"", "RELEASED", "WITHDRAWN", "ROLLBACK"};
	const char *text = "";
	page.page_size = page_size;
	request.app = (char *)app;
	request.page = &page;
	do {
		Sluice__V1__ListReleaseHistoryResponse *response = call(s, &request);
		for (size_t i = 0; i < response->n_changes; i++) {
			const Sluice__V1__ReleaseChange *at = response->changes[i];
			text = sl_arena_printf(&s->arena, "%s%s %s>%s, ", text, kinds[at->kind],
					       at->from != NULL ? at->from->name : "",
					       at->to != NULL ? at->to->name : "");
		}
		page.page_token = response->page->next_page_token;
	} while (page.page_token[0] != '\0');
	return text;
}

static void test_moves_release_roll_back_withdraw_and_keep_the_history(void **state)
{
	static const char all[] = "WITHDRAWN v1>, ROLLBACK v2>v1, RELEASED v1>v2, RELEASED >v1, ";
	struct steps *s = *state;
	steps_shop(s, TAGS);
	steps_produce(s, "v1");
	steps_produce(s, "v2");
	(void)steps_instance(s, "prod-1", ENV_PRODUCTION);
	Sluice__V1__GetReleaseRequest get = SLUICE__V1__GET_RELEASE_REQUEST__INIT;
	get.app = "shop";
	const Sluice__V1__GetReleaseResponse *now = call(s, &get);
	assert_null(now->release->version);
	assert_null(now->reach);
	const Sluice__V1__ReleaseResponse *released = release(s, "v1");
	assert_int_equal(released->n_warnings, 1);
	check_reach(s, released->reach, "v1");
	(void)release(s, "v2");
	(void)release(s, "v2"); /* changes nothing, and is no change in the history */
	steps_same(s);
	now = call(s, &get);
	assert_string_equal(now->release->version->name, "v2");
	assert_string_equal(now->release->previous->name, "v1");
	check_reach(s, now->reach, "v2");

	Sluice__V1__RollbackRequest rollback = SLUICE__V1__ROLLBACK_REQUEST__INIT;
	rollback.app = "shop";
	rollback.plan_hash = plan(s, ROLLBACK, "")->plan_hash;
	const Sluice__V1__RollbackResponse *back = call(s, &rollback);
	assert_string_equal(back->from->name, "v2");
	assert_string_equal(back->release->version->name, "v1");
	check_reach(s, back->reach, "v1");
	Sluice__V1__WithdrawReleaseRequest withdraw = SLUICE__V1__WITHDRAW_RELEASE_REQUEST__INIT;
	withdraw.app = "shop";
	const Sluice__V1__WithdrawReleaseResponse *gone = call(s, &withdraw);
	assert_string_equal(gone->withdrawn->name, "v1");
	assert_null(gone->release->version);
	assert_null(try(s, &withdraw));
	steps_refused(s, SL_FAILED_PRECONDITION, SL_REASON_RELEASE_NOT_FOUND, "shop");

	const char *id = steps_app(s)->id;
	for (int page_size = 0; page_size <= 5; page_size++) {
		assert_string_equal(list_history(s, "shop", page_size), all);
	}
	assert_int_equal(steps_run(s, delete_decide, NULL), SL_OK);
	assert_string_equal(list_history(s, id, 3), all);
}

/* --- pins -------------------------------------------------------------------------------- */

static void test_moves_pins_by_their_rows(void **state)
{
	struct steps *s = *state;
	steps_shop(s, TAGS);
	steps_produce(s, "v1");
	steps_version(s, "v2");
	steps_ready(s, "v2", 2);
	(void)steps_instance(s, "dev-1", ENV_DEVELOPMENT);
	Sluice__V1__SelectVersionRequest select = SLUICE__V1__SELECT_VERSION_REQUEST__INIT;
	select.app = "shop";
	select.version = "v1";
	select.environment = "development";
	assert_string_equal(
	    ((Sluice__V1__SelectVersionResponse *)call(s, &select))->selection->version->name,
	    "v1");
	select.instance = "dev-1";
	assert_string_equal(
	    ((Sluice__V1__SelectVersionResponse *)call(s, &select))->selection->instance, "dev-1");
	Sluice__V1__PageRequest page = SLUICE__V1__PAGE_REQUEST__INIT;
	Sluice__V1__ListSelectionsRequest list = SLUICE__V1__LIST_SELECTIONS_REQUEST__INIT;
	list.app = "shop";
	list.page = &page;
	Sluice__V1__ListSelectionsResponse *pins = call(s, &list);
	assert_int_equal(pins->n_selections, 2);
	assert_string_equal(pins->page->next_page_token, "");
	page.page_size = 1;
	pins = call(s, &list);
	assert_int_equal(pins->n_selections, 1);
	assert_string_equal(pins->selections[0]->instance, "");
	page.page_token = pins->page->next_page_token;
	pins = call(s, &list);
	assert_int_equal(pins->n_selections, 1);
	assert_string_equal(pins->selections[0]->instance, "dev-1");
	assert_string_equal(pins->page->next_page_token, "");
	Sluice__V1__ClearSelectionRequest clear = SLUICE__V1__CLEAR_SELECTION_REQUEST__INIT;
	clear.app = "shop";
	clear.environment = "development";
	assert_string_equal(((Sluice__V1__ClearSelectionResponse *)call(s, &clear))->selected->name,
			    "v2");
}

#define TEST(name) cmocka_unit_test_setup_teardown(test_moves_##name, steps_setup, steps_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(check_the_shape_of_acts),
	    TEST(check_the_shape_of_plans_and_pins),
	    TEST(plan_then_act_on_its_hash),
	    TEST(plan_shows_a_step_that_is_not_the_next),
	    TEST(list_promotions_also_of_a_deleted_app),
	    TEST(refuse_a_token_of_another_list),
	    TEST(get_one_promotion),
	    TEST(release_roll_back_withdraw_and_keep_the_history),
	    TEST(pins_by_their_rows),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
