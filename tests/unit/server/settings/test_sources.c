/* sources: options of data sources by the rules of their kinds, set for each environment, sealed
 * together. The teardown checks the store. */
#include "tests/unit/server/records/world.h"

#include <stdlib.h>
#include <string.h>

#include "base/contract/contract.h"
#include "base/crypto/box.h"
#include "server/records/sealed.h"
#include "server/rules/source_kinds.h"
#include "server/settings/sources.h"
#include "sluice/v1/config.pb-c.h"
#include "tests/lib/tmpdir.h"
#include "tests/unit/server/vault/keys.h"

#define UNSET SLUICE__V1__CONFIG_STATE__CONFIG_STATE_UNSET
#define EMPTY SLUICE__V1__CONFIG_STATE__CONFIG_STATE_EMPTY
#define SET SLUICE__V1__CONFIG_STATE__CONFIG_STATE_SET
#define UNREADABLE SLUICE__V1__CONFIG_STATE__CONFIG_STATE_UNREADABLE

struct fix {
	struct world *w;
	char *dir;
};

static void create(struct fix *f, const char *name, const char *kind)
{
	Sluice__V1__CreateSourceRequest request = SLUICE__V1__CREATE_SOURCE_REQUEST__INIT;
	request.name = (char *)name;
	request.kind = (char *)kind;
	(void)world_call(f->w, "CreateSource", &request);
	assert_true(world_has_event(f->w, SLUICE__V1__EVENT_TYPE__EVENT_TYPE_CREATED,
				    SLUICE__V1__EVENT_KIND__EVENT_KIND_SOURCE));
}

