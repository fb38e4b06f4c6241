/* Keys as texts: read back whatever way they were copied, and refused when a character is wrong. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/crypto/crypto.h"
#include "base/crypto/keytext.h"
#include "base/mem/own.h"

static const char known[] =
    "recovery-key:aaaq-eaye-auda-ocaj-bifq-ydio-b4ib-ceqt-cqkr-mfyy-denb-wha5-dyp7-g7mm-s4";

static void fill(uint8_t key[static 32])
{
	for (uint8_t i = 0; i < 32; i++) {
		key[i] = i;
	}
}

static sl_code parse(const char *text, const char *kind, uint8_t *out, size_t size)
{
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	sl_code code = sl_key_parse(text, kind, out, size, &err);
	assert_true(code == SL_OK || err.msg[0] != '\0');
	return code;
}

static void test_keytext_is_base32_with_a_checksum(void **state)
{
	(void)state;
	char text[SL_KEY_TEXT_SIZE];
	uint8_t key[32], back[32];
	fill(key);
	assert_string_equal(sl_key_text(text, SL_KEY_RECOVERY, SL_BYTES(key, 32)), known);
	assert_int_equal(parse(known, SL_KEY_RECOVERY, back, 32), SL_OK);
	assert_memory_equal(back, key, 32);
}

static void test_keytext_bears_how_people_copy(void **state)
{
	(void)state;
	char text[2 * SL_KEY_TEXT_SIZE] = "  ";
	uint8_t key[32], back[32];
	fill(key);
	size_t at = 2;
	for (const char *c = known; *c != '\0'; c++) {
		text[at] = *c == '-' && c > strchr(known, ':') ? ' ' : *c;
		text[at] = (char)(*c >= 'a' && *c <= 'z' ? *c - 'a' + 'A' : text[at]);
		at++;
	}
	text[at] = '\n';
	assert_int_equal(parse(text, SL_KEY_RECOVERY, back, 32), SL_OK);
	assert_memory_equal(back, key, 32);
}

static void test_keytext_finds_every_wrong_character(void **state)
{
	(void)state;
	char text[SL_KEY_TEXT_SIZE];
	uint8_t back[32];
	for (size_t i = 0; known[i] != '\0'; i++) {
		if (known[i] == '-' || known[i] == ':') {
			continue;
		}
		memcpy(text, known, sizeof(known));
		text[i] = text[i] == 'z' ? 'y' : 'z';
		assert_int_equal(parse(text, SL_KEY_RECOVERY, back, 32), SL_INVALID_ARGUMENT);
	}
}

static void test_keytext_refuses_other_kinds_sizes_and_signs(void **state)
{
	(void)state;
	char text[SL_KEY_TEXT_SIZE];
	uint8_t key[36] = {0}, back[64];
	fill(key);
	assert_int_equal(parse(known, SL_KEY_RECOVERY_PUBLIC, back, 32), SL_INVALID_ARGUMENT);
	assert_int_equal(parse(known, SL_KEY_RECOVERY, back, 31), SL_INVALID_ARGUMENT);
	assert_int_equal(parse(known, SL_KEY_RECOVERY, back, 33), SL_INVALID_ARGUMENT);
	assert_int_equal(parse("", SL_KEY_RECOVERY, back, 32), SL_INVALID_ARGUMENT);
	assert_int_equal(parse("recovery-key", SL_KEY_RECOVERY, back, 32), SL_INVALID_ARGUMENT);
	assert_int_equal(parse("recovery-key:", SL_KEY_RECOVERY, back, 32), SL_INVALID_ARGUMENT);
	assert_int_equal(parse("recovery-key:1", SL_KEY_RECOVERY, back, 32), SL_INVALID_ARGUMENT);
	for (size_t size = 0; size <= SL_KEY_TEXT_BYTES_MAX; size++) {
		uint8_t raw[SL_KEY_TEXT_BYTES_MAX];
		sl_random(raw, sizeof(raw));
		(void)sl_key_text(text, SL_KEY_MANIFEST_PUBLIC, SL_BYTES(raw, size));
		assert_true(strlen(text) < SL_KEY_TEXT_SIZE);
		assert_int_equal(parse(text, SL_KEY_MANIFEST_PUBLIC, back, size), SL_OK);
		assert_memory_equal(back, raw, size);
		memcpy(text + strlen(text), "a", 2);
		assert_int_equal(parse(text, SL_KEY_MANIFEST_PUBLIC, back, size),
				 SL_INVALID_ARGUMENT);
	}
}

static int prepare(void **state)
{
	(void)state;
	return sl_crypto_init() ? 0 : -1;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_keytext_is_base32_with_a_checksum),
	    cmocka_unit_test(test_keytext_bears_how_people_copy),
	    cmocka_unit_test(test_keytext_finds_every_wrong_character),
	    cmocka_unit_test(test_keytext_refuses_other_kinds_sizes_and_signs),
	};
	return cmocka_run_group_tests(tests, prepare, NULL);
}
