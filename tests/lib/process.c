#include "tests/lib/process.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/bytes/bytes.h"
#include "base/clock/clock.h"
#include "tests/lib/wait.h"

enum {
	LEFTOVERS_MAX = 256,
	LAST_WORDS_MS = 5000, /* for reading what was printed before the end */
};

struct output {
	int fd;                  /* -1: ended */
	struct sl_buf all, line; /* line: begun, not ended */
};

struct process {
	pid_t pid;
	int pidfd;
	int stop; /* eventfd: ends the reader */
	char *name;
	pthread_t reader;
	pthread_mutex_t lock; /* guards the rest */
	pthread_cond_t changed;
	struct output outputs[2]; /* stdout, stderr */
	struct sl_buf lines;      /* whole lines of both, as they came */
	bool ended;               /* both outputs */
};

__attribute__((noreturn, format(printf, 1, 2))) static void die(const char *fmt, ...)
{
	va_list args;
	va_start(args, fmt);
	(void)vfprintf(stderr, fmt, args);
	va_end(args);
	(void)fputc('\n', stderr);
	abort();
}

static void *need(void *pointer)
{
	if (pointer == NULL) {
		die("process: out of memory");
	}
	return pointer;
}

/* --- leftovers ---------------------------------------------------------------- */

/* Read by a signal handler: slots are only ever set and cleared. */
static volatile pid_t leftovers[LEFTOVERS_MAX];
static pthread_mutex_t leftovers_lock = PTHREAD_MUTEX_INITIALIZER;

static void kill_leftovers(void)
{
	for (int i = 0; i < LEFTOVERS_MAX; i++) {
		pid_t pid = __atomic_load_n(&leftovers[i], __ATOMIC_ACQUIRE);
		if (pid > 0) {
			(void)kill(-pid, SIGKILL);
		}
	}
}

static void on_fatal(int signal_number)
{
	kill_leftovers();
	(void)signal(signal_number, SIG_DFL);
	(void)raise(signal_number);
}

static void watch_for_end(void)
{
	static const int fatal[] = {SIGABRT, SIGTERM, SIGINT, SIGHUP};
	for (size_t i = 0; i < sizeof(fatal) / sizeof(fatal[0]); i++) {
		struct sigaction before;
		if (sigaction(fatal[i], NULL, &before) == 0 && before.sa_handler == SIG_DFL) {
			struct sigaction action = {.sa_handler = on_fatal};
			(void)sigaction(fatal[i], &action, NULL);
		}
	}
	(void)atexit(kill_leftovers);
}

/* Changes the first slot that holds `from` to `to`. */
static void leftover_swap(pid_t from, pid_t to)
{
	pthread_mutex_lock(&leftovers_lock);
	int i = 0;
	while (i < LEFTOVERS_MAX && leftovers[i] != from) {
		i++;
	}
	if (i == LEFTOVERS_MAX) {
		die("process: more than %d at once", LEFTOVERS_MAX);
	}
	__atomic_store_n(&leftovers[i], to, __ATOMIC_RELEASE);
	pthread_mutex_unlock(&leftovers_lock);
}

/* --- reading ------------------------------------------------------------------ */

/* Moves whole lines from what was just read into process->lines. */
static void split_lines(struct process *p, struct output *out, const char *data, size_t size)
{
	const char *end = NULL;
	while (size > 0 && (end = memchr(data, '\n', size)) != NULL) {
		size_t length = (size_t)(end - data) + 1;
		sl_buf_append(&out->line, data, length);
		sl_buf_append(&p->lines, out->line.data, out->line.size);
		sl_buf_clear(&out->line);
		data += length;
		size -= length;
	}
	sl_buf_append(&out->line, data, size);
}

static void end_output(struct process *p, struct output *out)
{
	if (out->line.size > 0) {
		split_lines(p, out, "\n", 1);
	}
	(void)close(out->fd);
	out->fd = -1;
	p->ended = p->outputs[0].fd < 0 && p->outputs[1].fd < 0;
}

static void read_some(struct process *p, struct output *out)
{
	char data[16 << 10];
	pthread_mutex_lock(&p->lock); /* held while reading, for all_read() */
	ssize_t got = read(out->fd, data, sizeof(data));
	if (got > 0) {
		sl_buf_append(&out->all, data, (size_t)got);
		split_lines(p, out, data, (size_t)got);
	} else if (got == 0 || errno != EINTR) {
		end_output(p, out);
	}
	if (out->all.failed || out->line.failed || p->lines.failed) {
		die("process: out of memory for the output of %s", p->name);
	}
	(void)pthread_cond_broadcast(&p->changed);
	pthread_mutex_unlock(&p->lock);
}

