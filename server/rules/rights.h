/* rights: who may do what.
 *
 * A right is (verbs, app pattern, environments). A role is a named list of
 * rights; a grant gives a principal a role or one verb, narrowed to a pattern and
 * an environment. What a principal may do is the list of the rights of all its
 * grants, flattened: rights_allow() is the one question that is asked of it.
 *
 * Patterns are matched against an app's slug, its first name, which never
 * changes: renaming an app moves no rights. Pure; any thread. */
#ifndef SL_SERVER_RULES_RIGHTS_H
#define SL_SERVER_RULES_RIGHTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Numbers are those of sluice.v1.Verb (checked in records/principals.c); AGENT is none of them. */
enum access_verb {
	ACCESS_NONE, /* no right: not a row */
	ACCESS_VIEW,
	ACCESS_EDIT,
	ACCESS_PROMOTE,
	ACCESS_APPROVE,
	ACCESS_RELEASE,
	ACCESS_ROLLBACK,
	ACCESS_CONFIGURE,
	ACCESS_REVEAL,
	ACCESS_MANAGE_INSTANCES,
	ACCESS_MANAGE_FREEZES,
	ACCESS_OVERRIDE,
	ACCESS_ADMINISTER,
	ACCESS_AGENT, /* agents only: their own manifest and status; cannot be granted */
	ACCESS_VERB_COUNT
};
const char *access_verb_name(enum access_verb verb); /* "manage-instances"; static */

/* Environments as bits: 1 << rank. */
#define RIGHTS_ALL_ENVIRONMENTS ((1u << 1) | (1u << 2) | (1u << 3))
#define RIGHTS_PATTERN_MAX 64 /* bytes of a pattern, without the NUL */

struct right {
	uint32_t verbs;        /* bits 1 << access_verb */
	uint32_t environments; /* bits 1 << rank */
	const char *apps;      /* pattern of the role's right */
	const char *within;    /* pattern of the grant: both must match */
};

struct rights {
	const struct right *items; /* borrowed */
	size_t count;
	bool everything; /* no list: may do all there is (--insecure, and the server itself) */
};

extern const struct rights rights_everything;

/* May it do `verb` to the app `slug` in the environment of this rank (0: in any of them)?
 * slug NULL asks about what is of no one app: seeing it takes the right on some app, changing it
 * the right on all apps. */
bool rights_allow(const struct rights *rights, enum access_verb verb, const char *slug,
		  uint32_t environment);
/* The same in every environment. */
bool rights_allow_everywhere(const struct rights *rights, enum access_verb verb, const char *slug);
/* Every app in every environment can be seen: nothing has to be held back from it. */
bool rights_see_all(const struct rights *rights);

/* Globs: '*' any run, '?' one character. */
bool rights_match(const char *pattern, const char *name);
/* NULL: it is a pattern. Else the rule that it breaks. */
const char *rights_pattern_broken_rule(const char *pattern);

/* The roles that every workspace has; they cannot be changed. Nobody has approve or override by
 * one of them. */
struct rights_role {
	const char *name, *summary;
	const struct right *items;
	size_t count;
};
#define RIGHTS_BUILT_IN_ROLES 6
extern const struct rights_role rights_built_in[RIGHTS_BUILT_IN_ROLES];
/* NULL: there is none of this name. */
const struct rights_role *rights_built_in_role(const char *name);

#endif
