/* Values of config for agents: who is told which, when, sealed to whom, signed by whom. */
#include "tests/unit/server/fleet/agents.h"

#include <stdio.h>
#include <unistd.h>

#include "base/vouch/vouch.h"
#include "server/settings/boxes.h"
#include "server/settings/sources.h"
#include "tests/lib/tmpdir.h"
#include "tests/unit/server/vault/keys.h"

#define TAGS SLUICE__V1__PUBLISH_MODE__PUBLISH_MODE_TAGS
#define CONSTANT SLUICE__V1__CONFIG_KIND__CONFIG_KIND_GLOBAL
#define SECRET SLUICE__V1__CONFIG_KIND__CONFIG_KIND_SECRET

struct fix {
	struct agents *a;
	char *dir, keys[600];
	struct vault *vault;
	struct boxes *boxes;
	uint8_t secret[SL_BOX_SECRET_BYTES]; /* of the agent that dials */
	uint8_t held[SL_HASH_BYTES];         /* stamp that it says to have */
	bool holds;
};

/* --- the fixture --------------------------------------------------------------------------- */

static sl_code seal(void *ctx, const struct store_view *view,
		    const struct fleet_config_request *request, struct sl_buf *ret_box,
		    struct sl_err *err)
{
	struct fix *f = ctx;
	const struct box_wish wish = {.workspace = request->workspace,
				      .environment = request->environment,
				      .app_id = request->app_id,
				      .instance_id = request->instance_id,
				      .required = request->required,
				      .stamp = request->stamp,
				      .to = request->box_key.data};
	return request->box_key.size == 0 ? SL_NOT_FOUND
					  : boxes_seal(f->boxes, view, &wish, ret_box, err);
}

static void open_vault(struct fix *f)
{
	struct sl_err err = SL_ERR_INIT;
	f->vault = keys_open(f->dir);
	assert_int_equal(boxes_new(f->vault, &f->boxes, &err), SL_OK);
}

static void close_vault(struct fix *f)
{
	boxes_free(SL_TAKE(f->boxes));
	vault_free(SL_TAKE(f->vault));
}

static void set(struct fix *f, Sluice__V1__ConfigKind kind, const char *name, uint32_t environment,
		const char *value);

static char *constants[] = {"API_URL", "EMPTY", "GONE"}, *secrets[] = {"API_KEY"};
static Sluice__V1__RequiredSource main_source, *source_list[] = {&main_source};

/* API_URL, EMPTY, GONE; API_KEY; main (postgres). */
static Sluice__V1__Contract contract_of_shop(void)
{
	Sluice__V1__Contract contract = SLUICE__V1__CONTRACT__INIT;
	sluice__v1__required_source__init(&main_source);
	main_source.name = "main";
	main_source.kind = "postgres";
	contract.constants = constants;
	contract.n_constants = 3;
	contract.secrets = secrets;
	contract.n_secrets = 1;
	contract.data_sources = source_list;
	contract.n_data_sources = 1;
	return contract;
}

static void begin(struct fix *f)
{
	Sluice__V1__Contract contract = contract_of_shop();
	(void)agents_register(f->a, "dev-1", "development", NULL);
	(void)agents_register(f->a, "stage-1", "staging", NULL);
	steps_shop(f->a->s, TAGS);
	steps_requires(f->a->s, "v1", '1', &contract);
	assert_int_equal(steps_promote(f->a->s, "v1", "development"), SL_OK);
	steps_published(f->a->s, "v1");
	set(f, CONSTANT, "API_URL", ENV_DEVELOPMENT, "http://dev");
	set(f, CONSTANT, "API_URL", ENV_STAGING, "http://stage");
	set(f, CONSTANT, "EMPTY", ENV_DEVELOPMENT, "");
	set(f, CONSTANT, "OTHER", ENV_DEVELOPMENT, "of-another-app");
	set(f, SECRET, "API_KEY", ENV_DEVELOPMENT, "k-dev");
	(void)agents_follow(f->a);
}

