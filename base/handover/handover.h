/* handover: an open descriptor travels with a message, over a Unix socket that keeps messages
 * apart. Threads: any. */
#ifndef SL_BASE_HANDOVER_H
#define SL_BASE_HANDOVER_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* Does not block. The message has at least a byte; fd stays the caller's. False: errno says why. */
bool handover_send(int socket, const void *message, size_t size, int fd);

/* As recv(2), with its flags. *ret_fd is the descriptor that came along, close-on-exec and the
 * caller's, or -1: none came, or there was no room for one, or more than one came, which are
 * closed. */
ssize_t handover_receive(int socket, void *out, size_t room, int flags, int *ret_fd);

#endif
