/* Who may call what: every unary method of the API x every kind of caller, through the generic path
 * (request bytes in, reply out). Streams are tried end to end. */
#include "tests/unit/server/services/calls.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock/clock.h"
#include "base/id/id.h"
#include "server/fleet/fleet.h"
#include "server/records/principals.h"
#include "server/services/requests.h"
#include "server/services/service_internal.h"
#include "sluice/v1/fleet.pb-c.h"

/* --- a request of each method, and where its verb counts for it --- */

static const struct sample {
	const char *method, *fields;
	const char *environment; /* "": any, or all of them; NULL: none, see the row's scope */
	bool bare;               /* needs parts that are not here: only refusals are tried */
} samples[] = {
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

/* --- the world: an app with a version in each environment, people --- */

static const struct sl_token_key token_key = {{3}};

struct cast {
	struct world *w;
	struct access *closed; /* asks for certificates */
	struct rpc_peer_identity peer;
	uint32_t acme;
};

static void begin(struct cast *c)
{
	void *state = NULL;
	*c = (struct cast){.w = NULL};
	(void)world_setup(&state);
	struct world *w = c->w = state;
	assert_int_equal(requests_new(100, 1000000, &w->services.requests, &w->err), SL_OK);
	assert_int_equal(
	    fleet_new(&(struct fleet_options){.store = w->store}, &w->services.fleet, &w->err),
	    SL_OK);
	(void)world_repository(w, "web", SLUICE__V1__PUBLISH_MODE__PUBLISH_MODE_TAGS);
	(void)world_app(w, "shop", "web");
	world_produce(w, "shop", "v1", true);
	(void)world_version(w, "shop", "tested");
	world_ready(w, "shop", "tested", 5);
	world_promote(w, "shop", "tested");
	world_published(w, "shop", "tested");
	(void)world_version(w, "shop", "draft");
	world_ready(w, "shop", "draft", 9);
	(void)world_app(w, "blog", "web");
	(void)world_instance(w, "dev-1", ENV_DEVELOPMENT);
	calls_people(w);
	assert_int_equal(calls_make(w, "CreateWorkspace",
				    calls_request(w, "CreateWorkspace", "name=acme", "", ""), NULL),
			 SL_OK);
	const struct store_view *view = NULL;
	assert_int_equal(store_view_begin(w->store, &view, &w->err), SL_OK);
	assert_int_equal(workspace_find(view, "acme", &c->acme, &w->err), SL_OK);
	store_view_end(view);
	const struct access_options options = {.store = w->store, .token_key = &token_key};
	assert_int_equal(access_new(&options, &c->closed, &w->err), SL_OK);
}

static void end(struct cast *c)
{
	void *state = c->w;
	fleet_stop(c->w->services.fleet);
	access_free(c->closed == c->w->services.access ? NULL : c->closed);
	access_free(c->w->services.access);
	requests_free(c->w->services.requests);
	struct fleet *fleet = c->w->services.fleet;
	assert_int_equal(world_teardown(&state), 0);
	fleet_free(fleet);
}

/* --- identities --- */

static sl_code put_identity(struct decision *d, const void *in, void *out, struct sl_err *err)
{
	const Sluice__Store__V1__IdentityRecord *record = in;
	struct record_key key = identity_key(record->id);
	(void)out, (void)err;
	decision_put(d, TABLE_IDENTITIES, &key, &record->base);
	access_changed(d);
	return SL_OK;
}

/* Calls come from the holder of a certificate for this subject from now on. */
static const char *come_as(struct cast *c, uint32_t workspace, const char *subject, bool agent,
			   bool revoked)
{
	struct world *w = c->w;
	Sluice__Store__V1__IdentityRecord record = SLUICE__STORE__V1__IDENTITY_RECORD__INIT;
	record.id = sl_arena_strdup(&w->arena, sl_id_new("idn").text);
	record.kind = agent ? SLUICE__STORE__V1__IDENTITY_KIND__IDENTITY_KIND_AGENT
			    : SLUICE__STORE__V1__IDENTITY_KIND__IDENTITY_KIND_PRINCIPAL;
	record.workspace = workspace;
	record.subject_id = (char *)subject;
	record.revoked_ms = revoked ? 1 : 0;
	record.revision = 1;
	assert_int_equal(world_run(w, put_identity, &record, NULL), SL_OK);
	c->peer = (struct rpc_peer_identity){.not_after_ms = UINT64_MAX};
	(void)snprintf(c->peer.uri, sizeof(c->peer.uri), "spiffe://sluice/%s/%s/%s",
		       agent ? "agent" : "principal", subject, record.id);
	w->peer = &c->peer;
	return record.id;
}

/* A principal with these grants, and its certificate. */
static const char *come_with(struct cast *c, uint32_t workspace, const char *const *grants,
			     size_t count)
{
	static unsigned number;
	char *name = sl_arena_printf(&c->w->arena, "p%u", ++number);
	const char *id = calls_principal(c->w, workspace, name, grants, count);
	(void)come_as(c, workspace, id, false, false);
	return id;
}

static sl_code try(struct cast *c, const struct sample *sample)
{
	return calls_make(c->w, sample->method,
			  calls_request(c->w, sample->method, sample->fields, "", ""), NULL);
}

static uint64_t head(struct cast *c)
{
	struct store_stats stats;
	store_stats_read(c->w->store, &stats);
	return stats.revision;
}

static void must_be(const struct cast *c, const struct sample *sample, const char *who,
		    sl_code code, enum sl_reason reason)
{
	if (c->w->code != code || c->w->err.reason != reason) {
		fail_msg("%s %s as %s: %s %s: %s", sample->method, sample->fields, who,
			 sl_code_name(c->w->code), sl_reason_name(c->w->err.reason), c->w->err.msg);
	}
}

/* --- nobody, the expired, the revoked, agents, strangers: refused by every method --- */

static void refused_everywhere(struct cast *c, const char *who, enum sl_reason reason)
{
	uint64_t before = head(c);
	for (size_t i = 0; i < SL_COUNT(samples); i++) {
		try(c, &samples[i]);
		must_be(c, &samples[i], who, SL_UNAUTHENTICATED, reason);
	}
	assert_int_equal(head(c), before);
}

static void test_rights_who_is_nobody_calls_nothing(void **state)
{
	(void)state;
	static const char *const admin[] = {"admin"};
	struct cast c;
	begin(&c);
	access_free(c.w->services.access);
	c.w->services.access = c.closed;
	c.w->peer = NULL;
	refused_everywhere(&c, "nobody", SL_REASON_IDENTITY_MALFORMED);

	const char *id = come_with(&c, WORLD, admin, 1);
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
	(void)come_as(&c, WORLD, id, false, true);
	refused_everywhere(&c, "revoked", SL_REASON_IDENTITY_REVOKED);
	(void)come_as(&c, WORLD, "pri_bbbbbbbbbbbbbbbbbbbb", false, false);
	refused_everywhere(&c, "removed", SL_REASON_IDENTITY_REVOKED);
	end(&c);
}

static void test_rights_agents_call_nothing_but_their_own(void **state)
{
	(void)state;
	struct cast c;
	begin(&c);
	(void)come_as(&c, WORLD, "ins_aaaaaaaaaaaaaaaaaaaa", true, false);
	uint64_t before = head(&c);
	for (size_t i = 0; i < SL_COUNT(samples); i++) {
		if (row_of(samples[i].method)->scope != ACCESS_SELF) {
			try(&c, &samples[i]);
			must_be(&c, &samples[i], "an agent", SL_PERMISSION_DENIED,
				SL_REASON_RIGHT_MISSING);
		}
	}
	assert_int_equal(head(&c), before);
	end(&c);
}

/* Another workspace is as one that is not there, also to its own admin. */
static void test_rights_strangers_see_no_workspace(void **state)
{
	(void)state;
	static const char *const admin[] = {"admin"};
	struct cast c;
	begin(&c);
	(void)come_with(&c, c.acme, admin, 1);
	uint64_t before = head(&c);
	for (size_t i = 0; i < SL_COUNT(samples); i++) {
		enum access_scope scope = row_of(samples[i].method)->scope;
		bool server = scope == ACCESS_SERVER;
		if (scope == ACCESS_SELF || strcmp(samples[i].method, "ListWorkspaces") == 0) {
			continue;
		}
		try(&c, &samples[i]);
		must_be(&c, &samples[i], "a stranger", server ? SL_PERMISSION_DENIED : SL_NOT_FOUND,
			server ? SL_REASON_RIGHT_MISSING : SL_REASON_WORKSPACE_NOT_FOUND);
	}
	assert_int_equal(head(&c), before);
	end(&c);
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
	(void)come_with(c, WORLD, grants, count);
}

static void test_rights_all_verbs_but_the_one_do_not_do(void **state)
{
	(void)state;
	struct cast c;
	begin(&c);
	size_t tried = 0;
	for (size_t i = 0; i < SL_COUNT(samples); i++) {
		const struct service_method *row = row_of(samples[i].method);
		if (row->verb == ACCESS_VIEW) {
			continue; /* below */
		}
		come_without(&c, row->verb,
			     samples[i].environment != NULL ? samples[i].environment : "");
		uint64_t before = head(&c);
		try(&c, &samples[i]);
		must_be(&c, &samples[i], "one without", SL_PERMISSION_DENIED,
			SL_REASON_RIGHT_MISSING);
		assert_non_null(strstr(c.w->err.msg, access_verb_name(row->verb)));
		assert_int_equal(head(&c), before);
		tried++;
	}
	assert_true(tried > 35);
	end(&c);
}

/* Everything, but on another app: `shop` is not there. */
static void test_rights_on_another_app_see_no_app(void **state)
{
	(void)state;
	struct cast c;
	begin(&c);
	const char *grants[ACCESS_VERB_COUNT];
	size_t count = 0;
	for (int verb = ACCESS_VIEW; verb < ACCESS_AGENT; verb++) {
		grants[count++] = sl_arena_printf(&c.w->arena, "%s blog",
						  access_verb_name((enum access_verb)verb));
	}
	(void)come_with(&c, WORLD, grants, count);
	uint64_t before = head(&c);
	for (size_t i = 0; i < SL_COUNT(samples); i++) {
		if (strstr(samples[i].fields, "app=shop") == NULL) {
			continue;
		}
		try(&c, &samples[i]);
		must_be(&c, &samples[i], "one of another app", SL_NOT_FOUND,
			SL_REASON_APP_NOT_FOUND);
		char seen[SL_ERR_MSG_SIZE];
		(void)snprintf(seen, sizeof(seen), "%s", c.w->err.msg);
		assert_string_equal(seen,
				    "no app 'shop'"); /* the very words for what is not there */
	}
	assert_int_equal(head(&c), before);
	end(&c);
}

/* --- the right one
 * ------------------------------------------------------------------------------------------------
 */

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
	(void)come_with(c, WORLD, grants, count);
}

