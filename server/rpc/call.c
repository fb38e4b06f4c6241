/* One unary call.
 *
 *   ACCEPTING --shutdown--------------------+     READING   a call that came as any
 *       | request in                        |        |      (stray.c): its request comes
 *       v                                   |        |      after it
 *    WORKING   with the handler, until  <---|--------+
 *       |      rpc_call_finish()            |
 *       v                                   v
 *   REPLYING --status sent or lost-------> DONE   freed once `closed` has fired
 *
 * rpc_call_step() is the only function that moves the machine; it runs on the
 * queue thread. The step tag is a baton: it lies either in the queue or, while
 * WORKING, with the handler, so nothing else needs a lock.
 *
 * A handler that finishes on another thread puts the call on the server's list of
 * returned ones. Only who finds the list empty posts its tag; when that comes, the
 * queue thread takes the whole list: a batch of writes wakes it once. */
#include <stddef.h>
#include <string.h>

#include <grpc/byte_buffer.h>
#include <grpc/byte_buffer_reader.h>
#include <grpc/support/alloc.h>
#include <grpc/support/time.h>

#include "base/clock/clock.h"
#include "base/log/log.h"
#include "server/rpc/rpc_internal.h"

enum { ACCEPTING, READING, WORKING, REPLYING, DONE };

static const struct sl_sm_state call_states[] = {
    [ACCEPTING] = {"ACCEPTING", SL_SM_TO(WORKING) | SL_SM_TO(DONE)},
    [READING] = {"READING", SL_SM_TO(WORKING)},
    [WORKING] = {"WORKING", SL_SM_TO(REPLYING)},
    [REPLYING] = {"REPLYING", SL_SM_TO(DONE)},
    [DONE] = {"DONE", 0},
};

struct rpc_call {
	struct sl_sm sm;
	struct rpc_tag step;            /* drives rpc_call_step(); never in two places */
	struct rpc_tag closed;          /* the client left, or the status went out */
	bool watched;                   /* for methods that wait: `closed` was asked for */
	bool watching;                  /* `closed` is still in the queue */
	bool busy;                      /* counted in server->busy */
	struct rpc_bound_method *bound; /* borrowed */

	grpc_call *grpc; /* owned, like all of gRPC's below */
	grpc_metadata_array metadata;
	gpr_timespec deadline;
	grpc_byte_buffer *request;
	grpc_slice request_slice; /* request, in one piece */
	int closed_by_client;     /* written by gRPC before `closed` fires */
	uint64_t began_us;

	struct rpc_identity *identity; /* a reference; NULL: nobody was asked */

	struct rpc_call *next; /* in server->returned */

	/* Set by rpc_call_finish(), read once the baton is back. */
	struct rpc_status status;
	grpc_byte_buffer *response;

	/* Any thread. */
	atomic_bool cancelled;
	_Atomic(char *) peer; /* gRPC's copy, made when first asked for */
};

#define suspend return

static void call_free(struct rpc_call *call)
{
	struct rpc_server *server = call->bound->server;
	bool busy = call->busy;
	if (call->grpc != NULL) {
		grpc_call_unref(call->grpc);
	}
	grpc_metadata_array_destroy(&call->metadata);
	grpc_slice_unref(call->request_slice);
	grpc_byte_buffer_destroy(call->request);
	grpc_byte_buffer_destroy(call->response);
	rpc_status_fini(&call->status);
	rpc_identity_unref(call->identity);
	gpr_free(atomic_load(&call->peer));
	free(call);
	rpc_server_call_gone(server, busy);
}

static void watch_close(struct rpc_call *call)
{
	grpc_op op = {.op = GRPC_OP_RECV_CLOSE_ON_SERVER};
	op.data.recv_close_on_server.cancelled = &call->closed_by_client;
	call->watched = call->watching = true;
	rpc_start(call->grpc, &op, 1, &call->closed);
}

static void send_reply(struct rpc_call *call)
{
	grpc_op ops[4] = {{.op = GRPC_OP_SEND_INITIAL_METADATA}};
	size_t count = 1;
	if (call->status.code == SL_OK) {
		ops[count].op = GRPC_OP_SEND_MESSAGE;
		ops[count].data.send_message.send_message = call->response;
		count++;
	}
	rpc_status_op(&call->status, &ops[count++]);
	if (!call->watched) { /* every call has to ask once; here it costs no event of its own */
		ops[count].op = GRPC_OP_RECV_CLOSE_ON_SERVER;
		ops[count].data.recv_close_on_server.cancelled = &call->closed_by_client;
		count++;
	}
	rpc_start(call->grpc, ops, count, &call->step);
}

