/* principals: who may do what, as it is stored: principals with their grants, roles, access tokens,
 * identities.
 *
 * Commands are decided like all others (records.h). Each that changes what somebody may do notes
 * its revision (access_changed()), so that what is kept of rights in memory can tell that it is
 * old, in every view and in every decision of a batch. */
#ifndef SL_SERVER_PRINCIPALS_H
#define SL_SERVER_PRINCIPALS_H

#include "base/token/token.h"
#include "server/records/wire.h"
#include "server/rules/rights.h"
#include "sluice/v1/access.pb-c.h"

#define PRINCIPAL_TEXT_MAX 200 /* bytes of a description */

/* What somebody may do has changed with this decision. Also for identities that are revoked. */
void access_changed(struct decision *d);
/* The revision that did so last; 0: none has. SL_DATA_LOSS: it does not parse. */
SL_MUST_USE sl_code access_generation(const struct store_view *view, uint64_t *ret_generation,
				      struct sl_err *err);

/* --- principals ---------------------------------------------------------------------- */

struct principal_wish {
	const char *name, *description;
	Sluice__V1__PrincipalKind kind;
	Sluice__V1__Grant *const *grants;
	size_t grant_count;
};
/* Shape of a grant and of a right: SL_INVALID_ARGUMENT / MALFORMED. */
SL_MUST_USE sl_code grant_check(const Sluice__V1__Grant *grant, struct sl_err *err);
SL_MUST_USE sl_code rights_check(Sluice__V1__Right *const *rights, size_t count,
				 struct sl_err *err);

SL_MUST_USE sl_code principal_get(const struct store_view *view, struct sl_arena *arena,
				  uint32_t workspace, const char *id,
				  Sluice__Store__V1__PrincipalRecord **ret_principal,
				  struct sl_err *err);
/* SL_ALREADY_EXISTS / NAME_TAKEN, SL_NOT_FOUND / ROLE_NOT_FOUND, ENVIRONMENT_NOT_FOUND. */
SL_MUST_USE sl_code principals_decide_create(struct decision *d, const struct principal_wish *wish,
					     Sluice__Store__V1__PrincipalRecord **ret_principal,
					     struct sl_err *err);
/* The last that may administer `default` is kept: SL_FAILED_PRECONDITION / PRINCIPAL_IN_USE. */
SL_MUST_USE sl_code principals_decide_disable(struct decision *d, const char *name_or_id,
					      bool disabled,
					      Sluice__Store__V1__PrincipalRecord **ret_principal,
					      struct sl_err *err);
SL_MUST_USE sl_code principals_decide_delete(struct decision *d, const char *name_or_id,
					     struct sl_err *err);
SL_MUST_USE sl_code principals_decide_grant(struct decision *d, const char *name_or_id,
					    const Sluice__V1__Grant *grant, bool give,
					    Sluice__Store__V1__PrincipalRecord **ret_principal,
					    struct sl_err *err);

/* What it may do: the rights of all its grants, none while it is disabled. In the arena. */
SL_MUST_USE sl_code principal_rights(const struct store_view *view, struct sl_arena *arena,
				     uint32_t workspace,
				     const Sluice__Store__V1__PrincipalRecord *principal,
				     struct rights *ret_rights, struct sl_err *err);
/* Calls back for every principal of the workspace, by id, until it returns false. */
struct principals_visitor {
	bool (*visit)(void *ctx, const Sluice__Store__V1__PrincipalRecord *principal);
	void *ctx;
};
SL_MUST_USE sl_code principals_visit(const struct store_view *view, struct sl_arena *arena,
				     uint32_t workspace, const struct principals_visitor *visitor,
				     struct sl_err *err);

/* --- roles (roles.c) -------------------------------------------------------------------- */

/* Of an own role; SL_NOT_FOUND / ROLE_NOT_FOUND. */
SL_MUST_USE sl_code role_find(const struct store_view *view, struct sl_arena *arena,
			      uint32_t workspace, const char *name,
			      Sluice__Store__V1__RoleRecord **ret_role, struct sl_err *err);
struct role_wish {
	const char *name, *description;
	Sluice__V1__Right *const *rights;
	size_t right_count;
};
SL_MUST_USE sl_code roles_decide_create(struct decision *d, const struct role_wish *wish,
					Sluice__Store__V1__RoleRecord **ret_role,
					struct sl_err *err);
