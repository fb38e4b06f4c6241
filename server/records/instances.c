#include "server/records/instances.h"

#include <string.h>

#include "base/mem/own.h"
#include "server/records/placement.h"
#include "server/records/statuses.h"
#include "server/records/wire.h"

/* --- shape ------------------------------------------------------------------- */

static bool is_host(const char *host, size_t length)
{
	static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				      "0123456789.-_:[]";
	return length > 0 && host[0] != ':' && strspn(host, allowed) >= length;
}

static bool url_is_valid(const char *url)
{
	size_t length = strlen(url);
	size_t scheme = strncmp(url, "https://", 8) == 0  ? 8
			: strncmp(url, "http://", 7) == 0 ? 7
							  : 0;
	if (scheme == 0 || length > INSTANCE_URL_MAX || url[length - 1] == '/') {
		return false;
	}
	for (size_t i = 0; i < length; i++) {
		if (url[i] <= ' ' || url[i] > '~' || strchr("?#\"<>\\^`{|}", url[i]) != NULL) {
			return false;
		}
	}
	return is_host(url + scheme, strcspn(url + scheme, "/"));
}

sl_code instance_check_url(const char *url, struct sl_err *err)
{
	static const char rule[] =
	    "http(s)://host[:port][/path] without a trailing slash, query or "
	    "fragment, at most 500 bytes";
	if (url[0] == '\0' || url_is_valid(url)) {
		return SL_OK;
	}
	sl_code code = sl_err_because(err, SL_INVALID_ARGUMENT, SL_REASON_MALFORMED,
				      "public_url '%.80s' is not valid: %s", url, rule);
	sl_err_field(err, "public_url", rule);
	return code;
}

uint32_t instance_retries(const Sluice__Store__V1__InstanceRecord *instance, const char *app_id)
{
	uint32_t count = 0;
	for (size_t i = 0; i < instance->n_retries; i++) {
		const Sluice__Store__V1__RetryRecord *retry = instance->retries[i];
		if (retry->app_id[0] == '\0' || strcmp(retry->app_id, app_id) == 0) {
			count += retry->count;
		}
	}
	return count;
}

/* --- writing one --------------------------------------------------------------- */

static struct record_key instance_key(const struct decision *d, const char *id)
{
	return KEY(d->workspace, key_text(k, id));
}

static struct record_key name_key(const struct decision *d, const char *name)
{
	return KEY(d->workspace, key_text(k, name));
}

static void instance_event(struct decision *d, Sluice__V1__EventType type,
			   const Sluice__Store__V1__InstanceRecord *instance)
{
	Sluice__V1__Event *event =
	    decision_event(d, type, SLUICE__V1__EVENT_KIND__EVENT_KIND_INSTANCE, NULL,
			   instance->environment, instance->id);
	event->object_case = SLUICE__V1__EVENT__OBJECT_INSTANCE;
	event->instance = wire_instance(d->arena, instance);
}

void instance_put(struct decision *d, Sluice__V1__EventType type,
		  Sluice__Store__V1__InstanceRecord *instance)
{
	struct record_key key = instance_key(d, instance->id);
	instance->revision = d->revision;
	decision_put(d, TABLE_INSTANCES, &key, &instance->base);
	placement_put(d, instance);
	instance_event(d, type, instance);
}

sl_code instance_find_expected(struct decision *d, const char *name_or_id,
			       Sluice__Store__V1__InstanceRecord **ret_instance, struct sl_err *err)
{
	sl_code code =
	    instance_find(d->view, d->arena, d->workspace, name_or_id, ret_instance, err);
	return code != SL_OK ? code
			     : decision_expect(d, "instance", (*ret_instance)->name,
					       (*ret_instance)->revision, err);
}

static sl_code refuse_taken(const struct decision *d, const char *name, struct sl_err *err)
{
	struct record_key key = name_key(d, name);
	struct sl_bytes id;
	sl_code code = store_get(d->view, TABLE_INSTANCES_BY_NAME, key_bytes(&key), &id, err);
	if (code == SL_OK) {
		return sl_err_because(err, SL_ALREADY_EXISTS, SL_REASON_NAME_TAKEN,
				      "an instance '%s' exists", name);
	}
	return code == SL_NOT_FOUND ? SL_OK : code;
}

