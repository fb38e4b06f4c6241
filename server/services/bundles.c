/* One stream:
 *
 *   request --permitted, found--> MAKE the file, or share one --> SEND size, pieces --> END
 *                                    |                              |  outbox full: waits
 *                                    '-- client gone, stopping -----'-> END
 */
#include "server/services/bundles.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file/file.h"
#include "base/git/bundle_file.h"
#include "base/log/log.h"
#include "base/mem/own.h"
#include "server/services/bundle_asked.h"
#include "server/services/bundle_files.h"
#include "server/services/sender.h"
#include "server/services/service.h"
#include "sluice/v1/version.pb-c.h"

enum { PIECE_BYTES = 60 << 10, START_MIN = BUNDLE_FILE_MAGIC_BYTES + BUNDLE_FILE_SIZE_BYTES };

/* One that is sent, or could be. */
struct sending {
	struct bundles *bundles;
	struct sender sender; /* its lock guards `running`, too */
	bool running;         /* the thread works */
	bool joinable;        /* it was started and not joined yet */
	pthread_t thread;
	struct bundle_asked asked; /* the thread's while it runs */
};

struct bundles {
	struct bundle_files *files;   /* owned */
	_Atomic uint64_t sent, bytes; /* struct bundles_stats */
	unsigned max;
	struct sending sendings[];
};

SL_DEFINE_AUTO(struct bundles *, bundles_free);

sl_code bundles_new(const struct bundles_options *options, struct bundles **ret_bundles,
		    struct sl_err *err)
{
	SL_AUTO(bundles_free_auto)
	struct bundles *bundles =
	    calloc(1, sizeof(*bundles) + options->max * sizeof(bundles->sendings[0]));
	if (bundles == NULL) {
		return sl_err_no_memory(err);
	}
	for (; bundles->max < options->max; bundles->max++) {
		bundles->sendings[bundles->max].bundles = bundles;
		sender_init(&bundles->sendings[bundles->max].sender);
	}
	sl_code code = bundle_files_new(options->gitsync, options->data, options->disk_reserve,
					&bundles->files, err);
	if (code == SL_OK) {
		*ret_bundles = SL_TAKE(bundles);
	}
	return code;
}

void bundles_stop(struct bundles *bundles)
{
	for (unsigned i = 0; bundles != NULL && i < bundles->max; i++) {
		sender_stop(&bundles->sendings[i].sender);
	}
	if (bundles != NULL) {
		bundle_files_wake(bundles->files);
	}
}

/* Caller holds no lock. */
static void join(struct sending *s)
{
	if (s->joinable) {
		(void)pthread_join(s->thread, NULL);
	}
	s->joinable = false;
}

void bundles_free(struct bundles *bundles)
{
	if (bundles == NULL) {
		return;
	}
	if (bundles->files != NULL) {
		bundles_stop(bundles);
	}
	for (unsigned i = 0; i < bundles->max; i++) {
		join(&bundles->sendings[i]);
		sender_fini(&bundles->sendings[i].sender);
	}
	bundle_files_free(bundles->files);
	free(bundles);
}

void bundles_stats_read(struct bundles *bundles, struct bundles_stats *ret_stats)
{
	*ret_stats = (struct bundles_stats){.sent = 0};
	if (bundles != NULL) {
		ret_stats->sent = atomic_load(&bundles->sent);
		ret_stats->bytes = atomic_load(&bundles->bytes);
	}
}

/* --- the thread -------------------------------------------------------------------------- */

/* Is what the reader has the beginning of this file? Else it gets all of it. */
static bool has_start(const struct sending *s, int fd, uint64_t size)
{
	uint8_t start[START_MIN + BUNDLE_FILE_HEAD_MAX], digest[SL_HASH_BYTES];
	ssize_t got = pread(fd, start, sizeof(start), 0);
	size_t head = got < START_MIN ? SIZE_MAX : sl_get_be32(start + BUNDLE_FILE_MAGIC_BYTES);
	if (s->asked.start_digest.size != sizeof(digest) || s->asked.offset > size ||
	    head > (size_t)got - START_MIN) {
		return false;
	}
	sl_hash(digest, start, START_MIN + head, NULL, 0);
	return memcmp(digest, s->asked.start_digest.data, sizeof(digest)) == 0;
}

