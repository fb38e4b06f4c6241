/* Registering, changing and removing instances; what agents say, written many at once. */
#include "tests/unit/server/records/steps.h"

#include "server/records/bootstrap.h"
#include "server/records/instances.h"
#include "server/records/placement.h"

#define TAGS SLUICE__V1__PUBLISH_MODE__PUBLISH_MODE_TAGS
#define HEALTHY SLUICE__V1__PHASE__PHASE_HEALTHY
#define INSTANCE SLUICE__V1__EVENT_KIND__EVENT_KIND_INSTANCE

static Sluice__Store__V1__InstanceRecord *made; /* by the last command */

struct wanted {
	const char *name;
	struct instance_wish wish;
	bool paused;
	const char *app;
};

static sl_code decide_register(struct decision *d, struct steps *s, const void *in,
			       struct sl_err *err)
{
	(void)s;
	return instances_decide_register(d, &((const struct wanted *)in)->wish, &made, err);
}

static sl_code decide_update(struct decision *d, struct steps *s, const void *in,
			     struct sl_err *err)
{
	(void)s;
	const struct wanted *wanted = in;
	return instances_decide_update(d, wanted->name, &wanted->wish, &made, err);
}

static sl_code decide_pause(struct decision *d, struct steps *s, const void *in, struct sl_err *err)
{
	(void)s;
	const struct wanted *wanted = in;
	return instances_decide_pause(d, wanted->name, wanted->paused, &made, err);
}

static sl_code decide_retry(struct decision *d, struct steps *s, const void *in, struct sl_err *err)
{
	(void)s;
	const struct wanted *wanted = in;
	return instances_decide_retry(d, wanted->name, wanted->app, &made, err);
}

static sl_code decide_remove(struct decision *d, struct steps *s, const void *in,
			     struct sl_err *err)
{
	(void)s;
	return instances_decide_remove(d, ((const struct wanted *)in)->name, err);
}

static sl_code register_one(struct steps *s, const char *name, const char *environment)
{
	static char *keys[] = {"zone", "kind"}, *values[] = {"eu", "web"};
	struct wanted wanted = {.wish = {.name = name,
					 .environment = environment,
					 .label_keys = keys,
					 .label_values = values,
					 .label_count = 2,
					 .public_url = "https://a.example.org"}};
	return steps_run(s, decide_register, &wanted);
}

static sl_code run(struct steps *s, steps_decide *decide, struct wanted wanted)
{
	return steps_run(s, decide, &wanted);
}

static void test_registering_keeps_sorted_labels(void **state)
{
	struct steps *s = *state;
	assert_int_equal(register_one(s, "dev-1", "development"), SL_OK);
	assert_int_equal(made->environment, ENV_DEVELOPMENT);
	assert_int_equal(made->n_labels, 2);
	assert_string_equal(made->labels[0]->key, "kind");
	assert_string_equal(made->created_by, "ann");
	assert_int_equal(made->revision, s->revision);
	const Sluice__V1__Event *event = steps_event(s, INSTANCE);
	assert_int_equal(event->type, SLUICE__V1__EVENT_TYPE__EVENT_TYPE_CREATED);
	assert_string_equal(event->instance_id, made->id);
	assert_string_equal(event->instance->name, "dev-1");
	assert_int_equal(event->environment, ENV_DEVELOPMENT);
}

static void test_names_are_unique_and_environments_known(void **state)
{
	struct steps *s = *state;
	assert_int_equal(register_one(s, "dev-1", "development"), SL_OK);
	(void)register_one(s, "dev-1", "production");
	steps_refused(s, SL_ALREADY_EXISTS, SL_REASON_NAME_TAKEN, "dev-1");
	(void)register_one(s, "dev-2", "elsewhere");
	steps_refused(s, SL_NOT_FOUND, SL_REASON_ENVIRONMENT_NOT_FOUND, "elsewhere");
	s->expected_revision = 3;
	(void)register_one(s, "dev-3", "development");
	steps_refused(s, SL_INVALID_ARGUMENT, SL_REASON_MALFORMED, "expected_revision");
	assert_int_equal(register_one(s, "dev-4", "env_2"), SL_OK);
	assert_int_equal(made->environment, ENV_STAGING);
}

