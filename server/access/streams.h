/* streams: every open stream and who opened it, so that it ends when it must.
 *
 * A certificate's end, a revoked identity and a right that is gone end live streams within seconds
 * (5 s are promised), whatever the stream waits for. Queue thread only. */
#ifndef SL_SERVER_ACCESS_STREAMS_H
#define SL_SERVER_ACCESS_STREAMS_H

#include "server/access/access.h"

/* What the caller must be allowed for the stream to go on; nothing but to be there for an
 * instance. */
struct access_need {
	bool server;        /* to serve the server: backups */
	uint32_t workspace; /* else to see something of it */
	char slug[64];      /* of this app; "": of any */
};

/* Remembers the stream (a reference) until access_stream_closed(). Out of memory ends nothing: it
 * refuses. Streams of anonymous callers are not remembered. */
SL_MUST_USE sl_code access_stream_opened(struct access *access, struct rpc_stream *stream,
					 const struct access_caller *caller,
					 const struct access_need *need, struct sl_err *err);
void access_stream_closed(struct access *access, struct rpc_stream *stream);
/* Who opened it; NULL: it is not remembered. */
const struct access_caller *access_stream_caller(struct access *access,
						 const struct rpc_stream *stream);

/* About every 100 ms. Ends what must end: UNAUTHENTICATED (expired, revoked), PERMISSION_DENIED. */
void access_tick(struct access *access);

#endif
