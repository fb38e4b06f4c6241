/* Orders to push, and working copies that agents tell of. */
#include "tests/unit/server/fleet/agents.h"

#include "server/records/pushes.h"

#define TAGS SLUICE__V1__PUBLISH_MODE__PUBLISH_MODE_TAGS
#define COMMIT "0123456789012345678901234567890123456789"
enum { ORDER_MS = 60000 };

static sl_code order_decide(struct decision *d, struct steps *s, const void *in, struct sl_err *err)
{
	Sluice__Store__V1__AppRecord *app = NULL;
	Sluice__Store__V1__VersionRecord *version = NULL;
	Sluice__Store__V1__InstanceRecord *instance = NULL;
	Sluice__Store__V1__LeaseRecord *lease = NULL;
	(void)s;
	sl_code code = app_find(d->view, d->arena, d->workspace, "shop", &app, err);
	code = code != SL_OK ? code
			     : instance_find(d->view, d->arena, d->workspace, in, &instance, err);
	code = code != SL_OK
		   ? code
		   : pushes_find_draft(d->view, d->arena, d->workspace, app, &version, err);
	const struct commit_push push = {.instance_id = code == SL_OK ? instance->id : "",
					 .expires_ms = agents_unix_ms + ORDER_MS,
					 .message = "more"};
	return code != SL_OK ? code
			     : pushes_decide_order(d, app, version, instance, &push, &lease, err);
}

static void order(struct agents *a, const char *instance)
{
	assert_int_equal(steps_run(a->s, order_decide, instance), SL_OK);
	(void)agents_follow(a);
}

/* Hello, pace, and whatever manifest. */
static struct rpc_stream *dial(struct agents *a, const char *instance)
{
	struct rpc_stream *stream = agents_stream(a);
	agents_hello_of(stream, instance);
	agents_take_pace(a, stream);
	(void)agents_manifest(a, stream, NULL);
	return stream;
}

/* Of all that waits on the stream, the order; NULL: none. */
static Sluice__V1__AgentPush *take_order(struct agents *a, struct rpc_stream *stream)
{
	Sluice__V1__AgentPush *found = NULL;
	while (!agents_silent(stream)) {
		Sluice__V1__SyncResponse *message = agents_take(a, stream);
		if (message->message_case == SLUICE__V1__SYNC_RESPONSE__MESSAGE_PUSH) {
			assert_null(found);
			found = message->push;
		}
	}
	return found;
}

static void answer(struct rpc_stream *stream, const char *app_id, const char *operation,
		   const char *failure)
{
	Sluice__V1__SyncRequest request = SLUICE__V1__SYNC_REQUEST__INIT;
	Sluice__V1__AgentPushed pushed = SLUICE__V1__AGENT_PUSHED__INIT;
	pushed.operation = (char *)operation;
	pushed.app_id = (char *)app_id;
	pushed.failure = (char *)failure;
	pushed.commit = failure[0] == '\0' ? COMMIT : "";
	request.message_case = SLUICE__V1__SYNC_REQUEST__MESSAGE_PUSHED;
	request.pushed = &pushed;
	agents_send(stream, &request);
}

static void begin(struct agents *a)
{
	(void)agents_register(a, "dev-1", "development", NULL);
	(void)agents_register(a, "dev-2", "development", NULL);
	steps_shop(a->s, TAGS);
	steps_ready(a->s, "v1", '1');
	(void)agents_follow(a);
}

