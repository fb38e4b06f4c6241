/* One stream: two machines, one per half, each with its own baton.
 *
 *   read:   ACCEPTING --> READING --client done or gone--> ENDING --> CLOSED
 *               |             ^  | message
 *               |shutdown     +--+
 *               +------------------------------------------------> CLOSED
 *
 *   write:  WAITING --> SENDING <--> IDLE
 *              |           |          |
 *              |shutdown   +--finish--+--> TRAILERS --> CLOSED
 *              +-----------------------------------------> CLOSED
 *
 * gRPC lets a receive batch and a send batch of one call run side by side, so
 * the halves need no common lock. The outbox is all that other threads touch;
 * `lock` guards it. The stream is gone once both halves are CLOSED and the
 * close tag has come back.
 *
 * A quiet stream has one tag in the queue, since gRPC's assertions look through all of them at each
 * event: so the close tag goes out when there is nothing more to read. ENDING lets it come first if
 * the client is gone. */
#include <stddef.h>
#include <string.h>

#include <grpc/support/alloc.h>
#include <grpc/support/time.h>

#include "base/clock/clock.h"
#include "server/rpc/outbox.h"
#include "server/rpc/rpc_internal.h"

#define CUT_OFF_MS 10000 /* for the reader to take the end of its stream */

enum { R_ACCEPTING, R_READING, R_ENDING, R_CLOSED };
enum { W_WAITING, W_SENDING, W_IDLE, W_TRAILERS, W_CLOSED };

static const struct sl_sm_state read_states[] = {
    [R_ACCEPTING] = {"R_ACCEPTING", SL_SM_TO(R_READING) | SL_SM_TO(R_CLOSED)},
    [R_READING] = {"R_READING", SL_SM_TO(R_READING) | SL_SM_TO(R_ENDING)},
    [R_ENDING] = {"R_ENDING", SL_SM_TO(R_CLOSED)},
    [R_CLOSED] = {"R_CLOSED", 0},
};
static const struct sl_sm_state write_states[] = {
    [W_WAITING] = {"W_WAITING", SL_SM_TO(W_SENDING) | SL_SM_TO(W_CLOSED)},
    [W_SENDING] = {"W_SENDING", SL_SM_TO(W_SENDING) | SL_SM_TO(W_IDLE) | SL_SM_TO(W_TRAILERS)},
    [W_IDLE] = {"W_IDLE", SL_SM_TO(W_IDLE) | SL_SM_TO(W_SENDING) | SL_SM_TO(W_TRAILERS)},
    [W_TRAILERS] = {"W_TRAILERS", SL_SM_TO(W_CLOSED)},
    [W_CLOSED] = {"W_CLOSED", 0},
};

struct rpc_stream {
	atomic_uint refs;
	struct rpc_bound_method *bound; /* borrowed */
	char *peer;                     /* owned; set in opening */
	struct rpc_identity *identity;  /* a reference, set in opening; NULL: nobody was asked */

	/* Queue thread only. */
	struct sl_sm read, write;
	struct rpc_tag read_tag, write_tag, closed_tag;
	bool watching; /* closed_tag is still in the queue */
	bool opened;   /* the owner has seen it */
	bool cut_off;
	void *user;
	uint64_t began_us;
	struct rpc_stream *next, **link; /* server->streams */
	grpc_call *grpc;                 /* owned, like all of gRPC's below */
	grpc_metadata_array metadata;
	gpr_timespec deadline;
	grpc_byte_buffer *incoming, *outgoing;
	int closed_by_client; /* written by gRPC before closed_tag fires */

	pthread_mutex_t lock; /* guards the rest */
	bool idle;            /* the write half rests: `woken` and write_tag lie here */
	struct rpc_woken woken;
	bool sealed;        /* nothing more goes out but the status */
	bool ending;        /* status is set, and final */
	uint64_t ending_ms; /* since when the reader has taken nothing of the end */
	struct rpc_status status;
	struct outbox outbox;
	uint64_t handed_mark; /* of the last message given to gRPC */
};

#define suspend return

/* --- references, end --------------------------------------------------------------- */

struct rpc_stream *rpc_stream_ref(struct rpc_stream *s)
{
	atomic_fetch_add_explicit(&s->refs, 1, memory_order_relaxed);
	return s;
}

