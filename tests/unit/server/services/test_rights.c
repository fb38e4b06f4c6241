/* Who may call what: every unary method of the API x every kind of caller, through the generic path
 * (request bytes in, reply out). Streams are tried end to end. */
#include "tests/unit/server/services/cast.h"

#include <stdio.h>
#include <string.h>

#include "base/clock/clock.h"
#include "server/services/service_internal.h"

/* --- a request of each method, and where its verb counts for it --- */

static const struct sample samples[] = {
    {"CreateWorkspace", "name=other", NULL, false},
    {"GetWorkspace", "", "", false},
    {"ListWorkspaces", "", NULL, false},
    {"DeleteWorkspace", "workspace=acme", NULL, false},
    {"RotateWorkspaceKey", "", "", true},
    {"ListEnvironments", "", "", false},
    {"GetEnvironment", "environment=staging", "", false},
    {"CreateRepository", "name=other url=https://example.com/other.git", "development", false},
    {"GetRepository", "repository=web", "", false},
    {"ListRepositories", "", "", false},
    {"RefreshRepository", "repository=web", "development", false},
    {"ListOwed", "repository=web", "", false},
    {"RetryOwed", "repository=web owed=opr_nosuch", "development", true},
    {"DropOwed", "repository=web owed=opr_nosuch", "development", true},
    {"SetRepository", "repository=web url=https://example.com/moved.git", "development", false},
    {"GenerateRepositoryKey", "repository=web use=1", "development", true},
    {"RotateRepositoryKey", "repository=web use=1", "development", true},
    {"TestRepository", "repository=web", "development", true},
    {"ListImportable", "repository=web", "development", false},
    {"DeleteRepository", "repository=web", "development", false},
    {"CreateApp", "name=shop-2 repository=web", "development", false},
    {"ImportApp", "name=shop-2 repository=web path=apps/shop-2", "development", false},
    {"GetApp", "app=shop", "", false},
    {"ListApps", "", NULL, false},
    {"RenameApp", "app=shop new_name=store", "development", false},
    {"UpdateApp", "app=shop display_name=Shop", "", false},
    {"DeleteApp", "app=shop", "", false},
    {"ListNewCommits", "app=shop", "", true},
    {"OpenApp", "app=shop", "", false},
    {"CreateVersion", "app=shop name=next", "development", false},
    {"GetVersion", "app=shop version=v1", "", false},
    {"ListVersions", "app=shop", "", false},
    {"SetVersionContent", "app=shop version=draft commit=main", "development", false},
    {"UploadContent", "app=shop", "development", true},
    {"PushVersion", "app=shop version=draft upload=upl_aaaaaaaaaaaaaaaaaaaa message=more",
     "development", false},
    {"PushWorkingCopy", "app=shop instance=dev-1 message=more", "development", false},
    {"BreakLease", "app=shop", "development", false},
    {"UpdateVersion", "app=shop version=draft new_name=other", "development", false},
    {"SealVersion", "app=shop version=draft", "development", false},
    {"BlockVersion", "app=shop version=tested mode=1", "staging", false},
    {"UnblockVersion", "app=shop version=tested", "staging", false},
    {"NoteVersion", "app=shop version=v1 text=fine", "production", false},
    {"ListVersionFacts", "app=shop", "", false},
    {"ListVersionNotes", "app=shop version=v1", "", false},
    {"DiffVersions", "app=shop version=v1 from=tested", "", true},
    {"DeleteVersion", "app=shop version=draft", "development", false},
    {"Plan", "app=shop version=draft action=1", "", false},
    {"Promote", "app=shop version=draft from=development", "staging", false},
    {"Promote", "app=shop version=tested from=staging to=production", "production", false},
    {"GetPromotion", "revision=1", NULL, false},
    {"ListPromotions", "", NULL, false},
    {"Release", "app=shop version=v1", "production", false},
    {"SignRelease", "app=shop version=v1 signature=64", "production", false},
    {"WithdrawRelease", "app=shop", "production", false},
    {"Rollback", "app=shop", "production", false},
    {"GetRelease", "app=shop", "production", true},
    {"ListReleaseHistory", "app=shop", "production", false},
    {"RegisterInstance", "name=new environment=staging", "staging", false},
    {"GetInstance", "instance=dev-1", "development", true},
    {"ListInstances", "", NULL, true},
    {"UpdateInstance", "instance=dev-1 public_url=https://shop.example.com", "development", false},
    {"RemoveInstance", "instance=dev-1", "development", false},
    {"PauseInstance", "instance=dev-1", "development", false},
    {"ResumeInstance", "instance=dev-1", "development", false},
    {"RetryInstance", "instance=dev-1 app=shop", "development", false},
    {"ListUpdates", "instance=dev-1", "development", true},
    {"CheckForUpdates", "instance=dev-1 app=shop", "development", true},
    {"Pull", "instance=dev-1 app=shop version=draft", "development", false},
    {"InviteInstance", "instance=dev-1", "development", false},
    {"RevokeInstance", "instance=dev-1", "development", false},
    {"ClearInstanceAlerts", "instance=dev-1", "development", false},
    {"SelectVersion", "app=shop version=tested environment=staging", "staging", false},
    {"ClearSelection", "app=shop environment=development", "development", false},
    {"ListSelections", "app=shop", NULL, false},
    {"GetStatus", "app=shop", "", true},
    {"Explain", "instance=dev-1 app=shop", "development", true},
    {"WaitFor", "app=shop environment=staging condition=1", "staging", true},
    {"GetStats", "", NULL, true},
    {"Compact", "revision=2", NULL, false},
    {"Resume", "", NULL, false},
    {"ListAuditRecords", "", NULL, true},
    {"GetAuditHead", "", NULL, true},
    {"VerifyAudit", "", NULL, true},
    {"ExportAudit", "", NULL, true},
    {"CutAudit", "through.sequence=1 through.hash=$H", NULL, true},
    {"SetConfigValue", "name=URL kind=1 environment=staging value=x", "staging", true},
    {"UnsetConfigValue", "name=URL environment=staging", "staging", true},
    {"GetConfigName", "name=URL", "", true},
    {"ListConfigNames", "", "", false},
    {"DeleteConfigName", "name=URL", "", true},
    {"RevealSecret", "name=KEY environment=production", "production", true},
    {"SetEnvironmentPolicy", "environment=staging contract=2", "staging", false},
    {"CreateSource", "name=main kind=postgres", "", false},
    {"SetSource", "source=main environment=staging", "staging", true},
    {"GetSource", "source=main", "", true},
    {"ListSources", "", "", false},
    {"TestSource", "source=main instance=dev-1", "development", true},
    {"DeleteSource", "source=main", "", true},
    {"WhoAmI", "", NULL, false},
    {"CreatePrincipal", "name=alice kind=1", "", false},
    {"GetPrincipal", "principal=tess", "", false},
    {"ListPrincipals", "", "", false},
    {"DisablePrincipal", "principal=tess", "", false},
    {"EnablePrincipal", "principal=tess", "", false},
    {"DeletePrincipal", "principal=tess", "", false},
    {"CreateGrant", "principal=tess grant.role=builder", "", false},
    {"DeleteGrant", "principal=tess grant.role=viewer", "", false},
    {"CreateRole", "name=reader rights.verbs=1", "", false},
    {"GetRole", "role=looker", "", false},
    {"ListRoles", "", "", false},
    {"UpdateRole", "role=looker rights.verbs=2", "", false},
    {"DeleteRole", "role=looker", "", false},
    {"CreateAccessToken", "principal=tess", "", false},
    {"ListAccessTokens", "", "", false},
    {"RevokeAccessToken", "token=tok_aaaaaaaaaaaaaaaaaaaa", "", false},
};

