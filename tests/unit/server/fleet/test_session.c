/* What agents are told, over a real store. */
#include "tests/unit/server/fleet/agents.h"

#include "server/records/updates.h"

#define TAGS SLUICE__V1__PUBLISH_MODE__PUBLISH_MODE_TAGS
#define NONE SLUICE__V1__PUBLISH_MODE__PUBLISH_MODE_NONE

/* Hello, pace, manifest. */
static struct rpc_stream *dial(struct agents *a, const char *instance,
			       Sluice__V1__Manifest **ret_manifest)
{
	struct rpc_stream *stream = agents_stream(a);
	agents_hello_of(stream, instance);
	agents_take_pace(a, stream);
	*ret_manifest = agents_manifest(a, stream, NULL);
	return stream;
}

static void test_a_draft_is_fetched_by_its_commit(void **state)
{
	struct agents *a = *state;
	const char *id = agents_register(a, "dev-1", "development", NULL);
	steps_shop(a->s, TAGS);
	steps_ready(a->s, "v1", '1');
	(void)agents_follow(a);
	Sluice__V1__Manifest *manifest = NULL;
	struct rpc_stream *stream = dial(a, "dev-1", &manifest);
	assert_string_equal(manifest->instance_id, id);
	assert_string_equal(manifest->instance, "dev-1");
	assert_string_equal(manifest->environment, "development");
	assert_int_equal(manifest->sequence, agents_revision(a));
	assert_int_equal(manifest->expires_at->seconds, agents_unix_ms / 1000 + 7 * 24 * 3600);
	assert_int_equal(manifest->n_apps, 1);
	Sluice__V1__ManifestApp *app = manifest->apps[0];
	Sluice__Store__V1__VersionRecord *version = steps_get(a->s, "v1");
	assert_string_equal(app->slug, "shop");
	assert_string_equal(app->activate, version->id);
	assert_int_equal(app->n_keep, 1);
	assert_string_equal(app->keep[0]->commit, version->content->commit);
	assert_string_equal(app->keep[0]->ref, version->content->ref);
	assert_string_equal(app->keep[0]->path, "apps/shop");
	assert_string_equal(app->keep[0]->tree, version->content->tree);
	assert_int_equal(app->keep[0]->digest.len, 32);
	agents_close(stream);
}

static void test_promotion_reaches_the_environment_and_nobody_else(void **state)
{
	struct agents *a = *state;
	(void)agents_register(a, "dev-1", "development", NULL);
	(void)agents_register(a, "stage-1", "staging", NULL);
	steps_shop(a->s, TAGS);
	steps_ready(a->s, "v1", '1');
	steps_seal(a->s, "v1");
	steps_published(a->s, "v1");
	(void)agents_follow(a);
	Sluice__V1__Manifest *dev = NULL, *stage = NULL;
	struct rpc_stream *dev_stream = dial(a, "dev-1", &dev),
			  *stage_stream = dial(a, "stage-1", &stage);
	assert_string_equal(stage->apps[0]->activate, "");
	assert_int_equal(steps_promote(a->s, "v1", "development"), SL_OK);
	assert_true(agents_follow(a) > 0);
	assert_true(agents_silent(dev_stream));
	Sluice__V1__Manifest *after = agents_manifest(a, stage_stream, NULL);
	assert_true(after->sequence > stage->sequence);
	Sluice__V1__Bundle *bundle = after->apps[0]->keep[0];
	assert_string_equal(after->apps[0]->activate, agents_version_id(a, "v1"));
	assert_true(strncmp(bundle->ref, "refs/tags/sluice/shop/v1-", 25) == 0);
	assert_string_equal(bundle->path, "");
	assert_string_not_equal(bundle->commit, steps_get(a->s, "v1")->content->commit);
	agents_close(dev_stream);
	agents_close(stage_stream);
}

