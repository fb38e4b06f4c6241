#include "server/door/wire.h"

#include <string.h>

#include "base/mem/own.h"

enum { PART_MAX = 65535, LENGTH_BYTES = 2 };

static const struct {
	enum door_kind kind;
	size_t parts;
} kinds[] = {
    {DOOR_START, 4}, {DOOR_READY, 0}, {DOOR_ENROLL, 5},  {DOOR_LOGIN, 3},
    {DOOR_RENEW, 6}, {DOOR_OK, 1},    {DOOR_REFUSED, 3},
};

/* DOOR_PARTS_MAX + 1: there is no such kind. */
static size_t parts_of(unsigned kind)
{
	for (size_t i = 0; i < SL_COUNT(kinds); i++) {
		if (kinds[i].kind == kind) {
			return kinds[i].parts;
		}
	}
	return DOOR_PARTS_MAX + 1;
}

size_t door_write(const struct door_record *record, uint8_t *out, size_t room)
{
	size_t need = DOOR_HEAD_BYTES;
	for (size_t i = 0; i < record->count; i++) {
		if (record->parts[i].size > PART_MAX) {
			return 0;
		}
		need += LENGTH_BYTES + record->parts[i].size;
	}
	if (need > room || record->count != parts_of(record->kind)) {
		return 0;
	}
	out[0] = (uint8_t)record->kind;
	sl_put_be32(out + 1, record->id);
	uint8_t *at = out + DOOR_HEAD_BYTES;
	for (size_t i = 0; i < record->count; i++) {
		size_t size = record->parts[i].size;
		at[0] = (uint8_t)(size >> 8);
		at[1] = (uint8_t)size;
		if (size > 0) {
			memcpy(at + LENGTH_BYTES, record->parts[i].data, size);
		}
		at += LENGTH_BYTES + size;
	}
	return need;
}

bool door_read(struct sl_bytes bytes, struct door_record *ret_record)
{
	struct door_record record = {.count = 0};
	if (bytes.size < DOOR_HEAD_BYTES || parts_of(bytes.data[0]) > DOOR_PARTS_MAX) {
		return false;
	}
	record.kind = (enum door_kind)bytes.data[0];
	record.id = sl_get_be32(bytes.data + 1);
	size_t wanted = parts_of(record.kind), at = DOOR_HEAD_BYTES;
	while (record.count < wanted) {
		if (bytes.size - at < LENGTH_BYTES) {
			return false;
		}
		size_t size = (size_t)bytes.data[at] << 8 | bytes.data[at + 1];
		at += LENGTH_BYTES;
		if (bytes.size - at < size) {
			return false;
		}
		record.parts[record.count++] = SL_BYTES(bytes.data + at, size);
		at += size;
	}
	if (at != bytes.size) {
		return false;
	}
	*ret_record = record;
	return true;
}

bool door_text(struct sl_bytes part, char *out, size_t size)
{
	if (part.size >= size || memchr(part.data, '\0', part.size) != NULL) {
		return false;
	}
	memcpy(out, part.data, part.size);
	out[part.size] = '\0';
	return true;
}
