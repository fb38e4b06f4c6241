/* Pins over a real store, and what the rules make of a store. */
#include "tests/unit/server/records/steps.h"

#define TAGS SLUICE__V1__PUBLISH_MODE__PUBLISH_MODE_TAGS
#define RECALL SLUICE__V1__BLOCK_MODE__BLOCK_MODE_RECALL

/* v1 in production, v2 in staging, v3 READY and v4 RESOLVING in development. */
static void stock(struct steps *s)
{
	steps_shop(s, TAGS);
	steps_produce(s, "v1");
	steps_version(s, "v2");
	steps_ready(s, "v2", 2);
	assert_int_equal(steps_promote(s, "v2", "development"), SL_OK);
	steps_published(s, "v2");
	steps_version(s, "v3");
	steps_ready(s, "v3", 3);
	steps_version(s, "v4");
}

static void test_selections_what_runs_without_pins(void **state)
{
	struct steps *s = *state;
	stock(s);
	assert_string_equal(steps_desired(s, ENV_DEVELOPMENT, ""), "v3 by entry keeps v3 v2");
	assert_string_equal(steps_desired(s, ENV_STAGING, ""), "v2 by entry keeps v2 v1");
	assert_string_equal(steps_desired(s, ENV_PRODUCTION, ""), "none by nothing keeps v1");
	/* Leaving an environment for the next one changes nothing in it. */
	assert_int_equal(steps_promote(s, "v2", "staging"), SL_OK);
	assert_string_equal(steps_desired(s, ENV_STAGING, ""), "v2 by entry keeps v2 v1");
	assert_string_equal(steps_desired(s, ENV_PRODUCTION, ""), "none by nothing keeps v2 v1");
	assert_int_equal(steps_promote(s, "v3", "development"), SL_OK);
	assert_string_equal(steps_desired(s, ENV_DEVELOPMENT, ""), "v3 by entry keeps v3 v2");
	/* It came to staging, but its tag is owed: what ran keeps running. */
	assert_string_equal(steps_desired(s, ENV_STAGING, ""), "v2 by entry keeps v2 v1");
	steps_published(s, "v3");
	assert_string_equal(steps_desired(s, ENV_STAGING, ""), "v3 by entry keeps v3 v2");
	assert_int_equal(steps_release(s, "v1"), SL_OK);
	assert_string_equal(steps_desired(s, ENV_PRODUCTION, ""), "v1 by release keeps v1 v2");
	assert_int_equal(steps_release(s, "v2"), SL_OK);
	assert_string_equal(steps_desired(s, ENV_PRODUCTION, ""), "v2 by release keeps v2 v1");
}

static void test_selections_pin_until_cleared(void **state)
{
	struct steps *s = *state;
	stock(s);
	const char *id = steps_instance(s, "dev-1", ENV_DEVELOPMENT);
	(void)steps_select(s, "v1", "development", "");
	steps_done(s);
	assert_string_equal(s->selection->version->name, "v1");
	assert_string_equal(s->selection->environment, "development");
	assert_string_equal(s->selection->instance, "");
	assert_true(s->selection->in_force);
	assert_int_equal(s->selection->revision, s->revision);
	const Sluice__V1__Event *event =
	    steps_event(s, SLUICE__V1__EVENT_KIND__EVENT_KIND_SELECTION);
	assert_int_equal(event->type, SLUICE__V1__EVENT_TYPE__EVENT_TYPE_CREATED);
	assert_int_equal(event->environment, ENV_DEVELOPMENT);
	assert_string_equal(steps_desired(s, ENV_DEVELOPMENT, ""), "v1 by pin keeps v1 v3");
	assert_string_equal(steps_desired(s, ENV_STAGING, ""), "v2 by entry keeps v2 v1");

	(void)steps_select(s, "v2", "development", "dev-1");
	steps_done(s);
	assert_string_equal(s->selection->instance, "dev-1");
	event = steps_event(s, SLUICE__V1__EVENT_KIND__EVENT_KIND_SELECTION);
	assert_string_equal(event->instance_id, id);
	assert_string_equal(steps_desired(s, ENV_DEVELOPMENT, id),
			    "v2 by instance's pin keeps v2 v3");
	assert_string_equal(steps_desired(s, ENV_DEVELOPMENT, ""), "v1 by pin keeps v1 v3");

	(void)steps_clear(s, "development", "dev-1");
	steps_done(s);
	assert_string_equal(s->selected->name, "v1");
	event = steps_event(s, SLUICE__V1__EVENT_KIND__EVENT_KIND_SELECTION);
	assert_int_equal(event->type, SLUICE__V1__EVENT_TYPE__EVENT_TYPE_DELETED);
	assert_string_equal(event->selection->version->name, "v2");
	(void)steps_clear(s, "env_1", "");
	steps_done(s);
	assert_string_equal(s->selected->name, "v3");
	assert_string_equal(steps_desired(s, ENV_DEVELOPMENT, id), "v3 by entry keeps v3 v2");
}

