/* Files on their way into Git, piece by piece, in DIR/uploads. One thread writes: calls come in on
 * the queue thread, which must not wait for a disk. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#include "base/clock/clock.h"
#include "base/file/file.h"
#include "base/mem/own.h"
#include "server/gitsync/gitsync_internal.h"

enum { PIECES_MAX = 64, SWEEP_EVERY_MS = 3600000 };
static const uint64_t kept_ms = 24ull * 3600 * 1000;

struct upload_piece {
	struct upload_piece *next;
	char name[GITSYNC_UPLOAD_NAME];
	uint64_t offset;
	bool last;
	void (*done)(void *ctx, sl_code code, uint64_t bytes, const struct sl_err *err);
	void *ctx;
	size_t size;
	uint8_t data[];
};

bool gitsync_upload_name(char name[static GITSYNC_UPLOAD_NAME], uint32_t workspace,
			 const char *principal, const char *id)
{
	int bytes = snprintf(name, GITSYNC_UPLOAD_NAME, "%u-%s-%s", workspace, principal, id);
	return bytes < GITSYNC_UPLOAD_NAME && strchr(name, '/') == NULL;
}

char *gitsync_upload_path(struct sl_arena *arena, const char *data, const char *name)
{
	return sl_arena_printf(arena, "%s/uploads/%s", data, name);
}

/* --- the thread ------------------------------------------------------------------------ */

static sl_code failed(struct sl_err *err, const char *doing)
{
	bool full = errno == ENOSPC || errno == EDQUOT;
	return sl_err_because(err, full ? SL_RESOURCE_EXHAUSTED : SL_UNAVAILABLE,
			      full ? SL_REASON_DISK_LOW : SL_REASON_NONE, "upload: %s: %s", doing,
			      strerror(errno));
}

static sl_code check_room(const struct gitsync *g, int fd, const struct upload_piece *piece,
			  struct sl_err *err)
{
	static const struct git_limits limits = GIT_LIMITS_DEFAULT;
	struct statvfs disk;
	struct stat file;
	if (fstat(fd, &file) != 0 || fstatvfs(fd, &disk) != 0) {
		return failed(err, "look at the file");
	}
	uint64_t there = (uint64_t)file.st_size, end = piece->offset + piece->size;
	if (piece->offset > there) {
		return sl_err_because(err, SL_INVALID_ARGUMENT, SL_REASON_MALFORMED,
				      "upload: offset %lu is behind the %lu bytes that are there",
				      (unsigned long)piece->offset, (unsigned long)there);
	}
	if (end > limits.bytes + limits.files * 1024) {
		return sl_err_because(err, SL_RESOURCE_EXHAUSTED, SL_REASON_TOO_MANY,
				      "upload: more than %lu bytes",
				      (unsigned long)(limits.bytes + limits.files * 1024));
	}
	if ((uint64_t)disk.f_bavail * disk.f_frsize < g->options.disk_reserve + piece->size) {
		return sl_err_because(err, SL_RESOURCE_EXHAUSTED, SL_REASON_DISK_LOW,
				      "upload: the disk is under its reserve of %lu bytes",
				      (unsigned long)g->options.disk_reserve);
	}
	return SL_OK;
}

static sl_code write_piece(const struct gitsync *g, const struct upload_piece *piece,
			   struct sl_err *err)
{
	SL_AUTO(sl_arena_fini) struct sl_arena arena;
	sl_arena_init(&arena, 0);
	const char *path = gitsync_upload_path(&arena, g->data, piece->name);
	SL_AUTO(sl_fd_auto)
	int fd = path == NULL
		     ? -1
		     : open(path, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, (mode_t)0600);
	if (fd < 0) {
		return failed(err, "open the file");
	}
	sl_code code = check_room(g, fd, piece, err);
	if (code == SL_OK && (lseek(fd, (off_t)piece->offset, SEEK_SET) < 0 ||
			      !sl_file_write(fd, piece->data, piece->size))) {
		code = failed(err, "write the file");
	}
	/* A piece that is sent again ends the file where it ends. */
	if (code == SL_OK && ftruncate(fd, (off_t)(piece->offset + piece->size)) != 0) {
		code = failed(err, "end the file");
	}
	return code == SL_OK && piece->last && fsync(fd) != 0 ? failed(err, "sync the file") : code;
}