/* Sets what is wished for, and what older records lack: AUTO, REPORT. True if something changed. */
static bool set_ways(Sluice__Store__V1__InstanceRecord *instance, const struct instance_wish *wish)
{
	const bool manual = instance->pull == SLUICE__V1__PULL_MODE__PULL_MODE_MANUAL;
	const bool correct = instance->drift == SLUICE__V1__DRIFT_POLICY__DRIFT_POLICY_CORRECT;
	instance->pull = wish->pull != 0 ? wish->pull
			 : manual        ? SLUICE__V1__PULL_MODE__PULL_MODE_MANUAL
					 : SLUICE__V1__PULL_MODE__PULL_MODE_AUTO;
	instance->drift = wish->drift != 0 ? wish->drift
			  : correct        ? SLUICE__V1__DRIFT_POLICY__DRIFT_POLICY_CORRECT
					   : SLUICE__V1__DRIFT_POLICY__DRIFT_POLICY_REPORT;
	return manual != (instance->pull == SLUICE__V1__PULL_MODE__PULL_MODE_MANUAL) ||
	       correct != (instance->drift == SLUICE__V1__DRIFT_POLICY__DRIFT_POLICY_CORRECT);
}

sl_code instances_decide_register(struct decision *d, const struct instance_wish *wish,
				  Sluice__Store__V1__InstanceRecord **ret_instance,
				  struct sl_err *err)
{
	uint32_t environment = 0;
	sl_code code = decision_expect_none(d, err);
	code = code != SL_OK ? code : environment_find(wish->environment, &environment, err);
	code = code != SL_OK ? code : refuse_taken(d, wish->name, err);
	if (code != SL_OK) {
		return code;
	}
	Sluice__Store__V1__InstanceRecord *instance =
	    SL_ARENA_NEW(d->arena, Sluice__Store__V1__InstanceRecord);
	if (instance == NULL) {
		return sl_err_no_memory(err);
	}
	sluice__store__v1__instance_record__init(instance);
	instance->id = decision_id(d, "ins");
	instance->name = sl_arena_strdup(d->arena, wish->name);
	instance->environment = environment;
	instance->labels =
	    labels_sorted(d->arena, wish->label_keys, wish->label_values, wish->label_count);
	instance->n_labels = wish->label_count;
	instance->public_url = sl_arena_strdup(d->arena, wish->public_url);
	(void)set_ways(instance, wish);
	instance->created_ms = d->now_ms;
	instance->created_by = (char *)d->principal;
	if (sl_arena_failed(d->arena)) {
		return sl_err_no_memory(err);
	}
	struct record_key by_name = name_key(d, instance->name);
	decision_put_bytes(d, TABLE_INSTANCES_BY_NAME, &by_name, sl_bytes_text(instance->id));
	instance_put(d, SLUICE__V1__EVENT_TYPE__EVENT_TYPE_CREATED, instance);
	*ret_instance = instance;
	return SL_OK;
}

static bool labels_equal(Sluice__Store__V1__Label *const *a, size_t a_count,
			 Sluice__Store__V1__Label *const *b, size_t b_count)
{
	return a_count == b_count && labels_match(a, a_count, b, b_count);
}

sl_code instances_decide_update(struct decision *d, const char *name_or_id,
				const struct instance_wish *wish,
				Sluice__Store__V1__InstanceRecord **ret_instance,
				struct sl_err *err)
{
	Sluice__Store__V1__InstanceRecord *instance = NULL;
	sl_code code = instance_find_expected(d, name_or_id, &instance, err);
	if (code != SL_OK) {
		return code;
	}
	Sluice__Store__V1__Label **labels =
	    labels_sorted(d->arena, wish->label_keys, wish->label_values, wish->label_count);
	if (labels == NULL) {
		return sl_err_no_memory(err);
	}
	*ret_instance = instance;
	bool same = labels_equal(labels, wish->label_count, instance->labels, instance->n_labels) &&
		    strcmp(wish->public_url, instance->public_url) == 0;
	if (!set_ways(instance, wish) && same) {
		return SL_OK;
	}
	placement_delete(d, instance);
	instance->labels = labels;
	instance->n_labels = wish->label_count;
	instance->public_url = sl_arena_strdup(d->arena, wish->public_url);
	instance_put(d, SLUICE__V1__EVENT_TYPE__EVENT_TYPE_UPDATED, instance);
	return SL_OK;
}

