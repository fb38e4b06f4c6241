/* DIR/identity: JSON. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/identity/identity_internal.h"
#include "agent/state/state.h"
#include "base/crypto/secret.h"
#include "base/json/json.h"
#include "base/tls/tls.h"

#define FILE_NAME "identity"
#define AT(field) offsetof(struct identity, field)

SL_DEFINE_AUTO(struct sl_json *, sl_json_free);

static const struct {
	const char *key;
	size_t offset;
} texts[] = {
    {"server", AT(server)},           {"door", AT(door)},
    {"workspace", AT(workspace)},     {"instance", AT(instance)},
    {"instance_id", AT(instance_id)}, {"environment", AT(environment)},
    {"identity_id", AT(identity_id)}, {"ca", AT(ca)},
    {"certificate", AT(cert)},
};

static const char *const known[] = {
    "server",      "door",         "workspace",   "instance",    "instance_id", "environment",
    "identity_id", "ca",           "certificate", "key",         "box_key",     "manifest_key",
    "key_epoch",   "recovery_key", "renewals",    "asked_nonce", "taken_ms",    NULL};

enum { TEXT_MAX = 60 << 10 };

static char **text_of(const struct identity *identity, size_t i)
{
	return (char **)((uint8_t *)(uintptr_t)identity + texts[i].offset);
}

struct identity *identity_new(void)
{
	return calloc(1, sizeof(struct identity));
}

void identity_free(struct identity *identity)
{
	if (identity == NULL) {
		return;
	}
	for (size_t i = 0; i < SL_COUNT(texts); i++) {
		free(*text_of(identity, i));
	}
	sl_secret_free(identity->key);
	sl_wipe(identity, sizeof(*identity));
	free(identity);
}

sl_code identity_check(struct identity *identity, struct sl_err *err)
{
	struct tls_cert cert;
	bool pair = false;
	sl_code code = tls_client_read(sl_bytes_text(identity->cert), sl_bytes_text(identity->key),
				       sl_bytes_text(identity->ca), &cert, &pair, err);
	if (code != SL_OK) {
		return code;
	}
	if (!pair) {
		return sl_err_set(err, SL_INTERNAL, "the certificate is of another key");
	}
	identity->not_after_ms = cert.not_after_ms;
	return SL_OK;
}

/* --- writing --------------------------------------------------------------------------- */

static void put_hex(struct sl_json_writer *writer, const char *key, const uint8_t *bytes,
		    size_t size)
{
	char hex[2 * IDENTITY_KEY_BYTES + 1];
	sl_json_put_text(writer, key, sl_hex(hex, bytes, size));
	sl_wipe(hex, sizeof(hex));
}

sl_code identity_save(const char *dir, const struct identity *identity, struct sl_err *err)
{
	struct sl_json_writer writer = {.style = SL_JSON_PRETTY};
	sl_json_open_object(&writer, NULL);
	for (size_t i = 0; i < SL_COUNT(texts); i++) {
		sl_json_put_text(&writer, texts[i].key, *text_of(identity, i));
	}
	sl_json_put_text(&writer, "key", identity->key);
	put_hex(&writer, "box_key", identity->box_secret, IDENTITY_KEY_BYTES);
	if (identity->key_epoch != 0) {
		put_hex(&writer, "manifest_key", identity->manifest_key, IDENTITY_KEY_BYTES);
		sl_json_put_uint(&writer, "key_epoch", identity->key_epoch);
	}
	if (identity->recovery_known) {
		put_hex(&writer, "recovery_key", identity->recovery_key, IDENTITY_KEY_BYTES);
	}
	sl_json_put_uint(&writer, "renewals", identity->renewals);
	sl_json_put_uint(&writer, "taken_ms", identity->taken_ms);
	if (identity->asked) {
		put_hex(&writer, "asked_nonce", identity->nonce, IDENTITY_NONCE_BYTES);
	}
	sl_json_close(&writer);
	char *text = sl_json_finish(&writer);
	if (text == NULL) {
		return sl_err_no_memory(err);
	}
	sl_code code = state_write_file(dir, FILE_NAME, text, strlen(text), 0600, err);
	sl_wipe(text, strlen(text));
	free(text);
	return code;
}