static void test_without_publishing_the_commit_itself_is_fetched(void **state)
{
	struct agents *a = *state;
	(void)agents_register(a, "stage-1", "staging", NULL);
	steps_shop(a->s, NONE);
	steps_ready(a->s, "v1", '1');
	assert_int_equal(steps_promote(a->s, "v1", "development"), SL_OK);
	(void)agents_follow(a);
	Sluice__V1__Manifest *manifest = NULL;
	struct rpc_stream *stream = dial(a, "stage-1", &manifest);
	Sluice__Store__V1__VersionRecord *version = steps_get(a->s, "v1");
	assert_int_equal(manifest->apps[0]->n_keep, 1);
	assert_string_equal(manifest->apps[0]->keep[0]->commit, version->content->commit);
	assert_string_equal(manifest->apps[0]->keep[0]->path, "apps/shop");
	agents_close(stream);
}

static void test_release_activates_what_was_kept(void **state)
{
	struct agents *a = *state;
	(void)agents_register(a, "prod-1", "production", NULL);
	steps_shop(a->s, TAGS);
	steps_produce(a->s, "v1");
	(void)agents_follow(a);
	Sluice__V1__Manifest *manifest = NULL;
	struct rpc_stream *stream = dial(a, "prod-1", &manifest);
	assert_string_equal(manifest->apps[0]->activate, "");
	assert_int_equal(manifest->apps[0]->n_keep, 1);
	assert_int_equal(steps_release(a->s, "v1"), SL_OK);
	(void)agents_follow(a);
	manifest = agents_manifest(a, stream, NULL);
	assert_string_equal(manifest->apps[0]->activate, agents_version_id(a, "v1"));
	assert_int_equal(steps_withdraw(a->s), SL_OK);
	(void)agents_follow(a);
	assert_string_equal(agents_manifest(a, stream, NULL)->apps[0]->activate, "");
	agents_close(stream);
}

static void test_an_instance_pin_is_for_one_instance(void **state)
{
	struct agents *a = *state;
	(void)agents_register(a, "dev-1", "development", NULL);
	(void)agents_register(a, "dev-2", "development", NULL);
	steps_shop(a->s, TAGS);
	steps_ready(a->s, "v1", '1');
	steps_version(a->s, "v2");
	steps_ready(a->s, "v2", '2');
	(void)agents_follow(a);
	Sluice__V1__Manifest *first = NULL, *second = NULL;
	struct rpc_stream *one = dial(a, "dev-1", &first), *two = dial(a, "dev-2", &second);
	assert_string_equal(first->apps[0]->activate, agents_version_id(a, "v2"));
	assert_int_equal(steps_select(a->s, "v1", "development", "dev-1"), SL_OK);
	(void)agents_follow(a);
	assert_string_equal(agents_manifest(a, one, NULL)->apps[0]->activate,
			    agents_version_id(a, "v1"));
	assert_true(agents_silent(two));
	assert_int_equal(steps_clear(a->s, "development", "dev-1"), SL_OK);
	(void)agents_follow(a);
	assert_string_equal(agents_manifest(a, one, NULL)->apps[0]->activate,
			    agents_version_id(a, "v2"));
	agents_close(one);
	agents_close(two);
}

/* Dials again with what it was sent. */
static struct rpc_stream *dial_again(struct agents *a, const char *instance, uint64_t sequence,
				     uint8_t *digest)
{
	struct rpc_stream *stream = agents_stream(a);
	Sluice__V1__AgentHello hello = SLUICE__V1__AGENT_HELLO__INIT;
	hello.instance = (char *)instance;
	hello.sequence = sequence;
	hello.manifest_digest = (ProtobufCBinaryData){.data = digest, .len = 32};
	agents_hello(stream, &hello);
	agents_take_pace(a, stream);
	return stream;
}