static void *reader_main(void *arg)
{
	struct process *p = arg;
	while (p->outputs[0].fd >= 0 || p->outputs[1].fd >= 0) {
		struct pollfd polled[3] = {
		    {.fd = p->outputs[0].fd, .events = POLLIN},
		    {.fd = p->outputs[1].fd, .events = POLLIN},
		    {.fd = p->stop, .events = POLLIN},
		};
		if (poll(polled, 3, -1) < 0 && errno != EINTR) {
			die("process: poll: %s", strerror(errno));
		}
		if (polled[2].revents != 0) {
			break;
		}
		for (int i = 0; i < 2; i++) {
			if (polled[i].revents != 0) {
				read_some(p, &p->outputs[i]);
			}
		}
	}
	return NULL;
}

static void start_reader(struct process *p)
{
	pthread_condattr_t attr;
	sigset_t all, before;
	(void)pthread_condattr_init(&attr);
	(void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	(void)pthread_mutex_init(&p->lock, NULL);
	(void)pthread_cond_init(&p->changed, &attr);
	(void)pthread_condattr_destroy(&attr);
	p->stop = eventfd(0, EFD_CLOEXEC);
	(void)sigfillset(&all);
	(void)pthread_sigmask(SIG_SETMASK, &all, &before);
	if (p->stop < 0 || pthread_create(&p->reader, NULL, reader_main, p) != 0) {
		die("process: no thread to read the output of %s", p->name);
	}
	(void)pthread_sigmask(SIG_SETMASK, &before, NULL);
}

/* --- starting ----------------------------------------------------------------- */

char *process_runfile(const char *path)
{
	const char *sources = getenv("TEST_SRCDIR"), *workspace = getenv("TEST_WORKSPACE");
	char *full = NULL;
	int rc = 0;
	if (path[0] == '/') {
		rc = asprintf(&full, "%s", path);
	} else if (sources != NULL) {
		rc = asprintf(&full, "%s/%s/%s", sources, workspace != NULL ? workspace : "sluice",
			      path);
	} else { /* run by hand */
		char self[PATH_MAX];
		ssize_t length = readlink("/proc/self/exe", self, sizeof(self) - 1);
		self[length < 0 ? 0 : length] = '\0';
		rc = asprintf(&full, "%s.runfiles/sluice/%s", self, path);
	}
	return rc < 0 ? need(NULL) : full;
}

static bool same_name(const char *a, const char *b)
{
	size_t length = strcspn(a, "=");
	return strncmp(a, b, length) == 0 && b[length] == '=';
}

/* The caller's environment with `more` over it; the array is the caller's. */
static char **environment(const char *const *more)
{
	size_t count = 0, added = 0, used = 0;
	while (environ[count] != NULL) {
		count++;
	}
	while (more != NULL && more[added] != NULL) {
		added++;
	}
	char **env = need(calloc(count + added + 1, sizeof(*env)));
	for (size_t i = 0; i < count; i++) {
		bool covered = false;
		for (size_t j = 0; j < added && !covered; j++) {
			covered = same_name(more[j], environ[i]);
		}
		if (!covered) {
			env[used++] = environ[i];
		}
	}
	for (size_t j = 0; j < added; j++) {
		env[used++] = (char *)more[j];
	}
	return env;
}

static char **arguments(const struct process_options *options)
{
	size_t count = 0;
	while (options->args != NULL && options->args[count] != NULL) {
		count++;
	}
	char **argv = need(calloc(count + 2, sizeof(*argv)));
	argv[0] = (char *)options->program;
	for (size_t i = 0; i < count; i++) {
		argv[i + 1] = (char *)options->args[i];
	}
	return argv;
}

static void set_up_files(posix_spawn_file_actions_t *files, const char *dir, int out, int err)
{
	int rc = posix_spawn_file_actions_init(files);
	rc = rc != 0 ? rc : posix_spawn_file_actions_addopen(files, 0, "/dev/null", O_RDONLY, 0);
	rc = rc != 0 ? rc : posix_spawn_file_actions_adddup2(files, out, 1);
	rc = rc != 0 ? rc : posix_spawn_file_actions_adddup2(files, err, 2);
	rc = rc != 0 ? rc : posix_spawn_file_actions_addclosefrom_np(files, 3);
	if (rc == 0 && dir != NULL) {
		rc = posix_spawn_file_actions_addchdir_np(files, dir);
	}
	if (rc != 0) {
		die("process: file actions: %s", strerror(rc));
	}
}

static void set_up_attributes(posix_spawnattr_t *attr)
{
	sigset_t none, all;
	(void)sigemptyset(&none);
	(void)sigfillset(&all);
	(void)posix_spawnattr_init(attr);
	(void)posix_spawnattr_setsigmask(attr, &none);
	(void)posix_spawnattr_setsigdefault(attr, &all);
	(void)posix_spawnattr_setpgroup(attr, 0);
	(void)posix_spawnattr_setflags(attr, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK |
						 POSIX_SPAWN_SETSIGDEF);
}

static void spawn(struct process *p, const struct process_options *options, int out, int err)
{
	bool by_path = strchr(options->program, '/') == NULL;
	char *file = by_path ? need(strdup(options->program)) : process_runfile(options->program);
	char **argv = arguments(options), **env = environment(options->env);
	posix_spawn_file_actions_t files;
	posix_spawnattr_t attr;
	set_up_files(&files, options->dir, out, err);
	set_up_attributes(&attr);
	int rc = by_path ? posix_spawnp(&p->pid, file, &files, &attr, argv, env)
			 : posix_spawn(&p->pid, file, &files, &attr, argv, env);
	if (rc != 0) {
		die("process: cannot start %s: %s", file, strerror(rc));
	}
	leftover_swap(0, p->pid);
	(void)posix_spawnattr_destroy(&attr);
	(void)posix_spawn_file_actions_destroy(&files);
	free(env);
	free(argv);
	free(file);
}

struct process *process_start(const struct process_options *options)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	(void)pthread_once(&once, watch_for_end);
	struct process *p = need(calloc(1, sizeof(*p)));
	p->name = need(strdup(options->program));
	int out[2], err[2];
	if (pipe2(out, O_CLOEXEC) != 0 || pipe2(err, O_CLOEXEC) != 0) {
		die("process: pipe: %s", strerror(errno));
	}
	spawn(p, options, out[1], err[1]);
	(void)close(out[1]);
	(void)close(err[1]);
	p->outputs[0].fd = out[0];
	p->outputs[1].fd = err[0];
	p->pidfd = pidfd_open(p->pid, 0);
	if (p->pidfd < 0) {
		die("process: pidfd_open: %s", strerror(errno));
	}
	start_reader(p);
	return p;
}

