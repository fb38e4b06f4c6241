#include "base/git/folder.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static bool walk_folder(struct git_folder_walk *walk, int fd, const char *path, unsigned depth);

static bool end(struct git_folder_walk *walk, enum git_folder_fault fault, const char *path,
		const char *why)
{
	walk->fault = fault;
	(void)snprintf(walk->text, sizeof(walk->text), "'%.300s' %s", path, why);
	return false;
}

static bool unreadable(struct git_folder_walk *walk, const char *path)
{
	char why[128];
	(void)snprintf(why, sizeof(why), "cannot be read: %s", strerror(errno));
	return end(walk, GIT_FOLDER_UNREADABLE, path, why);
}

/* Takes the descriptor. */
static bool walk_open(struct git_folder_walk *walk, int fd, const char *path, unsigned depth)
{
	struct stat file;
	bool known = fstat(fd, &file) == 0;
	if (known && S_ISDIR(file.st_mode)) {
		return walk_folder(walk, fd, path, depth + 1);
	}
	bool fine = known ? S_ISREG(file.st_mode) : unreadable(walk, path);
	if (known && !fine) {
		(void)end(walk, GIT_FOLDER_SPECIAL, path, "is neither a file nor a folder");
	}
	fine = fine && walk->take(walk->ctx, path, fd, &file);
	(void)close(fd);
	return fine;
}

static bool walk_entry(struct git_folder_walk *walk, int at, const char *name, const char *path,
		       unsigned depth)
{
	int fd = openat(at, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
	if (fd >= 0) {
		return walk_open(walk, fd, path, depth);
	}
	return errno == ELOOP ? end(walk, GIT_FOLDER_LINK, path, "is a link: an app has none")
			      : unreadable(walk, path);
}

static bool is_skipped(const char *folder, const char *name)
{
	return strcmp(name, ".") == 0 || strcmp(name, "..") == 0 ||
	       (folder[0] == '\0' && strcmp(name, ".git") == 0);
}

/* Takes the descriptor. */
static bool walk_folder(struct git_folder_walk *walk, int fd, const char *path, unsigned depth)
{
	DIR *dir = depth < GIT_FOLDER_DEPTH_MAX ? fdopendir(fd) : NULL;
	bool fine = dir != NULL;
	if (!fine) {
		(void)close(fd);
		return depth < GIT_FOLDER_DEPTH_MAX
			   ? unreadable(walk, path)
			   : end(walk, GIT_FOLDER_TOO_DEEP, path, "is too deep");
	}
	for (struct dirent *entry = readdir(dir); fine && entry != NULL; entry = readdir(dir)) {
		char full[GIT_FOLDER_PATH_SIZE];
		int bytes = snprintf(full, sizeof(full), "%s%s%s", path, path[0] == '\0' ? "" : "/",
				     entry->d_name);
		if (is_skipped(path, entry->d_name)) {
			continue;
		}
		fine = bytes < (int)sizeof(full)
			   ? walk_entry(walk, dirfd(dir), entry->d_name, full, depth)
			   : end(walk, GIT_FOLDER_TOO_DEEP, path, "has a path that is too long");
	}
	(void)closedir(dir);
	return fine;
}

bool git_folder_walk(struct git_folder_walk *walk, int fd)
{
	walk->fault = GIT_FOLDER_FINE;
	walk->text[0] = '\0';
	return walk_folder(walk, fd, "", 0);
}
