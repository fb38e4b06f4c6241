/* Promote over a real store: what moves, what is refused, and that of two at once one wins. */
#include "tests/unit/server/records/steps.h"

#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>

#include "base/id/id.h"
#include "server/records/history.h"

#define TAGS SLUICE__V1__PUBLISH_MODE__PUBLISH_MODE_TAGS
#define NONE SLUICE__V1__PUBLISH_MODE__PUBLISH_MODE_NONE
#define NO_NEW SLUICE__V1__BLOCK_MODE__BLOCK_MODE_NO_NEW
#define RECALL SLUICE__V1__BLOCK_MODE__BLOCK_MODE_RECALL
#define SEALED SLUICE__V1__VERSION_STATE__VERSION_STATE_SEALED

static sl_code decide(struct decision *d, struct steps *s, const void *in, struct sl_err *err)
{
	return promotions_decide(d, in, &s->promotion, err);
}

/* --- from x to x expected x sealed ---------------------------------------------------- */

/* Brings v1, READY and published where it can be, to an environment. */
static void bring(struct steps *s, uint32_t environment, bool sealed)
{
	steps_shop(s, TAGS);
	steps_ready(s, "v1", 1);
	if (sealed) {
		steps_seal(s, "v1");
		steps_published(s, "v1");
	}
	for (uint32_t at = ENV_DEVELOPMENT; at < environment; at++) {
		assert_int_equal(steps_promote(s, "v1", environment_name(at)), SL_OK);
		if (at == ENV_DEVELOPMENT && !sealed) {
			steps_published(s, "v1");
		}
	}
}

static void check_step(uint32_t from, uint32_t expected, uint32_t to, bool sealed)
{
	struct steps *s = NULL;
	assert_int_equal(steps_setup((void **)&s), 0);
	bring(s, from, sealed);
	uint64_t revision = steps_get(s, "v1")->revision;
	struct promotion_request request = {.app = "shop",
					    .version = "v1",
					    .from = environment_name(expected),
					    .to = environment_name(to)};
	(void)steps_run(s, decide, &request);
	if (expected != from) {
		steps_refused(s, SL_ABORTED, SL_REASON_STALE_EXPECTATION, environment_name(from));
		assert_string_equal(steps_meta(s, "environment"), environment_name(from));
	} else if (from == ENV_PRODUCTION) {
		steps_refused(s, SL_FAILED_PRECONDITION, SL_REASON_LAST_ENVIRONMENT, "production");
	} else if (to != 0 && to != from + 1) {
		steps_refused(s, SL_FAILED_PRECONDITION, SL_REASON_GATE_BLOCKED, "order");
		assert_string_equal(steps_meta(s, "order"), "BLOCK");
	} else {
		steps_done(s);
	}
	const Sluice__Store__V1__VersionRecord *now = steps_get(s, "v1");
	assert_int_equal(now->environment, s->code == SL_OK ? from + 1 : from);
	assert_int_equal(now->state == SEALED, sealed || now->environment > ENV_DEVELOPMENT);
	assert_int_equal(now->revision, s->code == SL_OK ? s->revision : revision);
	assert_int_equal(steps_teardown((void **)&s), 0);
}

static void test_promotions_from_to_expected_sealed(void **state)
{
	(void)state;
	for (uint32_t from = 1; from <= ENV_COUNT; from++) {
		for (uint32_t expected = 1; expected <= ENV_COUNT; expected++) {
			for (uint32_t to = 0; to <= ENV_COUNT; to++) {
				check_step(from, expected, to, false);
				check_step(from, expected, to, true);
			}
		}
	}
}

/* --- what is written -------------------------------------------------------------------- */

