/* outbox: messages that wait until a stream's reader takes them, oldest first, at most
 * RPC_STREAM_MESSAGES_MAX and RPC_STREAM_BYTES_MAX of them. A message may lie in many; gRPC gets a
 * copy of the reference to its bytes.
 *
 * Threads: any for messages; the caller's lock guards an outbox. */
#ifndef SL_SERVER_RPC_OUTBOX_H
#define SL_SERVER_RPC_OUTBOX_H

#include <stdatomic.h>

#include <grpc/byte_buffer.h>

#include "server/rpc/rpc.h"

struct rpc_message {
	atomic_uint refs;
	size_t size;
	grpc_byte_buffer *buffer; /* owned; copied, that is referenced, for each send */
};

/* All 0: empty. */
struct outbox {
	struct outbox_slot *slots; /* owned ring of `room` */
	unsigned room, first, waiting;
	size_t bytes; /* of all that wait */
};

/* Keeps a reference of its own. SL_RESOURCE_EXHAUSTED: full, or no memory. */
SL_MUST_USE sl_code outbox_put(struct outbox *outbox, struct rpc_message *message, uint64_t mark);
/* The oldest and its mark; the caller unrefs it. NULL: empty. */
struct rpc_message *outbox_take(struct outbox *outbox, uint64_t *ret_mark);
void outbox_clear(struct outbox *outbox);
void outbox_fini(struct outbox *outbox);

#endif
