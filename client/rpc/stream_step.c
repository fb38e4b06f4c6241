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
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <grpc/byte_buffer.h>
#include <grpc/support/time.h>

#include "client/rpc/stream_internal.h"

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

#define suspend return

bool crpc_is_over(const struct crpc_stream *s)
{
	return s->end.at == E_ENDED && s->read.at == R_DRAINED;
}

/* --- the descriptor ----------------------------------------------------------- */

/* Makes fd say whether crpc_stream_recv() has news. */
void crpc_update_fd(struct crpc_stream *s)
{
	bool room = s->room_wanted && (s->write.at == W_IDLE || s->write.at == W_CLOSED);
	bool news = s->waiting > 0 || crpc_is_over(s) || room;
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

bool crpc_inbox_is_full(const struct crpc_stream *s)
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

uint8_t *crpc_inbox_take(struct crpc_stream *s, size_t *ret_size)
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
	if (crpc_is_over(s) && s->write.at != W_CLOSED) {
		(void)grpc_call_cancel(s->call, NULL);
	}
}

void crpc_read_step(struct crpc_stream *s, bool ok)
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
		if (crpc_inbox_is_full(s) && !s->discard) {
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

void crpc_write_step(struct crpc_stream *s, bool ok)
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
		crpc_write_step(s, true);
	}
	hurry_write(s);
}

void crpc_machines_init(struct crpc_stream *s)
{
	sl_sm_init(&s->read, read_states, R_OPENING);
	sl_sm_init(&s->write, write_states, W_OPENING);
	sl_sm_init(&s->end, end_states, E_WAITING);
	s->read_tag.fire = crpc_read_step;
	s->write_tag.fire = crpc_write_step;
	s->end_tag.fire = end_step;
}

/* The small thread: completions only, until the last one. */
void *crpc_stream_main(void *arg)
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
		crpc_update_fd(s);
		(void)pthread_cond_broadcast(&s->changed);
		if (crpc_is_over(s) && s->write.at == W_CLOSED) {
			grpc_completion_queue_shutdown(s->cq);
		}
	}
}
