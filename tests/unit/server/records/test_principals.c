/* records/principals: principals, grants, roles, access tokens; the last one that may administer.
 */
#include <stdlib.h>
#include <string.h>

#include "server/records/principals.h"
#include "tests/unit/server/records/world.h"

enum { DAY_MS = 24 * 3600 * 1000 };

static const struct sl_token_key token_key = {{7}};

/* --- short words for commands ------------------------------------------------------------- */

struct asked {
	const char *name;
	const char *roles; /* one; NULL: none */
	const Sluice__V1__Grant *grant;
	const struct role_wish *role;
	bool give;
};

static sl_code create(struct decision *d, const void *in, void *out, struct sl_err *err)
{
	const struct asked *a = in;
	Sluice__V1__Grant grant = SLUICE__V1__GRANT__INIT, *grants[] = {&grant};
	grant.role = (char *)(a->roles != NULL ? a->roles : "");
	const struct principal_wish wish = {.name = a->name,
					    .description = "",
					    .kind =
						SLUICE__V1__PRINCIPAL_KIND__PRINCIPAL_KIND_PERSON,
					    .grants = grants,
					    .grant_count = a->roles != NULL ? 1 : 0};
	return principals_decide_create(d, &wish, out, err);
}

static sl_code grant(struct decision *d, const void *in, void *out, struct sl_err *err)
{
	const struct asked *a = in;
	return principals_decide_grant(d, a->name, a->grant, a->give, out, err);
}

static sl_code disable(struct decision *d, const void *in, void *out, struct sl_err *err)
{
	const struct asked *a = in;
	return principals_decide_disable(d, a->name, !a->give, out, err);
}

static sl_code delete (struct decision *d, const void *in, void *out, struct sl_err *err)
{
	(void)out;
	return principals_decide_delete(d, ((const struct asked *)in)->name, err);
}

static sl_code role_create(struct decision *d, const void *in, void *out, struct sl_err *err)
{
	return roles_decide_create(d, ((const struct asked *)in)->role, out, err);
}

static sl_code role_update(struct decision *d, const void *in, void *out, struct sl_err *err)
{
	return roles_decide_update(d, ((const struct asked *)in)->role, out, err);
}

static sl_code role_delete(struct decision *d, const void *in, void *out, struct sl_err *err)
{
	(void)out;
	return roles_decide_delete(d, ((const struct asked *)in)->name, err);
}

struct made_token {
	Sluice__Store__V1__AccessTokenRecord *record;
	char *text;
};

static sl_code token_create(struct decision *d, const void *in, void *out, struct sl_err *err)
{
	struct made_token *made = out;
	const struct access_token_wish wish = {.principal = ((const struct asked *)in)->name,
					       .description = "",
					       .lifetime_ms = DAY_MS,
					       .key = &token_key};
	return access_tokens_decide_create(d, &wish, &made->record, &made->text, err);
}

static sl_code token_revoke(struct decision *d, const void *in, void *out, struct sl_err *err)
{
	return access_tokens_decide_revoke(d, ((const struct asked *)in)->name, out, err);
}

static sl_code token_use(struct decision *d, const void *in, void *out, struct sl_err *err)
{
	(void)out;
	return access_token_use(d, in, err);
}

static Sluice__Store__V1__PrincipalRecord *principal(struct world *w, const char *name,
						     const char *role)
{
	Sluice__Store__V1__PrincipalRecord *made = NULL;
	assert_int_equal(world_run(w, create, &(struct asked){.name = name, .roles = role}, &made),
			 SL_OK);
	return made;
}

/* Does `name` have this right by what is stored now? */
static bool may(struct world *w, const char *name, enum access_verb verb, const char *slug,
		uint32_t environment)
{
	const struct store_view *view = NULL;
	Sluice__Store__V1__PrincipalRecord *record = NULL;
	struct rights rights;
	assert_int_equal(store_view_begin(w->store, &view, NULL), SL_OK);
	assert_int_equal(principal_find(view, &w->arena, WORLD, name, &record, NULL), SL_OK);
	assert_int_equal(principal_rights(view, &w->arena, WORLD, record, &rights, NULL), SL_OK);
	store_view_end(view);
	return rights_allow(&rights, verb, slug, environment);
}

static uint64_t generation(struct world *w)
{
	const struct store_view *view = NULL;
	uint64_t number = 99;
	assert_int_equal(store_view_begin(w->store, &view, NULL), SL_OK);
	assert_int_equal(access_generation(view, &number, NULL), SL_OK);
	store_view_end(view);
	return number;
}

