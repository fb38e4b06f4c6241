/* Own roles of a workspace; the built-in ones are rules/rights.h's. */
#include <string.h>

#include "server/records/principals.h"

static sl_code refuse_built_in(const char *name, struct sl_err *err)
{
	return rights_built_in_role(name) == NULL
		   ? SL_OK
		   : sl_err_because(
			 err, SL_FAILED_PRECONDITION, SL_REASON_ROLE_IN_USE,
			 "role '%s' is built in and stays as it is: make one of your own", name);
}

sl_code role_find(const struct store_view *view, struct sl_arena *arena, uint32_t workspace,
		  const char *name, Sluice__Store__V1__RoleRecord **ret_role, struct sl_err *err)
{
	sl_code code = SL_NOT_FOUND;
	if (strlen(name) <= 50) {
		struct record_key key = KEY(workspace, key_text(k, name));
		code = record_get(view, arena, TABLE_ROLES, &key,
				  &sluice__store__v1__role_record__descriptor, ret_role, err);
	}
	return code != SL_NOT_FOUND ? code
				    : sl_err_because(err, SL_NOT_FOUND, SL_REASON_ROLE_NOT_FOUND,
						     "no role '%.60s'", name);
}

/* --- writing --------------------------------------------------------------------- */

static sl_code right_record(struct decision *d, const Sluice__V1__Right *right,
			    Sluice__Store__V1__RightRecord **ret_record, struct sl_err *err)
{
	Sluice__Store__V1__RightRecord *record =
	    SL_ARENA_NEW(d->arena, Sluice__Store__V1__RightRecord);
	if (record == NULL) {
		return sl_err_no_memory(err);
	}
	sluice__store__v1__right_record__init(record);
	for (size_t i = 0; i < right->n_verbs; i++) {
		record->verbs |= 1u << right->verbs[i];
	}
	record->apps = right->apps[0] == '\0' ? sl_arena_strdup(d->arena, "*") : right->apps;
	*ret_record = record;
	return right->environment[0] == '\0'
		   ? SL_OK
		   : environment_find(right->environment, &record->environment, err);
}

/* Sets what a wish says of a role, and puts it. */
static sl_code role_write(struct decision *d, const struct role_wish *wish,
			  Sluice__Store__V1__RoleRecord *role, struct sl_err *err)
{
	role->description = sl_arena_strdup(d->arena, wish->description);
	role->rights =
	    SL_ARENA_ARRAY(d->arena, Sluice__Store__V1__RightRecord *, wish->right_count);
	role->n_rights = 0;
	for (size_t i = 0; role->rights != NULL && i < wish->right_count; i++) {
		sl_code code = right_record(d, wish->rights[i], &role->rights[i], err);
		if (code != SL_OK) {
			return code;
		}
		role->n_rights++;
	}
	if (sl_arena_failed(d->arena)) {
		return sl_err_no_memory(err);
	}
	struct record_key key = KEY(d->workspace, key_text(k, role->name));
	role->revision = d->revision;
	decision_put(d, TABLE_ROLES, &key, &role->base);
	access_changed(d);
	return SL_OK;
}

sl_code roles_decide_create(struct decision *d, const struct role_wish *wish,
			    Sluice__Store__V1__RoleRecord **ret_role, struct sl_err *err)
{
	struct record_key key = KEY(d->workspace, key_text(k, wish->name));
	struct sl_bytes taken;
	sl_code code = decision_expect_none(d, err);
	if (code != SL_OK) {
		return code;
	}
	code = rights_built_in_role(wish->name) != NULL
		   ? SL_OK
		   : store_get(d->view, TABLE_ROLES, key_bytes(&key), &taken, err);
	if (code == SL_OK) {
		return sl_err_because(err, SL_ALREADY_EXISTS, SL_REASON_NAME_TAKEN,
				      "a role '%s' exists", wish->name);
	}
	if (code != SL_NOT_FOUND) {
		return code;
	}
	Sluice__Store__V1__RoleRecord *role = SL_ARENA_NEW(d->arena, Sluice__Store__V1__RoleRecord);
	if (role == NULL) {
		return sl_err_no_memory(err);
	}
	sluice__store__v1__role_record__init(role);
	role->name = sl_arena_strdup(d->arena, wish->name);
	role->created_ms = d->now_ms;
	role->created_by = (char *)d->principal;
	*ret_role = role;
	return role_write(d, wish, role, err);
}

