#include "base/git/ssh_key.h"

#include <stdio.h>
#include <string.h>

#include "base/bytes/bytes.h"
#include "base/crypto/crypto.h"
#include "base/crypto/secret.h"
#include "base/crypto/sign.h"
#include "base/mem/own.h"

#define BEGIN "-----BEGIN OPENSSH PRIVATE KEY-----"
#define END "-----END OPENSSH PRIVATE KEY-----"
#define ED25519 "ssh-ed25519"
static const char magic[] = "openssh-key-v1"; /* with its NUL */

enum { COMMENT_MAX = 100, BLOB_ROOM = 400, LINE = 70, PAD_TO = 8 };

/* --- making ------------------------------------------------------------------------------ */

/* A blob in the making, in memory for secrets: strings have their length before them. */
struct blob {
	uint8_t *data;
	size_t size;
};

static void put_raw(struct blob *blob, const void *data, size_t size)
{
	memcpy(blob->data + blob->size, data, size);
	blob->size += size;
}

static void put_u32(struct blob *blob, uint32_t number)
{
	uint8_t raw[4];
	sl_put_be32(raw, number);
	put_raw(blob, raw, sizeof(raw));
}

static void put_string(struct blob *blob, const void *data, size_t size)
{
	put_u32(blob, (uint32_t)size);
	put_raw(blob, data, size);
}

static void put_text(struct blob *blob, const char *text)
{
	put_string(blob, text, strlen(text));
}

static void put_public(struct blob *blob, const uint8_t public[static SL_SIGN_PUBLIC_BYTES])
{
	put_text(blob, ED25519);
	put_string(blob, public, SL_SIGN_PUBLIC_BYTES);
}

static void put_private(struct blob *blob, const uint8_t *seed, const uint8_t *public,
			const char *comment)
{
	uint32_t check = 0;
	sl_random(&check, sizeof(check));
	put_u32(blob, check);
	put_u32(blob, check);
	put_public(blob, public);
	put_u32(blob, SL_SIGN_SEED_BYTES + SL_SIGN_PUBLIC_BYTES);
	put_raw(blob, seed, SL_SIGN_SEED_BYTES);
	put_raw(blob, public, SL_SIGN_PUBLIC_BYTES);
	put_text(blob, comment);
	for (uint8_t pad = 1; blob->size % PAD_TO != 0; pad++) {
		put_raw(blob, &pad, 1);
	}
}

/* Base64 in lines, between the two marks. */
static char *armor(const struct blob *blob)
{
	SL_AUTO(sl_secret_text_auto) char *base64 = sl_secret_new(SL_BASE64_SIZE(BLOB_ROOM * 2));
	char *text = sl_secret_new(GIT_SSH_PRIVATE_SIZE * 2);
	if (base64 == NULL || text == NULL) {
		sl_secret_free(text);
		return NULL;
	}
	(void)sl_base64(base64, blob->data, blob->size);
	char *at = stpcpy(text, BEGIN "\n");
	for (size_t i = 0, size = strlen(base64); i < size; i += LINE) {
		size_t part = size - i < LINE ? size - i : LINE;
		memcpy(at, base64 + i, part);
		at += part;
		*at++ = '\n';
	}
	(void)stpcpy(at, END "\n");
	return text;
}

static sl_code write_private(const uint8_t *seed, const uint8_t *public, const char *comment,
			     char **ret_private, struct sl_err *err)
{
	SL_AUTO(sl_secret_free_auto) void *outer = sl_secret_new(BLOB_ROOM * 2);
	SL_AUTO(sl_secret_free_auto) void *inner = sl_secret_new(BLOB_ROOM);
	SL_AUTO(sl_secret_free_auto) void *shown = sl_secret_new(BLOB_ROOM);
	if (outer == NULL || inner == NULL || shown == NULL) {
		return sl_err_no_memory(err);
	}
	struct blob all = {.data = outer}, secret = {.data = inner}, open = {.data = shown};
	put_public(&open, public);
	put_private(&secret, seed, public, comment);
	put_raw(&all, magic, sizeof(magic));
	put_text(&all, "none"); /* cipher */
	put_text(&all, "none"); /* key derivation */
	put_text(&all, "");
	put_u32(&all, 1);
	put_string(&all, open.data, open.size);
	put_string(&all, secret.data, secret.size);
	*ret_private = armor(&all);
	return *ret_private != NULL ? SL_OK : sl_err_no_memory(err);
}

