#include "base/join/login.h"

#include "base/join/fields_internal.h"
#include "base/join/join.h"
#include "base/mem/own.h"

static const struct field rows[] = {
    {"server", offsetof(struct login_file, server), JOIN_ADDRESS_MAX},
    {"door", offsetof(struct login_file, door), JOIN_ADDRESS_MAX},
    {"ca", offsetof(struct login_file, ca), JOIN_CA_MAX},
    {"token", offsetof(struct login_file, token), JOIN_TOKEN_MAX},
};
static const struct fields fields = {"login file", rows, SL_COUNT(rows), SL_JSON_COMPACT};

void login_file_fini(struct login_file *file)
{
	fields_fini(&fields, file);
}

sl_code login_file_parse(struct sl_bytes text, struct login_file *ret_file, struct sl_err *err)
{
	struct login_file file = {0};
	sl_code code = fields_parse(&fields, text, &file, err);
	if (code == SL_OK) {
		*ret_file = file;
	}
	return code;
}

char *login_file_text(const struct login_file *file)
{
	return fields_text(&fields, file);
}
