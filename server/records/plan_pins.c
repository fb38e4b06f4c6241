#include "server/records/plans.h"

#include <string.h>

#include "server/records/selections.h"

enum { PINS_MAX = 100 }; /* of instances, told of one plan */

/* One pin of the target that is in force for another version. */
static sl_code add_pin(const struct plan_base *base, const struct plan *plan,
		       const struct store_walk *walk, struct plan_pins *pins, struct sl_err *err)
{
	Sluice__V1__Selection *pin = NULL;
	sl_code code = selections_wire(&base->in, base->app, walk->key, walk->value, &pin, err);
	if (code != SL_OK || !pin->in_force || pin->version == NULL ||
	    strcmp(pin->version->id, plan->version->id) == 0) {
		return code;
	}
	if (pin->instance[0] == '\0') {
		pins->environment = pin->version;
	} else if (pins->instance_count < PINS_MAX) {
		pins->instances[pins->instance_count++] = pin;
	}
	return SL_OK;
}

sl_code plan_pins(const struct plan_base *base, const struct plan *plan, struct plan_pins *ret_pins,
		  struct sl_err *err)
{
	struct record_key prefix =
	    KEY(base->in.workspace, key_text(k, base->app->id), key_u32(k, plan->target));
	struct plan_pins pins = {
	    .instances = SL_ARENA_ARRAY(base->in.arena, Sluice__V1__Selection *, PINS_MAX)};
	if (pins.instances == NULL) {
		return sl_err_no_memory(err);
	}
	SL_AUTO(store_walk_end) struct store_walk walk;
	sl_code code = SL_OK;
	store_walk_begin(&walk, base->in.view, TABLE_SELECTIONS, key_bytes(&prefix), STORE_FORWARD);
	while (code == SL_OK && store_walk_next(&walk)) {
		code = add_pin(base, plan, &walk, &pins, err);
	}
	code = code != SL_OK ? code : store_walk_result(&walk, err);
	if (code == SL_OK) {
		*ret_pins = pins;
	}
	return code;
}
