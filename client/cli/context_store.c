/* Folders, names, the link and the lock; what is in a folder: context_file.c. */
#include "client/cli/context_store.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/crypto/crypto.h"
#include "base/file/file.h"

#define CONTEXTS "contexts"
#define CURRENT "current"

static sl_code failed(struct sl_err *err, const char *doing, const char *path)
{
	int error = errno;
	return sl_err_set(err, error == ENOENT ? SL_NOT_FOUND : SL_FAILED_PRECONDITION,
			  "%s '%s': %s", doing, path, strerror(error));
}

char *context_path(const char *file)
{
	const char *config = getenv("XDG_CONFIG_HOME");
	const char *home = getenv("HOME");
	char *path = NULL;
	int length = -1;
	if (config != NULL && config[0] == '/') {
		length = asprintf(&path, "%s/sluice/%s", config, file);
	} else if (home != NULL && home[0] != '\0') {
		length = asprintf(&path, "%s/.config/sluice/%s", home, file);
	}
	return length >= 0 ? path : NULL;
}

static sl_code path_of(const char *file, char **ret_path, struct sl_err *err)
{
	*ret_path = context_path(file);
	return *ret_path != NULL ? SL_OK
				 : sl_err_set(err, SL_INVALID_ARGUMENT,
					      "there is no place for contexts: neither "
					      "XDG_CONFIG_HOME nor HOME names a folder");
}

/* --- names ------------------------------------------------------------------------------ */

static bool name_is_valid(const char *name)
{
	size_t length = strlen(name);
	return length > 0 && length <= CONTEXT_NAME_MAX && name[0] != '.' &&
	       strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-_.") == length;
}

static sl_code check_name(const char *name, struct sl_err *err)
{
	return name_is_valid(name)
		   ? SL_OK
		   : sl_err_set(err, SL_INVALID_ARGUMENT,
				"context '%.60s': a name is 1 to %d of a-z, 0-9, '-', '_' and '.', "
				"and does not begin with '.'",
				name, CONTEXT_NAME_MAX);
}

/* contexts/NAME<suffix> in DIR. */
static sl_code place_of(const char *name, const char *suffix, char **ret_path, struct sl_err *err)
{
	char file[CONTEXT_NAME_MAX + 32];
	sl_code code = check_name(name, err);
	if (code != SL_OK) {
		return code;
	}
	(void)snprintf(file, sizeof(file), CONTEXTS "/%s%s", name, suffix);
	return path_of(file, ret_path, err);
}

sl_code login_context_new(const char *name, struct login_context **ret_login, struct sl_err *err)
{
	SL_AUTO(login_context_free_auto) struct login_context *login = calloc(1, sizeof(*login));
	if (login == NULL || !sl_crypto_init()) {
		return sl_err_no_memory(err);
	}
	sl_code code = place_of(name, "", &login->folder, err);
	if (code != SL_OK) {
		return code;
	}
	login->name = strdup(name);
	if (login->name == NULL) {
		return sl_err_no_memory(err);
	}
	*ret_login = SL_TAKE(login);
	return SL_OK;
}

void login_context_free(struct login_context *login)
{
	if (login == NULL) {
		return;
	}
	free(login->name);
	free(login->folder);
	free(login->server);
	free(login->door);
	free(login->workspace);
	free(login->principal);
	free(login->identity_id);
	tls_files_fini(&login->tls);
	free(login);
}

uint64_t login_context_due_ms(const struct login_context *login)
{
	return login->not_after_ms <= login->taken_ms
		   ? login->not_after_ms
		   : login->taken_ms + (login->not_after_ms - login->taken_ms) / 2;
}

bool login_context_is_due(const struct login_context *login, uint64_t now_ms)
{
	return now_ms >= login_context_due_ms(login);
}

bool login_context_is_over(const struct login_context *login, uint64_t now_ms)
{
	return now_ms >= login->not_after_ms;
}

/* --- the lock ----------------------------------------------------------------------------- */

