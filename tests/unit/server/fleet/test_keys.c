/* Who vouches for what agents are told, and how they learn of the next key. */
#include <stdio.h>
#include <sys/stat.h>

#include "base/vouch/vouch.h"
#include "server/signing/signing.h"
#include "tests/lib/tmpdir.h"
#include "tests/unit/server/fleet/agents.h"

#define TAGS SLUICE__V1__PUBLISH_MODE__PUBLISH_MODE_TAGS

static struct {
	char *top, dir[600], recovery[SL_KEY_TEXT_SIZE];
} folder;

static int setup(void **state)
{
	struct sl_err err = SL_ERR_INIT;
	assert_int_equal(agents_setup(state), 0);
	struct agents *a = *state;
	folder.top = tmpdir_new();
	(void)snprintf(folder.dir, sizeof(folder.dir), "%s/keys", folder.top);
	assert_int_equal(mkdir(folder.dir, 0700), 0);
	assert_int_equal(signing_init(folder.dir, 1, folder.recovery, &err), SL_OK);
	assert_int_equal(signing_open(folder.dir, &a->signing, &err), SL_OK);
	agents_restart(a);
	(void)agents_register(a, "dev-1", "development", NULL);
	steps_shop(a->s, TAGS);
	steps_ready(a->s, "v1", '1');
	(void)agents_follow(a);
	return 0;
}

static int teardown(void **state)
{
	struct agents *a = *state;
	struct signing *signing = a->signing;
	int result = agents_teardown(state);
	signing_free(signing);
	tmpdir_free(folder.top);
	return result;
}

static struct signing_key current(struct agents *a)
{
	struct signing_key key;
	signing_current(a->signing, &key);
	return key;
}

static struct sl_bytes public_of(const struct signing_key *key)
{
	return SL_BYTES(key->public_key, SL_SIGN_PUBLIC_BYTES);
}

static struct sl_bytes bytes_of(ProtobufCBinaryData data)
{
	return SL_BYTES(data.data, data.len);
}

/* An agent that has pinned the key; what it accepted last, if anything. */
static struct rpc_stream *dial(struct agents *a, const struct signing_key *key, uint64_t sequence,
			       const uint8_t *digest)
{
	struct rpc_stream *stream = agents_stream(a);
	Sluice__V1__AgentHello hello = SLUICE__V1__AGENT_HELLO__INIT;
	hello.instance = "dev-1";
	hello.key_epoch = key->epoch;
	hello.manifest_key =
	    (ProtobufCBinaryData){.data = (uint8_t *)key->public_key, .len = SL_SIGN_PUBLIC_BYTES};
	hello.sequence = sequence;
	if (digest != NULL) {
		hello.manifest_digest =
		    (ProtobufCBinaryData){.data = (uint8_t *)digest, .len = SL_HASH_BYTES};
	}
	agents_hello(stream, &hello);
	agents_take_pace(a, stream);
	return stream;
}

/* The next message must be a manifest by this key. */
static Sluice__V1__Manifest *take_manifest(struct agents *a, struct rpc_stream *stream,
					   const struct signing_key *key, uint8_t *digest)
{
	Sluice__V1__SyncResponse *response = agents_take(a, stream);
	assert_int_equal(response->message_case, SLUICE__V1__SYNC_RESPONSE__MESSAGE_MANIFEST);
	struct sl_bytes body = bytes_of(response->manifest->body);
	assert_true(sl_sign_is_valid(public_of(key), VOUCH_MANIFEST, body,
				     bytes_of(response->manifest->signature)));
	Sluice__V1__Manifest *manifest =
	    sluice__v1__manifest__unpack(sl_arena_protobuf(&a->s->arena), body.size, body.data);
	assert_non_null(manifest);
	assert_int_equal(manifest->key_epoch, key->epoch);
	if (digest != NULL) {
		sl_hash(digest, body.data, body.size, NULL, 0);
	}
	return manifest;
}

/* The next message must be the announcement of exactly this key. */
static void take_key(struct agents *a, struct rpc_stream *stream, const struct signing_key *key,
		     struct sl_bytes by)
{
	uint8_t words[VOUCH_KEY_BYTES];
	Sluice__V1__SyncResponse *response = agents_take(a, stream);
	assert_int_equal(response->message_case, SLUICE__V1__SYNC_RESPONSE__MESSAGE_KEYS);
	assert_int_equal(response->keys->n_keys, 1);
	Sluice__V1__ManifestKey *announced = response->keys->keys[0];
	assert_int_equal(announced->epoch, key->epoch);
	assert_true(sl_bytes_equal(bytes_of(announced->public_key), public_of(key)));
	vouch_key(key->epoch, key->public_key, words);
	assert_true(sl_sign_is_valid(by, VOUCH_KEY, SL_BYTES(words, sizeof(words)),
				     bytes_of(announced->signature)));
}

