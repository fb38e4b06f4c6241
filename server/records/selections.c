#include "server/records/selections.h"

#include <string.h>

#include "server/records/desired_load.h"
#include "server/records/wire.h"

/* A pin on its way. */
struct pin {
	struct decision *d;
	Sluice__Store__V1__AppRecord *app;
	uint32_t environment;
	Sluice__Store__V1__InstanceRecord *instance; /* NULL: the whole environment's */
	Sluice__Store__V1__SelectionRecord *stored;  /* NULL: none */
};

struct record_key selection_key(uint32_t workspace, const char *app_id, uint32_t environment,
				const char *instance_id)
{
	return KEY(workspace, key_text(k, app_id), key_u32(k, environment),
		   key_text(k, instance_id));
}

static const char *instance_id(const struct pin *p)
{
	return p->instance != NULL ? p->instance->id : "";
}

static struct record_key key_of_pin(const struct pin *p)
{
	return selection_key(p->d->workspace, p->app->id, p->environment, instance_id(p));
}

/* --- which ------------------------------------------------------------------------ */

static sl_code find_instance(struct pin *p, const char *name_or_id, struct sl_err *err)
{
	struct decision *d = p->d;
	if (name_or_id[0] == '\0') {
		return SL_OK;
	}
	sl_code code =
	    instance_find(d->view, d->arena, d->workspace, name_or_id, &p->instance, err);
	if (code != SL_OK || p->instance->environment == p->environment) {
		return code;
	}
	return sl_err_because(
	    err, SL_FAILED_PRECONDITION, SL_REASON_NOT_SUPPORTED_THERE,
	    "instance '%s' is of %s, not of %s: a pin there names an instance of %s or none",
	    p->instance->name, environment_name(p->instance->environment),
	    environment_name(p->environment), environment_name(p->environment));
}

static sl_code find(struct pin *p, const struct selection_place *place, struct sl_err *err)
{
	struct decision *d = p->d;
	sl_code code = app_find(d->view, d->arena, d->workspace, place->app, &p->app, err);
	code = code != SL_OK ? code : environment_find(place->environment, &p->environment, err);
	if (code == SL_OK && p->environment == ENV_PRODUCTION) {
		return sl_err_because(err, SL_FAILED_PRECONDITION, SL_REASON_NOT_SUPPORTED_THERE,
				      "%s runs the version that is released: there are no pins "
				      "there, release a version instead",
				      environment_name(p->environment));
	}
	code = code != SL_OK ? code : find_instance(p, place->instance, err);
	if (code != SL_OK) {
		return code;
	}
	struct record_key key = key_of_pin(p);
	code = record_get(d->view, d->arena, TABLE_SELECTIONS, &key,
			  &sluice__store__v1__selection_record__descriptor, &p->stored, err);
	return code == SL_NOT_FOUND ? SL_OK : code;
}

static sl_code expect(const struct pin *p, struct sl_err *err)
{
	return decision_expect(p->d, "the selection of app", p->app->name,
			       p->stored != NULL ? p->stored->revision : 0, err);
}

static sl_code require_eligible(const struct pin *p,
				const Sluice__Store__V1__VersionRecord *version, struct sl_err *err)
{
	const struct decision *d = p->d;
	Sluice__Store__V1__PublicationRecord *publication = NULL;
	sl_code code = publication_get(d->view, d->arena, d->workspace, p->app->id, version->number,
				       &publication, err);
	if (code != SL_OK && code != SL_NOT_FOUND) {
		return code;
	}
	struct desired_version seen = desired_version_of(version, publication);
	enum desired_bar bar = desired_bar(&seen, p->environment);
	if (bar == DESIRED_ELIGIBLE) {
		return SL_OK;
	}
	return sl_err_because(err, SL_FAILED_PRECONDITION, SL_REASON_NOT_ELIGIBLE,
			      "version '%s' of app '%s' may not run in %s: it %s", version->name,
			      p->app->name, environment_name(p->environment),
			      desired_bar_text(bar));
}

/* --- what is told -------------------------------------------------------------------- */

