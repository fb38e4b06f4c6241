/* json: protobuf messages as JSON, and small JSON files of our own.
 *
 * Messages follow protobuf's JSON mapping: lowerCamelCase names, 64-bit integers
 * as strings, bytes as base64, enums by name, maps as objects, Timestamp as
 * RFC 3339, Duration as "1.5s", wrappers as their value, unset messages left
 * out. Any is {"@type", "value" as base64}: its type is not looked up. Bytes
 * that are not UTF-8 in a text become U+FFFD.
 *
 * Reading is bounded in size and depth; every error names the key. Only
 * base/json includes <jansson.h>. Threads: none; values move with their owner. */
#ifndef SL_BASE_JSON_H
#define SL_BASE_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <protobuf-c/protobuf-c.h>

#include "base/bytes/bytes.h"
#include "base/err/err.h"

enum sl_json_style {
	SL_JSON_COMPACT, /* one line, no spaces */
	SL_JSON_PRETTY,  /* two spaces of indent */
};

/* The caller frees the text; it has no line break at its end. NULL: out of memory, nested
 * deeper than 64, or a Timestamp or Duration out of its range. `defaults`: also fields that
 * have their default value; else they are left out. */
char *sl_json_from_message(const ProtobufCMessage *message, enum sl_json_style style,
			   bool defaults);
/* A JSON array of messages. */
char *sl_json_from_messages(const ProtobufCMessage *const *messages, size_t count,
			    enum sl_json_style style, bool defaults);

/* Reading. A struct sl_json is a parsed value; the root is owned, all else is
 * borrowed from it. Getters leave *ret alone and return SL_OK when the key is
 * absent, so that what is there before the call is the default. */
struct sl_json;

#define SL_JSON_MAX_BYTES (1U << 20)
#define SL_JSON_MAX_DEPTH 32U

/* The root must be an object. SL_INVALID_ARGUMENT names line and column;
 * repeated keys, deeper nesting than SL_JSON_MAX_DEPTH and more than
 * SL_JSON_MAX_BYTES are refused. */
SL_MUST_USE sl_code sl_json_parse(struct sl_bytes text, struct sl_json **ret_root,
				  struct sl_err *err);
/* The same of a file; names the path in errors. SL_NOT_FOUND: there is no such file. */
SL_MUST_USE sl_code sl_json_read_file(const char *path, struct sl_json **ret_root,
				      struct sl_err *err);
void sl_json_free(struct sl_json *root); /* NULL is fine */

/* SL_INVALID_ARGUMENT names the first key that is not in `keys` (NULL at the end). */
SL_MUST_USE sl_code sl_json_check_keys(const struct sl_json *object, const char *const *keys,
				       struct sl_err *err);
bool sl_json_has(const struct sl_json *object, const char *key);

/* SL_INVALID_ARGUMENT when the value is of another type or out of its bounds. */
SL_MUST_USE sl_code sl_json_get_text(const struct sl_json *object, const char *key,
				     size_t max_bytes, const char **ret_value, struct sl_err *err);
/* Base64 with padding, as messages are written; appended to *bytes. */
SL_MUST_USE sl_code sl_json_get_bytes(const struct sl_json *object, const char *key,
				      struct sl_buf *bytes, struct sl_err *err);
SL_MUST_USE sl_code sl_json_get_uint(const struct sl_json *object, const char *key, uint64_t min,
				     uint64_t max, uint64_t *ret_value, struct sl_err *err);
SL_MUST_USE sl_code sl_json_get_bool(const struct sl_json *object, const char *key, bool *ret_value,
				     struct sl_err *err);
SL_MUST_USE sl_code sl_json_get_object(const struct sl_json *object, const char *key,
				       const struct sl_json **ret_value, struct sl_err *err);
SL_MUST_USE sl_code sl_json_get_list(const struct sl_json *object, const char *key,
				     size_t max_count, const struct sl_json **ret_value,
				     struct sl_err *err);

/* Lists: NULL has no items. An item that is not of the type asked for is NULL. */
size_t sl_json_count(const struct sl_json *list);
const char *sl_json_text_at(const struct sl_json *list, size_t i);
const struct sl_json *sl_json_object_at(const struct sl_json *list, size_t i);
/* The key after `key` in the order of the file; NULL gives the first, NULL is the end. */
const char *sl_json_next_key(const struct sl_json *object, const char *key);

/* Writing: calls in the order of the text. Sticky: after a failed allocation the
 * rest does nothing and sl_json_finish() returns NULL. Inside a list, `key` is NULL. */
#define SL_JSON_WRITER_DEPTH 16U
struct sl_json_writer {
	struct sl_buf buf;
	enum sl_json_style style;
	unsigned depth;
	char closers[SL_JSON_WRITER_DEPTH];
	bool has_items[SL_JSON_WRITER_DEPTH + 1];
};

void sl_json_open_object(struct sl_json_writer *writer, const char *key);
void sl_json_open_list(struct sl_json_writer *writer, const char *key);
void sl_json_close(struct sl_json_writer *writer); /* the innermost object or list */
void sl_json_put_text(struct sl_json_writer *writer, const char *key, const char *value);
void sl_json_put_uint(struct sl_json_writer *writer, const char *key, uint64_t value);
void sl_json_put_bool(struct sl_json_writer *writer, const char *key, bool value);
void sl_json_put_real(struct sl_json_writer *writer, const char *key,
		      double value); /* not finite: null */
/* The text, owned by the caller, with a line break at its end; ends the writer. NULL: out of
 * memory. */
char *sl_json_finish(struct sl_json_writer *writer);

#endif
