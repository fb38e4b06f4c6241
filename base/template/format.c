/* How values stand in files of each format. */
#include <stdio.h>
#include <string.h>

#include "base/template/template_internal.h"

static bool ends_with(const char *text, const char *end)
{
	size_t size = strlen(text), end_size = strlen(end);
	return size >= end_size && strcmp(text + size - end_size, end) == 0;
}

enum template_format template_format_of(const char *path)
{
	const char *slash = strrchr(path, '/'), *name = slash != NULL ? slash + 1 : path;
	if (ends_with(name, ".json")) {
		return TEMPLATE_JSON;
	}
	bool env =
	    strcmp(name, "env") == 0 || ends_with(name, ".env") || strncmp(name, ".env.", 5) == 0;
	return env ? TEMPLATE_ENV : TEMPLATE_PLAIN;
}

void template_put(struct template_out *out, const char *text, size_t size)
{
	if (out->at != NULL) {
		memcpy(out->at + out->size, text, size);
	}
	out->size += size;
}

static void put_json(struct template_out *out, const char *value)
{
	static const char escaped[] = "\"\\\n\r\t", letters[] = "\"\\nrt";
	for (const char *c = value; *c != '\0'; c++) {
		const char *found = strchr(escaped, *c);
		char text[8];
		if (found != NULL) {
			(void)snprintf(text, sizeof(text), "\\%c", letters[found - escaped]);
		} else if ((unsigned char)*c < 0x20) {
			(void)snprintf(text, sizeof(text), "\\u%04x", (unsigned)*c);
		} else {
			(void)snprintf(text, sizeof(text), "%c", *c);
		}
		template_put(out, text, strlen(text));
	}
}

/* Within double quotes, as sh and systemd read them. */
static void put_env(struct template_out *out, const char *value)
{
	for (const char *c = value; *c != '\0'; c++) {
		if (strchr("\"\\$`", *c) != NULL) {
			template_put(out, "\\", 1);
		}
		template_put(out, c, 1);
	}
}

enum template_fault template_put_value(struct template_out *out, const struct template_scan *scan,
				       const char *value)
{
	enum template_format format = scan->template->format;
	bool single = scan->quote == QUOTE_SINGLE;
	if (single && strchr(value, '\'') != NULL) {
		return TEMPLATE_QUOTE;
	}
	if (format == TEMPLATE_PLAIN || single) {
		template_put(out, value, strlen(value));
		return TEMPLATE_FINE;
	}
	bool bare = scan->quote == QUOTE_NONE;
	template_put(out, "\"", bare);
	(format == TEMPLATE_JSON ? put_json : put_env)(out, value);
	template_put(out, "\"", bare);
	return TEMPLATE_FINE;
}
