/* verify: a sound store passes; each planted fault is found, in the table where it lies. */
#include "tests/unit/server/records/world.h"

#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/crypto/aead.h"
#include "server/records/sealed.h"
#include "server/records/verify.h"
#include "server/records/workspaces.h"

/* --- a store with a bit of everything ------------------------------------------------- */

static sl_code workspace_decide(struct decision *d, const void *in, void *out, struct sl_err *err)
{
	(void)out;
	Sluice__Store__V1__WorkspaceRecord *record = NULL;
	return workspaces_create(d, in, &record, err);
}

static sl_code remove_decide(struct decision *d, const void *in, void *out, struct sl_err *err)
{
	(void)out;
	return workspaces_delete(d, in, err);
}

struct fixture {
	struct world *w;
	char *app, *second, *repository, *version, *instance; /* ids, owned */
};

static void fill(struct fixture *f)
{
	struct world *w = f->w;
	assert_int_equal(world_run(w, workspace_decide, "a", NULL), SL_OK);
	assert_int_equal(world_run(w, workspace_decide, "gone", NULL), SL_OK);
	assert_int_equal(world_run(w, remove_decide, "gone", NULL), SL_OK);
	f->repository =
	    strdup(world_repository(w, "code", SLUICE__V1__PUBLISH_MODE__PUBLISH_MODE_TAGS)->id);
	f->app = strdup(world_app(w, "shop", "code")->app->id);
	f->second = strdup(world_app(w, "other", "code")->app->id);
	world_produce(w, "shop", "v1", true);
	(void)world_version(w, "shop", "v2");
	world_ready(w, "shop", "v2", 2);
	f->version = strdup(world_version_record(w, "shop", "v1")->id);
	f->instance = strdup(world_instance(w, "one", ENV_PRODUCTION));
	world_status(w, f->instance, f->app, f->version);
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	assert_int_equal(world_setup((void **)&f->w), 0);
	fill(f);
	*state = f;
	return 0;
}

static void fixture_free(struct fixture *f)
{
	free(f->app);
	free(f->second);
	free(f->repository);
	free(f->version);
	free(f->instance);
	free(f);
}

/* Sound: the world's own teardown verifies. */
static int teardown_sound(void **state)
{
	struct fixture *f = *state;
	void *world = f->w;
	fixture_free(f);
	return world_teardown(&world);
}

/* --- planting ------------------------------------------------------------------------------ */

struct plant {
	enum record_table table;
	struct record_key key;
	struct sl_bytes value;
	bool remove;
};

static sl_code plant_decide(struct decision *d, const void *in, void *out, struct sl_err *err)
{
	const struct plant *plant = in;
	(void)out, (void)err;
	if (plant->remove) {
		decision_delete(d, plant->table, &plant->key);
	} else {
		decision_put_bytes(d, plant->table, &plant->key, plant->value);
	}
	return SL_OK;
}

static void plant(struct world *w, enum record_table table, struct record_key key,
		  struct sl_bytes value)
{
	struct plant in = {.table = table, .key = key, .value = value};
	assert_int_equal(world_run(w, plant_decide, &in, NULL), SL_OK);
}

static void uproot(struct world *w, enum record_table table, struct record_key key)
{
	struct plant in = {.table = table, .key = key, .remove = true};
	assert_int_equal(world_run(w, plant_decide, &in, NULL), SL_OK);
}

/* Closes the store, verifies, opens it again. Returns what was printed. */
static char *report(struct world *w, uint64_t *ret_faults)
{
	char *text = NULL;
	size_t size = 0;
	uint64_t checked = 0;
	FILE *out = open_memstream(&text, &size);
	store_free(w->store);
	assert_int_equal(records_verify(w->path, out, &checked, ret_faults, &w->err), SL_OK);
	assert_int_equal(fclose(out), 0);
	const struct store_options options = {.path = w->path,
					      .map_bytes = 64 << 20,
					      .queue_max = 16,
					      .tables = record_table_names,
					      .table_count = TABLE_COUNT};
	assert_int_equal(store_open(&options, &w->store, &w->err), SL_OK);
	return text;
}

