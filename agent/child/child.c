#include "agent/child/child.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock/clock.h"
#include "base/mem/own.h"

extern char **environ;

struct child {
	pid_t pid; /* 0: reaped */
	int fd;    /* pidfd */
	uint64_t limit_ms;
	uint64_t deadline_ms; /* monotonic */
};

SL_DEFINE_AUTO(struct child *, child_free);

static size_t count(const char *const *list)
{
	size_t n = 0;
	while (list != NULL && list[n] != NULL) {
		n++;
	}
	return n;
}

static bool is_added(const char *variable, const char *const *added)
{
	size_t name = strcspn(variable, "=") + 1;
	for (size_t i = 0; added != NULL && added[i] != NULL; i++) {
		if (strncmp(added[i], variable, name) == 0) {
			return true;
		}
	}
	return false;
}

/* What is added wins over the agent's own of the same name. The texts are borrowed. */
static char **merge_env(const char *const *added)
{
	size_t mine = count(added), theirs = count((const char *const *)environ);
	char **env = calloc(mine + theirs + 1, sizeof(*env));
	for (size_t i = 0; env != NULL && i < mine; i++) {
		env[i] = (char *)(uintptr_t)added[i];
	}
	size_t at = mine;
	for (size_t i = 0; env != NULL && i < theirs; i++) {
		if (!is_added(environ[i], added)) {
			env[at++] = environ[i];
		}
	}
	return env;
}

/* Signals as a fresh program expects them; the agent blocks some of them. */
static void set_attributes(posix_spawnattr_t *attr)
{
	sigset_t none, all;
	(void)sigemptyset(&none);
	(void)sigfillset(&all);
	(void)posix_spawnattr_setsigmask(attr, &none);
	(void)posix_spawnattr_setsigdefault(attr, &all);
	(void)posix_spawnattr_setpgroup(attr, 0);
	(void)posix_spawnattr_setflags(attr, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF |
						 POSIX_SPAWN_SETPGROUP);
}

static int spawn(const struct child_options *options, char **env, pid_t *ret_pid)
{
	posix_spawnattr_t attr;
	posix_spawn_file_actions_t actions;
	int rc = posix_spawnattr_init(&attr);
	if (rc != 0) {
		return rc;
	}
	rc = posix_spawn_file_actions_init(&actions);
	if (rc == 0) {
		set_attributes(&attr);
		rc = posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", 0, 0);
		rc = rc != 0 ? rc : posix_spawn_file_actions_adddup2(&actions, 2, 1);
		rc = rc != 0 ? rc : posix_spawn_file_actions_addclosefrom_np(&actions, 3);
		rc = rc != 0 ? rc
			     : posix_spawnp(ret_pid, options->argv[0], &actions, &attr,
					    (char *const *)(uintptr_t)options->argv, env);
		(void)posix_spawn_file_actions_destroy(&actions);
	}
	(void)posix_spawnattr_destroy(&attr);
	return rc;
}

sl_code child_start(const struct child_options *options, struct child **ret_child,
		    struct sl_err *err)
{
	SL_AUTO(child_free_auto) struct child *child = calloc(1, sizeof(*child));
	SL_AUTO(sl_free_auto) char **env = merge_env(options->env);
	if (child == NULL || env == NULL) {
		return sl_err_no_memory(err);
	}
	child->fd = -1;
	int rc = spawn(options, env, &child->pid);
	if (rc != 0) {
		child->pid = 0;
		return sl_err_set(err, SL_INTERNAL, "run '%s': %s", options->argv[0], strerror(rc));
	}
	child->limit_ms = options->deadline_ms;
	child->deadline_ms = sl_clock_mono_ms() + options->deadline_ms;
	child->fd = (int)syscall(SYS_pidfd_open, child->pid, 0); /* close-on-exec by itself */
	if (child->fd < 0) {
		return sl_err_set(err, SL_INTERNAL, "watch '%s': %s", options->argv[0],
				  strerror(errno));
	}
	*ret_child = SL_TAKE(child);
	return SL_OK;
}

int child_fd(const struct child *child)
{
	return child->fd;
}

uint64_t child_deadline_mono_ms(const struct child *child)
{
	return child->deadline_ms;
}

static int reap(struct child *child)
{
	int status = 0;
	while (waitpid(child->pid, &status, 0) < 0 && errno == EINTR) {
	}
	child->pid = 0;
	return status;
}

static bool has_ended(const struct child *child)
{
	struct pollfd end = {.fd = child->fd, .events = POLLIN};
	return poll(&end, 1, 0) == 1;
}

bool child_step(struct child *child, bool *ret_ok, char *why, size_t why_size)
{
	bool ended = has_ended(child);
	if (!ended && sl_clock_mono_ms() < child->deadline_ms) {
		return false;
	}
	/* What it left behind in its group goes with it. */
	(void)kill(-child->pid, SIGKILL);
	int status = reap(child);
	*ret_ok = ended && WIFEXITED(status) && WEXITSTATUS(status) == 0;
	if (!ended) {
		(void)snprintf(why, why_size, "killed after %llu ms",
			       (unsigned long long)child->limit_ms);
	} else if (WIFSIGNALED(status)) {
		(void)snprintf(why, why_size, "ended by signal %d", WTERMSIG(status));
	} else {
		(void)snprintf(why, why_size, "exit status %d", WEXITSTATUS(status));
	}
	return true;
}

void child_free(struct child *child)
{
	if (child == NULL) {
		return;
	}
	if (child->pid > 0) {
		(void)kill(-child->pid, SIGKILL);
		(void)reap(child);
	}
	if (child->fd >= 0) {
		(void)close(child->fd);
	}
	free(child);
}
