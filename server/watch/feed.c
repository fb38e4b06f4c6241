#include "server/watch/feed.h"

#include <string.h>

#include "base/pb/pb.h"

/* A message grows to about this many bytes; one change is never split. */
enum { BATCH_BYTES = 48 << 10 };

bool watch_filter_equal(const struct watch_filter *a, const struct watch_filter *b)
{
	return a->workspace == b->workspace && a->kinds == b->kinds &&
	       a->environment == b->environment && strcmp(a->app_id, b->app_id) == 0 &&
	       strcmp(a->instance_id, b->instance_id) == 0;
}

static bool passes(const struct watch_filter *filter, const Sluice__V1__Event *event)
{
	if (filter->kinds != 0 && (filter->kinds & (1u << event->kind)) == 0) {
		return false;
	}
	if (filter->environment != 0 && event->environment != 0 &&
	    event->environment != filter->environment) {
		return false;
	}
	if (filter->app_id[0] != '\0' && strcmp(event->app_id, filter->app_id) != 0) {
		return false;
	}
	return filter->instance_id[0] == '\0' ||
	       strcmp(event->instance_id, filter->instance_id) == 0;
}

void feed_batch_init(struct feed_batch *batch)
{
	*batch = (struct feed_batch){.bytes = 0};
	sl_arena_init(&batch->arena, 0);
	sluice__v1__watch_response__init(&batch->response);
}

void feed_batch_fini(struct feed_batch *batch)
{
	sl_arena_fini(&batch->arena);
	feed_batch_init(batch);
}

static bool reserve(struct feed_batch *batch)
{
	if (batch->response.n_changes < batch->room) {
		return true;
	}
	size_t room = batch->room == 0 ? 16 : batch->room * 2;
	Sluice__V1__Change **changes = SL_ARENA_ARRAY(&batch->arena, Sluice__V1__Change *, room);
	if (changes == NULL) {
		return false;
	}
	if (batch->response.n_changes > 0) {
		memcpy(changes, batch->response.changes,
		       batch->response.n_changes * sizeof(*changes));
	}
	batch->response.changes = changes;
	batch->room = room;
	return true;
}

/* What of an event is to be seen; NULL: nothing. */
static Sluice__V1__Event *shown(struct feed_batch *batch, const struct feed_look *look,
				Sluice__V1__Event *event)
{
	Sluice__V1__Event *as_seen = NULL;
	if (look->look == NULL) {
		return event;
	}
	return look->sight->show(look->look, &batch->arena, event, &as_seen) ? as_seen : NULL;
}

void feed_batch_add(struct feed_batch *batch, const struct watch_filter *filter,
		    const struct feed_look *look, const Sluice__Store__V1__LogRecord *record)
{
	if (record->workspace != filter->workspace || record->n_events == 0) {
		return;
	}
	Sluice__V1__Event **events =
	    SL_ARENA_ARRAY(&batch->arena, Sluice__V1__Event *, record->n_events);
	size_t count = 0;
	bool held_back = false;
	for (size_t i = 0; events != NULL && i < record->n_events; i++) {
		Sluice__V1__Event *event = shown(batch, look, record->events[i]);
		held_back = held_back || event == NULL;
		if (event != NULL && passes(filter, event)) {
			events[count++] = event;
		}
	}
	Sluice__V1__Change *change =
	    count == 0 ? NULL : SL_ARENA_NEW(&batch->arena, Sluice__V1__Change);
	Google__Protobuf__Timestamp *at =
	    change == NULL ? NULL : SL_ARENA_NEW(&batch->arena, Google__Protobuf__Timestamp);
	if (at == NULL || !reserve(batch)) {
		return; /* nothing passed, or the arena has failed and packing will say so */
	}
	google__protobuf__timestamp__init(at);
	at->seconds = (int64_t)(record->at_ms / 1000u);
	at->nanos = (int32_t)(record->at_ms % 1000u) * 1000000;
	sluice__v1__change__init(change);
	change->revision = record->revision;
	change->at = at;
	change->by = record->principal;
	if (!held_back) {
		change->reason = record->reason;
		change->method = record->method;
	}
	change->events = events;
	change->n_events = count;
	batch->response.changes[batch->response.n_changes++] = change;
	batch->bytes += sluice__v1__change__get_packed_size(change);
}

bool feed_batch_is_full(const struct feed_batch *batch)
{
	return batch->bytes >= BATCH_BYTES;
}

bool feed_batch_is_empty(const struct feed_batch *batch)
{
	/* A change that found no memory counts: packing fails then, and nobody misses it unseen. */
	return batch->response.n_changes == 0 && !sl_arena_failed(&batch->arena);
}

struct rpc_message *feed_batch_pack(struct feed_batch *batch, uint64_t revision)
{
	batch->response.revision = revision;
	struct sl_bytes bytes = pb_pack(&batch->arena, &batch->response.base);
	struct rpc_message *message =
	    sl_arena_failed(&batch->arena) ? NULL : rpc_message_new(bytes);
	feed_batch_fini(batch);
	return message;
}
