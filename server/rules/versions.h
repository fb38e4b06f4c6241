/* versions: the life cycle of a version as rules: what may be done to it in which state.
 *
 * Pure: no I/O, no clock, no threads. One table says for each act what a version
 * must be like, and with which reason it is refused otherwise. */
#ifndef SL_SERVER_RULES_VERSIONS_H
#define SL_SERVER_RULES_VERSIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err/reason.h"
#include "sluice/v1/version.pb-c.h"

enum version_act {
	VERSION_ACT_SET_CONTENT,
	VERSION_ACT_UPDATE, /* name and description */
	VERSION_ACT_SEAL,
	VERSION_ACT_PROMOTE,
	VERSION_ACT_SELECT,
	VERSION_ACT_RELEASE,
	VERSION_ACT_ROLLBACK, /* to it */
	VERSION_ACT_BLOCK,
	VERSION_ACT_UNBLOCK,
	VERSION_ACT_NOTE,
	VERSION_ACT_DELETE,
	VERSION_ACT_CONTENT_RESULT, /* a Git worker found, or did not find, its content */
	VERSION_ACT_PUBLISH_RESULT, /* a Git worker pushed, or failed to push, its tag */
	VERSION_ACT_COUNT
};

/* What the life cycle looks at. */
struct version_traits {
	Sluice__V1__VersionState state;
	Sluice__V1__ContentState content;
	Sluice__V1__BlockMode block; /* UNSPECIFIED: none */
	uint32_t environment;        /* number = rank of the one that it is in, from 1 */
	uint32_t environments;       /* number of the last one */
};

/* SL_REASON_NONE: allowed. Otherwise the first broken rule, in the order state, environment, block,
 * content: VERSION_SEALED, NOT_IN_DEVELOPMENT, LAST_ENVIRONMENT, NOT_ELIGIBLE (not in the
 * environment that the act needs, or not sealed though the act is about sealed ones),
 * VERSION_BLOCKED, CONTENT_NOT_READY.
 *
 * What depends on other records (released, run by an instance, the only one, in Git) is not said
 * here. SELECT speaks of every environment: a draft may be selected in development. Sealing what is
 * sealed is allowed and changes nothing. */
enum sl_reason version_allows(enum version_act act, const struct version_traits *traits);

/* "SET_CONTENT"; static. */
const char *version_act_name(enum version_act act);

/* Which version a new one derives from when the caller names none: the newest in development, else
 * the newest. {0} to begin with; shown the versions newest first until it answers true; the answer
 * is in `number` (0: there was none). */
struct version_origin {
	uint32_t number;
};
bool version_origin_look(struct version_origin *origin, uint32_t number, uint32_t environment);

/* Which version is opened in *environment: newest[n] is the number of the newest version in
 * environment n (1 to environments; 0: none). The newest in it, else the newest beyond it (lists
 * are cumulative), else the same one environment down; *environment is where it was found. 0: there
 * is no version. */
uint32_t version_newest_there(const uint32_t *newest, uint32_t environments, uint32_t *environment);

/* `refs/tags/sluice/<slug>/<version>-<first 12 hex of digest>`. */
#define VERSION_REF_SIZE 128 /* bytes with NUL; slug and name obey their rules */
void version_ref(char out[static VERSION_REF_SIZE], const char *slug, const char *name,
		 const uint8_t digest[static 6]);

#endif
