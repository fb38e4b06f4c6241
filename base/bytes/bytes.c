#include "base/bytes/bytes.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

bool sl_bytes_equal(struct sl_bytes a, struct sl_bytes b)
{
	return a.size == b.size && (a.size == 0 || memcmp(a.data, b.data, a.size) == 0);
}

bool sl_bytes_starts_with(struct sl_bytes bytes, struct sl_bytes prefix)
{
	return bytes.size >= prefix.size &&
	       (prefix.size == 0 || memcmp(bytes.data, prefix.data, prefix.size) == 0);
}

void sl_buf_fini(struct sl_buf *buf)
{
	free(buf->data);
	*buf = (struct sl_buf){0};
}

static bool reserve(struct sl_buf *buf, size_t more)
{
	if (buf->failed) {
		return false;
	}
	if (buf->room - buf->size >= more) {
		return true;
	}
	size_t room = buf->room == 0 ? 256 : buf->room * 2;
	room = room < buf->size + more ? buf->size + more : room;
	uint8_t *data = realloc(buf->data, room);
	if (data == NULL) {
		buf->failed = true;
		return false;
	}
	buf->data = data;
	buf->room = room;
	return true;
}

void sl_buf_append(struct sl_buf *buf, const void *data, size_t size)
{
	if (size > 0 && reserve(buf, size)) {
		memcpy(buf->data + buf->size, data, size);
		buf->size += size;
	}
}

void sl_buf_printf(struct sl_buf *buf, const char *fmt, ...)
{
	va_list args, again;
	va_start(args, fmt);
	va_copy(again, args);
	int length = vsnprintf(NULL, 0, fmt, args);
	va_end(args);
	if (length >= 0 && reserve(buf, (size_t)length + 1)) {
		(void)vsnprintf((char *)buf->data + buf->size, (size_t)length + 1, fmt, again);
		buf->size += (size_t)length; /* the NUL stays beyond the end */
	}
	va_end(again);
}

void sl_text_copy(char *out, size_t size, const char *text)
{
	size_t length = strnlen(text, size - 1);
	memcpy(out, text, length);
	out[length] = '\0';
}

void sl_put_be32(uint8_t out[static 4], uint32_t value)
{
	for (int i = 0; i < 4; i++) {
		out[i] = (uint8_t)(value >> (24 - 8 * i));
	}
}

void sl_put_be64(uint8_t out[static 8], uint64_t value)
{
	for (int i = 0; i < 8; i++) {
		out[i] = (uint8_t)(value >> (56 - 8 * i));
	}
}

uint32_t sl_get_be32(const uint8_t in[static 4])
{
	uint32_t value = 0;
	for (int i = 0; i < 4; i++) {
		value = value << 8 | in[i];
	}
	return value;
}

uint64_t sl_get_be64(const uint8_t in[static 8])
{
	return (uint64_t)sl_get_be32(in) << 32 | sl_get_be32(in + 4);
}

char *sl_hex(char *out, const uint8_t *data, size_t size)
{
	static const char digits[] = "0123456789abcdef";
	for (size_t i = 0; i < size; i++) {
		out[2 * i] = digits[data[i] >> 4];
		out[2 * i + 1] = digits[data[i] & 15];
	}
	out[2 * size] = '\0';
	return out;
}

static int digit(char c)
{
	if (c >= '0' && c <= '9') {
		return c - '0';
	}
	if (c >= 'a' && c <= 'f') {
		return c - 'a' + 10;
	}
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

bool sl_unhex(uint8_t *out, size_t size, const char *hex)
{
	if (strlen(hex) != 2 * size) {
		return false;
	}
	for (size_t i = 0; i < size; i++) {
		int high = digit(hex[2 * i]), low = digit(hex[2 * i + 1]);
		if (high < 0 || low < 0) {
			return false;
		}
		out[i] = (uint8_t)(high << 4 | low);
	}
	return true;
}

size_t sl_utf8_length(const unsigned char *text)
{
	if (text[0] < 0x80) {
		return 1;
	}
	size_t length = text[0] >= 0xf0 ? 4 : text[0] >= 0xe0 ? 3 : 2;
	if (text[0] < 0xc2 || text[0] > 0xf4) {
		return 0;
	}
	for (size_t i = 1; i < length; i++) {
		if ((text[i] & 0xc0) != 0x80) {
			return 0;
		}
	}
	bool overlong = (text[0] == 0xe0 && text[1] < 0xa0) || (text[0] == 0xf0 && text[1] < 0x90);
	bool beyond = (text[0] == 0xed && text[1] > 0x9f) || (text[0] == 0xf4 && text[1] > 0x8f);
	return overlong || beyond ? 0 : length;
}
