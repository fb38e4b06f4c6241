#include "tests/bench/host.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <lmdb.h>

#include "base/bytes/bytes.h"
#include "base/clock/clock.h"
#include "base/mem/own.h"
#include "tests/bench/die.h"
#include "tests/lib/process.h"

enum { SYNC_SAMPLES = 301, SYNC_BYTES = 4096, FILES_TIMEOUT_MS = 600000 };

static char *scratch;

static void run_tool(const char *program, const char *const *args)
{
	const struct process_options options = {.program = program, .args = args};
	char *errors = NULL;
	if (process_run(&options, FILES_TIMEOUT_MS, NULL, &errors) != 0) {
		die("%s %s %s: %s", program, args[0], args[1], errors);
	}
	free(errors);
}

void host_copy(const char *from, const char *to)
{
	run_tool("cp", (const char *const[]){"-a", from, to, NULL});
}

void host_remove(const char *path)
{
	run_tool("rm", (const char *const[]){"-rf", path, NULL});
}

/* --- scratch -------------------------------------------------------------------- */

/* A child that waits until the bench has ended, in whatever way, and then removes the folder: no
 * signal handler could. */
static struct {
	pid_t pid;
	int alive; /* the bench's end of a pipe; it closes with the bench */
} cleaner;

/* What a killed server still writes makes rm fail: it is tried again. */
static const char clean_up[] =
    "for n in 1 2 3 4 5 6 7 8 9 10; do chmod -R u+w \"$1\" 2>/dev/null; rm -rf \"$1\" 2>/dev/null "
    "&& exit 0; sleep 0.2; done; echo \"bench: '$1' is left behind\" >&2; exit 1";

static void clean_main(int alive)
{
	char byte;
	(void)setsid(); /* an interrupt from the terminal is not for it */
	while (read(alive, &byte, 1) < 0 && errno == EINTR) {
	}
	(void)execl("/bin/sh", "sh", "-c", clean_up, "sh", scratch, NULL);
	_exit(1);
}

static void start_cleaner(void)
{
	int ends[2];
	if (pipe2(ends, O_CLOEXEC) != 0 || (cleaner.pid = fork()) < 0) {
		die("cannot start what removes '%s'", scratch);
	}
	if (cleaner.pid == 0) {
		(void)close(ends[1]);
		clean_main(ends[0]);
	}
	(void)close(ends[0]);
	cleaner.alive = ends[1];
}

static void wait_cleaner(void)
{
	(void)close(cleaner.alive);
	(void)waitpid(cleaner.pid, NULL, 0);
	free(SL_TAKE(scratch));
}

const char *host_scratch(const char *parent)
{
	if (asprintf(&scratch, "%s/sluice-bench-XXXXXX", parent) < 0 || mkdtemp(scratch) == NULL) {
		die("cannot make a folder in '%s'", parent);
	}
	start_cleaner();
	(void)atexit(wait_cleaner);
	return scratch;
}

char *host_path(const char *fmt, ...)
{
	va_list args;
	char *name = NULL, *path = NULL;
	va_start(args, fmt);
	int rc = vasprintf(&name, fmt, args);
	va_end(args);
	rc = rc < 0 ? rc : asprintf(&path, "%s/%s", scratch, name);
	free(name);
	return need(rc < 0 ? NULL : path);
}

/* --- cores ------------------------------------------------------------------------ */

static int core_count(void)
{
	return (int)sysconf(_SC_NPROCESSORS_ONLN);
}

int host_server_core(void)
{
	return 0;
}

int host_generator_core(void)
{
	return core_count() > 1 ? 1 : 0;
}

void host_pin(bool pinned)
{
	cpu_set_t cores;
	CPU_ZERO(&cores);
	for (int core = 0; core < core_count(); core++) {
		if (!pinned || core == host_generator_core()) {
			CPU_SET(core, &cores);
		}
	}
	DIR *tasks = need(opendir("/proc/self/task"));
	for (struct dirent *task; (task = readdir(tasks)) != NULL;) {
		int tid = (int)strtol(task->d_name, NULL, 10);
		if (tid > 0) { /* one that ended meanwhile needs no core */
			(void)sched_setaffinity(tid, sizeof(cores), &cores);
		}
	}
	(void)closedir(tasks);
}

uint64_t host_process_bytes(pid_t pid, const char *line)
{
	char path[64], text[256];
	uint64_t bytes = 0;
	(void)snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	FILE *file = fopen(path, "re");
	while (file != NULL && bytes == 0 && fgets(text, sizeof(text), file) != NULL) {
		if (strncmp(text, line, strlen(line)) == 0) {
			bytes = strtoull(text + strlen(line), NULL, 10) * 1024;
		}
	}
	if (file != NULL) {
		(void)fclose(file);
	}
	return bytes;
}

