/* porch: where those wait who come from where somebody came from who is out for what it sent
 * (base/tls/offenders.h). That one would dial again at once, and to find out that a key is out
 * takes a handshake: so there are so many of those a second, for all such addresses together, which
 * take turns (line.h). Everybody else is not held up, and neither are connections that are there.
 *
 * Who waits is a descriptor and what the kernel keeps, hears nothing, and is sent away after 10 s.
 * So a colleague of an offender's is late by as many as wait from the same address, ten a
 * second; most come in at once.
 *
 * gRPC hears of somebody when it is its turn: the guard (accept_guard.h) gives who has to wait to
 * porch_take(), the queue thread calls porch_tick(), and gRPC listens for its knock.
 *
 * One per process, open while a server with identities listens. Threads: any. */
#ifndef SL_SERVER_RPC_PORCH_H
#define SL_SERVER_RPC_PORCH_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "base/err/err.h"

enum { PORCH_ADDRESS_SIZE = 64 };

/* Of the server at this port, which has to listen at the address that is written, too. */
SL_MUST_USE sl_code porch_open(int port, char ret_address[static PORCH_ADDRESS_SIZE],
			       struct sl_err *err);
void porch_shut(void); /* hangs up on all who wait; again does no harm */

/* Has just been accepted there, and is to wait. True: is the porch's from now on; false: it has
 * nothing to do with that port. */
bool porch_take(int listener, int fd, const struct sockaddr *from);
/* Over which socket those come who are meant by what is accepted there; -1: it is no knock. */
int porch_hatch(int listener);
/* About ten times a second. */
void porch_tick(void);

#endif