/* A line of the report begins with `table` and says `what`. */
static void found(struct world *w, const char *table, const char *what)
{
	uint64_t faults = 0;
	SL_AUTO(sl_free_auto) char *text = report(w, &faults);
	assert_true(faults > 0);
	char *rest = NULL;
	SL_AUTO(sl_free_auto) char *copy = strdup(text);
	for (char *line = strtok_r(copy, "\n", &rest); line != NULL;
	     line = strtok_r(NULL, "\n", &rest)) {
		size_t length = strlen(table);
		if (strncmp(line, table, length) == 0 && line[length] == ' ' &&
		    strstr(line, what) != NULL) {
			return;
		}
	}
	fail_msg("no fault of %s that says '%s' in:\n%s", table, what, text);
}

static void sound(struct world *w)
{
	uint64_t faults = 0;
	SL_AUTO(sl_free_auto) char *text = report(w, &faults);
	if (faults != 0) {
		fail_msg("not sound:\n%s", text);
	}
}

/* The bytes under a key; lie in the arena. */
static struct sl_bytes bytes_at(struct world *w, enum record_table table, struct record_key key)
{
	const struct store_view *view = NULL;
	struct sl_bytes value;
	assert_int_equal(store_view_begin(w->store, &view, &w->err), SL_OK);
	assert_int_equal(store_get(view, table, key_bytes(&key), &value, &w->err), SL_OK);
	struct sl_bytes copy =
	    SL_BYTES(sl_arena_dup(&w->arena, value.data, value.size), value.size);
	store_view_end(view);
	return copy;
}

/* Plants, finds, puts back, is sound again. */
static void plant_and_find(struct world *w, enum record_table table, struct record_key key,
			   struct sl_bytes value, const char *what)
{
	const struct store_view *view = NULL;
	struct sl_bytes before = SL_BYTES_NONE;
	assert_int_equal(store_view_begin(w->store, &view, &w->err), SL_OK);
	bool there = store_get(view, table, key_bytes(&key), &before, &w->err) == SL_OK;
	store_view_end(view);
	before = there ? bytes_at(w, table, key) : SL_BYTES_NONE;
	plant(w, table, key, value);
	found(w, record_table_names[table], what);
	if (there) {
		plant(w, table, key, before);
	} else {
		uproot(w, table, key);
	}
}

static void uproot_and_find(struct world *w, enum record_table table, struct record_key key,
			    enum record_table where, const char *what)
{
	struct sl_bytes before = bytes_at(w, table, key);
	uproot(w, table, key);
	found(w, record_table_names[where], what);
	plant(w, table, key, before);
}

/* --- tests ------------------------------------------------------------------------------------ */

static void test_verify_sound_store_passes(void **state)
{
	struct fixture *f = *state;
	sound(f->w);
}

/* The first key of a table, whatever it is; false: the table is empty. */
static bool first_key(struct world *w, enum record_table table, struct record_key *ret_key)
{
	const struct store_view *view = NULL;
	SL_AUTO(store_walk_end) struct store_walk walk;
	assert_int_equal(store_view_begin(w->store, &view, &w->err), SL_OK);
	store_walk_begin(&walk, view, table, SL_BYTES_NONE, STORE_FORWARD);
	bool there = store_walk_next(&walk);
	if (there) {
		memcpy(ret_key->data, walk.key.data, walk.key.size);
		ret_key->size = walk.key.size;
	}
	store_walk_end(&walk);
	store_view_end(view);
	return there;
}

/* Whatever lies in any table, a key of one byte, a longest key, and bytes that are no record are
 * found there, and the program goes on. */
