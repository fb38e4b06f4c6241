#include "server/records/principals.h"

#include <string.h>

#include "server/records/workspaces.h"

#define GENERATION "access-generation" /* named value of the store: when rights changed last */

_Static_assert((int)ACCESS_VIEW == (int)SLUICE__V1__VERB__VERB_VIEW &&
		   (int)ACCESS_ADMINISTER == (int)SLUICE__V1__VERB__VERB_ADMINISTER,
	       "rules/rights.h counts as sluice.v1 does");

/* --- when rights changed ------------------------------------------------------------ */

void access_changed(struct decision *d)
{
	decision_put_generation(d, GENERATION);
}

sl_code access_generation(const struct store_view *view, uint64_t *ret_generation,
			  struct sl_err *err)
{
	return generation_get(view, GENERATION, ret_generation, err);
}

/* --- shape ---------------------------------------------------------------------------- */

static bool is_verb(int verb)
{
	return verb >= ACCESS_VIEW && verb <= ACCESS_ADMINISTER;
}

static sl_code check_where(const char *apps_field, const char *apps, const char *environment,
			   struct sl_err *err)
{
	uint32_t number;
	const char *rule = apps[0] == '\0' ? NULL : rights_pattern_broken_rule(apps);
	if (rule != NULL) {
		return sl_err_malformed(err, apps_field, rule);
	}
	return environment[0] == '\0' ? SL_OK : environment_find(environment, &number, err);
}

sl_code grant_check(const Sluice__V1__Grant *grant, struct sl_err *err)
{
	if (grant == NULL) {
		return sl_err_malformed(err, "grant", "must be given");
	}
	bool role = grant->role[0] != '\0', verb = grant->verb != 0;
	if (role == verb || (verb && !is_verb((int)grant->verb))) {
		return sl_err_malformed(err, "grant", "must name either a role or a verb");
	}
	if (strlen(grant->role) > 50) {
		return sl_err_malformed(err, "grant.role", "has more than 50 bytes");
	}
	return check_where("grant.apps", grant->apps, grant->environment, err);
}

sl_code rights_check(Sluice__V1__Right *const *rights, size_t count, struct sl_err *err)
{
	if (count < 1 || count > 50) {
		return sl_err_malformed(err, "rights", "must be 1 to 50");
	}
	for (size_t i = 0; i < count; i++) {
		const Sluice__V1__Right *right = rights[i];
		bool good = right->n_verbs > 0;
		for (size_t j = 0; j < right->n_verbs; j++) {
			good = good && is_verb((int)right->verbs[j]);
		}
		if (!good) {
			return sl_err_malformed(err, "rights.verbs", "must be one verb or more");
		}
		sl_code code = check_where("rights.apps", right->apps, right->environment, err);
		if (code != SL_OK) {
			return code;
		}
	}
	return SL_OK;
}

/* --- what a principal may do ------------------------------------------------------------- */

static uint32_t environments_of(uint32_t environment)
{
	return environment == 0 ? RIGHTS_ALL_ENVIRONMENTS : 1u << environment;
}

/* The rights being gathered. */
struct gathering {
	struct sl_arena *arena;
	struct right *items;
	size_t count, room;
};

static void gather(struct gathering *g, struct right right, const char *within, uint32_t in)
{
	if (g->count == g->room) {
		size_t room = g->room == 0 ? 8 : g->room * 2;
		struct right *items = SL_ARENA_ARRAY(g->arena, struct right, room);
		if (items == NULL) {
			return;
		}
		if (g->count > 0) {
			memcpy(items, g->items, g->count * sizeof(*items));
		}
		g->items = items;
		g->room = room;
	}
	right.within = within;
	right.environments &= environments_of(in);
	if (right.environments != 0) {
		g->items[g->count++] = right;
	}
}

