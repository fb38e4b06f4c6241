/* The three methods of FleetService that are about pins; the fleet's table refers to them. */
#include "base/mem/own.h"
#include "server/records/selections.h"
#include "server/services/moves.h"
#include "server/services/service.h"
#include "sluice/v1/fleet.pb-c.h"

static sl_code check_place(const char *app, const char *environment, const char *instance,
			   struct sl_err *err)
{
	sl_code code = check_reference("app", app, err);
	code = code != SL_OK ? code : check_reference("environment", environment, err);
	return code != SL_OK || instance[0] == '\0' ? code
						    : check_reference("instance", instance, err);
}

/* --- SelectVersion ------------------------------------------------------------------- */

sl_code selection_select_check(const void *message, struct sl_err *err)
{
	const Sluice__V1__SelectVersionRequest *request = message;
	sl_code code = check_place(request->app, request->environment, request->instance, err);
	return code != SL_OK ? code : check_reference("version", request->version, err);
}

sl_code selection_select_decide(struct decision *d, const void *message, void *reply,
				struct sl_err *err)
{
	const Sluice__V1__SelectVersionRequest *request = message;
	Sluice__V1__SelectVersionResponse *response = reply;
	struct selection_place place = {.app = request->app,
					.environment = request->environment,
					.instance = request->instance};
	return selections_decide_select(d, &place, request->version, &response->selection, err);
}

/* --- ClearSelection ------------------------------------------------------------------ */

sl_code selection_clear_check(const void *message, struct sl_err *err)
{
	const Sluice__V1__ClearSelectionRequest *request = message;
	return check_place(request->app, request->environment, request->instance, err);
}

sl_code selection_clear_decide(struct decision *d, const void *message, void *reply,
			       struct sl_err *err)
{
	const Sluice__V1__ClearSelectionRequest *request = message;
	Sluice__V1__ClearSelectionResponse *response = reply;
	struct selection_place place = {.app = request->app,
					.environment = request->environment,
					.instance = request->instance};
	return selections_decide_clear(d, &place, &response->selected, err);
}

/* --- ListSelections ------------------------------------------------------------------ */

sl_code selection_list_check(const void *message, struct sl_err *err)
{
	const Sluice__V1__ListSelectionsRequest *request = message;
	return check_reference("app", request->app, err);
}

static sl_code list_pins(struct service_read *read, const Sluice__Store__V1__AppRecord *app,
			 const struct service_page *page,
			 Sluice__V1__ListSelectionsResponse *response, struct sl_err *err)
{
	struct wire in = service_wire(read);
	struct record_key prefix = KEY(read->workspace, key_text(k, app->id));
	struct sl_bytes next = SL_BYTES_NONE;
	SL_AUTO(store_walk_end) struct store_walk walk;
	store_walk_begin(&walk, read->view, TABLE_SELECTIONS, key_bytes(&prefix), STORE_FORWARD);
	if (page->from.size > 0) {
		store_walk_from(&walk, page->from);
	}
	response->selections = SL_ARENA_ARRAY(read->arena, Sluice__V1__Selection *, page->size);
	while (response->selections != NULL && store_walk_next(&walk)) {
		if (response->n_selections == page->size) {
			next = walk.key;
			break;
		}
		Sluice__V1__Selection **at = &response->selections[response->n_selections];
		sl_code code = selections_wire(&in, app, walk.key, walk.value, at, err);
		if (code != SL_OK) {
			return code;
		}
		response->n_selections++;
	}
	response->page = service_page_end(read, page, next);
	return store_walk_result(&walk, err);
}

sl_code selection_list_read(struct service_read *read, const void *message, void *reply,
			    struct sl_err *err)
{
	const Sluice__V1__ListSelectionsRequest *request = message;
	Sluice__V1__ListSelectionsResponse *response = reply;
	Sluice__Store__V1__AppRecord *app = NULL;
	struct service_page page;
	sl_code code = app_find(read->view, read->arena, read->workspace, request->app, &app, err);
	if (code != SL_OK) {
		return code;
	}
	const char *scope = sl_arena_printf(read->arena, "ListSelections %s", app->id);
	if (scope == NULL) {
		return sl_err_no_memory(err);
	}
	code = service_page_begin(read, request->page, scope, &page, err);
	return code != SL_OK ? code : list_pins(read, app, &page, response, err);
}