static void test_promotions_out_of_development_seals_in_the_same_command(void **state)
{
	struct steps *s = *state;
	steps_shop(s, TAGS);
	steps_ready(s, "v1", 7);
	s->reason = "looks good";
	(void)steps_promote(s, "v1", "development");
	steps_done(s);
	assert_true(s->history);
	const Sluice__Store__V1__VersionRecord *version = steps_get(s, "v1");
	assert_int_equal(version->state, SEALED);
	assert_int_equal(version->sealed_ms, s->now_ms);
	assert_int_equal(version->entered_revision, s->revision);
	const Sluice__Store__V1__FactsRecord *facts = steps_facts(s, "v1", ENV_STAGING);
	assert_non_null(facts);
	assert_int_equal(facts->entered_revision, s->revision);
	assert_int_equal(facts->entered_ms, s->now_ms);
	assert_string_equal(facts->entered_by, "ann");
	assert_non_null(steps_facts(s, "v1", ENV_DEVELOPMENT));

	const Sluice__V1__Promotion *promotion = s->promotion.promotion;
	assert_int_equal(promotion->revision, s->revision);
	assert_string_equal(promotion->from, "development");
	assert_string_equal(promotion->to, "staging");
	assert_string_equal(promotion->by, "ann");
	assert_string_equal(promotion->reason, "looks good");
	assert_string_equal(promotion->version->name, "v1");
	assert_int_equal(promotion->plan_hash.len, 32);
	assert_int_equal(promotion->digest.len, 32);
	assert_string_equal(promotion->commit, version->content->commit);
	const Sluice__V1__Version *told = s->promotion.version;
	assert_string_equal(told->environment, "staging");
	assert_int_equal(told->state, SEALED);
	assert_int_equal(told->publication->state,
			 SLUICE__V1__PUBLICATION_STATE__PUBLICATION_STATE_OWED);
	assert_int_equal(told->revision, s->revision);

	const Sluice__V1__Event *event =
	    steps_event(s, SLUICE__V1__EVENT_KIND__EVENT_KIND_PROMOTION);
	assert_int_equal(event->environment, ENV_STAGING);
	event = steps_event(s, SLUICE__V1__EVENT_KIND__EVENT_KIND_VERSION);
	assert_string_equal(event->version->environment, "staging");
	assert_int_equal(s->event_count, 2);
}

static void test_promotions_need_no_tag_where_nothing_is_published(void **state)
{
	struct steps *s = *state;
	steps_shop(s, NONE);
	steps_ready(s, "v1", 1);
	assert_int_equal(steps_promote(s, "v1", "development"), SL_OK);
	assert_int_equal(steps_promote(s, "v1", "staging"), SL_OK);
	assert_string_equal(steps_desired(s, ENV_PRODUCTION, ""), "none by nothing keeps v1");
}

static void test_promotions_warn_when_nothing_changed(void **state)
{
	struct steps *s = *state;
	steps_shop(s, TAGS);
	steps_ready(s, "v1", 1);
	steps_version(s, "v2");
	steps_ready(s, "v2", 1);
	assert_int_equal(steps_promote(s, "v2", "development"), SL_OK);
	assert_int_equal(s->promotion.warning_count, 1);
	assert_string_equal(s->promotion.warnings[0]->id, "unchanged");
	assert_int_equal(s->promotion.warnings[0]->state, SLUICE__V1__GATE_STATE__GATE_STATE_WARN);
}

/* --- what is refused ---------------------------------------------------------------------- */