static sl_code gather_role(const struct store_view *view, uint32_t workspace,
			   const Sluice__Store__V1__GrantRecord *grant, struct gathering *g,
			   struct sl_err *err)
{
	const struct rights_role *built_in = rights_built_in_role(grant->role);
	for (size_t i = 0; built_in != NULL && i < built_in->count; i++) {
		gather(g, built_in->items[i], grant->apps, grant->environment);
	}
	if (built_in != NULL) {
		return SL_OK;
	}
	struct record_key key = KEY(workspace, key_text(k, grant->role));
	Sluice__Store__V1__RoleRecord *role = NULL;
	sl_code code = record_get(view, g->arena, TABLE_ROLES, &key,
				  &sluice__store__v1__role_record__descriptor, &role, err);
	for (size_t i = 0; code == SL_OK && i < role->n_rights; i++) {
		const Sluice__Store__V1__RightRecord *right = role->rights[i];
		gather(g,
		       (struct right){.verbs = right->verbs,
				      .environments = environments_of(right->environment),
				      .apps = right->apps},
		       grant->apps, grant->environment);
	}
	return code == SL_NOT_FOUND ? SL_OK : code; /* gives nothing */
}

sl_code principal_rights(const struct store_view *view, struct sl_arena *arena, uint32_t workspace,
			 const Sluice__Store__V1__PrincipalRecord *principal,
			 struct rights *ret_rights, struct sl_err *err)
{
	struct gathering g = {.arena = arena};
	for (size_t i = 0; principal->disabled_ms == 0 && i < principal->n_grants; i++) {
		const Sluice__Store__V1__GrantRecord *grant = principal->grants[i];
		if (grant->verb != 0) {
			gather(&g,
			       (struct right){.verbs = 1u << grant->verb,
					      .environments = RIGHTS_ALL_ENVIRONMENTS,
					      .apps = "*"},
			       grant->apps, grant->environment);
			continue;
		}
		sl_code code = gather_role(view, workspace, grant, &g, err);
		if (code != SL_OK) {
			return code;
		}
	}
	*ret_rights = (struct rights){.items = g.items, .count = g.count};
	return sl_arena_failed(arena) ? sl_err_no_memory(err) : SL_OK;
}

/* --- the last that may administer -------------------------------------------------------- */

static sl_code administers(const struct decision *d, const Sluice__Store__V1__PrincipalRecord *p,
			   bool *ret_does, struct sl_err *err)
{
	struct rights rights;
	sl_code code = principal_rights(d->view, d->arena, d->workspace, p, &rights, err);
	*ret_does = code == SL_OK && rights_allow_everywhere(&rights, ACCESS_ADMINISTER, NULL);
	return code;
}

struct search {
	const struct decision *d;
	const char *but; /* id of the one that is not asked */
	bool found;
	sl_code code;
	struct sl_err *err;
};

static bool find_another(void *ctx, const Sluice__Store__V1__PrincipalRecord *principal)
{
	struct search *s = ctx;
	if (strcmp(principal->id, s->but) != 0) {
		s->code = administers(s->d, principal, &s->found, s->err);
	}
	return s->code == SL_OK && !s->found;
}

/* `before` is about to lose something: `after` is what stays of it, NULL nothing. */
static sl_code keep_one(const struct decision *d, const Sluice__Store__V1__PrincipalRecord *before,
			const Sluice__Store__V1__PrincipalRecord *after, struct sl_err *err)
{
	bool did = false, does = false;
	if (strcmp(d->workspace_name, "default") != 0 && d->workspace_name[0] != '\0') {
		return SL_OK; /* those of `default` may act there too */
	}
	sl_code code = administers(d, before, &did, err);
	code = code != SL_OK || after == NULL ? code : administers(d, after, &does, err);
	if (code != SL_OK || !did || does) {
		return code;
	}
	struct search s = {.d = d, .but = before->id, .err = err};
	code =
	    principals_visit(d->view, d->arena, d->workspace,
			     &(struct principals_visitor){.visit = find_another, .ctx = &s}, err);
	code = code != SL_OK ? code : s.code;
	if (code != SL_OK || s.found) {
		return code;
	}
	return sl_err_because(err, SL_FAILED_PRECONDITION, SL_REASON_PRINCIPAL_IN_USE,
			      "'%s' is the last principal that may administer this server: give "
			      "another one the role admin first",
			      before->name);
}

