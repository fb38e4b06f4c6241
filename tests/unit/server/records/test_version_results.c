/* What Git workers report of versions: contents found or not, tags pushed or not. */
#include "tests/unit/server/records/world.h"

#include <string.h>

#define TAGS SLUICE__V1__PUBLISH_MODE__PUBLISH_MODE_TAGS
#define RESOLVING SLUICE__V1__CONTENT_STATE__CONTENT_STATE_RESOLVING
#define READY SLUICE__V1__CONTENT_STATE__CONTENT_STATE_READY
#define FAILED SLUICE__V1__CONTENT_STATE__CONTENT_STATE_FAILED
#define OWED SLUICE__V1__PUBLICATION_STATE__PUBLICATION_STATE_OWED
#define PUBLISHED SLUICE__V1__PUBLICATION_STATE__PUBLICATION_STATE_PUBLISHED
#define PARKED SLUICE__V1__PUBLICATION_STATE__PUBLICATION_STATE_PARKED
#define OWED_RESOLVE SLUICE__STORE__V1__OWED_KIND__OWED_KIND_RESOLVE
#define OWED_PUBLISH SLUICE__STORE__V1__OWED_KIND__OWED_KIND_PUBLISH
#define UNREACHABLE SLUICE__V1__CONTENT_REASON__CONTENT_REASON_REPOSITORY_UNREACHABLE
#define UPDATED SLUICE__V1__EVENT_TYPE__EVENT_TYPE_UPDATED
#define KIND_VERSION SLUICE__V1__EVENT_KIND__EVENT_KIND_VERSION

static const uint8_t digest[32] = {0xde, 0xad, 0xbe, 0xef, 0x01, 0x02};

static int setup(void **state)
{
	(void)world_setup(state);
	(void)world_repository(*state, "web", TAGS);
	(void)world_app(*state, "shop", "web");
	return 0;
}

static sl_code content_decide(struct decision *d, const void *in, void *out, struct sl_err *err)
{
	(void)out;
	return versions_decide_content_result(d, in, err);
}

static sl_code publish_decide(struct decision *d, const void *in, void *out, struct sl_err *err)
{
	(void)out;
	return versions_decide_publish_result(d, in, err);
}

static struct version_content_result found(struct world *w, uint32_t generation)
{
	return (struct version_content_result){
	    .app_id = world_app_record(w, "shop")->id,
	    .version = 1,
	    .generation = generation,
	    .commit = "0123456789abcdef0123456789abcdef01234567",
	    .tree = "89abcdef0123456789abcdef0123456789abcdef",
	    .ref = "refs/heads/main",
	    .digest = digest,
	    .files = 2,
	    .bytes = 20,
	    .subject = "Begin",
	    .author = "Ann <ann@example.com>",
	    .commit_s = 1700000000,
	};
}

static void report(struct world *w, const struct version_content_result *result, bool changes)
{
	assert_int_equal(world_run(w, content_decide, result, NULL), SL_OK);
	assert_int_equal(w->revision != 0, changes);
	assert_int_equal(world_has_event(w, UPDATED, KIND_VERSION), changes);
}

static Sluice__Store__V1__OwedRecord *owed(struct world *w, Sluice__Store__V1__OwedKind kind)
{
	return world_get(w, TABLE_OWED, owed_key(WORLD, kind, world_app_record(w, "shop")->id, 1),
			 &sluice__store__v1__owed_record__descriptor);
}

static void seal(struct world *w)
{
	Sluice__V1__SealVersionRequest request = SLUICE__V1__SEAL_VERSION_REQUEST__INIT;
	request.app = (char *)"shop";
	request.version = (char *)"v1";
	(void)world_call(w, "SealVersion", &request);
}

static void set_content(struct world *w)
{
	Sluice__V1__SetVersionContentRequest request =
	    SLUICE__V1__SET_VERSION_CONTENT_REQUEST__INIT;
	request.app = (char *)"shop";
	request.version = (char *)"v1";
	(void)world_call(w, "SetVersionContent", &request);
}

