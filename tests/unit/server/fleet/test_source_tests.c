/* Tests of data sources: to which agent they go, and what who asked is told, whatever happens to
 * it. */
#include "tests/unit/server/fleet/agents.h"

#define NOTHING 99

struct asked {
	int how; /* NOTHING: not answered */
	Sluice__V1__SourceTestStep reached;
};

static void done(void *ctx, enum fleet_tested how, const Sluice__V1__SourceTest *test)
{
	struct asked *asked = ctx;
	assert_int_equal(asked->how, NOTHING); /* once */
	asked->how = (int)how;
	asked->reached = test != NULL ? test->reached : 0;
}

static void ask(struct agents *a, const char *instance_id, struct asked *asked)
{
	asked->how = NOTHING;
	fleet_test_source(a->fleet, &(struct fleet_source_test){.instance_id = instance_id,
								.box = SL_BYTES("sealed", 6),
								.timeout_ms = 3000,
								.done = done,
								.ctx = asked});
}

static struct rpc_stream *dial(struct agents *a, const char *instance)
{
	struct rpc_stream *stream = agents_stream(a);
	agents_hello_of(stream, instance);
	agents_take_pace(a, stream);
	(void)agents_manifest(a, stream, NULL);
	return stream;
}

/* The id of the order that was sent last. */
static const char *take_order(struct agents *a, struct rpc_stream *stream)
{
	const Sluice__V1__SyncResponse *message = agents_take(a, stream);
	assert_int_equal(message->message_case, SLUICE__V1__SYNC_RESPONSE__MESSAGE_SOURCE_TEST);
	const Sluice__V1__AgentSourceTest *order = message->source_test;
	assert_int_equal(order->box.len, 6);
	assert_memory_equal(order->box.data, "sealed", 6);
	assert_int_equal(order->step_ms, 1000);
	return order->id;
}

static void answer(struct rpc_stream *stream, const char *id, bool whole)
{
	Sluice__V1__SyncRequest request = SLUICE__V1__SYNC_REQUEST__INIT;
	Sluice__V1__AgentSourceTested tested = SLUICE__V1__AGENT_SOURCE_TESTED__INIT;
	Sluice__V1__SourceTest test = SLUICE__V1__SOURCE_TEST__INIT;
	test.reached = SLUICE__V1__SOURCE_TEST_STEP__SOURCE_TEST_STEP_TLS;
	tested.id = (char *)id;
	tested.test = whole ? &test : NULL;
	request.message_case = SLUICE__V1__SYNC_REQUEST__MESSAGE_SOURCE_TESTED;
	request.source_tested = &tested;
	agents_send(stream, &request);
}

static const char *begin(struct agents *a, const char *name)
{
	const char *id = agents_register(a, name, "development", NULL);
	(void)agents_follow(a);
	return id;
}

static void test_an_order_goes_to_one_agent_and_is_answered_by_it(void **state)
{
	struct agents *a = *state;
	struct asked first = {.how = NOTHING}, second = first;
	const char *one_id = begin(a, "dev-1");
	(void)begin(a, "dev-2");
	struct rpc_stream *one = dial(a, "dev-1"), *two = dial(a, "dev-2");
	ask(a, one_id, &first);
	ask(a, one_id, &second);
	const char *first_order = take_order(a, one), *second_order = take_order(a, one);
	assert_true(agents_silent(one) && agents_silent(two));
	answer(two, first_order, true); /* not its own */
	answer(one, "tst_nosuch", true);
	assert_int_equal(first.how, NOTHING);
	answer(one, second_order, true);
	assert_int_equal(second.how, FLEET_TESTED);
	assert_int_equal(second.reached, SLUICE__V1__SOURCE_TEST_STEP__SOURCE_TEST_STEP_TLS);
	assert_int_equal(first.how, NOTHING);
	answer(one, first_order, true);
	answer(one, first_order, true);
	assert_int_equal(first.how, FLEET_TESTED);
	ask(a, one_id, &first);
	answer(one, take_order(a, one), false);
	assert_int_equal(first.how, FLEET_TEST_LOST);
	agents_close(one);
	agents_close(two);
}

static void test_nobody_waits_for_an_agent_that_is_not_there(void **state)
{
	struct agents *a = *state;
	struct asked asked = {.how = NOTHING}, late = asked, stopped = asked;
	const char *id = begin(a, "dev-1");
	ask(a, id, &asked);
	assert_int_equal(asked.how, FLEET_TEST_OFFLINE);
	ask(a, "ins_nosuch", &asked);
	assert_int_equal(asked.how, FLEET_TEST_OFFLINE);
	struct rpc_stream *one = dial(a, "dev-1");
	ask(a, id, &asked);
	agents_close(one);
	assert_int_equal(asked.how, FLEET_TEST_LOST);
	one = dial(a, "dev-1");
	ask(a, id, &late);
	const char *order = take_order(a, one);
	agents_mono_ms += 4999;
	agents_heartbeat(one, 0);
	fleet_tick(a->fleet);
	assert_int_equal(late.how, NOTHING);
	agents_mono_ms += 1;
	fleet_tick(a->fleet);
	assert_int_equal(late.how, FLEET_TEST_LATE);
	answer(one, order, true);
	ask(a, id, &stopped);
	fleet_stop(a->fleet);
	assert_int_equal(stopped.how, FLEET_TEST_STOPPING);
	ask(a, id, &stopped);
	assert_int_equal(stopped.how, FLEET_TEST_STOPPING);
	agents_close(one);
}

static void test_an_agent_is_at_four_at_once(void **state)
{
	struct agents *a = *state;
	struct asked asked[5];
	const char *id = begin(a, "dev-1");
	struct rpc_stream *one = dial(a, "dev-1");
	for (size_t i = 0; i < SL_COUNT(asked); i++) {
		ask(a, id, &asked[i]);
		assert_int_equal(asked[i].how, i < 4 ? NOTHING : FLEET_TEST_TOO_MANY);
	}
	answer(one, take_order(a, one), true);
	ask(a, id, &asked[4]);
	assert_int_equal(asked[4].how, NOTHING);
	answer(one, take_order(a, one), true);
	one->full = true;
	struct asked full;
	ask(a, id, &full);
	assert_int_equal(full.how, FLEET_TEST_TOO_MANY);
	agents_close(one);
	assert_int_equal(asked[4].how, FLEET_TEST_LOST);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, agents_setup, agents_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(test_an_order_goes_to_one_agent_and_is_answered_by_it),
	    TEST(test_nobody_waits_for_an_agent_that_is_not_there),
	    TEST(test_an_agent_is_at_four_at_once),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
