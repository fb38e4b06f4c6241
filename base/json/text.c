#include "base/json/json_internal.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem/own.h"

/* Bytes of the UTF-8 sequence at `s` (shortest form, no surrogates); 0: it is none. */
static size_t utf8_length(const unsigned char *s)
{
	if (s[0] < 0x80) {
		return 1;
	}
	size_t length = s[0] >= 0xf0 ? 4 : s[0] >= 0xe0 ? 3 : 2;
	if (s[0] < 0xc2 || s[0] > 0xf4) {
		return 0;
	}
	for (size_t i = 1; i < length; i++) {
		if ((s[i] & 0xc0) != 0x80) {
			return 0; /* the NUL at the end stops this, too */
		}
	}
	bool overlong = (s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xf0 && s[1] < 0x90);
	bool surrogate = s[0] == 0xed && s[1] > 0x9f;
	bool too_large = s[0] == 0xf4 && s[1] > 0x8f;
	return overlong || surrogate || too_large ? 0 : length;
}

json_t *json_text_of(const char *text)
{
	struct sl_buf buf = {0};
	for (const char *at = text; *at != '\0';) {
		size_t length = utf8_length((const unsigned char *)at);
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
