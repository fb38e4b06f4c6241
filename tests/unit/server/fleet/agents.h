/* agents: a fleet over the real store of steps.h, a clock that tests set, and faked streams.
 *
 * rpc_stream_*() are defined here: a stream keeps what it was sent until it is taken. What is
 * committed reaches the fleet when agents_follow() is called. */
#ifndef SL_TESTS_FLEET_AGENTS_H
#define SL_TESTS_FLEET_AGENTS_H

#include "tests/unit/server/records/steps.h"

#include "base/crypto/crypto.h"
#include "server/fleet/fleet_internal.h"
#include "server/records/instances.h"

enum { SENT_MAX = 64 };

struct rpc_stream {
	struct fleet *fleet;
	void *user;
	int refs;
	bool full; /* refuses messages */
	struct sl_buf sent[SENT_MAX];
	size_t sent_count, taken;
	bool ended;
	sl_code code;
	enum sl_reason reason;
};

struct agents {
	struct steps *s;
	struct signing *signing; /* the test's; taken up by agents_restart() */
	sl_code (*config)(void *ctx, const struct store_view *view,
			  const struct fleet_config_request *request, struct sl_buf *ret_box,
			  struct sl_err *err); /* likewise, as what follows */
	void *config_ctx;
	struct fleet *fleet;
	uint64_t followed; /* revision */
};

int agents_setup(void **state);
int agents_teardown(void **state);
/* As after a restart of the server. */
void agents_restart(struct agents *a);

extern uint64_t agents_mono_ms, agents_unix_ms;

/* Hands all that was committed since to the fleet; returns how many revisions. */
size_t agents_follow(struct agents *a);
/* Lets 200 ms pass, waits for what is being written, and follows. */
void agents_settle(struct agents *a);
uint64_t agents_revision(const struct agents *a);

struct rpc_stream *agents_stream(struct agents *a);
void agents_close(struct rpc_stream *stream);
void agents_send(struct rpc_stream *stream, Sluice__V1__SyncRequest *request);
void agents_hello(struct rpc_stream *stream, Sluice__V1__AgentHello *hello);
/* By name, with nothing. */
void agents_hello_of(struct rpc_stream *stream, const char *instance);
void agents_report(struct rpc_stream *stream, Sluice__V1__AgentReport *report);
void agents_heartbeat(struct rpc_stream *stream, uint64_t sequence);

/* The next message; must be there. In the arena of steps. */
Sluice__V1__SyncResponse *agents_take(struct agents *a, struct rpc_stream *stream);
void agents_take_pace(struct agents *a, struct rpc_stream *stream);
/* The next must be a manifest; `digest` (may be NULL) gets that of its body. */
Sluice__V1__Manifest *agents_manifest(struct agents *a, struct rpc_stream *stream, uint8_t *digest);
bool agents_silent(const struct rpc_stream *stream);

const char *agents_register(struct agents *a, const char *name, const char *environment,
			    const char *label);
void agents_remove(struct agents *a, const char *name);
void agents_label(struct agents *a, const char *name, const char *label);
const char *agents_version_id(struct agents *a, const char *version);
/* `shop` goes to instances with kind=<label> only. */
void agents_place(struct agents *a, const char *label);

#endif