static void test_urls_follow_the_table(void **state)
{
	(void)state;
	static const struct {
		const char *url;
		bool good;
	} rows[] = {
	    {"", true},
	    {"http://a", true},
	    {"https://apps.example.org", true},
	    {"https://apps.example.org:8443/base/path", true},
	    {"http://[::1]:8080", true},
	    {"https://apps.example.org/", false},
	    {"https://", false},
	    {"https:///path", false},
	    {"https://:80", false},
	    {"ftp://a", false},
	    {"apps.example.org", false},
	    {"javascript:alert(1)", false},
	    {"https://user@a", false},
	    {"https://a b", false},
	    {"https://a/\x01", false},
	    {"https://a/\xc3\xa4", false},
	    {"https://a/?q=1", false},
	    {"https://a/#x", false},
	    {"HTTPS://a", false},
	};
	for (size_t i = 0; i < SL_COUNT(rows); i++) {
		SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
		sl_code code = instance_check_url(rows[i].url, &err);
		if ((code == SL_OK) != rows[i].good ||
		    (code != SL_OK && err.reason != SL_REASON_MALFORMED)) {
			fail_msg("'%s': %s", rows[i].url, sl_code_name(code));
		}
	}
	char longest[INSTANCE_URL_MAX + 2] = "http://";
	memset(longest + 7, 'a', sizeof(longest) - 8);
	assert_int_equal(instance_check_url(longest, NULL), SL_INVALID_ARGUMENT);
	longest[INSTANCE_URL_MAX] = '\0';
	assert_int_equal(instance_check_url(longest, NULL), SL_OK);
}

static void test_what_is_so_already_changes_nothing(void **state)
{
	struct steps *s = *state;
	static char *keys[] = {"kind", "zone"}, *values[] = {"web", "eu"};
	struct instance_wish same = {.label_keys = keys,
				     .label_values = values,
				     .label_count = 2,
				     .public_url = "https://a.example.org"};
	assert_int_equal(register_one(s, "dev-1", "development"), SL_OK);
	(void)run(s, decide_update, (struct wanted){.name = "dev-1", .wish = same});
	steps_same(s);
	(void)run(s, decide_pause, (struct wanted){.name = "dev-1", .paused = false});
	steps_same(s);
	same.label_count = 1;
	(void)run(s, decide_update, (struct wanted){.name = "dev-1", .wish = same});
	steps_done(s);
	assert_int_equal(made->n_labels, 1);
	(void)run(s, decide_pause, (struct wanted){.name = "dev-1", .paused = true});
	steps_done(s);
	assert_true(made->paused);
	(void)run(s, decide_pause, (struct wanted){.name = "dev-1", .paused = true});
	steps_same(s);
}

static void test_changes_ask_for_the_revision(void **state)
{
	struct steps *s = *state;
	steps_decide *const changes[] = {decide_update, decide_pause, decide_retry, decide_remove};
	assert_int_equal(register_one(s, "dev-1", "development"), SL_OK);
	for (size_t i = 0; i < SL_COUNT(changes); i++) {
		struct wanted wanted = {
		    .name = "dev-1", .wish.public_url = "", .paused = true, .app = ""};
		s->expected_revision = made->revision + 7;
		(void)run(s, changes[i], wanted);
		steps_refused(s, SL_ABORTED, SL_REASON_STALE_REVISION, "dev-1");
		wanted.name = "dev-9";
		(void)run(s, changes[i], wanted);
		steps_refused(s, SL_NOT_FOUND, SL_REASON_INSTANCE_NOT_FOUND, "dev-9");
	}
}

