#include "server/services/requests.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem/arena.h"
#include "base/mem/own.h"
#include "server/records/records.h"
#include "sluice/store/v1/records.pb-c.h"

/* A ring of entries in the order they were put, and an open-addressing table
 * of slot numbers over their keys. */
struct entry {
	uint8_t key[REQUEST_KEY_BYTES];
	uint64_t revision, at_ms;
};

struct requests {
	size_t max;
	uint64_t keep_ms;
	struct entry *ring; /* max entries */
	size_t first, count;
	uint32_t *slots;      /* ring index + 1; 0: empty */
	size_t mask;          /* slots - 1; at least twice max */
	bool loaded;          /* what the log holds is in here */
	pthread_mutex_t lock; /* guards all but max, keep_ms and mask */
};

SL_DEFINE_AUTO(struct requests *, requests_free);

sl_code requests_new(size_t max, uint64_t keep_ms, struct requests **ret_requests,
		     struct sl_err *err)
{
	SL_AUTO(requests_free_auto) struct requests *r = calloc(1, sizeof(*r));
	size_t slots = 16;
	while (slots < max * 2) {
		slots *= 2;
	}
	if (r != NULL) {
		pthread_mutex_init(&r->lock, NULL);
		r->max = max;
		r->keep_ms = keep_ms;
		r->mask = slots - 1;
		r->ring = calloc(max + 1, sizeof(*r->ring)); /* + 1: max may be 0 */
		r->slots = calloc(slots, sizeof(*r->slots));
	}
	if (r == NULL || r->ring == NULL || r->slots == NULL) {
		return sl_err_because(err, SL_RESOURCE_EXHAUSTED, SL_REASON_TOO_MANY,
				      "no memory for %zu request ids", max);
	}
	*ret_requests = SL_TAKE(r);
	return SL_OK;
}

void requests_free(struct requests *r)
{
	if (r == NULL) {
		return;
	}
	pthread_mutex_destroy(&r->lock);
	free(r->ring);
	free(r->slots);
	free(r);
}

/* Keys are hashes already. */
static size_t home_of(const struct requests *r, const uint8_t key[static REQUEST_KEY_BYTES])
{
	uint64_t start;
	memcpy(&start, key, sizeof(start));
	return start & r->mask;
}

/* The slot that holds the key, or the empty one where it would go. */
static size_t slot_of(const struct requests *r, const uint8_t key[static REQUEST_KEY_BYTES])
{
	size_t slot = home_of(r, key);
	while (r->slots[slot] != 0 &&
	       memcmp(r->ring[r->slots[slot] - 1].key, key, REQUEST_KEY_BYTES) != 0) {
		slot = (slot + 1) & r->mask;
	}
	return slot;
}

/* Empties a slot and moves back what was displaced by it. */
static void slot_clear(struct requests *r, size_t hole)
{
	r->slots[hole] = 0;
	for (size_t at = (hole + 1) & r->mask; r->slots[at] != 0; at = (at + 1) & r->mask) {
		size_t home = home_of(r, r->ring[r->slots[at] - 1].key);
		if (((at - home) & r->mask) >= ((at - hole) & r->mask)) {
			r->slots[hole] = r->slots[at];
			r->slots[at] = 0;
			hole = at;
		}
	}
}

static void drop_oldest(struct requests *r)
{
	struct entry *oldest = &r->ring[r->first];
	size_t slot = slot_of(r, oldest->key);
	/* A key that was put again lives in a newer entry; this one is only a place in the ring. */
	if (r->slots[slot] == r->first + 1) {
		slot_clear(r, slot);
	}
	r->first = (r->first + 1) % r->max;
	r->count--;
}

static void drop_expired(struct requests *r, uint64_t now_ms)
{
	while (r->count > 0 && r->ring[r->first].at_ms + r->keep_ms < now_ms) {
		drop_oldest(r);
	}
}

uint64_t requests_find(struct requests *r, const uint8_t key[static REQUEST_KEY_BYTES])
{
	pthread_mutex_lock(&r->lock);
	uint32_t held = r->slots[slot_of(r, key)];
	uint64_t revision = held == 0 ? 0 : r->ring[held - 1].revision;
	pthread_mutex_unlock(&r->lock);
	return revision;
}

/* Caller holds the lock. */
static void put(struct requests *r, const struct entry *entry)
{
	drop_expired(r, entry->at_ms);
	if (r->max == 0) {
		return;
	}
	if (r->count == r->max) {
		drop_oldest(r);
	}
	size_t slot = slot_of(r, entry->key);
	size_t place = (r->first + r->count) % r->max;
	r->ring[place] = *entry;
	r->count++;
	r->slots[slot] = (uint32_t)place + 1;
}

