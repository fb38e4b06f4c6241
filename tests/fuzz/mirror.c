#include "tests/fuzz/mirror.h"

#include <stdio.h>
#include <stdlib.h>

#include "tests/lib/tmpdir.h"

enum { FRESH_AFTER = 500 };

static struct fuzz_mirror mirror;

static void expect(int holds)
{
	if (!holds) {
		abort();
	}
}

static void end(void)
{
	git_odb_free(mirror.odb);
	git_repository_free(mirror.repo);
	tmpdir_free(mirror.home);
	mirror.home = NULL;
}

const struct fuzz_mirror *fuzz_mirror_begin(void)
{
	static unsigned inputs;
	if (mirror.home == NULL && inputs == 0) {
		expect(git_libgit2_init() > 0 && atexit(end) == 0);
	}
	if (inputs++ % FRESH_AFTER != 0) {
		return &mirror;
	}
	end();
	mirror.home = tmpdir_new();
	size_t room = sizeof(mirror.file);
	expect(snprintf(mirror.file, room, "%s/input", mirror.home) < (int)room &&
	       snprintf(mirror.folder, room, "%s/a.git", mirror.home) < (int)room);
	expect(git_repository_init(&mirror.repo, mirror.folder, 1) == 0 &&
	       git_repository_odb(&mirror.odb, mirror.repo) == 0);
	return &mirror;
}