/* --- contents ------------------------------------------------------------------------------ */

static void test_version_results_ready_fills_the_content(void **state)
{
	struct world *w = *state;
	struct version_content_result result = found(w, 1);
	report(w, &result, true);
	Sluice__V1__Version *v1 = world_get_version(w, "shop", "v1");
	assert_int_equal(v1->revision, w->revision == 0 ? v1->revision : w->revision);
	assert_int_equal(v1->content->state, READY);
	assert_string_equal(v1->content->commit, result.commit);
	assert_string_equal(v1->content->tree, result.tree);
	assert_string_equal(v1->content->ref, "refs/heads/main");
	assert_memory_equal(v1->content->digest.data, digest, 32);
	assert_int_equal(v1->content->files, 2);
	assert_int_equal(v1->content->bytes, 20);
	assert_string_equal(v1->content->subject, "Begin");
	assert_int_equal(v1->content->committed_at->seconds, 1700000000);
	assert_null(owed(w, OWED_RESOLVE));
	report(w, &result, false); /* a late repeat */
}

static void test_version_results_apply_only_if_nothing_newer_was_set(void **state)
{
	struct world *w = *state;
	struct version_content_result old = found(w, 1);
	set_content(w);
	report(w, &old, false);
	assert_int_equal(world_get_version(w, "shop", "v1")->content->state, RESOLVING);
	assert_int_equal(owed(w, OWED_RESOLVE)->generation, 2);
	struct version_content_result new = found(w, 2);
	report(w, &new, true);
	assert_int_equal(world_get_version(w, "shop", "v1")->content->state, READY);
}

static void test_version_results_unreachable_stays_owed(void **state)
{
	struct world *w = *state;
	struct version_content_result result = found(w, 1);
	result.reason = UNREACHABLE;
	result.text = "connection refused";
	result.next_ms = 4711;
	report(w, &result, true);
	Sluice__V1__Content *content = world_get_version(w, "shop", "v1")->content;
	assert_int_equal(content->state, FAILED);
	assert_int_equal(content->reason, UNREACHABLE);
	assert_string_equal(content->text, "connection refused");
	assert_string_equal(content->commit, "");
	assert_non_null(content->retried_at);
	assert_int_equal(owed(w, OWED_RESOLVE)->attempts, 1);
	assert_int_equal(owed(w, OWED_RESOLVE)->next_ms, 4711);
	report(w, &result, true);
	assert_int_equal(owed(w, OWED_RESOLVE)->attempts, 2);
	result = found(w, 1);
	report(w, &result, true);
	content = world_get_version(w, "shop", "v1")->content;
	assert_int_equal(content->state, READY);
	assert_string_equal(content->text, "");
	assert_null(content->retried_at);
	assert_null(owed(w, OWED_RESOLVE));
}

static void test_version_results_every_other_failure_ends_the_attempt(void **state)
{
	struct world *w = *state;
	for (int reason = UNREACHABLE + 1;
	     reason <= SLUICE__V1__CONTENT_REASON__CONTENT_REASON_BUNDLE_TOO_BIG; reason++) {
		set_content(w);
		struct version_content_result result = found(w, owed(w, OWED_RESOLVE)->generation);
		result.reason = (Sluice__V1__ContentReason)reason;
		result.text = "no";
		result.rule = "LINK";
		report(w, &result, true);
		Sluice__V1__Content *content = world_get_version(w, "shop", "v1")->content;
		assert_int_equal(content->state, FAILED);
		assert_int_equal(content->reason, reason);
		assert_string_equal(content->rule, "LINK");
		assert_int_equal(content->digest.len, 0);
		assert_null(owed(w, OWED_RESOLVE));
	}
}

static void test_version_results_of_what_is_gone_or_sealed_change_nothing(void **state)
{
	struct world *w = *state;
	struct version_content_result result = found(w, 1);
	result.version = 7;
	report(w, &result, false);
	result = found(w, 1);
	result.app_id = "app_aaaaaaaaaaaaaaaaaaaa";
	report(w, &result, false);
	result = found(w, 1);
	report(w, &result, true);
	seal(w);
	result.commit = "ffffffffffffffffffffffffffffffffffffffff";
	report(w, &result, false);
	assert_string_equal(world_get_version(w, "shop", "v1")->content->commit,
			    "0123456789abcdef0123456789abcdef01234567");
}

