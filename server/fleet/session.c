/* A connected agent:
 *
 *   stream --Hello--> known --manifest, NotModified--> told --changes--> due --> told
 *              |                                                          |
 *              |                                          outbox full, or the agent has this
 *              |                                          sequence with another body: pending
 *              v
 *   refused: unknown, removed, another instance's folder, replaced by a newer stream
 *
 * What an agent has is remembered as (sequence, expiry, core): from these the body can be made
 * again byte for byte, so a Hello with its digest is answered NotModified without keeping bodies.
 */
#include <stdlib.h>
#include <string.h>

#include "base/log/log.h"
#include "base/mem/own.h"
#include "server/fleet/fleet_internal.h"

enum {
	PROTOCOL = 1,
	BACKOFF_MIN_MS = 500,
	BACKOFF_MAX_MS = 10000,
	MESSAGE_ARENA_MAX = 64 << 20,
	CLOCK_SET_MS = 2000, /* further apart than clocks that are disciplined gently */
};

/* --- sending --------------------------------------------------------------------------- */

sl_code fleet_session_send(struct fleet_session *session, const Sluice__V1__SyncResponse *response,
			   uint64_t mark)
{
	uint8_t small[256];
	size_t size = sluice__v1__sync_response__get_packed_size(response);
	SL_AUTO(sl_free_auto) uint8_t *bytes = size > sizeof(small) ? malloc(size) : NULL;
	uint8_t *out = size > sizeof(small) ? bytes : small;
	if (out == NULL) {
		return SL_RESOURCE_EXHAUSTED;
	}
	(void)sluice__v1__sync_response__pack(response, out);
	return rpc_stream_send_bytes(session->stream, SL_BYTES(out, size), mark);
}

static Google__Protobuf__Timestamp time_of(uint64_t unix_ms)
{
	Google__Protobuf__Timestamp at = GOOGLE__PROTOBUF__TIMESTAMP__INIT;
	at.seconds = (int64_t)(unix_ms / 1000);
	at.nanos = (int32_t)(unix_ms % 1000) * 1000000;
	return at;
}

sl_code fleet_session_pace(struct fleet *fleet, struct fleet_session *session)
{
	Sluice__V1__SyncResponse response = SLUICE__V1__SYNC_RESPONSE__INIT;
	Sluice__V1__Pace pace = SLUICE__V1__PACE__INIT;
	Google__Protobuf__Timestamp now = time_of(fleet_unix_ms(fleet));
	pace.heartbeat_ms = fleet->options.heartbeat_ms;
	pace.jitter_percent = FLEET_JITTER_PERCENT;
	pace.backoff_min_ms = BACKOFF_MIN_MS;
	pace.backoff_max_ms = BACKOFF_MAX_MS;
	pace.server_time = &now;
	pace.instance_id = session->unit->id;
	pace.protocol = PROTOCOL;
	pace.fetch_turns = fleet->options.fetches_per_host != 0;
	response.message_case = SLUICE__V1__SYNC_RESPONSE__MESSAGE_PACE;
	response.pace = &pace;
	return fleet_session_send(session, &response, 0);
}

static sl_code send_command(struct fleet_session *session, Sluice__V1__AgentCommandKind kind)
{
	Sluice__V1__SyncResponse response = SLUICE__V1__SYNC_RESPONSE__INIT;
	Sluice__V1__AgentCommand command = SLUICE__V1__AGENT_COMMAND__INIT;
	command.kind = kind;
	response.message_case = SLUICE__V1__SYNC_RESPONSE__MESSAGE_COMMAND;
	response.command = &command;
	return fleet_session_send(session, &response, 0);
}

