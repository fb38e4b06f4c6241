#include "base/json/json_internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/mem/own.h"

/* 0001-01-01 to 9999-12-31, and 10 000 years: the ranges of timestamp.proto and duration.proto. */
#define TIMESTAMP_MIN_S (-62135596800LL)
#define TIMESTAMP_MAX_S 253402300799LL
#define DURATION_MAX_S 315576000000LL
#define NANOS_MAX 999999999

static const void *member(const ProtobufCMessage *message, const char *name)
{
	const ProtobufCFieldDescriptor *field =
	    protobuf_c_message_descriptor_get_field_by_name(message->descriptor, name);
	return field != NULL ? (const char *)message + field->offset : NULL;
}

/* ".5" as ".500": 0, 3, 6 or 9 digits, as protobuf writes them. */
static void put_fraction(char out[static 16], uint32_t nanos)
{
	if (nanos == 0) {
		out[0] = '\0';
	} else if (nanos % 1000000 == 0) {
		(void)snprintf(out, 16, ".%03" PRIu32, nanos / 1000000);
	} else if (nanos % 1000 == 0) {
		(void)snprintf(out, 16, ".%06" PRIu32, nanos / 1000);
	} else {
		(void)snprintf(out, 16, ".%09" PRIu32, nanos);
	}
}

static json_t *timestamp(const ProtobufCMessage *message)
{
	const int64_t *seconds = member(message, "seconds");
	const int32_t *nanos = member(message, "nanos");
	struct tm parts;
	if (seconds == NULL || nanos == NULL || *seconds < TIMESTAMP_MIN_S ||
	    *seconds > TIMESTAMP_MAX_S || *nanos < 0 || *nanos > NANOS_MAX) {
		return NULL;
	}
	time_t when = (time_t)*seconds;
	if (gmtime_r(&when, &parts) == NULL) {
		return NULL;
	}
	char fraction[16];
	put_fraction(fraction, (uint32_t)*nanos);
	return json_sprintf("%04d-%02d-%02dT%02d:%02d:%02d%sZ", parts.tm_year + 1900,
			    parts.tm_mon + 1, parts.tm_mday, parts.tm_hour, parts.tm_min,
			    parts.tm_sec, fraction);
}

static json_t *duration(const ProtobufCMessage *message)
{
	const int64_t *seconds = member(message, "seconds");
	const int32_t *nanos = member(message, "nanos");
	if (seconds == NULL || nanos == NULL || *seconds < -DURATION_MAX_S ||
	    *seconds > DURATION_MAX_S || *nanos < -NANOS_MAX || *nanos > NANOS_MAX ||
	    (*seconds > 0 && *nanos < 0) || (*seconds < 0 && *nanos > 0)) {
		return NULL;
	}
	bool negative = *seconds < 0 || *nanos < 0;
	char fraction[16];
	put_fraction(fraction, (uint32_t)(*nanos < 0 ? -*nanos : *nanos));
	char text[48]; /* jansson's own format knows no PRIu64 */
	(void)snprintf(text, sizeof(text), "%s%" PRId64 "%ss", negative ? "-" : "",
		       *seconds < 0 ? -*seconds : *seconds, fraction);
	return json_string(text);
}

static json_t *any(const ProtobufCMessage *message)
{
	char *const *type = member(message, "type_url");
	const ProtobufCBinaryData *value = member(message, "value");
	json_t *object = type != NULL && value != NULL ? json_object() : NULL;
	if (object != NULL &&
	    (json_object_set_new(object, "@type", json_text_of(*type)) != 0 ||
	     json_object_set_new(object, "value", json_base64_of(value->data, value->len)) != 0)) {
		json_decref(object);
		return NULL;
	}
	return object;
}

static json_t *wrapper(const ProtobufCMessage *message)
{
	const ProtobufCFieldDescriptor *field =
	    protobuf_c_message_descriptor_get_field_by_name(message->descriptor, "value");
	return field != NULL ? json_value_of(field, (const char *)message + field->offset, true, 0)
			     : NULL;
}

static const struct {
	const char *name;
	json_t *(*convert)(const ProtobufCMessage *message);
} kinds[] = {
    {"google.protobuf.Timestamp", timestamp},
    {"google.protobuf.Duration", duration},
    {"google.protobuf.Any", any},
    {"google.protobuf.BoolValue", wrapper},
    {"google.protobuf.StringValue", wrapper},
    {"google.protobuf.BytesValue", wrapper},
    {"google.protobuf.Int32Value", wrapper},
    {"google.protobuf.Int64Value", wrapper},
    {"google.protobuf.UInt32Value", wrapper},
    {"google.protobuf.UInt64Value", wrapper},
    {"google.protobuf.DoubleValue", wrapper},
    {"google.protobuf.FloatValue", wrapper},
};

static size_t kind_of(const ProtobufCMessageDescriptor *descriptor)
{
	size_t i = 0;
	while (i < SL_COUNT(kinds) && strcmp(kinds[i].name, descriptor->name) != 0) {
		i++;
	}
	return i;
}

bool json_is_well_known(const ProtobufCMessageDescriptor *descriptor)
{
	return kind_of(descriptor) < SL_COUNT(kinds);
}

json_t *json_well_known(const ProtobufCMessage *message)
{
	size_t i = kind_of(message->descriptor);
	return i < SL_COUNT(kinds) ? kinds[i].convert(message) : NULL;
}
