/* SEALED: nothing of a version can change, ever, by any RPC. Every mutating RPC of the whole API is
 * tried on a sealed version in every environment, through the generic path (request bytes in, reply
 * out), and what is stored of the version is compared byte by byte. */
#include "tests/unit/server/services/calls.h"

#include <stdlib.h>
#include <string.h>

#include "server/services/requests.h"
#include "sluice/v1/admin.pb-c.h"
#include "sluice/v1/agent.pb-c.h"
#include "sluice/v1/environment.pb-c.h"
#include "sluice/v1/fleet.pb-c.h"
#include "sluice/v1/promotion.pb-c.h"
#include "sluice/v1/release.pb-c.h"
#include "sluice/v1/workspace.pb-c.h"

/* --- every mutating RPC --------------------------------------------------------------------- */

/* Requests, field=value: $V is the sealed version, $E the environment that it is in. */
static const struct sample {
	const char *method;
	const char *fields;
	bool succeeds; /* for the version in at least one environment */
} samples[] = {
    {"CreateWorkspace", "name=other", true},
    {"DeleteWorkspace", "workspace=default", false},
    {"CreateRepository", "name=other url=https://example.com/other.git", true},
    {"RefreshRepository", "repository=web", true},
    {"RetryOwed", "repository=web owed=opr_nosuch", false},
    {"DropOwed", "repository=web owed=opr_nosuch", false},
    {"SetRepository", "repository=web url=https://example.com/moved.git", true},
    {"GenerateRepositoryKey", "repository=web use=1", false},
    {"RotateRepositoryKey", "repository=web use=1", false},
    {"RotateWorkspaceKey", "", false},
    {"DeleteRepository", "repository=web", false},
    {"CreateApp", "name=other repository=web", true},
    {"CreateApp", "name=other repository=web path=apps/shop", false},
    {"ImportApp", "name=other repository=web path=apps/other", true},
    {"ImportApp", "name=other repository=web path=apps/shop", false},
    {"RenameApp", "app=shop new_name=store", true},
    {"UpdateApp", "app=shop display_name=Shop", true},
    {"DeleteApp", "app=shop", false},
    {"OpenApp", "app=shop version=$V", true},
    {"CreateVersion", "app=shop name=next from=$V", true},
    {"CreateVersion", "app=shop name=next from=$V commit=main", true},
    {"CreateVersion", "app=shop name=$V", false},
    {"SetVersionContent", "app=shop version=$V", false},
    {"SetVersionContent", "app=shop version=$V commit=main", false},
    {"PushVersion", "app=shop version=$V upload=upl_aaaaaaaaaaaaaaaaaaaa message=more", false},
    {"PushWorkingCopy", "app=shop version=$V instance=dev-1 message=more", false},
    {"BreakLease", "app=shop", false},
    {"UpdateVersion", "app=shop version=$V new_name=renamed", false},
    {"UpdateVersion", "app=shop version=$V description=other", false},
    {"UpdateVersion", "app=shop version=$V", false},
    {"UpdateVersion", "app=shop version=draft new_name=$V", false},
    {"UpdateVersion", "app=shop version=draft new_name=renamed", true},
    {"SealVersion", "app=shop version=$V", true},
    {"BlockVersion", "app=shop version=$V mode=1", true},
    {"BlockVersion", "app=shop version=$V mode=2 keep_serving=1", true},
    {"BlockVersion", "app=shop version=$V mode=2 withdraw=1", true},
    {"BlockVersion", "app=shop version=$V mode=2 rollback_to=previous", true},
    {"UnblockVersion", "app=shop version=$V", true},
    {"NoteVersion", "app=shop version=$V text=fine", true},
    {"DeleteVersion", "app=shop version=$V", true},
    {"Promote", "app=shop version=$V from=$E", true},
    {"Release", "app=shop version=$V", true},
    {"SignRelease", "app=shop version=$V signature=64", true},
    {"WithdrawRelease", "app=shop", true},
    {"Rollback", "app=shop", true},
    {"Rollback", "app=shop to=v1", true},
    {"RegisterInstance", "name=new environment=$E", true},
    {"UpdateInstance", "instance=dev-1 public_url=https://shop.example.com", true},
    {"RemoveInstance", "instance=dev-1", true},
    {"PauseInstance", "instance=dev-1", true},
    {"ResumeInstance", "instance=dev-1", true},
    {"RetryInstance", "instance=dev-1 app=shop", true},
    {"UpdateInstance", "instance=dev-1 pull=2", true},
    {"Pull", "instance=dev-1 app=shop version=draft", true},
    {"InviteInstance", "instance=dev-1", false}, /* there is no door */
    {"RevokeInstance", "instance=dev-1", true},
    {"ClearInstanceAlerts", "instance=dev-1", true},
    {"SelectVersion", "app=shop version=$V environment=$E", true},
    {"SelectVersion", "app=shop version=$V environment=development instance=dev-1", true},
    {"ClearSelection", "app=shop environment=$E", true},
    {"Logout", "", false}, /* nobody shows a certificate */
    {"CreatePrincipal", "name=alice kind=1", true},
    {"DisablePrincipal", "principal=tess", true},
    {"EnablePrincipal", "principal=tess", true},
    {"DeletePrincipal", "principal=tess", true},
    {"CreateGrant", "principal=tess grant.role=builder", true},
    {"DeleteGrant", "principal=tess grant.role=viewer", true},
    {"CreateRole", "name=reader rights.verbs=1", true},
    {"UpdateRole", "role=looker rights.verbs=2", true},
    {"DeleteRole", "role=looker", true},
    {"CreateAccessToken", "principal=tess", true},
    {"RevokeAccessToken", "token=tok_aaaaaaaaaaaaaaaaaaaa", true},
    {"SetConfigValue", "name=URL kind=1 environment=$E value=x", false}, /* there is no key */
    {"UnsetConfigValue", "name=NOSUCH environment=$E", false},
    {"DeleteConfigName", "name=NOSUCH", false},
    {"RevealSecret", "name=NOSUCH environment=$E", false},
    {"SetEnvironmentPolicy", "environment=$E contract=2", true},
    {"CreateSource", "name=main kind=postgres", true},
    {"SetSource", "source=nosuch environment=$E", false},
    {"TestSource", "source=nosuch instance=dev-1", false},
    {"DeleteSource", "source=nosuch", false},
    {"Compact", "revision=2", true},
    {"Resume", "", true},
    {"CutAudit", "", false},
};