/* As when `sluiced keys` has run beside the server. */
static struct signing_key change_key(struct agents *a, bool recover)
{
	struct sl_err err = SL_ERR_INIT;
	struct signing_key key;
	sl_code code = recover ? signing_recover(folder.dir, folder.recovery, 0, 2, &key, &err)
			       : signing_rotate(folder.dir, 2, &key, &err);
	assert_int_equal(code, SL_OK);
	agents_mono_ms += 1000;
	fleet_tick(a->fleet);
	assert_int_equal(current(a).epoch, key.epoch);
	return key;
}

static void test_manifests_are_signed(void **state)
{
	struct agents *a = *state;
	struct signing_key key = current(a);
	struct rpc_stream *stream = dial(a, &key, 0, NULL);
	Sluice__V1__Manifest *manifest = take_manifest(a, stream, &key, NULL);
	assert_int_equal(manifest->n_apps, 1);
	assert_int_equal(manifest->sequence, agents_revision(a));
	assert_true(agents_silent(stream));
	agents_close(stream);
}

static void check_refresh(struct agents *a, struct rpc_stream *stream,
			  const struct signing_key *key, const uint8_t *digest)
{
	uint8_t words[VOUCH_REFRESH_BYTES];
	Sluice__V1__SyncResponse *response = agents_take(a, stream);
	assert_int_equal(response->message_case, SLUICE__V1__SYNC_RESPONSE__MESSAGE_NOT_MODIFIED);
	Sluice__V1__NotModified *same = response->not_modified;
	const struct vouch_refresh said = {.epoch = key->epoch,
					   .sequence = same->sequence,
					   .expires_s = (uint64_t)same->expires_at->seconds,
					   .digest = digest};
	vouch_refresh(&said, words);
	assert_int_equal(same->key_epoch, key->epoch);
	assert_int_equal(same->expires_at->nanos, 0);
	assert_int_equal(same->expires_at->seconds, agents_unix_ms / 1000 + 7 * 24 * 3600);
	assert_true(sl_bytes_equal(bytes_of(same->manifest_digest), SL_BYTES(digest, 32)));
	assert_true(sl_sign_is_valid(public_of(key), VOUCH_REFRESH, SL_BYTES(words, sizeof(words)),
				     bytes_of(same->signature)));
}

static void test_refreshes_are_signed_too(void **state)
{
	struct agents *a = *state;
	uint8_t digest[SL_HASH_BYTES];
	struct signing_key key = current(a);
	struct rpc_stream *stream = dial(a, &key, 0, NULL);
	Sluice__V1__Manifest *manifest = take_manifest(a, stream, &key, digest);
	agents_mono_ms += FLEET_REFRESH_MS;
	agents_unix_ms += FLEET_REFRESH_MS;
	fleet_tick(a->fleet);
	check_refresh(a, stream, &key, digest);
	agents_close(stream);
	stream = dial(a, &key, manifest->sequence, digest);
	check_refresh(a, stream, &key, digest);
	assert_true(agents_silent(stream));
	agents_close(stream);
}

static void test_a_new_key_reaches_connected_agents_before_its_first_manifest(void **state)
{
	struct agents *a = *state;
	struct signing_key first = current(a);
	struct rpc_stream *stream = dial(a, &first, 0, NULL);
	Sluice__V1__Manifest *before = take_manifest(a, stream, &first, NULL);
	struct signing_key second = change_key(a, false);
	take_key(a, stream, &second, public_of(&first));
	Sluice__V1__Manifest *after = take_manifest(a, stream, &second, NULL);
	assert_int_equal(after->sequence, before->sequence); /* order began anew */
	assert_true(agents_silent(stream));
	fleet_tick(a->fleet);
	assert_true(agents_silent(stream));
	agents_close(stream);
}

