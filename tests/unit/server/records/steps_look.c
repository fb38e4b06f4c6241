/* Looking at what the commands of steps.h left. */
#include "tests/unit/server/records/steps.h"

#include "server/records/versions.h"

/* The view stays open until the end of the expression that reads: records lie in the arena. */
static struct wire look(struct steps *s)
{
	const struct store_view *view = NULL;
	assert_int_equal(store_view_begin(s->store, &view, NULL), SL_OK);
	return (struct wire){.view = view, .arena = &s->arena, .workspace = STEPS_WORKSPACE};
}

Sluice__Store__V1__AppRecord *steps_app(struct steps *s)
{
	struct wire in = look(s);
	Sluice__Store__V1__AppRecord *app = NULL;
	assert_int_equal(app_find(in.view, in.arena, in.workspace, "shop", &app, NULL), SL_OK);
	store_view_end(in.view);
	return app;
}

Sluice__Store__V1__VersionRecord *steps_get(struct steps *s, const char *version)
{
	const Sluice__Store__V1__AppRecord *app = steps_app(s);
	struct wire in = look(s);
	Sluice__Store__V1__VersionRecord *record = NULL;
	assert_int_equal(version_find(in.view, in.arena, in.workspace, app, version, &record, NULL),
			 SL_OK);
	store_view_end(in.view);
	return record;
}

Sluice__Store__V1__FactsRecord *steps_facts(struct steps *s, const char *version,
					    uint32_t environment)
{
	const Sluice__Store__V1__VersionRecord *record = steps_get(s, version);
	struct wire in = look(s);
	Sluice__Store__V1__FactsRecord *facts = NULL;
	sl_code code = facts_get(&in, record, environment, &facts, NULL);
	store_view_end(in.view);
	return code == SL_OK ? facts : NULL;
}

Sluice__Store__V1__ReleaseRecord *steps_pointer(struct steps *s)
{
	const Sluice__Store__V1__AppRecord *app = steps_app(s);
	struct wire in = look(s);
	Sluice__Store__V1__ReleaseRecord *release = NULL;
	sl_code code = release_get(in.view, in.arena, in.workspace, app->id, &release, NULL);
	store_view_end(in.view);
	return code == SL_OK ? release : NULL;
}

static sl_code plan_in(struct steps *s, const struct plan_base *base, enum gates_action action,
		       const char *version, struct plan *ret_plan)
{
	Sluice__Store__V1__VersionRecord *record = NULL;
	if (action == GATES_ROLLBACK) {
		return plan_rollback(base, version, ret_plan, &s->err);
	}
	sl_code code = version_find(base->in.view, base->in.arena, base->in.workspace, base->app,
				    version, &record, &s->err);
	assert_int_equal(code, SL_OK);
	return action == GATES_RELEASE ? plan_release(base, record, ret_plan, &s->err)
				       : plan_promote(base, record, 0, ret_plan, &s->err);
}

sl_code steps_plan(struct steps *s, enum gates_action action, const char *version,
		   struct plan *ret_plan)
{
	const Sluice__Store__V1__AppRecord *app = steps_app(s);
	struct wire in = look(s);
	struct plan_base base;
	sl_err_clear(&s->err);
	assert_int_equal(plan_base_load(&in, app, NULL, &base, NULL), SL_OK);
	s->revision = 0;
	s->code = plan_in(s, &base, action, version, ret_plan);
	store_view_end(in.view);
	return s->code;
}

Sluice__V1__Plan *steps_plan_wire(struct steps *s, enum gates_action action, const char *version)
{
	const Sluice__Store__V1__AppRecord *app = steps_app(s);
	struct wire in = look(s);
	struct plan_base base;
	struct plan plan;
	Sluice__V1__Plan *wire = NULL;
	assert_int_equal(plan_base_load(&in, app, NULL, &base, NULL), SL_OK);
	assert_int_equal(plan_in(s, &base, action, version, &plan), SL_OK);
	assert_int_equal(plan_wire(&base, &plan, &wire, NULL), SL_OK);
	store_view_end(in.view);
	return wire;
}

static const char *name_of(const struct desired_app *app, uint32_t number)
{
	const Sluice__Store__V1__VersionRecord *version = desired_version_record(app, number);
	return version != NULL ? version->name : "none";
}

const char *steps_desired(struct steps *s, uint32_t environment, const char *instance_id)
{
	static const char *const by[] = {"nothing", "entry", "pin", "instance's pin", "release"};
	const Sluice__Store__V1__AppRecord *shop = steps_app(s);
	struct wire in = look(s);
	struct desired_app app;
	struct desired_choice choice;
	assert_int_equal(desired_load(in.view, in.arena, in.workspace, shop->id, &app, NULL),
			 SL_OK);
	store_view_end(in.view);
	desired_choose(&app.input, environment, instance_id, &choice);
	const char *text = sl_arena_printf(&s->arena, "%s by %s keeps",
					   name_of(&app, choice.selected), by[choice.by]);
	for (size_t i = 0; i < choice.keep_count; i++) {
		text = sl_arena_printf(&s->arena, "%s %s", text, name_of(&app, choice.keep[i]));
	}
	return text;
}