static bool is_tried(const char *method)
{
	for (size_t i = 0; i < SL_COUNT(samples); i++) {
		if (strcmp(samples[i].method, method) == 0) {
			return true;
		}
	}
	return false;
}

static void test_sealed_every_mutating_rpc_is_tried(void **state)
{
	(void)state;
	size_t count = 0;
	for (size_t i = 0; i < CALLS_SERVICES; i++) {
		for (unsigned j = 0; j < calls_services[i]->n_methods; j++) {
			const ProtobufCMethodDescriptor *method = &calls_services[i]->methods[j];
			if (protobuf_c_message_descriptor_get_field_by_name(method->input,
									    "write") == NULL) {
				continue;
			}
			count++;
			if (!is_tried(method->name)) {
				fail_msg("%s changes something and is not tried", method->name);
			}
		}
	}
	assert_true(count >= 31);
	size_t services_named = 0;
	while (services_names[services_named] != NULL) {
		services_named++;
	}
	assert_int_equal(services_named, CALLS_SERVICES);
}

/* --- what is stored of the version --- */

/* All but where it is, whether it is blocked, and the revision. */
static struct sl_bytes frozen(struct world *w, const char *app_id, uint32_t number)
{
	Sluice__Store__V1__VersionRecord *record =
	    world_get(w, TABLE_VERSIONS, version_key(WORLD, app_id, number),
		      &sluice__store__v1__version_record__descriptor);
	if (record == NULL) {
		return SL_BYTES_NONE;
	}
	Sluice__Store__V1__PublicationRecord *publication =
	    world_get(w, TABLE_PUBLICATIONS, version_key(WORLD, app_id, number),
		      &sluice__store__v1__publication_record__descriptor);
	assert_non_null(publication);
	record->environment = 0;
	record->block = NULL;
	record->revision = record->entered_revision = record->first_released_ms = 0;
	size_t size = protobuf_c_message_get_packed_size(&record->base),
	       ref_size = strlen(publication->ref);
	uint8_t *bytes = sl_arena_alloc(&w->arena, size + ref_size);
	protobuf_c_message_pack(&record->base, bytes);
	memcpy(bytes + size, publication->ref, ref_size);
	return SL_BYTES(bytes, size + ref_size);
}

