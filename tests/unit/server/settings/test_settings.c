/* settings: one name, one value per environment, through the methods of ConfigService and a real
 * vault. The teardown checks the store: each value that is said to be there is sealed, and no
 * other. */
#include "tests/unit/server/records/world.h"

#include <stdlib.h>
#include <string.h>

#include "server/records/sealed.h"
#include "server/settings/settings.h"
#include "sluice/v1/config.pb-c.h"
#include "tests/lib/tmpdir.h"
#include "tests/unit/server/vault/keys.h"

#define GLOBAL SLUICE__V1__CONFIG_KIND__CONFIG_KIND_GLOBAL
#define SECRET SLUICE__V1__CONFIG_KIND__CONFIG_KIND_SECRET
#define UNSET SLUICE__V1__CONFIG_STATE__CONFIG_STATE_UNSET
#define EMPTY SLUICE__V1__CONFIG_STATE__CONFIG_STATE_EMPTY
#define SET SLUICE__V1__CONFIG_STATE__CONFIG_STATE_SET
#define UNREADABLE SLUICE__V1__CONFIG_STATE__CONFIG_STATE_UNREADABLE

struct fix {
	struct world *w;
	char *dir;
};

static int setup(void **state)
{
	struct fix *f = calloc(1, sizeof(*f));
	assert_non_null(f);
	assert_int_equal(world_setup((void **)&f->w), 0);
	f->dir = tmpdir_new();
	f->w->services.vault = keys_new(f->dir);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fix *f = *state;
	void *world = f->w;
	vault_free(f->w->services.vault);
	int rc = world_teardown(&world);
	tmpdir_free(f->dir);
	free(f);
	return rc;
}

/* --- calls -------------------------------------------------------------------------------- */

static Sluice__V1__SetConfigValueRequest set_request(Sluice__V1__ConfigKind kind, const char *name,
						     const char *environment, const char *value)
{
	Sluice__V1__SetConfigValueRequest request = SLUICE__V1__SET_CONFIG_VALUE_REQUEST__INIT;
	request.name = (char *)name;
	request.kind = kind;
	request.environment = (char *)environment;
	request.value = (char *)value;
	return request;
}

/* What the reply and the events tell must never have the value. */
static void expect_untold(const struct world *w, const Sluice__V1__ConfigName *config)
{
	assert_int_equal(w->event_count, w->revision != 0);
	for (size_t i = 0; i < config->n_values; i++) {
		assert_string_equal(config->values[i]->value, "");
		if (w->event_count != 0) {
			assert_string_equal(w->events[0]->config->values[i]->value, "");
		}
	}
}

static const Sluice__V1__ConfigName *set(struct fix *f, Sluice__V1__ConfigKind kind,
					 const char *name, const char *environment,
					 const char *value)
{
	Sluice__V1__SetConfigValueRequest request = set_request(kind, name, environment, value);
	const Sluice__V1__SetConfigValueResponse *response =
	    world_call(f->w, "SetConfigValue", &request);
	expect_untold(f->w, response->config);
	return response->config;
}

static const Sluice__V1__ConfigValue *get(struct fix *f, const char *name, uint32_t environment)
{
	Sluice__V1__GetConfigNameRequest request = SLUICE__V1__GET_CONFIG_NAME_REQUEST__INIT;
	request.name = (char *)name;
	const Sluice__V1__GetConfigNameResponse *response =
	    world_call(f->w, "GetConfigName", &request);
	assert_int_equal(response->config->n_values, ENV_COUNT);
	const Sluice__V1__ConfigValue *value = response->config->values[environment - 1];
	assert_string_equal(value->environment, environment_name(environment));
	return value;
}

static void expect(struct fix *f, const char *name, uint32_t environment,
		   Sluice__V1__ConfigState state, const char *shown)
{
	const Sluice__V1__ConfigValue *value = get(f, name, environment);
	assert_int_equal(value->state, state);
	assert_string_equal(value->value, shown);
}

