/* From the back: when a message has been written, its length is known, and stands in front. */
#include <string.h>

#include "base/pb/pb_internal.h"

struct output {
	struct sl_arena *arena;
	uint8_t *from, *at, *to; /* written is [at, to), room is [from, at) */
	bool failed;
};

enum { FIRST_ROOM = 256, VARINT_BYTES = 10 };

static void write_message(struct output *out, const ProtobufCMessage *message);

static size_t written(const struct output *out)
{
	return (size_t)(out->to - out->at);
}

static bool grow(struct output *out, size_t more)
{
	size_t size = written(out);
	const uint8_t *old = out->at;
	if (out->failed || !sl_arena_spare(out->arena, 2 * size + more, &out->from, &out->to)) {
		out->failed = true;
		return false;
	}
	out->at = out->to - size;
	memcpy(out->at, old, size);
	return true;
}

static inline bool reserve(struct output *out, size_t bytes)
{
	return (size_t)(out->at - out->from) >= bytes || grow(out, bytes);
}

static void write_bytes(struct output *out, const void *data, size_t size)
{
	if (size > 0 && reserve(out, size)) {
		out->at -= size;
		memcpy(out->at, data, size);
	}
}

static void write_long_varint(struct output *out, uint64_t number)
{
	unsigned size = (70u - (unsigned)__builtin_clzll(number)) / 7;
	uint8_t *at = out->at -= size;
	for (; number >= 0x80; number >>= 7) {
		*at++ = (uint8_t)(number | 0x80);
	}
	*at = (uint8_t)number;
}

static inline void write_varint(struct output *out, uint64_t number)
{
	if (!reserve(out, VARINT_BYTES)) {
		return;
	}
	if (number < 0x80) {
		*--out->at = (uint8_t)number;
		return;
	}
	write_long_varint(out, number);
}

static void write_fixed(struct output *out, uint64_t number, size_t size)
{
	uint8_t bytes[8];
	for (size_t i = 0; i < size; i++) {
		bytes[i] = (uint8_t)(number >> (8 * i));
	}
	write_bytes(out, bytes, size);
}

static void write_tag(struct output *out, uint32_t tag, ProtobufCWireType type)
{
	write_varint(out, (uint64_t)tag << 3 | (uint64_t)type);
}

/* --- one value ----------------------------------------------------------------------- */

static uint64_t zigzag32(int32_t number)
{
	return ((uint32_t)number << 1) ^ (uint32_t)(number >> 31);
}

static uint64_t zigzag64(int64_t number)
{
	return ((uint64_t)number << 1) ^ (uint64_t)(number >> 63);
}

static ProtobufCWireType write_delimited(struct output *out, ProtobufCType type, const void *member)
{
	size_t before = written(out);
	if (type == PROTOBUF_C_TYPE_STRING) {
		const char *text = *(const char *const *)member;
		write_bytes(out, text, text == NULL ? 0 : strlen(text));
	} else if (type == PROTOBUF_C_TYPE_BYTES) {
		const ProtobufCBinaryData *bytes = member;
		write_bytes(out, bytes->data, bytes->len);
	} else if (*(const ProtobufCMessage *const *)member != NULL) {
		write_message(out, *(const ProtobufCMessage *const *)member);
	}
	write_varint(out, written(out) - before);
	return PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED;
}

/* Without the tag, whose wire type it returns. */
static ProtobufCWireType write_value(struct output *out, ProtobufCType type, const void *member)
{
	switch (type) {
	case PROTOBUF_C_TYPE_STRING:
	case PROTOBUF_C_TYPE_BYTES:
	case PROTOBUF_C_TYPE_MESSAGE:
		return write_delimited(out, type, member);
	case PROTOBUF_C_TYPE_SFIXED32:
	case PROTOBUF_C_TYPE_FIXED32:
	case PROTOBUF_C_TYPE_FLOAT:
		write_fixed(out, *(const uint32_t *)member, 4);
		return PROTOBUF_C_WIRE_TYPE_32BIT;
	case PROTOBUF_C_TYPE_SFIXED64:
	case PROTOBUF_C_TYPE_FIXED64:
	case PROTOBUF_C_TYPE_DOUBLE:
		write_fixed(out, *(const uint64_t *)member, 8);
		return PROTOBUF_C_WIRE_TYPE_64BIT;
	case PROTOBUF_C_TYPE_INT32:
	case PROTOBUF_C_TYPE_ENUM: /* negative ones have ten bytes */
		write_varint(out, (uint64_t)(int64_t) * (const int32_t *)member);
		break;
	case PROTOBUF_C_TYPE_SINT32:
		write_varint(out, zigzag32(*(const int32_t *)member));
		break;
	case PROTOBUF_C_TYPE_SINT64:
		write_varint(out, zigzag64(*(const int64_t *)member));
		break;
	case PROTOBUF_C_TYPE_UINT32:
		write_varint(out, *(const uint32_t *)member);
		break;
	case PROTOBUF_C_TYPE_BOOL:
		write_varint(out, *(const protobuf_c_boolean *)member != 0);
		break;
	default:
		write_varint(out, *(const uint64_t *)member);
		break;
	}
	return PROTOBUF_C_WIRE_TYPE_VARINT;
}

