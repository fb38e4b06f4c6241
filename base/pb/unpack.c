#include <string.h>

#include "base/pb/pb_internal.h"

/* What is left of the input. */
struct input {
	const uint8_t *at, *end;
	struct sl_arena *arena;
	unsigned depth;
};

/* One field as it stands on the wire. */
struct wire_value {
	ProtobufCWireType type;
	uint64_t number;       /* of a varint or a fixed one */
	struct sl_bytes bytes; /* of a length-prefixed one, without the length */
	struct sl_bytes raw;   /* all behind the tag */
};

enum { TAG_MAX = 0x1fffffff, VARINT_BYTES = 10, ROOM_MIN = 4 };

static bool read_message(ProtobufCMessage *message, struct input *in);

/* NULL + 0 is not defined. */
static inline const uint8_t *end_of(struct sl_bytes bytes)
{
	return bytes.size == 0 ? bytes.data : bytes.data + bytes.size;
}

/* --- the wire ---------------------------------------------------------------------- */

static bool read_long_varint(struct input *in, uint64_t *ret_number)
{
	const uint8_t *at = in->at, *end = in->end;
	uint64_t number = 0;
	for (unsigned shift = 0; shift < 7 * VARINT_BYTES && at < end; shift += 7) {
		uint64_t byte = *at++;
		number |= (byte & 0x7f) << shift;
		if (byte < 0x80) {
			in->at = at;
			*ret_number = number;
			return true;
		}
	}
	return false;
}

static inline bool read_varint(struct input *in, uint64_t *ret_number)
{
	if (in->at < in->end && *in->at < 0x80) { /* most are */
		*ret_number = *in->at++;
		return true;
	}
	return read_long_varint(in, ret_number);
}

static bool read_fixed(struct input *in, size_t size, uint64_t *ret_number)
{
	if ((size_t)(in->end - in->at) < size) {
		return false;
	}
	uint64_t number = 0;
	for (size_t i = 0; i < size; i++) {
		number |= (uint64_t)in->at[i] << (8 * i);
	}
	in->at += size;
	*ret_number = number;
	return true;
}

static inline bool read_bytes(struct input *in, struct sl_bytes *ret_bytes)
{
	uint64_t size = 0;
	if (!read_varint(in, &size) || size > (uint64_t)(in->end - in->at)) {
		return false;
	}
	*ret_bytes = SL_BYTES(in->at, (size_t)size);
	in->at += size;
	return true;
}

__attribute__((always_inline)) static inline bool
read_value(struct input *in, ProtobufCWireType type, struct wire_value *value)
{
	const uint8_t *from = in->at;
	bool whole = false;
	value->type = type;
	switch (type) {
	case PROTOBUF_C_WIRE_TYPE_VARINT:
		whole = read_varint(in, &value->number);
		break;
	case PROTOBUF_C_WIRE_TYPE_64BIT:
		whole = read_fixed(in, 8, &value->number);
		break;
	case PROTOBUF_C_WIRE_TYPE_32BIT:
		whole = read_fixed(in, 4, &value->number);
		break;
	case PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED:
		whole = read_bytes(in, &value->bytes);
		break;
	default: /* groups are no part of proto3 */
		break;
	}
	value->raw = SL_BYTES(from, (size_t)(in->at - from));
	return whole;
}

/* --- one value -------------------------------------------------------------------------- */

static bool set_text(struct input *in, struct sl_bytes bytes, char **member)
{
	char *text = sl_arena_raw(in->arena, bytes.size + 1);
	if (text == NULL) {
		return false;
	}
	memcpy(text, bytes.data, bytes.size);
	text[bytes.size] = '\0';
	*member = text;
	return true;
}

static bool set_bytes(struct input *in, struct sl_bytes bytes, ProtobufCBinaryData *member)
{
	member->len = bytes.size;
	member->data = NULL;
	if (bytes.size == 0) {
		return true;
	}
	member->data = sl_arena_raw(in->arena, bytes.size);
	if (member->data != NULL) {
		memcpy(member->data, bytes.data, bytes.size);
	}
	return member->data != NULL;
}

static ProtobufCMessage *new_message(struct sl_arena *arena, const ProtobufCMessageDescriptor *type)
{
	ProtobufCMessage *message = sl_arena_raw(arena, type->sizeof_message);
	if (message != NULL) {
		type->message_init(message);
	}
	return message;
}

