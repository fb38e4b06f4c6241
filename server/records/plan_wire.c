/* Plans and gates as the API tells them. */
#include "server/records/desired_load.h"
#include "server/records/plans.h"

static Sluice__V1__Gate *wire_gate(struct sl_arena *arena, const struct gate *gate)
{
	Sluice__V1__Gate *wire = SL_ARENA_NEW(arena, Sluice__V1__Gate);
	char **evidence = SL_ARENA_ARRAY(arena, char *, GATES_EVIDENCE_MAX);
	if (wire == NULL || evidence == NULL) {
		return NULL;
	}
	sluice__v1__gate__init(wire);
	wire->id = (char *)gate->id;
	wire->kind = (Sluice__V1__GateKind)gate->kind;
	wire->state = (Sluice__V1__GateState)gate->state;
	wire->reason = (char *)gate->reason;
	wire->cleared_by = (char *)gate->cleared_by;
	wire->clears_at = wire_time(arena, gate->clears_at_ms);
	wire->evidence = evidence;
	for (size_t i = 0; i < gate->evidence_count; i++) {
		evidence[wire->n_evidence++] = (char *)gate->evidence[i];
	}
	return wire;
}

/* All of them, or those that warn. */
static Sluice__V1__Gate **wire_gates(struct sl_arena *arena, const struct gates *gates,
				     bool warnings_only, size_t *ret_count)
{
	Sluice__V1__Gate **list = SL_ARENA_ARRAY(arena, Sluice__V1__Gate *, gates->count + 1);
	size_t count = 0;
	for (size_t i = 0; list != NULL && i < gates->count; i++) {
		const struct gate *gate = &gates->items[i];
		if (warnings_only && gate->state != GATE_WARN) {
			continue;
		}
		list[count] = wire_gate(arena, gate);
		if (list[count] == NULL) {
			break;
		}
		count++;
	}
	*ret_count = count;
	return list;
}

Sluice__V1__Gate **plan_warnings(const struct plan *plan, struct sl_arena *arena, size_t *ret_count)
{
	return wire_gates(arena, &plan->gates, true, ret_count);
}

/* What the target runs now, and how many of its instances have the version. */
static sl_code add_outlook(const struct plan_base *base, const struct plan *plan,
			   Sluice__V1__Plan *wire, struct sl_err *err)
{
	struct desired_app app;
	struct desired_reach reach = {.instances = plan->input.instances,
				      .staged = plan->input.staged};
	struct desired_choice choice;
	sl_code code = desired_load(base->in.view, base->in.arena, base->in.workspace,
				    base->app->id, &app, err);
	/* A release's plan has counted already, for its gate: that walks all instances. */
	if (code == SL_OK && plan->input.action != GATES_RELEASE) {
		code = desired_count_staged(&base->in, base->app, plan->target, plan->version->id,
					    &reach, err);
	}
	if (code != SL_OK) {
		return code;
	}
	desired_choose(&app.input, plan->target, NULL, &choice);
	const Sluice__Store__V1__VersionRecord *current =
	    desired_version_record(&app, choice.selected);
	wire->current = current != NULL ? wire_version_ref(base->in.arena, current) : NULL;
	wire->instances = reach.instances;
	wire->staged = reach.staged;
	struct plan_pins pins = {.environment = NULL};
	code = plan->input.action == GATES_PROMOTE ? plan_pins(base, plan, &pins, err) : SL_OK;
	wire->pinned = pins.environment;
	wire->pinned_instances = pins.instances;
	wire->n_pinned_instances = pins.instance_count;
	return code;
}

sl_code plan_wire(const struct plan_base *base, const struct plan *plan,
		  Sluice__V1__Plan **ret_plan, struct sl_err *err)
{
	Sluice__V1__Plan *wire = SL_ARENA_NEW(base->in.arena, Sluice__V1__Plan);
	if (wire == NULL) {
		return sl_err_no_memory(err);
	}
	sluice__v1__plan__init(wire);
	wire->action = (Sluice__V1__PlanAction)plan->input.action;
	wire->app = plan->app->name;
	wire->app_id = plan->app->id;
	wire->version = wire_version_ref(base->in.arena, plan->version);
	wire->source = (char *)plan->input.source.name;
	wire->target = (char *)plan->input.target.name;
	wire->gates = wire_gates(base->in.arena, &plan->gates, false, &wire->n_gates);
	wire->allowed = gates_allow(&plan->gates);
	wire->plan_hash.data = sl_arena_dup(base->in.arena, plan->hash, sizeof(plan->hash));
	wire->plan_hash.len = wire->plan_hash.data != NULL ? sizeof(plan->hash) : 0;
	wire->skipped = plan->skipped;
	wire->n_skipped = plan->skipped_count;
	wire->revision = store_view_revision(base->in.view);
	sl_code code = add_outlook(base, plan, wire, err);
	if (code == SL_OK) {
		*ret_plan = wire;
	}
	return code;
}