/* Whose every caller is refused or let in by the same words. */
static const struct service_method *row_of(const char *name)
{
	size_t count = 0;
	const struct rpc_method *methods = services_rpc_methods(&count);
	for (size_t i = 0; i < count; i++) {
		if (strcmp(strrchr(methods[i].path, '/') + 1, name) == 0) {
			return ((const struct service_bound *)methods[i].row)->method;
		}
	}
	fail_msg("no method %s", name);
	return NULL;
}

static void test_rights_every_unary_method_is_tried(void **state)
{
	(void)state;
	size_t count = 0;
	const struct rpc_method *methods = services_rpc_methods(&count);
	for (size_t i = 0; i < count; i++) {
		const char *name = strrchr(methods[i].path, '/') + 1;
		bool tried = methods[i].stream != NULL;
		for (size_t j = 0; !tried && j < SL_COUNT(samples); j++) {
			tried = strcmp(samples[j].method, name) == 0;
		}
		/* Agents' own: nobody else may, which test_agents shows with a certificate. */
		if (!tried && row_of(name)->scope != ACCESS_ONE_AGENT &&
		    row_of(name)->scope != ACCESS_SELF) {
			fail_msg("who may call %s is not tried", name);
		}
	}
}

/* --- nobody, the expired, the revoked, agents, strangers: refused by every method --- */

static void refused_everywhere(struct cast *c, const char *who, enum sl_reason reason)
{
	uint64_t before = cast_head(c);
	for (size_t i = 0; i < SL_COUNT(samples); i++) {
		cast_try(c, &samples[i]);
		cast_must_be(c, &samples[i], who, SL_UNAUTHENTICATED, reason);
	}
	assert_int_equal(cast_head(c), before);
}

