/* Access tokens: made, used, revoked; and the first principal of a server. */
#include <stdlib.h>
#include <string.h>

#include "base/crypto/crypto.h"
#include "base/id/id.h"
#include "server/records/principals.h"

enum { USED_EVERY_MS = 60 * 1000 };

static struct record_key token_key(const char *id)
{
	struct record_key key = {.size = 0};
	key_text(&key, id);
	return key;
}

/* --- writing --------------------------------------------------------------------- */

static void token_put(struct decision *d, Sluice__Store__V1__AccessTokenRecord *token)
{
	struct record_key key = token_key(token->id);
	token->revision = d->revision;
	decision_put(d, TABLE_ACCESS_TOKENS, &key, &token->base);
}

static sl_code make(struct decision *d, const struct access_token_wish *wish,
		    const Sluice__Store__V1__PrincipalRecord *principal,
		    Sluice__Store__V1__AccessTokenRecord **ret_token, char **ret_text,
		    struct sl_err *err)
{
	Sluice__Store__V1__AccessTokenRecord *token =
	    SL_ARENA_NEW(d->arena, Sluice__Store__V1__AccessTokenRecord);
	char *text = sl_arena_alloc(d->arena, SL_TOKEN_TEXT_SIZE);
	uint8_t *hash = sl_arena_alloc(d->arena, SL_TOKEN_HASH_BYTES);
	if (token == NULL || text == NULL || hash == NULL) {
		return sl_err_no_memory(err);
	}
	sluice__store__v1__access_token_record__init(token);
	token->id = decision_id(d, "tok");
	token->workspace = d->workspace;
	token->principal_id = principal->id;
	token->description = sl_arena_strdup(d->arena, wish->description);
	token->created_ms = d->now_ms;
	token->created_by = (char *)d->principal;
	token->expires_ms = d->now_ms + wish->lifetime_ms;
	if (sl_arena_failed(d->arena)) {
		return sl_err_no_memory(err);
	}
	char secret[SL_TOKEN_SECRET_SIZE];
	sl_token_secret(d->secret, secret);
	sl_token_hash(wish->key, ACCESS_TOKEN_PURPOSE, token->id, secret, hash);
	sl_token_text(token->id, secret, text);
	token->hash = (ProtobufCBinaryData){.len = SL_TOKEN_HASH_BYTES, .data = hash};
	struct record_key index =
	    KEY(d->workspace, key_text(k, principal->id), key_text(k, token->id));
	decision_put_bytes(d, TABLE_ACCESS_TOKENS_BY_PRINCIPAL, &index, SL_BYTES("", 0));
	token_put(d, token);
	*ret_token = token;
	*ret_text = text;
	return SL_OK;
}

sl_code access_tokens_decide_create(struct decision *d, const struct access_token_wish *wish,
				    Sluice__Store__V1__AccessTokenRecord **ret_token,
				    char **ret_text, struct sl_err *err)
{
	Sluice__Store__V1__PrincipalRecord *principal = NULL;
	sl_code code = decision_expect_none(d, err);
	code = code != SL_OK ? code
			     : principal_find(d->view, d->arena, d->workspace, wish->principal,
					      &principal, err);
	return code != SL_OK ? code : make(d, wish, principal, ret_token, ret_text, err);
}

sl_code access_tokens_decide_revoke(struct decision *d, const char *id,
				    Sluice__Store__V1__AccessTokenRecord **ret_token,
				    struct sl_err *err)
{
	Sluice__Store__V1__AccessTokenRecord *token = NULL;
	sl_code code = sl_id_is(id, "tok") ? access_token_get(d->view, d->arena, id, &token, err)
					   : SL_NOT_FOUND;
	if (code == SL_NOT_FOUND || (code == SL_OK && token->workspace != d->workspace)) {
		/* What was given may be a whole token: it is not said again. */
		return sl_err_because(
		    err, SL_NOT_FOUND, SL_REASON_TOKEN_NOT_FOUND,
		    "no access token of this id: ids are 'tok_' and 20 characters");
	}
	code = code != SL_OK ? code
			     : decision_expect(d, "access token", token->id, token->revision, err);
	if (code != SL_OK) {
		return code;
	}
	*ret_token = token;
	if (token->revoked_ms == 0) {
		token->revoked_ms = d->now_ms;
		token->revoked_by = (char *)d->principal;
		token_put(d, token);
	}
	return SL_OK;
}

