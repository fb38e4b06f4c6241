#include "tests/unit/server/vault/keys.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "base/crypto/crypto.h"
#include "base/crypto/secret.h"

char *keys_path(const char *dir, const char *name)
{
	static char path[600];
	(void)snprintf(path, sizeof(path), "%s/keys/%s", dir, name);
	return path;
}

void keys_write(const char *path, const char *text)
{
	FILE *file = fopen(path, "we");
	assert_non_null(file);
	assert_int_equal(fchmod(fileno(file), 0600), 0);
	assert_true(fputs(text, file) >= 0);
	assert_int_equal(fclose(file), 0);
}

void keys_master(const char *dir, const char *name)
{
	uint8_t key[VAULT_KEY_BYTES];
	char text[SL_BASE64_SIZE(VAULT_KEY_BYTES)];
	sl_random(key, sizeof(key));
	keys_write(keys_path(dir, name), sl_base64(text, key, sizeof(key)));
}

void keys_copy(const char *dir, const char *from, const char *to)
{
	char text[200] = "";
	FILE *in = fopen(keys_path(dir, from), "re");
	assert_non_null(in);
	assert_true(fread(text, 1, sizeof(text) - 1, in) > 0);
	(void)fclose(in);
	keys_write(keys_path(dir, to), text);
}

struct vault *keys_open(const char *dir)
{
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	struct vault *vault = NULL;
	if (vault_open(dir, "", &vault, &err) != SL_OK) {
		fail_msg("%s", err.msg);
	}
	return vault;
}

struct vault *keys_new(const char *dir)
{
	assert_int_equal(mkdir(keys_path(dir, ""), 0700), 0);
	keys_master(dir, "master.key");
	return keys_open(dir);
}
