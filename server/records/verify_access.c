/* verify: principals, roles, access tokens, identities. */
#include <string.h>

#include "server/records/principals.h"
#include "server/records/verify_internal.h"

static void check_grant(struct verify *v, uint32_t ws, const Sluice__Store__V1__GrantRecord *grant)
{
	bool role = grant->role[0] != '\0';
	if (role == (grant->verb != 0) || grant->verb > ACCESS_ADMINISTER ||
	    rights_pattern_broken_rule(grant->apps) != NULL || grant->environment > ENV_COUNT) {
		verify_fault(v, "has a grant that grants nothing");
		return;
	}
	if (role && rights_built_in_role(grant->role) == NULL &&
	    verify_texts_fit(v, grant->role, NULL)) {
		struct record_key key = KEY(ws, key_text(k, grant->role));
		verify_need(v, TABLE_ROLES, &key, "a role");
	}
}

static void check_principal(struct verify *v)
{
	Sluice__Store__V1__PrincipalRecord *r =
	    verify_unpack(v, &sluice__store__v1__principal_record__descriptor);
	if (r == NULL || !verify_texts_fit(v, r->id, r->name, NULL)) {
		return;
	}
	uint32_t ws = sl_get_be32(v->key.data);
	struct record_key own = KEY(ws, key_text(k, r->id));
	struct record_key by_name = KEY(ws, key_text(k, r->name));
	verify_stored_as(v, &own);
	verify_revision(v, r->revision);
	verify_need_index(v, TABLE_PRINCIPALS_BY_NAME, &by_name, sl_bytes_text(r->id));
	for (size_t i = 0; i < r->n_grants; i++) {
		check_grant(v, ws, r->grants[i]);
	}
}

static void check_principal_name(struct verify *v)
{
	struct verify_key key = verify_key_of(v);
	uint32_t ws = verify_key_u32(&key);
	const char *name = verify_key_id(&key);
	char id[104] = "";
	if (!verify_key_end(v, &key) || v->value.size >= sizeof(id)) {
		verify_fault(v, "is malformed");
		return;
	}
	memcpy(id, v->value.data, v->value.size);
	Sluice__Store__V1__PrincipalRecord *r = NULL;
	if (principal_get(v->view, &v->arena, ws, id, &r, NULL) != SL_OK ||
	    strcmp(r->name, name) != 0) {
		verify_fault(v, "refers to a principal that is not there, or not called so");
	}
}

static void check_role(struct verify *v)
{
	Sluice__Store__V1__RoleRecord *r =
	    verify_unpack(v, &sluice__store__v1__role_record__descriptor);
	if (r == NULL || !verify_texts_fit(v, r->name, NULL)) {
		return;
	}
	struct record_key own = KEY(sl_get_be32(v->key.data), key_text(k, r->name));
	verify_stored_as(v, &own);
	verify_revision(v, r->revision);
	for (size_t i = 0; i < r->n_rights; i++) {
		const Sluice__Store__V1__RightRecord *right = r->rights[i];
		if (right->verbs == 0 || (right->verbs >> ACCESS_AGENT) != 0 ||
		    right->environment > ENV_COUNT ||
		    rights_pattern_broken_rule(right->apps) != NULL) {
			verify_fault(v, "has a right that allows nothing");
		}
	}
}

static void check_access_token(struct verify *v)
{
	Sluice__Store__V1__AccessTokenRecord *r =
	    verify_unpack(v, &sluice__store__v1__access_token_record__descriptor);
	if (r == NULL || !verify_texts_fit(v, r->id, r->principal_id, NULL)) {
		return;
	}
	struct record_key own = {.size = 0};
	key_text(&own, r->id);
	struct record_key principal = KEY(r->workspace, key_text(k, r->principal_id));
	struct record_key index =
	    KEY(r->workspace, key_text(k, r->principal_id), key_text(k, r->id));
	verify_stored_as(v, &own);
	verify_revision(v, r->revision);
	verify_need(v, TABLE_PRINCIPALS, &principal, "a principal");
	verify_need(v, TABLE_ACCESS_TOKENS_BY_PRINCIPAL, &index, "an entry by principal");
	if (r->hash.len != SL_TOKEN_HASH_BYTES) {
		verify_fault(v, "has no hash of its secret");
	}
}

static void check_token_index(struct verify *v)
{
	struct verify_key key = verify_key_of(v);
	(void)verify_key_u32(&key);
	(void)verify_key_id(&key);
	struct record_key token = {.size = 0};
	key_text(&token, verify_key_id(&key));
	if (verify_key_end(v, &key)) {
		verify_need(v, TABLE_ACCESS_TOKENS, &token, "an access token");
	}
}

/* Its subject may be gone: what was signed in its name stays on record. */
static void check_identity(struct verify *v)
{
	Sluice__Store__V1__IdentityRecord *r =
	    verify_unpack(v, &sluice__store__v1__identity_record__descriptor);
	if (r == NULL || !verify_texts_fit(v, r->id, r->subject_id, NULL)) {
		return;
	}
	struct record_key own = identity_key(r->id);
	struct record_key workspace = key_of(r->workspace);
	verify_stored_as(v, &own);
	verify_need(v, TABLE_WORKSPACE_NUMBERS, &workspace, "a workspace");
	if (r->kind != SLUICE__STORE__V1__IDENTITY_KIND__IDENTITY_KIND_AGENT &&
	    r->kind != SLUICE__STORE__V1__IDENTITY_KIND__IDENTITY_KIND_PRINCIPAL) {
		verify_fault(v, "stands for nothing");
	}
}

const struct verify_check verify_access[6] = {
    {TABLE_PRINCIPALS, check_principal},
    {TABLE_PRINCIPALS_BY_NAME, check_principal_name},
    {TABLE_ROLES, check_role},
    {TABLE_ACCESS_TOKENS, check_access_token},
    {TABLE_ACCESS_TOKENS_BY_PRINCIPAL, check_token_index},
    {TABLE_IDENTITIES, check_identity},
};
