/* identities: join tokens. */
#include <stdio.h>
#include <string.h>

#include "server/records/identities_internal.h"

enum { ID_CHARS = SL_ID_SIZE - 1, SECRET_CHARS = SL_TOKEN_SECRET_SIZE - 1 };

char *invitation_text(const char *id, const char *secret, char out[static INVITATION_TEXT_SIZE])
{
	(void)snprintf(out, INVITATION_TEXT_SIZE, "%.24s.%s", id, secret);
	return out;
}

bool invitation_parse(const char *text, struct invitation_parts *ret_parts)
{
	struct invitation_parts parts = {.id = ""};
	if (strlen(text) != ID_CHARS + 1 + SECRET_CHARS || text[ID_CHARS] != '.' ||
	    strspn(text + ID_CHARS + 1, "abcdefghijklmnopqrstuvwxyz234567") != SECRET_CHARS) {
		return false;
	}
	memcpy(parts.id, text, ID_CHARS);
	memcpy(parts.secret, text + ID_CHARS + 1, SECRET_CHARS);
	if (!sl_id_is(parts.id, "jtk")) {
		return false;
	}
	*ret_parts = parts;
	return true;
}

/* --- making one --------------------------------------------------------------------- */

static Sluice__Store__V1__JoinTokenRecord *
token_new(struct decision *d, const struct invitation_wish *wish,
	  const Sluice__Store__V1__InstanceRecord *instance, const char *secret)
{
	Sluice__Store__V1__JoinTokenRecord *token =
	    SL_ARENA_NEW(d->arena, Sluice__Store__V1__JoinTokenRecord);
	char *id = decision_id(d, "jtk");
	if (token == NULL || id == NULL) {
		return NULL;
	}
	uint8_t hash[SL_TOKEN_HASH_BYTES];
	sl_token_hash(wish->key, INVITATION_PURPOSE, id, secret, hash);
	sluice__store__v1__join_token_record__init(token);
	token->id = id;
	token->workspace = d->workspace;
	token->instance_id = instance->id;
	token->hash = identities_copy(d->arena, hash, sizeof(hash));
	token->created_ms = d->now_ms;
	token->created_by = (char *)d->principal;
	token->expires_ms = d->now_ms + wish->ttl_ms;
	return token;
}

sl_code invitations_decide(struct decision *d, const struct invitation_wish *wish,
			   Sluice__Store__V1__InstanceRecord **ret_instance,
			   Sluice__Store__V1__JoinTokenRecord **ret_token, char **ret_text,
			   struct sl_err *err)
{
	Sluice__Store__V1__InstanceRecord *instance = NULL;
	sl_code code = identities_find_instance(d, wish->instance, &instance, err);
	code = code != SL_OK ? code : identities_void_token(d, instance, err);
	if (code != SL_OK) {
		return code;
	}
	char secret[SL_TOKEN_SECRET_SIZE], text[INVITATION_TEXT_SIZE];
	sl_token_secret(d->secret, secret);
	Sluice__Store__V1__JoinTokenRecord *token = token_new(d, wish, instance, secret);
	if (token == NULL) {
		return identities_no_memory(err);
	}
	struct record_key key = identities_token_key(token->id);
	decision_put(d, TABLE_JOIN_TOKENS, &key, &token->base);
	instance->join_token_id = token->id;
	identities_put_instance(d, instance);
	*ret_text = sl_arena_strdup(d->arena, invitation_text(token->id, secret, text));
	*ret_instance = instance;
	*ret_token = token;
	return SL_OK;
}

/* --- looking at one ------------------------------------------------------------------- */

/* Found and right, whatever else is true of it; the same work for one that is not there. */
static sl_code find(const struct store_view *view, struct sl_arena *arena,
		    const struct sl_token_key *key, const char *text,
		    Sluice__Store__V1__JoinTokenRecord **ret_token, struct sl_err *err)
{
	struct invitation_parts parts;
	uint8_t hash[SL_TOKEN_HASH_BYTES];
	Sluice__Store__V1__JoinTokenRecord *token = NULL;
	if (!invitation_parse(text, &parts)) {
		return SL_NOT_FOUND;
	}
	sl_code code = identities_token_get(view, arena, parts.id, &token, err);
	if (code != SL_OK && code != SL_NOT_FOUND) {
		return code;
	}
	static const uint8_t none[SL_TOKEN_HASH_BYTES];
	sl_token_hash(key, INVITATION_PURPOSE, parts.id, parts.secret, hash);
	bool right = sl_token_matches(hash, token != NULL ? token->hash.data : none,
				      token != NULL ? token->hash.len : sizeof(none));
	if (token == NULL || !right) {
		return SL_NOT_FOUND;
	}
	*ret_token = token;
	return SL_OK;
}

static enum invitation_verdict judge(const Sluice__Store__V1__JoinTokenRecord *token,
				     const Sluice__Store__V1__InstanceRecord *instance,
				     uint64_t now_ms)
{
	if (token->used_ms != 0) {
		return INVITATION_SPENT;
	}
	bool counts = instance != NULL && strcmp(instance->join_token_id, token->id) == 0;
	return counts && now_ms < token->expires_ms ? INVITATION_GOOD : INVITATION_REFUSED;
}

sl_code invitation_look(const struct store_view *view, struct sl_arena *arena,
			const struct sl_token_key *key, const char *text, uint64_t now_ms,
			struct invitation *ret_invitation, struct sl_err *err)
{
	struct invitation found = {.verdict = INVITATION_REFUSED};
	sl_code code = find(view, arena, key, text, &found.token, err);
	if (code == SL_OK) {
		code = instance_get(view, arena, found.token->workspace, found.token->instance_id,
				    &found.instance, err);
		found.verdict = code == SL_OK || code == SL_NOT_FOUND
				    ? judge(found.token, found.instance, now_ms)
				    : INVITATION_REFUSED;
	}
	if (code != SL_OK && code != SL_NOT_FOUND) {
		return code;
	}
	*ret_invitation = found;
	return SL_OK;
}
