/* In recovery agents are heard and told nothing; its end tells all of them. */
#include "tests/unit/server/fleet/agents.h"

#define TAGS SLUICE__V1__PUBLISH_MODE__PUBLISH_MODE_TAGS

static sl_code decide_recovery(struct decision *d, struct steps *s, const void *in,
			       struct sl_err *err)
{
	(void)s;
	(void)err;
	store_changes_put_meta(d->changes, STORE_META_RECOVERY, sl_bytes_text(in));
	d->changed = true;
	return SL_OK;
}

/* As if the store had been restored; or, "": as if an operator had ended that. */
static void set_recovery(struct agents *a, const char *value)
{
	assert_int_equal(steps_run(a->s, decide_recovery, value), SL_OK);
}

/* A shop in development, and dev-1; the server starts in recovery. */
static void restored(struct agents *a)
{
	(void)agents_register(a, "dev-1", "development", NULL);
	steps_shop(a->s, TAGS);
	steps_ready(a->s, "v1", '1');
	set_recovery(a, "1");
	agents_restart(a);
}

static struct rpc_stream *dial(struct agents *a, uint64_t sequence)
{
	Sluice__V1__AgentHello hello = SLUICE__V1__AGENT_HELLO__INIT;
	struct rpc_stream *stream = agents_stream(a);
	hello.instance = (char *)"dev-1";
	hello.sequence = sequence;
	agents_hello(stream, &hello);
	agents_take_pace(a, stream);
	return stream;
}

static void test_an_agent_hears_its_pace_and_nothing_else(void **state)
{
	struct agents *a = *state;
	restored(a);
	struct rpc_stream *stream = dial(a, 0);
	agents_heartbeat(stream, 0);
	agents_settle(a);
	agents_mono_ms += 2 * FLEET_REFRESH_MS; /* nor is anything refreshed */
	agents_heartbeat(stream, 0);
	agents_settle(a);
	fleet_agent_drained(a->fleet, stream);
	assert_true(agents_silent(stream));
	agents_close(stream);
}

static void test_what_agents_say_is_shown_and_not_written(void **state)
{
	struct agents *a = *state;
	restored(a);
	struct rpc_stream *stream = dial(a, 3);
	uint64_t before = agents_revision(a);
	Sluice__V1__AgentReport report = SLUICE__V1__AGENT_REPORT__INIT;
	report.app_id = steps_app(a->s)->id;
	report.version_id = (char *)agents_version_id(a, "v1");
	report.active_version_id = report.version_id;
	report.phase = SLUICE__V1__PHASE__PHASE_HEALTHY;
	report.sequence = 3;
	agents_report(stream, &report);
	agents_settle(a);
	agents_settle(a);
	assert_int_equal(agents_revision(a), before);
	struct fleet_stats stats;
	fleet_stats_read(a->fleet, &stats);
	assert_int_equal(stats.phases[SLUICE__V1__PHASE__PHASE_HEALTHY], 1);
	set_recovery(a, "");
	(void)agents_follow(a);
	(void)agents_manifest(a, stream, NULL);
	agents_settle(a); /* now it is written */
	assert_true(agents_revision(a) > before + 1);
	agents_close(stream);
}

static void test_the_end_tells_everybody_above_what_they_had(void **state)
{
	struct agents *a = *state;
	restored(a);
	uint64_t seen = agents_revision(a);
	struct rpc_stream *stream = dial(a, seen);
	assert_true(agents_silent(stream));
	set_recovery(a, "");
	(void)agents_follow(a);
	Sluice__V1__Manifest *manifest = agents_manifest(a, stream, NULL);
	assert_int_equal(manifest->sequence, seen + 1);
	assert_string_equal(manifest->apps[0]->activate, agents_version_id(a, "v1"));
	assert_true(agents_silent(stream));
	agents_close(stream);
}

static void test_no_last_word_is_said_in_recovery(void **state)
{
	struct agents *a = *state;
	restored(a);
	Sluice__V1__AgentHello hello = SLUICE__V1__AGENT_HELLO__INIT;
	hello.instance = (char *)"dev-1";
	hello.instance_id = (char *)"ins_aaaaaaaaaaaaaaaaaaaa"; /* another one of this name */
	struct rpc_stream *stream = agents_stream(a);
	agents_hello(stream, &hello);
	assert_true(stream->ended);
	assert_int_equal(stream->code, SL_UNAVAILABLE);
	assert_int_equal(stream->reason, SL_REASON_IN_RECOVERY);
	agents_close(stream);
	set_recovery(a, "");
	(void)agents_follow(a);
	stream = agents_stream(a);
	agents_hello(stream, &hello);
	assert_int_equal(stream->reason, SL_REASON_INSTANCE_MISMATCH);
	agents_close(stream);
}

static void test_a_removed_instance_is_not_told_so_in_recovery(void **state)
{
	struct agents *a = *state;
	const char *id = agents_register(a, "dev-2", "development", NULL);
	agents_remove(a, "dev-2");
	restored(a);
	Sluice__V1__AgentHello hello = SLUICE__V1__AGENT_HELLO__INIT;
	hello.instance = (char *)"dev-2";
	hello.instance_id = (char *)id;
	struct rpc_stream *stream = agents_stream(a);
	agents_hello(stream, &hello);
	assert_true(stream->ended && agents_silent(stream));
	assert_int_equal(stream->reason, SL_REASON_IN_RECOVERY);
	agents_close(stream);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, agents_setup, agents_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(test_an_agent_hears_its_pace_and_nothing_else),
	    TEST(test_what_agents_say_is_shown_and_not_written),
	    TEST(test_the_end_tells_everybody_above_what_they_had),
	    TEST(test_no_last_word_is_said_in_recovery),
	    TEST(test_a_removed_instance_is_not_told_so_in_recovery),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
