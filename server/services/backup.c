/* AdminService.Backup. One thread per stream:
 *
 *   request --start--> COPY the store to a file --> SEND head, pieces, digest --> END
 *                        |                            |  outbox full: waits for drained()
 *                        '-- client gone, stopping ---'-> END
 *
 * Whoever comes while one runs is refused. The file is removed whatever happens. */
#include "server/services/backup.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/crypto/crypto.h"
#include "base/failpoint/failpoint.h"
#include "base/log/log.h"
#include "base/mem/own.h"
#include "server/services/sender.h"
#include "server/services/service.h"
#include "sluice/v1/admin.pb-c.h"

enum { PIECE_BYTES = 60 << 10 };

struct backup {
	struct store *store; /* borrowed */
	char folder[PATH_MAX - 32], file[PATH_MAX];
	struct sender sender; /* its lock guards `running`, too */
	bool running;         /* the thread works */
	bool joinable;        /* it was started and not joined yet */
	pthread_t thread;
};

SL_DEFINE_AUTO(struct backup *, backup_free);

/* --- the folder -------------------------------------------------------------------- */

static sl_code sweep(struct backup *b, struct sl_err *err)
{
	if (mkdir(b->folder, 0700) != 0 && errno != EEXIST) {
		return sl_err_set(err, SL_FAILED_PRECONDITION, "make '%s': %s", b->folder,
				  strerror(errno));
	}
	DIR *dir = opendir(b->folder);
	if (dir == NULL) {
		return sl_err_set(err, SL_FAILED_PRECONDITION, "open '%s': %s", b->folder,
				  strerror(errno));
	}
	for (struct dirent *entry = readdir(dir); entry != NULL; entry = readdir(dir)) {
		if (entry->d_name[0] != '.' && unlinkat(dirfd(dir), entry->d_name, 0) == 0) {
			log_info("backup-swept", "file=%s", entry->d_name);
		}
	}
	(void)closedir(dir);
	return SL_OK;
}

sl_code backup_new(struct store *store, const char *data, struct backup **ret_backup,
		   struct sl_err *err)
{
	SL_AUTO(backup_free_auto) struct backup *b = calloc(1, sizeof(*b));
	if (b == NULL) {
		return sl_err_no_memory(err);
	}
	sender_init(&b->sender);
	b->store = store;
	int size = snprintf(b->folder, sizeof(b->folder), "%s/backup", data);
	if (size < 0 || (size_t)size >= sizeof(b->folder)) {
		return sl_err_set(err, SL_INVALID_ARGUMENT, "the data folder's path is too long");
	}
	(void)snprintf(b->file, sizeof(b->file), "%s/copy", b->folder);
	sl_code code = sweep(b, err);
	if (code == SL_OK) {
		*ret_backup = SL_TAKE(b);
	}
	return code;
}

void backup_stop(struct backup *b)
{
	if (b != NULL) {
		sender_stop(&b->sender);
	}
}

/* Caller holds no lock. */
static void join(struct backup *b)
{
	if (b->joinable) {
		(void)pthread_join(b->thread, NULL);
	}
	b->joinable = false;
}

void backup_free(struct backup *b)
{
	if (b == NULL) {
		return;
	}
	backup_stop(b);
	join(b);
	sender_fini(&b->sender);
	free(b);
}

/* --- the thread ---------------------------------------------------------------------- */

static bool go_on(void *ctx)
{
	return sender_goes_on(&((struct backup *)ctx)->sender);
}

static sl_code send_pieces(struct backup *b, int fd, const struct store_backup *copy,
			   struct sl_err *err)
{
	SL_AUTO(sl_free_auto) uint8_t *piece = malloc(PIECE_BYTES);
	struct sl_hasher hasher;
	uint8_t digest[SL_HASH_BYTES];
	uint64_t sent = 0;
	sl_code code = SL_OK;
	if (piece == NULL) {
		return sl_err_no_memory(err);
	}
	sl_hasher_init(&hasher);
	while (code == SL_OK && sent < copy->bytes) {
		ssize_t size = read(fd, piece, PIECE_BYTES);
		if (size <= 0) {
			return sl_err_set(err, SL_INTERNAL, "read the copy: %s",
					  size == 0 ? "it became shorter" : strerror(errno));
		}
		SL_FAILPOINT("backup-send");
		sl_hasher_add(&hasher, piece, (size_t)size);
		sent += (uint64_t)size;
		Sluice__V1__BackupResponse response = SLUICE__V1__BACKUP_RESPONSE__INIT;
		response.data = (ProtobufCBinaryData){.data = piece, .len = (size_t)size};
		code = sender_send(&b->sender, &response.base, sent, err);
	}
	sl_hasher_end(&hasher, digest);
	Sluice__V1__BackupResponse last = SLUICE__V1__BACKUP_RESPONSE__INIT;
	last.digest = (ProtobufCBinaryData){.data = digest, .len = sizeof(digest)};
	return code != SL_OK ? code : sender_send(&b->sender, &last.base, sent, err);
}

