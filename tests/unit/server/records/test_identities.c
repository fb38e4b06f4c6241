/* Join tokens, enrolments, renewals, revocations and alerts, with a clock that the test moves. */
#include "tests/unit/server/records/steps.h"

#include <stdio.h>

#include "server/records/identities.h"
#include "server/records/instances.h"

#define INSTANCE SLUICE__V1__EVENT_KIND__EVENT_KIND_INSTANCE
#define HOURS(n) (UINT64_C(3600000) * (n))
#define DAYS(n) HOURS(24 * (n))

static const struct sl_token_key token_key = {{9}};
static const uint8_t box_key[IDENTITY_BOX_KEY_BYTES] = {1, 2, 3};
static const uint8_t serial[16] = {4, 5, 6};

static Sluice__Store__V1__InstanceRecord *instance; /* of the last command */
static Sluice__Store__V1__JoinTokenRecord *token;
static char *text;
static enum renewal_outcome outcome;

static sl_code decide_invite(struct decision *d, struct steps *s, const void *in,
			     struct sl_err *err)
{
	(void)s;
	return invitations_decide(d, in, &instance, &token, &text, err);
}

static sl_code decide_enroll(struct decision *d, struct steps *s, const void *in,
			     struct sl_err *err)
{
	(void)s;
	return enrolments_decide(d, in, &instance, err);
}

static sl_code decide_renew(struct decision *d, struct steps *s, const void *in, struct sl_err *err)
{
	(void)s;
	return renewals_decide(d, in, &outcome, err);
}

static sl_code decide_revoke(struct decision *d, struct steps *s, const void *in,
			     struct sl_err *err)
{
	(void)s;
	return revocations_decide_instance(d, in, &instance, err);
}

static sl_code decide_alert(struct decision *d, struct steps *s, const void *in, struct sl_err *err)
{
	(void)s;
	return alerts_decide(d, in, err);
}

static sl_code decide_clear(struct decision *d, struct steps *s, const void *in, struct sl_err *err)
{
	(void)s;
	return alerts_decide_clear(d, in, &instance, err);
}

static sl_code decide_remove(struct decision *d, struct steps *s, const void *in,
			     struct sl_err *err)
{
	(void)s;
	return instances_decide_remove(d, in, err);
}

static sl_code decide_login(struct decision *d, struct steps *s, const void *in, struct sl_err *err)
{
	(void)s;
	return logins_decide(d, in, err);
}

static sl_code invite(struct steps *s, uint64_t ttl_ms)
{
	struct invitation_wish wish = {.instance = "prod-1", .ttl_ms = ttl_ms, .key = &token_key};
	return steps_run(s, decide_invite, &wish);
}

/* A certificate of the key `key`, good for a day. */
static struct identity_cert cert_of(const struct steps *s, uint8_t key)
{
	static uint8_t hash[IDENTITY_HASH_BYTES];
	memset(hash, key, sizeof(hash));
	return (struct identity_cert){.public_key_hash = hash,
				      .serial = serial,
				      .serial_size = sizeof(serial),
				      .not_after_ms = s->now_ms + DAYS(1)};
}

static sl_code enroll(struct steps *s, const char *token_id, const char *identity_id)
{
	struct enrolment enrolment = {.token_id = token_id,
				      .identity_id = identity_id,
				      .peer = "ipv4:10.0.0.7:4711",
				      .box_key = box_key,
				      .cert = cert_of(s, 1)};
	return steps_run(s, decide_enroll, &enrolment);
}

static sl_code renew(struct steps *s, const char *identity_id, uint64_t counter, uint8_t nonce,
		     uint8_t key)
{
	uint8_t nonces[IDENTITY_NONCE_BYTES];
	memset(nonces, nonce, sizeof(nonces));
	struct renewal renewal = {.identity_id = identity_id,
				  .peer = "ipv4:10.0.0.8:1",
				  .counter = counter,
				  .nonce = nonces,
				  .cert = cert_of(s, key),
				  .grace_ms = DAYS(90)};
	return steps_run(s, decide_renew, &renewal);
}

#define ID(letter)                                                                                 \
	"idn_" letter letter letter letter letter letter letter letter letter letter letter letter \
	    letter letter letter letter letter letter letter letter

