#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/crypto/crypto.h"
#include "base/keyfile/keyfile.h"
#include "server/ca/folder.h"
#include "server/ca/make.h"
#include "server/vault/vault_internal.h"

#define NEXT ".next"

sl_code vault_locked(struct sl_err *err)
{
	return sl_err_because(err, SL_FAILED_PRECONDITION, SL_REASON_VAULT_LOCKED,
			      "the server has no master key, so nothing that is sealed can be "
			      "written or read: see --master-key-file");
}

/* --- files ----------------------------------------------------------------------------- */

sl_code master_read(const char *path, struct master *ret_master, struct sl_err *err)
{
	SL_AUTO(sl_secret_text_auto) char *text = NULL;
	size_t size = 0;
	uint8_t id[SL_HASH_BYTES];
	sl_code code = ca_file_read(AT_FDCWD, path, &text, &size, err);
	if (code != SL_OK) {
		return code;
	}
	SL_AUTO(sl_secret_free_auto) void *bytes = sl_secret_new(VAULT_KEY_BYTES);
	if (bytes == NULL) {
		return sl_err_no_memory(err);
	}
	if (!sl_unbase64(bytes, VAULT_KEY_BYTES, text)) {
		return sl_err_set(err, SL_FAILED_PRECONDITION,
				  "master key '%s' must be the base64 of %d bytes", path,
				  VAULT_KEY_BYTES);
	}
	sl_derive(bytes, "sluice master key id", id);
	memcpy(ret_master->id, id, MASTER_ID_BYTES);
	ret_master->bytes = SL_TAKE(bytes);
	return SL_OK;
}

void master_fini(struct master *master)
{
	sl_secret_free(SL_TAKE(master->bytes));
}

const struct master *master_of(const struct vault *vault, struct sl_bytes id)
{
	const struct master *const all[] = {&vault->now, &vault->next};
	for (size_t i = 0; i < SL_COUNT(all); i++) {
		if (all[i]->bytes != NULL &&
		    sl_bytes_equal(id, SL_BYTES(all[i]->id, MASTER_ID_BYTES))) {
			return all[i];
		}
	}
	return NULL;
}

/* Where it lies, whether it is there or not. The caller frees it. */
static char *path_of(const char *data, const char *file)
{
	char *path = ca_master_key_elsewhere(file);
	return path != NULL || asprintf(&path, "%s/" CA_FOLDER "/master.key", data) >= 0 ? path
											 : NULL;
}

static char *next_of(const char *path)
{
	char *next = NULL;
	return path != NULL && asprintf(&next, "%s" NEXT, path) >= 0 ? next : NULL;
}

/* --- life --------------------------------------------------------------------------------- */

/* One that is not there leaves *master as it is. */
static sl_code read_if_there(const char *path, struct master *master, struct sl_err *err)
{
	sl_code code = master_read(path, master, err);
	if (code == SL_NOT_FOUND) {
		sl_err_clear(err);
		return SL_OK;
	}
	return code;
}

sl_code vault_open(const char *data, const char *file, struct vault **ret_vault, struct sl_err *err)
{
	SL_AUTO(vault_free_auto) struct vault *vault = calloc(1, sizeof(*vault));
	if (vault == NULL) {
		return sl_err_no_memory(err);
	}
	pthread_mutex_init(&vault->lock, NULL);
	vault->path = path_of(data, file);
	vault->next_path = next_of(vault->path);
	if (vault->next_path == NULL) {
		return sl_err_no_memory(err);
	}
	sl_code code = read_if_there(vault->path, &vault->now, err);
	code = code != SL_OK ? code : read_if_there(vault->next_path, &vault->next, err);
	if (code == SL_OK) {
		*ret_vault = SL_TAKE(vault);
	}
	return code;
}

void vault_free(struct vault *vault)
{
	if (vault == NULL) {
		return;
	}
	vault_rewrap_free(vault->rewrap); /* the store is gone, so it is done with */
	master_fini(&vault->now);
	master_fini(&vault->next);
	pthread_mutex_destroy(&vault->lock);
	free(vault->path);
	free(vault->next_path);
	free(vault);
}

bool vault_is_locked(const struct vault *vault)
{
	return vault == NULL || vault->now.bytes == NULL;
}

const char *vault_path(const struct vault *vault)
{
	return vault->path;
}

/* --- the next one -------------------------------------------------------------------------- */

static sl_code check_writable(const char *path, struct sl_err *err)
{
	const char *credentials = getenv("CREDENTIALS_DIRECTORY");
	struct master master = {.bytes = NULL};
	if (credentials != NULL && strncmp(path, credentials, strlen(credentials)) == 0) {
		return sl_err_set(err, SL_FAILED_PRECONDITION,
				  "the master key is the credential '%s', which cannot be replaced "
				  "from here: copy it to a file and serve with --master-key-file",
				  path);
	}
	sl_code code = master_read(path, &master, err);
	master_fini(&master);
	return code == SL_NOT_FOUND
		   ? sl_err_set(err, SL_FAILED_PRECONDITION, "there is no master key '%s'", path)
		   : code;
}

sl_code vault_new_master(const char *data, const char *file, struct sl_err *err)
{
	SL_AUTO(sl_free_auto) char *path = path_of(data, file);
	SL_AUTO(sl_free_auto) char *next = next_of(path);
	SL_AUTO(sl_secret_free_auto) void *key = sl_secret_new(VAULT_KEY_BYTES);
	SL_AUTO(sl_secret_text_auto)
	char *text = sl_secret_new(SL_BASE64_SIZE(VAULT_KEY_BYTES) + 1);
	if (next == NULL || key == NULL || text == NULL) {
		return sl_err_no_memory(err);
	}
	sl_code code = check_writable(path, err);
	if (code != SL_OK) {
		return code;
	}
	sl_random(key, VAULT_KEY_BYTES);
	(void)sl_base64(text, key, VAULT_KEY_BYTES);
	memcpy(text + strlen(text), "\n", sizeof("\n"));
	return keyfile_create_path(next, KEYFILE_SECRET, text, err);
}

bool vault_is_rotating(const char *data, const char *file)
{
	SL_AUTO(sl_free_auto) char *path = path_of(data, file);
	SL_AUTO(sl_free_auto) char *next = next_of(path);
	return next != NULL && access(next, F_OK) == 0;
}