static void test_verify_finds_rubbish_in_every_table(void **state)
{
	struct fixture *f = *state;
	static uint8_t rubbish[3000];
	memset(rubbish, 0xff, sizeof(rubbish));
	for (unsigned table = 0; table < TABLE_COUNT; table++) {
		struct record_key tiny = {.data = "x", .size = 1};
		struct record_key longest = key_of(WORLD);
		memset(longest.data + 4, 'y', STORE_KEY_MAX - 4);
		longest.size = STORE_KEY_MAX;
		struct record_key ended = longest;
		ended.data[STORE_KEY_MAX - 1] = '\0';
		plant_and_find(f->w, table, tiny, SL_BYTES(rubbish, sizeof(rubbish)), "");
		plant_and_find(f->w, table, longest, SL_BYTES(rubbish, sizeof(rubbish)), "");
		plant_and_find(f->w, table, ended, SL_BYTES(rubbish, sizeof(rubbish)), "");
		struct record_key first;
		if (table != TABLE_APPS_BY_PATH && table != TABLE_PROMOTIONS &&
		    table != TABLE_RELEASE_HISTORY && first_key(f->w, table, &first)) {
			plant_and_find(f->w, table, first, SL_BYTES(rubbish, sizeof(rubbish)), "");
		}
	}
	sound(f->w);
}

/* Any record under another key of its table is found. */
static void test_verify_finds_records_under_other_keys(void **state)
{
	struct fixture *f = *state;
	static const enum record_table tables[] = {TABLE_WORKSPACES,
						   TABLE_REPOSITORIES,
						   TABLE_APPS,
						   TABLE_VERSIONS,
						   TABLE_OWED,
						   TABLE_INSTANCES,
						   TABLE_APPS_BY_NAME,
						   TABLE_APPS_BY_SLUG,
						   TABLE_VERSIONS_BY_ID,
						   TABLE_VERSIONS_BY_NAME,
						   TABLE_REPOSITORIES_BY_NAME,
						   TABLE_INSTANCES_BY_NAME,
						   TABLE_INSTANCES_BY_LABEL,
						   TABLE_ENTRIES,
						   TABLE_STATUSES_BY_APP,
						   TABLE_APPS_BY_PATH,
						   TABLE_PROMOTIONS,
						   TABLE_PROMOTIONS_BY_REVISION,
						   TABLE_RELEASE_HISTORY};
	for (size_t i = 0; i < SL_COUNT(tables); i++) {
		struct record_key first, other;
		if (!first_key(f->w, tables[i], &first)) {
			fail_msg("%s is empty", record_table_names[tables[i]]);
		}
		struct sl_bytes value = bytes_at(f->w, tables[i], first);
		other = first;
		other.data[other.size > 4 ? other.size - 2 : 0] ^= 0x05;
		plant_and_find(f->w, tables[i], other, value, "");
	}
	sound(f->w);
}

static struct sl_bytes packed(struct world *w, const ProtobufCMessage *record)
{
	size_t size = protobuf_c_message_get_packed_size(record);
	uint8_t *bytes = sl_arena_alloc(&w->arena, size + 1);
	return SL_BYTES(bytes, protobuf_c_message_pack(record, bytes));
}