static void write_public(const uint8_t *public, const char *comment,
			 char out[static GIT_SSH_PUBLIC_SIZE])
{
	uint8_t raw[BLOB_ROOM];
	char base64[SL_BASE64_SIZE(BLOB_ROOM)];
	struct blob blob = {.data = raw};
	put_public(&blob, public);
	(void)snprintf(out, GIT_SSH_PUBLIC_SIZE, ED25519 " %s %s",
		       sl_base64(base64, blob.data, blob.size), comment);
}

sl_code git_ssh_key_new(const char *comment, char **ret_private,
			char ret_public[static GIT_SSH_PUBLIC_SIZE], struct sl_err *err)
{
	SL_AUTO(sl_secret_free_auto) void *seed = sl_secret_new(SL_SIGN_SEED_BYTES);
	if (seed == NULL) {
		return sl_err_no_memory(err);
	}
	if (strlen(comment) > COMMENT_MAX) {
		return sl_err_set(err, SL_INVALID_ARGUMENT, "a key's comment has at most %d bytes",
				  COMMENT_MAX);
	}
	sl_random(seed, SL_SIGN_SEED_BYTES);
	SL_AUTO(sl_signer_free_auto) struct sl_signer *signer = sl_signer_new(seed);
	if (signer == NULL) {
		return sl_err_no_memory(err);
	}
	sl_code code = write_private(seed, sl_signer_public(signer), comment, ret_private, err);
	if (code == SL_OK) {
		write_public(sl_signer_public(signer), comment, ret_public);
	}
	return code;
}

/* --- looking ------------------------------------------------------------------------------ */

static sl_code refuse(struct sl_err *err, const char *rule)
{
	return sl_err_because(err, SL_INVALID_ARGUMENT, SL_REASON_KEY_REFUSED,
			      "the private key cannot be used: %s", rule);
}

static sl_code refuse_rsa(struct sl_err *err)
{
	return refuse(err, "it is RSA, which this server's libssh2 can sign with SHA-1 only, and "
			   "hosts refuse that: make an Ed25519 key (sluice repo keygen)");
}

/* The next string of a blob; false: there is none. */
static bool take_string(struct sl_bytes *rest, struct sl_bytes *ret_string)
{
	if (rest->size < 4 || sl_get_be32(rest->data) > rest->size - 4) {
		return false;
	}
	*ret_string = SL_BYTES(rest->data + 4, sl_get_be32(rest->data));
	*rest = SL_BYTES(ret_string->data + ret_string->size, rest->size - 4 - ret_string->size);
	return true;
}

static bool is_text(struct sl_bytes bytes, const char *text)
{
	return sl_bytes_equal(bytes, sl_bytes_text(text));
}

static sl_code check_type(struct sl_bytes public_blob, char ret_public[static GIT_SSH_PUBLIC_SIZE],
			  struct sl_err *err)
{
	static const char *const good[] = {ED25519, "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384",
					   "ecdsa-sha2-nistp521"};
	char base64[SL_BASE64_SIZE(BLOB_ROOM)];
	struct sl_bytes rest = public_blob, type;
	if (!take_string(&rest, &type)) {
		return refuse(err, "it is cut short");
	}
	if (is_text(type, "ssh-rsa")) {
		return refuse_rsa(err);
	}
	if (public_blob.size > BLOB_ROOM) {
		return refuse(err, "its public half is too long");
	}
	for (size_t i = 0; i < SL_COUNT(good); i++) {
		if (is_text(type, good[i])) {
			(void)snprintf(ret_public, GIT_SSH_PUBLIC_SIZE, "%s %s", good[i],
				       sl_base64(base64, public_blob.data, public_blob.size));
			return SL_OK;
		}
	}
	return refuse(err, "it must be Ed25519 or ECDSA");
}