sl_code instances_decide_pause(struct decision *d, const char *name_or_id, bool paused,
			       Sluice__Store__V1__InstanceRecord **ret_instance, struct sl_err *err)
{
	Sluice__Store__V1__InstanceRecord *instance = NULL;
	sl_code code = instance_find_expected(d, name_or_id, &instance, err);
	if (code != SL_OK) {
		return code;
	}
	*ret_instance = instance;
	if ((instance->paused != 0) != paused) {
		instance->paused = paused;
		instance_put(d, SLUICE__V1__EVENT_TYPE__EVENT_TYPE_UPDATED, instance);
	}
	return SL_OK;
}

/* Counts one more for the app ("": all). */
static bool count_retry(struct decision *d, Sluice__Store__V1__InstanceRecord *instance,
			const char *app_id)
{
	for (size_t i = 0; i < instance->n_retries; i++) {
		if (strcmp(instance->retries[i]->app_id, app_id) == 0) {
			instance->retries[i]->count++;
			return true;
		}
	}
	size_t count = instance->n_retries;
	Sluice__Store__V1__RetryRecord **retries =
	    SL_ARENA_ARRAY(d->arena, Sluice__Store__V1__RetryRecord *, count + 1);
	Sluice__Store__V1__RetryRecord *retry =
	    SL_ARENA_NEW(d->arena, Sluice__Store__V1__RetryRecord);
	if (retries == NULL || retry == NULL) {
		return false;
	}
	if (count > 0) {
		memcpy(retries, instance->retries, count * sizeof(*retries));
	}
	sluice__store__v1__retry_record__init(retry);
	retry->app_id = sl_arena_strdup(d->arena, app_id);
	retry->count = 1;
	retries[count] = retry;
	instance->retries = retries;
	instance->n_retries = count + 1;
	return retry->app_id != NULL;
}

sl_code instances_decide_retry(struct decision *d, const char *name_or_id, const char *app,
			       Sluice__Store__V1__InstanceRecord **ret_instance, struct sl_err *err)
{
	Sluice__Store__V1__InstanceRecord *instance = NULL;
	Sluice__Store__V1__AppRecord *record = NULL;
	sl_code code = instance_find_expected(d, name_or_id, &instance, err);
	if (code == SL_OK && app[0] != '\0') {
		code = app_find(d->view, d->arena, d->workspace, app, &record, err);
	}
	if (code != SL_OK) {
		return code;
	}
	if (!count_retry(d, instance, record == NULL ? "" : record->id)) {
		return sl_err_no_memory(err);
	}
	instance_put(d, SLUICE__V1__EVENT_TYPE__EVENT_TYPE_UPDATED, instance);
	*ret_instance = instance;
	return SL_OK;
}

/* --- removing -------------------------------------------------------------------- */

static sl_code delete_statuses(struct decision *d, const char *instance_id, struct sl_err *err)
{
	struct record_key prefix = instance_key(d, instance_id);
	SL_AUTO(store_walk_end) struct store_walk walk;
	store_walk_begin(&walk, d->view, TABLE_STATUSES, key_bytes(&prefix), STORE_FORWARD);
	while (store_walk_next(&walk)) {
		status_delete(d, instance_id, (const char *)walk.key.data + prefix.size);
	}
	return store_walk_result(&walk, err);
}

