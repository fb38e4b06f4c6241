/* An agent's first word: whose agent is it, and what is it to be told at once? */
#include <stdlib.h>
#include <string.h>

#include "base/mem/own.h"
#include "server/fleet/fleet_internal.h"
#include "server/records/instances.h"

SL_DEFINE_AUTO(const struct store_view *, store_view_end);

struct hello {
	struct fleet *fleet;
	struct rpc_stream *stream;
	const struct store_view *view;
	struct sl_arena *arena;
	const Sluice__V1__AgentHello *message;
	uint32_t workspace;
	Sluice__Store__V1__InstanceRecord *instance; /* NULL: removed */
};

static bool was_removed(const struct hello *h, const char *id)
{
	Sluice__Store__V1__InstanceRecord *gone = NULL;
	return id[0] != '\0' && strlen(id) < FLEET_ID_ROOM &&
	       instance_get_removed(h->view, h->arena, h->workspace, id, &gone, NULL) == SL_OK;
}

/* Whose agent is it? h->instance stays NULL for a removed one. */
static sl_code identify(struct hello *h, struct sl_err *err)
{
	const Sluice__V1__AgentHello *hello = h->message;
	sl_code code = workspace_find(h->view, hello->workspace, &h->workspace, err);
	if (code != SL_OK) {
		return code;
	}
	code = instance_find(h->view, h->arena, h->workspace, hello->instance, &h->instance, err);
	bool mismatch = code == SL_OK && hello->instance_id[0] != '\0' &&
			strcmp(hello->instance_id, h->instance->id) != 0;
	if ((code == SL_NOT_FOUND || mismatch) &&
	    (was_removed(h, hello->instance_id) || was_removed(h, hello->instance))) {
		h->instance = NULL;
		sl_err_clear(err);
		return SL_OK;
	}
	if (mismatch) {
		return sl_err_because(err, SL_FAILED_PRECONDITION, SL_REASON_INSTANCE_MISMATCH,
				      "the agent's folder belongs to instance %.32s, and '%s' is "
				      "%s: another instance needs another folder",
				      hello->instance_id, h->instance->name, h->instance->id);
	}
	return code;
}

/* That an instance is gone, or is another one, is a last word, which no agent hears in recovery: it
 * dials again. */
static sl_code spare(const struct hello *h, sl_code code, struct sl_err *err)
{
	bool last_word =
	    code == SL_OK ? h->instance == NULL : err->reason == SL_REASON_INSTANCE_MISMATCH;
	if (h->view == NULL || !last_word || !store_view_is_recovering(h->view)) {
		return code;
	}
	return sl_err_because(err, SL_UNAVAILABLE, SL_REASON_IN_RECOVERY,
			      "the server was restored from a backup that does not have this "
			      "instance: it says more once it is resumed");
}

static struct fleet_session *session_new(struct fleet *fleet, struct rpc_stream *stream)
{
	struct fleet_session *session = calloc(1, sizeof(*session));
	if (session != NULL) {
		session->stream = rpc_stream_ref(stream);
		rpc_stream_set_user(stream, session);
		TAILQ_INSERT_TAIL(&fleet->sessions, session, link);
		fleet->stream_count++;
	}
	return session;
}

/* The unit, as new as the view. */
static sl_code find_unit(struct hello *h, struct fleet_unit **ret_unit, struct sl_err *err)
{
	struct record_key key = KEY(h->workspace, key_text(k, h->instance->id));
	struct sl_bytes value;
	sl_code code = store_get(h->view, TABLE_INSTANCES, key_bytes(&key), &value, err);
	if (code != SL_OK) {
		return code;
	}
	*ret_unit = fleet_unit_put(h->fleet, h->workspace, h->instance->id, value);
	return *ret_unit == NULL ? sl_err_no_memory(err)
				 : fleet_statuses_load(*ret_unit, h->view, err);
}

/* Does the agent hold exactly the body that it was sent last? */
static bool has_what_was_sent(const struct fleet *fleet, const struct fleet_session *session,
			      const Sluice__V1__AgentHello *hello)
{
	const struct fleet_unit *unit = session->unit;
	uint8_t core[FLEET_CORE_BYTES], digest[SL_HASH_BYTES];
	if (unit->sent_sequence == 0 || hello->manifest_digest.len != SL_HASH_BYTES ||
	    hello->sequence < unit->sent_sequence || unit->sent_epoch != fleet->key.epoch) {
		return false;
	}
	fleet_manifest_core(session, core);
	if (memcmp(core, unit->sent_core, FLEET_CORE_BYTES) != 0) {
		return false;
	}
	SL_AUTO(sl_buf_fini) struct sl_buf body = {0};
	fleet_manifest_body(session, unit->sent_epoch, unit->sent_sequence, unit->sent_expires_s,
			    &body);
	sl_hash(digest, body.data, body.size, NULL, 0);
	return !body.failed && memcmp(digest, hello->manifest_digest.data, SL_HASH_BYTES) == 0;
}