/* --- fields ---------------------------------------------------------------------------- */

static bool is_pointer(ProtobufCType type)
{
	return type == PROTOBUF_C_TYPE_STRING || type == PROTOBUF_C_TYPE_MESSAGE;
}

/* A proto3 field that says what it would say by being absent. */
static bool is_zero(ProtobufCType type, const void *member)
{
	switch (type) {
	case PROTOBUF_C_TYPE_STRING:
		return *(const char *const *)member == NULL || **(const char *const *)member == 0;
	case PROTOBUF_C_TYPE_MESSAGE:
		return *(const void *const *)member == NULL;
	case PROTOBUF_C_TYPE_BYTES:
		return ((const ProtobufCBinaryData *)member)->len == 0;
	case PROTOBUF_C_TYPE_FLOAT:
		return *(const float *)member == 0;
	case PROTOBUF_C_TYPE_DOUBLE:
		return *(const double *)member == 0;
	default:
		return pb_size_of(type) == sizeof(uint64_t) ? *(const uint64_t *)member == 0
							    : *(const uint32_t *)member == 0;
	}
}

static bool is_there(const ProtobufCFieldDescriptor *field, const ProtobufCMessage *message,
		     const void *member)
{
	const uint32_t *quantifier =
	    (const uint32_t *)((const uint8_t *)message + field->quantifier_offset);
	bool in_oneof = (field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) != 0;
	if (field->label == PROTOBUF_C_LABEL_REQUIRED) {
		return true;
	}
	if (in_oneof && *quantifier != field->id) {
		return false;
	}
	if (field->label == PROTOBUF_C_LABEL_NONE && !in_oneof) {
		return !is_zero(field->type, member);
	}
	if (is_pointer(field->type)) {
		const void *pointer = *(const void *const *)member;
		return pointer != NULL && pointer != field->default_value;
	}
	return in_oneof || *quantifier != 0;
}

static void write_repeated(struct output *out, const ProtobufCFieldDescriptor *field,
			   const ProtobufCMessage *message)
{
	size_t count = *(const size_t *)((const uint8_t *)message + field->quantifier_offset);
	const uint8_t *array = *(uint8_t *const *)((const uint8_t *)message + field->offset);
	size_t size = pb_size_of(field->type), before = written(out);
	bool packed = (field->flags & PROTOBUF_C_FIELD_FLAG_PACKED) != 0;
	for (size_t i = count; i > 0; i--) {
		ProtobufCWireType type = write_value(out, field->type, array + (i - 1) * size);
		if (!packed) {
			write_tag(out, field->id, type);
		}
	}
	if (packed && count > 0) {
		write_varint(out, written(out) - before);
		write_tag(out, field->id, PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED);
	}
}

static void write_message(struct output *out, const ProtobufCMessage *message)
{
	const ProtobufCMessageDescriptor *type = message->descriptor;
	for (unsigned i = message->n_unknown_fields; i > 0; i--) {
		const ProtobufCMessageUnknownField *unknown = &message->unknown_fields[i - 1];
		write_bytes(out, unknown->data, unknown->len);
		write_tag(out, unknown->tag, unknown->wire_type);
	}
	for (unsigned i = type->n_fields; i > 0; i--) {
		const ProtobufCFieldDescriptor *field = &type->fields[i - 1];
		const void *member = (const uint8_t *)message + field->offset;
		if (field->label == PROTOBUF_C_LABEL_REPEATED) {
			write_repeated(out, field, message);
		} else if (is_there(field, message, member)) {
			write_tag(out, field->id, write_value(out, field->type, member));
		}
	}
}

struct sl_bytes pb_pack(struct sl_arena *arena, const ProtobufCMessage *message)
{
	struct output out = {.arena = arena};
	if (sl_arena_failed(arena) || !sl_arena_spare(arena, FIRST_ROOM, &out.from, &out.to)) {
		return SL_BYTES_NONE; /* the message may be half built */
	}
	out.at = out.to;
	write_message(&out, message);
	if (out.failed) {
		return SL_BYTES_NONE;
	}
	sl_arena_keep(arena, out.at);
	return SL_BYTES(out.at, written(&out));
}