static int setup(void **state)
{
	struct fix *f = calloc(1, sizeof(*f));
	struct sl_err err = SL_ERR_INIT;
	char recovery[SL_KEY_TEXT_SIZE];
	assert_int_equal(agents_setup((void **)&f->a), 0);
	f->dir = tmpdir_new();
	vault_free(keys_new(f->dir));
	(void)snprintf(f->keys, sizeof(f->keys), "%s/keys", f->dir);
	assert_int_equal(signing_init(f->keys, 1, recovery, &err), SL_OK);
	assert_int_equal(signing_open(f->keys, &f->a->signing, &err), SL_OK);
	open_vault(f);
	f->a->config = seal;
	f->a->config_ctx = f;
	agents_restart(f->a);
	memset(f->secret, 7, sizeof(f->secret));
	begin(f);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fix *f = *state;
	struct signing *signing = f->a->signing;
	void *agents = f->a;
	int result = agents_teardown(&agents);
	signing_free(signing);
	close_vault(f);
	tmpdir_free(f->dir);
	free(f);
	return result;
}

/* --- commands -------------------------------------------------------------------------------- */

struct put {
	struct vault *vault;
	struct setting_new wanted;
	struct source_wish wish;
	const char *name;
};

static sl_code set_decide(struct decision *d, struct steps *s, const void *in, struct sl_err *err)
{
	const struct put *put = in;
	Sluice__Store__V1__ConfigNameRecord *record = NULL;
	(void)s;
	return settings_set(put->vault, d, &put->wanted, &record, err);
}

static void set(struct fix *f, Sluice__V1__ConfigKind kind, const char *name, uint32_t environment,
		const char *value)
{
	const struct put put = {
	    .vault = f->vault,
	    .wanted = {.name = name, .kind = kind, .environment = environment, .value = value}};
	assert_int_equal(steps_run(f->a->s, set_decide, &put), SL_OK);
}

static sl_code unset_decide(struct decision *d, struct steps *s, const void *in, struct sl_err *err)
{
	const struct put *put = in;
	Sluice__Store__V1__ConfigNameRecord *record = NULL;
	(void)s;
	sl_code code =
	    config_name_find(d->view, d->arena, d->workspace, put->name,
			     SLUICE__V1__CONFIG_KIND__CONFIG_KIND_UNSPECIFIED, &record, err);
	return code != SL_OK ? code : settings_unset(d, record, ENV_DEVELOPMENT, err);
}

static void unset(struct fix *f, const char *name)
{
	const struct put put = {.name = name};
	assert_int_equal(steps_run(f->a->s, unset_decide, &put), SL_OK);
}

static sl_code source_decide(struct decision *d, struct steps *s, const void *in,
			     struct sl_err *err)
{
	const struct put *put = in;
	Sluice__Store__V1__SourceRecord *record = NULL;
	(void)s;
	sl_code code = source_find(d->view, d->arena, d->workspace, put->name, &record, err);
	if (code == SL_NOT_FOUND) {
		sl_err_clear(err);
		code = sources_decide_create(d, put->name, "postgres", &record, err);
	}
	return code != SL_OK ? code : sources_set(put->vault, d, record, &put->wish, err);
}

static void set_source(struct fix *f, uint32_t environment, const char *password)
{
	const struct source_change changes[] = {{"database", "shop", false},
						{"host", "db-{{constants.API_URL}}", false},
						{"password", password, true},
						{"user", "sue", false}};
	const struct put put = {
	    .vault = f->vault,
	    .name = "main",
	    .wish = {.environment = environment, .changes = changes, .change_count = 4}};
	assert_int_equal(steps_run(f->a->s, source_decide, &put), SL_OK);
}