/* SL_FAILED_PRECONDITION / ROLE_IN_USE for a built-in one. */
SL_MUST_USE sl_code roles_decide_update(struct decision *d, const struct role_wish *wish,
					Sluice__Store__V1__RoleRecord **ret_role,
					struct sl_err *err);
SL_MUST_USE sl_code roles_decide_delete(struct decision *d, const char *name, struct sl_err *err);

/* --- access tokens (access_tokens.c) ------------------------------------------------------ */

#define ACCESS_TOKEN_PURPOSE "access" /* of sl_token_hash() */
#define ACCESS_TOKEN_DAYS 90          /* unless it is said otherwise */
#define ACCESS_TOKEN_DAYS_MAX 366

struct access_token_wish {
	const char *principal, *description;
	uint64_t lifetime_ms;
	const struct sl_token_key *key;
};
/* Uses d->secret; ret_text is what is shown once, in the arena. */
SL_MUST_USE sl_code access_tokens_decide_create(struct decision *d,
						const struct access_token_wish *wish,
						Sluice__Store__V1__AccessTokenRecord **ret_token,
						char **ret_text, struct sl_err *err);
/* Twice is a success that changes nothing. */
SL_MUST_USE sl_code access_tokens_decide_revoke(struct decision *d, const char *id,
						Sluice__Store__V1__AccessTokenRecord **ret_token,
						struct sl_err *err);
/* SL_NOT_FOUND leaves *err alone. */
SL_MUST_USE sl_code access_token_get(const struct store_view *view, struct sl_arena *arena,
				     const char *id,
				     Sluice__Store__V1__AccessTokenRecord **ret_token,
				     struct sl_err *err);
/* Whom a token logs in now. The secret is compared first, and in constant time; whatever is wrong,
 * unknown, other, expired, revoked, disabled, the answer is SL_NOT_FOUND and leaves *err alone. */
struct access_token_login {
	const Sluice__Store__V1__AccessTokenRecord *token;
	const Sluice__Store__V1__PrincipalRecord *principal;
};
SL_MUST_USE sl_code access_token_login(const struct store_view *view, struct sl_arena *arena,
				       const struct sl_token_key *key, const char *text,
				       uint64_t now_ms, struct access_token_login *ret_login,
				       struct sl_err *err);
/* Within the command that follows from it: looks again, since the token or its principal may have
 * been taken away since access_token_login(), and notes the use, at most once a minute.
 * SL_UNAUTHENTICATED / TOKEN_REFUSED: they have. */
SL_MUST_USE sl_code access_token_use(struct decision *d, const char *id, struct sl_err *err);

/* What `sluiced init` and `sluiced token` write: the principal `admin` with the role admin of
 * `default`, if it is not there (a disabled or stripped one is set right), and a new access token
 * for it. The store is open, and bootstrapped. *ret_text: malloc'd, the caller's, shown once. */
SL_MUST_USE sl_code records_first_admin(struct store *store, const struct sl_token_key *key,
					uint64_t now_ms, uint64_t lifetime_ms, char **ret_text,
					struct sl_err *err);

/* --- identities (identities.c) --------------------------------------------------------------- */

struct record_key identity_key(const char *id);
/* SL_NOT_FOUND leaves *err alone. */
SL_MUST_USE sl_code identity_get(const struct store_view *view, struct sl_arena *arena,
				 const char *id, Sluice__Store__V1__IdentityRecord **ret_identity,
				 struct sl_err *err);

/* --- as API messages (access_wire.c) --- */

Sluice__V1__Principal *wire_principal(struct sl_arena *arena,
				      const Sluice__Store__V1__PrincipalRecord *record);
Sluice__V1__Role *wire_role(struct sl_arena *arena, const Sluice__Store__V1__RoleRecord *record);
Sluice__V1__Role *wire_built_in_role(struct sl_arena *arena, const struct rights_role *role);
Sluice__V1__AccessToken *wire_access_token(const struct wire *w,
					   const Sluice__Store__V1__AccessTokenRecord *record);
/* One grant a right and verb, as WhoAmI tells them. */
Sluice__V1__Grant **wire_rights(struct sl_arena *arena, const struct rights *rights,
				size_t *ret_count);

#endif