static void test_the_same_body_is_not_sent_again(void **state)
{
	struct agents *a = *state;
	uint8_t digest[32], other[32] = {1};
	(void)agents_register(a, "dev-1", "development", NULL);
	steps_shop(a->s, TAGS);
	steps_ready(a->s, "v1", '1');
	(void)agents_follow(a);
	struct rpc_stream *stream = agents_stream(a);
	agents_hello_of(stream, "dev-1");
	agents_take_pace(a, stream);
	Sluice__V1__Manifest *manifest = agents_manifest(a, stream, digest);
	agents_close(stream);

	agents_unix_ms += 5000;
	stream = dial_again(a, "dev-1", manifest->sequence, digest);
	Sluice__V1__SyncResponse *same = agents_take(a, stream);
	assert_int_equal(same->message_case, SLUICE__V1__SYNC_RESPONSE__MESSAGE_NOT_MODIFIED);
	assert_true(same->not_modified->sequence >= manifest->sequence);
	assert_true(same->not_modified->expires_at->seconds > manifest->expires_at->seconds);
	assert_true(agents_silent(stream));
	agents_close(stream);

	steps_version(a->s, "v2"); /* a later revision, so that another body may go */
	(void)agents_follow(a);
	stream = dial_again(a, "dev-1", manifest->sequence, other);
	(void)agents_manifest(a, stream, NULL);
	agents_close(stream);
}

static void test_a_sequence_is_never_used_for_two_bodies(void **state)
{
	struct agents *a = *state;
	uint8_t other[32] = {1};
	(void)agents_register(a, "dev-1", "development", NULL);
	(void)agents_follow(a);
	uint64_t head = agents_revision(a);
	struct rpc_stream *stream = dial_again(a, "dev-1", head, other);
	assert_true(agents_silent(stream)); /* it has this sequence with another body */
	agents_settle(a);
	assert_int_equal(agents_revision(a), head + 1);
	Sluice__V1__Manifest *manifest = agents_manifest(a, stream, NULL);
	assert_int_equal(manifest->sequence, head + 1);
	agents_settle(a);
	assert_int_equal(agents_revision(a), head + 1); /* once is enough */
	agents_close(stream);
}

static void test_expiry_is_renewed_daily(void **state)
{
	struct agents *a = *state;
	(void)agents_register(a, "dev-1", "development", NULL);
	(void)agents_follow(a);
	Sluice__V1__Manifest *manifest = NULL;
	struct rpc_stream *stream = dial(a, "dev-1", &manifest);
	agents_mono_ms += 18ull * 3600 * 1000; /* up to a quarter of a day sooner */
	agents_unix_ms += 18ull * 3600 * 1000;
	fleet_tick(a->fleet);
	assert_true(agents_silent(stream));
	agents_mono_ms += 6 * 3600ull * 1000;
	agents_unix_ms += 6 * 3600ull * 1000;
	fleet_tick(a->fleet);
	Sluice__V1__SyncResponse *same = agents_take(a, stream);
	assert_int_equal(same->message_case, SLUICE__V1__SYNC_RESPONSE__MESSAGE_NOT_MODIFIED);
	assert_int_equal(same->not_modified->expires_at->seconds,
			 agents_unix_ms / 1000 + 7 * 24 * 3600);
	fleet_tick(a->fleet);
	assert_true(agents_silent(stream));
	agents_close(stream);
}

static void test_what_does_not_fit_goes_when_there_is_room(void **state)
{
	struct agents *a = *state;
	(void)agents_register(a, "dev-1", "development", NULL);
	steps_shop(a->s, TAGS);
	(void)agents_follow(a);
	Sluice__V1__Manifest *manifest = NULL;
	struct rpc_stream *stream = dial(a, "dev-1", &manifest);
	stream->full = true;
	steps_ready(a->s, "v1", '1');
	(void)agents_follow(a);
	assert_true(agents_silent(stream));
	stream->full = false;
	fleet_agent_drained(a->fleet, stream);
	assert_string_equal(agents_manifest(a, stream, NULL)->apps[0]->activate,
			    agents_version_id(a, "v1"));
	agents_close(stream);
}

