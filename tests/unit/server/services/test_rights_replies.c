/* What calls that are let in are told: nothing that the caller may not see, a secret once, and not
 * too often. */
#include "tests/unit/server/services/cast.h"

#include <string.h>

#include "base/token/token.h"
#include "sluice/v1/access.pb-c.h"

static void test_rights_lists_hold_back_what_cannot_be_seen(void **state)
{
	(void)state;
	static const char *const grants[] = {"view blog"};
	struct cast c;
	cast_begin(&c);
	(void)cast_come_with(&c, WORLD, grants, 1);
	struct world *w = c.w;
	Sluice__V1__ListAppsResponse *apps = NULL;
	assert_int_equal(calls_make(w, "ListApps", calls_request(w, "ListApps", "", "", ""), &apps),
			 SL_OK);
	assert_int_equal(apps->n_apps, 1);
	assert_string_equal(apps->apps[0]->name, "blog");
	Sluice__V1__PageRequest page = SLUICE__V1__PAGE_REQUEST__INIT;
	Sluice__V1__ListAppsRequest one = SLUICE__V1__LIST_APPS_REQUEST__INIT;
	page.page_size = 1;
	one.page = &page;
	assert_int_equal(calls_make(w, "ListApps", &one, &apps), SL_OK);
	assert_int_equal(apps->n_apps, 1);
	assert_string_equal(apps->page->next_page_token, ""); /* nor does a token lead to it */
	Sluice__V1__ListPromotionsResponse *promotions = NULL;
	assert_int_equal(calls_make(w, "ListPromotions",
				    calls_request(w, "ListPromotions", "", "", ""), &promotions),
			 SL_OK);
	assert_int_equal(promotions->n_promotions, 0);
	cast_end(&c);
}

/* Without view on production one sees that a version is there and since when. */
static void test_rights_without_view_on_production(void **state)
{
	(void)state;
	static const char *const grants[] = {"view * development", "view * staging"};
	struct cast c;
	cast_begin(&c);
	(void)world_instance(c.w, "prod-1", ENV_PRODUCTION);
	(void)cast_come_with(&c, WORLD, grants, 2);
	struct world *w = c.w;
	Sluice__V1__GetAppResponse *app = NULL;
	Sluice__V1__GetVersionResponse *version = NULL;
	Sluice__V1__ListVersionFactsResponse *facts = NULL;
	assert_int_equal(
	    calls_make(w, "GetApp", calls_request(w, "GetApp", "app=shop", "", ""), &app), SL_OK);
	assert_null(app->app->released);
	assert_int_equal(calls_make(w, "GetVersion",
				    calls_request(w, "GetVersion", "app=shop version=v1", "", ""),
				    &version),
			 SL_OK);
	assert_string_equal(version->version->environment, "production");
	assert_false(version->version->released);
	assert_int_equal(calls_make(w, "ListVersionFacts",
				    calls_request(w, "ListVersionFacts", "app=shop", "", ""),
				    &facts),
			 SL_OK);
	assert_true(facts->n_facts > 0);
	for (size_t i = 0; i < facts->n_facts; i++) {
		const Sluice__V1__VersionFacts *f = facts->facts[i]->facts;
		bool production = strcmp(f->environment, "production") == 0;
		assert_non_null(f->entered_at);
		assert_true(!production || (f->first_released_at == NULL && f->n_blocks == 0));
	}
	static const struct sample held[] = {
	    {"GetRelease", "app=shop", "", false},
	    {"ListReleaseHistory", "app=shop", "", false},
	};
	for (size_t i = 0; i < SL_COUNT(held); i++) {
		cast_try(&c, &held[i]);
		cast_must_be(&c, &held[i], "blind", SL_PERMISSION_DENIED, SL_REASON_RIGHT_MISSING);
	}
	cast_try(&c, &(struct sample){"GetInstance", "instance=prod-1", "", false});
	assert_int_equal(w->code, SL_NOT_FOUND);
	assert_string_equal(w->err.msg, "no instance 'prod-1'");
	Sluice__V1__ListInstancesResponse *instances = NULL;
	assert_int_equal(calls_make(w, "ListInstances",
				    calls_request(w, "ListInstances", "", "", ""), &instances),
			 SL_OK);
	assert_int_equal(instances->n_instances, 1);
	assert_string_equal(instances->instances[0]->name, "dev-1");
	cast_end(&c);
}

/* --- a secret is shown once --- */

static void test_rights_a_kept_reply_has_no_secret(void **state)
{
	(void)state;
	struct cast c;
	cast_begin(&c);
	struct world *w = c.w;
	Sluice__V1__WriteOptions write = SLUICE__V1__WRITE_OPTIONS__INIT;
	Sluice__V1__CreateAccessTokenRequest request =
	    SLUICE__V1__CREATE_ACCESS_TOKEN_REQUEST__INIT;
	Sluice__V1__CreateAccessTokenResponse *first = NULL, *again = NULL, *asked = NULL;
	request.principal = (char *)"tess";
	request.write = &write;
	write.validate_only = true;
	assert_int_equal(calls_make(w, "CreateAccessToken", &request, &asked), SL_OK);
	assert_string_equal(asked->secret, "");
	write.validate_only = false;
	write.request_id = (char *)"once";
	assert_int_equal(calls_make(w, "CreateAccessToken", &request, &first), SL_OK);
	assert_int_equal(strlen(first->secret), SL_TOKEN_TEXT_SIZE - 1);
	assert_int_equal(calls_make(w, "CreateAccessToken", &request, &again), SL_OK);
	assert_true(again->result->replayed);
	assert_string_equal(again->token->id, first->token->id);
	assert_string_equal(again->secret, "");
	cast_end(&c);
}

/* --- how often --------------------------------------------------------------------- */

static void test_rights_calls_of_a_principal_are_bounded(void **state)
{
	(void)state;
	static const char *const grants[] = {"viewer"};
	struct cast c;
	cast_begin(&c);
	const struct access_options options = {
	    .store = c.w->store, .rate_per_s = 1, .rate_burst = 3};
	access_free(c.closed);
	c.closed = c.w->services.access;
	assert_int_equal(access_new(&options, &c.w->services.access, &c.w->err), SL_OK);
	(void)cast_come_with(&c, WORLD, grants, 1);
	const struct sample who = {"WhoAmI", "", NULL, false};
	unsigned passed = 0;
	while (passed < 20 && cast_try(&c, &who) == SL_OK) {
		passed++;
	}
	cast_must_be(&c, &who, "a busy one", SL_RESOURCE_EXHAUSTED, SL_REASON_RATE_LIMITED);
	assert_in_range(passed, 3, 6);
	(void)cast_come_with(&c, WORLD, grants, 1);
	assert_int_equal(cast_try(&c, &who), SL_OK); /* another one's are its own */
	cast_end(&c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_rights_lists_hold_back_what_cannot_be_seen),
	    cmocka_unit_test(test_rights_without_view_on_production),
	    cmocka_unit_test(test_rights_a_kept_reply_has_no_secret),
	    cmocka_unit_test(test_rights_calls_of_a_principal_are_bounded),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
