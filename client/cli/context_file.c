/* What is in the folder of a context. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/bytes/bytes.h"
#include "base/crypto/secret.h"
#include "base/file/file.h"
#include "base/json/json.h"
#include "base/keyfile/keyfile.h"
#include "base/tls/tls.h"
#include "client/cli/context_store.h"

#define NOTES "context.json"
#define AT(field) offsetof(struct login_context, field)

enum { TEXT_MAX = 300 };

SL_DEFINE_AUTO(struct sl_json *, sl_json_free);

static const struct {
	const char *key;
	size_t offset;
} texts[] = {
    {"server", AT(server)},           {"door", AT(door)},
    {"workspace", AT(workspace)},     {"principal", AT(principal)},
    {"identity_id", AT(identity_id)},
};
static const char *const known[] = {"server",    "door",        "workspace",
				    "principal", "identity_id", "renewals",
				    "taken_ms",  "asked_nonce", NULL};

static const struct {
	const char *name;
	size_t offset;
} pems[] = {{"ca.pem", AT(tls.ca)}, {"key.pem", AT(tls.key)}, {"cert.pem", AT(tls.cert)}};

static char **text_at(const struct login_context *login, size_t offset)
{
	return (char **)((uint8_t *)(uintptr_t)login + offset);
}

/* --- checking ----------------------------------------------------------------------------- */

sl_code login_context_check(struct login_context *login, struct sl_err *err)
{
	struct tls_cert cert;
	bool pair = false;
	sl_code code =
	    tls_client_read(sl_bytes_text(login->tls.cert), sl_bytes_text(login->tls.key),
			    sl_bytes_text(login->tls.ca), &cert, &pair, err);
	if (code != SL_OK) {
		return code;
	}
	if (!pair) {
		return sl_err_set(err, SL_FAILED_PRECONDITION, "the certificate is of another key");
	}
	login->not_after_ms = cert.not_after_ms;
	return SL_OK;
}

/* --- reading ------------------------------------------------------------------------------ */

static sl_code read_texts(const struct sl_json *root, struct login_context *login,
			  struct sl_err *err)
{
	for (size_t i = 0; i < SL_COUNT(texts); i++) {
		const char *value = NULL;
		sl_code code = sl_json_get_text(root, texts[i].key, TEXT_MAX, &value, err);
		if (code == SL_OK && value == NULL) {
			code =
			    sl_err_set(err, SL_INVALID_ARGUMENT, "'%s' is missing", texts[i].key);
		}
		if (code != SL_OK) {
			return code;
		}
		char **text = text_at(login, texts[i].offset);
		*text = strdup(value);
		if (*text == NULL) {
			return sl_err_no_memory(err);
		}
	}
	return SL_OK;
}

static sl_code read_numbers(const struct sl_json *root, struct login_context *login,
			    struct sl_err *err)
{
	const char *nonce = NULL;
	sl_code code = sl_json_get_uint(root, "renewals", 0, UINT64_MAX, &login->renewals, err);
	code = code != SL_OK
		   ? code
		   : sl_json_get_uint(root, "taken_ms", 0, UINT64_MAX, &login->taken_ms, err);
	code = code != SL_OK
		   ? code
		   : sl_json_get_text(root, "asked_nonce", 2UL * CONTEXT_NONCE_BYTES, &nonce, err);
	login->asked = nonce != NULL;
	if (code == SL_OK && nonce != NULL && !sl_unhex(login->nonce, CONTEXT_NONCE_BYTES, nonce)) {
		code = sl_err_set(err, SL_INVALID_ARGUMENT, "'asked_nonce' must be %d bytes in hex",
				  CONTEXT_NONCE_BYTES);
	}
	return code;
}

static sl_code read_notes(struct login_context *login, struct sl_err *err)
{
	SL_AUTO(sl_json_free_auto) struct sl_json *root = NULL;
	SL_AUTO(sl_secret_text_auto) char *text = NULL;
	sl_code code = keyfile_read(login->folder, NOTES, KEYFILE_SECRET, &text, err);
	if (code != SL_OK) {
		return code;
	}
	code = sl_json_parse(sl_bytes_text(text), &root, err);
	code = code != SL_OK ? code : sl_json_check_keys(root, known, err);
	code = code != SL_OK ? code : read_texts(root, login, err);
	code = code != SL_OK ? code : read_numbers(root, login, err);
	return code != SL_OK ? sl_err_wrap(err, NOTES) : SL_OK;
}

