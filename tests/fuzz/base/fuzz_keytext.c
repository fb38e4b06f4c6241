/* Targets: sl_key_parse, sl_key_text.
 * Property: no crash; a key that is printed is read back, also without its dashes and in capitals,
 * and as no other kind or size; with one character changed it is refused, or is the same key; what
 * is refused is not told in the error. */
#include <ctype.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/crypto/crypto.h"
#include "base/crypto/keytext.h"
#include "base/mem/own.h"

static const char *const kinds[] = {SL_KEY_RECOVERY, SL_KEY_RECOVERY_PUBLIC, SL_KEY_MANIFEST,
				    SL_KEY_MANIFEST_PUBLIC, SL_KEY_RELEASE};

static void expect(int holds)
{
	if (!holds) {
		abort();
	}
}

static bool is_key(const char *text, const char *kind, struct sl_bytes key)
{
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	uint8_t out[SL_KEY_TEXT_BYTES_MAX];
	if (sl_key_parse(text, kind, out, key.size, &err) != SL_OK) {
		expect(err.code == SL_INVALID_ARGUMENT && err.msg[0] != '\0');
		return false;
	}
	expect(memcmp(out, key.data, key.size) == 0);
	return true;
}

/* As somebody may type it. */
static void check_typed(const char *text, const char *kind, struct sl_bytes key)
{
	char typed[SL_KEY_TEXT_SIZE];
	const char *colon = strchr(text, ':');
	expect(colon != NULL);
	size_t at = (size_t)(colon - text) + 1;
	memcpy(typed, text, at);
	for (const char *c = colon + 1; *c != '\0'; c++) {
		if (*c != '-') {
			typed[at++] = (char)toupper((unsigned char)*c);
		}
	}
	typed[at] = '\0';
	expect(is_key(typed, kind, key));
}

static void check_slip(const char *text, const char *kind, struct sl_bytes key, uint8_t where,
		       char what)
{
	char slipped[SL_KEY_TEXT_SIZE];
	size_t length = strlen(text);
	memcpy(slipped, text, length + 1);
	slipped[where % length] = what == '\0' ? 'a' : what;
	(void)is_key(slipped, kind, key); /* if it is taken, it is the same key */
}

static void check_any(const char *text)
{
	for (size_t i = 0; i < SL_COUNT(kinds); i++) {
		SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
		uint8_t out[32];
		if (sl_key_parse(text, kinds[i], out, sizeof(out), &err) == SL_OK) {
			check_typed(text, kinds[i], SL_BYTES(out, sizeof(out)));
		}
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char printed[SL_KEY_TEXT_SIZE];
	expect(sl_crypto_init());
	SL_AUTO(sl_free_auto) char *text = calloc(1, size + 1);
	expect(text != NULL);
	if (size > 0) {
		memcpy(text, data, size);
	}
	check_any(text);
	if (size < 4 || size > 3 + SL_KEY_TEXT_BYTES_MAX) {
		return 0;
	}
	const char *kind = kinds[data[0] % SL_COUNT(kinds)];
	const char *other = kinds[(data[0] + 1) % SL_COUNT(kinds)];
	struct sl_bytes key = SL_BYTES(data + 3, size - 3);
	(void)sl_key_text(printed, kind, key);
	expect(is_key(printed, kind, key) && !is_key(printed, other, key));
	expect(key.size == 1 || !is_key(printed, kind, SL_BYTES(key.data, key.size - 1)));
	check_typed(printed, kind, key);
	check_slip(printed, kind, key, data[1], (char)data[2]);
	return 0;
}
