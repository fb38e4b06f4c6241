/* pb_internal: what both ways share. */
#ifndef SL_BASE_PB_INTERNAL_H
#define SL_BASE_PB_INTERNAL_H

#include "base/pb/pb.h"

struct pb_kind {
	uint8_t size; /* bytes of a value in the message, or in the array of a repeated field */
	uint8_t wire; /* ProtobufCWireType */
};

#define PB_NUMBER(type)                                                                            \
	{                                                                                          \
		sizeof(type), PROTOBUF_C_WIRE_TYPE_VARINT                                          \
	}
#define PB_FIXED32                                                                                 \
	{                                                                                          \
		4, PROTOBUF_C_WIRE_TYPE_32BIT                                                      \
	}
#define PB_FIXED64                                                                                 \
	{                                                                                          \
		8, PROTOBUF_C_WIRE_TYPE_64BIT                                                      \
	}
#define PB_DELIMITED(type)                                                                         \
	{                                                                                          \
		sizeof(type), PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED                                 \
	}
static const struct pb_kind pb_kinds[] = {
    [PROTOBUF_C_TYPE_INT32] = PB_NUMBER(int32_t),
    [PROTOBUF_C_TYPE_SINT32] = PB_NUMBER(int32_t),
    [PROTOBUF_C_TYPE_SFIXED32] = PB_FIXED32,
    [PROTOBUF_C_TYPE_INT64] = PB_NUMBER(int64_t),
    [PROTOBUF_C_TYPE_SINT64] = PB_NUMBER(int64_t),
    [PROTOBUF_C_TYPE_SFIXED64] = PB_FIXED64,
    [PROTOBUF_C_TYPE_UINT32] = PB_NUMBER(uint32_t),
    [PROTOBUF_C_TYPE_FIXED32] = PB_FIXED32,
    [PROTOBUF_C_TYPE_UINT64] = PB_NUMBER(uint64_t),
    [PROTOBUF_C_TYPE_FIXED64] = PB_FIXED64,
    [PROTOBUF_C_TYPE_FLOAT] = PB_FIXED32,
    [PROTOBUF_C_TYPE_DOUBLE] = PB_FIXED64,
    [PROTOBUF_C_TYPE_BOOL] = PB_NUMBER(protobuf_c_boolean),
    [PROTOBUF_C_TYPE_ENUM] = PB_NUMBER(int32_t),
    [PROTOBUF_C_TYPE_STRING] = PB_DELIMITED(char *),
    [PROTOBUF_C_TYPE_BYTES] = PB_DELIMITED(ProtobufCBinaryData),
    [PROTOBUF_C_TYPE_MESSAGE] = PB_DELIMITED(ProtobufCMessage *),
};

static inline size_t pb_size_of(ProtobufCType type)
{
	return pb_kinds[type].size;
}

static inline ProtobufCWireType pb_wire_type_of(ProtobufCType type)
{
	return (ProtobufCWireType)pb_kinds[type].wire;
}

#endif