static void test_promotions_refusals_name_every_blocking_gate(void **state)
{
	struct steps *s = *state;
	steps_shop(s, TAGS);
	steps_ready(s, "v1", 1);
	assert_int_equal(steps_promote(s, "v1", "development"), SL_OK);
	s->reason = "loses orders";
	assert_int_equal(steps_block(s, "v1", NO_NEW, ""), SL_OK);
	(void)steps_promote(s, "v1", "staging");
	steps_refused(s, SL_FAILED_PRECONDITION, SL_REASON_GATE_BLOCKED,
		      "2 gates hold it back, the first: not-blocked");
	assert_int_equal(steps_gates(s), 2);
	assert_string_equal(steps_meta(s, "not-blocked"), "BLOCK");
	assert_string_equal(steps_meta(s, "content"), "WAIT");
	assert_string_equal(s->object.version_id, steps_get(s, "v1")->id);
	assert_string_equal(s->object.app_id, steps_app(s)->id);
	assert_int_equal(s->object.environment, ENV_PRODUCTION);
	assert_int_equal(steps_get(s, "v1")->environment, ENV_STAGING);

	steps_published(s, "v1");
	(void)steps_promote(s, "v1", "staging");
	assert_int_equal(steps_gates(s), 1);
	assert_int_equal(steps_unblock(s, "v1"), SL_OK);
	assert_int_equal(steps_promote(s, "v1", "staging"), SL_OK);
}

static void test_promotions_wait_for_content_and_tag(void **state)
{
	struct steps *s = *state;
	steps_shop(s, TAGS);
	(void)steps_promote(s, "v1", "development");
	steps_refused(s, SL_FAILED_PRECONDITION, SL_REASON_GATE_BLOCKED, "content");
	assert_string_equal(steps_meta(s, "content"), "WAIT");
	steps_failed(s, "v1", SLUICE__V1__CONTENT_REASON__CONTENT_REASON_REPOSITORY_UNREACHABLE);
	(void)steps_promote(s, "v1", "development");
	assert_string_equal(steps_meta(s, "content"), "WAIT");
	struct plan plan;
	assert_int_equal(steps_plan(s, GATES_PROMOTE, "v1", &plan), SL_OK);
	assert_true(plan.gates.items[2].clears_at_ms > s->now_ms);
	steps_failed(s, "v1", SLUICE__V1__CONTENT_REASON__CONTENT_REASON_BRANCH_NOT_FOUND);
	(void)steps_promote(s, "v1", "development");
	steps_refused(s, SL_FAILED_PRECONDITION, SL_REASON_GATE_BLOCKED, "BRANCH_NOT_FOUND");
	assert_string_equal(steps_meta(s, "content"), "BLOCK");
}

static void test_promotions_wait_for_an_owed_tag_and_are_blocked_by_a_parked_one(void **state)
{
	struct steps *s = *state;
	steps_shop(s, TAGS);
	steps_ready(s, "v1", 1);
	assert_int_equal(steps_promote(s, "v1", "development"), SL_OK);
	(void)steps_promote(s, "v1", "staging");
	assert_string_equal(steps_meta(s, "content"), "WAIT");
	steps_publish_failed(s, "v1",
			     SLUICE__V1__CONTENT_REASON__CONTENT_REASON_REPOSITORY_UNREACHABLE);
	(void)steps_promote(s, "v1", "staging");
	steps_refused(s, SL_FAILED_PRECONDITION, SL_REASON_GATE_BLOCKED, "the host said no");
	assert_string_equal(steps_meta(s, "content"), "WAIT");
	steps_publish_failed(s, "v1", SLUICE__V1__CONTENT_REASON__CONTENT_REASON_PUSH_REFUSED);
	(void)steps_promote(s, "v1", "staging");
	assert_string_equal(steps_meta(s, "content"), "BLOCK");
	assert_int_equal(steps_get(s, "v1")->environment, ENV_STAGING);
}

