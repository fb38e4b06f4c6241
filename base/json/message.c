#include "base/json/json_internal.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem/own.h"

enum { DEPTH_MAX = 64, NAME_MAX_BYTES = 128 };

static json_t *object_of(const ProtobufCMessage *message, bool defaults, unsigned depth);

/* "display_name" as "displayName": each "_" goes and the next letter is raised. */
static void camel_name(char out[static NAME_MAX_BYTES], const char *name)
{
	size_t used = 0;
	bool raise = false;
	for (; *name != '\0' && used + 1 < NAME_MAX_BYTES; name++) {
		if (*name == '_') {
			raise = true;
			continue;
		}
		out[used++] =
		    raise && *name >= 'a' && *name <= 'z' ? (char)(*name - 'a' + 'A') : *name;
		raise = false;
	}
	out[used] = '\0';
}

static json_t *real_of(double value)
{
	if (isnan(value)) {
		return json_string("NaN");
	}
	if (isinf(value)) {
		return json_string(value > 0 ? "Infinity" : "-Infinity");
	}
	return json_real(value);
}

static json_t *int64_of(int64_t value)
{
	char text[24];
	(void)snprintf(text, sizeof(text), "%" PRId64, value);
	return json_string(text);
}

static json_t *uint64_of(uint64_t value)
{
	char text[24];
	(void)snprintf(text, sizeof(text), "%" PRIu64, value);
	return json_string(text);
}

static json_t *enum_of(const ProtobufCEnumDescriptor *descriptor, int value)
{
	const ProtobufCEnumValue *known = protobuf_c_enum_descriptor_get_value(descriptor, value);
	return known != NULL ? json_string(known->name) : json_integer(value);
}

json_t *json_value_of(const ProtobufCFieldDescriptor *field, const void *at, bool defaults,
		      unsigned depth)
{
	switch (field->type) {
	case PROTOBUF_C_TYPE_INT32:
	case PROTOBUF_C_TYPE_SINT32:
	case PROTOBUF_C_TYPE_SFIXED32:
		return json_integer(*(const int32_t *)at);
	case PROTOBUF_C_TYPE_UINT32:
	case PROTOBUF_C_TYPE_FIXED32:
		return json_integer(*(const uint32_t *)at);
	case PROTOBUF_C_TYPE_INT64:
	case PROTOBUF_C_TYPE_SINT64:
	case PROTOBUF_C_TYPE_SFIXED64:
		return int64_of(*(const int64_t *)at);
	case PROTOBUF_C_TYPE_UINT64:
	case PROTOBUF_C_TYPE_FIXED64:
		return uint64_of(*(const uint64_t *)at);
	case PROTOBUF_C_TYPE_FLOAT:
		return real_of((double)*(const float *)at);
	case PROTOBUF_C_TYPE_DOUBLE:
		return real_of(*(const double *)at);
	case PROTOBUF_C_TYPE_BOOL:
		return json_boolean(*(const protobuf_c_boolean *)at);
	case PROTOBUF_C_TYPE_ENUM:
		return enum_of(field->descriptor, *(const int *)at);
	case PROTOBUF_C_TYPE_STRING:
		return json_text_of(*(char *const *)at != NULL ? *(char *const *)at : "");
	case PROTOBUF_C_TYPE_BYTES:
		return json_base64_of(((const ProtobufCBinaryData *)at)->data,
				      ((const ProtobufCBinaryData *)at)->len);
	case PROTOBUF_C_TYPE_MESSAGE:
		break;
	}
	const ProtobufCMessage *message = *(const ProtobufCMessage *const *)at;
	return message != NULL ? object_of(message, defaults, depth + 1) : json_object();
}

static size_t size_of(ProtobufCType type)
{
	switch (type) {
	case PROTOBUF_C_TYPE_INT32:
	case PROTOBUF_C_TYPE_SINT32:
	case PROTOBUF_C_TYPE_SFIXED32:
	case PROTOBUF_C_TYPE_UINT32:
	case PROTOBUF_C_TYPE_FIXED32:
	case PROTOBUF_C_TYPE_FLOAT:
		return 4;
	case PROTOBUF_C_TYPE_INT64:
	case PROTOBUF_C_TYPE_SINT64:
	case PROTOBUF_C_TYPE_SFIXED64:
	case PROTOBUF_C_TYPE_UINT64:
	case PROTOBUF_C_TYPE_FIXED64:
	case PROTOBUF_C_TYPE_DOUBLE:
		return 8;
	case PROTOBUF_C_TYPE_BOOL:
		return sizeof(protobuf_c_boolean);
	case PROTOBUF_C_TYPE_ENUM:
		return sizeof(int);
	case PROTOBUF_C_TYPE_BYTES:
		return sizeof(ProtobufCBinaryData);
	case PROTOBUF_C_TYPE_STRING:
	case PROTOBUF_C_TYPE_MESSAGE:
		break;
	}
	return sizeof(void *);
}

/* Whether a singular field without presence has its default: all zero bits, no text, no bytes. */
static bool is_default(const ProtobufCFieldDescriptor *field, const void *at)
{
	static const uint8_t zeros[8];
	if (field->type == PROTOBUF_C_TYPE_STRING) {
		const char *text = *(char *const *)at;
		return text == NULL || text[0] == '\0';
	}
	if (field->type == PROTOBUF_C_TYPE_BYTES) {
		return ((const ProtobufCBinaryData *)at)->len == 0;
	}
	if (field->type == PROTOBUF_C_TYPE_MESSAGE) {
		return *(void *const *)at == NULL;
	}
	return memcmp(at, zeros, size_of(field->type)) == 0;
}

static bool is_pointer(const ProtobufCFieldDescriptor *field)
{
	return field->type == PROTOBUF_C_TYPE_STRING || field->type == PROTOBUF_C_TYPE_MESSAGE;
}