static void test_rights_who_is_nobody_calls_nothing(void **state)
{
	(void)state;
	static const char *const admin[] = {"admin"};
	struct cast c;
	cast_begin(&c);
	access_free(c.w->services.access);
	c.w->services.access = c.closed;
	c.w->peer = NULL;
	refused_everywhere(&c, "nobody", SL_REASON_IDENTITY_MALFORMED);

	const char *id = cast_come_with(&c, WORLD, admin, 1);
	char uri[sizeof(c.peer.uri)];
	memcpy(uri, c.peer.uri, sizeof(uri));
	c.peer.not_after_ms = sl_clock_unix_ms() - 1;
	refused_everywhere(&c, "expired", SL_REASON_CERTIFICATE_EXPIRED);
	c.peer.not_after_ms = UINT64_MAX;

	static const char *const malformed[] = {
	    "spiffe://sluice/principal/pri_aaaaaaaaaaaaaaaaaaaa", "https://example.com/",
	    "spiffe://other/principal/pri_aaaaaaaaaaaaaaaaaaaa/idn_aaaaaaaaaaaaaaaaaaaa"};
	for (size_t i = 0; i < SL_COUNT(malformed); i++) {
		(void)snprintf(c.peer.uri, sizeof(c.peer.uri), "%s", malformed[i]);
		refused_everywhere(&c, "malformed", SL_REASON_IDENTITY_MALFORMED);
	}
	(void)snprintf(c.peer.uri, sizeof(c.peer.uri),
		       "spiffe://sluice/principal/%s/idn_aaaaaaaaaaaaaaaaaaaa", id);
	refused_everywhere(&c, "unknown", SL_REASON_IDENTITY_REVOKED);
	/* A good identity, of another subject than the name says. */
	memcpy(c.peer.uri, uri, sizeof(uri));
	memcpy(strstr(c.peer.uri, "pri_") + 4, "aaaaaaaaaaaaaaaaaaaa", 20);
	refused_everywhere(&c, "another's", SL_REASON_IDENTITY_MALFORMED);
	(void)cast_come_as(&c, WORLD, id, false, true);
	refused_everywhere(&c, "revoked", SL_REASON_IDENTITY_REVOKED);
	(void)cast_come_as(&c, WORLD, "pri_bbbbbbbbbbbbbbbbbbbb", false, false);
	refused_everywhere(&c, "removed", SL_REASON_IDENTITY_REVOKED);
	cast_end(&c);
}

static void test_rights_agents_call_nothing_but_their_own(void **state)
{
	(void)state;
	struct cast c;
	cast_begin(&c);
	(void)cast_come_as(&c, WORLD, "ins_aaaaaaaaaaaaaaaaaaaa", true, false);
	uint64_t before = cast_head(&c);
	for (size_t i = 0; i < SL_COUNT(samples); i++) {
		if (row_of(samples[i].method)->scope != ACCESS_SELF) {
			cast_try(&c, &samples[i]);
			cast_must_be(&c, &samples[i], "an agent", SL_PERMISSION_DENIED,
				     SL_REASON_RIGHT_MISSING);
		}
	}
	assert_int_equal(cast_head(&c), before);
	cast_end(&c);
}

/* Another workspace is as one that is not there, also to its own admin. */
static void test_rights_strangers_see_no_workspace(void **state)
{
	(void)state;
	static const char *const admin[] = {"admin"};
	struct cast c;
	cast_begin(&c);
	(void)cast_come_with(&c, c.acme, admin, 1);
	uint64_t before = cast_head(&c);
	for (size_t i = 0; i < SL_COUNT(samples); i++) {
		enum access_scope scope = row_of(samples[i].method)->scope;
		bool server = scope == ACCESS_SERVER;
		if (scope == ACCESS_SELF || strcmp(samples[i].method, "ListWorkspaces") == 0) {
			continue;
		}
		cast_try(&c, &samples[i]);
		cast_must_be(&c, &samples[i], "a stranger",
			     server ? SL_PERMISSION_DENIED : SL_NOT_FOUND,
			     server ? SL_REASON_RIGHT_MISSING : SL_REASON_WORKSPACE_NOT_FOUND);
	}
	assert_int_equal(cast_head(&c), before);
	cast_end(&c);
}

/* --- the verb elsewhere --- */

/* Sees everything, and has all verbs but this one, and this one in the other environments. */
static void come_without(struct cast *c, enum access_verb verb, const char *environment)
{
	static const char *const names[] = {"development", "staging", "production"};
	const char *grants[ACCESS_VERB_COUNT + 3] = {"view"};
	size_t count = 1;
	for (int other = ACCESS_EDIT; other < ACCESS_AGENT; other++) {
		if (other != (int)verb) {
			grants[count++] = access_verb_name((enum access_verb)other);
		}
	}
	for (size_t i = 0; environment[0] != '\0' && i < SL_COUNT(names); i++) {
		if (strcmp(names[i], environment) != 0) {
			grants[count++] = sl_arena_printf(&c->w->arena, "%s * %s",
							  access_verb_name(verb), names[i]);
		}
	}
	(void)cast_come_with(c, WORLD, grants, count);
}

