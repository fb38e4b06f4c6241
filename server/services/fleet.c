/* FleetService: instances; what runs where is in status.c, why in explain.c, until when in wait.c,
 * pins in selection.c. */
#include "server/fleet/fleet.h"
#include "base/clock/clock.h"
#include "base/mem/own.h"
#include "server/records/identities.h"
#include "server/records/instances.h"
#include "server/records/pushes.h"
#include "server/services/enrolment.h"
#include "server/services/fleet_internal.h"
#include "server/services/moves.h"
#include "server/services/service.h"

/* --- labels: the entries of any request, as keys and values ----------------------- */

enum { LABELS_ROOM = INSTANCE_LABELS_MAX + 1 }; /* one more than allowed is enough to refuse */

struct labels {
	char *keys[LABELS_ROOM], *values[LABELS_ROOM];
	size_t count;
};

/* Generated map entries all begin alike: base, key, value. */
static void read_labels(ProtobufCMessage *const *entries, size_t count, struct labels *labels)
{
	labels->count = count > LABELS_ROOM ? LABELS_ROOM : count;
	for (size_t i = 0; i < labels->count; i++) {
		const ProtobufCFieldDescriptor *fields = entries[i]->descriptor->fields;
		labels->keys[i] = *(char **)((uint8_t *)entries[i] + fields[0].offset);
		labels->values[i] = *(char **)((uint8_t *)entries[i] + fields[1].offset);
	}
}

static sl_code check_label_entries(ProtobufCMessage *const *entries, size_t count,
				   struct sl_err *err)
{
	struct labels labels;
	read_labels(entries, count, &labels);
	return check_labels("labels", labels.keys, labels.values, labels.count, INSTANCE_LABELS_MAX,
			    err);
}

#define ENTRIES(request) ((ProtobufCMessage *const *)(request)->labels), (request)->n_labels

static sl_code check_ways(Sluice__V1__PullMode pull, Sluice__V1__DriftPolicy drift,
			  struct sl_err *err)
{
	if ((unsigned)pull > SLUICE__V1__PULL_MODE__PULL_MODE_MANUAL) {
		return sl_err_malformed(err, "pull", "must be AUTO or MANUAL");
	}
	return (unsigned)drift <= SLUICE__V1__DRIFT_POLICY__DRIFT_POLICY_CORRECT
		   ? SL_OK
		   : sl_err_malformed(err, "drift", "must be REPORT or CORRECT");
}

/* In a command agents are left aside: they are not of the store, and a kept reply is for later. */
static Sluice__V1__Instance *answer(struct decision *d,
				    const Sluice__Store__V1__InstanceRecord *instance)
{
	return wire_instance(d->arena, instance);
}

/* --- RegisterInstance --------------------------------------------------------------- */

static sl_code register_check(const void *message, struct sl_err *err)
{
	const Sluice__V1__RegisterInstanceRequest *request = message;
	sl_code code = check_name("name", request->name, err);
	code = code != SL_OK ? code : check_reference("environment", request->environment, err);
	code = code != SL_OK ? code : check_label_entries(ENTRIES(request), err);
	code = code != SL_OK ? code : check_ways(request->pull, request->drift, err);
	return code != SL_OK ? code : instance_check_url(request->public_url, err);
}

static sl_code register_decide(struct decision *d, const void *message, void *reply,
			       struct sl_err *err)
{
	const Sluice__V1__RegisterInstanceRequest *request = message;
	Sluice__V1__RegisterInstanceResponse *response = reply;
	Sluice__Store__V1__InstanceRecord *instance = NULL;
	struct labels labels;
	read_labels(ENTRIES(request), &labels);
	struct instance_wish wish = {.name = request->name,
				     .environment = request->environment,
				     .label_keys = labels.keys,
				     .label_values = labels.values,
				     .label_count = labels.count,
				     .public_url = request->public_url,
				     .pull = request->pull,
				     .drift = request->drift};
	sl_code code = instances_decide_register(d, &wish, &instance, err);
	if (code == SL_OK) {
		response->instance = answer(d, instance);
	}
	return code;
}

