#include "base/token/token.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/crypto/crypto.h"

static const char alphabet[] = "abcdefghijklmnopqrstuvwxyz234567";

enum { ID_CHARS = 20, SECRET_CHARS = SL_TOKEN_SECRET_SIZE - 1 };

/* --- the key -------------------------------------------------------------------- */

static sl_code key_failed(const char *path, const char *what, struct sl_err *err)
{
	return sl_err_set(err, SL_FAILED_PRECONDITION, "token key '%s': %s", path, what);
}

static sl_code key_read(const char *path, int fd, struct sl_token_key *ret_key, struct sl_err *err)
{
	uint8_t bytes[SL_TOKEN_KEY_BYTES + 1];
	ssize_t size = read(fd, bytes, sizeof(bytes));
	if (size != SL_TOKEN_KEY_BYTES) {
		return key_failed(path, size < 0 ? strerror(errno) : "must have 32 bytes", err);
	}
	memcpy(ret_key->bytes, bytes, sizeof(ret_key->bytes));
	return SL_OK;
}

/* Under another name first: who finds the file finds it whole. */
static sl_code key_make(const char *path, struct sl_err *err)
{
	char fresh[4096];
	struct sl_token_key key;
	int size = snprintf(fresh, sizeof(fresh), "%s.new", path);
	if (size < 0 || (size_t)size >= sizeof(fresh)) {
		return key_failed(path, "its path is too long", err);
	}
	int fd = open(fresh, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0) {
		return key_failed(fresh, strerror(errno), err);
	}
	sl_random(key.bytes, sizeof(key.bytes));
	bool written =
	    write(fd, key.bytes, sizeof(key.bytes)) == (ssize_t)sizeof(key.bytes) && fsync(fd) == 0;
	written = close(fd) == 0 && written && rename(fresh, path) == 0;
	return written ? SL_OK : key_failed(path, strerror(errno), err);
}

sl_code sl_token_key_load(const char *path, bool make, struct sl_token_key *ret_key,
			  struct sl_err *err)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 && errno == ENOENT && make) {
		sl_code code = key_make(path, err);
		if (code != SL_OK) {
			return code;
		}
		fd = open(path, O_RDONLY | O_CLOEXEC);
	}
	if (fd < 0) {
		return key_failed(path, strerror(errno), err);
	}
	sl_code code = key_read(path, fd, ret_key, err);
	(void)close(fd);
	return code;
}

/* --- secrets ---------------------------------------------------------------------- */

void sl_token_secret(const uint8_t random[static SL_TOKEN_RANDOM_BYTES],
		     char ret_secret[static SL_TOKEN_SECRET_SIZE])
{
	uint32_t group = 0;
	size_t bits = 0, at = 0;
	for (size_t i = 0; i < SL_TOKEN_RANDOM_BYTES; i++) {
		group = group << 8 | random[i];
		for (bits += 8; bits >= 5; bits -= 5) {
			ret_secret[at++] = alphabet[(group >> (bits - 5)) & 31];
		}
	}
	ret_secret[at++] = alphabet[(group << (5 - bits)) & 31];
	ret_secret[at] = '\0';
}

void sl_token_hash(const struct sl_token_key *key, const char *purpose, const char *id,
		   const char *secret, uint8_t ret_hash[static SL_TOKEN_HASH_BYTES])
{
	/* Each part with its NUL, so that no two lists of parts are one text. */
	char text[256];
	size_t at = 0;
	const char *parts[] = {"sluice token v1", purpose, id, secret};
	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
		size_t size = strnlen(parts[i], SL_TOKEN_SECRET_SIZE) + 1;
		memcpy(text + at, parts[i], size);
		at += size;
	}
	sl_hash(ret_hash, text, at, key->bytes, sizeof(key->bytes));
}

bool sl_token_matches(const uint8_t hash[static SL_TOKEN_HASH_BYTES], const void *kept,
		      size_t kept_size)
{
	return kept_size == SL_TOKEN_HASH_BYTES && sl_equal_secret(hash, kept, SL_TOKEN_HASH_BYTES);
}

/* --- texts ------------------------------------------------------------------------ */

void sl_token_text(const char *id, const char *secret, char ret_text[static SL_TOKEN_TEXT_SIZE])
{
	(void)snprintf(ret_text, SL_TOKEN_TEXT_SIZE, "slc_%.20s_%s", id + 4, secret);
}

bool sl_token_parse(const char *text, struct sl_token_parts *ret_parts)
{
	if (strlen(text) != SL_TOKEN_TEXT_SIZE - 1 || strncmp(text, "slc_", 4) != 0 ||
	    text[4 + ID_CHARS] != '_' || strspn(text + 4, alphabet) != ID_CHARS ||
	    strspn(text + 4 + ID_CHARS + 1, alphabet) != SECRET_CHARS) {
		return false;
	}
	(void)snprintf(ret_parts->id, sizeof(ret_parts->id), "tok_%.20s", text + 4);
	(void)snprintf(ret_parts->secret, sizeof(ret_parts->secret), "%s", text + 4 + ID_CHARS + 1);
	return true;
}

sl_code sl_token_refused(struct sl_err *err)
{
	return sl_err_because(err, SL_UNAUTHENTICATED, SL_REASON_TOKEN_REFUSED,
			      "the token is unknown, used, expired or revoked");
}