/* What nobody has pushed for a day. */
static void sweep(const struct gitsync *g)
{
	char folder[PATH_MAX + 16];
	(void)snprintf(folder, sizeof(folder), "%s/uploads", g->data);
	DIR *dir = opendir(folder);
	if (dir == NULL) {
		return;
	}
	uint64_t now = sl_clock_unix_ms();
	for (struct dirent *entry = readdir(dir); entry != NULL; entry = readdir(dir)) {
		struct stat file;
		bool there = fstatat(dirfd(dir), entry->d_name, &file, AT_SYMLINK_NOFOLLOW) == 0;
		if (there && S_ISREG(file.st_mode) &&
		    (uint64_t)file.st_mtime * 1000 + kept_ms < now) {
			(void)unlinkat(dirfd(dir), entry->d_name, 0);
		}
	}
	(void)closedir(dir);
}

static struct upload_piece *take(struct gitsync *g)
{
	struct timespec until;
	(void)clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += SWEEP_EVERY_MS / 1000;
	pthread_mutex_lock(&g->lock);
	int rc = 0;
	while (g->uploads == NULL && !gitsync_is_stopping(g) && rc == 0) {
		rc = pthread_cond_timedwait(&g->upload_wake, &g->lock, &until);
	}
	struct upload_piece *piece = g->uploads;
	if (piece != NULL) {
		g->uploads = piece->next;
		g->upload_count--;
	}
	pthread_mutex_unlock(&g->lock);
	return piece;
}

static void answer(struct gitsync *g, struct upload_piece *piece)
{
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	sl_code code =
	    gitsync_is_stopping(g)
		? sl_err_because(&err, SL_UNAVAILABLE, SL_REASON_STOPPING, "the server is stopping")
		: write_piece(g, piece, &err);
	piece->done(piece->ctx, code, piece->offset + piece->size, &err);
	free(piece);
}

static void *uploads_main(void *arg)
{
	struct gitsync *g = arg;
	sweep(g);
	while (!gitsync_is_stopping(g)) {
		struct upload_piece *piece = take(g);
		if (piece != NULL) {
			answer(g, piece);
		} else {
			sweep(g);
		}
	}
	return NULL;
}

/* --- life --------------------------------------------------------------------------------- */

sl_code gitsync_uploads_start(struct gitsync *g, struct sl_err *err)
{
	char folder[PATH_MAX + 16];
	(void)snprintf(folder, sizeof(folder), "%s/uploads", g->data);
	if (mkdir(folder, 0700) != 0 && errno != EEXIST) {
		return sl_err_set(err, SL_INTERNAL, "folder '%s': %s", folder, strerror(errno));
	}
	g->uploads_run = pthread_create(&g->upload_thread, NULL, uploads_main, g) == 0;
	return g->uploads_run
		   ? SL_OK
		   : sl_err_set(err, SL_RESOURCE_EXHAUSTED, "cannot start the upload thread");
}

void gitsync_uploads_stop(struct gitsync *g)
{
	if (g->uploads_run) {
		(void)pthread_join(g->upload_thread, NULL);
		g->uploads_run = false;
	}
	while (g->uploads != NULL) {
		struct upload_piece *piece = g->uploads;
		g->uploads = piece->next;
		answer(g, piece);
	}
}

/* --- from other threads --- */

sl_code gitsync_upload(struct gitsync *g, const struct gitsync_upload_request *request,
		       struct sl_err *err)
{
	struct upload_piece *piece = malloc(sizeof(*piece) + request->data.size);
	if (piece == NULL) {
		return sl_err_no_memory(err);
	}
	*piece = (struct upload_piece){.offset = request->offset,
				       .last = request->last,
				       .done = request->done,
				       .ctx = request->ctx,
				       .size = request->data.size};
	sl_text_copy(piece->name, sizeof(piece->name), request->name);
	if (request->data.size > 0) {
		memcpy(piece->data, request->data.data, request->data.size);
	}
	pthread_mutex_lock(&g->lock);
	bool room = g->upload_count < PIECES_MAX && !gitsync_is_stopping(g);
	if (room) {
		struct upload_piece **at = &g->uploads;
		while (*at != NULL) {
			at = &(*at)->next;
		}
		*at = piece;
		g->upload_count++;
		pthread_cond_signal(&g->upload_wake);
	}
	pthread_mutex_unlock(&g->lock);
	if (!room) {
		free(piece);
		return sl_err_because(err, SL_RESOURCE_EXHAUSTED, SL_REASON_QUEUE_FULL,
				      "upload: %d pieces wait: try again later", PIECES_MAX);
	}
	return SL_OK;
}