static void test_retries_count_by_app_and_for_all(void **state)
{
	struct steps *s = *state;
	steps_shop(s, TAGS);
	const char *app_id = steps_app(s)->id;
	assert_int_equal(register_one(s, "dev-1", "development"), SL_OK);
	(void)run(s, decide_retry, (struct wanted){.name = "dev-1", .app = "shop"});
	(void)run(s, decide_retry, (struct wanted){.name = "dev-1", .app = "shop"});
	(void)run(s, decide_retry, (struct wanted){.name = "dev-1", .app = ""});
	steps_done(s);
	assert_int_equal(instance_retries(made, app_id), 3);
	assert_int_equal(instance_retries(made, "app_other"), 1);
	(void)run(s, decide_retry, (struct wanted){.name = "dev-1", .app = "nothing"});
	steps_refused(s, SL_NOT_FOUND, SL_REASON_APP_NOT_FOUND, "nothing");
}

/* --- statuses ------------------------------------------------------------------------- */

struct batch {
	struct instance_status items[4];
	size_t count;
};

static sl_code decide_statuses(struct decision *d, struct steps *s, const void *in,
			       struct sl_err *err)
{
	(void)s;
	const struct batch *batch = in;
	return instances_decide_statuses(d, batch->items, batch->count, err);
}

static void test_statuses_are_written_once(void **state)
{
	struct steps *s = *state;
	steps_shop(s, TAGS);
	steps_ready(s, "v1", '1');
	assert_int_equal(register_one(s, "dev-1", "development"), SL_OK);
	uint64_t revision = made->revision;
	char *id = made->id, *app_id = steps_app(s)->id, *version_id = steps_get(s, "v1")->id;
	Sluice__Store__V1__StatusRecord record = SLUICE__STORE__V1__STATUS_RECORD__INIT;
	record.version_id = record.active_version_id = version_id;
	record.phase = HEALTHY;
	struct batch batch = {.items = {{.instance_id = id,
					 .app_id = app_id,
					 .record = &record,
					 .desired_version_id = version_id},
					{.instance_id = "ins_gone",
					 .app_id = app_id,
					 .record = &record,
					 .desired_version_id = ""},
					{.instance_id = id,
					 .app_id = "app_gone",
					 .record = &record,
					 .desired_version_id = ""}},
			      .count = 3};
	assert_int_equal(steps_run(s, decide_statuses, &batch), SL_OK);
	steps_done(s);
	assert_int_equal(s->event_count, 1);
	const Sluice__V1__Event *event = steps_event(s, SLUICE__V1__EVENT_KIND__EVENT_KIND_STATUS);
	assert_true(event->status->converged);
	assert_string_equal(event->status->subject->name, "v1");
	record.sequence = 99; /* neither counts */
	record.at_ms = 12345;
	assert_int_equal(steps_run(s, decide_statuses, &batch), SL_OK);
	steps_same(s);
	(void)run(s, decide_pause, (struct wanted){.name = "dev-1", .paused = false});
	assert_int_equal(made->revision, revision); /* statuses never change it */
	batch.items[0].record = NULL;
	assert_int_equal(steps_run(s, decide_statuses, &batch), SL_OK);
	steps_done(s);
	assert_int_equal(s->events[0]->type, SLUICE__V1__EVENT_TYPE__EVENT_TYPE_DELETED);
}

static size_t count_with_prefix(struct steps *s, enum record_table table)
{
	const struct store_view *view = NULL;
	struct store_walk walk;
	size_t count = 0;
	assert_int_equal(store_view_begin(s->store, &view, &s->err), SL_OK);
	store_walk_begin(&walk, view, table, SL_BYTES_NONE, STORE_FORWARD);
	while (store_walk_next(&walk)) {
		count++;
	}
	store_walk_end(&walk);
	store_view_end(view);
	return count;
}

