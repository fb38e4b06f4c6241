#include "base/git/spawn_internal.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <unistd.h>

#include "base/confine/confine.h"
#include "base/git/protocol_internal.h"

static int fill_actions(posix_spawn_file_actions_t *actions, int child_fd)
{
	int rc = posix_spawn_file_actions_addopen(actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
	rc = rc != 0 ? rc
		     : posix_spawn_file_actions_addopen(actions, STDOUT_FILENO, "/dev/null",
							O_WRONLY, 0);
	if (rc == 0 && !confine_is_sanitized()) { /* a sanitizer's report must be seen */
		rc = posix_spawn_file_actions_addopen(actions, STDERR_FILENO, "/dev/null", O_WRONLY,
						      0);
	}
	rc = rc != 0 ? rc : posix_spawn_file_actions_adddup2(actions, child_fd, PROTOCOL_FD);
	return rc != 0 ? rc : posix_spawn_file_actions_addclosefrom_np(actions, PROTOCOL_FD + 1);
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

int spawn_worker(int child_fd, pid_t *ret_pid)
{
	char *argv[] = {"sluice", "git-worker", NULL};
	char *env[] = {"MALLOC_ARENA_MAX=1", "HOME=/nonexistent", "PATH=/nonexistent", "LC_ALL=C",
		       NULL};
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attributes;
	int rc = posix_spawn_file_actions_init(&actions);
	if (rc != 0) {
		return rc;
	}
	rc = posix_spawnattr_init(&attributes);
	if (rc != 0) {
		(void)posix_spawn_file_actions_destroy(&actions);
		return rc;
	}
	rc = fill_actions(&actions, child_fd);
	rc = rc != 0 ? rc : fill_attributes(&attributes);
	rc =
	    rc != 0 ? rc : posix_spawn(ret_pid, "/proc/self/exe", &actions, &attributes, argv, env);
	(void)posix_spawnattr_destroy(&attributes);
	(void)posix_spawn_file_actions_destroy(&actions);
	return rc;
}