/* --- GetInstance, ListInstances -------------------------------------------------------- */

static sl_code get_check(const void *message, struct sl_err *err)
{
	const Sluice__V1__GetInstanceRequest *request = message;
	return check_reference("instance", request->instance, err);
}

/* With what only fleet knows, and who its agent is. */
static sl_code with_agent(const struct service_read *read,
			  const Sluice__Store__V1__InstanceRecord *record,
			  Sluice__V1__Instance **ret_instance, struct sl_err *err)
{
	Sluice__Store__V1__IdentityRecord *identity = NULL;
	sl_code code = identity_of_instance(read->view, read->arena, record, &identity, err);
	Sluice__V1__Instance *instance = wire_instance(read->arena, record);
	if (code == SL_OK && instance != NULL) {
		instance->agent = fleet_agent_view(read->services->fleet, read->arena, record->id);
		instance->identity =
		    identity == NULL ? NULL : wire_instance_identity(read->arena, identity);
	}
	*ret_instance = instance;
	return code;
}

/* Of apps that the caller sees. */
static sl_code list_leases(const struct service_read *read, const char *instance_id,
			   Sluice__V1__GetInstanceResponse *response, struct sl_err *err)
{
	const struct wire wire = service_wire(read);
	size_t count = 0;
	sl_code code = leases_of_instance(&wire, instance_id, sl_clock_unix_ms(), &response->leases,
					  &count, err);
	for (size_t i = 0; code == SL_OK && i < count; i++) {
		if (service_sees_app(read, response->leases[i]->app_id)) {
			response->leases[response->n_leases++] = response->leases[i];
		}
	}
	return code;
}

static sl_code get_read(struct service_read *read, const void *message, void *reply,
			struct sl_err *err)
{
	const Sluice__V1__GetInstanceRequest *request = message;
	Sluice__V1__GetInstanceResponse *response = reply;
	Sluice__Store__V1__InstanceRecord *record = NULL;
	sl_code code = instance_find(read->view, read->arena, read->workspace, request->instance,
				     &record, err);
	if (code == SL_OK) {
		code = with_agent(read, record, &response->instance, err);
	}
	return code != SL_OK ? code : list_leases(read, record->id, response, err);
}

static sl_code list_check(const void *message, struct sl_err *err)
{
	const Sluice__V1__ListInstancesRequest *request = message;
	sl_code code = request->environment[0] == '\0'
			   ? SL_OK
			   : check_reference("environment", request->environment, err);
	return code != SL_OK ? code : check_label_entries(ENTRIES(request), err);
}

/* What the list is narrowed to. */
struct narrowing {
	uint32_t environment;
	Sluice__Store__V1__Label **labels;
	size_t label_count;
};

static bool passes(const struct narrowing *narrowing,
		   const Sluice__Store__V1__InstanceRecord *record)
{
	return (narrowing->environment == 0 || record->environment == narrowing->environment) &&
	       labels_match(narrowing->labels, narrowing->label_count, record->labels,
			    record->n_labels);
}

