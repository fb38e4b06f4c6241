/* A sl_err as gRPC's status, text and google.rpc.Status details. */
#include <stdio.h>
#include <string.h>

#include "base/mem/arena.h"
#include "google/rpc/error_details.pb-c.h"
#include "google/rpc/status.pb-c.h"
#include "server/rpc/rpc_internal.h"

_Static_assert((int)SL_OK == (int)GRPC_STATUS_OK, "codes must match gRPC's");
_Static_assert((int)SL_CANCELLED == (int)GRPC_STATUS_CANCELLED, "codes must match gRPC's");
_Static_assert((int)SL_UNKNOWN == (int)GRPC_STATUS_UNKNOWN, "codes must match gRPC's");
_Static_assert((int)SL_INVALID_ARGUMENT == (int)GRPC_STATUS_INVALID_ARGUMENT, "codes must match");
_Static_assert((int)SL_DEADLINE_EXCEEDED == (int)GRPC_STATUS_DEADLINE_EXCEEDED, "codes must match");
_Static_assert((int)SL_NOT_FOUND == (int)GRPC_STATUS_NOT_FOUND, "codes must match gRPC's");
_Static_assert((int)SL_ALREADY_EXISTS == (int)GRPC_STATUS_ALREADY_EXISTS, "codes must match");
_Static_assert((int)SL_PERMISSION_DENIED == (int)GRPC_STATUS_PERMISSION_DENIED, "codes must match");
_Static_assert((int)SL_RESOURCE_EXHAUSTED == (int)GRPC_STATUS_RESOURCE_EXHAUSTED, "must match");
_Static_assert((int)SL_FAILED_PRECONDITION == (int)GRPC_STATUS_FAILED_PRECONDITION, "must match");
_Static_assert((int)SL_ABORTED == (int)GRPC_STATUS_ABORTED, "codes must match gRPC's");
_Static_assert((int)SL_OUT_OF_RANGE == (int)GRPC_STATUS_OUT_OF_RANGE, "codes must match gRPC's");
_Static_assert((int)SL_UNIMPLEMENTED == (int)GRPC_STATUS_UNIMPLEMENTED, "codes must match gRPC's");
_Static_assert((int)SL_INTERNAL == (int)GRPC_STATUS_INTERNAL, "codes must match gRPC's");
_Static_assert((int)SL_UNAVAILABLE == (int)GRPC_STATUS_UNAVAILABLE, "codes must match gRPC's");
_Static_assert((int)SL_DATA_LOSS == (int)GRPC_STATUS_DATA_LOSS, "codes must match gRPC's");
_Static_assert((int)SL_UNAUTHENTICATED == (int)GRPC_STATUS_UNAUTHENTICATED, "codes must match");

typedef Google__Rpc__ErrorInfo__MetadataEntry meta_entry;
typedef Google__Rpc__PreconditionFailure__Violation gate_violation;
typedef Google__Rpc__BadRequest__FieldViolation field_violation;

/* What goes out, in the order of err->details. */
struct picked {
	meta_entry **metadata;
	gate_violation **gates;
	field_violation **fields;
	size_t metadata_count, gate_count, field_count;
	size_t cut;
	size_t room; /* bytes left for further ones */
};

void rpc_status_init(struct rpc_status *status)
{
	*status = (struct rpc_status){.code = SL_OK, .text = grpc_empty_slice()};
}

void rpc_status_fini(struct rpc_status *status)
{
	grpc_slice_unref(status->text);
	if (status->has_details) {
		grpc_slice_unref(status->details.value);
	}
	rpc_status_init(status);
}

/* Clients refuse a message with a string that is not UTF-8, and a text that was
 * cut to fit, or came from outside, may not be: what is wrong becomes '?'. */
static void make_utf8(char *text)
{
	for (unsigned char *at = (unsigned char *)text; *at != '\0';) {
		size_t length = sl_utf8_length(at);
		if (length == 0) {
			*at = '?';
			length = 1;
		}
		at += length;
	}
}

