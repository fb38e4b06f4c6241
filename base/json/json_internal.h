/* json_internal: what the files of base/json share. */
#ifndef SL_BASE_JSON_INTERNAL_H
#define SL_BASE_JSON_INTERNAL_H

#include <jansson.h>

#include "base/json/json.h"

/* A JSON text; bytes that are not UTF-8 become U+FFFD. NULL: out of memory. */
json_t *json_text_of(const char *text);
/* Standard base64 with padding. NULL: out of memory. */
json_t *json_base64_of(const uint8_t *data, size_t size);

/* Whether messages of this type have a JSON form of their own. */
bool json_is_well_known(const ProtobufCMessageDescriptor *descriptor);
/* That form. NULL: out of memory, or out of the type's range. */
json_t *json_well_known(const ProtobufCMessage *message);

/* One value of the field at `at`. NULL as for sl_json_from_message(). */
json_t *json_value_of(const ProtobufCFieldDescriptor *field, const void *at, bool defaults,
		      unsigned depth);

#endif
