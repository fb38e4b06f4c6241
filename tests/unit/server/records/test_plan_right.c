/* records/plans: the permission gate of a plan, and whom it names. */
#include <string.h>

#include "server/records/plans.h"
#include "server/records/principals.h"
#include "tests/unit/server/records/world.h"

/* --- people ---------------------------------------------------------------------------- */

struct person {
	const char *name, *role, *apps;
};

static sl_code create(struct decision *d, const void *in, void *out, struct sl_err *err)
{
	const struct person *person = in;
	Sluice__V1__Grant grant = SLUICE__V1__GRANT__INIT, *grants[] = {&grant};
	grant.role = (char *)person->role;
	grant.apps = (char *)person->apps;
	const struct principal_wish wish = {.name = person->name,
					    .description = "",
					    .kind =
						SLUICE__V1__PRINCIPAL_KIND__PRINCIPAL_KIND_PERSON,
					    .grants = grants,
					    .grant_count = 1};
	return principals_decide_create(d, &wish, out, err);
}

static sl_code disable(struct decision *d, const void *in, void *out, struct sl_err *err)
{
	return principals_decide_disable(d, in, true, out, err);
}

static const char *add(struct world *w, const char *name, const char *role, const char *apps)
{
	const struct person person = {.name = name, .role = role, .apps = apps};
	Sluice__Store__V1__PrincipalRecord *made = NULL;
	assert_int_equal(world_run(w, create, &person, &made), SL_OK);
	return made->id;
}

/* --- plans ------------------------------------------------------------------------------ */

struct wanted {
	const char *principal_id; /* NULL: no right is asked for */
	const char *version;
	enum gates_action action;
};

static void asker_of(struct world *w, const struct wire *in, const char *id, struct rights *rights,
		     struct plan_asker *asker)
{
	Sluice__Store__V1__PrincipalRecord *principal = NULL;
	assert_int_equal(principal_get(in->view, in->arena, in->workspace, id, &principal, &w->err),
			 SL_OK);
	assert_int_equal(
	    principal_rights(in->view, in->arena, in->workspace, principal, rights, &w->err),
	    SL_OK);
	*asker = (struct plan_asker){.principal = principal->name, .rights = rights};
}

static sl_code plan_of(struct world *w, const struct wanted *wanted, struct plan *ret_plan)
{
	struct wire in = {.arena = &w->arena, .workspace = WORLD};
	struct plan_asker asker = {.rights = NULL};
	struct rights rights;
	struct plan_base base;
	const Sluice__Store__V1__AppRecord *app = world_app_record(w, "shop");
	Sluice__Store__V1__VersionRecord *version =
	    world_version_record(w, "shop", wanted->version);
	assert_int_equal(store_view_begin(w->store, &in.view, &w->err), SL_OK);
	if (wanted->principal_id != NULL) {
		asker_of(w, &in, wanted->principal_id, &rights, &asker);
	}
	assert_int_equal(plan_base_load(&in, app, &asker, &base, &w->err), SL_OK);
	sl_code code = wanted->action == GATES_RELEASE
			   ? plan_release(&base, version, ret_plan, &w->err)
			   : plan_promote(&base, version, 0, ret_plan, &w->err);
	store_view_end(in.view);
	return code;
}

static const struct gate *gate_of(struct world *w, const struct wanted *wanted, struct plan *plan)
{
	assert_int_equal(plan_of(w, wanted, plan), SL_OK);
	const struct gate *first = &plan->gates.items[0];
	return first->kind == GATE_PERMISSION ? first : NULL;
}

static void make_app(struct world *w)
{
	(void)world_repository(w, "web", SLUICE__V1__PUBLISH_MODE__PUBLISH_MODE_TAGS);
	(void)world_app(w, "shop", "web");
	world_ready(w, "shop", "v1", 7);
}

