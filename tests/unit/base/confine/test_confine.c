/* What a confined process can no longer do. Each case runs in a child of its own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/confine/confine.h"
#include "base/mem/own.h"
#include "tests/lib/listener.h"
#include "tests/lib/tmpdir.h"

enum { FINE = 0, WRONG = 1, NOT_CONFINED = 2, NO_LANDLOCK = 3 };

struct fixture {
	char *dir; /* owned: inside/, inside/f, outside/, outside/f */
	char inside[400], outside[400], in_file[420], out_file[420];
};

static void write_text(const char *path)
{
	FILE *file = fopen(path, "we");
	assert_non_null(file);
	assert_true(fputs("text", file) >= 0);
	assert_int_equal(fclose(file), 0);
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	assert_non_null(f);
	f->dir = tmpdir_new();
	(void)snprintf(f->inside, sizeof(f->inside), "%s/inside", f->dir);
	(void)snprintf(f->outside, sizeof(f->outside), "%s/outside", f->dir);
	(void)snprintf(f->in_file, sizeof(f->in_file), "%s/f", f->inside);
	(void)snprintf(f->out_file, sizeof(f->out_file), "%s/f", f->outside);
	assert_int_equal(mkdir(f->inside, 0755), 0);
	assert_int_equal(mkdir(f->outside, 0755), 0);
	write_text(f->in_file);
	write_text(f->out_file);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	tmpdir_free(f->dir);
	free(f);
	return 0;
}

/* Runs it in a child; returns its exit status, or minus the signal that ended it. */
static int in_child(int (*run)(const struct fixture *f), const struct fixture *f)
{
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		_exit(run(f));
	}
	int status = 0;
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}

static bool opens(const char *path, int flags)
{
	int fd = open(path, flags | O_CLOEXEC, 0600);
	if (fd >= 0) {
		(void)close(fd);
	}
	return fd >= 0;
}

static int reach(const struct fixture *f, enum confine_right right)
{
	const struct confine_path paths[] = {{f->inside, right},
					     {"/nonexistent/at/all", CONFINE_WRITE}};
	int version = 0;
	if (confine_basics(NULL) != SL_OK ||
	    confine_reach(paths, SL_COUNT(paths), NULL, 0, &version, NULL) != SL_OK) {
		return NOT_CONFINED;
	}
	return version == 0 ? NO_LANDLOCK : FINE;
}

static int read_only(const struct fixture *f)
{
	char more[440];
	(void)snprintf(more, sizeof(more), "%s/new", f->inside);
	int rc = reach(f, CONFINE_READ);
	if (rc != FINE) {
		return rc;
	}
	bool fine = opens(f->in_file, O_RDONLY) && !opens(f->in_file, O_WRONLY) &&
		    !opens(more, O_WRONLY | O_CREAT) && unlink(f->in_file) != 0 &&
		    !opens(f->out_file, O_RDONLY) && !opens("/etc/passwd", O_RDONLY);
	return fine ? FINE : WRONG;
}

static int read_write(const struct fixture *f)
{
	char more[440], away[440], link[440];
	(void)snprintf(more, sizeof(more), "%s/new", f->inside);
	(void)snprintf(away, sizeof(away), "%s/new", f->outside);
	(void)snprintf(link, sizeof(link), "%s/link", f->inside);
	int rc = reach(f, CONFINE_WRITE);
	if (rc != FINE) {
		return rc;
	}
	bool fine = opens(more, O_WRONLY | O_CREAT) && unlink(more) == 0 &&
		    !opens(away, O_WRONLY | O_CREAT) && !opens(f->out_file, O_WRONLY) &&
		    !opens("/etc/passwd", O_RDONLY) && unlink(f->out_file) != 0 &&
		    rename(f->in_file, away) != 0;
	/* A link leads nowhere that was out of reach before. */
	fine = fine && symlink(f->out_file, link) == 0 && !opens(link, O_RDONLY);
	return fine ? FINE : WRONG;
}

