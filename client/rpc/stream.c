/* One bidirectional stream: three machines, each with its own tag.
 *
 *   read:   OPENING --> READING --inbox full--> PAUSED
 *                       |  ^  |                   |
 *                       |  +--+ message           |
 *                       |  ^----------room--------+
 *                       +--no more--> DRAINED
 *
 *   write:  OPENING --> IDLE <--> SENDING
 *              |          |          |
 *              +----------+----------+--close wanted--> CLOSING --> CLOSED
 *              +----------+----------+--failed or ended-----------> CLOSED
 *
 *   end:    WAITING --the server's status--> ENDED
 *
 * Two threads: the owner's and the stream's own small one, which waits for
 * completions. All fields are guarded by `lock`, and every move is made under
 * it. The stream is over when the status is there and nothing more can be
 * read; with the write half CLOSED as well, nothing lies in the queue, nothing
 * will be posted, and the small thread ends.
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include <grpc/byte_buffer.h>
#include <grpc/slice.h>
#include <grpc/support/time.h>

#include "base/mem/own.h"
#include "base/sm/sm.h"
#include "client/rpc/rpc_internal.h"

enum { R_OPENING, R_READING, R_PAUSED, R_DRAINED };
enum { W_OPENING, W_IDLE, W_SENDING, W_CLOSING, W_CLOSED };
enum { E_WAITING, E_ENDED };

static const struct sl_sm_state read_states[] = {
    [R_OPENING] = {"R_OPENING", SL_SM_TO(R_READING)},
    [R_READING] = {"R_READING", SL_SM_TO(R_READING) | SL_SM_TO(R_PAUSED) | SL_SM_TO(R_DRAINED)},
    [R_PAUSED] = {"R_PAUSED", SL_SM_TO(R_READING)},
    [R_DRAINED] = {"R_DRAINED", 0},
};
static const struct sl_sm_state write_states[] = {
    [W_OPENING] = {"W_OPENING", SL_SM_TO(W_IDLE) | SL_SM_TO(W_CLOSING) | SL_SM_TO(W_CLOSED)},
    [W_IDLE] = {"W_IDLE", SL_SM_TO(W_SENDING) | SL_SM_TO(W_CLOSING) | SL_SM_TO(W_CLOSED)},
    [W_SENDING] = {"W_SENDING", SL_SM_TO(W_IDLE) | SL_SM_TO(W_CLOSING) | SL_SM_TO(W_CLOSED)},
    [W_CLOSING] = {"W_CLOSING", SL_SM_TO(W_CLOSED)},
    [W_CLOSED] = {"W_CLOSED", 0},
};
static const struct sl_sm_state end_states[] = {
    [E_WAITING] = {"E_WAITING", SL_SM_TO(E_ENDED)},
    [E_ENDED] = {"E_ENDED", 0},
};

enum {
	INBOX_MESSAGES = 64,
	INBOX_BYTES = 1 << 20, /* reached: no further message is asked for */
	STACK_BYTES = 512 << 10,
};

struct crpc_tag {
	void (*fire)(struct crpc_stream *stream, bool ok); /* stream thread, lock held */
};

struct crpc_stream {
	grpc_completion_queue *cq;
	grpc_call *call;
	char *target, *path; /* owned; for messages */
	int fd;              /* eventfd */
	pthread_t thread;
	bool running; /* the thread is there to be joined */
	pthread_mutex_t lock;
	pthread_cond_t changed;

	/* Guarded by lock. */
	struct sl_sm read, write, end;
	struct crpc_tag read_tag, write_tag, end_tag;
	struct crpc_status status;
	grpc_metadata_array initial;
	grpc_byte_buffer *incoming, *outgoing;
	bool close_wanted; /* crpc_stream_close_send() was called */
	bool discard;      /* being freed: what comes in is dropped */
	bool raised;       /* fd is readable */
	uint64_t taken;    /* messages that gRPC has taken */
	struct {
		uint8_t *data;
		size_t size;
	} inbox[INBOX_MESSAGES]; /* ring */
	unsigned first, waiting;
	size_t waiting_bytes;
};

#define suspend return

SL_DEFINE_AUTO(struct crpc_stream *, crpc_stream_free);

static void unlock_auto(pthread_mutex_t **lock)
{
	pthread_mutex_unlock(*lock);
}

/* Holds stream->lock until the scope ends. */
#define HOLD(stream)                                                                               \
	SL_AUTO(unlock_auto) pthread_mutex_t *held_ = &(stream)->lock;                             \
	pthread_mutex_lock(held_)

/* Status there and nothing more to read: the end may be told. */
static bool is_over(const struct crpc_stream *s)
{
	return s->end.at == E_ENDED && s->read.at == R_DRAINED;
}

/* --- the descriptor ----------------------------------------------------------- */

/* Makes fd say whether crpc_stream_recv() has news. */
static void update_fd(struct crpc_stream *s)
{
	bool news = s->waiting > 0 || is_over(s);
	if (news == s->raised) {
		return;
	}
	uint64_t count = 1;
	ssize_t done =
	    news ? write(s->fd, &count, sizeof(count)) : read(s->fd, &count, sizeof(count));
	if (done != (ssize_t)sizeof(count)) {
		abort(); /* an eventfd of our own between 0 and 1 */
	}
	s->raised = news;
}

/* --- inbox -------------------------------------------------------------------- */

static bool inbox_is_full(const struct crpc_stream *s)
{
	return s->waiting == INBOX_MESSAGES || s->waiting_bytes >= INBOX_BYTES;
}