/* --- using -------------------------------------------------------------------------- */

sl_code access_token_get(const struct store_view *view, struct sl_arena *arena, const char *id,
			 Sluice__Store__V1__AccessTokenRecord **ret_token, struct sl_err *err)
{
	struct record_key key = token_key(id);
	return record_get(view, arena, TABLE_ACCESS_TOKENS, &key,
			  &sluice__store__v1__access_token_record__descriptor, ret_token, err);
}

/* SL_NOT_FOUND: revoked, expired, or its principal is disabled or gone. */
static sl_code usable(const struct store_view *view, struct sl_arena *arena,
		      const Sluice__Store__V1__AccessTokenRecord *token, uint64_t now_ms,
		      Sluice__Store__V1__PrincipalRecord **ret_principal, struct sl_err *err)
{
	if (token->revoked_ms != 0 || token->expires_ms <= now_ms) {
		return SL_NOT_FOUND;
	}
	sl_code code =
	    principal_get(view, arena, token->workspace, token->principal_id, ret_principal, err);
	return code == SL_OK && (*ret_principal)->disabled_ms != 0 ? SL_NOT_FOUND : code;
}

sl_code access_token_login(const struct store_view *view, struct sl_arena *arena,
			   const struct sl_token_key *key, const char *text, uint64_t now_ms,
			   struct access_token_login *ret_login, struct sl_err *err)
{
	static const uint8_t nothing[SL_TOKEN_HASH_BYTES];
	struct sl_token_parts parts = {.secret = ""};
	uint8_t hash[SL_TOKEN_HASH_BYTES];
	Sluice__Store__V1__AccessTokenRecord *token = NULL;
	bool formed = sl_token_parse(text, &parts);
	sl_code code = formed ? access_token_get(view, arena, parts.id, &token, err) : SL_NOT_FOUND;
	if (code != SL_OK && code != SL_NOT_FOUND) {
		return code;
	}
	/* Also for an unknown id, so that it takes as long. */
	sl_token_hash(key, ACCESS_TOKEN_PURPOSE, parts.id, parts.secret, hash);
	bool good = sl_token_matches(hash, token != NULL ? token->hash.data : nothing,
				     token != NULL ? token->hash.len : sizeof(nothing));
	Sluice__Store__V1__PrincipalRecord *principal = NULL;
	code = good && token != NULL ? usable(view, arena, token, now_ms, &principal, err)
				     : SL_NOT_FOUND;
	if (code == SL_OK) {
		*ret_login = (struct access_token_login){.token = token, .principal = principal};
	}
	return code;
}

sl_code access_token_use(struct decision *d, const char *id, struct sl_err *err)
{
	Sluice__Store__V1__AccessTokenRecord *token = NULL;
	Sluice__Store__V1__PrincipalRecord *principal = NULL;
	sl_code code = access_token_get(d->view, d->arena, id, &token, err);
	code = code != SL_OK ? code : usable(d->view, d->arena, token, d->now_ms, &principal, err);
	if (code == SL_NOT_FOUND) {
		return sl_token_refused(err);
	}
	if (code == SL_OK && (token->used_ms == 0 || d->now_ms >= token->used_ms + USED_EVERY_MS)) {
		struct record_key key = token_key(token->id);
		token->used_ms = d->now_ms; /* the revision stays: nobody has changed the token */
		decision_put(d, TABLE_ACCESS_TOKENS, &key, &token->base);
	}
	return code;
}

/* --- the first principal ------------------------------------------------------------------ */

struct first_admin {
	struct store_cmd cmd;
	struct sl_arena arena;
	const struct sl_token_key *key;
	uint64_t now_ms, lifetime_ms;
	struct sl_id ids[DECISION_IDS];
	uint8_t secret[SL_TOKEN_RANDOM_BYTES];
	char *text; /* in the arena */
};

static Sluice__V1__Grant admin_grant(void)
{
	Sluice__V1__Grant grant = SLUICE__V1__GRANT__INIT;
	grant.role = (char *)"admin";
	return grant;
}