static void test_removing_takes_all_that_is_its_own(void **state)
{
	struct steps *s = *state;
	steps_shop(s, TAGS);
	steps_ready(s, "v1", '1');
	assert_int_equal(register_one(s, "dev-2", "development"), SL_OK);
	assert_int_equal(register_one(s, "dev-1", "development"), SL_OK);
	const char *id = sl_arena_strdup(&s->arena, made->id);
	steps_staged(s, id, "v1");
	assert_int_equal(steps_select(s, "v1", "development", "dev-1"), SL_OK);
	assert_int_equal(steps_select(s, "v1", "development", "dev-2"), SL_OK);
	assert_int_equal(steps_select(s, "v1", "development", ""), SL_OK);
	assert_int_equal(run(s, decide_remove, (struct wanted){.name = "dev-1"}), SL_OK);
	assert_int_equal(s->event_count, 2);
	const Sluice__V1__Event *pin = steps_event(s, SLUICE__V1__EVENT_KIND__EVENT_KIND_SELECTION);
	assert_int_equal(pin->type, SLUICE__V1__EVENT_TYPE__EVENT_TYPE_DELETED);
	assert_string_equal(pin->selection->instance, "dev-1");
	assert_string_equal(pin->selection->version->name, "v1");
	assert_int_equal(steps_event(s, INSTANCE)->type,
			 SLUICE__V1__EVENT_TYPE__EVENT_TYPE_DELETED);
	assert_int_equal(count_with_prefix(s, TABLE_STATUSES), 0);
	assert_int_equal(count_with_prefix(s, TABLE_SELECTIONS),
			 2); /* the other's and the environment's */
	assert_int_equal(count_with_prefix(s, TABLE_INSTANCES), 1);
	assert_int_equal(count_with_prefix(s, TABLE_INSTANCES_BY_NAME), 1);
	const struct store_view *view = NULL;
	Sluice__Store__V1__InstanceRecord *tombstone = NULL;
	assert_int_equal(store_view_begin(s->store, &view, &s->err), SL_OK);
	assert_int_equal(
	    instance_get_removed(view, &s->arena, STEPS_WORKSPACE, id, &tombstone, &s->err), SL_OK);
	store_view_end(view);
	assert_true(tombstone->removed_ms > 0);
	assert_int_equal(register_one(s, "dev-1", "production"),
			 SL_OK); /* the name is free, the id is new */
	assert_string_not_equal(made->id, id);
}

/* --- where an app is placed ---------------------------------------------------------------- */

enum { LABELS = 2 };

/* Names of the instances that an app with this placement is placed on, a space after each. */
static const char *placed_names(struct steps *s, const char *const placement[], size_t count,
				uint32_t environment)
{
	Sluice__Store__V1__AppRecord app = SLUICE__STORE__V1__APP_RECORD__INIT;
	Sluice__Store__V1__InstanceRecord *instance = NULL;
	const struct store_view *view = NULL;
	const char *names = "";
	char *keys[LABELS], *values[LABELS];
	for (size_t i = 0; i < count; i++) {
		keys[i] = (char *)placement[2 * i];
		values[i] = (char *)placement[2 * i + 1];
	}
	app.placement = labels_sorted(&s->arena, keys, values, count);
	app.n_placement = count;
	assert_int_equal(store_view_begin(s->store, &view, &s->err), SL_OK);
	SL_AUTO(placed_end) struct placed placed;
	placed_begin(&placed, view, STEPS_WORKSPACE, &app, environment);
	while (placed_next(&placed)) {
		assert_int_equal(
		    instance_get(view, &s->arena, STEPS_WORKSPACE, placed.id, &instance, &s->err),
		    SL_OK);
		assert_int_equal(placed.revision, instance->revision);
		names = sl_arena_printf(&s->arena, "%s%s ", names, instance->name);
	}
	assert_int_equal(placed_result(&placed, &s->err), SL_OK);
	store_view_end(view);
	return names;
}