static Sluice__V1__Selection *told(struct sl_arena *arena, const Sluice__Store__V1__AppRecord *app,
				   uint32_t environment,
				   const Sluice__Store__V1__SelectionRecord *record)
{
	Sluice__V1__Selection *selection = SL_ARENA_NEW(arena, Sluice__V1__Selection);
	if (selection == NULL) {
		return NULL;
	}
	sluice__v1__selection__init(selection);
	selection->app_id = app->id;
	selection->app = app->name;
	selection->environment = (char *)environment_name(environment);
	selection->at = wire_time(arena, record->at_ms);
	selection->by = record->by;
	selection->revision = record->revision;
	return selection;
}

static void pin_event(const struct pin *p, Sluice__V1__EventType type,
		      Sluice__V1__Selection *selection)
{
	Sluice__V1__Event *event =
	    decision_event(p->d, type, SLUICE__V1__EVENT_KIND__EVENT_KIND_SELECTION, p->app->id,
			   p->environment, instance_id(p));
	event->object_case = SLUICE__V1__EVENT__OBJECT_SELECTION;
	event->selection = selection;
}

/* --- select ---------------------------------------------------------------------------- */

static sl_code write_pin(const struct pin *p, const Sluice__Store__V1__VersionRecord *version,
			 Sluice__V1__Selection **ret_selection, struct sl_err *err)
{
	struct decision *d = p->d;
	bool same = p->stored != NULL && p->stored->version == version->number;
	Sluice__Store__V1__SelectionRecord record = SLUICE__STORE__V1__SELECTION_RECORD__INIT;
	record.version = version->number;
	record.at_ms = d->now_ms;
	record.by = (char *)d->principal;
	record.revision = d->revision;
	Sluice__V1__Selection *selection =
	    told(d->arena, p->app, p->environment, same ? p->stored : &record);
	if (selection == NULL) {
		return sl_err_no_memory(err);
	}
	selection->instance = p->instance != NULL ? p->instance->name : selection->instance;
	selection->version = wire_version_ref(d->arena, version);
	selection->in_force = true;
	*ret_selection = selection;
	if (same) {
		return SL_OK;
	}
	struct record_key key = key_of_pin(p);
	decision_put(d, TABLE_SELECTIONS, &key, &record.base);
	pin_event(p,
		  p->stored == NULL ? SLUICE__V1__EVENT_TYPE__EVENT_TYPE_CREATED
				    : SLUICE__V1__EVENT_TYPE__EVENT_TYPE_UPDATED,
		  selection);
	return SL_OK;
}

sl_code selections_decide_select(struct decision *d, const struct selection_place *place,
				 const char *version, Sluice__V1__Selection **ret_selection,
				 struct sl_err *err)
{
	struct pin p = {.d = d};
	Sluice__Store__V1__VersionRecord *record = NULL;
	sl_code code = find(&p, place, err);
	code = code != SL_OK
		   ? code
		   : version_find(d->view, d->arena, d->workspace, p.app, version, &record, err);
	code = code != SL_OK ? code : expect(&p, err);
	code = code != SL_OK ? code : require_eligible(&p, record, err);
	return code != SL_OK ? code : write_pin(&p, record, ret_selection, err);
}

/* --- clear ----------------------------------------------------------------------------- */

/* The app's input as it is once the pin is gone. */
static void without_pin(const struct pin *p, struct desired_input *input)
{
	struct desired_pin *pins =
	    SL_ARENA_ARRAY(p->d->arena, struct desired_pin, input->pin_count + 1);
	size_t count = 0;
	for (size_t i = 0; pins != NULL && i < input->pin_count; i++) {
		const struct desired_pin *pin = &input->pins[i];
		if (pin->environment != p->environment ||
		    strcmp(pin->instance_id, instance_id(p)) != 0) {
			pins[count++] = *pin;
		}
	}
	input->pins = pins;
	input->pin_count = count;
}

static sl_code find_selected(const struct pin *p, Sluice__V1__VersionRef **ret_selected,
			     struct sl_err *err)
{
	const struct decision *d = p->d;
	struct desired_app app;
	struct desired_choice choice;
	sl_code code = desired_load(d->view, d->arena, d->workspace, p->app->id, &app, err);
	if (code != SL_OK) {
		return code;
	}
	without_pin(p, &app.input);
	desired_choose(&app.input, p->environment, instance_id(p), &choice);
	const Sluice__Store__V1__VersionRecord *selected =
	    desired_version_record(&app, choice.selected);
	*ret_selected = selected != NULL ? wire_version_ref(d->arena, selected) : NULL;
	return SL_OK;
}

