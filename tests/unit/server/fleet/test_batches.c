/* Manifests that go out at once are signed at once, each agent gets what it can check, and what
 * cannot go holds nobody up. */
#include <stdio.h>
#include <sys/stat.h>

#include "base/merkle/merkle.h"
#include "base/vouch/vouch.h"
#include "server/signing/signing.h"
#include "tests/lib/tmpdir.h"
#include "tests/unit/server/fleet/agents.h"

enum { FLEET = FLEET_SEND_STEP + 6, OLD_EVERY = 5 };

struct fixture {
	struct agents *a;
	char *folder;
	struct signing *signing;
	struct rpc_stream *streams[FLEET];
	const char *ids[FLEET];
	unsigned count;
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct sl_err err = SL_ERR_INIT;
	char recovery[SL_KEY_TEXT_SIZE];
	void *agents = NULL;
	assert_int_equal(agents_setup(&agents), 0);
	f->a = agents;
	f->folder = tmpdir_new();
	assert_int_equal(signing_init(f->folder, 1, recovery, &err), SL_OK);
	assert_int_equal(signing_open(f->folder, &f->signing, &err), SL_OK);
	f->a->signing = f->signing;
	agents_restart(f->a);
	steps_shop(f->a->s, SLUICE__V1__PUBLISH_MODE__PUBLISH_MODE_TAGS);
	(void)agents_follow(f->a);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	void *agents = f->a;
	for (unsigned i = 0; i < f->count; i++) {
		agents_close(f->streams[i]);
	}
	int result = agents_teardown(&agents);
	signing_free(f->signing);
	tmpdir_free(f->folder);
	free(f);
	return result;
}

/* One more agent, which is told its first manifest. */
static struct rpc_stream *dial(struct fixture *f, bool takes_trees)
{
	Sluice__V1__AgentHello hello = SLUICE__V1__AGENT_HELLO__INIT;
	struct rpc_stream *stream = agents_stream(f->a);
	char name[20];
	(void)snprintf(name, sizeof(name), "dev-%u", f->count);
	f->ids[f->count] = agents_register(f->a, name, "development", NULL);
	f->streams[f->count++] = stream;
	(void)agents_follow(f->a);
	hello.instance = name;
	hello.manifest_trees = takes_trees;
	agents_hello(stream, &hello);
	agents_take_pace(f->a, stream);
	Sluice__V1__SyncResponse *first = agents_take(f->a, stream);
	assert_int_equal(first->message_case, SLUICE__V1__SYNC_RESPONSE__MESSAGE_MANIFEST);
	assert_null(first->manifest->path); /* there was nobody else to be told */
	return stream;
}

static void dial_some(struct fixture *f, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		(void)dial(f, true);
	}
}

/* All are to be told of something. */
static void news(struct fixture *f)
{
	static unsigned number;
	char version[20];
	(void)snprintf(version, sizeof(version), "n%u", ++number);
	steps_version(f->a->s, version);
	steps_ready(f->a->s, version, (uint8_t)number);
	(void)agents_follow(f->a);
}

static struct sl_bytes bytes_of(ProtobufCBinaryData data)
{
	return SL_BYTES(data.data, data.len);
}

static bool is_signed(struct fixture *f, const char *purpose, struct sl_bytes message,
		      ProtobufCBinaryData signature)
{
	struct signing_key key;
	signing_current(f->signing, &key);
	return sl_sign_is_valid(SL_BYTES(key.public_key, SL_SIGN_PUBLIC_BYTES), purpose, message,
				bytes_of(signature));
}

static bool is_signed_in_tree(struct fixture *f, const Sluice__V1__SignedManifest *manifest)
{
	const Sluice__V1__ManifestPath *path = manifest->path;
	uint8_t hash[SL_HASH_BYTES], root[SL_HASH_BYTES], words[VOUCH_TREE_BYTES];
	sl_hash(hash, manifest->body.data, manifest->body.len, NULL, 0);
	assert_int_equal(path->salt.len, MERKLE_SALT_BYTES);
	merkle_leaf(path->salt.data, hash, hash);
	assert_true(merkle_climb(hash, path->index, path->size, bytes_of(path->hashes), root));
	vouch_tree(path->size, root, words);
	return is_signed(f, VOUCH_TREE, SL_BYTES(words, sizeof(words)), manifest->signature);
}

/* The next message must be a manifest for this agent, rightly signed; returns its tree's size, 0
 * without one. */
static uint32_t take(struct fixture *f, unsigned agent, Sluice__V1__SignedManifest **ret_manifest)
{
	struct agents *a = f->a;
	Sluice__V1__SyncResponse *response = agents_take(a, f->streams[agent]);
	assert_int_equal(response->message_case, SLUICE__V1__SYNC_RESPONSE__MESSAGE_MANIFEST);
	struct sl_bytes body = bytes_of(response->manifest->body);
	Sluice__V1__Manifest *manifest =
	    sluice__v1__manifest__unpack(sl_arena_protobuf(&a->s->arena), body.size, body.data);
	assert_string_equal(manifest->instance_id, f->ids[agent]);
	assert_true(agents_silent(f->streams[agent]));
	if (ret_manifest != NULL) {
		*ret_manifest = response->manifest;
	}
	if (response->manifest->path == NULL) {
		assert_true(is_signed(f, VOUCH_MANIFEST, body, response->manifest->signature));
		return 0;
	}
	assert_true(is_signed_in_tree(f, response->manifest));
	return response->manifest->path->size;
}

