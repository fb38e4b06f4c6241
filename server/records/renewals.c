/* identities: the next certificate of one.
 *
 * The counter and the nonce of the last renewal find copies: of two folders that began alike, the
 * one that renews second comes with a counter that went by, and cannot know the nonce that it went
 * by with. A client writes counter and nonce down before it sends them, so that a lost answer is
 * asked for again with both. */
#include <inttypes.h>
#include <string.h>

#include "server/records/identities_internal.h"

static sl_code refuse(struct sl_err *err, const char *id, const char *why)
{
	return sl_err_because(err, SL_UNAUTHENTICATED, SL_REASON_RENEWAL_REFUSED,
			      "identity %.24s is not renewed: %s", id, why);
}

sl_code renewal_refuse_copy(const struct renewal *renewal, struct sl_err *err)
{
	return sl_err_because(err, SL_UNAUTHENTICATED, SL_REASON_RENEWAL_REFUSED,
			      "identity %.24s is not renewed: renewal %" PRIu64
			      " went to somebody else; there is a copy of the folder with its key",
			      renewal->identity_id, renewal->counter);
}

static bool same_key(const Sluice__Store__V1__IdentityRecord *identity,
		     const struct renewal *renewal)
{
	return identity->public_key_hash.len == IDENTITY_HASH_BYTES &&
	       memcmp(identity->public_key_hash.data, renewal->cert.public_key_hash,
		      IDENTITY_HASH_BYTES) == 0;
}

static sl_code check(const struct decision *d, const Sluice__Store__V1__IdentityRecord *identity,
		     const struct renewal *renewal, struct sl_err *err)
{
	if (identity->revoked_ms != 0) {
		return sl_err_because(err, SL_UNAUTHENTICATED, SL_REASON_IDENTITY_REVOKED,
				      "identity %.24s is revoked: %.100s", identity->id,
				      identity->revoked_reason);
	}
	if (identity->workspace != d->workspace || !same_key(identity, renewal)) {
		return refuse(err, identity->id, "it has another key");
	}
	if (d->now_ms > identity->not_after_ms &&
	    d->now_ms - identity->not_after_ms > renewal->grace_ms) {
		return refuse(err, identity->id, "its certificate ran out too long ago");
	}
	return renewal->counter == 0 ? refuse(err, identity->id, "renewals count from 1") : SL_OK;
}

/* A repetition gets an answer again; whatever else went by is a copy's. */
static bool is_copy(const Sluice__Store__V1__IdentityRecord *identity,
		    const struct renewal *renewal)
{
	if (renewal->counter > identity->renewals) {
		return false;
	}
	return renewal->counter < identity->renewals ||
	       identity->renewal_nonce.len != IDENTITY_NONCE_BYTES ||
	       memcmp(identity->renewal_nonce.data, renewal->nonce, IDENTITY_NONCE_BYTES) != 0;
}

/* NULL: it is not an agent's. SL_UNAUTHENTICATED: its instance is gone. */
static sl_code find_instance(struct decision *d, const Sluice__Store__V1__IdentityRecord *identity,
			     Sluice__Store__V1__InstanceRecord **ret_instance, struct sl_err *err)
{
	if (identity->kind != SLUICE__STORE__V1__IDENTITY_KIND__IDENTITY_KIND_AGENT) {
		return SL_OK;
	}
	sl_code code =
	    instance_get(d->view, d->arena, d->workspace, identity->subject_id, ret_instance, err);
	return code == SL_NOT_FOUND ? refuse(err, identity->id, "its instance was removed") : code;
}

static void alert_copy(struct decision *d, Sluice__Store__V1__InstanceRecord *instance,
		       const struct renewal *renewal)
{
	if (instance == NULL) {
		return; /* a person's: refusing is all that can be done */
	}
	struct alert alert = {
	    .kind = SLUICE__V1__INSTANCE_ALERT_KIND__INSTANCE_ALERT_KIND_FOLDER_COPIED,
	    .instance_id = instance->id,
	    .peer = renewal->peer,
	    .text = sl_arena_printf(
		d->arena,
		"renewal %" PRIu64 " of %s was asked for twice, the second time from %s: "
		"there is a copy of the agent's state folder; `sluice instance rejoin` gives the "
		"right one a new identity",
		renewal->counter, renewal->identity_id, renewal->peer),
	};
	if (alert.text != NULL) {
		identities_alert(d, instance, &alert);
	}
}

sl_code renewals_decide(struct decision *d, const struct renewal *renewal,
			enum renewal_outcome *ret_outcome, struct sl_err *err)
{
	Sluice__Store__V1__IdentityRecord *identity = NULL;
	Sluice__Store__V1__InstanceRecord *instance = NULL;
	sl_code code = identity_get(d->view, d->arena, renewal->identity_id, &identity, err);
	if (code == SL_NOT_FOUND) {
		return refuse(err, renewal->identity_id, "it is unknown");
	}
	code = code != SL_OK ? code : check(d, identity, renewal, err);
	code = code != SL_OK ? code : find_instance(d, identity, &instance, err);
	if (code != SL_OK) {
		return code;
	}
	if (is_copy(identity, renewal)) {
		*ret_outcome = RENEWAL_COPIED;
		alert_copy(d, instance, renewal);
		return SL_OK;
	}
	identity->renewals = renewal->counter;
	identity->renewal_nonce = identities_copy(d->arena, renewal->nonce, IDENTITY_NONCE_BYTES);
	identities_set_cert(d, identity, &renewal->cert);
	identities_put(d, identity);
	*ret_outcome = RENEWED;
	return SL_OK;
}