static sl_code list_by_name(struct service_read *read, const struct narrowing *narrowing,
			    const struct service_page *page,
			    Sluice__V1__ListInstancesResponse *response, struct sl_err *err)
{
	struct record_key prefix = key_of(read->workspace);
	struct sl_bytes next = SL_BYTES_NONE;
	SL_AUTO(store_walk_end) struct store_walk walk;
	response->instances = SL_ARENA_ARRAY(read->arena, Sluice__V1__Instance *, page->size);
	store_walk_begin(&walk, read->view, TABLE_INSTANCES_BY_NAME, key_bytes(&prefix),
			 STORE_FORWARD);
	if (page->from.size > 0) {
		store_walk_from(&walk, page->from);
	}
	while (response->instances != NULL && store_walk_next(&walk)) {
		const char *id = sl_arena_printf(read->arena, "%.*s", (int)walk.value.size,
						 (const char *)walk.value.data);
		Sluice__Store__V1__InstanceRecord *record = NULL;
		sl_code code = id == NULL ? SL_RESOURCE_EXHAUSTED
					  : instance_get(read->view, read->arena, read->workspace,
							 id, &record, err);
		if (code != SL_OK) {
			return code == SL_NOT_FOUND ? sl_err_set(err, SL_DATA_LOSS,
								 "an instance's name leads nowhere")
						    : code;
		}
		if (!passes(narrowing, record) ||
		    !rights_allow(read->rights, ACCESS_VIEW, NULL, record->environment)) {
			continue;
		}
		if (response->n_instances == page->size) {
			next = walk.key;
			break;
		}
		code = with_agent(read, record, &response->instances[response->n_instances], err);
		if (code != SL_OK) {
			return code;
		}
		response->n_instances++;
	}
	response->page = service_page_end(read, page, next);
	return store_walk_result(&walk, err);
}

/* Names the list and its filters, whatever order the labels came in. */
static const char *list_scope(struct sl_arena *arena, const struct narrowing *narrowing)
{
	const char *scope = sl_arena_printf(arena, "ListInstances %u", narrowing->environment);
	for (size_t i = 0; scope != NULL && i < narrowing->label_count; i++) {
		scope = sl_arena_printf(arena, "%s %s=%s", scope, narrowing->labels[i]->key,
					narrowing->labels[i]->value);
	}
	return scope;
}

static sl_code list_read(struct service_read *read, const void *message, void *reply,
			 struct sl_err *err)
{
	const Sluice__V1__ListInstancesRequest *request = message;
	struct narrowing narrowing = {.environment = 0};
	struct labels labels;
	read_labels(ENTRIES(request), &labels);
	narrowing.labels = labels_sorted(read->arena, labels.keys, labels.values, labels.count);
	narrowing.label_count = labels.count;
	sl_code code = SL_OK;
	if (request->environment[0] != '\0') {
		code = environment_find(request->environment, &narrowing.environment, err);
	}
	const char *scope = list_scope(read->arena, &narrowing);
	if (code == SL_OK && (scope == NULL || narrowing.labels == NULL)) {
		code = sl_err_no_memory(err);
	}
	struct service_page page;
	code = code != SL_OK ? code : service_page_begin(read, request->page, scope, &page, err);
	return code != SL_OK ? code : list_by_name(read, &narrowing, &page, reply, err);
}

/* --- UpdateInstance, RemoveInstance, PauseInstance, ResumeInstance, RetryInstance ---------- */

static sl_code update_check(const void *message, struct sl_err *err)
{
	const Sluice__V1__UpdateInstanceRequest *request = message;
	sl_code code = check_reference("instance", request->instance, err);
	code = code != SL_OK ? code : check_label_entries(ENTRIES(request), err);
	code = code != SL_OK ? code : check_ways(request->pull, request->drift, err);
	return code != SL_OK ? code : instance_check_url(request->public_url, err);
}

static sl_code update_decide(struct decision *d, const void *message, void *reply,
			     struct sl_err *err)
{
	const Sluice__V1__UpdateInstanceRequest *request = message;
	Sluice__V1__UpdateInstanceResponse *response = reply;
	Sluice__Store__V1__InstanceRecord *instance = NULL;
	struct labels labels;
	read_labels(ENTRIES(request), &labels);
	struct instance_wish wish = {.label_keys = labels.keys,
				     .label_values = labels.values,
				     .label_count = labels.count,
				     .public_url = request->public_url,
				     .pull = request->pull,
				     .drift = request->drift};
	sl_code code = instances_decide_update(d, request->instance, &wish, &instance, err);
	if (code == SL_OK) {
		response->instance = answer(d, instance);
	}
	return code;
}

