/* Who waits is looked at when it may help, and at the end. */
#include "tests/unit/server/fleet/agents.h"

#include <stdio.h>

#define TAGS SLUICE__V1__PUBLISH_MODE__PUBLISH_MODE_TAGS

struct waiting {
	struct fleet_wait wait;
	unsigned looks, expired, stopped;
	bool over; /* at the next look */
};

static bool on_look(struct fleet_wait *wait, enum fleet_wait_event event)
{
	struct waiting *w = SL_CONTAINER_OF(wait, struct waiting, wait);
	w->looks += event == FLEET_WAIT_LOOK ? 1 : 0;
	w->expired += event == FLEET_WAIT_EXPIRED ? 1 : 0;
	w->stopped += event == FLEET_WAIT_STOPPING ? 1 : 0;
	return event != FLEET_WAIT_LOOK || w->over;
}

static struct waiting waiting_for(const char *app_id, uint64_t ms)
{
	struct waiting w = {.wait = {.look = on_look, .deadline_mono_ms = agents_mono_ms + ms}};
	(void)snprintf(w.wait.app_id, sizeof(w.wait.app_id), "%s", app_id);
	return w;
}

static unsigned waiters(struct agents *a)
{
	struct fleet_stats stats;
	fleet_stats_read(a->fleet, &stats);
	return stats.waiters;
}

static void test_a_touched_app_is_looked_at(void **state)
{
	struct agents *a = *state;
	steps_shop(a->s, TAGS);
	(void)agents_follow(a);
	struct waiting w = waiting_for(steps_app(a->s)->id, 10000);
	fleet_wait_add(a->fleet, &w.wait);
	assert_int_equal(w.looks, 1);
	assert_int_equal(waiters(a), 1);
	fleet_tick(a->fleet);
	assert_int_equal(w.looks, 1); /* nothing has happened */
	steps_ready(a->s, "v1", '1');
	(void)agents_follow(a);
	w.over = true;
	fleet_tick(a->fleet);
	assert_int_equal(w.looks, 2);
	fleet_tick(a->fleet);
	assert_int_equal(w.looks, 2); /* forgotten */
	assert_int_equal(waiters(a), 0);
}

static void test_a_report_is_a_touch(void **state)
{
	struct agents *a = *state;
	(void)agents_register(a, "dev-1", "development", NULL);
	steps_shop(a->s, TAGS);
	(void)agents_follow(a);
	struct rpc_stream *stream = agents_stream(a);
	agents_hello_of(stream, "dev-1");
	struct waiting w = waiting_for(steps_app(a->s)->id, 10000);
	fleet_wait_add(a->fleet, &w.wait);
	Sluice__V1__AgentReport report = SLUICE__V1__AGENT_REPORT__INIT;
	report.app_id = steps_app(a->s)->id;
	report.version_id = (char *)agents_version_id(a, "v1");
	report.phase = SLUICE__V1__PHASE__PHASE_FETCHING;
	agents_report(stream, &report);
	fleet_tick(a->fleet);
	assert_int_equal(w.looks, 2);
	agents_report(stream, &report); /* the same again */
	fleet_tick(a->fleet);
	assert_int_equal(w.looks, 2);
	agents_close(stream);
	w.over = true;
	agents_mono_ms += 1000; /* and once a second in any case */
	fleet_tick(a->fleet);
	assert_int_equal(w.looks, 3);
}

static void test_the_deadline_comes_after_a_last_look(void **state)
{
	struct agents *a = *state;
	struct waiting w = waiting_for("app_x", 500), in_time = waiting_for("app_y", 500);
	fleet_wait_add(a->fleet, &w.wait);
	fleet_wait_add(a->fleet, &in_time.wait);
	agents_mono_ms += 499;
	fleet_tick(a->fleet);
	assert_int_equal(w.looks + w.expired, 1);
	agents_mono_ms += 1;
	in_time.over = true;
	fleet_tick(a->fleet);
	assert_int_equal(w.looks, 2);
	assert_int_equal(w.expired, 1);
	assert_int_equal(in_time.expired, 0);
	assert_int_equal(waiters(a), 0);
}

static void test_what_is_there_at_once_is_not_kept(void **state)
{
	struct agents *a = *state;
	struct waiting w = waiting_for("app_x", 500);
	w.over = true;
	fleet_wait_add(a->fleet, &w.wait);
	assert_int_equal(w.looks, 1);
	assert_int_equal(waiters(a), 0);
}

static void test_stopping_ends_all_waiting(void **state)
{
	struct agents *a = *state;
	struct waiting w = waiting_for("app_x", 500), late = waiting_for("app_x", 500);
	fleet_wait_add(a->fleet, &w.wait);
	fleet_stop(a->fleet);
	assert_int_equal(w.stopped, 1);
	fleet_wait_add(a->fleet, &late.wait);
	assert_int_equal(late.stopped, 1);
	assert_int_equal(late.looks, 0);
	fleet_tick(a->fleet);
	assert_int_equal(w.looks, 1);
	assert_int_equal(waiters(a), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, agents_setup, agents_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(test_a_touched_app_is_looked_at),
	    TEST(test_a_report_is_a_touch),
	    TEST(test_the_deadline_comes_after_a_last_look),
	    TEST(test_what_is_there_at_once_is_not_kept),
	    TEST(test_stopping_ends_all_waiting),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