/* --- looking --------------------------------------------------------------------------------- */

sl_code principal_get(const struct store_view *view, struct sl_arena *arena, uint32_t workspace,
		      const char *id, Sluice__Store__V1__PrincipalRecord **ret_principal,
		      struct sl_err *err)
{
	struct record_key key = KEY(workspace, key_text(k, id));
	return record_get(view, arena, TABLE_PRINCIPALS, &key,
			  &sluice__store__v1__principal_record__descriptor, ret_principal, err);
}

sl_code principals_visit(const struct store_view *view, struct sl_arena *arena, uint32_t workspace,
			 const struct principals_visitor *visitor, struct sl_err *err)
{
	struct record_key prefix = key_of(workspace);
	SL_AUTO(store_walk_end) struct store_walk walk;
	store_walk_begin(&walk, view, TABLE_PRINCIPALS, key_bytes(&prefix), STORE_FORWARD);
	while (store_walk_next(&walk)) {
		Sluice__Store__V1__PrincipalRecord *principal = NULL;
		sl_code code = record_unpack(arena, walk.value,
					     &sluice__store__v1__principal_record__descriptor,
					     &principal, err);
		if (code != SL_OK) {
			return code;
		}
		if (!visitor->visit(visitor->ctx, principal)) {
			return SL_OK;
		}
	}
	return store_walk_result(&walk, err);
}

/* --- writing --- */

static void principal_put(struct decision *d, Sluice__Store__V1__PrincipalRecord *principal)
{
	struct record_key key = KEY(d->workspace, key_text(k, principal->id));
	principal->revision = d->revision;
	decision_put(d, TABLE_PRINCIPALS, &key, &principal->base);
	access_changed(d);
}

static sl_code find_expected(struct decision *d, const char *name_or_id,
			     Sluice__Store__V1__PrincipalRecord **ret_principal, struct sl_err *err)
{
	sl_code code =
	    principal_find(d->view, d->arena, d->workspace, name_or_id, ret_principal, err);
	return code != SL_OK ? code
			     : decision_expect(d, "principal", (*ret_principal)->name,
					       (*ret_principal)->revision, err);
}

/* Names of records that the server writes itself, or callers without a principal. */
static bool is_reserved(const char *name)
{
	static const char *const reserved[] = {"anonymous", "sluiced", "gitsync", "fleet"};
	for (size_t i = 0; i < SL_COUNT(reserved); i++) {
		if (strcmp(name, reserved[i]) == 0) {
			return true;
		}
	}
	return false;
}

static sl_code refuse_taken(const struct decision *d, const char *name, struct sl_err *err)
{
	struct record_key key = KEY(d->workspace, key_text(k, name));
	struct sl_bytes id;
	sl_code code = is_reserved(name) ? SL_OK
					 : store_get(d->view, TABLE_PRINCIPALS_BY_NAME,
						     key_bytes(&key), &id, err);
	if (code == SL_OK) {
		return sl_err_because(err, SL_ALREADY_EXISTS, SL_REASON_NAME_TAKEN,
				      is_reserved(name) ? "'%s' is a name of the server's own"
							: "a principal '%s' exists",
				      name);
	}
	return code == SL_NOT_FOUND ? SL_OK : code;
}

/* A grant as it is stored. */
static sl_code grant_record(struct decision *d, const Sluice__V1__Grant *grant,
			    Sluice__Store__V1__GrantRecord **ret_record, struct sl_err *err)
{
	uint32_t environment = 0;
	sl_code code = grant->environment[0] == '\0'
			   ? SL_OK
			   : environment_find(grant->environment, &environment, err);
	if (code == SL_OK && grant->role[0] != '\0' && rights_built_in_role(grant->role) == NULL) {
		Sluice__Store__V1__RoleRecord *role = NULL;
		code = role_find(d->view, d->arena, d->workspace, grant->role, &role, err);
	}
	if (code != SL_OK) {
		return code;
	}
	Sluice__Store__V1__GrantRecord *record =
	    SL_ARENA_NEW(d->arena, Sluice__Store__V1__GrantRecord);
	if (record == NULL) {
		return sl_err_no_memory(err);
	}
	sluice__store__v1__grant_record__init(record);
	record->role = grant->role;
	record->verb = (uint32_t)grant->verb;
	record->apps = grant->apps[0] == '\0' ? sl_arena_strdup(d->arena, "*") : grant->apps;
	record->environment = environment;
	*ret_record = record;
	return SL_OK;
}