static void test_an_order_is_told_to_its_agent_on_each_stream_until_it_is_answered(void **state)
{
	struct agents *a = *state;
	begin(a);
	struct rpc_stream *one = dial(a, "dev-1"), *two = dial(a, "dev-2");
	order(a, "dev-1");
	const Sluice__V1__AgentPush *told = take_order(a, one);
	assert_non_null(told);
	assert_string_equal(told->message, "Version v1 of shop : more");
	assert_null(take_order(a, two));
	/* Once a stream. */
	steps_version(a->s, "v2");
	(void)agents_follow(a);
	assert_null(take_order(a, one));
	agents_close(one);
	one = dial(a, "dev-1");
	const Sluice__V1__AgentPush *again = take_order(a, one);
	assert_non_null(again);
	assert_string_equal(again->operation, told->operation);
	/* Another instance's word is none. */
	answer(two, told->app_id, told->operation, "PUSH_REFUSED");
	steps_version(a->s, "v3"); /* written behind it */
	assert_int_equal(steps_get(a->s, "v1")->content->state,
			 SLUICE__V1__CONTENT_STATE__CONTENT_STATE_RESOLVING);
	answer(one, told->app_id, told->operation, "PUSH_REFUSED");
	steps_version(a->s, "v4");
	(void)agents_follow(a);
	assert_int_equal(steps_get(a->s, "v1")->content->reason,
			 SLUICE__V1__CONTENT_REASON__CONTENT_REASON_PUSH_REFUSED);
	agents_close(one);
	one = dial(a, "dev-1");
	assert_null(take_order(a, one));
	agents_close(one);
	agents_close(two);
}

static void test_an_order_that_the_outbox_does_not_take_is_told_later(void **state)
{
	struct agents *a = *state;
	begin(a);
	struct rpc_stream *one = dial(a, "dev-1");
	one->full = true;
	order(a, "dev-1");
	assert_true(agents_silent(one));
	one->full = false;
	agents_settle(a);
	assert_non_null(take_order(a, one));
	agents_close(one);
}

static void test_an_order_waits_for_an_agent_after_a_restart(void **state)
{
	struct agents *a = *state;
	begin(a);
	order(a, "dev-1");
	agents_restart(a);
	(void)agents_follow(a);
	struct rpc_stream *one = dial(a, "dev-1");
	assert_non_null(take_order(a, one));
	agents_close(one);
}

static void test_a_working_copy_is_as_its_agent_said_and_bounded(void **state)
{
	struct agents *a = *state;
	begin(a);
	struct rpc_stream *one = dial(a, "dev-1");
	const char *version_id = agents_version_id(a, "v1");
	Sluice__Store__V1__VersionRecord *version = steps_get(a->s, "v1");
	char text[1000], *files[20];
	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	for (size_t i = 0; i < SL_COUNT(files); i++) {
		files[i] = text;
	}
	Sluice__V1__WorkingCopy work = SLUICE__V1__WORKING_COPY__INIT;
	work.version_id = (char *)version_id;
	work.edited = 20;
	work.files = files;
	work.n_files = SL_COUNT(files);
	work.error = text;
	Sluice__V1__AgentReport report = SLUICE__V1__AGENT_REPORT__INIT;
	report.app_id = version->app_id;
	report.version_id = (char *)version_id;
	report.phase = SLUICE__V1__PHASE__PHASE_HEALTHY;
	report.attempt = 1;
	report.sequence = agents_revision(a);
	report.working_copy = &work;
	agents_report(one, &report);
	struct fleet_working_copy known;
	const char *instance_id =
	    one->user != NULL ? ((struct fleet_session *)one->user)->unit->id : "";
	fleet_working_copy_read(a->fleet, instance_id, version->app_id, &known);
	assert_true(known.connected);
	assert_string_equal(known.version_id, version_id);
	const struct fleet_unit *unit = fleet_unit_find(a->fleet, instance_id);
	const Sluice__V1__WorkingCopy *kept = fleet_status_find(unit, version->app_id)->work;
	assert_int_equal(kept->n_files, 10);
	assert_int_equal(strlen(kept->files[0]), 300);
	assert_int_equal(strlen(kept->error), 500);
	/* It goes with the next report that has none; nobody is there when the stream is over. */
	report.working_copy = NULL;
	agents_report(one, &report);
	fleet_working_copy_read(a->fleet, instance_id, version->app_id, &known);
	assert_string_equal(known.version_id, "");
	char id[FLEET_ID_ROOM];
	memcpy(id, unit->id, sizeof(id));
	agents_close(one);
	fleet_working_copy_read(a->fleet, id, version->app_id, &known);
	assert_false(known.connected);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, agents_setup, agents_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(test_an_order_is_told_to_its_agent_on_each_stream_until_it_is_answered),
	    TEST(test_an_order_that_the_outbox_does_not_take_is_told_later),
	    TEST(test_an_order_waits_for_an_agent_after_a_restart),
	    TEST(test_a_working_copy_is_as_its_agent_said_and_bounded),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