static sl_code check_blob(struct sl_bytes blob, char ret_public[static GIT_SSH_PUBLIC_SIZE],
			  struct sl_err *err)
{
	struct sl_bytes cipher, derivation, options, public_blob;
	if (!sl_bytes_starts_with(blob, SL_BYTES(magic, sizeof(magic)))) {
		return refuse(err, "it is not what ssh-keygen writes");
	}
	struct sl_bytes rest = SL_BYTES(blob.data + sizeof(magic), blob.size - sizeof(magic));
	bool good = take_string(&rest, &cipher) && take_string(&rest, &derivation) &&
		    take_string(&rest, &options) && rest.size > 4;
	if (!good) {
		return refuse(err, "it is cut short");
	}
	rest = SL_BYTES(rest.data + 4, rest.size - 4);
	if (!take_string(&rest, &public_blob)) {
		return refuse(err, "it is cut short");
	}
	sl_code code = check_type(public_blob, ret_public, err);
	if (code == SL_OK && !is_text(cipher, "none")) {
		return refuse(err, "it has a pass phrase; take it off (ssh-keygen -p), the server "
				   "encrypts it anyhow");
	}
	return code;
}

/* Base64 without its line ends. */
static size_t squeeze(char *out, const char *from, const char *end)
{
	size_t size = 0;
	for (; from < end; from++) {
		if (*from != '\n' && *from != '\r' && *from != ' ') {
			out[size++] = *from;
		}
	}
	out[size] = '\0';
	return size;
}

static sl_code check_openssh(const char *text, char ret_public[static GIT_SSH_PUBLIC_SIZE],
			     struct sl_err *err)
{
	const char *from = strstr(text, BEGIN) + strlen(BEGIN), *end = strstr(from, END);
	if (end == NULL) {
		return refuse(err, "it is cut short");
	}
	SL_AUTO(sl_secret_text_auto) char *base64 = sl_secret_new((size_t)(end - from) + 1);
	SL_AUTO(sl_secret_text_auto) char *raw = sl_secret_new((size_t)(end - from) + 1);
	if (base64 == NULL || raw == NULL) {
		return sl_err_no_memory(err);
	}
	size_t size = squeeze(base64, from, end);
	size_t padding = strspn(base64 + strcspn(base64, "="), "=");
	size_t bytes = size % 4 != 0 || padding > 2 || size == 0 ? 0 : size / 4 * 3 - padding;
	if (bytes == 0 || !sl_unbase64(raw, bytes, base64)) {
		return refuse(err, "it is not base64");
	}
	return check_blob(SL_BYTES(raw, bytes), ret_public, err);
}

sl_code git_ssh_key_check(const char *text, char ret_public[static GIT_SSH_PUBLIC_SIZE],
			  struct sl_err *err)
{
	ret_public[0] = '\0';
	if (strnlen(text, GIT_SSH_KEY_MAX) >= GIT_SSH_KEY_MAX) {
		return refuse(err, "it has more than 16 KiB");
	}
	if (strstr(text, BEGIN) != NULL) {
		return check_openssh(text, ret_public, err);
	}
	if (strstr(text, "BEGIN RSA PRIVATE KEY") != NULL) {
		return refuse_rsa(err);
	}
	if (strstr(text, "BEGIN EC PRIVATE KEY") == NULL) {
		return refuse(err, "it must be what ssh-keygen writes for Ed25519 or ECDSA "
				   "(\"BEGIN OPENSSH PRIVATE KEY\" or \"BEGIN EC PRIVATE KEY\")");
	}
	return strstr(text, "ENCRYPTED") == NULL
		   ? SL_OK
		   : refuse(err, "it has a pass phrase; take it off (ssh-keygen -p), the server "
				 "encrypts it anyhow");
}
