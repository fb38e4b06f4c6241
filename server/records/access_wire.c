/* Principals, roles and tokens as the API tells them. */
#include "server/records/principals.h"

static Sluice__V1__Grant *wire_grant(struct sl_arena *arena, const char *role, uint32_t verb,
				     const char *apps, uint32_t environment)
{
	Sluice__V1__Grant *grant = SL_ARENA_NEW(arena, Sluice__V1__Grant);
	if (grant != NULL) {
		sluice__v1__grant__init(grant);
		grant->role = (char *)role;
		grant->verb = (Sluice__V1__Verb)verb;
		grant->apps = (char *)apps;
		grant->environment = (char *)environment_name(environment);
	}
	return grant;
}

Sluice__V1__Principal *wire_principal(struct sl_arena *arena,
				      const Sluice__Store__V1__PrincipalRecord *record)
{
	Sluice__V1__Principal *principal = SL_ARENA_NEW(arena, Sluice__V1__Principal);
	Sluice__V1__Grant **grants =
	    SL_ARENA_ARRAY(arena, Sluice__V1__Grant *, record->n_grants + 1);
	if (principal == NULL || grants == NULL) {
		return NULL;
	}
	sluice__v1__principal__init(principal);
	principal->id = record->id;
	principal->name = record->name;
	principal->kind = (Sluice__V1__PrincipalKind)record->kind;
	principal->description = record->description;
	principal->disabled = record->disabled_ms != 0;
	principal->created_at = wire_time(arena, record->created_ms);
	principal->created_by = record->created_by;
	principal->revision = record->revision;
	principal->grants = grants;
	for (size_t i = 0; i < record->n_grants; i++) {
		const Sluice__Store__V1__GrantRecord *grant = record->grants[i];
		grants[i] =
		    wire_grant(arena, grant->role, grant->verb, grant->apps, grant->environment);
		if (grants[i] == NULL) {
			return NULL;
		}
		principal->n_grants++;
	}
	return principal;
}

/* --- roles ----------------------------------------------------------------------- */

static Sluice__V1__Right *wire_right(struct sl_arena *arena, uint32_t verbs, const char *apps,
				     uint32_t environment)
{
	Sluice__V1__Right *right = SL_ARENA_NEW(arena, Sluice__V1__Right);
	Sluice__V1__Verb *list = SL_ARENA_ARRAY(arena, Sluice__V1__Verb, ACCESS_VERB_COUNT);
	if (right == NULL || list == NULL) {
		return NULL;
	}
	sluice__v1__right__init(right);
	right->verbs = list;
	for (uint32_t verb = ACCESS_VIEW; verb < ACCESS_AGENT; verb++) {
		if ((verbs & (1u << verb)) != 0) {
			list[right->n_verbs++] = (Sluice__V1__Verb)verb;
		}
	}
	right->apps = (char *)apps;
	right->environment = (char *)environment_name(environment);
	return right;
}

static Sluice__V1__Role *role_of(struct sl_arena *arena, const char *name, const char *description,
				 size_t rights)
{
	Sluice__V1__Role *role = SL_ARENA_NEW(arena, Sluice__V1__Role);
	if (role == NULL) {
		return NULL;
	}
	sluice__v1__role__init(role);
	role->name = (char *)name;
	role->description = (char *)description;
	role->rights = SL_ARENA_ARRAY(arena, Sluice__V1__Right *, rights + 1);
	return role;
}

static void add_right(Sluice__V1__Role *role, Sluice__V1__Right *right)
{
	if (role->rights != NULL && right != NULL) {
		role->rights[role->n_rights++] = right;
	}
}

Sluice__V1__Role *wire_role(struct sl_arena *arena, const Sluice__Store__V1__RoleRecord *record)
{
	Sluice__V1__Role *role =
	    role_of(arena, record->name, record->description, record->n_rights);
	for (size_t i = 0; role != NULL && i < record->n_rights; i++) {
		const Sluice__Store__V1__RightRecord *right = record->rights[i];
		add_right(role, wire_right(arena, right->verbs, right->apps, right->environment));
	}
	if (role != NULL) {
		role->created_at = wire_time(arena, record->created_ms);
		role->created_by = record->created_by;
		role->revision = record->revision;
	}
	return role;
}