/* `prod-1` with an agent whose identity is ID("a"). */
static void enrolled(struct steps *s)
{
	(void)steps_instance(s, "prod-1", ENV_PRODUCTION);
	assert_int_equal(invite(s, INVITATION_TTL_MS), SL_OK);
	assert_int_equal(enroll(s, token->id, ID("a")), SL_OK);
}

static const struct store_view *look(struct steps *s)
{
	const struct store_view *view = NULL;
	assert_int_equal(store_view_begin(s->store, &view, &s->err), SL_OK);
	return view;
}

static Sluice__Store__V1__IdentityRecord *identity(struct steps *s, const char *id)
{
	Sluice__Store__V1__IdentityRecord *record = NULL;
	const struct store_view *view = look(s);
	sl_code code = identity_get(view, &s->arena, id, &record, &s->err);
	store_view_end(view);
	assert_true(code == SL_OK || code == SL_NOT_FOUND);
	return record;
}

static struct invitation judge(struct steps *s, const struct sl_token_key *key, const char *shown)
{
	struct invitation found;
	const struct store_view *view = look(s);
	assert_int_equal(invitation_look(view, &s->arena, key, shown, s->now_ms, &found, &s->err),
			 SL_OK);
	store_view_end(view);
	return found;
}

/* --- tokens ------------------------------------------------------------------------ */

static void test_a_token_opens_its_instance_once(void **state)
{
	struct steps *s = *state;
	(void)steps_instance(s, "prod-1", ENV_PRODUCTION);
	assert_int_equal(invite(s, INVITATION_TTL_MS), SL_OK);
	steps_done(s);
	struct invitation found = judge(s, &token_key, text);
	assert_int_equal(found.verdict, INVITATION_GOOD);
	assert_string_equal(found.instance->name, "prod-1");
	assert_int_equal(enroll(s, token->id, ID("a")), SL_OK);
	assert_string_equal(instance->identity_id, ID("a"));
	assert_int_equal(judge(s, &token_key, text).verdict, INVITATION_SPENT);
	(void)enroll(s, token->id, ID("b"));
	steps_refused(s, SL_UNAUTHENTICATED, SL_REASON_TOKEN_REFUSED, "token");
	Sluice__Store__V1__IdentityRecord *made = identity(s, ID("a"));
	assert_non_null(made);
	assert_string_equal(made->subject_id, instance->id);
	assert_string_equal(made->peer, "ipv4:10.0.0.7:4711");
	assert_int_equal(made->workspace, STEPS_WORKSPACE);
	assert_null(identity(s, ID("b")));
}

static void test_what_is_no_good_token_is_refused_alike(void **state)
{
	struct steps *s = *state;
	static const struct sl_token_key other_key = {{8}};
	(void)steps_instance(s, "prod-1", ENV_PRODUCTION);
	assert_int_equal(invite(s, INVITATION_TTL_MIN_MS), SL_OK);
	char other[INVITATION_TEXT_SIZE];
	assert_int_equal(judge(s, &other_key, text).verdict, INVITATION_REFUSED);
	(void)snprintf(other, sizeof(other), "%s", text);
	other[sizeof(other) - 2] = other[sizeof(other) - 2] == 'a' ? 'q' : 'a';
	assert_int_equal(judge(s, &token_key, other).verdict, INVITATION_REFUSED);
	(void)snprintf(other, sizeof(other), "%s", text);
	other[6] = other[6] == 'a' ? 'b' : 'a';
	assert_int_equal(judge(s, &token_key, other).verdict, INVITATION_REFUSED);
	assert_int_equal(judge(s, &token_key, "").verdict, INVITATION_REFUSED);
	assert_int_equal(judge(s, &token_key, text).verdict, INVITATION_GOOD);
	s->now_ms += INVITATION_TTL_MIN_MS;
	assert_int_equal(judge(s, &token_key, text).verdict, INVITATION_REFUSED);
	(void)enroll(s, token->id, ID("a"));
	steps_refused(s, SL_UNAUTHENTICATED, SL_REASON_TOKEN_REFUSED, "expired");
}

