#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "agent/manifest/manifest.h"
#include "base/mem/own.h"
#include "tests/unit/agent/lib/want.h"

enum { NOW_MS = 1000 };

struct fixture {
	struct sl_arena arena;
	struct state *state;
	Sluice__V1__Manifest *manifest;
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	sl_arena_init(&f->arena, 0);
	f->state = state_new();
	f->manifest = want_manifest(&f->arena, 10);
	want_add(&f->arena, f->manifest, want_app(&f->arena, 'a', 'x', "xy"));
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	state_free(f->state);
	sl_arena_fini(&f->arena);
	free(f);
	return 0;
}

static sl_code accept_at(struct fixture *f, uint64_t now_ms, const char *signature,
			 Sluice__V1__Manifest **ret, struct sl_err *err)
{
	Sluice__V1__SignedManifest sm = SLUICE__V1__SIGNED_MANIFEST__INIT;
	struct sl_bytes body = want_pack(&f->arena, f->manifest);
	sm.body.data = (uint8_t *)(uintptr_t)body.data;
	sm.body.len = body.size;
	sm.signature.data = (uint8_t *)(uintptr_t)signature;
	sm.signature.len = strlen(signature);
	return manifest_accept(f->state, &sm, now_ms, ret, err);
}

/* Accepts and stores what the fixture has. */
static void take(struct fixture *f)
{
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	Sluice__V1__Manifest *got = NULL;
	assert_int_equal(accept_at(f, NOW_MS, "", &got, &err), SL_OK);
	assert_int_equal(manifest_store(f->state, want_pack(&f->arena, f->manifest), got, &err),
			 SL_OK);
	manifest_free(got);
}

static void refused(struct fixture *f, uint64_t now_ms, const char *signature, const char *says)
{
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	Sluice__V1__Manifest *got = NULL;
	assert_int_not_equal(accept_at(f, now_ms, signature, &got, &err), SL_OK);
	assert_null(got);
	assert_int_equal(err.reason, SL_REASON_MANIFEST_REFUSED);
	if (strstr(err.msg, says) == NULL) {
		fail_msg("'%s' does not say '%s'", err.msg, says);
	}
}

static void test_manifest_first_one_names_the_instance(void **state)
{
	struct fixture *f = *state;
	take(f);
	assert_string_equal(f->state->instance_id, WANT_INSTANCE);
	assert_string_equal(f->state->environment, "production");
	assert_int_equal(f->state->sequence, 10);
	assert_true(f->state->expires_unix_ms == WANT_EXPIRES_S * 1000ull);
}

static void test_manifest_order_is_kept(void **state)
{
	struct fixture *f = *state;
	take(f);
	take(f); /* the same once more */
	f->manifest->paused = true;
	refused(f, NOW_MS, "", "with another body");
	f->manifest->sequence = 9;
	refused(f, NOW_MS, "", "sequence 9");
	f->manifest->sequence = 11;
	take(f);
	f->state->sequence = 20; /* NotModified went on */
	f->manifest->sequence = 15;
	refused(f, NOW_MS, "", "sequence 15, 20 was accepted");
	f->state->key_epoch = 1;
	f->manifest->sequence = 30;
	refused(f, NOW_MS, "", "key epoch 0");
}

static void test_manifest_of_another_instance_is_refused(void **state)
{
	struct fixture *f = *state;
	take(f);
	f->manifest->sequence++;
	f->manifest->instance_id = want_id(&f->arena, "ins", 'z');
	refused(f, NOW_MS, "", "belongs to " WANT_INSTANCE);
}

static void test_manifest_expiry_is_checked(void **state)
{
	struct fixture *f = *state;
	refused(f, WANT_EXPIRES_S * 1000ull, "", "expired 0 s ago");
	refused(f, WANT_EXPIRES_S * 1000ull + 5000, "", "expired 5 s ago");
	f->manifest->expires_at = NULL;
	refused(f, NOW_MS, "", "no expires_at");
}

static void test_manifest_signed_by_an_unknown_key_is_refused(void **state)
{
	struct fixture *f = *state;
	refused(f, NOW_MS, "not a signature", "pinned no key");
	f->manifest->key_epoch = 1;
	refused(f, NOW_MS, "", "key epoch 1");
}

static void test_manifest_bytes_that_are_none_are_refused(void **state)
{
	struct fixture *f = *state;
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	Sluice__V1__SignedManifest sm = SLUICE__V1__SIGNED_MANIFEST__INIT;
	Sluice__V1__Manifest *got = NULL;
	uint8_t junk[] = {0xff, 0xff, 0xff};
	sm.body.data = junk;
	sm.body.len = sizeof(junk);
	assert_int_equal(manifest_accept(f->state, &sm, NOW_MS, &got, &err), SL_INVALID_ARGUMENT);
}

