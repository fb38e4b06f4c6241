/* AccessService: principals, grants and roles; who the caller is; and the table of its methods. */
#include <string.h>

#include "base/mem/own.h"
#include "server/records/identities.h"
#include "server/records/workspaces.h"
#include "server/services/access_tokens.h"
#include "server/services/noun_checks.h"
#include "server/services/service.h"

/* --- WhoAmI --------------------------------------------------------------------------- */

static sl_code whoami_read(struct service_read *read, const void *message, void *reply,
			   struct sl_err *err)
{
	(void)message;
	Sluice__V1__WhoAmIResponse *response = reply;
	const struct access_caller *caller = read->caller;
	response->principal = sl_arena_strdup(read->arena, caller->principal);
	response->id = sl_arena_strdup(read->arena, caller->subject_id);
	response->identity_id = sl_arena_strdup(read->arena, caller->identity_id);
	response->kind = (char *)access_kind_name(caller->kind);
	response->everything = read->rights->everything;
	response->rights = wire_rights(read->arena, read->rights, &response->n_rights);
	response->certificate_expires_at = wire_time(read->arena, caller->not_after_ms);
	sl_code code = caller->workspace == 0
			   ? SL_OK
			   : workspace_name(read->view, read->arena, caller->workspace,
					    &response->workspace, err);
	return code == SL_NOT_FOUND ? SL_OK : code;
}

/* --- Logout --------------------------------------------------------------------------- */

static sl_code logout_decide(struct decision *d, const void *message, void *reply,
			     struct sl_err *err)
{
	(void)message;
	Sluice__V1__LogoutResponse *response = reply;
	Sluice__Store__V1__IdentityRecord *identity = NULL;
	sl_code code = revocations_decide_own(d, &identity, err);
	if (code == SL_OK) {
		response->identity_id = identity->id;
	}
	return code;
}

/* --- principals ------------------------------------------------------------------------- */

static sl_code create_principal_check(const void *message, struct sl_err *err)
{
	const Sluice__V1__CreatePrincipalRequest *request = message;
	sl_code code = check_name("name", request->name, err);
	if (code == SL_OK && request->kind != SLUICE__V1__PRINCIPAL_KIND__PRINCIPAL_KIND_PERSON &&
	    request->kind != SLUICE__V1__PRINCIPAL_KIND__PRINCIPAL_KIND_BOT) {
		code = check_refused("kind", "must be PERSON or BOT", err);
	}
	code = code != SL_OK ? code
			     : check_text_or_empty("description", request->description,
						   PRINCIPAL_TEXT_MAX, err);
	if (code == SL_OK && request->n_grants > 50) {
		code = check_refused("grants", "must be at most 50", err);
	}
	for (size_t i = 0; code == SL_OK && i < request->n_grants; i++) {
		code = grant_check(request->grants[i], err);
	}
	return code;
}

static sl_code create_principal_decide(struct decision *d, const void *message, void *reply,
				       struct sl_err *err)
{
	const Sluice__V1__CreatePrincipalRequest *request = message;
	Sluice__V1__CreatePrincipalResponse *response = reply;
	Sluice__Store__V1__PrincipalRecord *principal = NULL;
	const struct principal_wish wish = {.name = request->name,
					    .description = request->description,
					    .kind = request->kind,
					    .grants = request->grants,
					    .grant_count = request->n_grants};
	sl_code code = principals_decide_create(d, &wish, &principal, err);
	if (code == SL_OK) {
		response->principal = wire_principal(d->arena, principal);
	}
	return code;
}

static sl_code get_principal_check(const void *message, struct sl_err *err)
{
	const Sluice__V1__GetPrincipalRequest *request = message;
	return check_reference("principal", request->principal, err);
}

static sl_code get_principal_read(struct service_read *read, const void *message, void *reply,
				  struct sl_err *err)
{
	const Sluice__V1__GetPrincipalRequest *request = message;
	Sluice__V1__GetPrincipalResponse *response = reply;
	Sluice__Store__V1__PrincipalRecord *principal = NULL;
	sl_code code = principal_find(read->view, read->arena, read->workspace, request->principal,
				      &principal, err);
	if (code == SL_OK) {
		response->principal = wire_principal(read->arena, principal);
	}
	return code;
}

static sl_code principal_by_index(struct service_read *read, struct sl_bytes id,
				  Sluice__V1__Principal **ret_principal, struct sl_err *err)
{
	const char *text =
	    sl_arena_printf(read->arena, "%.*s", (int)id.size, (const char *)id.data);
	Sluice__Store__V1__PrincipalRecord *principal = NULL;
	sl_code code = text == NULL ? sl_err_no_memory(err)
				    : principal_get(read->view, read->arena, read->workspace, text,
						    &principal, err);
	if (code == SL_NOT_FOUND) {
		return sl_err_set(err, SL_DATA_LOSS, "a principal's name leads nowhere");
	}
	if (code == SL_OK) {
		*ret_principal = wire_principal(read->arena, principal);
	}
	return code;
}

