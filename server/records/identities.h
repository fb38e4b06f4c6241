/* identities: who speaks with which certificate: join tokens, enrolments, logins, renewals,
 * revocations, and the alerts that come of them.
 *
 * One identity per enrolment of an agent, or login of a person or bot; certificates name it. An
 * instance has at most one that is good: enrolling anew revokes the one before. Commands are
 * decided like all others (records.h); certificates are made by the caller, who hands out what it
 * made only if the command went through. */
#ifndef SL_SERVER_IDENTITIES_H
#define SL_SERVER_IDENTITIES_H

#include "base/token/token.h"
#include "server/records/principals.h" /* identity_get() */

enum {
	IDENTITY_HASH_BYTES = 32,   /* of a public key */
	IDENTITY_SERIAL_BYTES = 20, /* at most */
	IDENTITY_BOX_KEY_BYTES = 32,
	IDENTITY_NONCE_BYTES = 16,
	INVITATION_TEXT_SIZE = 24 + 1 + SL_TOKEN_SECRET_SIZE,
};

#define INVITATION_PURPOSE "join" /* of sl_token_hash() */
#define INVITATION_TTL_MS UINT64_C(900000)
#define INVITATION_TTL_MIN_MS UINT64_C(60000)
#define INVITATION_TTL_MAX_MS UINT64_C(604800000)

/* That of an instance's agent; *ret_identity is NULL when none has enrolled. */
SL_MUST_USE sl_code identity_of_instance(const struct store_view *view, struct sl_arena *arena,
					 const Sluice__Store__V1__InstanceRecord *instance,
					 Sluice__Store__V1__IdentityRecord **ret_identity,
					 struct sl_err *err);

/* What is kept of a certificate that was made for an identity. Borrowed for the call. */
struct identity_cert {
	const uint8_t *public_key_hash; /* IDENTITY_HASH_BYTES */
	const uint8_t *serial;
	size_t serial_size;
	uint64_t not_after_ms;
};

/* --- invitations (invitations.c) ---------------------------------------------------------- */

/* "jtk_....<secret>", shown once. Returns `out`. */
char *invitation_text(const char *id, const char *secret, char out[static INVITATION_TEXT_SIZE]);
struct invitation_parts {
	char id[SL_ID_SIZE]; /* "jtk_..." */
	char secret[SL_TOKEN_SECRET_SIZE];
};
/* False: the text is no join token. */
bool invitation_parse(const char *text, struct invitation_parts *ret_parts);

struct invitation_wish {
	const char *instance; /* name or id */
	uint64_t ttl_ms;
	const struct sl_token_key *key;
};
/* Uses d->secret; *ret_text lies in the arena. A token of the instance that nobody used is void
 * from then on. */
SL_MUST_USE sl_code invitations_decide(struct decision *d, const struct invitation_wish *wish,
				       Sluice__Store__V1__InstanceRecord **ret_instance,
				       Sluice__Store__V1__JoinTokenRecord **ret_token,
				       char **ret_text, struct sl_err *err);

enum invitation_verdict {
	INVITATION_GOOD,
	INVITATION_REFUSED, /* unknown, another secret, void, of an instance that is gone: nobody is
			       told which */
	INVITATION_SPENT,   /* the right secret, and somebody has used it: worth an alert */
};
struct invitation {
	enum invitation_verdict verdict;
	Sluice__Store__V1__JoinTokenRecord *token;   /* of GOOD and SPENT */
	Sluice__Store__V1__InstanceRecord *instance; /* likewise; NULL: it is gone */
};
/* Compares the secret first, in constant time. In the arena. */
SL_MUST_USE sl_code invitation_look(const struct store_view *view, struct sl_arena *arena,
				    const struct sl_token_key *key, const char *text,
				    uint64_t now_ms, struct invitation *ret_invitation,
				    struct sl_err *err);

/* --- enrolling and logging in (enrolments.c) -------------------------------------------------- */

struct enrolment {
	const char *token_id;    /* its secret has been compared */
	const char *identity_id; /* fresh; the certificate names it */
	const char *peer;
	const uint8_t *box_key; /* IDENTITY_BOX_KEY_BYTES */
	struct identity_cert cert;
};
/* d->workspace is the token's. Spends the token, makes the identity, revokes the instance's one
 * before. SL_UNAUTHENTICATED / TOKEN_REFUSED: somebody was faster, or it is void by now. */
SL_MUST_USE sl_code enrolments_decide(struct decision *d, const struct enrolment *enrolment,
				      Sluice__Store__V1__InstanceRecord **ret_instance,
				      struct sl_err *err);

struct login {
	const char *token_id, *principal_id, *identity_id, *peer;
	struct identity_cert cert;
};
/* d->workspace is the principal's. The token has been found good. */
SL_MUST_USE sl_code logins_decide(struct decision *d, const struct login *login,
				  struct sl_err *err);

/* --- renewing (renewals.c) ---------------------------------------------------------------- */

struct renewal {
	const char *identity_id, *peer;
	uint64_t counter;
	const uint8_t *nonce; /* IDENTITY_NONCE_BYTES */
	struct identity_cert cert;
	uint64_t grace_ms; /* so long after its certificate ran out an identity may still renew */
};
enum renewal_outcome {
	RENEWED,
	RENEWAL_COPIED, /* refused, and an alert is written: the counter went by with another nonce
			 */
};
/* d->workspace is the identity's. A counter that is ahead is taken over (the store was restored).
 * SL_UNAUTHENTICATED / IDENTITY_REVOKED, RENEWAL_REFUSED: unknown, another key, too late, or its
 * instance is gone. */
SL_MUST_USE sl_code renewals_decide(struct decision *d, const struct renewal *renewal,
				    enum renewal_outcome *ret_outcome, struct sl_err *err);
/* What the caller is told of RENEWAL_COPIED. */
sl_code renewal_refuse_copy(const struct renewal *renewal, struct sl_err *err);

/* --- revoking and alerts (revocations.c) --------------------------------------------------- */

/* Revokes an identity that is good; changes nothing of another. */
void identity_revoke(struct decision *d, Sluice__Store__V1__IdentityRecord *identity,
		     const char *reason);
/* The identity that d's caller shows, of a principal of d's workspace. SL_FAILED_PRECONDITION /
 * NOT_SUPPORTED_THERE: it shows none, or an instance's. */
SL_MUST_USE sl_code revocations_decide_own(struct decision *d,
					   Sluice__Store__V1__IdentityRecord **ret_identity,
					   struct sl_err *err);
/* The instance's identity and its unused token; with neither a success that changes nothing. */
SL_MUST_USE sl_code revocations_decide_instance(struct decision *d, const char *instance,
						Sluice__Store__V1__InstanceRecord **ret_instance,
						struct sl_err *err);

struct alert {
	Sluice__V1__InstanceAlertKind kind;
	const char *instance_id, *peer, *text;
};
/* Notes the alert on its instance. One of the same kind within a minute changes nothing, so that a
 * stranger who tries again and again does not fill the log; nor does one of an instance that is
 * gone. */
SL_MUST_USE sl_code alerts_decide(struct decision *d, const struct alert *alert,
				  struct sl_err *err);
SL_MUST_USE sl_code alerts_decide_clear(struct decision *d, const char *instance,
					Sluice__Store__V1__InstanceRecord **ret_instance,
					struct sl_err *err);
/* What a spent token's alert says: when, by whom and from where it was used first. */
char *alert_of_spent(struct sl_arena *arena, const Sluice__Store__V1__JoinTokenRecord *token,
		     const char *peer);

#endif