static void unset(struct fix *f, const char *name, const char *environment)
{
	Sluice__V1__UnsetConfigValueRequest request = SLUICE__V1__UNSET_CONFIG_VALUE_REQUEST__INIT;
	request.name = (char *)name;
	request.environment = (char *)environment;
	(void)world_call(f->w, "UnsetConfigValue", &request);
}

static void delete_name(struct fix *f, const char *name)
{
	Sluice__V1__DeleteConfigNameRequest request = SLUICE__V1__DELETE_CONFIG_NAME_REQUEST__INIT;
	request.name = (char *)name;
	(void)world_call(f->w, "DeleteConfigName", &request);
}

static Sluice__V1__RevealSecretRequest reveal_request(const char *name, const char *environment)
{
	Sluice__V1__RevealSecretRequest request = SLUICE__V1__REVEAL_SECRET_REQUEST__INIT;
	request.name = (char *)name;
	request.environment = (char *)environment;
	return request;
}

static void expect_secret(struct fix *f, const char *name, const char *environment,
			  const char *value)
{
	Sluice__V1__RevealSecretRequest request = reveal_request(name, environment);
	const Sluice__V1__RevealSecretResponse *response =
	    world_call(f->w, "RevealSecret", &request);
	assert_string_equal(response->secret, value);
}

/* --- values ---------------------------------------------------------------------------------- */

static void test_settings_unset_differs_from_empty(void **state)
{
	struct fix *f = *state;
	(void)set(f, GLOBAL, "URL", "staging", "");
	expect(f, "URL", ENV_DEVELOPMENT, UNSET, "");
	expect(f, "URL", ENV_STAGING, EMPTY, "");
	(void)set(f, GLOBAL, "URL", "env_1", "http://dev\n\ttwo lines");
	expect(f, "URL", ENV_DEVELOPMENT, SET, "http://dev\n\ttwo lines");
	(void)set(f, SECRET, "KEY", "production", "hidden");
	expect(f, "KEY", ENV_PRODUCTION, SET, SETTING_MASK);
	expect(f, "KEY", ENV_STAGING, UNSET, "");
	(void)set(f, SECRET, "KEY", "staging", "");
	expect(f, "KEY", ENV_STAGING, EMPTY, SETTING_MASK);
	unset(f, "URL", "development");
	expect(f, "URL", ENV_DEVELOPMENT, UNSET, "");
	uint64_t revision = get(f, "URL", ENV_DEVELOPMENT)->revision;
	unset(f, "URL", "development");
	assert_int_equal(f->w->revision, 0); /* it is already */
	unset(f, "URL", "production");
	assert_int_equal(get(f, "URL", ENV_DEVELOPMENT)->revision, revision);
}

static void test_settings_saving_one_environment_changes_no_other(void **state)
{
	struct fix *f = *state;
	(void)set(f, SECRET, "KEY", "staging", "for staging");
	(void)set(f, SECRET, "KEY", "production", "for production");
	struct record_key key =
	    KEY(WORLD, key_u32(k, SEALED_SECRET), key_text(k, "KEY"), key_u32(k, ENV_PRODUCTION));
	const Sluice__V1__ConfigValue *before = get(f, "KEY", ENV_PRODUCTION);
	const Sluice__Store__V1__SealedRecord *sealed =
	    world_get(f->w, TABLE_SEALED, key, &sluice__store__v1__sealed_record__descriptor);
	(void)set(f, SECRET, "KEY", "staging", "again");
	unset(f, "KEY", "staging");
	(void)set(f, SECRET, "KEY", "development", "for development");
	const Sluice__V1__ConfigValue *after = get(f, "KEY", ENV_PRODUCTION);
	const Sluice__Store__V1__SealedRecord *still =
	    world_get(f->w, TABLE_SEALED, key, &sluice__store__v1__sealed_record__descriptor);
	assert_int_equal(before->revision, after->revision);
	assert_int_equal(before->set_at->seconds, after->set_at->seconds);
	assert_string_equal(after->set_by, "tester");
	assert_memory_equal(sealed->sealed.data, still->sealed.data, sealed->sealed.len);
	expect_secret(f, "KEY", "production", "for production");
}