void rpc_stream_unref(struct rpc_stream *s)
{
	if (s == NULL || atomic_fetch_sub_explicit(&s->refs, 1, memory_order_acq_rel) != 1) {
		return;
	}
	outbox_fini(&s->outbox);
	grpc_byte_buffer_destroy(s->incoming);
	grpc_byte_buffer_destroy(s->outgoing);
	grpc_metadata_array_destroy(&s->metadata);
	rpc_status_fini(&s->status);
	pthread_mutex_destroy(&s->lock);
	rpc_identity_unref(s->identity);
	gpr_free(s->peer);
	free(s);
}

/* An owner leaves out what it has no use for. */
static void tell(struct rpc_stream *s, void (*event)(struct rpc_stream *stream, void *ctx))
{
	if (event != NULL) {
		event(s, s->bound->ctx);
	}
}

static void link_in(struct rpc_stream *s)
{
	struct rpc_server *server = s->bound->server;
	s->next = server->streams;
	s->link = &server->streams;
	if (s->next != NULL) {
		s->next->link = &s->next;
	}
	server->streams = s;
	server->busy++;
}

static void link_out(struct rpc_stream *s)
{
	*s->link = s->next;
	if (s->next != NULL) {
		s->next->link = s->link;
	}
	s->link = NULL;
}

static void maybe_gone(struct rpc_stream *s)
{
	if (s->read.at != R_CLOSED || s->write.at != W_CLOSED || s->watching) {
		return;
	}
	struct rpc_server *server = s->bound->server;
	bool linked = s->link != NULL;
	if (linked) {
		link_out(s);
		rpc_server_finished(s->bound, s->status.code, s->began_us);
	}
	if (s->opened) {
		tell(s, s->bound->method->stream->closed);
	}
	if (s->grpc != NULL) {
		grpc_call_unref(SL_TAKE(s->grpc));
	}
	rpc_stream_unref(s);
	rpc_server_call_gone(server, linked);
}

/* --- write half ---------------------------------------------------------------------- */

/* The oldest message as gRPC wants it, or NULL; then *ret_ending says whether
 * the status is next, and the write half rests if it may. */
static grpc_byte_buffer *next_outgoing(struct rpc_stream *s, bool may_rest, bool *ret_ending)
{
	struct rpc_message *message = NULL;
	pthread_mutex_lock(&s->lock);
	if (!s->sealed) {
		message = outbox_take(&s->outbox, &s->handed_mark);
	}
	if (message != NULL) {
		s->ending_ms = s->ending ? sl_clock_mono_ms() : 0;
	}
	*ret_ending = s->ending;
	s->idle = may_rest && message == NULL && !s->ending;
	pthread_mutex_unlock(&s->lock);
	if (message == NULL) {
		return NULL;
	}
	grpc_byte_buffer *copy = grpc_byte_buffer_copy(message->buffer);
	rpc_message_unref(message);
	return copy;
}

static void send_trailers(struct rpc_stream *s)
{
	grpc_op op;
	rpc_status_op(&s->status, &op); /* final: no lock */
	sl_sm_move(&s->write, W_TRAILERS);
	rpc_start(s->grpc, &op, 1, &s->write_tag);
}

static void end_cancelled(struct rpc_stream *s, const char *why)
{
	struct sl_err gone = SL_ERR_INIT;
	sl_code code = sl_err_set(&gone, SL_CANCELLED, "%s", why);
	rpc_stream_finish(s, code, &gone);
}

static void write_step(struct rpc_stream *s, bool ok)
{
	if (s->write.at == W_TRAILERS) {
		sl_sm_move(&s->write, W_CLOSED);
		maybe_gone(s);
		return;
	}
	bool sent = s->outgoing != NULL;
	grpc_byte_buffer_destroy(SL_TAKE(s->outgoing));
	if (!ok) {
		end_cancelled(s, "the client is gone");
	}
	bool ending = false;
	s->outgoing = next_outgoing(s, !sent, &ending);
	if (s->outgoing == NULL && sent && !ending) {
		tell(s, s->bound->method->stream->drained);
		s->outgoing = next_outgoing(s, true, &ending);
	}
	if (s->outgoing != NULL) {
		sl_sm_move(&s->write, W_SENDING);
		grpc_op op = {.op = GRPC_OP_SEND_MESSAGE};
		op.data.send_message.send_message = s->outgoing;
		rpc_start(s->grpc, &op, 1, &s->write_tag);
		suspend;
	}
	if (ending) {
		send_trailers(s);
		suspend;
	}
	/* Another thread may have woken it by now; that is heard on this thread, later. */
	sl_sm_move(&s->write, W_IDLE);
	suspend;
}

/* Caller holds the lock. */
static void wake_writer(struct rpc_stream *s)
{
	if (s->idle) {
		s->idle = false;
		rpc_wake(s->bound->server, &s->woken, s->grpc);
	}
}