void requests_put(struct requests *r, const uint8_t key[static REQUEST_KEY_BYTES],
		  uint64_t revision, uint64_t at_ms)
{
	struct entry entry = {.revision = revision, .at_ms = at_ms};
	memcpy(entry.key, key, REQUEST_KEY_BYTES);
	pthread_mutex_lock(&r->lock);
	put(r, &entry);
	pthread_mutex_unlock(&r->lock);
}

uint64_t requests_oldest_revision(struct requests *r, uint64_t now_ms)
{
	pthread_mutex_lock(&r->lock);
	uint64_t oldest = 0;
	if (r->loaded) {
		drop_expired(r, now_ms);
		oldest = r->count == 0 ? UINT64_MAX : r->ring[r->first].revision;
	}
	pthread_mutex_unlock(&r->lock);
	return oldest;
}

struct requests_stats requests_stats(struct requests *r)
{
	pthread_mutex_lock(&r->lock);
	struct requests_stats stats = {.kept = r->count,
				       .since_ms = r->count == 0 ? 0 : r->ring[r->first].at_ms};
	pthread_mutex_unlock(&r->lock);
	return stats;
}

/* What was found so far, newest first. */
struct found {
	struct entry *entries;
	size_t count;
};

static uint64_t step_between(const struct requests *r, uint64_t from_ms, uint64_t to_ms)
{
	uint64_t step_ms = to_ms > from_ms ? to_ms - from_ms : 0, most_ms = r->keep_ms / 8;
	return step_ms < most_ms ? step_ms : most_ms;
}

static sl_code read_record(const struct store_walk *walk, struct sl_arena *arena,
			   Sluice__Store__V1__LogRecord **ret_record, struct sl_err *err)
{
	sl_code code = record_unpack(arena, walk->value, &sluice__store__v1__log_record__descriptor,
				     ret_record, err);
	return code == SL_OK ? SL_OK
			     : sl_err_wrap(err, "log record of revision %lu",
					   (unsigned long)sl_get_be64(walk->key.data));
}

static sl_code collect(const struct requests *r, const struct store_view *view, uint64_t now_ms,
		       struct found *found, struct sl_err *err)
{
	SL_AUTO(store_walk_end) struct store_walk walk;
	SL_AUTO(sl_arena_fini) struct sl_arena arena;
	uint64_t later_ms = now_ms, age_ms = 0;
	sl_arena_init(&arena, 0);
	store_walk_log(&walk, view, UINT64_MAX, STORE_BACKWARD);
	while (found->count < r->max && store_walk_next(&walk)) {
		Sluice__Store__V1__LogRecord *record = NULL;
		sl_code code = read_record(&walk, &arena, &record, err);
		if (code != SL_OK) {
			return code; /* ids before it would be forgotten, and taken a second time */
		}
		age_ms += step_between(r, record->at_ms, later_ms);
		later_ms = record->at_ms;
		bool recent = age_ms <= r->keep_ms;
		if (recent && record->request_key.len == REQUEST_KEY_BYTES) {
			struct entry *entry = &found->entries[found->count++];
			*entry =
			    (struct entry){.revision = record->revision, .at_ms = now_ms - age_ms};
			memcpy(entry->key, record->request_key.data, REQUEST_KEY_BYTES);
		}
		sl_arena_fini(&arena);
		if (!recent) {
			break;
		}
	}
	return store_walk_result(&walk, err);
}

sl_code requests_load(struct requests *r, const struct store_view *view, uint64_t now_ms,
		      struct sl_err *err)
{
	SL_AUTO(sl_free_auto) struct entry *entries = calloc(r->max + 1, sizeof(*entries));
	if (entries == NULL) {
		return sl_err_because(err, SL_RESOURCE_EXHAUSTED, SL_REASON_TOO_MANY,
				      "no memory for %zu request ids", r->max);
	}
	struct found found = {.entries = entries};
	sl_code code = collect(r, view, now_ms, &found, err);
	if (code != SL_OK) {
		return code;
	}
	pthread_mutex_lock(&r->lock);
	for (size_t i = found.count; i > 0; i--) {
		put(r, &entries[i - 1]);
	}
	r->loaded = true;
	pthread_mutex_unlock(&r->lock);
	return SL_OK;
}