static void test_settings_the_kind_is_fixed(void **state)
{
	struct fix *f = *state;
	Sluice__V1__SetConfigValueRequest request = set_request(0, "NAME", "staging", "x");
	world_refuse(f->w, "SetConfigValue", &request, SL_INVALID_ARGUMENT, SL_REASON_MALFORMED);
	(void)set(f, SECRET, "NAME", "staging", "x");
	(void)set(f, 0, "NAME", "staging", "y");
	request.kind = GLOBAL;
	world_refuse(f->w, "SetConfigValue", &request, SL_FAILED_PRECONDITION,
		     SL_REASON_CONFIG_KIND_FIXED);
	Sluice__V1__UnsetConfigValueRequest other = SLUICE__V1__UNSET_CONFIG_VALUE_REQUEST__INIT;
	other.name = (char *)"NAME";
	other.environment = (char *)"staging";
	other.kind = GLOBAL;
	world_refuse(f->w, "UnsetConfigValue", &other, SL_NOT_FOUND, SL_REASON_CONFIG_NOT_FOUND);
	delete_name(f, "NAME");
	(void)set(f, GLOBAL, "NAME", "staging", "z"); /* a new one */
	expect(f, "NAME", ENV_STAGING, SET, "z");
}

static void test_settings_the_mask_leaves_a_secret_as_it_is(void **state)
{
	struct fix *f = *state;
	Sluice__V1__SetConfigValueRequest request =
	    set_request(SECRET, "KEY", "staging", SETTING_MASK);
	world_refuse(f->w, "SetConfigValue", &request, SL_INVALID_ARGUMENT, SL_REASON_MALFORMED);
	(void)set(f, SECRET, "KEY", "staging", "hidden");
	(void)set(f, SECRET, "KEY", "staging", SETTING_MASK);
	assert_int_equal(f->w->revision, 0);
	expect_secret(f, "KEY", "staging", "hidden");
	(void)set(f, SECRET, "KEY", "production", SETTING_MASK);
	expect(f, "KEY", ENV_PRODUCTION, UNSET, "");
	(void)set(f, GLOBAL, "STARS", "staging", SETTING_MASK); /* a value as any other */
	expect(f, "STARS", ENV_STAGING, SET, SETTING_MASK);
}

static void test_settings_the_same_value_changes_nothing(void **state)
{
	struct fix *f = *state;
	(void)set(f, GLOBAL, "URL", "staging", "same");
	(void)set(f, GLOBAL, "URL", "staging", "same");
	assert_int_equal(f->w->revision, 0);
	(void)set(f, SECRET, "KEY", "staging", "same");
	(void)set(f, SECRET, "KEY", "staging", "same");
	assert_int_equal(f->w->revision, 0);
	(void)set(f, SECRET, "KEY", "staging", "sama");
	assert_int_not_equal(f->w->revision, 0);
}

static void test_settings_expected_revision_is_the_values(void **state)
{
	struct fix *f = *state;
	Sluice__V1__WriteOptions options = SLUICE__V1__WRITE_OPTIONS__INIT;
	Sluice__V1__SetConfigValueRequest request = set_request(GLOBAL, "URL", "staging", "one");
	request.write = &options;
	options.expected_revision = 1;
	world_refuse(f->w, "SetConfigValue", &request, SL_ABORTED, SL_REASON_STALE_REVISION);
	(void)set(f, GLOBAL, "URL", "staging", "one");
	options.expected_revision = get(f, "URL", ENV_STAGING)->revision;
	(void)set(f, GLOBAL, "URL", "production", "two"); /* another value */
	request.value = (char *)"three";
	(void)world_call(f->w, "SetConfigValue", &request);
	world_refuse(f->w, "SetConfigValue", &request, SL_ABORTED, SL_REASON_STALE_REVISION);
}

