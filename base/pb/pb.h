/* pb: protobuf-c's messages, unpacked into an arena and packed from its end.
 *
 * The same messages and the same bytes as libprotobuf-c, in a quarter of its
 * instructions: one pass over the input (it makes two, and a list of what it met),
 * one pass over the message, written from the back so that no length is
 * computed ahead. Every read and write of the server does this several times;
 * where it does not matter, the library's own functions do as well.
 *
 * What is not known (a newer peer's fields) is kept and packed again. A field of
 * another wire type than its own makes the whole input malformed, as does
 * nesting deeper than PB_DEPTH_MAX. Of a message field that comes twice, the
 * second is read into the first, as the specification of protobuf asks.
 *
 * Threads: the arena's owner. */
#ifndef SL_BASE_PB_H
#define SL_BASE_PB_H

#include <protobuf-c/protobuf-c.h>

#include "base/bytes/bytes.h"
#include "base/mem/arena.h"

#define PB_DEPTH_MAX 100

/* NULL: malformed, or out of memory, which sl_arena_failed() tells. Messages with required
 * fields (proto2) are not for here: nobody looks whether they are there. */
ProtobufCMessage *pb_unpack(const ProtobufCMessageDescriptor *type, struct sl_arena *arena,
			    struct sl_bytes bytes);

/* The text of one field of a packed message, without unpacking the others; "": it has none. NULL as
 * above; of the other fields only the lengths are looked at. */
char *pb_text(struct sl_arena *arena, struct sl_bytes message, uint32_t number);

/* The message's bytes, in the arena. Of what failed (sl_arena_failed()): none. */
struct sl_bytes pb_pack(struct sl_arena *arena, const ProtobufCMessage *message);

#endif
