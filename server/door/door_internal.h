/* Shared by the files of server/door. */
#ifndef SL_SERVER_DOOR_INTERNAL_H
#define SL_SERVER_DOOR_INTERNAL_H

#include <sys/types.h>

#include "server/door/door.h"
#include "server/door/wire.h"
#include "server/rpc/hatch.h"

/* One child, from its start to its end: see keeper.c. */
struct door_child {
	pid_t pid;
	int fd, pid_fd;     /* -1: none */
	struct hatch hatch; /* connections go through it (gate.h); its fd -1: none */
};
/* SL_INTERNAL says what the system refused. */
SL_MUST_USE sl_code door_spawn(struct door_child *ret_child, struct sl_err *err);
/* Kills it if it still lives; says how it ended in `how`. */
void door_child_end(struct door_child *child, char *how, size_t how_size);

/* listen.c. *ret_fd does not block; what comes of it says its first word before it is accepted.
 * SL_UNAVAILABLE: the port is taken, or the address is wrong. */
SL_MUST_USE sl_code door_listen(const char *address, int *ret_fd, int *ret_port,
				struct sl_err *err);

#endif
