#include "base/json/json_internal.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem/own.h"

json_t *json_text_of(const char *text)
{
	struct sl_buf buf = {0};
	for (const char *at = text; *at != '\0';) {
		size_t length = sl_utf8_length((const unsigned char *)at);
		sl_buf_append(&buf, length > 0 ? at : "\xef\xbf\xbd", length > 0 ? length : 3);
		at += length > 0 ? length : 1;
	}
	json_t *value =
	    buf.failed ? NULL
		       : json_stringn(buf.data != NULL ? (const char *)buf.data : "", buf.size);
	sl_buf_fini(&buf);
	return value;
}

json_t *json_base64_of(const uint8_t *data, size_t size)
{
	static const char digits[] =
	    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	SL_AUTO(sl_free_auto) char *text = malloc((size + 2) / 3 * 4 + 1);
	if (text == NULL) {
		return NULL;
	}
	char *out = text;
	for (size_t i = 0; i < size; i += 3) {
		size_t left = size - i;
		uint32_t bits = (uint32_t)data[i] << 16;
		bits |= left > 1 ? (uint32_t)data[i + 1] << 8 : 0;
		bits |= left > 2 ? data[i + 2] : 0;
		*out++ = digits[bits >> 18];
		*out++ = digits[bits >> 12 & 63];
		*out++ = left > 1 ? digits[bits >> 6 & 63] : '=';
		*out++ = left > 2 ? digits[bits & 63] : '=';
	}
	return json_stringn(text, (size_t)(out - text));
}