static void test_rights_where_they_count_do_as_anonymous(void **state)
{
	(void)state;
	for (size_t i = 0; i < SL_COUNT(samples); i++) {
		struct cast open, right;
		if (samples[i].bare) {
			continue;
		}
		begin(&open);
		try(&open, &samples[i]);
		begin(&right);
		come_right(&right, &samples[i]);
		try(&right, &samples[i]);
		must_be(&right, &samples[i], "the right one", open.w->code, open.w->err.reason);
		if (right.w->code == SL_PERMISSION_DENIED || right.w->code == SL_UNAUTHENTICATED) {
			fail_msg("%s shows nothing", samples[i].method);
		}
		end(&open);
		end(&right);
	}
}

/* --- replies hold back
 * -----------------------------------------------------------------------------------------------
 */

static void test_rights_lists_hold_back_what_cannot_be_seen(void **state)
{
	(void)state;
	static const char *const grants[] = {"view blog"};
	struct cast c;
	begin(&c);
	(void)come_with(&c, WORLD, grants, 1);
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
	end(&c);
}

/* Without view on production one sees that a version is there and since when. */
static void test_rights_without_view_on_production(void **state)
{
	(void)state;
	static const char *const grants[] = {"view * development", "view * staging"};
	struct cast c;
	begin(&c);
	(void)world_instance(c.w, "prod-1", ENV_PRODUCTION);
	(void)come_with(&c, WORLD, grants, 2);
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
		try(&c, &held[i]);
		must_be(&c, &held[i], "blind", SL_PERMISSION_DENIED, SL_REASON_RIGHT_MISSING);
	}
	try(&c, &(struct sample){"GetInstance", "instance=prod-1", "", false});
	assert_int_equal(w->code, SL_NOT_FOUND);
	assert_string_equal(w->err.msg, "no instance 'prod-1'");
	Sluice__V1__ListInstancesResponse *instances = NULL;
	assert_int_equal(calls_make(w, "ListInstances",
				    calls_request(w, "ListInstances", "", "", ""), &instances),
			 SL_OK);
	assert_int_equal(instances->n_instances, 1);
	assert_string_equal(instances->instances[0]->name, "dev-1");
	end(&c);
}