static char *text_in(struct sl_arena *arena, const char *text)
{
	char *copy = sl_arena_strdup(arena, text);
	if (copy != NULL) {
		make_utf8(copy);
	}
	return copy;
}

static size_t wire_size(const ProtobufCMessage *item)
{
	size_t size = protobuf_c_message_get_packed_size(item);
	return size + 1 + (size < 128 ? 1 : size < 16384 ? 2 : 5); /* tag and length */
}

static bool take_room(struct picked *picked, const ProtobufCMessage *item)
{
	size_t size = wire_size(item);
	if (size > picked->room) {
		picked->cut++;
		return false;
	}
	picked->room -= size;
	return true;
}

static void pick_metadata(struct picked *picked, struct sl_arena *arena,
			  const struct sl_detail *detail)
{
	meta_entry *entry = SL_ARENA_NEW(arena, meta_entry);
	if (entry == NULL) {
		return;
	}
	google__rpc__error_info__metadata_entry__init(entry);
	entry->key = text_in(arena, detail->subject);
	entry->value = text_in(arena, detail->text);
	if (!sl_arena_failed(arena) && take_room(picked, &entry->base)) {
		picked->metadata[picked->metadata_count++] = entry;
	}
}

static void pick_gate(struct picked *picked, struct sl_arena *arena, const struct sl_detail *detail)
{
	gate_violation *gate = SL_ARENA_NEW(arena, gate_violation);
	if (gate == NULL) {
		return;
	}
	google__rpc__precondition_failure__violation__init(gate);
	gate->type = text_in(arena, detail->type);
	gate->subject = text_in(arena, detail->subject);
	gate->description = text_in(arena, detail->text);
	if (!sl_arena_failed(arena) && take_room(picked, &gate->base)) {
		picked->gates[picked->gate_count++] = gate;
	}
}

static void pick_field(struct picked *picked, struct sl_arena *arena,
		       const struct sl_detail *detail)
{
	field_violation *field = SL_ARENA_NEW(arena, field_violation);
	if (field == NULL) {
		return;
	}
	google__rpc__bad_request__field_violation__init(field);
	field->field = text_in(arena, detail->subject);
	field->description = text_in(arena, detail->text);
	if (!sl_arena_failed(arena) && take_room(picked, &field->base)) {
		picked->fields[picked->field_count++] = field;
	}
}

/* Metadata first: it is small, and programs act on it. */
static void pick(struct picked *picked, struct sl_arena *arena, const struct sl_err *err)
{
	size_t count = 1; /* "cut" */
	for (const struct sl_detail *detail = err->details; detail != NULL; detail = detail->next) {
		count++;
	}
	picked->metadata = SL_ARENA_ARRAY(arena, meta_entry *, count);
	picked->gates = SL_ARENA_ARRAY(arena, gate_violation *, count);
	picked->fields = SL_ARENA_ARRAY(arena, field_violation *, count);
	if (sl_arena_failed(arena)) {
		return;
	}
	for (const struct sl_detail *detail = err->details; detail != NULL; detail = detail->next) {
		if (detail->kind == SL_DETAIL_METADATA) {
			pick_metadata(picked, arena, detail);
		}
	}
	for (const struct sl_detail *detail = err->details; detail != NULL; detail = detail->next) {
		if (detail->kind == SL_DETAIL_GATE) {
			pick_gate(picked, arena, detail);
		} else if (detail->kind == SL_DETAIL_FIELD) {
			pick_field(picked, arena, detail);
		}
	}
	if (picked->cut > 0) {
		picked->room += 32; /* kept back for it */
		const struct sl_detail cut = {
		    .kind = SL_DETAIL_METADATA,
		    .subject = "cut",
		    .text = sl_arena_printf(arena, "%zu", picked->cut),
		};
		if (cut.text != NULL) {
			pick_metadata(picked, arena, &cut);
		}
	}
}