static sl_code send_copy(struct backup *b, const struct store_backup *copy, struct sl_err *err)
{
	Sluice__V1__BackupResponse head = SLUICE__V1__BACKUP_RESPONSE__INIT;
	head.revision = copy->revision;
	head.size = copy->bytes;
	int fd = open(b->file, O_RDONLY | O_CLOEXEC);
	if (fd < 0) {
		return sl_err_set(err, SL_INTERNAL, "open the copy: %s", strerror(errno));
	}
	sl_code code = sender_send(&b->sender, &head.base, 0, err);
	code = code != SL_OK ? code : send_pieces(b, fd, copy, err);
	(void)close(fd);
	return code;
}

static void *backup_main(void *arg)
{
	struct backup *b = arg;
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	struct store_backup copy;
	(void)unlink(b->file);
	sl_code code = store_backup(b->store, b->file, go_on, b, &copy, &err);
	if (code == SL_OK) {
		log_info("backup-copied", "revision=%lu bytes=%lu ms=%lu",
			 (unsigned long)copy.revision, (unsigned long)copy.bytes,
			 (unsigned long)copy.took_ms);
		code = send_copy(b, &copy, &err);
		(void)unlink(b->file);
	} else if (code == SL_CANCELLED) {
		code = sender_why_ended(&b->sender, &err);
	}
	if (code == SL_OK) {
		log_info("backup-sent", "revision=%lu bytes=%lu", (unsigned long)copy.revision,
			 (unsigned long)copy.bytes);
	} else {
		log_warn("backup-failed", "code=%s error=%s", sl_code_name(code),
			 SL_QUOTE(err.msg));
	}
	/* Whoever sees the end may start the next. */
	pthread_mutex_lock(&b->sender.lock);
	struct rpc_stream *stream = SL_TAKE(b->sender.stream);
	b->running = false;
	pthread_mutex_unlock(&b->sender.lock);
	rpc_stream_finish(stream, code, &err);
	rpc_stream_unref(stream);
	return NULL;
}

/* --- the stream: queue thread ----------------------------------------------------------- */

static sl_code start(struct backup *b, struct rpc_stream *stream, struct sl_err *err)
{
	pthread_mutex_lock(&b->sender.lock);
	bool running = b->running, stopping = b->sender.stopping;
	pthread_mutex_unlock(&b->sender.lock);
	if (stopping) {
		return sender_why_ended(&b->sender, err);
	}
	if (running) {
		return sl_err_because(err, SL_RESOURCE_EXHAUSTED, SL_REASON_TOO_MANY,
				      "another backup runs: one at a time");
	}
	join(b); /* it is over: no wait */
	sender_begin(&b->sender, stream);
	b->running = true;
	if (pthread_create(&b->thread, NULL, backup_main, b) != 0) {
		rpc_stream_unref(SL_TAKE(b->sender.stream));
		b->running = false;
		return sl_err_because(err, SL_RESOURCE_EXHAUSTED, SL_REASON_TOO_MANY,
				      "cannot start the backup's thread");
	}
	b->joinable = true;
	rpc_stream_set_user(stream, b);
	return SL_OK;
}

static void on_opened(struct rpc_stream *stream, void *ctx)
{
	(void)stream; /* the request comes as a message */
	(void)ctx;
}

static void on_message(struct rpc_stream *stream, struct sl_bytes message, void *ctx)
{
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	struct backup *b = ((const struct services *)ctx)->backup;
	Sluice__V1__BackupRequest *request =
	    sluice__v1__backup_request__unpack(NULL, message.size, message.data);
	if (request == NULL) {
		rpc_stream_finish(stream,
				  sl_err_because(&err, SL_INVALID_ARGUMENT, SL_REASON_MALFORMED,
						 "the request's %zu bytes are not a BackupRequest",
						 message.size),
				  &err);
		return;
	}
	static const struct access_need need = {.server = true};
	struct access_caller caller;
	sl_code code = SL_OK;
	if (rpc_stream_user(stream) == NULL) { /* one request a stream; more are not looked at */
		code = service_permit_stream("/sluice.v1.AdminService/Backup", ctx, stream,
					     &request->base, &need, &caller, &err);
		code = code != SL_OK ? code : start(b, stream, &err);
	}
	sluice__v1__backup_request__free_unpacked(request, NULL);
	if (code != SL_OK) {
		rpc_stream_finish(stream, code, &err);
	}
}

static void on_half_closed(struct rpc_stream *stream, void *ctx)
{
	(void)stream; /* usual: the request is all that a client sends */
	(void)ctx;
}

static void note(struct rpc_stream *stream, bool gone)
{
	struct backup *b = rpc_stream_user(stream);
	if (b != NULL) { /* else it was refused */
		sender_note(&b->sender, stream, gone);
	}
}

static void on_drained(struct rpc_stream *stream, void *ctx)
{
	(void)ctx;
	note(stream, false);
}

static void on_closed(struct rpc_stream *stream, void *ctx)
{
	note(stream, true);
	access_stream_closed(((const struct services *)ctx)->access, stream);
}

const struct rpc_stream_events backup_events = {
    .opened = on_opened,
    .message = on_message,
    .half_closed = on_half_closed,
    .drained = on_drained,
    .closed = on_closed,
};