/* Whether a singular field is written at all. */
static bool is_shown(const ProtobufCMessage *message, const ProtobufCFieldDescriptor *field,
		     const void *at, bool defaults)
{
	const void *quantifier = (const char *)message + field->quantifier_offset;
	if ((field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) != 0) {
		bool chosen = *(const uint32_t *)quantifier == field->id;
		return chosen && (!is_pointer(field) || *(void *const *)at != NULL);
	}
	if (field->type == PROTOBUF_C_TYPE_MESSAGE) {
		return *(void *const *)at != NULL;
	}
	if (field->label == PROTOBUF_C_LABEL_OPTIONAL) { /* proto2: presence is known */
		return is_pointer(field) ? *(void *const *)at != NULL &&
					       *(void *const *)at != field->default_value
					 : *(const protobuf_c_boolean *)quantifier;
	}
	return defaults || field->label == PROTOBUF_C_LABEL_REQUIRED || !is_default(field, at);
}

/* protoc-c makes repeated entry messages of a map. */
static bool is_map(const ProtobufCFieldDescriptor *field)
{
	static const char suffix[] = "Entry";
	if (field->type != PROTOBUF_C_TYPE_MESSAGE) {
		return false;
	}
	const ProtobufCMessageDescriptor *entry = field->descriptor;
	size_t length = strlen(entry->name);
	return length > strlen(suffix) &&
	       strcmp(entry->name + length - strlen(suffix), suffix) == 0 && entry->n_fields == 2 &&
	       strcmp(entry->fields[0].name, "key") == 0 && entry->fields[0].id == 1 &&
	       strcmp(entry->fields[1].name, "value") == 0 && entry->fields[1].id == 2;
}

static bool set_entry(json_t *map, const ProtobufCMessage *entry, bool defaults, unsigned depth)
{
	const ProtobufCFieldDescriptor *fields = entry->descriptor->fields;
	json_t *key =
	    json_value_of(&fields[0], (const char *)entry + fields[0].offset, true, depth);
	json_t *value =
	    json_value_of(&fields[1], (const char *)entry + fields[1].offset, defaults, depth);
	char number[24];
	const char *name = number;
	if (json_is_string(key)) {
		name = json_string_value(key);
	} else if (json_is_boolean(key)) {
		name = json_is_true(key) ? "true" : "false";
	} else {
		(void)snprintf(number, sizeof(number), "%" JSON_INTEGER_FORMAT,
			       json_integer_value(key));
	}
	/* set_new takes the value also when it fails, and refuses NULL. */
	bool ok = json_object_set_new(map, name, value) == 0 && key != NULL;
	json_decref(key);
	return ok;
}

static json_t *repeated_of(const ProtobufCFieldDescriptor *field, const void *items, size_t count,
			   bool defaults, unsigned depth)
{
	bool map = is_map(field);
	json_t *all = map ? json_object() : json_array();
	bool ok = all != NULL;
	for (size_t i = 0; i < count && ok; i++) {
		const void *at = (const char *)items + i * size_of(field->type);
		ok = map ? set_entry(all, *(const ProtobufCMessage *const *)at, defaults, depth)
			 : json_array_append_new(all, json_value_of(field, at, defaults, depth)) ==
			       0;
	}
	if (!ok) {
		json_decref(all);
		return NULL;
	}
	return all;
}

static bool set_field(json_t *object, const ProtobufCMessage *message,
		      const ProtobufCFieldDescriptor *field, bool defaults, unsigned depth)
{
	const void *at = (const char *)message + field->offset;
	json_t *value = NULL;
	if (field->label == PROTOBUF_C_LABEL_REPEATED) {
		size_t count = *(const size_t *)((const char *)message + field->quantifier_offset);
		if (count == 0 && !defaults) {
			return true;
		}
		value = repeated_of(field, *(const void *const *)at, count, defaults, depth);
	} else if (is_shown(message, field, at, defaults)) {
		value = json_value_of(field, at, defaults, depth);
	} else {
		return true;
	}
	char name[NAME_MAX_BYTES];
	camel_name(name, field->name);
	return json_object_set_new(object, name, value) == 0;
}

static json_t *object_of(const ProtobufCMessage *message, bool defaults, unsigned depth)
{
	if (depth >= DEPTH_MAX) {
		return NULL;
	}
	if (json_is_well_known(message->descriptor)) {
		return json_well_known(message);
	}
	json_t *object = json_object();
	bool ok = object != NULL;
	for (unsigned i = 0; i < message->descriptor->n_fields && ok; i++) {
		ok = set_field(object, message, &message->descriptor->fields[i], defaults, depth);
	}
	if (!ok) {
		json_decref(object);
		return NULL;
	}
	return object;
}

static char *print(json_t *value, enum sl_json_style style)
{
	size_t flags = style == SL_JSON_PRETTY ? JSON_INDENT(2) : JSON_COMPACT;
	char *text = value != NULL ? json_dumps(value, flags | JSON_ENCODE_ANY) : NULL;
	json_decref(value);
	return text;
}

char *sl_json_from_message(const ProtobufCMessage *message, enum sl_json_style style, bool defaults)
{
	return print(object_of(message, defaults, 0), style);
}

char *sl_json_from_messages(const ProtobufCMessage *const *messages, size_t count,
			    enum sl_json_style style, bool defaults)
{
	json_t *list = json_array();
	bool ok = list != NULL;
	for (size_t i = 0; i < count && ok; i++) {
		ok = json_array_append_new(list, object_of(messages[i], defaults, 0)) == 0;
	}
	if (!ok) {
		json_decref(list);
		return NULL;
	}
	return print(list, style);
}
