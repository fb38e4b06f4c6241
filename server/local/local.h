/* local: DIR/admin.sock, by which the server's own user asks a running server for an access token
 * of `admin`: for those who are locked out.
 *
 * A UNIX socket (0600) that answers its own user and root only: those can read DIR/keys and DIR,
 * and so could make a token without asking. One question and one answer a connection, one packet
 * each: "token", and a login file (base/join/login.h) or {"error": "..."}. What is made is audited
 * as every change is.
 *
 * Threads: one of its own, which waits for the store; local_new() and local_free() from any. */
#ifndef SL_SERVER_LOCAL_H
#define SL_SERVER_LOCAL_H

#include "base/err/err.h"
#include "base/join/login.h"
#include "server/ca/ca.h"
#include "server/store/store.h"

#define LOCAL_TOKEN_LIFE_MS (24ULL * 3600 * 1000) /* it is made to be used now */

/* Where a port is reached. */
struct local_port {
	const char *advertised; /* host:port; "": the host of `listen`, or loopback, and port */
	const char *listen;
	int port; /* 0: there is none */
};

struct local_options {
	const char *data;    /* DIR; all of this is borrowed until free */
	struct store *store; /* stays open until local_free() */
	struct ca *ca;
	struct local_port server, door;
};

struct local;

/* SL_FAILED_PRECONDITION: the socket cannot be made. Who holds the store's lock may call it: what
 * is left of a server that was killed is replaced. */
SL_MUST_USE sl_code local_new(const struct local_options *options, struct local **ret_local,
			      struct sl_err *err);
void local_free(struct local *local); /* takes the socket away; NULL is fine */

/* Asks the server that runs on DIR. SL_NOT_FOUND: none answers there. *ret_file is the caller's. */
SL_MUST_USE sl_code local_ask(const char *data, struct login_file *ret_file, struct sl_err *err);

#endif