static int descriptors_stay(const struct fixture *f)
{
	char text[8];
	int fd = open(f->out_file, O_RDONLY | O_CLOEXEC);
	int rc = reach(f, CONFINE_READ);
	return rc != FINE ? rc : read(fd, text, sizeof(text)) == 4 ? FINE : WRONG;
}

static bool connects(uint16_t port)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	bool connected = connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0;
	(void)close(fd);
	return connected;
}

static int ports(const struct fixture *f)
{
	(void)f;
	uint16_t one = 0, other = 0;
	int version = 0;
	(void)listener_open(8, &one); /* until the process ends */
	(void)listener_open(8, &other);
	if (confine_basics(NULL) != SL_OK ||
	    confine_reach(NULL, 0, &one, 1, &version, NULL) != SL_OK) {
		return NOT_CONFINED;
	}
	if (version < 4) {
		return NO_LANDLOCK;
	}
	struct sockaddr_in any = {.sin_family = AF_INET};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	bool fine = connects(one) && !connects(other) &&
		    bind(fd, (struct sockaddr *)&any, sizeof(any)) != 0;
	return fine ? FINE : WRONG;
}

static int calls_of_files(void)
{
	return confine_basics(NULL) == SL_OK && confine_calls(CONFINE_CALLS_FILES, NULL) == SL_OK
		   ? FINE
		   : NOT_CONFINED;
}

static int run_program(const struct fixture *f)
{
	(void)f;
	if (calls_of_files() != FINE) {
		return NOT_CONFINED;
	}
	(void)execl("/bin/true", "true", NULL);
	return WRONG;
}

static int make_socket(const struct fixture *f)
{
	(void)f;
	if (calls_of_files() != FINE) {
		return NOT_CONFINED;
	}
	(void)socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	return WRONG;
}

static int make_process(const struct fixture *f)
{
	(void)f;
	if (calls_of_files() != FINE) {
		return NOT_CONFINED;
	}
	(void)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
	return WRONG;
}

static int trace_other(const struct fixture *f)
{
	(void)f;
	if (calls_of_files() != FINE) {
		return NOT_CONFINED;
	}
	(void)ptrace(PTRACE_ATTACH, getpid(), NULL, NULL);
	return WRONG;
}

static int open_file(const struct fixture *f)
{
	if (confine_basics(NULL) != SL_OK || confine_calls(0, NULL) != SL_OK) {
		return NOT_CONFINED;
	}
	(void)opens(f->in_file, O_RDONLY);
	return WRONG;
}

static void *set_flag(void *flag)
{
	*(int *)flag = 1;
	return NULL;
}

static int still_works(const struct fixture *f)
{
	pthread_t thread;
	int flag = 0;
	if (calls_of_files() != FINE) {
		return NOT_CONFINED;
	}
	bool fine = opens(f->in_file, O_RDONLY) &&
		    pthread_create(&thread, NULL, set_flag, &flag) == 0 &&
		    pthread_join(thread, NULL) == 0 && flag == 1;
	return fine ? FINE : WRONG;
}

static int limits(const struct fixture *f)
{
	(void)f;
	const struct confine_limits low = {.file_bytes = 1000, .cpu_s = 9, .open_files = 20};
	const struct confine_limits high = {.file_bytes = 100000, .open_files = 4000};
	struct rlimit file, cpu, core, files;
	if (confine_basics(NULL) != SL_OK || confine_limits(&low, NULL) != SL_OK ||
	    confine_limits(&high, NULL) != SL_OK) {
		return NOT_CONFINED;
	}
	(void)getrlimit(RLIMIT_FSIZE, &file);
	(void)getrlimit(RLIMIT_CPU, &cpu);
	(void)getrlimit(RLIMIT_CORE, &core);
	(void)getrlimit(RLIMIT_NOFILE, &files);
	bool fine = file.rlim_max == 1000 && cpu.rlim_max == 9 && core.rlim_max == 0 &&
		    files.rlim_max == 20 && prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1 &&
		    prctl(PR_GET_DUMPABLE) == 0;
	return fine ? FINE : WRONG;
}

