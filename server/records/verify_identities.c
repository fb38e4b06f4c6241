/* verify: the tokens that make identities. */
#include "server/records/identities.h"
#include "server/records/verify_internal.h"

static bool instance_was_there(const struct verify *v, uint32_t workspace, const char *id)
{
	struct record_key key = KEY(workspace, key_text(k, id));
	return verify_is_there(v, TABLE_INSTANCES, &key, NULL) ||
	       verify_is_there(v, TABLE_REMOVED_INSTANCES, &key, NULL);
}

static void check_join_token(struct verify *v)
{
	Sluice__Store__V1__JoinTokenRecord *r =
	    verify_unpack(v, &sluice__store__v1__join_token_record__descriptor);
	if (r == NULL || !verify_texts_fit(v, r->id, r->instance_id, r->identity_id, NULL)) {
		return;
	}
	struct record_key own = identity_key(r->id);
	verify_stored_as(v, &own);
	if (r->hash.len != SL_TOKEN_HASH_BYTES) {
		verify_fault(v, "has a hash of %zu bytes", r->hash.len);
	}
	if (!instance_was_there(v, r->workspace, r->instance_id)) {
		verify_fault(v, "is of an instance that never was");
	}
	struct record_key identity = identity_key(r->identity_id);
	if (r->used_ms != 0) {
		verify_need(v, TABLE_IDENTITIES, &identity, "an identity");
	}
}

const struct verify_check verify_identities[1] = {
    {TABLE_JOIN_TOKENS, check_join_token},
};
