/* folder: the files of a folder of this machine, as an app has them: whole paths, in no order.
 *
 * Links and special files are none, and the folder's own Git is not of the app. Names come from
 * whoever fills the folder: they are looked at by the worker. Needs no libgit2. Any thread. */
#ifndef SL_BASE_GIT_FOLDER_H
#define SL_BASE_GIT_FOLDER_H

#include <stdbool.h>
#include <sys/stat.h>

enum { GIT_FOLDER_DEPTH_MAX = 64, GIT_FOLDER_PATH_SIZE = 4096 };

enum git_folder_fault {
	GIT_FOLDER_FINE,
	GIT_FOLDER_LINK,
	GIT_FOLDER_SPECIAL,
	GIT_FOLDER_TOO_DEEP,
	GIT_FOLDER_UNREADABLE,
};

struct git_folder_walk {
	/* Called with each file; `fd` is open for reading, and borrowed. False ends the walk. */
	bool (*take)(void *ctx, const char *path, int fd, const struct stat *file);
	void *ctx;
	/* What ended it, unless take() did; for people. */
	enum git_folder_fault fault;
	char text[512];
};

/* Takes the descriptor. True: all files were taken. */
bool git_folder_walk(struct git_folder_walk *walk, int fd);

#endif
