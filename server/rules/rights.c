#include "server/rules/rights.h"

#include <string.h>

#include "base/mem/own.h"

const char *access_verb_name(enum access_verb verb)
{
	static const char *const names[ACCESS_VERB_COUNT] = {
	    [ACCESS_NONE] = "",
	    [ACCESS_VIEW] = "view",
	    [ACCESS_EDIT] = "edit",
	    [ACCESS_PROMOTE] = "promote",
	    [ACCESS_APPROVE] = "approve",
	    [ACCESS_RELEASE] = "release",
	    [ACCESS_ROLLBACK] = "rollback",
	    [ACCESS_CONFIGURE] = "configure",
	    [ACCESS_REVEAL] = "reveal",
	    [ACCESS_MANAGE_INSTANCES] = "manage-instances",
	    [ACCESS_MANAGE_FREEZES] = "manage-freezes",
	    [ACCESS_OVERRIDE] = "override",
	    [ACCESS_ADMINISTER] = "administer",
	    [ACCESS_AGENT] = "agent",
	};
	return verb < ACCESS_VERB_COUNT ? names[verb] : "";
}

const struct rights rights_everything = {.everything = true};

/* --- patterns ---------------------------------------------------------------- */

bool rights_match(const char *pattern, const char *name)
{
	const char *star = NULL, *retry = NULL;
	while (*name != '\0') {
		if (*pattern == '*') {
			star = pattern++;
			retry = name;
		} else if (*pattern == '?' || *pattern == *name) {
			pattern++;
			name++;
		} else if (star != NULL) {
			pattern = star + 1;
			name = ++retry;
		} else {
			return false;
		}
	}
	while (*pattern == '*') {
		pattern++;
	}
	return *pattern == '\0';
}

const char *rights_pattern_broken_rule(const char *pattern)
{
	static const char allowed[] = "abcdefghijklmnopqrstuvwxyz0123456789-*?";
	size_t length = strlen(pattern);
	if (length < 1 || length > RIGHTS_PATTERN_MAX || strspn(pattern, allowed) != length) {
		return "1 to 64 of a-z, 0-9, '-', '*' (any run) and '?' (any character)";
	}
	return NULL;
}

/* --- asking -------------------------------------------------------------------- */

static bool is_all(const char *pattern)
{
	return pattern[strspn(pattern, "*")] == '\0';
}

/* Of no one app: to see takes any, to change takes all. */
static bool reaches(const struct right *right, enum access_verb verb, const char *slug)
{
	if (slug == NULL) {
		return verb == ACCESS_VIEW || (is_all(right->apps) && is_all(right->within));
	}
	return rights_match(right->apps, slug) && rights_match(right->within, slug);
}

/* The environments in which it may. */
static uint32_t allowed_in(const struct rights *rights, enum access_verb verb, const char *slug)
{
	uint32_t environments = 0;
	for (size_t i = 0; i < rights->count; i++) {
		const struct right *right = &rights->items[i];
		if ((right->verbs & (1u << verb)) != 0 && reaches(right, verb, slug)) {
			environments |= right->environments;
		}
	}
	return environments;
}

bool rights_allow(const struct rights *rights, enum access_verb verb, const char *slug,
		  uint32_t environment)
{
	if (rights->everything) {
		return verb != ACCESS_NONE;
	}
	uint32_t environments = allowed_in(rights, verb, slug);
	return environment == 0 ? environments != 0
				: environment < 32 && (environments & (1u << environment)) != 0;
}

static bool is_everywhere(uint32_t environments)
{
	return (environments & RIGHTS_ALL_ENVIRONMENTS) == RIGHTS_ALL_ENVIRONMENTS;
}

bool rights_allow_everywhere(const struct rights *rights, enum access_verb verb, const char *slug)
{
	return rights->everything || is_everywhere(allowed_in(rights, verb, slug));
}

bool rights_see_all(const struct rights *rights)
{
	uint32_t environments = 0;
	for (size_t i = 0; i < rights->count; i++) {
		const struct right *right = &rights->items[i];
		if ((right->verbs & (1u << ACCESS_VIEW)) != 0 && is_all(right->apps) &&
		    is_all(right->within)) {
			environments |= right->environments;
		}
	}
	return rights->everything || is_everywhere(environments);
}

/* --- the roles that are there ---------------------------------------------------- */

#define VERB(verb) (1u << ACCESS_##verb)
#define DEVELOPMENT (1u << 1)
#define STAGING (1u << 2)
#define PRODUCTION (1u << 3)

static const struct right admin[] = {
    {VERB(VIEW) | VERB(EDIT) | VERB(PROMOTE) | VERB(RELEASE) | VERB(ROLLBACK) | VERB(CONFIGURE) |
	 VERB(REVEAL) | VERB(MANAGE_INSTANCES) | VERB(MANAGE_FREEZES) | VERB(ADMINISTER),
     RIGHTS_ALL_ENVIRONMENTS, "*", "*"},
};
static const struct right builder[] = {
    {VERB(VIEW), RIGHTS_ALL_ENVIRONMENTS, "*", "*"},
    {VERB(EDIT) | VERB(CONFIGURE) | VERB(MANAGE_INSTANCES), DEVELOPMENT, "*", "*"},
    {VERB(PROMOTE), STAGING, "*", "*"},
};
static const struct right tester[] = {
    {VERB(VIEW), RIGHTS_ALL_ENVIRONMENTS, "*", "*"},
    {VERB(EDIT), STAGING, "*", "*"},
};
static const struct right releaser[] = {
    {VERB(VIEW), RIGHTS_ALL_ENVIRONMENTS, "*", "*"},
    {VERB(EDIT) | VERB(PROMOTE) | VERB(RELEASE) | VERB(ROLLBACK), PRODUCTION, "*", "*"},
};
static const struct right viewer[] = {
    {VERB(VIEW), RIGHTS_ALL_ENVIRONMENTS, "*", "*"},
};
static const struct right bot[] = {
    {VERB(VIEW), RIGHTS_ALL_ENVIRONMENTS, "*", "*"},
    {VERB(EDIT), DEVELOPMENT, "*", "*"},
    {VERB(PROMOTE), STAGING, "*", "*"},
};

#define ROLE(name, summary)                                                                        \
	{                                                                                          \
#name, summary, name, SL_COUNT(name)                                               \
	}
const struct rights_role rights_built_in[RIGHTS_BUILT_IN_ROLES] = {
    ROLE(admin, "everything but to approve and to override"),
    ROLE(builder, "makes apps and versions in development, promotes them to staging"),
    ROLE(tester, "notes, blocks and pins versions in staging"),
    ROLE(releaser, "promotes to production, releases and rolls back"),
    ROLE(viewer, "sees everything, changes nothing"),
    ROLE(bot, "makes versions in development, promotes them to staging"),
};

const struct rights_role *rights_built_in_role(const char *name)
{
	for (size_t i = 0; i < SL_COUNT(rights_built_in); i++) {
		if (strcmp(rights_built_in[i].name, name) == 0) {
			return &rights_built_in[i];
		}
	}
	return NULL;
}
