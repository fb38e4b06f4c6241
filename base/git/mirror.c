/* The bare mirror on disk: open, keep what was fetched, sweep. */
#include "base/git/work_internal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/file/file.h"
#include "base/git/job_internal.h"

enum { SWEEP_DEPTH_MAX = 16, LOCK_TRIES = 100, LOCK_PAUSE_MS = 20 };

static int open_or_make(const char *path, bool make, git_repository **ret_repo)
{
	unsigned flags = GIT_REPOSITORY_OPEN_BARE | GIT_REPOSITORY_OPEN_NO_SEARCH;
	int rc = git_repository_open_ext(ret_repo, path, flags, NULL);
	if (rc != GIT_ENOTFOUND || !make) {
		return rc;
	}
	git_repository_init_options opts;
	(void)git_repository_init_options_init(&opts, GIT_REPOSITORY_INIT_OPTIONS_VERSION);
	opts.flags =
	    GIT_REPOSITORY_INIT_BARE | GIT_REPOSITORY_INIT_NO_REINIT | GIT_REPOSITORY_INIT_MKDIR;
	opts.initial_head = "main";
	return git_repository_init_ext(ret_repo, path, &opts);
}

enum git_failure mirror_open(struct work *work)
{
	int rc = open_or_make(work->job->mirror, job_makes_mirror(work->job->op), &work->repo);
	rc = rc != 0 ? rc : git_repository_odb(&work->odb, work->repo);
	rc = rc != 0 ? rc : loose_add(work->odb, work->job->mirror);
	return rc == 0 ? GIT_OK : work_fail_git(work, ERROR_MIRROR, rc, "open the mirror");
}

enum git_failure mirror_open_telling(struct work *work, const git_oid *have,
				     git_repository **ret_repo)
{
	static const char ref[] = "refs/heads/told";
	SL_AUTO(git_reference_free_auto) git_reference *told = NULL;
	char path[GIT_PATH_MAX + 16];
	(void)snprintf(path, sizeof(path), "%s/telling.git", work->job->mirror);
	int rc = open_or_make(path, true, ret_repo);
	rc = rc != 0 ? rc : git_repository_set_odb(*ret_repo, work->odb);
	if (rc == 0 && have != NULL) {
		rc = git_reference_create(&told, *ret_repo, ref, have, 1, NULL);
	} else if (rc == 0) {
		rc = git_reference_remove(*ret_repo, ref); /* also when there is none */
	}
	return rc == 0 ? GIT_OK
		       : work_fail_git(work, ERROR_MIRROR, rc, "note what the host is told of");
}

void mirror_close(struct work *work)
{
	git_odb_free(work->odb);
	git_repository_free(work->repo);
	work->odb = NULL;
	work->repo = NULL;
}

/* Looks for what is missing. What is there and odd (malformed, too deep, too much) is for the
 * bundle's rules to refuse, by name and for good. Trees can name each other so often that walking
 * them never ends: what is missing behind the last entry looked at, the checkout finds. */
struct look {
	git_odb *odb;
	uint64_t entries_left;
};

static bool has_tree(struct look *look, const git_oid *id, unsigned depth);

static bool has_entry(struct look *look, const struct tree_entry *entry, unsigned depth)
{
	git_oid id;
	(void)git_oid_fromraw(&id, entry->id);
	switch (entry->mode & S_IFMT) {
	case S_IFDIR:
		return depth >= JOB_DEPTH_MAX || has_tree(look, &id, depth + 1);
	case 0160000: /* a gitlink's commit lies elsewhere */
		return true;
	default:
		return git_odb_exists(look->odb, &id) == 1;
	}
}

static bool has_tree(struct look *look, const git_oid *id, unsigned depth)
{
	SL_AUTO(git_odb_object_free_auto) git_odb_object *object = NULL;
	if (look->entries_left == 0) {
		return true;
	}
	if (git_odb_read(&object, look->odb, id) != 0 ||
	    git_odb_object_type(object) != GIT_OBJECT_TREE) {
		return false;
	}
	struct sl_bytes rest = SL_BYTES(git_odb_object_data(object), git_odb_object_size(object));
	struct tree_entry entry;
	while (look->entries_left > 0 && tree_parse_next(&rest, &entry) == TREE_PARSE_ENTRY) {
		look->entries_left--;
		if (!has_entry(look, &entry, depth)) {
			return false;
		}
	}
	return true;
}

