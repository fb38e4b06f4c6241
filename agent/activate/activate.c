#include "agent/activate/activate.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "agent/activate/activate_internal.h"
#include "base/bytes/bytes.h"
#include "base/crypto/crypto.h"
#include "base/file/file.h"
#include "base/mem/own.h"

sl_code activate_io_error(struct sl_err *err, const char *doing, const char *path)
{
	int error = errno;
	bool full = error == ENOSPC || error == EDQUOT;
	return sl_err_set(err, full ? SL_RESOURCE_EXHAUSTED : SL_INTERNAL, "%s '%s': %s", doing,
			  path, strerror(error));
}

/* DIR is bounded at start, the rest by the rules for names. */
struct activate_path activate_path_of(const char *dir, const char *a, const char *b, const char *c)
{
	struct activate_path path;
	int length = snprintf(path.text, sizeof(path.text), "%s/%s%s%s%s%s", dir, a,
			      *b != '\0' ? "/" : "", b, *c != '\0' ? "/" : "", c);
	if (length < 0 || (size_t)length >= sizeof(path.text)) {
		abort(); /* another folder than the one meant must never be touched */
	}
	return path;
}

struct activate_path activate_app_path(const char *dir, const char *slug, const char *rest)
{
	return activate_path_of(dir, "apps", slug, rest);
}

sl_code activate_sync_dir(const char *path, struct sl_err *err)
{
	SL_AUTO(sl_fd_auto) int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 || fsync(fd) != 0 ? activate_io_error(err, "sync", path) : SL_OK;
}

/* Makes `path` in `parent` when it is missing, durably. */
static sl_code make_dir(const char *path, const char *parent, struct sl_err *err)
{
	if (mkdir(path, 0755) == 0) {
		return activate_sync_dir(parent, err);
	}
	return errno == EEXIST ? SL_OK : activate_io_error(err, "make", path);
}

sl_code activate_prepare(const char *dir, struct sl_err *err)
{
	static const char *const names[] = {"mirrors", "staging", "apps"};
	for (size_t i = 0; i < SL_COUNT(names); i++) {
		struct activate_path path = activate_path_of(dir, names[i], "", "");
		sl_code code = make_dir(path.text, dir, err);
		if (code != SL_OK) {
			return code;
		}
	}
	return SL_OK;
}

sl_code activate_prepare_app(const char *dir, const char *slug, struct sl_err *err)
{
	struct activate_path apps = activate_path_of(dir, "apps", "", "");
	struct activate_path app = activate_app_path(dir, slug, "");
	struct activate_path versions = activate_app_path(dir, slug, "versions");
	sl_code code = make_dir(app.text, apps.text, err);
	return code == SL_OK ? make_dir(versions.text, app.text, err) : code;
}

/* A name below staging that is not in use. */
static struct activate_path staging_path(const char *dir, const char *kind)
{
	uint8_t random[8];
	char hex[2 * sizeof(random) + 1], name[40];
	sl_random(random, sizeof(random));
	(void)snprintf(name, sizeof(name), "%s-%s", kind, sl_hex(hex, random, sizeof(random)));
	return activate_path_of(dir, "staging", name, "");
}

sl_code activate_stage(const char *dir, char ret_path[static ACTIVATE_PATH_SIZE],
		       struct sl_err *err)
{
	struct activate_path path = staging_path(dir, "new");
	if (mkdir(path.text, 0700) != 0) {
		return activate_io_error(err, "make", path.text);
	}
	memcpy(ret_path, path.text, sizeof(path.text));
	return SL_OK;
}

/* Somebody may have put a link in the folder's place while it was moved. */
static bool is_same(int fd, const char *path)
{
	struct stat mine, there;
	return fstat(fd, &mine) == 0 && lstat(path, &there) == 0 && mine.st_ino == there.st_ino &&
	       mine.st_dev == there.st_dev;
}