static sl_code list_principals_read(struct service_read *read, const void *message, void *reply,
				    struct sl_err *err)
{
	const Sluice__V1__ListPrincipalsRequest *request = message;
	Sluice__V1__ListPrincipalsResponse *response = reply;
	struct service_page page;
	struct sl_bytes next = SL_BYTES_NONE;
	struct record_key prefix = key_of(read->workspace);
	sl_code code = service_page_begin(read, request->page, "ListPrincipals", &page, err);
	if (code != SL_OK) {
		return code;
	}
	SL_AUTO(store_walk_end) struct store_walk walk;
	response->principals = SL_ARENA_ARRAY(read->arena, Sluice__V1__Principal *, page.size);
	store_walk_begin(&walk, read->view, TABLE_PRINCIPALS_BY_NAME, key_bytes(&prefix),
			 STORE_FORWARD);
	if (page.from.size > 0) {
		store_walk_from(&walk, page.from);
	}
	while (response->principals != NULL && store_walk_next(&walk)) {
		if (response->n_principals == page.size) {
			next = walk.key;
			break;
		}
		code = principal_by_index(read, walk.value,
					  &response->principals[response->n_principals], err);
		if (code != SL_OK) {
			return code;
		}
		response->n_principals++;
	}
	response->page = service_page_end(read, &page, next);
	return store_walk_result(&walk, err);
}

static sl_code disable_check(const void *message, struct sl_err *err)
{
	const Sluice__V1__DisablePrincipalRequest *request = message;
	return check_reference("principal", request->principal, err);
}

static sl_code disable_decide(struct decision *d, const void *message, void *reply,
			      struct sl_err *err)
{
	const Sluice__V1__DisablePrincipalRequest *request = message;
	Sluice__V1__DisablePrincipalResponse *response = reply;
	Sluice__Store__V1__PrincipalRecord *principal = NULL;
	sl_code code = principals_decide_disable(d, request->principal, true, &principal, err);
	if (code == SL_OK) {
		response->principal = wire_principal(d->arena, principal);
	}
	return code;
}

static sl_code enable_check(const void *message, struct sl_err *err)
{
	const Sluice__V1__EnablePrincipalRequest *request = message;
	return check_reference("principal", request->principal, err);
}

static sl_code enable_decide(struct decision *d, const void *message, void *reply,
			     struct sl_err *err)
{
	const Sluice__V1__EnablePrincipalRequest *request = message;
	Sluice__V1__EnablePrincipalResponse *response = reply;
	Sluice__Store__V1__PrincipalRecord *principal = NULL;
	sl_code code = principals_decide_disable(d, request->principal, false, &principal, err);
	if (code == SL_OK) {
		response->principal = wire_principal(d->arena, principal);
	}
	return code;
}

static sl_code delete_check(const void *message, struct sl_err *err)
{
	const Sluice__V1__DeletePrincipalRequest *request = message;
	return check_reference("principal", request->principal, err);
}

static sl_code delete_decide(struct decision *d, const void *message, void *reply,
			     struct sl_err *err)
{
	const Sluice__V1__DeletePrincipalRequest *request = message;
	(void)reply;
	return principals_decide_delete(d, request->principal, err);
}

/* --- grants ------------------------------------------------------------------------------- */

static sl_code create_grant_check(const void *message, struct sl_err *err)
{
	const Sluice__V1__CreateGrantRequest *request = message;
	sl_code code = check_reference("principal", request->principal, err);
	return code != SL_OK ? code : grant_check(request->grant, err);
}

static sl_code create_grant_decide(struct decision *d, const void *message, void *reply,
				   struct sl_err *err)
{
	const Sluice__V1__CreateGrantRequest *request = message;
	Sluice__V1__CreateGrantResponse *response = reply;
	Sluice__Store__V1__PrincipalRecord *principal = NULL;
	sl_code code =
	    principals_decide_grant(d, request->principal, request->grant, true, &principal, err);
	if (code == SL_OK) {
		response->principal = wire_principal(d->arena, principal);
	}
	return code;
}

static sl_code delete_grant_check(const void *message, struct sl_err *err)
{
	const Sluice__V1__DeleteGrantRequest *request = message;
	sl_code code = check_reference("principal", request->principal, err);
	return code != SL_OK ? code : grant_check(request->grant, err);
}

static sl_code delete_grant_decide(struct decision *d, const void *message, void *reply,
				   struct sl_err *err)
{
	const Sluice__V1__DeleteGrantRequest *request = message;
	Sluice__V1__DeleteGrantResponse *response = reply;
	Sluice__Store__V1__PrincipalRecord *principal = NULL;
	sl_code code =
	    principals_decide_grant(d, request->principal, request->grant, false, &principal, err);
	if (code == SL_OK) {
		response->principal = wire_principal(d->arena, principal);
	}
	return code;
}