/* --- watching ----------------------------------------------------------------- */

/* Lock held. False once the time is up. */
static bool wait_change(struct process *p, uint64_t deadline_mono_ms)
{
	struct timespec until = {.tv_sec = (time_t)(deadline_mono_ms / 1000),
				 .tv_nsec = (long)(deadline_mono_ms % 1000) * 1000 * 1000};
	return pthread_cond_timedwait(&p->changed, &p->lock, &until) == 0;
}

/* Lock held. The next whole line with `text` from *at on, as a copy, or NULL;
 * *at moves behind what was looked at. */
static char *find_line(struct process *p, const char *text, size_t *at)
{
	while (*at < p->lines.size) {
		const char *line = (const char *)p->lines.data + *at;
		size_t length =
		    (size_t)((const char *)memchr(line, '\n', p->lines.size - *at) - line);
		*at += length + 1;
		if (memmem(line, length, text, strlen(text)) != NULL) {
			return need(strndup(line, length));
		}
	}
	return NULL;
}

char *process_wait_line(struct process *p, const char *text, size_t *from, unsigned timeout_ms)
{
	uint64_t deadline = wait_deadline(timeout_ms);
	size_t at = from != NULL ? *from : 0;
	pthread_mutex_lock(&p->lock);
	char *line = find_line(p, text, &at);
	for (bool more = true; line == NULL && more;) {
		more = !p->ended && wait_change(p, deadline);
		line = find_line(p, text, &at);
	}
	if (line == NULL) {
		(void)fprintf(stderr, "%s: no line with \"%s\" %s; it printed:\n%.*s", p->name,
			      text, p->ended ? "before its output ended" : "in time",
			      (int)p->lines.size,
			      p->lines.data != NULL ? (const char *)p->lines.data : "");
	} else if (from != NULL) {
		*from = at;
	}
	pthread_mutex_unlock(&p->lock);
	return line;
}

long process_line_number(const char *line, const char *key)
{
	const char *found = strstr(line, key);
	if (found == NULL) {
		return -1;
	}
	char *end = NULL;
	const char *digits = found + strlen(key);
	long number = strtol(digits, &end, 10);
	return end == digits || number < 0 ? -1 : number;
}