/* What is said to be sealed, and what is sealed, are one. */
static void test_verify_finds_config_without_values_and_values_without_config(void **state)
{
	struct fixture *f = *state;
	static uint8_t sealed_bytes[SL_AEAD_EXTRA_BYTES];
	Sluice__Store__V1__ConfigValueRecord value = SLUICE__STORE__V1__CONFIG_VALUE_RECORD__INIT,
					     *values[] = {&value, &value};
	Sluice__Store__V1__ConfigNameRecord name = SLUICE__STORE__V1__CONFIG_NAME_RECORD__INIT;
	Sluice__Store__V1__SourceOptionRecord option =
						  SLUICE__STORE__V1__SOURCE_OPTION_RECORD__INIT,
					      *options[] = {&option};
	Sluice__Store__V1__SourceSettingRecord setting =
						   SLUICE__STORE__V1__SOURCE_SETTING_RECORD__INIT,
					       *settings[] = {&setting};
	Sluice__Store__V1__SourceRecord source = SLUICE__STORE__V1__SOURCE_RECORD__INIT;
	Sluice__Store__V1__SealedRecord sealed = SLUICE__STORE__V1__SEALED_RECORD__INIT;
	struct record_key name_at = KEY(WORLD, key_text(k, "KEY"));
	struct record_key source_at = KEY(WORLD, key_text(k, "main"));
	name.name = (char *)"KEY";
	name.kind = SLUICE__V1__CONFIG_KIND__CONFIG_KIND_SECRET;
	name.values = values;
	name.n_values = 1;
	value.environment = ENV_STAGING;
	value.state = SLUICE__V1__CONFIG_STATE__CONFIG_STATE_SET;
	plant_and_find(f->w, TABLE_CONFIG_NAMES, name_at, packed(f->w, &name.base),
		       "nothing is sealed there");
	name.n_values = 2;
	plant_and_find(f->w, TABLE_CONFIG_NAMES, name_at, packed(f->w, &name.base), "out of order");
	name.kind = SLUICE__V1__CONFIG_KIND__CONFIG_KIND_UNSPECIFIED;
	plant_and_find(f->w, TABLE_CONFIG_NAMES, name_at, packed(f->w, &name.base), "is of kind");
	source.name = (char *)"main";
	source.kind = (char *)"redis";
	source.settings = settings;
	source.n_settings = 1;
	setting.environment = ENV_STAGING;
	setting.options = options;
	setting.n_options = 1;
	option.state = SLUICE__V1__CONFIG_STATE__CONFIG_STATE_SET;
	plant_and_find(f->w, TABLE_SOURCES, source_at, packed(f->w, &source.base),
		       "is not what is sealed");
	source.kind = (char *)"oracle";
	plant_and_find(f->w, TABLE_SOURCES, source_at, packed(f->w, &source.base), "'oracle'");
	sealed.sealed = (ProtobufCBinaryData){.data = sealed_bytes, .len = sizeof(sealed_bytes)};
	for (uint32_t kind = SEALED_CONSTANT; kind <= SEALED_SOURCE; kind++) {
		struct record_key at =
		    KEY(WORLD, key_u32(k, kind), key_text(k, "KEY"), key_u32(k, ENV_STAGING));
		plant_and_find(f->w, TABLE_SEALED, at, packed(f->w, &sealed.base), "is of no ");
	}
	Sluice__Store__V1__PolicyRecord policy = SLUICE__STORE__V1__POLICY_RECORD__INIT;
	struct record_key policy_at = KEY(WORLD, key_u32(k, ENV_STAGING));
	policy.environment = ENV_PRODUCTION;
	plant_and_find(f->w, TABLE_POLICIES, policy_at, packed(f->w, &policy.base),
		       "the key of another");
	sound(f->w);
}

