#include "agent/session/session.h"

#include <stdlib.h>
#include <string.h>

#include "agent/reconcile/reconcile.h"
#include "base/clock/clock.h"
#include "base/crypto/crypto.h"
#include "base/mem/own.h"
#include "base/sm/sm.h"
#include "client/rpc/rpc.h"

enum { DOWN, DIALLING, GREETED, LIVE, OFF };
static const struct sl_sm_state session_states[] = {
    [DOWN] = {"DOWN", SL_SM_TO(DIALLING) | SL_SM_TO(OFF)},
    [DIALLING] = {"DIALLING", SL_SM_TO(GREETED) | SL_SM_TO(DOWN) | SL_SM_TO(OFF)},
    [GREETED] = {"GREETED", SL_SM_TO(LIVE) | SL_SM_TO(DOWN) | SL_SM_TO(OFF)},
    [LIVE] = {"LIVE", SL_SM_TO(DOWN) | SL_SM_TO(OFF)},
    [OFF] = {"OFF", 0},
};

enum {
	MESSAGES_PER_STEP = 32,
	GREETING_MS = 30000, /* from dialling to the server's Pace */
	MESSAGE_MAX = 64 << 20,
	/* With 10 s for the answer a connection that a middlebox forgot is noticed
	 * early enough to be up to date a minute after the network is back. */
	KEEPALIVE_MS = 35000,
};

/* Until a server has said otherwise. */
static const struct pace {
	uint32_t heartbeat_ms, jitter_percent, backoff_min_ms, backoff_max_ms;
} pace_default = {10000, 20, 500, 10000};

struct session {
	struct sl_sm sm;
	struct session_options options;
	struct crpc_channel *channel; /* of this attempt; NULL: the last one is over */
	struct crpc_stream *stream;
	struct crpc_channel *old_channel; /* with the certificate before, while the new one dials */
	struct crpc_stream *old_stream;
	struct pace pace;
	unsigned failed; /* streams in a row that ended before the server's Pace */
	bool replaced;   /* another agent of this instance connected: no hurry */
	uint64_t dial_at_ms, greet_by_ms, beat_at_ms; /* monotonic */
};

SL_DEFINE_AUTO(struct session *, session_free);

/* Each attempt has a channel of its own: one that failed keeps a back-off and its
 * last error, and would answer with them when the server is back already. */
static sl_code open_channel(struct session *session, struct sl_err *err)
{
	struct crpc_options channel = {
	    .target = session->options.server,
	    .own_connection = true,
	    .message_max = MESSAGE_MAX,
	    .user_agent = session->options.user_agent,
	    .keepalive_ms = KEEPALIVE_MS,
	    .quiet = true,
	    .ca_pem = session->options.ca_pem,
	    .cert_pem = session->options.cert_pem,
	    .key_pem = session->options.key_pem,
	};
	return session->channel != NULL ? SL_OK
					: crpc_channel_new(&channel, &session->channel, err);
}

sl_code session_new(const struct session_options *options, struct session **ret_session,
		    struct sl_err *err)
{
	SL_AUTO(session_free_auto) struct session *session = calloc(1, sizeof(*session));
	if (session == NULL) {
		return sl_err_no_memory(err);
	}
	sl_sm_init(&session->sm, session_states, DOWN);
	session->options = *options;
	session->pace = pace_default;
	session->dial_at_ms = sl_clock_mono_ms();
	sl_code code = open_channel(session, err);
	if (code == SL_OK) {
		*ret_session = SL_TAKE(session);
	}
	return code;
}

static uint32_t random32(void)
{
	uint32_t value = 0;
	sl_random(&value, sizeof(value));
	return value;
}

int session_fd(const struct session *session)
{
	return session->stream != NULL ? crpc_stream_fd(session->stream) : -1;
}

uint64_t session_wake_mono_ms(const struct session *session)
{
	switch (session->sm.at) {
	case DOWN:
		return session->dial_at_ms;
	case DIALLING:
	case GREETED:
		return session->greet_by_ms;
	case LIVE:
		return session->beat_at_ms;
	default:
		return 0;
	}
}

bool session_is_live(const struct session *session)
{
	return session->sm.at == LIVE;
}

bool session_is_greeted(const struct session *session)
{
	return session->sm.at == GREETED || session->sm.at == LIVE;
}