static void test_promotions_check_what_the_caller_expects(void **state)
{
	struct steps *s = *state;
	steps_shop(s, TAGS);
	steps_ready(s, "v1", 1);
	uint64_t revision = steps_get(s, "v1")->revision;
	s->expected_revision = revision + 1;
	(void)steps_promote(s, "v1", "development");
	steps_refused(s, SL_ABORTED, SL_REASON_STALE_REVISION, "v1");
	s->expected_revision = revision;
	assert_int_equal(steps_promote(s, "v1", "development"), SL_OK);
	static const struct {
		const char *app, *version, *from, *to;
		enum sl_reason reason;
	} unknown[] = {
	    {"nowhere", "v1", "staging", "", SL_REASON_APP_NOT_FOUND},
	    {"shop", "v9", "staging", "", SL_REASON_VERSION_NOT_FOUND},
	    {"shop", "v1", "moon", "", SL_REASON_ENVIRONMENT_NOT_FOUND},
	    {"shop", "v1", "staging", "moon", SL_REASON_ENVIRONMENT_NOT_FOUND},
	};
	for (size_t i = 0; i < SL_COUNT(unknown); i++) {
		struct promotion_request request = {.app = unknown[i].app,
						    .version = unknown[i].version,
						    .from = unknown[i].from,
						    .to = unknown[i].to};
		(void)steps_run(s, decide, &request);
		steps_refused(s, SL_NOT_FOUND, unknown[i].reason, "");
	}
}

static void test_promotions_hold_the_caller_to_the_plan_that_it_saw(void **state)
{
	struct steps *s = *state;
	struct plan plan;
	steps_shop(s, TAGS);
	steps_ready(s, "v1", 1);
	assert_int_equal(steps_plan(s, GATES_PROMOTE, "v1", &plan), SL_OK);
	struct promotion_request request = {.app = "shop",
					    .version = "v1",
					    .from = "development",
					    .to = "",
					    .plan_hash = SL_BYTES(plan.hash, sizeof(plan.hash))};
	assert_int_equal(steps_block(s, "v1", NO_NEW, ""), SL_OK);
	(void)steps_run(s, decide, &request);
	steps_refused(s, SL_ABORTED, SL_REASON_STALE_PLAN, "plan again");
	assert_int_equal(strlen(steps_meta(s, "plan_hash")), 64);
	assert_int_equal(steps_unblock(s, "v1"), SL_OK);
	assert_int_equal(steps_run(s, decide, &request), SL_OK);
}

/* --- two at once ---------------------------------------------------------------------------- */

enum { RACERS = 8 };

struct race {
	struct steps *s;
	atomic_uint won, stale, other;
};

/* A command of its own: steps_run() is for one thread. */
struct racer {
	struct store_cmd cmd;
	struct sl_arena arena;
	struct race *race;
	sem_t finished;
};

static sl_code racer_decide(struct store_cmd *cmd, const struct store_view *view,
			    struct store_changes *changes, struct sl_err *err)
{
	struct racer *r = SL_CONTAINER_OF(cmd, struct racer, cmd);
	struct promotion_request request = {
	    .app = "shop", .version = "v1", .from = "development", .to = ""};
	struct promotion_outcome outcome;
	struct decision d = {.view = view,
			     .changes = changes,
			     .arena = &r->arena,
			     .revision = store_changes_revision(changes),
			     .now_ms = 1,
			     .workspace = STEPS_WORKSPACE,
			     .workspace_name = "default",
			     .principal = "racer",
			     .method = "Promote",
			     .reason = "",
			     .object = SLUICE__V1__AUDIT_OBJECT__INIT};
	sl_code code = promotions_decide(&d, &request, &outcome, err);
	if (code == SL_OK) {
		decision_log(&d, NULL);
	}
	return code;
}

static void racer_done(struct store_cmd *cmd)
{
	sem_post(&SL_CONTAINER_OF(cmd, struct racer, cmd)->finished);
}

static void *race(void *ctx)
{
	struct racer r = {.race = ctx,
			  .cmd = {.decide = racer_decide, .done = racer_done, .err = SL_ERR_INIT}};
	sl_arena_init(&r.arena, 0);
	sem_init(&r.finished, 0, 0);
	if (store_submit(r.race->s->store, &r.cmd, NULL) == SL_OK) {
		while (sem_wait(&r.finished) != 0) {
		}
	}
	bool stale = r.cmd.code == SL_ABORTED && r.cmd.err.reason == SL_REASON_STALE_EXPECTATION;
	atomic_fetch_add(r.cmd.code == SL_OK ? &r.race->won
			 : stale             ? &r.race->stale
					     : &r.race->other,
			 1);
	sem_destroy(&r.finished);
	sl_err_clear(&r.cmd.err);
	sl_arena_fini(&r.arena);
	return NULL;
}

