/* base/token: texts, keyed hashes, the key file. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "base/crypto/crypto.h"
#include "base/mem/own.h"
#include "base/token/token.h"
#include "tests/lib/tmpdir.h"

static void test_token_text_is_read_back(void **state)
{
	(void)state;
	uint8_t random[SL_TOKEN_RANDOM_BYTES];
	sl_random(random, sizeof(random));
	char secret[SL_TOKEN_SECRET_SIZE], text[SL_TOKEN_TEXT_SIZE];
	struct sl_id id = sl_id_new("tok");
	sl_token_secret(random, secret);
	assert_int_equal(strlen(secret), SL_TOKEN_SECRET_SIZE - 1);
	sl_token_text(id.text, secret, text);
	struct sl_token_parts parts;
	assert_true(sl_token_parse(text, &parts));
	assert_string_equal(parts.id, id.text);
	assert_string_equal(parts.secret, secret);
}

static void test_token_secret_tells_random_bytes_apart(void **state)
{
	(void)state;
	uint8_t random[SL_TOKEN_RANDOM_BYTES] = {0};
	char zero[SL_TOKEN_SECRET_SIZE], other[SL_TOKEN_SECRET_SIZE];
	sl_token_secret(random, zero);
	for (size_t bit = 0; bit < 8 * sizeof(random); bit++) {
		random[bit / 8] ^= (uint8_t)(1u << bit % 8);
		sl_token_secret(random, other);
		assert_string_not_equal(zero, other);
		random[bit / 8] ^= (uint8_t)(1u << bit % 8);
	}
}

static void test_token_that_is_none(void **state)
{
	(void)state;
	char good[SL_TOKEN_TEXT_SIZE];
	char secret[SL_TOKEN_SECRET_SIZE];
	memset(secret, 'a', sizeof(secret) - 1);
	secret[sizeof(secret) - 1] = '\0';
	sl_token_text("tok_aaaaaaaaaaaaaaaaaaaa", secret, good);
	struct sl_token_parts parts;
	assert_true(sl_token_parse(good, &parts));
	for (size_t i = 0; i < strlen(good); i++) {
		char bad[SL_TOKEN_TEXT_SIZE];
		memcpy(bad, good, sizeof(bad));
		bad[i] = '!';
		assert_false(sl_token_parse(bad, &parts));
		bad[i] = '\0';
		assert_false(sl_token_parse(bad, &parts));
	}
	assert_false(sl_token_parse("", &parts));
}

static void test_token_hash_depends_on_all_of_it(void **state)
{
	(void)state;
	struct sl_token_key key = {{1}}, other = {{2}};
	uint8_t hash[SL_TOKEN_HASH_BYTES], changed[SL_TOKEN_HASH_BYTES];
	sl_token_hash(&key, "access", "tok_a", "secret", hash);
	static const struct {
		const char *purpose, *id, *secret;
	} cases[] = {{"join", "tok_a", "secret"},
		     {"access", "tok_b", "secret"},
		     {"access", "tok_a", "secre"},
		     {"access", "tok_as", "ecret"}};
	for (size_t i = 0; i < SL_COUNT(cases); i++) {
		sl_token_hash(&key, cases[i].purpose, cases[i].id, cases[i].secret, changed);
		assert_false(sl_token_matches(hash, changed, sizeof(changed)));
	}
	sl_token_hash(&other, "access", "tok_a", "secret", changed);
	assert_false(sl_token_matches(hash, changed, sizeof(changed)));
	sl_token_hash(&key, "access", "tok_a", "secret", changed);
	assert_true(sl_token_matches(hash, changed, sizeof(changed)));
	assert_false(sl_token_matches(hash, changed, sizeof(changed) - 1));
	assert_false(sl_token_matches(hash, "", 0));
}

static void test_token_key_is_made_once(void **state)
{
	(void)state;
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	char *folder = tmpdir_new(), path[300];
	struct sl_token_key key, again;
	struct stat st;
	(void)snprintf(path, sizeof(path), "%s/token.key", folder);
	assert_int_equal(sl_token_key_load(path, false, &key, &err), SL_FAILED_PRECONDITION);
	assert_int_equal(sl_token_key_load(path, true, &key, &err), SL_OK);
	assert_int_equal(sl_token_key_load(path, true, &again, &err), SL_OK);
	assert_memory_equal(&key, &again, sizeof(key));
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_int_equal(st.st_size, SL_TOKEN_KEY_BYTES);
	tmpdir_free(folder);
}

static void test_token_key_of_another_size_is_refused(void **state)
{
	(void)state;
	char *folder = tmpdir_new(), path[300];
	struct sl_token_key key;
	(void)snprintf(path, sizeof(path), "%s/token.key", folder);
	for (size_t size = 31; size <= 33; size += 2) {
		SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
		FILE *file = fopen(path, "w");
		assert_non_null(file);
		for (size_t i = 0; i < size; i++) {
			(void)fputc('x', file);
		}
		assert_int_equal(fclose(file), 0);
		assert_int_equal(sl_token_key_load(path, true, &key, &err), SL_FAILED_PRECONDITION);
	}
	tmpdir_free(folder);
}

int main(void)
{
	if (!sl_crypto_init()) {
		return 1;
	}
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_token_text_is_read_back),
	    cmocka_unit_test(test_token_secret_tells_random_bytes_apart),
	    cmocka_unit_test(test_token_that_is_none),
	    cmocka_unit_test(test_token_hash_depends_on_all_of_it),
	    cmocka_unit_test(test_token_key_is_made_once),
	    cmocka_unit_test(test_token_key_of_another_size_is_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
