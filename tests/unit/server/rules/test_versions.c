/* rules/versions: the life cycle, every act in every state; which version a new one derives from,
 * which is opened; the ref. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem/own.h"
#include "server/rules/versions.h"

#define DRAFT SLUICE__V1__VERSION_STATE__VERSION_STATE_DRAFT
#define SEALED SLUICE__V1__VERSION_STATE__VERSION_STATE_SEALED
#define RESOLVING SLUICE__V1__CONTENT_STATE__CONTENT_STATE_RESOLVING
#define READY SLUICE__V1__CONTENT_STATE__CONTENT_STATE_READY
#define FAILED SLUICE__V1__CONTENT_STATE__CONTENT_STATE_FAILED
#define FREE SLUICE__V1__BLOCK_MODE__BLOCK_MODE_UNSPECIFIED
#define NO_NEW SLUICE__V1__BLOCK_MODE__BLOCK_MODE_NO_NEW
#define RECALL SLUICE__V1__BLOCK_MODE__BLOCK_MODE_RECALL
#define ANY (-1)

/* --- every state x every act, by rules said a second time, act by act ---------------- */

/* One refusal: the act is refused with `reason` when all that is not ANY is as the row says. The
 * first row that fits decides; none: allowed. */
static const struct {
	enum version_act act;
	int state, content, block, environment;
	enum sl_reason reason;
} refusals[] = {
    {VERSION_ACT_SET_CONTENT, SEALED, ANY, ANY, ANY, SL_REASON_VERSION_SEALED},
    {VERSION_ACT_SET_CONTENT, DRAFT, ANY, ANY, 2, SL_REASON_NOT_IN_DEVELOPMENT},
    {VERSION_ACT_SET_CONTENT, DRAFT, ANY, ANY, 3, SL_REASON_NOT_IN_DEVELOPMENT},
    {VERSION_ACT_UPDATE, SEALED, ANY, ANY, ANY, SL_REASON_VERSION_SEALED},
    {VERSION_ACT_UPDATE, DRAFT, ANY, ANY, 2, SL_REASON_NOT_IN_DEVELOPMENT},
    {VERSION_ACT_UPDATE, DRAFT, ANY, ANY, 3, SL_REASON_NOT_IN_DEVELOPMENT},
    {VERSION_ACT_SEAL, ANY, RESOLVING, ANY, ANY, SL_REASON_CONTENT_NOT_READY},
    {VERSION_ACT_SEAL, ANY, FAILED, ANY, ANY, SL_REASON_CONTENT_NOT_READY},
    {VERSION_ACT_PROMOTE, ANY, ANY, ANY, 3, SL_REASON_LAST_ENVIRONMENT},
    {VERSION_ACT_PROMOTE, ANY, ANY, NO_NEW, ANY, SL_REASON_VERSION_BLOCKED},
    {VERSION_ACT_PROMOTE, ANY, ANY, RECALL, ANY, SL_REASON_VERSION_BLOCKED},
    {VERSION_ACT_PROMOTE, ANY, RESOLVING, ANY, ANY, SL_REASON_CONTENT_NOT_READY},
    {VERSION_ACT_PROMOTE, ANY, FAILED, ANY, ANY, SL_REASON_CONTENT_NOT_READY},
    {VERSION_ACT_SELECT, ANY, ANY, RECALL, ANY, SL_REASON_VERSION_BLOCKED},
    {VERSION_ACT_SELECT, ANY, RESOLVING, ANY, ANY, SL_REASON_CONTENT_NOT_READY},
    {VERSION_ACT_SELECT, ANY, FAILED, ANY, ANY, SL_REASON_CONTENT_NOT_READY},
    {VERSION_ACT_RELEASE, DRAFT, ANY, ANY, ANY, SL_REASON_NOT_ELIGIBLE},
    {VERSION_ACT_RELEASE, ANY, ANY, ANY, 1, SL_REASON_NOT_ELIGIBLE},
    {VERSION_ACT_RELEASE, ANY, ANY, ANY, 2, SL_REASON_NOT_ELIGIBLE},
    {VERSION_ACT_RELEASE, ANY, ANY, NO_NEW, ANY, SL_REASON_VERSION_BLOCKED},
    {VERSION_ACT_RELEASE, ANY, ANY, RECALL, ANY, SL_REASON_VERSION_BLOCKED},
    {VERSION_ACT_RELEASE, ANY, RESOLVING, ANY, ANY, SL_REASON_CONTENT_NOT_READY},
    {VERSION_ACT_RELEASE, ANY, FAILED, ANY, ANY, SL_REASON_CONTENT_NOT_READY},
    {VERSION_ACT_ROLLBACK, DRAFT, ANY, ANY, ANY, SL_REASON_NOT_ELIGIBLE},
    {VERSION_ACT_ROLLBACK, ANY, ANY, ANY, 1, SL_REASON_NOT_ELIGIBLE},
    {VERSION_ACT_ROLLBACK, ANY, ANY, ANY, 2, SL_REASON_NOT_ELIGIBLE},
    {VERSION_ACT_ROLLBACK, ANY, ANY, NO_NEW, ANY, SL_REASON_VERSION_BLOCKED},
    {VERSION_ACT_ROLLBACK, ANY, ANY, RECALL, ANY, SL_REASON_VERSION_BLOCKED},
    {VERSION_ACT_ROLLBACK, ANY, RESOLVING, ANY, ANY, SL_REASON_CONTENT_NOT_READY},
    {VERSION_ACT_ROLLBACK, ANY, FAILED, ANY, ANY, SL_REASON_CONTENT_NOT_READY},
    {VERSION_ACT_DELETE, ANY, ANY, ANY, 2, SL_REASON_NOT_IN_DEVELOPMENT},
    {VERSION_ACT_DELETE, ANY, ANY, ANY, 3, SL_REASON_NOT_IN_DEVELOPMENT},
    {VERSION_ACT_CONTENT_RESULT, SEALED, ANY, ANY, ANY, SL_REASON_VERSION_SEALED},
    {VERSION_ACT_PUBLISH_RESULT, DRAFT, ANY, ANY, ANY, SL_REASON_NOT_ELIGIBLE},
    {VERSION_ACT_PUBLISH_RESULT, SEALED, RESOLVING, ANY, ANY, SL_REASON_CONTENT_NOT_READY},
    {VERSION_ACT_PUBLISH_RESULT, SEALED, FAILED, ANY, ANY, SL_REASON_CONTENT_NOT_READY},
};