static sl_code rotate_decide(struct decision *d, struct steps *s, const void *in,
			     struct sl_err *err)
{
	(void)s;
	return vault_rotate_workspace(((const struct put *)in)->vault, d, err);
}

/* --- an agent --------------------------------------------------------------------------------- */

static struct rpc_stream *dial(struct fix *f, const char *instance)
{
	struct rpc_stream *stream = agents_stream(f->a);
	Sluice__V1__AgentHello hello = SLUICE__V1__AGENT_HELLO__INIT;
	Sluice__V1__AppInventory item = SLUICE__V1__APP_INVENTORY__INIT, *items[] = {&item};
	uint8_t public[SL_BOX_PUBLIC_BYTES];
	sl_box_public(f->secret, public);
	item.app_id = steps_app(f->a->s)->id;
	item.slug = "shop";
	item.config = (ProtobufCBinaryData){.data = f->held, .len = SL_HASH_BYTES};
	hello.instance = (char *)instance;
	hello.agent_version = "0.1.0";
	hello.box_key = (ProtobufCBinaryData){.data = public, .len = sizeof(public)};
	hello.inventory = items;
	hello.n_inventory = f->holds ? 1 : 0;
	agents_hello(stream, &hello);
	agents_take_pace(f->a, stream);
	return stream;
}

static void check_signature(struct fix *f, const char *instance, const Sluice__V1__AgentConfig *c)
{
	struct signing_key key;
	uint8_t words[VOUCH_CONFIG_MAX];
	const struct vouch_config said = {.instance_id = fleet_unit_find(f->a->fleet, instance)->id,
					  .app_id = c->app_id,
					  .stamp = c->stamp.data,
					  .box = SL_BYTES(c->box.data, c->box.len)};
	signing_current(f->a->signing, &key);
	size_t size = vouch_config(&said, words);
	assert_int_equal(c->key_epoch, key.epoch);
	assert_true(sl_sign_is_valid(SL_BYTES(key.public_key, SL_SIGN_PUBLIC_BYTES), VOUCH_CONFIG,
				     SL_BYTES(words, size),
				     SL_BYTES(c->signature.data, c->signature.len)));
}

/* The next message must be values, sealed to the agent; "c EMPTY  s API_KEY k-dev": its fields
 * but those that say whose they are, which are looked at. */
static const char *take_values(struct fix *f, struct rpc_stream *stream, const char *instance_id)
{
	Sluice__V1__SyncResponse *response = agents_take(f->a, stream);
	assert_int_equal(response->message_case, SLUICE__V1__SYNC_RESPONSE__MESSAGE_CONFIG);
	const Sluice__V1__AgentConfig *config = response->config;
	check_signature(f, instance_id, config);
	size_t size = config->box.len - SL_BOX_EXTRA_BYTES;
	char *text = sl_arena_alloc(&f->a->s->arena, size + 1);
	assert_true(
	    sl_box_open(f->secret, SL_BYTES(config->box.data, config->box.len), (uint8_t *)text));
	char end[200], hex[2 * SL_HASH_BYTES + 1];
	int length = snprintf(end, sizeof(end), ".%c%s%c%s%c%s", 0, config->app_id, 0, instance_id,
			      0, sl_hex(hex, config->stamp.data, SL_HASH_BYTES));
	size_t at = size - (size_t)length - 1;
	assert_memory_equal(text + at, end, (size_t)length + 1);
	for (size_t i = 0; i < at; i++) {
		text[i] = (char)(text[i] == '\0' ? ' ' : text[i]);
	}
	text[at > 0 ? at - 1 : 0] = '\0';
	memcpy(f->held, config->stamp.data, SL_HASH_BYTES);
	f->holds = true;
	return text;
}

static const char *id_of(struct fix *f, const char *name)
{
	Sluice__Store__V1__InstanceRecord *instance = NULL;
	const struct store_view *view = NULL;
	struct sl_err err = SL_ERR_INIT;
	assert_int_equal(store_view_begin(f->a->s->store, &view, &err), SL_OK);
	assert_int_equal(
	    instance_find(view, &f->a->s->arena, STEPS_WORKSPACE, name, &instance, &err), SL_OK);
	store_view_end(view);
	return instance->id;
}