struct crpc_channel *session_channel(const struct session *session)
{
	return session->sm.at == LIVE ? session->channel : NULL;
}

static void schedule_beat(struct session *session)
{
	session->beat_at_ms =
	    sl_clock_mono_ms() + reconcile_backoff_ms(1, session->pace.heartbeat_ms,
						      session->pace.heartbeat_ms,
						      session->pace.jitter_percent, random32());
}

static void drop_old(struct session *session)
{
	crpc_stream_free(SL_TAKE(session->old_stream));
	crpc_channel_free(SL_TAKE(session->old_channel));
}

/* The stream is over: the next one after a pause. */
static void end(struct session *session, const struct sl_err *err)
{
	crpc_stream_free(SL_TAKE(session->stream));
	crpc_channel_free(SL_TAKE(session->channel));
	if (session->sm.at == OFF) {
		return;
	}
	session->failed += session->sm.at != LIVE;
	unsigned failed = session->replaced ? 32 : session->failed == 0 ? 1 : session->failed;
	uint64_t pause =
	    reconcile_backoff_ms(failed, session->pace.backoff_min_ms, session->pace.backoff_max_ms,
				 session->pace.jitter_percent, random32());
	session->dial_at_ms = sl_clock_mono_ms() + pause;
	sl_sm_move(&session->sm, DOWN);
	session->options.on_end(session->options.ctx, err);
}

static void dial(struct session *session)
{
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	sl_sm_move(&session->sm, DIALLING);
	session->greet_by_ms = sl_clock_mono_ms() + GREETING_MS;
	session->replaced = false;
	sl_code code = open_channel(session, &err);
	if (code == SL_OK) {
		code = crpc_stream_open(session->channel, "/sluice.v1.AgentService/Sync", 0,
					&session->stream, &err);
	}
	if (code != SL_OK) {
		end(session, &err);
	}
}

bool session_send(struct session *session, const Sluice__V1__SyncRequest *request)
{
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	size_t size = sluice__v1__sync_request__get_packed_size(request);
	SL_AUTO(sl_free_auto) uint8_t *bytes = malloc(size + 1);
	bool taken = false;
	if (session->stream == NULL || bytes == NULL) {
		return false;
	}
	(void)sluice__v1__sync_request__pack(request, bytes);
	/* A failure is told by the stream's end, which comes to the next step. */
	sl_code code = crpc_stream_offer(session->stream, SL_BYTES(bytes, size), &taken, &err);
	if (code == SL_OK && taken && session->sm.at == LIVE) {
		schedule_beat(session); /* any message is a sign of life */
	}
	return code == SL_OK && taken;
}

static void greet(struct session *session)
{
	struct sl_arena arena;
	sl_arena_init(&arena, 0);
	Sluice__V1__AgentHello hello = SLUICE__V1__AGENT_HELLO__INIT;
	Sluice__V1__SyncRequest request = SLUICE__V1__SYNC_REQUEST__INIT;
	request.message_case = SLUICE__V1__SYNC_REQUEST__MESSAGE_HELLO;
	request.hello = &hello;
	session->options.on_greet(session->options.ctx, &hello, &arena);
	bool sent = !sl_arena_failed(&arena) && session_send(session, &request);
	sl_arena_fini(&arena);
	if (sent) {
		sl_sm_move(&session->sm, GREETED);
		session->options.on_greeted(session->options.ctx);
	}
}

static void beat(struct session *session)
{
	uint64_t now = sl_clock_unix_ms();
	Google__Protobuf__Timestamp at = GOOGLE__PROTOBUF__TIMESTAMP__INIT;
	at.seconds = (int64_t)(now / 1000);
	at.nanos = (int32_t)(now % 1000 * 1000000);
	Sluice__V1__AgentHeartbeat heartbeat = SLUICE__V1__AGENT_HEARTBEAT__INIT;
	session->options.on_beat(session->options.ctx, &heartbeat);
	heartbeat.at = &at;
	Sluice__V1__SyncRequest request = SLUICE__V1__SYNC_REQUEST__INIT;
	request.message_case = SLUICE__V1__SYNC_REQUEST__MESSAGE_HEARTBEAT;
	request.heartbeat = &heartbeat;
	(void)session_send(session, &request);
	schedule_beat(session);
}

