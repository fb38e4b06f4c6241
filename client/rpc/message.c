/* Small things that calls and streams share: messages, batches, deadlines. */
#include <stdlib.h>
#include <string.h>

#include <grpc/byte_buffer.h>
#include <grpc/byte_buffer_reader.h>
#include <grpc/slice.h>
#include <grpc/support/time.h>

#include "client/rpc/rpc_internal.h"

grpc_byte_buffer *crpc_message_new(struct sl_bytes bytes)
{
	grpc_slice slice = grpc_slice_from_copied_buffer((const char *)bytes.data, bytes.size);
	grpc_byte_buffer *message = grpc_raw_byte_buffer_create(&slice, 1);
	grpc_slice_unref(slice);
	return message;
}

uint8_t *crpc_message_copy(grpc_byte_buffer *message, size_t *ret_size)
{
	size_t size = grpc_byte_buffer_length(message), at = 0;
	uint8_t *copy = malloc(size + 1);
	grpc_byte_buffer_reader reader;
	if (copy == NULL || !grpc_byte_buffer_reader_init(&reader, message)) {
		free(copy);
		return NULL;
	}
	grpc_slice *slice = NULL;
	while (grpc_byte_buffer_reader_peek(&reader, &slice)) {
		size_t length = GRPC_SLICE_LENGTH(*slice);
		if (length > 0) {
			memcpy(copy + at, GRPC_SLICE_START_PTR(*slice), length);
		}
		at += length;
	}
	grpc_byte_buffer_reader_destroy(&reader);
	copy[at] = '\0';
	*ret_size = at;
	return copy;
}

void crpc_start(grpc_call *call, const grpc_op *ops, size_t count, void *tag)
{
	if (grpc_call_start_batch(call, ops, count, tag, NULL) != GRPC_CALL_OK) {
		abort();
	}
}

gpr_timespec crpc_deadline(unsigned timeout_ms)
{
	return gpr_time_add(gpr_now(GPR_CLOCK_MONOTONIC),
			    gpr_time_from_millis(timeout_ms, GPR_TIMESPAN));
}
