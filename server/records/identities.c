/* Identities: one per enrolment of an agent or login of a principal; certificates name them. */
#include "server/records/principals.h"

struct record_key identity_key(const char *id)
{
	struct record_key key = {.size = 0};
	key_text(&key, id);
	return key;
}

sl_code identity_get(const struct store_view *view, struct sl_arena *arena, const char *id,
		     Sluice__Store__V1__IdentityRecord **ret_identity, struct sl_err *err)
{
	struct record_key key = identity_key(id);
	return record_get(view, arena, TABLE_IDENTITIES, &key,
			  &sluice__store__v1__identity_record__descriptor, ret_identity, err);
}
