/* Drafts that instances push, on a real store: the lease, the order, the answers, and what is left
 * when none comes. */
#include "tests/unit/server/records/world.h"

#include <string.h>

#include "server/records/instances.h"
#include "server/records/pushes.h"

#define TAGS SLUICE__V1__PUBLISH_MODE__PUBLISH_MODE_TAGS
#define COMMIT "0123456789012345678901234567890123456789"
enum { ORDER_MS = 300000 };

/* App shop with a READY draft v1, and instances dev-1, dev-2 and stage-1. */
struct shop {
	struct world *w;
	const char *dev_1, *dev_2, *stage_1;
	Sluice__Store__V1__AppRecord *app;
};

static struct shop make_shop(void **state)
{
	struct world *w = *state;
	struct shop shop = {.w = w};
	(void)world_repository(w, "web", TAGS);
	(void)world_app(w, "shop", "web");
	world_ready(w, "shop", "v1", 1);
	shop.dev_1 = world_instance(w, "dev-1", ENV_DEVELOPMENT);
	shop.dev_2 = world_instance(w, "dev-2", ENV_DEVELOPMENT);
	shop.stage_1 = world_instance(w, "stage-1", ENV_STAGING);
	shop.app = world_app_record(w, "shop");
	return shop;
}

/* --- ordering ----------------------------------------------------------------------------- */

static sl_code order_decide(struct decision *d, const void *in, void *out, struct sl_err *err)
{
	Sluice__Store__V1__AppRecord *app = NULL;
	Sluice__Store__V1__VersionRecord *version = NULL;
	Sluice__Store__V1__InstanceRecord *instance = NULL;
	Sluice__Store__V1__LeaseRecord *lease = NULL;
	(void)out;
	sl_code code = app_find(d->view, d->arena, WORLD, "shop", &app, err);
	code = code != SL_OK ? code : instance_find(d->view, d->arena, WORLD, in, &instance, err);
	code =
	    code != SL_OK ? code : pushes_find_draft(d->view, d->arena, WORLD, app, &version, err);
	const struct commit_push push = {
	    .instance_id = in, .expires_ms = d->now_ms + ORDER_MS, .message = "more"};
	return code != SL_OK ? code
			     : pushes_decide_order(d, app, version, instance, &push, &lease, err);
}

static void order(const struct shop *shop, const char *instance_id)
{
	assert_int_equal(world_run(shop->w, order_decide, instance_id, NULL), SL_OK);
}

static void order_refused(const struct shop *shop, const char *instance_id, enum sl_reason reason)
{
	assert_int_equal(world_run(shop->w, order_decide, instance_id, NULL),
			 SL_FAILED_PRECONDITION);
	assert_int_equal(shop->w->err.reason, reason);
	sl_err_clear(&shop->w->err);
}

struct told {
	struct push_order order;
	sl_code code;
};

/* What agents are told at the world's time; runs as a command that changes nothing. */
static sl_code look_decide(struct decision *d, const void *in, void *out, struct sl_err *err)
{
	struct told *told = out;
	Sluice__Store__V1__AppRecord *app = NULL;
	const struct world *w = in;
	sl_code code = app_find(d->view, d->arena, WORLD, "shop", &app, err);
	if (code == SL_OK) {
		told->code = push_order_get(d->view, (struct sl_arena *)(uintptr_t)&w->arena, WORLD,
					    app, d->now_ms, &told->order, err);
	}
	return code;
}

static struct told told_now(const struct shop *shop)
{
	struct told told = {.code = SL_OK};
	assert_int_equal(world_run(shop->w, look_decide, shop->w, &told), SL_OK);
	return told;
}

/* --- answering ------------------------------------------------------------------------------ */

struct answer {
	const char *instance_id;
	Sluice__V1__AgentPushed message;
};

static sl_code answer_decide(struct decision *d, const void *in, void *out, struct sl_err *err)
{
	const struct answer *answer = in;
	(void)out;
	return pushes_decide_answer(d, answer->instance_id, &answer->message, err);
}

static void answer(const struct shop *shop, const char *instance_id, const char *operation,
		   const char *failure, const char *text, const char *commit)
{
	struct answer said = {.instance_id = instance_id,
			      .message = SLUICE__V1__AGENT_PUSHED__INIT};
	said.message.operation = (char *)operation;
	said.message.app_id = shop->app->id;
	said.message.failure = (char *)failure;
	said.message.text = (char *)text;
	said.message.commit = (char *)commit;
	assert_int_equal(world_run(shop->w, answer_decide, &said, NULL), SL_OK);
}