static void relabel(struct steps *s, const char *name, const char *zone)
{
	char *keys[] = {(char *)"zone"}, *values[] = {(char *)zone};
	struct wanted wanted = {
	    .name = name,
	    .wish = {
		.label_keys = keys, .label_values = values, .label_count = 1, .public_url = ""}};
	assert_int_equal(run(s, decide_update, wanted), SL_OK);
}

static const char *const eu_web[] = {"zone", "eu", "kind", "web"}, *const us[] = {"zone", "us"};

static void test_apps_find_their_instances_by_label(void **state)
{
	struct steps *s = *state;
	assert_string_equal(placed_names(s, eu_web, 0, 0), "");
	assert_int_equal(register_one(s, "dev-1", "development"), SL_OK);
	assert_int_equal(register_one(s, "pro-1", "production"), SL_OK);
	relabel(s, "dev-1", "us");
	assert_int_equal(register_one(s, "dev-2", "development"), SL_OK);
	assert_string_equal(placed_names(s, eu_web, 2, ENV_DEVELOPMENT), "dev-2 ");
	assert_string_equal(placed_names(s, eu_web, 2, ENV_STAGING), "");
	assert_string_equal(placed_names(s, eu_web, 2, 0), "dev-2 pro-1 ");
	assert_string_equal(placed_names(s, us, 1, 0), "dev-1 ");
	assert_int_equal(strlen(placed_names(s, us, 0, ENV_DEVELOPMENT)), strlen("dev-1 dev-2 "));
	assert_int_equal(run(s, decide_pause, (struct wanted){.name = "dev-1", .paused = true}),
			 SL_OK);
	assert_string_equal(placed_names(s, us, 1, 0), "dev-1 "); /* and with its new revision */
	assert_int_equal(run(s, decide_remove, (struct wanted){.name = "dev-1"}), SL_OK);
	assert_string_equal(placed_names(s, us, 1, 0), "");
	assert_int_equal(count_with_prefix(s, TABLE_INSTANCES_BY_LABEL), 6);
}

static sl_code decide_forget(struct decision *d, struct steps *s, const void *in,
			     struct sl_err *err)
{
	(void)s, (void)in;
	SL_AUTO(store_walk_end) struct store_walk walk;
	store_walk_begin(&walk, d->view, TABLE_INSTANCES_BY_LABEL, SL_BYTES_NONE, STORE_FORWARD);
	while (store_walk_next(&walk)) {
		d->changed = true;
		store_changes_delete(d->changes, TABLE_INSTANCES_BY_LABEL, walk.key);
	}
	return store_walk_result(&walk, err);
}

static void test_a_store_of_before_gets_the_index_at_start(void **state)
{
	struct steps *s = *state;
	assert_int_equal(register_one(s, "dev-1", "development"), SL_OK);
	assert_int_equal(register_one(s, "pro-1", "production"), SL_OK);
	assert_int_equal(run(s, decide_forget, (struct wanted){.name = ""}), SL_OK);
	assert_string_equal(placed_names(s, eu_web, 2, 0), "");
	assert_int_equal(records_bootstrap(s->store, s->now_ms, &s->err), SL_OK);
	assert_string_equal(placed_names(s, eu_web, 2, 0), "dev-1 pro-1 ");
	assert_int_equal(count_with_prefix(s, TABLE_INSTANCES_BY_LABEL), 6);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, steps_setup, steps_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(test_registering_keeps_sorted_labels),
	    TEST(test_names_are_unique_and_environments_known),
	    cmocka_unit_test(test_urls_follow_the_table),
	    TEST(test_what_is_so_already_changes_nothing),
	    TEST(test_changes_ask_for_the_revision),
	    TEST(test_retries_count_by_app_and_for_all),
	    TEST(test_statuses_are_written_once),
	    TEST(test_removing_takes_all_that_is_its_own),
	    TEST(test_apps_find_their_instances_by_label),
	    TEST(test_a_store_of_before_gets_the_index_at_start),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