static void test_settings_a_secret_says_who_saw_it(void **state)
{
	struct fix *f = *state;
	(void)set(f, SECRET, "KEY", "staging", "hidden");
	uint64_t revision = get(f, "KEY", ENV_STAGING)->revision;
	assert_null(get(f, "KEY", ENV_STAGING)->revealed_at);
	expect_secret(f, "KEY", "staging", "hidden");
	assert_true(world_has_event(f->w, SLUICE__V1__EVENT_TYPE__EVENT_TYPE_UPDATED,
				    SLUICE__V1__EVENT_KIND__EVENT_KIND_CONFIG));
	assert_string_equal(get(f, "KEY", ENV_STAGING)->revealed_by, "tester");
	assert_int_equal(get(f, "KEY", ENV_STAGING)->revision,
			 revision); /* the value is the same */
	(void)set(f, SECRET, "KEY", "staging", "new");
	assert_null(get(f, "KEY", ENV_STAGING)->revealed_at);
	Sluice__V1__RevealSecretRequest request = reveal_request("KEY", "production");
	world_refuse(f->w, "RevealSecret", &request, SL_NOT_FOUND, SL_REASON_CONFIG_NOT_FOUND);
	(void)set(f, GLOBAL, "URL", "production", "seen by all");
	request.name = (char *)"URL";
	world_refuse(f->w, "RevealSecret", &request, SL_NOT_FOUND, SL_REASON_CONFIG_NOT_FOUND);
}

static void test_settings_names_and_sizes(void **state)
{
	struct fix *f = *state;
	char fifty[52] = "", long_value[10002] = "";
	memset(fifty, 'n', 50);
	memset(long_value, 'v', 10000);
	(void)set(f, GLOBAL, fifty, "staging", long_value);
	expect(f, fifty, ENV_STAGING, SET, long_value);
	(void)set(f, GLOBAL, "_", "staging", "x");
	(void)set(f, GLOBAL, "a9_Z", "staging", "x");
	fifty[50] = 'n';
	const char *const names[] = {"", "9A", "A-B", "A B", "A.B", "\xc3\xa4", fifty};
	for (size_t i = 0; i < SL_COUNT(names); i++) {
		Sluice__V1__SetConfigValueRequest bad =
		    set_request(GLOBAL, names[i], "staging", "x");
		world_refuse(f->w, "SetConfigValue", &bad, SL_INVALID_ARGUMENT,
			     SL_REASON_NAME_INVALID);
	}
	long_value[10000] = 'v';
	const char *const values[] = {long_value, "\xff\xfe", "marker\x80"};
	for (size_t i = 0; i < SL_COUNT(values); i++) {
		Sluice__V1__SetConfigValueRequest bad =
		    set_request(SECRET, "A", "staging", values[i]);
		world_refuse(f->w, "SetConfigValue", &bad, SL_INVALID_ARGUMENT,
			     SL_REASON_MALFORMED);
		assert_null(strstr(f->w->err.msg, "marker"));
	}
	Sluice__V1__SetConfigValueRequest bad = set_request(GLOBAL, "A", "nowhere", "x");
	world_refuse(f->w, "SetConfigValue", &bad, SL_NOT_FOUND, SL_REASON_ENVIRONMENT_NOT_FOUND);
	bad = set_request((Sluice__V1__ConfigKind)3, "A", "staging", "x");
	world_refuse(f->w, "SetConfigValue", &bad, SL_INVALID_ARGUMENT, SL_REASON_MALFORMED);
}