static Sluice__Store__V1__ContentRecord *content(const struct shop *shop)
{
	return world_version_record(shop->w, "shop", "v1")->content;
}

static Sluice__Store__V1__OwedRecord *owed(const struct shop *shop)
{
	return world_get(
	    shop->w, TABLE_OWED,
	    owed_commit_key(WORLD, shop->app->repository_id, content(shop)->push_revision),
	    &sluice__store__v1__owed_record__descriptor);
}

static void test_pushes_an_order_says_all_that_its_commit_takes(void **state)
{
	struct shop shop = make_shop(state);
	assert_int_equal(told_now(&shop).code, SL_NOT_FOUND);
	order(&shop, shop.dev_1);
	struct told told = told_now(&shop);
	assert_int_equal(told.code, SL_OK);
	assert_string_equal(told.order.instance_id, shop.dev_1);
	const Sluice__V1__AgentPush *message = told.order.message;
	assert_string_equal(message->operation, owed(&shop)->commit->id);
	assert_string_equal(message->message, "Version v1 of shop : more");
	assert_string_equal(message->author, "tester");
	assert_string_equal(message->path, "apps/shop");
	assert_string_equal(message->tip, "");
	assert_non_null(strstr(message->record, "\"name\": \"shop\""));
	assert_int_equal(message->expires_at->seconds, owed(&shop)->commit->expires_ms / 1000);
	assert_int_equal(message->login.len, 0);
	assert_int_equal(content(&shop)->state, SLUICE__V1__CONTENT_STATE__CONTENT_STATE_RESOLVING);
	/* gitsync does not look before the instance may have answered. */
	assert_int_equal(owed(&shop)->next_ms, owed(&shop)->commit->expires_ms + PUSH_GRACE_MS);
	shop.w->now_ms += ORDER_MS;
	assert_int_equal(told_now(&shop).code, SL_NOT_FOUND);
}

static void test_pushes_an_answer_that_it_is_done_is_looked_for(void **state)
{
	struct shop shop = make_shop(state);
	order(&shop, shop.dev_1);
	const char *operation = owed(&shop)->commit->id;
	/* What is not of this order, or not of its instance, changes nothing. */
	answer(&shop, shop.dev_2, operation, "", "", COMMIT);
	answer(&shop, shop.dev_1, "opr_another", "", "", COMMIT);
	assert_false(owed(&shop)->commit->answered);
	answer(&shop, shop.dev_1, operation, "", "", COMMIT);
	assert_true(owed(&shop)->commit->answered);
	assert_string_equal(owed(&shop)->commit->told, COMMIT);
	assert_int_equal(owed(&shop)->next_ms, 0);
	assert_int_equal(told_now(&shop).code, SL_NOT_FOUND);
	/* A second word is too late; one that is no commit id is none. */
	answer(&shop, shop.dev_1, operation, "CONFLICT", "late", "");
	assert_true(owed(&shop)->commit->answered);
	assert_int_equal(content(&shop)->state, SLUICE__V1__CONTENT_STATE__CONTENT_STATE_RESOLVING);
}

static void test_pushes_a_refusal_ends_it_with_its_words(void **state)
{
	struct shop shop = make_shop(state);
	order(&shop, shop.dev_1);
	answer(&shop, shop.dev_1, owed(&shop)->commit->id, "CONFLICT", "two\nlines \xff", "");
	assert_int_equal(content(&shop)->reason,
			 SLUICE__V1__CONTENT_REASON__CONTENT_REASON_CONFLICT);
	assert_string_equal(content(&shop)->text, "two?lines ?");
	assert_null(owed(&shop));
	/* The lease stays, and the next order is one like the first. */
	order(&shop, shop.dev_1);
	answer(&shop, shop.dev_1, owed(&shop)->commit->id, "REPOSITORY_UNREACHABLE", "away", "x");
	assert_true(owed(&shop)->commit->answered);
	assert_string_equal(owed(&shop)->commit->told, "");
	assert_int_equal(push_reason(owed(&shop)->commit),
			 SLUICE__V1__CONTENT_REASON__CONTENT_REASON_INSTANCE_SILENT);
	assert_non_null(strstr(push_text(&shop.w->arena, owed(&shop)->commit), "away"));
}