static void inbox_put(struct crpc_stream *s)
{
	size_t size = 0;
	uint8_t *data = s->discard ? NULL : crpc_message_copy(s->incoming, &size);
	grpc_byte_buffer_destroy(SL_TAKE(s->incoming));
	if (s->discard) {
		return;
	}
	if (data == NULL) {
		s->discard = true; /* a message is lost: no later one may be delivered */
		(void)grpc_call_cancel_with_status(s->call, GRPC_STATUS_RESOURCE_EXHAUSTED,
						   "out of memory for a message", NULL);
		return;
	}
	unsigned at = (s->first + s->waiting) % INBOX_MESSAGES;
	s->inbox[at].data = data;
	s->inbox[at].size = size;
	s->waiting++;
	s->waiting_bytes += size;
}

static uint8_t *inbox_take(struct crpc_stream *s, size_t *ret_size)
{
	uint8_t *data = SL_TAKE(s->inbox[s->first].data);
	*ret_size = s->inbox[s->first].size;
	s->first = (s->first + 1) % INBOX_MESSAGES;
	s->waiting--;
	s->waiting_bytes -= *ret_size;
	return data;
}

/* --- machines ----------------------------------------------------------------- */

static void receive(struct crpc_stream *s)
{
	grpc_op op;
	memset(&op, 0, sizeof(op));
	op.op = GRPC_OP_RECV_MESSAGE;
	op.data.recv_message.recv_message = &s->incoming;
	crpc_start(s->call, &op, 1, &s->read_tag);
}

/* A send that is still out after the end would keep the thread for ever. */
static void hurry_write(struct crpc_stream *s)
{
	if (is_over(s) && s->write.at != W_CLOSED) {
		(void)grpc_call_cancel(s->call, NULL);
	}
}

static void read_step(struct crpc_stream *s, bool ok)
{
	switch (s->read.at) {
	case R_OPENING: /* without headers the receive comes back empty */
	case R_PAUSED:
		break;
	case R_READING:
		if (!ok || s->incoming == NULL) {
			sl_sm_move(&s->read, R_DRAINED);
			hurry_write(s);
			return;
		}
		inbox_put(s);
		if (inbox_is_full(s) && !s->discard) {
			sl_sm_move(&s->read, R_PAUSED);
			suspend;
		}
		break;
	default:
		abort();
	}
	sl_sm_move(&s->read, R_READING);
	receive(s);
	suspend;
}

static void write_step(struct crpc_stream *s, bool ok)
{
	if (s->write.at == W_SENDING) {
		grpc_byte_buffer_destroy(SL_TAKE(s->outgoing));
		s->taken += ok;
	}
	if (!ok || s->end.at == E_ENDED || s->write.at == W_CLOSING) {
		sl_sm_move(&s->write, W_CLOSED);
		return;
	}
	grpc_op op;
	memset(&op, 0, sizeof(op));
	if (s->outgoing != NULL) {
		sl_sm_move(&s->write, W_SENDING);
		op.op = GRPC_OP_SEND_MESSAGE;
		op.data.send_message.send_message = s->outgoing;
		crpc_start(s->call, &op, 1, &s->write_tag);
		suspend;
	}
	if (s->close_wanted) {
		sl_sm_move(&s->write, W_CLOSING);
		op.op = GRPC_OP_SEND_CLOSE_FROM_CLIENT;
		crpc_start(s->call, &op, 1, &s->write_tag);
		suspend;
	}
	sl_sm_move(&s->write, W_IDLE);
	suspend;
}

static void end_step(struct crpc_stream *s, bool ok)
{
	(void)ok; /* the status is always filled */
	sl_sm_move(&s->end, E_ENDED);
	if (s->write.at == W_IDLE) {
		write_step(s, true);
	}
	hurry_write(s);
}

/* The small thread: completions only, until the last one. */
static void *stream_main(void *arg)
{
	struct crpc_stream *s = arg;
	for (;;) {
		grpc_event ev =
		    grpc_completion_queue_next(s->cq, gpr_inf_future(GPR_CLOCK_REALTIME), NULL);
		if (ev.type == GRPC_QUEUE_SHUTDOWN) {
			return NULL;
		}
		HOLD(s);
		const struct crpc_tag *tag = ev.tag;
		tag->fire(s, ev.success != 0);
		update_fd(s);
		(void)pthread_cond_broadcast(&s->changed);
		if (is_over(s) && s->write.at == W_CLOSED) {
			grpc_completion_queue_shutdown(s->cq);
		}
	}
}

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
	sl_sm_init(&s->read, read_states, R_OPENING);
	sl_sm_init(&s->write, write_states, W_OPENING);
	sl_sm_init(&s->end, end_states, E_WAITING);
	s->read_tag.fire = read_step;
	s->write_tag.fire = write_step;
	s->end_tag.fire = end_step;
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
	int rc = pthread_create(&s->thread, &attr, stream_main, s);
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
		return sl_err_set(err, SL_RESOURCE_EXHAUSTED, "out of memory");
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
			read_step(s, true);
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
		free(inbox_take(s, &size));
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
	write_step(s, true);
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
		write_step(s, true);
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
	while (s->waiting == 0 && !is_over(s) && timeout_ms > 0 && wait_change(s, &until)) {
	}
	if (s->waiting > 0) {
		*ret_message = inbox_take(s, ret_size);
		if (s->read.at == R_PAUSED && !inbox_is_full(s)) {
			read_step(s, true);
		}
		update_fd(s);
		return SL_OK;
	}
	if (!is_over(s)) {
		return SL_OK;
	}
	*ret_ended = true;
	return crpc_status_err(&s->status, s->target, err);
}

int crpc_stream_fd(const struct crpc_stream *s)
{
	return s->fd;
}
