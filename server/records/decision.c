/* decision: what every command writes with; see records.h. */
#include <stdlib.h>
#include <string.h>

#include "base/pb/pb.h"
#include "server/records/audit.h"

char *decision_id(struct decision *d, const char prefix[static 3])
{
	if (d->ids_taken == DECISION_IDS) {
		abort(); /* a command that makes more things needs a larger DECISION_IDS */
	}
	return sl_arena_printf(d->arena, "%.3s_%s", prefix, d->ids[d->ids_taken++]);
}

void decision_put(struct decision *d, enum record_table table, const struct record_key *key,
		  const ProtobufCMessage *record)
{
	struct sl_bytes bytes = pb_pack(d->arena, record);
	if (!sl_arena_failed(d->arena)) {
		decision_put_bytes(d, table, key, bytes);
	}
}

void decision_put_bytes(struct decision *d, enum record_table table, const struct record_key *key,
			struct sl_bytes value)
{
	d->changed = true;
	store_changes_put(d->changes, table, key_bytes(key), value);
}

void decision_delete(struct decision *d, enum record_table table, const struct record_key *key)
{
	d->changed = true;
	store_changes_delete(d->changes, table, key_bytes(key));
}

void decision_put_generation(struct decision *d, const char *name)
{
	uint8_t bytes[8];
	sl_put_be64(bytes, d->revision);
	d->changed = true;
	store_changes_put_meta(d->changes, name, SL_BYTES(bytes, sizeof(bytes)));
}

sl_code generation_get(const struct store_view *view, const char *name, uint64_t *ret_generation,
		       struct sl_err *err)
{
	struct sl_bytes value = SL_BYTES_NONE;
	sl_code code = store_get_meta(view, name, &value, err);
	if (code == SL_OK && value.size != 8) {
		return sl_err_set(err, SL_DATA_LOSS, "the stored %s has %zu bytes", name,
				  value.size);
	}
	*ret_generation = code == SL_OK ? sl_get_be64(value.data) : 0;
	return code == SL_NOT_FOUND ? SL_OK : code;
}

struct decision decision_own(const char *principal, const char *method,
			     const struct store_view *view, struct store_changes *changes,
			     struct sl_arena *arena, uint64_t now_ms)
{
	return (struct decision){
	    .view = view,
	    .changes = changes,
	    .arena = arena,
	    .revision = store_changes_revision(changes),
	    .now_ms = now_ms,
	    .workspace_name = "",
	    .principal = principal,
	    .method = method,
	    .reason = "",
	};
}

sl_code decision_own_end(struct decision *d, sl_code code, struct sl_err *err)
{
	if (code == SL_OK && d->changed) {
		decision_log(d, NULL);
	}
	return code == SL_OK && sl_arena_failed(d->arena) ? sl_err_no_memory(err) : code;
}

/* Room for one more event; false when memory is out. */
static bool reserve_event(struct decision *d)
{
	if (d->event_count < d->event_room) {
		return true;
	}
	size_t room = d->event_room == 0 ? 4 : d->event_room * 2;
	Sluice__V1__Event **events = SL_ARENA_ARRAY(d->arena, Sluice__V1__Event *, room);
	if (events == NULL) {
		return false;
	}
	if (d->event_count > 0) {
		memcpy(events, d->events, d->event_count * sizeof(*events));
	}
	d->events = events;
	d->event_room = room;
	return true;
}

Sluice__V1__Event *decision_event(struct decision *d, Sluice__V1__EventType type,
				  Sluice__V1__EventKind kind, const char *app_id,
				  uint32_t environment, const char *instance_id)
{
	static _Thread_local Sluice__V1__Event
	    spare; /* the arena has failed: the command will too */
	Sluice__V1__Event *event =
	    reserve_event(d) ? SL_ARENA_NEW(d->arena, Sluice__V1__Event) : NULL;
	if (event == NULL) {
		sluice__v1__event__init(&spare);
		return &spare;
	}
	sluice__v1__event__init(event);
	event->type = type;
	event->kind = kind;
	event->app_id = sl_arena_strdup(d->arena, app_id);
	event->environment = environment;
	event->instance_id = sl_arena_strdup(d->arena, instance_id);
	d->events[d->event_count++] = event;
	return event;
}

static ProtobufCBinaryData binary(struct sl_bytes bytes)
{
	return (ProtobufCBinaryData){.len = bytes.size, .data = (uint8_t *)bytes.data};
}

