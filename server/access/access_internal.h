/* Shared by the files of access. */
#ifndef SL_SERVER_ACCESS_INTERNAL_H
#define SL_SERVER_ACCESS_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>

#include "base/mem/arena.h"
#include "server/access/access.h"

enum { ACCESS_CACHE_SLOTS = 4096, ACCESS_LIMIT_SLOTS = 4096, ACCESS_STREAM_BUCKETS = 1024 };

/* What is known of an identity as of a generation. Never changes; counted. */
struct access_entry {
	atomic_uint refs;
	uint64_t generation;
	struct access_caller caller; /* without not_after_ms */
	struct rights rights;        /* in the arena */
	struct sl_arena arena;
	const char *refused; /* why it may not even come in; NULL: it may. Static */
	enum sl_reason reason;
};

/* How far the calls of a principal are ahead of what is allowed. */
struct access_limit_slot {
	uint64_t subject; /* hash of its id */
	uint64_t due_us;  /* theoretical arrival of the next call */
};

struct access_stream;

struct access {
	struct access_options options;
	pthread_mutex_t lock; /* guards the slots */
	struct access_entry *slots[ACCESS_CACHE_SLOTS];
	/* Queue thread only: */
	struct access_limit_slot limits[ACCESS_LIMIT_SLOTS];
	struct access_stream *streams[ACCESS_STREAM_BUCKETS]; /* by address */
	size_t looked_at;                                     /* the bucket that is next */
};

/* One that is as new as the view; a reference. */
SL_MUST_USE sl_code access_entry_get(struct access *access, const struct store_view *view,
				     const struct ca_identity *name,
				     struct access_entry **ret_entry, struct sl_err *err);
void access_entry_unref(struct access_entry *entry); /* NULL is fine */

#endif
