/* folder: the directory that a store lives in: made, checked, locked.
 *
 * One process writes to a folder at a time. flock() on DIR/lock says who: the
 * kernel drops it with the process, however that ends. Private to server/store
 * and its tests. */
#ifndef SL_SERVER_STORE_FOLDER_H
#define SL_SERVER_STORE_FOLDER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err/err.h"

enum folder_lock {
	FOLDER_WRITE, /* made if missing; the lock is taken alone and names our pid */
	FOLDER_READ,  /* nothing is created; the lock is shared with other readers */
};

/* *ret_fd holds the lock until folder_close(); -1 when there is no lock file to hold (FOLDER_READ).
 * SL_FAILED_PRECONDITION: held by another process, or on a network file system. */
SL_MUST_USE sl_code folder_open(const char *path, enum folder_lock how, int *ret_fd,
				struct sl_err *err);

/* Gives the lock back. -1 is fine. */
void folder_close(int fd);

/* Makes the entries of the folder, and its own in its parent, durable. */
SL_MUST_USE sl_code folder_sync(const char *path, struct sl_err *err);

/* Sets close-on-exec on every descriptor of the file that `fd` is open on: LMDB
 * 0.9.24 leaves those of its data file open in children. */
SL_MUST_USE sl_code folder_close_on_exec(int fd, struct sl_err *err);

/* The name of the network file system with this statfs() magic, NULL for a local one. Static. */
const char *folder_network_name(uint64_t magic);

#endif
