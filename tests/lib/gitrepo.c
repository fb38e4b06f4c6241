#include "tests/lib/gitrepo.h"

#include <fcntl.h>
#include <libgen.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { ARGS_MAX = 32 };

static void die(const char *what)
{
	(void)fprintf(stderr, "gitrepo: %s\n", what);
	abort();
}

static void write_whole(const char *path, const void *data, size_t size)
{
	FILE *file = fopen(path, "wbe");
	if (file == NULL || fwrite(data, 1, size, file) != size || fclose(file) != 0) {
		die(path);
	}
}

static void read_whole(int fd, char *out, size_t room)
{
	size_t used = 0;
	ssize_t got = 0;
	(void)lseek(fd, 0, SEEK_SET);
	while (used + 1 < room && (got = read(fd, out + used, room - used - 1)) > 0) {
		used += (size_t)got;
	}
	while (used > 0 && out[used - 1] == '\n') {
		used--;
	}
	out[used] = '\0';
}

static void run(char **argv, int in, int out)
{
	char *env[] = {"GIT_CONFIG_NOSYSTEM=1",
		       "GIT_CONFIG_GLOBAL=/dev/null",
		       "HOME=/nonexistent",
		       "LC_ALL=C",
		       "PATH=/usr/local/bin:/usr/bin:/bin",
		       "GIT_AUTHOR_NAME=Ada Lovelace",
		       "GIT_AUTHOR_EMAIL=ada@example.org",
		       "GIT_COMMITTER_NAME=Ada Lovelace",
		       "GIT_COMMITTER_EMAIL=ada@example.org",
		       "GIT_TERMINAL_PROMPT=0",
		       NULL};
	posix_spawn_file_actions_t actions;
	pid_t pid = 0;
	int status = 0;
	if (posix_spawn_file_actions_init(&actions) != 0 ||
	    posix_spawn_file_actions_adddup2(&actions, in, 0) != 0 ||
	    posix_spawn_file_actions_adddup2(&actions, out, 1) != 0 ||
	    posix_spawn(&pid, "/usr/bin/git", &actions, NULL, argv, env) != 0 ||
	    waitpid(pid, &status, 0) != pid) {
		die("cannot run git");
	}
	(void)posix_spawn_file_actions_destroy(&actions);
	if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
		die(argv[3]);
	}
}

static int scratch(const void *data, size_t size)
{
	FILE *file = tmpfile();
	if (file == NULL || (size > 0 && fwrite(data, 1, size, file) != size) ||
	    fflush(file) != 0) {
		die("no scratch file");
	}
	int fd = dup(fileno(file));
	(void)fclose(file);
	(void)lseek(fd, 0, SEEK_SET);
	return fd;
}

static void feed(const char *dir, int in, char *out, size_t room, va_list args)
{
	char *argv[ARGS_MAX] = {"git", "-C", (char *)(size_t)dir};
	for (size_t i = 3; i < ARGS_MAX && (argv[i] = va_arg(args, char *)) != NULL; i++) {
	}
	int result = scratch("", 0);
	run(argv, in, result);
	if (out != NULL) {
		read_whole(result, out, room);
	}
	(void)close(result);
	(void)close(in);
}

void gitrepo_git(const char *dir, char *out, size_t room, ...)
{
	va_list args;
	va_start(args, room);
	feed(dir, scratch("", 0), out, room, args);
	va_end(args);
}

void gitrepo_feed(const char *dir, const void *data, size_t size, char *out, size_t room, ...)
{
	va_list args;
	va_start(args, room);
	feed(dir, scratch(data, size), out, room, args);
	va_end(args);
}

void gitrepo_init(struct gitrepo *repo, const char *dir)
{
	(void)snprintf(repo->work, sizeof(repo->work), "%s/work", dir);
	(void)snprintf(repo->bare, sizeof(repo->bare), "%s/origin.git", dir);
	gitrepo_git(dir, NULL, 0, "init", "-q", "-b", "main", repo->work, NULL);
	gitrepo_git(dir, NULL, 0, "init", "-q", "--bare", "-b", "main", repo->bare, NULL);
	gitrepo_git(repo->work, NULL, 0, "remote", "add", "origin", repo->bare, NULL);
}

void gitrepo_write(const struct gitrepo *repo, const char *path, const void *data, size_t size)
{
	char full[1024];
	(void)snprintf(full, sizeof(full), "%s/%s", repo->work, path);
	for (char *slash = strchr(full + strlen(repo->work) + 1, '/'); slash != NULL;
	     slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		(void)mkdir(full, 0755);
		*slash = '/';
	}
	write_whole(full, data, size);
}

void gitrepo_text(const struct gitrepo *repo, const char *path, const char *text)
{
	gitrepo_write(repo, path, text, strlen(text));
}

void gitrepo_commit(const struct gitrepo *repo, const char *message, char *ret_commit)
{
	gitrepo_git(repo->work, NULL, 0, "add", "-A", NULL);
	gitrepo_git(repo->work, NULL, 0, "commit", "-q", "--allow-empty", "-m", message, NULL);
	gitrepo_git(repo->work, NULL, 0, "push", "-q", "origin", "HEAD", NULL);
	if (ret_commit != NULL) {
		gitrepo_git(repo->work, ret_commit, 41, "rev-parse", "HEAD", NULL);
	}
}

void gitrepo_others(const struct gitrepo *repo, unsigned commits)
{
	gitrepo_git(repo->work, NULL, 0, "checkout", "-q", "--orphan", "others", NULL);
	gitrepo_git(repo->work, NULL, 0, "rm", "-qrf", ".", NULL);
	for (unsigned i = 0; i < commits; i++) {
		gitrepo_git(repo->work, NULL, 0, "commit", "-q", "--allow-empty", "-m", "Other",
			    NULL);
	}
	gitrepo_git(repo->work, NULL, 0, "push", "-q", "origin", "others", NULL);
	gitrepo_git(repo->work, NULL, 0, "checkout", "-q", "main", NULL);
}

static unsigned nibble(char c)
{
	return c <= '9' ? (unsigned)(c - '0') : (unsigned)(c - 'a' + 10);
}

size_t gitrepo_entry(unsigned char *tree, size_t at, const char *mode, const void *name,
		     size_t name_bytes, const char *oid)
{
	size_t mode_bytes = strlen(mode);
	memcpy(tree + at, mode, mode_bytes);
	at += mode_bytes;
	tree[at++] = ' ';
	memcpy(tree + at, name, name_bytes);
	at += name_bytes;
	tree[at++] = '\0';
	for (size_t i = 0; i < 20; i++) {
		tree[at++] = (unsigned char)(nibble(oid[2 * i]) << 4 | nibble(oid[2 * i + 1]));
	}
	return at;
}

void gitrepo_raw_commit(const char *bare, const unsigned char *tree, size_t size, const char *ref,
			char *ret_commit)
{
	char id[64], commit[64];
	gitrepo_feed(bare, tree, size, id, sizeof(id), "hash-object", "-w", "-t", "tree",
		     "--literally", "--stdin", NULL);
	gitrepo_git(bare, commit, sizeof(commit), "commit-tree", "-m", "raw", id, NULL);
	gitrepo_git(bare, NULL, 0, "update-ref", ref, commit, NULL);
	memcpy(ret_commit, commit, 41);
}
