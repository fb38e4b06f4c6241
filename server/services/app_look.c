/* An app as it is meant to run beside what instances say of it; see fleet_internal.h. */
#include <string.h>

#include "server/records/wire.h"
#include "server/services/fleet_internal.h"

const char *phase_name(Sluice__V1__Phase phase)
{
	static const char *const names[FLEET_PHASE_COUNT] = {
	    "not reported", "PENDING",   "FETCHING", "VERIFYING", "STAGED",     "ACTIVATING",
	    "HEALTHY",      "NOT_READY", "DEGRADED", "FAILED",    "ROLLED_BACK"};
	return (unsigned)phase < FLEET_PHASE_COUNT ? names[phase] : "unknown";
}

const char *liveness_name(Sluice__V1__Liveness liveness)
{
	static const char *const names[FLEET_LIVENESS_COUNT] = {"unknown", "NEVER", "ONLINE",
								"LATE", "OFFLINE"};
	return (unsigned)liveness < FLEET_LIVENESS_COUNT ? names[liveness] : "unknown";
}

struct app_look_memory {
	Sluice__Store__V1__VersionRecord *versions[8]; /* NULL: none */
	unsigned next;
};

sl_code app_look_load(const struct store_view *view, struct sl_arena *arena, uint32_t workspace,
		      const Sluice__Store__V1__AppRecord *app, struct app_look *ret_look,
		      struct sl_err *err)
{
	*ret_look = (struct app_look){.arena = arena,
				      .app = app,
				      .view = view,
				      .workspace = workspace,
				      .memory = SL_ARENA_NEW(arena, struct app_look_memory)};
	if (ret_look->memory == NULL) {
		return sl_err_no_memory(err);
	}
	sl_code code = desired_load(view, arena, workspace, app->id, &ret_look->desired, err);
	if (code != SL_OK) {
		return code;
	}
	const struct desired_input *input = &ret_look->desired.input;
	for (uint32_t environment = 1; environment <= ENV_COUNT; environment++) {
		desired_choose(input, environment, NULL, &ret_look->choices[environment]);
	}
	for (size_t i = 0; i < input->pin_count; i++) {
		ret_look->instance_pins =
		    ret_look->instance_pins || input->pins[i].instance_id[0] != '\0';
	}
	return SL_OK;
}

uint32_t app_look_number(const struct app_look *look,
			 const Sluice__Store__V1__InstanceRecord *instance)
{
	if (instance->environment > ENV_COUNT) {
		return 0;
	}
	if (!look->instance_pins || instance->environment == ENV_PRODUCTION) {
		return look->choices[instance->environment].selected;
	}
	struct desired_choice choice;
	desired_choose(&look->desired.input, instance->environment, instance->id, &choice);
	return choice.selected;
}

const char *app_look_id(const struct app_look *look, uint32_t number)
{
	const struct desired_version *version =
	    number == 0 ? NULL : desired_find(&look->desired.input, number);
	return version == NULL ? "" : version->id;
}

Sluice__V1__VersionRef *app_look_ref(const struct app_look *look, uint32_t number)
{
	const Sluice__Store__V1__VersionRecord *version =
	    number == 0 ? NULL : desired_version_record(&look->desired, number);
	return version == NULL ? NULL : wire_version_ref(look->arena, version);
}

static const Sluice__Store__V1__VersionRecord *
version_among(Sluice__Store__V1__VersionRecord *const *versions, size_t count, const char *id)
{
	for (size_t i = 0; i < count; i++) {
		if (versions[i] != NULL && strcmp(versions[i]->id, id) == 0) {
			return versions[i];
		}
	}
	return NULL;
}

const Sluice__Store__V1__VersionRecord *app_look_version_of_id(const struct app_look *look,
							       const char *id)
{
	struct app_look_memory *memory = look->memory;
	Sluice__Store__V1__VersionRecord *found = NULL;
	const Sluice__Store__V1__VersionRecord *known =
	    version_among(look->desired.versions, look->desired.input.version_count, id);
	known =
	    known != NULL ? known : version_among(memory->versions, SL_COUNT(memory->versions), id);
	if (known != NULL || id[0] == '\0' ||
	    version_find(look->view, look->arena, look->workspace, look->app, id, &found, NULL) !=
		SL_OK) {
		return known;
	}
	memory->versions[memory->next++ % SL_COUNT(memory->versions)] = found;
	return found;
}

Sluice__V1__VersionRef *app_look_ref_of_id(const struct app_look *look, const char *id)
{
	const Sluice__Store__V1__VersionRecord *version = app_look_version_of_id(look, id);
	if (version != NULL) {
		return wire_version_ref(look->arena, version);
	}
	Sluice__V1__VersionRef *ref =
	    id[0] == '\0' ? NULL : SL_ARENA_NEW(look->arena, Sluice__V1__VersionRef);
	if (ref != NULL) {
		sluice__v1__version_ref__init(ref);
		ref->id = sl_arena_strdup(look->arena, id);
	}
	return ref;
}

