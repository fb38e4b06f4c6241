/* What an instance that pulls by hand may fetch: only what was let through, and that once more. */
#include "tests/unit/server/records/steps.h"

#include "server/records/instances.h"
#include "server/records/updates.h"

#define TAGS SLUICE__V1__PUBLISH_MODE__PUBLISH_MODE_TAGS
#define MANUAL SLUICE__V1__PULL_MODE__PULL_MODE_MANUAL
#define AUTO SLUICE__V1__PULL_MODE__PULL_MODE_AUTO

static Sluice__Store__V1__InstanceRecord *made; /* by the last command */

static sl_code decide_mode(struct decision *d, struct steps *s, const void *in, struct sl_err *err)
{
	(void)s;
	const struct instance_wish wish = {.public_url = "",
					   .pull = *(const Sluice__V1__PullMode *)in};
	return instances_decide_update(d, "stage-1", &wish, &made, err);
}

static sl_code decide_pull(struct decision *d, struct steps *s, const void *in, struct sl_err *err)
{
	(void)s;
	Sluice__Store__V1__VersionRecord *version = NULL;
	return updates_decide_pull(d, in, &made, &version, err);
}

static void set_mode(struct steps *s, Sluice__V1__PullMode mode)
{
	(void)steps_run(s, decide_mode, &mode);
}

static sl_code pull(struct steps *s, const char *version, const char *commit)
{
	const struct updates_wish wish = {
	    .instance = "stage-1", .app = "shop", .version = version, .commit = commit};
	return steps_run(s, decide_pull, &wish);
}

static bool holds(struct steps *s, const char *version)
{
	return updates_hold(made, steps_app(s)->id, steps_get(s, version));
}

static void open_staging(struct steps *s)
{
	steps_shop(s, TAGS);
	(void)steps_instance(s, "stage-1", ENV_STAGING);
	steps_produce(s, "v1");
	set_mode(s, MANUAL);
	steps_done(s);
}

static void test_a_pull_lets_one_step_through_and_no_later_one(void **state)
{
	struct steps *s = *state;
	open_staging(s);
	assert_true(holds(s, "v1"));
	assert_int_equal(pull(s, "v1", steps_get(s, "v1")->content->commit), SL_OK);
	steps_done(s);
	assert_false(holds(s, "v1"));
	assert_int_equal(pull(s, "v1", ""), SL_OK);
	steps_same(s);
	steps_produce(s, "v2");
	assert_true(holds(s, "v2"));
	assert_int_equal(pull(s, "v2", ""), SL_OK);
	steps_done(s);
	assert_false(holds(s, "v2"));
	assert_true(holds(s, "v1")); /* the last one only */
	assert_int_equal(made->n_pulls, 1);
}

static void test_what_the_instance_is_not_told_of_is_not_pulled(void **state)
{
	struct steps *s = *state;
	open_staging(s);
	steps_version(s, "draft");
	steps_ready(s, "draft", 9);
	(void)pull(s, "draft", "");
	steps_refused(s, SL_ABORTED, SL_REASON_STALE_EXPECTATION, "draft");
	(void)pull(s, "v1", "0123456789012345678901234567890123456789");
	steps_refused(s, SL_ABORTED, SL_REASON_STALE_EXPECTATION, "v1");
	(void)pull(s, "nothing", "");
	steps_refused(s, SL_NOT_FOUND, SL_REASON_VERSION_NOT_FOUND, "nothing");
	s->expected_revision = made->revision + 1000;
	(void)pull(s, "v1", "");
	steps_refused(s, SL_ABORTED, SL_REASON_STALE_REVISION, "stage-1");
	steps_produce(s, "v2");
	steps_produce(s, "v3");
	(void)pull(s, "v1", ""); /* went out of what is kept meanwhile */
	steps_refused(s, SL_ABORTED, SL_REASON_STALE_EXPECTATION, "v1");
}

static void test_auto_holds_nothing_and_the_mode_is_kept(void **state)
{
	struct steps *s = *state;
	open_staging(s);
	set_mode(s, SLUICE__V1__PULL_MODE__PULL_MODE_UNSPECIFIED);
	steps_same(s);
	assert_int_equal(made->pull, MANUAL);
	set_mode(s, MANUAL);
	steps_same(s);
	set_mode(s, AUTO);
	steps_done(s);
	assert_false(holds(s, "v1"));
	assert_int_equal(pull(s, "v1", ""), SL_OK);
	steps_same(s);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, steps_setup, steps_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(test_a_pull_lets_one_step_through_and_no_later_one),
	    TEST(test_what_the_instance_is_not_told_of_is_not_pulled),
	    TEST(test_auto_holds_nothing_and_the_mode_is_kept),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