static sl_code remove_check(const void *message, struct sl_err *err)
{
	const Sluice__V1__RemoveInstanceRequest *request = message;
	return check_reference("instance", request->instance, err);
}

static sl_code remove_decide(struct decision *d, const void *message, void *reply,
			     struct sl_err *err)
{
	const Sluice__V1__RemoveInstanceRequest *request = message;
	(void)reply;
	return instances_decide_remove(d, request->instance, err);
}

static sl_code pause_check(const void *message, struct sl_err *err)
{
	const Sluice__V1__PauseInstanceRequest *request = message;
	return check_reference("instance", request->instance, err);
}

static sl_code pause_decide(struct decision *d, const void *message, void *reply,
			    struct sl_err *err)
{
	const Sluice__V1__PauseInstanceRequest *request = message;
	Sluice__V1__PauseInstanceResponse *response = reply;
	Sluice__Store__V1__InstanceRecord *instance = NULL;
	sl_code code = instances_decide_pause(d, request->instance, true, &instance, err);
	if (code == SL_OK) {
		response->instance = answer(d, instance);
	}
	return code;
}

static sl_code resume_check(const void *message, struct sl_err *err)
{
	const Sluice__V1__ResumeInstanceRequest *request = message;
	return check_reference("instance", request->instance, err);
}

static sl_code resume_decide(struct decision *d, const void *message, void *reply,
			     struct sl_err *err)
{
	const Sluice__V1__ResumeInstanceRequest *request = message;
	Sluice__V1__ResumeInstanceResponse *response = reply;
	Sluice__Store__V1__InstanceRecord *instance = NULL;
	sl_code code = instances_decide_pause(d, request->instance, false, &instance, err);
	if (code == SL_OK) {
		response->instance = answer(d, instance);
	}
	return code;
}

static sl_code retry_check(const void *message, struct sl_err *err)
{
	const Sluice__V1__RetryInstanceRequest *request = message;
	sl_code code = check_reference("instance", request->instance, err);
	return code != SL_OK || request->app[0] == '\0' ? code
							: check_reference("app", request->app, err);
}

static sl_code retry_decide(struct decision *d, const void *message, void *reply,
			    struct sl_err *err)
{
	const Sluice__V1__RetryInstanceRequest *request = message;
	Sluice__V1__RetryInstanceResponse *response = reply;
	Sluice__Store__V1__InstanceRecord *instance = NULL;
	sl_code code = instances_decide_retry(d, request->instance, request->app, &instance, err);
	if (code == SL_OK) {
		response->instance = answer(d, instance);
	}
	return code;
}

/* --- the table -------------------------------------------------------------------------------- */

#define ROW(method) "/sluice.v1.FleetService/" #method
#define TYPES(name)                                                                                \
	&sluice__v1__##name##_request__descriptor, &sluice__v1__##name##_response__descriptor