/* --- roles ---------------------------------------------------------------------------------- */

static sl_code check_role(const char *field, const char *name, const char *description,
			  Sluice__V1__Right *const *rights, size_t count, struct sl_err *err)
{
	sl_code code = check_name(field, name, err);
	code = code != SL_OK
		   ? code
		   : check_text_or_empty("description", description, PRINCIPAL_TEXT_MAX, err);
	return code != SL_OK ? code : rights_check(rights, count, err);
}

static sl_code create_role_check(const void *message, struct sl_err *err)
{
	const Sluice__V1__CreateRoleRequest *request = message;
	return check_role("name", request->name, request->description, request->rights,
			  request->n_rights, err);
}

static sl_code create_role_decide(struct decision *d, const void *message, void *reply,
				  struct sl_err *err)
{
	const Sluice__V1__CreateRoleRequest *request = message;
	Sluice__V1__CreateRoleResponse *response = reply;
	Sluice__Store__V1__RoleRecord *role = NULL;
	const struct role_wish wish = {.name = request->name,
				       .description = request->description,
				       .rights = request->rights,
				       .right_count = request->n_rights};
	sl_code code = roles_decide_create(d, &wish, &role, err);
	if (code == SL_OK) {
		response->role = wire_role(d->arena, role);
	}
	return code;
}

static sl_code update_role_check(const void *message, struct sl_err *err)
{
	const Sluice__V1__UpdateRoleRequest *request = message;
	return check_role("role", request->role, request->description, request->rights,
			  request->n_rights, err);
}

static sl_code update_role_decide(struct decision *d, const void *message, void *reply,
				  struct sl_err *err)
{
	const Sluice__V1__UpdateRoleRequest *request = message;
	Sluice__V1__UpdateRoleResponse *response = reply;
	Sluice__Store__V1__RoleRecord *role = NULL;
	const struct role_wish wish = {.name = request->role,
				       .description = request->description,
				       .rights = request->rights,
				       .right_count = request->n_rights};
	sl_code code = roles_decide_update(d, &wish, &role, err);
	if (code == SL_OK) {
		response->role = wire_role(d->arena, role);
	}
	return code;
}

static sl_code get_role_check(const void *message, struct sl_err *err)
{
	const Sluice__V1__GetRoleRequest *request = message;
	return check_name("role", request->role, err);
}

static sl_code get_role_read(struct service_read *read, const void *message, void *reply,
			     struct sl_err *err)
{
	const Sluice__V1__GetRoleRequest *request = message;
	Sluice__V1__GetRoleResponse *response = reply;
	Sluice__Store__V1__RoleRecord *role = NULL;
	const struct rights_role *built_in = rights_built_in_role(request->role);
	if (built_in != NULL) {
		response->role = wire_built_in_role(read->arena, built_in);
		return SL_OK;
	}
	sl_code code =
	    role_find(read->view, read->arena, read->workspace, request->role, &role, err);
	if (code == SL_OK) {
		response->role = wire_role(read->arena, role);
	}
	return code;
}

static sl_code list_own_roles(struct service_read *read, const struct service_page *page,
			      Sluice__V1__ListRolesResponse *response, struct sl_err *err)
{
	struct record_key prefix = key_of(read->workspace);
	struct sl_bytes next = SL_BYTES_NONE;
	size_t own = 0;
	SL_AUTO(store_walk_end) struct store_walk walk;
	store_walk_begin(&walk, read->view, TABLE_ROLES, key_bytes(&prefix), STORE_FORWARD);
	if (page->from.size > 0) {
		store_walk_from(&walk, page->from);
	}
	while (store_walk_next(&walk)) {
		Sluice__Store__V1__RoleRecord *role = NULL;
		if (own++ == page->size) {
			next = walk.key;
			break;
		}
		sl_code code =
		    record_unpack(read->arena, walk.value,
				  &sluice__store__v1__role_record__descriptor, &role, err);
		if (code != SL_OK) {
			return code;
		}
		response->roles[response->n_roles++] = wire_role(read->arena, role);
	}
	response->page = service_page_end(read, page, next);
	return store_walk_result(&walk, err);
}

static sl_code list_roles_read(struct service_read *read, const void *message, void *reply,
			       struct sl_err *err)
{
	const Sluice__V1__ListRolesRequest *request = message;
	Sluice__V1__ListRolesResponse *response = reply;
	struct service_page page;
	sl_code code = service_page_begin(read, request->page, "ListRoles", &page, err);
	if (code != SL_OK) {
		return code;
	}
	response->roles =
	    SL_ARENA_ARRAY(read->arena, Sluice__V1__Role *, page.size + RIGHTS_BUILT_IN_ROLES);
	if (response->roles == NULL) {
		return sl_err_no_memory(err);
	}
	for (size_t i = 0; page.from.size == 0 && i < RIGHTS_BUILT_IN_ROLES; i++) {
		response->roles[response->n_roles++] =
		    wire_built_in_role(read->arena, &rights_built_in[i]);
	}
	return list_own_roles(read, &page, response, err);
}