static void test_agents_that_were_away_are_told_of_every_key(void **state)
{
	struct agents *a = *state;
	struct signing_key first = current(a), keys[2];
	keys[0] = change_key(a, false);
	keys[1] = change_key(a, false);
	struct rpc_stream *stream = dial(a, &first, UINT64_MAX, NULL); /* fast-forwarded */
	Sluice__V1__SyncResponse *response = agents_take(a, stream);
	assert_int_equal(response->message_case, SLUICE__V1__SYNC_RESPONSE__MESSAGE_KEYS);
	assert_int_equal(response->keys->n_keys, 2);
	assert_int_equal(response->keys->keys[0]->epoch, 2);
	assert_int_equal(response->keys->keys[1]->epoch, 3);
	(void)take_manifest(a, stream, &keys[1], NULL);
	agents_close(stream);
	stream = dial(a, &keys[0], 1, NULL);
	take_key(a, stream, &keys[1], public_of(&keys[0]));
	(void)take_manifest(a, stream, &keys[1], NULL);
	agents_close(stream);
}

static void test_recovery_leads_agents_back_from_a_strangers_key(void **state)
{
	struct agents *a = *state;
	struct signing_key stranger = {.epoch = 77, .public_key = {1, 2, 3}};
	uint8_t recovery[SL_SIGN_PUBLIC_BYTES];
	struct signing_key second = change_key(a, true);
	signing_recovery(a->signing, recovery);
	struct rpc_stream *stream = dial(a, &stranger, 5, NULL);
	take_key(a, stream, &second, SL_BYTES(recovery, sizeof(recovery)));
	(void)take_manifest(a, stream, &second, NULL);
	agents_close(stream);
}

static void test_keys_wait_for_room_like_manifests(void **state)
{
	struct agents *a = *state;
	struct signing_key first = current(a);
	struct rpc_stream *stream = dial(a, &first, 0, NULL);
	(void)take_manifest(a, stream, &first, NULL);
	stream->full = true;
	struct signing_key second = change_key(a, false);
	assert_true(agents_silent(stream));
	stream->full = false;
	fleet_agent_drained(a->fleet, stream);
	take_key(a, stream, &second, public_of(&first));
	(void)take_manifest(a, stream, &second, NULL);
	agents_close(stream);
}

static void test_a_refusal_is_shown_and_counted(void **state)
{
	struct agents *a = *state;
	struct signing_key key = current(a);
	struct fleet_stats stats;
	struct rpc_stream *stream = dial(a, &key, 0, NULL);
	(void)take_manifest(a, stream, &key, NULL);
	Sluice__V1__SyncRequest request = SLUICE__V1__SYNC_REQUEST__INIT;
	Sluice__V1__AgentRefusal refusal = SLUICE__V1__AGENT_REFUSAL__INIT;
	refusal.error_class = SLUICE__V1__ERROR_CLASS__ERROR_CLASS_MANIFEST_REFUSED;
	refusal.error = "manifest is not signed";
	refusal.count = 3;
	refusal.sequence = 9;
	request.message_case = SLUICE__V1__SYNC_REQUEST__MESSAGE_REFUSAL;
	request.refusal = &refusal;
	agents_send(stream, &request);
	Sluice__Store__V1__InstanceRecord *instance = NULL;
	const struct store_view *view = NULL;
	assert_int_equal(store_view_begin(a->s->store, &view, &a->s->err), SL_OK);
	uint32_t workspace = 0;
	assert_int_equal(workspace_find(view, "", &workspace, &a->s->err), SL_OK);
	assert_int_equal(
	    instance_find(view, &a->s->arena, workspace, "dev-1", &instance, &a->s->err), SL_OK);
	store_view_end(view);
	Sluice__V1__AgentView *seen = fleet_agent_view(a->fleet, &a->s->arena, instance->id);
	assert_string_equal(seen->last_error, "manifest is not signed");
	assert_int_equal(seen->error_class, SLUICE__V1__ERROR_CLASS__ERROR_CLASS_MANIFEST_REFUSED);
	assert_int_equal(seen->refusals, 3);
	assert_int_equal(seen->key_epoch, 1);
	fleet_stats_read(a->fleet, &stats);
	assert_int_equal(stats.refusals, 1);
	assert_int_equal(stats.concerns[FLEET_CONCERN_REFUSED], 1);
	assert_int_equal(stats.key_epoch, 1);
	agents_close(stream);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(test_manifests_are_signed),
	    TEST(test_refreshes_are_signed_too),
	    TEST(test_a_new_key_reaches_connected_agents_before_its_first_manifest),
	    TEST(test_agents_that_were_away_are_told_of_every_key),
	    TEST(test_recovery_leads_agents_back_from_a_strangers_key),
	    TEST(test_keys_wait_for_room_like_manifests),
	    TEST(test_a_refusal_is_shown_and_counted),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