static void test_only_what_the_agent_has_is_taken_down(void **state)
{
	struct agents *a = *state;
	(void)agents_register(a, "dev-1", "development", "web");
	(void)agents_register(a, "dev-2", "development", "web");
	steps_shop(a->s, TAGS);
	steps_ready(a->s, "v1", '1');
	(void)agents_follow(a);
	Sluice__V1__Manifest *manifest = NULL;
	struct rpc_stream *one = dial(a, "dev-1", &manifest), *two = dial(a, "dev-2", &manifest);
	char *staged = (char *)agents_version_id(a, "v1");
	Sluice__V1__AgentReport report = SLUICE__V1__AGENT_REPORT__INIT;
	report.app_id = steps_app(a->s)->id;
	report.version_id = report.active_version_id = staged;
	report.phase = SLUICE__V1__PHASE__PHASE_HEALTHY;
	report.sequence = manifest->sequence;
	report.staged_version_ids = &staged;
	report.n_staged_version_ids = 1;
	agents_report(one, &report);
	agents_place(a, "db"); /* labels match no more */
	(void)agents_follow(a);
	manifest = agents_manifest(a, one, NULL);
	assert_int_equal(manifest->n_apps, 0);
	assert_int_equal(manifest->n_removed, 1);
	assert_string_equal(manifest->removed[0], report.app_id);
	manifest = agents_manifest(a, two, NULL);
	assert_int_equal(manifest->n_apps + manifest->n_removed, 0); /* it never had it */

	agents_label(a, "dev-1", "db");
	(void)agents_follow(a);
	manifest = agents_manifest(a, one, NULL);
	assert_int_equal(manifest->n_apps, 1);
	assert_int_equal(manifest->n_removed, 0);
	agents_close(one);
	agents_close(two);
}

static sl_code decide_pause(struct decision *d, struct steps *s, const void *in, struct sl_err *err)
{
	(void)s;
	Sluice__Store__V1__InstanceRecord *instance = NULL;
	return instances_decide_pause(d, in, true, &instance, err);
}

static sl_code decide_retry(struct decision *d, struct steps *s, const void *in, struct sl_err *err)
{
	(void)s;
	Sluice__Store__V1__InstanceRecord *instance = NULL;
	return instances_decide_retry(d, in, "shop", &instance, err);
}

static void test_pause_and_retry_are_in_the_manifest(void **state)
{
	struct agents *a = *state;
	(void)agents_register(a, "dev-1", "development", NULL);
	steps_shop(a->s, TAGS);
	(void)agents_follow(a);
	Sluice__V1__Manifest *manifest = NULL;
	struct rpc_stream *stream = dial(a, "dev-1", &manifest);
	assert_false(manifest->paused);
	assert_int_equal(manifest->apps[0]->retries, 0);
	assert_int_equal(steps_run(a->s, decide_pause, "dev-1"), SL_OK);
	(void)agents_follow(a);
	assert_true(agents_manifest(a, stream, NULL)->paused);
	for (uint32_t i = 1; i <= 2; i++) {
		assert_int_equal(steps_run(a->s, decide_retry, "dev-1"), SL_OK);
		(void)agents_follow(a);
		assert_int_equal(agents_manifest(a, stream, NULL)->apps[0]->retries, i);
	}
	agents_close(stream);
}

static sl_code decide_manual(struct decision *d, struct steps *s, const void *in,
			     struct sl_err *err)
{
	(void)s;
	Sluice__Store__V1__InstanceRecord *made = NULL;
	const struct instance_wish wish = {.public_url = "",
					   .pull = SLUICE__V1__PULL_MODE__PULL_MODE_MANUAL};
	return instances_decide_update(d, in, &wish, &made, err);
}

static sl_code decide_pull(struct decision *d, struct steps *s, const void *in, struct sl_err *err)
{
	(void)s;
	Sluice__Store__V1__InstanceRecord *made = NULL;
	Sluice__Store__V1__VersionRecord *version = NULL;
	const struct updates_wish wish = {
	    .instance = in, .app = "shop", .version = "v1", .commit = ""};
	return updates_decide_pull(d, &wish, &made, &version, err);
}

