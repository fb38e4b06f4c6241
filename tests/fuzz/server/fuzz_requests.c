/* Targets: the unpacking and the check of every method's request. The first byte picks the row.
 * Property: no crash; what passes has bounded names and can be packed; what does not says why. */
#include <protobuf-c/protobuf-c.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem/own.h"
#include "server/services/service.h"

enum { NAME_MAX_BYTES = 64 };

static const struct {
	const struct service_method *rows;
	size_t count;
} tables[] = {
    {workspace_methods, SL_COUNT(workspace_methods)},
    {environment_methods, SL_COUNT(environment_methods)},
    {repository_methods, SL_COUNT(repository_methods)},
    {app_methods, SL_COUNT(app_methods)},
    {version_methods, SL_COUNT(version_methods)},
    {promotion_methods, SL_COUNT(promotion_methods)},
    {release_methods, SL_COUNT(release_methods)},
    {fleet_methods, SL_COUNT(fleet_methods)},
    {agent_methods, SL_COUNT(agent_methods)},
    {watch_methods, SL_COUNT(watch_methods)},
    {admin_methods, SL_COUNT(admin_methods)},
};

static void expect(int holds)
{
	if (!holds) {
		abort();
	}
}

static const struct service_method *row_of(uint8_t number)
{
	size_t at = number;
	for (size_t i = 0; i < SL_COUNT(tables); i++) {
		if (at < tables[i].count) {
			return &tables[i].rows[at];
		}
		at -= tables[i].count;
	}
	return NULL;
}

/* What becomes part of a key: must be short whatever method it comes with. */
static int is_name(const char *field)
{
	static const char *const names[] = {"app",      "version",     "repository", "instance",
					    "name",     "environment", "from",       "to",
					    "new_name", "target"};
	for (size_t i = 0; i < SL_COUNT(names); i++) {
		if (strcmp(field, names[i]) == 0) {
			return 1;
		}
	}
	return 0;
}

static void check_names(const struct service_method *method, const ProtobufCMessage *message)
{
	const ProtobufCMessageDescriptor *type = message->descriptor;
	for (unsigned i = 0; i < type->n_fields; i++) {
		const ProtobufCFieldDescriptor *field = &type->fields[i];
		bool single = field->type == PROTOBUF_C_TYPE_STRING &&
			      field->label != PROTOBUF_C_LABEL_REPEATED &&
			      (field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) == 0;
		const char *text =
		    single ? *(char *const *)((const char *)message + field->offset) : NULL;
		if (text != NULL && method->check != NULL && is_name(field->name)) {
			expect(strnlen(text, NAME_MAX_BYTES + 1) <= NAME_MAX_BYTES);
		}
	}
}

/* As a hash of the request wants it. */
static void check_pack(const ProtobufCMessage *message)
{
	size_t size = protobuf_c_message_get_packed_size(message);
	uint8_t *bytes = malloc(size + 1);
	expect(bytes != NULL && protobuf_c_message_pack(message, bytes) == size);
	free(bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct service_method *method = size > 0 ? row_of(data[0]) : NULL;
	if (method == NULL) {
		return 0;
	}
	ProtobufCMessage *message =
	    protobuf_c_message_unpack(method->request, NULL, size - 1, data + 1);
	if (message == NULL) {
		return 0;
	}
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	sl_code code = method->check != NULL ? method->check(message, &err) : SL_OK;
	if (code == SL_OK) {
		check_names(method, message);
		check_pack(message);
	} else {
		expect(code == SL_INVALID_ARGUMENT && err.msg[0] != '\0');
	}
	protobuf_c_message_free_unpacked(message, NULL);
	return 0;
}
