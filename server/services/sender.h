/* sender: one stream that a thread of its own sends much to, at the pace of its reader.
 *
 * The queue thread begins it and tells it what becomes of the stream; the thread sends, waits while
 * the outbox is full, and ends it. `lock` may guard more of the owner's. */
#ifndef SL_SERVER_SENDER_H
#define SL_SERVER_SENDER_H

#include <pthread.h>
#include <stdbool.h>

#include <protobuf-c/protobuf-c.h>

#include "base/err/err.h"
#include "server/rpc/rpc.h"

struct sender {
	pthread_mutex_t lock; /* guards what follows */
	pthread_cond_t wake;  /* drained, gone or stopping; CLOCK_MONOTONIC */
	bool drained, gone, stalled, stopping;
	struct rpc_stream *stream; /* the one that is served; a reference, the thread's */
};

void sender_init(struct sender *sender);
void sender_fini(struct sender *sender);

/* --- queue thread --- */

/* Takes a reference; nothing else is being sent. */
void sender_begin(struct sender *sender, struct rpc_stream *stream);
/* The stream's outbox is empty, or the stream is closed. Of another stream: nothing. */
void sender_note(struct sender *sender, const struct rpc_stream *stream, bool gone);
/* Ends what is being sent, and refuses what comes. Any thread. */
void sender_stop(struct sender *sender);

/* --- the thread --- */

/* False: nobody waits for more. */
bool sender_goes_on(struct sender *sender);
/* SL_UNAVAILABLE / STOPPING; SL_DEADLINE_EXCEEDED: the reader has taken nothing for a minute;
 * SL_CANCELLED: it has gone. */
SL_MUST_USE sl_code sender_why_ended(struct sender *sender, struct sl_err *err);
/* Waits for room, as long as the reader takes anything. */
SL_MUST_USE sl_code sender_send(struct sender *sender, const ProtobufCMessage *message,
				uint64_t mark, struct sl_err *err);

#endif