static void copy_staged(struct sl_arena *arena, const struct fleet_standing *standing,
			Sluice__V1__InstanceStatus *status)
{
	status->staged = SL_ARENA_ARRAY(arena, char *, standing->staged_count + 1);
	for (size_t i = 0; status->staged != NULL && i < standing->staged_count; i++) {
		status->staged[i] = sl_arena_strdup(arena, standing->staged[i]);
		status->n_staged++;
	}
}

static Sluice__V1__Drift *copy_drift(struct sl_arena *arena, const Sluice__V1__Drift *from)
{
	Sluice__V1__Drift *drift = from == NULL ? NULL : SL_ARENA_NEW(arena, Sluice__V1__Drift);
	if (drift == NULL) {
		return NULL;
	}
	sluice__v1__drift__init(drift);
	drift->modified = from->modified;
	drift->corrected = from->corrected;
	drift->files = SL_ARENA_ARRAY(arena, char *, from->n_files + 1);
	for (size_t i = 0; drift->files != NULL && i < from->n_files; i++) {
		drift->files[drift->n_files++] = sl_arena_strdup(arena, from->files[i]);
	}
	return drift;
}

static char **copy_texts(struct sl_arena *arena, char *const *from, size_t count)
{
	char **texts = SL_ARENA_ARRAY(arena, char *, count + 1);
	for (size_t i = 0; texts != NULL && i < count; i++) {
		texts[i] = sl_arena_strdup(arena, from[i]);
	}
	return texts;
}

/* As its agent said, with what the server knows. NULL: nothing is required there. */
static Sluice__V1__HeldConfig *look_at_config(struct sl_arena *arena,
					      const struct fleet_standing *standing)
{
	static const Sluice__V1__HeldConfig nothing = SLUICE__V1__HELD_CONFIG__INIT;
	const Sluice__V1__HeldConfig *from = standing->config != NULL ? standing->config : &nothing;
	bool told = standing->config_required || standing->config != NULL;
	Sluice__V1__HeldConfig *held = told ? SL_ARENA_NEW(arena, Sluice__V1__HeldConfig) : NULL;
	if (held == NULL) {
		return NULL;
	}
	*held = *from;
	held->base.unknown_fields = NULL;
	held->base.n_unknown_fields = 0;
	held->stamp.data = sl_arena_dup(arena, from->stamp.data, from->stamp.len);
	held->stamp.len = held->stamp.data != NULL ? from->stamp.len : 0;
	held->missing = copy_texts(arena, from->missing, from->n_missing);
	held->n_missing = held->missing != NULL ? from->n_missing : 0;
	held->overrides = copy_texts(arena, from->overrides, from->n_overrides);
	held->n_overrides = held->overrides != NULL ? from->n_overrides : 0;
	held->error = sl_arena_strdup(
	    arena, standing->config_error[0] != '\0' ? standing->config_error : from->error);
	held->current = standing->config_current;
	return held;
}

Sluice__V1__InstanceStatus *app_look_status(const struct app_look *look,
					    const struct fleet_standing *standing)
{
	struct sl_arena *arena = look->arena;
	const Sluice__Store__V1__InstanceRecord *instance = standing->instance;
	Sluice__V1__InstanceStatus *status = SL_ARENA_NEW(arena, Sluice__V1__InstanceStatus);
	if (status == NULL) {
		return NULL;
	}
	uint32_t number =
	    desired_is_placed(look->app, instance) ? app_look_number(look, instance) : 0;
	sluice__v1__instance_status__init(status);
	status->instance_id = sl_arena_strdup(arena, instance->id);
	status->instance = sl_arena_strdup(arena, instance->name);
	status->environment = (char *)environment_name(instance->environment);
	status->app_id = look->app->id;
	status->app = look->app->name;
	status->desired = app_look_ref(look, number);
	status->active = app_look_ref_of_id(look, standing->active_version_id);
	status->subject = app_look_ref_of_id(look, standing->version_id);
	status->phase = standing->phase;
	status->attempt = standing->attempt;
	status->error_class = standing->error_class;
	status->error = sl_arena_strdup(arena, standing->error);
	status->percent = standing->percent;
	status->at = wire_time(arena, standing->at_ms);
	status->liveness = standing->liveness;
	struct fleet_standing reached = *standing; /* converged says nothing of the connection */
	reached.liveness = SLUICE__V1__LIVENESS__LIVENESS_ONLINE;
	status->converged =
	    standing->known && fleet_judge(&reached, app_look_id(look, number)) == FLEET_OK;
	copy_staged(arena, standing, status);
	status->paused = instance->paused;
	status->orphaned = standing->orphaned;
	const Sluice__Store__V1__VersionRecord *held = app_look_held(look, standing);
	status->drift = copy_drift(arena, standing->drift);
	status->config = look_at_config(arena, standing);
	status->update = held == NULL ? NULL : wire_version_ref(arena, held);
	status->working_copy = fleet_working_copy_dup(arena, standing->working_copy);
	return status;
}
