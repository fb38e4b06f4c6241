/* Shared by the files of identities.h. */
#ifndef SL_SERVER_IDENTITIES_INTERNAL_H
#define SL_SERVER_IDENTITIES_INTERNAL_H

#include "server/records/identities.h"

sl_code identities_no_memory(struct sl_err *err);
/* Stores the identity at this revision. */
void identities_put(struct decision *d, Sluice__Store__V1__IdentityRecord *identity);
/* Stores the instance at this revision, with its event. */
void identities_put_instance(struct decision *d, Sluice__Store__V1__InstanceRecord *instance);
struct record_key identities_token_key(const char *id);
/* SL_NOT_FOUND leaves *err alone. */
SL_MUST_USE sl_code identities_token_get(const struct store_view *view, struct sl_arena *arena,
					 const char *id,
					 Sluice__Store__V1__JoinTokenRecord **ret_token,
					 struct sl_err *err);
/* Removes the instance's token unless it was used: a used one stays, so that its second use is
 * seen. */
SL_MUST_USE sl_code identities_void_token(struct decision *d,
					  Sluice__Store__V1__InstanceRecord *instance,
					  struct sl_err *err);
/* By name or id, at the revision that the caller expects. */
SL_MUST_USE sl_code identities_find_instance(struct decision *d, const char *name_or_id,
					     Sluice__Store__V1__InstanceRecord **ret_instance,
					     struct sl_err *err);
ProtobufCBinaryData identities_copy(struct sl_arena *arena, const uint8_t *data, size_t size);
/* The certificate that the identity has from now on. */
void identities_set_cert(struct decision *d, Sluice__Store__V1__IdentityRecord *identity,
			 const struct identity_cert *cert);
void identities_alert(struct decision *d, Sluice__Store__V1__InstanceRecord *instance,
		      const struct alert *alert);

#endif
