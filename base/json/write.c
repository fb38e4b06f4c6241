#include "base/json/json_internal.h"

#include <assert.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>

static void put(struct sl_json_writer *writer, const char *text)
{
	sl_buf_append(&writer->buf, text, strlen(text));
}

/* A fresh line at the depth, in the pretty style. */
static void put_line(struct sl_json_writer *writer)
{
	if (writer->style != SL_JSON_PRETTY) {
		return;
	}
	put(writer, "\n");
	for (unsigned i = 0; i < writer->depth; i++) {
		put(writer, "  ");
	}
}

static void put_escaped(struct sl_json_writer *writer, const char *text)
{
	json_t *value = json_text_of(text);
	char *quoted = value != NULL ? json_dumps(value, JSON_ENCODE_ANY) : NULL;
	json_decref(value);
	if (quoted == NULL) {
		writer->buf.failed = true;
		return;
	}
	put(writer, quoted);
	free(quoted);
}

/* What stands before a value: comma, line, key. */
static void put_start(struct sl_json_writer *writer, const char *key)
{
	if (writer->depth > 0) {
		put(writer, writer->has_items[writer->depth] ? "," : "");
		put_line(writer);
	}
	writer->has_items[writer->depth] = true;
	if (key != NULL) {
		put_escaped(writer, key);
		put(writer, writer->style == SL_JSON_PRETTY ? ": " : ":");
	}
}

static void open_with(struct sl_json_writer *writer, const char *key, char opener, char closer)
{
	assert(writer->depth < SL_JSON_WRITER_DEPTH);
	put_start(writer, key);
	sl_buf_append(&writer->buf, &opener, 1);
	writer->closers[writer->depth++] = closer;
	writer->has_items[writer->depth] = false;
}

void sl_json_open_object(struct sl_json_writer *writer, const char *key)
{
	open_with(writer, key, '{', '}');
}

void sl_json_open_list(struct sl_json_writer *writer, const char *key)
{
	open_with(writer, key, '[', ']');
}

void sl_json_close(struct sl_json_writer *writer)
{
	assert(writer->depth > 0);
	bool filled = writer->has_items[writer->depth];
	writer->depth--;
	if (filled) {
		put_line(writer);
	}
	sl_buf_append(&writer->buf, &writer->closers[writer->depth], 1);
}

void sl_json_put_text(struct sl_json_writer *writer, const char *key, const char *value)
{
	put_start(writer, key);
	put_escaped(writer, value);
}

void sl_json_put_uint(struct sl_json_writer *writer, const char *key, uint64_t value)
{
	put_start(writer, key);
	sl_buf_printf(&writer->buf, "%" PRIu64, value);
}

void sl_json_put_bool(struct sl_json_writer *writer, const char *key, bool value)
{
	put_start(writer, key);
	put(writer, value ? "true" : "false");
}

void sl_json_put_real(struct sl_json_writer *writer, const char *key, double value)
{
	put_start(writer, key);
	/* jansson, not printf: a locale may want another decimal point. */
	json_t *real = isfinite(value) ? json_real(value) : json_null();
	char *text = json_dumps(real, JSON_ENCODE_ANY | JSON_REAL_PRECISION(15));
	json_decref(real);
	writer->buf.failed = writer->buf.failed || text == NULL;
	put(writer, text != NULL ? text : "");
	free(text);
}

char *sl_json_finish(struct sl_json_writer *writer)
{
	assert(writer->depth == 0);
	sl_buf_append(&writer->buf, "\n", 2); /* with the NUL */
	char *text = writer->buf.failed ? NULL : (char *)writer->buf.data;
	if (text == NULL) {
		sl_buf_fini(&writer->buf);
	}
	*writer = (struct sl_json_writer){.style = writer->style};
	return text;
}
