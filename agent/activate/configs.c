/* Config of versions: sets of files, each a version's by one rename. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/activate/activate_internal.h"
#include "base/crypto/crypto.h"
#include "base/failpoint/failpoint.h"
#include "base/file/file.h"
#include "base/mem/own.h"

enum { SET_NAME_SIZE = ACTIVATE_NAME_SIZE + 32 };

static struct activate_path configs_of(const char *dir, const char *slug)
{
	return activate_app_path(dir, slug, "configs");
}

void activate_config_path(const char *dir, const char *slug, const char *folder,
			  char ret_path[static ACTIVATE_PATH_SIZE])
{
	struct activate_path configs = configs_of(dir, slug);
	struct activate_path path = activate_path_of(configs.text, folder, "", "");
	memcpy(ret_path, path.text, sizeof(path.text));
}

/* --- making ---------------------------------------------------------------------------------- */

static sl_code make_private(const char *path, const char *parent, struct sl_err *err)
{
	if (mkdir(path, 0700) == 0) {
		return activate_sync_dir(parent, err);
	}
	return errno == EEXIST ? SL_OK : activate_io_error(err, "make", path);
}

sl_code activate_config_begin(const char *dir, const char *slug, const char *folder,
			      char ret_set[static ACTIVATE_PATH_SIZE], struct sl_err *err)
{
	uint8_t random[8];
	char hex[2 * sizeof(random) + 1], name[SET_NAME_SIZE];
	struct activate_path app = activate_app_path(dir, slug, "");
	struct activate_path configs = configs_of(dir, slug);
	sl_code code = activate_prepare_app(dir, slug, err);
	code = code == SL_OK ? make_private(configs.text, app.text, err) : code;
	if (code != SL_OK) {
		return code;
	}
	sl_random(random, sizeof(random));
	(void)snprintf(name, sizeof(name), ".%.63s-%s", folder,
		       sl_hex(hex, random, sizeof(random)));
	struct activate_path set = activate_path_of(configs.text, name, "", "");
	if (mkdir(set.text, 0700) != 0) {
		return activate_io_error(err, "make", set.text);
	}
	memcpy(ret_set, set.text, sizeof(set.text));
	return SL_OK;
}