sl_code activate_place(const char *dir, const char *staged, const char *slug, const char *folder,
		       struct sl_err *err)
{
	sl_code code = activate_prepare_app(dir, slug, err);
	if (code != SL_OK) {
		return code;
	}
	struct activate_path versions = activate_app_path(dir, slug, "versions");
	struct activate_path place = activate_path_of(versions.text, folder, "", "");
	SL_AUTO(sl_fd_auto) int fd = open(staged, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	/* A folder that changes its parent must be writable to its owner. */
	if (fd < 0 || fchmod(fd, 0755) != 0) {
		return activate_io_error(err, "open up", staged);
	}
	if (renameat2(AT_FDCWD, staged, AT_FDCWD, place.text, RENAME_NOREPLACE) != 0) {
		return errno == EEXIST
			   ? sl_err_set(err, SL_ALREADY_EXISTS, "'%s' is there", place.text)
			   : activate_io_error(err, "place", place.text);
	}
	(void)fchmod(fd, 0555);
	if (!is_same(fd, place.text)) {
		return sl_err_set(err, SL_INTERNAL, "'%s' is not what was staged", place.text);
	}
	return activate_sync_dir(versions.text, err);
}

void activate_folder_path(const char *dir, const char *slug, const char *folder,
			  char ret_path[static ACTIVATE_PATH_SIZE])
{
	struct activate_path versions = activate_app_path(dir, slug, "versions");
	struct activate_path path = activate_path_of(versions.text, folder, "", "");
	memcpy(ret_path, path.text, sizeof(path.text));
}

/* What is there may be a link or a file by now: only a folder is opened up, to be moved. */
static sl_code exchange(const char *staged, const char *place, struct sl_err *err)
{
	SL_AUTO(sl_fd_auto)
	int there = open(place, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (there >= 0 && fchmod(there, 0755) != 0) {
		return activate_io_error(err, "open up", place);
	}
	int rc = renameat2(AT_FDCWD, staged, AT_FDCWD, place, RENAME_EXCHANGE);
	if (rc != 0 && errno == ENOENT) {
		rc = renameat2(AT_FDCWD, staged, AT_FDCWD, place, RENAME_NOREPLACE);
	}
	if (rc == 0) {
		return SL_OK;
	}
	return errno == EBUSY || errno == EXDEV
		   ? sl_err_set(err, SL_FAILED_PRECONDITION,
				"'%s' cannot be replaced: something is mounted there", place)
		   : activate_io_error(err, "replace", place);
}

sl_code activate_replace(const char *dir, const char *staged, const char *slug, const char *folder,
			 struct sl_err *err)
{
	struct activate_path versions = activate_app_path(dir, slug, "versions");
	struct activate_path place = activate_path_of(versions.text, folder, "", "");
	sl_code code = activate_prepare_app(dir, slug, err);
	SL_AUTO(sl_fd_auto) int fd = open(staged, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (code != SL_OK) {
		return code;
	}
	/* A folder that changes its parent must be writable to its owner. */
	if (fd < 0 || fchmod(fd, 0755) != 0) {
		return activate_io_error(err, "open up", staged);
	}
	code = exchange(staged, place.text, err);
	(void)fchmod(fd, 0555);
	if (code == SL_OK && !is_same(fd, place.text)) {
		code = sl_err_set(err, SL_INTERNAL, "'%s' is not what was staged", place.text);
	}
	return code == SL_OK ? activate_sync_dir(versions.text, err) : code;
}

static bool is_dir(const char *path)
{
	struct stat st;
	return lstat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

bool activate_has(const char *dir, const char *slug, const char *folder)
{
	struct activate_path versions = activate_app_path(dir, slug, "versions");
	return *folder != '\0' && is_dir(activate_path_of(versions.text, folder, "", "").text);
}

sl_code activate_flip(const char *dir, const char *slug, const char *folder, struct sl_err *err)
{
	struct activate_path app = activate_app_path(dir, slug, "");
	struct activate_path link = activate_app_path(dir, slug, "current");
	if (*folder == '\0') {
		if (unlink(link.text) != 0 && errno != ENOENT) {
			return activate_io_error(err, "remove", link.text);
		}
		return is_dir(app.text) ? activate_sync_dir(app.text, err) : SL_OK;
	}
	struct activate_path aside = activate_app_path(dir, slug, "current.new");
	char target[ACTIVATE_NAME_SIZE + 16];
	(void)snprintf(target, sizeof(target), "versions/%s", folder);
	if ((unlink(aside.text) != 0 && errno != ENOENT) || symlink(target, aside.text) != 0) {
		return activate_io_error(err, "make", aside.text);
	}
	if (rename(aside.text, link.text) != 0) {
		return activate_io_error(err, "flip", link.text);
	}
	return activate_sync_dir(app.text, err);
}

void activate_current(const char *dir, const char *slug, char ret_folder[static ACTIVATE_NAME_SIZE])
{
	static const char prefix[] = "versions/";
	struct activate_path link = activate_app_path(dir, slug, "current");
	char target[ACTIVATE_NAME_SIZE + sizeof(prefix)] = "";
	ssize_t length = readlink(link.text, target, sizeof(target) - 1);
	ret_folder[0] = '\0';
	const char *folder = target + sizeof(prefix) - 1;
	if (length < (ssize_t)sizeof(prefix) || strncmp(target, prefix, sizeof(prefix) - 1) != 0 ||
	    strchr(folder, '/') != NULL || strlen(folder) >= ACTIVATE_NAME_SIZE || *folder == '.' ||
	    !activate_has(dir, slug, folder)) {
		return;
	}
	memcpy(ret_folder, folder, strlen(folder) + 1);
}

bool activate_link_is(const char *dir, const char *slug, const char *folder)
{
	struct activate_path link = activate_app_path(dir, slug, "current");
	char target[ACTIVATE_NAME_SIZE + 16], want[ACTIVATE_NAME_SIZE + 16];
	int length = snprintf(want, sizeof(want), "versions/%s", folder);
	ssize_t got = readlink(link.text, target, sizeof(target));
	return got == length && memcmp(target, want, (size_t)length) == 0;
}

/* The move is durable before anybody forgets what was there. */
static sl_code to_trash(const char *dir, const char *path, const char *parent, struct sl_err *err)
{
	struct activate_path trash = staging_path(dir, "old");
	if (!is_dir(path)) { /* a file or a link is nobody's; what it leads to stays */
		return unlink(path) == 0 || errno == ENOENT
			   ? SL_OK
			   : activate_io_error(err, "discard", path);
	}
	if (chmod(path, 0755) != 0 || rename(path, trash.text) != 0) {
		return activate_io_error(err, "discard", path);
	}
	return activate_sync_dir(parent, err);
}

sl_code activate_discard(const char *dir, const char *slug, const char *folder, struct sl_err *err)
{
	struct activate_path versions = activate_app_path(dir, slug, "versions");
	struct activate_path path = activate_path_of(versions.text, folder, "", "");
	activate_config_remove(dir, slug, folder);
	return to_trash(dir, path.text, versions.text, err);
}

sl_code activate_discard_app(const char *dir, const char *slug, struct sl_err *err)
{
	struct activate_path apps = activate_path_of(dir, "apps", "", "");
	struct activate_path path = activate_app_path(dir, slug, "");
	activate_config_sweep(dir, slug, NULL, NULL);
	return to_trash(dir, path.text, apps.text, err);
}

void activate_mirror_path(const char *dir, const char *repository_id,
			  char ret_path[static ACTIVATE_PATH_SIZE])
{
	(void)snprintf(ret_path, ACTIVATE_PATH_SIZE, "%s/mirrors/%s.git", dir, repository_id);
}

sl_code activate_discard_mirror(const char *dir, const char *repository_id, struct sl_err *err)
{
	struct activate_path path, mirrors = activate_path_of(dir, "mirrors", "", "");
	activate_mirror_path(dir, repository_id, path.text);
	return to_trash(dir, path.text, mirrors.text, err);
}

sl_code activate_free_bytes(const char *dir, uint64_t *ret_bytes, struct sl_err *err)
{
	struct statvfs fs;
	if (statvfs(dir, &fs) != 0) {
		return activate_io_error(err, "look at the disk of", dir);
	}
	*ret_bytes = (uint64_t)fs.f_bavail * fs.f_frsize;
	return SL_OK;
}

/* --- working copies ---------------------------------------------------------------------- */

void activate_work_path(const char *dir, const char *slug, char ret_path[static ACTIVATE_PATH_SIZE])
{
	struct activate_path path = activate_app_path(dir, slug, "work");
	memcpy(ret_path, path.text, sizeof(path.text));
}

bool activate_has_work(const char *dir, const char *slug)
{
	return is_dir(activate_app_path(dir, slug, "work").text);
}

sl_code activate_set_work_aside(const char *dir, const char *slug, struct sl_err *err)
{
	struct activate_path app = activate_app_path(dir, slug, "");
	struct activate_path work = activate_app_path(dir, slug, "work"),
			     before = activate_app_path(dir, slug, "work.before");
	if (!is_dir(work.text)) {
		return SL_OK;
	}
	sl_code code = to_trash(dir, before.text, app.text, err);
	if (code == SL_OK && rename(work.text, before.text) != 0) {
		code = activate_io_error(err, "set aside", work.text);
	}
	return code != SL_OK ? code : activate_sync_dir(app.text, err);
}

sl_code activate_place_work(const char *dir, const char *staged, const char *slug,
			    struct sl_err *err)
{
	struct activate_path app = activate_app_path(dir, slug, ""),
			     work = activate_app_path(dir, slug, "work");
	sl_code code = activate_prepare_app(dir, slug, err);
	code = code != SL_OK ? code : activate_set_work_aside(dir, slug, err);
	if (code == SL_OK &&
	    renameat2(AT_FDCWD, staged, AT_FDCWD, work.text, RENAME_NOREPLACE) != 0) {
		code = activate_io_error(err, "place", work.text);
	}
	return code != SL_OK ? code : activate_sync_dir(app.text, err);
}

sl_code activate_save_work(const char *dir, const char *slug, struct sl_err *err)
{
	uint8_t random[4];
	char hex[2 * sizeof(random) + 1], name[ACTIVATE_NAME_SIZE * 2];
	struct activate_path work = activate_app_path(dir, slug, "work"),
			     saved = activate_path_of(dir, "saved", "", "");
	if (!is_dir(work.text)) {
		return SL_OK;
	}
	sl_random(random, sizeof(random));
	(void)snprintf(name, sizeof(name), "%s-%s", slug, sl_hex(hex, random, sizeof(random)));
	sl_code code = make_dir(saved.text, dir, err);
	if (code == SL_OK &&
	    rename(work.text, activate_path_of(dir, "saved", name, "").text) != 0) {
		code = activate_io_error(err, "save", work.text);
	}
	return code != SL_OK ? code : activate_sync_dir(saved.text, err);
}