bool rpc_read_all(grpc_byte_buffer *buffer, grpc_slice *ret_slice)
{
	grpc_byte_buffer_reader reader;
	if (buffer == NULL || buffer->data.raw.compression != GRPC_COMPRESS_NONE ||
	    !grpc_byte_buffer_reader_init(&reader, buffer)) {
		return false;
	}
	*ret_slice = grpc_byte_buffer_reader_readall(&reader);
	grpc_byte_buffer_reader_destroy(&reader);
	return true;
}

static void refuse_stopping(struct rpc_call *call)
{
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	sl_code code = rpc_stopping(&err);
	rpc_call_finish(call, code, &err, SL_BYTES_NONE);
}

static void refuse_nobody(struct rpc_call *call)
{
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	sl_code code = rpc_nobody(&err);
	rpc_call_finish(call, code, &err, SL_BYTES_NONE);
}

static void refuse_unreadable(struct rpc_call *call)
{
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	sl_code code = sl_err_because(&err, SL_INVALID_ARGUMENT, SL_REASON_MALFORMED,
				      "%s needs one request message", call->bound->method->path);
	rpc_call_finish(call, code, &err, SL_BYTES_NONE);
}

/* Hands the request to its handler, or refuses it. The last touch of the call:
 * the handler may finish it on another thread. */
static void hand_over(struct rpc_call *call)
{
	struct rpc_bound_method *bound = call->bound;
	if (rpc_server_is_draining(bound->server) && !bound->builtin) {
		refuse_stopping(call);
		return;
	}
	if (!rpc_read_all(call->request, &call->request_slice)) {
		refuse_unreadable(call);
		return;
	}
	if (!bound->builtin && !rpc_identify(bound->server, call->grpc, &call->identity)) {
		refuse_nobody(call);
		return;
	}
	call->busy = !bound->builtin;
	bound->server->busy += call->busy;
	bound->method->handle(call,
			      SL_BYTES(GRPC_SLICE_START_PTR(call->request_slice),
				       GRPC_SLICE_LENGTH(call->request_slice)),
			      bound->ctx);
}

static void work(struct rpc_call *call)
{
	if (call->bound->method->waits) {
		watch_close(call);
	}
	sl_sm_move(&call->sm, WORKING);
	hand_over(call);
}

static void rpc_call_step(struct rpc_call *call, bool ok)
{
	for (;;) {
		switch (call->sm.at) {
		case ACCEPTING:
			if (!ok) {
				sl_sm_move(&call->sm, DONE);
				continue;
			}
			call->began_us = sl_clock_mono_us();
			rpc_call_accept(call->bound); /* before the handler: one is always armed */
			work(call);
			suspend;
		case READING:
			work(call); /* without a request it is refused */
			suspend;
		case WORKING:
			sl_sm_move(&call->sm, REPLYING);
			send_reply(call);
			suspend;
		case REPLYING:
			rpc_server_finished(call->bound, call->status.code, call->began_us);
			sl_sm_move(&call->sm, DONE);
			continue;
		case DONE:
			if (!call->watching) {
				call_free(call);
			}
			return;
		default:
			abort();
		}
	}
}

/* All that other threads have finished, in the order in which they did. */
static void take_returned(struct rpc_server *server)
{
	struct rpc_call *newest =
	    atomic_exchange_explicit(&server->returned, NULL, memory_order_acquire);
	struct rpc_call *oldest = NULL;
	while (newest != NULL) {
		struct rpc_call *call = newest;
		newest = call->next;
		call->next = oldest;
		oldest = call;
	}
	while (oldest != NULL) {
		struct rpc_call *call = oldest;
		oldest = call->next;
		rpc_call_step(call, true);
	}
}

static void on_step(struct rpc_tag *tag, bool ok)
{
	struct rpc_call *call = SL_CONTAINER_OF(tag, struct rpc_call, step);
	if (call->sm.at == WORKING) { /* this one is on the list, too */
		take_returned(call->bound->server);
		return;
	}
	rpc_call_step(call, ok);
}

/* The call may be gone when this returns. */
static void give_back(struct rpc_call *call)
{
	struct rpc_server *server = call->bound->server;
	struct rpc_call *newest = atomic_load_explicit(&server->returned, memory_order_relaxed);
	do {
		call->next = newest;
	} while (!atomic_compare_exchange_weak_explicit(
	    &server->returned, &newest, call, memory_order_release, memory_order_relaxed));
	if (newest == NULL) { /* an empty batch only posts its tag (grpc.h) */
		rpc_start(call->grpc, NULL, 0, &call->step);
	}
}

