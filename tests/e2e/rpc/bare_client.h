/* bare_client: the least of a gRPC client, for tests of server/rpc. One thread per call; blocks. */
#ifndef SL_TESTS_BARE_CLIENT_H
#define SL_TESTS_BARE_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <grpc/grpc.h>

struct bare_result {
	int status;
	char text[512];
	size_t size; /* of the reply */
	uint8_t reply[512];
	size_t details_size; /* of grpc-status-details-bin */
	uint8_t details[8192];
};

/* A connection of its own to 127.0.0.1. */
grpc_channel *bare_channel(int port);

/* data NULL: sends no message at all. timeout_ms 0: none. */
void bare_unary(grpc_channel *channel, const char *path, const void *data, size_t size,
		unsigned timeout_ms, struct bare_result *ret_result);

struct bare_stream;
struct bare_stream *bare_stream_new(grpc_channel *channel, const char *path);
/* Waits until gRPC has taken it; false: the stream has ended. */
bool bare_stream_send(struct bare_stream *stream, const void *data, size_t size);
void bare_stream_close_send(struct bare_stream *stream);
/* The next message's size, its first bytes in `data`; -1: the end. */
long bare_stream_recv(struct bare_stream *stream, void *data, size_t room);
void bare_stream_cancel(struct bare_stream *stream);
/* Waits for the status up to timeout_ms (false: it did not come), without reading messages. */
bool bare_stream_status(struct bare_stream *stream, unsigned timeout_ms,
			struct bare_result *ret_result);
void bare_stream_free(struct bare_stream *stream); /* cancels */

#endif