static void test_settings_lists_by_name_and_kind(void **state)
{
	struct fix *f = *state;
	Sluice__V1__ListConfigNamesRequest request = SLUICE__V1__LIST_CONFIG_NAMES_REQUEST__INIT;
	(void)set(f, SECRET, "KEY", "staging", "hidden");
	(void)set(f, GLOBAL, "URL", "staging", "url");
	(void)set(f, GLOBAL, "HOST", "staging", "host");
	const Sluice__V1__ListConfigNamesResponse *list =
	    world_call(f->w, "ListConfigNames", &request);
	assert_int_equal(list->n_configs, 3);
	assert_string_equal(list->configs[0]->name, "HOST");
	assert_string_equal(list->configs[1]->values[1]->value, SETTING_MASK);
	request.kind = GLOBAL;
	list = world_call(f->w, "ListConfigNames", &request);
	assert_int_equal(list->n_configs, 2);
	assert_string_equal(list->configs[1]->values[1]->value, "url");
	delete_name(f, "HOST");
	delete_name(f, "KEY");
	delete_name(f, "URL");
	assert_int_equal(world_count(f->w, TABLE_SEALED, key_of(WORLD)), 0);
	assert_int_equal(world_count(f->w, TABLE_CONFIG_NAMES, key_of(WORLD)), 0);
}

/* --- at rest --------------------------------------------------------------------------------- */

/* Puts what is sealed at one place into another, and back. */
static void test_settings_swapped_values_do_not_open(void **state)
{
	static const struct vault_place places[] = {
	    {WORLD, SEALED_SECRET, "B", ENV_STAGING},
	    {WORLD, SEALED_SECRET, "A", ENV_PRODUCTION},
	    {WORLD, SEALED_CONSTANT, "C", ENV_STAGING},
	};
	struct fix *f = *state;
	(void)set(f, SECRET, "A", "staging", "value");
	(void)set(f, SECRET, "B", "staging", "value");
	(void)set(f, SECRET, "A", "production", "value");
	(void)set(f, GLOBAL, "C", "staging", "value");
	struct record_key from =
	    KEY(WORLD, key_u32(k, SEALED_SECRET), key_text(k, "A"), key_u32(k, ENV_STAGING));
	Sluice__Store__V1__SealedRecord *stolen =
	    world_get(f->w, TABLE_SEALED, from, &sluice__store__v1__sealed_record__descriptor);
	for (size_t i = 0; i < SL_COUNT(places); i++) {
		struct record_key at =
		    KEY(WORLD, key_u32(k, places[i].kind), key_text(k, places[i].name),
			key_u32(k, places[i].environment));
		Sluice__Store__V1__SealedRecord *good = world_get(
		    f->w, TABLE_SEALED, at, &sluice__store__v1__sealed_record__descriptor);
		stolen->revision = good->revision; /* as its owner knows it */
		world_put(f->w, TABLE_SEALED, at, &stolen->base);
		if (places[i].kind == SEALED_CONSTANT) {
			expect(f, "C", ENV_STAGING, UNREADABLE, "");
		} else {
			Sluice__V1__RevealSecretRequest request =
			    reveal_request(places[i].name, environment_name(places[i].environment));
			(void)world_try(f->w, "RevealSecret", &request);
			assert_int_equal(f->w->code, SL_DATA_LOSS);
		}
		world_put(f->w, TABLE_SEALED, at, &good->base);
	}
	expect_secret(f, "A", "production", "value");
	expect(f, "C", ENV_STAGING, SET, "value");
}

static sl_code rotate(struct decision *d, const void *in, void *out, struct sl_err *err)
{
	const struct fix *f = in;
	(void)out;
	return vault_rotate_workspace(f->w->services.vault, d, err);
}

