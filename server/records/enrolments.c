/* identities: how they begin. */
#include <string.h>

#include "server/records/identities_internal.h"

static Sluice__Store__V1__IdentityRecord *identity_new(struct decision *d,
						       Sluice__Store__V1__IdentityKind kind,
						       const char *id, const char *subject_id,
						       const struct identity_cert *cert)
{
	Sluice__Store__V1__IdentityRecord *identity =
	    SL_ARENA_NEW(d->arena, Sluice__Store__V1__IdentityRecord);
	if (identity == NULL) {
		return NULL;
	}
	sluice__store__v1__identity_record__init(identity);
	identity->kind = kind;
	identity->id = sl_arena_strdup(d->arena, id);
	identity->subject_id = sl_arena_strdup(d->arena, subject_id);
	identity->workspace = d->workspace;
	identity->created_ms = d->now_ms;
	identities_set_cert(d, identity, cert);
	return identity;
}

/* Nothing has happened to the token since it was looked at. */
static sl_code find_token(struct decision *d, const char *id,
			  Sluice__Store__V1__JoinTokenRecord **ret_token,
			  Sluice__Store__V1__InstanceRecord **ret_instance, struct sl_err *err)
{
	sl_code code = identities_token_get(d->view, d->arena, id, ret_token, err);
	code = code != SL_OK ? code
			     : instance_get(d->view, d->arena, d->workspace,
					    (*ret_token)->instance_id, ret_instance, err);
	if (code != SL_OK && code != SL_NOT_FOUND) {
		return code;
	}
	bool good = code == SL_OK && (*ret_token)->used_ms == 0 &&
		    d->now_ms < (*ret_token)->expires_ms &&
		    strcmp((*ret_instance)->join_token_id, id) == 0;
	return good ? SL_OK : sl_token_refused(err);
}

static sl_code revoke_old(struct decision *d, const Sluice__Store__V1__InstanceRecord *instance,
			  struct sl_err *err)
{
	Sluice__Store__V1__IdentityRecord *old = NULL;
	sl_code code = identity_of_instance(d->view, d->arena, instance, &old, err);
	if (code == SL_OK && old != NULL) {
		identity_revoke(d, old, "the instance enrolled anew");
	}
	return code;
}

sl_code enrolments_decide(struct decision *d, const struct enrolment *enrolment,
			  Sluice__Store__V1__InstanceRecord **ret_instance, struct sl_err *err)
{
	Sluice__Store__V1__JoinTokenRecord *token = NULL;
	Sluice__Store__V1__InstanceRecord *instance = NULL;
	sl_code code = find_token(d, enrolment->token_id, &token, &instance, err);
	code = code != SL_OK ? code : revoke_old(d, instance, err);
	if (code != SL_OK) {
		return code;
	}
	Sluice__Store__V1__IdentityRecord *identity =
	    identity_new(d, SLUICE__STORE__V1__IDENTITY_KIND__IDENTITY_KIND_AGENT,
			 enrolment->identity_id, instance->id, &enrolment->cert);
	if (identity == NULL) {
		return identities_no_memory(err);
	}
	identity->token_id = token->id;
	identity->peer = sl_arena_strdup(d->arena, enrolment->peer);
	identity->box_key = identities_copy(d->arena, enrolment->box_key, IDENTITY_BOX_KEY_BYTES);
	identities_put(d, identity);
	token->used_ms = d->now_ms;
	token->used_from = identity->peer;
	token->identity_id = identity->id;
	struct record_key key = identities_token_key(token->id);
	decision_put(d, TABLE_JOIN_TOKENS, &key, &token->base);
	instance->identity_id = identity->id;
	identities_put_instance(d, instance);
	*ret_instance = instance;
	return SL_OK;
}

sl_code logins_decide(struct decision *d, const struct login *login, struct sl_err *err)
{
	Sluice__Store__V1__IdentityRecord *identity =
	    identity_new(d, SLUICE__STORE__V1__IDENTITY_KIND__IDENTITY_KIND_PRINCIPAL,
			 login->identity_id, login->principal_id, &login->cert);
	if (identity == NULL) {
		return identities_no_memory(err);
	}
	identity->token_id = sl_arena_strdup(d->arena, login->token_id);
	identity->peer = sl_arena_strdup(d->arena, login->peer);
	identities_put(d, identity);
	return SL_OK;
}