static sl_code read_all(struct login_context *login, struct sl_err *err)
{
	sl_code code = keyfile_check_folder(login->folder, err);
	code = code != SL_OK ? code : read_notes(login, err);
	for (size_t i = 0; i < SL_COUNT(pems) && code == SL_OK; i++) {
		code = keyfile_read(login->folder, pems[i].name, KEYFILE_SECRET,
				    text_at(login, pems[i].offset), err);
	}
	return code != SL_OK ? code : login_context_check(login, err);
}

/* It is there. */
static sl_code not_whole(const char *name, struct sl_err *err)
{
	if (err != NULL) {
		(void)sl_err_wrap(err, "context '%s'", name);
		err->code = SL_FAILED_PRECONDITION;
	}
	return SL_FAILED_PRECONDITION;
}

sl_code context_load_locked(const char *name, struct login_context **ret_login, struct sl_err *err)
{
	SL_AUTO(login_context_free_auto) struct login_context *login = NULL;
	struct stat found;
	sl_code code = login_context_new(name, &login, err);
	if (code != SL_OK) {
		return code;
	}
	if (lstat(login->folder, &found) != 0 && errno == ENOENT) {
		return sl_err_set(err, SL_NOT_FOUND, CONTEXT_NOT_FOUND, name);
	}
	if (read_all(login, err) != SL_OK) {
		return not_whole(name, err);
	}
	*ret_login = SL_TAKE(login);
	return SL_OK;
}

sl_code context_load(const char *name, struct login_context **ret_login, struct sl_err *err)
{
	SL_AUTO(sl_err_clear) struct sl_err first = SL_ERR_INIT;
	SL_AUTO(sl_fd_auto) int lock = -1;
	sl_code code = context_load_locked(name, ret_login, &first);
	if (code == SL_FAILED_PRECONDITION) { /* somebody may just be logging in: wait for that */
		code = context_lock(name, &lock, err);
		return code != SL_OK ? code : context_load_locked(name, ret_login, err);
	}
	if (code != SL_OK && err != NULL) {
		sl_err_move(err, &first);
	}
	return code;
}

/* --- writing ------------------------------------------------------------------------------ */

static char *notes_of(const struct login_context *login)
{
	char hex[2 * CONTEXT_NONCE_BYTES + 1];
	struct sl_json_writer writer = {.style = SL_JSON_PRETTY};
	sl_json_open_object(&writer, NULL);
	for (size_t i = 0; i < SL_COUNT(texts); i++) {
		sl_json_put_text(&writer, texts[i].key, *text_at(login, texts[i].offset));
	}
	sl_json_put_uint(&writer, "renewals", login->renewals);
	sl_json_put_uint(&writer, "taken_ms", login->taken_ms);
	if (login->asked) {
		sl_json_put_text(&writer, "asked_nonce",
				 sl_hex(hex, login->nonce, CONTEXT_NONCE_BYTES));
	}
	sl_json_close(&writer);
	return sl_json_finish(&writer);
}

sl_code context_save_notes(const struct login_context *login, struct sl_err *err)
{
	SL_AUTO(sl_free_auto) char *text = notes_of(login);
	return text == NULL ? sl_err_no_memory(err)
			    : keyfile_replace(login->folder, NOTES, KEYFILE_SECRET, text, err);
}

sl_code context_save_renewal(const struct login_context *login, struct sl_err *err)
{
	sl_code code = keyfile_replace(login->folder, "ca.pem", KEYFILE_SECRET, login->tls.ca, err);
	code = code != SL_OK ? code
			     : keyfile_replace(login->folder, "cert.pem", KEYFILE_SECRET,
					       login->tls.cert, err);
	return code != SL_OK ? code : context_save_notes(login, err);
}

sl_code context_save(const struct login_context *login, struct sl_err *err)
{
	if (mkdir(login->folder, 0700) != 0 && errno != EEXIST) {
		return sl_err_set(err, SL_FAILED_PRECONDITION, "make folder '%s': %s",
				  login->folder, strerror(errno));
	}
	sl_code code = keyfile_check_folder(login->folder, err);
	code = code != SL_OK
		   ? code
		   : keyfile_replace(login->folder, "key.pem", KEYFILE_SECRET, login->tls.key, err);
	return code != SL_OK ? code : context_save_renewal(login, err);
}
