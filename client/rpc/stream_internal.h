/* What the machines of a stream (stream_step.c) and its owner's side (stream.c)
 * share. The drawing is in stream_step.c. Everything here wants the lock held. */
#ifndef SL_CLIENT_STREAM_INTERNAL_H
#define SL_CLIENT_STREAM_INTERNAL_H

#include <pthread.h>

#include "base/mem/own.h"
#include "base/sm/sm.h"
#include "client/rpc/rpc_internal.h"

enum { R_OPENING, R_READING, R_PAUSED, R_DRAINED };
enum { W_OPENING, W_IDLE, W_SENDING, W_CLOSING, W_CLOSED };
enum { E_WAITING, E_ENDED };

enum {
	INBOX_MESSAGES = 64,
	INBOX_BYTES = 1 << 20, /* reached: no further message is asked for */
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
	bool room_wanted;  /* an offer was refused: fd tells when another is worth while */
	uint64_t taken;    /* messages that gRPC has taken */
	struct {
		uint8_t *data;
		size_t size;
	} inbox[INBOX_MESSAGES]; /* ring */
	unsigned first, waiting;
	size_t waiting_bytes;
};

static inline void crpc_unlock_auto(pthread_mutex_t **lock)
{
	pthread_mutex_unlock(*lock);
}

/* Holds stream->lock until the scope ends. */
#define HOLD(stream)                                                                               \
	SL_AUTO(crpc_unlock_auto) pthread_mutex_t *held_ = &(stream)->lock;                        \
	pthread_mutex_lock(held_)

/* Status there and nothing more to read: the end may be told. */
bool crpc_is_over(const struct crpc_stream *stream);
/* Makes fd say whether crpc_stream_recv() has news, or a refused offer may be made again. */
void crpc_update_fd(struct crpc_stream *stream);

/* No further message is asked for. */
bool crpc_inbox_is_full(const struct crpc_stream *stream);
/* The oldest message, which there must be; the caller owns it. */
uint8_t *crpc_inbox_take(struct crpc_stream *stream, size_t *ret_size);

/* Sets the machines to their first states and ties the tags to them. */
void crpc_machines_init(struct crpc_stream *stream);
/* From the owner's side: only in R_PAUSED, when there is room. */
void crpc_read_step(struct crpc_stream *stream, bool ok);
/* From the owner's side: only in W_IDLE, with `outgoing` or `close_wanted` set. */
void crpc_write_step(struct crpc_stream *stream, bool ok);

/* The small thread: takes the lock itself. */
void *crpc_stream_main(void *stream);

#endif