static void test_a_new_token_makes_an_unused_one_void(void **state)
{
	struct steps *s = *state;
	(void)steps_instance(s, "prod-1", ENV_PRODUCTION);
	assert_int_equal(invite(s, INVITATION_TTL_MS), SL_OK);
	const char *first = token->id;
	const char *first_text = text;
	assert_int_equal(invite(s, INVITATION_TTL_MS), SL_OK);
	assert_int_equal(judge(s, &token_key, first_text).verdict, INVITATION_REFUSED);
	(void)enroll(s, first, ID("a"));
	steps_refused(s, SL_UNAUTHENTICATED, SL_REASON_TOKEN_REFUSED, "token");
	assert_int_equal(judge(s, &token_key, text).verdict, INVITATION_GOOD);
}

static void test_a_removed_instance_takes_its_token_along(void **state)
{
	struct steps *s = *state;
	enrolled(s);
	assert_int_equal(invite(s, INVITATION_TTL_MS), SL_OK);
	assert_int_equal(steps_run(s, decide_remove, "prod-1"), SL_OK);
	assert_int_equal(judge(s, &token_key, text).verdict, INVITATION_REFUSED);
	(void)renew(s, ID("a"), 1, 7, 1);
	steps_refused(s, SL_UNAUTHENTICATED, SL_REASON_RENEWAL_REFUSED, "removed");
	/* Its agent is still known, so that it can be told. */
	assert_int_equal(identity(s, ID("a"))->revoked_ms, 0);
}

static void test_forms_of_tokens(void **state)
{
	(void)state;
#define TWENTY "abcdefghijklmnopqrst"
#define FIFTY TWENTY TWENTY "abcdefghij22"
	static const char *const bad[] = {
	    "",
	    "jtk_" TWENTY,
	    "jtk_" TWENTY "." TWENTY,
	    "jtk_" TWENTY "_" FIFTY,
	    "jtk_" TWENTY "." FIFTY "a",
	    "slc_" TWENTY "." FIFTY,
	    "jtk." TWENTY "." FIFTY,
	    "jtk_" TWENTY "." TWENTY TWENTY "ABCDEFGHIJKL",
	    "jtk_" TWENTY "." TWENTY TWENTY "abcdefghij2\n",
	};
	struct invitation_parts parts = {.id = "untouched"};
	for (size_t i = 0; i < SL_COUNT(bad); i++) {
		if (invitation_parse(bad[i], &parts)) {
			fail_msg("'%s' was taken", bad[i]);
		}
	}
	assert_string_equal(parts.id, "untouched");
	char again[INVITATION_TEXT_SIZE];
	assert_true(invitation_parse("jtk_" TWENTY "." FIFTY, &parts));
	assert_string_equal(invitation_text(parts.id, parts.secret, again),
			    "jtk_" TWENTY "." FIFTY);
}

/* --- enrolling anew -------------------------------------------------------------------- */

static void test_enrolling_anew_gives_a_new_identity_and_revokes_the_old(void **state)
{
	struct steps *s = *state;
	enrolled(s);
	assert_int_equal(invite(s, INVITATION_TTL_MS), SL_OK);
	assert_int_equal(identity(s, ID("a"))->revoked_ms, 0); /* inviting takes nothing away */
	assert_int_equal(enroll(s, token->id, ID("b")), SL_OK);
	assert_string_equal(instance->identity_id, ID("b"));
	assert_string_equal(identity(s, ID("a"))->revoked_reason, "the instance enrolled anew");
	assert_int_equal(identity(s, ID("b"))->revoked_ms, 0);
}

static void test_a_login_makes_an_identity_of_a_principal(void **state)
{
	struct steps *s = *state;
	struct login login = {.token_id = "tok_x",
			      .principal_id = "pri_x",
			      .identity_id = ID("c"),
			      .peer = "ipv4:10.0.0.9:1",
			      .cert = cert_of(s, 3)};
	assert_int_equal(steps_run(s, decide_login, &login), SL_OK);
	Sluice__Store__V1__IdentityRecord *made = identity(s, ID("c"));
	assert_int_equal(made->kind, SLUICE__STORE__V1__IDENTITY_KIND__IDENTITY_KIND_PRINCIPAL);
	assert_string_equal(made->subject_id, "pri_x");
	assert_int_equal(renew(s, ID("c"), 1, 7, 3), SL_OK);
	assert_int_equal(outcome, RENEWED);
	assert_int_equal(renew(s, ID("c"), 1, 8, 3), SL_OK);
	assert_int_equal(outcome, RENEWAL_COPIED);
	steps_same(s);
}

