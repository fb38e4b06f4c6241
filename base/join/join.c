#include "base/join/join.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json/json.h"
#include "base/mem/own.h"

enum { FILE_MAX = 128 << 10 };

static const struct {
	const char *key;
	size_t offset, max;
} keys[] = {
    {"server", offsetof(struct join, server), JOIN_ADDRESS_MAX},
    {"door", offsetof(struct join, door), JOIN_ADDRESS_MAX},
    {"ca", offsetof(struct join, ca), JOIN_CA_MAX},
    {"workspace", offsetof(struct join, workspace), JOIN_NAME_MAX},
    {"instance", offsetof(struct join, instance), JOIN_NAME_MAX},
    {"token", offsetof(struct join, token), JOIN_TOKEN_MAX},
};

static char **field(struct join *join, size_t i)
{
	return (char **)((uint8_t *)join + keys[i].offset);
}

void join_fini(struct join *join)
{
	for (size_t i = 0; i < SL_COUNT(keys); i++) {
		free(*field(join, i));
	}
	*join = (struct join){0};
}

SL_DEFINE_AUTO(struct sl_json *, sl_json_free);

static sl_code fill(const struct sl_json *root, struct join *join, struct sl_err *err)
{
	static const char *const known[] = {"server",   "door",  "ca", "workspace",
					    "instance", "token", NULL};
	sl_code code = sl_json_check_keys(root, known, err);
	for (size_t i = 0; i < SL_COUNT(keys) && code == SL_OK; i++) {
		const char *value = NULL;
		code = sl_json_get_text(root, keys[i].key, keys[i].max, &value, err);
		if (code == SL_OK && (value == NULL || value[0] == '\0')) {
			code = sl_err_set(err, SL_INVALID_ARGUMENT, "'%s' is missing", keys[i].key);
		}
		if (code != SL_OK) {
			return code;
		}
		*field(join, i) = strdup(value);
		if (*field(join, i) == NULL) {
			return sl_err_no_memory(err);
		}
	}
	return code;
}

sl_code join_parse(struct sl_bytes text, struct join *ret_join, struct sl_err *err)
{
	SL_AUTO(sl_json_free_auto) struct sl_json *root = NULL;
	SL_AUTO(join_fini) struct join join = {0};
	sl_code code = sl_json_parse(text, &root, err);
	code = code != SL_OK ? code : fill(root, &join, err);
	if (code != SL_OK) {
		return err == NULL ? code : sl_err_wrap(err, "join file");
	}
	*ret_join = join;
	join = (struct join){0};
	return SL_OK;
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
	return size == FILE_MAX
		   ? sl_err_set(err, SL_INVALID_ARGUMENT, "join file '%s' is too long", path)
		   : join_parse(SL_BYTES(bytes, size), ret_join, err);
}

char *join_text(const struct join *join)
{
	struct sl_json_writer writer = {.style = SL_JSON_PRETTY};
	sl_json_open_object(&writer, NULL);
	for (size_t i = 0; i < SL_COUNT(keys); i++) {
		sl_json_put_text(&writer, keys[i].key, *field((struct join *)join, i));
	}
	sl_json_close(&writer);
	return sl_json_finish(&writer);
}