static void test_promotions_of_many_at_once_exactly_one_wins(void **state)
{
	struct steps *s = *state;
	steps_shop(s, TAGS);
	steps_ready(s, "v1", 1);
	struct race r = {.s = s};
	pthread_t threads[RACERS];
	for (size_t i = 0; i < RACERS; i++) {
		assert_int_equal(pthread_create(&threads[i], NULL, race, &r), 0);
	}
	for (size_t i = 0; i < RACERS; i++) {
		pthread_join(threads[i], NULL);
	}
	assert_int_equal(atomic_load(&r.won), 1);
	assert_int_equal(atomic_load(&r.stale), RACERS - 1);
	assert_int_equal(atomic_load(&r.other), 0);
	assert_int_equal(steps_get(s, "v1")->environment, ENV_STAGING);
}

/* --- plans and pins, read back ------------------------------------------------------------- */

static void test_promotions_plan_shows_what_the_target_runs(void **state)
{
	struct steps *s = *state;
	steps_shop(s, TAGS);
	steps_produce(s, "v1");
	steps_version(s, "v2");
	steps_ready(s, "v2", 2);
	const char *a = steps_instance(s, "staging-1", ENV_STAGING);
	(void)steps_instance(s, "staging-2", ENV_STAGING);
	(void)steps_instance(s, "prod-1", ENV_PRODUCTION);
	steps_staged(s, a, "v2");
	const Sluice__V1__Plan *plan = steps_plan_wire(s, GATES_PROMOTE, "v2");
	assert_string_equal(plan->source, "development");
	assert_string_equal(plan->target, "staging");
	assert_string_equal(plan->current->name, "v1");
	assert_int_equal(plan->instances, 2);
	assert_int_equal(plan->staged, 1);
	assert_true(plan->allowed);
	assert_int_equal(plan->n_gates, 4);
	assert_int_equal(plan->plan_hash.len, 32);
	assert_null(plan->pinned);
	assert_true(plan->revision > 0);
	assert_int_equal(steps_plan(s, GATES_PROMOTE, "v1", &(struct plan){0}),
			 SL_FAILED_PRECONDITION);
	steps_refused(s, SL_FAILED_PRECONDITION, SL_REASON_LAST_ENVIRONMENT, "v1");
}

static void test_promotions_say_when_a_pin_keeps_the_version_from_running(void **state)
{
	struct steps *s = *state;
	steps_shop(s, TAGS);
	steps_produce(s, "v1");
	assert_int_equal(steps_select(s, "v1", "staging", ""), SL_OK);
	steps_version(s, "v2");
	steps_ready(s, "v2", 2);
	assert_string_equal(steps_plan_wire(s, GATES_PROMOTE, "v2")->pinned->name, "v1");
	assert_int_equal(steps_promote(s, "v2", "development"), SL_OK);
	assert_string_equal(s->promotion.pins.environment->name, "v1");
	/* A pin that has no effect any more is no news. */
	assert_int_equal(steps_block(s, "v1", RECALL, ""), SL_OK);
	steps_version(s, "v3");
	steps_ready(s, "v3", 3);
	assert_int_equal(steps_promote(s, "v3", "development"), SL_OK);
	assert_null(s->promotion.pins.environment);
}

