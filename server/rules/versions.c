#include "server/rules/versions.h"

#include <assert.h>
#include <stdio.h>

#include "base/bytes/bytes.h"

enum must_be { ANY_STATE, DRAFT, SEALED };
enum must_stand { ANYWHERE, IN_DEVELOPMENT, BEFORE_LAST, IN_LAST };

struct rule {
	const char *name;
	enum must_be state;
	enum must_stand environment;
	Sluice__V1__BlockMode worst_block; /* that does not stop the act */
	bool ready;                        /* content must be READY */
};

#define UNBLOCKED SLUICE__V1__BLOCK_MODE__BLOCK_MODE_UNSPECIFIED
#define NO_NEW SLUICE__V1__BLOCK_MODE__BLOCK_MODE_NO_NEW
#define RECALL SLUICE__V1__BLOCK_MODE__BLOCK_MODE_RECALL

/* clang-format off */
static const struct rule rules[VERSION_ACT_COUNT] = {
	/*                             name              state      environment     worst block  READY */
	[VERSION_ACT_SET_CONTENT]    = {"SET_CONTENT",    DRAFT,     IN_DEVELOPMENT, RECALL,      false},
	[VERSION_ACT_UPDATE]         = {"UPDATE",         DRAFT,     IN_DEVELOPMENT, RECALL,      false},
	[VERSION_ACT_SEAL]           = {"SEAL",           ANY_STATE, ANYWHERE,       RECALL,      true},
	[VERSION_ACT_PROMOTE]        = {"PROMOTE",        ANY_STATE, BEFORE_LAST,    UNBLOCKED,   true},
	[VERSION_ACT_SELECT]         = {"SELECT",         ANY_STATE, ANYWHERE,       NO_NEW,      true},
	[VERSION_ACT_RELEASE]        = {"RELEASE",        SEALED,    IN_LAST,        UNBLOCKED,   true},
	[VERSION_ACT_ROLLBACK]       = {"ROLLBACK",       SEALED,    IN_LAST,        UNBLOCKED,   true},
	[VERSION_ACT_BLOCK]          = {"BLOCK",          ANY_STATE, ANYWHERE,       RECALL,      false},
	[VERSION_ACT_UNBLOCK]        = {"UNBLOCK",        ANY_STATE, ANYWHERE,       RECALL,      false},
	[VERSION_ACT_NOTE]           = {"NOTE",           ANY_STATE, ANYWHERE,       RECALL,      false},
	[VERSION_ACT_DELETE]         = {"DELETE",         ANY_STATE, IN_DEVELOPMENT, RECALL,      false},
	[VERSION_ACT_CONTENT_RESULT] = {"CONTENT_RESULT", DRAFT,     ANYWHERE,       RECALL,      false},
	[VERSION_ACT_PUBLISH_RESULT] = {"PUBLISH_RESULT", SEALED,    ANYWHERE,       RECALL,      true},
};
/* clang-format on */

static enum sl_reason check_state(const struct rule *rule, const struct version_traits *traits)
{
	bool sealed = traits->state == SLUICE__V1__VERSION_STATE__VERSION_STATE_SEALED;
	if (rule->state == DRAFT && sealed) {
		return SL_REASON_VERSION_SEALED;
	}
	if (rule->state == SEALED && !sealed) {
		return SL_REASON_NOT_ELIGIBLE;
	}
	return SL_REASON_NONE;
}

static enum sl_reason check_environment(const struct rule *rule,
					const struct version_traits *traits)
{
	switch (rule->environment) {
	case ANYWHERE:
		return SL_REASON_NONE;
	case IN_DEVELOPMENT:
		return traits->environment == 1 ? SL_REASON_NONE : SL_REASON_NOT_IN_DEVELOPMENT;
	case BEFORE_LAST:
		return traits->environment < traits->environments ? SL_REASON_NONE
								  : SL_REASON_LAST_ENVIRONMENT;
	case IN_LAST:
		return traits->environment == traits->environments ? SL_REASON_NONE
								   : SL_REASON_NOT_ELIGIBLE;
	}
	return SL_REASON_NONE;
}

enum sl_reason version_allows(enum version_act act, const struct version_traits *traits)
{
	assert(act < VERSION_ACT_COUNT);
	const struct rule *rule = &rules[act];
	enum sl_reason reason = check_state(rule, traits);
	if (reason == SL_REASON_NONE) {
		reason = check_environment(rule, traits);
	}
	if (reason == SL_REASON_NONE && traits->block > rule->worst_block) {
		reason = SL_REASON_VERSION_BLOCKED;
	}
	if (reason == SL_REASON_NONE && rule->ready &&
	    traits->content != SLUICE__V1__CONTENT_STATE__CONTENT_STATE_READY) {
		reason = SL_REASON_CONTENT_NOT_READY;
	}
	return reason;
}

const char *version_act_name(enum version_act act)
{
	return act < VERSION_ACT_COUNT ? rules[act].name : "";
}

bool version_origin_look(struct version_origin *origin, uint32_t number, uint32_t environment)
{
	if (origin->number == 0 || environment == 1) {
		origin->number = number;
	}
	return environment == 1;
}

uint32_t version_newest_there(const uint32_t *newest, uint32_t environments, uint32_t *environment)
{
	for (uint32_t at = *environment; at >= 1; at--) {
		uint32_t found = newest[at];
		for (uint32_t beyond = at + 1; newest[at] == 0 && beyond <= environments;
		     beyond++) {
			found = newest[beyond] > found ? newest[beyond] : found;
		}
		if (found != 0) {
			*environment = at;
			return found;
		}
	}
	return 0;
}

void version_ref(char out[static VERSION_REF_SIZE], const char *slug, const char *name,
		 const uint8_t digest[static 6])
{
	char hex[2 * 6 + 1];
	int wrote = snprintf(out, VERSION_REF_SIZE, "refs/tags/sluice/%s/%s-%s", slug, name,
			     sl_hex(hex, digest, 6));
	assert(wrote > 0 && wrote < VERSION_REF_SIZE);
	(void)wrote;
}