static uint32_t bounded(uint32_t value, uint32_t fallback, uint32_t min, uint32_t max)
{
	value = value == 0 ? fallback : value;
	return value < min ? min : value > max ? max : value;
}

static void on_pace(struct session *session, const Sluice__V1__Pace *pace)
{
	const struct pace *usual = &pace_default;
	session->pace.heartbeat_ms = bounded(pace->heartbeat_ms, usual->heartbeat_ms, 100, 3600000);
	session->pace.jitter_percent = pace->jitter_percent > 100 ? 100 : pace->jitter_percent;
	session->pace.backoff_min_ms =
	    bounded(pace->backoff_min_ms, usual->backoff_min_ms, 50, 600000);
	session->pace.backoff_max_ms = bounded(pace->backoff_max_ms, usual->backoff_max_ms,
					       session->pace.backoff_min_ms, 3600000);
	session->failed = 0;
	drop_old(session);
	if (session->sm.at == GREETED) {
		sl_sm_move(&session->sm, LIVE);
	}
	schedule_beat(session);
}

static void on_bytes(struct session *session, const uint8_t *bytes, size_t size)
{
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	Sluice__V1__SyncResponse *message = sluice__v1__sync_response__unpack(NULL, size, bytes);
	if (message == NULL) {
		(void)sl_err_set(&err, SL_INTERNAL,
				 "server sent %zu bytes that are not a SyncResponse", size);
		end(session, &err);
		return;
	}
	if (message->message_case == SLUICE__V1__SYNC_RESPONSE__MESSAGE_PACE) {
		on_pace(session, message->pace);
	}
	session->options.on_message(session->options.ctx, message);
	sluice__v1__sync_response__free_unpacked(message, NULL);
}

static void receive(struct session *session)
{
	for (int i = 0; i < MESSAGES_PER_STEP && session->stream != NULL; i++) {
		SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
		SL_AUTO(sl_free_auto) uint8_t *bytes = NULL;
		size_t size = 0;
		bool ended = false;
		sl_code code = crpc_stream_recv(session->stream, 0, &bytes, &size, &ended, &err);
		if (ended) {
			if (code == SL_OK) {
				(void)sl_err_set(&err, SL_UNAVAILABLE,
						 "server '%s' ended the stream",
						 session->options.server);
			}
			session->replaced = err.reason == SL_REASON_AGENT_REPLACED;
			end(session, &err);
			return;
		}
		if (bytes == NULL) {
			return;
		}
		on_bytes(session, bytes, size);
	}
}

void session_step(struct session *session)
{
	uint64_t now = sl_clock_mono_ms();
	if (session->sm.at == DOWN && now >= session->dial_at_ms) {
		dial(session);
	}
	if (session->sm.at == DIALLING) {
		greet(session);
	}
	receive(session);
	bool late = session->sm.at == DIALLING || session->sm.at == GREETED;
	if (late && now >= session->greet_by_ms) {
		SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
		(void)sl_err_set(&err, SL_DEADLINE_EXCEEDED,
				 "server '%s' did not answer within %d ms", session->options.server,
				 GREETING_MS);
		end(session, &err);
	}
	if (session->sm.at == LIVE && now >= session->beat_at_ms) {
		beat(session);
	}
}

void session_renewed(struct session *session, const char *ca_pem, const char *cert_pem)
{
	session->options.ca_pem = ca_pem;
	session->options.cert_pem = cert_pem;
	if (session->sm.at == LIVE) {
		drop_old(session);
		session->old_stream = SL_TAKE(session->stream);
		session->old_channel = SL_TAKE(session->channel);
		sl_sm_move(&session->sm, DOWN);
	}
	if (session->sm.at == DOWN) {
		crpc_channel_free(SL_TAKE(session->channel));
		session->dial_at_ms = sl_clock_mono_ms();
	}
}

void session_off(struct session *session)
{
	drop_old(session);
	if (session->sm.at != OFF) {
		sl_sm_move(&session->sm, OFF);
		crpc_stream_free(SL_TAKE(session->stream));
		crpc_channel_free(SL_TAKE(session->channel));
	}
}

void session_free(struct session *session)
{
	if (session == NULL) {
		return;
	}
	drop_old(session);
	crpc_stream_free(session->stream);
	crpc_channel_free(session->channel);
	free(session);
}
