#include "agent/held/held.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/state/state.h"
#include "base/crypto/secret.h"
#include "base/failpoint/failpoint.h"
#include "base/file/file.h"
#include "base/id/id.h"

enum { PATH_SIZE = 4096, MESSAGE_MAX = CONTRACT_VALUES_MAX + 4096 };
#define KEY_FILE "box.key"

struct held_item {
	struct held_item *next;
	char app_id[STATE_ID_SIZE];
	uint8_t stamp[SL_HASH_BYTES];
	uint8_t *bytes; /* owned; the message, until it is on disk */
	size_t size;
};

static void item_free(struct held_item *item)
{
	if (item != NULL) {
		free(item->bytes);
		free(item);
	}
}
SL_DEFINE_AUTO(struct held_item *, item_free);

static void message_free(Sluice__V1__AgentConfig *message)
{
	if (message != NULL) {
		sluice__v1__agent_config__free_unpacked(message, NULL);
	}
}
SL_DEFINE_AUTO(Sluice__V1__AgentConfig *, message_free);

static struct held_item **find(struct held *held, const char *app_id)
{
	struct held_item **at = &held->items;
	while (*at != NULL && strcmp((*at)->app_id, app_id) != 0) {
		at = &(*at)->next;
	}
	return at;
}

static const struct held_item *item_of(const struct held *held, const char *app_id)
{
	const struct held_item *at = held->items;
	while (at != NULL && strcmp(at->app_id, app_id) != 0) {
		at = at->next;
	}
	return at;
}

static void folder(const struct held *held, char path[static PATH_SIZE])
{
	(void)snprintf(path, PATH_SIZE, "%s/config", held->dir);
}

/* --- files --------------------------------------------------------------------------------- */

static sl_code read_message(const struct held *held, const char *app_id,
			    Sluice__V1__AgentConfig **ret_message, struct sl_err *err)
{
	char dir[PATH_SIZE];
	SL_AUTO(sl_free_auto) uint8_t *bytes = NULL;
	size_t size = 0;
	folder(held, dir);
	sl_code code = state_read_file(dir, app_id, MESSAGE_MAX, &bytes, &size, err);
	if (code != SL_OK) {
		return code;
	}
	*ret_message = sluice__v1__agent_config__unpack(NULL, size, bytes);
	return *ret_message != NULL
		   ? SL_OK
		   : sl_err_set(err, SL_DATA_LOSS, "'%s/%s' does not parse", dir, app_id);
}

static sl_code open_message(const struct held *held, const Sluice__V1__AgentConfig *message,
			    struct settings **ret_settings, struct sl_err *err)
{
	if (message->stamp.len != SL_HASH_BYTES || !sl_id_is(message->app_id, "app")) {
		return sl_err_set(err, SL_INVALID_ARGUMENT,
				  "config: must have an app's id and a stamp of 32 bytes");
	}
	const struct settings_owner owner = {.app_id = message->app_id,
					     .instance_id = held->instance_id,
					     .stamp = message->stamp.data};
	return settings_open(held->box_secret, SL_BYTES(message->box.data, message->box.len),
			     &owner, ret_settings, err);
}

static struct held_item *item_new(const Sluice__V1__AgentConfig *message)
{
	struct held_item *item = calloc(1, sizeof(*item));
	if (item != NULL) {
		(void)state_text(item->app_id, sizeof(item->app_id), message->app_id);
		memcpy(item->stamp, message->stamp.data, SL_HASH_BYTES);
	}
	return item;
}

static void unlink_in(const struct held *held, const char *name)
{
	char dir[PATH_SIZE];
	folder(held, dir);
	SL_AUTO(sl_fd_auto) int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd >= 0 && unlinkat(fd, name, 0) == 0) {
		(void)fsync(fd);
	}
}

/* --- the whole ------------------------------------------------------------------------------- */

sl_code held_key(const char *dir, uint8_t **ret_box_secret, struct sl_err *err)
{
	SL_AUTO(sl_free_auto) uint8_t *bytes = NULL;
	size_t size = 0;
	uint8_t *secret = sl_secret_new(SL_BOX_SECRET_BYTES);
	if (secret == NULL) {
		return sl_err_no_memory(err);
	}
	sl_code code = state_read_file(dir, KEY_FILE, SL_BOX_SECRET_BYTES, &bytes, &size, err);
	if (code == SL_OK && size == SL_BOX_SECRET_BYTES) {
		memcpy(secret, bytes, size);
		sl_wipe(bytes, size);
	} else if (code == SL_OK || code == SL_NOT_FOUND) {
		sl_err_clear(err);
		sl_random(secret, SL_BOX_SECRET_BYTES);
		code = state_write_file(dir, KEY_FILE, secret, SL_BOX_SECRET_BYTES, 0600, err);
	}
	if (code != SL_OK) {
		sl_secret_free(secret);
		return code;
	}
	*ret_box_secret = secret;
	return SL_OK;
}

/* Errors of the disk and of memory are none of the file's. */
static bool is_of_file(sl_code code)
{
	return code == SL_FAILED_PRECONDITION || code == SL_INVALID_ARGUMENT ||
	       code == SL_DATA_LOSS;
}