static sl_code login(struct world *w, const char *text)
{
	const struct store_view *view = NULL;
	struct access_token_login login;
	assert_int_equal(store_view_begin(w->store, &view, NULL), SL_OK);
	sl_code code =
	    access_token_login(view, &w->arena, &token_key, text, w->now_ms, &login, NULL);
	store_view_end(view);
	return code;
}

/* --- principals and grants --- */

static void test_principals_have_the_rights_of_their_grants(void **state)
{
	struct world *w = *state;
	principal(w, "alice", "viewer");
	uint64_t before = generation(w);
	assert_true(may(w, "alice", ACCESS_VIEW, "shop", ENV_PRODUCTION));
	assert_false(may(w, "alice", ACCESS_PROMOTE, "shop", ENV_STAGING));

	Sluice__V1__Grant g = SLUICE__V1__GRANT__INIT;
	Sluice__Store__V1__PrincipalRecord *after = NULL;
	g.verb = SLUICE__V1__VERB__VERB_PROMOTE;
	g.apps = (char *)"shop-*";
	g.environment = (char *)"staging";
	struct asked asked = {.name = "alice", .grant = &g, .give = true};
	assert_int_equal(world_run(w, grant, &asked, &after), SL_OK);
	assert_true(generation(w) > before);
	assert_true(may(w, "alice", ACCESS_PROMOTE, "shop-eu", ENV_STAGING));
	assert_false(may(w, "alice", ACCESS_PROMOTE, "shop", ENV_STAGING));
	assert_false(may(w, "alice", ACCESS_PROMOTE, "shop-eu", ENV_PRODUCTION));

	before = generation(w);
	assert_int_equal(world_run(w, grant, &asked, &after), SL_OK); /* the same again */
	assert_int_equal(w->revision, 0);
	assert_int_equal(after->n_grants, 2);
	assert_int_equal(generation(w), before);

	asked.give = false;
	assert_int_equal(world_run(w, grant, &asked, &after), SL_OK);
	assert_int_equal(after->n_grants, 1);
	assert_false(may(w, "alice", ACCESS_PROMOTE, "shop-eu", ENV_STAGING));
	assert_int_equal(world_run(w, grant, &asked, &after), SL_OK);
	assert_int_equal(w->revision, 0);
}

static void test_principals_names(void **state)
{
	struct world *w = *state;
	principal(w, "alice", NULL);
	static const char *const taken[] = {"alice", "anonymous", "sluiced", "gitsync", "fleet"};
	for (size_t i = 0; i < SL_COUNT(taken); i++) {
		Sluice__Store__V1__PrincipalRecord *made = NULL;
		assert_int_equal(world_run(w, create, &(struct asked){.name = taken[i]}, &made),
				 SL_ALREADY_EXISTS);
		assert_int_equal(w->err.reason, SL_REASON_NAME_TAKEN);
	}
	Sluice__Store__V1__PrincipalRecord *made = NULL;
	assert_int_equal(
	    world_run(w, create, &(struct asked){.name = "bob", .roles = "no-such"}, &made),
	    SL_NOT_FOUND);
	assert_int_equal(w->err.reason, SL_REASON_ROLE_NOT_FOUND);
	assert_int_equal(world_run(w, delete, &(struct asked){.name = "bob"}, NULL), SL_NOT_FOUND);
	assert_int_equal(w->err.reason, SL_REASON_PRINCIPAL_NOT_FOUND);
}

static void test_principals_disabled_ones_may_nothing(void **state)
{
	struct world *w = *state;
	Sluice__Store__V1__PrincipalRecord *after = NULL;
	principal(w, "alice", "viewer");
	uint64_t before = generation(w);
	assert_int_equal(world_run(w, disable, &(struct asked){.name = "alice"}, &after), SL_OK);
	assert_true(generation(w) > before);
	assert_false(may(w, "alice", ACCESS_VIEW, NULL, 0));
	assert_int_equal(
	    world_run(w, disable, &(struct asked){.name = "alice", .give = true}, &after), SL_OK);
	assert_true(may(w, "alice", ACCESS_VIEW, NULL, 0));
}

static void refused_as_last(struct world *w)
{
	assert_int_equal(w->code, SL_FAILED_PRECONDITION);
	assert_int_equal(w->err.reason, SL_REASON_PRINCIPAL_IN_USE);
}