/* A world with a released v1, a draft, and `sealed`, sealed, in the environment. */
static void begin(struct world *w, uint32_t environment)
{
	assert_int_equal(requests_new(100, 1000000, &w->services.requests, &w->err), SL_OK);
	(void)world_repository(w, "web", SLUICE__V1__PUBLISH_MODE__PUBLISH_MODE_TAGS);
	(void)world_app(w, "shop", "web");
	world_produce(w, "shop", "v1", true);
	(void)world_version(w, "shop", "sealed");
	if (environment == ENV_PRODUCTION) {
		world_produce(w, "shop", "sealed", true);
	} else {
		Sluice__V1__SealVersionRequest seal = SLUICE__V1__SEAL_VERSION_REQUEST__INIT;
		seal.app = (char *)"shop";
		seal.version = (char *)"sealed";
		world_ready(w, "shop", "sealed", 5);
		(void)world_call(w, "SealVersion", &seal);
		world_published(w, "shop", "sealed");
	}
	if (environment == ENV_STAGING) {
		world_promote(w, "shop", "sealed");
	}
	(void)world_version(w, "shop", "draft");
	world_ready(w, "shop", "draft", 9); /* selected in development from here on */
	(void)world_instance(w, "dev-1", ENV_DEVELOPMENT);
	calls_people(w);
}

/* True if the call succeeded. */
static bool try_one(const struct sample *sample, uint32_t environment)
{
	void *state = NULL;
	(void)world_setup(&state);
	struct world *w = state;
	begin(w, environment);
	Sluice__Store__V1__VersionRecord *version = world_version_record(w, "shop", "sealed");
	assert_int_equal(version->environment, environment);
	struct sl_bytes before = frozen(w, version->app_id, version->number);
	ProtobufCMessage *request = calls_request(w, sample->method, sample->fields, "sealed",
						  environment_name(environment));
	sl_code code = calls_make(w, sample->method, request, NULL);
	struct sl_bytes after = frozen(w, version->app_id, version->number);
	bool deleted = code == SL_OK && strcmp(sample->method, "DeleteVersion") == 0;
	if (deleted ? after.size != 0 : !sl_bytes_equal(before, after)) {
		fail_msg("%s %s in %s changed a sealed version", sample->method, sample->fields,
			 environment_name(environment));
	}
	requests_free(w->services.requests);
	access_free(w->services.access);
	assert_int_equal(world_teardown(&state), 0);
	return code == SL_OK;
}

static void test_sealed_nothing_changes_by_any_rpc(void **state)
{
	(void)state;
	for (size_t i = 0; i < SL_COUNT(samples); i++) {
		bool succeeded = false;
		for (uint32_t environment = 1; environment <= ENV_COUNT; environment++) {
			succeeded |= try_one(&samples[i], environment);
		}
		if (succeeded != samples[i].succeeds) {
			fail_msg("%s %s: %s", samples[i].method, samples[i].fields,
				 succeeded ? "was allowed"
					   : "was never allowed, so it shows nothing");
		}
	}
}

/* --- and not by what Git workers report either --- */

static sl_code content_decide(struct decision *d, const void *in, void *out, struct sl_err *err)
{
	(void)out;
	return versions_decide_content_result(d, in, err);
}

static void test_sealed_nothing_changes_by_a_late_result(void **state)
{
	(void)state;
	for (uint32_t environment = 1; environment <= ENV_COUNT; environment++) {
		void *made = NULL;
		(void)world_setup(&made);
		struct world *w = made;
		static const uint8_t digest[32] = {0xff};
		begin(w, environment);
		Sluice__Store__V1__VersionRecord *version =
		    world_version_record(w, "shop", "sealed");
		struct sl_bytes before = frozen(w, version->app_id, version->number);
		struct version_content_result result = {
		    .app_id = version->app_id,
		    .version = version->number,
		    .generation = version->content->generation,
		    .commit = "ffffffffffffffffffffffffffffffffffffffff",
		    .digest = digest,
		};
		for (int reason = 0; reason <= 13; reason++) {
			result.reason = (Sluice__V1__ContentReason)reason;
			assert_int_equal(world_run(w, content_decide, &result, NULL), SL_OK);
			assert_int_equal(w->revision, 0);
		}
		assert_true(sl_bytes_equal(before, frozen(w, version->app_id, version->number)));
		requests_free(w->services.requests);
		access_free(w->services.access);
		assert_int_equal(world_teardown(&made), 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_sealed_every_mutating_rpc_is_tried),
	    cmocka_unit_test(test_sealed_nothing_changes_by_any_rpc),
	    cmocka_unit_test(test_sealed_nothing_changes_by_a_late_result),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
