/* load: one closed-loop generator of unary calls for every server that is
 * measured: N calls outstanding over C connections, each answered call followed
 * at once by the next one of its slot. What is called comes from the target.
 *
 * Threads: one at a time; load_run() does all work in the calling thread.
 * Trouble of the bench itself (out of memory, a server that answers nothing for
 * half a minute) ends the program with a message. */
#ifndef SL_BENCH_LOAD_H
#define SL_BENCH_LOAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes/bytes.h"
#include "tests/bench/histogram.h"

#define LOAD_METHODS_MAX 4
#define LOAD_TEXT_BYTES 200 /* of what a call's status says */
#define LOAD_REQUEST_MAX 4096

/* A request that the target fills. */
struct load_request {
	unsigned method; /* index in load_target.methods */
	size_t size;
	uint8_t data[LOAD_REQUEST_MAX];
};

/* What is called. Borrowed by the load until load_free(). */
struct load_target {
	const char *name; /* "sluiced", "etcd Txn" */
	int port;         /* on 127.0.0.1 */
	unsigned connections, outstanding;
	const char *methods[LOAD_METHODS_MAX]; /* "/package.Service/Method"; NULL ends */
	/* The next request of this slot (0 to outstanding - 1). */
	void (*next)(void *ctx, unsigned slot, struct load_request *ret_request);
	/* The slot's call ended; status is gRPC's. May be NULL. */
	void (*done)(void *ctx, unsigned slot, int status);
	void *ctx;
	uint64_t limit;      /* calls of one load_run() at most; 0: no bound */
	unsigned per_second; /* starts, evenly, while a slot is free; 0: as fast as replies come */
};

/* What a run found. Calls that failed are counted, and are in no other figure. */
struct load_result {
	uint64_t calls, failed;
	double seconds;
	double rate; /* calls that went well, per second */
	struct histogram latency;
	uint64_t reply_bytes;          /* of the last reply */
	char failure[LOAD_TEXT_BYTES]; /* of the first that failed */
};

struct load;

/* Before and after everything else here. */
void load_library_init(void);
void load_library_shutdown(void);

struct load *load_new(const struct load_target *target);
void load_free(struct load *load); /* NULL is fine; no call is outstanding */

/* Calls for `seconds`, then waits for what is outstanding. May be repeated: the connections stay.
 */
void load_run(struct load *load, double seconds, struct load_result *ret_result);

/* One call, on a connection of its own; waits for it. Returns gRPC's status. *ret_reply (may be
 * NULL) is the caller's to end with sl_buf_fini(); text (may be NULL) has LOAD_TEXT_BYTES. */
int load_call(int port, const char *method, struct sl_bytes request, struct sl_buf *ret_reply,
	      char *text);

/* --- for clients of their own form -------------------------------------------------- */

struct grpc_channel;

/* A connection of its own to 127.0.0.1:port, as the server there wants it (secure.h). */
struct grpc_channel *load_channel_new(int port);
/* The same with a window of 64 KiB that never grows: gRPC takes no more for who does not read. */
struct grpc_channel *load_channel_new_narrow(int port);

#endif