static void test_principals_the_last_that_administers_stays(void **state)
{
	struct world *w = *state;
	Sluice__Store__V1__PrincipalRecord *after = NULL;
	Sluice__V1__Grant g = SLUICE__V1__GRANT__INIT;
	g.role = (char *)"admin";
	struct asked root = {.name = "root", .grant = &g};
	principal(w, "root", "admin");
	principal(w, "other", "viewer");
	world_run(w, disable, &root, &after);
	refused_as_last(w);
	world_run(w, delete, &root, NULL);
	refused_as_last(w);
	world_run(w, grant, &root, &after);
	refused_as_last(w);
	/* One that administers a part does not count. */
	Sluice__V1__Grant part = SLUICE__V1__GRANT__INIT;
	part.verb = SLUICE__V1__VERB__VERB_ADMINISTER;
	part.environment = (char *)"production";
	assert_int_equal(world_run(w, grant,
				   &(struct asked){.name = "other", .grant = &part, .give = true},
				   &after),
			 SL_OK);
	world_run(w, delete, &root, NULL);
	refused_as_last(w);
	/* Nor one that is disabled. */
	principal(w, "second", "admin");
	assert_int_equal(world_run(w, disable, &(struct asked){.name = "second"}, &after), SL_OK);
	world_run(w, delete, &root, NULL);
	refused_as_last(w);
	assert_int_equal(
	    world_run(w, disable, &(struct asked){.name = "second", .give = true}, &after), SL_OK);
	assert_int_equal(world_run(w, delete, &root, NULL), SL_OK);
	world_run(w, delete, &(struct asked){.name = "second"}, NULL);
	refused_as_last(w);
}

/* --- roles --- */

static Sluice__V1__Right right_of(Sluice__V1__Verb *verb, const char *apps, const char *environment)
{
	Sluice__V1__Right right = SLUICE__V1__RIGHT__INIT;
	right.verbs = verb;
	right.n_verbs = 1;
	right.apps = (char *)apps;
	right.environment = (char *)environment;
	return right;
}

static void test_principals_own_roles(void **state)
{
	struct world *w = *state;
	Sluice__V1__Verb release = SLUICE__V1__VERB__VERB_RELEASE,
			 edit = SLUICE__V1__VERB__VERB_EDIT;
	Sluice__V1__Right right = right_of(&release, "shop-*", "production"), *rights[] = {&right};
	struct role_wish wish = {
	    .name = "shipper", .description = "", .rights = rights, .right_count = 1};
	Sluice__Store__V1__RoleRecord *role = NULL;
	struct asked asked = {.name = "shipper", .role = &wish};
	assert_int_equal(world_run(w, role_create, &asked, &role), SL_OK);
	assert_int_equal(world_run(w, role_create, &asked, &role), SL_ALREADY_EXISTS);
	principal(w, "alice", "shipper");
	assert_true(may(w, "alice", ACCESS_RELEASE, "shop-eu", ENV_PRODUCTION));
	assert_false(may(w, "alice", ACCESS_RELEASE, "blog", ENV_PRODUCTION));

	right = right_of(&edit, "", "");
	assert_int_equal(world_run(w, role_update, &asked, &role), SL_OK);
	assert_false(may(w, "alice", ACCESS_RELEASE, "shop-eu", ENV_PRODUCTION));
	assert_true(may(w, "alice", ACCESS_EDIT, "blog", ENV_STAGING));

	assert_int_equal(world_run(w, role_delete, &asked, NULL), SL_FAILED_PRECONDITION);
	assert_int_equal(w->err.reason, SL_REASON_ROLE_IN_USE);
	assert_int_equal(world_run(w, delete, &(struct asked){.name = "alice"}, NULL), SL_OK);
	assert_int_equal(world_run(w, role_delete, &asked, NULL), SL_OK);
	assert_int_equal(world_run(w, role_delete, &asked, NULL), SL_NOT_FOUND);
	assert_int_equal(w->err.reason, SL_REASON_ROLE_NOT_FOUND);
}

static void test_principals_built_in_roles_stay(void **state)
{
	struct world *w = *state;
	Sluice__V1__Verb edit = SLUICE__V1__VERB__VERB_EDIT;
	Sluice__V1__Right right = right_of(&edit, "", ""), *rights[] = {&right};
	struct role_wish wish = {
	    .name = "admin", .description = "", .rights = rights, .right_count = 1};
	Sluice__Store__V1__RoleRecord *role = NULL;
	struct asked asked = {.name = "admin", .role = &wish};
	assert_int_equal(world_run(w, role_create, &asked, &role), SL_ALREADY_EXISTS);
	assert_int_equal(world_run(w, role_update, &asked, &role), SL_FAILED_PRECONDITION);
	assert_int_equal(world_run(w, role_delete, &asked, NULL), SL_FAILED_PRECONDITION);
	assert_int_equal(w->err.reason, SL_REASON_ROLE_IN_USE);
}

