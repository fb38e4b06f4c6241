/* socket: DIR/admin.sock, however long DIR is. */
#ifndef SL_SERVER_LOCAL_SOCKET_INTERNAL_H
#define SL_SERVER_LOCAL_SOCKET_INTERNAL_H

enum { SOCKET_PACKET_MAX = 64 << 10, SOCKET_WAIT_S = 20 };

#define SOCKET_NAME "admin.sock"
#define SOCKET_QUESTION "token"

/* -1 and errno. The descriptor is the caller's. */
int socket_listen(const char *data);
int socket_connect(const char *data);
void socket_remove(const char *data);
/* Neither side waits for ever for the other. */
void socket_bound_waits(int fd);

#endif