static void add_any(Google__Rpc__Status *status, struct sl_arena *arena, const char *type,
		    const ProtobufCMessage *message)
{
	Google__Protobuf__Any *any = SL_ARENA_NEW(arena, Google__Protobuf__Any);
	size_t size = protobuf_c_message_get_packed_size(message);
	uint8_t *data = sl_arena_alloc(arena, size > 0 ? size : 1);
	char *url = sl_arena_printf(arena, "type.googleapis.com/%s", type);
	if (sl_arena_failed(arena)) {
		return;
	}
	google__protobuf__any__init(any);
	any->type_url = url;
	any->value.data = data;
	any->value.len = protobuf_c_message_pack(message, data);
	status->details[status->n_details++] = any;
}

static void add_details(Google__Rpc__Status *status, struct sl_arena *arena,
			const struct sl_err *err)
{
	/* The frame: code, message, three Any with their URLs, reason and domain, "cut". */
	size_t frame = strlen(status->message) + 420;
	struct picked picked = {.room = RPC_DETAILS_MAX - frame};
	pick(&picked, arena, err);
	if (sl_arena_failed(arena)) {
		return;
	}
	Google__Rpc__ErrorInfo info = GOOGLE__RPC__ERROR_INFO__INIT;
	info.reason = (char *)sl_reason_name(err->reason);
	info.domain = (char *)"sluice";
	info.metadata = picked.metadata;
	info.n_metadata = picked.metadata_count;
	add_any(status, arena, "google.rpc.ErrorInfo", &info.base);
	if (picked.gate_count > 0) {
		Google__Rpc__PreconditionFailure gates = GOOGLE__RPC__PRECONDITION_FAILURE__INIT;
		gates.violations = picked.gates;
		gates.n_violations = picked.gate_count;
		add_any(status, arena, "google.rpc.PreconditionFailure", &gates.base);
	}
	if (picked.field_count > 0) {
		Google__Rpc__BadRequest fields = GOOGLE__RPC__BAD_REQUEST__INIT;
		fields.field_violations = picked.fields;
		fields.n_field_violations = picked.field_count;
		add_any(status, arena, "google.rpc.BadRequest", &fields.base);
	}
}

/* Out of memory: the call ends without details, with its code and text. */
static void set_details(struct rpc_status *status, const char *text, const struct sl_err *err)
{
	SL_AUTO(sl_arena_fini) struct sl_arena arena;
	sl_arena_init(&arena, 0);
	Google__Rpc__Status message = GOOGLE__RPC__STATUS__INIT;
	Google__Protobuf__Any *anys[3];
	message.code = (int32_t)status->code;
	message.message = (char *)text;
	message.details = anys;
	add_details(&message, &arena, err);
	size_t size = google__rpc__status__get_packed_size(&message);
	if (sl_arena_failed(&arena) || size > RPC_DETAILS_MAX) {
		return;
	}
	grpc_slice bytes = grpc_slice_malloc(size);
	(void)google__rpc__status__pack(&message, GRPC_SLICE_START_PTR(bytes));
	status->details = (grpc_metadata){
	    .key = grpc_slice_from_static_string("grpc-status-details-bin"),
	    .value = bytes,
	};
	status->has_details = true;
}

void rpc_status_set(struct rpc_status *status, sl_code code, const struct sl_err *err)
{
	status->code = code;
	if (code == SL_OK || err == NULL) {
		return;
	}
	char text[SL_ERR_MSG_SIZE];
	(void)snprintf(text, sizeof(text), "%s", err->msg);
	make_utf8(text);
	status->text = grpc_slice_from_copied_string(text);
	if (err->reason != SL_REASON_NONE || err->details != NULL) {
		set_details(status, text, err);
	}
}

void rpc_status_op(struct rpc_status *status, grpc_op *op)
{
	*op = (grpc_op){.op = GRPC_OP_SEND_STATUS_FROM_SERVER};
	op->data.send_status_from_server.status = (grpc_status_code)status->code;
	op->data.send_status_from_server.status_details = &status->text;
	if (status->has_details) {
		op->data.send_status_from_server.trailing_metadata = &status->details;
		op->data.send_status_from_server.trailing_metadata_count = 1;
	}
}
