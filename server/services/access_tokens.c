/* The methods of AccessService about access tokens. */
#include "server/services/access_tokens.h"

#include <string.h>

#include "base/mem/own.h"
#include "server/records/principals.h"
#include "server/services/noun_checks.h"
#include "server/services/where.h"

enum { DAY_S = 24 * 3600 };

sl_code create_access_token_check(const void *message, struct sl_err *err)
{
	const Sluice__V1__CreateAccessTokenRequest *request = message;
	const Google__Protobuf__Duration *lifetime = request->lifetime;
	sl_code code = check_reference("principal", request->principal, err);
	code = code != SL_OK ? code
			     : check_text_or_empty("description", request->description,
						   PRINCIPAL_TEXT_MAX, err);
	bool fits =
	    lifetime == NULL || (lifetime->seconds >= 1 && lifetime->nanos >= 0 &&
				 lifetime->seconds <= (int64_t)ACCESS_TOKEN_DAYS_MAX * DAY_S);
	return code != SL_OK || fits ? code
				     : check_refused("lifetime", "must be 1 s to 366 days", err);
}

/* Where the token is good for something. Tests serve without a CA. */
static sl_code fill_where(const struct services *services, struct sl_arena *arena,
			  Sluice__V1__CreateAccessTokenResponse *response, struct sl_err *err)
{
	struct where where;
	sl_code code =
	    services->ca != NULL ? where_find(services, arena, &where, err) : SL_NOT_FOUND;
	if (code == SL_OK) {
		response->server = where.server;
		response->door = where.door;
		response->door_port = where.door_port;
		response->ca = where.ca;
	}
	return services->ca != NULL ? code : SL_OK;
}

sl_code create_access_token_decide(struct decision *d, const void *message, void *reply,
				   struct sl_err *err)
{
	const Sluice__V1__CreateAccessTokenRequest *request = message;
	Sluice__V1__CreateAccessTokenResponse *response = reply;
	const struct services *services = d->services;
	Sluice__Store__V1__AccessTokenRecord *token = NULL;
	int64_t seconds = request->lifetime != NULL ? request->lifetime->seconds
						    : (int64_t)ACCESS_TOKEN_DAYS * DAY_S;
	if (services->access == NULL || access_token_key(services->access) == NULL) {
		return sl_err_because(
		    err, SL_FAILED_PRECONDITION, SL_REASON_NOT_SUPPORTED_THERE,
		    "this server has no keys, so nobody can log in: make them with "
		    "`sluiced init`, and serve with TLS");
	}
	const struct access_token_wish wish = {.principal = request->principal,
					       .description = request->description,
					       .lifetime_ms = (uint64_t)seconds * 1000,
					       .key = access_token_key(services->access)};
	sl_code code = access_tokens_decide_create(d, &wish, &token, &response->secret, err);
	code = code != SL_OK ? code : fill_where(services, d->arena, response, err);
	if (code == SL_OK) {
		struct wire wire = wire_of(d);
		response->token = wire_access_token(&wire, token);
	}
	return code;
}

sl_code list_access_tokens_check(const void *message, struct sl_err *err)
{
	const Sluice__V1__ListAccessTokensRequest *request = message;
	return check_reference_or_empty("principal", request->principal, err);
}

static sl_code token_of_index(struct service_read *read, struct sl_bytes key,
			      Sluice__V1__AccessToken **ret_token, struct sl_err *err)
{
	struct wire wire = service_wire(read);
	Sluice__Store__V1__AccessTokenRecord *token = NULL;
	size_t principal = strnlen((const char *)key.data + 4, key.size - 4) + 1;
	const char *id = (const char *)key.data + 4 + principal;
	sl_code code = access_token_get(read->view, read->arena, id, &token, err);
	if (code == SL_NOT_FOUND) {
		return sl_err_set(err, SL_DATA_LOSS, "an access token's entry leads nowhere");
	}
	if (code == SL_OK) {
		*ret_token = wire_access_token(&wire, token);
	}
	return code;
}

static sl_code list_tokens_in(struct service_read *read, const struct record_key *prefix,
			      const struct service_page *page,
			      Sluice__V1__ListAccessTokensResponse *response, struct sl_err *err)
{
	struct sl_bytes next = SL_BYTES_NONE;
	SL_AUTO(store_walk_end) struct store_walk walk;
	response->tokens = SL_ARENA_ARRAY(read->arena, Sluice__V1__AccessToken *, page->size);
	store_walk_begin(&walk, read->view, TABLE_ACCESS_TOKENS_BY_PRINCIPAL, key_bytes(prefix),
			 STORE_FORWARD);
	if (page->from.size > 0) {
		store_walk_from(&walk, page->from);
	}
	while (response->tokens != NULL && store_walk_next(&walk)) {
		if (response->n_tokens == page->size) {
			next = walk.key;
			break;
		}
		sl_code code =
		    token_of_index(read, walk.key, &response->tokens[response->n_tokens], err);
		if (code != SL_OK) {
			return code;
		}
		response->n_tokens++;
	}
	response->page = service_page_end(read, page, next);
	return store_walk_result(&walk, err);
}

sl_code list_access_tokens_read(struct service_read *read, const void *message, void *reply,
				struct sl_err *err)
{
	const Sluice__V1__ListAccessTokensRequest *request = message;
	struct record_key prefix = key_of(read->workspace);
	Sluice__Store__V1__PrincipalRecord *principal = NULL;
	sl_code code = request->principal[0] == '\0'
			   ? SL_OK
			   : principal_find(read->view, read->arena, read->workspace,
					    request->principal, &principal, err);
	if (code != SL_OK) {
		return code;
	}
	if (principal != NULL) {
		key_text(&prefix, principal->id);
	}
	struct service_page page;
	const char *scope = sl_arena_printf(read->arena, "ListAccessTokens %s",
					    principal != NULL ? principal->id : "");
	code = scope == NULL ? sl_err_no_memory(err)
			     : service_page_begin(read, request->page, scope, &page, err);
	return code != SL_OK ? code : list_tokens_in(read, &prefix, &page, reply, err);
}

sl_code revoke_access_token_check(const void *message, struct sl_err *err)
{
	const Sluice__V1__RevokeAccessTokenRequest *request = message;
	/* What was given may be a whole token, which no message says again. */
	return sl_id_is(request->token, "tok")
		   ? SL_OK
		   : check_refused("token", "must be an id: 'tok_' and 20 characters", err);
}

sl_code revoke_access_token_decide(struct decision *d, const void *message, void *reply,
				   struct sl_err *err)
{
	const Sluice__V1__RevokeAccessTokenRequest *request = message;
	Sluice__V1__RevokeAccessTokenResponse *response = reply;
	Sluice__Store__V1__AccessTokenRecord *token = NULL;
	sl_code code = access_tokens_decide_revoke(d, request->token, &token, err);
	if (code == SL_OK) {
		struct wire wire = wire_of(d);
		response->token = wire_access_token(&wire, token);
	}
	return code;
}
