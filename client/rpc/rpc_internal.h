/* Shared by the files of client/rpc; nobody else may include it. */
#ifndef SL_CLIENT_RPC_INTERNAL_H
#define SL_CLIENT_RPC_INTERNAL_H

#include <grpc/grpc.h>

#include "client/rpc/rpc.h"

struct crpc_channel {
	grpc_channel *grpc;
	char *target; /* owned, as the caller wrote it */
};

/* What RECV_STATUS_ON_CLIENT fills. */
struct crpc_status {
	grpc_status_code code;
	grpc_slice text;
	grpc_metadata_array trailing;
};

void crpc_status_init(struct crpc_status *status);
void crpc_status_fini(struct crpc_status *status);
/* The op that fills `status`, which must stay in place until the batch is back. */
grpc_op crpc_status_op(struct crpc_status *status);
/* Returns the code and, unless that is SL_OK, fills *err with text, reason and
 * details. `target` names the server where gRPC itself gave up. err may be NULL. */
sl_code crpc_status_err(const struct crpc_status *status, const char *target, struct sl_err *err);

/* Reads a serialized google.rpc.Status into the reason and details of *err,
 * which is filled already. What cannot be read is left out. */
void crpc_details_decode(struct sl_bytes packed, struct sl_err *err);

/* A new message with a copy of `bytes`. */
grpc_byte_buffer *crpc_message_new(struct sl_bytes bytes);
/* Copies a received message; one byte longer than its size, so never NULL for
 * an empty one. NULL: out of memory. */
uint8_t *crpc_message_copy(grpc_byte_buffer *message, size_t *ret_size);

/* Starts a batch. It cannot fail but by a bug of ours, so then it aborts. */
void crpc_start(grpc_call *call, const grpc_op *ops, size_t count, void *tag);

/* timeout_ms from now. */
gpr_timespec crpc_deadline(unsigned timeout_ms);

#endif