static bool grants_equal(const Sluice__Store__V1__GrantRecord *a,
			 const Sluice__Store__V1__GrantRecord *b)
{
	return strcmp(a->role, b->role) == 0 && a->verb == b->verb &&
	       strcmp(a->apps, b->apps) == 0 && a->environment == b->environment;
}

/* Where it is in the list; the list's length: it is not. */
static size_t grant_at(const Sluice__Store__V1__PrincipalRecord *principal,
		       const Sluice__Store__V1__GrantRecord *grant)
{
	size_t at = 0;
	while (at < principal->n_grants && !grants_equal(principal->grants[at], grant)) {
		at++;
	}
	return at;
}

enum { GRANTS_MAX = 200 };

static sl_code add_grant(struct decision *d, Sluice__Store__V1__PrincipalRecord *principal,
			 Sluice__Store__V1__GrantRecord *grant, struct sl_err *err)
{
	if (principal->n_grants >= GRANTS_MAX) {
		return sl_err_because(err, SL_RESOURCE_EXHAUSTED, SL_REASON_TOO_MANY,
				      "'%s' has %d grants, no more are allowed: make a role",
				      principal->name, GRANTS_MAX);
	}
	Sluice__Store__V1__GrantRecord **grants =
	    SL_ARENA_ARRAY(d->arena, Sluice__Store__V1__GrantRecord *, principal->n_grants + 1);
	if (grants == NULL) {
		return sl_err_no_memory(err);
	}
	if (principal->n_grants > 0) {
		memcpy(grants, principal->grants, principal->n_grants * sizeof(*grants));
	}
	grants[principal->n_grants++] = grant;
	principal->grants = grants;
	return SL_OK;
}

sl_code principals_decide_create(struct decision *d, const struct principal_wish *wish,
				 Sluice__Store__V1__PrincipalRecord **ret_principal,
				 struct sl_err *err)
{
	sl_code code = decision_expect_none(d, err);
	code = code != SL_OK ? code : refuse_taken(d, wish->name, err);
	Sluice__Store__V1__PrincipalRecord *principal =
	    SL_ARENA_NEW(d->arena, Sluice__Store__V1__PrincipalRecord);
	if (code != SL_OK || principal == NULL) {
		return code != SL_OK ? code : sl_err_no_memory(err);
	}
	sluice__store__v1__principal_record__init(principal);
	principal->id = decision_id(d, "pri");
	principal->name = sl_arena_strdup(d->arena, wish->name);
	principal->description = sl_arena_strdup(d->arena, wish->description);
	principal->kind = (uint32_t)wish->kind;
	principal->created_ms = d->now_ms;
	principal->created_by = (char *)d->principal;
	for (size_t i = 0; i < wish->grant_count; i++) {
		Sluice__Store__V1__GrantRecord *grant = NULL;
		code = grant_record(d, wish->grants[i], &grant, err);
		if (code == SL_OK && grant_at(principal, grant) == principal->n_grants) {
			code = add_grant(d, principal, grant, err);
		}
		if (code != SL_OK) {
			return code;
		}
	}
	if (sl_arena_failed(d->arena)) {
		return sl_err_no_memory(err);
	}
	struct record_key by_name = KEY(d->workspace, key_text(k, principal->name));
	decision_put_bytes(d, TABLE_PRINCIPALS_BY_NAME, &by_name, sl_bytes_text(principal->id));
	principal_put(d, principal);
	*ret_principal = principal;
	return SL_OK;
}