static void test_pushes_nothing_else_is_asked_for_meanwhile(void **state)
{
	struct shop shop = make_shop(state);
	Sluice__V1__SetVersionContentRequest set = SLUICE__V1__SET_VERSION_CONTENT_REQUEST__INIT;
	set.app = "shop";
	set.version = "v1";
	order(&shop, shop.dev_1);
	order_refused(&shop, shop.dev_1, SL_REASON_PUSH_UNDER_WAY);
	world_refuse(shop.w, "SetVersionContent", &set, SL_FAILED_PRECONDITION,
		     SL_REASON_PUSH_UNDER_WAY);
	/* Once it may not push any more, or has answered. */
	shop.w->now_ms += ORDER_MS;
	(void)world_call(shop.w, "SetVersionContent", &set);
	assert_null(owed(&shop));
	order(&shop, shop.dev_1);
	answer(&shop, shop.dev_1, owed(&shop)->commit->id, "", "", COMMIT);
	(void)world_call(shop.w, "SetVersionContent", &set);
}

static sl_code break_decide(struct decision *d, const void *in, void *out, struct sl_err *err)
{
	Sluice__Store__V1__AppRecord *app = NULL;
	Sluice__Store__V1__LeaseRecord *lease = NULL;
	(void)in, (void)out;
	sl_code code = app_find(d->view, d->arena, WORLD, "shop", &app, err);
	return code != SL_OK ? code : leases_decide_break(d, app, &lease, err);
}

static void done(const struct shop *shop, const char *instance_id)
{
	order(shop, instance_id);
	answer(shop, instance_id, owed(shop)->commit->id, "PUSH_REFUSED", "no", "");
}

static void test_pushes_one_instance_has_the_lease(void **state)
{
	struct shop shop = make_shop(state);
	order_refused(&shop, shop.stage_1, SL_REASON_NOT_SUPPORTED_THERE);
	done(&shop, shop.dev_1);
	order_refused(&shop, shop.dev_2, SL_REASON_LEASE_HELD);
	/* It ends by itself, each push renews it, and it can be broken. */
	shop.w->now_ms += LEASE_MS / 2;
	done(&shop, shop.dev_1);
	shop.w->now_ms += LEASE_MS / 2;
	order_refused(&shop, shop.dev_2, SL_REASON_LEASE_HELD);
	shop.w->now_ms += LEASE_MS;
	done(&shop, shop.dev_2);
	order_refused(&shop, shop.dev_1, SL_REASON_LEASE_HELD);
	assert_int_equal(world_run(shop.w, break_decide, NULL, NULL), SL_OK);
	assert_int_equal(world_run(shop.w, break_decide, NULL, NULL), SL_NOT_FOUND);
	assert_int_equal(shop.w->err.reason, SL_REASON_LEASE_NOT_FOUND);
	sl_err_clear(&shop.w->err);
	done(&shop, shop.dev_1);
}

static void test_pushes_a_broken_lease_does_not_lose_its_order(void **state)
{
	struct shop shop = make_shop(state);
	order(&shop, shop.dev_1);
	assert_int_equal(world_run(shop.w, break_decide, NULL, NULL), SL_OK);
	assert_int_equal(told_now(&shop).code, SL_OK);
}

static void test_pushes_wait_for_a_folder_that_moves(void **state)
{
	struct shop shop = make_shop(state);
	Sluice__V1__RenameAppRequest rename = SLUICE__V1__RENAME_APP_REQUEST__INIT;
	rename.app = "shop";
	rename.new_name = "store";
	(void)world_call(shop.w, "RenameApp", &rename);
	rename.app = "store";
	rename.new_name = "shop"; /* order_decide() asks for this name */
	(void)world_call(shop.w, "RenameApp", &rename);
	order_refused(&shop, shop.dev_1, SL_REASON_CONTENT_NOT_READY);
}

static void test_pushes_need_a_draft(void **state)
{
	struct shop shop = make_shop(state);
	Sluice__V1__SealVersionRequest seal = SLUICE__V1__SEAL_VERSION_REQUEST__INIT;
	seal.app = "shop";
	seal.version = "v1";
	(void)world_call(shop.w, "SealVersion", &seal);
	order_refused(&shop, shop.dev_1, SL_REASON_NO_DRAFT);
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, world_setup, world_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(test_pushes_an_order_says_all_that_its_commit_takes),
	    TEST(test_pushes_an_answer_that_it_is_done_is_looked_for),
	    TEST(test_pushes_a_refusal_ends_it_with_its_words),
	    TEST(test_pushes_nothing_else_is_asked_for_meanwhile),
	    TEST(test_pushes_one_instance_has_the_lease),
	    TEST(test_pushes_a_broken_lease_does_not_lose_its_order),
	    TEST(test_pushes_wait_for_a_folder_that_moves),
	    TEST(test_pushes_need_a_draft),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
