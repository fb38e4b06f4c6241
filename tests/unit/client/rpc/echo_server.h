/* echo_server: a small C-core server on a loopback port, a thread per call.
 *
 * What a call does is chosen by its path (see echo_server.c). Written apart
 * from server/rpc, so that a fault there cannot hide one of the client. */
#ifndef SL_TESTS_ECHO_SERVER_H
#define SL_TESTS_ECHO_SERVER_H

#include <stddef.h>
#include <stdint.h>

struct echo_server;

/* The bytes of grpc-status-details-bin that "/t/Fail" and the message "end" of
 * "/t/Chat" send; static. size 0: none. */
void echo_server_details(const void *data, size_t size);

struct echo_server *echo_server_new(int port); /* 0: any; aborts on failure */
int echo_server_port(const struct echo_server *server);
void echo_server_free(struct echo_server *server); /* ends all calls, joins all threads */

/* Calls begun so far. */
int echo_server_calls(struct echo_server *server);

#endif