static void test_what_a_manual_instance_may_fetch_is_in_the_manifest(void **state)
{
	struct agents *a = *state;
	(void)agents_register(a, "dev-1", "development", NULL);
	steps_shop(a->s, TAGS);
	steps_ready(a->s, "v1", 1);
	(void)agents_follow(a);
	Sluice__V1__Manifest *manifest = NULL;
	struct rpc_stream *stream = dial(a, "dev-1", &manifest);
	assert_int_equal(manifest->pull, SLUICE__V1__PULL_MODE__PULL_MODE_UNSPECIFIED);
	assert_int_equal(steps_run(a->s, decide_manual, "dev-1"), SL_OK);
	(void)agents_follow(a);
	manifest = agents_manifest(a, stream, NULL);
	assert_int_equal(manifest->pull, SLUICE__V1__PULL_MODE__PULL_MODE_MANUAL);
	assert_null(manifest->apps[0]->pulled);
	assert_int_equal(steps_run(a->s, decide_pull, "dev-1"), SL_OK);
	(void)agents_follow(a);
	manifest = agents_manifest(a, stream, NULL);
	const Sluice__V1__PulledStep *pulled = manifest->apps[0]->pulled;
	assert_non_null(pulled);
	assert_string_equal(pulled->version_id, manifest->apps[0]->keep[0]->version_id);
	assert_int_equal(pulled->digest.len, SL_HASH_BYTES);
	assert_memory_equal(pulled->digest.data, manifest->apps[0]->keep[0]->digest.data,
			    SL_HASH_BYTES);
	assert_int_equal(steps_run(a->s, decide_pull, "dev-1"), SL_OK); /* again: nothing new */
	steps_same(a->s);
	(void)agents_follow(a);
	assert_true(agents_silent(stream));
	agents_close(stream);
}

/* --- those who are not let in ------------------------------------------------------------- */

static void test_strangers_are_refused(void **state)
{
	struct agents *a = *state;
	(void)agents_register(a, "dev-1", "development", NULL);
	(void)agents_follow(a);
	Sluice__V1__AgentHello hello = SLUICE__V1__AGENT_HELLO__INIT;
	struct rpc_stream *stream = agents_stream(a);
	hello.instance = "dev-9";
	agents_hello(stream, &hello);
	assert_true(stream->ended && stream->code == SL_NOT_FOUND);
	assert_int_equal(stream->reason, SL_REASON_INSTANCE_NOT_FOUND);
	agents_close(stream);

	stream = agents_stream(a);
	hello.instance = "dev-1";
	hello.workspace = "nowhere";
	agents_hello(stream, &hello);
	assert_int_equal(stream->reason, SL_REASON_WORKSPACE_NOT_FOUND);
	agents_close(stream);

	stream = agents_stream(a);
	hello.workspace = "";
	hello.instance_id = "ins_aaaaaaaaaaaaaaaaaaaa";
	agents_hello(stream, &hello);
	assert_true(stream->ended && stream->code == SL_FAILED_PRECONDITION);
	assert_int_equal(stream->reason, SL_REASON_INSTANCE_MISMATCH);
	agents_close(stream);

	stream = agents_stream(a);
	agents_heartbeat(stream, 1); /* before a Hello */
	assert_true(stream->ended && stream->code == SL_INVALID_ARGUMENT);
	agents_close(stream);

	stream = agents_stream(a);
	fleet_agent_message(a->fleet, stream, sl_bytes_text("\xff\xff\xff"));
	assert_true(stream->ended && stream->code == SL_INVALID_ARGUMENT);
	agents_close(stream);

	stream = agents_stream(a);
	agents_hello_of(stream, "dev-1");
	agents_hello_of(stream, "dev-1"); /* twice */
	assert_true(stream->ended && stream->code == SL_INVALID_ARGUMENT);
	agents_close(stream);
}