static void test_principals_a_role_that_somebody_administers_with_keeps_it(void **state)
{
	struct world *w = *state;
	Sluice__V1__Verb administer = SLUICE__V1__VERB__VERB_ADMINISTER;
	Sluice__V1__Verb view = SLUICE__V1__VERB__VERB_VIEW;
	Sluice__V1__Right right = right_of(&administer, "*", ""), *rights[] = {&right};
	struct role_wish wish = {
	    .name = "boss", .description = "", .rights = rights, .right_count = 1};
	Sluice__Store__V1__RoleRecord *role = NULL;
	struct asked asked = {.name = "boss", .role = &wish};
	assert_int_equal(world_run(w, role_create, &asked, &role), SL_OK);
	principal(w, "alice", "boss");
	right = right_of(&view, "*", "");
	assert_int_equal(world_run(w, role_update, &asked, &role), SL_FAILED_PRECONDITION);
	assert_int_equal(w->err.reason, SL_REASON_ROLE_IN_USE);
	assert_true(may(w, "alice", ACCESS_ADMINISTER, NULL, 0));
}

/* --- access tokens --- */

static void test_principals_tokens_log_in(void **state)
{
	struct world *w = *state;
	struct made_token one, two;
	principal(w, "alice", "viewer");
	assert_int_equal(world_run(w, token_create, &(struct asked){.name = "alice"}, &one), SL_OK);
	assert_int_equal(world_run(w, token_create, &(struct asked){.name = "alice"}, &two), SL_OK);
	assert_string_not_equal(one.text, two.text);
	assert_int_equal(login(w, one.text), SL_OK);
	assert_int_equal(login(w, two.text), SL_OK);
	/* Another's secret, one character less, nothing. */
	char mixed[SL_TOKEN_TEXT_SIZE];
	memcpy(mixed, one.text, sizeof(mixed));
	memcpy(mixed + 25, two.text + 25, sizeof(mixed) - 25);
	assert_int_equal(login(w, mixed), SL_NOT_FOUND);
	mixed[sizeof(mixed) - 2] = '\0';
	assert_int_equal(login(w, mixed), SL_NOT_FOUND);
	assert_int_equal(login(w, ""), SL_NOT_FOUND);

	Sluice__Store__V1__AccessTokenRecord *revoked = NULL;
	struct asked asked = {.name = one.record->id};
	assert_int_equal(world_run(w, token_revoke, &asked, &revoked), SL_OK);
	assert_int_equal(world_run(w, token_revoke, &asked, &revoked), SL_OK);
	assert_int_equal(w->revision, 0);
	assert_int_equal(login(w, one.text), SL_NOT_FOUND);
	assert_int_equal(login(w, two.text), SL_OK);
	/* One that was good when it was looked at, and is revoked before it is used. */
	assert_int_equal(world_run(w, token_use, one.record->id, NULL), SL_UNAUTHENTICATED);
	assert_int_equal(w->err.reason, SL_REASON_TOKEN_REFUSED);
	assert_int_equal(login(w, one.text), SL_NOT_FOUND); /* and stays so */
	assert_int_equal(world_run(w, token_use, two.record->id, NULL), SL_OK);
	w->now_ms += DAY_MS;
	assert_int_equal(login(w, two.text), SL_NOT_FOUND);
}

static void test_principals_tokens_of_the_disabled_and_the_gone(void **state)
{
	struct world *w = *state;
	struct made_token made;
	Sluice__Store__V1__PrincipalRecord *after = NULL;
	struct asked alice = {.name = "alice"};
	principal(w, "alice", "viewer");
	assert_int_equal(world_run(w, token_create, &alice, &made), SL_OK);
	assert_int_equal(world_run(w, disable, &alice, &after), SL_OK);
	assert_int_equal(login(w, made.text), SL_NOT_FOUND);
	alice.give = true;
	assert_int_equal(world_run(w, disable, &alice, &after), SL_OK);
	assert_int_equal(login(w, made.text), SL_OK);
	assert_int_equal(world_run(w, delete, &alice, NULL), SL_OK);
	assert_int_equal(login(w, made.text), SL_NOT_FOUND);
	assert_int_equal(world_count(w, TABLE_ACCESS_TOKENS_BY_PRINCIPAL, key_of(WORLD)), 0);
	assert_int_equal(
	    world_run(w, token_revoke, &(struct asked){.name = made.record->id}, &after),
	    SL_NOT_FOUND);
	assert_int_equal(w->err.reason, SL_REASON_TOKEN_NOT_FOUND);
	assert_int_equal(world_run(w, token_revoke, &(struct asked){.name = made.text}, &after),
			 SL_NOT_FOUND);
	assert_null(strstr(w->err.msg, made.text + 25)); /* a token is never said again */
}

