/* requests: which request ids took effect, so that a retry gets the first reply again.
 *
 * The replies themselves lie in the change log; this is the index over them, in
 * memory: request key -> revision. It is rebuilt from the log at start, newest
 * first, until it is full or older than it keeps (SEMANTICS: 24 h, at most
 * --requests-max, oldest go first).
 *
 * Threads: the store's writer uses all of it. requests_load() is for another, before the first
 * command; the writer may prune meanwhile. requests_stats() is for any thread. */
#ifndef SL_SERVER_REQUESTS_H
#define SL_SERVER_REQUESTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err/err.h"
#include "server/store/store.h"

#define REQUEST_KEY_BYTES 16

struct requests;

/* `max` replies (0: none at all), each for `keep_ms`. */
SL_MUST_USE sl_code requests_new(size_t max, uint64_t keep_ms, struct requests **ret_requests,
				 struct sl_err *err);
void requests_free(struct requests *requests); /* NULL is fine */

/* Reads the log backwards; before the first command. A record's age is the time to the one after
 * it, and so on: of a step at most an eighth of keep_ms counts, since a clock that was set, also
 * while no server ran, must not make it forget. So a time without writes makes it keep more. */
SL_MUST_USE sl_code requests_load(struct requests *requests, const struct store_view *view,
				  uint64_t now_ms, struct sl_err *err);

/* The revision whose log record holds the reply; 0: none. The caller compares the key in that
 * record: an entry may be of a command that was decided but not committed. */
uint64_t requests_find(struct requests *requests, const uint8_t key[static REQUEST_KEY_BYTES]);
/* Notes that `key` takes effect with `revision`; drops what is too old or too much. */
void requests_put(struct requests *requests, const uint8_t key[static REQUEST_KEY_BYTES],
		  uint64_t revision, uint64_t at_ms);

/* The oldest revision whose reply is still kept; UINT64_MAX: none. For pruning the log. 0 until
 * requests_load() is done: nobody knows yet. Drops what is too old. */
uint64_t requests_oldest_revision(struct requests *requests, uint64_t now_ms);

struct requests_stats {
	size_t kept;
	uint64_t since_ms; /* when the oldest was written; 0: none is kept */
};
struct requests_stats requests_stats(struct requests *requests);

#endif