/* The next message must be a manifest that names the values which were sent last. */
static void take_manifest(struct fix *f, struct rpc_stream *stream)
{
	const Sluice__V1__Manifest *manifest = agents_manifest(f->a, stream, NULL);
	assert_int_equal(manifest->n_apps, 1);
	assert_int_equal(manifest->apps[0]->config.len, SL_HASH_BYTES);
	assert_memory_equal(manifest->apps[0]->config.data, f->held, SL_HASH_BYTES);
}

/* Connected, and has everything. */
static struct rpc_stream *settled(struct fix *f, const char *name)
{
	struct rpc_stream *stream = dial(f, name);
	(void)take_values(f, stream, id_of(f, name));
	take_manifest(f, stream);
	assert_true(agents_silent(stream));
	return stream;
}

static void keep_standing(void *ctx, const struct fleet_standing *standing)
{
	struct fleet_standing *kept = ctx;
	*kept = *standing;
	kept->config_error = strdup(standing->config_error);
}

/* The caller frees config_error. */
static struct fleet_standing standing_of(struct fix *f, const char *name)
{
	struct fleet_standing standing = {.position = 0};
	const struct fleet_visitor visitor = {.visit = keep_standing, .ctx = &standing};
	const struct store_view *view = NULL;
	struct sl_err err = SL_ERR_INIT;
	assert_int_equal(store_view_begin(f->a->s->store, &view, &err), SL_OK);
	assert_int_equal(fleet_visit_one(f->a->fleet, view, STEPS_WORKSPACE, steps_app(f->a->s)->id,
					 id_of(f, name), &visitor, &err),
			 SL_OK);
	store_view_end(view);
	return standing;
}

static void expect_error(struct fix *f, const char *name, const char *part)
{
	struct fleet_standing standing = standing_of(f, name);
	assert_true(standing.config_required);
	assert_false(standing.config_current);
	assert_non_null(strstr(standing.config_error, part));
	free((char *)standing.config_error);
}

/* --- what is told --- */

static void test_only_what_is_required_there_is_told(void **state)
{
	struct fix *f = *state;
	struct rpc_stream *dev = dial(f, "dev-1");
	assert_string_equal(take_values(f, dev, id_of(f, "dev-1")),
			    "c API_URL http://dev c EMPTY  s API_KEY k-dev");
	take_manifest(f, dev);
	assert_true(agents_silent(dev));
	f->holds = false;
	struct rpc_stream *stage = dial(f, "stage-1");
	assert_string_equal(take_values(f, stage, id_of(f, "stage-1")), "c API_URL http://stage");
	take_manifest(f, stage);
	agents_close(dev);
	agents_close(stage);
}

static void test_sources_come_with_their_references_replaced(void **state)
{
	struct fix *f = *state;
	set_source(f, ENV_DEVELOPMENT, "{{secrets.API_KEY}}!");
	(void)agents_follow(f->a);
	struct rpc_stream *stream = dial(f, "dev-1");
	assert_string_equal(take_values(f, stream, id_of(f, "dev-1")),
			    "c API_URL http://dev c EMPTY  s API_KEY k-dev "
			    "o main postgres database shop o main postgres host db-http://dev "
			    "o main postgres password k-dev! o main postgres user sue "
			    "o main postgres port 5432 o main postgres sslmode verify-full");
	take_manifest(f, stream);
	unset(f, "API_KEY"); /* what it refers to is gone, and the source is not whole */
	(void)agents_follow(f->a);
	assert_string_equal(take_values(f, stream, id_of(f, "dev-1")),
			    "c API_URL http://dev c EMPTY ");
	take_manifest(f, stream);
	agents_close(stream);
}