/* What is left out somewhere is missed where it is referred to. */
static void test_verify_misses_what_is_gone(void **state)
{
	struct fixture *f = *state;
	const char *app = f->app;
	uint32_t resolve = SLUICE__STORE__V1__OWED_KIND__OWED_KIND_RESOLVE;
	const struct {
		enum record_table table;
		struct record_key key;
		enum record_table where;
		const char *what;
	} cases[] = {
	    {TABLE_WORKSPACE_NUMBERS, key_of(2), TABLE_WORKSPACES,
	     "is missing in workspace_numbers"},
	    {TABLE_WORKSPACE_NUMBERS, key_of(WORLD), TABLE_APPS, "is of no workspace"},
	    {TABLE_REPOSITORIES, KEY(WORLD, key_text(k, f->repository)), TABLE_APPS,
	     "a repository that is not there"},
	    {TABLE_REPOSITORIES_BY_NAME, KEY(WORLD, key_text(k, "code")), TABLE_REPOSITORIES,
	     "is missing in"},
	    {TABLE_APPS, KEY(WORLD, key_text(k, app)), TABLE_VERSIONS, "an app that is not there"},
	    {TABLE_APPS_BY_NAME, KEY(WORLD, key_text(k, "shop")), TABLE_APPS, "apps_by_name"},
	    {TABLE_APPS_BY_SLUG, KEY(WORLD, key_text(k, "shop")), TABLE_APPS, "apps_by_slug"},
	    {TABLE_APPS_BY_PATH, app_path_key(WORLD, f->repository, "apps/shop", app), TABLE_APPS,
	     "by path"},
	    {TABLE_VERSIONS, version_key(WORLD, app, 1), TABLE_APPS, "says it has 2 versions"},
	    {TABLE_VERSIONS, version_key(WORLD, app, 1), TABLE_RELEASES, "which is not there"},
	    {TABLE_VERSIONS_BY_NAME, version_name_key(WORLD, app, "v1"), TABLE_VERSIONS,
	     "versions_by_name"},
	    {TABLE_VERSIONS_BY_ID, KEY(WORLD, key_text(k, f->version)), TABLE_VERSIONS,
	     "versions_by_id"},
	    {TABLE_FACTS, facts_key(WORLD, app, 1, ENV_PRODUCTION), TABLE_VERSIONS, "facts"},
	    {TABLE_FACTS, facts_key(WORLD, app, 1, ENV_STAGING), TABLE_ENTRIES, "a version"},
	    {TABLE_STATUSES, KEY(WORLD, key_text(k, f->instance), key_text(k, app)),
	     TABLE_STATUSES_BY_APP, "a status that is not there"},
	    {TABLE_PUBLICATIONS, version_key(WORLD, app, 1), TABLE_VERSIONS, "a publication"},
	    {TABLE_OWED, owed_key(WORLD, resolve, f->second, 1), TABLE_VERSIONS, "nothing is owed"},
	    {TABLE_RELEASE_STACK, KEY(WORLD, key_text(k, app), key_u32(k, 1)), TABLE_RELEASES,
	     "stack entry 1"},
	    {TABLE_INSTANCES, KEY(WORLD, key_text(k, f->instance)), TABLE_STATUSES,
	     "an instance that is not there"},
	    {TABLE_INSTANCES_BY_NAME, KEY(WORLD, key_text(k, "one")), TABLE_INSTANCES,
	     "is missing in"},
	};
	for (size_t i = 0; i < SL_COUNT(cases); i++) {
		uproot_and_find(f->w, cases[i].table, cases[i].key, cases[i].where, cases[i].what);
	}
	sound(f->w);
}

static void test_verify_finds_versions_that_cannot_be(void **state)
{
	struct fixture *f = *state;
	struct world *w = f->w;
	struct record_key key = version_key(WORLD, f->app, 1);
	Sluice__Store__V1__VersionRecord *r = world_version_record(w, "shop", "v1");
	const Sluice__Store__V1__VersionRecord good = *r;

	r->state = SLUICE__V1__VERSION_STATE__VERSION_STATE_DRAFT;
	plant_and_find(w, TABLE_VERSIONS, key, packed(w, &r->base), "is a draft in production");
	*r = good;
	r->content->state = SLUICE__V1__CONTENT_STATE__CONTENT_STATE_FAILED;
	plant_and_find(w, TABLE_VERSIONS, key, packed(w, &r->base), "content is not READY");
	r->content->state = SLUICE__V1__CONTENT_STATE__CONTENT_STATE_READY;
	r->content->digest.len = 31;
	plant_and_find(w, TABLE_VERSIONS, key, packed(w, &r->base), "has no digest");
	r->content->digest.len = 32;
	r->environment = 4;
	plant_and_find(w, TABLE_VERSIONS, key, packed(w, &r->base), "is of environment 4");
	*r = good;
	r->environment = ENV_STAGING;
	plant(w, TABLE_VERSIONS, key, packed(w, &r->base));
	found(w, "releases", "which is in staging");
	*r = good;
	plant(w, TABLE_VERSIONS, key, packed(w, &r->base));
	r->revision = 1000000;
	plant_and_find(w, TABLE_VERSIONS, key, packed(w, &r->base), "has revision 1000000");
	*r = good;
	r->name = sl_arena_alloc(&w->arena, 700);
	memset(r->name, 'n', 699);
	plant_and_find(w, TABLE_VERSIONS, key, packed(w, &r->base), "of more than 100 bytes");
	sound(w);
}