/* Makes it, or gives back what it has lost. */
static sl_code admin_of(struct decision *d, Sluice__Store__V1__PrincipalRecord **ret_principal,
			struct sl_err *err)
{
	Sluice__V1__Grant grant = admin_grant(), *grants[] = {&grant};
	sl_code code =
	    principal_find(d->view, d->arena, d->workspace, "admin", ret_principal, NULL);
	if (code == SL_NOT_FOUND) {
		return principals_decide_create(
		    d,
		    &(struct principal_wish){.name = "admin",
					     .description = "",
					     .kind =
						 SLUICE__V1__PRINCIPAL_KIND__PRINCIPAL_KIND_PERSON,
					     .grants = grants,
					     .grant_count = 1},
		    ret_principal, err);
	}
	if (code == SL_OK && (*ret_principal)->disabled_ms != 0) {
		code = principals_decide_disable(d, "admin", false, ret_principal, err);
	}
	return code;
}

static bool has_admin(const Sluice__Store__V1__PrincipalRecord *principal)
{
	for (size_t i = 0; i < principal->n_grants; i++) {
		const Sluice__Store__V1__GrantRecord *grant = principal->grants[i];
		if (strcmp(grant->role, "admin") == 0 && strcmp(grant->apps, "*") == 0 &&
		    grant->environment == 0) {
			return true;
		}
	}
	return false;
}

static void put_principal(struct decision *d, const Sluice__Store__V1__PrincipalRecord *principal)
{
	struct record_key key = KEY(d->workspace, key_text(k, principal->id));
	decision_put(d, TABLE_PRINCIPALS, &key, &principal->base);
}

/* A decision does not see its own changes: what is enabled and what is granted cannot be two
 * commands of one, so the record is put once more, whole. */
static sl_code first_decide_in(struct first_admin *f, struct decision *d, struct sl_err *err)
{
	Sluice__Store__V1__PrincipalRecord *admin = NULL;
	sl_code code = workspace_find(d->view, "default", &d->workspace, err);
	code = code != SL_OK ? code : admin_of(d, &admin, err);
	if (code == SL_OK && !has_admin(admin)) {
		Sluice__V1__Grant grant = admin_grant();
		uint64_t enabled_ms = admin->disabled_ms;
		code = principals_decide_grant(d, "admin", &grant, true, &admin, err);
		if (code == SL_OK && admin->disabled_ms != enabled_ms) {
			admin->disabled_ms = enabled_ms;
			put_principal(d, admin);
		}
	}
	Sluice__Store__V1__AccessTokenRecord *token = NULL;
	const struct access_token_wish wish = {.description = "made on the server's host",
					       .lifetime_ms = f->lifetime_ms,
					       .key = f->key};
	code = code != SL_OK ? code : make(d, &wish, admin, &token, &f->text, err);
	return decision_own_end(d, code, err);
}

static sl_code first_decide(struct store_cmd *cmd, const struct store_view *view,
			    struct store_changes *changes, struct sl_err *err)
{
	struct first_admin *f = SL_CONTAINER_OF(cmd, struct first_admin, cmd);
	struct decision d = decision_own("sluiced", "token", view, changes, &f->arena, f->now_ms);
	d.workspace_name = "default";
	d.secret = f->secret;
	for (unsigned i = 0; i < DECISION_IDS; i++) {
		d.ids[i] = f->ids[i].text + 4; /* behind the prefix */
	}
	return first_decide_in(f, &d, err);
}

sl_code records_first_admin(struct store *store, const struct sl_token_key *key, uint64_t now_ms,
			    uint64_t lifetime_ms, char **ret_text, struct sl_err *err)
{
	struct first_admin f = {
	    .cmd = {.decide = first_decide},
	    .key = key,
	    .now_ms = now_ms,
	    .lifetime_ms = lifetime_ms,
	};
	for (unsigned i = 0; i < DECISION_IDS; i++) {
		f.ids[i] = sl_id_new("new");
	}
	sl_random(f.secret, sizeof(f.secret));
	sl_arena_init(&f.arena, 0);
	sl_code code = store_run(store, &f.cmd, err);
	char *text = code == SL_OK ? strdup(f.text) : NULL;
	sl_arena_fini(&f.arena);
	if (code == SL_OK && text == NULL) {
		return sl_err_no_memory(err);
	}
	if (code == SL_OK) {
		*ret_text = text;
	}
	return code;
}