static int memory(const struct fixture *f)
{
	(void)f;
	const struct confine_limits low = {.address_bytes = 64u << 20};
	if (confine_is_sanitized()) {
		return FINE;
	}
	if (confine_limits(&low, NULL) != SL_OK) {
		return NOT_CONFINED;
	}
	void *volatile big = malloc(256u << 20);
	return big == NULL ? FINE : WRONG;
}

/* What a sanitizer does before it writes its report. */
static int ask_for_terminal(const struct fixture *f)
{
	(void)f;
	if (!confine_is_sanitized()) {
		return FINE;
	}
	if (calls_of_files() != FINE) {
		return NOT_CONFINED;
	}
	(void)isatty(STDERR_FILENO);
	return FINE;
}

/* The confined one must end when the thread that made it does. */
static int orphan(const struct fixture *f)
{
	(void)f;
	int pipes[2];
	char byte = 0;
	if (pipe(pipes) != 0) {
		return NOT_CONFINED;
	}
	pid_t middle = fork();
	if (middle == 0) {
		pid_t child = fork();
		if (child == 0) {
			(void)!confine_basics(NULL);
			(void)!write(pipes[1], "x", 1);
			(void)pause();
			_exit(0);
		}
		(void)!read(pipes[0], &byte, 1); /* it is confined now */
		_exit(0);
	}
	(void)waitpid(middle, NULL, 0);
	(void)close(pipes[1]);
	/* Its copy of the write end goes with it. */
	return read(pipes[0], &byte, 1) == 0 ? FINE : WRONG;
}

static void test_confine_binds(void **state)
{
	const struct {
		const char *name;
		int (*run)(const struct fixture *f);
		int want;
	} rows[] = {
	    {"read only", read_only, FINE},
	    {"read and write", read_write, FINE},
	    {"open descriptors stay", descriptors_stay, FINE},
	    {"ports", ports, FINE},
	    {"run a program", run_program, -SIGSYS},
	    {"make a socket", make_socket, -SIGSYS},
	    {"make a process", make_process, -SIGSYS},
	    {"trace", trace_other, -SIGSYS},
	    {"open a file", open_file, -SIGSYS},
	    {"files and threads", still_works, FINE},
	    {"limits", limits, FINE},
	    {"memory", memory, FINE},
	    {"a sanitizer's report", ask_for_terminal, FINE},
	    {"dies with its parent", orphan, FINE},
	};
	for (size_t i = 0; i < SL_COUNT(rows); i++) {
		int got = in_child(rows[i].run, *state);
		if (got == NO_LANDLOCK) {
			print_message("%s: this kernel's Landlock does not know it\n",
				      rows[i].name);
		} else if (got != rows[i].want) {
			fail_msg("%s: is %d and not %d", rows[i].name, got, rows[i].want);
		}
	}
}

static int broken_path(const struct fixture *f)
{
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	char loop[440];
	(void)snprintf(loop, sizeof(loop), "%s/loop", f->inside);
	if (symlink("loop", loop) != 0) {
		return NOT_CONFINED;
	}
	const struct confine_path paths[] = {{loop, CONFINE_READ}};
	int version = 0;
	sl_code code = confine_reach(paths, 1, NULL, 0, &version, &err);
	return version == 0                                           ? NO_LANDLOCK
	       : code == SL_INTERNAL && strstr(err.msg, loop) != NULL ? FINE
								      : WRONG;
}

static void test_confine_names_the_path_that_cannot_be_opened(void **state)
{
	int got = in_child(broken_path, *state);
	assert_true(got == FINE || got == NO_LANDLOCK);
}

static void test_confine_says_what_an_older_kernel_leaves(void **state)
{
	(void)state;
	assert_non_null(strstr(confine_reach_gap_of(0), "no Landlock"));
	assert_non_null(strstr(confine_reach_gap_of(1), "ports"));
	assert_non_null(strstr(confine_reach_gap_of(3), "ports"));
	assert_null(confine_reach_gap_of(4));
	assert_null(confine_reach_gap_of(7));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(test_confine_binds, setup, teardown),
	    cmocka_unit_test(test_confine_says_what_an_older_kernel_leaves),
	    cmocka_unit_test_setup_teardown(test_confine_names_the_path_that_cannot_be_opened,
					    setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
