/* Targets: git_host_keys_read (a known_hosts file as people give it), git_login_unpack (what an
 * agent opens).
 * Property: host keys come out as git_login takes them, hex of SHA-256 with commas between, at
 * least one; a login that is read is written as the same bytes. */
#include <stdlib.h>
#include <string.h>

#include "base/git/git.h"
#include "base/mem/own.h"

static void expect(int holds)
{
	if (!holds) {
		abort();
	}
}

static void read_host_keys(const char *text)
{
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	char keys[GIT_HOST_KEYS_SIZE];
	if (git_host_keys_read(text, "ssh://git@git.example.org:2222/a.git", keys, &err) != SL_OK) {
		expect(err.code == SL_INVALID_ARGUMENT && err.msg[0] != '\0');
		return;
	}
	const char *at = keys;
	do {
		expect(strspn(at, "0123456789abcdef") == 64);
		at += 64;
		expect(*at == ',' || *at == '\0');
	} while (*at++ == ',');
}

static void read_login(const char *data, size_t size)
{
	struct git_login login;
	if (!git_login_unpack(data, size, &login)) {
		return;
	}
	expect(git_login_size(&login) == size);
	char *again = malloc(size);
	expect(again != NULL);
	git_login_pack(&login, again);
	expect(memcmp(again, data, size) == 0);
	free(again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = malloc(size + 1);
	expect(text != NULL);
	memcpy(text, data, size);
	text[size] = '\0';
	read_host_keys(text);
	read_login(text, size);
	free(text);
	return 0;
}