static bool fits(int wanted, uint32_t is)
{
	return wanted == ANY || (uint32_t)wanted == is;
}

static enum sl_reason expected(enum version_act act, const struct version_traits *t)
{
	for (size_t i = 0; i < SL_COUNT(refusals); i++) {
		if (refusals[i].act == act && fits(refusals[i].state, t->state) &&
		    fits(refusals[i].content, t->content) && fits(refusals[i].block, t->block) &&
		    fits(refusals[i].environment, t->environment)) {
			return refusals[i].reason;
		}
	}
	return SL_REASON_NONE;
}

static void test_versions_every_act_in_every_state(void **state)
{
	(void)state;
	static const Sluice__V1__VersionState states[] = {DRAFT, SEALED};
	static const Sluice__V1__ContentState contents[] = {RESOLVING, READY, FAILED};
	static const Sluice__V1__BlockMode blocks[] = {FREE, NO_NEW, RECALL};
	size_t checked = 0;
	for (size_t i = 0; i < 2 * 3 * 3 * 3 * VERSION_ACT_COUNT; i++) {
		enum version_act act = (enum version_act)(i / 54);
		struct version_traits t = {
		    .state = states[i % 2],
		    .content = contents[i / 2 % 3],
		    .block = blocks[i / 6 % 3],
		    .environment = (uint32_t)(i / 18 % 3) + 1,
		    .environments = 3,
		};
		enum sl_reason want = expected(act, &t), got = version_allows(act, &t);
		if (want != got) {
			fail_msg("%s in state %d, content %d, block %d, environment %u: %s, not %s",
				 version_act_name(act), t.state, t.content, t.block, t.environment,
				 sl_reason_name(got), sl_reason_name(want));
		}
		checked++;
	}
	assert_int_equal(checked, 54 * VERSION_ACT_COUNT);
}

