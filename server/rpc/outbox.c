#include "server/rpc/outbox.h"

#include <stdlib.h>

#include "base/mem/own.h"

#define FIRST_ROOM 8 /* slots; doubles as needed */

struct outbox_slot {
	struct rpc_message *message; /* a reference */
	uint64_t mark;
};

/* --- messages ------------------------------------------------------------------ */

struct rpc_message *rpc_message_new(struct sl_bytes bytes)
{
	struct rpc_message *message = calloc(1, sizeof(*message));
	if (message == NULL) {
		return NULL;
	}
	grpc_slice slice = grpc_slice_from_copied_buffer((const char *)bytes.data, bytes.size);
	message->buffer = grpc_raw_byte_buffer_create(&slice, 1);
	grpc_slice_unref(slice);
	message->size = bytes.size;
	atomic_init(&message->refs, 1);
	return message;
}

void rpc_message_unref(struct rpc_message *message)
{
	if (message == NULL ||
	    atomic_fetch_sub_explicit(&message->refs, 1, memory_order_acq_rel) != 1) {
		return;
	}
	grpc_byte_buffer_destroy(message->buffer);
	free(message);
}

/* --- the ring -------------------------------------------------------------------- */

static bool grow(struct outbox *outbox)
{
	unsigned room = outbox->room == 0 ? FIRST_ROOM : 2 * outbox->room;
	struct outbox_slot *bigger = calloc(room, sizeof(*bigger));
	if (bigger == NULL) {
		return false;
	}
	for (unsigned i = 0; i < outbox->waiting; i++) {
		bigger[i] = outbox->slots[(outbox->first + i) % outbox->room];
	}
	free(outbox->slots);
	outbox->slots = bigger;
	outbox->room = room;
	outbox->first = 0;
	return true;
}

sl_code outbox_put(struct outbox *outbox, struct rpc_message *message, uint64_t mark)
{
	bool too_many = outbox->waiting == RPC_STREAM_MESSAGES_MAX;
	bool too_much = outbox->waiting > 0 && outbox->bytes + message->size > RPC_STREAM_BYTES_MAX;
	if (too_many || too_much || (outbox->waiting == outbox->room && !grow(outbox))) {
		return SL_RESOURCE_EXHAUSTED;
	}
	atomic_fetch_add_explicit(&message->refs, 1, memory_order_relaxed);
	outbox->slots[(outbox->first + outbox->waiting) % outbox->room] =
	    (struct outbox_slot){.message = message, .mark = mark};
	outbox->waiting++;
	outbox->bytes += message->size;
	return SL_OK;
}

struct rpc_message *outbox_take(struct outbox *outbox, uint64_t *ret_mark)
{
	if (outbox->waiting == 0) {
		return NULL;
	}
	struct outbox_slot slot = outbox->slots[outbox->first];
	outbox->first = (outbox->first + 1) % outbox->room;
	outbox->waiting--;
	outbox->bytes -= slot.message->size;
	if (outbox->waiting == 0 && outbox->room > FIRST_ROOM) {
		/* Ten thousand streams: what a burst needed goes back. */
		free(SL_TAKE(outbox->slots));
		outbox->room = 0;
	}
	*ret_mark = slot.mark;
	return slot.message;
}

void outbox_clear(struct outbox *outbox)
{
	uint64_t mark;
	while (outbox->waiting > 0) {
		rpc_message_unref(outbox_take(outbox, &mark));
	}
}

void outbox_fini(struct outbox *outbox)
{
	outbox_clear(outbox);
	free(SL_TAKE(outbox->slots));
	outbox->room = 0;
}