static bool set_message(struct input *in, struct sl_bytes bytes,
			const ProtobufCMessageDescriptor *type, ProtobufCMessage **member)
{
	ProtobufCMessage *message = *member != NULL ? *member : new_message(in->arena, type);
	struct input inner = {
	    .at = bytes.data, .end = end_of(bytes), .arena = in->arena, .depth = in->depth + 1};
	*member = message;
	return message != NULL && inner.depth <= PB_DEPTH_MAX && read_message(message, &inner);
}

static uint64_t unzigzag(uint64_t number)
{
	return (number >> 1) ^ (0 - (number & 1));
}

/* The member has the room of its type. */
static bool set_value(struct input *in, const ProtobufCFieldDescriptor *field,
		      const struct wire_value *value, void *member)
{
	switch (field->type) {
	case PROTOBUF_C_TYPE_STRING:
		return set_text(in, value->bytes, member);
	case PROTOBUF_C_TYPE_BYTES:
		return set_bytes(in, value->bytes, member);
	case PROTOBUF_C_TYPE_MESSAGE:
		return set_message(in, value->bytes, field->descriptor, member);
	case PROTOBUF_C_TYPE_BOOL:
		*(protobuf_c_boolean *)member = value->number != 0;
		return true;
	case PROTOBUF_C_TYPE_SINT32:
		*(uint32_t *)member = (uint32_t)unzigzag((uint32_t)value->number);
		return true;
	case PROTOBUF_C_TYPE_SINT64:
		*(uint64_t *)member = unzigzag(value->number);
		return true;
	case PROTOBUF_C_TYPE_INT64:
	case PROTOBUF_C_TYPE_UINT64:
	case PROTOBUF_C_TYPE_SFIXED64:
	case PROTOBUF_C_TYPE_FIXED64:
	case PROTOBUF_C_TYPE_DOUBLE:
		*(uint64_t *)member = value->number;
		return true;
	default:
		*(uint32_t *)member = (uint32_t)value->number;
		return true;
	}
}

/* --- repeated fields, unknown ones ---------------------------------------------------------- */

/* Room for one more of an array whose room follows from its count: none, 4, 8, 16, ... */
static void *reserve(struct sl_arena *arena, void **array, size_t count, size_t size)
{
	if (count != 0 && (count < ROOM_MIN || (count & (count - 1)) != 0)) {
		return (uint8_t *)*array + count * size;
	}
	size_t room = count == 0 ? ROOM_MIN : count * 2;
	uint8_t *larger = sl_arena_raw(arena, room * size);
	if (larger == NULL) {
		return NULL;
	}
	if (count > 0) {
		memcpy(larger, *array, count * size);
	}
	*array = larger;
	return larger + count * size;
}

static bool append(struct input *in, const ProtobufCFieldDescriptor *field,
		   const struct wire_value *value, ProtobufCMessage *message)
{
	size_t *count = (size_t *)((uint8_t *)message + field->quantifier_offset);
	void **array = (void **)((uint8_t *)message + field->offset);
	size_t size = pb_size_of(field->type);
	void *member = reserve(in->arena, array, *count, size);
	if (member == NULL) {
		return false;
	}
	memset(member, 0, size);
	(*count)++; /* before the value, so that a broken one is not read as the array's end */
	return set_value(in, field, value, member);
}

static bool append_packed(struct input *in, const ProtobufCFieldDescriptor *field,
			  struct sl_bytes bytes, ProtobufCMessage *message)
{
	struct input inner = *in;
	inner.at = bytes.data;
	inner.end = end_of(bytes);
	while (inner.at < inner.end) {
		struct wire_value value = {.number = 0};
		if (!read_value(&inner, pb_wire_type_of(field->type), &value) ||
		    !append(in, field, &value, message)) {
			return false;
		}
	}
	return true;
}