static void test_nothing_is_told_of_what_requires_nothing(void **state)
{
	struct fix *f = *state;
	steps_version(f->a->s, "v2");
	steps_ready(f->a->s, "v2", '2');
	assert_int_equal(steps_promote(f->a->s, "v2", "development"), SL_OK);
	steps_published(f->a->s, "v2");
	assert_int_equal(steps_promote(f->a->s, "v2", "staging"), SL_OK);
	assert_int_equal(steps_promote(f->a->s, "v1", "staging"), SL_OK);
	(void)agents_register(f->a, "prod-1", "production", NULL);
	assert_int_equal(steps_release(f->a->s, "v2"), SL_OK);
	assert_int_equal(steps_block(f->a->s, "v1", SLUICE__V1__BLOCK_MODE__BLOCK_MODE_RECALL, ""),
			 SL_OK);
	(void)agents_follow(f->a);
	struct rpc_stream *stream = dial(f, "prod-1");
	const Sluice__V1__Manifest *manifest = agents_manifest(f->a, stream, NULL);
	assert_int_equal(manifest->n_apps, 1);
	assert_int_equal(manifest->apps[0]->n_keep, 1);
	assert_int_equal(manifest->apps[0]->config.len, 0);
	assert_true(agents_silent(stream));
	agents_close(stream);
}

/* --- when --- */

static void test_what_the_agent_has_is_not_sent_again(void **state)
{
	struct fix *f = *state;
	agents_close(settled(f, "dev-1"));
	struct rpc_stream *stream = dial(f, "dev-1");
	take_manifest(f, stream);
	assert_true(agents_silent(stream));
	agents_close(stream);
	agents_restart(f->a);
	stream = dial(f, "dev-1");
	take_manifest(f, stream);
	assert_true(agents_silent(stream));
	agents_close(stream);
	f->held[0] ^= 1; /* one that it made up */
	stream = dial(f, "dev-1");
	(void)take_values(f, stream, id_of(f, "dev-1"));
	take_manifest(f, stream);
	agents_close(stream);
}

static void test_a_change_wakes_those_who_require_it(void **state)
{
	struct fix *f = *state;
	struct rpc_stream *dev = settled(f, "dev-1");
	f->holds = false;
	struct rpc_stream *stage = settled(f, "stage-1");
	set(f, CONSTANT, "API_URL", ENV_DEVELOPMENT, "http://new");
	set(f, CONSTANT, "OTHER", ENV_DEVELOPMENT, "of-nobody");
	(void)agents_follow(f->a);
	assert_string_equal(take_values(f, dev, id_of(f, "dev-1")),
			    "c API_URL http://new c EMPTY  s API_KEY k-dev");
	take_manifest(f, dev);
	assert_true(agents_silent(dev));
	assert_true(agents_silent(stage));
	set(f, CONSTANT, "OTHER", ENV_DEVELOPMENT, "still-of-nobody");
	set(f, CONSTANT, "API_URL", ENV_DEVELOPMENT, "http://new"); /* as it is */
	(void)agents_follow(f->a);
	assert_true(agents_silent(dev));
	set(f, CONSTANT, "GONE", ENV_STAGING, "is-here");
	(void)agents_follow(f->a);
	assert_string_equal(take_values(f, stage, id_of(f, "stage-1")),
			    "c API_URL http://stage c GONE is-here");
	take_manifest(f, stage);
	assert_true(agents_silent(dev));
	agents_close(dev);
	agents_close(stage);
}

static void test_what_did_not_fit_is_sent_later(void **state)
{
	struct fix *f = *state;
	struct rpc_stream *stream = settled(f, "dev-1");
	stream->full = true;
	set(f, CONSTANT, "API_URL", ENV_DEVELOPMENT, "http://late");
	(void)agents_follow(f->a);
	assert_true(agents_silent(stream));
	stream->full = false;
	fleet_agent_drained(f->a->fleet, stream);
	assert_string_equal(take_values(f, stream, id_of(f, "dev-1")),
			    "c API_URL http://late c EMPTY  s API_KEY k-dev");
	take_manifest(f, stream);
	assert_true(agents_silent(stream));
	agents_close(stream);
}