/* The folder `name` below *fd, made when it is missing, in the place of *fd. */
static bool enter(int *fd, const char *name)
{
	bool made = mkdirat(*fd, name, 0700) == 0;
	if (!made && errno != EEXIST) {
		return false;
	}
	int next = openat(*fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (next < 0 || (made && fsync(*fd) != 0)) {
		sl_fd_auto(&next);
		return false;
	}
	(void)close(*fd);
	*fd = next;
	return true;
}

static bool write_in(int top, const char *path, struct sl_bytes data)
{
	char step[ACTIVATE_PATH_SIZE];
	SL_AUTO(sl_fd_auto) int parent = dup(top);
	const char *slash = NULL;
	while (parent >= 0 && (slash = strchr(path, '/')) != NULL) {
		sl_text_copy(step, (size_t)(slash - path) + 1, path);
		if (!enter(&parent, step)) {
			return false;
		}
		path = slash + 1;
	}
	SL_AUTO(sl_fd_auto)
	int fd = openat(parent, path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	return fd >= 0 && sl_file_write(fd, data.data, data.size) && fsync(fd) == 0 &&
	       fsync(parent) == 0;
}

sl_code activate_config_write(const char *set, const char *path, struct sl_bytes data,
			      struct sl_err *err)
{
	SL_AUTO(sl_fd_auto) int top = open(set, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return strlen(path) < ACTIVATE_PATH_SIZE && top >= 0 && write_in(top, path, data)
		   ? SL_OK
		   : activate_io_error(err, "write config", path);
}

sl_code activate_config_place(const char *dir, const char *slug, const char *folder,
			      const char *set, struct sl_err *err)
{
	char aside_name[ACTIVATE_NAME_SIZE + 8];
	struct activate_path configs = configs_of(dir, slug);
	(void)snprintf(aside_name, sizeof(aside_name), "%.63s.new", folder);
	struct activate_path aside = activate_path_of(configs.text, aside_name, "", "");
	struct activate_path link = activate_path_of(configs.text, folder, "", "");
	const char *target = strrchr(set, '/') + 1;
	SL_FAILPOINT("config-written");
	if ((unlink(aside.text) != 0 && errno != ENOENT) || symlink(target, aside.text) != 0) {
		return activate_io_error(err, "make", aside.text);
	}
	if (rename(aside.text, link.text) != 0) {
		return activate_io_error(err, "swap", link.text);
	}
	SL_FAILPOINT("config-swapped");
	return activate_sync_dir(configs.text, err);
}

/* --- looking --- */

/* What the version's link names; false: it is no set. */
static bool set_of(int configs, const char *folder, char name[static SET_NAME_SIZE])
{
	ssize_t length = readlinkat(configs, folder, name, SET_NAME_SIZE - 1);
	name[length < 0 ? 0 : length] = '\0';
	return name[0] == '.' && strchr(name, '/') == NULL && name[1] != '.' && name[1] != '\0';
}

static int open_configs(const char *dir, const char *slug)
{
	struct activate_path configs = configs_of(dir, slug);
	return open(configs.text, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

static int open_set(const char *dir, const char *slug, const char *folder)
{
	char name[SET_NAME_SIZE];
	SL_AUTO(sl_fd_auto) int configs = open_configs(dir, slug);
	return configs >= 0 && set_of(configs, folder, name)
		   ? openat(configs, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
		   : -1;
}

bool activate_config_has(const char *dir, const char *slug, const char *folder)
{
	SL_AUTO(sl_fd_auto) int set = *folder != '\0' ? open_set(dir, slug, folder) : -1;
	return set >= 0;
}

static bool has_bytes(int fd, struct sl_bytes data)
{
	uint8_t piece[4096];
	size_t at = 0;
	ssize_t got = 0;
	while ((got = read(fd, piece, sizeof(piece))) > 0) {
		if ((size_t)got > data.size - at ||
		    memcmp(piece, data.data + at, (size_t)got) != 0) {
			return false;
		}
		at += (size_t)got;
	}
	return got == 0 && at == data.size;
}

bool activate_config_is(const char *dir, const char *slug, const char *folder, const char *path,
			struct sl_bytes data)
{
	struct stat st;
	SL_AUTO(sl_fd_auto) int set = open_set(dir, slug, folder);
	SL_AUTO(sl_fd_auto) int fd = set < 0 ? -1 : openat(set, path, O_RDONLY | O_CLOEXEC);
	return fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode) &&
	       (st.st_mode & 0777) == 0600 && has_bytes(fd, data);
}

/* --- removing --- */

void activate_config_remove(const char *dir, const char *slug, const char *folder)
{
	char name[SET_NAME_SIZE];
	SL_AUTO(sl_fd_auto) int configs = open_configs(dir, slug);
	if (configs < 0) {
		return;
	}
	bool there = set_of(configs, folder, name);
	activate_remove_tree(configs, folder);
	if (there) {
		activate_remove_tree(configs, name);
	}
	(void)fsync(configs);
}

struct sweeping {
	bool (*is_wanted)(const char *folder, void *ctx);
	void *ctx;
};

/* Is the set named by the link of a version that is wanted? */
static bool is_used(int configs, const char *set, const struct sweeping *sweeping)
{
	char folder[SET_NAME_SIZE], name[SET_NAME_SIZE];
	const char *dash = strrchr(set, '-');
	if (dash == NULL || sweeping->is_wanted == NULL || (size_t)(dash - set) > sizeof(folder)) {
		return false;
	}
	sl_text_copy(folder, (size_t)(dash - set), set + 1);
	return sweeping->is_wanted(folder, sweeping->ctx) && set_of(configs, folder, name) &&
	       strcmp(name, set) == 0;
}

static bool is_kept(int configs, const char *name, const struct sweeping *sweeping)
{
	char set[SET_NAME_SIZE];
	if (name[0] == '.') {
		return is_used(configs, name, sweeping);
	}
	return set_of(configs, name, set) && is_used(configs, set, sweeping);
}

/* Links first: whoever finds one finds its set. */
static void sweep(DIR *configs, const struct sweeping *sweeping, bool links)
{
	rewinddir(configs);
	for (const struct dirent *entry = readdir(configs); entry != NULL;
	     entry = readdir(configs)) {
		const char *name = entry->d_name;
		bool dots = strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
		if (!dots && links == (name[0] != '.') &&
		    !is_kept(dirfd(configs), name, sweeping)) {
			activate_remove_tree(dirfd(configs), name);
		}
	}
}

void activate_config_sweep(const char *dir, const char *slug,
			   bool (*is_wanted)(const char *folder, void *ctx), void *ctx)
{
	const struct sweeping sweeping = {.is_wanted = is_wanted, .ctx = ctx};
	struct activate_path path = configs_of(dir, slug);
	SL_AUTO(sl_dir_auto) DIR *configs = opendir(path.text);
	if (configs != NULL) {
		sweep(configs, &sweeping, true);
		sweep(configs, &sweeping, false);
	}
}
