/* A stream as its owner sees it: open, send, receive, free. */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include <grpc/slice.h>
#include <grpc/support/time.h>

#include "client/rpc/stream_internal.h"

enum { STACK_BYTES = 512 << 10 };

SL_DEFINE_AUTO(struct crpc_stream *, crpc_stream_free);

/* --- open and free ------------------------------------------------------------ */

static void init_sync(struct crpc_stream *s)
{
	pthread_condattr_t attr;
	if (pthread_mutex_init(&s->lock, NULL) != 0 || pthread_condattr_init(&attr) != 0 ||
	    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC) != 0 ||
	    pthread_cond_init(&s->changed, &attr) != 0) {
		abort(); /* cannot fail on Linux with these */
	}
	(void)pthread_condattr_destroy(&attr);
}

static struct crpc_stream *stream_new(void)
{
	struct crpc_stream *s = calloc(1, sizeof(*s));
	if (s == NULL) {
		return NULL;
	}
	init_sync(s);
	s->fd = -1;
	crpc_machines_init(s);
	crpc_status_init(&s->status);
	grpc_metadata_array_init(&s->initial);
	return s;
}

/* The owner's thread keeps the signals. */
static int start_thread(struct crpc_stream *s)
{
	pthread_attr_t attr;
	sigset_t all, before;
	(void)sigfillset(&all);
	if (pthread_attr_init(&attr) != 0) {
		return ENOMEM;
	}
	(void)pthread_attr_setstacksize(&attr, STACK_BYTES);
	(void)pthread_sigmask(SIG_SETMASK, &all, &before);
	int rc = pthread_create(&s->thread, &attr, crpc_stream_main, s);
	(void)pthread_sigmask(SIG_SETMASK, &before, NULL);
	(void)pthread_attr_destroy(&attr);
	s->running = rc == 0;
	return rc;
}

static void start_call(struct crpc_stream *s)
{
	HOLD(s);
	grpc_op op = crpc_status_op(&s->status);
	crpc_start(s->call, &op, 1, &s->end_tag);
	memset(&op, 0, sizeof(op));
	op.op = GRPC_OP_SEND_INITIAL_METADATA;
	crpc_start(s->call, &op, 1, &s->write_tag);
	memset(&op, 0, sizeof(op));
	op.op = GRPC_OP_RECV_INITIAL_METADATA;
	op.data.recv_initial_metadata.recv_initial_metadata = &s->initial;
	crpc_start(s->call, &op, 1, &s->read_tag);
}

/* Whoever opens streams has a pace of their own: a back-off that gRPC keeps
 * from an earlier failure must not answer in the server's place. */
static void dial_now(struct crpc_channel *channel)
{
	if (grpc_channel_check_connectivity_state(channel->grpc, 0) ==
	    GRPC_CHANNEL_TRANSIENT_FAILURE) {
		grpc_channel_reset_connect_backoff(channel->grpc);
	}
}

sl_code crpc_stream_open(struct crpc_channel *channel, const char *path, unsigned timeout_ms,
			 struct crpc_stream **ret_stream, struct sl_err *err)
{
	SL_AUTO(crpc_stream_free_auto) struct crpc_stream *s = stream_new();
	if (s == NULL || (s->target = strdup(channel->target)) == NULL ||
	    (s->path = strdup(path)) == NULL) {
		return sl_err_no_memory(err);
	}
	s->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (s->fd < 0) {
		return sl_err_set(err, SL_RESOURCE_EXHAUSTED, "stream %s: eventfd: %s", path,
				  strerror(errno));
	}
	dial_now(channel);
	s->cq = grpc_completion_queue_create_for_next(NULL);
	grpc_slice method = grpc_slice_from_copied_string(path);
	s->call = grpc_channel_create_call(
	    channel->grpc, NULL, GRPC_PROPAGATE_DEFAULTS, s->cq, method, NULL,
	    timeout_ms == 0 ? gpr_inf_future(GPR_CLOCK_MONOTONIC) : crpc_deadline(timeout_ms),
	    NULL);
	grpc_slice_unref(method);
	int rc = start_thread(s);
	if (rc != 0) {
		return sl_err_set(err, SL_RESOURCE_EXHAUSTED, "stream %s: thread: %s", path,
				  strerror(rc));
	}
	start_call(s);
	*ret_stream = SL_TAKE(s);
	return SL_OK;
}

/* After the cancel every completion comes back; a paused read half must go on
 * for that, since gRPC holds the status back while messages wait. */
static void end_thread(struct crpc_stream *s)
{
	{
		HOLD(s);
		s->discard = true;
		(void)grpc_call_cancel(s->call, NULL);
		if (s->read.at == R_PAUSED) {
			crpc_read_step(s, true);
		}
	}
	(void)pthread_join(s->thread, NULL);
}

void crpc_stream_free(struct crpc_stream *s)
{
	if (s == NULL) {
		return;
	}
	if (s->running) {
		end_thread(s);
	}
	if (s->call != NULL) {
		grpc_call_unref(s->call);
	}
	if (s->cq != NULL) {
		if (!s->running) { /* else the thread has seen it to its end */
			grpc_completion_queue_shutdown(s->cq);
			(void)grpc_completion_queue_next(s->cq, gpr_inf_future(GPR_CLOCK_REALTIME),
							 NULL);
		}
		grpc_completion_queue_destroy(s->cq);
	}
	while (s->waiting > 0) {
		size_t size = 0;
		free(crpc_inbox_take(s, &size));
	}
	if (s->fd >= 0) {
		(void)close(s->fd);
	}
	grpc_metadata_array_destroy(&s->initial);
	crpc_status_fini(&s->status);
	(void)pthread_cond_destroy(&s->changed);
	(void)pthread_mutex_destroy(&s->lock);
	free(s->path);
	free(s->target);
	free(s);
}