static void note_agent(struct hello *h, struct fleet_unit *unit)
{
	struct fleet *fleet = h->fleet;
	unit->pulse.ever = unit->pulse.connected = true;
	unit->pulse.seen_mono_ms = fleet_mono_ms(fleet);
	unit->seen_unix_ms = fleet_unix_ms(fleet);
	unit->sequence = h->message->sequence;
	fleet_unit_set_text(&unit->agent_version, h->message->agent_version);
	fleet_unit_set_text(&unit->peer, rpc_stream_peer(h->stream));
	fleet_unit_set_text(&unit->last_error, "");
	unit->error_class = 0;
	unit->refusals = 0;
	unit->key_epoch = h->message->key_epoch;
	if (h->message->sequence > fleet->position) {
		fleet_unit_set_text(&unit->last_error,
				    "the agent has accepted a sequence above this server's "
				    "revision: was the store replaced?");
	}
	fleet_unit_concern(fleet, unit);
}

static sl_code welcome(struct hello *h, struct fleet_unit *unit, struct sl_err *err)
{
	struct fleet *fleet = h->fleet;
	if (unit->session != NULL) {
		fleet_session_replaced(fleet, unit->session);
	}
	struct fleet_session *session = session_new(fleet, h->stream);
	if (session == NULL) {
		return sl_err_no_memory(err);
	}
	session->unit = unit;
	session->takes_trees = h->message->manifest_trees;
	unit->session = session;
	fleet_keys_hello(session, h->message);
	/* Within a key epoch; with another key order begins anew. */
	session->told = fleet_keys_known(fleet, session) ? h->message->sequence : 0;
	session->fresh_mono_ms = fleet_mono_ms(fleet);
	note_agent(h, unit);
	(void)fleet_session_pace(
	    fleet, session); /* a new outbox takes it; a client that left is told by closed() */
	fleet_status_inventory(fleet, unit, h->message);
	fleet_session_place_all(fleet, session);
	fleet_slots_remove_deleted(session, h->view);
	fleet_configs_hello(session, h->message);
	/* Agents keep logins in memory only; what does not fit now, or is signed with a key that is
	 * news, goes with the next manifest. */
	bool told = !fleet->recovering && fleet_logins_tell(fleet, session) &&
		    fleet_keys_known(fleet, session) && fleet_configs_tell(fleet, session);
	if (told && has_what_was_sent(fleet, session, h->message)) {
		fleet_session_not_modified(fleet, session);
	} else {
		unit->sent_sequence = 0;
	}
	return SL_OK;
}

/* Under the lock. */
static sl_code admit(struct hello *h, struct sl_err *err)
{
	struct fleet *fleet = h->fleet;
	if (fleet->stopped) {
		return sl_err_because(err, SL_UNAVAILABLE, SL_REASON_STOPPING,
				      "the server is stopping");
	}
	if (h->instance == NULL) {
		struct fleet_session *session = session_new(fleet, h->stream);
		if (session == NULL) {
			return sl_err_no_memory(err);
		}
		fleet_session_removed(fleet, session);
		return SL_OK;
	}
	struct fleet_unit *unit = NULL;
	sl_code code = fleet->apps_loaded ? SL_OK : fleet_apps_load(fleet, h->view, err);
	code = code != SL_OK ? code : find_unit(h, &unit, err);
	return code != SL_OK ? code : welcome(h, unit, err);
}

sl_code fleet_hello(struct fleet *fleet, struct rpc_stream *stream, struct sl_arena *arena,
		    const Sluice__V1__AgentHello *message, struct sl_err *err)
{
	SL_AUTO(store_view_end_auto) const struct store_view *view = NULL;
	sl_code code = store_view_begin(fleet->options.store, &view, err);
	struct hello h = {
	    .fleet = fleet, .stream = stream, .view = view, .arena = arena, .message = message};
	code = code != SL_OK ? code : identify(&h, err);
	code = spare(&h, code, err);
	if (code != SL_OK) {
		return code;
	}
	pthread_mutex_lock(&fleet->lock);
	code = admit(&h, err);
	pthread_mutex_unlock(&fleet->lock);
	if (code == SL_OK) {
		fleet_sessions_send(fleet);
	}
	return code;
}