static void test_plan_names_those_who_may(void **state)
{
	struct world *w = *state;
	struct plan plan, other;
	make_app(w);
	const char *viewer = add(w, "vera", "viewer", "");
	const struct wanted promote = {
	    .principal_id = viewer, .version = "v1", .action = GATES_PROMOTE};
	const struct gate *gate = gate_of(w, &promote, &plan);
	assert_int_equal(gate->state, GATE_BLOCK);
	assert_string_equal(gate->reason, "'vera' lacks the right to promote app shop in staging");
	assert_non_null(strstr(gate->cleared_by, "nobody"));
	assert_false(gates_allow(&plan.gates));

	/* Only for this app, and only to that environment; who is disabled may nothing. */
	const char *builder = add(w, "bob", "builder", "sh*");
	(void)add(w, "anna", "builder", "blog");
	(void)add(w, "rita", "releaser", "");
	(void)add(w, "dan", "builder", "");
	Sluice__Store__V1__PrincipalRecord *disabled = NULL;
	assert_int_equal(world_run(w, disable, "dan", &disabled), SL_OK);
	gate = gate_of(w, &promote, &plan);
	assert_string_equal(gate->cleared_by, "1 who may: bob");

	/* The plan of who may is another plan: it binds another hash. */
	const struct wanted mine = {
	    .principal_id = builder, .version = "v1", .action = GATES_PROMOTE};
	gate = gate_of(w, &mine, &other);
	assert_int_equal(gate->state, GATE_PASS);
	assert_string_equal(gate->cleared_by, "");
	assert_true(gates_allow(&other.gates));
	assert_memory_not_equal(plan.hash, other.hash, sizeof(plan.hash));
}

static void test_plan_of_each_act_asks_for_its_own_right(void **state)
{
	struct world *w = *state;
	struct plan plan;
	(void)world_repository(w, "web", SLUICE__V1__PUBLISH_MODE__PUBLISH_MODE_TAGS);
	(void)world_app(w, "shop", "web");
	const char *builder = add(w, "bob", "builder", "");
	(void)add(w, "rita", "releaser", "");
	world_produce(w, "shop", "v1", false);
	const struct wanted release = {
	    .principal_id = builder, .version = "v1", .action = GATES_RELEASE};
	const struct gate *gate = gate_of(w, &release, &plan);
	assert_string_equal(gate->reason,
			    "'bob' lacks the right to release app shop in production");
	assert_string_equal(gate->cleared_by, "1 who may: rita");
}

static void test_plan_names_a_handful_and_counts_all(void **state)
{
	struct world *w = *state;
	struct plan plan;
	make_app(w);
	for (unsigned i = 0; i < 9; i++) {
		(void)add(w, sl_arena_printf(&w->arena, "b%u", i), "bot", "");
	}
	const struct wanted promote = {
	    .principal_id = add(w, "vera", "viewer", ""), .version = "v1", .action = GATES_PROMOTE};
	const struct gate *gate = gate_of(w, &promote, &plan);
	assert_string_equal(gate->cleared_by, "9 who may: b0, b1, b2, b3, b4, ...");
}

static void test_plan_without_rights_has_no_such_gate(void **state)
{
	struct world *w = *state;
	struct plan plan;
	make_app(w);
	const struct wanted promote = {.version = "v1", .action = GATES_PROMOTE};
	assert_null(gate_of(w, &promote, &plan));
}

static struct record_key broken_key(void)
{
	return KEY(WORLD, key_text(k, "pri_zzzzzzzzzzzzzzzzzzzz"));
}

static sl_code remove_broken(struct decision *d, const void *in, void *out, struct sl_err *err)
{
	struct record_key key = broken_key();
	(void)in, (void)out, (void)err;
	decision_delete(d, TABLE_PRINCIPALS, &key);
	return SL_OK;
}

/* Principals are looked at only when somebody has to be named: one that does not parse is no matter
 * to who may. */
static void test_plan_of_who_may_looks_at_no_principal(void **state)
{
	struct world *w = *state;
	struct plan plan;
	make_app(w);
	const struct wanted mine = {
	    .principal_id = add(w, "bot-1", "bot", ""), .version = "v1", .action = GATES_PROMOTE};
	const struct wanted other = {
	    .principal_id = add(w, "vera", "viewer", ""), .version = "v1", .action = GATES_PROMOTE};
	Sluice__Store__V1__SelectionRecord broken = SLUICE__STORE__V1__SELECTION_RECORD__INIT;
	broken.version = 7; /* a number where a principal has its id */
	world_put(w, TABLE_PRINCIPALS, broken_key(), &broken.base);
	assert_int_equal(plan_of(w, &mine, &plan), SL_OK);
	assert_int_equal(plan_of(w, &other, &plan), SL_DATA_LOSS);
	sl_err_clear(&w->err);
	assert_int_equal(world_run(w, remove_broken, NULL, NULL), SL_OK);
	assert_int_equal(plan_of(w, &other, &plan), SL_OK);
}

#define TEST(name) cmocka_unit_test_setup_teardown(test_plan_##name, world_setup, world_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(names_those_who_may),
	    TEST(of_each_act_asks_for_its_own_right),
	    TEST(names_a_handful_and_counts_all),
	    TEST(without_rights_has_no_such_gate),
	    TEST(of_who_may_looks_at_no_principal),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
