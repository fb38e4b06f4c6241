/* known_hosts files: which ssh keys a host may show. */
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/bytes/bytes.h"
#include "base/crypto/crypto.h"
#include "base/crypto/secret.h"
#include "base/git/git.h"
#include "base/git/url_internal.h"
#include "base/mem/own.h"

enum { LINE_MAX_BYTES = 4096, BLOB_MAX = 2048 };

struct reader {
	char plain[260], bracketed[280]; /* the host as its lines name it */
	unsigned line;
	char *out;
	size_t used;
};

static sl_code refuse(const struct reader *r, struct sl_err *err, const char *rule)
{
	sl_code code = sl_err_because(err, SL_INVALID_ARGUMENT, SL_REASON_MALFORMED,
				      "known_hosts, line %u: %s", r->line, rule);
	sl_err_field(err, "known_hosts", rule);
	return code;
}

static sl_code refuse_file(struct sl_err *err, const char *rule)
{
	sl_code code =
	    sl_err_because(err, SL_INVALID_ARGUMENT, SL_REASON_MALFORMED, "known_hosts %s", rule);
	sl_err_field(err, "known_hosts", rule);
	return code;
}

/* The names are separated by commas. */
static bool names_host(const struct reader *r, const char *names)
{
	while (*names != '\0') {
		size_t bytes = strcspn(names, ",");
		bool plain = strlen(r->plain) == bytes && strncasecmp(names, r->plain, bytes) == 0;
		bool bracketed =
		    strlen(r->bracketed) == bytes && strncasecmp(names, r->bracketed, bytes) == 0;
		if (plain || bracketed) {
			return true;
		}
		names += bytes + (names[bytes] == ',');
	}
	return false;
}

static size_t decoded_bytes(const char *base64)
{
	size_t bytes = strlen(base64);
	size_t padding = strspn(base64 + strcspn(base64, "="), "=");
	return bytes % 4 != 0 || padding > 2 ? 0 : bytes / 4 * 3 - padding;
}

static sl_code add_key(struct reader *r, const char *base64, struct sl_err *err)
{
	uint8_t blob[BLOB_MAX], hash[SL_HASH_BYTES];
	size_t size = decoded_bytes(base64);
	if (size == 0 || size > sizeof(blob) || !sl_unbase64(blob, size, base64)) {
		return refuse(r, err, "the key must be base64 of at most 2048 bytes");
	}
	if (r->used + 2 * SL_HASH_BYTES + 2 > GIT_HOST_KEYS_SIZE) {
		return refuse(r, err, "a host has at most 15 keys");
	}
	if (r->used > 0) {
		r->out[r->used++] = ',';
	}
	sl_sha256(hash, blob, size);
	(void)sl_hex(r->out + r->used, hash, sizeof(hash));
	r->used += 2 * SL_HASH_BYTES;
	return SL_OK;
}

static sl_code read_line(struct reader *r, char *line, struct sl_err *err)
{
	char *rest = NULL;
	const char *names = strtok_r(line, " \t\r", &rest);
	if (names == NULL || names[0] == '#') {
		return SL_OK;
	}
	if (names[0] == '@') {
		return refuse(r, err, "markers such as @revoked are not understood");
	}
	if (names[0] == '|') {
		return refuse(r, err,
			      "hashed names are not understood: use what ssh-keyscan prints");
	}
	const char *type = strtok_r(NULL, " \t\r", &rest);
	const char *key = strtok_r(NULL, " \t\r", &rest);
	if (type == NULL || key == NULL) {
		return refuse(r, err, "must be: HOST TYPE KEY");
	}
	return names_host(r, names) ? add_key(r, key, err) : SL_OK;
}

static sl_code read_all(struct reader *r, const char *text, struct sl_err *err)
{
	sl_code code = SL_OK;
	while (code == SL_OK && *text != '\0') {
		char line[LINE_MAX_BYTES];
		size_t bytes = strcspn(text, "\n");
		r->line++;
		if (bytes >= sizeof(line)) {
			return refuse(r, err, "must have at most 4095 bytes");
		}
		memcpy(line, text, bytes);
		line[bytes] = '\0';
		code = read_line(r, line, err);
		text += bytes + (text[bytes] == '\n');
	}
	return code;
}

sl_code git_host_keys_read(const char *known_hosts, const char *url_text,
			   char out[static GIT_HOST_KEYS_SIZE], struct sl_err *err)
{
	struct url url;
	struct reader r = {.out = out};
	sl_code code = url_parse(url_text, &url, err);
	if (code != SL_OK) {
		return code;
	}
	if (url.scheme != URL_SSH) {
		return refuse_file(err, "is for ssh:// URLs");
	}
	/* Without brackets: port 22. */
	(void)snprintf(r.plain, sizeof(r.plain), "%s", url.port == 22 ? url.host : "");
	(void)snprintf(r.bracketed, sizeof(r.bracketed), "[%s]:%u", url.host, url.port);
	out[0] = '\0';
	code = read_all(&r, known_hosts, err);
	if (code == SL_OK && r.used == 0) {
		char rule[700];
		(void)snprintf(rule, sizeof(rule),
			       "must have a key of '%s': a line of `ssh-keyscan -p %u %s`",
			       url.host, url.port, url.host);
		return refuse_file(err, rule);
	}
	return code;
}
