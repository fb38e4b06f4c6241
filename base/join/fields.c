#include "base/join/fields_internal.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/crypto/secret.h"
#include "base/mem/own.h"

enum { FIELDS_MAX = 8 };

static char **text_of(const struct fields *fields, const void *in, size_t i)
{
	return (char **)((uint8_t *)(uintptr_t)in + fields->rows[i].offset);
}

void fields_fini(const struct fields *fields, void *out)
{
	for (size_t i = 0; i < fields->count; i++) {
		char **text = text_of(fields, out, i);
		if (*text != NULL) {
			sl_wipe(*text, strlen(*text));
		}
		free(*text);
		*text = NULL;
	}
}

static sl_code check_keys(const struct fields *fields, const struct sl_json *root,
			  struct sl_err *err)
{
	const char *known[FIELDS_MAX + 1] = {NULL};
	for (size_t i = 0; i < fields->count && i < FIELDS_MAX; i++) {
		known[i] = fields->rows[i].key;
	}
	return sl_json_check_keys(root, known, err);
}

static sl_code fill(const struct fields *fields, const struct sl_json *root, void *out,
		    struct sl_err *err)
{
	sl_code code = check_keys(fields, root, err);
	for (size_t i = 0; i < fields->count && code == SL_OK; i++) {
		const struct field *row = &fields->rows[i];
		const char *value = NULL;
		code = sl_json_get_text(root, row->key, row->max, &value, err);
		if (code == SL_OK && (value == NULL || value[0] == '\0')) {
			code = sl_err_set(err, SL_INVALID_ARGUMENT, "'%s' is missing", row->key);
		}
		if (code != SL_OK) {
			return code;
		}
		char **text = text_of(fields, out, i);
		*text = strdup(value);
		if (*text == NULL) {
			return sl_err_no_memory(err);
		}
	}
	return code;
}

SL_DEFINE_AUTO(struct sl_json *, sl_json_free);

sl_code fields_parse(const struct fields *fields, struct sl_bytes text, void *out,
		     struct sl_err *err)
{
	SL_AUTO(sl_json_free_auto) struct sl_json *root = NULL;
	sl_code code = sl_json_parse(text, &root, err);
	code = code != SL_OK ? code : fill(fields, root, out, err);
	if (code != SL_OK) {
		fields_fini(fields, out);
		return err == NULL ? code : sl_err_wrap(err, "%s", fields->what);
	}
	return SL_OK;
}

char *fields_text(const struct fields *fields, const void *in)
{
	struct sl_json_writer writer = {.style = fields->style};
	sl_json_open_object(&writer, NULL);
	for (size_t i = 0; i < fields->count; i++) {
		sl_json_put_text(&writer, fields->rows[i].key, *text_of(fields, in, i));
	}
	sl_json_close(&writer);
	return sl_json_finish(&writer);
}