sl_code selections_decide_clear(struct decision *d, const struct selection_place *place,
				Sluice__V1__VersionRef **ret_selected, struct sl_err *err)
{
	struct pin p = {.d = d};
	sl_code code = find(&p, place, err);
	code = code != SL_OK ? code : expect(&p, err);
	code = code != SL_OK ? code : find_selected(&p, ret_selected, err);
	if (code != SL_OK || p.stored == NULL) {
		return code;
	}
	struct wire wire = wire_of(d);
	Sluice__V1__Selection *gone = told(d->arena, p.app, p.environment, p.stored);
	if (gone == NULL) {
		return sl_err_no_memory(err);
	}
	gone->instance = p.instance != NULL ? p.instance->name : gone->instance;
	gone->version = wire_version_ref_get(&wire, p.app->id, p.stored->version);
	struct record_key key = key_of_pin(&p);
	decision_delete(d, TABLE_SELECTIONS, &key);
	pin_event(&p, SLUICE__V1__EVENT_TYPE__EVENT_TYPE_DELETED, gone);
	return SL_OK;
}

/* --- list ------------------------------------------------------------------------------ */

/* The instance of a pin by its id; its name, or the id when it is gone. */
static sl_code name_instance(const struct wire *w, const char *id, char **ret_name,
			     struct sl_err *err)
{
	Sluice__Store__V1__InstanceRecord *instance = NULL;
	sl_code code = instance_get(w->view, w->arena, w->workspace, id, &instance, err);
	if (code != SL_OK && code != SL_NOT_FOUND) {
		return code;
	}
	*ret_name = code == SL_OK ? instance->name : (char *)id;
	return SL_OK;
}

static sl_code add_version(const struct wire *w, const Sluice__Store__V1__SelectionRecord *record,
			   uint32_t environment, Sluice__V1__Selection *selection,
			   struct sl_err *err)
{
	Sluice__Store__V1__VersionRecord *version = NULL;
	Sluice__Store__V1__PublicationRecord *publication = NULL;
	sl_code code = version_get(w->view, w->arena, w->workspace, selection->app_id,
				   record->version, &version, err);
	if (code == SL_OK) {
		code = publication_get(w->view, w->arena, w->workspace, selection->app_id,
				       record->version, &publication, err);
	}
	if (code != SL_OK && code != SL_NOT_FOUND) {
		return code;
	}
	if (version != NULL) {
		struct desired_version seen = desired_version_of(version, publication);
		selection->version = wire_version_ref(w->arena, version);
		selection->in_force = desired_eligible(&seen, environment);
	}
	return SL_OK;
}

sl_code selections_wire(const struct wire *in, const Sluice__Store__V1__AppRecord *app,
			struct sl_bytes key, struct sl_bytes value,
			Sluice__V1__Selection **ret_selection, struct sl_err *err)
{
	struct record_key prefix = KEY(in->workspace, key_text(k, app->id));
	struct sl_bytes rest = SL_BYTES(key.data + prefix.size, key.size - prefix.size);
	Sluice__Store__V1__SelectionRecord *record = NULL;
	sl_code code = record_unpack(
	    in->arena, value, &sluice__store__v1__selection_record__descriptor, &record, err);
	if (code != SL_OK) {
		return code;
	}
	uint32_t environment = sl_get_be32(rest.data);
	char *id = sl_arena_dup(in->arena, rest.data + 4, rest.size - 4);
	Sluice__V1__Selection *selection =
	    id != NULL ? told(in->arena, app, environment, record) : NULL;
	if (selection == NULL) {
		return sl_err_no_memory(err);
	}
	if (id[0] != '\0') {
		code = name_instance(in, id, &selection->instance, err);
	}
	code = code != SL_OK ? code : add_version(in, record, environment, selection, err);
	if (code == SL_OK) {
		*ret_selection = selection;
	}
	return code;
}