/* One broken field at a time, each refused by a text that names it. */
static void test_manifest_form_is_checked(void **state)
{
	struct fixture *f = *state;
	Sluice__V1__ManifestApp *app = f->manifest->apps[0];
	Sluice__V1__Bundle *bundle = app->keep[0];
	struct {
		char **field;
		const char *value, *says;
	} rows[] = {
	    {&f->manifest->instance_id, "ins_short", "instance_id"},
	    {&f->manifest->environment, "", "environment"},
	    {&app->app_id, "../../etc", "app_id"},
	    {&app->slug, "", "slug"},
	    {&app->slug, "..", "slug"},
	    {&app->slug, "a/b", "slug"},
	    {&app->slug, "-a", "slug"},
	    {&app->slug, "Shop", "slug"},
	    {&app->activate, "ver_zzzzzzzzzzzzzzzzzzzz", "in keep"},
	    {&bundle->version_id, "x", "version_id"},
	    {&bundle->version, "../x", "version"},
	    {&bundle->version, "a..b", "version"},
	    {&bundle->version, "abcdefghijklmnopqrstuvwxyz", "version"},
	    {&bundle->version, ".x", "version"},
	    {&bundle->repository_id, "rep_../../x", "repository_id"},
	    {&bundle->commit, "HEAD", "40 hex digits"},
	    {&bundle->tree, "0123456789ABCDEF0123456789abcdef01234567", "40 hex digits"},
	    {&app->keep[1]->version_id, bundle->version_id, "named once"},
	};
	for (size_t i = 0; i < SL_COUNT(rows); i++) {
		char *before = *rows[i].field;
		*rows[i].field = sl_arena_strdup(&f->arena, rows[i].value);
		refused(f, NOW_MS, "", rows[i].says);
		*rows[i].field = before;
	}
	bundle->digest.len = 31;
	refused(f, NOW_MS, "", "32 bytes");
	bundle->digest.len = 32;
	take(f);
}

static void test_manifest_twins_are_refused(void **state)
{
	struct fixture *f = *state;
	Sluice__V1__ManifestApp *twin = want_app(&f->arena, 'b', 0, "");
	want_add(&f->arena, f->manifest, twin);
	char *slug = twin->slug;
	twin->slug = sl_arena_strdup(&f->arena, "app-a");
	refused(f, NOW_MS, "", "slug 'app-a'");
	twin->slug = slug;
	want_remove(&f->arena, f->manifest, 'b');
	refused(f, NOW_MS, "", "named twice");
}

static void refresh(struct fixture *f, const Sluice__V1__NotModified *same)
{
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	assert_int_equal(manifest_refresh(f->state, same, &err), SL_OK);
}

static void test_manifest_refresh_moves_sequence_and_expiry_forward_only(void **state)
{
	struct fixture *f = *state;
	Google__Protobuf__Timestamp at = GOOGLE__PROTOBUF__TIMESTAMP__INIT;
	Sluice__V1__NotModified same = SLUICE__V1__NOT_MODIFIED__INIT;
	at.seconds = WANT_EXPIRES_S + 60;
	same.sequence = 17;
	same.expires_at = &at;
	refresh(f, &same); /* nothing to refresh */
	assert_int_equal(f->state->sequence, 0);
	take(f);
	refresh(f, &same);
	assert_int_equal(f->state->sequence, 17);
	assert_true(f->state->expires_unix_ms == (WANT_EXPIRES_S + 60) * 1000ull);
	at.seconds = 5;
	same.sequence = 3;
	refresh(f, &same);
	assert_int_equal(f->state->sequence, 17);
	assert_true(f->state->expires_unix_ms == (WANT_EXPIRES_S + 60) * 1000ull);
}

static void test_manifest_comes_back_from_the_state(void **state)
{
	struct fixture *f = *state;
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	Sluice__V1__Manifest *got = NULL;
	assert_int_equal(manifest_of_state(f->state, &got, &err), SL_OK);
	assert_null(got);
	take(f);
	assert_int_equal(manifest_of_state(f->state, &got, &err), SL_OK);
	assert_string_equal(got->apps[0]->slug, "app-a");
	manifest_free(got);
	f->state->manifest[0] ^= 0xff;
	got = NULL;
	assert_int_not_equal(manifest_of_state(f->state, &got, &err), SL_OK);
	assert_null(got);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(test_manifest_first_one_names_the_instance),
	    TEST(test_manifest_order_is_kept),
	    TEST(test_manifest_of_another_instance_is_refused),
	    TEST(test_manifest_expiry_is_checked),
	    TEST(test_manifest_signed_by_an_unknown_key_is_refused),
	    TEST(test_manifest_bytes_that_are_none_are_refused),
	    TEST(test_manifest_form_is_checked),
	    TEST(test_manifest_twins_are_refused),
	    TEST(test_manifest_refresh_moves_sequence_and_expiry_forward_only),
	    TEST(test_manifest_comes_back_from_the_state),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
