/* Who vouches for what instances are told. The key may change while agents are connected: they are
 * told of the new one, and then everything again, signed by it. */
#include <stdlib.h>
#include <string.h>

#include "base/log/log.h"
#include "base/mem/own.h"
#include "server/fleet/fleet_internal.h"

enum { LOOK_EVERY_MS = 500 };

void fleet_keys_init(struct fleet *fleet)
{
	if (fleet->options.signing != NULL) {
		signing_current(fleet->options.signing, &fleet->key);
	}
}

bool fleet_sign(struct fleet *fleet, const char *purpose, struct sl_bytes message,
		uint8_t out[static SL_SIGNATURE_BYTES])
{
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	sl_code code =
	    signing_sign(fleet->options.signing, fleet->key.epoch, purpose, message, out, &err);
	if (code != SL_OK) {
		log_error("not-signed", "purpose=%s error=%s", SL_QUOTE(purpose),
			  SL_QUOTE(err.msg));
	}
	return code == SL_OK;
}

/* --- what agents know ---------------------------------------------------------------- */

void fleet_keys_hello(struct fleet_session *session, const Sluice__V1__AgentHello *hello)
{
	session->key_epoch = hello->key_epoch;
	if (hello->manifest_key.len == SL_SIGN_PUBLIC_BYTES) {
		memcpy(session->key, hello->manifest_key.data, SL_SIGN_PUBLIC_BYTES);
	} else {
		session->key_epoch = 0;
	}
}

static bool knows_key(const struct fleet *fleet, const struct fleet_session *session)
{
	return session->key_epoch == fleet->key.epoch &&
	       memcmp(session->key, fleet->key.public_key, SL_SIGN_PUBLIC_BYTES) == 0;
}

bool fleet_keys_known(const struct fleet *fleet, const struct fleet_session *session)
{
	return fleet->key.epoch == 0 || session->key_epoch == 0 || knows_key(fleet, session);
}

static bool send_keys(struct fleet_session *session, struct signing_key *keys, size_t count)
{
	Sluice__V1__SyncResponse response = SLUICE__V1__SYNC_RESPONSE__INIT;
	Sluice__V1__ManifestKeys message = SLUICE__V1__MANIFEST_KEYS__INIT;
	SL_AUTO(sl_free_auto) Sluice__V1__ManifestKey *items = calloc(count + 1, sizeof(*items));
	SL_AUTO(sl_free_auto)
	Sluice__V1__ManifestKey **pointers = calloc(count + 1, sizeof(*pointers));
	if (items == NULL || pointers == NULL) {
		return false;
	}
	for (size_t i = 0; i < count; i++) {
		sluice__v1__manifest_key__init(&items[i]);
		items[i].epoch = keys[i].epoch;
		items[i].public_key =
		    (ProtobufCBinaryData){.data = keys[i].public_key, .len = SL_SIGN_PUBLIC_BYTES};
		items[i].signature =
		    (ProtobufCBinaryData){.data = keys[i].signature, .len = SL_SIGNATURE_BYTES};
		pointers[i] = &items[i];
	}
	message.keys = pointers;
	message.n_keys = count;
	response.message_case = SLUICE__V1__SYNC_RESPONSE__MESSAGE_KEYS;
	response.keys = &message;
	return fleet_session_send(session, &response, 0) == SL_OK;
}

bool fleet_keys_tell(struct fleet *fleet, struct fleet_session *session)
{
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	SL_AUTO(sl_free_auto) struct signing_key *keys = NULL;
	size_t count = 0;
	if (fleet_keys_known(fleet, session)) {
		return true;
	}
	if (signing_missing(fleet->options.signing, session->key_epoch,
			    SL_BYTES(session->key, SL_SIGN_PUBLIC_BYTES), &keys, &count,
			    &err) != SL_OK ||
	    (count > 0 && !send_keys(session, keys, count))) {
		return false;
	}
	if (count == 0) {
		log_warn("agent-key-foreign",
			 "instance=%s epoch=%u meaning=\"it has pinned a key that this server "
			 "never had, and refuses what it is sent\" action=\"sluiced keys "
			 "recover-manifest, or pin it anew\"",
			 session->unit->record->name, (unsigned)session->key_epoch);
	}
	session->key_epoch = fleet->key.epoch;
	memcpy(session->key, fleet->key.public_key, SL_SIGN_PUBLIC_BYTES);
	return true;
}

/* --- the key changes -------------------------------------------------------------------- */

static bool reload(struct fleet *fleet)
{
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	bool changed = false;
	if (signing_reload(fleet->options.signing, &changed, &err) != SL_OK) {
		log_error("keys-not-read", "error=%s meaning=\"the manifest key in use stays\"",
			  SL_QUOTE(err.msg));
	}
	return changed;
}

void fleet_keys_tick(struct fleet *fleet)
{
	uint64_t now = fleet_mono_ms(fleet);
	struct fleet_session *session = NULL;
	if (fleet->options.signing == NULL || now < fleet->keys_look_mono_ms) {
		return;
	}
	fleet->keys_look_mono_ms = now + LOOK_EVERY_MS;
	pthread_mutex_lock(&fleet->lock);
	if (reload(fleet)) {
		signing_current(fleet->options.signing, &fleet->key);
		log_info("manifest-key", "epoch=%u agents=%u", (unsigned)fleet->key.epoch,
			 fleet->stream_count);
		TAILQ_FOREACH(session, &fleet->sessions, link)
		{
			if (session->unit != NULL) {
				session->unit->sent_sequence = 0;
				session->told = 0; /* order begins anew */
				fleet_session_touch(fleet, session);
			}
		}
	}
	pthread_mutex_unlock(&fleet->lock);
}