/* --- keys --- */

static void test_new_keys_of_the_vault_change_no_stamp(void **state)
{
	struct fix *f = *state;
	const struct put put = {.vault = f->vault};
	struct rpc_stream *stream = settled(f, "dev-1");
	assert_int_equal(steps_run(f->a->s, rotate_decide, &put), SL_OK);
	(void)agents_follow(f->a);
	assert_true(agents_silent(stream));
	agents_close(stream);
	agents_restart(f->a);
	stream = dial(f, "dev-1");
	take_manifest(f, stream);
	assert_true(agents_silent(stream));
	agents_close(stream);
}

static void test_a_new_manifest_key_signs_what_is_told_from_then_on(void **state)
{
	struct fix *f = *state;
	struct signing_key key;
	struct sl_err err = SL_ERR_INIT;
	struct rpc_stream *stream = settled(f, "dev-1");
	assert_int_equal(signing_rotate(f->keys, 2, &key, &err), SL_OK);
	agents_mono_ms += 1000;
	fleet_tick(f->a->fleet);
	while (!agents_silent(stream)) {
		assert_int_not_equal(agents_take(f->a, stream)->message_case,
				     SLUICE__V1__SYNC_RESPONSE__MESSAGE_CONFIG);
	}
	set(f, SECRET, "API_KEY", ENV_DEVELOPMENT, "k-2");
	(void)agents_follow(f->a);
	assert_string_equal(take_values(f, stream, id_of(f, "dev-1")),
			    "c API_URL http://dev c EMPTY  s API_KEY k-2");
	agents_close(stream);
}

static void test_another_agent_gets_a_box_of_its_own(void **state)
{
	struct fix *f = *state;
	agents_close(settled(f, "dev-1"));
	memset(f->secret, 8, sizeof(f->secret));
	f->holds = false; /* it cannot open what it has */
	agents_close(settled(f, "dev-1"));
}

static void test_a_locked_vault_holds_back_values_only(void **state)
{
	struct fix *f = *state;
	char open[700], shut[700];
	(void)snprintf(open, sizeof(open), "%s/master.key", f->keys);
	(void)snprintf(shut, sizeof(shut), "%s/master.away", f->keys);
	close_vault(f);
	assert_int_equal(rename(open, shut), 0);
	open_vault(f);
	struct rpc_stream *stream = dial(f, "dev-1");
	const Sluice__V1__Manifest *manifest = agents_manifest(f->a, stream, NULL);
	assert_int_equal(manifest->apps[0]->config.len, SL_HASH_BYTES);
	assert_true(agents_silent(stream));
	expect_error(f, "dev-1", "master key");
	agents_close(stream);
	close_vault(f);
	assert_int_equal(rename(shut, open), 0);
	open_vault(f);
	stream = dial(f, "dev-1");
	assert_string_equal(take_values(f, stream, id_of(f, "dev-1")),
			    "c API_URL http://dev c EMPTY  s API_KEY k-dev");
	agents_close(stream);
}

static void test_values_that_are_too_big_are_not_told_and_it_is_said(void **state)
{
	struct fix *f = *state;
	enum { NAMES = 430 };
	static char names[NAMES][20], *list[NAMES], value[10001];
	Sluice__V1__Contract contract = SLUICE__V1__CONTRACT__INIT;
	memset(value, 'x', 10000);
	for (int i = 0; i < NAMES; i++) {
		(void)snprintf(names[i], sizeof(names[i]), "BIG_%03d", i);
		list[i] = names[i];
		set(f, CONSTANT, names[i], ENV_DEVELOPMENT, value);
	}
	contract.constants = list;
	contract.n_constants = NAMES;
	steps_version(f->a->s, "v2");
	steps_requires(f->a->s, "v2", '2', &contract);
	(void)agents_follow(f->a);
	struct rpc_stream *stream = dial(f, "dev-1");
	(void)agents_manifest(f->a, stream, NULL);
	assert_true(agents_silent(stream));
	expect_error(f, "dev-1", "at most 4194304");
	agents_close(stream);
}