static void test_selections_repeated_change_nothing(void **state)
{
	struct steps *s = *state;
	stock(s);
	(void)steps_clear(s, "staging", "");
	steps_same(s);
	assert_string_equal(s->selected->name, "v2");
	assert_int_equal(steps_select(s, "v1", "staging", ""), SL_OK);
	uint64_t revision = s->revision;
	(void)steps_select(s, "v1", "staging", "");
	steps_same(s);
	assert_int_equal(s->selection->revision, revision);
	(void)steps_select(s, "v2", "staging", "");
	steps_done(s);
	assert_int_equal(steps_event(s, SLUICE__V1__EVENT_KIND__EVENT_KIND_SELECTION)->type,
			 SLUICE__V1__EVENT_TYPE__EVENT_TYPE_UPDATED);
}

static void test_selections_refuse_what_is_not_eligible(void **state)
{
	struct steps *s = *state;
	stock(s);
	(void)steps_instance(s, "staging-1", ENV_STAGING);
	static const struct {
		const char *version, *environment, *instance;
		sl_code code;
		enum sl_reason reason;
		const char *says;
	} cases[] = {
	    {"v3", "staging", "", SL_FAILED_PRECONDITION, SL_REASON_NOT_ELIGIBLE,
	     "has not come that far"},
	    {"v4", "development", "", SL_FAILED_PRECONDITION, SL_REASON_NOT_ELIGIBLE, "READY"},
	    {"v1", "production", "", SL_FAILED_PRECONDITION, SL_REASON_NOT_SUPPORTED_THERE,
	     "released"},
	    {"v1", "development", "staging-1", SL_FAILED_PRECONDITION,
	     SL_REASON_NOT_SUPPORTED_THERE, "staging-1"},
	    {"v9", "staging", "", SL_NOT_FOUND, SL_REASON_VERSION_NOT_FOUND, "v9"},
	    {"v1", "moon", "", SL_NOT_FOUND, SL_REASON_ENVIRONMENT_NOT_FOUND, "moon"},
	    {"v1", "staging", "nobody", SL_NOT_FOUND, SL_REASON_INSTANCE_NOT_FOUND, "nobody"},
	};
	for (size_t i = 0; i < SL_COUNT(cases); i++) {
		(void)steps_select(s, cases[i].version, cases[i].environment, cases[i].instance);
		steps_refused(s, cases[i].code, cases[i].reason, cases[i].says);
	}
	(void)steps_clear(s, "production", "");
	steps_refused(s, SL_FAILED_PRECONDITION, SL_REASON_NOT_SUPPORTED_THERE, "production");
	assert_int_equal(steps_promote(s, "v3", "development"), SL_OK);
	(void)steps_select(s, "v3", "staging", "");
	steps_refused(s, SL_FAILED_PRECONDITION, SL_REASON_NOT_ELIGIBLE, "published");
	assert_int_equal(steps_block(s, "v1", RECALL, ""), SL_OK);
	(void)steps_select(s, "v1", "staging", "");
	steps_refused(s, SL_FAILED_PRECONDITION, SL_REASON_NOT_ELIGIBLE, "recalled");
}

static void test_selections_check_what_the_caller_expects(void **state)
{
	struct steps *s = *state;
	stock(s);
	s->expected_revision = 3;
	(void)steps_select(s, "v1", "staging", "");
	steps_refused(s, SL_ABORTED, SL_REASON_STALE_REVISION, "shop");
	assert_int_equal(steps_select(s, "v1", "staging", ""), SL_OK);
	uint64_t revision = s->revision;
	s->expected_revision = revision - 1;
	(void)steps_clear(s, "staging", "");
	steps_refused(s, SL_ABORTED, SL_REASON_STALE_REVISION, "shop");
	s->expected_revision = revision;
	assert_int_equal(steps_clear(s, "staging", ""), SL_OK);
}