/* --- the owner's side --------------------------------------------------------- */

static struct timespec time_after(unsigned timeout_ms)
{
	struct timespec at;
	(void)clock_gettime(CLOCK_MONOTONIC, &at);
	at.tv_sec += timeout_ms / 1000;
	at.tv_nsec += (long)(timeout_ms % 1000) * 1000 * 1000;
	if (at.tv_nsec >= 1000 * 1000 * 1000) {
		at.tv_sec++;
		at.tv_nsec -= 1000 * 1000 * 1000;
	}
	return at;
}

/* Waits for a change; false once the time is up. Lock held. */
static bool wait_change(struct crpc_stream *s, const struct timespec *until)
{
	return pthread_cond_timedwait(&s->changed, &s->lock, until) == 0;
}

/* Why nothing more can be sent: the server's status, which follows the last
 * completion closely unless unread messages hold it back. Lock held. */
static sl_code no_more_sends(struct crpc_stream *s, const struct timespec *until,
			     struct sl_err *err)
{
	if (s->close_wanted) {
		return sl_err_set(err, SL_FAILED_PRECONDITION, "stream %s: sending is closed",
				  s->path);
	}
	while (s->end.at != E_ENDED && s->read.at != R_PAUSED && wait_change(s, until)) {
	}
	if (s->end.at == E_ENDED && s->status.code != GRPC_STATUS_OK) {
		return crpc_status_err(&s->status, s->target, err);
	}
	return sl_err_set(err, SL_UNAVAILABLE, "server '%s' takes no more messages on stream %s",
			  s->target, s->path);
}

static bool can_send(const struct crpc_stream *s)
{
	return s->write.at != W_CLOSING && s->write.at != W_CLOSED && !s->close_wanted;
}

sl_code crpc_stream_send(struct crpc_stream *s, struct sl_bytes message, unsigned timeout_ms,
			 struct sl_err *err)
{
	struct timespec until = time_after(timeout_ms);
	HOLD(s);
	while (can_send(s) && s->write.at != W_IDLE) {
		if (!wait_change(s, &until) && can_send(s) && s->write.at != W_IDLE) {
			return sl_err_set(
			    err, SL_DEADLINE_EXCEEDED,
			    "stream %s: server '%s' was not ready for a message within %u ms",
			    s->path, s->target, timeout_ms);
		}
	}
	if (!can_send(s)) {
		return no_more_sends(s, &until, err);
	}
	uint64_t before = s->taken;
	s->outgoing = crpc_message_new(message);
	crpc_write_step(s, true);
	while (s->write.at == W_SENDING) {
		if (!wait_change(s, &until) && s->write.at == W_SENDING) {
			return sl_err_set(err, SL_DEADLINE_EXCEEDED,
					  "stream %s: server '%s' did not take a message of %zu "
					  "bytes within %u ms",
					  s->path, s->target, message.size, timeout_ms);
		}
	}
	return s->taken != before ? SL_OK : no_more_sends(s, &until, err);
}

sl_code crpc_stream_offer(struct crpc_stream *s, struct sl_bytes message, bool *ret_taken,
			  struct sl_err *err)
{
	struct timespec now = time_after(0);
	HOLD(s);
	*ret_taken = false;
	s->room_wanted = can_send(s) && s->write.at != W_IDLE;
	if (can_send(s) && !s->room_wanted) {
		s->outgoing = crpc_message_new(message);
		crpc_write_step(s, true);
		*ret_taken = true;
	}
	crpc_update_fd(s);
	return can_send(s) || *ret_taken ? SL_OK : no_more_sends(s, &now, err);
}

sl_code crpc_stream_close_send(struct crpc_stream *s, struct sl_err *err)
{
	HOLD(s);
	if (s->close_wanted) {
		return SL_OK;
	}
	if (!can_send(s)) {
		struct timespec now = time_after(0);
		return no_more_sends(s, &now, err);
	}
	s->close_wanted = true;
	if (s->write.at == W_IDLE) {
		crpc_write_step(s, true);
	}
	return SL_OK;
}

sl_code crpc_stream_recv(struct crpc_stream *s, unsigned timeout_ms, uint8_t **ret_message,
			 size_t *ret_size, bool *ret_ended, struct sl_err *err)
{
	struct timespec until = time_after(timeout_ms);
	*ret_message = NULL;
	*ret_size = 0;
	*ret_ended = false;
	HOLD(s);
	while (s->waiting == 0 && !crpc_is_over(s) && timeout_ms > 0 && wait_change(s, &until)) {
	}
	if (s->waiting > 0) {
		*ret_message = crpc_inbox_take(s, ret_size);
		if (s->read.at == R_PAUSED && !crpc_inbox_is_full(s)) {
			crpc_read_step(s, true);
		}
		crpc_update_fd(s);
		return SL_OK;
	}
	if (!crpc_is_over(s)) {
		return SL_OK;
	}
	*ret_ended = true;
	return crpc_status_err(&s->status, s->target, err);
}

int crpc_stream_fd(const struct crpc_stream *s)
{
	return s->fd;
}
