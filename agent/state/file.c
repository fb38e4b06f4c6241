#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/state/state_internal.h"
#include "base/file/file.h"
#include "base/mem/own.h"

static void arena_auto(struct sl_arena *arena)
{
	sl_arena_fini(arena);
}

/* errno as our error: a full disk is worth waiting for. */
static sl_code io_error(struct sl_err *err, const char *doing, const char *dir, const char *name)
{
	int error = errno;
	bool full = error == ENOSPC || error == EDQUOT;
	return sl_err_set(err, full ? SL_RESOURCE_EXHAUSTED : SL_INTERNAL, "%s '%s/%s': %s", doing,
			  dir, name, strerror(error));
}

sl_code state_make_dir(const char *dir, struct sl_err *err)
{
	if (mkdir(dir, 0755) == 0 || errno == EEXIST) {
		return SL_OK;
	}
	return sl_err_set(err, SL_INTERNAL, "make state folder '%s': %s", dir, strerror(errno));
}

static int open_in(const char *dir, const char *name, int flags, unsigned mode)
{
	SL_AUTO(sl_fd_auto) int parent = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return parent < 0 ? -1 : openat(parent, name, flags | O_CLOEXEC | O_NOFOLLOW, mode);
}

sl_code state_lock(const char *dir, int *ret_fd, struct sl_err *err)
{
	sl_code code = state_make_dir(dir, err);
	if (code != SL_OK) {
		return code;
	}
	SL_AUTO(sl_fd_auto) int fd = open_in(dir, "lock", O_RDWR | O_CREAT, 0644);
	if (fd < 0) {
		return io_error(err, "open", dir, "lock");
	}
	if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
		if (errno != EWOULDBLOCK) {
			return io_error(err, "lock", dir, "lock");
		}
		char holder[16] = "";
		(void)!read(fd, holder, sizeof(holder) - 1);
		holder[strcspn(holder, "\n")] = '\0';
		return sl_err_set(err, SL_FAILED_PRECONDITION,
				  "state folder '%s' is in use by another agent (process %s)", dir,
				  holder);
	}
	char mine[16];
	int length = snprintf(mine, sizeof(mine), "%d\n", (int)getpid());
	if (ftruncate(fd, 0) != 0 || pwrite(fd, mine, (size_t)length, 0) != length) {
		return io_error(err, "write", dir, "lock");
	}
	*ret_fd = fd;
	fd = -1;
	return SL_OK;
}

bool state_is_locked(const char *dir)
{
	SL_AUTO(sl_fd_auto) int fd = open_in(dir, "lock", O_RDONLY, 0);
	return fd >= 0 && flock(fd, LOCK_SH | LOCK_NB) != 0 && errno == EWOULDBLOCK;
}

sl_code state_read_file(const char *dir, const char *name, size_t max, uint8_t **ret_data,
			size_t *ret_size, struct sl_err *err)
{
	SL_AUTO(sl_fd_auto) int fd = open_in(dir, name, O_RDONLY, 0);
	if (fd < 0 && errno == ENOENT) {
		return sl_err_set(err, SL_NOT_FOUND, "'%s/%s' is not there", dir, name);
	}
	struct stat st;
	if (fd < 0 || fstat(fd, &st) != 0) {
		return io_error(err, "read", dir, name);
	}
	if ((uint64_t)st.st_size > max) {
		return sl_err_set(err, SL_DATA_LOSS, "'%s/%s': more than %zu bytes", dir, name,
				  max);
	}
	size_t size = (size_t)st.st_size;
	SL_AUTO(sl_free_auto) uint8_t *data = malloc(size + 1);
	if (data == NULL || !sl_file_read(fd, data, size)) {
		return io_error(err, "read", dir, name);
	}
	*ret_data = SL_TAKE(data);
	*ret_size = size;
	return SL_OK;
}

sl_code state_load(const char *dir, struct state **ret_state, struct sl_err *err)
{
	SL_AUTO(sl_free_auto) uint8_t *data = NULL;
	size_t size = 0;
	sl_code code = state_read_file(dir, "state", STATE_BYTES_MAX, &data, &size, err);
	if (code != SL_OK) {
		return code == SL_NOT_FOUND ? sl_err_wrap(err, "no agent has run here yet") : code;
	}
	code = state_decode(SL_BYTES(data, size), ret_state, err);
	return code == SL_OK ? SL_OK : sl_err_wrap(err, "'%s/state'", dir);
}

sl_code state_write_file(const char *dir, const char *name, const void *data, size_t size,
			 unsigned mode, struct sl_err *err)
{
	char aside[80];
	(void)snprintf(aside, sizeof(aside), "%.64s.new", name);
	SL_AUTO(sl_fd_auto) int parent = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (parent < 0) {
		return io_error(err, "open", dir, "");
	}
	SL_AUTO(sl_fd_auto)
	int fd = openat(parent, aside, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, mode);
	if (fd < 0 || !sl_file_write(fd, data, size) || fsync(fd) != 0) {
		return io_error(err, "write", dir, aside);
	}
	if (renameat(parent, aside, parent, name) != 0 || fsync(parent) != 0) {
		return io_error(err, "replace", dir, name);
	}
	return SL_OK;
}

sl_code state_save(const char *dir, const struct state *state, struct sl_err *err)
{
	SL_AUTO(arena_auto) struct sl_arena arena;
	sl_arena_init(&arena, 0);
	struct sl_bytes bytes;
	sl_code code = state_encode(state, &arena, &bytes, err);
	if (code != SL_OK) {
		return code;
	}
	return state_write_file(dir, "state", bytes.data, bytes.size, 0600, err);
}