static void test_the_newer_agent_wins(void **state)
{
	struct agents *a = *state;
	const char *id = agents_register(a, "dev-1", "development", NULL);
	(void)agents_follow(a);
	Sluice__V1__Manifest *manifest = NULL;
	struct rpc_stream *older = dial(a, "dev-1", &manifest), *newer = agents_stream(a);
	agents_hello_of(newer, "dev-1");
	assert_true(older->ended && older->code == SL_ABORTED);
	assert_int_equal(older->reason, SL_REASON_AGENT_REPLACED);
	agents_close(older);
	assert_false(newer->ended);
	assert_int_equal(fleet_agent_view(a->fleet, &a->s->arena, id)->liveness,
			 SLUICE__V1__LIVENESS__LIVENESS_ONLINE);
	agents_close(newer);
}

static void expect_removed(struct agents *a, struct rpc_stream *stream)
{
	Sluice__V1__SyncResponse *response = agents_take(a, stream);
	assert_int_equal(response->message_case, SLUICE__V1__SYNC_RESPONSE__MESSAGE_COMMAND);
	assert_int_equal(response->command->kind,
			 SLUICE__V1__AGENT_COMMAND_KIND__AGENT_COMMAND_KIND_REMOVED);
	assert_false(stream->ended); /* the word goes out first */
	agents_mono_ms += 300;
	fleet_tick(a->fleet);
	assert_true(stream->ended && stream->code == SL_FAILED_PRECONDITION);
	assert_int_equal(stream->reason, SL_REASON_INSTANCE_REMOVED);
}

static void test_a_removed_instance_is_told(void **state)
{
	struct agents *a = *state;
	char *id = (char *)agents_register(a, "dev-1", "development", NULL);
	(void)agents_follow(a);
	Sluice__V1__Manifest *manifest = NULL;
	struct rpc_stream *stream = dial(a, "dev-1", &manifest);
	agents_remove(a, "dev-1");
	(void)agents_follow(a);
	expect_removed(a, stream);
	agents_close(stream);

	(void)agents_register(a, "dev-1", "development", NULL); /* another one of that name */
	(void)agents_follow(a);
	Sluice__V1__AgentHello hello = SLUICE__V1__AGENT_HELLO__INIT;
	hello.instance = "dev-1";
	hello.instance_id = id;
	stream = agents_stream(a);
	agents_hello(stream, &hello);
	expect_removed(a, stream);
	agents_close(stream);
}

static void test_stopping_ends_streams_and_lets_nobody_in(void **state)
{
	struct agents *a = *state;
	(void)agents_register(a, "dev-1", "development", NULL);
	(void)agents_follow(a);
	Sluice__V1__Manifest *manifest = NULL;
	struct rpc_stream *stream = dial(a, "dev-1", &manifest), *late = agents_stream(a);
	fleet_stop(a->fleet);
	assert_true(stream->ended && stream->code == SL_UNAVAILABLE);
	assert_int_equal(stream->reason, SL_REASON_STOPPING);
	agents_hello_of(late, "dev-1");
	assert_true(late->ended && late->code == SL_UNAVAILABLE);
	steps_shop(a->s, TAGS);
	(void)agents_follow(a);
	fleet_tick(a->fleet);
	assert_true(agents_silent(stream));
	agents_close(stream);
	agents_close(late);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, agents_setup, agents_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(test_a_draft_is_fetched_by_its_commit),
	    TEST(test_promotion_reaches_the_environment_and_nobody_else),
	    TEST(test_without_publishing_the_commit_itself_is_fetched),
	    TEST(test_release_activates_what_was_kept),
	    TEST(test_an_instance_pin_is_for_one_instance),
	    TEST(test_the_same_body_is_not_sent_again),
	    TEST(test_a_sequence_is_never_used_for_two_bodies),
	    TEST(test_expiry_is_renewed_daily),
	    TEST(test_what_does_not_fit_goes_when_there_is_room),
	    TEST(test_only_what_the_agent_has_is_taken_down),
	    TEST(test_pause_and_retry_are_in_the_manifest),
	    TEST(test_what_a_manual_instance_may_fetch_is_in_the_manifest),
	    TEST(test_strangers_are_refused),
	    TEST(test_the_newer_agent_wins),
	    TEST(test_a_removed_instance_is_told),
	    TEST(test_stopping_ends_streams_and_lets_nobody_in),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
