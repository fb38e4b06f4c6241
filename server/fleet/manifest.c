/* A session's manifest, byte for byte: a few fields of its own and the entries of its apps (apps.c)
 * one after the other. */
#include <string.h>

#include "server/fleet/fleet_internal.h"
#include "server/records/updates.h"

static bool is_manual(const struct fleet_unit *unit)
{
	return unit->record->pull == SLUICE__V1__PULL_MODE__PULL_MODE_MANUAL;
}

static bool corrects(const struct fleet_unit *unit)
{
	return unit->record->drift == SLUICE__V1__DRIFT_POLICY__DRIFT_POLICY_CORRECT;
}

void fleet_manifest_core(const struct fleet_session *session, uint8_t core[static FLEET_CORE_BYTES])
{
	const struct fleet_unit *unit = session->unit;
	const uint8_t paused =
	    (unit->record->paused ? 1 : 0) | (is_manual(unit) ? 2 : 0) | (corrects(unit) ? 4 : 0);
	struct sl_hasher hasher;
	uint8_t hash[SL_HASH_BYTES];
	sl_hasher_init(&hasher);
	sl_hasher_add(&hasher, unit->id, sizeof(unit->id));
	sl_hasher_add(&hasher, unit->record->name, strlen(unit->record->name) + 1);
	sl_hasher_add(&hasher, &paused, 1);
	for (size_t i = 0; i < session->slot_count; i++) {
		sl_hasher_add(&hasher, session->slots[i].entry->hash, FLEET_CORE_BYTES);
		sl_hasher_add(&hasher, &session->slots[i].retries,
			      sizeof(session->slots[i].retries));
	}
	sl_hasher_add(&hasher, unit->removed, unit->removed_count * sizeof(*unit->removed));
	for (size_t i = 0; is_manual(unit) && i < unit->record->n_pulls; i++) {
		const Sluice__Store__V1__PullRecord *pull = unit->record->pulls[i];
		sl_hasher_add(&hasher, pull->version_id, strlen(pull->version_id) + 1);
		sl_hasher_add(&hasher, pull->digest.data, pull->digest.len);
	}
	sl_hasher_end(&hasher, hash);
	memcpy(core, hash, FLEET_CORE_BYTES);
}

enum { WIRE_VARINT = 0, WIRE_BYTES = 2, PULLED_ROOM = 128 };

static void put_varint(struct sl_buf *buf, uint64_t value)
{
	uint8_t bytes[10];
	size_t size = 0;
	for (; value >= 0x80; value >>= 7) {
		bytes[size++] = (uint8_t)(value | 0x80);
	}
	bytes[size++] = (uint8_t)value;
	sl_buf_append(buf, bytes, size);
}

static size_t varint_size(uint64_t value)
{
	size_t size = 1;
	for (; value >= 0x80; value >>= 7) {
		size++;
	}
	return size;
}

static void put_number(struct sl_buf *buf, unsigned field, uint64_t value)
{
	if (value != 0) {
		put_varint(buf, field << 3 | WIRE_VARINT);
		put_varint(buf, value);
	}
}

static void put_text(struct sl_buf *buf, unsigned field, const char *text)
{
	put_varint(buf, field << 3 | WIRE_BYTES);
	put_varint(buf, strlen(text));
	sl_buf_append(buf, text, strlen(text));
}

/* The field `pulled` of a ManifestApp, with its head; its size, 0: there is none. */
static size_t pack_pulled(const struct fleet_unit *unit, const char *app_id,
			  uint8_t out[static PULLED_ROOM])
{
	const Sluice__Store__V1__PullRecord *pull =
	    is_manual(unit) ? updates_pulled(unit->record, app_id) : NULL;
	Sluice__V1__PulledStep step = SLUICE__V1__PULLED_STEP__INIT;
	Sluice__V1__ManifestApp app = SLUICE__V1__MANIFEST_APP__INIT;
	if (pull == NULL) {
		return 0;
	}
	step.version_id = pull->version_id;
	step.digest = pull->digest;
	app.pulled = &step;
	size_t size = sluice__v1__manifest_app__get_packed_size(&app);
	return size <= PULLED_ROOM ? sluice__v1__manifest_app__pack(&app, out) : 0;
}

static void put_slot(struct sl_buf *body, const struct fleet_unit *unit,
		     const struct fleet_slot *slot)
{
	uint8_t pulled[PULLED_ROOM];
	size_t pulled_size = pack_pulled(unit, slot->app->id, pulled);
	size_t retries = slot->retries == 0 ? 0 : 1 + varint_size(slot->retries);
	put_varint(body, 7 << 3 | WIRE_BYTES); /* apps */
	put_varint(body, slot->entry->size + retries + pulled_size);
	sl_buf_append(body, slot->entry->bytes, slot->entry->size);
	put_number(body, 6, slot->retries);
	sl_buf_append(body, pulled, pulled_size);
}

void fleet_manifest_body(const struct fleet_session *session, uint32_t epoch, uint64_t sequence,
			 uint64_t expires_s, struct sl_buf *body)
{
	const struct fleet_unit *unit = session->unit;
	put_text(body, 1, unit->id);
	put_text(body, 2, unit->record->name);
	put_text(body, 3, environment_name(unit->record->environment));
	put_number(body, 4, sequence);
	put_number(body, 5, epoch);
	put_varint(body, 6 << 3 | WIRE_BYTES); /* expires_at */
	put_varint(body, 1 + varint_size(expires_s));
	put_number(body, 1, expires_s);
	for (size_t i = 0; i < session->slot_count; i++) {
		put_slot(body, unit, &session->slots[i]);
	}
	for (size_t i = 0; i < unit->removed_count; i++) {
		put_text(body, 8, unit->removed[i]);
	}
	put_number(body, 9, unit->record->paused ? 1 : 0);
	put_number(body, 30,
		   is_manual(unit) ? (uint64_t)SLUICE__V1__PULL_MODE__PULL_MODE_MANUAL : 0);
	put_number(body, 31,
		   corrects(unit) ? (uint64_t)SLUICE__V1__DRIFT_POLICY__DRIFT_POLICY_CORRECT : 0);
}
