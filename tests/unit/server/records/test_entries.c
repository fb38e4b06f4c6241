/* What came last is found without a look at what came before, and it is what a look at everything
 * finds. */
#include "server/records/bootstrap.h"
#include "server/records/entries.h"
#include "server/records/versions.h"
#include "tests/unit/server/records/steps.h"

enum { MANY = 40, ROUNDS = 600, VERSIONS = 12 };

/* --- a look at everything --------------------------------------------------------------- */

struct everything {
	struct desired_version versions[MANY];
	size_t count;
};

static void see(const struct wire *wire, const Sluice__Store__V1__VersionRecord *record,
		struct desired_version *ret_version)
{
	Sluice__Store__V1__PublicationRecord *publication = NULL;
	(void)!publication_get(wire->view, wire->arena, wire->workspace, record->app_id,
			       record->number, &publication, NULL);
	*ret_version = desired_version_of(record, publication);
	for (uint32_t n = 1; n <= ENV_COUNT; n++) {
		Sluice__Store__V1__FactsRecord *facts = NULL;
		if (facts_get(wire, record, n, &facts, NULL) == SL_OK) {
			ret_version->entered[n] = facts->entered_revision;
		}
	}
}

static struct everything see_everything(const struct wire *wire, const char *app_id)
{
	struct everything all = {.count = 0};
	struct record_key prefix = KEY(wire->workspace, key_text(k, app_id));
	SL_AUTO(store_walk_end) struct store_walk walk;
	store_walk_begin(&walk, wire->view, TABLE_VERSIONS, key_bytes(&prefix), STORE_FORWARD);
	while (store_walk_next(&walk)) {
		Sluice__Store__V1__VersionRecord *record = NULL;
		assert_int_equal(record_unpack(wire->arena, walk.value,
					       &sluice__store__v1__version_record__descriptor,
					       &record, NULL),
				 SL_OK);
		assert_in_range(all.count, 0, MANY - 1);
		see(wire, record, &all.versions[all.count++]);
	}
	return all;
}

static void same_choice(const struct desired_input *a, const struct desired_input *b,
			uint32_t environment, const char *instance_id)
{
	struct desired_choice x, y;
	desired_choose(a, environment, instance_id, &x);
	desired_choose(b, environment, instance_id, &y);
	assert_int_equal(x.selected, y.selected);
	assert_int_equal(x.by, y.by);
	assert_int_equal(x.idle_pin, y.idle_pin);
	assert_int_equal(x.keep_count, y.keep_count);
	assert_memory_equal(x.keep, y.keep, x.keep_count * sizeof(x.keep[0]));
	if (x.selected == 0) {
		assert_int_equal(desired_takes_down(a, environment),
				 desired_takes_down(b, environment));
	}
}

static uint32_t count_in(const struct everything *all, uint32_t environment)
{
	uint32_t count = 0;
	for (size_t i = 0; i < all->count; i++) {
		count += all->versions[i].environment >= environment;
	}
	return count;
}

/* Returns how many versions were read. */
static size_t compare(struct steps *s, const char *instance_id)
{
	const Sluice__Store__V1__AppRecord *app = steps_app(s);
	const struct store_view *view = NULL;
	struct desired_app loaded;
	assert_int_equal(store_view_begin(s->store, &view, &s->err), SL_OK);
	const struct wire wire = {.view = view, .arena = &s->arena, .workspace = STEPS_WORKSPACE};
	assert_int_equal(desired_load(view, &s->arena, STEPS_WORKSPACE, app->id, &loaded, &s->err),
			 SL_OK);
	struct everything all = see_everything(&wire, app->id);
	struct desired_input whole = loaded.input;
	whole.versions = all.versions;
	whole.version_count = all.count;
	for (uint32_t n = 1; n <= ENV_COUNT; n++) {
		same_choice(&loaded.input, &whole, n, "");
		same_choice(&loaded.input, &whole, n, instance_id);
		uint32_t came = n == ENV_DEVELOPMENT ? app->version_count : loaded.came[n];
		assert_int_equal(came, count_in(&all, n));
	}
	store_view_end(view);
	return loaded.input.version_count;
}

/* --- histories ---------------------------------------------------------------------------- */

static const char *name_of(struct steps *s, unsigned number)
{
	return sl_arena_printf(&s->arena, "v%u", number);
}

static void test_of_many_versions_few_are_read(void **state)
{
	struct steps *s = *state;
	steps_shop(s, SLUICE__V1__PUBLISH_MODE__PUBLISH_MODE_TAGS);
	for (unsigned i = 1; i < MANY; i++) {
		steps_produce(s, name_of(s, i));
		if (i % 7 == 1) {
			assert_int_equal(steps_release(s, name_of(s, i)), SL_OK);
		}
		assert_in_range(compare(s, "ins_x"), 1, DESIRED_KEEP_MAX);
	}
	assert_int_equal(steps_select(s, "v5", "staging", ""), SL_OK);
	assert_in_range(compare(s, "ins_x"), 1, DESIRED_KEEP_MAX + 1);
	/* Who is recalled is looked at on the way to those who are not. */
	assert_int_equal(
	    steps_block(s, name_of(s, MANY - 1), SLUICE__V1__BLOCK_MODE__BLOCK_MODE_RECALL, ""),
	    SL_OK);
	assert_in_range(compare(s, "ins_x"), 1, DESIRED_KEEP_MAX + 2);
}