/* All folders on the way to `path`, which are this user's only when they are made here. */
static sl_code make_parents(const char *path, struct sl_err *err)
{
	SL_AUTO(sl_free_auto) char *way = strdup(path);
	if (way == NULL) {
		return sl_err_no_memory(err);
	}
	for (char *slash = strchr(way + 1, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		if (mkdir(way, 0700) != 0 && errno != EEXIST) {
			return failed(err, "make folder", way);
		}
		*slash = '/';
	}
	return SL_OK;
}

sl_code context_lock(const char *name, int *ret_fd, struct sl_err *err)
{
	SL_AUTO(sl_free_auto) char *path = NULL;
	*ret_fd = -1;
	sl_code code = place_of(name, ".lock", &path, err);
	code = code != SL_OK ? code : make_parents(path, err);
	if (code != SL_OK) {
		return code;
	}
	SL_AUTO(sl_fd_auto)
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	int rc = fd;
	do {
		rc = fd < 0 ? -1 : flock(fd, LOCK_EX);
	} while (rc != 0 && fd >= 0 && errno == EINTR);
	if (rc != 0) {
		return failed(err, "lock", path);
	}
	*ret_fd = fd;
	fd = -1;
	return SL_OK;
}

/* --- which is in use ------------------------------------------------------------------------ */

sl_code context_current(char **ret_name, struct sl_err *err)
{
	SL_AUTO(sl_free_auto) char *path = context_path(CURRENT);
	char target[sizeof(CONTEXTS) + CONTEXT_NAME_MAX + 2];
	*ret_name = NULL;
	ssize_t length = path == NULL ? -1 : readlink(path, target, sizeof(target) - 1);
	if (length < 0) {
		return path == NULL || errno == ENOENT || errno == ENOTDIR
			   ? SL_OK
			   : failed(err, "read link", path);
	}
	target[length] = '\0';
	const char *name = target + sizeof(CONTEXTS);
	if (strncmp(target, CONTEXTS "/", sizeof(CONTEXTS)) != 0 || !name_is_valid(name)) {
		return sl_err_set(err, SL_FAILED_PRECONDITION,
				  "'%s' must be a link to " CONTEXTS "/NAME", path);
	}
	*ret_name = strdup(name);
	return *ret_name != NULL ? SL_OK : sl_err_no_memory(err);
}

sl_code context_use(const char *name, struct sl_err *err)
{
	char target[sizeof(CONTEXTS) + CONTEXT_NAME_MAX + 2], aside[64];
	SL_AUTO(sl_free_auto) char *link = NULL;
	SL_AUTO(sl_free_auto) char *fresh = NULL;
	(void)snprintf(aside, sizeof(aside), "." CURRENT ".%ld", (long)getpid());
	sl_code code = check_name(name, err);
	code = code != SL_OK ? code : path_of(CURRENT, &link, err);
	code = code != SL_OK ? code : path_of(aside, &fresh, err);
	code = code != SL_OK ? code : make_parents(link, err);
	if (code != SL_OK) {
		return code;
	}
	(void)snprintf(target, sizeof(target), CONTEXTS "/%s", name);
	(void)unlink(fresh); /* of a crash */
	return symlink(target, fresh) == 0 && rename(fresh, link) == 0
		   ? SL_OK
		   : failed(err, "make link", link);
}

/* --- all of them ----------------------------------------------------------------------------- */

void context_names_fini(struct context_names *names)
{
	for (size_t i = 0; i < names->count; i++) {
		free(names->items[i]);
	}
	free(names->items);
	*names = (struct context_names){0};
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static bool is_folder(int parent, const char *name)
{
	struct stat found;
	return fstatat(parent, name, &found, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(found.st_mode);
}

static bool add(struct context_names *names, const char *name)
{
	char **items = realloc(names->items, (names->count + 1) * sizeof(*items));
	if (items == NULL) {
		return false;
	}
	names->items = items;
	items[names->count] = strdup(name);
	return items[names->count++] != NULL;
}

static sl_code read_names(DIR *dir, struct context_names *names, struct sl_err *err)
{
	const struct dirent *entry = NULL;
	while ((entry = readdir(dir)) != NULL) {
		if (name_is_valid(entry->d_name) && is_folder(dirfd(dir), entry->d_name) &&
		    !add(names, entry->d_name)) {
			return sl_err_no_memory(err);
		}
	}
	if (names->count > 0) {
		qsort(names->items, names->count, sizeof(*names->items), by_name);
	}
	return SL_OK;
}

sl_code context_names(struct context_names *ret_names, struct sl_err *err)
{
	SL_AUTO(context_names_fini) struct context_names names = {0};
	SL_AUTO(sl_free_auto) char *path = context_path(CONTEXTS);
	*ret_names = (struct context_names){0};
	DIR *dir = path == NULL ? NULL : opendir(path);
	if (dir == NULL) {
		return path == NULL || errno == ENOENT ? SL_OK : failed(err, "read folder", path);
	}
	sl_code code = read_names(dir, &names, err);
	(void)closedir(dir);
	if (code == SL_OK) {
		*ret_names = names;
		names = (struct context_names){0};
	}
	return code;
}

/* --- removing --------------------------------------------------------------------------------- */

static sl_code empty_folder(const char *path, struct sl_err *err)
{
	DIR *dir = opendir(path);
	if (dir == NULL) {
		return failed(err, "read folder", path);
	}
	const struct dirent *entry = NULL;
	while ((entry = readdir(dir)) != NULL) {
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0) {
			(void)unlinkat(dirfd(dir), entry->d_name, 0);
		}
	}
	(void)closedir(dir);
	return rmdir(path) == 0 ? SL_OK : failed(err, "remove folder", path);
}

static void forget_current(const char *name)
{
	SL_AUTO(sl_free_auto) char *current = NULL;
	SL_AUTO(sl_free_auto) char *link = context_path(CURRENT);
	if (context_current(&current, NULL) == SL_OK && current != NULL && link != NULL &&
	    strcmp(current, name) == 0) {
		(void)unlink(link);
	}
}

sl_code context_remove(const char *name, struct sl_err *err)
{
	SL_AUTO(sl_free_auto) char *folder = NULL;
	SL_AUTO(sl_free_auto) char *lock_path = NULL;
	SL_AUTO(sl_fd_auto) int lock = -1;
	struct stat found;
	sl_code code = place_of(name, "", &folder, err);
	code = code != SL_OK ? code : place_of(name, ".lock", &lock_path, err);
	if (code == SL_OK && lstat(folder, &found) != 0) {
		return sl_err_set(err, SL_NOT_FOUND, CONTEXT_NOT_FOUND, name);
	}
	code = code != SL_OK ? code : context_lock(name, &lock, err);
	code = code != SL_OK ? code : empty_folder(folder, err);
	if (code == SL_OK) {
		forget_current(name);
		(void)unlink(lock_path);
	}
	return code;
}