static sl_code load_one(struct held *held, const char *app_id, struct sl_err *err)
{
	SL_AUTO(message_free_auto) Sluice__V1__AgentConfig *message = NULL;
	SL_AUTO(settings_free_auto) struct settings *settings = NULL;
	sl_code code = read_message(held, app_id, &message, err);
	code = code == SL_OK ? open_message(held, message, &settings, err) : code;
	if (is_of_file(code) || (code == SL_OK && strcmp(message->app_id, app_id) != 0)) {
		sl_err_clear(err);
		unlink_in(held, app_id);
		return SL_OK;
	}
	struct held_item *item = code == SL_OK ? item_new(message) : NULL;
	if (item == NULL) {
		return code != SL_OK ? code : sl_err_no_memory(err);
	}
	item->next = held->items;
	held->items = item;
	return SL_OK;
}

sl_code held_load(struct held *held, struct sl_err *err)
{
	char path[PATH_SIZE];
	folder(held, path);
	if (mkdir(path, 0700) != 0 && errno != EEXIST) {
		return sl_err_set(err, SL_INTERNAL, "make '%s': %s", path, strerror(errno));
	}
	SL_AUTO(sl_dir_auto) DIR *dir = opendir(path);
	sl_code code = dir != NULL
			   ? SL_OK
			   : sl_err_set(err, SL_INTERNAL, "read '%s': %s", path, strerror(errno));
	for (const struct dirent *entry = NULL; code == SL_OK && (entry = readdir(dir)) != NULL;) {
		bool named = sl_id_is(entry->d_name, "app");
		if (!named && entry->d_name[0] != '.') {
			unlink_in(held, entry->d_name); /* one that was being written */
		}
		code = named ? load_one(held, entry->d_name, err) : SL_OK;
	}
	return code;
}

void held_fini(struct held *held)
{
	while (held->items != NULL) {
		struct held_item *gone = held->items;
		held->items = gone->next;
		item_free(gone);
	}
}

sl_code held_take(struct held *held, const Sluice__V1__AgentConfig *message, struct sl_err *err)
{
	SL_AUTO(settings_free_auto) struct settings *settings = NULL;
	sl_code code = open_message(held, message, &settings, err);
	if (code != SL_OK) {
		return code;
	}
	SL_AUTO(item_free_auto) struct held_item *item = item_new(message);
	size_t size = sluice__v1__agent_config__get_packed_size(message);
	if (item == NULL || (item->bytes = malloc(size)) == NULL) {
		return sl_err_no_memory(err);
	}
	item->size = sluice__v1__agent_config__pack(message, item->bytes);
	struct held_item **at = find(held, item->app_id), *old = *at;
	item->next = old != NULL ? old->next : NULL;
	*at = SL_TAKE(item);
	item_free(old);
	return SL_OK;
}

sl_code held_keep(struct held *held, struct sl_err *err)
{
	char dir[PATH_SIZE];
	folder(held, dir);
	sl_code code = SL_OK;
	for (struct held_item *item = held->items; code == SL_OK && item != NULL;
	     item = item->next) {
		if (item->bytes == NULL) {
			continue;
		}
		SL_FAILPOINT("config-keep");
		code = state_write_file(dir, item->app_id, item->bytes, item->size, 0600, err);
		if (code == SL_OK) {
			SL_FAILPOINT("config-kept");
			free(SL_TAKE(item->bytes));
		}
	}
	return code;
}

bool held_is_due(const struct held *held)
{
	const struct held_item *item = held->items;
	while (item != NULL && item->bytes == NULL) {
		item = item->next;
	}
	return item != NULL;
}

const uint8_t *held_stamp(const struct held *held, const char *app_id)
{
	const struct held_item *item = item_of(held, app_id);
	return item != NULL ? item->stamp : NULL;
}

sl_code held_open(const struct held *held, const char *app_id, struct settings **ret_settings,
		  struct sl_err *err)
{
	SL_AUTO(message_free_auto) Sluice__V1__AgentConfig *message = NULL;
	const struct held_item *item = item_of(held, app_id);
	if (item == NULL) {
		return sl_err_set(err, SL_NOT_FOUND, "no config of app %s is held", app_id);
	}
	if (item->bytes == NULL) {
		sl_code code = read_message(held, app_id, &message, err);
		return code == SL_OK ? open_message(held, message, ret_settings, err) : code;
	}
	message = sluice__v1__agent_config__unpack(NULL, item->size, item->bytes);
	return message != NULL ? open_message(held, message, ret_settings, err)
			       : sl_err_no_memory(err);
}

void held_forget(struct held *held, const char *app_id)
{
	struct held_item **at = find(held, app_id), *gone = *at;
	if (gone != NULL) {
		*at = gone->next;
		item_free(gone);
		unlink_in(held, app_id);
	}
}

void held_sweep(struct held *held, bool (*is_known)(const char *app_id, void *ctx), void *ctx)
{
	struct held_item *item = held->items;
	while (item != NULL) {
		struct held_item *next = item->next;
		if (!is_known(item->app_id, ctx)) {
			held_forget(held, item->app_id);
		}
		item = next;
	}
}