/* That what the agent has is still right is as good as a manifest: it is signed like one. */
static bool sign_not_modified(struct fleet *fleet, const struct fleet_unit *unit,
			      Sluice__V1__NotModified *same,
			      uint8_t signature[static SL_SIGNATURE_BYTES])
{
	uint8_t words[VOUCH_REFRESH_BYTES];
	const struct vouch_refresh refresh = {.epoch = fleet->key.epoch,
					      .sequence = same->sequence,
					      .expires_s = (uint64_t)same->expires_at->seconds,
					      .digest = unit->sent_digest};
	vouch_refresh(&refresh, words);
	same->expires_at->nanos = 0;
	same->key_epoch = fleet->key.epoch;
	same->manifest_digest.data = (uint8_t *)(uintptr_t)unit->sent_digest;
	same->manifest_digest.len = SL_HASH_BYTES;
	same->signature = (ProtobufCBinaryData){.data = signature, .len = SL_SIGNATURE_BYTES};
	return fleet_sign(fleet, VOUCH_REFRESH, SL_BYTES(words, sizeof(words)), signature);
}

/* What the agent has is still right, at this revision and for longer. */
void fleet_session_not_modified(struct fleet *fleet, struct fleet_session *session)
{
	uint8_t signature[SL_SIGNATURE_BYTES];
	uint64_t sequence = session->told > fleet->position ? session->told : fleet->position;
	Google__Protobuf__Timestamp expires = time_of(fleet_unix_ms(fleet) + FLEET_EXPIRY_MS);
	Sluice__V1__SyncResponse response = SLUICE__V1__SYNC_RESPONSE__INIT;
	Sluice__V1__NotModified same = SLUICE__V1__NOT_MODIFIED__INIT;
	same.sequence = sequence;
	same.expires_at = &expires;
	if (fleet->key.epoch != 0 && !sign_not_modified(fleet, session->unit, &same, signature)) {
		return; /* at the next tick */
	}
	response.message_case = SLUICE__V1__SYNC_RESPONSE__MESSAGE_NOT_MODIFIED;
	response.not_modified = &same;
	if (fleet_session_send(session, &response, sequence) == SL_OK) {
		session->told = sequence;
		session->fresh_mono_ms = fleet_mono_ms(fleet);
	}
}

/* --- ending ------------------------------------------------------------------------------ */

static void part(struct fleet *fleet, struct fleet_session *session)
{
	struct fleet_unit *unit = session->unit;
	if (unit != NULL && unit->session == session) {
		unit->session = NULL;
		unit->pulse.connected = false;
		unit->pulse.closed_mono_ms = fleet_mono_ms(fleet);
	}
	session->unit = NULL;
}

void fleet_session_end(struct fleet_session *session, sl_code code, const struct sl_err *err)
{
	rpc_stream_finish(session->stream, code, err);
}

void fleet_session_removed(struct fleet *fleet, struct fleet_session *session)
{
	part(fleet, session);
	if (session->end_mono_ms == 0) {
		(void)send_command(session,
				   SLUICE__V1__AGENT_COMMAND_KIND__AGENT_COMMAND_KIND_REMOVED);
		session->end_mono_ms = fleet_mono_ms(fleet) + FLEET_STOP_MS;
	}
}

static void end_removed(struct fleet_session *session)
{
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	sl_code code = sl_err_because(&err, SL_FAILED_PRECONDITION, SL_REASON_INSTANCE_REMOVED,
				      "the instance is removed: keep serving, stop dialling");
	fleet_session_end(session, code, &err);
}

void fleet_session_replaced(struct fleet *fleet, struct fleet_session *session)
{
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	sl_code code = sl_err_because(&err, SL_ABORTED, SL_REASON_AGENT_REPLACED,
				      "another agent of instance '%s' has connected",
				      session->unit->record->name);
	log_warn("agent-replaced", "instance=%s peer=%s", session->unit->record->name,
		 rpc_stream_peer(session->stream));
	part(fleet, session);
	fleet_session_end(session, code, &err);
}

/* Sooner by up to a quarter, each unit by its own share: agents that came at once are not all
 * refreshed at once. */
static uint64_t refresh_after(const struct fleet_session *session)
{
	uint8_t hash[SL_HASH_BYTES];
	sl_hash(hash, session->unit->id, sizeof(session->unit->id), NULL, 0);
	return FLEET_REFRESH_MS - FLEET_REFRESH_MS / 4 * (sl_get_be32(hash) % 1000) / 1000;
}