static char *output_copy(struct process *p, const struct output *out)
{
	pthread_mutex_lock(&p->lock);
	char *copy = need(calloc(1, out->all.size + 1));
	if (out->all.size > 0) {
		memcpy(copy, out->all.data, out->all.size);
	}
	pthread_mutex_unlock(&p->lock);
	return copy;
}

char *process_stdout(struct process *p)
{
	return output_copy(p, &p->outputs[0]);
}

char *process_stderr(struct process *p)
{
	return output_copy(p, &p->outputs[1]);
}

/* --- ending ------------------------------------------------------------------- */

pid_t process_pid(const struct process *p)
{
	return p->pid;
}

void process_kill(struct process *p, int signal_number)
{
	if (kill(p->pid, signal_number) != 0) { /* not reaped, so it cannot be missing */
		die("process: kill %s: %s", p->name, strerror(errno));
	}
}

/* Lock held. Nothing lies in the pipes: all that a dead process has printed,
 * even if a grandchild still holds their other ends. */
static bool all_read(const struct process *p)
{
	int waiting = 0;
	for (int i = 0; i < 2 && waiting == 0; i++) {
		if (p->outputs[i].fd >= 0 && ioctl(p->outputs[i].fd, FIONREAD, &waiting) != 0) {
			die("process: FIONREAD: %s", strerror(errno));
		}
	}
	return waiting == 0;
}

static void wait_for_output(struct process *p)
{
	uint64_t deadline = wait_deadline(LAST_WORDS_MS);
	pthread_mutex_lock(&p->lock);
	while (!all_read(p) && wait_change(p, deadline)) {
	}
	pthread_mutex_unlock(&p->lock);
}

static bool wait_pidfd(int pidfd, unsigned timeout_ms)
{
	uint64_t deadline = wait_deadline(timeout_ms);
	for (;;) {
		uint64_t now = sl_clock_mono_ms();
		uint64_t left = deadline > now ? deadline - now : 0;
		struct pollfd polled = {.fd = pidfd, .events = POLLIN};
		int rc = poll(&polled, 1, left > INT_MAX ? INT_MAX : (int)left);
		if (rc > 0) {
			return true;
		}
		if (rc == 0 && left == 0) {
			return false;
		}
	}
}

bool process_wait(struct process *p, unsigned timeout_ms, int *ret_status)
{
	if (!wait_pidfd(p->pidfd, timeout_ms)) {
		return false;
	}
	siginfo_t info;
	if (waitid(P_PID, (id_t)p->pid, &info, WEXITED | WNOWAIT) != 0) {
		die("process: waitid %s: %s", p->name, strerror(errno));
	}
	wait_for_output(p);
	*ret_status = info.si_code == CLD_EXITED ? info.si_status : -info.si_status;
	return true;
}

void process_free(struct process *p)
{
	if (p == NULL) {
		return;
	}
	(void)kill(-p->pid, SIGKILL);
	uint64_t one = 1;
	if (write(p->stop, &one, sizeof(one)) != (ssize_t)sizeof(one)) {
		die("process: eventfd: %s", strerror(errno));
	}
	(void)pthread_join(p->reader, NULL);
	leftover_swap(p->pid, 0);
	while (waitpid(p->pid, NULL, 0) < 0 && errno == EINTR) {
	}
	for (int i = 0; i < 2; i++) {
		if (p->outputs[i].fd >= 0) {
			(void)close(p->outputs[i].fd);
		}
		sl_buf_fini(&p->outputs[i].all);
		sl_buf_fini(&p->outputs[i].line);
	}
	sl_buf_fini(&p->lines);
	(void)close(p->stop);
	(void)close(p->pidfd);
	(void)pthread_cond_destroy(&p->changed);
	(void)pthread_mutex_destroy(&p->lock);
	free(p->name);
	free(p);
}

int process_run(const struct process_options *options, unsigned timeout_ms, char **ret_stdout,
		char **ret_stderr)
{
	struct process *p = process_start(options);
	int status = 0;
	if (!process_wait(p, timeout_ms, &status)) {
		(void)fprintf(stderr, "%s%s", process_stdout(p), process_stderr(p));
		die("process: %s still runs after %u ms", p->name, timeout_ms);
	}
	if (ret_stdout != NULL) {
		*ret_stdout = process_stdout(p);
	}
	if (ret_stderr != NULL) {
		*ret_stderr = process_stderr(p);
	}
	process_free(p);
	return status;
}