/* Both methods' responses are of the same form. */
static sl_code send(struct sending *s, const Sluice__V1__FetchBundleResponse *response,
		    uint64_t mark, struct sl_err *err)
{
	return sender_send(&s->sender, &response->base, mark, err);
}

static sl_code send_pieces(struct sending *s, int fd, uint64_t at, uint64_t size,
			   struct sl_err *err)
{
	SL_AUTO(sl_free_auto) uint8_t *piece = malloc(PIECE_BYTES);
	sl_code code = piece == NULL ? sl_err_no_memory(err) : SL_OK;
	while (code == SL_OK && at < size) {
		ssize_t got = pread(fd, piece, PIECE_BYTES, (off_t)at);
		if (got <= 0) {
			return sl_err_set(err, SL_INTERNAL, "read the bundle's file: %s",
					  got == 0 ? "it became shorter" : strerror(errno));
		}
		at += (uint64_t)got;
		Sluice__V1__FetchBundleResponse response = SLUICE__V1__FETCH_BUNDLE_RESPONSE__INIT;
		response.data = (ProtobufCBinaryData){.data = piece, .len = (size_t)got};
		code = send(s, &response, at, err);
		if (code == SL_OK) {
			atomic_fetch_add(&s->bundles->bytes, (uint64_t)got);
		}
	}
	return code;
}

static sl_code send_file(struct sending *s, const struct bundle_file *file, struct sl_err *err)
{
	struct stat st;
	SL_AUTO(sl_fd_auto) int fd = open(bundle_file_path(file), O_RDONLY | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) != 0) {
		return sl_err_set(err, SL_INTERNAL, "open the bundle's file: %s", strerror(errno));
	}
	Sluice__V1__FetchBundleResponse first = SLUICE__V1__FETCH_BUNDLE_RESPONSE__INIT;
	first.size = (uint64_t)st.st_size;
	first.offset = has_start(s, fd, first.size) ? s->asked.offset : 0;
	sl_code code = send(s, &first, first.offset, err);
	code = code != SL_OK ? code : send_pieces(s, fd, first.offset, first.size, err);
	if (code == SL_OK) {
		atomic_fetch_add(&s->bundles->sent, 1);
		log_info("bundle-sent", "app=%s version=%s bytes=%" PRIu64 " from=%" PRIu64,
			 s->asked.head.slug, s->asked.bundle.version, first.size - first.offset,
			 first.offset);
	}
	return code;
}

static bool goes_on(void *ctx)
{
	return sender_goes_on(&((struct sending *)ctx)->sender);
}

static sl_code get_and_send(struct sending *s, struct sl_err *err)
{
	const struct bundle_waiter waiter = {.goes_on = goes_on, .ctx = s};
	struct bundle_file *file = NULL;
	sl_code code = bundle_files_get(s->bundles->files, &s->asked.head, &s->asked.bundle,
					&waiter, &file, err);
	if (code == SL_CANCELLED) {
		sl_err_clear(err);
		return sender_why_ended(&s->sender, err);
	}
	if (code == SL_OK) {
		code = send_file(s, file, err);
		bundle_files_give_back(s->bundles->files, file);
	}
	return code;
}

static void *sending_main(void *arg)
{
	struct sending *s = arg;
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	sl_code code = get_and_send(s, &err);
	if (code != SL_OK) {
		log_warn("bundle-not-sent", "app=%s version=%s code=%s error=%s",
			 s->asked.head.slug, s->asked.bundle.version, sl_code_name(code),
			 SL_QUOTE(err.msg));
	}
	sl_arena_fini(&s->asked.arena);
	/* Whoever sees the end may start the next. */
	pthread_mutex_lock(&s->sender.lock);
	struct rpc_stream *stream = SL_TAKE(s->sender.stream);
	s->running = false;
	pthread_mutex_unlock(&s->sender.lock);
	rpc_stream_finish(stream, code, &err);
	rpc_stream_unref(stream);
	return NULL;
}

/* --- the queue thread ------------------------------- */

