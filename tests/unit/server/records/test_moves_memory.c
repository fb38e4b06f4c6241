/* Every act that moves something, with memory that ends at each byte: it says so, and harms
 * nothing. */
#include "tests/unit/server/records/steps.h"

#define TAGS SLUICE__V1__PUBLISH_MODE__PUBLISH_MODE_TAGS

enum { ROOM = 256 * 1024, STEP = 16 };

typedef sl_code act_fn(struct decision *d, struct sl_err *err);

static sl_code promote(struct decision *d, struct sl_err *err)
{
	struct promotion_request request = {
	    .app = "shop", .version = "v4", .from = "development", .to = ""};
	struct promotion_outcome outcome;
	return promotions_decide(d, &request, &outcome, err);
}

static sl_code promote_blocked(struct decision *d, struct sl_err *err)
{
	struct promotion_request request = {
	    .app = "shop", .version = "v5", .from = "development", .to = ""};
	struct promotion_outcome outcome;
	sl_code code = promotions_decide(d, &request, &outcome, err);
	return code == SL_FAILED_PRECONDITION && err->reason == SL_REASON_GATE_BLOCKED ? SL_OK
										       : code;
}

static sl_code release(struct decision *d, struct sl_err *err)
{
	struct release_outcome outcome;
	return releases_decide_release(d, "shop", "v1", SL_BYTES_NONE, &outcome, err);
}

static sl_code rollback(struct decision *d, struct sl_err *err)
{
	struct release_outcome outcome;
	return releases_decide_rollback(d, "shop", "", SL_BYTES_NONE, &outcome, err);
}

static sl_code withdraw(struct decision *d, struct sl_err *err)
{
	struct release_outcome outcome;
	return releases_decide_withdraw(d, "shop", &outcome, err);
}

static sl_code select_instance(struct decision *d, struct sl_err *err)
{
	struct selection_place place = {
	    .app = "shop", .environment = "staging", .instance = "staging-1"};
	Sluice__V1__Selection *selection = NULL;
	return selections_decide_select(d, &place, "v1", &selection, err);
}

static sl_code clear(struct decision *d, struct sl_err *err)
{
	struct selection_place place = {.app = "shop", .environment = "staging", .instance = ""};
	Sluice__V1__VersionRef *selected = NULL;
	return selections_decide_clear(d, &place, &selected, err);
}

static sl_code plan_act(struct decision *d, enum gates_action action, const char *version,
			struct sl_err *err)
{
	struct wire in = wire_of(d);
	struct plan_base base;
	struct plan plan;
	Sluice__Store__V1__AppRecord *app = NULL;
	Sluice__Store__V1__VersionRecord *record = NULL;
	Sluice__V1__Plan *wire = NULL;
	sl_code code = app_find(d->view, d->arena, d->workspace, "shop", &app, err);
	code = code != SL_OK ? code : plan_base_load(&in, app, NULL, &base, err);
	if (code == SL_OK && action != GATES_ROLLBACK) {
		code = version_find(d->view, d->arena, d->workspace, app, version, &record, err);
	}
	if (code != SL_OK) {
		return code;
	}
	code = action == GATES_ROLLBACK  ? plan_rollback(&base, "", &plan, err)
	       : action == GATES_RELEASE ? plan_release(&base, record, &plan, err)
					 : plan_promote(&base, record, 0, &plan, err);
	return code != SL_OK ? code : plan_wire(&base, &plan, &wire, err);
}

static sl_code plan_to_promote(struct decision *d, struct sl_err *err)
{
	return plan_act(d, GATES_PROMOTE, "v4", err);
}

static sl_code plan_to_release(struct decision *d, struct sl_err *err)
{
	return plan_act(d, GATES_RELEASE, "v1", err);
}

static sl_code plan_to_roll_back(struct decision *d, struct sl_err *err)
{
	return plan_act(d, GATES_ROLLBACK, "", err);
}

/* --- memory that ends ------------------------------------------------------------------- */

/* An arena with exactly `bytes` of room. */
static void arena_of(struct sl_arena *arena, size_t bytes)
{
	sl_arena_init(arena, ROOM);
	uint8_t *room = sl_arena_alloc(arena, ROOM);
	assert_non_null(room);
	arena->at = room;
	arena->end = room + bytes;
}

/* True when the act got by with so little. */
static bool try_with(const struct decision *template, size_t bytes, act_fn *act)
{
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	SL_AUTO(sl_arena_fini) struct sl_arena arena;
	arena_of(&arena, bytes);
	struct decision d = *template;
	d.arena = &arena;
	sl_code code = act(&d, &err);
	if (!sl_arena_failed(&arena)) {
		if (code != SL_OK) {
			fail_msg("%zu bytes: %s: %s", bytes, sl_code_name(code), err.msg);
		}
		return true;
	}
	/* The generic path looks at the arena after an OK. */
	if (code != SL_OK && code != SL_RESOURCE_EXHAUSTED) {
		fail_msg("%zu bytes: %s instead of RESOURCE_EXHAUSTED: %s", bytes,
			 sl_code_name(code), err.msg);
	}
	return false;
}

static sl_code starve(struct decision *d, struct steps *s, const void *in, struct sl_err *err)
{
	act_fn *const *act = in;
	(void)s;
	size_t bytes = 0;
	while (bytes < ROOM && !try_with(d, bytes, *act)) {
		bytes += STEP;
	}
	assert_true(bytes > 0 && bytes < ROOM);
	return sl_err_set(err, SL_CANCELLED, "nothing of it is kept");
}

static void test_moves_memory_ends_anywhere(void **state)
{
	static act_fn *const acts[] = {promote,         promote_blocked,  release, rollback,
				       withdraw,        select_instance,  clear,   plan_to_promote,
				       plan_to_release, plan_to_roll_back};
	struct steps *s = *state;
	steps_shop(s, TAGS);
	steps_produce(s, "v1");
	steps_produce(s, "v2");
	steps_produce(s, "v3");
	assert_int_equal(steps_release(s, "v1"), SL_OK);
	assert_int_equal(steps_release(s, "v2"), SL_OK);
	assert_int_equal(steps_release(s, "v3"), SL_OK);
	assert_int_equal(steps_block(s, "v2", SLUICE__V1__BLOCK_MODE__BLOCK_MODE_NO_NEW, ""),
			 SL_OK);
	steps_version(s, "v4");
	steps_ready(s, "v4", 4);
	steps_version(s, "v5");
	(void)steps_instance(s, "staging-1", ENV_STAGING);
	steps_staged(s, steps_instance(s, "prod-1", ENV_PRODUCTION), "v1");
	assert_int_equal(steps_select(s, "v2", "staging", ""), SL_OK);
	uint64_t pointer = steps_pointer(s)->revision;
	for (size_t i = 0; i < SL_COUNT(acts); i++) {
		assert_int_equal(steps_run(s, starve, &acts[i]), SL_CANCELLED);
	}
	assert_int_equal(steps_pointer(s)->revision, pointer);
	assert_int_equal(steps_get(s, "v4")->environment, ENV_DEVELOPMENT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(test_moves_memory_ends_anywhere, steps_setup,
					    steps_teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