static void test_settings_outlive_new_keys(void **state)
{
	struct fix *f = *state;
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	(void)set(f, SECRET, "KEY", "staging", "hidden");
	(void)set(f, GLOBAL, "URL", "staging", "url");
	struct record_key key =
	    KEY(WORLD, key_u32(k, SEALED_SECRET), key_text(k, "KEY"), key_u32(k, ENV_STAGING));
	const Sluice__Store__V1__SealedRecord *before =
	    world_get(f->w, TABLE_SEALED, key, &sluice__store__v1__sealed_record__descriptor);
	assert_int_equal(world_run(f->w, rotate, f, NULL), SL_OK);
	const Sluice__Store__V1__SealedRecord *after =
	    world_get(f->w, TABLE_SEALED, key, &sluice__store__v1__sealed_record__descriptor);
	assert_int_not_equal(before->key_number, after->key_number);
	expect_secret(f, "KEY", "staging", "hidden");
	assert_int_equal(vault_new_master(f->dir, "", &err), SL_OK);
	assert_int_equal(vault_settle(f->w->services.vault, f->w->store, 5, &err), SL_OK);
	vault_free(f->w->services.vault);
	f->w->services.vault = keys_open(f->dir); /* the new one alone opens them */
	expect_secret(f, "KEY", "staging", "hidden");
	expect(f, "URL", ENV_STAGING, SET, "url");
}

static void test_settings_without_a_master_key(void **state)
{
	struct fix *f = *state;
	(void)set(f, SECRET, "KEY", "staging", "hidden");
	(void)set(f, GLOBAL, "URL", "staging", "url");
	struct vault *vault = f->w->services.vault;
	f->w->services.vault = NULL;
	expect(f, "URL", ENV_STAGING, UNREADABLE, "");
	expect(f, "KEY", ENV_STAGING, SET, SETTING_MASK);
	Sluice__V1__SetConfigValueRequest request = set_request(GLOBAL, "URL", "staging", "url");
	world_refuse(f->w, "SetConfigValue", &request, SL_FAILED_PRECONDITION,
		     SL_REASON_VAULT_LOCKED);
	Sluice__V1__RevealSecretRequest reveal = reveal_request("KEY", "staging");
	world_refuse(f->w, "RevealSecret", &reveal, SL_FAILED_PRECONDITION, SL_REASON_VAULT_LOCKED);
	unset(f, "URL", "staging");
	f->w->services.vault = vault;
}

static sl_code forget_all(struct decision *d, const void *in, void *out, struct sl_err *err)
{
	(void)in;
	sl_code code = vault_reset(d, out, err);
	return code != SL_OK ? code : settings_forget(d, err);
}

static void test_settings_reset_keeps_names(void **state)
{
	struct fix *f = *state;
	uint64_t count = 0;
	(void)set(f, SECRET, "KEY", "staging", "hidden");
	(void)set(f, GLOBAL, "URL", "production", "");
	assert_int_equal(world_run(f->w, forget_all, NULL, &count), SL_OK);
	assert_int_equal(count, 2);
	vault_free(f->w->services.vault);
	keys_master(f->dir, "master.key");
	f->w->services.vault = keys_open(f->dir);
	expect(f, "KEY", ENV_STAGING, UNSET, "");
	expect(f, "URL", ENV_PRODUCTION, UNSET, "");
	(void)set(f, SECRET, "KEY", "staging", "again");
	expect_secret(f, "KEY", "staging", "again");
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    CASE(test_settings_unset_differs_from_empty),
	    CASE(test_settings_saving_one_environment_changes_no_other),
	    CASE(test_settings_the_kind_is_fixed),
	    CASE(test_settings_the_mask_leaves_a_secret_as_it_is),
	    CASE(test_settings_the_same_value_changes_nothing),
	    CASE(test_settings_expected_revision_is_the_values),
	    CASE(test_settings_a_secret_says_who_saw_it),
	    CASE(test_settings_names_and_sizes),
	    CASE(test_settings_lists_by_name_and_kind),
	    CASE(test_settings_swapped_values_do_not_open),
	    CASE(test_settings_outlive_new_keys),
	    CASE(test_settings_without_a_master_key),
	    CASE(test_settings_reset_keeps_names),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
