/* Shared by the files of server/door. */
#ifndef SL_SERVER_DOOR_INTERNAL_H
#define SL_SERVER_DOOR_INTERNAL_H

#include <sys/types.h>

#include "server/door/door.h"
#include "server/door/wire.h"

/* One child, from its start to its end: see keeper.c. */
struct door_child {
	pid_t pid;
	int fd, pid_fd; /* -1: none */
};
/* SL_INTERNAL says what the system refused. */
SL_MUST_USE sl_code door_spawn(struct door_child *ret_child, struct sl_err *err);
/* Kills it if it still lives; says how it ended in `how`. */
void door_child_end(struct door_child *child, char *how, size_t how_size);

#endif