/* --- a secret is shown once --- */

static void test_rights_a_kept_reply_has_no_secret(void **state)
{
	(void)state;
	struct cast c;
	begin(&c);
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
	end(&c);
}

/* --- how often
 * --------------------------------------------------------------------------------------------------------------
 */

static void test_rights_calls_of_a_principal_are_bounded(void **state)
{
	(void)state;
	static const char *const grants[] = {"viewer"};
	struct cast c;
	begin(&c);
	const struct access_options options = {
	    .store = c.w->store, .rate_per_s = 1, .rate_burst = 3};
	access_free(c.closed);
	c.closed = c.w->services.access;
	assert_int_equal(access_new(&options, &c.w->services.access, &c.w->err), SL_OK);
	(void)come_with(&c, WORLD, grants, 1);
	const struct sample who = {"WhoAmI", "", NULL, false};
	unsigned passed = 0;
	while (passed < 20 && try(&c, &who) == SL_OK) {
		passed++;
	}
	must_be(&c, &who, "a busy one", SL_RESOURCE_EXHAUSTED, SL_REASON_RATE_LIMITED);
	assert_in_range(passed, 3, 6);
	(void)come_with(&c, WORLD, grants, 1);
	assert_int_equal(try(&c, &who), SL_OK); /* another one's are its own */
	end(&c);
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
	    cmocka_unit_test(test_rights_lists_hold_back_what_cannot_be_seen),
	    cmocka_unit_test(test_rights_without_view_on_production),
	    cmocka_unit_test(test_rights_a_kept_reply_has_no_secret),
	    cmocka_unit_test(test_rights_calls_of_a_principal_are_bounded),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
