#include "tests/lib/tmpdir.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

char *tmpdir_new(void)
{
	const char *base = getenv("TEST_TMPDIR"); /* set by bazel test */
	char *path = NULL;
	if (asprintf(&path, "%s/sl-XXXXXX", base != NULL ? base : "/tmp") < 0 ||
	    mkdtemp(path) == NULL) {
		abort();
	}
	return path;
}

static int open_up(const char *path, const struct stat *st, int kind, struct FTW *ftw)
{
	(void)st;
	(void)ftw;
	if (kind == FTW_D || kind == FTW_DNR) {
		(void)chmod(path, 0700); /* view-only folders */
	}
	return 0;
}

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *ftw)
{
	(void)st;
	(void)kind;
	(void)ftw;
	(void)remove(path);
	return 0;
}

void tmpdir_free(char *path)
{
	if (path == NULL) {
		return;
	}
	(void)nftw(path, open_up, 32, FTW_PHYS);
	(void)nftw(path, remove_one, 32, FTW_PHYS | FTW_DEPTH);
	free(path);
}
