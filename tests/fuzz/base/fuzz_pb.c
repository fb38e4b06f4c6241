/* Target: messages unpacked into an arena. Property: what is taken packs to what is
 * taken again and packs the same, also by libprotobuf-c; of what that packs both make the same. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem/own.h"
#include "base/pb/pb.h"
#include "sample.pb-c.h"

static void expect(bool holds)
{
	if (!holds) {
		abort();
	}
}

static struct sl_bytes their_pack(struct sl_arena *arena, const ProtobufCMessage *message)
{
	size_t size = protobuf_c_message_get_packed_size(message);
	uint8_t *data = sl_arena_alloc(arena, size + 1);
	expect(data != NULL && protobuf_c_message_pack(message, data) == size);
	return SL_BYTES(data, size);
}

static ProtobufCMessage *their_unpack(struct sl_arena *arena, struct sl_bytes bytes)
{
	return protobuf_c_message_unpack(&sample__parts__descriptor, sl_arena_protobuf(arena),
					 bytes.size, bytes.data);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	SL_AUTO(sl_arena_fini) struct sl_arena arena;
	sl_arena_init(&arena, 0);
	ProtobufCMessage *ours =
	    pb_unpack(&sample__parts__descriptor, &arena, SL_BYTES(data, size));
	ProtobufCMessage *theirs = their_unpack(&arena, SL_BYTES(data, size));
	if (ours != NULL) {
		struct sl_bytes packed = pb_pack(&arena, ours);
		ours = pb_unpack(&sample__parts__descriptor, &arena, packed);
		expect(ours != NULL && sl_bytes_equal(pb_pack(&arena, ours), packed));
		ProtobufCMessage *again = their_unpack(&arena, packed);
		expect(again != NULL && sl_bytes_equal(their_pack(&arena, again), packed));
	}
	if (theirs != NULL) {
		struct sl_bytes packed = their_pack(&arena, theirs);
		ours = pb_unpack(&sample__parts__descriptor, &arena, packed);
		/* Nested deeper than is taken, or field 0, or a tag beyond 2^29: not for us. */
		expect(ours == NULL || sl_bytes_equal(pb_pack(&arena, ours), packed));
	}
	expect(!sl_arena_failed(&arena));
	return 0;
}