/* 0 stands for all of them; a built-in right is of all or of one. */
static uint32_t environment_of(uint32_t environments)
{
	for (uint32_t rank = 1; rank <= ENV_COUNT; rank++) {
		if (environments == 1u << rank) {
			return rank;
		}
	}
	return 0;
}

Sluice__V1__Role *wire_built_in_role(struct sl_arena *arena, const struct rights_role *built_in)
{
	Sluice__V1__Role *role = role_of(arena, built_in->name, built_in->summary, built_in->count);
	for (size_t i = 0; role != NULL && i < built_in->count; i++) {
		const struct right *right = &built_in->items[i];
		add_right(role, wire_right(arena, right->verbs, right->apps,
					   environment_of(right->environments)));
	}
	if (role != NULL) {
		role->built_in = true;
	}
	return role;
}

/* --- the caller's ------------------------------------------------------------------ */

static bool narrows(const char *pattern)
{
	return pattern[0] != '*' || pattern[1] != '\0';
}

/* Both patterns in one word: "shop-*" or, when role and grant narrow, "shop-* & *-eu". */
static const char *patterns(struct sl_arena *arena, const struct right *right)
{
	if (!narrows(right->within)) {
		return right->apps;
	}
	return narrows(right->apps) ? sl_arena_printf(arena, "%s & %s", right->apps, right->within)
				    : right->within;
}

Sluice__V1__Grant **wire_rights(struct sl_arena *arena, const struct rights *rights,
				size_t *ret_count)
{
	size_t room = rights->count * ACCESS_VERB_COUNT * ENV_COUNT + 1, count = 0;
	Sluice__V1__Grant **list = SL_ARENA_ARRAY(arena, Sluice__V1__Grant *, room);
	for (size_t i = 0; list != NULL && i < rights->count; i++) {
		const struct right *right = &rights->items[i];
		bool all = right->environments == RIGHTS_ALL_ENVIRONMENTS;
		for (uint32_t bit = 0; bit < ACCESS_VERB_COUNT * (ENV_COUNT + 1); bit++) {
			uint32_t verb = bit / (ENV_COUNT + 1), rank = bit % (ENV_COUNT + 1);
			bool has = (right->verbs & (1u << verb)) != 0;
			bool here = all ? rank == 0
					: rank != 0 && (right->environments & (1u << rank)) != 0;
			if (!has || !here) {
				continue;
			}
			list[count] = wire_grant(arena, (char *)protobuf_c_empty_string, verb,
						 patterns(arena, right), rank);
			if (list[count] == NULL) {
				break;
			}
			count++;
		}
	}
	*ret_count = count;
	return list;
}

/* --- tokens ------------------------------------------------------------------------- */

Sluice__V1__AccessToken *wire_access_token(const struct wire *w,
					   const Sluice__Store__V1__AccessTokenRecord *record)
{
	Sluice__V1__AccessToken *token = SL_ARENA_NEW(w->arena, Sluice__V1__AccessToken);
	if (token == NULL) {
		return NULL;
	}
	sluice__v1__access_token__init(token);
	token->id = record->id;
	token->description = record->description;
	token->created_at = wire_time(w->arena, record->created_ms);
	token->created_by = record->created_by;
	token->expires_at = wire_time(w->arena, record->expires_ms);
	token->last_used_at = wire_time(w->arena, record->used_ms);
	token->revoked_at = wire_time(w->arena, record->revoked_ms);
	token->revoked_by = record->revoked_by;
	token->revision = record->revision;
	Sluice__Store__V1__PrincipalRecord *principal = NULL;
	if (principal_get(w->view, w->arena, w->workspace, record->principal_id, &principal,
			  NULL) == SL_OK) {
		token->principal = principal->name;
	}
	return token;
}
