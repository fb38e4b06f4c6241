#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/spawn/spawn.h"
#include "server/door/door_internal.h"

sl_code door_spawn(struct door_child *ret_child, struct sl_err *err)
{
	int pair[2];
	struct door_child child = {.fd = -1, .pid_fd = -1, .hatch = {.fd = -1}};
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0) {
		return sl_err_set(err, SL_INTERNAL, "door: socket pair: %s", strerror(errno));
	}
	/* What the child has to complain of is for the operator. */
	const struct spawn_self spawn = {
	    .program = "sluiced", .command = "door", .fd = pair[1], .keeps_stderr = true};
	int rc = spawn_self(&spawn, &child.pid);
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
	if (child->hatch.fd >= 0) {
		(void)close(child->hatch.fd);
	}
	*child = (struct door_child){.fd = -1, .pid_fd = -1, .hatch = {.fd = -1}};
}