static bool keep_unknown(struct input *in, uint32_t tag, const struct wire_value *value,
			 ProtobufCMessage *message)
{
	ProtobufCMessageUnknownField *unknown =
	    reserve(in->arena, (void **)&message->unknown_fields, message->n_unknown_fields,
		    sizeof(*unknown));
	uint8_t *data = unknown == NULL ? NULL : sl_arena_raw(in->arena, value->raw.size);
	if (data == NULL) {
		return false;
	}
	memcpy(data, value->raw.data, value->raw.size);
	*unknown = (ProtobufCMessageUnknownField){
	    .tag = tag, .wire_type = value->type, .len = value->raw.size, .data = data};
	message->n_unknown_fields++;
	return true;
}

/* --- a message -------------------------------------------------------------------------------- */

static inline bool set_one(struct input *in, const ProtobufCFieldDescriptor *field,
			   const struct wire_value *value, ProtobufCMessage *message)
{
	void *member = (uint8_t *)message + field->offset;
	uint32_t *quantifier = (uint32_t *)((uint8_t *)message + field->quantifier_offset);
	if ((field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) != 0) {
		memset(member, 0, pb_size_of(field->type)); /* another one's, perhaps */
		*quantifier = field->id;
	} else if (field->quantifier_offset != 0) {
		*quantifier = 1;
	}
	return set_value(in, field, value, member);
}

static inline bool set_field(struct input *in, const ProtobufCFieldDescriptor *field,
			     const struct wire_value *value, ProtobufCMessage *message)
{
	ProtobufCWireType own = pb_wire_type_of(field->type);
	bool packed = field->label == PROTOBUF_C_LABEL_REPEATED &&
		      own != PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED &&
		      value->type == PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED;
	if (packed) {
		return append_packed(in, field, value->bytes, message);
	}
	if (value->type != own) {
		return false;
	}
	return field->label == PROTOBUF_C_LABEL_REPEATED ? append(in, field, value, message)
							 : set_one(in, field, value, message);
}

/* Fields come in the order of their numbers, as a rule: the search starts where the last one
 * was. */
static inline const ProtobufCFieldDescriptor *find_field(const ProtobufCMessageDescriptor *type,
							 uint32_t tag, unsigned *near)
{
	unsigned at = *near;
	if (at == type->n_fields || type->fields[at].id > tag) {
		at = 0;
	}
	while (at < type->n_fields && type->fields[at].id < tag) {
		at++;
	}
	*near = at;
	return at < type->n_fields && type->fields[at].id == tag ? &type->fields[at] : NULL;
}

static inline bool read_key(struct input *in, uint64_t *ret_key)
{
	return read_varint(in, ret_key) && *ret_key >> 3 != 0 && *ret_key >> 3 <= TAG_MAX;
}

static bool read_message(ProtobufCMessage *message, struct input *in)
{
	unsigned near = 0;
	while (in->at < in->end) {
		uint64_t key = 0;
		struct wire_value value = {.number = 0};
		if (!read_key(in, &key) || !read_value(in, (ProtobufCWireType)(key & 7), &value)) {
			return false;
		}
		uint32_t tag = (uint32_t)(key >> 3);
		const ProtobufCFieldDescriptor *field = find_field(message->descriptor, tag, &near);
		bool taken = field != NULL ? set_field(in, field, &value, message)
					   : keep_unknown(in, tag, &value, message);
		if (!taken) {
			return false;
		}
	}
	return true;
}

ProtobufCMessage *pb_unpack(const ProtobufCMessageDescriptor *type, struct sl_arena *arena,
			    struct sl_bytes bytes)
{
	struct input in = {.at = bytes.data, .end = end_of(bytes), .arena = arena};
	ProtobufCMessage *message = new_message(arena, type);
	return message != NULL && read_message(message, &in) ? message : NULL;
}

char *pb_text(struct sl_arena *arena, struct sl_bytes message, uint32_t number)
{
	struct input in = {.at = message.data, .end = end_of(message), .arena = arena};
	struct sl_bytes found = SL_BYTES("", 0);
	char *text = NULL;
	while (in.at < in.end) {
		uint64_t key = 0;
		struct wire_value value = {.number = 0};
		if (!read_key(&in, &key) ||
		    !read_value(&in, (ProtobufCWireType)(key & 7), &value)) {
			return NULL;
		}
		if (key >> 3 == number) {
			if (value.type != PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED) {
				return NULL;
			}
			found = value.bytes;
		}
	}
	return set_text(&in, found, &text) ? text : NULL;
}