/* --- who has it ---------------------------------------------------------------------- */

struct users {
	const char *role;
	const char *first; /* name of the first one; NULL: nobody */
};

static bool find_user(void *ctx, const Sluice__Store__V1__PrincipalRecord *principal)
{
	struct users *users = ctx;
	for (size_t i = 0; users->first == NULL && i < principal->n_grants; i++) {
		if (strcmp(principal->grants[i]->role, users->role) == 0) {
			users->first = principal->name;
		}
	}
	return users->first == NULL;
}

static sl_code find_first_user(const struct decision *d, const char *role, struct users *ret_users,
			       struct sl_err *err)
{
	*ret_users = (struct users){.role = role};
	return principals_visit(d->view, d->arena, d->workspace,
				&(struct principals_visitor){.visit = find_user, .ctx = ret_users},
				err);
}

static uint32_t administers_in(const Sluice__Store__V1__RoleRecord *role)
{
	uint32_t environments = 0;
	for (size_t i = 0; i < role->n_rights; i++) {
		const Sluice__Store__V1__RightRecord *right = role->rights[i];
		if ((right->verbs & (1u << ACCESS_ADMINISTER)) != 0 &&
		    right->apps[strspn(right->apps, "*")] == '\0') {
			environments |= right->environment == 0 ? RIGHTS_ALL_ENVIRONMENTS
								: 1u << right->environment;
		}
	}
	return environments;
}

sl_code roles_decide_update(struct decision *d, const struct role_wish *wish,
			    Sluice__Store__V1__RoleRecord **ret_role, struct sl_err *err)
{
	Sluice__Store__V1__RoleRecord *role = NULL;
	struct users users = {.first = NULL};
	sl_code code = refuse_built_in(wish->name, err);
	code = code != SL_OK ? code
			     : role_find(d->view, d->arena, d->workspace, wish->name, &role, err);
	code = code != SL_OK ? code : decision_expect(d, "role", role->name, role->revision, err);
	if (code != SL_OK) {
		return code;
	}
	uint32_t before = administers_in(role);
	code = role_write(d, wish, role, err);
	*ret_role = role;
	if (code != SL_OK || (before & ~administers_in(role)) == 0) {
		return code;
	}
	/* Whose last way to administer that is cannot be seen from one role: it is not taken back
	 * while somebody has it. */
	code = find_first_user(d, role->name, &users, err);
	return code != SL_OK || users.first == NULL
		   ? code
		   : sl_err_because(err, SL_FAILED_PRECONDITION, SL_REASON_ROLE_IN_USE,
				    "role '%s' may administer and '%s' has it: take the grant back "
				    "first",
				    role->name, users.first);
}

sl_code roles_decide_delete(struct decision *d, const char *name, struct sl_err *err)
{
	Sluice__Store__V1__RoleRecord *role = NULL;
	struct users users = {.first = NULL};
	sl_code code = refuse_built_in(name, err);
	code = code != SL_OK ? code : role_find(d->view, d->arena, d->workspace, name, &role, err);
	code = code != SL_OK ? code : decision_expect(d, "role", role->name, role->revision, err);
	code = code != SL_OK ? code : find_first_user(d, role->name, &users, err);
	if (code == SL_OK && users.first != NULL) {
		return sl_err_because(err, SL_FAILED_PRECONDITION, SL_REASON_ROLE_IN_USE,
				      "'%s' has the role '%s': take the grant back first",
				      users.first, role->name);
	}
	if (code == SL_OK) {
		struct record_key key = KEY(d->workspace, key_text(k, role->name));
		decision_delete(d, TABLE_ROLES, &key);
		access_changed(d);
	}
	return code;
}
