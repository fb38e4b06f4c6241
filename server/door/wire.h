/* wire: what the door's child and its parent say to each other over a SOCK_SEQPACKET pair: a record
 * is a message. The parent believes nothing of it: every length is looked at.
 *
 *   record := kind (1 byte), id (4 bytes), parts
 *   part   := length (2 bytes), bytes
 *
 * All numbers big-endian. Each kind has a fixed number of parts. Pure; any thread. */
#ifndef SL_SERVER_DOOR_WIRE_H
#define SL_SERVER_DOOR_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes/bytes.h"

enum door_kind {
	DOOR_START = 'S',   /* parent: where to listen for knocks, certificate, key, CA; and the
			       socket   over which connections come */
	DOOR_READY = 'P',   /* child */
	DOOR_ENROLL = 'E',  /* child: peer, token, request, box key, signature */
	DOOR_LOGIN = 'L',   /* child: peer, token, request */
	DOOR_RENEW = 'R',   /* child: peer, certificate, request, counter (8 bytes), nonce,
			       signature */
	DOOR_OK = 'A',      /* parent: the packed response */
	DOOR_REFUSED = 'N', /* parent: code (1 byte), reason (1 byte), text */
};

enum { DOOR_PARTS_MAX = 6, DOOR_RECORD_MAX = 64 << 10, DOOR_HEAD_BYTES = 5 };

struct door_record {
	enum door_kind kind;
	uint32_t id;
	struct sl_bytes parts[DOOR_PARTS_MAX]; /* borrowed */
	size_t count;
};

/* Bytes written; 0: it does not fit. A part has at most 65 535 bytes. */
size_t door_write(const struct door_record *record, uint8_t *out, size_t room);
/* False: unknown kind, other number of parts, lengths that do not add up. */
bool door_read(struct sl_bytes bytes, struct door_record *ret_record);

/* The part as a text in `out`; false: longer than `size` - 1, or it holds a NUL. */
bool door_text(struct sl_bytes part, char *out, size_t size);

#endif