/* What is refused changes nothing, so any act will do. */
static void act(struct steps *s, unsigned *made, uint32_t random, const char *instance_name)
{
	const char *version = name_of(s, 1 + random / 16 % *made);
	switch (random % 16) {
	case 0:
	case 1:
		if (*made < VERSIONS) {
			steps_version(s, name_of(s, ++*made));
		}
		return;
	case 2:
		(void)steps_select(s, version, "development", instance_name);
		return;
	case 3:
		(void)steps_select(s, version, "staging", "");
		return;
	case 4:
		(void)steps_clear(s, "staging", "");
		return;
	case 5:
		(void)steps_block(s, version, SLUICE__V1__BLOCK_MODE__BLOCK_MODE_RECALL, "");
		return;
	case 6:
		(void)steps_unblock(s, version);
		return;
	case 7:
		(void)steps_release(s, version);
		return;
	case 8:
		(void)steps_rollback(s, "");
		return;
	case 9:
		(void)steps_withdraw(s);
		return;
	default:
		break;
	}
	const Sluice__Store__V1__VersionRecord *record = steps_get(s, version);
	bool ready = record->content->state == SLUICE__V1__CONTENT_STATE__CONTENT_STATE_READY;
	if (!ready &&
	    record->content->state == SLUICE__V1__CONTENT_STATE__CONTENT_STATE_RESOLVING) {
		steps_ready(s, version, (uint8_t)record->number);
	} else if (ready) {
		(void)steps_promote(s, version, environment_name(record->environment));
	}
}

static void test_any_history_is_read_as_a_look_at_everything_would(void **state)
{
	struct steps *s = *state;
	unsigned made = 1;
	uint32_t random = 12345;
	steps_shop(s, SLUICE__V1__PUBLISH_MODE__PUBLISH_MODE_NONE);
	const char *instance_id = steps_instance(s, "one", ENV_DEVELOPMENT);
	for (unsigned i = 0; i < ROUNDS; i++) {
		random = random * 1664525u + 1013904223u;
		act(s, &made, random >> 8, "one");
		(void)compare(s, instance_id);
	}
	assert_int_equal(made, VERSIONS);
	assert_true(steps_pointer(s) != NULL);
}

/* --- stores of before ------------------------------------------------------------------------ */

static size_t rows_of(struct steps *s, enum record_table table)
{
	const struct store_view *view = NULL;
	size_t count = 0;
	assert_int_equal(store_view_begin(s->store, &view, &s->err), SL_OK);
	struct store_walk walk;
	store_walk_begin(&walk, view, table, SL_BYTES_NONE, STORE_FORWARD);
	while (store_walk_next(&walk)) {
		count++;
	}
	store_walk_end(&walk);
	store_view_end(view);
	return count;
}

static sl_code decide_forget(struct decision *d, struct steps *s, const void *in,
			     struct sl_err *err)
{
	static const enum record_table tables[] = {TABLE_ENTRIES, TABLE_STATUSES_BY_APP};
	(void)s, (void)in, (void)err;
	d->changed = true;
	for (size_t i = 0; i < SL_COUNT(tables); i++) {
		SL_AUTO(store_walk_end) struct store_walk walk;
		store_walk_begin(&walk, d->view, tables[i], SL_BYTES_NONE, STORE_FORWARD);
		while (store_walk_next(&walk)) {
			store_changes_delete(d->changes, tables[i], walk.key);
		}
	}
	return SL_OK;
}

static void test_a_store_of_before_gets_both_indexes_at_start(void **state)
{
	struct steps *s = *state;
	steps_shop(s, SLUICE__V1__PUBLISH_MODE__PUBLISH_MODE_TAGS);
	for (unsigned i = 1; i < 6; i++) {
		steps_produce(s, name_of(s, i));
	}
	steps_version(s, "v6");
	steps_staged(s, steps_instance(s, "one", ENV_PRODUCTION), "v1");
	size_t entries = rows_of(s, TABLE_ENTRIES);
	assert_int_equal(entries, 5 * 3 + 1);
	assert_int_equal(rows_of(s, TABLE_STATUSES_BY_APP), 1);
	assert_int_equal(steps_run(s, decide_forget, NULL), SL_OK);
	assert_int_equal(rows_of(s, TABLE_ENTRIES), 0);
	assert_int_equal(records_bootstrap(s->store, s->now_ms, &s->err), SL_OK);
	assert_int_equal(rows_of(s, TABLE_ENTRIES), entries);
	assert_int_equal(rows_of(s, TABLE_STATUSES_BY_APP), 1);
	(void)compare(s, "ins_x");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, steps_setup, steps_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(test_of_many_versions_few_are_read),
	    TEST(test_any_history_is_read_as_a_look_at_everything_would),
	    TEST(test_a_store_of_before_gets_both_indexes_at_start),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