/* --- publications --- */

static struct version_publish_result pushed(struct world *w, int reason)
{
	return (struct version_publish_result){
	    .app_id = world_app_record(w, "shop")->id,
	    .version = 1,
	    .reason = (Sluice__V1__ContentReason)reason,
	    .text = reason != 0 ? "the host says no" : NULL,
	    .commit = reason != 0 ? NULL : "fedcba9876543210fedcba9876543210fedcba98",
	    .next_ms = reason == UNREACHABLE ? 815 : 0,
	};
}

static Sluice__V1__Publication *publish(struct world *w, int reason, bool changes)
{
	struct version_publish_result result = pushed(w, reason);
	uint64_t before = world_get_version(w, "shop", "v1")->revision;
	assert_int_equal(world_run(w, publish_decide, &result, NULL), SL_OK);
	assert_int_equal(w->revision != 0, changes);
	assert_int_equal(world_has_event(w, UPDATED, KIND_VERSION), changes);
	Sluice__V1__Version *v1 = world_get_version(w, "shop", "v1");
	assert_int_equal(v1->revision, before); /* never the version's */
	return v1->publication;
}

static void test_version_results_publication_by_every_outcome(void **state)
{
	struct world *w = *state;
	struct version_content_result result = found(w, 1);
	report(w, &result, true);
	assert_int_equal(publish(w, 0, false)->state,
			 SLUICE__V1__PUBLICATION_STATE__PUBLICATION_STATE_NONE);
	seal(w);
	Sluice__V1__Publication *now = publish(w, UNREACHABLE, true);
	assert_int_equal(now->state, OWED);
	assert_int_equal(now->attempts, 1);
	assert_string_equal(now->text, "the host says no");
	assert_non_null(now->next_attempt_at);
	assert_int_equal(owed(w, OWED_PUBLISH)->next_ms, 815);
	assert_false(owed(w, OWED_PUBLISH)->parked);
	static const int refusals[] = {SLUICE__V1__CONTENT_REASON__CONTENT_REASON_PUSH_REFUSED,
				       SLUICE__V1__CONTENT_REASON__CONTENT_REASON_LOGIN_REFUSED,
				       SLUICE__V1__CONTENT_REASON__CONTENT_REASON_TAG_TAKEN};
	for (size_t i = 0; i < SL_COUNT(refusals); i++) {
		now = publish(w, refusals[i], true);
		assert_int_equal(now->state, PARKED);
		assert_int_equal(now->reason, refusals[i]);
		assert_null(now->next_attempt_at);
		assert_true(owed(w, OWED_PUBLISH)->parked);
	}
	now = publish(w, 0, true);
	assert_int_equal(now->state, PUBLISHED);
	assert_string_equal(now->commit, "fedcba9876543210fedcba9876543210fedcba98");
	assert_string_equal(now->ref, "refs/tags/sluice/shop/v1-deadbeef0102");
	assert_string_equal(now->text, "");
	assert_null(owed(w, OWED_PUBLISH));
	assert_int_equal(publish(w, UNREACHABLE, false)->state, PUBLISHED);
	struct version_publish_result gone = pushed(w, 0);
	gone.version = 9;
	assert_int_equal(world_run(w, publish_decide, &gone, NULL), SL_OK);
	assert_int_equal(w->revision, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, world_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(test_version_results_ready_fills_the_content),
	    TEST(test_version_results_apply_only_if_nothing_newer_was_set),
	    TEST(test_version_results_unreachable_stays_owed),
	    TEST(test_version_results_every_other_failure_ends_the_attempt),
	    TEST(test_version_results_of_what_is_gone_or_sealed_change_nothing),
	    TEST(test_version_results_publication_by_every_outcome),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