void decision_log(struct decision *d, const struct decision_reply *kept)
{
	Sluice__Store__V1__LogRecord bulk = SLUICE__STORE__V1__LOG_RECORD__INIT;
	bulk.n_events = d->event_count;
	bulk.events = d->events;
	if (kept != NULL) {
		bulk.request_key = binary(kept->request_key);
		bulk.payload_hash = binary(kept->payload_hash);
		bulk.reply = binary(kept->reply);
	}
	struct sl_bytes body = audit_change(d);
	struct sl_bytes bytes = pb_pack(d->arena, &bulk.base);
	if (body.data != NULL && !sl_arena_failed(d->arena)) {
		store_changes_log_parts(d->changes, body, bytes);
	}
}

sl_code decision_expect(const struct decision *d, const char *noun, const char *name,
			uint64_t current, struct sl_err *err)
{
	if (d->expected_revision == 0 || d->expected_revision == current) {
		return SL_OK;
	}
	sl_code code =
	    sl_err_because(err, SL_ABORTED, SL_REASON_STALE_REVISION,
			   "%s '%s' is at revision %lu, not at %lu as expected: read it again",
			   noun, name, (unsigned long)current, (unsigned long)d->expected_revision);
	sl_err_meta(err, "current_revision", "%lu", (unsigned long)current);
	return code;
}

sl_code decision_expect_none(const struct decision *d, struct sl_err *err)
{
	if (d->expected_revision == 0) {
		return SL_OK;
	}
	sl_code code = sl_err_because(err, SL_INVALID_ARGUMENT, SL_REASON_MALFORMED,
				      "write.expected_revision is %lu, and a create takes 0 only",
				      (unsigned long)d->expected_revision);
	sl_err_field(err, "write.expected_revision", "a create takes 0 only");
	return code;
}

sl_code rights_missing(const char *principal, enum access_verb verb, const char *slug,
		       uint32_t environment, struct sl_err *err)
{
	const char *where = environment != 0 ? environment_name(environment) : "any environment";
	sl_code code = sl_err_because(err, SL_PERMISSION_DENIED, SL_REASON_RIGHT_MISSING,
				      "'%s' lacks the right to %s %s%s in %s", principal,
				      access_verb_name(verb), slug != NULL ? "app " : "",
				      slug != NULL ? slug : "what is of no one app", where);
	sl_err_meta(err, "verb", "%s", access_verb_name(verb));
	sl_err_meta(err, "app", "%s", slug != NULL ? slug : "*");
	if (environment != 0) {
		sl_err_meta(err, "environment", "%s", where);
	}
	return code;
}

sl_code decision_require(const struct decision *d, enum access_verb verb, const char *slug,
			 uint32_t environment, struct sl_err *err)
{
	if (d->rights == NULL || rights_allow(d->rights, verb, slug, environment)) {
		return SL_OK;
	}
	return rights_missing(d->principal, verb, slug, environment, err);
}

/* --- labels ---------------------------------------------------------------- */

static int compare_labels(const void *a, const void *b)
{
	const Sluice__Store__V1__Label *const *left = a, *const *right = b;
	return strcmp((*left)->key, (*right)->key);
}

Sluice__Store__V1__Label **labels_sorted(struct sl_arena *arena, char *const *keys,
					 char *const *values, size_t count)
{
	Sluice__Store__V1__Label **labels =
	    SL_ARENA_ARRAY(arena, Sluice__Store__V1__Label *, count + 1);
	for (size_t i = 0; labels != NULL && i < count; i++) {
		labels[i] = SL_ARENA_NEW(arena, Sluice__Store__V1__Label);
		if (labels[i] == NULL) {
			return NULL;
		}
		sluice__store__v1__label__init(labels[i]);
		labels[i]->key = sl_arena_strdup(arena, keys[i]);
		labels[i]->value = sl_arena_strdup(arena, values[i]);
		if (sl_arena_failed(arena)) {
			return NULL;
		}
	}
	if (labels != NULL && count > 1) {
		qsort(labels, count, sizeof(*labels), compare_labels);
	}
	return labels;
}

bool labels_match(Sluice__Store__V1__Label *const *wanted, size_t wanted_count,
		  Sluice__Store__V1__Label *const *labels, size_t label_count)
{
	size_t at = 0;
	for (size_t i = 0; i < wanted_count; i++) {
		while (at < label_count && strcmp(labels[at]->key, wanted[i]->key) < 0) {
			at++;
		}
		if (at == label_count || strcmp(labels[at]->key, wanted[i]->key) != 0 ||
		    strcmp(labels[at]->value, wanted[i]->value) != 0) {
			return false;
		}
	}
	return true;
}