static void test_rights_all_verbs_but_the_one_do_not_do(void **state)
{
	(void)state;
	struct cast c;
	cast_begin(&c);
	size_t tried = 0;
	for (size_t i = 0; i < SL_COUNT(samples); i++) {
		const struct service_method *row = row_of(samples[i].method);
		if (row->verb == ACCESS_VIEW) {
			continue; /* below */
		}
		come_without(&c, row->verb,
			     samples[i].environment != NULL ? samples[i].environment : "");
		uint64_t before = cast_head(&c);
		cast_try(&c, &samples[i]);
		cast_must_be(&c, &samples[i], "one without", SL_PERMISSION_DENIED,
			     SL_REASON_RIGHT_MISSING);
		assert_non_null(strstr(c.w->err.msg, access_verb_name(row->verb)));
		assert_int_equal(cast_head(&c), before);
		tried++;
	}
	assert_true(tried > 35);
	cast_end(&c);
}

/* Everything, but on another app: `shop` is not there. */
static void test_rights_on_another_app_see_no_app(void **state)
{
	(void)state;
	struct cast c;
	cast_begin(&c);
	const char *grants[ACCESS_VERB_COUNT];
	size_t count = 0;
	for (int verb = ACCESS_VIEW; verb < ACCESS_AGENT; verb++) {
		grants[count++] = sl_arena_printf(&c.w->arena, "%s blog",
						  access_verb_name((enum access_verb)verb));
	}
	(void)cast_come_with(&c, WORLD, grants, count);
	uint64_t before = cast_head(&c);
	for (size_t i = 0; i < SL_COUNT(samples); i++) {
		if (strstr(samples[i].fields, "app=shop") == NULL) {
			continue;
		}
		cast_try(&c, &samples[i]);
		cast_must_be(&c, &samples[i], "one of another app", SL_NOT_FOUND,
			     SL_REASON_APP_NOT_FOUND);
		char seen[SL_ERR_MSG_SIZE];
		(void)snprintf(seen, sizeof(seen), "%s", c.w->err.msg);
		assert_string_equal(seen,
				    "no app 'shop'"); /* the very words for what is not there */
	}
	assert_int_equal(cast_head(&c), before);
	cast_end(&c);
}

/* --- the right one ----------------------------------------------------------------- */

/* The verb where it counts and nowhere else, and sight of it. */
static void come_right(struct cast *c, const struct sample *sample)
{
	const struct service_method *row = row_of(sample->method);
	bool app = strstr(sample->fields, "app=shop") != NULL ||
		   strstr(sample->fields, "name=shop-2") != NULL;
	const char *apps = app && row->scope == ACCESS_APP ? "shop*" : "*";
	const char *grants[2] = {"view"};
	size_t count = 1;
	if (sample->environment == NULL) {
		grants[count++] = "administer";
	} else if (row->verb == ACCESS_VIEW) {
		grants[0] = sl_arena_printf(&c->w->arena, "view %s %s", apps, sample->environment);
	} else {
		grants[count++] =
		    sl_arena_printf(&c->w->arena, "%s %s %s", access_verb_name(row->verb), apps,
				    sample->environment);
	}
	(void)cast_come_with(c, WORLD, grants, count);
}

static void test_rights_where_they_count_do_as_anonymous(void **state)
{
	(void)state;
	for (size_t i = 0; i < SL_COUNT(samples); i++) {
		struct cast open, right;
		if (samples[i].bare) {
			continue;
		}
		cast_begin(&open);
		cast_try(&open, &samples[i]);
		cast_begin(&right);
		come_right(&right, &samples[i]);
		cast_try(&right, &samples[i]);
		cast_must_be(&right, &samples[i], "the right one", open.w->code,
			     open.w->err.reason);
		if (right.w->code == SL_PERMISSION_DENIED || right.w->code == SL_UNAUTHENTICATED) {
			fail_msg("%s shows nothing", samples[i].method);
		}
		cast_end(&open);
		cast_end(&right);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_rights_every_unary_method_is_tried),
	    cmocka_unit_test(test_rights_who_is_nobody_calls_nothing),
	    cmocka_unit_test(test_rights_agents_call_nothing_but_their_own),
	    cmocka_unit_test(test_rights_strangers_see_no_workspace),
	    cmocka_unit_test(test_rights_all_verbs_but_the_one_do_not_do),
	    cmocka_unit_test(test_rights_on_another_app_see_no_app),
	    cmocka_unit_test(test_rights_where_they_count_do_as_anonymous),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