static int setup(void **state)
{
	struct fix *f = calloc(1, sizeof(*f));
	assert_non_null(f);
	assert_int_equal(world_setup((void **)&f->w), 0);
	f->dir = tmpdir_new();
	f->w->services.vault = keys_new(f->dir);
	*state = f;
	create(f, "main", "postgres");
	create(f, "any", "generic");
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

/* --- calls ------------------------------------------------------------------------------------ */

enum { PAIRS_MAX = 70 };

/* A request from "key=value" texts; those after NULL are secret ones. "key" alone is unset. */
struct asked {
	Sluice__V1__SetSourceRequest request;
	Sluice__V1__SetSourceRequest__OptionsEntry options[PAIRS_MAX], *option_list[PAIRS_MAX];
	Sluice__V1__SetSourceRequest__SecretsEntry secrets[PAIRS_MAX], *secret_list[PAIRS_MAX];
	char *unset[PAIRS_MAX];
};

static void add_pair(struct fix *f, struct asked *asked, const char *pair, bool secret)
{
	char *key = sl_arena_strdup(&f->w->arena, pair), *equals = strchr(key, '=');
	if (equals == NULL) {
		asked->unset[asked->request.n_unset++] = key;
		return;
	}
	*equals = '\0';
	if (secret) {
		size_t at = asked->request.n_secrets++;
		sluice__v1__set_source_request__secrets_entry__init(&asked->secrets[at]);
		asked->secrets[at].key = key;
		asked->secrets[at].value = equals + 1;
		asked->secret_list[at] = &asked->secrets[at];
		return;
	}
	size_t at = asked->request.n_options++;
	sluice__v1__set_source_request__options_entry__init(&asked->options[at]);
	asked->options[at].key = key;
	asked->options[at].value = equals + 1;
	asked->option_list[at] = &asked->options[at];
}

static struct asked *ask(struct fix *f, const char *source, const char *environment,
			 const char *const *options, const char *const *secrets)
{
	struct asked *asked = sl_arena_alloc(&f->w->arena, sizeof(*asked));
	sluice__v1__set_source_request__init(&asked->request);
	asked->request.source = (char *)source;
	asked->request.environment = (char *)environment;
	asked->request.options = asked->option_list;
	asked->request.secrets = asked->secret_list;
	asked->request.unset = asked->unset;
	for (; options != NULL && *options != NULL; options++) {
		add_pair(f, asked, *options, false);
	}
	for (; secrets != NULL && *secrets != NULL; secrets++) {
		add_pair(f, asked, *secrets, true);
	}
	return asked;
}
#define LIST(...) ((const char *const[]){__VA_ARGS__, NULL})

static void set(struct fix *f, const char *source, const char *environment,
		const char *const *options, const char *const *secrets)
{
	struct asked *asked = ask(f, source, environment, options, secrets);
	const Sluice__V1__SetSourceResponse *response =
	    world_call(f->w, "SetSource", &asked->request);
	for (size_t s = 0; s < response->source->n_settings; s++) {
		for (size_t i = 0; i < response->source->settings[s]->n_options; i++) {
			assert_string_equal(response->source->settings[s]->options[i]->value, "");
		}
	}
}

static void refuse(struct fix *f, const char *source, const char *const *options,
		   const char *const *secrets, sl_code code, enum sl_reason reason)
{
	struct asked *asked = ask(f, source, "staging", options, secrets);
	world_refuse(f->w, "SetSource", &asked->request, code, reason);
	assert_null(strstr(f->w->err.msg, "marker"));
}

static const Sluice__V1__SourceSetting *get(struct fix *f, const char *source, uint32_t environment)
{
	Sluice__V1__GetSourceRequest request = SLUICE__V1__GET_SOURCE_REQUEST__INIT;
	request.source = (char *)source;
	const Sluice__V1__GetSourceResponse *response = world_call(f->w, "GetSource", &request);
	return response->source->settings[environment - 1];
}

/* "database=shop password=******** ..." */
static const char *shown(struct fix *f, const char *source, uint32_t environment)
{
	const Sluice__V1__SourceSetting *setting = get(f, source, environment);
	char *text = sl_arena_strdup(&f->w->arena, "");
	for (size_t i = 0; i < setting->n_options; i++) {
		text = sl_arena_printf(&f->w->arena, "%s%s%s=%s", text, i > 0 ? " " : "",
				       setting->options[i]->name, setting->options[i]->value);
	}
	return text;
}

/* What is sealed, of a secret option too. */
static void expect_option(struct fix *f, const char *source, uint32_t environment, const char *name,
			  const char *value)
{
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	SL_AUTO(source_values_fini) struct source_values values = {.packed = NULL};
	Sluice__Store__V1__SourceRecord *record = NULL;
	const struct store_view *view = NULL;
	assert_int_equal(store_view_begin(f->w->store, &view, &err), SL_OK);
	assert_int_equal(source_find(view, &f->w->arena, WORLD, source, &record, &err), SL_OK);
	assert_int_equal(
	    sources_open(f->w->services.vault, view, WORLD, record, environment, &values, &err),
	    SL_OK);
	store_view_end(view);
	assert_string_equal(source_value_of(&values, name), value);
}

/* What an agent is sealed, opened; NULL: it is refused. */
static const Sluice__V1__AgentSourceTarget *box(struct fix *f, const char *source,
						uint32_t environment, struct sl_err *err)
{
	const uint8_t secret[SL_BOX_SECRET_BYTES] = {1};
	uint8_t public[SL_BOX_PUBLIC_BYTES];
	SL_AUTO(sl_buf_fini) struct sl_buf sealed = {0};
	Sluice__Store__V1__SourceRecord *record = NULL;
	const struct store_view *view = NULL;
	sl_box_public(secret, public);
	assert_int_equal(store_view_begin(f->w->store, &view, err), SL_OK);
	assert_int_equal(source_find(view, &f->w->arena, WORLD, source, &record, err), SL_OK);
	const struct wire in = {.view = view, .arena = &f->w->arena, .workspace = WORLD};
	const struct source_asked asked = {.in = &in, .record = record, .environment = environment};
	sl_code code = sources_box(f->w->services.vault, &asked, SL_BYTES(public, sizeof(public)),
				   &sealed, err);
	store_view_end(view);
	if (code != SL_OK) {
		return NULL;
	}
	uint8_t *opened = sl_arena_alloc(&f->w->arena, sealed.size);
	assert_true(sl_box_open(secret, sl_buf_bytes(&sealed), opened));
	return sluice__v1__agent_source_target__unpack(sl_arena_protobuf(&f->w->arena),
						       sealed.size - SL_BOX_EXTRA_BYTES, opened);
}

/* --- tests --- */

static void test_sources_kinds_are_those_of_contracts(void **state)
{
	(void)state;
	assert_int_equal(source_kind_count, 9);
	for (size_t i = 0; i < source_kind_count; i++) {
		const struct source_kind *kind = &source_kinds[i];
		assert_true(contract_is_kind(kind->name));
		assert_ptr_equal(source_kind_of(kind->name), kind);
		assert_int_equal(kind->count == 0, kind->any);
		for (size_t j = 0; j < kind->count; j++) {
			const struct source_option *option = &kind->options[j];
			assert_ptr_equal(source_option_of(kind, option->name), option);
			assert_true(contract_is_name(option->name));
			assert_true(option->fallback == NULL ||
				    (!option->required &&
				     source_value_broken_rule(option, option->fallback) == NULL));
		}
	}
	assert_null(source_kind_of("oracle"));
}

static void test_sources_set_what_is_named(void **state)
{
	struct fix *f = *state;
	assert_int_equal(get(f, "main", ENV_STAGING)->n_missing, 3);
	set(f, "main", "staging", LIST("host=db", "user=shop"), LIST("password=hidden"));
	assert_string_equal(shown(f, "main", ENV_STAGING), "host=db password=******** user=shop");
	assert_string_equal(get(f, "main", ENV_STAGING)->missing[0], "database");
	set(f, "main", "staging", LIST("database=shop", "host=db2"), LIST("password=********"));
	assert_string_equal(shown(f, "main", ENV_STAGING),
			    "database=shop host=db2 password=******** user=shop");
	assert_int_equal(get(f, "main", ENV_STAGING)->n_missing, 0);
	expect_option(f, "main", ENV_STAGING, "password", "hidden");
	set(f, "main", "staging", LIST("user", "host="), NULL);
	assert_string_equal(shown(f, "main", ENV_STAGING), "database=shop host= password=********");
	assert_int_equal(get(f, "main", ENV_STAGING)->options[1]->state, EMPTY);
	set(f, "main", "staging", LIST("database", "host", "password"), NULL);
	assert_string_equal(shown(f, "main", ENV_STAGING), "");
	struct record_key all = KEY(WORLD, key_u32(k, SEALED_SOURCE));
	assert_int_equal(world_count(f->w, TABLE_SEALED, all), 0);
}

static void test_sources_saving_one_environment_changes_no_other(void **state)
{
	struct fix *f = *state;
	set(f, "main", "production", LIST("host=prod"), LIST("password=for production"));
	struct record_key key =
	    KEY(WORLD, key_u32(k, SEALED_SOURCE), key_text(k, "main"), key_u32(k, ENV_PRODUCTION));
	uint64_t revision = get(f, "main", ENV_PRODUCTION)->revision;
	const Sluice__Store__V1__SealedRecord *before =
	    world_get(f->w, TABLE_SEALED, key, &sluice__store__v1__sealed_record__descriptor);
	set(f, "main", "staging", LIST("host=staging"), LIST("password=other"));
	set(f, "main", "development", LIST("host=dev"), NULL);
	const Sluice__Store__V1__SealedRecord *after =
	    world_get(f->w, TABLE_SEALED, key, &sluice__store__v1__sealed_record__descriptor);
	assert_memory_equal(before->sealed.data, after->sealed.data, before->sealed.len);
	assert_int_equal(get(f, "main", ENV_PRODUCTION)->revision, revision);
	expect_option(f, "main", ENV_PRODUCTION, "password", "for production");
}

static void test_sources_options_by_their_kind(void **state)
{
	struct fix *f = *state;
	const sl_code bad = SL_INVALID_ARGUMENT;
	const enum sl_reason why = SL_REASON_MALFORMED;
	refuse(f, "main", LIST("hosts=db"), NULL, bad, why);
	refuse(f, "main", LIST("password=marker"), NULL, bad, why);
	refuse(f, "main", NULL, LIST("host=marker"), bad, why);
	refuse(f, "main", LIST("port=x"), NULL, bad, why);
	refuse(f, "main", LIST("port=65536"), NULL, bad, why);
	refuse(f, "main", LIST("sslmode=maybe"), NULL, bad, why);
	refuse(f, "main", LIST("host=a", "host=b"), NULL, bad, why);
	refuse(f, "main", LIST("host=a", "host"), NULL, bad, why);
	refuse(f, "main", LIST("host=\xff"), NULL, bad, why);
	refuse(f, "main", LIST("9=a"), NULL, bad, SL_REASON_NAME_INVALID);
	refuse(f, "nosuch", LIST("host=a"), NULL, SL_NOT_FOUND, SL_REASON_SOURCE_NOT_FOUND);
	set(f, "main", "staging", LIST("port=65535", "sslmode=disable"), NULL);
	set(f, "any", "staging", LIST("whatever=x"), LIST("hidden=y"));
	assert_string_equal(shown(f, "any", ENV_STAGING), "hidden=******** whatever=x");
	set(f, "any", "staging", NULL, LIST("whatever=z"));
	assert_string_equal(shown(f, "any", ENV_STAGING), "hidden=******** whatever=********");
	create(f, "api", "rest");
	refuse(f, "api", LIST("url=ftp://x"), NULL, bad, why);
	set(f, "api", "staging", LIST("url=https://x"), NULL);
	create(f, "cache", "redis");
	refuse(f, "cache", LIST("tls=yes"), NULL, bad, why);
	set(f, "cache", "staging", LIST("tls=false"), NULL);
	Sluice__V1__CreateSourceRequest again = SLUICE__V1__CREATE_SOURCE_REQUEST__INIT;
	again.name = (char *)"main";
	again.kind = (char *)"redis";
	world_refuse(f->w, "CreateSource", &again, SL_ALREADY_EXISTS, SL_REASON_NAME_TAKEN);
	again.name = (char *)"other";
	again.kind = (char *)"oracle";
	world_refuse(f->w, "CreateSource", &again, bad, why);
}

static void add_name(struct fix *f, Sluice__V1__ConfigKind kind, const char *name)
{
	Sluice__V1__SetConfigValueRequest request = SLUICE__V1__SET_CONFIG_VALUE_REQUEST__INIT;
	request.name = (char *)name;
	request.kind = kind;
	request.environment = (char *)"production";
	request.value = (char *)"x";
	(void)world_call(f->w, "SetConfigValue", &request);
}

static void test_sources_refer_to_constants_and_secrets(void **state)
{
	struct fix *f = *state;
	add_name(f, SLUICE__V1__CONFIG_KIND__CONFIG_KIND_GLOBAL, "PORT");
	add_name(f, SLUICE__V1__CONFIG_KIND__CONFIG_KIND_SECRET, "KEY");
	set(f, "main", "staging", LIST("port={{constants.PORT}}"),
	    LIST("password={{secrets.KEY}}"));
	assert_string_equal(shown(f, "main", ENV_STAGING),
			    "password=******** port={{constants.PORT}}");
	refuse(f, "main", LIST("host={{constants.NO_SUCH}}"), NULL, SL_FAILED_PRECONDITION,
	       SL_REASON_CONFIG_NOT_FOUND);
	refuse(f, "main", LIST("host={{constants.KEY}}"), NULL, SL_FAILED_PRECONDITION,
	       SL_REASON_CONFIG_NOT_FOUND);
	refuse(f, "main", LIST("host={{sources.any.x}}"), NULL, SL_INVALID_ARGUMENT,
	       SL_REASON_MALFORMED);
	refuse(f, "main", NULL, LIST("password={{marker"), SL_INVALID_ARGUMENT,
	       SL_REASON_MALFORMED);
}

static void test_sources_agents_get_where_it_is_and_no_more(void **state)
{
	struct fix *f = *state;
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	add_name(f, SLUICE__V1__CONFIG_KIND__CONFIG_KIND_GLOBAL, "PORT"); /* in production */
	add_name(f, SLUICE__V1__CONFIG_KIND__CONFIG_KIND_SECRET, "KEY");
	set(f, "main", "staging",
	    LIST("host=db.example.org", "user=marker", "database=marker", "ca=PEM"),
	    LIST("password=marker"));
	const Sluice__V1__AgentSourceTarget *target = box(f, "main", ENV_STAGING, &err);
	assert_non_null(target);
	assert_string_equal(target->host, "db.example.org");
	assert_int_equal(target->port, 5432);
	assert_string_equal(target->ca, "PEM");
	assert_int_equal(target->verify, SLUICE__V1__SOURCE_VERIFY__SOURCE_VERIFY_HOST);
	/* What it refers to is that of the environment, or nothing. */
	set(f, "main", "staging", LIST("port={{constants.PORT}}"), NULL);
	assert_null(box(f, "main", ENV_STAGING, &err));
	assert_int_equal(err.reason, SL_REASON_CONFIG_NOT_FOUND);
	assert_non_null(strstr(err.msg, "data source 'main' in staging: option 'port'"));
	sl_err_clear(&err);
	assert_null(box(f, "main", ENV_PRODUCTION, &err));
	sl_err_clear(&err);
	set(f, "main", "staging", LIST("port=1", "host=/marker"), NULL);
	assert_null(box(f, "main", ENV_STAGING, &err));
	assert_int_equal(err.reason, SL_REASON_MALFORMED);
	assert_null(strstr(err.msg, "marker"));
	sl_err_clear(&err);
	/* What looking does not take is not even read. */
	set(f, "main", "staging", LIST("host=a"), LIST("password={{secrets.KEY}}"));
	assert_non_null(box(f, "main", ENV_STAGING, &err));
}

static void test_sources_the_same_options_change_nothing(void **state)
{
	struct fix *f = *state;
	set(f, "main", "staging", LIST("host=db"), LIST("password=x"));
	uint64_t revision = get(f, "main", ENV_STAGING)->revision;
	set(f, "main", "staging", LIST("host=db", "user"), LIST("password=x"));
	assert_int_equal(f->w->revision, 0);
	Sluice__V1__WriteOptions options = SLUICE__V1__WRITE_OPTIONS__INIT;
	options.expected_revision = revision - 1;
	struct asked *stale = ask(f, "main", "staging", LIST("host=c"), NULL);
	stale->request.write = &options;
	world_refuse(f->w, "SetSource", &stale->request, SL_ABORTED, SL_REASON_STALE_REVISION);
	options.expected_revision = revision;
	(void)world_call(f->w, "SetSource", &stale->request);
}

static void test_sources_bounds(void **state)
{
	struct fix *f = *state;
	char pairs[65][20], *big = sl_arena_alloc(&f->w->arena, 10003);
	const char *list[66] = {NULL};
	for (size_t i = 0; i < 65; i++) {
		(void)snprintf(pairs[i], sizeof(pairs[i]), "o%zu=x", i);
		list[i] = pairs[i];
	}
	refuse(f, "any", list, NULL, SL_INVALID_ARGUMENT, SL_REASON_MALFORMED);
	list[64] = NULL;
	set(f, "any", "staging", list, NULL);
	refuse(f, "any", LIST("more=x"), NULL, SL_INVALID_ARGUMENT, SL_REASON_MALFORMED);
	memset(big, 'v', 10002);
	memcpy(big, "a=", 2);
	big[10002] = '\0';
	set(f, "any", "production", LIST(big), NULL);
	for (char c = 'b'; c < 'e'; c++) {
		big[0] = c;
		set(f, "any", "production", LIST(big), NULL);
	}
	big[0] = 'e';
	struct asked *much = ask(f, "any", "production", LIST(big), NULL);
	world_refuse(f->w, "SetSource", &much->request, SL_INVALID_ARGUMENT, SL_REASON_MALFORMED);
}

static sl_code rotate(struct decision *d, const void *in, void *out, struct sl_err *err)
{
	const struct fix *f = in;
	(void)out;
	return vault_rotate_workspace(f->w->services.vault, d, err);
}

static sl_code forget_all(struct decision *d, const void *in, void *out, struct sl_err *err)
{
	(void)in;
	sl_code code = vault_reset(d, out, err);
	return code != SL_OK ? code : settings_forget(d, err);
}

static void test_sources_at_rest(void **state)
{
	struct fix *f = *state;
	uint64_t count = 0;
	set(f, "main", "staging", LIST("host=db"), LIST("password=hidden"));
	assert_int_equal(world_run(f->w, rotate, f, NULL), SL_OK);
	expect_option(f, "main", ENV_STAGING, "password", "hidden");
	struct vault *vault = f->w->services.vault;
	f->w->services.vault = NULL;
	assert_int_equal(get(f, "main", ENV_STAGING)->options[0]->state, UNREADABLE);
	refuse(f, "main", LIST("host=c"), NULL, SL_FAILED_PRECONDITION, SL_REASON_VAULT_LOCKED);
	f->w->services.vault = vault;
	assert_int_equal(world_run(f->w, forget_all, NULL, &count), SL_OK);
	assert_int_equal(count, 1);
	vault_free(vault);
	keys_master(f->dir, "master.key");
	f->w->services.vault = keys_open(f->dir);
	assert_string_equal(get(f, "main", ENV_STAGING)->options[1]->name, "password");
	assert_int_equal(get(f, "main", ENV_STAGING)->options[1]->state, UNSET);
	assert_int_equal(get(f, "main", ENV_STAGING)->n_missing, 3);
	set(f, "main", "staging", LIST("host=db3"), NULL);
	assert_string_equal(shown(f, "main", ENV_STAGING), "host=db3");
	Sluice__V1__DeleteSourceRequest gone = SLUICE__V1__DELETE_SOURCE_REQUEST__INIT;
	gone.source = (char *)"main";
	(void)world_call(f->w, "DeleteSource", &gone);
	assert_int_equal(world_count(f->w, TABLE_SEALED, key_of(WORLD)), 0);
	Sluice__V1__ListSourcesRequest request = SLUICE__V1__LIST_SOURCES_REQUEST__INIT;
	const Sluice__V1__ListSourcesResponse *list = world_call(f->w, "ListSources", &request);
	assert_int_equal(list->n_sources, 1);
	assert_string_equal(list->sources[0]->name, "any");
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_sources_kinds_are_those_of_contracts),
	    CASE(test_sources_set_what_is_named),
	    CASE(test_sources_saving_one_environment_changes_no_other),
	    CASE(test_sources_options_by_their_kind),
	    CASE(test_sources_refer_to_constants_and_secrets),
	    CASE(test_sources_agents_get_where_it_is_and_no_more),
	    CASE(test_sources_the_same_options_change_nothing),
	    CASE(test_sources_bounds),
	    CASE(test_sources_at_rest),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