static void test_promotions_say_which_instances_are_pinned_to_another_version(void **state)
{
	struct steps *s = *state;
	steps_shop(s, TAGS);
	(void)steps_instance(s, "staging-1", ENV_STAGING);
	(void)steps_instance(s, "staging-2", ENV_STAGING);
	steps_produce(s, "v1");
	assert_int_equal(steps_select(s, "v1", "staging", "staging-2"), SL_OK);
	steps_version(s, "v2");
	steps_ready(s, "v2", 2);
	const Sluice__V1__Plan *plan = steps_plan_wire(s, GATES_PROMOTE, "v2");
	assert_null(plan->pinned);
	assert_int_equal(plan->n_pinned_instances, 1);
	assert_string_equal(plan->pinned_instances[0]->instance, "staging-2");
	assert_string_equal(plan->pinned_instances[0]->version->name, "v1");
	assert_int_equal(steps_promote(s, "v2", "development"), SL_OK);
	assert_null(s->promotion.pins.environment);
	assert_int_equal(s->promotion.pins.instance_count, 1);
	/* It goes with the pin, and when the pin has no effect any more. */
	steps_published(s, "v2");
	assert_int_equal(steps_select(s, "v2", "staging", "staging-2"), SL_OK);
	steps_version(s, "v3");
	steps_ready(s, "v3", 3);
	assert_int_equal(steps_plan_wire(s, GATES_PROMOTE, "v3")->n_pinned_instances, 1);
	assert_int_equal(steps_block(s, "v2", RECALL, ""), SL_OK);
	assert_int_equal(steps_plan_wire(s, GATES_PROMOTE, "v3")->n_pinned_instances, 0);
}

static void test_promotions_are_read_back_from_the_log(void **state)
{
	struct steps *s = *state;
	steps_shop(s, TAGS);
	steps_ready(s, "v1", 1);
	s->reason = "first";
	assert_int_equal(steps_promote(s, "v1", "development"), SL_OK);
	const struct store_view *view = NULL;
	assert_int_equal(store_view_begin(s->store, &view, NULL), SL_OK);
	struct wire in = {.view = view, .arena = &s->arena, .workspace = STEPS_WORKSPACE};
	struct wire foreign = {.view = view, .arena = &s->arena, .workspace = STEPS_WORKSPACE + 1};
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	Sluice__V1__Promotion *promotion = NULL;
	assert_int_equal(promotions_get(&in, s->revision, &promotion, &err), SL_OK);
	assert_string_equal(promotion->reason, "first");
	assert_int_equal(promotion->revision, s->revision);
	assert_int_equal(promotions_get(&in, s->revision - 1, &promotion, &err), SL_NOT_FOUND);
	assert_int_equal(err.reason, SL_REASON_PROMOTION_NOT_FOUND);
	assert_int_equal(promotions_get(&foreign, s->revision, &promotion, &err), SL_NOT_FOUND);
	assert_int_equal(promotions_get(&in, 1u << 20, &promotion, &err), SL_NOT_FOUND);
	const char *app_id = NULL;
	assert_int_equal(history_app_id(&in, "shop", &app_id, &err), SL_OK);
	assert_int_equal(history_app_id(&in, app_id, &app_id, &err), SL_OK);
	assert_int_equal(history_app_id(&in, sl_id_new("app").text, &app_id, &err), SL_NOT_FOUND);
	store_view_end(view);
}

#define TEST(name)                                                                                 \
	cmocka_unit_test_setup_teardown(test_promotions_##name, steps_setup, steps_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_promotions_from_to_expected_sealed),
	    TEST(out_of_development_seals_in_the_same_command),
	    TEST(need_no_tag_where_nothing_is_published),
	    TEST(warn_when_nothing_changed),
	    TEST(refusals_name_every_blocking_gate),
	    TEST(wait_for_content_and_tag),
	    TEST(wait_for_an_owed_tag_and_are_blocked_by_a_parked_one),
	    TEST(check_what_the_caller_expects),
	    TEST(hold_the_caller_to_the_plan_that_it_saw),
	    TEST(of_many_at_once_exactly_one_wins),
	    TEST(plan_shows_what_the_target_runs),
	    TEST(say_when_a_pin_keeps_the_version_from_running),
	    TEST(say_which_instances_are_pinned_to_another_version),
	    TEST(are_read_back_from_the_log),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
