#include "base/json/json_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem/own.h"

/* A struct sl_json is a json_t: the name keeps jansson out of the header. */
static const json_t *unwrap(const struct sl_json *value)
{
	return (const json_t *)value;
}

static const struct sl_json *wrap(const json_t *value)
{
	return (const struct sl_json *)value;
}

static void decref_auto(json_t **value)
{
	json_decref(*value);
}

static bool is_deeper_than(json_t *value, unsigned levels)
{
	size_t index = 0;
	json_t *item = NULL;
	const char *key = NULL;
	if (!json_is_object(value) && !json_is_array(value)) {
		return false;
	}
	if (levels == 0) {
		return true;
	}
	json_array_foreach(value, index, item)
	{
		if (is_deeper_than(item, levels - 1)) {
			return true;
		}
	}
	json_object_foreach(value, key, item)
	{
		if (is_deeper_than(item, levels - 1)) {
			return true;
		}
	}
	return false;
}

sl_code sl_json_parse(struct sl_bytes text, struct sl_json **ret_root, struct sl_err *err)
{
	if (text.size > SL_JSON_MAX_BYTES) {
		return sl_err_set(err, SL_INVALID_ARGUMENT,
				  "JSON must have at most %u bytes, has %zu", SL_JSON_MAX_BYTES,
				  text.size);
	}
	json_error_t at = {0};
	SL_AUTO(decref_auto)
	json_t *root = json_loadb(text.data != NULL ? (const char *)text.data : "", text.size,
				  JSON_REJECT_DUPLICATES, &at);
	if (root == NULL) {
		return sl_err_set(err, SL_INVALID_ARGUMENT, "line %d, column %d: not JSON: %s",
				  at.line, at.column, at.text);
	}
	if (!json_is_object(root)) {
		return sl_err_set(err, SL_INVALID_ARGUMENT, "JSON must be an object");
	}
	if (is_deeper_than(root, SL_JSON_MAX_DEPTH)) {
		return sl_err_set(err, SL_INVALID_ARGUMENT, "JSON must nest at most %u deep",
				  SL_JSON_MAX_DEPTH);
	}
	*ret_root = (struct sl_json *)SL_TAKE(root);
	return SL_OK;
}

/* All of the file, or one byte more than is allowed. */
static int read_all(int fd, struct sl_buf *buf)
{
	char chunk[4096];
	while (buf->size <= SL_JSON_MAX_BYTES && !buf->failed) {
		ssize_t got = read(fd, chunk, sizeof(chunk));
		if (got < 0 && errno == EINTR) {
			continue;
		}
		if (got <= 0) {
			return got < 0 ? errno : 0;
		}
		sl_buf_append(buf, chunk, (size_t)got);
	}
	return buf->failed ? ENOMEM : 0;
}

sl_code sl_json_read_file(const char *path, struct sl_json **ret_root, struct sl_err *err)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a FIFO must not hold us up */
	if (fd < 0) {
		return sl_err_set(err, errno == ENOENT ? SL_NOT_FOUND : SL_INTERNAL, "%s: %s", path,
				  strerror(errno));
	}
	SL_AUTO(sl_buf_fini) struct sl_buf buf = {0};
	int failed = read_all(fd, &buf);
	(void)close(fd); /* nothing was written */
	if (failed != 0) {
		return sl_err_set(err, SL_INTERNAL, "%s: %s", path, strerror(failed));
	}
	if (sl_json_parse(sl_buf_bytes(&buf), ret_root, err) != SL_OK) {
		return sl_err_wrap(err, "%s", path);
	}
	return SL_OK;
}

void sl_json_free(struct sl_json *root)
{
	json_decref((json_t *)root);
}

static bool is_listed(const char *key, const char *const *keys)
{
	for (; *keys != NULL; keys++) {
		if (strcmp(key, *keys) == 0) {
			return true;
		}
	}
	return false;
}

sl_code sl_json_check_keys(const struct sl_json *object, const char *const *keys,
			   struct sl_err *err)
{
	for (const char *key = sl_json_next_key(object, NULL); key != NULL;
	     key = sl_json_next_key(object, key)) {
		if (!is_listed(key, keys)) {
			return sl_err_set(err, SL_INVALID_ARGUMENT, "unknown key '%.64s'", key);
		}
	}
	return SL_OK;
}

bool sl_json_has(const struct sl_json *object, const char *key)
{
	return json_object_get(unwrap(object), key) != NULL;
}

sl_code sl_json_get_text(const struct sl_json *object, const char *key, size_t max_bytes,
			 const char **ret_value, struct sl_err *err)
{
	const json_t *value = json_object_get(unwrap(object), key);
	if (value == NULL) {
		return SL_OK;
	}
	if (!json_is_string(value)) {
		return sl_err_set(err, SL_INVALID_ARGUMENT, "key '%s' must be a text", key);
	}
	size_t size = json_string_length(value);
	if (size > max_bytes) {
		return sl_err_set(err, SL_INVALID_ARGUMENT,
				  "key '%s' must have at most %zu bytes, has %zu", key, max_bytes,
				  size);
	}
	*ret_value = json_string_value(value);
	return SL_OK;
}

