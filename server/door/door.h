/* door: the port for strangers. A child process speaks TLS and gRPC with them, so many a second;
 * what they want is decided here, in the parent, one after another.
 *
 *   stranger --> gate thread --connection--> child --records--> keeper thread --answer()--> server
 *
 * The child has no file, no store, no key but that of its own port, a memory cap and a short list
 * of system calls; it can be made to crash, and is started again: nobody but strangers notices.
 *
 * Threads: door_new() starts the gate's (gate.h) and the keeper's, which lives as long as the
 * process (the child dies with it) and calls the options' functions. */
#ifndef SL_SERVER_DOOR_H
#define SL_SERVER_DOOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes/bytes.h"
#include "base/err/err.h"

struct door;

enum door_method { DOOR_METHOD_ENROLL, DOOR_METHOD_LOGIN, DOOR_METHOD_RENEW };

/* What a stranger wants. Borrowed; of what the child says nothing is believed. */
struct door_ask {
	enum door_method method;
	const char *peer;            /* "ipv4:10.0.0.7:4711"; printable */
	const char *token;           /* ENROLL, LOGIN */
	struct sl_bytes certificate; /* RENEW */
	struct sl_bytes request;     /* PEM */
	struct sl_bytes box_key;     /* ENROLL */
	struct sl_bytes signature;   /* ENROLL, RENEW */
	uint64_t counter;            /* RENEW */
	struct sl_bytes nonce;       /* RENEW */
};

/* What the child shows: PEM, malloc'd, the receiver's. */
struct door_certificate {
	char *cert_pem, *key_pem, *ca_pem;
};

struct door_options {
	const char *listen;          /* HOST:PORT; port 0 picks one */
	uint64_t accepts_per_second; /* more connections wait for their turn; 0: no bound */
	/* A certificate of the door's own for the next child. */
	sl_code (*certificate)(void *ctx, struct door_certificate *ret_certificate,
			       struct sl_err *err);
	/* SL_OK: *reply is the packed response of the method. Anything else refuses with *err.
	 * May block for as long as the store takes. */
	sl_code (*answer)(void *ctx, const struct door_ask *ask, struct sl_buf *reply,
			  struct sl_err *err);
	void *ctx;
};

/* SL_UNAVAILABLE: the port is taken, or the first child does not start. Waits for that, some
 * seconds at most. */
SL_MUST_USE sl_code door_new(const struct door_options *options, struct door **ret_door,
			     struct sl_err *err);
int door_port(const struct door *door);
/* No answer is asked for any more; ends the child. */
void door_stop(struct door *door);
void door_free(struct door *door); /* NULL is fine */

struct door_stats {
	uint64_t starts;                  /* of the child */
	uint64_t answered[3], refused[3]; /* by method */
	bool listening;
	int pid; /* of the child that listens; 0: none */
};
void door_stats_read(struct door *door, struct door_stats *ret_stats); /* any thread */

/* The child: the same binary, called as "door". Returns the exit code. */
int door_child_main(void);

#endif