/* Every pin of `shop`, "staging v1 in force, ...". */
static const char *list(struct steps *s)
{
	const Sluice__Store__V1__AppRecord *app = steps_app(s);
	struct wire in = {.arena = &s->arena, .workspace = STEPS_WORKSPACE};
	const char *text = "";
	assert_int_equal(store_view_begin(s->store, &in.view, NULL), SL_OK);
	struct record_key prefix = KEY(in.workspace, key_text(k, app->id));
	struct store_walk walk;
	store_walk_begin(&walk, in.view, TABLE_SELECTIONS, key_bytes(&prefix), STORE_FORWARD);
	while (store_walk_next(&walk)) {
		Sluice__V1__Selection *selection = NULL;
		assert_int_equal(selections_wire(&in, app, walk.key, walk.value, &selection, NULL),
				 SL_OK);
		text = sl_arena_printf(&s->arena, "%s%s/%s %s %s; ", text, selection->environment,
				       selection->instance, selection->version->name,
				       selection->in_force ? "in force" : "idle");
	}
	store_walk_end(&walk);
	store_view_end(in.view);
	return text;
}

static void test_selections_stop_when_the_version_stops_being_eligible(void **state)
{
	struct steps *s = *state;
	stock(s);
	(void)steps_instance(s, "dev-1", ENV_DEVELOPMENT);
	assert_int_equal(steps_select(s, "v1", "staging", ""), SL_OK);
	assert_int_equal(steps_select(s, "v2", "development", "dev-1"), SL_OK);
	assert_string_equal(list(s), "development/dev-1 v2 in force; staging/ v1 in force; ");
	assert_int_equal(steps_block(s, "v1", RECALL, ""), SL_OK);
	assert_string_equal(list(s), "development/dev-1 v2 in force; staging/ v1 idle; ");
	assert_string_equal(steps_desired(s, ENV_STAGING, ""), "v2 by entry keeps v2");
	/* It is there again once the version is. */
	assert_int_equal(steps_unblock(s, "v1"), SL_OK);
	assert_string_equal(steps_desired(s, ENV_STAGING, ""), "v1 by pin keeps v1 v2");
}

static void test_selections_loader_grows_and_knows_nothing_of_other_apps(void **state)
{
	struct steps *s = *state;
	steps_shop(s, TAGS);
	for (int i = 2; i <= 40; i++) {
		steps_version(s, sl_arena_printf(&s->arena, "v%d", i));
	}
	struct wire in = {.arena = &s->arena, .workspace = STEPS_WORKSPACE};
	const Sluice__Store__V1__AppRecord *shop = steps_app(s);
	struct desired_app app;
	assert_int_equal(store_view_begin(s->store, &in.view, NULL), SL_OK);
	assert_int_equal(desired_load(in.view, in.arena, in.workspace, shop->id, &app, NULL),
			 SL_OK);
	assert_int_equal(app.input.version_count, 40);
	for (uint32_t number = 1; number <= 40; number++) {
		const Sluice__Store__V1__VersionRecord *version =
		    desired_version_record(&app, number);
		assert_non_null(version);
		assert_int_equal(version->number, number);
		assert_true(desired_find(&app.input, number)->entered[ENV_DEVELOPMENT] > 0);
		assert_null(desired_publication(&app, number));
	}
	assert_null(desired_version_record(&app, 41));
	assert_null(app.release);
	assert_int_equal(desired_load(in.view, in.arena, in.workspace, "app_none", &app, NULL),
			 SL_OK);
	assert_int_equal(app.input.version_count, 0);
	assert_int_equal(desired_load(in.view, in.arena, in.workspace + 1, shop->id, &app, NULL),
			 SL_OK);
	assert_int_equal(app.input.version_count, 0);
	store_view_end(in.view);
	/* Those before the second that may run are not looked at. */
	steps_ready(s, "v39", 39);
	steps_ready(s, "v40", 40);
	assert_int_equal(store_view_begin(s->store, &in.view, NULL), SL_OK);
	assert_int_equal(desired_load(in.view, in.arena, in.workspace, shop->id, &app, NULL),
			 SL_OK);
	assert_int_equal(app.input.version_count, 2);
	store_view_end(in.view);
	assert_string_equal(steps_desired(s, ENV_DEVELOPMENT, ""), "v40 by entry keeps v40 v39");
}

#define TEST(name)                                                                                 \
	cmocka_unit_test_setup_teardown(test_selections_##name, steps_setup, steps_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(what_runs_without_pins),
	    TEST(pin_until_cleared),
	    TEST(repeated_change_nothing),
	    TEST(refuse_what_is_not_eligible),
	    TEST(check_what_the_caller_expects),
	    TEST(stop_when_the_version_stops_being_eligible),
	    TEST(loader_grows_and_knows_nothing_of_other_apps),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
