/* GetAuditHead: where the audit sequence stands, signed, for who keeps it elsewhere. */
#include <stdlib.h>

#include "base/clock/clock.h"
#include "base/mem/own.h"
#include "server/records/wire.h"
#include "server/services/audit_internal.h"
#include "server/signing/signing.h"

ProtobufCBinaryData audit_wire_bytes(struct sl_arena *arena, const uint8_t *data, size_t size)
{
	return (ProtobufCBinaryData){.len = size, .data = sl_arena_dup(arena, data, size)};
}

Sluice__V1__AuditPoint *audit_wire_point(struct sl_arena *arena,
					 const struct store_audit_point *point)
{
	Sluice__V1__AuditPoint *wire = SL_ARENA_NEW(arena, Sluice__V1__AuditPoint);
	if (wire != NULL) {
		sluice__v1__audit_point__init(wire);
		wire->sequence = point->sequence;
		wire->hash = audit_wire_bytes(arena, point->hash, sizeof(point->hash));
	}
	return wire;
}

/* --- the keys ---------------------------------------------------------------------------- */

static void add_keys(struct sl_arena *arena, const struct signing_key *keys, size_t count,
		     Sluice__V1__GetAuditHeadResponse *response)
{
	response->keys = SL_ARENA_ARRAY(arena, Sluice__V1__ManifestKey *, count + 1);
	for (size_t i = 0; response->keys != NULL && i < count; i++) {
		Sluice__V1__ManifestKey *key = SL_ARENA_NEW(arena, Sluice__V1__ManifestKey);
		if (key == NULL) {
			return;
		}
		sluice__v1__manifest_key__init(key);
		key->epoch = keys[i].epoch;
		key->public_key =
		    audit_wire_bytes(arena, keys[i].public_key, sizeof(keys[i].public_key));
		if (keys[i].by != SIGNING_FIRST) {
			key->signature =
			    audit_wire_bytes(arena, keys[i].signature, sizeof(keys[i].signature));
		}
		response->keys[response->n_keys++] = key;
	}
}

static sl_code tell_keys(struct signing *signing, struct sl_arena *arena,
			 Sluice__V1__GetAuditHeadResponse *response, struct sl_err *err)
{
	SL_AUTO(sl_free_auto) struct signing_key *keys = NULL;
	size_t count = 0;
	sl_code code = signing_keys(signing, &keys, &count, err);
	if (code == SL_OK) {
		add_keys(arena, keys, count, response);
	}
	return code;
}

/* --- the signature ------------------------------------------------------------------------ */

/* By the key in use; when another one comes into use meanwhile, SL_ABORTED. */
static sl_code sign(struct signing *signing, const struct store_audit_point *head, uint64_t now_ms,
		    struct sl_arena *arena, Sluice__V1__AuditHeadSignature **ret_signature,
		    struct sl_err *err)
{
	struct signing_key key;
	uint8_t words[VOUCH_AUDIT_HEAD_BYTES], signature[SL_SIGNATURE_BYTES];
	signing_current(signing, &key);
	vouch_audit_head(&(struct vouch_audit_head){.epoch = key.epoch,
						    .at_ms = now_ms,
						    .sequence = head->sequence,
						    .hash = head->hash},
			 words);
	sl_code code = signing_sign(signing, key.epoch, VOUCH_AUDIT_HEAD,
				    SL_BYTES(words, sizeof(words)), signature, err);
	Sluice__V1__AuditHeadSignature *told =
	    code == SL_OK ? SL_ARENA_NEW(arena, Sluice__V1__AuditHeadSignature) : NULL;
	if (told != NULL) {
		sluice__v1__audit_head_signature__init(told);
		told->key_epoch = key.epoch;
		told->at_ms = now_ms;
		told->signature = audit_wire_bytes(arena, signature, sizeof(signature));
		*ret_signature = told;
	}
	return code;
}

sl_code audit_head_read(struct service_read *read, const void *message, void *reply,
			struct sl_err *err)
{
	(void)message;
	Sluice__V1__GetAuditHeadResponse *response = reply;
	struct store_audit_point head = store_view_audit_head(read->view);
	struct store_audit_point anchor = store_view_audit_anchor(read->view);
	struct signing *signing = read->services->signing;
	uint64_t now_ms = sl_clock_unix_ms();
	response->head = audit_wire_point(read->arena, &head);
	response->anchor = audit_wire_point(read->arena, &anchor);
	response->at = wire_time(read->arena, now_ms);
	if (signing == NULL) {
		return SL_OK;
	}
	sl_code code = sign(signing, &head, now_ms, read->arena, &response->signature, err);
	return code != SL_OK ? code : tell_keys(signing, read->arena, response, err);
}
