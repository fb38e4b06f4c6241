/* gRPC's status, and what the server packed beside it, as a sl_err. */
#include <assert.h>
#include <string.h>

#include <grpc/slice.h>
#include <grpc/status.h>
#include <grpc/support/alloc.h>

#include "base/mem/own.h"
#include "client/rpc/rpc_internal.h"

#define SAME(name)                                                                                 \
	static_assert((int)SL_##name == (int)GRPC_STATUS_##name,                                   \
		      "sl_code differs from grpc_status_code")
SAME(OK);
SAME(CANCELLED);
SAME(UNKNOWN);
SAME(INVALID_ARGUMENT);
SAME(DEADLINE_EXCEEDED);
SAME(NOT_FOUND);
SAME(ALREADY_EXISTS);
SAME(PERMISSION_DENIED);
SAME(RESOURCE_EXHAUSTED);
SAME(FAILED_PRECONDITION);
SAME(ABORTED);
SAME(OUT_OF_RANGE);
SAME(UNIMPLEMENTED);
SAME(INTERNAL);
SAME(UNAVAILABLE);
SAME(DATA_LOSS);
SAME(UNAUTHENTICATED);

static const char details_key[] = "grpc-status-details-bin";

void crpc_status_init(struct crpc_status *status)
{
	*status = (struct crpc_status){.code = GRPC_STATUS_UNKNOWN, .text = grpc_empty_slice()};
	grpc_metadata_array_init(&status->trailing);
}

void crpc_status_fini(struct crpc_status *status)
{
	grpc_slice_unref(status->text);
	grpc_metadata_array_destroy(&status->trailing);
}

grpc_op crpc_status_op(struct crpc_status *status)
{
	grpc_op op;
	memset(&op, 0, sizeof(op));
	op.op = GRPC_OP_RECV_STATUS_ON_CLIENT;
	op.data.recv_status_on_client.status = &status->code;
	op.data.recv_status_on_client.status_details = &status->text;
	op.data.recv_status_on_client.trailing_metadata = &status->trailing;
	return op;
}

/* gRPC undoes the base64 of "-bin" keys. */
static struct sl_bytes find_details(const struct crpc_status *status)
{
	for (size_t i = 0; i < status->trailing.count; i++) {
		const grpc_metadata *entry = &status->trailing.metadata[i];
		if (grpc_slice_str_cmp(entry->key, details_key) == 0) {
			return SL_BYTES(GRPC_SLICE_START_PTR(entry->value),
					GRPC_SLICE_LENGTH(entry->value));
		}
	}
	return SL_BYTES_NONE;
}

/* A server may send numbers that gRPC does not define. */
static sl_code known_code(grpc_status_code code)
{
	return (unsigned)code <= SL_UNAUTHENTICATED ? (sl_code)code : SL_UNKNOWN;
}

sl_code crpc_status_err(const struct crpc_status *status, const char *target, struct sl_err *err)
{
	sl_code code = known_code(status->code);
	if (code == SL_OK || err == NULL) {
		return code;
	}
	int length = (int)GRPC_SLICE_LENGTH(status->text);
	const char *text = (const char *)GRPC_SLICE_START_PTR(status->text);
	struct sl_bytes details = find_details(status);
	if (details.size > 0) {
		(void)sl_err_set(err, code, "%.*s", length, text);
		crpc_details_decode(details, err);
		return code;
	}
	if (code == SL_UNAVAILABLE || code == SL_DEADLINE_EXCEEDED) { /* mostly gRPC's own */
		return sl_err_set(err, code, "server '%s': %.*s", target, length, text);
	}
	return sl_err_set(err, code, "%.*s", length, text);
}