sl_code principals_decide_disable(struct decision *d, const char *name_or_id, bool disabled,
				  Sluice__Store__V1__PrincipalRecord **ret_principal,
				  struct sl_err *err)
{
	Sluice__Store__V1__PrincipalRecord *principal = NULL;
	sl_code code = find_expected(d, name_or_id, &principal, err);
	if (code != SL_OK || (principal->disabled_ms != 0) == disabled) {
		*ret_principal = principal;
		return code;
	}
	code = disabled ? keep_one(d, principal, NULL, err) : SL_OK;
	if (code != SL_OK) {
		return code;
	}
	principal->disabled_ms = disabled ? d->now_ms : 0;
	principal->disabled_by = sl_arena_strdup(d->arena, disabled ? d->principal : "");
	principal_put(d, principal);
	*ret_principal = principal;
	return SL_OK;
}

static sl_code delete_tokens(struct decision *d, const char *principal_id, struct sl_err *err)
{
	struct record_key prefix = KEY(d->workspace, key_text(k, principal_id));
	SL_AUTO(store_walk_end) struct store_walk walk;
	store_walk_begin(&walk, d->view, TABLE_ACCESS_TOKENS_BY_PRINCIPAL, key_bytes(&prefix),
			 STORE_FORWARD);
	while (store_walk_next(&walk)) {
		struct record_key index = {.size = walk.key.size};
		memcpy(index.data, walk.key.data, walk.key.size);
		struct record_key own = {.size = walk.key.size - prefix.size};
		memcpy(own.data, walk.key.data + prefix.size, own.size);
		decision_delete(d, TABLE_ACCESS_TOKENS_BY_PRINCIPAL, &index);
		decision_delete(d, TABLE_ACCESS_TOKENS, &own);
	}
	return store_walk_result(&walk, err);
}

sl_code principals_decide_delete(struct decision *d, const char *name_or_id, struct sl_err *err)
{
	Sluice__Store__V1__PrincipalRecord *principal = NULL;
	sl_code code = find_expected(d, name_or_id, &principal, err);
	code = code != SL_OK ? code : keep_one(d, principal, NULL, err);
	code = code != SL_OK ? code : delete_tokens(d, principal->id, err);
	if (code != SL_OK) {
		return code;
	}
	struct record_key key = KEY(d->workspace, key_text(k, principal->id));
	struct record_key by_name = KEY(d->workspace, key_text(k, principal->name));
	decision_delete(d, TABLE_PRINCIPALS, &key);
	decision_delete(d, TABLE_PRINCIPALS_BY_NAME, &by_name);
	access_changed(d);
	return SL_OK;
}

static sl_code take_back(struct decision *d, Sluice__Store__V1__PrincipalRecord *principal,
			 size_t at, struct sl_err *err)
{
	Sluice__Store__V1__PrincipalRecord less = *principal;
	less.grants =
	    SL_ARENA_ARRAY(d->arena, Sluice__Store__V1__GrantRecord *, principal->n_grants);
	if (less.grants == NULL) {
		return sl_err_no_memory(err);
	}
	less.n_grants = 0;
	for (size_t i = 0; i < principal->n_grants; i++) {
		if (i != at) {
			less.grants[less.n_grants++] = principal->grants[i];
		}
	}
	sl_code code = keep_one(d, principal, &less, err);
	if (code == SL_OK) {
		*principal = less;
	}
	return code;
}

sl_code principals_decide_grant(struct decision *d, const char *name_or_id,
				const Sluice__V1__Grant *grant, bool give,
				Sluice__Store__V1__PrincipalRecord **ret_principal,
				struct sl_err *err)
{
	Sluice__Store__V1__PrincipalRecord *principal = NULL;
	Sluice__Store__V1__GrantRecord *record = NULL;
	sl_code code = find_expected(d, name_or_id, &principal, err);
	code = code != SL_OK ? code : grant_record(d, grant, &record, err);
	if (code != SL_OK) {
		return code;
	}
	*ret_principal = principal;
	size_t at = grant_at(principal, record);
	if ((at < principal->n_grants) == give) {
		return SL_OK;
	}
	code = give ? add_grant(d, principal, record, err) : take_back(d, principal, at, err);
	if (code == SL_OK) {
		principal_put(d, principal);
	}
	return code;
}