static void on_closed(struct rpc_tag *tag, bool ok)
{
	(void)ok;
	struct rpc_call *call = SL_CONTAINER_OF(tag, struct rpc_call, closed);
	call->watching = false;
	if (call->closed_by_client) {
		atomic_store_explicit(&call->cancelled, true, memory_order_release);
	}
	if (call->sm.at == DONE) {
		rpc_call_step(call, true);
	}
}

static struct rpc_call *call_new(struct rpc_bound_method *bound, unsigned state)
{
	struct rpc_call *call = calloc(1, sizeof(*call));
	if (call == NULL) {
		abort(); /* nobody to tell */
	}
	sl_sm_init(&call->sm, call_states, state);
	call->step.fire = on_step;
	call->closed.fire = on_closed;
	call->bound = bound;
	call->request_slice = grpc_empty_slice();
	rpc_status_init(&call->status);
	grpc_metadata_array_init(&call->metadata);
	bound->server->calls++;
	return call;
}

void rpc_call_take(struct rpc_bound_method *bound, grpc_call *grpc, gpr_timespec deadline)
{
	struct rpc_call *call = call_new(bound, READING);
	call->grpc = grpc;
	call->deadline = deadline;
	call->began_us = sl_clock_mono_us();
	grpc_op op = {.op = GRPC_OP_RECV_MESSAGE};
	op.data.recv_message.recv_message = &call->request;
	rpc_start(grpc, &op, 1, &call->step);
}

void rpc_call_accept(struct rpc_bound_method *bound)
{
	struct rpc_server *server = bound->server;
	if (!rpc_server_accepts(server)) {
		return;
	}
	struct rpc_call *call = call_new(bound, ACCEPTING);
	rpc_tag_queue(&call->step);
	grpc_call_error rc = grpc_server_request_registered_call(
	    server->grpc, bound->registered, &call->grpc, &call->deadline, &call->metadata,
	    &call->request, server->cq, server->cq, &call->step);
	if (rc != GRPC_CALL_OK) {
		abort();
	}
}

static void log_failure(const struct rpc_call *call, sl_code code, const struct sl_err *err)
{
	if (code == SL_INTERNAL || code == SL_DATA_LOSS || code == SL_UNKNOWN) {
		log_error("rpc-failed", "method=%s code=%s peer=%s text=%s",
			  call->bound->method->path, sl_code_name(code), rpc_call_peer(call),
			  SL_QUOTE(err != NULL ? err->msg : ""));
	}
}

void rpc_call_finish(struct rpc_call *call, sl_code code, const struct sl_err *err,
		     struct sl_bytes response)
{
	rpc_status_set(&call->status, code, err);
	log_failure(call, code, err);
	if (code == SL_OK) {
		grpc_slice slice =
		    grpc_slice_from_copied_buffer((const char *)response.data, response.size);
		call->response = grpc_raw_byte_buffer_create(&slice, 1);
		grpc_slice_unref(slice);
	}
	if (rpc_server_on_queue_thread(call->bound->server)) {
		rpc_call_step(call, true);
		return;
	}
	give_back(call);
}

void *rpc_call_row(const struct rpc_call *call)
{
	return call->bound->method->row;
}

const struct rpc_method *rpc_call_method(const struct rpc_call *call)
{
	return call->bound->method;
}

const struct rpc_peer_identity *rpc_call_identity(const struct rpc_call *call)
{
	return rpc_identity_peer(call->identity);
}

uint64_t rpc_call_deadline_mono_ms(const struct rpc_call *call)
{
	gpr_timespec now = gpr_now(call->deadline.clock_type);
	int32_t left_ms = gpr_time_to_millis(gpr_time_sub(call->deadline, now));
	if (left_ms == INT32_MAX) { /* and so is everything beyond 24 days */
		return UINT64_MAX;
	}
	return sl_clock_mono_ms() + (left_ms > 0 ? (uint64_t)left_ms : 0);
}

bool rpc_call_is_cancelled(const struct rpc_call *call)
{
	return atomic_load_explicit(&call->cancelled, memory_order_acquire);
}

const char *rpc_call_peer(const struct rpc_call *call)
{
	struct rpc_call *mutable_call = (struct rpc_call *)call;
	char *peer = atomic_load(&mutable_call->peer);
	if (peer != NULL) {
		return peer;
	}
	char *mine = grpc_call_get_peer(call->grpc);
	if (!atomic_compare_exchange_strong(&mutable_call->peer, &peer, mine)) {
		gpr_free(mine); /* another thread was first */
		return peer;
	}
	return mine;
}