static struct sending *find_free(struct bundles *bundles, struct sl_err *err)
{
	for (unsigned i = 0; i < bundles->max; i++) {
		struct sending *s = &bundles->sendings[i];
		pthread_mutex_lock(&s->sender.lock);
		bool running = s->running, stopping = s->sender.stopping;
		pthread_mutex_unlock(&s->sender.lock);
		if (stopping) {
			(void)!sender_why_ended(&s->sender, err);
			return NULL;
		}
		if (!running) {
			join(s); /* it is over: no wait */
			return s;
		}
	}
	(void)!sl_err_because(err, SL_RESOURCE_EXHAUSTED, SL_REASON_TOO_MANY,
			      "%u bundles are being sent: no more at once (--bundles-max)",
			      bundles->max);
	return NULL;
}

static sl_code start(struct sending *s, struct rpc_stream *stream, struct sl_err *err)
{
	sender_begin(&s->sender, stream);
	s->running = true;
	if (pthread_create(&s->thread, NULL, sending_main, s) != 0) {
		rpc_stream_unref(SL_TAKE(s->sender.stream));
		s->running = false;
		return sl_err_because(err, SL_RESOURCE_EXHAUSTED, SL_REASON_TOO_MANY,
				      "cannot start a thread for the bundle");
	}
	s->joinable = true;
	rpc_stream_set_user(stream, s);
	return SL_OK;
}

/* --- events ---------------------------------------------------------------------------------- */

static void on_request(const struct services *services, struct rpc_stream *stream,
		       struct sl_bytes message, bundle_asked_reader *read)
{
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	if (rpc_stream_user(stream) != NULL) {
		return; /* one request a stream; more are not looked at */
	}
	struct sending *s = find_free(services->bundles, &err);
	sl_code code = s == NULL ? err.code : SL_OK;
	if (code == SL_OK) {
		code = read(services, stream, message, &s->asked, &err);
	}
	if (code == SL_OK) {
		code = start(s, stream, &err);
		if (code != SL_OK) {
			sl_arena_fini(&s->asked.arena);
		}
	}
	if (code != SL_OK) {
		rpc_stream_finish(stream, code, &err);
	}
}

static void on_export(struct rpc_stream *stream, struct sl_bytes message, void *ctx)
{
	on_request(ctx, stream, message, bundle_export_asked);
}

static void on_fetch(struct rpc_stream *stream, struct sl_bytes message, void *ctx)
{
	on_request(ctx, stream, message, bundle_fetch_asked);
}

static void on_opened(struct rpc_stream *stream, void *ctx)
{
	(void)stream; /* the request comes as a message */
	(void)ctx;
}

static void on_half_closed(struct rpc_stream *stream, void *ctx)
{
	(void)stream; /* usual: the request is all that a client sends */
	(void)ctx;
}

static void on_drained(struct rpc_stream *stream, void *ctx)
{
	struct sending *s = rpc_stream_user(stream);
	(void)ctx;
	if (s != NULL) { /* else it was refused */
		sender_note(&s->sender, stream, false);
	}
}

static void on_closed(struct rpc_stream *stream, void *ctx)
{
	const struct services *services = ctx;
	struct sending *s = rpc_stream_user(stream);
	if (s != NULL) {
		sender_note(&s->sender, stream, true);
		bundle_files_wake(services->bundles->files);
	}
	access_stream_closed(services->access, stream);
}

static const struct rpc_stream_events export_events = {
    .opened = on_opened,
    .message = on_export,
    .half_closed = on_half_closed,
    .drained = on_drained,
    .closed = on_closed,
};
static const struct rpc_stream_events fetch_events = {
    .opened = on_opened,
    .message = on_fetch,
    .half_closed = on_half_closed,
    .drained = on_drained,
    .closed = on_closed,
};

const struct service_method bundle_methods[2] = {
    {BUNDLE_EXPORT, ACCESS_EDIT, &sluice__v1__export_bundle_request__descriptor,
     &sluice__v1__export_bundle_response__descriptor, .stream = &export_events, .scope = ACCESS_APP,
     .where = ACCESS_IN_CURRENT},
    {BUNDLE_FETCH, ACCESS_AGENT, &sluice__v1__fetch_bundle_request__descriptor,
     &sluice__v1__fetch_bundle_response__descriptor, .stream = &fetch_events,
     .scope = ACCESS_ONE_AGENT},
};
