/* Targets: door_read, door_write, invitation_parse.
 * Property: what is read is written back byte for byte; what parses as a join token is written back
 * as it was. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "server/door/wire.h"
#include "server/records/identities.h"

static void records(const uint8_t *data, size_t size)
{
	static uint8_t out[DOOR_RECORD_MAX];
	struct door_record record;
	if (!door_read(SL_BYTES(data, size), &record)) {
		return;
	}
	if (size <= sizeof(out) &&
	    (door_write(&record, out, sizeof(out)) != size || memcmp(out, data, size) != 0)) {
		abort();
	}
	for (size_t i = 0; i < record.count; i++) {
		char text[64];
		if (door_text(record.parts[i], text, sizeof(text)) &&
		    strlen(text) != record.parts[i].size) {
			abort();
		}
	}
}

static void tokens(const uint8_t *data, size_t size)
{
	char text[256], again[INVITATION_TEXT_SIZE];
	struct invitation_parts parts;
	size = size < sizeof(text) - 1 ? size : sizeof(text) - 1;
	memcpy(text, data, size);
	text[size] = '\0';
	if (invitation_parse(text, &parts) &&
	    strcmp(invitation_text(parts.id, parts.secret, again), text) != 0) {
		abort();
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	records(data, size);
	tokens(data, size);
	return 0;
}