/* Agents judge dates by the time that they were told, gone on monotonically. When our clock was set
 * they are told anew: else those who came while it was ahead would find all that follows expired.
 */
static bool clock_was_set(struct fleet *fleet, uint64_t mono_ms)
{
	uint64_t ahead = fleet_unix_ms(fleet) - mono_ms, before = fleet->clock_ahead_ms;
	uint64_t apart = ahead > before ? ahead - before : before - ahead;
	if (before != 0 && apart < CLOCK_SET_MS) {
		return false;
	}
	fleet->clock_ahead_ms = ahead;
	return before != 0;
}

void fleet_sessions_tick(struct fleet *fleet)
{
	uint64_t now = fleet_mono_ms(fleet);
	struct fleet_session *session = NULL;
	pthread_mutex_lock(&fleet->lock);
	bool was_set = clock_was_set(fleet, now);
	TAILQ_FOREACH(session, &fleet->sessions, link)
	{
		if (session->end_mono_ms != 0) {
			if (now >= session->end_mono_ms) {
				end_removed(session);
			}
			continue;
		}
		if (session->unit == NULL || fleet->recovering) {
			continue;
		}
		if (was_set && fleet_session_pace(fleet, session) == SL_OK) {
			session->unit->sent_sequence = 0; /* what it refused by the old time */
			session->pending = true;
		}
		if (session->pending) {
			fleet_session_touch(fleet, session);
		} else if (session->unit->sent_sequence != 0 &&
			   now >= session->fresh_mono_ms + FLEET_REFRESH_MS / 4 * 3 &&
			   now >= session->fresh_mono_ms + refresh_after(session)) {
			fleet_session_not_modified(fleet, session);
		}
	}
	fleet_turns_tick(fleet);
	pthread_mutex_unlock(&fleet->lock);
}

static void session_free(struct fleet *fleet, struct fleet_session *session)
{
	part(fleet, session);
	fleet_turn_drop(fleet, session);
	if (session->due) {
		TAILQ_REMOVE(&fleet->due, session, due_link);
	}
	TAILQ_REMOVE(&fleet->sessions, session, link);
	fleet->stream_count--;
	fleet_slots_clear(session);
	free(session->logins);
	rpc_stream_unref(session->stream);
	free(session);
}

void fleet_agent_closed(struct fleet *fleet, struct rpc_stream *stream)
{
	struct fleet_session *session = rpc_stream_user(stream);
	if (session == NULL) {
		return;
	}
	struct fleet_source_tests lost;
	rpc_stream_set_user(stream, NULL);
	pthread_mutex_lock(&fleet->lock);
	fleet_source_tests_take(fleet, session, &lost);
	session_free(fleet, session);
	pthread_mutex_unlock(&fleet->lock);
	fleet_source_tests_finish(&lost, FLEET_TEST_LOST, NULL);
}

/* Thousands of streams have sent what they were told while the watch thread, under the lock, makes
 * what others will be told: who waits for nothing more does not ask for it. */
void fleet_agent_drained(struct fleet *fleet, struct rpc_stream *stream)
{
	struct fleet_session *session = rpc_stream_user(stream);
	if (session == NULL || !session->pending) {
		return;
	}
	pthread_mutex_lock(&fleet->lock);
	bool pending = session->pending && session->told < fleet->position;
	if (pending) {
		fleet_session_touch(fleet, session);
	}
	pthread_mutex_unlock(&fleet->lock);
	if (pending) {
		fleet_sessions_send(fleet);
	}
}

/* --- what agents say ------------------------------------------------------------ */

