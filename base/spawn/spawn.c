#include "base/spawn/spawn.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <unistd.h>

static int to_null(posix_spawn_file_actions_t *actions, int fd, int mode)
{
	return posix_spawn_file_actions_addopen(actions, fd, "/dev/null", mode, 0);
}

static int fill_actions(posix_spawn_file_actions_t *actions, const struct spawn_self *options)
{
	int rc = to_null(actions, STDIN_FILENO, O_RDONLY);
	rc = rc != 0 ? rc : to_null(actions, STDOUT_FILENO, O_WRONLY);
	if (rc == 0 && !options->keeps_stderr) {
		rc = to_null(actions, STDERR_FILENO, O_WRONLY);
	}
	rc = rc != 0 ? rc : posix_spawn_file_actions_adddup2(actions, options->fd, SPAWN_FD);
	return rc != 0 ? rc : posix_spawn_file_actions_addclosefrom_np(actions, SPAWN_FD + 1);
}

static int fill_attributes(posix_spawnattr_t *attributes)
{
	sigset_t all, none;
	(void)sigfillset(&all);
	(void)sigemptyset(&none);
	int rc = posix_spawnattr_setsigdefault(attributes, &all);
	rc = rc != 0 ? rc : posix_spawnattr_setsigmask(attributes, &none);
	return rc != 0 ? rc
		       : posix_spawnattr_setflags(attributes,
						  POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK);
}

static int spawn(const struct spawn_self *options, const posix_spawn_file_actions_t *actions,
		 const posix_spawnattr_t *attributes, pid_t *ret_pid)
{
	char *argv[] = {(char *)options->program, (char *)options->command, NULL};
	char preload[64];
	char *env[] = {"MALLOC_ARENA_MAX=1",
		       "HOME=/nonexistent",
		       "PATH=/nonexistent",
		       "LC_ALL=C",
		       options->library != NULL ? preload : NULL,
		       NULL};
	(void)snprintf(preload, sizeof(preload), "LD_PRELOAD=%s",
		       options->library != NULL ? options->library : "");
	return posix_spawn(ret_pid, "/proc/self/exe", actions, attributes, argv, env);
}

int spawn_self(const struct spawn_self *options, pid_t *ret_pid)
{
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attributes;
	int rc = posix_spawn_file_actions_init(&actions);
	if (rc != 0) {
		return rc;
	}
	rc = posix_spawnattr_init(&attributes);
	if (rc == 0) {
		rc = fill_actions(&actions, options);
		rc = rc != 0 ? rc : fill_attributes(&attributes);
		rc = rc != 0 ? rc : spawn(options, &actions, &attributes, ret_pid);
		(void)posix_spawnattr_destroy(&attributes);
	}
	(void)posix_spawn_file_actions_destroy(&actions);
	return rc;
}