/* One pin of the walk, if it is the instance's: app id, environment, instance id. */
static sl_code delete_pin(struct decision *d, const Sluice__Store__V1__InstanceRecord *instance,
			  const struct store_walk *walk, struct sl_err *err)
{
	const char *app_id = (const char *)walk->key.data + 4;
	size_t at = 4 + strnlen(app_id, walk->key.size - 4) + 1 + 4;
	if (at >= walk->key.size || strcmp((const char *)walk->key.data + at, instance->id) != 0) {
		return SL_OK;
	}
	Sluice__Store__V1__SelectionRecord *pin = NULL;
	Sluice__Store__V1__AppRecord *app = NULL;
	sl_code code = record_unpack(d->arena, walk->value,
				     &sluice__store__v1__selection_record__descriptor, &pin, err);
	code = code != SL_OK ? code : app_get(d->view, d->arena, d->workspace, app_id, &app, err);
	Sluice__V1__Selection *selection = SL_ARENA_NEW(d->arena, Sluice__V1__Selection);
	if ((code != SL_OK && code != SL_NOT_FOUND) || selection == NULL) {
		return code != SL_OK && code != SL_NOT_FOUND ? code : sl_err_no_memory(err);
	}
	struct wire wire = wire_of(d);
	sluice__v1__selection__init(selection);
	selection->app_id = sl_arena_strdup(d->arena, app_id);
	selection->app = app != NULL ? app->name : selection->app;
	selection->environment = (char *)environment_name(instance->environment);
	selection->instance = instance->name;
	selection->version = wire_version_ref_get(&wire, app_id, pin->version);
	selection->at = wire_time(d->arena, pin->at_ms);
	selection->by = pin->by;
	selection->revision = pin->revision;
	d->changed = true;
	store_changes_delete(d->changes, TABLE_SELECTIONS, walk->key);
	Sluice__V1__Event *event = decision_event(d, SLUICE__V1__EVENT_TYPE__EVENT_TYPE_DELETED,
						  SLUICE__V1__EVENT_KIND__EVENT_KIND_SELECTION,
						  app_id, instance->environment, instance->id);
	event->object_case = SLUICE__V1__EVENT__OBJECT_SELECTION;
	event->selection = selection;
	return SL_OK;
}

static sl_code delete_pins(struct decision *d, const Sluice__Store__V1__InstanceRecord *instance,
			   struct sl_err *err)
{
	struct record_key prefix = key_of(d->workspace);
	SL_AUTO(store_walk_end) struct store_walk walk;
	store_walk_begin(&walk, d->view, TABLE_SELECTIONS, key_bytes(&prefix), STORE_FORWARD);
	while (store_walk_next(&walk)) {
		sl_code code = delete_pin(d, instance, &walk, err);
		if (code != SL_OK) {
			return code;
		}
	}
	return store_walk_result(&walk, err);
}

sl_code instances_decide_remove(struct decision *d, const char *name_or_id, struct sl_err *err)
{
	Sluice__Store__V1__InstanceRecord *instance = NULL;
	sl_code code = instance_find_expected(d, name_or_id, &instance, err);
	code = code != SL_OK ? code : delete_statuses(d, instance->id, err);
	code = code != SL_OK ? code : delete_pins(d, instance, err);
	if (code != SL_OK) {
		return code;
	}
	struct record_key key = instance_key(d, instance->id),
			  by_name = name_key(d, instance->name), token = {.size = 0};
	key_text(&token, instance->join_token_id);
	decision_delete(d, TABLE_INSTANCES, &key);
	decision_delete(d, TABLE_INSTANCES_BY_NAME, &by_name);
	placement_delete(d, instance);
	decision_delete(d, TABLE_JOIN_TOKENS, &token); /* its identity stays: its agent is told */
	instance->removed_ms = d->now_ms;
	instance->revision = d->revision;
	decision_put(d, TABLE_REMOVED_INSTANCES, &key, &instance->base);
	instance_event(d, SLUICE__V1__EVENT_TYPE__EVENT_TYPE_DELETED, instance);
	return SL_OK;
}

sl_code instance_get_removed(const struct store_view *view, struct sl_arena *arena,
			     uint32_t workspace, const char *id,
			     Sluice__Store__V1__InstanceRecord **ret_instance, struct sl_err *err)
{
	struct record_key key = KEY(workspace, key_text(k, id));
	return record_get(view, arena, TABLE_REMOVED_INSTANCES, &key,
			  &sluice__store__v1__instance_record__descriptor, ret_instance, err);
}