static void test_versions_nothing_that_changes_content_is_allowed_on_sealed(void **state)
{
	(void)state;
	static const enum version_act changing[] = {VERSION_ACT_SET_CONTENT, VERSION_ACT_UPDATE,
						    VERSION_ACT_CONTENT_RESULT};
	for (size_t i = 0; i < SL_COUNT(changing); i++) {
		for (uint32_t environment = 1; environment <= 3; environment++) {
			struct version_traits t = {SEALED, READY, FREE, environment, 3};
			assert_int_equal(version_allows(changing[i], &t), SL_REASON_VERSION_SEALED);
		}
	}
}

static void test_versions_acts_have_names(void **state)
{
	(void)state;
	for (unsigned act = 0; act < VERSION_ACT_COUNT; act++) {
		assert_true(strlen(version_act_name((enum version_act)act)) > 3);
	}
	assert_string_equal(version_act_name(VERSION_ACT_COUNT), "");
}

/* --- which version a new one derives from ------------------------------------------------ */

static void test_versions_derive_from_the_newest_in_development_else_the_newest(void **state)
{
	(void)state;
	static const struct {
		uint32_t environments[4]; /* of versions n, n-1, ...; 0 ends */
		uint32_t want;            /* with n = 9 */
	} cases[] = {
	    {{0}, 0},          {{1, 0}, 9},       {{3, 0}, 9},       {{3, 1, 0}, 8},
	    {{2, 3, 1, 1}, 7}, {{2, 3, 2, 3}, 9}, {{1, 1, 1, 1}, 9},
	};
	for (size_t i = 0; i < SL_COUNT(cases); i++) {
		struct version_origin origin = {0};
		for (uint32_t j = 0; j < 4 && cases[i].environments[j] != 0; j++) {
			if (version_origin_look(&origin, 9 - j, cases[i].environments[j])) {
				break;
			}
		}
		assert_int_equal(origin.number, cases[i].want);
	}
}

static void test_versions_newest_there_looks_there_then_beyond_then_down(void **state)
{
	(void)state;
	static const struct {
		uint32_t newest[4];
		uint32_t environment, want, want_environment;
	} cases[] = {
	    {{0, 3, 2, 1}, 1, 3, 1}, {{0, 3, 2, 1}, 2, 2, 2}, {{0, 3, 2, 1}, 3, 1, 3},
	    {{0, 0, 2, 5}, 1, 5, 1}, {{0, 4, 0, 0}, 3, 4, 1}, {{0, 4, 2, 0}, 3, 2, 2},
	    {{0, 4, 0, 1}, 2, 1, 2}, {{0, 0, 0, 0}, 2, 0, 2},
	};
	for (size_t i = 0; i < SL_COUNT(cases); i++) {
		uint32_t environment = cases[i].environment;
		assert_int_equal(version_newest_there(cases[i].newest, 3, &environment),
				 cases[i].want);
		assert_int_equal(environment, cases[i].want_environment);
	}
}

/* --- the ref ------------------------------------------------------------------------------- */

static void test_versions_ref_names_slug_version_and_digest(void **state)
{
	(void)state;
	static const uint8_t digest[6] = {0x01, 0x23, 0x45, 0x67, 0x89, 0xab};
	char ref[VERSION_REF_SIZE];
	version_ref(ref, "shop", "v1.2", digest);
	assert_string_equal(ref, "refs/tags/sluice/shop/v1.2-0123456789ab");
	version_ref(ref, "a2345678901234567890123456789012345678901234567890",
		    "v234567890123456789012345", digest);
	assert_int_equal(strlen(ref), 17 + 50 + 1 + 25 + 1 + 12);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_versions_every_act_in_every_state),
	    cmocka_unit_test(test_versions_nothing_that_changes_content_is_allowed_on_sealed),
	    cmocka_unit_test(test_versions_acts_have_names),
	    cmocka_unit_test(test_versions_derive_from_the_newest_in_development_else_the_newest),
	    cmocka_unit_test(test_versions_newest_there_looks_there_then_beyond_then_down),
	    cmocka_unit_test(test_versions_ref_names_slug_version_and_digest),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