void rpc_stream_woken(struct rpc_woken *woken)
{
	write_step(SL_CONTAINER_OF(woken, struct rpc_stream, woken), true);
}

sl_code rpc_stream_send(struct rpc_stream *s, struct rpc_message *message, uint64_t mark)
{
	sl_code code = SL_CANCELLED;
	pthread_mutex_lock(&s->lock);
	if (!s->ending && !s->sealed) {
		code = outbox_put(&s->outbox, message, mark);
	}
	if (code == SL_OK) {
		wake_writer(s);
	}
	pthread_mutex_unlock(&s->lock);
	return code;
}

sl_code rpc_stream_send_bytes(struct rpc_stream *s, struct sl_bytes bytes, uint64_t mark)
{
	struct rpc_message *message = rpc_message_new(bytes);
	if (message == NULL) {
		return SL_RESOURCE_EXHAUSTED;
	}
	sl_code code = rpc_stream_send(s, message, mark);
	rpc_message_unref(message);
	return code;
}

uint64_t rpc_stream_seal(struct rpc_stream *s)
{
	pthread_mutex_lock(&s->lock);
	s->sealed = true;
	outbox_clear(&s->outbox);
	uint64_t mark = s->handed_mark;
	pthread_mutex_unlock(&s->lock);
	return mark;
}

void rpc_stream_finish(struct rpc_stream *s, sl_code code, const struct sl_err *err)
{
	struct rpc_status status;
	rpc_status_init(&status);
	rpc_status_set(&status, code, err);
	pthread_mutex_lock(&s->lock);
	bool first = !s->ending;
	if (first) {
		s->ending = true;
		s->ending_ms = sl_clock_mono_ms();
		s->status = status;
		if (code != SL_OK) {
			s->sealed = true;
			outbox_clear(&s->outbox);
		}
		wake_writer(s);
	}
	pthread_mutex_unlock(&s->lock);
	if (!first) {
		rpc_status_fini(&status);
	}
}

static bool is_ending(struct rpc_stream *s)
{
	pthread_mutex_lock(&s->lock);
	bool ending = s->ending;
	pthread_mutex_unlock(&s->lock);
	return ending;
}

/* --- read half ----------------------------------------------------------------------- */

static void receive(struct rpc_stream *s)
{
	grpc_op op = {.op = GRPC_OP_RECV_MESSAGE};
	op.data.recv_message.recv_message = &s->incoming;
	rpc_start(s->grpc, &op, 1, &s->read_tag);
}

/* Once the stream is ending its owner hears of nothing but `closed`. */
static void deliver(struct rpc_stream *s)
{
	grpc_slice all = grpc_empty_slice();
	bool heard = s->opened && !is_ending(s) && s->bound->method->stream->message != NULL;
	if (heard && rpc_read_all(s->incoming, &all)) {
		s->bound->method->stream->message(
		    s, SL_BYTES(GRPC_SLICE_START_PTR(all), GRPC_SLICE_LENGTH(all)), s->bound->ctx);
	} else if (heard) {
		SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
		sl_code code =
		    sl_err_because(&err, SL_INVALID_ARGUMENT, SL_REASON_MALFORMED,
				   "%s takes no compressed messages", s->bound->method->path);
		rpc_stream_finish(s, code, &err);
	}
	grpc_slice_unref(all);
	grpc_byte_buffer_destroy(SL_TAKE(s->incoming));
}

static void open_stream(struct rpc_stream *s)
{
	s->began_us = sl_clock_mono_us();
	s->peer = grpc_call_get_peer(s->grpc);
	rpc_stream_accept(s->bound); /* one is always armed */
	link_in(s);
	sl_sm_move(&s->write, W_SENDING);
	grpc_op hello = {.op = GRPC_OP_SEND_INITIAL_METADATA};
	rpc_start(s->grpc, &hello, 1, &s->write_tag);
	if (rpc_server_is_draining(s->bound->server)) {
		SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
		sl_code code = rpc_stopping(&err);
		rpc_stream_finish(s, code, &err);
		return;
	}
	if (!s->bound->builtin && !rpc_identify(s->bound->server, s->grpc, &s->identity)) {
		SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
		sl_code code = rpc_nobody(&err);
		rpc_stream_finish(s, code, &err);
		return;
	}
	s->opened = true;
	tell(s, s->bound->method->stream->opened);
}

