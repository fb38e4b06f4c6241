#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/mem/own.h"
#include "server/door/door_internal.h"

/* stderr stays: what the child has to complain of is for the operator. */
static int fill_actions(posix_spawn_file_actions_t *actions, int child_fd)
{
	int rc = posix_spawn_file_actions_addopen(actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
	rc = rc != 0 ? rc
		     : posix_spawn_file_actions_addopen(actions, STDOUT_FILENO, "/dev/null",
							O_WRONLY, 0);
	rc = rc != 0 ? rc : posix_spawn_file_actions_adddup2(actions, child_fd, DOOR_FD);
	return rc != 0 ? rc : posix_spawn_file_actions_addclosefrom_np(actions, DOOR_FD + 1);
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

/* Nothing of the parent's environment: it may name secrets. */
static int spawn(int child_fd, pid_t *ret_pid)
{
	char *argv[] = {"sluiced", "door", NULL};
	char *env[] = {"MALLOC_ARENA_MAX=1", "LC_ALL=C", NULL};
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attributes;
	int rc = posix_spawn_file_actions_init(&actions);
	if (rc != 0) {
		return rc;
	}
	rc = posix_spawnattr_init(&attributes);
	if (rc == 0) {
		rc = fill_actions(&actions, child_fd);
		rc = rc != 0 ? rc : fill_attributes(&attributes);
		rc = rc != 0
			 ? rc
			 : posix_spawn(ret_pid, "/proc/self/exe", &actions, &attributes, argv, env);
		(void)posix_spawnattr_destroy(&attributes);
	}
	(void)posix_spawn_file_actions_destroy(&actions);
	return rc;
}

sl_code door_spawn(struct door_child *ret_child, struct sl_err *err)
{
	int pair[2];
	struct door_child child = {.fd = -1, .pid_fd = -1};
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0) {
		return sl_err_set(err, SL_INTERNAL, "door: socket pair: %s", strerror(errno));
	}
	int rc = spawn(pair[1], &child.pid);
	(void)close(pair[1]);
	if (rc != 0) {
		(void)close(pair[0]);
		return sl_err_set(err, SL_INTERNAL, "door: start its process: %s", strerror(rc));
	}
	child.fd = pair[0];
	child.pid_fd = (int)syscall(SYS_pidfd_open, child.pid, 0);
	*ret_child = child;
	if (child.pid_fd < 0) {
		char how[64];
		int error = errno;
		door_child_end(ret_child, how, sizeof(how));
		return sl_err_set(err, SL_INTERNAL, "door: watch its process: %s", strerror(error));
	}
	return SL_OK;
}

void door_child_end(struct door_child *child, char *how, size_t how_size)
{
	int status = 0;
	if (child->pid <= 0) {
		(void)snprintf(how, how_size, "not started");
		return;
	}
	(void)kill(child->pid, SIGKILL);
	while (waitpid(child->pid, &status, 0) < 0 && errno == EINTR) {
	}
	bool signalled = WIFSIGNALED(status);
	(void)snprintf(how, how_size, "%s %d", signalled ? "signal" : "exit",
		       signalled ? WTERMSIG(status) : WEXITSTATUS(status));
	(void)close(child->fd);
	if (child->pid_fd >= 0) {
		(void)close(child->pid_fd);
	}
	*child = (struct door_child){.fd = -1, .pid_fd = -1};
}
