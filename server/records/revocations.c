/* identities: how they end, and what somebody should look at. */
#include <string.h>

#include "base/clock/clock.h"
#include "server/records/identities_internal.h"

enum { ALERT_AGAIN_MS = 60000 };

void identity_revoke(struct decision *d, Sluice__Store__V1__IdentityRecord *identity,
		     const char *reason)
{
	if (identity->revoked_ms != 0) {
		return;
	}
	identity->revoked_ms = d->now_ms;
	identity->revoked_by = (char *)d->principal;
	identity->revoked_reason = sl_arena_strdup(d->arena, reason);
	identities_put(d, identity);
	access_changed(d);
}

sl_code revocations_decide_own(struct decision *d, Sluice__Store__V1__IdentityRecord **ret_identity,
			       struct sl_err *err)
{
	Sluice__Store__V1__IdentityRecord *identity = NULL;
	sl_code code = d->identity_id != NULL && d->identity_id[0] != '\0'
			   ? identity_get(d->view, d->arena, d->identity_id, &identity, err)
			   : SL_NOT_FOUND;
	if (code == SL_NOT_FOUND ||
	    (code == SL_OK &&
	     identity->kind != SLUICE__STORE__V1__IDENTITY_KIND__IDENTITY_KIND_PRINCIPAL)) {
		return sl_err_because(
		    err, SL_FAILED_PRECONDITION, SL_REASON_NOT_SUPPORTED_THERE,
		    "the call was made without a certificate of a login: there is none to end");
	}
	if (code == SL_OK && identity->workspace != d->workspace) {
		return workspace_not_found(d->workspace_name, err);
	}
	code = code != SL_OK
		   ? code
		   : decision_expect(d, "identity", identity->id, identity->revision, err);
	if (code == SL_OK) {
		identity_revoke(d, identity, d->reason[0] != '\0' ? d->reason : "logout");
		*ret_identity = identity;
	}
	return code;
}

sl_code revocations_decide_instance(struct decision *d, const char *name_or_id,
				    Sluice__Store__V1__InstanceRecord **ret_instance,
				    struct sl_err *err)
{
	Sluice__Store__V1__InstanceRecord *instance = NULL;
	Sluice__Store__V1__IdentityRecord *identity = NULL;
	sl_code code = identities_find_instance(d, name_or_id, &instance, err);
	code = code != SL_OK ? code
			     : identity_of_instance(d->view, d->arena, instance, &identity, err);
	code = code != SL_OK ? code : identities_void_token(d, instance, err);
	if (code != SL_OK) {
		return code;
	}
	if (identity != NULL) {
		identity_revoke(d, identity, d->reason[0] != '\0' ? d->reason : "instance revoke");
	}
	if (d->changed) {
		identities_put_instance(d, instance);
	}
	*ret_instance = instance;
	return SL_OK;
}

/* --- alerts ------------------------------------------------------------------------- */

static Sluice__Store__V1__AlertRecord *alert_of_kind(struct decision *d,
						     Sluice__Store__V1__InstanceRecord *instance,
						     Sluice__V1__InstanceAlertKind kind)
{
	size_t count = instance->n_alerts;
	for (size_t i = 0; i < count; i++) {
		if (instance->alerts[i]->kind == kind) {
			return instance->alerts[i];
		}
	}
	Sluice__Store__V1__AlertRecord **alerts =
	    SL_ARENA_ARRAY(d->arena, Sluice__Store__V1__AlertRecord *, count + 1);
	Sluice__Store__V1__AlertRecord *fresh =
	    SL_ARENA_NEW(d->arena, Sluice__Store__V1__AlertRecord);
	if (alerts == NULL || fresh == NULL) {
		return NULL;
	}
	if (count > 0) {
		memcpy(alerts, instance->alerts, count * sizeof(Sluice__Store__V1__AlertRecord *));
	}
	sluice__store__v1__alert_record__init(fresh);
	fresh->kind = kind;
	fresh->first_ms = d->now_ms;
	alerts[count] = fresh;
	instance->alerts = alerts;
	instance->n_alerts = count + 1;
	return fresh;
}

void identities_alert(struct decision *d, Sluice__Store__V1__InstanceRecord *instance,
		      const struct alert *alert)
{
	Sluice__Store__V1__AlertRecord *record = alert_of_kind(d, instance, alert->kind);
	bool lately =
	    record != NULL && record->last_ms != 0 && d->now_ms < record->last_ms + ALERT_AGAIN_MS;
	if (record == NULL || lately) {
		return;
	}
	record->last_ms = d->now_ms;
	record->text = sl_arena_strdup(d->arena, alert->text);
	record->peer = sl_arena_strdup(d->arena, alert->peer);
	identities_put_instance(d, instance);
}

sl_code alerts_decide(struct decision *d, const struct alert *alert, struct sl_err *err)
{
	Sluice__Store__V1__InstanceRecord *instance = NULL;
	sl_code code =
	    instance_get(d->view, d->arena, d->workspace, alert->instance_id, &instance, err);
	if (code == SL_OK) {
		identities_alert(d, instance, alert);
	}
	return code == SL_NOT_FOUND ? SL_OK : code;
}

sl_code alerts_decide_clear(struct decision *d, const char *name_or_id,
			    Sluice__Store__V1__InstanceRecord **ret_instance, struct sl_err *err)
{
	sl_code code = identities_find_instance(d, name_or_id, ret_instance, err);
	if (code == SL_OK && (*ret_instance)->n_alerts > 0) {
		(*ret_instance)->n_alerts = 0;
		identities_put_instance(d, *ret_instance);
	}
	return code;
}

char *alert_of_spent(struct sl_arena *arena, const Sluice__Store__V1__JoinTokenRecord *token,
		     const char *peer)
{
	char at[SL_CLOCK_TEXT_SIZE];
	return sl_arena_printf(arena,
			       "join token %s was shown again from %s; it was used first from %s "
			       "at %s and made identity %s: if that was not the instance's agent, "
			       "revoke it",
			       token->id, peer, token->used_from, sl_clock_text(at, token->used_ms),
			       token->identity_id);
}