/* An empty batch only posts its tag (grpc.h): behind the close tag, if that is there already. */
static void read_ended(struct rpc_stream *s)
{
	grpc_op close = {.op = GRPC_OP_RECV_CLOSE_ON_SERVER};
	close.data.recv_close_on_server.cancelled = &s->closed_by_client;
	s->watching = true;
	sl_sm_move(&s->read, R_ENDING);
	rpc_start(s->grpc, &close, 1, &s->closed_tag);
	rpc_start(s->grpc, NULL, 0, &s->read_tag);
}

static void read_closed(struct rpc_stream *s)
{
	sl_sm_move(&s->read, R_CLOSED);
	if (s->opened && !is_ending(s)) {
		tell(s, s->bound->method->stream->half_closed);
	}
	maybe_gone(s);
}

static void read_step(struct rpc_stream *s, bool ok)
{
	switch (s->read.at) {
	case R_ACCEPTING:
		if (!ok) {
			sl_sm_move(&s->write, W_CLOSED);
			sl_sm_move(&s->read, R_CLOSED);
			maybe_gone(s);
			return;
		}
		open_stream(s);
		break;
	case R_READING:
		if (!ok || s->incoming == NULL) {
			read_ended(s);
			suspend;
		}
		deliver(s);
		break;
	case R_ENDING:
		read_closed(s);
		return;
	default:
		abort();
	}
	sl_sm_move(&s->read, R_READING);
	receive(s);
	suspend;
}

static void on_read(struct rpc_tag *tag, bool ok)
{
	read_step(SL_CONTAINER_OF(tag, struct rpc_stream, read_tag), ok);
}

static void on_write(struct rpc_tag *tag, bool ok)
{
	write_step(SL_CONTAINER_OF(tag, struct rpc_stream, write_tag), ok);
}

static void on_closed(struct rpc_tag *tag, bool ok)
{
	(void)ok;
	struct rpc_stream *s = SL_CONTAINER_OF(tag, struct rpc_stream, closed_tag);
	s->watching = false;
	if (s->closed_by_client) {
		end_cancelled(s, "the client is gone");
	}
	maybe_gone(s);
}

void rpc_stream_accept(struct rpc_bound_method *bound)
{
	struct rpc_server *server = bound->server;
	if (!rpc_server_accepts(server)) {
		return;
	}
	struct rpc_stream *s = calloc(1, sizeof(*s));
	if (s == NULL) {
		abort(); /* nobody to tell */
	}
	atomic_init(&s->refs, 1);
	s->bound = bound;
	sl_sm_init(&s->read, read_states, R_ACCEPTING);
	sl_sm_init(&s->write, write_states, W_WAITING);
	s->read_tag.fire = on_read;
	s->write_tag.fire = on_write;
	s->closed_tag.fire = on_closed;
	rpc_status_init(&s->status);
	grpc_metadata_array_init(&s->metadata);
	pthread_mutex_init(&s->lock, NULL);
	server->calls++;
	rpc_tag_queue(&s->read_tag);
	grpc_call_error rc = grpc_server_request_registered_call(
	    server->grpc, bound->registered, &s->grpc, &s->deadline, &s->metadata, NULL, server->cq,
	    server->cq, &s->read_tag);
	if (rc != GRPC_CALL_OK) {
		abort();
	}
}

/* --- all streams ------------------------------------------------------------------------ */

void rpc_streams_stop(struct rpc_server *server)
{
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	sl_code code = rpc_stopping(&err);
	for (struct rpc_stream *s = server->streams; s != NULL; s = s->next) {
		if (s->bound->method->stream == &rpc_health_watch) {
			rpc_health_stopping(s);
		} else {
			rpc_stream_finish(s, code, &err);
		}
	}
}

void rpc_streams_sweep(struct rpc_server *server, uint64_t now_ms)
{
	for (struct rpc_stream *s = server->streams; s != NULL; s = s->next) {
		pthread_mutex_lock(&s->lock);
		bool late = s->ending && now_ms >= s->ending_ms + CUT_OFF_MS;
		pthread_mutex_unlock(&s->lock);
		if (late && !s->cut_off) {
			s->cut_off = true;
			(void)grpc_call_cancel(s->grpc, NULL);
		}
	}
}

/* --- what the owner asks ------------------------------------------------------------------ */

void rpc_stream_set_user(struct rpc_stream *s, void *user)
{
	s->user = user;
}

void *rpc_stream_user(const struct rpc_stream *s)
{
	return s->user;
}

const struct rpc_peer_identity *rpc_stream_identity(const struct rpc_stream *s)
{
	return rpc_identity_peer(s->identity);
}

const char *rpc_stream_peer(const struct rpc_stream *s)
{
	return s->peer;
}