static sl_code delete_role_check(const void *message, struct sl_err *err)
{
	const Sluice__V1__DeleteRoleRequest *request = message;
	return check_name("role", request->role, err);
}

static sl_code delete_role_decide(struct decision *d, const void *message, void *reply,
				  struct sl_err *err)
{
	const Sluice__V1__DeleteRoleRequest *request = message;
	(void)reply;
	return roles_decide_delete(d, request->role, err);
}

/* --- the table --- */

/* protobuf-c spells an I that stands alone so. */
#define sluice__v1__who_am_i_request__descriptor sluice__v1__who_am_irequest__descriptor
#define sluice__v1__who_am_i_response__descriptor sluice__v1__who_am_iresponse__descriptor

#define ROW(method) "/sluice.v1.AccessService/" #method
#define TYPES(name)                                                                                \
	&sluice__v1__##name##_request__descriptor, &sluice__v1__##name##_response__descriptor
#define ALL_OF_IT .scope = ACCESS_WORKSPACE, .where = ACCESS_EVERYWHERE

const struct service_method access_methods[18] = {
    {ROW(WhoAmI), ACCESS_VIEW, TYPES(who_am_i), .read = whoami_read, .scope = ACCESS_SELF},
    {ROW(Logout), ACCESS_VIEW, TYPES(logout), .decide = logout_decide, .shrinks = true,
     .scope = ACCESS_SELF},
    {ROW(CreatePrincipal), ACCESS_ADMINISTER, TYPES(create_principal),
     .check = create_principal_check, .decide = create_principal_decide, ALL_OF_IT},
    {ROW(GetPrincipal), ACCESS_ADMINISTER, TYPES(get_principal), .check = get_principal_check,
     .read = get_principal_read, ALL_OF_IT},
    {ROW(ListPrincipals), ACCESS_ADMINISTER, TYPES(list_principals), .read = list_principals_read,
     ALL_OF_IT},
    {ROW(DisablePrincipal), ACCESS_ADMINISTER, TYPES(disable_principal), .check = disable_check,
     .decide = disable_decide, ALL_OF_IT},
    {ROW(EnablePrincipal), ACCESS_ADMINISTER, TYPES(enable_principal), .check = enable_check,
     .decide = enable_decide, ALL_OF_IT},
    {ROW(DeletePrincipal), ACCESS_ADMINISTER, TYPES(delete_principal), .check = delete_check,
     .decide = delete_decide, .shrinks = true, ALL_OF_IT},
    {ROW(CreateGrant), ACCESS_ADMINISTER, TYPES(create_grant), .check = create_grant_check,
     .decide = create_grant_decide, ALL_OF_IT},
    {ROW(DeleteGrant), ACCESS_ADMINISTER, TYPES(delete_grant), .check = delete_grant_check,
     .decide = delete_grant_decide, .shrinks = true, ALL_OF_IT},
    {ROW(CreateRole), ACCESS_ADMINISTER, TYPES(create_role), .check = create_role_check,
     .decide = create_role_decide, ALL_OF_IT},
    {ROW(GetRole), ACCESS_ADMINISTER, TYPES(get_role), .check = get_role_check,
     .read = get_role_read, ALL_OF_IT},
    {ROW(ListRoles), ACCESS_ADMINISTER, TYPES(list_roles), .read = list_roles_read, ALL_OF_IT},
    {ROW(UpdateRole), ACCESS_ADMINISTER, TYPES(update_role), .check = update_role_check,
     .decide = update_role_decide, ALL_OF_IT},
    {ROW(DeleteRole), ACCESS_ADMINISTER, TYPES(delete_role), .check = delete_role_check,
     .decide = delete_role_decide, .shrinks = true, ALL_OF_IT},
    {ROW(CreateAccessToken), ACCESS_ADMINISTER, TYPES(create_access_token),
     .check = create_access_token_check, .decide = create_access_token_decide, ALL_OF_IT},
    {ROW(ListAccessTokens), ACCESS_ADMINISTER, TYPES(list_access_tokens),
     .check = list_access_tokens_check, .read = list_access_tokens_read, ALL_OF_IT},
    {ROW(RevokeAccessToken), ACCESS_ADMINISTER, TYPES(revoke_access_token),
     .check = revoke_access_token_check, .decide = revoke_access_token_decide, .shrinks = true,
     ALL_OF_IT},
};
