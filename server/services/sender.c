#include "server/services/sender.h"

#include <stdlib.h>
#include <time.h>

#include "base/mem/own.h"

/* A client that takes nothing for so long holds up others: it is given up. */
enum { STALL_S = 60 };

void sender_init(struct sender *s)
{
	pthread_condattr_t monotonic;
	pthread_mutex_init(&s->lock, NULL);
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&s->wake, &monotonic);
	pthread_condattr_destroy(&monotonic);
}

void sender_fini(struct sender *s)
{
	pthread_cond_destroy(&s->wake);
	pthread_mutex_destroy(&s->lock);
}

void sender_begin(struct sender *s, struct rpc_stream *stream)
{
	pthread_mutex_lock(&s->lock);
	s->stream = rpc_stream_ref(stream);
	s->drained = s->gone = s->stalled = false;
	pthread_mutex_unlock(&s->lock);
}

void sender_note(struct sender *s, const struct rpc_stream *stream, bool gone)
{
	pthread_mutex_lock(&s->lock);
	if (s->stream == stream) {
		s->drained = true;
		s->gone = s->gone || gone;
		pthread_cond_broadcast(&s->wake);
	}
	pthread_mutex_unlock(&s->lock);
}

void sender_stop(struct sender *s)
{
	pthread_mutex_lock(&s->lock);
	s->stopping = true;
	pthread_cond_broadcast(&s->wake);
	pthread_mutex_unlock(&s->lock);
}

bool sender_goes_on(struct sender *s)
{
	pthread_mutex_lock(&s->lock);
	bool on = !s->gone && !s->stopping;
	pthread_mutex_unlock(&s->lock);
	return on;
}

sl_code sender_why_ended(struct sender *s, struct sl_err *err)
{
	pthread_mutex_lock(&s->lock);
	bool stopping = s->stopping, stalled = s->stalled;
	pthread_mutex_unlock(&s->lock);
	if (stopping) {
		return sl_err_because(err, SL_UNAVAILABLE, SL_REASON_STOPPING,
				      "the server is stopping");
	}
	return stalled ? sl_err_set(err, SL_DEADLINE_EXCEEDED,
				    "the client has taken nothing for %d s", STALL_S)
		       : sl_err_set(err, SL_CANCELLED, "the client has gone");
}

/* False: nobody waits for the rest. */
static bool wait_for_room(struct sender *s)
{
	struct timespec until;
	int rc = 0;
	(void)clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += STALL_S;
	pthread_mutex_lock(&s->lock);
	while (!s->drained && !s->gone && !s->stopping && rc == 0) {
		rc = pthread_cond_timedwait(&s->wake, &s->lock, &until);
	}
	s->stalled = !s->drained && rc != 0;
	bool on = !s->gone && !s->stopping && !s->stalled;
	pthread_mutex_unlock(&s->lock);
	return on;
}

sl_code sender_send(struct sender *s, const ProtobufCMessage *message, uint64_t mark,
		    struct sl_err *err)
{
	size_t size = protobuf_c_message_get_packed_size(message);
	SL_AUTO(sl_free_auto) uint8_t *bytes = malloc(size + 1);
	if (bytes == NULL) {
		return sl_err_no_memory(err);
	}
	(void)protobuf_c_message_pack(message, bytes);
	for (;;) {
		pthread_mutex_lock(&s->lock);
		s->drained = false; /* before the send: drained() may come at once */
		pthread_mutex_unlock(&s->lock);
		sl_code code = rpc_stream_send_bytes(s->stream, SL_BYTES(bytes, size), mark);
		if (code == SL_OK) {
			return SL_OK;
		}
		if (code != SL_RESOURCE_EXHAUSTED || !wait_for_room(s)) {
			return sender_why_ended(s, err);
		}
	}
}
