#include "base/join/join.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/join/fields_internal.h"
#include "base/mem/own.h"

enum { FILE_MAX = 128 << 10 };

static const struct field rows[] = {
    {"server", offsetof(struct join, server), JOIN_ADDRESS_MAX},
    {"door", offsetof(struct join, door), JOIN_ADDRESS_MAX},
    {"ca", offsetof(struct join, ca), JOIN_CA_MAX},
    {"workspace", offsetof(struct join, workspace), JOIN_NAME_MAX},
    {"instance", offsetof(struct join, instance), JOIN_NAME_MAX},
    {"token", offsetof(struct join, token), JOIN_TOKEN_MAX},
};
static const struct fields fields = {"join file", rows, SL_COUNT(rows), SL_JSON_PRETTY};

void join_fini(struct join *join)
{
	fields_fini(&fields, join);
}

sl_code join_parse(struct sl_bytes text, struct join *ret_join, struct sl_err *err)
{
	struct join join = {0};
	sl_code code = fields_parse(&fields, text, &join, err);
	if (code == SL_OK) {
		*ret_join = join;
	}
	return code;
}

sl_code join_read(const char *path, struct join *ret_join, struct sl_err *err)
{
	bool standard = strcmp(path, "-") == 0;
	FILE *file = standard ? stdin : fopen(path, "re");
	if (file == NULL) {
		return sl_err_set(err, errno == ENOENT ? SL_NOT_FOUND : SL_INVALID_ARGUMENT,
				  "join file '%s': %s", path, strerror(errno));
	}
	SL_AUTO(sl_free_auto) uint8_t *bytes = malloc(FILE_MAX);
	size_t size = bytes == NULL ? 0 : fread(bytes, 1, FILE_MAX, file);
	if (!standard) {
		(void)fclose(file);
	}
	if (size == FILE_MAX) {
		return sl_err_set(err, SL_INVALID_ARGUMENT, "join file '%s' is too long", path);
	}
	sl_code code = join_parse(SL_BYTES(bytes, size), ret_join, err);
	return code == SL_OK || standard || err == NULL ? code : sl_err_wrap(err, "'%s'", path);
}

char *join_text(const struct join *join)
{
	return fields_text(&fields, join);
}
