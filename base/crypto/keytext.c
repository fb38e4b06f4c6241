#include "base/crypto/keytext.h"

#include <assert.h>
#include <string.h>

#include <sodium.h>

#include "base/crypto/crypto.h"
#include "base/crypto/secret.h"

enum { CHECK = 4, GROUP = 4, RAW_MAX = SL_KEY_TEXT_BYTES_MAX + CHECK };

static const char alphabet[] = "abcdefghijklmnopqrstuvwxyz234567";

static void checksum(const char *kind, const uint8_t *key, size_t size, uint8_t out[static CHECK])
{
	uint8_t hash[SL_HASH_BYTES];
	struct sl_hasher hasher;
	sl_hasher_init(&hasher);
	sl_hasher_add(&hasher, kind, strlen(kind) + 1);
	sl_hasher_add(&hasher, key, size);
	sl_hasher_end(&hasher, hash);
	memcpy(out, hash, CHECK);
	sl_wipe(&hasher, sizeof(hasher));
}

static char *put_base32(char *out, const uint8_t *raw, size_t size)
{
	uint32_t bits = 0;
	unsigned held = 0, written = 0;
	for (size_t i = 0; i < size || held > 0;) {
		while (held < 5 && i < size) {
			bits = bits << 8 | raw[i++];
			held += 8;
		}
		unsigned shift = held < 5 ? 5 - held : 0;
		unsigned at = (held < 5 ? bits << shift : bits >> (held - 5)) & 31;
		if (written > 0 && written % GROUP == 0) {
			*out++ = '-';
		}
		*out++ = alphabet[at];
		written++;
		held = held < 5 ? 0 : held - 5;
	}
	*out = '\0';
	return out;
}

char *sl_key_text(char out[static SL_KEY_TEXT_SIZE], const char *kind, struct sl_bytes key)
{
	uint8_t raw[RAW_MAX];
	size_t length = strlen(kind);
	assert(key.size <= SL_KEY_TEXT_BYTES_MAX && length <= 20);
	memcpy(raw, key.data, key.size);
	checksum(kind, key.data, key.size, raw + key.size);
	memcpy(out, kind, length);
	out[length] = ':';
	(void)put_base32(out + length + 1, raw, key.size + CHECK);
	sl_wipe(raw, sizeof(raw));
	return out;
}

char *sl_key_line(char out[static SL_KEY_LINE_SIZE], const char *kind, struct sl_bytes key)
{
	size_t length = strlen(sl_key_text(out, kind, key));
	memcpy(out + length, "\n", 2);
	return out;
}

static bool is_blank(char c)
{
	return c == '-' || c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static char lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

/* Exactly `size` bytes, the bits left over zero. */
static bool get_base32(const char *text, uint8_t *out, size_t size)
{
	uint32_t bits = 0;
	unsigned held = 0;
	size_t count = 0, digits = 0;
	for (; *text != '\0'; text++) {
		const char *at = is_blank(*text) ? NULL : strchr(alphabet, lower(*text));
		if (at == NULL && !is_blank(*text)) {
			return false;
		}
		if (at == NULL) {
			continue;
		}
		bits = (bits << 5 | (uint32_t)(at - alphabet)) & 0xfffff;
		held += 5;
		digits++;
		if (held >= 8 && count == size) {
			return false;
		}
		if (held >= 8) {
			held -= 8;
			out[count++] = (uint8_t)(bits >> held);
		}
	}
	return count == size && digits == (size * 8 + 4) / 5 && (bits & ((1u << held) - 1)) == 0;
}

static bool starts_with_kind(const char **text, const char *kind)
{
	const char *at = *text;
	while (is_blank(*at)) {
		at++;
	}
	for (; *kind != '\0'; kind++, at++) {
		if (lower(*at) != *kind) {
			return false;
		}
	}
	*text = at + 1;
	return *at == ':';
}

sl_code sl_key_parse(const char *text, const char *kind, uint8_t *out, size_t size,
		     struct sl_err *err)
{
	uint8_t raw[RAW_MAX], check[CHECK];
	assert(size <= SL_KEY_TEXT_BYTES_MAX);
	if (!starts_with_kind(&text, kind)) {
		return sl_err_set(err, SL_INVALID_ARGUMENT,
				  "not a %s: such a text starts with '%s:'", kind, kind);
	}
	if (!get_base32(text, raw, size + CHECK)) {
		return sl_err_set(
		    err, SL_INVALID_ARGUMENT,
		    "%s: must be %zu characters of a-z and 2-7 after the colon, in groups of 4",
		    kind, ((size + CHECK) * 8 + 4) / 5);
	}
	checksum(kind, raw, size, check);
	bool right = memcmp(check, raw + size, CHECK) == 0;
	if (right) {
		memcpy(out, raw, size);
	}
	sl_wipe(raw, sizeof(raw));
	return right ? SL_OK
		     : sl_err_set(err, SL_INVALID_ARGUMENT,
				  "%s: its checksum does not fit: a character is wrong", kind);
}