/* The agent did not believe something. It keeps what it has, and somebody should look. */
static void hear_refusal(struct fleet *fleet, struct fleet_unit *unit,
			 const Sluice__V1__AgentRefusal *refusal)
{
	log_warn("manifest-refused", "instance=%s sequence=%lu count=%lu error=%s",
		 unit->record->name, (unsigned long)refusal->sequence,
		 (unsigned long)refusal->count, SL_QUOTE(refusal->error));
	fleet_unit_set_text(&unit->last_error, refusal->error);
	unit->error_class = (int)refusal->error_class;
	unit->refusals = refusal->count;
	unit->sequence = refusal->sequence;
	fleet->refusals++;
	fleet_unit_concern(fleet, unit);
}

static void hear(struct fleet *fleet, struct fleet_session *session,
		 const Sluice__V1__SyncRequest *request)
{
	pthread_mutex_lock(&fleet->lock);
	struct fleet_unit *unit = fleet->stopped ? NULL : session->unit;
	if (unit != NULL) {
		unit->pulse.seen_mono_ms = fleet_mono_ms(fleet);
		unit->seen_unix_ms = fleet_unix_ms(fleet);
	}
	if (unit != NULL && request->message_case == SLUICE__V1__SYNC_REQUEST__MESSAGE_REPORT) {
		unit->sequence = request->report->sequence > unit->sequence
				     ? request->report->sequence
				     : unit->sequence;
		fleet_status_report(fleet, unit, request->report);
	}
	if (unit != NULL && request->message_case == SLUICE__V1__SYNC_REQUEST__MESSAGE_HEARTBEAT) {
		unit->sequence = request->heartbeat->sequence;
		unit->key_epoch = request->heartbeat->key_epoch;
	}
	if (unit != NULL && request->message_case == SLUICE__V1__SYNC_REQUEST__MESSAGE_REFUSAL) {
		hear_refusal(fleet, unit, request->refusal);
	}
	if (unit != NULL && request->message_case == SLUICE__V1__SYNC_REQUEST__MESSAGE_FETCH_WISH) {
		fleet_turn_wish(fleet, session, request->fetch_wish->host);
	}
	pthread_mutex_unlock(&fleet->lock);
}

static sl_code take(struct fleet *fleet, struct rpc_stream *stream, struct sl_arena *arena,
		    struct sl_bytes bytes, struct sl_err *err)
{
	struct fleet_session *session = rpc_stream_user(stream);
	const Sluice__V1__SyncRequest *request =
	    sluice__v1__sync_request__unpack(sl_arena_protobuf(arena), bytes.size, bytes.data);
	if (request == NULL) {
		return sl_err_because(err, SL_INVALID_ARGUMENT, SL_REASON_MALFORMED,
				      "%zu bytes are not a SyncRequest", bytes.size);
	}
	bool hello = request->message_case == SLUICE__V1__SYNC_REQUEST__MESSAGE_HELLO;
	if (hello != (session == NULL)) {
		return sl_err_because(err, SL_INVALID_ARGUMENT, SL_REASON_MALFORMED,
				      "a stream starts with one hello, and %s",
				      hello ? "this is the second" : "this is not one");
	}
	if (hello) {
		return fleet_hello(fleet, stream, arena, request->hello, err);
	}
	hear(fleet, session, request);
	if (request->message_case == SLUICE__V1__SYNC_REQUEST__MESSAGE_PUSHED) {
		fleet_push_answered(fleet, session, request->pushed);
	}
	if (request->message_case == SLUICE__V1__SYNC_REQUEST__MESSAGE_SOURCE_TESTED) {
		fleet_source_tested(fleet, session, request->source_tested);
	}
	return SL_OK;
}

void fleet_agent_message(struct fleet *fleet, struct rpc_stream *stream, struct sl_bytes message)
{
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	SL_AUTO(sl_arena_fini) struct sl_arena arena;
	sl_arena_init(&arena, MESSAGE_ARENA_MAX);
	sl_code code = take(fleet, stream, &arena, message, &err);
	if (code != SL_OK) {
		log_info("agent-refused", "peer=%s code=%s error=%s", rpc_stream_peer(stream),
			 sl_code_name(code), SL_QUOTE(err.msg));
		rpc_stream_finish(stream, code, &err);
	}
}