/* --- what agents say --- */

static void report(struct fix *f, struct rpc_stream *stream, Sluice__V1__HeldConfig *held)
{
	Sluice__V1__AgentReport said = SLUICE__V1__AGENT_REPORT__INIT;
	said.app_id = steps_app(f->a->s)->id;
	said.version_id = (char *)agents_version_id(f->a, "v1");
	said.phase = SLUICE__V1__PHASE__PHASE_NOT_READY;
	said.sequence = agents_revision(f->a);
	said.config = held;
	agents_report(stream, &said);
}

static void test_what_agents_say_is_kept_within_bounds(void **state)
{
	struct fix *f = *state;
	char *many[30];
	Sluice__V1__HeldConfig held = SLUICE__V1__HELD_CONFIG__INIT;
	struct rpc_stream *stream = settled(f, "dev-1");
	for (size_t i = 0; i < SL_COUNT(many); i++) {
		many[i] = "constant GONE";
	}
	held.stamp = (ProtobufCBinaryData){.data = f->held, .len = SL_HASH_BYTES};
	held.missing = held.overrides = many;
	held.n_missing = held.n_overrides = held.missing_count = SL_COUNT(many);
	report(f, stream, &held);
	const struct fleet_unit *unit = fleet_unit_find(f->a->fleet, id_of(f, "dev-1"));
	const Sluice__V1__HeldConfig *kept =
	    fleet_status_find(unit, steps_app(f->a->s)->id)->config;
	assert_int_equal(kept->n_missing, 20);
	assert_int_equal(kept->n_overrides, 20);
	assert_int_equal(kept->missing_count, 30);
	struct fleet_standing standing = standing_of(f, "dev-1");
	assert_true(standing.config_current);
	assert_string_equal(standing.config_error, "");
	free((char *)standing.config_error);
	held.stamp.data = (uint8_t *)"a stamp of thirty-two made-up by";
	held.current = true; /* which is not for agents to say */
	report(f, stream, &held);
	expect_error(f, "dev-1", "");
	report(f, stream, NULL);
	assert_null(fleet_status_find(unit, steps_app(f->a->s)->id)->config);
	agents_close(stream);
}

static void test_open_values_are_forgotten(void **state)
{
	struct fix *f = *state;
	agents_close(settled(f, "dev-1"));
	boxes_tick(f->boxes, 1000); /* was used since the last look */
	boxes_tick(f->boxes, 2000);
	close_vault(f);
	f->vault = NULL;
	open_vault(f);
	f->holds = false;
	agents_close(settled(f, "dev-1"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(test_only_what_is_required_there_is_told),
	    TEST(test_sources_come_with_their_references_replaced),
	    TEST(test_nothing_is_told_of_what_requires_nothing),
	    TEST(test_what_the_agent_has_is_not_sent_again),
	    TEST(test_a_change_wakes_those_who_require_it),
	    TEST(test_what_did_not_fit_is_sent_later),
	    TEST(test_new_keys_of_the_vault_change_no_stamp),
	    TEST(test_a_new_manifest_key_signs_what_is_told_from_then_on),
	    TEST(test_another_agent_gets_a_box_of_its_own),
	    TEST(test_a_locked_vault_holds_back_values_only),
	    TEST(test_values_that_are_too_big_are_not_told_and_it_is_said),
	    TEST(test_what_agents_say_is_kept_within_bounds),
	    TEST(test_open_values_are_forgotten),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