bool mirror_has_commit(struct work *work, const git_oid *id)
{
	SL_AUTO(git_commit_free_auto) git_commit *commit = NULL;
	return git_commit_lookup(&commit, work->repo, id) == 0;
}

bool mirror_has_whole(struct work *work, const git_oid *id)
{
	SL_AUTO(git_commit_free_auto) git_commit *commit = NULL;
	struct look look = {.odb = work->odb, .entries_left = 4 * work->job->limits.files};
	return git_commit_lookup(&commit, work->repo, id) == 0 &&
	       has_tree(&look, git_commit_tree_id(commit), 0);
}

static bool is_kept(struct work *work, const char *name, const git_oid *id)
{
	git_oid there;
	return git_reference_name_to_id(&there, work->repo, name) == 0 && git_oid_equal(&there, id);
}

enum git_failure mirror_keep(struct work *work, const git_oid *id)
{
	const struct timespec pause = {.tv_nsec = LOCK_PAUSE_MS * 1000000};
	char name[64];
	int rc = GIT_ELOCKED;
	(void)snprintf(name, sizeof(name), "refs/sluice/keep/%s", git_oid_tostr_s(id));
	for (int tries = 0; rc == GIT_ELOCKED && tries < LOCK_TRIES; tries++) {
		SL_AUTO(git_reference_free_auto) git_reference *kept = NULL;
		if (tries > 0) { /* another job on this mirror is just doing the same */
			(void)nanosleep(&pause, NULL);
		}
		if (is_kept(work, name, id)) {
			return GIT_OK;
		}
		rc = git_reference_create(&kept, work->repo, name, id, 1, NULL);
	}
	return rc == 0 ? GIT_OK
		       : work_fail_git(work, ERROR_MIRROR, rc, "keep the commit in the mirror");
}

/* --- what jobs that were cut off leave behind ---------------------------------------- */

/* One line, always of the same length, so that it is written over in one go. */
enum { HELD_BYTES = GIT_OID_TEXT + 4 };

static int open_held(const char *mirror, int flags)
{
	char path[GIT_PATH_MAX + 16];
	(void)snprintf(path, sizeof(path), "%s/sluice-held", mirror);
	return open(path, flags | O_CLOEXEC, 0600);
}

void mirror_note_held(struct work *work, const git_oid *commit, unsigned percent)
{
	char line[HELD_BYTES + 1];
	SL_AUTO(sl_fd_auto) int fd = open_held(work->job->mirror, O_WRONLY | O_CREAT);
	(void)snprintf(line, sizeof(line), "%s %3u\n", git_oid_tostr_s(commit), percent);
	if (fd >= 0) {
		(void)sl_file_write(fd, line, HELD_BYTES);
	}
}

unsigned git_mirror_held(const char *mirror, const char *commit)
{
	char line[HELD_BYTES + 1] = "";
	SL_AUTO(sl_fd_auto) int fd = open_held(mirror, O_RDONLY);
	if (fd < 0 || !sl_file_read(fd, line, HELD_BYTES) ||
	    strncmp(line, commit, GIT_OID_TEXT - 1) != 0) {
		return 0;
	}
	unsigned long percent = strtoul(line + GIT_OID_TEXT, NULL, 10);
	return percent > 100 ? 0 : (unsigned)percent;
}

/* --- what killed jobs leave behind ------------------------------------------------ */

static bool is_left_over(const char *name)
{
	static const char pack[] = "pack_git2_", lock[] = ".lock";
	size_t bytes = strlen(name), tail = sizeof(lock) - 1;
	return strncmp(name, pack, sizeof(pack) - 1) == 0 ||
	       strncmp(name, "tmp_object_git2_", 16) == 0 ||
	       (bytes > tail && strcmp(name + bytes - tail, lock) == 0);
}

static void sweep(int at, const char *name, unsigned depth)
{
	int fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0) {
		return;
	}
	SL_AUTO(sl_dir_auto) DIR *dir = fdopendir(fd);
	if (dir == NULL) {
		(void)close(fd);
		return;
	}
	for (struct dirent *entry = readdir(dir); entry != NULL; entry = readdir(dir)) {
		bool below = depth < SWEEP_DEPTH_MAX && entry->d_name[0] != '.';
		if (entry->d_type == DT_DIR && below) {
			sweep(fd, entry->d_name, depth + 1);
		}
		if (entry->d_type == DT_REG && is_left_over(entry->d_name)) {
			(void)unlinkat(fd, entry->d_name, 0);
		}
	}
}

void git_mirror_sweep(const char *mirror)
{
	sweep(AT_FDCWD, mirror, 0);
}