double host_cpu_us(void)
{
	struct timespec used;
	(void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
	return (double)used.tv_sec * 1e6 + (double)used.tv_nsec / 1e3;
}

double host_load(void)
{
	double load = 0;
	return getloadavg(&load, 1) == 1 ? load : -1;
}

/* --- disk --------------------------------------------------------------------------- */

static int compare_us(const void *a, const void *b)
{
	const uint64_t *left = a, *right = b;
	return (*left > *right) - (*left < *right);
}

double host_fdatasync_us(const char *dir)
{
	char path[512];
	uint8_t block[SYNC_BYTES] = {1};
	uint64_t took[SYNC_SAMPLES];
	(void)snprintf(path, sizeof(path), "%s/fdatasync", dir);
	int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0 || posix_fallocate(fd, 0, (off_t)SYNC_SAMPLES * SYNC_BYTES) != 0 ||
	    fsync(fd) != 0) {
		die("cannot write '%s'", path);
	}
	for (int i = 0; i < SYNC_SAMPLES; i++) {
		uint64_t started = sl_clock_mono_us();
		if (pwrite(fd, block, sizeof(block), (off_t)i * SYNC_BYTES) != SYNC_BYTES ||
		    fdatasync(fd) != 0) {
			die("cannot write '%s'", path);
		}
		took[i] = sl_clock_mono_us() - started;
	}
	(void)close(fd);
	(void)unlink(path);
	qsort(took, SYNC_SAMPLES, sizeof(took[0]), compare_us);
	uint64_t middle = took[SYNC_SAMPLES / 2];
	return (double)middle;
}

void host_uncache(const char *dir, const char *name)
{
	char path[512];
	(void)snprintf(path, sizeof(path), "%s/%s", dir, name);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || fsync(fd) != 0 || posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED) != 0) {
		die("cannot drop '%s' from the page cache", path);
	}
	(void)close(fd);
}

/* --- LMDB alone ------------------------------------------------------------------------ */

static void need_lmdb(int rc, const char *doing)
{
	if (rc != 0) {
		die("LMDB: %s: %s", doing, mdb_strerror(rc));
	}
}

static void lmdb_commit(MDB_env *env, MDB_dbi dbi, unsigned puts, size_t bytes, uint64_t *seed)
{
	uint8_t value[4096] = {0}, key[8];
	MDB_txn *txn = NULL;
	need_lmdb(mdb_txn_begin(env, NULL, 0, &txn), "begin");
	for (unsigned i = 0; i < puts; i++) {
		*seed = *seed * 6364136223846793005u + 1442695040888963407u;
		sl_put_be64(key, *seed);
		MDB_val k = {.mv_size = sizeof(key), .mv_data = key};
		MDB_val v = {.mv_size = bytes, .mv_data = value};
		need_lmdb(mdb_put(txn, dbi, &k, &v, 0), "put");
	}
	need_lmdb(mdb_txn_commit(txn), "commit");
}

double host_lmdb_commits(const char *dir, unsigned puts, size_t bytes, double seconds)
{
	char path[512];
	MDB_env *env = NULL;
	MDB_txn *txn = NULL;
	MDB_dbi dbi = 0;
	(void)snprintf(path, sizeof(path), "%s/lmdb-%u", dir, puts);
	need_lmdb(mdb_env_create(&env), "create");
	need_lmdb(mdb_env_set_mapsize(env, (size_t)4 << 30), "map size");
	need_lmdb(mdb_env_open(env, path, MDB_NOSUBDIR, 0600), "open");
	need_lmdb(mdb_txn_begin(env, NULL, 0, &txn), "begin");
	need_lmdb(mdb_dbi_open(txn, NULL, 0, &dbi), "open table");
	need_lmdb(mdb_txn_commit(txn), "commit");
	uint64_t seed = 1, commits = 0, started = sl_clock_mono_us();
	while ((double)(sl_clock_mono_us() - started) < seconds * 1e6) {
		lmdb_commit(env, dbi, puts, bytes, &seed);
		commits++;
	}
	double took = (double)(sl_clock_mono_us() - started) / 1e6;
	mdb_env_close(env);
	(void)unlink(path);
	(void)strncat(path, "-lock", sizeof(path) - strlen(path) - 1);
	(void)unlink(path);
	return (double)commits / took;
}
