#include "server/records/identities_internal.h"
#include "server/records/placement.h"
#include "server/records/wire.h"

struct record_key identity_key(const char *id)
{
	struct record_key key = {.size = 0};
	key_text(&key, id);
	return key;
}

sl_code identity_get(const struct store_view *view, struct sl_arena *arena, const char *id,
		     Sluice__Store__V1__IdentityRecord **ret_identity, struct sl_err *err)
{
	if (!sl_id_is(id, "idn")) {
		return SL_NOT_FOUND;
	}
	struct record_key key = identity_key(id);
	return record_get(view, arena, TABLE_IDENTITIES, &key,
			  &sluice__store__v1__identity_record__descriptor, ret_identity, err);
}

sl_code identity_of_instance(const struct store_view *view, struct sl_arena *arena,
			     const Sluice__Store__V1__InstanceRecord *instance,
			     Sluice__Store__V1__IdentityRecord **ret_identity, struct sl_err *err)
{
	*ret_identity = NULL;
	sl_code code = identity_get(view, arena, instance->identity_id, ret_identity, err);
	return code == SL_NOT_FOUND ? SL_OK : code;
}

sl_code identities_no_memory(struct sl_err *err)
{
	return sl_err_no_memory(err);
}

void identities_put(struct decision *d, Sluice__Store__V1__IdentityRecord *identity)
{
	struct record_key key = identity_key(identity->id);
	identity->revision = d->revision;
	decision_put(d, TABLE_IDENTITIES, &key, &identity->base);
}

void identities_put_instance(struct decision *d, Sluice__Store__V1__InstanceRecord *instance)
{
	struct record_key key = KEY(d->workspace, key_text(k, instance->id));
	instance->revision = d->revision;
	decision_put(d, TABLE_INSTANCES, &key, &instance->base);
	placement_put(d, instance);
	Sluice__V1__Event *event = decision_event(d, SLUICE__V1__EVENT_TYPE__EVENT_TYPE_UPDATED,
						  SLUICE__V1__EVENT_KIND__EVENT_KIND_INSTANCE, NULL,
						  instance->environment, instance->id);
	event->object_case = SLUICE__V1__EVENT__OBJECT_INSTANCE;
	event->instance = wire_instance(d->arena, instance);
}

struct record_key identities_token_key(const char *id)
{
	struct record_key key = {.size = 0};
	key_text(&key, id);
	return key;
}

sl_code identities_token_get(const struct store_view *view, struct sl_arena *arena, const char *id,
			     Sluice__Store__V1__JoinTokenRecord **ret_token, struct sl_err *err)
{
	if (!sl_id_is(id, "jtk")) {
		return SL_NOT_FOUND;
	}
	struct record_key key = identities_token_key(id);
	return record_get(view, arena, TABLE_JOIN_TOKENS, &key,
			  &sluice__store__v1__join_token_record__descriptor, ret_token, err);
}

sl_code identities_void_token(struct decision *d, Sluice__Store__V1__InstanceRecord *instance,
			      struct sl_err *err)
{
	Sluice__Store__V1__JoinTokenRecord *token = NULL;
	sl_code code =
	    identities_token_get(d->view, d->arena, instance->join_token_id, &token, err);
	if (code == SL_OK && token->used_ms == 0) {
		struct record_key key = identities_token_key(token->id);
		decision_delete(d, TABLE_JOIN_TOKENS, &key);
	}
	return code == SL_NOT_FOUND ? SL_OK : code;
}

sl_code identities_find_instance(struct decision *d, const char *name_or_id,
				 Sluice__Store__V1__InstanceRecord **ret_instance,
				 struct sl_err *err)
{
	sl_code code =
	    instance_find(d->view, d->arena, d->workspace, name_or_id, ret_instance, err);
	return code != SL_OK ? code
			     : decision_expect(d, "instance", (*ret_instance)->name,
					       (*ret_instance)->revision, err);
}

ProtobufCBinaryData identities_copy(struct sl_arena *arena, const uint8_t *data, size_t size)
{
	return (ProtobufCBinaryData){.data = sl_arena_dup(arena, data, size), .len = size};
}

void identities_set_cert(struct decision *d, Sluice__Store__V1__IdentityRecord *identity,
			 const struct identity_cert *cert)
{
	identity->serial = identities_copy(d->arena, cert->serial, cert->serial_size);
	identity->public_key_hash =
	    identities_copy(d->arena, cert->public_key_hash, IDENTITY_HASH_BYTES);
	identity->not_after_ms = cert->not_after_ms;
}