static int base64_digit(char c)
{
	static const char digits[] =
	    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	const char *at = c == '\0' ? NULL : strchr(digits, c);
	return at == NULL ? -1 : (int)(at - digits);
}

/* False: the text is not whole groups of four digits, padded only at the end. */
static bool base64_decode(const char *text, size_t size, struct sl_buf *bytes)
{
	size_t padding = size >= 4 ? (text[size - 1] == '=') + (text[size - 2] == '=') : 0;
	uint32_t group = 0;
	for (size_t i = 0; i < size - padding; i++) {
		int digit = base64_digit(text[i]);
		if (digit < 0) {
			return false;
		}
		group = group << 6 | (uint32_t)digit;
		if (i % 4 != 0) {
			uint8_t byte = (uint8_t)(group >> (6 - 2 * (i % 4)));
			sl_buf_append(bytes, &byte, 1);
		}
	}
	return size % 4 == 0;
}

sl_code sl_json_get_bytes(const struct sl_json *object, const char *key, struct sl_buf *bytes,
			  struct sl_err *err)
{
	const char *text = NULL;
	sl_code code = sl_json_get_text(object, key, SL_JSON_MAX_BYTES, &text, err);
	if (code == SL_OK && text != NULL && !base64_decode(text, strlen(text), bytes)) {
		return sl_err_set(err, SL_INVALID_ARGUMENT, "key '%s' must be base64", key);
	}
	return code;
}

sl_code sl_json_get_uint(const struct sl_json *object, const char *key, uint64_t min, uint64_t max,
			 uint64_t *ret_value, struct sl_err *err)
{
	const json_t *value = json_object_get(unwrap(object), key);
	if (value == NULL) {
		return SL_OK;
	}
	if (!json_is_integer(value)) {
		return sl_err_set(err, SL_INVALID_ARGUMENT, "key '%s' must be a whole number", key);
	}
	json_int_t number = json_integer_value(value);
	if (number < 0 || (uint64_t)number < min || (uint64_t)number > max) {
		return sl_err_set(err, SL_INVALID_ARGUMENT,
				  "key '%s' must be %" PRIu64 " to %" PRIu64
				  ", is %" JSON_INTEGER_FORMAT,
				  key, min, max, number);
	}
	*ret_value = (uint64_t)number;
	return SL_OK;
}

sl_code sl_json_get_bool(const struct sl_json *object, const char *key, bool *ret_value,
			 struct sl_err *err)
{
	const json_t *value = json_object_get(unwrap(object), key);
	if (value == NULL) {
		return SL_OK;
	}
	if (!json_is_boolean(value)) {
		return sl_err_set(err, SL_INVALID_ARGUMENT, "key '%s' must be true or false", key);
	}
	*ret_value = json_is_true(value);
	return SL_OK;
}

sl_code sl_json_get_object(const struct sl_json *object, const char *key,
			   const struct sl_json **ret_value, struct sl_err *err)
{
	const json_t *value = json_object_get(unwrap(object), key);
	if (value == NULL) {
		return SL_OK;
	}
	if (!json_is_object(value)) {
		return sl_err_set(err, SL_INVALID_ARGUMENT, "key '%s' must be an object", key);
	}
	*ret_value = wrap(value);
	return SL_OK;
}

sl_code sl_json_get_list(const struct sl_json *object, const char *key, size_t max_count,
			 const struct sl_json **ret_value, struct sl_err *err)
{
	const json_t *value = json_object_get(unwrap(object), key);
	if (value == NULL) {
		return SL_OK;
	}
	if (!json_is_array(value)) {
		return sl_err_set(err, SL_INVALID_ARGUMENT, "key '%s' must be a list", key);
	}
	size_t count = json_array_size(value);
	if (count > max_count) {
		return sl_err_set(err, SL_INVALID_ARGUMENT,
				  "key '%s' must have at most %zu items, has %zu", key, max_count,
				  count);
	}
	*ret_value = wrap(value);
	return SL_OK;
}

size_t sl_json_count(const struct sl_json *list)
{
	return json_array_size(unwrap(list));
}

const char *sl_json_text_at(const struct sl_json *list, size_t i)
{
	return json_string_value(json_array_get(unwrap(list), i));
}

const struct sl_json *sl_json_object_at(const struct sl_json *list, size_t i)
{
	const json_t *item = json_array_get(unwrap(list), i);
	return json_is_object(item) ? wrap(item) : NULL;
}

const char *sl_json_next_key(const struct sl_json *object, const char *key)
{
	json_t *all = (json_t *)object; /* iterators want it, and change nothing */
	void *at = key == NULL ? json_object_iter(all)
			       : json_object_iter_next(all, json_object_iter_at(all, key));
	return json_object_iter_key(at);
}