static void test_principals_use_of_a_token_is_noted_once_a_minute(void **state)
{
	struct world *w = *state;
	struct made_token made;
	principal(w, "alice", "viewer");
	assert_int_equal(world_run(w, token_create, &(struct asked){.name = "alice"}, &made),
			 SL_OK);
	uint64_t before = generation(w);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(world_run(w, token_use, made.record->id, NULL), SL_OK);
		assert_int_equal(w->revision != 0, i == 0);
	}
	assert_int_equal(generation(w), before); /* that changes nobody's rights */
}

static void test_principals_no_secret_is_stored(void **state)
{
	struct world *w = *state;
	struct made_token made;
	principal(w, "alice", "viewer");
	assert_int_equal(world_run(w, token_create, &(struct asked){.name = "alice"}, &made),
			 SL_OK);
	struct record_key key = {.size = 0};
	key_text(&key, made.record->id);
	Sluice__Store__V1__AccessTokenRecord *kept = world_get(
	    w, TABLE_ACCESS_TOKENS, key, &sluice__store__v1__access_token_record__descriptor);
	size_t size = sluice__store__v1__access_token_record__get_packed_size(kept);
	uint8_t *bytes = sl_arena_alloc(&w->arena, size);
	(void)sluice__store__v1__access_token_record__pack(kept, bytes);
	assert_null(memmem(bytes, size, made.text + 25, SL_TOKEN_SECRET_SIZE - 1));
}

/* --- the first one --- */

static char *first_admin(struct world *w)
{
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	char *text = NULL;
	w->now_ms += 1000;
	assert_int_equal(records_first_admin(w->store, &token_key, w->now_ms, DAY_MS, &text, &err),
			 SL_OK);
	return text;
}

static void test_principals_first_admin_is_made_and_made_good(void **state)
{
	struct world *w = *state;
	Sluice__Store__V1__PrincipalRecord *after = NULL;
	SL_AUTO(sl_free_auto) char *first = first_admin(w);
	assert_int_equal(login(w, first), SL_OK);
	assert_true(may(w, "admin", ACCESS_ADMINISTER, NULL, 0));
	/* Locked out: disabled and stripped, with another one left. */
	principal(w, "other", "admin");
	Sluice__V1__Grant g = SLUICE__V1__GRANT__INIT;
	g.role = (char *)"admin";
	struct asked admin = {.name = "admin", .grant = &g};
	assert_int_equal(world_run(w, grant, &admin, &after), SL_OK);
	assert_int_equal(world_run(w, disable, &admin, &after), SL_OK);
	assert_int_equal(login(w, first), SL_NOT_FOUND);
	SL_AUTO(sl_free_auto) char *second = first_admin(w);
	assert_int_equal(login(w, second), SL_OK);
	assert_true(may(w, "admin", ACCESS_ADMINISTER, NULL, 0));
	assert_int_equal(world_count(w, TABLE_PRINCIPALS, key_of(WORLD)), 2);
}

#define IN_WORLD(test) cmocka_unit_test_setup_teardown(test, world_setup, world_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    IN_WORLD(test_principals_have_the_rights_of_their_grants),
	    IN_WORLD(test_principals_names),
	    IN_WORLD(test_principals_disabled_ones_may_nothing),
	    IN_WORLD(test_principals_the_last_that_administers_stays),
	    IN_WORLD(test_principals_own_roles),
	    IN_WORLD(test_principals_built_in_roles_stay),
	    IN_WORLD(test_principals_a_role_that_somebody_administers_with_keeps_it),
	    IN_WORLD(test_principals_tokens_log_in),
	    IN_WORLD(test_principals_tokens_of_the_disabled_and_the_gone),
	    IN_WORLD(test_principals_use_of_a_token_is_noted_once_a_minute),
	    IN_WORLD(test_principals_no_secret_is_stored),
	    IN_WORLD(test_principals_first_admin_is_made_and_made_good),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