/* --- renewing -------------------------------------------------------------------------- */

static void test_renewals_count_and_a_lost_answer_is_repeated(void **state)
{
	struct steps *s = *state;
	enrolled(s);
	uint64_t first = identity(s, ID("a"))->not_after_ms;
	s->now_ms += HOURS(12);
	assert_int_equal(renew(s, ID("a"), 1, 7, 1), SL_OK);
	assert_int_equal(outcome, RENEWED);
	assert_true(identity(s, ID("a"))->not_after_ms > first);
	assert_int_equal(renew(s, ID("a"), 1, 7, 1), SL_OK); /* the answer was lost */
	assert_int_equal(outcome, RENEWED);
	assert_int_equal(renew(s, ID("a"), 2, 8, 1), SL_OK);
	assert_int_equal(outcome, RENEWED);
	assert_int_equal(identity(s, ID("a"))->renewals, 2);
	assert_int_equal(identity(s, ID("a"))->created_ms < s->now_ms, true);
}

static void test_a_copied_folder_is_found_and_named(void **state)
{
	struct steps *s = *state;
	enrolled(s);
	assert_int_equal(renew(s, ID("a"), 1, 7, 1), SL_OK);
	s->now_ms += HOURS(1);
	uint64_t good_until = identity(s, ID("a"))->not_after_ms;
	assert_int_equal(renew(s, ID("a"), 1, 99, 1), SL_OK); /* the copy's turn */
	assert_int_equal(outcome, RENEWAL_COPIED);
	const Sluice__V1__Event *event = steps_event(s, INSTANCE);
	assert_int_equal(event->instance->n_alerts, 1);
	assert_int_equal(event->instance->alerts[0]->kind,
			 SLUICE__V1__INSTANCE_ALERT_KIND__INSTANCE_ALERT_KIND_FOLDER_COPIED);
	assert_non_null(strstr(event->instance->alerts[0]->text, ID("a")));
	assert_int_equal(identity(s, ID("a"))->not_after_ms, good_until);
	assert_int_equal(renew(s, ID("a"), 1, 99, 1), SL_OK); /* again at once: no second record */
	assert_int_equal(outcome, RENEWAL_COPIED);
	steps_same(s);
	assert_int_equal(renew(s, ID("a"), 2, 8, 1), SL_OK); /* the first one goes on */
	assert_int_equal(outcome, RENEWED);
	assert_int_equal(renew(s, ID("a"), 1, 7, 1),
			 SL_OK); /* an old answer is a copy's question */
	assert_int_equal(outcome, RENEWAL_COPIED);
}

static void test_a_counter_ahead_is_of_a_store_that_was_restored(void **state)
{
	struct steps *s = *state;
	enrolled(s);
	assert_int_equal(renew(s, ID("a"), 17, 7, 1), SL_OK);
	assert_int_equal(outcome, RENEWED);
	assert_int_equal(identity(s, ID("a"))->renewals, 17);
}

static void test_who_may_not_renew(void **state)
{
	struct steps *s = *state;
	enrolled(s);
	(void)renew(s, ID("b"), 1, 7, 1);
	steps_refused(s, SL_UNAUTHENTICATED, SL_REASON_RENEWAL_REFUSED, "unknown");
	(void)renew(s, "no id", 1, 7, 1);
	steps_refused(s, SL_UNAUTHENTICATED, SL_REASON_RENEWAL_REFUSED, "unknown");
	(void)renew(s, ID("a"), 1, 7, 2);
	steps_refused(s, SL_UNAUTHENTICATED, SL_REASON_RENEWAL_REFUSED, "another key");
	(void)renew(s, ID("a"), 0, 7, 1);
	steps_refused(s, SL_UNAUTHENTICATED, SL_REASON_RENEWAL_REFUSED, "count from 1");
	assert_int_equal(steps_run(s, decide_revoke, "prod-1"), SL_OK);
	(void)renew(s, ID("a"), 1, 7, 1);
	steps_refused(s, SL_UNAUTHENTICATED, SL_REASON_IDENTITY_REVOKED, "revoked");
}