static void test_verify_finds_work_that_nobody_does(void **state)
{
	struct fixture *f = *state;
	struct world *w = f->w;
	Sluice__Store__V1__OwedRecord owed = SLUICE__STORE__V1__OWED_RECORD__INIT;
	owed.kind = SLUICE__STORE__V1__OWED_KIND__OWED_KIND_PUBLISH;
	owed.app_id = f->app;
	owed.version = 1;
	owed.repository_id = f->repository;
	struct record_key key = owed_key(WORLD, owed.kind, f->app, 1);
	plant(w, TABLE_OWED, key, packed(w, &owed.base));
	found(w, "publications", "is published and still owed");
	uproot(w, TABLE_OWED, key);

	owed.kind = SLUICE__STORE__V1__OWED_KIND__OWED_KIND_RESOLVE;
	plant_and_find(w, TABLE_OWED, owed_key(WORLD, owed.kind, f->app, 1), packed(w, &owed.base),
		       "the content is READY");
	owed.app_id = f->second;
	owed.generation = 99;
	plant_and_find(w, TABLE_OWED, owed_key(WORLD, owed.kind, f->second, 1),
		       packed(w, &owed.base), "not asked for any more");
	owed.version = 9;
	plant_and_find(w, TABLE_OWED, owed_key(WORLD, owed.kind, f->second, 9),
		       packed(w, &owed.base), "a version that is not there");

	Sluice__Store__V1__PublicationRecord publication =
	    SLUICE__STORE__V1__PUBLICATION_RECORD__INIT;
	publication.state = SLUICE__V1__PUBLICATION_STATE__PUBLICATION_STATE_OWED;
	plant_and_find(w, TABLE_PUBLICATIONS, version_key(WORLD, f->app, 1),
		       packed(w, &publication.base), "nothing is owed");
	publication.state = SLUICE__V1__PUBLICATION_STATE__PUBLICATION_STATE_PUBLISHED;
	plant_and_find(w, TABLE_PUBLICATIONS, version_key(WORLD, f->app, 2),
		       packed(w, &publication.base), "not sealed");
	sound(w);
}

static void test_verify_finds_releases_pins_and_tombstones_that_cannot_be(void **state)
{
	struct fixture *f = *state;
	struct world *w = f->w;
	Sluice__Store__V1__ReleaseRecord release = SLUICE__STORE__V1__RELEASE_RECORD__INIT;
	release.revision = 1;
	release.version = 2;
	release.depth = 1;
	struct record_key pointer = KEY(WORLD, key_text(k, f->app));
	plant_and_find(w, TABLE_RELEASES, pointer, packed(w, &release.base), "in development");
	release.version = 1;
	release.depth = UINT32_MAX; /* must not take for ever */
	plant_and_find(w, TABLE_RELEASES, pointer, packed(w, &release.base), "stack entry 2");

	Sluice__Store__V1__SelectionRecord pin = SLUICE__STORE__V1__SELECTION_RECORD__INIT;
	pin.revision = 1;
	pin.version = 1;
	plant_and_find(w, TABLE_SELECTIONS,
		       KEY(WORLD, key_text(k, f->app), key_u32(k, 7), key_text(k, "")),
		       packed(w, &pin.base), "is of environment 7");
	plant_and_find(w, TABLE_SELECTIONS,
		       KEY(WORLD, key_text(k, f->app), key_u32(k, 2), key_text(k, "ins_none")),
		       packed(w, &pin.base), "an instance that is not there");
	pin.version = 8;
	plant_and_find(w, TABLE_SELECTIONS,
		       KEY(WORLD, key_text(k, f->app), key_u32(k, 2), key_text(k, "")),
		       packed(w, &pin.base), "a version that is not there");

	struct sl_bytes app = bytes_at(w, TABLE_APPS, pointer);
	plant_and_find(w, TABLE_DELETED_APPS, pointer, app, "an app that lives");
	struct record_key instance = KEY(WORLD, key_text(k, f->instance));
	plant_and_find(w, TABLE_REMOVED_INSTANCES, instance, bytes_at(w, TABLE_INSTANCES, instance),
		       "an instance that counts");
	Sluice__Store__V1__OpenedRecord opened = SLUICE__STORE__V1__OPENED_RECORD__INIT;
	opened.environment = 1;
	plant_and_find(w, TABLE_OPENED, KEY(WORLD, key_text(k, "app_none"), key_text(k, "ann")),
		       packed(w, &opened.base), "an app that is not there");
	plant_and_find(w, TABLE_NOTES,
		       KEY(WORLD, key_text(k, "app_none"), key_u32(k, 1), key_u64(k, 1)),
		       SL_BYTES_NONE, "an app that is not there");
	plant_and_find(w, TABLE_FACTS,
		       KEY(WORLD, key_text(k, "app_none"), key_u32(k, 1), key_u32(k, 1)),
		       SL_BYTES_NONE, "an app that is not there");
	plant_and_find(w, TABLE_RELEASE_STACK, KEY(WORLD, key_text(k, f->app), key_u32(k, 0)),
		       SL_BYTES_NONE, "has depth 0");
	sound(w);
}

