/* session: the one stream to the server: dials, speaks, dials again.
 *
 *   DOWN --pause over--> DIALLING --Hello taken--> GREETED --Pace--> LIVE
 *    ^                      |                         |               |
 *    +----------------------+-------------------------+---------------+  the stream ended
 *    OFF: the instance is removed; never dials again
 *
 * Threads: one. Never blocks: poll the descriptor until the wake time, then
 * step. Liveness is the session's (heartbeats, back-off), content the caller's. */
#ifndef SL_AGENT_SESSION_H
#define SL_AGENT_SESSION_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err/err.h"
#include "base/mem/arena.h"
#include "client/rpc/rpc.h"
#include "sluice/v1/agent.pb-c.h"

struct session;

struct session_options {
	const char *server;                      /* "host:port" */
	const char *user_agent;                  /* "sluice-agent/0.1.0" */
	const char *ca_pem, *cert_pem, *key_pem; /* as in client/rpc; read at each dialling */
	void *ctx;
	/* Fills the Hello of a new stream; what it points at lives in `arena` or beyond this call.
	 */
	void (*on_greet)(void *ctx, Sluice__V1__AgentHello *hello, struct sl_arena *arena);
	/* The Hello is out: from now on reports may be sent. */
	void (*on_greeted)(void *ctx);
	/* A message of the server, borrowed for the call; heartbeats are at its pace already. */
	void (*on_message)(void *ctx, const Sluice__V1__SyncResponse *message);
	/* The stream ended, or could not be opened. */
	void (*on_end)(void *ctx, const struct sl_err *err);
	/* Fills a heartbeat but for its time. */
	void (*on_beat)(void *ctx, Sluice__V1__AgentHeartbeat *heartbeat);
};

/* The options' texts are borrowed until free. crpc_init() has been called. */
SL_MUST_USE sl_code session_new(const struct session_options *options, struct session **ret_session,
				struct sl_err *err);
int session_fd(const struct session *session);                /* -1: no stream now */
uint64_t session_wake_mono_ms(const struct session *session); /* 0: never */
void session_step(struct session *session);
bool session_is_live(const struct session *session);
bool session_is_greeted(const struct session *session);
/* For other calls on the same connection; NULL: it is not live. Borrowed until the next step. */
struct crpc_channel *session_channel(const struct session *session);
/* False: not now; try again at the next step. */
bool session_send(struct session *session, const Sluice__V1__SyncRequest *request);
/* Another certificate: it dials anew with it. A stream that is open stays until the new one is
 * greeted, so that the server never misses the agent. */
void session_renewed(struct session *session, const char *ca_pem, const char *cert_pem);
/* Ends the stream; never dials again. May be called from on_message and on_end. */
void session_off(struct session *session);
void session_free(struct session *session); /* NULL is fine */

#endif