/* --- tests ---------------------------------------------------------------------------------- */

static void test_old_and_new_agents_of_a_batch_each_get_what_they_can_check(void **state)
{
	struct fixture *f = *state;
	Sluice__V1__SignedManifest *got[FLEET];
	unsigned in_trees = 0, trees = 0, sizes = 0;
	for (unsigned i = 0; i < FLEET; i++) {
		(void)dial(f, i % OLD_EVERY != 0);
	}
	news(f);
	for (unsigned i = 0; i < FLEET; i++) {
		uint32_t size = take(f, i, &got[i]);
		bool is_first = true;
		assert_int_equal(size == 0, i % OLD_EVERY == 0);
		for (unsigned k = 0; size > 0 && k < i; k++) {
			bool same =
			    got[k]->path != NULL && sl_bytes_equal(bytes_of(got[i]->signature),
								   bytes_of(got[k]->signature));
			is_first = is_first && !same;
			assert_true(!same || got[i]->path->index != got[k]->path->index);
			assert_true(got[k]->path == NULL ||
				    !sl_bytes_equal(bytes_of(got[i]->path->salt),
						    bytes_of(got[k]->path->salt)));
		}
		in_trees += size > 0 ? 1 : 0;
		trees += size > 0 && is_first ? 1 : 0;
		sizes += size > 0 && is_first ? size : 0;
	}
	assert_int_equal(trees, 2); /* one a step */
	assert_int_equal(sizes, in_trees);
}

static void test_one_that_is_alone_is_signed_by_itself(void **state)
{
	struct fixture *f = *state;
	(void)dial(f, true);
	(void)dial(f, false);
	news(f);
	assert_int_equal(take(f, 0, NULL), 0);
	assert_int_equal(take(f, 1, NULL), 0);
}

static void test_a_full_outbox_holds_nobody_up(void **state)
{
	struct fixture *f = *state;
	dial_some(f, 3);
	f->streams[1]->full = true;
	news(f);
	assert_int_equal(take(f, 0, NULL), 3);
	assert_true(agents_silent(f->streams[1]));
	assert_int_equal(take(f, 2, NULL), 3);
	f->streams[1]->full = false;
	fleet_agent_drained(f->a->fleet, f->streams[1]);
	assert_int_equal(take(f, 1, NULL), 0);
	fleet_tick(f->a->fleet);
	assert_true(agents_silent(f->streams[0]) && agents_silent(f->streams[1]));
}

static void test_what_cannot_be_signed_waits(void **state)
{
	struct fixture *f = *state;
	uint32_t epoch = f->a->fleet->key.epoch;
	dial_some(f, 2);
	f->a->fleet->key.epoch = epoch + 1; /* the key in use is another one */
	news(f);
	assert_true(agents_silent(f->streams[0]) && agents_silent(f->streams[1]));
	f->a->fleet->key.epoch = epoch;
	fleet_tick(f->a->fleet);
	fleet_sessions_send(f->a->fleet);
	assert_int_equal(take(f, 0, NULL), 2);
	assert_int_equal(take(f, 1, NULL), 2);
}

/* As if so many apps were to be taken down. */
static void make_large(struct fixture *f, unsigned agent)
{
	enum { APPS = 4500 }; /* some 150 KB */
	struct fleet_unit *unit = fleet_unit_find(f->a->fleet, f->ids[agent]);
	free(unit->removed);
	unit->removed = calloc(APPS, sizeof(*unit->removed));
	unit->removed_count = APPS;
	for (unsigned i = 0; i < APPS; i++) {
		(void)snprintf(unit->removed[i], FLEET_ID_ROOM, "app_%026u", i);
	}
}

static void test_large_manifests_make_small_batches(void **state)
{
	struct fixture *f = *state;
	dial_some(f, 6);
	for (unsigned i = 0; i < 5; i++) {
		make_large(f, i);
	}
	news(f);
	assert_int_equal(take(f, 0, NULL), 2);
	assert_int_equal(take(f, 1, NULL), 2);
	assert_int_equal(take(f, 2, NULL), 2);
	assert_int_equal(take(f, 3, NULL), 2);
	assert_int_equal(take(f, 4, NULL), 2); /* with a small one */
	assert_int_equal(take(f, 5, NULL), 2);
}

static void test_a_server_without_keys_signs_nothing(void **state)
{
	struct fixture *f = *state;
	f->a->signing = NULL;
	agents_restart(f->a);
	dial_some(f, 2);
	news(f);
	for (unsigned i = 0; i < 2; i++) {
		Sluice__V1__SyncResponse *response = agents_take(f->a, f->streams[i]);
		assert_null(response->manifest->path);
		assert_int_equal(response->manifest->signature.len, 0);
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(test_old_and_new_agents_of_a_batch_each_get_what_they_can_check),
	    TEST(test_one_that_is_alone_is_signed_by_itself),
	    TEST(test_a_full_outbox_holds_nobody_up),
	    TEST(test_what_cannot_be_signed_waits),
	    TEST(test_large_manifests_make_small_batches),
	    TEST(test_a_server_without_keys_signs_nothing),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