/* --- the log --- */

struct raw_cmd {
	struct store_cmd cmd;
	struct sl_bytes record, refusal;
	sem_t finished;
};

static sl_code raw_log_decide(struct store_cmd *cmd, const struct store_view *view,
			      struct store_changes *changes, struct sl_err *err)
{
	struct raw_cmd *raw = SL_CONTAINER_OF(cmd, struct raw_cmd, cmd);
	(void)view, (void)err;
	store_changes_refusal(changes, raw->refusal);
	store_changes_log(changes, raw->record);
	return SL_OK;
}

static void raw_log_done(struct store_cmd *cmd)
{
	sem_post(&SL_CONTAINER_OF(cmd, struct raw_cmd, cmd)->finished);
}

static void test_verify_finds_rubbish_in_the_log(void **state)
{
	struct fixture *f = *state;
	struct world *w = f->w;
	Sluice__Store__V1__LogRecord wrong = SLUICE__STORE__V1__LOG_RECORD__INIT;
	wrong.revision = 3;
	struct raw_cmd raw = {
	    .cmd = {.decide = raw_log_decide, .done = raw_log_done, .err = SL_ERR_INIT},
	    .record = packed(w, &wrong.base),
	    .refusal = SL_BYTES("\xff\xff", 2)};
	sem_init(&raw.finished, 0, 0);
	assert_int_equal(store_submit(w->store, &raw.cmd, &w->err), SL_OK);
	while (sem_wait(&raw.finished) != 0) {
	}
	sem_destroy(&raw.finished);
	char line[40];
	(void)snprintf(line, sizeof(line), "%lu: does not parse", (unsigned long)raw.cmd.revision);
	found(w, "log", line);
	found(w, "audit", ": does not parse");
	uint64_t faults = 0;
	free(report(w, &faults));
	assert_int_equal(faults, 2);
}

/* Faults are planted and not put back: no verifying at the end. */
static int teardown_faulty(void **state)
{
	struct fixture *f = *state;
	void *world = f->w;
	fixture_free(f);
	assert_int_equal(world_teardown(&world), -1);
	return 0;
}

static void test_verify_names_what_is_no_store(void **state)
{
	struct fixture *f = *state;
	uint64_t checked = 0, faults = 0;
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	assert_int_not_equal(records_verify("/none/such", stderr, &checked, &faults, &err), SL_OK);
	assert_true(strstr(err.msg, "/none/such") != NULL);
	assert_int_equal(checked, 0);
	sound(f->w);
}

#define SOUND(test) cmocka_unit_test_setup_teardown(test, setup, teardown_sound)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    SOUND(test_verify_sound_store_passes),
	    SOUND(test_verify_finds_rubbish_in_every_table),
	    SOUND(test_verify_finds_records_under_other_keys),
	    SOUND(test_verify_misses_what_is_gone),
	    SOUND(test_verify_finds_config_without_values_and_values_without_config),
	    SOUND(test_verify_finds_versions_that_cannot_be),
	    SOUND(test_verify_finds_work_that_nobody_does),
	    SOUND(test_verify_finds_releases_pins_and_tombstones_that_cannot_be),
	    cmocka_unit_test_setup_teardown(test_verify_finds_rubbish_in_the_log, setup,
					    teardown_faulty),
	    SOUND(test_verify_names_what_is_no_store),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