static void test_a_month_off_is_not_too_long_a_quarter_is(void **state)
{
	struct steps *s = *state;
	enrolled(s);
	s->now_ms = identity(s, ID("a"))->not_after_ms + DAYS(90) + 1000;
	(void)renew(s, ID("a"), 1, 7, 1);
	steps_refused(s, SL_UNAUTHENTICATED, SL_REASON_RENEWAL_REFUSED, "too long ago");
	s->now_ms = identity(s, ID("a"))->not_after_ms + DAYS(31);
	assert_int_equal(renew(s, ID("a"), 1, 7, 1), SL_OK);
	assert_int_equal(outcome, RENEWED);
}

/* --- revoking, alerts -------------------------------------------------------------------- */

static void test_revoking_ends_identity_and_invitation(void **state)
{
	struct steps *s = *state;
	enrolled(s);
	assert_int_equal(invite(s, INVITATION_TTL_MS), SL_OK);
	s->reason = "laptop lost";
	assert_int_equal(steps_run(s, decide_revoke, "prod-1"), SL_OK);
	steps_done(s);
	assert_string_equal(identity(s, ID("a"))->revoked_reason, "laptop lost");
	assert_string_equal(identity(s, ID("a"))->revoked_by, "ann");
	assert_int_equal(judge(s, &token_key, text).verdict, INVITATION_REFUSED);
	assert_int_equal(steps_run(s, decide_revoke, "prod-1"), SL_OK);
	steps_same(s);
	s->expected_revision = 1;
	(void)steps_run(s, decide_revoke, "prod-1");
	steps_refused(s, SL_ABORTED, SL_REASON_STALE_REVISION, "prod-1");
}

static void test_a_spent_tokens_alert_names_the_first_user(void **state)
{
	struct steps *s = *state;
	enrolled(s);
	struct invitation found = judge(s, &token_key, text);
	assert_int_equal(found.verdict, INVITATION_SPENT);
	struct alert alert = {.kind =
				  SLUICE__V1__INSTANCE_ALERT_KIND__INSTANCE_ALERT_KIND_TOKEN_REUSED,
			      .instance_id = found.token->instance_id,
			      .peer = "ipv4:10.6.6.6:66",
			      .text = alert_of_spent(&s->arena, found.token, "ipv4:10.6.6.6:66")};
	assert_int_equal(steps_run(s, decide_alert, &alert), SL_OK);
	const Sluice__V1__InstanceAlert *told = steps_event(s, INSTANCE)->instance->alerts[0];
	assert_non_null(strstr(told->text, "ipv4:10.0.0.7:4711"));
	assert_non_null(strstr(told->text, ID("a")));
	assert_string_equal(told->peer, "ipv4:10.6.6.6:66");
	uint64_t first_s = (uint64_t)told->first_at->seconds;
	s->now_ms += 120000;
	assert_int_equal(steps_run(s, decide_alert, &alert), SL_OK);
	told = steps_event(s, INSTANCE)->instance->alerts[0];
	assert_int_equal(told->first_at->seconds, first_s);
	assert_true((uint64_t)told->last_at->seconds > first_s);
	assert_int_equal(steps_run(s, decide_clear, "prod-1"), SL_OK);
	assert_int_equal(steps_event(s, INSTANCE)->instance->n_alerts, 0);
	assert_int_equal(steps_run(s, decide_clear, "prod-1"), SL_OK);
	steps_same(s);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, steps_setup, steps_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(test_a_token_opens_its_instance_once),
	    TEST(test_what_is_no_good_token_is_refused_alike),
	    TEST(test_a_new_token_makes_an_unused_one_void),
	    TEST(test_a_removed_instance_takes_its_token_along),
	    TEST(test_forms_of_tokens),
	    TEST(test_enrolling_anew_gives_a_new_identity_and_revokes_the_old),
	    TEST(test_a_login_makes_an_identity_of_a_principal),
	    TEST(test_renewals_count_and_a_lost_answer_is_repeated),
	    TEST(test_a_copied_folder_is_found_and_named),
	    TEST(test_a_counter_ahead_is_of_a_store_that_was_restored),
	    TEST(test_who_may_not_renew),
	    TEST(test_a_month_off_is_not_too_long_a_quarter_is),
	    TEST(test_revoking_ends_identity_and_invitation),
	    TEST(test_a_spent_tokens_alert_names_the_first_user),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