/* --- reading --------------------------------------------------------------------------- */

static sl_code get_texts(const struct sl_json *root, struct identity *identity, struct sl_err *err)
{
	for (size_t i = 0; i < SL_COUNT(texts); i++) {
		const char *value = NULL;
		sl_code code = sl_json_get_text(root, texts[i].key, TEXT_MAX, &value, err);
		if (code == SL_OK && value == NULL) {
			code = sl_err_set(err, SL_DATA_LOSS, "'%s' is missing", texts[i].key);
		}
		if (code != SL_OK) {
			return code;
		}
		*text_of(identity, i) = strdup(value);
		if (*text_of(identity, i) == NULL) {
			return sl_err_no_memory(err);
		}
	}
	return SL_OK;
}

/* *ret_there tells whether the key is there at all. */
static sl_code get_hex(const struct sl_json *root, const char *key, uint8_t *out, size_t size,
		       bool *ret_there, struct sl_err *err)
{
	const char *value = NULL;
	sl_code code = sl_json_get_text(root, key, 2 * size, &value, err);
	*ret_there = value != NULL;
	if (code == SL_OK && value != NULL && !sl_unhex(out, size, value)) {
		code = sl_err_set(err, SL_DATA_LOSS, "'%s' must be %zu bytes in hex", key, size);
	}
	return code;
}

static sl_code get_keys(const struct sl_json *root, struct identity *identity, struct sl_err *err)
{
	const char *key = NULL;
	bool box = false, manifest = false;
	uint64_t epoch = 0;
	sl_code code = sl_json_get_text(root, "key", TEXT_MAX, &key, err);
	code = code != SL_OK
		   ? code
		   : get_hex(root, "box_key", identity->box_secret, IDENTITY_KEY_BYTES, &box, err);
	code = code != SL_OK ? code
			     : get_hex(root, "manifest_key", identity->manifest_key,
				       IDENTITY_KEY_BYTES, &manifest, err);
	code = code != SL_OK ? code
			     : get_hex(root, "recovery_key", identity->recovery_key,
				       IDENTITY_KEY_BYTES, &identity->recovery_known, err);
	code = code != SL_OK ? code
			     : get_hex(root, "asked_nonce", identity->nonce, IDENTITY_NONCE_BYTES,
				       &identity->asked, err);
	code =
	    code != SL_OK ? code : sl_json_get_uint(root, "key_epoch", 0, UINT32_MAX, &epoch, err);
	code = code != SL_OK
		   ? code
		   : sl_json_get_uint(root, "renewals", 0, UINT64_MAX, &identity->renewals, err);
	code = code != SL_OK
		   ? code
		   : sl_json_get_uint(root, "taken_ms", 0, UINT64_MAX, &identity->taken_ms, err);
	if (code == SL_OK && (key == NULL || !box)) {
		code = sl_err_set(err, SL_DATA_LOSS, "its keys are missing");
	}
	if (code != SL_OK) {
		return code;
	}
	identity->key_epoch = manifest ? (uint32_t)epoch : 0;
	identity->key = sl_secret_text(key, strlen(key));
	return identity->key != NULL ? SL_OK : sl_err_no_memory(err);
}

sl_code identity_load(const char *dir, struct identity **ret_identity, struct sl_err *err)
{
	SL_AUTO(sl_json_free_auto) struct sl_json *root = NULL;
	SL_AUTO(sl_free_auto) char *path = NULL;
	SL_AUTO(identity_free_auto) struct identity *identity = identity_new();
	if (identity == NULL || asprintf(&path, "%s/" FILE_NAME, dir) < 0) {
		return sl_err_no_memory(err);
	}
	sl_code code = sl_json_read_file(path, &root, err);
	if (code != SL_OK) {
		return code;
	}
	code = sl_json_check_keys(root, known, err);
	code = code != SL_OK ? code : get_texts(root, identity, err);
	code = code != SL_OK ? code : get_keys(root, identity, err);
	code = code != SL_OK ? code : identity_check(identity, err);
	if (code != SL_OK) {
		return sl_err_wrap(err, "'%s'", path);
	}
	*ret_identity = SL_TAKE(identity);
	return SL_OK;
}