const struct service_method fleet_methods[22] = {
    {ROW(RegisterInstance), ACCESS_MANAGE_INSTANCES, TYPES(register_instance),
     .check = register_check, .decide = register_decide, .scope = ACCESS_WORKSPACE,
     .where = ACCESS_IN_FIELD},
    {ROW(GetInstance), ACCESS_VIEW, TYPES(get_instance), .check = get_check, .read = get_read,
     .hot = true, .scope = ACCESS_ONE_INSTANCE},
    {ROW(ListInstances), ACCESS_VIEW, TYPES(list_instances), .check = list_check, .read = list_read,
     .scope = ACCESS_ITEMS},
    {ROW(UpdateInstance), ACCESS_MANAGE_INSTANCES, TYPES(update_instance), .check = update_check,
     .decide = update_decide, .scope = ACCESS_ONE_INSTANCE},
    {ROW(RemoveInstance), ACCESS_MANAGE_INSTANCES, TYPES(remove_instance), .check = remove_check,
     .decide = remove_decide, .shrinks = true, .scope = ACCESS_ONE_INSTANCE},
    {ROW(PauseInstance), ACCESS_MANAGE_INSTANCES, TYPES(pause_instance), .check = pause_check,
     .decide = pause_decide, .scope = ACCESS_ONE_INSTANCE},
    {ROW(ResumeInstance), ACCESS_MANAGE_INSTANCES, TYPES(resume_instance), .check = resume_check,
     .decide = resume_decide, .scope = ACCESS_ONE_INSTANCE},
    {ROW(RetryInstance), ACCESS_MANAGE_INSTANCES, TYPES(retry_instance), .check = retry_check,
     .decide = retry_decide, .scope = ACCESS_ONE_INSTANCE},
    {ROW(ListUpdates), ACCESS_VIEW, TYPES(list_updates), .check = updates_list_check,
     .read = updates_list_read, .scope = ACCESS_ONE_INSTANCE},
    {ROW(CheckForUpdates), ACCESS_VIEW, TYPES(check_for_updates), .check = updates_check_check,
     .start = updates_check_start, .scope = ACCESS_ONE_INSTANCE},
    {ROW(Pull), ACCESS_EDIT, TYPES(pull), .check = updates_pull_check,
     .decide = updates_pull_decide, .scope = ACCESS_ONE_INSTANCE},
    {ROW(InviteInstance), ACCESS_MANAGE_INSTANCES, TYPES(invite_instance),
     .check = enrolment_invite_check, .decide = enrolment_invite_decide,
     .scope = ACCESS_ONE_INSTANCE},
    {ROW(RevokeInstance), ACCESS_MANAGE_INSTANCES, TYPES(revoke_instance),
     .check = enrolment_revoke_check, .decide = enrolment_revoke_decide, .shrinks = true,
     .recovers = true, .scope = ACCESS_ONE_INSTANCE},
    {ROW(ClearInstanceAlerts), ACCESS_MANAGE_INSTANCES, TYPES(clear_instance_alerts),
     .check = enrolment_clear_check, .decide = enrolment_clear_decide,
     .scope = ACCESS_ONE_INSTANCE},
    {ROW(SelectVersion), ACCESS_EDIT, TYPES(select_version), .check = selection_select_check,
     .decide = selection_select_decide, .scope = ACCESS_APP, .where = ACCESS_IN_FIELD},
    {ROW(ClearSelection), ACCESS_EDIT, TYPES(clear_selection), .check = selection_clear_check,
     .decide = selection_clear_decide, .scope = ACCESS_APP, .where = ACCESS_IN_FIELD},
    {ROW(ListSelections), ACCESS_VIEW, TYPES(list_selections), .check = selection_list_check,
     .read = selection_list_read, .scope = ACCESS_ITEMS},
    {ROW(PushWorkingCopy), ACCESS_EDIT, TYPES(push_working_copy), .check = working_copy_push_check,
     .decide = working_copy_push_decide, .scope = ACCESS_APP, .where = ACCESS_IN_DEVELOPMENT},
    {ROW(BreakLease), ACCESS_MANAGE_INSTANCES, TYPES(break_lease),
     .check = working_copy_break_lease_check, .decide = working_copy_break_lease_decide,
     .scope = ACCESS_APP, .where = ACCESS_IN_DEVELOPMENT},
    {ROW(GetStatus), ACCESS_VIEW, TYPES(get_status), .check = status_check, .read = status_read,
     .hot = true, .scope = ACCESS_ITEMS},
    {ROW(Explain), ACCESS_VIEW, TYPES(explain), .check = explain_check, .read = explain_read,
     .scope = ACCESS_ONE_INSTANCE},
    {ROW(WaitFor), ACCESS_VIEW, TYPES(wait_for), .check = wait_check, .start = wait_start,
     .hot = true, .scope = ACCESS_APP, .where = ACCESS_IN_FIELD},
};
