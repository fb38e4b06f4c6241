/* gate: the port of the door. Takes in who connects, has them wait in line (server/rpc/line.h), and
 * hands those whose turn it is over to the door's child. Reads nothing of what they say; who waits
 * costs a descriptor and what the kernel keeps.
 *
 * So strangers who dial as fast as they can cost as many TLS handshakes a second as there are
 * turns, and hear nothing, which keeps them from dialling again. While there is no child, they
 * wait for the next one.
 *
 * Threads: gate_new() starts one; the others from any. */
#ifndef SL_SERVER_DOOR_GATE_H
#define SL_SERVER_DOOR_GATE_H

#include <stdint.h>

#include "base/err/err.h"
#include "server/rpc/hatch.h"

struct gate;

/* Turns a second (0: no bound). SL_UNAVAILABLE: the port is taken, or the address is wrong. */
SL_MUST_USE sl_code gate_new(const char *listen, uint64_t per_second, struct gate **ret_gate,
			     struct sl_err *err);
void gate_free(struct gate *gate); /* NULL is fine; hangs up on all who wait */
int gate_port(const struct gate *gate);

/* A child listens, and connections go to it. Borrowed until gate_shut(). */
void gate_open(struct gate *gate, const struct hatch *hatch);
void gate_shut(struct gate *gate);

#endif
