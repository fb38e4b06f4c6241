/* powercut: an LD_PRELOAD library that records what a program writes to the files below
 * POWERCUT_DIR and when it has it synced, into the file POWERCUT_LOG, so that
 * tests/fault/lib/powercut.py can rebuild what a disk may hold after the power was cut at any
 * moment.
 *
 * One record per call that succeeded, made after it: struct record, then the bytes written. Calls
 * of one file come from one thread in Sluice; a lock keeps records whole all the same. */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum op { OP_WRITE = 1, OP_WRITE_DURABLE = 2, OP_SYNC = 3, OP_TRUNCATE = 4 };
enum { PATH_SIZE = 4096 };

struct record {
	uint32_t op;
	uint32_t name_size;
	uint64_t begin_ns, end_ns; /* CLOCK_MONOTONIC */
	uint64_t offset, size;     /* TRUNCATE: offset is the new size */
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int log_fd = -1;
static const char *dir;
static size_t dir_size;

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

__attribute__((constructor)) static void begin(void)
{
	const char *path = getenv("POWERCUT_LOG");
	dir = getenv("POWERCUT_DIR");
	if (path == NULL || dir == NULL) {
		return;
	}
	dir_size = strlen(dir);
	int fd = REAL(open)(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	log_fd = fd < 0 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, 500);
	if (fd >= 0) {
		(void)close(fd);
	}
	(void)unsetenv("LD_PRELOAD"); /* for this process only */
}

static uint64_t now_ns(void)
{
	struct timespec at;
	(void)clock_gettime(CLOCK_MONOTONIC, &at);
	return (uint64_t)at.tv_sec * 1000000000u + (uint64_t)at.tv_nsec;
}

/* The file's name below POWERCUT_DIR; NULL: another file. */
static const char *watched(int fd, char path[static PATH_SIZE])
{
	char link[64];
	(void)snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	ssize_t size = log_fd < 0 ? -1 : readlink(link, path, PATH_SIZE - 1);
	if (size <= 0) {
		return NULL;
	}
	path[size] = '\0';
	if (strncmp(path, dir, dir_size) != 0 || path[dir_size] != '/') {
		return NULL;
	}
	return path + dir_size + 1;
}

static void put(const void *data, size_t size)
{
	const uint8_t *at = data;
	while (size > 0) {
		ssize_t done = REAL(write)(log_fd, at, size);
		if (done <= 0) {
			abort(); /* a record with a hole would be worse */
		}
		at += done;
		size -= (size_t)done;
	}
}

/* Writes the head of a record; what follows is put() before end_record(). */
static void begin_record(const struct record *record, const char *name)
{
	(void)pthread_mutex_lock(&lock);
	put(record, sizeof(*record));
	put(name, record->name_size);
}

static void end_record(void)
{
	(void)pthread_mutex_unlock(&lock);
}

static void record_plain(int fd, enum op op, uint64_t begin_ns, uint64_t offset)
{
	char path[PATH_SIZE];
	const char *name = watched(fd, path);
	if (name == NULL) {
		return;
	}
	struct record record = {.op = op,
				.name_size = (uint32_t)strlen(name),
				.begin_ns = begin_ns,
				.end_ns = now_ns(),
				.offset = offset};
	begin_record(&record, name);
	end_record();
}

static void record_write(int fd, const struct iovec *parts, int count, uint64_t done,
			 uint64_t offset, uint64_t begin_ns)
{
	char path[PATH_SIZE];
	const char *name = watched(fd, path);
	if (name == NULL) {
		return;
	}
	int flags = fcntl(fd, F_GETFL);
	struct record record = {.op = (flags & O_DSYNC) != 0 ? OP_WRITE_DURABLE : OP_WRITE,
				.name_size = (uint32_t)strlen(name),
				.begin_ns = begin_ns,
				.end_ns = now_ns(),
				.offset = offset,
				.size = done};
	begin_record(&record, name);
	for (int i = 0; i < count && done > 0; i++) {
		size_t part = parts[i].iov_len < done ? parts[i].iov_len : done;
		put(parts[i].iov_base, part);
		done -= part;
	}
	end_record();
}

__attribute__((visibility("default"))) ssize_t pwrite(int fd, const void *data, size_t size,
						      off_t offset)
{
	uint64_t from = now_ns();
	ssize_t done = REAL(pwrite)(fd, data, size, offset);
	int error = errno;
	if (done > 0) {
		struct iovec part = {.iov_base = (void *)(uintptr_t)data, .iov_len = size};
		record_write(fd, &part, 1, (uint64_t)done, (uint64_t)offset, from);
	}
	errno = error;
	return done;
}

__attribute__((visibility("default"))) ssize_t pwrite64(int fd, const void *data, size_t size,
							off64_t offset)
{
	return pwrite(fd, data, size, offset);
}

__attribute__((visibility("default"))) ssize_t pwritev(int fd, const struct iovec *parts, int count,
						       off_t offset)
{
	uint64_t from = now_ns();
	ssize_t done = REAL(pwritev)(fd, parts, count, offset);
	int error = errno;
	if (done > 0) {
		record_write(fd, parts, count, (uint64_t)done, (uint64_t)offset, from);
	}
	errno = error;
	return done;
}

__attribute__((visibility("default"))) ssize_t pwritev64(int fd, const struct iovec *parts,
							 int count, off64_t offset)
{
	return pwritev(fd, parts, count, offset);
}

__attribute__((visibility("default"))) ssize_t write(int fd, const void *data, size_t size)
{
	uint64_t from = now_ns();
	off_t offset = log_fd >= 0 ? lseek(fd, 0, SEEK_CUR) : 0;
	ssize_t done = REAL(write)(fd, data, size);
	int error = errno;
	if (done > 0 && offset >= 0) {
		struct iovec part = {.iov_base = (void *)(uintptr_t)data, .iov_len = size};
		record_write(fd, &part, 1, (uint64_t)done, (uint64_t)offset, from);
	}
	errno = error;
	return done;
}

__attribute__((visibility("default"))) ssize_t writev(int fd, const struct iovec *parts, int count)
{
	uint64_t from = now_ns();
	off_t offset = log_fd >= 0 ? lseek(fd, 0, SEEK_CUR) : 0;
	ssize_t done = REAL(writev)(fd, parts, count);
	int error = errno;
	if (done > 0 && offset >= 0) {
		record_write(fd, parts, count, (uint64_t)done, (uint64_t)offset, from);
	}
	errno = error;
	return done;
}

#define SYNC(name, params, args)                                                                   \
	__attribute__((visibility("default"))) int name params                                     \
	{                                                                                          \
		uint64_t from = now_ns();                                                          \
		int rc = REAL(name) args;                                                          \
		int error = errno;                                                                 \
		if (rc == 0) {                                                                     \
			record_plain(fd, OP_SYNC, from, 0);                                        \
		}                                                                                  \
		errno = error;                                                                     \
		return rc;                                                                         \
	}

SYNC(fdatasync, (int fd), (fd))
SYNC(fsync, (int fd), (fd))

__attribute__((visibility("default"))) int ftruncate(int fd, off_t size)
{
	uint64_t from = now_ns();
	int rc = REAL(ftruncate)(fd, size);
	int error = errno;
	if (rc == 0) {
		record_plain(fd, OP_TRUNCATE, from, (uint64_t)size);
	}
	errno = error;
	return rc;
}
